//! What the two processes say to each other, and how it travels: questions, with descriptors beside them, as packets over a
//! socket; answers with their length before them over a pipe.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxkns_model::inside::{Failure, HostName, Limit, Link, Network, Parts};
use rustix::net::{RecvFlags, SendFlags};
use serde::{Deserialize, Serialize};

/// Both sides are one program: what says another number is something else.
pub(crate) const VERSION: u32 = 3;
/// How many bytes a question has at most.
const LONGEST_QUESTION: usize = 32 * 1024;
/// How many bytes an answer has at most: that of some hundred thousand links.
pub(crate) const LONGEST_ANSWER: usize = 64 << 20;
/// How many descriptors go with a question at most; the kernel takes 253.
pub const MOST_FDS: usize = 200;

/// A question.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Question {
    pub(crate) version: u32,
    pub(crate) what: What,
}

/// What is asked. The first question is to enter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum What {
    /// Enter the namespace that is the first descriptor beside it, if there is one; through the user namespace that is the
    /// second where it must be.
    Enter {
        /// The process that asks.
        parent: u32,
    },
    /// Links, addresses, routes and sockets.
    Network,
    /// Go on to the network namespace beside this question, if there is one, and say this much of it.
    Visit(Parts),
    /// The IDs that the network namespace has given to those beside this question.
    NamespaceIds,
    /// The names of links in other network namespaces: by the ID of that namespace and the index there.
    NamesOfLinks(Vec<(i32, u32)>),
    /// Go to a network namespace that nothing else is in, and that goes with this process.
    NewNetwork,
    /// Give the network namespaces beside this question IDs here: this one and those after it.
    Identify(i32),
    /// The links of the network namespaces with these IDs.
    LinksOf(Vec<i32>),
    /// The links of the network namespace.
    Links,
    /// Host and domain name.
    HostName,
    /// The limits of the user namespace.
    Limits,
}

/// What is answered, for each question in its order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Entered,
    Network(Network),
    /// An ID for each descriptor that has one.
    NamespaceIds(Vec<Option<i32>>),
    /// A name for each link that could be asked about.
    NamesOfLinks(Vec<Option<Vec<u8>>>),
    /// The links of each network namespace.
    Links(Vec<Result<Vec<Link>, Failure>>),
    HostName(HostName),
    Limits(Vec<Limit>),
    /// It did not work.
    Failed(Failure),
}

/// Sends a question, with descriptors beside it.
pub(crate) fn ask(socket: &OwnedFd, what: What, fds: &[BorrowedFd<'_>]) -> io::Result<()> {
    let bytes = postcard::to_allocvec(&Question { version: VERSION, what }).map_err(io::Error::other)?;
    if bytes.len() > LONGEST_QUESTION || fds.len() > MOST_FDS {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(lxkns_sys::send_fds(socket, &bytes, fds, SendFlags::empty())?)
}

/// Receives a question; `None` where nobody asks any more.
pub(crate) fn next_question(socket: impl AsFd) -> io::Result<Option<(What, Vec<OwnedFd>)>> {
    let mut bytes = vec![0; LONGEST_QUESTION];
    let received = lxkns_sys::receive_fds(socket, &mut bytes, MOST_FDS, RecvFlags::empty())?;
    if received.length == 0 {
        return Ok(None);
    }
    if !received.is_whole {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let question: Question = postcard::from_bytes(&bytes[..received.length]).map_err(io::Error::other)?;
    if question.version != VERSION {
        return Err(io::Error::other("a question of another version"));
    }
    Ok(Some((question.what, received.fds)))
}

/// Writes an answer: version, length, text.
pub(crate) fn answer(out: &mut impl Write, answer: &Answer) -> io::Result<()> {
    let bytes = postcard::to_allocvec(answer).map_err(io::Error::other)?;
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    out.write_all(&VERSION.to_ne_bytes())?;
    out.write_all(&length.to_ne_bytes())?;
    out.write_all(&bytes)?;
    out.flush()
}

/// How many bytes the answer has that begins with these.
pub(crate) fn length(head: [u8; HEAD]) -> io::Result<usize> {
    let [version, length] = [0, 4].map(|at| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]));
    let length = usize::try_from(length).map_err(io::Error::other)?;
    if version != VERSION || length > LONGEST_ANSWER {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(length)
}

/// How many bytes stand before an answer.
pub(crate) const HEAD: usize = 8;

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
