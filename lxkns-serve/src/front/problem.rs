//! Why a request is not answered, as problem details (RFC 9457).

use std::borrow::Cow;

use hyper::StatusCode;
use lxkns_answers::text::escape::printable;
use serde_json::json;

use super::link::Unanswered;
use super::routes::Route;

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) status: StatusCode,
    pub(super) kind: &'static str,
    title: &'static str,
    detail: Option<Cow<'static, str>>,
}

impl Problem {
    pub(super) const NO_ROUTE: Self = Self::new(StatusCode::NOT_FOUND, "no-route", "There is nothing at this path");
    pub(super) const METHOD: Self =
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "method", "The service is read-only: GET and HEAD are allowed");
    pub(super) const HOST: Self =
        Self::new(StatusCode::MISDIRECTED_REQUEST, "host", "The service does not have this name (see --host)");
    pub(super) const PEER: Self =
        Self::new(StatusCode::FORBIDDEN, "peer", "This user may not connect to the socket (see --allow-uid)");
    pub(super) const CREDENTIALS: Self =
        Self::new(StatusCode::UNAUTHORIZED, "credentials", "A known password or bearer token is needed");
    pub(super) const TOKEN: Self = Self {
        status: StatusCode::UNAUTHORIZED,
        kind: "credentials",
        title: "A known bearer token is needed",
        detail: Some(Cow::Borrowed(
            "A browser cannot send a bearer token: for the page, let the service know users with passwords or client \
             certificates in place of tokens (--web.config.file: basic_auth_users, client_ca_file)",
        )),
    };
    pub(super) const RATE: Self =
        Self::new(StatusCode::TOO_MANY_REQUESTS, "rate", "More requests than the service is configured to answer");
    pub(super) const FOLLOWERS: Self = Self::new(
        StatusCode::TOO_MANY_REQUESTS,
        "followers",
        "This client follows events as often as it may (see --followers-per-client)",
    );
    pub(super) const LOGINS: Self = Self::new(StatusCode::TOO_MANY_REQUESTS, "logins", "Too many passwords were tried");
    pub(super) const BODY: Self = Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body", "Requests must not have a body");
    pub(super) const QUERY: Self =
        Self::new(StatusCode::BAD_REQUEST, "parameter", "The parameters are too many, too long, or not UTF-8");
    pub(super) const TIMEOUT: Self =
        Self::new(StatusCode::GATEWAY_TIMEOUT, "timeout", "The host does not answer in time");
    const BUSY: Self = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many questions wait for an answer");
    const LOST: Self =
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "starting", "The process that reads the host is being started");
    const STUCK: Self = Self::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "stuck",
        "The processes that read the host were killed and wait in the kernel; no other is started until one has ended",
    );

    const fn new(status: StatusCode, kind: &'static str, title: &'static str) -> Self {
        Self { status, kind, title, detail: None }
    }

    /// A route does not take a parameter of this name.
    pub(super) fn unknown_parameter(name: &str, route: &Route) -> Self {
        let known: Vec<_> = route.parameters.iter().map(|parameter| parameter.name).collect();
        let known = if known.is_empty() { "it takes none".to_owned() } else { known.join(", ") };
        Self::parameter(format!("{}: not a parameter of {}: {known}", printable(name.as_bytes()), route.path))
    }

    /// A parameter that has one value has several.
    pub(super) fn repeated_parameter(name: &str) -> Self {
        Self::parameter(format!("{name}: only one is allowed"))
    }

    fn parameter(detail: String) -> Self {
        let problem = Self::new(StatusCode::BAD_REQUEST, "parameter", "The question is not valid");
        Self { detail: Some(detail.into()), ..problem }
    }

    /// The body.
    pub(super) fn body(&self) -> Vec<u8> {
        let kind = format!("urn:lxkns:problem:{}", self.kind);
        let mut value = json!({ "type": kind, "title": self.title, "status": self.status.as_u16() });
        if let Some(detail) = &self.detail {
            value["detail"] = detail.as_ref().into();
        }
        format!("{value}\n").into_bytes()
    }
}

impl From<Unanswered> for Problem {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::Busy => Self::BUSY,
            Unanswered::Lost => Self::LOST,
            Unanswered::GivenUp => Self::STUCK,
        }
    }
}
