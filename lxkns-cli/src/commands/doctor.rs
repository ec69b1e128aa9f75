//! `lxkns doctor`: what can be seen here, what cannot and why, and what would help.

use lxkns_answers::text::chain;
use lxkns_core::model::{Call, Cause, DiscoveryOptions, Object, Observer, Operation, Place, Places, Snapshot};
use lxkns_core::{Interface, ProcRoot};
use lxkns_mountns::{Access, HelperProgram};
use rustix::io::Errno;
use rustix::thread::CapabilitySet as Capabilities;

use crate::args::DoctorArgs;
use crate::caller::Caller;
use crate::exit::{Exit, Result};
use crate::gaps::{self, Reason, Shortfall};
use crate::live;
use crate::view::doctor::{
    Advice, Helper, InterfaceLine, Mark, PlaceLine, Report, ShortfallLine, ShortfallPart, Taker,
};
use crate::view::escape::{printable, shell_word};
use crate::view::screen::{self, Color, Screen};

/// Runs it.
pub(crate) fn run(args: &DoctorArgs, color: Color) -> Result {
    let mut options = DiscoveryOptions::everything();
    options.without_self = true;
    let access = live::access(&args.look.patience);
    let is_live = args.look.from.is_none();
    let interfaces = if is_live { Some(ask_all(&ProcRoot::host()?)) } else { None };
    let snapshot = live::load_with(&args.look, &access, &options)?;
    let caller = match &snapshot.observer {
        Some(observer) if is_live => Some(Caller::new(&ProcRoot::host()?, observer)),
        _ => None,
    };
    let report = report(&snapshot, caller, interfaces, is_live.then(|| helper(&access)));
    screen::print(|out| {
        if args.json { Ok(screen::write_json(out, &report)?) } else { Ok(report.write(out, Screen::detect(color))?) }
    })?;
    Ok(Exit::Done)
}

type Answers = Vec<(Interface, std::result::Result<(), Errno>)>;

fn ask_all(proc: &ProcRoot) -> Answers {
    Interface::ALL.into_iter().map(|interface| (interface, interface.ask(proc))).collect()
}

fn helper(access: &Access) -> Helper {
    let used = access.is_used();
    let why = access.try_helper().err().map(|error| chain(&error));
    // It is started by paths of the caller's own procfs.
    let why = match ProcRoot::host().ok().and_then(|proc| live::other_procfs(&proc)) {
        Some(other) => why.map(|_| other.to_owned()),
        None => why,
    };
    let path = match HelperProgram::Find.found() {
        HelperProgram::File(path) => Some(path.to_string_lossy().into_owned()),
        _ => None,
    };
    Helper { path, starts: why.is_none(), why, used }
}

fn report(snapshot: &Snapshot, caller: Option<Caller>, answers: Option<Answers>, helper: Option<Helper>) -> Report {
    let held = gaps::held(snapshot);
    let is_initial = gaps::is_in_initial_pid_namespace(snapshot) == Some(true);
    let all = Place::ALL.into_iter().collect();
    let shortfalls = gaps::shortfalls(snapshot, all, held, true);
    let is_filtered = caller.as_ref().is_some_and(Caller::is_filtered);
    let own_procfs = caller.as_ref().is_none_or(|caller| caller.own_procfs);
    let unanswered: Vec<_> = answers.iter().flatten().filter(|(_, answer)| answer.is_err()).collect();
    let denied: Vec<_> = unanswered
        .iter()
        .filter(|(_, answer)| own_procfs || !matches!(answer, Err(Errno::NOENT | Errno::SRCH)))
        .filter(|(interface, answer)| is_filtered && !is_about_privilege(*interface, *answer, held, is_initial))
        .map(|(interface, _)| interface.name())
        .collect();
    let advice = caller.as_ref().map(|caller| advice(caller, &shortfalls, held, &denied)).unwrap_or_default();
    let interface = |&(interface, answer): &(Interface, _)| {
        interface_line(interface, answer, is_filtered, held, is_initial, own_procfs)
    };
    Report {
        kernel: snapshot.host.kernel_release.clone(),
        live: caller.is_some(),
        interfaces: answers.as_ref().map(|answers| answers.iter().map(interface).collect()),
        places: places(snapshot, held, is_filtered),
        shortfalls: shortfalls.iter().map(|shortfall| shortfall_line(shortfall, held)).collect(),
        taker: snapshot.observer.as_ref().filter(|_| caller.is_none()).map(|observer| taker(snapshot, observer)),
        caller,
        helper,
        advice,
    }
}

/// Who took a dump.
fn taker(snapshot: &Snapshot, observer: &Observer) -> Taker {
    Taker {
        uid: observer.uid.0,
        user: snapshot.user_names.get(&observer.uid).cloned(),
        capabilities: gaps::names(Capabilities::from_bits_retain(observer.capabilities)),
        initial_user_namespace: observer.is_in_initial_user_ns(),
        initial_pid_namespace: observer.is_in_initial_pid_ns(),
        initial_procfs: observer.reads_initial_procfs(),
    }
}

/// Whether this answer is that of the kernel to somebody without the privilege, as far as that can be told.
fn is_about_privilege(
    interface: Interface,
    answer: std::result::Result<(), Errno>,
    held: Capabilities,
    is_initial: bool,
) -> bool {
    let is_privileged = matches!(interface, Interface::OpenByHandleAt | Interface::NsMntGet | Interface::Listns);
    let has_it = held.contains(Capabilities::SYS_ADMIN) && is_initial;
    is_privileged && !has_it && answer == Err(Errno::PERM)
}

fn interface_line(
    interface: Interface,
    answer: std::result::Result<(), Errno>,
    is_filtered: bool,
    held: Capabilities,
    is_initial: bool,
    own_procfs: bool,
) -> InterfaceLine {
    let (major, minor) = interface.since();
    let why = |errno: Errno| {
        let has_it = match interface {
            // That is how old the call is; that it opens namespaces is as new as their list.
            Interface::OpenByHandleAt => "opening namespaces by their IDs is as new as listns".to_owned(),
            _ => format!("Linux {major}.{minor} has it"),
        };
        match errno {
            // They are tried on the caller's own namespaces, which a foreign procfs has not.
            Errno::NOENT | Errno::SRCH if !own_procfs => {
                "not tried: procfs belongs to another PID namespace, and does not have this process".to_owned()
            }
            Errno::NOENT => "not tried: procfs does not have what it is tried on".to_owned(),
            _ if is_about_privilege(interface, Err(errno), held, is_initial) => {
                "needs CAP_SYS_ADMIN in the initial user namespace, and the initial PID namespace".to_owned()
            }
            Errno::STALE => format!("not in this form in this kernel; {has_it}"),
            _ if is_filtered => format!(
                "denied, or not in this kernel ({has_it}): a filter of system calls (seccomp) may do that, as the default \
                 profile of Docker does"
            ),
            Errno::NOSYS | Errno::NOTTY | Errno::INVAL | Errno::OPNOTSUPP => format!("not in this kernel; {has_it}"),
            _ => "denied".to_owned(),
        }
    };
    let errno = answer.err();
    InterfaceLine {
        interface: interface.name(),
        since: format!("{major}.{minor}"),
        answers: errno.is_none(),
        errno: errno.map(errno_name),
        why: errno.map(why),
    }
}

/// What `errno(3)` calls it.
fn errno_name(errno: Errno) -> String {
    match errno {
        Errno::NOENT => "ENOENT".to_owned(),
        Errno::SRCH => "ESRCH".to_owned(),
        Errno::PERM => "EPERM".to_owned(),
        Errno::ACCESS => "EACCES".to_owned(),
        Errno::NOSYS => "ENOSYS".to_owned(),
        Errno::NOTTY => "ENOTTY".to_owned(),
        Errno::INVAL => "EINVAL".to_owned(),
        Errno::STALE => "ESTALE".to_owned(),
        Errno::OPNOTSUPP => "EOPNOTSUPP".to_owned(),
        errno => format!("errno {}", errno.raw_os_error()),
    }
}

fn describe(place: Place) -> &'static str {
    match place {
        Place::Processes => "processes",
        Place::Tasks => "threads in namespaces of their own",
        Place::ForChildren => "namespaces for children to come",
        Place::Fds => "open files",
        Place::Sockets => "sockets",
        Place::Tun => "TUN/TAP files",
        Place::TaskFds => "open files of single threads",
        Place::BindMounts => "bind mounts",
        Place::ProcesslessMounts => "bind mounts where no process is",
        Place::Parents => "parents",
        Place::Owners => "owning user namespaces",
        Place::Kernel => "the kernel's own lists",
        _ => "",
    }
}

/// The place through which one is found: what is not seen there cannot be seen here either.
fn through(place: Place) -> Option<Place> {
    match place {
        Place::Tasks | Place::ForChildren | Place::Fds | Place::BindMounts => Some(Place::Processes),
        Place::Sockets | Place::Tun | Place::TaskFds => Some(Place::Fds),
        _ => None,
    }
}

fn places(snapshot: &Snapshot, held: Capabilities, is_filtered: bool) -> Vec<PlaceLine> {
    let mut lines: Vec<(Place, PlaceLine)> = Vec::new();
    for place in Place::HOLDING {
        let mut why: Vec<_> = gaps::shortfalls(snapshot, Places::NONE.with(place), held, true)
            .iter()
            .map(|shortfall| shortfall_line(shortfall, held))
            .map(|line| {
                let what: Vec<_> = line.parts.into_iter().map(|part| part.what).collect();
                let needs = gaps::and(&line.capabilities);
                let why = if needs.is_empty() { line.why } else { format!("needs {needs}") };
                format!("not seen: {}: {why}", what.join(", "))
            })
            .collect();
        let missing: Vec<_> = snapshot
            .gaps
            .iter()
            .filter(|gap| gap.place == place && gap.object == Object::Host && gap.cause == Cause::Unsupported)
            .collect();
        for gap in &missing {
            let errno = gap.errno.map(|errno| format!(" ({errno})")).unwrap_or_default();
            let cause = if is_filtered { "denied by a filter, or not in this kernel" } else { "not in this kernel" };
            why.push(format!("no {}{errno}: {cause}", printable(gap.operation.to_string())));
        }
        let own = mark(snapshot, place, why.is_empty());
        let before = through(place).and_then(|place| lines.iter().find(|(known, _)| *known == place));
        let searched = match before {
            Some((_, before)) if own == Mark::Yes && before.searched != Mark::Yes => {
                why.push(format!("only as far as {} are seen", before.what));
                Mark::Partly
            }
            _ => own,
        };
        lines.push((place, PlaceLine { place: place.name(), what: describe(place), searched, why }));
    }
    lines.into_iter().map(|(_, line)| line).collect()
}

/// Whether a place could be searched, going by what is not known of it itself.
fn mark(snapshot: &Snapshot, place: Place, is_whole: bool) -> Mark {
    if !snapshot.options.places.contains(place) {
        return Mark::NotAsked;
    }
    let of_host: Vec<_> = snapshot.gaps.iter().filter(|gap| gap.place == place && gap.object == Object::Host).collect();
    let failed = |calls: &[Call]| {
        of_host.iter().any(|gap| matches!(gap.operation, Operation::Call(call) if calls.contains(&call)))
    };
    let failed_to_open = || of_host.iter().any(|gap| matches!(gap.operation, Operation::Open(_)));
    match place {
        _ if is_whole => Mark::Yes,
        // Two lists, of which one has mount namespaces only; what the other lists must be opened by handles.
        Place::Kernel if failed(&[Call::NsMntGetNext, Call::NsMntGetPrev]) || failed_to_open() => {
            if failed(&[Call::Listns, Call::OpenByHandleAt]) { Mark::No } else { Mark::Partly }
        }
        // The call without which none can be asked.
        Place::Sockets | Place::Tun if !of_host.is_empty() => Mark::No,
        _ => Mark::Partly,
    }
}

fn shortfall_line(shortfall: &Shortfall, held: Capabilities) -> ShortfallLine {
    let part = |part: &gaps::Part| ShortfallPart { what: part.counted(), count: part.count };
    let (capabilities, why) = match shortfall.reason {
        Reason::Needs(needs) => (gaps::names(needs.difference(held)), "a capability is missing".to_owned()),
        Reason::InSpiteOf(needs) => {
            let why = format!("refused in spite of {}; a security module may do that", gaps::and(&gaps::names(needs)));
            (Vec::new(), why)
        }
        reason => (Vec::new(), reason.to_string()),
    };
    ShortfallLine { capabilities, why, parts: shortfall.parts.iter().map(part).collect() }
}

/// The smallest changes that help with all of it.
fn advice(caller: &Caller, shortfalls: &[Shortfall], held: Capabilities, denied: &[&str]) -> Vec<Advice> {
    let plain = |text: &str| Advice { text: text.to_owned(), command: None, capabilities: Vec::new() };
    let needed = shortfalls.iter().fold(Capabilities::empty(), |needed, shortfall| match shortfall.reason {
        Reason::Needs(needs) => needed | needs,
        _ => needed,
    });
    let mut lacking = needed.difference(held);
    if lacking.contains(Capabilities::DAC_READ_SEARCH) {
        // What there is among the files that can then be listed.
        lacking |= Capabilities::NET_ADMIN.difference(held);
    }
    if lacking.contains(Capabilities::SYS_PTRACE) {
        // What there is in the mount namespaces that are then seen.
        lacking |= (Capabilities::SYS_ADMIN | Capabilities::SYS_CHROOT).difference(held);
    }
    let mut advice = Vec::new();
    if !lacking.is_empty() {
        advice.push(for_capabilities(caller, lacking));
    }
    let is_refused_lists = shortfalls.iter().any(|shortfall| shortfall.reason == Reason::InitialPidNamespace);
    if caller.initial_pid_namespace == Some(false) && (is_refused_lists || !lacking.is_empty()) {
        advice
            .push(plain("the kernel's own lists take the initial PID namespace: on the host itself, or `--pid=host`"));
    }
    if !caller.own_procfs {
        advice.push(plain("procfs is that of another PID namespace: mount one of your own, or enter that namespace"));
    }
    if !denied.is_empty() {
        advice.push(plain(&format!(
            "a filter of system calls may deny {}: run it without, as with `--security-opt seccomp=unconfined`, or with \
             a profile that allows these",
            denied.join(", ")
        )));
    }
    advice
}

/// How to come by these capabilities.
fn for_capabilities(caller: &Caller, lacking: Capabilities) -> Advice {
    let names = gaps::names(lacking);
    let wanted = gaps::and(&names);
    let (text, command) = if caller.initial_user_namespace == Some(false) {
        let text = format!(
            "{wanted} would have to be held in the initial user namespace: run it on the host itself (of a container: with \
             `--userns=host`)"
        );
        (text, None)
    } else if !caller.bounding.contains(lacking) {
        let adds: Vec<_> = names.iter().map(|name| format!("--cap-add={}", name.trim_start_matches("CAP_"))).collect();
        (format!("nobody in here can come by all of {wanted}; of a container: start it with"), Some(adds.join(" ")))
    } else if caller.no_new_privs == Some(true) {
        let text =
            format!("{wanted} are missing, and no_new_privs is set: start it from a session without that, as root");
        (text, None)
    } else if caller.uid == 0 {
        (format!("root has given up {wanted}: run it with these"), None)
    } else {
        let list: Vec<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let program = std::env::current_exe().map(|path| shell_word(path.as_os_str().as_encoded_bytes()));
        let program = program.unwrap_or_else(|_| "lxkns".to_owned());
        let command = format!("sudo setcap {}+ep {program}", list.join(","));
        (format!("to see all: run it with sudo; or give everybody who may run it {wanted} with"), Some(command))
    };
    Advice { text, command, capabilities: names }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller {
            uid: 1000,
            user: None,
            capabilities: Vec::new(),
            initial_user_namespace: Some(true),
            initial_pid_namespace: Some(true),
            own_procfs: true,
            hidepid: None,
            seccomp: Some("none"),
            no_new_privs: Some(false),
            ptrace_scope: None,
            bounding: Capabilities::all(),
        }
    }

    fn told(caller: &Caller, reason: Reason, held: Capabilities) -> Vec<String> {
        let shortfalls = [Shortfall { reason, parts: Vec::new() }];
        let advice = advice(caller, &shortfalls, held, &[]);
        advice.into_iter().map(|advice| advice.command.unwrap_or(advice.text)).collect()
    }

    const PTRACE: Reason = Reason::Needs(Capabilities::SYS_PTRACE);

    #[test]
    fn what_is_advised_is_what_the_caller_can_do() {
        let held = Capabilities::SYS_ADMIN | Capabilities::SYS_CHROOT;
        let told = |caller| told(&caller, PTRACE, held).concat();
        let command = told(caller());
        assert!(command.starts_with("sudo setcap cap_sys_ptrace+ep /"), "{command}");
        let docker = Caller { bounding: Capabilities::SYS_CHROOT, uid: 0, ..caller() };
        assert_eq!(told(docker), "--cap-add=SYS_PTRACE");
        assert!(told(Caller { uid: 0, ..caller() }).starts_with("root has given up CAP_SYS_PTRACE"));
        assert!(told(Caller { no_new_privs: Some(true), ..caller() }).contains("no_new_privs is set"));
        assert!(told(Caller { initial_user_namespace: Some(false), ..caller() }).contains("`--userns=host`"));
    }

    #[test]
    fn what_comes_next_is_advised_too() {
        let none = Capabilities::empty();
        let all =
            told(&caller(), Reason::Needs(Capabilities::SYS_PTRACE | Capabilities::DAC_READ_SEARCH), none).concat();
        let list = "cap_dac_read_search,cap_net_admin,cap_sys_chroot,cap_sys_ptrace,cap_sys_admin+ep";
        assert!(all.contains(list), "{all}");
        let sockets = told(&caller(), Reason::Needs(Capabilities::NET_ADMIN), none).concat();
        assert!(sockets.contains("setcap cap_net_admin+ep "), "{sockets}");
    }

    #[test]
    fn what_no_change_helps_with_asks_for_none() {
        for reason in [
            Reason::InSpiteOf(Capabilities::SYS_PTRACE),
            Reason::Kernel,
            Reason::TimedOut,
            Reason::Because(Cause::Other),
        ] {
            assert_eq!(told(&caller(), reason, Capabilities::all()), [""; 0], "{reason:?}");
        }
        let elsewhere = Caller { initial_pid_namespace: Some(false), ..caller() };
        let told = told(&elsewhere, Reason::InitialPidNamespace, Capabilities::all());
        assert!(told.concat().contains("`--pid=host`"), "{told:?}");
    }

    #[test]
    fn a_part_that_is_counted_by_its_processes_is_counted_itself() {
        use lxkns_core::model::{Gap, Pid, Tid};
        let mut snapshot = lxkns_answers::testing::snapshot();
        let gap =
            |fd| Gap::because(Place::Sockets, Object::Fd(Pid(1), Tid(1), fd), Call::Siocgskns.into(), Cause::Denied);
        let told = |snapshot: &Snapshot| {
            let report = report(snapshot, None, None, None);
            let mut out = Vec::new();
            report.write(&mut out, Screen::default()).unwrap();
            String::from_utf8(out).unwrap()
        };
        snapshot.gaps = vec![gap(3)];
        assert!(told(&snapshot).contains("  CAP_NET_ADMIN: 1 socket of 1 process\n"), "{}", told(&snapshot));
        snapshot.gaps = (0..12).map(gap).collect();
        let text = told(&snapshot);
        assert!(text.contains("  CAP_NET_ADMIN: 12 sockets of 1 process\n"), "{text}");
        assert!(
            text.contains("  partly  5 sockets\n            not seen: 12 sockets of 1 process: needs CAP_NET_ADMIN\n")
        );
        assert!(text.contains("  yes     1 processes\n"), "{text}");
    }
}
