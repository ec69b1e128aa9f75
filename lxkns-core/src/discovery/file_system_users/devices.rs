//! Block devices, as sysfs has them: the devices of a file system, and the partitions and disks that exclude each other's
//! use.

use std::path::{Path, PathBuf};

use bstr::{BStr, BString, ByteSlice as _};
use rustc_hash::FxHashSet;

use super::files::Files;
use super::paths::lookup;
use crate::model::{DeviceNumber, DeviceRole, FileSystemQuery, Mount, Operation, Snapshot};

/// A block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) number: DeviceNumber,
    /// Its name in sysfs.
    pub(super) name: BString,
    /// Its directory in sysfs.
    pub(super) dir: PathBuf,
}

impl Device {
    fn at(files: &Files, dir: &Path) -> Option<Self> {
        let dir = dir.canonicalize().map_err(|error| files.failed(dir, Operation::OPEN, &error)).ok()?;
        let number = files.read(&dir.join("dev"))?;
        let (major, minor) = number.to_str().ok()?.trim().split_once(':')?;
        let number = DeviceNumber { major: major.parse().ok()?, minor: minor.parse().ok()? };
        Some(Self { number, name: dir.file_name()?.as_encoded_bytes().into(), dir })
    }

    pub(super) fn of(files: &Files, sysfs: &Path, DeviceNumber { major, minor }: DeviceNumber) -> Option<Self> {
        Self::at(files, &sysfs.join(format!("dev/block/{major}:{minor}")))
    }

    /// A disk, or another device that is not a partition.
    pub(super) fn named(files: &Files, sysfs: &Path, name: &BStr) -> Option<Self> {
        Self::at(files, &sysfs.join("block").join(name.to_path_lossy()))
    }

    /// Its partitions.
    pub(super) fn partitions(&self, files: &Files) -> Vec<Self> {
        let children = files.names(&self.dir).into_iter().map(|name| self.dir.join(name.to_path_lossy()));
        children
            .filter(|child| files.exists(&child.join("partition")))
            .filter_map(|child| Self::at(files, &child))
            .collect()
    }

    /// The disk that it is a partition of.
    pub(super) fn disk(&self, files: &Files) -> Option<Self> {
        if files.exists(&self.dir.join("partition")) { Self::at(files, self.dir.parent()?) } else { None }
    }

    /// The devices that are made of it.
    pub(super) fn holders(&self, files: &Files) -> Vec<BString> {
        files.names(&self.dir.join("holders"))
    }

    /// The file systems on it, by type, as far as sysfs has them.
    pub(super) fn active(&self, files: &Files, sysfs: &Path) -> Vec<BString> {
        let all = sysfs.join("fs");
        let mut types = files.names(&all);
        types.retain(|fs_type| {
            let of_type = all.join(fs_type.to_path_lossy());
            files.exists(&of_type.join(self.name.to_path_lossy()))
                || (fs_type == "btrfs" && btrfs_with(files, sysfs, self.name.as_bstr()).is_some())
        });
        types
    }

    /// Its path relative to `/dev`. sysfs writes a slash as `!`.
    pub(super) fn path(&self) -> BString {
        self.name.replace("!", "/").into()
    }
}

/// The ID of the btrfs that has a device, by its name in sysfs.
pub(super) fn btrfs_with(files: &Files, sysfs: &Path, device: &BStr) -> Option<BString> {
    let all = sysfs.join("fs/btrfs");
    let mut ids = files.names(&all).into_iter();
    ids.find(|id| files.exists(&all.join(id.to_path_lossy()).join("devices").join(device.to_path_lossy())))
}

/// All devices of the btrfs on this device; only this one if it has no btrfs.
fn with_the_others(files: &Files, sysfs: &Path, device: Device) -> Vec<Device> {
    let Some(id) = btrfs_with(files, sysfs, device.name.as_bstr()) else { return vec![device] };
    let dir = sysfs.join("fs/btrfs").join(id.to_path_lossy()).join("devices");
    files.names(&dir).into_iter().filter_map(|name| Device::at(files, &dir.join(name.to_path_lossy()))).collect()
}

/// The type of a file system that can have more devices than the kernel names.
pub(super) fn has_unnamed_devices(snapshot: &Snapshot, file_system: DeviceNumber) -> Option<BString> {
    let mount = snapshot.mounts.values().flatten().find(|mount| mount.file_system == file_system)?;
    let has_others = ["f2fs", "zfs", "bcachefs"].iter().any(|one| *mount.fs_type == **one);
    has_others.then(|| mount.fs_type.as_bytes().into())
}

/// Where sysfs is mounted in the caller's mount namespace.
pub(super) fn sysfs(snapshot: &Snapshot) -> Option<PathBuf> {
    let here = snapshot.observer_mount_ns.and_then(|home| snapshot.mounts.get(&home))?;
    let is_it = |mount: &&Mount| !mount.hidden && *mount.fs_type == *"sysfs" && *mount.root == *"/";
    here.iter().filter(is_it).find_map(|mount| Some(mount.path()?.to_path().ok()?.to_owned()))
}

/// The device that the source of a mount names, if the source leads to one here.
fn source(mount: &Mount) -> Option<DeviceNumber> {
    let source = mount.source.as_deref().filter(|source| source.first() == Some(&b'/'))?;
    lookup(source.as_bytes()).and_then(|(_, device)| device)
}

/// The mounted file system on a block device: the one with the device's number, or a btrfs with the device among its
/// devices. `None` if no visible mount has one.
///
/// Devices are looked up in sysfs, if the caller's mount list has it, and in the kernel's cache of names.
///
/// # Privileges
///
/// None.
pub fn file_system_on(snapshot: &Snapshot, device: DeviceNumber) -> Option<DeviceNumber> {
    let mut all = snapshot.mounts.values().flatten();
    if all.any(|mount| mount.file_system == device) {
        return Some(device);
    }
    // The next query for its users has the gaps.
    let files = Files::default();
    let found = sysfs(snapshot).and_then(|sysfs| Some((Device::of(&files, &sysfs, device)?, sysfs)));
    let members: FxHashSet<_> = match found {
        Some((device, sysfs)) => {
            with_the_others(&files, &sysfs, device).into_iter().map(|device| device.number).collect()
        }
        None => FxHashSet::from_iter([device]),
    };
    // A file system is mounted many times, from the same device.
    let mut seen = FxHashSet::default();
    let numbered = snapshot.mounts.values().flatten().filter(|mount| mount.file_system.major == 0);
    let mut sourced = numbered.filter(|mount| seen.insert((mount.file_system, mount.source.clone())));
    sourced.find(|mount| source(mount).is_some_and(|source| members.contains(&source))).map(|mount| mount.file_system)
}

/// The devices of a query.
#[derive(Clone, Debug, Default)]
pub(super) struct Devices {
    /// The devices of the file system.
    pub(super) own: Vec<Device>,
    /// Partitions of these, and disks that these are partitions of.
    pub(super) related: Vec<(DeviceRole, Device)>,
    numbers: FxHashSet<DeviceNumber>,
    /// The numbers of those disks.
    disks: FxHashSet<DeviceNumber>,
}

impl Devices {
    pub(super) fn of(files: &Files, snapshot: &Snapshot, query: FileSystemQuery) -> Self {
        let mut numbers: FxHashSet<_> = query.device.into_iter().collect();
        if query.file_system.major != 0 {
            numbers.insert(query.file_system);
        }
        let all = snapshot.mounts.values().flatten();
        let mut own: Vec<Device> = Vec::new();
        let sysfs = sysfs(snapshot);
        if let Some(sysfs) = &sysfs {
            let mut mounts = all.filter(|mount| mount.file_system == query.file_system && *mount.fs_type == *"btrfs");
            let first = query.device.or_else(|| mounts.find_map(source));
            let first = first.or((query.file_system.major != 0).then_some(query.file_system));
            own.extend(first.and_then(|number| Device::of(files, sysfs, number)).into_iter().flat_map(|device| {
                let mut all = with_the_others(files, sysfs, device);
                all.dedup();
                all
            }));
        }
        let mut related = Vec::new();
        for device in &own {
            related.extend(device.partitions(files).into_iter().map(|device| (DeviceRole::Partition, device)));
            related.extend(device.disk(files).map(|device| (DeviceRole::Disk, device)));
        }
        related.retain(|(_, device)| !own.contains(device));
        let partitions = related.iter().filter(|(role, _)| *role == DeviceRole::Partition);
        numbers.extend(own.iter().chain(partitions.map(|(_, device)| device)).map(|device| device.number));
        let disks = related.iter().filter(|(role, _)| *role == DeviceRole::Disk).map(|(_, device)| device.number);
        let disks = disks.filter(|number| !numbers.contains(number)).collect();
        Self { own, related, numbers, disks }
    }

    /// Whether it is a device of the file system, or a partition of one.
    pub(super) fn contains(&self, device: DeviceNumber) -> bool {
        self.numbers.contains(&device)
    }

    /// Whether a device is a disk that one of these is a partition of.
    pub(super) fn is_disk(&self, device: DeviceNumber) -> bool {
        self.disks.contains(&device)
    }

    /// The devices whose use excludes use of the file system's devices.
    pub(super) fn all(&self) -> impl Iterator<Item = &Device> {
        self.own.iter().chain(self.related.iter().map(|(_, device)| device))
    }
}
