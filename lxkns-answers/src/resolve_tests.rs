//! Tests of resolving TARGETs.

use std::ffi::OsStr;

use super::*;
use crate::testing::{BUSY, HOME, LEFT, LOOSE, NET, USER, snapshot};
use lxkns_model::Holder;

/// A host of which is known what is needed.
struct Host;

impl Lookup for Host {
    fn namespace_at(&self, _: &Snapshot, path: &Path) -> io::Result<Option<NamespaceId>> {
        match path.to_str().unwrap() {
            "/" => Ok(None),
            "/run/netns/busy" | "/var/run/netns/busy" | "/run/netns/two" => Ok(Some(BUSY)),
            "/var/run/netns/two" => Ok(Some(LEFT)),
            "/run/netns/locked" => Err(io::ErrorKind::PermissionDenied.into()),
            // EOPNOTSUPP, of a file system.
            "/run/netns/refused" => Err(io::Error::from_raw_os_error(95)),
            "/run/netns/unmounted" | "/unmounted" => Err(io::ErrorKind::Unsupported.into()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn has_task(&self, _: Pid) -> bool {
        false
    }

    fn pidfd_inode(&self, pid: Pid) -> io::Result<Option<u64>> {
        Ok((pid == Pid(200)).then_some(777))
    }
}

fn find_live(text: &str) -> Result<Vec<NamespaceId>, Unresolved> {
    let snapshot = snapshot();
    Resolver::new(Context::live(&snapshot, false), &Host).resolve(&Asked::parse(OsStr::new(text)).unwrap())
}

fn find(text: &str) -> Result<Vec<NamespaceId>, Unresolved> {
    let snapshot = snapshot();
    Resolver::new(Context::of_dump(&snapshot), &Host).resolve(&Asked::parse(OsStr::new(text)).unwrap())
}

#[test]
fn a_task_leads_to_its_process() {
    let snapshot = snapshot();
    let resolver = Resolver::new(Context::of_dump(&snapshot), &Host);
    let process = |pid| resolver.process(Pid(pid)).map(|process| process.pid);
    assert_eq!((process(200), process(201), process(7)), (Some(Pid(200)), Some(Pid(200)), None));
}

#[test]
fn one_resolver_answers_each_target_as_one_of_its_own() {
    let snapshot = snapshot();
    let (dump, live) = (Context::of_dump(&snapshot), Context::live(&snapshot, false));
    for context in [dump, live] {
        let one = Resolver::new(context, &Host);
        for text in ["1", "201", "201/net", ":8731", ":1", "busy", "left", "4026539999", "net:4026539999", "7", "host"]
        {
            let asked = Asked::parse(OsStr::new(text)).unwrap();
            let alone = Resolver::new(context, &Host).resolve(&asked);
            assert_eq!([one.resolve(&asked), one.resolve(&asked)], [alone.clone(), alone], "{text}");
        }
    }
}

#[test]
fn each_form_finds_what_it_means() {
    assert_eq!(find("1"), Ok(vec![HOME, USER, NET]));
    assert_eq!(find("200"), Ok(vec![HOME, LOOSE, USER, BUSY]), "with those of its threads");
    assert_eq!(find("201"), Ok(vec![LOOSE, USER, BUSY]), "a thread");
    assert_eq!(find("200/net"), Ok(vec![BUSY]));
    assert_eq!(find("201/mnt"), Ok(vec![LOOSE]));
    assert_eq!(find("4026532300"), Ok(vec![LEFT]));
    assert_eq!(find("net:[4026532300]"), Ok(vec![LEFT]));
    assert_eq!(find(":1300"), Ok(vec![LEFT]));
}

#[test]
fn what_is_not_there_is_missing() {
    for (text, message) in [
        ("5", "5: no such process"),
        ("5/net", "5/net: no such process"),
        ("pid:4026532300", "pid:4026532300: no such pid namespace: 4026532300 is a net namespace"),
    ] {
        assert_eq!(find(text), Err(Unresolved::Missing(message.into())));
    }
    for text in ["4026539999", ":7", "uts:4026539999"] {
        let Err(Unresolved::NotVisible(message)) = find(text) else { panic!("{text}") };
        let expected =
            format!("{text}: not visible from here: it has ended, or is held only by what the kernel does not list: ");
        assert!(message.starts_with(&expected) && message.contains("a descriptor in flight"), "{message}");
        assert_eq!(message.contains("an open /proc/PID/net file"), !text.starts_with("uts:"), "{message}");
    }
    assert_eq!(find("net:4194305"), Err(Unresolved::Missing("net:4194305: no such namespace".into())));
    assert_eq!(find("1/pid"), Err(Unresolved::Unseen("1/pid: its namespaces are not readable".into())));
    assert!(matches!(find("/run/netns/x"), Err(Unresolved::Usage(_))));
}

#[test]
fn a_living_path_is_looked_up() {
    assert_eq!(find_live("/"), Err(Unresolved::Missing("/: not a namespace".into())));
    assert_eq!(find_live("/no\nwhere"), Err(Unresolved::Missing("/no\\x0awhere: no such file".into())));
    for text in ["1234/nett", "1234:5/nett", "self/x", "host/x"] {
        let Err(Unresolved::Missing(message)) = find_live(text) else { panic!("{text}") };
        assert!(message.contains("is not a namespace type: expected one of mnt, cgroup"), "{message}");
    }
    for (text, meant) in [("1234/nett", "1234/net"), ("1234:5/mount", "1234:5/mnt"), ("self/network", "self/net")] {
        let Err(Unresolved::Missing(message)) = find_live(text) else { panic!("{text}") };
        assert!(message.ends_with(&format!("; did you mean {meant}?")), "{message}");
    }
    for text in ["1234/", "1234/ns/nett", "a/nett"] {
        assert_eq!(find_live(text), Err(Unresolved::Missing(format!("{text}: no such file"))));
    }
}

#[test]
fn names_of_network_namespaces() {
    for text in ["busy", "netns:busy"] {
        assert_eq!(find_live(text), Ok(vec![BUSY]), "two paths, one namespace");
    }
    let Err(Unresolved::Usage(message)) = find_live("two") else { panic!() };
    assert_eq!(message, "two: has several meanings; name one of them: /run/netns/two, /var/run/netns/two");
    let Err(Unresolved::Missing(message)) = find_live("nothing") else { panic!() };
    assert!(message.starts_with("nothing: no network namespace has this name; expected a PID, "), "{message}");
    let none = Unresolved::Missing("netns:nothing: no network namespace has this name".into());
    assert_eq!(find_live("netns:nothing"), Err(none));
    for text in ["netns:unmounted", "unmounted"] {
        assert!(matches!(find_live(text), Err(Unresolved::Missing(_))), "{text}: a name is what is mounted");
    }
    assert!(matches!(find_live("netns:refused"), Err(Unresolved::Unseen(_))), "the kernel does not say what is there");
    assert!(matches!(find_live("/unmounted"), Err(Unresolved::Unseen(_))), "there may be a link");
    assert!(matches!(find_live("locked"), Err(Unresolved::Unseen(message)) if message.contains("permission denied")));
    assert_eq!(find("left"), Ok(vec![LEFT]), "of a dump by its mounts");
    assert!(matches!(find("busy"), Err(Unresolved::Missing(_))));
    let mut snapshot = snapshot();
    let mount = Holder::BindMount { mount_ns: HOME, mount_id: 7, path: Some("/run/netns/left".into()) };
    snapshot.namespaces.get_mut(&BUSY).unwrap().holders.push(mount);
    let asked = Asked::parse(OsStr::new("left")).unwrap();
    let found = Resolver::new(Context::of_dump(&snapshot), &Host).resolve(&asked);
    assert!(matches!(found, Err(Unresolved::Usage(message)) if message.ends_with("net:4026532200, net:4026532300")));
}

#[test]
fn the_initial_namespaces_are_the_hosts() {
    let mut snapshot = snapshot();
    let find = |snapshot: &Snapshot, text: &str| {
        Resolver::new(Context::of_dump(snapshot), &Host).resolve(&Asked::parse(OsStr::new(text)).unwrap())
    };
    for namespace in snapshot.namespaces.values_mut() {
        namespace.initial = [HOME, USER, NET].contains(&namespace.id);
    }
    assert_eq!(find(&snapshot, "host"), Ok(vec![HOME, USER, NET]));
    assert_eq!(find(&snapshot, "host/net"), Ok(vec![NET]));
    assert!(matches!(find(&snapshot, "host/pid"), Err(Unresolved::Unseen(_))));
}

#[test]
fn a_process_is_the_one_that_was_meant() {
    let started = snapshot().processes[&Pid(200)].start_time_ticks();
    assert_eq!(find(&format!("200:{started}/net")), Ok(vec![BUSY]));
    assert_eq!(find_live("200:777/net"), Ok(vec![BUSY]));
    for (found, why) in [
        (find("200:777/net"), "a dump has start times"),
        (find_live("200:778"), "has the pidfd inode 777"),
        (find_live("1:777"), "gives pidfds no inode numbers"),
    ] {
        assert!(matches!(&found, Err(Unresolved::Missing(message)) if message.contains(why)), "{found:?}");
    }
    assert_eq!(find("5:1"), Err(Unresolved::Missing("5:1: no such process".into())));
    assert!(matches!(find("self"), Err(Unresolved::Usage(_))));
    let asked = Asked::parse(OsStr::new("self/net")).unwrap().of_caller(Pid(200));
    let snapshot = snapshot();
    assert_eq!(Resolver::new(Context::live(&snapshot, false), &Host).resolve(&asked), Ok(vec![BUSY]));
    assert!(matches!(Resolver::new(Context::of_dump(&snapshot), &Host).resolve(&asked), Err(Unresolved::Usage(_))));
}
