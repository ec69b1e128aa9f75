//! What leads out of a container and has no descriptor any more, or no file where files are looked for: mappings, descriptors on
//! their way, files of a ring, layers of overlays, devices in any place.

use std::fs;
use std::os::fd::AsFd as _;

use lxkns_answers::audit::{Judgement, Severity};
use lxkns_core::model::{CapabilitySet, Container, EngineKind, Pid};
use lxkns_fixture::{Actor, Open, deny_devices};

use super::{directory, evidence, judge, judge_in, of_kind};
use crate::harness::Need::{File, FileSystem, Kernel, Program, Root, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::inode;
use crate::live::processes::{Cgroup, hierarchy};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("audit::descriptors_on_their_way", &[UserNamespaces, Kernel(5, 6)], descriptors_on_their_way),
        test("audit::tun_files_of_the_host", &[Root, File("/dev/net/tun"), Kernel(5, 6)], tun_files),
        test("audit::mapped_devices", &[Root, Program("losetup"), File("/dev/loop-control")], mapped_devices),
        test("audit::mapped_files", &[Root, FileSystem("tmpfs")], mapped_files),
        test(
            "audit::character_devices",
            &[Root, Program("losetup"), File("/dev/loop-control"), FileSystem("tmpfs")],
            character_devices,
        ),
        test("audit::devices_by_control_group", &[Root], devices_by_control_group),
        test("audit::layers_of_the_host", &[Root, FileSystem("overlay"), FileSystem("tmpfs")], layers),
    ]
}

#[track_caller]
fn says_not_judged(judgement: &Judgement, what: &str, actor: &Actor) -> bool {
    let pid = format!("(PID {})", actor.pid());
    judgement.not_judged.iter().any(|said| said.contains(what) && said.ends_with(&pid))
}

/// Takes a capability from all sets of a process.
fn go_without(actor: &Actor, capability: CapabilitySet) {
    let status = fs::read_to_string(format!("/proc/{}/status", actor.pid())).unwrap();
    let permitted = status.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap().trim();
    let left = u64::from_str_radix(permitted, 16).unwrap() & !capability.bits();
    actor.keep_bounding(left);
    actor.set_caps(left);
}

/// The kernel does not tell what was sent and not received, nor where registered files are: that is said.
fn descriptors_on_their_way() {
    let container = Actor::spawn_in(&["user", "mnt", "net"]);
    let directory = container.open("/", Open::ReadOnly);
    let (from, to) = container.send_fd_in_flight(directory);
    let (sent, registered) = ("descriptors in flight lead outside", "registered with an io_uring");
    let judgement = judge(&[&container]);
    assert!(says_not_judged(&judgement, sent, &container), "{judgement:#?}");
    assert!(!says_not_judged(&judgement, registered, &container), "{judgement:#?}");
    container.close(from);
    container.close(to);
    assert!(!says_not_judged(&judge(&[&container]), sent, &container));
    // Where io_uring is switched off, there is none.
    let Ok(ring) = container.try_io_uring_register_files(&[directory]) else { return };
    let judgement = judge(&[&container]);
    assert!(says_not_judged(&judgement, registered, &container), "{judgement:#?}");
    container.close(ring);
    assert!(!says_not_judged(&judge(&[&container]), registered, &container));
}

/// A TUN/TAP file stays in the network namespace that it was opened in.
fn tun_files() {
    let container = Actor::spawn();
    let fd = container.open("/dev/net/tun", Open::ReadWrite);
    container.unshare(&["user", "net"]);
    container.map_root();
    let own = container.open("/dev/net/tun", Open::ReadWrite);
    let host = inode("/proc/self/ns/net");
    let found = |judgement: &Judgement| {
        let all = evidence(judgement, "fd-namespace", &container).into_iter();
        all.map(|(severity, found)| (severity, found.fd, found.nsid)).collect::<Vec<_>>()
    };
    let judgement = judge(&[&container]);
    assert_eq!(found(&judgement), [(Severity::Medium, Some(fd as u32), Some(host))], "{judgement:#?}");
    // The kernel says whose they are.
    let net = |fd| {
        let namespace = lxkns_sys::siocgskns(container.take_fd(fd)).unwrap();
        rustix::fs::fstat(namespace).unwrap().st_ino
    };
    assert_eq!((net(fd), net(own)), (host, container.ns_inode("net")));
    container.close(fd);
    assert_eq!(found(&judge(&[&container])), []);
}

/// A device that was mapped and closed is still read and written through the memory.
fn mapped_devices() {
    let base = directory();
    let image = base.path().join("image");
    fs::File::create(&image).unwrap().set_len(1 << 20).unwrap();
    let losetup = |arguments: &[&str]| {
        let ran = std::process::Command::new("losetup").args(arguments).output().unwrap();
        assert!(ran.status.success(), "{ran:?}");
        String::from_utf8(ran.stdout).unwrap().trim().to_owned()
    };
    let device = losetup(&["--find", "--show", image.to_str().unwrap()]);
    let container = Actor::spawn_in(&["mnt"]);
    container.map_dirty_page(&device);
    // The mapping keeps it, and it goes with the container.
    losetup(&["-d", &device]);
    let devices = |judgement: &Judgement| {
        let found = evidence(judgement, "fd-device", &container).into_iter();
        found.map(|(severity, found)| (severity, found.fd, found.path.clone())).collect::<Vec<_>>()
    };
    let judgement = judge(&[&container]);
    let open = devices(&judgement).into_iter().find_map(|(_, fd, _)| fd);
    container.close(open.unwrap_or_else(|| panic!("{judgement:#?}")) as i32);
    let judgement = judge(&[&container]);
    assert_eq!(devices(&judgement), [(Severity::High, None, Some(device))], "{judgement:#?}");
}

/// So is a file of another container's.
fn mapped_files() {
    let other = Actor::spawn_in(&["mnt"]);
    other.make_mounts_private();
    let at = directory();
    other.mount("tmpfs", at.path());
    let file = at.path().join("file");
    other.write_file(&file, &[1; 4096]);
    let opened = other.take_fd(other.open(&file, Open::ReadWrite));
    let container = Actor::spawn_in(&["mnt"]);
    let given = container.give_fd(opened.as_fd());
    container.map_dirty_page(format!("/proc/self/fd/{given}"));
    let judged = || {
        let of_other = |snapshot: &mut lxkns_core::model::Snapshot| {
            let containers = snapshot.annotations.containers.as_mut().unwrap();
            let mut second = Container::new(EngineKind::Docker, "y", containers.list[0].evidence[0].clone());
            second.main = Some(lxkns_core::model::Said { value: Pid(other.pid()), by: 0 });
            containers.list.push(second);
            containers.members.insert(Pid(other.pid()), 1);
        };
        let judgement = judge_in(&[&container], of_other);
        let found = evidence(&judgement, "fd-file", &container).into_iter();
        let found = found.filter(|(_, found)| found.fd.is_none_or(|fd| fd > 2));
        (found.map(|(severity, found)| (severity, found.fd)).collect::<Vec<_>>(), judgement)
    };
    let (found, judgement) = judged();
    let mut fds: Vec<_> = found.iter().filter_map(|(_, fd)| *fd).collect();
    fds.sort_unstable();
    assert!(fds.len() == 2 && fds.contains(&(given as u32)), "{judgement:#?}");
    fds.iter().for_each(|fd| container.close(*fd as i32));
    let (found, judgement) = judged();
    assert_eq!(found, [(Severity::Medium, None)], "{judgement:#?}");
}

/// A character device of the host's, which engines give to no container, in its `/dev`.
fn character_devices() {
    let container = Actor::spawn_in(&["mnt"]);
    container.make_mounts_private();
    let null = container.open("/dev/null", Open::ReadOnly);
    let device = container.open("/dev/loop-control", Open::Path);
    container.mount("tmpfs", "/dev");
    for (name, fd) in [("null", null), ("some", device)] {
        container.touch(format!("/dev/{name}"));
        container.bind(format!("/proc/self/fd/{fd}"), format!("/dev/{name}"));
    }
    let judgement = judge(&[&container]);
    let found: Vec<_> = of_kind(&judgement, "device").into_iter().flat_map(|it| &it.evidence).collect();
    let paths: Vec<_> = found.iter().filter_map(|it| it.path.as_deref()).filter(|path| path.len() > 4).collect();
    assert_eq!(paths, ["/dev/some"], "{judgement:#?}");
}

/// Wherever a device has its file, a control group decides who opens it. The kernel is asked to open one.
fn devices_by_control_group() {
    let container = Actor::spawn_in(&["mnt"]);
    let severity = |judgement: &Judgement| {
        let found = evidence(judgement, "device-access", &container);
        found.first().map(|it| it.0)
    };
    let mut tried = 0;
    if let Some(mounted) = hierarchy("cgroup", "devices") {
        tried += 1;
        let group = Cgroup::new(&mounted, "audit");
        group.write("cgroup.procs", &container.pid().to_string());
        let judgement = judge(&[&container]);
        let listed = fs::read_to_string(group.0.join("devices.list")).unwrap();
        let expected = listed.starts_with("a ").then_some(Severity::High);
        assert_eq!(severity(&judgement), expected, "{listed}\n{judgement:#?}");
        group.write("devices.deny", "a");
        container.try_open("/dev/zero", Open::ReadOnly).expect_err("it is denied");
        let judgement = judge(&[&container]);
        assert_eq!(severity(&judgement), None, "{judgement:#?}");
        group.write("devices.allow", "b 7:* r");
        assert_eq!(severity(&judge(&[&container])), Some(Severity::High));
        // Without the means to make a file, it needs one.
        go_without(&container, CapabilitySet::MKNOD);
        assert_eq!(severity(&judge(&[&container])), Some(Severity::Medium));
        fs::write(mounted.join("cgroup.procs"), container.pid().to_string()).unwrap();
    }
    if let Some(mounted) = hierarchy("cgroup2", "") {
        let group = Cgroup::new(&mounted, "audit");
        group.write("cgroup.procs", &container.pid().to_string());
        // A kernel without such programs has no filters of version 2.
        if let Ok(program) = deny_devices(&group.0) {
            tried += 1;
            container.try_open("/dev/zero", Open::ReadOnly).expect_err("it is denied");
            let judgement = judge(&[&container]);
            assert_eq!(severity(&judgement), None, "{judgement:#?}");
            assert!(!judgement.not_judged.iter().any(|said| said.contains("devices")), "{judgement:#?}");
            drop(program);
        }
        fs::write(mounted.join("cgroup.procs"), container.pid().to_string()).unwrap();
    }
    assert!(tried > 0, "no control group keeps devices away here");
}

/// Directories of the host's are seen and written to through an overlay. Who may mount can have mounted it itself.
fn layers() {
    let container = Actor::spawn_in(&["mnt"]);
    container.make_mounts_private();
    let at = directory();
    container.mount("tmpfs", at.path());
    let [merged, upper, work] = ["merged", "upper", "work"].map(|name| at.path().join(name));
    [&merged, &upper, &work].into_iter().for_each(|path| container.mkdir(path));
    let data = format!("lowerdir=/etc,upperdir={},workdir={}", upper.display(), work.display());
    container.mount_with("none", "overlay", &merged, 0, &data);
    // It is so: what is in there is the host's.
    assert_eq!(container.read_file(merged.join("passwd")), fs::read("/etc/passwd").unwrap());
    let judgement = judge(&[&container]);
    assert!(
        judgement.not_judged.iter().any(|said| said.starts_with("whose /etc is: not known; it is a layer")),
        "{judgement:#?}"
    );
    go_without(&container, CapabilitySet::SYS_ADMIN);
    let judgement = judge(&[&container]);
    let found: Vec<_> =
        of_kind(&judgement, "host-files").into_iter().filter(|it| it.text.contains("overlay")).collect();
    let [found] = found[..] else { panic!("{judgement:#?}") };
    assert_eq!(
        (found.severity, found.text.as_str()),
        (Severity::Medium, "/etc of the host is seen through an overlay")
    );
}
