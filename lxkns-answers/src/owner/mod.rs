//! Whose a file is: as the host has it, as its mount shows it, and as each user namespace that can see it has it.
//!
//! [`Sights`] are the places where the file can be seen. What a [`Reading`] says must be read through them, and then an
//! [`Owner`] is the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::rc::Rc;

use bstr::{BStr, BString, ByteSlice as _};
use lxkns_model::relations::{self, is_at_or_below, mount_at};
use lxkns_model::{
    DiscoveryOptions, File, IdMapping, Ids, Mount, MountIdMaps, NamespaceId, NamespaceType, Pid, Place, Places,
    Process, Snapshot, Uid, passwd,
};
use rustc_hash::FxHashMap;

use crate::names;
use crate::users::Users;

mod answer;
mod asked;
#[cfg(test)]
mod tests;
mod words;

pub use self::answer::{Answer, CapabilitiesAnswer, FileSystemAnswer, IdsAnswer, MountAnswer, ViewAnswer};
pub use self::asked::Asked;

/// The ID that the kernel shows for each that is not mapped.
const OVERFLOW: u32 = 65_534;

/// So many mounts of one file system are looked at in one mount namespace.
const MOST: usize = 16;

/// What a snapshot must have for this.
pub fn options() -> DiscoveryOptions {
    let mut options = crate::busy::options();
    options.namespace_details = true;
    options.without_self = true;
    options
}

/// What else could be seen of a file, if more of these could be read.
pub fn places() -> Places {
    [Place::Processes, Place::Tasks, Place::BindMounts, Place::ProcesslessMounts, Place::Owners].into_iter().collect()
}

/// Where a file can be seen: a mount in a mount namespace.
#[derive(Clone, Debug)]
pub struct Sight<'a> {
    /// The mount namespace.
    pub mount_ns: NamespaceId,
    /// The mount.
    pub mount: &'a Mount,
    /// The path of the file, from the root of the mount namespace.
    pub path: BString,
}

impl Sight<'_> {
    /// What identifies the mount.
    pub fn key(&self) -> (NamespaceId, u64) {
        (self.mount_ns, self.mount.id)
    }

    /// Whether the mount shows other IDs than the file system has.
    pub fn is_id_mapped(&self) -> bool {
        has_option(self.mount, "idmapped")
    }
}

fn has_option(mount: &Mount, name: &str) -> bool {
    mount.options.split(|&byte| byte == b',').any(|option| option == name.as_bytes())
}

/// The places where a file can be seen.
#[derive(Clone, Debug)]
pub struct Sights<'a> {
    /// The mount through which it was found; `None` where that is not in the list of mounts.
    pub own: Option<Sight<'a>>,
    /// All of them, that one included: of the mounts in a mount namespace that show the same IDs, one.
    pub all: Vec<Sight<'a>>,
    /// The user namespaces of the processes in each mount namespace, each with its first process; and the one that owns it.
    users: FxHashMap<NamespaceId, BTreeMap<NamespaceId, Option<Pid>>>,
    /// Whether a mount namespace has more mounts of the file system than were looked at.
    is_cut: bool,
}

impl<'a> Sights<'a> {
    /// Where a file that was found in this mount namespace can be seen.
    pub fn of(snapshot: &'a Snapshot, mount_ns: Option<NamespaceId>, file: &File) -> Self {
        let mounts = mount_ns.and_then(|id| snapshot.mounts.get(&id));
        let own = mounts.and_then(|mounts| match file.mount_id {
            Some(id) => mounts.iter().find(|mount| mount.id == id),
            None => mount_at(mounts, &file.path),
        });
        let own = mount_ns.zip(own).map(|(mount_ns, mount)| Sight { mount_ns, mount, path: file.path.clone() });
        let inside = own.as_ref().and_then(|own| path_on_file_system(own.mount, &file.path));
        let mut sights = Self { all: own.iter().cloned().collect(), own, users: FxHashMap::default(), is_cut: false };
        if let (Some(own), Some(inside)) = (sights.own.clone(), inside) {
            for (&id, mounts) in &snapshot.mounts {
                sights.add(id, mounts, &own, &inside);
            }
        }
        sights.add_users(snapshot);
        sights
    }

    fn add(&mut self, id: NamespaceId, mounts: &'a [Mount], own: &Sight<'_>, inside: &[u8]) {
        let mut found: Vec<Sight<'a>> = self.all.iter().filter(|sight| sight.mount_ns == id).cloned().collect();
        let candidates = mounts.iter().filter(|mount| mount.file_system == own.mount.file_system && !mount.hidden);
        let mut seen = 0;
        for mount in candidates {
            let Some(path) = path_in(mount, inside) else { continue };
            seen += 1;
            if seen > MOST {
                self.is_cut = true;
                break;
            }
            // Something else is mounted on the way.
            let is_covered = mount_at(mounts, &path).is_none_or(|at| at.id != mount.id);
            let is_like = |sight: &Sight<'_>| {
                sight.mount.id == mount.id
                    || !has_option(mount, "idmapped")
                        && !sight.is_id_mapped()
                        && has_option(mount, "nosuid") == has_option(sight.mount, "nosuid")
            };
            if !is_covered && !found.iter().any(is_like) {
                let sight = Sight { mount_ns: id, mount, path };
                found.push(sight.clone());
                self.all.push(sight);
            }
        }
    }

    fn add_users(&mut self, snapshot: &Snapshot) {
        for process in snapshot.processes.values() {
            for links in process.tasks.iter().map(|task| &task.namespaces).chain([&process.namespaces]) {
                let Some((mount_ns, user)) = links.get(NamespaceType::Mnt).zip(links.get(NamespaceType::User)) else {
                    continue;
                };
                let first = self.users.entry(mount_ns).or_default().entry(user).or_default();
                *first = first.or(Some(process.pid));
            }
        }
        for sight in &self.all {
            let owner = snapshot.namespaces.get(&sight.mount_ns).and_then(|namespace| namespace.owner.known());
            if let Some(owner) = owner {
                self.users.entry(sight.mount_ns).or_default().entry(owner).or_default();
            }
        }
    }

    /// The process through whose root directory a mount namespace can be looked into: its most senior one.
    pub fn process_in(&self, snapshot: &Snapshot, mount_ns: NamespaceId) -> Option<Pid> {
        let leader = snapshot.namespaces.get(&mount_ns).and_then(|namespace| namespace.leaders.first().copied());
        leader.or_else(|| self.users.get(&mount_ns)?.values().find_map(|pid| *pid))
    }

    /// The places through which the IDs of the file must be read: all ID-mapped mounts, and one that is not, where the file
    /// was found through an ID-mapped one.
    pub fn to_read(&self) -> Vec<&Sight<'a>> {
        let own = self.own.as_ref().map(Sight::key);
        let is_known = self.own.as_ref().is_some_and(|own| !own.is_id_mapped());
        let mut plain = self.all.iter().filter(|sight| !is_known && !sight.is_id_mapped()).take(MOST);
        let mapped = self.all.iter().filter(|sight| sight.is_id_mapped() && Some(sight.key()) != own);
        plain.by_ref().chain(mapped).collect()
    }
}

/// The path of a file on its file system, by its path in a mount namespace.
fn path_on_file_system(mount: &Mount, path: &[u8]) -> Option<BString> {
    let point = mount.path()?;
    is_at_or_below(path, point).then(|| join(&mount.root, &path[point.trim_end_with(|byte| byte == '/').len()..]))
}

/// The path in a mount namespace of a file on a file system, through a mount.
fn path_in(mount: &Mount, inside: &[u8]) -> Option<BString> {
    let point = mount.path()?;
    is_at_or_below(inside, &mount.root)
        .then(|| join(point, &inside[mount.root.trim_end_with(|byte| byte == '/').len()..]))
}

fn join(above: &[u8], below: &[u8]) -> BString {
    let mut path = BString::from(above.trim_end_with(|byte| byte == '/'));
    path.extend_from_slice(below);
    if path.is_empty() { "/".into() } else { path }
}

/// The names of users and groups in a mount namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    users: Option<Users>,
    groups: Option<FxHashMap<u32, BString>>,
}

impl Names {
    /// Reads the texts of `passwd(5)` and `group(5)`; `None` where one was not readable.
    pub fn parse(users: Option<&[u8]>, groups: Option<&[u8]>) -> Self {
        let groups = groups.map(|text| {
            let mut names = FxHashMap::default();
            for group in passwd::groups(text) {
                names.entry(group.gid).or_insert_with(|| group.name.to_owned());
            }
            names
        });
        Self { users: users.map(Users::parse), groups }
    }

    fn user(&self, uid: u32) -> Option<BString> {
        self.users.as_ref()?.name(Uid(uid)).map(ToOwned::to_owned)
    }

    fn group(&self, gid: u32) -> Option<BString> {
        self.groups.as_ref()?.get(&gid).cloned()
    }
}

/// What was read of a file through the places where it can be seen.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// The file, through the mounts that were asked for: see [`Sights::to_read`].
    pub files: BTreeMap<(NamespaceId, u64), File>,
    /// The ID maps of the mount that it was found through, where that is ID-mapped and the kernel tells.
    pub maps: Option<MountIdMaps>,
    /// The names of users and groups, by mount namespace.
    pub names: BTreeMap<NamespaceId, Rc<Names>>,
    /// What could not be read, in sentences.
    pub gaps: Vec<String>,
}

/// What it takes to read a file through the places where it can be seen. None of it may wait long.
pub trait Files {
    /// The file at a path below the root directory of a process; of the caller's own where there is none. A symbolic link at
    /// the end is the file.
    ///
    /// # Errors
    ///
    /// The kernel's, or in words.
    fn file(&mut self, process: Option<&Process>, path: &BStr) -> io::Result<File>;

    /// The names of users and groups, likewise.
    ///
    /// # Errors
    ///
    /// Likewise: neither of the two files is readable.
    fn names(&mut self, process: Option<&Process>) -> io::Result<Rc<Names>>;
}

impl Reading {
    /// Reads what there is to read of a file. The paths of `home` lead the caller where they say.
    pub fn of(snapshot: &Snapshot, sights: &Sights<'_>, home: Option<NamespaceId>, files: &mut dyn Files) -> Self {
        let mut reading = Self::default();
        let process = |mount_ns: NamespaceId| match sights.process_in(snapshot, mount_ns) {
            _ if Some(mount_ns) == home => Ok(None),
            Some(pid) => Ok(snapshot.processes.get(&pid)),
            None => Err(io::Error::other("no process is in it")),
        };
        let mut failed = Failed::default();
        let mut plain_is_known = false;
        for sight in sights.to_read() {
            // Of those that show the same IDs, one.
            if plain_is_known && !sight.is_id_mapped() {
                continue;
            }
            match process(sight.mount_ns).and_then(|process| files.file(process, sight.path.as_bstr())) {
                Ok(file) => {
                    plain_is_known |= !sight.is_id_mapped();
                    reading.files.insert(sight.key(), file);
                }
                Err(error) if sight.is_id_mapped() => {
                    failed.add(error, || names::namespace(snapshot, sight.mount_ns));
                }
                // Another one can tell.
                Err(_) => {}
            }
        }
        reading.gaps.extend(failed.line("the IDs that ID-mapped mounts show"));
        let mut failed = Failed::default();
        let home_of_names = snapshot.observer_mount_ns;
        for mount_ns in sights.all.iter().map(|sight| sight.mount_ns).chain(home_of_names).collect::<BTreeSet<_>>() {
            match process(mount_ns).and_then(|process| files.names(process)) {
                Ok(names) => drop(reading.names.insert(mount_ns, names)),
                // Many containers have no such file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failed.add(error, || names::namespace(snapshot, mount_ns)),
            }
        }
        reading.gaps.extend(failed.line("the names of users and groups"));
        reading
    }
}

/// What could not be read in some mount namespaces.
#[derive(Default)]
struct Failed {
    count: usize,
    first: Option<(String, io::Error)>,
}

impl Failed {
    fn add(&mut self, error: io::Error, name: impl FnOnce() -> String) {
        self.count += 1;
        self.first.get_or_insert_with(|| (name(), error));
    }

    fn line(self, what: &str) -> Option<String> {
        let (first, error) = self.first?;
        let others = if self.count > 1 { format!(" and {} more", self.count - 1) } else { String::new() };
        Some(format!("{what} in {first}{others} not readable: {}", crate::text::errors::named(&error)))
    }
}

/// An ID in one user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Id {
    /// This one.
    Known(u32),
    /// None: it is not mapped, and the kernel shows 65534.
    NotMapped,
    /// 65534, or one that is not mapped.
    Overflow,
    /// It could not be read.
    Unknown,
}

impl Id {
    /// It as a number, where it is known.
    pub fn known(self) -> Option<u32> {
        if let Self::Known(id) = self { Some(id) } else { None }
    }

    /// As a user namespace has it, with its map.
    fn inside(self, map: Option<&[IdMapping]>) -> Self {
        match (self, map) {
            (Self::Known(id), Some(map)) => {
                map.iter().find_map(|mapping| mapping.to_inside(id)).map_or(Self::NotMapped, Self::Known)
            }
            (Self::Known(_), None) => Self::Unknown,
            (other, _) => other,
        }
    }
}

/// The UID and the GID of a file.
pub type Pair = [Id; 2];

/// How a user namespace has a file.
#[derive(Clone, Debug)]
pub struct View<'a> {
    /// The user namespace.
    pub user_ns: NamespaceId,
    /// The first process that is in it and in the mount namespace; `None` where it owns the mount namespace alone.
    pub process: Option<Pid>,
    /// Where it sees the file: one of these.
    pub sight: &'a Sight<'a>,
    /// How many mount namespaces show it to the user namespace in this way.
    pub mount_namespaces: usize,
    /// The UID and the GID.
    pub ids: Pair,
    /// The names of both in the mount namespace.
    pub names: [Option<BString>; 2],
    /// Whether running it takes effect as its owner or group (set-user-ID, set-group-ID); `None` where that is not known.
    pub set_id: Option<bool>,
    /// Whether its capabilities count there; `None` where not known.
    pub capabilities: Option<bool>,
}

/// Whose a file is.
#[derive(Debug)]
pub struct Owner<'a> {
    snapshot: &'a Snapshot,
    /// The file.
    pub file: &'a File,
    /// Where it can be seen.
    pub sights: &'a Sights<'a>,
    reading: &'a Reading,
    /// As the file system has it, in the observer's user namespace.
    raw: Pair,
    /// As each user namespace has it.
    pub views: Vec<View<'a>>,
}

impl<'a> Owner<'a> {
    /// Whose a file is.
    pub fn new(snapshot: &'a Snapshot, file: &'a File, sights: &'a Sights<'a>, reading: &'a Reading) -> Self {
        let mut owner = Self { snapshot, file, sights, reading, raw: [Id::Unknown; 2], views: Vec::new() };
        owner.raw = owner.find_raw();
        owner.views = owner.find_views();
        owner
    }

    fn is_initial(&self) -> bool {
        self.snapshot.observer.as_ref().is_none_or(|observer| observer.is_in_initial_user_ns() == Some(true))
    }

    /// An ID as the kernel shows it to the observer.
    fn shown(&self, id: u32, is_id_mapped: bool) -> Id {
        if id == OVERFLOW && (is_id_mapped || !self.is_initial()) { Id::Overflow } else { Id::Known(id) }
    }

    fn shown_pair(&self, file: &File, is_id_mapped: bool) -> Pair {
        [self.shown(file.uid, is_id_mapped), self.shown(file.gid, is_id_mapped)]
    }

    fn find_raw(&self) -> Pair {
        let own = self.sights.own.as_ref();
        if own.is_some_and(|own| !own.is_id_mapped()) {
            return self.shown_pair(self.file, false);
        }
        let plain = self.sights.all.iter().filter(|sight| !sight.is_id_mapped());
        if let Some(file) =
            plain.filter_map(|sight| self.reading.files.get(&sight.key())).find(|file| file.is_same(self.file))
        {
            return self.shown_pair(file, false);
        }
        let Some(maps) = own.and(self.reading.maps.as_ref()) else { return [Id::Unknown; 2] };
        let back = |id: u32, map: &[IdMapping]| {
            let found = map.iter().find_map(|it| {
                id.checked_sub(it.outside).filter(|&at| at < it.count).and_then(|at| it.inside.checked_add(at))
            });
            found.map_or(Id::Unknown, Id::Known)
        };
        [back(self.file.uid, &maps.uids), back(self.file.gid, &maps.gids)]
    }

    /// As the host has it, in the initial user namespace.
    pub fn on_host(&self) -> Pair {
        if self.is_initial() { self.raw } else { [Id::Unknown; 2] }
    }

    /// Whether the observer's user namespace is the initial one.
    pub fn sees_host(&self) -> bool {
        self.is_initial()
    }

    /// As a mount shows it, in the observer's user namespace.
    pub fn through(&self, sight: &Sight<'_>) -> Pair {
        let is_own = self.sights.own.as_ref().is_some_and(|own| own.key() == sight.key());
        if !sight.is_id_mapped() {
            return self.raw;
        }
        let file = if is_own { Some(self.file) } else { self.reading.files.get(&sight.key()) };
        let Some(file) = file.filter(|file| file.is_same(self.file)) else { return [Id::Unknown; 2] };
        let [uid, gid] = self.shown_pair(file, true);
        let maps = self.reading.maps.as_ref().filter(|_| is_own);
        // What has an ID that the map has not is shown as 65534.
        let sure = |id: Id, raw: Id, map: Option<&Vec<IdMapping>>| match (id, raw, map) {
            (Id::Overflow, Id::Known(raw), Some(map))
                if !map.iter().any(|it| (it.inside..=it.inside.saturating_add(it.count - 1)).contains(&raw)) =>
            {
                Id::NotMapped
            }
            (id, ..) => id,
        };
        [sure(uid, self.raw[0], maps.map(|maps| &maps.uids)), sure(gid, self.raw[1], maps.map(|maps| &maps.gids))]
    }

    /// As it was found, in the observer's user namespace.
    pub fn as_found(&self) -> Pair {
        match &self.sights.own {
            Some(own) if own.is_id_mapped() => self.through(own),
            _ => self.shown_pair(self.file, self.sights.own.is_none()),
        }
    }

    fn inside(&self, user_ns: NamespaceId, ids: Pair) -> Pair {
        let observer = self.snapshot.observer.as_ref().and_then(|observer| observer.user_ns);
        if observer == Some(user_ns) {
            return ids;
        }
        let namespace = self.snapshot.namespaces.get(&user_ns);
        let map = |map: Option<&'a Vec<IdMapping>>| map.map(Vec::as_slice);
        let uids = map(namespace.and_then(|namespace| namespace.uid_map.as_ref()));
        let gids = map(namespace.and_then(|namespace| namespace.gid_map.as_ref()));
        if namespace.is_some_and(|namespace| namespace.initial) && self.is_initial() {
            return ids;
        }
        [ids[0].inside(uids), ids[1].inside(gids)]
    }

    fn find_views(&self) -> Vec<View<'a>> {
        type Key = (bool, NamespaceId, Pair, [Option<BString>; 2], Option<bool>);
        let mut views: BTreeMap<Key, View<'a>> = BTreeMap::new();
        for sight in &self.sights.all {
            let ids = self.through(sight);
            let names = self.reading.names.get(&sight.mount_ns);
            for (&user_ns, &process) in self.sights.users.get(&sight.mount_ns).into_iter().flatten() {
                let ids = self.inside(user_ns, ids);
                let names = [
                    names.zip(ids[0].known()).and_then(|(names, uid)| names.user(uid)),
                    names.zip(ids[1].known()).and_then(|(names, gid)| names.group(gid)),
                ];
                let set_id = self.set_id(sight, ids);
                let is_initial = self.snapshot.namespaces.get(&user_ns).is_some_and(|namespace| namespace.initial);
                let key = (!is_initial, user_ns, ids, names.clone(), set_id);
                let capabilities = self.capabilities_count(user_ns, sight);
                let is_own = self.sights.own.as_ref().is_some_and(|own| own.key() == sight.key());
                let view = View { user_ns, process, sight, mount_namespaces: 0, ids, names, set_id, capabilities };
                let there = views.entry(key).or_insert_with(|| view.clone());
                let count = there.mount_namespaces + 1;
                if is_own || there.process.is_none() && process.is_some() {
                    *there = view;
                }
                there.mount_namespaces = count;
            }
        }
        views.into_values().collect()
    }

    /// Whether running it takes effect as its owner or group, as far as its mount and the maps go.
    fn set_id(&self, sight: &Sight<'_>, [uid, gid]: Pair) -> Option<bool> {
        if !self.has_set_id() {
            return Some(false);
        }
        // The kernel wants both to be mapped.
        match (has_option(sight.mount, "nosuid"), uid, gid) {
            (true, ..) | (_, Id::NotMapped, _) | (_, _, Id::NotMapped) => Some(false),
            (_, Id::Known(_), Id::Known(_)) => Some(true),
            _ => None,
        }
    }

    /// Whether it is a program with the set-user-ID or set-group-ID bit.
    pub fn has_set_id(&self) -> bool {
        let mode = self.file.mode;
        self.file.is_regular() && (mode & 0o4000 != 0 || mode & 0o2010 == 0o2010)
    }

    fn capabilities_count(&self, user_ns: NamespaceId, sight: &Sight<'_>) -> Option<bool> {
        let Some(capabilities) = self.file.capabilities? else { return Some(false) };
        if has_option(sight.mount, "nosuid") {
            return Some(false);
        }
        // The root that they count for is mapped by the mount as the owner is, and was read through the one that it was found by.
        let own = self.sights.own.as_ref()?;
        let is_as_read = own.key() == sight.key() || !own.is_id_mapped() && !sight.is_id_mapped();
        if !is_as_read {
            return None;
        }
        // They count where that UID is root, and below.
        if capabilities.root == Uid(0) && self.is_initial() {
            return Some(true);
        }
        let mut is_known = true;
        for id in crate::release::and_above(self.snapshot, Some(user_ns)) {
            match self.inside(id, [Id::Known(capabilities.root.0); 2])[0] {
                Id::Known(0) => return Some(true),
                Id::Unknown => is_known = false,
                _ => {}
            }
        }
        is_known.then_some(false)
    }

    /// Whether there can be user namespaces that see the file and were not found.
    fn is_partial(&self) -> bool {
        self.sights.own.is_none() || self.sights.is_cut || !relations::mounts_seen(self.snapshot)
    }

    /// What could not be read that could change the answer, in sentences.
    pub fn gaps(&self) -> Vec<String> {
        let mut gaps = self.reading.gaps.clone();
        if self.sights.own.is_none() {
            gaps.push("the mount of the file is not in the list of mounts: who else sees it is not known".to_owned());
        }
        if self.sights.is_cut {
            gaps.push(format!(
                "more than {MOST} mounts of the file system in a mount namespace: not all were looked at"
            ));
        }
        gaps
    }

    /// The IDs as the model has them.
    pub fn ids([uid, gid]: Pair) -> Ids {
        Ids { uid: uid.known(), gid: gid.known() }
    }
}
