//! Who keeps more where engines have their files than any engine does: it takes nothing from what is known of others, and a
//! gap says what was left out.

use std::fs;
use std::os::unix::fs::{chown, symlink};

use lxkns_core::model::{Cause, Gap, Object, Pid};
use serde_json::json;

use super::{FalseHost, USER, crun_status, discover, long_id, of, recognize, runc_state, start_time};
use crate::harness::Need::Root;
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("engines::flooded::files", &[Root], files),
        test("engines::flooded::texts", &[Root], texts),
        test("engines::flooded::claims", &[Root], claims),
        test("engines::flooded::links", &[Root], links),
    ]
}

/// Whether something was left out for this cause below the root directory of a host.
fn is_left_out(gaps: &[Gap], host: &FalseHost, cause: Cause) -> bool {
    let root = format!("/proc/{}/root/", host.0.pid());
    let is_there = |object: &Object| matches!(object, Object::Path(path) if path.starts_with(root.as_bytes()));
    gaps.iter().any(|gap| gap.cause == cause && is_there(&gap.object))
}

/// Of each only so many files are read. Those of others are read all the same, whoever comes first.
fn files() {
    let (full, good) = (FalseHost::new(), FalseHost::new());
    let (in_full, in_good) = (full.process(), good.process());
    good.write("/run/runc/good/state.json", runc_state("good", in_good.pid(), start_time(in_good.pid())));
    // Each is as long as one can be, and nothing in it is wrong.
    let long = |name: &str| {
        let state = runc_state(name, 0, 0);
        let rest = " ".repeat((4 << 20) - state.len());
        state + &rest
    };
    for name in ["a", "b", "c"] {
        full.write(&format!("/run/runc/{name}/state.json"), long(name));
    }
    let snapshot = discover();
    let (_, gaps) = recognize(&snapshot);
    assert!(!is_left_out(&gaps, &full, Cause::Limit), "so much is read: {gaps:?}");
    for name in ["d", "e"] {
        full.write(&format!("/run/runc/{name}/state.json"), long(name));
    }
    full.write("/run/runc/last/state.json", runc_state("last", in_full.pid(), start_time(in_full.pid())));
    let (containers, gaps) = recognize(&snapshot);
    assert!(is_left_out(&gaps, &full, Cause::Limit), "{gaps:?}");
    assert!(!is_left_out(&gaps, &good, Cause::Limit), "{gaps:?}");
    assert_eq!(of(&containers, in_good.pid()).id, "good");
    assert_eq!(containers.of(Pid(in_full.pid())), None, "it comes after what is read");
}

/// Names and labels without end are cut, which is seen.
fn texts() {
    let host = FalseHost::new();
    let process = host.process();
    let id = long_id("texts");
    let directory = format!("/run/crun/{id}");
    host.write(&format!("{directory}/status"), crun_status(process.pid()));
    let config = |name: &str, label: &str| {
        let annotations = json!({"a": "b", "long": label, "io.kubernetes.cri.container-name": name,
            "io.kubernetes.cri.container-type": "container"});
        json!({"ociVersion": "1.0.2", "annotations": annotations}).to_string()
    };
    host.write(&format!("{directory}/config.json"), config(&"n".repeat(1024), "label"));
    let snapshot = discover();
    let (containers, gaps) = recognize(&snapshot);
    let container = of(&containers, process.pid());
    assert_eq!((container.display_name().len(), container.annotations.len()), (1024, 4));
    assert!(!is_left_out(&gaps, &host, Cause::Cut), "{gaps:?}");
    // Characters of two bytes: the last one does not end where the name does.
    host.write(&format!("{directory}/config.json"), config(&format!("n{}", "ü".repeat(30_000)), &"l".repeat(1 << 20)));
    let (containers, gaps) = recognize(&snapshot);
    let container = of(&containers, process.pid());
    let name = container.display_name();
    assert_eq!(name.as_slice(), format!("n{}…", "ü".repeat(511)).as_bytes());
    assert_eq!((container.annotations.len(), container.annotations.contains_key("long".as_bytes())), (3, false));
    assert!(is_left_out(&gaps, &host, Cause::Cut), "{gaps:?}");
}

/// A thousand files that speak of one container are not a thousand times as much of it.
fn claims() {
    let host = FalseHost::new();
    let process = host.process();
    let id = long_id("claims");
    let state = runc_state(&id, process.pid(), start_time(process.pid()));
    for namespace in 0..1000 {
        host.write(&format!("/run/containerd/runc/n{namespace}/{id}/state.json"), &state);
    }
    let (containers, gaps) = recognize(&discover());
    let container = of(&containers, process.pid());
    assert_eq!((container.id.as_slice(), container.evidence.len()), (id.as_bytes(), 64));
    assert!(is_left_out(&gaps, &host, Cause::Limit), "{gaps:?}");
}

/// A user who names a link to where an engine of root's has its files does not hide what root's own files say.
fn links() {
    let host = FalseHost::new();
    let process = host.process();
    let id = long_id("links");
    let bundle = |storage: &str| format!("{storage}/overlay-containers/{id}/userdata");
    let status = |storage: &str| {
        let mut status: serde_json::Value = serde_json::from_str(&crun_status(process.pid())).unwrap();
        status["bundle"] = bundle(storage).into();
        status.to_string()
    };
    host.write(&format!("/run/crun/{id}/status"), status("/var/lib/containers/storage"));
    let stored = json!([{"id": id, "names": ["web"], "image": "i"}]);
    host.write("/var/lib/containers/storage/overlay-containers/containers.json", stored.to_string());
    let is_named = |after: &str| {
        let (containers, _) = recognize(&discover());
        assert_eq!(of(&containers, process.pid()).display_name(), "web", "{after}");
    };
    is_named("before");
    // It comes first by its name.
    symlink("containers/storage", host.path("/var/lib/a")).unwrap();
    let own = format!("/run/user/{USER}/crun/other/status");
    host.write(&own, status("/var/lib/a"));
    chown(host.path(&own), Some(USER), Some(USER)).unwrap();
    is_named("a link that a user names");
    // The same of Docker's.
    let config = json!({"ID": id, "Name": "/dock", "State": {}, "Config": {"Image": "i"}});
    fs::remove_dir_all(host.path("/run/crun")).unwrap();
    let state = runc_state(&id, process.pid(), start_time(process.pid()));
    host.write(&format!("/run/docker/runtime-runc/moby/{id}/state.json"), &state);
    host.write(&format!("/var/lib/docker/containers/{id}/config.v2.json"), config.to_string());
    symlink("docker", host.path("/var/lib/b")).unwrap();
    let mut of_user: serde_json::Value = serde_json::from_str(&state).unwrap();
    of_user["config"]["rootfs"] = "/var/lib/b/overlay2/x/merged".into();
    let own = format!("/run/user/{USER}/docker/runtime-runc/moby/{id}/state.json");
    host.write(&own, of_user.to_string());
    let (containers, _) = recognize(&discover());
    assert_eq!(of(&containers, process.pid()).display_name(), "dock");
}
