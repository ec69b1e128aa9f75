//! The host that is read.

use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use lxkns_answers::resolve::Lookup;
use lxkns_answers::text::chain;
use lxkns_core::model::links::HostLinks;
use lxkns_core::model::{DiscoveryOptions, NamespaceId, Pid, Scope};
use lxkns_core::{Discovery, ProcRoot, Snapshot};
use lxkns_inside::Program;
use lxkns_live::questions;
use lxkns_mountns::{Access, SandboxOptions};

use crate::role;
use crate::settings::ReaderSettings;

/// The host, and how it is read.
pub(crate) struct Host {
    /// One session for all scans.
    pub(crate) session: Discovery<'static>,
    /// How it looks into mount namespaces.
    pub(crate) access: &'static Access,
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
            access,
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
        let users = lxkns_live::users_of_host();
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
    /// What is read of it beside a scan.
    pub(crate) fn living(&self) -> questions::Host<'_> {
        questions::Host { session: &self.session, program: &self.inside, timeout: self.settings.timeout }
    }

    /// The links of all network namespaces.
    pub(crate) fn links(&self, snapshot: &Snapshot) -> HostLinks {
        self.living().links(snapshot)
    }
}

impl Lookup for Host {
    /// No file system is asked for a client: a path is a mount point in a list, or means nothing.
    fn namespace_at(&self, _path: &Path) -> io::Result<Option<NamespaceId>> {
        Err(io::Error::other("the service looks no path up: name the namespace by its inode number, or netns:NAME"))
    }

    fn has_task(&self, pid: Pid) -> bool {
        lxkns_live::has_task(self.session.proc(), pid)
    }

    fn pidfd_inode(&self, pid: Pid) -> io::Result<Option<u64>> {
        lxkns_live::pidfd_inode(pid)
    }

    fn links(&self, snapshot: &Snapshot) -> io::Result<HostLinks> {
        Ok(Host::links(self, snapshot))
    }
}
