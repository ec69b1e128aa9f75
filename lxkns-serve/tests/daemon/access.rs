//! Who is let in: over TLS, with certificates, passwords and tokens, and over UNIX sockets by their user.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use libtest_mimic::Trial;
use rustix::net::{AddressFamily, SocketType};

use super::running::{PATIENCE, exchange, request};
use super::tls::{Authority, Client, Files, NAME, SERVICE};
use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("access::variables_stand_for_options", variables),
        test("access::a_check_says_what_would_be_served", checked_whole),
        test("access::over_tls_only_tls_is_answered", tls),
        test("access::versions_are_those_that_are_configured", versions),
        test("access::only_clients_with_a_good_certificate_are_let_in", certificates),
        test("access::the_log_says_whose_certificate_it_was", names_in_log),
        test("access::a_password_or_a_token_is_needed", credentials),
        test("access::wrong_passwords_do_not_hold_up_others", wrong_passwords),
        test("access::only_so_many_requests_are_answered", rate),
        test("access::a_new_configuration_is_taken_under_load", reloaded),
        test("access::a_broken_configuration_changes_nothing", broken),
        test("access::a_configuration_may_not_open_what_it_closed", opened),
        test("access::events_end_when_a_client_is_no_longer_known", events),
        test("access::each_process_is_started_anew_under_tls", killed),
        test("access::unix_sockets_are_for_the_users_that_are_named", peers),
        test("access::only_a_socket_that_nobody_listens_on_is_replaced", replaced),
        test("access::sockets_of_systemd_are_served", passed),
        test("access::it_can_be_checked_who_would_be_served", checked),
    ]
}

fn basic(user: &str, password: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// A user of the configuration.
fn user(name: &str, password: &str, cost: u32) -> String {
    format!("  {name}: {}\n", bcrypt::hash(password, cost).unwrap())
}

fn sha256(text: &str) -> String {
    let hash = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn tls() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let headers = "http_server_config: {headers: {Strict-Transport-Security: max-age=1, X-Frame-Options: deny}}";
    let daemon = files.daemon(&format!("{SERVICE}}}\n{headers}\n"), &[]);
    let client = Client::new(&authority, None);
    let host = format!("Host: {NAME}:5010");
    let reply = client.get(&daemon, "/api/v1/namespaces", &[&host]);
    assert_eq!(reply.status, 200, "its name is that of its certificate: {}", reply.text());
    assert_eq!(reply.header("strict-transport-security"), Some("max-age=1"));
    assert_eq!(client.get(&daemon, "/healthz", &["Host: evil.example"]).status, 421);
    let long = client.get(&daemon, "/api/v1/snapshot", &["Cache-Control: max-age=86400"]);
    assert_eq!((long.status, long.header("x-frame-options")), (200, Some("deny")));
    long.json();
    // What is not encrypted gets no answer.
    let mut plain = daemon.connect();
    plain.write_all(request("GET", "/healthz", &[]).as_bytes()).unwrap();
    let mut bytes = Vec::new();
    let _ = plain.read_to_end(&mut bytes);
    assert!(!bytes.starts_with(b"HTTP"), "{}", bytes.escape_ascii());
    // One who trusts others does not speak to it.
    assert_eq!(Client::new(&Authority::new("b"), None).status(daemon.connect(), "/healthz"), None);
    let local = daemon.get_local("/metrics").text();
    assert!(local.contains("lxkns_http_refused_total{reason=\"tls\"} 2"), "{local}");
    assert!(local.contains("lxkns_http_refused_total{reason=\"host\"} 1"), "{local}");
}

fn versions() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let (old, new) = (&[&rustls::version::TLS12][..], &[&rustls::version::TLS13][..]);
    for (more, speaks) in
        [("", [true, true]), (", min_version: TLS13", [false, true]), (", max_version: TLS12", [true, false])]
    {
        let daemon = files.daemon(&format!("{SERVICE}{more}}}"), &[]);
        for (versions, speaks) in [old, new].into_iter().zip(speaks) {
            let client = Client::speaking(&authority, None, versions);
            assert_eq!(client.status(daemon.connect(), "/healthz"), speaks.then_some(200), "{more} {versions:?}");
        }
    }
    let suite = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384";
    let daemon = files.daemon(&format!("{SERVICE}, cipher_suites: [{suite}], curve_preferences: [CurveP384]}}"), &[]);
    let mut connection = Client::speaking(&authority, None, old).connect(daemon.connect());
    connection.write_all(request("GET", "/healthz", &[]).as_bytes()).unwrap();
    connection.read_exact(&mut [0; 12]).unwrap();
    let spoken = connection.conn.negotiated_cipher_suite().unwrap().suite();
    assert_eq!(spoken.as_str(), Some(suite));
    let group = connection.conn.negotiated_key_exchange_group().unwrap().name();
    assert_eq!(group, rustls::NamedGroup::secp384r1);
}

fn names_in_log() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    files.put("ca.pem", &authority.pem());
    let clients = "client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert";
    let daemon = files.daemon(&format!("{SERVICE}, {clients}, client_allowed_sans: [good.example]}}"), &[]);
    // A name that would control a terminal, and another one.
    let evil = authority.called("e\u{1b}[31m DNS:root.example", &["good.example", "also.example"]);
    assert_eq!(Client::new(&authority, Some(&evil)).status(daemon.connect(), "/healthz"), Some(200));
    let line = daemon.logged(|line| line["route"] == "/healthz");
    let names = "CN=e\\x1b[31m\\x20DNS:root.example DNS:good.example DNS:also.example";
    assert_eq!(line["certificate"], names, "{line}");
    let other = authority.called("other", &["other.example"]);
    assert_eq!(Client::new(&authority, Some(&other)).status(daemon.connect(), "/healthz"), None);
    let line = daemon.logged(|line| line["message"] == "connection refused");
    assert_eq!(line["certificate"], "CN=other DNS:other.example", "{line}");
}

fn certificates() {
    let (authority, others) = (Authority::new("a"), Authority::new("b"));
    let files = Files::of_service(&authority);
    files.put("ca.pem", &authority.pem());
    let clients = "client_ca_file: ca.pem, client_auth_type";
    let good = authority.client("prometheus.example");
    let named = authority.client("other.example");
    let expired = authority.expired_client("prometheus.example");
    let foreign = others.client("prometheus.example");
    // A certificate of a service is none of a client.
    let wrong_kind = authority.service();
    let required = format!(
        "{SERVICE}, {clients}: RequireAndVerifyClientCert, client_allowed_sans: [192.0.2.1, prometheus.example]}}"
    );
    let daemon = files.daemon(&required, &[]);
    for (own, status, what) in [
        (None, None, "none"),
        (Some(&good), Some(200), "good"),
        (Some(&named), None, "another name"),
        (Some(&expired), None, "expired"),
        (Some(&foreign), None, "another authority"),
        (Some(&wrong_kind), None, "of a service"),
    ] {
        for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
            let client = Client::speaking(&authority, own, &[version]);
            assert_eq!(client.status(daemon.connect(), "/healthz"), status, "{what}: {version:?}");
        }
    }
    let metrics = daemon.get_local("/metrics").text();
    assert!(metrics.contains("lxkns_http_refused_total{reason=\"certificate\"} 2"), "{metrics}");
    drop(daemon);
    let daemon = files.daemon(&format!("{SERVICE}, {clients}: VerifyClientCertIfGiven}}"), &[]);
    for (own, status) in [(None, Some(200)), (Some(&good), Some(200)), (Some(&expired), None), (Some(&foreign), None)] {
        assert_eq!(Client::new(&authority, own).status(daemon.connect(), "/healthz"), status);
    }
}

fn credentials() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let users = format!("basic_auth_users:\n{}{}", user("alice", "secret", 4), user("bob", "other", 5));
    let tokens = files.put("tokens", &format!("{}  for tests\n", sha256("token")));
    let daemon = files.daemon(&format!("{SERVICE}}}\n{users}"), &["--bearer-token-file", tokens.to_str().unwrap()]);
    let client = Client::new(&authority, None);
    let path = "/api/v1/namespaces";
    for (header, name) in [(basic("bob", "other"), "bob"), ("Authorization: Bearer token".to_owned(), "for tests")] {
        client.get(&daemon, path, &[&header]);
        let line = daemon.logged(|line| line["request"].is_string());
        assert_eq!(line["user"], name, "the log says who has asked: {line}");
    }
    for (header, status) in [
        (basic("alice", "secret"), 200),
        (basic("bob", "other"), 200),
        ("Authorization: Bearer token".to_owned(), 200),
        (basic("alice", "other"), 401),
        (basic("alice", ""), 401),
        (basic("carol", "secret"), 401),
        ("Authorization: Basic alice:secret".to_owned(), 401),
        ("Authorization: Bearer secret".to_owned(), 401),
        (format!("Authorization: Bearer {}", sha256("token")), 401),
        ("X: y".to_owned(), 401),
    ] {
        // Also where it is known by now.
        for _ in 0..2 {
            assert_eq!(client.get(&daemon, path, &[&header]).status, status, "{header}");
        }
    }
    let refused = client.get(&daemon, "/no/such/path", &[]);
    assert_eq!((refused.status, refused.header("content-type")), (401, Some("application/problem+json")));
    assert_eq!(refused.json()["type"], "urn:lxkns:problem:credentials");
    let challenges: Vec<_> = refused.headers.iter().filter(|(name, _)| name == "www-authenticate").collect();
    assert!(challenges.len() == 2 && challenges[0].1.starts_with("Basic realm="), "{challenges:?}");
    for path in ["/", "/metrics", "/readyz", "/api/v1/openapi.json", "/api/namespaces", "//healthz"] {
        assert_eq!(client.get(&daemon, path, &[]).status, 401, "{path}");
    }
    assert_eq!(client.get(&daemon, "/healthz", &[]).status, 200);
    assert_eq!(daemon.get_local(path).status, 200, "over a UNIX socket the kernel says who it is");
}

/// A connection from an address of this host's.
fn connect_from(daemon: &Daemon, own: Ipv4Addr) -> TcpStream {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&socket, &SocketAddr::V4(SocketAddrV4::new(own, 0))).unwrap();
    rustix::net::connect(&socket, &daemon.address.parse::<SocketAddr>().unwrap()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn wrong_passwords() {
    let files = Files::new();
    // Each takes most of a second where nothing is optimized.
    let users = format!("basic_auth_users:\n{}", user("alice", "secret", 10));
    let tokens = files.put("tokens", &sha256("token"));
    let daemon = files.daemon(&users, &["--bearer-token-file", tokens.to_str().unwrap()]);
    let (daemon, is_over) = (&daemon, &AtomicBool::new(false));
    let answered = &AtomicUsize::new(0);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let reply = daemon.get("/api/v1/namespaces", &["Authorization: Bearer token"]);
                assert_eq!(reply.status, 200);
                answered.fetch_add(1, Ordering::Relaxed);
            }
        });
        let tries = (0..16).map(|number| {
            let header = basic("alice", &format!("wrong {number}"));
            scope.spawn(move || daemon.get("/healthz/../metrics", &[&header]).status)
        });
        let tries: Vec<_> = tries.collect();
        // One by one: each is refused, the last ones without a look.
        let statuses: Vec<u16> = tries.into_iter().map(|one| one.join().unwrap()).collect();
        let before = answered.load(Ordering::Relaxed);
        assert!(before > 0, "others were answered meanwhile");
        assert!(statuses.iter().all(|status| [401, 429].contains(status)), "{statuses:?}");
        assert!(statuses.contains(&401) && statuses.contains(&429), "{statuses:?}");
        is_over.store(true, Ordering::Relaxed);
    });
    // This client has tried too often, also for the right one; another has not.
    let mut last = daemon.get("/metrics", &[&basic("alice", "wrong again")]);
    for number in 0..100 {
        if last.status == 429 {
            break;
        }
        last = daemon.get("/metrics", &[&basic("alice", &format!("wrong again {number}"))]);
    }
    assert_eq!((last.status, last.header("retry-after")), (429, Some("6")), "{}", last.text());
    let right = request("GET", "/metrics", &[&basic("alice", "secret")]);
    let reply = exchange(connect_from(daemon, Ipv4Addr::new(127, 0, 0, 2)), &right);
    assert_eq!(reply.status, 200, "{}", reply.text());
    // What was right once is known, from wherever it comes.
    assert_eq!(exchange(daemon.connect(), &right).status, 200);
    assert!(reply.text().contains("lxkns_http_refused_total{reason=\"logins\"}"), "{}", reply.text());
}

fn rate() {
    let files = Files::new();
    let daemon = files.daemon("rate_limit: {interval: 1h, burst: 3}", &[]);
    for _ in 0..3 {
        assert_eq!(daemon.get("/api/v1/openapi.json", &[]).status, 200);
    }
    let refused = daemon.get("/api/v1/openapi.json", &[]);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert_eq!(refused.json()["type"], "urn:lxkns:problem:rate");
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
}

fn reloaded() {
    let (first, second) = (Authority::new("a"), Authority::new("b"));
    let files = Files::of_service(&first);
    let daemon = files.daemon(&format!("{SERVICE}}}"), &[]);
    let clients = [Client::new(&first, None), Client::new(&second, None)];
    // One that stays connected: it was let in by what is no longer so.
    let mut kept = clients[0].connect(daemon.connect());
    let text = request("GET", "/healthz", &[]).replace("close", "keep-alive");
    kept.write_all(text.as_bytes()).unwrap();
    kept.read_exact(&mut [0; 12]).unwrap();
    let (is_over, served) = (&AtomicBool::new(false), &[AtomicUsize::new(0), AtomicUsize::new(0)]);
    std::thread::scope(|scope| {
        for (client, served) in clients.iter().zip(served) {
            let daemon = &daemon;
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    match client.status(daemon.connect(), "/api/v1/namespaces") {
                        // It does not trust the certificate that there is, or was let in by the one before.
                        None => {}
                        status => {
                            assert_eq!(status, Some(200));
                            served.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
        let comes = |served: &AtomicUsize| {
            let before = served.load(Ordering::Relaxed);
            let start = Instant::now();
            while served.load(Ordering::Relaxed) == before {
                assert!(start.elapsed() < PATIENCE);
                std::thread::yield_now();
            }
        };
        comes(&served[0]);
        for (pair, new) in [(second.service(), 1), (first.service(), 0), (second.service(), 1)] {
            files.put_service(&pair);
            daemon.signal("-HUP");
            daemon.logged(|line| line["message"] == "configuration taken");
            comes(&served[new]);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let mut rest = Vec::new();
    let _ = kept.read_to_end(&mut rest);
    assert!(rest.ends_with(b"ok\n"), "the connection has ended after its answer: {}", rest.escape_ascii());
    // One that is started anew has the new one, too.
    let front = daemon.process("front").unwrap();
    assert!(Command::new("kill").args(["-KILL", &front.to_string()]).status().unwrap().success());
    daemon.logged(|line| line["message"] == "ready" && line["process"] == "front");
    assert_eq!(clients[1].get(&daemon, "/api/v1/namespaces", &[]).status, 200);
}

fn broken() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let config = format!("{SERVICE}}}\nbasic_auth_users:\n{}", user("alice", "secret", 4));
    let daemon = files.daemon(&config, &[]);
    let client = Client::new(&authority, None);
    let key = std::fs::read_to_string(files.path().join("key.pem")).unwrap();
    let cases: [(&str, &str, &str); 4] = [
        ("key.pem", &Authority::new("b").service().key, "certificate and key"),
        ("web.yml", "basic_auth_users: {alice: secret}", "not a bcrypt hash"),
        ("web.yml", "tls_server_config: {cert_fiel: x}", "cert_file: missing"),
        ("cert.pem", "", "no certificate"),
    ];
    for (file, text, why) in cases {
        files.put(file, text);
        daemon.signal("-HUP");
        let line = daemon.logged(|line| line["level"] == "WARN");
        let message = line["message"].as_str().unwrap();
        assert!(message.contains("the last one stays") && message.contains(why), "{message}");
        assert!(!message.contains("secret"), "{message}");
        assert_eq!(client.get(&daemon, "/metrics", &[]).status, 401);
        assert_eq!(client.get(&daemon, "/metrics", &[&basic("alice", "secret")]).status, 200);
        files.put("key.pem", &key);
        files.put("web.yml", &config);
    }
}

fn opened() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let config = format!("{SERVICE}}}\nbasic_auth_users:\n{}", user("alice", "secret", 4));
    let daemon = files.daemon(&config, &["--listen", "0.0.0.0:0"]);
    files.put("web.yml", &format!("{SERVICE}}}"));
    daemon.signal("-HUP");
    let line = daemon.logged(|line| line["level"] == "WARN");
    let message = line["message"].as_str().unwrap();
    assert!(message.contains("0.0.0.0") && message.contains("no authentication"), "{message}");
    assert_eq!(Client::new(&authority, None).get(&daemon, "/metrics", &[]).status, 401);
}

fn events() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let tokens = files.put("tokens", &sha256("token"));
    let daemon = files.daemon(&format!("{SERVICE}}}"), &["--bearer-token-file", tokens.to_str().unwrap()]);
    let client = Client::new(&authority, None);
    let follow = || {
        let mut connection = client.connect(daemon.connect());
        let text = request("GET", "/api/v1/events", &["Authorization: Bearer token"]);
        connection.write_all(text.as_bytes()).unwrap();
        BufReader::new(connection)
    };
    let mut followed = follow();
    let mut lines = Vec::new();
    while !lines.last().is_some_and(|line: &String| line.starts_with("data: ")) {
        lines.push(String::new());
        assert_ne!(followed.read_line(lines.last_mut().unwrap()).unwrap(), 0, "{lines:?}");
    }
    assert!(lines[0].starts_with("HTTP/1.1 200 "), "{lines:?}");
    files.put("tokens", &sha256("another"));
    daemon.signal("-HUP");
    daemon.logged(|line| line["message"] == "configuration taken");
    let taken = Instant::now();
    let _ = followed.read_to_end(&mut Vec::new());
    assert!(taken.elapsed() < Duration::from_secs(45), "it ends at once, not as an answer that takes its time");
    let mut head = String::new();
    follow().read_line(&mut head).unwrap();
    assert!(head.starts_with("HTTP/1.1 401 "), "{head}");
}

fn killed() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let daemon = files.daemon(&format!("{SERVICE}}}"), &[]);
    let client = &Client::new(&authority, None);
    for role in ["front", "reader"] {
        let (stop, stopped) = channel::<()>();
        std::thread::scope(|scope| {
            let daemon = &daemon;
            scope.spawn(move || {
                while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                    // A killed front says nothing.
                    let status = client.status(daemon.connect(), "/api/v1/namespaces");
                    assert!([None, Some(200), Some(503)].contains(&status), "{status:?}");
                }
            });
            let pid = daemon.process(role).unwrap();
            assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
            daemon.logged(|line| line["message"] == "ready" && line["process"] == role);
            let answered = (0..100).any(|_| client.status(daemon.connect(), "/api/v1/namespaces") == Some(200));
            assert!(answered, "{role} serves again");
            stop.send(()).unwrap();
        });
    }
}

fn peers() {
    let own = rustix::process::geteuid().as_raw();
    let daemon = Daemon::start(&["--allow-uid", &format!("{own},4294967290")]);
    assert_eq!(daemon.get_local("/healthz").status, 200);
    let mode = std::fs::metadata(&daemon.socket).unwrap();
    assert_eq!((mode.mode() & 0o7777, mode.gid()), (0o660, rustix::process::getegid().as_raw()));
    drop(daemon);
    let group = rustix::process::getgroups().unwrap().first().map_or(own, |group| group.as_raw());
    let group = if lxkns_fixture::probe::is_root() { 65_533 } else { group };
    let daemon = Daemon::start(&["--allow-uid", "4294967290", "--socket-group", &group.to_string()]);
    let refused = daemon.get_local("/healthz");
    assert_eq!((refused.status, refused.header("connection")), (403, Some("close")));
    assert_eq!(refused.json()["type"], "urn:lxkns:problem:peer");
    let mode = std::fs::metadata(&daemon.socket).unwrap();
    assert_eq!((mode.mode() & 0o7777, mode.gid()), (0o660, group));
    // TCP has no users.
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
    assert_eq!(daemon.metric("lxkns_http_refused_total{reason=\"peer\"}"), 1.0);
}

fn replaced() {
    let files = Files::new();
    let path = files.put("socket", "not ours");
    let refused = |why: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxknsd"));
        let output = command.arg("--listen").arg(format!("unix:{}", path.display())).output().unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(3) && log.contains(why), "{log}");
    };
    refused("not a socket");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "not ours");
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/null", &path).unwrap();
    refused("not a socket");
    std::fs::remove_file(&path).unwrap();
    // One that accepts nothing, and has no room for another connection.
    let listener = UnixListener::bind(&path).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let _waits = UnixStream::connect(&path).unwrap();
    refused("another process listens");
    drop(listener);
    let daemon = Daemon::start_by(|_| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxknsd"));
        command.args(["--log", "json", "--scan-timeout", "240", "--listen", "127.0.0.1:0", "--listen"]);
        command.arg(format!("unix:{}", path.display()));
        command
    });
    let stream = UnixStream::connect(&path).unwrap();
    assert_eq!(exchange(stream, &request("GET", "/healthz", &[])).status, 200);
    drop(daemon);
}

/// A command with a listening socket as systemd passes it: descriptor 3.
fn with_socket(listener: TcpListener, arguments: &[&str]) -> Command {
    let mut command = Command::new("sh");
    // The number of the process is that of the program that the shell becomes.
    command.args(["-c", "exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" \"$@\""]);
    command.arg(env!("CARGO_BIN_EXE_lxknsd")).args(["--log", "json", "--listen", "systemd"]).args(arguments);
    command.stdin(std::os::fd::OwnedFd::from(listener));
    command
}

fn passed() {
    let loopback = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = loopback.local_addr().unwrap();
    let mut passed = None;
    let daemon = Daemon::start_by(|socket| {
        let mut command = with_socket(loopback, &["--scan-timeout", "240", "--listen"]);
        command.arg(format!("unix:{}", socket.display()));
        passed = Some(address);
        command
    });
    assert_eq!(daemon.address, format!("{address}, descriptor 3 of systemd"));
    let stream = TcpStream::connect(passed.unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(exchange(stream, &request("GET", "/api/v1/namespaces", &[])).status, 200);
    drop(daemon);
    // What systemd listens on may be more than is to be served.
    let run = |arguments: &[&str]| -> Output {
        with_socket(TcpListener::bind("0.0.0.0:0").unwrap(), arguments).output().unwrap()
    };
    let refused = run(&[]);
    let log = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(3) && log.contains("neither TLS nor authentication"), "{log}");
    // Those of another process are not taken.
    let other = Command::new(env!("CARGO_BIN_EXE_lxknsd"))
        .args(["--listen", "systemd"])
        .env("LISTEN_PID", "1")
        .env("LISTEN_FDS", "1")
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&other.stderr).contains("passed no socket"));
}

fn checked() {
    let authority = Authority::new("a");
    let files = Files::of_service(&authority);
    let check = |config: &str, arguments: &[&str]| {
        let config = files.put("web.yml", config);
        let mut command = Command::new(env!("CARGO_BIN_EXE_lxknsd"));
        let output = command.arg("check").arg("--web.config.file").arg(config).args(arguments).output().unwrap();
        let text = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(text).unwrap())
    };
    let users = format!("basic_auth_users:\n{}", user("alice", "secret", 4));
    let open = ["--listen", "0.0.0.0:5010,127.0.0.1:1,unix:/run/a"];
    let (code, said) = check(&format!("{SERVICE}}}\n{users}"), &open);
    assert_eq!(code, Some(0), "{said}");
    let how = "(TLS 1.2 or 1.3, with a password (1 user))";
    assert_eq!(
        said,
        format!(
            "https://0.0.0.0:5010: to everyone who can reach it {how}\nhttps://127.0.0.1:1: to every process of this \
             network namespace {how}\nunix:/run/a: to the user and the group of the service\ncommand lines: not read\nfiles: not looked up\n"
        )
    );
    for (config, why) in [
        (format!("{SERVICE}}}"), "there is no authentication"),
        (users, "there is no TLS"),
        (String::new(), "there is neither TLS nor authentication"),
    ] {
        let (code, said) = check(&config, &open);
        assert!(code == Some(2) && said.contains("0.0.0.0:5010: ") && said.contains(why), "{said}");
        let (code, said) = check(&config, &[&open[..], &["--insecure-listen"]].concat());
        assert!(code == Some(0) && said.contains("(--insecure-listen)"), "{said}");
    }
    let (code, said) = check("tls: {}", &[]);
    assert!(code == Some(2) && said.contains("web.yml: tls: unknown key") && said.lines().count() == 1, "{said}");
}

/// What `lxknsd check` says with these variables, and its exit code.
fn check_with(variables: &[(&str, &str)], arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lxknsd"));
    let output = command.arg("check").args(arguments).envs(variables.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

fn variables() {
    let open = ("LXKNSD_LISTEN", "0.0.0.0:1");
    let served = "http://0.0.0.0:1: to everyone who can reach it, without TLS and authentication (--insecure-listen)\n";
    for (value, is_on) in
        [("1", true), ("true", true), ("YES", true), ("on", true), ("0", false), ("no", false), ("", false)]
    {
        let (code, said, _) = check_with(&[open, ("LXKNSD_INSECURE_LISTEN", value)], &[]);
        assert_eq!((code, said.starts_with(served)), (Some(if is_on { 0 } else { 2 }), is_on), "{value}: {said}");
    }
    // The variable is named where it is wrong, in one line.
    for (name, value, why) in [
        ("LXKNSD_INSECURE_LISTEN", "maybe", "invalid value 'maybe' for LXKNSD_INSECURE_LISTEN: expected true or false"),
        ("LXKNSD_LOG", "xml", "invalid value 'xml' for LXKNSD_LOG [possible values: text, json]"),
        ("LXKNSD_MAX_AGE", "soon", "invalid value 'soon' for LXKNSD_MAX_AGE: not a number of seconds up to 86400"),
        (
            "LXKNSD_HOST",
            "a:1",
            "invalid value 'a:1' for LXKNSD_HOST: expected a name without a port, e.g. lxkns.example",
        ),
    ] {
        let (code, said, failed) = check_with(&[(name, value)], &[]);
        assert_eq!((code, said.as_str(), failed), (Some(2), "", format!("lxknsd: {why}\n")));
    }
    // The command line counts, also where it is wrong.
    assert_eq!(check_with(&[("LXKNSD_LOG", "xml")], &["--log", "json"]).0, Some(0));
    assert_eq!(
        check_with(&[("LXKNSD_LISTEN", "nowhere")], &["--listen=127.0.0.1:7"]).1.split(": ").next(),
        Some("http://127.0.0.1:7")
    );
    let (code, _, failed) = check_with(&[("LXKNSD_LOG", "json")], &["--log=xml"]);
    assert!(code == Some(2) && failed.contains("'--log <FORM>'"), "{failed}");
    // An empty variable is one that is not set, whatever it stands for.
    let help = Command::new(env!("CARGO_BIN_EXE_lxknsd")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    let names: Vec<_> = help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next()).collect();
    assert!(names.len() > 25, "{names:?}");
    let empty: Vec<_> = names.iter().map(|&name| (name, "")).collect();
    assert_eq!(check_with(&empty, &[]), check_with(&[], &[]));
    // One that stands for nothing is mistyped.
    let mistyped = [("LXKNSD_ALLOW_UIDS", "0"), ("LXKNSD_SERVICE_HOST", "10.0.0.1"), ("LXKNSD_PORT_5010_TCP", "x")];
    let (code, _, warned) = check_with(&mistyped, &[]);
    assert_eq!((code, warned.as_str()), (Some(0), "lxknsd: LXKNSD_ALLOW_UIDS: not a variable of lxknsd; ignored\n"));
}

fn checked_whole() {
    let arguments =
        ["--base-path", "/below/", "--host", "a.example,b.example", "--expose-files", "--expose-command-lines"];
    let said = "http://127.0.0.1:5010/below: to every process of this network namespace\nnames: a.example, b.example\n\
                command lines: shown\nfiles: looked up for clients\n";
    assert_eq!(check_with(&[], &arguments), (Some(0), said.to_owned(), String::new()));
}
