//! The results that CNI plugins gave, as libcni keeps them below `/var/lib/cni/results`.

use bstr::BString;
use serde::Deserialize;

use super::{MOST, Malformed, unless_empty};

/// What is needed of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) container_id: BString,
    pub(crate) pod_namespace: Option<BString>,
    pub(crate) pod_name: Option<BString>,
    pub(crate) pod_uid: Option<BString>,
    /// The paths of network namespaces that have one of its interfaces.
    pub(crate) sandboxes: Vec<BString>,
}

impl Kept {
    /// Whether the pod is one of Kubernetes. podman gives its plugins a pod, too: the container, in a namespace of the same
    /// name or in none, without a UID. A pod of Kubernetes can have the name of its namespace.
    pub(crate) fn is_of_kubernetes(&self) -> bool {
        let has_both = self.pod_name.is_some() && self.pod_namespace.is_some();
        has_both && (self.pod_namespace != self.pod_name || self.pod_uid.is_some())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Form {
    container_id: String,
    #[serde(default)]
    cni_args: Option<Vec<(String, String)>>,
    #[serde(default)]
    capability_args: serde::de::IgnoredAny,
    result: Outcome,
}

#[derive(Deserialize)]
struct Outcome {
    #[serde(default)]
    interfaces: Option<Vec<Interface>>,
}

#[derive(Deserialize)]
struct Interface {
    #[serde(default)]
    sandbox: Option<String>,
}

/// Reads one.
pub(crate) fn parse(text: &[u8]) -> Result<Kept, Malformed> {
    let form: Form = serde_json::from_slice(text)?;
    let _ = form.capability_args;
    let mut kept = Kept { container_id: unless_empty(form.container_id).ok_or(Malformed)?, ..Kept::default() };
    for (key, value) in form.cni_args.unwrap_or_default().into_iter().take(MOST) {
        match key.as_str() {
            "K8S_POD_NAMESPACE" => kept.pod_namespace = unless_empty(value),
            "K8S_POD_NAME" => kept.pod_name = unless_empty(value),
            "K8S_POD_UID" => kept.pod_uid = unless_empty(value),
            _ => {}
        }
    }
    for interface in form.result.interfaces.unwrap_or_default().into_iter().take(MOST) {
        kept.sandboxes.extend(interface.sandbox.and_then(unless_empty));
    }
    kept.sandboxes.dedup();
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_is_read() {
        let kept = parse(
            br#"{"kind":"cniCacheV1","containerId":"5e1f","config":"e30=","ifName":"eth0","networkName":"n",
            "cniArgs":[["IgnoreUnknown","1"],["K8S_POD_NAMESPACE","default"],["K8S_POD_NAME","web-0"],
            ["K8S_POD_INFRA_CONTAINER_ID","5e1f"],["K8S_POD_UID","u-1"]],"capabilityArgs":{"portMappings":[]},
            "result":{"cniVersion":"1.0.0","interfaces":[{"mac":"aa","name":"cni0"},
            {"name":"eth0","sandbox":"/var/run/netns/cni-1"},{"name":"eth1","sandbox":"/var/run/netns/cni-1"}]}}"#,
        );
        let kept = kept.unwrap();
        assert_eq!(kept.container_id, "5e1f");
        assert_eq!((kept.pod_namespace.unwrap(), kept.pod_name.unwrap()), ("default".into(), "web-0".into()));
        assert_eq!(kept.pod_uid.unwrap(), "u-1");
        assert_eq!(kept.sandboxes, ["/var/run/netns/cni-1"]);
    }

    #[test]
    fn pods_of_kubernetes_are_told_from_containers_of_podman() {
        let of = |arguments: &str| {
            let text = format!(r#"{{"containerId":"5e1f","cniArgs":[{arguments}],"result":{{}}}}"#);
            parse(text.as_bytes()).unwrap().is_of_kubernetes()
        };
        let (namespace, name) = (r#"["K8S_POD_NAMESPACE","shop"]"#, r#"["K8S_POD_NAME","shop"]"#);
        assert!(of(&format!(r#"{namespace},["K8S_POD_NAME","web-0"]"#)));
        // As containerd 1.6 has it of a pod that is called like its namespace.
        assert!(of(&format!(r#"["K8S_POD_UID","2b21b119"],{namespace},{name}"#)));
        for arguments in [format!("{namespace},{name}"), format!(r#"["K8S_POD_UID",""],{namespace},{name}"#)] {
            assert!(!of(&arguments), "{arguments}");
        }
        assert!(!of(name) && !of(namespace) && !of(""));
    }

    #[test]
    fn nonsense() {
        for text in [&b""[..], b"{}", b"{\"containerId\":\"a\"}", b"{\"containerId\":\"\",\"result\":{}}"] {
            assert_eq!(parse(text), Err(Malformed), "{}", text.escape_ascii());
        }
        assert!(parse(br#"{"containerId":"a","cniArgs":null,"result":{"interfaces":null}}"#).is_ok());
    }
}
