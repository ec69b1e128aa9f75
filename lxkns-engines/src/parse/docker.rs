//! `config.v2.json`: what Docker keeps of a container.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bstr::BString;
use serde::Deserialize;

use super::{MOST, Malformed, time, unless_empty};

/// What is needed of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) id: BString,
    pub(crate) name: Option<BString>,
    pub(crate) image: Option<BString>,
    pub(crate) created: Option<SystemTime>,
    pub(crate) labels: BTreeMap<BString, BString>,
    /// As the PID namespace of Docker's daemon has it; 0 where it does not run.
    pub(crate) pid: u32,
    pub(crate) is_paused: bool,
    pub(crate) is_running: bool,
    /// The path of the network namespace that was made for it.
    pub(crate) sandbox_key: Option<BString>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Form {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    created: String,
    #[serde(default)]
    state: State,
    #[serde(default)]
    config: Settings,
    #[serde(default)]
    network_settings: Option<NetworkSettings>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct State {
    pid: i64,
    running: bool,
    paused: bool,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Settings {
    image: String,
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    sandbox_key: String,
}

/// Reads one.
pub(crate) fn parse(text: &[u8]) -> Result<Config, Malformed> {
    let form: Form = serde_json::from_slice(text)?;
    let labels = form.config.labels.unwrap_or_default().into_iter().take(MOST);
    Ok(Config {
        id: unless_empty(form.id).ok_or(Malformed)?,
        // Names have a slash before them, from the time of links between containers.
        name: unless_empty(form.name.strip_prefix('/').unwrap_or(&form.name)),
        image: unless_empty(form.config.image),
        created: time::parse(&form.created),
        labels: labels.map(|(key, value)| (key.into(), value.into())).collect(),
        pid: u32::try_from(form.state.pid).unwrap_or(0),
        is_paused: form.state.paused,
        is_running: form.state.running,
        sandbox_key: form.network_settings.and_then(|settings| unless_empty(settings.sandbox_key)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_read() {
        let config = parse(
            br#"{"StreamConfig":{},"State":{"Running":true,"Paused":true,"Pid":279,"Health":null},"ID":"812d",
            "Created":"2026-11-29T01:08:06.953789011Z","Config":{"Env":null,"Image":"localhost/bb:1",
            "Labels":{"com.docker.compose.project":"shop"}},"Image":"sha256:ce3a","NetworkSettings":{"Bridge":"",
            "SandboxKey":"/var/run/docker/netns/0c001fabd00b"},"Name":"/web"}"#,
        );
        let config = config.unwrap();
        assert_eq!((config.id.as_slice(), config.pid), (&b"812d"[..], 279));
        assert_eq!((config.name.unwrap(), config.image.unwrap()), ("web".into(), "localhost/bb:1".into()));
        assert!(config.is_paused && config.is_running && config.created.is_some());
        assert_eq!(config.sandbox_key.unwrap(), "/var/run/docker/netns/0c001fabd00b");
        assert_eq!(config.labels.len(), 1);
    }

    #[test]
    fn one_that_was_only_created() {
        let config = parse(br#"{"ID":"a","State":{"Pid":0},"Config":{"Labels":null},"NetworkSettings":null}"#).unwrap();
        assert_eq!(config, Config { id: "a".into(), ..Config::default() });
    }

    #[test]
    fn nonsense() {
        for text in [&b""[..], b"{}", b"{\"ID\":\"\"}", b"{\"ID\":\"a\",\"State\":7}", b"{\"ID\":\"a\""] {
            assert_eq!(parse(text), Err(Malformed), "{}", text.escape_ascii());
        }
    }
}
