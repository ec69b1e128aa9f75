//! Invalid command lines: what is wrong, and what to type instead.

use std::ffi::{OsStr, OsString};

use clap::CommandFactory as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use lxkns_answers::target::{Target, similar_type};

use crate::args::Args;
use crate::commands::without_dashes;
use crate::view::escape::{printable, shell_word};

/// The names of commands in other programs.
const SYNONYMS: [(&str, &[&str]); 16] = [
    ("ls", &["list", "lsns", "namespaces", "ns"]),
    ("show", &["inspect", "info", "describe", "get", "status", "cat"]),
    ("why", &["holders", "who", "users"]),
    ("tree", &["ps", "pstree", "lsuns", "lspidns", "pidtree", "processes"]),
    ("enter", &["exec", "nsenter", "run", "sh", "shell", "attach", "join"]),
    ("mounts", &["mount", "findmnt", "mountinfo"]),
    ("busy", &["umount", "unmount", "fuser", "lsof"]),
    ("caps", &["capabilities", "cap", "nscaps", "getpcaps"]),
    ("explain", &["may", "can-i", "why-not", "unshare", "clone", "setns"]),
    ("who-can", &["whocan", "who-has", "pscap"]),
    ("owner", &["stat", "owns", "chown", "whose", "file"]),
    ("orphans", &["orphan", "leaks", "leaked", "persistent"]),
    ("containers", &["container", "docker", "podman", "crictl", "pods", "machines"]),
    ("dump", &["export", "save", "dumpns", "json"]),
    ("diff", &["compare", "changes"]),
    ("watch", &["monitor", "follow", "top", "events"]),
];

/// Options of other programs that these commands lack: the command, the options, and what to type instead.
const FOREIGN: [(&str, &[&str], &str); 13] = [
    ("ls", &["-T", "--tree"], "for a tree: lxkns tree"),
    ("ls", &["-P", "--persistent"], "for namespaces without processes: lxkns orphans"),
    ("ls", &["-l", "--list", "-u", "--notruncate", "-W", "--nowrap"], "output is not cut unless it goes to a terminal"),
    ("ls", &["-Q", "--filter"], "only some types: -t TYPES; only some namespaces: name TARGETs"),
    ("ls", &["-H", "--list-columns"], "for the columns: lxkns ls --help"),
    ("ls", &["-a", "--all"], "ls lists all namespaces"),
    ("enter", &["-t", "--target"], "name only the process: lxkns enter PID -- COMMAND"),
    ("enter", &["-a"], "enter takes all namespaces of a process: lxkns enter PID -- COMMAND"),
    (
        "enter",
        &[
            "-m", "-u", "-i", "-p", "-U", "-C", "-T", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup",
            "--time",
        ],
        "name types: --only net,mnt",
    ),
    ("enter", &["-S", "--setuid", "-G", "--setgid"], "name a user: --user USER[:GROUP]"),
    ("mounts", &["-N", "--task"], "name only the process: lxkns mounts PID"),
    ("mounts", &["-T", "--target", "-S", "--source"], "for a tree or list of its mounts: lxkns mounts [--list] TARGET"),
    ("caps", &["--target"], "name the process with -p PID, and the namespace as TARGET"),
];

/// Explains invalid arguments in one line.
pub(crate) fn explain(error: &clap::Error, arguments: &[OsString]) -> String {
    let command = arguments.get(1).and_then(|word| word.to_str()).unwrap_or_default();
    let subject = text_of(error, ContextKind::InvalidSubcommand);
    if let Some(word) = subject.filter(|_| error.kind() == ErrorKind::InvalidSubcommand) {
        return unknown_command(error, &word);
    }
    if command == "enter"
        && matches!(error.kind(), ErrorKind::UnknownArgument | ErrorKind::ValueValidation)
        && let Some(instead) = missing_dashes(&arguments[2..])
    {
        return instead;
    }
    let said = in_one_line(&error.render().to_string());
    let help = if command.is_empty() { "lxkns --help".to_owned() } else { format!("lxkns {} --help", known(command)) };
    let help = format!("see {}", help.replace("  ", " "));
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let argument = text_of(error, ContextKind::InvalidArg).unwrap_or_default();
            let is_it = |(of, options, _): &&(&str, &[&str], &str)| *of == command && options.contains(&&*argument);
            let instead = FOREIGN.iter().find(is_it).map(|(_, _, instead)| (*instead).to_owned());
            let similar = || similar_argument(error).map(|similar| format!("did you mean {similar}?"));
            let after = || after_the_command(arguments);
            let instead = instead.or_else(after).or_else(similar).unwrap_or(help);
            format!("unexpected argument '{argument}'; {instead}")
        }
        ErrorKind::ValueValidation => {
            let value = text_of(error, ContextKind::InvalidValue).unwrap_or_default();
            let named = value.split(':').next().and_then(similar_type);
            match named.filter(|_| said.contains("not a namespace type")) {
                Some(ns_type) => format!("{said}; did you mean {ns_type}?"),
                None => said,
            }
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(names)) => names.join(" "),
                _ => return format!("{said}; {help}"),
            };
            format!("{missing} is missing; {help}")
        }
        ErrorKind::InvalidValue => {
            let argument = text_of(error, ContextKind::InvalidArg).unwrap_or_default();
            let value = text_of(error, ContextKind::InvalidValue).filter(|value| !value.is_empty());
            let expected = match error.get(ContextKind::ValidValue) {
                Some(ContextValue::Strings(valid)) if !valid.is_empty() => {
                    Some(format!("expected one of {}", valid.join(", ")))
                }
                _ => None,
            };
            let similar =
                text_of(error, ContextKind::SuggestedValue).map(|similar| format!("; did you mean {similar}?"));
            match value {
                Some(value) => {
                    let expected = expected.unwrap_or(help);
                    format!("invalid value '{value}' for '{argument}': {expected}{}", similar.unwrap_or_default())
                }
                None => format!("{argument} lacks its value; {}", expected.unwrap_or(help)),
            }
        }
        ErrorKind::TooManyValues => {
            let argument = text_of(error, ContextKind::InvalidArg).unwrap_or_default();
            format!("{argument} takes no value; {help}")
        }
        _ => format!("{said}; {help}"),
    }
}

/// What to type instead of options before the command.
fn after_the_command(arguments: &[OsString]) -> Option<String> {
    let options = arguments.get(1)?.as_encoded_bytes().starts_with(b"-");
    let visible = visible();
    let command = arguments.iter().skip(2).find_map(|word| visible.iter().find(|name| word == name.as_str()))?;
    options.then(|| format!("options go after the command: lxkns {command} [OPTIONS]"))
}

/// The command, if the help lists it.
fn known(command: &str) -> &str {
    if visible().iter().any(|name| name == command) { command } else { "" }
}

/// The commands that the help lists.
fn visible() -> Vec<String> {
    let whole = Args::command();
    let visible = whole.get_subcommands().filter(|command| !command.is_hide_set());
    visible.map(|command| command.get_name().to_owned()).collect()
}

/// What to type instead of a word that is not a command.
fn unknown_command(error: &clap::Error, word: &str) -> String {
    let visible = visible();
    let similar = match error.get(ContextKind::SuggestedSubcommand) {
        Some(ContextValue::Strings(names)) => names.iter().find(|name| visible.contains(name)).cloned(),
        Some(ContextValue::String(name)) => Some(name.clone()).filter(|name| visible.contains(name)),
        _ => None,
    };
    let lower = word.to_ascii_lowercase();
    let synonym = SYNONYMS.iter().find(|(_, names)| names.contains(&&*lower)).map(|(name, _)| *name);
    let instead = if let Some(name) = synonym {
        format!("did you mean lxkns {name}?")
    } else if let Some(ns_type) = similar_type(word) {
        format!("to list {ns_type} namespaces: lxkns ls -t {ns_type}")
    } else if let Some(name) = similar {
        format!("did you mean lxkns {name}?")
    } else if is_target(word) {
        let word = shell_word(word.as_bytes());
        format!("it may be a TARGET: lxkns show {word}, lxkns why {word}")
    } else {
        "see lxkns --help".to_owned()
    };
    format!("{}: not a command; {instead}", printable(word))
}

/// Whether a word that is not a command has a form that only TARGETs have.
fn is_target(word: &str) -> bool {
    Target::parse(OsStr::new(word)).is_ok_and(|target| !matches!(target, Target::Name(_)))
}

/// What to type if `--` is missing before the command of `lxkns enter`; `arguments` follow the word `enter`.
fn missing_dashes(arguments: &[OsString]) -> Option<String> {
    if arguments.iter().any(|word| word == "--") {
        return None;
    }
    let target = |word: &OsStr| Target::parse(word).ok();
    let is_surely = |word: &OsStr| target(word).is_some_and(|target| !target.may_be_file());
    let first = arguments.iter().position(|word| is_surely(word))?;
    let is_option = |word: &OsStr| word.as_encoded_bytes().starts_with(b"-");
    // Options between the two can be those of lxkns or of the command, so this is only said if a command follows a TARGET.
    let command = first + 1 + arguments[first + 1..].iter().position(|word| !is_surely(word))?;
    if is_option(&arguments[command]) {
        return None;
    }
    let (before, after) = arguments.split_at(command);
    Some(without_dashes(before.iter().map(OsString::as_os_str), after.iter().map(OsString::as_os_str)))
}

fn text_of(error: &clap::Error, kind: ContextKind) -> Option<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    }
}

fn similar_argument(error: &clap::Error) -> Option<String> {
    text_of(error, ContextKind::SuggestedArg)
}

/// The several paragraphs of a message of clap's in one line, without those that `--help` has too.
fn in_one_line(text: &str) -> String {
    let mut line = String::new();
    let is_said = |part: &&str| !part.starts_with("Usage:") && !part.starts_with("For more information");
    for part in text.lines().map(str::trim).take_while(is_said).filter(|part| !part.is_empty()) {
        if !line.is_empty() {
            line.push_str(if line.ends_with(':') { " " } else { "; " });
        }
        line.push_str(part.strip_prefix("error: ").unwrap_or(part));
    }
    line
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn said(words: &str) -> String {
        let arguments: Vec<OsString> = ["lxkns"].into_iter().chain(words.split(' ')).map(OsString::from).collect();
        explain(&Args::try_parse_from(&arguments).unwrap_err(), &arguments)
    }

    #[test]
    fn what_clap_says_becomes_one_line() {
        let text = "error: the following required arguments were not provided:\n  <TARGET>...\n\nUsage: x\n";
        assert_eq!(in_one_line(text), "the following required arguments were not provided: <TARGET>...");
    }

    #[test]
    fn each_synonym_leads_to_a_command_that_there_is() {
        let visible = visible();
        for (name, synonyms) in SYNONYMS {
            assert!(visible.iter().any(|known| known == name), "{name}");
            for synonym in synonyms {
                assert!(!visible.iter().any(|known| known == synonym), "{synonym}");
                assert_eq!(said(synonym), format!("{synonym}: not a command; did you mean lxkns {name}?"));
            }
        }
    }

    #[test]
    fn options_of_other_programs_are_not_ours() {
        for (command, options, instead) in FOREIGN {
            for option in options {
                let said = said(&format!("{command} {option}"));
                assert_eq!(said, format!("unexpected argument '{option}'; {instead}"));
            }
        }
    }

    #[test]
    fn each_mistake_comes_with_what_to_type() {
        for (words, expected) in [
            ("net", "net: not a command; to list net namespaces: lxkns ls -t net"),
            ("inspect", "inspect: not a command; did you mean lxkns show?"),
            ("insid", "insid: not a command; see lxkns --help"),
            ("complet", "complet: not a command; did you mean lxkns completions?"),
            ("lss", "lss: not a command; did you mean lxkns ls?"),
            ("network", "network: not a command; to list net namespaces: lxkns ls -t net"),
            ("1234/net", "1234/net: not a command; it may be a TARGET: lxkns show 1234/net, lxkns why 1234/net"),
            ("qqqq", "qqqq: not a command; see lxkns --help"),
            ("--json ls", "unexpected argument '--json'; options go after the command: lxkns ls [OPTIONS]"),
            ("--json nothing", "unexpected argument '--json'; see lxkns --help"),
            ("enter", "<TARGET>... is missing; see lxkns enter --help"),
            ("busy", "<PATH|DEVICE|MAJ:MIN> is missing; see lxkns busy --help"),
            ("ls --al", "unexpected argument '--al'; see lxkns ls --help"),
            ("ls --typ", "unexpected argument '--typ'; did you mean --type?"),
            ("enter 1234 ls -l", "ls: not a TARGET; write -- before the command: lxkns enter 1234 -- ls -l"),
            (
                "enter --tools host 1234 1234/net ip -br a",
                "ip: not a TARGET; write -- before the command: lxkns enter --tools host 1234 1234/net -- ip -br a",
            ),
        ] {
            assert_eq!(said(words), expected, "{words}");
        }
        for (words, expected) in [
            ("ls --color x", "invalid value 'x' for '--color <WHEN>': expected one of auto, always, never"),
            (
                "completions csh",
                "invalid value 'csh' for '<SHELL>': expected one of bash, elvish, fish, powershell, zsh; did you mean zsh?",
            ),
            ("ls --reader", "--reader <READER> lacks its value; expected one of auto, proc, kernel"),
            ("ls -t", "--type <TYPES> lacks its value; see lxkns ls --help"),
            ("ls --json=1", "--json takes no value; see lxkns ls --help"),
        ] {
            assert_eq!(said(words), expected, "{words}");
        }
        for (words, expected) in [
            ("ls -t mount", "; did you mean mnt?"),
            ("ls -t net,users", "; did you mean user?"),
            ("why mount:4026531832", "; did you mean mnt?"),
        ] {
            assert!(said(words).ends_with(expected), "{words}: {}", said(words));
        }
    }
}
