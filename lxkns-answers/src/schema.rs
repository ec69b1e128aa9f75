//! JSON Schemas of answers, derived from their types.

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

use crate::caps::CapsAnswer;
use crate::doctor::Report;
use crate::events::Event;
use crate::json::Envelope;
use crate::orphans::OrphanResult;
use crate::show::ShowAnswer;
use crate::watch::WatchEvent;
use crate::why::WhyResult;
use crate::{busy, list, mounts, tree};

/// The questions, each with the JSON Schema (2020-12) of its answer. Of `diff` and `watch` it is that of a line. A key that
/// is not in a schema is one of a later version.
pub fn schemas() -> Vec<(&'static str, Value)> {
    vec![
        ("ls", schema_of::<list::Answer>("lxkns ls --json")),
        ("tree", schema_of::<Envelope<tree::Row>>("lxkns tree --json")),
        ("mounts", schema_of::<Envelope<mounts::Answer>>("lxkns mounts --json")),
        ("busy", schema_of::<Envelope<busy::Answer>>("lxkns busy --json")),
        ("why", schema_of::<Envelope<WhyResult>>("lxkns why --json")),
        ("orphans", schema_of::<Envelope<OrphanResult>>("lxkns orphans --json")),
        ("show", schema_of::<Envelope<ShowAnswer>>("lxkns show --json")),
        ("caps", schema_of::<Envelope<CapsAnswer>>("lxkns caps --json")),
        ("who-can", schema_of::<Envelope<crate::who_can::WhoCanAnswer>>("lxkns who-can --json")),
        ("explain", schema_of::<Envelope<crate::explain::ExplainAnswer>>("lxkns explain --json")),
        ("containers", schema_of::<Envelope<crate::containers::Answer>>("lxkns containers --json")),
        ("audit", schema_of::<Envelope<crate::audit::Answer>>("lxkns audit --json")),
        ("ports", schema_of::<Envelope<crate::ports::Answer>>("lxkns ports --json")),
        ("owner", schema_of::<Envelope<crate::owner::Answer>>("lxkns owner --json")),
        ("links", schema_of::<Envelope<crate::links::GraphAnswer>>("lxkns links --json")),
        ("enter", schema_of::<Envelope<crate::enter::PlanAnswer>>("lxkns enter --dry-run --json")),
        ("doctor", schema_of::<Envelope<Report>>("lxkns doctor --json")),
        ("diff", schema_of::<Event>("lxkns diff --json")),
        ("watch", schema_of::<WatchEvent>("lxkns watch --json")),
    ]
}

fn schema_of<T: JsonSchema>(title: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().for_serialize().into_generator().into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::changes::Between;
    use crate::context::Context;
    use crate::release::Advice;
    use crate::testing::{BUSY, HOME, LEFT, snapshot};
    use crate::why::Explanation;
    use lxkns_model::relations::changes;
    use serde_json::json;

    /// The keys whose values have several forms. A new key gets a name of its own, or the form that its name has.
    const TWO_FORMS: [(&str, &str); 5] = [
        // In events and tables, which have the columns of lsns, its name; elsewhere all of it.
        ("container", "object, string"),
        // As the kernel names them: a set of capabilities, and a UID.
        ("effective", "array of string, integer"),
        // In tables a count of each kind.
        ("holders", "array of object, string"),
        // In tables with a reason where there is none.
        ("netnsid", "integer, string"),
        // As of containers.
        ("unit", "object, string"),
    ];

    fn validator(question: &str) -> jsonschema::Validator {
        let (_, schema) = schemas().into_iter().find(|(known, _)| *known == question).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    }

    #[test]
    fn answers_fit_and_nothing_else_does() {
        let (old, mut new) = (snapshot(), snapshot());
        new.namespaces.remove(&LEFT);
        let context = Context { snapshot: &old, mount_ns: Some(HOME), is_live: true };
        let advice = Advice::of(context);
        let results =
            [LEFT, BUSY].map(|id| WhyResult::of("x".into(), &Explanation::new(&advice, &old.namespaces[&id])));
        let envelope = serde_json::to_value(Envelope::new("why", results.to_vec(), vec!["a gap".into()])).unwrap();
        assert!(validator("why").is_valid(&envelope), "{envelope}");
        for missing in ["format", "results", "gaps"] {
            let mut less = envelope.clone();
            less.as_object_mut().unwrap().remove(missing);
            assert!(!validator("why").is_valid(&less), "{missing}");
        }
        let mut wrong = envelope;
        wrong["results"][0]["holders"][0]["pid"] = json!("1");
        assert!(!validator("why").is_valid(&wrong));
        let found = changes(&old, &new).unwrap();
        let between = Between { old: &old, new: Context { snapshot: &new, ..context } };
        let events: Vec<_> = between.events(&found.namespaces, None).collect();
        assert!(!events.is_empty());
        for event in events {
            let event = serde_json::to_value(event).unwrap();
            assert!(validator("diff").is_valid(&event) && !validator("why").is_valid(&event), "{event}");
        }
    }

    /// The types of the values of each key, in all schemas: `object`, `array of string`, `integer` and the like, without `null`.
    fn types_of_keys() -> BTreeMap<String, BTreeSet<String>> {
        fn types(schema: &Value, root: &Value, found: &mut BTreeSet<String>) {
            if let Some(name) = schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
                return types(&root["$defs"][name], root, found);
            }
            for alternative in ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| schema[*key].as_array()).flatten() {
                types(alternative, root, found);
            }
            let named = match &schema["type"] {
                Value::String(name) => vec![name.as_str()],
                Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
                _ if schema["const"].is_string() => vec!["string"],
                _ => Vec::new(),
            };
            for name in named.into_iter().filter(|name| *name != "null") {
                match name {
                    "array" => {
                        let mut of = BTreeSet::new();
                        types(&schema["items"], root, &mut of);
                        found.extend(of.into_iter().map(|of| format!("array of {of}")));
                    }
                    name => drop(found.insert(name.to_owned())),
                }
            }
        }
        fn walk(schema: &Value, root: &Value, keys: &mut BTreeMap<String, BTreeSet<String>>) {
            match schema {
                Value::Object(object) => {
                    for (key, value) in object.get("properties").and_then(Value::as_object).into_iter().flatten() {
                        types(value, root, keys.entry(key.clone()).or_default());
                    }
                    object.values().for_each(|value| walk(value, root, keys));
                }
                Value::Array(all) => all.iter().for_each(|value| walk(value, root, keys)),
                _ => {}
            }
        }
        let mut keys = BTreeMap::new();
        for (_, schema) in schemas() {
            walk(&schema, &schema, &mut keys);
        }
        keys
    }

    #[test]
    fn a_key_has_one_form() {
        let several = types_of_keys().into_iter().filter(|(_, types)| types.len() > 1);
        let several: Vec<_> =
            several.map(|(key, types)| (key, types.into_iter().collect::<Vec<_>>().join(", "))).collect();
        let known = TWO_FORMS.map(|(key, types)| (key.to_owned(), types.to_owned()));
        assert_eq!(several, known);
    }

    /// What docs/answers.json has, for programs that are not built with this crate; `BLESS=1` in the environment writes it anew.
    #[test]
    fn what_is_published_is_up_to_date() {
        const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/answers.json");
        // One schema of all, so what they have in common stands there once.
        let (mut parts, mut answers) = (BTreeMap::new(), BTreeMap::new());
        for (question, mut schema) in schemas() {
            let root = schema.as_object_mut().unwrap();
            root.remove("$schema");
            if let Some(Value::Object(own)) = root.remove("$defs") {
                for (name, part) in own {
                    let known = parts.entry(name.clone()).or_insert_with(|| part.clone());
                    assert_eq!(*known, part, "two are called {name}");
                }
            }
            answers.insert(question, schema);
        }
        let all = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "title": "Answers of lxkns, by question",
            "$defs": parts,
            "properties": answers,
        });
        let text = serde_json::to_string_pretty(&all).unwrap() + "\n";
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(PATH, &text).unwrap();
        }
        let is_same = std::fs::read_to_string(PATH).unwrap() == text;
        assert!(is_same, "docs/answers.json is not up to date: run the tests with BLESS=1 in the environment");
    }

    #[test]
    fn each_question_has_one() {
        let questions: std::collections::BTreeSet<_> = schemas().into_iter().map(|(question, _)| question).collect();
        assert_eq!(questions.len(), schemas().len());
    }
}
