//! Security contexts and profiles.

use std::ffi::CString;
use std::sync::Arc;

use lxkns_core::ProcRoot;
use lxkns_sys::Op;
use rustix::io::Errno;

use crate::error::{Cause, Error};
use crate::process::{self, Process, cannot};
use crate::status::Status;
use crate::steps::{Draft, Fact, Stage, Subject};

/// `LSM_ID_SELINUX` and `LSM_ID_APPARMOR` of `linux/lsm.h`.
const SELINUX: u64 = 101;
const APPARMOR: u64 = 104;

/// The security context that one security module gives a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Context {
    module: u64,
    name: &'static str,
    /// For AppArmor, without the mode.
    pub(crate) label: Vec<u8>,
    exec: &'static str,
}

impl Context {
    pub(crate) fn in_words(&self) -> String {
        format!("{} {}", self.name, String::from_utf8_lossy(&self.label))
    }

    /// The step that makes the child run the command with this context. The child writes to its own file below the
    /// caller's procfs.
    pub(crate) fn step(&self, proc: &ProcRoot) -> Result<(String, Op), Error> {
        let procfs =
            rustix::io::fcntl_dupfd_cloexec(proc, 3).map_err(|errno| Error::call("copy a descriptor", errno))?;
        let context = match self.module {
            APPARMOR => [b"exec ", self.label.as_slice()].concat(),
            _ => self.label.clone(),
        };
        let path = CString::new(format!("thread-self/attr/{}", self.exec)).unwrap_or_default();
        let op = Op::ExecContext { module: self.module, context, procfs: Arc::new(procfs), path };
        Ok((format!("take on the {}", self.in_words()), op))
    }
}

/// Sets the security context, then `no_new_privs`, which would forbid the change of context.
pub(crate) fn take_on(
    draft: &mut Draft,
    proc: &ProcRoot,
    process: Option<&Process>,
    status: &Status,
    privileged: bool,
) -> Result<(), Error> {
    let ours = own(proc)?;
    let list = |contexts: &[Context]| match contexts {
        [] => Fact::Text("none".to_owned()),
        contexts => Fact::Text(contexts.iter().map(Context::in_words).collect::<Vec<_>>().join(", ")),
    };
    let seccomp = |filtered: Option<bool>| {
        Fact::Text(match filtered {
            Some(true) => "filtered".to_owned(),
            Some(false) => "not filtered".to_owned(),
            None => "not known".to_owned(),
        })
    };
    let Some(process) = process else {
        draft.row(Subject::Seccomp, None, seccomp(status.seccomp));
        draft.row(Subject::Landlock, None, Fact::Text("the caller's".to_owned()));
        draft.row(Subject::Lsm, None, list(&ours));
        return Ok(());
    };
    let theirs = of(proc, process);
    draft.row(Subject::Seccomp, Some(seccomp(process.status.seccomp)), seccomp(status.seccomp));
    // The kernel does not show a process's rules to others.
    let text = |text: &str| Fact::Text(text.to_owned());
    draft.row(Subject::Landlock, Some(text("not visible")), text("the caller's; the process's are not taken over"));
    if privileged {
        draft.row(Subject::Lsm, theirs.ok().map(|theirs| list(&theirs)), list(&ours));
        draft.notes.push(
            "the command keeps the caller's powers: the process's limits on capabilities, no_new_privs, security \
            context and filters of system calls do not apply"
                .to_owned(),
        );
        return Ok(());
    }
    let theirs = theirs?;
    for context in theirs.iter().filter(|context| !ours.contains(context)) {
        let (what, op) = context.step(proc)?;
        draft.step(Stage::Confinement, what, op);
    }
    draft.row(Subject::Lsm, Some(list(&theirs)), list(&theirs));
    if process.status.no_new_privs && !status.no_new_privs {
        draft.step(Stage::Confinement, "set no_new_privs", Op::NoNewPrivs);
    }
    if process.status.seccomp == Some(true) {
        let note = "the process's filters of system calls (seccomp), and Landlock rules if it has any, are not taken over: \
                    the command runs without them";
        draft.notes.push(note.to_owned());
    }
    Ok(())
}

/// The contexts of a process, one for each active module.
pub(crate) fn of(proc: &ProcRoot, process: &Process) -> Result<Vec<Context>, Error> {
    let read = |path: &str| process.read(path);
    contexts(proc, &read).map_err(|errno| cannot(process.pid, "read the security context", errno))
}

/// The contexts of the caller.
pub(crate) fn own(proc: &ProcRoot) -> Result<Vec<Context>, Error> {
    let read = |path: &str| process::read(proc, format!("thread-self/{path}"));
    contexts(proc, &read).map_err(|errno| Error::call("read the caller's security context", errno))
}

fn contexts(proc: &ProcRoot, read: &dyn Fn(&str) -> Result<Vec<u8>, Cause>) -> Result<Vec<Context>, Cause> {
    let mut contexts = Vec::new();
    let has_file_system = process::read(proc, "filesystems")
        .is_ok_and(|text| String::from_utf8_lossy(&text).lines().any(|line| line.trim_end().ends_with("\tselinuxfs")));
    // The file that all modules share belongs to the first active one.
    let shared = label(read, "attr/current")?;
    if let (true, Some(label)) = (has_file_system, &shared) {
        contexts.push(Context { module: SELINUX, name: "SELinux context", label: label.clone(), exec: "exec" });
    }
    let own_file = label(read, "attr/apparmor/current")?;
    let is_shared = own_file.is_none() && !has_file_system;
    if let Some(label) = own_file.or_else(|| shared.filter(|_| is_shared)) {
        let exec = if is_shared { "exec" } else { "apparmor/exec" };
        let label = profile(&label).to_vec();
        contexts.push(Context { module: APPARMOR, name: "AppArmor profile", label, exec });
    }
    Ok(contexts)
}

fn label(read: &dyn Fn(&str) -> Result<Vec<u8>, Cause>, path: &str) -> Result<Option<Vec<u8>>, Cause> {
    match read(path) {
        Ok(mut text) => {
            while matches!(text.last(), Some(b'\n' | b'\0')) {
                text.pop();
            }
            Ok(Some(text).filter(|text| !text.is_empty()))
        }
        // The module is not built in or not active.
        Err(cause) if cause.is_any(&[Errno::NOENT, Errno::INVAL, Errno::OPNOTSUPP]) => Ok(None),
        Err(cause) => Err(cause),
    }
}

/// A profile without its mode: `a//&b (enforce)`.
fn profile(text: &[u8]) -> &[u8] {
    match text.windows(2).rposition(|pair| pair == b" (") {
        Some(at) if text.ends_with(b")") => &text[..at],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_without_its_mode() {
        for (text, expected) in [
            ("docker-default (enforce)", "docker-default"),
            ("a//&:ns:b c (mixed)", "a//&:ns:b c"),
            ("odd (name) (complain)", "odd (name)"),
            ("unconfined", "unconfined"),
        ] {
            assert_eq!(profile(text.as_bytes()), expected.as_bytes());
        }
    }
}
