//! What packagers take from the program: man pages, and completions for shells without a test of their own
//! (`completion.rs`).

use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{run, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    vec![test("cli::packaging::other_shells", &[], other_shells), test("cli::packaging::man_pages", &[], man_pages)]
}

/// The commands that the help lists.
fn commands() -> Vec<String> {
    let help = run_lxkns(["--help"]).ok();
    let lines = help.text().lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // What is wrapped stands further in.
    let names = lines.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let names = names.filter(|&name| !name.is_empty() && name != "help");
    let names: Vec<_> = names.map(str::to_owned).collect();
    assert!(names.len() > 8 && names.iter().any(|name| name == "completions"), "{names:?}");
    names
}

fn other_shells() {
    for shell in ["elvish", "powershell"] {
        let script = run_lxkns(["completions", shell]).ok();
        assert!(commands().iter().all(|name| script.text().contains(&format!("lxkns;{name}'"))), "{shell}");
    }
    run_lxkns(["completions", "tcsh"]).fails(2, "tcsh");
    run_lxkns(["completions"]).fails(2, "SHELL");
}

fn man_pages() {
    let directory = directory();
    run(lxkns().arg("man").arg(directory.path())).ok();
    let page =
        |name: &str| std::fs::read_to_string(directory.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    let sections =
        [".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS", ".SH EXAMPLES", ".SH \"EXIT STATUS\""];
    let pages = commands().into_iter().map(|name| (format!("lxkns-{name}.1"), Some(name)));
    for (file, name) in pages.chain([("lxkns.1".to_owned(), None)]) {
        let text = page(&file);
        let places: Vec<_> = sections.iter().map(|section| text.find(section).expect(section)).collect();
        assert!(places.is_sorted(), "{file}: {text}");
        let examples = &text[places[4]..places[5]];
        assert!(examples.contains(&format!("  lxkns {}", name.as_deref().unwrap_or("ls"))), "{file}: {examples}");
        let codes: &[&str] = match name.as_deref() {
            Some("enter") => &["125  ", "126  ", "127  ", "128 and the number of the signal"],
            _ => &["0  done", "1  the TARGET does not exist: ", "2  bad usage", "3  it could not be done"],
        };
        for code in codes {
            assert!(text[places[5]..].contains(code), "{file}: {code}");
        }
        // Whoever takes a TARGET says what that is.
        let takes_target = text[places[1]..places[4]].contains("TARGET") && name.is_some();
        let targets = text.split_once(".SH TARGETS").map(|(_, targets)| targets);
        assert_eq!(targets.is_some_and(|targets| targets.contains("net:4026532281 ")), takes_target, "{file}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), commands().len() + 1, "no page of what is hidden");
    let orphans = page("lxkns-orphans.1");
    assert!(orphans.contains("4  \\-\\-fail was given"), "{orphans}");
    assert!(page("lxkns-ls.1").contains(".SH COLUMNS") && page("lxkns-mounts.1").contains(".SH COLUMNS"));
}
