//! The options of `lxkns busy`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::AnswerArgs;
use lxkns_answers::file_system;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns busy /mnt/usb     explain why umount /mnt/usb fails
  lxkns busy /dev/sdb1    the same for a device, also if it is not mounted here
  lxkns busy 0:52         the same by device number, as in mountinfo

PATH is a mount point, or a symbolic link to one, as for umount. lxkns looks it
up in the list of mounts first and never asks a file system whose server may be
gone.";

#[derive(Debug, clap::Args)]
pub(crate) struct BusyArgs {
    /// Mount point, device, or device number as in mountinfo
    #[arg(value_name = "PATH|DEVICE|MAJ:MIN",
          value_parser = OsStringValueParser::new().try_map(|text| file_system::Asked::parse(&text)))]
    pub(crate) file_system: file_system::Asked,

    /// Show every mount, user and suspect
    #[arg(long)]
    pub(crate) all: bool,

    #[command(flatten)]
    pub(crate) answer: AnswerArgs,
}
