//! `lxkns enter`: a command inside namespaces.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::process::ExitCode;

use lxkns_answers::json::Envelope;
use lxkns_core::ProcRoot;
use lxkns_core::model::{DiscoveryOptions, NamespaceType, Pid, Place, Places, Snapshot};
use lxkns_enter::{
    CgroupsOf, Ended, Enter, Environment, Error, ErrorKind, LimitsOf, Plan, PowersOf, Target as Entered, Tools,
};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::args::{EnterArgs, EnvironmentOf, LimitsFrom};
use crate::exit::{self, say};
use crate::live;
use crate::resolve::{Resolver, resolver, verify_open};
use crate::view;
use crate::view::escape::shell_word;
use crate::view::screen::{self, Color, Screen};
use lxkns_answers::netns;
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::chain;
use lxkns_answers::whose::{self, Whose, WhoseForm};

/// The exit codes that are not the command's, as `env(1)` has them.
const FAILED: u8 = 125;
const NOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;

/// Runs it.
pub(crate) fn run(args: &EnterArgs, color: Color) -> ExitCode {
    match enter(args, color) {
        Ok(code) => ExitCode::from(code),
        Err((code, message)) => {
            // Few calls say that this is why they fail.
            match ProcRoot::host().ok().and_then(|proc| lxkns_live::other_procfs(&proc)).filter(|_| code == FAILED) {
                Some(why) => say(format_args!("{message}; {why}")),
                None => say(message),
            }
            ExitCode::from(code)
        }
    }
}

/// The exit code of bad usage.
pub(crate) fn bad_usage(error: &clap::Error) -> ExitCode {
    let code = exit::report_arguments(error);
    if error.use_stderr() { ExitCode::from(FAILED) } else { code }
}

type Failure = (u8, String);

fn failed(error: impl fmt::Display) -> Failure {
    (FAILED, error.to_string())
}

fn enter(args: &EnterArgs, color: Color) -> Result<u8, Failure> {
    lxkns_enter::seal::run_protected().map_err(told)?;
    // A copy in memory has the number of a descriptor for a name.
    let _ = rustix::thread::set_name(c"lxkns");
    // Else a user who may run the program to look could change any container. Most of these powers are gone by now: a program
    // in memory has no file capabilities.
    if lxkns_sys::at_secure() {
        let message =
            "enter does not use the powers of the program's file (set-user-ID, file capabilities); run it as root";
        return Err(failed(message));
    }
    let proc = ProcRoot::host().map_err(|error| failed(chain(&error)))?;
    let (target, pid) = match &args.targets[..] {
        // The caller cannot enter its own namespaces, and the command has them anyway.
        [asked @ Asked { target: Target::Process(pid), .. }] if asked.is_caller() => {
            let own = NamespaceType::ALL.into_iter().filter_map(|ns_type| of_process(&proc, *pid, ns_type).ok());
            (Entered::namespaces(&proc, own.collect()).map_err(told)?, Some(*pid))
        }
        [asked @ Asked { target: Target::Process(pid), .. }] => {
            let process = Entered::process(&proc, *pid).map_err(told)?;
            verify_open(&proc, asked, *pid).map_err(failed)?;
            (process, Some(*pid))
        }
        targets => named(&proc, targets, args)?,
    };
    let plan = wanted(&proc, target, args).prepare().map_err(told)?;
    if args.dry_run {
        return dry_run(&plan, pid, args, color).map(|()| 0);
    }
    for note in plan.notes() {
        say(note);
    }
    plan.run().map(Ended::code).map_err(told)
}

fn told(error: Error) -> Failure {
    let code = match error.kind() {
        ErrorKind::CommandNotFound => NOT_FOUND,
        ErrorKind::CommandNotRun => NOT_RUN,
        _ => FAILED,
    };
    let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    (code, chain(&error) + &hint)
}

fn wanted<'a>(proc: &'a ProcRoot, target: Entered, args: &EnterArgs) -> Enter<'a> {
    let mut enter = Enter::new(proc, target)
        .except(args.except.iter().copied())
        .command(&args.command)
        .powers(if args.privileged { PowersOf::Caller } else { PowersOf::Target })
        .cgroups(if args.no_cgroup { CgroupsOf::Caller } else { CgroupsOf::Target })
        .keep_fds(args.fds.iter().copied())
        .limits(match args.limits {
            LimitsFrom::Target => LimitsOf::Target,
            LimitsFrom::Caller => LimitsOf::Caller,
        })
        .wait(args.patience.timeout);
    if let Some(only) = &args.only {
        enter = enter.only(only.iter().copied());
    }
    if let Some(user) = &args.user {
        let mut parts = user.as_bytes().splitn(2, |&byte| byte == b':').map(OsStr::from_bytes);
        enter = parts.next().into_iter().fold(enter, Enter::user);
        enter = parts.next().into_iter().fold(enter, Enter::group);
    }
    if let Some(group) = &args.group {
        enter = enter.group(group);
    }
    match &args.tools {
        Some(tools) if tools.as_os_str() == "host" => enter = enter.tools(Tools::Host),
        Some(file) => enter = enter.tools(Tools::File(file.clone())),
        None => {}
    }
    match args.env {
        Some(EnvironmentOf::Target) => enter.environment(Environment::Target),
        Some(EnvironmentOf::Host) => enter.environment(Environment::Host),
        Some(EnvironmentOf::Clean) => enter.environment(Environment::Clean),
        None => enter,
    }
}

/// Opens TARGETs that are namespaces, or the process of a container.
fn named(proc: &ProcRoot, targets: &[Asked], args: &EnterArgs) -> Result<(Entered, Option<Pid>), Failure> {
    // Words after the process are the command.
    if let [asked, rest @ ..] = targets
        && args.command.is_empty()
        && let Some(at) = rest.iter().position(|asked| is_command(&asked.target))
    {
        let named = std::iter::once(asked).chain(&rest[..at]).map(|asked| asked.text.as_os_str());
        return Err(failed(without_dashes(named, rest[at..].iter().map(|asked| asked.text.as_os_str()))));
    }
    let is_of_process = |asked: &Asked| matches!(asked.target, Target::OfProcess(..));
    check_pids(targets)?;
    let access = live::access(&args.patience);
    let discovery = live::session(&access).map_err(failed)?;
    let snapshot = match targets.iter().all(is_of_process) {
        true => None,
        false => Some(live::discover(&discovery, &DiscoveryOptions::namespaces(), &args.patience).map_err(failed)?),
    };
    let resolver = snapshot.as_ref().map(|snapshot| resolver(snapshot, true));
    let mut settled = Vec::new();
    for asked in targets {
        settled.push(match snapshot.as_ref().zip(resolver.as_ref()) {
            Some((snapshot, resolver)) => {
                let settled = pinned(snapshot, resolver, asked)?;
                tell_claimed(proc, snapshot, asked, &settled);
                settled
            }
            None => asked.clone(),
        });
    }
    if let [asked @ Asked { target: Target::Process(pid), .. }] = &settled[..] {
        let process = Entered::process(proc, *pid).map_err(told)?;
        verify_open(proc, asked, *pid).map_err(failed)?;
        return Ok((process, Some(*pid)));
    }
    check_pids(&settled)?;
    let mut opened = Vec::new();
    for asked in &settled {
        if let Target::OfProcess(pid, ns_type) = asked.target {
            opened.push(of_process(proc, pid, ns_type).map_err(|errno| {
                let error = io::Error::from(errno);
                failed(format_args!("{}: {error}", asked.text.to_string_lossy()))
            })?);
            verify_open(proc, asked, pid).map_err(failed)?;
            continue;
        }
        let (Some(snapshot), Some(resolver)) = (&snapshot, &resolver) else { continue };
        for id in resolver.resolve(asked).map_err(failed)? {
            opened.push(discovery.open(snapshot, id).map_err(|error| failed(chain(&error)))?);
        }
    }
    Ok((Entered::namespaces(proc, opened).map_err(told)?, None))
}

/// A process must be the only TARGET.
fn check_pids(targets: &[Asked]) -> Result<(), Failure> {
    let Some(asked) = targets.iter().find(|asked| matches!(asked.target, Target::Process(_))) else { return Ok(()) };
    let text = asked.text.to_string_lossy();
    Err(failed(format_args!("{text}: only one PID is allowed; for several, name namespaces, e.g. {text}/net")))
}

/// A TARGET with the process or its namespace in place of a container. Until that is open the PID can be given to another
/// process: it is pinned by its start time.
fn pinned(snapshot: &Snapshot, resolver: &Resolver<'_>, asked: &Asked) -> Result<Asked, Failure> {
    let Asked { text, target } = resolver.settle(asked).map_err(failed)?;
    let is_named = !matches!(asked.target, Target::Process(_) | Target::OfProcess(..));
    let started = |pid: Pid| snapshot.processes.get(&pid).map(|process| process.start_time_ticks());
    let text = match target {
        Target::Process(pid) if is_named => started(pid).map(|ticks| format!("{pid}:{ticks}").into()),
        Target::OfProcess(pid, ns_type) if is_named => {
            started(pid).map(|ticks| format!("{pid}:{ticks}/{ns_type}").into())
        }
        _ => None,
    }
    .unwrap_or(text);
    Ok(Asked { text, target })
}

/// Says where a container is one by the word of an ordinary user alone: who it is that is entered is not known then.
fn tell_claimed(proc: &ProcRoot, snapshot: &Snapshot, asked: &Asked, settled: &Asked) {
    let is_named = !matches!(asked.target, Target::Process(_) | Target::OfProcess(..));
    let (true, Target::Process(pid) | Target::OfProcess(pid, _)) = (is_named, &settled.target) else { return };
    let status = proc.read(&format!("{pid}/status")).ok();
    let status = status.and_then(|text| lxkns_core::parse::status(&text).ok());
    if let Some(claimed) = whose::claimed(snapshot, *pid, status.map(|status| status.process.uids.real)) {
        say(format_args!("{}: {claimed}", asked.text.to_string_lossy()));
    }
}

/// Whether it names a program rather than a namespace.
fn is_command(target: &Target) -> bool {
    match target {
        Target::Path(path) => matches!(live::namespace_at(path), Ok(None)),
        Target::Name(name) => {
            let mut paths = netns::DIRECTORIES.iter().map(|directory| format!("{directory}{name}"));
            !paths.any(|path| matches!(live::namespace_at(path.as_ref()), Ok(Some(_))))
        }
        _ => false,
    }
}

/// What to type instead, where the `--` before the command is missing.
pub(crate) fn without_dashes<'a>(
    targets: impl Iterator<Item = &'a OsStr>,
    command: impl Iterator<Item = &'a OsStr>,
) -> String {
    let quoted = |words: Vec<&OsStr>| words.into_iter().map(|word| shell_word(word.as_bytes())).collect::<Vec<_>>();
    let (targets, command) = (quoted(targets.collect()), quoted(command.collect()));
    let first = command.first().map_or("", String::as_str);
    format!(
        "{first}: not a TARGET; write -- before the command: lxkns enter {} -- {}",
        targets.join(" "),
        command.join(" ")
    )
}

fn of_process(proc: &ProcRoot, pid: Pid, ns_type: NamespaceType) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::openat(proc, format!("{pid}/ns/{ns_type}"), flags, Mode::empty())
}

/// Shows the plan. `pid` is the process that is entered, if it is one.
fn dry_run(plan: &Plan, pid: Option<Pid>, args: &EnterArgs, color: Color) -> Result<(), Failure> {
    let access = live::access(&args.patience);
    let snapshot = || {
        let mut options = DiscoveryOptions::namespaces();
        options.places = Places::NONE.with(Place::Processes);
        live::discover(&live::session(&access)?, &options, &args.patience)
    };
    // The owner is only shown.
    let snapshot = pid.and_then(|_| snapshot().ok());
    let known = snapshot.as_ref().zip(pid);
    let form = known.map(|(snapshot, pid)| WhoseForm::process(snapshot, pid)).unwrap_or_default();
    let words = known.and_then(|(snapshot, pid)| Whose::process(snapshot, pid)).map(|whose| whose.words());
    let printed = screen::print(|out| {
        if args.json {
            let answer = Envelope::new("enter", vec![plan.answer(form)], Vec::new());
            return Ok(screen::write_json(out, &answer)?);
        }
        let screen = Screen::detect(color);
        if let Some(words) = words {
            screen.line(out, "", || format!("target: {words}"))?;
        }
        if args.all {
            return Ok(view::enter::write(plan, out, !args.no_headings, screen)?);
        }
        let own: Vec<_> =
            NamespaceType::ALL.into_iter().filter_map(|it| Some((it, live::own_namespace(it)?))).collect();
        Ok(view::enter::write_differences(plan, &own, out, screen)?)
    });
    match printed {
        Err(error) if error.is_closed_pipe() => {}
        printed => printed.map_err(failed)?,
    }
    if !args.json {
        plan.notes().iter().for_each(say);
    }
    Ok(())
}
