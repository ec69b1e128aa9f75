//! The helper's system calls, one in each function, without libc.
//!
//! Functions take references and numbers and return error numbers. The helper has one thread and no allocator, so
//! nothing else can change referenced memory.

use core::ptr;

#[cfg_attr(target_arch = "x86_64", path = "x86_64.rs")]
#[cfg_attr(target_arch = "aarch64", path = "aarch64.rs")]
mod arch;

pub(crate) use arch::{copy_forwards, fill};
use arch::{nr, syscall};

/// The number of a descriptor. Descriptors are not owned: the helper closes those that it must not keep.
pub(crate) type Fd = i32;
/// An error number of the kernel's.
pub(crate) type Errno = u16;

pub(crate) const EPERM: Errno = 1;
pub(crate) const EINTR: Errno = 4;
pub(crate) const ESRCH: Errno = 3;
pub(crate) const ENXIO: Errno = 6;
pub(crate) const EAGAIN: Errno = 11;
pub(crate) const EINVAL: Errno = 22;
pub(crate) const ENAMETOOLONG: Errno = 36;
pub(crate) const ENOSYS: Errno = 38;
pub(crate) const ELOOP: Errno = 40;
pub(crate) const EPROTO: Errno = 71;
pub(crate) const EMSGSIZE: Errno = 90;
pub(crate) const EREMOTE: Errno = 66;

/// The start of relative paths: after entering, the root of the mount namespace.
pub(crate) const AT_FDCWD: Fd = -100;

const CLONE_NEWNS: usize = 0x0002_0000;
const CLONE_NEWUSER: usize = 0x1000_0000;

const PR_SET_PDEATHSIG: usize = 1;
const PR_SET_DUMPABLE: usize = 4;
const PR_SET_NAME: usize = 15;
const PR_SET_NO_NEW_PRIVS: usize = 38;
const SIGKILL: usize = 9;

const O_PATH: usize = 0o10_000_000;
const O_CLOEXEC: usize = 0o2_000_000;
use arch::{O_DIRECTORY, O_NOFOLLOW};

/// The result of a call, or the error that it stands for.
fn checked(returned: isize) -> Result<usize, Errno> {
    if (-4095..0).contains(&returned) { Err(returned.unsigned_abs() as Errno) } else { Ok(returned as usize) }
}

/// A call that reads and writes no memory.
///
/// # Safety
///
/// The call takes only integers, or null for a pointer that it may go without.
unsafe fn plain(number: usize, arguments: [usize; 5]) -> Result<usize, Errno> {
    let [a, b, c, d, e] = arguments;
    // SAFETY: the caller's.
    checked(unsafe { syscall(number, [a, b, c, d, e, 0]) })
}

/// `exit_group(2)`.
pub(crate) fn exit(code: u8) -> ! {
    loop {
        // SAFETY: the call takes integers.
        let _ = unsafe { plain(nr::EXIT_GROUP, [code.into(), 0, 0, 0, 0]) };
    }
}

/// `read(2)`.
pub(crate) fn read(fd: Fd, into: &mut [u8]) -> Result<usize, Errno> {
    let arguments = [fd as usize, into.as_mut_ptr().expose_provenance(), into.len(), 0, 0, 0];
    // SAFETY: at most as many bytes as there are in `into` are written to it.
    checked(unsafe { syscall(nr::READ, arguments) })
}

/// `write(2)`.
pub(crate) fn write(fd: Fd, from: &[u8]) -> Result<usize, Errno> {
    let arguments = [fd as usize, from.as_ptr().expose_provenance(), from.len(), 0, 0, 0];
    // SAFETY: as many bytes as there are in `from` are read.
    checked(unsafe { syscall(nr::WRITE, arguments) })
}

/// `close(2)`.
pub(crate) fn close(fd: Fd) {
    // SAFETY: the call takes integers.
    let _ = unsafe { plain(nr::CLOSE, [fd as usize, 0, 0, 0, 0]) };
}

/// Closes this descriptor and all with higher numbers.
pub(crate) fn close_from(first: Fd) {
    // SAFETY: the call takes integers.
    if unsafe { plain(nr::CLOSE_RANGE, [first as usize, u32::MAX as usize, 0, 0, 0]) }.is_err() {
        // Before 5.9: one by one, up to the highest number that this process can have.
        (first..highest_fd()).for_each(close);
    }
}

/// `RLIMIT_NOFILE`: the hard limit, as the soft one may have been lowered.
fn highest_fd() -> Fd {
    const RLIMIT_NOFILE: usize = 7;
    let mut limits = [0_u64; 2];
    let arguments = [0, RLIMIT_NOFILE, 0, (&raw mut limits).expose_provenance(), 0, 0];
    // SAFETY: one `struct rlimit64`, which is two 64-bit integers, is written to `limits`.
    let result = checked(unsafe { syscall(nr::PRLIMIT64, arguments) });
    result.map_or(4096, |_| Fd::try_from(limits[1]).unwrap_or(Fd::MAX).min(1 << 20))
}

/// Blocks all signals that can be blocked: signals from a terminal to the process group are for the parent.
pub(crate) fn block_signals() {
    const SIG_SETMASK: usize = 2;
    let all = u64::MAX;
    let arguments = [SIG_SETMASK, (&raw const all).expose_provenance(), 0, size_of::<u64>(), 0, 0];
    // SAFETY: one signal set is read, of the size that is stated.
    let _ = checked(unsafe { syscall(nr::RT_SIGPROCMASK, arguments) });
}

/// `PR_SET_NAME`.
pub(crate) fn set_name(name: &[u8; 16]) {
    let arguments = [PR_SET_NAME, name.as_ptr().expose_provenance(), 0, 0, 0, 0];
    // SAFETY: at most 16 bytes are read.
    let _ = checked(unsafe { syscall(nr::PRCTL, arguments) });
}

/// `PR_SET_DUMPABLE`, to no.
pub(crate) fn set_undumpable() -> Result<(), Errno> {
    // SAFETY: the call takes integers.
    unsafe { plain(nr::PRCTL, [PR_SET_DUMPABLE, 0, 0, 0, 0]) }.map(drop)
}

/// `PR_SET_NO_NEW_PRIVS`.
pub(crate) fn set_no_new_privileges() -> Result<(), Errno> {
    // SAFETY: the call takes integers.
    unsafe { plain(nr::PRCTL, [PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0]) }.map(drop)
}

/// `PR_SET_PDEATHSIG`: `SIGKILL` when the thread that started this process ends.
pub(crate) fn set_death_signal() -> Result<(), Errno> {
    // SAFETY: the call takes integers.
    unsafe { plain(nr::PRCTL, [PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0]) }.map(drop)
}

/// `getppid(2)`; zero when the parent is in a PID namespace above.
pub(crate) fn parent() -> u32 {
    // SAFETY: the call takes nothing.
    unsafe { plain(nr::GETPPID, [0; 5]) }.unwrap_or(0) as u32
}

/// Whether the other end of this pipe is closed.
pub(crate) fn is_hung_up(fd: Fd) -> bool {
    #[repr(C)]
    struct PollFd {
        fd: Fd,
        events: i16,
        revents: i16,
    }
    const POLLHUP: i16 = 0x10;
    let mut poll = PollFd { fd, events: 0, revents: 0 };
    let now = [0_u64; 2];
    let arguments = [(&raw mut poll).expose_provenance(), 1, (&raw const now).expose_provenance(), 0, 0, 0];
    // SAFETY: one `struct pollfd` is read and written, one `struct timespec`, two 64-bit integers, is read.
    let ready = checked(unsafe { syscall(nr::PPOLL, arguments) });
    ready.is_ok() && poll.revents & POLLHUP != 0
}

/// `setns(2)` into a user namespace.
pub(crate) fn enter_user_namespace(fd: Fd) -> Result<(), Errno> {
    // SAFETY: the call takes integers.
    unsafe { plain(nr::SETNS, [fd as usize, CLONE_NEWUSER, 0, 0, 0]) }.map(drop)
}

/// `setns(2)` into a mount namespace.
pub(crate) fn enter_mount_namespace(fd: Fd) -> Result<(), Errno> {
    // SAFETY: the call takes integers.
    unsafe { plain(nr::SETNS, [fd as usize, CLONE_NEWNS, 0, 0, 0]) }.map(drop)
}

/// Drops all capabilities except this one, whose number is below 32.
pub(crate) fn keep_one_capability(number: u32) -> Result<(), Errno> {
    // Version 3 has 64 bits of each set, in two halves: effective, permitted, inheritable; and again.
    let header = [0x2008_0522_u32, 0];
    let mut sets = [0_u32; 6];
    let arguments = [(&raw const header).expose_provenance(), (&raw mut sets).expose_provenance(), 0, 0, 0, 0];
    // SAFETY: the header is read, and two `struct __user_cap_data_struct` of three integers each are written.
    checked(unsafe { syscall(nr::CAPGET, arguments) })?;
    let kept = sets[1] & (1 << number);
    let sets = [kept, kept, 0, 0, 0, 0];
    let arguments = [(&raw const header).expose_provenance(), (&raw const sets).expose_provenance(), 0, 0, 0, 0];
    // SAFETY: the header is read, and two `struct __user_cap_data_struct` of three integers each.
    checked(unsafe { syscall(nr::CAPSET, arguments) }).map(drop)
}

/// Opens a file for reading, relative to a directory. `path` ends with NUL.
pub(crate) fn open_readable(directory: Fd, path: &[u8]) -> Result<Fd, Errno> {
    openat(directory, path, O_CLOEXEC)
}

/// An `O_PATH` descriptor, relative to a directory, of a single name or `.`; not through a symbolic link.
pub(crate) fn open_path(directory: Fd, name: &[u8]) -> Result<Fd, Errno> {
    openat(directory, name, O_PATH | O_CLOEXEC | O_NOFOLLOW)
}

/// An `O_PATH` descriptor on the working directory.
pub(crate) fn open_top() -> Result<Fd, Errno> {
    openat(AT_FDCWD, b".\0", O_PATH | O_CLOEXEC | O_DIRECTORY)
}

fn openat(directory: Fd, path: &[u8], flags: usize) -> Result<Fd, Errno> {
    if path.last() != Some(&0) {
        return Err(EINVAL);
    }
    let arguments = [directory as usize, path.as_ptr().expose_provenance(), flags, 0, 0, 0];
    // SAFETY: the path is read up to its NUL, which has just been seen to be there.
    checked(unsafe { syscall(nr::OPENAT, arguments) }).map(|fd| fd as Fd)
}

/// An `O_PATH` descriptor of a path below the working directory, from the kernel's cache alone, and not through any
/// symbolic link. `path` ends with NUL.
pub(crate) fn open_cached(path: &[u8]) -> Result<Fd, Errno> {
    const NO_MAGICLINKS: u64 = 0x02;
    const NO_SYMLINKS: u64 = 0x04;
    const IN_ROOT: u64 = 0x10;
    const CACHED: u64 = 0x20;
    if path.last() != Some(&0) {
        return Err(EINVAL);
    }
    let how = [(O_PATH | O_CLOEXEC | O_NOFOLLOW) as u64, 0, NO_MAGICLINKS | NO_SYMLINKS | IN_ROOT | CACHED];
    let how_at = (&raw const how).expose_provenance();
    let arguments = [AT_FDCWD as usize, path.as_ptr().expose_provenance(), how_at, size_of_val(&how), 0, 0];
    // SAFETY: the path is read up to its NUL, and `how` for the size that is stated.
    checked(unsafe { syscall(nr::OPENAT2, arguments) }).map(|fd| fd as Fd)
}

/// The facts about a file: `struct statx`.
#[repr(C)]
pub(crate) struct Stat {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    spare: u16,
    pub(crate) ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    times: [u64; 8],
    rdev: [u32; 2],
    pub(crate) dev_major: u32,
    pub(crate) dev_minor: u32,
    rest: [u64; 14],
}

const _: () = assert!(size_of::<Stat>() == 256);

impl Stat {
    /// The type bits of the mode.
    pub(crate) fn file_type(&self) -> u16 {
        self.mode & 0o170_000
    }

    /// Whether a lookup below it would trigger an automount.
    pub(crate) fn is_automount_point(&self) -> bool {
        const AUTOMOUNT: u64 = 0x1000;
        self.attributes & AUTOMOUNT != 0
    }
}

pub(crate) const S_IFDIR: u16 = 0o040_000;
pub(crate) const S_IFREG: u16 = 0o100_000;
pub(crate) const S_IFLNK: u16 = 0o120_000;

/// `statx(2)` of a descriptor, without asking the server of its file system.
pub(crate) fn stat(fd: Fd) -> Result<Stat, Errno> {
    const FLAGS: usize = AT_EMPTY_PATH | AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC;
    const AT_EMPTY_PATH: usize = 0x1000;
    const AT_NO_AUTOMOUNT: usize = 0x800;
    const AT_STATX_DONT_SYNC: usize = 0x4000;
    const TYPE_AND_INO: usize = 0x101;
    let mut stat = Stat {
        mask: 0,
        blksize: 0,
        attributes: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        mode: 0,
        spare: 0,
        ino: 0,
        size: 0,
        blocks: 0,
        attributes_mask: 0,
        times: [0; 8],
        rdev: [0; 2],
        dev_major: 0,
        dev_minor: 0,
        rest: [0; 14],
    };
    let (empty, into) = (c"".as_ptr().expose_provenance(), (&raw mut stat).expose_provenance());
    // SAFETY: an empty path is read, and one `struct statx` is written, whose size `Stat` has.
    checked(unsafe { syscall(nr::STATX, [fd as usize, empty, FLAGS, TYPE_AND_INO, into, 0]) })?;
    Ok(stat)
}

/// `struct msghdr`.
#[repr(C)]
struct Message {
    name: *const u8,
    name_length: usize,
    vectors: *const [usize; 2],
    vector_count: usize,
    control: *mut u8,
    control_length: usize,
    flags: usize,
}

/// A `struct cmsghdr` of descriptors, with room for the most that are ever sent.
#[repr(C)]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    fds: [Fd; MAX_FDS],
}

/// The most descriptors in one message: one more than any message has, to detect a message with too many.
pub(crate) const MAX_FDS: usize = 4;
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;
const HEADER: usize = size_of::<usize>() + 2 * size_of::<i32>();

/// Receives the descriptors of the next message and returns their number. Does not wait.
pub(crate) fn receive(socket: Fd, fds: &mut [Fd; MAX_FDS]) -> Result<usize, Errno> {
    const FLAGS: usize = 0x4000_0000 | 0x40; // MSG_CMSG_CLOEXEC, MSG_DONTWAIT
    let mut byte = 0_u8;
    let vector = [(&raw mut byte).expose_provenance(), 1];
    let mut control = Control { length: 0, level: 0, kind: 0, fds: [-1; MAX_FDS] };
    let mut message = Message {
        name: ptr::null(),
        name_length: 0,
        vectors: &raw const vector,
        vector_count: 1,
        control: (&raw mut control).cast(),
        control_length: size_of::<Control>(),
        flags: 0,
    };
    let arguments = [socket as usize, (&raw mut message).expose_provenance(), FLAGS, 0, 0, 0];
    // SAFETY: one byte is written to `byte`, and what fits into `control`; both are there for the length of the call.
    checked(unsafe { syscall(nr::RECVMSG, arguments) })?;
    if message.control_length < HEADER || control.level != SOL_SOCKET || control.kind != SCM_RIGHTS {
        return Ok(0);
    }
    *fds = control.fds;
    Ok((control.length.saturating_sub(HEADER) / size_of::<Fd>()).min(MAX_FDS))
}

/// Sends one descriptor.
pub(crate) fn send(socket: Fd, fd: Fd) -> Result<(), Errno> {
    const MSG_NOSIGNAL: usize = 0x4000;
    let byte = 0_u8;
    let vector = [(&raw const byte).expose_provenance(), 1];
    let mut control =
        Control { length: HEADER + size_of::<Fd>(), level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [fd, -1, -1, -1] };
    let message = Message {
        name: ptr::null(),
        name_length: 0,
        vectors: &raw const vector,
        vector_count: 1,
        control: (&raw mut control).cast(),
        control_length: HEADER + size_of::<usize>(),
        flags: 0,
    };
    let arguments = [socket as usize, (&raw const message).expose_provenance(), MSG_NOSIGNAL, 0, 0, 0];
    // SAFETY: one byte and one control message are read; both are there for the length of the call.
    checked(unsafe { syscall(nr::SENDMSG, arguments) }).map(drop)
}
