//! What happens is told as it happens.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;

use libtest_mimic::Trial;
use lxkns_fixture::Actor;
use serde_json::{Value, json};

use super::running::request;
use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("events::what_appears_and_goes_is_told_as_watch_tells_it", told),
        test("events::a_client_that_comes_back_misses_nothing", resumed),
        test("events::what_cannot_be_told_is_said", resync),
        test("events::only_what_is_asked_for_is_told", filtered),
        test("events::scans_for_questions_are_told_too", of_questions),
        test("events::a_client_that_takes_nothing_is_dropped", slow),
        test("events::there_is_a_bound_on_clients_however_many_come", bound),
        test("events::one_client_does_not_take_the_places_of_all", bound_of_one),
        test("events::they_end_with_the_service", drained),
        test("events::a_reader_that_is_started_anew_says_so", restarted),
    ]
}

/// A client that follows events.
pub(super) struct Client {
    stream: BufReader<TcpStream>,
    head: String,
}

/// One event.
#[derive(Debug)]
pub(super) struct Event {
    id: Option<String>,
    kind: String,
    data: Value,
}

impl Client {
    pub(super) fn of(daemon: &Daemon, query: &str, headers: &[&str]) -> Self {
        let mut stream = daemon.connect();
        stream.write_all(request("GET", &format!("/api/v1/events{query}"), headers).as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
        }
        Self { stream, head }
    }

    /// The next line that is none of the chunks' lengths; `None` at the end.
    fn line(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.stream.read_line(&mut line).unwrap_or(0) == 0 {
                return None;
            }
            if !line.ends_with("\r\n") {
                return Some(line.trim_end().to_owned());
            }
            if line == "0\r\n" {
                return None;
            }
        }
    }

    pub(super) fn next(&mut self) -> Option<Event> {
        let (mut id, mut kind, mut data) = (None, None, Value::Null);
        loop {
            let line = self.line()?;
            match line.split_once(": ") {
                Some(("id", text)) => id = Some(text.to_owned()),
                Some(("event", text)) => kind = Some(text.to_owned()),
                Some(("data", text)) => data = serde_json::from_str(text).unwrap(),
                None if line.is_empty() && kind.is_some() => {
                    return Some(Event { id, kind: kind.take().unwrap(), data });
                }
                None if line.is_empty() || line == ":" => {}
                _ => panic!("{line}"),
            }
        }
    }

    /// The next event of which this is true.
    #[track_caller]
    fn find(&mut self, is_it: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().expect("it is told");
            if is_it(&event) {
                return event;
            }
        }
    }
}

fn is_of(inode: u64, kind: &'static str) -> impl Fn(&Event) -> bool {
    move |event| event.kind == kind && event.data["namespace"]["nsid"] == inode
}

fn told() {
    let daemon = Daemon::start(&["--interval", "0.2"]);
    let mut client = Client::of(&daemon, "", &[]);
    assert!(client.head.starts_with("HTTP/1.1 200 "), "{}", client.head);
    for header in ["content-type: text/event-stream\r\n", "cache-control: no-store\r\n", "x-accel-buffering: no\r\n"] {
        assert!(client.head.contains(header), "{}", client.head);
    }
    let state = client.next().unwrap();
    assert_eq!(state.kind, "state");
    let (epoch, number) = state.id.as_deref().unwrap().split_once('-').unwrap();
    assert_eq!((epoch.len(), number.parse::<u64>().is_ok()), (8, true));
    assert!(state.data["state"].as_str().unwrap().starts_with(&format!("{epoch}.")), "{state:?}");
    assert!(state.data["time"].is_string());
    let actor = Actor::spawn_in(&["user", "net"]);
    let (pid, net) = (actor.pid(), actor.ns_inode("net"));
    let came = client.find(is_of(net, "appeared"));
    assert_eq!((&came.data["change"], &came.data["namespace"]["leaders"]), (&json!("appeared"), &json!([pid])));
    // The form is that of the command.
    let schemas: Value = daemon.json("/api/v1/openapi.json");
    let schema = json!({ "allOf": [schemas["components"]["schemas"]["watch"]], "components": schemas["components"] });
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(&came.data), "{came:?}");
    let after = client.find(|event| event.kind == "state");
    assert_ne!(after.data["state"], state.data["state"]);
    drop(actor);
    let went = client.find(|event| ["went", "vanished"].iter().any(|kind| is_of(net, kind)(event)));
    let number = |event: &Event| event.id.as_deref().unwrap().split_once('-').unwrap().1.parse::<u64>().unwrap();
    assert!(number(&state) < number(&came) && number(&came) < number(&after) && number(&after) < number(&went));
    assert!(daemon.metric("lxkns_events_total{kind=\"appeared\"}") >= 1.0);
    assert_eq!(daemon.metric("lxkns_event_clients"), 1.0);
}

fn resumed() {
    let daemon = Daemon::start(&["--interval", "0.2"]);
    let mut client = Client::of(&daemon, "", &[]);
    let last = client.next().unwrap().id.unwrap();
    let mut other = Client::of(&daemon, "", &[]);
    assert_eq!(other.next().unwrap().kind, "state");
    drop(client);
    let actor = Actor::spawn_in(&["user", "ipc"]);
    let ipc = actor.ns_inode("ipc");
    let came = other.find(is_of(ipc, "appeared"));
    // The header counts: a browser asks again with the query that it had.
    let header = format!("Last-Event-ID: {last}");
    for (query, headers) in [(format!("?since={last}"), &[][..]), ("?since=nonsense".to_owned(), &[header.as_str()])] {
        let mut client = Client::of(&daemon, &query, headers);
        let mut seen = Vec::new();
        let again = loop {
            let event = client.next().unwrap();
            if is_of(ipc, "appeared")(&event) {
                break event;
            }
            seen.push(event);
        };
        assert_eq!((&again.id, &again.data), (&came.id, &came.data));
        assert!(seen.iter().all(|event| event.kind != "resync"), "{seen:?}");
        client.find(|event| event.kind == "state");
    }
}

fn resync() {
    let daemon = Daemon::start(&[]);
    let mut client = Client::of(&daemon, "?since=00000000-1", &[]);
    let resync = client.next().unwrap();
    assert_eq!((resync.kind.as_str(), &resync.data["why"], resync.id), ("resync", &json!("restarted"), None));
    assert_eq!(client.next().unwrap().kind, "state");
    for query in ["?nonsense=1", "?type=nets"] {
        let reply = daemon.get(&format!("/api/v1/events{query}"), &[]);
        assert_eq!((reply.status, reply.header("content-type")), (400, Some("application/problem+json")), "{query}");
    }
    let head = daemon.request("HEAD", "/api/v1/events", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
}

fn filtered() {
    let daemon = Daemon::start(&["--interval", "0.2"]);
    let mut client = Client::of(&daemon, "?type=uts,ipc", &[]);
    assert_eq!(client.next().unwrap().kind, "state");
    let actor = Actor::spawn_in(&["user", "net", "uts"]);
    let uts = actor.ns_inode("uts");
    loop {
        let event = client.next().unwrap();
        let ns_type = &event.data["namespace"]["type"];
        assert!(ns_type.is_null() || ["uts", "ipc"].contains(&ns_type.as_str().unwrap()), "{event:?}");
        if is_of(uts, "appeared")(&event) {
            break;
        }
    }
}

/// Without anybody who follows, scans that are made for questions are compared all the same.
fn of_questions() {
    let daemon = Daemon::start(&[]);
    daemon.json("/api/v1/namespaces");
    let actor = Actor::spawn_in(&["user", "net"]);
    // The one that compares them is a moment behind.
    let appeared = || {
        let text = daemon.get("/metrics", &["Cache-Control: no-cache"]).text();
        text.lines().any(|line| line.starts_with("lxkns_events_total{kind=\"appeared\"} "))
    };
    assert!((0..1000).any(|_| appeared()));
    drop(actor);
}

fn slow() {
    let daemon = Daemon::start(&["--write-timeout", "0.2", "--history", "1", "--interval", "0.2"]);
    let mut quick = Client::of(&daemon, "", &[]);
    quick.next().unwrap();
    // The kernel keeps less for a UNIX socket than for TCP.
    let mut slow = UnixStream::connect(&daemon.socket).unwrap();
    slow.write_all(request("GET", "/api/v1/events", &[]).as_bytes()).unwrap();
    slow.read_exact(&mut [0; 12]).unwrap();
    assert_eq!(daemon.metric("lxkns_event_clients"), 2.0);
    let mut round = 0;
    // It is dropped when the kernel keeps no more for it, or when what it has yet to take is not kept any more.
    while daemon.metric("lxkns_event_clients") > 1.0 {
        round += 1;
        let actors: Vec<_> = (0..20).map(|_| Actor::spawn_in(&["user", "net", "uts", "ipc", "mnt"])).collect();
        let last = actors.last().unwrap().ns_inode("net");
        quick.find(is_of(last, "appeared"));
        drop(actors);
        assert!(round < 500, "it is still there");
    }
    drop(slow);
}

fn bound() {
    let daemon = Daemon::start(&["--max-connections", "300", "--followers-per-client", "128", "--interval", "0.2"]);
    let mut clients: Vec<_> = (0..100).map(|_| Client::of(&daemon, "", &[])).collect();
    assert!(clients.iter().all(|client| client.head.starts_with("HTTP/1.1 200 ")));
    // One client may have them all, so others have some: else those that ask side by side below would be one too many.
    let others = (0..28).map(|_| {
        let mut other = UnixStream::connect(&daemon.socket).unwrap();
        other.write_all(request("GET", "/api/v1/events", &[]).as_bytes()).unwrap();
        other.read_exact(&mut [0; 12]).unwrap();
        other
    });
    let _others: Vec<_> = others.collect();
    let more = daemon.get("/api/v1/events", &[]);
    assert_eq!((more.status, more.header("retry-after")), (503, Some("1")));
    // Thousands more, on a few connections.
    const MORE: usize = 10_000 - 128 - 1;
    let asked = request("GET", "/api/v1/events", &[]).replace("close", "keep-alive");
    let refused: usize = std::thread::scope(|scope| {
        let ask = |count: usize| {
            let (daemon, asked) = (&daemon, &asked);
            scope.spawn(move || {
                let mut stream = BufReader::new(daemon.connect());
                (0..count).filter(|_| status(&mut stream, asked) == 503).count()
            })
        };
        let threads: Vec<_> = (0..8).map(|number| ask(MORE / 8 + usize::from(number < MORE % 8))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(refused, MORE);
    assert_eq!(daemon.metric("lxkns_http_refused_total{reason=\"busy\"}"), (MORE + 1) as f64);
    assert_eq!(daemon.metric("lxkns_event_clients"), 128.0);
    // They take no place from those who ask, and who reads is told while the others read nothing.
    assert_eq!(daemon.get("/api/v1/namespaces", &[]).status, 200);
    let mut reads = clients.pop().unwrap();
    let actor = Actor::spawn_in(&["user", "net"]);
    reads.find(is_of(actor.ns_inode("net"), "appeared"));
    // A place that is free again is another's.
    drop(reads);
    while daemon.metric("lxkns_event_clients") > 127.0 {}
    assert!(Client::of(&daemon, "", &[]).head.starts_with("HTTP/1.1 200 "));
}

/// The status of the answer to a request on a connection that is kept.
fn status(stream: &mut BufReader<TcpStream>, asked: &str) -> u16 {
    stream.get_mut().write_all(asked.as_bytes()).unwrap();
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert_ne!(stream.read_line(&mut head).unwrap(), 0, "{head}");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap().parse().unwrap();
    stream.read_exact(&mut vec![0; length]).unwrap();
    head.split(' ').nth(1).unwrap().parse().unwrap()
}

fn bound_of_one() {
    let daemon = Daemon::start(&["--followers-per-client", "3"]);
    let clients: Vec<_> = (0..3).map(|_| Client::of(&daemon, "", &[])).collect();
    assert!(clients.iter().all(|client| client.head.starts_with("HTTP/1.1 200 ")));
    let more = daemon.get("/api/v1/events", &[]);
    assert_eq!((more.status, more.header("retry-after")), (429, Some("1")));
    assert_eq!(more.json()["type"], "urn:lxkns:problem:followers");
    assert_eq!(daemon.metric("lxkns_http_refused_total{reason=\"followers\"}"), 1.0);
    // Another has places of its own: the user of the UNIX socket.
    let mut other = UnixStream::connect(&daemon.socket).unwrap();
    other.write_all(request("GET", "/api/v1/events", &[]).as_bytes()).unwrap();
    let mut begin = [0; 12];
    other.read_exact(&mut begin).unwrap();
    assert_eq!(&begin, b"HTTP/1.1 200");
    // One that leaves makes room.
    drop(clients);
    while !Client::of(&daemon, "", &[]).head.starts_with("HTTP/1.1 200 ") {}
}

fn drained() {
    let mut daemon = Daemon::start(&["--shutdown", "200"]);
    let mut client = Client::of(&daemon, "", &[]);
    client.next().unwrap();
    daemon.signal("-TERM");
    while client.next().is_some() {}
    assert_eq!(daemon.wait().code(), Some(0));
}

fn restarted() {
    let daemon = Daemon::start(&[]);
    let mut client = Client::of(&daemon, "", &[]);
    let last = client.next().unwrap().id.unwrap();
    let reader = daemon.process("reader").unwrap();
    let pid = rustix::process::Pid::from_raw(reader.cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    while client.next().is_some() {}
    let mut rest = Vec::new();
    client.stream.read_to_end(&mut rest).unwrap();
    daemon.logged(|line| line["message"] == "ready" && line["process"] == "reader");
    // A request that comes too early is told so.
    let again = |_| Client::of(&daemon, "", &[&format!("Last-Event-ID: {last}")]);
    let client = (0..100).map(again).find(|client| client.head.starts_with("HTTP/1.1 200 "));
    let resync = client.unwrap().next().unwrap();
    assert_eq!((resync.kind.as_str(), &resync.data["why"]), ("resync", &json!("restarted")));
}
