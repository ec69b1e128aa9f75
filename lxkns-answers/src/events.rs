//! What changed, one event for each change.

use lxkns_model::relations::{Change, NamespaceChanges};
use lxkns_model::{NamespaceId, Pid, Snapshot};
use serde::Serialize;

use crate::changes::Between;
use crate::forms::{HolderForm, NamespaceForm, ProcessForm};
use crate::names;
use crate::release::Advice;
use crate::steps::Release;
use crate::whose::WhoseForm;

/// One change of one namespace: what does not belong to its kind is left out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Event {
    /// When the scan began, or what happened that only an event has seen: RFC 3339, UTC; of `lxkns watch` alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// What changed; later versions can have others.
    pub change: &'static str,
    /// The namespace: as it is, or as it was where it went.
    pub namespace: NamespaceForm,
    /// All that holds it, or held it: of one that came, went, or lost its last task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holders: Option<Vec<HolderForm>>,
    /// The holder that came or went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub holder: Option<HolderForm>,
    /// The process that moved, is now the most senior in it, or was in it when only an event of it was seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessForm>,
    /// The process that was the most senior in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<ProcessForm>,
    /// The namespace that the process came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// The namespace that the process moved to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<u64>,
}

impl Event {
    /// A change of a namespace, with no more than that.
    pub(crate) fn new(change: &'static str, namespace: NamespaceForm) -> Self {
        Self {
            time: None,
            change,
            namespace,
            holders: None,
            holder: None,
            process: None,
            was: None,
            from: None,
            to: None,
        }
    }

    /// The event that a change is.
    pub(crate) fn of(
        between: &Between<'_>,
        advice: &Advice<'_>,
        told: &NamespaceChanges<'_>,
        change: &Change<'_>,
        time: Option<String>,
    ) -> Self {
        let namespace = told.namespace();
        let (old, new) = (between.old, between.new.snapshot);
        let snapshot = if told.new.is_some() { new } else { old };
        let form = |snapshot: &Snapshot, holder| {
            let stays = told.new.is_some() && std::ptr::eq(snapshot, new);
            let release = if stays { advice.release(namespace, holder) } else { Release::default() };
            HolderForm::of(snapshot, holder, release)
        };
        let process = |pid: Pid| {
            let (command, whose) = (between.command(pid), between.whose(pid));
            Some(ProcessForm { pid: pid.0, tid: None, fd: None, command, whose })
        };
        let ino = |id: NamespaceId| Some(id.ino);
        let form_of = NamespaceForm::of(snapshot, namespace, between.new.mount_ns);
        let mut event = Self { time, ..Self::new(name(change), form_of) };
        match *change {
            Change::Appeared
            | Change::Seen
            | Change::Went
            | Change::Vanished
            | Change::Hidden
            | Change::Unseen
            | Change::LastTaskLeft => {
                event.holders = Some(namespace.holders.iter().map(|holder| form(snapshot, holder)).collect());
            }
            Change::Leader { old: was, new } => {
                let command = old.processes.get(&was).map(|process| names::lossy(&names::command(process)));
                let whose = WhoseForm::process(old, was);
                event.was = Some(ProcessForm { pid: was.0, tid: None, fd: None, command, whose });
                event.process = process(new);
            }
            Change::ProcessEntered { pid, from } => (event.process, event.from) = (process(pid), ino(from)),
            Change::ProcessLeft { pid, to } => (event.process, event.to) = (process(pid), ino(to)),
            Change::HolderCame(holder) => event.holder = Some(form(new, holder)),
            Change::HolderWent(holder) => event.holder = Some(form(old, holder)),
            // The form of the namespace has it.
            _ => {}
        }
        // Of these there can be as many as there are leaders.
        if event.holder.is_some() || event.from.is_some() || event.to.is_some() {
            event.namespace.leaders = None;
        }
        event
    }
}

fn name(change: &Change<'_>) -> &'static str {
    match change {
        Change::Went => "went",
        Change::Vanished => "vanished",
        Change::Hidden => "hidden",
        Change::Unseen => "unseen",
        Change::Appeared => "appeared",
        Change::Seen => "seen",
        Change::LastTaskLeft => "last-task-left",
        Change::FirstTaskCame => "first-task-came",
        Change::Leader { .. } => "leader",
        Change::OwnerKnown(_) => "owner-known",
        Change::ParentKnown(_) => "parent-known",
        Change::ProcessLeft { .. } => "process-left",
        Change::ProcessEntered { .. } => "process-entered",
        Change::HolderWent(_) => "holder-went",
        Change::HolderCame(_) => "holder-came",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use lxkns_model::relations::changes;
    use lxkns_model::{Holder, NamespaceType, Tid};
    use serde_json::{Value, json};

    use super::*;
    use crate::context::Context;
    use crate::testing::{BUSY, HOME, LEFT, NET, snapshot};

    fn lines(old: &Snapshot, new: &Snapshot, time: Option<&str>) -> Vec<Value> {
        let found = changes(old, new).unwrap();
        let new = Context { snapshot: new, mount_ns: Some(HOME), is_live: true };
        let between = Between { old, new };
        between.events(&found.namespaces, time).map(|event| serde_json::to_value(event).unwrap()).collect()
    }

    #[test]
    fn each_change_is_an_event() {
        let mut old = snapshot();
        old.host.boot_id = Some("boot".into());
        let mut new = old.clone();
        new.namespaces.remove(&LEFT);
        let busy = new.namespaces.get_mut(&BUSY).unwrap();
        busy.leaders.clear();
        busy.holders = vec![Holder::Fd { pid: Pid(1), tid: Tid(1), fd: 8 }];
        new.processes.get_mut(&Pid(200)).unwrap().namespaces.set(NamespaceType::Net, NET);
        let lines = lines(&old, &new, Some("now"));
        let kinds: Vec<_> = lines.iter().map(|line| line["change"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["process-entered", "last-task-left", "process-left", "holder-came", "vanished"]);
        let sleep = json!({"pid": 200, "command": "sleep 1000"});
        assert_eq!((&lines[0]["process"], &lines[0]["from"]), (&sleep, &json!(BUSY.ino)));
        assert_eq!((&lines[2]["process"], &lines[2]["to"]), (&sleep, &json!(NET.ino)));
        let holder = json!({
            "kind": "fd", "pid": 1, "tid": 1, "fd": 8, "command": "init",
            "release": [{"step": "close", "pid": 1, "fd": 8, "text": "process 1 closes fd 8, or exits"}],
        });
        assert_eq!(lines[3]["holder"], holder);
        assert_eq!(lines[1]["holders"], json!([holder]));
        assert_eq!(lines[4]["namespace"]["nsid"], LEFT.ino);
        let has_leaders = |line: &Value| line["namespace"].get("leaders").is_some();
        assert_eq!(lines.iter().map(has_leaders).collect::<Vec<_>>(), [false, true, false, false, true]);
        assert_eq!(lines[4]["holders"][0]["release"], json!([]), "nothing is left to release");
        assert!(lines.iter().all(|line| line["time"] == "now"));
    }

    #[test]
    fn no_change_is_no_event() {
        assert!(lines(&snapshot(), &snapshot(), None).is_empty());
    }
}
