//! Labels of security modules.

use bstr::BString;
use rustix::io::Errno;

use crate::error::{Error, ErrorKind};
use crate::failure::Failure;
use crate::model::Process;
use crate::procfs::{ProcDir, ProcRoot, parse};

/// The label that a security module (SELinux, AppArmor, Smack) has given a process, as the kernel writes it; `None` if
/// no module gives one. With several modules, the label of the first.
///
/// # Errors
///
/// [`ErrorKind::Procfs`]: the kernel's error, a malformed text, or that another process has the PID now.
///
/// # Privileges
///
/// None for most modules.
pub fn security_label(proc: &ProcRoot, process: &Process) -> Result<Option<BString>, Error> {
    let failed = |failure| Error::with_source(ErrorKind::Procfs, "cannot read the security label", failure);
    read(proc, process).map_err(failed)
}

fn read(proc: &ProcRoot, process: &Process) -> Result<Option<BString>, Failure> {
    let dir = proc.process(process.pid)?;
    let mut buffer = Vec::new();
    let stat = parse::stat::parse(dir.read_record("stat", &mut buffer)?)?;
    if stat.start_time_ticks != process.start_time_ticks() {
        return Err(Failure::VANISHED);
    }
    // A thread group leader that has exited has no label.
    let task = process.living_task().tid;
    if let Some(label) = label(&dir, &format!("task/{task}/"), &mut buffer)? {
        return Ok(Some(label));
    }
    // The files of a task that has been reaped are missing too.
    dir.read_record("stat", &mut buffer)?;
    Ok(None)
}

/// The label of the task with the directory `below` the process's; `None` if no module gives one, or the task has been
/// reaped.
pub(crate) fn label(dir: &ProcDir, below: &str, buffer: &mut Vec<u8>) -> Result<Option<BString>, Errno> {
    for file in ["attr/current", "attr/apparmor/current"] {
        match dir.read_record(format!("{below}{file}"), buffer) {
            Ok(text) => {
                let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | 0)).map_or(0, |last| last + 1);
                if end > 0 {
                    return Ok(Some(BString::from(&text[..end])));
                }
            }
            // The module is missing or gives no labels. The files of a task that has ended fail with ESRCH.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(None)
}

/// Whether a security module gives the caller a label, as it then gives each task one; `None` where that cannot be read.
pub(crate) fn of_caller(proc: &ProcRoot) -> Option<bool> {
    let dir = proc.process(proc.own_pid()?).ok()?;
    label(&dir, "", &mut Vec::new()).ok().map(|label| label.is_some())
}
