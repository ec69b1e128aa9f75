//! The links of all network namespaces, at a cost that grows with their number.
//!
//! None of them is entered. A process makes a network namespace of its own, gives all others an ID there, and asks from there
//! for the links of each: what leads from one to another is then told in IDs that are known. Asked inside, the kernel would
//! make up IDs, keep them, and tell nobody which namespaces they mean.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::time::Duration;

use lxkns_core::{Discovery, Opener};
use lxkns_model::CompactSort as _;
use lxkns_model::inside::{Link, Where};
use lxkns_model::links::{HostLink, HostLinkEnd, HostLinks, LinkId, LinkRelation, UnreadLinks};
use lxkns_model::{Cause, Namespace, NamespaceId, NamespaceType, Snapshot};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::around::own_namespace;
use crate::parent::{Error, ErrorKind, Inside, Program};
use crate::protocol::MOST_FDS;

/// Reads the links of all network namespaces of a snapshot, and who has TUN/TAP devices open. No answer is waited for longer
/// than `timeout`. Nothing is changed in any of them.
///
/// # Privileges
///
/// `CAP_SYS_ADMIN` and `CAP_NET_ADMIN` in the user namespaces that own them, or to be the owner of these. A caller that has
/// neither gets the links of its own network namespace, as `ip link` does. That makes the kernel give IDs there to the
/// network namespaces at the other ends.
///
/// # Minimum kernel version
///
/// 4.20, for those of other network namespaces.
pub fn links(discovery: &Discovery<'_>, snapshot: &Snapshot, program: &Program, timeout: Duration) -> HostLinks {
    let mut all: Vec<_> = snapshot.namespaces.values().filter(|ns| ns.ns_type == NamespaceType::Net).collect();
    // The other end of most is where the host is.
    all.compact_sort_by_key(|namespace| !namespace.initial);
    let proc = discovery.proc();
    let (own_net, own_user) = (own_namespace(proc, NamespaceType::Net), own_namespace(proc, NamespaceType::User));
    let opener = discovery.opener(snapshot);
    let mut reader =
        Reader { opener, program, timeout, all: &all, found: Vec::new(), unread: BTreeMap::new(), is_stuck: false };
    reader.ask_about(None, &all);
    // Whoever owns a user namespace may ask about what it owns.
    let mut by_owner: BTreeMap<NamespaceId, Vec<&Namespace>> = BTreeMap::new();
    for namespace in reader.denied() {
        if let Some(owner) = namespace.owner.known().filter(|&owner| Some(owner) != own_user) {
            by_owner.entry(owner).or_default().push(namespace);
        }
    }
    for (owner, namespaces) in by_owner {
        reader.ask_about(Some(owner), &namespaces);
    }
    if let Some(own) = own_net.filter(|id| reader.unread.contains_key(id)) {
        reader.own(own);
    }
    let mut unread: Vec<_> = reader.unread.into_iter().collect();
    let users = discovery.tun_users(snapshot).unwrap_or_else(|| {
        let why = UnreadLinks::Failed("TUN/TAP devices: no answer in time".to_owned());
        unread.extend(own_net.map(|own| (own, why)));
        Vec::new()
    });
    let mut links = HostLinks::new(reader.found, unread, users);
    links.home = own_net;
    links
}

struct Reader<'a> {
    opener: Opener<'a>,
    program: &'a Program,
    timeout: Duration,
    all: &'a [&'a Namespace],
    found: Vec<HostLink>,
    /// Why those are not read that are not.
    unread: BTreeMap<NamespaceId, UnreadLinks>,
    /// One process did not answer: the next would not either.
    is_stuck: bool,
}

impl<'a> Reader<'a> {
    fn denied(&self) -> Vec<&'a Namespace> {
        let is_denied = |ns: &&&Namespace| matches!(self.unread.get(&ns.id), Some(UnreadLinks::Denied(_)));
        self.all.iter().filter(is_denied).copied().collect()
    }

    /// Notes why this could not be read, if nothing better is known.
    fn fails(&mut self, namespace: &Namespace, error: &Error) {
        self.is_stuck |= error.kind() == ErrorKind::TimedOut;
        let why = match (error.is_denied(), error.failure()) {
            (true, _) => UnreadLinks::Denied(namespace.owner.known()),
            (false, Some(failure)) => failure.into(),
            (false, None) => UnreadLinks::Failed(error.to_string()),
        };
        self.unread.insert(namespace.id, why);
    }

    /// Reads the links of these, with the rights of whoever has entered this user namespace.
    fn ask_about(&mut self, user: Option<NamespaceId>, namespaces: &[&Namespace]) {
        if self.is_stuck {
            return;
        }
        let user = match user.map(|id| self.opener.open(id)).transpose() {
            Ok(user) => user,
            // Access to it was denied before that.
            Err(_) => return,
        };
        let user = user.as_ref().map(|fd| fd.as_fd());
        let inside = Inside::enter(self.program, user, None, self.timeout).and_then(|mut inside| {
            inside.new_network()?;
            Ok(inside)
        });
        let mut inside = match inside {
            Ok(inside) => inside,
            Err(error) => return namespaces.iter().for_each(|namespace| self.fails(namespace, &error)),
        };
        let mut ids: FxHashMap<i32, NamespaceId> = FxHashMap::default();
        let mut known: Vec<(i32, &Namespace)> = Vec::with_capacity(namespaces.len());
        for chunk in namespaces.chunks(MOST_FDS) {
            let (opened, fds) = self.open(chunk);
            let first = i32::try_from(known.len()).unwrap_or(i32::MAX);
            match inside.identify(first, &fds) {
                Ok(nsids) => {
                    known
                        .extend(nsids.into_iter().zip(opened).filter_map(|(nsid, namespace)| Some((nsid?, namespace))));
                }
                Err(error) => opened.iter().for_each(|namespace| self.fails(namespace, &error)),
            }
        }
        ids.extend(known.iter().map(|(nsid, namespace)| (*nsid, namespace.id)));
        let mut links: Vec<(NamespaceId, Link)> = Vec::new();
        /// As many as are told in a small part of the time.
        const STEP: usize = 50;
        for chunk in known.chunks(STEP) {
            let nsids: Vec<_> = chunk.iter().map(|(nsid, _)| *nsid).collect();
            match inside.links(Some(&nsids)) {
                Ok(answers) => {
                    for ((_, namespace), answer) in chunk.iter().zip(answers) {
                        match answer {
                            Ok(found) => {
                                self.unread.remove(&namespace.id);
                                links.extend(found.into_iter().map(|link| (namespace.id, link)));
                            }
                            Err(failure) => self.fails(namespace, &failure.into()),
                        }
                    }
                }
                Err(error) => chunk.iter().for_each(|(_, namespace)| self.fails(namespace, &error)),
            }
        }
        self.take(&mut inside, ids, links);
    }

    /// Reads the links where the caller is.
    fn own(&mut self, own: NamespaceId) {
        let Some(namespace) = self.all.iter().find(|namespace| namespace.id == own).filter(|_| !self.is_stuck) else {
            return;
        };
        let read = Inside::enter(self.program, None, None, self.timeout)
            .and_then(|mut inside| Ok((inside.links(None)?, inside)));
        match read {
            Ok((mut answers, mut inside)) => match answers.swap_remove(0) {
                Ok(links) => {
                    self.unread.remove(&own);
                    let links = links.into_iter().map(|link| (own, link)).collect();
                    self.take(&mut inside, FxHashMap::default(), links);
                }
                Err(failure) => self.fails(namespace, &failure.into()),
            },
            Err(error) => self.fails(namespace, &error),
        }
    }

    /// Opens those that can be opened.
    fn open<'n>(&mut self, namespaces: &[&'n Namespace]) -> (Vec<&'n Namespace>, Vec<OwnedFd>) {
        let (mut opened, mut fds) = (Vec::new(), Vec::new());
        for namespace in namespaces {
            match self.opener.open(namespace.id) {
                Ok(fd) => {
                    opened.push(*namespace);
                    fds.push(fd);
                }
                // What has ended since is missing nowhere.
                Err(error) if error.errno().is_some_and(|errno| Cause::of(errno).is_none()) => {
                    self.unread.remove(&namespace.id);
                }
                Err(_) => drop(self.unread.entry(namespace.id).or_insert(UnreadLinks::NotOpened)),
            }
        }
        (opened, fds)
    }

    /// Takes links over, with where their other ends are. `ids` are those known; all others are asked about while one is
    /// missing.
    fn take(&mut self, inside: &mut Inside, mut ids: FxHashMap<i32, NamespaceId>, links: Vec<(NamespaceId, Link)>) {
        let nsids = links.iter().filter_map(|(_, link)| link.link_nsid.filter(|&nsid| nsid >= 0));
        let mut missing: FxHashSet<i32> = nsids.filter(|nsid| !ids.contains_key(nsid)).collect();
        let asked: FxHashSet<NamespaceId> = ids.values().copied().collect();
        let others: Vec<_> = self.all.iter().filter(|namespace| !asked.contains(&namespace.id)).collect();
        for others in others.chunks(MOST_FDS) {
            if missing.is_empty() {
                break;
            }
            let opened = others.iter().filter_map(|other| Some((other.id, self.opener.open(other.id).ok()?)));
            let (opened, fds): (Vec<_>, Vec<_>) = opened.unzip();
            // Without an answer they stay what they are: not found.
            let Ok(nsids) = inside.namespace_ids(&fds) else { break };
            for (nsid, id) in nsids.into_iter().zip(opened).filter_map(|(nsid, id)| Some((nsid?, id))) {
                missing.remove(&nsid);
                ids.insert(nsid, id);
            }
        }
        let ends: Vec<_> = links
            .iter()
            .filter_map(|(_, link)| Some((link.link_nsid.filter(|nsid| missing.contains(nsid))?, link.link?)))
            .collect();
        // Of those that one has no right to ask about, the index will have to do.
        let names = inside.names_of_links(&ends).unwrap_or_default();
        let names: FxHashMap<_, _> = ends.into_iter().zip(names).filter_map(|(end, name)| Some((end, name?))).collect();
        self.found.extend(links.into_iter().map(|(ns, link)| {
            let end = link.other_end(&ids).map(|(place, index)| {
                let relation = if link.has_peer() { LinkRelation::Peer } else { LinkRelation::Lower };
                let name = match place {
                    Where::NotFound(nsid) => index.and_then(|index| names.get(&(nsid, index)).cloned()),
                    _ => None,
                };
                HostLinkEnd { relation, place, index, name }
            });
            HostLink { id: LinkId { ns, index: link.index }, link, end }
        }));
    }
}
