//! The schema that is published.

use super::*;

const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/schema.json");

/// `BLESS=1` in the environment writes it anew.
#[test]
fn the_published_schema_is_the_one_of_the_code() {
    let schema = serde_json::to_string_pretty(&crate::wire::schema()).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(PATH, &schema).unwrap();
    }
    let published = std::fs::read_to_string(PATH).unwrap();
    assert!(published == schema, "docs/schema.json is not up to date: run the tests with BLESS=1 in the environment");
}

#[test]
fn what_is_written_fits_the_schema() {
    let validator = jsonschema::validator_for(&crate::wire::schema()).unwrap();
    for snapshot in [fixture::empty(), fixture::full()] {
        for stable in [false, true] {
            let json = json_with(&snapshot, &WriteOptions { stable, command_lines: !stable, pretty: stable });
            let value = serde_json::from_str(&json).unwrap();
            let errors: Vec<_> =
                validator.iter_errors(&value).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert_eq!(errors, [""; 0]);
        }
    }
}

/// A schema that anything fits would be of no use.
#[test]
fn what_is_wrong_does_not_fit_the_schema() {
    let validator = jsonschema::validator_for(&crate::wire::schema()).unwrap();
    let good = value(&fixture::full());
    let change = |pointer: &str, to: serde_json::Value| {
        let mut value = good.clone();
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        value.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(key.to_owned(), to);
        !validator.is_valid(&value)
    };
    for (pointer, to) in [
        ("/pidmap", serde_json::json!([])),
        ("/namespaces/x", serde_json::json!({})),
        ("/namespaces/4026531837/type", serde_json::json!("usr")),
        ("/namespaces/4026531837/nsid", serde_json::json!(null)),
        ("/namespaces/4026531837/holders", serde_json::json!([{"kind": "unknown"}])),
        ("/namespaces/4026531837/relations", serde_json::json!({"owner": "x"})),
        ("/processes/1/pid", serde_json::json!(0)),
        ("/processes/1/namespaces", serde_json::json!({"foo": 1})),
        ("/processes/1/namespaces/net", serde_json::json!(null)),
        ("/processes/1/cmdline", serde_json::json!(null)),
        ("/processes/1/affinity", serde_json::json!([[1]])),
        ("/containers", serde_json::json!([])),
        ("/mounts/4026531832", serde_json::json!([])),
        ("/mounts/4026531832/~1", serde_json::json!({"mounts": [], "pathid": 1, "parentid": 0})),
    ] {
        assert!(change(pointer, to), "{pointer}");
    }
    for key in ["mounts", "containers", "cpus-online", "discovery-options"] {
        let mut value = good.clone();
        value.as_object_mut().unwrap().remove(key);
        assert!(!validator.is_valid(&value), "{key}");
    }
}

/// The example that users see is a dump.
#[test]
fn the_published_example_is_what_is_written() {
    let page = include_str!("../../../../docs/json.md");
    let (_, example) = page.split_once("```json\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let expected: serde_json::Value = serde_json::from_str(example).unwrap();
    assert_eq!(value(&read(example.as_bytes()).unwrap()), expected);
    assert!(jsonschema::validator_for(&crate::wire::schema()).unwrap().is_valid(&expected));
}
