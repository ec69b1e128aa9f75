//! Where processes, tasks and their open files are read from.

use std::fmt;

use crate::Gap;

/// Where processes, tasks and their open files are read from. Everything else comes from the same places with both.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "wire", derive(serde::Serialize, serde::Deserialize), serde(rename_all = "kebab-case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[non_exhaustive]
pub enum Reader {
    /// The procfs.
    Proc,
    /// The kernel's iterators, by programs of `bpf(2)`.
    Kernel,
}

impl Reader {
    /// A short stable name, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Proc => "proc",
            Self::Kernel => "kernel",
        }
    }

    /// The reader with this name; `None` of one that this version does not know.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Proc, Self::Kernel].into_iter().find(|reader| reader.name() == name)
    }
}

impl fmt::Display for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Why tasks and open files were not read from the kernel's iterators.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotKernel {
    /// Procfs was asked for.
    NotAsked,
    /// Discovery chose procfs: of so few processes it is read as fast.
    FewProcesses,
    /// The kernel reader could not be used: what failed, at [`Place::Reader`](crate::Place::Reader). Among the gaps of the
    /// snapshot only if it was asked for, or had been used by the session.
    Refused(Gap),
}

impl NotKernel {
    /// A short stable name, as in the JSON form.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::NotAsked => "not-asked",
            Self::FewProcesses => "few-processes",
            Self::Refused(_) => "refused",
        }
    }
}
