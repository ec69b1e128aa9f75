//! What the kernel is asked beside a scan: `explain`, `owner`, `doctor`.

use std::ffi::{OsStr, OsString};

use lxkns_answers::explain::{Action, Explanation};
use lxkns_answers::owner::Asked as AskedFile;
use lxkns_answers::target::Asked;
use lxkns_core::model::{Pid, Process};
use lxkns_live::FilesOfHost;
use lxkns_live::questions::owner::Facts;
use lxkns_live::questions::{doctor, explain, find_process, owner, settle_thread};

use super::{Asking, home, no_caller, told};
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
        let pid = self.pid()?.ok_or_else(|| Problem::parameter(no_caller("pid")))?;
        let (host, mut snapshot) = (self.host.living(), self.snapshot.clone());
        // An ID can be one of a thread, which has credentials of its own.
        let pid = match settle_thread(Some(host.session.proc()), &mut snapshot, pid) {
            Some(pid) => pid,
            None => find_process(&self.resolver(), &Asked::process(pid.0), pid)?.pid,
        };
        let facts = explain::read(&host, &mut snapshot, pid, &action);
        let asking = Asking { snapshot: &snapshot, ..*self };
        let targets = explain::targets(&asking.resolver(), &action)?;
        let explanation = Explanation::of(&snapshot, &snapshot.processes[&pid], &action, &targets, facts.as_ref());
        told(explain::answer(&explanation, explain::gaps(&snapshot, &action, explanation.verdict())))
    }

    pub(super) fn owner(&self) -> Result<Answer, Problem> {
        self.question.takes(&["file", "dereference"])?;
        if !self.host.settings.files {
            return Err(Problem::not_allowed("files are looked up for clients only with --expose-files"));
        }
        let file = self.question.value("file").ok_or_else(|| Problem::parameter("file: required"))?;
        let asked = AskedFile::parse(OsStr::new(file), Asked::parse);
        let asked = asked.map_err(|why| Problem::parameter(format!("file: {why}")))?;
        if !asked.path.is_absolute() {
            return Err(Problem::parameter("file: expected an absolute path"));
        }
        let (name, resolver) = (asked.text(), self.resolver());
        let process = match &asked.of {
            None => self.init(),
            Some(of) if of.is_caller() => return Err(Problem::parameter("file: the service does not know the caller")),
            Some(of) => Some(owner::process(&resolver, of, &name)?),
        };
        let files = FilesOfHost::new(self.host.session.proc(), self.host.settings.timeout);
        // Its own paths lead the reader where they say, and no others.
        let home = self.snapshot.observer_mount_ns;
        let follow = self.question.flag("dereference")?;
        let facts = Facts::read(self.snapshot, files, process, home, &asked.path, &name, follow)?;
        let owner = facts.owner();
        told(owner::answer(&owner, &name, owner::gaps(self.snapshot, &owner)))
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
        let report = doctor::found(&mut snapshot, Some((&host.session, host.access, interfaces)));
        told(doctor::answer(&snapshot, report))
    }
}
