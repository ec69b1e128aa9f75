//! From a question to its answer.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use lxkns_core::wire::{self, WriteOptions};
use tracing::warn;

use super::cache::{Answer, Cache};
use super::host::Host;
use super::problem::Problem;
use super::questions::{Asking, json};
use super::readiness::Standing;
use super::scans::{Scan, Scans};
use super::{metrics, own};
use crate::protocol::{Content, Kind, Question};
use crate::settings::ReaderSettings;

/// What finds answers.
pub(crate) struct Answers {
    host: Host,
    scans: Arc<Scans>,
    cache: Cache,
    standing: Standing,
}

/// An answer, and the scan that it is from.
pub(crate) struct Answered {
    pub(crate) answer: Arc<Answer>,
    pub(crate) scan: Option<Arc<Scan>>,
}

impl Answers {
    /// With the thread that scans.
    ///
    /// # Errors
    ///
    /// This host cannot be read at all.
    pub(crate) fn new(settings: ReaderSettings, standing: Standing) -> anyhow::Result<Self> {
        static CANCEL: AtomicBool = AtomicBool::new(false);
        let scans = Arc::new(Scans::new(settings.scan_timeout, &CANCEL));
        let cache = Cache::new(settings.cache_bytes);
        let host = Host::new(settings.clone(), &CANCEL)?;
        let scanning = Host::new(settings, &CANCEL)?;
        let shared = Arc::clone(&scans);
        std::thread::spawn(move || shared.run(|| scanning.scan()));
        Ok(Self { host, scans, cache, standing })
    }

    /// The scans.
    pub(crate) fn scans(&self) -> &Scans {
        &self.scans
    }

    /// The answer to a question that was asked then.
    pub(crate) fn answer(&self, question: &Question, max_age: Option<Duration>, since: Instant) -> Answered {
        // Who asked has given up.
        if since.elapsed() > self.host.settings.scan_timeout * 2 {
            return Answered { answer: Arc::new(Problem::busy().answer()), scan: None };
        }
        let max_age = max_age.unwrap_or(self.host.settings.max_age);
        let got = self.scans.get(max_age);
        match question.kind {
            Kind::Metrics => {
                let mut families = metrics::of(got.as_deref().ok(), self.scans.figures());
                families.push(self.standing.metric());
                families.extend(own::processes(self.host.session.proc()));
                families.push(own::limits(self.host.session.proc()));
                let body = serde_json::to_vec(&families).unwrap_or_default();
                let answer = Arc::new(Answer::new(200, Content::Metrics, body));
                return Answered { answer, scan: got.ok() };
            }
            Kind::Ready => {
                let answer = match &got {
                    Ok(scan) => json(&self.standing.readiness(&scan.snapshot)),
                    Err(no_scan) => Err(no_scan.clone().into()),
                };
                let answer = Arc::new(answer.unwrap_or_else(|problem: Problem| problem.answer()));
                return Answered { answer, scan: got.ok() };
            }
            _ => {}
        }
        match got {
            Err(no_scan) => Answered { answer: Arc::new(Problem::from(no_scan).answer()), scan: None },
            Ok(scan) => {
                let newest = self.scans.last().map_or(scan.number, |last| last.number);
                self.cache.keep_only(newest);
                let answer = self.cache.get(scan.number, question, || self.find(question, &scan));
                Answered { answer, scan: Some(scan) }
            }
        }
    }

    fn find(&self, question: &Question, scan: &Scan) -> Answer {
        self.found(question, scan).unwrap_or_else(|problem| problem.answer())
    }

    fn found(&self, question: &Question, scan: &Scan) -> Result<Answer, Problem> {
        let snapshot = &scan.snapshot;
        let mut options = WriteOptions::default();
        options.command_lines = self.host.settings.command_lines;
        let mut body = Vec::new();
        let written = match question.kind {
            Kind::Snapshot => wire::write(snapshot, &options, &mut body),
            Kind::Processes => wire::write_processes(snapshot, &options, &mut body),
            Kind::PidMap => wire::write_pid_map(snapshot, &mut body),
            _ => return Asking { host: &self.host, snapshot, question }.answer(),
        };
        match written {
            Ok(()) => Ok(Answer::new(200, Content::Json, body)),
            Err(error) => {
                warn!(process = "reader", question = question.kind.name(), %error, "not answered");
                Err(Problem::failed())
            }
        }
    }
}
