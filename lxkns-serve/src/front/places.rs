//! The places of connections: as many as there are, and whose is given to the next client when none is left.
//!
//! A connection whose client has yet to send a request, or to say who it is, gives its place up: the one that has waited for
//! the longest time. So a client that only connects keeps nobody out, from however many addresses.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// How long a client waits until the next connection is asked to leave for it.
const TURN: Duration = Duration::from_millis(100);

/// All places.
pub(super) struct Places {
    free: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
}

/// Connections that wait for a request, in the order in which they began to.
#[derive(Default)]
struct Waiting {
    next: u64,
    connections: BTreeMap<u64, Arc<Notify>>,
}

/// A connection's place.
pub(super) struct Place {
    places: Arc<Places>,
    leaves: Arc<Notify>,
    /// Its number among those that wait for a request.
    number: Mutex<Option<u64>>,
    _free: OwnedSemaphorePermit,
}

impl Places {
    /// So many.
    pub(super) fn new(count: usize) -> Arc<Self> {
        Arc::new(Self { free: Arc::new(Semaphore::new(count)), waiting: Mutex::default() })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place, as soon as there is one.
    pub(super) async fn take(self: &Arc<Self>) -> Arc<Place> {
        loop {
            let free = Arc::clone(&self.free).acquire_owned();
            // One that is free is there at once.
            let free = tokio::time::timeout(Duration::ZERO, free).await;
            if let Ok(Ok(free)) = free {
                return self.place(free);
            }
            if let Some((_, leaves)) = self.waiting().connections.pop_first() {
                leaves.notify_one();
            }
            let free = Arc::clone(&self.free).acquire_owned();
            if let Ok(Ok(free)) = tokio::time::timeout(TURN, free).await {
                return self.place(free);
            }
        }
    }

    fn place(self: &Arc<Self>, free: OwnedSemaphorePermit) -> Arc<Place> {
        let (places, leaves) = (Arc::clone(self), Arc::default());
        let place = Place { places, leaves, number: Mutex::default(), _free: free };
        place.wait();
        Arc::new(place)
    }

    /// Waits until all of so many are free.
    pub(super) async fn all_free(&self, count: usize) {
        let _ = self.free.acquire_many(u32::try_from(count).unwrap_or(u32::MAX)).await;
    }
}

impl Place {
    fn number(&self) -> MutexGuard<'_, Option<u64>> {
        self.number.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a request from now on.
    fn wait(&self) {
        let number = {
            let mut waiting = self.places.waiting();
            waiting.next += 1;
            let number = waiting.next;
            waiting.connections.insert(number, Arc::clone(&self.leaves));
            number
        };
        *self.number() = Some(number);
    }

    /// Does not wait any more.
    fn go_on(&self) {
        let number = self.number().take();
        if let Some(number) = number {
            self.places.waiting().connections.remove(&number);
        }
    }

    /// Answers a request, until what this returns is dropped.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        self.go_on();
        Answering(Arc::clone(self))
    }

    /// Waits until the place is another's.
    pub(super) async fn lost(&self) {
        self.leaves.notified().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.go_on();
    }
}

/// A request that is being answered.
pub(super) struct Answering(Arc<Place>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.wait();
    }
}

/// A body, until whose end the request is being answered.
pub(super) struct Answered<B> {
    pub(super) body: B,
    pub(super) _answering: Answering,
}

impl<B: Body + Unpin> Body for Answered<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
