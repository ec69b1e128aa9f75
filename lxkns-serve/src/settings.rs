//! What the supervisor tells the processes that it starts.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// All that the reader and the front do not decide themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    /// How log lines look.
    pub(crate) log: LogForm,
    /// What of the host is read.
    pub(crate) reader: ReaderSettings,
    /// How requests are taken.
    pub(crate) front: FrontSettings,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
pub(crate) enum LogForm {
    /// For people
    Text,
    /// JSON, one object a line
    Json,
}

/// What of the host is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReaderSettings {
    /// The oldest that a scan may be that is answered from, where a client does not say.
    pub(crate) max_age: Duration,
    /// The oldest that a scan may be that a client must take who wants a newer one.
    pub(crate) min_age: Duration,
    /// How long a scan may take.
    pub(crate) scan_timeout: Duration,
    /// How long an operation in another namespace may take.
    pub(crate) timeout: Duration,
    /// Whether command lines are read and told.
    pub(crate) command_lines: bool,
    /// Whether metrics tell of listening sockets.
    pub(crate) metrics_of_ports: bool,
    /// Whether metrics tell of what has passed links.
    pub(crate) metrics_of_links: bool,
    /// Whether files are looked up for clients.
    pub(crate) files: bool,
    /// Whether engines of containers are asked.
    pub(crate) engines: bool,
    /// The most bytes of finished answers that are kept.
    pub(crate) cache_bytes: usize,
    /// The most bytes of events and states that are kept.
    pub(crate) history_bytes: usize,
    /// How often a scan is made for those who follow events, where nothing is known to happen.
    pub(crate) interval: Duration,
}

/// How requests are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FrontSettings {
    /// What comes before the paths: empty, or with a slash at its beginning and none at its end.
    pub(crate) base_path: String,
    /// Names that the service may be called by, beside addresses and `localhost`.
    pub(crate) hosts: Vec<String>,
    /// The most connections at a time.
    pub(crate) most_connections: usize,
    /// The most clients that follow events from one address, or of one user.
    pub(crate) most_followers: usize,
    /// How long a client may take to send the head of a request, or between two requests.
    pub(crate) header_timeout: Duration,
    /// How long a client may take to read a piece of an answer.
    pub(crate) write_timeout: Duration,
    /// How long requests may take to end when the service stops.
    pub(crate) shutdown: Duration,
    /// How long an answer may take to begin.
    pub(crate) answer_timeout: Duration,
    /// For each listener, whether it is a UNIX socket.
    pub(crate) listeners: Vec<bool>,
    /// Users who may connect to UNIX sockets; empty: all who the socket's mode lets.
    pub(crate) allowed_uids: Vec<u32>,
    /// Whether memory that says who may connect and ask (`access`) comes after the listeners.
    pub(crate) has_access: bool,
    /// Whether a page comes with them, in place of the program's own.
    pub(crate) has_web: bool,
}
