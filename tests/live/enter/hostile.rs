//! What a container could try.

use std::fs;
use std::process::Command;

use lxkns_fixture::Actor;
use lxkns_fixture::fuse::{DeadFuse, Death};

use super::{Waiting, enter};
use crate::harness::Need::{File, FileSystem, Root, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::directory;

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("enter::hostile::passwd", &[UserNamespaces], passwd),
        test("enter::hostile::dead_passwd", &[Root, FileSystem("fuse"), File("/dev/fuse")], dead_passwd),
        test("enter::hostile::variables", &[], variables),
        test("enter::hostile::working_directory", &[UserNamespaces], working_directory),
        test("enter::hostile::nothing_to_enter", &[], nothing_to_enter),
    ]
}

/// Files that are none, or have no end.
fn passwd() {
    let directory = directory();
    let fifo = directory.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, 0o644.into(), 0).unwrap();
    let large = directory.path().join("large");
    fs::File::create(&large).unwrap().set_len(10 << 30).unwrap();
    for (path, says) in
        [(fifo.as_path(), "No such device"), (&large, "too large"), ("/dev/zero".as_ref(), "No such device")]
    {
        let actor = Actor::spawn_in(&["user", "mnt"]);
        actor.bind(path, "/etc/passwd");
        enter(actor.pid(), &["--user", "somebody"], &["true"]).fails(125, says);
        // Who is not looked up by name is not found out about.
        enter(actor.pid(), &[], &["true"]).ok();
    }
}

/// Names on a file system whose server does not answer. Who does not want any is not kept waiting for long either.
fn dead_passwd() {
    let directory = directory();
    let actor = Actor::spawn_in(&["mnt"]);
    let fuse = DeadFuse::mount(&actor, directory.path(), Death::Unread);
    actor.bind(directory.path().join("file"), "/etc/passwd");
    fuse.die();
    enter(actor.pid(), &["--timeout", "0.2", "--user", "somebody"], &["true"]).fails(125, "timed out");
    enter(actor.pid(), &["--timeout", "0.2"], &["true"]).ok();
}

/// Variables that choose what runs, or what the loader loads, are only for a command that sees the container's files.
fn variables() {
    let waiting = Waiting::start(Command::new("env").env("LXKNS_TEST_EVIL", "1"));
    let has = |options: &[&str]| enter(waiting.pid(), options, &["env"]).ok().text().contains("LXKNS_TEST_EVIL=1");
    assert!(has(&[]));
    assert!(!has(&["--except", "mnt"]));
    assert!(!has(&["--env", "host"]));
}

/// A working directory that nobody who is inside could reach.
fn working_directory() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    actor.mount("tmpfs", directory.path());
    actor.chdir(directory.path());
    actor.umount_lazily(directory.path());
    let ran = enter(actor.pid(), &[], &["pwd", "-P"]).ok();
    assert_eq!(ran.text(), "/\n");
}

fn nothing_to_enter() {
    enter(2, &[], &["true"]).fails(125, "2: ");
}
