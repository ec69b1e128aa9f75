//! The description of the API, and metrics that are wanted only here and there.

use std::collections::BTreeMap;

use libtest_mimic::Trial;
use lxkns_fixture::Actor;
use serde_json::Value;

use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("description::each_status_that_is_listed_can_be_had", statuses),
        test("description::sockets_and_links_are_metrics_where_that_is_wanted", named_metrics),
    ]
}

/// The parts of a query that asks something of a route which it can answer.
fn query(described: &Value, values: &BTreeMap<&str, String>) -> Vec<String> {
    let parameters = described["parameters"].as_array().unwrap().iter();
    let required = parameters.filter(|parameter| parameter["in"] == "query" && parameter["required"] == true);
    let names = required.map(|parameter| parameter["name"].as_str().unwrap());
    names.map(|name| format!("{name}={}", values[name])).collect()
}

fn statuses() {
    const OLD: &str = "Cache-Control: max-age=86400";
    const NOBODY: &str = "4194303";
    let (daemon, with_files) = (Daemon::start(&[]), Daemon::start(&["--expose-files"]));
    let actor = Actor::spawn_in(&["user", "net"]);
    let (pid, user) = (actor.pid().to_string(), actor.ns_inode("user").to_string());
    let state = daemon.get("/api/v1/history", &["Cache-Control: no-cache"]);
    let state = state.header("lxkns-state").unwrap().to_owned();
    let values = |pid: &str| -> BTreeMap<&str, String> {
        let (path, capability) = (if pid == NOBODY { "/nowhere" } else { "0:1" }, "net_admin");
        let all = [("pid", pid), ("target", pid), ("path", path), ("capability", capability), ("since", &state)];
        let file = if pid == NOBODY { "/nowhere" } else { "/etc/passwd" };
        let all = all.into_iter().chain([("action", "unshare+-n"), ("file", file)]);
        all.map(|(name, value)| (name, value.to_owned())).collect()
    };
    let description = daemon.json("/api/v1/openapi.json");
    let mut seen = 0;
    for (path, at) in description["paths"].as_object().unwrap() {
        let described = &at["get"];
        let target = if path.contains("namespaces") { &user } else { &pid };
        let there = path.replace("{target}", target);
        let good = query(described, &values(&pid));
        let has = |name: &str| described["parameters"].as_array().unwrap().iter().any(|one| one["name"] == name);
        // The actor is in no container.
        let has_none = path.contains("containers/");
        for status in described["responses"].as_object().unwrap().keys().filter(|status| *status != "default") {
            let mut asked = (there.clone(), good.clone());
            let mut headers = vec![OLD.to_owned()];
            let is_of_files = path.ends_with("/owner") && status != "403";
            let daemon = if is_of_files { &with_files } else { &daemon };
            match status.as_str() {
                "200" | "304" if has_none => continue,
                // They have no end, and tests of their own.
                "200" if path.ends_with("/events") => continue,
                "200" => {}
                "403" if path.ends_with("/owner") => {}
                // That takes one which cannot be read.
                "403" if path.contains("processes") => continue,
                // The namespace need not exist.
                "403" if path.contains('{') => asked.0 = path.replace("{target}", "%2Fetc%2Fpasswd"),
                "403" => {
                    if has("pid") && !asked.1.iter().any(|part| part.starts_with("pid=")) {
                        asked.1.push(format!("pid={pid}"));
                    }
                    asked.1.retain(|part| !part.starts_with("target=") && !part.starts_with("action="));
                    let is_action = path.ends_with("/explain");
                    asked.1.push(if is_action { "action=setns+/etc/passwd" } else { "target=/etc/passwd" }.to_owned());
                }
                "304" => {
                    let first = daemon.get(&format!("{there}?{}", good.join("&")), &[OLD]);
                    let tag = first.header("etag").unwrap_or_else(|| panic!("{path}: {first:?}"));
                    headers.push(format!("If-None-Match: {tag}"));
                }
                "400" if path.ends_with("/snapshot") => asked.1 = vec!["since=nonsense".to_owned()],
                "400" => asked.1.push("nonsense=1".to_owned()),
                "404" => {
                    asked = (path.replace("{target}", NOBODY), query(described, &values(NOBODY)));
                    if has("target") && !path.contains('{') && !asked.1.iter().any(|part| part.starts_with("target=")) {
                        asked.1.push(format!("target={NOBODY}"));
                    }
                }
                "410" if has("cursor") => asked.1.extend(["limit=1".to_owned(), "cursor=00000000.1.1".to_owned()]),
                "410" => asked.1 = vec!["since=00000000.1".to_owned()],
                status => panic!("{path}: {status} is not tried"),
            }
            let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
            let asked = format!("{}?{}", asked.0, asked.1.join("&"));
            let reply = daemon.get(&asked, &headers);
            assert_eq!(reply.status.to_string(), *status, "{asked}: {}", reply.text());
            seen += 1;
        }
    }
    assert!(seen > 60, "{seen}");
}

fn named_metrics() {
    let silent = Daemon::start(&[]);
    let text = silent.get("/metrics", &[]).text();
    assert!(!text.contains("lxkns_listening_sockets") && !text.contains("lxkns_link"), "{text}");
    let daemon = Daemon::start(&["--metrics-ports", "--metrics-links"]);
    // Of the host, which has neither name: a socket of this test's.
    let _listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let text = daemon.get("/metrics", &["Cache-Control: no-cache"]).text();
    let value = |series: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("{series} is not in {text}")).parse::<f64>().unwrap()
    };
    if lxkns_fixture::probe::is_root() {
        assert!(value("lxkns_listening_sockets{container=\"\",netns=\"\",protocol=\"tcp\"}") >= 1.0);
        let link = "{container=\"\",netns=\"\",link=\"lo\",direction=\"receive\"}";
        let counted = std::fs::read_to_string("/sys/class/net/lo/statistics/rx_bytes").unwrap();
        let told = value(&format!("lxkns_link_bytes_total{link}"));
        assert!(told > 0.0 && told <= counted.trim().parse().unwrap(), "{told} of {counted}");
        assert!(value(&format!("lxkns_link_packets_total{link}")) > 0.0);
        assert!(value("lxkns_namespaces_charged{type=\"user\"}") >= 0.0);
    }
    for family in ["lxkns_listening_sockets_omitted", "lxkns_links_omitted", "lxkns_links_unread"] {
        assert!(value(family) >= 0.0);
    }
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/service.md")).unwrap();
    for family in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(document.contains(&format!("`{family}`")), "{family} is not in docs/service.md");
    }
}
