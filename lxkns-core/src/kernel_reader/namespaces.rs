//! The programs that tell what namespaces say of themselves: owner, parent, who created a user namespace, unique ID. They run
//! only where the caller may not open a namespace, and ask the kernel.

use lxkns_sys::BpfInstruction;

use super::assembler::{Assembler, FRAME, Helper, If, R0, R1, R6, R7, R8, R9, Width};
use super::btf::Btf;
use super::programs::{Fields, Missing, NSPROXY, RECORD, nsproxy_size};
use super::records::{NAMESPACE, NSFS, SOCKFS, namespace};
use crate::model::NamespaceType;

/// The user namespace of the task's credentials.
pub(super) const USER: i16 = -24;
/// The number of levels of user and PID namespaces that are followed upwards: one more than the kernel allows (32).
const LEVELS: i32 = 33;

/// Where a type's structure has what is read of it.
pub(super) struct Layout {
    pub(super) ns_type: NamespaceType,
    /// The part that all types have.
    pub(super) common: i16,
    inum: i16,
    /// How many references the kernel counts; this has had several names, and before Linux 5.11 several places.
    pub(super) references: Option<i16>,
    /// Since Linux 6.18.
    pub(super) unique_id: Option<i16>,
    /// The owner; of a user namespace, its parent.
    owner: i16,
    /// The parent, of a PID namespace.
    parent: Option<i16>,
    /// The UID that created it, of a user namespace.
    owner_uid: Option<i16>,
    /// The number of the last change, of a mount namespace.
    changed: Option<i16>,
}

impl Layout {
    fn of(f: &Fields<'_>, ns_type: NamespaceType) -> Result<Self, Missing> {
        let (common, inum, unique_id, owner) = match ns_type {
            NamespaceType::Mnt => {
                ("mnt_namespace.ns", "mnt_namespace.ns.inum", "mnt_namespace.ns.ns_id", "mnt_namespace.user_ns")
            }
            NamespaceType::Cgroup => (
                "cgroup_namespace.ns",
                "cgroup_namespace.ns.inum",
                "cgroup_namespace.ns.ns_id",
                "cgroup_namespace.user_ns",
            ),
            NamespaceType::Uts => {
                ("uts_namespace.ns", "uts_namespace.ns.inum", "uts_namespace.ns.ns_id", "uts_namespace.user_ns")
            }
            NamespaceType::Ipc => {
                ("ipc_namespace.ns", "ipc_namespace.ns.inum", "ipc_namespace.ns.ns_id", "ipc_namespace.user_ns")
            }
            NamespaceType::User => {
                ("user_namespace.ns", "user_namespace.ns.inum", "user_namespace.ns.ns_id", "user_namespace.parent")
            }
            NamespaceType::Pid => {
                ("pid_namespace.ns", "pid_namespace.ns.inum", "pid_namespace.ns.ns_id", "pid_namespace.user_ns")
            }
            NamespaceType::Net => ("net.ns", "net.ns.inum", "net.ns.ns_id", "net.user_ns"),
            NamespaceType::Time => {
                ("time_namespace.ns", "time_namespace.ns.inum", "time_namespace.ns.ns_id", "time_namespace.user_ns")
            }
        };
        let is = |other| ns_type == other;
        Ok(Self {
            ns_type,
            common: f.start(common)?,
            inum: f.number(inum)?,
            references: match f.number("ns_common.__ns_ref").or_else(|_| f.number("ns_common.count")) {
                Ok(within) => Some(f.start(common)? + within),
                Err(_) => None,
            },
            unique_id: f.at(unique_id, 8).ok(),
            owner: f.pointer(owner)?,
            parent: is(NamespaceType::Pid).then(|| f.pointer("pid_namespace.parent")).transpose()?,
            owner_uid: is(NamespaceType::User).then(|| f.number("user_namespace.owner")).transpose()?,
            changed: if is(NamespaceType::Mnt) { f.at("mnt_namespace.event", 8).ok() } else { None },
        })
    }
}

/// Writes the programs: what they need to know of each type.
pub(super) struct Writer {
    pub(super) layouts: Vec<Layout>,
    user_inum: i16,
}

impl Writer {
    pub(super) fn new(f: &Fields<'_>) -> Result<Self, Missing> {
        let layouts = NamespaceType::ALL.into_iter().map(|ns_type| Layout::of(f, ns_type)).collect::<Result<_, _>>()?;
        Ok(Self { layouts, user_inum: f.number("user_namespace.ns.inum")? })
    }

    fn layout(&self, ns_type: NamespaceType) -> &Layout {
        &self.layouts[ns_type as usize]
    }

    /// Writes the record of the namespace whose structure R6 points to; R7 is where it goes. Uses R8.
    pub(super) fn write_one(&self, p: &mut Assembler, layout: &Layout) {
        p.clear_record(NAMESPACE);
        p.store_number(Width::Four, FRAME, RECORD + namespace::TYPE, layout.ns_type.clone_flag() as i32);
        p.store(Width::Eight, FRAME, RECORD + namespace::ADDRESS, R6);
        p.read(RECORD + namespace::INUM, 4, R6, layout.inum);
        if let Some(references) = layout.references {
            p.read(RECORD + namespace::REFERENCES, 4, R6, references);
        }
        if let Some(unique_id) = layout.unique_id {
            p.read(RECORD + namespace::UNIQUE_ID, 8, R6, unique_id);
        }
        p.follow(R8, R6, layout.owner);
        p.read(RECORD + namespace::OWNER, 4, R8, self.user_inum);
        if let Some(parent) = layout.parent {
            p.follow(R8, R6, parent);
            p.read(RECORD + namespace::PARENT, 4, R8, layout.inum);
        }
        if let Some(owner_uid) = layout.owner_uid {
            p.read(RECORD + namespace::OWNER_UID, 4, R6, owner_uid);
        }
        if let Some(changed) = layout.changed {
            p.follow(R8, R6, changed);
            p.add(R8, 1);
            p.store(Width::Eight, FRAME, RECORD + namespace::CHANGED, R8);
        }
        p.write_record(R7, NAMESPACE);
    }

    /// Writes the records of the namespace at R6 and of all above it. Uses R8 and R9.
    fn write_upwards(&self, p: &mut Assembler, layout: &Layout, above: i16) {
        let (again, end) = (p.label(), p.label());
        p.set(R9, LEVELS);
        p.place(again);
        p.jump_if(R6, If::Equal, 0, end);
        self.write_one(p, layout);
        p.follow(R6, R6, above);
        p.add(R9, -1);
        p.jump_if(R9, If::NotEqual, 0, again);
        p.place(end);
    }

    /// Writes the record of the namespace of this type at R6, those of the PID namespaces above it, and those of its owner
    /// and all above that, unless that is the user namespace of the task.
    fn write_with_owners(&self, p: &mut Assembler, ns_type: NamespaceType) {
        let (layout, user) = (self.layout(ns_type), self.layout(NamespaceType::User));
        let end = p.label();
        p.jump_if(R6, If::Equal, 0, end);
        if ns_type == NamespaceType::User {
            self.write_upwards(p, user, user.owner);
        } else {
            self.write_one(p, layout);
            p.store(Width::Eight, FRAME, KEPT, R6);
            p.follow(R6, R6, layout.owner);
            let known = p.label();
            p.load(Width::Eight, R8, FRAME, USER);
            p.jump_if_equal(R6, R8, known);
            self.write_upwards(p, user, user.owner);
            p.place(known);
            if let Some(parent) = layout.parent {
                p.load(Width::Eight, R6, FRAME, KEPT);
                p.follow(R6, R6, parent);
                self.write_upwards(p, layout, parent);
            }
        }
        p.place(end);
    }
}

/// The structure of a namespace while others are written.
pub(super) const KEPT: i16 = -32;

/// The program for each task: the namespaces that it is in, and those for its children.
pub(super) fn of_tasks(btf: &Btf<'_>) -> Result<Vec<BpfInstruction>, Missing> {
    let f = Fields(btf);
    let writer = Writer::new(&f)?;
    let size = nsproxy_size(btf)?;
    let (nsproxy, cred) = (f.pointer("task_struct.nsproxy")?, f.pointer("task_struct.real_cred")?);
    let user_ns = f.pointer("cred.user_ns")?;

    let mut p = Assembler::default();
    let (end, tell) = (p.label(), p.label());
    p.load(Width::Eight, R6, R1, f.pointer("bpf_iter__task.task")?);
    p.load(Width::Eight, R7, R1, f.pointer("bpf_iter__task.meta")?);
    p.load(Width::Eight, R7, R7, f.pointer("bpf_iter_meta.seq")?);
    p.jump_if(R6, If::Equal, 0, end);
    p.follow(R8, R6, cred);
    p.follow(R8, R8, user_ns);
    p.store(Width::Eight, FRAME, USER, R8);
    p.follow(R9, R6, nsproxy);
    // The reader's own namespaces, which most tasks share, are told of once: by the task that reads. The task itself cannot be
    // compared, only its number.
    let pid = f.number("task_struct.pid")?;
    p.call(Helper::GetCurrentTask);
    p.store(Width::Eight, FRAME, KEPT, R0);
    p.follow(R8, R0, nsproxy);
    p.jump_if_not_equal(R9, R8, tell);
    p.load(Width::Eight, R8, FRAME, KEPT);
    p.follow(R8, R8, cred);
    p.follow(R8, R8, user_ns);
    p.load(Width::Eight, R0, FRAME, USER);
    p.jump_if_not_equal(R0, R8, tell);
    p.load(Width::Eight, R8, FRAME, KEPT);
    p.store_number(Width::Eight, FRAME, KEPT, 0);
    p.read(KEPT, 4, R8, pid);
    p.load(Width::Four, R8, FRAME, KEPT);
    p.read(KEPT, 4, R6, pid);
    p.load(Width::Four, R0, FRAME, KEPT);
    p.jump_if_not_equal(R0, R8, end);
    p.place(tell);
    // A task that exits has no nsproxy: zeros.
    p.read(NSPROXY, size.into(), R9, 0);
    p.load(Width::Eight, R6, FRAME, USER);
    writer.write_with_owners(&mut p, NamespaceType::User);
    for (pointer, ns_type) in [
        ("nsproxy.mnt_ns", NamespaceType::Mnt),
        ("nsproxy.cgroup_ns", NamespaceType::Cgroup),
        ("nsproxy.uts_ns", NamespaceType::Uts),
        ("nsproxy.ipc_ns", NamespaceType::Ipc),
        ("nsproxy.net_ns", NamespaceType::Net),
        ("nsproxy.time_ns", NamespaceType::Time),
        ("nsproxy.time_ns_for_children", NamespaceType::Time),
        // The one that it is in is this one, or above it.
        ("nsproxy.pid_ns_for_children", NamespaceType::Pid),
    ] {
        let pointer = f.pointer(pointer)?;
        if pointer > size - 8 {
            return Err(Missing("nsproxy"));
        }
        p.load(Width::Eight, R6, FRAME, NSPROXY + pointer);
        writer.write_with_owners(&mut p, ns_type);
    }
    p.place(end);
    p.finish();
    p.instructions().ok_or(Missing("task_struct"))
}

/// The program for each open file: the namespace that it is on, or that a socket holds.
pub(super) fn of_files(btf: &Btf<'_>) -> Result<Vec<BpfInstruction>, Missing> {
    let f = Fields(btf);
    let writer = Writer::new(&f)?;
    let mut p = Assembler::default();
    let (end, on_socket) = (p.label(), p.label());
    p.load(Width::Eight, R6, R1, f.pointer("bpf_iter__task_file.file")?);
    p.load(Width::Eight, R7, R1, f.pointer("bpf_iter__task_file.meta")?);
    p.load(Width::Eight, R7, R7, f.pointer("bpf_iter_meta.seq")?);
    p.jump_if(R6, If::Equal, 0, end);
    p.store_number(Width::Eight, FRAME, USER, 0);
    p.follow(R8, R6, f.pointer("file.f_inode")?);
    p.follow(R9, R8, f.pointer("inode.i_sb")?);
    p.follow(R9, R9, f.at("super_block.s_magic", 8)?);
    p.jump_if(R9, If::Equal, SOCKFS as i32, on_socket);
    p.jump_if(R9, If::NotEqual, NSFS as i32, end);

    p.follow(R6, R8, f.pointer("inode.i_private")?);
    p.store_number(Width::Eight, FRAME, KEPT, 0);
    f.read_type(&mut p, KEPT, R6)?;
    p.load(Width::Eight, R9, FRAME, KEPT);
    for layout in &writer.layouts {
        let other = p.label();
        p.jump_if(R9, If::NotEqual, layout.ns_type.clone_flag() as i32, other);
        p.add(R6, -i32::from(layout.common));
        writer.write_with_owners(&mut p, layout.ns_type);
        p.jump(end);
        p.place(other);
    }
    p.jump(end);

    p.place(on_socket);
    p.follow(R6, R6, f.pointer("file.private_data")?);
    p.jump_if(R6, If::Equal, 0, end);
    p.follow(R6, R6, f.pointer("socket.sk")?);
    p.jump_if(R6, If::Equal, 0, end);
    p.follow(R6, R6, f.pointer("sock.__sk_common.skc_net.net")?);
    writer.write_with_owners(&mut p, NamespaceType::Net);
    p.place(end);
    p.finish();
    p.instructions().ok_or(Missing("file"))
}
