//! Debian's archive: the host's mirror, and the cache of fetched packages.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::Context;

use crate::run::output;

/// The host's mirror of an archive, by the last part of its address: `/debian`, `/debian-security`.
pub(crate) fn mirror(archive: &str) -> anyhow::Result<String> {
    let mirrors = output(Command::new("apt-get").args(["indextargets", "--format", "$(REPO_URI)"]))
        .context("the host has no apt")?;
    let found = mirrors.lines().find(|uri| uri.trim_end_matches('/').ends_with(archive));
    let found = found.with_context(|| format!("apt knows no mirror of {archive} (after `apt-get update` it may)"))?;
    Ok(found.to_owned())
}

/// A directory of the user's cache.
pub(crate) fn cache(name: &str) -> anyhow::Result<PathBuf> {
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")));
    let cache = cache.context("neither XDG_CACHE_HOME nor HOME is set")?.join(name);
    fs::create_dir_all(&cache).with_context(|| format!("cannot make {}", cache.display()))?;
    Ok(cache)
}
