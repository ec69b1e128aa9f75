//! `cargo xtask release --dry-run`: whether this tree can be released, and what that would take.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::api;
use crate::run::{cargo, output};

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Check only, and say what would be done. A release itself is made by a person, with what this prints
    #[arg(long, required = true)]
    dry_run: bool,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    debug_assert!(args.dry_run, "there is nothing else yet");
    let root = Path::new(".");
    let metadata = output(&mut cargo(["metadata", "--no-deps", "--format-version=1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let versions = versions(&metadata);
    let version = versions.iter().find(|(name, _)| name == "lxkns").context("there is no package lxkns")?.1.clone();

    let man = tempfile::tempdir()?;
    let mut write = cargo(["run", "--quiet", "--locked", "--package", "lxkns", "--", "man"]);
    output(write.arg(man.path()))?;
    let page = fs::read_to_string(man.path().join("lxkns.1")).context("lxkns has written no man page")?;

    let mut problems = git_problems(root, &version)?;
    problems.extend(version_problems(&versions, &version));
    problems.extend(changelog_problem(&read(root, "CHANGELOG.md")?, &version, &today()?));
    problems.extend(man_problem(&page, &version));
    problems.extend(format_problem(&read(root, "docs/json.md")?, lxkns_core::wire::FORMAT));
    for document in ["README.md", "docs/install.md"] {
        problems.extend(document_problems(document, &read(root, document)?, &version));
    }
    for problem in &problems {
        println!("{problem}");
    }
    ensure!(problems.is_empty(), "{version} cannot be released for {} reasons", problems.len());
    println!("{version} can be released. That would be:");
    println!("  cargo xtask ci");
    println!("  cargo xtask dist --check        and give away what is in target/dist");
    println!("  git tag --annotate v{version} --message 'lxkns {version}'");
    for library in api::libraries()? {
        println!("  cargo publish --package {library}");
    }
    println!("  cargo publish --package lxkns");
    Ok(())
}

fn read(root: &Path, file: &str) -> anyhow::Result<String> {
    fs::read_to_string(root.join(file)).with_context(|| format!("cannot read {file}"))
}

/// The packages that are published, with their versions.
fn versions(metadata: &Value) -> Vec<(String, String)> {
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let published = packages.filter(|package| package["publish"].is_null());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    published.map(|package| (text(&package["name"]), text(&package["version"]))).collect()
}

/// Today, as the changelog writes it.
fn today() -> anyhow::Result<String> {
    Ok(output(Command::new("date").args(["--utc", "+%F"]))?.trim_end().to_owned())
}

fn git_problems(root: &Path, version: &str) -> anyhow::Result<Vec<String>> {
    let git = |args: &[&str]| output(Command::new("git").arg("-C").arg(root).args(args));
    let mut problems: Vec<String> =
        git(&["status", "--porcelain"])?.lines().map(|line| format!("not committed: {}", line.trim_start())).collect();
    if !git(&["tag", "--list", &format!("v{version}")])?.is_empty() {
        problems.push(format!("there is a tag v{version} already"));
    }
    Ok(problems)
}

fn version_problems(versions: &[(String, String)], version: &str) -> Vec<String> {
    let others = versions.iter().filter(|(_, own)| own != version);
    others.map(|(name, own)| format!("{name} has the version {own}, and lxkns {version}")).collect()
}

/// The newest heading is that of the version, with a day that has come.
fn changelog_problem(changelog: &str, version: &str, today: &str) -> Option<String> {
    let heading = changelog.lines().find(|line| line.starts_with("## ")).unwrap_or_default();
    let Some(date) = heading.strip_prefix(&format!("## [{version}] - ")) else {
        return Some(format!("CHANGELOG.md begins with {heading:?}, and not with {version}"));
    };
    let is_date = date.len() == 10
        && date.char_indices().all(|(at, c)| if matches!(at, 4 | 7) { c == '-' } else { c.is_ascii_digit() });
    match date {
        _ if !is_date => Some(format!("CHANGELOG.md does not say when {version} came, but {date:?}")),
        // Dates in this form sort as text.
        date if date > today => Some(format!("CHANGELOG.md says that {version} comes on {date}, and today is {today}")),
        _ => None,
    }
}

fn man_problem(page: &str, version: &str) -> Option<String> {
    let title = page.lines().find(|line| line.starts_with(".TH ")).unwrap_or_default();
    (!title.contains(&format!("\"lxkns {version}\""))).then(|| format!("the man page is not of {version}: {title}"))
}

/// The document of the JSON form says which it is.
fn format_problem(document: &str, format: u32) -> Option<String> {
    let row = document.lines().find(|line| line.starts_with("| `format` |")).unwrap_or_default();
    (!row.contains(&format!("| {format}.")))
        .then(|| format!("docs/json.md does not say that `format` is {format}: {row}"))
}

/// A document that names a file of a version, as in `lxkns_0.1.0-1_amd64.deb`, names this version's.
fn document_problems(name: &str, document: &str, version: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (n, line) in document.lines().enumerate() {
        for (at, _) in line.match_indices("lxkns").filter(|(at, _)| !line[..*at].ends_with('/')) {
            let Some(rest) = line[at + 5..].strip_prefix(['-', '_', ' ']) else { continue };
            let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
            let named = rest[..end].trim_end_matches('.');
            if named.matches('.').count() == 2 && named != version {
                problems.push(format!("{name}:{}: names {named}, and this is {version}", n + 1));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(root: &Path, args: &[&str]) {
        let mut git = Command::new("git");
        git.arg("-C").arg(root).args(["-c", "user.name=x", "-c", "user.email=x@example.org"]).args(args);
        assert!(git.output().unwrap().status.success(), "{args:?}");
    }

    #[test]
    fn what_is_not_committed_and_a_tag_that_exists_are_problems() {
        let root = tempfile::tempdir().unwrap();
        git(root.path(), &["init", "--quiet"]);
        fs::write(root.path().join("a"), "").unwrap();
        git(root.path(), &["add", "a"]);
        git(root.path(), &["commit", "--quiet", "--message", "x"]);
        assert!(git_problems(root.path(), "1.2.3").unwrap().is_empty());
        git(root.path(), &["tag", "v1.2.3"]);
        fs::write(root.path().join("a"), "changed").unwrap();
        fs::write(root.path().join("b"), "").unwrap();
        let problems = git_problems(root.path(), "1.2.3").unwrap();
        assert_eq!(problems, ["not committed: M a", "not committed: ?? b", "there is a tag v1.2.3 already"]);
    }

    #[test]
    fn one_version_for_all() {
        let versions =
            |core: &str| [("lxkns".to_owned(), "1.2.3".to_owned()), ("lxkns-core".to_owned(), core.to_owned())];
        assert!(version_problems(&versions("1.2.3"), "1.2.3").is_empty());
        assert_eq!(version_problems(&versions("1.2.2"), "1.2.3").len(), 1);
    }

    #[test]
    fn the_changelog_says_when() {
        let problem = |heading: &str| changelog_problem(&format!("# Changelog\n\n{heading}\n"), "1.2.3", "2026-05-04");
        assert_eq!(problem("## [1.2.3] - 2026-05-04"), None);
        for wrong in [
            "## [1.2.3] - Unreleased",
            "## [1.2.3] - 2026-05-05",
            "## [1.2.3] - 2026-5-4 ",
            "## [1.2.2] - 2026-01-01",
            "",
        ] {
            assert!(problem(wrong).is_some(), "{wrong:?}");
        }
    }

    #[test]
    fn documents_name_this_version() {
        let text = "Unpack lxkns-1.2.2-x86_64.tar.zst, install lxkns_1.2.3-1_amd64.deb.\nlxkns 1.2.1. /lxkns-9.9.9";
        let problems = document_problems("R.md", text, "1.2.3");
        assert_eq!(problems, ["R.md:1: names 1.2.2, and this is 1.2.3", "R.md:2: names 1.2.1, and this is 1.2.3"]);
        assert_eq!(man_problem(".TH lxkns 1  \"lxkns 1.2.3\" \n", "1.2.3"), None);
        assert!(man_problem(".TH lxkns 1  \"lxkns 1.2.2\" \n", "1.2.3").is_some());
        assert_eq!(format_problem("| `format` | integer | 2. It grows |", 2), None);
        assert!(format_problem("| `format` | integer | 1. It grows |", 2).is_some());
    }
}
