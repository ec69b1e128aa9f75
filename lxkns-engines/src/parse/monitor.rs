//! Command lines of monitors of containers: containerd's shims, conmon, LXC's monitor, systemd-nspawn.

use bstr::{BString, ByteSlice as _};
use lxkns_model::EngineKind;

use super::unless_empty;

/// What a command line says. Whoever runs a process can write any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Monitor {
    pub(crate) kind: EngineKind,
    pub(crate) id: BString,
    pub(crate) name: Option<BString>,
    pub(crate) engine_namespace: BString,
    /// The directory of the bundle.
    pub(crate) bundle: Option<BString>,
    /// The runtime that it starts.
    pub(crate) runtime: Option<BString>,
    /// Whether it watches over all containers of a pod, and the ID is that of the sandbox.
    pub(crate) has_many: bool,
}

/// Whether a process with this name can be one, before anything else of it is read. The kernel cuts names at 15 bytes.
pub(crate) fn may_be_one(comm: &[u8]) -> bool {
    comm.starts_with(b"containerd-shim")
        || matches!(comm, b"conmon" | b"conmonrs" | b"systemd-nspawn" | b"lxc-start" | b"lxc-execute")
        || comm.starts_with(b"[lxc monitor]")
}

/// Reads a command line.
pub(crate) fn parse(arguments: &[BString]) -> Option<Monitor> {
    let program = arguments.first()?;
    // LXC writes over its own: one text.
    if let Some(rest) = program.strip_prefix(b"[lxc monitor] ") {
        let (_, name) = rest.trim_ascii().rsplit_once_str(" ")?;
        return Some(Monitor::new(EngineKind::Lxc, name));
    }
    match program.rsplit_str("/").next()? {
        name if name.starts_with(b"containerd-shim") => shim(arguments),
        b"conmon" => conmon(arguments),
        b"lxc-start" | b"lxc-execute" => {
            let name = value(arguments, &[b"-n", b"--name"]).or_else(|| positional(arguments))?;
            Some(Monitor::new(EngineKind::Lxc, name))
        }
        b"systemd-nspawn" => nspawn(arguments),
        _ => None,
    }
}

impl Monitor {
    fn new(kind: EngineKind, id: impl Into<BString>) -> Self {
        let (name, engine_namespace) = (None, BString::default());
        Self { kind, id: id.into(), name, engine_namespace, bundle: None, runtime: None, has_many: false }
    }
}

/// `containerd-shim-runc-v2 -namespace NS -id ID -address SOCKET`.
fn shim(arguments: &[BString]) -> Option<Monitor> {
    let namespace = value(arguments, &[b"-namespace", b"--namespace"])?;
    let id = value(arguments, &[b"-id", b"--id"])?;
    let kind = kind_of_namespace(namespace);
    let mut monitor = Monitor::new(kind, id);
    monitor.engine_namespace = namespace.into();
    monitor.has_many = kind == EngineKind::Cri;
    let name = arguments[0].rsplit_str("/").next().unwrap_or_default();
    monitor.runtime = name.strip_prefix(b"containerd-shim-").and_then(|rest| {
        let (runtime, _) = rest.rsplit_once_str("-")?;
        unless_empty(runtime)
    });
    Some(monitor)
}

/// Who uses a namespace of containerd's.
pub(crate) fn kind_of_namespace(namespace: &[u8]) -> EngineKind {
    match namespace {
        b"moby" => EngineKind::Docker,
        b"k8s.io" => EngineKind::Cri,
        _ => EngineKind::Containerd,
    }
}

/// `conmon --api-version 1 -c ID -u ID -r RUNTIME -b BUNDLE -n NAME … --exit-command PODMAN …`.
fn conmon(arguments: &[BString]) -> Option<Monitor> {
    let id = value(arguments, &[b"-c", b"--cid"])?;
    let is_crio =
        arguments.iter().any(|argument| argument.starts_with(b"/var/run/crio") || argument.starts_with(b"/run/crio"));
    let mut monitor = Monitor::new(if is_crio { EngineKind::CriO } else { EngineKind::Podman }, id);
    monitor.name = value(arguments, &[b"-n", b"--name"]).and_then(unless_empty);
    monitor.bundle = value(arguments, &[b"-b", b"--bundle"]).and_then(unless_empty);
    let runtime = value(arguments, &[b"-r", b"--runtime"]);
    monitor.runtime = runtime.and_then(|path| unless_empty(path.rsplit_str("/").next().unwrap_or_default()));
    Some(monitor)
}

/// `systemd-nspawn --machine=NAME -D DIRECTORY …`: the directory's name where it has no other.
fn nspawn(arguments: &[BString]) -> Option<Monitor> {
    let name = value(arguments, &[b"-M", b"--machine"]);
    let of_directory = || {
        let path = value(arguments, &[b"-D", b"--directory"])?.trim_end_with(|character| character == '/');
        path.rsplit_str("/").next()
    };
    let name = name.or_else(of_directory).filter(|name| !name.is_empty())?;
    Some(Monitor::new(EngineKind::Machined, name))
}

/// The value of an option: in the next argument, after `=`, or, of a single letter, in the same argument.
fn value<'a>(arguments: &'a [BString], names: &[&[u8]]) -> Option<&'a [u8]> {
    let mut rest = arguments.iter().skip(1);
    while let Some(argument) = rest.next() {
        if argument == "--" {
            return None;
        }
        for name in names {
            let Some(after) = argument.strip_prefix(*name) else { continue };
            match after {
                [] => return rest.next().map(|value| value.as_slice()),
                [b'=', value @ ..] => return Some(value),
                value if name.len() == 2 => return Some(value),
                _ => {}
            }
        }
    }
    None
}

/// The first argument that is no option.
fn positional(arguments: &[BString]) -> Option<&[u8]> {
    arguments.iter().skip(1).map(|argument| argument.as_slice()).find(|argument| !argument.starts_with(b"-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &[&str]) -> Option<Monitor> {
        parse(&line.iter().map(|&argument| BString::from(argument)).collect::<Vec<_>>())
    }

    #[test]
    fn shims_say_namespace_and_id() {
        let line = ["/usr/bin/containerd-shim-runc-v2", "-namespace", "moby", "-id", "ab12", "-address", "/run/c.sock"];
        let monitor = read(&line).unwrap();
        assert_eq!(
            (monitor.kind, monitor.id, monitor.engine_namespace),
            (EngineKind::Docker, "ab12".into(), "moby".into())
        );
        assert_eq!((monitor.runtime.unwrap(), monitor.has_many), ("runc".into(), false));
        let monitor = read(&["containerd-shim", "-namespace", "k8s.io", "-id", "1"]).unwrap();
        assert_eq!((monitor.kind, monitor.has_many, monitor.runtime), (EngineKind::Cri, true, None));
        assert_eq!(read(&["containerd-shim-runc-v2", "-namespace", "x"]), None);
    }

    #[test]
    fn conmon_says_id_name_and_bundle() {
        let line = [
            "/usr/bin/conmon",
            "--api-version",
            "1",
            "-c",
            "5e1f",
            "-u",
            "5e1f",
            "-r",
            "/usr/bin/crun",
            "-b",
            "/var/lib/containers/storage/overlay-containers/5e1f/userdata",
            "-p",
            "/run/pidfile",
            "-n",
            "web",
            "--exit-dir",
            "/run/libpod/exits",
            "--exit-command",
            "/usr/bin/podman",
        ];
        let monitor = read(&line).unwrap();
        assert_eq!((monitor.kind, monitor.id), (EngineKind::Podman, "5e1f".into()));
        assert_eq!((monitor.name.unwrap(), monitor.runtime.unwrap()), ("web".into(), "crun".into()));
        assert!(monitor.bundle.unwrap().ends_with(b"/userdata"));
        // From the documents of CRI-O: *untried*.
        let monitor = read(&["/usr/bin/conmon", "-b", "/b", "-c", "77", "--exit-dir", "/var/run/crio/exits"]).unwrap();
        assert_eq!((monitor.kind, monitor.id), (EngineKind::CriO, "77".into()));
    }

    #[test]
    fn lxc_and_nspawn_say_their_names() {
        let name = |line: &[&str]| read(line).map(|monitor| (monitor.kind, monitor.id.to_string()));
        let lxc = |name: &str| Some((EngineKind::Lxc, name.to_owned()));
        assert_eq!(name(&["[lxc monitor] /var/lib/lxc lx1"]), lxc("lx1"));
        assert_eq!(name(&["lxc-start", "-F", "-n", "lx1"]), lxc("lx1"));
        assert_eq!(name(&["/usr/bin/lxc-start", "--name=lx1"]), lxc("lx1"));
        let machine = |name: &str| Some((EngineKind::Machined, name.to_owned()));
        assert_eq!(name(&["systemd-nspawn", "--quiet", "--machine=ns", "-D", "/x"]), machine("ns"));
        assert_eq!(name(&["systemd-nspawn", "-Mns", "/bin/sh"]), machine("ns"));
        assert_eq!(name(&["systemd-nspawn", "-D", "/var/lib/machines/ns/", "--", "-M", "no"]), machine("ns"));
        assert_eq!(name(&["systemd-nspawn", "--boot"]), None);
    }

    #[test]
    fn names_say_whose_command_line_is_worth_reading() {
        for comm in ["containerd-shim", "containerd-shim-runc-v2", "conmon", "lxc-start", "systemd-nspawn"] {
            assert!(may_be_one(comm.as_bytes()), "{comm}");
        }
        for comm in ["containerd", "sh", "", "conmonx"] {
            assert!(!may_be_one(comm.as_bytes()), "{comm}");
        }
    }

    #[test]
    fn nonsense() {
        assert_eq!(parse(&[]), None);
        for line in [&[""][..], &["[lxc monitor] "], &["conmon"], &["conmon", "-c"], &["sh", "-c", "x"]] {
            assert_eq!(read(line), None, "{line:?}");
        }
    }
}
