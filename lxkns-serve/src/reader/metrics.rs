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
use lxkns_core::model::{Namespace, NamespaceId, NamespaceType, Place, Reader};
use lxkns_core::relations::{charges, members_seen};

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
    let help = "Duration of scans that ended";
    let mut seconds = Family::new(Kind::Histogram, "lxkns_scan_duration_seconds", help).of_start();
    let buckets: Vec<_> = BUCKETS.into_iter().zip(figures.counts).collect();
    seconds.push_histogram(&[], &buckets, figures.done, figures.seconds);
    let failures = Family::new(Kind::Counter, "lxkns_scan_failures", "Scans that ended without a snapshot")
        .with(&[("reason", "failed")], figures.failed as f64)
        .with(&[("reason", "timeout")], figures.timed_out as f64);
    vec![seconds, failures.of_start()]
}

/// The figures of events.
pub(crate) fn of_events(figures: &EventFigures) -> Vec<Family> {
    let mut told = Family::new(Kind::Counter, "lxkns_events", "Events that were reported, by kind").of_start();
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
    let dropped = dropped.with(&[], figures.outrun as f64).of_start();
    vec![told, lost.of_start(), clients.with(&[], figures.followers as f64), dropped]
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
    let help = "Namespaces that would be orphans if no process or task that could not be seen is in them";
    let mut may_be_left = Family::new(Kind::Gauge, "lxkns_orphans_possible", help);
    let context = Context::live(snapshot, false);
    let advice = Advice::of(context);
    let orphans = orphans(&advice, &[]);
    // Where a process could not be read, one more namespace could have been found.
    let another = Namespace::new(NamespaceId { dev: 0, ino: 0 }, NamespaceType::Uts);
    let is_zero_known = members_seen(snapshot, &another);
    for ns_type in NamespaceType::ALL {
        let of_type = || snapshot.namespaces.values().filter(move |namespace| namespace.ns_type == ns_type);
        let name = ns_type.name();
        let (without, used): (Vec<_>, Vec<_>) = of_type().partition(|namespace| namespace.is_without_tasks());
        // Of those that may have some that could not be seen, neither is known.
        let known = without.iter().filter(|namespace| members_seen(snapshot, namespace)).count();
        let states = [("in-use", used.len()), ("without-tasks", known), ("unknown", without.len() - known)];
        let is_told = |count: usize| count > 0 || is_zero_known;
        for (state, of_state) in states {
            if is_told(of_state) {
                namespaces.push("", &[("type", name), ("state", state)], of_state as f64);
            }
        }
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for holder in of_type().flat_map(|namespace| &namespace.holders) {
            *kinds.entry(HolderKind::of(holder).name()).or_default() += 1;
        }
        for (kind, count) in kinds {
            holders.push("", &[("type", name), ("kind", kind)], count as f64);
        }
        let of_type = orphans.iter().filter(|(who, _)| who.is_leak()).flat_map(|(_, orphans)| orphans);
        let of_type = of_type.filter(|orphan| orphan.namespace.ns_type == ns_type);
        let (certain, possible): (Vec<_>, Vec<_>) = of_type.partition(|orphan| is_left_over(orphan));
        for (family, orphans) in [(&mut left, certain), (&mut may_be_left, possible)] {
            if is_told(orphans.len()) {
                family.push("", &[("type", name)], orphans.len() as f64);
            }
        }
    }
    let help = "Namespaces that count towards the limits of the initial user namespace, of all users together";
    let mut charged = Family::new(Kind::Gauge, "lxkns_namespaces_charged", help);
    let mut users = snapshot.namespaces.values().filter(|namespace| namespace.ns_type == NamespaceType::User);
    let initial = users.find(|namespace| namespace.initial);
    if let Some(counts) = initial.and_then(|initial| charges(snapshot, initial.id)) {
        for (ns_type, count) in NamespaceType::ALL.into_iter().zip(counts) {
            if count > 0 || is_zero_known {
                charged.push("", &[("type", ns_type.name())], count as f64);
            }
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
        may_be_left,
        charged,
        count("lxkns_processes", "Processes that were found", snapshot.processes.len()),
        blind,
        Family::new(Kind::Info, "lxkns_reader", "Where tasks and open files were read from")
            .with(&[("reader", used)], 1.0),
        Family::new(Kind::Gauge, "lxkns_scan_timestamp_seconds", "When the scan of these figures began")
            .with(&[], began),
    ];
    let is_blind = snapshot.gaps.iter().any(|gap| gap.place == Place::Containers);
    if let Some(containers) = snapshot.annotations.containers.as_ref().filter(|all| !all.list.is_empty() || !is_blind) {
        families.push(count("lxkns_containers", "Containers that were recognized", containers.list.len()));
    }
    families
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::{Duration, Instant, SystemTime};

    use lxkns_core::Snapshot;
    use lxkns_core::model::{DiscoveryOptions, Errno, Gap, Host, Namespace, NamespaceId, Object, Operation, Pid};

    use super::*;

    /// The series of a snapshot with one network namespace without tasks, with these gaps.
    fn told(gaps: Vec<Gap>) -> Vec<String> {
        let options = DiscoveryOptions::everything();
        let mut snapshot = Snapshot::empty(options, Host::default(), SystemTime::UNIX_EPOCH);
        let id = NamespaceId { dev: 4, ino: 4_026_532_000 };
        snapshot.namespaces.insert(id, Namespace::new(id, NamespaceType::Net));
        snapshot.gaps = gaps;
        let snapshot = Arc::new(snapshot);
        let (began, began_at, took) = (Instant::now(), SystemTime::UNIX_EPOCH, Duration::ZERO);
        let scan = Scan { number: 1, snapshot, began, took, began_at };
        let text = crate::exposition::write(&of_snapshot(&scan), crate::exposition::Form::Prometheus);
        text.lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    #[test]
    fn zero_is_said_only_where_it_is_known() {
        const NET: [&str; 4] = [
            "lxkns_namespaces{type=\"net\",state=\"without-tasks\"}",
            "lxkns_namespaces{type=\"net\",state=\"unknown\"}",
            "lxkns_orphans{type=\"net\"}",
            "lxkns_orphans_possible{type=\"net\"}",
        ];
        const UTS: &str = "lxkns_orphans{type=\"uts\"}";
        let value = |told: &[String], series: &str| {
            told.iter().find_map(|line| line.strip_prefix(series)?.trim().parse::<f64>().ok())
        };
        let seen = told(Vec::new());
        assert_eq!(NET.map(|series| value(&seen, series)), [Some(1.0), Some(0.0), Some(1.0), Some(0.0)], "{seen:?}");
        assert_eq!(value(&seen, UTS), Some(0.0));
        let denied = Errno::new(13).unwrap();
        let hidden = Gap::failed(Place::Processes, Object::Process(Pid(4000)), Operation::OPEN, denied);
        let blind = told(vec![hidden.unwrap()]);
        assert_eq!(NET.map(|series| value(&blind, series)), [None, Some(1.0), None, Some(1.0)], "{blind:?}");
        assert_eq!(value(&blind, UTS), None);
    }
}
