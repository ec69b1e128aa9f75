//! `lxkns audit` of containers of two engines: of six with one fault each the fault is found and nothing else, and of those
//! without a fault none. The options that an engine's own client is given are the faults.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use lxkns_fixture::Actor;
use serde_json::Value;

use super::docker::Docker;
use super::host::{Cgroups, lxkns_says, on_own_host, tried, until_the_end};
use super::podman;
use crate::live::processes::hierarchy;

/// What makes a container that has as little as its engine gives.
const CLEAN: [&str; 6] = [
    "--user=1000",
    "--security-opt=no-new-privileges",
    "--cap-drop=ALL",
    "--read-only",
    "--network=none",
    "--ipc=private",
];

/// A container: its name, what it is started with beside [`CLEAN`], and the findings of medium or high.
type Case<'a> = (&'a str, Vec<&'a str>, &'a [(&'a str, &'a str)]);

/// What is found of a container from this severity on: kind and severity.
#[track_caller]
fn found(name: &str, least: &str) -> BTreeSet<(String, String)> {
    let results = lxkns_says(&["audit", "--json", name]).ok().results();
    let [judged] = &results[..] else { panic!("{results:#?}") };
    assert_eq!(
        judged["not-judged"],
        serde_json::json!([]),
        "{judged:#}\n{}",
        std::fs::read_to_string(format!("/proc/{}/mountinfo", judged["pid"])).unwrap()
    );
    assert_eq!(judged["process-count"], 1, "{judged:#}");
    let findings = judged["findings"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let rank = |severity: &str| ["info", "low", "medium", "high"].iter().position(|known| *known == severity).unwrap();
    let is_told = |finding: &&Value| rank(finding["severity"].as_str().unwrap()) >= rank(least);
    findings.filter(is_told).map(|finding| (text(&finding["kind"]), text(&finding["severity"]))).collect()
}

#[track_caller]
fn check(engine: &str, start: &dyn Fn(&str, &[&str]), socket: &str) {
    let mounted = format!("--volume={socket}:/tmp/other.name");
    // The lists of version 1 can be read; the programs of version 2 cannot.
    let by_list: &[_] = match hierarchy("cgroup", "devices") {
        Some(_) => &[("device-access", "medium")],
        None => &[],
    };
    let unmasked: &[_] = match fs::exists("/proc/sysrq-trigger").unwrap() {
        true => &[("kernel-files", "high"), ("kernel-files", "medium")],
        false => &[("kernel-files", "high")],
    };
    let unmask = if engine == "docker" { "systempaths=unconfined" } else { "unmask=ALL" };
    let unmask = format!("--security-opt={unmask}");
    let cases: [Case<'_>; 11] = [
        ("clean", vec![], &[]),
        ("pids", vec!["--pid=host"], &[("namespace-shared", "medium")]),
        ("capable", vec!["--cap-add=SYS_ADMIN"], &[("capabilities", "high")]),
        ("unfiltered", vec!["--security-opt=seccomp=unconfined"], &[("seccomp", "medium")]),
        ("socket", vec![&mounted], &[("engine-socket", "high")]),
        ("root", vec!["--volume=/etc:/host"], &[("host-files", "high")]),
        ("shared", vec!["--volume=/srv:/srv:ro,shared"], &[("propagation", "medium")]),
        ("device", vec!["--device=/dev/loop-control"], &[("device", "medium")]),
        ("rule", vec!["--device-cgroup-rule=b 7:* rwm"], by_list),
        ("writable", vec![&unmask], unmasked),
        // What has its name and is none.
        ("named", vec!["--volume=/run/false/docker.sock:/run/docker.sock"], &[]),
    ];
    for (name, options, expected) in cases {
        start(name, &[&CLEAN[..], &options].concat());
        let expected = expected.iter().map(|(kind, severity)| ((*kind).to_owned(), (*severity).to_owned())).collect();
        assert_eq!(found(&format!("{engine}:{name}"), "medium"), expected, "{name}");
    }
    assert_eq!(found(&format!("{engine}:clean"), "low"), BTreeSet::new());
    check_shared(engine, start);
    // Docker asks for all capabilities that there are, also for one that the host itself lacks; and the kernel gives none then.
    let bounding = fs::read_to_string("/proc/self/status").unwrap();
    let bounding = bounding.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap().trim().to_owned();
    let bounding = u64::from_str_radix(&bounding, 16).unwrap();
    if engine == "podman" || (bounding + 1).is_power_of_two() {
        check_privileged(engine, start);
    }
    start("plain", &[]);
    let low = ["host-root", "no-new-privs"].map(|kind| (kind.to_owned(), "low".to_owned()));
    assert_eq!(found(&format!("{engine}:plain"), "low"), low.into());

    let code = |arguments: &[&str]| lxkns_says(&[&["audit"], arguments].concat()).code;
    assert_eq!(code(&["--fail", "clean", "plain"]), Some(0));
    assert_eq!(code(&["--fail=low", "clean", "plain"]), Some(4));
    assert_eq!(
        (code(&["--fail", "pids"]), code(&["--fail=high", "pids"]), code(&["pids"])),
        (Some(4), Some(0), Some(0))
    );
    assert_eq!((code(&["--fail"]), code(&[])), (Some(4), Some(0)));
}

/// Which of the host's namespaces a container shares is told by type, and of no other that it is.
#[track_caller]
fn check_shared(engine: &str, start: &dyn Fn(&str, &[&str])) {
    let shared = |name: &str, ns_type: &str| {
        let results = lxkns_says(&["audit", "--json", name]).ok().results();
        let findings = results[0]["findings"].as_array().unwrap().iter().filter(|it| it["kind"] == "namespace-shared");
        let usual = "namespaces that engines usually share with the host: ";
        let is_told = |finding: &&Value| {
            let text = finding["text"].as_str().unwrap();
            match text.strip_prefix(usual) {
                Some(list) => list.split(", ").any(|listed| listed == ns_type),
                None => text.starts_with(&format!("{ns_type} namespace shared with the host: ")),
            }
        };
        let found: Vec<_> = findings.filter(is_told).map(|it| it["severity"].as_str().unwrap().to_owned()).collect();
        assert!(found.len() <= 1, "{results:#?}");
        found.into_iter().next()
    };
    const TYPES: [(&str, &str, &str); 5] = [
        ("net", "--network=host", "medium"),
        ("ipc", "--ipc=host", "medium"),
        ("uts", "--uts=host", "low"),
        ("cgroup", "--cgroupns=host", "info"),
        ("pid", "--pid=host", "medium"),
    ];
    for (own, option, severity) in TYPES {
        let (key, name) = (option.split('=').next().unwrap(), format!("host-{own}"));
        let mut options: Vec<_> = CLEAN.into_iter().filter(|other| !other.starts_with(key)).chain([option]).collect();
        if own != "cgroup" {
            options.push("--cgroupns=private");
        }
        start(&name, &options);
        for (ns_type, ..) in TYPES {
            let expected = (own == ns_type).then(|| severity.to_owned());
            assert_eq!(shared(&format!("{engine}:{name}"), ns_type), expected, "{option}: {ns_type}");
        }
    }
}

/// All that an engine can leave out.
#[track_caller]
fn check_privileged(engine: &str, start: &dyn Fn(&str, &[&str])) {
    start("privileged", &["--privileged"]);
    let all = found(&format!("{engine}:privileged"), "medium");
    let expected = [
        ("privileged", "high"),
        ("seccomp", "medium"),
        ("device", "high"),
        ("device-access", "high"),
        ("kernel-files", "high"),
    ];
    for (kind, severity) in expected {
        assert!(all.contains(&(kind.to_owned(), severity.to_owned())), "{kind} {severity}: {all:?}");
    }
}

/// Directories and a false socket that volumes are of.
fn lay_out() {
    std::fs::create_dir_all("/run/false").unwrap();
    std::fs::write("/run/false/docker.sock", "").unwrap();
    rustix::mount::mount_change(
        "/",
        rustix::mount::MountPropagationFlags::SHARED | rustix::mount::MountPropagationFlags::REC,
    )
    .unwrap();
}

pub(super) fn docker(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        lay_out();
        let _docker = Docker::start();
        check("docker", &|name, options| drop(Docker::run(name, options)), "/var/run/docker.sock");
    });
}

/// A process of the host's in the container's control group, with a connection to the engine; and one that has entered with all
/// rights. Neither looks like what it is by its name.
pub(super) fn hostile(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        let _docker = Docker::start();
        let id = Docker::run("web", &CLEAN);
        let main = Docker::told("web").pid;
        let stray = Actor::spawn();
        stray.set_comm(b"sleep");
        let fd = stray.give_fd(UnixStream::connect("/var/run/docker.sock").unwrap());
        let hierarchies = fs::read_dir("/sys/fs/cgroup").unwrap().map(|entry| entry.unwrap().path());
        let groups = hierarchies.chain(["/sys/fs/cgroup".into()]).map(|at| at.join("docker").join(&id));
        let groups: Vec<_> = groups.filter(|group| group.exists()).collect();
        assert!(!groups.is_empty(), "the container has control groups");
        groups.iter().for_each(|group| fs::write(group.join("cgroup.procs"), stray.pid().to_string()).unwrap());
        let guest = Actor::spawn();
        guest.set_comm(b"docker-init");
        guest.enter(&fs::File::open(format!("/proc/{main}/ns/mnt")).unwrap());

        let results = lxkns_says(&["audit", "--json", "web"]).ok().results();
        let of = |kind: &str, pid: u32| {
            let all = results[0]["findings"].as_array().unwrap().iter().filter(|finding| finding["kind"] == kind);
            let is_of = |finding: &&Value| finding["evidence"].as_array().unwrap().iter().any(|it| it["pid"] == pid);
            all.filter(is_of).map(|finding| finding["severity"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
        };
        let high: BTreeSet<_> = ["high".to_owned()].into();
        assert_eq!(of("engine-socket", stray.pid()), high, "fd {fd}: {results:#?}");
        assert!(of("left", stray.pid()).contains("high"), "{results:#?}");
        assert_eq!(of("privileged", stray.pid()), high, "{results:#?}");
        assert_eq!(of("entered", guest.pid()), ["medium".to_owned()].into(), "{results:#?}");
        assert_eq!(lxkns_says(&["audit", "--fail", "web"]).code, Some(4));
        drop((stray, guest));
        assert_eq!(lxkns_says(&["audit", "--fail", "web"]).code, Some(0));
    });
}

pub(super) fn podman(name: &str) {
    on_own_host(name, Cgroups::AsHere, || {
        lay_out();
        podman::lay_out("crun");
        std::fs::create_dir_all("/run/podman").unwrap();
        let socket = "/run/podman/podman.sock";
        let url = format!("unix://{socket}");
        let mut service = Command::new("podman");
        service.args(["system", "service", "--time=0", &url]).stdin(Stdio::null());
        until_the_end(service.stdout(Stdio::null()).stderr(Stdio::null()));
        let answers = || tried("podman", &["--url", &url, "version"]).code == Some(0);
        assert!((0..200).any(|_| answers()), "the service answers");
        check("podman", &podman::run, socket);
    });
}
