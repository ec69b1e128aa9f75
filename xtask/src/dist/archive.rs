//! Archives and compression, the same bytes each time: files sorted, owned by root, with one time for all.

use std::io::Write;

use anyhow::Context;
use flate2::{Compression, GzBuilder};
use liblzma::write::XzEncoder;
use tar::{EntryType, Header};

use super::tree::Tree;

/// A tar archive of a tree. All names begin with `prefix`, which is the first directory, and a slash.
pub(super) fn tar(tree: &Tree, prefix: &str, epoch: u64) -> anyhow::Result<Vec<u8>> {
    let mut tar = tar::Builder::new(Vec::new());
    let mut append = |path: &str, kind: EntryType, mode: u32, bytes: &[u8]| {
        let mut header = Header::new_gnu();
        header.set_username("root")?;
        header.set_groupname("root")?;
        append_file(&mut tar, header, path, kind, mode, bytes, epoch)
    };
    append(&format!("{prefix}/"), EntryType::Directory, 0o755, &[])?;
    for directory in tree.directories() {
        append(&format!("{prefix}/{directory}/"), EntryType::Directory, 0o755, &[])?;
    }
    for (path, file) in tree.files() {
        append(&format!("{prefix}/{path}"), EntryType::Regular, file.permissions().into(), &file.bytes)?;
    }
    Ok(tar.into_inner()?)
}

/// Appends a file of root's, with a header of this form.
pub(super) fn append_file(
    tar: &mut tar::Builder<Vec<u8>>,
    mut header: Header,
    path: &str,
    kind: EntryType,
    mode: u32,
    bytes: &[u8],
    epoch: u64,
) -> anyhow::Result<()> {
    // Not by `set_path`, which drops a leading `./`.
    let name = header.as_old_mut().name.get_mut(..path.len());
    name.with_context(|| format!("{path} is too long a name for an archive"))?.copy_from_slice(path.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(epoch);
    header.set_size(bytes.len() as u64);
    header.set_cksum();
    tar.append(&header, bytes).with_context(|| format!("cannot pack {path}"))
}

/// Compresses as `gzip -9n` does: without a name or a time.
pub(super) fn gzip(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().operating_system(3).write(Vec::new(), Compression::best());
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Compresses as `xz -6` does, on one thread.
pub(super) fn xz(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = XzEncoder::new(Vec::new(), 6);
    encoder.write_all(bytes)?;
    Ok(encoder.finish()?)
}

/// Compresses as `zstd -19` does, on one thread.
pub(super) fn zstd(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok(zstd::encode_all(bytes, 19)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn an_archive_has_directories_first_and_nothing_of_the_host() {
        let mut tree = Tree::default();
        tree.add("b/c", "text");
        tree.add("a", "");
        let bytes = tar(&tree, ".", 86_400).unwrap();
        assert_eq!(bytes, tar(&tree, ".", 86_400).unwrap());
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut entries = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap()), (0, 0, 86_400));
            entries.push((String::from_utf8(entry.path_bytes().into_owned()).unwrap(), header.mode().unwrap(), text));
        }
        let [directory, file] = [0o755, 0o644];
        let entry = |path: &str, mode, text: &str| (path.to_owned(), mode, text.to_owned());
        let expected = [
            entry("./", directory, ""),
            entry("./b/", directory, ""),
            entry("./a", file, ""),
            entry("./b/c", file, "text"),
        ];
        assert_eq!(entries, expected);

        let mut tree = Tree::default();
        tree.add("x".repeat(99), "");
        assert!(tar(&tree, ".", 0).is_err(), "a name that is cut");
    }

    #[test]
    fn what_is_compressed_comes_back() {
        let text = b"namespace ".repeat(1000);
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(gzip(&text).unwrap().as_slice()).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
        back.clear();
        liblzma::read::XzDecoder::new(xz(&text).unwrap().as_slice()).read_to_end(&mut back).unwrap();
        assert_eq!(back, text);
        assert_eq!(zstd::decode_all(zstd(&text).unwrap().as_slice()).unwrap(), text);
        assert_eq!(gzip(&text).unwrap()[4..10], [0, 0, 0, 0, 2, 3], "no time, and as small as can be");
    }
}
