//! What the two processes say to each other, and how it travels: questions, with descriptors beside them, as packets over a
//! socket; answers with their length before them over a pipe.

use std::io::{self, IoSlice, IoSliceMut, Write};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::{Deserialize, Serialize};

/// Both sides are one program: what says another number is something else.
pub(super) const VERSION: u32 = 1;
/// How many bytes a question has at most.
const LONGEST_QUESTION: usize = 32 * 1024;
/// How many bytes an answer has at most: that of some hundred thousand links.
pub(super) const LONGEST_ANSWER: usize = 64 << 20;
/// How many descriptors go with a question at most; the kernel takes 253.
pub(crate) const MOST_FDS: usize = 200;

/// A question.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Question {
    pub(super) version: u32,
    pub(super) what: What,
}

/// What is asked. The first question is to enter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum What {
    /// Enter the namespace that is the first descriptor beside it, if there is one; through the user namespace that is the
    /// second where it must be.
    Enter {
        /// The process that asks.
        parent: u32,
    },
    /// Links, addresses, routes and sockets.
    Network,
    /// The IDs that the network namespace has given to those beside this question.
    NamespaceIds,
    /// The names of links in other network namespaces: by the ID of that namespace and the index there.
    NamesOfLinks(Vec<(i32, u32)>),
    /// Host and domain name.
    HostName,
    /// The limits of the user namespace.
    Limits,
}

/// What is answered, for each question in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    Entered,
    Network(Network),
    /// An ID for each descriptor that has one.
    NamespaceIds(Vec<Option<i32>>),
    /// A name for each link that could be asked about.
    NamesOfLinks(Vec<Option<Vec<u8>>>),
    HostName(HostName),
    Limits(Vec<Limit>),
    /// It did not work.
    Failed(Failure),
}

/// A call that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Failure {
    /// Which.
    pub(crate) call: String,
    /// The error number.
    pub(crate) errno: i32,
}

/// What is in a network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Network {
    /// By index.
    pub(crate) links: Vec<Link>,
    pub(crate) addresses: Vec<Address>,
    /// Those of the main tables.
    pub(crate) routes: Vec<Route>,
    /// How many there are in other tables.
    pub(crate) other_routes: u64,
    /// The sockets that wait for somebody to connect or send.
    pub(crate) sockets: Vec<ListeningSocket>,
    /// What of this is not whole.
    pub(crate) failures: Vec<Failure>,
}

/// A network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Link {
    pub(crate) index: u32,
    /// Any bytes but blanks, slashes and colons.
    pub(crate) name: Vec<u8>,
    /// The `IFF_` flags.
    pub(crate) flags: u32,
    /// The state by RFC 2863, where the kernel says it: 2 down, 6 up, ...
    pub(crate) operstate: Option<u8>,
    pub(crate) mtu: Option<u32>,
    /// The hardware address, where it has one.
    pub(crate) mac: Vec<u8>,
    /// `veth`, `bridge`; hardware has none.
    pub(crate) kind: Option<Vec<u8>>,
    /// The index of the bridge or the like that it belongs to.
    pub(crate) master: Option<u32>,
    /// The index of the peer or of the link below.
    pub(crate) link: Option<u32>,
    /// The ID of the network namespace in which that is, where it is another one; negative where it is not known.
    pub(crate) link_nsid: Option<i32>,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Address {
    pub(crate) index: u32,
    pub(crate) local: IpAddr,
    pub(crate) prefix: u8,
    /// The address of the other side, of point-to-point links.
    pub(crate) peer: Option<IpAddr>,
    /// `RT_SCOPE_`: 0 global, 253 link, 254 host.
    pub(crate) scope: u8,
}

/// A route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Route {
    pub(crate) is_v6: bool,
    /// `None` is the default route.
    pub(crate) destination: Option<IpAddr>,
    pub(crate) prefix: u8,
    /// `RTN_`: 1 unicast, 7 unreachable, ...
    pub(crate) kind: u8,
    pub(crate) source: Option<IpAddr>,
    pub(crate) metric: Option<u32>,
    /// The ways: of a multipath route more than one.
    pub(crate) hops: Vec<Hop>,
}

/// One way of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hop {
    pub(crate) gateway: Option<IpAddr>,
    pub(crate) index: Option<u32>,
}

/// The protocol of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Protocol {
    Tcp,
    Udp,
}

/// A TCP socket that listens, or a UDP socket that is not connected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ListeningSocket {
    pub(crate) protocol: Protocol,
    pub(crate) port: u16,
    pub(crate) address: IpAddr,
    /// Whether it takes IPv4 too, of an IPv6 socket on all addresses.
    pub(crate) takes_v4: bool,
    /// The interface that it is bound to.
    pub(crate) index: Option<u32>,
    /// Its inode number.
    pub(crate) inode: u64,
    /// Whose it is.
    pub(crate) uid: u32,
}

/// Host and domain name, any bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostName {
    pub(crate) host: Vec<u8>,
    pub(crate) domain: Vec<u8>,
}

/// How many namespaces of a type a user may create.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Limit {
    /// The type's name.
    pub(crate) ns_type: String,
    pub(crate) max: u64,
}

/// Sends a question, with descriptors beside it.
pub(super) fn ask(socket: &OwnedFd, what: What, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = postcard::to_allocvec(&Question { version: VERSION, what }).map_err(io::Error::other)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let is_too_much = bytes.len() > LONGEST_QUESTION || fds.len() > MOST_FDS;
    if is_too_much || !fds.is_empty() && !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(&bytes)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// Receives a question; `None` where nobody asks any more.
pub(super) fn next_question(socket: impl AsFd) -> io::Result<Option<(What, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; LONGEST_QUESTION];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let message = rustix::io::retry_on_intr(|| {
        rustix::net::recvmsg(&socket, &mut [IoSliceMut::new(&mut bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)
    })?;
    let mut fds = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            fds.extend(received);
        }
    }
    if message.bytes == 0 {
        return Ok(None);
    }
    if message.flags.intersects(ReturnFlags::TRUNC | ReturnFlags::CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let question: Question = postcard::from_bytes(&bytes[..message.bytes]).map_err(io::Error::other)?;
    if question.version != VERSION {
        return Err(io::Error::other("a question of another version"));
    }
    Ok(Some((question.what, fds)))
}

/// Writes an answer: version, length, text.
pub(super) fn answer(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let bytes = postcard::to_allocvec(answer).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    out.write_all(&VERSION.to_ne_bytes())?;
    out.write_all(&length.to_ne_bytes())?;
    out.write_all(&bytes)?;
    out.flush()
}

/// How many bytes the answer has that begins with these.
pub(super) fn length(head: [u8; HEAD]) -> io::Result<usize> {
    let [version, length] = [0, 4].map(|at| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    let length = usize::try_from(length).map_err(io::Error::other)?;
    if version != VERSION || length > LONGEST_ANSWER {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(length)
}

/// How many bytes stand before an answer.
pub(super) const HEAD: usize = 8;

#[cfg(test)]
mod tests {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};

    use super::*;

    #[test]
    fn questions_arrive_with_their_descriptors() {
        let (ours, theirs) =
            socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
        let many = vec![ours.as_fd(); MOST_FDS];
        ask(&ours, What::NamespaceIds, &many).unwrap();
        let (what, fds) = next_question(&theirs).unwrap().unwrap();
        assert_eq!((what, fds.len()), (What::NamespaceIds, MOST_FDS));
        assert!(ask(&ours, What::NamespaceIds, &[many, vec![ours.as_fd()]].concat()).is_err());
        drop((ours, fds));
        assert!(next_question(&theirs).unwrap().is_none());
    }

    #[test]
    fn what_is_no_answer_has_no_length() {
        let mut bytes = Vec::new();
        answer(&mut bytes, &Answer::Entered).unwrap();
        assert_eq!(length(*bytes.first_chunk().unwrap()).unwrap(), bytes.len() - HEAD);
        assert!(length([0xff; HEAD]).is_err());
        let [a, b, c, d] = VERSION.to_ne_bytes();
        assert!(length([a, b, c, d, 0xff, 0xff, 0xff, 0xff]).is_err());
    }
}
