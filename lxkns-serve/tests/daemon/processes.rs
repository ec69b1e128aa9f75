//! The three processes: what each has, and what happens when one ends.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use libtest_mimic::Trial;
use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::process::{Pid, PidfdFlags, Signal};

use super::running::PATIENCE;
use super::tls::{Authority, Client, Files, SERVICE};
use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        test("processes::the_front_has_nothing", confined),
        test("processes::each_is_started_anew_when_it_is_killed", killed),
        test("processes::all_end_with_the_supervisor", supervisor_killed),
        test("processes::a_signal_drains_and_ends_all", drained),
        test("processes::nobody_connects_to_one_that_stops", refuses),
        test("processes::systemd_is_told", systemd),
        test("processes::systemd_is_told_nothing_too_early", early_signal),
        test("processes::nobody_else_starts_one", alone),
    ];
    if cfg!(feature = "_intruder") {
        tests.push(test("processes::an_intruder_in_the_front_reaches_nothing", intruder));
        tests.push(test("processes::an_intruder_in_the_front_cannot_have_links_without_end", links));
        tests.push(test("processes::garbage_from_the_front_ends_the_connection_only", garbage));
    }
    tests
}

fn status(pid: u32) -> Vec<(String, String)> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let fields = text.lines().filter_map(|line| line.split_once(":\t"));
    fields.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

pub(super) fn field(pid: u32, name: &str) -> String {
    let found = status(pid).into_iter().find(|(known, _)| known == name);
    found.unwrap_or_else(|| panic!("{name} of {pid}")).1
}

fn is_root() -> bool {
    lxkns_fixture::probe::is_root()
}

fn confined() {
    const NONE: &str = "0000000000000000";
    let daemon = Daemon::start(&[]);
    let (front, reader) = (daemon.process("front").unwrap(), daemon.process("reader").unwrap());
    for name in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(field(front, name), NONE, "{name}");
    }
    assert_eq!((field(front, "Name").as_str(), field(reader, "Name").as_str()), ("lxknsd-front", "lxknsd-reader"));
    assert_eq!(field(front, "NoNewPrivs"), "1");
    assert_eq!(field(front, "Seccomp"), "2");
    if is_root() {
        assert_eq!(field(front, "CapBnd"), NONE);
        assert_eq!(field(front, "Uid"), "65534\t65534\t65534\t65534");
        assert_eq!((field(front, "Gid").as_str(), field(front, "Groups").trim()), ("65534\t65534\t65534\t65534", ""));
        assert_ne!(field(reader, "CapEff"), NONE);
        // None keeps the file system busy that the service was started in.
        for pid in [daemon.pid(), reader, front] {
            assert_eq!(std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap().as_os_str(), "/");
        }
        // No variables, and sockets alone but for what the runtime waits with and the log.
        let environment = std::fs::read(format!("/proc/{front}/environ")).unwrap();
        assert!(environment.is_empty(), "{}", environment.escape_ascii());
        for entry in std::fs::read_dir(format!("/proc/{front}/fd")).unwrap() {
            let entry = entry.unwrap();
            let number: u32 = entry.file_name().to_str().unwrap().parse().unwrap();
            let target = std::fs::read_link(entry.path()).unwrap();
            let target = target.to_string_lossy();
            let is_known = ["socket:", "anon_inode:"].iter().any(|kind| target.starts_with(kind));
            assert!(is_known || [1, 2].contains(&number), "descriptor {number}: {target}");
        }
    }
    assert_eq!(field(reader, "NoNewPrivs"), "1");
    assert_eq!(field(reader, "CapAmb"), NONE);
}

/// A handle on a process, and its end.
fn pidfd(pid: u32) -> std::os::fd::OwnedFd {
    rustix::process::pidfd_open(Pid::from_raw(pid as i32).unwrap(), PidfdFlags::empty()).unwrap()
}

fn has_ended(pidfd: &std::os::fd::OwnedFd) -> bool {
    let patience = Timespec::try_from(PATIENCE).unwrap();
    rustix::event::poll(&mut [PollFd::new(pidfd, PollFlags::IN)], Some(&patience)).unwrap() == 1
}

fn killed() {
    let daemon = Daemon::start(&[]);
    for role in ["reader", "front", "reader"] {
        let pid = daemon.process(role).unwrap();
        // Under load: clients that ask all the time, each of which gets an answer or is told why not.
        let address = daemon.address.clone();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let load = std::thread::spawn(move || {
            let mut seen = 0;
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let asked = std::net::TcpStream::connect(&address).and_then(|mut stream| {
                    stream.set_read_timeout(Some(PATIENCE))?;
                    stream.write_all(super::running::request("GET", "/api/v1/namespaces", &[]).as_bytes())?;
                    let mut all = String::new();
                    stream.read_to_string(&mut all)?;
                    Ok(all)
                });
                // A killed front says nothing.
                if let Ok(all) = asked
                    && !all.is_empty()
                {
                    assert!(all.starts_with("HTTP/1.1 200 ") || all.starts_with("HTTP/1.1 503 "), "{all}");
                    seen += 1;
                }
            }
            seen
        });
        let handle = pidfd(pid);
        rustix::process::pidfd_send_signal(&handle, Signal::KILL).unwrap();
        assert!(has_ended(&handle));
        let started = daemon.logged(|line| line["message"] == "started" && line["process"] == role);
        assert_ne!(started["pid"], pid);
        daemon.logged(|line| line["message"] == "ready" && line["process"] == role);
        let answered = (0..100).any(|_| daemon.get("/api/v1/namespaces", &["Cache-Control: no-cache"]).status == 200);
        assert!(answered, "{role} serves again");
        stop.send(()).unwrap();
        load.join().unwrap();
    }
    assert!(field(daemon.pid(), "State").starts_with('S'));
}

fn supervisor_killed() {
    let daemon = Daemon::start(&[]);
    let others = ["front", "reader"].map(|role| pidfd(daemon.process(role).unwrap()));
    assert_eq!(daemon.get("/api/v1/namespaces", &[]).status, 200);
    drop(daemon);
    assert!(others.iter().all(has_ended));
}

fn drained() {
    let mut daemon = Daemon::start(&[]);
    let others = ["front", "reader"].map(|role| pidfd(daemon.process(role).unwrap()));
    let socket = daemon.socket.clone();
    assert!(socket.exists());
    // A connection that is kept open does not keep the service.
    let _idle = daemon.connect();
    daemon.signal("-TERM");
    assert_eq!(daemon.wait().code(), Some(0));
    assert!(others.iter().all(has_ended));
    assert!(!socket.exists());
}

fn refuses() {
    let mut daemon = Daemon::start(&["--shutdown", "200", "--header-timeout", "200"]);
    let mut begun = daemon.connect();
    begun.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n").unwrap();
    // Those who connected before are accepted before.
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
    daemon.signal("-TERM");
    daemon.logged(|line| line["message"] == "stopping");
    // What was begun still keeps it; nobody else is left to wait.
    let connect = || std::net::TcpStream::connect(&daemon.address).map_err(|error| error.kind());
    while let Ok(mut late) = connect() {
        late.set_read_timeout(Some(PATIENCE)).unwrap();
        let _ = late.read(&mut [0]);
    }
    assert_eq!(connect().unwrap_err(), std::io::ErrorKind::ConnectionRefused);
    assert!(!daemon.socket.exists());
    begun.write_all(b"\r\n").unwrap();
    let mut answered = String::new();
    begun.read_to_string(&mut answered).unwrap();
    assert!(answered.starts_with("HTTP/1.1 200 "), "{answered}");
    assert_eq!(daemon.wait().code(), Some(0));
}

/// Whatever comes before it serves, systemd hears only then that it does.
fn early_signal() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let daemon = Daemon::start_unready(&[], |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    daemon.signal("-HUP");
    daemon.logged(|line| line["message"] == "ready" && line["process"].is_null());
    daemon.signal("-TERM");
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last| last != "STOPPING=1") {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        heard.push(String::from_utf8_lossy(&bytes[..length]).into_owned());
    }
    let heard: Vec<_> = heard.iter().filter_map(|state| state.split('=').next()).collect();
    // The signal may have come late.
    let orders = [&["RELOADING", "READY", "STOPPING"][..], &["READY", "RELOADING", "READY", "STOPPING"]];
    assert!(orders.contains(&&heard[..]), "{heard:?}");
}

fn systemd() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let next = || {
        let mut bytes = [0; 64];
        let length = socket.recv(&mut bytes).unwrap();
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    };
    let daemon = Daemon::start_with(&[], |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "100000");
    });
    let mut heard = vec![next()];
    while !heard.contains(&"READY=1".to_owned()) || heard.iter().filter(|state| *state == "WATCHDOG=1").count() < 3 {
        heard.push(next());
    }
    daemon.signal("-HUP");
    let reloading = std::iter::repeat_with(next).find(|state| state != "WATCHDOG=1").unwrap();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(next(), "READY=1");
    daemon.signal("-TERM");
    while next() != "STOPPING=1" {}
}

fn alone() {
    for role in ["front", "reader"] {
        let output =
            Command::new(env!("CARGO_BIN_EXE_lxknsd")).arg(role).stdin(std::process::Stdio::null()).output().unwrap();
        assert_eq!(output.status.code(), Some(3), "{role}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("only lxknsd itself"), "{role}");
    }
}

fn intruder() {
    // With all that it may be given: a key, and a thread that checks passwords.
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let daemon = files.daemon(&format!("{SERVICE}}}"), &[]);
    let key = files.path().join("key.pem");
    let reply = Client::new(&authority, None).get(&daemon, &format!("/intruder{}", key.display()), &[]);
    let tried = reply.json();
    let tried = tried.as_object().unwrap();
    assert!(tried.len() > 12, "{tried:?}");
    for (what, came) in tried {
        let expected = if what == "variables" { "0" } else { "1" };
        assert_eq!(came, expected, "{what}: EPERM is 1");
    }
    // What it can reach is what the reader answers.
    assert_eq!(daemon.get_local("/api/v1/namespaces").status, 200);
}

fn links() {
    let daemon = Daemon::start(&[]);
    let reader = daemon.process("reader").unwrap();
    let threads = || field(reader, "Threads").parse::<u32>().unwrap();
    assert_eq!(daemon.get("/api/v1/namespaces", &[]).status, 200);
    let before = threads();
    for _ in 0..300 {
        assert_eq!(daemon.get("/intruder/link", &[]).status, 200);
    }
    // Each takes the place of the last, and none comes at once.
    let answered = (0..100).any(|_| daemon.get("/api/v1/namespaces", &["Cache-Control: no-cache"]).status == 200);
    assert!(answered);
    let now = threads();
    assert!(now < before + 20, "{before} threads, then {now}");
    assert_eq!(daemon.process("reader"), Some(reader), "the reader goes on");
}

fn garbage() {
    let daemon = Daemon::start(&[]);
    let reader = daemon.process("reader").unwrap();
    for _ in 0..3 {
        assert_eq!(daemon.get("/intruder/garbage", &[]).status, 200);
        let answered = (0..100).any(|_| daemon.get("/api/v1/namespaces", &["Cache-Control: no-cache"]).status == 200);
        assert!(answered);
    }
    assert_eq!(daemon.process("reader"), Some(reader), "the reader goes on");
}
