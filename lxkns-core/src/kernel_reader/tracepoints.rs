//! Programs at the kernel's tracepoints of tasks, and the ring that they write to.

use std::ffi::CStr;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use lxkns_sys::{BpfCounter, BpfInstruction, BpfRing};
use rustix::io::Errno;

use super::btf::Btf;
use super::events::{self, EventRecord, Tracepoint};
use super::programs::{Missing, TASK_ITERATOR};
use super::{Iterator, LICENSE, Refusal};
use crate::model::Call;

/// The sizes of the ring that are tried: with some 170 bytes for each event, room for six thousand, or for two hundred where
/// the kernel counts it as locked memory.
const SIZES: [u32; 2] = [1 << 20, 1 << 15];

const STRUCTS: [&str; events::STRUCTS.len() + 2] = {
    let mut all = ["bpf_iter__task"; events::STRUCTS.len() + 2];
    all[1] = "bpf_iter_meta";
    let mut index = 0;
    while index < events::STRUCTS.len() {
        all[index + 2] = events::STRUCTS[index];
        index += 1;
    }
    all
};

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
    /// Each keeps its program attached.
    links: Vec<OwnedFd>,
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
        let mut ring = BpfRing::new(SIZES[0]);
        if matches!(ring, Err(Errno::PERM | Errno::NOMEM)) {
            ring = BpfRing::new(SIZES[1]);
        }
        let ring = ring.map_err(Refusal::of(Call::Bpf))?;
        let lost = BpfCounter::new().map_err(Refusal::of(Call::Bpf))?;
        let mut all = Self { ring, lost, told: 0, reader, links: Vec::new() };
        for tracepoint in &events::OF_TASKS {
            all.add(&btf, tracepoint)?;
        }
        let refused = if system_calls { all.add(&btf, &events::OF_SYSTEM_CALLS).err() } else { None };
        Ok((all, refused))
    }

    fn add(&mut self, btf: &Btf<'_>, tracepoint: &Tracepoint) -> Result<(), Refusal> {
        let id = btf.function(tracepoint.name).ok_or(Missing(tracepoint.name))?;
        let program = events::of_tracepoint(btf, tracepoint, self.reader, &self.ring, &self.lost)?;
        self.links.push(attach(&program, id).map_err(Refusal::of(Call::Bpf))?);
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

    /// How many events were lost since this was asked last.
    pub(crate) fn lost(&mut self) -> Result<u64, Errno> {
        let all = self.lost.get()?;
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

fn attach(program: &[BpfInstruction], attach_btf_id: u32) -> Result<OwnedFd, Errno> {
    const NAME: &CStr = c"lxkns_events";
    lxkns_sys::bpf_attach_tracepoint(lxkns_sys::bpf_load_tracepoint(NAME, program, LICENSE, attach_btf_id, &mut [])?)
}

/// How deep the caller's PID namespace is.
fn level(btf: &Btf<'_>) -> Result<u32, Refusal> {
    let iterator = btf.function(TASK_ITERATOR).ok_or(Missing(TASK_ITERATOR))?;
    let mut level = 0;
    Iterator::new(c"lxkns_level", iterator, events::of_level(btf)?).run_until(8, |bytes| {
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
