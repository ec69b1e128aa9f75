//! `lxkns show PID`: what it says of processes, against what the kernel says of them and lets them do.

use std::process::{Command, Stdio};

use lxkns_fixture::deny::{deny, interface};
use lxkns_fixture::{Actor, probe};
use serde_json::{Value, json};

use super::show::{rows, show};
use crate::harness::Need::UserNamespaces;
use crate::harness::{Test, test};
use crate::live::own_inode;
use crate::live::program::{run_lxkns, run_lxkns_with};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::show_process::process", &[UserNamespaces], process),
        test("cli::show_process::powers", &[UserNamespaces], powers),
        test("cli::show_process::oneself", &[], oneself),
    ]
}

fn process() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    actor.unshare(&["pid"]);
    let child = actor.fork();
    let thread = child.thread();
    thread.unshare(&["net"]);
    let shown = &show(&child.pid().to_string())["process"];
    assert_eq!(
        (&shown["pid"], &shown["ppid"], &shown["task-count"]),
        (&child.pid().into(), &actor.pid().into(), &2.into())
    );
    assert_eq!(rows(&shown["nspids"]).last(), Some(&1.into()));
    for (name, is_same) in [("uts", false), ("user", false), ("pid", false), ("net", true), ("mnt", true)] {
        let row = json!({"type": name, "nsid": child.ns_inode(name), "netns-name": null, "shared": is_same});
        assert!(rows(&shown["namespaces"]).contains(&row), "{name}: {shown}");
    }
    let elsewhere = json!([{"tid": thread.tid(), "name": shown["name"], "nsids": [thread.ns_inode("net")]}]);
    assert_eq!(shown["loose-tasks"], elsewhere);
    assert!(rows(&shown["capability-sets"]["effective"]).contains(&"CAP_SYS_ADMIN".into()), "{shown}");
    assert_eq!(shown["policy"], "SCHED_OTHER");
    let text = run_lxkns(["show", &child.pid().to_string()]).ok();
    assert!(text.text().starts_with(&format!("process {} (", child.pid())), "{text:?}");
    assert!(text.text().contains(&format!("  uts    uts:[{}] ", child.ns_inode("uts"))), "{text:?}");
}

/// What a process may do, against what the kernel says of it and lets it do.
fn powers() {
    let top = Actor::spawn_in(&["user", "uts"]);
    let other = top.fork();
    if probe::is_root() {
        // UID 1 of what it is in.
        other.setuid(1);
    }
    let is_host = own_inode("user") == 4_026_531_837;
    let uid = |actor: &Actor| -> u32 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", actor.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    for actor in [&top, &other] {
        let shown = &show(&actor.pid().to_string())["process"];
        assert_eq!(shown["uids"]["effective"], uid(actor), "{shown}");
        let map = std::fs::read_to_string(format!("/proc/{}/uid_map", actor.pid())).unwrap();
        let map: Vec<u32> = map.split_whitespace().take(3).map(|number| number.parse().unwrap()).collect();
        let inside = (uid(actor) >= map[1] && uid(actor) - map[1] < map[2]).then(|| uid(actor) - map[1] + map[0]);
        if is_host {
            assert_eq!(shown["uid-inside"], json!(inside), "{shown}");
            assert_eq!(shown["root-on-host"], uid(actor) == 0, "{shown}");
            // It has them in its own user namespace alone.
            assert_eq!(shown["host-capabilities"], json!([]), "{shown}");
        } else {
            assert_eq!(shown["root-on-host"], Value::Null, "{shown}");
        }
        assert_eq!(shown["compared-with"], "caller");
    }
    // A filter of system calls takes no_new_privs of who has no capabilities, and has it here.
    let reading = |filtered: bool| {
        let mut command = Command::new("cat");
        if filtered {
            deny(&mut command, &[interface("listns")], 1).unwrap();
        }
        Reaped(command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap())
    };
    for filtered in [true, false] {
        let child = reading(filtered);
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.0.id())).unwrap();
        let line = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        let shown = &show(&child.0.id().to_string())["process"];
        let mode = line("Seccomp").map(|mode| ["none", "strict", "filter"][mode.parse::<usize>().unwrap()]);
        assert_eq!((&shown["seccomp"], filtered), (&json!(mode), mode == Some("filter")), "{shown}");
        assert_eq!(shown["no-new-privs"], json!(line("NoNewPrivs").map(|is_set| is_set == "1")), "{shown}");
        let label = std::fs::read_to_string(format!("/proc/{}/attr/current", child.0.id()));
        let label = label.ok().map(|label| label.trim_end_matches(['\n', '\0']).to_owned());
        assert_eq!(shown["lsm-label"], json!(label.filter(|label| !label.is_empty())), "{shown}");
        assert_eq!(shown["lsm-missing"], Value::Null);
        let text = run_lxkns(["show", &child.0.id().to_string()]).ok();
        assert!(text.text().contains(&format!("  seccomp           {}\n", mode.unwrap())), "{text:?}");
    }
}

/// Without a TARGET it is the program itself: in the namespaces of who runs it.
fn oneself() {
    let shown = run_lxkns(["show", "--json"]).ok().answer_to("show");
    assert_eq!(shown[0]["process"]["name"], "lxkns");
    let namespaces = rows(&shown[0]["process"]["namespaces"]);
    assert!(namespaces.iter().any(|row| row["type"] == "net"), "{shown}");
    for row in namespaces.iter().filter(|row| !row["nsid"].is_null()) {
        assert_eq!((&row["nsid"], &row["shared"]), (&own_inode(row["type"].as_str().unwrap()).into(), &true.into()));
    }
    let dump = run_lxkns(["dump"]).ok().stdout;
    run_lxkns_with(&["show", "--from", "-"], &dump).fails(2, "name a TARGET");
}

/// A child that ends with the test.
struct Reaped(std::process::Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
