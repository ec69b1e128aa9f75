//! The options of `lxkns owner`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::{AnswerArgs, target};
use lxkns_answers::owner::Asked;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns owner /srv/data/db          show whose a file is, on the host and in each
                                    user namespace that sees it
  lxkns owner web:/etc/shadow       the same for a file in a container
  lxkns owner 1234:/etc/passwd      the same for a file that a process sees
  lxkns owner --json ./a:/b         for programs; a path with :/ in it begins with
                                    / or .

A symbolic link at the end is not followed, as by ls -l; -L follows it. In a
container, links and .. stay below the root directory of its main process.";

#[derive(Debug, clap::Args)]
pub(crate) struct OwnerArgs {
    /// File; after TARGET: the path as that process or container sees it
    #[arg(value_name = "PATH|TARGET:PATH",
          value_parser = OsStringValueParser::new().try_map(|text| Asked::parse(&text, target)))]
    pub(crate) file: Asked,

    /// Follow a symbolic link at the end of the path
    #[arg(short = 'L', long)]
    pub(crate) dereference: bool,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}
