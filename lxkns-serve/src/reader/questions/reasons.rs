//! Why it is so: `why`, `orphans`, `busy`, `caps`, `who-can`, `audit`.

use std::borrow::Cow;
use std::ffi::OsStr;

use lxkns_answers::audit::{Audit, Plan};
use lxkns_answers::busy::Busy;
use lxkns_answers::caps::{Caps, Whose};
use lxkns_answers::file_system::{self, Unknown};
use lxkns_answers::links::Links;
use lxkns_answers::orphans::orphans;
use lxkns_answers::release::Advice;
use lxkns_answers::resolve::Unresolved;
use lxkns_answers::who_can::{self, WhoCan};
use lxkns_live::questions::why::Subjects;
use lxkns_live::questions::{
    audit, busy, caps, gap_lines, orphans as ask_orphans, settle_thread, who_can as ask_who_can, why,
};

use super::{Asking, Refused, SOME, about, context, no_caller, some_targets, told};
use crate::reader::cache::Answer;
use crate::reader::problem::Problem;

impl Asking<'_> {
    pub(super) fn why(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target"])?;
        let (targets, mut refused) = (some_targets(self.question)?, Refused::default());
        let subjects = Subjects::find(&self.resolver(), &targets, &mut |unresolved| {
            // What is not visible has an answer.
            if !matches!(unresolved, Unresolved::NotVisible(_)) {
                refused.note(unresolved);
            }
        });
        refused.check()?;
        let snapshot = subjects.read(&self.host.living(), self.snapshot).onto(self.snapshot);
        let context = context(&snapshot);
        told(subjects.answer(&Advice::of(context), &context, gap_lines(&snapshot, why::places())))
    }

    pub(super) fn orphans(&self) -> Result<Answer, Problem> {
        self.question.takes(&["type", "all"])?;
        let types = self.question.types()?;
        let most = if self.question.flag("all")? { usize::MAX } else { SOME };
        let host = self.host.living();
        let snapshot = ask_orphans::read(&host, self.snapshot, &types).onto(self.snapshot);
        let context = context(&snapshot);
        let advice = Advice::of(context);
        let mut gaps = gap_lines(&snapshot, ask_orphans::places());
        let host_links = ask_orphans::links(&host, &snapshot, &types);
        let links = host_links.as_ref().map(|all| Links { context, all });
        let leftovers = links.map(|links| links.leftovers(advice.lacks()));
        gaps.extend(links.iter().flat_map(ask_orphans::gaps_of_links));
        told(ask_orphans::answer(&context, &orphans(&advice, &types), leftovers.as_ref(), most, gaps))
    }

    pub(super) fn busy(&self) -> Result<Answer, Problem> {
        self.question.takes(&["path"])?;
        let path = self.question.value("path").ok_or_else(|| Problem::parameter("path: required"))?;
        let asked = file_system::Asked::parse(OsStr::new(path)).map_err(Problem::parameter)?;
        if matches!(&asked, file_system::Asked::Path(path) if path.is_relative()) {
            return Err(Problem::parameter(about(path, "expected an absolute path, or MAJOR:MINOR")));
        }
        // Without asking any file system: a path is what the list of mounts says.
        let meant = file_system::resolve(self.context(), None, &asked).map_err(|unknown| match unknown {
            Unknown::NoMounts => Problem::unseen(about(path, unknown)),
            _ => Problem::missing(about(path, unknown)),
        })?;
        let (users, more) = busy::read(&self.host.living(), self.snapshot, meant.query);
        let snapshot = more.onto(self.snapshot);
        let busy = Busy::new(context(&snapshot), meant.query, meant.mount, Some(&users));
        told(busy::answer(&busy, gap_lines(&snapshot, busy::places())))
    }

    pub(super) fn caps(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "pid"])?;
        let (asked, pid) = (self.question.target()?, self.pid()?);
        let mut snapshot = Cow::Borrowed(self.snapshot);
        // A thread that is asked about by itself has credentials of its own.
        if let Whose::Named(id) = Whose::of(&asked.target, pid)
            && !snapshot.processes.contains_key(&id)
        {
            settle_thread(Some(self.host.session.proc()), snapshot.to_mut(), id);
        }
        let asking = Asking { snapshot: &snapshot, ..*self };
        let asker = || Err(Unresolved::Usage(no_caller("pid")));
        let (process, namespaces) = caps::find(&snapshot, &asking.resolver(), &asked, pid, &asker)?;
        let all = Caps::of(&snapshot, process, &namespaces);
        told(caps::answer(&all, caps::gaps(&snapshot, &asked.target, &all)))
    }

    pub(super) fn who_can(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "capability"])?;
        let asked = self.question.target()?;
        let name = self.question.value("capability").ok_or_else(|| Problem::parameter("capability: required"))?;
        let capability = who_can::capability(name).map_err(|why| Problem::parameter(format!("capability: {why}")))?;
        let namespaces = ask_who_can::find(&self.resolver(), &asked)?;
        let (tasks, more) = ask_who_can::read(&self.host.living(), self.snapshot);
        let snapshot = more.onto(self.snapshot);
        let all = WhoCan::of(&snapshot, &tasks, capability, &namespaces);
        told(ask_who_can::answer(&all, gap_lines(&snapshot, ask_who_can::places(&asked.target))))
    }

    pub(super) fn audit(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target"])?;
        let (targets, mut refused) = (self.question.targets()?, Refused::default());
        let plan = match targets.is_empty() {
            true => Plan::of_containers(self.snapshot).ok_or_else(Problem::failed)?,
            false => audit::plan(self.snapshot, &self.resolver(), &targets, &mut |it| refused.note(it)),
        };
        refused.check()?;
        let facts = audit::read(&self.host.living(), self.snapshot, &plan);
        let audit = Audit::new(self.context(), &plan, facts.as_ref());
        let judgements: Vec<_> = plan.subjects.iter().map(|subject| audit.judge(subject)).collect();
        told(audit::answer(&audit, &judgements, gap_lines(self.snapshot, audit::places())))
    }
}
