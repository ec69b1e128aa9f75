//! Running a program and reading what it says.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fmt;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use serde_json::Value;

use crate::harness::lxkns;

/// How a program ended, and what it said.
pub(super) struct Ran {
    pub(super) code: Option<i32>,
    pub(super) stdout: Vec<u8>,
    pub(super) stderr: String,
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The beginning will do: of a host with thousands of processes nobody reads more.
        let stdout = String::from_utf8_lossy(&self.stdout[..self.stdout.len().min(2000)]);
        write!(f, "code {:?}, standard error {:?}, standard output {stdout:?}", self.code, self.stderr)
    }
}

impl Ran {
    /// Standard output as text.
    #[track_caller]
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("standard output is UTF-8")
    }

    /// The only result of an answer in JSON.
    #[track_caller]
    pub(super) fn answer(&self) -> Value {
        let mut results = self.results();
        assert_eq!(results.len(), 1, "{self:?}");
        results.remove(0)
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The results in an answer's envelope.
    #[track_caller]
    pub(super) fn results(&self) -> Vec<Value> {
        let mut answer = self.json();
        assert_eq!(answer["format"], 1, "{self:?}");
        let keys: Vec<_> = answer.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["format", "gaps", "question", "results"], "{self:?}");
        assert_fits(answer["question"].as_str().unwrap(), &answer);
        let Value::Array(results) = answer["results"].take() else { panic!("no results: {self:?}") };
        results
    }

    /// What was found, of an answer to `question`.
    #[track_caller]
    pub(super) fn answer_to(&self, question: &str) -> Value {
        let mut answer = self.json();
        assert_eq!((&answer["format"], &answer["question"]), (&1.into(), &question.into()), "{answer}");
        assert!(answer["gaps"].as_array().is_some_and(|gaps| gaps.iter().all(Value::is_string)), "{answer}");
        assert_fits(question, &answer);
        let results = answer["results"].take();
        assert!(results.is_array(), "{answer}");
        results
    }

    /// What the program says on standard error, without the lines on what could not be seen: those depend on the host.
    /// Each is one line and begins with the program's name.
    #[track_caller]
    pub(super) fn problems(&self) -> Vec<&str> {
        assert!(self.stderr.is_empty() || self.stderr.ends_with('\n'), "{self:?}");
        let lines = self.stderr.lines().map(|line| {
            line.strip_prefix("lxkns: ").unwrap_or_else(|| panic!("a line without the program's name: {line}"))
        });
        lines.filter(|line| !is_gap(line)).collect()
    }

    /// The lines on what could not be seen.
    pub(super) fn gaps(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| is_gap(line)).collect()
    }

    /// Checks that all went well.
    #[track_caller]
    pub(super) fn ok(self) -> Self {
        assert_eq!((self.code, self.problems()), (Some(0), vec![]), "{self:?}");
        self
    }

    /// Checks that the program says one thing, which has this text in it, on standard error, and nothing on standard
    /// output; and that it ends with this code.
    #[track_caller]
    pub(super) fn fails(self, code: i32, text: &str) -> Self {
        assert_eq!(self.code, Some(code), "{self:?}");
        let problems = self.problems();
        assert!(matches!(problems[..], [problem] if problem.contains(text)), "{text}: {problems:?}");
        assert_eq!(self.text(), "");
        self
    }
}

fn is_gap(line: &str) -> bool {
    ["not readable: ", "not read: ", "only partly readable", "not told by this kernel"]
        .iter()
        .any(|reason| line.contains(reason))
}

/// What `why` says without the suspects: what other tests have in flight is among them.
pub(super) fn without_suspects(text: &str) -> String {
    let is_suspect = |line: &&str| line.starts_with("  suspect") || line.contains(" more suspect");
    text.lines().filter(|line| !is_suspect(line)).map(|line| format!("{line}\n")).collect()
}

/// Checks that an answer fits the schema of its question, and has no key that is not in there.
#[track_caller]
pub(super) fn assert_fits(question: &str, answer: &Value) {
    static VALIDATORS: LazyLock<BTreeMap<&str, jsonschema::Validator>> = LazyLock::new(|| {
        let strict = |(question, mut schema): (&'static str, Value)| {
            // Its lines are put together of several schemas, none of which has all keys.
            if question != "tree" {
                forbid_others(&mut schema);
            }
            (question, jsonschema::validator_for(&schema).unwrap())
        };
        lxkns_answers::schemas().into_iter().map(strict).collect()
    });
    let errors = VALIDATORS[question].iter_errors(answer);
    let errors: Vec<_> = errors.map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert_eq!(errors, [""; 0], "{question}: {answer:#}");
}

/// Forbids keys that a schema does not have, in objects that are told of in one place.
fn forbid_others(schema: &mut Value) {
    const SPLIT: [&str; 3] = ["oneOf", "allOf", "anyOf"];
    match schema {
        Value::Array(schemas) => schemas.iter_mut().for_each(forbid_others),
        Value::Object(keywords) => {
            let is_split = SPLIT.iter().any(|word| keywords.contains_key(*word));
            if keywords.contains_key("properties") && !is_split {
                keywords.insert("additionalProperties".to_owned(), false.into());
            }
            // What is in several places is checked in none.
            let others = keywords.iter_mut().filter(|(word, _)| !SPLIT.contains(&word.as_str()));
            others.for_each(|(_, schema)| forbid_others(schema));
        }
        _ => {}
    }
}

/// What would release a holder of an answer, as a person reads it. Commands that follow each other are one line.
#[track_caller]
pub(super) fn release(holder: &Value) -> String {
    let steps = holder["release"].as_array().unwrap_or_else(|| panic!("{holder}"));
    let texts: Vec<_> = steps.iter().map(|step| step["text"].as_str().unwrap()).collect();
    texts.join(" && ").replace("` && `", " && ")
}

/// Runs a command to its end.
#[track_caller]
pub(super) fn run(command: &mut Command) -> Ran {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let stderr = String::from_utf8(output.stderr).expect("standard error is UTF-8");
    assert!(!stderr.contains("panicked"), "{stderr}");
    Ran { code: output.status.code(), stdout: output.stdout, stderr }
}

/// Runs lxkns with these arguments.
#[track_caller]
pub(super) fn run_lxkns(arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Ran {
    run(lxkns().args(arguments))
}

/// Runs lxkns with these arguments and this standard input.
#[track_caller]
pub(super) fn run_lxkns_with(arguments: &[&str], input: &[u8]) -> Ran {
    let mut child =
        lxkns().args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // It need not read all of it.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    let stderr = String::from_utf8(output.stderr).expect("standard error is UTF-8");
    Ran { code: output.status.code(), stdout: output.stdout, stderr }
}

/// The row of a namespace in what `lxkns ls --json` and `lsns --json` write.
pub(super) fn row(table: &Value, ino: u64) -> Option<&Value> {
    table["namespaces"].as_array()?.iter().find(|row| number(&row["ns"]) == Some(ino))
}

/// A number: some versions of lsns write numbers as strings.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
