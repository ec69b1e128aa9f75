//! The options of `lxkns who-can`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{AnswerArgs, target};
use lxkns_answers::target::Asked;
use lxkns_answers::who_can;
use lxkns_core::model::Capability;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns who-can sys_admin           list who has CAP_SYS_ADMIN on the host
  lxkns who-can net_admin web/net   who may configure the network of a container
  lxkns who-can cap_kill user:4026532281 --all
                                    a line for each process
  lxkns who-can sys_ptrace --json   for programs";

pub(super) const NOTES: &str = "\
HAS can be:
  yes        the capability is effective
  can raise  it is permitted: the process can make it effective at any time
  not known  the facts that decide are not readable
WHY can be:
  member     by its own set: it is in the user namespace that decides
  ancestor   by its own set: it is in an ancestor of that one
  creator    by its UID: that created the user namespace that decides or an
             ancestor, and the process is in the parent; its sets do not count";

#[derive(Debug, clap::Args)]
pub(crate) struct WhoCanArgs {
    /// Capability: sys_admin, CAP_SYS_ADMIN, 21
    #[arg(value_name = "CAP", value_parser = who_can::capability)]
    pub(crate) capability: Capability,

    /// Namespace, by default host/user; the user namespace that owns it decides, or a user namespace itself
    #[arg(value_name = "TARGET", default_value = "host/user", hide_default_value = true,
          value_parser = OsStringValueParser::new().try_map(|text| target(&text)))]
    pub(crate) target: Asked,

    /// Write a line for each process and task, not one for each container or unit and reason
    #[arg(long)]
    pub(crate) all: bool,

    /// Leave out headings
    #[arg(short, long)]
    pub(crate) no_headings: bool,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}
