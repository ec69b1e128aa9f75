//! The program that walks the kernel's own lists of namespaces, one for each type (Linux 6.18): those that nothing shows are in
//! them too.
//!
//! One run may not write more than fits into a buffer of the kernel's. So the program runs for each element of an array, which
//! is only there for that: the number of the element says the type and the part of its list.

use lxkns_sys::BpfInstruction;

use super::assembler::{Assembler, FRAME, Helper, If, R0, R1, R6, R7, R8, R9, Width};
use super::btf::Btf;
use super::namespaces::{KEPT, USER, Writer};
use super::programs::{Fields, Missing, NSPROXY, RECORD, nsproxy_size};
use super::records::{NAMESPACE, namespace};
use crate::model::NamespaceType;

/// How many namespaces one run tells of at most: three fifths of the buffer of 32 KiB.
const PART: i32 = 600;
/// How many elements the array has: for 153,600 namespaces of each type.
pub(super) const RUNS: u32 = 8 * 256;
/// The lowest inode number that a namespace has (`include/uapi/linux/nsfs.h`).
const LOWEST: i32 = 0xefff_fff0_u32 as i32;
/// The type and the inode number of what may be a namespace.
const READ: i16 = -8;

/// The program. Each type's list is told from the reader's own namespace on; a record without an inode number ends it.
pub(super) fn of_namespaces(btf: &Btf<'_>) -> Result<Vec<BpfInstruction>, Missing> {
    let f = Fields(btf);
    let writer = Writer::new(&f)?;
    let size = nsproxy_size(btf)?;
    let (ns_type, inum) = (f.number("ns_common.ns_type")?, f.number("ns_common.inum")?);
    // The first pointer of a list's node leads to the next one. Since Linux 6.19 the node is beside that of a tree.
    let node = f.at("ns_common.ns_tree_node.ns_list_entry", 16).or_else(|_| f.at("ns_common.ns_list_node", 16))?;

    let mut p = Assembler::default();
    let end = p.label();
    p.load(Width::Eight, R8, R1, f.pointer("bpf_iter__bpf_map_elem.key")?);
    p.load(Width::Eight, R7, R1, f.pointer("bpf_iter__bpf_map_elem.meta")?);
    p.load(Width::Eight, R7, R7, f.pointer("bpf_iter_meta.seq")?);
    // After the last element, the program runs once more without one.
    p.jump_if(R8, If::Equal, 0, end);
    p.load(Width::Four, R9, R8, 0);
    p.call(Helper::GetCurrentTask);
    p.copy(R6, R0);
    p.follow(R8, R6, f.pointer("task_struct.real_cred")?);
    p.follow(R8, R8, f.pointer("cred.user_ns")?);
    p.store(Width::Eight, FRAME, USER, R8);
    p.follow(R8, R6, f.pointer("task_struct.nsproxy")?);
    p.read(NSPROXY, size.into(), R8, 0);
    p.copy(R8, R9);
    p.and(R8, 7);
    p.shift_right(R9, 3);
    // r9: how many are left out before the first that is told of; those that are told of count on below 0.
    p.multiply(R9, PART);
    for layout in &writer.layouts {
        let at = match layout.ns_type {
            NamespaceType::User => USER,
            NamespaceType::Mnt => NSPROXY + f.pointer("nsproxy.mnt_ns")?,
            NamespaceType::Cgroup => NSPROXY + f.pointer("nsproxy.cgroup_ns")?,
            NamespaceType::Uts => NSPROXY + f.pointer("nsproxy.uts_ns")?,
            NamespaceType::Ipc => NSPROXY + f.pointer("nsproxy.ipc_ns")?,
            NamespaceType::Pid => NSPROXY + f.pointer("nsproxy.pid_ns_for_children")?,
            NamespaceType::Net => NSPROXY + f.pointer("nsproxy.net_ns")?,
            NamespaceType::Time => NSPROXY + f.pointer("nsproxy.time_ns")?,
        };
        if at != USER && at - NSPROXY > size - 8 {
            return Err(Missing("nsproxy"));
        }
        if layout.unique_id.is_none() {
            // A caller who can open the namespaces is told their IDs.
            return Err(Missing("ns_common.ns_id"));
        }
        if layout.references.is_none() {
            // It could not be told whether one is just ending.
            return Err(Missing("ns_common.__ns_ref"));
        }
        let (other, next, tell, again, is_whole) = (p.label(), p.label(), p.label(), p.label(), p.label());
        p.jump_if(R8, If::NotEqual, layout.ns_type as i32, other);
        p.load(Width::Eight, R6, FRAME, at);
        p.jump_if(R6, If::Equal, 0, end);
        p.store(Width::Eight, FRAME, KEPT, R6);
        p.place(again);
        p.jump_at_limit(end);
        // The head of the list is no namespace: it has another type, or no such number.
        p.store_number(Width::Eight, FRAME, READ, 0);
        p.read(READ, 4, R6, layout.common + ns_type);
        p.load(Width::Four, R8, FRAME, READ);
        p.jump_if(R8, If::NotEqual, layout.ns_type.clone_flag() as i32, next);
        p.read(READ, 4, R6, layout.common + inum);
        p.load(Width::Four, R8, FRAME, READ);
        p.jump_if_32(R8, If::Less, LOWEST, next);
        p.jump_if(R9, If::SignedLessOrEqual, 0, tell);
        p.add(R9, -1);
        p.jump(next);
        p.place(tell);
        writer.write_one(&mut p, layout);
        p.add(R9, -1);
        p.jump_if(R9, If::SignedLessOrEqual, -PART, end);
        p.place(next);
        p.follow(R6, R6, layout.common + node);
        p.add(R6, -i32::from(layout.common + node));
        p.load(Width::Eight, R8, FRAME, KEPT);
        p.jump_if_equal(R6, R8, is_whole);
        p.jump(again);
        p.place(is_whole);
        p.clear_record(NAMESPACE);
        p.store_number(Width::Four, FRAME, RECORD + namespace::TYPE, layout.ns_type.clone_flag() as i32);
        p.write_record(R7, NAMESPACE);
        p.jump(end);
        p.place(other);
    }
    p.place(end);
    p.finish();
    p.instructions().ok_or(Missing("ns_common"))
}
