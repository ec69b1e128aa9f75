//! The protocol's frames, beside those of the postcard crate.

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use crate::protocol::{FrameError, MAX_PATH, MAX_REPLY, MAX_REQUEST, PREFIX, Reply, Request, Step, VERSION, Want};
use crate::{fuzz, protocol};

/// The same messages as postcard takes them.
mod theirs {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    pub(super) struct Frame<T> {
        pub(super) version: u16,
        pub(super) message: T,
    }

    #[derive(Debug, Serialize, Deserialize)]
    pub(super) enum Request {
        Enter { parent: u32, user: bool },
        Open { want: Want, walk: bool, path: Vec<u8> },
        Exit,
    }

    #[derive(Debug, Serialize, Deserialize)]
    pub(super) enum Want {
        Namespace { major: u32, minor: u32, ino: u64 },
        FileOrDirectory,
        AnyNamespace { major: u32, minor: u32 },
    }

    #[derive(Debug, Serialize, Deserialize)]
    pub(super) enum Reply {
        Ready { mountinfo: u16 },
        Failed { step: Step, errno: u16 },
        Walking { offset: u32 },
        Opened,
        Refused { step: Step, errno: u16 },
    }

    #[derive(Clone, Copy, Debug, Serialize, Deserialize)]
    pub(super) enum Step {
        Read,
        Version,
        Request,
        Receive,
        Undumpable,
        NoNewPrivileges,
        EnterUser,
        EnterMount,
        Capabilities,
        DeathSignal,
        Parent,
        Open,
        Look,
        Send,
    }
}

impl theirs::Request {
    fn ours(&self) -> Request<'_> {
        match self {
            &Self::Enter { parent, user } => Request::Enter { parent, user },
            Self::Open { want, walk, path } => Request::Open { want: want.ours(), walk: *walk, path },
            Self::Exit => Request::Exit,
        }
    }
}

impl theirs::Want {
    fn ours(&self) -> Want {
        match *self {
            Self::Namespace { major, minor, ino } => Want::Namespace { major, minor, ino },
            Self::FileOrDirectory => Want::FileOrDirectory,
            Self::AnyNamespace { major, minor } => Want::AnyNamespace { major, minor },
        }
    }
}

impl theirs::Reply {
    fn ours(&self) -> Reply {
        match *self {
            Self::Ready { mountinfo } => Reply::Ready { mountinfo },
            Self::Failed { step, errno } => Reply::Failed { step: Step::ALL[step as usize], errno },
            Self::Walking { offset } => Reply::Walking { offset },
            Self::Opened => Reply::Opened,
            Self::Refused { step, errno } => Reply::Refused { step: Step::ALL[step as usize], errno },
        }
    }
}

fn steps() -> impl Strategy<Value = theirs::Step> {
    (0..Step::ALL.len() as u8).prop_map(|n| postcard::from_bytes(&[n]).unwrap())
}

fn wants() -> impl Strategy<Value = theirs::Want> {
    prop_oneof![
        any::<(u32, u32, u64)>().prop_map(|(major, minor, ino)| theirs::Want::Namespace { major, minor, ino }),
        Just(()).prop_map(|()| theirs::Want::FileOrDirectory),
        any::<(u32, u32)>().prop_map(|(major, minor)| theirs::Want::AnyNamespace { major, minor }),
    ]
}

fn requests() -> impl Strategy<Value = theirs::Request> {
    prop_oneof![
        any::<(u32, bool)>().prop_map(|(parent, user)| theirs::Request::Enter { parent, user }),
        (wants(), any::<bool>(), any::<Vec<u8>>()).prop_map(|(want, walk, path)| theirs::Request::Open {
            want,
            walk,
            path
        }),
        Just(()).prop_map(|()| theirs::Request::Exit),
    ]
}

fn replies() -> impl Strategy<Value = theirs::Reply> {
    prop_oneof![
        any::<u16>().prop_map(|mountinfo| theirs::Reply::Ready { mountinfo }),
        (steps(), any::<u16>()).prop_map(|(step, errno)| theirs::Reply::Failed { step, errno }),
        any::<u32>().prop_map(|offset| theirs::Reply::Walking { offset }),
        Just(()).prop_map(|()| theirs::Reply::Opened),
        (steps(), any::<u16>()).prop_map(|(step, errno)| theirs::Reply::Refused { step, errno }),
    ]
}

fn encoded(request: Request<'_>) -> Vec<u8> {
    let mut frame = vec![0; PREFIX + MAX_REQUEST];
    let length = request.encode(&mut frame).unwrap();
    frame.truncate(length);
    frame
}

/// A frame as postcard makes it.
fn their_frame(message: &impl Serialize) -> Vec<u8> {
    let body = postcard::to_allocvec(&theirs::Frame { version: VERSION, message }).unwrap();
    [&(body.len() as u32).to_le_bytes(), &*body].concat()
}

#[test]
fn a_frame_never_changes() {
    let open = Request::Open { want: Want::Namespace { major: 0, minor: 4, ino: 4026532281 }, walk: true, path: b"/a" };
    assert_eq!(encoded(open), b"\x0e\0\0\0\x01\x01\0\0\x04\xb9\x83\x80\x80\x0f\x01\x02/a");
    assert_eq!(encoded(Request::Exit), b"\x02\0\0\0\x01\x02");
    let mut frame = [0; PREFIX + MAX_REPLY];
    let length = Reply::Refused { step: Step::Open, errno: 300 }.encode(&mut frame).unwrap();
    assert_eq!(frame[..length], *b"\x05\0\0\0\x01\x04\x0b\xac\x02");
}

#[test]
fn another_version_is_named() {
    for theirs in [0, 2, 0x3fff, u16::MAX] {
        let frame = theirs::Frame { version: theirs, message: () };
        let body = [postcard::to_allocvec(&frame).unwrap(), b"whatever".to_vec()].concat();
        assert_eq!(Request::decode(&body), Err(FrameError::Version(theirs)));
        let error = Reply::decode(&body).unwrap_err();
        assert_eq!(error.to_string(), format!("it speaks version {theirs} of the protocol, and this side 1"));
    }
}

#[test]
fn the_longest_path_has_room_and_no_longer_one_is_said_or_understood() {
    let path = vec![b'x'; MAX_PATH + 1];
    let want = Want::Namespace { major: u32::MAX, minor: u32::MAX, ino: u64::MAX };
    let open = |path| Request::Open { want, walk: true, path };
    let frame = encoded(open(&path[1..]));
    assert_eq!(Request::decode(&frame[PREFIX..]), Ok(open(&path[1..])));
    assert_eq!(open(&path).encode(&mut vec![0; 2 * MAX_REQUEST]), Err(FrameError::TooLong));
    let theirs = theirs::Request::Open { want: theirs::Want::FileOrDirectory, walk: true, path };
    assert_eq!(Request::decode(&their_frame(&theirs)[PREFIX..]), Err(FrameError::Malformed));
}

#[test]
fn lengths_are_bounded() {
    assert_eq!(protocol::frame_length([0; 4], 32), Err(FrameError::Malformed));
    assert_eq!(protocol::frame_length([32, 0, 0, 0], 32), Ok(32));
    assert_eq!(protocol::frame_length([33, 0, 0, 0], 32), Err(FrameError::TooLong));
    assert_eq!(protocol::frame_length([0xff; 4], MAX_REQUEST), Err(FrameError::TooLong));
    assert_eq!(Request::Exit.encode(&mut [0; 5]), Err(FrameError::TooLong));
    assert_eq!(Request::Exit.encode(&mut [0; 3]), Err(FrameError::TooLong));
}

proptest! {
    #[test]
    fn requests_are_postcards(theirs in requests()) {
        let frame = encoded(theirs.ours());
        prop_assert_eq!(&frame, &their_frame(&theirs));
        prop_assert_eq!(Request::decode(&frame[PREFIX..]), Ok(theirs.ours()));
        fuzz::request(&frame);
    }

    #[test]
    fn replies_are_postcards(theirs in replies()) {
        let mut frame = [0; PREFIX + MAX_REPLY];
        let length = theirs.ours().encode(&mut frame).unwrap();
        prop_assert_eq!(&frame[..length], &their_frame(&theirs));
        prop_assert_eq!(Reply::decode(&frame[PREFIX..length]), Ok(theirs.ours()));
        fuzz::reply(&frame[..length]);
    }

    /// Whatever the bytes, both understand the same, or both nothing.
    #[test]
    fn what_postcard_refuses_is_refused(
        tail in proptest::collection::vec(prop_oneof![0_u8..6, any::<u8>(), Just(0x80), Just(0xff)], 0..24),
    ) {
        let bytes = [&[VERSION as u8], &*tail].concat();
        let theirs = postcard::take_from_bytes::<theirs::Frame<theirs::Request>>(&bytes).ok();
        let theirs = theirs.filter(|(_, rest)| rest.is_empty()).map(|(frame, _)| frame.message);
        prop_assert_eq!(Request::decode(&bytes).ok(), theirs.as_ref().map(theirs::Request::ours));
        let theirs = postcard::take_from_bytes::<theirs::Frame<theirs::Reply>>(&bytes).ok();
        let theirs = theirs.filter(|(_, rest)| rest.is_empty()).map(|(frame, _)| frame.message);
        prop_assert_eq!(Reply::decode(&bytes).ok(), theirs.as_ref().map(theirs::Reply::ours));
        let framed = [&(bytes.len() as u32).to_le_bytes(), &*bytes].concat();
        fuzz::request(&framed);
        fuzz::reply(&framed);
    }
}
