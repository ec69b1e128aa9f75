//! A workload: so many processes, threads, namespaces, fds and sockets, standing still.
//!
//! Every process blocks in reading one inherited pipe whose only writer is the first process, which itself waits for
//! its standard input to close. However that comes about, the pipe then ends and all the rest with it: nothing is left
//! behind, and nothing of it runs while something else is measured.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixDatagram;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use rustix::net::{AddressFamily, SocketType};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, WaitOptions};

/// Makes a workload, prints `ready ...` when all of it stands, and takes it down when standard input closes.
#[derive(Parser)]
struct Args {
    /// How many processes
    #[arg(long, default_value_t = 1000)]
    processes: usize,
    /// How many threads on top of the processes' first ones, spread evenly
    #[arg(long, default_value_t = 0)]
    threads_extra: usize,
    /// How many namespaces: a tenth of them net, the rest an equal part each of mnt, uts, ipc, pid, user and cgroup
    #[arg(long, default_value_t = 0)]
    namespaces: usize,
    /// How many open files each process has, sockets not counted
    #[arg(long, default_value_t = 8)]
    fds: usize,
    /// How many sockets each process has
    #[arg(long, default_value_t = 2)]
    sockets: usize,
    /// How many mount namespaces are held by nothing but an fd of one more process
    #[arg(long, default_value_t = 0)]
    processless_mount_namespaces: usize,
    /// How many network namespaces are held by nothing but descriptors, one in each process, which all inherit
    #[arg(long, default_value_t = 0)]
    inherited_network_namespaces: usize,
    /// How many containers as runc leaves them: each is a process in a mount namespace of its own, and a state.json
    #[arg(long, default_value_t = 0)]
    containers: usize,
}

/// What runc 1.1 keeps of a container, with its ID, PID and start time left open.
const STATE: &str = include_str!("../state.json");

/// The ends of the two pipes that everyone who is forked gets.
struct Ends {
    /// Ends when the first process does.
    life: OwnedFd,
    /// Takes one zero byte from everyone who is ready, or an error's text.
    ready: OwnedFd,
    /// Descriptors of namespaces that stay open, all of them [`INHERITED`] or higher, without a gap.
    inherited: Vec<OwnedFd>,
}

/// The first descriptor of a namespace that all inherit.
const INHERITED: i32 = 1000;

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("workload: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> anyhow::Result<()> {
    fits(args)?;
    let start = Instant::now();
    let (life, life_writer) = pipe_with(PipeFlags::CLOEXEC)?;
    let (ready_reader, ready) = pipe_with(PipeFlags::CLOEXEC)?;
    let ends = Ends { life, ready, inherited: inherited(args)? };
    let own_pid_namespace = File::open("/proc/self/ns/pid").context("cannot open /proc/self/ns/pid")?;
    if args.containers > 0 {
        own_run()?;
    }

    for i in 0..args.processes {
        let flag = namespace(i, args);
        // A new PID namespace is for those who are forked after it was made.
        if flag == Some(libc::CLONE_NEWPID) {
            unshare(libc::CLONE_NEWPID)?;
            fork(&ends, || member(i, args, None))?;
            set_namespace(&own_pid_namespace, libc::CLONE_NEWPID)?;
        } else {
            fork(&ends, || member(i, args, flag))?;
        }
    }
    let holders = usize::from(args.processless_mount_namespaces > 0);
    if holders > 0 {
        fork(&ends, || mount_namespace_holder(args))?;
    }
    let mut containers = Vec::new();
    for _ in 0..args.containers {
        containers.push(fork(&ends, || unshare(libc::CLONE_NEWNS))?);
    }
    let children = args.processes + holders + containers.len();

    drop(ends);
    all_ready(File::from(ready_reader), children)?;
    containers.into_iter().try_for_each(write_state)?;
    println!(
        "ready processes={children} tasks={} namespaces={} in {:.1} s",
        children + args.threads_extra,
        args.namespaces + args.processless_mount_namespaces + args.inherited_network_namespaces + args.containers,
        start.elapsed().as_secs_f64()
    );
    io::stdout().flush()?;

    io::copy(&mut io::stdin(), &mut io::sink())?;
    drop(life_writer);
    reap()
}

/// Says clearly which limit of the host is in the way, before anything is made.
fn fits(args: &Args) -> anyhow::Result<()> {
    ensure!(
        args.namespaces <= args.processes,
        "each process makes at most one namespace: {} namespaces need as many processes",
        args.namespaces
    );
    ensure!(args.fds >= 2, "each process needs two fds, to say that it is ready and to learn when to end");

    // The fourth field of loadavg is running/existing tasks.
    let loadavg = std::fs::read_to_string("/proc/loadavg").context("cannot read /proc/loadavg")?;
    let existing: usize =
        loadavg.split_whitespace().nth(3).and_then(|f| f.split('/').nth(1)).and_then(|n| n.parse().ok()).unwrap_or(0);
    let holder = usize::from(args.processless_mount_namespaces > 0);
    // Some room for what else goes on.
    let tasks = args.processes + args.threads_extra + holder + args.containers + existing + 500;
    limit("tasks", tasks, "/proc/sys/kernel/pid_max", number("/proc/sys/kernel/pid_max"))?;
    limit("tasks", tasks, "/proc/sys/kernel/threads-max", number("/proc/sys/kernel/threads-max"))?;
    limit("tasks", tasks, "ulimit -u", soft_limit(Resource::Nproc))?;
    let files = (args.processes * (args.fds + args.sockets)) + args.processless_mount_namespaces;
    limit("open files", files, "/proc/sys/fs/file-max", number("/proc/sys/fs/file-max"))?;
    let most_fds = (args.fds + args.sockets).max(args.processless_mount_namespaces) + 16;
    limit("fds in one process", most_fds, "ulimit -n", soft_limit(Resource::Nofile))?;
    if args.inherited_network_namespaces > 0 {
        let fds = INHERITED as usize + args.inherited_network_namespaces;
        limit("fds in one process", fds, "ulimit -n", soft_limit(Resource::Nofile))?;
        ensure!(args.fds + args.sockets <= INHERITED as usize - 2, "they would be among those inherited");
    }
    for kind in ["mnt", "uts", "ipc", "pid", "user", "cgroup", "net"] {
        let path = format!("/proc/sys/user/max_{kind}_namespaces");
        let held = if kind == "mnt" { args.processless_mount_namespaces + args.containers } else { 0 };
        let held = held + if kind == "net" { args.inherited_network_namespaces } else { 0 };
        limit(&format!("{kind} namespaces"), args.namespaces / 6 + held + 1, &path, number(&path))?;
    }
    Ok(())
}

fn limit(what: &str, wanted: usize, name: &str, allowed: Option<usize>) -> anyhow::Result<()> {
    match allowed {
        Some(allowed) if wanted > allowed => {
            bail!("the workload does not fit: {wanted} {what} wanted, {name} allows {allowed}")
        }
        _ => Ok(()),
    }
}

fn number(path: &str) -> Option<usize> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn soft_limit(resource: Resource) -> Option<usize> {
    rustix::process::getrlimit(resource).current.and_then(|n| usize::try_from(n).ok())
}

/// The namespace that process `i` makes, if it makes one.
fn namespace(i: usize, args: &Args) -> Option<libc::c_int> {
    const OTHERS: [libc::c_int; 6] = [
        libc::CLONE_NEWNS,
        libc::CLONE_NEWUTS,
        libc::CLONE_NEWIPC,
        libc::CLONE_NEWPID,
        libc::CLONE_NEWUSER,
        libc::CLONE_NEWCGROUP,
    ];
    if share(i, args.namespaces, args.processes) == 0 {
        return None;
    }
    let n = i * args.namespaces / args.processes;
    // Dear to make and to end, so only a tenth.
    Some(if n % 10 == 9 { libc::CLONE_NEWNET } else { OTHERS[(n - n / 10) % OTHERS.len()] })
}

/// One process of the workload.
fn member(i: usize, args: &Args, flag: Option<libc::c_int>) -> anyhow::Result<()> {
    if let Some(flag) = flag {
        unshare(flag)?;
    }
    // Two of its fds are there already. The others stay open for as long as the process is.
    for _ in 2..args.fds {
        std::mem::forget(File::open("/dev/null").context("cannot open /dev/null")?);
    }
    for n in 0..args.sockets {
        if (i + n).is_multiple_of(2) {
            std::mem::forget(UnixDatagram::unbound().context("cannot make a UNIX socket")?);
        } else {
            let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None);
            std::mem::forget(socket.context("cannot make a UDP socket")?);
        }
    }
    for _ in 0..share(i, args.threads_extra, args.processes) {
        std::thread::Builder::new().stack_size(16 << 10).spawn(park).context("cannot start a thread")?;
    }
    Ok(())
}

/// How many of `total` things the `i`-th of `among` gets when they are spread evenly.
fn share(i: usize, total: usize, among: usize) -> usize {
    (i + 1) * total / among - i * total / among
}

fn park() {
    loop {
        std::thread::park();
    }
}

/// A process that holds mount namespaces in which nothing runs.
fn mount_namespace_holder(args: &Args) -> anyhow::Result<()> {
    let open = || File::open("/proc/self/ns/mnt").context("cannot open /proc/self/ns/mnt");
    let own = open()?;
    for _ in 0..args.processless_mount_namespaces {
        unshare(libc::CLONE_NEWNS)?;
        std::mem::forget(open()?);
    }
    set_namespace(&own, libc::CLONE_NEWNS)
}

/// Network namespaces in which nothing runs. The descriptors are without a gap: nothing else has such high ones.
fn inherited(args: &Args) -> anyhow::Result<Vec<OwnedFd>> {
    let open = || File::open("/proc/self/ns/net").context("cannot open /proc/self/ns/net");
    let own = open()?;
    let mut all = Vec::new();
    for _ in 0..args.inherited_network_namespaces {
        unshare(libc::CLONE_NEWNET)?;
        all.push(rustix::io::fcntl_dupfd_cloexec(open()?, INHERITED)?);
    }
    set_namespace(&own, libc::CLONE_NEWNET)?;
    Ok(all)
}

/// A mount namespace with nothing in `/run`: what is written there ends with the workload.
fn own_run() -> anyhow::Result<()> {
    use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
    unshare(libc::CLONE_NEWNS)?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).context("cannot make / private")?;
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None).context("cannot mount a tmpfs on /run")
}

/// Writes what runc would keep of the container whose first process this is.
fn write_state(pid: libc::pid_t) -> anyhow::Result<()> {
    let stat =
        std::fs::read_to_string(format!("/proc/{pid}/stat")).with_context(|| format!("cannot read {pid}/stat"))?;
    // The 22nd field; the second ends with the last parenthesis.
    let start_time = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(19)).context("no start time")?;
    let id = format!("{pid:064x}");
    let directory = format!("/run/runc/{id}");
    std::fs::create_dir_all(&directory).with_context(|| format!("cannot make {directory}"))?;
    let state = STATE.replace("@ID@", &id).replace("@PID@", &pid.to_string()).replace("@START@", start_time);
    std::fs::write(format!("{directory}/state.json"), state).with_context(|| format!("cannot write below {directory}"))
}

/// Forks a process that does `set_up`, says that it is ready, and ends with the first process.
fn fork(ends: &Ends, set_up: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<libc::pid_t> {
    // SAFETY: this process has one thread, so the child finds every lock and all memory as a program may expect it.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()).context("cannot fork"),
        0 => {
            let code = i32::from(stand(ends, set_up).is_err());
            // SAFETY: ends the process here, so that nothing which the parent owns too is dropped twice.
            unsafe { libc::_exit(code) }
        }
        pid => Ok(pid),
    }
}

/// What every forked process does: its standard input is the pipe that ends with the first process, its standard
/// output the pipe on which it reports, and nothing else that it inherited stays open.
fn stand(ends: &Ends, set_up: impl FnOnce() -> anyhow::Result<()>) -> io::Result<()> {
    rustix::stdio::dup2_stdin(&ends.life)?;
    rustix::stdio::dup2_stdout(&ends.ready)?;
    let kept = INHERITED as libc::c_uint;
    for (first, last) in [(2, kept - 1), (kept + ends.inherited.len() as libc::c_uint, libc::c_uint::MAX)] {
        // SAFETY: closes fds that belong to the parent's variables; this process no longer uses any of them.
        if unsafe { libc::close_range(first, last, 0) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    let report = match set_up() {
        Ok(()) => vec![0],
        Err(error) => format!("{error:#}\n").into_bytes(),
    };
    rustix::io::write(rustix::stdio::stdout(), &report)?;
    rustix::stdio::dup2_stdout(File::open("/dev/null")?.as_fd())?;
    loop {
        match rustix::io::read(rustix::stdio::stdin(), &mut [0_u8; 1]) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map(drop).map_err(Into::into),
        }
    }
}

/// Waits until every child has reported.
fn all_ready(mut pipe: File, children: usize) -> anyhow::Result<()> {
    let mut reports = Vec::new();
    pipe.read_to_end(&mut reports)?;
    let ready = reports.iter().filter(|&&byte| byte == 0).count();
    if ready == children {
        return Ok(());
    }
    reports.retain(|&byte| byte != 0);
    let text = String::from_utf8_lossy(&reports);
    bail!("only {ready} of {children} processes are ready: {}", text.lines().next().unwrap_or("the others ended"))
}

/// Waits until no child is left, so that what was taken down is really gone.
fn reap() -> anyhow::Result<()> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::CHILD) => return Ok(()),
            Err(error) => return Err(error).context("wait"),
        }
    }
}

fn unshare(flag: libc::c_int) -> anyhow::Result<()> {
    // SAFETY: changes which namespace this process is in, and none of its memory or fds.
    match unsafe { libc::unshare(flag) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).with_context(|| format!("cannot make a namespace ({flag:#x})")),
    }
}

fn set_namespace(namespace: &File, flag: libc::c_int) -> anyhow::Result<()> {
    // SAFETY: the fd is open; like unshare, this touches neither memory nor fds.
    match unsafe { libc::setns(namespace.as_raw_fd(), flag) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()).context("cannot return to the namespace that this program came from"),
    }
}
