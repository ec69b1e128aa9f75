//! Who listens: the sockets that wait for connections or datagrams, in all network namespaces, and the processes that have them open. The
//! answer of `lxkns ports`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;
use lxkns_model::CompactSort as _;
use lxkns_model::inside::{Failure, ListeningSocket, Surveyed, UnixKind, UnixSocket};
use lxkns_model::{
    Cause, Gap, NamespaceId, NamespaceType, Object, Pid, Place, Places, Snapshot, SocketUser, Uid, relations,
};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::cell::Cell;
use crate::context::Context;
use crate::forms::{NamespaceForm, ProcessForm};
use crate::names::{self, lossy};
use crate::resolve::{Resolver, Unresolved};
use crate::target::{Asked, Target};
use crate::text::escape::{For, printable};
use crate::whose::{self, Whose};

/// A column: a property of each socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Column {
    /// Its protocol.
    Proto,
    /// The address that it is bound to.
    Address,
    /// The port.
    Port,
    /// Its network namespace.
    Ns,
    /// What that is called, or belongs to.
    Name,
    /// The processes that have it open.
    Processes,
    /// The user who created it.
    User,
    /// Its inode number.
    Inode,
}

/// All columns: name, what it means.
const COLUMNS: [(Column, &str, &str); 8] = [
    (Column::Proto, "PROTO", "tcp, udp, udplite, sctp, dccp; unix (stream), unix-dgram, unix-seqpacket"),
    (Column::Address, "ADDRESS", "address, with %interface; * takes IPv4 and IPv6; @ begins an abstract name"),
    (Column::Port, "PORT", "port"),
    (Column::Ns, "NS", "network namespace"),
    (Column::Name, "NAME", "its ip netns name, or the container or unit that it belongs to"),
    (Column::Processes, "PROCESSES", "processes that have the socket open"),
    (Column::User, "USER", "user who created it"),
    (Column::Inode, "INODE", "inode number of the socket, as in ss -e"),
];

crate::columns::described_by!(Column, COLUMNS);

impl Column {
    /// The columns that are shown by default.
    pub fn default_columns() -> Vec<Self> {
        Self::all().take_while(|column| *column != Self::User).collect()
    }
}

/// Which sockets are meant: those in one of these namespaces, and those that one of these processes has open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Network namespaces.
    pub namespaces: FxHashSet<NamespaceId>,
    /// Processes.
    pub pids: FxHashSet<Pid>,
}

impl Scope {
    /// Adds what a TARGET means: the sockets of a network namespace; those that a process has open; those that a container's
    /// processes have open, and all in its network namespace unless that is the host's.
    ///
    /// # Errors
    ///
    /// It means nothing, or no network namespace.
    pub fn add(&mut self, snapshot: &Snapshot, resolver: &Resolver<'_>, asked: &Asked) -> Result<(), Unresolved> {
        let settled = resolver.settle(asked)?;
        let ids = resolver.resolve(asked)?;
        let is_net = |id: &NamespaceId| {
            snapshot.namespaces.get(id).is_some_and(|namespace| namespace.ns_type == NamespaceType::Net)
        };
        let nets: Vec<_> = ids.iter().copied().filter(is_net).collect();
        let Target::Process(pid) = settled.target else {
            // A container without a process has only what was made for it.
            if nets.is_empty() {
                let text = printable(asked.text.as_encoded_bytes());
                return Err(Unresolved::Usage(format!("{text}: not a network namespace, so it has no ports")));
            }
            self.namespaces.extend(nets);
            return Ok(());
        };
        let pid = resolver.process(pid).map_or(pid, |process| process.pid);
        self.pids.insert(pid);
        if matches!(asked.target, Target::Process(_)) {
            return Ok(());
        }
        let is_initial = |id: &NamespaceId| snapshot.namespaces.get(id).is_some_and(|namespace| namespace.initial);
        self.namespaces.extend(nets.into_iter().filter(|id| !is_initial(id)));
        let members = snapshot.annotations.containers.as_ref().map(|containers| &containers.members);
        if let Some((members, index)) = members.and_then(|members| Some((members, *members.get(&pid)?))) {
            self.pids.extend(members.iter().filter(|(_, of)| **of == index).map(|(pid, _)| *pid));
        }
        Ok(())
    }

    /// The network namespaces of a snapshot in which its sockets can be; without a scope, all. Sorted; the host's first.
    pub fn to_survey(scope: Option<&Self>, snapshot: &Snapshot) -> Vec<NamespaceId> {
        // A process can have sockets of any namespace open.
        let only = scope.filter(|scope| scope.pids.is_empty()).map(|scope| &scope.namespaces);
        let nets = snapshot.namespaces.values().filter(|namespace| namespace.ns_type == NamespaceType::Net);
        let wanted = nets.filter(|namespace| only.is_none_or(|only| only.contains(&namespace.id)));
        let mut wanted: Vec<_> = wanted.map(|namespace| (!namespace.initial, namespace.id)).collect();
        wanted.compact_sort();
        wanted.into_iter().map(|(_, id)| id).collect()
    }
}

/// A socket that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket<'a> {
    Inet(&'a ListeningSocket),
    Unix(&'a UnixSocket),
}

impl Socket<'_> {
    fn inode(self) -> u64 {
        match self {
            Self::Inet(socket) => socket.inode,
            Self::Unix(socket) => socket.inode,
        }
    }

    fn protocol(self) -> &'static str {
        match self {
            Self::Inet(socket) => socket.protocol.name(),
            Self::Unix(socket) => match socket.kind {
                UnixKind::Stream => "unix",
                UnixKind::Datagram => "unix-dgram",
                UnixKind::SeqPacket => "unix-seqpacket",
            },
        }
    }

    /// The address, unsafe to print.
    fn address(self) -> BString {
        match self {
            Self::Inet(socket) => {
                let mut address =
                    BString::from(if socket.takes_v4 { "*".to_owned() } else { socket.address.to_string() });
                if let Some(interface) = interface(socket) {
                    address.push(b'%');
                    address.extend_from_slice(&interface);
                }
                address
            }
            Self::Unix(socket) => match socket.name.split_first() {
                Some((0, name)) => [b"@", name].concat().into(),
                _ => socket.name.clone().into(),
            },
        }
    }
}

fn interface(socket: &ListeningSocket) -> Option<Cow<'_, [u8]>> {
    let index = socket.index?;
    Some(match &socket.interface {
        Some(name) => Cow::Borrowed(name),
        None => Cow::Owned(format!("if{index}").into_bytes()),
    })
}

/// Which sockets listen, and the processes that have them open.
#[derive(Debug)]
pub struct Ports<'a> {
    context: Context<'a>,
    surveyed: &'a [Surveyed],
    rows: Vec<(NamespaceId, Socket<'a>)>,
    users: FxHashMap<u64, Vec<SocketUser>>,
    /// Why processes that were not seen may have sockets open.
    unseen_users: Option<String>,
}

/// The inode numbers of all sockets that were read, to find who has them open.
pub fn inodes(surveyed: &[Surveyed]) -> Vec<u64> {
    let networks = surveyed.iter().filter_map(|surveyed| surveyed.network.as_ref().ok());
    let mut inodes: Vec<_> = networks
        .flat_map(|network| {
            let others = network.unix_sockets.iter().map(|socket| socket.inode);
            network.sockets.iter().map(|socket| socket.inode).chain(others)
        })
        .collect();
    inodes.compact_sort();
    inodes.dedup();
    inodes
}

impl<'a> Ports<'a> {
    /// What these network namespaces have, and who has it open: by port, protocol, and namespace, the host's first. What
    /// could not be read while users were looked for is among the gaps of the snapshot.
    pub fn new(
        context: Context<'a>,
        surveyed: &'a [Surveyed],
        users: Vec<SocketUser>,
        scope: Option<&Scope>,
        ports: &[u16],
    ) -> Self {
        let mut by_inode: FxHashMap<u64, Vec<SocketUser>> = FxHashMap::default();
        for user in users {
            by_inode.entry(user.inode).or_default().push(user);
        }
        let mut rows = Vec::new();
        for of in surveyed {
            let Ok(network) = &of.network else { continue };
            let wanted = network.sockets.iter().filter(|socket| ports.is_empty() || ports.contains(&socket.port));
            rows.extend(wanted.map(|socket| (of.id, Socket::Inet(socket))));
            rows.extend(network.unix_sockets.iter().map(|socket| (of.id, Socket::Unix(socket))));
        }
        if let Some(scope) = scope {
            let has = |user: &SocketUser| scope.pids.contains(&user.pid);
            rows.retain(|(id, socket)| {
                scope.namespaces.contains(id)
                    || by_inode.get(&socket.inode()).is_some_and(|users| users.iter().any(has))
            });
        }
        let snapshot = context.snapshot;
        let place = |id: NamespaceId| (!snapshot.namespaces.get(&id).is_some_and(|namespace| namespace.initial), id);
        // The sockets of a namespace are sorted by protocol and port already, and stay so where these are the same.
        rows.sort_by_cached_key(|&(id, socket)| match socket {
            Socket::Inet(inet) => (false, inet.port, Some(inet.protocol), None, place(id)),
            Socket::Unix(unix) => (true, 0, None, Some(&unix.name), place(id)),
        });
        Self { context, surveyed, rows, users: by_inode, unseen_users: unseen_users(snapshot) }
    }

    /// How many sockets there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Why there may be sockets that were not seen in these namespaces, in a sentence for each reason.
    pub fn gaps(&self) -> Vec<String> {
        let snapshot = self.context.snapshot;
        let mut wholly: BTreeMap<String, (usize, NamespaceId)> = BTreeMap::new();
        let mut partly = wholly.clone();
        let mut note = |map: bool, words: String, id| {
            let map = if map { &mut wholly } else { &mut partly };
            map.entry(words).or_insert((0, id)).0 += 1;
        };
        for of in self.surveyed {
            match &of.network {
                Err(failure) if is_gone(snapshot, of.id, failure) => {}
                Err(failure) => note(true, why(snapshot, of.id, failure), of.id),
                Ok(network) => network.failures.iter().for_each(|failure| note(false, failure.to_string(), of.id)),
            }
        }
        let all = self.surveyed.len();
        let named = |count: usize, id| {
            let first = names::namespace(snapshot, id);
            if count == 1 { first } else { format!("{first} and {} more", count - 1) }
        };
        let wholly = wholly.into_iter().map(|(why, (count, id))| {
            format!("{count} of {all} network namespaces not readable: {why}: {}", named(count, id))
        });
        let partly = partly.into_iter().map(|(why, (count, id))| {
            format!("sockets of {count} of {all} network namespaces not read: {why}: {}", named(count, id))
        });
        wholly.chain(partly).collect()
    }

    /// Whether all network namespaces could be read that any place shows, so that what is not told does not listen. What no
    /// place shows is [`Snapshot::unseen_keepers`].
    pub fn is_complete(&self, scope: Option<&Scope>) -> bool {
        let snapshot = self.context.snapshot;
        let is_read = |of: &Surveyed| match &of.network {
            Ok(network) => network.failures.is_empty(),
            Err(failure) => is_gone(snapshot, of.id, failure),
        };
        let all_known = match scope {
            None => relations::absence_seen(snapshot, Some(NamespaceType::Net)),
            // Whatever else these processes have open.
            Some(scope) => scope.pids.is_empty() || !snapshot.gaps.iter().any(|gap| concerns(gap, &scope.pids)),
        };
        all_known && self.surveyed.iter().all(is_read)
    }

    /// The cell of a socket in a column.
    pub fn cell(&self, row: usize, column: Column, goes_to: For) -> Cell {
        let Some(&(id, socket)) = self.rows.get(row) else { return Cell::Nothing };
        let snapshot = self.context.snapshot;
        match (column, socket) {
            (Column::Proto, _) => Cell::text(socket.protocol()),
            (Column::Address, _) => Cell::Text(socket.address()),
            (Column::Port, Socket::Inet(inet)) => Cell::Number(inet.port.into()),
            (Column::Ns, _) => Cell::text(names::namespace(snapshot, id)),
            (Column::Name, _) => self.name(id),
            (Column::Processes, _) => self.processes(id, socket.inode(), goes_to),
            (Column::User, Socket::Inet(inet)) => {
                let name = names::user_name(snapshot, Some(Uid(inet.uid)));
                let number = names::user_id(snapshot, Some(Uid(inet.uid)));
                name.map(Cell::text).unwrap_or_else(|| number.map_or(Cell::Nothing, |uid| Cell::Number(uid.into())))
            }
            (Column::Inode, _) => Cell::Number(socket.inode()),
            (Column::Port | Column::User, Socket::Unix(_)) => Cell::Nothing,
        }
    }

    /// What a network namespace is called.
    fn name(&self, id: NamespaceId) -> Cell {
        let Context { snapshot, mount_ns, .. } = self.context;
        match Whose::namespace(snapshot, id) {
            Some(Whose::Container(container)) => {
                Cell::Text(whose::exact_target(snapshot.annotations.containers.as_ref(), container))
            }
            Some(Whose::Unit(unit)) => Cell::text(whose::unit(&unit)),
            None => names::netns_name(snapshot, id, mount_ns).map_or(Cell::Nothing, Cell::text),
        }
    }

    /// The processes that have a socket open, each once.
    fn pids(&self, inode: u64) -> BTreeSet<Pid> {
        self.users.get(&inode).into_iter().flatten().map(|user| user.pid).collect()
    }

    fn processes(&self, id: NamespaceId, inode: u64, goes_to: For) -> Cell {
        /// How many are told by name.
        const FEW: usize = 3;
        let snapshot = self.context.snapshot;
        let pids = self.pids(inode);
        if goes_to != For::Eyes {
            return Cell::list(pids.into_iter().map(|pid| pid.to_string().into()).collect());
        }
        if pids.is_empty() {
            return Cell::Hint(self.unseen_users.clone().unwrap_or_else(|| "none visible".to_owned()));
        }
        let of_namespace = Whose::namespace(snapshot, id);
        let word = |&pid: &Pid| {
            let whose = Whose::process(snapshot, pid).filter(|whose| Some(whose) != of_namespace.as_ref());
            let name = snapshot.processes.get(&pid).map(|process| format!(" ({})", names::comm(process.comm())));
            let whose = whose.map(|whose| format!(" in {}", whose.words()));
            format!("{pid}{}{}", name.unwrap_or_default(), whose.unwrap_or_default())
        };
        // One more is no longer than to say that there is one more.
        let count = if pids.len() == FEW + 1 { FEW + 1 } else { FEW };
        let words: Vec<_> = pids.iter().take(count).map(word).collect();
        let more = pids.len().saturating_sub(count);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        Cell::Hint(words.join(", ") + &more)
    }

    /// The whole answer, for programs.
    pub fn answers(&self) -> Vec<Answer> {
        self.rows.iter().filter_map(|&(id, socket)| self.answer(id, socket)).collect()
    }

    fn answer(&self, id: NamespaceId, socket: Socket<'_>) -> Option<Answer> {
        let Context { snapshot, mount_ns, .. } = self.context;
        let namespace = NamespaceForm::of(snapshot, snapshot.namespaces.get(&id)?, mount_ns);
        let users = self.users.get(&socket.inode()).into_iter().flatten();
        let processes = users.map(|user| ProcessForm::of(snapshot, user.pid, Some(user.tid), Some(user.fd)));
        let inet = if let Socket::Inet(inet) = socket { Some(inet) } else { None };
        let uid = inet.map(|inet| Uid(inet.uid));
        Some(Answer {
            protocol: socket.protocol(),
            address: match inet {
                Some(inet) => inet.address.to_string(),
                None => lossy(&socket.address()),
            },
            port: inet.map(|inet| inet.port),
            link: inet.and_then(interface).map(|name| lossy(&name)),
            takes_v4: inet.is_some_and(|inet| inet.takes_v4),
            inode: socket.inode(),
            user_id: names::user_id(snapshot, uid),
            user_name: names::user_name(snapshot, uid),
            namespace,
            processes: processes.collect(),
            all_processes_seen: self.unseen_users.is_none(),
        })
    }
}

/// Whether a namespace has vanished since it was seen: only processes that have ended held it.
fn is_gone(snapshot: &Snapshot, id: NamespaceId, failure: &Failure) -> bool {
    let holders = snapshot.namespaces.get(&id).map(|namespace| namespace.holders.as_slice()).unwrap_or_default();
    failure.cause == Cause::Changed && holders.iter().all(|holder| holder.pid().is_some())
}

/// Why a network namespace could not be read.
fn why(snapshot: &Snapshot, id: NamespaceId, failure: &Failure) -> String {
    let owner = snapshot.namespaces.get(&id).and_then(|namespace| namespace.owner.known());
    match (failure.cause, owner) {
        (Cause::Denied, Some(owner)) if failure.call == "setns" => {
            format!("needs CAP_SYS_ADMIN in {}", names::namespace(snapshot, owner))
        }
        (Cause::Denied, None) if failure.call == "setns" => {
            "needs CAP_SYS_ADMIN in the user namespace that owns it".to_owned()
        }
        (Cause::NotTried | Cause::TimedOut, _) => failure.call.clone(),
        (Cause::Changed | Cause::NoPath, _) => "it has ended, or no path leads there".to_owned(),
        _ => failure.to_string(),
    }
}

/// Whether something may be unknown of what these processes have open.
fn concerns(gap: &Gap, pids: &FxHashSet<Pid>) -> bool {
    match gap.object {
        Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, ..) => pids.contains(&pid),
        _ => matches!(gap.place, Place::Processes | Place::Tasks | Place::Fds | Place::TaskFds | Place::Sockets),
    }
}

/// Why processes that were not seen may have sockets open; `None` where all were.
fn unseen_users(snapshot: &Snapshot) -> Option<String> {
    let places: Places = [Place::Processes, Place::Fds, Place::TaskFds].into_iter().collect();
    let (mut pids, mut others) = (BTreeSet::new(), false);
    for gap in snapshot.gaps.iter().filter(|gap| places.contains(gap.place)) {
        match gap.object {
            Object::Process(pid) | Object::Task(pid, _) | Object::Fd(pid, ..) => drop(pids.insert(pid)),
            _ => others = true,
        }
    }
    others |= !relations::processes_listed(snapshot);
    match pids.len() {
        0 if others => Some("not known: not all processes are listed".to_owned()),
        0 => None,
        1 => Some("not known: 1 process not readable".to_owned()),
        count => Some(format!("not known: {count} processes not readable")),
    }
}

/// What `lxkns ports` says of a socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "PortsAnswer"))]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// `tcp`, `udp`, `udplite`, `sctp`, `dccp`; `unix` (a stream), `unix-dgram`, `unix-seqpacket`.
    pub protocol: &'static str,
    /// The address that it is bound to; of a UNIX socket its path in an unknown mount namespace, or its abstract name
    /// after `@`.
    pub address: String,
    /// The port; `null` for UNIX sockets.
    pub port: Option<u16>,
    /// The interface that it is bound to; `null` where it is bound to none.
    pub link: Option<String>,
    /// Whether it takes IPv4 too, of an IPv6 socket on all addresses.
    pub takes_v4: bool,
    /// Its inode number.
    pub inode: u64,
    /// The user who created it; `null` where not known or not mapped.
    pub user_id: Option<u32>,
    /// That user's name.
    pub user_name: Option<String>,
    /// Its network namespace.
    pub namespace: NamespaceForm,
    /// The processes that have it open, one for each descriptor.
    pub processes: Vec<ProcessForm>,
    /// Whether all processes could be read, so that these are all but for what is on its way over another socket.
    pub all_processes_seen: bool,
}

#[cfg(test)]
#[path = "ports_tests.rs"]
mod tests;
