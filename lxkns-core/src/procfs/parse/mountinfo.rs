//! `/proc/PID/mountinfo`: the mounts of a mount namespace that a process can reach; `proc_pid_mountinfo(5)`.

use std::borrow::Cow;

use bstr::ByteSlice;

use super::{Line, Lines, ParseError, decimal, lines};
use crate::model::DeviceNumber;
pub(crate) use crate::model::unescape_octal;

/// A mount. Raw fields are escaped, as the kernel wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MountInfo<'a> {
    /// Its ID.
    pub(crate) mount_id: u64,
    /// The ID of the mount that it is mounted on; that mount need not be in the list.
    pub(crate) parent_id: u64,
    /// The device number of its file system.
    pub(crate) file_system: DeviceNumber,
    /// The directory of the file system that is mounted. Not always a path: `net:[4026531833]` for a namespace. It ends
    /// with `//deleted`, which no other path does, if it was removed.
    pub(crate) raw_root: &'a [u8],
    /// The mount point, from the root of the process.
    pub(crate) raw_mount_point: &'a [u8],
    /// The options of the mount, separated by commas.
    pub(crate) mount_options: &'a [u8],
    /// The optional fields, separated by spaces, known ones and others: `shared:1 master:2`.
    pub(crate) optional_fields: &'a [u8],
    /// Its peer group.
    pub(crate) shared: Option<u32>,
    /// The peer group that it receives mounts from.
    pub(crate) master: Option<u32>,
    /// The nearest ancestor of its master's peer group that the process can see, if it cannot see the master's.
    pub(crate) propagate_from: Option<u32>,
    /// Whether it cannot be bind-mounted.
    pub(crate) unbindable: bool,
    /// The type of the file system, and a subtype after a dot.
    pub(crate) raw_fs_type: &'a [u8],
    /// The source of the file system; can be empty.
    pub(crate) raw_source: &'a [u8],
    /// The options of the file system, separated by commas, escaped in ways that differ between file systems.
    pub(crate) super_options: &'a [u8],
}

impl<'a> MountInfo<'a> {
    /// The directory of the file system that is mounted.
    pub(crate) fn root(&self) -> Cow<'a, [u8]> {
        unescape_octal(self.raw_root)
    }

    /// The mount point, from the root of the process.
    pub(crate) fn mount_point(&self) -> Cow<'a, [u8]> {
        unescape_octal(self.raw_mount_point)
    }

    /// The type of the file system.
    pub(crate) fn fs_type(&self) -> Cow<'a, [u8]> {
        unescape_octal(self.raw_fs_type)
    }

    /// The source of the file system.
    pub(crate) fn source(&self) -> Cow<'a, [u8]> {
        unescape_octal(self.raw_source)
    }
}

/// The mounts in the text of a mountinfo, in its order. A malformed line is an error, and the lines after it are still
/// read.
#[derive(Clone, Debug)]
pub(crate) struct Mounts<'a>(Lines<'a>);

/// Reads the text of a mountinfo.
pub(crate) fn parse(text: &[u8]) -> Mounts<'_> {
    Mounts(lines("mountinfo", text))
}

impl<'a> Iterator for Mounts<'a> {
    type Item = Result<MountInfo<'a>, ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.and_then(mount))
    }
}

/// Reads one line. Fields are separated by single spaces; two spaces enclose an empty field, such as an empty source.
fn mount(line: Line<'_>) -> Result<MountInfo<'_>, ParseError> {
    let mut rest = line.text;
    let mut field = |expected| take_field(&mut rest).ok_or(line.error(expected));
    let mount_id = decimal(field("a mount ID")?).ok_or(line.error("a mount ID"))?;
    let parent_id = decimal(field("the parent's mount ID")?).ok_or(line.error("the parent's mount ID"))?;
    let file_system = file_system(field("a device number")?).ok_or(line.error("a device number"))?;
    let raw_root = field("a root")?;
    let raw_mount_point = field("a mount point")?;
    let mount_options = field("mount options")?;

    let (mut shared, mut master, mut propagate_from, mut unbindable) = (None, None, None, false);
    let optional = rest;
    let optional_fields = loop {
        let start = optional.len() - rest.len();
        let field = take_field(&mut rest).ok_or(line.error("a hyphen after the optional fields"))?;
        let (tag, value) = field.split_once_str(":").unwrap_or((field, b""));
        let group = match tag {
            b"-" if field.len() == 1 => break &optional[..start.saturating_sub(1)],
            b"shared" => &mut shared,
            b"master" => &mut master,
            b"propagate_from" => &mut propagate_from,
            b"unbindable" => {
                unbindable = true;
                continue;
            }
            // A field of a newer kernel.
            _ => continue,
        };
        *group = Some(decimal(value).ok_or(line.error("the number of a peer group"))?);
    };

    let mut field = |expected| take_field(&mut rest).ok_or(line.error(expected));
    let raw_fs_type = field("a file system type")?;
    let raw_source = field("a source and file system options")?;
    Ok(MountInfo {
        mount_id,
        parent_id,
        file_system,
        raw_root,
        raw_mount_point,
        mount_options,
        optional_fields,
        shared,
        master,
        propagate_from,
        unbindable,
        raw_fs_type,
        raw_source,
        super_options: rest,
    })
}

/// Takes the text before the next space; `None` if there is no space.
fn take_field<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (field, after) = rest.split_once_str(" ")?;
    *rest = after;
    Some(field)
}

/// Reads `254:0`.
fn file_system(text: &[u8]) -> Option<DeviceNumber> {
    let (major, minor) = text.split_once_str(":")?;
    Some(DeviceNumber { major: decimal(major)?, minor: decimal(minor)? })
}

/// Encodes space, tab, newline and backslash as the kernel does in roots and mount points. (In sources and types, newer
/// kernels also encode `#`.)
#[cfg(any(test, feature = "_fuzz"))]
pub(crate) fn escape_octal(path: &[u8]) -> Cow<'_, [u8]> {
    let Some(first) = path.find_byteset(b" \t\n\\") else { return Cow::Borrowed(path) };
    let mut encoded = Vec::with_capacity(path.len() + 12);
    encoded.extend_from_slice(&path[..first]);
    for &byte in &path[first..] {
        match byte {
            b' ' => encoded.extend_from_slice(b"\\040"),
            b'\t' => encoded.extend_from_slice(b"\\011"),
            b'\n' => encoded.extend_from_slice(b"\\012"),
            b'\\' => encoded.extend_from_slice(b"\\134"),
            _ => encoded.push(byte),
        }
    }
    Cow::Owned(encoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = b"22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard,resv_strict,resuid=65534,resgid=65534\n\
        64 44 0:4 net:[4026532246] /tmp/nsx rw - nsfs nsfs rw\n\
        65 44 0:39 / /tmp/pw/mp\\040#a\\011b\\134c\\012d rw,relatime shared:1 - tmpfs so\\040urce\\043\\134 rw\n\
        67 44 0:40 / /mnt rw,relatime unbindable - tmpfs  rw\n\
        89 68 254:0 /tmp/pw/src/f//deleted /tmp/pw/tgt rw,relatime - ext4 /dev/vda rw,discard\n\
        90 68 0:39 / /mnt rw,relatime master:1 - tmpfs a,b\\040\\043 rw,mode=700\n\
        69 44 0:40 / /tmp/pw/ov rw,relatime - overlay o ro,lowerdir=/tmp/pw/src:/tmp/pw/up,redirect_dir=on\n";

    fn one(line: &[u8]) -> Result<MountInfo<'_>, ParseError> {
        let mut mounts = parse(line);
        let mount = mounts.next().unwrap();
        assert!(mounts.next().is_none());
        mount
    }

    #[test]
    fn mounts() {
        let mounts = parse(TEXT).collect::<Result<Vec<_>, _>>().unwrap();
        let expected = MountInfo {
            mount_id: 22,
            parent_id: 27,
            file_system: DeviceNumber { major: 0, minor: 21 },
            raw_root: b"/",
            raw_mount_point: b"/proc",
            mount_options: b"rw,relatime",
            optional_fields: b"",
            shared: None,
            master: None,
            propagate_from: None,
            unbindable: false,
            raw_fs_type: b"proc",
            raw_source: b"proc",
            super_options: b"rw",
        };
        assert_eq!(mounts[0], expected);
        assert_eq!(mounts[1].super_options, b"rw,discard,resv_strict,resuid=65534,resgid=65534");
        assert_eq!(*mounts[2].root(), *b"net:[4026532246]");
        assert_eq!(*mounts[3].mount_point(), *b"/tmp/pw/mp #a\tb\\c\nd");
        assert_eq!((mounts[3].shared, mounts[3].optional_fields), (Some(1), b"shared:1".as_slice()));
        assert_eq!(*mounts[3].source(), *b"so urce#\\");
        assert_eq!((mounts[4].unbindable, mounts[4].raw_source), (true, b"".as_slice()));
        assert_eq!(*mounts[5].root(), *b"/tmp/pw/src/f//deleted");
        assert_eq!((mounts[6].master, mounts[6].shared), (Some(1), None));
        assert_eq!(*mounts[7].fs_type(), *b"overlay");
    }

    #[test]
    fn optional_fields() {
        let mount =
            one(b"1 2 0:3 / /- rw shared:4 master:5 propagate_from:6 unbindable new:x newer - fuse.a - rw,x - y\n");
        let mount = mount.unwrap();
        assert_eq!((mount.shared, mount.master, mount.propagate_from), (Some(4), Some(5), Some(6)));
        assert!(mount.unbindable);
        assert_eq!(mount.optional_fields, b"shared:4 master:5 propagate_from:6 unbindable new:x newer");
        assert_eq!(mount.raw_mount_point, b"/-");
        assert_eq!((mount.raw_fs_type, mount.raw_source), (b"fuse.a".as_slice(), b"-".as_slice()));
        assert_eq!(mount.super_options, b"rw,x - y");
    }

    #[test]
    fn malformed_lines() {
        for (line, expected) in [
            ("", "a mount ID"),
            ("x 2 0:3 / / rw - a b c", "a mount ID"),
            ("1 -2 0:3 / / rw - a b c", "the parent's mount ID"),
            ("1 2 03 / / rw - a b c", "a device number"),
            ("1 2 0:4294967296 / / rw - a b c", "a device number"),
            ("1 2 0:3 /", "a root"),
            ("1 2 0:3 / /", "a mount point"),
            ("1 2 0:3 / / rw", "mount options"),
            ("1 2 0:3 / / rw shared:1", "a hyphen after the optional fields"),
            ("1 2 0:3 / / rw shared:x - a b c", "the number of a peer group"),
            ("1 2 0:3 / / rw shared - a b c", "the number of a peer group"),
            ("1 2 0:3 / / rw - a", "a file system type"),
            ("1 2 0:3 / / rw - a b", "a source and file system options"),
        ] {
            let error = one(format!("{line}\n").as_bytes()).unwrap_err();
            assert_eq!(error.expected, expected, "{line:?}");
        }
    }

    #[test]
    fn the_lines_after_a_malformed_one_still_come() {
        let text = [b"nonsense\n".as_slice(), TEXT, b"1 2 0:3 / / rw - a b c"].concat();
        let mounts: Vec<_> = parse(&text).collect();
        assert_eq!(mounts.len(), 10);
        assert_eq!(mounts[0].unwrap_err().to_string(), "malformed mountinfo, line 1: expected a mount ID");
        assert!(mounts[1..9].iter().all(Result::is_ok));
        assert_eq!(mounts[9].unwrap_err().to_string(), "malformed mountinfo, line 10: expected a newline at its end");
    }

    #[test]
    fn text_cut_off_anywhere_loses_lines_and_nothing_else() {
        let whole: Vec<_> = parse(TEXT).collect();
        for end in 0..TEXT.len() {
            let (cut_off, read): (Vec<_>, Vec<_>) = parse(&TEXT[..end]).partition(Result::is_err);
            assert_eq!(read, whole[..read.len()]);
            assert_eq!(cut_off.len(), usize::from(end > 0 && TEXT[end - 1] != b'\n'), "cut at {end}");
        }
    }

    #[test]
    fn escapes() {
        assert!(matches!(escape_octal(b"/plain#"), Cow::Borrowed(b"/plain#")));
        assert_eq!(*escape_octal(b"/mp #a\tb\\c\nd"), *b"/mp\\040#a\\011b\\134c\\012d");
    }

    proptest! {
        #[test]
        fn a_mount_that_was_written_is_read(
            ids in any::<[u32; 7]>(),
            paths in any::<[Vec<u8>; 3]>(),
            tags in any::<[bool; 4]>(),
        ) {
            let mut line = format!("{} {} {}:{} ", ids[0], ids[1], ids[2], ids[3]).into_bytes();
            line.extend_from_slice(&[&*escape_octal(&paths[0]), &*escape_octal(&paths[1]), b"rw"].join(&b" "[..]));
            for (tag, id) in ["shared", "master", "propagate_from"].into_iter().zip(&ids[4..]).zip(tags)
                .filter_map(|(tag, wanted)| wanted.then_some(tag))
            {
                line.extend_from_slice(format!(" {tag}:{id}").as_bytes());
            }
            line.extend_from_slice(if tags[3] { b" unbindable - " } else { b" - " });
            line.extend_from_slice(&[b"tmpfs", &*escape_octal(&paths[2]), b"rw,x\n"].join(&b" "[..]));
            let mount = one(&line).unwrap();
            prop_assert_eq!(mount.mount_id, u64::from(ids[0]));
            prop_assert_eq!(mount.parent_id, u64::from(ids[1]));
            prop_assert_eq!(mount.file_system, DeviceNumber { major: ids[2], minor: ids[3] });
            prop_assert_eq!(&*mount.root(), &*paths[0]);
            prop_assert_eq!(&*mount.mount_point(), &*paths[1]);
            prop_assert_eq!(&*mount.source(), &*paths[2]);
            prop_assert_eq!(mount.shared, tags[0].then_some(ids[4]));
            prop_assert_eq!(mount.master, tags[1].then_some(ids[5]));
            prop_assert_eq!(mount.propagate_from, tags[2].then_some(ids[6]));
            prop_assert_eq!(mount.unbindable, tags[3]);
            prop_assert_eq!((mount.raw_fs_type, mount.super_options), (&b"tmpfs"[..], &b"rw,x"[..]));
        }
    }
}
