//! File systems, as mounts name them.

use std::fmt;

/// A file system by its device number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileSystem {
    /// The major number; 0 for file systems without a block device.
    pub major: u32,
    /// The minor number.
    pub minor: u32,
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}
