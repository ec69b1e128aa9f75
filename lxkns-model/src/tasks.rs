//! The tasks of a process.

use std::ops::{Deref, DerefMut};

use super::{Task, Tid};

/// The tasks of a process that are known: always its first one, then others by TID.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tasks(Vec<Task>);

impl Tasks {
    /// The first task of a process, and others.
    pub fn new(first: Task, others: impl IntoIterator<Item = Task>) -> Self {
        Self(std::iter::once(first).chain(others).collect())
    }

    /// The first one, which has the PID of the process as its TID.
    pub fn first(&self) -> &Task {
        // There is no way to make one without, or to take it away.
        &self.0[0]
    }

    /// The others.
    pub fn others(&self) -> &[Task] {
        &self.0[1..]
    }

    /// The one with this TID.
    pub fn by_tid(&self, tid: Tid) -> Option<&Task> {
        match self.first() {
            first if first.tid == tid => Some(first),
            _ => self.others().binary_search_by_key(&tid, |task| task.tid).ok().map(|at| &self.others()[at]),
        }
    }

    /// Adds one.
    pub fn push(&mut self, task: Task) {
        self.0.push(task);
    }
}

impl Deref for Tasks {
    type Target = [Task];

    fn deref(&self) -> &[Task] {
        &self.0
    }
}

impl DerefMut for Tasks {
    fn deref_mut(&mut self) -> &mut [Task] {
        &mut self.0
    }
}

impl<'a> IntoIterator for &'a Tasks {
    type Item = &'a Task;
    type IntoIter = std::slice::Iter<'a, Task>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<'a> IntoIterator for &'a mut Tasks {
    type Item = &'a mut Task;
    type IntoIter = std::slice::IterMut<'a, Task>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter_mut()
    }
}
