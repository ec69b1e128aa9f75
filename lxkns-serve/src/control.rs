//! What the supervisor and a process that it has started say to each other, over a socket that keeps messages apart.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::settings::Settings;

/// The longest message.
const LONGEST: usize = 64 * 1024;
/// The most descriptors that come with one.
pub(crate) const MOST_FDS: usize = MOST_LISTENERS + 2;
/// The most listeners; the page and who may connect come with them.
pub(crate) const MOST_LISTENERS: usize = 32;

/// What the supervisor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Order {
    /// How to begin; to the front with its listeners.
    Start(Box<Settings>),
    /// Who may connect and ask from now on, in memory that comes with it; to the front.
    Access,
    /// A new connection between front and reader, which comes with it, in place of any other.
    Link,
    /// How the processes stand.
    Left {
        /// How many readers were killed and have not ended.
        readers: usize,
        /// Whether these are so many that no other is started: there is none that answers, and none to come.
        is_given_up: bool,
        /// How often a reader was started, and a front.
        starts: [u64; 2],
    },
    /// To take no more requests, to finish those that there are, and to end.
    Drain,
}

/// What the others say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum News {
    /// It serves.
    Ready,
    /// It still does.
    Alive,
    /// The connection between front and reader has ended, though neither process has.
    Unlinked,
    /// It is stuck, and does not end when it is told to.
    GiveUp(String),
}

/// Two ends.
///
/// # Errors
///
/// The kernel's.
pub(crate) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Says something, with descriptors. Does not wait: a process that does not read what it is told is lost.
///
/// # Errors
///
/// The kernel's.
pub(crate) fn send(socket: impl AsFd, message: &impl Serialize, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = postcard::to_extend(message, Vec::new()).map_err(io::Error::other)?;
    Ok(lxkns_sys::send_fds(socket, &bytes, fds, SendFlags::DONTWAIT)?)
}

/// The next message and its descriptors; `None` at the end.
///
/// # Errors
///
/// The kernel's; something else than a message.
pub(crate) fn receive<T: DeserializeOwned>(
    socket: impl AsFd,
    flags: RecvFlags,
) -> io::Result<Option<(T, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; LONGEST];
    let received = match lxkns_sys::receive_fds(socket, &mut bytes, MOST_FDS, flags) {
        Err(Errno::CONNRESET) => return Ok(None),
        received => received?,
    };
    if received.length == 0 {
        return Ok(None);
    }
    if !received.is_whole {
        return Err(io::Error::other("a message is too long"));
    }
    Ok(Some((message(&bytes[..received.length])?, received.fds)))
}

/// A message, as it was sent.
fn message<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    match postcard::take_from_bytes(bytes) {
        Ok((message, [])) => Ok(message),
        _ => Err(io::Error::other("not a message")),
    }
}

/// What the supervisor hears of a front that may have been taken over: understood in one way, if at all.
#[cfg(feature = "_fuzz")]
pub(crate) fn fuzz_news(bytes: &[u8]) {
    let Ok(news) = message::<News>(bytes) else { return };
    let again = postcard::to_extend(&news, Vec::new()).expect("memory takes it");
    assert!(again.len() <= bytes.len());
    assert_eq!(message::<News>(&again).ok(), Some(news));
}
