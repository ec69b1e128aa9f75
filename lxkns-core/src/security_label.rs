//! The label by which a security module confines a process.

use bstr::BString;
use rustix::io::Errno;

use crate::failure;
use crate::model::{self, Process};
use crate::procfs::{ProcRoot, parse};

/// The label that a security module (SELinux, AppArmor, Smack) has given a process, as the kernel writes it; `None` where
/// no module gives any. Of several modules it is the first one's.
///
/// # Errors
///
/// What the kernel says; `ESRCH` where another process has the PID now.
///
/// # Privileges
///
/// None of most modules.
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
    // Of a first thread that has exited there is none.
    let task = process.living_task().tid;
    for file in ["attr/current", "attr/apparmor/current"] {
        match dir.read_record(format!("task/{task}/{file}"), &mut buffer) {
            Ok(text) => {
                let end = text.iter().rposition(|byte| !matches!(byte, b'\n' | 0)).map_or(0, |last| last + 1);
                if end > 0 {
                    return Ok(Some(BString::from(&text[..end])));
                }
            }
            // There is no such module, or it gives no labels. The files of a task that has ended say ESRCH.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    // The files of a task that has been reaped are missing too.
    dir.read_record("stat", &mut buffer)?;
    Ok(None)
}
