//! What was, and what differs from it: `diff`, the history, patches of the snapshot.

use std::io;
use std::sync::Arc;

use lxkns_answers::Context;
use lxkns_answers::changes::Between;
use lxkns_answers::json::{self, Envelope};
use lxkns_core::{Snapshot, wire};
use lxkns_live::questions::diff as differs;
use schemars::JsonSchema;
use serde::Serialize;
use tracing::warn;

use super::answers::Answers;
use super::cache::Answer;
use super::pages::state_number;
use super::patch;
use super::problem::Problem;
use super::questions::{self, home};
use super::scans::Scan;
use super::states::Past;
use crate::protocol::{Content, Question};

/// A state that can be compared with others.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StateAnswer {
    /// Its ID.
    state: String,
    /// When its scan began: RFC 3339, UTC.
    time: Option<String>,
    /// How many processes there were.
    processes: usize,
    /// How many namespaces there were.
    namespaces: usize,
}

/// A state that is asked about.
enum State {
    /// The newest.
    Now,
    /// One of the past.
    Past(Arc<Past>),
}

impl Answers {
    /// The states that are kept. The newest is among them.
    pub(super) fn history(&self, question: &Question, scan: &Scan) -> Result<Answer, Problem> {
        question.takes(&[])?;
        self.states.keep(scan).map_err(|error| failed(&error))?;
        let form = |past: &Arc<Past>| StateAnswer {
            state: self.feed.state_id(past.number),
            time: wire::time_text(past.taken_at),
            processes: past.processes,
            namespaces: past.namespaces,
        };
        let states = self.states.list().iter().map(form).collect();
        questions::json(&Envelope::new(question.kind.name(), states, Vec::new()))
    }

    /// The state that a parameter names, if there is one.
    fn state(&self, question: &Question, name: &str, scan: &Scan) -> Result<Option<State>, Problem> {
        let Some(id) = question.value(name) else { return Ok(None) };
        let malformed = || Problem::parameter(format!("{name}: expected the ID of a state"));
        let number = state_number(id, self.feed.epoch()).map_err(|problem| problem.unwrap_or_else(malformed))?;
        if number == scan.number {
            return Ok(Some(State::Now));
        }
        self.states.find(number).map(|past| Some(State::Past(past))).ok_or_else(Problem::gone)
    }

    /// What differs between two states, or one and now.
    pub(super) fn diff(&self, question: &Question, scan: &Scan) -> Result<Answer, Problem> {
        question.takes(&["since", "until", "type"])?;
        let types = question.types()?;
        let old = self.state(question, "since", scan)?.ok_or_else(|| Problem::parameter("since: required"))?;
        let new = self.state(question, "until", scan)?.unwrap_or(State::Now);
        let read = |state: &State| match state {
            State::Now => Ok(Arc::clone(&scan.snapshot)),
            State::Past(past) => past.snapshot().map(Arc::new).map_err(|error| failed(&error)),
        };
        let (old, new_snapshot): (Arc<Snapshot>, _) = (read(&old)?, read(&new)?);
        let is_live = matches!(new, State::Now);
        let found = differs::changes(&old, &new_snapshot, &types, is_live).map_err(|error| {
            warn!(process = "reader", %error, "states not compared");
            Problem::failed()
        })?;
        let context = Context { snapshot: &new_snapshot, mount_ns: home(&new_snapshot), is_live };
        let between = Between { old: &old, new: context };
        let mut body = Vec::new();
        differs::write(&between, &found.namespaces, &mut body).map_err(|error| failed(&error))?;
        Ok(Answer::new(200, Content::Lines, body))
    }

    /// What leads from the snapshot of a state that the client has to the newest; `None` where it is to have all of it: that
    /// state is not kept, or a patch cannot say it.
    pub(super) fn patch(&self, question: &Question, scan: &Scan) -> Result<Option<Answer>, Problem> {
        if question.value("since").is_none() {
            return Ok(None);
        }
        let old = match self.state(question, "since", scan) {
            Ok(Some(old)) => old,
            Err(problem) if problem != Problem::gone() => return Err(problem),
            _ => return Ok(None),
        };
        let patch = match old {
            State::Now => Some(serde_json::json!({})),
            State::Past(past) => {
                let new = self.states.keep(scan).map_err(|error| failed(&error))?;
                let texts = past.text().and_then(|old| Ok((old, new.text()?)));
                texts.and_then(|(old, new)| patch::between(old, new)).map_err(|error| failed(&error))?
            }
        };
        let Some(patch) = patch else { return Ok(None) };
        let mut body = Vec::new();
        json::write_line(&patch, &mut body).map_err(|error| failed(&error))?;
        Ok(Some(Answer::new(200, Content::MergePatch, body)))
    }
}

fn failed(error: &io::Error) -> Problem {
    warn!(process = "reader", %error, "state not read");
    Problem::failed()
}
