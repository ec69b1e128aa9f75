//! `lxkns containers`, and containers as TARGETs: of processes that live, in dumps to which their containers were added by hand.

use std::path::{Path, PathBuf};

use lxkns_fixture::{Actor, Open};
use serde_json::{Value, json};

use crate::harness::Need::UserNamespaces;
use crate::harness::{Test, test};
use crate::live::directory;
use crate::live::program::{Ran, run_lxkns};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::containers::whose_its_namespaces_are", &[UserNamespaces], whose_its_namespaces_are),
        test("cli::containers::what_confines_it", &[UserNamespaces], what_confines_it),
        test("cli::containers::shared_with_another", &[UserNamespaces], shared_with_another),
        test("cli::containers::as_targets", &[UserNamespaces], as_targets),
        test("cli::containers::left_without_a_process", &[UserNamespaces], left_without_a_process),
        test("cli::containers::of_the_go_program", &[UserNamespaces], of_the_go_program),
        test("cli::containers::not_looked_for", &[UserNamespaces], not_looked_for),
    ]
}

const ID: &str = "4f1a0c2e9b7d4f1a0c2e9b7d4f1a0c2e9b7d4f1a0c2e9b7d4f1a0c2e9b7d0001";

/// This host with these containers, each with its name and its process, in a file.
pub(super) fn with_containers(path: &Path, containers: &[(&str, &Actor)], more: Option<Value>) -> PathBuf {
    let mut dump = run_lxkns(["dump", "--no-cmdline"]).ok().json();
    let mut by_pid = serde_json::Map::new();
    let mut members = serde_json::Map::new();
    for (index, (name, actor)) in containers.iter().enumerate() {
        let pid = actor.pid();
        let container = json!({
            "id": if index == 0 { ID.to_owned() } else { format!("{index:064x}") }, "name": name, "type": "docker.com",
            "flavor": "docker.com", "pid": pid, "paused": false, "labels": {}, "groups": [], "engine": 1, "index": index,
            "state": "running", "said-by": {"name": 0, "pid": 0, "state": 0},
            "evidence": [{"kind": "cgroup", "at": format!("/docker/{name}"), "confidence": "likely"}],
        });
        by_pid.insert(pid.to_string(), container);
        members.insert(index.to_string(), json!([pid]));
    }
    dump["containers"] = by_pid.into();
    dump["container-engines"] = json!({"1": {"id": "", "type": "docker.com", "version": "", "api": "", "pid": 0,
                                              "labels": {}, "containers": []}});
    let mut info = json!({"others": [], "members": members, "namespaces": {}, "units": []});
    if let Some(more) = more {
        info.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    }
    dump["discovery-options"]["snapshot"]["containers"] = info;
    std::fs::write(path, dump.to_string()).unwrap();
    path.to_owned()
}

fn lxkns(arguments: &str, from: &Path) -> Ran {
    run_lxkns(arguments.split(' ').chain(["--from", from.to_str().unwrap()])).ok()
}

fn namespace<'a>(container: &'a Value, ns_type: &str) -> &'a Value {
    let namespaces = container["namespaces"].as_array().unwrap();
    namespaces.iter().find(|namespace| namespace["type"] == ns_type).unwrap()
}

/// What the kernel says that is the actor's own is; what is the initial namespace is the host's.
fn whose_its_namespaces_are() {
    let actor = Actor::spawn_in(&["user", "net", "uts"]);
    let directory = directory();
    let from = with_containers(&directory.path().join("dump"), &[("web", &actor)], None);
    let results = lxkns("containers --json web", &from).results();
    let [web] = &results[..] else { panic!("{results:?}") };
    assert_eq!(
        (&web["target"], &web["pid"], &web["state"]),
        (&json!("docker:web"), &json!(actor.pid()), &json!("running"))
    );
    let dump: Value = serde_json::from_slice(&std::fs::read(&from).unwrap()).unwrap();
    for ns_type in ["user", "net", "uts", "ipc", "mnt", "pid"] {
        let found = namespace(web, ns_type);
        let inode = actor.ns_inode(ns_type);
        assert_eq!(found["nsid"], inode, "{ns_type}");
        let is_initial = dump["namespaces"][inode.to_string()]["initial"] == true;
        if ["user", "net", "uts"].contains(&ns_type) {
            assert_eq!((&found["whose"], &found["shared-with"]), (&json!("own"), &json!([])), "{ns_type}");
            assert!(!is_initial);
        } else if is_initial {
            assert_eq!(found["whose"], "host", "{ns_type}");
        }
    }
    let table = lxkns("containers -rno CONTAINER,NET,UTS,PROCESS web", &from);
    assert_eq!(table.text(), format!("web own own {}\n", actor.pid()));
}

fn status(actor: &Actor, field: &str) -> String {
    let status = std::fs::read_to_string(format!("/proc/{}/status", actor.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().to_owned()
}

fn what_confines_it() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let directory = directory();
    let from = with_containers(&directory.path().join("dump"), &[("web", &actor)], None);
    let web = &lxkns("containers --json", &from).results()[0];
    assert_eq!(web["no-new-privs"], status(&actor, "NoNewPrivs") == "1");
    let seccomp = ["none", "strict", "filter"][status(&actor, "Seccomp").parse::<usize>().unwrap()];
    assert_eq!(web["seccomp"], seccomp);
    let bounding = u64::from_str_radix(&status(&actor, "CapBnd"), 16).unwrap();
    let default = 0xa804_25fb_u64;
    let has = |key: &str| web[key].as_array().unwrap().len();
    assert_eq!(has("capabilities"), bounding.count_ones() as usize);
    assert_eq!(has("extra-capabilities"), (bounding & !default).count_ones() as usize);
    // The kernel's map says who its root is, to whoever is in the initial user namespace.
    let map = std::fs::read_to_string(format!("/proc/{}/uid_map", actor.pid())).unwrap();
    let numbers: Vec<u32> = map.split_whitespace().map(|number| number.parse().unwrap()).collect();
    if std::fs::read_link("/proc/self/ns/user").unwrap() == Path::new("user:[4026531837]") {
        let of_zero = numbers.chunks(3).find(|line| line[0] == 0).map(|line| line[1]);
        assert_eq!(web["host-uid-of-root"], json!(of_zero), "{map}");
        assert_eq!(web["has-root"], of_zero.is_some());
    } else {
        assert_eq!(web["host-uid-of-root"], Value::Null);
    }
}

fn shared_with_another() {
    let first = Actor::spawn_in(&["user", "net"]);
    let second = first.fork();
    second.unshare(&["uts"]);
    let directory = directory();
    let from = with_containers(&directory.path().join("dump"), &[("web", &first), ("side", &second)], None);
    let results = lxkns("containers --json", &from).results();
    let side = results.iter().find(|it| it["name"] == "side").unwrap();
    let net = namespace(side, "net");
    assert_eq!((&net["whose"], &net["container"]), (&json!("container"), &json!("docker:web")));
    assert_eq!(namespace(side, "uts")["whose"], "own");
    let web = results.iter().find(|it| it["name"] == "web").unwrap();
    let net = namespace(web, "net");
    assert_eq!((&net["whose"], &net["shared-with"]), (&json!("own"), &json!(["docker:side"])));
    let line = lxkns(&format!("ls -rno NS,CONTAINER,ENGINE {}", first.ns_inode("net")), &from);
    assert_eq!(line.text(), format!("{} web,side docker\n", first.ns_inode("net")));
}

fn as_targets() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let directory = directory();
    let from = with_containers(&directory.path().join("dump"), &[("web", &actor)], None);
    let net = format!("{}\n", actor.ns_inode("net"));
    for target in ["web/net", "docker:web/net", "4f1a0c2e9b7d/net"] {
        assert_eq!(lxkns(&format!("ls -rno NS {target}"), &from).text(), net, "{target}");
    }
    let by_pid = lxkns(&format!("ls -rno NS {}", actor.pid()), &from);
    for target in ["web", "docker:web", &ID[..12], ID] {
        assert_eq!(lxkns(&format!("ls -rno NS {target}"), &from).text(), by_pid.text(), "{target}");
        let shown = lxkns(&format!("show --json {target}"), &from).results();
        assert_eq!(
            (&shown[0]["process"]["pid"], &shown[0]["process"]["container"]["name"]),
            (&json!(actor.pid()), &json!("web")),
            "{target}"
        );
    }
    let caps = lxkns("caps --json web", &from).results();
    assert_eq!(caps[0]["process"]["pid"], actor.pid());
    let from = from.to_str().unwrap();
    // Which containers there are is known where all processes could be read that can be in one.
    let absent = run_lxkns(["why", "docker:other", "--from", from]);
    let is_unseen = absent.code == Some(3) && !super::sees_all_members();
    absent.fails(if is_unseen { 3 } else { 1 }, "docker:other: ");
}

fn left_without_a_process() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let inode = actor.ns_inode("net");
    actor.open("/proc/self/ns/net", Open::ReadOnly);
    actor.unshare(&["net"]);
    let directory = directory();
    let old = json!({
        "id": "01d00000000a", "name": "01d00000000a", "type": "k8s.io/cri-api", "flavor": "k8s.io/cri-api", "pid": 0,
        "paused": false, "labels": {}, "groups": [], "engine": 1, "index": 0, "role": "sandbox", "state": "exited",
        "pod": {"namespace": "shop", "name": "old-0"}, "said-by": {"pod": 0, "state": 0},
        "evidence": [{"kind": "cni-result", "at": "/var/lib/cni/results/x", "confidence": "sure"}],
    });
    let mut namespaces = serde_json::Map::new();
    namespaces.insert(inode.to_string(), json!(0));
    let info = json!({"others": [old], "namespaces": namespaces});
    let from = with_containers(&directory.path().join("dump"), &[], Some(info));
    for target in ["pod:shop/old-0", "pod:shop/old-0/net", "01d00000000a/net", &inode.to_string()] {
        let why = lxkns(&format!("why --json {target}"), &from).results();
        let [found] = &why[..] else { panic!("{why:?}") };
        assert_eq!(
            (&found["namespace"]["nsid"], &found["namespace"]["container"]["pod"]),
            (&json!(inode), &json!("shop/old-0"))
        );
        assert_eq!(
            found["made-for"],
            "made for cri:01d00000000a (pod shop/old-0), which is exited: cni-result /var/lib/cni/results/x (sure)"
        );
    }
    let orphans = lxkns("orphans -t net", &from);
    let lines: Vec<_> = orphans.text().lines().collect();
    let at = lines.iter().position(|line| line.contains(&inode.to_string())).unwrap();
    assert!(lines[at].contains("of cri:01d00000000a (pod shop/old-0)"), "{}", lines[at]);
    assert!(lines[at + 1].contains("made for"), "{}", lines[at + 1]);
    // The kernel still has it.
    assert!(lines[at + 2].contains(&format!("process {}", actor.pid())), "{}", lines[at + 2]);
}

fn of_the_go_program() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let child = actor.fork();
    let directory = directory();
    let path = with_containers(&directory.path().join("dump"), &[("web", &actor)], None);
    let mut dump: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    dump["discovery-options"].as_object_mut().unwrap().remove("snapshot");
    let container = dump["containers"][actor.pid().to_string()].as_object_mut().unwrap();
    container.retain(|key, _| {
        ["id", "name", "type", "flavor", "pid", "paused", "labels", "groups", "engine"].contains(&key.as_str())
    });
    std::fs::write(&path, dump.to_string()).unwrap();
    let line = lxkns("containers -rno CONTAINER,STATE,NET,PROCESS,CONFIDENCE", &path);
    assert_eq!(line.text(), format!("web running own {} likely\n", actor.pid()));
    // What its process has started is in it too.
    let shown = lxkns(&format!("show --json {}", child.pid()), &path).results();
    assert_eq!(shown[0]["process"]["container"]["target"], "docker:web");
}

fn not_looked_for() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let directory = directory();
    let path = with_containers(&directory.path().join("dump"), &[("web", &actor)], None);
    let mut dump: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    dump["containers"] = json!({});
    dump["container-engines"] = json!({});
    dump["discovery-options"]["snapshot"].as_object_mut().unwrap().remove("containers");
    std::fs::write(&path, dump.to_string()).unwrap();
    let from = path.to_str().unwrap();
    run_lxkns(["containers", "--from", from]).fails(3, "containers are not known");
    run_lxkns(["why", "docker:web", "--from", from]).fails(3, "containers are not known");
    let forms = lxkns(&format!("why --json {}/net", actor.pid()), &path).results();
    assert_eq!(forms[0]["namespace"].get("container"), None, "it is not said that it is in none");
}

/// Every view takes the container by its name and names it; the kernel says that the command is inside.
pub(in crate::live) fn as_target(id: &str, pid: u32) {
    let target = format!("runc:{id}");
    let link = |name: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
    let inode = |name: &str| link(name).to_str().unwrap().split(['[', ']']).nth(1).unwrap().to_owned();
    for named in [id, &target] {
        let entered = run_lxkns(["enter", named, "--", "/bin/busybox", "readlink", "/proc/self/ns/uts"]).ok();
        assert_eq!(entered.text().trim_end(), link("uts").to_str().unwrap(), "{named}");
        let listed = run_lxkns(["ls", "-rno", "NS,CONTAINER,ENGINE", &format!("{named}/net")]).ok();
        assert_eq!(listed.text(), format!("{} {id} runc\n", inode("net")));
    }
    let plan = run_lxkns(["enter", "--dry-run", "--json", id, "--", "/bin/busybox"]).ok().results();
    assert_eq!(plan[0]["container"]["target"], target);
    let line = run_lxkns(["containers", "-rno", "CONTAINER,MNT,NET,PID,ROOT,STATE,PROCESS", id]).ok();
    assert_eq!(line.text(), format!("{id} own own own 0 running {pid}\n"));
    let why = run_lxkns(["why", "--json", &format!("{id}/net")]).ok().results();
    let step = &why[0]["holders"][0]["release"][0];
    assert_eq!(step["engine-command"], format!("runc delete -f {id}"));
    assert_eq!(why[0]["namespace"]["container"]["confidence"], "sure");
    // The dump carries it to wherever it is read.
    let dump = directory();
    let file = dump.path().join("dump");
    std::fs::write(&file, run_lxkns(["dump"]).ok().stdout).unwrap();
    let of_dump = run_lxkns(["show", "--json", id, "--from", file.to_str().unwrap()]).ok().results();
    assert_eq!(of_dump[0]["process"]["pid"], pid);
}
