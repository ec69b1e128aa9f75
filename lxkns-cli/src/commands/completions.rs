//! `lxkns completions`: a script that has a shell complete commands and options, from the same definitions as `--help`.
//!
//! The script is a text of its own and does not run lxkns: pressing a key looks at no host.

use std::io::Write as _;

use clap::builder::PossibleValuesParser;
use clap::{Arg, Command, CommandFactory as _};
use clap_complete::generate;
use lxkns_core::model::NamespaceType;

use crate::args::{Args, CompletionsArgs};
use crate::exit::{Exit, Result};
use crate::view::{columns, mounts, screen};

/// Runs it.
pub(crate) fn run(args: &CompletionsArgs) -> Result {
    let mut script = Vec::new();
    generate(args.shell, &mut command(), "lxkns", &mut script);
    screen::print(|out| Ok(out.write_all(&script)?))?;
    Ok(Exit::Done)
}

/// The command without what is hidden, and with the values that there are. It is never parsed by.
fn command() -> Command {
    let whole = Args::command();
    let visible = whole.get_subcommands().filter(|command| !command.is_hide_set());
    let named = visible.map(|command| {
        let name = command.get_name().to_owned();
        command.clone().mut_args(|argument| with_values(&name, argument))
    });
    Command::new("lxkns")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(whole.get_arguments())
        .subcommands(named)
}

fn with_values(command: &str, argument: Arg) -> Arg {
    let means = argument.get_value_names().and_then(|names| names.first()).map(ToString::to_string);
    let values: Vec<&'static str> = match (means.as_deref(), command) {
        (Some("TYPES"), _) => NamespaceType::ALL.iter().map(|ns_type| ns_type.name()).collect(),
        (Some("LIST" | "COLUMN"), "ls") => columns::names().collect(),
        (Some("LIST"), "mounts") => mounts::names().collect(),
        (Some("user|pid|proc"), _) => vec!["user", "pid", "proc"],
        _ => return argument,
    };
    argument.value_parser(PossibleValuesParser::new(values))
}

#[cfg(test)]
mod tests {
    use clap_complete::Shell;

    use super::*;

    fn script(shell: Shell) -> String {
        let mut script = Vec::new();
        generate(shell, &mut command(), "lxkns", &mut script);
        String::from_utf8(script).unwrap()
    }

    #[test]
    fn values_are_named_and_nothing_hidden_is() {
        for shell in [Shell::Bash, Shell::Elvish, Shell::Fish, Shell::PowerShell, Shell::Zsh] {
            let script = script(shell);
            assert!(script.contains("orphans") && script.contains("all-leaders"), "{shell}");
            assert!(!script.contains("packagers") && !script.contains("lxkns man"), "{shell}");
        }
        for shell in [Shell::Bash, Shell::Fish, Shell::Zsh] {
            let script = script(shell);
            for value in ["UNIQUEID", "PROPAGATION", "cgroup", "proc", "never"] {
                assert!(script.contains(value), "{shell}: {value}");
            }
        }
    }
}
