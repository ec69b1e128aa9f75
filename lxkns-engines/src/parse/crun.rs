//! `status` of crun: what it keeps of a container.

use std::borrow::Cow;
use std::time::SystemTime;

use bstr::BString;
use serde::Deserialize;

use super::{Malformed, time, unless_empty};

/// What is needed of it. The ID is the name of the directory that it is in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Status {
    /// As the PID namespace of whoever ran crun has it; 0 where there is none.
    pub(crate) pid: u32,
    /// In clock ticks since boot, as in `/proc/PID/stat`; 0 where versions before it was kept have written it.
    pub(crate) start_time_ticks: u64,
    /// The path of its control group below its hierarchies' roots; `None` where it has none of its own.
    pub(crate) cgroup_path: Option<BString>,
    pub(crate) bundle: Option<BString>,
    pub(crate) created: Option<SystemTime>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Form<'a> {
    pid: i64,
    #[serde(default)]
    process_start_time: u64,
    #[serde(default, borrow)]
    cgroup_path: Cow<'a, str>,
    #[serde(default, borrow)]
    bundle: Cow<'a, str>,
    #[serde(default, borrow)]
    created: Cow<'a, str>,
}

/// Reads one.
pub(crate) fn parse(text: &[u8]) -> Result<Status, Malformed> {
    let form: Form<'_> = serde_json::from_slice(text)?;
    Ok(Status {
        pid: u32::try_from(form.pid).unwrap_or(0),
        start_time_ticks: form.process_start_time,
        cgroup_path: unless_empty(form.cgroup_path.into_owned()),
        bundle: unless_empty(form.bundle.into_owned()),
        created: time::parse(&form.created),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read() {
        let status = parse(
            br#"{"pid": 4063, "process-start-time": 2654826, "cgroup-path": "/a/b", "scope": "", "rootfs": "rootfs",
            "systemd-cgroup": false, "bundle": "/tmp/b", "created": "2026-11-29T01:10:50.490133Z", "owner": "root",
            "detached": true, "external_descriptors": "[\"/dev/null\"]"}"#,
        );
        let status = status.unwrap();
        assert_eq!((status.pid, status.start_time_ticks), (4063, 2_654_826));
        assert_eq!((status.cgroup_path.unwrap(), status.bundle.unwrap()), ("/a/b".into(), "/tmp/b".into()));
        assert!(status.created.is_some());
    }

    #[test]
    fn one_without_control_group() {
        let status = parse(br#"{"pid":0,"cgroup-path":"","created":"never"}"#).unwrap();
        assert_eq!(status, Status::default());
    }

    #[test]
    fn nonsense() {
        for text in [&b""[..], b"{}", b"{\"pid\":\"1\"}", b"{\"pid\":1", b"{\"pid\":1e999}"] {
            assert_eq!(parse(text), Err(Malformed), "{}", text.escape_ascii());
        }
    }
}
