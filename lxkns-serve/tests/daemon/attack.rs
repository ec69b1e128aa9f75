//! What others try: clients without credentials, clients with them, an intruder in the front, and whoever chose the path of
//! the socket.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;

use super::running::{PATIENCE, request};
use super::tls::Files;
use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        test("attack::no_file_but_a_socket_is_replaced", files_in_the_way),
        test("attack::who_only_connects_keeps_nobody_out", idle),
        test("attack::who_is_unknown_takes_no_request_from_others", unknown),
        test("attack::parameters_that_mean_nothing_make_no_answer", parameters),
    ];
    if cfg!(feature = "_intruder") {
        tests.push(test("attack::an_intruder_that_floods_the_supervisor_stops_neither_it_nor_the_reader", flood));
    }
    tests
}

fn files_in_the_way() {
    let directory = tempfile::Builder::new().prefix("lxkns-test-").tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    let start = |path: &Path| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxknsd"));
        command.arg("--listen").arg(format!("unix:{}", path.display())).stdin(Stdio::null());
        command.output().unwrap()
    };
    std::fs::write(at("file"), "precious").unwrap();
    symlink(at("file"), at("link")).unwrap();
    std::fs::create_dir(at("directory")).unwrap();
    for name in ["file", "link", "directory"] {
        let output = start(&at(name));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(3), "{name}: {said}");
        assert!(said.contains("a file that is not a socket is there"), "{name}: {said}");
    }
    assert_eq!(std::fs::read_to_string(at("link")).unwrap(), "precious");
    assert!(at("directory").is_dir());
    // A socket that another process listens on is not replaced either; one that is left is.
    let other = UnixListener::bind(at("socket")).unwrap();
    let output = start(&at("socket"));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another process listens there"));
    drop(other);
    let daemon = Daemon::start(&["--listen", &format!("unix:{}", at("socket").display())]);
    std::os::unix::net::UnixStream::connect(at("socket")).unwrap();
    drop(daemon);
}

fn idle() {
    let daemon = Daemon::start(&["--max-connections", "4", "--header-timeout", "3600"]);
    // One that is being answered stays.
    let mut follows = daemon.connect();
    follows.write_all(request("GET", "/api/v1/events", &[]).as_bytes()).unwrap();
    let mut begun = [0; 12];
    follows.read_exact(&mut begun).unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    let mut idle: Vec<_> = (0..20).map(|_| daemon.connect()).collect();
    // So does one that has just asked, and asks again.
    let keep_alive = request("GET", "/healthz", &[]).replace("close", "keep-alive");
    idle.push(daemon.connect());
    let asks = idle.last_mut().unwrap();
    for _ in 0..2 {
        asks.write_all(keep_alive.as_bytes()).unwrap();
        let mut all = Vec::new();
        while !all.ends_with(b"\r\n\r\nok\n") {
            let mut byte = [0];
            asks.read_exact(&mut byte).unwrap();
            all.extend(byte);
        }
        assert!(all.starts_with(b"HTTP/1.1 200"));
    }
    for _ in 0..3 {
        assert_eq!(daemon.get("/healthz", &[]).status, 200);
        assert_eq!(daemon.get_local("/healthz").status, 200);
    }
    assert!(daemon.metric("lxkns_event_clients") >= 1.0);
    assert!(daemon.metric("lxkns_http_refused_total{reason=\"idle\"}") >= 17.0);
    // Those that have waited for the longest time have left.
    let mut all = Vec::new();
    let first = &mut idle[0];
    first.set_read_timeout(Some(PATIENCE)).unwrap();
    let left = first.read_to_end(&mut all);
    assert!(all.is_empty() && !left.is_err_and(|error| error.kind() == std::io::ErrorKind::WouldBlock));
}

fn unknown() {
    let files = Files::new();
    let hash = bcrypt::hash("secret", 4).unwrap();
    let config = format!("basic_auth_users: {{alice: {hash}}}\nrate_limit: {{interval: 1h, burst: 2}}");
    let daemon = files.daemon(&config, &[]);
    for _ in 0..10 {
        assert_eq!(daemon.get("/api/v1/openapi.json", &[]).status, 401);
    }
    let alice = "Authorization: Basic YWxpY2U6c2VjcmV0";
    let statuses = [(); 3].map(|()| daemon.get("/api/v1/openapi.json", &[alice]).status);
    assert_eq!(statuses, [200, 200, 429]);
}

fn parameters() {
    const OLD: &str = "Cache-Control: max-age=86400";
    let daemon = Daemon::start(&[]);
    let snapshot = daemon.get("/api/v1/snapshot", &[OLD]);
    assert_eq!(snapshot.status, 200);
    let refused = daemon.get("/api/v1/snapshot?x=1", &[OLD]);
    assert_eq!((refused.status, refused.json()["type"].as_str()), (400, Some("urn:lxkns:problem:parameter")));
    // The Go program takes any, and looks at none: the answer is the same one.
    for path in ["/api/namespaces", "/api/processes", "/api/pidmap"] {
        let plain = daemon.get(path, &[OLD]);
        let more = daemon.get(&format!("{path}?_=1&since=2"), &[OLD]);
        assert_eq!((plain.status, more.status, plain.header("etag")), (200, 200, more.header("etag")), "{path}");
    }
}

fn flood() {
    let mut daemon = Daemon::start(&["--shutdown", "1"]);
    assert_eq!(daemon.get("/api/v1/namespaces", &[]).status, 200);
    let (front, reader) = (daemon.process("front").unwrap(), daemon.process("reader").unwrap());
    let mut asks = daemon.connect();
    asks.write_all(request("GET", "/intruder/flood", &[]).as_bytes()).unwrap();
    // The front is busy with that: it sends nothing else any more, so it has begun when this is not answered.
    let mut waits = daemon.connect();
    waits.write_all(request("GET", "/healthz", &[]).as_bytes()).unwrap();
    waits.set_read_timeout(Some(std::time::Duration::from_secs(2))).unwrap();
    assert!(waits.read_exact(&mut [0; 12]).is_err());
    assert_eq!((daemon.process("front"), daemon.process("reader")), (Some(front), Some(reader)));
    let threads: u32 = super::processes::field(reader, "Threads").parse().unwrap();
    assert!(threads < 32, "{threads} threads of the reader");
    daemon.signal("-TERM");
    assert_eq!(daemon.wait().code(), Some(0));
}
