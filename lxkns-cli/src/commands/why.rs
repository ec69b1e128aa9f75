//! `lxkns why`: what keeps a namespace alive, and what would release it.

use std::io::Write;

use bstr::ByteSlice as _;
use lxkns_core::model::{
    DiscoveryOptions, Holder, Namespace, NamespaceId, NamespaceType, Pid, Place, Scope, Snapshot, Suspect, Tid,
};
use lxkns_core::relations;
use serde::Serialize;

use super::Findings;
use crate::args::WhyArgs;
use crate::exit::Result;
use crate::live;
use crate::view::escape::printable;
use crate::view::holders::Kind;
use crate::view::names;
use crate::view::release::Advice;
use crate::view::screen::{self, Color, Screen};
use crate::view::why::{Explanation, FEW, SOME, describe_suspect, suspects, write_all_suspects};
use lxkns_answers::target::Asked;

/// Runs it.
pub(crate) fn run(args: &WhyArgs, color: Color) -> Result {
    let mut options = DiscoveryOptions::namespaces();
    options.command_lines = Scope::Named;
    options.suspects = true;
    options.without_self = true;
    // What is unmounted together takes all mounts to know.
    options.mounts = true;
    let is_live = args.look.from.is_none();
    let mut snapshot = live::load(&args.look, &options)?;
    let home = super::home(&snapshot, is_live);
    let Findings { found, unseen, exit, gaps_matter } = super::find(&snapshot, &args.targets, is_live);
    let is_ipc = |ns_type: Option<NamespaceType>| ns_type.is_none_or(|ns_type| ns_type == NamespaceType::Ipc);
    let ids = || found.iter().flat_map(|(_, ids)| ids);
    if is_live
        && (unseen.iter().any(|&(_, ns_type)| is_ipc(ns_type))
            || ids().any(|id| lacks_holder(&snapshot.namespaces[id])))
    {
        live::add_shared_memory(&live::access(&args.look.patience), &mut snapshot)?;
    }
    let advice = Advice::of(&snapshot, home);
    let explain = |id: &NamespaceId| Explanation::new(&advice, &snapshot.namespaces[id]);

    if args.json {
        let answers: Vec<_> = found
            .iter()
            .flat_map(|(asked, ids)| ids.iter().map(|id| (asked.text.to_string_lossy(), explain(id))))
            .map(|(target, explanation)| answer(target.into_owned(), &explanation))
            .chain(unseen.iter().map(|&(asked, ns_type)| unseen_answer(&snapshot, asked, ns_type)))
            .collect();
        screen::print(|out| Ok(screen::write_json(out, &answers)?))?;
    } else {
        screen::show(color, |out, screen| {
            write_text(out, &found, explain, args, screen)?;
            write_unseen(out, &snapshot, &unseen, args, screen)
        })?;
    }
    super::tell_other_root(&snapshot, is_live);
    if gaps_matter {
        super::tell_gaps(&snapshot, options.places.with(Place::CommandLines).with(Place::Suspects));
    }
    Ok(exit)
}

/// Whether this is an IPC namespace that nothing is known to hold: shared memory may.
pub(super) fn lacks_holder(namespace: &Namespace) -> bool {
    let is_unexplained = namespace.holders.iter().all(|holder| matches!(holder, Holder::Kernel));
    namespace.ns_type == NamespaceType::Ipc && !namespace.initial && is_unexplained
}

fn write_text<'a>(
    out: &mut impl Write,
    found: &[(&Asked, Vec<NamespaceId>)],
    explain: impl Fn(&NamespaceId) -> Explanation<'a>,
    args: &WhyArgs,
    screen: Screen,
) -> Result<()> {
    for (index, (asked, ids)) in found.iter().enumerate() {
        let alone = ids.len() == 1;
        if index > 0 {
            writeln!(out)?;
        }
        if !alone {
            writeln!(out, "{} is in {} namespaces", printable(asked.text.as_encoded_bytes()), ids.len())?;
        }
        let limit = if alone { SOME } else { FEW };
        for id in ids {
            explain(id).write(out, screen, if args.all { usize::MAX } else { limit })?;
        }
    }
    Ok(())
}

/// Writes what may hold the namespaces that were not found.
fn write_unseen(
    out: &mut impl Write,
    snapshot: &Snapshot,
    unseen: &[(&Asked, Option<NamespaceType>)],
    args: &WhyArgs,
    screen: Screen,
) -> Result<()> {
    for &(asked, ns_type) in unseen {
        writeln!(out, "{} is not visible, and may not exist", printable(asked.text.as_encoded_bytes()))?;
        let limit = if args.all { usize::MAX } else { SOME };
        write_all_suspects(out, snapshot, ns_type, &suspects(snapshot, ns_type), screen, limit)?;
    }
    Ok(())
}

/// The JSON form of what `why` says of one namespace.
#[derive(Serialize)]
struct Answer {
    target: String,
    /// `None` of one that was not found.
    namespace: Option<Facts>,
    /// Whether something that was seen keeps it alive.
    explained: bool,
    /// Whether all could be seen that may hold it.
    holders_seen: bool,
    holders: Vec<HolderAnswer>,
    suspects: Vec<SuspectAnswer>,
}

#[derive(Serialize)]
pub(super) struct Facts {
    ns: u64,
    #[serde(rename = "type")]
    ns_type: &'static str,
    #[serde(rename = "uniqueid")]
    unique_id: Option<u64>,
    initial: bool,
    owner: Option<u64>,
    parent: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) leaders: Option<Vec<u32>>,
}

/// A holder: what its kind does not have is left out.
#[derive(Default, Serialize)]
pub(super) struct HolderAnswer {
    kind: &'static str,
    #[serde(flatten)]
    process: Option<ProcessAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    socket: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<u64>,
    #[serde(flatten)]
    mount: Option<MountAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ns: Option<u64>,
    /// What would make it let go.
    release: Option<String>,
}

#[derive(Serialize)]
struct ProcessAnswer {
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fd: Option<u32>,
    command: Option<String>,
}

#[derive(Serialize)]
struct MountAnswer {
    mount_ns: u64,
    mount_id: u64,
    path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fs_type: Option<String>,
}

/// A suspect: something that may hold it.
#[derive(Serialize)]
pub(super) struct SuspectAnswer {
    kind: &'static str,
    #[serde(flatten)]
    process: Option<ProcessAnswer>,
    #[serde(flatten)]
    mount: Option<MountAnswer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<u64>,
    description: String,
}

fn answer(target: String, explanation: &Explanation<'_>) -> Answer {
    let snapshot = explanation.snapshot;
    let holders = explanation.holders().into_iter();
    let holders = holders.map(|holder| holder_answer(snapshot, holder, explanation.release(holder)));
    let suspects = explanation.suspects().into_iter().map(|suspect| suspect_answer(snapshot, suspect));
    Answer {
        target,
        namespace: Some(facts(explanation.namespace)),
        explained: explanation.is_explained(),
        holders_seen: relations::holders_seen(snapshot, explanation.namespace),
        holders: holders.collect(),
        suspects: suspects.collect(),
    }
}

/// What is said of a namespace that was not found, and can live all the same.
fn unseen_answer(snapshot: &Snapshot, asked: &Asked, ns_type: Option<NamespaceType>) -> Answer {
    let suspects = suspects(snapshot, ns_type).into_iter().map(|suspect| suspect_answer(snapshot, suspect));
    Answer {
        target: asked.text.to_string_lossy().into_owned(),
        namespace: None,
        explained: false,
        holders_seen: false,
        holders: Vec::new(),
        suspects: suspects.collect(),
    }
}

pub(super) fn facts(namespace: &Namespace) -> Facts {
    Facts {
        ns: namespace.id.ino,
        ns_type: namespace.ns_type.name(),
        unique_id: namespace.unique_id,
        initial: namespace.initial,
        owner: namespace.owner.known().map(|id| id.ino),
        parent: namespace.parent.known().map(|id| id.ino),
        leaders: Some(namespace.leaders.iter().map(|pid| pid.0).collect()),
    }
}

fn process(snapshot: &Snapshot, pid: Pid, tid: Option<Tid>, fd: Option<u32>) -> Option<ProcessAnswer> {
    let command = snapshot.processes.get(&pid).map(|process| names::command(process).to_str_lossy().into_owned());
    Some(ProcessAnswer { pid: pid.0, tid: tid.map(|tid| tid.0), fd, command })
}

pub(super) fn holder_answer(snapshot: &Snapshot, holder: &Holder, release: Option<String>) -> HolderAnswer {
    let kind = Kind::of(holder).name();
    let mut answer = HolderAnswer { kind, release, ..HolderAnswer::default() };
    match holder {
        Holder::Process { pid } => answer.process = process(snapshot, *pid, None, None),
        Holder::Task { pid, tid } | Holder::ForChildren { pid, tid } => {
            answer.process = process(snapshot, *pid, Some(*tid), None);
        }
        Holder::Fd { pid, tid, fd } => answer.process = process(snapshot, *pid, Some(*tid), Some(*fd)),
        Holder::Socket { pid, tid, fd, inode } => {
            answer.process = process(snapshot, *pid, Some(*tid), Some(*fd));
            answer.socket = Some(*inode);
        }
        Holder::Sockets { count } => answer.count = Some(*count),
        Holder::Tun { pid, tid, fd, device } => {
            answer.process = process(snapshot, *pid, Some(*tid), Some(*fd));
            answer.device = device.map(|id| id.ino);
        }
        Holder::BindMount { mount_ns, mount_id, path } => {
            let path = path.as_ref().map(|path| path.to_str_lossy().into_owned());
            answer.mount = Some(MountAnswer { mount_ns: mount_ns.ino, mount_id: *mount_id, path, fs_type: None });
        }
        Holder::Mount { mount_ns, mount_id, fs_type, path } => {
            let path = path.as_ref().map(|path| path.to_str_lossy().into_owned());
            let fs_type = Some(fs_type.to_str_lossy().into_owned());
            answer.mount = Some(MountAnswer { mount_ns: mount_ns.ino, mount_id: *mount_id, path, fs_type });
        }
        Holder::Child { ns } | Holder::Owned { ns } => answer.ns = Some(ns.ino),
        _ => {}
    }
    answer
}

pub(super) fn suspect_answer(snapshot: &Snapshot, suspect: &Suspect) -> SuspectAnswer {
    let description = describe_suspect(snapshot, suspect);
    let mut answer = SuspectAnswer { kind: "other", process: None, mount: None, count: None, description };
    match suspect {
        Suspect::ProcFile { pid, tid, fd, .. } => {
            answer.kind = "proc-file";
            answer.process = process(snapshot, *pid, Some(*tid), Some(*fd));
        }
        Suspect::InFlight { pid, tid, fd, count } => {
            answer.kind = "in-flight";
            answer.process = process(snapshot, *pid, Some(*tid), Some(*fd));
            answer.count = Some(*count);
        }
        Suspect::IoUring { pid, tid, fd, count } => {
            answer.kind = "io-uring";
            answer.process = process(snapshot, *pid, Some(*tid), Some(*fd));
            answer.count = Some(*count);
        }
        Suspect::SharedMemory { pid, .. } => {
            answer.kind = "shared-memory";
            answer.process = process(snapshot, *pid, None, None);
        }
        Suspect::Mount { mount_ns, mount_id, fs_type, path, .. } => {
            answer.kind = "file-system";
            let path = path.as_ref().map(|path| path.to_str_lossy().into_owned());
            let fs_type = Some(fs_type.to_str_lossy().into_owned());
            answer.mount = Some(MountAnswer { mount_ns: mount_ns.ino, mount_id: *mount_id, path, fs_type });
        }
        _ => {}
    }
    answer
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use lxkns_answers::testing::{HOME, LEFT, ODD, snapshot};

    #[test]
    fn json_has_the_facts_the_holders_and_the_suspects() {
        let mut snapshot = snapshot();
        snapshot.suspects = vec![Suspect::IoUring { pid: Pid(200), tid: Tid(200), fd: 4, count: 2 }];
        let explain = |id| {
            let advice = Advice::of(&snapshot, Some(HOME));
            let explanation = Explanation::new(&advice, &snapshot.namespaces[&id]);
            serde_json::to_value(answer("x".to_owned(), &explanation)).unwrap()
        };
        assert_eq!(
            explain(LEFT),
            json!({
                "target": "x",
                "namespace": {
                    "ns": 4026532300_u64, "type": "net", "uniqueid": 1300, "initial": false,
                    "owner": 4026531837_u64, "parent": null, "leaders": [],
                },
                "explained": true,
                "holders_seen": true,
                "holders": [
                    {
                        "kind": "fd", "pid": 1, "tid": 1, "fd": 7, "command": "init",
                        "release": "process 1 closes fd 7, or exits",
                    },
                    {
                        "kind": "bind-mount", "mount_ns": 4026531832_u64, "mount_id": 30, "path": "/run/netns/left",
                        "release": "`ip netns delete left`, or `umount -l /run/netns/left`",
                    },
                ],
                "suspects": [{
                    "kind": "io-uring", "pid": 200, "tid": 200, "fd": 4, "command": "sleep 1000", "count": 2,
                    "description":
                        "2 files registered with an io_uring, fd 4 of process 200 (sleep 1000): /proc/200/fd/4",
                }],
            })
        );
        let asked = Asked::parse("uts:4026539999".as_ref()).unwrap();
        let unseen = serde_json::to_value(unseen_answer(&snapshot, &asked, Some(NamespaceType::Uts))).unwrap();
        assert_eq!((&unseen["namespace"], &unseen["explained"]), (&json!(null), &json!(false)));
        assert_eq!(unseen["suspects"][0]["kind"], "io-uring");
        let odd = explain(ODD);
        assert_eq!(odd["explained"], false);
        assert_eq!(odd["holders"], json!([{"kind": "kernel", "release": null}]));
        assert_eq!(odd["suspects"][0]["kind"], "io-uring");
        assert_eq!(odd["suspects"][0]["command"], "sleep 1000");
    }
}
