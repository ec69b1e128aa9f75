//! `why`: what keeps a namespace alive, and what would release it.

use lxkns_answers::context::Context;
use lxkns_answers::json::Envelope;
use lxkns_answers::release::Advice;
use lxkns_answers::resolve::{Resolver, Unresolved};
use lxkns_answers::target::{Asked, Target};
use lxkns_answers::why::{Explanation, WhyResult, may_be_held_by_shared_memory};
use lxkns_core::model::{DiscoveryOptions, NamespaceId, NamespaceType, Place, Places, Scope, Snapshot};

use super::{Found, Host, More, Refuse, named};

/// What a snapshot must have for it.
pub fn options() -> DiscoveryOptions {
    let mut options = DiscoveryOptions::namespaces();
    // Each process that keeps one alive is named, not only the most senior.
    options.command_lines = Scope::All;
    // Who may end a process depends on its UIDs.
    options.status = Scope::All;
    options.suspects = true;
    options.references = true;
    options.without_self = true;
    // What is unmounted together takes all mounts to know.
    options.mounts = true;
    options
}

/// The places whose gaps can hide what keeps a namespace alive.
pub fn places() -> Places {
    DiscoveryOptions::namespaces().places.with(Place::CommandLines).with(Place::Suspects)
}

/// What is asked about.
#[derive(Debug)]
pub struct Subjects<'a> {
    /// What each TARGET means.
    pub found: Found<'a>,
    /// The namespaces that were not found but may exist, with their types if known.
    pub unseen: Vec<(&'a Asked, Option<NamespaceType>)>,
}

impl<'a> Subjects<'a> {
    /// What these TARGETs mean. One that is not visible is refused, and answered all the same.
    pub fn find(resolver: &Resolver<'_>, asked: &'a [Asked], refuse: &mut Refuse<'_>) -> Self {
        let mut subjects = Self { found: Vec::new(), unseen: Vec::new() };
        for asked in asked {
            match resolver.resolve(asked) {
                Ok(ids) => subjects.found.push((asked, ids)),
                Err(unresolved) => {
                    if let Unresolved::NotVisible(_) = unresolved {
                        let ns_type = if let Target::Inode(ns_type, _) = asked.target { ns_type } else { None };
                        subjects.unseen.push((asked, ns_type));
                    }
                    refuse(unresolved);
                }
            }
        }
        subjects
    }

    /// The namespaces that were found.
    pub fn ids(&self) -> impl Iterator<Item = NamespaceId> {
        self.found.iter().flat_map(|(_, ids)| ids).copied()
    }

    /// What may hold them that no scan has, and why they do not end.
    pub fn read(&self, host: &Host<'_>, snapshot: &Snapshot) -> More {
        let mut more = More::default();
        let is_ipc = |ns_type: Option<NamespaceType>| ns_type.is_none_or(|ns_type| ns_type == NamespaceType::Ipc);
        if self.unseen.iter().any(|&(_, ns_type)| is_ipc(ns_type))
            || self.ids().any(|id| may_be_held_by_shared_memory(&snapshot.namespaces[&id]))
        {
            (more.suspects, more.gaps) = host.session.shared_memory_users(snapshot);
        }
        more.endings = host.endings(snapshot, self.ids());
        more
    }

    /// The answer.
    pub fn answer<'s>(&self, advice: &'s Advice<'s>, context: &Context<'s>, gaps: Vec<String>) -> Envelope<WhyResult> {
        let mut results = Vec::new();
        for (asked, ids) in &self.found {
            for id in ids {
                let explanation = Explanation::new(advice, &context.snapshot.namespaces[id]);
                results.push(WhyResult::of(named(asked), &explanation));
            }
        }
        results.extend(self.unseen.iter().map(|&(asked, ns_type)| WhyResult::unseen(named(asked), context, ns_type)));
        Envelope::new("why", results, gaps)
    }
}
