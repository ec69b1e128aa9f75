//! Many network namespaces: a few processes go from one to the next.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lxkns_core::{Discovery, Opener};
use lxkns_model::CompactSort as _;
use lxkns_model::inside::{Failure, Network, Parts, Surveyed};
use lxkns_model::{Cause, NamespaceId, NamespaceType, Snapshot};
use rustc_hash::FxHashSet;
use std::os::fd::{AsFd as _, OwnedFd};

use crate::around::own_namespace;
use crate::parent::{Error, ErrorKind, Inside, Program, failure_of};

/// How many processes go through namespaces at the same time at most: more wait for each other inside the kernel.
const MOST_VISITORS: usize = 4;
/// How many namespaces may leave a process without an answer before no further one is asked: whatever keeps the kernel
/// waiting is then likely to do so everywhere.
const MOST_STALLED: usize = 8;
/// How many namespaces a visitor takes at a time.
const STEP: usize = 8;

/// Reads these parts of these network namespaces of the snapshot; in their order.
///
/// One process goes through all those that the caller may enter, and one for each user namespace whose rights it takes to
/// enter others; a few of them at the same time. Each namespace has its deadline: one that does not answer within
/// `timeout` costs its process, and a failure ([`Cause::TimedOut`]). When eight have not answered, the rest is not asked
/// ([`Cause::NotTried`]).
///
/// # Privileges
///
/// As [`look`](crate::look). What may not be entered is a failure ([`Cause::Denied`]).
pub fn survey(
    discovery: &Discovery<'_>,
    snapshot: &Snapshot,
    namespaces: &[NamespaceId],
    parts: Parts,
    program: &Program,
    timeout: Duration,
) -> Vec<Surveyed> {
    let own = |ns_type| own_namespace(discovery.proc(), ns_type);
    let survey = Survey {
        discovery,
        snapshot,
        parts,
        program,
        timeout,
        own: (own(NamespaceType::Net), own(NamespaceType::User)),
        stalled: AtomicUsize::new(0),
    };
    // Those of one owner one after another, so that its process is needed once.
    let owner = |id: &NamespaceId| snapshot.namespaces.get(id).and_then(|namespace| namespace.owner.known());
    let mut order: Vec<_> = namespaces.iter().enumerate().collect();
    order.compact_sort_by_key(|&(at, id)| (owner(id), at));
    let cursor = AtomicUsize::new(0);
    let visitor = || {
        let mut visitor = Visitor::new(&survey);
        let mut found = Vec::new();
        loop {
            let from = cursor.fetch_add(STEP, Ordering::Relaxed);
            let Some(rest) = order.get(from..).filter(|rest| !rest.is_empty()) else { return found };
            found.extend(rest.iter().take(STEP).map(|&(at, &id)| (at, visitor.visit(id))));
        }
    };
    let visitors = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let visitors = visitors.min(MOST_VISITORS).min(order.len().div_ceil(STEP));
    let mut found = std::thread::scope(|scope| {
        // If no further thread can be started, the existing ones do all the work.
        let others: Vec<_> = (1..visitors)
            .map_while(|_| std::thread::Builder::new().name("lxkns".into()).spawn_scoped(scope, visitor).ok())
            .collect();
        let mut found = visitor();
        for other in others {
            match other.join() {
                Ok(more) => found.extend(more),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        found
    });
    found.compact_sort_by_key(|(at, _)| *at);
    let ids = namespaces.iter().copied();
    ids.zip(found).map(|(id, (_, network))| Surveyed { id, network }).collect()
}

struct Survey<'a> {
    discovery: &'a Discovery<'a>,
    snapshot: &'a Snapshot,
    parts: Parts,
    program: &'a Program,
    timeout: Duration,
    /// The caller's own network and user namespace.
    own: (Option<NamespaceId>, Option<NamespaceId>),
    /// How many have not answered.
    stalled: AtomicUsize,
}

/// What goes from one namespace to the next.
struct Visitor<'a> {
    survey: &'a Survey<'a>,
    opener: Opener<'a>,
    /// The process with the caller's rights.
    direct: Option<Inside>,
    /// The process with the rights of a user namespace.
    through: Option<(NamespaceId, Inside)>,
    /// Those that are no longer needed, until they are reaped.
    leaving: Vec<Inside>,
    /// The owners of namespaces that the first one may not enter.
    denied: FxHashSet<Option<NamespaceId>>,
    /// Those that the caller may not enter either.
    closed: FxHashSet<NamespaceId>,
}

impl<'a> Visitor<'a> {
    fn new(survey: &'a Survey<'a>) -> Self {
        let opener = survey.discovery.opener(survey.snapshot);
        Self {
            survey,
            opener,
            direct: None,
            through: None,
            leaving: Vec::new(),
            denied: FxHashSet::default(),
            closed: FxHashSet::default(),
        }
    }

    fn visit(&mut self, id: NamespaceId) -> Result<Network, Failure> {
        let stalled = &self.survey.stalled;
        if stalled.load(Ordering::Relaxed) >= MOST_STALLED {
            let call = format!("not asked, as {MOST_STALLED} others have not answered");
            return Err(Failure { call, cause: Cause::NotTried, errno: None });
        }
        let visited = self.read(id);
        if visited.as_ref().is_err_and(|failure| failure.cause == Cause::TimedOut) {
            stalled.fetch_add(1, Ordering::Relaxed);
        }
        visited
    }

    fn read(&mut self, id: NamespaceId) -> Result<Network, Failure> {
        let survey = self.survey;
        let namespace = survey.snapshot.namespaces.get(&id).filter(|namespace| namespace.ns_type == NamespaceType::Net);
        let owner = namespace.and_then(|namespace| namespace.owner.known());
        let parts = survey.parts;
        if survey.own.0 == Some(id) {
            // Whoever stays needs no right.
            let mut inside = self.start(None)?;
            return inside.visit(None, parts).map_err(failure);
        }
        let opened = self.open(id)?;
        if !self.denied.contains(&owner) {
            let mut inside = match self.direct.take() {
                Some(inside) => inside,
                None => self.start(None)?,
            };
            let visited = inside.visit(Some(opened.as_fd()), parts);
            // One that has not answered is given up.
            self.direct = Some(inside).filter(|inside| !inside.is_lost());
            match visited {
                Err(error) if error.is_denied() => self.denied.insert(owner),
                visited => return visited.map_err(failure),
            };
        }
        let denied = || Failure::of_call("setns", lxkns_model::Errno::new(1).expect("EPERM"));
        let is_open = |owner: &NamespaceId| Some(*owner) != survey.own.1 && !self.closed.contains(owner);
        let user = owner.filter(is_open).ok_or_else(denied)?;
        let mut inside = match self.through.take() {
            Some((of, inside)) if of == user => inside,
            other => {
                self.leave(other.map(|(_, inside)| inside));
                let started = self.start(Some(user));
                if started.as_ref().is_err_and(|failure| failure.cause == Cause::Denied) {
                    self.closed.insert(user);
                }
                started?
            }
        };
        let visited = inside.visit(Some(opened.as_fd()), parts);
        self.through = Some((user, inside)).filter(|(_, inside)| !inside.is_lost());
        visited.map_err(failure)
    }

    /// Ends a process, and reaps those that have ended: of many, none is left until the end.
    fn leave(&mut self, inside: Option<Inside>) {
        self.leaving.extend(inside);
        self.leaving.retain_mut(|inside| !inside.end());
    }

    fn start(&self, user: Option<NamespaceId>) -> Result<Inside, Failure> {
        let user = user.map(|user| self.open(user)).transpose()?;
        let user = user.as_ref().map(|user| user.as_fd());
        Inside::enter(self.survey.program, user, None, self.survey.timeout).map_err(failure)
    }

    fn open(&self, id: NamespaceId) -> Result<OwnedFd, Failure> {
        self.opener.open(id).map_err(|error| match error.errno() {
            Some(errno) => Failure::of_call("open", errno),
            None => Failure { call: "open".to_owned(), cause: Cause::NoPath, errno: None },
        })
    }
}

fn failure(error: Error) -> Failure {
    let call = if error.kind() == ErrorKind::TimedOut { "no answer in time" } else { "the process inside" };
    failure_of(call, &error)
}
