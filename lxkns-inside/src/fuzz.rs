//! What holds whatever a process inside says, and whatever the kernel tells it. The fuzz targets and a test feed these
//! functions; none may panic.

use lxkns_model::Errno;
use lxkns_model::inside::{Failure, HostName, Link, Network};

use crate::netlink::attribute;
use crate::protocol::{self, Answer, HEAD, LONGEST_ANSWER};
use crate::{route, sock_diag};

/// An answer of a process inside, as its parent reads it: one that is understood says the same when it is said again.
pub fn answer(bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else { return };
    let Ok(length) = protocol::length(*head) else { return };
    assert!(length <= LONGEST_ANSWER);
    let Some(Ok(answer)) = rest.get(..length).map(postcard::from_bytes::<Answer>) else { return };
    let mut again = Vec::new();
    protocol::answer(&mut again, &answer).expect("memory takes it");
    assert_eq!(postcard::from_bytes(&again[HEAD..]), Ok(answer));
}

/// The payload of a message of the kernel's, as each kind of message.
pub fn netlink(payload: &[u8]) {
    route::fuzz(payload);
    sock_diag::fuzz(payload);
}

/// What the targets begin with: answers, and payloads with all attributes that are read.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let link = Link { index: 1, name: b"lo".to_vec(), mac: vec![2; 6], ..Link::default() };
    let failure = Failure::of_call("RTM_GETLINK", Errno::new(1).expect("EPERM"));
    let answers = [
        Answer::Entered,
        Answer::Network(Network { links: vec![link.clone()], ..Network::default() }),
        Answer::NamespaceIds(vec![Some(3), None]),
        Answer::NamesOfLinks(vec![Some(b"eth0".to_vec()), None]),
        Answer::Links(vec![Ok(vec![link]), Err(failure.clone())]),
        Answer::HostName(HostName { host: b"a".to_vec(), domain: b"(none)".to_vec() }),
        Answer::Limits(Vec::new()),
        Answer::Failed(failure),
    ];
    let written = answers.iter().map(|answer| {
        let mut bytes = Vec::new();
        protocol::answer(&mut bytes, answer).expect("memory takes it");
        ("inside_answer", bytes)
    });
    // Headers are of one of these lengths; what an attribute means depends on the message.
    let payloads = [8, 12, 16, 72].into_iter().flat_map(|header| {
        let values = [&[127, 0, 0, 1][..], b"vxlan\0", &[8, 0, 0, 0, 1, 0, 0, 0], &[2; 128]];
        values.map(|value| {
            let mut payload = vec![1; header];
            payload.extend((0..48).flat_map(|kind| attribute(kind, value)));
            ("netlink", payload)
        })
    });
    let nested = [attribute(1, b"vxlan\0"), attribute(2, &attribute(3, &[7, 0, 0, 0]))].concat();
    let of_vxlan = [vec![0; 16], attribute(18, &nested)].concat();
    written.chain(payloads).chain([("netlink", of_vxlan)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seeds_are_understood() {
        for (target, bytes) in seeds() {
            match target {
                "netlink" => netlink(&bytes),
                _ => {
                    answer(&bytes);
                    assert!(postcard::from_bytes::<Answer>(&bytes[HEAD..]).is_ok());
                }
            }
        }
    }
}
