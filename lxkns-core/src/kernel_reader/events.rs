//! The programs that run when a task begins, executes a program or ends, and where a system call returns that may have moved a
//! task to other namespaces; and what they write.

use std::os::fd::{AsFd, AsRawFd as _};

use lxkns_sys::BpfInstruction;

use super::assembler::{Assembler, FRAME, Helper, If, R0, R1, R2, R3, R4, R6, R7, R8, R9, Register, Width};
use super::btf::Btf;
use super::programs::{Fields, Missing, NSPROXY, nsproxy_size};
use super::records::{u32_of, u64_of};
use crate::model::{NamespaceType, TaskEventKind};

/// A tracepoint with its program.
pub(super) struct Tracepoint {
    /// What the kernel's BTF calls its type.
    pub(super) name: &'static str,
    kind: TaskEventKind,
    /// Which of the arguments is the task; `None`: the task that is running.
    task: Option<i16>,
}

/// The tracepoints of tasks.
pub(super) const OF_TASKS: [Tracepoint; 3] = [
    Tracepoint { name: "btf_trace_sched_process_fork", kind: TaskEventKind::Fork, task: Some(1) },
    Tracepoint { name: "btf_trace_sched_process_exec", kind: TaskEventKind::Exec, task: Some(0) },
    Tracepoint { name: "btf_trace_sched_process_exit", kind: TaskEventKind::Exit, task: Some(0) },
];

/// The tracepoint of system calls, as they return.
pub(super) const OF_SYSTEM_CALLS: Tracepoint =
    Tracepoint { name: "btf_trace_sys_exit", kind: TaskEventKind::SystemCall, task: None };

/// The register with the number of the system call, and the numbers of `unshare(2)` and `setns(2)`: those of the architecture
/// and those of its 32-bit programs. A number that means something else to the others costs a record that says nothing new.
const CALLS: Option<(&str, u32, [i32; 4])> = if cfg!(target_arch = "x86_64") {
    Some(("pt_regs.orig_ax", 8, [272, 308, 310, 346]))
} else if cfg!(target_arch = "aarch64") {
    Some(("pt_regs.syscallno", 4, [97, 268, 337, 375]))
} else {
    None
};

/// Where the fields of a record are.
mod at {
    pub(super) const KIND: i16 = 0;
    /// The PID and TID in the reader's PID namespace.
    pub(super) const PID: i16 = 4;
    pub(super) const TID: i16 = 8;
    /// By the monotonic clock, in nanoseconds.
    pub(super) const TIME: i16 = 16;
    pub(super) const COMM: i16 = 24;
    /// The inode numbers of the namespaces, in the order of their types, and those for children.
    pub(super) const INODES: i16 = 40;
    /// Their unique IDs.
    pub(super) const IDS: i16 = 80;
}

/// The bytes of a record.
pub(super) const SIZE: usize = 160;
/// The record on the stack.
const EVENT: i16 = NSPROXY - SIZE as i16;
/// A place on the stack for a number.
const NUMBER: i16 = -8;

/// What a program says of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventRecord {
    pub(crate) kind: TaskEventKind,
    pub(crate) pid: u32,
    pub(crate) tid: u32,
    /// By the monotonic clock, in nanoseconds.
    pub(crate) time_ns: u64,
    pub(crate) comm: [u8; 16],
    /// 0 where it has none.
    pub(crate) inodes: [u32; 10],
    /// 0 where the kernel has none.
    pub(crate) unique_ids: [u64; 10],
}

impl EventRecord {
    /// Reads a record; `None` for a kind that no program writes.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut kinds = OF_TASKS.iter().chain([&OF_SYSTEM_CALLS]).map(|of| of.kind);
        let number = u32_of(bytes, at::KIND);
        Some(Self {
            kind: kinds.find(|&kind| kind as u32 == number)?,
            pid: u32_of(bytes, at::PID),
            tid: u32_of(bytes, at::TID),
            time_ns: u64_of(bytes, at::TIME),
            comm: bytes.get(at::COMM as usize..).and_then(<[u8]>::first_chunk).copied().unwrap_or_default(),
            inodes: std::array::from_fn(|index| u32_of(bytes, at::INODES + 4 * index as i16)),
            unique_ids: std::array::from_fn(|index| u64_of(bytes, at::IDS + 8 * index as i16)),
        })
    }
}

/// The PID namespace of the reader, in whose numbers records are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader {
    /// How deep it is: 0 for the initial one.
    pub(super) level: u32,
    pub(super) inode: u32,
}

/// The program that tells how deep the reader's PID namespace is. It belongs to the iterator of tasks, and says it for each.
pub(super) fn of_level(btf: &Btf<'_>) -> Result<Vec<BpfInstruction>, Missing> {
    let f = Fields(btf);
    let mut p = Assembler::default();
    p.load(Width::Eight, R7, R1, f.pointer("bpf_iter__task.meta")?);
    p.load(Width::Eight, R7, R7, f.pointer("bpf_iter_meta.seq")?);
    p.call(Helper::GetCurrentTask);
    p.copy(R6, R0);
    p.follow(R6, R6, f.pointer("task_struct.thread_pid")?);
    p.clear_record(8);
    p.read(super::programs::RECORD, 4, R6, f.number("pid.level")?);
    p.write_record(R7, 8);
    p.finish();
    p.instructions().ok_or(Missing("pid.level"))
}

/// The program for a tracepoint. It writes to the ring, and counts what did not go in.
pub(super) fn of_tracepoint(
    btf: &Btf<'_>,
    tracepoint: &Tracepoint,
    reader: Reader,
    ring: &dyn AsFd,
    lost: &dyn AsFd,
) -> Result<Vec<BpfInstruction>, Missing> {
    let f = Fields(btf);
    let mut p = Assembler::default();
    let end = p.label();
    match tracepoint.task {
        Some(argument) => p.load(Width::Eight, R6, R1, 8 * argument),
        None => {
            // Most calls return something else than 0, or are others.
            p.load(Width::Eight, R6, R1, 8);
            p.jump_if(R6, If::NotEqual, 0, end);
            let (register, size, calls) = CALLS.ok_or(Missing("pt_regs"))?;
            p.load(Width::Eight, R6, R1, 0);
            p.read(NUMBER, 4, R6, f.at(register, size)?);
            p.load(Width::Four, R7, FRAME, NUMBER);
            // Programs with 32-bit pointers have a bit of their own in it.
            p.and(R7, 0xfff);
            let is_one = p.label();
            calls.into_iter().for_each(|call| p.jump_if(R7, If::Equal, call, is_one));
            p.jump(end);
            p.place(is_one);
            p.call(Helper::GetCurrentTask);
            p.copy(R6, R0);
        }
    }
    for offset in (0..SIZE as i16).step_by(8) {
        p.store_number(Width::Eight, FRAME, EVENT + offset, 0);
    }
    p.store_number(Width::Four, FRAME, EVENT + at::KIND, tracepoint.kind as i32);

    // Tasks outside of the reader's PID namespace have no number in it.
    let numbers = f.start("pid.numbers")?;
    let upid = btf.size_of("upid").ok_or(Missing("upid"))?;
    let number = i64::from(numbers) + i64::from(reader.level) * i64::from(upid);
    let number = i16::try_from(number).map_err(|_| Missing("upid"))?;
    let (thread_pid, nr) = (f.pointer("task_struct.thread_pid")?, number + f.number("upid.nr")?);
    p.follow(R8, R6, thread_pid);
    if reader.level > 0 {
        p.read(NUMBER, 4, R8, f.number("pid.level")?);
        p.load(Width::Four, R7, FRAME, NUMBER);
        p.jump_if_32(R7, If::Less, reader.level as i32, end);
        p.follow(R7, R8, number + f.pointer("upid.ns")?);
        p.read(NUMBER, 4, R7, f.number("pid_namespace.ns.inum")?);
        p.load(Width::Four, R7, FRAME, NUMBER);
        p.jump_if_32(R7, If::NotEqual, reader.inode as i32, end);
    }
    p.read(EVENT + at::TID, 4, R8, nr);
    p.follow(R9, R6, f.pointer("task_struct.group_leader")?);
    p.follow(R9, R9, thread_pid);
    p.read(EVENT + at::PID, 4, R9, nr);
    p.read(EVENT + at::COMM, 16, R6, f.at("task_struct.comm", 16)?);
    p.call(Helper::KtimeGetNs);
    p.store(Width::Eight, FRAME, EVENT + at::TIME, R0);

    let tell = |p: &mut Assembler, namespace: Register, index: usize, ns_type: NamespaceType| {
        let (inum, unique_id) = paths(ns_type);
        p.read(EVENT + at::INODES + 4 * index as i16, 4, namespace, f.number(inum)?);
        // Since Linux 6.18.
        if let Ok(unique_id) = f.at(unique_id, 8) {
            p.read(EVENT + at::IDS + 8 * index as i16, 8, namespace, unique_id);
        }
        Ok(())
    };
    // The last of the numbers is that in the PID namespace that the task is in.
    p.read(NUMBER, 4, R8, f.number("pid.level")?);
    p.load(Width::Four, R9, FRAME, NUMBER);
    p.multiply(R9, upid as i32);
    p.add_register(R8, R9);
    p.follow(R8, R8, numbers + f.pointer("upid.ns")?);
    tell(&mut p, R8, NamespaceType::Pid as usize, NamespaceType::Pid)?;
    p.follow(R8, R6, f.pointer("task_struct.real_cred")?);
    p.follow(R8, R8, f.pointer("cred.user_ns")?);
    tell(&mut p, R8, NamespaceType::User as usize, NamespaceType::User)?;

    let size = nsproxy_size(btf)?;
    p.follow(R8, R6, f.pointer("task_struct.nsproxy")?);
    p.read(NSPROXY, size.into(), R8, 0);
    for (pointer, index, ns_type) in [
        ("nsproxy.mnt_ns", 0, NamespaceType::Mnt),
        ("nsproxy.cgroup_ns", 1, NamespaceType::Cgroup),
        ("nsproxy.uts_ns", 2, NamespaceType::Uts),
        ("nsproxy.ipc_ns", 3, NamespaceType::Ipc),
        ("nsproxy.net_ns", 6, NamespaceType::Net),
        ("nsproxy.time_ns", 7, NamespaceType::Time),
        ("nsproxy.pid_ns_for_children", 8, NamespaceType::Pid),
        ("nsproxy.time_ns_for_children", 9, NamespaceType::Time),
    ] {
        let pointer = f.pointer(pointer)?;
        if pointer > size - 8 {
            return Err(Missing("nsproxy"));
        }
        p.load(Width::Eight, R8, FRAME, NSPROXY + pointer);
        tell(&mut p, R8, index, ns_type)?;
    }

    p.set_to_map(R1, ring.as_fd().as_raw_fd());
    p.copy(R2, FRAME);
    p.add(R2, EVENT.into());
    p.set(R3, SIZE as i32);
    p.set(R4, 0);
    p.call(Helper::RingbufOutput);
    p.jump_if(R0, If::Equal, 0, end);
    p.set_to_element(R1, lost.as_fd().as_raw_fd());
    p.set(R2, 1);
    p.add_atomically(R1, R2);
    p.place(end);
    p.finish();
    p.instructions().ok_or(Missing("task_struct"))
}

/// Where a namespace's inode number and unique ID are.
fn paths(ns_type: NamespaceType) -> (&'static str, &'static str) {
    match ns_type {
        NamespaceType::Mnt => ("mnt_namespace.ns.inum", "mnt_namespace.ns.ns_id"),
        NamespaceType::Cgroup => ("cgroup_namespace.ns.inum", "cgroup_namespace.ns.ns_id"),
        NamespaceType::Uts => ("uts_namespace.ns.inum", "uts_namespace.ns.ns_id"),
        NamespaceType::Ipc => ("ipc_namespace.ns.inum", "ipc_namespace.ns.ns_id"),
        NamespaceType::User => ("user_namespace.ns.inum", "user_namespace.ns.ns_id"),
        NamespaceType::Pid => ("pid_namespace.ns.inum", "pid_namespace.ns.ns_id"),
        NamespaceType::Net => ("net.ns.inum", "net.ns.ns_id"),
        NamespaceType::Time => ("time_namespace.ns.inum", "time_namespace.ns.ns_id"),
    }
}
