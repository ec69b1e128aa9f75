//! The host that is read.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path};
use std::sync::atomic::AtomicBool;

use lxkns_answers::file_system::normal;
use lxkns_answers::resolve::Lookup;
use lxkns_answers::text::chain;
use lxkns_core::model::links::HostLinks;
use lxkns_core::model::{DiscoveryOptions, Holder, NamespaceId, Pid, Scope};
use lxkns_core::relations::mount_at;
use lxkns_core::{Discovery, ProcRoot, Snapshot};
use lxkns_inside::Program;
use lxkns_live::questions;
use lxkns_mountns::{Access, SandboxOptions};

use super::questions::home;
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
    /// No file system is asked for a client: a path means what is mounted there, by the list of the host's mount namespace.
    fn namespace_at(&self, snapshot: &Snapshot, path: &Path) -> io::Result<Option<NamespaceId>> {
        mounted_at(snapshot, path)
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

/// The namespace that is mounted at a path of the host, or `None` where something else is.
fn mounted_at(snapshot: &Snapshot, path: &Path) -> io::Result<Option<NamespaceId>> {
    let listed = home(snapshot).and_then(|home| Some((home, snapshot.mounts.get(&home)?)));
    let (home, mounts) = listed.ok_or_else(|| io::Error::other("the mounts of the host could not be listed"))?;
    if path.is_relative() {
        // To no directory that a client knows.
        return Err(io::ErrorKind::NotFound.into());
    }
    // What comes after a symbolic link is not where the text says.
    let is_plain = !path.components().any(|component| component == Component::ParentDir);
    let text = normal(path);
    let text = text.as_os_str().as_bytes();
    let mount = mount_at(mounts, text).filter(|mount| is_plain && mount.path().is_some_and(|at| at == text));
    let Some(mount) = mount else {
        let what =
            "no namespace is mounted there, and the service looks up no files: name the namespace by its inode number";
        return Err(io::Error::new(io::ErrorKind::Unsupported, what));
    };
    let is_it = |holder: &Holder| match *holder {
        Holder::BindMount { mount_ns, mount_id, .. } => (mount_ns, mount_id) == (home, mount.id),
        _ => false,
    };
    let found = snapshot.namespaces.values().find(|namespace| namespace.bind_mounts().iter().any(is_it));
    match found {
        Some(namespace) => Ok(Some(namespace.id)),
        None if *mount.fs_type == *b"nsfs" => {
            Err(io::Error::other("the namespace that is mounted there was not read: try again"))
        }
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use lxkns_core::model::{DeviceNumber, DiscoveryOptions, Mount, Namespace, NamespaceType};

    use super::*;

    #[test]
    fn a_path_means_what_is_mounted_there() {
        let host = lxkns_core::model::Host::default();
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), host, SystemTime::UNIX_EPOCH);
        let at = |snapshot: &Snapshot, path: &str| mounted_at(snapshot, Path::new(path));
        assert_eq!(at(&snapshot, "/run/netns/blue").unwrap_err().kind(), io::ErrorKind::Other, "it is not known");
        let id = |ino| NamespaceId { dev: 4, ino };
        let (home, elsewhere, blue, covered) = (id(1), id(2), id(3), id(4));
        snapshot.observer_mount_ns = Some(home);
        let mount = |id, parent, fs_type, path| {
            Mount::new(id, parent, DeviceNumber { major: 0, minor: 4 }, fs_type, Some(path))
        };
        let mut below = mount(3, 1, "nsfs", "/run/netns/blue");
        below.hidden = true;
        let above = mount(4, 3, "nsfs", "/run/netns/blue");
        let mounts =
            vec![mount(1, 0, "ext4", "/"), mount(2, 1, "tmpfs", "/tmp"), below, above, mount(5, 1, "nsfs", "/ns")];
        snapshot.mounts.insert(home, mounts);
        let holder =
            |mount_ns, mount_id| Holder::BindMount { mount_ns, mount_id, path: Some("/run/netns/blue".into()) };
        for (id, holders) in [(covered, vec![holder(home, 3)]), (blue, vec![holder(elsewhere, 3), holder(home, 4)])] {
            let mut namespace = Namespace::new(id, NamespaceType::Net);
            namespace.holders = holders;
            snapshot.namespaces.insert(id, namespace);
        }
        for path in ["/run/netns/blue", "/run//netns/./blue/"] {
            assert_eq!(at(&snapshot, path).unwrap(), Some(blue), "{path}");
        }
        assert_eq!([at(&snapshot, "/").unwrap(), at(&snapshot, "/tmp").unwrap()], [None; 2]);
        // Nothing says what is there.
        for path in ["/run/netns/none", "/run/netns", "/tmp/blue", "/tmp/../run/netns/blue"] {
            assert_eq!(at(&snapshot, path).unwrap_err().kind(), io::ErrorKind::Unsupported, "{path}");
        }
        for path in ["run/netns/blue", ""] {
            assert_eq!(at(&snapshot, path).unwrap_err().kind(), io::ErrorKind::NotFound, "{path}");
        }
        assert_eq!(at(&snapshot, "/ns").unwrap_err().kind(), io::ErrorKind::Other, "no scan has seen it");
    }
}
