//! Where task events come from.

use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

use super::connector::{self, Message};
use super::{EventBatch, EventOptions, refusal};
use crate::discovery::host::read_of_sysfs;
use crate::failure::Failure;
use crate::kernel_reader::{self, EventRecord, Refusal, Tracepoints};
use crate::model::{Cause, EventRefusal, EventSource, NamespaceType, Operation, Pid, TaskEvent, TaskEventKind, Tid};
use crate::procfs::ProcRoot;
use crate::procfs::parse::links;

/// How many events are taken from the kernel before they are handed on.
pub(super) const AT_ONCE: usize = 1024;

/// A source of task events.
pub(super) enum Source {
    Bpf { programs: Box<Tracepoints>, system_calls: bool },
    Connector { socket: Connector, proc: ProcRoot },
}

/// A socket that receives what the process connector tells.
pub(super) struct Connector(OwnedFd);

impl Drop for Connector {
    /// Before Linux 6.6, the kernel makes events until it is told not to, also without a socket.
    fn drop(&mut self) {
        let _ = send(&self.0, connector::IGNORE);
    }
}

/// Sends a request; the number of this process is that of the request.
fn send(socket: &OwnedFd, request: u32) -> Result<usize, Errno> {
    let request = connector::request(request, own_pid());
    rustix::net::sendto(socket, &request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))
}

fn own_pid() -> u32 {
    rustix::process::getpid().as_raw_nonzero().get() as u32
}

/// The best source that there is; `refusals` says why not a better one.
pub(super) fn open(proc: &ProcRoot, options: &EventOptions, refusals: &mut Vec<EventRefusal>) -> Option<Source> {
    // The numbers of events are those of the caller's PID namespace.
    if !proc.is_own() {
        let failure = || Cause::OtherPidNamespace.into();
        refusals.push(refusal(EventSource::Bpf, Operation::OPEN, failure()));
        return None;
    }
    match programs(proc, options) {
        Ok((programs, refused)) => {
            let refused = refused.map(|why| why.or_lockdown(proc));
            let system_calls = options.system_calls && refused.is_none();
            refusals.extend(refused.map(|why| refusal(EventSource::SystemCalls, why.operation, why.failure)));
            return Some(Source::Bpf { programs: Box::new(programs), system_calls });
        }
        Err(why) => {
            let why = why.or_lockdown(proc);
            refusals.push(refusal(EventSource::Bpf, why.operation, why.failure));
        }
    }
    match connect().and_then(|socket| Ok(Source::Connector { socket, proc: proc.try_clone()? })) {
        Ok(source) => return Some(source),
        Err(why) => refusals.push(refusal(EventSource::Connector, Operation::open("NETLINK_CONNECTOR"), why)),
    }
    None
}

fn programs(proc: &ProcRoot, options: &EventOptions) -> Result<(Tracepoints, Option<Refusal>), Refusal> {
    let btf = read_of_sysfs(proc, kernel_reader::BTF).ok_or_else(Refusal::without_btf)?;
    let pid_ns = rustix::fs::statat(proc, "thread-self/ns/pid", rustix::fs::AtFlags::empty());
    let pid_ns = pid_ns.map_err(|errno| Refusal { operation: Operation::stat("ns/pid"), failure: errno.into() })?;
    Tracepoints::attach(&btf, pid_ns.st_ino as u32, options.system_calls)
}

fn connect() -> Result<Connector, Failure> {
    /// The kernel has answered before the request is sent. It does not where the caller may not be told; yet what others are
    /// told comes here too.
    const PATIENCE: Duration = Duration::from_millis(200);
    /// The kernel takes it from the memory for sockets only as it is needed.
    const BUFFER: usize = 4 << 20;
    const GROUP: u32 = 1;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(netlink::CONNECTOR))?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUP))?;
    // A smaller one loses more, and says so.
    let _ = sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER);
    send(&socket, connector::LISTEN)?;
    let deadline = Instant::now() + PATIENCE;
    let mut answer = None;
    while answer.is_none() {
        let has_some = lxkns_sys::poll_until(&mut [PollFd::new(&socket, PollFlags::IN)], Some(deadline))?;
        // Not for longer, whatever else comes.
        if !has_some || Instant::now() >= deadline {
            return Err(Cause::Denied.into());
        }
        receive(&socket, |message| match message {
            Message::Answer { request, errno } if request == own_pid() => {
                answer = Some(errno);
                ControlFlow::Break(())
            }
            _ => ControlFlow::Continue(()),
        })?;
    }
    match answer {
        Some(0) => Ok(Connector(socket)),
        Some(errno) => Err(Errno::from_raw_os_error(errno as i32).into()),
        None => Err(Cause::Denied.into()),
    }
}

/// Reads the messages that are there; whether some were lost.
fn receive(socket: &OwnedFd, mut each: impl FnMut(Message) -> ControlFlow<()>) -> Result<bool, Errno> {
    let mut buffer = [0; 512];
    let mut is_lost = false;
    loop {
        let received = || rustix::net::recvfrom(socket, &mut buffer, RecvFlags::DONTWAIT);
        let (length, from) = match rustix::io::retry_on_intr(received) {
            Ok((_, length, from)) => (length, from),
            Err(Errno::AGAIN) => return Ok(is_lost),
            Err(Errno::NOBUFS) => {
                is_lost = true;
                continue;
            }
            Err(errno) => return Err(errno),
        };
        // Whoever may send to such sockets could say anything; the kernel's own number is 0.
        let is_of_kernel =
            from.and_then(|from| SocketAddrNetlink::try_from(from).ok()).is_some_and(|from| from.pid() == 0);
        let message = connector::parse(&buffer[..length.min(buffer.len())]).filter(|_| is_of_kernel);
        if message.is_some_and(|message| each(message).is_break()) {
            return Ok(is_lost);
        }
    }
}

impl Source {
    pub(super) fn kind(&self) -> EventSource {
        match self {
            Self::Bpf { .. } => EventSource::Bpf,
            Self::Connector { .. } => EventSource::Connector,
        }
    }

    pub(super) fn has_system_calls(&self) -> bool {
        matches!(self, Self::Bpf { system_calls: true, .. })
    }

    /// Takes what there is, at most what the caller's queue has room for. Events of the caller itself are none.
    pub(super) fn take(&mut self, batch: &mut EventBatch) -> Result<(), Errno> {
        let own = own_pid();
        let clock = Clock::now();
        let EventBatch { tasks, lost, .. } = batch;
        match self {
            Self::Bpf { programs, .. } => {
                programs.take(AT_ONCE, |record| {
                    if record.pid != own {
                        tasks.push(event(&record, clock));
                    }
                });
                lost.counted += programs.lost()?;
            }
            Self::Connector { socket, proc } => {
                lost.more |= receive(&socket.0, |message| {
                    let (kind, pid, tid, time_ns) = match message {
                        Message::Fork { pid, tid, time_ns } => (TaskEventKind::Fork, pid, tid, time_ns),
                        Message::Exec { pid, time_ns } => (TaskEventKind::Exec, pid, pid, time_ns),
                        Message::Exit { pid, tid, time_ns } => (TaskEventKind::Exit, pid, tid, time_ns),
                        Message::Answer { .. } => return ControlFlow::Continue(()),
                    };
                    if pid != own {
                        let event = TaskEvent::new(kind, clock.time(time_ns), Pid(pid), Tid(tid), b"");
                        // What has ended is in no namespace any more. A task begins in those of its process.
                        let is_read = kind != TaskEventKind::Exit && pid == tid;
                        tasks.push(if is_read { read_namespaces(proc, event, &mut lost.unread) } else { event });
                    }
                    if tasks.len() < AT_ONCE { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
                })?;
            }
        }
        Ok(())
    }
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Bpf { programs, .. } => programs.as_fd(),
            Self::Connector { socket, .. } => socket.0.as_fd(),
        }
    }
}

/// One moment, by both clocks.
#[derive(Clone, Copy)]
struct Clock {
    wall: SystemTime,
    monotonic_ns: u64,
}

impl Clock {
    fn now() -> Self {
        Self { wall: SystemTime::now(), monotonic_ns: lxkns_sys::monotonic_ns() }
    }

    /// When it was so late by the monotonic clock.
    fn time(self, monotonic_ns: u64) -> SystemTime {
        let ago = Duration::from_nanos(self.monotonic_ns.saturating_sub(monotonic_ns));
        let after = Duration::from_nanos(monotonic_ns.saturating_sub(self.monotonic_ns));
        self.wall.checked_sub(ago).unwrap_or(self.wall) + after
    }
}

fn event(record: &EventRecord, clock: Clock) -> TaskEvent {
    let time = clock.time(record.time_ns);
    TaskEvent::new(record.kind, time, Pid(record.pid), Tid(record.tid), &record.comm)
        .in_namespaces(record.inodes, record.unique_ids)
}

/// Adds the name of a process and its namespaces, as far as they can still be read; else it is counted.
fn read_namespaces(proc: &ProcRoot, event: TaskEvent, unread: &mut u64) -> TaskEvent {
    /// The links of a process, in the order of an event's namespaces.
    const LINKS: [&str; TaskEvent::LINKS] = [
        "ns/mnt",
        "ns/cgroup",
        "ns/uts",
        "ns/ipc",
        "ns/user",
        "ns/pid",
        "ns/net",
        "ns/time",
        "ns/pid_for_children",
        "ns/time_for_children",
    ];
    let mut inodes = [0; TaskEvent::LINKS];
    let (mut comm, mut buffer) = (Vec::new(), [0; 64]);
    if let Ok(dir) = proc.process(event.pid) {
        for (inode, link) in inodes.iter_mut().zip(LINKS) {
            let text = dir.link(link, &mut buffer).ok();
            *inode = text.and_then(links::parse).map_or(0, |(_, ino)| ino as u32);
        }
        let _ = dir.read("comm", &mut comm);
    }
    // A kernel without time namespaces has all others.
    if inodes[NamespaceType::Mnt as usize] == 0 || inodes[NamespaceType::Net as usize] == 0 {
        *unread += 1;
    }
    TaskEvent::new(event.kind, event.time, event.pid, event.tid, comm.trim_ascii_end()).in_namespaces(inodes, [0; 10])
}
