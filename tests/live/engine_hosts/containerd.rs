//! containerd: with its own client in two namespaces, and by the Container Runtime Interface.

use std::fs;

use rustix::process::Signal;
use serde_json::Value;

use super::cri::{Message, call, try_call};
use super::host::{Cgroups, Daemon, enters, kill, lxkns_says, on_own_host, signal, succeeds};
use super::seen::{Seen, Told, agree};
use super::{image, inode};

const UID: &str = "0a1b2c3d-1111-2222-3333-444455556666";

/// Starts it, with the image in these namespaces.
pub(super) fn start(namespaces: &[&str]) -> Daemon {
    let config = format!(
        r#"version = 2
[plugins."io.containerd.internal.v1.opt"]
  path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  sandbox_image = "{}"
[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "/run/cni"
"#,
        image::NAME
    );
    let network = serde_json::json!({
        "cniVersion": "0.4.0",
        "name": "lxkns-test",
        "plugins": [{
            "type": "bridge",
            "bridge": "cni0",
            "isGateway": true,
            "ipam": { "type": "host-local", "ranges": [[{ "subnet": "10.88.9.0/24" }]] },
        }],
    });
    fs::create_dir("/run/cni").unwrap();
    fs::write("/run/cni/10-test.conflist", network.to_string()).unwrap();
    fs::write("/run/containerd.toml", config).unwrap();
    let daemon = Daemon::start("containerd", &["--config", "/run/containerd.toml"]);
    let archive = image::archive();
    for namespace in namespaces {
        succeeds("ctr", &["--namespace", namespace, "image", "import", &archive]);
    }
    daemon
}

/// What containerd's own client says of a container.
#[track_caller]
fn info(namespace: &str, id: &str) -> Value {
    serde_json::from_str(&succeeds("ctr", &["--namespace", namespace, "container", "info", id])).unwrap()
}

/// The version of the containerd that listens there.
#[track_caller]
pub(super) fn version(address: &str) -> String {
    let said = succeeds("ctr", &["--address", address, "version"]);
    let (_, server) = said.split_once("Server:").unwrap();
    server.lines().find_map(|line| line.trim().strip_prefix("Version:")).unwrap().trim().to_owned()
}

/// Runs a container with containerd's own client, and returns what that says of it.
#[track_caller]
fn run(namespace: &str, id: &str) -> Told {
    let label = format!("team={namespace}");
    let run = ["--namespace", namespace, "run", "--detach", "--label", &label, image::NAME, id, "/bin/sleep", "inf"];
    succeeds("ctr", &run);
    let info = info(namespace, id);
    assert_eq!((&info["ID"], &info["Image"]), (&id.into(), &image::NAME.into()));
    let tasks = succeeds("ctr", &["--namespace", namespace, "task", "list"]);
    let task = tasks.lines().find(|line| line.split_whitespace().next() == Some(id)).unwrap();
    Told {
        kind: "containerd.io",
        id: id.to_owned(),
        name: id.to_owned(),
        pid: task.split_whitespace().nth(1).unwrap().parse().unwrap(),
        state: "running",
        // Only containerd's database has it, and the labels.
        image: None,
        ..Told::default()
    }
}

/// The containers of `ctr`, in two namespaces, one of them paused.
pub(super) fn own_client(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let daemon = start(&["default", "other"]);
        let mut told = [run("default", "one"), run("other", "two")];
        succeeds("ctr", &["--namespace", "other", "task", "pause", "two"]);
        told[1].state = "paused";
        let check = || {
            let seen = agree(&told);
            for (told, namespace) in told.iter().zip(["default", "other"]) {
                assert_eq!(seen.by_id(&told.id)["engine-namespace"], namespace);
            }
        };
        check();
        signal(daemon.pid(), Signal::STOP);
        check();
        daemon.kill();
        check();
    });
}

/// The same ID in two namespaces is two containers.
pub(super) fn same_id(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let _daemon = start(&["default", "other"]);
        let told = [run("default", "same"), run("other", "same")];
        let seen = Seen::now();
        let mut found: Vec<_> = seen
            .all()
            .filter(|container| container["id"] == "same")
            .map(|container| (container["engine-namespace"].as_str().unwrap(), container["pid"].as_u64().unwrap()))
            .collect();
        found.sort_unstable();
        assert_eq!(found, [("default", told[0].pid), ("other", told[1].pid)]);
    });
}

/// What only containerd can say is said where it is asked: labels and images of the containers of its own client, labels of
/// pods, its version. One that is stopped costs its deadline and a gap, and what else shows of its containers stays.
pub(super) fn asked(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let daemon = start(&["default", "other", "k8s.io"]);
        let (sandbox, container) = pod();
        let of_pod = pod_told(&sandbox, &container);
        let mut one = run("default", "one");
        succeeds("ctr", &["--namespace", "default", "task", "pause", "one"]);
        one.state = "paused";
        let same = ["default", "other"].map(|namespace| (namespace, run(namespace, "same").pid));
        let pid = daemon.pid();
        let seen = Seen::now();
        assert_eq!((seen.engine(pid)["version"].as_str(), &seen.by_id("one")["image"]), (Some(""), &Value::Null));

        let mut said = one.clone();
        said.image = Some(image::NAME.to_owned());
        let labels = info("default", "one")["Labels"].clone();
        let labels =
            labels.as_object().unwrap().iter().map(|(key, value)| (key.clone(), value.as_str().unwrap().into()));
        said.labels = labels.collect();
        assert!(said.labels.contains(&("team".to_owned(), "default".to_owned())), "{said:?}");
        let version = version("/run/containerd/containerd.sock");
        // With less power the socket is found by its path.
        for seen in [Seen::by_engines_in_time(), Seen::by_engines_without("net_admin")] {
            let engine = seen.engine(pid);
            assert_eq!((engine["version"].as_str(), &engine["type"]), (Some(&*version), &"containerd.io".into()));
            assert_eq!(engine["api"], "/run/containerd/containerd.sock", "{seen:?}");
            seen.agrees(&said);
            of_pod.iter().for_each(|told| seen.agrees(told));
            assert_eq!(seen.group("shop/web-0")["labels"]["tier"], "front", "{seen:?}");
            // The same ID in two namespaces.
            for (namespace, pid) in &same {
                let found = seen.all().find(|container| container["pid"] == *pid).unwrap();
                let labels = &found["labels"];
                assert_eq!((&found["engine-namespace"], &labels["team"]), (&(*namespace).into(), &(*namespace).into()));
                assert_eq!((&found["id"], &found["image"]), (&"same".into(), &image::NAME.into()), "{found:#}");
            }
            assert_eq!(seen.all().filter(|container| container["id"] == "same").count(), 2, "{seen:?}");
        }

        signal(pid, Signal::STOP);
        let seen = Seen::by_engines();
        assert!(seen.has_gap("timed-out"), "{seen:?}");
        assert_eq!(seen.engine(pid)["version"], "", "{seen:?}");
        seen.agrees(&one);
        of_pod.iter().for_each(|told| seen.agrees(told));
    });
}

fn sandbox_config() -> Message {
    let metadata = Message::new().text(1, "web-0").text(2, UID).text(3, "shop");
    let linux = Message::new().text(1, format!("/kubepods/burstable/pod{UID}"));
    Message::new()
        .message(1, metadata)
        .text(2, "web-0")
        .text(3, "/run/logs")
        .entry(6, "io.kubernetes.pod.name", "web-0")
        .entry(6, "io.kubernetes.pod.namespace", "shop")
        .entry(6, "io.kubernetes.pod.uid", UID)
        .entry(6, "tier", "front")
        .message(8, linux)
}

/// Starts a pod with a container in it, as a kubelet does, and returns their IDs.
pub(super) fn pod() -> (String, String) {
    let sandbox = call("RunPodSandbox", &Message::new().message(1, sandbox_config())).text(1);
    let config = Message::new()
        .message(1, Message::new().text(1, "nginx"))
        .message(2, Message::new().text(1, image::NAME))
        .text(3, "/bin/sleep")
        .text(4, "inf")
        .entry(9, "io.kubernetes.container.name", "nginx")
        .entry(9, "io.kubernetes.pod.name", "web-0")
        .entry(9, "io.kubernetes.pod.namespace", "shop")
        .entry(9, "io.kubernetes.pod.uid", UID)
        .text(11, "nginx.log")
        .message(15, Message::new());
    let create = Message::new().text(1, &sandbox).message(2, config).message(3, sandbox_config());
    let container = call("CreateContainer", &create).text(1);
    call("StartContainer", &Message::new().text(1, &container));
    (sandbox, container)
}

/// The first process of a container, as the interface says in its verbose information.
pub(super) fn pid_of(method: &str, id: &str) -> u64 {
    let verbose = Message::new().text(1, id).value(2, 1);
    let status = call(method, &verbose);
    let info = status.messages(2).iter().find(|entry| entry.text(1) == "info").unwrap().text(2);
    serde_json::from_str::<Value>(&info).unwrap()["pid"].as_u64().unwrap()
}

/// What the interface says of the pod and its container.
fn pod_told(sandbox: &str, container: &str) -> [Told; 2] {
    let containers = call("ListContainers", &Message::new()).messages(1);
    let listed = containers.iter().find(|listed| listed.text(1) == container).unwrap();
    assert_eq!(listed.text(2), sandbox);
    let sandboxes = call("ListPodSandbox", &Message::new()).messages(1);
    let pod = sandboxes.iter().find(|listed| listed.text(1) == sandbox).unwrap().message(2);
    assert_eq!((pod.text(1), pod.text(2), pod.text(3)), ("web-0".to_owned(), UID.to_owned(), "shop".to_owned()));
    let of_pod = |id: &str, name: String, pid: u64, image: Option<String>| Told {
        kind: "k8s.io/cri-api",
        id: id.to_owned(),
        name,
        pid,
        state: "running",
        image,
        labels: Vec::new(),
        pod: Some(("shop", "web-0".to_owned())),
        groups: vec!["shop/web-0".to_owned()],
    };
    [
        of_pod(sandbox, "web-0".to_owned(), pid_of("PodSandboxStatus", sandbox), None),
        of_pod(
            container,
            listed.message(3).text(1),
            pid_of("ContainerStatus", container),
            Some(listed.message(4).text(1)),
        ),
    ]
}

/// A pod: by its namespace and name, with its sandbox and its container.
pub(super) fn pods(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let daemon = start(&["k8s.io"]);
        let (sandbox, container) = pod();
        let told = pod_told(&sandbox, &container);
        let check = || {
            let seen = agree(&told);
            let (sandbox, container) = (seen.by_id(&sandbox), seen.by_id(&container));
            assert_eq!((&sandbox["role"], &container["role"]), (&"sandbox".into(), &Value::Null));
            assert_eq!(container["pod"]["uid"], UID);
            let labels = &container["labels"];
            assert_eq!(labels["io.kubernetes.pod.name"], "web-0", "{container:#}");
            assert_eq!(labels["io.kubernetes.pod.namespace"], "shop", "{container:#}");
            assert_eq!(labels["io.kubernetes.container.name"], "nginx", "{container:#}");
        };
        check();
        signal(daemon.pid(), Signal::STOP);
        check();
        daemon.kill();
        check();
    });
}

/// A pod whose network namespace stays behind is named: its network was taken down with what could not be taken down.
pub(super) fn failed_removal(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let daemon = start(&["k8s.io"]);
        let (sandbox, container) = pod();
        let [of_sandbox, of_container] = pod_told(&sandbox, &container);
        let net = inode(format!("/proc/{}/ns/net", of_sandbox.pid));
        // Without the plugin's program a network cannot be taken down, so neither can the sandbox.
        fs::create_dir("/run/no-plugins").unwrap();
        rustix::mount::mount_bind("/run/no-plugins", "/usr/lib/cni").unwrap();
        assert!(try_call("StopPodSandbox", &Message::new().text(1, &sandbox)).is_none(), "{}", daemon.log());
        assert!(try_call("RemovePodSandbox", &Message::new().text(1, &sandbox)).is_none(), "{}", daemon.log());
        for pid in [of_container.pid, of_sandbox.pid] {
            if fs::exists(format!("/proc/{pid}")).unwrap() {
                kill(u32::try_from(pid).unwrap());
            }
        }
        let check = || {
            let seen = Seen::now();
            assert_eq!(seen.of_namespace(net), Some(&*sandbox), "{seen:?}");
            let pod = &seen.by_id(&sandbox)["pod"];
            assert_eq!((&pod["namespace"], &pod["name"]), (&"shop".into(), &"web-0".into()), "{seen:?}");
            let orphans = lxkns_says(&["why", &format!("net:{net}")]).ok();
            assert!(orphans.text().contains("shop/web-0"), "{}", orphans.text());
        };
        check();
        daemon.kill();
        check();
    });
}

/// People name pods.
pub(super) fn targets(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let _daemon = start(&["k8s.io"]);
        let (sandbox, container) = pod();
        let [of_sandbox, _] = pod_told(&sandbox, &container);
        let net = inode(format!("/proc/{}/ns/net", of_sandbox.pid));
        for target in ["pod:shop/web-0", &container, &container[..12], "nginx"] {
            let why = lxkns_says(&["why", &format!("{target}/net")]).ok();
            assert!(why.text().contains(&net.to_string()), "{target}: {}", why.text());
        }
        enters(&container, "cat /etc/os-release", "ID=lxkns-test\n");
    });
}
