//! What a scan comes to in numbers.
//!
//! No label takes a value that a container can choose, and none is the number of a namespace or process: how many series
//! there are does not depend on the host.

use std::collections::BTreeMap;
use std::time::UNIX_EPOCH;

use lxkns_answers::Context;
use lxkns_answers::holders::Kind as HolderKind;
use lxkns_answers::orphans::{is_left_over, orphans};
use lxkns_answers::release::Advice;
use lxkns_core::model::{NamespaceType, Reader};
use lxkns_core::relations::charges;

use super::feed::EventFigures;
use super::scans::{BUCKETS, Figures, Scan};
use crate::exposition::{Family, Kind};

/// The figures of the newest scan, if there is one, and of all scans.
pub(crate) fn of(scan: Option<&Scan>, figures: Figures) -> Vec<Family> {
    let mut families = of_scans(figures);
    families.push(
        Family::new(Kind::Gauge, "lxkns_up", "Whether the host could be read")
            .with(&[], if scan.is_some() { 1.0 } else { 0.0 }),
    );
    if let Some(scan) = scan {
        families.extend(of_snapshot(scan));
    }
    families
}

fn of_scans(figures: Figures) -> Vec<Family> {
    let mut seconds = Family::new(Kind::Histogram, "lxkns_scan_duration_seconds", "Duration of scans that ended");
    let buckets: Vec<_> = BUCKETS.into_iter().zip(figures.counts).collect();
    seconds.push_histogram(&[], &buckets, figures.done, figures.seconds);
    let failures = Family::new(Kind::Counter, "lxkns_scan_failures", "Scans that ended without a snapshot")
        .with(&[("reason", "failed")], figures.failed as f64)
        .with(&[("reason", "timeout")], figures.timed_out as f64);
    let build =
        Family::new(Kind::Info, "lxkns_build", "The program").with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    vec![build, seconds, failures]
}

/// The figures of events.
pub(crate) fn of_events(figures: &EventFigures) -> Vec<Family> {
    let mut told = Family::new(Kind::Counter, "lxkns_events", "Events that were reported, by kind");
    for (kind, count) in &figures.told {
        told.push("", &[("kind", kind)], *count as f64);
    }
    let mut lost =
        Family::new(Kind::Counter, "lxkns_events_lost", "Events of tasks that are missing, by what was lost");
    lost.push("", &[("what", "event")], figures.lost as f64);
    lost.push("", &[("what", "namespaces")], figures.unread as f64);
    let clients = Family::new(Kind::Gauge, "lxkns_event_clients", "Clients that follow events");
    let dropped =
        Family::new(Kind::Counter, "lxkns_event_clients_dropped", "Clients that fell behind the events that are kept");
    vec![told, lost, clients.with(&[], figures.followers as f64), dropped.with(&[], figures.outrun as f64)]
}

fn of_snapshot(scan: &Scan) -> Vec<Family> {
    let snapshot = &scan.snapshot;
    let mut namespaces = Family::new(
        Kind::Gauge,
        "lxkns_namespaces",
        "Namespaces that were found, by type and by whether a process or task is in them",
    );
    let mut holders = Family::new(Kind::Gauge, "lxkns_holders", "What was seen to keep namespaces alive");
    let mut left =
        Family::new(Kind::Gauge, "lxkns_orphans", "Namespaces without a process or task, which nothing known needs");
    let context = Context::live(snapshot, false);
    let advice = Advice::of(context);
    let orphans = orphans(&advice, &[]);
    for ns_type in NamespaceType::ALL {
        let of_type = || snapshot.namespaces.values().filter(move |namespace| namespace.ns_type == ns_type);
        let name = ns_type.name();
        let without = of_type().filter(|namespace| namespace.is_without_tasks()).count();
        namespaces.push("", &[("type", name), ("state", "in-use")], (of_type().count() - without) as f64);
        namespaces.push("", &[("type", name), ("state", "without-tasks")], without as f64);
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for holder in of_type().flat_map(|namespace| &namespace.holders) {
            *kinds.entry(HolderKind::of(holder).name()).or_default() += 1;
        }
        for (kind, count) in kinds {
            holders.push("", &[("type", name), ("kind", kind)], count as f64);
        }
        let of_type = orphans.iter().filter(|(who, _)| who.is_leak()).flat_map(|(_, orphans)| orphans);
        let of_type = of_type.filter(|orphan| orphan.namespace.ns_type == ns_type && is_left_over(orphan));
        left.push("", &[("type", name)], of_type.count() as f64);
    }
    let help = "Namespaces that count towards the limits of the initial user namespace, of all users together";
    let mut charged = Family::new(Kind::Gauge, "lxkns_namespaces_charged", help);
    let mut users = snapshot.namespaces.values().filter(|namespace| namespace.ns_type == NamespaceType::User);
    let initial = users.find(|namespace| namespace.initial);
    if let Some(counts) = initial.and_then(|initial| charges(snapshot, initial.id)) {
        for (ns_type, count) in NamespaceType::ALL.into_iter().zip(counts) {
            charged.push("", &[("type", ns_type.name())], count as f64);
        }
    }
    let mut causes: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for gap in &snapshot.gaps {
        *causes.entry((gap.place.name(), gap.cause.name())).or_default() += 1;
    }
    let mut blind = Family::new(Kind::Gauge, "lxkns_gaps", "What could not be read, by place and cause");
    for ((place, cause), count) in causes {
        blind.push("", &[("place", place), ("cause", cause)], count as f64);
    }
    let used = match snapshot.reader {
        Some(Reader::Kernel) => "kernel",
        Some(Reader::Proc) => "proc",
        _ => "unknown",
    };
    let began = scan.began_at.duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
    let count = |name, help, count: usize| Family::new(Kind::Gauge, name, help).with(&[], count as f64);
    let mut families = vec![
        namespaces,
        holders,
        left,
        charged,
        count("lxkns_processes", "Processes that were found", snapshot.processes.len()),
        blind,
        Family::new(Kind::Info, "lxkns_reader", "Where tasks and open files were read from")
            .with(&[("reader", used)], 1.0),
        Family::new(Kind::Gauge, "lxkns_scan_timestamp_seconds", "When the scan of these figures began")
            .with(&[], began),
    ];
    if let Some(containers) = &snapshot.annotations.containers {
        families.push(count("lxkns_containers", "Containers that were recognized", containers.list.len()));
    }
    families
}
