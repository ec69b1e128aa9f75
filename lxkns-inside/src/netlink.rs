//! Requests over netlink, and the attributes of what comes back. Names are bytes: the kernel lets them be any.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR, NetlinkBuffer, NlaBuffer,
    NlasIterator,
};
use netlink_sys::{Socket, SocketAddr};

use lxkns_model::inside::Failure;
use lxkns_model::{Cause, Errno};

/// A connection to the kernel.
pub(crate) struct Netlink(Socket);

/// How often a list is asked for that changes while it is told.
const TRIES: usize = 4;

impl Netlink {
    pub(crate) fn connect(protocol: isize) -> Result<Self, Failure> {
        let socket = Socket::new(protocol).map_err(|error| failure("socket", &error))?;
        socket.connect(&SocketAddr::new(0, 0)).map_err(|error| failure("connect", &error))?;
        Ok(Self(socket))
    }

    /// Has requests checked in whole, so that none is answered that the kernel does not understand in whole; whether it can
    /// (since Linux 4.20).
    pub(crate) fn checks_strictly(&self) -> bool {
        self.0.set_netlink_get_strict_chk(true).is_ok()
    }

    /// Asks for a list, and hands on the payload of each message in it.
    pub(crate) fn dump<T>(
        &self,
        call: &str,
        kind: u16,
        body: &[u8],
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Failure> {
        let mut found = Vec::new();
        for _ in 0..TRIES {
            found.clear();
            let is_whole = self.exchange(kind, NLM_F_REQUEST | NLM_F_DUMP, body, |payload| found.extend(read(payload)));
            if is_whole.map_err(|error| failure(call, &error))? {
                break;
            }
        }
        Ok(found)
    }

    /// Asks for one thing.
    pub(crate) fn ask<T>(&self, kind: u16, body: &[u8], read: impl Fn(&[u8]) -> Option<T>) -> io::Result<Option<T>> {
        let mut found = None;
        self.exchange(kind, NLM_F_REQUEST, body, |payload| found = read(payload))?;
        Ok(found)
    }

    /// Has something done.
    pub(crate) fn command(&self, kind: u16, body: &[u8]) -> io::Result<()> {
        match self.exchange(kind, NLM_F_REQUEST | NLM_F_ACK, body, |_| {}) {
            // The kernel's word that it is done comes as an error without a number.
            Err(error) if error.raw_os_error() != Some(0) => Err(error),
            _ => Ok(()),
        }
    }

    /// Sends a request and reads what comes; whether it is of one moment.
    fn exchange(&self, kind: u16, flags: u16, body: &[u8], mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        const HEADER: usize = 16;
        let mut request = vec![0; HEADER];
        request.extend_from_slice(body);
        let mut header = NetlinkBuffer::new(&mut request);
        header.set_length((HEADER + body.len()) as u32);
        header.set_message_type(kind);
        header.set_flags(flags);
        self.0.send(&request, 0)?;
        let mut is_whole = true;
        loop {
            let (datagram, _) = self.0.recv_from_full()?;
            let mut rest = &datagram[..];
            while rest.len() >= HEADER {
                let message = NetlinkBuffer::new_checked(rest).map_err(io::Error::other)?;
                let length = message.length() as usize;
                is_whole &= message.flags() & NLM_F_DUMP_INTR == 0;
                let negated = || i32::from_ne_bytes(*message.payload().first_chunk().unwrap_or(&[0; 4]));
                match message.message_type() {
                    // A list can end early, too.
                    NLMSG_DONE if negated() >= 0 => return Ok(is_whole),
                    NLMSG_DONE | NLMSG_ERROR => return Err(io::Error::from_raw_os_error(negated().wrapping_neg())),
                    _ => take(message.payload()),
                }
                rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            }
            if flags & NLM_F_DUMP == 0 {
                return Ok(is_whole);
            }
        }
    }
}

/// A call that failed.
pub(crate) fn failure(call: &str, error: &io::Error) -> Failure {
    match error.raw_os_error().and_then(Errno::new) {
        Some(errno) => Failure::of_call(call, errno),
        None => Failure { call: call.to_owned(), cause: Cause::Malformed, errno: None },
    }
}

/// Attributes, as far as they are well formed.
pub(crate) fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

/// An attribute of a request.
pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(4 + value.len());
    bytes.extend_from_slice(&(4 + value.len() as u16).to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// A number.
pub(crate) fn number(value: &[u8]) -> Option<u32> {
    value.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

/// A string, without the zero at its end.
pub(crate) fn string(value: &[u8]) -> Vec<u8> {
    value.split(|&byte| byte == 0).next().unwrap_or_default().to_vec()
}

/// An address, whose length tells which kind it is.
pub(crate) fn address(value: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    <[u8; 16]>::try_from(value).ok().map(|bytes| Ipv6Addr::from(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_read_as_they_are_written() {
        let bytes = [attribute(3, b"ve\xff\0"), attribute(4, &1500_u32.to_ne_bytes()), attribute(1, b"x")].concat();
        let read: Vec<_> = attributes(&bytes).map(|attribute| (attribute.kind(), attribute.value().len())).collect();
        assert_eq!(read, [(3, 4), (4, 4), (1, 1)]);
        assert_eq!(string(b"ve\xff\0junk"), b"ve\xff");
        assert_eq!((number(&[1, 0]), address(&[127, 0, 0, 1])), (None, Some(Ipv4Addr::LOCALHOST.into())));
        for cut in 0..bytes.len() {
            assert!(attributes(&bytes[..cut]).count() < 3 || cut > 20, "{cut}");
        }
    }
}
