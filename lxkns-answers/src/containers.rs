//! The containers of a host, each with the owners of its namespaces and how well it is isolated from the host: the answer of `lxkns
//! containers`.

use std::collections::BTreeMap;

use bstr::BString;
use lxkns_model::CompactSort as _;
use lxkns_model::relations::{Belonging, ContainerNamespaces};
use lxkns_model::{
    CapabilitySet, CgroupLimits, Container, Containers, EngineKind, GroupKind, NamespaceId, NamespaceType, Pid, Said,
    Seccomp, Snapshot, Uid, wire,
};
use rustc_hash::FxHashMap;
use serde::Serialize;

use crate::cell::Cell;
use crate::isolation::{Isolation, Membership, Root};
use crate::names::lossy;
use crate::show::Label;
use crate::text::escape::{For, escape, printable};
use crate::whose::{self, ContainerForm};

/// A column: a property of each container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Column {
    /// Its name, or the beginning of its ID.
    Container,
    /// What runs it.
    Engine,
    /// What it is doing.
    State,
    /// Whose the namespace of this type is.
    Namespace(NamespaceType),
    /// Who its root is on the host.
    Root,
    /// Its capabilities beyond the engine's default.
    Caps,
    /// Whether its system calls are filtered.
    Seccomp,
    /// Whether running a program gives it no more powers.
    Nnp,
    /// The label that a security module gave it.
    Lsm,
    /// Its pod.
    Pod,
    /// Its first process.
    Process,
    /// Its image.
    Image,
    /// Its ID.
    Id,
    /// How far it can be relied on.
    Confidence,
}

/// All columns: name, what it means.
const COLUMNS: [(Column, &str, &str); 21] = [
    (Column::Container, "CONTAINER", "name, or the beginning of the ID"),
    (
        Column::Namespace(NamespaceType::Mnt),
        "MNT",
        "whose mount namespace it has: its own, the host's or a container's",
    ),
    (Column::Namespace(NamespaceType::Cgroup), "CGROUP", "the same for its cgroup namespace"),
    (Column::Namespace(NamespaceType::Uts), "UTS", "the same for its UTS namespace"),
    (Column::Namespace(NamespaceType::Ipc), "IPC", "the same for its IPC namespace"),
    (Column::Namespace(NamespaceType::User), "USER", "the same for its user namespace"),
    (Column::Namespace(NamespaceType::Pid), "PID", "the same for its PID namespace"),
    (Column::Namespace(NamespaceType::Net), "NET", "the same for its network namespace"),
    (Column::Namespace(NamespaceType::Time), "TIME", "the same for its time namespace"),
    (Column::Root, "ROOT", "host UID of its root: 0 is root on the host; none if it has no root"),
    (Column::Seccomp, "SECCOMP", "whether system calls are filtered: none, strict or filter"),
    (Column::Nnp, "NNP", "no_new_privs"),
    (Column::State, "STATE", "created, running, paused or exited"),
    (Column::Engine, "ENGINE", "what runs it"),
    (Column::Caps, "EXTRA-CAPS", "capabilities beyond the engine's default; all if it has every one"),
    (Column::Lsm, "LSM", "label of AppArmor, SELinux or Smack"),
    (Column::Pod, "POD", "pod"),
    (Column::Process, "PROCESS", "PID of its first process"),
    (Column::Image, "IMAGE", "image"),
    (Column::Id, "ID", "whole ID"),
    (Column::Confidence, "CONFIDENCE", "sure, likely or claimed (an ordinary user can make it look so)"),
];

crate::columns::described_by!(Column, COLUMNS);

impl Column {
    /// The columns that are shown by default.
    pub fn default_columns() -> Vec<Self> {
        Self::all().take_while(|column| *column != Self::Pod).collect()
    }
}

/// Containers of one engine, in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EngineNode {
    /// The index of the container that it runs in; `None` for one that runs in none.
    inside: Option<usize>,
    /// What it is.
    kind: EngineKind,
    /// Its index; `None` where it was not seen.
    engine: Option<usize>,
}

/// What stands in one place of the tree of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Node {
    /// An engine.
    Engine(EngineNode),
    /// A group of its containers, by its index.
    Group(EngineNode, usize),
    /// A container, by its index.
    Container(usize),
}

/// Containers below their groups and engines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    roots: Vec<Node>,
    below: BTreeMap<Node, Vec<Node>>,
}

impl Tree {
    /// What stands below nothing.
    pub fn roots(&self) -> &[Node] {
        &self.roots
    }

    /// What stands right below this.
    pub fn children(&self, node: Node) -> &[Node] {
        self.below.get(&node).map_or(&[], Vec::as_slice)
    }
}

/// The containers of a snapshot, with what the table shows of them.
#[derive(Debug)]
pub struct Matrix<'a> {
    snapshot: &'a Snapshot,
    containers: &'a Containers,
    namespaces: ContainerNamespaces<'a>,
    facts: Vec<Isolation>,
    /// How many containers are in a namespace that is not the host's, and the first of them.
    inside: FxHashMap<NamespaceId, (usize, Vec<usize>)>,
    labels: BTreeMap<usize, Label>,
    names: whose::ColumnNames,
}

/// How many containers are told of those that share a namespace: as many may share it with each of them.
const SOME: usize = 20;

impl<'a> Matrix<'a> {
    /// All containers of a snapshot; `None` where they were not looked for.
    pub fn of(snapshot: &'a Snapshot) -> Option<Self> {
        let containers = snapshot.annotations.containers.as_ref()?;
        let namespaces = ContainerNamespaces::of(snapshot);
        let all = 0..containers.list.len();
        let facts: Vec<_> = all.map(|index| Isolation::of(snapshot, &namespaces, index)).collect();
        let mut inside = FxHashMap::default();
        for membership in facts.iter().flat_map(|facts| &facts.namespaces) {
            let is_hosts = membership.belonging == Some(Belonging::Host);
            if let Some(id) = membership.id.filter(|id| !is_hosts && !inside.contains_key(id)) {
                let mut all = namespaces.all_in(id).to_vec();
                let count = all.len();
                all.truncate(SOME + 1);
                inside.insert(id, (count, all));
            }
        }
        let names = whose::ColumnNames::of(Some(containers));
        Some(Self { snapshot, containers, namespaces, facts, inside, labels: BTreeMap::new(), names })
    }

    /// With the labels that security modules gave first processes, by the indexes of their containers.
    #[must_use]
    pub fn with_labels(self, labels: BTreeMap<usize, Label>) -> Self {
        Self { labels, ..self }
    }

    /// The containers, by their indexes: all, or those with a process in one of these namespaces and those for which one was
    /// made.
    pub fn select(&self, only: Option<&[NamespaceId]>) -> Vec<usize> {
        let Some(only) = only else { return (0..self.containers.list.len()).collect() };
        let mut found: Vec<_> = only.iter().flat_map(|&id| self.namespaces.containers_in(id)).collect();
        found.compact_sort();
        found.dedup();
        found
    }

    /// The container of a process.
    pub fn of_process(&self, pid: Pid) -> Option<usize> {
        let of_main = |container: &Container| container.main.as_ref().is_some_and(|main| main.value == pid);
        self.containers.members.get(&pid).copied().or_else(|| self.containers.list.iter().position(of_main))
    }

    /// The process that stands for a container.
    pub fn first_process(&self, index: usize) -> Option<Pid> {
        self.facts.get(index)?.process
    }

    /// How far a container is apart.
    pub fn isolation(&self, index: usize) -> Option<&Isolation> {
        self.facts.get(index)
    }

    /// The cell of a container in a column.
    pub fn cell(&self, index: usize, column: Column) -> Cell {
        let (Some(container), Some(facts)) = (self.containers.list.get(index), self.facts.get(index)) else {
            return Cell::Nothing;
        };
        fn text(said: Option<&Said<BString>>) -> Cell {
            said.map_or(Cell::Nothing, |said| Cell::Text(said.value.clone()))
        }
        let unknown = || Cell::Hint("?".to_owned());
        match column {
            Column::Container => Cell::Text(self.names.name(container)),
            Column::Engine => Cell::text(container.kind.name()),
            Column::State => container.state.as_ref().map_or_else(unknown, |state| Cell::text(state.value.name())),
            Column::Namespace(ns_type) => {
                let membership = facts.namespaces.iter().find(|membership| membership.ns_type == ns_type);
                membership.and_then(|membership| self.whose(membership)).map_or_else(unknown, Cell::Text)
            }
            Column::Root => match facts.root {
                Some(Root::User(uid)) => Cell::Number(uid.0.into()),
                Some(Root::Nobody) => Cell::text("none"),
                None => unknown(),
            },
            Column::Caps => match facts.extra_capabilities {
                Some(extra) if extra.is_empty() => Cell::text("none"),
                // Privileged, as people say.
                Some(_) if facts.capabilities.is_some_and(CapabilitySet::has_all_known) => Cell::text("all"),
                Some(extra) => {
                    let short = |capability: lxkns_model::Capability| match capability.short_name() {
                        Some(name) => name.to_owned(),
                        None => capability.number().to_string(),
                    };
                    Cell::text(extra.iter().map(short).collect::<Vec<_>>().join(","))
                }
                None => unknown(),
            },
            Column::Seccomp => facts.seccomp.map_or_else(unknown, |mode| Cell::text(mode.to_string())),
            Column::Nnp => facts.no_new_privs.map_or_else(unknown, Cell::Bool),
            Column::Lsm => match self.labels.get(&index) {
                Some(Label::Known(label)) => Cell::Text(label.clone()),
                Some(Label::None) => Cell::text("none"),
                _ => unknown(),
            },
            Column::Pod => container.pod.as_ref().map_or(Cell::Nothing, |pod| Cell::Text(pod.value.full_name())),
            Column::Process => Cell::number(facts.process.map(|pid| pid.0.into())),
            Column::Image => text(container.image.as_ref()),
            Column::Id => Cell::Text(container.id.clone()),
            Column::Confidence => Cell::text(container.confidence().name()),
        }
    }

    /// Some of the other containers in a namespace.
    fn others(&self, membership: &Membership, index: usize) -> Option<impl Iterator<Item = usize>> {
        let (_, all) = self.inside.get(&membership.id?)?;
        Some(all.iter().copied().filter(move |&other| other != index).take(SOME))
    }

    /// Whose a namespace is, in a word.
    fn whose(&self, membership: &Membership) -> Option<BString> {
        Some(match membership.belonging? {
            Belonging::Own => "own".into(),
            Belonging::Host => "host".into(),
            Belonging::Container(other) => self.names.name(self.containers.list.get(other)?),
            Belonging::Process(pid) => format!("PID {pid}").into(),
            _ => return None,
        })
    }

    /// These containers, sorted, as a tree: engines, their groups, and containers below; an engine that runs in one of them below
    /// that.
    pub fn tree(&self, shown: &[usize]) -> Tree {
        let mut tree = Tree::default();
        for &index in shown {
            let Some(container) = self.containers.list.get(index) else { continue };
            let inside = container.inside.filter(|outer| shown.binary_search(outer).is_ok());
            let engine = EngineNode { inside, kind: container.kind, engine: container.engine };
            // Of several groups the first: a container stands in one place.
            let above = match container.groups.first() {
                Some(&group) => {
                    tree.below.entry(Node::Engine(engine)).or_default().push(Node::Group(engine, group));
                    Node::Group(engine, group)
                }
                None => Node::Engine(engine),
            };
            tree.below.entry(above).or_default().push(Node::Container(index));
            match inside {
                Some(outer) => tree.below.entry(Node::Container(outer)).or_default().push(Node::Engine(engine)),
                None => tree.roots.push(Node::Engine(engine)),
            }
        }
        for nodes in tree.below.values_mut().chain([&mut tree.roots]) {
            nodes.compact_sort();
            nodes.dedup();
        }
        tree
    }

    /// What stands for a node of the tree in the first column.
    pub fn name(&self, node: Node, goes_to: For) -> String {
        match node {
            Node::Container(index) => {
                self.containers.list.get(index).map_or_else(String::new, |it| escape(&whose::short_name(it), goes_to))
            }
            Node::Engine(EngineNode { kind, engine, .. }) => {
                let engine = engine.and_then(|index| self.containers.engines.get(index));
                let version = engine.and_then(|it| it.version.as_ref()).map(|it| format!(" {}", printable(it)));
                let process = match engine {
                    Some(engine) => engine.pid.map(|pid| format!(" (process {pid})")),
                    None => Some(" (engine not seen)".to_owned()),
                };
                format!("{kind}{}{}", version.unwrap_or_default(), process.unwrap_or_default())
            }
            Node::Group(_, index) => self.containers.groups.get(index).map_or_else(String::new, |group| {
                let kind = match group.kind {
                    GroupKind::Pod => "pod",
                    GroupKind::ComposeProject => "project",
                    _ => "group",
                };
                format!("{kind} {}", escape(&group.name, goes_to))
            }),
        }
    }

    /// What is said of one container.
    pub fn answer(&self, index: usize) -> Option<Answer> {
        let (container, facts) = (self.containers.list.get(index)?, self.facts.get(index)?);
        let target = |index: usize| {
            self.containers.list.get(index).map(|it| lossy(&whose::exact_target(Some(self.containers), it)))
        };
        let engine = container.engine.and_then(|engine| self.containers.engines.get(engine));
        let groups = container.groups.iter().filter_map(|&group| self.containers.groups.get(group));
        let label = self.labels.get(&index);
        let membership = |membership: &Membership| MembershipAnswer {
            ns_type: membership.ns_type.name(),
            nsid: membership.id.map(|id| id.ino),
            whose: membership.belonging.and_then(|belonging| match belonging {
                Belonging::Own => Some("own"),
                Belonging::Host => Some("host"),
                Belonging::Container(_) => Some("container"),
                Belonging::Process(_) => Some("process"),
                _ => None,
            }),
            container: match membership.belonging {
                Some(Belonging::Container(other)) => target(other),
                _ => None,
            },
            pid: match membership.belonging {
                Some(Belonging::Process(pid)) => Some(pid.0),
                _ => None,
            },
            shared_with: self.others(membership, index).map(|others| others.filter_map(target).collect()),
            shared_with_count: membership
                .id
                .and_then(|id| self.inside.get(&id))
                .map(|(count, _)| count.saturating_sub(1)),
        };
        let said = |said: &Option<Said<BString>>| said.as_ref().map(|said| lossy(&said.value));
        Some(Answer {
            container: ContainerForm::of(Some(self.containers), container),
            state: container.state.as_ref().map(|state| state.value.name()),
            health: container.health.as_ref().map(|health| health.value.name()),
            image: said(&container.image),
            runtime: said(&container.runtime),
            created: container.created.as_ref().and_then(|created| wire::time_text(created.value)),
            sandbox: container.role == lxkns_model::ContainerRole::Sandbox,
            engine_version: engine.and_then(|engine| engine.version.as_ref()).map(|version| lossy(version)),
            groups: groups.map(|group| lossy(&group.name)).collect(),
            labels: container.labels.iter().map(|(key, value)| (lossy(key), lossy(value))).collect(),
            inside: container.inside.and_then(target),
            cgroup: said(&container.cgroup),
            cgroup_limits: container.limits.clone(),
            pid: facts.process.map(|pid| pid.0),
            namespaces: facts.namespaces.iter().map(membership).collect(),
            host_uid_of_root: match facts.root {
                Some(Root::User(Uid(uid))) => Some(uid),
                _ => None,
            },
            has_root: facts.root.map(|root| root != Root::Nobody),
            capabilities: facts.capabilities,
            extra_capabilities: facts.extra_capabilities,
            seccomp: facts.seccomp,
            no_new_privs: facts.no_new_privs,
            lsm_label: label.and_then(|label| match label {
                Label::Known(label) => Some(lossy(label)),
                _ => None,
            }),
            evidence: container
                .evidence
                .iter()
                .map(|evidence| EvidenceAnswer {
                    kind: evidence.kind.name(),
                    at: lossy(&evidence.at),
                    confidence: evidence.confidence.name(),
                })
                .collect(),
            disagreements: container
                .disagreements
                .iter()
                .map(|disagreement| DisagreementAnswer {
                    about: disagreement.about,
                    values: disagreement.values.iter().map(|said| lossy(&said.value)).collect(),
                })
                .collect(),
        })
    }

    /// The snapshot that this is about.
    pub fn snapshot(&self) -> &'a Snapshot {
        self.snapshot
    }
}

/// What `lxkns containers` says of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ContainerAnswer"))]
#[serde(rename_all = "kebab-case")]
pub struct Answer {
    /// Which container.
    #[serde(flatten)]
    pub container: ContainerForm,
    /// `created`, `running`, `paused`, `exited`; `null` where not known.
    pub state: Option<&'static str>,
    /// What its engine says of its health: `starting`, `healthy`, `unhealthy`; `null` where no engine was asked, or nothing
    /// checks it.
    pub health: Option<&'static str>,
    /// Its image; `null` where not known.
    pub image: Option<String>,
    /// The runtime that started it; `null` where not known.
    pub runtime: Option<String>,
    /// When it was made: RFC 3339, UTC; `null` where not known.
    pub created: Option<String>,
    /// Whether it keeps the namespaces of a pod.
    pub sandbox: bool,
    /// The version of its engine; `null` where not known.
    pub engine_version: Option<String>,
    /// The names of its groups: pods, compose projects.
    pub groups: Vec<String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The container that its engine runs in, as a TARGET; `null` where it is in none.
    pub inside: Option<String>,
    /// Its control group; `null` where not known.
    pub cgroup: Option<String>,
    /// What its control groups let it use; `null` where that was not read.
    pub cgroup_limits: Option<CgroupLimits>,
    /// Its first process; `null` where it has none, or it is not known.
    pub pid: Option<u32>,
    /// Its namespaces, one of each type.
    pub namespaces: Vec<MembershipAnswer>,
    /// The UID that its UID 0 has on the host; `null` where not known, or it has none.
    pub host_uid_of_root: Option<u32>,
    /// Whether it has a UID 0; `null` where not known.
    pub has_root: Option<bool>,
    /// The capabilities that it can come to have in its user namespace; `null` where not known.
    pub capabilities: Option<CapabilitySet>,
    /// Those that its engine does not give by default; `null` where not known.
    pub extra_capabilities: Option<CapabilitySet>,
    /// `none`, `strict` or `filter`; `null` where not known.
    pub seccomp: Option<Seccomp>,
    /// Whether running a program gives it no more powers; `null` where not known.
    pub no_new_privs: Option<bool>,
    /// The label that a security module gave it; `null` where it has none, or it is not known.
    pub lsm_label: Option<String>,
    /// What says that it is there, the first made it known.
    pub evidence: Vec<EvidenceAnswer>,
    /// Where sources disagree.
    pub disagreements: Vec<DisagreementAnswer>,
}

/// A namespace that a container is in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ContainerNamespace"))]
#[serde(rename_all = "kebab-case")]
pub struct MembershipAnswer {
    /// Its type.
    #[serde(rename = "type")]
    pub ns_type: &'static str,
    /// Its inode number; `null` where not known.
    pub nsid: Option<u64>,
    /// `own`, `host`, `container` (another one's), `process` (one in no container was in it before); `null` where not known.
    pub whose: Option<&'static str>,
    /// The container whose it is, as a TARGET.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The process that was in it before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Other containers in it, as TARGETs: no more than the first 20. Left out of the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_with: Option<Vec<String>>,
    /// How many there are. Left out of the host's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shared_with_count: Option<usize>,
}

/// What says that there is a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Evidence"))]
#[serde(rename_all = "kebab-case")]
pub struct EvidenceAnswer {
    /// `cgroup`, `monitor`, `runtime-state`, `bundle`, `engine-file`, `cni-result`, `mount`, `engine`, `dump`.
    pub kind: &'static str,
    /// Where.
    pub at: String,
    /// `sure`, `likely`, `claimed`.
    pub confidence: &'static str,
}

/// Where sources disagree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Disagreement"))]
#[serde(rename_all = "kebab-case")]
pub struct DisagreementAnswer {
    /// About which key.
    pub about: &'static str,
    /// What was said; the first was taken.
    pub values: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{BUSY, contained, snapshot};

    #[test]
    fn columns_have_names_and_each_is_found() {
        for (column, name, meaning) in COLUMNS {
            assert_eq!((column.name(), column.meaning()), (name, meaning));
            assert_eq!(Column::from_name(&name.to_lowercase()), Some(column));
        }
        assert_eq!(Column::default_columns().len(), 16);
    }

    #[test]
    fn a_tree_has_each_container_once() {
        let mut snapshot = contained();
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        let mut inner = containers.list[0].clone();
        inner.inside = Some(0);
        containers.list.push(inner);
        containers.list[1].groups = vec![0, 0];
        containers.groups.push(lxkns_model::Group {
            kind: GroupKind::Pod,
            name: "default/web-0".into(),
            type_name: "io.kubernetes.pod".into(),
            flavor: "io.kubernetes.pod".into(),
            labels: BTreeMap::new(),
        });
        let matrix = Matrix::of(&snapshot).unwrap();
        let lines = |shown: &[usize]| {
            let tree = matrix.tree(shown);
            let mut lines = Vec::new();
            let mut todo: Vec<_> = tree.roots().iter().rev().map(|&node| (0, node)).collect();
            while let Some((depth, node)) = todo.pop() {
                lines.push(format!("{depth} {}", matrix.name(node, For::Eyes)));
                todo.extend(tree.children(node).iter().rev().map(|&child| (depth + 1, child)));
            }
            lines
        };
        let expected = [
            "0 docker (engine not seen)",
            "1 web",
            "2 docker (engine not seen)",
            "3 web",
            "0 cri (engine not seen)",
            "1 pod default/web-0",
            "2 app",
        ];
        assert_eq!(lines(&[0, 1, 2]), expected);
        assert_eq!(lines(&[2]), expected[..2], "alone it is no less");
    }

    #[test]
    fn a_line_says_whose_each_namespace_is() {
        let snapshot = contained();
        let matrix = Matrix::of(&snapshot).unwrap();
        let line = |index: usize| -> Vec<String> {
            Column::default_columns().into_iter().map(|it| matrix.cell(index, it).printable(For::Eyes)).collect()
        };
        assert_eq!(
            line(0),
            ["web", "host", "?", "?", "?", "host", "?", "own", "?", "0", "?", "?", "running", "docker", "none", "?"]
        );
        assert_eq!(
            line(1),
            ["app", "?", "?", "?", "?", "?", "?", "own", "?", "?", "?", "?", "exited", "cri", "?", "?"]
        );
        assert_eq!(matrix.cell(0, Column::Seccomp).printable(For::Fields), "", "not known is nothing for programs");
        assert_eq!((matrix.select(Some(&[BUSY])), matrix.select(None)), (vec![0], vec![0, 1]));
        assert_eq!((matrix.of_process(Pid(200)), matrix.of_process(Pid(1))), (Some(0), None));
        assert!(Matrix::of(&self::snapshot()).is_none(), "not looked for is not none");
    }
}
