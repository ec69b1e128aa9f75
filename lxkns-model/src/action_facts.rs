//! What decides whether a process may create or enter namespaces, beside its credentials and the namespaces themselves.

use std::collections::BTreeMap;

use bstr::BString;

use super::inside::Limit;
use super::{NamespaceId, Pid};

/// What the kernel asks when a process calls `unshare(2)`, `clone(2)` or `setns(2)`, as far as it is not in a snapshot. What
/// is `None`, or missing, could not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionFacts {
    /// The effective GID.
    pub effective_gid: Option<u32>,
    /// With whom it shares its root directory, working directory and umask.
    pub shared_fs: Option<SharedFs>,
    /// Whether another process shares its memory (`CLONE_VM`), where that was asked for: only a process that shares it with
    /// nobody can enter a time namespace.
    pub shares_memory: Option<bool>,
    /// Whether its root directory is another than that of its mount namespace.
    pub is_chrooted: Option<bool>,
    /// Whether the PID namespace for its children has had a first process.
    pub children_had_init: Option<bool>,
    /// The soft limit on processes of its user (`RLIMIT_NPROC`); `u64::MAX` where there is none.
    pub process_limit: Option<u64>,
    /// The limits on tasks of its control group and of those above it, as far as there are any.
    pub pids: Option<Vec<PidsLimit>>,
    /// `kernel.unprivileged_userns_clone` of some distributions: whether creating user namespaces takes no capability;
    /// `true` where the kernel has no such setting.
    pub unprivileged_user_namespaces: Option<bool>,
    /// `kernel.apparmor_restrict_unprivileged_userns`: whether AppArmor restricts processes without a profile; `false` where
    /// the kernel has no such setting.
    pub apparmor_restricts: Option<bool>,
    /// Whether the policy of SELinux decides on new user namespaces.
    pub selinux_decides: Option<bool>,
    /// The label by which a security module confines it; `Some(None)` where none does.
    pub confinement: Option<Option<BString>>,
    /// The limits of user namespaces on namespaces of each type.
    pub limits: BTreeMap<NamespaceId, Vec<Limit>>,
}

/// With whom a task shares its root directory, working directory and umask (`CLONE_FS`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SharedFs {
    /// With no other.
    Nobody,
    /// With other tasks of its process.
    OwnTasks,
    /// With this other process.
    Process(Pid),
}

/// The limit on tasks in a control group; `pids.max`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PidsLimit {
    /// The path of the control group, as its hierarchy has it for the reader.
    pub group: BString,
    /// The limit.
    pub max: u64,
    /// How many there are.
    pub current: u64,
}
