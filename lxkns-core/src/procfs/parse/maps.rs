//! `/proc/PID/maps`: what a process has mapped; `proc_pid_maps(5)`.

use bstr::ByteSlice;

use super::{ParseError, lines};
use crate::model::FileSystem;

/// The path of the first mapped file that is on this file system, as the kernel writes it. (Its device number here is that
/// of mountinfo, also where that of `stat(2)` is another.)
pub(crate) fn first_on(text: &[u8], file_system: FileSystem) -> Result<Option<&[u8]>, ParseError> {
    for line in lines("maps", text) {
        let line = line?;
        // Addresses, permissions, offset, device, inode; then blanks, and the path.
        let mut fields = line.text.splitn_str(6, " ");
        let device = fields.nth(3).and_then(device).ok_or(line.error("a device number"))?;
        let inode = fields.next().ok_or(line.error("an inode number"))?;
        if device == file_system && inode != b"0" {
            return Ok(Some(fields.next().unwrap_or_default().trim_ascii_start()));
        }
    }
    Ok(None)
}

/// Reads `fe:00`.
fn device(text: &[u8]) -> Option<FileSystem> {
    let (major, minor) = text.split_once_str(":")?;
    let number = |text: &[u8]| {
        let is_hex = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
        is_hex.then(|| u32::from_str_radix(text.to_str().ok()?, 16).ok()).flatten()
    };
    Some(FileSystem { major: number(major)?, minor: number(minor)? })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"55d0-55d1 r--p 00000000 fe:00 1234                       /usr/bin/a b\n\
        7f00-7f01 rw-p 00000000 00:00 0 \n\
        7f02-7f03 r--s 00001000 00:1f 77                         /mnt/x\\012y (deleted)\n\
        7ffc-7ffd rw-p 00000000 00:00 0                          [stack]\n";

    #[test]
    fn the_first_file_of_a_file_system() {
        let first = |major, minor| first_on(TEXT, FileSystem { major, minor }).unwrap();
        assert_eq!(first(254, 0), Some(&b"/usr/bin/a b"[..]));
        assert_eq!(first(0, 31), Some(&b"/mnt/x\\012y (deleted)"[..]));
        assert_eq!(first(0, 0), None, "without a file");
        assert_eq!(first(8, 1), None);
        assert_eq!(first_on(b"", FileSystem { major: 8, minor: 1 }).unwrap(), None);
    }

    #[test]
    fn malformed_lines() {
        for text in [&b"x\n"[..], b"1-2 r 0 fe:0g 1\n", b"1-2 r 0 fe:00\n", b"1-2 r 0 :0 1\n", b"1-2 r 0 fe:00 1"] {
            assert!(first_on(text, FileSystem { major: 8, minor: 1 }).is_err(), "{}", text.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = first_on(&text, FileSystem { major: 0, minor: 1 });
        }
    }
}
