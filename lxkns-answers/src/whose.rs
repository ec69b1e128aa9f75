//! Whose processes and namespaces are: containers, pods and units, in words and as JSON. All answers name them in this form.

use std::borrow::Cow;

use bstr::{BStr, BString};
use lxkns_model::relations;
use lxkns_model::{
    Confidence, Container, ContainerRole, Containers, Engine, EngineKind, EvidenceKind, NamespaceId, NamespaceType,
    Pid, Said, Snapshot, Uid, Unit, UnitKind,
};
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::names::{self, lossy};
use crate::sheet::Fact;
use crate::text::escape::{printable, shell_word};

/// What a container is called in a column: its name, or as many digits of its ID as people write. Unsafe to
/// print.
pub fn short_name(container: &Container) -> BString {
    container.name.as_ref().map_or_else(|| short_id(container).into(), |name| name.value.clone())
}

/// As many digits of its ID as people write.
fn short_id(container: &Container) -> &BStr {
    /// A long one has at least so many.
    const LONG: usize = 32;
    let id = container.id.as_slice();
    let is_long = id.len() >= LONG && id.iter().all(u8::is_ascii_hexdigit);
    BStr::new(if is_long { &id[..SHORT] } else { id })
}

/// What containers are called in columns: by the shortest of their names that no other container has. In Kubernetes, many
/// containers have the same name, each in its pod.
#[derive(Debug)]
pub(crate) struct ColumnNames(FxHashMap<BString, usize>);

impl ColumnNames {
    pub(crate) fn of(containers: Option<&Containers>) -> Self {
        let mut count = FxHashMap::default();
        for container in containers.iter().flat_map(|containers| &containers.list) {
            for name in Self::names(container) {
                *count.entry(name).or_insert(0) += 1;
            }
        }
        Self(count)
    }

    /// The short name, else with the engine, else with the pod, else the engine and the first digits of the ID, else all of
    /// it. Unsafe to print.
    pub(crate) fn name(&self, container: &Container) -> BString {
        let is_its = |name: &BString| self.0.get(name).is_none_or(|&count| count <= 1);
        let by_id = || format!("{}:{}", container.kind.name(), container.id).into();
        Self::names(container).find(is_its).unwrap_or_else(by_id)
    }

    /// What this container can be called, each once: a container without a name is called by its ID in any case.
    fn names(container: &Container) -> impl Iterator<Item = BString> {
        let by_digits = || format!("{}:{}", container.kind.name(), short_id(container)).into();
        let by_digits = container.name.is_some().then(by_digits);
        [Some(short_name(container)), Some(target(container)), in_pod(container), by_digits].into_iter().flatten()
    }
}

/// The shortest ID that stands for a longer one.
pub(crate) const SHORT: usize = 12;

/// A container as a TARGET: its engine and its name, or its ID where it has none, as in `docker:web`. Unsafe to print.
pub fn target(container: &Container) -> BString {
    let mut target = BString::from(container.kind.name());
    target.push(b':');
    target.extend_from_slice(&short_name(container));
    target
}

/// A container of a pod as a TARGET: `pod:default/web-0/app`. `None` where that would mean another thing. Unsafe to print.
pub(crate) fn in_pod(container: &Container) -> Option<BString> {
    let (name, pod) = (&container.name.as_ref()?.value, &container.pod.as_ref()?.value);
    let is_workload = container.role == ContainerRole::Workload && !pod.namespace.is_empty() && !pod.name.is_empty();
    // After a slash stands a type.
    let is_plain = !name.is_empty() && !name.contains(&b'/') && NamespaceType::from_name(name).is_none();
    (is_workload && is_plain).then(|| [b"pod:", &**pod.full_name(), b"/", name].concat().into())
}

/// A container in a sentence, safe to print and whole: `docker:web`, `cri:app (pod default/web-0)`, `docker:x (claimed)`.
pub fn container(container: &Container) -> String {
    let pod = container.pod.as_ref().map(|pod| format!("pod {}", printable(pod.value.full_name())));
    let is_claimed = container.confidence() == Confidence::Claimed;
    let notes: Vec<_> = pod.into_iter().chain(is_claimed.then(|| "claimed".to_owned())).collect();
    let target = printable(target(container));
    if notes.is_empty() { target } else { format!("{target} ({})", notes.join(", ")) }
}

/// A unit in a sentence, safe to print and whole: `cron.service`, `app.service of UID 1000`, `snap firefox`.
pub fn unit(unit: &Unit) -> String {
    let name = printable(&unit.name);
    let name = match unit.kind {
        UnitKind::Snap | UnitKind::Flatpak | UnitKind::Sandbox => format!("{} {name}", unit.kind.name()),
        _ => name,
    };
    match unit.of_user {
        Some(uid) => format!("{name} of UID {uid}"),
        None => name,
    }
}

/// What something belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Whose<'a> {
    /// This container.
    Container(&'a Container),
    /// This unit, as it is in no container.
    Unit(Cow<'a, Unit>),
}

impl<'a> Whose<'a> {
    /// What a process belongs to; `None` where that is nothing, or not known.
    pub fn process(snapshot: &'a Snapshot, pid: Pid) -> Option<Self> {
        let containers = snapshot.annotations.containers.as_ref()?;
        let unit = || containers.units.get(&pid).map(|unit| Self::Unit(Cow::Borrowed(unit)));
        containers.of(pid).map(Self::Container).or_else(unit)
    }

    /// What a namespace belongs to; `None` where that is nothing, or not known, and for one of the host's.
    pub fn namespace(snapshot: &'a Snapshot, id: NamespaceId) -> Option<Self> {
        let containers = snapshot.annotations.containers.as_ref()?;
        let unit = || relations::unit_of_namespace(snapshot, id).map(Self::Unit);
        relations::container_of_namespace(snapshot, id)
            .and_then(|index| containers.list.get(index))
            .map(Self::Container)
            .or_else(unit)
    }

    /// It in a sentence, safe to print.
    pub fn words(&self) -> String {
        match self {
            Self::Container(it) => container(it),
            Self::Unit(it) => unit(it.as_ref()),
        }
    }
}

/// What a process is in, after its name: ` in docker:web`; empty where that is nothing, or not known.
pub fn in_words(snapshot: &Snapshot, pid: Pid) -> String {
    Whose::process(snapshot, pid).map(|whose| format!(" in {}", whose.words())).unwrap_or_default()
}

/// Whose a namespace is, after its name: ` of docker:web`.
pub(crate) fn of_words(snapshot: &Snapshot, id: NamespaceId) -> String {
    Whose::namespace(snapshot, id).map(|whose| format!(" of {}", whose.words())).unwrap_or_default()
}

/// How it is known that a namespace without a process belongs to a container, in words; `None` where a process of that
/// container is in it.
pub fn evidence(snapshot: &Snapshot, id: NamespaceId) -> Option<String> {
    let containers = snapshot.annotations.containers.as_ref()?;
    let index = relations::container_of_namespace(snapshot, id)?;
    let is_made_for_it = containers.namespaces.get(&id) == Some(&index);
    let container = containers.list.get(index).filter(|_| is_made_for_it)?;
    // What says which namespace it is; else what made the container known.
    let by = container.network_path.as_ref().map_or(0, |path| path.by);
    let evidence = container.evidence.get(by).or_else(|| container.evidence.first())?;
    let state = container.state.as_ref().map(|state| format!(", which is {}", state.value)).unwrap_or_default();
    Some(format!(
        "made for {}{state}: {} {} ({})",
        self::container(container),
        evidence.kind.name(),
        printable(&evidence.at),
        container.confidence()
    ))
}

/// Why it is not certain that a process is in its container, where an ordinary user says so alone; `None` where root does, or
/// it is in none. `uid`: the user of the process, which is who says it.
pub fn claimed(snapshot: &Snapshot, pid: Pid, uid: Option<Uid>) -> Option<String> {
    let Some(Whose::Container(container)) = Whose::process(snapshot, pid) else { return None };
    let evidence = container.evidence.iter().find(|it| it.confidence == Confidence::Claimed)?;
    if container.confidence() != Confidence::Claimed {
        return None;
    }
    let user = uid.map_or_else(|| "an ordinary user".to_owned(), |uid| names::user(snapshot, uid));
    let target = printable(target(container));
    Some(format!(
        "only {user} claims that process {pid} is in {target}: {} {}; any user can claim this name",
        evidence.kind.name(),
        printable(&evidence.at)
    ))
}

/// What is said of the container or unit that something belongs to.
pub fn facts(snapshot: &Snapshot, whose: Option<Whose<'_>>) -> Vec<Fact> {
    let container = match whose {
        None => return Vec::new(),
        Some(Whose::Unit(it)) => return vec![Fact::new("unit", unit(&it))],
        Some(Whose::Container(container)) => container,
    };
    let text = |label, text: &BString| Fact::new(label, printable(text));
    let mut facts = vec![text("container", &exact_target(snapshot.annotations.containers.as_ref(), container))];
    if container.name.as_ref().is_some_and(|name| name.value != container.id) {
        facts.push(text("container ID", &container.id));
    }
    facts.extend(container.pod.as_ref().map(|pod| text("pod", &pod.value.full_name())));
    facts.extend(container.image.as_ref().map(|image| text("image", &image.value)));
    facts.extend(container.state.as_ref().map(|state| Fact::new("container state", state.value.name())));
    let containers = snapshot.annotations.containers.as_ref();
    let outer = containers.and_then(|containers| containers.around(container).next());
    facts.extend(outer.map(|outer| text("inside container", &target(outer))));
    for (index, evidence) in container.evidence.iter().enumerate() {
        let known = format!("{} {} ({})", evidence.kind.name(), printable(&evidence.at), evidence.confidence);
        facts.push(Fact::new(if index == 0 { "known by" } else { "" }, known));
    }
    for disagreement in &container.disagreements {
        let said = |said: &Said<BString>| {
            let by = container.evidence.get(said.by).map(|evidence| format!(" ({})", evidence.kind.name()));
            format!("{}{}", printable(&said.value), by.unwrap_or_default())
        };
        let all: Vec<_> = disagreement.values.iter().map(said).collect();
        facts.push(Fact::new("disputed", format!("{}: {}", disagreement.about, all.join(" or "))));
    }
    facts
}

/// The command of its engine that ends a container and removes what it has left, for a shell.
///
/// # Errors
///
/// Why there is none, in words that are safe to print.
pub fn removal(snapshot: &Snapshot, container: &Container) -> Result<String, &'static str> {
    const OPTION: &str = "its name or ID would be read as an option";
    const NONE: &str = "none is known for its engine";
    let id = shell_word(&container.id);
    let is_option = |word: &str| word.starts_with('-');
    if container.inside.is_some() {
        return Err("its engine runs in another container");
    }
    if container.confidence() == Confidence::Claimed {
        return Err("an ordinary user can have made up this container");
    }
    if is_option(&id) {
        return Err(OPTION);
    }
    if let Some(why) = snapshot.annotations.containers.as_ref().and_then(|it| not_of_default_engine(it, container)) {
        return Err(why);
    }
    let name = shell_word(&short_name(container));
    let is_option = |word: &str| is_option(word) || word.contains('/');
    let is_sandbox = container.role == ContainerRole::Sandbox;
    let pod = || container.pod.as_ref().map(|pod| shell_word(&pod.value.name)).filter(|name| !is_option(name));
    Ok(match container.kind {
        EngineKind::Docker => format!("docker rm -f {id}"),
        EngineKind::Podman if is_sandbox => {
            format!("podman pod rm -f {}", pod().ok_or("the name of its pod is not known")?)
        }
        EngineKind::Podman => format!("podman rm -f {id}"),
        EngineKind::Cri | EngineKind::CriO if is_sandbox => format!("crictl rmp -f {id}"),
        EngineKind::Cri | EngineKind::CriO => format!("crictl rm -f {id}"),
        EngineKind::Containerd if !container.engine_namespace.is_empty() => {
            format!("ctr -n {} task delete -f {id}", shell_word(&container.engine_namespace))
        }
        EngineKind::Lxc | EngineKind::Machined if is_option(&name) => return Err(OPTION),
        EngineKind::Lxc => format!("lxc-stop -n {name}"),
        EngineKind::Machined => format!("machinectl terminate {name}"),
        EngineKind::Runc => format!("runc delete -f {id}"),
        EngineKind::Crun => format!("crun delete -f {id}"),
        _ => return Err(NONE),
    })
}

/// Where the engines of a host keep their files if nothing says otherwise, as far as that is told of containers: of each kind.
const PLACES: [(EngineKind, &[&str]); 8] = [
    (EngineKind::Docker, &["/var/lib/docker/", "/run/docker/runtime-", "/run/containerd/"]),
    (EngineKind::Containerd, &["/run/containerd/", "/var/lib/containerd/"]),
    (EngineKind::Cri, &["/run/containerd/", "/var/lib/containerd/"]),
    (EngineKind::CriO, &["/var/lib/containers/", "/run/"]),
    (EngineKind::Podman, &["/var/lib/containers/storage/", "/run/containers/storage/", "/run/runc/", "/run/crun/"]),
    (EngineKind::Machined, &["/run/systemd/machines/"]),
    (EngineKind::Runc, &["/run/runc/"]),
    (EngineKind::Crun, &["/run/crun/"]),
];

/// Why the program of an engine, without options, can mean another container; `None` where no other has its name or ID, its
/// files are where that engine's are by default, and where several engines of its kind run, that is known.
fn not_of_default_engine(containers: &Containers, container: &Container) -> Option<&'static str> {
    if containers.has_twin(container) {
        return Some("another container has its name or ID");
    }
    let places = PLACES.iter().find(|(kind, _)| *kind == container.kind).map_or(&[][..], |(_, places)| places);
    let files = container.evidence.iter().filter(|evidence| {
        matches!(evidence.kind, EvidenceKind::RuntimeState | EvidenceKind::Bundle | EvidenceKind::EngineFile)
    });
    let mut has_files = false;
    for file in files {
        has_files = true;
        let at = file.at.strip_prefix(b"/var").filter(|at| at.starts_with(b"/run/")).unwrap_or(&file.at);
        if !places.is_empty() && !places.iter().any(|place| at.starts_with(place.as_bytes())) {
            return Some("its engine's files are not where that engine has them by default");
        }
    }
    let is_alike = |engine: &&Engine| engine.kind == container.kind && engine.pid.is_some();
    let may_be_of_another = !has_files && containers.engines.iter().filter(is_alike).count() >= 2;
    may_be_of_another.then_some("several engines of this kind run, and which of them has it is not known")
}

/// What ends a container, after the step that it is about: by its engine's command, or why none is told.
pub(crate) fn ends(snapshot: &Snapshot, container: &Container) -> (Result<String, &'static str>, String) {
    let (removal, name) = (removal(snapshot, container), self::container(container));
    let words = match &removal {
        Ok(command) => format!("; `{command}` ends {name}"),
        Err(why) => format!("; no engine command to end {name}: {why}"),
    };
    (removal, words)
}

/// What means this container and no other, as a TARGET: its engine and name; its pod and name; its engine and ID; or its first
/// process.
pub(crate) fn exact_target(containers: Option<&Containers>, container: &Container) -> BString {
    let (target, whole) =
        (target(container), BString::from([container.kind.name().as_bytes(), b":", &container.id].concat()));
    let has_twin = containers.is_some_and(|containers| containers.has_twin(container));
    let has_namesake = containers.is_some_and(|containers| containers.has_namesake(container));
    // After a slash stands a type.
    let has_slash = |text: &BString| text.contains(&b'/');
    match &container.main {
        Some(main) if has_twin || has_slash(&target) && has_slash(&whole) => main.value.to_string().into(),
        _ if has_twin || has_slash(&target) => whole,
        _ if has_namesake => in_pod(container).unwrap_or(whole),
        _ => target,
    }
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Container"))]
#[serde(rename_all = "kebab-case")]
pub struct ContainerForm {
    /// What means it as a TARGET: its engine and its name; its pod and its name, or its engine and its ID, where another one
    /// has the name too; its PID where another one has all these.
    pub target: String,
    /// What runs it: `docker`, `containerd`, `cri`, `cri-o`, `podman`, `lxc`, `machine`, `runc`, `crun`, `unknown`.
    pub engine: &'static str,
    /// Its ID.
    pub id: String,
    /// Its name; `null` where not known.
    pub name: Option<String>,
    /// Its pod, with its namespace before a slash; `null` where it is in none, or that is not known.
    pub pod: Option<String>,
    /// How far it can be relied on: `sure`, `likely`, `claimed`.
    pub confidence: &'static str,
}

impl ContainerForm {
    /// The form of a container.
    pub fn of(containers: Option<&Containers>, container: &Container) -> Self {
        Self {
            target: lossy(&exact_target(containers, container)),
            engine: container.kind.name(),
            id: lossy(&container.id),
            name: container.name.as_ref().map(|name| lossy(&name.value)),
            pod: container.pod.as_ref().map(|pod| lossy(&pod.value.full_name())),
            confidence: container.confidence().name(),
        }
    }
}

/// A systemd unit, snap or sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Unit"))]
#[serde(rename_all = "kebab-case")]
pub struct UnitForm {
    /// `service`, `scope`, `slice`, `snap`, `flatpak`, `sandbox`.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// The user whose it is; `null` for one of the host's.
    pub of_user: Option<u32>,
}

impl UnitForm {
    /// The form of a unit.
    pub fn of(unit: &Unit) -> Self {
        Self { kind: unit.kind.name(), name: lossy(&unit.name), of_user: unit.of_user.map(|uid| uid.0) }
    }
}

/// What something belongs to, as keys beside its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct WhoseForm {
    /// The container that it belongs to; `null` if there is none; left out if containers were not searched for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<Option<ContainerForm>>,
    /// The unit that it belongs to, if it is in no container; `null` and left out as `container`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Option<UnitForm>>,
}

impl WhoseForm {
    /// What a process belongs to.
    pub fn process(snapshot: &Snapshot, pid: Pid) -> Self {
        Self::of(snapshot, Whose::process(snapshot, pid))
    }

    /// What a namespace belongs to.
    pub fn namespace(snapshot: &Snapshot, id: NamespaceId) -> Self {
        Self::of(snapshot, Whose::namespace(snapshot, id))
    }

    fn of(snapshot: &Snapshot, whose: Option<Whose<'_>>) -> Self {
        let are_known = snapshot.annotations.containers.is_some();
        let (container, unit) = match whose {
            Some(Whose::Container(container)) => {
                (Some(ContainerForm::of(snapshot.annotations.containers.as_ref(), container)), None)
            }
            Some(Whose::Unit(unit)) => (None, Some(UnitForm::of(&unit))),
            None => (None, None),
        };
        Self { container: are_known.then_some(container), unit: are_known.then_some(unit) }
    }
}

#[cfg(test)]
mod tests {
    use lxkns_model::Pod;

    use super::*;
    use crate::testing::{BUSY, LEFT, NET, ODD, contained, snapshot};

    #[test]
    fn each_is_named_as_a_target() {
        let snapshot = contained();
        assert_eq!(in_words(&snapshot, Pid(200)), " in docker:web");
        assert_eq!(of_words(&snapshot, BUSY), " of docker:web");
        assert_eq!(of_words(&snapshot, LEFT), " of cri:app (pod default/web-0)", "without a process");
        assert_eq!((in_words(&snapshot, Pid(1)), of_words(&snapshot, NET)), (String::new(), String::new()));
        assert_eq!(
            evidence(&snapshot, LEFT).unwrap(),
            "made for cri:app (pod default/web-0), which is exited: cni-result /var/lib/cni/results/x (sure)"
        );
        assert_eq!((evidence(&snapshot, BUSY), evidence(&snapshot, ODD)), (None, None));
    }

    #[test]
    fn what_was_not_looked_for_is_left_out_and_what_is_not_there_is_null() {
        let json = |form: WhoseForm| serde_json::to_value(form).unwrap();
        assert_eq!(json(WhoseForm::process(&snapshot(), Pid(200))), serde_json::json!({}));
        let snapshot = contained();
        assert_eq!(json(WhoseForm::process(&snapshot, Pid(1))), serde_json::json!({"container": null, "unit": null}));
        assert_eq!(json(WhoseForm::namespace(&snapshot, BUSY))["container"]["target"], "docker:web");
    }

    #[test]
    fn containers_with_one_name_are_told_apart_in_columns() {
        let make = |kind, id: &str, name| crate::testing::container(kind, id, name, (EvidenceKind::Cgroup, "/x"));
        let long = |digits: &str| format!("{digits:0<64}");
        let list = vec![
            make(EngineKind::Docker, "01", "web"),
            make(EngineKind::Podman, "02", "web"),
            make(EngineKind::Podman, "03", "db"),
            make(EngineKind::Cri, "04", "app"),
            make(EngineKind::Cri, "05", "app"),
            make(EngineKind::Cri, &long("1aded2d9d958"), "nginx"),
            make(EngineKind::Cri, &long("59077b9b9240"), "nginx"),
            make(EngineKind::Cri, &(long("59077b9b9240")[..63].to_owned() + "f"), "redis"),
        ];
        let containers = Containers { list, ..Containers::default() };
        let names = ColumnNames::of(Some(&containers));
        let shown: Vec<_> = containers.list.iter().map(|container| names.name(container).to_string()).collect();
        let whole = format!("cri:{}", long("59077b9b9240"));
        let expected = ["docker:web", "podman:web", "db", "cri:04", "cri:05", "cri:1aded2d9d958", &whole, "redis"];
        assert_eq!(shown, expected, "digits that another ID begins with do not name it");
    }

    #[test]
    fn each_engine_removes_its_own() {
        let mut container = crate::testing::container(EngineKind::Docker, "0123", "a b", (EvidenceKind::Cgroup, "/x"));
        container.engine_namespace = "k8s.io".into();
        for (kind, expected) in [
            (EngineKind::Docker, Some("docker rm -f 0123")),
            (EngineKind::Podman, Some("podman rm -f 0123")),
            (EngineKind::Cri, Some("crictl rm -f 0123")),
            (EngineKind::Containerd, Some("ctr -n k8s.io task delete -f 0123")),
            (EngineKind::Lxc, Some("lxc-stop -n 'a b'")),
            (EngineKind::Machined, Some("machinectl terminate 'a b'")),
            (EngineKind::Runc, Some("runc delete -f 0123")),
            (EngineKind::Crun, Some("crun delete -f 0123")),
            (EngineKind::Unknown, None),
        ] {
            container.kind = kind;
            assert_eq!(removal(&snapshot(), &container).ok().as_deref(), expected);
        }
        container.kind = EngineKind::CriO;
        container.role = ContainerRole::Sandbox;
        assert_eq!(removal(&snapshot(), &container).as_deref(), Ok("crictl rmp -f 0123"));
        // What an ordinary user can make up is no reason to remove anything.
        container.evidence[0].confidence = Confidence::Claimed;
        assert_eq!(removal(&snapshot(), &container), Err("an ordinary user can have made up this container"));
        container.evidence[0].confidence = Confidence::Likely;
        container.id = "-x".into();
        assert_eq!(removal(&snapshot(), &container), Err("its name or ID would be read as an option"));
        container.id = "0123".into();
        container.inside = Some(0);
        assert_eq!(removal(&snapshot(), &container), Err("its engine runs in another container"));
    }

    #[test]
    fn hostile_names_are_escaped_and_whole() {
        let mut snapshot = contained();
        let long = format!("a\x1b]0;{}\n", "x".repeat(300));
        let list = &mut snapshot.annotations.containers.as_mut().unwrap().list;
        list.iter_mut().for_each(|it| it.name.as_mut().into_iter().for_each(|name| name.value = long.clone().into()));
        let words = in_words(&snapshot, Pid(200));
        assert_eq!(words, format!(" in docker:a\\x1b]0;{}\\x0a", "x".repeat(300)));
    }

    #[test]
    fn another_engine_or_a_twin_gets_no_command() {
        let mut snapshot = contained();
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        let file = |at: &str| lxkns_model::Evidence {
            kind: EvidenceKind::EngineFile,
            at: at.into(),
            pid: None,
            confidence: Confidence::Sure,
        };
        containers.list[0].evidence.push(file("/var/lib/docker/containers/4f1a/config.v2.json"));
        let of = |snapshot: &Snapshot, index: usize| {
            removal(snapshot, &snapshot.annotations.containers.as_ref().unwrap().list[index]).ok()
        };
        assert_eq!(of(&snapshot, 0), Some(format!("docker rm -f {}", crate::testing::WEB_ID)), "by its whole ID");
        // Another data root.
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[0].evidence[1] = file("/srv/docker/containers/4f1a/config.v2.json");
        assert_eq!(of(&snapshot, 0), None);
        // A container of the same name, of whatever engine.
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[0].evidence.truncate(1);
        let twin = crate::testing::container(EngineKind::Docker, &"ab".repeat(32), "web", (EvidenceKind::Cgroup, "/x"));
        containers.list.push(twin);
        containers.find_twins();
        assert_eq!((of(&snapshot, 0), of(&snapshot, 2)), (None, None));
        // Two engines, and nothing that says whose it is.
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list.pop();
        containers.find_twins();
        assert!(of(&snapshot, 0).is_some());
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        let engine = |pid| Engine {
            kind: EngineKind::Docker,
            pid: Some(Pid(pid)),
            id: None,
            version: None,
            api: None,
            inside: None,
        };
        containers.engines = vec![engine(7), engine(8)];
        assert_eq!(of(&snapshot, 0), None);
    }

    #[test]
    fn a_target_means_one_container() {
        let mut snapshot = contained();
        let of = |snapshot: &Snapshot, index: usize| {
            let containers = snapshot.annotations.containers.as_ref();
            exact_target(containers, &containers.unwrap().list[index]).to_string()
        };
        assert_eq!((of(&snapshot, 0).as_str(), of(&snapshot, 1).as_str()), ("docker:web", "cri:app"));
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[1].name.as_mut().unwrap().value = "a/b".into();
        let twin = crate::testing::container(EngineKind::Docker, &"ab".repeat(32), "web", (EvidenceKind::Cgroup, "/x"));
        containers.list.push(twin);
        containers.find_twins();
        assert_eq!(of(&snapshot, 0), "200", "its first process");
        assert_eq!(of(&snapshot, 1), "cri:00112233445566778899", "after a slash stands a type");
        assert_eq!(of(&snapshot, 2), format!("docker:{}", "ab".repeat(32)));
        let json = serde_json::to_value(WhoseForm::process(&snapshot, Pid(200))).unwrap();
        assert_eq!(json["container"]["target"], "200");
    }

    /// Kubernetes gives each copy of a pod the same names of containers, and often a pod that of its container.
    #[test]
    fn containers_of_pods_are_told_apart_by_their_pods() {
        let mut snapshot = contained();
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        let of_pod = |id: &str, pod: &str, name: &str, role| {
            let at = (EvidenceKind::RuntimeState, "/run/containerd/runc/k8s.io/x/state.json");
            let mut container = crate::testing::container(EngineKind::Cri, &id.repeat(32), name, at);
            let pod = Pod { namespace: "shop".into(), name: pod.into(), uid: pod.into() };
            (container.pod, container.role) = (Some(Said { value: pod, by: 0 }), role);
            container
        };
        let (sandbox, workload) = (ContainerRole::Sandbox, ContainerRole::Workload);
        containers.list = vec![
            of_pod("a1", "nginx", "nginx", sandbox),
            of_pod("a2", "nginx", "nginx", workload),
            of_pod("b1", "web-1", "web-1", sandbox),
            of_pod("b2", "web-1", "nginx", workload),
            of_pod("b3", "web-1", "net", workload),
            of_pod("c3", "web-2", "net", workload),
            of_pod("c4", "web-2", "cache", workload),
        ];
        containers.find_twins();
        let containers = snapshot.annotations.containers.as_ref().unwrap();
        let all = || containers.list.iter();
        assert!(all().all(|container| !containers.has_twin(container)));
        let id = |digits: &str| format!("cri:{}", digits.repeat(32));
        let expected = [
            id("a1"),
            "pod:shop/nginx/nginx".to_owned(),
            "cri:web-1".to_owned(),
            "pod:shop/web-1/nginx".to_owned(),
            id("b3"),
            id("c3"),
            "cri:cache".to_owned(),
        ];
        let exact: Vec<_> = all().map(|it| exact_target(Some(containers), it).to_string()).collect();
        assert_eq!(exact, expected);
        let columns = ColumnNames::of(Some(containers));
        let named: Vec<_> = all().map(|it| columns.name(it).to_string()).collect();
        // The first digits of an ID are enough to tell them apart.
        let expected = [
            "cri:a1a1a1a1a1a1",
            "pod:shop/nginx/nginx",
            "web-1",
            "pod:shop/web-1/nginx",
            "cri:b3b3b3b3b3b3",
            "cri:c3c3c3c3c3c3",
            "cache",
        ];
        assert_eq!(named, expected);
        // By its ID, whatever it is called.
        assert_eq!(removal(&snapshot, &containers.list[3]), Ok(format!("crictl rm -f {}", "b2".repeat(32))));

        // What is left of a container that was started again has its name in the same pod.
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list.push(of_pod("d4", "web-2", "cache", workload));
        containers.find_twins();
        let containers = snapshot.annotations.containers.as_ref().unwrap();
        assert_eq!(exact_target(Some(containers), &containers.list[6]).to_string(), id("c4"));
    }

    #[test]
    fn who_claims_it_is_told() {
        let mut snapshot = contained();
        assert_eq!(claimed(&snapshot, Pid(200), Some(Uid(1000))), None);
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[0].evidence[0].confidence = Confidence::Claimed;
        assert_eq!(
            claimed(&snapshot, Pid(200), Some(Uid(1000))).unwrap(),
            "only UID 1000 claims that process 200 is in docker:web: cgroup /docker/4f1a; any user can claim this name"
        );
    }
}
