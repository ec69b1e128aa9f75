//! What packagers take from the program: man pages, and completions for shells without a test of their own
//! (`completion.rs`).

use std::process::Command;

use crate::harness::Need::Program;
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{run, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::packaging::other_shells", &[], other_shells),
        test("cli::packaging::man_pages", &[], man_pages),
        test("cli::packaging::man_reads_them", &[Program("man")], man_reads_them),
    ]
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
    let sections = [
        ".SH NAME",
        ".SH SYNOPSIS",
        ".SH DESCRIPTION",
        ".SH OPTIONS",
        ".SH EXAMPLES",
        ".SH \"EXIT STATUS\"",
        ".SH ENVIRONMENT",
        ".SH FILES",
        ".SH \"SEE ALSO\"",
    ];
    let all: Vec<_> = commands().iter().map(|name| format!("lxkns-{name}(1)")).collect();
    let pages = commands().into_iter().map(|name| (format!("lxkns-{name}.1"), Some(name)));
    for (file, name) in pages.chain([("lxkns.1".to_owned(), None)]) {
        let text = page(&file);
        let places: Vec<_> = sections.iter().map(|section| text.find(section).expect(section)).collect();
        assert!(places.is_sorted(), "{file}: {text}");
        let examples = &text[places[4]..places[5]];
        let first = name.as_deref().unwrap_or("ls").replace('-', "\\-");
        assert!(examples.contains(&format!("  lxkns {first}")), "{file}: {examples}");
        // Commands that take a TARGET say what that is, and only they say that it may not exist.
        let takes_target = text[places[1]..places[4]].contains("TARGET") && name.is_some();
        let codes: &[&str] = match name.as_deref() {
            Some("enter") => &["125  ", "126  ", "127  ", "128 plus the number of the signal"],
            Some("explain") => &["0  it succeeds", "2  bad usage", "3  it is not known", "4  it fails"],
            Some("owner") => &["0  done", "1  the file or the TARGET does not exist", "2  bad usage", "3  failed"],
            Some("orphans") => &["0  done", "2  bad usage", "3  failed", "4  \\-\\-fail was given"],
            Some("diff") => &["0  done", "2  bad usage", "3  failed", "4  \\-\\-exit\\-code was given"],
            None => &["1  the TARGET does not exist: ", "4  \\-\\-fail or \\-\\-exit\\-code found something"],
            _ if takes_target => &["0  done", "1  the TARGET does not exist: ", "2  bad usage", "3  failed"],
            _ => &["0  done", "2  bad usage", "3  failed"],
        };
        for code in codes {
            assert!(text[places[5]..].contains(code), "{file}: {code}");
        }
        let says_missing = text[places[5]..places[6]].contains("the TARGET");
        let is_about_one = (takes_target && name.as_deref() != Some("enter")) || name.is_none();
        assert_eq!(says_missing, is_about_one, "{file}");
        // What belongs together is in the synopsis together, as a reader sees it.
        let plain = |text: &str| {
            let text = ["\\fB", "\\fI", "\\fR"].iter().fold(text.to_owned(), |text, font| text.replace(font, ""));
            text.replace("\\-", "-").replace('\n', " ")
        };
        let synopsis = plain(&text[places[1]..places[2]]);
        for part in match name.as_deref() {
            Some("ls") => &["lxkns ls [-t|--type TYPES]... ", "[-J|--json] ", "[--from FILE] ", "[TARGET...] "][..],
            Some("why") => &["lxkns why ", " TARGET... "],
            Some("enter") => &[" TARGET... [-- COMMAND...] "],
            Some("dump") => &["[--timeout SECONDS] "],
            Some("man") => &[" DIR "],
            None => &["lxkns COMMAND [OPTION...] "],
            _ => &["[-h|--help]"],
        } {
            assert!(synopsis.contains(part), "{file}: {part}: {synopsis}");
        }
        // The pages of lxkns that it names are pages of lxkns, and others than itself.
        let see_also = plain(&text[places[8]..]);
        let named: Vec<_> = see_also.split([' ', ',']).filter(|word| word.starts_with("lxkns-")).collect();
        assert!(!named.is_empty() && named.iter().all(|page| all.iter().any(|known| known == page)), "{named:?}");
        assert!(
            !named.iter().any(|page| Some(&**page) == name.as_ref().map(|name| format!("lxkns-{name}(1)")).as_deref())
        );
        let targets = text.split_once(".SH TARGETS").map(|(_, targets)| targets);
        assert_eq!(targets.is_some_and(|targets| targets.contains("net:4026532281 ")), takes_target, "{file}");
    }
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), commands().len() + 1, "no page of what is hidden");
    assert!(page("lxkns-ls.1").contains(".SH COLUMNS") && page("lxkns-mounts.1").contains(".SH COLUMNS"));
}

/// The formatter has nothing to complain about, and shows what there is, also in a terminal of 80 columns.
fn man_reads_them() {
    let directory = directory();
    run(lxkns().arg("man").arg(directory.path())).ok();
    for name in commands().iter().map(|name| format!("lxkns-{name}.1")).chain(["lxkns.1".to_owned()]) {
        for width in [80, 100] {
            let mut man = Command::new("man");
            man.args(["--warnings=w", "--encoding=UTF-8", "-l"]).arg(directory.path().join(&name));
            man.env("MANWIDTH", width.to_string()).env("MANPAGER", "cat").env("LC_ALL", "C.UTF-8");
            let ran = run(&mut man);
            assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{name}");
            for heading in ["SYNOPSIS", "ENVIRONMENT", "FILES", "EXIT STATUS", "SEE ALSO"] {
                assert!(ran.text().contains(heading), "{name}: {heading}");
            }
            let too_long = ran.text().lines().find(|line| line.chars().count() > width).map(str::to_owned);
            assert_eq!(too_long, None, "{name} at {width}");
        }
    }
}
