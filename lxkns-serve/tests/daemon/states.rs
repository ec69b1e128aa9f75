//! States of the past, what differs between them, and lists page by page.

use libtest_mimic::Trial;
use lxkns_fixture::Actor;
use serde_json::{Value, json};

use super::merge_patch::apply;
use super::{Daemon, test};

const NEW: &str = "Cache-Control: no-cache";
const OLD: &str = "Cache-Control: max-age=86400";

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        test("states::a_client_gets_what_differs_from_the_snapshot_that_it_has", patched),
        test("states::diff_says_what_the_command_says", diff),
        test("states::a_state_that_is_not_kept_is_gone", gone),
        test("states::the_pages_of_a_list_are_of_one_state", pages),
        test("states::the_pages_of_a_list_go_through_all_results", pages_of_results),
        test("states::only_the_fields_that_are_wanted_come", fields),
    ]
}

/// The ID of the newest state.
fn state(daemon: &Daemon) -> String {
    let history = daemon.json("/api/v1/history");
    let last = history["results"].as_array().unwrap().last().unwrap();
    assert!(last["processes"].as_u64() > Some(1) && last["namespaces"].as_u64() > Some(1), "{last}");
    assert!(last["time"].is_string());
    last["state"].as_str().unwrap().to_owned()
}

fn patched() {
    let daemon = Daemon::start(&[]);
    let before = daemon.get("/api/v1/snapshot", &[NEW]);
    let state = before.header("lxkns-state").unwrap().to_owned();
    let same = daemon.get(&format!("/api/v1/snapshot?since={state}"), &[OLD]);
    assert_eq!((same.header("content-type"), same.text().as_str()), (Some("application/merge-patch+json"), "{}\n"));
    // It is kept in a moment, or now.
    daemon.get("/api/v1/history", &[OLD]);
    let actor = Actor::spawn_in(&["user", "net"]);
    let patch = daemon.get(&format!("/api/v1/snapshot?since={state}"), &[NEW]);
    assert_eq!(patch.header("content-type"), Some("application/merge-patch+json"));
    let after = patch.header("lxkns-state").unwrap();
    assert_ne!(after, state);
    let whole = daemon.get("/api/v1/snapshot", &[OLD]);
    assert_eq!(whole.header("lxkns-state"), Some(after));
    let (net, pid) = (actor.ns_inode("net").to_string(), actor.pid().to_string());
    let said = patch.json();
    assert!(said["namespaces"][&net].is_object() && said["processes"][&pid].is_object(), "{said}");
    let mut patched = before.json();
    apply(&mut patched, &said);
    assert!(patched == whole.json());
    assert!(patch.body.len() < whole.body.len() / 2, "{} of {}", patch.body.len(), whole.body.len());
    // What went is said to be gone.
    drop(actor);
    let said = daemon.get(&format!("/api/v1/snapshot?since={after}"), &[NEW]).json();
    let is_gone = |part: &Value, key: &str| part.as_object().is_some_and(|part| part.get(key) == Some(&Value::Null));
    assert!(is_gone(&said["namespaces"], &net) && is_gone(&said["processes"], &pid), "{said}");
}

fn diff() {
    let daemon = Daemon::start(&[]);
    let (directory, before) = (tempfile::tempdir().unwrap(), state(&daemon));
    let file = |name: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, daemon.get("/api/v1/snapshot", &[OLD]).body).unwrap();
        path
    };
    let old = file("old");
    let actor = Actor::spawn_in(&["user", "net"]);
    let between = state(&daemon);
    let new = file("new");
    let net = actor.ns_inode("net");
    drop(actor);
    let after = state(&daemon);
    let lines = |since: &str, rest: &str| {
        let reply = daemon.get(&format!("/api/v1/diff?since={since}{rest}"), &[OLD]);
        assert_eq!((reply.status, reply.header("content-type")), (200, Some("application/jsonl")), "{reply:?}");
        let lines = reply.text().lines().map(|line| serde_json::from_str::<Value>(line).unwrap()).collect::<Vec<_>>();
        (lines, reply.body)
    };
    let of_it = |lines: &[Value]| {
        let of_it = lines.iter().filter(|line| line["namespace"]["nsid"] == net);
        of_it.map(|line| line["change"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (came, body) = lines(&before, &format!("&until={between}"));
    assert!(of_it(&came).contains(&"appeared".to_owned()), "{came:?}");
    let (went, _) = lines(&between, "");
    assert!(of_it(&went).iter().any(|change| ["went", "vanished"].contains(&change.as_str())), "{went:?}");
    assert!(lines(&between, "&type=uts").0.iter().all(|line| line["namespace"]["type"] == "uts"));
    assert!(lines(&after, &format!("&until={after}")).0.is_empty());
    // The command says the same of both snapshots.
    let mut command = std::process::Command::new(super::lxkns());
    let said = command.arg("diff").arg("--json").args([&old, &new]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&body));
}

fn gone() {
    let daemon = Daemon::start(&[]);
    for (path, status) in [
        ("diff?since=00000000.1", 410),
        ("diff?since=nonsense", 400),
        ("diff", 400),
        ("snapshot?since=nonsense", 400),
        ("namespaces?limit=2&cursor=00000000.1.2", 410),
        ("namespaces?limit=2&cursor=nonsense", 400),
        ("namespaces?limit=0", 400),
        ("links?limit=2", 400),
    ] {
        let reply = daemon.get(&format!("/api/v1/{path}"), &[]);
        assert_eq!((reply.status, reply.header("content-type")), (status, Some("application/problem+json")), "{path}");
    }
    // All of the snapshot is as good as a patch.
    let whole = daemon.get("/api/v1/snapshot?since=00000000.1", &[]);
    assert_eq!((whole.status, whole.header("content-type")), (200, Some("application/json")));
    assert!(whole.json()["namespaces"].is_object());
}

fn pages() {
    let daemon = Daemon::start(&[]);
    let _actors: Vec<_> = (0..3).map(|_| Actor::spawn_in(&["user", "net", "uts"])).collect();
    let whole = daemon.get("/api/v1/namespaces?type=user,net,uts", &[NEW]);
    let (mut path, mut all) = ("/api/v1/namespaces?type=user,net,uts&limit=4".to_owned(), Vec::new());
    let mut state = None;
    loop {
        let page = daemon.get(&path, &[OLD]);
        assert_eq!(page.status, 200, "{page:?}");
        let rows = page.json()["namespaces"].as_array().unwrap().clone();
        assert!((1..=4).contains(&rows.len()), "{rows:?}");
        all.extend(rows);
        let of = page.header("lxkns-state").unwrap().to_owned();
        assert_eq!(state.get_or_insert(of.clone()), &of);
        let Some(link) = page.header("link") else { break };
        let (query, rel) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        assert_eq!(rel, "; rel=\"next\"");
        path = format!("/api/v1/namespaces{query}");
        // Another scan does not change the list.
        daemon.get("/api/v1/namespaces", &[NEW]);
    }
    assert!(all.len() >= 9);
    assert_eq!(json!(all), whole.json()["namespaces"]);
}

fn pages_of_results() {
    let daemon = Daemon::start(&[]);
    let actor = Actor::spawn_in(&["user", "net"]);
    let pid = actor.pid();
    let own = std::process::id();
    let of = |answer: &Value, inner: &str| -> Vec<Vec<Value>> {
        let results = answer["results"].as_array().unwrap().iter();
        results.map(|result| result[inner].as_array().unwrap().clone()).collect()
    };
    for (path, target, inner) in [
        ("why", format!("target={own}&target={pid}/net"), "holders"),
        ("who-can", format!("target={own}/net&capability=net_admin"), "processes"),
        ("mounts", format!("target={own}"), "mounts"),
    ] {
        daemon.get("/api/v1/namespaces", &[NEW]);
        let whole = of(&daemon.get(&format!("/api/v1/{path}?{target}"), &[OLD]).json(), inner);
        let count = whole.iter().map(Vec::len).sum::<usize>();
        assert!(count > 1, "{path}: {whole:?}");
        let limit = count / 3 + 1;
        let (mut query, mut all, mut pages) = (format!("?{target}&limit={limit}"), vec![Vec::new(); whole.len()], 0);
        loop {
            let page = daemon.get(&format!("/api/v1/{path}{query}"), &[OLD]);
            assert_eq!(page.status, 200, "{path}: {page:?}");
            let parts = of(&page.json(), inner);
            assert!(parts.len() == whole.len() && parts.iter().map(Vec::len).sum::<usize>() <= limit, "{path}");
            all.iter_mut().zip(parts).for_each(|(all, part)| all.extend(part));
            pages += 1;
            let Some(link) = page.header("link") else { break };
            query = link.strip_prefix('<').unwrap().split_once('>').unwrap().0.to_owned();
        }
        assert_eq!((pages, all), (count.div_ceil(limit), whole), "{path}");
    }
    let some = daemon.get(&format!("/api/v1/mounts/{own}?fields=path,mountid&limit=1"), &[OLD]).json();
    let first = some["results"][0]["mounts"][0].as_object().unwrap();
    assert_eq!(first.keys().collect::<Vec<_>>(), ["mountid", "path"]);
    assert!(some["results"][0]["nsid"].is_u64());
}

fn fields() {
    let daemon = Daemon::start(&[]);
    let all = daemon.get("/api/v1/namespaces?fields=ns,type", &[NEW]).json();
    let rows = all["namespaces"].as_array().unwrap();
    assert!(rows.len() > 5);
    for row in rows {
        assert_eq!(row.as_object().unwrap().keys().collect::<Vec<_>>(), ["ns", "type"]);
    }
    // Not among the columns that people see by default.
    let owned = daemon.get("/api/v1/namespaces?type=uts&fields=ns,ons", &[NEW]).json();
    let columns = daemon.get("/api/v1/namespaces?type=uts&all", &[OLD]).json();
    for (row, all) in owned["namespaces"].as_array().unwrap().iter().zip(columns["namespaces"].as_array().unwrap()) {
        assert_eq!(row, &json!({ "ns": all["ns"], "ons": all["ons"] }));
    }
    let refused = daemon.get("/api/v1/namespaces?fields=ns,nsid", &[OLD]);
    assert_eq!(refused.status, 400);
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("fields: nsid: not a field of ls: cgroup, "), "{detail}");
}
