//! A client that says exactly what it is told to, and whose time counts from before it connects.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::Context as _;

/// How long anything may take on a busy host.
const PATIENCE: Duration = Duration::from_secs(120);

/// A connection.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
}

/// What came back.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// How long it took, until the last byte was there.
    pub(super) took: Duration,
}

impl Reply {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
}

impl Client {
    pub(super) fn connect(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a GET, and reads no answer.
    pub(super) fn ask(&mut self, path: &str, headers: &str) -> anyhow::Result<()> {
        let text = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        Ok(self.stream.get_mut().write_all(text.as_bytes())?)
    }

    /// The answer to a GET with these headers, each of which ends its line.
    pub(super) fn get(&mut self, path: &str, headers: &str) -> anyhow::Result<Reply> {
        let began = Instant::now();
        self.ask(path, headers)?;
        let mut reply = self.head()?;
        let length = reply.header("content-length").map_or(Ok(0), str::parse).context("a length")?;
        reply.body.resize(length, 0);
        self.stream.read_exact(&mut reply.body)?;
        reply.took = began.elapsed();
        Ok(reply)
    }

    /// What comes before a body.
    pub(super) fn head(&mut self) -> anyhow::Result<Reply> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            if line.trim_end().is_empty() {
                break;
            }
            lines.push(line.trim_end().to_owned());
        }
        let status = lines.first().and_then(|line| line.split(' ').nth(1)?.parse().ok()).context("no answer")?;
        let headers = lines.iter().filter_map(|line| line.split_once(": "));
        let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        Ok(Reply { status, headers, body: Vec::new(), took: Duration::ZERO })
    }

    /// The next line of a body that has no end.
    pub(super) fn line(&mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        anyhow::ensure!(self.stream.read_line(&mut line)? > 0, "the stream has ended");
        Ok(line.trim_end().to_owned())
    }
}

/// The answer to a GET on a connection of its own, which is made within its time.
pub(super) fn get(address: SocketAddr, path: &str, headers: &str) -> anyhow::Result<Reply> {
    let began = Instant::now();
    let mut reply = Client::connect(address)?.get(path, headers)?;
    reply.took = began.elapsed();
    Ok(reply)
}
