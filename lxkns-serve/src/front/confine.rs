//! How the front gives up all that it does not need: whoever takes it over has two sockets, and nothing else.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use landlock::{ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _, Scope};
use rustix::process::{DumpableBehavior, Gid, Resource, Rlimit, Signal, Uid};
use rustix::thread::{CapabilitySet, CapabilitySets};
use seccompiler::{
    SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};
use tracing::warn;

/// The user and group that has nothing: `nobody`.
const NOBODY: u32 = 65_534;

/// Descriptors for all but connections.
const DESCRIPTORS: u64 = 64;

/// Has the kernel permit as many descriptors as so many connections need; says how many connections it permits.
pub(super) fn make_room(connections: usize) -> usize {
    let needed = (connections as u64).saturating_add(DESCRIPTORS);
    let limits = rustix::process::getrlimit(Resource::Nofile);
    let hard = limits.maximum.unwrap_or(u64::MAX);
    if limits.current.is_some_and(|soft| soft < needed) {
        let limits = Rlimit { current: Some(needed.min(hard)), ..limits };
        // What it permits then is read again.
        let _ = rustix::process::setrlimit(Resource::Nofile, limits);
    }
    let soft = rustix::process::getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    // With fewer than it needs for itself it serves a few, one after the other.
    let room = soft.saturating_sub(DESCRIPTORS).max(4);
    connections.min(usize::try_from(room).unwrap_or(usize::MAX))
}

/// Gives up capabilities, the user root, and all files. It must be the only thread.
///
/// # Errors
///
/// Something could not be given up.
pub(super) fn give_up_powers() -> anyhow::Result<()> {
    rustix::thread::set_no_new_privs(true).context("no_new_privs")?;
    // Programs that it ran would have none either; it takes a capability to say so, without which there are none to lose.
    for number in 0..64 {
        let capability = CapabilitySet::from_bits_retain(1 << number);
        let _ = rustix::thread::remove_capability_from_bounding_set(capability);
    }
    // Root of a user namespace without such a user, and root without the capabilities to become one, give up the rest.
    if rustix::process::geteuid().is_root()
        && let Err(error) = become_nobody()
    {
        warn!(process = "front", %error, "stays root, without any capability");
    }
    // Kernels before 4.3 have none.
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    let none = CapabilitySets { effective: none, permitted: none, inheritable: none };
    rustix::thread::set_capabilities(None, none).context("give up capabilities")?;
    // Another user's process forgets both.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).context("be undumpable")?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).context("end with the parent")?;
    let sets = rustix::thread::capabilities(None).context("read capabilities")?;
    ensure!(sets.permitted.is_empty() && sets.effective.is_empty(), "capabilities are left");
    forbid_files()
}

fn become_nobody() -> std::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    Ok(rustix::thread::set_thread_res_uid(uid, uid, uid)?)
}

/// Has the kernel refuse all files, addresses, and signals to others, as far as it can.
fn forbid_files() -> anyhow::Result<()> {
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ABI::V6))?
        .handle_access(AccessNet::from_all(ABI::V6))?
        .scope(Scope::AbstractUnixSocket | Scope::Signal)?;
    // Without Landlock the filter of system calls remains.
    ruleset.create().and_then(|ruleset| ruleset.restrict_self()).context("Landlock")?;
    Ok(())
}

/// The system calls that remain. None opens, connects, starts or traces anything.
const CALLS: &[libc::c_long] = &[
    libc::SYS_accept4,
    libc::SYS_brk,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_close,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_getpeername,
    libc::SYS_getpid,
    libc::SYS_getrandom,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_gettid,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_nanosleep,
    libc::SYS_ppoll,
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_restart_syscall,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_sched_yield,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_sigaltstack,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Leaves only the calls that a server of these sockets makes; all others fail with `EPERM`.
///
/// # Errors
///
/// The kernel takes no filter.
pub(super) fn filter_system_calls() -> anyhow::Result<()> {
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = CALLS.iter().map(|&call| (call, Vec::new())).collect();
    // Of what a descriptor can be asked and told, only what tells nothing of others. Standard error can be a terminal, in
    // which TIOCSTI types for its user. A listener is shared with the next front: one that no longer listens, or
    // has a filter for packets, would stay so.
    let is = |argument: u8, what: u64| SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, what);
    let number = |what: libc::c_int| u64::from(what.unsigned_abs());
    let (level, option) = (number(libc::IPPROTO_TCP), number(libc::TCP_NODELAY));
    for (call, allowed) in [
        (libc::SYS_fcntl, vec![vec![is(1, number(libc::F_GETFL))], vec![is(1, number(libc::F_GETFD))]]),
        (libc::SYS_ioctl, vec![vec![is(1, libc::FIONBIO)]]),
        (libc::SYS_setsockopt, vec![vec![is(1, level), is(2, option)]]),
        (libc::SYS_shutdown, vec![vec![is(1, number(libc::SHUT_WR))]]),
    ] {
        let rule = |conditions: Vec<_>| SeccompRule::new(conditions.into_iter().collect::<Result<_, _>>()?);
        let allowed: Result<Vec<_>, _> = allowed.into_iter().map(rule).collect();
        rules.insert(call, allowed.context("filter")?);
    }
    let arch = TargetArch::try_from(std::env::consts::ARCH).context("no filter for this processor")?;
    let denied = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let filter = SeccompFilter::new(rules, denied, SeccompAction::Allow, arch).context("filter")?;
    let program: seccompiler::BpfProgram = filter.try_into().context("filter")?;
    // The thread that checks passwords has it too.
    seccompiler::apply_filter_all_threads(&program).context("seccomp")
}
