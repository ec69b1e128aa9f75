//! Numbers in a dump that no kernel says.

use std::collections::BTreeSet;
use std::path::Path;

use lxkns_core::wire;
use serde_json::{Number, Value, json};

use crate::harness::{Test, test};
use crate::live::directory;
use crate::live::program::run_lxkns;

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::numbers::an_errno_that_is_none", &[], an_errno_that_is_none),
        test("cli::numbers::anything_that_is_taken", &[], anything_that_is_taken),
    ]
}

/// A host that was recorded, with everything in it.
const HOST: &str = include_str!("../../golden/host.json");

/// All commands that read a dump.
fn commands(whole: &Value) -> Vec<Vec<String>> {
    let namespace = whole["namespaces"].as_object().unwrap().keys().next_back().unwrap();
    let mounts = whole["mounts"].as_object().unwrap().keys().next().unwrap();
    let process = whole["processes"].as_object().unwrap().keys().next().unwrap();
    [
        "ls -o +PATH,HOLDERS,CGROUP,UNIQUEID,ONS,PNS,NETNSID,UID,NTASKS",
        "ls --json",
        "tree --owned",
        "tree pid --json",
        "tree proc",
        &format!("show {namespace}"),
        &format!("show --json {process}"),
        &format!("show {process}"),
        &format!("why {namespace}"),
        &format!("why --json {namespace}"),
        "orphans",
        &format!("mounts {mounts}"),
        &format!("mounts --json {mounts}"),
        "busy /",
        &format!("caps -p {process} {namespace}"),
    ]
    .into_iter()
    .map(|command| command.split(' ').map(str::to_owned).collect())
    .collect()
}

/// Runs all of them on a dump, and checks how each ends: none by a signal.
#[track_caller]
fn all_end(directory: &Path, dump: &Value, whole: &Value, about: &str) -> Vec<(Option<i32>, String)> {
    let file = directory.join("dump.json");
    std::fs::write(&file, dump.to_string()).unwrap();
    let file = file.to_str().unwrap();
    let mut commands = commands(whole);
    commands.iter_mut().for_each(|command| command.extend(["--from".to_owned(), file.to_owned()]));
    commands.push(["diff", file, file].map(str::to_owned).into());
    commands.push(["diff", "--json", file, file].map(str::to_owned).into());
    let mut ends = Vec::new();
    for command in commands {
        let ran = run_lxkns(&command);
        assert!(ran.code.is_some_and(|code| (0..=4).contains(&code)), "{about}: {command:?}: {ran:?}");
        assert!(!ran.stderr.contains("panicked"), "{about}: {command:?}: {ran:?}");
        ends.push((ran.code, ran.stderr));
    }
    ends
}

fn an_errno_that_is_none() {
    let directory = directory();
    let whole: Value = serde_json::from_str(HOST).unwrap();
    for errno in [json!(0), json!(-1), json!(4096), json!(99_999), json!(i32::MIN), json!(u64::MAX), json!(1e300)] {
        let mut dump = whole.clone();
        let gap = json!({"place": "sockets", "operation": "pidfd_getfd", "errno": errno, "pid": 1, "tid": 1, "fd": 3});
        dump["discovery-options"]["snapshot"]["gaps"] = json!([gap]);
        for (code, stderr) in all_end(directory.path(), &dump, &whole, &errno.to_string()) {
            assert_eq!((code, stderr.lines().count()), (Some(3), 1), "{errno}: {stderr}");
            assert!(stderr.contains("invalid dump: "), "{errno}: {stderr}");
        }
    }
}

/// The kinds of places at which a number is, each with the first place of its kind: keys and indices that are numbers
/// themselves do not count.
fn places(value: &Value, at: &str, kinds: &mut BTreeSet<String>, found: &mut Vec<String>) {
    let below: Vec<(String, &Value)> = match value {
        Value::Number(_) => {
            let is_number = |name: &&str| name.bytes().all(|byte| byte.is_ascii_digit());
            let kind: Vec<_> = at.split('/').map(|name| if is_number(&name) { "0" } else { name }).collect();
            if kinds.insert(kind.join("/")) {
                found.push(at.to_owned());
            }
            return;
        }
        Value::Array(list) => list.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        Value::Object(object) => object.iter().map(|(key, value)| (key.replace('~', "~0"), value)).collect(),
        _ => return,
    };
    for (name, value) in below {
        places(value, &format!("{at}/{}", name.replace('/', "~1")), kinds, found);
    }
}

/// Everywhere in a dump at once, as far as it can still be read.
fn anything_that_is_taken() {
    let directory = directory();
    let whole: Value = serde_json::from_str(HOST).unwrap();
    let mut found = Vec::new();
    places(&whole, "", &mut BTreeSet::new(), &mut found);
    assert!(found.len() > 50, "{found:?}");
    let mut taken = 0;
    let signed = [i64::MIN, -1, 0, 1, i64::from(i32::MAX), i64::from(u32::MAX)].map(Number::from);
    for number in signed.into_iter().chain([u64::MAX.into(), Number::from_f64(0.5).unwrap()]) {
        let mut dump = whole.clone();
        for place in &found {
            let before = std::mem::replace(dump.pointer_mut(place).unwrap(), Value::Number(number.clone()));
            match wire::read(dump.to_string().as_bytes()) {
                Ok(_) => taken += 1,
                Err(_) => *dump.pointer_mut(place).unwrap() = before,
            }
        }
        all_end(directory.path(), &dump, &whole, &number.to_string());
    }
    assert!(taken > 50, "nothing was tried: {taken}");
}
