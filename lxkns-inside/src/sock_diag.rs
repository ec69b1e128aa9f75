//! The sockets of the network namespace that this process is in that wait for somebody; `sock_diag(7)`.

use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use crate::netlink::{Netlink, address, attributes, number};
use lxkns_model::inside::{Failure, ListeningSocket, Protocol};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_SKV6ONLY: u16 = 11;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TCP_CLOSE: u32 = 7;
const TCP_LISTEN: u32 = 10;

/// Sorted; with what could not be had.
pub(crate) fn listening() -> (Vec<ListeningSocket>, Vec<Failure>) {
    let kernel = match Netlink::connect(NETLINK_SOCK_DIAG) {
        Ok(kernel) => kernel,
        Err(failure) => return (Vec::new(), vec![failure]),
    };
    let (mut sockets, mut failures) = (Vec::new(), Vec::new());
    // A UDP socket that is not connected is closed in the words of TCP.
    for (protocol, number, state, call) in
        [(Protocol::Tcp, 6, TCP_LISTEN, "sock_diag of TCP"), (Protocol::Udp, 17, TCP_CLOSE, "sock_diag of UDP")]
    {
        for family in [AF_INET, AF_INET6] {
            // struct inet_diag_req_v2: family, protocol, extensions, pad, states, and an ID that means any.
            let mut request = vec![family, number, 0, 0];
            request.extend_from_slice(&(1_u32 << state).to_ne_bytes());
            request.resize(56, 0);
            match kernel.dump(call, SOCK_DIAG_BY_FAMILY, &request, |payload| socket(protocol, payload)) {
                Ok(found) => sockets.extend(found),
                Err(failure) => failures.push(failure),
            }
        }
    }
    sockets.sort();
    failures.dedup();
    (sockets, failures)
}

fn socket(protocol: Protocol, payload: &[u8]) -> Option<ListeningSocket> {
    // struct inet_diag_msg: family, state, timer, retransmissions; then ports, addresses, interface and cookie; then
    // expiry, queues, UID and inode.
    let (header, rest) = payload.split_at_checked(72)?;
    let port = u16::from_be_bytes([header[4], header[5]]);
    let bytes = &header[8..24];
    let address = if header[0] == AF_INET6 { address(bytes)? } else { address(&bytes[..4])? };
    let is_v6_only = attributes(rest).find(|attribute| attribute.kind() == INET_DIAG_SKV6ONLY);
    let takes_v4 = address.is_ipv6()
        && address.is_unspecified()
        && is_v6_only.is_some_and(|is_v6_only| is_v6_only.value().first() == Some(&0));
    let index = number(&header[40..])?;
    Some(ListeningSocket {
        protocol,
        port,
        address,
        takes_v4,
        index: (index != 0).then_some(index),
        inode: u64::from(number(&header[68..])?),
        uid: number(&header[64..])?,
    })
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};

    use super::*;

    #[test]
    fn own_sockets_that_wait_are_listed_by_port() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (sockets, failures) = listening();
        assert_eq!(failures, []);
        let has = |protocol, address: std::net::SocketAddr| {
            let is_it = |socket: &&ListeningSocket| socket.protocol == protocol && socket.port == address.port();
            sockets.iter().any(|socket| is_it(&socket) && socket.address == address.ip() && socket.inode > 0)
        };
        assert!(has(Protocol::Tcp, tcp.local_addr().unwrap()));
        assert!(has(Protocol::Udp, udp.local_addr().unwrap()));
    }

    #[test]
    fn too_short_is_none() {
        assert_eq!(socket(Protocol::Tcp, &[0; 71]), None);
    }
}
