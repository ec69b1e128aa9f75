//! The options of `lxkns busy`.

use clap::builder::{OsStringValueParser, TypedValueParser as _};

use super::LookArgs;
use crate::file_system;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns busy /mnt/usb     why umount /mnt/usb fails, and what else uses that file system
  lxkns busy /dev/sdb1    in all mount namespaces, also where it is not mounted here
  lxkns busy 0:52         by the device number in mountinfo

PATH is a mount point, or a symbolic link to one, as for umount. It is looked up in the
mount list first; a file system whose server may be gone is never asked for it.";

#[derive(Debug, clap::Args)]
pub(crate) struct BusyArgs {
    /// The mount or file system: its mount point, its device, or its device number as in mountinfo
    #[arg(value_name = "PATH|DEVICE|MAJ:MIN",
          value_parser = OsStringValueParser::new().try_map(|text| file_system::Asked::parse(&text)))]
    pub(crate) file_system: file_system::Asked,

    /// Show every mount, user and suspect
    #[arg(long)]
    pub(crate) all: bool,

    /// For programs: JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,
}
