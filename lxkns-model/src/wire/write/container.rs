//! Containers: those in the object that all readers know, and those that have no place there.

use std::collections::{BTreeMap, BTreeSet};

use bstr::{BStr, BString, ByteSlice as _};

use super::super::time;
use crate::wire::form::{
    Container, ContainersInfo, Disagreement, Engine, Evidence, Group, GroupKind, Pod, SaidText, Text, Unit,
};
use crate::wire::{WriteOptions, text};
use crate::{self as model, Containers, EngineKind, EvidenceKind, Snapshot};

/// Which containers other readers can have, and by which numbers they know engines.
pub(super) struct Places<'a> {
    containers: Option<&'a Containers>,
    options: &'a WriteOptions,
    /// The containers that have the PID of a process in the dump, each PID once.
    by_pid: BTreeMap<u32, usize>,
    /// The kinds of engines that stand for one that was not seen.
    unseen: Vec<EngineKind>,
}

impl<'a> Places<'a> {
    pub(super) fn of(snapshot: &'a Snapshot, options: &'a WriteOptions) -> Self {
        let containers = snapshot.annotations.containers.as_ref();
        let mut by_pid = BTreeMap::new();
        let mut unseen = BTreeSet::new();
        for (index, container) in containers.iter().flat_map(|containers| &containers.list).enumerate() {
            // The page shows a container with its process.
            let main = container.main.as_ref().filter(|main| snapshot.processes.contains_key(&main.value));
            if let Some(main) = main {
                by_pid.entry(main.value.0).or_insert(index);
            }
            if container.engine.is_none() {
                unseen.insert(container.kind);
            }
        }
        Self { containers, options, by_pid, unseen: unseen.into_iter().collect() }
    }

    pub(super) fn by_pid(&self) -> BTreeMap<u32, Container> {
        let list = self.containers.map_or(&[][..], |containers| &containers.list);
        self.by_pid.iter().map(|(&pid, &index)| (pid, self.container(index, &list[index]))).collect()
    }

    pub(super) fn engines(&self) -> BTreeMap<usize, Engine> {
        let Some(containers) = self.containers else { return BTreeMap::new() };
        let mut engines: BTreeMap<_, _> =
            containers.engines.iter().enumerate().map(|(index, it)| (index + 1, engine(it))).collect();
        for (kind, number) in self.unseen.iter().zip(containers.engines.len() + 1..) {
            engines.insert(
                number,
                Engine {
                    r#type: Some(kind.type_name().to_owned()),
                    unseen: Some(true),
                    ..engine(&model::Engine {
                        kind: *kind,
                        pid: None,
                        id: None,
                        version: None,
                        api: None,
                        inside: None,
                    })
                },
            );
        }
        for (&pid, &index) in &self.by_pid {
            let engine = engines.get_mut(&self.engine_number(&containers.list[index]));
            engine.and_then(|engine| engine.containers.as_mut()).into_iter().for_each(|pids| pids.push(pid));
        }
        engines
    }

    pub(super) fn groups(&self) -> BTreeMap<usize, Group> {
        let Some(containers) = self.containers else { return BTreeMap::new() };
        let mut groups: BTreeMap<_, _> =
            containers.groups.iter().enumerate().map(|(index, it)| (index + 1, group(it))).collect();
        for (&pid, &index) in &self.by_pid {
            for of in &containers.list[index].groups {
                let group = groups.get_mut(&(of + 1)).and_then(|group| group.containers.as_mut());
                group.into_iter().for_each(|pids| pids.push(pid));
            }
        }
        groups
    }

    /// What other readers have no place for.
    pub(super) fn info(&self) -> Option<ContainersInfo> {
        let containers = self.containers?;
        let placed: BTreeSet<_> = self.by_pid.values().copied().collect();
        let others = containers.list.iter().enumerate().filter(|(index, _)| !placed.contains(index));
        let mut members = BTreeMap::<_, Vec<_>>::new();
        for (pid, &index) in &containers.members {
            members.entry(index).or_default().push(pid.0);
        }
        let mut units = BTreeMap::<_, Vec<_>>::new();
        for (pid, unit) in &containers.units {
            units.entry(unit).or_default().push(pid.0);
        }
        let unit = |(unit, pids): (&model::Unit, _)| Unit {
            kind: unit.kind,
            name: any(&unit.name),
            of_user: unit.of_user.map(|uid| uid.0),
            pids,
        };
        Some(ContainersInfo {
            others: Some(others.map(|(index, it)| self.container(index, it)).collect()),
            members: Some(members),
            namespaces: Some(containers.namespaces.iter().map(|(id, &index)| (id.ino, index)).collect()),
            units: Some(units.into_iter().map(unit).collect()),
        })
    }

    fn engine_number(&self, container: &model::Container) -> usize {
        let engines = self.containers.map_or(0, |containers| containers.engines.len());
        let of_unseen = || engines + self.unseen.iter().take_while(|&&kind| kind != container.kind).count();
        container.engine.unwrap_or_else(of_unseen) + 1
    }

    fn container(&self, index: usize, container: &model::Container) -> Container {
        let name = container.display_name();
        let flavor = container.flavor.clone().unwrap_or_else(|| container.kind.type_name().into());
        let state = container.state.as_ref().map(|state| state.value);
        Container {
            id: Some(lossy(&container.id)),
            name: Some(lossy(name)),
            r#type: Some(container.kind.type_name().to_owned()),
            flavor: Some(lossy(&flavor)),
            pid: Some(container.main.as_ref().map_or(0, |main| main.value.0)),
            paused: Some(state == Some(model::ContainerState::Paused)),
            labels: Some(lossy_map(&container.labels)),
            groups: Some(container.groups.iter().map(|group| group + 1).collect()),
            engine: Some(self.engine_number(container)),
            index: Some(index),
            confidence: Some(container.confidence()),
            said_by: said_by(container),
            escaped: escaped([("flavor", &flavor), ("id", &container.id), ("name", name)]),
            labels_escaped: escaped_map(&container.labels),
            engine_namespace: some(&container.engine_namespace),
            runtime: container.runtime.as_ref().map(|said| any(&said.value)),
            image: container.image.as_ref().map(|said| any(&said.value)),
            state,
            health: container.health.as_ref().map(|said| said.value),
            created: container.created.as_ref().and_then(|said| time::format(said.value)),
            annotations: Some(lossy_map(&container.annotations)).filter(|map| !map.is_empty()),
            annotations_escaped: escaped_map(&container.annotations),
            pod: container.pod.as_ref().map(|said| pod(&said.value)),
            role: (container.role != model::ContainerRole::Workload).then_some(container.role),
            cgroup: container.cgroup.as_ref().map(|said| any(&said.value)),
            cgroup_limits: container.limits.clone(),
            network_path: container.network_path.as_ref().map(|said| any(&said.value)),
            inside: container.inside,
            evidence: Some(container.evidence.iter().map(|evidence| self.evidence(evidence)).collect()),
            disagreements: Some(container.disagreements.iter().map(disagreement).collect::<Vec<_>>())
                .filter(|disagreements| !disagreements.is_empty()),
        }
    }

    fn evidence(&self, evidence: &model::Evidence) -> Evidence {
        // A monitor's is the beginning of its command line, which can hold secrets.
        let is_secret = evidence.kind == EvidenceKind::Monitor && !self.options.command_lines;
        let at = if is_secret { Text::Plain(String::new()) } else { any(&evidence.at) };
        Evidence { kind: evidence.kind, at, pid: evidence.pid.map(|pid| pid.0), confidence: evidence.confidence }
    }
}

/// Which evidence each value comes from, by the keys of the form.
fn said_by(container: &model::Container) -> Option<BTreeMap<String, usize>> {
    fn by<T>(said: Option<&model::Said<T>>) -> Option<usize> {
        said.map(|said| said.by)
    }
    let said = [
        ("name", by(container.name.as_ref())),
        ("pid", by(container.main.as_ref())),
        ("runtime", by(container.runtime.as_ref())),
        ("image", by(container.image.as_ref())),
        ("state", by(container.state.as_ref())),
        ("health", by(container.health.as_ref())),
        ("created", by(container.created.as_ref())),
        ("pod", by(container.pod.as_ref())),
        ("cgroup", by(container.cgroup.as_ref())),
        ("network-path", by(container.network_path.as_ref())),
    ];
    let said: BTreeMap<_, _> = said.into_iter().filter_map(|(key, by)| Some((key.to_owned(), by?))).collect();
    (!said.is_empty()).then_some(said)
}

fn pod(pod: &model::Pod) -> Pod {
    Pod { namespace: some(&pod.namespace), name: any(&pod.name), uid: some(&pod.uid) }
}

fn disagreement(disagreement: &model::Disagreement) -> Disagreement {
    let value = |said: &model::Said<BString>| SaidText { value: any(&said.value), by: said.by };
    Disagreement { about: disagreement.about.to_owned(), values: disagreement.values.iter().map(value).collect() }
}

fn engine(engine: &model::Engine) -> Engine {
    let empty = BString::default();
    let [id, version, api] = [&engine.id, &engine.version, &engine.api].map(|text| text.as_ref().unwrap_or(&empty));
    Engine {
        id: Some(lossy(id)),
        r#type: Some(engine.kind.type_name().to_owned()),
        version: Some(lossy(version)),
        api: Some(lossy(api)),
        pid: Some(engine.pid.map_or(0, |pid| pid.0)),
        containers: Some(Vec::new()),
        escaped: escaped([("api", api), ("id", id), ("version", version)]),
        inside: engine.inside,
        ..Engine::default()
    }
}

fn group(group: &model::Group) -> Group {
    Group {
        name: Some(lossy(&group.name)),
        r#type: Some(lossy(&group.type_name)),
        flavor: Some(lossy(&group.flavor)),
        containers: Some(Vec::new()),
        labels: Some(lossy_map(&group.labels)),
        kind: Some(match group.kind {
            model::GroupKind::Pod => GroupKind::Pod,
            model::GroupKind::ComposeProject => GroupKind::ComposeProject,
            model::GroupKind::Other => GroupKind::Other,
        }),
        escaped: escaped([("flavor", &group.flavor), ("name", &group.name), ("type", &group.type_name)]),
        labels_escaped: escaped_map(&group.labels),
    }
}

fn is_text(bytes: &BString) -> bool {
    bytes.to_str().is_ok()
}

fn lossy(bytes: &BString) -> String {
    text::lossy(bytes.as_bstr()).into_owned()
}

fn escape(bytes: &BString) -> String {
    text::escape(BStr::new(bytes))
}

/// A text of this program's own keys.
fn any(bytes: &BString) -> Text {
    match bytes.to_str() {
        Ok(text) => Text::Plain(text.to_owned()),
        Err(_) => Text::Escaped { escaped: escape(bytes) },
    }
}

/// The same, absent where it is empty.
fn some(bytes: &BString) -> Option<Text> {
    (!bytes.is_empty()).then(|| any(bytes))
}

/// Those of these keys that are not UTF-8.
fn escaped<const N: usize>(texts: [(&str, &BString); N]) -> Option<BTreeMap<String, String>> {
    let others = texts.into_iter().filter(|(_, bytes)| !is_text(bytes));
    let others: BTreeMap<_, _> = others.map(|(key, bytes)| (key.to_owned(), escape(bytes))).collect();
    (!others.is_empty()).then_some(others)
}

fn lossy_map(map: &BTreeMap<BString, BString>) -> BTreeMap<String, String> {
    map.iter().map(|(key, value)| (lossy(key), lossy(value))).collect()
}

/// All of a map, where something in it is not UTF-8.
fn escaped_map(map: &BTreeMap<BString, BString>) -> Option<BTreeMap<String, String>> {
    let whole = || map.iter().map(|(key, value)| (escape(key), escape(value))).collect();
    map.iter().any(|(key, value)| !is_text(key) || !is_text(value)).then(whole)
}
