//! What open files and attached memory hold without being on a namespace: the mount namespace of an open mountinfo, the cgroup
//! namespace of an open file of a control group, the IPC namespace of a System V segment, the network namespace of a TUN/TAP
//! file.

use super::Refusal;
use super::btf::Btf;
use super::in_flight::{first_four_bytes, read};
use super::memory::Memory;
use super::programs::{Fields, Missing};
use super::records::{CGROUP, CGROUP2, PROC};

/// The most nodes of the tree that has an IPC namespace's segments.
const MOST_NODES: usize = 1 << 10;

/// Where the fields are that this reads.
#[derive(Debug)]
pub(super) struct Layout {
    private_data: u64,
    dentry: u64,
    name: u64,
    sequence_file: u64,
    sequence_private: u64,
    mounts_ns: u64,
    mnt_inum: u64,
    kernfs_private: u64,
    cgroup_ns: u64,
    cgroup_inum: u64,
}

/// Where the fields are of TUN/TAP files.
#[derive(Debug)]
pub(super) struct TunLayout {
    private_data: u64,
    file: u64,
    net: u64,
    inum: u64,
    tun: u64,
    device: u64,
    net_of_device: u64,
}

/// Where the fields are of System V segments.
#[derive(Debug)]
pub(super) struct SegmentLayout {
    root: u64,
    slots: u64,
    slot_count: u64,
    segment: u64,
    attached: u64,
}

fn at(offset: Result<i16, Missing>) -> Result<u64, Missing> {
    offset.map(|offset| offset as u64)
}

impl Layout {
    pub(super) fn of(f: &Fields<'_>) -> Result<Self, Missing> {
        Ok(Self {
            private_data: at(f.pointer("file.private_data"))?,
            dentry: at(f.pointer("file.f_path.dentry"))?,
            name: at(f.pointer("dentry.d_name.name"))?,
            sequence_file: at(f.pointer("seq_file.file"))?,
            sequence_private: at(f.pointer("seq_file.private"))?,
            mounts_ns: at(f.pointer("proc_mounts.ns"))?,
            mnt_inum: at(f.number("mnt_namespace.ns.inum"))?,
            kernfs_private: at(f.pointer("kernfs_open_file.priv"))?,
            cgroup_ns: at(f.pointer("cgroup_file_ctx.ns"))?,
            cgroup_inum: at(f.number("cgroup_namespace.ns.inum"))?,
        })
    }
}

impl TunLayout {
    pub(super) fn of(f: &Fields<'_>) -> Result<Self, Missing> {
        Ok(Self {
            private_data: at(f.pointer("file.private_data"))?,
            file: at(f.pointer("tun_file.socket.file"))?,
            net: at(f.pointer("tun_file.sk.__sk_common.skc_net.net"))?,
            inum: at(f.number("net.ns.inum"))?,
            tun: at(f.pointer("tun_file.tun"))?,
            device: at(f.pointer("tun_struct.dev"))?,
            net_of_device: at(f.pointer("net_device.nd_net.net"))?,
        })
    }
}

impl SegmentLayout {
    pub(super) fn of(f: &Fields<'_>, btf: &Btf<'_>) -> Result<Self, Missing> {
        /// The place of segments among what an IPC namespace has: `IPC_SHM_IDS`.
        const SEGMENTS: u64 = 2;
        let size = btf.size_of("ipc_ids").ok_or(Missing("ipc_ids"))?;
        let slots = btf.field("xa_node.slots").ok_or(Missing("xa_node.slots"))?;
        Ok(Self {
            root: at(f.start("ipc_namespace.ids"))?
                + SEGMENTS * u64::from(size)
                + at(f.pointer("ipc_ids.ipcs_idr.idr_rt.xa_head"))?,
            slots: slots.offset.into(),
            slot_count: u64::from(slots.size / 8).min(64),
            segment: at(f.start("shmid_kernel.shm_perm"))?,
            attached: at(f.at("shmid_kernel.shm_nattch", 8))?,
        })
    }
}

/// The inode numbers of the namespaces that these open files hold, which are on file systems with these magic numbers; 0 of one
/// that holds none.
pub(super) fn namespaces(layout: &Layout, memory: &dyn Memory, files: &[(u64, u32)]) -> Result<Vec<u32>, Refusal> {
    let addresses: Vec<_> = files.iter().map(|&(address, _)| address).collect();
    let read = |from: &[u64], offset| read(memory, from, offset);
    let names = read(&read(&read(&addresses, layout.dentry)?, layout.name)?, 0)?;
    let mut sequences = read(&addresses, layout.private_data)?;
    let owners = read(&sequences, layout.sequence_file)?;
    for ((sequence, owner), address) in sequences.iter_mut().zip(owners).zip(&addresses) {
        // Other files keep something else there.
        *sequence = if owner == *address { *sequence } else { 0 };
    }
    let privates = read(&sequences, layout.sequence_private)?;
    let of = |is_wanted: &dyn Fn(u32, u64) -> bool| -> Vec<u64> {
        let kept = privates.iter().zip(files).zip(&names);
        kept.map(|((&private, &(_, magic)), &name)| if is_wanted(magic, name) { private } else { 0 }).collect()
    };
    // Of one file at most the one or the other is something.
    let mounts = of(&|magic, name| magic == PROC && is_of_mounts(name));
    let of_mounts = read(&read(&mounts, layout.mounts_ns)?, layout.mnt_inum)?;
    let cgroups = of(&|magic, _| magic == CGROUP || magic == CGROUP2);
    let contexts = read(&cgroups, layout.kernfs_private)?;
    let of_cgroups = read(&read(&contexts, layout.cgroup_ns)?, layout.cgroup_inum)?;
    Ok(of_mounts.into_iter().zip(of_cgroups).map(|(one, other)| first_four_bytes(one | other)).collect())
}

/// The inode numbers of the network namespaces of these TUN/TAP files and of their devices; 0 where there is none.
pub(super) fn tuns(layout: &TunLayout, memory: &dyn Memory, files: &[u64]) -> Result<Vec<(u32, u32)>, Refusal> {
    let read = |from: &[u64], offset| read(memory, from, offset);
    let mut tuns = read(files, layout.private_data)?;
    let owners = read(&tuns, layout.file)?;
    for ((tun, owner), file) in tuns.iter_mut().zip(owners).zip(files) {
        // Another file can be where one was.
        *tun = if owner == *file { *tun } else { 0 };
    }
    let nets = read(&read(&tuns, layout.net)?, layout.inum)?;
    let devices = read(&read(&tuns, layout.tun)?, layout.device)?;
    let of_devices = read(&read(&devices, layout.net_of_device)?, layout.inum)?;
    Ok(nets.into_iter().map(first_four_bytes).zip(of_devices.into_iter().map(first_four_bytes)).collect())
}

/// Whether a file of procfs that begins with these letters is one of mounts.
fn is_of_mounts(name: u64) -> bool {
    let name = name.to_ne_bytes();
    name == *b"mountinf" || name == *b"mountsta" || name.starts_with(b"mounts\0")
}

/// How many attachments of System V segments hold an IPC namespace, at least and at most: the kernel counts the mappings of
/// each segment, and processes share an attachment with those that they fork.
pub(super) fn attachments(layout: &SegmentLayout, memory: &dyn Memory, namespace: u64) -> Result<(u32, u32), Refusal> {
    let mut segments = Vec::new();
    let mut nodes = memory.words(&[namespace + layout.root])?;
    for _ in 0..MOST_NODES {
        let Some(entry) = nodes.pop() else { break };
        // An entry that ends in these two bits is a node of the tree, unless it is a small number.
        if entry & 3 == 2 && entry > 4096 {
            let slots: Vec<_> = (0..layout.slot_count).map(|nth| (entry & !3) + layout.slots + 8 * nth).collect();
            nodes.extend(memory.words(&slots)?.into_iter().filter(|&entry| entry != 0));
        } else if entry & 3 == 0 && entry != 0 {
            segments.push(entry.wrapping_sub(layout.segment));
        }
    }
    let attached: Vec<_> = read(memory, &segments, layout.attached)?.into_iter().filter(|&count| count != 0).collect();
    let most = attached.iter().fold(0_u64, |sum, &count| sum.saturating_add(count));
    Ok((attached.len() as u32, u32::try_from(most).unwrap_or(u32::MAX)))
}
