//! `lxkns doctor`: what it says is missing is missing, and what it advises helps.

use std::process::Command;

use lxkns_core::Interface;
use lxkns_fixture::deny::{self, INTERFACES};
use lxkns_fixture::{Actor, Socket};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::{assert_documented, unprivileged};
use crate::harness::Need::{File, Kernel, NamespaceType, Program, Root, Unprivileged, UserNamespaces};
use crate::harness::{Test, lxkns, test};
use crate::live::program::{run, run_lxkns, run_lxkns_with};
use crate::live::{directory, own_inode};

const INITIAL_PID_NAMESPACE: u64 = 4_026_531_836;

pub(super) fn tests() -> Vec<Test> {
    const STEPS: &[crate::harness::Need] =
        &[Root, UserNamespaces, Kernel(6, 12), File("/dev/net/tun"), Program("setpriv")];
    vec![
        test("cli::doctor::each_capability_gives_what_is_said", STEPS, each_capability),
        test("cli::doctor::what_setcap_gives", &[Root, UserNamespaces, Program("setcap")], what_setcap_gives),
        test("cli::doctor::root_lacks_no_capability", &[Root, UserNamespaces], root_lacks_no_capability),
        test("cli::doctor::of_an_ordinary_user", &[Unprivileged], of_an_ordinary_user),
        test("cli::doctor::names_of_interfaces", &[], names_of_interfaces),
        test("cli::doctor::denied", &[UserNamespaces], denied),
        test(
            "cli::doctor::in_other_namespaces",
            &[UserNamespaces, Program("unshare"), NamespaceType("pid")],
            in_other_namespaces,
        ),
        test("cli::doctor::helper", &[], helper),
        test("cli::doctor::of_a_dump", &[UserNamespaces], of_a_dump),
    ]
}

fn doctor() -> Value {
    run_lxkns(["doctor", "--json"]).ok().answer_to("doctor")[0].take()
}

/// The capabilities that its lines name as missing.
fn missing(report: &Value) -> Vec<&str> {
    let lines = report["shortfalls"].as_array().unwrap();
    let mut names: Vec<_> = lines.iter().flat_map(|line| line["capabilities"].as_array().unwrap()).collect();
    names.sort_by_key(|name| name.as_str());
    names.dedup();
    names.into_iter().map(|name| name.as_str().unwrap()).collect()
}

/// An actor in namespaces of its own that has a socket and a TUN file in a network namespace that it left.
fn with_files() -> Actor {
    let actor = Actor::spawn_in(&["user", "net"]);
    actor.socket(Socket::Udp4);
    actor.tun("tun0");
    actor.unshare(&["net"]);
    actor
}

/// The places in which something about a process could not be read, in the dump that a command writes.
fn gaps_of(command: &mut Command, pid: u32) -> Vec<String> {
    let dump = run(command.arg("dump")).ok().json();
    // Where there is no gap at all, the key is left out.
    let gaps = dump["discovery-options"]["snapshot"]["gaps"].as_array().cloned().unwrap_or_default();
    gaps.iter().filter(|gap| gap["pid"] == pid).map(|gap| gap["place"].as_str().unwrap().to_owned()).collect()
}

/// The program as an ordinary user with these capabilities, as `setpriv` writes them.
fn with_capabilities(copy: &std::path::Path, capabilities: &[String]) -> Command {
    let list: String = capabilities.iter().map(|name| format!(",+{}", name.trim_start_matches("cap_"))).collect();
    let mut command = Command::new("setpriv");
    command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(format!("--inh-caps=-all{list}")).arg(format!("--ambient-caps=-all{list}")).arg(copy);
    command
}

/// With each capability that is said to be missing, what it was said to be missing for is there; and then the next is said
/// to be missing, until all is there.
fn each_capability() {
    let directory = directory();
    let actor = with_files();
    unprivileged(directory.path());
    let copy = directory.path().join("lxkns");
    let mut held: Vec<String> = Vec::new();
    let steps = [("CAP_SYS_PTRACE", "processes"), ("CAP_DAC_READ_SEARCH", "fds"), ("CAP_NET_ADMIN", "sockets")];
    let advised: Vec<String> = {
        let report = run(with_capabilities(&copy, &held).args(["doctor", "--json"])).ok().answer_to("doctor")[0].take();
        assert_eq!(report["caller"]["capabilities"], json!([]));
        let advised = report["advice"][0]["capabilities"].as_array().unwrap();
        advised.iter().map(|name| name.as_str().unwrap().to_ascii_lowercase()).collect()
    };
    for (capability, place) in steps {
        let report = run(with_capabilities(&copy, &held).args(["doctor", "--json"])).ok().answer_to("doctor")[0].take();
        assert!(missing(&report).contains(&capability), "{held:?}: {report:#}");
        let gaps = gaps_of(&mut with_capabilities(&copy, &held), actor.pid());
        assert!(gaps.iter().any(|gap| gap == place), "{held:?}: {gaps:?}");
        held.push(capability.to_ascii_lowercase());
        let gaps = gaps_of(&mut with_capabilities(&copy, &held), actor.pid());
        assert!(!gaps.iter().any(|gap| gap == place), "{held:?}: {gaps:?}");
        assert!(advised.contains(held.last().unwrap()), "{advised:?}");
    }
    assert_eq!(gaps_of(&mut with_capabilities(&copy, &held), actor.pid()), [""; 0]);
    let of_kernel = |report: &Value| {
        let lines = report["shortfalls"].as_array().unwrap().iter();
        let parts = lines.flat_map(|line| line["parts"].as_array().unwrap());
        parts.filter(|part| part["what"].as_str().unwrap().contains("kernel's own lists")).count()
    };
    let report = run(with_capabilities(&copy, &held).args(["doctor", "--json"])).ok().answer_to("doctor")[0].take();
    assert_eq!((missing(&report), of_kernel(&report)), (vec!["CAP_SYS_ADMIN"], 1));
    let report = run(with_capabilities(&copy, &advised).args(["doctor", "--json"])).ok().answer_to("doctor")[0].take();
    assert_eq!(missing(&report), [""; 0], "{report:#}");
    if own_inode("pid") == INITIAL_PID_NAMESPACE {
        assert_eq!(of_kernel(&report), 0, "{report:#}");
        assert_eq!(report["advice"], json!([]));
    }
}

/// The command that is advised, run for real.
fn what_setcap_gives() {
    let directory = directory();
    let actor = Actor::spawn_in(&["user", "net"]);
    let mut first = unprivileged(directory.path());
    let report = run(first.args(["doctor", "--json"])).ok().answer_to("doctor")[0].take();
    let command = report["advice"][0]["command"].as_str().unwrap().to_owned();
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("sudo"));
    let done = Command::new(words.next().unwrap()).args(words).status().unwrap();
    assert!(done.success(), "{command}");
    let copy = directory.path().join("lxkns");
    let again = || with_capabilities(&copy, &[]);
    let report = run(again().args(["doctor", "--json"])).ok().answer_to("doctor")[0].take();
    assert_eq!(missing(&report), [""; 0], "{report:#}");
    assert_eq!(gaps_of(&mut again(), actor.pid()), [""; 0]);
}

fn root_lacks_no_capability() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let report = doctor();
    assert_documented(&report);
    assert_eq!(missing(&report), [""; 0], "{report:#}");
    assert_eq!(gaps_of(&mut lxkns(), actor.pid()), [""; 0]);
    assert_eq!((&report["live"], &report["caller"]["uid"]), (&true.into(), &0.into()));
    let places = report["places"].as_array().unwrap();
    assert_eq!(places.len(), 12);
    let searched = |name: &str| {
        let place = places.iter().find(|place| place["place"] == name).unwrap();
        (place["searched"].as_str().unwrap().to_owned(), place["reasons"].as_array().unwrap().is_empty())
    };
    for place in places {
        let (searched, is_whole) = searched(place["place"].as_str().unwrap());
        assert!(searched == "yes" && is_whole || ["partly", "no"].contains(&&*searched) && !is_whole, "{place}");
    }
    // Each interface is said to answer exactly if it does.
    let proc = lxkns_core::ProcRoot::host().unwrap();
    for interface in Interface::ALL {
        let lines = report["interfaces"].as_array().unwrap();
        let line = lines.iter().find(|line| line["interface"] == interface.name()).unwrap();
        assert_eq!(line["answers"], interface.ask(&proc) == Ok(true), "{line}");
    }
}

fn of_an_ordinary_user() {
    let report = doctor();
    assert_documented(&report);
    assert!(missing(&report).contains(&"CAP_SYS_PTRACE"), "{report:#}");
    let text = run_lxkns(["doctor"]).ok();
    let has = |start: &str| text.text().lines().any(|line| line.starts_with(start));
    assert!(has("  partly  1 processes") && has("  partly  4 open files"), "{text:?}");
    assert!(has("  CAP_SYS_PTRACE: "), "{text:?}");
    assert_eq!(text.stderr, "");
}

/// What the program asks for is what the tests deny.
fn names_of_interfaces() {
    let asked: Vec<_> = Interface::ALL.iter().map(|interface| (interface.name(), interface.since())).collect();
    let denied: Vec<_> = INTERFACES.iter().map(|interface| (interface.name, interface.since)).collect();
    assert_eq!(asked, denied);
}

fn denied() {
    let actor = Actor::spawn_in(&["user", "net"]);
    actor.socket(Socket::Udp4);
    for (name, errno, errno_name) in [
        ("listmount", Errno::PERM, "EPERM"),
        ("pidfd_getfd", Errno::NOSYS, "ENOSYS"),
        ("openat2", Errno::INVAL, "EINVAL"),
    ] {
        let filtered = |arguments: &[&str]| {
            let mut command = lxkns();
            deny::deny(&mut command, &[deny::interface(name)], errno.raw_os_error()).unwrap();
            // On a host with many tasks, the kernel's iterators tell of sockets without that call.
            run(command.args(arguments).args(["--reader", "proc"])).ok()
        };
        let report = filtered(&["doctor", "--json"]).answer_to("doctor")[0].take();
        assert_eq!(report["caller"]["seccomp"], "filter");
        let lines = report["interfaces"].as_array().unwrap();
        let line = lines.iter().find(|line| line["interface"] == name).unwrap();
        assert_eq!((&line["answers"], &line["errno"]), (&false.into(), &errno_name.into()), "{line}");
        assert!(line["why"].as_str().unwrap().contains("a filter of system calls (seccomp)"), "{line}");
        let advice = report["advice"].as_array().unwrap();
        let names_it = |advice: &&Value| {
            let text = advice["text"].as_str().unwrap();
            text.contains(name) && text.contains("seccomp=unconfined")
        };
        assert_eq!(advice.iter().filter(names_it).count(), 1, "{report:#}");
        let text = filtered(&["doctor"]);
        assert!(text.text().contains(&format!("  no     {name} ({errno_name}): denied")), "{text:?}");
        if name == "pidfd_getfd" {
            // The only call that leads to sockets.
            assert_eq!(report["places"][4]["searched"], "no", "{report:#}");
        }
    }
}

fn in_other_namespaces() {
    let inside = |options: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user"]).args(options).arg(lxkns().get_program()).args(["doctor", "--json"]);
        run(&mut command).ok().answer_to("doctor")[0].take()
    };
    let is = |report: &Value, key: &str| report["caller"][key].as_bool().unwrap();
    let report = inside(&[]);
    assert!(!is(&report, "initial-user-namespace") && is(&report, "own-procfs"), "{report:#}");
    // It has them all, and they do not count for the host.
    assert!(report["caller"]["capabilities"].as_array().unwrap().contains(&"CAP_SYS_PTRACE".into()));
    assert!(missing(&report).contains(&"CAP_SYS_PTRACE"), "{report:#}");
    let advice = &report["advice"][0];
    assert!(advice["text"].as_str().unwrap().contains("in the initial user namespace"), "{advice}");
    assert_eq!(advice["command"], Value::Null);

    let report = inside(&["--pid", "--fork"]);
    assert!(!is(&report, "initial-pid-namespace") && !is(&report, "own-procfs"), "{report:#}");
    let says = report["advice"]
        .as_array()
        .unwrap()
        .iter()
        .any(|advice| advice["text"].as_str().unwrap().starts_with("procfs is that of another PID namespace"));
    assert!(says, "{report:#}");
    let report = inside(&["--pid", "--fork", "--mount-proc"]);
    assert!(!is(&report, "initial-pid-namespace") && is(&report, "own-procfs"), "{report:#}");
}

fn helper() {
    let report = doctor();
    assert_eq!((&report["helper"]["starts"], &report["helper"]["why"]), (&true.into(), &Value::Null), "{report:#}");
    let broken = |path: &str| {
        let report =
            run(lxkns().env("LXKNS_SANDBOX", path).args(["doctor", "--json"])).ok().answer_to("doctor")[0].take();
        assert_eq!((&report["helper"]["path"], &report["helper"]["starts"]), (&path.into(), &false.into()));
        report["helper"]["why"].as_str().unwrap().to_owned()
    };
    assert!(broken("/nowhere/mntnssandbox").contains("start the helper /nowhere/mntnssandbox"));
    assert!(!broken("/dev/null").is_empty());
}

fn of_a_dump() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let mut dump = run_lxkns(["dump"]).ok().json();
    let gap = json!({"place": "fds", "operation": "open fd", "errno": 13, "pid": actor.pid()});
    dump["discovery-options"]["snapshot"]["gaps"] = json!([gap]);
    dump["discovery-options"]["snapshot"]["kernel"] = json!("1.2.3\u{1b}");
    dump["discovery-options"]["snapshot"]["observer"]["capabilities"] = json!("0000000000000000");
    let dump = dump.to_string();
    let report =
        run_lxkns_with(&["doctor", "--json", "--from", "-"], dump.as_bytes()).ok().answer_to("doctor")[0].take();
    assert_documented(&report);
    assert_eq!((&report["live"], &report["kernel"]), (&false.into(), &"1.2.3\u{1b}".into()));
    for key in ["interfaces", "caller", "helper"] {
        assert_eq!(report[key], Value::Null, "{key}");
    }
    assert_eq!(missing(&report), ["CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"]);
    let taker = &report["taker"];
    assert_eq!((&taker["uid"], &taker["capabilities"]), (&rustix::process::geteuid().as_raw().into(), &json!([])));
    assert_eq!(report["places"][3]["searched"], "partly");
    assert_eq!(report["places"][0]["searched"], "yes");
    let text = run_lxkns_with(&["doctor", "--from", "-"], dump.as_bytes()).ok();
    assert!(text.text().starts_with("kernel 1.2.3\\x1b\n  interfaces: not in a dump\n"), "{text:?}");
    assert!(text.text().contains("\ntaken by UID "), "{text:?}");
    assert!(text.text().contains("  CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE: open files of 1 process\n"), "{text:?}");
}
