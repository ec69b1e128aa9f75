//! The IDs that this network namespace has given to others (`ip netns list-id`), asked over rtnetlink.

use std::collections::BTreeMap;
use std::io;

use lxkns_core::Discovery;
use lxkns_core::model::{Namespace, NamespaceId, NamespaceType, Snapshot};
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::nsid::{NsidAttribute, NsidMessage};
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::fd::{AsFd, AsRawFd as _};

/// The ID of each of these network namespaces, `None` where it has none. One that cannot be asked about is left out.
pub(crate) fn ask_all<'a>(
    snapshot: &Snapshot,
    namespaces: impl Iterator<Item = &'a Namespace>,
) -> BTreeMap<NamespaceId, Option<u32>> {
    let mut ids = BTreeMap::new();
    let (Ok(socket), Ok(discovery)) = (connect(), Discovery::of_host()) else { return ids };
    for namespace in namespaces.filter(|namespace| namespace.ns_type == NamespaceType::Net) {
        let opened = discovery.open(snapshot, namespace.id);
        if let Ok(id) = opened.map_err(io::Error::other).and_then(|fd| ask(&socket, fd)) {
            ids.insert(namespace.id, id);
        }
    }
    ids
}

fn connect() -> io::Result<Socket> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

/// Asks for the ID of one network namespace; `None` where it has none.
#[doc(alias = "RTM_GETNSID")]
fn ask(socket: &Socket, namespace: impl AsFd) -> io::Result<Option<u32>> {
    let fd = u32::try_from(namespace.as_fd().as_raw_fd()).map_err(io::Error::other)?;
    let mut question = NsidMessage::default();
    question.attributes.push(NsidAttribute::Fd(fd));
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let mut request = NetlinkMessage::new(header, NetlinkPayload::from(RouteNetlinkMessage::GetNsId(question)));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);
    socket.send(&bytes, 0)?;

    let (reply, _) = socket.recv_from_full()?;
    let reply = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&reply).map_err(io::Error::other)?;
    match reply.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewNsId(answer)) => {
            let id = answer.attributes.iter().find_map(|attribute| match attribute {
                NsidAttribute::Id(id) => Some(*id),
                _ => None,
            });
            // The kernel says -1 where it has given none.
            Ok(id.and_then(|id| u32::try_from(id).ok()))
        }
        NetlinkPayload::Error(error) => Err(error.to_io()),
        _ => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use lxkns_core::ProcRoot;

    use super::*;

    #[test]
    fn the_kernel_answers_about_an_own_namespace_and_refuses_another_type() {
        let socket = connect().unwrap();
        let open = |name| File::open(ProcRoot::host().unwrap().path().join("self/ns").join(name)).unwrap();
        let net = open("net");
        assert!(ask(&socket, &net).is_ok());
        assert!(ask(&socket, open("uts")).is_err());
        assert!(ask(&socket, &net).is_ok(), "a refusal leaves no stray answer behind");
    }
}
