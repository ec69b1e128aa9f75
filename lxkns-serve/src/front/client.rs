//! Who asks, and whether a request may be answered at all.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hyper::header::HOST;
use hyper::http::uri::Authority;
use hyper::{HeaderMap, Uri};

/// Who has connected.
#[derive(Clone, Debug)]
pub(super) struct Client {
    /// Whence.
    pub(super) peer: Peer,
    /// The names in its certificate, safe to print, where it has shown one.
    pub(super) certificate: Option<Arc<str>>,
}

/// Whence a client has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    /// From this address.
    Tcp(SocketAddr),
    /// Over a UNIX socket: its user, where the kernel says so.
    Unix(Option<u32>),
}

impl Client {
    /// One that has shown no certificate.
    pub(super) fn of(peer: Peer) -> Self {
        Self { peer, certificate: None }
    }

    /// Whether it has connected over the network.
    pub(super) fn is_tcp(&self) -> bool {
        matches!(self.peer, Peer::Tcp(_))
    }
}

impl std::fmt::Display for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.peer {
            Peer::Tcp(address) => address.fmt(f),
            Peer::Unix(Some(uid)) => write!(f, "uid:{uid}"),
            Peer::Unix(None) => f.write_str("unix"),
        }
    }
}

/// Whether the request calls the service by an address, by `localhost`, or by one of these names. A page of another site
/// whose name was made to mean this host (DNS rebinding) calls it by that name. Over a UNIX socket no page comes.
/// `is_own` says more names that it has.
pub(super) fn is_host_known(
    client: &Client,
    uri: &Uri,
    headers: &HeaderMap,
    known: &[String],
    is_own: impl Fn(&str) -> bool,
) -> bool {
    if !client.is_tcp() {
        return true;
    }
    let mut hosts = headers.get_all(HOST).into_iter();
    let (host, is_only) = (hosts.next(), hosts.next().is_none());
    let host = host.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let (Some(host), true) = (host, is_only) else { return false };
    // There are no users in the name of a host.
    if host.as_str().contains('@') {
        return false;
    }
    let is_known = |authority: &Authority| {
        let name = authority.host();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let names = known.iter().map(String::as_str).chain(["localhost"]);
        bare.parse::<IpAddr>().is_ok()
            || names.into_iter().any(|known| known.eq_ignore_ascii_case(name))
            || is_own(name)
    };
    is_known(&host) && uri.authority().is_none_or(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_known_names_are_answered_to() {
        let tcp = Client::of(Peer::Tcp("127.0.0.1:1".parse().unwrap()));
        let known = ["lxkns.example".to_owned()];
        for (host, uri, is_fine) in [
            (Some("127.0.0.1:5010"), "/", true),
            (Some("[::1]:5010"), "/", true),
            (Some("10.0.0.7"), "/", true),
            (Some("localhost"), "/", true),
            (Some("LocalHost:80"), "/", true),
            (Some("LXKNS.example"), "/", true),
            (Some("own.example:1"), "/", true),
            (Some("evil.example"), "/", false),
            (Some("evil.example@localhost"), "/", false),
            (Some("localhost.evil.example"), "/", false),
            (Some("127.0.0.1.evil.example"), "/", false),
            (Some("127.0.0.1"), "http://evil.example/", false),
            (Some("127.0.0.1"), "http://127.0.0.1/", true),
            (Some(""), "/", false),
            (None, "/", false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert(HOST, host.parse().unwrap());
            }
            let uri: Uri = uri.parse().unwrap();
            let own = |name: &str| name == "own.example";
            assert_eq!(is_host_known(&tcp, &uri, &headers, &known, own), is_fine, "{host:?} {uri}");
            assert!(is_host_known(&Client::of(Peer::Unix(None)), &uri, &headers, &known, own));
        }
        let mut two = HeaderMap::new();
        two.append(HOST, "127.0.0.1".parse().unwrap());
        two.append(HOST, "127.0.0.1".parse().unwrap());
        assert!(!is_host_known(&tcp, &Uri::from_static("/"), &two, &known, |_| true));
    }
}
