//! The host that is read.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use lxkns_answers::text::chain;
use lxkns_answers::users::Users;
use lxkns_core::model::{DiscoveryOptions, Scope};
use lxkns_core::{Discovery, ProcRoot, Snapshot};
use lxkns_mountns::{Access, SandboxOptions};

use crate::settings::ReaderSettings;

/// The host, and how it is read.
pub(crate) struct Host {
    /// The way into mount namespaces.
    pub(crate) access: &'static Access,
    /// One session for all scans.
    pub(crate) session: Discovery<'static>,
    engines: lxkns_engines::Host,
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
        let session = Discovery::of_host()?.mounts_through(access).cancelled_by(cancel);
        Ok(Self { access, session, engines: lxkns_engines::Host::new(ProcRoot::host()?), settings })
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
