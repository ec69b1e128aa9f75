//! What can be seen here, what cannot and why, and what would help.

use lxkns_model::{Call, CapabilitySet, Cause, Errno, Object, Observer, Operation, Place, Places, Seccomp, Snapshot};
use serde::Serialize;

use crate::event_source::EventsLine;
use crate::gaps::{self, Reason, Shortfall};
use crate::names;
use crate::reader::{self, ReaderLine};
use crate::text::escape::{printable, shell_word};

const EPERM: i32 = 1;
const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EINVAL: i32 = 22;
const ENOTTY: i32 = 25;
const ENOSYS: i32 = 38;
const ESTALE: i32 = 116;

/// All that is said. What only the living host knows is `None` of a dump.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Report {
    /// The release of the kernel.
    pub kernel: String,
    /// Whether it is about the living host, not a dump.
    pub live: bool,
    /// Where processes were read from.
    pub reader: ReaderLine,
    /// Where task events come from; `null` of a dump.
    pub events: Option<EventsLine>,
    /// The newer interfaces of the kernel; `null` of a dump.
    pub interfaces: Option<Vec<InterfaceLine>>,
    /// Where a namespace can be held.
    pub places: Vec<PlaceLine>,
    /// Who asks; `null` of a dump.
    pub caller: Option<Caller>,
    /// Of a dump, who took it; `null` where it does not say, and of the living host.
    pub taker: Option<Taker>,
    /// What could not be seen, one for each reason.
    pub shortfalls: Vec<ShortfallLine>,
    /// The helper for mount namespaces; `null` of a dump.
    pub helper: Option<Helper>,
    /// What would help.
    pub advice: Vec<Advice>,
}

/// Who took a dump.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Taker {
    /// Its effective UID; `null` where it is one that is not mapped in its user namespace.
    pub uid: Option<u32>,
    /// Its name; `null` where not known.
    pub user: Option<String>,
    /// Effective ones, in its own user namespace.
    pub capabilities: CapabilitySet,
    /// Whether its user namespace was the initial one; `null` where not known.
    pub initial_user_namespace: Option<bool>,
    /// Whether its PID namespace was the initial one; `null` where not known.
    pub initial_pid_namespace: Option<bool>,
    /// Whether procfs was that of the initial PID namespace.
    pub initial_procfs: Option<bool>,
}

/// One interface of the kernel.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct InterfaceLine {
    /// Its name.
    pub interface: &'static str,
    /// The release of Linux that has it first.
    pub since: String,
    /// Whether it answers.
    pub answers: bool,
    /// The kernel's answer where it does not: `ENOSYS`.
    pub errno: Option<String>,
    /// Why it does not.
    pub why: Option<String>,
}

/// Whether a place can be searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Mark {
    /// Wholly.
    Yes,
    /// Not all of it.
    Partly,
    /// Not at all.
    No,
    /// It was not searched.
    NotAsked,
}

impl Mark {
    /// In a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::Partly => "partly",
            Self::No => "no",
            Self::NotAsked => "-",
        }
    }
}

/// One place that can hold a namespace.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct PlaceLine {
    /// Its name, as in dumps.
    pub place: &'static str,
    /// What it is.
    pub what: &'static str,
    /// Whether it could be searched.
    pub searched: Mark,
    /// Why not wholly.
    #[serde(rename = "reasons")]
    pub why: Vec<String>,
}

/// What could not be seen for one reason.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ShortfallLine {
    /// The capabilities that are missing; none where no capability would help.
    pub capabilities: CapabilitySet,
    /// Why.
    pub why: String,
    /// What.
    pub parts: Vec<ShortfallPart>,
}

/// Things of one kind.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ShortfallPart {
    /// What they are, counted where they can be.
    pub what: String,
    /// How many; `null` where not known.
    pub count: Option<usize>,
}

/// The program that looks into mount namespaces.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Helper {
    /// `None`: the copy that is carried inside.
    pub path: Option<String>,
    /// Whether it can be started.
    pub starts: bool,
    /// Why it does not start.
    pub why: Option<String>,
    /// Whether this look needed it.
    #[serde(rename = "needed")]
    pub used: bool,
}

/// A change that would help.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Advice {
    /// What to do.
    pub text: String,
    /// What to type, if a command helps.
    pub command: Option<String>,
    /// The capabilities that it gives.
    pub capabilities: CapabilitySet,
}

/// The process that asks: its powers, and what bounds them.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Caller {
    /// Its effective UID; `null` where it is one that is not mapped in its user namespace.
    pub uid: Option<u32>,
    /// Its name; `null` where not known.
    pub user: Option<String>,
    /// Its effective capabilities, in its own user namespace.
    pub capabilities: CapabilitySet,
    /// Whether it is in the initial user namespace; `null` where not known.
    pub initial_user_namespace: Option<bool>,
    /// Whether it is in the initial PID namespace; `null` where not known.
    pub initial_pid_namespace: Option<bool>,
    /// Whether procfs is that of its PID namespace.
    pub own_procfs: bool,
    /// The option of procfs that hides processes; `null` without one.
    pub hidepid: Option<String>,
    /// The mode of seccomp; `null` where not known.
    pub seccomp: Option<Seccomp>,
    /// Whether running a program gives it no more powers; `null` where not known.
    pub no_new_privs: Option<bool>,
    /// Yama's `ptrace_scope`; `null` without Yama.
    pub ptrace_scope: Option<u8>,
    /// The capabilities that it can come to hold.
    #[serde(skip)]
    pub bounding: CapabilitySet,
    /// Its program, for commands to type.
    #[serde(skip)]
    pub program: Vec<u8>,
}

impl Caller {
    /// Whether a filter of system calls is in force.
    pub(crate) fn is_filtered(&self) -> bool {
        self.seccomp == Some(Seccomp::Filter)
    }
}

/// A newer interface of the kernel that was asked about the caller itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Its name.
    pub name: &'static str,
    /// The release of Linux that has it first.
    pub since: (u32, u32),
    /// Whether the kernel answers it only for `CAP_SYS_ADMIN` in the initial user namespace, from the initial PID
    /// namespace.
    pub is_privileged: bool,
    /// Another interface, where the form that is asked for is as new as that.
    pub as_new_as: Option<&'static str>,
    /// Whether it answers.
    pub answers: bool,
    /// The kernel's error, where it does not answer and gave one.
    pub errno: Option<Errno>,
}

/// What only the living host knows.
#[derive(Clone, Debug)]
pub struct Living {
    /// Who asks; `None` where that could not be found out.
    pub caller: Option<Caller>,
    /// The newer interfaces.
    pub interfaces: Vec<Asked>,
    /// The helper for mount namespaces.
    pub helper: Helper,
    /// Where task events come from; `None` where that could not be tried.
    pub events: Option<EventsLine>,
}

/// What can be seen, what cannot and why, and what would help. `living` is what only the living host knows; without it the
/// snapshot is a dump.
pub fn report(snapshot: &Snapshot, living: Option<Living>) -> Report {
    let is_live = living.is_some();
    let (caller, answers, helper, events) = match living {
        Some(Living { caller, interfaces, helper, events }) => (caller, Some(interfaces), Some(helper), events),
        None => (None, None, None, None),
    };
    let held = gaps::held(snapshot);
    let is_initial = gaps::is_in_initial_pid_namespace(snapshot) == Some(true);
    let all = Place::ALL.into_iter().collect();
    let shortfalls = gaps::shortfalls(snapshot, all, held, true);
    let is_filtered = caller.as_ref().is_some_and(Caller::is_filtered);
    let own_procfs = caller.as_ref().is_none_or(|caller| caller.own_procfs);
    let unanswered: Vec<_> = answers.iter().flatten().filter(|asked| !asked.answers).collect();
    let denied: Vec<_> = unanswered
        .iter()
        .filter(|asked| own_procfs || !matches!(asked.errno.map(Errno::number), Some(ENOENT | ESRCH)))
        .filter(|asked| is_filtered && !is_about_privilege(asked, held, is_initial))
        .map(|asked| asked.name)
        .collect();
    let advice = caller.as_ref().map(|caller| advice(caller, &shortfalls, held, &denied)).unwrap_or_default();
    let interface = |asked: &Asked| interface_line(asked, is_filtered, held, is_initial, own_procfs);
    Report {
        kernel: snapshot.host.kernel_release.clone(),
        live: is_live,
        reader: reader::line(snapshot),
        events,
        interfaces: answers.as_ref().map(|answers| answers.iter().map(interface).collect()),
        places: places(snapshot, held, is_filtered),
        shortfalls: shortfalls.iter().map(|shortfall| shortfall_line(shortfall, held)).collect(),
        taker: snapshot.observer.as_ref().filter(|_| !is_live).map(|observer| taker(snapshot, observer)),
        caller,
        helper,
        advice,
    }
}

/// Who took a dump.
fn taker(snapshot: &Snapshot, observer: &Observer) -> Taker {
    Taker {
        uid: names::user_id(snapshot, Some(observer.uid)),
        user: names::user_name(snapshot, Some(observer.uid)),
        capabilities: observer.capabilities,
        initial_user_namespace: observer.is_in_initial_user_ns(),
        initial_pid_namespace: observer.is_in_initial_pid_ns(),
        initial_procfs: observer.reads_initial_procfs(),
    }
}

/// Whether this answer is that of the kernel to somebody without the privilege, as far as that can be told.
fn is_about_privilege(asked: &Asked, held: CapabilitySet, is_initial: bool) -> bool {
    let has_it = held.contains(CapabilitySet::SYS_ADMIN) && is_initial;
    asked.is_privileged && !has_it && asked.errno.is_some_and(|errno| errno.number() == EPERM)
}

fn interface_line(
    asked: &Asked,
    is_filtered: bool,
    held: CapabilitySet,
    is_initial: bool,
    own_procfs: bool,
) -> InterfaceLine {
    let (major, minor) = asked.since;
    let why = |errno: Option<Errno>| {
        let has_it = match asked.as_new_as {
            // `since` is how old the call is.
            Some(other) => format!("opening namespaces by their IDs is as new as {other}"),
            None => format!("Linux {major}.{minor} has it"),
        };
        let Some(errno) = errno else { return format!("not in this kernel; {has_it}") };
        match errno.number() {
            // They are tried on the caller's own namespaces, which a foreign procfs has not.
            ENOENT | ESRCH if !own_procfs => {
                "not tried: procfs belongs to another PID namespace, and does not have this process".to_owned()
            }
            ENOENT => "not tried: procfs does not have what it is tried on".to_owned(),
            _ if is_about_privilege(asked, held, is_initial) => {
                "needs CAP_SYS_ADMIN in the initial user namespace, and the initial PID namespace".to_owned()
            }
            ESTALE => format!("not for namespaces in this kernel; {has_it}"),
            _ if is_filtered => format!(
                "denied, or not in this kernel ({has_it}): a filter of system calls (seccomp) may do that, as the default \
                 profile of Docker does"
            ),
            ENOSYS | ENOTTY | EINVAL => format!("not in this kernel; {has_it}"),
            _ => "denied".to_owned(),
        }
    };
    InterfaceLine {
        interface: asked.name,
        since: format!("{major}.{minor}"),
        answers: asked.answers,
        errno: asked.errno.map(|errno| errno.to_string()),
        why: (!asked.answers).then(|| why(asked.errno)),
    }
}

fn describe(place: Place) -> &'static str {
    match place {
        Place::Processes => "processes",
        Place::Tasks => "tasks in namespaces of their own",
        Place::ForChildren => "namespaces for future children",
        Place::Fds => "open files",
        Place::Sockets => "sockets",
        Place::Tun => "TUN/TAP files",
        Place::TaskFds => "open files of single tasks",
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

fn places(snapshot: &Snapshot, held: CapabilitySet, is_filtered: bool) -> Vec<PlaceLine> {
    let mut lines: Vec<(Place, PlaceLine)> = Vec::new();
    for place in Place::HOLDING {
        let mut why: Vec<_> = gaps::shortfalls(snapshot, Places::NONE.with(place), held, true)
            .iter()
            .map(|shortfall| shortfall_line(shortfall, held))
            .map(|line| {
                let what: Vec<_> = line.parts.into_iter().map(|part| part.what).collect();
                let needs = gaps::and(&line.capabilities.names());
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

fn shortfall_line(shortfall: &Shortfall, held: CapabilitySet) -> ShortfallLine {
    let part = |part: &gaps::Part| ShortfallPart { what: part.counted(), count: part.count };
    let (capabilities, why) = match shortfall.reason {
        Reason::Needs(needs) => (needs - held, "a capability is missing".to_owned()),
        Reason::InSpiteOf(needs) => {
            let why = format!("access denied despite {}; a security module may do that", gaps::and(&needs.names()));
            (CapabilitySet::NONE, why)
        }
        reason => (CapabilitySet::NONE, reason.to_string()),
    };
    ShortfallLine { capabilities, why, parts: shortfall.parts.iter().map(part).collect() }
}

/// The smallest changes that help with all of it.
fn advice(caller: &Caller, shortfalls: &[Shortfall], held: CapabilitySet, denied: &[&str]) -> Vec<Advice> {
    let plain = |text: &str| Advice { text: text.to_owned(), command: None, capabilities: CapabilitySet::NONE };
    let needed = shortfalls.iter().fold(CapabilitySet::NONE, |needed, shortfall| match shortfall.reason {
        Reason::Needs(needs) => needed | needs,
        _ => needed,
    });
    let mut lacking = needed.difference(held);
    if lacking.contains(CapabilitySet::DAC_READ_SEARCH) {
        // What there is among the files that can then be listed.
        lacking |= CapabilitySet::NET_ADMIN.difference(held);
    }
    if lacking.contains(CapabilitySet::SYS_PTRACE) {
        // What there is in the mount namespaces that are then seen.
        lacking |= (CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_CHROOT).difference(held);
    }
    let mut advice = Vec::new();
    if !lacking.is_empty() {
        advice.push(for_capabilities(caller, lacking));
    }
    let is_refused_lists = shortfalls.iter().any(|shortfall| shortfall.reason == Reason::InitialPidNamespace);
    if caller.initial_pid_namespace == Some(false) && (is_refused_lists || !lacking.is_empty()) {
        advice.push(plain(
            "the kernel's own lists need the initial PID namespace: run on the host itself, or with `--pid=host`",
        ));
    }
    if !caller.own_procfs {
        advice.push(plain("procfs is that of another PID namespace: mount one of your own, or enter that namespace"));
    }
    if !denied.is_empty() {
        advice.push(plain(&format!(
            "a filter of system calls may deny {}: run without it (`--security-opt seccomp=unconfined`), or with a \
            profile that allows these",
            denied.join(", ")
        )));
    }
    advice
}

/// How to come by these capabilities.
fn for_capabilities(caller: &Caller, lacking: CapabilitySet) -> Advice {
    let names = lacking.names();
    let wanted = gaps::and(&names);
    let (text, command) = if caller.initial_user_namespace == Some(false) {
        let text = format!(
            "{wanted} must be held in the initial user namespace: run it on the host itself (in a container: with \
            `--userns=host`)"
        );
        (text, None)
    } else if !caller.bounding.contains(lacking) {
        let adds: Vec<_> = names.iter().map(|name| format!("--cap-add={}", name.trim_start_matches("CAP_"))).collect();
        (
            format!("no process here can get all of {wanted}; if this is a container, start it with"),
            Some(adds.join(" ")),
        )
    } else if caller.no_new_privs == Some(true) {
        let text =
            format!("{wanted} are missing, and no_new_privs is set: start it from a session without that, as root");
        (text, None)
    } else if caller.uid == Some(0) {
        (format!("root has given up {wanted}: run it with these"), None)
    } else {
        let list: Vec<_> = names.iter().map(|name| name.to_ascii_lowercase()).collect();
        let command = format!("sudo setcap {}+ep {}", list.join(","), shell_word(&caller.program));
        (
            format!("to see everything: run it with sudo, or give {wanted} to everyone who may run it, with"),
            Some(command),
        )
    };
    Advice { text, command, capabilities: lacking }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller {
            uid: Some(1000),
            user: None,
            capabilities: CapabilitySet::NONE,
            initial_user_namespace: Some(true),
            initial_pid_namespace: Some(true),
            own_procfs: true,
            hidepid: None,
            seccomp: Some(Seccomp::None),
            no_new_privs: Some(false),
            ptrace_scope: None,
            bounding: CapabilitySet::KNOWN,
            program: b"/usr/bin/lxkns".to_vec(),
        }
    }

    fn told(caller: &Caller, reason: Reason, held: CapabilitySet) -> Vec<String> {
        let shortfalls = [Shortfall { reason, parts: Vec::new() }];
        let advice = advice(caller, &shortfalls, held, &[]);
        advice.into_iter().map(|advice| advice.command.unwrap_or(advice.text)).collect()
    }

    const PTRACE: Reason = Reason::Needs(CapabilitySet::SYS_PTRACE);

    #[test]
    fn what_is_advised_is_what_the_caller_can_do() {
        let held = CapabilitySet::SYS_ADMIN | CapabilitySet::SYS_CHROOT;
        let told = |caller| told(&caller, PTRACE, held).concat();
        let command = told(caller());
        assert!(command.starts_with("sudo setcap cap_sys_ptrace+ep /"), "{command}");
        let docker = Caller { bounding: CapabilitySet::SYS_CHROOT, uid: Some(0), ..caller() };
        assert_eq!(told(docker), "--cap-add=SYS_PTRACE");
        assert!(told(Caller { uid: Some(0), ..caller() }).starts_with("root has given up CAP_SYS_PTRACE"));
        assert!(told(Caller { no_new_privs: Some(true), ..caller() }).contains("no_new_privs is set"));
        assert!(told(Caller { initial_user_namespace: Some(false), ..caller() }).contains("`--userns=host`"));
    }

    #[test]
    fn what_comes_next_is_advised_too() {
        let none = CapabilitySet::NONE;
        let all =
            told(&caller(), Reason::Needs(CapabilitySet::SYS_PTRACE | CapabilitySet::DAC_READ_SEARCH), none).concat();
        let list = "cap_dac_read_search,cap_net_admin,cap_sys_chroot,cap_sys_ptrace,cap_sys_admin+ep";
        assert!(all.contains(list), "{all}");
        let sockets = told(&caller(), Reason::Needs(CapabilitySet::NET_ADMIN), none).concat();
        assert!(sockets.contains("setcap cap_net_admin+ep "), "{sockets}");
    }

    #[test]
    fn what_no_change_helps_with_asks_for_none() {
        for reason in [
            Reason::InSpiteOf(CapabilitySet::SYS_PTRACE),
            Reason::Kernel,
            Reason::TimedOut,
            Reason::Because(Cause::Other),
        ] {
            assert_eq!(told(&caller(), reason, CapabilitySet::KNOWN), [""; 0], "{reason:?}");
        }
        let elsewhere = Caller { initial_pid_namespace: Some(false), ..caller() };
        let told = told(&elsewhere, Reason::InitialPidNamespace, CapabilitySet::KNOWN);
        assert!(told.concat().contains("`--pid=host`"), "{told:?}");
    }
}
