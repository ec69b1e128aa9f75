//! What the kernel itself has open: loop devices, swap, interpreters, layers of other file systems, block devices.
//!
//! The kernel names these by paths, as seen by the process that set them up, and by names of devices. A path is looked up in
//! the caller's mounts, in the kernel's cache of names alone. It counts if it leads to the file system there.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use bstr::{BStr, BString, ByteSlice};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

use super::devices::{self, Device, Devices, btrfs_with, file_system_on};
use super::files::Files;
use super::gap;
use super::loops::{InUse, LoopDevice, loops};
use super::paths::{Layer, Leads, Named, Paths, lookup};
use crate::model::relations::{option_values, overlay_layers};
use crate::model::{
    Cause, ControlAccess, ControlFile, DeviceNumber, DeviceRole, FileSystemHolder, FileSystemHolderKind as Kind,
    FileSystemQuery, Gap, KernelFacility, Mount, NamespaceId, Object, Operation, Place, Snapshot, UnreadHolders,
};
use crate::procfs::{ProcRoot, parse};

/// Deadline for the whole search. It takes a hundredth of that, unless a kernel lock is held.
const PATIENCE: Duration = Duration::from_secs(2);
/// Options that name a further device of a file system.
const DEVICE_OPTIONS: [&[u8]; 3] = [b"logdev", b"rtdev", b"journal_path"];

/// A search that runs in a thread of its own.
pub(super) struct Answer {
    found: Option<Receiver<Found>>,
    base: Option<u64>,
}

/// The result of the search.
#[derive(Default)]
pub(super) struct Found {
    pub(super) holders: Vec<FileSystemHolder>,
    /// The device numbers of each loop device among these and of its partitions.
    pub(super) loops: FxHashMap<BString, Vec<DeviceNumber>>,
    pub(super) unread: Vec<UnreadHolders>,
    pub(super) gaps: Vec<Gap>,
}

struct Search {
    files: Files,
    devices: Arc<Devices>,
    /// The related partitions and disks with a mounted file system, and its type.
    mounted_devices: Vec<(DeviceRole, Device, BString)>,
    in_use: InUse,
    home: Option<NamespaceId>,
    paths: Paths,
    /// Whether it is mounted anywhere.
    is_mounted: bool,
    /// The mounts that have layers, in all mount namespaces, with their layers.
    layered: Vec<(NamespaceId, Mount, Vec<MadeOf>)>,
    /// The type of the file system, if it may have further devices that no file names.
    other_devices: Option<BString>,
    found: Found,
}

/// A layer of a mount: a directory, file or device.
struct MadeOf {
    path: BString,
    /// Whether the path, compared as text with the mount points in that mount namespace, leads to the file system.
    is_on_it: bool,
    /// Whether a hidden mount of the file system is at or above the path.
    may_be_on_it: bool,
}

/// Starts the search.
pub(super) fn start(proc: &ProcRoot, snapshot: &Snapshot, query: FileSystemQuery, devices: &Arc<Devices>) -> Answer {
    let is_mounted = snapshot.mounts.values().flatten().any(|mount| mount.file_system == query.file_system);
    let is_layered = |mount: &Mount| {
        ["overlay", "ecryptfs"].iter().any(|fs_type| *mount.fs_type == **fs_type)
            || (*mount.fs_type == *"erofs" && mount.file_system.major == 0)
            || (!devices.own.is_empty() && names_a_device(mount))
    };
    let mut layered = Vec::new();
    for (&id, mounts) in &snapshot.mounts {
        let mut made: Vec<_> = mounts.iter().filter(|mount| is_layered(mount)).cloned().collect();
        made.retain(|mount| mount.file_system != query.file_system);
        if made.is_empty() {
            continue;
        }
        let visible = mounts.iter().filter(|mount| !mount.hidden);
        let points: FxHashMap<&[u8], DeviceNumber> =
            visible.filter_map(|mount| Some((&**mount.path()?, mount.file_system))).collect();
        let is_on_it = |path: &BString| {
            let above = Path::new(path.to_os_str().ok()?).ancestors();
            above.filter_map(|above| points.get(above.as_os_str().as_bytes())).next().copied()
        };
        let hidden = mounts.iter().filter(|mount| mount.hidden && mount.file_system == query.file_system);
        let hidden: FxHashSet<&[u8]> = hidden.filter_map(|mount| Some(&**mount.path()?)).collect();
        let may_be_on_it = |path: &BString| {
            let above = path.to_os_str().ok().map(|path| Path::new(path).ancestors());
            above.into_iter().flatten().any(|above| hidden.contains(above.as_os_str().as_bytes()))
        };
        for mount in made {
            let layers = layers_of(&mount).into_iter();
            let layers = layers.map(|path| MadeOf {
                is_on_it: is_on_it(&path) == Some(query.file_system),
                may_be_on_it: may_be_on_it(&path),
                path,
            });
            layered.push((id, mount.clone(), layers.collect()));
        }
    }
    let mounted_device = |(role, device): &(DeviceRole, Device)| {
        let file_system = file_system_on(snapshot, device.number)?;
        let mut mounts = snapshot.mounts.values().flatten();
        let mount = mounts.find(|mount| mount.file_system == file_system)?;
        Some((*role, device.clone(), mount.fs_type.as_bytes().into()))
    };
    let files = Files::default();
    let device = devices.own.first();
    let base = devices::sysfs(snapshot).and_then(|sysfs| btrfs_base(&files, &sysfs, device?));
    let mut search = Search {
        files,
        devices: Arc::clone(devices),
        in_use: InUse::mounted(snapshot),
        mounted_devices: devices.related.iter().filter_map(mounted_device).collect(),
        home: snapshot.observer_mount_ns,
        paths: Paths::of(snapshot, query.file_system),
        is_mounted,
        layered,
        other_devices: devices::has_unnamed_devices(snapshot, query.file_system),
        found: Found::default(),
    };
    let (send, found) = mpsc::channel();
    let proc = proc.try_clone();
    let find = move || {
        if let Ok(proc) = proc {
            search.all(&proc);
            search.found.gaps = search.files.take_gaps();
            let _ = send.send(search.found);
        }
    };
    let is_started = std::thread::Builder::new().name("lxkns-holders".into()).spawn(find).is_ok();
    Answer { found: is_started.then_some(found), base }
}

impl Answer {
    /// The part of the file system ID that all files of the btrfs on the queried device share.
    pub(super) fn btrfs_base(&self) -> Option<u64> {
        self.base
    }

    pub(super) fn finish(self, gaps: &mut Vec<Gap>) -> Found {
        let found = self.found.and_then(|found| found.recv_timeout(PATIENCE).ok());
        if found.is_none() {
            gap(gaps, Place::Host, Object::Host, Operation::read("what the kernel has open"), Cause::TimedOut);
        }
        let mut found = found.unwrap_or_default();
        gaps.append(&mut found.gaps);
        found
    }
}

impl Search {
    fn all(&mut self, proc: &ProcRoot) {
        self.swaps(proc);
        self.layers(proc);
        self.note_unread(proc);
        if let Some(sysfs) = self.sysfs() {
            self.journals(proc, &sysfs);
            self.loops(proc, &sysfs);
            self.block_devices(&sysfs);
            let zram = |name: &BStr| name.starts_with(b"zram");
            self.by_files(proc, &sysfs.join("block"), &zram, &["backing_dev"], KernelFacility::Zram);
        }
        if let Some(binfmt) = self.mounted("binfmt_misc") {
            self.interpreters(proc, &binfmt);
        }
        if let Some(configfs) = self.mounted("configfs") {
            self.targets(proc, &configfs);
        }
        if let Some(tracefs) = self.mounted("tracefs") {
            self.uprobes(proc, &tracefs);
        }
        self.exports(proc);
        self.ask_for_controls(proc);
    }

    /// The mount point of a kernel file system in the caller's mount namespace.
    fn mounted(&self, fs_type: &str) -> Option<PathBuf> {
        let is_it = |mount: &&Mount| !mount.hidden && *mount.fs_type == *fs_type && *mount.root == *"/";
        let mut mounted = self.paths.here.iter().filter(is_it);
        mounted.find_map(|mount| Some(mount.path()?.to_path().ok()?.to_owned()))
    }

    /// Notes which kernel file systems this kernel has that are not mounted here.
    fn note_unread(&mut self, proc: &ProcRoot) {
        let text = self.files.of_proc(proc, "filesystems");
        let is_known = |fs_type: &str| text.lines().any(|line| line.ends_with_str(format!("\t{fs_type}")));
        for fs_type in ["sysfs", "tracefs", "binfmt_misc", "configfs"] {
            if is_known(fs_type) && self.mounted(fs_type).is_none() {
                self.found.unread.push(UnreadHolders::NotMounted(fs_type));
            }
        }
        self.found.unread.extend(self.other_devices.take().map(UnreadHolders::OtherDevices));
    }

    /// Journals of file systems on other devices: the kernel names such a journal by its device alone. The name of a journal
    /// inside its file system ends with an inode number.
    fn journals(&mut self, proc: &ProcRoot, sysfs: &Path) {
        let journals = self.files.names(&proc.path().join("fs/jbd2"));
        let devices = Arc::clone(&self.devices);
        for device in devices.all().filter(|device| journals.contains(&device.name)) {
            let of = self.files.names(&sysfs.join("fs/ext4")).into_iter().find(|name| {
                let task = self.files.read(&sysfs.join("fs/ext4").join(name.to_path_lossy()).join("journal_task"));
                let task = task.and_then(|text| text.to_str().ok()?.trim().parse::<u32>().ok());
                let mut buffer = Vec::new();
                let comm = task.and_then(|pid| proc.dir().read(format!("{pid}/comm"), &mut buffer).ok());
                comm.and_then(|comm| comm.trim_ascii().strip_prefix(b"jbd2/")) == Some(device.name.as_slice())
            });
            let of = of.map(|name| name.replace("!", "/").into());
            self.add(Kind::Journal { device: device.path(), of }, None, true);
        }
    }

    fn sysfs(&self) -> Option<PathBuf> {
        self.mounted("sysfs")
    }

    fn add(&mut self, kind: Kind, mount_id: Option<u64>, is_certain: bool) {
        self.found.holders.push(FileSystemHolder::new(kind, mount_id, is_certain));
    }

    /// Adds a holder that names a file, if the file is on the file system or may be.
    fn add_path(
        &mut self,
        proc: &ProcRoot,
        path: &BStr,
        named: Named,
        is_certain: bool,
        kind: impl FnOnce(BString) -> Kind,
    ) {
        match self.paths.leads(proc, path, named) {
            Leads::OnIt { mounts, is_certain: leads_there } => {
                let (mount_id, candidates) = match mounts[..] {
                    [one] if leads_there => (Some(one), Vec::new()),
                    _ => (None, mounts),
                };
                let is_certain = is_certain && leads_there;
                let holder = FileSystemHolder::new(kind(path.to_owned()), mount_id, is_certain);
                self.found.holders.push(FileSystemHolder { candidates, ..holder });
            }
            Leads::Perhaps => self.add(kind(path.to_owned()), None, false),
            Leads::Elsewhere => {}
        }
    }

    /// Whether a path leads to a device whose use excludes that of the file system's device.
    fn is_device(&self, path: &[u8]) -> bool {
        lookup(path).and_then(|(_, device)| device).is_some_and(|device| self.excludes(device))
    }

    fn swaps(&mut self, proc: &ProcRoot) {
        for path in self.files.swap_paths(proc) {
            let device = lookup(&path).and_then(|(_, device)| device);
            match device {
                Some(device) if self.excludes(device) => self.add(Kind::Swap { path }, None, true),
                Some(_) => {}
                None => self.add_path(proc, path.as_bstr(), Named::Now, true, |path| Kind::Swap { path }),
            }
        }
    }

    fn loops(&mut self, proc: &ProcRoot, sysfs: &Path) {
        self.in_use.add_named(&self.files, proc, sysfs);
        for (name, path) in loops(&self.files, sysfs) {
            let before = self.found.holders.len();
            if self.is_device(&path) {
                self.add(unused(name, path), None, true);
            } else {
                self.add_path(proc, path.as_bstr(), Named::Now, true, |path| unused(name, path));
            }
            // This is read only for loop devices whose file is on the file system.
            let Some(holder) = self.found.holders.get_mut(before) else { continue };
            if let Kind::Loop { device, path, .. } = &holder.kind {
                let LoopDevice { numbers, kind } =
                    self.in_use.loop_device(&self.files, sysfs, device.clone(), path.clone());
                self.found.loops.insert(device.clone(), numbers);
                holder.kind = kind;
            }
        }
    }

    /// Whether the use of a device excludes that of the file system's device.
    fn excludes(&self, device: DeviceNumber) -> bool {
        self.devices.all().any(|known| known.number == device)
    }

    /// Devices on top of the file system's devices, of their partitions or of their disks, and file systems that the kernel
    /// has active on the file system's devices.
    fn block_devices(&mut self, sysfs: &Path) {
        let devices = Arc::clone(&self.devices);
        for name in devices.all().flat_map(|device| device.holders(&self.files)).collect::<Vec<_>>() {
            self.add(Kind::BlockDevice { name }, None, true);
        }
        // If it is mounted, this is known already.
        if !self.is_mounted {
            for fs_type in devices.own.iter().flat_map(|device| device.active(&self.files, sysfs)).collect::<Vec<_>>() {
                self.add(Kind::Active { fs_type }, None, true);
            }
        }
        for (role, device) in &devices.related {
            for fs_type in device.active(&self.files, sysfs) {
                self.mounted_devices.push((*role, device.clone(), fs_type));
            }
        }
        for (role, device, fs_type) in std::mem::take(&mut self.mounted_devices) {
            self.add(Kind::DeviceFileSystem { role, device: device.path(), fs_type }, None, true);
        }
    }

    /// The file systems that have a layer on this one, once each however often they are mounted, with the first layer that is
    /// certain.
    fn layers(&mut self, proc: &ProcRoot) {
        let mut made: BTreeMap<DeviceNumber, (bool, Option<u64>, Kind)> = BTreeMap::new();
        // File systems with a layer that was not found in one mount namespace, and those with a layer elsewhere in another.
        let (mut lost, mut found) = (BTreeMap::new(), FxHashSet::default());
        for (namespace, mount, layers) in std::mem::take(&mut self.layered) {
            // Relative paths add nothing to absolute ones.
            let has_absolute = layers.iter().any(|layer| layer.path.starts_with(b"/"));
            for MadeOf { path, is_on_it, may_be_on_it } in layers {
                if has_absolute && !path.starts_with(b"/") {
                    continue;
                }
                let here = (Some(namespace) == self.home).then(|| self.paths.layer(&path));
                let is_device = self.is_device(&path);
                // An overlay clones the mount of each layer. Other file systems keep the mount that the path names.
                let keeps_mount = *mount.fs_type != *"overlay";
                let (is_certain, kept) = match here {
                    _ if is_device => (true, None),
                    Some(Layer::OnIt(id)) => (true, keeps_mount.then_some(id)),
                    Some(Layer::Elsewhere) if self.is_mounted && !may_be_on_it => {
                        found.insert(mount.file_system);
                        continue;
                    }
                    None if is_on_it => (true, None),
                    None if self.is_mounted && !may_be_on_it => {
                        if self.paths.is_there(namespace, proc, &path) == Some(false) {
                            lost.entry(mount.file_system).or_insert((namespace, mount.clone(), path));
                        } else {
                            found.insert(mount.file_system);
                        }
                        continue;
                    }
                    // A layer outlives the mount that its path named, and the path then leads elsewhere.
                    _ => (false, None),
                };
                let known = made.get_mut(&mount.file_system);
                if known.as_ref().is_some_and(|&&mut (is_known, ..)| is_known || !is_certain) {
                    continue;
                }
                let kind = layer(namespace, &mount, path);
                made.insert(mount.file_system, (is_certain, kept, kind));
            }
        }
        for (file_system, (namespace, mount, path)) in lost {
            if !found.contains(&file_system) {
                made.entry(file_system).or_insert_with(|| (false, None, layer(namespace, &mount, path)));
            }
        }
        for (is_certain, kept, kind) in made.into_values() {
            self.add(kind, kept, is_certain);
        }
    }

    fn interpreters(&mut self, proc: &ProcRoot, binfmt: &Path) {
        for name in self.files.names(binfmt) {
            let Some(text) = self.files.read(&binfmt.join(name.to_path_lossy())) else { continue };
            let field = |field: &[u8]| text.lines().find_map(|line| line.strip_prefix(field)).map(BStr::new);
            let (Some(path), Some(flags)) = (field(b"interpreter "), field(b"flags: ")) else { continue };
            if flags.contains(&b'F') {
                self.add_path(proc, path, Named::Once, false, |path| Kind::BinfmtMisc { name, path });
            }
        }
    }

    /// Entries of a directory that have a file with the path of their open file.
    fn by_files(
        &mut self,
        proc: &ProcRoot,
        dir: &Path,
        is_wanted: &dyn Fn(&BStr) -> bool,
        files: &[&str],
        facility: KernelFacility,
    ) {
        let before = self.found.holders.len();
        for name in self.files.names(dir).into_iter().filter(|name| is_wanted(name.as_bstr())) {
            for file in files {
                let Some(text) = self.files.read(&dir.join(name.to_path_lossy()).join(file)) else { continue };
                let path = text.trim_ascii();
                if path.first() != Some(&b'/') {
                    continue;
                }
                if self.is_device(path) {
                    self.add(Kind::Facility { facility, name: name.clone(), path: path.into() }, None, true);
                } else {
                    self.add_path(proc, path.as_bstr(), Named::Once, true, |path| Kind::Facility {
                        facility,
                        name: name.clone(),
                        path,
                    });
                }
            }
        }
        // Such a holder is released by removing its entry from this directory.
        for holder in &mut self.found.holders[before..] {
            holder.control = Some(control(dir, ControlAccess::Write));
        }
    }

    fn targets(&mut self, proc: &ProcRoot, configfs: &Path) {
        let every = |_: &BStr| true;
        let below = |files: &Files, dir: PathBuf| -> Vec<PathBuf> {
            files.names(&dir).into_iter().map(|name| dir.join(name.to_path_lossy())).collect()
        };
        for backstore in below(&self.files, configfs.join("target/core")) {
            self.by_files(proc, &backstore, &every, &["udev_path"], KernelFacility::ScsiTarget);
        }
        for subsystem in below(&self.files, configfs.join("nvmet/subsystems")) {
            self.by_files(proc, &subsystem.join("namespaces"), &every, &["device_path"], KernelFacility::NvmeTarget);
        }
        let gadgets = below(&self.files, configfs.join("usb_gadget")).into_iter();
        let functions: Vec<_> = gadgets.flat_map(|gadget| below(&self.files, gadget.join("functions"))).collect();
        for function in functions {
            let is_lun = |name: &BStr| name.starts_with(b"lun.");
            self.by_files(proc, &function, &is_lun, &["file"], KernelFacility::UsbGadget);
        }
    }

    /// `p:GROUP/EVENT PATH:OFFSET ...`
    fn uprobes(&mut self, proc: &ProcRoot, tracefs: &Path) {
        let Some(text) = self.files.read(&tracefs.join("uprobe_events")) else { return };
        for line in text.lines() {
            let mut fields = line.splitn_str(2, " ");
            let (Some(event), Some(rest)) = (fields.next(), fields.next()) else { continue };
            let name = event.split_once_str(":").map_or(event, |(_, name)| name);
            let Some(end) = rest.rfind(b":0x") else { continue };
            let facility = KernelFacility::Uprobe;
            self.add_path(proc, rest[..end].as_bstr(), Named::Once, true, |path| Kind::Facility {
                facility,
                name: name.into(),
                path,
            });
        }
    }

    /// Checks for each holder whether the caller may open the file that releases it.
    fn ask_for_controls(&mut self, proc: &ProcRoot) {
        use ControlAccess::{Read, Write};
        let device = |name: &BString| Path::new("/dev").join(name.replace("!", "/").to_path_lossy());
        let file_of = |kind: &Kind| match kind {
            Kind::Loop { device: name, .. } => Some((device(name), Read)),
            Kind::Swap { path } => Some((path.to_path().ok()?.to_owned(), Write)),
            Kind::BinfmtMisc { name, .. } => Some((self.mounted("binfmt_misc")?.join(name.to_path().ok()?), Write)),
            Kind::BlockDevice { name } if name.starts_with(b"dm-") => Some(("/dev/mapper/control".into(), Write)),
            Kind::BlockDevice { name } => Some((device(name), Read)),
            Kind::Facility { facility, name, .. } => match facility {
                KernelFacility::Zram => {
                    Some((self.sysfs()?.join("block").join(name.to_path().ok()?).join("reset"), Write))
                }
                KernelFacility::Uprobe => Some((self.mounted("tracefs")?.join("uprobe_events"), Write)),
                KernelFacility::NfsExport => Some((proc.path().join("net/rpc/nfsd.export/flush"), Write)),
                _ => None,
            },
            _ => None,
        };
        let controls = self.found.holders.iter().map(|holder| {
            let own = file_of(&holder.kind).map(|(path, access)| control(&path, access));
            let mut file = own.or_else(|| holder.control.clone())?;
            file.is_permitted = is_permitted(&file);
            Some(file)
        });
        let controls: Vec<_> = controls.collect();
        for (holder, control) in self.found.holders.iter_mut().zip(controls) {
            holder.control = control;
        }
    }

    fn exports(&mut self, proc: &ProcRoot) {
        let text = self.files.of_proc(proc, "fs/nfsd/exports");
        for line in text.lines().filter(|line| line.first() == Some(&b'/')) {
            let path = parse::mountinfo::unescape_octal(line.split_str(" ").next().unwrap_or_default()).into_owned();
            let facility = KernelFacility::NfsExport;
            self.add_path(proc, path.as_bstr(), Named::Once, true, |path| Kind::Facility {
                facility,
                name: BString::default(),
                path,
            });
        }
    }
}

/// A control file; whether the caller may open it is checked later.
fn control(path: &Path, access: ControlAccess) -> ControlFile {
    ControlFile { path: path.as_os_str().as_bytes().into(), access, is_permitted: None }
}

/// Whether the caller's effective IDs and capabilities allow it to open a file; `None` if the kernel gives any other error.
fn is_permitted(file: &ControlFile) -> Option<bool> {
    let access = match file.access {
        ControlAccess::Read => Access::READ_OK,
        ControlAccess::Write => Access::WRITE_OK,
    };
    match accessat(CWD, &**file.path, access, AtFlags::EACCESS) {
        Ok(()) => Some(true),
        Err(Errno::ACCESS | Errno::PERM) => Some(false),
        Err(_) => None,
    }
}

fn layer(mount_ns: NamespaceId, mount: &Mount, path: BString) -> Kind {
    Kind::Layer {
        fs_type: mount.fs_type.as_bytes().into(),
        file_system: mount.file_system,
        mount_ns,
        mount_id: mount.id,
        point: mount.path().map(BStr::to_owned),
        path,
    }
}

fn unused(device: BString, path: BString) -> Kind {
    Kind::Loop { device, path, is_used: false, detaches_itself: false }
}

fn names_a_device(mount: &Mount) -> bool {
    option_values(mount, &DEVICE_OPTIONS).next().is_some()
}

/// The layers of a mount, by the paths in its options.
fn layers_of(mount: &Mount) -> Vec<BString> {
    let mut layers: Vec<BString> = option_values(mount, &DEVICE_OPTIONS).map(|(_, path)| path).collect();
    if *mount.fs_type == *"overlay" {
        layers.extend(overlay_layers(mount).map(|(_, path)| path));
    } else {
        layers.extend(mount.source.as_ref().map(|source| BString::from(source.as_bytes())));
    }
    layers.retain(|layer| !layer.is_empty());
    layers.sort_unstable();
    layers.dedup();
    layers
}

/// The part of the file system ID that all files of the btrfs on a device share, from the ID of the btrfs
/// (`struct btrfs_super_block`, `statfs(2)`).
fn btrfs_base(files: &Files, sysfs: &Path, device: &Device) -> Option<u64> {
    let id = btrfs_with(files, sysfs, device.name.as_bstr())?;
    let digits: String = id.chars().filter(|&digit| digit != '-').collect();
    let id = u128::from_str_radix(&digits, 16).ok()?;
    let word = |number: u32| (id >> (96 - 32 * number)) as u32;
    let (low, high) = (word(0) ^ word(2), word(1) ^ word(3));
    Some(u64::from(high) << 32 | u64::from(low))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_are_named_by_options_or_by_the_source() {
        let device = DeviceNumber { major: 0, minor: 9 };
        let text = |text: &str| Mount::new(1, 1, device, text, None).fs_type;
        let mut mount = Mount::new(1, 1, device, "overlay", Some("/m"));
        mount.super_options = Some(text(r"rw,lowerdir=/l1:/l\0542,upperdir=/up,workdir=/work,xino=off"));
        assert_eq!(layers_of(&mount), ["/l,2", "/l1", "/up", "/work"]);
        let mut mount = Mount::new(1, 1, device, "erofs", Some("/m"));
        mount.source = Some(text("/images/a.erofs"));
        assert_eq!(layers_of(&mount), ["/images/a.erofs"]);
        mount.super_options = Some(text("rw,logdev=/dev/x"));
        assert!(names_a_device(&mount));
    }
}
