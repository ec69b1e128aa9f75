//! A connection to the front: reads its frames, and hands out bodies piece by piece.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::{FxHashMap, FxHashSet};
use tracing::warn;

use super::answers::{Answered, Answers};
use super::cache::Answer;
use super::feed::{Feed, Follower, Piece};
use super::problem::Problem;
use super::workers::WORKERS;
use crate::protocol::{
    CHUNK, Content, HEADER, Head, Kind, LONGEST_REPLY, LONGEST_REQUEST, MOST_OPEN, Question, Reply, Request, frame,
    length, message,
};

/// How many questions can wait for one.
const WAITING: usize = 256;
/// Bodies that are being read may have as many bytes together as finished answers that are kept, and no fewer than this.
const LEAST_BYTES: usize = 32 << 20;
/// As many of them are read to their end however long they are.
const LEAST_BODIES: usize = 4;
/// How long the front may not read what it is told.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where questions wait. Those for metrics have a thread of their own, and so has whether the service is ready.
#[derive(Clone)]
pub(crate) struct Questions {
    asked: SyncSender<Job>,
    measured: SyncSender<Job>,
    probed: SyncSender<Job>,
}

impl Questions {
    /// Whether there was room for it.
    fn put(&self, job: Job) -> bool {
        let questions = match job.question.kind {
            Kind::Metrics => &self.measured,
            Kind::Ready => &self.probed,
            _ => &self.asked,
        };
        questions.try_send(job).is_ok()
    }
}

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
    /// The most bytes of bodies that are being read.
    most_bytes: usize,
    writing: Mutex<()>,
    is_closed: AtomicBool,
}

/// An answer of which not all has been read.
enum Open {
    /// It is being found.
    Asked,
    /// How much of it has been read, and when.
    Answered(Arc<Answer>, usize, Instant),
    /// Its body was too much to keep for so slow a client.
    GivenUp,
    /// It has no end.
    Follows(Follower),
}

/// Starts the threads that find answers.
pub(crate) fn start_workers(answers: &Arc<Answers>) -> Questions {
    let queue = || {
        let (sender, receiver) = sync_channel(WAITING);
        (sender, Arc::new(Mutex::new(receiver)))
    };
    let ((asked, asks), (measured, measures), (probed, probes)) = (queue(), queue(), queue());
    let receivers = std::iter::repeat_n(asks, WORKERS).chain([measures, probes]);
    for (number, receiver) in receivers.enumerate() {
        let answers = Arc::clone(answers);
        std::thread::spawn(move || work(number, &answers, &receiver));
    }
    Questions { asked, measured, probed }
}

fn work(number: usize, answers: &Answers, jobs: &Mutex<Receiver<Job>>) {
    loop {
        let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        // Nobody waits for it any more.
        if !job.link.is_open(job.id) {
            continue;
        }
        answers.workers.at(number, || {
            let answered = answers.answer(&job.question, job.max_age, job.since);
            job.link.answer(job.id, answered);
        });
    }
}

/// Serves a connection until it ends, on threads of its own.
pub(crate) fn start(socket: OwnedFd, questions: Questions, answers: Arc<Answers>) {
    let socket = UnixStream::from(socket);
    // A front that does not read has only itself to blame; it is not waited for.
    if socket.set_write_timeout(Some(PATIENCE)).is_err() {
        return;
    }
    let link = Arc::new(Link::new(socket, answers.host.settings.cache_bytes));
    let (tells, told) = (Arc::clone(&link), Arc::clone(answers.feed()));
    std::thread::spawn(move || tells.tell_events(&told));
    std::thread::spawn(move || {
        if let Err(error) = link.serve(&questions, &answers)
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            warn!(process = "reader", %error, "connection to the front ended");
        }
        link.close();
        answers.feed().touch_all();
    });
}

impl Link {
    fn new(socket: UnixStream, most_bytes: usize) -> Self {
        let (state, writing, is_closed) = (Mutex::default(), Mutex::default(), AtomicBool::new(false));
        Self { socket, state, most_bytes: most_bytes.max(LEAST_BYTES), writing, is_closed }
    }

    fn serve(self: &Arc<Self>, questions: &Questions, answers: &Answers) -> io::Result<()> {
        let mut socket = io::BufReader::new(&self.socket);
        let mut bytes = Vec::new();
        loop {
            let mut header = [0; HEADER];
            socket.read_exact(&mut header)?;
            bytes.resize(length(header, LONGEST_REQUEST).map_err(io::Error::other)?, 0);
            socket.read_exact(&mut bytes)?;
            match message::<Request>(&bytes).map_err(io::Error::other)? {
                Request::Ask { id, question, .. } if question.kind == Kind::Events => {
                    self.begin(id)?;
                    self.follow(id, &question, answers.feed());
                }
                Request::Ask { id, question, max_age_ms } => {
                    self.begin(id)?;
                    // What is finished needs no other thread.
                    match answers.at_hand(&question, max_age_ms.map(milliseconds)) {
                        Some(answered) => self.answer(id, answered),
                        None => self.ask(id, question, max_age_ms, questions),
                    }
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

    fn ask(self: &Arc<Self>, id: u32, question: Question, max_age_ms: Option<u32>, questions: &Questions) {
        let max_age = max_age_ms.map(milliseconds);
        let job = Job { link: Arc::clone(self), id, question, max_age, since: Instant::now() };
        if !questions.put(job) {
            self.answer(id, Problem::busy().answer().into());
        }
    }

    /// Has a client follow events.
    fn follow(&self, id: u32, question: &Question, feed: &Arc<Feed>) {
        match feed.follow(question) {
            Ok(follower) => {
                self.open().insert(id, Open::Follows(follower));
                self.tell(&[Reply::Head { id, head: Head::of(200, Content::Events, 0, 0) }]);
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
        self.tell(&[Reply::Chunk { id, bytes, is_last }]);
    }

    /// Tells what comes before a body, and the body if it is one piece; a longer one is kept to be fetched.
    fn answer(&self, id: u32, answered: Answered) {
        let head = answered.head();
        if head.has_one_piece() {
            if self.open().remove(&id).is_some() {
                // One piece is as it was written.
                let bytes = answered.answer.body.piece(0).map(Cow::into_owned).unwrap_or_default();
                self.tell(&[Reply::Head { id, head }, Reply::Chunk { id, bytes, is_last: true }]);
            }
            return;
        }
        let given_up = {
            let mut open = self.open();
            let Some(state) = open.get_mut(&id) else { return };
            *state = Open::Answered(answered.answer, 0, Instant::now());
            make_room(&mut open, self.most_bytes)
        };
        let given_up = given_up.into_iter().map(|id| Reply::GivenUp { id });
        self.tell(&given_up.chain([Reply::Head { id, head }]).collect::<Vec<_>>());
    }

    fn more(&self, id: u32) -> io::Result<()> {
        let (answer, from, is_last) = {
            let mut open = self.open();
            let (answer, at) = match open.get_mut(&id) {
                Some(Open::Answered(answer, at, when)) => {
                    *when = Instant::now();
                    (answer, at)
                }
                // That was told, and the front may have asked before it heard.
                Some(Open::GivenUp) => return Ok(()),
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
        self.tell(&[Reply::Chunk { id, bytes: answer.body.piece(from)?.into_owned(), is_last }]);
        Ok(())
    }

    /// Says these, one after the other. Where that fails, the connection ends.
    fn tell(&self, replies: &[Reply]) {
        let frames = replies.iter().map(|reply| frame(reply, LONGEST_REPLY)).collect::<Result<Vec<_>, _>>();
        let told = frames.map_err(io::Error::other).and_then(|frames| {
            let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
            (&self.socket).write_all(&frames.concat())
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

fn milliseconds(ms: u32) -> Duration {
    Duration::from_millis(ms.into())
}

/// Gives up bodies that together are too long, those first of which nothing was read for the longest time: each can be of
/// another scan, which nobody else asks about, so a client that asks often and reads nothing would fill the memory. Returns
/// the numbers of those who were reading them.
fn make_room(open: &mut FxHashMap<u32, Open>, most_bytes: usize) -> Vec<u32> {
    let mut bodies: FxHashMap<*const Answer, (Instant, usize)> = FxHashMap::default();
    for state in open.values() {
        if let Open::Answered(answer, _, when) = state {
            let body = bodies.entry(Arc::as_ptr(answer)).or_insert((*when, answer.body.kept()));
            body.0 = body.0.max(*when);
        }
    }
    let mut bytes: usize = bodies.values().map(|(_, length)| length).sum();
    if bytes <= most_bytes || bodies.len() <= LEAST_BODIES {
        return Vec::new();
    }
    let mut oldest: Vec<_> = bodies.into_iter().map(|(body, (when, length))| (when, length, body)).collect();
    oldest.sort_unstable();
    oldest.truncate(oldest.len() - LEAST_BODIES);
    let too_many = oldest.into_iter().take_while(|(_, length, _)| {
        let is_too_much = bytes > most_bytes;
        bytes -= length;
        is_too_much
    });
    let too_many: FxHashSet<_> = too_many.map(|(.., body)| body).collect();
    let mut given_up = Vec::new();
    for (id, state) in open {
        if matches!(state, Open::Answered(answer, ..) if too_many.contains(&Arc::as_ptr(answer))) {
            *state = Open::GivenUp;
            given_up.push(*id);
        }
    }
    given_up
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reader::body::noise;

    #[test]
    fn who_reads_nothing_does_not_fill_the_memory() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let link = Link::new(ours, 0);
        let told = std::thread::spawn(move || {
            let (mut given_up, mut bytes, mut header) = (0, Vec::new(), [0; HEADER]);
            while (&theirs).read_exact(&mut header).is_ok() {
                bytes.resize(length(header, LONGEST_REPLY).unwrap(), 0);
                (&theirs).read_exact(&mut bytes).unwrap();
                given_up += u32::from(matches!(message::<Reply>(&bytes).unwrap(), Reply::GivenUp { .. }));
            }
            given_up
        });
        let answer = || Arc::new(Answer::new(200, Content::Json, noise(LEAST_BYTES / 8)));
        let bytes = || {
            let open = link.open();
            let bodies = open.values().filter_map(|open| match open {
                Open::Answered(answer, ..) => Some((Arc::as_ptr(answer), answer.body.kept())),
                _ => None,
            });
            bodies.collect::<FxHashMap<_, _>>().values().sum::<usize>()
        };
        let ask = |id, answer: Arc<Answer>| {
            link.begin(id).unwrap();
            link.answer(id, Answered { answer, scan: None, state: None, next: None });
        };
        for id in 0..100 {
            ask(id, answer());
            assert!(bytes() <= LEAST_BYTES, "{id}");
            // This one is read all the time.
            if let Some(Open::Answered(_, _, when)) = link.open().get_mut(&0) {
                *when = Instant::now();
            }
        }
        // Those who read the same body are as good as one.
        let same = answer();
        (100..110).for_each(|id| ask(id, Arc::clone(&same)));
        let is_read = |id: u32| matches!(link.open()[&id], Open::Answered(..));
        assert!([0, 95, 99, 100, 109].into_iter().all(is_read) && !(1..90).any(is_read));
        // Who has not heard yet that nothing more comes may still ask for it.
        link.more(1).unwrap();
        assert!(link.more(1000).is_err());
        link.close();
        let given_up = told.join().unwrap();
        assert!(given_up > 80, "{given_up}");
    }

    #[test]
    fn who_watches_waits_for_no_other_question() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let link = Arc::new(Link::new(ours, 0));
        let ((asked, _asks), (measured, measures), (probed, probes)) =
            (sync_channel(2), sync_channel(2), sync_channel(2));
        let questions = Questions { asked, measured, probed };
        for id in 0..10 {
            link.begin(id).unwrap();
            link.ask(id, Question::plain(Kind::Why), None, &questions);
        }
        let is_refused = |id: u32| !link.is_open(id);
        assert!(!is_refused(1) && is_refused(2));
        // Nor does one of them wait for the other.
        for (kind, first, taken) in [(Kind::Metrics, 10, measures), (Kind::Ready, 20, probes)] {
            for id in first..first + 3 {
                link.begin(id).unwrap();
                link.ask(id, Question::plain(kind), None, &questions);
            }
            assert!(!is_refused(first + 1) && is_refused(first + 2));
            assert_eq!(taken.try_iter().map(|job| job.id).collect::<Vec<_>>(), [first, first + 1]);
        }
    }

    #[test]
    fn a_few_long_bodies_are_read_to_their_end() {
        let mut open = FxHashMap::default();
        for id in 0..10 {
            let answer = Answer::new(200, Content::Json, vec![b' '; 1000]);
            open.insert(id, Open::Answered(Arc::new(answer), 0, Instant::now()));
        }
        assert_eq!(make_room(&mut open, 10_000), [0; 0]);
        assert_eq!(make_room(&mut open, 9_999).len(), 1);
        assert_eq!(make_room(&mut open, 1).len(), 5);
        assert_eq!(make_room(&mut open, 1), [0; 0]);
    }
}
