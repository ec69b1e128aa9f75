//! How a person names a file system: by a path, a device, or its number. Paths are looked up in mount lists and not in the
//! file system itself, which may be gone.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use bstr::ByteSlice as _;
use lxkns_model::relations::mount_at;
use lxkns_model::{DeviceNumber, FileSystemQuery, Mount};

use crate::context::Context;
use crate::text::escape::shell_word;

/// What it takes to look up paths on the living host. None of it may wait for a file system whose server is gone.
pub trait Paths {
    /// The working directory; `None` where no path leads there.
    fn working_directory(&self) -> Option<PathBuf>;

    /// What a path leads to when its symbolic links are followed; `None` where nothing is there, or it is not known. Without
    /// `is_patient`, only as far as the kernel knows without asking any file system.
    fn follow(&self, path: &Path, is_patient: bool) -> Option<Followed>;

    /// Whether a component of a path is a symbolic link, as far as the kernel knows without asking any file system.
    fn has_symbolic_link(&self, path: &Path) -> bool;

    /// The file system on a device, which can have a number of its own (btrfs); `None` where none is found.
    fn file_system_on(&self, device: DeviceNumber) -> Option<DeviceNumber>;

    /// The mount points that the caller sees, as it can type them, with the IDs of the mounts; `None` where that is not known.
    fn mount_points(&self) -> Option<Vec<(u64, PathBuf)>>;
}

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Followed {
    /// The mount that it is on; `None` before 5.8, where the kernel does not tell.
    pub mount: Option<u64>,
    /// Whether it is the root of that mount.
    pub is_mount_root: bool,
    /// The device number, where it is a block device.
    pub device: Option<DeviceNumber>,
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A file system by its device number.
    Number(DeviceNumber),
    /// The file system on a device, or the one that a path is in.
    Path(PathBuf),
}

impl Asked {
    /// Reads what was typed.
    ///
    /// # Errors
    ///
    /// In words, where it is neither.
    pub fn parse(text: &OsStr) -> Result<Self, String> {
        let number = text.to_str().and_then(|text| text.split_once(':')).and_then(|(major, minor)| {
            let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            (is_number(major) && is_number(minor)).then(|| Some((major.parse().ok()?, minor.parse().ok()?)))
        });
        match number {
            Some(Some((major, minor))) => Ok(Self::Number(DeviceNumber { major, minor })),
            Some(None) => Err("not a device number: expected MAJOR:MINOR".to_owned()),
            None if text.is_empty() => Err("expected a path, a device or MAJOR:MINOR".to_owned()),
            None => Ok(Self::Path(text.into())),
        }
    }
}

/// What was found to be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant<'a> {
    /// The file system, or the one namespace's file.
    pub query: FileSystemQuery,
    /// The mount, where it was a path.
    pub mount: Option<&'a Mount>,
    /// Whether a device was named.
    pub is_device: bool,
}

/// Why nothing is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unknown<'a> {
    /// The mounts in which paths mean what they say are not known.
    NoMounts,
    /// The path is relative, and the working directory has none: it was deleted, or is on a mount that is not visible.
    NoDirectory,
    /// Nothing is mounted at the path. This is the mount that the path is in.
    NotMounted(&'a Mount),
    /// The same, where the caller's root directory is another: the mount point as the caller can type it.
    NotMountedHere(PathBuf),
}

impl fmt::Display for Unknown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMounts => f.write_str(
                "the mounts of the caller's mount namespace are not known; name the file system by MAJOR:MINOR",
            ),
            Self::NoDirectory => f.write_str(
                "the working directory has no path (deleted, or on a mount that was unmounted); name an absolute path",
            ),
            Self::NotMountedHere(nearest) => {
                let nearest = shell_word(nearest.as_os_str().as_bytes());
                write!(f, "not a mount point; nearest mount is {nearest}; try lxkns busy {nearest}")
            }
            Self::NotMounted(nearest) => {
                let nearest = nearest.path().map(|path| shell_word(path)).unwrap_or_default();
                write!(f, "not a mount point; nearest mount is {nearest}; try lxkns busy {nearest}")
            }
        }
    }
}

/// The file system that is meant. A path must be a mount point or lead to one, as for `umount(8)`: one that does not may be
/// mistyped, or have been one until it was unmounted, and another file system is not meant by it. `paths` looks paths up on
/// the living host; there is none for a dump.
///
/// # Errors
///
/// Where nothing is meant: see [`Unknown`].
pub fn resolve<'a>(context: Context<'a>, paths: Option<&dyn Paths>, asked: &Asked) -> Result<Meant<'a>, Unknown<'a>> {
    let of = |query, is_device| Meant { query, mount: None, is_device };
    let path = match asked {
        Asked::Number(number) if number.major != 0 => return Ok(of(on_device(paths, *number), false)),
        Asked::Number(file_system) => return Ok(of(FileSystemQuery::new(*file_system), false)),
        Asked::Path(path) => path,
    };
    let home = context.mount_ns.or(context.snapshot.observer_mount_ns);
    let mounts = home.and_then(|home| context.snapshot.mounts.get(&home)).ok_or(Unknown::NoMounts)?;
    let path = match (path.is_absolute(), paths) {
        (true, _) => path.clone(),
        (false, Some(paths)) => paths.working_directory().ok_or(Unknown::NoDirectory)?.join(path),
        (false, None) => return Err(Unknown::NoMounts),
    };
    let text = normal(&path);
    // Where its root directory is not that of the mount namespace, the caller sees other mount points.
    let view = paths.filter(|_| context.mount_ns.is_none()).and_then(|paths| paths.mount_points());
    if let Some(view) = view {
        return in_view(mounts, &view, &text, paths.and_then(|paths| paths.follow(&path, false)));
    }
    let bytes = text.as_os_str().as_bytes();
    let mount = mount_at(mounts, bytes).ok_or(Unknown::NoMounts)?;
    let is_parent = |component: Component<'_>| component == Component::ParentDir;
    // What comes after a link to somewhere else is not where the text says.
    let is_misleading = |paths: &dyn Paths| path.components().any(is_parent) && paths.has_symbolic_link(&path);
    if mount.path().is_some_and(|point| **point == *bytes) && !paths.is_some_and(is_misleading) {
        return Ok(Meant { query: query(mount), mount: Some(mount), is_device: false });
    }
    // Where a server may be gone, only what the kernel knows is looked at.
    let followed = paths.and_then(|paths| paths.follow(&path, !has_server(mount)));
    let Some(followed) = followed else { return Err(Unknown::NotMounted(mount)) };
    if let Some(device) = followed.device {
        return Ok(of(on_device(paths, device), true));
    }
    let found = followed.mount.and_then(|id| mounts.iter().find(|mount| mount.id == id));
    match found {
        Some(mount) if followed.is_mount_root => {
            Ok(Meant { query: query(mount), mount: Some(mount), is_device: false })
        }
        found => Err(Unknown::NotMounted(found.unwrap_or(mount))),
    }
}

/// Whether a file system asks somebody who may be gone: other hosts, or a process.
fn has_server(mount: &Mount) -> bool {
    let with_server =
        ["fuse", "nfs", "cifs", "smb", "9p", "ceph", "afs", "coda", "autofs", "virtiofs", "orangefs", "lustre"];
    with_server.iter().any(|fs_type| mount.fs_type.starts_with(fs_type.as_bytes()))
}

/// The mount that is meant by a caller with another root directory than that of its mount namespace.
fn in_view<'a>(
    mounts: &'a [Mount],
    view: &[(u64, PathBuf)],
    path: &Path,
    followed: Option<Followed>,
) -> Result<Meant<'a>, Unknown<'a>> {
    // Of several at one point the last is on top.
    let at_path = view.iter().rev().find(|(_, point)| point == path).map(|(id, _)| *id);
    let id = at_path.or_else(|| followed.filter(|followed| followed.is_mount_root)?.mount);
    let Some(id) = id else {
        let above = view.iter().map(|(_, point)| point).filter(|point| path.starts_with(point));
        let nearest = above.max_by_key(|point| point.as_os_str().len()).ok_or(Unknown::NoMounts)?;
        return Err(Unknown::NotMountedHere(nearest.clone()));
    };
    let mount = mounts.iter().find(|mount| mount.id == id).ok_or(Unknown::NoMounts)?;
    Ok(Meant { query: query(mount), mount: Some(mount), is_device: false })
}

/// What a mount shows: a file system; or of nsfs, one namespace's file.
fn query(mount: &Mount) -> FileSystemQuery {
    let root = mount.root.strip_suffix(b"]").and_then(|root| root.rsplit_once_str(":["));
    let ino = root.and_then(|(_, ino)| ino.to_str().ok()?.parse().ok());
    match ino.filter(|_| *mount.fs_type == *"nsfs") {
        Some(ino) => FileSystemQuery::of_namespace(mount.file_system, ino),
        None => FileSystemQuery::new(mount.file_system),
    }
}

/// The file system on a device. Some (btrfs) have numbers of their own, and several devices.
fn on_device(paths: Option<&dyn Paths>, device: DeviceNumber) -> FileSystemQuery {
    match paths.and_then(|paths| paths.file_system_on(device)) {
        Some(file_system) if file_system != device => FileSystemQuery::of_device(file_system, device),
        _ => FileSystemQuery::new(device),
    }
}

/// An absolute path without `.` and `..`, as text: what it leads to is not asked.
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => drop(normal.pop()),
            _ => {}
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{HOME, id, snapshot};

    fn number(minor: u32) -> DeviceNumber {
        DeviceNumber { major: 0, minor }
    }

    fn mount(id: u64, minor: u32, path: &str, hidden: bool) -> Mount {
        let mut mount = Mount::new(id, 1, number(minor), "xfs", Some(path));
        mount.hidden = hidden;
        mount
    }

    /// A host that knows these paths.
    #[derive(Default)]
    struct Host {
        view: Vec<(u64, PathBuf)>,
        links: Vec<(PathBuf, Followed)>,
        /// A device, and the number of the file system on it.
        on_device: Option<(DeviceNumber, DeviceNumber)>,
    }

    impl Paths for Host {
        fn working_directory(&self) -> Option<PathBuf> {
            Some("/mnt".into())
        }

        fn follow(&self, path: &Path, _: bool) -> Option<Followed> {
            self.links.iter().find(|(link, _)| link == path).map(|(_, followed)| *followed)
        }

        fn has_symbolic_link(&self, path: &Path) -> bool {
            self.links.iter().any(|(link, _)| path.starts_with(link))
        }

        fn file_system_on(&self, device: DeviceNumber) -> Option<DeviceNumber> {
            self.on_device.filter(|(of, _)| *of == device).map(|(_, file_system)| file_system)
        }

        fn mount_points(&self) -> Option<Vec<(u64, PathBuf)>> {
            Some(self.view.clone())
        }
    }

    #[test]
    fn a_living_host_is_asked_where_the_list_does_not_say() {
        let mut snapshot = snapshot();
        snapshot.mounts.insert(HOME, vec![mount(1, 10, "/", false), mount(2, 11, "/mnt", false)]);
        snapshot.observer_mount_ns = Some(HOME);
        let context = Context::live(&snapshot, false);
        let disk = DeviceNumber { major: 8, minor: 1 };
        let followed = |mount, is_mount_root, device| Followed { mount: Some(mount), is_mount_root, device };
        let host = Host {
            links: vec![
                ("/link".into(), followed(2, true, None)),
                ("/elsewhere".into(), followed(2, false, None)),
                ("/dev/sda1".into(), followed(1, false, Some(disk))),
            ],
            on_device: Some((disk, number(40))),
            ..Host::default()
        };
        let find = |path: &str| resolve(context, Some(&host), &Asked::Path(path.into()));
        assert_eq!(find("/link").unwrap().mount.unwrap().id, 2);
        assert_eq!(find(".").unwrap().mount.unwrap().id, 2, "the working directory");
        assert_eq!(find("/link/../mnt"), Err(Unknown::NotMounted(&snapshot.mounts[&HOME][1])), "it leads elsewhere");
        assert_eq!(find("/elsewhere"), Err(Unknown::NotMounted(&snapshot.mounts[&HOME][1])));
        let device = find("/dev/sda1").unwrap();
        assert!(device.is_device && device.query == FileSystemQuery::of_device(number(40), disk));
        let by_number = resolve(context, Some(&host), &Asked::Number(disk)).unwrap();
        assert_eq!(by_number.query, device.query);
        let of_dump = resolve(Context::of_dump(&snapshot), None, &Asked::Number(disk)).unwrap();
        assert_eq!(of_dump.query, FileSystemQuery::new(disk), "a dump has no devices");
    }

    #[test]
    fn paths_of_another_root_are_those_that_the_caller_sees() {
        let mut snapshot = snapshot();
        snapshot
            .mounts
            .insert(HOME, vec![mount(1, 1, "/", false), mount(2, 2, "/jail", false), mount(3, 3, "/jail/x", false)]);
        snapshot.observer_mount_ns = Some(HOME);
        let context = Context::live(&snapshot, true);
        let host = Host { view: vec![(2, "/".into()), (3, "/x".into())], ..Host::default() };
        let find = |path: &str| match resolve(context, Some(&host), &Asked::Path(path.into())) {
            Ok(meant) => Ok(meant.query.file_system.minor),
            Err(unknown) => Err(unknown.to_string()),
        };
        assert_eq!((find("/"), find("/x"), find("/y/../x/")), (Ok(2), Ok(3), Ok(3)));
        assert!(find("/jail/x").unwrap_err().contains("nearest mount is /;"));
        assert!(find("/x/y").unwrap_err().contains("nearest mount is /x;"));
    }

    #[test]
    fn numbers_and_paths() {
        let parse = |text: &str| Asked::parse(OsStr::new(text));
        assert_eq!(parse("8:1"), Ok(Asked::Number(DeviceNumber { major: 8, minor: 1 })));
        for path in ["/mnt", "mnt", ".", "8:1x", "a:1", ":1", "8:"] {
            assert_eq!(parse(path), Ok(Asked::Path(path.into())));
        }
        assert!(parse("8:99999999999").is_err() && parse("").is_err());
    }

    #[test]
    fn a_path_is_a_mount_point_or_has_a_nearest_mount() {
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
        let find = |path: &str| match resolve(Context::of_dump(&snapshot), None, &Asked::Path(path.into())) {
            Ok(meant) => (meant.query.file_system.minor, true),
            Err(Unknown::NotMounted(nearest)) => (nearest.file_system.minor, false),
            Err(unknown) => panic!("{path}: {unknown}"),
        };
        for (path, expected) in [
            ("/", (10, true)),
            ("/mnt", (11, true)),
            ("/mnt/", (11, true)),
            ("/mnt/a", (11, false)),
            ("/mnt/a/b", (11, false)),
            ("/mnt b", (13, true)),
            ("/mntx", (10, false)),
            ("/mnt/../x", (10, false)),
            ("//mnt/./b/..", (11, true)),
            ("/../mnt", (11, true)),
        ] {
            assert_eq!(find(path), expected, "{path}");
        }
        let typo = resolve(Context::of_dump(&snapshot), None, &Asked::Path("/mnt/ubs".into())).unwrap_err();
        assert_eq!(typo.to_string(), "not a mount point; nearest mount is /mnt; try lxkns busy /mnt");
        let relative = Asked::Path("mnt".into());
        assert_eq!(
            resolve(Context::of_dump(&snapshot), None, &relative),
            Err(Unknown::NoMounts),
            "a dump has no working directory"
        );
        assert_eq!(normal(Path::new("/mnt/x/../a")), Path::new("/mnt/a"));
        snapshot.observer_mount_ns = Some(id(7));
        assert_eq!(resolve(Context::of_dump(&snapshot), None, &Asked::Path("/".into())), Err(Unknown::NoMounts));
    }

    #[test]
    fn a_mount_of_nsfs_is_one_namespace() {
        let mut mount = Mount::new(1, 1, number(4), "nsfs", Some("/run/netns/a"));
        mount.root = Mount::new(1, 1, number(4), "net:[4026532281]", None).fs_type;
        assert_eq!(query(&mount), FileSystemQuery::of_namespace(number(4), 4_026_532_281));
        mount.fs_type = Mount::new(1, 1, number(4), "ext4", None).fs_type;
        assert_eq!(query(&mount), FileSystemQuery::new(number(4)));
    }
}
