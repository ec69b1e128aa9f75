//! listmount(2) and statmount(2): the mounts of a mount namespace, named by IDs.

use std::ops::BitOr;

use rustix::io::Errno;

use crate::checked;

const SYS_STATMOUNT: libc::c_long = 457;
const SYS_LISTMOUNT: libc::c_long = 458;
/// Names the root of a mount namespace in place of a mount ID.
const LSMT_ROOT: u64 = u64::MAX;

/// `struct mnt_id_req` as of 6.11.
#[repr(C)]
struct MntIdReq {
    size: u32,
    spare: u32,
    mnt_id: u64,
    param: u64,
    mnt_ns_id: u64,
}

/// Which facts to ask [`statmount`] for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatmountMask(u64);

impl StatmountMask {
    /// `STATMOUNT_SB_BASIC`: the device number.
    pub const SB_BASIC: Self = Self(0x1);
    /// `STATMOUNT_MNT_BASIC`: the IDs.
    pub const MNT_BASIC: Self = Self(0x2);
    /// `STATMOUNT_MNT_ROOT`: the directory of the file system that is mounted.
    pub const MNT_ROOT: Self = Self(0x8);
    /// `STATMOUNT_MNT_POINT`: where it is mounted.
    pub const MNT_POINT: Self = Self(0x10);
    /// `STATMOUNT_FS_TYPE`: the type of the file system.
    pub const FS_TYPE: Self = Self(0x20);
    /// `STATMOUNT_MNT_OPTS`: the options of the file system (6.11).
    pub const MNT_OPTS: Self = Self(0x80);
    /// `STATMOUNT_FS_SUBTYPE`: the subtype of the file system (6.13).
    pub const FS_SUBTYPE: Self = Self(0x100);
    /// `STATMOUNT_SB_SOURCE`: the source of the file system (6.13).
    pub const SB_SOURCE: Self = Self(0x200);
    /// `STATMOUNT_SUPPORTED_MASK`: which of these the kernel knows.
    pub const SUPPORTED_MASK: Self = Self(0x1000);
    /// `STATMOUNT_MNT_UIDMAP` and `STATMOUNT_MNT_GIDMAP`: the ID maps of the mount (6.15).
    pub const ID_MAPS: Self = Self(0x6000);

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

impl BitOr for StatmountMask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// A buffer for one answer: `struct statmount`, then its strings.
#[repr(C)]
struct Statmount {
    size: u32,
    mnt_opts: u32,
    mask: u64,
    sb_dev_major: u32,
    sb_dev_minor: u32,
    sb_magic: u64,
    sb_flags: u32,
    fs_type: u32,
    mnt_id: u64,
    mnt_parent_id: u64,
    mnt_id_old: u32,
    mnt_parent_id_old: u32,
    mnt_attr: u64,
    mnt_propagation: u64,
    mnt_peer_group: u64,
    mnt_master: u64,
    propagate_from: u64,
    mnt_root: u32,
    mnt_point: u32,
    mnt_ns_id: u64,
    fs_subtype: u32,
    sb_source: u32,
    opt_num: u32,
    opt_array: u32,
    opt_sec_num: u32,
    opt_sec_array: u32,
    supported_mask: u64,
    uid_map_count: u32,
    uid_map: u32,
    gid_map_count: u32,
    gid_map: u32,
    spare: [u64; 43],
}

const HEAD: usize = size_of::<Statmount>();
const _: () = assert!(HEAD == 512);

/// Attributes and propagation of a mount; `statmount(2)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MountFlags {
    /// `MOUNT_ATTR_` flags, `mount_setattr(2)`.
    pub attributes: u64,
    /// One or two of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`.
    pub propagation: u64,
    /// Its peer group; 0 if it is not shared.
    pub peer_group: u64,
    /// The peer group that it receives mounts from; 0 if there is none.
    pub master: u64,
}

/// The answer of [`statmount`]. A fact is `None` if it was not asked for or the kernel does not know it. Newer kernels
/// also leave out empty strings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MountFacts {
    /// Major and minor number of the file system's device.
    pub device: Option<(u32, u32)>,
    /// The flags of the file system: `SB_RDONLY` and the like, with the values of the `MS_` flags of `mount(2)`.
    pub sb_flags: Option<u32>,
    /// The attributes and propagation of the mount.
    pub flags: Option<MountFlags>,
    /// The ID of the mount in mountinfo, and that of its parent.
    pub mountinfo_ids: Option<(u32, u32)>,
    /// The unique ID of the mount that it is mounted on; its own for a root.
    pub parent: Option<u64>,
    /// The file system's type.
    pub fs_type: Option<Vec<u8>>,
    /// The directory of the file system that is mounted.
    pub root: Option<Vec<u8>>,
    /// The mount point, as seen from the root of its namespace; empty if that root does not reach it.
    pub point: Option<Vec<u8>>,
    /// The options of the file system, escaped as in mountinfo, without those that are flags.
    pub options: Option<Vec<u8>>,
    /// The subtype of the file system.
    pub fs_subtype: Option<Vec<u8>>,
    /// The source of the file system.
    pub source: Option<Vec<u8>>,
    /// The facts that this kernel knows; `None` if it does not tell.
    pub supported: Option<StatmountMask>,
    /// The UID map and the GID map of an ID-mapped mount. Each range is the first ID in the file system, the first ID that
    /// the mount shows, as the caller's user namespace has it, and the number of IDs; ranges that are not mapped there are
    /// left out.
    pub id_maps: Option<[Vec<[u32; 3]>; 2]>,
}

/// Fills `ids` with the unique IDs of the mounts of a mount namespace that follow `last`, and returns their number; if
/// `ids` is not full, there are no more.
///
/// # Errors
///
/// `ENOENT`: no such namespace, or access denied. `ENOSYS`, `EINVAL`: the kernel lacks this call, or a seccomp filter
/// denies it.
///
/// # Privileges
///
/// For another mount namespace than the caller's: `CAP_SYS_ADMIN` in the user namespace that owns it.
///
/// # Minimum kernel version
///
/// 6.8, for other mount namespaces 6.11; see `listmount(2)`.
pub fn listmount(mnt_ns_id: u64, last: u64, ids: &mut [u64]) -> Result<usize, Errno> {
    let request = MntIdReq { size: size_of::<MntIdReq>() as u32, spare: 0, mnt_id: LSMT_ROOT, param: last, mnt_ns_id };
    // SAFETY: the request is read for the size that it states; at most `ids.len()` numbers are written to `ids`.
    let returned = unsafe { libc::syscall(SYS_LISTMOUNT, &raw const request, ids.as_mut_ptr(), ids.len(), 0) };
    checked(returned).map(|count| count as usize)
}

/// The facts in `mask` about the mount with the unique ID `mnt_id` in the mount namespace `mnt_ns_id`. Strings are not
/// octal-escaped, unlike in mountinfo. `buffer` holds the answer and grows if necessary; reuse it.
///
/// # Errors
///
/// As for [`listmount`]. `ENOENT` also means that the mount has vanished.
///
/// # Privileges
///
/// As for [`listmount`].
///
/// # Minimum kernel version
///
/// 6.8, for other mount namespaces 6.11; see `statmount(2)`.
pub fn statmount(mnt_ns_id: u64, mnt_id: u64, mask: StatmountMask, buffer: &mut Vec<u64>) -> Result<MountFacts, Errno> {
    /// More than any mount's strings: paths and options have at most a few pages each.
    const LARGEST: usize = 1 << 20;
    let request = MntIdReq { size: size_of::<MntIdReq>() as u32, spare: 0, mnt_id, param: mask.0, mnt_ns_id };
    let mut room = (buffer.len() * 8).max(HEAD + 512);
    loop {
        buffer.resize(room.div_ceil(8), 0);
        let bytes = buffer.len() * 8;
        // SAFETY: the request is read for the size that it states; at most `bytes` are written to `buffer`.
        let returned = unsafe { libc::syscall(SYS_STATMOUNT, &raw const request, buffer.as_mut_ptr(), bytes, 0) };
        match checked(returned) {
            Ok(_) => return Ok(facts(buffer)),
            Err(Errno::OVERFLOW) if room < LARGEST => room *= 2,
            Err(errno) => return Err(errno),
        }
    }
}

fn facts(buffer: &[u64]) -> MountFacts {
    assert!(buffer.len() * 8 >= HEAD, "the answer has room for its head");
    // SAFETY: the buffer is aligned for u64, which is the largest alignment in the struct, has been asserted to be
    // large enough, and consists of initialized integers.
    let head: &Statmount = unsafe { &*buffer.as_ptr().cast() };
    let has = |bit: StatmountMask| head.mask & bit.0 != 0;
    let string = |bit: StatmountMask, offset: u32| {
        if !has(bit) {
            return None;
        }
        let words = buffer.get(HEAD / 8..)?;
        let bytes = words.iter().flat_map(|word| word.to_ne_bytes()).skip(offset as usize);
        Some(bytes.take_while(|&byte| byte != 0).collect())
    };
    // A text for each range: `first shown count`.
    let map = |count: u32, offset: u32| -> Option<Vec<[u32; 3]>> {
        let bytes: Vec<u8> =
            buffer.get(HEAD / 8..)?.iter().flat_map(|word| word.to_ne_bytes()).skip(offset as usize).collect();
        let range = |text: &[u8]| {
            let mut numbers = std::str::from_utf8(text).ok()?.split(' ').map_while(|number| number.parse().ok());
            Some([numbers.next()?, numbers.next()?, numbers.next()?])
        };
        bytes.split(|&byte| byte == 0).take(count as usize).map(range).collect()
    };
    // Newer kernels leave out a map without ranges that the caller can see.
    let maps =
        has(StatmountMask::ID_MAPS).then_some([(head.uid_map_count, head.uid_map), (head.gid_map_count, head.gid_map)]);
    let id_maps = maps.and_then(|[uids, gids]| Some([map(uids.0, uids.1)?, map(gids.0, gids.1)?]));
    MountFacts {
        id_maps,
        device: has(StatmountMask::SB_BASIC).then_some((head.sb_dev_major, head.sb_dev_minor)),
        sb_flags: has(StatmountMask::SB_BASIC).then_some(head.sb_flags),
        flags: has(StatmountMask::MNT_BASIC).then_some(MountFlags {
            attributes: head.mnt_attr,
            propagation: head.mnt_propagation,
            peer_group: head.mnt_peer_group,
            master: head.mnt_master,
        }),
        mountinfo_ids: has(StatmountMask::MNT_BASIC).then_some((head.mnt_id_old, head.mnt_parent_id_old)),
        parent: has(StatmountMask::MNT_BASIC).then_some(head.mnt_parent_id),
        fs_type: string(StatmountMask::FS_TYPE, head.fs_type),
        root: string(StatmountMask::MNT_ROOT, head.mnt_root),
        point: string(StatmountMask::MNT_POINT, head.mnt_point),
        options: string(StatmountMask::MNT_OPTS, head.mnt_opts),
        fs_subtype: string(StatmountMask::FS_SUBTYPE, head.fs_subtype),
        source: string(StatmountMask::SB_SOURCE, head.sb_source),
        supported: has(StatmountMask::SUPPORTED_MASK).then_some(StatmountMask(head.supported_mask)),
    }
}
