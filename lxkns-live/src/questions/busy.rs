//! `busy`: the mounts and users of a file system, and what would release it.

pub use lxkns_answers::busy::options;
use lxkns_answers::busy::{Answer, Busy};
use lxkns_answers::json::Envelope;
use lxkns_core::model::{FileSystemQuery, FileSystemUsers, Place, Places, Snapshot};

use super::{Host, More};

/// The places whose gaps can change the answer.
pub fn places() -> Places {
    use Place::{BindMounts, Fds, Host, Processes, ProcesslessMounts, TaskFds};
    [Processes, Fds, TaskFds, BindMounts, ProcesslessMounts, Host].into_iter().collect()
}

/// Who uses a file system, and what could not be read about that.
pub fn read(host: &Host<'_>, snapshot: &Snapshot, query: FileSystemQuery) -> (FileSystemUsers, More) {
    let users = host.session.file_system_users(snapshot, query);
    let more = More::of_gaps(users.gaps.clone());
    (users, more)
}

/// The answer.
pub fn answer(busy: &Busy<'_>, gaps: Vec<String>) -> Envelope<Answer> {
    Envelope::new("busy", vec![busy.answer()], gaps)
}
