//! What the kernel says in procfs.

pub(crate) mod parse;
