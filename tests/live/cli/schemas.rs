//! What each command writes with `--json` fits the schema of its question.

use lxkns_fixture::{Actor, Open, Socket};

use super::with_bind_mount;
use crate::harness::Need::{Kernel, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::directory;
use crate::live::program::{assert_fits, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    vec![test("cli::schemas::of_every_question", &[UserNamespaces, Kernel(5, 6)], of_every_question)]
}

fn of_every_question() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "net"]);
    actor.open("/proc/self/ns/net", Open::ReadOnly);
    actor.socket(Socket::Udp4);
    let thread = actor.thread();
    thread.unshare(&["uts"]);
    let (mounter, left) = with_bind_mount(&directory.path().join("a b"));
    let [pid, mnt, uts] = [actor.pid().to_string(), mounter.pid().to_string(), thread.ns_inode("uts").to_string()];
    let left = left.to_string();
    let [net, user] = ["net", "user"].map(|name| format!("{pid}/{name}"));
    let dump = directory.path().join("dump");
    std::fs::write(&dump, run_lxkns(["dump"]).ok().stdout).unwrap();
    let contained = directory.path().join("contained");
    super::containers::with_containers(&contained, &[("web", &actor)], None);
    actor.unshare(&["net"]);
    // So that there is something for `ports`.
    let _listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    for (question, _) in lxkns_answers::schemas() {
        let targets: &[&str] = match question {
            "why" => &[&pid, &uts, &left],
            "mounts" => &[&mnt],
            "busy" => &["/proc"],
            "show" => &[&pid, &uts, &left, &net, &user],
            "caps" => &[&pid],
            "who-can" => &["net_admin", &pid],
            "explain" => &["fork", "-p", &pid],
            "ports" => &["--unix"],
            "owner" => &["/"],
            "enter" => &["--dry-run", &pid],
            "audit" => &[&pid],
            "containers" => &["--from", contained.to_str().unwrap()],
            "ls" | "tree" | "orphans" | "links" | "doctor" => &[],
            "diff" => &[dump.to_str().unwrap()],
            // Its lines are those of diff; its tests have them.
            "watch" => continue,
            _ => panic!("{question} is not tried"),
        };
        let ran = run_lxkns([&[question, "--json"], targets].concat());
        // Namespaces of other tests end meanwhile, and diff says what that can mean.
        let ran = if question == "diff" { ran } else { ran.ok() };
        assert_eq!(ran.code, Some(0), "{ran:?}");
        match question {
            "diff" => {
                let lines: Vec<_> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
                assert!(!lines.is_empty(), "it has moved");
                lines.iter().for_each(|line| assert_fits(question, line));
            }
            "ls" => assert_fits(question, &ran.json()),
            _ => assert!(!ran.results().is_empty(), "{ran:?}"),
        }
    }
}
