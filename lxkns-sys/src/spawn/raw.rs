//! System calls that access only their arguments: neither `errno` nor other data of the thread.
//!
//! The process that is launched has only the memory of its launch and of the program's code ([`super::launch`]). libc's
//! functions would write `errno` to unmapped memory.

use std::ffi::{c_int, c_long};

use rustix::io::Errno;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
compile_error!("lxkns-sys knows the system calls of x86_64 and aarch64");

/// A system call.
///
/// # Safety
///
/// That of the call.
#[cfg(target_arch = "x86_64")]
unsafe fn syscall(number: c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
    let returned;
    // SAFETY: the caller's. The kernel changes rcx, r11 and what the call writes to.
    unsafe {
        std::arch::asm!("syscall", inlateout("rax") number as isize => returned, in("rdi") a, in("rsi") b, in("rdx") c,
            in("r10") d, in("r8") e, in("r9") 0, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    returned
}

/// A system call.
///
/// # Safety
///
/// That of the call.
#[cfg(target_arch = "aarch64")]
unsafe fn syscall(number: c_long, [a, b, c, d, e]: [usize; 5]) -> isize {
    let returned;
    // SAFETY: the caller's. The kernel changes what the call writes to.
    unsafe {
        std::arch::asm!("svc 0", in("x8") number, inlateout("x0") a => returned, in("x1") b, in("x2") c, in("x3") d,
            in("x4") e, in("x5") 0, options(nostack));
    }
    returned
}

/// A system call. Its pointers must be valid for the length of the call.
///
/// # Safety
///
/// That of the call.
pub(super) unsafe fn call(number: c_long, arguments: [usize; 5]) -> Result<usize, Errno> {
    // SAFETY: the caller's.
    let returned = unsafe { syscall(number, arguments) };
    if (-4095..0).contains(&returned) {
        Err(Errno::from_raw_os_error(-(returned as c_int)))
    } else {
        Ok(returned as usize)
    }
}

/// The address of a value, for a call that reads or writes it.
pub(super) fn address<T>(of: *const T) -> usize {
    of.expose_provenance()
}

/// Ends the process.
pub(super) fn exit(code: usize) -> ! {
    loop {
        // SAFETY: the call takes a number.
        let _ = unsafe { call(libc::SYS_exit_group, [code, 0, 0, 0, 0]) };
    }
}

/// libc's variables about restartable sequences (`rseq(2)`), and the thread pointer: the offset of the area from the
/// thread pointer, and its size, which is 0 if libc has not registered it. Null if libc does not support them.
#[cfg(target_arch = "x86_64")]
fn rseq_symbols() -> (*const isize, *const u32, usize) {
    let (offset, size, thread);
    // SAFETY: it reads the addresses of two symbols, which are null if there are none, and the thread's own pointer.
    unsafe {
        std::arch::asm!(".weak __rseq_offset", ".weak __rseq_size", "mov {}, qword ptr [rip + __rseq_offset@GOTPCREL]",
            "mov {}, qword ptr [rip + __rseq_size@GOTPCREL]", "mov {}, qword ptr fs:[0]",
            out(reg) offset, out(reg) size, out(reg) thread, options(pure, readonly, nostack, preserves_flags));
    }
    (offset, size, thread)
}

/// libc's variables about restartable sequences (`rseq(2)`), and the thread pointer: the offset of the area from the
/// thread pointer, and its size, which is 0 if libc has not registered it. Null if libc does not support them.
#[cfg(target_arch = "aarch64")]
fn rseq_symbols() -> (*const isize, *const u32, usize) {
    let (offset, size, thread);
    // SAFETY: it reads the addresses of two symbols, which are null if there are none, and the thread's own pointer.
    unsafe {
        std::arch::asm!(".weak __rseq_offset", ".weak __rseq_size", "adrp {0}, :got:__rseq_offset",
            "ldr {0}, [{0}, :got_lo12:__rseq_offset]", "adrp {1}, :got:__rseq_size", "ldr {1}, [{1}, :got_lo12:__rseq_size]",
            "mrs {2}, tpidr_el0",
            out(reg) offset, out(reg) size, out(reg) thread, options(pure, readonly, nostack, preserves_flags));
    }
    (offset, size, thread)
}

/// Unregisters the thread's area for restartable sequences: a child inherits its address, and the kernel would kill the
/// child because that is not mapped.
pub(super) fn leave_restartable_sequences() -> Result<(), Errno> {
    #[cfg(target_arch = "x86_64")]
    const SIGNATURE: usize = 0x5305_3053;
    #[cfg(target_arch = "aarch64")]
    const SIGNATURE: usize = 0xd428_bc00;
    const UNREGISTER: usize = 1;
    const AT_RSEQ_FEATURE_SIZE: u64 = 27;
    const ORIGINAL: usize = 32;

    let (offset, size, thread) = rseq_symbols();
    if offset.is_null() || size.is_null() {
        return Ok(());
    }
    // SAFETY: libc's variable, which does not change after program start.
    let size = unsafe { *size };
    // SAFETY: as above.
    let offset = unsafe { *offset };
    if size == 0 {
        return Ok(());
    }
    // SAFETY: it reads the auxiliary vector, which the kernel wrote at program start.
    let features = unsafe { libc::getauxval(AT_RSEQ_FEATURE_SIZE) } as usize;
    let area = thread.wrapping_add_signed(offset);
    let mut refused = Errno::INVAL;
    // The length with which libc registers the area differs between its versions.
    for length in [ORIGINAL, features.next_multiple_of(ORIGINAL), features] {
        // SAFETY: the kernel stops writing to the area, which it compares with the one that it knows.
        match unsafe { call(libc::SYS_rseq, [area, length, UNREGISTER, SIGNATURE, 0]) } {
            Ok(_) | Err(Errno::NOSYS) => return Ok(()),
            Err(errno) => refused = errno,
        }
    }
    Err(refused)
}
