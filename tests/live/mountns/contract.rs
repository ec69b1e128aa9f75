//! The contract that heads the helper's source, with the helper run by itself.

use std::fs::File;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};

use rustix::fs::MemfdFlags;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType,
};

use crate::harness::Need::Root;
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("mountns::contract::ends_with_its_requests", &[], ends_with_its_requests),
        test("mountns::contract::eof_at_every_byte", &[], eof_at_every_byte),
        test("mountns::contract::long_frames", &[], long_frames),
        test("mountns::contract::other_versions", &[], other_versions),
        test("mountns::contract::unknown_requests", &[], unknown_requests),
        test("mountns::contract::wrong_descriptors", &[], wrong_descriptors),
        test("mountns::contract::no_permission", &[], no_permission),
        test("mountns::contract::enters_and_answers", &[Root], enters_and_answers),
        test("mountns::contract::ends_with_the_thread", &[Root], ends_with_the_thread),
        test("mountns::contract::nobody_listens", &[Root], nobody_listens),
        test("mountns::contract::missing_descriptors", &[], missing_descriptors),
    ]
}

/// The version of the protocol; and steps, requests and replies by their numbers.
const VERSION: u8 = 1;
const ENTER: u8 = 0;
const OPEN: u8 = 1;
const EXIT: u8 = 2;
const READY: u8 = 0;
const FAILED: u8 = 1;
const WALKING: u8 = 2;
const OPENED: u8 = 3;
const REFUSED: u8 = 4;
const READ: u8 = 0;
const STEP_VERSION: u8 = 1;
const REQUEST: u8 = 2;
const RECEIVE: u8 = 3;
const ENTER_USER: u8 = 6;
const ENTER_MOUNT: u8 = 7;
const PARENT: u8 = 10;
const EPERM: u8 = 1;
const ESRCH: u8 = 3;
const EINVAL: u8 = 22;
const EPROTO: u8 = 71;
const EMSGSIZE: u8 = 90;

/// The helper, by itself.
struct Helper {
    child: Child,
    requests: Option<File>,
    replies: File,
    socket: OwnedFd,
}

/// The program in memory: a file could still be open for writing in the fork of some other test.
fn program() -> OwnedFd {
    let memory = rustix::fs::memfd_create("helper", MemfdFlags::CLOEXEC).unwrap();
    let mut file = File::from(memory);
    file.write_all(lxkns_mountns::carried_helper().unwrap()).unwrap();
    file.into()
}

impl Helper {
    fn start() -> Self {
        Self::start_with(|_| {})
    }

    fn start_with(change: impl FnOnce(&mut Command)) -> Self {
        let program = program();
        let (their_requests, requests) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (replies, their_replies) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
        let (socket, their_socket) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
        command.env_clear().stdin(their_requests).stdout(their_replies).stderr(Stdio::from(their_socket));
        change(&mut command);
        let child = command.spawn().unwrap();
        Self { child, requests: Some(requests.into()), replies: replies.into(), socket }
    }

    /// Sends what it is to enter.
    fn send(&self, fds: &[BorrowedFd<'_>]) {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        assert!(control.push(SendAncillaryMessage::ScmRights(fds)));
        let bytes = [std::io::IoSlice::new(&[0])];
        rustix::net::sendmsg(&self.socket, &bytes, &mut control, SendFlags::empty()).unwrap();
    }

    /// Receives what it has opened.
    fn receive(&self) -> OwnedFd {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut byte = [0];
        let bytes = &mut [std::io::IoSliceMut::new(&mut byte)];
        rustix::net::recvmsg(&self.socket, bytes, &mut control, RecvFlags::CMSG_CLOEXEC).unwrap();
        let mut fds: Vec<OwnedFd> = control
            .drain()
            .flat_map(|message| match message {
                RecvAncillaryMessage::ScmRights(fds) => fds.collect(),
                _ => vec![],
            })
            .collect();
        assert_eq!(fds.len(), 1);
        fds.pop().unwrap()
    }

    fn write(&mut self, bytes: &[u8]) {
        self.requests.as_mut().unwrap().write_all(bytes).unwrap();
    }

    /// The body of the next reply, without its version; nothing when there are no more.
    fn reply(&mut self) -> Option<Vec<u8>> {
        let mut length = [0; 4];
        self.replies.read_exact(&mut length).ok()?;
        let mut body = vec![0; u32::from_le_bytes(length) as usize];
        self.replies.read_exact(&mut body).unwrap();
        assert_eq!(body[0], VERSION);
        Some(body.split_off(1))
    }

    /// The next reply but for those that say how far it has come.
    fn answer(&mut self) -> Vec<u8> {
        loop {
            let reply = self.reply().unwrap();
            if reply[0] != WALKING {
                return reply;
            }
        }
    }

    /// Checks that this is the last that it says, and how it ends.
    #[track_caller]
    fn ends(mut self, last: Option<&[u8]>, code: i32) {
        if let Some(last) = last {
            assert_eq!(self.reply().as_deref(), Some(last));
        }
        self.requests = None;
        assert_eq!(self.reply(), None);
        assert_eq!(self.child.wait().unwrap().code(), Some(code));
    }

    /// Sends everything and asks to enter the mount namespace of the test itself.
    fn enter_own(&mut self) -> OwnedFd {
        self.send(&[procfs().as_fd(), namespace("mnt").as_fd()]);
        self.write(&enter(std::process::id(), false));
        assert_eq!(self.reply().unwrap(), [READY, 0]);
        self.receive()
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn procfs() -> File {
    File::open("/proc").unwrap()
}

fn namespace(name: &str) -> File {
    File::open(format!("/proc/self/ns/{name}")).unwrap()
}

fn frame(body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes(), body].concat()
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = vec![];
    while value > 0x7f {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

fn enter(parent: u32, user: bool) -> Vec<u8> {
    frame(&[&[VERSION, ENTER][..], &varint(parent.into()), &[user.into()]].concat())
}

/// A request for any file or directory.
fn open(path: &[u8]) -> Vec<u8> {
    frame(&[&[VERSION, OPEN, 1, 1][..], &varint(path.len() as u64), path].concat())
}

fn ends_with_its_requests() {
    Helper::start().ends(None, 0);
    let mut helper = Helper::start();
    helper.write(&frame(&[VERSION, EXIT]));
    helper.ends(None, 0);
}

fn eof_at_every_byte() {
    let whole = enter(1 << 20, true);
    for end in 1..whole.len() {
        let mut helper = Helper::start();
        helper.write(&whole[..end]);
        helper.requests = None;
        helper.ends(Some(&[FAILED, READ, EPROTO]), 2);
    }
}

fn long_frames() {
    // The longest that can be is a path of 16 KiB and a little more.
    for length in [0x4041_u32, 1 << 20, u32::MAX] {
        let mut helper = Helper::start();
        helper.write(&length.to_le_bytes());
        helper.ends(Some(&[FAILED, READ, EMSGSIZE]), 3);
    }
}

fn other_versions() {
    for version in [0, 2, 0x7f] {
        let mut helper = Helper::start();
        helper.write(&frame(&[version, EXIT]));
        helper.ends(Some(&[FAILED, STEP_VERSION, EPROTO]), 4);
    }
}

fn unknown_requests() {
    let too_much = [VERSION, EXIT, 0];
    let no_length: &[u8] = &0_u32.to_le_bytes();
    let requests =
        [frame(&[VERSION, 3]), frame(&[VERSION]), frame(&[0x80]), frame(&too_much), no_length.to_vec(), open(b"/")];
    for request in requests {
        let mut helper = Helper::start();
        helper.write(&request);
        helper.ends(Some(&[FAILED, REQUEST, EPROTO]), 5);
    }
}

fn wrong_descriptors() {
    let own = std::process::id();
    let null = File::open("/dev/null").unwrap();
    let (proc, uts, mnt, user) = (procfs(), namespace("uts"), namespace("mnt"), namespace("user"));
    let cases: [(&[&File], bool, [u8; 2]); 7] = [
        // Not a namespace; not of this type.
        (&[&proc, &null], false, [ENTER_MOUNT, EINVAL]),
        (&[&proc, &uts], false, [ENTER_MOUNT, EINVAL]),
        (&[&proc, &mnt, &uts], true, [ENTER_USER, EINVAL]),
        // The one that it is in already.
        (&[&proc, &mnt, &user], true, [ENTER_USER, EINVAL]),
        // Too few, too many.
        (&[&proc], false, [RECEIVE, EINVAL]),
        (&[&proc, &mnt], true, [RECEIVE, EINVAL]),
        (&[&proc, &mnt, &user], false, [RECEIVE, EINVAL]),
    ];
    for (fds, with_user, [step, errno]) in cases {
        let mut helper = Helper::start();
        helper.send(&fds.iter().map(|fd| fd.as_fd()).collect::<Vec<_>>());
        helper.write(&enter(own, with_user));
        helper.ends(Some(&[FAILED, step, errno]), 1);
    }
    // None at all: EAGAIN.
    let mut helper = Helper::start();
    helper.write(&enter(own, false));
    helper.ends(Some(&[FAILED, RECEIVE, 11]), 1);
}

fn no_permission() {
    let mut helper = Helper::start_with(|command| {
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
    });
    helper.send(&[procfs().as_fd(), namespace("mnt").as_fd()]);
    helper.write(&enter(std::process::id(), false));
    helper.ends(Some(&[FAILED, ENTER_MOUNT, EPERM]), 1);
}

fn enters_and_answers() {
    let mut helper = Helper::start();
    let mut mountinfo = String::new();
    File::from(helper.enter_own()).read_to_string(&mut mountinfo).unwrap();
    assert!(mountinfo.lines().any(|line| line.split(' ').nth(4) == Some("/")), "{mountinfo}");

    // Nothing but its own three descriptors; of all capabilities one; no way to more.
    let pid = helper.child.id();
    let mut fds: Vec<_> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    fds.sort();
    assert_eq!(fds, ["0", "1", "2"]);
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    for line in
        ["CapInh:\t0000000000000000", "CapPrm:\t0000000000000004", "CapEff:\t0000000000000004", "NoNewPrivs:\t1"]
    {
        assert!(status.contains(line), "{line}: {status}");
    }
    assert!(std::fs::read(format!("/proc/{pid}/environ")).unwrap().is_empty());

    helper.write(&open(b"/"));
    assert_eq!(helper.reply().unwrap(), [OPENED]);
    let root = File::from(helper.receive());
    assert_eq!(rustix::fs::fstat(&root).unwrap().st_ino, super::super::inode("/"));
    helper.write(&open(b"/no/such/file"));
    assert_eq!(helper.answer(), [REFUSED, 11, 2]);
    for path in [&b""[..], b"relative", b"/..", b"/a/../b", b"/a\0b"] {
        helper.write(&open(path));
        assert_eq!(helper.answer(), [REFUSED, 11, EINVAL], "{}", path.escape_ascii());
    }
    // Entering twice is none of its requests.
    helper.write(&enter(std::process::id(), false));
    helper.ends(Some(&[FAILED, REQUEST, EPROTO]), 5);
}

/// Its requests do not end, but the thread that has started it does.
fn ends_with_the_thread() {
    let mut helper = std::thread::spawn(|| {
        let mut helper = Helper::start();
        helper.enter_own();
        helper
    })
    .join()
    .unwrap();
    assert_eq!(helper.child.wait().unwrap().signal(), Some(9));

    // It was somebody else who has started it.
    let mut helper = Helper::start();
    helper.send(&[procfs().as_fd(), namespace("mnt").as_fd()]);
    helper.write(&enter(std::process::id() + 1, false));
    helper.ends(Some(&[FAILED, PARENT, ESRCH]), 1);
}

fn nobody_listens() {
    let mut helper = Helper::start();
    helper.enter_own();
    let (other, _) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap();
    helper.replies = other.into();
    let mut status = None;
    // As long as another test's fork has a copy of the other end, it is heard.
    super::soon("its end", || {
        let _ = helper.requests.as_mut().unwrap().write_all(&open(b"relative"));
        status = helper.child.try_wait().unwrap();
        status.is_some()
    });
    assert_eq!(status.unwrap().code(), Some(6));
}

/// Requests that cannot be read are no requests.
fn missing_descriptors() {
    let helper = Helper::start_with(|command| {
        // It cannot be read from.
        command.stdin(File::options().write(true).open("/dev/null").unwrap());
    });
    helper.ends(Some(&[FAILED, READ, 9]), 2);
}
