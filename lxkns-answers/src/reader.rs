//! Where processes were read from, and why not from the kernel's iterators.

use lxkns_model::{CapabilitySet, Cause, Gap, NotKernel, Operation, Place, Reader, Snapshot};
use serde::Serialize;

use crate::gaps;
use crate::text::escape::printable;

/// Where processes, tasks and their open files were read from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ReaderLine {
    /// The reader that was used; `null` where a dump does not say.
    #[serde(rename = "source")]
    pub used: Option<Reader>,
    /// Why the kernel reader was not used; `null` where it was, or where that is not known.
    pub why_not_kernel: Option<String>,
}

/// Where this snapshot was read from.
pub fn line(snapshot: &Snapshot) -> ReaderLine {
    let why_not_kernel = match &snapshot.not_kernel {
        Some(NotKernel::NotAsked) => Some("procfs was requested".to_owned()),
        Some(NotKernel::FewProcesses) => Some("there are few processes, and procfs is as fast".to_owned()),
        Some(NotKernel::Refused(gap)) => Some(words(snapshot, gap)),
        _ => refusal(snapshot),
    };
    ReaderLine { used: snapshot.reader, why_not_kernel }
}

/// Why the kernel reader, which was asked for or had been used, could not be used.
pub fn refusal(snapshot: &Snapshot) -> Option<String> {
    snapshot.gaps.iter().find(|gap| gap.place == Place::Reader).map(|gap| words(snapshot, gap))
}

fn words(snapshot: &Snapshot, gap: &Gap) -> String {
    why(gap, gaps::held(snapshot))
}

/// Why the kernel does not take a program, or does not describe itself.
pub(crate) fn why(gap: &Gap, held: CapabilitySet) -> String {
    let needs = CapabilitySet::BPF | CapabilitySet::PERFMON;
    let operation = printable(gap.operation.to_string());
    let tried = gap.errno.map_or_else(|| format!("({operation})"), |errno| format!("({operation}: {errno})"));
    match gap.cause {
        Cause::Denied if !held.contains(needs) && !held.contains(CapabilitySet::SYS_ADMIN) => {
            format!("needs {} {tried}", gaps::and(&needs.names()))
        }
        Cause::Denied => format!("denied by lockdown or a filter of system calls {tried}"),
        Cause::Unsupported if matches!(gap.operation, Operation::Call(_)) => {
            format!("not in this kernel, or denied by lockdown or a filter of system calls {tried}")
        }
        Cause::Unsupported => format!("not in this kernel {tried}"),
        cause => format!("{cause} {tried}"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use lxkns_model::{Call, DiscoveryOptions, Errno, Host, Object, Observer, Uid};

    use super::*;

    fn refused(capabilities: CapabilitySet, cause: Cause, errno: i32) -> Option<String> {
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
        let mut observer = Observer::new(Uid(0), capabilities);
        observer.user_ns = Some(lxkns_model::NamespaceId { ino: 0xefff_fffd, dev: 4 });
        snapshot.observer = Some(observer);
        let mut gap = Gap::because(Place::Reader, Object::Host, Call::Bpf.into(), cause);
        gap.errno = Errno::new(errno);
        snapshot.gaps.push(gap);
        refusal(&snapshot)
    }

    #[test]
    fn a_choice_says_why() {
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::UNIX_EPOCH);
        snapshot.reader = Some(Reader::Proc);
        let gap = Gap::because(Place::Reader, Object::Host, Operation::read("x"), Cause::Unsupported);
        for (not_kernel, words) in [
            (None, None),
            (Some(NotKernel::NotAsked), Some("procfs was requested")),
            (Some(NotKernel::FewProcesses), Some("there are few processes, and procfs is as fast")),
            (Some(NotKernel::Refused(gap)), Some("not in this kernel (read x)")),
        ] {
            snapshot.not_kernel = not_kernel;
            assert_eq!(line(&snapshot).why_not_kernel.as_deref(), words);
            assert_eq!(refusal(&snapshot), None, "nobody has asked for it");
        }
    }

    #[test]
    fn a_refusal_names_what_would_help() {
        let none = CapabilitySet::default();
        assert_eq!(refused(none, Cause::Denied, 1).as_deref(), Some("needs CAP_PERFMON and CAP_BPF (bpf: EPERM)"));
        assert_eq!(
            refused(CapabilitySet::SYS_ADMIN, Cause::Denied, 1).as_deref(),
            Some("denied by lockdown or a filter of system calls (bpf: EPERM)")
        );
        assert_eq!(
            refused(none, Cause::Unsupported, 38).as_deref(),
            Some("not in this kernel, or denied by lockdown or a filter of system calls (bpf: ENOSYS)")
        );
    }
}
