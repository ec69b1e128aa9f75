//! Values in memory that nobody can change any more: what the supervisor has read of files, for a front that opens none.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;

use anyhow::Context as _;
use rustix::fs::{MemfdFlags, SealFlags};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Puts a value into memory of that name.
///
/// # Errors
///
/// The kernel's.
pub(crate) fn seal(name: &str, value: &impl Serialize) -> anyhow::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut memory = File::from(rustix::fs::memfd_create(name, flags).context("memfd_create")?);
    let bytes = postcard::to_extend(value, Vec::new()).context("write settings")?;
    memory.write_all(&bytes).context("write memory")?;
    memory.rewind().context("rewind memory")?;
    let seals = SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&memory, seals).context("seal memory")?;
    Ok(memory.into())
}

/// The value in memory that the supervisor has passed.
///
/// # Errors
///
/// It is something else.
pub(crate) fn unseal<T: DeserializeOwned>(memory: OwnedFd) -> anyhow::Result<T> {
    let mut bytes = Vec::new();
    // Without asking for its size, for which the front has no system call.
    let mut memory = File::from(memory).take(u64::MAX);
    memory.read_to_end(&mut bytes).context("read memory")?;
    postcard::from_bytes(&bytes).context("read settings")
}
