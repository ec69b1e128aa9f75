//! The host of the golden files with containers in it. The recorded host has none: what is added here was written by hand, in the
//! form of dumps, on top of what was recorded.
//!
//! `web` of Docker is process 101, and `deep`, with a hostile name, runs in it, by an engine inside; 103 is the sandbox of a pod and
//! 104 its container `db`; a user claims `claimed`, which is process 105; the network namespace that is only mounted was made for
//! `old`, which has ended; the thread's are of no container.

use serde_json::{Value, json};

const WEB: &str = "0000000000000000000000000000000000000000000000000000000fee100000";

const SANDBOX: &str = "5a4db00000000000000000000000000000000000000000000000000000000000";

/// The dump.
pub(super) fn dump() -> Value {
    let mut dump: Value = serde_json::from_slice(&std::fs::read(super::golden_host::file()).unwrap()).unwrap();
    dump["containers"] = json!({
        "101": container(0, "web", WEB, "docker.com", 101, json!({
            "engine": 1, "groups": [1], "image": "nginx:1.27", "state": "running", "runtime": "runc",
            "labels": {"com.docker.compose.project": "shop"},
            "said-by": {"name": 1, "pid": 0, "image": 1, "state": 1, "runtime": 1},
            "evidence": [
                evidence("cgroup", "/system.slice/docker-0fee10000.scope", "likely"),
                evidence("engine-file", "/var/lib/docker/containers/0fee10000/config.v2.json", "sure"),
            ],
            "disagreements": [{"about": "name", "values": [{"value": "web", "by": 1}, {"value": "web-old", "by": 0}]}],
        })),
        "102": container(1, "漢字 \u{1b}[31m", "deep00000000", "containerd.io", 102, json!({
            "engine": 2, "inside": 0, "engine-namespace": "default", "state": "paused", "paused": true,
            "said-by": {"name": 0, "pid": 0, "state": 0},
            "evidence": [evidence("runtime-state", "/run/containerd/runc/default/deep/state.json", "likely")],
        })),
        "103": container(2, "", SANDBOX, "k8s.io/cri-api", 103, json!({
            "engine": 3, "groups": [2], "role": "sandbox", "pod": {"namespace": "shop", "name": "db-0"}, "state": "running",
            "said-by": {"pid": 0, "pod": 0, "state": 0},
            "evidence": [evidence("bundle", "/run/containerd/io.containerd.runtime.v2.task/k8s.io/5a/config.json", "sure")],
        })),
        "104": container(3, "db", "db0000000000", "k8s.io/cri-api", 104, json!({
            "engine": 3, "groups": [2], "pod": {"namespace": "shop", "name": "db-0"}, "image": "postgres:17",
            "state": "running", "said-by": {"name": 0, "pid": 0, "pod": 0, "state": 0, "image": 0},
            "evidence": [evidence("bundle", "/run/containerd/io.containerd.runtime.v2.task/k8s.io/db/config.json", "sure")],
        })),
        "105": container(4, "claimed", "c1a100000000", "podman.io", 105, json!({
            "engine": 4, "said-by": {"name": 0, "pid": 0},
            "evidence": [evidence("cgroup", "/user.slice/user-1000.slice/libpod-c1a1.scope", "claimed")],
        })),
    });
    let all = "000001ffffffffff";
    dump["discovery-options"]["snapshot"]["observer"] =
        json!({"uid": 0, "capabilities": all, "userns": 4026531837_u64, "pidns": 4026531836_u64});
    // What Docker gives by default, and one capability more.
    dump["processes"]["101"]["capabilities"]["bounding"] = json!("00000000a80435fb");
    for set in ["permitted", "effective"] {
        dump["processes"]["101"]["capabilities"][set] = json!("00000000a80425fb");
    }
    dump["processes"]["101"]["seccomp"] = json!("filter");
    dump["processes"]["101"]["no-new-privs"] = json!(true);
    dump["container-engines"] = json!({
        "1": engine("docker.com", "27.1", 0, json!([101])),
        "2": engine("containerd.io", "", 0, json!([102])),
        "3": engine("k8s.io/cri-api", "1.7", 0, json!([103, 104])),
        "4": {"id": "", "type": "podman.io", "version": "", "api": "", "pid": 0, "labels": {}, "containers": [105],
              "unseen": true},
    });
    dump["container-groups"] = json!({
        "1": group("shop", "com.docker.compose.project", "compose-project", json!([101])),
        "2": group("shop/db-0", "io.kubernetes.pod", "pod", json!([103, 104])),
    });
    let old = container(
        5,
        "",
        "01d000000000",
        "k8s.io/cri-api",
        0,
        json!({
            "engine": 3, "role": "sandbox", "pod": {"namespace": "shop", "name": "old-0"}, "state": "exited",
            "network-path": "/srv/fixture/netns 漢字", "said-by": {"pod": 0, "state": 0, "network-path": 0},
            "evidence": [evidence("cni-result", "/var/lib/cni/results/cbr0-01d0-eth0", "sure")],
        }),
    );
    dump["discovery-options"]["snapshot"]["containers"] = json!({
        "others": [old],
        "members": {"0": [101], "1": [102], "2": [103], "3": [104], "4": [105]},
        "namespaces": {"4026532212": 5},
        "units": [],
    });
    dump
}

fn evidence(kind: &str, at: &str, confidence: &str) -> Value {
    json!({"kind": kind, "at": at, "confidence": confidence})
}

fn container(index: u32, name: &str, id: &str, of_type: &str, pid: u32, more: Value) -> Value {
    let mut container = json!({
        "id": id, "name": if name.is_empty() { id } else { name }, "type": of_type, "flavor": of_type, "pid": pid,
        "paused": false, "labels": {}, "groups": [], "index": index,
    });
    container.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    container
}

fn engine(of_type: &str, version: &str, pid: u32, containers: Value) -> Value {
    json!({"id": "", "type": of_type, "version": version, "api": "", "pid": pid, "labels": {}, "containers": containers})
}

fn group(name: &str, of_type: &str, kind: &str, containers: Value) -> Value {
    json!({"name": name, "type": of_type, "flavor": of_type, "containers": containers, "labels": {}, "kind": kind})
}
