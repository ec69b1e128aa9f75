//! Which user namespace each mounted file system belongs to, from the kernel's list of them.

use rustc_hash::FxHashSet;

use super::Refusal;
use super::in_flight::{NsType, first_four_bytes, read};
use super::memory::{List, Memory};
use super::programs::{Fields, Missing};
use crate::model::{DeviceNumber, NamespaceType};

/// The inode number of the initial user namespace, to which most belong.
const INITIAL: u32 = 0xefff_fffd;

/// The lowest inode number that a namespace has.
const LOWEST: u32 = 0xefff_fff0;

/// Where the fields are that the walk reads.
#[derive(Debug)]
pub(super) struct Layout {
    mount_root: u64,
    mount_super_block: u64,
    root_super_block: u64,
    list: u64,
    device: u64,
    user_ns: u64,
    ns: u64,
    inum: u64,
    ns_type: NsType,
}

impl Layout {
    pub(super) fn of(f: &Fields<'_>) -> Result<Self, Missing> {
        let at = |offset: Result<i16, Missing>| offset.map(|offset| offset as u64);
        Ok(Self {
            mount_root: at(f.pointer("vfsmount.mnt_root"))?,
            mount_super_block: at(f.pointer("vfsmount.mnt_sb"))?,
            root_super_block: at(f.pointer("dentry.d_sb"))?,
            list: at(f.at("super_block.s_list", 16))?,
            device: at(f.number("super_block.s_dev"))?,
            user_ns: at(f.pointer("super_block.s_user_ns"))?,
            ns: at(f.start("user_namespace.ns"))?,
            inum: at(f.number("ns_common.inum"))?,
            ns_type: NsType::of(f)?,
        })
    }
}

/// The file systems that belong to another user namespace than the initial one, by the inode number of that; and whether the
/// list was read to its end. It is found from these mounts, one of which has to be there still.
pub(super) fn owners(
    layout: &Layout,
    memory: &dyn Memory,
    mounts: &[u64],
) -> Result<(Vec<(DeviceNumber, u32)>, bool), Refusal> {
    let super_blocks = read(memory, mounts, layout.mount_super_block)?;
    let of_roots = read(memory, &read(memory, mounts, layout.mount_root)?, layout.root_super_block)?;
    let Some((&first, _)) = super_blocks.iter().zip(of_roots).find(|&(&one, other)| one != 0 && one == other) else {
        return Ok((Vec::new(), false));
    };
    // The list has no lock here: what is on both walks is on it.
    let ((one, is_whole), (other, is_again)) = (walk(layout, memory, first)?, walk(layout, memory, first)?);
    let mut told: Vec<_> = one.intersection(&other).map(|&(_, device, inum)| (device, inum)).collect();
    told.sort_unstable();
    // The kernel's own form of a device number.
    let number = |device: u32| DeviceNumber { major: device >> 20, minor: device & 0xf_ffff };
    let told = told.into_iter().map(|(device, inum)| (number(device), inum)).collect();
    Ok((told, is_whole && is_again))
}

/// File systems: where each is, its device number, and the inode number of its user namespace.
type Owned = FxHashSet<(u64, u32, u32)>;

/// Goes through the list once; whether these are all.
fn walk(layout: &Layout, memory: &dyn Memory, first: u64) -> Result<(Owned, bool), Refusal> {
    let List { nodes, is_whole } = memory.lists(&[(first + layout.list, 0)])?.pop().unwrap_or_default();
    let all: Vec<u64> = nodes.into_iter().map(|node| node.wrapping_sub(layout.list)).collect();
    let users = read(memory, &all, layout.user_ns)?;
    let common: Vec<_> = users.iter().map(|&user| if user == 0 { 0 } else { user.wrapping_add(layout.ns) }).collect();
    let (inums, types) = (read(memory, &common, layout.inum)?, layout.ns_type.read(memory, &common)?);
    let devices = read(memory, &all, layout.device)?;
    let each = all.into_iter().zip(devices).zip(inums.into_iter().zip(types));
    let each = each.map(|((at, device), (inum, ns_type))| {
        ((at, first_four_bytes(device), first_four_bytes(inum)), first_four_bytes(ns_type))
    });
    // The head of the list is none: nothing there is a user namespace.
    let is_user = |&((.., inum), ns_type): &((u64, u32, u32), u32)| {
        ns_type == NamespaceType::User.clone_flag() && inum >= LOWEST && inum != INITIAL
    };
    Ok((each.filter(is_user).map(|(told, _)| told).collect(), is_whole))
}
