//! Limits, scheduling and securebits: what a command has of the process, against what the kernel says of both.

use std::fs;
use std::process::Command;

use lxkns_fixture::Actor;

use super::{Waiting, enter, planned};
use crate::harness::Need::{Program, Root, UserNamespaces};
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    let programs = ["prlimit", "nice", "ionice", "taskset", "setarch", "sh"].map(Program);
    let bounded: &'static [_] = Box::leak(Box::new(programs));
    vec![
        test("enter::taken_over::limits", bounded, limits),
        test("enter::taken_over::lower_nice_value", &[Program("nice")], lower_nice_value),
        test("enter::taken_over::raised_limits", &[Root, Program("prlimit")], raised_limits),
        test("enter::taken_over::root_without_capabilities", &[Root, Program("setpriv")], root_without_capabilities),
        test("enter::taken_over::powers_by_creation", &[Root, UserNamespaces, Program("ip")], powers_by_creation),
        test("enter::taken_over::landlock_is_mentioned", &[UserNamespaces], landlock_is_mentioned),
    ]
}

/// A process that is bounded in every way.
fn bounded() -> Waiting {
    let program =
        "umask 027; exec prlimit --nofile=100:200 --core=0 nice -n 5 ionice -c 3 taskset -c 0 setarch -R \"$@\"";
    Waiting::start(Command::new("sh").args(["-c", program, "sh"]))
}

/// What the kernel says of a process that bounds it.
fn bounds(read: impl Fn(&str) -> String) -> Vec<String> {
    let status = read("status");
    let line = |name: &str| status.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    let nice = read("stat").rsplit_once(')').unwrap().1.split_whitespace().nth(16).unwrap().to_owned();
    vec![read("limits"), line("Umask:"), line("Cpus_allowed:"), nice, read("personality")]
}

fn of(pid: u32) -> Vec<String> {
    bounds(|file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap())
}

#[track_caller]
fn of_command(pid: u32, options: &[&str]) -> Vec<String> {
    bounds(|file| {
        let ran = enter(pid, options, &["cat", &format!("/proc/self/{file}")]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran.text().to_owned()
    })
}

fn limits() {
    let waiting = bounded();
    assert_eq!(of_command(waiting.pid(), &[]), of(waiting.pid()));
    assert_eq!(enter(waiting.pid(), &[], &["ionice"]).ok().text(), "idle\n");
    // Other tests may run on one CPU only: what starts the program is this thread.
    let own = bounds(|file| fs::read_to_string(format!("/proc/thread-self/{file}")).unwrap());
    assert_ne!(own[0], of(waiting.pid())[0]);
    assert_eq!(of_command(waiting.pid(), &["--limits", "caller"]), own);
    // `nice -n 5` adds to the nice value that the test has.
    let nice = (own[3].parse::<i32>().unwrap() + 5).min(19).to_string();
    for (what, text) in [
        ("limits", "nofile 100:200"),
        ("umask", "0027"),
        ("CPUs", "0"),
        ("nice", nice.as_str()),
        ("I/O priority", "idle"),
        ("personality", "0x40000"),
    ] {
        let [target, command] = planned(waiting.pid(), &[], what);
        assert!(target.as_str().unwrap().contains(text), "{what}: {target}");
        assert_eq!(target, command, "{what}");
        // Another test may have put this thread on the same CPU.
        if what != "CPUs" {
            assert_ne!(planned(waiting.pid(), &["--limits", "caller"], what)[1], command, "{what}");
        }
    }
}

/// The plan says what the kernel allows the caller, who may have to be nicer than the process is.
fn lower_nice_value() {
    let waiting = Waiting::start(&mut Command::new("env"));
    let nice = |option: &[&str]| {
        let mut command = Command::new("nice");
        command.args(["-n", "7"]).arg(crate::harness::lxkns().get_program());
        command.args(["enter", &waiting.pid().to_string()]).args(option);
        let ran = crate::live::program::run(&mut command);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        ran
    };
    let plan = nice(&["--dry-run", "--json", "--", "true"]).answer_to("enter")[0].take();
    let row = plan["plan"].as_array().unwrap().iter().find(|row| row["what"] == "nice").unwrap().clone();
    let has = nice(&["--", "nice"]);
    assert_eq!(row["command-has"]["text"].as_str().unwrap(), has.text().trim());
}

/// What may not be raised is said, and what the command has is in the plan.
fn raised_limits() {
    let waiting = Waiting::start(Command::new("prlimit").arg("--memlock=4096:8192"));
    let enter_bounded = |arguments: &[&str]| {
        let mut command = Command::new("prlimit");
        command.arg("--memlock=1024:2048").arg(crate::harness::lxkns().get_program());
        command.args(["enter", &waiting.pid().to_string()]).args(arguments);
        crate::live::program::run(&mut command)
    };
    let ran = enter_bounded(&["--", "cat", "/proc/self/limits"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let plan = enter_bounded(&["--dry-run", "--json", "--", "true"]).answer_to("enter")[0].take();
    let row = plan["plan"].as_array().unwrap().iter().find(|row| row["what"] == "limits").unwrap().clone();
    let has: Vec<&str> =
        ran.text().lines().find(|line| line.starts_with("Max locked memory")).unwrap().split_whitespace().collect();
    let said = match has[3..5] {
        // With CAP_SYS_RESOURCE.
        ["4096", "8192"] => "memlock 4096:8192",
        ["2048", "2048"] => {
            assert!(ran.problems().iter().any(|note| note.contains("memlock")), "{ran:?}");
            "memlock 2048"
        }
        _ => panic!("{has:?}"),
    };
    assert!(row["command-has"]["text"].as_str().unwrap().contains(said), "{row}");
}

/// Root that has given its capabilities up, for good: running a program does not give them to the command either.
fn root_without_capabilities() {
    let locked = "--securebits=+noroot,+noroot_locked";
    for options in [&[locked][..], &[locked, "--inh-caps=-all,+chown", "--ambient-caps=-all,+chown"]] {
        let waiting = Waiting::start(Command::new("setpriv").args(options));
        let sets = |text: &str| -> Vec<String> {
            let is_set =
                |line: &&str| ["CapPrm", "CapEff", "CapBnd", "CapAmb"].iter().any(|name| line.starts_with(name));
            text.lines().filter(is_set).map(str::to_owned).collect()
        };
        let has = sets(&fs::read_to_string(format!("/proc/{}/status", waiting.pid())).unwrap());
        assert!(!has[0].contains("fff"), "{has:?}");
        let ran = enter(waiting.pid(), &[], &["cat", "/proc/self/status"]);
        assert_eq!((ran.code, sets(ran.text())), (Some(0), has), "{ran:?}");
        assert!(ran.problems().iter().any(|note| note.contains("securebits")), "{ran:?}");
        let [target, command] = planned(waiting.pid(), &[], "capabilities");
        for set in ["permitted", "effective", "ambient"] {
            assert_eq!(target[set], command[set], "{set}");
        }
        assert_eq!(planned(waiting.pid(), &[], "securebits")[1], "noroot, noroot locked");
    }
}

/// Outside of the user namespace that owns the network one has no capability but by having created it.
fn powers_by_creation() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let owned = format!("all over net:[{}] (owner user:[{}])", actor.ns_inode("net"), actor.ns_inode("user"));
    let up = ["ip", "link", "set", "lo", "up"];
    let ran = enter(actor.pid(), &["--only", "net"], &up);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.problems().iter().any(|note| note.contains(&owned[4..])), "{ran:?}");
    assert_eq!(planned(actor.pid(), &["--only", "net"], "capabilities inside")[1], *owned);
    // Another UID has created nothing.
    let options = ["--only", "net", "--user", "4321"];
    let ran = enter(actor.pid(), &options, &up);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert_eq!(planned(actor.pid(), &options, "capabilities inside")[1], "none");
}

fn landlock_is_mentioned() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let [target, command] = planned(actor.pid(), &[], "Landlock");
    assert_eq!(target, "not visible");
    assert!(command.as_str().unwrap().contains("not taken over"));
}
