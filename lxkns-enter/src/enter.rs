//! What is wanted.

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
    /// Those of the process that is entered.
    #[default]
    Target,
    /// The caller's: its capabilities stay, and neither `no_new_privs` nor a security context is taken on.
    Caller,
}

/// In whose control groups the command is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum CgroupsOf {
    /// In those of the process that is entered, whose limits then hold.
    #[default]
    Target,
    /// In the caller's.
    Caller,
}

/// A command that is to run inside a target, and how. Without more said, it is as the process that is entered: in all its
/// namespaces and control groups, with its root, IDs, capabilities and security context.
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
    /// Into this target, as this procfs, which is the caller's own, shows it.
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

    /// Enters the namespaces of these types only.
    #[must_use]
    pub fn only(mut self, types: impl IntoIterator<Item = NamespaceType>) -> Self {
        self.only = Some(types.into_iter().collect());
        self
    }

    /// Does not enter the namespaces of these types.
    #[must_use]
    pub fn except(mut self, types: impl IntoIterator<Item = NamespaceType>) -> Self {
        self.except.extend(types);
        self
    }

    /// The command with its arguments. Without one it is the shell of the user.
    #[must_use]
    pub fn command(mut self, command: impl IntoIterator<Item = impl Into<OsString>>) -> Self {
        self.command = command.into_iter().map(Into::into).collect();
        self
    }

    /// As this user: a UID, or a name that `/etc/passwd` inside has. With a name, or a UID that is there, come its GID and
    /// its groups.
    #[must_use]
    pub fn user(mut self, user: impl AsRef<OsStr>) -> Self {
        self.user = Some(user.as_ref().as_bytes().to_vec());
        self
    }

    /// With this group: a GID, or a name that `/etc/group` inside has.
    #[must_use]
    pub fn group(mut self, group: impl AsRef<OsStr>) -> Self {
        self.group = Some(group.as_ref().as_bytes().to_vec());
        self
    }

    /// With this environment. Otherwise it is that of a process whose mount namespace is entered, else the caller's; of one
    /// that shares the caller's files only for a command that is no other user and has no more powers.
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

    /// In whose control groups the command is.
    #[must_use]
    pub fn cgroups(mut self, cgroups: CgroupsOf) -> Self {
        self.cgroups = cgroups;
        self
    }

    /// Passes on these descriptors beside standard input, output and error. They must not be close-on-exec.
    #[must_use]
    pub fn keep_fds(mut self, fds: impl IntoIterator<Item = i32>) -> Self {
        self.keep_fds.extend(fds);
        self
    }

    /// Where the command's program comes from.
    #[must_use]
    pub fn tools(mut self, tools: Tools) -> Self {
        self.tools = tools;
        self
    }

    /// Whose resource limits, umask, CPU affinity, nice value, I/O priority and execution domain the command has.
    #[must_use]
    pub fn limits(mut self, limits: LimitsOf) -> Self {
        self.limits = limits;
        self
    }

    /// How long a file system inside may take to answer, and the memory of the process.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Opens and verifies all that is needed, and says what will be done. Nothing is entered.
    ///
    /// # Errors
    ///
    /// Each of [`ErrorKind`](crate::ErrorKind) but those of the command.
    ///
    /// # Privileges
    ///
    /// Of a process, ptrace read access (`ptrace(2)`), and to write to the `cgroup.procs` of its control groups. To carry
    /// it out, what `setns(2)` takes: `CAP_SYS_ADMIN` in the user namespaces that own what is entered, and in one's own;
    /// or to own the user namespace that is entered, and that it owns the others.
    ///
    /// # Minimum kernel version
    ///
    /// 4.11. Names of users and groups take 5.6 (`openat2(2)`).
    pub fn prepare(&self) -> Result<Plan, Error> {
        prepare::prepare(self)
    }
}
