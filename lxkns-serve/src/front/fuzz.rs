//! A front without a host: its reader has the same answer to all questions.

use std::collections::HashSet;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use super::gate::Gate;
use super::link::Reader;
use super::routes::ROUTES;
use super::server::{Listener, Server};
use crate::exposition::Family;
use crate::protocol::{
    Content, HEADER, Head, Kind, LONGEST_REPLY, LONGEST_REQUEST, Reply, Request, frame, length, message,
};
use crate::settings::FrontSettings;

/// No client has to wait for so long.
const LONG: Duration = Duration::from_secs(600);

/// Sends these bytes over a connection of their own, and reads what is answered. That is nothing, or HTTP; and whatever comes,
/// the reader gets only questions that it takes.
pub(crate) fn connection(bytes: &[u8]) {
    static FRONT: OnceLock<SocketAddr> = OnceLock::new();
    let mut client = UnixStream::connect_addr(FRONT.get_or_init(start)).expect("the front listens");
    // It may have heard enough before all is sent.
    let _ = client.write_all(bytes);
    let _ = client.shutdown(Shutdown::Write);
    let mut answered = Vec::new();
    let _ = client.read_to_end(&mut answered);
    assert!(answered.is_empty() || answered.starts_with(b"HTTP/1."), "{}", answered.escape_ascii());
}

/// A request for each route, and some with all that a head can have.
pub(crate) fn requests() -> impl Iterator<Item = String> {
    let paths = ROUTES.iter().map(|route| route.path.replace("{target}", "net%3A4026531833"));
    let plain = paths.map(|path| format!("GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"));
    let heads = [
        "GET /api/v1/namespaces?type=net&limit=2&cursor=1.2.3&fields=a,b HTTP/1.1\r\nHost: [::1]:5010\r\n\
         Accept-Encoding: zstd;q=0.5, gzip, *;q=0\r\nCache-Control: max-age=5, no-cache\r\nIf-None-Match: W/\"5\", *\r\n\r\n",
        "HEAD /metrics HTTP/1.0\r\nAccept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5\r\n\r\n",
        "GET /api/v1/events?since=a HTTP/1.1\r\nHost: a\r\nLast-Event-ID: 000000ab-5\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Prefix: /proxy\r\nX-Forwarded-Uri: /proxy/?x\r\n\r\n",
        "POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\nGET /healthz HTTP/1.1\r\n\r\n",
    ];
    plain.chain(heads.map(str::to_owned))
}

/// Starts it, on a thread of its own.
fn start() -> SocketAddr {
    let name = format!("lxknsd-fuzz-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(name).expect("a name");
    let listener = UnixListener::bind_addr(&address).expect("a name that is free");
    listener.set_nonblocking(true).expect("a socket that does not block");
    let (front, reader) = UnixStream::pair().expect("two sockets");
    std::thread::spawn(move || answer(reader));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build().expect("tokio");
        runtime.block_on(async move {
            let link = Arc::new(Reader::default());
            link.join(front.into()).expect("a socket");
            let server = Arc::new(Server::new(settings(), Gate::default(), None, None, link));
            server.accept(Listener::new(listener.into(), true).expect("a listener")).await;
        });
    });
    address
}

fn settings() -> FrontSettings {
    FrontSettings {
        base_path: String::new(),
        hosts: Vec::new(),
        most_connections: 64,
        most_followers: 64,
        header_timeout: LONG,
        write_timeout: LONG,
        shutdown: LONG,
        answer_timeout: LONG,
        listeners: Vec::new(),
        allowed_uids: Vec::new(),
        has_access: false,
        has_web: false,
    }
}

/// Answers all questions until the front closes the connection; it must say nothing that the reader refuses.
fn answer(mut socket: UnixStream) {
    let (mut header, mut following) = ([0; HEADER], HashSet::new());
    while socket.read_exact(&mut header).is_ok() {
        let mut bytes = vec![0; length(header, LONGEST_REQUEST).expect("a frame of a question")];
        socket.read_exact(&mut bytes).expect("all of it");
        let replies = match message::<Request>(&bytes).expect("a question that is in bounds") {
            Request::Ask { id, question, .. } => replies(id, question.kind),
            // The end of events is an empty piece.
            Request::More { id } if following.remove(&id) => {
                vec![Reply::Chunk { id, bytes: Vec::new(), is_last: true }]
            }
            Request::More { id } => {
                following.insert(id);
                vec![Reply::Chunk { id, bytes: b"data: x\n\n".to_vec(), is_last: false }]
            }
            Request::Done { .. } => Vec::new(),
        };
        for reply in &replies {
            let frame = frame(reply, LONGEST_REPLY).expect("a reply that is in bounds");
            socket.write_all(&frame).expect("the front reads");
        }
    }
}

fn replies(id: u32, kind: Kind) -> Vec<Reply> {
    let (content, bytes) = match kind {
        Kind::Events => return vec![Reply::Head { id, head: Head::of(200, Content::Events, 0, 0) }],
        Kind::Metrics => (Content::Metrics, serde_json::to_vec(&Vec::<Family>::new()).expect("JSON")),
        _ => (Content::Json, b"{\"results\": []}\n".repeat(100)),
    };
    let head = Head { state: Some((1, 7)), next: Some(2), ..Head::of(200, content, 5, bytes.len() as u64) };
    vec![Reply::Head { id, head }, Reply::Chunk { id, bytes, is_last: true }]
}
