//! From containers in the making to what the model has of them.

use std::collections::BTreeMap;

use bstr::{BStr, BString, ByteSlice as _};
use lxkns_model::CompactSort as _;
use lxkns_model::{
    Confidence, Container, ContainerRole, ContainerState, Containers, Disagreement, Engine, EngineKind, Evidence,
    EvidenceKind, Holder, NamespaceId, NamespaceType, Pid, Pod, Said, Unit, UnitKind,
};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::evidence::Claim;
use crate::join::{Build, Join, Label, rank};
use crate::processes::Processes;
use crate::units;

/// Where network namespaces without processes are mounted: the path, the mount namespace, and the network namespace.
type NetworkMounts = FxHashMap<BString, Vec<(NamespaceId, NamespaceId)>>;

/// The labels of pods, by the container that their engine runs in and their ID.
pub(crate) type PodLabels = FxHashMap<(Option<usize>, BString), BTreeMap<BString, BString>>;

/// All that was found. `asked`: the engines that have answered.
pub(crate) fn finish(
    mut join: Join<'_, '_>,
    of_namespaces: Vec<(NamespaceId, Claim)>,
    sources: &[Label],
    asked: Vec<Engine>,
) -> (Containers, PodLabels) {
    let snapshot = join.processes.snapshot;
    let mut namespaces: BTreeMap<NamespaceId, usize> = BTreeMap::new();
    for (id, claim) in of_namespaces {
        namespaces.insert(id, join.add_of_namespace(claim));
    }
    join.doubt_twins();
    tie(&join, &network_mounts(join.processes), sources, &mut namespaces);
    let mut members: BTreeMap<Pid, usize> = BTreeMap::new();
    for &pid in snapshot.processes.keys() {
        if let Some(index) = join.member(pid) {
            members.insert(pid, index);
        }
    }
    let first = first_members(&join, &members);
    let engines = engines(&mut join, asked);
    let units = units(&join, &members);

    // What has neither a process nor a namespace is a file of something that has ended.
    let mut kept: FxHashSet<usize> = members.values().chain(namespaces.values()).copied().collect();
    let outer = |&index: &usize| join.builds[index].inside;
    let mut todo: Vec<usize> = kept.iter().filter_map(outer).chain(engines.iter().filter_map(|it| it.inside)).collect();
    while let Some(index) = todo.pop() {
        if kept.insert(index) {
            todo.extend(outer(&index));
        }
    }
    let mut order: Vec<usize> = kept.into_iter().collect();
    order.compact_sort_by(|&a, &b| {
        let key =
            |index: usize| (join.builds[index].kind(), join.builds[index].id(), join.builds[index].main.map(|it| it.0));
        key(a).cmp(&key(b)).then(a.cmp(&b))
    });
    let position: FxHashMap<usize, usize> = order.iter().enumerate().map(|(to, &from)| (from, to)).collect();

    name_pods(&mut join);
    let tied: FxHashSet<usize> = namespaces.values().copied().collect();
    let made =
        order.iter().map(|index| container(&join, *index, first.get(index).copied(), tied.contains(index), &position));
    let mut list: Vec<Container> = made.collect();
    let engines: Vec<Engine> = engines
        .into_iter()
        .map(|engine| Engine { inside: engine.inside.and_then(|index| position.get(&index).copied()), ..engine })
        .collect();
    for (container, &index) in list.iter_mut().zip(&order) {
        container.engine = engine_of(&join, &join.builds[index], container, &engines, sources);
    }
    let renamed = |(key, index): (Pid, usize)| Some((key, *position.get(&index)?));
    let pod_labels = join.pod_labels.into_iter().filter_map(|((inside, id), labels)| {
        let inside = match inside {
            Some(inside) => Some(*position.get(&inside)?),
            None => None,
        };
        Some(((inside, id), labels))
    });
    let pod_labels = pod_labels.collect();
    let containers = Containers {
        list,
        engines,
        groups: Vec::new(),
        members: members.into_iter().filter_map(renamed).collect(),
        namespaces: namespaces.into_iter().filter_map(|(id, index)| Some((id, *position.get(&index)?))).collect(),
        units,
        ..Containers::default()
    };
    (containers, pod_labels)
}

/// `/var/run` is a link to `/run`, and engines write either.
pub(crate) fn without_var(path: &[u8]) -> &BStr {
    if path.starts_with(b"/var/run/") { path[4..].as_bstr() } else { path.as_bstr() }
}

fn network_mounts(processes: &Processes<'_>) -> NetworkMounts {
    let mut mounts = NetworkMounts::default();
    for namespace in processes.snapshot.namespaces.values() {
        if namespace.ns_type != NamespaceType::Net || !namespace.is_without_tasks() {
            continue;
        }
        for holder in namespace.bind_mounts() {
            if let Holder::BindMount { mount_ns, path: Some(path), .. } = holder {
                mounts.entry(without_var(path).to_owned()).or_default().push((*mount_ns, namespace.id));
            }
        }
    }
    mounts
}

/// Ties network namespaces without processes to the containers that they were made for, by their paths.
fn tie(join: &Join<'_, '_>, mounts: &NetworkMounts, sources: &[Label], namespaces: &mut BTreeMap<NamespaceId, usize>) {
    if mounts.is_empty() {
        return;
    }
    for (index, build) in join.builds.iter().enumerate() {
        for claim in &build.claims {
            let path = claim.facts.network_path.as_ref().map(|path| without_var(path));
            let Some(there) = path.and_then(|path| mounts.get(path)) else { continue };
            // The path means something in the mount namespace that the claim comes from.
            let own = sources.get(claim.source).and_then(|label| label.mount_ns);
            let is_here = |mount_ns: NamespaceId| match own {
                Some(own) => own == mount_ns,
                None => join.processes.is_host(mount_ns),
            };
            if let Some((_, network)) = there.iter().find(|(mount_ns, _)| is_here(*mount_ns)) {
                namespaces.entry(*network).or_insert(index);
            }
        }
    }
}

/// The first process of each container of which no source has said it: the oldest that has no parent in it.
fn first_members(join: &Join<'_, '_>, members: &BTreeMap<Pid, usize>) -> FxHashMap<usize, Pid> {
    let mut first: FxHashMap<usize, Pid> = FxHashMap::default();
    for (&pid, &index) in members {
        let Some(process) = join.processes.get(pid) else { continue };
        let has_parent = process.ppid.is_some_and(|parent| members.get(&parent) == Some(&index));
        if has_parent || join.builds[index].main.is_some() {
            continue;
        }
        let age = |pid: Pid| (join.processes.get(pid).map(lxkns_model::Process::start_time_ticks), pid);
        first.entry(index).and_modify(|first| *first = (*first).min_by_age(pid, age)).or_insert(pid);
    }
    first
}

trait MinByAge: Sized + Copy {
    fn min_by_age<K: Ord>(self, other: Self, age: impl Fn(Self) -> K) -> Self {
        if age(other) < age(self) { other } else { self }
    }
}

impl MinByAge for Pid {}

/// What is said of one thing, by whom, and how much that counts.
struct Sayings<T> {
    said: Vec<(T, usize, (u8, Confidence))>,
}

impl<T: Clone + PartialEq> Sayings<T> {
    fn of(build: &Build, what: impl Fn(&Claim) -> Option<T>) -> Self {
        let said = build.claims.iter().enumerate();
        Self { said: said.filter_map(|(by, claim)| Some((what(claim)?, by, rank(claim)))).collect() }
    }

    /// What counts most; of equals, what came first.
    fn best(&self) -> Option<Said<T>> {
        let best = self.said.iter().reduce(|best, other| if other.2 > best.2 { other } else { best })?;
        Some(Said { value: best.0.clone(), by: best.1 })
    }

    /// What is different, the first being what counts.
    fn all_different(&self) -> Vec<Said<T>> {
        let mut different: Vec<Said<T>> = self.best().into_iter().collect();
        for (value, by, _) in &self.said {
            if different.iter().all(|said| said.value != *value) {
                different.push(Said { value: value.clone(), by: *by });
            }
        }
        different
    }
}

fn container(
    join: &Join<'_, '_>,
    index: usize,
    first: Option<Pid>,
    is_tied: bool,
    position: &FxHashMap<usize, usize>,
) -> Container {
    let build = &join.builds[index];
    let mut evidence: Vec<Evidence> = build.claims.iter().map(|claim| claim.evidence.clone()).collect();
    agree(build, &mut evidence);
    let mut disagreements = Vec::new();
    let mut text = |about: &'static str, what: &dyn Fn(&Claim) -> Option<BString>| {
        let said = Sayings::of(build, what);
        let values = said.all_different();
        if values.len() > 1 {
            disagreements.push(Disagreement { about, values });
        }
        said.best()
    };
    let name = text("name", &|claim| claim.facts.name.clone());
    let image = text("image", &|claim| claim.facts.image.clone());
    let runtime = text("runtime", &|claim| claim.facts.runtime.clone());
    // Who registers a container elsewhere, or only starts it, does not disagree with whose it is.
    text("type", &|claim| (rank(claim).0 == 4).then(|| BString::from(claim.kind.name())));

    let mut container = Container::new(build.kind(), build.id().clone(), evidence[0].clone());
    if matches!(container.kind, EngineKind::Lxc | EngineKind::Machined) {
        // The name is the ID.
        container.name = Some(Said { value: container.id.clone(), by: 0 });
    }
    container.name = name.or(container.name.take());
    container.image = image;
    container.runtime = runtime;
    container.created = Sayings::of(build, |claim| claim.facts.created).best();
    container.network_path = Sayings::of(build, |claim| claim.facts.network_path.clone()).best();
    container.role =
        Sayings::of(build, |claim| claim.facts.role).best().map_or(ContainerRole::Workload, |said| said.value);
    container.engine_namespace =
        build.claims.iter().find_map(|it| unless_empty(&it.engine_namespace)).unwrap_or_default();
    // What counts more comes later, and replaces.
    let mut by_rank: Vec<&Claim> = build.claims.iter().collect();
    by_rank.compact_sort_by_key(|claim| rank(claim));
    for claim in by_rank {
        container.labels.extend(claim.facts.labels.clone());
        container.annotations.extend(claim.facts.annotations.clone());
    }
    container.pod = Sayings::of(build, |claim| claim.facts.pod.clone())
        .best()
        .map(|said| named_pod(join, build.inside, said, &mut evidence));
    container.cgroup = build.cgroup.clone().map(|(value, by)| Said { value, by });
    container.inside = build.inside.and_then(|index| position.get(&index).copied());
    container.main = match (build.main, first) {
        (Some((value, by)), _) => Some(Said { value, by }),
        (None, first) => first.map(|value| Said { value, by: container.cgroup.as_ref().map_or(0, |it| it.by) }),
    };
    container.state = state(join, build, &container, is_tied);
    container.health = Sayings::of(build, |claim| claim.facts.health).best();
    disagreements.extend(about_state(build, container.state.as_ref()));
    disagreements.extend(about_labels(build, &container.labels));
    container.evidence = evidence;
    container.disagreements = disagreements;
    container
}

/// Where an engine says something else of what a container is doing than was concluded.
fn about_state(build: &Build, taken: Option<&Said<ContainerState>>) -> Option<Disagreement> {
    let taken = taken?;
    let said = Sayings::of(build, |claim| claim.facts.state).best().filter(|said| said.value != taken.value)?;
    let value = |said: &Said<ContainerState>| Said { value: said.value.name().into(), by: said.by };
    Some(Disagreement { about: "state", values: vec![value(taken), value(&said)] })
}

/// Where an engine says another value of a label than was taken.
fn about_labels(build: &Build, taken: &BTreeMap<BString, BString>) -> Vec<Disagreement> {
    const MOST: usize = 16;
    let claims = || build.claims.iter().enumerate();
    let engines = claims().filter(|(_, claim)| claim.evidence.kind == EvidenceKind::Engine);
    let text = |key: &BString, value: &BString| BString::from([key.as_slice(), b"=", value].concat());
    let all = engines.flat_map(|(by, claim)| claim.facts.labels.iter().map(move |(key, value)| (by, key, value)));
    let different = all.filter_map(|(by, key, said)| {
        let other = |(other, claim): (usize, &Claim)| {
            claim.facts.labels.get(key).filter(|value| *value != said).map(|value| (other, value.clone()))
        };
        let other = claims().find_map(other)?;
        let mut values = [(by, said.clone()), other];
        // What was taken comes first.
        values.compact_sort_by_key(|(_, value)| taken.get(key) != Some(value));
        let values = values.into_iter().map(|(by, value)| Said { value: text(key, &value), by }).collect();
        Some(Disagreement { about: "labels", values })
    });
    different.take(MOST).collect()
}

fn unless_empty(text: &BString) -> Option<BString> {
    (!text.is_empty()).then(|| text.clone())
}

/// Several sources that only root can write and that are about the same container are sure together.
fn agree(build: &Build, evidence: &mut [Evidence]) {
    if build.whose.is_some() || build.inside.is_some() || build.kind() == EngineKind::Unknown {
        return;
    }
    let kinds: FxHashSet<u8> = evidence
        .iter()
        .filter(|it| it.confidence >= Confidence::Likely && it.kind != EvidenceKind::Monitor)
        .map(|it| it.kind as u8)
        .collect();
    if kinds.len() < 2 || build.cgroup.is_none() {
        return;
    }
    for evidence in evidence
        .iter_mut()
        .filter(|it| matches!(it.kind, EvidenceKind::EngineFile | EvidenceKind::Bundle | EvidenceKind::Engine))
    {
        evidence.confidence = Confidence::Sure;
    }
}

/// Gives podman's pods their names: by its database where that is known, else by the host name of the infrastructure
/// container, which is the pod's name unless somebody has chosen another.
fn name_pods(join: &mut Join<'_, '_>) {
    let of =
        |build: &Build| build.claims.iter().find_map(|claim| claim.facts.pod.clone().filter(|pod| pod.name.is_empty()));
    let sandboxes: FxHashSet<BString> = join.builds.iter().filter_map(|build| Some(of(build)?.uid)).collect();
    let mut names: FxHashMap<(Option<usize>, BString), (Pod, Claim)> = FxHashMap::default();
    for build in &mut join.builds {
        let id = build.id().clone();
        // Podman names them itself: the beginning of the pod's ID, and this.
        let is_named_so = |claim: &Claim| claim.facts.name.as_ref().is_some_and(|name| name.ends_with(b"-infra"));
        if build.kind() != EngineKind::Podman || !(sandboxes.contains(&id) || build.claims.iter().any(is_named_so)) {
            continue;
        }
        build.claims[0].facts.role.get_or_insert(ContainerRole::Sandbox);
        let by_host_name = build.claims.iter().find_map(|claim| Some((claim.facts.hostname.clone()?, claim)));
        let named = match join.pods.get(&(build.inside, id.clone())) {
            Some(named) => named.clone(),
            None => {
                let Some((name, claim)) = by_host_name else { continue };
                let mut claim = claim.clone();
                claim.evidence.confidence = claim.evidence.confidence.min(Confidence::Likely);
                (Pod { namespace: BString::default(), name, uid: id.clone() }, claim)
            }
        };
        build.claims[0].facts.pod.get_or_insert(Pod { uid: id.clone(), name: BString::default(), ..named.0.clone() });
        names.insert((build.inside, id), named);
    }
    join.pods.clear();
    for build in &mut join.builds {
        let sandbox = build.claims.iter().find_map(|claim| claim.facts.pod.clone().filter(|pod| pod.name.is_empty()));
        let Some(sandbox) = sandbox else { continue };
        let named = names.get(&(build.inside, sandbox.uid.clone())).cloned();
        for claim in &mut build.claims {
            if let Some(pod) = claim.facts.pod.as_mut().filter(|pod| pod.name.is_empty()) {
                // Of one that nothing names the ID stands for the name.
                *pod =
                    named.as_ref().map_or_else(|| Pod { name: pod.uid.clone(), ..pod.clone() }, |(pod, _)| pod.clone());
            }
        }
        if let Some((pod, claim)) = named {
            join.pods.insert((build.inside, pod.uid.clone()), (pod, claim));
        }
    }
}

/// A pod of podman's, with what has said its name.
fn named_pod(join: &Join<'_, '_>, inside: Option<usize>, said: Said<Pod>, evidence: &mut Vec<Evidence>) -> Said<Pod> {
    match join.pods.get(&(inside, said.value.uid.clone())) {
        Some((pod, claim)) if *pod == said.value => {
            let there = evidence.iter().position(|it| it.kind == claim.evidence.kind && it.at == claim.evidence.at);
            let by = there.unwrap_or_else(|| {
                evidence.push(claim.evidence.clone());
                evidence.len() - 1
            });
            Said { value: said.value, by }
        }
        _ => said,
    }
}

fn state(join: &Join<'_, '_>, build: &Build, container: &Container, is_tied: bool) -> Option<Said<ContainerState>> {
    let Some(main) = &container.main else {
        // Its engine sees more than what is seen here: a process that is not seen can be there.
        let said = Sayings::of(build, |claim| claim.facts.state).best();
        if said.is_some() {
            return said;
        }
        // One that is only known because another is inside it may have processes that are not to be seen.
        return is_tied.then_some(Said { value: ContainerState::Exited, by: 0 });
    };
    let frozen = join.processes.get(main.value).and_then(|process| process.living_task().freezer);
    if let Some(freezer) = frozen {
        let value = if freezer.effective { ContainerState::Paused } else { ContainerState::Running };
        return Some(Said { value, by: container.cgroup.as_ref().map_or(main.by, |it| it.by) });
    }
    Some(match Sayings::of(build, |claim| claim.facts.is_paused).best() {
        Some(Said { value: true, by }) => Said { value: ContainerState::Paused, by },
        _ => Said { value: ContainerState::Running, by: main.by },
    })
}

/// What the name of a process says that it is. The kernel cuts names at 15 bytes.
pub(crate) fn engine_kind(comm: &[u8]) -> Option<EngineKind> {
    Some(match comm {
        b"dockerd" => EngineKind::Docker,
        b"containerd" => EngineKind::Containerd,
        b"crio" => EngineKind::CriO,
        b"incusd" | b"lxd" => EngineKind::Lxc,
        b"systemd-machine" => EngineKind::Machined,
        _ => return None,
    })
}

/// The engines that run, by the names of their processes. A name that anybody can give counts only where root has: of an
/// engine inside a container, that container's root.
fn engines(join: &mut Join<'_, '_>, asked: Vec<Engine>) -> Vec<Engine> {
    let mut engines = asked;
    let known: FxHashSet<Pid> = engines.iter().filter_map(|engine| engine.pid).collect();
    for process in join.processes.snapshot.processes.values() {
        let Some(kind) = engine_kind(process.comm()) else { continue };
        if known.contains(&process.pid) {
            continue;
        }
        let is_root = join.processes.status(process.pid).is_some_and(|status| status.uids == [0; 3]);
        if is_root {
            let inside = join.member(process.pid);
            engines.push(Engine { kind, pid: Some(process.pid), id: None, version: None, api: None, inside });
        }
    }
    engines.compact_sort_by_key(|engine| (engine.kind, engine.pid));
    engines
}

/// The engine of a container: the one of its kind at the same depth, and in the mount namespace that its files are in where
/// there are several.
fn engine_of(
    join: &Join<'_, '_>,
    build: &Build,
    container: &Container,
    engines: &[Engine],
    sources: &[Label],
) -> Option<usize> {
    let answered = build.claims.iter().find(|claim| claim.evidence.kind == EvidenceKind::Engine);
    if let Some(claim) = answered.filter(|claim| claim.evidence.pid.is_some()) {
        return engines.iter().position(|engine| engine.pid == claim.evidence.pid);
    }
    if build.whose.is_some() {
        return None;
    }
    let kind = if container.kind == EngineKind::Cri { EngineKind::Containerd } else { container.kind };
    let fits = |(_, engine): &(usize, &Engine)| engine.kind == kind && engine.inside == container.inside;
    let fitting: Vec<(usize, &Engine)> = engines.iter().enumerate().filter(fits).collect();
    if let [(index, _)] = fitting[..] {
        return Some(index);
    }
    let monitors =
        build.claims.iter().filter_map(|claim| claim.evidence.pid.and_then(|pid| join.processes.mount_ns(pid)));
    let files = build.claims.iter().filter_map(|claim| sources.get(claim.source)?.mount_ns);
    let homes: FxHashSet<NamespaceId> = monitors.chain(files).collect();
    let mut near = fitting.into_iter().filter(|(_, engine)| {
        engine.pid.and_then(|pid| join.processes.mount_ns(pid)).is_some_and(|home| homes.contains(&home))
    });
    near.next().filter(|_| near.next().is_none()).map(|(index, _)| index)
}

/// The units of processes that are in no container but not in the host's namespaces either.
fn units(join: &Join<'_, '_>, members: &BTreeMap<Pid, usize>) -> BTreeMap<Pid, Unit> {
    let processes = join.processes;
    let mut units: BTreeMap<Pid, Unit> = BTreeMap::new();
    let mut parts: FxHashMap<&BString, Option<Unit>> = FxHashMap::default();
    // Children come after their parents, mostly; those that do not are looked up by way of their parents.
    for process in processes.snapshot.processes.values() {
        if members.contains_key(&process.pid) || processes.is_of_host(process) {
            continue;
        }
        // The nearest ancestor in the same namespaces whose control group was read.
        let mut at = process;
        let mut steps = 0;
        while !join.paths.contains_key(&at.pid) && processes.is_with_parent(at) && steps < 4096 {
            let Some(parent) = at.ppid.and_then(|parent| processes.get(parent)) else { break };
            (at, steps) = (parent, steps + 1);
        }
        let by_cgroup = join
            .paths
            .get(&at.pid)
            .and_then(|path| parts.entry(path).or_insert_with(|| units::of_cgroup(path)).clone());
        let is_telling = |unit: &Unit| matches!(unit.kind, UnitKind::Service | UnitKind::Snap | UnitKind::Flatpak);
        let parent = at.ppid.and_then(|parent| processes.get(parent));
        let by_program = || units::of_program(at.comm()).or_else(|| units::of_program(parent?.comm()));
        let unit = match by_cgroup {
            Some(unit) if is_telling(&unit) => Some(unit),
            other => by_program().or(other),
        };
        units.extend(unit.map(|unit| (process.pid, unit)));
    }
    units
}
