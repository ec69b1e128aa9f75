//! ID maps of user namespaces and offsets of time namespaces: what only a process in them, or whose children will be in
//! them, can be asked.

use std::collections::HashMap;

use super::search::Search;
use crate::failure::{self, Failure};
use crate::model::{Namespace, NamespaceId, NamespaceType, Object, Operation, Pid, Place, Snapshot, Tid};
use crate::procfs::parse::{self, ParseError};
use crate::procfs::{ProcDir, ProcRoot};

pub(super) fn all(search: &Search<'_>, snapshot: &mut Snapshot) {
    if !search.options.namespace_details {
        return;
    }
    let mut sources: HashMap<NamespaceId, Vec<Source>> = HashMap::new();
    for process in snapshot.processes.values() {
        for task in process.tasks.iter().filter(|task| !task.state.is_dead()) {
            let source = || Source { pid: process.pid, tid: task.tid, start_time_ticks: task.start_time_ticks };
            let user = task.namespaces.get(NamespaceType::User);
            // The offsets that a task shows are those of the time namespace of its children.
            let time = task.namespaces.for_children(NamespaceType::Time);
            for id in [user, time].into_iter().flatten() {
                let sources = sources.entry(id).or_default();
                if sources.len() < Source::ENOUGH {
                    sources.push(source());
                }
            }
        }
    }
    for (id, sources) in sources {
        let Some(namespace) = snapshot.namespaces.get_mut(&id) else { continue };
        let mut result = Ok(());
        for source in sources {
            result = source.ask(search.proc, namespace);
            if result.is_ok() {
                break;
            }
        }
        if let Err(unread) = result {
            let (place, object) = (Place::NamespaceFacts, Object::Namespace(id));
            snapshot.gaps.extend(match unread {
                Unread::Because(operation, failure) => failure.gap(place, object, operation),
                Unread::Malformed(error) => Some(failure::malformed(place, object, error)),
            });
        }
    }
}

/// A task that can be asked.
struct Source {
    pid: Pid,
    tid: Tid,
    start_time_ticks: u64,
}

enum Unread {
    Because(Operation, Failure),
    Malformed(ParseError),
}

impl From<ParseError> for Unread {
    fn from(error: ParseError) -> Self {
        Self::Malformed(error)
    }
}

impl Source {
    /// The first that still is there will do.
    const ENOUGH: usize = 4;

    fn ask(&self, proc: &ProcRoot, namespace: &mut Namespace) -> Result<(), Unread> {
        let dir = self.open(proc).map_err(|failure| Unread::Because(Operation::OPEN, failure))?;
        let mut buffer = Vec::new();
        let mut read = |name: &'static str| match dir.read(name, &mut buffer) {
            Ok(text) => Ok(text.to_vec()),
            Err(errno) => Err(Unread::Because(Operation::read(name), errno.into())),
        };
        if namespace.ns_type == NamespaceType::User {
            let (uid_map, gid_map) = (read("uid_map")?, read("gid_map")?);
            self.still_there(&dir, c"ns/user", namespace.id)?;
            namespace.uid_map = Some(parse::id_map::parse(&uid_map)?);
            namespace.gid_map = Some(parse::id_map::parse(&gid_map)?);
        } else {
            let offsets = read("timens_offsets")?;
            if offsets.is_empty() {
                // It is on its way out.
                return Err(Unread::Because(Operation::read("timens_offsets"), Failure::VANISHED));
            }
            self.still_there(&dir, c"ns/time_for_children", namespace.id)?;
            namespace.time_offsets = Some(parse::timens::parse(&offsets)?);
        }
        Ok(())
    }

    fn open(&self, proc: &ProcRoot) -> Result<ProcDir, Failure> {
        let dir = proc.process(self.pid)?;
        let dir =
            if self.tid == Tid::from(self.pid) { dir } else { ProcDir::open(&dir, format!("task/{}", self.tid))? };
        let mut buffer = Vec::new();
        let stat = parse::stat::parse(dir.read("stat", &mut buffer)?)?;
        if stat.start_time_ticks == self.start_time_ticks { Ok(dir) } else { Err(Failure::VANISHED) }
    }

    /// What was read is about this namespace only if the task is still in it.
    fn still_there(&self, dir: &ProcDir, link: &std::ffi::CStr, id: NamespaceId) -> Result<(), Unread> {
        let mut text = [0; 64];
        let text = dir.link(link, &mut text).map_err(|failure| Unread::Because(Operation::read_link("ns"), failure))?;
        match parse::links::parse(text) {
            Some((_, ino)) if ino == id.ino => Ok(()),
            _ => Err(Unread::Because(Operation::read_link("ns"), Failure::VANISHED)),
        }
    }
}
