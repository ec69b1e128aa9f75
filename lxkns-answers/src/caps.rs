//! What a process may do in a namespace, and why.

use std::rc::Rc;

use lxkns_model::DiscoveryOptions;
use lxkns_model::relations::{self, Authority, AuthorityUnknown, Forest, TreeNode};
use lxkns_model::{Capabilities, CapabilitySet, NamespaceId, NamespaceType, Pid, Place, Process, Scope, Snapshot, Uid};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::names::{self, Detail};
use crate::target::Target;
use crate::whose::WhoseForm;

/// The kernel nests user namespaces no deeper than 33; a dump can have more, and circles.
const DEEPEST: usize = 100;

/// What a process may do in the namespaces that one user namespace decides on.
#[derive(Debug)]
pub struct Caps<'a> {
    /// What was found.
    pub snapshot: &'a Snapshot,
    /// The process.
    pub process: &'a Process,
    /// The namespaces: at least one.
    pub namespaces: Vec<NamespaceId>,
    /// That user namespace, where it is known.
    pub user: Option<NamespaceId>,
    /// Why it has capabilities there, or has none.
    pub authority: Result<Authority, AuthorityUnknown>,
    /// All user namespaces.
    hierarchy: Rc<Forest<TreeNode>>,
}

/// Whose capabilities are asked for, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// Those of this process in what was named; of a process in its namespaces.
    Named(Pid),
    /// Those of the caller.
    Asker,
}

impl Whose {
    /// A PID alone asks about that process, unless another one is named.
    pub fn of(target: &Target, named: Option<Pid>) -> Self {
        match (named, target) {
            (Some(pid), _) | (None, &Target::Process(pid)) => Self::Named(pid),
            (None, _) => Self::Asker,
        }
    }
}

/// What a snapshot must have for this.
pub fn options(target: &Target, whose: Whose) -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    if matches!(target, Target::Process(_) | Target::OfProcess(..)) {
        // Only those that processes are in are asked for.
        options.places = [Place::Processes, Place::Tasks, Place::Parents, Place::Owners].into_iter().collect();
    }
    options.status = Scope::All;
    options.without_self = whose != Whose::Asker;
    options
}

/// The namespaces to say it of: where a process is asked about its own, the user namespace of the host too, which is
/// where it is root or not.
pub fn with_host(
    snapshot: &Snapshot,
    target: &Target,
    whose: Whose,
    mut namespaces: Vec<NamespaceId>,
) -> Vec<NamespaceId> {
    let Target::Process(_) = target else { return namespaces };
    let is_host = |id: &NamespaceId| {
        let namespace = snapshot.namespaces.get(id);
        namespace.is_some_and(|namespace| namespace.initial && namespace.ns_type == NamespaceType::User)
    };
    if matches!((target, whose), (Target::Process(target), Whose::Named(named)) if *target == named)
        && !namespaces.iter().any(is_host)
    {
        namespaces.extend(snapshot.namespaces.keys().copied().find(is_host));
    }
    namespaces
}

impl<'a> Caps<'a> {
    /// What this process may do in these namespaces: for each user namespace that decides on some of them.
    pub fn of(snapshot: &'a Snapshot, process: &'a Process, namespaces: &[NamespaceId]) -> Vec<Self> {
        let hierarchy = Rc::new(relations::hierarchy(snapshot, NamespaceType::User));
        let mut all: Vec<Self> = Vec::new();
        let mut known: FxHashMap<Option<NamespaceId>, usize> = FxHashMap::default();
        for &id in namespaces {
            let user = relations::deciding_user_namespace(snapshot, id);
            let index = *known.entry(user).or_insert(all.len());
            match all.get_mut(index) {
                Some(caps) => caps.namespaces.push(id),
                None => {
                    let authority = relations::authority(snapshot, process.pid, id);
                    let hierarchy = Rc::clone(&hierarchy);
                    all.push(Self { snapshot, process, namespaces: vec![id], user, authority, hierarchy });
                }
            }
        }
        all
    }

    /// The user namespace that the process is in.
    pub fn own(&self) -> Option<NamespaceId> {
        self.process.namespaces.get(NamespaceType::User)
    }

    /// Its effective UID.
    pub fn uid(&self) -> Option<Uid> {
        self.process.status.as_ref().map(|status| status.uids.effective)
    }

    /// The capabilities that it has; `None` where they are not known.
    pub fn capabilities(&self) -> Option<CapabilitySet> {
        match self.authority.ok()? {
            Authority::Member | Authority::Ancestor => self.sets().map(|sets| sets.effective),
            Authority::Creator(_) => Some(CapabilitySet::ALL),
            Authority::Elsewhere => Some(CapabilitySet::NONE),
            _ => None,
        }
    }

    fn sets(&self) -> Option<Capabilities> {
        self.process.status.as_ref().map(|status| status.capabilities)
    }

    /// Why it has them.
    pub fn reason(&self) -> CapsReason {
        CapsReason::of(self.authority)
    }

    /// Which capabilities, and why: a sentence without its full stop, safe to print.
    pub fn sentence(&self) -> String {
        let name = |id: NamespaceId| names::namespace(self.snapshot, id);
        let user = self.user.map(name).unwrap_or_default();
        let own = self.own().map(name).unwrap_or_default();
        // It has been named; but one that may not be mapped is more than a number.
        let creator = self.uid().map_or_else(String::new, |uid| match names::mapped(self.snapshot, uid) {
            Some(uid) => format!("UID {uid}"),
            None => names::user(self.snapshot, uid),
        });
        let set = || self.capabilities().map_or_else(|| "its effective ones".to_owned(), CapabilitySet::in_words);
        let why_not = match self.authority {
            Ok(Authority::Member) => {
                return format!("{}: it is in {user}, so its effective set counts", set());
            }
            Ok(Authority::Ancestor) => {
                return format!("{}: it is in {own}, an ancestor of {user}, so its effective set counts", set());
            }
            Ok(Authority::Creator(created)) if Some(created) == self.user => {
                return format!("all: {creator} created {user}, and the process is in its parent");
            }
            Ok(Authority::Creator(created)) => {
                let created = name(created);
                return format!(
                    "all: {creator} created {created}, an ancestor of {user}, and the process is in its parent"
                );
            }
            Ok(Authority::Elsewhere) => {
                return format!("none: it is in {own}, which is not {user} or an ancestor of it");
            }
            Err(AuthorityUnknown::UserNamespace) => "its user namespace is not readable".to_owned(),
            Err(AuthorityUnknown::Owner) => "the owner is not visible from here".to_owned(),
            Err(AuthorityUnknown::Parent(id)) => format!("the parent of {} is not visible from here", name(id)),
            Err(AuthorityUnknown::Uids(id)) => format!("whether its user created {} is not known", name(id)),
            _ => "for a reason unknown to this version".to_owned(),
        };
        format!("not known: {why_not}")
    }

    /// What it could make effective too: what its permitted set has and its effective set has not, where that counts;
    /// `None` where not known.
    pub fn could_have(&self) -> Option<CapabilitySet> {
        match self.authority.ok()? {
            Authority::Member | Authority::Ancestor => self.sets().map(|sets| sets.permitted - sets.effective),
            Authority::Creator(_) | Authority::Elsewhere => Some(CapabilitySet::NONE),
            _ => None,
        }
    }

    /// That as a phrase; `None` where there is nothing.
    pub fn more(&self) -> Option<String> {
        let more = self.could_have().filter(|more| !more.is_empty())?;
        Some(format!("it can also make effective: {}", more.in_words()))
    }

    /// What this is about, without the namespaces: `process 1234 (sh) with effective UID 0 (root)`.
    pub fn subject(&self) -> String {
        let process = names::process(self.snapshot, self.process.pid, Detail::Brief);
        let uid = self.uid().map(|uid| format!(" with effective {}", names::user(self.snapshot, uid)));
        format!("process {process}{}", uid.unwrap_or_default())
    }

    /// It as JSON: one for each namespace.
    pub fn answers(&self) -> Vec<CapsAnswer> {
        let ino = |id: NamespaceId| id.ino;
        let branch = self.branch_answer();
        let answer = |&id: &NamespaceId| CapsAnswer {
            nsid: id.ino,
            ns_type: self.snapshot.namespaces.get(&id).map(|namespace| namespace.ns_type.name()),
            userns: self.user.map(ino),
            process: CapsProcess::of(self.snapshot, self.process, self.uid()),
            reason: self.reason(),
            created: match self.authority {
                Ok(Authority::Creator(id)) => Some(id.ino),
                _ => None,
            },
            all: matches!(self.authority, Ok(Authority::Creator(_))),
            capabilities: self.capabilities(),
            could_have: self.could_have(),
            because: self.sentence(),
            branch: branch.clone(),
        };
        self.namespaces.iter().map(answer).collect()
    }

    fn branch_answer(&self) -> Vec<CapsBranch> {
        let forest = self.branch();
        let mut todo: Vec<TreeNode> = forest.roots().iter().rev().copied().collect();
        let mut branch = Vec::new();
        while let Some(node) = todo.pop() {
            todo.extend(forest.children(node).iter().rev());
            let Some(id) = node.namespace() else { continue };
            let creator = self.snapshot.namespaces.get(&id).and_then(|namespace| namespace.owner_uid);
            branch.push(CapsBranch {
                nsid: id.ino,
                parent: forest.parent(node).and_then(TreeNode::namespace).map(|id| id.ino),
                user_id: names::user_id(self.snapshot, creator),
                user_name: names::user_name(self.snapshot, creator),
            });
        }
        branch
    }

    /// The user namespaces from the one that the process's and the deciding one have above them down to both; whole lines
    /// where they have none.
    pub fn branch(&self) -> Forest<TreeNode> {
        let forest = &self.hierarchy;
        let up = |id: Option<NamespaceId>| -> Vec<TreeNode> {
            let start = id.map(TreeNode::Namespace).filter(|&node| forest.contains(node));
            std::iter::successors(start, |&node| forest.parent(node)).take(DEEPEST).collect()
        };
        let (own, user) = (up(self.own()), up(self.user));
        let above_own: FxHashSet<TreeNode> = own.iter().copied().collect();
        let top = user.iter().copied().find(|node| above_own.contains(node));
        let line = |nodes: Vec<TreeNode>| {
            let end = nodes.iter().position(|&node| Some(node) == top).map_or(nodes.len(), |at| at + 1);
            nodes.into_iter().take(end).collect::<Vec<_>>()
        };
        let nodes = [line(own), line(user)].concat().into_iter();
        Forest::new(nodes.map(|node| (node, forest.parent(node).filter(|_| Some(node) != top))))
    }

    /// What a user namespace of the branch has to do with this; empty, or begins with a blank.
    pub fn about(&self, id: NamespaceId) -> String {
        let creator = self.snapshot.namespaces.get(&id).and_then(|namespace| namespace.owner_uid);
        let creator = creator.map(|uid| format!(" created by {}", names::user(self.snapshot, uid))).unwrap_or_default();
        let is_own = (self.own() == Some(id)).then(|| format!("process {} is in it", self.process.pid));
        let owned = self.namespaces.iter().filter(|&&namespace| namespace != id).count();
        let owns = match (self.user == Some(id), owned) {
            (false, _) | (_, 0) => None,
            (true, 1) if self.namespaces.len() == 1 => {
                Some(format!("owns {}", names::namespace(self.snapshot, self.namespaces[0])))
            }
            (true, count) => Some(format!("owns {count} of these")),
        };
        let words: Vec<_> = is_own.into_iter().chain(owns).collect();
        if words.is_empty() { creator } else { format!("{creator}: {}", words.join(", ")) }
    }
}

/// What a process may do in one namespace, as JSON.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CapsAnswer {
    /// The namespace.
    pub nsid: u64,
    /// Its type; `null` where not known.
    #[serde(rename = "type")]
    pub ns_type: Option<&'static str>,
    /// The user namespace that decides: that namespace itself, or its owner; `null` where not known.
    pub userns: Option<u64>,
    /// Whose capabilities these are.
    pub process: CapsProcess,
    /// Why it has them.
    pub reason: CapsReason,
    /// The user namespace that gives all to who created it; `null` where none does.
    #[serde(rename = "created-userns")]
    pub created: Option<u64>,
    /// Whether it has all, also those that come with later kernels.
    pub all: bool,
    /// `null` where not known.
    pub capabilities: Option<CapabilitySet>,
    /// What it could make effective too; `null` where not known.
    pub could_have: Option<CapabilitySet>,
    /// The reason as a sentence.
    pub because: String,
    /// The user namespaces from the one that the process's and the deciding one have above them down to both; each after
    /// its parent.
    pub branch: Vec<CapsBranch>,
}

/// A process.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CapsProcess {
    /// Its PID.
    pub pid: u32,
    /// The thread that was asked about, where it is another than the thread group leader.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tid: Option<u32>,
    /// Its name.
    pub name: String,
    /// Its effective UID; `null` where not known, or not mapped in the observer's user namespace.
    pub uid: Option<u32>,
    /// Its user namespace; `null` where not known.
    pub userns: Option<u64>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

impl CapsProcess {
    pub(crate) fn of(snapshot: &Snapshot, process: &Process, uid: Option<Uid>) -> Self {
        Self {
            pid: process.pid.0,
            tid: Some(process.main_task().tid).filter(|&tid| tid != process.pid.into()).map(|tid| tid.0),
            name: names::lossy(process.comm()),
            uid: names::user_id(snapshot, uid),
            userns: process.namespaces.get(NamespaceType::User).map(|id| id.ino),
            whose: WhoseForm::process(snapshot, process.pid),
        }
    }
}

/// Why a process has capabilities in a user namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum CapsReason {
    /// It is in it: its effective set counts.
    Member,
    /// It is in one above: its effective set counts.
    Ancestor,
    /// Its user created it, or one above: it has all.
    Creator,
    /// It is elsewhere: it has none.
    Elsewhere,
    /// Not known.
    NotKnown,
}

impl CapsReason {
    /// The reason for what the kernel decides.
    pub fn of(authority: Result<Authority, AuthorityUnknown>) -> Self {
        match authority {
            Ok(Authority::Member) => Self::Member,
            Ok(Authority::Ancestor) => Self::Ancestor,
            Ok(Authority::Creator(_)) => Self::Creator,
            Ok(Authority::Elsewhere) => Self::Elsewhere,
            _ => Self::NotKnown,
        }
    }

    /// It in a column.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Ancestor => "ancestor",
            Self::Creator => "creator",
            Self::Elsewhere => "elsewhere",
            Self::NotKnown => "not known",
        }
    }
}

/// A user namespace of a branch.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CapsBranch {
    /// Which.
    pub nsid: u64,
    /// Its parent, where that is in the branch too.
    pub parent: Option<u64>,
    /// Its creator; `null` where not known, or not mapped in the observer's user namespace.
    pub user_id: Option<u32>,
    /// Its creator's name; `null` where not known.
    pub user_name: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{LEFT, snapshot};

    #[test]
    fn a_pid_alone_asks_about_that_process() {
        let (asked, other) = (Pid(200), Pid(1));
        assert_eq!(Whose::of(&Target::Process(asked), None), Whose::Named(asked));
        assert_eq!(Whose::of(&Target::Process(asked), Some(other)), Whose::Named(other));
        assert_eq!(Whose::of(&Target::OfProcess(asked, NamespaceType::Net), None), Whose::Asker);
        let snapshot = snapshot();
        let of = |whose| with_host(&snapshot, &Target::Process(asked), whose, vec![LEFT]);
        assert_eq!(of(Whose::Named(asked)), [LEFT, crate::testing::USER], "is it root on the host?");
        assert_eq!(of(Whose::Named(other)), [LEFT]);
    }

    #[test]
    fn answers_have_the_names_of_the_vocabulary() {
        let snapshot = snapshot();
        let caps = Caps::of(&snapshot, &snapshot.processes[&Pid(200)], &[LEFT]);
        let json = serde_json::to_value(caps[0].answers()).unwrap();
        assert_eq!(json[0]["nsid"], LEFT.ino);
        assert_eq!(json[0]["reason"], "member");
        assert_eq!(json[0]["capabilities"], serde_json::json!([]));
        assert_eq!(json[0]["could-have"], serde_json::json!([]));
    }
}
