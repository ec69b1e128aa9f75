//! The guides about containers: each command is typed, by a shell, and gives what the guide shows; with Docker as they are
//! written, and with podman in its place.

use std::cell::Cell;
use std::os::unix::fs::symlink;

use serde_json::Value;

use super::super::guides::Guide;
use super::host::{Cgroups, Daemon, kill, on_own_host, succeeds, tried};
use super::{image, inode, parent, podman};
use crate::harness::lxkns;

/// Starts a container of the guides' with an engine's client, and returns its PID and its ID.
#[track_caller]
fn start(engine: &str, name: &str, options: &[&str], port: &str) -> (String, String) {
    let start = [&["run", "--detach", "--name", name], options, &[image::NAME]].concat();
    succeeds(engine, &[&start[..], &["/httpd", "-f", "-p", port, "-h", "/"]].concat());
    let said: Value = serde_json::from_str(&succeeds(engine, &["container", "inspect", name])).unwrap();
    (said[0]["State"]["Pid"].to_string(), said[0]["Id"].as_str().unwrap().to_owned())
}

/// Types what a page says. `words` are the example's, and what stands for each here; `before` is told each command, and has what
/// the page says happen.
#[track_caller]
fn type_page(page: &str, words: &[(&str, String)], before: impl Fn(&str)) {
    for step in Guide::new(page, words).steps() {
        before(&step.command);
        // Here is a PID namespace of the test's own, so that lxkns does not rule out that others have processes in there.
        let mut ran = tried("/bin/sh", &["-c", &step.command]);
        let said = ran.text().replace("2+", "2");
        ran.stdout = said.into_bytes();
        let is_lxkns = step.command.starts_with("lxkns ");
        assert!(!is_lxkns || ran.code == Some(0), "{step:#?}\n{ran:?}");
        // The guide leaves out what lxkns says of limits, and shows what other programs say.
        let remarks = std::mem::take(&mut ran.stderr);
        if !is_lxkns {
            ran.stdout.extend(remarks.bytes());
        }
        assert!(step.is_shown(&ran), "{step:#?}\n{}{remarks}", ran.text());
    }
}

/// Runs `body` on a host with an engine and the guides' image.
fn with_engine(name: &str, engine: &'static str, body: impl FnOnce(Option<Daemon>)) {
    on_own_host(name, Cgroups::AsHere, || {
        // A place in `PATH`.
        symlink(lxkns().get_program(), "/run/home/lxkns").unwrap();
        let archive = image::archive_of(&image::one_program("/run/image/root", "httpd"));
        let daemon = (engine == "docker").then(|| Daemon::start("dockerd", &["--storage-driver=overlay2"]));
        if engine == "podman" {
            podman::configure("crun");
        }
        succeeds(engine, &["load", "--input", &archive]);
        body(daemon);
    });
}

fn no_tools(name: &str, engine: &'static str) {
    with_engine(name, engine, |_daemon| {
        let (pid, _) = start(engine, "web", &["--hostname", "www"], "8080");
        start(engine, "sidecar", &["--network", "container:web"], "8081");
        let words = [("7214", pid), ("docker", engine.to_owned())];
        type_page(include_str!("../../../docs/guides/no-tools.md"), &words, |_| {});
    });
}

/// The guide for a container without tools, as it is.
pub(super) fn no_tools_docker(name: &str) {
    no_tools(name, "docker");
}

/// The same with podman.
pub(super) fn no_tools_podman(name: &str) {
    no_tools(name, "podman");
}

fn which_container(name: &str, engine: &'static str) {
    with_engine(name, engine, |daemon| {
        let (pid, id) = start(engine, "web", &[], "8080");
        start(engine, "sidecar", &["--network", "container:web"], "8081");
        let (forgotten, _) = start(engine, "forgotten", &[], "8080");
        let net = inode(format!("/proc/{forgotten}/ns/net"));
        let forgotten: u64 = forgotten.parse().unwrap();
        let (daemon, is_left) = (Cell::new(daemon), Cell::new(false));
        let leave_behind = |command: &str| {
            if command.ends_with(&format!("net:{net}")) && !is_left.replace(true) {
                // Whoever would take its network down is gone first.
                if let Some(daemon) = daemon.take() {
                    daemon.kill();
                }
                kill(parent(forgotten));
                kill(u32::try_from(forgotten).unwrap());
            }
        };
        let inode_of = |kind: &str| inode(format!("/proc/{pid}/ns/{kind}")).to_string();
        let words = [
            ("7214", pid.clone()),
            ("docker", engine.to_owned()),
            ("9c7ff6be1eff5a95e3bb0cbb14d8a0d2c5b8b1a5b9b5e4b2bb5fd0a4f3c2d1e0", id.clone()),
            ("9c7ff6be1eff", id[..12].to_owned()),
            ("4026532254", inode_of("mnt")),
            ("4026532258", inode_of("net")),
            ("4026532304", net.to_string()),
        ];
        type_page(include_str!("../../../docs/guides/which-container.md"), &words, leave_behind);
    });
}

/// The guide on how well containers are isolated from the host. Only Docker has a socket by itself.
pub(super) fn audit(name: &str) {
    with_engine(name, "docker", |_daemon| {
        let clean = ["--user=1000", "--security-opt=no-new-privileges", "--cap-drop=ALL", "--read-only"];
        let (web, _) = start("docker", "web", &clean, "8080");
        let (agent, _) = start("docker", "agent", &["--pid=host", "--volume=/var/run/docker.sock:/tmp/api"], "8081");
        type_page(include_str!("../../../docs/guides/audit.md"), &[("7214", web), ("7300", agent)], |_| {});
    });
}

/// The guide from processes and namespaces to containers, as it is.
pub(super) fn which_container_docker(name: &str) {
    which_container(name, "docker");
}

/// The same with podman.
pub(super) fn which_container_podman(name: &str) {
    which_container(name, "podman");
}
