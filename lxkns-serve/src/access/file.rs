//! The web configuration file, in the form that Prometheus's exporters share (exporter-toolkit).
//!
//! Every key must be known and every value honoured: one that is ignored may be the one that was to protect.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use lxkns_answers::text::escape::printable;
use saphyr::{ScalarStyle, Yaml, YamlLoader};
use saphyr_parser::{Event, Parser};

use super::{Clients, Rate};

/// How deep lists and mappings may be in each other; more than any section needs. The library recurses over them.
const DEEPEST: usize = 16;
/// The most nodes that aliases may stand for.
const MOST_ALIASED: usize = 1000;
/// The most rounds of bcrypt, as a power of two: one password may take so much time.
const MOST_COST: u32 = 16;

/// What the file says.
#[derive(Default)]
pub(super) struct WebConfig {
    pub(super) tls: Option<TlsSection>,
    pub(super) headers: Vec<(String, String)>,
    pub(super) rate: Option<Rate>,
    pub(super) users: Vec<(String, String)>,
}

/// The section `tls_server_config`.
#[derive(Default)]
pub(super) struct TlsSection {
    pub(super) certificates: Pem,
    pub(super) key: Pem,
    pub(super) client_cas: Option<Pem>,
    pub(super) clients: Clients,
    pub(super) client_names: Vec<String>,
    pub(super) has_12: bool,
    pub(super) has_13: bool,
    pub(super) suites: Vec<String>,
    pub(super) curves: Vec<String>,
    pub(super) prefers_own_order: bool,
}

/// A text, or the file that has it.
pub(super) enum Pem {
    Text(String),
    File(PathBuf),
}

impl Default for Pem {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// Reads the text of a file.
///
/// # Errors
///
/// It is not YAML, or has a key or value that is unknown or cannot be honoured: one line, which names it, safe to print.
pub(super) fn parse(text: &str) -> anyhow::Result<WebConfig> {
    read(text).map_err(|error| anyhow!(printable(format!("{error:#}"))))
}

fn read(text: &str) -> anyhow::Result<WebConfig> {
    let mut depth = 0_usize;
    // What is no YAML is named below.
    for (event, _) in Parser::new_from_str(text).map_while(Result::ok) {
        match event {
            Event::SequenceStart(..) | Event::MappingStart(..) => depth += 1,
            Event::SequenceEnd | Event::MappingEnd => depth = depth.saturating_sub(1),
            _ => {}
        }
        ensure!(depth <= DEEPEST, "nested more than {DEEPEST} levels deep");
    }
    let mut loader = YamlLoader::<Yaml<'_>>::default();
    loader.early_parse(false);
    loader.alias_limit(MOST_ALIASED);
    let parsed = Parser::new_from_str(text).load(&mut loader, true);
    if let Some(error) = parsed.err().or_else(|| loader.error().cloned()) {
        bail!("not YAML: {}", error.to_string().replace('\n', " "));
    }
    let documents = loader.into_documents();
    let root = match documents.as_slice() {
        [] => return Ok(WebConfig::default()),
        [root] => root,
        _ => bail!("more than one YAML document"),
    };
    let mut fields = Fields::of(String::new(), Some(root))?;
    let config = WebConfig {
        tls: tls(fields.section("tls_server_config")?)?,
        headers: http(fields.section("http_server_config")?)?,
        users: users(fields.section("basic_auth_users")?)?,
        rate: rate(fields.section("rate_limit")?)?,
    };
    fields.end()?;
    Ok(config)
}

/// The entries of a mapping that are still to be taken.
struct Fields<'a> {
    name: String,
    entries: Vec<(String, &'a Yaml<'a>)>,
}

impl<'a> Fields<'a> {
    fn of(name: String, value: Option<&'a Yaml<'a>>) -> anyhow::Result<Self> {
        let mut entries = Vec::new();
        match value {
            None => {}
            Some(Yaml::Mapping(mapping)) => {
                let mut keys = BTreeSet::new();
                for (key, value) in mapping {
                    let key = scalar(key).with_context(|| format!("{name}: a key is not text"))?;
                    // YAML takes quoted and plain text for two keys.
                    ensure!(keys.insert(key), "{name}: duplicated key {key}");
                    entries.push((key.to_owned(), value));
                }
            }
            Some(value) if is_null(value) => {}
            Some(_) => bail!("{}: expected keys and values", if name.is_empty() { "the file" } else { &name }),
        }
        Ok(Self { name, entries })
    }

    fn full(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }

    /// A value that is given.
    fn take(&mut self, key: &str) -> Option<&'a Yaml<'a>> {
        let at = self.entries.iter().position(|(name, _)| name == key)?;
        Some(self.entries.remove(at).1).filter(|value| !is_null(value))
    }

    fn section(&mut self, key: &str) -> anyhow::Result<Fields<'a>> {
        let name = self.full(key);
        Fields::of(name, self.take(key))
    }

    fn text(&mut self, key: &str) -> anyhow::Result<Option<&'a str>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let text = scalar(value).with_context(|| format!("{}: expected text", self.full(key)))?;
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    fn texts(&mut self, key: &str) -> anyhow::Result<Vec<String>> {
        let Some(value) = self.take(key) else { return Ok(Vec::new()) };
        let texts = match value {
            Yaml::Sequence(values) => values.iter().map(|value| scalar(value).map(str::to_owned)).collect(),
            _ => None,
        };
        texts.with_context(|| format!("{}: expected a list of texts", self.full(key)))
    }

    fn flag(&mut self, key: &str) -> anyhow::Result<Option<bool>> {
        match self.text(key)? {
            None => Ok(None),
            Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some(other) => bail!("{}: {other}: expected true or false", self.full(key)),
        }
    }

    /// Refuses what was not taken.
    fn end(self) -> anyhow::Result<()> {
        match self.entries.first() {
            None => Ok(()),
            Some((key, _)) => bail!("{}: unknown key", self.full(key)),
        }
    }
}

fn scalar<'a>(value: &'a Yaml<'_>) -> Option<&'a str> {
    match value {
        Yaml::Representation(text, _, None) => Some(text),
        _ => None,
    }
}

fn is_null(value: &Yaml<'_>) -> bool {
    matches!(value, Yaml::Representation(text, ScalarStyle::Plain, None) if ["", "~", "null"].contains(&text.as_ref()))
}

fn tls(mut fields: Fields<'_>) -> anyhow::Result<Option<TlsSection>> {
    if fields.entries.is_empty() {
        return Ok(None);
    }
    let certificates = pem(&mut fields, "cert")?.context("tls_server_config.cert_file: missing")?;
    let key = pem(&mut fields, "key")?.context("tls_server_config.key_file: missing")?;
    let client_cas = pem(&mut fields, "client_ca")?;
    let clients = match fields.text("client_auth_type")?.unwrap_or("NoClientCert") {
        "NoClientCert" => Clients::Anybody,
        "VerifyClientCertIfGiven" => Clients::Verified,
        "RequireAndVerifyClientCert" => Clients::Required,
        other @ ("RequestClientCert" | "RequireAnyClientCert") => bail!(
            "tls_server_config.client_auth_type: {other} verifies no certificate; use RequireAndVerifyClientCert or \
             VerifyClientCertIfGiven"
        ),
        other => bail!("tls_server_config.client_auth_type: {other}: unknown value"),
    };
    match (&client_cas, clients) {
        (Some(_), Clients::Anybody) => {
            bail!("tls_server_config.client_ca_file: has no effect without client_auth_type");
        }
        (None, Clients::Verified | Clients::Required) => {
            bail!("tls_server_config.client_auth_type: needs client_ca_file");
        }
        _ => {}
    }
    let client_names = fields.texts("client_allowed_sans")?;
    if !client_names.is_empty() {
        ensure!(
            clients == Clients::Required,
            "tls_server_config.client_allowed_sans: needs client_auth_type RequireAndVerifyClientCert"
        );
        if let Some(name) = client_names.iter().find(|name| name.contains('@') && !name.contains("://")) {
            bail!("tls_server_config.client_allowed_sans: {name}: mail addresses are not supported");
        }
    }
    let version = |name: &str, value: Option<&str>, or: u8| match value {
        None => Ok(or),
        Some("TLS12") => Ok(12),
        Some("TLS13") => Ok(13),
        Some(other @ ("TLS10" | "TLS11")) => {
            bail!("tls_server_config.{name}: {other} is not supported; use TLS12 or TLS13")
        }
        Some(other) => bail!("tls_server_config.{name}: {other}: unknown value"),
    };
    let least = version("min_version", fields.text("min_version")?, 12)?;
    let most = version("max_version", fields.text("max_version")?, 13)?;
    ensure!(least <= most, "tls_server_config.max_version: lower than min_version");
    let section = TlsSection {
        certificates,
        key,
        client_cas,
        clients,
        client_names,
        has_12: least == 12,
        has_13: most == 13,
        suites: fields.texts("cipher_suites")?,
        curves: fields.texts("curve_preferences")?,
        prefers_own_order: fields.flag("prefer_server_cipher_suites")?.unwrap_or(true),
    };
    fields.end()?;
    Ok(Some(section))
}

/// A certificate or key, as text (`NAME`) or by its file (`NAME_file`).
fn pem(fields: &mut Fields<'_>, name: &str) -> anyhow::Result<Option<Pem>> {
    let file = format!("{name}_file");
    match (fields.text(name)?, fields.text(&file)?) {
        (Some(_), Some(_)) => bail!("{}: not together with {name}", fields.full(&file)),
        (Some(text), None) => Ok(Some(Pem::Text(text.to_owned()))),
        (None, file) => Ok(file.map(|file| Pem::File(file.into()))),
    }
}

fn http(mut fields: Fields<'_>) -> anyhow::Result<Vec<(String, String)>> {
    if fields.flag("http2")? == Some(true) {
        bail!("http_server_config.http2: HTTP/2 is not supported; leave the key out or say false");
    }
    let mut named = fields.section("headers")?;
    let mut headers = Vec::new();
    for (name, values) in [
        ("Content-Security-Policy", &[][..]),
        ("X-Frame-Options", &["deny", "sameorigin"]),
        ("X-Content-Type-Options", &["nosniff"]),
        ("X-XSS-Protection", &[]),
        ("Strict-Transport-Security", &[]),
    ] {
        let Some(value) = named.text(name)? else { continue };
        let is_known = values.is_empty() || values.iter().any(|known| known.eq_ignore_ascii_case(value));
        ensure!(is_known, "{}: {value}: expected {}", named.full(name), values.join(" or "));
        let is_plain = value.bytes().all(|byte| (b' '..=b'~').contains(&byte));
        ensure!(is_plain, "{}: not a value of a header", named.full(name));
        headers.push((name.to_owned(), value.to_owned()));
    }
    named.end()?;
    fields.end()?;
    Ok(headers)
}

fn users(fields: Fields<'_>) -> anyhow::Result<Vec<(String, String)>> {
    let mut users = Vec::new();
    for (name, value) in fields.entries {
        ensure!(!name.is_empty() && !name.contains(':'), "basic_auth_users: {name:?}: not a name of a user");
        // What is wrong about it is not shown: it may be a password.
        let hash = scalar(value).with_context(|| format!("basic_auth_users.{name}: expected a bcrypt hash"))?;
        let parts = hash.parse::<bcrypt::HashParts>().ok().filter(|_| !hash.starts_with("$2x$"));
        let parts = parts.with_context(|| format!("basic_auth_users.{name}: not a bcrypt hash ($2y$COST$...)"))?;
        let cost = parts.get_cost();
        ensure!(
            (4..=MOST_COST).contains(&cost),
            "basic_auth_users.{name}: bcrypt cost {cost} is not in 4 to {MOST_COST}"
        );
        users.push((name, hash.to_owned()));
    }
    Ok(users)
}

fn rate(mut fields: Fields<'_>) -> anyhow::Result<Option<Rate>> {
    let (interval, burst) = (fields.text("interval")?, fields.text("burst")?);
    fields.end()?;
    let interval = match interval {
        None => Duration::ZERO,
        Some(text) => {
            duration(text).with_context(|| format!("rate_limit.interval: {text}: expected a duration, e.g. 100ms"))?
        }
    };
    let burst = burst.map(|text| {
        let burst = text.parse::<u32>().ok().filter(|&burst| burst <= 1_000_000);
        burst.with_context(|| format!("rate_limit.burst: {text}: expected a number of requests up to 1000000"))
    });
    let burst = burst.transpose()?.unwrap_or_default();
    if interval.is_zero() {
        return Ok(None);
    }
    ensure!(burst > 0, "rate_limit.burst: no request would be answered; expected 1 or more");
    Ok(Some(Rate { interval, burst }))
}

/// A duration as Go writes it: numbers with units, e.g. `1m30s`, or 0. A day at most.
fn duration(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let end = rest.find(|letter: char| letter.is_ascii_digit() || letter == '.').unwrap_or(rest.len());
        let unit = match &rest[..end] {
            "ns" => 1e-9,
            "us" | "µs" | "μs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        seconds += number * unit;
        rest = &rest[end..];
    }
    Duration::try_from_secs_f64(seconds).ok().filter(|duration| !text.is_empty() && duration.as_secs() <= 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        parse(text).err().unwrap_or_else(|| panic!("{text} is taken")).to_string()
    }

    const TLS: &str = "tls_server_config: {cert_file: c, key_file: k";

    #[test]
    fn the_documented_form_is_read() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let text = format!(
            "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n  client_auth_type: RequireAndVerifyClientCert\n  \
             client_ca_file: ca.crt\n  client_allowed_sans:\n    - prometheus.example\n    - 192.0.2.1\n  min_version: TLS13\n  \
             cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n  curve_preferences: [X25519]\n  prefer_server_cipher_suites: false\n\
             http_server_config:\n  http2: false\n  headers:\n    X-Frame-Options: SAMEORIGIN\n    X-XSS-Protection: ''\n\
             basic_auth_users:\n  alice: {hash}\n  7: '{hash}'\nrate_limit:\n  interval: \"1m0.5s\"\n  burst: 20\n"
        );
        let config = parse(&text).unwrap();
        let tls = config.tls.unwrap();
        assert!(matches!(&tls.certificates, Pem::File(path) if path == "server.crt"));
        assert!(matches!(&tls.client_cas, Some(Pem::File(path)) if path == "ca.crt"));
        assert_eq!((tls.clients, tls.has_12, tls.has_13), (Clients::Required, false, true));
        assert_eq!((tls.client_names.len(), tls.suites.len(), tls.curves.len()), (2, 1, 1));
        assert!(!tls.prefers_own_order);
        assert_eq!(config.headers, [("X-Frame-Options".to_owned(), "SAMEORIGIN".to_owned())]);
        assert_eq!(config.users.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["alice", "7"]);
        assert_eq!(config.rate, Some(Rate { interval: Duration::from_millis(60_500), burst: 20 }));
        for text in
            ["", "# nothing\n", "{}", "tls_server_config:\nhttp_server_config: {http2: }\nrate_limit: {interval: 0}"]
        {
            let config = parse(text).unwrap();
            assert!(config.tls.is_none() && config.rate.is_none() && config.users.is_empty(), "{text}");
        }
        let inline = parse("tls_server_config: {cert: \"-----BEGIN\", key: x}").unwrap().tls.unwrap();
        assert!(matches!(inline.certificates, Pem::Text(text) if text == "-----BEGIN"));
        assert_eq!((inline.clients, inline.has_12, inline.has_13), (Clients::Anybody, true, true));
    }

    #[test]
    fn what_is_unknown_or_not_honoured_is_named() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        for (text, named) in [
            ("tls_config: {}".to_owned(), "tls_config: unknown key"),
            (format!("{TLS}, cert_fiel: x}}"), "tls_server_config.cert_fiel: unknown key"),
            ("tls_server_config: {cert_file: c}".to_owned(), "tls_server_config.key_file: missing"),
            ("tls_server_config: {min_version: TLS13}".to_owned(), "tls_server_config.cert_file: missing"),
            (format!("{TLS}, cert: x}}"), "tls_server_config.cert_file: not together with cert"),
            (format!("{TLS}, client_auth_type: RequireAnyClientCert}}"), "client_auth_type: RequireAnyClientCert"),
            (format!("{TLS}, client_auth_type: maybe}}"), "client_auth_type: maybe"),
            (format!("{TLS}, client_auth_type: RequireAndVerifyClientCert}}"), "needs client_ca_file"),
            (format!("{TLS}, client_ca_file: x}}"), "client_ca_file: has no effect"),
            (format!("{TLS}, client_allowed_sans: [x]}}"), "client_allowed_sans: needs"),
            (
                format!(
                    "{TLS}, client_auth_type: RequireAndVerifyClientCert, client_ca: x, client_allowed_sans: [a@b]}}"
                ),
                "a@b: mail addresses",
            ),
            (format!("{TLS}, min_version: TLS10}}"), "min_version: TLS10 is not supported"),
            (format!("{TLS}, min_version: TLS13, max_version: TLS12}}"), "max_version: lower"),
            (format!("{TLS}, cipher_suites: TLS_AES}}"), "cipher_suites: expected a list"),
            (format!("{TLS}, prefer_server_cipher_suites: maybe}}"), "maybe: expected true or false"),
            ("http_server_config: {http2: true}".to_owned(), "http_server_config.http2: HTTP/2"),
            ("http_server_config: {http2: yes}".to_owned(), "yes: expected true or false"),
            ("http_server_config: {headers: {X-Powered-By: me}}".to_owned(), "http_server_config.headers.X-Powered-By"),
            ("http_server_config: {headers: {X-Frame-Options: allow}}".to_owned(), "allow: expected deny or"),
            ("http_server_config: {headers: {X-XSS-Protection: \"a\\nb\"}}".to_owned(), "not a value of a header"),
            ("basic_auth_users: {alice: secret}".to_owned(), "basic_auth_users.alice: not a bcrypt hash"),
            (format!("basic_auth_users: {{alice: '{}'}}", hash.replace("$04$", "$31$")), "alice: bcrypt cost 31"),
            (format!("basic_auth_users: {{alice: '{}'}}", hash.replace("$2b$", "$2x$")), "alice: not a bcrypt hash"),
            (format!("basic_auth_users: {{'a:b': '{hash}'}}"), "not a name of a user"),
            (format!("basic_auth_users: {{a: '{hash}', a: '{hash}'}}"), "duplicated key"),
            (format!("basic_auth_users: {{a: '{hash}', 'a': '{hash}'}}"), "duplicated key a"),
            ("rate_limit: {interval: 1}".to_owned(), "rate_limit.interval: 1"),
            ("rate_limit: {interval: 1d, burst: 1}".to_owned(), "rate_limit.interval: 1d"),
            ("rate_limit: {interval: 1s}".to_owned(), "rate_limit.burst"),
            ("rate_limit: {interval: 1s, burst: -1}".to_owned(), "rate_limit.burst: -1"),
            ("[a]".to_owned(), "the file: expected keys"),
            ("a: b: c".to_owned(), "not YAML"),
            ("a: 1\n---\nb: 1".to_owned(), "more than one"),
            ("rate_limit: {interval: !!str 1s, burst: 1}".to_owned(), "rate_limit.interval: expected text"),
            // As long as a file may be.
            ("- ".repeat(500_000), "nested more than 16 levels deep"),
            ("? ".repeat(500_000), "nested more than 16 levels deep"),
            ("\"a\\nb\\e[2J\": 1".to_owned(), "unknown key"),
        ] {
            let error = refused(&text);
            assert!(error.contains(named) && !error.contains(char::is_control), "{text:.80}: {error}");
        }
        // A secret is not repeated.
        assert!(!refused("basic_auth_users: {alice: secret}").contains("secret"));
    }

    #[test]
    fn aliases_do_not_grow_without_end() {
        let mut text = "a: &a [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for (of, to) in [('a', 'b'), ('b', 'c'), ('c', 'd'), ('d', 'e'), ('e', 'f'), ('f', 'g'), ('g', 'h')] {
            let aliases = vec![format!("*{of}"); 10].join(", ");
            text.push_str(&format!("{to}: &{to} [{aliases}]\n"));
        }
        assert!(refused(&text).contains("not YAML"));
    }

    #[test]
    fn durations_are_those_of_go() {
        for (text, seconds) in
            [("0", 0.0), ("0s", 0.0), ("1s", 1.0), ("100ms", 0.1), ("1h1m", 3660.0), ("1.5s", 1.5), ("10µs", 1e-5)]
        {
            assert_eq!(duration(text), Some(Duration::from_secs_f64(seconds)), "{text}");
        }
        for text in ["", "1", "s", "1 s", "-1s", "1x", "1s1", "..s", "25h", "1e3s"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
