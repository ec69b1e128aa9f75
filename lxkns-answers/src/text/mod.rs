//! Text that is safe to print, and that fits.

pub mod charset;
pub mod errors;
pub mod escape;
pub mod shorten;

mod namespaces;

pub use namespaces::namespace_names;
