//! What the path of a control group says: the names that engines give to control groups of containers.
//!
//! | engine | control group |
//! |---|---|
//! | Docker | `docker/ID`, `docker-ID.scope` |
//! | containerd by CRI | `kubepods…/podUID/ID`, `cri-containerd-ID.scope` |
//! | CRI-O (*untried*) | `crio-ID`, `crio-ID.scope` |
//! | nerdctl (*untried*) | `nerdctl-ID.scope` |
//! | podman | `libpod-ID`, `libpod-ID.scope`, `libpod-payload-ID` |
//! | runc, crun | `runc-ID.scope`, `crun-ID.scope` |
//! | LXC | `lxc.payload.NAME`, `lxc.payload/NAME`, `lxc/NAME` |
//! | systemd-machined | `machine-NAME.scope`, `systemd-nspawn@NAME.service` |
//!
//! A component of 64 hexadecimal digits alone can be a container of anything, or what an engine keeps beside them. The
//! runtimes runc and crun, and containerd by others, take any path; their own state says which.

use bstr::{BString, ByteSlice as _};
use lxkns_model::{EngineKind, Uid};

use super::is_long_id;

/// How deep containers are followed that are inside each other.
const MOST_NESTED: usize = 16;

/// A container that the path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) kind: EngineKind,
    pub(crate) id: BString,
    /// Where its own control group ends in the path.
    pub(crate) end: usize,
    /// The UID of its Kubernetes pod.
    pub(crate) pod_uid: Option<BString>,
    /// The ordinary user below whose control groups it is, who can name them.
    pub(crate) user: Option<Uid>,
}

/// The user of whom nothing is known but that it is not root.
pub(crate) const NOBODY: Uid = Uid(65534);

/// The containers that a path names, from the outside in.
pub(crate) fn containers(path: &[u8]) -> Vec<Named> {
    let mut found: Vec<Named> = Vec::new();
    let mut components = components(path).peekable();
    let mut before: &[u8] = b"";
    let mut pod_uid = None;
    let mut is_kubernetes = false;
    while let Some((component, end)) = components.next() {
        is_kubernetes |= component.starts_with(b"kubepods");
        if is_kubernetes {
            pod_uid = pod(component).or(pod_uid);
        }
        let after = components.peek().map(|(component, _)| *component);
        if let Some((kind, id)) = named(before, component, after, is_kubernetes) {
            let user = user(&path[..end]);
            found.push(Named { kind, id, end, pod_uid: pod_uid.take(), user });
            // What is below is inside it.
            is_kubernetes = false;
            if found.len() == MOST_NESTED {
                break;
            }
        }
        before = component;
    }
    found
}

/// The components of a path, with where each ends.
fn components(path: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut at = 0;
    path.split(|&byte| byte == b'/').filter_map(move |component| {
        let end = at + component.len();
        at = end + 1;
        (!component.is_empty()).then_some((component, end))
    })
}

fn named(before: &[u8], component: &[u8], after: Option<&[u8]>, is_kubernetes: bool) -> Option<(EngineKind, BString)> {
    if is_long_id(component) {
        let kind = match before {
            b"docker" => EngineKind::Docker,
            // A pod of podman's, above its containers and their monitors.
            b"libpod_parent" => return None,
            _ if is_kubernetes => EngineKind::Cri,
            _ if after == Some(b"conmon") => return None,
            _ => EngineKind::Unknown,
        };
        return Some((kind, component.into()));
    }
    let scope = component.strip_suffix(b".scope");
    let stem = scope.unwrap_or(component);
    const PREFIXES: [(&[u8], EngineKind); 8] = [
        (b"docker-", EngineKind::Docker),
        (b"cri-containerd-", EngineKind::Cri),
        (b"crio-", EngineKind::CriO),
        (b"nerdctl-", EngineKind::Containerd),
        (b"libpod-payload-", EngineKind::Podman),
        (b"libpod-", EngineKind::Podman),
        // Told nothing else, a runtime has systemd make this; Docker without root tells it nothing else.
        (b"runc-", EngineKind::Runc),
        (b"crun-", EngineKind::Crun),
    ];
    let by_prefix = PREFIXES.iter().find_map(|(prefix, kind)| Some((*kind, stem.strip_prefix(*prefix)?)));
    if let Some((kind, id)) = by_prefix.filter(|(_, id)| is_long_id(id)) {
        return Some((kind, id.into()));
    }
    if let Some(name) = component.strip_prefix(b"lxc.payload.") {
        return (!name.is_empty()).then(|| (EngineKind::Lxc, name.into()));
    }
    if matches!(before, b"lxc.payload" | b"lxc") && scope.is_none() && !component.starts_with(b"lxc.") {
        return Some((EngineKind::Lxc, component.into()));
    }
    if let Some(name) = scope.and_then(|stem| stem.strip_prefix(b"machine-")) {
        let name = unescaped(name);
        // A virtual machine of libvirt's: its processes are the emulator's.
        let is_virtual = name.starts_with(b"qemu-");
        return (!is_virtual && !name.is_empty()).then_some((EngineKind::Machined, name));
    }
    let instance = component.strip_prefix(b"systemd-nspawn@").and_then(|rest| rest.strip_suffix(b".service"));
    instance.filter(|name| !name.is_empty()).map(|name| (EngineKind::Machined, unescaped(name)))
}

/// The UID of a Kubernetes pod: `pod1b2c-…`, `kubepods-burstable-pod1b2c_….slice`, where systemd has no dashes.
fn pod(component: &[u8]) -> Option<BString> {
    let stem = component.strip_suffix(b".slice").unwrap_or(component);
    let uid = match stem.strip_prefix(b"pod") {
        Some(uid) => uid.into(),
        None if stem.len() < component.len() => stem.rsplit_once_str("-pod")?.1.replace("_", "-"),
        None => return None,
    };
    (!uid.is_empty()).then(|| uid.into())
}

/// The ordinary user below whose control groups this path is: what is in `user.slice` or `user@UID.service` is made by
/// whoever is logged in, under any name.
pub(crate) fn user(path: &[u8]) -> Option<Uid> {
    let mut user = None;
    for (component, _) in components(path) {
        let digits = component
            .strip_prefix(b"user@")
            .and_then(|rest| rest.strip_suffix(b".service"))
            .or_else(|| component.strip_prefix(b"user-")?.strip_suffix(b".slice"));
        let uid = digits.and_then(|digits| digits.to_str().ok()?.parse().ok()).map(Uid);
        if component == b"user.slice" {
            user = user.or(Some(NOBODY));
        }
        user = uid.or(user);
    }
    user.filter(|uid| uid.0 != 0)
}

/// A name without systemd's escapes: `a\x2db` is `a-b`.
pub(crate) fn unescaped(name: &[u8]) -> BString {
    let mut plain = BString::default();
    let mut rest = name;
    while let [first, tail @ ..] = rest {
        let code = rest.strip_prefix(b"\\x").and_then(|rest| rest.get(..2)).and_then(|digits| digits.to_str().ok());
        match code.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &rest[4..];
            }
            None => {
                plain.push(*first);
                rest = tail;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

    fn names(path: &str) -> Vec<(EngineKind, String, String)> {
        let path = path.replace("$A", A).replace("$B", B);
        let found = containers(path.as_bytes()).into_iter();
        found.map(|named| (named.kind, named.id.to_string(), path[..named.end].to_owned())).collect()
    }

    #[track_caller]
    fn one(path: &str, kind: EngineKind, id: &str, own: &str) {
        let [id, own] = [id, own].map(|text| text.replace("$A", A).replace("$B", B));
        assert_eq!(names(path), [(kind, id, own)], "{path}");
    }

    #[test]
    fn engines_name_their_control_groups() {
        use EngineKind::*;
        one("/docker/$A", Docker, "$A", "/docker/$A");
        one("/system.slice/docker-$A.scope", Docker, "$A", "/system.slice/docker-$A.scope");
        one("/system.slice/docker-$A.scope/init/x", Docker, "$A", "/system.slice/docker-$A.scope");
        one("/libpod_parent/libpod-$A", Podman, "$A", "/libpod_parent/libpod-$A");
        one("/libpod_parent/$B/libpod-$A", Podman, "$A", "/libpod_parent/$B/libpod-$A");
        one("/machine.slice/libpod-$A.scope/container", Podman, "$A", "/machine.slice/libpod-$A.scope");
        one(
            "/machine.slice/machine-libpod_pod_$B.slice/libpod-$A.scope/container",
            Podman,
            "$A",
            "/machine.slice/machine-libpod_pod_$B.slice/libpod-$A.scope",
        );
        one("/system.slice/web.service/libpod-payload-$A", Podman, "$A", "/system.slice/web.service/libpod-payload-$A");
        one("/system.slice/runc-$A.scope", Runc, "$A", "/system.slice/runc-$A.scope");
        one("/system.slice/crun-$A.scope/x", Crun, "$A", "/system.slice/crun-$A.scope");
        one("/lxc.payload.lx1", Lxc, "lx1", "/lxc.payload.lx1");
        one("/lxc.payload.a.b/system.slice/ssh.service", Lxc, "a.b", "/lxc.payload.a.b");
        one("/lxc/lx1/init.scope", Lxc, "lx1", "/lxc/lx1");
        one("/lxc.payload/lx1", Lxc, "lx1", "/lxc.payload/lx1");
        one("/machine.slice/machine-a\\x2db.scope/payload", Machined, "a-b", "/machine.slice/machine-a\\x2db.scope");
        one(
            "/machine.slice/systemd-nspawn@ns1.service/payload",
            Machined,
            "ns1",
            "/machine.slice/systemd-nspawn@ns1.service",
        );
        one("/any/$A", Unknown, "$A", "/any/$A");
    }

    /// From the documents of Kubernetes, CRI-O and nerdctl: *untried*.
    #[test]
    fn kubernetes_names_them_by_pod() {
        use EngineKind::*;
        let slice = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b_2c.slice";
        for (path, kind) in [
            (format!("{slice}/cri-containerd-$A.scope"), Cri),
            (format!("{slice}/crio-$A.scope"), CriO),
            (format!("{slice}/docker-$A.scope"), Docker),
            ("/kubepods/burstable/pod1b-2c/$A".to_owned(), Cri),
            ("/kubepods/pod1b-2c/crio-$A".to_owned(), CriO),
        ] {
            one(&path, kind, "$A", &path);
            let found = containers(path.replace("$A", A).as_bytes());
            assert_eq!(found[0].pod_uid.as_deref().map(|uid| &**uid), Some(&b"1b-2c"[..]), "{path}");
        }
        one("/system.slice/nerdctl-$A.scope", Containerd, "$A", "/system.slice/nerdctl-$A.scope");
    }

    #[test]
    fn engines_inside_containers_are_nested() {
        use EngineKind::*;
        assert_eq!(
            names("/docker/$A/docker/$B/x"),
            [(Docker, A.into(), format!("/docker/{A}")), (Docker, B.into(), format!("/docker/{A}/docker/{B}"))]
        );
        let names: Vec<_> = names("/docker/$A/kubelet/kubepods/pod1/$B").into_iter().map(|(kind, ..)| kind).collect();
        assert_eq!(names, [Docker, Cri]);
    }

    #[test]
    fn what_stands_beside_containers_is_none() {
        for path in [
            "/",
            "",
            "/libpod_parent/conmon",
            "/libpod_parent/$A/conmon",
            "/pods/$A/conmon",
            "/machine.slice/libpod-conmon-$A.scope",
            "/system.slice/crio-conmon-$A.scope",
            "/lxc.monitor.lx1",
            "/lxc.payload.",
            "/lxc",
            "/docker/buildkit/abc",
            "/machine.slice/machine-qemu\\x2d1\\x2dvm.scope",
            "/system.slice/docker.service",
            "/system.slice/docker-1234.scope",
            "/process_api/08646d231eb80ce1473a114df8de27ae",
        ] {
            assert_eq!(names(path), [], "{path}");
        }
    }

    #[test]
    fn a_user_names_what_is_below_their_slice() {
        let user = |path: &str| containers(path.replace("$A", A).as_bytes())[0].user.map(|uid| uid.0);
        assert_eq!(user("/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-$A.scope"), Some(1000));
        assert_eq!(user("/user.slice/user-1000.slice/session-3.scope/docker/$A"), Some(1000));
        assert_eq!(user("/user.slice/docker/$A"), Some(NOBODY.0));
        assert_eq!(user("/user.slice/user-0.slice/docker/$A"), None, "that is root");
        assert_eq!(user("/docker/$A"), None);
        // A session inside a container is none of the container's.
        assert_eq!(user("/docker/$A/user.slice/user-1000.slice"), None);
    }

    #[test]
    fn deep_paths_end() {
        assert_eq!(containers("/docker/$A".repeat(1000).replace("$A", A).as_bytes()).len(), MOST_NESTED);
    }
}
