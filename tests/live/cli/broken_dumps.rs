//! A dump that somebody has damaged, or made up: every command reads it, or says in a line what is wrong with it.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::golden_host::HOST;
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::run;

pub(super) fn tests() -> Vec<Test> {
    vec![test("cli::broken_dumps::every_command", &[HOST], every_command)]
}

/// Every command that reads a dump. PIDs and inode numbers are those of the recorded host.
const COMMANDS: &[&str] = &[
    "ls -o +PATH,PPID,UID,USER,NETNSID,PNS,ONS,UNIQUEID,NTASKS,HOLDERS,CGROUP",
    "ls --json",
    "tree --owned --all-leaders",
    "tree pid --users",
    "tree proc 1 --in 103",
    "tree proc --json",
    "why 102/net 101/mnt 4026531837",
    "why --json 103",
    "orphans",
    "orphans --json",
    "mounts --list -o +ID,PARENT,MAJ:MIN,PEERS,RECEIVERS 101",
    "mounts 101",
    "mounts --hidden --json 102",
    "caps -p 103 101",
    "caps --json -p 102 103/user",
    "show 103 102/net 103/user",
    "show --json 103 101/uts",
    "doctor",
    "doctor --json",
    "busy --json /",
    "diff",
    "diff --json",
];

/// How many damaged dumps there are: each command reads its share of them, a different one each time.
const DUMPS: u64 = 220;

/// Numbers that look random and are the same each time (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }

    fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }
}

/// The way to each value of a dump, as JSON pointers.
fn pointers(value: &Value, at: &str, into: &mut Vec<String>) {
    let children: Vec<_> = match value {
        Value::Object(all) => {
            all.iter().map(|(key, value)| (key.replace('~', "~0").replace('/', "~1"), value)).collect()
        }
        Value::Array(all) => all.iter().enumerate().map(|(index, value)| (index.to_string(), value)).collect(),
        _ => Vec::new(),
    };
    for (key, child) in children {
        let at = format!("{at}/{key}");
        pointers(child, &at, into);
        into.push(at);
    }
}

/// Changes one thing.
fn damage(dump: &mut Value, pointers: &[String], numbers: &mut Numbers) {
    let pointer = numbers.one_of(pointers);
    // A number from elsewhere in the dump leads to something else, to nothing, or in a circle.
    let elsewhere = dump.pointer(numbers.one_of::<String>(pointers)).filter(|value| value.is_number()).cloned();
    let (above, key) = pointer.rsplit_once('/').unwrap();
    let kind = numbers.below(6);
    match (kind, dump.pointer_mut(above)) {
        (0, Some(Value::Object(all))) => drop(all.remove(key)),
        (0, Some(Value::Array(all))) => {
            drop(key.parse().ok().filter(|&index| index < all.len()).map(|index: usize| all.remove(index)))
        }
        (1, Some(Value::Object(all))) => {
            let key = key.replace("~1", "/").replace("~0", "~");
            if let Some(value) = all.remove(&key) {
                let renamed = numbers.one_of(&["0", "-1", "4294967295", "18446744073709551616", "", "x"]);
                all.insert((*renamed).to_owned(), value);
            }
        }
        (1, Some(Value::Array(all))) => {
            all.extend(all.last().cloned());
            all.reverse();
        }
        _ => {
            let Some(value) = dump.pointer_mut(pointer) else { return };
            let wrong = [Value::Null, json!(true), json!([]), json!({}), json!([null]), json!(1.5), json!("")];
            let out_of_range = [json!(-1), json!(0), json!(4096), json!(u32::MAX), json!(1_u64 << 32), json!(u64::MAX)];
            let texts =
                ["x".repeat(100_000), "\u{202e}\u{1b}[31m".into(), "/".repeat(5000), "\\x".into(), "net:[1]".into()];
            *value = match kind {
                2 => numbers.one_of(&wrong).clone(),
                3 => elsewhere.unwrap_or(json!(1)),
                4 => numbers.one_of(&out_of_range).clone(),
                _ if value.is_string() => numbers.one_of(&texts).clone().into(),
                _ => elsewhere.unwrap_or_else(|| numbers.one_of(&out_of_range).clone()),
            };
        }
    }
}

/// The dump as text, damaged; the same for the same number.
fn damaged(whole: &Value, pointers: &[String], number: u64) -> Vec<u8> {
    let numbers = &mut Numbers(number);
    let mut dump = whole.clone();
    if number.is_multiple_of(8) {
        // Bytes that are lost or changed.
        let mut text = serde_json::to_vec(&dump).unwrap();
        let at = numbers.below(text.len());
        match numbers.below(3) {
            0 => text.truncate(at),
            1 => text[at] = numbers.below(256) as u8,
            _ => drop(text.drain(at..(at + 20).min(text.len()))),
        }
        return text;
    }
    for _ in 0..*numbers.one_of(&[1, 1, 1, 3]) {
        damage(&mut dump, pointers, numbers);
    }
    serde_json::to_vec(&dump).unwrap()
}

/// The recorded host, without what does not matter: reading it should be quick.
fn whole() -> Value {
    let text = std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/host.json")).unwrap();
    serde_json::from_slice::<Map<String, Value>>(&text).unwrap().into()
}

fn every_command() {
    let (directory, whole) = (directory(), whole());
    let [file, before] = ["dump", "before"].map(|name| directory.path().join(name));
    std::fs::write(&before, serde_json::to_vec(&whole).unwrap()).unwrap();
    let mut all = Vec::new();
    pointers(&whole, "", &mut all);
    let (mut accepted, mut refused) = (0, 0);
    for number in 0..DUMPS {
        std::fs::write(&file, damaged(&whole, &all, number)).unwrap();
        let words = COMMANDS[number as usize % COMMANDS.len()];
        let mut command = lxkns();
        command.args(words.split(' '));
        match words.starts_with("diff") {
            true => command.args([&before, &file]),
            false => command.arg("--from").arg(&file),
        };
        let ran = run(&mut command);
        let said = || format!("dump {number}: {words}: {ran:?}");
        assert!(matches!(ran.code, Some(0..=4)) && !ran.stderr.contains("panicked"), "{}", said());
        match ran.code {
            Some(0 | 1) => accepted += 1,
            _ => {
                refused += 1;
                // What a dump does not say stands in another line.
                let problems = ran.problems().into_iter().filter(|line| !line.starts_with("a dump does not say"));
                assert_eq!(problems.count(), 1, "{}", said());
            }
        }
    }
    assert!(accepted > 30 && refused > 30, "they are neither all right nor all nonsense: {accepted}, {refused}");
}
