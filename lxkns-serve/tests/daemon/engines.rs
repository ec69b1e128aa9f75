//! Engines of containers, which the service asks by itself: one that hangs costs one deadline.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::process::{Child, Command, Stdio};

use libtest_mimic::Trial;
use serde_json::Value;

use super::running::UNASKED;
use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("engines::one_that_hangs_costs_one_deadline", hung),
        test("engines::they_are_not_asked_where_that_is_not_wanted", unasked),
    ]
}

/// A process that is called as an engine is, and listens, but never answers.
struct HungEngine {
    process: Child,
    listener: UnixListener,
    _directory: tempfile::TempDir,
}

impl HungEngine {
    fn start() -> Self {
        let directory = tempfile::Builder::new().prefix("lxkns-test-").tempdir().unwrap();
        let program = directory.path().join("dockerd");
        std::fs::copy("/bin/sleep", &program).unwrap();
        let listener = UnixListener::bind(directory.path().join("docker.sock")).unwrap();
        listener.set_nonblocking(true).unwrap();
        let listens_on = Stdio::from(OwnedFd::from(listener.try_clone().unwrap()));
        let process = Command::new(program).arg("1000000").stdin(listens_on).spawn().unwrap();
        Self { process, listener, _directory: directory }
    }

    /// How often this daemon has asked it since it was counted last. Others on this host may, too.
    fn asked_by(&self, daemon: &Daemon) -> usize {
        let reader = daemon.process("reader").unwrap();
        let connections = std::iter::from_fn(|| self.listener.accept().ok());
        let peers = connections.map(|(stream, _)| rustix::net::sockopt::socket_peercred(stream).unwrap().pid);
        peers.filter(|pid| pid.as_raw_nonzero().get() as u32 == reader).count()
    }

    /// Why it has not answered, by a snapshot.
    fn cause(&self, snapshot: &Value) -> Option<String> {
        let gaps = snapshot["discovery-options"]["snapshot"]["gaps"].as_array()?;
        let is_it = |gap: &&Value| gap["place"] == "containers" && gap["pid"] == self.process.id();
        Some(gaps.iter().find(is_it)?["cause"].as_str().unwrap().to_owned())
    }
}

impl Drop for HungEngine {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const SNAPSHOT: &str = "/api/v1/snapshot";

/// The first scan waits for it, the requests after that do not, nor do other scans within a minute.
fn hung() {
    let engine = HungEngine::start();
    let daemon = Daemon::start_with(&["--max-age", "3600"], |command| {
        command.env_remove(UNASKED);
    });
    let first = daemon.get(SNAPSHOT, &[]).json();
    assert_eq!(engine.cause(&first).as_deref(), Some("timed-out"), "{:#}", first["discovery-options"]);
    assert_eq!(engine.asked_by(&daemon), 1);
    for path in [SNAPSHOT, "/api/v1/namespaces", "/api/v1/containers", SNAPSHOT] {
        assert_eq!(daemon.get(path, &[]).status, 200, "{path}");
    }
    assert_eq!(engine.asked_by(&daemon), 0, "these have one scan");
    let again = daemon.json(SNAPSHOT);
    assert_eq!(engine.cause(&again).as_deref(), Some("not-tried"));
    assert_eq!(engine.asked_by(&daemon), 0, "it is left alone");
}

fn unasked() {
    let engine = HungEngine::start();
    let daemon = Daemon::start(&["--no-engines"]);
    assert_eq!(engine.cause(&daemon.json(SNAPSHOT)), None);
    assert_eq!(engine.asked_by(&daemon), 0);
}
