//! Groups, IDs and capabilities.

use std::ffi::{c_int, c_long};

use rustix::io::Errno;

use super::checked;
use super::steps::prctl;

const CAPABILITY_VERSION_3: u32 = 0x2008_0522;

pub(super) fn set_groups(gids: &[u32]) -> Result<(), Errno> {
    // SAFETY: the slice has that many numbers. This is the bare call; libc's function would change all threads.
    checked(unsafe { libc::syscall(libc::SYS_setgroups, gids.len(), gids.as_ptr()) }).map(drop)
}

pub(super) fn set_ids(call: c_long, ids: [u32; 3]) -> Result<(), Errno> {
    // SAFETY: it takes three numbers. This is the bare call, as above.
    checked(unsafe { libc::syscall(call, ids[0], ids[1], ids[2]) }).map(drop)
}

/// `struct __user_cap_header_struct` of `linux/capability.h`.
#[repr(C)]
struct CapHeader {
    version: u32,
    pid: c_int,
}

/// The lower and the upper halves of the effective, the permitted and the inheritable set.
type CapData = [[u32; 3]; 2];

const OWN: CapHeader = CapHeader { version: CAPABILITY_VERSION_3, pid: 0 };

/// Reads the child's effective, permitted and inheritable set.
fn get_capabilities() -> Result<[u64; 3], Errno> {
    let mut header = OWN;
    let mut data: CapData = [[0; 3]; 2];
    // SAFETY: version 3 takes two elements, for which there is room.
    checked(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, data.as_mut_ptr()) })?;
    let whole = |set: usize| u64::from(data[0][set]) | u64::from(data[1][set]) << 32;
    Ok([whole(0), whole(1), whole(2)])
}

fn set_capabilities(sets: [u64; 3]) -> Result<(), Errno> {
    let mut header = OWN;
    let half = |shift: u32| [(sets[0] >> shift) as u32, (sets[1] >> shift) as u32, (sets[2] >> shift) as u32];
    let data: CapData = [half(0), half(32)];
    // SAFETY: as above.
    checked(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, data.as_ptr()) }).map(drop)
}

/// Whether the bounding set has a capability; `None` if the kernel does not know the capability.
fn in_bounding_set(capability: u32) -> Option<bool> {
    // SAFETY: the option takes a number.
    unsafe { prctl(libc::PR_CAPBSET_READ, capability.into(), 0) }.ok().map(|is_in| is_in == 1)
}

pub(super) fn inheritable(set: u64) -> Result<(), Errno> {
    let [_, permitted, before] = get_capabilities()?;
    let bounded =
        (0..u64::BITS).filter(|&bit| in_bounding_set(bit) == Some(true)).fold(0, |all, bit| all | 1_u64 << bit);
    // Makes all permitted capabilities effective, as CAP_SETPCAP can be among them.
    set_capabilities([permitted, permitted, set & (before | bounded)])
        .or_else(|_| set_capabilities([permitted, permitted, set & (before | permitted & bounded)]))
}

pub(super) fn bounding(set: u64) -> Result<(), Errno> {
    for capability in (0..u64::BITS).filter(|&bit| set >> bit & 1 == 0) {
        if in_bounding_set(capability) == Some(true) {
            // SAFETY: the option takes a number.
            unsafe { prctl(libc::PR_CAPBSET_DROP, capability.into(), 0) }?;
        }
    }
    Ok(())
}

pub(super) fn capabilities(wanted: [u64; 3], ambient: u64) -> Result<(), Errno> {
    let [_, permitted, inheritable] = get_capabilities()?;
    // SAFETY: the option takes numbers.
    unsafe { prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL as u64, 0) }?;
    let sets = [wanted[0] & wanted[1] & permitted, wanted[1] & permitted, wanted[2] & inheritable];
    set_capabilities(sets)?;
    for capability in (0..u64::BITS).filter(|&bit| (ambient & sets[1] & sets[2]) >> bit & 1 == 1) {
        // SAFETY: the option takes numbers.
        unsafe { prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as u64, capability.into()) }?;
    }
    Ok(())
}
