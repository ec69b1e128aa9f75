//! The messages of the process connector (`linux/cn_proc.h`).

/// What a message says. PIDs are those of the initial PID namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The caller listens now, or why not: an error number.
    Answer(u32),
    /// A task began.
    Fork { pid: u32, tid: u32, time_ns: u64 },
    /// A process executes another program.
    Exec { pid: u32, time_ns: u64 },
    /// A task has ended.
    Exit { pid: u32, tid: u32, time_ns: u64 },
}

/// `CN_IDX_PROC` and `CN_VAL_PROC`, which are the same.
const PROC: u32 = 1;
/// The bytes of `struct nlmsghdr` and of `struct cn_msg`.
const NETLINK: usize = 16;
const CONNECTOR: usize = 20;

/// The message that asks to be told.
pub(crate) fn listen() -> Vec<u8> {
    const PROC_CN_MCAST_LISTEN: u32 = 1;
    const NLMSG_DONE: u16 = 3;
    let length = NETLINK + CONNECTOR + 4;
    let mut bytes = Vec::with_capacity(length);
    bytes.extend((length as u32).to_ne_bytes());
    bytes.extend(NLMSG_DONE.to_ne_bytes());
    // Flags, sequence number and sender of the message.
    bytes.extend([0; 10]);
    bytes.extend([PROC.to_ne_bytes(), PROC.to_ne_bytes(), [0; 4], [0; 4]].concat());
    bytes.extend(4_u16.to_ne_bytes());
    bytes.extend([0; 2]);
    bytes.extend(PROC_CN_MCAST_LISTEN.to_ne_bytes());
    bytes
}

/// Reads a message; `None` for what is about something else.
pub(crate) fn parse(bytes: &[u8]) -> Option<Message> {
    let u32_at = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    if [u32_at(NETLINK)?, u32_at(NETLINK + 4)?] != [PROC; 2] {
        return None;
    }
    let event = NETLINK + CONNECTOR;
    let what = u32_at(event)?;
    let time_ns = u64::from_ne_bytes(*bytes.get(event + 8..)?.first_chunk()?);
    let number = |index: usize| u32_at(event + 16 + 4 * index);
    match what {
        0 => Some(Message::Answer(number(0)?)),
        1 => Some(Message::Fork { tid: number(2)?, pid: number(3)?, time_ns }),
        2 => Some(Message::Exec { pid: number(1)?, time_ns }),
        0x8000_0000 => Some(Message::Exit { tid: number(0)?, pid: number(1)?, time_ns }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn message(what: u32, numbers: &[u32]) -> Vec<u8> {
        let mut bytes = listen();
        bytes.truncate(NETLINK + CONNECTOR);
        bytes.extend([what.to_ne_bytes(), [0; 4]].concat());
        bytes.extend(7_u64.to_ne_bytes());
        bytes.extend(numbers.iter().flat_map(|number| number.to_ne_bytes()));
        bytes
    }

    #[test]
    fn messages_are_read() {
        let time_ns = 7;
        assert_eq!(parse(&message(0, &[1])), Some(Message::Answer(1)));
        assert_eq!(parse(&message(1, &[1, 2, 3, 4])), Some(Message::Fork { pid: 4, tid: 3, time_ns }));
        assert_eq!(parse(&message(2, &[5, 6])), Some(Message::Exec { pid: 6, time_ns }));
        assert_eq!(parse(&message(1 << 31, &[5, 6, 0, 0])), Some(Message::Exit { pid: 6, tid: 5, time_ns }));
        assert_eq!(parse(&message(4, &[5, 6, 0, 0])), None, "a change of the user");
        let mut other = message(0, &[1]);
        other[NETLINK] = 2;
        assert_eq!(parse(&other), None, "another user of connectors");
    }

    #[test]
    fn a_message_that_is_cut_says_nothing() {
        let whole = message(1, &[1, 2, 3, 4]);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), None);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..128)) {
            let mut like_one = message(1, &[]);
            like_one.extend(&bytes);
            let _ = (parse(&bytes), parse(&like_one));
        }
    }
}
