//! Namespaces and their holders.

use super::{Reader, invalid, ns_type};
use crate::model::{Holder, IdMapping, Namespace, NamespaceId, Pid, Relation, Tid, TimeOffsets, Uid};
use crate::wire::form::{self, HolderKind, RelationForm, RelationState};
use crate::wire::{Error, implied, text};

impl Reader {
    /// A namespace; `ino` is its key, in case that it does not say itself.
    pub(super) fn namespace(&self, ino: u64, form: &form::Namespace) -> Result<Namespace, Error> {
        let ino = form.nsid.unwrap_or(ino);
        if ino == 0 {
            return Err(invalid("a namespace with inode number 0"));
        }
        let ns_type = ns_type(form.r#type.as_deref().unwrap_or_default())?;
        let mut namespace = Namespace::new(self.id(ino), ns_type);
        // Go writes no zeros, others may.
        let known = |ino: Option<u64>| ino.filter(|&ino| ino != 0).map(|ino| Relation::Known(self.id(ino)));
        let relations = form.relations.as_ref();
        let said = |form: Option<&RelationForm>| form.map(|form| self.relation(form));
        namespace.parent = said(relations.and_then(|relations| relations.parent.as_ref()))
            .unwrap_or_else(|| implied::parent(ns_type, known(form.parent)));
        namespace.owner = said(relations.and_then(|relations| relations.owner.as_ref()))
            .unwrap_or_else(|| implied::owner(ns_type, known(form.owner), namespace.parent));
        namespace.children = self.sorted_ids(form.children.as_deref());
        namespace.owned = self.sorted_ids(form.possessions.as_deref());
        namespace.owner_uid = form.user_id.map(Uid);
        namespace.leaders = form.leaders.iter().flatten().copied().map(Pid).collect();
        namespace.loose_threads = form.loose_threads.iter().flatten().copied().map(Tid).collect();
        namespace.loose_threads.sort_unstable();
        namespace.unique_id = form.unique_id;
        namespace.initial = form.initial.unwrap_or(false);
        for holder in form.holders.iter().flatten() {
            namespace.holders.extend(self.holder(holder)?);
        }
        namespace.holders.sort();
        namespace.uid_map = form.uid_map.as_deref().map(id_map);
        namespace.gid_map = form.gid_map.as_deref().map(id_map);
        namespace.time_offsets = form
            .offsets
            .as_ref()
            .map(|offsets| TimeOffsets { monotonic: offsets.monotonic, boottime: offsets.boottime });
        Ok(namespace)
    }

    fn sorted_ids(&self, inos: Option<&[u64]>) -> Vec<NamespaceId> {
        let mut ids: Vec<_> = inos.unwrap_or_default().iter().map(|&ino| self.id(ino)).collect();
        ids.sort_unstable();
        ids
    }

    fn relation(&self, form: &RelationForm) -> Relation {
        match form {
            RelationForm::Nsid(ino) => Relation::Known(self.id(*ino)),
            RelationForm::State(RelationState::NotAsked) => Relation::NotAsked,
            RelationForm::State(RelationState::None) => Relation::None,
            RelationForm::State(RelationState::NotVisible) => Relation::NotVisible,
        }
    }

    /// `None` for a kind that a newer version knows.
    fn holder(&self, form: &form::Holder) -> Result<Option<Holder>, Error> {
        let missing = |key: &str| invalid(&format!("holder of kind {:?} without {key}", form.kind));
        let pid = || form.pid.map(Pid).ok_or_else(|| missing("pid"));
        let tid = || pid().map(|pid| form.tid.map_or(pid.into(), Tid));
        let fd = || form.fd.ok_or_else(|| missing("fd"));
        let nsid = || form.nsid.map(|ino| self.id(ino)).ok_or_else(|| missing("nsid"));
        let mount_ns = || form.mntns.map(|ino| self.id(ino)).ok_or_else(|| missing("mntns"));
        let mount_id = || form.mountid.ok_or_else(|| missing("mountid"));
        let path = || form.path.as_deref().map(text::unescape);
        Ok(Some(match form.kind {
            HolderKind::Process => Holder::Process { pid: pid()? },
            HolderKind::Task => Holder::Task { pid: pid()?, tid: tid()? },
            HolderKind::ForChildren => Holder::ForChildren { pid: pid()?, tid: tid()? },
            HolderKind::Fd => Holder::Fd { pid: pid()?, tid: tid()?, fd: fd()? },
            HolderKind::Socket => match form.count {
                Some(count) => Holder::Sockets { count },
                None => Holder::Socket {
                    pid: pid()?,
                    tid: tid()?,
                    fd: fd()?,
                    inode: form.inode.ok_or_else(|| missing("inode"))?,
                },
            },
            HolderKind::Tun => {
                Holder::Tun { pid: pid()?, tid: tid()?, fd: fd()?, device: form.device_nsid.map(|ino| self.id(ino)) }
            }
            HolderKind::BindMount => Holder::BindMount { mount_ns: mount_ns()?, mount_id: mount_id()?, path: path() },
            HolderKind::Mount => Holder::Mount {
                mount_ns: mount_ns()?,
                mount_id: mount_id()?,
                fs_type: form.fstype.as_deref().map(text::unescape).ok_or_else(|| missing("fstype"))?,
                path: path(),
            },
            HolderKind::Child => Holder::Child { ns: nsid()? },
            HolderKind::Owned => Holder::Owned { ns: nsid()? },
            HolderKind::Kernel => Holder::Kernel,
            HolderKind::Unknown => return Ok(None),
        }))
    }
}

fn id_map(map: &[(u32, u32, u32)]) -> Vec<IdMapping> {
    map.iter().map(|&(inside, outside, count)| IdMapping { inside, outside, count }).collect()
}
