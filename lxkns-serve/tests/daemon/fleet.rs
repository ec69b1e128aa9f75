//! One of many hosts: Prometheus scrapes the daemon, an alert leads to its answer, and its answers are for `lxkns` too. And
//! the host beside it: no file system is kept busy.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use libtest_mimic::Trial;
use lxkns_fixture::{Actor, probe};
use rustix::event::{PollFd, PollFlags, Timespec};
use serde_json::Value;

use super::running::PATIENCE;
use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    let needs = |is_met: bool, name, run| test(name, run).with_ignored_flag(!is_met);
    let is_root = probe::is_root();
    vec![
        needs(is_root && probe::program_exists("prometheus"), "fleet::an_alert_leads_to_the_answer", alert),
        needs(is_root && command().exists(), "fleet::the_command_reads_what_the_daemon_answers", from),
        needs(is_root, "fleet::no_file_system_is_kept_busy", busy),
    ]
}

/// The command `lxkns`, where it was built beside the daemon.
fn command() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_lxknsd")).with_file_name("lxkns")
}

/// A network namespace without a process that a mount keeps alive.
struct Orphan {
    holder: Actor,
    file: PathBuf,
    net: u64,
}

impl Orphan {
    fn new() -> Self {
        let directory = std::env::temp_dir().canonicalize().unwrap();
        let holder = Actor::spawn_in(&["mnt"]);
        holder.mount("tmpfs", &directory);
        let file = directory.join("net");
        holder.touch(&file);
        let inner = Actor::spawn_in(&["net"]);
        let net = inner.ns_inode("net");
        holder.bind(format!("/proc/{}/ns/net", inner.pid()), &file);
        Self { holder, file, net }
    }
}

/// A program that ends with this test.
struct Ends(Child);

impl Drop for Ends {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Prometheus with the files that come with the service, in less time, which tells this listener of alerts.
fn prometheus(directory: &Path, daemon: &Daemon, alerts: &TcpListener) -> Ends {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/prometheus");
    let read = |name: &str| fs::read_to_string(deploy.join(name)).unwrap();
    let soon = |line: &str| {
        let is_wait = line.trim_start().starts_with("for: ");
        format!("{}\n", if is_wait { "        for: 1s" } else { line })
    };
    let rules: String = read("lxknsd.rules.yaml").lines().map(soon).collect();
    fs::write(directory.join("lxknsd.rules.yaml"), rules).unwrap();
    let config = read("prometheus.yaml").replace("localhost:5010", &daemon.address);
    let config = config.replace("scrape_interval: 60s", "scrape_interval: 5s");
    let config = config.replace("scrape_timeout: 30s", "scrape_timeout: 5s");
    let told = alerts.local_addr().unwrap();
    let config = format!(
        "global:\n  evaluation_interval: 1s\nalerting:\n  alertmanagers:\n    - static_configs:\n        - targets: [\"{told}\"]\n\
         {config}"
    );
    fs::write(directory.join("prometheus.yaml"), config).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig=KILL", "prometheus", "--config.file=prometheus.yaml", "--storage.tsdb.path=data"]);
    command.args(["--web.listen-address=127.0.0.1:0", "--log.level=warn"]).current_dir(directory);
    Ends(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
}

/// The next alerts that the listener is told of.
fn told(alerts: &TcpListener) -> Vec<Value> {
    let patience = Timespec::try_from(PATIENCE).unwrap();
    let is_told = rustix::event::poll(&mut [PollFd::new(alerts, PollFlags::IN)], Some(&patience)).unwrap();
    assert_eq!(is_told, 1, "no alert");
    let (stream, _) = alerts.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    (&stream).write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn alert() {
    let daemon = Daemon::start(&["--max-age", "1"]);
    let alerts = TcpListener::bind("127.0.0.1:0").unwrap();
    let directory = tempfile::Builder::new().prefix("lxkns-test-").tempdir().unwrap();
    let _prometheus = prometheus(directory.path(), &daemon, &alerts);
    let orphan = Orphan::new();
    let is_it =
        |alert: &Value| alert["labels"]["alertname"] == "LxknsOrphanedNamespaces" && alert["labels"]["type"] == "net";
    let alert = loop {
        if let Some(alert) = told(&alerts).into_iter().find(is_it) {
            break alert;
        }
    };
    assert_eq!(alert["labels"]["instance"], daemon.address);
    let summary = alert["annotations"]["summary"].as_str().unwrap();
    assert!(summary.starts_with(&daemon.address) && summary.ends_with("orphaned net namespaces"), "{summary}");
    let link = alert["annotations"]["link"].as_str().unwrap();
    let path = link.strip_prefix(&format!("http://{}", daemon.address)).unwrap();
    // Other tests may have made others.
    let answer = daemon.json(path).to_string();
    assert!(answer.contains(&orphan.net.to_string()), "{link}: {answer}");
}

fn from() {
    let daemon = Daemon::start(&[]);
    let orphan = Orphan::new();
    let dump = daemon.get("/api/v1/snapshot", &["Cache-Control: no-cache"]).body;
    let mut why = Command::new(command());
    why.args(["why", &format!("net:{}", orphan.net), "--json", "--from", "-"]);
    let mut why = why.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut input = why.stdin.take().unwrap();
    let writer = std::thread::spawn(move || input.write_all(&dump));
    let output = why.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    let holders = said["results"][0]["holders"].to_string();
    assert!(holders.contains(orphan.file.to_str().unwrap()), "{said}");
}

fn busy() {
    let daemon = Daemon::start(&[]);
    let orphan = Orphan::new();
    let pid = orphan.holder.pid();
    let directory = orphan.file.parent().unwrap().to_owned();
    let device = fs::metadata(format!("/proc/{pid}/root{}", directory.display())).unwrap().dev();
    let device = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    // All that looks into it.
    for path in [
        format!("/api/v1/mounts/{pid}"),
        format!("/api/v1/why?target=net:{}", orphan.net),
        format!("/api/v1/namespaces/net:{}", orphan.net),
        "/api/v1/links".to_owned(),
        "/api/v1/orphans".to_owned(),
    ] {
        daemon.json(&path);
    }
    let said = daemon.json(&format!("/api/v1/busy?path={device}")).to_string();
    for pid in [Some(daemon.pid()), daemon.process("reader"), daemon.process("front")].into_iter().flatten() {
        assert!(!said.contains(&format!("\"pid\":{pid},")), "process {pid}: {said}");
    }
    // The kernel agrees.
    orphan.holder.umount(&orphan.file);
    orphan.holder.umount(&directory);
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
}
