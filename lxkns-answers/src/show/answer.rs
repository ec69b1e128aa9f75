//! The JSON form of what is shown.

use lxkns_model::inside::Limit;
use lxkns_model::{
    CapabilitySet, CgroupLimits, CgroupMembership, IdMapping, NamespaceId, NamespaceType, Pid, Process, Seccomp,
    Snapshot, relations,
};
use serde::Serialize;

use super::namespace::{UNMAPPED, owned_counts};
use super::network_answer::{NetworkAnswer, network_answer};
use super::process::differences;
use super::{Label, Reference, ShownNamespace, ShownProcess, process};
use crate::ending::{EndingForm, Explained};
use crate::forms::ReferencesForm;
use crate::links::GraphLink;
use crate::names::{self, lossy};
use crate::whose::WhoseForm;
use crate::{Context, holders};

/// What is said of one thing.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ShowAnswer {
    /// What it was asked for as.
    pub target: String,
    /// Of a namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<NamespaceAnswer>,
    /// Of a process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessAnswer>,
    /// Of a link.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(rename = "network-link")]
    pub link: Option<GraphLink>,
}

/// A namespace.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct NamespaceAnswer {
    /// Which.
    pub nsid: u64,
    /// Its type.
    #[serde(rename = "type")]
    pub ns_type: &'static str,
    /// Its unique ID; `null` where not known.
    pub unique_id: Option<u64>,
    /// Whether it is the initial one of its type.
    pub initial: bool,
    /// The user namespace that owns it; `null` where there is none, or it is not known.
    pub owner: Option<u64>,
    /// The topmost processes in it.
    pub leaders: Vec<u32>,
    /// The tasks in it whose process is elsewhere, by TID.
    pub loose_threads: Vec<u32>,
    /// The number of processes that were seen in it; `null` if none were, and some may be there.
    pub processes: Option<u64>,
    /// The number of tasks; `null` as for `processes`.
    pub tasks: Option<u64>,
    /// Whether all could be seen that may be in it; else these numbers are the least.
    pub members_seen: bool,
    /// Whether all could be seen that may hold it.
    pub holders_seen: bool,
    /// How many of what keep it alive; `null` where nothing was seen.
    pub held_by: Option<String>,
    /// How many references to it the kernel counts; left out where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub references: Option<ReferencesForm>,
    /// The paths that lead to it.
    pub paths: Vec<String>,
    /// Why what only a process inside can tell is `null`; `null` where nothing is missing.
    pub missing: Option<String>,
    /// What only namespaces of its type have.
    #[serde(flatten)]
    pub of_type: OfType,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// What only namespaces of one type have.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged, rename_all_fields = "kebab-case")]
pub enum OfType {
    /// A user namespace.
    User {
        /// Who created it; `null` where not known.
        user_id: Option<u32>,
        /// The name of that user; `null` where not known.
        user_name: Option<String>,
        /// Its parent; `null` where there is none, or it is not known.
        parent: Option<u64>,
        /// Its children.
        children: Vec<u64>,
        /// The namespaces that it owns, but for user namespaces.
        possessions: Vec<u64>,
        /// How many of each type.
        possession_counts: Vec<CountAnswer>,
        /// Its UID map: the first ID inside, the first outside (`null` where the observer's user namespace does not map
        /// it), and how many; `null` where not known.
        uid_map: Option<Vec<(u32, Option<u32>, u32)>>,
        /// Its GID map, in the same form.
        gid_map: Option<Vec<(u32, Option<u32>, u32)>>,
        /// How many namespaces may be created in it; `null` where not known.
        limits: Option<Vec<LimitAnswer>>,
    },
    /// A network namespace.
    Net {
        /// The name that `ip netns` has for it; `null` where it has none.
        netns_name: Option<String>,
        /// What is in it; `null` where not known.
        network: Option<NetworkAnswer>,
    },
    /// A UTS namespace.
    Uts {
        /// The host name; `null` where not known.
        hostname: Option<String>,
        /// The NIS domain name; `null` where not known.
        domainname: Option<String>,
    },
    /// A time namespace.
    Time {
        /// What is added to the clocks; `null` where not known.
        offsets: Option<OffsetsAnswer>,
    },
    /// A PID namespace.
    Pid {
        /// Its parent; `null` where there is none, or it is not known.
        parent: Option<u64>,
        /// Its children.
        children: Vec<u64>,
        /// The process with PID 1 in it; `null` where there is none, or it is not known.
        #[serde(rename = "init-pid")]
        init: Option<u32>,
        /// How many PID namespaces are above it; `null` where not known.
        level: Option<usize>,
        /// Why it does not end, where its first process has ended or was killed.
        #[serde(skip_serializing_if = "Option::is_none")]
        ending: Option<Box<EndingForm>>,
    },
    /// A mount namespace.
    Mnt {
        /// How many mounts it has; `null` where that was not asked.
        #[serde(rename = "mount-count")]
        mounts: Option<usize>,
    },
    /// Any other.
    Other {},
}

/// The clock offsets of a time namespace, in seconds and nanoseconds.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct OffsetsAnswer {
    /// Added to `CLOCK_MONOTONIC`.
    pub monotonic: (i64, u32),
    /// Added to `CLOCK_BOOTTIME`.
    pub boottime: (i64, u32),
}

/// How many namespaces of a type there are.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CountAnswer {
    /// The type.
    #[serde(rename = "type")]
    pub ns_type: &'static str,
    /// How many.
    pub count: usize,
}

/// How many namespaces of a type may be created.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct LimitAnswer {
    /// The type.
    #[serde(rename = "type")]
    pub ns_type: String,
    /// The limit, for each user.
    pub max: u64,
    /// How many are charged, of all users; `null` where not known.
    pub used: Option<u64>,
}

/// A process.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct ProcessAnswer {
    /// Its PID.
    pub pid: u32,
    /// Its parent; `null` where none is visible.
    pub ppid: Option<u32>,
    /// Its PIDs, from the outermost PID namespace to its own; `null` where not known.
    pub nspids: Option<Vec<u32>>,
    /// Its name.
    pub name: String,
    /// Its command line, or its name.
    pub command: String,
    /// Its user IDs, as the observer's user namespace calls them; `null` where not known.
    pub uids: Option<UidsAnswer>,
    /// The name of its effective user; `null` where not known.
    pub user_name: Option<String>,
    /// Its effective UID as its own user namespace calls it; `null` where not known, or not mapped.
    pub uid_inside: Option<u32>,
    /// Whether its effective UID is 0 in the host's user namespace; `null` where not known.
    pub root_on_host: Option<bool>,
    /// Its capabilities in the host's user namespace; `null` where not known.
    pub host_capabilities: Option<CapabilitySet>,
    /// `none`, `strict` or `filter`; `null` where not known.
    pub seccomp: Option<Seccomp>,
    /// Whether running a program gives it no more powers; `null` where not known.
    pub no_new_privs: Option<bool>,
    /// The label that a security module gave it; `null` where it has none, or it is not known.
    pub lsm_label: Option<String>,
    /// Why that is not known; `null` where it is.
    pub lsm_missing: Option<String>,
    /// How many tasks it has.
    pub tasks: u32,
    /// When it started, in seconds from when the host booted.
    pub started_seconds: f64,
    /// With what its namespaces are compared: those of the `caller`, or the `initial` ones.
    pub compared_with: &'static str,
    /// Its namespaces.
    pub namespaces: Vec<MembershipAnswer>,
    /// Its tasks in other namespaces.
    pub loose_tasks: Vec<TaskAnswer>,
    /// Its control groups; `null` where not known.
    pub cgroups: Option<Vec<CgroupAnswer>>,
    /// Whether it is frozen; `null` where not known.
    pub frozen: Option<bool>,
    /// What the control groups of its container let it use; `null` where it is in none, or that was not read.
    pub cgroup_limits: Option<CgroupLimits>,
    /// Its capability sets; `null` where not known.
    #[serde(rename = "capability-sets")]
    pub capabilities: Option<SetsAnswer>,
    /// Its scheduling policy; `null` where not known.
    pub policy: Option<String>,
    /// Its real-time priority; `null` where not known.
    pub priority: Option<u32>,
    /// Its nice value; `null` where not known.
    pub nice: Option<i32>,
    /// The CPUs that it may run on, as in `0-3,6`; `null` where not known.
    pub cpus: Option<String>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// User IDs; `null` where it is one that is not mapped in the observer's user namespace.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct UidsAnswer {
    /// The real one.
    pub real: Option<u32>,
    /// The effective one.
    pub effective: Option<u32>,
    /// The saved one.
    pub saved: Option<u32>,
    /// The one for file system access.
    pub file_system: Option<u32>,
}

/// A namespace that a process is in.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct MembershipAnswer {
    /// The type.
    #[serde(rename = "type")]
    pub ns_type: &'static str,
    /// Which; `null` where not known.
    pub nsid: Option<u64>,
    /// The name that `ip netns` has for it; `null` where it has none.
    pub netns_name: Option<String>,
    /// Whether it is that of whom it is compared with; `null` where not known.
    pub shared: Option<bool>,
}

/// A task in other namespaces than its process.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct TaskAnswer {
    /// Its TID.
    pub tid: u32,
    /// Its name.
    pub name: String,
    /// Those that differ.
    #[serde(rename = "nsids")]
    pub namespaces: Vec<u64>,
}

/// A control group.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct CgroupAnswer {
    /// The hierarchy: 0 for cgroup v2.
    pub hierarchy: u32,
    /// The controllers of a v1 hierarchy.
    pub controllers: String,
    /// The path below the hierarchy's root.
    pub path: String,
}

/// The capability sets of a process.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct SetsAnswer {
    /// The effective set.
    pub effective: CapabilitySet,
    /// The permitted set.
    pub permitted: CapabilitySet,
    /// The inheritable set.
    pub inheritable: CapabilitySet,
    /// The ambient set.
    pub ambient: CapabilitySet,
    /// The bounding set.
    pub bounding: CapabilitySet,
}

fn inos(ids: &[NamespaceId]) -> Vec<u64> {
    ids.iter().map(|id| id.ino).collect()
}

pub(super) fn name_of(snapshot: &Snapshot, pid: Pid) -> Option<String> {
    snapshot.processes.get(&pid).map(|process| lossy(process.comm()))
}

pub(super) fn netns_name(context: Context<'_>, id: NamespaceId) -> Option<String> {
    names::netns_name(context.snapshot, id, context.mount_ns).map(|name| lossy(name))
}

impl ShowAnswer {
    /// A namespace that was asked for as `target`.
    pub fn of_namespace(target: String, shown: &ShownNamespace<'_>) -> Self {
        let (namespace, snapshot) = (shown.namespace, shown.context.snapshot);
        let count = shown.counts.get(namespace.id);
        let members_seen = relations::members_seen(snapshot, namespace);
        let known = |number: u64| (members_seen || number > 0).then_some(number);
        let ways = names::ways(snapshot, namespace, shown.context.mount_ns);
        let answer = NamespaceAnswer {
            nsid: namespace.id.ino,
            whose: WhoseForm::namespace(shown.context.snapshot, namespace.id),
            ns_type: namespace.ns_type.name(),
            unique_id: namespace.unique_id,
            initial: namespace.initial,
            owner: namespace.owner.known().map(|id| id.ino),
            leaders: namespace.leaders.iter().map(|pid| pid.0).collect(),
            loose_threads: namespace.loose_threads.iter().map(|tid| tid.0).collect(),
            processes: known(count.processes),
            tasks: known(count.tasks),
            members_seen,
            holders_seen: relations::holders_seen(snapshot, namespace),
            held_by: holders::summary(&namespace.holders),
            references: ReferencesForm::of(snapshot, namespace),
            paths: ways.map(|way| lossy(&way.into_path())).collect(),
            missing: shown.why_missing(),
            of_type: of_type(shown),
        };
        Self { target, namespace: Some(answer), process: None, link: None }
    }

    /// A process that was asked for as `target`.
    pub fn of_process(target: String, shown: &ShownProcess<'_>) -> Self {
        Self { target, namespace: None, process: Some(process_answer(shown)), link: None }
    }

    /// A link that was asked for as `target`.
    pub fn of_link(target: String, link: GraphLink) -> Self {
        Self { target, namespace: None, process: None, link: Some(link) }
    }
}

fn of_type(shown: &ShownNamespace<'_>) -> OfType {
    let (namespace, snapshot) = (shown.namespace, shown.context.snapshot);
    let parent = namespace.parent.known().map(|id| id.ino);
    let map = |map: &Option<Vec<IdMapping>>| {
        let mapping = |mapping: &IdMapping| {
            let outside = (mapping.outside != UNMAPPED).then_some(mapping.outside);
            (mapping.inside, outside, mapping.count)
        };
        map.as_ref().map(|map| map.iter().map(mapping).collect())
    };
    match namespace.ns_type {
        NamespaceType::User => {
            let used = shown.used();
            let used_of = |name: &str| used.iter().find(|(ns_type, _)| ns_type.name() == name).map(|(_, used)| *used);
            let limit = |limit: &Limit| LimitAnswer {
                ns_type: limit.ns_type.clone(),
                max: limit.max,
                used: used_of(&limit.ns_type),
            };
            let counts = owned_counts(snapshot, namespace).into_iter();
            OfType::User {
                user_id: names::user_id(snapshot, namespace.owner_uid),
                user_name: names::user_name(snapshot, namespace.owner_uid),
                parent,
                children: inos(&namespace.children),
                possessions: inos(&namespace.owned),
                possession_counts: counts
                    .map(|(ns_type, count)| CountAnswer { ns_type: ns_type.name(), count })
                    .collect(),
                uid_map: map(&namespace.uid_map),
                gid_map: map(&namespace.gid_map),
                limits: shown.inside.limits.as_ref().map(|limits| limits.iter().map(limit).collect()),
            }
        }
        NamespaceType::Net => OfType::Net {
            netns_name: netns_name(shown.context, namespace.id),
            network: shown
                .inside
                .network
                .as_ref()
                .map(|facts| network_answer(shown.context, shown.namespace.id, facts)),
        },
        NamespaceType::Uts => {
            let names = shown.inside.host_name.as_ref();
            OfType::Uts {
                hostname: names.map(|names| lossy(&names.host)),
                domainname: names.map(|names| lossy(&names.domain)),
            }
        }
        NamespaceType::Time => OfType::Time {
            offsets: namespace
                .time_offsets
                .map(|offsets| OffsetsAnswer { monotonic: offsets.monotonic, boottime: offsets.boottime }),
        },
        NamespaceType::Pid => OfType::Pid {
            parent,
            children: inos(&namespace.children),
            init: shown.init().map(|pid| pid.0),
            level: shown.level(),
            ending: Explained::of(snapshot, namespace.id).map(|ending| Box::new(ending.form())),
        },
        NamespaceType::Mnt => OfType::Mnt { mounts: shown.mount_count() },
        _ => OfType::Other {},
    }
}

fn process_answer(shown: &ShownProcess<'_>) -> ProcessAnswer {
    let (context, process): (_, &Process) = (shown.context, shown.process);
    let task = process.living_task();
    let status = process.status.as_ref();
    let namespaces = shown.namespaces().map(|(ns_type, id, shared)| MembershipAnswer {
        ns_type: ns_type.name(),
        nsid: id.map(|id| id.ino),
        netns_name: id.and_then(|id| netns_name(context, id)),
        shared,
    });
    let loose_tasks = shown.elsewhere().map(|task| TaskAnswer {
        tid: task.tid.0,
        name: lossy(&task.comm),
        namespaces: differences(process, task).map(|id| id.ino).collect(),
    });
    let membership = |membership: &CgroupMembership| CgroupAnswer {
        hierarchy: membership.hierarchy,
        controllers: lossy(&membership.controllers),
        path: lossy(&membership.path),
    };
    let user_id = |uid| names::user_id(context.snapshot, Some(uid));
    let host_root = shown.host_root();
    let (lsm_label, lsm_missing) = match &shown.label {
        Label::Known(label) => (Some(lossy(label)), None),
        Label::None => (None, None),
        Label::Unread(why) => (None, Some(why.clone())),
    };
    ProcessAnswer {
        whose: WhoseForm::process(context.snapshot, process.pid),
        pid: process.pid.0,
        ppid: process.ppid.map(|pid| pid.0),
        nspids: status.map(|status| status.ns_pids.iter().map(|pid| pid.0).collect()),
        name: lossy(process.comm()),
        command: lossy(&names::command(process)),
        uids: status.map(|status| UidsAnswer {
            real: user_id(status.uids.real),
            effective: user_id(status.uids.effective),
            saved: user_id(status.uids.saved),
            file_system: user_id(status.uids.file_system),
        }),
        user_name: names::user_name(context.snapshot, status.map(|status| status.uids.effective)),
        uid_inside: shown.uid_inside().map(|uid| uid.0),
        root_on_host: host_root.map(|root| root.by_uid),
        host_capabilities: host_root.and_then(|root| root.capabilities),
        seccomp: status.and_then(|status| status.seccomp),
        no_new_privs: status.and_then(|status| status.no_new_privs),
        lsm_label,
        lsm_missing,
        tasks: process.threads,
        started_seconds: shown.started().as_secs_f64(),
        compared_with: match shown.reference {
            Reference::Caller(_) => "caller",
            Reference::Initial => "initial",
        },
        namespaces: namespaces.collect(),
        loose_tasks: loose_tasks.collect(),
        cgroups: task.cgroups.as_ref().map(|cgroups| cgroups.0.iter().map(membership).collect()),
        frozen: task.freezer.map(|freezer| freezer.effective),
        cgroup_limits: shown.limits().cloned(),
        capabilities: status.map(|status| SetsAnswer {
            effective: status.capabilities.effective,
            permitted: status.capabilities.permitted,
            inheritable: status.capabilities.inheritable,
            ambient: status.capabilities.ambient,
            bounding: status.capabilities.bounding,
        }),
        policy: task.scheduling.map(|scheduling| process::policy_name(scheduling.policy)),
        priority: task.scheduling.map(|scheduling| scheduling.priority),
        nice: task.scheduling.map(|scheduling| scheduling.nice),
        cpus: task.affinity.as_deref().map(process::ranges),
    }
}
