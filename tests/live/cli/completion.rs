//! Pressing Tab: the shells themselves complete, with the scripts of `lxkns completions`.

use std::path::Path;
use std::process::Command;

use lxkns_fixture::Actor;
use tempfile::TempDir;

use super::terminal::Terminal;
use crate::harness::Need::{File, Program, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::directory;
use crate::live::program::{run, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test(
            "cli::completion::bash",
            &[Program("bash"), UserNamespaces, File("/dev/ptmx"), File("/dev/pts/ptmx")],
            bash,
        ),
        test("cli::completion::fish", &[Program("fish"), UserNamespaces], fish),
        test("cli::completion::zsh", &[Program("zsh"), UserNamespaces], zsh),
        test("cli::completion::of_a_dump", &[UserNamespaces], of_a_dump),
        test("cli::completion::what_is_offered_is_taken", &[UserNamespaces], what_is_offered_is_taken),
    ]
}

/// What has been typed, and what one press makes of it.
fn typed(actor: &Actor, directory: &Path) -> Vec<(String, String)> {
    let (net, mnt) = (actor.ns_inode("net"), actor.ns_inode("mnt"));
    let file = directory.join("a dump.json");
    std::fs::write(&file, "").unwrap();
    let mut typed: Vec<(String, String)> = [
        ("orp", "orphans "),
        ("tree --all", "tree --all-leaders "),
        ("tree pr", "tree proc "),
        ("ls -t c", "ls -t cgroup "),
        ("ls -t net,us", "ls -t net,user "),
        ("ls --type=net,us", "ls --type=net,user "),
        ("mounts -o PRO", "mounts -o PROPAGATION "),
        ("ls -o NS,UNIQ", "ls -o NS,UNIQUEID "),
        ("ls -o +HOL", "ls -o +HOLDERS "),
        ("why --color alw", "why --color always "),
        // What no TARGET begins with, no command in PATH either.
        ("why xarg", "why xarg"),
        ("insid", "insid"),
        ("dump zz", "dump zz"),
    ]
    .map(|(typed, becomes)| (typed.to_owned(), becomes.to_owned()))
    .into();
    // An inode number is the beginning of no other one.
    typed.push((format!("why net:{net}"), format!("why net:{net} ")));
    typed.push((format!("ls {net}"), format!("ls {net} ")));
    typed.push((format!("mounts mnt:{mnt}"), format!("mounts mnt:{mnt} ")));
    // Mounts are of mount namespaces.
    typed.push((format!("mounts net:{net}"), format!("mounts net:{net}")));
    typed.push((format!("show {}/ne", actor.pid()), format!("show {}/net ", actor.pid())));
    let path = directory.to_str().unwrap();
    typed.push((format!("ls --from {path}/a\\ d"), format!("ls --from {path}/a\\ dump.json ")));
    typed
}

/// The script for a shell in a file, and the program as `lxkns` in PATH.
fn installed(shell: &str, file: &str) -> (TempDir, String) {
    let directory = directory();
    std::fs::write(directory.path().join(file), run_lxkns(["completions", shell]).ok().stdout).unwrap();
    let programs = directory.path().join("bin");
    std::fs::create_dir(&programs).unwrap();
    std::os::unix::fs::symlink(lxkns().get_program(), programs.join("lxkns")).unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap_or_default());
    (directory, path)
}

fn bash() {
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    let (directory, path) = installed("bash", "lxkns.bash");
    let setup = directory.path().join("rc");
    // Another key says what has become of the line, and ends the shell.
    let text = "PS1=rea''dy; . \"$DIRECTORY/lxkns.bash\"; bind 'set bell-style none'; bind 'set enable-bracketed-paste off'\n\
                bind 'set show-all-if-ambiguous on'; bind 'set page-completions off'\n\
                tell() { printf '\\n<%s>\\n' \"$READLINE_LINE\"; exit; }; bind -x '\"\\C-t\": tell'\n";
    std::fs::write(&setup, text).unwrap();
    let press = |line: &str| {
        let mut bash = Command::new("bash");
        bash.args(["--noprofile", "--rcfile"]).arg(&setup).arg("-i");
        bash.env("DIRECTORY", directory.path()).env("PATH", &path).env("TERM", "dumb").env("HISTFILE", "");
        let mut terminal = Terminal::spawn(&mut bash, 400, true);
        terminal.read_until("ready");
        terminal.type_in(&format!("lxkns {line}\t\x14"));
        terminal.read_until(">");
        terminal.text()
    };
    for (line, becomes) in typed(&actor, directory.path()) {
        let text = press(&line);
        assert!(text.contains(&format!("<lxkns {becomes}>")), "{line}: {text}");
    }
    // Of several it is said what they are, and nothing of that is inserted.
    let text = press("why --color a");
    assert!(text.contains("<lxkns why --color a>") && text.contains("always") && text.contains("auto"), "{text}");
    let text = press(&format!("caps -p {}", actor.pid()));
    assert!(text.contains(&format!("<lxkns caps -p {}", actor.pid())), "{text}");
}

fn fish() {
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    let (directory, path) = installed("fish", "lxkns.fish");
    let complete = |line: &str| {
        let mut fish = Command::new("fish");
        fish.args(["--no-config", "-c", "source $argv[1]; complete -C $argv[2]"]);
        fish.arg(directory.path().join("lxkns.fish")).arg(format!("lxkns {line}"));
        fish.env("HOME", directory.path()).env("PATH", &path);
        run(&mut fish).ok().text().lines().map(str::to_owned).collect::<Vec<_>>()
    };
    for (line, becomes) in typed(&actor, directory.path()) {
        let offered = complete(&line);
        let words: Vec<_> = offered.iter().filter_map(|line| line.split('\t').next()).collect();
        // It writes the last word, as it is without quotes.
        let expected = becomes.trim_end().rsplit_once(' ').map_or(becomes.trim_end(), |(_, last)| last);
        match becomes.ends_with(' ') {
            true if line.contains("--from") => {
                assert!(matches!(words[..], [word] if word.replace('\\', "").ends_with("/a dump.json")), "{offered:?}");
            }
            true => assert_eq!(words, [expected], "{line}"),
            false => assert_eq!(words, [""; 0], "{line}"),
        }
    }
    actor.set_comm(b"comm$(x)");
    let pid = actor.pid().to_string();
    let offered = complete(&format!("caps -p {pid}"));
    assert!(offered.contains(&format!("{pid}\tcomm$(x)")), "{offered:?}");
    assert!(complete("enter 1 -- fis").iter().any(|word| word.starts_with("fish")), "what enter runs is a command");
}

fn zsh() {
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    let (directory, path) = installed("zsh", "_lxkns");
    run(Command::new("zsh").args(["-f", "-n"]).arg(directory.path().join("_lxkns"))).ok();
    // The whole of zsh's own completion, on a terminal of its own making.
    let setup = "PROMPT=; fpath=($DIRECTORY $fpath); autoload -Uz compinit; compinit -u -d $DIRECTORY/dump; \
                 tell() { zle expand-or-complete; print -r \"<$BUFFER>\"; exit }; zle -N tell; bindkey '\\t' tell; \
                 print rea'dy'";
    let session = "zmodload zsh/zpty; zpty z zsh -f -i; zpty -w z $SETUP; zpty -r -m z out '*ready*'; \
                   zpty -w -n z $LINE$'\\t'; zpty -r -m z out '*<*>*'; print -r $out";
    for (line, becomes) in typed(&actor, directory.path()) {
        let mut zsh = Command::new("zsh");
        zsh.args(["-f", "-c", session]).env("TERM", "dumb").env("DIRECTORY", directory.path()).env("PATH", &path);
        let ran = run(zsh.env("SETUP", setup).env("LINE", format!("lxkns {line}"))).ok();
        let completed = ran.text().rsplit_once('<').unwrap_or_default().1;
        assert_eq!(completed.trim_end(), format!("lxkns {becomes}>"), "{ran:?}");
    }
}

/// What is offered for these words, as the scripts read it.
#[track_caller]
fn offered(words: &[&str]) -> Vec<(String, String)> {
    let ran = run(lxkns().args(["complete", "--"]).args(words)).ok();
    let words = ran.text().lines().filter_map(|line| line.strip_prefix('=')?.split_once('\t'));
    words.map(|(word, description)| (word.to_owned(), description.to_owned())).collect()
}

/// What a command would read is what is completed from.
fn of_a_dump() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let directory = directory();
    let file = directory.path().join("dump.json");
    std::fs::write(&file, run_lxkns(["dump"]).ok().stdout).unwrap();
    let from = file.to_str().unwrap();
    let (net, pid) = (format!("net:{}", actor.ns_inode("net")), actor.pid().to_string());
    drop(actor);
    let has = |offered: &[(String, String)], word: &str| offered.iter().any(|(offered, _)| offered == word);
    assert!(has(&offered(&["why", "--from", from, &net]), &net));
    assert!(has(&offered(&["why", &format!("--from={from}"), ""]), &pid));
    assert!(!has(&offered(&["why", &pid]), &pid), "the process has gone");
    assert!(offered(&["why", "--from", "/nonexistent", ""]).is_empty());
}

/// A word that is offered is one that the command takes; and it goes into a command line as it is.
fn what_is_offered_is_taken() {
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    actor.set_comm(b"\x1b[31m`x`\n\t");
    let all = offered(&["ls", ""]);
    let ours: Vec<_> = ["user", "mnt", "net"].map(|name| format!("{name}:{}", actor.ns_inode(name))).into();
    for word in ours.into_iter().chain([actor.pid().to_string()]) {
        let (_, description) = all.iter().find(|(offered, _)| *offered == word).unwrap_or_else(|| panic!("{word}"));
        assert!(description.contains("\\x1b[31m`x`\\x0a\\x09"), "{description}");
        run_lxkns(["ls", &word]).ok();
    }
    let is_plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./:,+@".contains(&byte));
    assert!(all.iter().all(|(word, _)| is_plain(word)), "{all:?}");
}
