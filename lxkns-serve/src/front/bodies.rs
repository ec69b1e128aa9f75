//! Bodies that were sent a moment ago, as they were sent: who asks for the same once more gets it without the reader handing
//! it out again, and without its being compressed again.
//!
//! Whether it is the same the reader says each time, by its tag. What was never sent whole is not here.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::body::Bytes;

use super::encoding::Encoding;
use crate::protocol::{CHUNK, Head};

/// The longest body that is kept, and how many bytes are kept together.
const LONGEST: usize = 1 << 20;
const MOST_BYTES: usize = 4 << 20;
/// The most bodies that are being noted at a time.
const MOST_NOTES: usize = 4;

/// What names a body: tag and length of what the reader has, and how it is sent.
type Key = (u128, u64, Encoding);

/// The bodies.
#[derive(Default)]
pub(super) struct Bodies(Mutex<State>);

#[derive(Default)]
struct State {
    /// The one that was asked for last comes last.
    kept: VecDeque<(Key, Bytes)>,
    bytes: usize,
    noted: Vec<Key>,
}

impl Bodies {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body, if it is here.
    pub(super) fn find(&self, head: &Head, encoding: Encoding) -> Option<Bytes> {
        let key = (head.tag, head.length, encoding);
        let mut state = self.state();
        let at = state.kept.iter().position(|(known, _)| *known == key)?;
        let found = state.kept.remove(at)?;
        let bytes = found.1.clone();
        state.kept.push_back(found);
        Some(bytes)
    }

    /// Records a body while it is sent, if that is worthwhile: a body of one piece comes from the reader quickly enough.
    pub(super) fn note(self: &Arc<Self>, head: &Head, encoding: Encoding) -> Option<Note> {
        let key = (head.tag, head.length, encoding);
        let is_worth_it =
            head.length <= LONGEST as u64 && (head.length > CHUNK as u64 || encoding != Encoding::Identity);
        let mut state = self.state();
        if !is_worth_it || state.noted.len() >= MOST_NOTES || state.noted.contains(&key) {
            return None;
        }
        state.noted.push(key);
        Some(Note { bodies: Arc::clone(self), key, bytes: Vec::new() })
    }
}

/// A body that is being sent.
pub(super) struct Note {
    bodies: Arc<Bodies>,
    key: Key,
    bytes: Vec<u8>,
}

impl Note {
    /// One more piece.
    pub(super) fn piece(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// That was all.
    pub(super) fn end(mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.shrink_to_fit();
        let mut state = self.bodies.state();
        state.bytes += bytes.len();
        state.kept.push_back((self.key, bytes.into()));
        while state.bytes > MOST_BYTES {
            let Some((_, oldest)) = state.kept.pop_front() else { break };
            state.bytes -= oldest.len();
        }
    }
}

impl Drop for Note {
    fn drop(&mut self) {
        self.bodies.state().noted.retain(|key| *key != self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Content;

    fn head(tag: u128, length: usize) -> Head {
        Head::of(200, Content::Json, tag, length as u64)
    }

    fn send(bodies: &Arc<Bodies>, tag: u128, length: usize) {
        let mut note = bodies.note(&head(tag, length), Encoding::Identity).unwrap();
        note.piece(&vec![tag as u8; length / 2]);
        note.piece(&vec![tag as u8; length - length / 2]);
        note.end();
    }

    #[test]
    fn what_was_sent_whole_is_found() {
        let bodies = Arc::new(Bodies::default());
        let head = head(7, 100_000);
        send(&bodies, 7, 100_000);
        assert_eq!(bodies.find(&head, Encoding::Identity).unwrap(), vec![7; 100_000]);
        assert!(bodies.find(&head, Encoding::Zstd).is_none());
        assert!(bodies.find(&Head { tag: 8, ..head }, Encoding::Identity).is_none());
        // What is cut short is not kept.
        let mut note = bodies.note(&Head { tag: 8, ..head }, Encoding::Zstd).unwrap();
        note.piece(b"x");
        drop(note);
        assert!(bodies.find(&Head { tag: 8, ..head }, Encoding::Zstd).is_none());
    }

    #[test]
    fn the_memory_is_bounded() {
        let bodies = Arc::new(Bodies::default());
        assert!(bodies.note(&head(1, LONGEST + 1), Encoding::Zstd).is_none());
        assert!(bodies.note(&head(1, CHUNK), Encoding::Identity).is_none());
        let notes: Vec<_> = (0..10).filter_map(|tag| bodies.note(&head(tag, CHUNK + 1), Encoding::Identity)).collect();
        assert_eq!(notes.len(), MOST_NOTES);
        drop(notes);
        for tag in 0..10 {
            send(&bodies, tag, LONGEST);
            // This one is wanted all the time.
            assert!(bodies.find(&head(0, LONGEST), Encoding::Identity).is_some());
        }
        let state = bodies.state();
        assert!(state.bytes == MOST_BYTES && state.kept.len() == 4 && state.noted.is_empty());
    }
}
