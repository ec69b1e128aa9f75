//! A program of the caller's that runs among the target's files, through a descriptor.

use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lxkns_sys::SharedFd;

use crate::error::{Error, ErrorKind};
use crate::slow_file::copy_slowly;

/// The timeout for each chunk of it.
const WAIT: Duration = Duration::from_secs(1);

/// The largest size in bytes: it is in memory twice for a moment.
const LARGEST: u64 = 1 << 30;

/// A static program in sealed memory, which does not lead to the file that it was copied from.
#[derive(Debug)]
pub(crate) struct ToolFile(OwnedFd);

impl ToolFile {
    /// Copies the program. Opens only regular files, so this does not block on a FIFO.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Unsuitable`]: not an ELF program, or not static. [`ErrorKind::Failed`]: it cannot be read, or
    /// sealed memory cannot be run.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let unusable = |what: &str| {
            Error::new(ErrorKind::Unsuitable, format!("{} cannot be a tool: it is {what}", path.display()))
        };
        // It is copied, with a timeout: its file system can have a dead server.
        let mut file = match copy_slowly(path, LARGEST, WAIT) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::Unsupported && error.raw_os_error().is_none() => {
                return Err(unusable("not a regular file"));
            }
            Err(error) => return Err(Error::call(format!("open {} as a tool", path.display()), error)),
        };
        match interpreter(&mut file) {
            Ok(false) => {}
            Ok(true) => return Err(unusable("not static: the libraries that it needs may be missing inside")),
            Err(_) => return Err(unusable("no ELF program of this architecture's word size and byte order")),
        }
        let copy = file.rewind().and_then(|()| lxkns_sys::sealed_program("tool", &mut file));
        let copy = copy.map_err(|error| {
            let operation = format!("copy {} into executable memory (vm.memfd_noexec=2 forbids that)", path.display());
            Error::call(operation, error)
        })?;
        Ok(Self(copy))
    }

    pub(crate) fn into_fd(self) -> SharedFd {
        Arc::new(self.0)
    }
}

/// Whether an ELF program names an interpreter, as all dynamically linked ones do. An error if it is not an ELF
/// program.
fn interpreter(file: &mut (impl Read + Seek)) -> io::Result<bool> {
    const IS_64_BIT: bool = usize::BITS == 64;
    // The identification: the magic number, word size and byte order.
    const CLASS: u8 = if IS_64_BIT { 2 } else { 1 };
    const DATA: u8 = if cfg!(target_endian = "little") { 1 } else { 2 };
    const IDENTIFICATION: [u8; 6] = [0x7f, b'E', b'L', b'F', CLASS, DATA];
    const PT_INTERP: u32 = 3;
    const SIZE: usize = if IS_64_BIT { 64 } else { 52 };
    // The offset of the size of a program header; their count follows.
    const ENTRY_SIZE: usize = if IS_64_BIT { 54 } else { 42 };

    let mut header = [0; SIZE];
    file.read_exact(&mut header)?;
    if !header.starts_with(&IDENTIFICATION) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let half = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let word = |at: usize| u32::from_ne_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let offset = match (IS_64_BIT, cfg!(target_endian = "little")) {
        (false, _) => u64::from(word(28)),
        (true, true) => u64::from(word(32)) | u64::from(word(36)) << 32,
        (true, false) => u64::from(word(36)) | u64::from(word(32)) << 32,
    };
    for index in 0..u64::from(half(ENTRY_SIZE + 2)) {
        let mut kind = [0; 4];
        file.seek(SeekFrom::Start(offset.saturating_add(index * u64::from(half(ENTRY_SIZE)))))?;
        file.read_exact(&mut kind)?;
        if u32::from_ne_bytes(kind) == PT_INTERP {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Cursor;

    use rustix::fs::{FileType, Mode};

    use super::*;

    #[test]
    fn only_static_programs_can_be_brought_along() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tool");
        let said = |path: &Path| ToolFile::open(path).unwrap_err().to_string();
        let missing = ToolFile::open(&path).unwrap_err();
        assert_eq!(missing.errno().and_then(lxkns_core::model::Errno::name), Some("ENOENT"), "{missing}");
        fs::write(&path, b"#!/bin/sh\n").unwrap();
        assert!(said(&path).contains("no ELF program"));
        fs::write(&path, b"\x7fELF").unwrap();
        assert!(said(&path).contains("no ELF program"));
        assert!(said(directory.path()).contains("not a regular file"));
        assert!(said(Path::new("/dev/null")).contains("not a regular file"));
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(said(&path).contains("not a regular file"), "nobody is waited for");
    }

    #[test]
    fn an_interpreter_is_seen() {
        // This test program has one, unless it is static.
        let mut program = File::open(std::env::current_exe().unwrap()).unwrap();
        let is_static = cfg!(target_feature = "crt-static");
        assert_eq!(interpreter(&mut program).unwrap(), !is_static);
    }

    #[test]
    fn headers_that_lead_nowhere_are_an_error() {
        let mut header = vec![0; 64];
        File::open(std::env::current_exe().unwrap()).unwrap().read_exact(&mut header).unwrap();
        header[32..40].fill(0xff);
        assert!(interpreter(&mut Cursor::new(header)).is_err());
    }
}
