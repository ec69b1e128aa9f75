//! From a question to its answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use lxkns_core::wire::{self, WriteOptions};
use tracing::warn;

use super::body::Writer;
use super::cache::{Answer, Cache};
use super::feed::Feed;
use super::follow::Following;
use super::host::Host;
use super::pages::Page;
use super::problem::Problem;
use super::questions::{Asking, json};
use super::readiness::Standing;
use super::scans::{Scan, Scans};
use super::states::States;
use super::wake::Wake;
use super::workers::Workers;
use super::{metrics, own, readiness, traffic};
use crate::protocol::{Content, Kind, Question};
use crate::settings::ReaderSettings;

/// What finds answers.
pub(crate) struct Answers {
    pub(super) host: Arc<Host>,
    pub(super) scans: Arc<Scans>,
    cache: Cache,
    pub(super) feed: Arc<Feed>,
    pub(super) states: Arc<States>,
    standing: Standing,
    pub(super) workers: Workers,
    /// How many readers before this one were killed and have not ended.
    pub(super) left: AtomicUsize,
    /// Whether answers were made since that was last asked.
    has_made: AtomicBool,
}

/// An answer, and what it is from.
pub(crate) struct Answered {
    pub(crate) answer: Arc<Answer>,
    pub(crate) scan: Option<Arc<Scan>>,
    /// The state: the number of this start, and that of the scan.
    pub(crate) state: Option<(u32, u64)>,
    /// How much of a list comes before its next page.
    pub(crate) next: Option<u32>,
}

impl From<Answer> for Answered {
    fn from(answer: Answer) -> Self {
        Self { answer: Arc::new(answer), scan: None, state: None, next: None }
    }
}

impl From<Problem> for Answered {
    fn from(problem: Problem) -> Self {
        problem.answer().into()
    }
}

impl Answers {
    /// With the thread that scans, and the one that follows what happens.
    ///
    /// # Errors
    ///
    /// This host cannot be read at all.
    pub(crate) fn new(settings: ReaderSettings, standing: Standing) -> anyhow::Result<Self> {
        static CANCEL: AtomicBool = AtomicBool::new(false);
        let wake = Arc::new(Wake::new().context("eventfd")?);
        let scans = Arc::new(Scans::new(settings.scan_timeout, settings.min_age, &CANCEL, Arc::clone(&wake)));
        let cache = Cache::new(settings.cache_bytes);
        let feed = Arc::new(Feed::new(epoch(), settings.history_bytes / 4, Arc::clone(&wake)));
        let states = States::new(settings.history_bytes / 4 * 3, settings.command_lines);
        // A question can wait for one scan after another, and for as long again for what is read beside it.
        let workers = Workers::new(settings.scan_timeout * 3);
        let host = Arc::new(Host::new(settings.clone(), &CANCEL)?);
        let scanning = Host::new(settings, &CANCEL)?;
        let shared = Arc::clone(&scans);
        std::thread::spawn(move || shared.run(|| scanning.scan()));
        let (states, has_made, left) = (Arc::new(states), AtomicBool::new(false), AtomicUsize::new(0));
        let answers = Self { host, scans, cache, feed, states, standing, workers, left, has_made };
        let following = Following::new(&answers, wake);
        std::thread::spawn(move || following.run());
        Ok(answers)
    }

    /// What is told as it happens.
    pub(crate) fn feed(&self) -> &Arc<Feed> {
        &self.feed
    }

    /// Whether answers were made since this was last asked, which takes memory that is free now.
    pub(crate) fn has_made_some(&self) -> bool {
        self.has_made.swap(false, Ordering::Relaxed)
    }

    /// The scans.
    pub(crate) fn scans(&self) -> &Scans {
        &self.scans
    }

    /// The answer to a question that was asked then.
    pub(crate) fn answer(&self, question: &Question, max_age: Option<Duration>, since: Instant) -> Answered {
        // Who asked has given up.
        if since.elapsed() > self.host.settings.scan_timeout * 2 {
            return Problem::busy().into();
        }
        let epoch = self.feed.epoch();
        match Page::of(question, epoch) {
            Err(problem) => problem.into(),
            Ok(None) => self.whole(question, max_age),
            Ok(Some((page, whole))) => self.page(&page, &whole, max_age).unwrap_or_else(Into::into),
        }
    }

    /// A part of the answer to a question that has a list.
    fn page(&self, page: &Page, question: &Question, max_age: Option<Duration>) -> Result<Answered, Problem> {
        let mut whole = match page.cursor {
            None => self.whole(question, max_age),
            Some((number, _)) => {
                let answer = self.cache.find(number, question).ok_or_else(Problem::gone)?;
                Answered { answer, scan: None, state: Some((self.feed.epoch(), number)), next: None }
            }
        };
        if whole.answer.status != 200 {
            return Ok(whole);
        }
        let (part, next) = page.cut(question.kind, &whole.answer).map_err(|_| Problem::failed())?;
        (whole.answer, whole.next) = (Arc::new(part), next);
        if let (Some(_), Some((_, number))) = (next, whole.state) {
            self.cache.keep_for_pages(number, question);
        }
        Ok(whole)
    }

    fn of_scan(&self, answer: Arc<Answer>, scan: Arc<Scan>) -> Answered {
        let state = Some((self.feed.epoch(), scan.number));
        Answered { answer, scan: Some(scan), state, next: None }
    }

    /// The answer to a question that needs neither a scan nor anything to be found.
    pub(crate) fn at_hand(&self, question: &Question, max_age: Option<Duration>) -> Option<Answered> {
        let max_age = max_age.unwrap_or(self.host.settings.max_age);
        let scan = self.scans.last().filter(|scan| scan.began.elapsed() <= max_age)?;
        Some(self.of_scan(self.cache.find(scan.number, question)?, scan))
    }

    fn whole(&self, question: &Question, max_age: Option<Duration>) -> Answered {
        let max_age = max_age.unwrap_or(self.host.settings.max_age);
        let got = if question.kind.watches() { self.scans.get_soon(max_age) } else { self.scans.get(max_age) };
        if question.kind == Kind::Metrics {
            let mut families = metrics::of(got.as_deref().ok(), self.scans.figures());
            families.push(self.standing.metric());
            families.push(self.workers.metric());
            families.extend(metrics::of_events(&self.feed.figures()));
            families.extend(own::processes(self.host.session.proc()));
            families.push(own::limits(self.host.session.proc()));
            if let Ok(scan) = &got {
                let (host, settings) = (&*self.host, &self.host.settings);
                families.extend(
                    settings.metrics_of_ports.then(|| traffic::ports(host, &scan.snapshot)).into_iter().flatten(),
                );
                families.extend(
                    settings.metrics_of_links.then(|| traffic::links(host, &scan.snapshot)).into_iter().flatten(),
                );
            }
            let body = postcard::to_extend(&families, Vec::new()).unwrap_or_default();
            let answer = Arc::new(Answer::new(200, Content::Metrics, body));
            // Which start of the reader counts.
            return Answered { answer, scan: None, state: Some((self.feed.epoch(), 0)), next: None };
        }
        let scan = match got {
            Ok(scan) => scan,
            Err(no_scan) => return Problem::from(no_scan).into(),
        };
        let made = match question.kind {
            Kind::Ready => question.takes(&[]).and_then(|()| {
                let left = readiness::left_words(self.left.load(Ordering::Relaxed));
                let stuck = self.workers.words().into_iter().chain(left);
                json(&self.standing.readiness(&scan.snapshot, stuck))
            }),
            Kind::History => self.history(question, &scan),
            _ => {
                let newest = self.scans.last().map_or(scan.number, |last| last.number);
                self.cache.keep_only(newest);
                let answer = self.cache.get(scan.number, question, || self.find(question, &scan));
                return self.of_scan(answer, scan);
            }
        };
        self.of_scan(Arc::new(made.unwrap_or_else(|problem| problem.answer())), scan)
    }

    fn find(&self, question: &Question, scan: &Scan) -> Answer {
        self.has_made.store(true, Ordering::Relaxed);
        self.found(question, scan).unwrap_or_else(|problem| problem.answer())
    }

    fn found(&self, question: &Question, scan: &Scan) -> Result<Answer, Problem> {
        let snapshot = &scan.snapshot;
        let mut options = WriteOptions::default();
        options.command_lines = self.host.settings.command_lines;
        let mut body = Writer::default();
        match question.kind {
            Kind::Diff => return self.diff(question, scan),
            Kind::Processes | Kind::PidMap => question.takes(&[])?,
            Kind::Snapshot => {
                question.takes(&["since"])?;
                if let Some(patch) = self.patch(question, scan)? {
                    return Ok(patch);
                }
            }
            _ => {}
        }
        let written = match question.kind {
            Kind::Snapshot => wire::write(snapshot, &options, &mut body),
            Kind::Processes => wire::write_processes(snapshot, &options, &mut body),
            Kind::PidMap => wire::write_pid_map(snapshot, &mut body),
            _ => return Asking { host: &self.host, snapshot, question }.answer(),
        };
        match written {
            Ok(()) => Ok(body.answer(200, Content::Json)),
            Err(error) => {
                warn!(process = "reader", question = question.kind.name(), %error, "not answered");
                Err(Problem::failed())
            }
        }
    }
}

/// A number that another start of the reader does not have.
fn epoch() -> u32 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    // Its keys are random.
    RandomState::new().build_hasher().finish() as u32
}
