//! The connection to the reader.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdStream;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context as _;
use rustc_hash::FxHashMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tracing::warn;

use crate::exposition::{self, Family};
use crate::protocol::{
    HEADER, Head, Kind, LONGEST_REPLY, LONGEST_REQUEST, MOST_OPEN, Question, Reply, Request, frame, length, message,
};
use crate::role;

/// How long a question waits for a reader that is being started anew.
const PATIENCE: Duration = Duration::from_secs(5);

/// The reader, or the place for one.
pub(super) struct Reader {
    state: Mutex<State>,
    joined: tokio::sync::Notify,
    lost: tokio::sync::Notify,
    /// Whether no reader is there and none is started.
    is_given_up: AtomicBool,
    /// How many readers were killed and have not ended.
    left: AtomicUsize,
    /// How often a reader was started, and a front.
    starts: [AtomicU64; 2],
    /// One for each question that may be open, with some to spare for those that the reader has yet to hear the end of: of
    /// each lane its own, so none takes a place from another.
    places: [Semaphore; 4],
}

/// The most clients that follow events.
const MOST_FOLLOWERS: usize = 128;
/// The most open questions for metrics, and whether the service is ready.
const MOST_WATCHING: usize = 16;

/// Who takes places from whom.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    Asks,
    Follows,
    Measures,
    Probes,
}

impl Lane {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Events => Self::Follows,
            Kind::Metrics => Self::Measures,
            Kind::Ready => Self::Probes,
            _ => Self::Asks,
        }
    }
}

#[derive(Default)]
struct State {
    link: Option<Arc<Link>>,
    next: u32,
}

/// One connection.
struct Link {
    requests: mpsc::UnboundedSender<Request>,
    waiting: Mutex<FxHashMap<u32, mpsc::UnboundedSender<Reply>>>,
}

/// Why a question has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unanswered {
    /// Too many are open.
    Busy,
    /// The reader has ended, or none is there.
    Lost,
    /// None is there, and none is started: those that were do not end.
    GivenUp,
}

/// An answer whose body is still to be fetched.
pub(super) struct Answer {
    /// What comes before the body.
    pub(super) head: Head,
    open: Open,
    _place: OwnedPlace,
}

/// A question that the reader has heard, and not the end of.
struct Open {
    id: u32,
    link: Arc<Link>,
    replies: mpsc::UnboundedReceiver<Reply>,
    is_done: bool,
}

/// A place that is given back.
struct OwnedPlace {
    reader: Arc<Reader>,
    lane: Lane,
}

impl Drop for OwnedPlace {
    fn drop(&mut self) {
        self.reader.places(self.lane).add_permits(1);
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            state: Mutex::default(),
            joined: tokio::sync::Notify::new(),
            lost: tokio::sync::Notify::new(),
            is_given_up: AtomicBool::new(false),
            left: AtomicUsize::new(0),
            starts: Default::default(),
            places: [MOST_OPEN / 2, MOST_FOLLOWERS, MOST_WATCHING, MOST_WATCHING].map(Semaphore::new),
        }
    }
}

impl Reader {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn places(&self, lane: Lane) -> &Semaphore {
        &self.places[lane as usize]
    }

    /// Takes this connection in place of any other.
    ///
    /// # Errors
    ///
    /// The kernel's.
    pub(super) fn join(self: &Arc<Self>, socket: OwnedFd) -> anyhow::Result<()> {
        let socket = StdStream::from(socket);
        socket.set_nonblocking(true).context("make a socket non-blocking")?;
        let (reading, writing) = UnixStream::from_std(socket).context("epoll")?.into_split();
        let (requests, written) = mpsc::unbounded_channel();
        let link = Arc::new(Link { requests, waiting: Mutex::default() });
        tokio::spawn(write(writing, written));
        let (reads, reader) = (Arc::clone(&link), Arc::clone(self));
        tokio::spawn(async move {
            if let Err(error) = reads.read(reading).await
                && error.kind() != io::ErrorKind::UnexpectedEof
            {
                warn!(process = "front", %error, "connection to the reader ended");
            }
            // Whoever waits for a reply gets none.
            reads.waiting().clear();
            reader.leave(&reads);
        });
        self.state().link = Some(link);
        self.joined.notify_waiters();
        Ok(())
    }

    /// Says what is no frame.
    #[cfg(feature = "_intruder")]
    pub(super) fn say_garbage(&self) {
        if let Some(link) = &self.state().link {
            let question =
                Question { parameters: vec![(String::new(), String::new()); 100], ..Question::plain(Kind::Why) };
            let _ = link.requests.send(Request::Ask { id: u32::MAX, question, max_age_ms: None });
        }
    }

    /// Says that there is no connection, though there is.
    #[cfg(feature = "_intruder")]
    pub(super) fn say_lost(&self) {
        self.lost.notify_one();
    }

    /// Has no connection any more, if it was this one.
    fn leave(&self, link: &Arc<Link>) {
        let mut state = self.state();
        if state.link.as_ref().is_some_and(|current| Arc::ptr_eq(current, link)) {
            state.link = None;
            self.lost.notify_one();
        }
    }

    /// Hears how many readers were left behind, whether from now on no reader is waited for, and how often a reader and a
    /// front were started.
    pub(super) fn take_left(&self, left: usize, is_given_up: bool, starts: [u64; 2]) {
        self.starts.iter().zip(starts).for_each(|(known, starts)| known.store(starts, Ordering::Relaxed));
        self.left.store(left, Ordering::Relaxed);
        self.is_given_up.store(is_given_up, Ordering::Relaxed);
        // Who waits for one looks again.
        self.joined.notify_waiters();
    }

    /// How many readers were killed and have not ended, and how often each process was started, as metrics.
    pub(super) fn metrics(&self) -> [Family; 2] {
        let help = "Processes of the service that read the host, were killed, and have not ended";
        let left = self.left.load(Ordering::Relaxed);
        let left = Family::new(exposition::Kind::Gauge, "lxkns_readers_left_behind", help).with(&[], left as f64);
        let help = "How often the service has started each of its processes";
        let mut started = Family::new(exposition::Kind::Counter, "lxkns_process_starts", help);
        for (role, starts) in [role::READER, role::FRONT].into_iter().zip(&self.starts) {
            started.push("", &[("process", role)], starts.load(Ordering::Relaxed) as f64);
        }
        [left, started]
    }

    /// Waits until the connection has ended.
    pub(super) async fn lost(&self) {
        self.lost.notified().await;
    }

    /// Asks, and returns the head of the answer.
    ///
    /// # Errors
    ///
    /// The reader has ended, or too many questions are open.
    pub(super) async fn ask(
        self: &Arc<Self>,
        question: Question,
        max_age_ms: Option<u32>,
    ) -> Result<Answer, Unanswered> {
        let lane = Lane::of(question.kind);
        // Who follows does not leave soon.
        let patience = if lane == Lane::Follows { Duration::ZERO } else { PATIENCE };
        let place = tokio::time::timeout(patience, self.places(lane).acquire()).await;
        let place = place.ok().and_then(Result::ok).ok_or(Unanswered::Busy)?;
        SemaphorePermit::forget(place);
        let place = OwnedPlace { reader: Arc::clone(self), lane };
        let (link, id) = self.link().await?;
        let (sender, replies) = mpsc::unbounded_channel();
        link.waiting().insert(id, sender);
        let mut open = Open { id, link, replies, is_done: false };
        open.say(Request::Ask { id, question, max_age_ms })?;
        match open.replies.recv().await {
            Some(Reply::Head { head, .. }) => Ok(Answer { head, open, _place: place }),
            _ => Err(Unanswered::Lost),
        }
    }

    /// The connection, and a number for a question on it. A reader that is being started is waited for.
    async fn link(&self) -> Result<(Arc<Link>, u32), Unanswered> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let joined = self.joined.notified();
            {
                let mut state = self.state();
                if let Some(link) = state.link.clone().filter(|link| !link.requests.is_closed()) {
                    // After four billion questions a number is used again, long after the first has ended.
                    state.next = state.next.wrapping_add(1);
                    return Ok((link, state.next));
                }
            }
            if self.is_given_up.load(Ordering::Relaxed) {
                return Err(Unanswered::GivenUp);
            }
            tokio::time::timeout_at(end, joined).await.map_err(|_| Unanswered::Lost)?;
        }
    }
}

impl Link {
    fn waiting(&self) -> MutexGuard<'_, FxHashMap<u32, mpsc::UnboundedSender<Reply>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, reading: OwnedReadHalf) -> io::Result<()> {
        let mut reading = tokio::io::BufReader::new(reading);
        let mut bytes = Vec::new();
        loop {
            let mut header = [0; HEADER];
            reading.read_exact(&mut header).await?;
            bytes.resize(length(header, LONGEST_REPLY).map_err(io::Error::other)?, 0);
            reading.read_exact(&mut bytes).await?;
            let reply: Reply = message(&bytes).map_err(io::Error::other)?;
            let (Reply::Head { id, .. } | Reply::Chunk { id, .. } | Reply::GivenUp { id }) = reply;
            // There are at most a head and a piece on the way to each; of one that is gone, nobody waits for them.
            if let Some(waiting) = self.waiting().get(&id) {
                let _ = waiting.send(reply);
            }
        }
    }
}

async fn write(mut writing: OwnedWriteHalf, mut requests: mpsc::UnboundedReceiver<Request>) {
    while let Some(request) = requests.recv().await {
        let Ok(frame) = frame(&request, LONGEST_REQUEST) else { continue };
        if writing.write_all(&frame).await.is_err() {
            return;
        }
    }
}

impl Open {
    fn say(&self, request: Request) -> Result<(), Unanswered> {
        self.link.requests.send(request).map_err(|_| Unanswered::Lost)
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.link.waiting().remove(&self.id);
        if !self.is_done {
            // A reader that has ended needs not know.
            let _ = self.say(Request::Done { id: self.id });
        }
    }
}

impl Answer {
    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    ///
    /// The reader has ended.
    pub(super) async fn next(&mut self) -> Result<Option<Vec<u8>>, Unanswered> {
        if self.open.is_done {
            return Ok(None);
        }
        if !self.head.has_one_piece() {
            self.want()?;
        }
        self.piece().await
    }

    /// Asks for the next piece.
    ///
    /// # Errors
    ///
    /// The reader has ended, or there is no more: the number can be another question's.
    pub(super) fn want(&self) -> Result<(), Unanswered> {
        if self.open.is_done {
            return Err(Unanswered::Lost);
        }
        self.open.say(Request::More { id: self.open.id })
    }

    /// The piece that was asked for, whenever it is there; `None` at the end. Nothing is lost when this is given up.
    ///
    /// # Errors
    ///
    /// The reader has ended.
    pub(super) async fn piece(&mut self) -> Result<Option<Vec<u8>>, Unanswered> {
        match self.open.replies.recv().await {
            Some(Reply::Chunk { bytes, is_last, .. }) => {
                self.open.is_done = is_last;
                Ok((!bytes.is_empty()).then_some(bytes))
            }
            _ => Err(Unanswered::Lost),
        }
    }

    /// All of the body.
    ///
    /// # Errors
    ///
    /// The reader has ended, or it is longer than that.
    pub(super) async fn whole(mut self, most: usize) -> Result<Vec<u8>, Unanswered> {
        let mut whole = Vec::new();
        while let Some(bytes) = self.next().await? {
            whole.extend_from_slice(&bytes);
            if whole.len() > most {
                return Err(Unanswered::Lost);
            }
        }
        Ok(whole)
    }
}
