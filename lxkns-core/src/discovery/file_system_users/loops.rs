//! Loop devices, and whether they are in use. A loop device in use keeps its backing file, even after `losetup -d`.

use std::path::Path;

use bstr::{BStr, BString, ByteSlice as _};
use rustc_hash::FxHashSet;

use super::devices::Device;
use super::files::Files;
use super::paths::lookup;
use crate::model::{DeviceNumber, FileSystemHolderKind as Kind, Snapshot};
use crate::procfs::ProcRoot;

/// The uses of block devices without a process.
pub(super) struct InUse {
    devices: FxHashSet<DeviceNumber>,
}

impl InUse {
    /// The devices of mounted file systems. sysfs has those of a file system with device numbers of its own.
    pub(super) fn mounted(snapshot: &Snapshot) -> Self {
        let numbers = snapshot.mounts.values().flatten().map(|mount| mount.file_system);
        Self { devices: numbers.filter(|number| number.major != 0).collect() }
    }

    /// Swap, and backing files of other loop devices.
    pub(super) fn add_named(&mut self, files: &Files, proc: &ProcRoot, sysfs: &Path) {
        let backing = loops(files, sysfs).into_iter().map(|(_, path)| path);
        let named = files.swap_paths(proc).into_iter().chain(backing);
        self.devices.extend(named.filter_map(|path| lookup(&path)?.1));
    }

    pub(super) fn loop_device(&self, files: &Files, sysfs: &Path, name: BString, path: BString) -> LoopDevice {
        let device = Device::named(files, sysfs, name.as_bstr());
        let all: Vec<_> =
            device.into_iter().flat_map(|device| [device.partitions(files), vec![device]].concat()).collect();
        let is_used = all.iter().any(|device| {
            self.devices.contains(&device.number)
                || !device.holders(files).is_empty()
                || !device.active(files, sysfs).is_empty()
        });
        let file = sysfs.join("block").join(name.to_path_lossy()).join("loop/autoclear");
        let detaches_itself = files.read(&file).is_some_and(|text| text.trim_ascii() == b"1");
        let numbers = all.into_iter().map(|device| device.number).collect();
        LoopDevice { numbers, kind: Kind::Loop { device: name, path, is_used, detaches_itself } }
    }
}

/// A loop device that is set up.
pub(super) struct LoopDevice {
    /// Its number and those of its partitions.
    pub(super) numbers: Vec<DeviceNumber>,
    pub(super) kind: Kind,
}

/// The loop devices that are set up, each with its backing file as the kernel names it.
pub(super) fn loops(files: &Files, sysfs: &Path) -> Vec<(BString, BString)> {
    let block = sysfs.join("block");
    let is_loop = |name: &BString| name.starts_with(b"loop");
    let backing = |name: BString| {
        let text = files.read(&block.join(name.to_path_lossy()).join("loop/backing_file"))?;
        Some((name, BStr::new(text.strip_suffix(b"\n").unwrap_or(&text)).to_owned()))
    };
    files.names(&block).into_iter().filter(is_loop).filter_map(backing).collect()
}
