//! Signals as events: blocked for a thread, and read from a descriptor.

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
    /// The set with these in it.
    pub fn new(signals: &[Signal]) -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: it writes a whole set to where it may.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: the call above has written all of it.
        let mut set = unsafe { set.assume_init() };
        for signal in signals {
            // SAFETY: the set is a whole one. A number that is none is refused.
            unsafe { libc::sigaddset(&mut set, signal.as_raw()) };
        }
        Self(set)
    }

    /// The set with all but these in it.
    pub fn all_but(signals: &[Signal]) -> Self {
        let mut set = MaybeUninit::uninit();
        // SAFETY: it writes a whole set to where it may.
        unsafe { libc::sigfillset(set.as_mut_ptr()) };
        // SAFETY: the call above has written all of it.
        let mut set = unsafe { set.assume_init() };
        for signal in signals {
            // SAFETY: the set is a whole one. A number that is none is refused.
            unsafe { libc::sigdelset(&mut set, signal.as_raw()) };
        }
        Self(set)
    }

    /// Whether this signal is in it.
    pub fn contains(&self, signal: Signal) -> bool {
        // SAFETY: the set is a whole one. A number that is none is refused.
        unsafe { libc::sigismember(&self.0, signal.as_raw()) == 1 }
    }
}

impl fmt::Debug for SignalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = (1..64).filter_map(Signal::from_named_raw).filter(|signal| self.contains(*signal));
        f.debug_set().entries(numbers).finish()
    }
}

/// Whether the process ignores this signal: whoever started it may have asked for that (`nohup(1)`, a shell's background
/// jobs), and then it stays ignored.
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

/// What is done with the signals of a set that are blocked already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blocking {
    /// `SIG_BLOCK`: these too.
    Block,
    /// `SIG_UNBLOCK`: these no more. Those of them that wait are delivered before the call returns.
    Unblock,
    /// `SIG_SETMASK`: these and no others.
    Set,
}

/// Changes which signals are blocked for the calling thread, and says which were before. Allocates nothing.
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
    // SAFETY: both point at whole sets.
    let errno = unsafe { libc::pthread_sigmask(how, &set.0, &mut before.0) };
    if errno == 0 { Ok(before) } else { Err(Errno::from_raw_os_error(errno)) }
}

/// A descriptor that signals of a set can be read from, by a thread that has them blocked. It does not block.
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
    // SAFETY: the set is a whole one, and a new descriptor is asked for.
    let returned = unsafe { libc::signalfd(-1, &set.0, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK) };
    checked_fd(returned.into())
}

/// A signal that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenSignal {
    /// Its number.
    pub number: i32,
    /// Whether the kernel sent it (a terminal, for one), and no process.
    pub is_of_kernel: bool,
}

/// The next signal from a descriptor that [`signalfd`] made.
///
/// # Errors
///
/// `EAGAIN`: there is none now.
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

/// From now on, a write beyond the limit on the size of files fails with `EFBIG`, and does not end the process. What it
/// becomes or starts is ended by that as before.
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
    // What ignores it passes that on: a handler would not.
    if action.sa_sigaction != libc::SIG_DFL {
        return Ok(());
    }
    action.sa_sigaction = nothing as *const () as libc::sighandler_t;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the handler does nothing, which is safe at any moment.
    checked(unsafe { libc::sigaction(libc::SIGXFSZ, &raw const action, std::ptr::null_mut()) }.into())?;
    Ok(())
}

/// Sends a signal by its number, real-time ones included, to a child that has not been waited for, or to the process group
/// that it leads. One that has ended takes none.
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
    // SAFETY: it takes two numbers. The child's is nobody else's before it is waited for.
    unsafe { libc::kill(if is_for_group { -pid } else { pid }, number) };
}
