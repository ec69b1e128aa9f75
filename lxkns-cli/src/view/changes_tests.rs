use lxkns_answers::Context;
use lxkns_answers::changes::{caveats, invisible, only};
use lxkns_core::model::{
    Cause, Gap, Holder, Namespace, NamespaceType, Object, Operation, Pid, Place, Relation, Snapshot, Tid,
};
use lxkns_core::relations::{Life, NamespaceChanges, changes};

use super::*;
use lxkns_answers::testing::{BUSY, HOME, LEFT, LOOSE, NET, USER, id, process, snapshot};

fn of_one_boot() -> Snapshot {
    let mut snapshot = snapshot();
    snapshot.host.boot_id = Some("boot".into());
    snapshot
}

fn text_of(old: &Snapshot, new: &Snapshot, edit: impl Fn(&mut Vec<NamespaceChanges<'_>>), limit: usize) -> String {
    let mut found = changes(old, new).unwrap();
    edit(&mut found.namespaces);
    let mut out = Vec::new();
    let between = Between { old, new: Context { snapshot: new, mount_ns: Some(HOME), is_live: true } };
    write(&mut out, &between, &found.namespaces, Screen::default(), limit).unwrap();
    String::from_utf8(out).unwrap()
}

fn text(old: &Snapshot, new: &Snapshot) -> String {
    text_of(old, new, |_| {}, 10)
}

#[test]
fn what_appears_says_who_is_in_it_and_what_goes_what_held_it() {
    let (old, mut new) = (of_one_boot(), of_one_boot());
    new.namespaces.remove(&LEFT);
    let mut namespace = Namespace::new(id(4_026_532_600), NamespaceType::Uts);
    namespace.owner = Relation::Known(USER);
    namespace.leaders = vec![Pid(300)];
    namespace.holders = vec![Holder::Process { pid: Pid(300) }];
    new.namespaces.insert(namespace.id, namespace);
    let evil = process(300, 1, "evil\x1b[2J now", &[(NamespaceType::Uts, id(4_026_532_600))]);
    new.processes.insert(Pid(300), evil);
    assert_eq!(
        text(&old, &new),
        "+ uts:[4026532600] appeared, held by 1 process\n  \
           process 300 (evil\\x1b[2J now)\n  \
           owned by user:[4026531837]\n\
         ? net:[4026532300] (left) no longer visible; was held by 1 fd, 1 bind mount\n"
    );
    // What the kernel says of it decides.
    for (life, expected) in [
        (Life::Ended, "- net:[4026532300] gone; was held by 1 fd, 1 bind mount\n"),
        (Life::Alive, "? net:[4026532300] no longer visible, but alive; was held by 1 fd, 1 bind mount\n"),
        (Life::Unknown, "? net:[4026532300] no longer visible; was held by 1 fd, 1 bind mount\n"),
    ] {
        let mut found = changes(&old, &new).unwrap();
        found.settle(|_| life);
        let mut out = Vec::new();
        let between = Between { old: &old, new: Context { snapshot: &new, mount_ns: None, is_live: true } };
        write(&mut out, &between, &found.namespaces, Screen::default(), 10).unwrap();
        assert!(out.ends_with(expected.as_bytes()), "{}", out.escape_ascii());
        let explained = invisible(&found.namespaces, &new);
        assert_eq!(explained.is_some(), life != Life::Ended);
        assert!(explained.is_none_or(|line| line.contains("an open /proc/PID/net file")));
    }
    assert_eq!(text(&old, &old), "");
    let types =
        |namespaces: &mut Vec<NamespaceChanges<'_>>| only(namespaces, &[NamespaceType::Net, NamespaceType::Mnt]);
    assert_eq!(text_of(&old, &new, types, 10).lines().count(), 1);
}

#[test]
fn what_stays_says_what_changed_about_it() {
    let (mut old, mut new) = (of_one_boot(), of_one_boot());
    let busy = new.namespaces.get_mut(&BUSY).unwrap();
    busy.leaders.clear();
    busy.holders = vec![Holder::Fd { pid: Pid(1), tid: Tid(1), fd: 8 }];
    new.processes.get_mut(&Pid(200)).unwrap().namespaces.set(NamespaceType::Net, NET);
    // The command line of a process that no namespace names any more is not read again.
    new.processes.get_mut(&Pid(200)).unwrap().command_line = None;
    old.namespaces.get_mut(&LEFT).unwrap().holders.truncate(1);
    assert_eq!(
        text(&old, &new),
        "~ net:[4026531833]\n  \
           + process 200 (sleep 1000) came from net:[4026532200]\n\
         ~ net:[4026532200]\n  \
           - no process or task is in it any more: held by 1 fd\n  \
           - process 200 (sleep 1000) moved to net:[4026531833]\n  \
           + fd 8 of process 1 (init)\n\
         ~ net:[4026532300] (left)\n  \
           + bind mount /run/netns/left in mnt:[4026531832] of process 1 (init)\n"
    );
    let back = text(&new, &old);
    assert!(back.contains("  + process 200 (sleep 1000) is in it, and no process was\n"), "{back}");
    assert!(back.contains("  - bind mount /run/netns/left in mnt:"), "{back}");
}

#[test]
fn of_many_changes_of_a_kind_the_first_are_told_and_the_rest_counted() {
    let (old, mut new) = (of_one_boot(), of_one_boot());
    let fds = |pid| (20..24).map(move |fd| Holder::Fd { pid: Pid(pid), tid: Tid(pid), fd });
    for ns in [BUSY, LOOSE, LEFT] {
        new.namespaces.get_mut(&ns).unwrap().holders.extend(fds(200));
        new.namespaces.get_mut(&ns).unwrap().holders.sort();
    }
    let all = text_of(&old, &new, |_| {}, 2);
    assert_eq!(all.matches("  and 2 more (--all shows all)\n").count(), 3, "{all}");
    let three = text_of(&old, &new, |_| {}, 3);
    assert!(
        three.contains("  + fd 23 of ") && !three.contains("--all"),
        "the fourth takes the place of that line: {three}"
    );
    assert!(all.contains("~ net:[4026532200]\n  + fd 20 of process 200 (sleep 1000)\n"), "{all}");
}

#[test]
fn what_cannot_be_told_is_said() {
    let (old, mut new) = (of_one_boot(), snapshot());
    new.namespaces.remove(&LEFT);
    let object = Object::Fd(Pid(1), Tid(1), 7);
    new.gaps = vec![Gap::because(Place::Fds, object, Operation::OPEN, Cause::Denied)];
    new.options.places = new.options.places.without(Place::Tun);
    let found = changes(&old, &new).unwrap();
    let what = "what only the other side saw there is not reported as new or gone";
    assert_eq!(
        caveats(&found),
        [
            "OLD or NEW does not name its boot: both are taken to be from the same one".to_owned(),
            format!("NEW saw less in these places: fds, tun; {what}"),
        ]
    );
    let unseen = text(&old, &new);
    assert!(
        unseen.starts_with(
            "? net:[4026532300] (left) no longer visible; not everything that held it can be seen; was held by"
        ),
        "{unseen}"
    );
    let seen = text(&new, &old);
    assert!(seen.starts_with("? net:[4026532300] (left) visible now; it may have existed before: held by"), "{seen}");
    let mut inside = of_one_boot();
    inside.processes.get_mut(&Pid(1)).unwrap().tasks[0].start_time_ticks = 1;
    let found = changes(&old, &inside).unwrap();
    assert!(caveats(&found)[0].starts_with("OLD and NEW are from different PID namespaces"));
}
