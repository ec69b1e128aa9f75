//! Signals as events: a thread blocks them and reads them from a descriptor.

use std::fmt;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use crate::{checked, checked_fd};

/// A set of signals.
#[derive(Clone, Copy)]
pub struct SignalSet(libc::sigset_t);

impl SignalSet {
    /// The set of these signals.
    pub fn new(signals: &[Signal]) -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: there is room for one set, which it writes.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: the call above has written all of it.
        let mut set = unsafe { set.assume_init() };
        for signal in signals {
            // SAFETY: the set is initialized. An invalid number is an error.
            unsafe { libc::sigaddset(&mut set, signal.as_raw()) };
        }
        Self(set)
    }

    /// The set of all signals but these.
    pub fn all_but(signals: &[Signal]) -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: there is room for one set, which it writes.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: the call above has written all of it.
        let mut set = unsafe { set.assume_init() };
        for signal in signals {
            // SAFETY: the set is initialized. An invalid number is an error.
            unsafe { libc::sigdelset(&mut set, signal.as_raw()) };
        }
        Self(set)
    }

    /// Whether this signal is in the set.
    pub fn contains(&self, signal: Signal) -> bool {
        // SAFETY: the set is initialized. An invalid number is an error.
        unsafe { libc::sigismember(&self.0, signal.as_raw()) == 1 }
    }
}

impl fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = (1..64).filter_map(Signal::from_named_raw).filter(|signal| self.contains(*signal));
        f.debug_set().entries(numbers).finish()
    }
}

/// Whether the process ignores this signal. A process can inherit that from its parent (`nohup(1)`, a shell's
/// background jobs).
///
/// # Errors
///
/// None that are known.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `sigaction(2)`.
#[doc(alias = "sigaction")]
pub fn is_ignored(signal: Signal) -> Result<bool, Errno> {
    let mut action = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: no new action is given, and the old one is filled in.
    let done = unsafe { libc::sigaction(signal.as_raw(), std::ptr::null(), action.as_mut_ptr()) };
    checked(done.into())?;
    // SAFETY: the call has filled it in.
    let action = unsafe { action.assume_init() };
    Ok(action.sa_sigaction == libc::SIG_IGN)
}

/// How a set of signals changes the signals that are blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// `SIG_BLOCK`: block these too.
    Block,
    /// `SIG_UNBLOCK`: unblock these. Pending ones are delivered before the call returns.
    Unblock,
    /// `SIG_SETMASK`: block these and no others.
    Set,
}

/// Changes which signals the calling thread blocks, and returns those that it blocked before. Does not allocate.
///
/// # Errors
///
/// None that are known.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `pthread_sigmask(3)`.
#[doc(alias = "pthread_sigmask")]
pub fn sigprocmask(blocking: Blocking, set: &SignalSet) -> Result<SignalSet, Errno> {
    let how = match blocking {
        Blocking::Block => libc::SIG_BLOCK,
        Blocking::Unblock => libc::SIG_UNBLOCK,
        Blocking::Set => libc::SIG_SETMASK,
    };
    let mut before = SignalSet::new(&[]);
    // SAFETY: both point at initialized sets.
    let errno = unsafe { libc::pthread_sigmask(how, &set.0, &mut before.0) };
    if errno == 0 { Ok(before) } else { Err(Errno::from_raw_os_error(errno)) }
}

/// A non-blocking descriptor from which a thread that blocks these signals can read them.
///
/// # Errors
///
/// Those of memory and descriptors.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `signalfd(2)`.
pub fn signalfd(set: &SignalSet) -> Result<OwnedFd, Errno> {
    // SAFETY: the set is initialized, and the call makes a new descriptor.
    let returned = unsafe { libc::signalfd(-1, &set.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    checked_fd(returned.into())
}

/// A signal that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenSignal {
    /// Its number.
    pub number: i32,
    /// Whether the kernel sent it (for a terminal, for example) and not a process.
    pub is_of_kernel: bool,
}

/// Reads the next signal from a descriptor that [`signalfd`] made.
///
/// # Errors
///
/// `EAGAIN`: no signal is pending.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `signalfd(2)`.
#[doc(alias = "signalfd_siginfo")]
pub fn read_signal(signalfd: impl AsFd) -> Result<TakenSignal, Errno> {
    let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
    let fd = signalfd.as_fd().as_raw_fd();
    // SAFETY: there is room for one, which is what is asked for.
    let returned = unsafe { libc::read(fd, info.as_mut_ptr().cast(), size_of::<libc::signalfd_siginfo>()) };
    checked(returned as libc::c_long)?;
    // SAFETY: all bytes of it were zero, which is a value, and the kernel writes whole ones.
    let info = unsafe { info.assume_init() };
    let is_of_kernel = info.ssi_code == libc::SI_KERNEL;
    Ok(TakenSignal { number: info.ssi_signo as i32, is_of_kernel })
}

/// From now on, a write beyond the file size limit fails with `EFBIG` and does not end the process. Programs that it
/// runs are not affected.
///
/// # Errors
///
/// None that are known.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `SIGXFSZ` in `signal(7)`.
#[doc(alias = "SIGXFSZ")]
pub fn fail_at_file_size_limit() -> Result<(), Errno> {
    extern "C" fn nothing(_signal: libc::c_int) {}
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: there is room for what it writes.
    checked(unsafe { libc::sigaction(libc::SIGXFSZ, std::ptr::null(), action.as_mut_ptr()) }.into())?;
    // SAFETY: it was zeroed, which is a value, and the kernel's answer is one.
    let mut action = unsafe { action.assume_init() };
    // A handler, since the programs that the process runs would inherit that the signal is ignored.
    if action.sa_sigaction != libc::SIG_DFL {
        return Ok(());
    }
    action.sa_sigaction = nothing as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does nothing, which is safe at any moment.
    checked(unsafe { libc::sigaction(libc::SIGXFSZ, &raw const action, std::ptr::null_mut()) }.into())?;
    Ok(())
}

/// Sends a signal by its number, real-time signals included, to a child that has not been waited for, or to the process
/// group that it leads. Has no effect on a child that has ended.
///
/// # Privileges
///
/// Those of `kill(2)`.
///
/// # Minimum kernel version
///
/// Any.
#[doc(alias = "kill")]
pub fn kill_child(child: Pid, number: i32, is_for_group: bool) {
    let pid = child.as_raw_nonzero().get();
    // SAFETY: it takes two numbers. The child keeps its number until it is waited for.
    unsafe { libc::kill(if is_for_group { -pid } else { pid }, number) };
}
