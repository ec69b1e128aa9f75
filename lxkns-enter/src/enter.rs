//! What the caller wants to run, and where.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::time::Duration;

use lxkns_core::ProcRoot;
use lxkns_core::model::NamespaceType;

use crate::environment::{Environment, Variables};
use crate::error::Error;
use crate::limits::LimitsOf;
use crate::plan::Plan;
use crate::prepare;
use crate::target::Target;
use crate::tools::Tools;

/// Whose capabilities, `no_new_privs` and security context the command has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum PowersOf {
    /// Those of the target process.
    #[default]
    Target,
    /// The caller's: the command keeps its capabilities and takes on neither `no_new_privs` nor a security context.
    Caller,
}

/// Whose control groups the command is in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CgroupsOf {
    /// Those of the target process, with their limits.
    #[default]
    Target,
    /// The caller's.
    Caller,
}

/// A command to run inside a target. By default it runs in all namespaces and control groups of the target process,
/// with its root directory, IDs, capabilities and security context.
#[derive(Debug)]
pub struct Enter<'a> {
    pub(crate) proc: &'a ProcRoot,
    pub(crate) target: Target,
    pub(crate) only: Option<Vec<NamespaceType>>,
    pub(crate) except: Vec<NamespaceType>,
    pub(crate) command: Vec<OsString>,
    pub(crate) user: Option<Vec<u8>>,
    pub(crate) group: Option<Vec<u8>>,
    pub(crate) environment: Option<Environment>,
    pub(crate) variables: Variables,
    pub(crate) powers: PowersOf,
    pub(crate) cgroups: CgroupsOf,
    pub(crate) keep_fds: Vec<i32>,
    pub(crate) tools: Tools,
    pub(crate) limits: LimitsOf,
    pub(crate) wait: Duration,
}

impl<'a> Enter<'a> {
    /// Enters this target. `proc` is the caller's own procfs.
    pub fn new(proc: &'a ProcRoot, target: Target) -> Self {
        let bytes = |text: OsString| text.as_bytes().to_vec();
        Self {
            proc,
            target,
            only: None,
            except: Vec::new(),
            command: Vec::new(),
            user: None,
            group: None,
            environment: None,
            variables: std::env::vars_os().map(|(name, value)| (bytes(name), bytes(value))).collect(),
            powers: PowersOf::Target,
            cgroups: CgroupsOf::Target,
            keep_fds: Vec::new(),
            tools: Tools::Target,
            limits: LimitsOf::Target,
            wait: Duration::from_secs(1),
        }
    }

    /// Enters only namespaces of these types.
    #[must_use]
    pub fn only(mut self, types: impl IntoIterator<Item = NamespaceType>) -> Self {
        self.only = Some(types.into_iter().collect());
        self
    }

    /// Enters no namespaces of these types.
    #[must_use]
    pub fn except(mut self, types: impl IntoIterator<Item = NamespaceType>) -> Self {
        self.except.extend(types);
        self
    }

    /// Sets the command with its arguments. The default is the user's shell.
    #[must_use]
    pub fn command(mut self, command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.command = command.into_iter().map(Into::into).collect();
        self
    }

    /// Runs as this user: a UID, or a name in the target's `/etc/passwd`. A name, or a UID with an entry, also sets the
    /// GID and the groups.
    #[must_use]
    pub fn user(mut self, user: impl AsRef<OsStr>) -> Self {
        self.user = Some(user.as_ref().as_bytes().to_vec());
        self
    }

    /// Runs with this group: a GID, or a name in the target's `/etc/group`.
    #[must_use]
    pub fn group(mut self, group: impl AsRef<OsStr>) -> Self {
        self.group = Some(group.as_ref().as_bytes().to_vec());
        self
    }

    /// Sets where the environment comes from. The default is the target process if its mount namespace is entered, else
    /// the caller. The environment of a process that shares the caller's files is refused for a command with another
    /// user or more privileges.
    #[must_use]
    pub fn environment(mut self, environment: Environment) -> Self {
        self.environment = Some(environment);
        self
    }

    /// Whose capabilities, `no_new_privs` and security context the command has.
    #[must_use]
    pub fn powers(mut self, powers: PowersOf) -> Self {
        self.powers = powers;
        self
    }

    /// Sets whose control groups the command is in.
    #[must_use]
    pub fn cgroups(mut self, cgroups: CgroupsOf) -> Self {
        self.cgroups = cgroups;
        self
    }

    /// Passes on these descriptors besides standard input, output and error. They must not be close-on-exec.
    #[must_use]
    pub fn keep_fds(mut self, fds: impl IntoIterator<Item = i32>) -> Self {
        self.keep_fds.extend(fds);
        self
    }

    /// Sets where the command's program comes from.
    #[must_use]
    pub fn tools(mut self, tools: Tools) -> Self {
        self.tools = tools;
        self
    }

    /// Sets whose resource limits, umask, CPU affinity, nice value, I/O priority and execution domain the command has.
    #[must_use]
    pub fn limits(mut self, limits: LimitsOf) -> Self {
        self.limits = limits;
        self
    }

    /// Sets the timeout for each file system inside, and for the memory of the process.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Opens and verifies everything, and returns the plan. Enters nothing.
    ///
    /// # Errors
    ///
    /// Any [`ErrorKind`](crate::ErrorKind) except those about the command.
    ///
    /// # Privileges
    ///
    /// For a process: ptrace read access (`ptrace(2)`) and write access to the `cgroup.procs` of its control groups. To
    /// execute the plan, those of `setns(2)`: `CAP_SYS_ADMIN` in the caller's user namespace and in the owners of the
    /// namespaces, and for a mount namespace `CAP_SYS_CHROOT` in the caller's; or the caller owns the user namespace that is
    /// entered, and that owns the other namespaces.
    ///
    /// # Minimum kernel version
    ///
    /// 4.11. Names of users and groups need 5.6 (`openat2(2)`).
    pub fn prepare(&self) -> Result<Plan, Error> {
        prepare::prepare(self)
    }
}
