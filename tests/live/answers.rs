//! This program is not `lxkns`: from the libraries alone it gets the answers that `lxkns --json` gives.
//!
//! Each answer is a function of ten lines, from a snapshot that this program has taken; `lxkns` answers from the same one, in
//! a file.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bstr::BStr;
use lxkns_answers::Context;
use lxkns_answers::audit::{Audit, Plan};
use lxkns_answers::busy::Busy;
use lxkns_answers::caps::{Caps, Whose, with_host};
use lxkns_answers::changes::Between;
use lxkns_answers::counts::Counts;
use lxkns_answers::doctor::report;
use lxkns_answers::explain::{self, Action};
use lxkns_answers::file_system;
use lxkns_answers::lacks::Lacks;
use lxkns_answers::links::Links;
use lxkns_answers::list::{Column, List, select};
use lxkns_answers::mounts::Mounts;
use lxkns_answers::orphans::{orphans, results};
use lxkns_answers::owner::{self, Names, Owner, Reading, Sights};
use lxkns_answers::release::Advice;
use lxkns_answers::resolve::{NoHost, Resolver};
use lxkns_answers::show::{Label, Reference, ShowAnswer, ShownNamespace, ShownProcess};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::tree::{Kind, Shown, Tree};
use lxkns_answers::watch::{Scan, Watcher};
use lxkns_answers::who_can::{WhoCan, capability};
use lxkns_answers::whose::WhoseForm;
use lxkns_answers::why::{Explanation, WhyResult};
use lxkns_core::model::inside::Inside;
use lxkns_core::model::links::HostLinks;
use lxkns_core::model::{
    File, FileSystemQuery, FileSystemUsers, Mount, Namespace, NamespaceId, NamespaceType, Pid, Process,
};
use lxkns_core::relations::Life;
use lxkns_core::wire::{self, WriteOptions};
use lxkns_core::{Discovery, DiscoveryOptions, ProcRoot, Snapshot, life_of, relations};
use lxkns_enter::Enter;
use lxkns_fixture::{Actor, Open};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::Need::{FileSystem, UserNamespaces};
use crate::harness::{Test, test};
use crate::live::directory;
use crate::live::program::{run_lxkns, run_lxkns_with};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("answers::of_why", &[UserNamespaces], of_why),
        test("answers::of_orphans", &[UserNamespaces], of_orphans),
        test("answers::of_mounts", &[UserNamespaces], of_mounts),
        test("answers::of_tree", &[UserNamespaces], of_tree),
        test("answers::of_ls", &[UserNamespaces], of_ls),
        test("answers::of_caps", &[UserNamespaces], of_caps),
        test("answers::of_who_can", &[UserNamespaces], of_who_can),
        test("answers::of_explain", &[UserNamespaces], of_explain),
        test("answers::of_show", &[UserNamespaces], of_show),
        test("answers::of_busy", &[UserNamespaces], of_busy),
        test("answers::of_busy_now", &[UserNamespaces, FileSystem("tmpfs")], of_busy_now),
        test("answers::of_enter", &[UserNamespaces], of_enter),
        test("answers::of_audit", &[UserNamespaces], of_audit),
        test("answers::of_links", &[UserNamespaces], of_links),
        test("answers::of_doctor", &[UserNamespaces], of_doctor),
        test("answers::of_diff", &[UserNamespaces], of_diff),
        test("answers::of_watch", &[UserNamespaces], of_watch),
        test("answers::of_owner", &[UserNamespaces], of_owner),
        test("answers::of_an_ending", &[UserNamespaces], of_an_ending),
    ]
}

/// What the namespaces are that a TARGET means.
fn meant(context: &Context<'_>, target: &str) -> Vec<NamespaceId> {
    Resolver::new(*context, &NoHost).resolve(&Asked::parse(OsStr::new(target)).unwrap()).unwrap()
}

fn why(context: Context<'_>, target: &str) -> Value {
    let advice = Advice::of(context);
    let namespaces = meant(&context, target).into_iter().map(|id| &context.snapshot.namespaces[&id]);
    let explained = namespaces.map(|namespace| Explanation::new(&advice, namespace));
    json!(explained.map(|explanation| WhyResult::of(target.to_owned(), &explanation)).collect::<Vec<_>>())
}

fn left_over(context: Context<'_>, types: &[NamespaceType]) -> Value {
    let advice = Advice::of(context);
    json!(results(&context, &orphans(&advice, types), None, usize::MAX))
}

fn links(context: Context<'_>, target: &str, all: &HostLinks) -> Value {
    let links = Links { context, all };
    let leftovers = links.leftovers(&Lacks::of(context.snapshot));
    json!([links.answer(&links.select(Some(&meant(&context, target))), &leftovers)])
}

fn mounts(context: Context<'_>, target: &str) -> Value {
    let [namespace] = meant(&context, target)[..] else { panic!("{target} is no mount namespace") };
    json!([Mounts::of(context.snapshot, namespace).unwrap().answer()])
}

fn tree(context: Context<'_>, kind: Kind) -> Value {
    json!(Tree::new(context, kind.forest(context), Shown::of(kind)).answer())
}

fn ls(context: Context<'_>, types: &[NamespaceType]) -> Value {
    let list = List::new(context, BTreeMap::new());
    json!(list.answer(&select(context.snapshot, None, types), &Column::default_for(types)))
}

fn caps(context: Context<'_>, target: &str) -> Value {
    let asked = Asked::parse(OsStr::new(target)).unwrap().target;
    let Target::Process(pid) = asked else { panic!("{target} is no process") };
    let namespaces = with_host(context.snapshot, &asked, Whose::of(&asked, None), meant(&context, target));
    let all = Caps::of(context.snapshot, &context.snapshot.processes[&pid], &namespaces);
    json!(all.iter().flat_map(Caps::answers).collect::<Vec<_>>())
}

fn who_can(context: Context<'_>, name: &str, target: &str) -> Value {
    let all = WhoCan::of(context.snapshot, &[], capability(name).unwrap(), &meant(&context, target));
    json!(all.iter().map(WhoCan::answer).collect::<Vec<_>>())
}

fn explained(context: Context<'_>, pid: Pid, action: &str) -> Value {
    let (action, process) = (Action::parse(&[action]).unwrap(), &context.snapshot.processes[&pid]);
    let text = |asked: &Asked| asked.text.to_str().unwrap().to_owned();
    let targets: Vec<_> = action.targets.iter().map(|asked| meant(&context, &text(asked))).collect();
    json!([explain::Explanation::of(context.snapshot, process, &action, &targets, None).answer()])
}

fn show(context: Context<'_>, target: &str) -> Value {
    let counts = Counts::of(context.snapshot);
    let shown = |id: NamespaceId| {
        let namespace = &context.snapshot.namespaces[&id];
        let shown = ShownNamespace { context, counts: &counts, namespace, inside: Inside::default(), missing: None };
        ShowAnswer::of_namespace(target.to_owned(), &shown)
    };
    if let Target::Process(pid) = Asked::parse(OsStr::new(target)).unwrap().target {
        let process = &context.snapshot.processes[&pid];
        let label = Label::of_dump(context.snapshot, process);
        let shown = ShownProcess { context, process, reference: Reference::Initial, since_boot: None, label };
        return json!([ShowAnswer::of_process(target.to_owned(), &shown)]);
    }
    json!(meant(&context, target).into_iter().map(shown).collect::<Vec<_>>())
}

fn busy(context: Context<'_>, asked: &str, users: impl FnOnce(FileSystemQuery) -> Option<FileSystemUsers>) -> Value {
    let asked = file_system::Asked::parse(OsStr::new(asked)).unwrap();
    let meant = file_system::resolve(context, None, &asked).unwrap();
    let users = users(meant.query);
    json!([Busy::new(context, meant.query, meant.mount, users.as_ref()).answer()])
}

fn audit(context: Context<'_>, pid: u32) -> Value {
    let mut plan = Plan::default();
    plan.add_tree(context.snapshot, pid.to_string(), &[Pid(pid)]);
    // A live host has more to say: what `Discovery::confinement` reads of the processes of the plan.
    let audit = Audit::new(context, &plan, None);
    json!(plan.subjects.iter().map(|subject| audit.answer(&audit.judge(subject))).collect::<Vec<_>>())
}

fn diff(old: &Snapshot, new: Context<'_>) -> Value {
    let changes = relations::changes(old, new.snapshot).unwrap();
    json!(Between { old, new }.events(&changes.namespaces, None).collect::<Vec<_>>())
}

/// Scans of this host, for a watcher.
struct Scans(Discovery<'static>, DiscoveryOptions);

impl Scan for Scans {
    type Error = lxkns_core::Error;

    fn scan(&mut self) -> Result<Arc<Snapshot>, Self::Error> {
        self.0.run(&self.1).map(Arc::new)
    }

    fn life(&mut self, namespace: &Namespace) -> Life {
        life_of(namespace, || false)
    }
}

/// What this program has seen, also in a file.
struct Seen {
    snapshot: Snapshot,
    file: String,
    _directory: TempDir,
}

impl Seen {
    fn now() -> Self {
        let mut options = DiscoveryOptions::everything();
        options.without_self = true;
        let snapshot = Discovery::of_host().unwrap().run(&options).unwrap();
        let directory = directory();
        let file = directory.path().join("dump.json");
        wire::write(&snapshot, &WriteOptions::default(), std::fs::File::create(&file).unwrap()).unwrap();
        Self { snapshot, file: file.to_str().unwrap().to_owned(), _directory: directory }
    }

    fn context(&self) -> Context<'_> {
        Context::of_dump(&self.snapshot)
    }

    /// What lxkns says of it: the answers without their envelope.
    #[track_caller]
    fn told(&self, arguments: &[&str]) -> Value {
        let mut answer = run_lxkns([arguments, &["--json", "--from", &self.file]].concat()).ok().json();
        assert_eq!(answer["question"], arguments[0]);
        answer["results"].take()
    }
}

fn of_why() {
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    let seen = Seen::now();
    for target in [format!("net:{}", actor.ns_inode("net")), actor.pid().to_string(), format!("{}/user", actor.pid())] {
        let answer = why(seen.context(), &target);
        assert!(!answer.as_array().unwrap().is_empty());
        assert_eq!(seen.told(&["why", &target]), answer);
    }
}

fn of_orphans() {
    let actor = Actor::spawn_in(&["user", "net"]);
    actor.open("/proc/self/ns/net", Open::ReadOnly);
    let left = actor.ns_inode("net");
    actor.unshare(&["net"]);
    let seen = Seen::now();
    let answer = left_over(seen.context(), &[NamespaceType::Net]);
    assert!(answer.to_string().contains(&left.to_string()), "{answer}");
    assert_eq!(seen.told(&["orphans", "--all", "-t", "net"]), answer);
}

fn of_mounts() {
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let seen = Seen::now();
    let target = format!("mnt:{}", actor.ns_inode("mnt"));
    assert_eq!(seen.told(&["mounts", &target]), mounts(seen.context(), &target));
}

fn of_tree() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let seen = Seen::now();
    for (arguments, kind) in [
        (&["tree", "user"][..], Kind::User),
        (&["tree", "--owned"], Kind::Ownership),
        (&["tree", "pid"], Kind::Pid),
        (&["tree", "pid", "--users"], Kind::OwnedPid),
        (&["tree", "proc"], Kind::Process),
    ] {
        assert_eq!(seen.told(arguments), tree(seen.context(), kind), "{arguments:?}");
    }
    assert!(tree(seen.context(), Kind::User).to_string().contains(&actor.ns_inode("user").to_string()));
}

fn of_ls() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let seen = Seen::now();
    for types in [&[][..], &[NamespaceType::User], &[NamespaceType::Uts, NamespaceType::Net]] {
        let names: Vec<_> = types.iter().map(|ns_type| ns_type.name()).collect();
        let option = format!("--type={}", names.join(","));
        let arguments = [&["ls", "--json", "--from", &seen.file][..], if types.is_empty() { &[] } else { &[&*option] }];
        assert_eq!(run_lxkns(arguments.concat()).ok().json(), ls(seen.context(), types), "{types:?}");
    }
    assert!(ls(seen.context(), &[]).to_string().contains(&actor.ns_inode("uts").to_string()));
}

fn of_caps() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let seen = Seen::now();
    let target = actor.pid().to_string();
    let answer = caps(seen.context(), &target);
    assert!(answer.to_string().contains(&actor.ns_inode("net").to_string()), "{answer}");
    assert_eq!(seen.told(&["caps", &target]), answer);
}

fn of_who_can() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let seen = Seen::now();
    let target = format!("{}/net", actor.pid());
    let ran = run_lxkns(["who-can", "--json", "--from", &seen.file, "net_admin", &target]);
    let answer = who_can(seen.context(), "net_admin", &target);
    assert!(answer.to_string().contains(&format!("\"pid\":{},", actor.pid())), "{answer}");
    assert_eq!(ran.answer_to("who-can"), answer);
}

fn of_explain() {
    let actor = Actor::spawn_in(&["user"]);
    let other = Actor::spawn_in(&["user", "net"]);
    let seen = Seen::now();
    for action in [format!("setns {}/net", other.pid()), "unshare --net".to_owned()] {
        let pid = actor.pid().to_string();
        let ran = run_lxkns(["explain", "--json", "--from", &seen.file, "-p", &pid, &action]);
        let answer = explained(seen.context(), Pid(actor.pid()), &action);
        assert_eq!(ran.answer_to("explain"), answer, "{action}");
        let verdict = if action.starts_with("setns") { "fails" } else { "not-known" };
        assert_eq!(answer[0]["verdict"], verdict);
    }
}

fn of_show() {
    let actor = Actor::spawn_in(&["user", "mnt", "net", "uts"]);
    let seen = Seen::now();
    let of_type = |name: &str| format!("{name}:{}", actor.ns_inode(name));
    for target in [of_type("net"), of_type("user"), of_type("uts"), actor.pid().to_string()] {
        let answer = show(seen.context(), &target);
        assert_eq!(answer.as_array().unwrap().len(), 1, "{target}");
        assert_eq!(seen.told(&["show", &target]), answer, "{target}");
    }
}

/// The file system of the test's own root: of a dump nobody knows who uses it.
fn of_busy() {
    let seen = Seen::now();
    let answer = busy(seen.context(), "/", |_| None);
    assert!(answer[0]["mount"]["mountid"].is_u64(), "{answer:#}");
    let ran = run_lxkns(["busy", "--json", "--from", &seen.file, "/"]);
    assert_eq!((ran.code, ran.answer_to("busy")), (Some(0), answer));
}

/// A file system of an actor's, on the living host: where it is, who uses it, and what would release it.
fn of_busy_now() {
    let (base, actor) = (directory(), Actor::spawn_in(&["user", "mnt"]));
    actor.mount("tmpfs", base.path());
    let user = actor.fork();
    user.chdir(base.path());
    let session = Discovery::of_host().unwrap();
    let snapshot = session.run(&lxkns_answers::busy::options()).unwrap();
    let is_it = |mount: &&Mount| mount.path().is_some_and(|path| *path == *base.path().as_os_str().as_encoded_bytes());
    let number = snapshot.mounts.values().flatten().find(is_it).unwrap().file_system.to_string();
    let context = Context::live(&snapshot, false);
    let answer = busy(context, &number, |query| Some(session.file_system_users(&snapshot, query)));
    let mut told = run_lxkns(["busy", "--json", &number]).ok().answer_to("busy");
    // Of containers the program asks others than this session.
    for key in ["users", "mounts"] {
        for item in told[0][key].as_array_mut().unwrap() {
            let item = item.as_object_mut().unwrap();
            assert!(item.remove("container").is_some() && item.remove("unit").is_some(), "{item:?}");
        }
    }
    assert_eq!(answer[0]["users"][0]["pid"], user.pid(), "{answer:#}");
    for key in ["users", "mounts", "release"] {
        assert_eq!(told[0][key], answer[0][key], "{key}");
    }
}

/// The plan is made anew by each, so both are of one actor, who does nothing.
fn of_enter() {
    let actor = Actor::spawn_in(&["user", "uts"]);
    let proc = ProcRoot::host().unwrap();
    let target = lxkns_enter::Target::process(&proc, Pid(actor.pid())).unwrap();
    let plan = Enter::new(&proc, target).command(["true"]).prepare().unwrap();
    let whose = WhoseForm::process(&Seen::now().snapshot, Pid(actor.pid()));
    let answer = json!([plan.answer(whose)]);
    let namespaces = answer[0]["plan"].as_array().unwrap().iter().find(|row| row["what"] == "namespaces").unwrap();
    assert!(namespaces["command-has"].to_string().contains(&actor.ns_inode("uts").to_string()), "{answer:#}");
    let pid = actor.pid().to_string();
    let mut told = run_lxkns(["enter", "--dry-run", "--json", &pid, "--", "true"]).ok().answer_to("enter");
    // The program also looks for containers, this session does not.
    for key in ["container", "unit"] {
        assert!(told[0].as_object_mut().unwrap().remove(key).is_some(), "{told:#}");
    }
    assert_eq!(told, answer);
}

fn of_audit() {
    let actor = Actor::spawn_in(&["user", "mnt", "net"]);
    let seen = Seen::now();
    let answer = audit(seen.context(), actor.pid());
    assert!(!answer[0]["findings"].as_array().unwrap().is_empty(), "{answer:#}");
    assert_eq!(seen.told(&["audit", &actor.pid().to_string()]), answer);
}

fn of_doctor() {
    let seen = Seen::now();
    let answer = json!([report(&seen.snapshot, None)]);
    assert_eq!(answer[0]["live"], false);
    assert_eq!(seen.told(&["doctor"]), answer);
}

fn of_diff() {
    let before = Seen::now();
    let actor = Actor::spawn_in(&["user", "net"]);
    let after = Seen::now();
    let ran = run_lxkns_with(&["diff", "--json", &before.file, &after.file], b"");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told: Vec<Value> = ran.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(json!(told), diff(&before.snapshot, after.context()));
    assert!(json!(told).to_string().contains(&actor.ns_inode("net").to_string()));
}

/// Each scan tells what an actor did since the one before.
fn of_watch() {
    let actor = Actor::spawn_in(&["user"]);
    let scans = Scans(Discovery::of_host().unwrap(), DiscoveryOptions::namespaces());
    let mut watcher = Watcher::new(scans).unwrap().of_types(&[NamespaceType::Uts]);
    let outer = actor.ns_inode("uts");
    actor.unshare(&["uts"]);
    let uts = actor.ns_inode("uts");
    let mut told = || {
        let events = json!(watcher.events().unwrap());
        events.as_array().unwrap().iter().filter(|event| event["namespace"]["nsid"] == uts).cloned().collect::<Vec<_>>()
    };
    let pid = actor.pid();
    let is = |event: &Value, change: &str| event["change"] == change;
    let events = told();
    assert!(
        events.iter().any(|event| is(event, "appeared") && event["namespace"]["leaders"] == json!([pid])),
        "{events:?}"
    );
    let came = events.iter().find(|event| is(event, "process-entered")).unwrap_or_else(|| panic!("{events:?}"));
    assert_eq!((&came["process"]["pid"], &came["from"]), (&json!(pid), &json!(outer)));
    let fd = actor.open("/proc/self/ns/uts", Open::ReadOnly);
    actor.unshare(&["uts"]);
    let events = told();
    let left = events.iter().find(|event| is(event, "last-task-left")).unwrap_or_else(|| panic!("{events:?}"));
    let step =
        json!([{ "step": "close", "pid": pid, "fd": fd, "text": format!("process {pid} closes fd {fd}, or exits") }]);
    let holders = left["holders"].as_array().unwrap();
    assert!(holders.iter().any(|holder| holder["kind"] == "fd" && holder["release"] == step), "{left}");
    actor.close(fd);
    let events = told();
    // While another process has it open, only the descriptor has gone.
    let is_end = |event: &Value| is(event, "went") || is(event, "vanished") || is(event, "holder-went");
    assert!(events.iter().any(is_end), "{events:?}");
}

/// How this program reads files.
struct Files<'a>(lxkns_enter::Files<'a>);

impl owner::Files for Files<'_> {
    fn file(&mut self, process: Option<&Process>, path: &BStr) -> io::Result<File> {
        self.0.file(process, Path::new(OsStr::from_bytes(path)))
    }

    fn names(&mut self, process: Option<&Process>) -> io::Result<Rc<Names>> {
        let [users, groups] = self.0.names(process)?;
        Ok(Rc::new(Names::parse(users.as_deref(), groups.as_deref())))
    }
}

fn owner(snapshot: &Snapshot, path: &Path) -> Value {
    let proc = ProcRoot::host().unwrap();
    let mut files = Files(lxkns_enter::Files::new(&proc, Duration::from_secs(1)));
    let file = files.0.file(None, path).unwrap();
    let sights = Sights::of(snapshot, snapshot.observer_mount_ns, &file);
    let reading = Reading::of(snapshot, &sights, snapshot.observer_mount_ns, &mut files);
    json!(Owner::new(snapshot, &file, &sights, &reading).answer(path.as_os_str().as_bytes()))
}

fn of_owner() {
    let directory = directory();
    let path = directory.path().join("file");
    std::fs::write(&path, "").unwrap();
    let actor = Actor::spawn_in(&["user", "mnt"]);
    let own = owner(&Discovery::of_host().unwrap().run(&owner::options()).unwrap(), &path);
    let theirs = run_lxkns(["owner", "--json", path.to_str().unwrap()]).ok().answer_to("owner")[0].clone();
    for key in ["on-host", "as-found", "mount", "file-system", "inode", "mode"] {
        assert_eq!(own[key], theirs[key], "{key}");
    }
    let view = |answer: &Value| {
        let views = answer["views"].as_array().unwrap();
        let view = views.iter().find(|view| view["userns"] == actor.ns_inode("user")).unwrap();
        json!([view["uid"], view["gid"], view["user"], view["path"]])
    };
    assert_eq!(view(&own), view(&theirs));
}

fn of_an_ending() {
    let parent = Actor::spawn_in(&["user"]);
    parent.keep_children();
    parent.unshare(&["pid"]);
    let init = parent.fork();
    let ino = init.ns_inode("pid");
    rustix::process::kill_process(
        rustix::process::Pid::from_raw(init.pid() as i32).unwrap(),
        rustix::process::Signal::KILL,
    )
    .unwrap();
    while init.is_alive() {
        std::thread::yield_now();
    }
    let mut snapshot = Discovery::of_host().unwrap().run(&DiscoveryOptions::everything()).unwrap();
    let id = snapshot.by_ino(ino).unwrap().id;
    let ending = lxkns_core::ending_of(&ProcRoot::host().unwrap(), &snapshot, id).unwrap();
    snapshot.annotations.endings.insert(id, ending);
    let own = json!(lxkns_answers::ending::Explained::of(&snapshot, id).unwrap().form());
    let theirs = run_lxkns(["why", "--json", &format!("pid:{ino}")]).ok().answer_to("why")[0]["ending"].clone();
    for key in ["pid", "state", "parent", "because", "release"] {
        assert_eq!(own["init"][key], theirs["init"][key], "{key}");
    }
}

/// Links are in no dump: both ask the host, for a namespace that has nothing but its loopback link.
fn of_links() {
    let actor = Actor::spawn_in(&["user", "net"]);
    let target = format!("net:{}", actor.ns_inode("net"));
    let discovery = Discovery::of_host().unwrap();
    let snapshot = discovery.run(&DiscoveryOptions::namespaces()).unwrap();
    let program = lxkns_inside::Program::new(crate::harness::lxkns().get_program(), "inside");
    let all = lxkns_inside::links(&discovery, &snapshot, &program, std::time::Duration::from_secs(60));
    let said = links(Context::live(&snapshot, false), &target, &all);
    assert_eq!(said[0]["links"][0]["name"], "lo", "{said}");
    let mut other = run_lxkns(["links", "--json", &target]).ok().answer_to("links");
    // This program has not looked for containers, nor so what its links are in.
    for link in other[0]["links"].as_array_mut().unwrap() {
        link.as_object_mut().unwrap().retain(|key, _| !["container", "unit"].contains(&key.as_str()));
    }
    assert_eq!(said, other);
}
