//! What a process knows of itself.

/// Whether the program runs with powers that its caller does not have: set-user-ID, set-group-ID, or with
/// capabilities of its file. It should then take no instructions from its environment.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; see `getauxval(3)`.
#[doc(alias = "AT_SECURE")]
pub fn at_secure() -> bool {
    // SAFETY: it takes an integer, and reads what the kernel has put above the stack when the program started.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}
