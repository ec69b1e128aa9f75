//! Checks on what an attacker found out about a caught process.

use std::fs;

use lxkns_fixture::{Actor, Caught, CaughtFd, Method, Open, Place};

use super::container::{Container, Kind, place};
use crate::live::directory;

const TYPE: u32 = 0o170_000;
const FIFO: u32 = 0o010_000;
const CHARACTER_DEVICE: u32 = 0o020_000;
const DIRECTORY: u32 = 0o040_000;

/// Something that an attacker must not find: the kind of leak, and details of this one.
#[derive(Clone, Debug)]
pub(super) struct Leak {
    pub(super) what: String,
    pub(super) details: String,
}

/// Everything that processes of the container have themselves.
pub(super) struct Allowed {
    root: Place,
    cwd: Place,
    host_root: Place,
    permitted: u64,
    bounding: u64,
    cgroup: String,
    namespaces: Vec<(String, String)>,
    canary: Vec<u8>,
    /// Whether a sealed memory file may be open: the program given by `--tools FILE`.
    tool: bool,
}

impl Allowed {
    pub(super) fn of(container: &Container, canary: &str, tool: bool) -> Self {
        let namespaces = ["user", "mnt", "pid", "net", "ipc", "uts", "cgroup"].map(|name| {
            let link = format!("ns/{name}");
            let target = container.link(&link);
            (link, target)
        });
        Self {
            root: place(format!("/proc/{}/root", container.target.pid())),
            cwd: place(format!("/proc/{}/cwd", container.target.pid())),
            host_root: place("/"),
            permitted: container.caps("CapPrm"),
            bounding: container.caps("CapBnd"),
            cgroup: container.own_text("cgroup"),
            namespaces: namespaces.into(),
            canary: canary.as_bytes().to_vec(),
            tool,
        }
    }

    /// Returns what the caught process has and the container has not.
    pub(super) fn leaks(&self, caught: &Caught) -> Vec<Leak> {
        let mut leaks = Vec::new();
        let mut leak = |what: &str, details: String| {
            let exe = caught.text("exe").or(caught.status("Name")).unwrap_or_default();
            leaks
                .push(Leak { what: what.to_owned(), details: format!("{details} (PID {} inside, {exe})", caught.pid) });
        };
        for (name, allowed) in [("root", &self.root), ("cwd", &self.cwd)] {
            match caught.place(name) {
                Some(place) if is_same(&place, &self.host_root) => {
                    leak(&format!("{name} is the host's root directory"), format!("{place:?}"));
                }
                Some(place) if (!is_same(&place, allowed) || place.mount != allowed.mount) => {
                    leak(&format!("{name} is not the target's"), format!("{place:?}"));
                }
                _ => {}
            }
        }
        for fd in caught.fds() {
            if let Some(what) = self.leak_of_fd(&fd) {
                leak(&what, in_words(&fd));
            }
        }
        for (name, most) in [
            ("CapPrm", self.permitted),
            ("CapEff", self.permitted),
            ("CapInh", self.permitted),
            ("CapAmb", self.permitted),
            ("CapBnd", self.bounding),
        ] {
            if let Some(set) = caught.caps(name)
                && set & !most != 0
            {
                leak("capabilities exceed the target's", format!("{name} {set:x}, not {most:x}"));
            }
        }
        // A zombie no longer has the control group that it was in.
        let has_ended = caught.status("State").is_some_and(|state| state.starts_with(['Z', 'X']));
        if let Some(cgroup) = caught.text("cgroup")
            && cgroup != self.cgroup
            && !has_ended
        {
            leak("control groups are not the target's", format!("{cgroup:?}, not {:?}", self.cgroup));
        }
        for (name, allowed) in &self.namespaces {
            // Where a link may not be read, Linux 5.10 gives nothing and no error.
            if let Some(link) = caught.text(name).filter(|link| !link.is_empty())
                && link != *allowed
            {
                leak("a namespace is not the target's", format!("{link}, not {allowed}"));
            }
        }
        for name in ["environ", "cmdline"] {
            if contains(caught.bytes(name).unwrap_or_default(), &self.canary) {
                leak(&format!("{name} contains the canary"), String::new());
            }
        }
        if let Some(places) = caught.canary().filter(|places| !places.is_empty()) {
            leak("memory contains the canary", places.join(" "));
        }
        if let Some(terminal) = caught.stat(7).filter(|terminal| *terminal != 0) {
            leak("it has a controlling terminal", format!("tty_nr {terminal}"));
        }
        leaks
    }

    /// Returns what is wrong with a descriptor. Only pipes, files of the container and the tool are harmless.
    fn leak_of_fd(&self, fd: &CaughtFd) -> Option<String> {
        for (place, how) in [(&fd.root_of_first, "a descriptor on a procfs leads"), (&fd.top, "a descriptor leads")] {
            if place.as_ref().is_some_and(|place| is_same(place, &self.host_root)) {
                return Some(format!("{how} to the host's root"));
            }
        }
        let is = fd.is.as_ref()?;
        match is.mode & TYPE {
            FIFO => None,
            CHARACTER_DEVICE => Some("a descriptor is on a device".to_owned()),
            DIRECTORY => Some("a descriptor is on a directory".to_owned()),
            _ if is.device == self.root.device => None,
            // What was gone by then had been closed by exec: other runs see it.
            _ if self.tool && fd.link.starts_with("/memfd:tool") && fd.is_sealed != Some(false) => None,
            _ if fd.link.starts_with("socket:") => Some("a descriptor is on a socket".to_owned()),
            _ if fd.link.starts_with("anon_inode:") => Some(format!("a descriptor is on {}", fd.link)),
            _ => Some("a descriptor is on a file of the host".to_owned()),
        }
    }
}

fn in_words(fd: &CaughtFd) -> String {
    let CaughtFd { number, link, flags, is, .. } = fd;
    let is = is.as_ref().map(|is| format!("{:o} on {}", is.mode, is.device)).unwrap_or_default();
    format!("{number} -> {link}, {is}, flags {flags:o}")
}

pub(super) fn is_same(a: &Place, b: &Place) -> bool {
    (&a.device, a.ino) == (&b.device, b.ino)
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Proves that the attacks work: a process with the host's root, files and powers enters, and the attacker finds all of it.
pub(super) fn finds_what_is_there() {
    const IN_MEMORY: &str = "memory contains the canary";
    for kind in [Kind::Tracing, Kind::LateBounding, Kind::Above] {
        for method in [Method::Seize, Method::Look] {
            let canary = "lxkns-canary-of-a-process-that-tells-all";
            let directory = directory();
            fs::write(directory.path().join("file"), "").unwrap();
            let container = Container::new(kind);
            let allowed = Allowed::of(&container, canary, false);

            let outside = Actor::spawn();
            outside.chdir(directory.path());
            let open = |path: &str| outside.open(path, Open::ReadOnly);
            let fds = [open("/proc"), open("."), open("file"), open("/dev/null")];
            outside.enter(&container.target.open_ns("pid"));
            let attacking = container.attacker.attack(method, canary.as_bytes());
            let look = || {
                // The actor's heap keeps a copy of what it writes, until it needs that memory for something else.
                outside.write_file("/dev/null", canary.repeat(100).as_bytes());
                let stranger = outside.fork();
                let mut haul = attacking.haul();
                while haul.caught.is_empty() {
                    haul = attacking.haul();
                }
                let mut leaks: Vec<String> =
                    haul.caught.iter().flat_map(|caught| allowed.leaks(caught)).map(|leak| leak.what).collect();
                leaks.sort();
                leaks.dedup();
                (stranger, leaks)
            };
            const TRIES: usize = 20;
            let (stranger, leaks) = (1..TRIES)
                .map(|_| look())
                .find(|(_, leaks)| leaks.iter().any(|leak| leak == IN_MEMORY))
                .unwrap_or_else(look);
            drop(attacking);
            for what in [
                "root is the host's root directory",
                "cwd is not the target's",
                "a descriptor on a procfs leads to the host's root",
                "a descriptor leads to the host's root",
                "a descriptor is on a file of the host",
                "a descriptor is on a device",
                "capabilities exceed the target's",
                "control groups are not the target's",
                "a namespace is not the target's",
                IN_MEMORY,
            ] {
                assert!(leaks.iter().any(|leak| leak == what), "{kind:?} {method:?}: {what}: {leaks:?}; {fds:?}");
            }
            assert_eq!(container.strangers().iter().map(|stranger| stranger.0).collect::<Vec<_>>(), [stranger.pid()]);
        }
    }
}
