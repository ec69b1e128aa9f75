//! The kernel reader: every task with its namespaces, and every open file that holds one, in one go, from the kernel's own
//! iterators (`bpf(2)`) and not from procfs.
//!
//! | file | has |
//! |---|---|
//! | `btf.rs` | where the fields of the running kernel's structures are |
//! | `assembler.rs` | how programs are put together |
//! | `programs.rs` | the programs for tasks and files |
//! | `namespaces.rs` | two more, for what namespaces say of themselves |
//! | `lists.rs` | one more, for the kernel's own lists of namespaces |
//! | `memory.rs` | two more, for what no iterator goes through |
//! | `in_flight.rs` | what waits in UNIX sockets, read with these |
//! | `held_files.rs` | what other open files and System V segments hold, read with these |
//! | `super_blocks.rs` | which user namespaces file systems belong to, read with these |
//! | `records.rs` | what programs write |
//! | `events.rs` | programs for what tasks do, as it happens, and what they write |
//! | `tracepoints.rs` | where these run |
//!
//! Nothing stays in the kernel: programs and iterators end with their descriptors.

mod assembler;
pub(crate) mod btf;
mod events;
mod held_files;
mod in_flight;
mod lists;
mod memory;
mod namespaces;
mod programs;
mod records;
#[cfg(test)]
mod small_btf;
mod super_blocks;
mod tracepoints;

use std::ffi::CStr;
use std::ops::ControlFlow;
use std::os::fd::OwnedFd;
use std::sync::OnceLock;
use std::time::Duration;

use lxkns_sys::{BpfArray, BpfInstruction};
use rustc_hash::FxHashSet;
use rustix::io::Errno;
use rustix::time::{ClockId, clock_gettime};

use crate::discovery::host;
use crate::failure::Failure;
use crate::model::{Call, Cause, DeviceNumber, NamespaceType, Operation};
use crate::procfs::ProcRoot;
use btf::Btf;
pub(crate) use events::EventRecord;
pub(crate) use in_flight::{Receiver, Unsure, Waiting, WaitingKind};
use memory::MemoryReader;
use programs::Missing;
pub(crate) use records::{FileKind, FileRecord, NamespaceRecord, TaskRecord};
pub(crate) use tracepoints::Tracepoints;

/// Where the kernel describes its structures.
pub(crate) const BTF: &str = "/sys/kernel/btf/vmlinux";
/// Where it describes those of the driver of TUN/TAP files, if that is a module.
pub(crate) const TUN_BTF: &str = "/sys/kernel/btf/tun";

/// The helpers that the programs call are for programs under the GPL. These programs are offered under it too.
const LICENSE: &CStr = c"GPL";

/// How much time of a processor an iterator may take. Ten thousand processes take a tenth of a second; but where a thread group leader has
/// exited, the kernel goes through a table once for each thread that shares it.
const PATIENCE: Duration = Duration::from_secs(3);

/// Why the kernel reader cannot be used: what failed, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) operation: Operation,
    pub(crate) failure: Failure,
}

impl Refusal {
    fn of(call: Call) -> impl FnOnce(Errno) -> Self {
        move |errno| Self { operation: call.into(), failure: errno.into() }
    }

    /// The kernel does not describe itself, or another file system hides that.
    pub(crate) fn without_btf() -> Self {
        Self { operation: Operation::read(BTF), failure: Cause::Unsupported.into() }
    }

    /// That it is denied, if it was said of a program that it is not valid because the kernel is in lockdown: what reads memory
    /// is not there then.
    pub(crate) fn or_lockdown(mut self, proc: &ProcRoot) -> Self {
        if self.operation == Call::Bpf.into() && self.failure.is_any(&[Errno::INVAL]) && host::is_locked_down(proc) {
            self.failure = Failure::with(Cause::Denied, Errno::INVAL);
        }
        self
    }

    /// The kernel keeps the numbers of references elsewhere.
    pub(crate) fn without_counts() -> Self {
        Missing("ns_common.__ns_ref").into()
    }

    /// The kernel's description of itself is not what the programs need.
    fn of_btf(problem: impl std::fmt::Display) -> Self {
        let operation = Operation::Parse(format!("{BTF}: {problem}").into());
        Self { operation, failure: Cause::Unsupported.into() }
    }
}

impl From<Missing> for Refusal {
    fn from(Missing(path): Missing) -> Self {
        Self::of_btf(format_args!("no {path} as expected"))
    }
}

/// Whether the caller may load programs at all: the kernel says that first, before it looks at what a program belongs to.
///
/// # Errors
///
/// That it may not, or that there is no such call.
pub(crate) fn permission() -> Result<(), Refusal> {
    /// A type of the kernel's, which is no function: no program belongs to it.
    const NO_FUNCTION: u32 = 1;
    let mut program = assembler::Assembler::default();
    program.finish();
    let loaded = lxkns_sys::bpf_load_iterator(
        c"lxkns_none",
        &program.instructions().unwrap_or_default(),
        LICENSE,
        NO_FUNCTION,
        &mut [],
    );
    match loaded {
        Err(errno @ (Errno::PERM | Errno::ACCESS | Errno::NOSYS)) => Err(Refusal::of(Call::Bpf)(errno)),
        _ => Ok(()),
    }
}

/// How much time of a processor the calling thread has taken. On a loaded host, or while the process is stopped, much more
/// passes, and iterators wait for nothing else.
fn worked() -> Duration {
    Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default()
}

/// A program, and the link to its iterator once it was needed. A program that is refused is not loaded again.
#[derive(Debug)]
struct Iterator {
    name: &'static CStr,
    attach_btf_id: u32,
    instructions: Vec<BpfInstruction>,
    link: OnceLock<Result<OwnedFd, Refusal>>,
}

impl Iterator {
    fn new(name: &'static CStr, attach_btf_id: u32, instructions: Vec<BpfInstruction>) -> Self {
        Self { name, attach_btf_id, instructions, link: OnceLock::new() }
    }

    fn load(&self, array: Option<&BpfArray>) -> Result<OwnedFd, Refusal> {
        let program = lxkns_sys::bpf_load_iterator(self.name, &self.instructions, LICENSE, self.attach_btf_id, &mut [])
            .map_err(Refusal::of(Call::Bpf))?;
        let link = match array {
            Some(array) => array.link_iterator(program),
            None => lxkns_sys::bpf_link_iterator(program),
        };
        link.map_err(Refusal::of(Call::Bpf))
    }

    /// Loads it for the elements of an array, if it is not yet.
    fn load_for(&self, array: &BpfArray) -> Result<(), Refusal> {
        self.link.get_or_init(|| self.load(Some(array))).as_ref().map(drop).map_err(Clone::clone)
    }

    /// Runs it for all objects; calls this for each record of `size` bytes.
    fn run(&self, size: usize, mut each: impl FnMut(&[u8])) -> Result<(), Refusal> {
        self.run_until(size, 64 << 10, |record| {
            each(record);
            ControlFlow::Continue(())
        })
    }

    /// As [`run`](Self::run), until this has seen enough; the kernel runs it until it has written so many bytes.
    fn run_until(
        &self,
        size: usize,
        step: usize,
        mut each: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<(), Refusal> {
        let link = self.link.get_or_init(|| self.load(None)).as_ref().map_err(Clone::clone)?;
        let iterator = lxkns_sys::bpf_create_iterator(link).map_err(Refusal::of(Call::Bpf))?;
        let began = worked();
        let mut buffer = vec![0; step];
        let mut kept = 0;
        loop {
            if worked().saturating_sub(began) > PATIENCE {
                return Err(Refusal { operation: Call::Bpf.into(), failure: Cause::TimedOut.into() });
            }
            let filled = match rustix::io::read(&iterator, &mut buffer[kept..]) {
                Ok(0) => return Ok(()),
                Ok(read) => kept + read,
                // Of very many objects, none had a record; or a signal came.
                Err(Errno::AGAIN | Errno::INTR) => continue,
                Err(errno) => return Err(Refusal::of(Call::Bpf)(errno)),
            };
            let (records, rest) = buffer[..filled].split_at(filled / size * size);
            if records.chunks_exact(size).try_for_each(&mut each).is_break() {
                return Ok(());
            }
            kept = rest.len();
            buffer.copy_within(filled - kept..filled, 0);
        }
    }
}

/// The programs, put together for the running kernel.
#[derive(Debug)]
pub(crate) struct KernelReader {
    tasks: Iterator,
    /// With the powers and numbers of each. A kernel where it cannot be put together has the other.
    tasks_and_status: Result<Iterator, Refusal>,
    files: Iterator,
    files_and_suspects: Iterator,
    /// For the namespaces of tasks and those of files. A kernel where they cannot be put together has the others.
    namespaces: Result<[Iterator; 2], Refusal>,
    /// For the kernel's lists of namespaces.
    lists: Result<Iterator, Refusal>,
    /// For what no iterator goes through.
    memory: Result<MemoryReader, Refusal>,
    in_flight: Result<in_flight::Layout, Refusal>,
    held_files: Result<held_files::Layout, Refusal>,
    segments: Result<held_files::SegmentLayout, Refusal>,
    super_blocks: Result<super_blocks::Layout, Refusal>,
    tuns: Result<held_files::TunLayout, Refusal>,
    /// The same, where the driver is a module; known once it was needed.
    tuns_of_module: OnceLock<Result<held_files::TunLayout, Refusal>>,
}

impl KernelReader {
    /// Puts the programs together for the kernel that this BTF describes. None is loaded before it is used.
    pub(crate) fn new(btf: &[u8]) -> Result<Self, Refusal> {
        // The programs follow pointers of 8 bytes.
        if size_of::<usize>() != 8 {
            return Err(Refusal { operation: Call::Bpf.into(), failure: Cause::Unsupported.into() });
        }
        let functions = [programs::TASK_ITERATOR, programs::FILE_ITERATOR, memory::ELEMENT_ITERATOR];
        let btf = Btf::parse(btf, &programs::STRUCTS, &functions).map_err(Refusal::of_btf)?;
        let fields = programs::Fields(&btf);
        let function = |name: &'static str| btf.function(name).ok_or(Missing(name));
        let (of_tasks, of_files) = (function(functions[0])?, function(functions[1])?);
        let namespaces = || -> Result<_, Missing> {
            Ok([
                Iterator::new(c"lxkns_task_ns", of_tasks, namespaces::of_tasks(&btf)?),
                Iterator::new(c"lxkns_file_ns", of_files, namespaces::of_files(&btf)?),
            ])
        };
        let lists = || -> Result<_, Missing> {
            let of_elements = function(memory::ELEMENT_ITERATOR)?;
            Ok(Iterator::new(c"lxkns_ns_lists", of_elements, lists::of_namespaces(&btf)?))
        };
        Ok(Self {
            lists: lists().map_err(Refusal::from),
            memory: MemoryReader::new(&btf).map_err(Refusal::from),
            in_flight: in_flight::Layout::of(&fields).map_err(Refusal::from),
            held_files: held_files::Layout::of(&fields).map_err(Refusal::from),
            super_blocks: super_blocks::Layout::of(&fields).map_err(Refusal::from),
            tuns: held_files::TunLayout::of(&fields).map_err(Refusal::from),
            tuns_of_module: OnceLock::new(),
            segments: held_files::SegmentLayout::of(&fields, &btf).map_err(Refusal::from),
            namespaces: namespaces().map_err(Refusal::from),
            tasks: Iterator::new(c"lxkns_tasks", of_tasks, programs::for_tasks(&btf, false)?),
            tasks_and_status: programs::for_tasks(&btf, true)
                .map(|program| Iterator::new(c"lxkns_tasks", of_tasks, program))
                .map_err(Refusal::from),
            files: Iterator::new(c"lxkns_files", of_files, programs::for_files(&btf, false)?),
            files_and_suspects: Iterator::new(c"lxkns_files", of_files, programs::for_files(&btf, true)?),
        })
    }

    /// All tasks of the caller's PID namespace and those below it, in the order of their TIDs there; `with_status` with their
    /// powers and numbers, as far as the kernel tells them.
    pub(crate) fn tasks(&self, with_status: bool) -> Result<Vec<TaskRecord>, Refusal> {
        let mut tasks = Vec::new();
        if let Some(iterator) = self.tasks_and_status.as_ref().ok().filter(|_| with_status) {
            let mut known = records::KnownPowers::default();
            let add = |bytes: &[u8]| tasks.push(TaskRecord::read_with_status(bytes, &mut known));
            if iterator.run(records::TASK_AND_STATUS, add).is_ok() {
                return Ok(tasks);
            }
            tasks.clear();
        }
        self.tasks.run(records::TASK, |bytes| tasks.push(TaskRecord::read(bytes)))?;
        Ok(tasks)
    }

    /// The open files of these tasks that hold a namespace; `with_suspects` those too that may. A table that a task has of
    /// its own is told of by each task that has it.
    pub(crate) fn files(&self, with_suspects: bool, mut each: impl FnMut(FileRecord)) -> Result<(), Refusal> {
        let files = if with_suspects { &self.files_and_suspects } else { &self.files };
        files.run(records::FILE, |bytes| each(FileRecord::read(bytes)))
    }

    /// The namespaces of these tasks and of their open files, with their owners and parents; many more than once.
    pub(crate) fn namespaces(&self, mut each: impl FnMut(NamespaceRecord)) -> Result<(), Refusal> {
        for iterator in self.namespaces.as_ref().map_err(Clone::clone)? {
            iterator.run(records::NAMESPACE, |bytes| each(NamespaceRecord::read(bytes)))?;
        }
        Ok(())
    }

    /// What waits in these UNIX sockets to be received or accepted; and of which not all could be seen, or something changed
    /// meanwhile.
    pub(crate) fn in_flight(&self, receivers: &[Receiver]) -> Result<(Vec<Waiting>, Unsure), Refusal> {
        let (memory, layout) = (self.memory.as_ref(), self.in_flight.as_ref());
        in_flight::waiting(layout.map_err(Clone::clone)?, memory.map_err(Clone::clone)?, receivers)
    }

    /// The inode numbers of the namespaces that these open files hold without being on them, which are on file systems with
    /// these magic numbers: of mount and cgroup namespaces. 0 of a file that holds none.
    pub(crate) fn held_by_files(&self, files: &[(u64, u32)]) -> Result<Vec<u32>, Refusal> {
        let (memory, layout) = (self.memory.as_ref(), self.held_files.as_ref());
        held_files::namespaces(layout.map_err(Clone::clone)?, memory.map_err(Clone::clone)?, files)
    }

    /// The inode numbers of the network namespaces of these TUN/TAP files and of their devices; 0 where there is none. `btf`
    /// reads the description of the kernel, and that of the driver where it is a module.
    pub(crate) fn tuns(
        &self,
        files: &[u64],
        btf: impl Fn(&'static str) -> Option<Vec<u8>>,
    ) -> Result<Vec<(u32, u32)>, Refusal> {
        let of_module = |why: &Refusal| {
            let layout = || {
                let (Some(kernel), Some(module)) = (btf(BTF), btf(TUN_BTF)) else { return Err(why.clone()) };
                let both = btf::joined(&kernel, &module).map_err(Refusal::of_btf)?;
                let both = Btf::parse(&both, &programs::STRUCTS, &[]).map_err(Refusal::of_btf)?;
                held_files::TunLayout::of(&programs::Fields(&both)).map_err(Refusal::from)
            };
            self.tuns_of_module.get_or_init(layout).as_ref().map_err(Clone::clone)
        };
        let layout = if files.is_empty() { return Ok(Vec::new()) } else { self.tuns.as_ref().or_else(of_module)? };
        held_files::tuns(layout, self.memory.as_ref().map_err(Clone::clone)?, files)
    }

    /// The file systems that belong to another user namespace than the initial one, with the inode number of that; and whether
    /// these are all. The kernel's list is found from these mounts, which are named by their addresses.
    pub(crate) fn file_system_owners(&self, mounts: &[u64]) -> Result<(Vec<(DeviceNumber, u32)>, bool), Refusal> {
        let (memory, layout) = (self.memory.as_ref(), self.super_blocks.as_ref());
        super_blocks::owners(layout.map_err(Clone::clone)?, memory.map_err(Clone::clone)?, mounts)
    }

    /// How many attachments of System V segments hold the IPC namespace with this structure, at least and at most.
    pub(crate) fn attachments(&self, namespace: u64) -> Result<(u32, u32), Refusal> {
        let (memory, layout) = (self.memory.as_ref(), self.segments.as_ref());
        held_files::attachments(layout.map_err(Clone::clone)?, memory.map_err(Clone::clone)?, namespace)
    }

    /// All namespaces of the kernel's own lists, each once unless some end meanwhile; and whether the lists were read to their
    /// ends.
    pub(crate) fn listed(&self, mut each: impl FnMut(NamespaceRecord)) -> Result<bool, Refusal> {
        let mut ended = FxHashSet::default();
        // After the lists' ends, further runs go through them in vain.
        const STEP: usize = 64 * records::NAMESPACE;
        let iterator = self.lists.as_ref().map_err(Clone::clone)?;
        let load = || iterator.load(Some(&BpfArray::new(lists::RUNS).map_err(Refusal::of(Call::Bpf))?));
        // The link keeps the array.
        iterator.link.get_or_init(load).as_ref().map_err(Clone::clone)?;
        iterator.run_until(records::NAMESPACE, STEP, |bytes| {
            match NamespaceRecord::read(bytes) {
                NamespaceRecord { ino: 0, clone_flag, .. } => drop(ended.insert(clone_flag)),
                // What has no reference any more is just ending.
                listed if listed.references > 0 => each(listed),
                _ => {}
            }
            match ended.len() < NamespaceType::ALL.len() {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        Ok(ended.len() == NamespaceType::ALL.len())
    }
}

/// Checks the reader against any BTF: it is refused, or the programs are such as a kernel accepts in size.
#[cfg(any(test, feature = "_fuzz"))]
pub(crate) fn check(btf: &[u8]) {
    tracepoints::check(btf);
    if let Ok(reader) = KernelReader::new(btf) {
        let iterators =
            [&reader.tasks, &reader.files, &reader.files_and_suspects].into_iter().chain(&reader.tasks_and_status);
        let of_memory = reader.memory.iter().flat_map(MemoryReader::iterators);
        for Iterator { instructions, .. } in
            iterators.chain(reader.namespaces.iter().flatten()).chain(&reader.lists).chain(of_memory)
        {
            assert!((1..4096).contains(&instructions.len()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::small_btf::{paths, small_btf};
    use super::*;

    #[test]
    fn programs_are_put_together_for_a_kernel() {
        let reader = KernelReader::new(&small_btf("")).unwrap();
        let of_files = [&reader.files, &reader.files_and_suspects].map(|iterator| iterator.instructions.len());
        assert!(of_files[0] < of_files[1]);
        assert_eq!(reader.tasks.attach_btf_id + 1, reader.files.attach_btf_id);
    }

    #[test]
    fn a_field_that_is_missing_is_named() {
        // Nothing of this reader's reads these, or they are read from elsewhere without.
        let unread = [
            "nsproxy.count",
            "pid.count",
            "task_struct.group_leader",
            "task_struct.fs",
            "fs_struct.root",
            "path.mnt",
            "pt_regs.orig_ax",
            "pt_regs.syscallno",
            "task_struct.seccomp",
            "seccomp.mode",
        ];
        // Without one of these, another is what is missing.
        let replaced = [
            ("ns_common.ns_type", "ns_common.ops"),
            ("task_struct.__state", "task_struct.state"),
            ("list_head.next", "ns_common.ns_list_node"),
            ("list_head.prev", "ns_common.ns_list_node"),
        ];
        for path in paths() {
            let refused = KernelReader::new(&small_btf(&path)).and_then(|reader| {
                let of_memory = reader.memory.and(reader.in_flight).and(reader.held_files);
                let others = of_memory.and(reader.segments).and(reader.tuns).and(reader.super_blocks);
                let of_tasks = reader.namespaces.map(drop).and(reader.tasks_and_status.map(drop));
                of_tasks.and(reader.lists.map(drop)).and(others.map(drop))
            });
            if unread.contains(&path.as_str()) {
                assert_eq!(refused, Ok(()), "{path}");
                continue;
            }
            let refusal = refused.expect_err(&path);
            assert_eq!(refusal.failure, Cause::Unsupported.into());
            let named = replaced.iter().find(|(missing, _)| *missing == path).map_or(path.as_str(), |(_, other)| other);
            let last = named.rsplit('.').next().unwrap();
            let Operation::Parse(text) = &refusal.operation else { panic!("{refusal:?}") };
            assert!(text.split([' ', '.']).any(|word| word == last), "{path}: {text}");
        }
    }

    #[test]
    fn a_module_continues_the_kernel() {
        let kernel = small_btf("");
        let strings = u32::from_ne_bytes(*kernel[20..].first_chunk().unwrap());
        // A structure with one member, of the kernel's type of 8 bytes.
        let types = [strings, 4 << 24 | 1, 8, strings + 7, 4, 0];
        let head = [24, 0, 24, 24, 13];
        let mut module = 0xeb9f_u16.to_ne_bytes().to_vec();
        module.extend([1, 0]);
        module.extend(head.into_iter().chain(types).flat_map(u32::to_ne_bytes));
        module.extend(b"driver\0field\0");
        let both = btf::joined(&kernel, &module).unwrap();
        let both = Btf::parse(&both, &["driver", "nsproxy"], &[]).unwrap();
        assert_eq!(both.field("driver.field"), Some(btf::Field { offset: 0, size: 8 }));
        let alone = Btf::parse(&kernel, &["driver", "nsproxy"], &[]).unwrap();
        assert_eq!((alone.field("driver.field"), alone.size_of("nsproxy")), (None, both.size_of("nsproxy")));
        for length in 0..module.len() {
            assert!(btf::joined(&kernel, &module[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn time_in_which_nothing_is_done_is_not_counted() {
        let began = worked();
        let waits = rustix::event::Timespec { tv_sec: 0, tv_nsec: 200_000_000 };
        rustix::event::poll(&mut [], Some(&waits)).unwrap();
        assert!(worked() - began < Duration::from_millis(100));
        while worked() - began < Duration::from_millis(1) {}
    }

    #[test]
    fn what_is_no_btf_is_refused() {
        let whole = small_btf("");
        for length in 0..whole.len() {
            assert!(KernelReader::new(&whole[..length]).is_err(), "{length} bytes");
        }
        let mut other = whole;
        other.swap(0, 1);
        assert_eq!(KernelReader::new(&other).map(drop), Err(Refusal::of_btf("its form is not known")));
    }

    #[test]
    fn members_that_contain_each_other_end() {
        // Each member of each structure is anonymous and of the type of the first structure.
        let mut btf = small_btf("");
        let types = 24 + 4 * (4 * 4 + 3 + 6);
        let length = u32::from_ne_bytes(*btf[12..].first_chunk().unwrap()) as usize;
        for at in (types..24 + length - 12).step_by(12) {
            if btf[at + 7] == 0 && btf[at + 3] == 0 {
                btf[at..at + 4].fill(0);
                btf[at + 4..at + 8].copy_from_slice(&7_u32.to_ne_bytes());
            }
        }
        check(&btf);
    }

    proptest! {
        #[test]
        fn no_btf_makes_it_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8)) {
            let mut btf = small_btf("");
            for (at, byte) in changes {
                let at = at.index(btf.len());
                btf[at] = byte;
            }
            check(&btf);
        }
    }
}
