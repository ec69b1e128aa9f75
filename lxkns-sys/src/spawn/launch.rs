//! The last step: the process that becomes the command.
//!
//! It can be in a foreign PID namespace, where other processes can trace it and read its memory. So it has nothing that
//! the command will not have. Its memory is one mapping with the command's arguments, its environment and a stack, and
//! the read-only parts of the program's own files. Its descriptors are the command's, the program to run, and a pipe
//! for one error number. The intermediate has taken on everything else before it starts this process.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::os::fd::AsRawFd as _;
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, MremapFlags, ProtFlags};

use super::raw::{self, address, call};
use super::{Exec, ExecProgram, Launch, LaunchSession};

/// The size of the stack.
const STACK: usize = 64 * 1024;
/// The size of the page that follows it: a multiple of any pointer's alignment.
const PAGE: usize = size_of::<Page>().next_multiple_of(16);

/// Memory that the caller and the intermediate share. The launched process does not have it.
pub(super) struct Shared(*mut Cell);

/// The kernel writes the first number before the process with that PID can run.
#[repr(C)]
struct Cell {
    child: AtomicI32,
    errno: AtomicI32,
    /// Whether the process may be started: the intermediate waits for this.
    goes_ahead: AtomicU32,
}

impl Shared {
    pub(super) fn new() -> Result<Self, Errno> {
        let flags = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let page = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), size_of::<Cell>(), flags, MapFlags::SHARED) }?;
        Ok(Self(page.cast()))
    }

    fn cell(&self) -> &Cell {
        // SAFETY: it is mapped as long as `self` lives, zeros are valid, and all changes are atomic.
        unsafe { &*self.0 }
    }

    /// The PID of the launched process in the caller's PID namespace.
    pub(super) fn child(&self) -> Option<rustix::process::Pid> {
        rustix::process::Pid::from_raw(self.cell().child.load(Ordering::Acquire))
    }

    /// Lets the intermediate start the process.
    pub(super) fn go_ahead(&self) {
        let goes_ahead = &self.cell().goes_ahead;
        goes_ahead.store(1, Ordering::Release);
        // SAFETY: it takes numbers and the address of a mapped number.
        let _ = unsafe { call(libc::SYS_futex, [address(goes_ahead), libc::FUTEX_WAKE as usize, 1, 0, 0]) };
    }

    /// The error of starting it.
    pub(super) fn errno(&self) -> Option<Errno> {
        match self.cell().errno.load(Ordering::Acquire) {
            0 => None,
            errno => Some(Errno::from_raw_os_error(errno)),
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: `new` mapped it, and nothing refers to it any more.
        let _ = unsafe { rustix::mm::munmap(self.0.cast(), size_of::<Cell>()) };
    }
}

/// The part of the launch that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum LaunchStep {
    /// Starting the process.
    Start,
    /// Setting its session, process group or terminal.
    Session,
    /// Running the command.
    Exec,
}

impl LaunchStep {
    /// The number that the process writes: an error number and a step.
    pub(super) fn code(self, errno: Errno) -> u32 {
        errno.raw_os_error().cast_unsigned() | if self == Self::Session { SESSION } else { 0 }
    }

    /// Decodes such a number; `None` where it is none. Any process that traces the launched one can have written it.
    pub(super) fn read(bytes: [u8; 4]) -> Option<(Self, Errno)> {
        let code = u32::from_ne_bytes(bytes);
        let step = if code & SESSION == 0 { Self::Exec } else { Self::Session };
        let errno = Some(code & !SESSION).filter(|errno| (1..4096).contains(errno))?;
        Some((step, Errno::from_raw_os_error(errno.cast_signed())))
    }
}

const SESSION: u32 = 1 << 16;

/// All data of the process, at the same addresses in the intermediate and in the process.
#[repr(C)]
struct Page {
    writer: c_int,
    /// Negative if the program is one of the paths.
    program: c_int,
    paths: *const *const c_char,
    arguments: *const *const c_char,
    environment: *const *const c_char,
    blocked: u64,
    is_new_session: bool,
    is_new_group: bool,
    /// Negative if there is none.
    terminal: c_int,
}

/// A prepared launch.
pub(super) struct Prepared {
    page: *mut c_void,
    length: usize,
    /// The memory that the process keeps besides its page: read-only parts of the files that this program consists of.
    code: Vec<Code>,
    shared: *mut Cell,
}

impl Prepared {
    pub(super) fn new(launch: &Launch, shared: &Shared, writer: c_int) -> Result<Self, Errno> {
        let Exec { program, arguments, environment } = &launch.exec;
        let (fd, paths) = match program {
            ExecProgram::Paths(paths) => (-1, paths.as_slice()),
            ExecProgram::Fd(fd) => (fd.as_raw_fd(), &[][..]),
        };
        let lists = [paths, arguments.as_slice(), environment.as_slice()];
        let length = STACK + PAGE + lists.iter().map(|list| Room::length(list)).sum::<usize>();
        let flags = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping, at an address of the kernel's choice.
        let start = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), length, flags, MapFlags::PRIVATE) }?;
        let prepared = Self { page: start, length, code: code(), shared: shared.0 };
        let mut room = Room { start: start.cast(), at: STACK + PAGE };
        let [paths, arguments, environment] = lists.map(|list| room.list(list));
        let page = Page {
            writer,
            program: fd,
            paths,
            arguments,
            environment,
            blocked: launch.blocked,
            is_new_session: matches!(launch.session, LaunchSession::New { .. }),
            is_new_group: matches!(launch.session, LaunchSession::Group { .. }),
            terminal: match &launch.session {
                LaunchSession::Same => -1,
                LaunchSession::New { terminal } => terminal.unwrap_or(-1),
                LaunchSession::Group { terminal } => terminal.as_ref().map_or(-1, |fd| fd.as_raw_fd()),
            },
        };
        // SAFETY: there is room for it behind the stack, and the address is aligned, as the mapping begins with a page.
        unsafe { prepared.page().write(page) };
        Ok(prepared)
    }

    /// The pipe to which the process writes an error.
    pub(super) fn writer(&self) -> c_int {
        // SAFETY: `new` has written it.
        unsafe { (*self.page()).writer }
    }

    /// The descriptors that the process needs besides the command's. Negative numbers stand for none.
    pub(super) fn descriptors(&self) -> [c_int; 3] {
        // SAFETY: `new` has written it.
        let page = unsafe { &*self.page() };
        [page.writer, page.program, if page.is_new_group { page.terminal } else { -1 }]
    }

    fn page(&self) -> *mut Page {
        // SAFETY: it is within the mapping.
        unsafe { self.page.cast::<u8>().add(STACK).cast() }
    }

    /// Starts the process as a child of the caller's parent, which can read its PID from the shared memory. Does not
    /// return in the new process, which has nothing of the caller's memory but the launch.
    pub(super) fn start(&self) -> Result<c_int, Errno> {
        let failed = |errno: Errno| {
            // SAFETY: the parent owns it and keeps it as long as the caller lives.
            unsafe { &*self.shared }.errno.store(errno.raw_os_error(), Ordering::Release);
            errno
        };
        self.hide_files().and_then(|()| self.leave_memory()).map_err(failed)?;
        raw::leave_restartable_sequences().map_err(failed)?;
        let flags = libc::CLONE_PARENT | libc::CLONE_PARENT_SETTID | libc::SIGCHLD;
        let page = self.page().cast();
        // SAFETY: it is mapped while the parent waits.
        let child = unsafe { &raw mut (*self.shared).child };
        // SAFETY: the function does not return, and `page` is the end of its own stack. The kernel writes one number,
        // for which there is room. Without CLONE_VM, the new process has its own copy of all memory.
        let pid = unsafe { libc::clone(begin, page, flags, page, child, 0, 0) };
        crate::checked(pid.into()).map_err(failed)?;
        Ok(pid)
    }

    /// Waits until the parent lets the process start.
    pub(super) fn wait_for_go_ahead(&self) {
        // SAFETY: the parent owns it and keeps it as long as the caller lives.
        let goes_ahead = unsafe { &(*self.shared).goes_ahead };
        while goes_ahead.load(Ordering::Acquire) == 0 {
            // SAFETY: it takes numbers and the address of a mapped number.
            let _ = unsafe { call(libc::SYS_futex, [address(goes_ahead), libc::FUTEX_WAIT as usize, 0, 0, 0]) };
        }
    }

    /// Replaces the mapped code of libraries with copies in memory at the same addresses: a process that may trace this
    /// one could open the mapped files for writing (`/proc/PID/map_files`). The program's own file is visible as
    /// `/proc/PID/exe` in any case, and is sealed where that matters.
    fn hide_files(&self) -> Result<(), Errno> {
        for code in self.code.iter().filter(|code| code.is_of_library) {
            let flags = ProtFlags::READ | ProtFlags::WRITE;
            // SAFETY: a new mapping, at an address of the kernel's choice.
            let copy = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), code.length, flags, MapFlags::PRIVATE) }?;
            let original = ptr::with_exposed_provenance::<u8>(code.start);
            // SAFETY: both ranges are mapped and have this length, and the source is readable.
            unsafe { copy.cast::<u8>().copy_from_nonoverlapping(original, code.length) };
            let protection = if code.is_run { MprotectFlags::READ | MprotectFlags::EXEC } else { MprotectFlags::READ };
            // SAFETY: nothing refers to it yet.
            unsafe { rustix::mm::mprotect(copy, code.length, protection) }?;
            let (flags, to) = (MremapFlags::MAYMOVE, ptr::with_exposed_provenance_mut(code.start));
            // SAFETY: the call replaces the mapping in one step with the same bytes and protection.
            unsafe { rustix::mm::mremap_fixed(copy, code.length, code.length, flags, to) }?;
        }
        Ok(())
    }

    /// Lets a child inherit the launch and the code, and no other memory.
    fn leave_memory(&self) -> Result<(), Errno> {
        const ALL: usize = usize::MAX >> 1 & !0xffff;
        // SAFETY: it changes what a child inherits, not the memory of this process.
        let left = unsafe { rustix::mm::madvise(ptr::null_mut(), ALL, rustix::mm::Advice::LinuxDontFork) };
        match left {
            // Parts of the range are not mapped.
            Ok(()) | Err(Errno::NOMEM) => {}
            Err(errno) => return Err(errno),
        }
        let code = self.code.iter().map(|code| (code.start, code.length));
        for (start, length) in code.chain([(self.page.expose_provenance(), self.length)]) {
            let start = ptr::with_exposed_provenance_mut(start);
            // SAFETY: as above.
            unsafe { rustix::mm::madvise(start, length, rustix::mm::Advice::LinuxDoFork) }?;
        }
        Ok(())
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        // SAFETY: `new` mapped it, and nothing refers to it any more.
        let _ = unsafe { rustix::mm::munmap(self.page, self.length) };
    }
}

/// The address of the next list, behind the page.
struct Room {
    start: *mut u8,
    at: usize,
}

impl Room {
    const POINTER: usize = size_of::<*const c_char>();

    /// The size of a list with its strings.
    fn length(strings: &[CString]) -> usize {
        let bytes: usize = strings.iter().map(|string| string.as_bytes_with_nul().len()).sum();
        (strings.len() + 1) * Self::POINTER + bytes.next_multiple_of(Self::POINTER)
    }

    /// Writes a list of pointers that ends with a null pointer, and behind it the strings.
    fn list(&mut self, strings: &[CString]) -> *const *const c_char {
        // SAFETY: there is room for `length` bytes, also for the writes below.
        let list: *mut *const c_char = unsafe { self.start.add(self.at) }.cast();
        let mut at = self.at + (strings.len() + 1) * Self::POINTER;
        for (index, string) in strings.iter().enumerate() {
            let bytes = string.as_bytes_with_nul();
            // SAFETY: see above.
            let to = unsafe { self.start.add(at) };
            // SAFETY: see above; the mapping overlaps nothing else.
            unsafe { to.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
            // SAFETY: see above.
            let entry = unsafe { list.add(index) };
            // SAFETY: see above; lists are aligned for pointers.
            unsafe { entry.write(to.cast_const().cast()) };
            at += bytes.len();
        }
        self.at += Self::length(strings);
        list
    }
}

/// A read-only mapped part of a file.
struct Code {
    start: usize,
    length: usize,
    is_run: bool,
    is_of_library: bool,
}

/// The read-only parts of the files that this program consists of.
fn code() -> Vec<Code> {
    unsafe extern "C" fn note(info: *mut libc::dl_phdr_info, _: usize, to: *mut c_void) -> c_int {
        // SAFETY: `dl_iterate_phdr` passes the pointer that it was given.
        let to = unsafe { &mut *to.cast::<Vec<Code>>() };
        // SAFETY: `dl_iterate_phdr` passes a valid structure.
        let info = unsafe { &*info };
        // SAFETY: a name is a C string.
        let name = if info.dlpi_name.is_null() { c"" } else { unsafe { CStr::from_ptr(info.dlpi_name) } };
        // The program comes first and has no name. The kernel's vDSO is not a file and is not used.
        let is_of_library = !to.is_empty();
        if is_of_library && !name.to_bytes().contains(&b'/') {
            return 0;
        }
        let page = rustix::param::page_size();
        for index in 0..usize::from(info.dlpi_phnum) {
            // SAFETY: the structure says how many there are.
            let header = unsafe { info.dlpi_phdr.add(index) };
            // SAFETY: as above.
            let header = unsafe { &*header };
            let start = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
            let end = start.wrapping_add(header.p_memsz as usize);
            let (start, end) = match header.p_type {
                libc::PT_LOAD if header.p_flags & libc::PF_W == 0 => (start, end.next_multiple_of(page)),
                // Relocated addresses, which the loader wrote and then made read-only.
                libc::PT_GNU_RELRO => (start, end & !(page - 1)),
                _ => continue,
            };
            let start = start & !(page - 1);
            if let Some(length) = end.checked_sub(start).filter(|&length| length > 0) {
                to.push(Code { start, length, is_run: header.p_flags & libc::PF_X != 0, is_of_library });
            }
        }
        0
    }
    let mut code: Vec<Code> = Vec::new();
    // SAFETY: the function is called with this vector, and only before the call returns.
    unsafe { libc::dl_iterate_phdr(Some(note), (&raw mut code).cast()) };
    code
}

/// The launched process. It uses only its page, its stack and the code, which are mapped, and nothing of libc.
extern "C" fn begin(page: *mut c_void) -> c_int {
    // SAFETY: it is the prepared page, which no other thread of this process can change.
    let page = unsafe { &*page.cast::<Page>() };
    // The fork has cleared the death signal. If the caller has ended before this call, the pipe has no reader. SAFETY:
    // the call takes numbers.
    let _ = unsafe { call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, libc::SIGKILL as usize, 0, 0, 0]) };
    if !is_read(page.writer) {
        raw::exit(125);
    }
    let failed = match session(page) {
        Ok(()) => LaunchStep::Exec.code(exec(page)),
        Err(errno) => LaunchStep::Session.code(errno),
    };
    let bytes = failed.to_ne_bytes();
    // SAFETY: the buffer has that many bytes.
    let _ = unsafe { call(libc::SYS_write, [page.writer as usize, address(bytes.as_ptr()), bytes.len(), 0, 0]) };
    raw::exit(125)
}

/// Whether a pipe has a reader.
fn is_read(pipe: c_int) -> bool {
    let mut poll = libc::pollfd { fd: pipe, events: 0, revents: 0 };
    let now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let (poll_at, now_at) = (address(&raw mut poll), address(&raw const now));
    // SAFETY: the arguments are one structure, a time, and no set of signals.
    let polled = unsafe { call(libc::SYS_ppoll, [poll_at, 1, now_at, 0, 0]) };
    polled != Ok(1) || poll.revents & libc::POLLERR == 0
}

fn session(page: &Page) -> Result<(), Errno> {
    let terminal = page.terminal as usize;
    if page.is_new_session {
        // SAFETY: the call takes nothing.
        unsafe { call(libc::SYS_setsid, [0; 5]) }?;
        if page.terminal >= 0 {
            // SAFETY: the call takes numbers.
            unsafe { call(libc::SYS_ioctl, [terminal, libc::TIOCSCTTY as usize, 0, 0, 0]) }?;
        }
    }
    if page.is_new_group {
        // SAFETY: the call takes numbers.
        unsafe { call(libc::SYS_setpgid, [0; 5]) }?;
        if page.terminal >= 0 {
            // The terminal takes the PID in the process's own PID namespace. SAFETY: the call takes nothing.
            let group = unsafe { call(libc::SYS_getpid, [0; 5]) }? as c_int;
            let group = address(&raw const group);
            // SAFETY: it reads one number.
            unsafe { call(libc::SYS_ioctl, [terminal, libc::TIOCSPGRP as usize, group, 0, 0]) }?;
        }
    }
    Ok(())
}

/// Runs the command. Returns only if that fails.
fn exec(page: &Page) -> Errno {
    let blocked = address(&raw const page.blocked);
    let mask = [libc::SIG_SETMASK as usize, blocked, 0, size_of::<u64>(), 0];
    // SAFETY: the kernel's signal set has these eight bytes.
    if let Err(errno) = unsafe { call(libc::SYS_rt_sigprocmask, mask) } {
        return errno;
    }
    // The command does not end with the caller. SAFETY: the call takes numbers.
    let _ = unsafe { call(libc::SYS_prctl, [libc::PR_SET_PDEATHSIG as usize, 0, 0, 0, 0]) };
    let (arguments, environment) = (address(page.arguments), address(page.environment));
    if page.program >= 0 {
        let flags = libc::AT_EMPTY_PATH as usize;
        let empty = address(c"".as_ptr());
        // SAFETY: the path is a string, and both lists end with a null pointer and point to strings.
        let run = unsafe { call(libc::SYS_execveat, [page.program as usize, empty, arguments, environment, flags]) };
        return run.err().unwrap_or(Errno::IO);
    }
    let mut error = Errno::NOENT;
    let mut at = page.paths;
    loop {
        // SAFETY: the list ends with a null pointer, at which the loop returns.
        let path = unsafe { *at };
        if path.is_null() {
            return error;
        }
        // SAFETY: as above.
        let next = unsafe { at.add(1) };
        // SAFETY: as above.
        let is_only = at == page.paths && unsafe { *next }.is_null();
        at = next;
        // SAFETY: the path is a string, and both lists are as above.
        let run = unsafe { call(libc::SYS_execve, [address(path), arguments, environment, 0, 0]) };
        match run.err().unwrap_or(Errno::IO) {
            Errno::NOENT | Errno::NOTDIR => {}
            // A later path can work; if none does, this error is more useful. A file in a directory without search
            // permission is not known to exist.
            Errno::ACCESS if is_only || is_there(path) => error = Errno::ACCESS,
            Errno::ACCESS => {}
            errno => return errno,
        }
    }
}

fn is_there(path: *const c_char) -> bool {
    let arguments = [libc::AT_FDCWD as usize, address(path), libc::F_OK as usize, 0, 0];
    // SAFETY: the path is a string.
    unsafe { call(libc::SYS_faccessat, arguments) }.is_ok()
}
