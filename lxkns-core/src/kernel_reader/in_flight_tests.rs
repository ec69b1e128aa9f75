use std::cell::Cell;

use rustc_hash::FxHashMap;

use super::super::memory::List;
use super::*;

const LAYOUT: Layout = Layout {
    private_data: 0,
    inode: 8,
    super_block: 0,
    ino: 8,
    private: 16,
    magic: 0,
    sk: 0,
    family: 0,
    state: 8,
    net: 16,
    net_inum: 0,
    queue: 24,
    next_message: 0,
    sender: 8,
    fds: 16,
    fd_count: 0,
    fd: 8,
    ns_inum: 0,
    ns_type: NsType::Own(8),
};

/// The memory of a kernel, of which some is something else once one word is read for the second time: in the second walk.
#[derive(Default)]
struct Fake {
    words: FxHashMap<u64, u64>,
    later: FxHashMap<u64, u64>,
    watched: u64,
    reads: Cell<usize>,
}

impl Fake {
    fn put(&mut self, at: u64, words: &[u64]) {
        self.words.extend(words.iter().enumerate().map(|(nth, &word)| (at + 8 * nth as u64, word)));
    }

    fn word(&self, at: u64) -> u64 {
        let later = self.later.get(&at).filter(|_| self.reads.get() > 1);
        later.or_else(|| self.words.get(&at)).copied().unwrap_or_default()
    }

    /// A file with its inode on a file system.
    fn file(&mut self, file: u64, magic: u32, ino: u64, private_data: u64, private: u64) {
        self.put(file, &[private_data, file + 0x100]);
        self.put(file + 0x100, &[file + 0x200, ino, private]);
        self.put(file + 0x200, &[magic.into()]);
    }

    /// A UNIX socket in the network namespace 7, with these messages.
    fn socket(&mut self, file: u64, ino: u64, state: u64, messages: &[(u64, u64)]) {
        let sk = file + 0x400;
        self.file(file, SOCKFS, ino, file + 0x300, 0);
        self.put(file + 0x300, &[sk]);
        let mut at = sk + LAYOUT.queue;
        self.put(sk, &[AF_UNIX, state, 0x77_000]);
        self.put(0x77_000, &[7]);
        for (nth, &(sender, fds)) in messages.iter().enumerate() {
            let message = file + 0x500 + 0x20 * nth as u64;
            self.put(at, &[message]);
            self.put(message + 8, &[sender, fds]);
            at = message;
        }
        self.put(at, &[sk + LAYOUT.queue]);
    }

    fn waiting(&self, file: u64, inode: u64) -> (Vec<(u64, WaitingKind)>, bool) {
        let (waiting, unsure) = waiting(&LAYOUT, self, &[Receiver { file, inode }]).unwrap();
        (waiting.into_iter().map(|waiting| (waiting.queue, waiting.what)).collect(), !unsure.receivers.is_empty())
    }
}

impl Memory for Fake {
    fn words(&self, addresses: &[u64]) -> Result<Vec<u64>, Refusal> {
        if addresses.contains(&self.watched) {
            self.reads.set(self.reads.get() + 1);
        }
        Ok(addresses.iter().map(|&address| self.word(address)).collect())
    }

    fn lists(&self, starts: &[(u64, u64)]) -> Result<Vec<List>, Refusal> {
        let list = |&(start, offset): &(u64, u64)| {
            let next = |&node: &u64| Some(self.word(node + offset)).filter(|&next| next != 0 && next != start);
            let nodes: Vec<_> = std::iter::successors(next(&start), next).take(99).collect();
            let is_whole = self.word(nodes.last().unwrap_or(&start) + offset) == start;
            List { nodes, is_whole }
        };
        Ok(starts.iter().map(list).collect())
    }
}

const OUTER: u64 = 0x10_000;
const INNER: u64 = 0x20_000;
const UTS: u64 = 0x30_000;

/// A socket with another one in flight, in which a descriptor on a namespace is.
fn nested() -> Fake {
    let mut fake = Fake { watched: OUTER + 0x100 + 8, ..Fake::default() };
    fake.socket(OUTER, 50, 1, &[(0, 0), (0, 0x40_000)]);
    fake.put(0x40_000, &[2, INNER, 0x50_000]);
    fake.file(0x50_000, 0x1234, 9, 0, 0);
    fake.socket(INNER, 60, 1, &[(0, 0x41_000)]);
    fake.put(0x41_000, &[1, UTS]);
    fake.file(UTS, NSFS, 70, 0, 0x31_000);
    fake.put(0x31_000, &[70, 0x0400_0000]);
    fake
}

const UTS_NAMESPACE: WaitingKind = WaitingKind::Namespace { ino: 70, clone_flag: 0x0400_0000 };

#[test]
fn what_is_in_flight_in_what_is_in_flight_is_found() {
    let (found, unsure) = nested().waiting(OUTER, 50);
    let inner = WaitingKind::Socket { inode: 60, net: 7 };
    assert_eq!((found, unsure), (vec![(50, inner), (50, WaitingKind::Other), (60, UTS_NAMESPACE)], false));
}

#[test]
fn what_changes_between_two_walks_is_not_believed() {
    // The namespace's inode is that of another file by the second walk.
    let mut fake = nested();
    fake.later.insert(UTS + 0x100 + 8, 71);
    let (found, unsure) = fake.waiting(OUTER, 50);
    assert!(unsure && found.iter().all(|(_, what)| *what != UTS_NAMESPACE), "{found:?}");
    // The message has been received.
    let mut fake = nested();
    fake.later.insert(INNER + 0x400 + LAYOUT.queue, INNER + 0x400 + LAYOUT.queue);
    let (found, unsure) = fake.waiting(OUTER, 50);
    assert!(unsure && found.iter().all(|(_, what)| *what != UTS_NAMESPACE), "{found:?}");
}

#[test]
fn what_is_no_socket_any_more_is_not_gone_into() {
    let fake = nested();
    assert_eq!(fake.waiting(OUTER, 51), (vec![], true), "another inode");
    assert_eq!(fake.waiting(UTS, 70), (vec![], true), "another file system");
    assert_eq!(fake.waiting(0x99_000, 1), (vec![], true), "nothing");
    // A count that no message has, and a namespace that does not lead back to its inode.
    for (at, word) in [(0x41_000, 254), (0x31_000, 71)] {
        let mut fake = nested();
        fake.put(at, &[word]);
        let (found, unsure) = fake.waiting(OUTER, 50);
        assert!(unsure && found.iter().all(|(_, what)| *what != UTS_NAMESPACE), "{found:?}");
    }
}

#[test]
fn a_queue_that_is_not_seen_to_its_end_is_said() {
    let mut fake = nested();
    // The last message leads nowhere.
    fake.put(OUTER + 0x500 + 0x20, &[0]);
    let (found, unsure) = fake.waiting(OUTER, 50);
    assert_eq!((found.len(), unsure), (3, true));
}

#[test]
fn more_than_is_gone_into_is_said() {
    let mut fake = nested();
    let fds = [UTS; MOST + 1];
    for (count, expected) in [(MOST, (MOST, false)), (MOST + 1, (0, true))] {
        fake.put(0x40_000, &[&[count as u64], &fds[..count]].concat());
        let (found, unsure) = waiting(&LAYOUT, &fake, &[Receiver { file: OUTER, inode: 50 }]).unwrap();
        assert_eq!((found.len(), unsure.is_cut), expected, "{count}");
        assert_eq!(unsure.receivers.contains(&0), unsure.is_cut);
    }
}

#[test]
fn nests_are_gone_into_and_what_is_deeper_is_said() {
    for (depth, is_cut) in [(DEPTH, false), (DEPTH + 1, true)] {
        let mut fake = nested();
        // Each has the next one in flight; the last one has none.
        let at = |nth: usize| 0x100_000 * (nth as u64 + 1);
        for nth in 0..depth {
            let message = [(0, at(nth) + 0x40_000)];
            fake.socket(at(nth), 100 + nth as u64, 1, if nth + 1 < depth { &message } else { &[] });
            fake.put(at(nth) + 0x40_000, &[1, at(nth + 1)]);
        }
        let (_, unsure) = waiting(&LAYOUT, &fake, &[Receiver { file: at(0), inode: 100 }]).unwrap();
        assert_eq!(unsure.is_cut, is_cut, "{depth}");
    }
}

#[test]
fn connections_are_sockets_that_wait() {
    let mut fake = nested();
    let connection = INNER + 0x400;
    fake.socket(OUTER, 50, LISTENS, &[(connection, 0)]);
    let (found, unsure) = fake.waiting(OUTER, 50);
    let expected = vec![(50, WaitingKind::Connection { net: 7 }), (50, UTS_NAMESPACE)];
    assert_eq!((found, unsure), (expected, false), "the client has sent a descriptor with it");
}

#[test]
fn sockets_that_wait_in_each_other_end() {
    let mut fake = nested();
    fake.put(0x41_000, &[2, UTS, OUTER]);
    let (found, unsure) = fake.waiting(OUTER, 50);
    assert_eq!((found.len(), unsure), (4, false));
}
