//! Who may connect and ask, and how: what the supervisor reads of files, and the front keeps to.

mod file;
mod read;
mod tls;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub(crate) use self::read::Sources;
pub(crate) use self::tls::{Server, certificate_names, is_allowed};

/// Who may connect and ask. It has secrets: there is no form of it to be logged.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Access {
    /// How TCP connections are encrypted, if they are.
    pub(crate) tls: Option<Tls>,
    /// Headers of every response.
    pub(crate) headers: Vec<(String, String)>,
    /// How many requests are answered.
    pub(crate) rate: Option<Rate>,
    /// Users, each with the bcrypt hash of its password.
    pub(crate) users: Vec<(String, String)>,
    /// Bearer tokens.
    pub(crate) tokens: Vec<Token>,
}

/// A bearer token.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Token {
    /// Its SHA-256.
    pub(crate) hash: [u8; 32],
    /// What the log calls it.
    pub(crate) name: String,
}

/// How connections are encrypted. Certificates and keys are PEM.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tls {
    /// The service's certificate, and those that lead to its root.
    pub(crate) certificates: Vec<u8>,
    /// Its key.
    pub(crate) key: Vec<u8>,
    /// Whether clients have certificates.
    pub(crate) clients: Clients,
    /// Who signs those.
    pub(crate) client_cas: Vec<u8>,
    /// Names of which a client's certificate has one; empty: any.
    pub(crate) client_names: Vec<String>,
    /// Whether TLS 1.2 is spoken.
    pub(crate) has_12: bool,
    /// Whether TLS 1.3 is spoken.
    pub(crate) has_13: bool,
    /// Cipher suites of TLS 1.2 by the names of the configuration; empty: all.
    pub(crate) suites: Vec<String>,
    /// Curves by the names of the configuration, the best first; empty: all.
    pub(crate) curves: Vec<String>,
    /// Whether the order of the service's suites counts, not that of the client's.
    pub(crate) prefers_own_order: bool,
}

/// Whether clients have certificates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Clients {
    /// They are not asked for one.
    #[default]
    Anybody,
    /// They may have one, which must be right.
    Verified,
    /// They must.
    Required,
}

/// How many requests are answered: one in each interval, and so many more that were saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rate {
    pub(crate) interval: Duration,
    pub(crate) burst: u32,
}

impl Access {
    /// Whether a request must say who sends it.
    pub(crate) fn wants_credentials(&self) -> bool {
        !self.users.is_empty() || !self.tokens.is_empty()
    }

    /// Whether only encrypted connections of known clients are served: what may be open to others than this host.
    pub(crate) fn is_secured(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| self.wants_credentials() || tls.clients == Clients::Required)
    }

    /// How addresses that are served begin.
    pub(crate) fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https://" } else { "http://" }
    }

    /// How a connection is protected, and who may use it, in words.
    pub(crate) fn words(&self) -> String {
        let mut words = Vec::new();
        if let Some(tls) = &self.tls {
            words.push(
                if !tls.has_12 {
                    "TLS 1.3"
                } else if tls.has_13 {
                    "TLS 1.2 or 1.3"
                } else {
                    "TLS 1.2"
                }
                .to_owned(),
            );
            let with = match tls.clients {
                Clients::Anybody => None,
                Clients::Verified => Some("with or without a client certificate"),
                Clients::Required => Some("with a client certificate"),
            };
            let names = if tls.client_names.is_empty() {
                String::new()
            } else {
                format!(" for one of: {}", tls.client_names.join(", "))
            };
            words.extend(with.map(|with| format!("{with}{names}")));
        }
        let count = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
        let users = format!("password ({})", count(self.users.len(), "user"));
        let tokens = format!("bearer token ({})", count(self.tokens.len(), "token"));
        words.extend(match (self.users.is_empty(), self.tokens.is_empty()) {
            (true, true) => None,
            (false, true) => Some(format!("with a {users}")),
            (true, false) => Some(format!("with a {tokens}")),
            (false, false) => Some(format!("with a {users} or {tokens}")),
        });
        words.join(", ")
    }
}

/// What the fuzz target of the web configuration file calls.
#[cfg(feature = "_fuzz")]
pub(crate) fn fuzz_web_config(text: &str) {
    if let Err(error) = file::parse(text) {
        let line = format!("{error:#}");
        assert!(!line.is_empty() && line.chars().all(lxkns_core::wire::is_safe_to_print), "{line:?}");
    }
}

#[cfg(test)]
mod tests;
