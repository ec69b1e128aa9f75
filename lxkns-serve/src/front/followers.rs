//! How many clients follow events, by whose they are: one that opens many leaves places to others.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustc_hash::FxHashMap;

use super::client::{Client, Peer};

/// Who counts as one: an address, of IPv6 all that a host can give itself; or the user of a UNIX socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Who {
    Address(IpAddr),
    User(Option<u32>),
}

impl Who {
    fn of(client: &Client) -> Self {
        let address = match client.peer {
            Peer::Unix(uid) => return Self::User(uid),
            Peer::Tcp(address) => address.ip().to_canonical(),
        };
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() >> 64 << 64).into()),
        })
    }
}

/// Those who follow.
pub(super) struct Followers {
    most: usize,
    counts: Mutex<FxHashMap<Who, usize>>,
}

/// One of them, until it is dropped.
pub(super) struct Following {
    followers: Arc<Followers>,
    who: Who,
}

impl Followers {
    /// None yet, and at most so many of each.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, counts: Mutex::default() })
    }

    fn counts(&self) -> MutexGuard<'_, FxHashMap<Who, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more, if this client may have one.
    pub(super) fn add(self: &Arc<Self>, client: &Client) -> Option<Following> {
        let who = Who::of(client);
        let mut counts = self.counts();
        let count = counts.entry(who).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        Some(Following { followers: Arc::clone(self), who })
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut counts = self.followers.counts();
        if let Some(count) = counts.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_peer_has_places_of_its_own() {
        let tcp = |address: &str| Client::of(Peer::Tcp(address.parse().unwrap()));
        let followers = Followers::new(2);
        let first = followers.add(&tcp("192.0.2.1:1")).unwrap();
        let second = followers.add(&tcp("[::ffff:192.0.2.1]:2")).unwrap();
        assert!(followers.add(&tcp("192.0.2.1:3")).is_none());
        let others = ["192.0.2.2:1", "[2001:db8::1]:1", "[2001:db8::2]:1", "[2001:db8:0:1::1]:1"];
        let others: Vec<_> = others.into_iter().map(|address| followers.add(&tcp(address)).unwrap()).collect();
        assert!(followers.add(&tcp("[2001:db8::3]:1")).is_none(), "a host can give itself any of these addresses");
        let users = [Some(0), Some(1), None].map(|uid| followers.add(&Client::of(Peer::Unix(uid))).unwrap());
        drop(first);
        assert!(followers.add(&tcp("192.0.2.1:3")).is_some());
        drop((second, others, users));
        assert!(followers.counts().is_empty(), "who has gone takes no memory");
    }
}
