//! What the kernel is asked beside a scan: `explain`, `owner`, `doctor`.

use std::ffi::{OsStr, OsString};
use std::io;

use lxkns_answers::doctor::report;
use lxkns_answers::explain::{self, Action, Explanation, Verdict};
use lxkns_answers::gaps;
use lxkns_answers::owner::{self, Owner, Reading, Sights};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::errors;
use lxkns_answers::text::escape::printable;
use lxkns_core::model::{NamespaceType, Pid, Place, Process, Tid};
use lxkns_live::FilesOfHost;

use super::{Asking, gap_lines, home, resolve_all};
use crate::reader::cache::Answer;
use crate::reader::problem::Problem;

impl Asking<'_> {
    pub(super) fn explain(&self) -> Result<Answer, Problem> {
        self.question.takes(&["action", "pid"])?;
        let words = self.question.values("action").map(OsString::from).collect::<Vec<_>>();
        if words.is_empty() {
            return Err(Problem::parameter("action: required: unshare, clone or fork with options, or setns TARGET"));
        }
        let action = Action::parse(&words).map_err(|why| Problem::parameter(format!("action: {why}")))?;
        if action.targets.iter().any(Asked::is_caller) {
            return Err(Problem::parameter("action: the service does not know the caller"));
        }
        let pid = self.question.numbers("pid", "a PID")?.last().copied().map(Pid);
        let pid = pid.ok_or_else(|| Problem::parameter("pid: required: the service does not know the caller"))?;
        let places = explain::places(&explain::options(&action));
        let mut snapshot = self.snapshot.clone();
        let (session, settings) = (&self.host.session, &self.host.settings);
        // An ID can be one of a thread, which has credentials of its own.
        let pid = match snapshot.processes.contains_key(&pid) {
            true => pid,
            false => {
                let known = lxkns_core::have_thread_stand_for_process(session.proc(), &mut snapshot, Tid(pid.0));
                match known {
                    Some(pid) => pid,
                    None => self.process(&Asked::process(pid.0), pid)?.pid,
                }
            }
        };
        let facts = lxkns_live::action_facts(session, &mut snapshot, pid, &action, &self.host.inside, settings.timeout);
        let asking = Asking { snapshot: &snapshot, ..*self };
        let resolver = asking.resolver();
        let targets: Result<Vec<_>, _> =
            action.targets.iter().map(|asked| resolve_all(&resolver, &[resolver.settle(asked)?])).collect();
        let targets = targets?;
        let explanation = Explanation::of(&snapshot, &snapshot.processes[&pid], &action, &targets, facts.as_ref());
        // A certain obstacle is one whatever else could not be seen.
        let is_certain = explanation.verdict() == Verdict::Fails;
        let gaps = if is_certain { Vec::new() } else { gap_lines(&snapshot, places) };
        self.envelope(vec![explanation.answer()], gaps)
    }

    pub(super) fn owner(&self) -> Result<Answer, Problem> {
        self.question.takes(&["file", "dereference"])?;
        if !self.host.settings.files {
            return Err(Problem::not_allowed("files are looked up for clients only with --expose-files"));
        }
        let file = self.question.value("file").ok_or_else(|| Problem::parameter("file: required"))?;
        let asked = owner::Asked::parse(OsStr::new(file), Asked::parse);
        let asked = asked.map_err(|why| Problem::parameter(format!("file: {why}")))?;
        if !asked.path.is_absolute() {
            return Err(Problem::parameter("file: expected an absolute path"));
        }
        let name = asked.text();
        let process = match &asked.of {
            None => self.init(),
            Some(of) if of.is_caller() => return Err(Problem::parameter("file: the service does not know the caller")),
            Some(of) => {
                let resolver = self.resolver();
                resolver.verify(of)?;
                let Target::Process(pid) = resolver.settle(of)?.target else {
                    return Err(Problem::unseen("no process of it was found, so its files cannot be read"));
                };
                Some(self.process(of, pid)?)
            }
        };
        let mut files = FilesOfHost::new(self.host.session.proc(), self.host.settings.timeout);
        let mount_ns = match process {
            None => self.snapshot.observer_mount_ns,
            Some(process) => process.living_task().namespaces.get(NamespaceType::Mnt),
        };
        let is_followed = self.question.flag("dereference")?;
        let (found, maps, unread) =
            files.find(self.snapshot, process, mount_ns, &asked.path, is_followed).map_err(|error| {
                let detail = format!("{}: {}", printable(&name), errors::named(&error));
                let is_missing = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory);
                if is_missing { Problem::missing(detail) } else { Problem::unseen(detail) }
            })?;
        let sights = Sights::of(self.snapshot, mount_ns, &found);
        let mut reading = Reading::of(self.snapshot, &sights, home(self.snapshot), &mut files);
        reading.maps = maps;
        if let Some(error) = unread {
            reading.gaps.push(format!("its capabilities are not readable: {}", errors::named(&error)));
        }
        let owner = Owner::new(self.snapshot, &found, &sights, &reading);
        let mut gaps = owner.gaps();
        gaps.extend(gap_lines(self.snapshot, owner::places()));
        self.envelope(vec![owner.answer(&name)], gaps)
    }

    /// The process through which files of the host are seen, where the service is in a mount namespace of its own.
    fn init(&self) -> Option<&Process> {
        let is_elsewhere = home(self.snapshot) != self.snapshot.observer_mount_ns;
        self.snapshot.processes.get(&Pid(1)).filter(|_| is_elsewhere)
    }

    pub(super) fn doctor(&self) -> Result<Answer, Problem> {
        self.question.takes(&[])?;
        let (host, mut snapshot) = (self.host, self.snapshot.clone());
        let interfaces = lxkns_live::interfaces(host.session.proc());
        lxkns_live::with_reason(&mut snapshot, &host.session);
        let living = lxkns_live::living(host.session.proc(), host.access, &snapshot, interfaces);
        let unseen = gaps::lines(&snapshot, Place::ALL.into_iter().collect(), gaps::held(&snapshot));
        self.envelope(vec![report(&snapshot, Some(living))], unseen)
    }
}
