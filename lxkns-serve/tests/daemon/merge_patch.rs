//! JSON merge patches, applied as a client does.

use serde_json::{Value, json};

/// What RFC 7396 says that a patch does.
pub(crate) fn apply(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let members = target.as_object_mut().unwrap();
    for (key, value) in patch {
        if value.is_null() {
            members.remove(key);
        } else {
            apply(members.entry(key).or_insert(Value::Null), value);
        }
    }
}
