//! A kernel in lockdown, which gives no program what it needs to read the kernel's memory: all comes from elsewhere, and that is
//! said.

use lxkns_core::model::{Holder, Pid, Reader};
use lxkns_core::{Discovery, DiscoveryOptions};
use lxkns_fixture::Actor;

use super::super::cli::watch::{NEVER, Watch};
use super::super::namespace;
use super::super::program::run_lxkns;
use super::BTF;
use super::auto::{is_told, refusal};
use crate::harness::Need::{File, Lockdown, Root};
use crate::harness::{Need, Test, test};

pub(super) fn tests() -> Vec<Test> {
    const LOCKED: &[Need] = &[Root, Lockdown, File(BTF)];
    vec![test("lockdown::procfs", LOCKED, procfs), test("lockdown::connector", LOCKED, connector)]
}

fn procfs() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let uts = actor.ns_inode("uts");
    let session = Discovery::of_host().unwrap().repeated();
    for reader in [None, Some(Reader::Kernel)] {
        let mut options = DiscoveryOptions::everything();
        options.reader = reader;
        let snapshot = session.run(&options).unwrap();
        assert_eq!(
            (snapshot.reader, is_told(&snapshot)),
            (Some(Reader::Proc), reader.is_some()),
            "{:?}",
            snapshot.gaps
        );
        assert!(refusal(&snapshot).errno.is_some());
        assert!(namespace(&snapshot, uts).holders.contains(&Holder::Process { pid: Pid(actor.pid()) }));
        assert!(snapshot.references.is_empty());
    }
    let told = run_lxkns(["doctor", "--json"]).answer();
    let why = told["reader"]["why-not-kernel"].as_str().unwrap();
    assert_eq!(told["reader"]["source"], "proc");
    assert!(why.contains("lockdown"), "{why}");
}

fn connector() {
    let mut watch = Watch::start(&["--events", "--json", "--interval", NEVER, "-t", "uts"]);
    let said = watch.said().to_owned();
    assert!(said.contains("task events come from the process connector") && said.contains("lockdown"), "{said}");
    let actor = Actor::spawn_in(&["user", "uts"]);
    // The connector does not tell that a process goes elsewhere, but when one begins there.
    let _child = actor.fork();
    watch.told(actor.ns_inode("uts"), "appeared");
}
