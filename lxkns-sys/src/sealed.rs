//! Programs in memory that nobody can change any more.

use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

/// All that keeps the bytes of a file in memory as they are.
const SEALS: SealFlags = SealFlags::SEAL.union(SealFlags::SHRINK).union(SealFlags::GROW).union(SealFlags::WRITE);

/// A file in memory with these bytes, which can be run and never changed again by anybody. This is more than one call:
/// the file is made, filled and sealed.
///
/// # Errors
///
/// `EACCES`, `EPERM`: `vm.memfd_noexec` forbids such files to be run. `ENOSYS`: there are none. And those of the reader.
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
        // Before 6.3 there is no such flag, and no need to say it.
        Err(Errno::INVAL) => rustix::fs::memfd_create(name, flags)?,
        made => made?,
    };
    // Not among those that a child's own take the places of.
    let file = std::fs::File::from(rustix::io::fcntl_dupfd_cloexec(&file, 3)?);
    io::copy(bytes, &mut &file)?;
    rustix::fs::fcntl_add_seals(&file, SEALS)?;
    Ok(file.into())
}

/// Whether an open file is in memory and sealed: whoever opens it, nobody can change it.
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
        // Only files in memory have any.
        Err(Errno::INVAL) => Ok(false),
        Err(errno) => Err(errno),
    }
}
