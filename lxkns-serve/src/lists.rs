//! Answers that are lists: the member that is the list, and the fields that its entries can have, by the schemas of the
//! answers.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use lxkns_answers::schemas;
use serde_json::Value;

use crate::protocol::Kind;

/// Where the list is in an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ListAt {
    /// The member of the answer.
    pub(crate) member: &'static str,
    /// The member of each of its entries that is a part of the list, where the entries are only what was asked for.
    pub(crate) inner: Option<&'static str>,
}

/// The kinds of questions whose answers are lists, and where that is.
const LISTS: [(Kind, ListAt); 9] = [
    (Kind::List, ListAt { member: "namespaces", inner: None }),
    (Kind::Containers, RESULTS),
    (Kind::Tree, RESULTS),
    (Kind::Orphans, RESULTS),
    (Kind::Audit, RESULTS),
    (Kind::Ports, RESULTS),
    (Kind::WhoCan, ListAt { inner: Some("processes"), ..RESULTS }),
    (Kind::Why, ListAt { inner: Some("holders"), ..RESULTS }),
    (Kind::Mounts, ListAt { inner: Some("mounts"), ..RESULTS }),
];

const RESULTS: ListAt = ListAt { member: "results", inner: None };

/// Where the list is in an answer; `None` for answers that have none.
pub(crate) fn list_of(kind: Kind) -> Option<ListAt> {
    LISTS.into_iter().find_map(|(of, list)| (of == kind).then_some(list))
}

/// The fields that an entry of the list can have; none for answers that have no list.
pub(crate) fn fields_of(kind: Kind) -> &'static BTreeSet<String> {
    static NONE: BTreeSet<String> = BTreeSet::new();
    static ALL: LazyLock<Vec<(Kind, BTreeSet<String>)>> = LazyLock::new(|| {
        let schemas = schemas();
        let fields = |(kind, list): (Kind, ListAt)| {
            let mut names = BTreeSet::new();
            if let Some((_, root)) = schemas.iter().find(|(question, _)| *question == kind.name()) {
                let mut entry = root;
                for member in [Some(list.member), list.inner].into_iter().flatten() {
                    entry = &referred(root, entry)["properties"][member]["items"];
                }
                collect(root, entry, &mut names);
            }
            (kind, names)
        };
        LISTS.into_iter().map(fields).collect()
    });
    ALL.iter().find(|(of, _)| *of == kind).map_or(&NONE, |(_, names)| names)
}

/// A schema, or the one that it refers to.
fn referred<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let path = schema["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
    path.and_then(|path| root.pointer(path)).unwrap_or(schema)
}

/// The properties of a schema, also those of only some of its values.
fn collect(root: &Value, schema: &Value, names: &mut BTreeSet<String>) {
    if let Some(reference) = schema["$ref"].as_str().and_then(|path| root.pointer(path.strip_prefix('#')?)) {
        collect(root, reference, names);
    }
    for alternatives in ["oneOf", "anyOf", "allOf"] {
        for schema in schema[alternatives].as_array().into_iter().flatten() {
            collect(root, schema, names);
        }
    }
    names.extend(schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name.clone()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_have_the_fields_of_their_schemas() {
        let has = |kind, name: &str| fields_of(kind).contains(name);
        for (kind, _) in LISTS {
            assert!(!fields_of(kind).is_empty(), "{}", kind.name());
        }
        assert!(has(Kind::List, "ns") && has(Kind::List, "uniqueid") && !has(Kind::List, "nsid"));
        // Of a namespace, of a process, and of both.
        assert!(["unique-id", "ppid", "depth", "kind"].iter().all(|name| has(Kind::Tree, name)));
        // Of what is in the results.
        assert!(has(Kind::WhoCan, "pid") && !has(Kind::WhoCan, "processes"));
        assert!(has(Kind::Mounts, "mountid") && has(Kind::Why, "kind") && !has(Kind::Why, "holders"));
        assert!(has(Kind::Ports, "port") && !has(Kind::Ports, "results"));
        assert!(fields_of(Kind::Snapshot).is_empty());
    }
}
