//! The options of `lxkns completions`.

use clap_complete::Shell;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns completions bash >/usr/share/bash-completion/completions/lxkns
  lxkns completions zsh >/usr/share/zsh/vendor-completions/_lxkns
  lxkns completions fish >/usr/share/fish/vendor_completions.d/lxkns.fish
  . <(lxkns completions bash)     for this shell only";

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionsArgs {
    /// Shell: bash, elvish, fish, powershell, zsh
    #[arg(value_name = "SHELL", value_enum, hide_possible_values = true)]
    pub(crate) shell: Shell,
}
