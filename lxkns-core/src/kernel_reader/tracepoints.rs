//! Programs at the kernel's tracepoints of tasks, and the ring that they write to.

use std::ffi::CStr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxkns_sys::{BpfCounter, BpfInstruction, BpfRing};
use rustix::io::Errno;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::btf::Btf;
use super::events::{self, EventRecord, Tracepoint};
use super::programs::{Missing, STRUCTS, TASK_ITERATOR};
use super::{Iterator, LICENSE, Refusal};
use crate::model::Call;

/// The sizes of the ring that are tried: with some 170 bytes for each event, room for six thousand, or for two hundred where
/// the kernel counts it as locked memory.
const SIZES: [u32; 2] = [1 << 20, 1 << 15];

const NAMES: [&str; 5] = [
    events::OF_TASKS[0].name,
    events::OF_TASKS[1].name,
    events::OF_TASKS[2].name,
    events::OF_SYSTEM_CALLS.name,
    TASK_ITERATOR,
];

/// The programs, attached. They are gone with this value.
#[derive(Debug)]
pub(crate) struct Tracepoints {
    ring: BpfRing,
    lost: BpfCounter,
    /// How many of the lost ones were told.
    told: u64,
    reader: events::Reader,
    programs: Vec<Program>,
}

impl Tracepoints {
    /// Attaches the programs for the begin, the end and the programs of tasks, of all that have a number in the caller's PID
    /// namespace, which has this inode number. `system_calls`: those for `unshare(2)` and `setns(2)` too, with which the
    /// kernel does more for each system call of the host; the second value is why these are missing.
    pub(crate) fn attach(btf: &[u8], pid_ns: u32, system_calls: bool) -> Result<(Self, Option<Refusal>), Refusal> {
        if size_of::<usize>() != 8 {
            return Err(Refusal { operation: Call::Bpf.into(), failure: crate::model::Cause::Unsupported.into() });
        }
        let btf = parse(btf)?;
        let reader = events::Reader { level: level(&btf)?, inode: pid_ns };
        let attach = |size| Self::with_ring(size, &btf, reader, system_calls);
        let first = attach(SIZES[0]);
        if !first.as_ref().is_err_and(|why| why.failure.is_denied()) {
            return first;
        }
        // Before Linux 5.11, rings and programs count as locked memory, of which a process may have little. What is there
        // is counted no more.
        let limit = getrlimit(Resource::Memlock);
        if setrlimit(Resource::Memlock, Rlimit { current: None, maximum: None }).is_err() {
            return attach(SIZES[1]);
        }
        let second = attach(SIZES[0]);
        let _ = setrlimit(Resource::Memlock, limit);
        second
    }

    fn with_ring(
        size: u32,
        btf: &Btf<'_>,
        reader: events::Reader,
        system_calls: bool,
    ) -> Result<(Self, Option<Refusal>), Refusal> {
        let ring = BpfRing::new(size).map_err(Refusal::of(Call::Bpf))?;
        let lost = BpfCounter::new().map_err(Refusal::of(Call::Bpf))?;
        let mut all = Self { ring, lost, told: 0, reader, programs: Vec::new() };
        for tracepoint in &events::OF_TASKS {
            all.add(btf, tracepoint)?;
        }
        let refused = if system_calls { all.add(btf, &events::OF_SYSTEM_CALLS).err() } else { None };
        Ok((all, refused))
    }

    fn add(&mut self, btf: &Btf<'_>, tracepoint: &Tracepoint) -> Result<(), Refusal> {
        let id = btf.function(tracepoint.name).ok_or(Missing(tracepoint.name))?;
        let program = events::of_tracepoint(btf, tracepoint, self.reader, &self.ring, &self.lost)?;
        self.programs.push(Program::attach(&program, id).map_err(Refusal::of(Call::Bpf))?);
        Ok(())
    }

    /// Takes events, `most` at most; returns how many.
    pub(crate) fn take(&mut self, most: usize, mut each: impl FnMut(EventRecord)) -> usize {
        self.ring.take(most, |bytes| {
            if let Some(record) = EventRecord::read(bytes) {
                each(record);
            }
        })
    }

    /// How many events were lost since this was asked last: had no room, or came while another one was being written.
    pub(crate) fn lost(&mut self) -> Result<u64, Errno> {
        let mut all = self.lost.get()?;
        for Program { fd, .. } in &self.programs {
            all += lxkns_sys::bpf_missed_runs(fd)?;
        }
        Ok(all.saturating_sub(std::mem::replace(&mut self.told, all)))
    }
}

impl AsFd for Tracepoints {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.ring.as_fd()
    }
}

fn parse(btf: &[u8]) -> Result<Btf<'_>, Refusal> {
    Btf::parse(btf, &STRUCTS, &NAMES).map_err(Refusal::of_btf)
}

/// A program at its tracepoint.
#[derive(Debug)]
struct Program {
    fd: OwnedFd,
    /// Keeps it attached.
    _link: OwnedFd,
}

impl Program {
    fn attach(program: &[BpfInstruction], attach_btf_id: u32) -> Result<Self, Errno> {
        const NAME: &CStr = c"lxkns_events";
        let fd = lxkns_sys::bpf_load_tracepoint(NAME, program, LICENSE, attach_btf_id, &mut [])?;
        Ok(Self { _link: lxkns_sys::bpf_attach_tracepoint(&fd)?, fd })
    }
}

/// How deep the caller's PID namespace is.
fn level(btf: &Btf<'_>) -> Result<u32, Refusal> {
    let iterator = btf.function(TASK_ITERATOR).ok_or(Missing(TASK_ITERATOR))?;
    let mut level = 0;
    Iterator::new(c"lxkns_level", iterator, events::of_level(btf)?).run_until(8, 64, |bytes| {
        level = super::records::u32_of(bytes, 0);
        ControlFlow::Break(())
    })?;
    Ok(level)
}

/// Checks the programs against any BTF: they are refused, or such as a kernel accepts in size.
#[cfg(any(test, feature = "_fuzz"))]
pub(super) fn check(btf: &[u8]) {
    let null = std::fs::File::open("/dev/null").expect("there is such a device");
    let Ok(btf) = parse(btf) else { return };
    for tracepoint in events::OF_TASKS.iter().chain([&events::OF_SYSTEM_CALLS]) {
        for level in [0, 3] {
            let reader = events::Reader { level, inode: 7 };
            if let Ok(program) = events::of_tracepoint(&btf, tracepoint, reader, &null, &null) {
                assert!((1..4096).contains(&program.len()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::small_btf::small_btf;
    use super::*;

    #[test]
    fn each_field_of_a_task_is_needed_and_ids_are_not() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let put_together = |without: &str, level| {
            let btf = small_btf(without);
            let btf = parse(&btf).unwrap();
            let reader = events::Reader { level, inode: 7 };
            let of = |tracepoint| events::of_tracepoint(&btf, tracepoint, reader, &null, &null).map(|all| all.len());
            [of(&events::OF_TASKS[0]), of(&events::OF_SYSTEM_CALLS)]
        };
        let [of_tasks, of_calls] = put_together("", 0).map(Result::unwrap);
        assert!(of_tasks < of_calls);
        assert!(put_together("", 2)[0].unwrap() > of_tasks, "it checks whose numbers these are");
        assert!(put_together("ns_common.ns_id", 0)[0].unwrap() < of_tasks);
        for needed in ["task_struct.group_leader", "task_struct.comm", "upid.nr", "nsproxy.net_ns", "cred.user_ns"] {
            let refused = put_together(needed, 0)[0];
            assert!(refused.is_err_and(|Missing(path)| path.ends_with(needed)), "{needed}: {refused:?}");
        }
        if cfg!(target_arch = "x86_64") {
            assert_eq!(put_together("pt_regs.orig_ax", 0), [Ok(of_tasks), Err(Missing("pt_regs.orig_ax"))]);
        }
    }

    #[test]
    fn a_record_is_read_as_it_is_written() {
        let mut bytes = [0; events::SIZE];
        assert_eq!(EventRecord::read(&bytes), None);
        bytes[0] = crate::model::TaskEventKind::Exit as u8;
        bytes[4] = 5;
        bytes[159] = 1;
        let record = EventRecord::read(&bytes).unwrap();
        assert_eq!((record.kind, record.pid, record.tid), (crate::model::TaskEventKind::Exit, 5, 0));
        assert_ne!(record.unique_ids[9], 0);
    }
}
