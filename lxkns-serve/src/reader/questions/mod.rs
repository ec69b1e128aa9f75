//! Questions that commands of `lxkns` ask too: the same answers, in the same JSON.
//!
//! No path that a client names is looked up: one means what the lists of mounts say. What a scan does not have is read when
//! it is asked about, with the same deadlines as the command's.

mod lists;
mod living;
mod network;
mod reasons;

use std::borrow::Cow;
use std::collections::BTreeMap;

use lxkns_answers::json::{self, Envelope};
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::escape::printable;
use lxkns_answers::{Context, gaps};
use lxkns_core::Snapshot;
use lxkns_core::model::CompactSort as _;
use lxkns_core::model::{Ending, Gap, NamespaceId, NamespaceType, Places, Suspect};
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

    /// What is answered: results, and what could not be seen.
    fn envelope<T: Serialize>(&self, results: Vec<T>, gaps: Vec<String>) -> Result<Answer, Problem> {
        json(&Envelope::new(self.question.kind.name(), results, gaps))
    }
}

/// The snapshot that is asked about.
fn context(snapshot: &Snapshot) -> Context<'_> {
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

fn gap_lines(snapshot: &Snapshot, places: Places) -> Vec<String> {
    gaps::lines(snapshot, places, gaps::held(snapshot))
}

/// What a TARGET was asked for in, safe to print.
fn name(asked: &Asked) -> String {
    printable(asked.text.as_encoded_bytes())
}

/// The same TARGET, with the namespace of this type in place of a process.
fn of_type(resolver: &Resolver<'_>, asked: &Asked, ns_type: NamespaceType) -> Result<Asked, Problem> {
    let settled = resolver.settle(asked)?;
    Ok(match settled.target {
        Target::Process(pid) => Asked { text: settled.text, target: Target::OfProcess(pid, ns_type) },
        _ => settled,
    })
}

/// All namespaces that these TARGETs mean.
fn resolve_all(resolver: &Resolver<'_>, asked: &[Asked]) -> Result<Vec<NamespaceId>, Unresolved> {
    let mut all = Vec::new();
    for asked in asked {
        all.extend(resolver.resolve(asked)?);
    }
    Ok(all)
}

/// What was read beside a scan.
#[derive(Default)]
struct More {
    suspects: Vec<Suspect>,
    gaps: Vec<Gap>,
    endings: BTreeMap<NamespaceId, Ending>,
}

impl More {
    /// The snapshot with it.
    fn onto(self, snapshot: &Snapshot) -> Cow<'_, Snapshot> {
        if self.suspects.is_empty() && self.gaps.is_empty() && self.endings.is_empty() {
            return Cow::Borrowed(snapshot);
        }
        let mut snapshot = snapshot.clone();
        snapshot.suspects.extend(self.suspects);
        snapshot.suspects.compact_sort();
        snapshot.gaps.extend(self.gaps);
        snapshot.gaps.compact_sort();
        snapshot.gaps.dedup();
        snapshot.annotations.endings = self.endings;
        Cow::Owned(snapshot)
    }
}
