//! IDs and capabilities of the command.

use lxkns_core::model::{Capabilities, CapabilitySet, IdMapping};
use lxkns_sys::Op;

use crate::error::{Cause, Error, ErrorKind};
use crate::process::{Process, cannot};
use crate::status::{Status, inside};
use crate::steps::{Draft, Fact, GUARD, Stage, Subject};
use crate::target::Entered;
use crate::users::User;

/// The user and group that the user asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Asked {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    /// The supplementary groups of that user.
    pub(crate) groups: Option<Vec<u32>>,
}

impl Asked {
    /// Adds the groups: those of a user with an entry, else only the requested GID.
    pub(crate) fn of(user: Option<&User>, uid: Option<u32>, gid: Option<u32>, groups: Option<Vec<u32>>) -> Self {
        let gid = gid.or_else(|| user.map(|user| user.gid));
        Self { uid, gid, groups: groups.or_else(|| uid.and(gid).map(|gid| vec![gid])) }
    }
}

/// The data that maps IDs into the target's user namespace.
pub(crate) struct Ids<'a> {
    process: Option<&'a Process>,
    own: &'a Status,
    changes_user: bool,
    uid_map: Vec<IdMapping>,
    gid_map: Vec<IdMapping>,
}

impl<'a> Ids<'a> {
    pub(crate) fn new(process: Option<&'a Process>, own: &'a Status, entered: &Entered) -> Result<Self, Error> {
        let changes_user = entered.changes_user();
        let map = |name: &'static str| match process.filter(|_| changes_user) {
            None => Ok(Vec::new()),
            Some(process) => {
                let text = process.read(name).map_err(|errno| cannot(process.pid, name, errno))?;
                let map = lxkns_core::parse::id_map(&text).map_err(|_| cannot(process.pid, name, Cause::MALFORMED))?;
                if map.is_empty() {
                    let message = format!(
                        "{}: its user namespace has no IDs yet ({name} is empty), so no command can run there; \
                         leave it out (--except user)",
                        process.pid
                    );
                    return Err(Error::new(ErrorKind::Unsuitable, message));
                }
                Ok(map)
            }
        };
        Ok(Self { process, own, changes_user, uid_map: map("uid_map")?, gid_map: map("gid_map")? })
    }

    fn ids(&self, ids: &[u32], map: &[IdMapping]) -> Option<Vec<u32>> {
        match (self.changes_user, self.process) {
            (true, Some(_)) => ids.iter().map(|&id| inside(map, id)).collect(),
            // No process shows the maps of a user namespace without one; the command is its root.
            (true, None) => Some(ids.iter().map(|_| 0).collect()),
            (false, _) => Some(ids.to_vec()),
        }
    }

    fn three(&self, what: &str, of: fn(&Status) -> [u32; 3], map: &[IdMapping]) -> Result<Option<[u32; 3]>, Error> {
        let from = self.process.map_or(self.own, |process| &process.status);
        match self.ids(&of(from), map).and_then(|ids| ids.try_into().ok()) {
            Some(ids) => Ok(Some(ids)),
            // It is not mapped there, but the command has it already.
            None if of(from) == of(self.own) => Ok(None),
            None => {
                let option = what.to_ascii_lowercase();
                let message = format!("the {what} of the process is not mapped in its user namespace ({option}_map)");
                Err(Error::new(ErrorKind::Unsuitable, message))
            }
        }
    }

    /// The real, effective and saved UID; `None` if they do not change.
    pub(crate) fn uids(&self, asked: &Asked) -> Result<Option<[u32; 3]>, Error> {
        match asked.uid {
            Some(uid) => Ok(Some([uid; 3])),
            None => self.three("UID", |status| status.uids, &self.uid_map),
        }
    }

    fn gids(&self, asked: &Asked) -> Result<Option<[u32; 3]>, Error> {
        match asked.gid {
            Some(gid) => Ok(Some([gid; 3])),
            None => self.three("GID", |status| status.gids, &self.gid_map),
        }
    }
}

/// Adds the steps that give the command its IDs and the capabilities of the process.
pub(crate) fn take_on(
    draft: &mut Draft,
    ids: &Ids<'_>,
    asked: &Asked,
    uids: Option<[u32; 3]>,
    entered: &Entered,
    privileged: bool,
) -> Result<(), Error> {
    let status = ids.process.map(|process| &process.status);
    groups(draft, ids, asked);
    let gids = ids.gids(asked)?;
    if let Some(gids) = gids {
        draft.step(Stage::Credentials, "set the GID", Op::Gids(gids));
    }
    draft.row(Subject::Gid, status.map(|status| three(&status.gids)), three(&gids.unwrap_or(ids.own.gids)));
    draft.row(Subject::Uid, status.map(|status| three(&status.uids)), three(&uids.unwrap_or(ids.own.uids)));

    let mut sets = sets(ids, entered, privileged);
    let no_root = sets.as_mut().is_some_and(|sets| !privileged && is_root_without(sets, uids.unwrap_or(ids.own.uids)));
    if let Some(sets) = &sets {
        draft.step(Stage::Credentials, "set the inheritable capabilities", Op::Inheritable(sets.inheritable.bits()));
        draft.step(Stage::Credentials, "limit the bounding set of capabilities", Op::Bounding(sets.bounding.bits()));
    }
    if no_root {
        let what = "keep programs of root from gaining capabilities (securebits)";
        draft.step(Stage::Credentials, what, Op::Securebits(NOROOT | NOROOT_LOCKED));
        draft.notes.push(
            "the process is root without the capabilities that root gets from running a program, so the command gets none \
             from that either (securebits noroot, locked); the kernel does not show the process's own securebits"
                .to_owned(),
        );
    }
    if let Some(uids) = uids {
        draft.step(Stage::Credentials, "set the UID", Op::Uids(uids));
        draft.step(Stage::Credentials, GUARD, Op::Guard);
    }
    if let Some(sets) = &sets {
        let op = Op::Capabilities {
            permitted: sets.permitted.bits(),
            effective: sets.effective.bits(),
            inheritable: sets.inheritable.bits(),
            ambient: sets.ambient.bits(),
        };
        draft.step(Stage::Credentials, "set the capabilities", op);
    }
    let no_new_privs = ids.own.no_new_privs || !privileged && status.is_some_and(|status| status.no_new_privs);
    let had = if ids.changes_user { FULL } else { ids.own.capabilities };
    let bits = if no_root { NOROOT | NOROOT_LOCKED } else { own_securebits(ids.changes_user) };
    let has = after_exec(sets.unwrap_or(had), had, uids.unwrap_or(ids.own.uids), no_new_privs, bits & NOROOT != 0);
    securebits_row(draft, status, bits);
    draft.row(
        Subject::Capabilities,
        status.map(|status| Fact::Capabilities(status.capabilities)),
        Fact::Capabilities(has),
    );
    draft.row(Subject::NoNewPrivs, status.map(|status| Fact::Flag(status.no_new_privs)), Fact::Flag(no_new_privs));
    Ok(())
}

/// Keeps the caller's IDs and capabilities.
pub(crate) fn stay(draft: &mut Draft, ids: &Ids<'_>) {
    let status = ids.process.map(|process| &process.status);
    let own = ids.own;
    let bits = own_securebits(false);
    let has = after_exec(own.capabilities, own.capabilities, own.uids, own.no_new_privs, bits & NOROOT != 0);
    securebits_row(draft, status, bits);
    draft.row(Subject::Uid, status.map(|status| three(&status.uids)), three(&own.uids));
    draft.row(Subject::Gid, status.map(|status| three(&status.gids)), three(&own.gids));
    draft.row(Subject::Groups, status.map(|status| list(&status.groups)), list(&own.groups));
    let capabilities = status.map(|status| Fact::Capabilities(status.capabilities));
    draft.row(Subject::Capabilities, capabilities, Fact::Capabilities(has));
    draft.row(Subject::NoNewPrivs, status.map(|status| Fact::Flag(status.no_new_privs)), Fact::Flag(own.no_new_privs));
}

fn groups(draft: &mut Draft, ids: &Ids<'_>, asked: &Asked) {
    let status = ids.process.map(|process| &process.status);
    let can_set = |process: Option<&Process>| {
        process.is_none_or(|process| process.read("setgroups").map_or(true, |text| text.trim_ascii() == b"allow"))
    };
    let wanted = match (&asked.groups, status) {
        (Some(groups), _) => Some(groups.clone()),
        (None, Some(status)) => ids.ids(&status.groups, &ids.gid_map),
        (None, None) => ids.changes_user.then(Vec::new),
    };
    let mut has = list(&ids.own.groups);
    if ids.changes_user {
        // Before entering, the process's own groups have valid GIDs; requested ones have none.
        let outside = status.filter(|_| asked.groups.is_none()).map(|status| status.groups.clone()).unwrap_or_default();
        if ids.own.capabilities.effective.contains(CapabilitySet::SETGID) {
            has = list(&outside);
        }
        draft.step(Stage::Before, "set the supplementary groups", Op::Groups { gids: outside, or_stay: true });
    }
    if let Some(gids) = wanted {
        let is_allowed = !ids.changes_user || can_set(ids.process);
        if is_allowed && (ids.changes_user || gids != ids.own.groups) {
            has = list(&gids);
            let or_stay = ids.changes_user && ids.process.is_none();
            draft.step(Stage::Credentials, "set the supplementary groups", Op::Groups { gids, or_stay });
        } else if !is_allowed && asked.groups.is_some() {
            draft.notes.push(
                "the user namespace does not allow setting supplementary groups, so the command lacks those of its user"
                    .into(),
            );
        }
    }
    draft.row(Subject::Groups, status.map(|status| list(&status.groups)), has);
}

/// The capability sets that the command starts with; `None` if they do not change.
fn sets(ids: &Ids<'_>, entered: &Entered, privileged: bool) -> Option<Capabilities> {
    let all = |set| Capabilities { inheritable: set, permitted: set, effective: set, bounding: set, ambient: set };
    let status = ids.process.map(|process| &process.status)?;
    Some(if privileged {
        all(CapabilitySet::ALL)
    } else if entered.leaves_out_user {
        // Capabilities in the target's user namespace give none in the caller's. Without the right to limit the
        // bounding set, the command gets none.
        let can_limit = ids.own.capabilities.effective.contains(CapabilitySet::SETPCAP);
        Capabilities {
            bounding: if can_limit { CapabilitySet::NONE } else { ids.own.capabilities.bounding },
            ..all(CapabilitySet::NONE)
        }
    } else {
        status.capabilities
    })
}

/// The capabilities of a process that has just entered a user namespace.
const FULL: Capabilities = Capabilities {
    inheritable: CapabilitySet::NONE,
    permitted: CapabilitySet::ALL,
    effective: CapabilitySet::ALL,
    bounding: CapabilitySet::ALL,
    ambient: CapabilitySet::NONE,
};

/// `SECBIT_NOROOT` and `SECBIT_NOROOT_LOCKED` of `linux/securebits.h`.
const NOROOT: u32 = 1;
const NOROOT_LOCKED: u32 = 2;

/// Whether this is root with fewer capabilities than root gets by running a program. It has dropped the others, perhaps
/// with securebits that keep it from regaining them, which the kernel does not show. The command then keeps its
/// capabilities as ambient ones instead.
fn is_root_without(sets: &mut Capabilities, uids: [u32; 3]) -> bool {
    let is_root = uids[0] == 0 || uids[1] == 0;
    let gains = !sets.permitted.contains(sets.bounding | sets.inheritable);
    if is_root && gains {
        sets.inheritable |= sets.permitted;
        sets.ambient = sets.permitted;
    }
    is_root && gains
}

/// The caller's securebits, if the command keeps them: entering a user namespace clears them.
fn own_securebits(changes_user: bool) -> u32 {
    match rustix::thread::capabilities_secure_bits() {
        Ok(bits) if !changes_user => bits.bits(),
        _ => 0,
    }
}

fn securebits_row(draft: &mut Draft, status: Option<&Status>, bits: u32) {
    const NAMES: [&str; 8] = [
        "noroot",
        "noroot locked",
        "no_setuid_fixup",
        "no_setuid_fixup locked",
        "keep_caps",
        "keep_caps locked",
        "no_cap_ambient_raise",
        "no_cap_ambient_raise locked",
    ];
    let names: Vec<&str> =
        NAMES.iter().enumerate().filter(|(bit, _)| bits >> bit & 1 == 1).map(|(_, name)| *name).collect();
    let command = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
    draft.row(Subject::Securebits, status.map(|_| Fact::Text("not visible".to_owned())), Fact::Text(command));
}

/// The capabilities of a program without file capabilities that is run with these sets; `capabilities(7)`. `had` are
/// the sets before the change.
fn after_exec(
    wanted: Capabilities,
    had: Capabilities,
    uids: [u32; 3],
    no_new_privs: bool,
    is_root_ordinary: bool,
) -> Capabilities {
    let bounding = wanted.bounding & had.bounding;
    let before = wanted.permitted & had.permitted;
    let inheritable = wanted.inheritable & (had.inheritable | had.permitted | had.bounding);
    let ambient = wanted.ambient & before & inheritable;
    let gained =
        if !is_root_ordinary && (uids[0] == 0 || uids[1] == 0) { inheritable | bounding } else { CapabilitySet::NONE };
    let gained = if no_new_privs { gained & before } else { gained };
    let permitted = gained | ambient;
    let effective = if uids[1] == 0 && !is_root_ordinary { permitted } else { ambient };
    Capabilities { inheritable, permitted, effective, bounding, ambient }
}

fn list(ids: &[u32]) -> Fact {
    if ids.is_empty() {
        return Fact::Text("none".to_owned());
    }
    Fact::Text(ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
}

fn three(ids: &[u32; 3]) -> Fact {
    match *ids {
        [real, effective, saved] if real == effective && effective == saved => Fact::Text(real.to_string()),
        [real, effective, saved] => Fact::Text(format!("{real}, effective {effective}, saved {saved}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(permitted: u64, bounding: u64, inheritable: u64, ambient: u64) -> Capabilities {
        let [permitted, bounding, inheritable, ambient] =
            [permitted, bounding, inheritable, ambient].map(CapabilitySet::from_bits);
        Capabilities { inheritable, permitted, effective: permitted, bounding, ambient }
    }

    #[test]
    fn exec_gives_root_what_is_bounding_and_others_what_is_ambient() {
        let all = sets(0xff, 0xff, 0, 0);
        let after = |wanted, uid, no_new_privs| after_exec(wanted, all, [uid; 3], no_new_privs, false);
        assert_eq!(after(sets(0x0f, 0x0f, 0, 0), 0, false).effective.bits(), 0x0f);
        assert_eq!(after(sets(0, 0x0f, 0, 0), 0, false).effective.bits(), 0x0f);
        assert_eq!(after(sets(0, 0x0f, 0, 0), 0, true).effective.bits(), 0);
        assert_eq!(after(sets(0x0f, 0x0f, 0, 0), 5, false).permitted.bits(), 0);
        assert_eq!(after(sets(0x0f, 0x0f, 0x03, 0x03), 5, false).effective.bits(), 0x03);
        let less = after_exec(sets(0xff, 0xff, 0, 0), sets(0x01, 0x03, 0, 0), [0; 3], false, false);
        assert_eq!(less.permitted.bits(), 0x03);
    }

    #[test]
    fn root_that_has_given_capabilities_up_gets_none_again() {
        let all = sets(0xff, 0xff, 0, 0);
        for permitted in [0, 0x05] {
            let mut wanted = sets(permitted, 0x0f, 0, 0);
            assert!(is_root_without(&mut wanted, [0; 3]));
            let has = after_exec(wanted, all, [0; 3], false, true);
            let permitted = CapabilitySet::from_bits(permitted);
            assert_eq!((has.permitted, has.effective, has.ambient), (permitted, permitted, permitted));
        }
        assert!(!is_root_without(&mut sets(0x0f, 0x0f, 0x01, 0), [0; 3]));
        assert!(!is_root_without(&mut sets(0, 0x0f, 0, 0), [5; 3]));
    }
}
