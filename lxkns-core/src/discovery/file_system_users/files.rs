//! Files of the kernel's own file systems, read by path. What exists and cannot be read is noted, never taken for empty.

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use bstr::{BString, ByteSlice as _};
use rustix::io::Errno;

use super::gap;
use crate::failure::Failure;
use crate::model::{Cause, Gap, Object, Operation, Place};
use crate::procfs::{ProcRoot, parse};

/// How large a file of the kernel's is read at most.
const LARGEST: u64 = 1 << 20;

/// Of the object itself.
const LIST: Operation = Operation::list("");
const READ: Operation = Operation::read("");

/// Reads files and directories, and notes which could not be read.
#[derive(Debug, Default)]
pub(super) struct Files(RefCell<Vec<Gap>>);

impl Files {
    /// The names in a directory, sorted; none where there is no such directory.
    pub(super) fn names(&self, dir: &Path) -> Vec<BString> {
        let mut names = Vec::new();
        match std::fs::read_dir(dir) {
            Ok(entries) => {
                for entry in entries {
                    match entry {
                        Ok(entry) => names.push(BString::from(entry.file_name().into_vec())),
                        Err(error) => self.failed(dir, LIST, &error),
                    }
                }
            }
            Err(error) => self.failed(dir, LIST, &error),
        }
        names.sort_unstable();
        names
    }

    /// The text of a file; `None` where there is no such file.
    pub(super) fn read(&self, file: &Path) -> Option<Vec<u8>> {
        self.read_at_most(file, LARGEST)
    }

    fn read_at_most(&self, file: &Path, limit: u64) -> Option<Vec<u8>> {
        let mut text = Vec::new();
        let read = File::open(file).and_then(|file| file.take(limit + 1).read_to_end(&mut text));
        match read {
            Ok(length) if length as u64 > limit => {
                // The rest is not known; what was read is.
                self.note(file, READ, Cause::Cut);
                text.truncate(limit as usize);
                Some(text)
            }
            Ok(_) => Some(text),
            Err(error) => {
                self.failed(file, READ, &error);
                None
            }
        }
    }

    /// Whether there is such a path.
    pub(super) fn exists(&self, path: &Path) -> bool {
        path.try_exists().unwrap_or_else(|error| {
            self.failed(path, Operation::stat(""), &error);
            false
        })
    }

    /// The text of a file of procfs; empty where this kernel has no such file.
    pub(super) fn of_proc(&self, proc: &ProcRoot, path: &str) -> Vec<u8> {
        let mut text = Vec::new();
        match proc.read_own(path, &mut text) {
            Ok(_) => text,
            Err(failure) => {
                self.note(&proc.path().join(path), READ, failure);
                Vec::new()
            }
        }
    }

    /// The files and devices with swap, as the kernel names them.
    pub(super) fn swap_paths(&self, proc: &ProcRoot) -> Vec<BString> {
        let text = self.of_proc(proc, "swaps");
        let paths = text.lines().skip(1).filter_map(|line| line.split_str(" ").next());
        paths.map(|path| parse::mountinfo::unescape_octal(path).into_owned().into()).collect()
    }

    /// Notes that a path could not be looked at.
    pub(super) fn failed(&self, path: &Path, operation: Operation, error: &io::Error) {
        // The standard library gives no error number where the text is not in the form that it expects.
        match Errno::from_io_error(error) {
            Some(errno) => self.note(path, operation, errno),
            None => self.note(path, operation, Cause::Malformed),
        }
    }

    fn note(&self, path: &Path, operation: Operation, why: impl Into<Failure>) {
        let why = why.into();
        // ENOTDIR: there is no directory of this name. ENODEV: the object of a file of sysfs has vanished.
        if !why.is_any(&[Errno::NOTDIR, Errno::NODEV]) {
            let object = Object::Path(path.as_os_str().as_bytes().into());
            gap(&mut self.0.borrow_mut(), Place::Host, object, operation, why);
        }
    }

    /// What could not be read since the last time.
    pub(super) fn take_gaps(&self) -> Vec<Gap> {
        self.0.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(files: &Files) -> Vec<(Operation, i32)> {
        let gaps = files.take_gaps().into_iter();
        gaps.map(|gap| (gap.operation, gap.errno.unwrap().number())).collect()
    }

    #[test]
    fn what_is_not_there_is_none() {
        let (directory, files) = (tempfile::tempdir().unwrap(), Files::default());
        let path = directory.path();
        assert_eq!(files.names(&path.join("none")), Vec::<BString>::new());
        assert_eq!(files.read(&path.join("none")), None);
        std::fs::write(path.join("file"), "text").unwrap();
        assert_eq!(files.names(&path.join("file")), Vec::<BString>::new());
        assert_eq!(files.read(&path.join("file/none")), None);
        assert_eq!(files.names(path), ["file"]);
        assert!(files.exists(&path.join("file")) && !files.exists(&path.join("none")));
        assert_eq!(told(&files), []);
    }

    #[test]
    fn what_cannot_be_read_is_not_none() {
        let (directory, files) = (tempfile::tempdir().unwrap(), Files::default());
        let path = directory.path();
        let circle = path.join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert_eq!(files.read(path), None);
        assert_eq!(told(&files), [(READ, Errno::ISDIR.raw_os_error())]);
        assert_eq!(files.names(&circle), Vec::<BString>::new());
        assert_eq!(told(&files), [(LIST, Errno::LOOP.raw_os_error())]);
        assert!(!files.exists(&circle));
        assert_eq!(told(&files), [(Operation::stat(""), Errno::LOOP.raw_os_error())]);
        std::fs::write(path.join("long"), "12345").unwrap();
        assert_eq!(files.read_at_most(&path.join("long"), 4).unwrap(), b"1234");
        let gaps = files.take_gaps();
        assert_eq!(gaps.iter().map(|gap| (gap.cause, gap.errno)).collect::<Vec<_>>(), [(Cause::Cut, None)]);
        assert_eq!(files.read_at_most(&path.join("long"), 5).unwrap(), b"12345");
        std::fs::create_dir(path.join("swaps")).unwrap();
        assert_eq!(files.swap_paths(&ProcRoot::at(path).unwrap()), Vec::<BString>::new());
        assert_eq!(told(&files), [(READ, Errno::ISDIR.raw_os_error())]);
    }
}
