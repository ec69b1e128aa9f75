//! What somebody tries who has taken the front over. Only in programs for tests.

use std::io;
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, Shutdown, SocketType};
use rustix::process::{Pid, PidfdFlags, Signal};
use serde_json::{Value, json};

use super::link::Reader;
use crate::control::{self, News};

/// What comes of it, as JSON. At `/intruder/garbage` it says to the reader what is no frame, at `/intruder/link` to the
/// supervisor that it needs another connection to the reader, and at `/intruder/flood` the same for ever, as fast as it can.
pub(super) fn tries(path: &str, reader: &Arc<Reader>) -> String {
    if path.ends_with("/garbage") {
        reader.say_garbage();
        return "{}\n".to_owned();
    }
    while path.ends_with("/flood") {
        let _ = control::send(rustix::stdio::stdin(), &News::Unlinked, &[]);
    }
    if path.ends_with("/link") {
        reader.say_lost();
        return "{}\n".to_owned();
    }
    let of = |result: io::Result<()>| match result {
        Ok(()) => Value::from("done"),
        Err(error) => Value::from(error.raw_os_error().map_or_else(|| error.to_string(), |errno| errno.to_string())),
    };
    let open = |path: &str| of(rustix::fs::open(path, OFlags::PATH, Mode::empty()).map(drop).map_err(Into::into));
    let errno = |result: rustix::io::Result<()>| of(result.map_err(Into::into));
    let init = Pid::from_raw(1);
    let tried = json!({
        "open /": open("/"),
        "open /proc": open("/proc"),
        "read /proc/self/status": of(std::fs::read("/proc/self/status").map(drop)),
        "read /etc/passwd": of(std::fs::read("/etc/passwd").map(drop)),
        "write /tmp": of(std::fs::write("/tmp/lxkns-intruder", "").map(drop)),
        "stat /": of(std::fs::metadata("/").map(drop)),
        "run a program": of(Command::new("/bin/true").spawn().map(drop)),
        "start a thread": of(std::thread::Builder::new().spawn(|| {}).map(drop)),
        "make a socket": errno(rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).map(drop)),
        "make a UNIX socket": errno(rustix::net::socket(AddressFamily::UNIX, SocketType::STREAM, None).map(drop)),
        "connect": of(TcpStream::connect(("127.0.0.1", 22)).map(drop)),
        "signal another process": errno(init.map_or(Ok(()), |pid| rustix::process::kill_process(pid, Signal::CONT))),
        "open another process": errno(init.map_or(Ok(()), |pid| {
            rustix::process::pidfd_open(pid, PidfdFlags::empty()).map(drop)
        })),
        "be dumpable": errno(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)),
        "change user": errno(rustix::thread::set_thread_groups(&[])),
        "make a pipe": of(io::pipe().map(drop)),
        // As TIOCSTI, which types into it.
        "ask a terminal": errno(rustix::termios::tcgetwinsize(rustix::stdio::stderr()).map(drop)),
        // What is shared with the next front: sockets that are listened on, and standard error.
        "have a socket take nothing": errno(rustix::net::shutdown(rustix::stdio::stdin(), Shutdown::Read)),
        "change a socket": errno(rustix::net::sockopt::set_socket_keepalive(rustix::stdio::stdin(), true)),
        "change an open file": errno(rustix::fs::fcntl_setfl(rustix::stdio::stderr(), OFlags::NONBLOCK)),
        "make memory": errno(rustix::fs::memfd_create("intruder", rustix::fs::MemfdFlags::CLOEXEC).map(drop)),
        "lead to another process": errno(rustix::process::set_parent_process_death_signal(None)),
        "have more descriptors": errno(rustix::process::setrlimit(
            rustix::process::Resource::Nofile,
            rustix::process::Rlimit { current: None, maximum: None },
        )),
        "read the certificate's file": of(std::fs::read(path.trim_start_matches("/intruder")).map(drop)),
        "variables": std::env::vars_os().count().to_string(),
    });
    format!("{tried}\n")
}
