//! Questions that commands of `lxkns` ask too: the same answers, in the same JSON, by `lxkns_live::questions`.
//!
//! No path that a client names is looked up: one means what the lists of mounts say. What a scan does not have is read when
//! it is asked about, with the same deadlines as the command's.

mod lists;
mod living;
mod network;
mod reasons;

use lxkns_answers::Context;
use lxkns_answers::json::{self, Envelope};
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::Asked;
use lxkns_answers::text::escape::printable;
use lxkns_core::Snapshot;
use lxkns_core::model::{NamespaceId, NamespaceType, Pid};
use serde::Serialize;

use super::body::Writer;
use super::cache::Answer;
use super::host::Host;
use super::problem::Problem;
use crate::protocol::{Content, Kind, Question};

/// As many of a kind as the commands name in their JSON.
const SOME: usize = 10;

/// A question about a snapshot.
pub(crate) struct Asking<'a> {
    pub(crate) host: &'a Host,
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) question: &'a Question,
}

impl<'a> Asking<'a> {
    /// The answer.
    ///
    /// # Errors
    ///
    /// Why there is none.
    pub(crate) fn answer(&self) -> Result<Answer, Problem> {
        match self.question.kind {
            Kind::List => self.list(),
            Kind::Containers => self.containers(),
            Kind::Tree => self.tree(),
            Kind::Mounts => self.mounts(),
            Kind::Show => self.show(),
            Kind::Why => self.why(),
            Kind::Orphans => self.orphans(),
            Kind::Busy => self.busy(),
            Kind::Caps => self.caps(),
            Kind::WhoCan => self.who_can(),
            Kind::Audit => self.audit(),
            Kind::Ports => self.ports(),
            Kind::Links => self.links(),
            Kind::Explain => self.explain(),
            Kind::Owner => self.owner(),
            Kind::Doctor => self.doctor(),
            Kind::Snapshot
            | Kind::Processes
            | Kind::PidMap
            | Kind::Metrics
            | Kind::Ready
            | Kind::Events
            | Kind::History
            | Kind::Diff => Err(Problem::parameter("not a question with an answer in words")),
        }
    }

    fn context(&self) -> Context<'a> {
        context(self.snapshot)
    }

    fn resolver(&self) -> Resolver<'a> {
        Resolver::new(self.context(), self.host)
    }

    /// The process to ask about.
    fn pid(&self) -> Result<Option<Pid>, Problem> {
        Ok(self.question.number("pid", "a PID")?.map(Pid))
    }
}

/// The snapshot that is asked about.
pub(super) fn context(snapshot: &Snapshot) -> Context<'_> {
    Context { snapshot, mount_ns: home(snapshot), is_live: true }
}

/// The mount namespace whose paths mean what they mean on the host: the service may be in a container.
pub(super) fn home(snapshot: &Snapshot) -> Option<NamespaceId> {
    let mut mnts = snapshot.namespaces.values().filter(|namespace| namespace.ns_type == NamespaceType::Mnt);
    let initial = mnts.find(|namespace| namespace.initial).map(|namespace| namespace.id);
    initial.or(snapshot.observer_mount_ns)
}

/// An answer in JSON.
pub(super) fn json(value: &impl Serialize) -> Result<Answer, Problem> {
    let mut body = Writer::default();
    json::write(value, &mut body).map_err(|_| Problem::failed())?;
    Ok(body.answer(200, Content::Json))
}

fn told<T: Serialize>(envelope: Envelope<T>) -> Result<Answer, Problem> {
    json(&envelope)
}

/// Refuses the question where one of its TARGETs means nothing: the first of them.
#[derive(Default)]
struct Refused(Option<Unresolved>);

impl Refused {
    fn note(&mut self, unresolved: Unresolved) {
        self.0.get_or_insert(unresolved);
    }

    fn check(self) -> Result<(), Problem> {
        self.0.map_or(Ok(()), |unresolved| Err(unresolved.into()))
    }
}

/// Why a question about the caller has no answer.
fn no_caller(parameter: &str) -> String {
    format!("{parameter}: required: the service does not know the caller")
}

/// A text of the client's, safe to print, with what is wrong about it.
pub(super) fn about(text: &str, what: impl std::fmt::Display) -> String {
    format!("{}: {what}", printable(text.as_bytes()))
}

/// The TARGETs; there must be at least one.
fn some_targets(question: &Question) -> Result<Vec<Asked>, Problem> {
    let targets = question.targets()?;
    if targets.is_empty() { Err(Problem::parameter("target: required")) } else { Ok(targets) }
}
