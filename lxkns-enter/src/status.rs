//! What `/proc/PID/status` says of a process's powers; `proc_pid_status(5)`.

use lxkns_core::model::{Capabilities, CapabilitySet, IdMapping};

/// The powers of a process. IDs are as the reader's user namespace knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Status {
    pub(crate) tgid: u32,
    pub(crate) pid: u32,
    pub(crate) parent: u32,
    state: u8,
    /// The mask of blocked signals, a bit for each from 1 on.
    pub(crate) blocked: u64,
    /// Real, effective, saved.
    pub(crate) uids: [u32; 3],
    /// Likewise.
    pub(crate) gids: [u32; 3],
    pub(crate) groups: Vec<u32>,
    pub(crate) capabilities: Capabilities,
    pub(crate) no_new_privs: bool,
    /// Whether there are filters of system calls; `None` where the kernel does not say.
    pub(crate) seccomp: Option<bool>,
}

/// A line of the text, without its name. No name of a process can pass for one: the kernel escapes newlines.
pub(crate) fn line<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

impl Status {
    /// Reads the text.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(text);
        let line = |name: &str| line(&text, name);
        let numbers = |name| -> Option<Vec<u32>> { line(name)?.split_whitespace().map(|id| id.parse().ok()).collect() };
        let three = |name| numbers(name)?.get(..3)?.try_into().ok();
        let set = |name| u64::from_str_radix(line(name)?, 16).ok();
        let capabilities = |name| set(name).map(CapabilitySet::from_bits);
        Some(Self {
            tgid: line("Tgid")?.parse().ok()?,
            pid: line("Pid")?.parse().ok()?,
            parent: line("PPid")?.parse().ok()?,
            state: *line("State")?.as_bytes().first()?,
            blocked: set("SigBlk")?,
            uids: three("Uid")?,
            gids: three("Gid")?,
            groups: numbers("Groups")?,
            capabilities: Capabilities {
                inheritable: capabilities("CapInh")?,
                permitted: capabilities("CapPrm")?,
                effective: capabilities("CapEff")?,
                bounding: capabilities("CapBnd")?,
                ambient: capabilities("CapAmb").unwrap_or_default(),
            },
            no_new_privs: line("NoNewPrivs").is_some_and(|value| value != "0"),
            seccomp: line("Seccomp").map(|value| value != "0"),
        })
    }

    /// Whether this process may not do all that the other may, by its capabilities and filters of system calls.
    pub(crate) fn is_weaker_than(&self, other: &Self) -> bool {
        let lacks =
            |set: fn(&Capabilities) -> CapabilitySet| !set(&self.capabilities).contains(set(&other.capabilities));
        lacks(|sets| sets.permitted)
            || lacks(|sets| sets.bounding)
            || self.no_new_privs && !other.no_new_privs
            || self.seccomp == Some(true) && other.seccomp != Some(true)
    }

    /// Whether it is who that one is, and may do the same.
    pub(crate) fn has_powers_of(&self, other: &Self) -> bool {
        let powers = |status: &Self| {
            (status.uids, status.gids, status.groups.clone(), status.capabilities, status.no_new_privs, status.seccomp)
        };
        powers(self) == powers(other)
    }

    pub(crate) fn is_dead(&self) -> bool {
        matches!(self.state, b'Z' | b'X' | b'x')
    }
}

/// Reads a `uid_map` or `gid_map`.
pub(crate) fn id_map(text: &[u8]) -> Option<Vec<IdMapping>> {
    let text = std::str::from_utf8(text).ok()?;
    let line = |line: &str| {
        let mut fields = line.split_whitespace().map(|field| field.parse().ok());
        Some(IdMapping { inside: fields.next()??, outside: fields.next()??, count: fields.next()?? })
    };
    text.lines().map(line).collect()
}

/// What the user namespace of this map calls an ID.
pub(crate) fn inside(map: &[IdMapping], id: u32) -> Option<u32> {
    let mapping = map.iter().find(|mapping| id.checked_sub(mapping.outside).is_some_and(|at| at < mapping.count))?;
    mapping.inside.checked_add(id - mapping.outside)
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
    }

    #[test]
    fn ids_are_translated_where_they_are_mapped() {
        let map = id_map(b"         0     100000      65536\n     70000          5          1\n").unwrap();
        assert_eq!(inside(&map, 100_000), Some(0));
        assert_eq!(inside(&map, 165_535), Some(65_535));
        assert_eq!(inside(&map, 165_536), None);
        assert_eq!(inside(&map, 5), Some(70_000));
        assert_eq!(inside(&map, 0), None);
        assert_eq!(id_map(b"1 2\n"), None);
        let whole = id_map(b"0 0 4294967295\n").unwrap();
        assert_eq!(inside(&whole, 4_294_967_294), Some(4_294_967_294));
    }
}
