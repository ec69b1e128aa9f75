//! Why a PID namespace does not end: in words and as JSON.

use lxkns_model::{Ending, NamespaceId, Pid, Snapshot, TaskState, Waiting};
use serde::Serialize;

use crate::lacks::{Lacks, with_lack};
use crate::names::{self, Detail, lossy};
use crate::whose::WhoseForm;

/// A process that keeps a PID namespace from ending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "EndingProcess"))]
#[serde(rename_all = "kebab-case")]
pub struct ProcessForm {
    /// Its PID.
    pub pid: u32,
    /// The task of it that has not ended; its PID where all have.
    pub tid: u32,
    /// Its command line or name.
    pub command: String,
    /// The run state of the task, as `ps` has it: `Z`, `D`, `S`, ...
    pub state: String,
    /// Its parent; `null` where that is not visible.
    pub parent: Option<u32>,
    /// Who traces it; `null` where no process does.
    pub tracer: Option<u32>,
    /// Whether it was killed; `null` where not known.
    pub killed: Option<bool>,
    /// The function of the kernel in which it sleeps; `null` where not readable, or it does not.
    pub wchan: Option<String>,
    /// The functions of the kernel in which it is, the innermost first; `null` where not readable.
    pub stack: Option<Vec<String>>,
    /// The FUSE connections that it can be waiting for.
    pub fuse_connections: Vec<u32>,
    /// What is the matter with it, in words.
    pub because: String,
    /// What must happen, in words; `null` where nothing is known that would help.
    pub until: Option<String>,
    /// A command that does it; `null` where none is known.
    pub command_to_run: Option<String>,
    /// What it belongs to.
    #[serde(flatten)]
    pub whose: WhoseForm,
}

/// Why a PID namespace does not end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema), schemars(rename = "Ending"))]
#[serde(rename_all = "kebab-case")]
pub struct EndingForm {
    /// Its first process.
    pub init: ProcessForm,
    /// The processes that this waits for.
    pub waits_for: Vec<ProcessForm>,
    /// How many more there are, which were not looked at.
    pub more: usize,
}

/// What is the matter with a process, and what helps.
struct Matter {
    because: String,
    release: Option<String>,
    command: Option<String>,
}

/// Why one PID namespace does not end.
#[derive(Clone, Copy, Debug)]
pub struct Explained<'a> {
    snapshot: &'a Snapshot,
    ending: &'a Ending,
}

impl<'a> Explained<'a> {
    /// Of a PID namespace; `None` where nothing says that it is about to end.
    pub fn of(snapshot: &'a Snapshot, id: NamespaceId) -> Option<Self> {
        Some(Self { snapshot, ending: snapshot.annotations.endings.get(&id)? })
    }

    /// Whether something must happen before it ends: it does not end by itself.
    pub fn is_stuck(&self) -> bool {
        let all = std::iter::once(&self.ending.init).chain(&self.ending.others);
        all.into_iter().any(|waiting| self.matter(waiting).release.is_some())
    }

    /// It in sentences, each with what must happen: a line and what releases it.
    pub fn lines(&self) -> Vec<(String, Option<String>)> {
        let lacks = Lacks::of(self.snapshot);
        let Ending { init, others, more, .. } = self.ending;
        let line = |start: &str, who: &str, waiting: &Waiting| {
            let matter = self.matter(waiting);
            let by = waiting.tracer.or(waiting.parent.filter(|_| waiting.state.is_dead()));
            let lack = by.and_then(|pid| lacks.ending(pid));
            let name = names::process(self.snapshot, waiting.pid, Detail::Full);
            let command = matter.command.map(|command| format!(": `{command}`")).unwrap_or_default();
            let release = matter.release.map(|release| with_lack(release + &command, lack.as_deref()));
            (format!("{start} {name}{who} {}", matter.because), release)
        };
        let mut lines = vec![line("does not end: its init, process", ",", init)];
        lines.extend(others.iter().map(|other| line("waits for process", ", which", other)));
        if *more > 0 {
            lines.push((format!("waits for {more} more processes, which were not read"), None));
        }
        lines
    }

    fn is_inside(&self, pid: Pid) -> bool {
        pid == self.ending.init.pid || self.ending.others.iter().any(|other| other.pid == pid)
    }

    fn matter(&self, waiting: &Waiting) -> Matter {
        let name = |pid: Pid| format!("process {}", names::process(self.snapshot, pid, Detail::Brief));
        let matter = |because: String, release: Option<String>| Matter { because, release, command: None };
        let (pid, tracer) = (waiting.pid, waiting.tracer);
        let task = match waiting.tid.0 == pid.0 {
            true => String::new(),
            false => format!(" (task {})", waiting.tid),
        };
        if waiting.state.is_dead() {
            return match (tracer, waiting.parent) {
                (Some(tracer), _) => matter(
                    format!("is a zombie that its tracer, {}, does not wait for", name(tracer)),
                    Some(format!("process {tracer} waits for it, or exits")),
                ),
                (None, Some(parent)) if self.is_inside(parent) && parent != pid => {
                    matter(format!("is a zombie; {} is to wait for it", name(parent)), None)
                }
                (None, Some(parent)) => matter(
                    format!("is a zombie, and its parent, {}, does not wait for it", name(parent)),
                    Some(format!("process {parent} waits for it, or exits")),
                ),
                (None, None) => matter(
                    "is a zombie, and its parent, which is not visible from here, does not wait for it".to_owned(),
                    Some("its parent waits for it, or exits".to_owned()),
                ),
            };
        }
        // Its init waits in the kernel; what for is told of the others.
        if pid == self.ending.init.pid && !self.ending.others.is_empty() {
            return matter(format!("has ended and waits for the others in it{}", self.place(waiting)), None);
        }
        let is_stopped = matches!(waiting.state, TaskState(b't' | b'T'));
        if let Some(tracer) = tracer.filter(|_| is_stopped) {
            return matter(
                format!("is stopped by its tracer, {}{task}", name(tracer)),
                Some(format!("process {tracer} resumes it, detaches or exits")),
            );
        }
        let place = self.place(waiting);
        if waiting.state == TaskState(b'D') {
            let (because, command) = match &waiting.fuse[..] {
                _ if !waiting.waits_for_fuse() => (String::new(), None),
                [one] => (
                    ", for the server of a FUSE file system".to_owned(),
                    Some(format!("echo 1 >/sys/fs/fuse/connections/{one}/abort")),
                ),
                many => {
                    let many: Vec<_> = many.iter().map(ToString::to_string).collect();
                    let of = format!(", for the server of a FUSE file system (connection {})", many.join(" or "));
                    (of, None)
                }
            };
            let release = match waiting.waits_for_fuse() {
                true => "the server answers or ends, or its connection is aborted (below a mounted fusectl)",
                false => "the kernel event that it waits for happens",
            };
            return Matter {
                because: format!("is in uninterruptible sleep{task}{place}{because}"),
                release: Some(release.to_owned()),
                command,
            };
        }
        match waiting.killed {
            Some(true) => matter(format!("was killed and is about to end{task}{place}"), None),
            Some(false) => matter(format!("was not killed yet{task}{place}"), None),
            None => matter(format!("exists{task}; whether it was killed is not readable"), None),
        }
    }

    /// Where in the kernel it is.
    fn place(&self, waiting: &Waiting) -> String {
        // The innermost ones are those of the scheduler.
        let stack = waiting.stack.as_ref().and_then(|stack| stack.first());
        match (&waiting.wchan, stack) {
            (Some(function), _) | (None, Some(function)) => format!(", in {}", names::text(function)),
            (None, None) => ", where in the kernel is not readable".to_owned(),
        }
    }

    /// It as JSON.
    pub fn form(&self) -> EndingForm {
        let form = |waiting: &Waiting| {
            let matter = self.matter(waiting);
            let process = self.snapshot.processes.get(&waiting.pid);
            ProcessForm {
                pid: waiting.pid.0,
                tid: waiting.tid.0,
                command: process.map(|process| lossy(&names::command(process))).unwrap_or_default(),
                state: char::from(waiting.state.0).to_string(),
                parent: waiting.parent.map(|pid| pid.0),
                tracer: waiting.tracer.map(|pid| pid.0),
                killed: waiting.killed,
                wchan: waiting.wchan.as_ref().map(|name| lossy(name)),
                stack: waiting.stack.as_ref().map(|stack| stack.iter().map(|name| lossy(name)).collect()),
                fuse_connections: waiting.fuse.clone(),
                because: matter.because,
                until: matter.release,
                command_to_run: matter.command,
                whose: WhoseForm::process(self.snapshot, waiting.pid),
            }
        };
        let Ending { init, others, more, .. } = self.ending;
        EndingForm { init: form(init), waits_for: others.iter().map(form).collect(), more: *more }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ODD, snapshot};

    fn waiting(pid: u32, state: u8) -> Waiting {
        let mut waiting = Waiting::new(Pid(pid), TaskState(state));
        waiting.parent = Some(Pid(1));
        waiting.killed = Some(true);
        waiting
    }

    fn lines(ending: Ending) -> (Vec<String>, bool) {
        let mut snapshot = snapshot();
        snapshot.annotations.endings.insert(ODD, ending);
        let explained = Explained::of(&snapshot, ODD).unwrap();
        let join = |(line, release): (String, Option<String>)| match release {
            Some(release) => format!("{line} | {release}"),
            None => line,
        };
        (explained.lines().into_iter().map(join).collect(), explained.is_stuck())
    }

    #[test]
    fn each_kind_has_its_way_out() {
        let dead = lines(Ending::new(waiting(200, b'Z')));
        let expected = "does not end: its init, process 200 (sleep 1000), is a zombie, and its parent, process 1 (init), \
                        does not wait for it | process 1 waits for it, or exits";
        assert_eq!(dead, (vec![expected.to_owned()], true));
        let mut ending = Ending::new(waiting(200, b'S'));
        ending.init.wchan = Some("zap_pid_ns_processes".into());
        let mut stuck = waiting(300, b'D');
        stuck.stack = Some(vec!["request_wait_answer".into()]);
        stuck.fuse = vec![52];
        let mut traced = waiting(301, b'Z');
        traced.tracer = Some(Pid(1));
        let mut reaped = waiting(302, b'Z');
        reaped.parent = Some(Pid(200));
        ending.others = vec![stuck.clone(), traced, waiting(303, b'Z'), reaped.clone()];
        ending.more = 2;
        let all = lines(ending.clone()).0;
        assert_eq!(
            all,
            [
                "does not end: its init, process 200 (sleep 1000), has ended and waits for the others in it, in zap_pid_ns_processes",
                "waits for process 300, which is in uninterruptible sleep, in request_wait_answer, for the server of a FUSE file \
                 system | the server answers or ends, or its connection is aborted (below a mounted fusectl): `echo 1 >/sys/fs/fuse/connections/52/abort`",
                "waits for process 301, which is a zombie that its tracer, process 1 (init), does not wait for | process 1 waits for \
                 it, or exits",
                "waits for process 303, which is a zombie, and its parent, process 1 (init), does not wait for it | process 1 waits \
                 for it, or exits",
                "waits for process 302, which is a zombie; process 200 (sleep) is to wait for it",
                "waits for 2 more processes, which were not read",
            ]
        );
        ending.others = vec![reaped];
        assert!(!lines(ending.clone()).1, "it ends by itself");
        stuck.fuse = vec![52, 53];
        ending.others = vec![stuck];
        assert!(lines(ending).0[1].contains("connection 52 or 53"));
    }

    #[test]
    fn what_is_not_readable_is_said() {
        let mut ending = Ending::new(waiting(200, b'D'));
        let (all, is_stuck) = lines(ending.clone());
        assert!(is_stuck && all[0].contains("where in the kernel is not readable"), "{all:?}");
        let mut odd = waiting(300, b'S');
        odd.killed = None;
        ending.others = vec![odd];
        assert!(lines(ending).0[1].contains("whether it was killed is not readable"));
    }
}
