//! What is answered, with the kernel as judge.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};

use libtest_mimic::Trial;
use lxkns_fixture::Actor;
use serde_json::{Value, json};

use super::same::child;
use super::{Daemon, lxkns, test};

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("answers::a_namespace_and_its_holder_are_told_in_each_answer", holder),
        test("answers::clients_of_the_go_program_are_served", go_program),
        test("answers::each_answer_is_as_described", described),
        test("answers::what_does_not_exist_is_told_apart_from_what_is_not_asked_right", problems),
        test("answers::command_lines_are_told_only_where_that_is_allowed", command_lines),
        test("answers::no_path_is_looked_up_for_a_client", paths),
        test("answers::a_path_and_a_name_mean_what_is_mounted_there", names),
        test("answers::the_document_names_all_there_is", document),
        test("answers::metrics_count_what_is_there", metrics),
    ]
}

fn actor() -> Actor {
    Actor::spawn_in(&["user", "net"])
}

fn holder() {
    let daemon = Daemon::start(&[]);
    let actor = actor();
    let (pid, net) = (actor.pid(), actor.ns_inode("net"));
    let why = daemon.json(&format!("/api/v1/why?target=net:{net}"));
    assert_eq!((&why["question"], &why["results"][0]["namespace"]["nsid"]), (&json!("why"), &json!(net)), "{why}");
    let holders = why["results"][0]["holders"].as_array().unwrap();
    assert!(holders.iter().any(|holder| holder["kind"] == "process" && holder["pid"] == pid), "{why}");
    let all = daemon.json(&format!("/api/v1/namespaces?target={pid}&type=net,user"));
    let rows = all["namespaces"].as_array().unwrap();
    assert_eq!(rows.len(), 2, "{all}");
    assert!(rows.iter().any(|row| row["ns"] == net), "{all}");
    for path in [format!("namespaces/{net}"), format!("namespaces/net:%5B{net}%5D"), format!("show?target={pid}/net")] {
        let shown = daemon.json(&format!("/api/v1/{path}"));
        assert!(shown.to_string().contains(&net.to_string()), "{path}: {shown}");
    }
    let shown = daemon.json(&format!("/api/v1/processes/{pid}"));
    assert!(shown.to_string().contains(&format!("{net}")), "{shown}");
    let caps = daemon.json(&format!("/api/v1/caps?target={pid}/net&pid={pid}"));
    assert_eq!(caps["results"].as_array().unwrap().len(), 1, "{caps}");
    // It has gone with its process: a new scan does not have it.
    drop(actor);
    let gone = daemon.get(&format!("/api/v1/why?target=net:{net}"), &["Cache-Control: no-cache"]);
    assert!([403, 404].contains(&gone.status) || gone.json()["results"][0]["found"] == false || gone.status == 200);
    let tree = daemon.json("/api/v1/tree?kind=proc");
    assert!(!tree.to_string().contains(&format!("\"pid\":{pid},")), "PID {pid} has ended");
}

fn go_program() {
    let daemon = Daemon::start(&[]);
    let actor = actor();
    let all = daemon.json("/api/namespaces");
    let keys: Vec<_> = all.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "container-engines",
        "container-groups",
        "containers",
        "cpus-online",
        "discovery-options",
        "mounts",
        "namespaces",
        "processes",
    ];
    let sorted: std::collections::BTreeSet<_> = keys.into_iter().collect();
    assert_eq!(sorted.into_iter().collect::<Vec<_>>(), expected);
    let net = actor.ns_inode("net").to_string();
    assert_eq!(all["namespaces"][&net]["type"], "net");
    let pid = actor.pid().to_string();
    // What its readers need of each process.
    for process in [&all["processes"][&pid], &daemon.json("/api/processes")[&pid]] {
        assert_eq!((&process["namespaces"]["net"].to_string(), &process["pid"].to_string()), (&net, &pid));
        assert!(process["cmdline"].is_array() && process["tasks"].is_array() && process["fridgefrozen"].is_boolean());
    }
    let map = daemon.json("/api/pidmap");
    let is_it = |pids: &Value| pids.as_array().unwrap().iter().any(|at| at["pid"] == actor.pid());
    assert!(map.as_array().unwrap().iter().any(is_it));
    for path in ["/api", "/api/", "/api/nonsense", "/api/namespaces/1", "/api/v1", "/api/v1/nonsense"] {
        assert_eq!(daemon.get(path, &[]).status, 404, "{path}");
    }
    assert_eq!(daemon.get_local("/api/pidmap").status, 200);
}

/// Every path of the description answers what the description says.
fn described() {
    let daemon = Daemon::start(&["--expose-files"]);
    let actor = actor();
    let pid = actor.pid().to_string();
    let description = daemon.json("/api/v1/openapi.json");
    let components = &description["components"];
    let state = daemon.get("/api/v1/history", &[]).header("lxkns-state").unwrap().to_owned();
    let values: BTreeMap<&str, &str> =
        [("target", pid.as_str()), ("pid", &pid), ("path", "0:1"), ("capability", "net_admin"), ("since", &state)]
            .into_iter()
            .chain([("action", "unshare+-n"), ("file", "/etc/passwd")])
            .collect();
    let paths = description["paths"].as_object().unwrap();
    assert!(paths.len() > 20, "{paths:?}");
    // The events have no end, and tests of their own.
    for (path, at) in paths.iter().filter(|(path, _)| *path != "/api/v1/events") {
        let described = &at["get"];
        let mut query = Vec::new();
        for parameter in described["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            if parameter["in"] == "query" && parameter["required"] == true {
                query.push(format!("{name}={}", values[name]));
            }
        }
        let target = if path.contains("namespaces") { actor.ns_inode("user").to_string() } else { pid.clone() };
        let asked = format!("{}?{}", path.replace("{target}", &target), query.join("&"));
        let reply = daemon.get(&asked, &[]);
        let content = described["responses"]["200"]["content"].as_object().unwrap();
        let (content, body) = content.iter().find(|(name, _)| !name.contains("patch")).unwrap();
        let (content, schema, value) = match reply.status {
            200 if path == "/metrics" || content == "text/plain" => continue,
            // All fields were asked for.
            200 if body["schema"]["anyOf"].is_array() => (content.as_str(), &body["schema"]["anyOf"][0], reply.json()),
            200 if content == "application/jsonl" => (content.as_str(), &body["schema"], Value::String(reply.text())),
            200 => (content.as_str(), &body["schema"], reply.json()),
            // The actor is in no container; nothing may be mounted from that device.
            404 if path.contains("containers") || path.contains("busy") => {
                let problem = &described["responses"]["default"]["content"]["application/problem+json"];
                ("application/problem+json", &problem["schema"], reply.json())
            }
            _ => panic!("{asked}: {reply:?}"),
        };
        assert_eq!(reply.header("content-type"), Some(content), "{asked}");
        for name in described["responses"]["200"]["headers"].as_object().into_iter().flat_map(|headers| headers.keys())
        {
            assert!(reply.status != 200 || name == "Link" || reply.header(name).is_some(), "{asked}: {name}");
        }
        let schema = json!({ "allOf": [schema], "components": components });
        let validator = jsonschema::validator_for(&schema).unwrap();
        if let Err(error) = validator.validate(&value) {
            panic!("{asked}: {error} at {}", error.instance_path());
        }
    }
}

fn problems() {
    let daemon = Daemon::start(&[]);
    for (path, status) in [
        ("/api/v1/why", 400),
        ("/api/v1/why?target=4194305x", 400),
        ("/api/v1/why?target=self", 400),
        ("/api/v1/why?target=1&nonsense=1", 400),
        ("/api/v1/why?target=%ff", 400),
        ("/api/v1/show?target=4194303", 404),
        ("/api/v1/processes/4194303", 404),
        ("/api/v1/processes/net:4026531840?target=1", 400),
        ("/api/v1/namespaces/1", 404),
        ("/api/v1/caps?target=1/net", 400),
        ("/api/v1/who-can?target=1/net&capability=nonsense", 400),
        ("/api/v1/tree?kind=nonsense", 400),
        ("/api/v1/orphans?type=nets", 400),
        ("/api/v1/orphans?all=maybe", 400),
        ("/api/v1/ports?port=65536", 400),
        ("/api/v1/ports?port=%2B80", 400),
        ("/api/v1/why?target=netns:no-such-name", 404),
        ("/api/v1/why?target=./relative", 400),
        ("/api/v1/busy?path=relative", 400),
    ] {
        let reply = daemon.get(path, &[]);
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
        assert_eq!(reply.header("content-type"), Some("application/problem+json"), "{path}");
        let problem = reply.json();
        assert_eq!(problem["status"], status, "{path}");
        assert!(problem["title"].is_string() && problem["type"].as_str().unwrap().starts_with("urn:lxkns:"), "{path}");
    }
    // What a path takes is what its description lists.
    for (path, said) in [
        (
            "/api/v1/namespaces?is=1",
            "is: not a parameter of /api/v1/namespaces: target, type, all, limit, cursor, fields",
        ),
        ("/api/v1/namespaces/host?target=1", "target: not a parameter of /api/v1/namespaces/{target}: it takes none"),
        (
            "/api/v1/mounts/host?%1b=1",
            "\\x1b: not a parameter of /api/v1/mounts/{target}: hidden, limit, cursor, fields",
        ),
        ("/api/v1/events?limit=1", "limit: not a parameter of /api/v1/events: since, type"),
        ("/api/v1/namespaces?limit=1&limit=2", "limit: only one is allowed"),
        ("/api/v1/caps?target=host&pid=1,2", "pid: only one is allowed"),
        ("/api/v1/mounts?target=1&target=2", "target: only one is allowed"),
        ("/api/v1/busy?path=/&path=/tmp", "path: only one is allowed"),
        ("/readyz?x", "x: not a parameter of /readyz: it takes none"),
    ] {
        let reply = daemon.get(path, &[]);
        assert_eq!((reply.status, &reply.json()["detail"]), (400, &json!(said)), "{path}");
    }
}

fn command_lines() {
    const SECRET: &str = "password=hunter2";
    let mut process = Command::new("sh");
    process.args(["-c", "read nothing", SECRET]).stdin(Stdio::piped());
    let mut process = process.spawn().unwrap();
    for (arguments, is_told) in [(&[][..], false), (&["--expose-command-lines"], true)] {
        let daemon = Daemon::start(arguments);
        let pid = process.id();
        // The shell may still be what it was before it ran.
        let paths = ["/api/namespaces".to_owned(), "/api/processes".to_owned(), format!("/api/v1/processes/{pid}")];
        for path in &paths {
            let text = daemon.get(path, &["Cache-Control: no-cache"]).text();
            assert!(text.contains(&pid.to_string()), "{path}");
            assert_eq!(text.contains(SECRET), is_told, "{path}");
        }
    }
    process.stdin.take().unwrap().write_all(b"\n").unwrap();
    process.wait().unwrap();
}

fn paths() {
    let daemon = Daemon::start(&[]);
    let there = daemon.get("/api/v1/why?target=/etc/passwd", &[]);
    let missing = daemon.get("/api/v1/why?target=/etc/no-such-file", &[]);
    // Whether there is such a file is not told.
    assert_eq!((there.status, missing.status), (403, 403));
    assert_eq!(there.text().replace("/etc/passwd", ""), missing.text().replace("/etc/no-such-file", ""));
}

/// Where the initial mount namespace is not visible, paths are those of the service, in which the test can mount something.
fn names() {
    const SCRIPT: &str = "mount -t tmpfs lxkns-test /run && mkdir /run/netns && : >/run/netns/blue && : >/run/red && \
                          unshare --net=/run/netns/blue true && unshare --net=/run/red true && \
                          exec \"$1\" --log json --scan-timeout 240 --no-engines --listen 127.0.0.1:0 --listen \"unix:$2\"";
    let daemon = Daemon::start_by(|socket| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--net", "--pid", "--fork", "--kill-child"]);
        command.args(["--mount-proc", "sh", "-c", SCRIPT, "sh", env!("CARGO_BIN_EXE_lxknsd")]).arg(socket);
        command.stdin(Stdio::null());
        command
    });
    let init = child(&daemon.pid().to_string());
    let enter = |program: &str| {
        let mut command = Command::new("nsenter");
        command.args(["--target", &init, "--user", "--preserve-credentials", "--mount", "--pid", "--net", "--wd=/"]);
        command.arg(program);
        command
    };
    let inode = |path: &str| {
        let output = enter("stat").args(["-Lc", "%i", path]).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().parse::<u64>().unwrap()
    };
    let blue = inode("/run/netns/blue");
    for target in ["netns:blue", "blue", "/run/netns/blue", "/run//netns/./blue"] {
        let reply = daemon.get_local(&format!("/api/v1/why?target={target}"));
        assert_eq!(reply.status, 200, "{target}: {}", reply.text());
        assert_eq!(reply.json()["results"][0]["namespace"]["nsid"], blue, "{target}");
        let said = enter(lxkns().to_str().unwrap()).args(["why", target, "--json"]).output().unwrap();
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        assert_eq!(said["results"][0]["namespace"]["nsid"], blue, "the command says the same of {target}");
    }
    let shown = daemon.get_local("/api/v1/show?target=/run/red&target=blue").json();
    let nsids: Vec<_> =
        shown["results"].as_array().unwrap().iter().map(|result| &result["namespace"]["nsid"]).collect();
    assert_eq!(nsids, [inode("/run/red"), blue], "{shown}");
    for (path, status) in [
        ("namespaces/blue", 200),
        ("ports?target=blue", 200),
        ("explain?action=setns+blue&pid=1", 200),
        ("show?target=netns:red", 404),
        ("show?target=/run", 404),
        ("show?target=/run/netns/../red", 403),
        ("show?target=/run/netns/none", 403),
    ] {
        let reply = daemon.get_local(&format!("/api/v1/{path}"));
        assert_eq!(reply.status, status, "{path}: {}", reply.text());
    }
}

fn metrics() {
    let daemon = Daemon::start(&[]);
    let actor = actor();
    let reply = daemon.get("/metrics", &["Cache-Control: no-cache"]);
    assert_eq!(reply.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert!(daemon.metric("lxkns_namespaces{type=\"net\",state=\"in-use\"}") >= 1.0);
    assert_eq!(daemon.metric("lxkns_up"), 1.0);
    for process in ["supervisor", "reader", "front"] {
        let bytes = daemon.metric(&format!("lxkns_process_resident_memory_bytes{{process=\"{process}\"}}"));
        assert!(bytes > 100_000.0, "{process}: {bytes}");
    }
    let open = daemon.get("/metrics", &["Accept: application/openmetrics-text; version=1.0.0"]);
    assert_eq!(open.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let text = open.text();
    assert!(text.ends_with("# EOF\n"));
    // Nothing that a container chooses, and no number of a namespace or process.
    let net = actor.ns_inode("net");
    assert!(!text.contains(&net.to_string()), "{text}");
    for family in ["lxkns_holders", "lxkns_orphans", "lxkns_gaps", "lxkns_scan_duration_seconds", "lxkns_http_requests"]
    {
        assert!(text.contains(&format!("# TYPE {family} ")), "{family}: {text}");
    }
}

fn document() {
    let document = format!("{}/../docs/service.md", env!("CARGO_MANIFEST_DIR"));
    let document = std::fs::read_to_string(document).unwrap();
    let daemon = Daemon::start(&[]);
    let description = daemon.json("/api/v1/openapi.json");
    let paths = description["paths"].as_object().unwrap();
    for (path, at) in paths {
        let row = document.lines().find(|line| line.starts_with("| `/") && line.contains(&format!("`{path}`")));
        let row = row.unwrap_or_else(|| panic!("{path} is not in docs/service.md"));
        for parameter in at["get"]["parameters"].as_array().unwrap() {
            let name = parameter["name"].as_str().unwrap();
            assert!(parameter["in"] == "path" || row.contains(&format!("`{name}`")), "{path}: {name}: {row}");
        }
    }
    let metrics = daemon.get("/metrics", &[]).text();
    for family in metrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(document.contains(&format!("`{family}`")), "{family} is not in docs/service.md");
    }
    let help = Command::new(env!("CARGO_BIN_EXE_lxknsd")).arg("--help").output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let words = help.split_whitespace().map(|word| word.trim_end_matches(','));
    let options: Vec<_> = words.filter(|word| word.starts_with("--") && word.len() > 2).collect();
    assert!(options.len() > 15, "{help}");
    for option in options.into_iter().filter(|option| !["--help", "--version"].contains(option)) {
        assert!(document.contains(&format!("`{option}")), "{option} is not in docs/service.md");
    }
}
