//! `doctor`: what can be seen here, what cannot and why, and what would help.

use lxkns_answers::doctor::{Asked, Report, report};
use lxkns_answers::json::Envelope;
use lxkns_core::Discovery;
use lxkns_core::model::{DiscoveryOptions, Place, Snapshot};
use lxkns_mountns::Access;

use super::gap_lines;

/// What a snapshot must have for it: everything.
pub fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::everything();
    options.without_self = true;
    // The reader is chosen as for most commands.
    options.references = false;
    options
}

/// What is said of a snapshot. Of the living host: with its session, and what its interfaces have answered before the scan.
pub fn found(snapshot: &mut Snapshot, living: Option<(&Discovery<'_>, &Access, Vec<Asked>)>) -> Report {
    let living = living.map(|(session, access, interfaces)| {
        crate::with_reason(snapshot, session);
        crate::living(session.proc(), access, snapshot, interfaces)
    });
    report(snapshot, living)
}

/// The answer.
pub fn answer(snapshot: &Snapshot, report: Report) -> Envelope<Report> {
    Envelope::new("doctor", vec![report], gap_lines(snapshot, Place::ALL.into_iter().collect()))
}
