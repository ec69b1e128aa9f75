//! What is said of processes and namespaces of a small host.

use lxkns_core::model::{CapabilitySet, Namespace, NamespaceId, NamespaceType, Pid, Relation, Snapshot, Uid};

use super::*;
use lxkns_answers::testing::{LEFT, NET, USER, id, snapshot};

/// A user namespace below the first that UID 1000 created, one below that, and one beside them.
const UPPER: NamespaceId = id(4_026_532_600);
const LOWER: NamespaceId = id(4_026_532_601);
const BESIDE: NamespaceId = id(4_026_532_602);

/// The host with process 200 in `own`, of UID 200 unless it is said otherwise; LEFT belongs to the lower one.
fn host(own: NamespaceId) -> Snapshot {
    let mut snapshot = snapshot();
    for (id, parent, uid) in [(UPPER, USER, 1000), (LOWER, UPPER, 1000), (BESIDE, USER, 7)] {
        let mut namespace = Namespace::new(id, NamespaceType::User);
        namespace.parent = Relation::Known(parent);
        namespace.owner_uid = Some(Uid(uid));
        snapshot.namespaces.insert(id, namespace);
    }
    snapshot.namespaces.get_mut(&LEFT).unwrap().owner = Relation::Known(LOWER);
    snapshot.annotations.user_names = [(Uid(0), "root".to_owned()), (Uid(1000), "jo\x1b".to_owned())].into();
    let process = snapshot.processes.get_mut(&Pid(200)).unwrap();
    process.namespaces.set(NamespaceType::User, own);
    process.status.as_mut().unwrap().capabilities.effective = CapabilitySet::SYS_ADMIN;
    process.status.as_mut().unwrap().capabilities.permitted = CapabilitySet::SYS_ADMIN | CapabilitySet::KILL;
    snapshot
}

fn text(snapshot: &Snapshot, namespaces: &[NamespaceId], width: Option<usize>) -> String {
    let mut out = Vec::new();
    for caps in Caps::of(snapshot, &snapshot.processes[&Pid(200)], namespaces) {
        write(&caps, &mut out, Screen { width, color: false }).unwrap();
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn the_creator_has_all() {
    let mut snapshot = host(USER);
    snapshot.processes.get_mut(&Pid(200)).unwrap().status.as_mut().unwrap().uids.effective = Uid(1000);
    let branch = "  user:[4026531837] created by UID 0 (root): process 200 is in it\n  \
                    └─user:[4026532600] created by UID 1000 (jo\\x1b)\n";
    assert_eq!(
        text(&snapshot, &[LEFT], None),
        format!(
            "process 200 (sleep) with effective UID 1000 (jo\\x1b) has in net:[4026532300]\n  \
               all: UID 1000 created user:[4026532600], an ancestor of user:[4026532601], and the process is in its parent\n\
             {branch}    └─user:[4026532601] created by UID 1000 (jo\\x1b): owns net:[4026532300]\n"
        )
    );
    assert_eq!(
        text(&snapshot, &[UPPER], None),
        format!(
            "process 200 (sleep) with effective UID 1000 (jo\\x1b) has in user:[4026532600]\n  \
               all: UID 1000 created user:[4026532600], and the process is in its parent\n{branch}"
        )
    );
    let narrow = text(&snapshot, &[UPPER], Some(30));
    assert!(
        narrow.contains("\n  user:[4026531837] created by\n    UID 0 (root): process 200\n    is in it\n"),
        "{narrow}"
    );
    assert!(text(&snapshot, &[UPPER], Some(1)).contains("  └─user:[4026532600]\n"));
}

#[test]
fn members_and_those_above_have_what_is_in_their_sets() {
    assert_eq!(
        text(&host(LOWER), &[LEFT, NET], None),
        "process 200 (sleep) with effective UID 200 has in net:[4026532300]\n  \
           CAP_SYS_ADMIN: it is in user:[4026532601], so its effective set counts\n  \
           it can also make effective: CAP_KILL\n  \
           user:[4026532601] created by UID 1000 (jo\\x1b): process 200 is in it, owns net:[4026532300]\n\
         process 200 (sleep) with effective UID 200 has in net:[4026531833]\n  \
           none: it is in user:[4026532601], which is not user:[4026531837] or an ancestor of it\n  \
           user:[4026531837] created by UID 0 (root): owns net:[4026531833]\n  \
           └─user:[4026532600] created by UID 1000 (jo\\x1b)\n    \
             └─user:[4026532601] created by UID 1000 (jo\\x1b): process 200 is in it\n"
    );
    let above = text(&host(UPPER), &[LEFT], None);
    let sentence = "  CAP_SYS_ADMIN: it is in user:[4026532600], an ancestor of user:[4026532601], so";
    assert!(above.contains(sentence), "{above}");
}

#[test]
fn the_branch_begins_where_both_meet() {
    assert_eq!(
        text(&host(BESIDE), &[LOWER], None).lines().skip(2).collect::<Vec<_>>(),
        [
            "  user:[4026531837] created by UID 0 (root)",
            "  ├─user:[4026532600] created by UID 1000 (jo\\x1b)",
            "  │ └─user:[4026532601] created by UID 1000 (jo\\x1b)",
            "  └─user:[4026532602] created by UID 7: process 200 is in it",
        ]
    );
}

#[test]
fn what_is_not_known_is_said_to_be_so() {
    let mut snapshot = host(BESIDE);
    snapshot.namespaces.get_mut(&UPPER).unwrap().parent = Relation::NotVisible;
    let unknown = text(&snapshot, &[LOWER], None);
    let expected = "  not known: the parent of user:[4026532600] is not visible from here\n";
    assert!(unknown.contains(expected), "{unknown}");
    assert!(unknown.contains("\n  user:[4026532600] created") && unknown.contains("\n  user:[4026531837] created"));
    snapshot.namespaces.get_mut(&LEFT).unwrap().owner = Relation::NotVisible;
    assert!(text(&snapshot, &[LEFT], None).contains("not known: the owner is not visible from here"));
    // Nonsense ends.
    snapshot.namespaces.get_mut(&UPPER).unwrap().parent = Relation::Known(LOWER);
    assert!(text(&snapshot, &[LOWER], None).contains("not known: the parent of user:["));
}
