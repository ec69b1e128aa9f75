//! aarch64: how a program starts, how it calls the kernel, and the numbers that differ between architectures.

use core::arch::{asm, naked_asm};

/// The entry point. It does not return; the kernel has aligned the stack.
#[unsafe(no_mangle)]
#[unsafe(naked)]
extern "C" fn _start() -> ! {
    naked_asm!("mov x29, xzr", "mov x30, xzr", "bl {main}", "brk #1", main = sym crate::main)
}

/// A system call.
///
/// # Safety
///
/// The memory that the kernel reads and writes for these arguments must be valid.
pub(super) unsafe fn syscall(number: usize, arguments: [usize; 6]) -> isize {
    let returned;
    let [a, b, c, d, e, f] = arguments;
    // SAFETY: `svc` changes x0, which is declared, and what the caller vouches for.
    unsafe {
        asm!(
            "svc #0",
            in("x8") number,
            inlateout("x0") a => returned,
            in("x1") b, in("x2") c, in("x3") d, in("x4") e, in("x5") f,
            options(nostack),
        );
    }
    returned
}

/// Copies forwards, byte by byte.
///
/// # Safety
///
/// As for `memcpy`; `to` may also be within `from`, before it.
pub(crate) unsafe fn copy_forwards(to: *mut u8, from: *const u8, count: usize) {
    // SAFETY: the caller vouches for both ranges.
    unsafe {
        asm!("cbz {n}, 3f", "2:", "ldrb {b:w}, [{from}], #1", "strb {b:w}, [{to}], #1", "subs {n}, {n}, #1", "b.ne 2b",
            "3:", n = inout(reg) count => _, to = inout(reg) to => _, from = inout(reg) from => _, b = out(reg) _,
            options(nostack));
    }
}

/// Fills, byte by byte.
///
/// # Safety
///
/// As for `memset`.
pub(crate) unsafe fn fill(to: *mut u8, byte: u8, count: usize) {
    // SAFETY: the caller vouches for the range.
    unsafe {
        asm!("cbz {n}, 3f", "2:", "strb {b:w}, [{to}], #1", "subs {n}, {n}, #1", "b.ne 2b", "3:",
            n = inout(reg) count => _, to = inout(reg) to => _, b = in(reg) u32::from(byte), options(nostack));
    }
}

pub(super) const O_DIRECTORY: usize = 0o40_000;
pub(super) const O_NOFOLLOW: usize = 0o100_000;

/// The numbers of the system calls (`asm-generic/unistd.h`).
pub(super) mod nr {
    pub(crate) const OPENAT: usize = 56;
    pub(crate) const CLOSE: usize = 57;
    pub(crate) const READ: usize = 63;
    pub(crate) const WRITE: usize = 64;
    pub(crate) const PPOLL: usize = 73;
    pub(crate) const CAPGET: usize = 90;
    pub(crate) const CAPSET: usize = 91;
    pub(crate) const EXIT_GROUP: usize = 94;
    pub(crate) const RT_SIGPROCMASK: usize = 135;
    pub(crate) const PRCTL: usize = 167;
    pub(crate) const GETPPID: usize = 173;
    pub(crate) const SENDMSG: usize = 211;
    pub(crate) const RECVMSG: usize = 212;
    pub(crate) const PRLIMIT64: usize = 261;
    pub(crate) const SETNS: usize = 268;
    pub(crate) const STATX: usize = 291;
    pub(crate) const CLOSE_RANGE: usize = 436;
    pub(crate) const OPENAT2: usize = 437;
}
