//! What the programs write: one record for each task, one for each file of interest. In the kernel's byte order.

use std::num::NonZeroU64;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use crate::model::{Capabilities, CapabilitySet, Seccomp, Uid, Uids};

/// Magic numbers of file systems (`include/uapi/linux/magic.h`).
pub(crate) const NSFS: u32 = 0x6e73_6673;
pub(crate) const SOCKFS: u32 = 0x534f_434b;
pub(crate) const PROC: u32 = 0x9fa0;
pub(crate) const CGROUP: u32 = 0x0027_e0eb;
pub(crate) const CGROUP2: u32 = 0x6367_7270;
pub(crate) const ANON_INODE: u32 = 0x0904_1934;
pub(crate) const PIDFS: u32 = 0x5049_4446;
/// No magic number: stands for a TUN/TAP file, on whatever file system its device is.
pub(crate) const TUN: u32 = 1;

/// The bytes of a task's record.
pub(super) const TASK: usize = 128;
/// The bytes of a task's record with its powers and numbers.
pub(super) const TASK_AND_STATUS: usize = 288;
/// The bytes of a file's record.
pub(super) const FILE: usize = 48;

/// The bytes of a namespace's record.
pub(super) const NAMESPACE: usize = 40;

/// Where the fields of a namespace's record are.
pub(super) mod namespace {
    pub(crate) const INUM: i16 = 0;
    /// The flag of `clone(2)` for its type.
    pub(crate) const TYPE: i16 = 4;
    /// The inode number of the user namespace that owns it; of a user namespace, of its parent.
    pub(crate) const OWNER: i16 = 8;
    pub(crate) const REFERENCES: i16 = 12;
    /// That of the parent of a PID namespace.
    pub(crate) const PARENT: i16 = 16;
    /// The UID that created a user namespace.
    pub(crate) const OWNER_UID: i16 = 20;
    /// In place of these two: one more than the number of the last change of a mount namespace.
    pub(crate) const CHANGED: i16 = PARENT;
    pub(crate) const UNIQUE_ID: i16 = 24;
    /// Where its structure is in the kernel's memory.
    pub(crate) const ADDRESS: i16 = 32;
}

/// Where the fields of a task's record are.
pub(super) mod task {
    pub(crate) const TGID: i16 = 0;
    pub(crate) const TID: i16 = 4;
    /// The TID in the reader's PID namespace.
    pub(crate) const NUMBER: i16 = 8;
    /// The TGID of the parent.
    pub(crate) const PARENT: i16 = 12;
    /// In nanoseconds since boot.
    pub(crate) const STARTED: i16 = 16;
    /// Which descriptor table it is; 0 for none.
    pub(crate) const FILES: i16 = 24;
    pub(crate) const COMM: i16 = 32;
    pub(crate) const FLAGS: i16 = 48;
    pub(crate) const STATE: i16 = 52;
    pub(crate) const EXIT_STATE: i16 = 56;
    /// The inode numbers of namespaces, from here on.
    pub(crate) const MNT: i16 = 64;
    pub(crate) const CGROUP: i16 = 68;
    pub(crate) const UTS: i16 = 72;
    pub(crate) const IPC: i16 = 76;
    pub(crate) const USER: i16 = 80;
    pub(crate) const PID: i16 = 84;
    pub(crate) const NET: i16 = 88;
    pub(crate) const TIME: i16 = 92;
    pub(crate) const PID_FOR_CHILDREN: i16 = 96;
    pub(crate) const TIME_FOR_CHILDREN: i16 = 100;
    /// Which set of namespaces it has; 0 for none.
    pub(crate) const NSPROXY: i16 = 104;
    /// Which root directory it has: the mount and the entry, by numbers that only mean this.
    pub(crate) const ROOT: i16 = 112;
    /// The UID, GID, saved, effective and file system IDs in turn, in the kernel's order.
    pub(crate) const IDS: i16 = 128;
    /// The inheritable, permitted, effective, bounding and ambient set.
    pub(crate) const CAPABILITIES: i16 = 160;
    /// Bit 0: no new privileges.
    pub(crate) const ATOMIC_FLAGS: i16 = 200;
    /// The mode of seccomp; [`NO_SECCOMP`] where the kernel has none.
    pub(crate) const SECCOMP: i16 = 208;
    pub(crate) const NO_SECCOMP: i32 = -1;
    /// How deep the reader's and the task's own PID namespace are.
    pub(crate) const READER_LEVEL: i16 = 212;
    pub(crate) const LEVEL: i16 = 216;
    /// The TIDs from the reader's PID namespace down, each in a structure of its own: as many as there is room for.
    pub(crate) const NUMBERS: i16 = 224;
    pub(crate) const NUMBER_SIZE: i16 = 16;
    pub(crate) const MOST_NUMBERS: usize = 4;
}

/// Where the fields of a file's record are.
pub(super) mod file {
    pub(crate) const TGID: i16 = 0;
    pub(crate) const TID: i16 = 4;
    pub(crate) const FD: i16 = 8;
    pub(crate) const KIND: i16 = 12;
    pub(crate) const INODE: i16 = 16;
    /// Of a socket, the inode number of its network namespace; of a namespace, the flag of `clone(2)` for its type.
    pub(crate) const NAMESPACE: i16 = 24;
    pub(crate) const FAMILY: i16 = 28;
    /// The messages that wait in a socket.
    pub(crate) const QUEUED: i16 = 32;
    /// Where the file is in the kernel's memory.
    pub(crate) const ADDRESS: i16 = 40;
}

/// What the kernel says of a task. The IDs without a name of their own are those of the initial PID namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskRecord {
    pub(crate) tgid: u32,
    pub(crate) tid: u32,
    /// The TID in the reader's PID namespace.
    pub(crate) number: u32,
    /// The TGID of the parent.
    pub(crate) parent: u32,
    /// When it started, in nanoseconds since boot.
    pub(crate) started_ns: u64,
    /// Which descriptor table it has, by a number that only means this; `None` if it has none.
    pub(crate) table: Option<u64>,
    /// Which root directory it has, in the same way.
    pub(crate) root: Option<(u64, u64)>,
    comm: [u8; 16],
    flags: u32,
    state: u32,
    exit_state: u32,
    /// The inode numbers of its namespaces, in the order of their types, and those for children; 0 where it has none.
    pub(crate) namespaces: [u32; 10],
    /// Which set of namespaces it has, by a number that only means this; tasks with the same set hold each once.
    pub(crate) nsproxy: Option<NonZeroU64>,
    /// What `/proc/PID/status` shows of it, if that was asked for and all of it is in the record.
    pub(crate) powers: Option<Arc<Powers>>,
    /// Its TIDs from the reader's PID namespace down to its own, where these are more than one.
    numbers: Box<[u32]>,
}

/// What a task may do. Most tasks have the same powers as others, and share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Powers {
    pub(crate) uids: Uids,
    pub(crate) capabilities: Capabilities,
    pub(crate) seccomp: Option<Seccomp>,
    pub(crate) no_new_privs: bool,
}

impl Powers {
    /// The part of a record that they are read from.
    const AT: std::ops::Range<usize> = task::IDS as usize..task::READER_LEVEL as usize;

    fn read(bytes: &[u8]) -> Self {
        let uid = |at: i16| Uid(u32_of(bytes, task::IDS + at));
        let set = |index: i16| CapabilitySet::from_bits(u64_of(bytes, task::CAPABILITIES + 8 * index));
        let mode = u32_of(bytes, task::SECCOMP);
        Self {
            uids: Uids { real: uid(0), saved: uid(8), effective: uid(16), file_system: uid(24) },
            capabilities: Capabilities {
                inheritable: set(0),
                permitted: set(1),
                effective: set(2),
                bounding: set(3),
                ambient: set(4),
            },
            // No mode has the number that stands for none.
            seccomp: Seccomp::from_number(mode.into()),
            no_new_privs: u64_of(bytes, task::ATOMIC_FLAGS) & 1 != 0,
        }
    }
}

/// The powers that tasks were found to have.
#[derive(Default)]
pub(super) struct KnownPowers(FxHashMap<Box<[u8]>, Arc<Powers>>);

impl KnownPowers {
    fn of(&mut self, bytes: &[u8]) -> Option<Arc<Powers>> {
        let part = bytes.get(Powers::AT)?;
        if let Some(known) = self.0.get(part) {
            return Some(Arc::clone(known));
        }
        let powers = Arc::new(Powers::read(bytes));
        self.0.insert(part.into(), Arc::clone(&powers));
        Some(powers)
    }
}

pub(super) fn u32_of(bytes: &[u8], at: i16) -> u32 {
    let four = bytes.get(at as usize..).and_then(<[u8]>::first_chunk).copied();
    four.map_or(0, u32::from_ne_bytes)
}

fn u16_of(bytes: &[u8], at: i16) -> u16 {
    let two = bytes.get(at as usize..).and_then(<[u8]>::first_chunk).copied();
    two.map_or(0, u16::from_ne_bytes)
}

pub(super) fn u64_of(bytes: &[u8], at: i16) -> u64 {
    let eight = bytes.get(at as usize..).and_then(<[u8]>::first_chunk).copied();
    eight.map_or(0, u64::from_ne_bytes)
}

impl TaskRecord {
    /// Reads a record of [`TASK_AND_STATUS`] bytes.
    pub(super) fn read_with_status(bytes: &[u8], known: &mut KnownPowers) -> Self {
        let mut task = Self::read(bytes);
        let below = u32_of(bytes, task::LEVEL).checked_sub(u32_of(bytes, task::READER_LEVEL));
        let count = below.map_or(usize::MAX, |below| (below as usize).saturating_add(1));
        let number = |index| u32_of(bytes, task::NUMBERS + task::NUMBER_SIZE * index as i16);
        let numbers: Box<[u32]> =
            if (2..=task::MOST_NUMBERS).contains(&count) { (0..count).map(number).collect() } else { Box::default() };
        // Zeros where the memory behind the last one could not be read.
        if count <= task::MOST_NUMBERS && !numbers.contains(&0) {
            (task.numbers, task.powers) = (numbers, known.of(bytes));
        }
        task
    }

    /// The TIDs from the reader's PID namespace down to its own.
    pub(crate) fn numbers(&self) -> &[u32] {
        if self.numbers.is_empty() { std::slice::from_ref(&self.number) } else { &self.numbers }
    }

    /// Reads a record of [`TASK`] bytes.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let table = u64_of(bytes, task::FILES);
        let root = (u64_of(bytes, task::ROOT), u64_of(bytes, task::ROOT + 8));
        Self {
            tgid: u32_of(bytes, task::TGID),
            tid: u32_of(bytes, task::TID),
            number: u32_of(bytes, task::NUMBER),
            parent: u32_of(bytes, task::PARENT),
            started_ns: u64_of(bytes, task::STARTED),
            table: (table != 0).then_some(table),
            root: (root.0 != 0 && root.1 != 0).then_some(root),
            comm: bytes.get(task::COMM as usize..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default(),
            flags: u32_of(bytes, task::FLAGS),
            state: u32_of(bytes, task::STATE),
            exit_state: u32_of(bytes, task::EXIT_STATE),
            namespaces: std::array::from_fn(|index| u32_of(bytes, task::MNT + 4 * index as i16)),
            nsproxy: NonZeroU64::new(u64_of(bytes, task::NSPROXY)),
            powers: None,
            numbers: Box::default(),
        }
    }

    /// Its name.
    pub(crate) fn comm(&self) -> &[u8] {
        self.comm.split(|&byte| byte == 0).next().unwrap_or_default()
    }

    /// Whether it is a thread of the kernel's own, whose name procfs makes longer than the task has it.
    pub(crate) fn is_of_kernel(&self) -> bool {
        /// `PF_KTHREAD`, which `/proc/PID/stat` shows as well.
        const PF_KTHREAD: u32 = 0x0020_0000;
        self.flags & PF_KTHREAD != 0
    }

    /// Whether it has given up its namespaces, as a task does that exits, before it counts as dead.
    pub(crate) fn has_left(&self) -> bool {
        self.namespaces[0] == 0
    }

    /// Its run state, as the letter of `/proc/PID/stat`.
    pub(crate) fn state(&self) -> u8 {
        /// The bits of a state that procfs has letters for; what is not among them runs.
        const LETTERS: [(u32, u8); 8] = [
            (0x01, b'S'),
            (0x02, b'D'),
            (0x04, b'T'),
            (0x08, b't'),
            (0x10, b'X'),
            (0x20, b'Z'),
            (0x40, b'P'),
            (0, b'R'),
        ];
        /// `TASK_IDLE`: uninterruptible, and no load.
        const IDLE: u32 = 0x402;
        /// `TASK_RTLOCK_WAIT` and `TASK_FROZEN`: shown as uninterruptible.
        const WAITING: u32 = 0x9000;
        if self.state & IDLE == IDLE {
            return b'I';
        }
        let waits = if self.state & WAITING != 0 { 0x02 } else { self.state };
        // The highest bit counts.
        let bits = (waits | self.exit_state) & 0x7f;
        let highest = if bits == 0 { 0 } else { 1 << bits.ilog2() };
        LETTERS.iter().find(|(bit, _)| *bit == highest).map_or(b'?', |&(_, letter)| letter)
    }
}

/// What the kernel says of a namespace. Inode numbers are 0 where there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamespaceRecord {
    pub(crate) ino: u32,
    pub(crate) clone_flag: u32,
    /// The user namespace that owns it; of a user namespace, its parent.
    pub(crate) owner: u32,
    /// The parent of a PID namespace.
    pub(crate) parent: u32,
    /// The UID that created a user namespace; of others 0.
    pub(crate) owner_uid: u32,
    /// How many references the kernel counts; 0 of one that is just ending.
    pub(crate) references: u32,
    /// 0 where the kernel has none.
    pub(crate) unique_id: u64,
    /// Where its structure is in the kernel's memory.
    pub(crate) address: u64,
    /// Of a mount namespace, another number whenever something is mounted or unmounted; 0 where that is not known.
    pub(crate) changed: u64,
}

impl NamespaceRecord {
    /// Reads a record of [`NAMESPACE`] bytes.
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self {
            ino: u32_of(bytes, namespace::INUM),
            clone_flag: u32_of(bytes, namespace::TYPE),
            owner: u32_of(bytes, namespace::OWNER),
            parent: u32_of(bytes, namespace::PARENT),
            owner_uid: u32_of(bytes, namespace::OWNER_UID),
            references: u32_of(bytes, namespace::REFERENCES),
            unique_id: u64_of(bytes, namespace::UNIQUE_ID),
            address: u64_of(bytes, namespace::ADDRESS),
            changed: u64_of(bytes, namespace::CHANGED),
        }
    }
}

/// What the kernel says of an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileRecord {
    pub(crate) tgid: u32,
    pub(crate) tid: u32,
    pub(crate) fd: u32,
    pub(crate) kind: FileKind,
    /// Where it is in the kernel's memory.
    pub(crate) address: u64,
}

/// What a file is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileKind {
    /// A namespace, with its inode number and the flag of `clone(2)` for its type.
    Namespace { ino: u64, clone_flag: u32 },
    /// A socket, with its inode number and that of its network namespace.
    Socket { inode: u64, net: u32, can_have_some_in_flight: bool },
    /// A TUN/TAP file.
    Tun,
    /// Something that can hold a namespace which the kernel does not name.
    Suspect {
        /// The magic number of its file system.
        file_system: u32,
    },
}

impl FileRecord {
    /// Reads a record of [`FILE`] bytes.
    pub(super) fn read(bytes: &[u8]) -> Self {
        const AF_UNIX: u16 = 1;
        let (ino, namespace) = (u64_of(bytes, file::INODE), u32_of(bytes, file::NAMESPACE));
        let is_unix = u16_of(bytes, file::FAMILY) == AF_UNIX;
        Self {
            address: u64_of(bytes, file::ADDRESS),
            tgid: u32_of(bytes, file::TGID),
            tid: u32_of(bytes, file::TID),
            fd: u32_of(bytes, file::FD),
            kind: match u32_of(bytes, file::KIND) {
                NSFS => FileKind::Namespace { ino, clone_flag: namespace },
                SOCKFS => FileKind::Socket {
                    inode: ino,
                    net: namespace,
                    can_have_some_in_flight: is_unix && u32_of(bytes, file::QUEUED) != 0,
                },
                TUN => FileKind::Tun,
                file_system => FileKind::Suspect { file_system },
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_read_from_its_record() {
        let mut bytes = [0; TASK];
        let mut put = |at: i16, number: &[u8]| bytes[at as usize..][..number.len()].copy_from_slice(number);
        put(task::TGID, &7_u32.to_ne_bytes());
        put(task::NUMBER, &3_u32.to_ne_bytes());
        put(task::STARTED, &(5_u64 << 32).to_ne_bytes());
        put(task::COMM, b"a) b\0x");
        put(task::TIME_FOR_CHILDREN, &9_u32.to_ne_bytes());
        put(task::ROOT, &1_u64.to_ne_bytes());
        put(task::ROOT + 8, &2_u64.to_ne_bytes());
        let task = TaskRecord::read(&bytes);
        assert_eq!((task.tgid, task.number, task.started_ns), (7, 3, 5 << 32));
        assert_eq!((task.comm(), task.table, task.namespaces[9]), (&b"a) b"[..], None, 9));
        assert_eq!((task.root, TaskRecord::read(&[0; TASK]).root), (Some((1, 2)), None));
        assert!(task.has_left() && !task.is_of_kernel());
    }

    #[test]
    fn powers_are_read_from_a_record() {
        let mut bytes = [0; TASK_AND_STATUS];
        let mut put = |at: i16, number: &[u8]| bytes[at as usize..][..number.len()].copy_from_slice(number);
        put(task::NUMBER, &70_u32.to_ne_bytes());
        // The UID, GID, saved UID and so on.
        for id in 0..8_u32 {
            put(task::IDS + 4 * id as i16, &(100 + id).to_ne_bytes());
        }
        for set in 0..5_u64 {
            put(task::CAPABILITIES + 8 * set as i16, &(1_u64 << (40 + set)).to_ne_bytes());
        }
        put(task::ATOMIC_FLAGS, &0b101_u64.to_ne_bytes());
        put(task::SECCOMP, &2_u32.to_ne_bytes());
        put(task::READER_LEVEL, &1_u32.to_ne_bytes());
        for (index, number) in [70_u32, 8, 1].into_iter().enumerate() {
            put(task::NUMBERS + task::NUMBER_SIZE * index as i16, &number.to_ne_bytes());
        }
        let mut at_level = |level: u32| {
            bytes[task::LEVEL as usize..][..4].copy_from_slice(&level.to_ne_bytes());
            bytes
        };
        let mut known = KnownPowers::default();
        let task = TaskRecord::read_with_status(&at_level(3), &mut known);
        assert_eq!(task.numbers(), [70, 8, 1]);
        let powers = task.powers.unwrap();
        let uids = powers.uids;
        assert_eq!([uids.real, uids.effective, uids.saved, uids.file_system], [100, 104, 102, 106].map(Uid));
        let sets = powers.capabilities;
        let sets = [sets.inheritable, sets.permitted, sets.effective, sets.bounding, sets.ambient];
        assert_eq!(sets.map(CapabilitySet::bits), [40, 41, 42, 43, 44].map(|bit| 1 << bit));
        assert_eq!((powers.seccomp, powers.no_new_privs), (Some(Seccomp::Filter), true));

        // In the reader's PID namespace, it has one number; and shares its powers.
        let task = TaskRecord::read_with_status(&at_level(1), &mut known);
        assert_eq!(task.numbers(), [70]);
        assert!(Arc::ptr_eq(&task.powers.unwrap(), &powers));
        // Where there is no room for all, or the reader's namespace is no ancestor, procfs is to be asked.
        for level in [5, 0, u32::MAX] {
            assert_eq!(TaskRecord::read_with_status(&at_level(level), &mut known).powers, None, "{level}");
        }
        // There are only three.
        assert_eq!(TaskRecord::read_with_status(&at_level(4), &mut known).powers, None);
        let mut without = at_level(1);
        without[task::SECCOMP as usize..][..4].copy_from_slice(&task::NO_SECCOMP.to_ne_bytes());
        assert_eq!(TaskRecord::read_with_status(&without, &mut known).powers.unwrap().seccomp, None);
    }

    #[test]
    fn states_have_the_letters_of_procfs() {
        for (state, exit_state, letter) in [
            (0, 0, b'R'),
            (1, 0, b'S'),
            (2, 0, b'D'),
            (0x2001, 0, b'S'),
            (0x402, 0, b'I'),
            (0x102, 0, b'D'),
            (4, 0, b'T'),
            (8, 0, b't'),
            (0x40, 0, b'P'),
            (0x8000, 0, b'D'),
            (0x80, 0x20, b'Z'),
            (0x80, 0x10, b'X'),
            (0x200, 0, b'R'),
        ] {
            let record = TaskRecord { state, exit_state, ..TaskRecord::read(&[0; TASK]) };
            assert_eq!(char::from(record.state()), char::from(letter), "{state:#x}");
        }
    }
}
