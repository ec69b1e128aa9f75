//! A connection to the front: reads its frames, and hands out bodies piece by piece.

use std::collections::hash_map::Entry;
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tracing::warn;

use super::answers::{Answered, Answers};
use super::cache::Answer;
use super::problem::Problem;
use crate::protocol::{
    CHUNK, HEADER, Head, LONGEST_REPLY, LONGEST_REQUEST, MOST_OPEN, Question, Reply, Request, frame, length, message,
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
}

/// An answer of which not all has been read.
enum Open {
    /// It is being found.
    Asked,
    /// How much of it has been read.
    Answered(Arc<Answer>, usize),
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
pub(crate) fn start(socket: OwnedFd, questions: SyncSender<Job>) {
    std::thread::spawn(move || {
        let socket = UnixStream::from(socket);
        // A front that does not read has only itself to blame; it is not waited for.
        if socket.set_write_timeout(Some(PATIENCE)).is_err() {
            return;
        }
        let link = Arc::new(Link { socket, state: Mutex::default(), writing: Mutex::default() });
        if let Err(error) = link.serve(&questions)
            && error.kind() != io::ErrorKind::UnexpectedEof
        {
            warn!(process = "reader", %error, "connection to the front ended");
        }
        link.close();
    });
}

impl Link {
    fn serve(self: &Arc<Self>, questions: &SyncSender<Job>) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            let mut header = [0; HEADER];
            (&self.socket).read_exact(&mut header)?;
            bytes.resize(length(header, LONGEST_REQUEST).map_err(io::Error::other)?, 0);
            (&self.socket).read_exact(&mut bytes)?;
            match message::<Request>(&bytes).map_err(io::Error::other)? {
                Request::Ask { id, question, max_age_ms } => self.ask(id, question, max_age_ms, questions)?,
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

    fn ask(
        self: &Arc<Self>,
        id: u32,
        question: Question,
        max_age_ms: Option<u32>,
        questions: &SyncSender<Job>,
    ) -> io::Result<()> {
        {
            let mut open = self.open();
            if open.len() >= MOST_OPEN {
                return Err(io::Error::other("too many open questions"));
            }
            match open.entry(id) {
                Entry::Occupied(_) => return Err(io::Error::other("a number that is in use")),
                Entry::Vacant(vacant) => vacant.insert(Open::Asked),
            };
        }
        let max_age = max_age_ms.map(|ms| Duration::from_millis(ms.into()));
        let job = Job { link: Arc::clone(self), id, question, max_age, since: Instant::now() };
        match questions.try_send(job) {
            Ok(()) => {}
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                let answer = Arc::new(Problem::busy().answer());
                self.answer(id, Answered { answer, scan: None });
            }
        }
        Ok(())
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
            let Some(Open::Answered(answer, at)) = open.get_mut(&id) else {
                return Err(io::Error::other("more of what is not answered"));
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
        Head { status, content, tag, length: body.len() as u64, taken_at_ms: scan.and_then(since), age_ms: age }
    }
}
