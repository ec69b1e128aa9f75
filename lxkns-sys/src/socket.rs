//! Network namespaces of sockets and of TUN/TAP devices.

use std::ffi::{c_int, c_ulong};
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};

use rustix::io::Errno;

use crate::nsfs::ioctl_fd;

const SIOCGSKNS: c_ulong = 0x894c;
const SIOCUNIXFILE: c_ulong = 0x89e0;
const SO_NETNS_COOKIE: c_int = 71;
const TUNGETDEVNETNS: c_ulong = ((b'T' as c_ulong) << 8) | 227;

/// The network namespace that a socket, or an open TUN/TAP file, belongs to and keeps alive.
///
/// # Errors
///
/// `EPERM`: see below. `ENOTTY`: neither a socket nor a TUN/TAP file.
///
/// # Privileges
///
/// `CAP_NET_ADMIN` in the user namespace that owns that network namespace.
///
/// # Minimum kernel version
///
/// 4.10 for sockets, 4.18 for TUN/TAP; `include/uapi/linux/sockios.h`.
#[doc(alias = "SIOCGSKNS")]
pub fn siocgskns(socket: impl AsFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(socket, SIOCGSKNS) }
}

/// The cookie of a socket's network namespace: a number that the kernel gives to no other one, as long as it runs.
///
/// # Errors
///
/// `ENOPROTOOPT`: the kernel does not have it. `ENOTSOCK`: no socket.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// 5.14; `include/uapi/asm-generic/socket.h`.
#[doc(alias = "SO_NETNS_COOKIE")]
pub fn so_netns_cookie(socket: impl AsFd) -> Result<u64, Errno> {
    let mut cookie = 0_u64;
    let mut length = size_of::<u64>() as libc::socklen_t;
    let (level, socket) = (libc::SOL_SOCKET, socket.as_fd().as_raw_fd());
    // SAFETY: both pointers are to live variables, and `length` says how large the first one is.
    let result = unsafe { libc::getsockopt(socket, level, SO_NETNS_COOKIE, (&raw mut cookie).cast(), &raw mut length) };
    match result {
        0 if length as usize == size_of::<u64>() => Ok(cookie),
        0 => Err(Errno::NOPROTOOPT),
        _ => Err(crate::last_errno()),
    }
}

/// Who is at the other end of a connection between UNIX sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerCredentials {
    /// The process that has connected or, where that was the caller, that has called `listen(2)`.
    pub pid: u32,
    /// Its effective user ID at that time, in the caller's user namespace.
    pub uid: u32,
}

/// Who is at the other end of a connected UNIX socket. `None`: a process that has no PID in the caller's PID namespace.
///
/// # Errors
///
/// `ENOTSOCK`: no socket.
///
/// # Privileges
///
/// None.
///
/// # Minimum kernel version
///
/// Any; `include/uapi/asm-generic/socket.h`.
#[doc(alias = "SO_PEERCRED")]
pub fn so_peercred(socket: impl AsFd) -> Result<Option<PeerCredentials>, Errno> {
    let mut peer = libc::ucred { pid: 0, uid: 0, gid: 0 };
    let mut length = size_of::<libc::ucred>() as libc::socklen_t;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: both pointers are to live variables, and `length` says how large the first one is.
    let result = unsafe {
        libc::getsockopt(socket, libc::SOL_SOCKET, libc::SO_PEERCRED, (&raw mut peer).cast(), &raw mut length)
    };
    match result {
        0 => {
            let pid = u32::try_from(peer.pid).ok().filter(|&pid| pid != 0);
            Ok(pid.map(|pid| PeerCredentials { pid, uid: peer.uid }))
        }
        _ => Err(crate::last_errno()),
    }
}

/// The network namespace in which the device of an open TUN/TAP file is, which changes when the device is moved.
///
/// # Errors
///
/// `EBADFD`: no device is attached. `EPERM`: see below.
///
/// # Privileges
///
/// `CAP_NET_ADMIN` in the user namespace that owns the network namespace of the device.
///
/// # Minimum kernel version
///
/// 5.2; `include/uapi/linux/if_tun.h`.
#[doc(alias = "TUNGETDEVNETNS")]
pub fn tungetdevnetns(tun: impl AsFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(tun, TUNGETDEVNETNS) }
}

/// The file that a UNIX socket is bound to, opened with `O_PATH`; for an accepted connection, that of the listening
/// socket.
///
/// # Errors
///
/// `ENOENT`: it is not bound to a path. `EPERM`: see below. `ENOTTY`, `EINVAL`: not a UNIX socket.
///
/// # Privileges
///
/// `CAP_NET_ADMIN` in the user namespace that owns the socket's network namespace.
///
/// # Minimum kernel version
///
/// 4.11; `include/uapi/linux/un.h`.
#[doc(alias = "SIOCUNIXFILE")]
pub fn siocunixfile(socket: impl AsFd) -> Result<OwnedFd, Errno> {
    // SAFETY: the request takes no argument and returns a new descriptor.
    unsafe { ioctl_fd(socket, SIOCUNIXFILE) }
}
