//! `cargo xtask licences`: everything that is linked in may be, and comes from where it should.
//!
//! The same that cargo-deny's `licenses` and `sources` check; building cargo-deny takes longer than the rest of CI.

use anyhow::{Context, bail};
use serde_json::Value;

use crate::run::{cargo, output};

/// Licences that go together with Apache-2.0 in one static binary, none of which asks for more than its text.
const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Zlib",
];

pub(crate) fn run() -> anyhow::Result<()> {
    let metadata = metadata("x86_64-unknown-linux-gnu")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let problems: Vec<String> = packages.iter().filter_map(problem).collect();
    for problem in &problems {
        println!("{problem}");
    }
    if !problems.is_empty() {
        bail!("{} of {} packages may not be used", problems.len(), packages.len());
    }
    println!("{} packages", packages.len());
    Ok(())
}

/// All packages that programs for this target can be made of, and how they depend on each other.
pub(crate) fn metadata(target: &str) -> anyhow::Result<Value> {
    let mut metadata = cargo(["metadata", "--all-features", "--format-version=1", "--locked"]);
    let text = output(metadata.arg(format!("--filter-platform={target}")))?;
    serde_json::from_str(&text).context("cargo metadata is not JSON")
}

fn problem(package: &Value) -> Option<String> {
    let name = package["name"].as_str().unwrap_or("?");
    let licence = package["license"].as_str().unwrap_or_default();
    if !allowed(licence) {
        return Some(format!("{name}: licence `{licence}` is not allowed"));
    }
    match package["source"].as_str() {
        None => None,
        // The public registry of crates; no repository, and no registry of somebody's own.
        Some(source) if source.starts_with("registry+") && source.ends_with("/crates.io-index") => None,
        Some(source) => Some(format!("{name}: comes from {source}")),
    }
}

/// Whether an SPDX expression leaves a choice that is allowed.
fn allowed(expression: &str) -> bool {
    // Older manifests write a slash for OR.
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any(&mut rest) == Some(true) && rest.is_empty()
}

/// `all OR all ...`
fn any(words: &mut &[&str]) -> Option<bool> {
    let mut result = all(words)?;
    while let ["OR", rest @ ..] = words {
        *words = rest;
        result |= all(words)?;
    }
    Some(result)
}

/// `one AND one ...`
fn all(words: &mut &[&str]) -> Option<bool> {
    let mut result = one(words)?;
    while let ["AND", rest @ ..] = words {
        *words = rest;
        result &= one(words)?;
    }
    Some(result)
}

/// A licence, one with an exception, or an expression in parentheses.
fn one(words: &mut &[&str]) -> Option<bool> {
    match *words {
        ["(", rest @ ..] => {
            *words = rest;
            let result = any(words)?;
            let [")", rest @ ..] = words else { return None };
            *words = rest;
            Some(result)
        }
        [licence, "WITH", exception, rest @ ..] => {
            *words = rest;
            Some(ALLOWED.contains(&format!("{licence} WITH {exception}").as_str()))
        }
        [licence, rest @ ..] => {
            *words = rest;
            Some(ALLOWED.contains(licence))
        }
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn one_allowed_choice_is_enough() {
        assert!(allowed("MIT"));
        assert!(allowed("Unlicense OR MIT"));
        assert!(allowed("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT"));
        assert!(allowed("MIT/Apache-2.0"));
        assert!(allowed("(MIT OR GPL-3.0) AND Unicode-3.0"));
    }

    #[test]
    fn every_part_of_an_and_counts() {
        assert!(!allowed("MIT AND GPL-3.0"));
        assert!(!allowed("GPL-2.0 WITH LLVM-exception"));
        assert!(!allowed("GPL-3.0 OR MIT AND GPL-2.0"));
    }

    #[test]
    fn what_is_no_expression_is_not_allowed() {
        for text in ["", "MIT OR", "(MIT", "MIT MIT", "MIT)"] {
            assert!(!allowed(text), "{text:?}");
        }
    }
}
