//! Which of the standard streams the program was started with.

use std::sync::atomic::{AtomicU8, Ordering};

use rustix::io::Errno;

use crate::last_errno;

/// A bit for each descriptor that was closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Runs before Rust's runtime, which opens `/dev/null` in place of what is closed.
#[used]
// SAFETY: the C runtime calls what is in this section once, on the only thread, before `main`; it takes what arguments
// that may pass as C functions do, which need not look at them. What it calls needs nothing of Rust's runtime.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    for fd in 0..3 {
        // SAFETY: it takes integers alone, and only asks for a flag.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        if flags == -1 && last_errno() == Errno::BADF {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
}

/// Whether standard input, output and error (0, 1, 2) were closed when the program was started. Rust's runtime then has
/// `/dev/null` open in its place: what is written there is lost, and what is read from there is empty.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `fcntl(2)`.
pub fn was_closed_at_start(fd: u8) -> bool {
    // So that whoever links this function links that too.
    std::hint::black_box(&LOOK);
    CLOSED.load(Ordering::Relaxed) & 1_u8.checked_shl(fd.into()).unwrap_or(0) != 0
}
