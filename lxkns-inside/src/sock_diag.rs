//! The sockets of this process's network namespace that wait for connections or datagrams; `sock_diag(7)`.

use std::net::IpAddr;

use lxkns_core::ProcRoot;
use lxkns_model::CompactSort as _;
use lxkns_model::Errno;
use lxkns_model::inside::{Failure, ListeningSocket, Network, Protocol, UnixKind, UnixSocket};
use netlink_sys::protocols::NETLINK_SOCK_DIAG;
use rustix::fs::AtFlags;
use rustix::net::netdevice::index_to_name_inlined;
use rustix::net::{AddressFamily, SocketType};

use crate::netlink::{Netlink, address, attributes, number};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_SKV6ONLY: u16 = 11;
const INET_DIAG_LOCALS: u16 = 12;
const UNIX_DIAG_NAME: u16 = 0;
const UDIAG_SHOW_NAME: u32 = 1;
const AF_UNIX: u8 = 1;
const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const TCP_CLOSE: u32 = 7;
const TCP_LISTEN: u32 = 10;
const ENOENT: i32 = 2;

/// What is asked about: the protocol, its number, and the state of a socket that waits, in the words of TCP. A UDP socket
/// that is not connected is closed.
const PROTOCOLS: [(Protocol, u8, u32, &str); 5] = [
    (Protocol::Tcp, 6, TCP_LISTEN, "sock_diag of TCP"),
    (Protocol::Udp, 17, TCP_CLOSE, "sock_diag of UDP"),
    (Protocol::UdpLite, 136, TCP_CLOSE, "sock_diag of UDP-Lite"),
    (Protocol::Sctp, 132, TCP_LISTEN, "sock_diag of SCTP"),
    (Protocol::Dccp, 33, TCP_LISTEN, "sock_diag of DCCP"),
];

/// Adds them, sorted; with what could not be had.
pub(crate) fn listening(network: &mut Network) {
    let kernel = match Netlink::connect(NETLINK_SOCK_DIAG) {
        Ok(kernel) => kernel,
        Err(failure) => return network.failures.push(failure),
    };
    let before = network.failures.len();
    for (protocol, number, state, call) in PROTOCOLS {
        for family in [AF_INET, AF_INET6] {
            // struct inet_diag_req_v2: family, protocol, extensions, pad, states, and an ID that means any.
            let mut request = vec![family, number, 0, 0];
            request.extend_from_slice(&(1_u32 << state).to_ne_bytes());
            request.resize(56, 0);
            match kernel.dump(call, SOCK_DIAG_BY_FAMILY, &request, |payload| sockets(protocol, payload)) {
                Ok(found) => network.sockets.extend(found.into_iter().flatten()),
                // The kernel does not have this protocol: it loads no module for the sake of this question.
                Err(failure) if is_missing(&failure) && !has_protocol(protocol) => break,
                Err(failure) => network.failures.push(failure),
            }
        }
    }
    name_interfaces(&mut network.sockets);
    network.sockets.compact_sort();
    network.failures[before..].compact_sort_by(|a, b| a.call.cmp(&b.call));
    network.failures.dedup();
}

fn is_missing(failure: &Failure) -> bool {
    failure.errno.map(Errno::number) == Some(ENOENT)
}

/// Whether there can be sockets of a protocol of which the kernel lists none.
fn has_protocol(protocol: Protocol) -> bool {
    match protocol {
        Protocol::Tcp | Protocol::Udp => true,
        // What lists them is part of what lists UDP, or built along with the protocol.
        Protocol::UdpLite | Protocol::Dccp => false,
        // A module of its own lists them, which can be missing where the protocol is not.
        Protocol::Sctp => {
            ProcRoot::host().is_ok_and(|proc| rustix::fs::statat(proc, "self/net/sctp", AtFlags::empty()).is_ok())
        }
    }
}

/// Names the interfaces that sockets are bound to. This way it waits for nobody who changes the network's configuration.
fn name_interfaces(sockets: &mut [ListeningSocket]) {
    if sockets.iter().all(|socket| socket.index.is_none()) {
        return;
    }
    let Ok(any) = rustix::net::socket(AddressFamily::UNIX, SocketType::DGRAM, None) else { return };
    for socket in sockets {
        let name = socket.index.and_then(|index| index_to_name_inlined(&any, index).ok());
        socket.interface = name.map(|name| name.as_bytes().to_vec());
    }
}

/// A socket, once for each of its addresses.
fn sockets(protocol: Protocol, payload: &[u8]) -> Option<Vec<ListeningSocket>> {
    // struct inet_diag_msg: family, state, timer, retransmissions; then ports, addresses, interface and cookie; then
    // expiry, queues, UID and inode.
    let (header, rest) = payload.split_at_checked(72)?;
    let port = u16::from_be_bytes([header[4], header[5]]);
    let bytes = &header[8..24];
    let address = if header[0] == AF_INET6 { address(bytes)? } else { address(&bytes[..4])? };
    let find = |kind| attributes(rest).find(|attribute| attribute.kind() == kind);
    let takes_v4 = address.is_ipv6()
        && address.is_unspecified()
        && find(INET_DIAG_SKV6ONLY).is_some_and(|is_v6_only| is_v6_only.value().first() == Some(&0));
    let index = number(&header[40..])?;
    let socket = ListeningSocket {
        protocol,
        port,
        address,
        takes_v4,
        index: (index != 0).then_some(index),
        interface: None,
        inode: u64::from(number(&header[68..])?),
        uid: number(&header[64..])?,
    };
    let mut others = find(INET_DIAG_LOCALS).map(|locals| self::locals(locals.value())).unwrap_or_default();
    others.retain(|&other| other != address);
    let others: Vec<_> = others.into_iter().map(|address| ListeningSocket { address, ..socket.clone() }).collect();
    Some([vec![socket], others].concat())
}

/// The addresses in an array of `struct sockaddr_storage`.
fn locals(bytes: &[u8]) -> Vec<IpAddr> {
    let (storages, _) = bytes.as_chunks::<128>();
    let local = |storage: &[u8; 128]| match u16::from_ne_bytes([storage[0], storage[1]]).try_into() {
        Ok(AF_INET) => address(&storage[4..8]),
        Ok(AF_INET6) => address(&storage[8..24]),
        _ => None,
    };
    storages.iter().filter_map(local).collect()
}

/// Adds UNIX sockets, sorted.
pub(crate) fn listening_unix(network: &mut Network) {
    // struct unix_diag_req: family, protocol, pad, states, inode, what to show, cookie.
    let mut request = vec![AF_UNIX, 0, 0, 0];
    request.extend_from_slice(&(1_u32 << TCP_LISTEN | 1 << TCP_CLOSE).to_ne_bytes());
    request.extend_from_slice(&0_u32.to_ne_bytes());
    request.extend_from_slice(&UDIAG_SHOW_NAME.to_ne_bytes());
    request.resize(24, 0);
    let found = Netlink::connect(NETLINK_SOCK_DIAG)
        .and_then(|kernel| kernel.dump("sock_diag of UNIX", SOCK_DIAG_BY_FAMILY, &request, unix_socket));
    match found {
        Ok(mut found) => {
            found.compact_sort();
            network.unix_sockets = found;
        }
        Err(failure) => network.failures.push(failure),
    }
}

fn unix_socket(payload: &[u8]) -> Option<UnixSocket> {
    // struct unix_diag_msg: family, type, state, pad, inode, cookie.
    let (header, rest) = payload.split_at_checked(16)?;
    let name = attributes(rest).find(|attribute| attribute.kind() == UNIX_DIAG_NAME);
    let mut name = name.map(|name| name.value().to_vec()).unwrap_or_default();
    if name.first() != Some(&0) {
        // The kernel tells the zero at the end of a path.
        name.truncate(name.iter().position(|&byte| byte == 0).unwrap_or(name.len()));
    }
    let kind = match header[1] {
        1 => UnixKind::Stream,
        2 => UnixKind::Datagram,
        5 => UnixKind::SeqPacket,
        _ => return None,
    };
    let waits = match kind {
        // Nobody can find one without a name.
        UnixKind::Datagram => !name.is_empty(),
        _ => u32::from(header[2]) == TCP_LISTEN,
    };
    waits.then_some(UnixSocket { name, kind, inode: u64::from(number(&header[4..])?) })
}

/// What holds whatever the kernel tells of sockets.
#[cfg(any(test, feature = "_fuzz"))]
pub(crate) fn fuzz(payload: &[u8]) {
    if let Some(sockets) = sockets(Protocol::Sctp, payload) {
        assert!((1..=1 + payload.len() / 128).contains(&sockets.len()));
        assert!(
            sockets.iter().skip(1).all(|other| other.address != sockets[0].address && other.port == sockets[0].port)
        );
    }
    if let Some(socket) = unix_socket(payload) {
        assert!(socket.name.first() == Some(&0) || !socket.name.contains(&0));
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, UdpSocket};
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixDatagram, UnixListener, UnixStream};

    use super::*;

    #[test]
    fn own_sockets_that_wait_are_listed_by_port() {
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let connected = UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(udp.local_addr().unwrap()).unwrap();
        let mut network = Network::default();
        listening(&mut network);
        assert_eq!(network.failures, []);
        let has = |protocol, address: std::net::SocketAddr| {
            let is_it = |socket: &&ListeningSocket| socket.protocol == protocol && socket.port == address.port();
            network.sockets.iter().any(|socket| is_it(&socket) && socket.address == address.ip() && socket.inode > 0)
        };
        assert!(has(Protocol::Tcp, tcp.local_addr().unwrap()));
        assert!(has(Protocol::Udp, udp.local_addr().unwrap()));
        assert!(!has(Protocol::Udp, connected.local_addr().unwrap()));
    }

    #[test]
    fn own_unix_sockets_that_wait_are_listed_by_name() {
        let name = |what: &str| format!("lxkns-{what}-{}\n", std::process::id());
        let address = |what: &str| SocketAddr::from_abstract_name(name(what)).unwrap();
        let listener = UnixListener::bind_addr(&address("listens")).unwrap();
        let _datagrams = UnixDatagram::bind_addr(&address("takes")).unwrap();
        let _connected = UnixStream::connect_addr(&address("listens")).unwrap();
        let _accepted = listener.accept().unwrap();
        let mut network = Network::default();
        listening_unix(&mut network);
        assert_eq!(network.failures, []);
        let of = |what: &str| {
            let name = format!("\0{}", name(what)).into_bytes();
            let found = network.unix_sockets.iter().filter(|socket| socket.name == name);
            found.map(|socket| socket.kind).collect::<Vec<_>>()
        };
        assert_eq!(of("listens"), [UnixKind::Stream], "not what it has accepted");
        assert_eq!(of("takes"), [UnixKind::Datagram]);
    }

    #[test]
    fn one_of_several_addresses_is_there_once_for_each() {
        let mut payload = vec![0; 72];
        payload[0] = AF_INET;
        payload[4..6].copy_from_slice(&9_u16.to_be_bytes());
        payload[8..12].copy_from_slice(&[10, 0, 0, 1]);
        let storage = |family: u16, at: usize, address: &[u8]| {
            let mut storage = vec![0; 128];
            storage[..2].copy_from_slice(&family.to_ne_bytes());
            storage[at..at + address.len()].copy_from_slice(address);
            storage
        };
        let all = [storage(2, 4, &[10, 0, 0, 1]), storage(2, 4, &[10, 0, 0, 2]), storage(10, 8, &[0xfd; 16])];
        payload.extend(crate::netlink::attribute(INET_DIAG_LOCALS, &all.concat()));
        let found = sockets(Protocol::Sctp, &payload).unwrap();
        let found: Vec<_> = found.iter().map(|socket| (socket.port, socket.address.to_string())).collect();
        let v6 = std::net::Ipv6Addr::from([0xfd; 16]).to_string();
        assert_eq!(found, [(9, "10.0.0.1".to_owned()), (9, "10.0.0.2".to_owned()), (9, v6)]);
    }

    #[test]
    fn too_short_is_none() {
        assert_eq!(sockets(Protocol::Tcp, &[0; 71]), None);
        assert_eq!(unix_socket(&[0; 15]), None);
    }
}
