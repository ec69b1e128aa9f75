//! The places that procfs shows, once more by the kernel reader: the same fixtures, and the same holders.

use lxkns_core::model::Reader;

use super::super::{READER, places};
use super::BTF;
use crate::harness::Need::{File, Root};
use crate::harness::Test;

/// The tests of places that the kernel reader reads.
const PLACES: [&str; 18] = [
    "process",
    "every_type",
    "thread",
    "zombie_leader",
    "time_for_children",
    "pid_for_children",
    "pid_for_children_of_a_thread",
    "fd",
    "fd_through_a_bind_mount",
    "path_fd",
    "socket",
    "sockets_at_home_are_counted",
    "socket_of_a_thread",
    "tun",
    "fds_of_a_thread",
    "parent",
    "parent_pid_namespace",
    "owner",
];

pub(super) fn tests() -> Vec<Test> {
    let read = places::tests().into_iter().filter_map(|test| {
        let name = test.name().strip_prefix("places::").filter(|name| PLACES.contains(name))?;
        let name = format!("kernel_reader::{name}");
        Some(test.again(name, &[Root, File(BTF)], |run| {
            // On a thread of its own, which the choice ends with.
            let chosen = move || {
                READER.set(Some(Reader::Kernel));
                run();
            };
            if let Err(panic) = std::thread::spawn(chosen).join() {
                std::panic::resume_unwind(panic);
            }
        }))
    });
    read.collect()
}
