//! `state.json` of runc: what it keeps of a container, from before its first process runs until it is deleted.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::SystemTime;

use bstr::BString;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::{MOST, Malformed, time, unless_empty};

/// What is needed of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) id: BString,
    /// As the PID namespace of whoever ran runc has it; 0 where there is none.
    pub(crate) pid: u32,
    /// In clock ticks since boot, as in `/proc/PID/stat`.
    pub(crate) start_time_ticks: u64,
    pub(crate) created: Option<SystemTime>,
    /// The annotations of the bundle.
    pub(crate) annotations: BTreeMap<BString, BString>,
    pub(crate) bundle: Option<BString>,
    /// The directories of its control groups, where whoever ran runc had them mounted.
    pub(crate) cgroup_paths: Vec<BString>,
    /// The network namespace that was made for it.
    pub(crate) network_path: Option<BString>,
    /// Its root directory, where whoever ran runc had it.
    pub(crate) rootfs: Option<BString>,
    pub(crate) hostname: Option<BString>,
}

#[derive(Deserialize)]
struct Form<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default)]
    init_process_pid: i64,
    #[serde(default)]
    init_process_start: u64,
    #[serde(default, borrow)]
    created: Cow<'a, str>,
    #[serde(default, borrow)]
    config: Config<'a>,
    #[serde(default, borrow)]
    cgroup_paths: Option<Values<'a>>,
}

/// Text that is copied only where it has escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// The values of a table, without their keys.
struct Values<'a>(Vec<Text<'a>>);

impl<'de: 'a, 'a> Deserialize<'de> for Values<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> Visitor<'de> for Table {
            type Value = Vec<Text<'de>>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a table")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Self::Value, A::Error> {
                let mut values = Vec::with_capacity(16);
                while let Some((IgnoredAny, value)) = table.next_entry()? {
                    if values.len() < MOST {
                        values.push(value);
                    }
                }
                Ok(values)
            }
        }
        deserializer.deserialize_map(Table).map(Values)
    }
}

#[derive(Default, Deserialize)]
struct Config<'a> {
    #[serde(default, borrow)]
    rootfs: Cow<'a, str>,
    #[serde(default, borrow)]
    hostname: Cow<'a, str>,
    #[serde(default, borrow)]
    labels: Option<Vec<Text<'a>>>,
    #[serde(default, borrow)]
    namespaces: Option<Vec<Namespace<'a>>>,
}

#[derive(Deserialize)]
struct Namespace<'a> {
    #[serde(default, rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(default, borrow)]
    path: Cow<'a, str>,
}

/// Reads one.
pub(crate) fn parse(text: &[u8]) -> Result<State, Malformed> {
    let form: Form<'_> = serde_json::from_slice(text)?;
    let mut annotations = BTreeMap::new();
    let mut bundle = None;
    for Text(label) in form.config.labels.unwrap_or_default().into_iter().take(MOST) {
        match label.split_once('=') {
            // runc adds this one itself, after those of the bundle.
            Some(("bundle", path)) => bundle = unless_empty(path),
            Some((key, value)) => drop(annotations.insert(key.into(), value.into())),
            None => {}
        }
    }
    let namespaces = form.config.namespaces.unwrap_or_default();
    let cgroup_paths = form.cgroup_paths.map(|Values(paths)| paths).unwrap_or_default();
    let network = namespaces.into_iter().find(|namespace| namespace.kind == "NEWNET");
    Ok(State {
        id: unless_empty(form.id.into_owned()).ok_or(Malformed)?,
        pid: u32::try_from(form.init_process_pid).unwrap_or(0),
        start_time_ticks: form.init_process_start,
        created: time::parse(&form.created),
        annotations,
        bundle,
        cgroup_paths: cgroup_paths.into_iter().map(|Text(path)| BString::from(path.into_owned())).collect(),
        network_path: network.and_then(|network| unless_empty(network.path.into_owned())),
        rootfs: unless_empty(form.config.rootfs.into_owned()),
        hostname: unless_empty(form.config.hostname.into_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As runc 1.1 writes it, with what is of no use here left out.
    const STATE: &str = r#"{"id":"web","init_process_pid":279,"init_process_start":2638527,
        "created":"2026-11-29T01:08:07.505138993Z","config":{"rootfs":"/r","namespaces":[{"type":"NEWNS","path":""},
        {"type":"NEWNET","path":"/var/run/netns/cni-1"}],"cgroups":{"path":"/x"},
        "labels":["org.example=a=b","noequals","bundle=/run/b"]},"rootless":false,
        "cgroup_paths":{"":"/sys/fs/cgroup/unified/x/web","cpu":"/sys/fs/cgroup/cpu/x/web"},
        "namespace_paths":{"NEWNET":"/proc/279/ns/net"},"external_descriptors":["/dev/null"],"intel_rdt_path":""}"#;

    #[test]
    fn a_state_is_read() {
        let state = parse(STATE.as_bytes()).unwrap();
        assert_eq!((state.id.as_slice(), state.pid, state.start_time_ticks), (&b"web"[..], 279, 2_638_527));
        assert_eq!(state.bundle.unwrap(), "/run/b");
        assert_eq!(state.annotations, BTreeMap::from([("org.example".into(), "a=b".into())]));
        assert_eq!(state.cgroup_paths, ["/sys/fs/cgroup/unified/x/web", "/sys/fs/cgroup/cpu/x/web"]);
        assert_eq!(state.network_path.unwrap(), "/var/run/netns/cni-1");
        assert_eq!(state.rootfs.unwrap(), "/r");
        assert!(state.created.is_some());
    }

    #[test]
    fn what_is_missing_or_null_is_not_known() {
        let state = parse(br#"{"id":"a","init_process_pid":-1,"config":{"labels":null},"cgroup_paths":null}"#).unwrap();
        assert_eq!(state, State { id: "a".into(), ..State::default() });
    }

    #[test]
    fn nonsense() {
        for text in ["", "{}", "[]", "{\"id\":\"\"}", "{\"id\":1}", "{\"id\":\"a\"", &STATE[..STATE.len() - 1]] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed), "{:.60}", text);
        }
        assert_eq!(parse(b"{\"id\":\"\xff\"}"), Err(Malformed));
        // What is not needed is passed over without recursion, however deep it is.
        let deep = |key: &str| format!("{{\"id\":\"a\",\"{key}\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert!(parse(deep("x").as_bytes()).is_ok());
        assert_eq!(parse(deep("config").as_bytes()), Err(Malformed));
    }
}
