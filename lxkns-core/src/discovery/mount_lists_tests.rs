//! How a list comes together.

use super::*;
use crate::model::{DeviceNumber, Propagation};

const NS: NamespaceId = NamespaceId { ino: 9, dev: 4 };

/// As a process with the root of the mount namespace sees it.
const WHOLE: &[u8] = b"40 30 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n\
    41 40 0:20 / /jail rw,nosuid master:7 propagate_from:3 - fuse.x\\040y so\\040urce ro,a\\040b\n\
    42 41 0:21 / /jail/proc rw unbindable - proc  rw\n";
/// As a process that has changed its root directory to /jail sees it.
const JAILED: &[u8] = b"41 40 0:20 / / rw,nosuid master:7 - fuse.x\\040y so\\040urce ro,a\\040b\n\
    42 41 0:21 / /proc rw unbindable - proc  rw\n";
const OTHER: &[u8] = b"50 40 0:22 / /proc rw - proc proc rw\nnonsense\n";

fn list(texts: &[(&[u8], Option<&str>, Reader)]) -> (List, Found) {
    let (mut list, mut found) = (List::default(), Found::default());
    for (text, root, reader) in texts {
        list.add_mountinfo(&mut found, NS, text, root.map(BStr::new), *reader);
    }
    (list, found)
}

fn paths(list: List) -> Vec<(u64, String, bool)> {
    let mounts = list.finish(true);
    let path = |mount: &Mount| mount.path().map(ToString::to_string).unwrap_or_default();
    mounts.iter().map(|mount| (mount.id, path(mount), mount.hidden)).collect()
}

#[test]
fn mountinfo_says_everything() {
    let mounts = list(&[(WHOLE, Some("/"), Reader::Member)]).0.finish(true);
    let mount = &mounts[1];
    assert_eq!((mount.id, mount.parent_id, mount.file_system), (41, 40, DeviceNumber { major: 0, minor: 20 }));
    let expected = Propagation { shared: None, master: Some(7), propagate_from: Some(3), unbindable: false };
    assert_eq!(mount.propagation, expected);
    assert_eq!((&**mount.options, &**mount.fs_type, &**mount.root), (&b"rw,nosuid"[..], &b"fuse.x y"[..], &b"/"[..]));
    assert_eq!(mount.source.as_deref(), Some(BStr::new("so urce")));
    assert_eq!(mount.super_options.as_deref(), Some(BStr::new("ro,a\\040b")), "as it is");
    assert!(!mount.is_writable());
    assert!(mounts[2].propagation.unbindable && mounts[0].is_writable());
    assert_eq!(mounts[2].source.as_deref(), Some(BStr::new("")));
}

#[test]
fn all_paths_are_from_the_root_of_the_mount_namespace() {
    let both = [(JAILED, Some("/jail"), Reader::Member), (WHOLE, Some("/"), Reader::Member)];
    let expected = [(40, "/".to_owned(), false), (41, "/jail".to_owned(), false), (42, "/jail/proc".to_owned(), false)];
    for order in [[0, 1], [1, 0]] {
        let (list, found) = list(&order.map(|index| both[index]));
        assert!(list.is_whole && found.gaps.is_empty());
        assert_eq!(list.root, Some(40));
        assert_eq!(paths(list), expected);
    }
    let (jailed, _) = list(&[(JAILED, Some("/jail"), Reader::Member), (OTHER, Some("/other"), Reader::Member)]);
    assert!(!jailed.is_whole && jailed.root.is_none());
    assert_eq!(paths(jailed)[1..], [expected[2].clone(), (50, "/other/proc".to_owned(), false)]);
}

#[test]
fn a_path_from_a_root_that_is_not_known_is_not_known() {
    let (list, _) = list(&[(JAILED, None, Reader::Member)]);
    assert!(!list.is_whole);
    assert_eq!(paths(list), [(41, String::new(), true), (42, String::new(), true)]);
}

#[test]
fn malformed_lines_are_gaps_and_the_rest_counts() {
    let (list, found) = list(&[(OTHER, Some("/"), Reader::Member)]);
    assert_eq!(found.gaps.len(), 1);
    assert_eq!(found.gaps[0].object, Object::Namespace(NS));
    assert_eq!(paths(list).len(), 1);
    assert!(List::default().finish(true).is_empty());
}

/// Those who were there before `/` was overmounted list what is over their root, and are not led to it.
#[test]
fn who_reads_decides_what_an_overmounted_root_hides() {
    const BEFORE: &[u8] = b"40 30 254:0 / / rw - ext4 /dev/vda rw\n41 40 0:20 / /a rw - tmpfs t rw\n\
        42 40 0:21 / / rw - tmpfs t rw\n";
    const ENTERED: &[u8] = b"42 40 0:21 / / rw - tmpfs t rw\n";
    let hidden = |texts: &[(&'static [u8], Reader)]| {
        let texts: Vec<_> = texts.iter().map(|&(text, reader)| (text, Some("/"), reader)).collect();
        let hidden = paths(list(&texts).0).into_iter().filter(|(.., hidden)| *hidden);
        hidden.map(|(id, ..)| id).collect::<Vec<_>>()
    };
    assert_eq!(hidden(&[(BEFORE, Reader::Member)]), [42]);
    assert_eq!(hidden(&[(BEFORE, Reader::Visitor)]), [40, 41]);
    assert_eq!(hidden(&[(ENTERED, Reader::Visitor), (BEFORE, Reader::Member)]), [42]);
    assert_eq!(hidden(&[(ENTERED, Reader::Member), (BEFORE, Reader::Visitor)]), [40, 41]);
    assert_eq!(hidden(&[(ENTERED, Reader::Visitor)]), [0; 0]);
}
