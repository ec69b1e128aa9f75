//! File systems whose server has died, in either way, on the way to what is to be opened.

use std::os::fd::AsFd;
use std::time::Duration;

use lxkns_core::model::NamespaceId;
use lxkns_fixture::Actor;
use lxkns_fixture::fuse::{DeadFuse, Death};
use lxkns_mountns::{ErrorKind, MountNamespace, Sandboxes, Target};

use super::{LONG, enter, id, id_of, is_gone, sandboxes, soon};
use crate::harness::Need::{File, FileSystem, Root};
use crate::harness::{Test, test};

const FUSE: &[crate::harness::Need] = &[Root, File("/dev/fuse"), FileSystem("fuse")];

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("mountns::dead::unread", FUSE, unread),
        test("mountns::dead::unanswered", FUSE, unanswered),
        test("mountns::dead::left_behind_by_another_run", FUSE, left_behind_by_another_run),
        test("mountns::dead::for_others_who_ask", FUSE, for_others_who_ask),
        test("mountns::dead::with_the_owner_gone", FUSE, with_the_owner_gone),
        test("mountns::dead::on_the_callers_own_path", FUSE, on_the_callers_own_path),
        test("mountns::dead::in_a_user_namespace", FUSE, in_a_user_namespace),
    ]
}

/// What is to come back by its deadline anyway.
const SHORT: Duration = Duration::from_millis(300);

/// A mount namespace with a dead FUSE that has a namespace bind-mounted on each of its two files, and another one beside
/// it.
struct Dead {
    sandboxes: Sandboxes,
    namespace: MountNamespace,
    net: NamespaceId,
    fuse: DeadFuse,
    actor: Actor,
}

fn dead(death: Death) -> Dead {
    let actor = Actor::spawn_in(&["mnt"]);
    actor.mount("tmpfs", "/tmp");
    actor.mkdir("/tmp/fuse");
    let fuse = DeadFuse::mount(&actor, "/tmp/fuse", death);
    let holder = actor.fork();
    holder.unshare(&["net"]);
    let net = id(&holder, "net");
    actor.touch("/tmp/net");
    for path in ["/tmp/fuse/file", "/tmp/fuse/other", "/tmp/net"] {
        actor.bind(format!("/proc/{}/ns/net", holder.pid()), path);
    }
    let sandboxes = sandboxes();
    let namespace = enter(&sandboxes, &actor);
    assert_eq!(id_of(&namespace.open_namespace(b"/tmp/fuse/file", Some(net), LONG).unwrap()), net);
    fuse.die();
    Dead { sandboxes, namespace, net, fuse, actor }
}

/// The same, and a helper that is stuck in it. On a loaded host, a helper can be killed before its request has reached the
/// server: then it ends.
fn stuck() -> (Dead, u32) {
    let stuck = (0..20).map(|_| dead(Death::Unanswered)).find_map(|dead| {
        let pid = dead.try_it();
        (!dead.fuse.requests().is_empty()).then_some((dead, pid))
    });
    stuck.expect("no request reached the FUSE server")
}

impl Dead {
    /// Tries a path over the dead file system, and says which helper that has cost.
    #[track_caller]
    fn try_it(&self) -> u32 {
        let pid = self.namespace.helper().unwrap();
        let error = self.namespace.open_namespace(b"/tmp/fuse/file", Some(self.net), SHORT).unwrap_err();
        assert_eq!((error.kind(), error.abandoned()), (ErrorKind::TimedOut, Some(pid)), "{error}");
        assert_eq!(error.errno(), None, "the kernel has not said so");
        assert!(error.operation().starts_with("open in mount namespace, over file system 0:"), "{error}");
        pid
    }

    /// All else still works, and further paths over the file system cost nothing: its server gets no request.
    #[track_caller]
    fn all_else_works(&self) {
        let asked = self.fuse.requests();
        for path in [&b"/tmp/fuse/other"[..], b"/tmp/fuse/file"] {
            let error = self.namespace.open_namespace(path, Some(self.net), LONG).unwrap_err();
            assert_eq!((error.kind(), error.abandoned()), (ErrorKind::Avoided, None), "{error}");
        }
        assert_eq!(self.fuse.requests(), asked);
        let fd = self.namespace.open_namespace(b"/tmp/net", Some(self.net), LONG).unwrap();
        assert_eq!(id_of(&fd), self.net);
        assert!(self.namespace.mountinfo().unwrap().ends_with(b"\n"));
    }
}

fn unread() {
    let dead = dead(Death::Unread);
    let pid = dead.try_it();
    soon("the helper's end", || !dead.sandboxes.helpers().contains(&pid));
    assert!(is_gone(pid));
    assert_eq!(dead.sandboxes.abandoned(), [0; 0]);
    dead.all_else_works();
}

fn unanswered() {
    let (dead, pid) = stuck();
    dead.all_else_works();
    assert_eq!(dead.sandboxes.abandoned(), [pid], "it cannot end");
    assert!(!is_gone(pid));
    let Dead { sandboxes, namespace, fuse, .. } = dead;
    fuse.abort();
    soon("the helper's end", || sandboxes.abandoned().is_empty());
    assert!(is_gone(pid));
    assert_eq!(sandboxes.helpers(), [namespace.helper().unwrap()]);
}

/// Those of another run, of which this one knows nothing, cost no more than they have.
fn left_behind_by_another_run() {
    let (dead, pid) = stuck();
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap();
    let device = comm.trim_end().strip_prefix("mntns ").unwrap_or_else(|| panic!("it says what it asks: {comm}"));
    let number = |digits| u32::from_str_radix(digits, 16).unwrap();
    let (major, minor) = device.split_once(':').map(|(major, minor)| (number(major), number(minor))).unwrap();
    let mountinfo = std::fs::read_to_string(format!("/proc/{}/mountinfo", dead.actor.pid())).unwrap();
    let of_fuse = mountinfo.lines().find(|line| line.contains(" - fuse ")).unwrap();
    assert_eq!(of_fuse.split(' ').nth(2), Some(&*format!("{major}:{minor}")));

    let asked = dead.fuse.requests();
    let another = sandboxes();
    let namespace = enter(&another, &dead.actor);
    for path in [&b"/tmp/fuse/other"[..], b"/tmp/fuse/file"] {
        let error = namespace.open_namespace(path, Some(dead.net), LONG).unwrap_err();
        assert_eq!((error.kind(), error.abandoned()), (ErrorKind::Avoided, None), "{error}");
        assert!(error.operation().contains(&format!("process {pid} waits for it")), "{error}");
    }
    assert_eq!(dead.fuse.requests(), asked, "nobody asks it any more");
    assert_eq!(another.abandoned(), [0; 0]);
    // What is beside it is found all the same, in the cache or not.
    dead.actor.mkdir("/tmp/beside");
    let error = namespace.open_path(b"/tmp/beside/nothing", LONG).unwrap_err();
    assert_eq!(error.errno().and_then(|errno| errno.name()), Some("ENOENT"), "{error}");
    assert_eq!(id_of(&namespace.open_namespace(b"/tmp/net", Some(dead.net), LONG).unwrap()), dead.net);
}

/// Who waits for another's turn waits no longer than is wanted, and the helper is not blamed for it.
fn for_others_who_ask() {
    let Dead { sandboxes, namespace, fuse, net, actor: _actor } = dead(Death::Unanswered);
    let pid = namespace.helper();
    std::thread::scope(|scope| {
        let first = scope.spawn(|| namespace.open_namespace(b"/tmp/fuse/file", Some(net), LONG));
        fuse.wait_for_request();
        let error = namespace.open_namespace(b"/tmp/net", Some(net), Duration::from_millis(10)).unwrap_err();
        assert_eq!((error.kind(), error.abandoned()), (ErrorKind::Busy, None), "{error}");
        assert_eq!(namespace.helper(), pid, "that does not wait at all");
        fuse.abort();
        assert_ne!(first.join().unwrap().unwrap_err().kind(), ErrorKind::TimedOut);
    });
    assert_eq!(id_of(&namespace.open_namespace(b"/tmp/net", Some(net), LONG).unwrap()), net);
    assert_eq!((namespace.helper(), sandboxes.abandoned().len()), (pid, 0));
}

/// What was abandoned is reaped when it ends, also when nothing else of the library is left.
fn with_the_owner_gone() {
    let (Dead { sandboxes, namespace, fuse, actor: _actor, .. }, pid) = stuck();
    drop((namespace, sandboxes));
    assert!(!is_gone(pid));
    fuse.abort();
    soon("the helper's end", || is_gone(pid));
}

/// A path of the caller's own, through somebody's root directory.
fn on_the_callers_own_path() {
    let dead = dead(Death::Unanswered);
    let path = format!("/proc/{}/root/tmp/fuse/other", dead.actor.pid());
    let error = dead.sandboxes.open(Target::Path(path.as_ref()), SHORT).unwrap_err();
    assert_eq!((error.kind(), error.abandoned()), (ErrorKind::TimedOut, None), "{error}");
    assert_eq!(error.operation(), format!("open {path}"));
    dead.fuse.wait_for_request();
}

/// One that an ordinary user has mounted: it keeps up whoever enters the user namespace first. Whoever does not is kept
/// out by the kernel, root too.
fn in_a_user_namespace() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", "/tmp");
    actor.mkdir("/tmp/fuse");
    let fuse = DeadFuse::mount(&actor, "/tmp/fuse", Death::Unanswered);
    actor.bind("/proc/self/ns/net", "/tmp/fuse/file");
    let net = Some(id(&actor, "net"));
    let sandboxes = sandboxes();
    let (mnt, user) = (actor.open_ns("mnt"), actor.open_ns("user"));
    let through_user = Target::FdThroughUser(mnt.as_fd(), user.as_fd());
    let namespace = sandboxes.open(through_user, LONG).unwrap();
    assert!(namespace.open_namespace(b"/tmp/fuse/file", net, LONG).is_ok());
    // What it opens there the caller may not look at.
    let error = namespace.open_path(b"/tmp/fuse/other", LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    fuse.die();
    let before = fuse.requests();
    let error = enter(&sandboxes, &actor).open_namespace(b"/tmp/fuse/file", net, LONG).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{error}");
    assert_eq!(fuse.requests(), before);
    let error = namespace.open_namespace(b"/tmp/fuse/file", net, SHORT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut, "{error}");
    assert_eq!(sandboxes.abandoned(), [error.abandoned().unwrap()]);
    drop(fuse);
    soon("the helper's end", || sandboxes.abandoned().is_empty());
}
