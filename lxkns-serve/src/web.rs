//! A page that is served in place of the program's own: the files of a directory, as they are when the service starts.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use rustix::fs::{Dir, FileType, Mode, OFlags};
use serde::{Deserialize, Serialize};

/// What is at the root.
pub(crate) const INDEX: &str = "index.html";
/// The most bytes of all files.
const MOST_BYTES: u64 = 32 << 20;
/// The most files and directories.
const MOST_FILES: usize = 4096;
/// How deep directories may be.
const DEEPEST: usize = 16;

/// The files, by their paths below the directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Web {
    pub(crate) files: BTreeMap<String, Vec<u8>>,
}

impl Web {
    /// The files of a directory.
    ///
    /// # Errors
    ///
    /// One cannot be read, is no file, or there are too many.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let mut web = Self::default();
        let directory = rustix::fs::open(path, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let (mut left, mut entries) = (MOST_BYTES, 0);
        directory
            .map_err(anyhow::Error::from)
            .and_then(|directory| web.add(directory, "", DEEPEST, &mut left, &mut entries))
            .and_then(|()| {
                ensure!(web.files.contains_key(INDEX), "there is no {INDEX}");
                Ok(())
            })
            .with_context(|| format!("--web {}", path.display()))?;
        Ok(web)
    }

    fn add(
        &mut self,
        directory: OwnedFd,
        prefix: &str,
        deepest: usize,
        left: &mut u64,
        entries: &mut usize,
    ) -> anyhow::Result<()> {
        ensure!(deepest > 0, "{prefix}: directories are nested too deeply");
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            let name = entry.file_name().to_str().with_context(|| format!("{prefix}: a name is not UTF-8"))?;
            if matches!(name, "." | "..") {
                continue;
            }
            *entries += 1;
            ensure!(*entries <= MOST_FILES, "more than {MOST_FILES} files");
            let path = format!("{prefix}{name}");
            // Nothing that is opened may wait, or lead elsewhere.
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(&directory, name, flags, Mode::empty()).with_context(|| path.clone())?;
            match FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode) {
                FileType::Directory => self.add(opened, &format!("{path}/"), deepest - 1, left, entries)?,
                FileType::RegularFile => {
                    let mut bytes = Vec::new();
                    File::from(opened).take(*left + 1).read_to_end(&mut bytes).with_context(|| path.clone())?;
                    *left = left
                        .checked_sub(bytes.len() as u64)
                        .with_context(|| format!("the files have more than {} MiB", MOST_BYTES >> 20))?;
                    self.files.insert(path, bytes);
                }
                _ => bail!("{path}: neither a file nor a directory"),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_and_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let failure = || format!("{:#}", Web::read(path).unwrap_err());
        assert!(failure().ends_with(": there is no index.html"), "{}", failure());
        std::fs::write(path.join(INDEX), "<p>").unwrap();
        std::fs::create_dir_all(path.join("static/js")).unwrap();
        std::fs::write(path.join("static/js/main.js"), "1").unwrap();
        let web = Web::read(path).unwrap();
        assert_eq!(web.files.keys().collect::<Vec<_>>(), [INDEX, "static/js/main.js"]);
        assert_eq!(web.files[INDEX], b"<p>");
        // What a link leads to is not in the directory.
        std::os::unix::fs::symlink("/etc/passwd", path.join("link")).unwrap();
        assert!(failure().contains("link"), "{}", failure());
        std::fs::remove_file(path.join("link")).unwrap();
        let large = File::create(path.join("large")).unwrap();
        large.set_len(MOST_BYTES).unwrap();
        assert!(failure().contains("32 MiB"), "{}", failure());
        let missing = format!("{:#}", Web::read(&path.join("none")).unwrap_err());
        assert!(missing.starts_with("--web ") && missing.contains("No such file"), "{missing}");
    }
}
