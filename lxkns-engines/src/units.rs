//! What processes belong to that are in no container: the systemd unit, the snap, the flatpak or the sandbox.

use bstr::{BString, ByteSlice as _};
use lxkns_model::{Unit, UnitKind};

use crate::parse::cgroup_path::{unescaped, user};

/// What the path of a control group says; the innermost unit counts.
pub(crate) fn of_cgroup(path: &[u8]) -> Option<Unit> {
    let mut found: Option<(UnitKind, &[u8])> = None;
    for component in path.split(|&byte| byte == b'/') {
        let Some((_, ending)) = component.rsplit_once_str(".") else { continue };
        let kind = match ending {
            b"service" | b"socket" | b"mount" | b"swap" => UnitKind::Service,
            b"scope" => UnitKind::Scope,
            b"slice" => UnitKind::Slice,
            _ => continue,
        };
        // A slice below a service is none of systemd's own: a service manager that it runs has made it. What that runs
        // counts, as for a user's.
        if kind == UnitKind::Slice && found.is_some_and(|(before, _)| before != UnitKind::Slice) {
            continue;
        }
        found = Some((kind, component));
    }
    let (kind, name) = found?;
    let (kind, name) = special(kind, name);
    Some(Unit { kind, name, of_user: user(path) })
}

/// Snaps and flatpaks have units named after them.
fn special(kind: UnitKind, name: &[u8]) -> (UnitKind, BString) {
    let stem = name.rsplit_once_str(".").map_or(name, |(stem, _)| stem);
    // `snap.NAME.APP-UUID.scope`, `snap.NAME.APP.service`.
    if let Some(rest) = stem.strip_prefix(b"snap.") {
        let snap = rest.split_str(".").next().unwrap_or_default();
        return (UnitKind::Snap, unescaped(snap));
    }
    // `app-flatpak-ID-NUMBER.scope`.
    if let Some(rest) = stem.strip_prefix(b"app-flatpak-") {
        let id = rest.rsplit_once_str("-").map_or(rest, |(id, _)| id);
        return (UnitKind::Flatpak, unescaped(id));
    }
    (kind, name.into())
}

/// What the program that made a sandbox is called, by the name of the process at its top.
pub(crate) fn of_program(comm: &[u8]) -> Option<Unit> {
    let name: &str = match comm {
        b"bwrap" => "bwrap",
        b"firejail" => "firejail",
        b"snap-confine" => "snap-confine",
        _ => return None,
    };
    Some(Unit { kind: UnitKind::Sandbox, name: name.into(), of_user: None })
}

#[cfg(test)]
mod tests {
    use lxkns_model::Uid;

    use super::*;

    fn unit(path: &str) -> Option<(UnitKind, String, Option<u32>)> {
        of_cgroup(path.as_bytes()).map(|unit| (unit.kind, unit.name.to_string(), unit.of_user.map(|Uid(uid)| uid)))
    }

    #[test]
    fn units_are_named() {
        let is = |kind, name: &str, user| Some((kind, name.to_owned(), user));
        assert_eq!(unit("/system.slice/cron.service"), is(UnitKind::Service, "cron.service", None));
        assert_eq!(unit("/init.scope"), is(UnitKind::Scope, "init.scope", None));
        assert_eq!(
            unit("/system.slice/system-getty.slice/getty@tty1.service"),
            is(UnitKind::Service, "getty@tty1.service", None)
        );
        assert_eq!(
            unit("/user.slice/user-1000.slice/session-3.scope"),
            is(UnitKind::Scope, "session-3.scope", Some(1000))
        );
        let manager = "/user.slice/user-1000.slice/user@1000.service";
        assert_eq!(
            unit(&format!("{manager}/app.slice/pipewire.service")),
            is(UnitKind::Service, "pipewire.service", Some(1000))
        );
        assert_eq!(unit(&format!("{manager}/app.slice")), is(UnitKind::Service, "user@1000.service", Some(1000)));
        assert_eq!(unit("/system.slice/x.service/sub/group"), is(UnitKind::Service, "x.service", None));
        assert_eq!(unit("/system.slice"), is(UnitKind::Slice, "system.slice", None));
    }

    #[test]
    fn snaps_and_flatpaks_are_told_from_other_units() {
        let is = |kind, name: &str, user| Some((kind, name.to_owned(), user));
        assert_eq!(unit("/system.slice/snap.lxd.daemon.service"), is(UnitKind::Snap, "lxd", None));
        assert_eq!(
            unit("/user.slice/user-1000.slice/user@1000.service/app.slice/snap.firefox.firefox-0a1b.scope"),
            is(UnitKind::Snap, "firefox", Some(1000))
        );
        assert_eq!(
            unit("/user.slice/user-1000.slice/user@1000.service/app.slice/app-flatpak-org.gimp.GIMP-77.scope"),
            is(UnitKind::Flatpak, "org.gimp.GIMP", Some(1000))
        );
    }

    #[test]
    fn other_groups_are_no_units() {
        for path in ["", "/", "/a/b", "/docker/1", "/x.y", "/..", "/process_api/08646d231eb80ce1473a114df8de27ae"] {
            assert_eq!(unit(path), None, "{path}");
        }
    }

    #[test]
    fn programs_that_make_sandboxes() {
        assert_eq!(of_program(b"bwrap").unwrap().kind, UnitKind::Sandbox);
        assert_eq!(of_program(b"sh"), None);
    }
}
