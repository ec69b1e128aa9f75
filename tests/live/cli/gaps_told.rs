//! What could not be seen is told where it could change the answer, and nowhere else.

use std::process::Command;

use crate::harness::Need::{self, Program, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::directory;
use crate::live::program::{Ran, run};

pub(super) fn tests() -> Vec<Test> {
    const NOBODY: &[Need] = &[UserNamespaces, Program("setpriv")];
    vec![
        test("cli::gaps_told::why_of_an_initial_namespace", NOBODY, why_of_an_initial_namespace),
        test("cli::gaps_told::show_of_a_process", NOBODY, show_of_a_process),
    ]
}

/// Runs the program as somebody who cannot read the processes of others.
fn ask(words: &[&str]) -> Ran {
    let base = directory();
    let program = super::unprivileged(base.path());
    let mut command = Command::new(program.get_program());
    command.args(program.get_args()).args(words).env("LC_ALL", "C.UTF-8");
    run(&mut command)
}

/// Whether lines tell that processes are not readable.
fn tells(ran: &Ran) -> bool {
    ran.gaps().iter().any(|line| line.contains(" processes not readable: "))
}

/// It lives as long as the kernel, whoever else holds it: only who asks for all holders is told that there may be more.
fn why_of_an_initial_namespace() {
    const USER: &str = "user:4026531837";
    let short = ask(&["why", USER]).ok();
    assert!(short.text().contains(" is the initial user namespace: it lives as long as the kernel\n"), "{short:?}");
    assert_eq!(short.gaps(), [""; 0]);
    // What is counted is not said to be all.
    assert!(short.text().contains("\n  also held by at least "), "{short:?}");
    assert!(tells(&ask(&["why", "--all", USER]).ok()), "otherwise this would prove nothing");
    let json = ask(&["why", "--json", USER]).ok();
    assert_eq!(json.answer()["holders-seen"], false);
    assert!(tells(&json));
    // Of another one beside it all matters.
    let both = ask(&["why", USER, "net:1"]);
    assert!(tells(&both), "{both:?}");
}

/// That others are not readable changes nothing about a process that is.
fn show_of_a_process() {
    for words in [&["show", "self"][..], &["show", "--json", "self"]] {
        let own = ask(words).ok();
        assert!(!tells(&own), "{own:?}");
    }
    assert_eq!(ask(&["show", "--json", "self"]).json()["gaps"], serde_json::json!([]));
    let init = ask(&["show", "1"]).ok();
    let lines = init.gaps();
    let named = lines.iter().filter(|line| line.contains(" processes not readable: ")).collect::<Vec<_>>();
    assert!(matches!(named[..], [line] if line.starts_with("lxkns: 1 of ") && line.ends_with("(PID 1)")), "{lines:?}");
    // Of namespaces others may be members.
    assert!(tells(&ask(&["show", "self", "user:4026531837"]).ok()));
}
