//! Asks engines what their files and control groups do not say.
//!
//! Who is asked: processes that are called `dockerd`, `containerd` or `podman` and listen on a UNIX socket with a path, in any
//! mount namespace. A socket that nobody else than systemd has open is nobody's that was found: connecting to it would start an
//! engine. All are asked at the same time, each by a thread with one deadline.

pub(crate) mod connect;
pub(crate) mod containerd;
pub(crate) mod forms;
pub(crate) mod grpc;
pub(crate) mod http;
pub(crate) mod listeners;

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bstr::BString;
use lxkns_model::CompactSort as _;
use lxkns_model::{
    Cause, Confidence, ContainerRole, EngineKind, EvidenceKind, Gap, NamespaceId, NamespaceType, Object, Operation,
    Pid, Place, Pod, Process, Uid,
};
use rustc_hash::FxHashMap;
use rustix::fs::{Mode, OFlags};

use crate::Host;
use crate::evidence::{Claim, likely};
use crate::files::Failure;
use crate::processes::{Processes, read_proc};
use connect::{Failed, Peer};
use listeners::{Listener, Listening};

/// How many engines are asked.
const MOST_ENGINES: usize = 16;

/// How many processes that may be one are looked at.
const MOST_CANDIDATES: usize = 256;

/// How much longer than its deadline a thread is waited for: it ends by itself unless the kernel keeps it.
const GRACE: Duration = Duration::from_millis(100);

/// An engine that has answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) pid: Pid,
    pub(crate) kind: EngineKind,
    pub(crate) version: BString,
    pub(crate) api: Option<BString>,
    pub(crate) claims: Vec<Claim>,
}

/// What engines have answered, and which have not.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    pub(crate) answers: Vec<Answer>,
    pub(crate) gaps: Vec<Gap>,
}

/// How long an engine that has not answered in time is left alone: each scan would wait for it.
const REST: Duration = Duration::from_secs(60);

/// An engine that has not answered in time: the end of its rest, and the thread that the kernel has not let go, if any.
type Late = (Pid, Instant, Option<JoinHandle<()>>);

/// Those that have not answered in time.
#[derive(Debug, Default)]
pub(crate) struct Unanswered(Mutex<Vec<Late>>);

impl Unanswered {
    fn has(&self, pid: Pid) -> bool {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        left.retain(|(_, until, thread)| *until > now || thread.as_ref().is_some_and(|thread| !thread.is_finished()));
        left.iter().any(|(other, ..)| *other == pid)
    }

    fn add(&self, pid: Pid, thread: Option<JoinHandle<()>>) {
        let mut left = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        left.push((pid, Instant::now() + REST, thread));
    }
}

/// What one thread has: an answer that can be incomplete, and what has failed.
type Told = (Pid, Option<Answer>, Vec<Failed>);

/// Asking that has begun.
pub(crate) struct Asking<'a> {
    all: Answers,
    threads: FxHashMap<Pid, JoinHandle<()>>,
    told: Option<Receiver<Told>>,
    until: Instant,
    unanswered: &'a Unanswered,
}

impl<'a> Asking<'a> {
    /// Asks all engines that are found; none without a `timeout`. `has_leftovers`: also for containers that have ended.
    pub(crate) fn begin(
        processes: &Processes<'_>,
        host: &'a Host,
        timeout: Option<Duration>,
        has_leftovers: bool,
    ) -> Self {
        let until = Instant::now() + timeout.unwrap_or_default();
        let unanswered = &host.unanswered;
        let mut asking = Self { all: Answers::default(), threads: FxHashMap::default(), told: None, until, unanswered };
        if timeout.is_none() {
            return asking;
        }
        if !host.proc.is_own() {
            // The kernel says the PIDs of those that answer as this process's PID namespace has them.
            let what = Operation::Other("ask engines".into());
            asking.all.gaps.push(Gap::because(Place::Containers, Object::Host, what, Cause::OtherPidNamespace));
            return asking;
        }
        let (teller, told) = channel();
        asking.told = Some(told);
        for (kind, peer, listeners) in asking.find(processes, host) {
            let (pid, teller) = (peer.pid, teller.clone());
            let work = move || {
                let (answer, failures) = ask(kind, &peer, &listeners, has_leftovers);
                let _ = teller.send((peer.pid, answer, failures));
            };
            match std::thread::Builder::new().name("lxkns-engine".into()).spawn(work) {
                Ok(thread) => drop(asking.threads.insert(pid, thread)),
                Err(_) => asking.gap(pid, Operation::StartThread, Cause::Limit),
            }
        }
        asking
    }

    fn gap(&mut self, pid: Pid, operation: Operation, cause: Cause) {
        self.all.gaps.push(Gap::because(Place::Containers, Object::Process(pid), operation, cause));
    }

    fn fail(&mut self, pid: Pid, failed: Failed) {
        self.all.gaps.extend(crate::collect::gap(Object::Process(pid), failed.operation, failed.failure));
    }

    /// The processes that may be engines, with where they listen: those on the host itself first.
    fn find(&mut self, processes: &Processes<'_>, host: &Host) -> Vec<(EngineKind, Peer, Vec<Listener>)> {
        let kind_of = |process: &Process| match process.comm().as_slice() {
            b"dockerd" => Some(EngineKind::Docker),
            b"containerd" => Some(EngineKind::Containerd),
            b"podman" => Some(EngineKind::Podman),
            _ => None,
        };
        let all = processes.snapshot.processes.values();
        let mut candidates: Vec<_> = all.filter_map(|process| Some((kind_of(process)?, process))).collect();
        // An engine of a user's own has all its UIDs from that user, also in a user namespace. However many of these there
        // are, those of root come first.
        let uid_of = |process: &Process| {
            let [uid, others @ ..] = processes.status(process.pid)?.uids;
            (others == [uid; 2]).then_some(uid)
        };
        candidates.retain(|(_, process)| uid_of(process).is_some());
        candidates.compact_sort_by_key(|(_, process)| {
            (uid_of(process) != Some(0), !processes.is_in_host(process), process.pid)
        });
        let mut left_out = candidates.len().saturating_sub(MOST_CANDIDATES);
        candidates.truncate(MOST_CANDIDATES);
        let mut networks: FxHashMap<Option<NamespaceId>, Arc<Listening>> = FxHashMap::default();
        let mut found = Vec::new();
        for (kind, process) in candidates {
            let pid = process.pid;
            let peer = match self.peer(process, uid_of(process).unwrap_or_default(), processes, host) {
                Ok(peer) => peer,
                Err(failed) => {
                    self.fail(pid, failed);
                    continue;
                }
            };
            let network = process.namespaces.get(NamespaceType::Net);
            let known = network.and_then(|_| networks.get(&network)).cloned();
            let listening = known.map_or_else(
                || {
                    let text = read_proc(&peer.dir, "net/unix")?;
                    let listening = Arc::new(lxkns_core::parse::listening_unix_sockets(&text));
                    networks.insert(network, listening.clone());
                    Ok(listening)
                },
                Ok,
            );
            let listeners = listening
                .map_err(|errno| (Operation::read("net/unix"), errno))
                .and_then(|all| listeners::of_process(&peer.dir, &all).map_err(|errno| (Operation::list("fd"), errno)));
            match listeners {
                // Podman is mostly none: only its service listens.
                Ok(listeners) if listeners.is_empty() && kind == EngineKind::Podman => {}
                Ok(listeners) if listeners.is_empty() => {
                    let what = "ask engine: no UNIX socket with a path".into();
                    self.gap(pid, Operation::Other(what), Cause::NoPath);
                }
                Ok(_) if self.unanswered.has(pid) => {
                    self.gap(pid, Operation::Other("ask engine".into()), Cause::NotTried);
                }
                Ok(_) if found.len() == MOST_ENGINES => left_out += 1,
                Ok(listeners) => found.push((kind, peer, listeners)),
                Err((operation, errno)) => self.fail(pid, Failed { operation, failure: Failure::Errno(errno) }),
            }
        }
        if left_out > 0 {
            let what = Operation::Other(format!("ask {left_out} more engines").into());
            self.all.gaps.push(Gap::because(Place::Containers, Object::Host, what, Cause::Limit));
        }
        found
    }

    fn peer(&self, process: &Process, uid: u32, processes: &Processes<'_>, host: &Host) -> Result<Peer, Failed> {
        let open = |path: &str| {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(&host.proc, path, flags, Mode::empty());
            opened.map_err(|errno| Failed { operation: Operation::OPEN, failure: Failure::Errno(errno) })
        };
        let mount_ns = processes.mount_ns(process.pid).and_then(|id| processes.snapshot.namespaces.get(&id));
        let owner = mount_ns.and_then(|it| processes.snapshot.namespaces.get(&it.owner.known()?));
        Ok(Peer {
            pid: process.pid,
            uid,
            start_time_ticks: process.start_time_ticks(),
            dir: open(&process.pid.to_string())?,
            proc: open(".")?,
            proc_path: host.proc.path().to_owned(),
            has_mounts_of_host: owner.is_some_and(|owner| owner.initial),
            deadline: self.until,
        })
    }

    /// What was answered in time.
    pub(crate) fn end(mut self) -> Answers {
        while let Some(told) = self.told.as_ref().filter(|_| !self.threads.is_empty()) {
            let rest = (self.until + GRACE).saturating_duration_since(Instant::now());
            match told.recv_timeout(rest) {
                Ok((pid, answer, failures)) => {
                    if let Some(thread) = self.threads.remove(&pid) {
                        // It has nothing more to do. One that has panicked has told nothing.
                        drop(thread);
                    }
                    self.all.answers.extend(answer);
                    let is_late = |failed: &Failed| matches!(failed.failure, Failure::Cause(Cause::TimedOut));
                    if failures.iter().any(is_late) {
                        self.unanswered.add(pid, None);
                    }
                    failures.into_iter().for_each(|failed| self.fail(pid, failed));
                }
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        for (pid, thread) in std::mem::take(&mut self.threads) {
            self.gap(pid, Operation::Other("ask engine".into()), Cause::TimedOut);
            self.unanswered.add(pid, Some(thread));
        }
        self.all.answers.compact_sort_by_key(|answer| answer.pid);
        self.all
    }
}

/// Asks one engine, on the first of its sockets on which it answers as one.
fn ask(kind: EngineKind, peer: &Peer, listeners: &[Listener], has_leftovers: bool) -> (Option<Answer>, Vec<Failed>) {
    let mut failures = Vec::new();
    for listener in listeners {
        let is_containerd = kind == EngineKind::Containerd;
        let said = if is_containerd { containerd::version(peer, listener) } else { version(kind, peer, listener) };
        match said {
            Ok((file, version)) => {
                let mut answer = Answer {
                    pid: peer.pid,
                    kind,
                    version: version.version.clone(),
                    api: listener.path.clone(),
                    claims: Vec::new(),
                };
                // What the other sockets are for is of no interest.
                failures.clear();
                failures.extend(if is_containerd {
                    let call = |method: &str, namespace: Option<&[u8]>| peer.call(listener, &file, method, namespace);
                    containerd::list(&mut answer, call)
                } else {
                    let mut get = |target: &str| peer.get(listener, &file, target);
                    list(&mut answer, &version, &mut get, has_leftovers)
                });
                if peer.uid != 0 {
                    // It is that user's word, and counts for that user's processes.
                    for claim in &mut answer.claims {
                        claim.whose = Some(Uid(peer.uid));
                        claim.evidence.confidence = Confidence::Claimed;
                    }
                }
                return (Some(answer), failures);
            }
            Err(failed) => failures.push(failed),
        }
    }
    (None, failures)
}

fn malformed(target: &str, text: &str) -> Failed {
    let operation = Operation::Parse(format!("GET {target}: {text}").into());
    Failed { operation, failure: Failure::Cause(Cause::Malformed) }
}

/// Whether it is the engine that its name says, and which version.
fn version(
    kind: EngineKind,
    peer: &Peer,
    listener: &Listener,
) -> Result<(std::os::fd::OwnedFd, forms::Version), Failed> {
    const TARGET: &str = "/version";
    let file = peer.file_of(listener)?;
    let text = peer.get(listener, &file, TARGET)?;
    match forms::version(&text) {
        Ok(version) if version.kind == kind => Ok((file, version)),
        Ok(version) => Err(malformed(TARGET, &format!("answer is of {}", version.kind))),
        Err(_) => Err(malformed(TARGET, "not the form of an engine")),
    }
}

/// Asks for its containers and pods. Returns what has failed.
fn list(
    answer: &mut Answer,
    version: &forms::Version,
    get: &mut impl FnMut(&str) -> Result<Vec<u8>, Failed>,
    has_leftovers: bool,
) -> Vec<Failed> {
    let mut failures = Vec::new();
    let own = version.api.as_ref().filter(|_| answer.kind == EngineKind::Podman);
    let own = own.map(|api| format!("/v{api}/libpod")).unwrap_or_default();
    let target = format!("{own}/containers/json?all={has_leftovers}");
    let cut = |target: &str| Failed {
        operation: Operation::Parse(format!("GET {target}: the first {} are read", forms::MOST_LISTED).into()),
        failure: Failure::Cause(Cause::Cut),
    };
    let at = answer.api.clone().unwrap_or_default();
    let evidence = likely(EvidenceKind::Engine, at, Some(answer.pid));
    let text = get(&target);
    match text.map(|text| forms::containers(&text)) {
        Ok(Ok(list)) => {
            failures.extend(list.is_cut.then(|| cut(&target)));
            answer.claims.extend(list.items.into_iter().map(|listed| claim(answer.kind, listed, evidence.clone())));
        }
        Ok(Err(_)) => failures.push(malformed(&target, "not a list of containers")),
        Err(failed) => {
            failures.push(failed);
            return failures;
        }
    }
    if own.is_empty() {
        return failures;
    }
    let target = format!("{own}/pods/json");
    match get(&target).map(|text| forms::pods(&text)) {
        Ok(Ok(list)) => {
            failures.extend(list.is_cut.then(|| cut(&target)));
            for listed in list.items {
                // It is known by the container that keeps its namespaces.
                let Some(infra) = listed.infra else { continue };
                let mut claim = Claim::new(EngineKind::Podman, infra, evidence.clone());
                claim.is_of_pod = true;
                claim.facts.role = Some(ContainerRole::Sandbox);
                claim.facts.labels = listed.labels;
                claim.facts.pod = Some(Pod { namespace: BString::default(), name: listed.name, uid: listed.id });
                answer.claims.push(claim);
            }
        }
        Ok(Err(_)) => failures.push(malformed(&target, "not a list of pods")),
        Err(failed) => failures.push(failed),
    }
    failures
}

/// What an engine says of a container. It names no process: which are in it, others say, or the tasks of containerd.
fn claim(kind: EngineKind, listed: forms::Listed, evidence: lxkns_model::Evidence) -> Claim {
    let mut claim = Claim::new(kind, listed.id, evidence);
    // No source that a file has.
    claim.source = usize::MAX;
    claim.facts.name = listed.name;
    claim.facts.image = listed.image;
    claim.facts.state = listed.state;
    claim.facts.health = listed.health;
    claim.facts.created = listed.created;
    claim.facts.labels = listed.labels;
    claim
}
