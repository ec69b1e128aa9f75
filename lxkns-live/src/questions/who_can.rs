//! `who-can`: who has a capability in a namespace.

use lxkns_answers::json::Envelope;
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::{Asked, Target};
pub use lxkns_answers::who_can::options;
use lxkns_answers::who_can::{WhoCan, WhoCanAnswer};
use lxkns_core::model::{NamespaceId, Place, Places, Snapshot, TaskPowers};

use super::{Host, More};

/// The tasks that have other credentials than their process.
pub fn read(host: &Host<'_>, snapshot: &Snapshot) -> (Vec<TaskPowers>, More) {
    let (tasks, gaps) = host.session.task_powers(snapshot);
    (tasks, More::of_gaps(gaps))
}

/// The namespaces that a TARGET means.
///
/// # Errors
///
/// It means none.
pub fn find(resolver: &Resolver<'_>, asked: &Asked) -> Result<Vec<NamespaceId>, Unresolved> {
    resolver.resolve(&resolver.settle(asked)?)
}

/// The places whose gaps can change the answer.
pub fn places(target: &Target) -> Places {
    options(target).places.with(Place::ProcessFacts)
}

/// The answer.
pub fn answer(all: &[WhoCan<'_>], gaps: Vec<String>) -> Envelope<WhoCanAnswer> {
    Envelope::new("who-can", all.iter().map(WhoCan::answer).collect(), gaps)
}
