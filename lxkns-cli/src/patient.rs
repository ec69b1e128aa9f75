//! Reads from a pipe or a terminal whose writer may never write, and tells the user what it waits for.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};

use crate::exit::say;
use crate::progress::Progress;

/// A source of bytes that can take any time. It is waited for without end, as `cat` does, so that a slow command in
/// `<(command)` is read; Ctrl-C ends the program.
#[derive(Debug)]
pub(crate) struct Patient<F> {
    file: F,
    /// Its name for the user.
    name: String,
    /// When to tell the user, once.
    patience: Option<Duration>,
    /// The progress line, which replaces the message on a terminal.
    _progress: Progress,
    /// Whether the file is the program's own, opened with `O_NONBLOCK`, and a FIFO.
    is_own_fifo: bool,
}

impl<F: AsFd> Patient<F> {
    /// Standard input, or another file that others may have open too.
    pub(crate) fn new(file: F, name: impl fmt::Display, patience: Duration) -> Self {
        let progress = Progress::of(format!("waiting for {name}"));
        let patience = Some(patience).filter(|_| !progress.is_told());
        Self { file, name: name.to_string(), patience, _progress: progress, is_own_fifo: false }
    }
}

impl Patient<std::os::fd::OwnedFd> {
    /// Opens a FIFO or device without waiting for its other end.
    ///
    /// # Errors
    ///
    /// The kernel's error.
    pub(crate) fn open(path: &Path, patience: Duration) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        let mode = rustix::fs::fstat(&file)?.st_mode;
        let is_own_fifo = rustix::fs::FileType::from_raw_mode(mode).is_fifo();
        Ok(Self { is_own_fifo, ..Self::new(file, format_args!("{path:?}"), patience) })
    }
}

impl<F: AsFd> Read for Patient<F> {
    /// A FIFO has no end before a process has opened it for writing.
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let patience = self.patience.and_then(|patience| Instant::now().checked_add(patience));
        if let Some(count) = lxkns_sys::read_until(&self.file, &mut *bytes, patience)? {
            return Ok(count);
        }
        self.patience = None;
        let why = match self.is_own_fifo.then(|| rustix::io::read(&self.file, &mut *bytes)) {
            Some(Ok(0)) => "no process has it open for writing",
            Some(Ok(count)) => return Ok(count),
            _ => "nothing is being written to it",
        };
        say(format_args!("waiting for {}: {why}; Ctrl-C ends this", self.name));
        Ok(lxkns_sys::read_until(&self.file, bytes, None)?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write as _;

    use super::*;

    const SHORT: Duration = Duration::from_millis(1);

    #[test]
    fn all_that_is_written_is_read_to_the_end() {
        let (from, mut to) = io::pipe().unwrap();
        let mut patient = Patient::new(from, "a pipe", SHORT);
        to.write_all(b"first").unwrap();
        let mut bytes = [0; 5];
        patient.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"first");
        let writer = std::thread::spawn(move || {
            to.write_all(&[b'x'; 200_000]).unwrap();
        });
        let mut rest = Vec::new();
        patient.read_to_end(&mut rest).unwrap();
        writer.join().unwrap();
        assert_eq!(rest.len(), 200_000);
    }

    #[test]
    fn a_fifo_has_no_end_before_it_had_a_writer() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, Mode::RWXU, 0).unwrap();
        let mut patient = Patient::open(&path, SHORT).unwrap();
        let has_some = |patient: &Patient<_>| lxkns_sys::read_until(&patient.file, &mut [0], Some(Instant::now()));
        assert!(patient.is_own_fifo);
        assert_eq!(has_some(&patient), Ok(None));
        let writer = File::options().write(true).open(&path).unwrap();
        assert_eq!(has_some(&patient), Ok(None));
        drop(writer);
        assert_eq!(patient.read(&mut [0]).unwrap(), 0, "the end");
    }

    #[test]
    fn devices_are_read_as_they_are() {
        let mut null = Patient::open(Path::new("/dev/null"), SHORT).unwrap();
        assert_eq!(null.read(&mut [0; 8]).unwrap(), 0);
        let error = Patient::open(Path::new("/nowhere/at/all"), SHORT).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
