//! `lxkns enter`, against what the kernel says of the command that has been run.

mod attacked;
mod causes;
mod confined;
mod hostile;
mod limits;
mod lsm;
mod pty;
mod races;
mod seal;
mod selinux;
mod taken_over;
mod terminal;
mod tools;
mod view;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use lxkns_fixture::Actor;
use lxkns_fixture::fuse::{DeadFuse, Death};
use rustix::process::{Pid, Signal};
use serde_json::Value;

use crate::harness::{Test, lxkns};
use crate::live::program::{Ran, run};

pub(super) fn tests() -> Vec<Test> {
    [
        view::tests(),
        limits::tests(),
        confined::tests(),
        hostile::tests(),
        attacked::tests(),
        lsm::tests(),
        selinux::tests(),
        races::tests(),
        terminal::tests(),
        seal::tests(),
        tools::tests(),
        taken_over::tests(),
        causes::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Runs a command in a process.
#[track_caller]
fn enter(pid: u32, options: &[&str], command: &[&str]) -> Ran {
    run(lxkns().arg("enter").arg(pid.to_string()).args(options).arg("--").args(command))
}

/// Runs a command in a process, from within another.
#[track_caller]
fn enter_from(caller: u32, pid: u32, command: &[&str]) -> Ran {
    let lxkns = lxkns();
    let lxkns = lxkns.get_program().to_str().unwrap();
    enter(caller, &[], &[&[lxkns, "enter", &pid.to_string(), "--"], command].concat())
}

/// What the plan says about one thing: of the process, and of the command, each without its kind.
#[track_caller]
fn planned(pid: u32, options: &[&str], what: &str) -> [Value; 2] {
    let plan = enter(pid, &[options, &["--dry-run", "--json"]].concat(), &["true"]).answer_to("enter")[0].take();
    let row = plan["plan"].as_array().unwrap().iter().find(|row| row["what"] == what).unwrap();
    ["target-has", "command-has"].map(|of| {
        let fact = row[of].as_object().and_then(|fact| fact.values().next());
        fact.cloned().unwrap_or_default()
    })
}

/// `lxkns enter` of an actor whose working directory is on a file system that does not answer any more, for which it waits.
#[track_caller]
fn stands_still(actor: &Actor, directory: &Path) -> (Child, DeadFuse) {
    let fuse = DeadFuse::mount(actor, directory, Death::Unanswered);
    actor.chdir(directory);
    fuse.die();
    let mut command = lxkns();
    command.args(["enter", &actor.pid().to_string(), "--timeout", "100", "--env", "clean", "--", "true"]);
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    fuse.wait_for_request();
    (child, fuse)
}

/// Before it has started anything, a signal ends it as any program.
#[track_caller]
fn is_terminated(mut child: Child) {
    rustix::process::kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let status = child.wait().unwrap();
    let ended = std::os::unix::process::ExitStatusExt::signal(&status).map(|signal| 128 + signal).or(status.code());
    assert_eq!(ended, Some(128 + 15));
}

/// A process in namespaces of its own, also a PID namespace, and the actor that holds them.
fn container(namespaces: &[&str]) -> (Actor, Actor) {
    let outer = Actor::spawn_in(namespaces);
    let inner = outer.fork();
    (outer, inner)
}

/// A program that waits for the end of its input, `cat`, started by another that changes what it is first. It has begun.
struct Waiting(Child);

impl Waiting {
    #[track_caller]
    fn start(command: &mut Command) -> Self {
        use std::io::{Read as _, Write as _};
        let mut child = command.arg("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.as_mut().unwrap().write_all(b".").unwrap();
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        Self(child)
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
