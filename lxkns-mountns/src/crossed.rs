//! Finds the mounts that a path leads over in a mountinfo.

use std::collections::HashMap;

use lxkns_core::has_no_server;

/// The types of file systems whose server the kernel asks when a lookup reaches the root of a mount. For others, it
/// asks when the lookup goes on below.
const ASKED_AT_ROOT: [&[u8]; 3] = [b"nfs", b"nfs4", b"9p"];

/// The relevant facts of a mount.
struct Mount {
    id: u64,
    parent: u64,
    device: (u32, u32),
    point: Vec<u8>,
    is_asked_at_root: bool,
    has_server: bool,
}

/// A mount that a path leads over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Crossed {
    /// The length of the path up to its mount point; zero for the root.
    end: usize,
    /// The device number of its file system.
    pub(crate) device: (u32, u32),
    is_asked_at_root: bool,
    /// Whether a lookup on it can ask a server.
    pub(crate) has_server: bool,
}

/// The mounts that a path leads over, the root first, including a mount at the end of the path.
pub(crate) fn mounts(mountinfo: &[u8], path: &[u8]) -> Vec<Crossed> {
    let mounts: Vec<Mount> = mountinfo.split(|&byte| byte == b'\n').filter_map(mount).collect();
    let ids: HashMap<u64, &Mount> = mounts.iter().map(|mount| (mount.id, mount)).collect();
    let on: HashMap<(u64, &[u8]), &Mount> =
        mounts.iter().filter(|mount| mount.id != mount.parent).map(|m| ((m.parent, m.point.as_slice()), m)).collect();
    // The root is the mount whose parent is not in the list.
    let root = mounts.iter().find(|m| m.point == b"/" && (m.id == m.parent || !ids.contains_key(&m.parent)));
    let Some(mut current) = root else { return Vec::new() };
    let crossing = |end, mount: &Mount| Crossed {
        end,
        device: mount.device,
        is_asked_at_root: mount.is_asked_at_root,
        has_server: mount.has_server,
    };
    let mut crossed = vec![crossing(0, current)];
    let ends = path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0).map(|(at, _)| at);
    for end in [1].into_iter().chain(ends).chain([path.len()]) {
        let point = path.get(..end).unwrap_or(path);
        // Another mount can cover this one. A list that was read while mounts changed can contain a circle, since the
        // kernel reuses IDs.
        while let Some(over) = on.get(&(current.id, point))
            && crossed.len() <= mounts.len()
        {
            current = over;
            crossed.push(crossing(end, current));
        }
    }
    crossed
}

/// The device whose server is asked when the name that ends at this offset of the path is looked up: that of the
/// directory, or of a mount there whose server is asked about its root.
pub(crate) fn asked(crossed: &[Crossed], offset: usize) -> Option<(u32, u32)> {
    let is_asked = |mount: &&Crossed| mount.end < offset || mount.end == offset && mount.is_asked_at_root;
    crossed.iter().rev().find(is_asked).map(|mount| mount.device)
}

/// The device whose server is asked about the end of a path, if any, when all names are cached.
pub(crate) fn asked_at_end(crossed: &[Crossed], path: &[u8]) -> Option<(u32, u32)> {
    let last = crossed.last().filter(|mount| mount.end == path.len() && mount.is_asked_at_root);
    last.map(|mount| mount.device)
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (id, parent) = (number()?, number()?);
    let (major, minor) = std::str::from_utf8(fields.next()?).ok()?.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let point = unescape(fields.nth(1)?);
    let fs_type = fields.skip_while(|field| *field != b"-").nth(1)?;
    let (is_asked_at_root, has_server) = (ASKED_AT_ROOT.contains(&fs_type), !has_no_server(fs_type));
    Some(Mount { id, parent, device, point, is_asked_at_root, has_server })
}

/// Decodes octal escapes such as `\040`.
fn unescape(text: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match *after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ref after @ ..] if byte == b'\\' => {
                decoded.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => decoded.push(byte),
        }
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"20 1 254:0 / / rw - ext4 a rw\n\
        21 20 0:21 / /proc rw - proc b rw\n\
        22 20 0:30 / /a\\040b rw - tmpfs c rw\n\
        23 22 0:31 / /a\\040b/fuse rw - fuse d rw\n\
        24 22 0:32 / /a\\040b/fuse2 rw - fuse d rw\n\
        25 24 0:33 / /a\\040b/fuse2 rw - tmpfs d rw\n\
        26 20 0:34 / /x rw - tmpfs d rw\n\
        27 26 0:35 / /x/y rw - fuse d rw\n\
        28 26 0:36 / /x rw - tmpfs d rw\n\
        30 20 0:37 / /nfs rw shared:1 - nfs4 d rw\n";

    fn devices(mountinfo: &[u8], path: &[u8]) -> Vec<(usize, (u32, u32))> {
        mounts(mountinfo, path).into_iter().map(|mount| (mount.end, mount.device)).collect()
    }

    #[test]
    fn what_a_path_leads_over() {
        let devices = |path: &[u8]| devices(TEXT, path);
        assert_eq!(devices(b"/etc/passwd"), [(0, (254, 0))]);
        assert_eq!(devices(b"/a b/fuse/x/y"), [(0, (254, 0)), (4, (0, 30)), (9, (0, 31))]);
        assert_eq!(devices(b"/a b/fuse"), [(0, (254, 0)), (4, (0, 30)), (9, (0, 31))]);
        assert_eq!(devices(b"/a b/fuse2/x"), [(0, (254, 0)), (4, (0, 30)), (10, (0, 32)), (10, (0, 33))]);
        assert_eq!(devices(b"/x/y"), [(0, (254, 0)), (2, (0, 34)), (2, (0, 36))], "what is hidden is not crossed");
        assert_eq!(mounts(b"", b"/x"), []);
    }

    #[test]
    fn who_is_asked_for_a_name() {
        let crossed = mounts(TEXT, b"/a b/fuse/x/y");
        assert_eq!(asked(&crossed, 4), Some((254, 0)), "the name of a mount point is the directory's affair");
        assert_eq!(asked(&crossed, 9), Some((0, 30)));
        assert_eq!(asked(&crossed, 11), Some((0, 31)));
        assert_eq!(asked(&[], 4), None);
        let bound = [TEXT, b"29 23 0:4 net:[4026532281] /a\\040b/fuse/x rw - nsfs nsfs rw\n"].concat();
        let crossed = mounts(&bound, b"/a b/fuse/x");
        assert_eq!((crossed.len(), asked(&crossed, 11)), (4, Some((0, 31))), "and not of what is mounted there");
        assert_eq!(asked_at_end(&crossed, b"/a b/fuse/x"), None);
        let nfs = mounts(TEXT, b"/nfs");
        assert_eq!((asked(&nfs, 4), asked_at_end(&nfs, b"/nfs")), (Some((0, 37)), Some((0, 37))));
        assert_eq!(asked_at_end(&mounts(TEXT, b"/nfs/x"), b"/nfs/x"), None);
    }

    #[test]
    fn a_root_that_is_mounted_over() {
        let text = b"20 1 254:0 / / rw - ext4 a rw\n30 20 0:40 / / rw - tmpfs a rw\n31 30 0:41 / /x rw - fuse a rw\n";
        assert_eq!(devices(text, b"/x/y"), [(0, (254, 0)), (1, (0, 40)), (2, (0, 41))]);
        let circle =
            b"20 1 254:0 / / rw - ext4 a rw\n30 20 0:40 / /x rw - tmpfs a rw\n31 30 0:41 / /x rw - tmpfs a rw\n\
            30 31 0:42 / /x rw - tmpfs a rw\n";
        assert!(devices(circle, b"/x/y").len() <= 5, "IDs that were given again while it was read");
        let own_parent = b"20 20 254:0 / / rw - ext4 a rw\n";
        assert_eq!(devices(own_parent, b"/x/y"), [(0, (254, 0))]);
    }
}
