//! The capabilities of the service's own processes: how each process gets them, and what missing ones would show.
//!
//! An ordinary user gets them from the program's file (`security.capability`), as permitted ones only: a file that makes
//! them effective cannot be run at all where one is not in the bounding set (`EPERM`). So each process makes them effective
//! itself. Programs that it runs from memory have no such file, and get them as ambient ones.

use lxkns_core::OWN_PROGRAM;
use lxkns_core::ProcRoot;
use lxkns_core::model::{CapabilitySet, NamespaceType};
use rustix::fs::AtFlags;
use rustix::thread::{CapabilitySet as Set, CapabilitySets};
use schemars::JsonSchema;
use serde::Serialize;

/// What each capability adds to what the service shows.
const ADDS: [(CapabilitySet, &str); 8] = [
    (CapabilitySet::SYS_PTRACE, "the namespaces and root directories of other users' processes"),
    (CapabilitySet::DAC_READ_SEARCH, "open files of other users' processes, and files of container engines"),
    (
        CapabilitySet::SYS_ADMIN,
        "the kernel's own lists of namespaces, mounts of all mount namespaces, and what only a process inside can read",
    ),
    (CapabilitySet::SYS_CHROOT, "namespaces that are mounted in other mount namespaces, which the helper enters"),
    (CapabilitySet::DAC_OVERRIDE, "what container engines answer on their sockets"),
    (
        CapabilitySet::NET_ADMIN,
        "the network namespaces of sockets and TUN/TAP files, and links of all network namespaces",
    ),
    (CapabilitySet::BPF, "with CAP_PERFMON, the kernel's iterators and task events"),
    (CapabilitySet::PERFMON, "with CAP_BPF, the kernel's iterators and task events"),
];

/// A capability that the service lacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub(crate) struct Missing {
    /// Its name.
    pub(crate) capability: String,
    /// What it would add.
    pub(crate) adds: &'static str,
    /// Why it is missing.
    pub(crate) reason: &'static str,
}

/// What a process was given when it was started.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Powers {
    held: CapabilitySet,
    bounding: CapabilitySet,
    /// Those that the program's file gives.
    of_file: CapabilitySet,
    no_new_privs: bool,
    is_root: bool,
    is_in_initial_user_namespace: bool,
}

/// Makes all permitted capabilities effective, and those of an ordinary user ambient, so programs run from memory have
/// them. It must be the only thread.
pub(crate) fn take() {
    change(|sets| sets.effective = sets.permitted);
}

/// Keeps an ordinary user's capabilities for the processes that this one starts, and uses none itself.
pub(crate) fn hold() {
    if !rustix::process::geteuid().is_root() {
        change(|sets| sets.effective = Set::empty());
    }
}

fn change(how: impl FnOnce(&mut CapabilitySets)) {
    let Ok(mut sets) = rustix::thread::capabilities(None) else { return };
    how(&mut sets);
    // Nothing is added to what is permitted.
    let _ = rustix::thread::set_capabilities(None, sets);
    if rustix::process::geteuid().is_root() {
        return;
    }
    sets.inheritable |= sets.permitted;
    // What is not in the bounding set cannot be inherited.
    if rustix::thread::set_capabilities(None, sets).is_err() {
        return;
    }
    for capability in sets.permitted.iter() {
        // Securebits can forbid that. Then what the programs cannot do is a gap.
        let _ = rustix::thread::configure_capability_in_ambient_set(capability, true);
    }
}

impl Powers {
    /// Those of this process, which has not set `no_new_privs` itself yet.
    pub(crate) fn of_this_process(proc: &ProcRoot) -> Self {
        let bits = |set: Set| CapabilitySet::from_bits(set.bits());
        let effective = rustix::thread::capabilities(None).map_or(Set::empty(), |sets| sets.effective);
        let is_bounding = |&set: &Set| rustix::thread::capability_is_in_bounding_set(set).unwrap_or(false);
        let bounding = Set::all().iter().filter(is_bounding).fold(Set::empty(), |all, one| all | one);
        let user = rustix::fs::statat(proc, "self/ns/user", AtFlags::empty());
        Self {
            held: bits(effective),
            bounding: bits(bounding),
            of_file: of_file(),
            no_new_privs: rustix::thread::no_new_privs().unwrap_or(false),
            is_root: rustix::process::geteuid().is_root(),
            // Where that is not known, it is no reason.
            is_in_initial_user_namespace: user.is_ok_and(|user| user.st_ino == NamespaceType::User.initial_inode()),
        }
    }

    /// The capabilities that would show more, each with whether it is missing.
    pub(crate) fn useful(self) -> impl Iterator<Item = (&'static str, CapabilitySet, bool)> {
        let held = if self.is_in_initial_user_namespace { self.held } else { CapabilitySet::NONE };
        // It implies both.
        let implied = CapabilitySet::BPF.union(CapabilitySet::PERFMON);
        let held = if held.contains(CapabilitySet::SYS_ADMIN) { held.union(implied) } else { held };
        ADDS.into_iter().map(move |(capability, adds)| (adds, capability, !held.contains(capability)))
    }

    /// Those that are missing.
    pub(crate) fn missing(self) -> Vec<Missing> {
        let missing = self.useful().filter(|(.., is_missing)| *is_missing);
        let of = |(adds, capability, _): (_, CapabilitySet, _)| Missing {
            capability: capability.names().concat(),
            adds,
            reason: self.reason(capability),
        };
        missing.map(of).collect()
    }

    /// Why it is missing.
    fn reason(self, capability: CapabilitySet) -> &'static str {
        if !self.is_in_initial_user_namespace {
            "the service is not in the host's user namespace"
        } else if !self.bounding.contains(capability) {
            "it is not in the bounding set: add it where the service is started (Docker: --cap-add, Kubernetes: \
             capabilities.add, systemd: CapabilityBoundingSet=)"
        } else if self.no_new_privs && self.of_file.contains(capability) {
            "no_new_privs is set, so the kernel ignores the capabilities of the program's file: do not set it (Docker: \
             no-new-privileges, Kubernetes: allowPrivilegeEscalation: false)"
        } else if self.of_file.contains(capability) {
            "the program's file has it, and the kernel ignores that: the file system is mounted with nosuid, or the \
             process is traced"
        } else if self.is_root {
            "root has given it up"
        } else {
            "neither the program's file (setcap CAPABILITY=p) nor the program that starts it (systemd: \
            AmbientCapabilities=) gives it to this user"
        }
    }
}

/// The permitted capabilities of the program's file.
fn of_file() -> CapabilitySet {
    let mut value = [0; 24];
    let length = rustix::fs::getxattr(OWN_PROGRAM, c"security.capability", &mut value[..]).unwrap_or(0);
    permitted(&value[..length])
}

/// The permitted ones of the value of `security.capability`: `struct vfs_cap_data` of `linux/capability.h`.
fn permitted(value: &[u8]) -> CapabilitySet {
    let word = |at: usize| value.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes);
    CapabilitySet::from_bits(u64::from(word(4)) | u64::from(word(12)) << 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIVE: u64 = 1 << 1 | 1 << 2 | 1 << 18 | 1 << 19 | 1 << 21;

    fn powers(held: u64) -> Powers {
        Powers {
            held: CapabilitySet::from_bits(held),
            bounding: CapabilitySet::ALL,
            of_file: CapabilitySet::from_bits(FIVE),
            no_new_privs: false,
            is_root: false,
            is_in_initial_user_namespace: true,
        }
    }

    #[test]
    fn what_another_implies_is_not_missing() {
        let names = |held| powers(held).missing().into_iter().map(|missing| missing.capability).collect::<Vec<_>>();
        assert_eq!(names(FIVE), ["CAP_NET_ADMIN"]);
        assert_eq!(names(FIVE & !(1 << 21)), ["CAP_SYS_ADMIN", "CAP_NET_ADMIN", "CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(names(0).len(), ADDS.len());
        assert_eq!(names(u64::MAX), [""; 0]);
    }

    #[test]
    fn each_reason_is_told_apart() {
        let reason = |powers: Powers| powers.missing()[0].reason;
        let none = powers(0);
        let begins = |powers: Powers, text: &str| assert!(reason(powers).starts_with(text), "{}", reason(powers));
        begins(
            Powers { is_in_initial_user_namespace: false, held: CapabilitySet::ALL, ..none },
            "the service is not in",
        );
        begins(Powers { bounding: CapabilitySet::NONE, ..none }, "it is not in the bounding set");
        begins(Powers { no_new_privs: true, ..none }, "no_new_privs is set");
        begins(none, "the program's file has it");
        begins(Powers { of_file: CapabilitySet::NONE, ..none }, "neither the program's file");
        begins(Powers { of_file: CapabilitySet::NONE, is_root: true, ..none }, "root has given it up");
    }

    #[test]
    fn capabilities_of_a_file_are_read_as_the_kernel_writes_them() {
        // `setcap cap_sys_ptrace,cap_bpf=p`, version 2 without the effective flag.
        let mut value = [0; 20];
        value[..4].copy_from_slice(&0x0200_0000_u32.to_le_bytes());
        value[4..8].copy_from_slice(&(1_u32 << 19).to_le_bytes());
        value[12..16].copy_from_slice(&(1_u32 << 7).to_le_bytes());
        assert_eq!(permitted(&value), CapabilitySet::SYS_PTRACE.union(CapabilitySet::BPF));
        assert_eq!(permitted(&[]), CapabilitySet::NONE);
    }
}
