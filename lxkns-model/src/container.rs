//! Containers, and what else processes belong to.
//!
//! The kernel knows no containers. What is here was concluded from evidence (`lxkns-engines`), and each value says from
//! which: [`Container::evidence`] lists what was read, and each [`Said`] has an index into it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::SystemTime;

use bstr::BString;

use crate::{CgroupLimits, NamespaceId, Pid};

/// The containers of a host and their engines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Containers {
    /// The containers, sorted by kind and ID. What refers to one has its index here.
    pub list: Vec<Container>,
    /// The engines that run containers here or were asked about them, sorted by kind and PID.
    pub engines: Vec<Engine>,
    /// What containers belong to together, sorted by kind and name.
    pub groups: Vec<Group>,
    /// The innermost container of each process that is in one.
    pub members: BTreeMap<Pid, usize>,
    /// The innermost containers of namespaces that are theirs without a process that says so: of a network namespace that
    /// an engine has made and forgotten, or of a mount namespace whose mounts name one.
    pub namespaces: BTreeMap<NamespaceId, usize>,
    /// The containers that neither their name nor their ID tells apart: see [`find_twins`](Self::find_twins).
    pub twins: BTreeSet<usize>,
    /// The containers whose name or ID another one of the same kind has too, in whatever pod.
    pub namesakes: BTreeSet<usize>,
    /// The systemd unit, snap or sandbox of processes that are in no container but not in the host's namespaces either.
    pub units: BTreeMap<Pid, Unit>,
}

impl Containers {
    /// Finds the containers whose ID another one of the same kind has too, or whose name, so that neither says which is
    /// meant. Kubernetes gives names that are unique in a pod only: there, another container of the pod must have it.
    pub fn find_twins(&mut self) {
        let (mut seen, mut anywhere) = (BTreeMap::new(), BTreeMap::new());
        let (mut twins, mut namesakes) = (BTreeSet::new(), BTreeSet::new());
        for (index, container) in self.list.iter().enumerate() {
            let pod = container.pod.as_ref().map(|pod| &pod.value).filter(|pod| !pod.namespace.is_empty());
            let within = pod.map(|pod| (pod, container.role));
            let name = container.name.as_ref().map(|name| &name.value).filter(|name| **name != container.id);
            for (within, called) in std::iter::once((None, &container.id)).chain(name.map(|name| (within, name))) {
                let other = *seen.entry((container.kind, within, called)).or_insert(index);
                if other != index {
                    twins.extend([index, other]);
                }
                let other = *anywhere.entry((container.kind, called)).or_insert(index);
                if other != index {
                    namesakes.extend([index, other]);
                }
            }
        }
        (self.twins, self.namesakes) = (twins, namesakes);
    }

    /// Whether neither the name nor the ID of this container tells it apart from others of its kind.
    pub fn has_twin(&self, container: &Container) -> bool {
        self.is_one_of(&self.twins, container)
    }

    /// Whether another container of the same kind, in whatever pod, has the name or the ID of this one.
    pub fn has_namesake(&self, container: &Container) -> bool {
        self.is_one_of(&self.namesakes, container)
    }

    fn is_one_of(&self, those: &BTreeSet<usize>, container: &Container) -> bool {
        // Containers are told apart by where they are: they can be equal. Any number can have one name, so none is searched for.
        let offset = std::ptr::from_ref(container).addr().wrapping_sub(self.list.as_ptr().addr());
        let index = offset / size_of::<Container>();
        those.contains(&index) && self.list.get(index).is_some_and(|one| std::ptr::eq(one, container))
    }

    /// The innermost container of a process.
    pub fn of(&self, pid: Pid) -> Option<&Container> {
        self.list.get(*self.members.get(&pid)?)
    }

    /// The container that an engine runs in which runs this one, and so on: from the inside out.
    pub fn around<'a>(&'a self, container: &'a Container) -> impl Iterator<Item = &'a Container> {
        // A circle, which only a dump can claim, ends when every container has had its turn.
        std::iter::successors(self.outer(container), |outer| self.outer(outer)).take(self.list.len())
    }

    fn outer(&self, container: &Container) -> Option<&Container> {
        self.list.get(container.inside?)
    }
}

/// What runs containers. Those with a name of their own in [`EngineKind::type_name`] have the Go program's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum EngineKind {
    /// Docker (Moby).
    Docker,
    /// containerd, with any client but Docker and the kubelet: `ctr`, nerdctl.
    Containerd,
    /// containerd by its CRI plugin, as the kubelet uses it.
    Cri,
    /// CRI-O.
    CriO,
    /// podman.
    Podman,
    /// LXC.
    Lxc,
    /// systemd-nspawn, and what else registers with systemd-machined.
    Machined,
    /// runc, without an engine that is known.
    Runc,
    /// crun, without an engine that is known.
    Crun,
    /// Nothing that is known: something in a control group or a dump looks like a container.
    Unknown,
}

impl EngineKind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Docker,
        Self::Containerd,
        Self::Cri,
        Self::CriO,
        Self::Podman,
        Self::Lxc,
        Self::Machined,
        Self::Runc,
        Self::Crun,
        Self::Unknown,
    ];

    /// A short stable name, as in a TARGET (`docker:web`) and in the column ENGINE.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Containerd => "containerd",
            Self::Cri => "cri",
            Self::CriO => "cri-o",
            Self::Podman => "podman",
            Self::Lxc => "lxc",
            Self::Machined => "machine",
            Self::Runc => "runc",
            Self::Crun => "crun",
            Self::Unknown => "unknown",
        }
    }

    /// What dumps have as the type of an engine and of its containers.
    pub const fn type_name(self) -> &'static str {
        match self {
            Self::Docker => "docker.com",
            Self::Containerd => "containerd.io",
            Self::Cri => "k8s.io/cri-api",
            Self::Podman => "podman.io",
            other => other.name(),
        }
    }

    /// The kind with this name, or with this type name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name || kind.type_name() == name)
    }
}

impl fmt::Display for EngineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How far a conclusion can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Confidence {
    /// An ordinary user can make it look so: this user says it of their own processes.
    Claimed,
    /// Only root, or whom root has let, can make it look so, but nothing ties it to this very process.
    Likely,
    /// What only root can write names this very process, with its start time, or several sources agree.
    Sure,
}

impl Confidence {
    /// A short stable name, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::Likely => "likely",
            Self::Sure => "sure",
        }
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What kind of thing said something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum EvidenceKind {
    /// The path of a control group.
    Cgroup,
    /// The command line of the shim or monitor that is the parent.
    Monitor,
    /// The runtime's state: `state.json` of runc, `status` of crun.
    RuntimeState,
    /// The bundle's `config.json`.
    Bundle,
    /// A file of the engine's.
    EngineFile,
    /// The result of a CNI plugin.
    CniResult,
    /// The source of a mount, as of `/etc/hosts`.
    Mount,
    /// The engine's answer.
    Engine,
    /// A dump of another program.
    Dump,
}

impl EvidenceKind {
    /// A short stable name, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cgroup => "cgroup",
            Self::Monitor => "monitor",
            Self::RuntimeState => "runtime-state",
            Self::Bundle => "bundle",
            Self::EngineFile => "engine-file",
            Self::CniResult => "cni-result",
            Self::Mount => "mount",
            Self::Engine => "engine",
            Self::Dump => "dump",
        }
    }
}

/// Something that was read and says something of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// What it is.
    pub kind: EvidenceKind,
    /// Where: a path, that of a control group or of a file in the mount namespace of the engine; of a monitor, its command
    /// line's beginning.
    pub at: BString,
    /// The process that it was read from or through, where there is one: the monitor, the shim.
    pub pid: Option<Pid>,
    /// How far it can be relied on.
    pub confidence: Confidence,
}

/// A value, and who said so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said<T> {
    /// What was said.
    pub value: T,
    /// The index of who said so in [`Container::evidence`].
    pub by: usize,
}

/// What a container is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum ContainerState {
    /// It is made, and nothing runs in it yet.
    Created,
    /// It runs.
    Running,
    /// It is frozen.
    Paused,
    /// It has ended; something of it is left.
    Exited,
}

impl ContainerState {
    /// A short stable name, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Exited => "exited",
        }
    }
}

impl fmt::Display for ContainerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What the check of a container's health has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum ContainerHealth {
    /// It has not been found healthy yet.
    Starting,
    /// The last check has succeeded.
    Healthy,
    /// Checks have failed.
    Unhealthy,
}

impl ContainerHealth {
    /// A short stable name, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

impl fmt::Display for ContainerHealth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What a container is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum ContainerRole {
    /// The user's program.
    #[default]
    Workload,
    /// It keeps the namespaces of a pod: a sandbox (CRI), an infrastructure container (podman).
    Sandbox,
}

/// A Kubernetes pod, or one of podman's, which has no namespace and no UID.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pod {
    /// The Kubernetes namespace; empty where there is none.
    pub namespace: BString,
    /// Its name.
    pub name: BString,
    /// Its UID or ID; empty where not known.
    pub uid: BString,
}

impl Pod {
    /// What it is called: `namespace/name`, or the name alone.
    pub fn full_name(&self) -> BString {
        if self.namespace.is_empty() {
            return self.name.clone();
        }
        let mut name = self.namespace.clone();
        name.push(b'/');
        name.extend_from_slice(&self.name);
        name
    }
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// What runs it.
    pub kind: EngineKind,
    /// Its ID: what the engine has, whole where that is known.
    pub id: BString,
    /// Its name; `None` where not known.
    pub name: Option<Said<BString>>,
    /// The engine's own division: the namespace of containerd (`moby`, `k8s.io`, `default`); empty where there is none.
    pub engine_namespace: BString,
    /// The index of its engine in [`Containers::engines`], where one was seen.
    pub engine: Option<usize>,
    /// The runtime that has started it (`runc`, `crun`), where that is known.
    pub runtime: Option<Said<BString>>,
    /// The image, by the name that it was started with.
    pub image: Option<Said<BString>>,
    /// What it is doing.
    pub state: Option<Said<ContainerState>>,
    /// What its engine says of its health; `None` where no engine was asked, or nothing checks it.
    pub health: Option<Said<ContainerHealth>>,
    /// When it was made.
    pub created: Option<Said<SystemTime>>,
    /// Its labels.
    pub labels: BTreeMap<BString, BString>,
    /// Its annotations, as the runtime has them.
    pub annotations: BTreeMap<BString, BString>,
    /// Its first process; `None` where it has ended or is not known.
    pub main: Option<Said<Pid>>,
    /// Its pod.
    pub pod: Option<Said<Pod>>,
    /// What it is for.
    pub role: ContainerRole,
    /// Its control group, as the host's first process has it.
    pub cgroup: Option<Said<BString>>,
    /// What its control groups let it use; `None` where that was not read.
    pub limits: Option<CgroupLimits>,
    /// The path of the network namespace that was made for it.
    pub network_path: Option<Said<BString>>,
    /// The indexes of its groups in [`Containers::groups`].
    pub groups: Vec<usize>,
    /// The index of the container that its engine runs in.
    pub inside: Option<usize>,
    /// A more special kind, in the Go program's words: `com.docker.devcontainer` and the like.
    pub flavor: Option<BString>,
    /// What was read. The first is what made it known.
    pub evidence: Vec<Evidence>,
    /// Where sources disagree.
    pub disagreements: Vec<Disagreement>,
}

impl Container {
    /// A container with only these values known.
    pub fn new(kind: EngineKind, id: impl Into<BString>, evidence: Evidence) -> Self {
        Self {
            kind,
            id: id.into(),
            name: None,
            engine_namespace: BString::default(),
            engine: None,
            runtime: None,
            image: None,
            state: None,
            health: None,
            created: None,
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            main: None,
            pod: None,
            role: ContainerRole::Workload,
            cgroup: None,
            limits: None,
            network_path: None,
            groups: Vec::new(),
            inside: None,
            flavor: None,
            evidence: vec![evidence],
            disagreements: Vec::new(),
        }
    }

    /// Its name or, where that is not known, its ID.
    pub fn display_name(&self) -> &BString {
        self.name.as_ref().map_or(&self.id, |name| &name.value)
    }

    /// How far it can be relied on that it is one, and which.
    pub fn confidence(&self) -> Confidence {
        self.evidence.iter().map(|evidence| evidence.confidence).max().unwrap_or(Confidence::Claimed)
    }
}

/// Two sources that say different things of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disagreement {
    /// About what: a key of the JSON form, such as `name`.
    pub about: &'static str,
    /// What was said, each with the index of who said so in [`Container::evidence`]; the first is what was taken.
    pub values: Vec<Said<BString>>,
}

/// An engine that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Engine {
    /// What it is.
    pub kind: EngineKind,
    /// Its process; `None` where it has none (podman, unless its service was asked) or none was found.
    pub pid: Option<Pid>,
    /// Its own ID, where it was asked.
    pub id: Option<BString>,
    /// Its version, where it was asked or says so.
    pub version: Option<BString>,
    /// Where it listens: the path of a socket in the mount namespace of its process.
    pub api: Option<BString>,
    /// The index of the container that it runs in.
    pub inside: Option<usize>,
}

/// What holds a group together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum GroupKind {
    /// A pod.
    Pod,
    /// A project of Docker Compose's.
    ComposeProject,
    /// What a dump of another program has.
    Other,
}

/// Containers that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What holds it together.
    pub kind: GroupKind,
    /// Its name: `namespace/pod`, or the project's.
    pub name: BString,
    /// Its type and flavor, in the Go program's words: `io.kubernetes.pod`, `com.docker.compose.project`.
    pub type_name: BString,
    /// See there.
    pub flavor: BString,
    /// Its labels.
    pub labels: BTreeMap<BString, BString>,
}

/// What kind of unit a process is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum UnitKind {
    /// A systemd service.
    Service,
    /// A systemd scope: a user session, or processes that a program other than systemd has started.
    Scope,
    /// A systemd slice, of processes in no service or scope.
    Slice,
    /// A snap.
    Snap,
    /// A flatpak.
    Flatpak,
    /// A sandbox of a program's own (bubblewrap, a browser).
    Sandbox,
}

impl UnitKind {
    /// A short stable name, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Scope => "scope",
            Self::Slice => "slice",
            Self::Snap => "snap",
            Self::Flatpak => "flatpak",
            Self::Sandbox => "sandbox",
        }
    }
}

/// What a process belongs to that is in no container.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Unit {
    /// What it is.
    pub kind: UnitKind,
    /// Its name: `cron.service`, `session-3.scope`, a snap's name.
    pub name: BString,
    /// Whose it is, where it is one of a user's own service manager.
    pub of_user: Option<crate::Uid>,
}
