//! x86-64: how a program starts, how it calls the kernel, and the numbers that differ between architectures.

use core::arch::{asm, naked_asm};

/// The entry point. It does not return; the stack is aligned as for a called function.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    naked_asm!("xor ebp, ebp", "and rsp, -16", "call {main}", "ud2", main = sym crate::main)
}

/// A system call.
///
/// # Safety
///
/// The memory that the kernel reads and writes for these arguments must be valid.
pub(super) unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let returned;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: `syscall` changes rcx and r11, which are declared, and what the caller vouches for.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => returned,
            in("rdi") a, in("rsi") b, in("rdx") c, in("r10") d, in("r8") e, in("r9") f,
            lateout("rcx") _, lateout("r11") _,
            options(nostack),
        );
    }
    returned
}

/// Copies forwards: `rep movsb`.
///
/// # Safety
///
/// As for `memcpy`; `to` may also be within `from`, before it.
pub(crate) unsafe fn copy_forwards(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: the caller vouches for both ranges; the direction flag is clear.
    unsafe {
        asm!("rep movsb", inout("rcx") count => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
}

/// Fills: `rep stosb`.
///
/// # Safety
///
/// As for `memset`.
pub(crate) unsafe fn fill(to: *mut u8, byte: u8, count: usize) {
    // SAFETY: the caller vouches for the range; the direction flag is clear.
    unsafe {
        asm!("rep stosb", inout("rcx") count => _, inout("rdi") to => _, in("al") byte,
            options(nostack, preserves_flags));
    }
}

pub(super) const O_DIRECTORY: usize = 0o200_000;
pub(super) const O_NOFOLLOW: usize = 0o400_000;

/// The numbers of the system calls (`asm/unistd_64.h`).
pub(super) mod nr {
    pub(crate) const READ: usize = 0;
    pub(crate) const WRITE: usize = 1;
    pub(crate) const CLOSE: usize = 3;
    pub(crate) const RT_SIGPROCMASK: usize = 14;
    pub(crate) const SENDMSG: usize = 46;
    pub(crate) const RECVMSG: usize = 47;
    pub(crate) const GETPPID: usize = 110;
    pub(crate) const CAPGET: usize = 125;
    pub(crate) const CAPSET: usize = 126;
    pub(crate) const PRCTL: usize = 157;
    pub(crate) const EXIT_GROUP: usize = 231;
    pub(crate) const OPENAT: usize = 257;
    pub(crate) const PPOLL: usize = 271;
    pub(crate) const PRLIMIT64: usize = 302;
    pub(crate) const SETNS: usize = 308;
    pub(crate) const STATX: usize = 332;
    pub(crate) const CLOSE_RANGE: usize = 436;
    pub(crate) const OPENAT2: usize = 437;
}
