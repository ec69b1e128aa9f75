//! How many references to a namespace there are.

/// How much of a namespace's references can be explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Exactness {
    /// All that can hold the namespace is visible to the kernel reader: what is not explained is something else.
    Exact,
    /// Some of what can hold the namespace is visible nowhere; or the kernel keeps tasks from the kernel reader.
    AtLeast,
}

/// How many references to a namespace the kernel counts, and how many of them are explained by what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct References {
    /// The kernel's count. Things that the kernel shares, such as the namespaces of tasks that were forked without new ones,
    /// or all descriptors on one namespace, are one reference.
    pub total: u32,
    /// How many of them are explained.
    pub explained: u32,
    /// Whether all of them can be.
    pub exactness: Exactness,
}

impl References {
    /// Whether something else than what was found holds the namespace.
    pub fn has_more(&self) -> bool {
        self.exactness == Exactness::Exact && self.explained < self.total
    }
}
