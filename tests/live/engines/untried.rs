//! Engines that do not run here: files and control groups as their documents have them. *Untried* against the engines.

use lxkns_core::model::{Container, ContainerRole, EngineKind, EvidenceKind};
use serde_json::{Value, json};

use super::{FalseHost, below, cgroup, long_id, look, of, start_time};
use crate::harness::Need::Root;
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("engines::untried::cri_o", &[Root], cri_o),
        test("engines::untried::nerdctl", &[Root], nerdctl),
        test("engines::untried::k3s", &[Root], k3s),
    ]
}

fn pod(container: &Container) -> String {
    container.pod.as_ref().expect("it is in a pod").value.full_name().to_string()
}

/// The state that runc keeps, with annotations as labels.
fn state(id: &str, pid: u32, labels: &[String]) -> String {
    let labels: Vec<_> = labels.iter().cloned().chain(["bundle=/b".to_owned()]).collect();
    let state = json!({"id": id, "init_process_pid": pid, "init_process_start": start_time(pid),
        "config": {"labels": labels}, "cgroup_paths": {}});
    state.to_string()
}

fn cri_o() {
    let host = FalseHost::new();
    let group = cgroup("crio");
    let slice = below(&group, "kubepods-besteffort-pod1b2c.slice");
    for (name, kind, role) in
        [("sandbox", "sandbox", ContainerRole::Sandbox), ("web", "container", ContainerRole::Workload)]
    {
        let id = long_id(name);
        let scope = below(&slice, &format!("crio-{id}.scope"));
        let process = host.process();
        scope.write("cgroup.procs", &process.pid().to_string());
        let labels = [
            format!("io.kubernetes.cri-o.ContainerType={kind}"),
            "io.container.manager=cri-o".to_owned(),
            "io.kubernetes.cri-o.ImageName=example.org/web:1".to_owned(),
            format!("io.kubernetes.container.name={name}"),
            "io.kubernetes.pod.name=web-0".to_owned(),
            "io.kubernetes.pod.namespace=shop".to_owned(),
            "io.kubernetes.pod.uid=1b2c".to_owned(),
        ];
        host.write(&format!("/run/runc/{id}/state.json"), state(&id, process.pid(), &labels));
        let (_, containers) = look();
        let container = of(&containers, process.pid());
        assert_eq!((container.kind, container.role), (EngineKind::CriO, role), "{container:?}");
        assert_eq!(container.id, id);
        assert_eq!(pod(container), "shop/web-0");
        assert_eq!(container.image.as_ref().unwrap().value, "example.org/web:1");
        let expected = if role == ContainerRole::Sandbox { "web-0" } else { name };
        assert_eq!(container.name.as_ref().unwrap().value, expected);
    }
}

/// What a shim of containerd has beside its socket.
fn bundle(host: &FalseHost, base: &str, namespace: &str, id: &str, pid: u32, annotations: &Value) {
    let at = format!("{base}/io.containerd.runtime.v2.task/{namespace}/{id}");
    let config = json!({"ociVersion": "1.0.2", "hostname": "h", "linux": {}, "annotations": annotations});
    host.write(&format!("{at}/config.json"), config.to_string());
    host.write(&format!("{at}/init.pid"), pid.to_string());
}

fn nerdctl() {
    let host = FalseHost::new();
    let group = cgroup("nerdctl");
    let id = long_id("nerdctl");
    let scope = below(&group, &format!("nerdctl-{id}.scope"));
    let process = host.process();
    scope.write("cgroup.procs", &process.pid().to_string());
    bundle(&host, "/run/containerd", "default", &id, process.pid(), &json!({"nerdctl/name": "shop"}));
    let (_, containers) = look();
    let container = of(&containers, process.pid());
    assert_eq!((container.kind, &container.id), (EngineKind::Containerd, &id.as_str().into()), "{container:?}");
    assert_eq!(container.name.as_ref().unwrap().value, "shop");
    assert_eq!(container.engine_namespace, "default");
}

fn k3s() {
    let host = FalseHost::new();
    let group = cgroup("k3s");
    let slice = below(&group, "kubepods-pod1b2c.slice");
    let id = long_id("k3s");
    let scope = below(&slice, &format!("cri-containerd-{id}.scope"));
    let process = host.process();
    scope.write("cgroup.procs", &process.pid().to_string());
    let annotations = json!({"io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.container-name": "app", "io.kubernetes.cri.sandbox-name": "app-0",
        "io.kubernetes.cri.sandbox-namespace": "kube-system", "io.kubernetes.cri.sandbox-uid": "1b2c"});
    bundle(&host, "/run/k3s/containerd", "k8s.io", &id, process.pid(), &annotations);
    let forgotten = long_id("forgotten-k3s");
    let owner = host.0.fork();
    owner.unshare(&["net"]);
    host.write("/run/netns/cni-k3s", "");
    host.0.bind(format!("/proc/{}/ns/net", owner.pid()), "/run/netns/cni-k3s");
    let result = json!({"kind": "cniCacheV1", "containerId": forgotten, "ifName": "eth0", "networkName": "cbr0",
        "cniArgs": [["K8S_POD_NAMESPACE", "kube-system"], ["K8S_POD_NAME", "old-0"]],
        "result": {"interfaces": [{"name": "eth0", "sandbox": "/var/run/netns/cni-k3s"}]}});
    host.write(&format!("/var/lib/rancher/k3s/agent/cni/results/cbr0-{forgotten}-eth0"), result.to_string());
    let net = owner.ns_inode("net");
    drop(owner);
    let (snapshot, containers) = look();
    let container = of(&containers, process.pid());
    assert_eq!((container.kind, pod(container).as_str()), (EngineKind::Cri, "kube-system/app-0"), "{container:?}");
    assert_eq!(container.name.as_ref().unwrap().value, "app");
    let bundles = container.evidence.iter().filter(|it| it.kind == EvidenceKind::Bundle);
    assert!(bundles.clone().count() == 1, "{container:?}");
    let left = &containers.list[containers.namespaces[&snapshot.by_ino(net).unwrap().id]];
    assert_eq!((left.kind, pod(left).as_str()), (EngineKind::Cri, "kube-system/old-0"));
}
