//! Programs in sealed memory, which no process can change.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

/// The seals that together keep the bytes of a file as they are.
const SEALS: SealFlags = SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// A file in memory with these bytes, which can be run and which no process can change. This is more than one call: the
/// file is created, filled and sealed.
///
/// # Errors
///
/// `EACCES`, `EPERM`: `vm.memfd_noexec` forbids to run such files. `ENOSYS`: the kernel lacks them. Any error of the
/// reader.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// 3.17; see `memfd_create(2)`.
#[doc(alias = "memfd_create")]
#[doc(alias = "F_ADD_SEALS")]
pub fn sealed_program(name: &str, bytes: &mut impl Read) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let file = match rustix::fs::memfd_create(name, flags | MemfdFlags::EXEC) {
        // Before 6.3 there is no such flag, and it is not necessary.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        made => made?,
    };
    // Above 2, so that no standard stream of a child replaces it.
    let file = std::fs::File::from(rustix::io::fcntl_dupfd_cloexec(&file, 3)?);
    io::copy(bytes, &mut &file)?;
    rustix::fs::fcntl_add_seals(&file, SEALS)?;
    Ok(file.into())
}

/// Whether an open file is in memory and sealed, so that no process can change it.
///
/// # Errors
///
/// `EBADF`: the descriptor is an `O_PATH` one.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// 3.17; see `fcntl(2)`.
#[doc(alias = "F_GET_SEALS")]
pub fn is_sealed(file: impl AsFd) -> Result<bool, Errno> {
    match rustix::fs::fcntl_get_seals(file) {
        Ok(seals) => Ok(seals.contains(SEALS)),
        // Only files in memory have seals.
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}
