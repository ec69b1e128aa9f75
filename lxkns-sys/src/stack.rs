//! A stack of sufficient size for the main thread, whatever the limit (`ulimit -s`) is. A new thread would not do, as
//! signals, credentials and namespaces belong to threads.

use std::ffi::c_void;
use std::ptr;

use rustix::io::Errno;
use rustix::mm::{MapFlags, MprotectFlags, ProtFlags};
use rustix::process::Resource;

/// The size of the stack in bytes.
const SIZE: usize = 4 << 20;
/// The size of the guard below it: larger than any page.
const GUARD: usize = 64 << 10;

/// Calls a function on a stack of 4 MiB if the limit on the caller's stack is lower. Unused pages take no memory. A
/// panic in the function ends the process.
///
/// # Errors
///
/// Those of `mmap(2)`; the function was not called.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any.
#[doc(alias = "RLIMIT_STACK")]
pub fn on_large_stack<T>(function: impl FnOnce() -> T) -> Result<T, Errno> {
    let is_small = rustix::process::getrlimit(Resource::Stack).current.is_some_and(|limit| limit < SIZE as u64);
    if !is_small || !CAN_SWITCH {
        return Ok(function());
    }
    let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::STACK;
    // SAFETY: the kernel chooses the address, so this replaces no other mapping.
    let lowest = unsafe { rustix::mm::mmap_anonymous(ptr::null_mut(), SIZE + GUARD, ProtFlags::empty(), flags)? };
    let stack = Mapped(lowest);
    let usable = lowest.wrapping_byte_add(GUARD);
    // SAFETY: these pages have just been mapped, and nothing else uses them.
    unsafe { rustix::mm::mprotect(usable, SIZE, MprotectFlags::READ | MprotectFlags::WRITE)? };
    let mut call = Call { function: Some(function), returned: None };
    // SAFETY: the end of a mapping is the top of a stack, aligned as any page; `perform` is given what it expects, which
    // outlives the call.
    unsafe { switch(usable.wrapping_byte_add(SIZE), performer(&call), (&raw mut call).cast()) };
    drop(stack);
    // The function has returned.
    call.returned.ok_or(Errno::NOTRECOVERABLE)
}

struct Mapped(*mut c_void);

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this size, and the function that ran on it has returned.
        let _ = unsafe { rustix::mm::munmap(self.0, SIZE + GUARD) };
    }
}

struct Call<F, T> {
    function: Option<F>,
    returned: Option<T>,
}

/// The function that performs calls of this type.
fn performer<F: FnOnce() -> T, T>(_: &Call<F, T>) -> extern "C" fn(*mut c_void) {
    perform::<F, T>
}

/// Performs a call. A panic ends the process, as it cannot unwind beyond this function.
extern "C" fn perform<F: FnOnce() -> T, T>(call: *mut c_void) {
    // SAFETY: `on_large_stack` passes a call of these types, to which this is the only reference.
    let call = unsafe { &mut *call.cast::<Call<F, T>>() };
    call.returned = call.function.take().map(|function| function());
}

const CAN_SWITCH: bool = cfg!(any(target_arch = "x86_64", target_arch = "aarch64"));

/// Calls a function on another stack.
///
/// # Safety
///
/// `top` is the end of memory for a stack, aligned to 16 bytes, and `function` may be called with `argument`.
#[cfg(target_arch = "x86_64")]
unsafe fn switch(top: *mut c_void, function: extern "C" fn(*mut c_void), argument: *mut c_void) {
    // SAFETY: a register that the function preserves keeps the old stack, and all registers that it can change are
    // declared.
    unsafe {
        std::arch::asm!(
            "mov r12, rsp", "mov rsp, {top}", "call {function}", "mov rsp, r12",
            top = in(reg) top, function = in(reg) function, in("rdi") argument, out("r12") _, clobber_abi("C"));
    }
}

#[cfg(target_arch = "aarch64")]
unsafe fn switch(top: *mut c_void, function: extern "C" fn(*mut c_void), argument: *mut c_void) {
    // SAFETY: as above.
    unsafe {
        std::arch::asm!(
            "mov x20, sp", "mov sp, {top}", "blr {function}", "mov sp, x20",
            top = in(reg) top, function = in(reg) function, in("x0") argument, out("x20") _, clobber_abi("C"));
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn switch(_top: *mut c_void, function: extern "C" fn(*mut c_void), argument: *mut c_void) {
    function(argument);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Uses so many KiB of stack.
    #[inline(never)]
    fn deep(kib: usize) -> usize {
        let page = std::hint::black_box([1_u8; 1024]);
        if kib == 0 { 0 } else { usize::from(page[kib % 1024]) + deep(kib - 1) }
    }

    #[test]
    fn what_is_called_has_room_and_its_result_comes_back() {
        let text = String::from("moved in");
        let call = || (deep(1000), text);
        let stack = |top: &mut [u128]| {
            let mut call = Call { function: Some(call), returned: None };
            let end = top.as_mut_ptr_range().end.cast();
            // SAFETY: as in `on_large_stack`, in memory that is borrowed until it returns.
            unsafe { switch(end, performer(&call), (&raw mut call).cast()) };
            call.returned
        };
        assert_eq!(stack(&mut vec![0; SIZE / 16]), Some((1000, "moved in".to_owned())));
        assert_eq!(on_large_stack(|| 7), Ok(7));
    }
}
