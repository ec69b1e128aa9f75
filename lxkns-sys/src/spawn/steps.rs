//! The intermediate, which carries out the steps. It has a copy of the memory of a process whose other threads do not
//! exist here and can have held locks. So nothing here allocates, locks, panics or returns: it only makes system calls.

use std::ffi::{CStr, c_int, c_long, c_uint};
use std::mem::MaybeUninit;
use std::os::fd::AsRawFd;

use rustix::io::Errno;

use super::failure::{Done, Failure, Refusal};
use super::wait::{Message, STOP_WATCHING};
use super::{Cover, Directory, Enter, Limit, Op, checked, credentials, launch, stream};

const CLONE_NEWUSER: u32 = libc::CLONE_NEWUSER as u32;
const LSM_ATTR_EXEC: c_uint = 101;
const SYS_LSM_SET_SELF_ATTR: c_long = 460;
/// The highest number of a signal.
const SIGNALS: c_int = 64;

/// The steps, with data that is prepared before the fork.
pub(super) struct Prepared<'a> {
    ops: &'a [Op],
    launch: Option<&'a launch::Prepared>,
    writer: c_int,
    parent: c_int,
    /// A `struct lsm_ctx` for each step that sets one, in the order of the steps.
    contexts: Vec<Vec<u8>>,
}

impl<'a> Prepared<'a> {
    pub(super) fn new(ops: &'a [Op], launch: Option<&'a launch::Prepared>, writer: c_int) -> Self {
        let contexts = ops.iter().filter_map(|op| match op {
            Op::ExecContext { module, context, .. } => Some(lsm_ctx(*module, context)),
            _ => None,
        });
        Self { ops, launch, writer, parent: std::process::id().cast_signed(), contexts: contexts.collect() }
    }

    /// Carries out the steps, and exits in any case.
    pub(super) fn run(&self) -> ! {
        let mut context = 0;
        for (index, op) in self.ops.iter().enumerate() {
            self.tell([Message::AT, index as u32, 0, 0]);
            let done = match op {
                Op::Guard => guard(self.parent),
                Op::ExecContext { procfs, path, context: text, .. } => {
                    let prepared = self.contexts.get(context).map_or(&[][..], Vec::as_slice);
                    context += 1;
                    exec_context(prepared, procfs.as_raw_fd(), path, text)
                }
                Op::ReadBelow { directory, path, procfs, to, most } => {
                    let fds = [directory.as_raw_fd(), procfs.as_raw_fd(), to.as_raw_fd()];
                    close_all_but(&mut [fds[0], fds[1], fds[2], self.writer]);
                    read_below(fds, path, *most)
                }
                Op::LookUp { root, path, follow, name } => {
                    let root = root.as_ref().map_or(self.writer, |root| root.as_raw_fd());
                    close_all_but(&mut [root, root, root, self.writer]);
                    let root = Some(root).filter(|&root| root != self.writer);
                    stream::look_up_below(root, path, *follow, name).map_err(Failure::from)
                }
                Op::Stream { path, name, to } => {
                    let to = to.as_raw_fd();
                    close_all_but(&mut [to, to, to, self.writer]);
                    stream::copy(path, name, to)
                }
                Op::Attribute { file, link, attribute, name, to } => {
                    let [file, to] = [file.as_raw_fd(), to.as_raw_fd()];
                    close_all_but(&mut [file, to, to, self.writer]);
                    stream::attribute(link, attribute, name, to).map_err(Failure::from)
                }
                Op::CloseOthers { keep, end } => self.close_others(keep, *end).map_err(Failure::from),
                other => perform(other),
            };
            if let Err(failure) = done {
                let [detail, errno] = failure.numbers();
                self.tell([Message::FAILED, index as u32, detail, errno]);
                exit(125);
            }
        }
        self.tell([Message::DONE, 0, 0, 0]);
        if let Some(launch) = self.launch {
            self.launch(launch);
        }
        exit(0)
    }

    /// Starts the process that runs the command, which is visible from its first instruction on, and guards it.
    fn launch(&self, launch: &launch::Prepared) -> ! {
        launch.wait_for_go_ahead();
        reset_signals();
        // SAFETY: the pipe is not used any more.
        unsafe { libc::syscall(libc::SYS_close, self.writer) };
        // From here on, this process must outlive the caller, to kill the process that it starts. SAFETY: the option
        // takes a number.
        let _ = unsafe { prctl(libc::PR_SET_PDEATHSIG, 0, 0) };
        // The caller can have ended before that call.
        if !is_child_of(self.parent) {
            exit(125);
        }
        match launch.start() {
            Ok(child) => watch(child, self.parent, launch.writer()),
            Err(_) => exit(125),
        }
    }

    fn close_others(&self, keep: &[c_int], end: c_uint) -> Result<(), Errno> {
        let needed = self.launch.map_or([-1; 3], launch::Prepared::descriptors);
        let mut from: c_int = 3;
        loop {
            let needed = needed.iter().chain([&self.writer]);
            let next = keep.iter().chain(needed).copied().filter(|&fd| fd >= from).min();
            close_range(from, next.map_or(c_int::MAX, |next| next - 1), end);
            match next {
                Some(fd) => {
                    if keep.contains(&fd) {
                        set_close_on_exec(fd, false)?;
                    }
                    from = fd + 1;
                }
                None => return Ok(()),
            }
        }
    }

    /// Sends a message; exits if the caller does not read the pipe any more.
    fn tell(&self, message: [u32; 4]) {
        let bytes = Message(message).bytes();
        // SAFETY: the buffer has that many bytes.
        let written = unsafe { libc::write(self.writer, bytes.as_ptr().cast(), bytes.len()) };
        if written == -1 {
            exit(125);
        }
    }
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
        // SAFETY: it takes a number and does not return.
        unsafe { libc::syscall(libc::SYS_exit_group, code) };
    }
}

/// Starts a process with a copy of the memory of this one, as `fork(2)` does. In it, the answer is 0.
///
/// # Safety
///
/// The new process only makes system calls: it neither allocates nor locks, as another thread of its parent can have held
/// a lock.
pub(super) unsafe fn fork() -> Result<c_int, Errno> {
    // SAFETY: the caller's. Without CLONE_VM and a stack, the new process goes on here with memory of its own.
    let pid = unsafe { libc::syscall(libc::SYS_clone, c_long::from(libc::SIGCHLD), 0, 0, 0, 0) };
    checked(pid).map(|pid| pid as c_int)
}

/// The same, in a control group.
///
/// # Safety
///
/// As for [`fork`].
pub(super) unsafe fn fork_into(cgroup: c_int) -> Result<c_int, Errno> {
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
    // SAFETY: as in `fork`; the kernel reads as many bytes as the size argument says.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    checked(pid).map(|pid| pid as c_int)
}

/// Blocks all signals, and returns those that were blocked before: the caller's handlers must not run in its child.
pub(super) fn block_signals() -> libc::sigset_t {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: it initializes the set.
    unsafe { libc::sigfillset(all.as_mut_ptr()) };
    // SAFETY: it reads one set, which is initialized, and writes the other.
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
        Op::Enter(enter) => namespaces(enter),
        Op::Write(fd, bytes) => write(fd.as_raw_fd(), bytes),
        Op::WriteBelow(directory, path, bytes) => write_below(directory.as_raw_fd(), path, bytes),
        Op::SessionKeyring => Ok(session_keyring()?),
        Op::Root(directory) => root(directory),
        Op::WorkingDirectory(directory) => Ok(working_directory(directory)?),
        Op::Groups { gids, or_stay } => match credentials::set_groups(gids) {
            Err(Errno::PERM) if *or_stay => Ok(()),
            done => Ok(done?),
        },
        // On 64-bit machines, the call of this name takes 32-bit IDs.
        Op::Gids(gids) => Ok(credentials::set_ids(libc::SYS_setresgid, *gids)?),
        Op::Uids(uids) => {
            // SAFETY: the option takes a number.
            unsafe { prctl(libc::PR_SET_KEEPCAPS, 1, 0) }?;
            Ok(credentials::set_ids(libc::SYS_setresuid, *uids)?)
        }
        Op::Inheritable(set) => Ok(credentials::inheritable(*set)?),
        Op::Bounding(set) => Ok(credentials::bounding(*set)?),
        Op::Capabilities { permitted, effective, inheritable, ambient } => {
            Ok(credentials::capabilities([*effective, *permitted, *inheritable], *ambient)?)
        }
        Op::Securebits(bits) => {
            // SAFETY: the option takes a number.
            Ok(unsafe { prctl(libc::PR_SET_SECUREBITS, (*bits).into(), 0) }.map(drop)?)
        }
        Op::NoNewPrivs => {
            // SAFETY: the option takes a number.
            Ok(unsafe { prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0) }.map(drop)?)
        }
        Op::NewSession => {
            // SAFETY: it takes nothing.
            Ok(checked(unsafe { libc::syscall(libc::SYS_setsid) }).map(drop)?)
        }
        Op::OwnMounts => Ok(own_mounts()?),
        Op::Cover(cover) => Ok(mount_over(*cover)?),
        Op::Limits { limits, only_raise } => Ok(set_limits(limits, *only_raise)?),
        Op::Umask(mask) => {
            // SAFETY: it takes a number.
            unsafe { libc::syscall(libc::SYS_umask, *mask) };
            Ok(())
        }
        Op::Affinity(cpus) => Ok(affinity(cpus)?),
        Op::Nice(nice) => Ok(set_nice(*nice)?),
        Op::IoPriority(priority) => Ok(io_priority(*priority)?),
        Op::Personality(domain) => {
            // SAFETY: it takes a number.
            Ok(checked(unsafe { libc::syscall(libc::SYS_personality, c_long::from(*domain)) }).map(drop)?)
        }
        Op::Descriptors(fds) => Ok(descriptors(fds.iter().map(|(fd, number)| (fd.as_raw_fd(), *number)))?),
        Op::Guard
        | Op::ExecContext { .. }
        | Op::ReadBelow { .. }
        | Op::LookUp { .. }
        | Op::Stream { .. }
        | Op::Attribute { .. }
        | Op::CloseOthers { .. } => Ok(()),
    }
}

/// `prctl(2)` with numbers.
///
/// # Safety
///
/// The option takes no pointer.
pub(super) unsafe fn prctl(option: c_int, a: u64, b: u64) -> Result<c_long, Errno> {
    // SAFETY: the caller's.
    checked(unsafe { libc::syscall(libc::SYS_prctl, option, a, b, 0, 0) })
}

fn guard(parent: c_int) -> Done {
    // SAFETY: the option takes a number.
    unsafe { prctl(libc::PR_SET_DUMPABLE, 0, 0) }?;
    // SAFETY: as above.
    unsafe { prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL as u64, 0) }?;
    // The caller can have ended before.
    if is_child_of(parent) { Ok(()) } else { exit(125) }
}

/// Whether the caller lives: otherwise this process has another parent by now.
fn is_child_of(parent: c_int) -> bool {
    // SAFETY: it takes nothing.
    unsafe { libc::syscall(libc::SYS_getppid) as c_int == parent }
}

/// Waits until the launched process has ended, or until the caller kills this process because the command runs. If the
/// caller ends first, kills the launched process. Keeps no pipe open whose end another process waits for.
fn watch(child: c_int, parent: c_int, writer: c_int) -> ! {
    close_all_but(&mut [-1; 4]);
    // SAFETY: the descriptor is not used any more. Old kernels did not close it above.
    unsafe { libc::syscall(libc::SYS_close, writer) };
    let open = |pid: c_int| {
        // SAFETY: it takes numbers.
        unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) as c_int }
    };
    let (child_fd, parent_fd) = (open(child), open(parent));
    let asked: u64 = 1 << (STOP_WATCHING.as_raw() - 1);
    // SAFETY: the kernel's signal set has these eight bytes.
    let asked_fd = unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const asked, size_of::<u64>(), 0) as c_int };
    let kill = || {
        match child_fd {
            // SAFETY: it takes numbers. The PID is the child's until the caller waits for it.
            -1 => unsafe { libc::syscall(libc::SYS_kill, child, libc::SIGKILL) },
            // SAFETY: it takes numbers, and no information about the signal.
            _ => unsafe { libc::syscall(libc::SYS_pidfd_send_signal, child_fd, libc::SIGKILL, 0, 0) },
        };
        exit(125)
    };
    loop {
        // If the caller still lives, the pidfd is of the caller and not of another process with its PID.
        if !is_child_of(parent) {
            kill();
        }
        let mut fds = [child_fd, parent_fd, asked_fd].map(|fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 });
        // If a descriptor could not be opened, check the parent at intervals.
        let wait = if fds.iter().any(|fd| fd.fd == -1) { 20 } else { -1 };
        // SAFETY: the array has three structures.
        unsafe { libc::poll(fds.as_mut_ptr(), 3, wait) };
        if fds[1].revents != 0 || fds[2].revents != 0 {
            kill();
        }
        if fds[0].revents != 0 {
            exit(0);
        }
    }
}

fn own_mounts() -> Result<(), Errno> {
    // SAFETY: it takes a number.
    checked(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWNS) })?;
    mount(c"none", c"/", c"none", libc::MS_REC | libc::MS_PRIVATE)
}

fn mount_over(cover: Cover) -> Result<(), Errno> {
    let flags = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let nothing = |over: &CStr| mount(c"none", over, c"tmpfs", flags | libc::MS_RDONLY);
    let mounted = match cover {
        Cover::Proc => mount(c"proc", c"/proc", c"proc", flags),
        Cover::NoProc => nothing(c"/proc"),
        Cover::Sys => match mount(c"sysfs", c"/sys", c"sysfs", flags) {
            // An empty directory is better than the sysfs of another network namespace.
            Err(Errno::PERM) => nothing(c"/sys"),
            mounted => mounted,
        },
    };
    match mounted {
        Err(Errno::NOENT) => Ok(()),
        mounted => mounted,
    }
}

fn mount(source: &CStr, target: &CStr, kind: &CStr, flags: libc::c_ulong) -> Result<(), Errno> {
    let (source, target, kind) = (source.as_ptr(), target.as_ptr(), kind.as_ptr());
    // SAFETY: all three are C strings, and there are no options.
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
            // The kernel or a filter of system calls does not know this call.
            Err(Errno::INVAL | Errno::NOSYS | Errno::BADF) => {}
            Err(errno) => return Err(Failure::Call { detail: *mask, errno }),
        }
    }
    let mut left: u32 = 0;
    let user = enter.namespaces.iter().find(|(_, flag)| *flag == CLONE_NEWUSER);
    let others = || enter.namespaces.iter().filter(|(_, flag)| *flag != CLONE_NEWUSER);
    for (fd, flag) in others() {
        match setns(fd.as_raw_fd(), *flag) {
            Ok(()) => {}
            Err(Errno::PERM) if user.is_some() => left |= flag,
            Err(errno) => return Err(Failure::Call { detail: *flag, errno }),
        }
    }
    let Some((fd, flag)) = user else { return Ok(()) };
    setns(fd.as_raw_fd(), *flag).map_err(|errno| Failure::Call { detail: *flag, errno })?;
    for (fd, flag) in others().filter(|(_, flag)| left & flag != 0) {
        setns(fd.as_raw_fd(), *flag).map_err(|errno| Failure::Call { detail: *flag, errno })?;
    }
    Ok(())
}

fn write(fd: c_int, bytes: &[u8]) -> Done {
    // SAFETY: the bytes are there.
    let written = checked(unsafe { libc::syscall(libc::SYS_write, fd, bytes.as_ptr(), bytes.len()) })?;
    if written as usize == bytes.len() { Ok(()) } else { Err(Refusal::PartlyWritten.into()) }
}

fn write_below(directory: c_int, path: &CStr, bytes: &[u8]) -> Done {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: the path is a string.
    let fd = checked(unsafe { libc::syscall(libc::SYS_openat, directory, path.as_ptr(), flags, 0) })? as c_int;
    let written = write(fd, bytes);
    // SAFETY: it was opened here.
    unsafe { libc::syscall(libc::SYS_close, fd) };
    written
}

/// Closes all other descriptors, if the kernel can do that in one call. Negative numbers stand for none.
fn close_all_but(keep: &mut [c_int; 4]) {
    keep.sort_unstable();
    let mut from = 0;
    for &mut fd in keep {
        if fd > from {
            // SAFETY: it takes numbers; this child does not use those descriptors any more.
            unsafe { libc::syscall(libc::SYS_close_range, from, fd - 1, 0) };
        }
        from = from.max(fd + 1);
    }
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_close_range, from, c_uint::MAX, 0) };
}

/// Reads a file that another user can have made: anything but a regular file is opened with `O_PATH` alone.
fn read_below([directory, procfs, to]: [c_int; 3], path: &CStr, most: u64) -> Done {
    // SAFETY: the structure consists of integers, for which zeros are valid.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (libc::O_PATH | libc::O_CLOEXEC) as u64;
    how.resolve = libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS;
    let size = size_of::<libc::open_how>();
    // SAFETY: the path is a C string, and the kernel reads as many bytes of the structure as the size argument says.
    let pinned = unsafe { libc::syscall(libc::SYS_openat2, directory, path.as_ptr(), &raw const how, size) };
    let pinned = checked(pinned)? as c_int;
    let mut stat = MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT;
    let (empty, mask) = (c"".as_ptr(), libc::STATX_TYPE);
    // SAFETY: the path is a C string, and there is room for the result.
    checked(unsafe { libc::syscall(libc::SYS_statx, pinned, empty, flags, mask, stat.as_mut_ptr()) })?;
    // SAFETY: it was zeroed and consists of integers.
    let stat = unsafe { stat.assume_init() };
    if u32::from(stat.stx_mode) & libc::S_IFMT != libc::S_IFREG {
        return Err(Refusal::NotRegular.into());
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
        left = left.checked_sub(got as u64).ok_or(Refusal::TooLarge)?;
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
        // The kernel has no keyrings, or a filter denies them.
        Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        done => done.map(drop),
    }
}

fn change_directory(fd: c_int) -> Result<(), Errno> {
    // SAFETY: it takes a number.
    checked(unsafe { libc::syscall(libc::SYS_fchdir, fd) }).map(drop)
}

/// Changes to a directory: by its path in a mount namespace of the child's own, whose mounts are copies.
fn change_to(directory: &Directory) -> Done {
    let Some(path) = &directory.path else { return Ok(change_directory(directory.fd.as_raw_fd())?) };
    // SAFETY: the path is a string.
    checked(unsafe { libc::syscall(libc::SYS_chdir, path.as_ptr()) })?;
    let wanted = identity(directory.fd.as_raw_fd(), c"")?;
    if identity(libc::AT_FDCWD, c".")? == wanted { Ok(()) } else { Err(Refusal::OtherDirectory.into()) }
}

/// Device and inode number.
fn identity(at: c_int, path: &CStr) -> Result<[u64; 3], Errno> {
    let mut stat = MaybeUninit::<libc::statx>::zeroed();
    let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC | libc::AT_NO_AUTOMOUNT;
    let (path, mask) = (path.as_ptr(), libc::STATX_INO);
    // SAFETY: the path is a string, and there is room for what is written.
    checked(unsafe { libc::syscall(libc::SYS_statx, at, path, flags, mask, stat.as_mut_ptr()) })?;
    // SAFETY: it was zeroed and consists of integers.
    let stat = unsafe { stat.assume_init() };
    Ok([stat.stx_dev_major.into(), stat.stx_dev_minor.into(), stat.stx_ino])
}

fn root(directory: &Directory) -> Done {
    change_to(directory)?;
    // SAFETY: the path is a string.
    checked(unsafe { libc::syscall(libc::SYS_chroot, c".".as_ptr()) })?;
    Ok(())
}

fn working_directory(directory: &Directory) -> Result<(), Errno> {
    let mut path = [0_u8; 4096];
    if change_to(directory).is_ok() {
        // SAFETY: it writes at most as many bytes as there are.
        let got = checked(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) });
        // "(unreachable)/...", or one that is deleted.
        if got.is_ok() && path[0] == b'/' || got == Err(Errno::RANGE) {
            return Ok(());
        }
    } else if directory.path.is_none() {
        return change_directory(directory.fd.as_raw_fd());
    }
    // SAFETY: the path is a string.
    checked(unsafe { libc::syscall(libc::SYS_chdir, c"/".as_ptr()) }).map(drop)
}

fn set_limits(limits: &[Limit], only_raise: bool) -> Result<(), Errno> {
    for &Limit { resource, soft, hard } in limits {
        let mut had = [0_u64; 2];
        // SAFETY: there is room for two numbers.
        checked(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, 0, had.as_mut_ptr()) })?;
        let wanted = if only_raise { [had[0], had[1].max(hard)] } else { [soft, hard] };
        let set = |limit: [u64; 2]| {
            // SAFETY: it reads two numbers.
            checked(unsafe { libc::syscall(libc::SYS_prlimit64, 0, resource, limit.as_ptr(), 0) })
        };
        match set(wanted) {
            // It may not be raised so far.
            Err(Errno::PERM) if !only_raise => drop(set([soft.min(had[1]), hard.min(had[1])])?),
            Err(Errno::PERM) => {}
            set => drop(set?),
        }
    }
    Ok(())
}

fn affinity(cpus: &[u8]) -> Result<(), Errno> {
    // SAFETY: it reads as many bytes as there are.
    match checked(unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, cpus.len(), cpus.as_ptr()) }) {
        // None of them is left for its control group.
        Err(Errno::INVAL) => Ok(()),
        set => set.map(drop),
    }
}

fn set_nice(nice: i32) -> Result<(), Errno> {
    let set = |nice: i32| {
        // SAFETY: it takes numbers.
        checked(unsafe { libc::syscall(libc::SYS_setpriority, libc::PRIO_PROCESS, 0, nice) })
    };
    let mut nice = nice;
    loop {
        match set(nice) {
            // As low as is allowed: what it has, at the latest.
            Err(Errno::ACCESS | Errno::PERM) if nice < 19 => nice += 1,
            set => return set.map(drop),
        }
    }
}

fn io_priority(priority: u32) -> Result<(), Errno> {
    const IOPRIO_WHO_PROCESS: c_int = 1;
    // SAFETY: it takes numbers.
    match checked(unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, priority) }) {
        // Real time takes a privilege. It may also be missing.
        Err(Errno::PERM | Errno::NOSYS) => Ok(()),
        set => set.map(drop),
    }
}

fn exec_context(prepared: &[u8], procfs: c_int, path: &CStr, text: &[u8]) -> Done {
    let (pointer, length) = (prepared.as_ptr(), prepared.len() as c_uint);
    // SAFETY: the structure is there, and says itself how long it is.
    let set = unsafe { libc::syscall(SYS_LSM_SET_SELF_ATTR, LSM_ATTR_EXEC, pointer, length, 0) };
    match checked(set) {
        Ok(_) => Ok(()),
        // Before 6.8; or denied by a filter that does not know it.
        Err(Errno::NOSYS | Errno::OPNOTSUPP | Errno::PERM | Errno::INVAL) => write_below(procfs, path, text),
        Err(errno) => Err(errno.into()),
    }
}

/// Gives descriptors other numbers.
fn descriptors(fds: impl Iterator<Item = (c_int, c_int)>) -> Result<(), Errno> {
    for (fd, number) in fds {
        // SAFETY: they are numbers, and the copy is meant to take the place of what was there.
        checked(unsafe { libc::syscall(libc::SYS_dup3, fd, number, 0) })?;
    }
    Ok(())
}

/// Closes all from the first to the last. No open one is at `end` or above.
fn close_range(first: c_int, last: c_int, end: c_uint) {
    if first > last {
        return;
    }
    // SAFETY: it takes three numbers; nothing in this process uses those descriptors any more.
    let closed = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if closed == 0 {
        return;
    }
    // Before 5.9; or denied by a filter that does not know it.
    for fd in first..=last.min(end.cast_signed()) {
        // SAFETY: as above.
        unsafe { libc::syscall(libc::SYS_close, fd) };
    }
}

fn set_close_on_exec(fd: c_int, close: bool) -> Result<(), Errno> {
    let flags = if close { libc::FD_CLOEXEC } else { 0 };
    // SAFETY: it takes numbers.
    checked(unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_SETFD, flags) }).map(drop)
}

/// Signals with handlers, and `SIGPIPE`, which Rust ignores, get their default actions.
fn reset_signals() {
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
}
