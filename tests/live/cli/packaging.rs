//! What packagers take from the program: completions and man pages.

use std::process::Command;

use crate::harness::Need::Program;
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{run, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::packaging::bash", &[Program("bash")], bash),
        test("cli::packaging::fish", &[Program("fish")], fish),
        test("cli::packaging::zsh", &[Program("zsh")], zsh),
        test("cli::packaging::other_shells", &[], other_shells),
        test("cli::packaging::man_pages", &[], man_pages),
    ]
}

/// What has been typed, the last word not to its end; and what it could become, among others.
const TYPED: [(&[&str], &str, &[&str]); 6] = [
    (&[], "orp", &["orphans"]),
    (&["tree"], "--all", &["--all-leaders"]),
    (&["tree"], "pr", &["proc"]),
    (&["ls", "-t"], "c", &["cgroup"]),
    (&["mounts", "-o"], "PRO", &["PROPAGATION"]),
    (&["why", "--color"], "a", &["auto", "always"]),
];

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

fn bash() {
    let script = run_lxkns(["completions", "bash"]).ok();
    let directory = directory();
    let file = directory.path().join("lxkns.bash");
    std::fs::write(&file, &script.stdout).unwrap();
    for (before, last, expected) in TYPED {
        // As bash itself calls it: the command, the word at the cursor, the word before that.
        let call =
            ". \"$1\" && _lxkns lxkns \"$2\" \"${COMP_WORDS[COMP_CWORD-1]}\" && printf '%s\\n' \"${COMPREPLY[@]}\"";
        let words = [&["lxkns"], before, &[last]].concat();
        let call = format!("COMP_WORDS=({}); COMP_CWORD={}; {call}", words.join(" "), words.len() - 1);
        let ran = run(Command::new("bash").args(["--norc", "-c", &call, "bash"]).arg(&file).arg(last)).ok();
        let completed: Vec<_> = ran.text().lines().collect();
        assert_eq!(completed, expected, "{words:?}");
    }
    let script = script.text();
    assert!(commands().iter().all(|name| script.contains(&format!("lxkns,{name})"))), "{script}");
}

fn fish() {
    let directory = directory();
    let file = directory.path().join("lxkns.fish");
    std::fs::write(&file, run_lxkns(["completions", "fish"]).ok().stdout).unwrap();
    // It is not told what a first word can be.
    for (before, last, expected) in TYPED.into_iter().filter(|typed| typed.1 != "pr") {
        let line = [&["lxkns"], before, &[last]].concat().join(" ");
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "--command", "source $argv[1]; complete --do-complete $argv[2]"])
            .arg(&file)
            .arg(&line);
        let ran = run(fish.env("HOME", directory.path())).ok();
        let completed: Vec<_> = ran.text().lines().filter_map(|line| line.split('\t').next()).collect();
        assert!(expected.iter().all(|word| completed.contains(word)), "{line}: {completed:?}");
    }
}

fn zsh() {
    let directory = directory();
    let file = directory.path().join("_lxkns");
    std::fs::write(&file, run_lxkns(["completions", "zsh"]).ok().stdout).unwrap();
    run(Command::new("zsh").args(["-f", "-n"]).arg(&file)).ok();
    // The whole of zsh's own completion, on a terminal of its own making.
    let setup = "PROMPT=; fpath=($DIRECTORY $fpath); autoload -Uz compinit; compinit -u -d $DIRECTORY/dump; \
                 tell() { zle expand-or-complete; print -r \"<$BUFFER>\"; exit }; zle -N tell; bindkey '\\t' tell; \
                 print rea'dy'";
    let session = "zmodload zsh/zpty; zpty z zsh -f -i; zpty -w z $SETUP; zpty -r -m z out '*ready*'; \
                   zpty -w -n z $LINE$'\\t'; zpty -r -m z out '*<*>*'; print -r $out";
    for (before, last, expected) in TYPED.into_iter().filter(|typed| typed.2.len() == 1) {
        let line = [&["lxkns"], before, &[last]].concat().join(" ");
        let mut zsh = Command::new("zsh");
        zsh.args(["-f", "-c", session]).env("TERM", "dumb").env("DIRECTORY", directory.path());
        let ran = run(zsh.env("SETUP", setup).env("LINE", &line)).ok();
        let completed = ran.text().rsplit_once('<').unwrap_or_default().1;
        assert_eq!(completed.trim_end(), format!("{} {} >", line.rsplit_once(' ').unwrap().0, expected[0]), "{ran:?}");
    }
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
