//! The protocol between the helper and its parent. Both compile this file, which needs neither an allocator nor the
//! standard library.
//!
//! A frame is its length (four bytes, least significant first), then a version, then one message. Version and message
//! have postcard's encoding (<https://postcard.jamesmunns.com/wire-format>). The length and the version keep their form
//! in all versions, so each side can detect another version.
//!
//! Descriptors go over a socket, each message with one byte, and are sent before the frame that mentions them.

use core::fmt;

/// The version of everything below.
pub(crate) const VERSION: u16 = 1;

/// The longest path in a request. Mount points can be longer than the path of one system call.
pub(crate) const MAX_PATH: usize = 16 * 1024;

/// The longest request and the longest reply, without their length. Longer ones are rejected unread.
pub(crate) const MAX_REQUEST: usize = MAX_PATH + 64;
pub(crate) const MAX_REPLY: usize = 32;

/// The size of the length, in bytes.
pub(crate) const PREFIX: usize = 4;

/// A request of the parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Request<'a> {
    /// Enter. This is the first request, and comes only once. The socket has a procfs, the mount namespace and, if
    /// `user` is set, the user namespace to enter before it.
    Enter {
        /// The parent's PID.
        parent: u32,
        user: bool,
    },
    /// Open a path from the root of the mount namespace, if it leads to the wanted file.
    Open {
        want: Want,
        /// Whether to look up name by name, which can wait for a server, if the path is not in the kernel's cache.
        walk: bool,
        path: &'a [u8],
    },
    /// End.
    Exit,
}

/// The file that a path must lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// This namespace: the device, by its major and minor number, and the inode.
    Namespace { major: u32, minor: u32, ino: u64 },
    /// Any regular file or directory.
    FileOrDirectory,
    /// Any namespace: the device of the nsfs.
    AnyNamespace { major: u32, minor: u32 },
}

/// A reply of the helper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// It has entered. If `mountinfo` is zero, the socket has its mountinfo, else `mountinfo` is the error of opening
    /// it.
    Ready { mountinfo: u16 },
    /// It could not enter, or the request is malformed. The helper ends.
    Failed { step: Step, errno: u16 },
    /// It looks up the name that ends at this offset of the path, and can ask the server of a file system. Any number
    /// of these precede the reply to a request.
    Walking { offset: u32 },
    /// The socket has the opened `O_PATH` descriptor.
    Opened,
    /// The path was not opened.
    Refused { step: Step, errno: u16 },
}

/// The step that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Step {
    /// Reading a request.
    Read,
    /// Comparing versions.
    Version,
    /// Decoding a request.
    Request,
    /// Receiving descriptors.
    Receive,
    /// Making itself undumpable.
    Undumpable,
    /// Setting `no_new_privs`.
    NoNewPrivileges,
    /// Entering the user namespace.
    EnterUser,
    /// Entering the mount namespace.
    EnterMount,
    /// Dropping capabilities.
    Capabilities,
    /// Setting the death signal.
    DeathSignal,
    /// Checking that its parent lives.
    Parent,
    /// Opening the path.
    Open,
    /// Checking the file at the path.
    Look,
    /// Sending the opened descriptor.
    Send,
}

impl Step {
    pub(crate) const ALL: [Self; 14] = [
        Self::Read,
        Self::Version,
        Self::Request,
        Self::Receive,
        Self::Undumpable,
        Self::NoNewPrivileges,
        Self::EnterUser,
        Self::EnterMount,
        Self::Capabilities,
        Self::DeathSignal,
        Self::Parent,
        Self::Open,
        Self::Look,
        Self::Send,
    ];
}

/// A frame is invalid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// It is longer than any message.
    TooLong,
    /// It has this other version.
    Version(u16),
    /// It is too short or too long, or no valid message.
    Malformed,
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => f.write_str("a frame is too long"),
            Self::Version(theirs) => write!(f, "it speaks version {theirs} of the protocol, and this side {VERSION}"),
            Self::Malformed => f.write_str("a frame is malformed"),
        }
    }
}

/// Reads the length of a frame, of at most `longest` bytes.
pub(crate) fn frame_length(prefix: [u8; PREFIX], longest: usize) -> Result<usize, FrameError> {
    match u32::from_le_bytes(prefix) as usize {
        0 => Err(FrameError::Malformed),
        length if length > longest => Err(FrameError::TooLong),
        length => Ok(length),
    }
}

impl<'a> Request<'a> {
    /// Writes a whole frame and returns its length. `TooLong`: the buffer is too small, or the path too long.
    pub(crate) fn encode(self, frame: &mut [u8]) -> Result<usize, FrameError> {
        encode(frame, |out| match self {
            Self::Enter { parent, user } => {
                out.varint(0)?;
                out.varint(parent.into())?;
                out.byte(user.into())
            }
            Self::Open { path, .. } if path.len() > MAX_PATH => Err(FrameError::TooLong),
            Self::Open { want, walk, path } => {
                out.varint(1)?;
                match want {
                    Want::Namespace { major, minor, ino } => {
                        out.varint(0)?;
                        out.varint(major.into())?;
                        out.varint(minor.into())?;
                        out.varint(ino)?;
                    }
                    Want::FileOrDirectory => out.varint(1)?,
                    Want::AnyNamespace { major, minor } => {
                        out.varint(2)?;
                        out.varint(major.into())?;
                        out.varint(minor.into())?;
                    }
                }
                out.byte(walk.into())?;
                out.varint(path.len() as u64)?;
                out.bytes(path)
            }
            Self::Exit => out.varint(2),
        })
    }

    /// Decodes a frame without its length.
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, FrameError> {
        decode(body, |from| {
            Some(match from.u32()? {
                0 => Self::Enter { parent: from.u32()?, user: from.bool()? },
                1 => {
                    let want = match from.u32()? {
                        0 => Want::Namespace { major: from.u32()?, minor: from.u32()?, ino: from.u64()? },
                        1 => Want::FileOrDirectory,
                        2 => Want::AnyNamespace { major: from.u32()?, minor: from.u32()? },
                        _ => return None,
                    };
                    let (walk, path) = (from.bool()?, from.bytes()?);
                    if path.len() > MAX_PATH {
                        return None;
                    }
                    Self::Open { want, walk, path }
                }
                2 => Self::Exit,
                _ => return None,
            })
        })
    }
}

impl Reply {
    /// Writes a whole frame and returns its length.
    pub(crate) fn encode(self, frame: &mut [u8]) -> Result<usize, FrameError> {
        encode(frame, |out| match self {
            Self::Ready { mountinfo } => {
                out.varint(0)?;
                out.varint(mountinfo.into())
            }
            Self::Failed { step, errno } => {
                out.varint(1)?;
                out.varint(step as u64)?;
                out.varint(errno.into())
            }
            Self::Walking { offset } => {
                out.varint(2)?;
                out.varint(offset.into())
            }
            Self::Opened => out.varint(3),
            Self::Refused { step, errno } => {
                out.varint(4)?;
                out.varint(step as u64)?;
                out.varint(errno.into())
            }
        })
    }

    /// Decodes a frame without its length.
    pub(crate) fn decode(body: &[u8]) -> Result<Self, FrameError> {
        decode(body, |from| {
            Some(match from.u32()? {
                0 => Self::Ready { mountinfo: from.u16()? },
                1 => Self::Failed { step: from.step()?, errno: from.u16()? },
                2 => Self::Walking { offset: from.u32()? },
                3 => Self::Opened,
                4 => Self::Refused { step: from.step()?, errno: from.u16()? },
                _ => return None,
            })
        })
    }
}

fn encode(
    frame: &mut [u8],
    message: impl FnOnce(&mut Writer<'_>) -> Result<(), FrameError>,
) -> Result<usize, FrameError> {
    let (prefix, body) = frame.split_first_chunk_mut::<PREFIX>().ok_or(FrameError::TooLong)?;
    let mut out = Writer { room: body, length: 0 };
    out.varint(VERSION.into())?;
    message(&mut out)?;
    *prefix = (out.length as u32).to_le_bytes();
    Ok(PREFIX + out.length)
}

fn decode<'a, T>(body: &'a [u8], message: impl FnOnce(&mut Reader<'a>) -> Option<T>) -> Result<T, FrameError> {
    let mut from = Reader(body);
    match from.u16() {
        Some(VERSION) => {}
        Some(theirs) => return Err(FrameError::Version(theirs)),
        None => return Err(FrameError::Malformed),
    }
    match message(&mut from) {
        Some(message) if from.0.is_empty() => Ok(message),
        _ => Err(FrameError::Malformed),
    }
}

struct Writer<'a> {
    room: &'a mut [u8],
    length: usize,
}

impl Writer<'_> {
    fn bytes(&mut self, bytes: &[u8]) -> Result<(), FrameError> {
        let room = self.room.get_mut(self.length..).and_then(|room| room.get_mut(..bytes.len()));
        room.ok_or(FrameError::TooLong)?.copy_from_slice(bytes);
        self.length += bytes.len();
        Ok(())
    }

    fn byte(&mut self, byte: u8) -> Result<(), FrameError> {
        self.bytes(&[byte])
    }

    /// Seven bits in each byte, the least significant first; all but the last have the highest bit set.
    fn varint(&mut self, mut value: u64) -> Result<(), FrameError> {
        while value > 0x7f {
            self.byte(value as u8 | 0x80)?;
            value >>= 7;
        }
        self.byte(value as u8)
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(byte)
    }

    /// Reads a number of that many bits, in no more bytes than these need.
    fn varint(&mut self, bits: u32) -> Option<u64> {
        let mut value = 0;
        for shift in (0..bits).step_by(7) {
            let byte = self.byte()?;
            let part = u64::from(byte & 0x7f);
            if byte & 0x80 == 0 {
                // The last byte has only the remaining bits.
                let fits = bits - shift >= 7 || part >> (bits - shift) == 0;
                return fits.then_some(value | part << shift);
            }
            value |= part << shift;
        }
        None
    }

    fn u16(&mut self) -> Option<u16> {
        self.varint(16)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.varint(32)?.try_into().ok()
    }

    fn u64(&mut self) -> Option<u64> {
        self.varint(64)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u64()?).ok()?;
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    fn step(&mut self) -> Option<Step> {
        Step::ALL.get(self.u32()? as usize).copied()
    }
}
