//! UIDs that the reader's user namespace does not map: the kernel shows all of them as one, which is nobody's number.

use std::process::Command;

use lxkns_fixture::Actor;
use serde_json::{Value, json};

use super::assert_documented;
use crate::harness::Need::{self, Program, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::program::{Ran, row, run};

pub(super) fn tests() -> Vec<Test> {
    const INSIDE: &[Need] = &[UserNamespaces, Program("nsenter"), Program("id")];
    vec![
        test("cli::not_mapped::ls", INSIDE, ls),
        test("cli::not_mapped::caps", INSIDE, caps),
        test("cli::not_mapped::doctor", INSIDE, doctor),
        test("cli::not_mapped::show_and_tree", INSIDE, show_and_tree),
    ]
}

/// Runs a program in the user namespace of an actor, with the actor's IDs.
fn inside(actor: &Actor, words: &[&str]) -> Ran {
    let mut command = Command::new("nsenter");
    command.args(["-t", &actor.pid().to_string(), "--user", "--preserve-credentials", "--"]);
    if let ["lxkns", words @ ..] = words {
        return run(command.arg(lxkns().get_program()).args(words));
    }
    run(command.args(words))
}

/// What is asked in a user namespace without any map, and then with one. The kernel says which UID it shows there.
fn before_and_after(ask: impl Fn(&Actor, &str)) {
    let actor = Actor::spawn();
    actor.unshare(&["user"]);
    let uid = || inside(&actor, &["id", "-u"]).text().trim().to_owned();
    assert_eq!(uid(), "65534", "otherwise this would prove nothing");
    ask(&actor, "65534");
    actor.map_root();
    assert_eq!(uid(), "0");
    ask(&actor, "0");
}

/// Not known where the kernel has no number, and the number where it has one.
fn known(shown: &str) -> Value {
    if shown == "65534" { Value::Null } else { json!(0) }
}

const WORDS: &str = "65534 or not mapped";

fn ls() {
    before_and_after(|actor, shown| {
        // The program is in it itself; others it can see only with capabilities, which go with the map.
        let user = actor.ns_inode("user");
        let table = inside(actor, &["lxkns", "ls", "--json", "-o", "NS,UID,USER"]).ok().json();
        let row = row(&table, user).unwrap();
        assert_eq!(row["uid"], known(shown), "{row}");
        assert_eq!(row["user"].is_null(), shown == "65534", "{row}");
        let text = inside(actor, &["lxkns", "ls", "-o", "NS,UID"]).ok();
        let line = text.text().lines().find(|line| line.trim_start().starts_with(&user.to_string())).unwrap();
        assert!(line.trim_end().ends_with(if shown == "65534" { WORDS } else { " 0" }), "{line}");
    });
}

fn caps() {
    before_and_after(|actor, shown| {
        let target = format!("user:{}", actor.ns_inode("user"));
        let answer = inside(actor, &["lxkns", "caps", "--json", &target]).ok().answer();
        assert_documented(&answer);
        assert_eq!(answer["process"]["uid"], known(shown), "{answer:#}");
        for of_branch in answer["branch"].as_array().unwrap() {
            assert_ne!(of_branch["user-id"], 65534, "{answer:#}");
        }
    });
}

fn doctor() {
    before_and_after(|actor, shown| {
        let answer = inside(actor, &["lxkns", "doctor", "--json"]).ok().answer();
        assert_eq!(answer["caller"]["uid"], known(shown), "{:#}", answer["caller"]);
        assert_eq!(answer["caller"]["user"].is_null(), shown == "65534", "{:#}", answer["caller"]);
        let text = inside(actor, &["lxkns", "doctor"]).ok();
        let said = if shown == "65534" { format!(" UID {WORDS}\n") } else { " UID 0 (".to_owned() };
        assert!(text.text().contains(&said), "{text:?}");
    });
}

fn show_and_tree() {
    before_and_after(|actor, shown| {
        let (pid, user) = (actor.pid().to_string(), actor.ns_inode("user"));
        let answer = inside(actor, &["lxkns", "show", "--json", &pid]).ok().answer();
        let uids = &answer["process"]["uids"];
        for kind in ["real", "effective", "saved", "file-system"] {
            assert_eq!(uids[kind], known(shown), "{uids}");
        }
        assert_eq!(answer["process"]["uid-inside"], known(shown), "{answer:#}");
        let tree = inside(actor, &["lxkns", "tree", "--json", "user"]).ok().results();
        let node = tree.iter().find(|node| node["nsid"] == user).unwrap();
        assert_eq!(node["user-id"], known(shown), "{node}");
        let answer = inside(actor, &["lxkns", "show", "--json", &format!("user:{user}")]).ok().answer();
        assert_eq!(answer["namespace"]["user-id"], known(shown), "{answer:#}");
    });
}
