//! What would release a file system, step by step.

use std::fmt;

use lxkns_model::{NamespaceId, Pid, Snapshot};
use serde::Serialize;

use crate::lacks::with_lack;
use crate::names;
use crate::steps::ReleaseAction;

/// One thing that must happen before a file system is released. Its `Display` is the sentence without its full stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "schema", schemars(rename = "BusyStep"))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct Step {
    /// What it is; later versions can have others.
    pub step: &'static str,
    /// The step as a sentence.
    pub text: String,
    /// The process that must do it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// The command that does it, for a shell: after what the sentence says must come first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
    /// The namespace that ends, or whose processes do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nsid: Option<u64>,
    /// What the caller lacks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacks: Option<String>,
    /// The command of a container's engine that ends the container, and does it too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_command: Option<String>,
    /// Why there is no command of the container's engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub engine_command_missing: Option<&'static str>,
}

impl Step {
    pub(super) fn new(step: &'static str, text: String) -> Self {
        Self {
            step,
            text,
            pid: None,
            command: None,
            nsid: None,
            lacks: None,
            engine_command: None,
            engine_command_missing: None,
        }
    }

    pub(super) fn of_process(step: &'static str, pid: Pid, text: String) -> Self {
        Self { pid: Some(pid.0), ..Self::new(step, text) }
    }

    pub(super) fn command(step: &'static str, command: String) -> Self {
        Self { command: Some(command.clone()), ..Self::new(step, format!("`{command}`")) }
    }

    /// With what ends the container that it is about.
    pub(super) fn or_by_engine(self, (command, words): (Result<String, &'static str>, String)) -> Self {
        let (text, engine_command_missing) = (self.text + &words, command.as_ref().err().copied());
        Self { text, engine_command: command.ok(), engine_command_missing, ..self }
    }

    /// A command for which something else has to happen first.
    pub(super) fn then(first: String, step: &'static str, command: String) -> Self {
        Self { command: Some(command.clone()), ..Self::new(step, format!("{first}, then `{command}`")) }
    }

    /// The step, for a caller who lacks something for it.
    pub(super) fn lacking(self, lacks: Option<String>) -> Self {
        Self { text: with_lack(self.text, lacks.as_deref()), lacks, ..self }
    }

    /// What an unmount comes to, with all that the sentence says.
    pub(super) fn unmount(text: String, umount: &ReleaseAction) -> Self {
        match umount {
            ReleaseAction::Unmount { command, .. } => {
                Self { command: Some(command.clone()), ..Self::new("unmount", text) }
            }
            other => Self::new(other.name(), text),
        }
    }

    /// A mount is unmounted, in whatever way.
    pub(super) fn unmount_somehow(mount_id: u64) -> Self {
        Self::new("unmount", format!("mount {mount_id} is unmounted"))
    }

    /// A namespace ends.
    pub(super) fn end(snapshot: &Snapshot, id: NamespaceId) -> Self {
        let target = names::target(snapshot, id);
        Self { nsid: Some(id.ino), ..Self::new("namespace-ends", format!("{target} ends (lxkns why {target})")) }
    }

    /// All processes of a namespace end, which are so many.
    pub(super) fn members_exit(snapshot: &Snapshot, id: NamespaceId, count: u64) -> Self {
        let target = names::target(snapshot, id);
        let text = match count {
            0 => return Self::end(snapshot, id),
            1 => format!("the process of {target} exits (lxkns why {target})"),
            count => format!("the {count} processes of {target} exit (lxkns why {target})"),
        };
        Self { nsid: Some(id.ino), ..Self::new("members-exit", text) }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
