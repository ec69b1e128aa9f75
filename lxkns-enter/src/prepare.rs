//! From options to a plan: opens and verifies everything, and enters nothing.

use std::ffi::{CStr, CString};
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

use lxkns_core::ProcRoot;
use lxkns_core::model::CompactSort as _;
use lxkns_core::model::NamespaceType;
use lxkns_sys::{Cover, Exec, ExecProgram, Op, SharedFd};
use rustix::io::Errno;

use crate::credentials::{self, Asked, Ids};
use crate::descriptors::Descriptors;
use crate::enter::{CgroupsOf, Enter, PowersOf};
use crate::environment::{self, Environment, Variables};
use crate::error::{Cause, Error, ErrorKind};
use crate::plan::{Command, Plan};
use crate::process::{self, Process};
use crate::status::Status;
use crate::steps::{Draft, Fact, GUARD, Stage, Subject};
use crate::target::{self, Before, Entered};
use crate::terminal::Stranger;
use crate::tools::{self, ToolFile, Tools};
use crate::users::{self, User, Wanted};
use crate::{cgroup, confinement, directories, limits, seal};

pub(crate) fn prepare(enter: &Enter<'_>) -> Result<Plan, Error> {
    let Enter { proc, target, wait, powers, .. } = enter;
    let is_of_host = enter.tools == Tools::Host;
    // A program of the host runs with the caller's privileges.
    let (proc, wait, privileged) = (*proc, *wait, *powers == PowersOf::Caller || is_of_host);
    let process = target.as_process();
    let own =
        process::read(proc, "thread-self/status").map_err(|errno| Error::call("read the caller's status", errno))?;
    let own = Status::parse(&own).ok_or_else(|| Error::call("read the caller's status", Cause::MALFORMED))?;
    if let Some(process) = process.filter(|process| process.pid.0 == own.tgid) {
        return Err(Error::new(ErrorKind::Unsuitable, format!("{}: this is the entering process itself", process.pid)));
    }

    let mut draft = Draft::default();
    if let Some(process) = process {
        out_of_memory(&mut draft, proc, process)?;
    }
    draft.step(Stage::Before, GUARD, Op::Guard);
    let is_wanted = |ns_type: NamespaceType| {
        enter.only.as_ref().is_none_or(|only| only.contains(&ns_type))
            && !enter.except.contains(&ns_type)
            && !(is_of_host && tools::host::stays_out_of(ns_type, &own))
    };
    let keeps_cgroups =
        enter.cgroups == CgroupsOf::Caller && process.is_some_and(|process| cgroup::is_elsewhere(proc, process));
    let before = Before { own: &own, keeps_powers: privileged, keeps_cgroups };
    let entered = &target::namespaces(&mut draft, proc, target, &before, is_wanted)?;
    if process.is_some() && !privileged {
        draft.step(Stage::Enter, "take a new session keyring", Op::SessionKeyring);
    }

    let enters_mounts = entered.enters(NamespaceType::Mnt);
    if enters_mounts || entered.enters(NamespaceType::Pid) {
        seal::check()?;
    }
    // In the target's /proc, PIDs would mean other processes than in the command's system calls.
    let covers_proc = enters_mounts
        && entered.has_other_pids
        && process.is_none_or(|process| !directories::has_own_proc(proc, process, wait));
    if is_of_host {
        tools::host::view(&mut draft, entered);
    } else if covers_proc {
        // In another user namespace, the command may not mount the procfs of the caller's PID namespace.
        cover_proc(&mut draft, privileged && !entered.changes_user());
    }

    let root_inside = match process.filter(|_| entered.has_mounts) {
        Some(process) => Some(directories::of_process(&mut draft, proc, process, enters_mounts, covers_proc, wait)?),
        None => {
            stay_in_directories(&mut draft, process, entered.has_mounts);
            None
        }
    };
    let root = root_inside.clone().map_or_else(|| directories::own_root(proc, wait), Ok)?;
    let joined = control_groups(&mut draft, enter, proc, process, entered)?;
    limits::take_on(&mut draft, proc, process, &own, enter.limits)?;

    let names = Names::new(enter, &root, entered)?;
    let ids = Ids::new(process, &own, entered)?;
    let uids = ids.uids(&names.asked)?;
    if process.is_some() && !is_of_host
        || entered.changes_user()
        || names.asked.uid.is_some()
        || names.asked.gid.is_some()
    {
        credentials::take_on(&mut draft, &ids, &names.asked, uids, entered, privileged)?;
    } else {
        credentials::stay(&mut draft, &ids);
    }
    confinement::take_on(&mut draft, proc, process, &own, privileged)?;

    let uid = uids.unwrap_or(own.uids)[1];
    if entered.leaves_out_user && process.is_some() && !privileged {
        target::powers_by_creation(&mut draft, proc, uid, entered)?;
    }
    let user = names.user.or_else(|| names.passwd.as_deref().and_then(|text| users::user(text, &Wanted::Id(uid))));
    let variables = variables(&mut draft, enter, entered, user.as_ref(), names.asked.uid.is_none())?;
    let exec = exec(enter, user.as_ref(), &variables)?;
    let powers = process.filter(|_| !privileged).map(|process| &process.status);
    let is_weaker = entered.changes_user()
        || entered.leaves_out_user && powers.is_some()
        || uids.is_some_and(|uids| uids != own.uids && !is_of_host)
        || powers.is_some_and(|powers| powers.is_weaker_than(&own))
        || draft.steps.iter().any(|step| step.stage == Stage::Confinement);
    let stranger = is_weaker.then(|| Stranger {
        root: root_inside,
        // The UID of a requested user is only known inside.
        user: if names.asked.uid.is_none() { process.map(|process| process.status.uids[1]) } else { None },
    });
    if stranger.is_some() {
        draft.step(Stage::Session, "leave the caller's session", Op::NewSession);
    }
    draft.step(Stage::Last, GUARD, Op::Guard);

    if let Some(process) = process {
        // Make sure that everything was read and opened of this process.
        process.verify()?;
    }
    draft.steps.compact_sort_by_key(|step| step.stage);
    draft.rows.compact_sort_by_key(|row| row.subject);
    let name = exec.arguments.first().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let name = enter.command.first().map_or(name, |name| name.to_string_lossy().into_owned());
    let descriptors = Descriptors::new(proc, &enter.keep_fds)?;
    if stranger.is_some() {
        descriptors.check()?;
    }
    Ok(Plan {
        steps: draft.steps,
        rows: draft.rows,
        notes: draft.notes,
        command: Command { name, exec, blocked: own.blocked, enters_pids: entered.enters(NamespaceType::Pid) },
        descriptors,
        joined,
        stranger,
        witness: process.filter(|_| !privileged).map(Process::witness).transpose()?,
        procfs: proc
            .is_own()
            .then(|| rustix::io::fcntl_dupfd_cloexec(proc, 3))
            .transpose()
            .map_err(|errno| Error::call("copy a descriptor", errno))?,
        wait,
    })
}

/// The rows of the root and working directory of a command that does not get those of the process.
fn stay_in_directories(draft: &mut Draft, process: Option<&Process>, has_mounts: bool) {
    let text = if has_mounts { "/" } else { "the caller's" };
    for (subject, link) in [(Subject::Root, "root"), (Subject::WorkingDirectory, "cwd")] {
        let of = process.and_then(|process| rustix::fs::readlinkat(&process.dir, link, Vec::new()).ok());
        let of = of.map(|path| Fact::Text(path.to_string_lossy().into_owned()));
        draft.row(subject, of, Fact::Text(text.to_owned()));
    }
}

/// The control groups of the process, if they are to be joined.
fn control_groups(
    draft: &mut Draft,
    enter: &Enter<'_>,
    proc: &ProcRoot,
    process: Option<&Process>,
    entered: &Entered,
) -> Result<Option<cgroup::Joined>, Error> {
    if let Some(process) = process.filter(|_| enter.cgroups == CgroupsOf::Target) {
        return cgroup::join(draft, proc, process).map(Some);
    }
    cgroup::stay(draft, proc, process)?;
    if process.is_some() {
        let and = match entered.stays_because_of_cgroups {
            true => {
                ", and the command stays in the caller's PID namespace, so no process inside can leave them through it"
            }
            false => "",
        };
        draft.notes.push(format!("the control groups are not joined, so their limits do not apply{and}"));
    }
    Ok(None)
}

/// Covers the `/proc` of a mount namespace whose processes are in another PID namespace than the command.
fn cover_proc(draft: &mut Draft, keeps_powers: bool) {
    draft.step(Stage::Mounts, "make a mount namespace", Op::OwnMounts);
    // A container's programs must not see the caller's processes.
    let (cover, what) = if keeps_powers { (Cover::Proc, "that of the caller") } else { (Cover::NoProc, "empty") };
    draft.step(Stage::Cover, "cover the /proc of another PID namespace", Op::Cover(cover));
    draft.notes.push(format!(
        "/proc is {what} for the command: the PIDs in that of its mount namespace are of another PID namespace"
    ));
}

/// Users and groups, as the target's files define them.
struct Names {
    asked: Asked,
    /// The requested user, if it has an entry.
    user: Option<User>,
    passwd: Option<Vec<u8>>,
}

impl Names {
    fn new(enter: &Enter<'_>, root: &SharedFd, entered: &Entered) -> Result<Self, Error> {
        let process = enter.target.as_process();
        // The root directory is known before anything is entered.
        let is_known = process.is_some() || !entered.has_mounts;
        let read = |path: &'static CStr| match is_known {
            true => users::read_inside(enter.proc, root, path, enter.wait),
            false => Err(Cause::Words("not readable before the mount namespace is entered".into())),
        };
        let named = |what: &str, name: &[u8], path: &str, text: &Result<Vec<u8>, Cause>| {
            let name = String::from_utf8_lossy(name).into_owned();
            match text {
                Ok(_) => {
                    Error::new(ErrorKind::Missing, format!("there is no {what} {name} in the /{path} of the target"))
                }
                Err(cause) => Error::call(format!("{what} {name}: read its /{path}"), cause.clone()),
            }
        };
        let passwd = read(c"etc/passwd");
        let wanted = enter.user.as_deref().map(Wanted::parse);
        let user = match (&wanted, &passwd) {
            (Some(wanted), Ok(text)) => users::user(text, wanted),
            _ => None,
        };
        let uid = match (&wanted, &user) {
            (Some(Wanted::Name(name)), None) => return Err(named("user", name, "etc/passwd", &passwd)),
            (Some(Wanted::Id(uid)), None) => Some(*uid),
            (_, user) => user.as_ref().map(|user| user.uid),
        };
        let (mut gid, mut groups) = (None, None);
        if user.is_some() || enter.group.is_some() {
            let text = read(c"etc/group");
            gid = match enter.group.as_deref().map(Wanted::parse) {
                Some(Wanted::Name(name)) => {
                    let found = text.as_ref().ok().and_then(|text| users::group(text, &name));
                    Some(found.ok_or_else(|| named("group", &name, "etc/group", &text))?)
                }
                Some(Wanted::Id(gid)) => Some(gid),
                None => None,
            };
            if let Some(user) = &user {
                let text = match text {
                    // A user need not have an entry.
                    Err(Cause::Kernel(Errno::NOENT)) => Vec::new(),
                    Err(_) => return Err(named("groups of user", &user.name, "etc/group", &text)),
                    Ok(text) => text,
                };
                groups = Some(users::groups_of(&text, &user.name, gid.unwrap_or(user.gid)));
            }
        }
        Ok(Self { asked: Asked::of(user.as_ref(), uid, gid, groups), user, passwd: passwd.ok() })
    }
}

/// Gives the command at least the process's oom_score_adj: the caller can be a service that the OOM killer spares. This
/// is the first step, as an undumpable child of an unprivileged user may not write to the file.
fn out_of_memory(draft: &mut Draft, proc: &ProcRoot, process: &Process) -> Result<(), Error> {
    const FILE: &str = "oom_score_adj";
    let number = |text: Vec<u8>| std::str::from_utf8(&text).ok()?.trim().parse::<i32>().ok();
    let theirs = process.read(FILE).map_err(|errno| process::cannot(process.pid, "read oom_score_adj", errno))?;
    let own = process::read(proc, format!("self/{FILE}"))
        .map_err(|errno| Error::call("read the caller's oom_score_adj", errno))?;
    if let (Some(theirs), Some(own)) = (number(theirs), number(own))
        && theirs > own
    {
        let procfs =
            rustix::io::fcntl_dupfd_cloexec(proc, 3).map_err(|errno| Error::call("copy a descriptor", errno))?;
        let op = Op::WriteBelow(Arc::new(procfs), c"self/oom_score_adj".to_owned(), theirs.to_string().into_bytes());
        draft.step(Stage::Before, "set oom_score_adj", op);
    }
    Ok(())
}

fn variables(
    draft: &mut Draft,
    enter: &Enter<'_>,
    entered: &Entered,
    user: Option<&User>,
    is_targets: bool,
) -> Result<Variables, Error> {
    let process = enter.target.as_process();
    // A command that runs the caller's files takes variables of another process only if it has no more privileges than
    // that process.
    let sees_own_files = !draft.steps.iter().any(|step| matches!(step.op, Op::Root(_)));
    let gains = enter.powers == PowersOf::Caller || enter.user.is_some() || enter.group.is_some();
    let is_inside = process.filter(|_| entered.has_mounts && !(sees_own_files && gains));
    let from = enter.environment.unwrap_or(if is_inside.is_some() { Environment::Target } else { Environment::Host });
    let mut variables = match (from, is_inside) {
        (Environment::Target, Some(process)) => environment::of(process, enter.wait)
            .map_err(|errno| process::cannot_trace(process.pid, "read the environment", errno))?,
        (Environment::Target, None) => {
            // PATH and the loader's variables of the target would decide which of the caller's files run.
            let message =
                "the environment of the target is only for a command that sees its files, not the caller's own";
            return Err(Error::new(ErrorKind::Unsuitable, message));
        }
        (Environment::Host, _) => enter.variables.clone(),
        (Environment::Clean, _) => Variables::new(),
    };
    let term = enter.variables.iter().find(|(name, _)| name == b"TERM").map(|(_, value)| value.as_slice());
    let stays = process.is_none() && enter.user.is_none() && !entered.changes_user();
    if !(stays && from == Environment::Host) {
        environment::fit(&mut variables, user, is_targets && from == Environment::Target, term);
    }
    let text = match from {
        Environment::Target => "the process's",
        Environment::Host => "the caller's",
        Environment::Clean => "clean",
    };
    let command = Fact::Text(format!("{text}, {} variables", variables.len()));
    draft.row(Subject::Environment, process.map(|_| Fact::Text("its own".to_owned())), command);
    Ok(variables)
}

fn exec(enter: &Enter<'_>, user: Option<&User>, variables: &Variables) -> Result<Exec, Error> {
    let string = |bytes: &[u8]| {
        CString::new(bytes).map_err(|_| Error::new(ErrorKind::Unsuitable, "an argument contains a NUL byte"))
    };
    let tool = match &enter.tools {
        Tools::File(path) => Some((path, ToolFile::open(path)?)),
        Tools::Target | Tools::Host => None,
    };
    let (paths, arguments) = match enter.command.split_first() {
        Some((command, _)) => {
            let arguments =
                enter.command.iter().map(|argument| string(argument.as_bytes())).collect::<Result<_, _>>()?;
            (environment::candidates(command.as_bytes(), variables), arguments)
        }
        None if tool.is_some() => {
            let name = tool.as_ref().and_then(|(path, _)| path.file_name()).unwrap_or_default();
            (Vec::new(), vec![string(name.as_bytes())?])
        }
        None => {
            let shell = environment::shell(user);
            let name = shell.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
            // The leading dash makes it a login shell.
            (vec![string(&shell)?, c"/bin/sh".to_owned()], vec![string(&[b"-", name].concat())?])
        }
    };
    let program = match tool {
        Some((_, tool)) => ExecProgram::Fd(tool.into_fd()),
        None => ExecProgram::Paths(paths),
    };
    Ok(Exec { program, arguments, environment: environment::strings(variables) })
}
