//! Answers that are lists: the member that is the list, and the fields that its entries can have, by the schemas of the
//! answers.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use lxkns_answers::schemas;
use serde_json::Value;

use crate::protocol::Kind;

/// The kinds of questions whose answers are lists.
const LISTS: [Kind; 7] =
    [Kind::List, Kind::Containers, Kind::Tree, Kind::Orphans, Kind::Audit, Kind::Ports, Kind::WhoCan];

/// The member of an answer that is the list; `None` for answers that have none.
pub(crate) fn list_of(kind: Kind) -> Option<&'static str> {
    LISTS.contains(&kind).then_some(if kind == Kind::List { "namespaces" } else { "results" })
}

/// The fields that an entry of the list can have; none for answers that have no list.
pub(crate) fn fields_of(kind: Kind) -> &'static BTreeSet<String> {
    static NONE: BTreeSet<String> = BTreeSet::new();
    static ALL: LazyLock<Vec<(Kind, BTreeSet<String>)>> = LazyLock::new(|| {
        let schemas = schemas();
        let fields = |kind: Kind| {
            let schema = schemas.iter().find(|(question, _)| *question == kind.name()).map(|(_, schema)| schema);
            let list = schema.and_then(|schema| Some((schema, &schema["properties"][list_of(kind)?]["items"])));
            let mut names = BTreeSet::new();
            if let Some((root, entry)) = list {
                collect(root, entry, &mut names);
            }
            (kind, names)
        };
        LISTS.into_iter().map(fields).collect()
    });
    ALL.iter().find(|(of, _)| *of == kind).map_or(&NONE, |(_, names)| names)
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
        for kind in LISTS {
            assert!(!fields_of(kind).is_empty(), "{}", kind.name());
        }
        assert!(has(Kind::List, "ns") && has(Kind::List, "uniqueid") && !has(Kind::List, "nsid"));
        // Of a namespace, of a process, and of both.
        assert!(["unique-id", "ppid", "depth", "kind"].iter().all(|name| has(Kind::Tree, name)));
        assert!(has(Kind::Ports, "port") && !has(Kind::Ports, "results"));
        assert!(fields_of(Kind::Snapshot).is_empty());
    }
}
