//! What the control groups of a container let it use.

use std::fs;

use lxkns_core::model::{CgroupLimit, CgroupLimits};
use serde_json::json;

use super::super::discover_everything;
use super::{FalseHost, below, cgroup, long_id, of, runc_state, start_time};
use crate::harness::Need::Root;
use crate::harness::{Test, test};
use crate::live::processes::{Cgroup, hierarchy};
use crate::live::program::run_lxkns;

pub(super) fn tests() -> Vec<Test> {
    vec![test("engines::limits::the_least_on_the_way_up", &[Root], the_least_on_the_way_up)]
}

/// A limit of this test: the controller, the files of versions 1 and 2, and what is written for the outer control group, for
/// the inner one, and to lift it.
struct Limit(&'static str, [&'static str; 2], &'static str, &'static str, [&'static str; 2]);

const LIMITS: [Limit; 3] = [
    Limit("memory", ["memory.limit_in_bytes", "memory.max"], "134217728", "67108864", ["-1", "max"]),
    Limit("cpu", ["cpu.cfs_quota_us", "cpu.max"], "80000", "50000", ["-1", "max"]),
    // The outer one has less.
    Limit("pids", ["pids.max", "pids.max"], "3", "50", ["max", "max"]),
];

/// Control groups of a container, one in another, in the hierarchy of a controller.
struct Groups {
    inner: Cgroup,
    outer: Cgroup,
    is_v1: bool,
}

impl Groups {
    /// `None`: the controller is in no hierarchy that is mounted.
    fn of(controller: &str, scope: &str) -> Option<Self> {
        let name = format!("limits-{controller}");
        let (top, is_v1) = match hierarchy("cgroup", controller) {
            Some(top) => (top, true),
            None => (hierarchy("cgroup2", "")?, false),
        };
        let outer = Cgroup::new(&top, &name);
        if !is_v1 {
            let enable = format!("+{controller}");
            fs::write(top.join("cgroup.subtree_control"), &enable).ok()?;
            outer.write("cgroup.subtree_control", &enable);
        }
        Some(Self { inner: below(&outer, scope), outer, is_v1 })
    }
}

/// Each limit is the least of the container's own control group and of those above, as the kernel enforces it.
fn the_least_on_the_way_up() {
    let host = FalseHost::new();
    let id = long_id("limits");
    let scope = format!("docker-{id}.scope");
    let container = host.process();
    let pid = container.pid();
    let shown = cgroup("limits");
    let named = below(&shown, &scope);
    named.write("cgroup.procs", &pid.to_string());
    host.write(&format!("/run/docker/runtime-runc/moby/{id}/state.json"), runc_state(&id, pid, start_time(pid)));
    let config = json!({"ID": id, "Name": "/limited", "State": {"Pid": pid, "Running": true}, "Config": {}});
    host.write(&format!("/var/lib/docker/containers/{id}/config.v2.json"), config.to_string());

    // Of version 2 a process has one control group: then the last one is where it stays, and the others are not tried.
    let mut groups: Vec<(usize, Groups)> = Vec::new();
    for (at, Limit(controller, files, outer, inner, _)) in LIMITS.iter().enumerate() {
        let Some(made) = Groups::of(controller, &scope) else { continue };
        let file = files[usize::from(!made.is_v1)];
        made.outer.write(file, outer);
        made.inner.write(file, inner);
        made.inner.write("cgroup.procs", &pid.to_string());
        if !made.is_v1 {
            groups.retain(|(_, other)| other.is_v1);
        }
        groups.push((at, made));
    }
    assert!(!groups.is_empty(), "no controller is in a hierarchy that is mounted");
    let tried = |at: usize| groups.iter().any(|(tried, _)| *tried == at);

    let told = limits(pid);
    let expected = [(told.memory_bytes, 67_108_864), (told.cpu_usec_per_second, 500_000), (told.tasks_max, 3)];
    for (at, (told, expected)) in expected.into_iter().enumerate().filter(|(at, _)| tried(*at)) {
        assert_eq!(told, Some(expected), "{}", LIMITS[at].0);
    }
    let shown_text = run_lxkns(["show", &pid.to_string()]).ok().text().to_owned();
    if tried(0) {
        assert!(shown_text.contains("memory 64 MiB"), "{shown_text}");
    }
    if tried(1) {
        assert!(shown_text.contains("CPUs 0.5"), "{shown_text}");
    }
    if tried(2) {
        // The kernel says the same: there can be three, and no more.
        let others = [container.fork(), container.fork()];
        container.try_fork().expect_err("a fourth task");
        drop(others);
    }
    let answer = run_lxkns(["containers", "--json"]).ok().answer_to("containers");
    let answer = answer.as_array().unwrap().iter().find(|it| it["id"] == id).unwrap().clone();
    assert_eq!(answer["cgroup-limits"], serde_json::to_value(limits(pid)).unwrap(), "{answer:#}");

    // What was lifted is unlimited, where nothing above limits it.
    for (at, made) in &groups {
        let Limit(_, files, _, _, [v1, v2]) = &LIMITS[*at];
        let (file, lift) = if made.is_v1 { (files[0], v1) } else { (files[1], v2) };
        made.outer.write(file, lift);
        made.inner.write(file, lift);
    }
    let told = limits(pid);
    let unlimited = [CgroupLimit::MemoryBytes, CgroupLimit::CpuUsecPerSecond, CgroupLimit::TasksMax];
    for (_, limit) in unlimited.into_iter().enumerate().filter(|(at, _)| tried(*at)) {
        assert!(told.is_unlimited(limit), "{limit:?}: {told:?}");
    }
    drop(container);
    drop(groups);
}

/// The limits of the container of a process.
#[track_caller]
fn limits(pid: u32) -> CgroupLimits {
    let mut snapshot = discover_everything();
    let host = lxkns_engines::Host::new(lxkns_core::ProcRoot::host().unwrap());
    lxkns_engines::annotate(&mut snapshot, &host, &lxkns_engines::Options::default());
    let containers = snapshot.annotations.containers.unwrap();
    of(&containers, pid).limits.clone().expect("they were read")
}
