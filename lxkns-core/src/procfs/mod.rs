//! procfs: [`ProcRoot`], the only place that knows where it is mounted, directories below it, and pure parsers over
//! bytes.

mod dir;
pub(crate) mod parse;
mod root;

pub(crate) use dir::{ProcDir, for_each_number, link};
pub(crate) use root::decimal;
pub use root::{OWN_DESCRIPTORS, OWN_PROGRAM, ProcRoot};
