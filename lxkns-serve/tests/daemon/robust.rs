//! What does not end the service: clients that never finish, thousands of them, no descriptors, stopped processes, and a
//! log that nobody takes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use rustix::process::{Resource, Rlimit};

use super::running::{PATIENCE, exchange, request};
use super::tls::{Authority, Client, Files, SERVICE};
use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("robust::a_handshake_that_never_ends_is_given_up", handshake),
        test("robust::long_heads_are_refused_over_tls", long_heads),
        test("robust::a_client_may_close_its_half_over_tls", half_closed),
        test("robust::a_client_that_takes_nothing_over_tls_is_given_up", takes_nothing),
        test("robust::thousands_of_idle_clients_keep_no_other_out", thousands),
        test("robust::who_wants_new_scans_all_the_time_keeps_no_core_busy", new_scans),
        test("robust::one_place_is_enough_for_two_listeners", one_place),
        test("robust::without_descriptors_clients_wait_and_the_log_says_so_once", no_descriptors),
        test("robust::few_descriptors_make_fewer_places", few_descriptors),
        test("robust::a_supervisor_without_descriptors_waits_for_some", supervisor_without_descriptors),
        test("robust::no_deadline_follows_the_time_of_day", clocks),
        test("robust::stopped_processes_are_replaced", stopped),
        test("robust::who_watches_is_answered_while_the_reader_is_stopped", watched),
        test("robust::a_full_disk_under_the_log_ends_nothing", full_log),
        test("robust::a_log_that_nobody_reads_holds_nothing_up", stuck_log),
    ]
}

/// All that comes until the connection ends, which it does.
fn rest(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut bytes = Vec::new();
    let start = Instant::now();
    // The end, or that it was reset.
    let _ = stream.read_to_end(&mut bytes);
    assert!(start.elapsed() < PATIENCE, "it was kept");
    bytes
}

fn handshake() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let limits = ["--header-timeout", "0.3", "--max-connections", "4"];
    let daemon = files.daemon(&format!("{SERVICE}}}"), &limits);
    let client = Client::new(&authority, None);
    // Nothing, a header of a record, and all but the end of a handshake.
    let silent = daemon.connect();
    let mut begun = daemon.connect();
    begun.write_all(b"\x16\x03\x01\x02\x00").unwrap();
    let half = daemon.connect();
    let mut connection = client.connect(half.try_clone().unwrap());
    connection.conn.write_tls(&mut connection.sock).unwrap();
    assert_eq!(client.status(daemon.connect(), "/healthz"), Some(200));
    for stream in [silent, begun, half] {
        assert!(!rest(stream).starts_with(b"HTTP"));
    }
    // One that is through, and then says nothing.
    let mut idle = client.connect(daemon.connect());
    while idle.conn.is_handshaking() {
        idle.conn.complete_io(&mut idle.sock).unwrap();
    }
    let mut head = Vec::new();
    let _ = idle.read_to_end(&mut head);
    assert!(!head.starts_with(b"HTTP/1.1 2"), "{}", head.escape_ascii());
    let metrics = daemon.get_local("/metrics").text();
    assert!(metrics.contains("lxkns_http_refused_total{reason=\"tls\"} 3"), "{metrics}");
}

fn long_heads() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let daemon = files.daemon(&format!("{SERVICE}}}"), &[]);
    let client = Client::new(&authority, None);
    let header = format!("X: {}", "x".repeat(20_000));
    assert_eq!(client.get(&daemon, "/healthz", &[&header]).status, 431);
    let headers: Vec<String> = (0..100).map(|number| format!("X-{number}: 1")).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    assert_eq!(client.get(&daemon, "/healthz", &headers).status, 431);
    assert_eq!(client.get(&daemon, "/healthz", &[]).status, 200);
}

fn half_closed() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let daemon = files.daemon(&format!("{SERVICE}}}"), &[]);
    let client = Client::new(&authority, None);
    for says_so in [true, false] {
        let mut connection = client.connect(daemon.connect());
        connection.write_all(request("GET", "/healthz", &[]).as_bytes()).unwrap();
        if says_so {
            connection.conn.send_close_notify();
        }
        while connection.conn.wants_write() {
            connection.conn.write_tls(&mut connection.sock).unwrap();
        }
        connection.sock.shutdown(Shutdown::Write).unwrap();
        let mut all = Vec::new();
        let _ = connection.read_to_end(&mut all);
        // Answered, or closed: not kept.
        assert!(all.is_empty() || all.starts_with(b"HTTP/1.1 200 "), "{}", all.escape_ascii());
    }
    assert_eq!(client.status(daemon.connect(), "/healthz"), Some(200));
}

fn takes_nothing() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let limits = ["--write-timeout", "0.2", "--max-connections", "4"];
    let daemon = files.daemon(&format!("{SERVICE}}}"), &limits);
    let client = Client::new(&authority, None);
    let asked = request("GET", "/api/v1/snapshot", &["Cache-Control: max-age=86400"]).replace("close", "keep-alive");
    let connections: Vec<_> = (0..4)
        .map(|_| {
            let mut connection = client.connect(daemon.connect());
            // More than the kernel keeps for a client that does not read.
            connection.write_all(asked.repeat(100).as_bytes()).unwrap();
            connection
        })
        .collect();
    // There is room again only when those were given up.
    assert_eq!(client.status(daemon.connect(), "/healthz"), Some(200));
    drop(connections);
}

/// Has this process permitted as many descriptors as it may be; says how many.
fn raise_descriptors() -> u64 {
    let limits = rustix::process::getrlimit(Resource::Nofile);
    rustix::process::setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, ..limits }).unwrap();
    limits.maximum.unwrap_or(1 << 20)
}

fn thousands() {
    // This process needs some for other tests.
    let count = raise_descriptors().saturating_sub(2000).clamp(500, 10_000);
    println!("{count} connections");
    let daemon = Daemon::start(&["--max-connections", "15000", "--header-timeout", "3600"]);
    let idle: Vec<_> = (0..count).map(|_| daemon.connect()).collect();
    let start = Instant::now();
    while daemon.metric("lxkns_http_connections") < count as f64 {
        assert!(start.elapsed() < PATIENCE);
    }
    let asked = Instant::now();
    assert_eq!(daemon.get("/api/v1/namespaces", &["Cache-Control: max-age=86400"]).status, 200);
    println!("answered after {:?}", asked.elapsed());
    drop(idle);
    let start = Instant::now();
    while daemon.metric("lxkns_http_connections") > 10.0 {
        assert!(start.elapsed() < PATIENCE, "those that have gone are not kept");
    }
}

fn one_place() {
    let daemon = Daemon::start(&["--max-connections", "1"]);
    // The other listener waits meanwhile.
    for _ in 0..3 {
        assert_eq!(daemon.get("/healthz", &[]).status, 200);
    }
    for _ in 0..3 {
        assert_eq!(daemon.get_local("/healthz").status, 200);
    }
}

/// Sets how many descriptors the front may have: by a process of its user, as this one may lack CAP_SYS_RESOURCE.
fn limit_front(front: u32, limit: &str) {
    let mut command = if lxkns_fixture::probe::is_root() {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "prlimit"]);
        command
    } else {
        Command::new("prlimit")
    };
    assert!(command.args(["--pid", &front.to_string(), &format!("--nofile={limit}:")]).status().unwrap().success());
}

fn no_descriptors() {
    let daemon = Daemon::start(&["--header-timeout", "240"]);
    let mut kept = daemon.connect();
    let keep_alive = request("GET", "/healthz", &[]).replace("close", "keep-alive");
    let mut answer = [0; 12];
    kept.write_all(keep_alive.as_bytes()).unwrap();
    kept.read_exact(&mut answer).unwrap();
    let front = daemon.process("front").unwrap();
    // As many as it has for its standard streams.
    limit_front(front, "3");
    let mut waiting = daemon.connect();
    waiting.write_all(request("GET", "/healthz", &[]).as_bytes()).unwrap();
    daemon.logged(|line| line["message"] == "connections are not accepted");
    // Long enough for more attempts.
    waiting.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
    assert!(waiting.read(&mut answer).is_err(), "it waits");
    kept.write_all(keep_alive.as_bytes()).unwrap();
    kept.read_exact(&mut answer).unwrap();
    limit_front(front, "1000");
    waiting.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut all = Vec::new();
    waiting.read_to_end(&mut all).unwrap();
    assert!(all.starts_with(b"HTTP/1.1 200 "), "{}", all.escape_ascii());
    daemon.logged(|line| {
        assert_ne!(line["message"], "connections are not accepted", "once is enough");
        line["message"] == "connections are accepted again"
    });
    assert_eq!(daemon.process("front"), Some(front));
}

fn supervisor_without_descriptors() {
    let daemon = Daemon::start(&[]);
    let supervisor = rustix::process::Pid::from_raw(daemon.pid() as i32);
    let limit = |current| {
        let limits = Rlimit { current: Some(current), maximum: before().maximum };
        rustix::process::prlimit(supervisor, Resource::Nofile, limits).unwrap().current
    };
    // The supervisor has that many in use: standard streams, signals and listeners.
    let most = limit(6);
    let reader = daemon.process("reader").unwrap();
    assert!(Command::new("kill").args(["-KILL", &reader.to_string()]).status().unwrap().success());
    let told = daemon.logged(|line| line["message"].as_str().is_some_and(|said| said.starts_with("not started")));
    assert!(told["message"].as_str().unwrap().contains("Too many open files"), "{told}");
    assert_eq!(daemon.get("/healthz", &[]).status, 200, "the front goes on");
    limit(most.unwrap());
    assert!((0..100).any(|_| daemon.get("/api/v1/namespaces", &["Cache-Control: no-cache"]).status == 200));
}

/// The limits of this process, which are those of what it starts.
fn before() -> Rlimit {
    rustix::process::getrlimit(Resource::Nofile)
}

fn few_descriptors() {
    let daemon = Daemon::start_by(|socket| {
        let mut command = Command::new("sh");
        command.args(["-c", "ulimit -n 80 && exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_lxknsd"), "--log", "json"]);
        command.args(["--scan-timeout", "240", "--header-timeout", "0.5", "--listen", "127.0.0.1:0", "--listen"]);
        command.arg(format!("unix:{}", socket.display())).stdin(Stdio::null());
        command
    });
    let idle: Vec<_> = (0..100).map(|_| daemon.connect()).collect();
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
    assert_eq!(daemon.get_local("/healthz").status, 200);
    drop(idle);
}

fn new_scans() {
    let daemon = Daemon::start(&["--min-age", "1"]);
    let begin = Instant::now();
    let scans = || daemon.metric("lxkns_scan_duration_seconds_count");
    let before = scans();
    let newest = |reply: &super::Reply| reply.header("lxkns-state").unwrap().to_owned();
    let mut states = Vec::new();
    while states.len() < 3 {
        let reply = daemon.get("/api/v1/history", &["Cache-Control: no-cache"]);
        assert_eq!(reply.status, 200);
        assert!(reply.header("age").unwrap().parse::<u64>().unwrap() <= begin.elapsed().as_secs() + 1);
        if states.last() != Some(&newest(&reply)) {
            states.push(newest(&reply));
        }
    }
    // However often it was asked, and however slow the host is.
    let (made, seconds) = (scans() - before, begin.elapsed().as_secs_f64());
    assert!((2.0..=seconds + 2.0).contains(&made), "{made} scans in {seconds} s");
}

/// Nobody sets the clock of the host that tests run on; so this looks at who asks for the time of day, which may jump: the
/// scan alone, which only tells it.
fn clocks() {
    let mut directories = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src")];
    let (mut asking, mut seen) = (Vec::new(), 0);
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            seen += 1;
            let text = std::fs::read_to_string(&path).unwrap();
            let count =
                ["SystemTime::now", "UnixTime::now", "ClockId::Realtime"].iter().map(|call| text.matches(call).count());
            let (name, count) = (path.file_name().unwrap().to_owned(), count.sum::<usize>());
            asking.extend((count > 0).then_some((name, count)));
        }
    }
    assert!(seen > 40, "{seen} files");
    assert_eq!(asking, [("scans.rs".into(), 1)]);
}

fn watched() {
    let daemon = Daemon::start(&["--scan-timeout", "8"]);
    assert_eq!(daemon.get("/api/v1/namespaces", &[]).status, 200);
    let reader = daemon.process("reader").unwrap();
    let signal =
        |name: &str| assert!(Command::new("kill").args([name, &reader.to_string()]).status().unwrap().success());
    signal("-STOP");
    // More than there are places for.
    let metrics: Vec<_> = (0..40)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(request("GET", "/metrics", &[]).as_bytes()).unwrap();
            stream
        })
        .collect();
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
    let ready = daemon.get("/readyz", &[]);
    assert_eq!((ready.status, ready.json()["type"].as_str()), (504, Some("urn:lxkns:problem:timeout")));
    for mut stream in metrics {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 ") && text.contains("\nlxkns_up 0\n"), "{text}");
    }
    assert_eq!(daemon.process("reader"), Some(reader), "it was not replaced meanwhile");
    signal("-CONT");
    assert!((0..100).any(|_| daemon.get("/readyz", &[]).status == 200));
}

fn stopped() {
    let daemon = Daemon::start(&[]);
    for role in ["reader", "front"] {
        let pid = daemon.process(role).unwrap().to_string();
        assert!(Command::new("kill").args(["-STOP", &pid]).status().unwrap().success());
    }
    // Each is killed when it has said nothing for long enough, and the next one serves.
    let (mut silent, mut ready) = (Vec::new(), Vec::new());
    daemon.logged(|line| {
        let Some(process) = line["process"].as_str() else { return false };
        match line["message"].as_str() {
            Some("says nothing") => silent.push(process.to_owned()),
            // The first ones may say so only now.
            Some("ready") if silent.iter().any(|role| role == process) => ready.push(process.to_owned()),
            _ => {}
        }
        ready.len() == 2
    });
    silent.sort();
    assert_eq!(silent, ["front", "reader"]);
    let answered = (0..100).any(|_| daemon.get("/api/v1/namespaces", &[]).status == 200);
    assert!(answered);
}

/// A daemon that says on systemd's socket that it serves, as nobody may be there to read its log.
struct Quiet {
    supervisor: Child,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Quiet {
    fn start(stderr: impl Into<Stdio>) -> Self {
        let directory = tempfile::Builder::new().prefix("lxkns-test-").tempdir().unwrap();
        let (socket, notify) = (directory.path().join("socket"), directory.path().join("notify"));
        let told = UnixDatagram::bind(&notify).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxknsd"));
        command.arg("--listen").arg(format!("unix:{}", socket.display())).env("NOTIFY_SOCKET", &notify);
        command.args(["--scan-timeout", "240"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
        let supervisor = command.spawn().unwrap();
        let mut bytes = [0; 64];
        let length = told.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"READY=1");
        Self { supervisor, socket, _directory: directory }
    }

    fn status(&self, path: &str) -> u16 {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        exchange(stream, &request("GET", path, &[])).status
    }

    fn children(&self) -> Vec<String> {
        let pid = self.supervisor.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
        children.split_whitespace().map(str::to_owned).collect()
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

fn full_log() {
    let full = || OpenOptions::new().write(true).open("/dev/full").unwrap();
    let daemon = Quiet::start(full());
    let before = daemon.children();
    assert_eq!(before.len(), 2);
    for _ in 0..10 {
        assert_eq!(daemon.status("/api/v1/namespaces"), 200);
        assert_eq!(daemon.status("/none"), 404);
    }
    assert_eq!(daemon.children(), before, "none was started anew");
    // So do those that only say something and end.
    let output =
        Command::new(env!("CARGO_BIN_EXE_lxknsd")).args(["check", "--listen", "0.0.0.0:1"]).stderr(full()).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
    let status = Command::new(env!("CARGO_BIN_EXE_lxknsd")).arg("check").stdout(full()).stderr(full()).status();
    assert_eq!(status.unwrap().code(), Some(3));
}

fn stuck_log() {
    let (reads, writes) = std::io::pipe().unwrap();
    let held = writes.try_clone().unwrap();
    rustix::pipe::fcntl_setpipe_size(&held, 4096).unwrap();
    let daemon = Quiet::start(writes);
    let before = daemon.children();
    // Far more than the pipe holds.
    for _ in 0..200 {
        assert_eq!(daemon.status("/healthz"), 200);
    }
    assert_eq!(daemon.children(), before, "none was started anew");
    drop(held);
    let mut lines = BufReader::new(File::from(std::os::fd::OwnedFd::from(reads))).lines();
    // Who reads again is told what is missing.
    let (says, hears) = std::sync::mpsc::channel();
    std::thread::spawn(move || while says.send(lines.next()).is_ok() {});
    let start = Instant::now();
    loop {
        assert!(start.elapsed() < PATIENCE);
        assert_eq!(daemon.status("/healthz"), 200);
        let said: Vec<_> = hears.try_iter().flatten().map(Result::unwrap).collect();
        if said.iter().any(|line| line.contains("log lines lost lines=")) {
            break;
        }
    }
}
