//! Pods, projects, and the labels and flavors that the Go program's decorators give: its page groups by them.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice as _};
use lxkns_model::CompactSort as _;
use lxkns_model::{Container, ContainerRole, Containers, EngineKind, Group, GroupKind, Pod, Said};

use crate::finish::PodLabels;

const POD: &str = "io.kubernetes.pod";
const PODMAN_POD: &str = "io.podman";
const PROJECT: &str = "com.docker.compose.project";
const POD_NAME: &str = "io.kubernetes.pod.name";
const POD_NAMESPACE: &str = "io.kubernetes.pod.namespace";
const POD_UID: &str = "io.kubernetes.pod.uid";
const CONTAINER_NAME: &str = "io.kubernetes.container.name";
const SANDBOX: &str = "io.kubernetes.sandbox";
const PREFIX: &str = "turtlefinder/container/prefix";
const PLUGIN: &str = "plugin.docker.com";
const EDGE_APP: &str = "com.siemens.industrialedge.app";
const EDGE_RUNTIME: &str = "com.siemens.industrialedge.runtime";

/// Sorts containers into groups, and labels them.
/// Pods have the labels that their engines have said.
pub(crate) fn decorate(containers: &mut Containers, pod_labels: &PodLabels) {
    let prefixes: Vec<Option<BString>> = containers.list.iter().map(|it| prefix(containers, it)).collect();
    let mut found: BTreeMap<(Option<usize>, Held, BString), Vec<usize>> = BTreeMap::new();
    for (index, (container, prefix)) in containers.list.iter_mut().zip(prefixes).enumerate() {
        pod_of(container);
        label(container, prefix);
        let at = (container.inside, index);
        if let Some(pod) = &container.pod {
            // Of a pod whose name is not known the ID stands for it.
            let pod = &pod.value;
            let name = if pod.name.is_empty() { pod.uid.clone() } else { pod.full_name() };
            let kind = if pod.namespace.is_empty() { Held::Podman } else { Held::Kubernetes };
            found.entry((at.0, kind, name)).or_default().push(at.1);
        }
        if let Some(project) = container.labels.get(PROJECT.as_bytes()).filter(|project| !project.is_empty()) {
            found.entry((at.0, Held::Project, project.clone())).or_default().push(at.1);
        }
    }
    let edges = edge_runtimes(containers);
    let mut groups: Vec<(Group, Vec<usize>)> = found
        .into_iter()
        .map(|((inside, kind, name), members)| {
            let is_app =
                |&index: &usize| containers.list[index].labels.keys().any(|key| key.starts_with(b"com_mwp_config_"));
            let is_edge = kind == Held::Project && edges.contains(&inside) && members.iter().any(is_app);
            if is_edge {
                members.iter().filter(|index| is_app(index)).copied().collect::<Vec<_>>().into_iter().for_each(
                    |index| {
                        containers.list[index].flavor = Some(EDGE_APP.into());
                    },
                );
            }
            let (kind, type_name) = match kind {
                Held::Kubernetes => (GroupKind::Pod, POD),
                Held::Podman => (GroupKind::Pod, PODMAN_POD),
                Held::Project => (GroupKind::ComposeProject, PROJECT),
            };
            let flavor = if is_edge { EDGE_APP } else { type_name };
            let (type_name, flavor) = (type_name.into(), flavor.into());
            let pod = members.first().and_then(|&index| containers.list[index].pod.as_ref());
            let pod = pod.filter(|_| kind == GroupKind::Pod).map(|pod| (inside, pod.value.uid.clone()));
            let labels = pod.and_then(|pod| pod_labels.get(&pod)).cloned().unwrap_or_default();
            (Group { kind, name, type_name, flavor, labels }, members)
        })
        .collect();
    groups.compact_sort_by(|(a, _), (b, _)| (a.kind as u8, &a.name).cmp(&(b.kind as u8, &b.name)));
    for (index, (group, members)) in groups.into_iter().enumerate() {
        containers.groups.push(group);
        members.into_iter().for_each(|member| containers.list[member].groups.push(index));
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Held {
    Kubernetes,
    Podman,
    Project,
}

/// Takes the pod from the name that the kubelet gave to a container of Docker's: `k8s_NAME_POD_NAMESPACE_UID_ATTEMPT`.
fn pod_of(container: &mut Container) {
    let Some(name) = container.name.as_ref().filter(|_| container.kind == EngineKind::Docker) else { return };
    let Some(rest) = name.value.strip_prefix(b"k8s_") else { return };
    let fields: Vec<&[u8]> = rest.split_str("_").collect();
    let ([own, pod, namespace, uid, _] | [own, pod, namespace, uid, _, _]) = fields[..] else { return };
    let is_label = |text: &[u8]| {
        !text.is_empty()
            && text.len() <= 63
            && text.iter().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-')
            && !text.starts_with(b"-")
            && !text.ends_with(b"-")
    };
    let is_sandbox = own == b"POD";
    if !(is_sandbox || is_label(own)) || !is_label(pod) || !is_label(namespace) || uid.is_empty() {
        return;
    }
    if is_sandbox {
        container.role = ContainerRole::Sandbox;
    }
    container.labels.insert(CONTAINER_NAME.into(), own.into());
    let by = name.by;
    let pod = Pod { namespace: namespace.into(), name: pod.into(), uid: uid.into() };
    container.pod.get_or_insert(Said { value: pod, by });
}

fn label(container: &mut Container, prefix: Option<BString>) {
    if let Some(pod) = container.pod.as_ref().filter(|pod| !pod.value.namespace.is_empty()) {
        let pod = &pod.value;
        for (key, value) in [(POD_NAME, &pod.name), (POD_NAMESPACE, &pod.namespace), (POD_UID, &pod.uid)] {
            if !value.is_empty() {
                container.labels.entry(key.into()).or_insert_with(|| value.clone());
            }
        }
        match (container.role, &container.name) {
            (ContainerRole::Sandbox, _) => drop(container.labels.entry(SANDBOX.into()).or_default()),
            (ContainerRole::Workload, Some(name)) => {
                container.labels.entry(CONTAINER_NAME.into()).or_insert_with(|| name.value.clone());
            }
            (ContainerRole::Workload, None) => {}
        }
    }
    if let Some(prefix) = prefix {
        container.labels.insert(PREFIX.into(), prefix);
    }
    if container.engine_namespace == "plugins.moby" {
        container.flavor = Some(PLUGIN.into());
    }
    // Editors say which folder of theirs a container was made for.
    let folder = container.labels.get("devcontainer.local_folder".as_bytes());
    let name = folder.and_then(|folder| folder.trim_end_with(|c| c == '/').rsplit_str("/").next());
    if let Some(name) = name.filter(|name| !name.is_empty() && *name != b".").map(BString::from) {
        container.labels.insert("lxkns.devcontainer.name".into(), name);
    }
}

/// The names of the containers around one, from the outside in.
fn prefix(containers: &Containers, container: &Container) -> Option<BString> {
    let mut around: Vec<&[u8]> = containers.around(container).map(|outer| outer.display_name().as_slice()).collect();
    around.reverse();
    (!around.is_empty()).then(|| around.join(&b'/').into())
}

/// Where the runtime of Industrial Edge is one of the containers.
fn edge_runtimes(containers: &mut Containers) -> Vec<Option<usize>> {
    let mut edges = Vec::new();
    for container in &mut containers.list {
        if container.kind == EngineKind::Docker && *container.display_name() == "edge-iot-core" {
            container.flavor = Some(EDGE_RUNTIME.into());
            edges.push(container.inside);
        }
    }
    edges
}

#[cfg(test)]
mod tests {
    use lxkns_model::EvidenceKind;

    use super::*;
    use crate::evidence::likely;

    fn container(name: &str, labels: &[(&str, &str)]) -> Container {
        let mut container = Container::new(EngineKind::Docker, name, likely(EvidenceKind::EngineFile, "/f", None));
        container.name = Some(Said { value: name.into(), by: 0 });
        container.labels = labels.iter().map(|&(key, value)| (key.into(), value.into())).collect();
        container
    }

    fn decorated(list: Vec<Container>) -> Containers {
        let mut containers = Containers { list, ..Containers::default() };
        decorate(&mut containers, &PodLabels::default());
        containers
    }

    fn label<'a>(container: &'a Container, key: &str) -> Option<&'a BString> {
        container.labels.get(key.as_bytes())
    }

    #[test]
    fn projects_are_groups() {
        let shop = [("com.docker.compose.project", "shop")];
        let containers = decorated(vec![container("web", &shop), container("db", &shop), container("x", &[])]);
        assert_eq!(containers.groups.len(), 1);
        let group = &containers.groups[0];
        assert_eq!((group.kind, group.name.as_slice()), (GroupKind::ComposeProject, &b"shop"[..]));
        assert_eq!((&group.type_name, &group.flavor), (&PROJECT.into(), &PROJECT.into()));
        let groups: Vec<_> = containers.list.iter().map(|it| it.groups.clone()).collect();
        assert_eq!(groups, [vec![0], vec![0], vec![]]);
    }

    #[test]
    fn the_kubelet_names_containers_by_pod() {
        let list = ["k8s_web_web-0_default_1b2c_0", "k8s_POD_web-0_default_1b2c_0", "k8s_web_Web_default_1_0"];
        let containers = decorated(list.map(|name| container(name, &[])).into());
        assert_eq!(containers.groups.len(), 1);
        assert_eq!(containers.groups[0].name, "default/web-0");
        assert_eq!(containers.groups[0].type_name, POD);
        let [web, sandbox, other] = &containers.list[..] else { unreachable!() };
        assert_eq!(label(web, CONTAINER_NAME).unwrap(), "web");
        assert_eq!(label(web, POD_UID).unwrap(), "1b2c");
        assert_eq!((label(web, SANDBOX), label(sandbox, SANDBOX)), (None, Some(&BString::default())));
        assert_eq!(sandbox.role, ContainerRole::Sandbox);
        assert!(other.groups.is_empty() && other.labels.is_empty());
    }

    #[test]
    fn projects_of_two_engines_are_two() {
        let shop = [("com.docker.compose.project", "shop")];
        let mut inner = container("web", &shop);
        inner.inside = Some(0);
        let containers = decorated(vec![container("outer", &shop), inner]);
        assert_eq!(containers.groups.len(), 2);
        assert_eq!(label(&containers.list[1], PREFIX).unwrap(), "outer");
        assert_eq!(label(&containers.list[0], PREFIX), None);
    }

    #[test]
    fn special_kinds_have_flavors() {
        let app = [("com.docker.compose.project", "app"), ("com_mwp_config_x", "1")];
        let mut plugin = container("p", &[]);
        plugin.engine_namespace = "plugins.moby".into();
        let folder = [("devcontainer.local_folder", "/srv/projects/shop/")];
        let containers =
            decorated(vec![container("a", &app), container("edge-iot-core", &[]), plugin, container("d", &folder)]);
        let flavors: Vec<_> = containers.list.iter().map(|it| it.flavor.clone().map(|it| it.to_string())).collect();
        assert_eq!(flavors, [Some(EDGE_APP.into()), Some(EDGE_RUNTIME.into()), Some(PLUGIN.into()), None]);
        assert_eq!(containers.groups[0].flavor, EDGE_APP);
        assert_eq!(label(&containers.list[3], "lxkns.devcontainer.name").unwrap(), "shop");
    }
}
