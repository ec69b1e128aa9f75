//! Text that is safe to print, and that fits.

pub mod charset;
pub mod escape;
pub mod shorten;

mod errors;
mod namespaces;

pub use errors::chain;
pub use namespaces::namespace_names;
