//! The process inside. It enters a namespace, or one network namespace after another, answers questions there, and ends
//! with its parent.
//!
//! Its standard input is the socket that questions come over, its standard output the pipe for the answers. It has nothing
//! else open, and no environment. It has the caller's credentials and must not be seized in a user
//! namespace that others control, so it is undumpable. It ends with its parent.

use std::io::{self, BufWriter};
use std::os::fd::{AsFd as _, OwnedFd};

use lxkns_core::ProcRoot;
use lxkns_model::NamespaceType;
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Signal};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use lxkns_model::Cause;
use lxkns_model::inside::{Failure, HostName, Limit, Network, Parts};

use crate::netlink::failure;
use crate::protocol::{self, Answer, What};
use crate::{route, sock_diag};

/// What the process inside does: it answers what comes over its standard input, until that is closed.
///
/// # Errors
///
/// Standard input or output is not what [`Inside`](crate::Inside) gives to it.
pub fn serve() -> io::Result<()> {
    // It would be called as the link that it was started by.
    let _ = rustix::thread::set_name(c"lxkns");
    let mut out = BufWriter::new(io::stdout().lock());
    while let Some((what, fds)) = protocol::next_question(io::stdin())? {
        let answer = answer(what, &fds).unwrap_or_else(Answer::Failed);
        protocol::answer(&mut out, &answer)?;
    }
    Ok(())
}

fn answer(what: What, fds: &[OwnedFd]) -> Result<Answer, Failure> {
    Ok(match what {
        What::Enter { parent } => {
            enter(parent, fds)?;
            Answer::Entered
        }
        What::Network => {
            let mut network = route::network()?;
            sock_diag::listening(&mut network);
            Answer::Network(network)
        }
        What::Visit(parts) => {
            if let [namespace] = fds {
                // What comes next is of this one or of none: nothing is asked where the last one was.
                move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                    .map_err(failed("setns"))?;
            }
            Answer::Network(visited(parts))
        }
        What::NamespaceIds => Answer::NamespaceIds(route::namespace_ids(fds)?),
        What::NamesOfLinks(links) => Answer::NamesOfLinks(route::names_of_links(&links)?),
        What::NewNetwork => {
            lxkns_sys::unshare_network().map_err(failed("unshare"))?;
            Answer::Entered
        }
        What::Identify(first) => Answer::NamespaceIds(route::identify(first, fds)?),
        What::LinksOf(nsids) => {
            let kernel = route::connect()?;
            Answer::Links(nsids.into_iter().map(|nsid| route::links_and_addresses(&kernel, Some(nsid))).collect())
        }
        What::Links => Answer::Links(vec![route::links_and_addresses(&route::connect()?, None)]),
        What::HostName => {
            let names = rustix::system::uname();
            Answer::HostName(HostName {
                host: names.nodename().to_bytes().to_vec(),
                domain: names.domainname().to_bytes().to_vec(),
            })
        }
        What::Limits => Answer::Limits(limits()?),
    })
}

/// These parts of the network namespace that this process is in.
fn visited(parts: Parts) -> Network {
    let mut network = Network::default();
    if parts.sockets {
        sock_diag::listening(&mut network);
    }
    if parts.unix_sockets {
        sock_diag::listening_unix(&mut network);
    }
    if parts.links {
        match route::links() {
            Ok(links) => network.links = links,
            Err(failure) => network.failures.push(failure),
        }
    }
    network
}

fn failed(call: &str) -> impl Fn(Errno) -> Failure + '_ {
    move |errno| failure(call, &errno.into())
}

fn enter(parent: u32, fds: &[OwnedFd]) -> Result<(), Failure> {
    rustix::thread::set_no_new_privs(true).map_err(failed("prctl PR_SET_NO_NEW_PRIVS"))?;
    guard(parent)?;
    let into = |fd: &OwnedFd| move_into_link_name_space(fd.as_fd(), None);
    match fds {
        [] => {}
        [namespace] => into(namespace).map_err(failed("setns"))?,
        [namespace, user, ..] => match into(namespace) {
            // Only its owner's rights are of use there.
            Err(Errno::PERM) => {
                into(user).and_then(|()| into(namespace)).map_err(failed("setns"))?;
            }
            entered => entered.map_err(failed("setns"))?,
        },
    }
    // Whoever enters a user namespace loses both.
    guard(parent)
}

/// Nobody may trace this process, and it ends with its parent.
fn guard(parent: u32) -> Result<(), Failure> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(failed("prctl PR_SET_DUMPABLE"))?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(failed("prctl PR_SET_PDEATHSIG"))?;
    let is_there = rustix::process::getppid().is_some_and(|pid| pid.as_raw_pid().cast_unsigned() == parent);
    let call = "getppid: the parent has ended".to_owned();
    if is_there { Ok(()) } else { Err(Failure { call, cause: Cause::Changed, errno: None }) }
}

/// The limits of the user namespace that this process is in. A kernel without a type of namespaces has no limit for it.
fn limits() -> Result<Vec<Limit>, Failure> {
    let proc = ProcRoot::host().map_err(|error| match error.errno() {
        Some(errno) => Failure::of_call("open /proc", errno),
        None => Failure { call: error.to_string(), cause: Cause::NoPath, errno: None },
    })?;
    let mut limits = Vec::new();
    for ns_type in NamespaceType::ALL {
        let name = format!("sys/user/max_{ns_type}_namespaces");
        match std::fs::read_to_string(proc.path().join(&name)) {
            Ok(text) => {
                let malformed = |_| Failure { call: format!("read {name}"), cause: Cause::Malformed, errno: None };
                let max = text.trim_ascii().parse().map_err(malformed)?;
                limits.push(Limit { ns_type: ns_type.name().to_owned(), max });
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failure(&format!("read {name}"), &error)),
        }
    }
    // procfs gives no other error where `/proc/sys` is covered or missing.
    let nothing = || Failure { call: "read sys/user".into(), cause: Cause::NoPath, errno: None };
    if limits.is_empty() { Err(nothing()) } else { Ok(limits) }
}
