//! What nobody should have written.

use proptest::prelude::*;

use serde_json::{Number, Value};

use super::*;
use crate::NamespaceType;
use crate::relations;
use crate::wire::ErrorKind;

fn fails(json: &str) -> (ErrorKind, String) {
    let error = read(json.as_bytes()).expect_err(json);
    let message = error.to_string();
    assert!(!message.contains('\n') && message.len() < 400, "{message}");
    (error.kind(), message)
}

#[test]
fn what_is_no_dump_says_so() {
    for json in ["", "hello", "{", "[1, 2", "\u{0}", "{\"namespaces\": {}} x"] {
        assert_eq!(fails(json).0, ErrorKind::NotJson, "{json}");
    }
    for json in ["5", "null", "[]", "\"x\"", "{}", "{\"namespaces\": null}", "{\"a\": 1}", "[[1, \"\\n\"]]"] {
        let (kind, message) = fails(json);
        assert_eq!(kind, ErrorKind::NotADump, "{json}");
        assert_eq!(message, "not a dump: it has no namespaces");
    }
}

#[test]
fn values_that_cannot_be_are_errors() {
    let namespace = |rest: &str| format!("{{\"namespaces\": {{\"9\": {{\"nsid\": 9, \"type\": \"net\", {rest}}}}}}}");
    let process = |rest: &str| format!("{{\"namespaces\": {{}}, \"processes\": {{\"9\": {{{rest}}}}}}}");
    let snapshot = |rest: &str| {
        format!("{{\"namespaces\": {{}}, \"discovery-options\": {{\"snapshot\": {{\"format\": 1, {rest}}}}}}}")
    };
    for json in [
        namespace("\"owner\": -1"),
        namespace("\"owner\": 18446744073709551616"),
        namespace("\"nsid\": 9"), // twice
        namespace("\"leaders\": [4294967296]"),
        namespace("\"holders\": [{\"kind\": \"fd\"}]"),
        namespace("\"holders\": [{\"kind\": \"mount\", \"mntns\": 1}]"),
        namespace("\"relations\": {\"owner\": \"who knows\"}"),
        "{\"namespaces\": {\"x\": {\"type\": \"net\"}}}".to_owned(),
        "{\"namespaces\": {\"-1\": {\"type\": \"net\"}}}".to_owned(),
        "{\"namespaces\": {\"0\": {\"type\": \"net\"}}}".to_owned(),
        "{\"namespaces\": {\"1\": {\"type\": \"a\\nb\"}}}".to_owned(),
        "{\"namespaces\": {\"1\": {}}}".to_owned(),
        format!("{{\"namespaces\": \"{}\"}}", "x".repeat(10_000)),
        process("\"pid\": 0"),
        process("\"pid\": -4"),
        process("\"tasks\": [{}]"),
        process("\"tasks\": [{\"tid\": 0}]"),
        process("\"affinity\": [[1, 2, 3]]"),
        process(
            "\"nspids\": [], \"uids\": {\"real\": 0, \"effective\": 0, \"saved\": 0, \"file-system\": 0}, \
             \"capabilities\": {\"inheritable\": \"x\", \"permitted\": \"0\", \"effective\": \"0\", \
             \"bounding\": \"0\", \"ambient\": \"0\"}",
        ),
        "{\"namespaces\": {}, \"mounts\": {\"1\": {\"/\": {\"mounts\": [{\"mountid\": 1}]}}}}".to_owned(),
        "{\"namespaces\": {}, \"mounts\": {\"1\": {\"/\": {\"mounts\": [{\"mountid\": 1, \"parentid\": 1, \"major\": 0, \
         \"minor\": 1, \"tags\": {\"shared\": \"x\"}}]}}}}"
            .to_owned(),
        snapshot("\"taken-at\": \"yesterday\""),
        snapshot("\"options\": {\"status\": \"some\"}"),
        snapshot("\"suspects\": [{\"kind\": \"in-flight\"}]"),
        snapshot("\"suspects\": [{\"kind\": \"proc-file\", \"pid\": 1, \"fd\": 1, \"type\": \"x\", \"path\": \"\"}]"),
    ] {
        assert_eq!(fails(&json).0, ErrorKind::Invalid, "{json}");
    }
}

/// Where in a dump a number is: the path of keys and indices to it.
fn numbers(value: &Value, at: &mut String, found: &mut Vec<String>) {
    let mut below = |name: &str, value: &Value| {
        let length = at.len();
        at.push('/');
        at.push_str(&name.replace('~', "~0").replace('/', "~1"));
        numbers(value, at, found);
        at.truncate(length);
    };
    match value {
        Value::Number(_) => found.push(at.clone()),
        Value::Array(list) => list.iter().enumerate().for_each(|(index, value)| below(&index.to_string(), value)),
        Value::Object(object) => object.iter().for_each(|(key, value)| below(key, value)),
        _ => {}
    }
}

/// Numbers that somebody could put anywhere.
fn hostile_numbers() -> Vec<Number> {
    let whole = [
        i64::MIN,
        -2_147_483_649,
        i64::from(i32::MIN),
        -4096,
        -2,
        -1,
        0,
        1,
        4095,
        4096,
        65_536,
        2_147_483_647,
        2_147_483_648,
        4_294_967_295,
        4_294_967_296,
        i64::MAX,
    ];
    let fractions = [1e300, -1e300, 0.5, -0.0, 1.0, 18_446_744_073_709_551_616.0];
    let fractions = fractions.into_iter().filter_map(Number::from_f64);
    whole.into_iter().map(Number::from).chain([u64::MAX.into()]).chain(fractions).collect()
}

/// Each number of a dump with everything in it, replaced by each of these: it is refused in one line, or all that is
/// computed with it comes to an end.
#[test]
fn no_number_in_a_dump_ends_the_program() {
    let whole = value(&fixture::full());
    let mut places = Vec::new();
    numbers(&whole, &mut String::new(), &mut places);
    assert!(places.len() > 100, "{places:?}");
    let mut refused = std::collections::BTreeSet::new();
    for place in &places {
        for number in hostile_numbers() {
            let mut dump = whole.clone();
            *dump.pointer_mut(place).unwrap() = Value::Number(number.clone());
            let json = dump.to_string();
            match read(json.as_bytes()) {
                Ok(snapshot) => computes(&snapshot),
                Err(error) => {
                    let message = error.to_string();
                    assert!(!message.contains('\n') && message.len() < 400, "{place} {number}: {message}");
                    let is_known = [ErrorKind::Invalid, ErrorKind::NewerFormat].contains(&error.kind());
                    assert!(is_known, "{place} {number}: {message}");
                    refused.insert(place.clone());
                }
            }
        }
    }
    // No number of a dump may be a fraction but those that nobody reads.
    let derived =
        |place: &&String| ["/pathid", "/parentid", "/ealdorman", "/pidmap/"].iter().any(|it| place.contains(it));
    let unread: Vec<_> = places.iter().filter(|place| !refused.contains(*place)).filter(|it| !derived(it)).collect();
    assert!(unread.is_empty(), "taken whatever it was: {unread:?}");
}

/// A number too large for any type, which only a text can have.
#[test]
fn a_number_beyond_all_types_is_no_number() {
    for number in ["1e999", "-1e999", "99999999999999999999999999999999"] {
        let json = format!("{{\"namespaces\": {{\"9\": {{\"type\": \"net\", \"leaders\": [{number}]}}}}}}");
        fails(&json);
    }
}

/// What every view goes through.
fn computes(snapshot: &Snapshot) {
    for gap in &snapshot.gaps {
        let _ = format!("{}: {}", gap.operation, gap.cause);
    }
    for ns_type in [NamespaceType::User, NamespaceType::Pid] {
        let _ = relations::hierarchy(snapshot, ns_type);
    }
    let _ = (relations::ownership(snapshot), relations::process_tree(snapshot), relations::pid_map(snapshot));
    for &id in snapshot.namespaces.keys() {
        let _ = relations::charges(snapshot, id);
        let _ = relations::owned_pid_namespaces(snapshot);
        for &pid in snapshot.processes.keys() {
            let _ = relations::authority(snapshot, pid, id);
        }
    }
    for mounts in snapshot.mounts.values() {
        let _ = (relations::mount_paths(mounts), relations::hidden_mounts(mounts, None));
    }
    let _ = relations::changes(snapshot, &fixture::full());
    read(super::json(snapshot).as_bytes()).unwrap();
}

#[test]
fn a_newer_format_is_an_error_and_newer_words_are_not() {
    let dump = |info: &str| format!("{{\"namespaces\": {{}}, \"discovery-options\": {{\"snapshot\": {{{info}}}}}}}");
    assert_eq!(fails(&dump("\"format\": 2")).0, ErrorKind::NewerFormat);
    let json = dump(
        "\"format\": 1, \"places\": [\"fds\", \"attic\"], \"gaps\": [{\"place\": \"attic\"}], \
         \"suspects\": [{\"kind\": \"butler\"}], \"new\": {\"x\": []}",
    );
    let snapshot = read(json.as_bytes()).unwrap();
    assert!(snapshot.options.places.iter().eq([crate::Place::Fds]));
    assert!(snapshot.gaps.is_empty() && snapshot.suspects.is_empty());
}

#[test]
fn depth_and_size_do_not_matter() {
    for open in ["[", "{\"a\":", "{\"namespaces\":", "{\"containers\":["] {
        fails(&open.repeat(100_000));
    }
    let mut json = "{\"namespaces\":{\"1\":{\"type\":\"user\",\"parent\":2},\"2\":{\"type\":\"user\",\"parent\":1,\
                    \"children\":[1,2,3]}}, \"containers\": null, \"mounts\": null, \"processes\": null}"
        .to_owned();
    let snapshot = read(json.as_bytes()).unwrap();
    json = super::json(&snapshot);
    assert!(read(json.as_bytes()).is_ok());
}

#[test]
fn repeated_and_unsorted_entries_are_put_in_order() {
    let json = "{\"namespaces\":{}, \"processes\":{\"7\":{\"name\":\"x\",\"tasks\":[{\"tid\":9},{\"tid\":8},\
                {\"tid\":9}]}}}";
    let snapshot = read(json.as_bytes()).unwrap();
    let process = &snapshot.processes[&crate::Pid(7)];
    assert_eq!(process.tasks.iter().map(|task| task.tid.0).collect::<Vec<_>>(), [7, 8, 9]);
    assert_eq!(process.comm(), "x");
}

proptest! {
    #[test]
    fn nothing_panics(json in "[\\[\\]{}:,\"0-9a-z -]{0,60}") {
        let _ = read(json.as_bytes());
    }

    #[test]
    fn a_damaged_dump_does_not_panic(at in any::<prop::sample::Index>(), byte: u8) {
        let mut json = json(&fixture::full()).into_bytes();
        let at = at.index(json.len());
        json[at] = byte;
        if let Ok(snapshot) = read(json.as_slice()) {
            super::json(&snapshot);
        }
    }
}
