//! System calls and ioctls on Linux namespaces that no other crate binds.
//!
//! Each function is one kernel call with owned and borrowed file descriptors and an [`Errno`]. None of them retries
//! (except those that wait), interprets or remembers anything: the caller decides what an error means. All returned
//! descriptors are close-on-exec. A kernel without a call says so by its error: `ENOSYS` for a system call, `ENOTTY`
//! (of nsfs and pidfds also `EINVAL`) for an ioctl.
//!
//! | asks | with |
//! |---|---|
//! | a namespace for its type, owner, parent, creator and IDs | [`ns_get_nstype`], [`ns_get_userns`], [`ns_get_parent`], [`ns_get_owner_uid`], [`ns_get_id`], [`ns_get_mntns_id`] |
//! | the kernel for its lists of namespaces | [`ns_mnt_get_next`], [`ns_mnt_get_prev`], [`ns_mnt_get_info`], [`listns`], [`open_namespace_by_handle`] |
//! | a mount namespace for its mounts, and for changes of them | [`listmount`], [`statmount`], [`fanotify_mounts`], [`fanotify_mark_mounts`] |
//! | a socket or TUN/TAP file for its network namespace | [`siocgskns`], [`so_netns_cookie`], [`tungetdevnetns`] |
//! | a file for its handle, a UNIX socket for the file that it is bound to | [`handle_of`], [`siocunixfile`] |
//! | a process or thread for namespaces, its descriptor table and I/O priority | [`pidfd_get_namespace`], [`pidfd_open_thread`], [`kcmp_files`], [`kcmp_fs`], [`kcmp_vm`], [`ioprio_get`] |
//! | the kernel for all tasks and files, by programs of the caller's | [`bpf_load_iterator`], [`bpf_link_iterator`], [`bpf_create_iterator`], [`BpfArray`] |
//! | the kernel for what tasks do, by programs at its tracepoints | [`bpf_load_tracepoint`], [`bpf_attach_tracepoint`], [`BpfRing`], [`BpfCounter`], [`bpf_missed_runs`] |
//! | a control group for its filters of devices | [`bpf_device_programs`] |
//! | the process's own start and open files, and the clock | [`at_secure`], [`is_same_file`], [`copy_inherited`], [`take_inherited`], [`monotonic_ns`] |
//!
//! | does | with |
//! |---|---|
//! | have room | [`on_large_stack`], [`Memory`], [`fail_at_file_size_limit`] |
//! | take signals as events | [`sigprocmask`], [`signalfd`], [`read_signal`], [`kill_child`] |
//! | ask for process groups that may be outside | [`tcgetpgrp`], [`getpgrp`] |
//! | leave the network namespace for a new one | [`unshare_network`] |
//! | wait no longer than wanted | [`in_time`], [`open_cached`], [`close_elsewhere`], [`poll_until`], [`poll_now`], [`read_until`], [`send_until`] |
//! | read a file whole, pass descriptors on | [`read_to_end`], [`send_fds`], [`receive_fds`] |
//! | run a program that nobody can change | [`sealed_program`], [`is_sealed`], [`execveat`] |
//!
//! [`spawn()`] alone is many calls: it starts a program in a child that first carries out prepared steps, with system
//! calls alone. With the feature `streams`, `was_closed_at_start` tells which standard streams were closed when the
//! program started.
//!
//! Of the workspace's libraries, only this one has `unsafe` code: each block is one call.

mod bpf;
mod bpf_events;
mod exec;
mod fanotify;
mod handle;
mod kcmp;
mod listns;
mod memory;
mod message;
mod mount;
mod nsfs;
mod patience;
mod pidfd;
mod process;
mod retry;
mod sealed;
mod signal;
mod socket;
mod spawn;
mod stack;
#[cfg(feature = "streams")]
mod streams;
mod terminal;

pub use bpf::{
    BpfArray, BpfElement, BpfInstruction, bpf_create_iterator, bpf_device_programs, bpf_link_iterator,
    bpf_load_iterator,
};
pub use bpf_events::{BpfCounter, BpfRing, bpf_attach_tracepoint, bpf_load_tracepoint, bpf_missed_runs};
pub use exec::{CStrings, execveat};
pub use fanotify::{fanotify_mark_mounts, fanotify_mounts};
pub use handle::{NsHandle, handle_of, open_namespace_by_handle};
pub use kcmp::{is_same_file, kcmp_files, kcmp_fs, kcmp_vm};
pub use listns::{LISTNS_ALL_USER_NAMESPACES, listns};
pub use memory::Memory;
pub use message::{Received, receive_fds, send_fds};
pub use mount::{MountFacts, MountFlags, StatmountMask, listmount, statmount};
pub use nsfs::{
    MountNamespaceInfo, ns_get_id, ns_get_mntns_id, ns_get_nstype, ns_get_owner_uid, ns_get_parent, ns_get_userns,
    ns_mnt_get_info, ns_mnt_get_next, ns_mnt_get_prev,
};
pub use patience::{close_elsewhere, in_time, open_cached};
pub use pidfd::{PidfdNamespace, pidfd_get_namespace, pidfd_open_thread};
pub use process::{at_secure, copy_inherited, ioprio_get, monotonic_ns, take_inherited, unshare_network};
pub use retry::{poll_now, poll_until, read_to_end, read_until, send_until};
pub use rustix::io::Errno;
pub use sealed::{is_sealed, sealed_program};
pub use signal::{
    Blocking, SignalSet, TakenSignal, fail_at_file_size_limit, is_ignored, kill_child, read_signal, signalfd,
    sigprocmask,
};
pub use socket::{PeerCredentials, siocgskns, siocunixfile, so_netns_cookie, so_peercred, tungetdevnetns};
pub use spawn::{
    Child, Cover, Directory, Enter, Exec, ExecProgram, Launch, LaunchSession, LaunchStep, Limit, Op, Refusal, SharedFd,
    SpawnError, Watch, run_steps, spawn,
};
pub use stack::on_large_stack;
#[cfg(feature = "streams")]
pub use streams::was_closed_at_start;
pub use terminal::{getpgrp, tcgetpgrp};

use std::os::fd::{FromRawFd, OwnedFd};

/// The error of the libc call that has just failed on this thread.
fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// What a raw call returned, or the error that -1 stands for.
fn checked(returned: libc::c_long) -> Result<libc::c_long, Errno> {
    if returned == -1 { Err(last_errno()) } else { Ok(returned) }
}

/// The descriptor that a raw call has just made, or the error that -1 stands for.
fn checked_fd(returned: libc::c_long) -> Result<OwnedFd, Errno> {
    let raw = checked(returned)? as libc::c_int;
    // SAFETY: the kernel has just created this descriptor for this call; nothing else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(raw) })
}
