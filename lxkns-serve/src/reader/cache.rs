//! Finished answers: each is made once for a scan, however many ask.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustc_hash::FxHashMap;

use super::body::{Body, Writer};
use crate::protocol::{Content, Question};

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code of HTTP.
    pub(crate) status: u16,
    /// The type of the body.
    pub(crate) content: Content,
    /// The body.
    pub(crate) body: Body,
    /// A number that another body does not have.
    pub(crate) tag: u128,
}

impl Answer {
    /// With its tag.
    pub(crate) fn new(status: u16, content: Content, body: impl AsRef<[u8]>) -> Self {
        let mut writer = Writer::default();
        // Memory takes all that there is.
        let _ = writer.write_all(body.as_ref());
        writer.answer(status, content)
    }
}

type Slot = Arc<OnceLock<Arc<Answer>>>;

/// The answers about the newest scans, as many as fit.
pub(crate) struct Cache {
    most_bytes: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    slots: FxHashMap<(u64, Question), Slot>,
    /// What there is, oldest first, with its size.
    order: VecDeque<((u64, Question), usize)>,
    bytes: usize,
    /// Those that clients read page by page, the oldest first: they outlive their scan.
    paged: VecDeque<(u64, Question)>,
}

/// The most answers that clients read page by page.
const MOST_PAGED: usize = 16;

impl Cache {
    /// Of at most so many bytes.
    pub(crate) fn new(most_bytes: usize) -> Self {
        Self { most_bytes, state: Mutex::default() }
    }

    /// The answer to a question about a scan, which is made where there is none; others who ask meanwhile wait for it.
    pub(crate) fn get(&self, scan: u64, question: &Question, make: impl FnOnce() -> Answer) -> Arc<Answer> {
        let key = (scan, question.clone());
        let slot = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(state.slots.entry(key.clone()).or_default())
        };
        let mut is_new = false;
        let answer = Arc::clone(slot.get_or_init(|| {
            is_new = true;
            Arc::new(make())
        }));
        if is_new {
            self.note(key, answer.body.kept());
        }
        answer
    }

    /// Counts an answer, and forgets the oldest ones where there are too many.
    fn note(&self, key: (u64, Question), length: usize) {
        /// What an answer costs beside its body, about, and each parameter of its question beside its text.
        const EACH: usize = 512;
        const EACH_PARAMETER: usize = 80;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let parameters = key.1.parameters.iter().map(|(name, value)| name.len() + value.len() + EACH_PARAMETER);
        // The question is there twice.
        let cost = length + EACH + 2 * parameters.sum::<usize>();
        state.bytes += cost;
        state.order.push_back((key, cost));
        while state.bytes > self.most_bytes {
            let Some((oldest, cost)) = state.order.pop_front() else { break };
            state.bytes -= cost;
            state.slots.remove(&oldest);
        }
    }

    /// Keeps an answer for clients that have read a page of it.
    pub(crate) fn keep_for_pages(&self, scan: u64, question: &Question) {
        let key = (scan, question.clone());
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.paged.contains(&key) {
            state.paged.push_back(key);
        }
        if state.paged.len() > MOST_PAGED {
            state.paged.pop_front();
        }
    }

    /// The answer to a question about a scan, if it is there.
    pub(crate) fn find(&self, scan: u64, question: &Question) -> Option<Arc<Answer>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.slots.get(&(scan, question.clone()))?.get().cloned()
    }

    /// Forgets all but what is about this scan, or is read page by page.
    pub(crate) fn keep_only(&self, scan: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { slots, order, bytes, paged } = &mut *state;
        let stays = |key: &(u64, Question)| key.0 >= scan || paged.contains(key);
        order.retain(|(key, cost)| {
            let stays = stays(key);
            *bytes -= if stays { 0 } else { *cost };
            stays
        });
        slots.retain(|key, _| stays(key));
    }

    #[cfg(test)]
    pub(crate) fn bytes(&self) -> usize {
        self.state.lock().unwrap().bytes
    }
}
