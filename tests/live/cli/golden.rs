//! What every view writes of one host, kept in `tests/golden`: piped, and on a narrow and a wide terminal, plain and in
//! colour. The host is a dump, which [`super::golden_host`] records.
//!
//! `diff` compares it with what it is later.
//!
//! `BLESS=1` in the environment writes the files anew. A new view takes a line in [`VIEWS`].

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use super::golden_host::HOST;
use super::terminal::{on_terminal, verdict_on_terminal};
use crate::harness::{Need, Test, lxkns, test};
use crate::live::program::run;

/// Each with the name of its file. PIDs and inode numbers are those of the recorded host.
const VIEWS: &[(&str, &str)] = &[
    ("ls", "ls"),
    (
        "ls-all-columns",
        "ls -o NS,TYPE,PATH,NPROCS,PID,PPID,COMMAND,UID,USER,NETNSID,NSFS,PNS,ONS,UNIQUEID,NTASKS,HOLDERS,CGROUP",
    ),
    ("ls-holders", "ls -t net -o +HOLDERS"),
    ("ls-net", "ls -t net"),
    ("ls-raw", "ls -r -o +PATH,NSFS"),
    ("ls-json", "ls --json -o +HOLDERS,PNS,ONS"),
    ("tree-user", "tree"),
    ("tree-owned", "tree --owned --all-leaders"),
    ("tree-pid", "tree pid"),
    ("tree-pid-users", "tree pid --users --cgroup=off"),
    ("tree-proc", "tree proc"),
    ("tree-proc-in", "tree proc 1 --in 103"),
    ("tree-json", "tree pid --users --json"),
    ("why", "why 102/net 101/mnt 4026531837"),
    ("why-process", "why 103"),
    ("why-json", "why --json 102/net"),
    ("orphans", "orphans"),
    ("orphans-json", "orphans --json -t pid,user"),
    ("mounts", "mounts 101"),
    ("mounts-list", "mounts --list -o +ID,PARENT,MAJ:MIN,PEERS,RECEIVERS 101"),
    ("mounts-hidden", "mounts --hidden 101"),
    ("mounts-json", "mounts --json 102"),
    ("busy", "busy 0:40"),
    ("busy-json", "busy --json 0:40"),
    ("caps", "caps -p 103 101"),
    ("caps-process", "caps 103"),
    ("caps-json", "caps --json -p 102 103/user"),
    ("who-can", "who-can net_admin 103/user"),
    ("who-can-all", "who-can --all sys_admin 102/net"),
    ("who-can-json", "who-can --json kill 103/user"),
    ("explain", "explain -p 103 unshare --net --pid --fork"),
    ("explain-setns", "explain setns 101/net -p 103"),
    ("explain-json", "explain --json -p 103 unshare -Un"),
    ("show-net", "show 102/net"),
    ("show-user", "show 103/user"),
    ("show-process", "show 103"),
    ("show-json", "show --json 101/uts"),
    ("doctor", "doctor"),
    ("doctor-json", "doctor --json"),
    ("diff", "diff"),
    ("diff-json", "diff --json"),
    // Of the host with containers.
    ("contained-ls", "ls"),
    ("contained-ls-json", "ls --json -t net -o NS,CONTAINER,POD,ENGINE,UNIT"),
    ("contained-tree", "tree pid"),
    ("contained-tree-proc", "tree proc"),
    ("contained-tree-json", "tree pid --json"),
    ("contained-why", "why web/net 4026532212 claimed/user"),
    ("contained-why-json", "why --json 4026532212 pod:shop/db-0/net"),
    ("contained-orphans", "orphans"),
    ("contained-orphans-json", "orphans --json -t net"),
    ("contained-show", "show web"),
    ("contained-show-net", "show docker:web/net"),
    ("contained-show-json", "show --json cri:db"),
    ("contained-caps", "caps web"),
    ("contained-caps-json", "caps --json -p 104 web/net"),
    ("contained-who-can", "who-can net_admin web/net"),
    ("contained-explain", "explain setns web/net -p 104"),
    ("contained-mounts", "mounts -o ID,TARGET pod:shop/db-0"),
    ("contained-busy", "busy 0:40"),
    ("contained-busy-json", "busy --json 0:40"),
    ("contained-containers", "containers"),
    ("contained-containers-tree", "containers --tree -o CONTAINER,STATE,NET,PROCESS,IMAGE,CONFIDENCE"),
    ("contained-containers-some", "containers -o +POD,PROCESS db 4026532209 102"),
    ("contained-containers-raw", "containers -r -o +POD"),
    ("contained-containers-json", "containers --json web pod:shop/old-0"),
    ("contained-audit", "audit web 105"),
    ("contained-audit-json", "audit --json db"),
    ("contained-diff", "diff"),
    ("contained-diff-json", "diff --json"),
];

const GOLDEN: &[Need] = &[HOST, Need::File("/dev/ptmx"), Need::File("/dev/pts/ptmx")];

const NARROW: u16 = 60;
const WIDE: u16 = 160;

/// How wide the terminals are on which a view is shown, each with whether there is colour.
fn terminals(view: &str) -> &'static [(u16, &'static str)] {
    if ["containers", "audit"].contains(&view) {
        return &[(80, "never"), (80, "always"), (120, "never")];
    }
    match view.split('-').next() {
        Some("ls" | "mounts" | "tree" | "busy") if !view.contains('-') => {
            &[(80, "never"), (80, "always"), (120, "never"), (200, "never")]
        }
        Some("show" | "caps" | "who" | "explain" | "doctor") => {
            &[(80, "never"), (80, "always"), (120, "never"), (200, "never")]
        }
        _ => &[(NARROW, "never"), (NARROW, "always"), (WIDE, "never"), (WIDE, "always")],
    }
}

pub(super) fn tests() -> Vec<Test> {
    let views = VIEWS
        .iter()
        .map(|&(name, arguments)| test(format!("cli::golden::{name}"), GOLDEN, move || golden(name, arguments)));
    views.chain([test("cli::golden::files", &[HOST], files)]).collect()
}

fn directory() -> PathBuf {
    super::golden_host::file().parent().unwrap().to_owned()
}

/// Whether the files are to be written anew.
fn bless() -> bool {
    std::env::var_os("BLESS").is_some_and(|what| what != "host")
}

fn command(arguments: &str, color: &str, host: &Path, later: &Path) -> Command {
    let mut command = lxkns();
    command.args(arguments.split(' ')).arg(format!("--color={color}"));
    if arguments.starts_with("diff") {
        command.arg(host).arg(later);
    } else {
        command.arg("--from").arg(host);
    }
    // Neither what this terminal is nor whose it is counts.
    command.env("LC_ALL", "C.UTF-8").env_remove("NO_COLOR").env_remove("COLUMNS");
    command
}

/// The host a while later: one namespace has gone, another has lost what held it, and the inode number of a third is that
/// of a new one.
fn write_later(host: &Path, path: &Path) {
    let mut dump: Value = serde_json::from_slice(&std::fs::read(host).unwrap()).unwrap();
    let namespaces = dump["namespaces"].as_object_mut().unwrap();
    namespaces.remove("4026532207").unwrap();
    namespaces["4026532206"]["holders"] = json!([]);
    namespaces["4026532212"]["unique-id"] = json!(1020);
    std::fs::write(path, dump.to_string()).unwrap();
}

fn golden(name: &str, arguments: &str) {
    let temporary = crate::live::directory();
    let later = temporary.path().join("later.json");
    let mut host = super::golden_host::file();
    if name.starts_with("contained-") {
        host = temporary.path().join("contained.json");
        std::fs::write(&host, super::golden_containers::dump().to_string()).unwrap();
    }
    write_later(&host, &later);
    let command = |arguments, color| command(arguments, color, &host, &later);
    let piped = run(&mut command(arguments, "never")).text().to_owned();
    let mut text = format!("$ lxkns {arguments} | cat\n{piped}");
    if !(arguments.contains("--json") || arguments.contains("-r ")) {
        for &(columns, color) in terminals(arguments.split(' ').next().unwrap_or_default()) {
            let show = if arguments.starts_with("explain ") { verdict_on_terminal } else { on_terminal };
            let shown = show(&mut command(arguments, color), columns).replace('\x1b', "\\e");
            write!(text, "\n$ lxkns {arguments} --color={color} # {columns} columns\n{shown}").unwrap();
        }
    }
    let file = directory().join(format!("{name}.txt"));
    if bless() {
        std::fs::write(&file, &text).unwrap();
    }
    let golden = std::fs::read_to_string(&file).unwrap_or_default();
    let differ = text.lines().zip(golden.lines()).find(|(text, golden)| text != golden);
    assert!(text == golden, "{name}.txt is not what is written: run the tests with BLESS=1; {differ:#?}");
}

/// No file is left of a view that there is no more.
fn files() {
    for file in std::fs::read_dir(directory()).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let view = name.strip_suffix(".txt");
        assert!(name == "host.json" || VIEWS.iter().any(|(known, _)| Some(*known) == view), "{name}");
    }
}
