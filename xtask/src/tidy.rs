//! `cargo xtask tidy`: rules of this tree that no compiler checks.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use clap::CommandFactory;
use serde_json::Value;

use crate::run::{cargo, output};
use crate::rust_text::string_literals;

const LICENCE: &str = "Apache-2.0";

/// The longest a file of Rust may be and still be read in one go.
const MOST_LINES: usize = 700;

/// The packages that may hold unsafe code. All others forbid it.
const UNSAFE: [&str; 4] = [
    // System calls and ioctls that no crate binds.
    "lxkns-sys",
    // No standard library, no libc: it speaks to the kernel itself.
    "mntnssandbox",
    // They fork.
    "lxkns-fixture",
    "lxkns-bench",
];

pub(crate) fn run() -> anyhow::Result<()> {
    let files = output(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]))?;
    let files: Vec<&str> = files.lines().filter(|file| Path::new(file).exists()).collect();
    let metadata = output(&mut cargo(["metadata", "--no-deps", "--format-version=1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;

    let mut problems = Vec::new();
    problems.extend(missing_paths("ARCHITECTURE.md", &read("ARCHITECTURE.md"), |path| Path::new(path).exists()));
    problems.extend(no_heading(&read("CHANGELOG.md"), packages[0]["version"].as_str().unwrap_or_default()));
    for package in packages {
        problems.extend(package_problems(package));
    }
    if !files.contains(&"Cargo.lock") {
        problems.push("Cargo.lock is not under version control".to_owned());
    }
    problems.extend(other_versions(&read("Cargo.lock"), &read("fuzz/Cargo.lock")));
    for file in files.iter().filter(|file| file.ends_with(".rs")) {
        let text = read(file);
        problems.extend(too_long(file, &text));
        if below_a_root(file) {
            problems.extend(proc_literals(file, &text));
        }
    }
    let tasks: BTreeSet<String> =
        crate::Task::command().get_subcommands().map(|task| task.get_name().to_owned()).collect();
    for file in files.iter().filter(|file| file.ends_with(".md") || **file == ".ci/run") {
        problems.extend(unknown_tasks(file, &read(file), &tasks));
    }

    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("the tree is not tidy in {} places", problems.len());
    }
    println!("{} files", files.len());
    Ok(())
}

/// The text of a file; empty for a missing one, which the checks then report.
fn read(path: &str) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// A document that names a path names one that exists.
fn missing_paths(document: &str, text: &str, exists: impl Fn(&str) -> bool) -> Vec<String> {
    if text.is_empty() {
        return vec![format!("{document} is missing or empty")];
    }
    let mut problems = Vec::new();
    for (line, path) in quoted_paths(text) {
        if !exists(path) {
            problems.push(format!("{document}:{line}: `{path}` does not exist"));
        }
    }
    problems
}

/// What stands in backticks and looks like a path in this repository: it has a slash or a known ending, and nothing
/// that a path here has not.
fn quoted_paths(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().flat_map(|(n, line)| {
        line.split('`').skip(1).step_by(2).filter(|text| looks_like_a_path(text)).map(move |text| (n + 1, text))
    })
}

fn looks_like_a_path(text: &str) -> bool {
    let own = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    let ending = [".rs", ".toml", ".md", ".json", ".lock"].iter().any(|ending| text.ends_with(ending));
    // Not the host's: `/proc/PID`, `ns/net`, `*.rs`.
    let first = text.split('/').next().unwrap_or_default();
    let kernel = ["", "ns", "fd", "task", "proc", "user", "self", "..", "net", "root"].contains(&first);
    let upper = text.contains("PID") || text.contains("TID") || text.contains("/N");
    let lower = first.contains(|c: char| c.is_ascii_lowercase());
    text.chars().all(own) && lower && !kernel && !upper && (text.contains('/') || ending)
}

/// The version that is being built has a heading that says what is new in it.
fn no_heading(changelog: &str, version: &str) -> Option<String> {
    let found = changelog.lines().any(|line| {
        line.starts_with("## ") && line.split([' ', '[', ']']).any(|word| word.trim_start_matches('v') == version)
    });
    (!found).then(|| format!("CHANGELOG.md has no heading for {version}"))
}

fn package_problems(package: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let name = package["name"].as_str().unwrap_or_default();
    let manifest = package["manifest_path"].as_str().unwrap_or_default();
    let inherited = read(manifest).lines().any(|line| line.replace(' ', "") == "license.workspace=true");
    if package["license"] != LICENCE || !inherited {
        problems.push(format!("{name}: does not inherit the licence {LICENCE}"));
    }
    if UNSAFE.contains(&name) {
        return problems;
    }
    for target in package["targets"].as_array().into_iter().flatten() {
        let linked = target["kind"].as_array().into_iter().flatten().any(|kind| kind == "lib" || kind == "bin");
        let path = target["src_path"].as_str().unwrap_or_default();
        if linked && !read(path).lines().any(|line| line.trim() == "#![forbid(unsafe_code)]") {
            problems.push(format!("{name}: {} does not forbid unsafe code", target["name"].as_str().unwrap_or("?")));
        }
    }
    problems
}

/// Whether this is code that must not know where procfs is. The wire form may: it does no I/O, and paths below `/proc`
/// are what its readers expect to see there. So may tests.
fn below_a_root(file: &str) -> bool {
    const ROOTS: [&str; 6] = [
        "lxkns-core/src/",
        "lxkns-model/src/",
        "lxkns-mountns/src/",
        "lxkns-inside/src/",
        "lxkns-enter/src/",
        "lxkns-engines/src/",
    ];
    let Some(path) = ROOTS.iter().find_map(|root| file.strip_prefix(root)) else {
        return false;
    };
    let module = path.split(['/', '.']).next().unwrap_or_default();
    let test = path.split('/').any(|part| part == "tests" || part == "tests.rs");
    module != "procfs" && module != "wire" && !test
}

/// Only procfs knows where procfs is: all else works below a root that it is given, so that a test can give another.
fn proc_literals(file: &str, text: &str) -> Vec<String> {
    string_literals(text)
        .into_iter()
        .filter(|(_, literal)| *literal == "/proc" || literal.starts_with("/proc/"))
        .map(|(line, literal)| format!("{file}:{line}: \"{literal}\" belongs to procfs"))
        .collect()
}

fn too_long(file: &str, text: &str) -> Option<String> {
    let lines = text.lines().count();
    (lines > MOST_LINES).then(|| format!("{file}: {lines} lines, more than {MOST_LINES}"))
}

/// What is fuzzed is what is built: a package in both lock files has the same versions in them.
fn other_versions(ours: &str, fuzz: &str) -> Vec<String> {
    let packages = |lock: &str| -> Vec<(String, String)> {
        let value = |package: &str, key: &str| {
            let mut lines = package.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            lines.next().unwrap_or_default().trim_matches('"').to_owned()
        };
        lock.split("[[package]]").skip(1).map(|it| (value(it, "name"), value(it, "version"))).collect()
    };
    let ours = packages(ours);
    let is_other =
        |package: &&(String, String)| ours.iter().any(|(name, _)| *name == package.0) && !ours.contains(package);
    let others = packages(fuzz);
    let others = others.iter().filter(is_other).map(|(name, version)| {
        format!("fuzz/Cargo.lock: {name} {version} is not in Cargo.lock; copy that there, and have cargo add the rest")
    });
    others.collect()
}

/// A document that tells the reader to run a task names one that there is.
fn unknown_tasks(file: &str, text: &str, tasks: &BTreeSet<String>) -> Vec<String> {
    let mut problems = Vec::new();
    for (n, line) in text.lines().enumerate() {
        for rest in line.split("cargo xtask ").skip(1) {
            let name: String = rest.chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
            if !name.is_empty() && !tasks.contains(&name) {
                problems.push(format!("{file}:{}: there is no task {name}", n + 1));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_in_backticks_are_told_from_other_code() {
        let text = "See `lxkns-core/src/lib.rs`, `Cargo.toml` and `tests/fixture`,\nnot `Vec<u8>`, `/proc/PID/ns`, \
                    `ns/net`, `task/TID`, `a::b` or `lxkns ls`.";
        let found: Vec<_> = quoted_paths(text).collect();
        assert_eq!(found, [(1, "lxkns-core/src/lib.rs"), (1, "Cargo.toml"), (1, "tests/fixture")]);
    }

    #[test]
    fn a_path_that_is_gone_is_named_with_its_line() {
        let problems = missing_paths("A.md", "x\n`src/a.rs` `src/b.rs`\n", |path| path == "src/a.rs");
        assert_eq!(problems, ["A.md:2: `src/b.rs` does not exist"]);
        assert_eq!(missing_paths("A.md", "", |_| true).len(), 1);
    }

    #[test]
    fn a_version_needs_a_heading_of_its_own() {
        assert_eq!(no_heading("# Changes\n\n## [0.1.0] - 2026\n", "0.1.0"), None);
        assert_eq!(no_heading("## 0.1.0\n", "0.1.0"), None);
        assert!(no_heading("## 0.1.0\nsince 0.2.0\n", "0.2.0").is_some());
    }

    #[test]
    fn proc_in_a_literal_is_found_and_in_a_comment_is_not() {
        let text = "// \"/proc/1\"\nlet a = \"/proc\";\nlet b = \"see /proc\";\nlet c = format!(\"/proc/{pid}\");\n";
        let problems = proc_literals("a.rs", text);
        assert_eq!(problems, ["a.rs:2: \"/proc\" belongs to procfs", "a.rs:4: \"/proc/{pid}\" belongs to procfs"]);
    }

    #[test]
    fn procfs_the_wire_and_tests_may_say_proc() {
        assert!(!below_a_root("lxkns-model/src/wire/write.rs"));
        assert!(below_a_root("lxkns-model/src/relations/trees.rs"));
        for file in ["procfs/mod.rs", "procfs.rs", "discovery/tests.rs", "discovery/tests/fds.rs"] {
            assert!(!below_a_root(&format!("lxkns-core/src/{file}")), "{file}");
        }
        assert!(below_a_root("lxkns-core/src/discovery/fds.rs"));
        assert!(!below_a_root("lxkns-cli/src/main.rs"));
    }

    #[test]
    fn what_is_fuzzed_in_another_version_is_named() {
        let lock = |packages: &[(&str, &str)]| -> String {
            let text = |(name, version)| format!("[[package]]\nname = \"{name}\"\nversion = \"{version}\"\n\n");
            packages.iter().copied().map(text).collect()
        };
        let ours = lock(&[("a", "1.0.0"), ("a", "2.0.0"), ("b", "1.0.0")]);
        assert!(other_versions(&ours, &lock(&[("a", "2.0.0"), ("c", "1.0.0")])).is_empty());
        let problems = other_versions(&ours, &lock(&[("a", "1.1.0")]));
        assert!(problems.len() == 1 && problems[0].contains("a 1.1.0"), "{problems:?}");
    }

    #[test]
    fn long_files_are_named() {
        assert_eq!(too_long("a.rs", &"x\n".repeat(MOST_LINES)), None);
        assert!(too_long("a.rs", &"x\n".repeat(MOST_LINES + 1)).is_some());
    }

    #[test]
    fn tasks_that_do_not_exist_are_named() {
        let tasks = BTreeSet::from(["ci".to_owned()]);
        assert!(unknown_tasks("R.md", "run `cargo xtask ci` or cargo xtask COMMAND", &tasks).is_empty());
        assert_eq!(unknown_tasks("R.md", "cargo xtask dist", &tasks), ["R.md:1: there is no task dist"]);
    }
}
