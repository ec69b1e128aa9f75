//! The command lines of monitors of containers. A command line is read from the memory of its process, which can
//! keep the reader waiting: so by the thread that can be left behind.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use bstr::BString;
use lxkns_model::{Pid, Uid};

use crate::files::Failure;
use crate::parse::monitor::{self, Monitor};
use crate::processes::read_start_of_proc;

/// A process that may be one.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) pid: Pid,
    /// The ordinary user whose it is; `None` of root.
    pub(crate) whose: Option<Uid>,
    /// The procfs.
    pub(crate) proc: Arc<OwnedFd>,
    /// Its command line, where that was read before.
    pub(crate) command_line: Option<Vec<BString>>,
}

/// How much of a command line is read: the options that matter come first.
const LONGEST: usize = 32 << 10;

/// What its command line says, if it is one.
pub(crate) fn read(watched: &Watched) -> Result<Option<Monitor>, Failure> {
    if let Some(arguments) = &watched.command_line {
        return Ok(monitor::parse(arguments));
    }
    let text = read_start_of_proc(&*watched.proc, &format!("{}/cmdline", watched.pid), LONGEST)?;
    let text = text.strip_suffix(b"\0").unwrap_or(&text);
    let arguments: Vec<BString> = text.split(|&byte| byte == 0).map(BString::from).collect();
    Ok(monitor::parse(&arguments))
}
