//! What a person calls a file system: a path, a device, or its number. Paths are looked up in mount lists and not in the
//! file system itself, which may be gone.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use lxkns_core::model::{FileSystem, Mount, NamespaceId, Snapshot};

use crate::live;

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A file system by its device number.
    Number(FileSystem),
    /// The file system on a device, or the one that a path is in.
    Path(PathBuf),
}

impl Asked {
    /// Reads what was typed; for clap.
    pub(crate) fn parse(text: &OsStr) -> Result<Self, String> {
        let number = text.to_str().and_then(|text| text.split_once(':')).and_then(|(major, minor)| {
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            (is_number(major) && is_number(minor)).then(|| Some((major.parse().ok()?, minor.parse().ok()?)))
        });
        match number {
            Some(Some((major, minor))) => Ok(Self::Number(FileSystem { major, minor })),
            Some(None) => Err("not a device number: expected MAJOR:MINOR".to_owned()),
            None if text.is_empty() => Err("expected a path, a device or MAJOR:MINOR".to_owned()),
            None => Ok(Self::Path(text.into())),
        }
    }
}

/// What was found to be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meant<'a> {
    /// The file system.
    pub(crate) file_system: FileSystem,
    /// The mount that the path is in, where it was a path.
    pub(crate) mount: Option<&'a Mount>,
}

/// The file system that is meant, in the mount namespace `home`; `None` if there is no such.
pub(crate) fn resolve<'a>(
    snapshot: &'a Snapshot,
    home: Option<NamespaceId>,
    asked: &Asked,
    is_live: bool,
) -> Option<Meant<'a>> {
    let path = match asked {
        Asked::Number(file_system) => return Some(Meant { file_system: *file_system, mount: None }),
        Asked::Path(path) => path,
    };
    let mounts = snapshot.mounts.get(&home?)?;
    let base = if is_live { std::env::current_dir().ok() } else { None };
    let path = normal(base.as_deref(), path)?;
    let mount = mount_of(mounts, &path)?;
    // Device files are in file systems of the kernel's own, which can be looked into.
    let is_kernels = ["devtmpfs", "tmpfs", "ramfs"].iter().any(|fs_type| *mount.fs_type == **fs_type);
    let device = if is_live && is_kernels { live::block_device(&path) } else { None };
    match device {
        Some(device) => Some(Meant { file_system: on_device(mounts, &path, device), mount: None }),
        None => Some(Meant { file_system: mount.file_system, mount: Some(mount) }),
    }
}

/// The file system on a device. Some (btrfs) have numbers of their own, and only their source says where they are.
fn on_device(mounts: &[Mount], path: &Path, device: FileSystem) -> FileSystem {
    let path = path.as_os_str().as_bytes();
    let is_on_it = |mount: &&Mount| mount.file_system.major == 0 && mount.source.as_deref().is_some_and(|s| s == path);
    let by_source = || mounts.iter().find(is_on_it).map(|mount| mount.file_system);
    let has_its_number = mounts.iter().any(|mount| mount.file_system == device);
    if has_its_number { device } else { by_source().unwrap_or(device) }
}

/// The path without `.` and `..`, as text: what it leads to is not asked.
pub(crate) fn normal(base: Option<&Path>, path: &Path) -> Option<PathBuf> {
    let whole = if path.is_absolute() { path.to_owned() } else { base?.join(path) };
    let mut normal = PathBuf::from("/");
    for component in whole.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => drop(normal.pop()),
            _ => {}
        }
    }
    Some(normal)
}

/// The visible mount that a path is in: the one with the longest path that is above it.
fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let point = |mount: &Mount| Some(Path::new(OsStr::from_bytes(mount.path()?)).to_owned());
    let above = mounts.iter().filter(|mount| !mount.hidden).filter_map(|mount| Some((point(mount)?, mount)));
    above.filter(|(point, _)| path.starts_with(point)).max_by_key(|(point, _)| point.as_os_str().len()).map(|(_, m)| m)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{HOME, snapshot};

    fn number(minor: u32) -> FileSystem {
        FileSystem { major: 0, minor }
    }

    fn mount(id: u64, minor: u32, path: &str, hidden: bool) -> Mount {
        let mut mount = Mount::new(id, 1, number(minor), "xfs", Some(path));
        mount.hidden = hidden;
        mount
    }

    #[test]
    fn numbers_and_paths() {
        let parse = |text: &str| Asked::parse(OsStr::new(text));
        assert_eq!(parse("8:1"), Ok(Asked::Number(FileSystem { major: 8, minor: 1 })));
        for path in ["/mnt", "mnt", ".", "8:1x", "a:1", ":1", "8:"] {
            assert_eq!(parse(path), Ok(Asked::Path(path.into())));
        }
        assert!(parse("8:99999999999").is_err() && parse("").is_err());
    }

    #[test]
    fn a_path_is_in_the_visible_mount_with_the_longest_path_above_it() {
        let mut snapshot = snapshot();
        snapshot.mounts.insert(
            HOME,
            vec![
                mount(1, 10, "/", false),
                mount(2, 11, "/mnt", false),
                mount(3, 12, "/mnt/a", true),
                mount(4, 13, "/mnt b", false),
            ],
        );
        let find = |path: &str| {
            let meant = resolve(&snapshot, Some(HOME), &Asked::Path(path.into()), false).unwrap();
            assert_eq!(meant.mount.unwrap().file_system, meant.file_system);
            meant.file_system.minor
        };
        for (path, minor) in [
            ("/", 10),
            ("/mnt", 11),
            ("/mnt/", 11),
            ("/mnt/a/b", 11),
            ("/mnt b", 13),
            ("/mntx", 10),
            ("/mnt/../x", 10),
            ("//mnt/./b", 11),
            ("/../mnt", 11),
        ] {
            assert_eq!(find(path), minor, "{path}");
        }
        let relative = Asked::Path("mnt".into());
        assert_eq!(resolve(&snapshot, Some(HOME), &relative, false), None, "a dump has no working directory");
        assert_eq!(normal(Some(Path::new("/mnt/x")), Path::new("../a")), Some("/mnt/a".into()));
        assert_eq!(resolve(&snapshot, None, &Asked::Path("/".into()), false), None);
    }

    #[test]
    fn a_device_has_the_file_system_with_its_number_or_with_its_name() {
        let device = FileSystem { major: 8, minor: 1 };
        let mut mounts = vec![mount(1, 40, "/", false)];
        mounts[0].source = Mount::new(1, 1, device, "x", Some("/dev/sda1")).point;
        assert_eq!(on_device(&mounts, Path::new("/dev/sda1"), device), number(40));
        assert_eq!(on_device(&mounts, Path::new("/dev/sda2"), device), device);
        mounts.push(Mount::new(2, 1, device, "ext4", Some("/b")));
        assert_eq!(on_device(&mounts, Path::new("/dev/sda1"), device), device);
    }
}
