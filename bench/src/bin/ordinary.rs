//! What mntnssandbox would be as an ordinary Rust program: it enters, sends its mountinfo, says that it is ready, and
//! waits. It does no more than that, so that the comparison is fair to it.

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, ensure};
use rustix::fs::{Mode, OFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::LinkNameSpaceType;

/// The reply `Ready`, with a mountinfo.
const READY: [u8; 7] = [3, 0, 0, 0, 1, 0, 0];

fn main() -> anyhow::Result<()> {
    let (mut requests, mut replies, socket) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let mut length = [0; 4];
    requests.read_exact(&mut length)?;
    let mut request = vec![0; u32::from_le_bytes(length) as usize];
    requests.read_exact(&mut request)?;

    let [procfs, namespace] = receive(socket.as_fd())?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    rustix::thread::set_no_new_privs(true)?;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Mount))?;
    let mountinfo = rustix::fs::openat(&procfs, c"self/mountinfo", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;

    let fds = [mountinfo.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    ensure!(control.push(SendAncillaryMessage::ScmRights(&fds)), "there is room for one descriptor");
    rustix::net::sendmsg(socket.as_fd(), &[IoSlice::new(&[0])], &mut control, SendFlags::NOSIGNAL)?;
    drop((procfs, namespace, mountinfo));
    replies.write_all(&READY)?;
    replies.flush()?;
    // Until the other end is closed.
    while requests.read(&mut length)? > 0 {}
    Ok(())
}

fn receive(socket: impl AsFd) -> anyhow::Result<[OwnedFd; 2]> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(3))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let fds = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(fds) => Some(fds.collect::<Vec<_>>()),
        _ => None,
    });
    fds.and_then(|fds| fds.try_into().ok()).context("a procfs and a mount namespace are sent")
}
