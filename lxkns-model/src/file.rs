//! What the kernel says of one file.

use bstr::BString;

use crate::{CapabilitySet, DeviceNumber, IdMapping, Uid};

/// A user ID and a group ID, of a file or as a map has them; `None` where it is not mapped, or not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ids {
    /// The UID.
    pub uid: Option<u32>,
    /// The GID.
    pub gid: Option<u32>,
}

/// The capabilities that running a file gives (`security.capability`); `capabilities(7)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileCapabilities {
    /// Those that it gives.
    pub permitted: CapabilitySet,
    /// Those that it gives if the process has them in its inheritable set.
    pub inheritable: CapabilitySet,
    /// Whether they are effective from the start (the effective bit).
    pub effective: bool,
    /// The UID, in the reader's user namespace, that must be root in the user namespace where they count: 0 where they count
    /// in all.
    pub root: Uid,
}

impl FileCapabilities {
    /// Reads the value of the extended attribute; `None` for a form that is not known.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u32::from_le_bytes(value.get(4 * at..4 * at + 4)?.try_into().ok()?));
        let head = word(0)?;
        let (words, root) = match (head >> 24, value.len()) {
            (1, 12) => (1, 0),
            (2, 20) => (2, 0),
            (3, 24) => (2, word(5)?),
            _ => return None,
        };
        let set = |first: usize| {
            let high = if words > 1 { word(first + 2)? } else { 0 };
            Some(CapabilitySet::from_bits(u64::from(high) << 32 | u64::from(word(first)?)))
        };
        Some(Self { permitted: set(1)?, inheritable: set(2)?, effective: head & 1 != 0, root: Uid(root) })
    }
}

/// The maps of an ID-mapped mount: inside is what the file system has, outside what the mount shows, as the reader's user
/// namespace has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountIdMaps {
    /// That of UIDs.
    pub uids: Vec<IdMapping>,
    /// That of GIDs.
    pub gids: Vec<IdMapping>,
}

/// A file, as the kernel shows it through one mount.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct File {
    /// Its type and its mode (`st_mode`).
    pub mode: u32,
    /// Its UID as the mount shows it, in the reader's user namespace: 65534 where it is not mapped there.
    pub uid: u32,
    /// Its GID, likewise.
    pub gid: u32,
    /// Its inode number.
    pub ino: u64,
    /// The device number that files on its file system have.
    pub device: DeviceNumber,
    /// The mount, by the ID that mountinfo has; `None` before 5.8.
    pub mount_id: Option<u64>,
    /// Its path from the root of its mount namespace.
    pub path: BString,
    /// What running it gives: `None` inside where it gives none, `None` where that was not read.
    pub capabilities: Option<Option<FileCapabilities>>,
}

impl File {
    /// A file with only these values known.
    pub fn new(mode: u32, uid: u32, gid: u32, path: impl Into<BString>) -> Self {
        let device = DeviceNumber { major: 0, minor: 0 };
        Self { mode, uid, gid, ino: 0, device, mount_id: None, path: path.into(), capabilities: None }
    }

    /// Whether it is a regular file, the only type that can have capabilities.
    pub fn is_regular(&self) -> bool {
        self.mode & 0o170_000 == 0o100_000
    }

    /// Whether it is the same file as another one.
    pub fn is_same(&self, other: &Self) -> bool {
        (self.device, self.ino) == (other.device, other.ino)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capabilities_of_all_versions() {
        let value = |words: &[u32]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
        let v2 = FileCapabilities::parse(&value(&[0x0200_0001, 1 << 13, 0, 0, 1 << 8])).unwrap();
        assert_eq!((v2.permitted, v2.effective, v2.root), (CapabilitySet::from_bits(1 << 13), true, Uid(0)));
        assert_eq!(v2.inheritable, CapabilitySet::from_bits(1 << 40));
        let v3 = FileCapabilities::parse(&value(&[0x0300_0000, 1, 2, 0, 0, 100_000])).unwrap();
        assert_eq!((v3.root, v3.effective), (Uid(100_000), false));
        assert_eq!(FileCapabilities::parse(&value(&[0x0100_0000, 3, 0])).unwrap().permitted.bits(), 3);
        for odd in [&[][..], &[0x0300_0000, 1, 2, 0, 0], &[0x0400_0000, 1, 2, 0, 0, 1]] {
            assert_eq!(FileCapabilities::parse(&value(odd)), None, "{odd:?}");
        }
    }
}
