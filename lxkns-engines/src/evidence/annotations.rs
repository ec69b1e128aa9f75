//! What the annotations of a bundle say: those of CRI's engines and of podman.

use bstr::BString;
use lxkns_model::{ContainerRole, EngineKind, Pod};

use super::Claim;
use crate::parse::unless_empty;

/// Takes what a claim's annotations say into its other facts.
pub(crate) fn apply(claim: &mut Claim) {
    let annotations = &claim.facts.annotations;
    let get = |key: &str| annotations.get(key.as_bytes()).cloned().and_then(|text: BString| unless_empty(text));
    let manager = get("io.container.manager");
    let role = |value: BString| match value.as_slice() {
        b"sandbox" => ContainerRole::Sandbox,
        _ => ContainerRole::Workload,
    };
    let (kind, name, image, role, pod) = if let Some(kind) = get("io.kubernetes.cri.container-type") {
        let pod = pod_of(
            get("io.kubernetes.cri.sandbox-namespace"),
            get("io.kubernetes.cri.sandbox-name"),
            get("io.kubernetes.cri.sandbox-uid"),
        );
        let role = role(kind);
        // A sandbox has its pod's name.
        let own = if role == ContainerRole::Sandbox { "sandbox-name" } else { "container-name" };
        let name = get(&format!("io.kubernetes.cri.{own}"));
        (Some(EngineKind::Cri), name, get("io.kubernetes.cri.image-name"), Some(role), pod)
    } else if manager.as_deref().map(|manager| &**manager) == Some(b"libpod") {
        // The ID of the pod's infrastructure container stands for the pod: it has no name here.
        let role = get("io.kubernetes.cri-o.ContainerType").map(role);
        let id = get("io.kubernetes.cri-o.SandboxID");
        let pod = id.map(|uid| Pod { namespace: BString::default(), name: BString::default(), uid });
        (Some(EngineKind::Podman), None, None, role, pod)
    } else if let Some(kind) = get("io.kubernetes.cri-o.ContainerType") {
        // From the documents of CRI-O: untried.
        let pod = pod_of(
            get("io.kubernetes.pod.namespace").or_else(|| get("io.kubernetes.cri-o.Namespace")),
            get("io.kubernetes.pod.name").or_else(|| get("io.kubernetes.cri-o.KubeName")),
            get("io.kubernetes.pod.uid"),
        );
        let image = get("io.kubernetes.cri-o.ImageName").or_else(|| get("io.kubernetes.cri-o.Image"));
        let role = role(kind);
        let of_pod = pod.as_ref().filter(|_| role == ContainerRole::Sandbox).map(|pod| pod.name.clone());
        (Some(EngineKind::CriO), of_pod.or_else(|| get("io.kubernetes.container.name")), image, Some(role), pod)
    } else {
        // From the documents of nerdctl, which keeps its labels in annotations: untried.
        (None, get("nerdctl/name"), None, None, None)
    };
    if let Some(kind) = kind.filter(|_| !matches!(claim.kind, EngineKind::Docker)) {
        claim.kind = kind;
    }
    let facts = &mut claim.facts;
    facts.name = name.or(facts.name.take());
    facts.image = image.or(facts.image.take());
    facts.role = role.or(facts.role);
    facts.pod = pod.or(facts.pod.take());
}

fn pod_of(namespace: Option<BString>, name: Option<BString>, uid: Option<BString>) -> Option<Pod> {
    Some(Pod { namespace: namespace.unwrap_or_default(), name: name?, uid: uid.unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use lxkns_model::EvidenceKind;

    use super::super::likely;
    use super::*;

    fn applied(kind: EngineKind, annotations: &[(&str, &str)]) -> Claim {
        let mut claim = Claim::new(kind, "id", likely(EvidenceKind::Bundle, "/b", None));
        claim.facts.annotations = annotations.iter().map(|&(key, value)| (key.into(), value.into())).collect();
        apply(&mut claim);
        claim
    }

    #[test]
    fn cri_says_pod_and_container() {
        let claim = applied(
            EngineKind::Containerd,
            &[
                ("io.kubernetes.cri.container-type", "container"),
                ("io.kubernetes.cri.container-name", "web"),
                ("io.kubernetes.cri.image-name", "bb:1"),
                ("io.kubernetes.cri.sandbox-name", "web-0"),
                ("io.kubernetes.cri.sandbox-namespace", "default"),
                ("io.kubernetes.cri.sandbox-uid", "u1"),
            ],
        );
        assert_eq!((claim.kind, claim.facts.role), (EngineKind::Cri, Some(ContainerRole::Workload)));
        assert_eq!((claim.facts.name.unwrap(), claim.facts.image.unwrap()), ("web".into(), "bb:1".into()));
        assert_eq!(claim.facts.pod.unwrap().full_name(), "default/web-0");
        let claim = applied(EngineKind::Cri, &[("io.kubernetes.cri.container-type", "sandbox")]);
        assert_eq!((claim.facts.role, claim.facts.pod), (Some(ContainerRole::Sandbox), None));
    }

    #[test]
    fn podman_and_cri_o_share_names_of_annotations() {
        let common = [("io.kubernetes.cri-o.ContainerType", "sandbox"), ("io.kubernetes.cri-o.SandboxID", "p77")];
        let claim = applied(EngineKind::Runc, &[common[0], common[1], ("io.container.manager", "libpod")]);
        assert_eq!((claim.kind, claim.facts.role), (EngineKind::Podman, Some(ContainerRole::Sandbox)));
        assert_eq!(claim.facts.pod.unwrap().uid, "p77");
        // Untried.
        let pod = [("io.kubernetes.pod.name", "web-0"), ("io.kubernetes.pod.namespace", "default")];
        let claim =
            applied(EngineKind::Runc, &[common[0], common[1], ("io.container.manager", "cri-o"), pod[0], pod[1]]);
        assert_eq!(claim.kind, EngineKind::CriO);
        assert_eq!(claim.facts.pod.unwrap().full_name(), "default/web-0");
    }

    #[test]
    fn others_say_nothing() {
        let claim = applied(EngineKind::Runc, &[("org.example", "x")]);
        assert!(claim.kind == EngineKind::Runc && claim.facts.name.is_none() && claim.facts.pod.is_none());
    }
}
