//! The programs that the kernel runs for each task and for each open file, and the fields that they read.
//!
//! Fields of tasks, files and inodes, which the verifier knows by their types, are loaded; all other memory is read with
//! `bpf_probe_read_kernel`. Both give zeros where a pointer leads nowhere, so a program never fails. A load takes a tenth of the
//! time, but for a pointer of which the kernel's description does not say where it leads, the verifier refuses it.

use lxkns_sys::BpfInstruction;

use super::assembler::{Assembler, FRAME, Helper, If, R0, R1, R2, R3, R6, R7, R8, R9, Register, Width};
use super::btf::{Btf, Field};
use super::records::{
    ANON_INODE, CGROUP, CGROUP2, FILE, NSFS, PIDFS, PROC, SOCKFS, TASK, TASK_AND_STATUS, TUN, file, task,
};

/// The structures whose fields the programs read.
pub(super) const STRUCTS: [&str; 42] = [
    "bpf_iter__task",
    "bpf_iter__task_file",
    "bpf_iter__bpf_map_elem",
    "bpf_iter_meta",
    "task_struct",
    "fs_struct",
    "nsproxy",
    "cred",
    "pid",
    "upid",
    "ns_common",
    "proc_ns_operations",
    "mnt_namespace",
    "cgroup_namespace",
    "uts_namespace",
    "ipc_namespace",
    "user_namespace",
    "pid_namespace",
    "net",
    "time_namespace",
    "file",
    "inode",
    "super_block",
    "socket",
    "sock",
    "sk_buff_head",
    "sk_buff",
    "unix_skb_parms",
    "scm_fp_list",
    "dentry",
    "seq_file",
    "proc_mounts",
    "kernfs_open_file",
    "cgroup_file_ctx",
    "ipc_ids",
    "xa_node",
    "shmid_kernel",
    "tun_file",
    "tun_struct",
    "net_device",
    "pt_regs",
    "vfsmount",
];

/// The iterators that the programs belong to.
pub(super) const TASK_ITERATOR: &str = "bpf_iter_task";
pub(super) const FILE_ITERATOR: &str = "bpf_iter_task_file";

/// The field that a kernel does not have, or not in the expected form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Missing(pub(super) &'static str);

/// The fields of the running kernel's structures.
pub(super) struct Fields<'a>(pub(super) &'a Btf<'a>);

impl Fields<'_> {
    /// Where a field of this size begins.
    pub(super) fn at(&self, path: &'static str, size: u32) -> Result<i16, Missing> {
        let found = self.0.field(path).filter(|field| field.size == size);
        found.and_then(|field: Field| i16::try_from(field.offset).ok()).ok_or(Missing(path))
    }

    /// Where a pointer is.
    pub(super) fn pointer(&self, path: &'static str) -> Result<i16, Missing> {
        self.at(path, 8)
    }

    /// Where a number of 4 bytes is.
    pub(super) fn number(&self, path: &'static str) -> Result<i16, Missing> {
        self.at(path, 4)
    }

    /// Where a field of any size begins.
    pub(super) fn start(&self, path: &'static str) -> Result<i16, Missing> {
        let found = self.0.field(path);
        found.and_then(|field: Field| i16::try_from(field.offset).ok()).ok_or(Missing(path))
    }

    /// Copies the flag of `clone(2)` for the type of a namespace to the stack. The register points to the part that those of
    /// all types have.
    pub(super) fn read_type(&self, p: &mut Assembler, to: i16, common: Register) -> Result<(), Missing> {
        match self.number("ns_common.ns_type") {
            Ok(ns_type) => p.read(to, 4, common, ns_type),
            // Before Linux 6.18, the type is with the operations.
            Err(_) => {
                p.follow(R0, common, self.pointer("ns_common.ops")?);
                p.read(to, 4, R0, self.number("proc_ns_operations.type")?);
            }
        }
        Ok(())
    }
}

/// A place on the stack for something that is read on the way.
const SCRATCH: i16 = -8;
/// Another one.
const LEVEL: i16 = -16;
/// The copy of a `nsproxy`, behind these and two more places.
pub(super) const NSPROXY: i16 = -32 - NSPROXY_SIZE;
/// The bytes of the largest `nsproxy` that there is room for. It has ten pointers at most.
const NSPROXY_SIZE: i16 = 128;
/// The record, behind that.
pub(super) const RECORD: i16 = NSPROXY - TASK_AND_STATUS as i16;

impl Assembler {
    /// Copies `size` bytes from `source + offset` to the stack.
    pub(super) fn read(&mut self, to: i16, size: i32, source: Register, offset: i16) {
        self.copy(R3, source);
        self.add(R3, offset.into());
        self.read_from_r3(to, size);
    }

    /// As [`read`](Self::read), from where R3 points to.
    pub(super) fn read_from_r3(&mut self, to: i16, size: i32) {
        self.copy(R1, FRAME);
        self.add(R1, to.into());
        self.set(R2, size);
        self.call(Helper::ProbeReadKernel);
    }

    /// Copies a field of 4 or 8 bytes, of a structure that the verifier knows by its type, to the stack.
    fn copy_field(&mut self, width: Width, to: i16, source: Register, offset: i16) {
        self.load(width, R0, source, offset);
        self.store(width, FRAME, to, R0);
    }

    /// `destination = *(source + offset)`, of a pointer in the kernel's memory.
    pub(super) fn follow(&mut self, destination: Register, source: Register, offset: i16) {
        self.read(SCRATCH, 8, source, offset);
        self.load(Width::Eight, destination, FRAME, SCRATCH);
    }

    /// Writes the record, which is complete.
    pub(super) fn write_record(&mut self, sequence: Register, size: usize) {
        self.copy(R1, sequence);
        self.copy(R2, FRAME);
        self.add(R2, RECORD.into());
        self.set(R3, size as i32);
        self.call(Helper::SeqWrite);
    }

    /// Fills the record with zeros: the verifier wants every byte of it written.
    pub(super) fn clear_record(&mut self, size: usize) {
        for at in (0..size).step_by(8) {
            self.store_number(Width::Eight, FRAME, RECORD + at as i16, 0);
        }
    }
}

/// The size of a `nsproxy`, if there is room for it.
pub(super) fn nsproxy_size(btf: &Btf<'_>) -> Result<i16, Missing> {
    let size = btf.size_of("nsproxy").and_then(|size| i16::try_from(size).ok());
    size.filter(|size| (8..=NSPROXY_SIZE).contains(size)).ok_or(Missing("nsproxy"))
}

/// Where the powers of a task are.
struct PowerFields {
    ids: i16,
    capabilities: i16,
    atomic_flags: i16,
    /// A kernel without seccomp has none.
    seccomp: Option<i16>,
}

impl PowerFields {
    fn of(f: &Fields<'_>) -> Result<Self, Missing> {
        /// In this order, one after another.
        const IDS: [&str; 8] =
            ["cred.uid", "cred.gid", "cred.suid", "cred.sgid", "cred.euid", "cred.egid", "cred.fsuid", "cred.fsgid"];
        const SETS: [&str; 5] =
            ["cred.cap_inheritable", "cred.cap_permitted", "cred.cap_effective", "cred.cap_bset", "cred.cap_ambient"];
        let in_order = |paths: &[&'static str], size: i16| -> Result<i16, Missing> {
            let first = f.at(paths[0], size as u32)?;
            for (path, place) in paths.iter().zip((first..).step_by(size as usize)) {
                if f.at(path, size as u32)? != place {
                    return Err(Missing(path));
                }
            }
            Ok(first)
        };
        // Before Linux 6.3, a set is two numbers of 4 bytes, the lower first.
        if cfg!(target_endian = "big") {
            f.at("cred.cap_inheritable.val", 8)?;
        }
        Ok(Self {
            ids: in_order(&IDS, 4)?,
            capabilities: in_order(&SETS, 8)?,
            atomic_flags: f.at("task_struct.atomic_flags", 8)?,
            seccomp: f.number("task_struct.seccomp.mode").ok(),
        })
    }
}

/// The program for each task; `with_status` with what `/proc/PID/status` shows of its powers and numbers.
pub(super) fn for_tasks(btf: &Btf<'_>, with_status: bool) -> Result<Vec<BpfInstruction>, Missing> {
    let f = Fields(btf);
    let powers = if with_status { Some(PowerFields::of(&f)?) } else { None };
    let record = if with_status { TASK_AND_STATUS } else { TASK };
    let size_of = |name: &'static str| btf.size_of(name).and_then(|size| i16::try_from(size).ok()).ok_or(Missing(name));
    let nsproxy_size = nsproxy_size(btf)?;
    // Above the first of `numbers` come the PIDs in the PID namespaces below.
    let numbers = btf.field("pid.numbers").and_then(|field| i16::try_from(field.offset).ok());
    let numbers = numbers.ok_or(Missing("pid.numbers"))?;
    let upid = size_of("upid")?;
    if with_status && upid != task::NUMBER_SIZE {
        return Err(Missing("upid"));
    }

    let mut p = Assembler::default();
    let (end, without_nsproxy) = (p.label(), p.label());
    // r6: the task; r7: where the record goes.
    p.load(Width::Eight, R6, R1, f.pointer("bpf_iter__task.task")?);
    p.load(Width::Eight, R7, R1, f.pointer("bpf_iter__task.meta")?);
    p.load(Width::Eight, R7, R7, f.pointer("bpf_iter_meta.seq")?);
    // After the last task, the program runs once more without one.
    p.jump_if(R6, If::Equal, 0, end);
    p.clear_record(record);

    p.copy_field(Width::Four, RECORD + task::TGID, R6, f.number("task_struct.tgid")?);
    p.copy_field(Width::Four, RECORD + task::TID, R6, f.number("task_struct.pid")?);
    p.copy_field(Width::Eight, RECORD + task::STARTED, R6, f.at("task_struct.start_boottime", 8)?);
    p.copy_field(Width::Four, RECORD + task::FLAGS, R6, f.number("task_struct.flags")?);
    p.read(RECORD + task::COMM, 16, R6, f.at("task_struct.comm", 16)?);
    // Before Linux 5.14, a long with another name.
    let of_a_long = if cfg!(target_endian = "little") { 0 } else { 4 };
    let state = f.number("task_struct.__state").or_else(|_| Ok(f.at("task_struct.state", 8)? + of_a_long))?;
    p.copy_field(Width::Four, RECORD + task::STATE, R6, state);
    p.copy_field(Width::Four, RECORD + task::EXIT_STATE, R6, f.number("task_struct.exit_state")?);
    p.read(RECORD + task::FILES, 8, R6, f.pointer("task_struct.files")?);
    p.load(Width::Eight, R8, R6, f.pointer("task_struct.real_parent")?);
    p.copy_field(Width::Four, RECORD + task::PARENT, R8, f.number("task_struct.tgid")?);
    p.follow(R8, R6, f.pointer("task_struct.real_cred")?);
    if let Some(powers) = &powers {
        p.read(RECORD + task::IDS, 32, R8, powers.ids);
        p.read(RECORD + task::CAPABILITIES, 40, R8, powers.capabilities);
        p.read(RECORD + task::ATOMIC_FLAGS, 8, R6, powers.atomic_flags);
        match powers.seccomp {
            Some(mode) => p.read(RECORD + task::SECCOMP, 4, R6, mode),
            None => p.store_number(Width::Four, FRAME, RECORD + task::SECCOMP, task::NO_SECCOMP),
        }
    }
    p.follow(R8, R8, f.pointer("cred.user_ns")?);
    p.read(RECORD + task::USER, 4, R8, f.number("user_namespace.ns.inum")?);

    // Without it, the root directory is read from procfs.
    if let (Ok(fs), Ok(root)) = (f.pointer("task_struct.fs"), f.at("fs_struct.root", 16)) {
        p.follow(R8, R6, fs);
        p.read(RECORD + task::ROOT, 16, R8, root);
    }

    // How deep the reader's PID namespace is: the task is numbered there too.
    let (thread_pid, level) = (f.pointer("task_struct.thread_pid")?, f.number("pid.level")?);
    p.call(Helper::GetCurrentTask);
    p.follow(R8, R0, thread_pid);
    p.read(LEVEL, 4, R8, level);
    p.load(Width::Four, R9, FRAME, LEVEL);
    p.follow(R8, R6, thread_pid);
    let number_at = |p: &mut Assembler, field: i16| {
        p.multiply(R9, upid.into());
        p.copy(R3, R8);
        p.add(R3, (numbers + field).into());
        p.add_register(R3, R9);
    };
    if powers.is_some() {
        p.store(Width::Four, FRAME, RECORD + task::READER_LEVEL, R9);
    }
    let number = f.number("upid.nr")?;
    number_at(&mut p, number);
    p.read_from_r3(RECORD + task::NUMBER, 4);
    if powers.is_some() {
        // Behind the last one is other memory, which is not looked at.
        p.load(Width::Four, R9, FRAME, RECORD + task::READER_LEVEL);
        number_at(&mut p, number);
        p.read_from_r3(RECORD + task::NUMBERS, task::NUMBER_SIZE as i32 * task::MOST_NUMBERS as i32);
    }
    // The last number is that in the task's own PID namespace.
    p.read(LEVEL, 4, R8, level);
    p.load(Width::Four, R9, FRAME, LEVEL);
    if powers.is_some() {
        p.store(Width::Four, FRAME, RECORD + task::LEVEL, R9);
    }
    number_at(&mut p, f.pointer("upid.ns")?);
    p.read_from_r3(SCRATCH, 8);
    p.load(Width::Eight, R8, FRAME, SCRATCH);
    let pid_inum = f.number("pid_namespace.ns.inum")?;
    p.read(RECORD + task::PID, 4, R8, pid_inum);

    p.follow(R8, R6, f.pointer("task_struct.nsproxy")?);
    p.jump_if(R8, If::Equal, 0, without_nsproxy);
    p.store(Width::Eight, FRAME, RECORD + task::NSPROXY, R8);
    p.read(NSPROXY, nsproxy_size.into(), R8, 0);
    let time_inum = f.number("time_namespace.ns.inum");
    let namespaces = [
        (f.pointer("nsproxy.mnt_ns"), f.number("mnt_namespace.ns.inum"), task::MNT),
        (f.pointer("nsproxy.cgroup_ns"), f.number("cgroup_namespace.ns.inum"), task::CGROUP),
        (f.pointer("nsproxy.uts_ns"), f.number("uts_namespace.ns.inum"), task::UTS),
        (f.pointer("nsproxy.ipc_ns"), f.number("ipc_namespace.ns.inum"), task::IPC),
        (f.pointer("nsproxy.net_ns"), f.number("net.ns.inum"), task::NET),
        (f.pointer("nsproxy.time_ns"), time_inum, task::TIME),
        (f.pointer("nsproxy.pid_ns_for_children"), Ok(pid_inum), task::PID_FOR_CHILDREN),
        (f.pointer("nsproxy.time_ns_for_children"), time_inum, task::TIME_FOR_CHILDREN),
    ];
    for (pointer, inum, to) in namespaces {
        // `read` needs an offset within the copy of this structure.
        let pointer = pointer?;
        if pointer > nsproxy_size - 8 {
            return Err(Missing("nsproxy"));
        }
        p.load(Width::Eight, R8, FRAME, NSPROXY + pointer);
        p.read(RECORD + to, 4, R8, inum?);
    }
    p.place(without_nsproxy);
    p.write_record(R7, record);
    p.place(end);
    p.finish();
    p.instructions().ok_or(Missing("task_struct"))
}

/// The program for each open file: it tells of those on namespaces, of sockets and TUN/TAP files; and `with_suspects` of
/// those that can hold a namespace which the kernel does not name.
pub(super) fn for_files(btf: &Btf<'_>, with_suspects: bool) -> Result<Vec<BpfInstruction>, Missing> {
    let f = Fields(btf);
    let mut p = Assembler::default();
    let (end, write) = (p.label(), p.label());
    let (on_namespace, on_socket) = (p.label(), p.label());
    // r6: the file, then its inode; r7: where the record goes.
    p.load(Width::Eight, R6, R1, f.pointer("bpf_iter__task_file.file")?);
    p.load(Width::Eight, R8, R1, f.pointer("bpf_iter__task_file.task")?);
    p.load(Width::Eight, R7, R1, f.pointer("bpf_iter__task_file.meta")?);
    p.load(Width::Eight, R7, R7, f.pointer("bpf_iter_meta.seq")?);
    p.load(Width::Four, R9, R1, f.number("bpf_iter__task_file.fd")?);
    // After the last file, the program runs once more without one.
    p.jump_if(R6, If::Equal, 0, end);
    p.jump_if(R8, If::Equal, 0, end);
    p.clear_record(FILE);
    p.store(Width::Four, FRAME, RECORD + file::FD, R9);
    p.store(Width::Eight, FRAME, RECORD + file::ADDRESS, R6);
    // r9: the task.
    p.copy(R9, R8);
    // Where a file says whose it is on the way to its inode, which takes the place of the file in r8.
    p.load(Width::Eight, R8, R6, f.pointer("file.f_inode")?);
    p.load(Width::Eight, R0, R8, f.pointer("inode.i_sb")?);
    p.load(Width::Eight, R0, R0, f.at("super_block.s_magic", 8)?);
    p.store(Width::Four, FRAME, RECORD + file::KIND, R0);
    p.jump_if(R0, If::Equal, NSFS as i32, on_namespace);
    p.jump_if(R0, If::Equal, SOCKFS as i32, on_socket);
    if with_suspects {
        for magic in [PROC, CGROUP, CGROUP2, ANON_INODE, PIDFS] {
            p.jump_if(R0, If::Equal, magic as i32, write);
        }
    }
    // The number of the device; 0 where it is on none.
    p.load(Width::Four, R0, R8, f.number("inode.i_rdev")?);
    p.jump_if(R0, If::NotEqual, (10 << 20) | 200, end);
    p.store_number(Width::Four, FRAME, RECORD + file::KIND, TUN as i32);
    p.jump(write);

    p.place(on_namespace);
    // An inode of nsfs leads to the part of a namespace that those of all types have.
    p.follow(R6, R8, f.pointer("inode.i_private")?);
    f.read_type(&mut p, RECORD + file::NAMESPACE, R6)?;
    p.jump(write);

    p.place(on_socket);
    // O_PATH opens a socket without being one: such a file has no socket.
    p.follow(R6, R6, f.pointer("file.private_data")?);
    p.jump_if(R6, If::Equal, 0, end);
    p.follow(R6, R6, f.pointer("socket.sk")?);
    p.jump_if(R6, If::Equal, 0, end);
    p.read(RECORD + file::FAMILY, 2, R6, f.at("sock.__sk_common.skc_family", 2)?);
    p.read(RECORD + file::QUEUED, 4, R6, f.number("sock.sk_receive_queue.qlen")?);
    p.follow(R6, R6, f.pointer("sock.__sk_common.skc_net.net")?);
    p.read(RECORD + file::NAMESPACE, 4, R6, f.number("net.ns.inum")?);

    p.place(write);
    p.copy_field(Width::Eight, RECORD + file::INODE, R8, f.at("inode.i_ino", 8)?);
    p.copy_field(Width::Four, RECORD + file::TGID, R9, f.number("task_struct.tgid")?);
    p.copy_field(Width::Four, RECORD + file::TID, R9, f.number("task_struct.pid")?);
    p.write_record(R7, FILE);
    p.place(end);
    p.finish();
    p.instructions().ok_or(Missing("file"))
}
