//! Kill `lxkns enter` at every step, or freeze its children: no process remains.

use std::fs;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lxkns_fixture::{Attacking, Method};
use rustix::process::{Pid, Signal, WaitOptions};

use super::NEEDS;
use super::container::{Container, Kind};
use super::runs::{Caller, count, end, ends, is_verbose, left};
use crate::harness::Need::{self, File, FileSystem, Program, Root};
use crate::harness::{Test, alone, test};
use crate::live::enter::limits::{FREEZER, unified};

const CHILDREN: Need = File("/proc/thread-self/children");
const FREEZING: &[Need] = &[Root, Program("busybox"), FileSystem("cgroup2"), CHILDREN];
const FREEZING_1: &[Need] = &[Root, Program("busybox"), File(FREEZER), CHILDREN];

/// Time limit for one run of `lxkns`.
const LIMIT: Duration = Duration::from_secs(30);
/// Least time between two steps.
const LEAST: Duration = Duration::from_micros(50);
/// Time limit for the exit of all other processes of a run.
const GONE_LIMIT: Duration = Duration::from_secs(20);

pub(super) fn tests() -> Vec<Test> {
    let killed = [
        ("enter::attacked::killed_at_every_step", None),
        ("enter::attacked::killed_at_every_step_beside_stops", Some(Method::Stop)),
        ("enter::attacked::killed_at_every_step_beside_holds", Some(Method::Hold)),
    ];
    let killed = killed.map(|(name, method)| test(name, NEEDS, move || alone(name, || at_every_step(name, method))));
    let frozen = [
        ("enter::attacked::frozen_on_its_way", FREEZING, (unified(), "cgroup.freeze", "1", "0")),
        ("enter::attacked::frozen_in_version_1", FREEZING_1, (FREEZER, "freezer.state", "FROZEN", "THAWED")),
    ];
    let frozen =
        frozen.map(|(name, needs, how)| test(name, needs, move || alone(name, || frozen_on_its_way(name, how))));
    killed.into_iter().chain(frozen).collect()
}

/// PIDs and states of this process's children, except the known ones. Reaps zombies.
fn children(known: &[i32]) -> Vec<(i32, char)> {
    let tasks = fs::read_dir("/proc/self/task").unwrap().flatten();
    let lists = tasks.map(|task| fs::read_to_string(task.path().join("children")).unwrap_or_default());
    let pids: Vec<i32> =
        lists.flat_map(|list| list.split_whitespace().map(|pid| pid.parse().unwrap()).collect::<Vec<_>>()).collect();
    let others = pids.into_iter().filter(|pid| !known.contains(pid)).filter_map(|pid| {
        let _ = rustix::process::waitpid(Pid::from_raw(pid), WaitOptions::NOHANG);
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        Some((pid, stat.rsplit_once(") ")?.1.chars().next()?))
    });
    // A traced zombie remains until its tracer reaps it.
    others.filter(|(_, state)| *state != 'Z').collect()
}

/// Waits until this process has only the known children, and returns the others at the time limit.
fn left_outside(known: &[i32]) -> Vec<(i32, char)> {
    let begun = Instant::now();
    loop {
        let left = children(known);
        if left.is_empty() || begun.elapsed() > GONE_LIMIT {
            return left;
        }
        std::thread::yield_now();
    }
}

fn kill(pid: i32) {
    let _ = rustix::process::kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL);
}

/// Processes that a run left inside or outside the container. Kills them.
fn all_left(container: &Container, known: &[i32]) -> Option<String> {
    let (outside, inside) = (left_outside(known), left(container, |state| state != 'Z'));
    outside.iter().for_each(|(pid, _)| kill(*pid));
    inside.iter().for_each(|(pid, ..)| kill(pid.cast_signed()));
    left_outside(known);
    (!outside.is_empty() || !inside.is_empty()).then(|| format!("outside {outside:?}, inside {inside:?}"))
}

/// Whether the attacker has caught a process before exec since it was last asked.
fn is_caught(attacking: &Attacking<'_>) -> bool {
    attacking.haul().caught.iter().any(|caught| !caught.is_command())
}

fn start(command: &mut Command) -> (Child, Instant) {
    let child = command.spawn().unwrap();
    (child, Instant::now())
}

fn at_every_step(name: &str, method: Option<Method>) {
    // Orphans become children of this process.
    rustix::process::set_child_subreaper(Pid::from_raw(1)).unwrap();
    let (caller, container) = (Caller::new(), Container::new(Kind::Tracing));
    let known: Vec<i32> = children(&[]).into_iter().map(|(pid, _)| pid).collect();
    let enter = || caller.enter(&container, &["--env", "clean"], &["true"]);
    let mut longest = Duration::ZERO;
    for _ in 0..3 {
        let (child, begun) = start(&mut enter());
        assert_eq!(end(child, LIMIT).status.and_then(|status| status.code()), Some(0));
        longest = longest.max(begun.elapsed());
    }
    // With an attacker, the child's state matters more than the moment.
    let steps = count() as u32 * if method.is_none() { 10 } else { 3 };
    let step = LEAST.max(longest / steps);
    let attacking = method.map(|method| container.attacker.attack(method, caller.canary.as_bytes()));
    let (mut bad, mut example, mut killed) = (0, String::new(), 0);
    for turn in 0..steps {
        let (mut child, begun) = start(&mut enter());
        match &attacking {
            // Every other time, at the moment when the attacker has a child in its hands.
            Some(attacking) if turn % 2 == 1 => while !is_caught(attacking) && !ends(&child, Duration::ZERO) {},
            _ => {
                while begun.elapsed() < step * turn {
                    std::hint::spin_loop();
                }
            }
        }
        child.kill().unwrap();
        killed += usize::from(child.wait().unwrap().code().is_none());
        let left = all_left(&container, &known);
        // Results of this run must not count for the next one.
        attacking.iter().for_each(|attacking| drop(attacking.haul()));
        if let Some(left) = left {
            bad += 1;
            example = format!("after {:?}: {left}", step * turn);
        }
        // Each leftover costs the time limit.
        if bad >= 3 {
            break;
        }
    }
    drop(attacking);
    let text = format!("{name}: {killed} runs killed, steps of {step:?}; {bad} left a process behind; {example}");
    if is_verbose() {
        eprintln!("{text}");
    }
    assert_eq!(bad, 0, "{text}");
    assert!(killed > 0, "{text}");
}

/// A container that owns its control group freezes every process that joins it.
fn frozen_on_its_way(name: &str, (hierarchy, file, freeze, thaw): (&str, &str, &str, &str)) {
    rustix::process::set_child_subreaper(Pid::from_raw(1)).unwrap();
    let (caller, container) = (Caller::new(), Container::new(Kind::Usual));
    let known: Vec<i32> = children(&[]).into_iter().map(|(pid, _)| pid).collect();
    let group = container.group(hierarchy);
    let procs = || fs::read_to_string(group.join("cgroup.procs")).unwrap();
    let own = procs();
    let mut frozen = 0;
    for _ in 0..5 {
        let is_over = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    if procs() != own {
                        fs::write(group.join(file), freeze).unwrap();
                        return;
                    }
                }
            });
            let options = ["--env", "clean", "--timeout", "0.2"];
            let (child, _) = start(&mut caller.enter(&container, &options, &["true"]));
            let has_ended = ends(&child, LIMIT);
            is_over.store(true, Ordering::Relaxed);
            let runs_command = container.strangers().iter().any(|(.., exe)| exe.ends_with("/true"));
            if !has_ended && runs_command {
                // A command that is frozen after exec is waited for.
                fs::write(group.join(file), thaw).unwrap();
            }
            end(child, LIMIT)
        });
        // Version 1 keeps frozen processes from dying. With version 2 they must be gone before the group is thawed.
        let left = if freeze == "1" { all_left(&container, &known) } else { None };
        fs::write(group.join(file), thaw).unwrap();
        let left = left.or_else(|| all_left(&container, &known));
        let status = outcome.status.unwrap_or_else(|| panic!("{name}: lxkns does not exit while its child is frozen"));
        frozen += usize::from(status.code() == Some(125));
        let lines = outcome.stderr.lines().count();
        assert!(matches!((status.code(), lines), (Some(0), 0) | (Some(125), 1)), "{status:?} {}", outcome.stderr);
        assert_eq!(left, None, "{name}");
    }
    if is_verbose() {
        eprintln!("{name}: 5 runs, {frozen} frozen");
    }
}
