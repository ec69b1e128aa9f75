//! Many containers, and directories of engines that somebody has filled.

use std::fs;

use lxkns_core::model::{Cause, Container, Containers, Object, Pid};

use super::{FalseHost, discover, of, recognize, runc_state, start_time};
use crate::harness::Need::Root;
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("engines::many::containers_of_one_runtime", &[Root], containers_of_one_runtime),
        test("engines::many::a_directory_without_end", &[Root], directory_without_end),
    ]
}

/// Two threads share the work from some number on: each file counts once, whoever parses it.
fn containers_of_one_runtime() {
    const COUNT: usize = 200;
    let host = FalseHost::new();
    let (first, last) = (host.process(), host.process());
    for number in 0..COUNT {
        // The files of containers that have ended, between those of two that run.
        let (id, pid) = match number {
            0 => ("c000".to_owned(), first.pid()),
            199 => ("c199".to_owned(), last.pid()),
            number => (format!("c{number:03}"), 0),
        };
        let start_time = if pid == 0 { 0 } else { start_time(pid) };
        let text = if number % 50 == 7 { "{".to_owned() } else { runc_state(&id, pid, start_time) };
        host.write(&format!("/run/runc/{id}/state.json"), text);
    }
    let snapshot = discover();
    let (containers, gaps) = recognize(&snapshot);
    for (process, id) in [(&first, "c000"), (&last, "c199")] {
        let container = of(&containers, process.pid());
        assert_eq!((container.id.to_string().as_str(), container.evidence.len()), (id, 1));
    }
    let below = format!("/proc/{}/root/run/runc/", host.0.pid());
    let malformed: Vec<String> = gaps
        .iter()
        .filter_map(|gap| match &gap.object {
            Object::Path(path) if gap.cause == Cause::Malformed => {
                Some(path.to_string().strip_prefix(&below)?.to_owned())
            }
            _ => None,
        })
        .collect();
    assert_eq!(malformed, ["c007", "c057", "c107", "c157"].map(|id| format!("{id}/state.json")));
    // Others of this host come and go with other tests.
    let own = |containers: Containers| -> Vec<Container> {
        let is_own = |container: &Container| container.evidence[0].pid == Some(Pid(host.0.pid()));
        containers.list.into_iter().filter(is_own).collect()
    };
    let again = own(recognize(&snapshot).0);
    assert!(again.len() >= 2, "{again:?}");
    assert_eq!(again, own(containers), "whichever thread was faster");
}

/// A directory that never ends is read up to a bound, and a gap says so; what is elsewhere is found.
fn directory_without_end() {
    const ENTRIES: usize = 100_000;
    let host = FalseHost::new();
    let process = host.process();
    let start_time = start_time(process.pid());
    host.write("/run/runc/0/state.json", "");
    for number in 1..ENTRIES {
        fs::create_dir(host.path(&format!("/run/runc/{number}"))).unwrap();
    }
    host.write("/run/containerd/runc/ns/good/state.json", runc_state("good", process.pid(), start_time));
    let (containers, gaps) = recognize(&discover());
    assert_eq!(of(&containers, process.pid()).id, "good");
    let listed = Object::Path(format!("/proc/{}/root/run/runc", host.0.pid()).as_str().into());
    let causes: Vec<_> = gaps.iter().filter(|gap| gap.object == listed).map(|gap| gap.cause).collect();
    assert_eq!(causes, [Cause::Cut]);
}
