//! Labels of security modules.

use bstr::BString;
use rustix::io::Errno;

use crate::failure;
use crate::model::{self, Process};
use crate::procfs::{ProcRoot, parse};

/// The label that a security module (SELinux, AppArmor, Smack) has given a process, as the kernel writes it; `None` if
/// no module gives one. With several modules, the label of the first.
///
/// # Errors
///
/// The kernel's; `ESRCH` if another process has the PID now.
///
/// # Privileges
///
/// None for most modules.
pub fn security_label(proc: &ProcRoot, process: &Process) -> Result<Option<BString>, model::Errno> {
    read(proc, process).map_err(failure::public_errno)
}

fn read(proc: &ProcRoot, process: &Process) -> Result<Option<BString>, Errno> {
    let dir = proc.process(process.pid)?;
    let mut buffer = Vec::new();
    let stat = parse::stat::parse(dir.read_record("stat", &mut buffer)?).map_err(|_| Errno::IO)?;
    if stat.start_time_ticks != process.start_time_ticks() {
        return Err(Errno::SRCH);
    }
    // A thread group leader that has exited has no label.
    let task = process.living_task().tid;
    for file in ["attr/current", "attr/apparmor/current"] {
        match dir.read_record(format!("task/{task}/{file}"), &mut buffer) {
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
    // The files of a task that has been reaped are missing too.
    dir.read_record("stat", &mut buffer)?;
    Ok(None)
}
