//! How inputs of JSON are changed: by their values. Of bytes that are changed one by one, hardly any would stay JSON.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::Value;

/// Has the inputs of a target changed so.
#[macro_export]
macro_rules! changes_json {
    () => {
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            $crate::mutate_json(data, size, max_size, seed)
        });
    };
}

/// Changes an input in place; its new length.
pub fn mutate_json(data: &mut [u8], size: usize, max_size: usize, seed: u32) -> usize {
    let mut random = Random(u64::from(seed));
    if let Ok(mut root) = serde_json::from_slice::<Value>(&data[..size])
        && random.below(8) > 0
    {
        for _ in 0..=random.below(3) {
            change(&mut root, &mut random);
        }
        let json = root.to_string();
        if json.len() <= max_size {
            data[..json.len()].copy_from_slice(json.as_bytes());
            return json.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
}

/// Changes one value.
fn change(root: &mut Value, random: &mut Random) {
    let count = count(root);
    let other = nth(root, &mut random.below(count)).cloned().unwrap_or_default();
    let Some(value) = nth(root, &mut random.below(count)) else { return };
    match (random.below(3), value) {
        (0, value) => *value = other,
        (_, Value::Array(list)) if !list.is_empty() => {
            let at = random.below(list.len());
            match random.below(3) {
                0 => drop(list.remove(at)),
                1 => list.insert(at, other),
                _ => list.insert(at, list[at].clone()),
            }
        }
        (_, Value::Object(object)) if !object.is_empty() => {
            let key = object.keys().nth(random.below(object.len())).cloned().unwrap_or_default();
            match (random.below(3), other) {
                (0, _) => drop(object.remove(&key)),
                (1, Value::Object(other)) => object.extend(other),
                (_, other) => drop(object.insert(key, other)),
            }
        }
        (_, Value::String(text)) => match random.below(4) {
            0 => *text = [text.as_str(), "/", text].concat(),
            1 => text.truncate(text.char_indices().nth(random.below(8)).map_or(0, |(at, _)| at)),
            2 => *text = text.replace(|letter: char| letter.is_ascii_digit(), "9"),
            _ => {
                *text =
                    ["", "0", "/", "..", "\u{1b}[2J\n", "\u{202e}é", "18446744073709551616"][random.below(7)].to_owned()
            }
        },
        (_, value) => {
            let numbers = [-1, 0, 1, 2, 1000, i64::from(i32::MAX), i64::from(u32::MAX), i64::MAX, i64::MIN];
            *value = match (random.below(3), value.as_u64()) {
                (0, Some(number)) => number.wrapping_add(1).into(),
                (1, Some(number)) => number.wrapping_sub(1).into(),
                (2, Some(_)) => u64::MAX.into(),
                _ => numbers[random.below(numbers.len())].into(),
            };
        }
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(object) => object.values().map(count).sum(),
        _ => 0,
    }
}

fn nth<'a>(value: &'a mut Value, left: &mut usize) -> Option<&'a mut Value> {
    if *left == 0 {
        return Some(value);
    }
    *left -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|value| nth(value, left)),
        Value::Object(object) => object.values_mut().find_map(|value| nth(value, left)),
        _ => None,
    }
}

/// Numbers that a seed decides (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ z >> 31) as usize % end
    }
}
