//! How requests are taken and answers sent.

use std::io::{Read as _, Write as _};
use std::sync::Arc;

use libtest_mimic::Trial;
use serde_json::json;

use super::running::{exchange, half_close, request};
use super::{Daemon, Reply, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("http::an_answer_is_named_and_not_sent_twice", not_modified),
        test("http::answers_are_compressed_for_those_who_want_that", compressed),
        test("http::the_description_and_metrics_are_compressed_too", compressed_texts),
        test("http::a_short_answer_is_compressed_where_it_must_be", compressed_short),
        test("http::the_strictest_age_counts", strictest),
        test("http::a_scan_is_shared", shared),
        test("http::the_page_is_served", page),
        test("http::another_page_is_served_in_its_place", other_page),
        test("http::only_reading_is_possible", methods),
        test("http::other_names_than_its_own_are_refused", hosts),
        test("http::what_is_too_long_is_refused", too_long),
        test("http::a_client_that_says_nothing_loses_its_connection", silent),
        test("http::a_client_that_takes_nothing_does_not_hold_up_others", slow),
        test("http::more_connections_than_there_is_room_for_do_no_harm", many),
        test("http::a_client_may_close_its_half", half_closed),
        test("http::a_base_path_comes_before_all", base_path),
        test("http::other_addresses_take_a_word", insecure),
    ]
}

/// A page as that of the Go program: with paths of its own, and `<base href>`.
fn other_page() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::fs::create_dir(path.join("static")).unwrap();
    std::fs::write(path.join("index.html"), "<head><base href=\"/\"><script src=\"static/main.js\">").unwrap();
    std::fs::write(path.join("static/main.js"), "fetch('api/namespaces')".repeat(100)).unwrap();
    let web = path.to_str().unwrap();
    let daemon = Daemon::start(&["--web", web, "--base-path", "/base"]);
    let index = |path: &str, headers: &[&str]| {
        let reply = daemon.get(path, headers);
        assert_eq!(reply.status, 200, "{path}");
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'self'; ") && policy.contains("base-uri 'self'"), "{policy}");
        assert!(reply.header("vary").unwrap().contains("x-forwarded-prefix"));
        let text = reply.text();
        let rest = text.strip_prefix("<head><base href=\"").unwrap();
        rest.strip_suffix("\"><script src=\"static/main.js\">").unwrap().to_owned()
    };
    assert_eq!(index("/base/", &[]), "/base/");
    assert_eq!(index("/base/user", &[]), "/base/");
    assert_eq!(index("/base/", &["X-Forwarded-Prefix: /proxy"]), "/proxy/base/");
    assert_eq!(index("/base/user", &["X-Forwarded-Uri: /proxy/base/user?q"]), "/proxy/base/");
    assert_eq!(index("/base/", &["X-Forwarded-Prefix: //evil.example"]), "/base/");
    let script = daemon.get("/base/static/main.js", &["Accept-Encoding: gzip"]);
    assert_eq!(script.header("content-encoding"), Some("gzip"));
    assert_eq!(script.header("content-type"), Some("text/javascript; charset=utf-8"));
    let known = format!("If-None-Match: {}", script.header("etag").unwrap());
    assert_eq!(daemon.get("/base/static/main.js", &["Accept-Encoding: gzip", &known]).status, 304);
    for path in ["/base/static/none.js", "/base/api/none", "/base/api", "/base/apis", "/base/api/", "/"] {
        assert_eq!(daemon.get(path, &[]).status, 404, "{path}");
    }
    assert!(daemon.get("/base/api/namespaces", &[]).json()["namespaces"].is_object());
    std::fs::remove_file(path.join("index.html")).unwrap();
    let ran = std::process::Command::new(env!("CARGO_BIN_EXE_lxknsd")).args(["check", "--web", web]).output().unwrap();
    let said = String::from_utf8(ran.stderr).unwrap();
    assert_eq!((ran.status.code(), said), (Some(2), format!("lxknsd: --web {web}: there is no index.html\n")));
}

fn not_modified() {
    let daemon = Daemon::start(&[]);
    let long = "Cache-Control: max-age=86400";
    let first = daemon.get("/api/v1/namespaces", &[long]);
    let tag = first.header("etag").unwrap().to_owned();
    assert_eq!((first.status, first.header("cache-control")), (200, Some("private, no-cache")));
    let known = format!("If-None-Match: {tag}");
    for known in [known.clone(), format!("If-None-Match: \"x\", W/{tag}"), "If-None-Match: *".to_owned()] {
        let again = daemon.get("/api/v1/namespaces", &[&known, long]);
        assert_eq!((again.status, again.body.len(), again.header("etag")), (304, 0, Some(tag.as_str())), "{known}");
    }
    assert_eq!(daemon.get("/api/v1/namespaces", &["If-None-Match: \"x\"", long]).status, 200);
    // That of another question is another.
    assert_eq!(daemon.get("/api/v1/orphans", &[&known, long]).status, 200);
    let head = daemon.request("HEAD", "/api/v1/namespaces", &[long]);
    let length = first.body.len().to_string();
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, Some(length.as_str())));
    assert!(first.header("x-request-id") != head.header("x-request-id"));
}

fn compressed() {
    let daemon = Daemon::start(&[]);
    let long = "Cache-Control: max-age=86400";
    let plain = daemon.get("/api/v1/snapshot", &[long]);
    let zipped = daemon.get("/api/v1/snapshot", &[long, "Accept-Encoding: br, gzip;q=0.8"]);
    assert_eq!((zipped.header("content-encoding"), zipped.header("vary")), (Some("gzip"), Some("accept-encoding")));
    assert!(zipped.body.len() < plain.body.len() / 2, "{} of {}", zipped.body.len(), plain.body.len());
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_end(&mut body).unwrap();
    assert!(body == plain.body);
    let quick = daemon.get("/api/v1/snapshot", &[long, "Accept-Encoding: gzip, deflate, br, zstd"]);
    assert_eq!(quick.header("content-encoding"), Some("zstd"));
    assert!(quick.body.len() < plain.body.len() / 2, "{} of {}", quick.body.len(), plain.body.len());
    assert!(zstd::decode_all(&quick.body[..]).unwrap() == plain.body);
    let tag = zipped.header("etag").unwrap();
    assert_ne!(Some(tag), plain.header("etag"), "the bytes are others");
    let known = format!("If-None-Match: {tag}");
    assert_eq!(daemon.get("/api/v1/snapshot", &[long, "Accept-Encoding: gzip", &known]).status, 304);
}

fn gunzipped(reply: &Reply) -> Vec<u8> {
    assert_eq!(reply.header("content-encoding"), Some("gzip"), "{:?}", reply.headers);
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut body).unwrap();
    body
}

fn compressed_texts() {
    let daemon = Daemon::start(&[]);
    let path = "/api/v1/openapi.json";
    let (plain, zipped) = (daemon.get(path, &[]), daemon.get(path, &["Accept-Encoding: gzip"]));
    assert!(plain.header("content-encoding").is_none() && zipped.body.len() < plain.body.len() / 4);
    assert!(gunzipped(&zipped) == plain.body);
    assert_ne!(plain.header("etag"), zipped.header("etag"));
    let known = format!("If-None-Match: {}", zipped.header("etag").unwrap());
    assert_eq!(daemon.get(path, &["Accept-Encoding: gzip", &known]).status, 304);
    assert_eq!(daemon.get(path, &[&known]).status, 200, "the bytes are others");
    assert_eq!(daemon.get("/api/v1/openapi.json?x", &[]).status, 200);
    let metrics = daemon.get("/metrics", &["Accept-Encoding: gzip"]);
    assert_eq!(metrics.header("vary"), Some("accept, accept-encoding"));
    assert!(String::from_utf8(gunzipped(&metrics)).unwrap().contains("\nlxkns_up 1\n"));
}

fn compressed_short() {
    let daemon = Daemon::start(&[]);
    let old = "Cache-Control: max-age=86400";
    let plain = daemon.get("/readyz", &[old]);
    let zipped = daemon.get("/readyz", &[old, "Accept-Encoding: gzip, identity;q=0"]);
    assert!(gunzipped(&zipped) == plain.body);
    let short = daemon.get("/readyz", &[old, "Accept-Encoding: gzip"]);
    assert_eq!(short.header("content-encoding").is_none(), plain.body.len() < 1024);
}

fn strictest() {
    let daemon = Daemon::start(&[]);
    let state = |control: &str| {
        let reply = daemon.get("/api/v1/namespaces", &[&format!("Cache-Control: {control}")]);
        reply.header("lxkns-state").unwrap().to_owned()
    };
    let first = state("no-cache");
    for control in ["max-age=86400", "max-age=99999999999", "max-age=\"86400\""] {
        assert_eq!(state(control), first, "{control}");
    }
    assert_ne!(state("max-age=86400, no-cache"), first);
}

fn page() {
    let daemon = Daemon::start(&["--base-path", "/below"]);
    let index = daemon.get("/below/", &[]);
    assert_eq!((index.status, index.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = index.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let text = String::from_utf8(index.body.clone()).unwrap();
    let script = text.split('"').find(|part| part.ends_with(".js")).unwrap().trim_start_matches('.');
    let script = format!("/below{script}");
    let plain = daemon.get(&script, &[]);
    assert_eq!((plain.status, plain.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert!(plain.header("cache-control").unwrap().contains("immutable"));
    let zipped = daemon.get(&script, &["Accept-Encoding: gzip"]);
    assert_eq!(zipped.header("content-encoding"), Some("gzip"));
    let mut body = Vec::new();
    flate2::read::GzDecoder::new(&zipped.body[..]).read_to_end(&mut body).unwrap();
    assert!(body == plain.body && !body.is_empty());
    let known = format!("If-None-Match: {}", index.header("etag").unwrap());
    assert_eq!(daemon.get("/below/", &[&known]).status, 304);
    let moved = daemon.get("/below", &[]);
    assert_eq!((moved.status, moved.header("location")), (308, Some("./below/")));
    assert_eq!(daemon.request("HEAD", "/below/", &[]).body.len(), 0);
    assert_eq!(daemon.request("POST", "/below/", &[]).status, 405);
    for path in ["/", "/below/assets/", "/below/assets/none.js", "/below/../below/"] {
        assert_eq!(daemon.get(path, &[]).status, 404, "{path}");
    }
}

fn shared() {
    let daemon = Arc::new(Daemon::start(&[]));
    let count = "lxkns_scan_duration_seconds_count";
    assert_eq!(daemon.get("/api/v1/snapshot", &["Cache-Control: max-age=86400"]).status, 200);
    let before = daemon.metric(count);
    let clients = (0..200).map(|_| {
        let daemon = Arc::clone(&daemon);
        std::thread::spawn(move || daemon.get("/api/v1/namespaces", &["Cache-Control: max-age=86400"]))
    });
    let clients: Vec<_> = clients.collect();
    let replies: Vec<Reply> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    assert!(replies.iter().all(|reply| reply.status == 200 && reply.body == replies[0].body));
    assert_eq!(daemon.metric(count), before, "one scan was enough for all");
    // It is no older than the request, however long a scan takes here.
    let asked = std::time::Instant::now();
    let fresh = daemon.get("/api/v1/namespaces", &["Cache-Control: no-cache"]);
    let age: u64 = fresh.header("age").unwrap().parse().unwrap();
    assert!(age <= asked.elapsed().as_secs(), "{age} s");
    assert_eq!(daemon.metric(count), before + 1.0);
}

fn methods() {
    let daemon = Daemon::start(&[]);
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "NONSENSE"] {
        let reply = daemon.request(method, "/api/v1/namespaces", &[]);
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD")), "{method}");
    }
    let body = "GET /api/v1/namespaces HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\nhello";
    assert_eq!(exchange(daemon.connect(), body).status, 413);
    let reply = daemon.get("/healthz", &[]);
    assert_eq!((reply.status, reply.text().as_str()), (200, "ok\n"));
    assert!(reply.header("access-control-allow-origin").is_none());
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(reply.header("cross-origin-resource-policy"), Some("same-origin"));
}

fn hosts() {
    let daemon = Daemon::start(&["--host", "lxkns.example"]);
    for (host, status) in [
        ("Host: 127.0.0.1", 200),
        ("Host: [::1]:5010", 200),
        ("Host: LXKNS.example:80", 200),
        ("Host: evil.example", 421),
        ("Host: localhost.evil.example", 421),
    ] {
        assert_eq!(daemon.get("/api/v1/namespaces", &[host]).status, status, "{host}");
    }
    assert_eq!(exchange(daemon.connect(), "GET /api/v1/namespaces HTTP/1.0\r\n\r\n").status, 421);
    let smuggled = "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(exchange(daemon.connect(), smuggled).status, 421);
}

fn too_long() {
    let daemon = Daemon::start(&[]);
    let header = format!("X: {}", "x".repeat(20_000));
    assert_eq!(daemon.get("/healthz", &[&header]).status, 431);
    let headers: Vec<String> = (0..100).map(|number| format!("X-{number}: 1")).collect();
    let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
    assert_eq!(daemon.get("/healthz", &headers).status, 431);
    let value = "x".repeat(5000);
    assert_eq!(daemon.get(&format!("/api/v1/why?target={value}"), &[]).status, 400);
    assert_eq!(daemon.get(&format!("/api/v1/why?{}", "target=1&".repeat(40)), &[]).status, 400);
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
}

fn silent() {
    let daemon = Daemon::start(&["--header-timeout", "0.2"]);
    for said in ["", "GET / HT", "GET /healthz HTTP/1.1\r\nHost: localhost\r\n"] {
        let mut stream = daemon.connect();
        stream.write_all(said.as_bytes()).unwrap();
        let mut rest = Vec::new();
        // The end, or that it was reset; never an answer that says that all is well.
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 2"), "{said}: {}", rest.escape_ascii());
    }
    // One that has had an answer, too.
    let mut stream = daemon.connect();
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    assert!(all.starts_with(b"HTTP/1.1 200 "), "{}", all.escape_ascii());
}

fn slow() {
    let daemon = Daemon::start(&["--write-timeout", "0.2", "--max-connections", "4"]);
    let requests = request("GET", "/api/v1/snapshot", &["Cache-Control: max-age=86400"]).replace("close", "keep-alive");
    let streams: Vec<_> = (0..4)
        .map(|_| {
            let mut stream = daemon.connect();
            // More than the kernel keeps for somebody who does not read.
            stream.write_all(requests.repeat(100).as_bytes()).unwrap();
            stream
        })
        .collect();
    // There is room again only when those were given up.
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
    drop(streams);
}

fn many() {
    let daemon = Daemon::start(&["--max-connections", "8", "--header-timeout", "0.5"]);
    let idle: Vec<_> = (0..200).map(|_| daemon.connect()).collect();
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
    drop(idle);
    assert_eq!(daemon.get_local("/healthz").status, 200);
}

fn half_closed() {
    let daemon = Daemon::start(&[]);
    let mut stream = daemon.connect();
    stream.write_all(request("GET", "/healthz", &[]).as_bytes()).unwrap();
    half_close(&stream);
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    // Answered, or closed: not kept.
    assert!(all.is_empty() || all.starts_with(b"HTTP/1.1 200 "), "{}", all.escape_ascii());
    assert_eq!(daemon.get("/healthz", &[]).status, 200);
}

fn base_path() {
    let daemon = Daemon::start(&["--base-path", "/lxkns/"]);
    assert_eq!(daemon.get("/lxkns/healthz", &[]).status, 200);
    let description = daemon.json("/lxkns/api/v1/openapi.json");
    assert_eq!(description["servers"][0]["url"], json!("/lxkns"));
    for path in ["/healthz", "/lxknsx/healthz", "/lxkns//healthz"] {
        assert_eq!(daemon.get(path, &[]).status, 404, "{path}");
    }
}

fn insecure() {
    let run =
        |arguments: &[&str]| std::process::Command::new(env!("CARGO_BIN_EXE_lxknsd")).args(arguments).output().unwrap();
    let refused = run(&["check", "--listen", "0.0.0.0:5010"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--insecure-listen"));
    let checked = run(&["check", "--listen", "0.0.0.0:5010", "--insecure-listen"]);
    assert_eq!(checked.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&checked.stdout).contains("without TLS and authentication"));
    // One that nobody else runs asks no variable.
    let variable = std::process::Command::new(env!("CARGO_BIN_EXE_lxknsd"))
        .arg("check")
        .env("LXKNSD_LISTEN", "[::]:80")
        .output()
        .unwrap();
    assert_eq!(variable.status.code(), Some(2));
}
