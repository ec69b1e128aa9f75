//! Namespaces and their holders.

use std::collections::BTreeSet;

use bstr::ByteSlice;

use super::reference::References;
use crate::wire::form::{
    self, Holder, HolderKind, InFlightKind, Namespace, Offsets, Reference, RelationForm, RelationState, Relations,
};
use crate::wire::{implied, text};
use crate::{self as model, Exactness, IdMapping, InFlight, NamespaceId, NamespaceType, Relation, Snapshot, Tid};

pub(super) fn namespace(
    snapshot: &Snapshot,
    namespace: &model::Namespace,
    references: &References,
    tids: &BTreeSet<Tid>,
) -> Namespace {
    let ns_type = namespace.ns_type;
    let user = ns_type == NamespaceType::User;
    // A namespace that is not in the dump would break the web page.
    let here = |id: &NamespaceId| snapshot.namespaces.contains_key(id);
    let owner = namespace.owner.known().filter(|id| !user && here(id));
    let parent = namespace.parent.known().filter(|id| ns_type.is_hierarchical() && here(id));
    let inos = |ids: &[NamespaceId]| Some(ids.iter().filter(|id| here(id)).map(|id| id.ino).collect());
    let user_name =
        || namespace.owner_uid.and_then(|uid| snapshot.annotations.user_names.get(&uid)).cloned().unwrap_or_default();
    Namespace {
        nsid: Some(namespace.id.ino),
        r#type: Some(ns_type.name().to_owned()),
        owner: owner.map(|id| id.ino),
        parent: parent.map(|id| id.ino),
        children: inos(&namespace.children),
        possessions: inos(&namespace.owned),
        user_id: namespace.owner_uid.map(|uid| uid.0),
        user_name: user.then(user_name),
        reference: Some(Reference::Chain(references.get(&namespace.id).cloned().unwrap_or_default())),
        leaders: Some(namespace.leaders.iter().map(|pid| pid.0).collect()),
        ealdorman: namespace.leaders.first().map(|pid| pid.0),
        loose_threads: Some(namespace.loose_threads.iter().filter(|tid| tids.contains(tid)).map(|tid| tid.0).collect()),
        unique_id: namespace.unique_id,
        initial: namespace.initial.then_some(true),
        relations: relations(namespace, owner, parent),
        holders: Some(namespace.holders.iter().map(holder).collect()),
        references: snapshot.references.get(&namespace.id).map(|references| form::References {
            total: references.total,
            explained: references.explained,
            exact: references.exactness == Exactness::Exact,
        }),
        netnsid: snapshot.annotations.netnsids.get(&namespace.id).map(|id| id.map_or(-1, i64::from)),
        uid_map: namespace.uid_map.as_deref().map(id_map),
        gid_map: namespace.gid_map.as_deref().map(id_map),
        offsets: namespace
            .time_offsets
            .map(|offsets| Offsets { monotonic: offsets.monotonic, boottime: offsets.boottime }),
    }
}

/// What `owner` and `parent` as they are written do not imply.
fn relations(
    namespace: &model::Namespace,
    owner: Option<NamespaceId>,
    parent: Option<NamespaceId>,
) -> Option<Relations> {
    let implied_parent = implied::parent(namespace.ns_type, parent.map(Relation::Known));
    let implied_owner = implied::owner(namespace.ns_type, owner.map(Relation::Known), namespace.parent);
    let owner = (namespace.owner != implied_owner).then(|| relation(namespace.owner));
    let parent = (namespace.parent != implied_parent).then(|| relation(namespace.parent));
    (owner.is_some() || parent.is_some()).then_some(Relations { owner, parent })
}

fn relation(relation: Relation) -> RelationForm {
    match relation {
        Relation::Known(id) => RelationForm::Nsid(id.ino),
        Relation::NotAsked => RelationForm::State(RelationState::NotAsked),
        Relation::None => RelationForm::State(RelationState::None),
        Relation::NotVisible => RelationForm::State(RelationState::NotVisible),
    }
}

fn id_map(map: &[IdMapping]) -> Vec<(u32, u32, u32)> {
    map.iter().map(|line| (line.inside, line.outside, line.count)).collect()
}

fn holder(holder: &model::Holder) -> Holder {
    use model::Holder as H;
    let kind = |kind| Holder { kind, ..Holder::default() };
    let task =
        |kind, pid: &model::Pid, tid: &Tid| Holder { kind, pid: Some(pid.0), tid: Some(tid.0), ..Holder::default() };
    let open = |kind, pid, tid, fd: &u32| Holder { fd: Some(*fd), ..task(kind, pid, tid) };
    let mount = |kind, mount_ns: &NamespaceId, mount_id: &u64, path: &Option<bstr::BString>| Holder {
        kind,
        mntns: Some(mount_ns.ino),
        mountid: Some(*mount_id),
        path: path.as_ref().map(|path| text::escape(path.as_bstr())),
        ..Holder::default()
    };
    match holder {
        H::Process { pid } => Holder { pid: Some(pid.0), ..kind(HolderKind::Process) },
        H::Task { pid, tid } => task(HolderKind::Task, pid, tid),
        H::ForChildren { pid, tid } => task(HolderKind::ForChildren, pid, tid),
        H::Fd { pid, tid, fd } => open(HolderKind::Fd, pid, tid, fd),
        H::Socket { pid, tid, fd, inode } => Holder { inode: Some(*inode), ..open(HolderKind::Socket, pid, tid, fd) },
        H::Sockets { count } => Holder { count: Some(*count), ..kind(HolderKind::Socket) },
        H::Tun { pid, tid, fd, device } => {
            Holder { device_nsid: device.map(|id| id.ino), ..open(HolderKind::Tun, pid, tid, fd) }
        }
        H::InFlight { pid, tid, fd, inode, what } => Holder {
            inode: Some(*inode),
            what: Some(match what {
                InFlight::Descriptor => InFlightKind::Descriptor,
                InFlight::Socket => InFlightKind::Socket,
                InFlight::Connection => InFlightKind::Connection,
            }),
            ..open(HolderKind::InFlight, pid, tid, fd)
        },
        H::BindMount { mount_ns, mount_id, path } => mount(HolderKind::BindMount, mount_ns, mount_id, path),
        H::Mount { mount_ns, mount_id, fs_type, path } => Holder {
            fstype: Some(text::escape(fs_type.as_bstr())),
            ..mount(HolderKind::Mount, mount_ns, mount_id, path)
        },
        H::Child { ns } => Holder { nsid: Some(ns.ino), ..kind(HolderKind::Child) },
        H::Owned { ns } => Holder { nsid: Some(ns.ino), ..kind(HolderKind::Owned) },
        H::Kernel => kind(HolderKind::Kernel),
    }
}
