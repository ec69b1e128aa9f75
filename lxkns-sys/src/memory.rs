//! What happens when memory runs out.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI32, Ordering};

/// The system's allocator. When memory runs out, the program prints one line and exits; Rust would abort with a
/// backtrace, which takes memory too.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory;

/// The exit code for that.
static CODE: AtomicI32 = AtomicI32::new(3);

impl Memory {
    /// Sets the exit code for running out of memory. A thread that begins when there is none left for its alternative stack
    /// is such an end, too: the standard library makes a panic of it.
    pub fn ends_with(code: u8) {
        CODE.store(code.into(), Ordering::Relaxed);
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match info.payload_as_str() {
            Some(text) if text.starts_with("failed to allocate an alternative stack") => end(),
            _ => others(info),
        }));
    }

    /// Has large blocks returned to the system whenever they are freed, and few places that small ones come from: for a
    /// program that goes on for long, and now and then needs much. Otherwise the GNU C library keeps blocks of up to 32 MiB
    /// for later once one of their size was freed (`M_MMAP_THRESHOLD` of `mallopt(3)`).
    #[doc(alias = "mallopt")]
    pub fn returns_large_blocks() {
        const LARGE: libc::c_int = 128 * 1024;
        const PLACES: libc::c_int = 2;
        #[cfg(target_env = "gnu")]
        for (what, value) in [(libc::M_MMAP_THRESHOLD, LARGE), (libc::M_ARENA_MAX, PLACES)] {
            // SAFETY: it takes two numbers. Where it does nothing, more memory is kept.
            unsafe { libc::mallopt(what, value) };
        }
    }

    /// Returns to the system what is free between blocks that are in use: for a program that has just freed much, in blocks
    /// of any size. It takes time, some microseconds for each free place.
    #[doc(alias = "malloc_trim")]
    pub fn returns_free_pages() {
        #[cfg(target_env = "gnu")]
        // SAFETY: it takes a number. Where it does nothing, more memory is kept.
        unsafe {
            libc::malloc_trim(0);
        }
    }
}

/// Passes allocated memory on; exits if there is none.
fn checked(memory: *mut u8) -> *mut u8 {
    if memory.is_null() {
        end();
    }
    memory
}

#[cold]
fn end() -> ! {
    let text = b"lxkns: out of memory (see ulimit -v and -d, and the memory limit of the control group)\n";
    // SAFETY: the bytes are there.
    unsafe { libc::write(2, text.as_ptr().cast(), text.len()) };
    // SAFETY: it takes a number, and does not return.
    unsafe { libc::_exit(CODE.load(Ordering::Relaxed)) }
}

// SAFETY: every call is the system allocator's; only null is never returned.
unsafe impl GlobalAlloc for Memory {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the system's.
        checked(unsafe { System.alloc(layout) })
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promises are the system's.
        checked(unsafe { System.alloc_zeroed(layout) })
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: the caller's promises are the system's.
        checked(unsafe { System.realloc(memory, layout, size) })
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system's.
        unsafe { System.dealloc(memory, layout) }
    }
}
