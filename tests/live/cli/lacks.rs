//! Every step that is advised says what whoever asks lacks for it: of each the kernel is asked, by taking it with the same
//! capabilities.

use std::path::Path;
use std::process::Command;

use lxkns_fixture::{Actor, Open};
use serde_json::Value;

use super::busy::file_system;
use super::busy_holders::{Interpreter, Probe, Undo, ext4, loop_on, named, of_kind, program};
use crate::harness::Need::{self, File, FileSystem, Program, Root, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::program::{Ran, release, run, run_lxkns};
use crate::live::{directory, inode};

pub(super) fn tests() -> Vec<Test> {
    const SETPRIV: &[Need] = &[Root, Program("setpriv"), Program("sh"), FileSystem("tmpfs")];
    const LOOP: &[Need] =
        &[Root, Program("setpriv"), Program("losetup"), Program("nsenter"), File("/dev/loop-control")];
    const SWAP: &[Need] = &[
        Root,
        Program("setpriv"),
        Program("losetup"),
        Program("mkfs.ext4"),
        Program("swapon"),
        Program("nsenter"),
        File("/dev/loop-control"),
    ];
    vec![
        test("cli::lacks::ending_a_process", SETPRIV, ending_a_process),
        test(
            "cli::lacks::ending_an_own_process",
            &[Root, UserNamespaces, Program("setpriv"), Program("sh")],
            ending_an_own_process,
        ),
        test("cli::lacks::detaching_a_loop_device", LOOP, detaching_a_loop_device),
        test("cli::lacks::ending_swap", SWAP, ending_swap),
        test(
            "cli::lacks::unregistering_an_interpreter",
            &[Root, Program("setpriv"), Program("nsenter"), Program("chmod"), FileSystem("binfmt_misc")],
            unregistering_an_interpreter,
        ),
        test(
            "cli::lacks::removing_a_probe",
            &[Root, Program("setpriv"), Program("nsenter"), Program("cp"), FileSystem("tracefs")],
            removing_a_probe,
        ),
    ]
}

/// What an unprivileged user needs to see others' processes and descriptors.
const EYES: [&str; 2] = ["sys_ptrace", "dac_read_search"];

/// A user without privileges but for these.
struct Nobody<'a> {
    capabilities: Vec<&'a str>,
    /// In whose mount namespace.
    place: Option<&'a Actor>,
    /// A copy of the program that this user can run.
    program: std::ffi::OsString,
}

impl<'a> Nobody<'a> {
    fn with(base: &Path, place: Option<&'a Actor>, capabilities: impl IntoIterator<Item = &'a str>) -> Self {
        // It is there when this was called before.
        let copy = base.join("lxkns");
        if !copy.exists() {
            super::unprivileged(base);
        }
        Self { capabilities: capabilities.into_iter().collect(), place, program: copy.into() }
    }

    fn run(&self, words: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>) -> Ran {
        let sets: String = self.capabilities.iter().map(|name| format!(",+{name}")).collect();
        let mut command = Command::new(if self.place.is_some() { "nsenter" } else { "setpriv" });
        if let Some(actor) = self.place {
            command.args(["-t", &actor.pid().to_string(), "-m", "-w/", "--", "setpriv"]);
        }
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
        command.args([format!("--inh-caps=-all{sets}"), format!("--ambient-caps=-all{sets}")]);
        run(command.args(words))
    }

    /// The program.
    fn lxkns(&self, words: &[&str]) -> Ran {
        self.run([self.program.as_os_str()].into_iter().chain(words.iter().map(std::ffi::OsStr::new)))
    }

    fn may(&self, shell: &str) -> bool {
        self.run(["sh", "-c", shell]).code == Some(0)
    }
}

/// What a step says that is lacking, which its sentence says too.
#[track_caller]
fn lack(step: &Value) -> Option<&str> {
    let (text, lacks) = (step["text"].as_str().unwrap(), step["lacks"].as_str());
    match lacks {
        Some(lacks) => assert!(text.ends_with(&format!(" (not as this user: needs {lacks})")), "{step}"),
        None => assert!(!text.contains("not as this user"), "{step}"),
    }
    lacks
}

/// Of processes by a signal: whether the kernel allows one is asked without sending any.
fn ending_a_process() {
    let base = directory();
    let path = base.path().join("mounted");
    std::fs::create_dir(&path).unwrap();
    let actor = Actor::spawn_in(&["uts", "mnt"]);
    let (uts, user) = (actor.ns_inode("uts"), actor.ns_inode("user"));
    let fork = actor.fork();
    let orphan = {
        let fd = actor.open("/proc/self/ns/ipc", Open::ReadOnly);
        actor.close(fd);
        actor.unshare(&["ipc"]);
        let fd = actor.open("/proc/self/ns/ipc", Open::ReadOnly);
        actor.unshare(&["ipc"]);
        inode(format!("/proc/{}/fd/{fd}", actor.pid()))
    };
    actor.mount("tmpfs", &path);
    fork.chdir(&path);
    let number = file_system(&actor, &path).to_string();
    for more in [None, Some("kill")] {
        let nobody = Nobody::with(base.path(), None, EYES.into_iter().chain(more));
        let is_allowed = nobody.may(&format!("kill -0 {}", actor.pid()));
        assert_eq!(is_allowed, more.is_some(), "otherwise this would prove nothing");
        let expected = (!is_allowed).then(|| format!("CAP_KILL in user:{user}"));

        let why = nobody.lxkns(&["why", "--json", &format!("uts:{uts}")]);
        let holders = why.results()[0]["holders"].as_array().unwrap().clone();
        assert_eq!(holders.len(), 2, "{why:?}");
        holders.iter().for_each(|one| assert_eq!(lack(&one["release"][0]), expected.as_deref(), "{one}"));
        let text = nobody.lxkns(&["why", &format!("uts:{uts}")]);
        let told = expected.as_ref().map(|lack| format!(" (not as this user: needs {lack})")).unwrap_or_default();
        assert!(text.text().contains(&format!("    until all these processes exit{told}\n")), "{text:?}");

        let orphans = nobody.lxkns(&["orphans", "--json"]);
        let all = orphans.results();
        let found = all.iter().find(|one| one["namespace"]["nsid"] == orphan).unwrap_or_else(|| panic!("{orphans:?}"));
        assert_eq!(lack(&found["holders"][0]["release"][0]), expected.as_deref(), "{found}");

        let busy = nobody.lxkns(&["busy", "--json", &number]).answer();
        let of_process = |step: &&Value| step["pid"] == fork.pid();
        let step = busy["release"].as_array().unwrap().iter().find(of_process).unwrap_or_else(|| panic!("{busy:#}"));
        assert_eq!(lack(step), expected.as_deref(), "{busy:#}");
    }
    // To root nothing of this is said.
    let root = run_lxkns(["why", "--json", &format!("uts:{uts}")]).ok().answer();
    let releases: Vec<_> = root["holders"].as_array().unwrap().iter().map(release).collect();
    assert_eq!(releases, [actor.pid(), fork.pid()].map(|pid| format!("process {pid} exits")));
}

/// A process of one's own takes no capability, and neither does one in a user namespace of one's own.
fn ending_an_own_process() {
    const NOBODY: u32 = 65534;
    let base = directory();
    let nobody = Nobody::with(base.path(), None, EYES);
    let of_nobody = || {
        let actor = Actor::spawn_in(&["uts"]);
        actor.setgid(NOBODY);
        actor.setuid(NOBODY);
        actor
    };
    let own = of_nobody();
    // Inside they are others, of whom nobody has the UID.
    let [in_own, in_others] = [of_nobody(), Actor::spawn_in(&["uts"])].map(|actor| {
        actor.unshare(&["user", "uts"]);
        actor.map_ids(&[(0, 100_000, 1), (1, NOBODY, 1)]);
        let inside = actor.fork();
        inside.unshare(&["uts"]);
        inside.setuid(0);
        (actor, inside)
    });
    for (actor, is_expected) in [(&own, true), (&in_own.1, true), (&in_others.1, false)] {
        assert_eq!(nobody.may(&format!("kill -0 {}", actor.pid())), is_expected, "otherwise this would prove nothing");
        let why = nobody.lxkns(&["why", "--json", &format!("uts:{}", actor.ns_inode("uts"))]);
        let holders = why.results()[0]["holders"].as_array().unwrap().clone();
        let expected = (!is_expected).then(|| format!("CAP_KILL in user:{}", actor.ns_inode("user")));
        assert_eq!(lack(&holders[0]["release"][0]), expected.as_deref(), "{why:?}");
    }
}

/// What a user with each of these sets of capabilities lacks, and whether the kernel accepts the step from that user.
/// `step` asks, `again` sets up what an accepted step has taken away.
#[track_caller]
fn judged<'a>(
    (base, actor): (&Path, &'a Actor),
    sets: &[(&[&'a str], Option<String>)],
    step: impl Fn(&Nobody<'_>) -> Value,
    mut again: impl FnMut(),
) {
    for (capabilities, expected) in sets {
        let nobody = Nobody::with(base, Some(actor), capabilities.iter().copied());
        let step = step(&nobody);
        assert_eq!(lack(&step), expected.as_deref(), "{capabilities:?}: {step}");
        let is_accepted = nobody.may(step["command"].as_str().unwrap());
        assert_eq!(is_accepted, expected.is_none(), "{capabilities:?}: what the kernel says of {step}");
        if is_accepted {
            again();
        }
    }
}

/// This step of a holder or suspect: who does not see all mounts does not know which of both it is.
#[track_caller]
fn step_of(answer: &Value, kind: &str, command: &str) -> Value {
    let mut all = ["holders", "suspects"].into_iter().flat_map(|list| of_kind(answer, list, kind));
    let found = all.find(|one| one["release"][0]["command"] == command);
    found.unwrap_or_else(|| panic!("{command}: {answer:#}"))["release"][0].clone()
}

/// The kernel asks for no capability: only to open the device.
fn detaching_a_loop_device() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let path = base.path().join("mounted");
    std::fs::create_dir(&path).unwrap();
    actor.mount("tmpfs", &path);
    let file = path.join("image");
    actor.write_file(&file, &[0; 32 * 1024]);
    let held = std::cell::RefCell::new(loop_on(&actor, &file));
    let device = || held.borrow().0.clone();
    let lack = || Some(format!("read access to {}", device()));
    let step = |nobody: &Nobody<'_>| {
        let answer = nobody.lxkns(&["busy", "--json", path.to_str().unwrap()]).answer();
        step_of(&answer, "loop", &format!("losetup -d {}", device()))
    };
    for (set, is_allowed) in [(&[][..], false), (&["sys_admin"], false), (&["dac_read_search"], true)] {
        let expected = if is_allowed { None } else { lack() };
        let again = || *held.borrow_mut() = loop_on(&actor, &file);
        judged((base.path(), &actor), &[(set, expected)], step, again);
    }
}

fn ending_swap() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let path = base.path().join("mounted");
    std::fs::create_dir(&path).unwrap();
    let (_, _undo) = ext4(&actor, base.path(), &path);
    let file = path.join("swap");
    let name = file.to_str().unwrap();
    program(&actor, &["dd", "if=/dev/zero", &format!("of={name}"), "bs=256k", "count=1"]);
    program(&actor, &["chmod", "600", name]);
    program(&actor, &["mkswap", name]);
    let swap_on = || drop(program(&actor, &["swapon", name]));
    swap_on();
    let pid = actor.pid().to_string();
    let _off = Undo(["nsenter", "-t", &pid, "-m", "swapoff", name].map(str::to_owned).into());
    let step = |nobody: &Nobody<'_>| {
        let answer = nobody.lxkns(&["busy", "--json", path.to_str().unwrap()]).answer();
        step_of(&answer, "swap", &format!("swapoff {name}"))
    };
    let lacks = |what: &str| Some(what.to_owned());
    let access = format!("write access to {name}");
    judged(
        (base.path(), &actor),
        &[
            (&[], Some(format!("CAP_SYS_ADMIN and {access}"))),
            (&["sys_admin"], Some(access)),
            (&["dac_override"], lacks("CAP_SYS_ADMIN")),
            (&["sys_admin", "dac_override"], None),
        ],
        step,
        swap_on,
    );
}

fn unregistering_an_interpreter() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let interpreter = Interpreter::new(base.path(), &actor, "lacks");
    let Interpreter { path, file, entry, .. } = &interpreter;
    let register = || interpreter.register(&actor);
    register();
    let step = |nobody: &Nobody<'_>| {
        let answer = nobody.lxkns(&["busy", "--json", path.to_str().unwrap()]).answer();
        named(&answer, "suspects", "binfmt-misc", file)["release"][0].clone()
    };
    let lack = || Some(format!("write access to {}", entry.display()));
    let sets: [(&[&str], _); 3] = [(&[], lack()), (&["sys_admin"], lack()), (&["dac_override"], None)];
    judged((base.path(), &actor), &sets, step, register);
}

fn removing_a_probe() {
    let (base, actor) = (directory(), Actor::spawn_in(&["mnt"]));
    let probe = Probe::new(base.path(), &actor, "lacks");
    let Probe { path, file, .. } = &probe;
    let add = || probe.add(&actor);
    add();
    let step = |nobody: &Nobody<'_>| {
        let answer = nobody.lxkns(&["busy", "--json", path.to_str().unwrap()]).answer();
        named(&answer, "holders", "uprobe", file)["release"][0].clone()
    };
    // Who cannot read which probes there are is told of none.
    let nobody = Nobody::with(base.path(), Some(&actor), ["dac_read_search"]);
    let told = step(&nobody)["lacks"].as_str().unwrap().to_owned();
    assert!(told.starts_with("write access to /") && told.ends_with("/uprobe_events"), "{told}");
    judged(
        (base.path(), &actor),
        &[(&["dac_read_search"], Some(told)), (&["dac_read_search", "dac_override"], None)],
        step,
        add,
    );
}
