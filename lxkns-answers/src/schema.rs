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
    use super::*;
    use crate::changes::Between;
    use crate::context::Context;
    use crate::release::Advice;
    use crate::testing::{BUSY, HOME, LEFT, snapshot};
    use crate::why::Explanation;
    use lxkns_model::relations::changes;
    use serde_json::json;

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

    #[test]
    fn each_question_has_one() {
        let questions: std::collections::BTreeSet<_> = schemas().into_iter().map(|(question, _)| question).collect();
        assert_eq!(questions.len(), schemas().len());
    }
}
