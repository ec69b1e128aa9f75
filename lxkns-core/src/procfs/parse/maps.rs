//! `/proc/PID/maps`: the mappings of a process; `proc_pid_maps(5)`.

use bstr::ByteSlice;

use super::{Line, ParseError, decimal, fields, lines};
use crate::model::DeviceNumber;

/// A mapped file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping<'a> {
    /// The file system.
    pub(crate) file_system: DeviceNumber,
    /// The start and end address, in hexadecimal digits without leading zeros.
    pub(crate) addresses: (&'a [u8], &'a [u8]),
    /// The inode number.
    pub(crate) inode: &'a [u8],
    /// Whether what is written to the memory is written to the file, if it may be.
    pub(crate) is_shared: bool,
    /// Whether it is code.
    pub(crate) is_executable: bool,
    /// The path, as the kernel writes it.
    pub(crate) path: &'a [u8],
}

/// The mapped files that are on one of the wanted file systems. (The device number here is that of mountinfo, which can
/// differ from that of `stat(2)`.)
pub(crate) fn on(
    text: &[u8],
    is_wanted: impl Fn(DeviceNumber) -> bool,
) -> impl Iterator<Item = Result<Mapping<'_>, ParseError>> {
    lines("maps", text).filter_map(move |line| line.and_then(|line| mapping(line, &is_wanted)).transpose())
}

fn mapping<'a>(line: Line<'a>, is_wanted: impl Fn(DeviceNumber) -> bool) -> Result<Option<Mapping<'a>>, ParseError> {
    // Addresses, permissions, offset, device, inode; then blanks, and the path.
    let mut fields = line.text.splitn_str(6, " ");
    let addresses = fields.next().and_then(|field| field.split_once_str("-"));
    let (from, to) = addresses.ok_or(line.error("addresses"))?;
    let permissions = fields.next().ok_or(line.error("permissions"))?;
    let device = fields.nth(1).and_then(device).ok_or(line.error("a device number"))?;
    let inode = fields.next().ok_or(line.error("an inode number"))?;
    if inode == b"0" || !is_wanted(device) {
        return Ok(None);
    }
    Ok(Some(Mapping {
        file_system: device,
        addresses: (without_zeros(from), without_zeros(to)),
        inode,
        is_shared: permissions.ends_with(b"s"),
        is_executable: permissions.contains(&b'x'),
        path: fields.next().unwrap_or_default().trim_ascii_start(),
    }))
}

/// A System V shared memory segment that is mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Segment {
    /// Its ID in its IPC namespace.
    pub(crate) id: u64,
    /// Its key.
    pub(crate) key: u32,
}

/// The System V shared memory segments that are mapped: one for each mapping, as the kernel counts attaches.
pub(crate) fn segments(text: &[u8]) -> impl Iterator<Item = Result<Segment, ParseError>> {
    lines("maps", text).filter_map(|line| line.and_then(segment).transpose())
}

fn segment(line: Line<'_>) -> Result<Option<Segment>, ParseError> {
    // The kernel names the file after the key, and deletes it right away.
    let Some(rest) = line.text.strip_suffix(b" (deleted)") else { return Ok(None) };
    let Some((rest, key)) = rest.rsplit_once_str("/SYSV") else { return Ok(None) };
    let mut fields = fields(rest);
    let device = fields.nth(3).and_then(device).ok_or(line.error("a device number"))?;
    let id = fields.next().ok_or(line.error("an inode number"))?;
    // Some other file: below a directory, or on a disk.
    if fields.next().is_some() || device.major != 0 || key.len() != 8 || !key.iter().all(u8::is_ascii_hexdigit) {
        return Ok(None);
    }
    let key = key.to_str().ok().and_then(|key| u32::from_str_radix(key, 16).ok()).ok_or(line.error("a key"))?;
    Ok(Some(Segment { id: decimal(id).ok_or(line.error("an inode number"))?, key }))
}

/// The segments of the reader's IPC namespace, with the number of mappings of each: `/proc/sysvipc/shm`;
/// `proc_sysvipc(5)`.
pub(crate) fn attaches(text: &[u8]) -> impl Iterator<Item = Result<(Segment, u64), ParseError>> {
    lines("sysvipc/shm", text).skip(1).map(|line| {
        let line = line?;
        let mut fields = fields(line.text);
        // The key is written as a signed number.
        let key = fields.next().and_then(|key| key.to_str().ok()?.parse::<i32>().ok());
        let key = key.ok_or(line.error("a key"))?.cast_unsigned();
        let id = fields.next().and_then(decimal).ok_or(line.error("an ID"))?;
        let count = fields.nth(4).and_then(decimal).ok_or(line.error("a number of attaches"))?;
        Ok((Segment { id, key }, count))
    })
}

/// A number without its leading zeros.
fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|&&digit| digit == b'0').count();
    &number[zeros.min(number.len().saturating_sub(1))..]
}

/// Reads `fe:00`.
fn device(text: &[u8]) -> Option<DeviceNumber> {
    let (major, minor) = text.split_once_str(":")?;
    let number = |text: &[u8]| {
        let is_hex = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
        is_hex.then(|| u32::from_str_radix(text.to_str().ok()?, 16).ok()).flatten()
    };
    Some(DeviceNumber { major: number(major)?, minor: number(minor)? })
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
        let first =
            |major, minor| on(TEXT, |on| on == DeviceNumber { major, minor }).next().map(|found| found.unwrap().path);
        assert_eq!(first(254, 0), Some(&b"/usr/bin/a b"[..]));
        assert_eq!(first(0, 31), Some(&b"/mnt/x\\012y (deleted)"[..]));
        assert_eq!(first(0, 0), None, "without a file");
        assert_eq!(first(8, 1), None);
        assert_eq!(on(b"", |on| on == DeviceNumber { major: 8, minor: 1 }).count(), 0);
    }

    #[test]
    fn addresses_are_those_of_map_files() {
        let text = b"00400000-00401000 r--p 00000000 fe:00 1234 /usr/bin/a\n";
        let found = on(text, |on| on == DeviceNumber { major: 254, minor: 0 }).next().unwrap().unwrap();
        assert_eq!((found.addresses, found.inode), ((&b"400000"[..], &b"401000"[..]), &b"1234"[..]));
        assert_eq!((without_zeros(b"000"), without_zeros(b"")), (&b"0"[..], &b""[..]));
    }

    #[test]
    fn segments_are_told_apart_from_files_that_are_called_like_them() {
        let text = b"7f00-7f01 rw-s 00000000 00:01 0                          /SYSV00000000 (deleted)\n\
            7f01-7f02 rw-s 00000000 00:01 32769                      /SYSVdeadbeef (deleted)\n\
            7f03-7f04 rw-s 00000000 fe:00 5                          /SYSV00000001 (deleted)\n\
            7f03-7f04 rw-s 00000000 00:1f 5                          /tmp/SYSV00000001 (deleted)\n\
            7f03-7f04 rw-s 00000000 00:1f 5                          /SYSV1 (deleted)\n\
            7f03-7f04 rw-s 00000000 00:1f 5                          /SYSV00000001\n";
        let found: Result<Vec<_>, _> = segments(text).collect();
        assert_eq!(found, Ok(vec![Segment { id: 0, key: 0 }, Segment { id: 32769, key: 0xdead_beef }]));
        assert!(segments(b"7f00-7f01 rw-s 0 00:01 x /SYSV00000000 (deleted)\n").any(|found| found.is_err()));
    }

    #[test]
    fn attaches_are_those_of_the_table() {
        let text = b"       key      shmid perms                  size  cpid  lpid nattch   uid\n         \
            0          3  1600                  4096 13203 13203      2     0\n-559038737 7 600 1 2 3 4 0\n";
        let found: Result<Vec<_>, _> = attaches(text).collect();
        assert_eq!(found, Ok(vec![(Segment { id: 3, key: 0 }, 2), (Segment { id: 7, key: 0xdead_beef }, 4)]));
        assert!(attaches(b"x\n1 2 3\n").any(|found| found.is_err()));
    }

    #[test]
    fn malformed_lines() {
        for text in [&b"x\n"[..], b"1-2 r 0 fe:0g 1\n", b"1-2 r 0 fe:00\n", b"1-2 r 0 :0 1\n", b"1-2 r 0 fe:00 1"] {
            assert!(
                on(text, |on| on == DeviceNumber { major: 8, minor: 1 }).any(|found| found.is_err()),
                "{}",
                text.escape_ascii()
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_panics(text in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = on(&text, |on| on == DeviceNumber { major: 0, minor: 1 }).count();
            let _ = (segments(&text).count(), attaches(&text).count());
        }
    }
}
