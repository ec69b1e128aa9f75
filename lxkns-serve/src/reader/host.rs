//! The host that is read.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lxkns_answers::resolve::Lookup;
use lxkns_answers::text::chain;
use lxkns_answers::users::Users;
use lxkns_core::model::links::HostLinks;
use lxkns_core::model::{DiscoveryOptions, Ending, NamespaceId, Pid, Scope};
use lxkns_core::{Discovery, ProcRoot, Snapshot};
use lxkns_inside::Program;
use lxkns_mountns::{Access, SandboxOptions};
use rustix::fs::{AtFlags, StatxFlags};
use rustix::process::PidfdFlags;

use crate::role;
use crate::settings::ReaderSettings;

/// The host, and how it is read.
pub(crate) struct Host {
    /// One session for all scans.
    pub(crate) session: Discovery<'static>,
    engines: lxkns_engines::Host,
    /// What looks into namespaces from inside.
    pub(crate) inside: Program,
    /// How.
    pub(crate) settings: ReaderSettings,
}

impl Host {
    /// This host. `cancel` ends a scan.
    ///
    /// # Errors
    ///
    /// No procfs is mounted.
    pub(crate) fn new(settings: ReaderSettings, cancel: &'static AtomicBool) -> anyhow::Result<Self> {
        // The session is there as long as the process.
        let access: &'static Access = Box::leak(Box::new(Access::new(SandboxOptions::default(), settings.timeout)));
        let session = Discovery::of_host()?.repeated().mounts_through(access).cancelled_by(cancel);
        Ok(Self {
            session,
            inside: Program::again(role::INSIDE)?,
            engines: lxkns_engines::Host::new(ProcRoot::host()?),
            settings,
        })
    }

    /// Scans it. Command lines, which can hold secrets, are read only where they may be told.
    ///
    /// # Errors
    ///
    /// There is no snapshot at all.
    pub(crate) fn scan(&self) -> Result<Snapshot, String> {
        let mut options = DiscoveryOptions::everything();
        options.without_self = true;
        if !self.settings.command_lines {
            options.command_lines = Scope::None;
        }
        let mut snapshot = self.session.run(&options).map_err(|error| chain(&error))?;
        let users = users_of_host();
        let creators = snapshot.namespaces.values().filter_map(|namespace| namespace.owner_uid);
        let statuses = snapshot.processes.values().filter_map(|process| process.status.as_ref());
        let uids = creators.chain(statuses.map(|status| status.uids.effective));
        let named = uids.filter_map(|uid| Some((uid, users.name(uid)?.to_string())));
        snapshot.annotations.user_names = named.collect();
        let mut options = lxkns_engines::Options::default();
        options.ask_engines = self.settings.engines.then_some(self.settings.timeout);
        lxkns_engines::annotate(&mut snapshot, &self.engines, &options);
        snapshot.annotations.netnsids = lxkns_inside::nsids(&self.session, &snapshot, snapshot.namespaces.values());
        Ok(snapshot)
    }
}

impl Host {
    /// Why PID namespaces do not end, of those of these that are about to.
    pub(crate) fn endings(
        &self,
        snapshot: &Snapshot,
        ids: impl Iterator<Item = NamespaceId>,
    ) -> BTreeMap<NamespaceId, Ending> {
        let proc = self.session.proc();
        ids.filter_map(|id| Some((id, lxkns_core::ending_of(proc, snapshot, id)?))).collect()
    }

    /// The links of all network namespaces.
    pub(crate) fn links(&self, snapshot: &Snapshot) -> HostLinks {
        lxkns_inside::links(&self.session, snapshot, &self.inside, self.settings.timeout)
    }
}

impl Lookup for Host {
    /// No file system is asked for a client: a path is a mount point in a list, or means nothing.
    fn namespace_at(&self, _path: &Path) -> io::Result<Option<NamespaceId>> {
        Err(io::Error::other("the service looks no path up: name the namespace by its inode number, or netns:NAME"))
    }

    fn has_task(&self, pid: Pid) -> bool {
        let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
        rustix::fs::statx(self.session.proc(), pid.to_string(), flags, StatxFlags::TYPE).is_ok()
    }

    fn pidfd_inode(&self, pid: Pid) -> io::Result<Option<u64>> {
        const PIDFS: u64 = 0x5049_4446;
        let raw = i32::try_from(pid.0).ok().and_then(rustix::process::Pid::from_raw);
        let pidfd = rustix::process::pidfd_open(raw.ok_or(io::ErrorKind::NotFound)?, PidfdFlags::empty())?;
        // Before 6.9 all pidfds share one inode, of another file system.
        let is_pidfs = u64::try_from(rustix::fs::fstatfs(&pidfd)?.f_type) == Ok(PIDFS);
        Ok(if is_pidfs { Some(rustix::fs::fstat(&pidfd)?.st_ino) } else { None })
    }

    fn links(&self, snapshot: &Snapshot) -> io::Result<HostLinks> {
        Ok(Host::links(self, snapshot))
    }
}

/// The time since boot.
pub(crate) fn since_boot() -> Duration {
    Duration::try_from(rustix::time::clock_gettime(rustix::time::ClockId::Boottime)).unwrap_or_default()
}

/// The names of this host's users; none where they cannot be read.
fn users_of_host() -> Users {
    const FILE: &str = "/etc/passwd";
    const LONGEST: usize = 16 << 20;
    const PATIENCE: Duration = Duration::from_secs(1);
    let mut text = Vec::new();
    let read = lxkns_enter::read_slowly(Path::new(FILE), PATIENCE, |bytes| {
        text.extend_from_slice(bytes);
        Ok(if text.len() < LONGEST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    });
    read.map(|()| Users::parse(&text)).unwrap_or_default()
}
