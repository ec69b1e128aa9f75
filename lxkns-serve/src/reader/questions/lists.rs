//! What there is: `ls`, `containers`, `tree`, `mounts`, `show`.

use std::collections::{BTreeMap, BTreeSet};

use lxkns_answers::containers::Matrix;
use lxkns_answers::counts::Counts;
use lxkns_answers::gaps;
use lxkns_answers::lacks::Lacks;
use lxkns_answers::links::Links;
use lxkns_answers::list::{self, Column, List};
use lxkns_answers::mounts::Mounts;
use lxkns_answers::show::{Label, Reference, ShowAnswer, ShownNamespace, ShownProcess, Unread};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::chain;
use lxkns_answers::tree::{Kind as TreeKind, Shown, Tree};
use lxkns_core::model::CompactSort as _;
use lxkns_core::model::inside::Inside;
use lxkns_core::model::{DiscoveryOptions, Namespace, NamespaceId, NamespaceType, Object, Pid, Place, Process};
use lxkns_core::relations::TreeNode;
use lxkns_inside::{Looked, Unreadable};

use super::{Asking, More, context, gap_lines, json, name, of_type, resolve_all};
use crate::reader::cache::Answer;
use crate::reader::problem::Problem;

impl Asking<'_> {
    pub(super) fn list(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "type", "all"])?;
        let (types, targets) = (self.question.types()?, self.question.targets()?);
        let columns = if self.question.flag("all")? { Column::all().collect() } else { Column::default_for(&types) };
        let only = match targets.is_empty() {
            true => None,
            false => Some(resolve_all(&self.resolver(), &targets)?.into_iter().collect::<BTreeSet<NamespaceId>>()),
        };
        let shown = list::select(self.snapshot, only.as_ref(), &types);
        let list = List::new(self.context(), self.snapshot.annotations.netnsids.clone());
        json(&list.answer(&shown, &columns))
    }

    pub(super) fn containers(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "is"])?;
        let targets = self.question.targets()?;
        let matrix = Matrix::of(self.snapshot).ok_or_else(Problem::failed)?;
        let mut shown = if targets.is_empty() { matrix.select(None) } else { Vec::new() };
        for asked in &targets {
            let found = self.containers_of(&matrix, asked)?;
            if found.is_empty() {
                return Err(Problem::missing(format!("{}: not in any container that was seen", name(asked))));
            }
            shown.extend(found);
        }
        shown.compact_sort();
        shown.dedup();
        let labels = shown.iter().filter_map(|&index| {
            let process = self.snapshot.processes.get(&matrix.first_process(index)?)?;
            Some((index, self.label(process)))
        });
        let labels: BTreeMap<_, _> = labels.collect();
        let matrix = matrix.with_labels(labels);
        let answers = shown.iter().filter_map(|&index| matrix.answer(index)).collect();
        let places = DiscoveryOptions::namespaces().places;
        let places = places.with(Place::ProcessFacts).with(Place::NamespaceFacts).with(Place::Containers);
        self.envelope(answers, gap_lines(self.snapshot, places))
    }

    /// The containers that a TARGET means.
    fn containers_of(&self, matrix: &Matrix<'_>, asked: &Asked) -> Result<Vec<usize>, Problem> {
        let resolver = self.resolver();
        let settled = resolver.settle(asked)?;
        if let Target::Process(pid) = settled.target {
            let pid = resolver.process(pid).map_or(pid, |process| process.pid);
            if let Some(index) = matrix.of_process(pid) {
                return Ok(vec![index]);
            }
            resolver.resolve(asked)?;
            return Ok(Vec::new());
        }
        Ok(matrix.select(Some(&resolver.resolve(asked)?)))
    }

    pub(super) fn tree(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "kind", "owned", "users", "all-leaders"])?;
        let (is_owned, has_users) = (self.question.flag("owned")?, self.question.flag("users")?);
        let kind = match (self.question.value("kind").unwrap_or("user"), is_owned, has_users) {
            ("user", true, false) => TreeKind::Ownership,
            ("user", false, false) => TreeKind::User,
            ("pid", false, true) => TreeKind::OwnedPid,
            ("pid", false, false) => TreeKind::Pid,
            ("proc", false, false) => TreeKind::Process,
            ("user" | "pid" | "proc", ..) => {
                return Err(Problem::parameter(
                    "owned is for the tree of user namespaces, users for that of PID namespaces",
                ));
            }
            _ => return Err(Problem::parameter("kind: expected user, pid or proc")),
        };
        let mut forest = kind.forest(self.context());
        if self.question.value("target").is_some() {
            let wanted = self.nodes(kind, &self.question.target()?)?;
            forest = forest.branches(forest.nodes().filter(|node| wanted.contains(node)));
            if forest.roots().is_empty() {
                return Err(Problem::missing("target: not in this tree"));
            }
        }
        let all_leaders = self.question.flag("all-leaders")?;
        let tree = Tree::new(self.context(), forest, Shown { all_leaders, ..Shown::of(kind) });
        let places = DiscoveryOptions::namespaces().places.with(Place::ProcessFacts).with(Place::Cgroups);
        self.envelope(tree.answer(), gap_lines(self.snapshot, places))
    }

    /// What a TARGET can be in a tree.
    fn nodes(&self, kind: TreeKind, asked: &Asked) -> Result<Vec<TreeNode>, Problem> {
        let resolver = self.resolver();
        let settled = resolver.settle(asked)?;
        if let (TreeKind::Process, Target::Process(pid)) = (kind, &settled.target) {
            return Ok(vec![TreeNode::Process(self.process(asked, *pid)?.pid)]);
        }
        let is_user = matches!(kind, TreeKind::User | TreeKind::Ownership);
        let ns_type = if is_user { NamespaceType::User } else { NamespaceType::Pid };
        let ids = resolver.resolve(&of_type(&resolver, asked, ns_type)?)?;
        let whole = kind.forest(self.context());
        let is_wanted = |node: &TreeNode| {
            // A user namespace only connects PID namespaces.
            !matches!(node, TreeNode::Owner { .. }) && node.namespace().is_some_and(|id| ids.contains(&id))
        };
        Ok(whole.nodes().filter(is_wanted).collect())
    }

    pub(super) fn mounts(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "hidden", "is"])?;
        let id = match self.question.value("target") {
            None => self.context().mount_ns.ok_or_else(|| Problem::unseen("which mount namespace is the host's"))?,
            Some(_) => {
                let (resolver, asked) = (self.resolver(), self.question.target()?);
                let ids = resolver.resolve(&of_type(&resolver, &asked, NamespaceType::Mnt)?)?;
                let is_mnt = |id: &&NamespaceId| self.snapshot.namespaces[*id].ns_type == NamespaceType::Mnt;
                let id = ids.iter().find(is_mnt).copied();
                id.ok_or_else(|| Problem::missing(format!("{}: not a mount namespace", name(&asked))))?
            }
        };
        let mounts = Mounts::of(self.snapshot, id);
        let mut answer = mounts.ok_or_else(|| Problem::unseen("its mounts could not be listed"))?.answer();
        let is_hidden = self.question.flag("hidden")?;
        answer.mounts.retain(|mount| mount.hidden || !is_hidden);
        let about_mounts = |gap: &&lxkns_core::model::Gap| match gap.object {
            Object::Process(_) | Object::Task(..) | Object::Host => gap.place <= Place::Tasks,
            Object::Namespace(id) => {
                self.snapshot.namespaces.get(&id).is_some_and(|ns| ns.ns_type == NamespaceType::Mnt)
            }
            _ => false,
        };
        // The sentences are made of a snapshot, of which they take the gaps and the names.
        let kept: Vec<_> = self.snapshot.gaps.iter().filter(about_mounts).cloned().collect();
        let places =
            [Place::BindMounts, Place::ProcesslessMounts, Place::Processes, Place::Tasks].into_iter().collect();
        let unseen = match kept.is_empty() {
            true => Vec::new(),
            false => {
                let mut snapshot = self.snapshot.clone();
                snapshot.gaps = kept;
                gap_lines(&snapshot, places)
            }
        };
        self.envelope(vec![answer], unseen)
    }

    pub(super) fn show(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "is"])?;
        let targets = self.question.targets()?;
        if targets.is_empty() {
            return Err(Problem::parameter("target: required"));
        }
        let (resolver, mut items) = (self.resolver(), Vec::new());
        for asked in &targets {
            let settled = resolver.settle(asked)?;
            let is_process = matches!(settled.target, Target::Process(_));
            match self.question.value("is") {
                Some("process") if !is_process => return Err(Problem::missing("not a process")),
                Some("namespace") if is_process => return Err(Problem::missing("not a namespace")),
                _ => {}
            }
            match settled.target {
                Target::Link(_) => items.push((asked, Item::Link(resolver.link(asked)?))),
                Target::Process(pid) => {
                    resolver.verify(&settled)?;
                    items.push((asked, Item::Process(self.process(asked, pid)?.pid)));
                }
                _ => items.extend(resolver.resolve(&settled)?.into_iter().map(|id| (asked, Item::Namespace(id)))),
            }
        }
        let host_links = resolver.into_links().unwrap_or_default();
        let (mut more, mut insides) = (More::default(), Vec::new());
        for (_, item) in &items {
            insides.push(match item {
                Item::Namespace(id) => self.look_inside(&self.snapshot.namespaces[id], &mut more),
                _ => Default::default(),
            });
        }
        let ids = items.iter().filter_map(|(_, item)| if let Item::Namespace(id) = item { Some(*id) } else { None });
        more.endings = self.host.endings(self.snapshot, ids);
        let snapshot = more.onto(self.snapshot);
        let (context, counts) = (context(&snapshot), Counts::of(&snapshot));
        let links = Links { context, all: &host_links };
        let leftovers = links.leftovers(&Lacks::of(&snapshot));
        let since_boot = Some(crate::reader::host::since_boot());
        let mut answers = Vec::new();
        for ((asked, item), (inside, missing)) in items.iter().zip(insides) {
            let target = asked.text.to_string_lossy().into_owned();
            answers.push(match item {
                Item::Namespace(id) => {
                    let namespace = &snapshot.namespaces[id];
                    let shown = ShownNamespace { context, counts: &counts, namespace, inside, missing };
                    ShowAnswer::of_namespace(target, &shown)
                }
                Item::Process(pid) => {
                    let process = &snapshot.processes[pid];
                    let (reference, label) = (Reference::Initial, self.label(process));
                    ShowAnswer::of_process(target, &ShownProcess { context, process, reference, since_boot, label })
                }
                Item::Link(id) => match host_links.get(*id) {
                    Some(link) => ShowAnswer::of_link(target, links.link_answer(link, &leftovers)),
                    None => return Err(Problem::failed()),
                },
            });
        }
        let others = [Place::ProcessFacts, Place::CommandLines, Place::Cgroups, Place::NamespaceFacts, Place::Fds];
        let places = others.into_iter().fold(DiscoveryOptions::namespaces().places, |all, place| all.with(place));
        let held = gaps::held(&snapshot);
        let pid = |item: &Item| if let Item::Process(pid) = item { Some(*pid) } else { None };
        let pids: Option<BTreeSet<Pid>> = items.iter().map(|(_, item)| pid(item)).collect();
        let mut unseen = match pids {
            Some(pids) => gaps::lines_about(&snapshot, places, held, &pids),
            None => gaps::lines(&snapshot, places, held),
        };
        unseen.extend(links.gaps());
        self.envelope(answers, unseen)
    }

    /// The process of a TARGET.
    pub(super) fn process(&self, asked: &Asked, pid: Pid) -> Result<&Process, Problem> {
        let resolver = self.resolver();
        resolver.process(pid).ok_or_else(|| {
            let absence = resolver.absence(pid);
            let detail = format!("{}: {}", name(asked), absence.words());
            match absence {
                lxkns_answers::resolve::Absence::Gone => Problem::missing(detail),
                _ => Problem::unseen(detail),
            }
        })
    }

    /// The label that a security module gave a process.
    pub(super) fn label(&self, process: &Process) -> Label {
        match lxkns_core::security_label(self.host.session.proc(), process) {
            Ok(Some(label)) => Label::Known(label),
            Ok(None) => Label::None,
            Err(error) => Label::Unread(match error.errno() {
                Some(errno) => format!("not readable ({errno})"),
                None => chain(&error),
            }),
        }
    }

    /// What only a process inside can tell.
    fn look_inside(&self, namespace: &Namespace, more: &mut More) -> (Inside, Option<Unread>) {
        let Self { host, snapshot, .. } = self;
        let looked = lxkns_inside::look(&host.session, snapshot, namespace, &host.inside, host.settings.timeout);
        let Looked { inside, unreadable, gaps } = looked;
        more.gaps.extend(gaps);
        let unread = unreadable.map(|unreadable| match unreadable {
            Unreadable::Denied(id) => Unread::NeedsSysAdmin(id),
            Unreadable::NotOpened(error) => Unread::Because(chain(&error)),
            Unreadable::Failed(error) => Unread::Because(chain(&error)),
        });
        (inside, unread)
    }
}

/// An object to show.
enum Item {
    Namespace(NamespaceId),
    Process(Pid),
    Link(lxkns_core::model::links::LinkId),
}
