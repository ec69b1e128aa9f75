//! `lxkns completions`: a script with which a shell completes command lines of lxkns.
//!
//! Those for bash, fish and zsh ask lxkns itself (`lxkns complete`), so they offer the namespaces and processes of the
//! host. The others complete only commands and options.

use std::io::Write as _;

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::args::{Args, CompletionsArgs};
use crate::exit::{Exit, Result};
use crate::view::screen;

/// Runs it.
pub(crate) fn run(args: &CompletionsArgs) -> Result {
    let script = script(args.shell);
    screen::print(|out| Ok(out.write_all(&script)?))?;
    Ok(Exit::Done)
}

fn script(shell: Shell) -> Vec<u8> {
    let text = match shell {
        Shell::Bash => include_str!("../completions/lxkns.bash"),
        Shell::Fish => include_str!("../completions/lxkns.fish"),
        Shell::Zsh => include_str!("../completions/lxkns.zsh"),
        _ => {
            let mut script = Vec::new();
            generate(shell, &mut command(), "lxkns", &mut script);
            return script;
        }
    };
    text.into()
}

/// The command without its hidden parts. It is not used to parse.
fn command() -> Command {
    let whole = Args::command();
    let visible = whole.get_subcommands().filter(|command| !command.is_hide_set());
    Command::new("lxkns")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(whole.get_arguments())
        .subcommands(visible.cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hidden_is_named() {
        for shell in [Shell::Elvish, Shell::PowerShell] {
            let script = String::from_utf8(script(shell)).unwrap();
            assert!(script.contains("orphans") && script.contains("all-leaders"), "{shell}");
            assert!(!script.contains("lxkns;inside") && !script.contains("lxkns;complete'"), "{shell}");
        }
    }
}
