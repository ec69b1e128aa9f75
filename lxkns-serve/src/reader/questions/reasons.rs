//! Why it is so: `why`, `orphans`, `busy`, `caps`, `who-can`, `audit`.

use std::ffi::OsStr;
use std::time::Duration;

use lxkns_answers::audit::{self, Audit, Plan};
use lxkns_answers::busy::Busy;
use lxkns_answers::caps::{self, Caps, Whose};
use lxkns_answers::containers::Matrix;
use lxkns_answers::file_system::{self, Unknown};
use lxkns_answers::gaps;
use lxkns_answers::links::Links;
use lxkns_answers::orphans;
use lxkns_answers::release::Advice;
use lxkns_answers::resolve::Unresolved;
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::escape::printable;
use lxkns_answers::who_can::{self, WhoCan};
use lxkns_answers::why::{Explanation, WhyResult, may_be_held_by_shared_memory};
use lxkns_core::model::CompactSort as _;
use lxkns_core::model::{DiscoveryOptions, NamespaceId, NamespaceType, Pid, Place, Places};

use super::{Asking, More, SOME, context, gap_lines, name};
use crate::reader::cache::Answer;
use crate::reader::problem::Problem;

/// How long a PID namespace takes to end, at most, where nothing keeps it.
const SETTLING: Duration = Duration::from_millis(100);

/// The places whose gaps can hide what keeps a namespace alive.
fn places() -> Places {
    DiscoveryOptions::namespaces().places.with(Place::CommandLines).with(Place::Suspects)
}

impl Asking<'_> {
    pub(super) fn why(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target"])?;
        let targets = self.question.targets()?;
        if targets.is_empty() {
            return Err(Problem::parameter("target: required"));
        }
        let (resolver, mut found, mut unseen) = (self.resolver(), Vec::new(), Vec::new());
        for asked in &targets {
            match resolver.resolve(asked) {
                Ok(ids) => found.extend(ids.into_iter().map(|id| (asked, id))),
                Err(Unresolved::NotVisible(_)) => {
                    unseen.push((asked, if let Target::Inode(ns_type, _) = asked.target { ns_type } else { None }));
                }
                Err(unresolved) => return Err(unresolved.into()),
            }
        }
        let namespaces = &self.snapshot.namespaces;
        let is_ipc = |ns_type: Option<NamespaceType>| ns_type.is_none_or(|ns_type| ns_type == NamespaceType::Ipc);
        let mut more = More::default();
        if unseen.iter().any(|&(_, ns_type)| is_ipc(ns_type))
            || found.iter().any(|(_, id)| may_be_held_by_shared_memory(&namespaces[id]))
        {
            (more.suspects, more.gaps) = self.host.session.shared_memory_users(self.snapshot);
        }
        more.endings = self.host.endings(self.snapshot, found.iter().map(|(_, id)| *id));
        let snapshot = more.onto(self.snapshot);
        let context = context(&snapshot);
        let advice = Advice::of(context);
        let target = |asked: &Asked| asked.text.to_string_lossy().into_owned();
        let seen = found
            .iter()
            .map(|(asked, id)| WhyResult::of(target(asked), &Explanation::new(&advice, &snapshot.namespaces[id])));
        let unseen = unseen.iter().map(|&(asked, ns_type)| WhyResult::unseen(target(asked), &context, ns_type));
        self.envelope(seen.chain(unseen).collect(), gap_lines(&snapshot, places()))
    }

    pub(super) fn orphans(&self) -> Result<Answer, Problem> {
        self.question.takes(&["type", "all"])?;
        let types = self.question.types()?;
        let limit = if self.question.flag("all")? { usize::MAX } else { SOME };
        let is_asked = |ns_type: NamespaceType| types.is_empty() || types.contains(&ns_type);
        let mut more = More::default();
        if is_asked(NamespaceType::Ipc) && self.snapshot.namespaces.values().any(may_be_held_by_shared_memory) {
            (more.suspects, more.gaps) = self.host.session.shared_memory_users(self.snapshot);
        }
        if is_asked(NamespaceType::Pid) {
            let pids = self.snapshot.namespaces.values().filter(|namespace| namespace.ns_type == NamespaceType::Pid);
            more.endings = self.host.endings(self.snapshot, pids.map(|namespace| namespace.id));
            if !more.endings.is_empty() {
                // What is just ending has ended by then.
                std::thread::sleep(SETTLING);
                more.endings = self.host.endings(self.snapshot, more.endings.keys().copied());
            }
        }
        let snapshot = more.onto(self.snapshot);
        let context = context(&snapshot);
        let advice = Advice::of(context);
        let found = orphans::orphans(&advice, &types);
        let mut gaps = gap_lines(&snapshot, places());
        let host_links = is_asked(NamespaceType::Net).then(|| self.host.links(&snapshot));
        let links = host_links.as_ref().map(|all| Links { context, all });
        let leftovers = links.map(|links| links.leftovers(advice.lacks()));
        if let Some(links) = links {
            gaps.extend(links.gaps().into_iter().chain(links.not_found()));
        }
        self.envelope(orphans::results(&context, &found, leftovers.as_ref(), limit), gaps)
    }

    pub(super) fn busy(&self) -> Result<Answer, Problem> {
        self.question.takes(&["path"])?;
        let path = self.question.value("path").ok_or_else(|| Problem::parameter("path: required"))?;
        let asked = file_system::Asked::parse(OsStr::new(path)).map_err(Problem::parameter)?;
        let about = |unknown: &Unknown<'_>| format!("{}: {unknown}", printable(path.as_bytes()));
        // Without asking any file system: a path is what the list of mounts says.
        let meant = file_system::resolve(self.context(), None, &asked).map_err(|unknown| match unknown {
            Unknown::NoMounts => Problem::unseen(about(&unknown)),
            _ => Problem::missing(about(&unknown)),
        })?;
        let mount = meant.mount;
        let users = self.host.session.file_system_users(self.snapshot, meant.query);
        let more = More { gaps: users.gaps.clone(), ..More::default() };
        let snapshot = more.onto(self.snapshot);
        let busy = Busy::new(context(&snapshot), meant.query, mount, Some(&users));
        use Place::{BindMounts, Fds, Host, Processes, ProcesslessMounts, TaskFds};
        let places = [Processes, Fds, TaskFds, BindMounts, ProcesslessMounts, Host].into_iter().collect();
        self.envelope(vec![busy.answer()], gap_lines(&snapshot, places))
    }

    pub(super) fn caps(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "pid"])?;
        let (resolver, asked) = (self.resolver(), self.question.target()?);
        let pid = self.question.numbers("pid", "a PID")?.last().copied().map(Pid);
        resolver.verify(&asked)?;
        let target = resolver.settle(&asked)?;
        let whose = Whose::of(&target.target, pid);
        let Whose::Named(pid) = whose else {
            return Err(Problem::parameter("pid: required: the service does not know the caller"));
        };
        let process = self.process(&Asked::process(pid.0), pid)?;
        let namespaces = caps::with_host(self.snapshot, &target.target, whose, resolver.resolve(&target)?);
        let all = Caps::of(self.snapshot, process, &namespaces);
        let is_unknown = namespaces.is_empty() || all.iter().any(|caps| caps.capabilities().is_none());
        let places = DiscoveryOptions::namespaces().places.with(Place::ProcessFacts);
        // A known answer depends on one process and a few namespaces.
        let unseen = if is_unknown { gap_lines(self.snapshot, places) } else { Vec::new() };
        self.envelope(all.iter().flat_map(Caps::answers).collect(), unseen)
    }

    pub(super) fn who_can(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "capability"])?;
        let (resolver, asked) = (self.resolver(), self.question.target()?);
        let name = self.question.value("capability").ok_or_else(|| Problem::parameter("capability: required"))?;
        let capability = who_can::capability(name).map_err(|why| Problem::parameter(format!("capability: {why}")))?;
        let target = resolver.settle(&asked)?;
        let namespaces = resolver.resolve(&target)?;
        let (tasks, gaps) = self.host.session.task_powers(self.snapshot);
        let snapshot = More { gaps, ..More::default() }.onto(self.snapshot);
        let all = WhoCan::of(&snapshot, &tasks, capability, &namespaces);
        let places = who_can::options(&target.target).places.with(Place::ProcessFacts);
        let unseen = gap_lines(&snapshot, places);
        self.envelope(all.iter().map(WhoCan::answer).collect(), unseen)
    }

    pub(super) fn audit(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target"])?;
        let targets = self.question.targets()?;
        let plan = match targets.is_empty() {
            true => Plan::of_containers(self.snapshot).ok_or_else(Problem::failed)?,
            false => self.plan(&targets)?,
        };
        let facts = match plan.subjects.is_empty() {
            true => None,
            false => Some(self.host.session.confinement(self.snapshot, &plan.pids())),
        };
        let audit = Audit::new(self.context(), &plan, facts.as_ref());
        let judgements: Vec<_> = plan.subjects.iter().map(|subject| audit.judge(subject)).collect();
        let answers = judgements.iter().map(|judgement| audit.answer(judgement)).collect();
        let places = audit::options().places;
        let places = places.with(Place::ProcessFacts).with(Place::NamespaceFacts).with(Place::Containers);
        self.envelope(answers, gaps::lines(self.snapshot, places, gaps::held(self.snapshot)))
    }

    /// What is judged.
    fn plan(&self, targets: &[Asked]) -> Result<Plan, Problem> {
        let (resolver, matrix) = (self.resolver(), Matrix::of(self.snapshot));
        let (mut plan, mut containers) = (Plan::default(), Vec::new());
        for asked in targets {
            let settled = resolver.settle(asked)?;
            let Target::Process(pid) = settled.target else {
                let ids: Vec<NamespaceId> = resolver.resolve(asked)?;
                ids.into_iter().for_each(|id| plan.add_namespace(self.snapshot, name(asked), id));
                continue;
            };
            resolver.verify(&settled)?;
            let pid = self.process(asked, pid)?.pid;
            let index = matrix.as_ref().and_then(|matrix| matrix.of_process(pid));
            let first = index.and_then(|index| matrix.as_ref()?.first_process(index));
            match index {
                // The first process of a container stands for it.
                Some(index) if first == Some(pid) => containers.push(index),
                _ => plan.add_tree(self.snapshot, name(asked), &[pid]),
            }
        }
        containers.compact_sort();
        containers.dedup();
        plan.add_containers(self.snapshot, &containers);
        Ok(plan)
    }
}
