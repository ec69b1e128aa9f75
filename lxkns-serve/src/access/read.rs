//! The files of the web configuration, of certificates, keys and tokens. Only the supervisor opens them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail, ensure};
use rustix::fs::{FileType, Mode, OFlags};

use super::file::{self, Pem};
use super::{Access, Server, Tls, Token};

/// The most bytes of a file.
const LONGEST: u64 = 1 << 20;
/// The most tokens.
const MOST_TOKENS: usize = 1000;

/// Which files say who may connect and ask.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sources {
    /// The web configuration file.
    pub(crate) web_config: Option<PathBuf>,
    /// The file with hashes of bearer tokens.
    pub(crate) tokens: Option<PathBuf>,
}

impl Sources {
    /// Whether there is something to read, now and after a SIGHUP.
    pub(crate) fn are_some(&self) -> bool {
        self.web_config.is_some() || self.tokens.is_some()
    }

    /// The same files, wherever the process goes.
    ///
    /// # Errors
    ///
    /// The current directory is not known.
    pub(crate) fn absolute(self) -> std::io::Result<Self> {
        let absolute = |path: Option<PathBuf>| path.map(std::path::absolute).transpose();
        Ok(Self { web_config: absolute(self.web_config)?, tokens: absolute(self.tokens)? })
    }

    /// Reads all, and tries what comes of it.
    ///
    /// # Errors
    ///
    /// A file cannot be read, is open to others, or has something that is not understood: one line, which names it.
    pub(crate) fn read(&self) -> anyhow::Result<Access> {
        let mut access = Access::default();
        if let Some(path) = &self.web_config {
            let text = text(path, false)?;
            access = web(path, &text).with_context(|| path.display().to_string())?;
        }
        if let Some(path) = &self.tokens {
            access.tokens = tokens(&text(path, false)?).with_context(|| path.display().to_string())?;
        }
        Ok(access)
    }
}

fn web(path: &Path, text: &str) -> anyhow::Result<Access> {
    let config = file::parse(text)?;
    let directory = path.parent().unwrap_or(Path::new(""));
    let read = |pem: &Pem, is_secret| match pem {
        Pem::Text(text) => Ok(text.clone().into_bytes()),
        // As the exporters do: from the configuration's directory.
        Pem::File(file) => bytes(&directory.join(file), is_secret),
    };
    let tls = match config.tls {
        None => None,
        Some(section) => {
            if matches!(section.key, Pem::Text(_)) {
                bytes(path, true).context("tls_server_config.key")?;
            }
            let tls = Tls {
                certificates: read(&section.certificates, false).context("tls_server_config.cert_file")?,
                key: read(&section.key, true).context("tls_server_config.key_file")?,
                clients: section.clients,
                client_cas: match &section.client_cas {
                    Some(cas) => read(cas, false).context("tls_server_config.client_ca_file")?,
                    None => Vec::new(),
                },
                client_names: section.client_names,
                has_12: section.has_12,
                has_13: section.has_13,
                suites: section.suites,
                curves: section.curves,
                prefers_own_order: section.prefers_own_order,
            };
            Server::new(&tls)?;
            Some(tls)
        }
    };
    Ok(Access { tls, headers: config.headers, rate: config.rate, users: config.users, tokens: Vec::new() })
}

/// SHA-256 of a token at the beginning of each line, as `sha256sum` writes it, and what the log calls it.
fn tokens(text: &str) -> anyhow::Result<Vec<Token>> {
    let mut tokens = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, name) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        // What it is instead is not shown: it may be a token.
        let hash = hash(word).with_context(|| {
            format!(
                "line {}: not the SHA-256 of a token in 64 hexadecimal digits (printf %s TOKEN | sha256sum)",
                number + 1
            )
        })?;
        let name = match name.trim() {
            "" | "-" => format!("token in line {}", number + 1),
            name => name.to_owned(),
        };
        tokens.push(Token { hash, name });
    }
    ensure!(!tokens.is_empty(), "no token");
    ensure!(tokens.len() <= MOST_TOKENS, "more than {MOST_TOKENS} tokens");
    Ok(tokens)
}

fn hash(word: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    let is_hexadecimal = word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit());
    for (at, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(word.get(2 * at..2 * at + 2)?, 16).ok()?;
    }
    is_hexadecimal.then_some(hash)
}

fn text(path: &Path, is_secret: bool) -> anyhow::Result<String> {
    String::from_utf8(bytes(path, is_secret)?).map_err(|_| anyhow::anyhow!("{}: not UTF-8", path.display()))
}

/// The bytes of a file that only its owner and root can change, and, if it is secret, not everybody can read.
fn bytes(path: &Path, is_secret: bool) -> anyhow::Result<Vec<u8>> {
    read(path, is_secret).with_context(|| path.display().to_string())
}

fn read(path: &Path, is_secret: bool) -> anyhow::Result<Vec<u8>> {
    // A pipe without a writer is not waited for.
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty())?;
    let found = rustix::fs::fstat(&file)?;
    ensure!(FileType::from_raw_mode(found.st_mode) == FileType::RegularFile, "not a regular file");
    let mode = Mode::from_raw_mode(found.st_mode);
    let is_own = found.st_uid == 0 || found.st_uid == rustix::process::geteuid().as_raw();
    ensure!(
        is_own,
        "belongs to UID {}, who could change it; change its owner to root or the user of the service",
        found.st_uid
    );
    let written = mode & (Mode::WGRP | Mode::WOTH);
    ensure!(
        written.is_empty(),
        "users other than its owner can change it (mode {:04o}); chmod go-w",
        mode.as_raw_mode()
    );
    if is_secret && mode.contains(Mode::ROTH) {
        bail!("everyone can read the key (mode {:04o}); chmod o-r", mode.as_raw_mode());
    }
    let mut bytes = Vec::new();
    File::from(file).take(LONGEST + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= LONGEST, "longer than 1 MiB");
    Ok(bytes)
}
