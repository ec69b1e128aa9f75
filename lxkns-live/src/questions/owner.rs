//! `owner`: whose a file is, on the host, through its mount, and in each user namespace that sees it.

use std::io;
use std::path::Path;

use lxkns_answers::json::Envelope;
use lxkns_answers::owner::{Answer, Owner, Reading, Sights};
pub use lxkns_answers::owner::{options, places};
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::errors;
use lxkns_answers::text::escape::printable;
use lxkns_core::model::{File, NamespaceId, NamespaceType, Process, Snapshot};

use super::{absent, gap_lines};
use crate::FilesOfHost;

/// The process through which a file is seen that is asked for as `TARGET:PATH`; `name` is all of that.
///
/// # Errors
///
/// There is none.
pub fn process<'a>(resolver: &Resolver<'a>, of: &Asked, name: &[u8]) -> Result<&'a Process, Unresolved> {
    resolver.verify(of)?;
    let Target::Process(pid) = resolver.settle(of)?.target else {
        let why = "no process of it was found, through which its files could be seen";
        return Err(Unresolved::Unseen(format!("{}: {why}", printable(name))));
    };
    resolver.process(pid).ok_or_else(|| absent(resolver, &pid.to_string(), pid))
}

/// What was read of a file.
pub struct Facts<'a> {
    snapshot: &'a Snapshot,
    file: File,
    sights: Sights<'a>,
    reading: Reading,
}

impl<'a> Facts<'a> {
    /// Reads what there is to read of a file, as this process sees it, or the caller. The paths of `home` lead the caller
    /// where they say.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be seen.
    pub fn read(
        snapshot: &'a Snapshot,
        mut files: FilesOfHost<'_>,
        process: Option<&Process>,
        home: Option<NamespaceId>,
        path: &Path,
        name: &[u8],
        follow: bool,
    ) -> Result<Self, Unresolved> {
        let mount_ns = match process {
            None => snapshot.observer_mount_ns,
            Some(process) => process.living_task().namespaces.get(NamespaceType::Mnt),
        };
        let (file, maps, unread) = files.find(snapshot, process, mount_ns, path, follow).map_err(|error| {
            let words = format!("{}: {}", printable(name), errors::named(&error));
            let is_missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
            if is_missing { Unresolved::Missing(words) } else { Unresolved::Unseen(words) }
        })?;
        let sights = Sights::of(snapshot, mount_ns, &file);
        let mut reading = Reading::of(snapshot, &sights, home, &mut files);
        reading.maps = maps;
        if let Some(error) = unread {
            reading.gaps.push(format!("its capabilities are not readable: {}", errors::named(&error)));
        }
        Ok(Self { snapshot, file, sights, reading })
    }

    /// Whose it is.
    pub fn owner(&self) -> Owner<'_> {
        Owner::new(self.snapshot, &self.file, &self.sights, &self.reading)
    }
}

/// What could not be seen.
pub fn gaps(snapshot: &Snapshot, owner: &Owner<'_>) -> Vec<String> {
    let mut gaps = owner.gaps();
    gaps.extend(gap_lines(snapshot, places()));
    gaps
}

/// The answer.
pub fn answer(owner: &Owner<'_>, name: &[u8], gaps: Vec<String>) -> Envelope<Answer> {
    Envelope::new("owner", vec![owner.answer(name)], gaps)
}
