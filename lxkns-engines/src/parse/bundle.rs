//! `config.json` of a bundle: what the runtime was told; the OCI runtime specification.

use std::collections::BTreeMap;

use bstr::BString;
use serde::Deserialize;

use super::{MOST, Malformed, unless_empty};

/// What is needed of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Config {
    pub(crate) annotations: BTreeMap<BString, BString>,
    /// The network namespace that was made for it.
    pub(crate) network_path: Option<BString>,
    /// The control group as it was asked for: a path, or `SLICE:PREFIX:NAME` for systemd.
    pub(crate) cgroups_path: Option<BString>,
    pub(crate) hostname: Option<BString>,
}

#[derive(Deserialize)]
struct Form {
    // Every bundle has it: nothing else is taken for one.
    #[serde(rename = "ociVersion")]
    _version: String,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
    #[serde(default)]
    hostname: String,
    #[serde(default)]
    linux: Option<Linux>,
}

#[derive(Default, Deserialize)]
struct Linux {
    #[serde(default)]
    namespaces: Option<Vec<Namespace>>,
    #[serde(default, rename = "cgroupsPath")]
    cgroups_path: Option<String>,
}

#[derive(Deserialize)]
struct Namespace {
    #[serde(default, rename = "type")]
    kind: String,
    #[serde(default)]
    path: Option<String>,
}

/// Reads one.
pub(crate) fn parse(text: &[u8]) -> Result<Config, Malformed> {
    let form: Form = serde_json::from_slice(text)?;
    let linux = form.linux.unwrap_or_default();
    let network = linux.namespaces.unwrap_or_default().into_iter().find(|namespace| namespace.kind == "network");
    let annotations = form.annotations.unwrap_or_default().into_iter().take(MOST);
    Ok(Config {
        annotations: annotations.map(|(key, value)| (key.into(), value.into())).collect(),
        network_path: network.and_then(|network| network.path).and_then(unless_empty),
        cgroups_path: linux.cgroups_path.and_then(unless_empty),
        hostname: unless_empty(form.hostname),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_is_read() {
        let config = parse(
            br#"{"ociVersion":"1.0.2","process":{"args":["sh"]},"annotations":{"io.kubernetes.cri.container-type":
            "sandbox"},"linux":{"cgroupsPath":"/k8s.io/abc","namespaces":[{"type":"pid"},
            {"type":"network","path":"/var/run/netns/cni-7"}]}}"#,
        );
        let config = config.unwrap();
        assert_eq!(config.annotations.len(), 1);
        assert_eq!(config.network_path.unwrap(), "/var/run/netns/cni-7");
        assert_eq!(config.cgroups_path.unwrap(), "/k8s.io/abc");
    }

    #[test]
    fn one_with_nothing_in_it() {
        assert_eq!(parse(br#"{"ociVersion":"1.0.2","annotations":null,"linux":null}"#), Ok(Config::default()));
    }

    #[test]
    fn nonsense() {
        for text in [&b""[..], b"{}", b"{\"ociVersion\":1}", b"{\"ociVersion\":\"1\",\"annotations\":[1]}"] {
            assert_eq!(parse(text), Err(Malformed), "{}", text.escape_ascii());
        }
    }
}
