//! Which standard streams were open when the program started.

use std::sync::atomic::{AtomicU8, Ordering};

use rustix::io::Errno;

use crate::last_errno;

/// A bit for each descriptor that was closed.
static CLOSED: AtomicU8 = AtomicU8::new(0);

/// Runs before Rust's runtime, which opens `/dev/null` in place of closed streams.
#[used]
// SAFETY: the C runtime calls each function in this section once, on the only thread, before `main`. A C function may
// ignore its arguments, and this one needs nothing of Rust's runtime.
#[unsafe(link_section = ".init_array")]
static LOOK: extern "C" fn() = look;

extern "C" fn look() {
    for fd in 0..3 {
        // SAFETY: it takes integers and only reads a flag.
        let flags = unsafe { libc::fcntl(fd, libc::F_GETFD) };
        if flags == -1 && last_errno() == Errno::BADF {
            CLOSED.fetch_or(1 << fd, Ordering::Relaxed);
        }
    }
}

/// Whether this standard stream (0, 1 or 2) was closed when the program started. Rust's runtime then opens `/dev/null`
/// in its place: output is lost, and input is empty.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `fcntl(2)`.
pub fn was_closed_at_start(fd: u8) -> bool {
    // A program that links this function then links that one too.
    std::hint::black_box(&LOOK);
    CLOSED.load(Ordering::Relaxed) & 1_u8.checked_shl(fd.into()).unwrap_or(0) != 0
}
