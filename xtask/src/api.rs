//! `cargo xtask api`: what the libraries promise to those who embed them, kept as text, so that a change of it is seen
//! and meant. `BLESS=1` writes it anew.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use flate2::read::GzDecoder;
use serde_json::Value;

use crate::artifacts;
use crate::run::{cargo, output, run as run_command};

/// Where it is kept.
const DIRECTORY: &str = "xtask/public-api";

pub(crate) fn run() -> anyhow::Result<()> {
    let bless = std::env::var_os("BLESS").is_some();
    let mut changed = Vec::new();
    describe()?;
    for library in libraries()? {
        let kept = Path::new(DIRECTORY).join(format!("{library}.txt"));
        let (is, was) = (api(&library)?, fs::read_to_string(&kept).unwrap_or_default());
        if bless {
            fs::create_dir_all(DIRECTORY)?;
            fs::write(&kept, is).with_context(|| format!("cannot write {}", kept.display()))?;
        } else if is != was {
            differences(&was, &is).for_each(|line| println!("{library}: {line}"));
            changed.push(library);
        }
    }
    ensure!(changed.is_empty(), "the API of {} has changed; BLESS=1 keeps it so", changed.join(", "));
    Ok(())
}

/// The libraries that are published, so that others depend on them before those that do.
pub(crate) fn libraries() -> anyhow::Result<Vec<String>> {
    let metadata = output(&mut cargo(["metadata", "--no-deps", "--format-version=1", "--locked"]))?;
    let metadata: Value = serde_json::from_str(&metadata).context("cargo metadata is not JSON")?;
    let packages = metadata["packages"].as_array().context("cargo metadata names no packages")?;
    Ok(libraries_of(packages))
}

fn libraries_of(packages: &[Value]) -> Vec<String> {
    let is_library = |package: &&Value| {
        let mut kinds =
            package["targets"].as_array().into_iter().flatten().filter_map(|target| target["kind"].as_array());
        // An empty list says `publish = false`.
        package["publish"].is_null() && kinds.any(|kinds| kinds.iter().any(|kind| kind == "lib"))
    };
    let mut rest: Vec<&Value> = packages.iter().filter(is_library).collect();
    let mut libraries: Vec<String> = Vec::new();
    while !rest.is_empty() {
        let names: Vec<&str> = rest.iter().filter_map(|package| package["name"].as_str()).collect();
        let waits = |package: &Value| {
            let mut dependencies = package["dependencies"].as_array().into_iter().flatten();
            dependencies.any(|dependency| {
                dependency["kind"] != "dev" && dependency["name"].as_str().is_some_and(|name| names.contains(&name))
            })
        };
        let (later, next): (Vec<&Value>, Vec<&Value>) = rest.iter().copied().partition(|package| waits(package));
        if next.is_empty() {
            // They depend on each other, which cargo refuses.
            break;
        }
        libraries.extend(next.iter().filter_map(|package| Some(package["name"].as_str()?.to_owned())));
        rest = later;
    }
    libraries
}

/// Runs rustdoc, with JSON, for all libraries.
fn describe() -> anyhow::Result<()> {
    // As for the documentation, so the libraries' dependencies have been checked already.
    let mut rustdoc = cargo(["doc", "--quiet", "--locked", "--workspace", "--no-deps", "--lib"]);
    rustdoc.env("RUSTDOC", std::env::current_dir()?.join("xtask/src/rustdoc-json.sh"));
    // The form has not been declared stable. That is no danger to the programs; and a compiler with another form says so
    // in the next step.
    run_command(rustdoc.env("RUSTDOCFLAGS", "-Zunstable-options --output-format=json"))
}

/// What a library has that is public, a line for each.
fn api(library: &str) -> anyhow::Result<String> {
    let json = PathBuf::from(format!("target/doc/{}.json", library.replace('-', "_")));
    let api = public_api::Builder::from_rustdoc_json(&json).omit_blanket_impls(true).omit_auto_trait_impls(true);
    let api = api.build().with_context(|| format!("cannot read {} (is it of another compiler?)", json.display()))?;
    Ok(api.items().map(|item| format!("{item}\n")).collect())
}

/// The lines that have gone, and those that have come.
fn differences<'a>(was: &'a str, is: &'a str) -> impl Iterator<Item = String> + 'a {
    let gone = was.lines().filter(move |line| !is.lines().any(|other| other == *line)).map(|line| format!("- {line}"));
    let come = is.lines().filter(move |line| !was.lines().any(|other| other == *line)).map(|line| format!("+ {line}"));
    gone.chain(come)
}

/// That each library can be published: it is packed, and compiles as it was packed, beside the other packed ones.
pub(crate) fn packages() -> anyhow::Result<()> {
    const TARGET: &str = "target/package-check";
    let target = Path::new(TARGET);
    artifacts::fresh(target)?;
    let libraries = libraries()?;
    // To verify them, cargo would build all dependencies once more, whole.
    let mut package = cargo(["package", "--quiet", "--locked", "--allow-dirty", "--no-verify", "--target-dir", TARGET]);
    package.args(libraries.iter().flat_map(|library| ["--package", library]));
    run_command(&mut package)?;

    let version = crate::dist::version()?;
    let (mut members, mut patches) = (String::new(), String::new());
    for library in &libraries {
        let name = format!("{library}-{version}");
        let packed = target.join(format!("package/{name}.crate"));
        let packed = fs::File::open(&packed).with_context(|| format!("cannot open {}", packed.display()))?;
        tar::Archive::new(GzDecoder::new(packed)).unpack(target).with_context(|| format!("cannot unpack {name}"))?;
        members += &format!("{name:?}, ");
        patches += &format!("{library} = {{ path = {name:?} }}\n");
    }
    let manifest = target.join("Cargo.toml");
    fs::write(
        &manifest,
        format!("[workspace]\nresolver = \"3\"\nmembers = [{members}]\n\n[patch.crates-io]\n{patches}"),
    )?;
    // The same versions of what they depend on.
    fs::copy("Cargo.lock", target.join("Cargo.lock")).context("cannot copy Cargo.lock")?;
    let mut check = cargo(["check", "--workspace", "--offline", "--target-dir", "target"]);
    run_command(check.arg("--manifest-path").arg(&manifest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_come_after_what_they_depend_on() {
        let package = |name: &str, kind: &str, publish: Value, dependencies: &[&str]| {
            let dependencies: Vec<Value> =
                dependencies.iter().map(|name| serde_json::json!({ "name": name, "kind": null })).collect();
            serde_json::json!({
                "name": name, "publish": publish, "targets": [{ "kind": [kind] }], "dependencies": dependencies,
            })
        };
        let packages = [
            package("top", "lib", Value::Null, &["middle", "serde"]),
            package("middle", "lib", Value::Null, &["low"]),
            package("command", "bin", Value::Null, &["top"]),
            package("fixture", "lib", serde_json::json!([]), &[]),
            package("low", "lib", Value::Null, &[]),
        ];
        assert_eq!(libraries_of(&packages), ["low", "middle", "top"]);
    }

    #[test]
    fn what_has_gone_and_what_has_come_is_named() {
        let found: Vec<_> = differences("a\nb\n", "b\nc\n").collect();
        assert_eq!(found, ["- a", "+ c"]);
    }
}
