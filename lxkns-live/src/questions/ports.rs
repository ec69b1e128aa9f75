//! `ports`: who listens, in every network namespace.

use lxkns_answers::json::Envelope;
use lxkns_answers::ports::{Answer, Ports, Scope, inodes};
use lxkns_answers::resolve::Resolver;
use lxkns_answers::target::Asked;
use lxkns_core::model::inside::{Parts, Surveyed};
use lxkns_core::model::{self, DiscoveryOptions, Place, Snapshot, SocketUser};

use super::{Host, More, Refuse, gap_lines};

/// What a snapshot must have for it.
pub fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    options.without_self = true;
    // Each process that has a socket open is named.
    options.command_lines = model::Scope::All;
    options
}

/// Which sockets these TARGETs mean; `None`: all, as there are none.
pub fn scope(
    snapshot: &Snapshot,
    resolver: &Resolver<'_>,
    targets: &[Asked],
    refuse: &mut Refuse<'_>,
) -> Option<Scope> {
    if targets.is_empty() {
        return None;
    }
    let mut meant = Scope::default();
    for asked in targets {
        if let Err(unresolved) = meant.add(snapshot, resolver, asked) {
            refuse(unresolved);
        }
    }
    Some(meant)
}

/// The sockets, who has them open, and what could not be read about that.
pub fn read(
    host: &Host<'_>,
    snapshot: &Snapshot,
    scope: Option<&Scope>,
    unix_sockets: bool,
) -> (Vec<Surveyed>, Vec<SocketUser>, More) {
    let parts = Parts { sockets: true, unix_sockets, ..Parts::default() };
    let namespaces = Scope::to_survey(scope, snapshot);
    let surveyed = lxkns_inside::survey(host.session, snapshot, &namespaces, parts, host.program, host.timeout);
    let inodes = inodes(&surveyed);
    // Who made a socket can have come since the scan.
    let (users, gaps) = if inodes.is_empty() { Default::default() } else { host.session.all_socket_users(&inodes) };
    (surveyed, users, More::of_gaps(gaps))
}

/// What could not be seen.
pub fn gaps(snapshot: &Snapshot, ports: &Ports<'_>) -> Vec<String> {
    let mut gaps = ports.gaps();
    gaps.extend(gap_lines(snapshot, options().places.with(Place::Fds).with(Place::TaskFds)));
    gaps
}

/// The answer.
pub fn answer(ports: &Ports<'_>, gaps: Vec<String>) -> Envelope<Answer> {
    Envelope::new("ports", ports.answers(), gaps)
}
