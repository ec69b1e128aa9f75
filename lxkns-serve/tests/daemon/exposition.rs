//! Metrics in both forms, with all that can be told in them: what Prometheus' own check says, and the rules of OpenMetrics.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use lxkns_fixture::Actor;

use super::{Daemon, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("exposition::prometheus_finds_nothing_wrong_with_the_metrics", checked),
        test("exposition::metrics_keep_the_rules_of_openmetrics", openmetrics),
        test("exposition::what_is_counted_stays_counted_when_the_reader_is_replaced", restarted),
    ]
}

/// A daemon that tells all it can, with a namespace to tell of, and something in each kind of series.
fn told(accept: &str) -> (Actor, String) {
    let daemon = Daemon::start(&["--metrics-ports", "--metrics-links"]);
    let actor = Actor::spawn_in(&["user", "net", "uts"]);
    for path in ["/api/v1/namespaces", "/api/v1/nothing", "/api/v1/why?target=nonsense", "/api/v1/events?type=x"] {
        daemon.get(path, &[]);
    }
    daemon.get("/healthz", &["Host: elsewhere.example"]);
    let reply = daemon.get("/metrics", &["Cache-Control: no-cache", &format!("Accept: {accept}")]);
    let content = reply.header("content-type").unwrap().to_owned();
    assert!(content.starts_with(accept.split(';').next().unwrap()), "{content}");
    (actor, reply.text())
}

fn checked() {
    let (_actor, text) = told("text/plain");
    for series in ["lxkns_listening_sockets", "lxkns_links_unread", "lxkns_reader_workers_stuck 0"] {
        assert!(text.contains(series), "{series} is not in {text}");
    }
    let mut command = Command::new("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut check = command.spawn().unwrap();
    let mut input = check.stdin.take().unwrap();
    input.write_all(text.as_bytes()).unwrap();
    drop(input);
    let said = check.wait_with_output().unwrap();
    assert!(said.status.success() && said.stdout.is_empty() && said.stderr.is_empty(), "{said:?}\n{text}");
}

fn restarted() {
    const SCANS: &str = "lxkns_scan_duration_seconds_count";
    let daemon = Daemon::start(&[]);
    let scan = || daemon.get("/api/v1/namespaces", &["Cache-Control: no-cache"]).status == 200;
    assert!(scan() && scan());
    let starts = |process| daemon.metric(&format!("lxkns_process_starts_total{{process=\"{process}\"}}"));
    let (before, began) = (daemon.metric(SCANS), start_time(&daemon));
    assert!(before >= 2.0, "{before}");
    assert_eq!([starts("reader"), starts("front")], [1.0, 1.0]);
    let reader = daemon.process("reader").unwrap();
    assert!(Command::new("kill").args(["-KILL", &reader.to_string()]).status().unwrap().success());
    daemon.logged(|line| line["message"] == "started" && line["process"] == "reader");
    assert!((0..100).any(|_| scan()));
    let after = daemon.metric(SCANS);
    assert!(after > before, "{before} scans, then {after}");
    assert_eq!([starts("reader"), starts("front")], [2.0, 1.0]);
    assert!(start_time(&daemon) >= began);
}

/// When the reader was started, which is between the start of the host and now.
fn start_time(daemon: &Daemon) -> f64 {
    let began = daemon.metric("lxkns_process_start_time_seconds{process=\"reader\"}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let up: f64 = std::fs::read_to_string("/proc/uptime").unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!(now - up - 2.0 < began && began < now + 2.0, "{began}, {now}, up {up}");
    began
}

/// What was said of a family before its samples.
#[derive(Default)]
struct Family {
    kind: Option<String>,
    has_help: bool,
    /// Labels without `le`, and the last upper bound and count of their buckets.
    buckets: BTreeMap<String, (f64, f64)>,
}

fn openmetrics() {
    let (_actor, text) = told("application/openmetrics-text; version=1.0.0");
    let lines = text.strip_suffix("# EOF\n").unwrap_or_else(|| panic!("it has no end: {text}"));
    let (mut families, mut name): (BTreeMap<String, Family>, _) = (BTreeMap::new(), String::new());
    let mut series = BTreeSet::new();
    for line in lines.lines() {
        if let Some(said) = line.strip_prefix("# ") {
            let [what, of, rest] = said.splitn(3, ' ').collect::<Vec<_>>().try_into().unwrap();
            if of != name {
                assert!(!families.contains_key(of), "the lines of a family are together: {line}");
                name = of.to_owned();
            }
            let family = families.entry(name.clone()).or_default();
            match what {
                "TYPE" => assert_eq!(family.kind.replace(rest.to_owned()), None, "{line}"),
                "UNIT" => assert!(name.ends_with(&format!("_{rest}")), "{line}"),
                "HELP" => assert!(!std::mem::replace(&mut family.has_help, true), "{line}"),
                _ => panic!("{line}"),
            }
            continue;
        }
        let (of, labels, value) = sample(line);
        assert!(series.insert((of.to_owned(), labels.clone())), "twice: {line}");
        let family = families.get_mut(&name).unwrap();
        let suffix = of.strip_prefix(&name).unwrap_or_else(|| panic!("not of {name}: {line}"));
        let (kind, le) = (family.kind.as_deref().unwrap(), labels.iter().find(|(label, _)| label == "le"));
        match (kind, suffix) {
            ("counter", "_total") | ("histogram", "_sum") => assert!(value >= 0.0, "{line}"),
            ("info", "_info") => assert_eq!(value, 1.0, "{line}"),
            ("gauge", "") => {}
            ("histogram", "_bucket" | "_count") => {
                let rest: Vec<_> = labels.iter().filter(|(label, _)| label != "le").collect();
                let (bound, count) = family.buckets.entry(format!("{rest:?}")).or_insert((f64::NEG_INFINITY, 0.0));
                if suffix == "_count" {
                    assert_eq!((*bound, *count), (f64::INFINITY, value), "{line}");
                } else {
                    let next: f64 = le.unwrap().1.parse().unwrap();
                    assert!(next > *bound && value >= *count, "{line}");
                    (*bound, *count) = (next, value);
                }
            }
            _ => panic!("a {kind} has no {suffix}: {line}"),
        }
        assert!(le.is_none() || suffix == "_bucket", "{line}");
    }
    for (name, family) in families {
        let (Some(kind), true) = (family.kind, family.has_help) else { panic!("{name} has no type or help") };
        let is_taken = ["_total", "_info", "_bucket", "_count", "_sum"].iter().any(|suffix| name.ends_with(suffix));
        assert!(!is_taken, "the name of a {kind} ends as those of samples: {name}");
        assert!(series.iter().any(|(of, _)| of.starts_with(&name)), "{name} has no sample");
    }
}

/// A line with a sample: its name, labels and value.
fn sample(line: &str) -> (&str, Vec<(String, String)>, f64) {
    let end = line.find(['{', ' ']).unwrap();
    let (name, mut rest) = line.split_at(end);
    let is_plain = |name: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
            && name.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    assert!(is_plain(name), "{line}");
    let mut labels: Vec<(String, String)> = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while let Some((label, after)) = rest.split_once("=\"") {
            let (mut value, mut letters) = (String::new(), after.char_indices());
            let end = loop {
                match letters.next().unwrap_or_else(|| panic!("{line}")) {
                    (_, '\\') => match letters.next().unwrap().1 {
                        'n' => value.push('\n'),
                        escaped @ ('\\' | '"') => value.push(escaped),
                        _ => panic!("{line}"),
                    },
                    (at, '"') => break at,
                    (_, letter) => value.push(letter),
                }
            };
            assert!(is_plain(label) && labels.iter().all(|(known, _)| known != label), "{line}");
            labels.push((label.to_owned(), value));
            rest = &after[end + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').unwrap_or_else(|| panic!("{line}"));
    }
    let value = rest.strip_prefix(' ').and_then(|value| value.parse().ok());
    (name, labels, value.unwrap_or_else(|| panic!("{line}")))
}
