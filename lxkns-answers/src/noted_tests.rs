use std::time::UNIX_EPOCH;

use lxkns_model::LostEvents;
use serde_json::{Value, json};

use super::*;
use crate::testing::{BUSY, HOME, LEFT, LOOSE, NET, USER, snapshot};

const ALL: Filter<'_> = Filter { types: &[], only_some: false, all_holders: false };
const NEW: u64 = 4_026_533_000;

/// An event of the initial namespaces, with one other network namespace.
fn event(kind: TaskEventKind, pid: u32, net: u64, unique_id: u64) -> TaskEvent {
    let new = TaskEvent::new(kind, UNIX_EPOCH + Duration::from_secs(7), Pid(pid), Tid(pid), b"web\x1b");
    let [mnt, user, net] = [HOME.ino, USER.ino, net].map(|ino| ino as u32);
    new.in_namespaces([mnt, 0, 0, 0, user, 0, net, 0, 0, 0], [0, 0, 0, 0, 0, 0, unique_id, 0, 0, 0])
}

/// Whether a scan is due after these events.
fn is_due(events: &[TaskEvent], filter: Filter<'_>) -> bool {
    let (mut noted, snapshot) = (Noted::default(), snapshot());
    events.iter().for_each(|event| noted.note(event, &snapshot, filter, |_, _| false));
    noted.is_due()
}

#[test]
fn what_changes_nothing_is_no_reason_to_scan() {
    use TaskEventKind::{Exec, Exit, Fork};
    for (event, expected) in [
        // A burst in namespaces that are known.
        (event(Fork, 300, NET.ino, 0), false),
        (event(Exec, 300, NET.ino, 0), false),
        (event(Exit, 300, NET.ino, 0), false),
        (event(Fork, 300, BUSY.ino, 0), false),
        // The most senior process ends; the one that has the last descriptor; a task apart.
        (event(Exit, 200, BUSY.ino, 0), true),
        (event(Exit, 1, NET.ino, 0), true),
        (event(Exit, 201, NET.ino, 0), true),
        // Nobody was in it; somebody comes to it; another one with its number.
        (event(Fork, 300, LEFT.ino, 0), true),
        (event(Exec, 200, NET.ino, 0), true),
        (event(Fork, 300, BUSY.ino, 7), true),
        (event(Fork, 300, NEW, 0), true),
    ] {
        assert_eq!(is_due(std::slice::from_ref(&event), ALL), expected, "{event:?}");
    }
    let mut of_task = event(Exec, 200, 0, 0).in_namespaces([LOOSE.ino as u32, 0, 0, 0, 0, 0, 0, 0, 0, 0], [0; 10]);
    assert!(is_due(std::slice::from_ref(&of_task), ALL), "the process was elsewhere");
    of_task.tid = Tid(201);
    assert!(!is_due(&[of_task], ALL), "the task was there before");
    let appears = [event(Fork, 300, NEW, 0)];
    assert!(!is_due(&appears, Filter { only_some: true, ..ALL }));
    assert!(!is_due(&appears, Filter { types: &[NamespaceType::Uts], ..ALL }));
    assert!(is_due(&appears, Filter { types: &[NamespaceType::Net], ..ALL }));
}

/// What is told of a namespace that no scan shows, by the kernel's answers to whether it lives.
fn told(lives: &[Life]) -> Vec<Vec<Value>> {
    let (mut noted, snapshot) = (Noted::default(), snapshot());
    let look = |life: &Life| {
        for (kind, pid) in [(TaskEventKind::Fork, 300), (TaskEventKind::Exit, 301)] {
            noted.note(&event(kind, pid, NEW, 9), &snapshot, ALL, |_, _| false);
        }
        noted.begin();
        let (passed, _) = noted.settle(&snapshot, |_| *life);
        let events = passed.iter().flat_map(|passed| passed.events(&snapshot));
        events.map(|event| serde_json::to_value(event).unwrap()).collect()
    };
    lives.iter().map(look).collect()
}

#[test]
fn what_only_events_have_seen_is_told_with_who_was_in_it() {
    let line = |change: &str| {
        json!({
            "time": "1970-01-01T00:00:07.000000000Z",
            "change": change,
            "namespace": {"nsid": NEW, "type": "net", "unique-id": 9, "initial": false, "owner": null},
            "process": {"pid": 300, "command": "web\u{1b}"},
        })
    };
    assert_eq!(told(&[Life::Ended]), [[line("appeared"), line("went")]]);
    // It can have moved while the scan ran; the second time it is as it says.
    assert_eq!(told(&[Life::Alive, Life::Alive]), [vec![], vec![line("appeared"), line("hidden")]]);
    // Where nothing is known, the same is not said for ever.
    assert_eq!(told(&[Life::Unknown, Life::Unknown]), [vec![line("appeared"), line("vanished")], vec![]]);
}

#[test]
fn what_a_scan_shows_is_not_told_twice() {
    let (mut noted, old) = (Noted::default(), snapshot());
    let mut new = old.clone();
    let id = NamespaceId { ino: NEW, ..NET };
    new.namespaces.insert(id, Namespace::new(id, NamespaceType::Net));
    noted.note(&event(TaskEventKind::Fork, 300, NEW, 9), &old, ALL, |_, _| false);
    assert_eq!(noted.settle(&new, |_| Life::Unknown).0, []);
}

#[test]
fn a_namespace_in_words_is_escaped() {
    let (mut noted, snapshot) = (Noted::default(), snapshot());
    noted.note(&event(TaskEventKind::Fork, 300, NEW, 9), &snapshot, ALL, |_, _| false);
    let (passed, _) = noted.settle(&snapshot, |_| Life::Ended);
    let line = " (ID 9) appeared and ended; process 300 (web\\x1b) was in it".to_owned();
    assert_eq!(passed[0].line(), ('-', line));
}

#[test]
fn crowds_take_bounded_memory_and_the_rest_counts_as_lost() {
    let (mut noted, snapshot) = (Noted::default(), snapshot());
    for id in 1..=MOST as u64 + 3 {
        noted.note(&event(TaskEventKind::Fork, 300, NEW, id), &snapshot, ALL, |_, _| false);
    }
    let (passed, lost) = noted.settle(&snapshot, |_| Life::Unknown);
    assert_eq!((passed.len(), lost), (MOST, LostEvents { counted: 3, more: true, unread: 0 }));
    assert_eq!(noted.settle(&snapshot, |_| Life::Unknown).1, LostEvents::default());
}

#[test]
fn what_is_lost_is_said() {
    let text = |counted, more, unread| {
        LostForm::of(&LostEvents { counted, more, unread }, None).map(|form| (form.events, form.text))
    };
    let rest = ": what appeared and ended meanwhile can be missing";
    assert_eq!(text(0, false, 0), None);
    assert_eq!(text(1, false, 0), Some((Some(1), format!("1 task event was lost{rest}"))));
    assert_eq!(text(2, true, 0), Some((Some(2), format!("at least 2 task events were lost{rest}"))));
    assert_eq!(text(0, true, 0), Some((None, format!("task events were lost{rest}"))));
    let late = format!("2 task events came too late to read the task's namespaces{rest}");
    assert_eq!(text(0, false, 2), Some((Some(0), late)));
}

#[test]
fn scans_are_taken_soon_but_not_all_the_time() {
    let (now, second) = (Instant::now(), Duration::from_secs(1));
    let mut pace = Pace::new(10 * second);
    pace.scanned(now, second / 100);
    pace.want(now + second);
    pace.want(now + 2 * second);
    assert_eq!(pace.due(), now + second + Pace::SETTLES, "later ones do not put it off");
    pace.scanned(now, second);
    pace.want(now);
    assert_eq!(pace.due(), now + 5 * second);
    pace.scanned(now, 3 * second);
    pace.want(now);
    assert_eq!(pace.due(), now + 10 * second, "the interval is kept");
    let mut never = Pace::new(Duration::MAX);
    never.want(now);
    assert!(never.due() > now);
}
