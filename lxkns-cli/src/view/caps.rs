//! What a process may do in a namespace, and why.

use std::io::{self, Write};
use std::rc::Rc;

use lxkns_core::model::{Capabilities, NamespaceId, NamespaceType, Process, Snapshot, Uid};
use lxkns_core::relations::{self, Authority, AuthorityUnknown, Forest, TreeNode};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::thread::CapabilitySet;
use unicode_width::UnicodeWidthStr as _;

use super::branches::{self, DEEPEST};
use super::names::{self, Detail};
use super::screen::Screen;

/// What a process may do in the namespaces that one user namespace decides on.
#[derive(Debug)]
pub(crate) struct Caps<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) process: &'a Process,
    /// The namespaces, of which there is one or more.
    pub(crate) namespaces: Vec<NamespaceId>,
    /// That user namespace, where it is known.
    pub(crate) user: Option<NamespaceId>,
    pub(crate) authority: Result<Authority, AuthorityUnknown>,
    /// All user namespaces.
    hierarchy: Rc<Forest<TreeNode>>,
}

impl<'a> Caps<'a> {
    /// What this process may do in these namespaces: for each user namespace that decides on some of them.
    pub(crate) fn of(snapshot: &'a Snapshot, process: &'a Process, namespaces: &[NamespaceId]) -> Vec<Self> {
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
    pub(crate) fn own(&self) -> Option<NamespaceId> {
        self.process.namespaces.get(NamespaceType::User)
    }

    /// Its effective UID.
    pub(crate) fn uid(&self) -> Option<Uid> {
        self.process.status.as_ref().map(|status| status.uids.effective)
    }

    /// The capabilities that it has, a bit for each; `None` where they are not known.
    pub(crate) fn capabilities(&self) -> Option<u64> {
        match self.authority.ok()? {
            Authority::Member | Authority::Ancestor => self.sets().map(|sets| sets.effective),
            Authority::Creator(_) => Some(u64::MAX),
            Authority::Elsewhere => Some(0),
            _ => None,
        }
    }

    fn sets(&self) -> Option<Capabilities> {
        self.process.status.as_ref().map(|status| status.capabilities)
    }

    /// A short stable name of the reason, for the JSON form.
    pub(crate) fn reason(&self) -> &'static str {
        match self.authority {
            Ok(Authority::Member) => "member",
            Ok(Authority::Ancestor) => "ancestor",
            Ok(Authority::Creator(_)) => "creator",
            Ok(Authority::Elsewhere) => "elsewhere",
            _ => "not-known",
        }
    }

    /// Which capabilities, and why: a sentence without its full stop, safe to print.
    pub(crate) fn sentence(&self) -> String {
        let name = |id: NamespaceId| names::namespace(self.snapshot, id);
        let user = self.user.map(name).unwrap_or_default();
        let own = self.own().map(name).unwrap_or_default();
        let uid = self.uid().map(|uid| uid.to_string()).unwrap_or_default();
        let set = || self.capabilities().map_or_else(|| "its effective ones".to_owned(), describe);
        let why_not = match self.authority {
            Ok(Authority::Member) => {
                return format!("{}, because it is in {user}, so that its effective set counts", set());
            }
            Ok(Authority::Ancestor) => {
                return format!(
                    "{}, because it is in {own}, which is above {user}, so that its effective set counts",
                    set()
                );
            }
            Ok(Authority::Creator(created)) if Some(created) == self.user => {
                return format!("all, because UID {uid} created {user} and is in its parent");
            }
            Ok(Authority::Creator(created)) => {
                let created = name(created);
                return format!(
                    "all, because UID {uid} created {created}, which is above {user}, and is in its parent"
                );
            }
            Ok(Authority::Elsewhere) => {
                return format!("none, because it is in {own}, which is neither {user} nor above it");
            }
            Err(AuthorityUnknown::UserNamespace) => "its user namespace is not readable".to_owned(),
            Err(AuthorityUnknown::Owner) => "the owner is not visible from here".to_owned(),
            Err(AuthorityUnknown::Parent(id)) => format!("what is above {} is not visible from here", name(id)),
            Err(AuthorityUnknown::Uids(id)) => format!("it is not known here whether it created {}", name(id)),
            _ => "this version has no words for why".to_owned(),
        };
        format!("not known, because {why_not}")
    }

    /// What it could have too if it wanted: what its permitted set has and its effective set has not, where that counts.
    fn more(&self) -> Option<String> {
        let counts = matches!(self.authority, Ok(Authority::Member | Authority::Ancestor));
        let more = self.sets().filter(|_| counts).map(|sets| sets.permitted & !sets.effective)?;
        (more != 0).then(|| format!("and of its permitted set, once it wants them, {}", describe(more)))
    }

    /// The user namespaces from the one that the process's and the deciding one have above them down to both; whole lines
    /// where they have none.
    pub(crate) fn branch(&self) -> Forest<TreeNode> {
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

    /// Writes it for people.
    pub(crate) fn write(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        let process = names::process(self.snapshot, self.process.pid, Detail::Brief);
        let uid =
            self.uid().map(|uid| format!(" with effective {}", names::user(self.snapshot, uid))).unwrap_or_default();
        write!(out, "process {process}{uid} has in ")?;
        let names: Vec<_> = self.namespaces.iter().map(|&id| names::namespace(self.snapshot, id)).collect();
        screen.heading(out, &names.join(", "))?;
        writeln!(out, "\n  {}", self.sentence())?;
        if let Some(more) = self.more() {
            writeln!(out, "  {more}")?;
        }
        let forest = self.branch();
        let mut lines = Vec::new();
        let children = |node| forest.children(node).to_vec();
        branches::walk(forest.roots(), DEEPEST, children, |lead, _, node| {
            if let Some(id) = node.namespace() {
                lines.push((format!("  {lead}{}", names::namespace(self.snapshot, id)), id));
            }
        });
        for (name, id) in lines {
            out.write_all(name.as_bytes())?;
            screen.rest(out, name.width(), || self.about(id))?;
        }
        Ok(())
    }

    fn about(&self, id: NamespaceId) -> String {
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

/// Capabilities in words: whichever is shorter, those that are there or those that are not.
pub(crate) fn describe(set: u64) -> String {
    let missing = names_of(known() & !set);
    let there = names_of(set);
    match (there.len(), missing.len()) {
        (0, _) => "none".to_owned(),
        (_, 0) => "all".to_owned(),
        (there_count, missing_count) if missing_count < there_count => format!("all but {}", missing.join(", ")),
        _ => there.join(", "),
    }
}

/// All capabilities that have a name. (A set has bits for others too.)
fn known() -> u64 {
    CapabilitySet::all().iter_names().fold(0, |known, (_, capability)| known | capability.bits())
}

/// The names of capabilities, by their numbers; those that this version does not know are called by theirs.
pub(crate) fn names_of(set: u64) -> Vec<String> {
    // Those of `u64::MAX` that no kernel has yet are not meant.
    let set = if set == u64::MAX { known() } else { set };
    let bits = (0..u64::BITS).filter(|bit| set >> bit & 1 == 1);
    let name = |bit: u32| {
        let known = CapabilitySet::from_bits_truncate(1 << bit).iter_names().next().map(|(name, _)| name.to_owned());
        format!("CAP_{}", known.unwrap_or_else(|| bit.to_string()))
    };
    bits.map(name).collect()
}

#[cfg(test)]
#[path = "caps_tests.rs"]
mod tests;
