//! What waits in UNIX sockets: descriptors that were sent and not received, and connections that were not accepted.
//!
//! The queues are read without their locks. So everything is read twice, and counts only if it is the same both times, down
//! to the addresses of files and messages.

use rustc_hash::FxHashSet;

use super::Refusal;
use super::memory::{MOST_NODES, Memory};
use super::programs::{Fields, Missing};
use super::records::{NSFS, SOCKFS};

/// How many sockets in flight that have some in flight themselves are gone into. The kernel allows four, and any number since
/// Linux 6.10; each costs as many system calls as one that is not nested.
const DEPTH: usize = if cfg!(test) { 5 } else { 64 };
/// The most descriptors of one message (`SCM_MAX_FD`).
const MOST_OF_A_MESSAGE: u64 = 253;
/// How many things that wait are gone into at most, and how many messages of one round. A user can have a million descriptors
/// in flight (`RLIMIT_NOFILE`).
const MOST: usize = if cfg!(test) { 8 } else { 1 << 16 };
const MOST_MESSAGES: usize = 1 << 19;
/// The state of a socket that listens (`TCP_LISTEN`).
const LISTENS: u64 = 10;
const AF_UNIX: u64 = 1;

/// Where the fields are that the walk reads.
#[derive(Debug)]
pub(super) struct Layout {
    private_data: u64,
    inode: u64,
    super_block: u64,
    ino: u64,
    private: u64,
    magic: u64,
    sk: u64,
    family: u64,
    state: u64,
    net: u64,
    net_inum: u64,
    queue: u64,
    next_message: u64,
    sender: u64,
    fds: u64,
    fd_count: u64,
    fd: u64,
    ns_inum: u64,
    ns_type: NsType,
}

/// Where the type of a namespace is.
#[derive(Debug)]
pub(super) enum NsType {
    Own(u64),
    /// Before Linux 6.18: with the operations.
    OfOperations(u64, u64),
}

impl NsType {
    pub(super) fn of(f: &Fields<'_>) -> Result<Self, Missing> {
        let at = |offset: Result<i16, Missing>| offset.map(|offset| offset as u64);
        match f.number("ns_common.ns_type") {
            Ok(own) => Ok(Self::Own(own as u64)),
            Err(_) => Ok(Self::OfOperations(at(f.pointer("ns_common.ops"))?, at(f.number("proc_ns_operations.type"))?)),
        }
    }

    /// The flags of `clone(2)` for the types of these namespaces, in the lower half of each word as the kernel has them.
    pub(super) fn read(&self, memory: &dyn Memory, namespaces: &[u64]) -> Result<Vec<u64>, Refusal> {
        match *self {
            Self::Own(offset) => read(memory, namespaces, offset),
            Self::OfOperations(operations, offset) => read(memory, &read(memory, namespaces, operations)?, offset),
        }
    }
}

impl Layout {
    pub(super) fn of(f: &Fields<'_>) -> Result<Self, Missing> {
        let at = |offset: Result<i16, Missing>| offset.map(|offset| offset as u64);
        Ok(Self {
            private_data: at(f.pointer("file.private_data"))?,
            inode: at(f.pointer("file.f_inode"))?,
            super_block: at(f.pointer("inode.i_sb"))?,
            ino: at(f.at("inode.i_ino", 8))?,
            private: at(f.pointer("inode.i_private"))?,
            magic: at(f.at("super_block.s_magic", 8))?,
            sk: at(f.pointer("socket.sk"))?,
            family: at(f.at("sock.__sk_common.skc_family", 2))?,
            state: at(f.at("sock.__sk_common.skc_state", 1))?,
            net: at(f.pointer("sock.__sk_common.skc_net.net"))?,
            net_inum: at(f.number("net.ns.inum"))?,
            queue: at(f.pointer("sock.sk_receive_queue.next"))?,
            next_message: at(f.pointer("sk_buff.next"))?,
            sender: at(f.pointer("sk_buff.sk"))?,
            fds: at(f.start("sk_buff.cb"))? + at(f.pointer("unix_skb_parms.fp"))?,
            fd_count: at(f.at("scm_fp_list.count", 2))?,
            fd: at(f.start("scm_fp_list.fp"))?,
            ns_inum: at(f.number("ns_common.inum"))?,
            ns_type: NsType::of(f)?,
        })
    }
}

/// A socket that a process has open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Receiver {
    /// Where its file is.
    pub(crate) file: u64,
    /// Its inode number.
    pub(crate) inode: u64,
}

/// Something that waits in a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Waiting {
    /// The place of the [`Receiver`] that it would come to.
    pub(crate) receiver: usize,
    /// The inode number of the socket that it waits in: that of the receiver, or of one that is in flight itself.
    pub(crate) queue: u64,
    pub(crate) what: WaitingKind,
    /// What it is, by its address.
    address: u64,
}

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum WaitingKind {
    /// A descriptor on a namespace, with its inode number and the flag of `clone(2)` for its type.
    Namespace { ino: u64, clone_flag: u32 },
    /// A socket, with its inode number and that of its network namespace.
    Socket { inode: u64, net: u32 },
    /// A connection that was not accepted, with the inode number of its network namespace.
    Connection { net: u32 },
    /// A file that holds no namespace.
    Other,
}

/// The sockets of which not all was seen.
#[derive(Debug, Default)]
pub(crate) struct Unsure {
    /// The places of the receivers that could not be read to their ends, or changed meanwhile.
    pub(crate) receivers: FxHashSet<usize>,
    /// Whether there is more than is gone into.
    pub(crate) is_cut: bool,
}

/// What waits in these sockets, and of which not all was seen.
pub(super) fn waiting(
    layout: &Layout,
    memory: &dyn Memory,
    receivers: &[Receiver],
) -> Result<(Vec<Waiting>, Unsure), Refusal> {
    let walk = || Walk { layout, memory, found: Vec::new(), unsure: Unsure::default() }.all(receivers);
    let ((first, mut unsure), (second, again)) = (walk()?, walk()?);
    unsure.receivers.extend(again.receivers);
    unsure.is_cut |= again.is_cut;
    let [one, other]: [FxHashSet<_>; 2] = [&first, &second].map(|walk| walk.iter().copied().collect());
    unsure.receivers.extend(one.symmetric_difference(&other).map(|waiting| waiting.receiver));
    Ok((first.into_iter().filter(|waiting| other.contains(waiting)).collect(), unsure))
}

/// A socket to go through.
#[derive(Clone, Copy)]
struct Queue {
    receiver: usize,
    sk: u64,
    inode: u64,
}

struct Walk<'a> {
    layout: &'a Layout,
    memory: &'a dyn Memory,
    found: Vec<Waiting>,
    unsure: Unsure,
}

impl Walk<'_> {
    /// Not all of what would come to this receiver was seen; `is_cut` if there was too much.
    fn doubt(&mut self, receiver: usize, is_cut: bool) {
        self.unsure.receivers.insert(receiver);
        self.unsure.is_cut |= is_cut;
    }

    fn all(mut self, receivers: &[Receiver]) -> Result<(Vec<Waiting>, Unsure), Refusal> {
        let files: Vec<_> = receivers.iter().map(|receiver| receiver.file).collect();
        let mut queues = Vec::new();
        for (index, (receiver, seen)) in receivers.iter().zip(self.files(&files)?).enumerate() {
            match seen {
                // Another file can be where one was.
                Seen::Socket { inode, sk, is_unix: true, .. } if inode == receiver.inode => {
                    queues.push(Queue { receiver: index, sk, inode });
                }
                _ => self.doubt(index, false),
            }
        }
        let mut known: FxHashSet<u64> = queues.iter().map(|queue| queue.sk).collect();
        for _ in 0..DEPTH {
            queues = self.queues(&queues)?;
            queues.retain(|queue| known.insert(queue.sk));
            if queues.is_empty() {
                return Ok((self.found, self.unsure));
            }
        }
        queues.iter().for_each(|queue| self.doubt(queue.receiver, true));
        Ok((self.found, self.unsure))
    }

    /// Goes through these sockets. Returns those that wait in them.
    fn queues(&mut self, queues: &[Queue]) -> Result<Vec<Queue>, Refusal> {
        let layout = self.layout;
        let heads: Vec<_> = queues.iter().map(|queue| (queue.sk + layout.queue, layout.next_message)).collect();
        let lists = self.memory.lists(&heads)?;
        let socks: Vec<_> = queues.iter().map(|queue| queue.sk).collect();
        let states = self.read(&socks, layout.state)?;
        let (mut of, mut messages) = (Vec::new(), Vec::new());
        for ((queue, list), state) in queues.iter().zip(lists).zip(states) {
            let is_cut = messages.len() + list.nodes.len() > MOST_MESSAGES;
            if is_cut || !list.is_whole {
                self.doubt(queue.receiver, is_cut || list.nodes.len() >= MOST_NODES);
            }
            if !is_cut {
                of.resize(of.len() + list.nodes.len(), (*queue, first_byte(state) == LISTENS));
                messages.extend(list.nodes);
            }
        }
        let (senders, lists) = (self.read(&messages, layout.sender)?, self.read(&messages, layout.fds)?);
        // Connections: each is a socket already, in which something can wait.
        let mut next = Vec::new();
        let (mut with_fds, mut of_fds) = (Vec::new(), Vec::new());
        for ((&(queue, listens), &sk), &list) in of.iter().zip(&senders).zip(&lists) {
            if listens && sk != 0 {
                next.push(Queue { sk, ..queue });
            } else if !listens && list != 0 {
                of_fds.push(queue);
                with_fds.push(list);
            }
        }
        let nets = self.nets(&next.iter().map(|queue| queue.sk).collect::<Vec<_>>())?;
        for (queue, net) in next.iter().zip(nets) {
            let what = WaitingKind::Connection { net };
            self.found.push(Waiting { receiver: queue.receiver, queue: queue.inode, what, address: queue.sk });
        }
        let counts = self.read(&with_fds, layout.fd_count)?;
        let (mut of, mut slots) = (Vec::new(), Vec::new());
        for ((queue, list), count) in of_fds.iter().zip(with_fds).zip(counts) {
            match first_two_bytes(count) {
                count @ 1..=MOST_OF_A_MESSAGE if self.found.len() + slots.len() + count as usize > MOST => {
                    self.doubt(queue.receiver, true);
                }
                count @ 1..=MOST_OF_A_MESSAGE => {
                    slots.extend((0..count).map(|nth| list + 8 * nth));
                    of.resize(slots.len(), *queue);
                }
                _ => self.doubt(queue.receiver, false),
            }
        }
        let files = self.read(&slots, layout.fd)?;
        let seen = self.files(&files)?;
        for ((queue, seen), address) in of.iter().zip(seen).zip(files) {
            let what = match seen {
                Seen::Namespace { ino, clone_flag } => WaitingKind::Namespace { ino, clone_flag },
                Seen::Socket { inode, net, sk, is_unix } => {
                    if is_unix {
                        next.push(Queue { sk, inode, ..*queue });
                    }
                    WaitingKind::Socket { inode, net }
                }
                Seen::Other => WaitingKind::Other,
                Seen::Nothing => {
                    self.doubt(queue.receiver, false);
                    continue;
                }
            };
            self.found.push(Waiting { receiver: queue.receiver, queue: queue.inode, what, address });
        }
        Ok(next)
    }

    /// The inode numbers of the network namespaces of these sockets.
    fn nets(&self, socks: &[u64]) -> Result<Vec<u32>, Refusal> {
        let inums = self.read(&self.read(socks, self.layout.net)?, self.layout.net_inum)?;
        Ok(inums.into_iter().map(first_four_bytes).collect())
    }

    /// What these files are.
    fn files(&self, files: &[u64]) -> Result<Vec<Seen>, Refusal> {
        let layout = self.layout;
        let inodes = self.read(files, layout.inode)?;
        let (inos, mut namespaces) = (self.read(&inodes, layout.ino)?, self.read(&inodes, layout.private)?);
        let magics = self.read(&self.read(&inodes, layout.super_block)?, layout.magic)?;
        let mut sockets = self.read(files, layout.private_data)?;
        // What is something else leads nowhere.
        for ((namespace, socket), &magic) in namespaces.iter_mut().zip(&mut sockets).zip(&magics) {
            *namespace = if magic == u64::from(NSFS) { *namespace } else { 0 };
            *socket = if magic == u64::from(SOCKFS) { *socket } else { 0 };
        }
        let socks = self.read(&sockets, layout.sk)?;
        let (nets, families) = (self.nets(&socks)?, self.read(&socks, layout.family)?);
        let inums = self.read(&namespaces, layout.ns_inum)?;
        let types = layout.ns_type.read(self.memory, &namespaces)?;
        let seen = (0..files.len()).map(|index| match (namespaces[index], socks[index]) {
            _ if magics[index] == 0 => Seen::Nothing,
            (0, 0) => Seen::Other,
            // A socket has a network namespace; and an inode says the same as the namespace that it leads to.
            (0, _) if nets[index] == 0 => Seen::Nothing,
            (0, sk) => {
                let is_unix = first_two_bytes(families[index]) == AF_UNIX;
                Seen::Socket { inode: inos[index], net: nets[index], sk, is_unix }
            }
            (..) if u64::from(first_four_bytes(inums[index])) != inos[index] => Seen::Nothing,
            (..) => Seen::Namespace { ino: inos[index], clone_flag: first_four_bytes(types[index]) },
        });
        Ok(seen.collect())
    }

    /// A field of each of these structures; 0 of what leads nowhere.
    fn read(&self, structures: &[u64], offset: u64) -> Result<Vec<u64>, Refusal> {
        read(self.memory, structures, offset)
    }
}

/// A field of each of these structures; 0 of what leads nowhere.
pub(super) fn read(memory: &dyn Memory, structures: &[u64], offset: u64) -> Result<Vec<u64>, Refusal> {
    let field = |&address: &u64| if address == 0 { 0 } else { address.wrapping_add(offset) };
    memory.words(&structures.iter().map(field).collect::<Vec<_>>())
}

/// What a file is.
enum Seen {
    Namespace {
        ino: u64,
        clone_flag: u32,
    },
    Socket {
        inode: u64,
        net: u32,
        sk: u64,
        is_unix: bool,
    },
    Other,
    /// There is no file any more.
    Nothing,
}

fn first_byte(word: u64) -> u64 {
    u64::from(word.to_ne_bytes()[0])
}

fn first_two_bytes(word: u64) -> u64 {
    let [a, b, ..] = word.to_ne_bytes();
    u64::from(u16::from_ne_bytes([a, b]))
}

pub(super) fn first_four_bytes(word: u64) -> u32 {
    let [a, b, c, d, ..] = word.to_ne_bytes();
    u32::from_ne_bytes([a, b, c, d])
}

#[cfg(test)]
#[path = "in_flight_tests.rs"]
mod tests;
