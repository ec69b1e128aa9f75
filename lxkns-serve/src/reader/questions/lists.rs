//! What there is: `ls`, `containers`, `tree`, `mounts`, `show`.

use lxkns_answers::containers::Matrix;
use lxkns_answers::counts::Counts;
use lxkns_answers::lacks::Lacks;
use lxkns_answers::links::Links;
use lxkns_answers::list::{Column, List};
use lxkns_answers::show::Reference;
use lxkns_answers::target::Target;
use lxkns_answers::tree::{Kind as TreeKind, Shown, Tree};
use lxkns_live::questions::show::Teller;
use lxkns_live::questions::{containers, find, gap_lines, list, mounts, show, tree};

use super::{Asking, Refused, context, json, some_targets, told};
use crate::reader::cache::Answer;
use crate::reader::problem::Problem;

impl Asking<'_> {
    pub(super) fn list(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "type", "all"])?;
        let (types, targets) = (self.question.types()?, self.question.targets()?);
        let columns = if self.question.flag("all")? { Column::all().collect() } else { Column::default_for(&types) };
        let mut refused = Refused::default();
        let found = find(&self.resolver(), &targets, &mut |unresolved| refused.note(unresolved));
        refused.check()?;
        let shown = list::select(self.snapshot, (!targets.is_empty()).then_some(&found), &types);
        let list = List::new(self.context(), self.snapshot.annotations.netnsids.clone());
        json(&list.answer(&shown, &columns))
    }

    pub(super) fn containers(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "is"])?;
        let (targets, mut refused) = (self.question.targets()?, Refused::default());
        let matrix = Matrix::of(self.snapshot).ok_or_else(Problem::failed)?;
        let shown = containers::select(&matrix, &self.resolver(), &targets, &mut |it| refused.note(it));
        refused.check()?;
        let matrix = containers::with_labels(Some(self.host.session.proc()), matrix, &shown);
        told(containers::answer(&matrix, &shown, gap_lines(self.snapshot, containers::places())))
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
            let target = self.question.target()?;
            forest = tree::branch(self.snapshot, &self.resolver(), &forest, kind, &target, None)?;
        }
        let all_leaders = self.question.flag("all-leaders")?;
        let tree = Tree::new(self.context(), forest, Shown { all_leaders, ..Shown::of(kind) });
        told(tree::answer(&tree, gap_lines(self.snapshot, tree::places(kind, true))))
    }

    pub(super) fn mounts(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "hidden", "is"])?;
        let target = self.question.value("target").map(|_| self.question.target()).transpose()?;
        let home = self.context().mount_ns;
        let id = mounts::find(self.snapshot, &self.resolver(), target.as_ref(), home)?;
        let found = mounts::found(self.snapshot, id, self.question.flag("hidden")?);
        let found = found.ok_or_else(|| Problem::unseen("its mounts could not be listed"))?;
        let mut snapshot = self.snapshot.clone();
        mounts::keep_gaps(&mut snapshot, None);
        told(mounts::answer(found, gap_lines(&snapshot, mounts::places(true))))
    }

    pub(super) fn show(&self) -> Result<Answer, Problem> {
        self.question.takes(&["target", "is"])?;
        let (targets, mut refused) = (some_targets(self.question)?, Refused::default());
        let resolver = self.resolver();
        let targets = show::settle(&resolver, &targets, &mut |unresolved| refused.note(unresolved));
        for asked in &targets {
            let is_process = matches!(asked.target, Target::Process(_));
            match self.question.value("is") {
                Some("process") if !is_process => return Err(Problem::missing("not a process")),
                Some("namespace") if is_process => return Err(Problem::missing("not a namespace")),
                _ => {}
            }
        }
        let items = show::find(&resolver, &targets, &mut |unresolved| refused.note(unresolved));
        refused.check()?;
        let host_links = resolver.into_links().unwrap_or_default();
        let (insides, more) = show::read(&self.host.living(), self.snapshot, &items);
        let snapshot = more.onto(self.snapshot);
        let (context, counts) = (context(&snapshot), Counts::of(&snapshot));
        let links = Links { context, all: &host_links };
        let leftovers = links.leftovers(&Lacks::of(&snapshot));
        let teller = Teller { proc: Some(self.host.session.proc()), reference: Reference::Initial };
        let shown = show::shown(context, &counts, &links, teller, &items, insides);
        let mut gaps = show::gaps(&snapshot, &targets, &items);
        gaps.extend(links.gaps());
        told(show::answer(&links, &leftovers, &items, &shown, gaps))
    }
}
