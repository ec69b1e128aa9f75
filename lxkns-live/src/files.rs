//! Files of the host: whose they are, and who its users are.

use std::ffi::OsStr;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bstr::BStr;
use lxkns_answers::owner;
use lxkns_answers::users::Users;
use lxkns_core::ProcRoot;
use lxkns_core::model::{File, MountIdMaps, NamespaceId, Process, Snapshot};
use lxkns_enter::read_slowly;

/// The names of this host's users. Without that file users have no names, which is no failure: their UIDs are shown
/// instead. It can be anything: a FIFO, or a file whose server does not answer.
pub fn users_of_host() -> Users {
    const FILE: &str = "/etc/passwd";
    const LONGEST: usize = 16 << 20;
    const PATIENCE: Duration = Duration::from_secs(1);
    let mut text = Vec::new();
    let read = read_slowly(Path::new(FILE), PATIENCE, |bytes| {
        text.extend_from_slice(bytes);
        Ok(if text.len() < LONGEST { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
    });
    read.map(|()| Users::parse(&text)).unwrap_or_default()
}

/// The texts of a `passwd` and a `group`.
type Texts = [Option<Rc<[u8]>>; 2];

/// The files of this host, for what `owner` is asked about. No file system is waited for longer than is said.
pub struct FilesOfHost<'a> {
    proc: &'a ProcRoot,
    files: lxkns_enter::Files<'a>,
    names: Vec<(Texts, Rc<owner::Names>)>,
}

impl<'a> FilesOfHost<'a> {
    /// Below this procfs; each look-up may take so long.
    pub fn new(proc: &'a ProcRoot, wait: Duration) -> Self {
        Self { proc, files: lxkns_enter::Files::new(proc, wait), names: Vec::new() }
    }

    /// A file that a process sees in its mount namespace (`None`: that the caller sees), the maps of its mount, and why its
    /// capabilities could not be read.
    ///
    /// # Errors
    ///
    /// The kernel's, or it takes too long.
    pub fn find(
        &self,
        snapshot: &Snapshot,
        process: Option<&Process>,
        mount_ns: Option<NamespaceId>,
        path: &Path,
        follow: bool,
    ) -> io::Result<(File, Option<MountIdMaps>, Option<io::Error>)> {
        let pinned = self.files.pin(process, path, follow)?;
        let mounts = mount_ns.and_then(|id| snapshot.mounts.get(&id)).map(Vec::as_slice).unwrap_or_default();
        let has_no_server = |file: &File| {
            let mount = mounts.iter().find(|mount| Some(mount.id) == file.mount_id);
            mount.is_some_and(|mount| lxkns_core::has_no_server(&mount.fs_type))
        };
        let mut file = lxkns_core::file_of(self.proc, &pinned, has_no_server).map_err(io::Error::from)?;
        let namespace = process.and(mount_ns).and_then(|id| snapshot.namespaces.get(&id));
        let maps = lxkns_core::mount_id_maps(&pinned, namespace).ok().flatten();
        let mut error = None;
        if file.is_regular() && file.capabilities.is_none() {
            match self.files.capabilities(pinned, &file) {
                Ok(read) => file.capabilities = Some(read),
                Err(why) => error = Some(why),
            }
        }
        Ok((file, maps, error))
    }
}

impl owner::Files for FilesOfHost<'_> {
    fn file(&mut self, process: Option<&Process>, path: &BStr) -> io::Result<File> {
        self.files.file(process, Path::new(OsStr::from_bytes(path)))
    }

    fn names(&mut self, process: Option<&Process>) -> io::Result<Rc<owner::Names>> {
        let texts = self.files.names(process)?;
        let is_same = |a: &Option<Rc<[u8]>>, b: &Option<Rc<[u8]>>| match (a, b) {
            (Some(a), Some(b)) => Rc::ptr_eq(a, b),
            (None, None) => true,
            _ => false,
        };
        // Most mount namespaces have the files of the host.
        let known = self.names.iter().rev().take(8).find(|(of, _)| (0..2).all(|at| is_same(&of[at], &texts[at])));
        if let Some((_, names)) = known {
            return Ok(Rc::clone(names));
        }
        let names = Rc::new(owner::Names::parse(texts[0].as_deref(), texts[1].as_deref()));
        self.names.push((texts, Rc::clone(&names)));
        Ok(names)
    }
}
