//! What fits into a terminal whoever it is for: `--help` of each command, and `lxkns doctor`.

use std::process::Command;

use unicode_width::UnicodeWidthStr as _;

use super::terminal::on_terminal;
use crate::harness::Need::File;
use crate::harness::{Need, Test, lxkns, test};
use crate::live::program::{run, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    const TERMINAL: &[Need] = &[File("/dev/ptmx"), File("/dev/pts/ptmx")];
    vec![
        test("cli::help::fits_without_a_terminal", &[], fits_without_a_terminal),
        test("cli::help::fits_into_terminals", TERMINAL, fits_into_terminals),
    ]
}

/// All that there is help for: the program, and the commands that its help lists.
fn helps() -> Vec<Vec<String>> {
    let help = run_lxkns(["--help"]).ok();
    let commands = help.text().split_once("\nCommands:\n").unwrap().1.split_once("\n\n").unwrap().0;
    // What a command is goes on below, further to the right.
    let names = commands.lines().filter(|line| !line.starts_with("   ")).map(|line| line.split_whitespace().next());
    let names: Vec<_> = names.map(|name| name.unwrap().to_owned()).filter(|name| name != "help").collect();
    assert!(names.len() > 12 && names.contains(&"doctor".to_owned()), "{names:?}");
    let of = |name: String| [vec![name.clone(), "-h".to_owned()], vec![name, "--help".to_owned()]];
    let of_all = [vec!["-h".to_owned()], vec!["--help".to_owned()]];
    of_all.into_iter().chain(names.into_iter().flat_map(of)).collect()
}

#[track_caller]
fn fits(text: &str, columns: usize, what: &[String]) {
    assert!(text.lines().count() > 5, "{what:?}: {text}");
    for line in text.lines() {
        assert!(line.width() <= columns, "{what:?}: {} of {columns} columns: {line}", line.width());
    }
}

fn fits_without_a_terminal() {
    for what in helps().iter().chain([&vec!["doctor".to_owned()]]) {
        let mut command = lxkns();
        // The width of some other terminal.
        command.args(what).env("COLUMNS", "200");
        let ran = run(&mut command).ok();
        // A command to be copied stays whole.
        let text: Vec<_> = ran.text().lines().filter(|line| what[0] != "doctor" || !line.starts_with("    ")).collect();
        fits(&text.join("\n"), 80, what);
    }
}

fn fits_into_terminals() {
    let (helps, mut differ) = (helps(), false);
    for (columns, most) in [(60, 60), (160, 100)] {
        for what in helps.iter().filter(|what| what.last().unwrap() == "--help") {
            let mut command: Command = lxkns();
            let text = on_terminal(command.args(what).env("NO_COLOR", "1"), columns).replace('\r', "");
            fits(&text, most, what);
            differ |= text.lines().any(|line| line.width() > 80);
        }
    }
    assert!(differ, "a wide terminal is used");
}
