//! What the mounts of a container say: where `/etc/hosts` and its like come from, and its root's upper layer.

use bstr::{BString, ByteSlice as _};
use lxkns_model::EngineKind;

use super::is_long_id;

/// A container that a mount names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kind: EngineKind,
    pub(crate) id: BString,
}

/// The files that engines make for each container and mount over those of its image.
const FILES: [&[u8]; 4] = [b"/etc/hosts", b"/etc/resolv.conf", b"/etc/hostname", b"/run/.containerenv"];

/// Which container a mount names: by its root in its file system where it is one of those files, else by the options of
/// its file system where it is the container's own root.
pub(crate) fn container(point: &[u8], root: &[u8], fs_type: &[u8], super_options: &[u8]) -> Option<Named> {
    if FILES.contains(&point) {
        return by_path(root);
    }
    if point != b"/" || fs_type != b"overlay" {
        return None;
    }
    let upper = super_options.split_str(",").find_map(|option| option.strip_prefix(b"upperdir="))?;
    by_path(upper)
}

/// A path with the ID of a container in it. The beginning can be missing: the root of a mount is a path in its file system.
fn by_path(path: &[u8]) -> Option<Named> {
    let components: Vec<&[u8]> = path.split_str("/").filter(|component| !component.is_empty()).collect();
    components.windows(2).find_map(|pair| {
        let kind = match pair[0] {
            b"containers" => EngineKind::Docker,
            b"overlay-containers" | b"vfs-containers" | b"btrfs-containers" | b"zfs-containers" => EngineKind::Podman,
            b"sandboxes" => EngineKind::Cri,
            _ => return None,
        };
        is_long_id(pair[1]).then(|| Named { kind, id: pair[1].into() })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn read(point: &str, root: &str) -> Option<(EngineKind, String)> {
        let root = root.replace("$ID", ID);
        container(point.as_bytes(), root.as_bytes(), b"ext4", b"rw").map(|named| (named.kind, named.id.to_string()))
    }

    #[test]
    fn files_of_containers_name_them() {
        let is = |kind| Some((kind, ID.to_owned()));
        assert_eq!(read("/etc/hosts", "/var/lib/docker/containers/$ID/hosts"), is(EngineKind::Docker));
        assert_eq!(read("/etc/resolv.conf", "/containers/$ID/resolv.conf"), is(EngineKind::Docker));
        let podman = "/containers/storage/overlay-containers/$ID/userdata/hosts";
        assert_eq!(read("/etc/hosts", podman), is(EngineKind::Podman));
        let cri = "/var/lib/containerd/io.containerd.grpc.v1.cri/sandboxes/$ID/resolv.conf";
        assert_eq!(read("/etc/resolv.conf", cri), is(EngineKind::Cri));
    }

    #[test]
    fn others_do_not() {
        for (point, root) in [
            ("/etc/hosts", "/etc/hosts"),
            ("/etc/hosts", "/var/lib/docker/containers/short/hosts"),
            ("/mnt", "/var/lib/docker/containers/$ID/hosts"),
            ("/etc/hosts", "/"),
        ] {
            assert_eq!(read(point, root), None, "{point} {root}");
        }
        assert_eq!(container(b"/", b"/", b"overlay", b"rw,lowerdir=/l,upperdir=/var/lib/docker/overlay2/x/diff"), None);
    }
}
