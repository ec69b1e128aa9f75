//! Where processes, tasks and their open files are read from.

use std::fmt;

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
