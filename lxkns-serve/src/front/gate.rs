//! Who may connect and ask, as the supervisor says: one value, which another takes the place of at a SIGHUP.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use rustls::pki_types::CertificateDer;
use subtle::ConstantTimeEq as _;
use tokio_rustls::TlsAcceptor;

use super::bucket::Bucket;
use super::logins::Logins;
use super::problem::Problem;
use crate::access::{Access, Rate, Server, Token, is_allowed};

/// Who may connect and ask.
#[derive(Default)]
pub(super) struct Gate {
    tls: Option<TlsAcceptor>,
    /// Names of which a client's certificate has one; empty: any.
    client_names: Vec<String>,
    /// Names that the service's certificate says it has.
    names: Vec<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    rate: Option<(Rate, Mutex<Bucket>)>,
    users: Vec<(String, String)>,
    tokens: Vec<Token>,
}

impl Gate {
    /// As the supervisor says, which has tried it.
    ///
    /// # Errors
    ///
    /// It does not work after all.
    pub(super) fn new(access: Access) -> anyhow::Result<Self> {
        let (mut tls, mut names, mut client_names) = (None, Vec::new(), Vec::new());
        if let Some(configured) = access.tls {
            let server = Server::new(&configured)?;
            tls = Some(TlsAcceptor::from(server.config));
            names = server.names;
            client_names = configured.client_names;
        }
        let mut headers = Vec::new();
        for (name, value) in &access.headers {
            let name = HeaderName::from_bytes(name.as_bytes()).context("a name of a header")?;
            headers.push((name, HeaderValue::from_str(value).context("a value of a header")?));
        }
        let rate = access.rate.map(|rate| (rate, Mutex::new(Bucket::full(rate.burst))));
        Ok(Self { tls, client_names, names, headers, rate, users: access.users, tokens: access.tokens })
    }

    /// What makes TCP connections encrypted ones, if they are.
    pub(super) fn tls(&self) -> Option<&TlsAcceptor> {
        self.tls.as_ref()
    }

    /// Whether a client with this certificate, which was verified, is served.
    pub(super) fn lets_in(&self, certificate: Option<&CertificateDer<'_>>) -> bool {
        is_allowed(&self.client_names, certificate)
    }

    /// Whether the service's certificate has this name.
    pub(super) fn has_name(&self, name: &str) -> bool {
        self.names.iter().any(|known| match known.strip_prefix("*.") {
            // A star stands for one label.
            Some(domain) => name.split_once('.').is_some_and(|(_, rest)| rest.eq_ignore_ascii_case(domain)),
            None => known.eq_ignore_ascii_case(name),
        })
    }

    /// Headers of every response.
    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    /// Whether one more request is answered now.
    pub(super) fn is_in_rate(&self) -> bool {
        self.rate.as_ref().is_none_or(|(rate, bucket)| {
            let mut bucket = bucket.lock().unwrap_or_else(PoisonError::into_inner);
            bucket.take(Instant::now(), rate.interval, rate.burst)
        })
    }

    /// Whether there are passwords, which browsers ask for.
    pub(super) fn has_users(&self) -> bool {
        !self.users.is_empty()
    }

    /// How a client may say who it is.
    pub(super) fn challenges(&self) -> impl Iterator<Item = HeaderValue> {
        let basic = (!self.users.is_empty()).then_some("Basic realm=\"lxknsd\", charset=\"UTF-8\"");
        let bearer = (!self.tokens.is_empty()).then_some("Bearer realm=\"lxknsd\"");
        basic.into_iter().chain(bearer).map(HeaderValue::from_static)
    }

    /// Who sends the request, where it must say so: a user, or the name of a token.
    ///
    /// # Errors
    ///
    /// It does not, or too many passwords were tried.
    pub(super) async fn knows(
        &self,
        headers: &HeaderMap,
        client: IpAddr,
        logins: Option<&Logins>,
    ) -> Result<Option<String>, Problem> {
        if self.users.is_empty() && self.tokens.is_empty() {
            return Ok(None);
        }
        let mut given = headers.get_all(AUTHORIZATION).into_iter();
        let (Some(given), None) = (given.next(), given.next()) else { return Err(Problem::CREDENTIALS) };
        let Some((scheme, given)) = given.to_str().ok().and_then(|given| given.split_once(' ')) else {
            return Err(Problem::CREDENTIALS);
        };
        let given = given.trim();
        let known = if scheme.eq_ignore_ascii_case("bearer") {
            self.token(given)
        } else if scheme.eq_ignore_ascii_case("basic") {
            self.user(given, client, logins).await?
        } else {
            None
        };
        known.map(Some).ok_or(Problem::CREDENTIALS)
    }

    fn token(&self, given: &str) -> Option<String> {
        let hash = ring::digest::digest(&ring::digest::SHA256, given.as_bytes());
        // All are compared, each as a whole: how long it takes says nothing.
        let mut known = None;
        for token in &self.tokens {
            if token.hash.as_slice().ct_eq(hash.as_ref()).into() {
                known = Some(token);
            }
        }
        known.map(|token| token.name.clone())
    }

    async fn user(&self, given: &str, client: IpAddr, logins: Option<&Logins>) -> Result<Option<String>, Problem> {
        let Ok(given) = STANDARD.decode(given) else { return Ok(None) };
        let Some(colon) = given.iter().position(|&byte| byte == b':') else { return Ok(None) };
        let (Ok(user), password) = (std::str::from_utf8(&given[..colon]), &given[colon + 1..]) else {
            return Ok(None);
        };
        let Some(logins) = logins.filter(|_| !self.users.is_empty()) else { return Ok(None) };
        let is_right = logins.is_right(&self.users, user, password, client).await.map_err(|_| Problem::LOGINS)?;
        Ok(is_right.then(|| user.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(names: &[&str]) -> Gate {
        Gate { names: names.iter().map(|&name| name.to_owned()).collect(), ..Gate::default() }
    }

    #[test]
    fn names_are_those_of_the_certificate() {
        let gate = gate(&["lxkns.example", "*.hosts.example"]);
        for (name, is_ours) in [
            ("lxkns.example", true),
            ("LXKNS.example", true),
            ("a.hosts.example", true),
            ("a.b.hosts.example", false),
            ("hosts.example", false),
            ("evil.example", false),
            ("lxkns.example.evil", false),
        ] {
            assert_eq!(gate.has_name(name), is_ours, "{name}");
        }
    }

    #[test]
    fn only_a_known_token_opens() {
        let hash = ring::digest::digest(&ring::digest::SHA256, b"secret").as_ref().try_into().unwrap();
        let token = Token { hash, name: "mine".to_owned() };
        let gate = Gate { tokens: vec![token, Token::default()], ..Gate::default() };
        let client = IpAddr::from([127, 0, 0, 1]);
        let knows = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, value.parse().unwrap());
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(gate.knows(&headers, client, None))
        };
        assert_eq!(knows(&["Bearer secret"]), Ok(Some("mine".to_owned())));
        assert_eq!(knows(&["bearer  secret "]), Ok(Some("mine".to_owned())));
        for refused in [
            &[][..],
            &["Bearer"],
            &["Bearer "],
            &["Bearer secre"],
            &["Bearer secret", "Bearer secret"],
            &["Basic c2VjcmV0"],
            &["Basic OnNlY3JldA=="],
            &["Basic ?"],
            &["Digest secret"],
            &["secret"],
        ] {
            assert_eq!(knows(refused), Err(Problem::CREDENTIALS), "{refused:?}");
        }
        let challenges: Vec<_> = gate.challenges().collect();
        assert_eq!(challenges, ["Bearer realm=\"lxknsd\""]);
    }
}
