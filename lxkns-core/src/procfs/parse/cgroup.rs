//! `/proc/PID/cgroup`: the control groups of a task; `cgroups(7)`.

use bstr::ByteSlice;

use super::{ParseError, decimal, lines};
use crate::model::{CgroupMembership, Cgroups};

/// Reads the text of a `cgroup`: a line `HIERARCHY:CONTROLLERS:PATH` for each hierarchy.
///
/// Paths can contain anything but newlines, which the kernel does not allow in the names of control groups; colons
/// too, which the names of controllers and hierarchies cannot. The path of a removed group, where a zombie can be,
/// ends with ` (deleted)`; one outside the reader's cgroup namespace starts with `/..`.
pub(crate) fn parse(text: &[u8]) -> Result<Cgroups, ParseError> {
    let mut memberships = Vec::new();
    for line in lines("cgroup", text) {
        let line = line?;
        let mut parts = line.text.splitn_str(3, ":");
        let hierarchy = parts.next().and_then(decimal).ok_or(line.error("a hierarchy"))?;
        let controllers = parts.next().ok_or(line.error("controllers"))?.into();
        let path = parts.next().filter(|path| path.starts_with(b"/")).ok_or(line.error("a path"))?.into();
        memberships.push(CgroupMembership { hierarchy, controllers, path });
    }
    Ok(Cgroups(memberships))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &[u8] = b"9:name=systemd:/\n8:pids:/\n7:blkio:/\n6:freezer:/\n5:devices:/\n4:memory:/a/2492cf5b\n\
        3:cpuset:/\n2:cpu,cpuacct:/x\n0::/lx:t \\ q#\n";

    #[test]
    fn hybrid() {
        let cgroups = parse(HYBRID).unwrap();
        assert_eq!(cgroups.0.len(), 9);
        assert_eq!(cgroups.unified().unwrap(), "/lx:t \\ q#");
        assert_eq!(cgroups.of_v1_controller("memory").unwrap(), "/a/2492cf5b");
        assert_eq!(cgroups.of_v1_controller("cpuacct").unwrap(), "/x");
        assert_eq!(cgroups.of_v1_controller("name=systemd").unwrap(), "/");
    }

    #[test]
    fn odd_paths() {
        let path = |text: &[u8]| parse(text).unwrap().0[0].path.clone();
        assert_eq!(path(b"0::/../../\xff\n"), b"/../../\xff".as_slice());
        assert_eq!(path(b"0::/a (deleted)\n"), "/a (deleted)");
        assert_eq!(parse(b""), Ok(Cgroups::default()));
    }

    #[test]
    fn nonsense() {
        for (text, message) in [
            ("\n", "malformed cgroup, line 1: expected a hierarchy"),
            ("0::/\nx::/\n", "malformed cgroup, line 2: expected a hierarchy"),
            ("0\n", "malformed cgroup, line 1: expected controllers"),
            ("0:\n", "malformed cgroup, line 1: expected a path"),
            ("0::\n", "malformed cgroup, line 1: expected a path"),
            ("0::/a", "malformed cgroup, line 1: expected a newline at its end"),
        ] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_path_that_was_cut_off_is_not_a_shorter_one() {
        for end in 1..HYBRID.len() {
            assert_eq!(parse(&HYBRID[..end]).is_ok(), HYBRID[end - 1] == b'\n', "cut at {end}");
        }
    }
}
