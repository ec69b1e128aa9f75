//! Which mounts a path leads over, from the text of a mountinfo.

use std::collections::HashMap;

/// A mount, as far as it matters here.
struct Mount {
    id: u64,
    parent: u64,
    device: (u32, u32),
    point: Vec<u8>,
}

/// The devices of the file systems that a path leads over, each with how much of the path is before its mount: first
/// the root's, at 0. What the path ends at counts as well.
pub(crate) fn devices(mountinfo: &[u8], path: &[u8]) -> Vec<(usize, (u32, u32))> {
    let mounts: Vec<Mount> = mountinfo.split(|&byte| byte == b'\n').filter_map(mount).collect();
    let ids: HashMap<u64, &Mount> = mounts.iter().map(|mount| (mount.id, mount)).collect();
    let on: HashMap<(u64, &[u8]), &Mount> =
        mounts.iter().filter(|mount| mount.id != mount.parent).map(|m| ((m.parent, m.point.as_slice()), m)).collect();
    // The root is what is mounted on nothing that is listed.
    let root = mounts.iter().find(|m| m.point == b"/" && (m.id == m.parent || !ids.contains_key(&m.parent)));
    let Some(mut current) = root else { return Vec::new() };
    let mut crossed = vec![(0, current.device)];
    let ends = path.iter().enumerate().filter(|(at, byte)| **byte == b'/' && *at > 0).map(|(at, _)| at);
    for end in [1].into_iter().chain(ends).chain([path.len()]) {
        let point = path.get(..end).unwrap_or(path);
        // What is mounted there can be mounted over in its turn.
        while let Some(over) = on.get(&(current.id, point)) {
            current = over;
            crossed.push((end, current.device));
        }
    }
    crossed
}

/// The device that is asked when a lookup is at this offset of a path: what is mounted exactly there, else where the
/// name is looked up.
pub(crate) fn asked(crossed: &[(usize, (u32, u32))], offset: usize) -> Option<(u32, u32)> {
    crossed.iter().rev().find(|(end, _)| *end <= offset).map(|(_, device)| *device)
}

fn mount(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|&byte| byte == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse().ok();
    let (id, parent) = (number()?, number()?);
    let (major, minor) = std::str::from_utf8(fields.next()?).ok()?.split_once(':')?;
    let device = (major.parse().ok()?, minor.parse().ok()?);
    let point = unescape(fields.nth(1)?);
    Some(Mount { id, parent, device, point })
}

/// Decodes `\040` and its like.
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
        28 26 0:36 / /x rw - tmpfs d rw\n";

    #[test]
    fn what_a_path_leads_over() {
        let devices = |path: &[u8]| devices(TEXT, path);
        assert_eq!(devices(b"/etc/passwd"), [(0, (254, 0))]);
        assert_eq!(devices(b"/a b/fuse/x/y"), [(0, (254, 0)), (4, (0, 30)), (9, (0, 31))]);
        assert_eq!(devices(b"/a b/fuse"), [(0, (254, 0)), (4, (0, 30)), (9, (0, 31))]);
        assert_eq!(devices(b"/a b/fuse2/x"), [(0, (254, 0)), (4, (0, 30)), (10, (0, 32)), (10, (0, 33))]);
        assert_eq!(devices(b"/x/y"), [(0, (254, 0)), (2, (0, 34)), (2, (0, 36))], "what is hidden is not crossed");
        assert_eq!(super::devices(b"", b"/x"), []);
    }

    #[test]
    fn who_is_asked_for_a_name() {
        let crossed = devices(TEXT, b"/a b/fuse/x/y");
        assert_eq!(asked(&crossed, 4), Some((0, 30)), "its mount is looked up");
        assert_eq!(asked(&crossed, 9), Some((0, 31)));
        assert_eq!(asked(&crossed, 11), Some((0, 31)));
        assert_eq!(asked(&[], 4), None);
    }

    #[test]
    fn a_root_that_is_mounted_over() {
        let text = b"20 1 254:0 / / rw - ext4 a rw\n30 20 0:40 / / rw - tmpfs a rw\n31 30 0:41 / /x rw - fuse a rw\n";
        assert_eq!(devices(text, b"/x/y"), [(0, (254, 0)), (1, (0, 40)), (2, (0, 41))]);
        let own_parent = b"20 20 254:0 / / rw - ext4 a rw\n";
        assert_eq!(devices(own_parent, b"/x/y"), [(0, (254, 0))]);
    }
}
