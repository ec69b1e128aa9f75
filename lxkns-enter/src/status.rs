//! IDs and privileges of a process, from `/proc/PID/status`; `proc_pid_status(5)`.

use lxkns_core::model::{Capabilities, CapabilitySet, IdMapping, Seccomp, TaskState, Uids};

/// IDs and privileges of a process. IDs are those of the reader's user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) tgid: u32,
    pub(crate) tid: u32,
    pub(crate) parent: u32,
    state: TaskState,
    /// The blocked signals: bit 0 is signal 1.
    pub(crate) blocked: u64,
    /// Real, effective, saved.
    pub(crate) uids: [u32; 3],
    /// Likewise.
    pub(crate) gids: [u32; 3],
    pub(crate) groups: Vec<u32>,
    pub(crate) capabilities: Capabilities,
    pub(crate) no_new_privs: bool,
    /// Whether seccomp is on; `None` if the kernel does not say.
    pub(crate) seccomp: Option<bool>,
}

impl Status {
    /// Reads the text of a `status`; `None` if it lacks a line that every kernel writes, or is malformed.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let status = lxkns_core::parse::status(text).ok()?;
        let Uids { real, effective, saved, .. } = status.process.uids;
        let [gids @ .., _] = status.gids?;
        Some(Self {
            tgid: status.tgid?.0,
            tid: status.tid?.0,
            parent: status.ppid?.0,
            state: status.state?,
            blocked: status.blocked_signals?,
            uids: [real.0, effective.0, saved.0],
            gids,
            groups: status.groups?,
            capabilities: status.process.capabilities,
            no_new_privs: status.process.no_new_privs == Some(true),
            seccomp: status.process.seccomp.map(|mode| mode != Seccomp::None),
        })
    }

    /// Whether this process has fewer privileges than the other, by its capabilities, `no_new_privs` and seccomp.
    pub(crate) fn is_weaker_than(&self, other: &Self) -> bool {
        let lacks =
            |set: fn(&Capabilities) -> CapabilitySet| !set(&self.capabilities).contains(set(&other.capabilities));
        lacks(|sets| sets.permitted)
            || lacks(|sets| sets.bounding)
            || self.no_new_privs && !other.no_new_privs
            || self.seccomp == Some(true) && other.seccomp != Some(true)
    }

    /// Whether both have the same IDs and privileges.
    pub(crate) fn has_powers_of(&self, other: &Self) -> bool {
        let powers = |status: &Self| {
            (status.uids, status.gids, status.groups.clone(), status.capabilities, status.no_new_privs, status.seccomp)
        };
        powers(self) == powers(other)
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.state.is_dead()
    }
}

/// An ID as the user namespace with this map has it; `None` if it is not mapped.
pub(crate) fn inside(map: &[IdMapping], id: u32) -> Option<u32> {
    map.iter().find_map(|mapping| mapping.to_inside(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn powers_are_read_and_a_name_is_no_line() {
        let text = b"Name:\tx\\nUid:\t9 9 9 9\nState:\tS (sleeping)\nTgid:\t7\nPid:\t7\nPPid:\t1\nSigBlk:\t0\nUid:\t1\t2\t3\t4\n\
            Gid:\t5\t6\t7\t8\nGroups:\t10 20 \nCapInh:\t0\nCapPrm:\t1ff\nCapEff:\t1\nCapBnd:\t1ff\nNoNewPrivs:\t1\nSeccomp:\t2\n";
        let status = Status::parse(text).unwrap();
        assert_eq!((status.uids, status.gids, &status.groups[..]), ([1, 2, 3], [5, 6, 7], &[10, 20][..]));
        assert_eq!((status.capabilities.permitted.bits(), status.capabilities.ambient.bits()), (0x1ff, 0));
        assert!(status.no_new_privs && status.seccomp == Some(true) && !status.is_dead());
        assert_eq!(Status::parse(b"Name:\tx\n"), None);
        for line in ["Tgid:", "PPid:", "State:", "SigBlk:", "Gid:", "Groups:"] {
            let lines = text.split_inclusive(|&byte| byte == b'\n').filter(|text| !text.starts_with(line.as_bytes()));
            assert_eq!(Status::parse(&lines.collect::<Vec<_>>().concat()), None, "without {line}");
        }
    }

    #[test]
    fn ids_are_translated_where_they_are_mapped() {
        let map =
            lxkns_core::parse::id_map(b"         0     100000      65536\n     70000          5          1\n").unwrap();
        assert_eq!(inside(&map, 100_000), Some(0));
        assert_eq!(inside(&map, 165_535), Some(65_535));
        assert_eq!(inside(&map, 165_536), None);
        assert_eq!(inside(&map, 5), Some(70_000));
        assert_eq!(inside(&map, 0), None);
        let whole = lxkns_core::parse::id_map(b"0 0 4294967295\n").unwrap();
        assert_eq!(inside(&whole, 4_294_967_294), Some(4_294_967_294));
    }
}
