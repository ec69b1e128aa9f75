//! Messages over UNIX sockets, with descriptors.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};

use crate::Errno;

/// The most descriptors that the kernel takes with one message.
const MOST_FDS: usize = 253;
/// The room for them.
const ROOM: usize = rustix::cmsg_space!(ScmRights(MOST_FDS));

/// A message that was received.
#[derive(Debug)]
pub struct Received {
    /// Its length in bytes; 0 also where the other end is closed.
    pub length: usize,
    /// The descriptors that came with it.
    pub fds: Vec<OwnedFd>,
    /// Whether that is all of it, and all of them. A caller that may have no more descriptors gets fewer.
    pub is_whole: bool,
}

/// Sends a message with these descriptors.
///
/// # Errors
///
/// `EINVAL`: more than 253 descriptors. Others are the kernel's; no `SIGPIPE` is raised.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `SCM_RIGHTS` in `unix(7)`.
#[doc(alias = "SCM_RIGHTS")]
pub fn send_fds(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>], flags: SendFlags) -> Result<(), Errno> {
    let mut room = [MaybeUninit::uninit(); ROOM];
    let mut ancillary = SendAncillaryBuffer::new(&mut room);
    if !fds.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(Errno::INVAL);
    }
    rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(&socket, &[IoSlice::new(bytes)], &mut ancillary, flags | SendFlags::NOSIGNAL)
    })?;
    Ok(())
}

/// Receives a message with at most that many descriptors, which are close-on-exec.
///
/// # Errors
///
/// The kernel's, but not `EINTR`.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `SCM_RIGHTS` in `unix(7)`.
#[doc(alias = "SCM_RIGHTS")]
pub fn receive_fds(socket: impl AsFd, bytes: &mut [u8], most: usize, flags: RecvFlags) -> Result<Received, Errno> {
    let mut room = [MaybeUninit::uninit(); ROOM];
    let room = &mut room[..rustix::cmsg_space!(ScmRights(most.min(MOST_FDS)))];
    let mut ancillary = RecvAncillaryBuffer::new(room);
    let message = rustix::io::retry_on_intr(|| {
        let flags = flags | RecvFlags::CMSG_CLOEXEC;
        rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(bytes)], &mut ancillary, flags)
    })?;
    let mut fds = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            fds.extend(rights);
        }
    }
    // The room is aligned, and can hold a few more.
    let is_whole = fds.len() <= most && !message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC);
    fds.truncate(most);
    Ok(Received { length: message.bytes, fds, is_whole })
}

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType};

    use super::*;

    #[test]
    fn descriptors_arrive_or_are_known_to_be_missing() {
        let flags = SocketFlags::CLOEXEC;
        let (from, to) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        let file = std::fs::File::open("/proc/self/stat").unwrap();
        let send = |count| send_fds(&from, b"some", &vec![file.as_fd(); count], SendFlags::empty());
        let mut bytes = [0; 8];
        for count in [0, 1, 200] {
            send(count).unwrap();
            let received = receive_fds(&to, &mut bytes, 200, RecvFlags::empty()).unwrap();
            assert_eq!((received.length, received.fds.len(), received.is_whole), (4, count, true));
            for fd in received.fds {
                assert!(crate::is_same_file(&fd, &file).unwrap(), "a descriptor of another file");
                assert_eq!(rustix::io::fcntl_getfd(&fd), Ok(rustix::io::FdFlags::CLOEXEC));
            }
        }
        send(4).unwrap();
        let received = receive_fds(&to, &mut bytes, 2, RecvFlags::empty()).unwrap();
        assert_eq!((received.fds.len(), received.is_whole), (2, false));
        send(0).unwrap();
        assert!(!receive_fds(&to, &mut bytes[..2], 2, RecvFlags::empty()).unwrap().is_whole);
        assert_eq!(send(254), Err(Errno::INVAL));
        drop(from);
        let received = receive_fds(&to, &mut bytes, 2, RecvFlags::empty()).unwrap();
        assert_eq!((received.length, received.fds.len()), (0, 0));
    }
}
