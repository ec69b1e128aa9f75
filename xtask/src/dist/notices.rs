//! The notices of all that is linked into the programs, each as its owners wrote it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};
use serde_json::Value;

use super::tree::Tree;
use crate::licences;
use crate::run::output;

/// The names of files with the notices of a package.
const NAMES: [&str; 6] = ["LICENSE", "LICENCE", "COPYING", "COPYRIGHT", "NOTICE", "UNLICENSE"];

/// Where the C library's notices are: those of the library, and the text of its licence. Debian's, then Fedora's.
const GLIBC: [[&str; 2]; 2] = [
    ["/usr/share/doc/libc6/copyright", "/usr/share/common-licenses/LGPL-2.1"],
    ["/usr/share/licenses/glibc/LICENSES", "/usr/share/licenses/glibc/COPYING.LIB"],
];

/// The notices, by the names of their files.
pub(super) fn of(target: &str) -> anyhow::Result<Tree> {
    let mut notices = Tree::default();
    notices.add("crates.txt", crates(target)?);
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim_end()).join("share/doc/rust/COPYRIGHT-library.html");
    let read = |path: &Path| fs::read(path).with_context(|| format!("cannot read {}", path.display()));
    let of_library = read(&library).context("the notices of Rust's standard library come with its toolchain")?;
    notices.add("rust-standard-library.html", of_library);
    if target.contains("-gnu") {
        let found = GLIBC.iter().find(|files| files.iter().all(|file| Path::new(file).exists()));
        let [of_library, licence] =
            found.with_context(|| format!("the C library's notices are in none of {GLIBC:?}"))?;
        notices.add("glibc.txt", read(Path::new(of_library))?);
        notices.add("LGPL-2.1.txt", read(Path::new(licence))?);
    }
    Ok(notices)
}

/// The notices of all crates that are linked in, each text once, below the names of those that have it.
fn crates(target: &str) -> anyhow::Result<String> {
    let metadata = licences::metadata(target)?;
    let linked = linked(&metadata)?;
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    for package in packages.iter().filter(|package| package["id"].as_str().is_some_and(|id| linked.contains(id))) {
        // Ours has no source; its licence lies beside these notices.
        if package["source"].is_null() {
            continue;
        }
        let field = |name: &str| package[name].as_str().unwrap_or_default();
        let title = format!("{} {} ({})", field("name"), field("version"), field("license"));
        let directory = Path::new(field("manifest_path")).parent().context("a manifest lies in a directory")?;
        let files = notices(directory)?;
        if files.is_empty() {
            bail!("{title} has no file with its licence");
        }
        for file in files {
            let text = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
            let text = String::from_utf8_lossy(&text).replace("\r\n", "\n");
            users.entry(text.trim_matches('\n').to_owned()).or_default().push(title.clone());
        }
    }
    let mut texts: Vec<_> = users.into_iter().collect();
    texts.sort_by(|(_, one), (_, other)| one.cmp(other));
    let rule = "=".repeat(80);
    let mut document = "lxkns is linked with these crates. Below each text are no words of lxkns's own.\n".to_owned();
    for (text, users) in texts {
        document += &format!("\n{rule}\n{}\n{rule}\n\n{text}\n", users.join("\n"));
    }
    Ok(document)
}

/// The IDs of the packages that are linked into the programs: all dependencies, except those of the build.
fn linked(metadata: &Value) -> anyhow::Result<BTreeSet<&str>> {
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    let nodes = metadata["resolve"]["nodes"].as_array().context("cargo metadata has no graph")?;
    let is_macro = |package: &Value| {
        let kinds = package["targets"].as_array().into_iter().flatten().filter_map(|target| target["kind"].as_array());
        kinds.flatten().any(|kind| kind == "proc-macro")
    };
    let macros: BTreeSet<&str> =
        packages.iter().filter(|package| is_macro(package)).filter_map(|package| package["id"].as_str()).collect();
    let ours = packages.iter().filter(|package| package["name"] == "lxkns" && package["source"].is_null());
    let mut todo: Vec<&str> = ours.filter_map(|package| package["id"].as_str()).collect();
    let mut linked = BTreeSet::new();
    while let Some(id) = todo.pop() {
        if macros.contains(id) || !linked.insert(id) {
            continue;
        }
        let node = nodes.iter().find(|node| node["id"] == id).with_context(|| format!("{id} is not in the graph"))?;
        for dependency in node["deps"].as_array().into_iter().flatten() {
            let mut kinds = dependency["dep_kinds"].as_array().into_iter().flatten();
            // Not `build`, not `dev`.
            if kinds.any(|kind| kind["kind"].is_null()) {
                todo.extend(dependency["pkg"].as_str());
            }
        }
    }
    Ok(linked)
}

/// The files with a package's notices, by name.
fn notices(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_ascii_uppercase();
        if path.is_file() && NAMES.iter().any(|prefix| name.starts_with(prefix)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_builds_is_not_linked() {
        let metadata = serde_json::json!({
            "packages": [
                { "id": "lxkns", "name": "lxkns", "source": null, "targets": [] },
                { "id": "derive", "name": "derive", "targets": [{ "kind": ["proc-macro"] }] },
                { "id": "used", "name": "used", "targets": [{ "kind": ["lib"] }] },
                { "id": "tried", "name": "tried", "targets": [{ "kind": ["lib"] }] },
            ],
            "resolve": { "nodes": [
                { "id": "lxkns", "deps": [
                    { "pkg": "derive", "dep_kinds": [{ "kind": null }] },
                    { "pkg": "used", "dep_kinds": [{ "kind": "dev" }, { "kind": null }] },
                    { "pkg": "tried", "dep_kinds": [{ "kind": "dev" }, { "kind": "build" }] },
                ] },
                { "id": "used", "deps": [] },
            ] },
        });
        assert_eq!(linked(&metadata).unwrap(), BTreeSet::from(["lxkns", "used"]));
    }

    #[test]
    fn every_file_with_notices_is_found() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["LICENSE-MIT", "license.txt", "NOTICE", "Cargo.toml", "README.md"] {
            fs::write(directory.path().join(name), "").unwrap();
        }
        let found = notices(directory.path()).unwrap();
        let names: Vec<_> = found.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["LICENSE-MIT", "NOTICE", "license.txt"]);
    }
}
