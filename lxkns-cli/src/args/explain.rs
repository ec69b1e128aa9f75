//! The options of `lxkns explain`.

use std::ffi::OsString;

use super::{AnswerArgs, pid};

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns explain unshare --user        may the caller create a user namespace?
  lxkns explain unshare -Urn -p 1234  what keeps a process from `unshare -Urn`?
  lxkns explain clone --pid -p 1234   what keeps it from a child in a PID namespace?
  lxkns explain setns 1234/net        may the caller enter that namespace?
  lxkns explain fork -p 1234          may a process start a child?
  lxkns explain unshare -n --json     for programs";

pub(super) const NOTES: &str = "\
ACTION is written as for unshare(1): unshare, clone or fork with its options,
or setns TARGET...; other options can stand before it or after it, -p with a
number. The rules are the kernel's, in its order: the first gives the error.
Exit code: 0 if it succeeds, 4 if it fails, 3 if that is not known";

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Process or task to ask about; by default the caller
    #[arg(short = 'p', long = "pid", value_name = "PID", value_parser = pid)]
    pub(crate) pid: Option<u32>,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,

    /// What to do: unshare, clone or fork with options of unshare(1), or setns TARGET...
    #[arg(value_name = "ACTION", required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) action: Vec<OsString>,
}

/// The arguments with the options of this program before the ACTION, whose own options clap does not know. To unshare(1), `-p`
/// takes no value: with a number after it, it is this program's.
pub(super) fn reordered(arguments: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let all: Vec<OsString> = arguments.collect();
    let is_option = |word: &OsString| word.as_encoded_bytes().starts_with(b"-");
    let Some(at) = all.iter().position(|word| word == "explain") else { return all };
    let is_command = all[..at].iter().skip(1).all(|word| is_option(word) || all[0..at].contains(&"--color".into()));
    let action = all.iter().skip(at + 1).position(|word| VERBS.contains(&word.to_str().map_or("", first_word)));
    let Some(start) = action.map(|index| at + 1 + index).filter(|_| is_command) else { return all };
    let (alone, with_value) = own_options();
    let is_in = |options: &[String], word: &str| options.iter().any(|option| option == word);
    let (mut ours, mut words) = (all[..start].to_vec(), Vec::new());
    let mut rest = all[start..].iter().peekable();
    while let Some(word) = rest.next() {
        let text = word.to_str().unwrap_or_default();
        let is_number =
            |next: &&OsString| next.to_str().is_some_and(|next| next.bytes().all(|byte| byte.is_ascii_digit()));
        let is_pid = ["-p", "--pid"].contains(&text) && rest.peek().is_some_and(is_number);
        if is_in(&alone, text) || text.split_once('=').is_some_and(|(option, _)| is_in(&with_value, option)) {
            ours.push(word.clone());
        } else if is_pid || is_in(&with_value, text) {
            ours.push(word.clone());
            ours.extend(rest.next().cloned());
        } else {
            words.push(word.clone());
        }
    }
    ours.extend(words);
    ours
}

/// The options of `explain` that take no value, and those that do, as they are typed; all but `-p`.
fn own_options() -> (Vec<String>, Vec<String>) {
    let command = <ExplainArgs as clap::Args>::augment_args(clap::Command::new("explain"));
    let all = command.get_arguments().filter(|argument| !argument.is_positional() && argument.get_id() != "pid");
    let (with_value, alone): (Vec<_>, Vec<_>) = all.partition(|argument| argument.get_action().takes_values());
    let typed = |arguments: Vec<&clap::Arg>, others: &[&str]| -> Vec<String> {
        let long = arguments.iter().filter_map(|it| it.get_long()).map(|name| format!("--{name}"));
        let short = arguments.iter().filter_map(|it| it.get_short()).map(|name| format!("-{name}"));
        long.chain(short).chain(others.iter().map(|&option| option.to_owned())).collect()
    };
    // Those of every command.
    (typed(alone, &["-h", "--help"]), typed(with_value, &["--color"]))
}

const VERBS: [&str; 5] = ["unshare", "clone", "clone3", "fork", "setns"];

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser as _;

    fn read(arguments: &[&str]) -> (String, Option<u32>, bool) {
        let all = [&["lxkns", "explain"], arguments].concat();
        let reordered = reordered(all.into_iter().map(OsString::from));
        match Args::try_parse_from(reordered).unwrap().command {
            Command::Explain(args) => {
                (args.action.join(OsString::from(" ").as_os_str()).into_string().unwrap(), args.pid, args.answer.json)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_may_stand_before_and_after() {
        let of = |text: &str, pid, json| (text.to_owned(), pid, json);
        assert_eq!(read(&["-p", "7", "unshare", "-Urn"]), of("unshare -Urn", Some(7), false));
        assert_eq!(read(&["unshare", "-Urn", "-p", "7", "--json"]), of("unshare -Urn", Some(7), true));
        assert_eq!(read(&["unshare --user", "-p", "7"]), of("unshare --user", Some(7), false));
        assert_eq!(read(&["unshare", "-p", "-f", "--timeout=2"]), of("unshare -p -f", None, false), "a PID namespace");
        assert_eq!(read(&["--timeout", "2", "clone", "--pid", "--from", "x"]), of("clone --pid", None, false));
        assert_eq!(read(&["setns", "7/net", "-p", "9"]), of("setns 7/net", Some(9), false));
        for option in ["--reader", "--timeout", "--from", "--color"] {
            let value = if option == "--reader" { "proc" } else { "1" };
            let value = if option == "--color" { "never" } else { value };
            assert_eq!(read(&["unshare", "-n", option, value]), of("unshare -n", None, false), "{option}");
        }
    }

    #[test]
    fn other_commands_stay_as_they_are() {
        for words in [&["lxkns", "why", "explain", "unshare", "--json"][..], &["lxkns", "--help"], &["lxkns"]] {
            let words: Vec<_> = words.iter().map(OsString::from).collect();
            assert_eq!(reordered(words.clone().into_iter()), words);
        }
        let given = ["lxkns", "--color", "never", "explain", "fork", "-J"].map(OsString::from);
        let expected = ["lxkns", "--color", "never", "explain", "-J", "fork"].map(OsString::from);
        assert_eq!(reordered(given.into_iter()), expected);
    }
}
