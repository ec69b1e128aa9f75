//! What the fuzz targets call.

use crate::control::News;
use crate::protocol::{
    Content, HEADER, Head, Kind, LONGEST_REPLY, LONGEST_REQUEST, Question, Reply, Request, frame, length, message,
};

/// What the reader takes from the front, and what it makes of the parameters of a question.
pub fn request(bytes: &[u8]) {
    if let Some(Request::Ask { question, .. }) = one::<Request>(bytes, LONGEST_REQUEST) {
        crate::reader::fuzz::question(&question);
    }
}

/// What the front takes from clients: bytes of a connection. The reader is one that has the same answer to all questions.
pub fn http(bytes: &[u8]) {
    crate::front::fuzz::connection(bytes);
}

/// What the supervisor takes from the front.
pub fn news(bytes: &[u8]) {
    crate::control::fuzz_news(bytes);
}

/// What the front takes from the reader.
pub fn reply(bytes: &[u8]) {
    one::<Reply>(bytes, LONGEST_REPLY);
}

/// What the supervisor reads of the web configuration file.
pub fn web_config(text: &str) {
    crate::access::fuzz_web_config(text);
}

/// A message that is understood says the same when it is said again.
fn one<T>(bytes: &[u8], longest: usize) -> Option<T>
where
    T: serde::Serialize + serde::de::DeserializeOwned + crate::protocol::Bounded + PartialEq + std::fmt::Debug,
{
    let (header, rest) = bytes.split_first_chunk::<HEADER>()?;
    let length = length(*header, longest).ok()?;
    let first = message::<T>(rest.get(..length)?).ok()?;
    let again = frame(&first, longest).expect("it has come in a frame");
    assert_eq!(message::<T>(&again[HEADER..]).as_ref(), Ok(&first));
    Some(first)
}

/// What each target begins with, but that of the web configuration: what the other side says.
pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let mut seeds: Vec<_> = questions().map(|question| ("serve_request", request_frame(question))).collect();
    for id in [0, u32::MAX] {
        let replies = [
            Reply::Head { id, head: Head::of(200, Content::Json, u128::MAX, 70_000) },
            Reply::Head {
                id,
                head: Head { state: Some((1, 2)), next: Some(3), ..Head::of(404, Content::Problem, 0, 1) },
            },
            Reply::Chunk { id, bytes: b"{}".to_vec(), is_last: id == 0 },
            Reply::GivenUp { id },
        ];
        seeds.extend(replies.map(|reply| ("serve_reply", frame(&reply, LONGEST_REPLY).expect("a reply"))));
        let requests = [Request::More { id }, Request::Done { id }];
        seeds.extend(requests.map(|request| ("serve_request", frame(&request, LONGEST_REQUEST).expect("a request"))));
    }
    let news = [News::Ready, News::Alive, News::Unlinked, News::GiveUp("a scan hangs".to_owned())];
    seeds.extend(news.map(|news| ("serve_news", postcard::to_extend(&news, Vec::new()).expect("news"))));
    seeds.extend(crate::front::fuzz::requests().map(|request| ("serve_http", request.into_bytes())));
    seeds
}

fn request_frame(question: Question) -> Vec<u8> {
    frame(&Request::Ask { id: 7, question, max_age_ms: Some(1000) }, LONGEST_REQUEST).expect("a question")
}

/// A question of each kind of parameter.
fn questions() -> impl Iterator<Item = Question> {
    let targets = [
        "1",
        "200:5/net",
        "4026532300",
        "net:[4026532200]",
        ":1300",
        "host/user",
        "netns:left",
        "docker:web/pid",
        "web",
        "pod:default/web-0",
        "4f1a0c2e9b7d",
        "link:web/eth0",
        "/run/netns/left",
        "self",
    ];
    let others = [
        ("type", "net,mnt"),
        ("port", "80,443"),
        ("limit", "2"),
        ("cursor", "000000ab.12.4"),
        ("fields", "pid,ns"),
        ("since", "000000ab-5"),
        ("action", "unshare"),
        ("action", "-Urm"),
        ("file", "web:/etc/passwd"),
        ("path", "8:1"),
        ("path", "/run"),
        ("capability", "CAP_SYS_ADMIN"),
        ("all", "true"),
    ];
    let of = |kind, parameters: &[(&str, &str)]| {
        let parameters = parameters.iter().map(|&(name, value)| (name.to_owned(), value.to_owned()));
        Question { kind, parameters: parameters.collect() }
    };
    let alone = targets.map(|target| of(Kind::Show, &[("target", target)]));
    let all = [of(Kind::Tree, &others), of(Kind::List, &others[2..5]), of(Kind::Events, &[others[0], others[5]])];
    alone.into_iter().chain(others.map(|other| of(Kind::List, &[other]))).chain(all)
}
