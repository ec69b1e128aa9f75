//! The guides in docs/guides: what they tell the reader to type is typed, and must give what they show.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::process::Command;

use lxkns_core::model::{DiscoveryOptions, NamespaceType};
use lxkns_fixture::{Actor, Open, Socket};

use super::program::{Ran, run, run_lxkns};
use super::{directory, look_until, namespace};
use crate::harness::Need::{Kernel, Program, Root, UserNamespaces};
use crate::harness::{Test, lxkns, test};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("guides::keeps_alive", &[UserNamespaces, Kernel(5, 6)], keeps_alive),
        test("guides::who_listens", &[UserNamespaces, Kernel(5, 6)], who_listens),
        test("guides::whose_file", &[Root, UserNamespaces, Program("chown")], whose_file),
        test("guides::which_link", &[Root, Program("nsenter"), Program("ip")], which_link),
        test("guides::umount_busy", &[UserNamespaces, Program("nsenter"), Program("umount")], umount_busy),
        test("guides::may_it_create_one", &[UserNamespaces], may_it_create_one),
        test("guides::who_can", &[UserNamespaces], who_can),
    ]
}

/// What a guide tells to type after the prompt `# `, and the lines that it shows below.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) command: String,
    shown: Vec<String>,
}

/// A guide, with the example's words replaced by those of a fixture.
pub(super) struct Guide(VecDeque<Step>);

impl Guide {
    /// The commands in the fenced `console` blocks of a page, in their order. `words` are pairs of what the page has and
    /// what stands for it here; a longer one counts before a shorter one that is in it. Each must be on the page.
    pub(super) fn new(page: &str, words: &[(&str, String)]) -> Self {
        let mut words = words.to_vec();
        words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        let mut steps: VecDeque<Step> = VecDeque::new();
        for block in page.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap()) {
            for line in block.lines() {
                match (line.strip_prefix("# "), steps.back_mut()) {
                    (Some(command), _) => {
                        steps.push_back(Step { command: replaced(command, &words), shown: Vec::new() })
                    }
                    (None, Some(step)) => step.shown.push(replaced(line, &words)),
                    (None, None) => panic!("a block begins without a prompt: {line}"),
                }
            }
        }
        for (word, _) in &words {
            assert!(page.contains(word), "{word} is not in the guide");
        }
        Self(steps)
    }

    /// All of its commands.
    pub(super) fn steps(self) -> impl Iterator<Item = Step> {
        self.0.into_iter()
    }

    /// The next command, which must be this one.
    #[track_caller]
    fn next(&mut self, command: &str) -> Step {
        let step = self.0.pop_front().unwrap_or_else(|| panic!("the guide has no more steps: {command}"));
        assert_eq!(step.command, command);
        step
    }

    /// Does the next command, which must be this one of the program's, with `run`; until it gives what is shown, since other
    /// tests have namespaces open for a moment.
    #[track_caller]
    fn lxkns(&mut self, command: &str, run: impl Fn(&[&str]) -> Ran) {
        let step = self.next(command);
        let words: Vec<_> = command.strip_prefix("lxkns ").unwrap().split(' ').collect();
        let ran = look_until(|ran| step.is_shown(ran), || run(&words));
        assert!(step.is_shown(&ran), "{step:#?}\n{}{}", ran.text(), ran.stderr);
    }

    /// Checks that all commands have been typed.
    #[track_caller]
    fn ends(self) {
        assert!(self.0.is_empty(), "{:?}", self.0);
    }
}

/// The text with all words replaced, in one go: what has been put in is not replaced again.
fn replaced(text: &str, words: &[(&str, String)]) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let follows = |end: usize| rest[end..].chars().next().is_none_or(|next| !next.is_ascii_alphanumeric());
        let begins = out.chars().next_back().is_none_or(|last| !last.is_ascii_alphanumeric());
        match words.iter().find(|(word, _)| begins && rest.starts_with(word) && follows(word.len())) {
            Some((word, with)) => {
                out.push_str(with);
                rest = &rest[word.len()..];
            }
            None => {
                out.push(character);
                rest = &rest[character.len_utf8()..];
            }
        }
    }
    out
}

impl Step {
    /// Whether a program said what is shown: these lines one after the other, but for blanks; after `...` any others. What
    /// could not be seen is not shown.
    pub(super) fn is_shown(&self, ran: &Ran) -> bool {
        // An ordinary user is told so where advice takes privileges; the guides are for root.
        let for_root = |line: &str| line.split(" (not as this user: ").next().unwrap_or_default().to_owned();
        let plain = |line: &str| for_root(line).split_whitespace().collect::<Vec<_>>().join(" ");
        let said: Vec<_> = ran
            .text()
            .lines()
            .map(plain)
            .chain(ran.problems().into_iter().map(|line| format!("lxkns: {line}")))
            .collect();
        let shown: Vec<_> = self.shown.iter().map(|line| plain(line)).collect();
        match shown.split_last() {
            Some((last, shown)) if last == "..." => said.windows(shown.len()).any(|lines| lines == shown),
            // A kernel that lists all namespaces proves that one has ended.
            _ if shown.len() == 1 && shown[0].ends_with(": not visible from here: ...") => {
                let target = shown[0].trim_end_matches(" not visible from here: ...");
                said.iter().any(|line| {
                    line.strip_prefix(target).is_some_and(|rest| {
                        rest.starts_with(" not visible from here: ") || rest == " no such namespace"
                    })
                })
            }
            // How a line goes on can depend on the kernel.
            _ if shown.len() == 1 && shown[0].ends_with(" ...") => {
                said.iter().any(|line| line.starts_with(shown[0].trim_end_matches("...")))
            }
            // What stands between is left out.
            _ if shown.iter().any(|line| line == "...") => {
                let mut rest = &said[..];
                shown.split(|line| line == "...").filter(|part| !part.is_empty()).all(|part| {
                    let fits = |(said, shown): (&String, &String)| match shown.strip_suffix(" ...") {
                        Some(start) => said.starts_with(start),
                        None => said == shown,
                    };
                    let found = rest.windows(part.len()).position(|lines| lines.iter().zip(part).all(fits));
                    found.map(|at| rest = &rest[at + part.len()..]).is_some()
                })
            }
            _ => said == shown,
        }
    }
}

/// The command line of an actor, as views have it.
fn command_line(actor: &Actor) -> String {
    let line = std::fs::read(format!("/proc/{}/cmdline", actor.pid())).unwrap();
    String::from_utf8(line).unwrap().trim_end_matches('\0').replace('\0', " ")
}

/// The ID that the mount at a path has in the mount namespace of an actor.
fn mount_id(actor: &Actor, path: &str) -> String {
    let mountinfo = std::fs::read_to_string(format!("/proc/{}/mountinfo", actor.pid())).unwrap();
    let of_path = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some(path)).unwrap();
    of_path.split(' ').next().unwrap().to_owned()
}

fn keeps_alive() {
    let directory = directory();
    let proxy = Actor::spawn_in(&["user", "net"]);
    let socket = proxy.socket(Socket::Udp4);
    let net = proxy.ns_inode("net");
    proxy.unshare(&["net"]);

    let build = Actor::spawn_in(&["user", "mnt", "uts"]);
    let path = directory.path().join("uts");
    let bound = path.to_str().unwrap();
    build.touch(&path);
    build.bind("/proc/self/ns/uts", &path);
    let uts = build.ns_inode("uts");
    build.unshare(&["uts"]);

    let (net, uts) = (net.to_string(), uts.to_string());
    let (proxy_pid, build_pid) = (proxy.pid().to_string(), build.pid().to_string());
    let mut guide = Guide::new(
        include_str!("../../docs/guides/keeps-alive.md"),
        &[
            ("7214", proxy_pid.clone()),
            ("/usr/bin/python3 /srv/proxy.py", command_line(&proxy)),
            ("4026532281", net.clone()),
            ("264175", proxy.socket_inode(socket).to_string()),
            ("fd 5", format!("fd {socket}")),
            ("fd/5", format!("fd/{socket}")),
            ("4026532304", uts.clone()),
            ("4026532303", build.ns_inode("mnt").to_string()),
            ("7300", build_pid.clone()),
            ("buildd", "exe".to_owned()),
            ("/run/build/uts", bound.to_owned()),
            ("412", mount_id(&build, bound)),
        ],
    );
    guide.lxkns("lxkns orphans -t net", |words| run_lxkns(words));
    guide.lxkns(&format!("lxkns why net:{net}"), |words| run_lxkns(words));
    guide.next(&format!("kill {proxy_pid}"));
    drop(proxy);
    guide.lxkns(&format!("lxkns why net:{net}"), |words| run_lxkns(words));
    guide.lxkns(&format!("lxkns why uts:{uts}"), |words| run_lxkns(words));
    guide.next(&format!("umount -N {build_pid} {bound}"));
    // As that does, also for somebody who is not root.
    build.umount(&path);
    guide.lxkns(&format!("lxkns why uts:{uts}"), |words| run_lxkns(words));
    guide.ends();
}

/// A server in a network namespace of its own, and a proxy that has left the one that its socket is in.
fn who_listens() {
    let [nginx, proxy] = [(); 2].map(|()| Actor::spawn_in(&["user", "net"]));
    // No other test has this port.
    let (port, other) = (18_098, 18_099);
    super::ports::listening(&nginx, Socket::Tcp4, (Ipv4Addr::UNSPECIFIED, port));
    super::ports::listening(&proxy, Socket::Tcp4, (Ipv4Addr::LOCALHOST, 9090));
    proxy.lo_up();
    let left = proxy.ns_inode("net").to_string();
    proxy.unshare(&["net"]);
    let net = nginx.ns_inode("net").to_string();
    let mut guide = Guide::new(
        include_str!("../../docs/guides/who-listens.md"),
        &[
            ("8080", port.to_string()),
            ("8081", other.to_string()),
            ("4026532281", net.clone()),
            ("4026532300", left.clone()),
            ("1234", nginx.pid().to_string()),
            ("1300", proxy.pid().to_string()),
            ("nginx", "exe".to_owned()),
            ("proxy", "exe".to_owned()),
        ],
    );
    guide.lxkns(&format!("lxkns ports --port {port}"), |words| run_lxkns(words));
    guide.lxkns(&format!("lxkns ports net:{left}"), |words| run_lxkns(words));
    guide.lxkns(&format!("lxkns ports {}", proxy.pid()), |words| run_lxkns(words));
    guide.lxkns(&format!("lxkns ports net:{net} --port {other}"), |words| run_lxkns(words));
    guide.ends();
}

/// The reader's own mount namespace is one of the test's, which commands enter first.
fn umount_busy() {
    let directory = directory();
    let path = directory.path().to_str().unwrap();
    let home = Actor::spawn_in(&["user", "mnt"]);
    home.mount("tmpfs", directory.path());
    let backup = home.fork();
    // Namespaces are told in the order of their inode numbers, and a new one has the lowest that is free: so lower ones are
    // taken first.
    let comes_second = (0..100).any(|_| {
        let filler = home.fork();
        let is_higher = || {
            filler.unshare(&["uts"]);
            filler.open("/proc/self/ns/uts", Open::ReadOnly);
            filler.ns_inode("uts") > home.ns_inode("mnt")
        };
        assert!((0..1000).any(|_| is_higher()), "a thousand namespaces have lower inode numbers");
        backup.unshare(&["mnt"]);
        backup.ns_inode("mnt") > home.ns_inode("mnt")
    });
    assert!(comes_second, "no later mount namespace has a higher inode number");
    let shell = home.fork();
    shell.chdir(directory.path());

    let mut options = DiscoveryOptions::namespaces();
    options.mounts = true;
    let snapshot = lxkns_core::Discovery::of_host().unwrap().run(&options).unwrap();
    let of_home = namespace(&snapshot, home.ns_inode("mnt"));
    assert_eq!(of_home.ns_type, NamespaceType::Mnt);
    let mounts = snapshot.mounts[&of_home.id].iter();
    let number =
        mounts.rev().find(|mount| mount.path().is_some_and(|at| **at == *path.as_bytes())).unwrap().file_system;
    let number = number.to_string();

    let (home_pid, shell_pid, backup_pid) = (home.pid().to_string(), shell.pid().to_string(), backup.pid().to_string());
    let mut guide = Guide::new(
        include_str!("../../docs/guides/umount-busy.md"),
        &[
            ("/mnt/usb", path.to_owned()),
            ("vfat /dev/sdb1", "tmpfs none".to_owned()),
            ("8:17", number.clone()),
            ("4026531832", home.ns_inode("mnt").to_string()),
            ("130 processes, first 1 (/sbin/init)", format!("2 processes, first {home_pid} ({})", command_line(&home))),
            // Processes outside the user namespace are not readable in there.
            ("used by 1 process", "used by at least 1 process".to_owned()),
            ("97", mount_id(&home, path)),
            ("4026532412", backup.ns_inode("mnt").to_string()),
            ("7214", backup_pid.clone()),
            ("/usr/bin/backupd", command_line(&backup)),
            ("311", mount_id(&backup, path)),
            ("8120", shell_pid.clone()),
            ("bash", "exe".to_owned()),
        ],
    );
    let inside = |program: &std::ffi::OsStr| {
        let mut command = Command::new("nsenter");
        command.args(["--target", &home_pid, "--user", "--mount", "--preserve-credentials"]).arg(program);
        command
    };
    let lxkns = |words: &[&str]| {
        let mut ran = run(inside(lxkns().get_program()).args(words));
        // Outside the initial user namespace it says two things more, and that what it saw may not be all.
        let is_more = |line: &&str| line.starts_with("unless it is locked") || line.starts_with("not searched: ");
        let hedged = ran.text().replace("at least 1 process, first", "process").replace("in at least ", "in ");
        let hedged = hedged.replace(", at least 2 processes", ", 2 processes");
        let lines = hedged.lines().filter(|line| !is_more(line));
        ran.stdout = lines.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes();
        ran
    };
    let umount = |step: Step| {
        let output = inside("umount".as_ref()).arg(path).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.lines().collect::<Vec<_>>(), step.shown);
    };
    umount(guide.next(&format!("umount {path}")));
    guide.lxkns(&format!("lxkns busy {path}"), lxkns);
    guide.next(&format!("kill {shell_pid}"));
    drop(shell);
    umount(guide.next(&format!("umount {path}")));
    guide.next(&format!("umount -N {backup_pid} {path}"));
    backup.umount(path);
    guide.lxkns(&format!("lxkns busy {number}"), lxkns);
    guide.ends();
}

/// The effective user of an actor, as views have it: `UID 1000 (jo)`.
fn user_of(actor: &Actor) -> String {
    let told = run_lxkns(["caps", "-p", &actor.pid().to_string(), &format!("{}/user", actor.pid())]);
    let begins = format!("process {} (exe) with effective ", actor.pid());
    told.text().strip_prefix(&begins).unwrap().split(" has in ").next().unwrap().to_owned()
}

fn may_it_create_one() {
    let build = Actor::spawn_in(&["user"]);
    let other = Actor::spawn_in(&["user", "net"]);
    let set_max = |max: &str| build.write_file("/proc/sys/user/max_net_namespaces", max.as_bytes());
    set_max("0");
    let (pid, other_pid) = (build.pid().to_string(), other.pid().to_string());
    let mut guide = Guide::new(
        include_str!("../../docs/guides/may-it-create-one.md"),
        &[
            ("7214", pid.clone()),
            ("buildd", "exe".to_owned()),
            ("UID 1000 (jo)", user_of(&build)),
            ("4026532281", build.ns_inode("user").to_string()),
            ("7300", other_pid.clone()),
            ("4026532310", other.ns_inode("net").to_string()),
            ("4026532309", other.ns_inode("user").to_string()),
        ],
    );
    guide.lxkns(&format!("lxkns explain unshare --net -p {pid}"), |words| run_lxkns(words));
    guide.next(&format!("nsenter -U -t {pid} sysctl -w user.max_net_namespaces=10"));
    set_max("10");
    guide.lxkns(&format!("lxkns explain unshare --net -p {pid}"), |words| run_lxkns(words));
    guide.lxkns(&format!("lxkns explain setns {other_pid}/net -p {pid}"), |words| run_lxkns(words));
    guide.ends();
}

fn who_can() {
    let build = Actor::spawn_in(&["user", "net"]);
    let (pid, net) = (build.pid().to_string(), build.ns_inode("net").to_string());
    let user = user_of(&build);
    let mut guide = Guide::new(
        include_str!("../../docs/guides/who-can.md"),
        &[
            ("7214", pid.clone()),
            ("buildd", "exe".to_owned()),
            ("UID 1000 (jo)", user.clone()),
            ("1000", user.split(' ').nth(1).unwrap().to_owned()),
            ("4026532282", net.clone()),
        ],
    );
    guide.lxkns(&format!("lxkns who-can net_admin {pid}/net"), |words| run_lxkns(words));
    guide.lxkns(&format!("lxkns who-can net_admin {pid}/net --all"), |words| run_lxkns(words));
    guide.lxkns(&format!("lxkns caps -p {pid} net:{net}"), |words| run_lxkns(words));
    guide.ends();
}

fn whose_file() {
    let directory = directory();
    std::fs::set_permissions(directory.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let path = directory.path().to_str().unwrap();
    let names = directory.path().join("names");
    std::fs::create_dir(&names).unwrap();
    for (name, line) in [("passwd", "app:x:5:6::/:/x\n"), ("group", "apps:x:6:\n")] {
        std::fs::write(names.join(name), line).unwrap();
    }
    let container = Actor::spawn();
    container.unshare(&["user", "mnt"]);
    container.map_ids(&[(0, 100_000, 1000)]);
    for name in ["passwd", "group"] {
        container.bind(names.join(name), format!("/etc/{name}"));
    }
    for file in ["db", "new"] {
        std::fs::write(directory.path().join(file), "").unwrap();
    }
    std::os::unix::fs::chown(directory.path().join("db"), Some(100_005), Some(100_006)).unwrap();
    let own = std::fs::metadata("/proc/self/ns/mnt").map(|link| std::os::unix::fs::MetadataExt::ino(&link)).unwrap();
    let mut guide = Guide::new(
        include_str!("../../docs/guides/whose-file.md"),
        &[
            ("/srv/data", path.to_owned()),
            ("4026531832", own.to_string()),
            ("4026532281", container.ns_inode("user").to_string()),
            ("4026532282", container.ns_inode("mnt").to_string()),
            ("1234", container.pid().to_string()),
        ],
    );
    guide.lxkns(&format!("lxkns owner {path}/db"), |words| run_lxkns(words));
    guide.lxkns(&format!("lxkns owner {}:{path}/db", container.pid()), |words| run_lxkns(words));
    let step = guide.next(&format!("chown 100005:100006 {path}/new"));
    assert!(Command::new("sh").args(["-c", &step.command]).status().unwrap().success());
    guide.lxkns(&format!("lxkns owner {path}/new"), |words| run_lxkns(words));
    guide.ends();
}

fn which_link() {
    const PAGE: &str = include_str!("../../docs/guides/which-link.md");
    let host = Actor::spawn_in(&["net"]);
    let (web, other) = (host.fork(), host.fork());
    for actor in [&web, &other] {
        actor.unshare(&["net"]);
    }
    let within = |program: &std::ffi::OsStr, words: &[&str]| {
        let mut command = Command::new("nsenter");
        command.args(["--net", "-t", &host.pid().to_string(), "--"]).arg(program).args(words);
        run(&mut command)
    };
    let ip = |words: &[&str]| assert_eq!(within("ip".as_ref(), words).code, Some(0), "{words:?}");
    let veth = |name: &str, to: &Actor| {
        ip(&["link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", &to.pid().to_string()]);
    };
    veth("veth3f2a1c", &web);
    veth("veth77aa01", &other);
    let fd = other.open("/proc/self/ns/net", Open::ReadOnly);
    let left = other.ns_inode("net");
    other.unshare(&["net"]);
    let words = [
        ("4026532281", web.ns_inode("net").to_string()),
        ("4026532200", host.ns_inode("net").to_string()),
        ("4026532350", left.to_string()),
        ("1234", web.pid().to_string()),
        ("1200", host.pid().to_string()),
        ("nginx", "exe".to_owned()),
        ("init", "exe".to_owned()),
    ];
    let mut guide = Guide::new(PAGE, &words);
    let typed = |words: &[&str]| within(lxkns().get_program(), words);
    let (web, left) = (web.ns_inode("net"), other.pid());
    guide.lxkns("lxkns show link:veth3f2a1c", typed);
    guide.lxkns("lxkns show link:eth0", typed);
    guide.lxkns(&format!("lxkns show link:{web}/eth0"), typed);
    guide.lxkns(&format!("lxkns links net:{web}"), typed);
    guide.lxkns("lxkns orphans -t net", typed);
    assert_eq!(guide.next("ip link delete veth77aa01").command.split(' ').count(), 4);
    ip(&["link", "delete", "veth77aa01"]);
    guide.lxkns("lxkns show link:veth77aa01", typed);
    guide.lxkns(&format!("lxkns links -rno NAME,NS,OTHER,OTHERNS net:{web}"), typed);
    guide.ends();
    assert!(std::fs::exists(format!("/proc/{left}/fd/{fd}")).unwrap(), "it held the namespace to the end");
}
