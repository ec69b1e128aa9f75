//! A daemon that ends with the test, and a client that says exactly what it is told to.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

/// How long anything may take on a busy host.
pub(crate) const PATIENCE: Duration = Duration::from_secs(240);

/// What keeps it from asking engines of containers: those of other tests, which hang at times.
pub(crate) const UNASKED: &str = "LXKNSD_NO_ENGINES";

/// A running daemon.
pub(crate) struct Daemon {
    supervisor: Child,
    pub(crate) address: String,
    pub(crate) socket: PathBuf,
    log: Mutex<Receiver<Value>>,
    _directory: tempfile::TempDir,
}

impl Daemon {
    /// One that serves on a port of the kernel's choice and on a UNIX socket.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::start_with(arguments, |_| {})
    }

    /// The same, with something changed about how it is started.
    pub(crate) fn start_with(arguments: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        let daemon = Self::start_unready(arguments, change);
        daemon.wait_until_ready();
        daemon
    }

    /// By a command, for which there is a path of a UNIX socket to serve on.
    pub(crate) fn start_by(command: impl FnOnce(&Path) -> Command) -> Self {
        let daemon = Self::spawn(command);
        daemon.wait_until_ready();
        daemon
    }

    /// The same as [`start_with`](Self::start_with), which does not yet answer.
    pub(crate) fn start_unready(arguments: &[&str], change: impl FnOnce(&mut Command)) -> Self {
        Self::spawn(|socket| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_lxknsd"));
            command.args(["--log", "json", "--listen", "127.0.0.1:0"]);
            if !arguments.contains(&"--scan-timeout") {
                command.args(["--scan-timeout", "240"]);
            }
            // A test asks again as soon as it has changed something.
            if !arguments.contains(&"--min-age") {
                command.args(["--min-age", "0"]);
            }
            command.arg("--listen").arg(format!("unix:{}", socket.display())).args(arguments);
            command.stdin(Stdio::null()).env(UNASKED, "true");
            change(&mut command);
            command
        })
    }

    fn wait_until_ready(&self) {
        self.logged(|line| line["message"] == "ready" && line["process"].is_null());
    }

    fn spawn(command: impl FnOnce(&Path) -> Command) -> Self {
        let directory = tempfile::Builder::new().prefix("lxkns-test-").tempdir().unwrap();
        // The daemon may be started as another user.
        std::fs::set_permissions(directory.path(), Permissions::from_mode(0o1777)).unwrap();
        let socket = directory.path().join("socket");
        let mut command = command(&socket);
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut supervisor = command.spawn().unwrap();
        let (sends, log) = channel();
        let lines = BufReader::new(supervisor.stderr.take().unwrap()).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                eprintln!("{line}");
                let _ = sends.send(serde_json::from_str(&line).unwrap_or(Value::String(line)));
            }
        });
        let mut daemon =
            Self { supervisor, address: String::new(), socket, log: Mutex::new(log), _directory: directory };
        let listening = daemon.logged(|line| line["message"] == "listening");
        daemon.address = listening["address"].as_str().unwrap().split_once("://").unwrap().1.to_owned();
        daemon
    }

    /// The next line of the log of which this is true.
    pub(crate) fn logged(&self, mut is_it: impl FnMut(&Value) -> bool) -> Value {
        loop {
            let line = self.log.lock().unwrap().recv_timeout(PATIENCE).expect("the daemon logs it");
            if is_it(&line) {
                return line;
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.supervisor.id()
    }

    /// The process of this role, which is there.
    pub(crate) fn process(&self, role: &str) -> Option<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.pid());
        let children = std::fs::read_to_string(children).unwrap();
        children.split_whitespace().find_map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let is_it = line.split(|&byte| byte == 0).nth(1) == Some(role.as_bytes());
            is_it.then(|| pid.parse().unwrap())
        })
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// The response to a GET with these headers.
    pub(crate) fn get(&self, path: &str, headers: &[&str]) -> Reply {
        self.request("GET", path, headers)
    }

    /// The response to a request.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[&str]) -> Reply {
        exchange(self.connect(), &request(method, path, headers))
    }

    /// The response to a GET over the UNIX socket.
    pub(crate) fn get_local(&self, path: &str) -> Reply {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(stream, &request("GET", path, &[]))
    }

    /// The answer in JSON, which must be one.
    #[track_caller]
    pub(crate) fn json(&self, path: &str) -> Value {
        let reply = self.get(path, &["Cache-Control: no-cache"]);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        reply.json()
    }

    /// The value of a metric.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        let text = self.get("/metrics", &["Cache-Control: max-age=86400"]).text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in {text}")).parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.pid().to_string()]).status().unwrap().success());
    }

    /// Waits until it has ended.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.supervisor.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

/// The text of a request.
pub(crate) fn request(method: &str, path: &str, headers: &[&str]) -> String {
    let host = if headers.iter().any(|header| header.starts_with("Host")) { "" } else { "Host: localhost\r\n" };
    let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\n{host}{headers}Connection: close\r\n\r\n")
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Says something, and reads all that comes.
pub(crate) fn exchange(mut stream: impl Read + Write, text: &str) -> Reply {
    // It may have been refused before its end.
    let _ = stream.write_all(text.as_bytes());
    let mut bytes = Vec::new();
    let read = stream.read_to_end(&mut bytes);
    parse(&bytes).unwrap_or_else(|| panic!("{read:?}: {}", bytes.escape_ascii()))
}

fn parse(bytes: &[u8]) -> Option<Reply> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<_> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let is_chunked = headers.iter().any(|(name, value)| name == "transfer-encoding" && value == "chunked");
    let rest = &bytes[end + 4..];
    let body = if is_chunked { unchunked(rest)? } else { rest.to_vec() };
    Some(Reply { status, headers, body })
}

/// `None` where the end is missing.
fn unchunked(mut bytes: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = bytes.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(std::str::from_utf8(&bytes[..end]).ok()?, 16).ok()?;
        if length == 0 {
            return Some(body);
        }
        body.extend_from_slice(bytes.get(end + 2..end + 2 + length)?);
        bytes = bytes.get(end + 4 + length..)?;
    }
}

/// Closes the sending half.
pub(crate) fn half_close(stream: &TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
}
