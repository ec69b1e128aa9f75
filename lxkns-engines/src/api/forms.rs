//! What Docker and podman answer: JSON in, values out.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime};

use bstr::BString;
use lxkns_model::{ContainerHealth, ContainerState, EngineKind};
use serde::de::{IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::parse::{MOST, Malformed, time, unless_empty};

/// How many containers or pods of one engine are kept.
pub(crate) const MOST_LISTED: usize = 16 << 10;

/// What answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) kind: EngineKind,
    pub(crate) version: BString,
    /// The version of podman's own API.
    pub(crate) api: Option<String>,
}

/// A container, as its engine lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) id: BString,
    pub(crate) name: Option<BString>,
    pub(crate) image: Option<BString>,
    pub(crate) state: Option<ContainerState>,
    pub(crate) health: Option<ContainerHealth>,
    pub(crate) created: Option<SystemTime>,
    pub(crate) labels: BTreeMap<BString, BString>,
}

/// A pod of podman's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListedPod {
    pub(crate) id: BString,
    pub(crate) name: BString,
    /// The container that keeps its namespaces; `None` where it has none.
    pub(crate) infra: Option<BString>,
    pub(crate) labels: BTreeMap<BString, BString>,
}

/// A list, and whether there was more than is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct List<T> {
    pub(crate) items: Vec<T>,
    pub(crate) is_cut: bool,
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<List<T>, A::Error> {
                let mut items = Vec::new();
                while items.len() < MOST_LISTED {
                    match all.next_element()? {
                        Some(item) => items.push(item),
                        None => return Ok(List { items, is_cut: false }),
                    }
                }
                let mut is_cut = false;
                while all.next_element::<IgnoredAny>()?.is_some() {
                    is_cut = true;
                }
                Ok(List { items, is_cut })
            }
        }
        deserializer.deserialize_seq(Items(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct VersionForm {
    version: String,
    #[serde(default)]
    components: Option<Vec<Component>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    name: String,
    #[serde(default)]
    details: Option<BTreeMap<String, serde_json::Value>>,
}

/// The answer to `/version`.
pub(crate) fn version(text: &[u8]) -> Result<Version, Malformed> {
    let form: VersionForm = serde_json::from_slice(text)?;
    let components = form.components.unwrap_or_default();
    let find = |name: &str| components.iter().find(|component| component.name == name);
    let (kind, own) = match (find("Podman Engine"), find("Engine")) {
        (Some(own), _) => (EngineKind::Podman, own),
        (None, Some(own)) => (EngineKind::Docker, own),
        (None, None) => return Err(Malformed),
    };
    let api = own.details.as_ref().and_then(|details| details.get("APIVersion")?.as_str());
    // It becomes a part of a path.
    let is_number = |text: &&str| text.len() <= 32 && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let version = unless_empty(form.version).ok_or(Malformed)?;
    Ok(Version { kind, version, api: api.filter(is_number).map(str::to_owned) })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ContainerForm {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    image: Option<String>,
    #[serde(default)]
    state: Option<String>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    created: Option<Created>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Created {
    /// Since 1970.
    Seconds(u64),
    Text(String),
    Other(IgnoredAny),
}

/// The answer to `/containers/json`, of Docker or podman.
pub(crate) fn containers(text: &[u8]) -> Result<List<Listed>, Malformed> {
    let list: List<ContainerForm> = serde_json::from_slice(text)?;
    let items = list.items.into_iter().map(listed).collect::<Result<_, _>>()?;
    Ok(List { items, is_cut: list.is_cut })
}

fn listed(form: ContainerForm) -> Result<Listed, Malformed> {
    // Docker puts a slash before each. Those with one more are other containers' words for it, from the time of links.
    let names = form.names.iter().flatten().map(|name| name.strip_prefix('/').unwrap_or(name));
    let name = names.into_iter().find(|name| !name.contains('/'));
    Ok(Listed {
        id: unless_empty(form.id).ok_or(Malformed)?,
        name: name.and_then(unless_empty),
        // An image whose name was given to another since is listed by its ID: nobody has called it so.
        image: form.image.filter(|image| !is_id_of_image(image)).and_then(unless_empty),
        state: form.state.as_deref().and_then(state),
        health: form.status.as_deref().and_then(health),
        created: match form.created {
            Some(Created::Seconds(seconds)) => SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)),
            Some(Created::Text(text)) => time::parse(&text),
            Some(Created::Other(_)) | None => None,
        },
        labels: labels(form.labels),
    })
}

pub(super) fn is_id_of_image(image: impl AsRef<[u8]>) -> bool {
    let image = image.as_ref();
    let digits = image.strip_prefix(b"sha256:").unwrap_or(image);
    digits.len() >= 12 && digits.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn labels(labels: Option<BTreeMap<String, String>>) -> BTreeMap<BString, BString> {
    let labels = labels.unwrap_or_default().into_iter().take(MOST);
    labels.map(|(key, value)| (key.into(), value.into())).collect()
}

/// `None` of one that is about to change.
fn state(text: &str) -> Option<ContainerState> {
    Some(match text {
        "created" | "configured" | "initialized" => ContainerState::Created,
        "running" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        "exited" | "dead" | "stopped" => ContainerState::Exited,
        _ => return None,
    })
}

/// The health in a status for people: `Up 5 minutes (healthy)`. `None` where nothing checks it.
fn health(status: &str) -> Option<ContainerHealth> {
    let (_, last) = status.strip_suffix(')').unwrap_or(status).rsplit_once('(').unwrap_or(("", status));
    Some(match last {
        "healthy" => ContainerHealth::Healthy,
        "unhealthy" => ContainerHealth::Unhealthy,
        "health: starting" | "starting" => ContainerHealth::Starting,
        _ => return None,
    })
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct PodForm {
    id: String,
    name: String,
    #[serde(default)]
    infra_id: Option<String>,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
}

/// The answer to podman's `/libpod/pods/json`.
pub(crate) fn pods(text: &[u8]) -> Result<List<ListedPod>, Malformed> {
    // Without any it says null.
    let list: Option<List<PodForm>> = serde_json::from_slice(text)?;
    let list = list.unwrap_or(List { items: Vec::new(), is_cut: false });
    let pod = |form: PodForm| {
        Ok(ListedPod {
            id: unless_empty(form.id).ok_or(Malformed)?,
            name: unless_empty(form.name).ok_or(Malformed)?,
            infra: form.infra_id.and_then(unless_empty),
            labels: labels(form.labels),
        })
    };
    Ok(List { items: list.items.into_iter().map(pod).collect::<Result<_, Malformed>>()?, is_cut: list.is_cut })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engines_say_what_they_are() {
        let docker = br#"{"Platform":{"Name":""},"Components":[{"Name":"Engine","Version":"20.10.24+dfsg1","Details":
            {"ApiVersion":"1.41","Experimental":"false"}},{"Name":"containerd","Version":"1.6.20~ds1","Details":
            {"GitCommit":"x"}}],"Version":"20.10.24+dfsg1","ApiVersion":"1.41","Os":"linux"}"#;
        let expected = Version { kind: EngineKind::Docker, version: "20.10.24+dfsg1".into(), api: None };
        assert_eq!(version(docker), Ok(expected));
        let podman = br#"{"Components":[{"Name":"Podman Engine","Version":"4.3.1","Details":{"APIVersion":"4.3.1",
            "MinAPIVersion":"4.0.0"}},{"Name":"Conmon","Version":"x"}],"Version":"4.3.1","ApiVersion":"1.41"}"#;
        let expected = Version { kind: EngineKind::Podman, version: "4.3.1".into(), api: Some("4.3.1".to_owned()) };
        assert_eq!(version(podman), Ok(expected));
        let path = br#"{"Components":[{"Name":"Podman Engine","Details":{"APIVersion":"4/../x"}}],"Version":"4"}"#;
        assert_eq!(version(path).unwrap().api, None);
        for text in
            [&b"OK"[..], b"{}", b"{\"Version\":\"1\"}", b"{\"Version\":\"\",\"Components\":[{\"Name\":\"Engine\"}]}"]
        {
            assert_eq!(version(text), Err(Malformed), "{}", text.escape_ascii());
        }
    }

    #[test]
    fn containers_of_docker_are_read() {
        let text = br#"[{"Id":"ab","Names":["/web","/other/alias"],"Image":"localhost/bb:1","ImageID":"sha256:ce",
            "Command":"sleep","Created":1796000000,"Ports":[],"Labels":{"a":"b"},"State":"running",
            "Status":"Up 2 seconds (health: starting)","HostConfig":{},"Mounts":[]},
            {"Id":"cd","Names":["/x/y","/idle"],"Image":"ce3a12345678","State":"paused","Status":"Up 1 second (Paused)"}]"#;
        let List { items, is_cut } = containers(text).unwrap();
        assert!(!is_cut);
        assert_eq!(
            items[0],
            Listed {
                id: "ab".into(),
                name: Some("web".into()),
                image: Some("localhost/bb:1".into()),
                state: Some(ContainerState::Running),
                health: Some(ContainerHealth::Starting),
                created: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(1_796_000_000)),
                labels: BTreeMap::from([("a".into(), "b".into())]),
            }
        );
        assert_eq!((items[1].name.clone(), &items[1].image), (Some("idle".into()), &None));
        assert_eq!((items[1].state, items[1].health), (Some(ContainerState::Paused), None));
    }

    #[test]
    fn containers_and_pods_of_podman_are_read() {
        let text = br#"[{"Created":"2026-11-29T01:10:50.490133Z","Id":"ab","Image":"localhost/bb:1","Labels":null,
            "Names":["web"],"Pid":7,"Pod":"cd","PodName":"shop","State":"exited","Status":""}]"#;
        let list = containers(text).unwrap();
        assert_eq!(list.items[0].name, Some("web".into()));
        assert!(list.items[0].created.is_some() && list.items[0].state == Some(ContainerState::Exited));
        let list = pods(br#"[{"Id":"cd","InfraId":"ef","Name":"shop","Labels":{"tier":"front"},"Status":"Running"}]"#);
        let expected = ListedPod {
            id: "cd".into(),
            name: "shop".into(),
            infra: Some("ef".into()),
            labels: BTreeMap::from([("tier".into(), "front".into())]),
        };
        assert_eq!(list.unwrap().items, [expected]);
        assert_eq!(pods(b"null").unwrap().items, []);
    }

    #[test]
    fn health_is_the_last_word() {
        assert_eq!(health("Up 3 hours (unhealthy)"), Some(ContainerHealth::Unhealthy));
        assert_eq!(health("healthy"), Some(ContainerHealth::Healthy));
        for none in ["", "Up 3 hours", "Exited (137) 2 minutes ago", "Up 1 second (Paused)", "((", ")"] {
            assert_eq!(health(none), None, "{none}");
        }
    }

    #[test]
    fn no_list_grows_without_end() {
        let text = format!("[{}{{\"Id\":\"b\"}}]", "{\"Id\":\"a\"},".repeat(MOST_LISTED));
        let list = containers(text.as_bytes()).unwrap();
        assert!(list.is_cut && list.items.len() == MOST_LISTED);
        for text in [&b"{}"[..], b"[{}]", b"[{\"Id\":\"\"}]", b"[{\"Id\":7}]", b"[", b"null"] {
            assert_eq!(containers(text), Err(Malformed), "{}", text.escape_ascii());
        }
    }
}
