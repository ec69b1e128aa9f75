//! The child's side. It has the memory of a process whose other threads are gone, perhaps with a lock held: nothing here
//! allocates, locks, panics or returns; there is only what the kernel does.

use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::Errno;

use super::{Enter, ExecProgram, Message, Op, OwnMounts, checked};

const CLONE_NEWUSER: u32 = libc::CLONE_NEWUSER as u32;
const CAPABILITY_VERSION_3: u32 = 0x2008_0522;
const LSM_ATTR_EXEC: c_uint = 101;
const SYS_LSM_SET_SELF_ATTR: c_long = 460;
/// The highest number of a signal, and how many bytes the kernel's set of them has.
const SIGNALS: c_int = 64;

/// The steps, with what must be there before the child is.
pub(super) struct Prepared<'a> {
    ops: &'a [Op],
    writer: c_int,
    parent: c_int,
    arguments: Vec<*const c_char>,
    environment: Vec<*const c_char>,
    /// A `struct lsm_ctx` for each step that sets one, in their order.
    contexts: Vec<Vec<u8>>,
}

/// An error number, and what it is about where that needs saying.
struct Failure {
    detail: u32,
    errno: Errno,
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Self { detail: 0, errno }
    }
}

type Done = Result<(), Failure>;

impl<'a> Prepared<'a> {
    pub(super) fn new(ops: &'a [Op], writer: c_int) -> Self {
        let pointers = |strings: &[CString]| -> Vec<*const c_char> {
            strings.iter().map(|string| string.as_ptr()).chain([std::ptr::null()]).collect()
        };
        let exec = ops.iter().find_map(|op| if let Op::Exec(exec) = op { Some(exec) } else { None });
        let contexts = ops.iter().filter_map(|op| match op {
            Op::ExecContext { module, context, .. } => Some(lsm_ctx(*module, context)),
            _ => None,
        });
        Self {
            ops,
            writer,
            parent: std::process::id().cast_signed(),
            arguments: pointers(exec.map_or(&[], |exec| &exec.arguments)),
            environment: pointers(exec.map_or(&[], |exec| &exec.environment)),
            contexts: contexts.collect(),
        }
    }

    /// Goes through the steps, and ends in any case.
    pub(super) fn run(&self) -> ! {
        let mut is_forked = false;
        let mut context = 0;
        for (index, op) in self.ops.iter().enumerate() {
            self.tell([Message::AT, index as u32, 0, 0]);
            let done = match op {
                Op::Fork => self.fork().inspect(|()| is_forked = true).map_err(Failure::from),
                Op::Guard => guard((!is_forked).then_some(self.parent)),
                Op::ExecContext { procfs, path, context: text, .. } => {
                    let prepared = self.contexts.get(context).map_or(&[][..], Vec::as_slice);
                    context += 1;
                    exec_context(prepared, procfs.as_raw_fd(), path, text)
                }
                Op::ReadBelow { directory, path, procfs, to, most } => {
                    let fds = [directory.as_raw_fd(), procfs.as_raw_fd(), to.as_raw_fd()];
                    close_all_but([fds[0], fds[1], fds[2], self.writer]);
                    read_below(fds, path, *most).map_err(Failure::from)
                }
                Op::Exec(exec) => {
                    self.tell([Message::READY, 0, 0, 0]);
                    Err(self.exec(&exec.program).into())
                }
                Op::End => {
                    self.tell([Message::READY, 0, 0, 0]);
                    exit(0)
                }
                other => perform(other),
            };
            if let Err(Failure { detail, errno }) = done {
                self.tell([Message::FAILED, index as u32, detail, errno.raw_os_error().cast_unsigned()]);
                exit(125);
            }
        }
        self.tell([Message::FAILED, self.ops.len() as u32, 0, libc::ENOEXEC.cast_unsigned()]);
        exit(125)
    }

    /// If nobody listens any more, there is nobody to go on for.
    fn tell(&self, message: [u32; 4]) {
        let bytes = Message(message).bytes();
        // SAFETY: the descriptor is open in this child, and the bytes are there.
        let written = unsafe { libc::write(self.writer, bytes.as_ptr().cast(), bytes.len()) };
        if written == -1 {
            exit(125);
        }
    }

    fn fork(&self) -> Result<(), Errno> {
        match clone(libc::CLONE_PARENT | libc::SIGCHLD)? {
            0 => Ok(()),
            pid => {
                self.tell([Message::FORKED, pid.cast_unsigned(), 0, 0]);
                exit(0)
            }
        }
    }

    fn exec(&self, program: &ExecProgram) -> Errno {
        let (arguments, environment) = (self.arguments.as_ptr(), self.environment.as_ptr());
        let paths = match program {
            ExecProgram::Fd(fd) => {
                let (fd, empty, flags) = (fd.as_raw_fd(), c"".as_ptr(), libc::AT_EMPTY_PATH);
                // SAFETY: both arrays end with a null pointer and point to strings that live as long as the steps.
                let failed = unsafe { libc::syscall(libc::SYS_execveat, fd, empty, arguments, environment, flags) };
                return checked(failed).err().unwrap_or(Errno::IO);
            }
            ExecProgram::Paths(paths) => paths,
        };
        let mut error = Errno::NOENT;
        for path in paths {
            // SAFETY: as above.
            let failed = unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), arguments, environment) };
            match checked(failed).err().unwrap_or(Errno::IO) {
                Errno::NOENT | Errno::NOTDIR => {}
                // There may be another further on; if not, this says more. What is in a directory that may not be searched is
                // not known to be there.
                Errno::ACCESS if paths.len() == 1 || is_there(path) => error = Errno::ACCESS,
                Errno::ACCESS => {}
                errno => return errno,
            }
        }
        error
    }
}

fn is_there(path: &CStr) -> bool {
    // SAFETY: the path is a string.
    unsafe { libc::syscall(libc::SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), libc::F_OK) == 0 }
}

/// `struct lsm_ctx` of `linux/lsm.h`.
fn lsm_ctx(module: u64, context: &[u8]) -> Vec<u8> {
    const HEAD: u64 = 32;
    let length = HEAD + context.len() as u64;
    let padded = length.next_multiple_of(8);
    let mut bytes = Vec::new();
    for number in [module, 0, padded, context.len() as u64] {
        bytes.extend_from_slice(&number.to_ne_bytes());
    }
    bytes.extend_from_slice(context);
    bytes.resize(padded as usize, 0);
    bytes
}

fn exit(code: c_int) -> ! {
    loop {
        // SAFETY: it takes a number and does not come back.
        unsafe { libc::syscall(libc::SYS_exit_group, code) };
    }
}

/// A new process with a copy of the memory of this one. In it, the answer is 0.
pub(super) fn clone(flags: c_int) -> Result<c_int, Errno> {
    // SAFETY: without CLONE_VM and a stack this is fork(2): the new process goes on here with memory of its own.
    let pid = unsafe { libc::syscall(libc::SYS_clone, c_long::from(flags), 0, 0, 0, 0) };
    checked(pid).map(|pid| pid as c_int)
}

/// The same, in a control group.
pub(super) fn clone_into(cgroup: c_int) -> Result<c_int, Errno> {
    const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;
    /// `struct clone_args` of `linux/sched.h`.
    #[repr(C)]
    #[derive(Default)]
    struct CloneArgs {
        flags: u64,
        pidfd: u64,
        child_tid: u64,
        parent_tid: u64,
        exit_signal: u64,
        stack: u64,
        stack_size: u64,
        tls: u64,
        set_tid: u64,
        set_tid_size: u64,
        cgroup: u64,
    }
    let args = CloneArgs {
        flags: CLONE_INTO_CGROUP,
        exit_signal: libc::SIGCHLD as u64,
        cgroup: u64::from(cgroup.cast_unsigned()),
        ..CloneArgs::default()
    };
    // SAFETY: as in `clone`; the kernel reads as many bytes as it is told.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    checked(pid).map(|pid| pid as c_int)
}

/// Blocks all signals, and says which were blocked before: a handler of the caller's must not run in its child.
pub(super) fn block_signals() -> libc::sigset_t {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: it fills the set that it is given.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: it reads the one set, which has been filled, and writes the other.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()) };
    // SAFETY: it was zeroed, and is a set of bits.
    unsafe { before.assume_init() }
}

/// Blocks these signals and no others.
pub(super) fn restore_signals(before: &libc::sigset_t) {
    // SAFETY: it reads the set.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

fn perform(op: &Op) -> Done {
    match op {
        Op::OutliveParent => Ok(prctl(libc::PR_SET_PDEATHSIG, 0, 0).map(drop)?),
        Op::Enter(enter) => namespaces(enter),
        Op::Write(fd, bytes) => Ok(write(fd.as_raw_fd(), bytes)?),
        Op::WriteBelow(directory, path, bytes) => Ok(write_below(directory.as_raw_fd(), path, bytes)?),
        Op::SessionKeyring => Ok(session_keyring()?),
        Op::Root(fd) => Ok(root(fd.as_raw_fd())?),
        Op::WorkingDirectory(fd) => Ok(working_directory(fd.as_raw_fd())?),
        Op::Groups { gids, or_stay } => match set_groups(gids) {
            Err(Errno::PERM) if *or_stay => Ok(()),
            done => Ok(done?),
        },
        // On 64-bit machines the calls of this name take 32-bit IDs.
        Op::Gids(gids) => Ok(set_ids(libc::SYS_setresgid, *gids)?),
        Op::Uids(uids) => {
            prctl(libc::PR_SET_KEEPCAPS, 1, 0)?;
            Ok(set_ids(libc::SYS_setresuid, *uids)?)
        }
        Op::Inheritable(set) => Ok(inheritable(*set)?),
        Op::Bounding(set) => Ok(bounding(*set)?),
        Op::Capabilities { permitted, effective, inheritable, ambient } => {
            Ok(capabilities([*effective, *permitted, *inheritable], *ambient)?)
        }
        Op::NoNewPrivs => Ok(prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0).map(drop)?),
        Op::NewSession => {
            // SAFETY: it takes nothing.
            Ok(checked(unsafe { libc::syscall(libc::SYS_setsid) }).map(drop)?)
        }
        Op::ControllingTerminal(fd) => {
            // SAFETY: it takes two numbers.
            Ok(checked(unsafe { libc::syscall(libc::SYS_ioctl, fd.as_raw_fd(), libc::TIOCSCTTY, 0) }).map(drop)?)
        }
        Op::ProcessGroup(terminal) => Ok(process_group(terminal.as_deref())?),
        Op::OwnMounts(mounts) => Ok(own_mounts(*mounts)?),
        Op::Stdio(fds) => Ok(stdio([fds[0].as_raw_fd(), fds[1].as_raw_fd(), fds[2].as_raw_fd()])?),
        Op::CloseOthers { keep, end } => Ok(close_others(keep, *end)?),
        Op::Signals { blocked } => Ok(signals(*blocked)?),
        Op::Guard | Op::Fork | Op::ExecContext { .. } | Op::ReadBelow { .. } | Op::Exec(_) | Op::End => Ok(()),
    }
}

fn prctl(option: c_int, a: u64, b: u64) -> Result<c_long, Errno> {
    // SAFETY: none of the options used here takes a pointer.
    checked(unsafe { libc::syscall(libc::SYS_prctl, option, a, b, 0, 0) })
}

fn guard(parent: Option<c_int>) -> Done {
    prctl(libc::PR_SET_DUMPABLE, 0, 0)?;
    prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0)?;
    // SAFETY: it takes nothing.
    let has_parent = unsafe { libc::syscall(libc::SYS_getppid) } as c_int;
    // It may have ended before; from within another PID namespace it cannot be seen.
    match parent {
        Some(parent) if has_parent != parent && has_parent != 0 => exit(125),
        _ => Ok(()),
    }
}

fn process_group(terminal: Option<&OwnedFd>) -> Result<(), Errno> {
    // SAFETY: it takes two numbers.
    checked(unsafe { libc::syscall(libc::SYS_setpgid, 0, 0) })?;
    let Some(terminal) = terminal else { return Ok(()) };
    // SAFETY: it takes nothing. This is the number that its own PID namespace has, which is what the terminal takes.
    let group = unsafe { libc::syscall(libc::SYS_getpid) } as c_int;
    // SAFETY: it reads one number.
    checked(unsafe { libc::syscall(libc::SYS_ioctl, terminal.as_raw_fd(), libc::TIOCSPGRP, &raw const group) })
        .map(drop)
}

fn own_mounts(mounts: OwnMounts) -> Result<(), Errno> {
    // SAFETY: it takes a number.
    checked(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWNS) })?;
    mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_PRIVATE)?;
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    if mounts.proc {
        mount(c"proc", c"/proc", c"proc", flags)?;
    }
    if !mounts.sys {
        return Ok(());
    }
    match mount(c"sysfs", c"/sys", c"sysfs", flags) {
        // Nothing is better than what another network namespace has.
        Err(Errno::PERM) => mount(c"none", c"/sys", c"tmpfs", flags | libc::MS_RDONLY),
        Err(Errno::NOENT) => Ok(()),
        mounted => mounted,
    }
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: libc::c_ulong) -> Result<(), Errno> {
    let (source, target, kind) = (source.as_ptr(), target.as_ptr(), kind.as_ptr());
    // SAFETY: all three are strings, and there are no options.
    checked(unsafe { libc::syscall(libc::SYS_mount, source, target, kind, flags, 0) }).map(drop)
}

fn setns(fd: c_int, flags: u32) -> Result<(), Errno> {
    // SAFETY: it takes two numbers.
    checked(unsafe { libc::syscall(libc::SYS_setns, fd, flags) }).map(drop)
}

fn namespaces(enter: &Enter) -> Done {
    if let Some((pidfd, mask)) = &enter.process {
        match setns(pidfd.as_raw_fd(), *mask) {
            Ok(()) => return Ok(()),
            // Not known to the kernel, or to a filter of system calls.
            Err(Errno::INVAL | Errno::NOSYS | Errno::BADF) => {}
            Err(errno) => return Err(Failure { detail: *mask, errno }),
        }
    }
    let mut left: u32 = 0;
    let user = enter.namespaces.iter().find(|(_, flag)| *flag == CLONE_NEWUSER);
    let others = || enter.namespaces.iter().filter(|(_, flag)| *flag != CLONE_NEWUSER);
    for (fd, flag) in others() {
        match setns(fd.as_raw_fd(), *flag) {
            Ok(()) => {}
            Err(Errno::PERM) if user.is_some() => left |= flag,
            Err(errno) => return Err(Failure { detail: *flag, errno }),
        }
    }
    let Some((fd, flag)) = user else { return Ok(()) };
    setns(fd.as_raw_fd(), *flag).map_err(|errno| Failure { detail: *flag, errno })?;
    for (fd, flag) in others().filter(|(_, flag)| left & flag != 0) {
        setns(fd.as_raw_fd(), *flag).map_err(|errno| Failure { detail: *flag, errno })?;
    }
    Ok(())
}

fn write(fd: c_int, bytes: &[u8]) -> Result<(), Errno> {
    // SAFETY: the bytes are there.
    let written = checked(unsafe { libc::syscall(libc::SYS_write, fd, bytes.as_ptr(), bytes.len()) })?;
    if written as usize == bytes.len() { Ok(()) } else { Err(Errno::IO) }
}

fn write_below(directory: c_int, path: &CStr, bytes: &[u8]) -> Result<(), Errno> {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: the path is a string.
    let fd = checked(unsafe { libc::syscall(libc::SYS_openat, directory, path.as_ptr(), flags, 0) })? as c_int;
    let written = write(fd, bytes);
    // SAFETY: it was opened here.
    unsafe { libc::syscall(libc::SYS_close, fd) };
    written
}

/// Closes at once, as far as the kernel can. The descriptors are 3 or above.
fn close_all_but(mut keep: [c_int; 4]) {
    keep.sort_unstable();
    let mut from = 0;
    for fd in keep {
        if fd > from {
            // SAFETY: it takes numbers; nothing in this child uses those descriptors any more.
            unsafe { libc::syscall(libc::SYS_close_range, from, fd - 1, 0) };
        }
        from = from.max(fd + 1);
    }
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_close_range, from, c_uint::MAX, 0) };
}

/// Reads a file that is somebody else's: what is not a regular file is not opened but to be looked at.
fn read_below([directory, procfs, to]: [c_int; 3], path: &CStr, most: u64) -> Result<(), Errno> {
    // SAFETY: the structure is plain numbers; all zeros is a value of it.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let size = size_of::<libc::open_how>();
    // SAFETY: the path is a string, and the kernel reads as many bytes of the structure as it is told.
    let pinned = unsafe { libc::syscall(libc::SYS_openat2, directory, path.as_ptr(), &raw const how, size) };
    let pinned = checked(pinned)? as c_int;
    let mut stat = MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT;
    let (empty, mask) = (c"".as_ptr(), libc::STATX_TYPE);
    // SAFETY: the path is a string, and there is room for what is written.
    checked(unsafe { libc::syscall(libc::SYS_statx, pinned, empty, flags, mask, stat.as_mut_ptr()) })?;
    // SAFETY: it was zeroed, and is plain numbers.
    let stat = unsafe { stat.assume_init() };
    if u32::from(stat.stx_mode) & libc::S_IFMT != libc::S_IFREG {
        return Err(Errno::NXIO);
    }
    let flags = libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY | libc::O_CLOEXEC;
    let link = link_of(pinned);
    // SAFETY: the path is a string, as it ends with a zero.
    let file = checked(unsafe { libc::syscall(libc::SYS_openat, procfs, link.as_ptr(), flags, 0) })? as c_int;
    let mut bytes = [0_u8; 4096];
    let mut left = most;
    loop {
        // SAFETY: there is room for as many bytes.
        let got = checked(unsafe { libc::syscall(libc::SYS_read, file, bytes.as_mut_ptr(), bytes.len()) })? as usize;
        if got == 0 {
            return Ok(());
        }
        left = left.checked_sub(got as u64).ok_or(Errno::FBIG)?;
        write(to, bytes.get(..got).unwrap_or_default())?;
    }
}

/// `thread-self/fd/` and the number, as a string.
fn link_of(fd: c_int) -> [u8; 32] {
    const FDS: &[u8; 15] = b"thread-self/fd/";
    let mut link = [0; 32];
    let (mut digits, mut rest) = (1, fd.unsigned_abs());
    while rest > 9 {
        (digits, rest) = (digits + 1, rest / 10);
    }
    let mut number = fd.unsigned_abs();
    for (at, byte) in link.iter_mut().enumerate().take(FDS.len() + digits).rev() {
        *byte = match FDS.get(at) {
            Some(byte) => *byte,
            None => b'0' + (number % 10) as u8,
        };
        if at >= FDS.len() {
            number /= 10;
        }
    }
    link
}

fn session_keyring() -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: c_int = 1;
    // SAFETY: no name is a null pointer.
    let joined = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0) };
    match checked(joined) {
        // There are no keyrings to be had.
        Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        done => done.map(drop),
    }
}

fn change_directory(fd: c_int) -> Result<(), Errno> {
    // SAFETY: it takes a number.
    checked(unsafe { libc::syscall(libc::SYS_fchdir, fd) }).map(drop)
}

fn root(fd: c_int) -> Result<(), Errno> {
    change_directory(fd)?;
    // SAFETY: the path is a string.
    checked(unsafe { libc::syscall(libc::SYS_chroot, c".".as_ptr()) }).map(drop)
}

fn working_directory(fd: c_int) -> Result<(), Errno> {
    change_directory(fd)?;
    let mut path = [0_u8; 4096];
    // SAFETY: it writes at most as many bytes as there are.
    let got = checked(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) });
    // "(unreachable)/...", or one that is deleted.
    if got.is_ok() && path[0] == b'/' || got == Err(Errno::RANGE) {
        return Ok(());
    }
    // SAFETY: the path is a string.
    checked(unsafe { libc::syscall(libc::SYS_chdir, c"/".as_ptr()) }).map(drop)
}

fn set_groups(gids: &[u32]) -> Result<(), Errno> {
    // SAFETY: the numbers are there. The call itself, not libc's, which would have all threads do it.
    checked(unsafe { libc::syscall(libc::SYS_setgroups, gids.len(), gids.as_ptr()) }).map(drop)
}

fn set_ids(call: c_long, ids: [u32; 3]) -> Result<(), Errno> {
    // SAFETY: it takes three numbers. The call itself, as above.
    checked(unsafe { libc::syscall(call, ids[0], ids[1], ids[2]) }).map(drop)
}

/// `struct __user_cap_header_struct` of `linux/capability.h`.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

/// The lower and the upper halves of the effective, the permitted and the inheritable set.
type CapData = [[u32; 3]; 2];

const OWN: CapHeader = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };

/// The child's own effective, permitted and inheritable set.
fn get_capabilities() -> Result<[u64; 3], Errno> {
    let mut header = OWN;
    let mut data: CapData = [[0; 3]; 2];
    // SAFETY: version 3 is two elements, which are there.
    checked(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) })?;
    let whole = |set: usize| u64::from(data[0][set]) | u64::from(data[1][set]) << 32;
    Ok([whole(0), whole(1), whole(2)])
}

fn set_capabilities(sets: [u64; 3]) -> Result<(), Errno> {
    let mut header = OWN;
    let half = |shift: u32| [(sets[0] >> shift) as u32, (sets[1] >> shift) as u32, (sets[2] >> shift) as u32];
    let data: CapData = [half(0), half(32)];
    // SAFETY: as above.
    checked(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) }).map(drop)
}

/// All capabilities that the kernel has, which are those of which it says whether the bounding set has them.
fn in_bounding_set(capability: u32) -> Option<bool> {
    prctl(libc::PR_CAPBSET_READ, capability.into(), 0).ok().map(|is_in| is_in == 1)
}

fn inheritable(set: u64) -> Result<(), Errno> {
    let [_, permitted, before] = get_capabilities()?;
    let bounded =
        (0..u64::BITS).filter(|&bit| in_bounding_set(bit) == Some(true)).fold(0, |all, bit| all | 1_u64 << bit);
    // What is permitted becomes effective: CAP_SETPCAP among it, if that can be had.
    set_capabilities([permitted, permitted, set & (before | bounded)])
        .or_else(|_| set_capabilities([permitted, permitted, set & (before | permitted & bounded)]))
}

fn bounding(set: u64) -> Result<(), Errno> {
    for capability in (0..u64::BITS).filter(|&bit| set >> bit & 1 == 0) {
        if in_bounding_set(capability) == Some(true) {
            prctl(libc::PR_CAPBSET_DROP, capability.into(), 0)?;
        }
    }
    Ok(())
}

fn capabilities(wanted: [u64; 3], ambient: u64) -> Result<(), Errno> {
    let [_, permitted, inheritable] = get_capabilities()?;
    prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0)?;
    let sets = [wanted[0] & wanted[1] & permitted, wanted[1] & permitted, wanted[2] & inheritable];
    set_capabilities(sets)?;
    for capability in (0..u64::BITS).filter(|&bit| (ambient & sets[1] & sets[2]) >> bit & 1 == 1) {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, capability.into())?;
    }
    Ok(())
}

fn exec_context(prepared: &[u8], procfs: c_int, path: &CStr, text: &[u8]) -> Done {
    let (pointer, length) = (prepared.as_ptr(), prepared.len() as c_uint);
    // SAFETY: the structure is there, and says itself how long it is.
    let set = unsafe { libc::syscall(SYS_LSM_SET_SELF_ATTR, LSM_ATTR_EXEC, pointer, length, 0) };
    match checked(set) {
        Ok(_) => Ok(()),
        // Before 6.8; or denied by a filter that does not know it.
        Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) => Ok(write_below(procfs, path, text)?),
        Err(errno) => Err(errno.into()),
    }
}

fn stdio(fds: [c_int; 3]) -> Result<(), Errno> {
    for (number, fd) in fds.into_iter().enumerate() {
        // SAFETY: they are numbers, and the copy is meant to take the place of what was there.
        checked(unsafe { libc::syscall(libc::SYS_dup3, fd, number as c_int, 0) })?;
    }
    Ok(())
}

fn close_others(keep: &[i32], end: u32) -> Result<(), Errno> {
    let mut from: c_uint = 3;
    for &fd in keep {
        set_close_on_exec(fd, false)?;
        let fd = fd.cast_unsigned();
        if fd > from {
            close_range_on_exec(from, fd - 1, end)?;
        }
        from = from.max(fd + 1);
    }
    close_range_on_exec(from, c_uint::MAX, end)
}

fn close_range_on_exec(first: c_uint, last: c_uint, end: u32) -> Result<(), Errno> {
    // SAFETY: it takes three numbers, and closes nothing yet.
    let set = unsafe { libc::syscall(libc::SYS_close_range, first, last, libc::CLOSE_RANGE_CLOEXEC) };
    match checked(set) {
        // Before 5.11; or denied by a filter that does not know it.
        Err(Errno::NOSYS | Errno::INVAL | Errno::PERM) => {
            for fd in first..end.min(last.saturating_add(1)) {
                match set_close_on_exec(fd.cast_signed(), true) {
                    Ok(()) | Err(Errno::BADF) => {}
                    Err(errno) => return Err(errno),
                }
            }
            Ok(())
        }
        done => done.map(drop),
    }
}

fn set_close_on_exec(fd: c_int, close: bool) -> Result<(), Errno> {
    let flags = if close { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: it takes numbers.
    checked(unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_SETFD, flags) }).map(drop)
}

fn signals(blocked: u64) -> Result<(), Errno> {
    for signal in 1..=SIGNALS {
        let mut action = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: it writes what it is given room for; a zeroed one is valid as well, and the default action.
        let known = unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) };
        // SAFETY: see above.
        let mut action = unsafe { action.assume_init() };
        let is_ignored = action.sa_sigaction == libc::SIG_IGN && signal != libc::SIGPIPE;
        if known == 0 && !is_ignored && action.sa_sigaction != libc::SIG_DFL {
            action.sa_sigaction = libc::SIG_DFL;
            action.sa_flags = 0;
            // SAFETY: it reads an action that the kernel has just given, with another handler, which is none.
            unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) };
        }
    }
    // SAFETY: the kernel's set is these eight bytes.
    let set =
        unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const blocked, 0, size_of::<u64>()) };
    checked(set).map(drop)
}
