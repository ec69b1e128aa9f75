//! Names of network namespaces: what `ip netns` calls them.
//!
//! `ip netns add blue` bind-mounts a network namespace on `/run/netns/blue`. The name has a meaning only in the mount
//! namespace that has this mount.

use bstr::{BString, ByteSlice as _};
use lxkns_model::CompactSort as _;
use lxkns_model::{Holder, NamespaceId, NamespaceType, Snapshot};

/// The directories of `ip netns`; one is usually a symbolic link to the other.
pub const DIRECTORIES: [&str; 2] = ["/run/netns/", "/var/run/netns/"];

/// The names of the network namespaces in one mount namespace, each with its namespace; sorted.
pub fn names(snapshot: &Snapshot, mount_ns: NamespaceId) -> Vec<(BString, NamespaceId)> {
    let namespaces = snapshot.namespaces.values().filter(|namespace| namespace.ns_type == NamespaceType::Net);
    let mut names: Vec<_> = namespaces
        .flat_map(|namespace| {
            namespace.bind_mounts().iter().filter_map(move |holder| match holder {
                Holder::BindMount { mount_ns: of, path: Some(path), .. } if *of == mount_ns => {
                    Some((BString::from(name(path)?), namespace.id))
                }
                _ => None,
            })
        })
        .collect();
    names.compact_sort();
    names.dedup();
    names
}

/// The name that a mount point gives to a network namespace; `None` where it is not one of `ip netns`.
pub fn name(path: &[u8]) -> Option<&[u8]> {
    let name = DIRECTORIES.iter().find_map(|directory| path.strip_prefix(directory.as_bytes()))?;
    (!name.is_empty() && !name.contains_str(b"/")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BUSY, HOME, LEFT, LOOSE, snapshot};

    #[test]
    fn only_files_right_in_the_directory_are_names() {
        assert_eq!(name(b"/run/netns/blue"), Some(&b"blue"[..]));
        assert_eq!(name(b"/var/run/netns/a b"), Some(&b"a b"[..]));
        for path in [&b"/run/netns/"[..], b"/run/netns", b"/run/netns/a/b", b"/tmp/run/netns/x", b"run/netns/x"] {
            assert_eq!(name(path), None, "{path:?}");
        }
    }

    #[test]
    fn each_mount_namespace_has_its_own_names() {
        let mut snapshot = snapshot();
        let mount = |mount_ns, path: &str| Holder::BindMount { mount_ns, mount_id: 7, path: Some(path.into()) };
        let busy = snapshot.namespaces.get_mut(&BUSY).unwrap();
        busy.holders =
            vec![mount(HOME, "/run/netns/red"), mount(HOME, "/var/run/netns/red"), mount(LOOSE, "/run/netns/x")];
        snapshot.namespaces.get_mut(&LEFT).unwrap().holders = vec![mount(HOME, "/run/netns/blue"), Holder::Kernel];
        assert_eq!(names(&snapshot, HOME), [("blue".into(), LEFT), ("red".into(), BUSY)]);
        assert_eq!(names(&snapshot, LOOSE), [("x".into(), BUSY)]);
    }
}
