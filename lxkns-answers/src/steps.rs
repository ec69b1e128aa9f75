//! Steps that release what holds a namespace: as values, as sentences and as JSON.

use std::fmt;

use lxkns_model::{InFlight, Pid, Snapshot, Tid};
use serde::Serialize;

use crate::lacks::with_lack;
use crate::whose::{self, Whose};

/// One step that releases a holder. Its `Display` is the sentence without its full stop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(into = "StepForm")]
pub struct ReleaseStep {
    /// The action.
    pub action: ReleaseAction,
    /// The privileges that the caller lacks for it; `None` if none are lacking, or this is not known.
    pub lacks: Option<String>,
    /// What ends the container, and so does this too; `None` if the step is about no container.
    pub by_engine: Option<ByEngine>,
}

impl From<ReleaseAction> for ReleaseStep {
    fn from(action: ReleaseAction) -> Self {
        Self { action, lacks: None, by_engine: None }
    }
}

/// How a container ends, or what is left of it is removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByEngine {
    /// Its engine's command, for a shell; else why there is none.
    pub command: Result<String, &'static str>,
    /// That in words, after those of the step.
    words: String,
}

impl ByEngine {
    /// For this owner; `None` if it is no container.
    pub fn of(snapshot: &Snapshot, whose: Whose<'_>) -> Option<Self> {
        let Whose::Container(container) = whose else { return None };
        let (command, words) = whose::ends(snapshot, container);
        Some(Self { command, words })
    }
}

/// The action that releases a holder. Its `Display` is the sentence without its full stop.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseAction {
    /// A process ends.
    ProcessExits {
        /// The process.
        pid: Pid,
    },
    /// A task ends.
    TaskExits {
        /// Its process.
        pid: Pid,
        /// The task.
        tid: Tid,
    },
    /// The parent of a zombie reaps it.
    Reaped {
        /// The process.
        pid: Pid,
        /// Its parent, as in `1234 (sh)`; `None` if not known.
        parent: Option<String>,
    },
    /// The host shuts down: a kernel thread does not end before.
    ShutDown {
        /// The kernel thread.
        pid: Pid,
    },
    /// The owner of a descriptor closes it, or ends.
    Closed {
        /// The process that has it open.
        pid: Pid,
        /// The task that owns the descriptor table; `None` if the whole process does.
        tid: Option<Tid>,
        /// The descriptor.
        fd: u32,
    },
    /// The owner of a socket receives or accepts what waits in it; or closes it, or ends.
    Received {
        /// The process that has the socket open.
        pid: Pid,
        /// The task that owns the descriptor table; `None` if the whole process does.
        tid: Option<Tid>,
        /// The descriptor of the socket.
        fd: u32,
        /// What waits.
        what: InFlight,
    },
    /// The processes in the namespace close their sockets, or end.
    SocketsClosed,
    /// A mount is unmounted.
    Unmount {
        /// The command.
        command: String,
        /// A command that does the same and removes the name of a network namespace as well.
        delete_name: Option<String>,
    },
    /// A mount is unmounted. If it is locked, because its mount namespace was copied from a more privileged one, the kernel
    /// refuses, and the mount namespace must end. The kernel does not show which mounts are locked.
    UnmountOrEnd {
        /// The command.
        command: String,
        /// How the mount namespace ends.
        or: Box<ReleaseAction>,
    },
    /// The mounts over a mount are unmounted and then the mount, or its mount namespace ends.
    Uncovered {
        /// How the mount namespace ends.
        or: Box<ReleaseAction>,
    },
    /// A link is deleted, or a namespace ends and the link with it.
    DeleteLink {
        /// The command.
        command: String,
        /// How the namespace ends.
        or: Box<ReleaseAction>,
    },
    /// All processes of a namespace end.
    MembersExit {
        /// The namespace, as a TARGET.
        target: String,
        /// Its inode number.
        nsid: u64,
    },
    /// A namespace ends; `why` explains its holders.
    NamespaceEnds {
        /// The namespace, as a TARGET.
        target: String,
        /// Its inode number.
        nsid: u64,
    },
}

impl ReleaseAction {
    /// A short stable name, for the JSON form.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ProcessExits { .. } | Self::TaskExits { .. } => "exit",
            Self::Reaped { .. } => "reap",
            Self::ShutDown { .. } => "shut-down",
            Self::Closed { .. } => "close",
            Self::Received { .. } => "receive",
            Self::SocketsClosed => "close-sockets",
            Self::Unmount { .. } | Self::UnmountOrEnd { .. } => "unmount",
            Self::Uncovered { .. } => "uncover",
            Self::DeleteLink { .. } => "delete-link",
            Self::MembersExit { .. } => "members-exit",
            Self::NamespaceEnds { .. } => "namespace-ends",
        }
    }
}

impl fmt::Display for ReleaseStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let action = with_lack(self.action.to_string(), self.lacks.as_deref());
        match (&self.by_engine, &self.action) {
            (Some(ByEngine { command: Ok(command), .. }), ReleaseAction::Unmount { .. }) => {
                write!(f, "`{command}`, or {action}")
            }
            (Some(ByEngine { words, .. }), _) => write!(f, "{action}{words}"),
            (None, _) => f.write_str(&action),
        }
    }
}

impl fmt::Display for ReleaseAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ProcessExits { pid } => write!(f, "process {pid} exits"),
            Self::TaskExits { pid, tid } => write!(f, "task {tid} of process {pid} exits"),
            Self::Reaped { parent: Some(parent), .. } => {
                write!(f, "its parent, process {parent}, waits for it or exits: it is a zombie")
            }
            Self::Reaped { parent: None, .. } => f.write_str("its parent waits for it or exits: it is a zombie"),
            Self::ShutDown { .. } => f.write_str("the host shuts down: it is a kernel thread"),
            Self::Closed { pid, tid: None, fd } => write!(f, "process {pid} closes fd {fd}, or exits"),
            Self::Closed { pid, tid: Some(tid), fd } => {
                write!(f, "task {tid} of process {pid} closes fd {fd}, or exits")
            }
            Self::Received { pid, tid, fd, what } => {
                let task = tid.map(|tid| format!("task {tid} of ")).unwrap_or_default();
                let takes = if *what == InFlight::Connection { "accepts" } else { "receives" };
                write!(f, "{task}process {pid} {takes} it, closes fd {fd}, or exits")
            }
            Self::SocketsClosed => f.write_str("the processes in it close them, or exit"),
            Self::Unmount { command, delete_name: Some(delete) } => write!(f, "`{delete}`, or `{command}`"),
            Self::Unmount { command, .. } => write!(f, "`{command}`"),
            Self::UnmountOrEnd { command, or } => write!(f, "`{command}`, or, where it is locked, {or}"),
            Self::Uncovered { or } => write!(f, "what covers it is unmounted first, then the mount itself; or {or}"),
            Self::DeleteLink { command, or } => write!(f, "`{command}`, or {or}"),
            Self::MembersExit { target, .. } => write!(f, "the processes of {target} exit (lxkns why {target})"),
            Self::NamespaceEnds { target, .. } => write!(f, "{target} ends (lxkns why {target})"),
        }
    }
}

/// Unmounts as one command: each runs only if those before it have succeeded.
fn unmounts(steps: &[ReleaseStep]) -> String {
    if let [only] = steps {
        return only.to_string();
    }
    let command = |step: &ReleaseStep| match &step.action {
        ReleaseAction::Unmount { command, .. } => command.clone(),
        other => other.to_string(),
    };
    let commands: Vec<_> = steps.iter().map(command).collect();
    with_lack(format!("`{}`", commands.join(" && ")), steps.iter().find_map(|step| step.lacks.as_deref()))
}

/// The steps that release a holder, in order. Its `Display` is one sentence without its full stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Release(Vec<ReleaseStep>);

impl Release {
    /// The steps; empty if none are known to release it.
    pub fn steps(&self) -> &[ReleaseStep] {
        &self.0
    }

    /// Whether no step is known to release it.
    pub fn is_unknown(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<Vec<ReleaseStep>> for Release {
    fn from(steps: Vec<ReleaseStep>) -> Self {
        Self(steps)
    }
}

impl From<ReleaseStep> for Release {
    fn from(step: ReleaseStep) -> Self {
        Self(vec![step])
    }
}

impl fmt::Display for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_unmount = |step: &ReleaseStep| matches!(step.action, ReleaseAction::Unmount { .. });
        for (index, run) in self.0.chunk_by(|a, b| is_unmount(a) && is_unmount(b)).enumerate() {
            if index > 0 {
                f.write_str(", then ")?;
            }
            f.write_str(&unmounts(run))?;
        }
        Ok(())
    }
}

/// The JSON form of a step, without the keys that do not apply to it.
#[derive(Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "ReleaseStep"))]
#[serde(rename_all = "kebab-case")]
struct StepForm {
    /// What it is; later versions can have others.
    step: &'static str,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
    /// The task.
    #[serde(skip_serializing_if = "Option::is_none")]
    tid: Option<u32>,
    /// The descriptor.
    #[serde(skip_serializing_if = "Option::is_none")]
    fd: Option<u32>,
    /// The namespace that ends, or the namespace of the processes that end.
    #[serde(skip_serializing_if = "Option::is_none")]
    nsid: Option<u64>,
    /// The command that does it, for a shell.
    #[serde(skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    /// A command that does the same and removes the name of a network namespace as well.
    #[serde(skip_serializing_if = "Option::is_none")]
    delete_name: Option<String>,
    /// The command of the container's engine that does this, and ends or removes the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine_command: Option<String>,
    /// Why there is no command of the container's engine.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine_command_missing: Option<&'static str>,
    /// The privileges that the caller lacks for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    lacks: Option<String>,
    /// The step as a sentence.
    text: String,
}

impl From<ReleaseStep> for StepForm {
    fn from(step: ReleaseStep) -> Self {
        let mut form = Self {
            step: step.action.name(),
            pid: None,
            tid: None,
            fd: None,
            nsid: None,
            command: None,
            delete_name: None,
            engine_command: None,
            engine_command_missing: None,
            text: step.to_string(),
            lacks: step.lacks,
        };
        match step.by_engine.map(|by_engine| by_engine.command) {
            Some(Ok(command)) => form.engine_command = Some(command),
            Some(Err(why)) => form.engine_command_missing = Some(why),
            None => {}
        }
        match step.action {
            ReleaseAction::ProcessExits { pid }
            | ReleaseAction::Reaped { pid, .. }
            | ReleaseAction::ShutDown { pid } => {
                form.pid = Some(pid.0);
            }
            ReleaseAction::TaskExits { pid, tid } => (form.pid, form.tid) = (Some(pid.0), Some(tid.0)),
            ReleaseAction::Closed { pid, tid, fd } | ReleaseAction::Received { pid, tid, fd, .. } => {
                (form.pid, form.tid, form.fd) = (Some(pid.0), tid.map(|tid| tid.0), Some(fd));
            }
            ReleaseAction::Unmount { command, delete_name } => {
                (form.command, form.delete_name) = (Some(command), delete_name);
            }
            ReleaseAction::MembersExit { nsid, .. } | ReleaseAction::NamespaceEnds { nsid, .. } => {
                form.nsid = Some(nsid)
            }
            ReleaseAction::UnmountOrEnd { command, or } | ReleaseAction::DeleteLink { command, or } => {
                (form.command, form.nsid) = (Some(command), Self::from(ReleaseStep::from(*or)).nsid);
            }
            ReleaseAction::Uncovered { or } => form.nsid = Self::from(ReleaseStep::from(*or)).nsid,
            ReleaseAction::SocketsClosed => {}
        }
        form
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for ReleaseStep {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        StepForm::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        StepForm::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn unmount(path: &str, delete_name: Option<&str>) -> ReleaseStep {
        let delete_name = delete_name.map(Into::into);
        ReleaseAction::Unmount { command: format!("umount {path}"), delete_name }.into()
    }

    #[test]
    fn unmounts_are_one_command_in_words_and_one_step_each_for_programs() {
        let mut steps = vec![unmount("/a", None), unmount("/b", None)];
        let release = Release::from(steps.clone());
        assert_eq!(release.to_string(), "`umount /a && umount /b`");
        assert_eq!(
            serde_json::to_value(&release).unwrap(),
            json!([
                {"step": "unmount", "command": "umount /a", "text": "`umount /a`"},
                {"step": "unmount", "command": "umount /b", "text": "`umount /b`"},
            ])
        );
        steps[0].lacks = Some("CAP_X".to_owned());
        assert_eq!(Release::from(steps).to_string(), "`umount /a && umount /b` (not as this user: needs CAP_X)");
        let named = Release::from(unmount("/run/netns/x", Some("ip netns delete x")));
        assert_eq!(named.to_string(), "`ip netns delete x`, or `umount /run/netns/x`");
        assert_eq!(serde_json::to_value(&named).unwrap()[0]["delete-name"], "ip netns delete x");
    }

    #[test]
    fn whatever_must_happen_says_what_the_caller_lacks() {
        let step = ReleaseStep {
            action: ReleaseAction::ProcessExits { pid: Pid(7) },
            lacks: Some("CAP_KILL in user:5".to_owned()),
            by_engine: None,
        };
        let text = "process 7 exits (not as this user: needs CAP_KILL in user:5)";
        assert_eq!(
            serde_json::to_value(Release::from(step)).unwrap(),
            json!([{"step": "exit", "pid": 7, "lacks": "CAP_KILL in user:5", "text": text}])
        );
    }

    #[test]
    fn what_ends_a_container_stands_beside_it() {
        let of = |command| Some(ByEngine { command, words: "; `docker rm -f web` ends docker:web".into() });
        let by_engine = of(Ok("docker rm -f web".to_owned()));
        let action = ReleaseAction::ProcessExits { pid: Pid(7) };
        let step = ReleaseStep { action, lacks: Some("CAP_KILL".into()), by_engine: by_engine.clone() };
        assert_eq!(
            serde_json::to_value(step).unwrap(),
            json!({
                "step": "exit", "pid": 7, "engine-command": "docker rm -f web", "lacks": "CAP_KILL",
                "text": "process 7 exits (not as this user: needs CAP_KILL); `docker rm -f web` ends docker:web",
            })
        );
        let unmount = ReleaseStep { by_engine, ..unmount("/a", None) };
        assert_eq!(unmount.to_string(), "`docker rm -f web`, or `umount /a`");
        let without = ByEngine { command: Err("it is in another"), words: "; no engine command".into() };
        let unmount = ReleaseStep { by_engine: Some(without), ..unmount };
        assert_eq!(
            serde_json::to_value(unmount).unwrap(),
            json!({
                "step": "unmount", "command": "umount /a", "engine-command-missing": "it is in another",
                "text": "`umount /a`; no engine command",
            })
        );
    }

    #[test]
    fn a_step_names_what_it_is_about() {
        let (pid, tid) = (Pid(7), Tid(8));
        for (step, expected) in [
            (ReleaseAction::ProcessExits { pid }, json!({"step": "exit", "pid": 7, "text": "process 7 exits"})),
            (
                ReleaseAction::Closed { pid, tid: Some(tid), fd: 3 },
                json!({
                    "step": "close", "pid": 7, "tid": 8, "fd": 3,
                    "text": "task 8 of process 7 closes fd 3, or exits",
                }),
            ),
            (
                ReleaseAction::Uncovered {
                    or: Box::new(ReleaseAction::NamespaceEnds { target: "mnt:5".to_owned(), nsid: 5 }),
                },
                json!({
                    "step": "uncover", "nsid": 5,
                    "text": "what covers it is unmounted first, then the mount itself; or mnt:5 ends (lxkns why mnt:5)",
                }),
            ),
        ] {
            assert_eq!(serde_json::to_value(ReleaseStep::from(step)).unwrap(), expected);
        }
    }
}
