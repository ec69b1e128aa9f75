//! Facts about an open namespace: its type, unique ID, owner and parent (places 10 and 11). They are read when a namespace is
//! first opened: while it is open, each costs about a microsecond.

use std::os::fd::OwnedFd;

use rustc_hash::FxHashMap;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use super::found::{Found, Seen};
use super::from_kernel;
use super::initial;
use super::search::Search;
use crate::failure::Failure;
use crate::model::{Call, Cause, NamespaceId, NamespaceType, Object, Operation, Place, Relation, Uid};
use crate::procfs::ProcRoot;
use crate::reach;

/// Facts about a namespace.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    pub(super) ns_type: NamespaceType,
    pub(super) unique_id: Option<u64>,
    /// Why there is no ID.
    pub(super) without_id: Option<Failure>,
    pub(super) owner: Relation,
    pub(super) parent: Relation,
    pub(super) owner_uid: Option<Uid>,
    /// The calls that failed, and why.
    pub(super) unanswered: Vec<(Place, Call, Errno)>,
}

/// Device numbers by which kinds of open files are recognized.
pub(super) struct Devices {
    pub(super) nsfs: u64,
    /// Of sockets.
    pub(super) sockfs: Option<u64>,
    /// Of files without a name, such as io_uring's.
    pub(super) anon_inode: Option<u64>,
}

impl Devices {
    pub(super) fn of_this_kernel(proc: &ProcRoot) -> Self {
        let device = |fd: Result<OwnedFd, Errno>| Some(reach::identity(fd.ok()?).ok()?.dev);
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
        Self {
            nsfs: proc.nsfs_dev(),
            sockfs: device(socket),
            anon_inode: device(rustix::event::epoll::create(rustix::event::epoll::CreateFlags::CLOEXEC)),
        }
    }
}

/// Reads the facts about this namespace and all its owners and parents, unless they are already known.
///
/// `open` can open another namespace than the expected one, since processes change their namespaces: it is then
/// ignored.
pub(super) fn ensure(
    search: &Search<'_>,
    id: NamespaceId,
    open: impl FnOnce() -> Result<OwnedFd, Failure>,
) -> Result<(), Failure> {
    if search.facts().contains_key(&id) || from_kernel::facts_of_lists(search, id).is_some() {
        return Ok(());
    }
    let opened = match open().and_then(|fd| reach::verified(fd, id)) {
        // Who may not open it, or has no way on this kernel, may have been told by the kernel reader.
        Err(failure) if !failure.is_gone() => return from_kernel::facts(search, id).ok_or(failure),
        opened => opened?,
    };
    let mut open_ones = vec![(id, opened)];
    while let Some((id, fd)) = open_ones.pop() {
        let facts = ask(search, id, &fd, &mut open_ones)?;
        if facts.ns_type == NamespaceType::Mnt {
            search.keep(id, fd);
        }
        search.facts().entry(id).or_insert(facts);
    }
    Ok(())
}

/// Reads the facts about one namespace, and adds unknown owners and parents to `open_ones`.
fn ask(
    search: &Search<'_>,
    id: NamespaceId,
    fd: &OwnedFd,
    open_ones: &mut Vec<(NamespaceId, OwnedFd)>,
) -> Result<Facts, Failure> {
    let ns_type = NamespaceType::from_clone_flag(lxkns_sys::ns_get_nstype(fd)?).ok_or(Cause::Unsupported)?;
    let mut unanswered = Vec::new();
    let mut relation = |place, asked_for: Call, answer: Result<OwnedFd, Errno>| match answer {
        Ok(related) => match reach::identity(&related) {
            Ok(related_id) => {
                if !search.facts().contains_key(&related_id) {
                    open_ones.push((related_id, related));
                }
                Relation::Known(related_id)
            }
            Err(errno) => {
                unanswered.push((place, asked_for, errno));
                Relation::NotAsked
            }
        },
        Err(Errno::PERM) if place == Place::Parents && initial::has_fixed_inode(ns_type, id) => Relation::None,
        Err(Errno::PERM) => Relation::NotVisible,
        Err(errno) => {
            unanswered.push((place, asked_for, errno));
            Relation::NotAsked
        }
    };

    let (asks_owner, asks_parent) = (search.looks_in(Place::Owners), search.looks_in(Place::Parents));
    let (owner, parent) = match ns_type {
        // The owner of a user namespace is its parent.
        NamespaceType::User if asks_owner || asks_parent => {
            let both = relation(Place::Parents, Call::NsGetParent, lxkns_sys::ns_get_parent(fd));
            (both, both)
        }
        NamespaceType::User => (Relation::NotAsked, Relation::NotAsked),
        _ => {
            let owner = if asks_owner {
                relation(Place::Owners, Call::NsGetUserns, lxkns_sys::ns_get_userns(fd))
            } else {
                Relation::NotAsked
            };
            let parent = match ns_type {
                NamespaceType::Pid if asks_parent => {
                    relation(Place::Parents, Call::NsGetParent, lxkns_sys::ns_get_parent(fd))
                }
                NamespaceType::Pid => Relation::NotAsked,
                _ => Relation::None,
            };
            (owner, parent)
        }
    };
    let owner_uid = match ns_type {
        NamespaceType::User => match lxkns_sys::ns_get_owner_uid(fd) {
            Ok(uid) => Some(Uid(uid)),
            Err(errno) => {
                unanswered.push((Place::NamespaceFacts, Call::NsGetOwnerUid, errno));
                None
            }
        },
        _ => None,
    };
    // Before Linux 6.18 only mount namespaces have an ID, before 6.11 none.
    let id = lxkns_sys::ns_get_id(fd).or_else(|errno| match ns_type {
        NamespaceType::Mnt => lxkns_sys::ns_get_mntns_id(fd),
        _ => Err(errno),
    });
    let (unique_id, without_id) = (id.ok(), id.err().map(Failure::from));
    Ok(Facts { ns_type, unique_id, without_id, owner, parent, owner_uid, unanswered })
}

/// Opens the namespaces that could not be opened through the first holder through any other.
pub(super) fn of_the_rest(search: &Search<'_>, found: &mut Found) {
    /// With many holders, which one is tried matters little: they are of one kind, and fail alike.
    const TRIES: usize = 16;
    let mut gaps = Vec::new();
    for (&id, seen) in &mut found.namespaces {
        let Some((place, first)) = seen.unopened else { continue };
        let mut failures = vec![first];
        let is_open = search.facts().contains_key(&id)
            || seen.holders.iter().take(TRIES).any(|holder| {
                let opened = ensure(search, id, || reach::through(search.proc, seen.ns_type, holder));
                failures.extend(opened.err());
                opened.is_ok()
            });
        // The holder has vanished or moved on. A bind mount still holds its namespace.
        let is_gone = |failure: &Failure| failure.is_gone() || failure.is_elsewhere();
        if is_open {
            seen.unopened = None;
        } else if place == Place::BindMounts && is_gone(&first) {
            // Another mount covers it, or its path was removed.
            gaps.push((place, id, Cause::NoPath.into()));
        } else if place == Place::BindMounts || (place != Place::ProcesslessMounts && !failures.iter().all(is_gone)) {
            gaps.push((place, id, first));
        }
    }
    for (place, id, failure) in gaps {
        // Which call failed to lead there, and not for what is there.
        let is_lookup =
            place == Place::BindMounts && failure.is_any(&[Errno::NOSYS, Errno::PERM, Errno::INVAL, Errno::AGAIN]);
        let operation = if is_lookup { Operation::Call(Call::Openat2) } else { Operation::OPEN };
        found.gap(place, Object::Namespace(id), operation, failure);
    }
    // Owners and parents that only other namespaces have led to.
    let facts: FxHashMap<_, _> = search.facts().clone();
    // Which one says its ID depends on the kernel and on what it is, and on nothing else.
    let without_id = |of_mounts: bool| {
        facts
            .values()
            .filter(|known| (known.ns_type == NamespaceType::Mnt) == of_mounts)
            .find_map(|known| known.without_id)
    };
    for (of_mounts, asked_for) in [(false, Call::NsGetId), (true, Call::NsGetMntnsId)] {
        if let Some(failure) = without_id(of_mounts) {
            found.gap(Place::NamespaceFacts, Object::Host, asked_for, failure);
        }
    }
    for (&id, known) in &facts {
        for &(place, asked_for, errno) in &known.unanswered {
            found.gap(place, Object::Namespace(id), asked_for, errno);
        }
        found.namespaces.entry(id).or_insert_with(|| Seen {
            ns_type: known.ns_type,
            holders: Vec::new(),
            unopened: None,
        });
    }
}
