//! The descriptors of a command that is weaker than its caller.
//!
//! A process that may trace another one, or runs as the same user, can open that one's files again: it can then write
//! to a file or pipe that was opened for reading, leave a directory, or identify a socket's peer. So a weaker command
//! gets none of the caller's files. The caller reads and writes them, and the command gets pipes.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use lxkns_sys::SharedFd;
use rustix::event::{PollFd, PollFlags};
use rustix::fs::{FileType, OFlags, SeekFrom};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, SpliceFlags};

use crate::buffer::Buffer;
use crate::error::{Error, ErrorKind};

/// How a descriptor is passed to the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Unchanged: a socket that the user named by its number, as a pipe cannot relay both directions.
    PassedOn,
    /// The caller reads it and writes to a pipe.
    Read,
    /// The caller reads a pipe and writes to it.
    Written,
}

/// How the descriptor with this number is passed on.
fn fate(number: i32, fd: BorrowedFd<'_>) -> Result<Fate, Error> {
    let failed = |errno| Error::call(format!("read the type of {}", name(number)), errno);
    let refused = |what: &str| {
        let message =
            format!("{} is {what}, which would give the command more access than its target has", name(number));
        Err(Error::new(ErrorKind::Unsuitable, message))
    };
    let flags = rustix::fs::fcntl_getfl(fd).map_err(failed)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(fd).map_err(failed)?.st_mode);
    match kind {
        _ if flags.contains(OFlags::PATH) => refused("a path (O_PATH)"),
        FileType::Directory => refused("a directory"),
        FileType::RegularFile
        | FileType::CharacterDevice
        | FileType::BlockDevice
        | FileType::Fifo
        | FileType::Socket => match (flags & OFlags::ACCMODE, number) {
            (OFlags::RDONLY, _) => Ok(Fate::Read),
            (OFlags::WRONLY, _) | (_, 1 | 2) => Ok(Fate::Written),
            (_, 0) => Ok(Fate::Read),
            _ if kind == FileType::Socket => Ok(Fate::PassedOn),
            _ => refused("a file open for reading and writing"),
        },
        _ => refused("neither a file, a device, a pipe nor a socket"),
    }
}

fn name(number: i32) -> String {
    match number {
        0 => "standard input".to_owned(),
        1 => "standard output".to_owned(),
        2 => "standard error".to_owned(),
        number => format!("descriptor {number}"),
    }
}

/// Checks that each of these can be passed on or relayed.
pub(crate) fn check(fds: &[(i32, BorrowedFd<'_>)]) -> Result<(), Error> {
    fds.iter().try_for_each(|&(number, fd)| fate(number, fd).map(drop))
}

/// The relays between the caller's files and the command's pipes.
#[derive(Default)]
pub(crate) struct Streams(Vec<Stream>);

struct Stream {
    number: i32,
    /// The file or device.
    file: OwnedFd,
    /// The caller's end of the pipe, which does not block; `None` when the relay is done.
    pipe: Option<OwnedFd>,
    /// The command's end, which tells how much the command has not read, if the caller reads the file.
    theirs: Option<SharedFd>,
    is_read: bool,
    /// How much of the caller's pipe has been copied (`tee(2)`) to the command and not consumed: the relay consumes
    /// only what the command reads, so the rest stays for other readers. `None` if the file does not support that.
    lent: Option<u64>,
    /// The size of one write: any for a file; for a pipe, as much as a writable pipe takes without blocking.
    limit: usize,
    buffer: Buffer,
    failed: Option<Errno>,
}

/// `PIPE_BUF` of `linux/limits.h`, in bytes.
const PIPE_BUF: usize = 4096;
/// The largest page size, in bytes: the least capacity of a pipe.
const PAGE: usize = 64 * 1024;

impl Streams {
    /// Replaces files and devices with pipes, and returns the command's descriptors with their numbers.
    pub(crate) fn new(fds: &[(i32, BorrowedFd<'_>)]) -> Result<(Self, Vec<(SharedFd, i32)>), Error> {
        let mut streams = Self::default();
        let mut given: Vec<(SharedFd, i32)> = Vec::new();
        let mut relayed: Vec<(Fate, BorrowedFd<'_>)> = Vec::new();
        for &(number, fd) in fds {
            let fate = fate(number, fd)?;
            let failed = |errno| Error::call(format!("relay {}", name(number)), errno);
            if fate == Fate::PassedOn {
                continue;
            }
            // Descriptors of one open file description share a pipe, which keeps their output in order.
            let same = relayed.iter().position(|(other, of)| *other == fate && is_same(*of, fd));
            relayed.push((fate, fd));
            if let Some(index) = same {
                given.push((Arc::clone(&given[index].0), number));
                continue;
            }
            let (reader, writer) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
            let is_read = fate == Fate::Read;
            let (ours, theirs) = if is_read { (writer, reader) } else { (reader, writer) };
            rustix::io::ioctl_fionbio(&ours, true).map_err(failed)?;
            // Not under a number that the command uses.
            let above = |fd: BorrowedFd<'_>| rustix::io::fcntl_dupfd_cloexec(fd, 3).map_err(failed);
            let theirs = Arc::new(above(theirs.as_fd())?);
            given.push((Arc::clone(&theirs), number));
            let (file, pipe, theirs) = (above(fd)?, Some(above(ours.as_fd())?), is_read.then_some(theirs));
            let kind = FileType::from_raw_mode(rustix::fs::fstat(&file).map_err(failed)?.st_mode);
            let limit = if is_read || kind == FileType::RegularFile { usize::MAX } else { PIPE_BUF };
            // A pipe with room for one chunk is writable again only after the command has read that chunk.
            let is_lent = is_read && kind == FileType::Fifo;
            let is_lent = is_lent && rustix::pipe::fcntl_setpipe_size(&ours, PIPE_BUF).is_ok_and(|size| size <= PAGE);
            let lent = is_lent.then_some(0);
            streams.0.push(Stream {
                number,
                file,
                pipe,
                theirs,
                is_read,
                lent,
                limit,
                buffer: Buffer::new(),
                failed: None,
            });
        }
        Ok((streams, given))
    }

    /// Adds the descriptors to wait for.
    pub(crate) fn interests<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        for stream in &self.0 {
            let Some(pipe) = &stream.pipe else { continue };
            fds.push(match (stream.is_read, stream.buffer.is_empty()) {
                (true, true) if stream.lent.is_some_and(|lent| lent > 0) => PollFd::new(pipe, PollFlags::OUT),
                (true, true) => PollFd::new(&stream.file, PollFlags::IN),
                (true, false) => PollFd::new(pipe, PollFlags::OUT),
                (false, true) => PollFd::new(pipe, PollFlags::IN),
                (false, false) => PollFd::new(&stream.file, PollFlags::OUT),
            });
        }
    }

    /// Reads and writes once on each relay, without blocking.
    pub(crate) fn copy(&mut self) {
        self.0.iter_mut().for_each(Stream::copy);
    }

    /// Stops reading the caller's files, as the command has ended.
    pub(crate) fn stop_reading(&mut self) {
        self.0.iter_mut().filter(|stream| stream.is_read).for_each(|stream| stream.pipe = None);
    }

    /// Whether all output of the command, which has ended, has been written to the caller's files.
    pub(crate) fn is_done(&mut self) -> bool {
        self.0.iter_mut().filter(|stream| !stream.is_read).all(Stream::is_drained)
    }

    /// Returns unread input to the files, and returns the errors of reading and writing.
    pub(crate) fn end(self) -> Result<(), Error> {
        for stream in &self.0 {
            stream.give_back();
        }
        match self.0.iter().find_map(|stream| Some((stream, stream.failed?))) {
            Some((stream, errno)) => {
                let verb = if stream.is_read { "read" } else { "write" };
                Err(Error::call(format!("{verb} {}", name(stream.number)), errno))
            }
            None => Ok(()),
        }
    }
}

impl Stream {
    fn copy(&mut self) {
        if let Some(lent) = self.lent {
            return self.lend(lent);
        }
        if self.buffer.is_empty() {
            self.fill();
        }
        if !self.buffer.is_empty() {
            self.empty();
        }
    }

    /// Consumes from the caller's pipe what the command has read, and copies more to the command.
    fn lend(&mut self, lent: u64) {
        let left = self.take_back(lent);
        self.lent = Some(left);
        let Some(pipe) = self.pipe.as_ref().filter(|_| left == 0) else { return };
        if !is_ready(&self.file, PollFlags::IN) {
            return;
        }
        match rustix::pipe::tee(&self.file, pipe, PIPE_BUF, SpliceFlags::NONBLOCK) {
            // The pipe has no writer any more.
            Ok(0) => self.pipe = None,
            Ok(count) => self.lent = Some(count as u64),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(errno) => {
                self.failed = Some(errno);
                self.pipe = None;
            }
        }
    }

    /// Consumes from the caller's pipe what the command has read, and returns how much it has not read.
    fn take_back(&self, lent: u64) -> u64 {
        let left = self.theirs.as_deref().map_or(0, unread).min(lent);
        let mut taken = lent - left;
        let mut bytes = [0; PIPE_BUF];
        while taken > 0 && is_ready(&self.file, PollFlags::IN) {
            let most = bytes.len().min(usize::try_from(taken).unwrap_or(usize::MAX));
            match rustix::io::retry_on_intr(|| rustix::io::read(&self.file, &mut bytes[..most])) {
                Ok(count @ 1..) => taken -= count as u64,
                _ => break,
            }
        }
        left
    }

    fn fill(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let from = if self.is_read { &self.file } else { pipe };
        if !is_ready(from, PollFlags::IN) {
            return;
        }
        match self.buffer.fill(from) {
            Ok(1..) | Err(Errno::AGAIN) => {}
            Ok(0) => self.pipe = None,
            Err(errno) => {
                self.failed = Some(errno);
                self.pipe = None;
            }
        }
    }

    fn empty(&mut self) {
        let Some(pipe) = &self.pipe else { return };
        let to = if self.is_read { pipe } else { &self.file };
        if !is_ready(to, PollFlags::OUT) {
            return;
        }
        if let Err(errno) = self.buffer.empty(to, self.limit) {
            // The command need not read everything.
            self.failed = Some(errno).filter(|errno| *errno != Errno::PIPE);
            if !self.is_read {
                self.buffer.clear();
            }
            self.pipe = None;
        }
    }

    fn is_drained(&mut self) -> bool {
        self.copy();
        self.buffer.is_empty() && self.pipe.as_ref().is_none_or(|pipe| unread(pipe) == 0)
    }

    /// The next reader of the file continues where the command stopped.
    fn give_back(&self) {
        if let Some(lent) = self.lent {
            self.take_back(lent);
            return;
        }
        let Some(theirs) = &self.theirs else { return };
        let ahead = unread(theirs) + self.buffer.len() as u64;
        if ahead > 0 {
            // A file without an offset cannot take data back.
            let _ = rustix::fs::seek(&self.file, SeekFrom::Current(-(ahead as i64)));
        }
    }
}

/// Whether a call on this descriptor would not block.
pub(crate) fn is_ready(fd: impl AsFd, flags: PollFlags) -> bool {
    lxkns_sys::poll_now(fd, flags).is_ok_and(|events| !events.is_empty())
}

/// The number of unread bytes in a pipe.
fn unread(pipe: &OwnedFd) -> u64 {
    rustix::io::ioctl_fionread(pipe).unwrap_or(0)
}

/// Whether two descriptors refer to one open file description. If the kernel does not tell, two descriptors on one file
/// count as such.
fn is_same(one: BorrowedFd<'_>, other: BorrowedFd<'_>) -> bool {
    lxkns_sys::is_same_file(one, other).unwrap_or_else(|_| {
        let identity = |fd| lxkns_core::identity_without_server(fd).ok();
        identity(one).is_some() && identity(one) == identity(other)
    })
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Seek as _, Write as _};

    use super::*;

    fn file(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        file
    }

    #[test]
    fn files_become_pipes_and_the_rest_of_the_input_is_left() {
        let (mut input, output) = (file("one two"), file(""));
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&output));
        let append = File::options().append(true).open(path).unwrap();
        let both = append.try_clone().unwrap();
        let fds = [(0, input.as_fd()), (1, append.as_fd()), (2, both.as_fd())];
        let (mut streams, given) = Streams::new(&fds).unwrap();
        assert_eq!(given.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [0, 1, 2]);
        assert!(is_same(given[1].0.as_fd(), given[2].0.as_fd()));
        streams.copy();
        let mut word = [0; 4];
        rustix::io::read(&given[0].0, &mut word).unwrap();
        assert_eq!(&word, b"one ");
        rustix::io::write(&given[1].0, b"a").unwrap();
        rustix::io::write(&given[2].0, b"b").unwrap();
        drop(given);
        while !streams.is_done() {}
        streams.end().unwrap();
        let mut rest = String::new();
        input.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "two");
        let mut written = String::new();
        (&output).rewind().unwrap();
        (&output).read_to_string(&mut written).unwrap();
        assert_eq!(written, "ab");
    }

    #[test]
    fn of_a_pipe_only_what_was_read_is_taken() {
        let (mut input, mut writer) = std::io::pipe().unwrap();
        writer.write_all(b"one two three").unwrap();
        let (mut streams, given) = Streams::new(&[(0, input.as_fd())]).unwrap();
        streams.copy();
        let mut word = [0; 4];
        rustix::io::read(&given[0].0, &mut word).unwrap();
        assert_eq!(&word, b"one ");
        streams.copy();
        rustix::io::read(&given[0].0, &mut word).unwrap();
        assert_eq!(&word, b"two ");
        drop(given);
        streams.stop_reading();
        streams.end().unwrap();
        drop(writer);
        let mut rest = String::new();
        input.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "three");
    }

    #[test]
    fn a_pipe_is_passed_on_to_its_end() {
        let (input, mut writer) = std::io::pipe().unwrap();
        let (mut streams, given) = Streams::new(&[(0, input.as_fd())]).unwrap();
        let text = vec![b'x'; 100_000];
        let written = text.clone();
        let writing = std::thread::spawn(move || writer.write_all(&written).unwrap());
        let theirs = given[0].0.try_clone().unwrap();
        let reading = std::thread::spawn(move || std::io::read_to_string(File::from(theirs)).unwrap());
        drop(given);
        while !reading.is_finished() {
            streams.copy();
        }
        writing.join().unwrap();
        assert_eq!(reading.join().unwrap().into_bytes(), text);
    }

    #[test]
    fn what_gives_too_much_is_refused() {
        let directory = File::open("/").unwrap();
        let path = rustix::fs::open("/dev/null", OFlags::PATH, rustix::fs::Mode::empty()).unwrap();
        let event = rustix::event::eventfd(0, rustix::event::EventfdFlags::CLOEXEC).unwrap();
        let both = tempfile::tempfile().unwrap();
        for (number, fd, what) in [
            (0, directory.as_fd(), "a directory"),
            (7, path.as_fd(), "O_PATH"),
            (7, event.as_fd(), "neither"),
            (7, both.as_fd(), "reading and writing"),
        ] {
            let error = check(&[(number, fd)]).unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        let (reader, writer) = std::io::pipe().unwrap();
        assert_eq!([fate(7, reader.as_fd()).unwrap(), fate(0, writer.as_fd()).unwrap()], [Fate::Read, Fate::Written]);
        let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
        let fates = [0, 1, 7].map(|number| fate(number, socket.as_fd()).unwrap());
        assert_eq!(fates, [Fate::Read, Fate::Written, Fate::PassedOn]);
    }

    #[test]
    fn what_cannot_be_written_is_said() {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let (mut streams, given) = Streams::new(&[(1, full.as_fd())]).unwrap();
        rustix::io::write(&given[0].0, b"a").unwrap();
        drop(given);
        while !streams.is_done() {}
        let error = streams.end().unwrap_err();
        assert!(error.to_string().contains("write standard output"), "{error}");
        assert_eq!(error.errno().and_then(lxkns_core::model::Errno::name), Some("ENOSPC"));
    }
}
