//! The functions of a C library that compiled code calls: copying, filling and comparing; and a symbol for unwinding.
//! The loops are written so that the compiler does not turn them into calls of these functions.

use crate::sys::{copy_forwards, fill};

/// # Safety
///
/// `from` can be read and `to` written for `count` bytes, and they do not overlap.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the ranges.
    unsafe { copy_forwards(to, from, count) };
    to
}

/// # Safety
///
/// `from` can be read and `to` written for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, count: usize) -> *mut u8 {
    if to.addr().wrapping_sub(from.addr()) >= count {
        // SAFETY: `to` is not within `from`, or before it.
        unsafe { copy_forwards(to, from, count) };
    } else {
        for i in (0..count).rev() {
            // SAFETY: the caller vouches for the range.
            let byte = unsafe { from.wrapping_add(i).read_volatile() };
            // SAFETY: the caller vouches for the range.
            unsafe { to.wrapping_add(i).write_volatile(byte) };
        }
    }
    to
}

/// # Safety
///
/// `to` can be written for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, count: usize) -> *mut u8 {
    // SAFETY: the caller vouches for the range.
    unsafe { fill(to, byte as u8, count) };
    to
}

/// # Safety
///
/// Both can be read for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    for i in 0..count {
        // SAFETY: the caller vouches for the range.
        let a = unsafe { a.wrapping_add(i).read_volatile() };
        // SAFETY: the caller vouches for the range.
        let b = unsafe { b.wrapping_add(i).read_volatile() };
        if a != b {
            return i32::from(a) - i32::from(b);
        }
    }
    0
}

/// # Safety
///
/// Both can be read for `count` bytes.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, count: usize) -> i32 {
    // SAFETY: the caller vouches for the ranges.
    unsafe { memcmp(a, b, count) }
}

/// The compiled `core` refers to it. It is never called, as nothing unwinds.
#[unsafe(no_mangle)]
extern "C" fn rust_eh_personality() {}
