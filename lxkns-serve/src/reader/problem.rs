//! Why there is no answer, as problem details (RFC 9457).

use lxkns_answers::resolve::Unresolved;
use serde::Serialize;

use super::cache::Answer;
use super::scans::NoScan;
use crate::protocol::Content;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Problem {
    /// What kind of problem it is: a fragment of docs/service.md.
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

impl Problem {
    fn new(status: u16, kind: &'static str, title: &'static str, detail: Option<String>) -> Self {
        Self { kind, title, status, detail }
    }

    /// A parameter makes no sense.
    pub(crate) fn parameter(detail: impl Into<String>) -> Self {
        Self::new(400, "urn:lxkns:problem:parameter", "The question is not valid", Some(detail.into()))
    }

    /// What is asked about does not exist, which is proven.
    pub(crate) fn missing(detail: impl Into<String>) -> Self {
        Self::new(404, "urn:lxkns:problem:missing", "It does not exist", Some(detail.into()))
    }

    /// What is asked about may exist, and is not visible to the service.
    pub(crate) fn unseen(detail: impl Into<String>) -> Self {
        Self::new(403, "urn:lxkns:problem:not-visible", "It is not visible to the service", Some(detail.into()))
    }

    /// The service was not told to answer that.
    pub(crate) fn not_allowed(detail: impl Into<String>) -> Self {
        Self::new(403, "urn:lxkns:problem:not-allowed", "The service does not answer that", Some(detail.into()))
    }

    /// The host could not be read. Why is for the log.
    pub(crate) fn failed() -> Self {
        Self::new(500, "urn:lxkns:problem:failed", "The host could not be read", None)
    }

    /// What is asked about was there, and is not kept any more.
    pub(crate) fn gone() -> Self {
        Self::new(410, "urn:lxkns:problem:gone", "That state is no longer kept", None)
    }

    /// There are too many questions.
    pub(crate) fn busy() -> Self {
        Self::new(503, "urn:lxkns:problem:busy", "Too many questions wait for an answer", None)
    }

    /// Whatever a client asks, what it is told is one line that is safe to print.
    #[cfg(feature = "_fuzz")]
    pub(crate) fn check(&self) {
        let detail = self.detail.as_deref().unwrap_or_default();
        assert!(detail.chars().all(lxkns_core::wire::is_safe_to_print), "{detail:?}");
        assert!(self.answer().body.len() > detail.len());
    }

    /// As an answer.
    pub(crate) fn answer(&self) -> Answer {
        let mut body = serde_json::to_vec(self).unwrap_or_default();
        body.push(b'\n');
        Answer::new(self.status, Content::Problem, body)
    }
}

impl From<Unresolved> for Problem {
    fn from(unresolved: Unresolved) -> Self {
        match unresolved {
            Unresolved::Missing(what) => Self::missing(what),
            Unresolved::Usage(what) => Self::parameter(what),
            Unresolved::NotVisible(what) | Unresolved::Unseen(what) => Self::unseen(what),
        }
    }
}

impl From<NoScan> for Problem {
    fn from(no_scan: NoScan) -> Self {
        match no_scan {
            NoScan::Failed(_) => Self::failed(),
            NoScan::TimedOut(after) => {
                let detail = format!("the scan has not ended within {} s", after.as_secs_f64());
                Self::new(503, "urn:lxkns:problem:timeout", "The host does not answer in time", Some(detail))
            }
        }
    }
}
