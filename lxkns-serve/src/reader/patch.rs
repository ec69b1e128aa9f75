//! What leads from one snapshot to another: a JSON merge patch (RFC 7396).
//!
//! Both are read piece by piece, so it takes memory for what differs, however large they are.

use std::io::{self, BufRead};

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use super::json_text::Text;

/// What differs may have so many bytes. Beyond that, the whole is not much longer.
const MOST_BYTES: usize = 4 << 20;

/// The patch that leads from `old` to `new`; `None` where no such patch can, or it would be long.
///
/// # Errors
///
/// One of them cannot be read.
pub(crate) fn between(old: impl BufRead, new: impl BufRead) -> io::Result<Option<Value>> {
    let (mut old, mut new) = (Text::new(old), Text::new(new));
    let (mut patch, mut left, mut is_first) = (Map::new(), MOST_BYTES, true);
    old.take(b'{')?;
    new.take(b'{')?;
    loop {
        let (old_goes_on, new_goes_on) = (old.goes_on(is_first, b'}')?, new.goes_on(is_first, b'}')?);
        if !old_goes_on || !new_goes_on {
            return Ok((old_goes_on == new_goes_on).then_some(Value::Object(patch)));
        }
        is_first = false;
        let key = new.key()?;
        // All snapshots have the same parts, in the same order.
        if old.key()? != key {
            return Ok(None);
        }
        let part = match (old.peek()?, new.peek()?) {
            (b'{', b'{') => members(&mut old, &mut new, &mut left)?,
            _ => value(&old.value()?, Some(&new.value()?), &mut left)?,
        };
        match part {
            Part::Same => {}
            Part::Differs(differs) => drop(patch.insert(key, differs)),
            Part::Unsayable => return Ok(None),
        }
    }
}

/// What is to be said of a part.
enum Part {
    Same,
    Differs(Value),
    /// A patch cannot say it: in one, null means that there is nothing.
    Unsayable,
}

/// What differs between two objects, whose members come in nearly the same order.
fn members(old: &mut Text<impl BufRead>, new: &mut Text<impl BufRead>, left: &mut usize) -> io::Result<Part> {
    let (mut only_old, mut only_new) = (FxHashMap::<String, Vec<u8>>::default(), FxHashMap::<_, Vec<u8>>::default());
    let (mut old_goes_on, mut new_goes_on, mut is_first) = (true, true, true);
    let mut patch = Map::new();
    let mut note = |key: String, part: Part| match part {
        Part::Same => true,
        Part::Differs(differs) => {
            patch.insert(key, differs);
            true
        }
        Part::Unsayable => false,
    };
    old.take(b'{')?;
    new.take(b'{')?;
    while old_goes_on || new_goes_on {
        // Each is kept until the other one comes, which is far behind only where much came or went.
        old_goes_on = old_goes_on && old.goes_on(is_first, b'}')?;
        if old_goes_on {
            let (key, raw) = (old.key()?, old.value()?);
            match only_new.remove(&key) {
                None => drop(only_old.insert(key, raw)),
                Some(other) if note(key, value(&raw, Some(&other), left)?) => {}
                Some(_) => return Ok(Part::Unsayable),
            }
        }
        new_goes_on = new_goes_on && new.goes_on(is_first, b'}')?;
        if new_goes_on {
            let (key, raw) = (new.key()?, new.value()?);
            match only_old.remove(&key) {
                None => drop(only_new.insert(key, raw)),
                Some(other) if note(key, value(&other, Some(&raw), left)?) => {}
                Some(_) => return Ok(Part::Unsayable),
            }
        }
        is_first = false;
    }
    for (key, raw) in only_old {
        note(key, value(&raw, None, left)?);
    }
    for (key, raw) in only_new {
        if !note(key, value(b"null", Some(&raw), left)?) {
            return Ok(Part::Unsayable);
        }
    }
    Ok(if patch.is_empty() { Part::Same } else { Part::Differs(Value::Object(patch)) })
}

/// What is to be said of a value, which there was and is not, or is.
fn value(old: &[u8], new: Option<&[u8]>, left: &mut usize) -> io::Result<Part> {
    let Some(new) = new else { return Ok(Part::Differs(Value::Null)) };
    if old == new {
        return Ok(Part::Same);
    }
    let Some(rest) = left.checked_sub(new.len()) else { return Ok(Part::Unsayable) };
    *left = rest;
    let (old, new) = (serde_json::from_slice(old)?, serde_json::from_slice(new)?);
    if has_null(&new) {
        return Ok(Part::Unsayable);
    }
    Ok(of_values(old, new).map_or(Part::Same, Part::Differs))
}

/// Whether there is a null that a patch cannot say. Of lists, a patch has all.
fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

/// What leads from one value to another. It recurses as deep as a value of the snapshot is, which has no trees.
fn of_values(old: Value, new: Value) -> Option<Value> {
    match (old, new) {
        (Value::Object(mut old), Value::Object(new)) => {
            let mut patch = Map::new();
            for (key, new) in new {
                let differs = match old.remove(&key) {
                    Some(old) => of_values(old, new),
                    None => Some(new),
                };
                patch.extend(differs.map(|differs| (key, differs)));
            }
            patch.extend(old.into_iter().map(|(key, _)| (key, Value::Null)));
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (old, new) => (old != new).then_some(new),
    }
}

#[cfg(test)]
#[path = "../../tests/daemon/merge_patch.rs"]
mod merge_patch;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::merge_patch::apply;
    use super::*;

    fn of(old: &Value, new: &Value) -> Option<Value> {
        between(old.to_string().as_bytes(), new.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn only_what_differs_is_said() {
        let old = json!({"n": {"1": {"a": 1, "b": {"x": 1, "y": 2}}, "2": {"a": 1}, "3": {}}, "cpus": [1, 2]});
        let new = json!({"n": {"1": {"a": 1, "b": {"x": 3}}, "3": {}, "4": {"a": [null]}}, "cpus": [1, 2]});
        let patch = of(&old, &new).unwrap();
        assert_eq!(patch, json!({"n": {"1": {"b": {"x": 3, "y": null}}, "2": null, "4": {"a": [null]}}}));
        assert_eq!(of(&old, &old), Some(json!({})));
        assert_eq!(of(&json!({"a": [1]}), &json!({"a": [2]})), Some(json!({"a": [2]})));
    }

    #[test]
    fn what_a_patch_cannot_say_is_not_said() {
        for (old, new) in [
            (json!({"a": {}}), json!({"b": {}})),
            (json!({"a": {}}), json!({"a": {}, "b": {}})),
            (json!({"a": {"x": 1}}), json!({"a": {"x": null}})),
            (json!({"a": {}}), json!({"a": {"x": {"y": null}}})),
            (json!({"a": 1}), json!({"a": null})),
            (json!({"a": {}}), json!({"a": {"x": "x".repeat(MOST_BYTES)}})),
        ] {
            assert_eq!(of(&old, &new), None, "{new}");
        }
    }

    fn member() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<u8>().prop_map(Value::from), "[a\"\\\\{}\\[\\],:]{0,6}".prop_map(Value::from)];
        let list = prop::collection::vec(leaf.clone(), 0..3).prop_map(Value::from);
        let inner = prop::collection::btree_map("[a-c]", prop_oneof![leaf.clone(), list.clone()], 0..3);
        prop_oneof![leaf, list, inner.prop_map(|inner| json!(inner))]
    }

    fn snapshot() -> impl Strategy<Value = Value> {
        let part = || prop::collection::btree_map("[0-9]{1,2}", member(), 0..12);
        (part(), part(), member()).prop_map(|(one, two, whole)| json!({"one": one, "two": two, "whole": whole}))
    }

    proptest! {
        #[test]
        fn a_patch_leads_from_one_to_the_other(old in snapshot(), new in snapshot()) {
            let patch = of(&old, &new).unwrap();
            let mut patched = old;
            apply(&mut patched, &patch);
            prop_assert_eq!(patched, new);
        }
    }
}
