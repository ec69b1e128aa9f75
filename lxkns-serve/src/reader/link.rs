//! A connection to the front: reads its frames, and hands out bodies piece by piece.

use std::collections::hash_map::Entry;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tracing::warn;

use super::answers::{Answered, Answers};
use super::cache::Answer;
use super::feed::{Feed, Follower, Piece};
use super::problem::Problem;
use crate::protocol::{
    CHUNK, Content, HEADER, Head, Kind, LONGEST_REPLY, LONGEST_REQUEST, MOST_OPEN, Question, Reply, Request, frame,
    length, message,
};

/// How many threads find answers.
const WORKERS: usize = 4;
/// How many questions can wait for one.
const WAITING: usize = 256;
/// How long the front may not read what it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// A question that waits.
pub(crate) struct Job {
    link: Arc<Link>,
    id: u32,
    question: Question,
    max_age: Option<Duration>,
    since: Instant,
}

/// One connection.
struct Link {
    socket: UnixStream,
    state: Mutex<FxHashMap<u32, Open>>,
    writing: Mutex<()>,
    is_closed: AtomicBool,
}

/// An answer of which not all has been read.
enum Open {
    /// It is being found.
    Asked,
    /// How much of it has been read.
    Answered(Arc<Answer>, usize),
    /// It has no end.
    Follows(Follower),
}

/// Starts the threads that find answers.
pub(crate) fn start_workers(answers: &Arc<Answers>) -> SyncSender<Job> {
    let (sender, receiver) = sync_channel(WAITING);
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..WORKERS {
        let (answers, receiver) = (Arc::clone(answers), Arc::clone(&receiver));
        std::thread::spawn(move || work(&answers, &receiver));
    }
    sender
}

fn work(answers: &Answers, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Nobody waits for it any more.
        if !job.link.is_open(job.id) {
            continue;
        }
        let answered = answers.answer(&job.question, job.max_age, job.since);
        job.link.answer(job.id, answered);
    }
}

/// Serves a connection until it ends, on a thread of its own.
pub(crate) fn start(socket: OwnedFd, questions: SyncSender<Job>, feed: Arc<Feed>) {
    std::thread::spawn(move || {
        let socket = UnixStream::from(socket);
        // A front that does not read has only itself to blame; it is not waited for.
        if socket.set_write_timeout(Some(PATIENCE)).is_err() {
            return;
        }
        let link =
            Link { socket, state: Mutex::default(), writing: Mutex::default(), is_closed: AtomicBool::new(false) };
        let link = Arc::new(link);
        let (tells, told) = (Arc::clone(&link), Arc::clone(&feed));
        std::thread::spawn(move || tells.tell_events(&told));
        if let Err(error) = link.serve(&questions, &feed)
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            warn!(process = "reader", %error, "connection to the front ended");
        }
        link.close();
        feed.touch_all();
    });
}

impl Link {
    fn serve(self: &Arc<Self>, questions: &SyncSender<Job>, feed: &Arc<Feed>) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            let mut header = [0; HEADER];
            (&self.socket).read_exact(&mut header)?;
            bytes.resize(length(header, LONGEST_REQUEST).map_err(io::Error::other)?, 0);
            (&self.socket).read_exact(&mut bytes)?;
            match message::<Request>(&bytes).map_err(io::Error::other)? {
                Request::Ask { id, question, .. } if question.kind == Kind::Events => {
                    self.begin(id)?;
                    self.follow(id, &question, feed);
                }
                Request::Ask { id, question, max_age_ms } => {
                    self.begin(id)?;
                    self.ask(id, question, max_age_ms, questions);
                }
                Request::More { id } => self.more(id)?,
                Request::Done { id } => {
                    self.open().remove(&id);
                }
            }
        }
    }

    fn open(&self) -> MutexGuard<'_, FxHashMap<u32, Open>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self, id: u32) -> bool {
        self.open().contains_key(&id)
    }

    /// Takes a number into use.
    fn begin(&self, id: u32) -> io::Result<()> {
        let mut open = self.open();
        if open.len() >= MOST_OPEN {
            return Err(io::Error::other("too many open questions"));
        }
        match open.entry(id) {
            Entry::Occupied(_) => return Err(io::Error::other("a number that is in use")),
            Entry::Vacant(vacant) => vacant.insert(Open::Asked),
        };
        Ok(())
    }

    fn ask(self: &Arc<Self>, id: u32, question: Question, max_age_ms: Option<u32>, questions: &SyncSender<Job>) {
        let max_age = max_age_ms.map(|ms| Duration::from_millis(ms.into()));
        let job = Job { link: Arc::clone(self), id, question, max_age, since: Instant::now() };
        match questions.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.answer(id, Problem::busy().answer().into());
            }
        }
    }

    /// Has a client follow events.
    fn follow(&self, id: u32, question: &Question, feed: &Arc<Feed>) {
        match feed.follow(question) {
            Ok(follower) => {
                self.open().insert(id, Open::Follows(follower));
                self.tell(&Reply::Head { id, head: Head::of(200, Content::Events, 0, 0) });
            }
            Err(problem) => self.answer(id, problem.answer().into()),
        }
    }

    /// Hands out events to those that wait for some, as long as the connection is there.
    fn tell_events(&self, feed: &Feed) {
        let mut seen = 0;
        while !self.is_closed.load(Ordering::Acquire) {
            seen = feed.wait(seen);
            let waiting = |(id, open): (&u32, &Open)| matches!(open, Open::Follows(it) if it.is_wanting).then_some(*id);
            let waiting: Vec<u32> = self.open().iter().filter_map(waiting).collect();
            waiting.into_iter().for_each(|id| self.more_events(id));
        }
    }

    /// Hands out the next events to a client, or remembers that it waits for some.
    fn more_events(&self, id: u32) {
        let (bytes, is_last) = {
            let mut open = self.open();
            let Some(Open::Follows(follower)) = open.get_mut(&id) else { return };
            let piece = follower.take();
            follower.is_wanting = piece == Piece::Nothing;
            match piece {
                Piece::Nothing => return,
                Piece::Some(bytes) => (bytes, false),
                Piece::Outrun => {
                    open.remove(&id);
                    (Vec::new(), true)
                }
            }
        };
        self.tell(&Reply::Chunk { id, bytes, is_last });
    }

    /// Tells what comes before a body, and keeps the body to be fetched.
    fn answer(&self, id: u32, answered: Answered) {
        let head = {
            let mut open = self.open();
            let Some(state) = open.get_mut(&id) else { return };
            let head = answered.head();
            *state = Open::Answered(answered.answer, 0);
            head
        };
        self.tell(&Reply::Head { id, head });
    }

    fn more(&self, id: u32) -> io::Result<()> {
        let (answer, from, is_last) = {
            let mut open = self.open();
            let (answer, at) = match open.get_mut(&id) {
                Some(Open::Answered(answer, at)) => (answer, at),
                Some(Open::Follows(follower)) if !follower.is_wanting => {
                    drop(open);
                    self.more_events(id);
                    return Ok(());
                }
                _ => return Err(io::Error::other("more of what is not answered")),
            };
            let (answer, from) = (Arc::clone(answer), *at);
            *at = answer.body.len().min(from + CHUNK);
            let is_last = *at == answer.body.len();
            if is_last {
                open.remove(&id);
            }
            (answer, from, is_last)
        };
        let to = answer.body.len().min(from + CHUNK);
        self.tell(&Reply::Chunk { id, bytes: answer.body[from..to].to_vec(), is_last });
        Ok(())
    }

    /// Says something. Where that fails, the connection ends.
    fn tell(&self, reply: &Reply) {
        let told = frame(reply, LONGEST_REPLY).map_err(io::Error::other).and_then(|frame| {
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            (&self.socket).write_all(&frame)
        });
        if told.is_err() {
            self.close();
        }
    }

    fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
        // It may be closed already.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        self.open().clear();
    }
}

impl Answered {
    fn head(&self) -> Head {
        let Answer { status, content, ref body, tag } = *self.answer;
        let since = |scan: &super::scans::Scan| {
            scan.began_at.duration_since(std::time::UNIX_EPOCH).ok().and_then(|since| since.as_millis().try_into().ok())
        };
        let scan = self.scan.as_deref();
        let age = scan.map_or(0, |scan| scan.began.elapsed().as_millis().try_into().unwrap_or(u64::MAX));
        let head = Head::of(status, content, tag, body.len() as u64);
        Head { taken_at_ms: scan.and_then(since), age_ms: age, state: self.state, next: self.next, ..head }
    }
}
