//! Why a namespace is still there: each holder, and what would make it release the namespace.

use std::cell::OnceCell;

use lxkns_model::CompactSort as _;
use lxkns_model::relations::{self, MountKey};
use lxkns_model::{Holder, Namespace, NamespaceType, Pid, Suspect};
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;

use crate::context::Context;
use crate::ending::{EndingForm, Explained};
use crate::forms::{HolderForm, NamespaceForm, ReferencesForm, SuspectForm};
use crate::holders::{self, Kind, describe};
use crate::lacks::with_lack;
use crate::names::{self, Detail};
use crate::release::{self, Advice, MountAdvice, MountAdvices};
use crate::steps::{Release, ReleaseAction};
use crate::suspects;
use crate::whose::{self, Whose};

/// Why one namespace is still there.
#[derive(Debug)]
pub struct Explanation<'a> {
    /// The snapshot that has it, and for whom this is.
    pub context: Context<'a>,
    /// The namespace.
    pub namespace: &'a Namespace,
    advice: &'a Advice<'a>,
    mounts: OnceCell<MountAdvices>,
}

/// Holders that are alike, in the order in which they are shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// The holders, at least one.
    pub holders: Vec<Told<'a>>,
    /// What releases all of them, if it is the same step: then it is shown once.
    pub common: Option<String>,
}

/// A holder as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// The holder.
    pub holder: &'a Holder,
    /// Of a mount those mounts that the kernel takes away with it.
    pub copies: Vec<&'a Holder>,
}

impl<'a> Explanation<'a> {
    /// About a namespace of the snapshot that the advice is about.
    pub fn new(advice: &'a Advice<'a>, namespace: &'a Namespace) -> Self {
        Self { context: advice.context(), namespace, advice, mounts: OnceCell::new() }
    }

    /// The namespace as its headings have it: with the name that `ip netns` has for it.
    pub fn name(&self) -> String {
        names::namespace_and_name(self.context.snapshot, self.namespace.id, self.context.mount_ns)
    }

    /// The holders in the order in which they are shown: of the processes the most senior first.
    pub fn holders(&self) -> Vec<&'a Holder> {
        let order = self.order();
        // What each is sorted by is found once.
        let mut holders: Vec<_> = self.namespace.holders.iter().map(|holder| (order(&holder), holder)).collect();
        holders.compact_sort_by_key(|(place, _)| *place);
        holders.into_iter().map(|(_, holder)| holder).collect()
    }

    /// The first of the [`holders`](Self::holders).
    pub(crate) fn first_holder(&self) -> Option<&'a Holder> {
        self.namespace.holders.iter().min_by_key(self.order())
    }

    /// What holders are sorted by when they are told.
    fn order(&self) -> impl Fn(&&'a Holder) -> (Kind, bool, usize) {
        let leaders = self.namespace.leaders.iter().enumerate();
        let ranks: FxHashMap<Pid, usize> = leaders.map(|(rank, &pid)| (pid, rank)).collect();
        let rank = move |holder: &Holder| match holder {
            Holder::Process { pid } => ranks.get(pid).copied().unwrap_or(usize::MAX),
            _ => 0,
        };
        // What ends in a way of its own comes after what is alike.
        move |holder| (Kind::of(holder), self.odd_end(holder).is_some(), rank(holder))
    }

    /// The holders as they are shown: those that are alike together.
    pub fn groups(&self) -> Vec<Group<'a>> {
        let holders = self.holders();
        let kind = |holder: &Holder| (Kind::of(holder), self.odd_end(holder).is_some());
        let groups = holders.chunk_by(|a, b| kind(a) == kind(b)).map(|group| {
            let common = match Kind::of(group[0]) {
                _ if group.len() == 1 || self.odd_end(group[0]).is_some() => None,
                Kind::Process => Some("all these processes exit"),
                Kind::Task => Some("all these tasks exit"),
                Kind::ForChildren => Some("all these tasks, and processes, exit"),
                Kind::Child | Kind::Owned => Some("all these end; `lxkns why` explains each"),
                _ => None,
            };
            let lack = || {
                let steps = group.iter().map(|holder| self.release(holder));
                steps.filter_map(|release| release.steps().iter().find_map(|step| step.lacks.clone())).next()
            };
            let common = common.map(|common| {
                with_lack(common.to_owned(), lack().as_deref()) + &self.ends_all(group).unwrap_or_default()
            });
            Group { holders: self.with_copies(group), common }
        });
        groups.collect()
    }

    /// What ends the one container that all these processes are in.
    fn ends_all(&self, group: &[&Holder]) -> Option<String> {
        let whose = |holder: &&Holder| Whose::process(self.context.snapshot, holder.pid()?);
        let Some(Whose::Container(container)) = group.first().and_then(whose) else { return None };
        if !group.iter().all(|holder| whose(holder) == Some(Whose::Container(container))) {
            return None;
        }
        Some(whose::ends(self.context.snapshot, container).1)
    }

    /// Why it does not end, where it is a PID namespace that is about to.
    pub fn ending(&self) -> Option<Explained<'a>> {
        Explained::of(self.context.snapshot, self.namespace.id)
    }

    /// For which container it was made, where none of its processes is in it, and how that is known.
    pub fn made_for(&self) -> Option<String> {
        whose::evidence(self.context.snapshot, self.namespace.id)
    }

    /// Holders of a kind, each mount with those that the kernel takes away with it.
    fn with_copies(&self, group: &[&'a Holder]) -> Vec<Told<'a>> {
        let mut copies: FxHashMap<MountKey, Vec<&'a Holder>> = FxHashMap::default();
        let mut sources = Vec::new();
        for &holder in group {
            match self.mount(holder) {
                Some((key, advice)) if advice.source != key => copies.entry(advice.source).or_default().push(holder),
                _ => sources.push(holder),
            }
        }
        let told = sources.into_iter().map(|holder| {
            let copies = release::mount_of(holder).and_then(|key| copies.remove(&key));
            Told { holder, copies: copies.unwrap_or_default() }
        });
        told.collect()
    }

    /// In how many mount namespaces these mounts are, in words.
    pub fn mount_namespaces(&self, mounts: &[&Holder]) -> String {
        let namespaces = mounts.iter().filter_map(|holder| release::mount_of(holder)).map(|(mount_ns, _)| mount_ns);
        match namespaces.collect::<FxHashSet<_>>().len() {
            1 => "1 mount namespace".to_owned(),
            count => format!("{count} mount namespaces"),
        }
    }

    /// Whether something was found that explains it.
    pub fn is_explained(&self) -> bool {
        self.namespace.initial || self.has_holder()
    }

    fn has_holder(&self) -> bool {
        self.namespace.holders.iter().any(|holder| Kind::of(holder) != Kind::Kernel)
    }

    /// Whether all could be seen that may hold it.
    pub fn holders_seen(&self) -> bool {
        relations::holders_seen(self.context.snapshot, self.namespace)
    }

    /// How many of what hold it; `None` where nothing was found that explains it.
    pub fn summary(&self) -> Option<String> {
        holders::summary(&self.namespace.holders).filter(|_| self.has_holder())
    }

    /// How many references to it the kernel counts, and how many are explained, in words.
    pub fn references(&self) -> Option<String> {
        let references = holders::references(self.context.snapshot, self.namespace)?;
        // An open file, or memory: it is known to hold this one, and which of the suspects it is follows from these alone.
        let is_suspect =
            !self.is_explained() && references.ends_with(" explained") && !references.ends_with(" 0 explained");
        Some(if is_suspect { references + " by suspects" } else { references })
    }

    /// What may hold it as well, the most likely first.
    pub fn suspects(&self) -> Vec<&'a Suspect> {
        suspects::of(self.context.snapshot, self.namespace)
    }

    /// A holder in words, with the way to it. IDs and paths are not shortened.
    pub fn describe(&self, holder: &Holder) -> String {
        let text = describe(self.context.snapshot, holder, self.context.mount_ns, Detail::Full);
        match holder {
            Holder::Fd { pid, tid, fd }
            | Holder::Socket { pid, tid, fd, .. }
            | Holder::Tun { pid, tid, fd, .. }
            | Holder::InFlight { pid, tid, fd, .. } => {
                format!("{text}: {}", names::fd_path(*pid, *tid, *fd))
            }
            Holder::BindMount { mount_id, .. } | Holder::Mount { mount_id, .. } => {
                format!("{text}, mount ID {mount_id}")
            }
            _ => text,
        }
    }

    /// What would make this holder let go.
    pub fn release(&self, holder: &Holder) -> Release {
        match self.mount(holder) {
            Some((_, advice)) => advice.release.clone(),
            None => self.advice.release(self.namespace, holder),
        }
    }

    /// What takes away a mount, with its own key.
    fn mount(&self, holder: &Holder) -> Option<(MountKey, &MountAdvice)> {
        let key = release::mount_of(holder)?;
        self.mounts.get_or_init(|| self.advice.mounts(self.namespace)).get(&key).map(|advice| (key, advice))
    }

    fn odd_end(&self, holder: &Holder) -> Option<ReleaseAction> {
        match holder {
            Holder::Process { pid } => release::odd_end_of(self.context.snapshot, *pid),
            _ => None,
        }
    }

    /// The form of the namespace.
    pub fn namespace_form(&self) -> NamespaceForm {
        NamespaceForm::of(self.context.snapshot, self.namespace, self.context.mount_ns)
    }

    /// The forms of all its holders.
    pub fn holder_forms(&self) -> Vec<HolderForm> {
        let holders = self.holders().into_iter();
        holders.map(|holder| HolderForm::of(self.context.snapshot, holder, self.release(holder))).collect()
    }
}

/// What `lxkns why` says about one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct WhyResult {
    /// The TARGET that means it.
    pub target: String,
    /// The namespace; `null` where it is not visible, and may exist.
    pub namespace: Option<NamespaceForm>,
    /// Whether something that was seen keeps it alive.
    pub keeper_found: bool,
    /// Whether all could be seen that may hold it.
    pub holders_seen: bool,
    /// How many references to it the kernel counts; left out where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub references: Option<ReferencesForm>,
    /// For which container it was made, where no process of that is in it, and how that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub made_for: Option<String>,
    /// Why it does not end, where it is a PID namespace whose first process has ended or was killed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ending: Option<EndingForm>,
    /// What keeps it alive.
    pub holders: Vec<HolderForm>,
    /// What may hold it, or another namespace, the most likely first: the kernel does not say.
    pub suspects: Vec<SuspectForm>,
}

impl WhyResult {
    /// What is said of a namespace that this TARGET means.
    pub fn of(target: String, explanation: &Explanation<'_>) -> Self {
        let context = &explanation.context;
        Self {
            target,
            namespace: Some(explanation.namespace_form()),
            keeper_found: explanation.is_explained(),
            holders_seen: explanation.holders_seen(),
            references: ReferencesForm::of(context.snapshot, explanation.namespace),
            made_for: explanation.made_for(),
            ending: explanation.ending().map(|ending| ending.form()),
            holders: explanation.holder_forms(),
            suspects: forms(context, &explanation.suspects()),
        }
    }

    /// What is said of a namespace that was not found and can live all the same.
    pub fn unseen(target: String, context: &Context<'_>, ns_type: Option<NamespaceType>) -> Self {
        Self {
            target,
            namespace: None,
            keeper_found: false,
            holders_seen: false,
            references: None,
            made_for: None,
            ending: None,
            holders: Vec::new(),
            suspects: forms(context, &suspects::of_type(context.snapshot, ns_type)),
        }
    }
}

fn forms(context: &Context<'_>, suspects: &[&Suspect]) -> Vec<SuspectForm> {
    suspects.iter().map(|suspect| SuspectForm::of(context, suspect)).collect()
}

/// Whether this is an IPC namespace that nothing is known to hold: shared memory may.
pub fn may_be_held_by_shared_memory(namespace: &Namespace) -> bool {
    let is_unexplained = namespace.holders.iter().all(|holder| matches!(holder, Holder::Kernel));
    namespace.ns_type == NamespaceType::Ipc && !namespace.initial && is_unexplained
}

#[cfg(test)]
mod tests {
    use lxkns_model::{DeviceNumber, NamespaceId, Snapshot, Tid};
    use serde_json::json;

    use super::*;
    use crate::testing::{BUSY, HOME, LEFT, NET, ODD, snapshot};

    fn context(snapshot: &Snapshot) -> Context<'_> {
        Context { snapshot, mount_ns: Some(HOME), is_live: true }
    }

    fn with<T>(snapshot: &Snapshot, id: NamespaceId, ask: impl FnOnce(&Explanation<'_>) -> T) -> T {
        let advice = Advice::of(context(snapshot));
        ask(&Explanation::new(&advice, &snapshot.namespaces[&id]))
    }

    #[test]
    fn names_and_paths_are_whole_however_narrow() {
        let mut snapshot = snapshot();
        let path = format!("/run/netns/{}", "a-long-name-".repeat(9));
        let left = snapshot.namespaces.get_mut(&LEFT).unwrap();
        left.holders = vec![Holder::BindMount { mount_ns: HOME, mount_id: 30, path: Some(path.as_str().into()) }];
        with(&snapshot, LEFT, |explanation| {
            let line = crate::text::shorten::within(12, || explanation.describe(&explanation.namespace.holders[0]));
            assert_eq!(line, format!("bind mount {path} in mnt:[4026531832] of process 1 (init), mount ID 30"));
            assert!(explanation.name().contains(path.strip_prefix("/run/netns/").unwrap()));
        });
    }

    #[test]
    fn mounts_of_a_file_system_are_one_suspect() {
        let mount = |mount_id, minor| Suspect::Mount {
            mount_ns: HOME,
            mount_id,
            fs_type: "proc".into(),
            file_system: DeviceNumber { major: 0, minor },
            path: None,
        };
        let [first, other, again] = [mount(1, 22), mount(2, 23), mount(3, 22)];
        assert_eq!(suspects::distinct(&[&first, &other, &again]), [(&first, 1), (&other, 0)]);
    }

    #[test]
    fn suspects_are_those_of_its_type_the_likeliest_first() {
        let mut snapshot = snapshot();
        let (pid, tid) = (Pid(200), Tid(200));
        let file = |path: &str| Suspect::ProcFile { pid, tid, fd: 3, ns_type: NamespaceType::Net, path: path.into() };
        snapshot.suspects = vec![file("/proc/1/net/dev"), file("/proc/200/net/dev")];
        with(&snapshot, BUSY, |explanation| {
            assert_eq!(explanation.suspects(), [&snapshot.suspects[1], &snapshot.suspects[0]]);
        });
        with(&snapshot, NET, |explanation| assert!(explanation.suspects().is_empty(), "it lives anyway"));
        with(&snapshot, ODD, |explanation| assert!(explanation.suspects().is_empty(), "of another type"));
    }

    #[test]
    fn json_has_the_facts_the_holders_and_the_suspects() {
        let mut snapshot = snapshot();
        snapshot.suspects = vec![Suspect::IoUring { pid: Pid(200), tid: Tid(200), fd: 4, count: 2 }];
        let result = |id| with(&snapshot, id, |it| serde_json::to_value(WhyResult::of("x".to_owned(), it)).unwrap());
        assert_eq!(
            result(LEFT),
            json!({
                "target": "x",
                "namespace": {
                    "nsid": 4026532300_u64, "type": "net", "unique-id": 1300, "initial": false,
                    "owner": 4026531837_u64, "netns-name": "left", "leaders": [],
                },
                "keeper-found": true,
                "holders-seen": true,
                "holders": [
                    {
                        "kind": "fd", "pid": 1, "tid": 1, "fd": 7, "command": "init",
                        "release": [
                            {"step": "close", "pid": 1, "fd": 7, "text": "process 1 closes fd 7, or exits"},
                        ],
                    },
                    {
                        "kind": "bind-mount", "mntns": 4026531832_u64, "mountid": 30, "path": "/run/netns/left",
                        "release": [{
                            "step": "unmount", "command": "umount -l /run/netns/left",
                            "delete-name": "ip netns delete left",
                            "text": "`ip netns delete left`, or `umount -l /run/netns/left`",
                        }],
                    },
                ],
                "suspects": [{
                    "kind": "io-uring", "pid": 200, "tid": 200, "fd": 4, "command": "sleep 1000", "count": 2,
                    "text": "2 files registered with an io_uring, fd 4 of process 200 (sleep 1000): /proc/200/fd/4",
                }],
            })
        );
        let unseen = WhyResult::unseen("uts:7".to_owned(), &context(&snapshot), Some(NamespaceType::Uts));
        let unseen = serde_json::to_value(unseen).unwrap();
        assert_eq!((&unseen["namespace"], &unseen["keeper-found"]), (&json!(null), &json!(false)));
        assert_eq!(unseen["suspects"][0]["kind"], "io-uring");
        let odd = result(ODD);
        assert_eq!((&odd["keeper-found"], &odd["namespace"]["parent"]), (&json!(false), &json!(null)));
        assert_eq!(odd["holders"], json!([{"kind": "kernel", "release": []}]));
        assert_eq!(odd["suspects"][0]["command"], "sleep 1000");
    }
}
