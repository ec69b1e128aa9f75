//! The command's environment.
//!
//! A container controls the variables of its processes, and some load code. So the target's environment goes only to a command
//! that sees the target's files.

use std::ffi::CString;
use std::time::Duration;

use crate::error::Cause;
use crate::in_time::in_time;
use crate::process::{self, Process};
use crate::users::User;

/// Where the environment comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// The target process.
    Target,
    /// The caller.
    Host,
    /// An empty environment, except `TERM` and the variables that are set for the user.
    Clean,
}

const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables with their values, each name once.
pub(crate) type Variables = Vec<(Vec<u8>, Vec<u8>)>;

/// The environment that a process was started with. Reading it takes the lock of the process's memory, which a stuck
/// process can hold forever.
pub(crate) fn of(process: &Process, wait: Duration) -> Result<Variables, Cause> {
    let dir = rustix::io::fcntl_dupfd_cloexec(&process.dir, 3)?;
    let text = in_time(wait, move || process::read(dir, "environ"))?;
    let mut variables = Variables::new();
    for entry in text.split(|&byte| byte == 0) {
        // Some shells export names that begin with "="; an empty name is not a variable.
        let at = entry.iter().skip(1).position(|&byte| byte == b'=').map(|at| at + 1);
        if let Some(at) = at {
            variables.push((entry[..at].to_vec(), entry[at + 1..].to_vec()));
        }
    }
    let mut seen = std::collections::HashSet::new();
    // The first of equal names counts, as for getenv(3).
    variables.retain(|(name, _)| seen.insert(name.clone()));
    Ok(variables)
}

fn get<'a>(variables: &'a Variables, name: &str) -> Option<&'a [u8]> {
    variables.iter().find(|(other, _)| other == name.as_bytes()).map(|(_, value)| value.as_slice())
}

fn set(variables: &mut Variables, name: &str, value: &[u8]) {
    match variables.iter_mut().find(|(other, _)| other == name.as_bytes()) {
        Some((_, old)) => *old = value.to_vec(),
        None => variables.push((name.into(), value.to_vec())),
    }
}

/// Sets `HOME`, `USER` and `SHELL` for this user. For a user without an entry, existing values stay if the environment
/// was this user's (`is_targets`). Sets `PATH` if it is missing, and `TERM` if the caller has it.
pub(crate) fn fit(variables: &mut Variables, user: Option<&User>, is_targets: bool, term: Option<&[u8]>) {
    match user {
        Some(user) => {
            set(variables, "HOME", if user.home.is_empty() { b"/" } else { &user.home });
            set(variables, "USER", &user.name);
            set(variables, "SHELL", shell_of(user));
            if get(variables, "LOGNAME").is_some() {
                set(variables, "LOGNAME", &user.name);
            }
        }
        None if is_targets => {}
        None => {
            variables.retain(|(name, _)| name != b"USER" && name != b"LOGNAME");
            set(variables, "HOME", b"/");
            set(variables, "SHELL", b"/bin/sh");
        }
    }
    if get(variables, "PATH").is_none_or(<[u8]>::is_empty) {
        set(variables, "PATH", PATH);
    }
    if let (None, Some(term)) = (get(variables, "TERM"), term) {
        set(variables, "TERM", term);
    }
}

/// The shell of a user; the default is that of `passwd(5)`.
fn shell_of(user: &User) -> &[u8] {
    if user.shell.is_empty() { b"/bin/sh" } else { &user.shell }
}

/// The shell to run if there is no command.
pub(crate) fn shell(user: Option<&User>) -> Vec<u8> {
    user.map_or(&b"/bin/sh"[..], shell_of).to_vec()
}

/// The paths to try for a command: the name itself if it has a slash, else the name in each directory of `PATH`.
pub(crate) fn candidates(command: &[u8], variables: &Variables) -> Vec<CString> {
    if command.contains(&b'/') {
        return CString::new(command).into_iter().collect();
    }
    let path = get(variables, "PATH").unwrap_or(PATH);
    let in_directory = |directory: &[u8]| {
        // An empty directory name means the working directory.
        let directory = if directory.is_empty() { b"." } else { directory };
        CString::new([directory, b"/", command].concat()).ok()
    };
    path.split(|&byte| byte == b':').filter_map(in_directory).collect()
}

/// The variables in the kernel's form.
pub(crate) fn strings(variables: &Variables) -> Vec<CString> {
    variables.iter().filter_map(|(name, value)| CString::new([name, &b"="[..], value].concat()).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables(pairs: &[(&str, &str)]) -> Variables {
        pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    #[test]
    fn variables_fit_the_user() {
        let user = User { name: b"u".into(), uid: 1, gid: 1, home: b"/h".into(), shell: vec![] };
        let mut changed = variables(&[("HOME", "/root"), ("X", "1"), ("PATH", "/p"), ("LOGNAME", "root")]);
        fit(&mut changed, Some(&user), true, Some(b"xterm"));
        let expected = [
            ("HOME", "/h"),
            ("X", "1"),
            ("PATH", "/p"),
            ("LOGNAME", "u"),
            ("USER", "u"),
            ("SHELL", "/bin/sh"),
            ("TERM", "xterm"),
        ];
        assert_eq!(changed, variables(&expected));
        let mut kept = variables(&[("HOME", "/x"), ("PATH", "/p"), ("TERM", "dumb")]);
        fit(&mut kept, None, true, Some(b"xterm"));
        assert_eq!(kept, variables(&[("HOME", "/x"), ("PATH", "/p"), ("TERM", "dumb")]));
        let mut unknown = variables(&[("HOME", "/x"), ("USER", "x")]);
        fit(&mut unknown, None, false, None);
        assert_eq!(get(&unknown, "HOME"), Some(&b"/"[..]));
        assert_eq!(get(&unknown, "USER"), None);
        assert_eq!(get(&unknown, "PATH"), Some(PATH));
    }

    #[test]
    fn a_command_is_looked_for_along_the_path() {
        let path = variables(&[("PATH", "/a::b")]);
        assert_eq!(candidates(b"x", &path), [c"/a/x".to_owned(), c"./x".to_owned(), c"b/x".to_owned()]);
        assert_eq!(candidates(b"./x", &path), [c"./x".to_owned()]);
    }
}
