//! Namespaces and their holders.

use super::{Reader, invalid, ns_type, number};
use crate::CompactSort as _;
use crate::wire::form::{self, HolderKind, InFlightKind, RelationForm, RelationState};
use crate::wire::{Error, implied, text};
use crate::{Exactness, Holder, InFlight, Namespace, NamespaceId, References, Relation, TimeOffsets, Uid};

/// The references to a namespace.
pub(super) fn references(form: &form::Namespace) -> Option<References> {
    let form::References { total, explained, exact } = *form.references.as_ref()?;
    let exactness = if exact { Exactness::Exact } else { Exactness::AtLeast };
    Some(References { total, explained, exactness })
}

impl Reader {
    /// A namespace; `ino` is its key, in case that it does not say itself.
    pub(super) fn namespace(&self, ino: u64, form: &form::Namespace) -> Result<Namespace, Error> {
        let ino = number::ino("nsid", form.nsid.unwrap_or(ino))?;
        let ns_type = ns_type(form.r#type.as_deref().unwrap_or_default())?;
        let mut namespace = Namespace::new(self.id(ino), ns_type);
        // Go writes no zeros, others may.
        let known = |ino: Option<u64>| ino.filter(|&ino| ino != 0).map(|ino| Relation::Known(self.id(ino)));
        let relations = form.relations.as_ref();
        let said = |form: Option<&RelationForm>| form.map(|form| self.relation(form)).transpose();
        namespace.parent = said(relations.and_then(|relations| relations.parent.as_ref()))?
            .unwrap_or_else(|| implied::parent(ns_type, known(form.parent)));
        namespace.owner = said(relations.and_then(|relations| relations.owner.as_ref()))?
            .unwrap_or_else(|| implied::owner(ns_type, known(form.owner), namespace.parent));
        namespace.children = self.sorted_ids("child", form.children.as_deref())?;
        namespace.owned = self.sorted_ids("possession", form.possessions.as_deref())?;
        namespace.owner_uid = form.user_id.map(Uid);
        namespace.leaders = form.leaders.iter().flatten().copied().map(number::pid).collect::<Result<_, _>>()?;
        let threads = form.loose_threads.iter().flatten().copied();
        namespace.loose_threads = threads.map(number::tid).collect::<Result<_, _>>()?;
        namespace.loose_threads.sort_unstable();
        namespace.unique_id = form.unique_id;
        namespace.initial = form.initial.unwrap_or(false);
        for holder in form.holders.iter().flatten() {
            namespace.holders.extend(self.holder(holder)?);
        }
        namespace.holders.compact_sort();
        namespace.uid_map = form.uid_map.as_deref().map(number::id_map).transpose()?;
        namespace.gid_map = form.gid_map.as_deref().map(number::id_map).transpose()?;
        if let Some(offsets) = &form.offsets {
            let (monotonic, boottime) = (number::offset(offsets.monotonic)?, number::offset(offsets.boottime)?);
            namespace.time_offsets = Some(TimeOffsets { monotonic, boottime });
        }
        Ok(namespace)
    }

    fn sorted_ids(&self, key: &str, inos: Option<&[u64]>) -> Result<Vec<NamespaceId>, Error> {
        let inos = inos.unwrap_or_default();
        let mut ids = inos.iter().map(|&ino| self.checked_id(key, ino)).collect::<Result<Vec<_>, _>>()?;
        ids.sort_unstable();
        Ok(ids)
    }

    fn relation(&self, form: &RelationForm) -> Result<Relation, Error> {
        Ok(match form {
            RelationForm::Nsid(ino) => Relation::Known(self.checked_id("relation", *ino)?),
            RelationForm::State(RelationState::NotAsked) => Relation::NotAsked,
            RelationForm::State(RelationState::None) => Relation::None,
            RelationForm::State(RelationState::NotVisible) => Relation::NotVisible,
        })
    }

    /// `None` for a kind that a newer version knows.
    fn holder(&self, form: &form::Holder) -> Result<Option<Holder>, Error> {
        let missing = |key: &str| invalid(&format!("holder of kind {:?} without {key}", form.kind));
        let pid = || form.pid.ok_or_else(|| missing("pid")).and_then(number::pid);
        let tid = || form.tid.map_or_else(|| pid().map(Into::into), number::tid);
        let fd = || form.fd.ok_or_else(|| missing("fd")).and_then(number::fd);
        let id = |key: &str, ino: Option<u64>| self.checked_id(key, ino.ok_or_else(|| missing(key))?);
        let nsid = || id("nsid", form.nsid);
        let mount_ns = || id("mntns", form.mntns);
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
                let device = form.device_nsid.map(|ino| self.checked_id("device-nsid", ino)).transpose()?;
                Holder::Tun { pid: pid()?, tid: tid()?, fd: fd()?, device }
            }
            HolderKind::InFlight => Holder::InFlight {
                pid: pid()?,
                tid: tid()?,
                fd: fd()?,
                inode: form.inode.ok_or_else(|| missing("inode"))?,
                what: match form.what.ok_or_else(|| missing("what"))? {
                    InFlightKind::Descriptor => InFlight::Descriptor,
                    InFlightKind::Socket => InFlight::Socket,
                    InFlightKind::Connection => InFlight::Connection,
                    InFlightKind::Unknown => return Ok(None),
                },
            },
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
