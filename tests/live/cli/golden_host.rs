//! The host of the golden files: a fixture, recorded as a dump with numbers of its own, so that recording it again gives
//! the same file.
//!
//! `BLESS=host` in the environment, as root, records it anew; then bless the golden files.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use lxkns_fixture::{Actor, Open, Socket};
use serde_json::{Map, Value, json};

use crate::harness::Need::{self, FileSystem, Kernel, Root, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::directory;
use crate::live::program::run_lxkns;

const HOST_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/host.json");
/// Where there is nothing but the tests, as in virtual machines, these have nothing to compare with.
pub(super) const HOST: Need = Need::File(HOST_FILE);

pub(super) fn tests() -> Vec<Test> {
    vec![test(
        "cli::golden_host::recorded",
        &[Root, Kernel(6, 18), UserNamespaces, FileSystem("tmpfs"), Need::File("/dev/net/tun"), HOST],
        recorded,
    )]
}

pub(super) fn file() -> PathBuf {
    HOST_FILE.into()
}

/// Somebody who created a user namespace.
const UID: u32 = 1000;

/// Flag of `mount(2)`.
const MS_SHARED: u64 = 1 << 20;

/// What its processes are called, in the order of their PIDs; in the file these are 101 and so on.
const PROCESSES: [(&str, &[&str]); 5] = [
    ("nginx", &["nginx: master process /usr/sbin/nginx -g daemon off;"]),
    ("漢字 \u{1b}[31m", &["/opt/漢字/漢字漢字漢字漢字漢字漢字", "--name", "a\nb", "\u{1b}]0;title\u{7}"]),
    ("sh", &["sh", "-c", "while sleep 1000; do echo every quarter of an hour or so; done"]),
    ("postgres", &["postgres: checkpointer"]),
    ("kworker/u8:1", &[]),
];

fn recorded() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    let before = identities(&run_lxkns(["dump", "--reader", "proc"]).ok().json());

    let outer = Actor::spawn_in(&["user", "mnt", "uts", "ipc", "net"]);
    outer.make_mounts_private();
    outer.mount("tmpfs", directory.path());
    for name in ["shared", "below", "below/deeper", "a b\n"] {
        outer.mkdir(path(name));
    }
    outer.mount("tmpfs", path("shared"));
    outer.mount_with("none", "", path("shared"), MS_SHARED, "");
    outer.mount("tmpfs", path("below/deeper"));
    outer.mount("tmpfs", path("below"));
    outer.mount("tmpfs", path("a b\n"));
    outer.touch(path("netns 漢字"));
    outer.bind("/proc/self/ns/net", path("netns 漢字"));
    outer.unshare(&["net"]);
    // A user and a PID namespace inside; a time namespace for children that never come; a user namespace of another user.
    let second = outer.fork();
    second.unshare(&["user", "mnt"]);
    second.map_root();
    second.unshare(&["pid"]);
    let third = second.fork();
    third.unshare(&["net"]);
    let fourth = third.fork();
    fourth.unshare(&["user", "cgroup"]);
    fourth.unshare(&["time"]);
    let fifth = outer.fork();
    fifth.setuid(UID);
    fifth.unshare(&["user", "uts"]);
    // Held by a descriptor each, by a socket, a TUN file and a thread.
    outer.unshare(&["net", "uts"]);
    outer.open("/proc/self/ns/net", Open::ReadOnly);
    outer.open("/proc/self/ns/uts", Open::ReadOnly);
    outer.unshare(&["net", "uts"]);
    outer.socket(Socket::Udp4);
    outer.unshare(&["net"]);
    outer.tun("lxknstap");
    outer.unshare(&["net"]);
    let thread = outer.thread();
    thread.unshare(&["net", "uts"]);

    let pids = [&outer, &second, &third, &fourth, &fifth].map(Actor::pid);
    assert!(pids.is_sorted(), "PIDs have begun anew: record it once more");
    let dump = run_lxkns(["dump", "--reader", "proc"]).ok().json();
    let dump = Recording { dump, before, pids, thread: thread.tid() }.canonical(directory.path().to_str().unwrap());
    let text = serde_json::to_string_pretty(&dump).unwrap() + "\n";
    if std::env::var_os("BLESS").is_some_and(|what| what == "host") {
        std::fs::write(file(), &text).unwrap();
    }
    let file: Value = serde_json::from_slice(&std::fs::read(file()).unwrap()).unwrap();
    assert_eq!(shape(&dump), shape(&file), "host.json is not what the fixture makes: run this test with BLESS=host");
}

/// Inode numbers and unique IDs: a number alone can be given again.
fn identities(dump: &Value) -> BTreeSet<(u64, Option<u64>)> {
    let namespaces = dump["namespaces"].as_object().unwrap().values();
    namespaces.map(|ns| (ns["nsid"].as_u64().unwrap(), ns["unique-id"].as_u64())).collect()
}

/// What there is: types of namespaces with the kinds of their holders.
fn shape(dump: &Value) -> Vec<String> {
    let namespaces = dump["namespaces"].as_object().unwrap().values().map(|namespace| {
        let holders = namespace["holders"].as_array().unwrap().iter().map(|holder| holder["kind"].as_str().unwrap());
        format!("{} {:?}", namespace["type"].as_str().unwrap(), holders.collect::<Vec<_>>())
    });
    let mut namespaces: Vec<_> = namespaces.collect();
    namespaces.sort();
    namespaces
}

struct Recording {
    dump: Value,
    before: BTreeSet<(u64, Option<u64>)>,
    pids: [u32; 5],
    thread: u32,
}

impl Recording {
    /// Only what the fixture made, below what a host begins with, and numbered anew.
    fn canonical(self, directory: &str) -> Value {
        let Self { mut dump, before, pids, thread } = self;
        let is_own_pid = |value: &Value| value.as_u64().is_none_or(|pid| pids.iter().any(|&own| u64::from(own) == pid));
        let all = dump["namespaces"].as_object().unwrap().clone();
        let number = |value: &Value| value.as_u64().unwrap();
        let initial = |ns_type: &Value| -> u64 {
            let of_type = |ns: &&Value| ns["type"] == *ns_type && ns["initial"] == true;
            number(&all.values().find(of_type).expect("root sees all initial namespaces")["nsid"])
        };
        // Those that the fixture made.
        let owner = |ns: &Value| ns.get("owner").or(ns.get("parent")).and_then(Value::as_u64);
        let new: BTreeSet<u64> = identities(&dump).difference(&before).map(|(ino, _)| *ino).collect();
        let is_new = |ino: u64| new.contains(&ino);
        let mut made: Vec<&Value> = all.values().filter(|ns| is_new(number(&ns["nsid"]))).collect();
        made.retain(|ns| {
            let of_fixture = |ns: &Value| ns["leaders"].as_array().is_some_and(|pids| pids.iter().any(is_own_pid));
            let owner = owner(ns).and_then(|owner| all.get(&owner.to_string()));
            of_fixture(ns) || owner.is_some_and(|owner| is_new(number(&owner["nsid"])) && of_fixture(owner))
        });
        // Neither inode numbers nor unique IDs are in the order of their making: by type, and by the first that holds it.
        made.sort_by_key(|ns| {
            let holders = ns["holders"].as_array().unwrap().iter().filter(|holder| is_own_pid(&holder["pid"]));
            let key = |holder: &Value| ["pid", "tid", "fd"].map(|key| holder[key].as_u64().unwrap_or(u64::MAX));
            (ns["type"].to_string(), holders.map(key).min())
        });
        let mut numbers: BTreeMap<u64, u64> = BTreeMap::new();
        for ns in all.values() {
            numbers.insert(number(&ns["nsid"]), initial(&ns["type"]));
        }
        numbers.extend((4026532201..).zip(&made).map(|(new, ns)| (number(&ns["nsid"]), new)));

        let mut namespaces = Map::new();
        let starts_with = all.values().filter(|ns| ns["initial"] == true);
        let mut unique_id = 1..;
        for ns in starts_with.chain(made.iter().copied()) {
            let mut ns = ns.clone();
            let object = ns.as_object_mut().unwrap();
            let is_initial = object.get("initial").is_some();
            if object.get("user-id").is_some_and(|uid| *uid == UID) {
                object.insert("user-name".into(), "jo".into());
            }
            object.insert("unique-id".into(), unique_id.next().into());
            let kept = |list: Option<&Value>| -> Vec<Value> {
                let list = list.and_then(Value::as_array).into_iter().flatten();
                list.filter(|ino| made.iter().any(|ns| ns["nsid"] == **ino)).cloned().collect()
            };
            for key in ["children", "possessions"] {
                let list = kept(object.get(key));
                object.insert(key.into(), list.into());
            }
            if is_initial {
                object.insert("leaders".into(), json!([1]));
                object.insert("ealdorman".into(), 1.into());
                object.insert("loose-threads".into(), json!([]));
                object.insert("reference".into(), json!([format!("/proc/1/ns/{}", object["type"].as_str().unwrap())]));
            }
            // What is below a namespace of this host stands below the initial one in the file.
            let holders = object["holders"].as_array_mut().unwrap();
            holders.retain(|holder| match holder["kind"].as_str().unwrap() {
                "child" | "owned" => made.iter().any(|ns| ns["nsid"] == holder["nsid"]),
                _ => !is_initial && is_own_pid(&holder["pid"]),
            });
            if is_initial {
                holders.insert(0, json!({ "kind": "process", "pid": 1 }));
            }
            namespaces.insert(object["nsid"].to_string(), ns);
        }
        // Those whose parent or owner was one of this host's are now the initial one's.
        for ns in &made {
            let user = ns["type"] == "user";
            for key in if user { &["parent"][..] } else { &["parent", "owner"] } {
                let Some(above) = ns.get(*key).and_then(Value::as_u64).filter(|&ino| !is_new(ino)) else { continue };
                let above = namespaces.get_mut(&numbers[&above].to_string()).unwrap().as_object_mut().unwrap();
                let (list, kind) = if *key == "parent" { ("children", "child") } else { ("possessions", "owned") };
                let list = above[list].as_array_mut().unwrap();
                if !list.contains(&ns["nsid"]) {
                    list.push(ns["nsid"].clone());
                    above["holders"].as_array_mut().unwrap().push(json!({ "kind": kind, "nsid": ns["nsid"] }));
                }
            }
        }

        let links: Map<_, _> = all
            .values()
            .filter(|ns| ns["initial"] == true)
            .map(|ns| (ns["type"].as_str().unwrap().to_owned(), ns["nsid"].clone()))
            .collect();
        let common = json!({
            "name": "systemd", "starttime": 2, "namespaces": links, "cpucgroup": "/init.scope", "fridgecgroup": "/init.scope",
            "fridgefrozen": false, "state": "S", "cgroups": [{ "hierarchy": 0, "controllers": "", "path": "/init.scope" }],
        });
        let mut processes = Map::new();
        let mut init = common.clone();
        let (mut task, capabilities) = (common, dump["processes"][pids[0].to_string()]["capabilities"].clone());
        task["tid"] = 1.into();
        let own = json!({
            "pid": 1, "ppid": 0, "cmdline": ["/sbin/init", "splash"], "tasks": [task], "nspids": [1], "capabilities": capabilities,
            "uids": { "real": 0, "effective": 0, "saved": 0, "file-system": 0 },
        });
        init.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
        processes.insert("1".into(), init);
        for (index, (pid, (name, command_line))) in pids.iter().zip(PROCESSES).enumerate() {
            let mut process = dump["processes"][pid.to_string()].take();
            let cgroup = format!("/system.slice/docker-{:064x}.scope", 0xfee1_0000_u64 + index as u64);
            process["cmdline"] = json!(command_line);
            if !pids.iter().any(|own| process["ppid"] == *own) {
                process["ppid"] = 1.into();
            }
            let nspids = process["nspids"].as_array().unwrap();
            // As the initial PID namespace has it, and then those that the fixture made.
            let inside = if [2, 3].contains(&index) { nspids.len() - 1 } else { nspids.len() };
            process["nspids"] = [&[(*pid).into()], &nspids[inside..]].concat().into();
            let describe = |of: &mut Value, start: u64| {
                of["name"] = name.into();
                of["starttime"] = start.into();
                for key in ["cpucgroup", "fridgecgroup"] {
                    of[key] = cgroup.clone().into();
                }
                of["cgroups"] = json!([{ "hierarchy": 0, "controllers": "", "path": cgroup }]);
                let object = of.as_object_mut().unwrap();
                ["affinity", "scheduling", "freezer", "nice"].iter().for_each(|key| drop(object.remove(*key)));
                object["state"] = "S".into();
            };
            for (task, start) in process["tasks"].as_array_mut().unwrap().iter_mut().zip(1000 * (index as u64 + 1)..) {
                describe(task, start);
            }
            describe(&mut process, 1000 * (index as u64 + 1));
            processes.insert(pid.to_string(), process);
        }

        let made_mounts = dump["mounts"].as_object().unwrap().iter();
        let is_made = |ino: &str| made.iter().any(|ns| ns["nsid"].as_u64() == ino.parse().ok());
        let mut mounts: Map<_, _> =
            made_mounts.filter(|(ino, _)| is_made(ino)).map(|(ino, paths)| (ino.clone(), paths.clone())).collect();
        for paths in mounts.values_mut() {
            let paths = paths.as_object_mut().unwrap();
            paths.retain(|path, _| path == "/" || path.starts_with(directory));
            let root = paths["/"].clone();
            for (path, at) in paths.iter_mut() {
                if path == directory {
                    at["parentid"] = root["pathid"].clone();
                }
                for mount in at["mounts"].as_array_mut().unwrap() {
                    if path == "/" {
                        mount["fstype"] = "ext4".into();
                        mount["source"] = "/dev/vda1".into();
                        mount["superoptions"] = "rw,errors=remount-ro".into();
                        (mount["major"], mount["minor"]) = (254.into(), 1.into());
                        mount["root"] = "/".into();
                        mount["mountoptions"] = json!(["rw", "relatime"]);
                        mount["tags"] = json!({});
                    } else if mount["mountpoint"] == directory {
                        mount["parentid"] = root["mounts"][0]["mountid"].clone();
                    }
                }
            }
        }
        let mut dump = json!({
            "discovery-options": dump["discovery-options"], "namespaces": namespaces, "processes": processes, "mounts": mounts,
            "containers": {}, "container-engines": {}, "container-groups": {}, "cpus-online": [[0, 3]],
        });
        let info = &mut dump["discovery-options"]["snapshot"];
        for (key, value) in [
            ("kernel", json!("6.18.0")),
            ("hostname", json!("host")),
            ("boot-id", json!("0f8fad5b-d9cb-469f-a165-70867728950e")),
            ("taken-at", json!("2026-11-02T08:30:00.250000000Z")),
            ("took-nsec", json!(14_200_000)),
            ("nsfs-dev", json!(4)),
            ("pidmap", json!([])),
            ("gaps", json!([])),
            ("suspects", json!([])),
            ("mntns", json!(initial(&"mnt".into()))),
        ] {
            info[key] = value;
        }
        info.as_object_mut().unwrap().remove("mounts");

        let tids: BTreeMap<u64, u64> =
            pids.iter().map(|&pid| u64::from(pid)).zip(101..).chain([(thread.into(), 110)]).collect();
        let mut renumbering = Renumbering { namespaces: numbers, tids, others: BTreeMap::new(), directory };
        renumbering.value("", &mut dump);
        dump
    }
}

/// From numbers of the host that it was recorded on to those of the file.
struct Renumbering<'a> {
    namespaces: BTreeMap<u64, u64>,
    tids: BTreeMap<u64, u64>,
    /// By what they number: numbers in the order in which they come.
    others: BTreeMap<&'static str, Vec<u64>>,
    directory: &'a str,
}

impl Renumbering<'_> {
    fn value(&mut self, key: &str, value: &mut Value) {
        match value {
            Value::Array(values) => {
                values.iter_mut().for_each(|value| self.value(key, value));
                match key {
                    "children" | "possessions" => values.sort_by_key(Value::as_u64),
                    "holders" => values.sort_by_key(|holder| holder["nsid"].as_u64()),
                    _ => {}
                }
            }
            Value::Object(object) => {
                let is_mount = object.contains_key("mountid");
                let renumbered = std::mem::take(object).into_iter().map(|(key, mut value)| {
                    self.value(if is_mount && key == "parentid" { "mountid" } else { &key }, &mut value);
                    (self.text(&key), value)
                });
                let renumbered: Vec<_> = renumbered.collect();
                object.extend(renumbered);
            }
            Value::String(text) if matches!(key, "shared" | "master" | "propagate_from") => {
                *text = self.counted("peers", 1, text.parse().unwrap()).to_string();
            }
            Value::String(text) => *text = self.text(text),
            Value::Number(number) => {
                let Some(number) = number.as_u64() else { return };
                *value = self.number(key, number).into();
            }
            _ => {}
        }
    }

    fn number(&mut self, key: &str, number: u64) -> u64 {
        if let Some(&new) = self.namespaces.get(&number) {
            return new;
        }
        match key {
            "mountid" => self.counted("mount", 30, number),
            "pathid" | "parentid" if number > 0 => self.counted("path", 1, number),
            "inode" => self.counted("socket", 50_001, number),
            "minor" if number > 1 => self.counted("minor", 40, number),
            "pid" | "tid" | "ppid" | "leaders" | "ealdorman" | "loose-threads" | "nspids" => {
                self.tids.get(&number).copied().unwrap_or(number)
            }
            _ => number,
        }
    }

    fn counted(&mut self, what: &'static str, first: u64, number: u64) -> u64 {
        let known = self.others.entry(what).or_default();
        let index = known.iter().position(|&known| known == number).unwrap_or_else(|| {
            known.push(number);
            known.len() - 1
        });
        first + index as u64
    }

    /// Numbers of processes and namespaces in a path or a name, and the directory of the fixture.
    fn text(&self, text: &str) -> String {
        let text = text.replace(self.directory, "/srv/fixture");
        let mut out = String::new();
        for part in text.split_inclusive(|c: char| !c.is_ascii_digit()) {
            let digits = part.trim_end_matches(|c: char| !c.is_ascii_digit());
            let number = digits.parse().ok();
            let new = number.and_then(|number| self.namespaces.get(&number).or(self.tids.get(&number)));
            match new {
                Some(new) => out += &format!("{new}{}", &part[digits.len()..]),
                None => out += part,
            }
        }
        out
    }
}
