//! The files of a pack, in memory: where each lies, what is in it, and whether it can be run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use anyhow::{Context, bail};

use super::archive;

/// A file of a pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) is_program: bool,
}

impl File {
    /// Its permissions, whatever the mask of the user who packs it.
    pub(super) fn permissions(&self) -> u16 {
        if self.is_program { 0o755 } else { 0o644 }
    }
}

/// Files by path, without a leading slash.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree(BTreeMap<String, File>);

impl Tree {
    /// All files below a directory.
    pub(super) fn read(root: &Path) -> anyhow::Result<Self> {
        let mut tree = Self::default();
        let mut todo = vec![root.to_owned()];
        while let Some(directory) = todo.pop() {
            for entry in fs::read_dir(&directory).with_context(|| format!("cannot read {}", directory.display()))? {
                let path = entry?.path();
                let kind = fs::symlink_metadata(&path)?.file_type();
                if kind.is_dir() {
                    todo.push(path);
                } else if kind.is_file() {
                    let below = path.strip_prefix(root)?.to_str().context("file names are UTF-8")?;
                    let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
                    let is_program = bytes.starts_with(b"\x7fELF");
                    tree.0.insert(below.to_owned(), File { bytes, is_program });
                } else {
                    bail!("{} is not a regular file", path.display());
                }
            }
        }
        Ok(tree)
    }

    /// Adds a file that is not a program.
    pub(super) fn add(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), File { bytes: bytes.into(), is_program: false });
    }

    /// Adds a program: a script.
    pub(super) fn add_program(&mut self, path: impl Into<String>, bytes: impl Into<Vec<u8>>) {
        self.0.insert(path.into(), File { bytes: bytes.into(), is_program: true });
    }

    #[cfg(test)]
    pub(super) fn make_program(&mut self, path: &str) {
        self.0.get_mut(path).unwrap().is_program = true;
    }

    /// Copies a file of another tree.
    pub(super) fn copy(&mut self, to: &str, from: &Self, path: &str) -> anyhow::Result<()> {
        let file = from.0.get(path).with_context(|| format!("there is no {path} to be packed"))?;
        self.0.insert(to.to_owned(), file.clone());
        Ok(())
    }

    /// Copies all that another tree has below a directory.
    pub(super) fn copy_below(&mut self, to: &str, from: &Self, directory: &str) {
        for (path, file) in from.below(directory) {
            self.0.insert(format!("{to}/{path}"), file.clone());
        }
    }

    /// The files below a directory, by their paths from there.
    pub(super) fn below<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = (&'a str, &'a File)> {
        let below = move |path: &'a str| path.strip_prefix(directory)?.strip_prefix('/');
        self.0.iter().filter_map(move |(path, file)| Some((below(path)?, file)))
    }

    /// Compresses a file in place; its name gets the suffix `.gz`.
    pub(super) fn gzip(&mut self, path: &str) -> anyhow::Result<()> {
        let file = self.0.remove(path).with_context(|| format!("there is no {path} to be compressed"))?;
        self.add(format!("{path}.gz"), archive::gzip(&file.bytes)?);
        Ok(())
    }

    /// Moves a directory.
    pub(super) fn rename(&mut self, from: &str, to: &str) {
        let moved: Vec<_> = self.below(from).map(|(path, _)| path.to_owned()).collect();
        for path in moved {
            if let Some(file) = self.0.remove(&format!("{from}/{path}")) {
                self.0.insert(format!("{to}/{path}"), file);
            }
        }
    }

    /// All files, sorted by path.
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.0.iter().map(|(path, file)| (path.as_str(), file))
    }

    /// All directories above files, each after the one that it is in.
    pub(super) fn directories(&self) -> BTreeSet<&str> {
        let above = |path: &'_ str| path.match_indices('/').map(|(at, _)| at).collect::<Vec<_>>();
        self.0.keys().flat_map(|path| above(path).into_iter().map(|at| &path[..at])).collect()
    }
}

/// The files of the command where distributions have them, below their root.
pub(super) fn installed(loose: &Tree) -> anyhow::Result<Tree> {
    let mut tree = Tree::default();
    tree.copy("usr/bin/lxkns", loose, "lxkns")?;
    tree.copy("usr/libexec/lxkns/mntnssandbox", loose, "mntnssandbox")?;
    for (page, file) in loose.below("man/man1") {
        tree.add(format!("usr/share/man/man1/{page}.gz"), archive::gzip(&file.bytes)?);
    }
    for (name, to) in [
        ("lxkns.bash", "usr/share/bash-completion/completions/lxkns"),
        ("lxkns.fish", "usr/share/fish/vendor_completions.d/lxkns.fish"),
    ] {
        tree.copy(to, loose, &format!("completions/{name}"))?;
    }
    tree.copy("usr/share/doc/lxkns/README.md", loose, "README.md")?;
    for part in ["docs", "notices"] {
        tree.copy_below(&format!("usr/share/doc/lxkns/{part}"), loose, part);
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_found_and_programs_told_apart() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("b/c")).unwrap();
        fs::write(root.path().join("b/c/d"), "\x7fELF").unwrap();
        fs::write(root.path().join("a"), "").unwrap();
        let tree = Tree::read(root.path()).unwrap();
        let files: Vec<_> = tree.files().map(|(path, file)| (path, file.permissions())).collect();
        assert_eq!(files, [("a", 0o644), ("b/c/d", 0o755)]);
        assert_eq!(tree.directories().into_iter().collect::<Vec<_>>(), ["b", "b/c"]);

        std::os::unix::fs::symlink("a", root.path().join("link")).unwrap();
        assert!(Tree::read(root.path()).unwrap_err().to_string().contains("link is not a regular file"));
    }

    #[test]
    fn directories_are_moved_whole() {
        let mut tree = Tree::default();
        tree.add("doc/notices/a", "1");
        tree.add("doc/notices.txt", "2");
        tree.rename("doc/notices", "licences/b");
        assert_eq!(tree.files().map(|(path, _)| path).collect::<Vec<_>>(), ["doc/notices.txt", "licences/b/a"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = installed(&Tree::default()).unwrap_err();
        assert_eq!(error.to_string(), "there is no lxkns to be packed");
    }
}
