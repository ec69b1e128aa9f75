//! The JSON Schema, derived from the form.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::form::Dump;

/// The JSON Schema (2020-12) of what [`write`](super::write()) writes.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().for_serialize().into_generator();
    let mut schema = generator.into_root_schema_for::<Dump>().to_value();
    as_written(&mut schema);
    schema
}

/// What is not known is left out when it is written, never null; defaults matter to nobody but the reader.
fn as_written(schema: &mut Value) {
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(as_written),
        Value::Object(keywords) => {
            keywords.values_mut().for_each(as_written);
            keywords.remove("default");
            if let Some(Value::Array(types)) = keywords.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    keywords.insert("type".to_owned(), only);
                }
            }
            let null = serde_json::json!({ "type": "null" });
            if let Some(Value::Array(choices)) = keywords.get_mut("anyOf")
                && choices.contains(&null)
            {
                choices.retain(|choice| *choice != null);
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    keywords.remove("anyOf");
                    keywords.extend(only);
                }
            }
        }
        _ => {}
    }
}
