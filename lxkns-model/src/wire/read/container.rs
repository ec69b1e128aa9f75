//! Containers, their engines and groups; and what belongs to none.

use std::collections::{BTreeMap, BTreeSet};

use bstr::BString;

use super::{Reader, invalid, number, theirs_containers};
use crate::wire::form::{self, ContainersInfo, Text};
use crate::wire::{Error, text, time};
use crate::{
    Container, ContainerRole, ContainerState, Containers, Disagreement, Engine, EngineKind, Evidence, Group, GroupKind,
    Pid, Pod, Said, Snapshot, Uid, Unit,
};

/// What a dump has of containers.
#[derive(Default)]
pub(super) struct Forms {
    pub(super) containers: BTreeMap<u32, form::Container>,
    pub(super) engines: BTreeMap<usize, form::Engine>,
    pub(super) groups: BTreeMap<usize, form::Group>,
    pub(super) info: Option<ContainersInfo>,
}

/// The keys that can be said in different ways.
const SUBJECTS: [&str; 19] = [
    "id",
    "name",
    "type",
    "flavor",
    "pid",
    "paused",
    "labels",
    "groups",
    "engine",
    "engine-namespace",
    "runtime",
    "image",
    "state",
    "health",
    "created",
    "pod",
    "role",
    "cgroup",
    "network-path",
];

impl Reader {
    /// The containers; `None` where a dump does not say that they were looked for.
    pub(super) fn containers(&self, forms: Forms, snapshot: &Snapshot) -> Result<Option<Containers>, Error> {
        let Forms { containers, engines, groups, info } = forms;
        let Some(info) = info else {
            let forms = Forms { containers, engines, groups, info: None };
            return if self.ours { Ok(None) } else { theirs_containers::containers(forms, snapshot) };
        };
        let mut read = Containers::default();
        let is_unseen = |form: &form::Engine| form.unseen == Some(true);
        let unseen: BTreeSet<_> =
            engines.iter().filter(|(_, form)| is_unseen(form)).map(|(&number, _)| number).collect();
        for (number, form) in engines.iter().filter(|(_, form)| !is_unseen(form)) {
            if *number != read.engines.len() + 1 {
                return Err(invalid(&format!("container engine {number}: expected {}", read.engines.len() + 1)));
            }
            read.engines.push(engine(form)?);
        }
        for (number, form) in &groups {
            if *number != read.groups.len() + 1 {
                return Err(invalid(&format!("container group {number}: expected {}", read.groups.len() + 1)));
            }
            read.groups.push(group(form)?);
        }
        let mut by_index = BTreeMap::new();
        let keyed = containers.into_iter().map(|(pid, form)| form::Container { pid: form.pid.or(Some(pid)), ..form });
        for form in keyed.chain(info.others.unwrap_or_default()) {
            let index = form.index.ok_or_else(|| invalid("container without index"))?;
            if by_index.insert(index, container(&form, &read, &unseen)?).is_some() {
                return Err(invalid(&format!("two containers with index {index}")));
            }
        }
        if let Some((expected, (index, _))) = by_index.iter().enumerate().find(|(at, (index, _))| at != *index) {
            return Err(invalid(&format!("container with index {index}: expected {expected}")));
        }
        read.list = by_index.into_values().collect();
        let known = |index: usize| {
            let is_known = index < read.list.len();
            is_known.then_some(index).ok_or_else(|| invalid(&format!("no container has index {index}")))
        };
        let inside = read.list.iter().map(|it| it.inside).chain(read.engines.iter().map(|it| it.inside));
        for index in inside.flatten() {
            known(index)?;
        }
        check_circles(&read.list)?;
        let mut members = BTreeMap::new();
        for (index, pids) in info.members.unwrap_or_default() {
            for pid in pids {
                members.insert(number::pid(pid)?, known(index)?);
            }
        }
        let mut namespaces = BTreeMap::new();
        for (ino, index) in info.namespaces.unwrap_or_default() {
            namespaces.insert(self.checked_id("namespace of a container", ino)?, known(index)?);
        }
        let mut units = BTreeMap::new();
        for form in info.units.unwrap_or_default() {
            let unit = Unit { kind: form.kind, name: text_of(form.name), of_user: form.of_user.map(Uid) };
            for pid in form.pids {
                units.insert(number::pid(pid)?, unit.clone());
            }
        }
        (read.members, read.namespaces, read.units) = (members, namespaces, units);
        Ok(Some(read))
    }
}

/// No container is inside itself, with any number of others between.
fn check_circles(list: &[Container]) -> Result<(), Error> {
    // Each is gone through once: what was reached from an earlier start has an end.
    let mut reached_from = vec![usize::MAX; list.len()];
    for start in 0..list.len() {
        let mut at = start;
        while reached_from[at] == usize::MAX {
            reached_from[at] = start;
            match list[at].inside {
                Some(outer) if reached_from[outer] == start => {
                    return Err(invalid(&format!("container with index {outer} is inside itself")));
                }
                Some(outer) => at = outer,
                None => break,
            }
        }
    }
    Ok(())
}

fn container(form: &form::Container, read: &Containers, unseen: &BTreeSet<usize>) -> Result<Container, Error> {
    let evidence = form.evidence.iter().flatten().map(evidence).collect::<Result<Vec<_>, _>>()?;
    let said_by = |by: usize| {
        let is_known = by < evidence.len();
        is_known.then_some(by).ok_or_else(|| invalid(&format!("container without evidence {by}")))
    };
    // What nothing says comes from the first evidence, which made the container known.
    let by = |key: &str| said_by(form.said_by.as_ref().and_then(|by| by.get(key)).copied().unwrap_or(0));
    let said_text = |key: &str, text: &Option<Text>| match text {
        Some(text) => Ok(Some(Said { value: borrowed(text), by: by(key)? })),
        None => Ok(None),
    };
    for said in form.said_by.iter().flatten() {
        said_by(*said.1)?;
    }
    let kind = EngineKind::from_name(form.r#type.as_deref().unwrap_or_default()).unwrap_or(EngineKind::Unknown);
    let known = |what: &str, number: usize, count: usize| match number.checked_sub(1) {
        Some(index) if index < count => Ok(index),
        _ => Err(invalid(&format!("container without {what} {number}"))),
    };
    let engine = form.engine.ok_or_else(|| invalid("container without engine"))?;
    let groups = form.groups.iter().flatten().map(|&number| known("group", number, read.groups.len()));
    let has_name = form.said_by.as_ref().is_some_and(|by| by.contains_key("name"));
    let pid = form.pid.filter(|&pid| pid != 0).map(number::pid).transpose()?;
    let created = form
        .created
        .as_ref()
        .map(|text| time::parse(text).ok_or_else(|| invalid(&format!("created: not a time: {text:?}"))));
    let disagreements = form.disagreements.iter().flatten();
    Ok(Container {
        kind,
        id: theirs_text(&form.id, &form.escaped, "id"),
        name: match has_name {
            true => Some(Said { value: theirs_text(&form.name, &form.escaped, "name"), by: by("name")? }),
            false => None,
        },
        engine_namespace: form.engine_namespace.as_ref().map(borrowed).unwrap_or_default(),
        engine: if unseen.contains(&engine) { None } else { Some(known("engine", engine, read.engines.len())?) },
        runtime: said_text("runtime", &form.runtime)?,
        image: said_text("image", &form.image)?,
        state: match form.state {
            Some(value) => Some(Said { value, by: by("state")? }),
            None => None,
        },
        health: match form.health {
            Some(value) => Some(Said { value, by: by("health")? }),
            None => None,
        },
        created: match created.transpose()? {
            Some(value) => Some(Said { value, by: by("created")? }),
            None => None,
        },
        labels: map(&form.labels, &form.labels_escaped),
        annotations: map(&form.annotations, &form.annotations_escaped),
        main: match pid {
            Some(value) => Some(Said { value, by: by("pid")? }),
            None => None,
        },
        pod: match &form.pod {
            Some(form) => Some(Said { value: pod(form), by: by("pod")? }),
            None => None,
        },
        role: form.role.unwrap_or(ContainerRole::Workload),
        cgroup: said_text("cgroup", &form.cgroup)?,
        limits: form.cgroup_limits.clone(),
        network_path: said_text("network-path", &form.network_path)?,
        groups: groups.collect::<Result<_, _>>()?,
        inside: form.inside,
        flavor: flavor(form, kind),
        disagreements: disagreements
            .map(|form| disagreement(form, &said_by))
            .collect::<Result<Vec<_>, _>>()?
            .into_iter()
            .flatten()
            .collect(),
        evidence,
    })
}

/// The flavor where it says more than the type.
pub(super) fn flavor(form: &form::Container, kind: EngineKind) -> Option<BString> {
    let flavor = theirs_text(&form.flavor, &form.escaped, "flavor");
    (!flavor.is_empty() && flavor != kind.type_name()).then_some(flavor)
}

fn evidence(form: &form::Evidence) -> Result<Evidence, Error> {
    let pid = form.pid.map(number::pid).transpose()?;
    Ok(Evidence { kind: form.kind, at: borrowed(&form.at), pid, confidence: form.confidence })
}

/// `None` about what a newer version knows.
fn disagreement(
    form: &form::Disagreement,
    said_by: &impl Fn(usize) -> Result<usize, Error>,
) -> Result<Option<Disagreement>, Error> {
    let value = |said: &form::SaidText| Ok(Said { value: borrowed(&said.value), by: said_by(said.by)? });
    let values = form.values.iter().map(value).collect::<Result<_, Error>>()?;
    let about = SUBJECTS.into_iter().find(|subject| *subject == form.about);
    Ok(about.map(|about| Disagreement { about, values }))
}

fn pod(form: &form::Pod) -> Pod {
    let text = |text: &Option<Text>| text.as_ref().map(borrowed).unwrap_or_default();
    Pod { namespace: text(&form.namespace), name: borrowed(&form.name), uid: text(&form.uid) }
}

/// An engine.
pub(super) fn engine(form: &form::Engine) -> Result<Engine, Error> {
    let text =
        |text: &Option<String>, key: &str| Some(theirs_text(text, &form.escaped, key)).filter(|text| !text.is_empty());
    let kind = EngineKind::from_name(form.r#type.as_deref().unwrap_or_default());
    Ok(Engine {
        kind: kind.unwrap_or(EngineKind::Unknown),
        pid: form.pid.filter(|&pid| pid != 0).map(number::pid).transpose()?,
        id: text(&form.id, "id"),
        version: text(&form.version, "version"),
        api: text(&form.api, "api"),
        inside: form.inside,
    })
}

/// A group.
pub(super) fn group(form: &form::Group) -> Result<Group, Error> {
    let type_name = theirs_text(&form.r#type, &form.escaped, "type");
    let kind = match form.kind {
        Some(form::GroupKind::Pod) => GroupKind::Pod,
        Some(form::GroupKind::ComposeProject) => GroupKind::ComposeProject,
        Some(form::GroupKind::Other) => GroupKind::Other,
        None if type_name == "io.kubernetes.pod" => GroupKind::Pod,
        None if type_name == "com.docker.compose.project" => GroupKind::ComposeProject,
        None => GroupKind::Other,
    };
    for &pid in form.containers.iter().flatten() {
        number::pid(pid)?;
    }
    Ok(Group {
        kind,
        name: theirs_text(&form.name, &form.escaped, "name"),
        type_name,
        flavor: theirs_text(&form.flavor, &form.escaped, "flavor"),
        labels: map(&form.labels, &form.labels_escaped),
    })
}

/// A state that other programs have.
pub(super) fn state(form: &form::Container) -> Option<ContainerState> {
    form.paused.map(|paused| if paused { ContainerState::Paused } else { ContainerState::Running })
}

/// A PID that a key has.
pub(super) fn pid(form: &form::Container, key: u32) -> Result<Pid, Error> {
    number::pid(form.pid.unwrap_or(key))
}

/// A text of a key that other readers know, as it is or from those that are not UTF-8.
pub(super) fn theirs_text(text: &Option<String>, escaped: &Option<BTreeMap<String, String>>, key: &str) -> BString {
    match escaped.as_ref().and_then(|escaped| escaped.get(key)) {
        Some(escaped) => text::unescape(escaped),
        None => text.as_deref().unwrap_or_default().into(),
    }
}

/// Labels or annotations.
pub(super) fn map(
    texts: &Option<BTreeMap<String, String>>,
    escaped: &Option<BTreeMap<String, String>>,
) -> BTreeMap<BString, BString> {
    match escaped {
        Some(escaped) => escaped.iter().map(|(key, value)| (text::unescape(key), text::unescape(value))).collect(),
        None => texts.iter().flatten().map(|(key, value)| (key.as_str().into(), value.as_str().into())).collect(),
    }
}

fn borrowed(text: &Text) -> BString {
    match text {
        Text::Plain(text) => text.as_str().into(),
        Text::Escaped { escaped } => text::unescape(escaped),
    }
}

fn text_of(text: Text) -> BString {
    match text {
        Text::Plain(text) => text.into(),
        Text::Escaped { escaped } => text::unescape(&escaped),
    }
}
