//! The built program from outside: what it writes where, and how it ends.

mod advice;
mod broken_dumps;
mod busy;
mod busy_advice;
mod busy_devices;
mod busy_holders;
mod busy_mounts;
mod caps;
mod cgroups;
mod completion;
pub(super) mod containers;
mod dead_files;
mod diff;
mod doctor;
mod dump;
mod errors;
mod explain;
mod from;
mod gaps_told;
mod golden;
mod golden_containers;
mod golden_host;
mod help;
mod hostile;
mod lacks;
mod links;
mod ls;
mod mounts;
mod not_mapped;
mod numbers;
mod orphans;
mod packaging;
mod partly_seen;
mod propagated;
mod resource_limits;
mod schemas;
mod show;
mod show_process;
mod streams;
mod targets;
mod terminal;
mod tree;
mod unseen;
mod waiting;
pub(super) mod watch;
mod who_can;
mod why;

use std::path::Path;
use std::process::Command;

use lxkns_fixture::{Actor, probe};
use serde_json::Value;

use crate::harness::{Test, lxkns};

pub(super) fn tests() -> Vec<Test> {
    [
        help::tests(),
        containers::tests(),
        ls::tests(),
        mounts::tests(),
        broken_dumps::tests(),
        busy::tests(),
        busy_advice::tests(),
        busy_devices::tests(),
        busy_holders::tests(),
        busy_mounts::tests(),
        orphans::tests(),
        tree::tests(),
        unseen::tests(),
        waiting::tests(),
        partly_seen::tests(),
        propagated::tests(),
        schemas::tests(),
        caps::tests(),
        who_can::tests(),
        explain::tests(),
        doctor::tests(),
        resource_limits::tests(),
        show::tests(),
        show_process::tests(),
        cgroups::tests(),
        why::tests(),
        advice::tests(),
        dump::tests(),
        diff::tests(),
        watch::tests(),
        packaging::tests(),
        completion::tests(),
        errors::tests(),
        from::tests(),
        gaps_told::tests(),
        dead_files::tests(),
        golden::tests(),
        golden_host::tests(),
        streams::tests(),
        hostile::tests(),
        lacks::tests(),
        links::tests(),
        not_mapped::tests(),
        numbers::tests(),
        terminal::tests(),
        targets::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The sentences of the steps that would release something.
#[track_caller]
fn texts(steps: &Value) -> Value {
    steps.as_array().unwrap().iter().map(|step| step["text"].clone()).collect()
}

/// The device number of a file system, as MAJ:MIN.
fn device_number(answer: &Value) -> String {
    format!("{}:{}", answer["major"], answer["minor"])
}

/// Checks that each key of what a view writes is in the documents.
#[track_caller]
pub(super) fn assert_documented(value: &Value) {
    const PAGE: &str = include_str!("../../../docs/views.md");
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                assert!(PAGE.contains(&format!("`{key}`")), "{key} is not in docs/views.md");
                assert_documented(value);
            }
        }
        Value::Array(values) => values.iter().for_each(assert_documented),
        _ => {}
    }
}

/// An actor that has bind-mounted the network namespace that it then left, in a mount namespace of its own.
fn with_bind_mount(path: &Path) -> (Actor, u64) {
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    actor.touch(path);
    actor.bind("/proc/self/ns/net", path);
    let left = actor.ns_inode("net");
    actor.unshare(&["net"]);
    (actor, left)
}

/// Whether it can be known that nobody else is in a namespace: who runs the tests may see all processes of the host, but for
/// its first one and the kernel's, which are in the initial ones.
fn sees_all_members() -> bool {
    const INITIAL: u64 = 4_026_531_836;
    const KTHREADD: &str = "2";
    let is_unseen = |pid: &str| {
        let link = std::fs::read_link(format!("/proc/{pid}/ns/mnt"));
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit(") ").next().and_then(|rest| rest.split(' ').nth(1));
        link.is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied)
            && !["1", KTHREADD].contains(&pid)
            && parent != Some(KTHREADD)
    };
    let names = std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut pids = names.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
    crate::live::own_inode("pid") == INITIAL && !pids.any(|pid| is_unseen(&pid))
}

/// The program, to be run by a user without privileges; a copy in `directory`, which such a user can reach.
fn unprivileged(directory: &Path) -> Command {
    if !probe::is_root() {
        return lxkns();
    }
    let copy = super::reachable_copy(directory);
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"]).arg(copy);
    command
}
