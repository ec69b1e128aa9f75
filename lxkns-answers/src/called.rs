//! What names mean: containers, and other things with the same name.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;

use bstr::{BStr, BString, ByteSlice as _};
use lxkns_model::CompactSort as _;
use lxkns_model::relations::{self, ContainerNamespaces};
use lxkns_model::{Container, ContainerRole, Containers, EngineKind, NamespaceId, NamespaceType, Place, Pod, Snapshot};
use rustc_hash::FxHashMap;

use crate::context::Context;
use crate::resolve::{Found, Nameless, Unresolved};
use crate::target::{ContainerName, ContainerOf, FORMS, Target};
use crate::text::escape::printable;
use crate::whose;

/// What any number of names mean: the containers of a snapshot are gone through once.
pub(crate) struct Called<'a> {
    context: Context<'a>,
    containers: Option<&'a Containers>,
    by_name: FxHashMap<&'a BStr, Vec<usize>>,
    by_id: BTreeMap<&'a BStr, Vec<usize>>,
    /// By the name of their pod, with its namespace and without, and by its UID.
    by_pod: FxHashMap<BString, Vec<usize>>,
    namespaces: OnceCell<ContainerNamespaces<'a>>,
}

/// What has a bare name.
enum One {
    Netns(Vec<NamespaceId>),
    Container(usize),
}

impl<'a> Called<'a> {
    pub(crate) fn of(context: Context<'a>) -> Self {
        let snapshot: &'a Snapshot = context.snapshot;
        let containers = snapshot.annotations.containers.as_ref();
        let mut called = Self {
            context,
            containers,
            by_name: FxHashMap::default(),
            by_id: BTreeMap::new(),
            by_pod: FxHashMap::default(),
            namespaces: OnceCell::new(),
        };
        for (index, container) in containers.iter().flat_map(|containers| &containers.list).enumerate() {
            if let Some(name) = &container.name {
                called.by_name.entry(name.value.as_bstr()).or_default().push(index);
            }
            called.by_id.entry(container.id.as_bstr()).or_default().push(index);
            if let Some(Pod { name, uid, .. }) = container.pod.as_ref().map(|pod| &pod.value) {
                let full_name = container.pod.as_ref().map(|pod| pod.value.full_name());
                let mut names: Vec<_> = full_name.into_iter().chain([name.clone(), uid.clone()]).collect();
                names.retain(|name| !name.is_empty());
                names.compact_sort();
                names.dedup();
                for name in names {
                    called.by_pod.entry(name).or_default().push(index);
                }
            }
        }
        called
    }

    fn namespaces(&self) -> &ContainerNamespaces<'a> {
        self.namespaces.get_or_init(|| ContainerNamespaces::of(self.context.snapshot))
    }

    fn container(&self, index: usize) -> Option<&'a Container> {
        self.containers?.list.get(index)
    }

    /// The containers with this name or ID, or with one that begins so. A whole ID means no longer one: those who may choose
    /// IDs could begin theirs with another's.
    fn with_name(&self, name: &str) -> Vec<usize> {
        let from = BStr::new(name);
        let is_whole = name.len() < whose::SHORT || self.by_id.contains_key(from);
        let is_meant = |id: &BStr| if is_whole { id == from } else { id.starts_with(name.as_bytes()) };
        let ids = self.by_id.range(from..).take_while(|(id, _)| is_meant(id));
        let by_id = ids.flat_map(|(_, all)| all).copied();
        let mut found: Vec<_> = self.by_name.get(from).into_iter().flatten().copied().chain(by_id).collect();
        found.compact_sort();
        found.dedup();
        found
    }

    /// The containers that stand for the pods with this name: of each its sandbox, or its first container.
    fn of_pod(&self, name: &str) -> Vec<usize> {
        let Some(containers) = self.containers else { return Vec::new() };
        let pod_of = |index: usize| containers.list[index].pod.as_ref().map(|pod| &pod.value);
        let mut all = self.by_pod.get(BStr::new(name)).cloned().unwrap_or_default();
        let rank = |container: &Container| (container.main.is_none(), container.role != ContainerRole::Sandbox);
        all.compact_sort_by_key(|&index| (pod_of(index), rank(&containers.list[index]), index));
        // What has ended counts only where nothing else is left of it.
        let has_living = all.iter().any(|&index| containers.list[index].main.is_some());
        all.retain(|&index| !has_living || containers.list[index].main.is_some());
        all.dedup_by_key(|index| pod_of(*index));
        all
    }

    /// The containers with a name in a pod: `default/web-0/app`.
    fn in_pod(&self, name: &str) -> Vec<usize> {
        let (Some(containers), Some((pod, name))) = (self.containers, name.rsplit_once('/')) else { return Vec::new() };
        let is_it = |container: &Container| {
            let own = container.name.as_ref().is_some_and(|own| own.value == name);
            own && container.role == ContainerRole::Workload
        };
        let mut all = self.by_pod.get(BStr::new(pod)).cloned().unwrap_or_default();
        all.retain(|&index| is_it(&containers.list[index]));
        let has_living = all.iter().any(|&index| containers.list[index].main.is_some());
        all.retain(|&index| !has_living || containers.list[index].main.is_some());
        all
    }

    /// What means this container and no other, and is no other TARGET: containers can have others' names and IDs, and names
    /// that look like PIDs or types. At the last it is the process that tells.
    fn unambiguous(&self, index: usize) -> String {
        let Some(container) = self.container(index) else { return String::new() };
        let with_engine = format!("{}:{}", container.kind.name(), container.id);
        let in_pod = whose::in_pod(container);
        let names = [whose::target(container), container.id.clone(), with_engine.into()];
        let all = names[..1].iter().chain(&in_pod).chain(&names[1..]);
        if let Some(name) = all.into_iter().find(|name| self.means(name, index)) {
            return printable(name);
        }
        let process = self.namespaces().first_process(index).and_then(|pid| self.context.snapshot.processes.get(&pid));
        match process {
            Some(process) => format!("{}:{}", process.pid, process.start_time_ticks()),
            None => format!("{} (which several have)", printable(&names[2])),
        }
    }

    /// The TARGETs that mean this container and nothing else, as they can be typed, the shortest form first; none where neither
    /// a process nor a namespace of it is there.
    pub(crate) fn targets(&self, index: usize, netns: impl Fn(&str) -> Result<Found, Nameless>) -> Vec<String> {
        let namespaces = self.namespaces();
        let is_seen = |id: NamespaceId| self.context.snapshot.namespaces.contains_key(&id);
        let has_any =
            namespaces.first_process(index).is_some() || namespaces.namespaces(index).iter().any(|(_, id)| is_seen(id));
        let Some(container) = self.container(index).filter(|_| has_any) else { return Vec::new() };
        let whole = [container.kind.name().as_bytes(), b":", &container.id].concat().into();
        let all =
            [Some(whose::short_name(container)), Some(whose::target(container)), whose::in_pod(container), Some(whole)];
        let means = |text: &BString| {
            let alone = || match Target::parse(OsStr::from_bytes(text)) {
                Ok(Target::Name(name)) => {
                    matches!(self.only(netns(&name), &name, ""), Ok(One::Container(found)) if found == index)
                }
                _ => true,
            };
            self.means(text, index) && alone()
        };
        all.into_iter().flatten().filter(means).map(|text| text.to_string()).collect()
    }

    /// Whether this text, which can be typed as it is shown, means one container and nothing else.
    fn means(&self, text: &BString, index: usize) -> bool {
        let shown = printable(text);
        if shown.as_bytes() != text.as_slice() {
            return false;
        }
        match Target::parse(OsStr::new(&shown)) {
            Ok(Target::Name(name)) => self.with_name(&name) == [index],
            Ok(Target::Container(name)) => self.all_of(&name) == (vec![index], None),
            _ => false,
        }
    }

    /// These containers, each by what means no other. They are not very many.
    fn listed(&self, found: &[usize]) -> Vec<String> {
        let mut all: Vec<_> = found.iter().take(MOST).map(|&index| self.unambiguous(index)).collect();
        let more = found.len().saturating_sub(MOST);
        all.extend((more > 0).then(|| format!("and {more} more")));
        all
    }

    /// What a bare name means: the network namespace that has it, or the container.
    ///
    /// # Errors
    ///
    /// Nothing has it, both have it, or it cannot be told.
    pub(crate) fn anything(&self, netns: Result<Found, Nameless>, name: &str, text: &str) -> Found {
        match self.only(netns, name, text)? {
            One::Netns(found) => Ok(found),
            One::Container(index) => self.namespaces_of(index, None, text),
        }
    }

    /// The process that stands for the container with this bare name; `None` where it has none, or it is a network namespace.
    pub(crate) fn settle_name(
        &self,
        netns: Result<Found, Nameless>,
        name: &str,
        text: &str,
    ) -> Result<Option<Target>, Unresolved> {
        Ok(match self.only(netns, name, text)? {
            One::Netns(_) => None,
            One::Container(index) => self.process(index, None),
        })
    }

    fn only(&self, netns: Result<Found, Nameless>, name: &str, text: &str) -> Result<One, Unresolved> {
        let found = self.with_name(name);
        match (netns, &found[..]) {
            (Ok(Err(why)), _) => Err(why),
            (Ok(Ok(ids)), []) => Ok(One::Netns(ids)),
            // Both lead to the same.
            (Ok(Ok(ids)), [index]) if self.is_made_for(*index, &ids) => Ok(One::Container(*index)),
            (Ok(Ok(_)), _) => {
                let all = [format!("netns:{name}")].into_iter().chain(self.listed(&found));
                Err(several(text, &all.collect::<Vec<_>>()))
            }
            (Err(Nameless::None), &[index]) => Ok(One::Container(index)),
            (Err(Nameless::None), []) => Err(match (self.containers, self.unseen()) {
                (Some(_), Some(why)) => Unresolved::Unseen(format!(
                    "{text}: no network namespace and no visible container has this name: {why}"
                )),
                (Some(_), None) => {
                    Unresolved::Missing(format!("{text}: no network namespace and no container has this name; {FORMS}"))
                }
                (None, _) => Unresolved::Missing(format!("{text}: no network namespace has this name; {FORMS}")),
            }),
            (Err(Nameless::None), _) => Err(several(text, &self.listed(&found))),
            (Err(why), _) => Err(why.unresolved(text)),
        }
    }

    /// Whether this is the network namespace of a container: engines call them by IDs.
    fn is_made_for(&self, index: usize, ids: &[NamespaceId]) -> bool {
        self.namespaces().namespaces(index).get(NamespaceType::Net).is_some_and(|own| ids == [own])
    }

    /// The process or its namespace that stands for a container, where it has one.
    pub(crate) fn settle_container(&self, name: &ContainerName, text: &str) -> Result<Option<Target>, Unresolved> {
        match self.found(name, text)? {
            Some((index, ns_type)) => Ok(self.process(index, ns_type)),
            // It may be a file: `web/net`.
            None if name.of == ContainerOf::Any && self.context.is_live => {
                let path = name.ns_type.map_or_else(|| name.name.clone(), |ns_type| format!("{}/{ns_type}", name.name));
                Ok(Some(Target::Path(path.into())))
            }
            None => Err(self.nothing(text)),
        }
    }

    /// The namespaces of a container.
    pub(crate) fn namespaces_of_container(&self, name: &ContainerName, text: &str) -> Found {
        match self.found(name, text)? {
            Some((index, ns_type)) => self.namespaces_of(index, ns_type, text),
            None => Err(self.nothing(text)),
        }
    }

    /// The container that somebody calls so, and which of its namespaces is meant; `None` where there is none.
    fn found(&self, name: &ContainerName, text: &str) -> Result<Option<(usize, Option<NamespaceType>)>, Unresolved> {
        let (found, ns_type) = self.all_of(name);
        match found[..] {
            [] => Ok(None),
            [index] => Ok(Some((index, ns_type))),
            _ => Err(several(text, &self.listed(&found))),
        }
    }

    /// All that somebody calls so, and which of the namespaces is meant.
    fn all_of(&self, name: &ContainerName) -> (Vec<usize>, Option<NamespaceType>) {
        let mut ns_type = name.ns_type;
        let mut found = match name.of {
            ContainerOf::Any => self.with_name(&name.name),
            ContainerOf::Engine(kind) => {
                let mut found = self.with_name(&name.name);
                found.retain(|&index| self.container(index).is_some_and(|container| is_of(kind, container.kind)));
                found
            }
            ContainerOf::Pod => self.of_pod(&name.name),
        };
        if found.is_empty() && name.of == ContainerOf::Pod {
            found = self.in_pod(&name.name);
        }
        // A pod of podman's has no namespace before its name: `pod:p1/net`.
        if found.is_empty()
            && name.of == ContainerOf::Pod
            && ns_type.is_none()
            && let Some((pod, of)) = name.name.rsplit_once('/')
            && let Some(of) = NamespaceType::from_name(of.as_bytes())
        {
            (found, ns_type) = (self.of_pod(pod), Some(of));
        }
        (found, ns_type)
    }

    fn process(&self, index: usize, ns_type: Option<NamespaceType>) -> Option<Target> {
        let namespaces = self.namespaces();
        let pid = namespaces.first_process(index)?;
        let Some(ns_type) = ns_type else { return Some(Target::Process(pid)) };
        // What was made for it stands in where its process says nothing.
        let of_process = self.context.snapshot.processes.get(&pid).and_then(|process| process.namespaces.get(ns_type));
        let is_its = of_process.is_some() || namespaces.namespaces(index).get(ns_type).is_none();
        is_its.then_some(Target::OfProcess(pid, ns_type))
    }

    /// The namespaces of a container that has no process.
    fn namespaces_of(&self, index: usize, ns_type: Option<NamespaceType>, text: &str) -> Found {
        let links = self.namespaces().namespaces(index);
        let is_meant = |of: NamespaceType| ns_type.is_none_or(|ns_type| ns_type == of);
        let is_seen = |id: &NamespaceId| self.context.snapshot.namespaces.contains_key(id);
        let found: Vec<_> = links.iter().filter(|&(of, _)| is_meant(of)).map(|(_, id)| id).filter(is_seen).collect();
        if !found.is_empty() {
            return Ok(found);
        }
        let which = ns_type.map(|ns_type| format!(" {ns_type}")).unwrap_or_default();
        let container = self.unambiguous(index);
        let why = self.unseen().unwrap_or_else(|| "it has no process, and none was made for it".to_owned());
        Err(Unresolved::Unseen(format!("{text}: no{which} namespace of {container} is known: {why}")))
    }

    fn nothing(&self, text: &str) -> Unresolved {
        match (self.containers, self.unseen()) {
            (None, _) => Unresolved::Unseen(format!("{text}: containers are not known")),
            (Some(_), Some(why)) => {
                Unresolved::Unseen(format!("{text}: no visible container has this name or ID: {why}"))
            }
            (Some(_), None) => Unresolved::Missing(format!("{text}: no container has this name or ID")),
        }
    }

    /// What could not be read that may say something of containers.
    fn unseen(&self) -> Option<String> {
        let snapshot = self.context.snapshot;
        let unreadable = relations::unreadable_processes(snapshot);
        if unreadable > 0 {
            let processes = if unreadable == 1 { "process is" } else { "processes are" };
            return Some(format!("{unreadable} {processes} not readable"));
        }
        let has_gap = snapshot.gaps.iter().any(|gap| gap.place == Place::Containers);
        has_gap.then(|| "some files of engines are not readable".to_owned())
    }
}

/// How many containers are listed.
const MOST: usize = 20;

fn several(text: &str, all: &[String]) -> Unresolved {
    Unresolved::Usage(format!("{text}: has several meanings; name one of them: {}", all.join(", ")))
}

/// Whether somebody who says `cri:` or the like means containers of this kind.
fn is_of(asked: EngineKind, kind: EngineKind) -> bool {
    asked == kind || (asked == EngineKind::Cri && kind == EngineKind::CriO)
}

#[cfg(test)]
mod tests {
    use lxkns_model::{Object, Pid};

    use super::*;
    use crate::resolve::{NoHost, Resolver};
    use crate::target::Asked;
    use crate::testing::{BUSY, HOME, LEFT, LOOSE, USER, WEB_ID, contained};

    #[test]
    fn names_of_containers() {
        let snapshot = contained();
        let find = |snapshot: &Snapshot, text: &str| {
            Resolver::new(Context::of_dump(snapshot), &NoHost).resolve(&Asked::parse(OsStr::new(text)).unwrap())
        };
        let settled = |text: &str| {
            let resolver = Resolver::new(Context::of_dump(&snapshot), &NoHost);
            resolver.settle(&Asked::parse(OsStr::new(text)).unwrap()).unwrap().target
        };
        for text in ["web", "docker:web", "4f1a0c2e9b7d", "4f1a0c2e9b7d4f1a", &format!("docker:{WEB_ID}")] {
            assert_eq!(settled(text), Target::Process(Pid(200)), "{text}");
            assert_eq!(find(&snapshot, text), Ok(vec![HOME, LOOSE, USER, BUSY]), "{text}");
        }
        for text in ["web/net", "docker:web/net", "4f1a0c2e9b7d/net"] {
            assert_eq!(settled(text), Target::OfProcess(Pid(200), NamespaceType::Net), "{text}");
            assert_eq!(find(&snapshot, text), Ok(vec![BUSY]), "{text}");
        }
        // Without a process, what was made for it.
        for text in ["app", "cri:app/net", "app/net", "pod:default/web-0", "pod:default/web-0/net", "pod:web-0/net"] {
            assert_eq!(find(&snapshot, text), Ok(vec![LEFT]), "{text}");
        }
        for text in ["podman:web", "docker:4f1a0c2e9b", "pod:kube/web-0", "docker:4f1a0c2e9b7e"] {
            let none = Unresolved::Missing(format!("{text}: no container has this name or ID"));
            assert_eq!(find(&snapshot, text), Err(none));
        }
        assert!(matches!(find(&snapshot, "app/mnt"), Err(Unresolved::Unseen(message)) if message.contains("cri:app")));
        // A path that is no container.
        let live = |text: &str| {
            Resolver::new(Context::live(&snapshot, false), &NoHost).resolve(&Asked::parse(OsStr::new(text)).unwrap())
        };
        assert_eq!(live("other/net"), Err(Unresolved::Missing("other/net: no such file".into())));
        assert!(matches!(live("other"), Err(Unresolved::Missing(message)) if message.contains("no container")));
    }

    #[test]
    fn a_name_of_several_things_is_an_error_that_lists_them() {
        let mut snapshot = contained();
        let find = |snapshot: &Snapshot, text: &str| {
            Resolver::new(Context::of_dump(snapshot), &NoHost).resolve(&Asked::parse(OsStr::new(text)).unwrap())
        };
        let usage = |text: &str, all: &str| {
            Err(Unresolved::Usage(format!("{text}: has several meanings; name one of them: {all}")))
        };
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[1].name.as_mut().unwrap().value = "web".into();
        assert_eq!(find(&snapshot, "web"), usage("web", "docker:web, cri:web"));
        assert_eq!(find(&snapshot, "docker:web/net"), Ok(vec![BUSY]));
        // What `ip netns` and an engine call so; but the container's own network namespace is one thing.
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[0].name.as_mut().unwrap().value = "left".into();
        assert_eq!(find(&snapshot, "left"), usage("left", "netns:left, docker:left"));
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[0].name.as_mut().unwrap().value = "other".into();
        containers.list[1].name.as_mut().unwrap().value = "left".into();
        assert_eq!(find(&snapshot, "left"), Ok(vec![LEFT]));
        // Twins of one engine are told apart by their IDs.
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        let twin = containers.list[1].clone();
        containers.list.push(lxkns_model::Container { id: "99".into(), ..twin });
        assert_eq!(find(&snapshot, "cri:left"), usage("cri:left", "00112233445566778899, cri:99"));
    }

    /// Of a pod, a container by its name.
    #[test]
    fn containers_of_pods_have_their_names_there() {
        let mut snapshot = contained();
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        let mut other = containers.list[1].clone();
        (other.id, other.main) = ("99".into(), Some(lxkns_model::Said { value: Pid(200), by: 0 }));
        other.pod.as_mut().unwrap().value.name = "web-1".into();
        containers.list.push(other);
        containers.members = [(Pid(200), 2)].into();
        let find = |snapshot: &Snapshot, text: &str| {
            Resolver::new(Context::of_dump(snapshot), &NoHost).resolve(&Asked::parse(OsStr::new(text)).unwrap())
        };
        for text in ["pod:default/web-0/app", "pod:default/web-0/app/net", "pod:web-0/app"] {
            assert_eq!(find(&snapshot, text), Ok(vec![LEFT]), "{text}");
        }
        assert_eq!(find(&snapshot, "pod:default/web-1/app/net"), Ok(vec![BUSY]));
        for text in ["pod:default/web-0/other", "pod:default/web-2/app", "pod:default/web-0/app/other"] {
            assert!(matches!(find(&snapshot, text), Err(Unresolved::Missing(_))), "{text}");
        }
        let all = "cri:app: has several meanings; name one of them: pod:default/web-0/app, pod:default/web-1/app";
        assert_eq!(find(&snapshot, "cri:app"), Err(Unresolved::Usage(all.into())));
        // The sandbox of a pod stands for the pod.
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[1].role = ContainerRole::Sandbox;
        assert!(find(&snapshot, "pod:default/web-0/app").is_err());
    }

    /// Each of what is listed, typed in turn, means that container.
    #[test]
    fn what_is_listed_leads_to_the_right_one() {
        let find = |snapshot: &Snapshot, text: &str| {
            Resolver::new(Context::of_dump(snapshot), &NoHost).resolve(&Asked::parse(OsStr::new(text)).unwrap())
        };
        // A longer ID that begins with another's does not make that ambiguous; nor is one that has another's for a name.
        let mut snapshot = contained();
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[1].id = format!("{WEB_ID}0").into();
        assert_eq!(find(&snapshot, WEB_ID), Ok(vec![HOME, LOOSE, USER, BUSY]));
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        containers.list[1].id = WEB_ID.into();
        containers.list[1].name.as_mut().unwrap().value = "web".into();
        let listed = |snapshot: &Snapshot, text: &str| match find(snapshot, text) {
            Err(Unresolved::Usage(message)) => message.rsplit_once("name one of them: ").unwrap().1.to_owned(),
            other => panic!("{text}: {other:?}"),
        };
        assert_eq!(listed(&snapshot, WEB_ID), "docker:web, cri:web");
        // Of one engine, with the same name and the same ID: the process tells.
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        (containers.list[1].kind, containers.list[1].pod) = (EngineKind::Docker, None);
        let text = listed(&snapshot, "docker:web");
        let (first, second) = text.split_once(", ").unwrap();
        assert!(first.starts_with("200:") && second.ends_with("(which several have)"), "{text}");
        assert_eq!(find(&snapshot, first), Ok(vec![HOME, LOOSE, USER, BUSY]));
        // Names that are other TARGETs: a namespace of another container, a PID, and what no terminal shows as it is.
        for name in ["web/net", "1/mnt", "a\nb", "\u{202e}bew"] {
            let containers = snapshot.annotations.containers.as_mut().unwrap();
            containers.list[1].name.as_mut().unwrap().value = name.into();
            containers.list[1].id = format!("{}f", &WEB_ID[..63]).into();
            let text = listed(&snapshot, &WEB_ID[..12]);
            assert_eq!(text, format!("docker:web, {}f", &WEB_ID[..63]), "{name:?}");
        }
    }

    #[test]
    fn a_container_that_was_not_seen_may_be_there() {
        let mut snapshot = contained();
        let find = |snapshot: &Snapshot, text: &str| {
            Resolver::new(Context::of_dump(snapshot), &NoHost).resolve(&Asked::parse(OsStr::new(text)).unwrap())
        };
        snapshot.gaps.push(lxkns_model::Gap::because(
            Place::Containers,
            Object::Path("/run/docker".into()),
            lxkns_model::Operation::OPEN,
            lxkns_model::Cause::Denied,
        ));
        for text in ["nothing", "docker:nothing"] {
            let found = find(&snapshot, text);
            assert!(
                matches!(&found, Err(Unresolved::Unseen(message)) if message.contains("not readable")),
                "{found:?}"
            );
        }
        snapshot.annotations.containers = None;
        let found = find(&snapshot, "docker:web");
        assert!(matches!(&found, Err(Unresolved::Unseen(message)) if message.contains("not known")), "{found:?}");
    }
}
