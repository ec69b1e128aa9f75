//! Where task events come from, and why not from a better source.

use lxkns_model::{CapabilitySet, Cause, EventRefusal, EventSource, Gap, Object, Place};
use serde::Serialize;

use crate::reader;

/// Where task events come from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct EventsLine {
    /// The source: `bpf` or `connector`; `null` where there is none.
    #[serde(rename = "source")]
    pub used: Option<&'static str>,
    /// Why not a better one, or why none.
    pub why_not: Vec<RefusedSource>,
}

/// A source that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct RefusedSource {
    /// Which: `bpf`, `connector` or `system-calls` (those of `setns(2)` and `unshare(2)`).
    pub source: &'static str,
    /// Why.
    pub why: String,
}

/// Where events come from, for a caller with these capabilities.
pub fn line(used: Option<EventSource>, refusals: &[EventRefusal], held: CapabilitySet) -> EventsLine {
    let why_not = refusals.iter().map(|of| RefusedSource { source: name(of.source), why: why(of, held) }).collect();
    EventsLine { used: used.map(name), why_not }
}

/// A sentence for a caller with these capabilities, to be printed one time; `None` for the best source.
pub fn shortcoming(used: Option<EventSource>, refusals: &[EventRefusal], held: CapabilitySet) -> Option<String> {
    let reasons: Vec<_> = refusals.iter().map(|of| format!("{}: {}", of.source, why(of, held))).collect();
    let reasons = (!reasons.is_empty()).then(|| reasons.join("; "))?;
    Some(match used {
        Some(EventSource::Connector) => {
            format!("task events come from the process connector, which can miss short-lived namespaces; {reasons}")
        }
        Some(_) => format!("some task events are missing; {reasons}"),
        None => format!("no task events, so scans are at the interval only; {reasons}"),
    })
}

fn name(source: EventSource) -> &'static str {
    match source {
        EventSource::Bpf => "bpf",
        EventSource::Connector => "connector",
        EventSource::SystemCalls => "system-calls",
        _ => "other",
    }
}

/// Why a caller with these capabilities cannot use a source.
pub fn why(refusal: &EventRefusal, held: CapabilitySet) -> String {
    let errno = refusal.errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
    let needs_initial = || "needs the initial user, PID and network namespaces".to_owned();
    if refusal.cause == Cause::OtherPidNamespace {
        return "the procfs belongs to another PID namespace".to_owned();
    }
    if refusal.source != EventSource::Connector {
        let mut gap = Gap::because(Place::Reader, Object::Host, refusal.operation.clone(), refusal.cause);
        gap.errno = refusal.errno;
        return reader::why(&gap, held);
    }
    /// There is no such protocol; the kernel does not listen in this network namespace.
    const EPROTONOSUPPORT: i32 = 93;
    const ECONNREFUSED: i32 = 111;
    match (refusal.cause, refusal.errno.map(|errno| errno.number())) {
        (Cause::Denied, _) if !held.contains(CapabilitySet::NET_ADMIN) => format!("needs CAP_NET_ADMIN{errno}"),
        (Cause::Denied, None) | (_, Some(ECONNREFUSED)) => needs_initial(),
        (Cause::Denied, Some(_)) => format!("denied{errno}"),
        (Cause::Unsupported, _) | (_, Some(EPROTONOSUPPORT)) => {
            format!("not in this kernel, or denied by a filter of system calls{errno}")
        }
        (cause, _) => format!("{cause}{errno}"),
    }
}

#[cfg(test)]
mod tests {
    use lxkns_model::{Call, Errno, Operation};

    use super::*;

    fn refused(source: EventSource, cause: Cause, errno: Option<i32>) -> EventRefusal {
        let operation = if source == EventSource::Bpf { Call::Bpf.into() } else { Operation::open("x") };
        EventRefusal { source, operation, cause, errno: errno.and_then(Errno::new) }
    }

    #[test]
    fn what_is_missing_is_named() {
        let bpf = refused(EventSource::Bpf, Cause::Denied, Some(1));
        let connector = refused(EventSource::Connector, Cause::Denied, Some(1));
        let none = CapabilitySet::default();
        assert_eq!(
            shortcoming(None, &[bpf.clone(), connector.clone()], none).unwrap(),
            "no task events, so scans are at the interval only; BPF: needs CAP_PERFMON and CAP_BPF (bpf: EPERM); the process \
             connector: needs CAP_NET_ADMIN (EPERM)"
        );
        assert!(shortcoming(Some(EventSource::Connector), &[bpf], none).unwrap().contains("short-lived"));
        assert_eq!(shortcoming(Some(EventSource::Bpf), &[], none), None);
        let held = CapabilitySet::NET_ADMIN;
        assert_eq!(why(&connector, held), "denied (EPERM)");
        for (cause, errno) in [(Cause::Denied, None), (Cause::Other, Some(111))] {
            let why = why(&refused(EventSource::Connector, cause, errno), held);
            assert_eq!(why, "needs the initial user, PID and network namespaces");
        }
        let unsupported = why(&refused(EventSource::Connector, Cause::Other, Some(93)), held);
        assert_eq!(unsupported, "not in this kernel, or denied by a filter of system calls (EPROTONOSUPPORT)");
        let line = line(Some(EventSource::Connector), &[connector], none);
        assert_eq!((line.used, line.why_not[0].source), (Some("connector"), "connector"));
    }
}
