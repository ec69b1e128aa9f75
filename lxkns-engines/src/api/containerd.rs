//! What containerd answers: its version, its namespaces, and the containers in each.
//!
//! What Docker keeps there is Docker's to tell. Numbers of fields are those of the services `version`, `namespaces`,
//! `containers` and `tasks` of containerd's API, version 1.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::time::{Duration, SystemTime};

use bstr::BString;
use lxkns_model::{Cause, ContainerRole, ContainerState, EngineKind, EvidenceKind, Operation, Pod};
use rustc_hash::FxHashMap;

use super::connect::{Failed, Peer};
use super::forms::{self, List, Listed, MOST_LISTED, Version};
use super::listeners::Listener;
use super::{Answer, claim, grpc};
use crate::evidence::{Claim, Main, likely};
use crate::files::Failure;
use crate::parse::monitor::kind_of_namespace;
use crate::parse::protobuf::{Fields, Value};
use crate::parse::{MOST, Malformed, is_long_id, unless_empty};

const VERSION: &str = "containerd.services.version.v1.Version/Version";
const NAMESPACES: &str = "containerd.services.namespaces.v1.Namespaces/List";
const CONTAINERS: &str = "containerd.services.containers.v1.Containers/List";
const TASKS: &str = "containerd.services.tasks.v1.Tasks/List";

/// How many namespaces are asked for.
const MOST_NAMESPACES: usize = 64;

/// What its CRI plugin says of a container: `sandbox` or `container`.
const CRI_KIND: &str = "io.cri-containerd.kind";

/// Whether it is containerd, and which version.
pub(super) fn version(peer: &Peer, listener: &Listener) -> Result<(OwnedFd, Version), Failed> {
    let file = peer.file_of(listener)?;
    let message = peer.call(listener, &file, VERSION, None)?;
    let version = version_of(&message).map_err(|Malformed| malformed(VERSION))?;
    Ok((file, Version { kind: EngineKind::Containerd, version, api: None }))
}

/// Asks for the containers of each namespace. Returns what has failed.
pub(super) fn list(
    answer: &mut Answer,
    mut call: impl FnMut(&str, Option<&[u8]>) -> Result<Vec<u8>, Failed>,
) -> Vec<Failed> {
    let mut failures = Vec::new();
    let mut namespaces = match call(NAMESPACES, None).map(|message| namespaces_of(&message)) {
        Ok(Ok(namespaces)) => namespaces,
        Ok(Err(Malformed)) => return vec![malformed(NAMESPACES)],
        Err(failed) => return vec![failed],
    };
    namespaces.retain(|namespace| !matches!(namespace.as_slice(), b"moby" | b"plugins.moby"));
    if namespaces.len() > MOST_NAMESPACES {
        namespaces.truncate(MOST_NAMESPACES);
        failures.push(cut(NAMESPACES, MOST_NAMESPACES));
    }
    let evidence = likely(EvidenceKind::Engine, answer.api.clone().unwrap_or_default(), Some(answer.pid));
    for namespace in namespaces {
        // As a value of a header.
        let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        if namespace.len() > grpc::LONGEST_VALUE || !namespace.iter().all(is_name) {
            failures.push(malformed(NAMESPACES));
            continue;
        }
        let listed = match call(CONTAINERS, Some(&namespace)).map(|message| containers_of(&message)) {
            Ok(Ok(listed)) => listed,
            Ok(Err(Malformed)) => {
                failures.push(malformed(CONTAINERS));
                continue;
            }
            Err(failed) => {
                failures.push(failed);
                continue;
            }
        };
        failures.extend(listed.is_cut.then(|| cut(CONTAINERS, MOST_LISTED)));
        // Other IDs are those of one namespace alone, so their processes say which container is meant. Shims are asked for
        // these, which takes time.
        let mut tasks = FxHashMap::default();
        if listed.items.iter().any(|listed| !is_long_id(&listed.id)) {
            match call(TASKS, Some(&namespace)).map(|message| tasks_of(&message)) {
                Ok(Ok(said)) => tasks = said,
                Ok(Err(Malformed)) => failures.push(malformed(TASKS)),
                Err(failed) => failures.push(failed),
            }
        }
        for listed in listed.items {
            let mut claim = claim(kind_of_namespace(&namespace), listed, evidence.clone());
            claim.engine_namespace = namespace.clone();
            if let Some(task) = tasks.get(&claim.id) {
                claim.facts.state = task.state;
                claim.main = if task.pid == 0 { Main::Unknown } else { Main::Pid(task.pid, None) };
            }
            answer.claims.extend(by_cri(&mut claim));
            answer.claims.push(claim);
        }
    }
    failures
}

/// Takes what the labels of the CRI plugin say. The labels of a sandbox are those of its pod, which are returned as the pod's.
fn by_cri(claim: &mut Claim) -> Option<Claim> {
    let is_sandbox = claim.facts.labels.get(CRI_KIND.as_bytes())? == "sandbox";
    claim.kind = EngineKind::Cri;
    claim.facts.role = Some(if is_sandbox { ContainerRole::Sandbox } else { ContainerRole::Workload });
    let label = |name: &str| claim.facts.labels.get(format!("io.kubernetes.{name}").as_bytes()).cloned();
    let pod = Pod {
        namespace: label("pod.namespace").unwrap_or_default(),
        name: label("pod.name").filter(|name| !name.is_empty())?,
        uid: label("pod.uid").unwrap_or_default(),
    };
    claim.facts.pod = Some(pod.clone());
    claim.facts.name = if is_sandbox { Some(pod.name) } else { label("container.name") };
    let mut of_pod = is_sandbox.then(|| claim.clone())?;
    of_pod.is_of_pod = true;
    of_pod.facts.labels.remove(CRI_KIND.as_bytes());
    Some(of_pod)
}

fn malformed(method: &str) -> Failed {
    let operation = Operation::Parse(format!("{method}: not the form of containerd").into());
    Failed { operation, failure: Failure::Cause(Cause::Malformed) }
}

fn cut(method: &str, most: usize) -> Failed {
    let operation = Operation::Parse(format!("{method}: the first {most} are read").into());
    Failed { operation, failure: Failure::Cause(Cause::Cut) }
}

fn version_of(message: &[u8]) -> Result<BString, Malformed> {
    let mut version = None;
    for field in Fields::of(message) {
        if let (1, Value::Bytes(text)) = field? {
            version = unless_empty(text);
        }
    }
    version.ok_or(Malformed)
}

/// The fields of a message with this number that are messages.
fn messages(message: &[u8], number: u64) -> impl Iterator<Item = Result<&[u8], Malformed>> {
    Fields::of(message).filter_map(move |field| match field {
        Ok((own, Value::Bytes(inner))) if own == number => Some(Ok(inner)),
        Ok(_) => None,
        Err(Malformed) => Some(Err(Malformed)),
    })
}

fn namespaces_of(message: &[u8]) -> Result<Vec<BString>, Malformed> {
    let mut namespaces = Vec::new();
    // One more than is kept: so it is known that there are more.
    for namespace in messages(message, 1).take(MOST) {
        for field in Fields::of(namespace?) {
            if let (1, Value::Bytes(name)) = field? {
                namespaces.extend(unless_empty(name));
            }
        }
    }
    Ok(namespaces)
}

fn containers_of(message: &[u8]) -> Result<List<Listed>, Malformed> {
    let mut all = messages(message, 1);
    let items = all.by_ref().take(MOST_LISTED).map(|listed| container_of(listed?)).collect::<Result<_, _>>()?;
    Ok(List { items, is_cut: all.next().transpose()?.is_some() })
}

fn container_of(message: &[u8]) -> Result<Listed, Malformed> {
    let (mut id, mut image, mut created, mut labels) = (None, None, None, BTreeMap::new());
    for field in Fields::of(message) {
        match field? {
            (1, Value::Bytes(text)) => id = unless_empty(text),
            (2, Value::Bytes(entry)) if labels.len() < MOST => {
                let (key, value) = entry_of(entry)?;
                labels.insert(key, value);
            }
            (3, Value::Bytes(text)) => image = unless_empty(text),
            (8, Value::Bytes(time)) => created = time_of(time)?,
            _ => {}
        }
    }
    let image = image.filter(|image| !forms::is_id_of_image(image));
    let id = id.ok_or(Malformed)?;
    Ok(Listed { id, name: None, image, state: None, health: None, created, labels })
}

fn entry_of(message: &[u8]) -> Result<(BString, BString), Malformed> {
    let (mut key, mut value) = (BString::default(), BString::default());
    for field in Fields::of(message) {
        match field? {
            (1, Value::Bytes(text)) => key = text.into(),
            (2, Value::Bytes(text)) => value = text.into(),
            _ => {}
        }
    }
    Ok((key, value))
}

/// A time after 1970; `None` of one before.
fn time_of(message: &[u8]) -> Result<Option<SystemTime>, Malformed> {
    let (mut seconds, mut nanos) = (0, 0);
    for field in Fields::of(message) {
        match field? {
            (1, Value::Number(number)) => seconds = number,
            (2, Value::Number(number)) => nanos = number,
            _ => {}
        }
    }
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < 1_000_000_000).ok_or(Malformed)?;
    let is_after = i64::try_from(seconds).is_ok();
    let since = Duration::new(seconds, nanos);
    Ok(SystemTime::UNIX_EPOCH.checked_add(since).filter(|_| is_after && !since.is_zero()))
}

/// The first process of a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Task {
    pid: u32,
    state: Option<ContainerState>,
}

fn tasks_of(message: &[u8]) -> Result<FxHashMap<BString, Task>, Malformed> {
    let mut tasks = FxHashMap::default();
    for task in messages(message, 1).take(MOST_LISTED) {
        let (mut id, mut pid, mut state) = (None, 0, None);
        for field in Fields::of(task?) {
            match field? {
                // The process's own ID, which for the first one is the container's.
                (2, Value::Bytes(text)) => id = unless_empty(text),
                (3, Value::Number(number)) => pid = u32::try_from(number).map_err(|_| Malformed)?,
                (4, Value::Number(number)) => state = state_of(number),
                _ => {}
            }
        }
        tasks.insert(id.ok_or(Malformed)?, Task { pid, state });
    }
    Ok(tasks)
}

/// `None` of one that is about to change.
fn state_of(number: u64) -> Option<ContainerState> {
    Some(match number {
        1 => ContainerState::Created,
        2 => ContainerState::Running,
        3 => ContainerState::Exited,
        4 => ContainerState::Paused,
        _ => return None,
    })
}

/// What holds of each answer, whatever the bytes.
#[cfg(any(test, feature = "_fuzz"))]
pub(crate) fn fuzz(message: &[u8]) {
    assert!(version_of(message).is_ok_and(|version| !version.is_empty()) || version_of(message).is_err());
    assert!(namespaces_of(message).is_ok_and(|all| all.len() <= message.len()) || namespaces_of(message).is_err());
    if let Ok(list) = containers_of(message) {
        assert!(list.items.len() <= MOST_LISTED);
        assert!(list.items.iter().all(|listed| !listed.id.is_empty() && listed.labels.len() <= MOST));
    }
    assert!(tasks_of(message).is_ok_and(|tasks| tasks.len() <= MOST_LISTED) || tasks_of(message).is_err());
}

#[cfg(test)]
mod tests {
    use lxkns_model::Pid;

    use super::*;

    /// A field that is a text or a message.
    fn text(number: u8, value: impl AsRef<[u8]>) -> Vec<u8> {
        let value = value.as_ref();
        [&[number << 3 | 2, u8::try_from(value.len()).ok().filter(|length| *length < 0x80).unwrap()], value].concat()
    }

    /// A field that is a number below 128.
    fn number(number: u8, value: u8) -> Vec<u8> {
        vec![number << 3, value]
    }

    fn label(key: &str, value: &str) -> Vec<u8> {
        text(2, [text(1, key), text(2, value)].concat())
    }

    #[test]
    fn containers_are_read() {
        let time = text(8, [number(1, 7), number(2, 9)].concat());
        let spec = text(5, text(2, "secret"));
        let one = [text(1, "one"), label("team", "blue"), text(3, "localhost/bb:1"), spec, time].concat();
        let two = [text(1, "two"), text(3, "sha256:0123456789abcdef")].concat();
        let list = containers_of(&[text(1, one), text(1, two)].concat()).unwrap();
        assert!(!list.is_cut);
        let expected = Listed {
            id: "one".into(),
            name: None,
            image: Some("localhost/bb:1".into()),
            state: None,
            health: None,
            created: SystemTime::UNIX_EPOCH.checked_add(Duration::new(7, 9)),
            labels: BTreeMap::from([("team".into(), "blue".into())]),
        };
        assert_eq!(list.items[0], expected);
        assert_eq!((&list.items[1].id, &list.items[1].image), (&"two".into(), &None));
        assert_eq!(containers_of(b"").unwrap().items, []);
        assert_eq!(containers_of(&text(1, "")), Err(Malformed), "one without an ID");
        assert_eq!(containers_of(&text(1, text(8, b"\x10\xff\xff\xff\xff\x0f"))), Err(Malformed), "nanoseconds");
    }

    #[test]
    fn tasks_namespaces_and_versions_are_read() {
        let task = |id: &str, pid, state| text(1, [text(2, id), number(3, pid), number(4, state)].concat());
        let tasks = tasks_of(&[task("one", 7, 4), task("two", 0, 0)].concat()).unwrap();
        assert_eq!(tasks[&BString::from("one")], Task { pid: 7, state: Some(ContainerState::Paused) });
        assert_eq!(tasks[&BString::from("two")], Task { pid: 0, state: None });
        let namespaces = [text(1, text(1, "moby")), text(1, text(1, "k8s.io"))].concat();
        assert_eq!(namespaces_of(&namespaces).unwrap(), ["moby", "k8s.io"]);
        assert_eq!(version_of(&[text(1, "1.6.20"), text(2, "x")].concat()).unwrap(), "1.6.20");
        assert_eq!(version_of(&text(2, "x")), Err(Malformed));
    }

    /// What an engine answers that has these containers in each namespace.
    fn listed(namespaces: &[&str], containers: &[Vec<u8>]) -> (Vec<Claim>, Vec<String>, usize) {
        let mut answer =
            Answer { pid: Pid(7), kind: EngineKind::Containerd, version: "1".into(), api: None, claims: Vec::new() };
        let mut asked = Vec::new();
        let failures = list(&mut answer, |method, namespace| {
            let namespace = String::from_utf8_lossy(namespace.unwrap_or_default()).into_owned();
            let method = method.rsplit_once(".v1.").unwrap().1;
            asked.push(format!("{method} {namespace}"));
            Ok(match method {
                "Namespaces/List" => namespaces.iter().flat_map(|name| text(1, text(1, name))).collect(),
                "Containers/List" => containers.iter().flat_map(|one| text(1, one)).collect(),
                _ => text(1, [text(2, "one"), number(3, 9), number(4, 2)].concat()),
            })
        });
        (answer.claims, asked, failures.len())
    }

    #[test]
    fn shims_are_asked_only_where_an_id_does_not_suffice() {
        let (claims, asked, failures) = listed(&["moby", "default", "bad name"], &[text(1, "one")]);
        assert_eq!(asked, ["Namespaces/List ", "Containers/List default", "Tasks/List default"]);
        assert_eq!(failures, 1, "a namespace that no header can name");
        assert_eq!((claims[0].main, claims[0].facts.state), (Main::Pid(9, None), Some(ContainerState::Running)));
        assert_eq!((claims[0].kind, &claims[0].engine_namespace), (EngineKind::Containerd, &"default".into()));
        let (_, asked, _) = listed(&["k8s.io"], &[text(1, "ab".repeat(32))]);
        assert_eq!(asked, ["Namespaces/List ", "Containers/List k8s.io"]);
    }

    #[test]
    fn a_sandbox_has_the_labels_of_its_pod() {
        let mut sandbox = claim_with(&[("kind", "sandbox"), ("app", "shop")]);
        let pod = by_cri(&mut sandbox).unwrap();
        assert_eq!((sandbox.facts.role, sandbox.facts.name), (Some(ContainerRole::Sandbox), Some("web-0".into())));
        assert_eq!(pod.facts.pod.as_ref().unwrap().full_name(), "default/web-0");
        assert!(pod.is_of_pod && pod.facts.labels.contains_key(&BString::from("app")));
        assert!(!pod.facts.labels.contains_key(&BString::from(CRI_KIND)));
        let mut container = claim_with(&[("kind", "container"), ("io.kubernetes.container.name", "nginx")]);
        assert!(by_cri(&mut container).is_none());
        assert_eq!((container.facts.role, container.facts.name), (Some(ContainerRole::Workload), Some("nginx".into())));
        let mut other = Claim::new(EngineKind::Containerd, "one", likely(EvidenceKind::Engine, "", None));
        assert!(by_cri(&mut other).is_none() && other.facts.role.is_none());
    }

    fn claim_with(labels: &[(&str, &str)]) -> Claim {
        let mut claim = Claim::new(EngineKind::Cri, "ab", likely(EvidenceKind::Engine, "", None));
        let of_pod = [("namespace", "default"), ("name", "web-0"), ("uid", "u1")];
        let of_pod = of_pod.map(|(key, value)| (format!("io.kubernetes.pod.{key}"), value));
        let own = labels.iter().map(|&(key, value)| (key.replace("kind", CRI_KIND), value));
        let all = own.chain(of_pod);
        claim.facts.labels = all.map(|(key, value)| (key.into(), value.into())).collect();
        claim
    }
}
