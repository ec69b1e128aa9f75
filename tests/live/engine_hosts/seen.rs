//! What lxkns says of containers, beside what their engine does.

use std::fmt;
use std::process::Command;

use serde_json::Value;

use super::super::program::run;
use super::host::lxkns_says;
use crate::harness::lxkns;

/// A dump of this host.
pub(super) struct Seen(Value);

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for key in ["containers", "container-engines", "container-groups"] {
            writeln!(f, "{key}: {:#}", self.0[key])?;
        }
        writeln!(f, "others: {:#}", self.ours())?;
        write!(f, "gaps: {:#}", self.0["discovery-options"]["snapshot"]["gaps"])
    }
}

/// What an engine says of one of its containers.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// The type, in the words of dumps.
    pub(super) kind: &'static str,
    pub(super) id: String,
    pub(super) name: String,
    /// Its first process; 0 where it has none.
    pub(super) pid: u64,
    pub(super) state: &'static str,
    pub(super) image: Option<String>,
    pub(super) labels: Vec<(String, String)>,
    /// Its pod: namespace and name.
    pub(super) pod: Option<(&'static str, String)>,
    /// The names of its groups.
    pub(super) groups: Vec<String>,
}

impl Seen {
    /// What lxkns sees now.
    #[track_caller]
    pub(super) fn now() -> Self {
        Self(lxkns_says(&["dump"]).ok().json())
    }

    /// What a dump says.
    pub(super) fn of(dump: Value) -> Self {
        Self(dump)
    }

    /// As below, with time enough for an engine on a busy host.
    #[track_caller]
    pub(super) fn by_engines_in_time() -> Self {
        Self(lxkns_says(&["dump", "--engines", "--timeout", "30"]).ok().json())
    }

    /// What lxkns sees when it may ask engines.
    #[track_caller]
    pub(super) fn by_engines() -> Self {
        Self(lxkns_says(&["dump", "--engines"]).ok().json())
    }

    /// The same, without this capability.
    #[track_caller]
    pub(super) fn by_engines_without(capability: &str) -> Self {
        let mut setpriv = Command::new("setpriv");
        let drop = format!("-{capability}");
        setpriv.args([format!("--bounding-set={drop}"), format!("--inh-caps={drop}")]);
        setpriv.arg("--").arg(lxkns().get_program()).args(["dump", "--engines", "--timeout", "30"]);
        Self(run(&mut setpriv).ok().json())
    }

    /// What it says of the engine that is this process.
    #[track_caller]
    pub(super) fn engine(&self, pid: u32) -> &Value {
        let engines = self.0["container-engines"].as_object().unwrap();
        engines.values().find(|engine| engine["pid"] == pid).unwrap_or(&Value::Null)
    }

    /// The group with this name.
    #[track_caller]
    pub(super) fn group(&self, name: &str) -> &Value {
        let groups = self.0["container-groups"].as_object().unwrap();
        groups.values().find(|group| group["name"] == name).unwrap()
    }

    /// What lxkns sees when a user without privileges runs it.
    #[track_caller]
    pub(super) fn by_nobody() -> Self {
        // The directories above the program may be closed to others.
        let program = "/run/lxkns";
        std::fs::copy(lxkns().get_program(), program).unwrap();
        let mut nobody = Command::new("setpriv");
        nobody.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all", "--", program, "dump"]);
        Self(run(&mut nobody).ok().json())
    }

    /// Whether something of containers could not be read, for this cause.
    pub(super) fn has_gap(&self, cause: &str) -> bool {
        let gaps = self.0["discovery-options"]["snapshot"]["gaps"].as_array();
        gaps.is_some_and(|gaps| gaps.iter().any(|gap| gap["place"] == "containers" && gap["cause"] == cause))
    }

    /// What has no place where other readers look.
    fn ours(&self) -> &Value {
        &self.0["discovery-options"]["snapshot"]["containers"]
    }

    /// All containers.
    pub(super) fn all(&self) -> impl Iterator<Item = &Value> {
        let with_process = self.0["containers"].as_object().unwrap().values();
        with_process.chain(self.ours()["others"].as_array().into_iter().flatten())
    }

    /// The container with this ID.
    #[track_caller]
    pub(super) fn by_id(&self, id: &str) -> &Value {
        let found: Vec<_> = self.all().filter(|container| container["id"] == id).collect();
        assert!(matches!(found[..], [_]), "{} containers have the ID {id}: {self:?}", found.len());
        found[0]
    }

    /// Whether there is one with this ID.
    pub(super) fn has(&self, id: &str) -> bool {
        self.all().any(|container| container["id"] == id)
    }

    /// The container that this process is in: its ID, or `None`.
    pub(super) fn of_process(&self, pid: u64) -> Option<&str> {
        let members = self.ours()["members"].as_object()?;
        let is_in = |pids: &Value| pids.as_array().is_some_and(|pids| pids.contains(&pid.into()));
        let (index, _) = members.iter().find(|(_, pids)| is_in(pids))?;
        let index: u64 = index.parse().unwrap();
        self.all().find(|container| container["index"] == index)?["id"].as_str()
    }

    /// The container whose this namespace is without a process that says so: its ID, or `None`.
    pub(super) fn of_namespace(&self, ino: u64) -> Option<&str> {
        let index = self.ours()["namespaces"].get(ino.to_string())?;
        self.all().find(|container| container["index"] == *index)?["id"].as_str()
    }

    /// The names of the groups of a container.
    pub(super) fn groups(&self, container: &Value) -> Vec<&str> {
        let numbers = container["groups"].as_array().unwrap().iter();
        let mut names: Vec<_> =
            numbers.map(|number| self.0["container-groups"][number.to_string()]["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        names
    }

    /// Checks that what lxkns says of a container is what its engine has said, and that it relies on it.
    #[track_caller]
    pub(super) fn agrees(&self, told: &Told) {
        let container = self.check(told);
        assert_eq!(container["confidence"], "sure", "{container:#}");
        assert_eq!(container["disagreements"].as_array().map_or(0, Vec::len), 0, "{container:#}");
    }

    /// Checks all but how far it relies on that.
    #[track_caller]
    pub(super) fn check(&self, told: &Told) -> &Value {
        let container = self.by_id(&told.id);
        let said = |key: &str| container[key].as_str().unwrap_or_default();
        assert_eq!(
            (said("type"), said("name"), container["pid"].as_u64(), said("state"), container["paused"].as_bool()),
            (told.kind, &*told.name, Some(told.pid), told.state, Some(told.state == "paused")),
            "{container:#}"
        );
        if let Some(image) = &told.image {
            assert_eq!(said("image"), image, "{container:#}");
        }
        for (key, value) in &told.labels {
            assert_eq!(container["labels"][key], **value, "{key}: {container:#}");
        }
        let pod = told.pod.as_ref().map(|(namespace, name)| (*namespace, &**name));
        let text = |key: &str| container["pod"][key].as_str().unwrap_or_default();
        let seen_pod = container["pod"].is_object().then(|| (text("namespace"), text("name")));
        assert_eq!(seen_pod, pod, "{container:#}");
        assert_eq!(self.groups(container), told.groups, "{container:#}\n{:#}", self.0["container-groups"]);
        if told.pid != 0 {
            assert_eq!(self.of_process(told.pid), Some(&*told.id), "its first process: {container:#}");
        }
        container
    }
}

/// Checks each of some containers.
#[track_caller]
pub(super) fn agree(told: &[Told]) -> Seen {
    let seen = Seen::now();
    told.iter().for_each(|told| seen.agrees(told));
    seen
}
