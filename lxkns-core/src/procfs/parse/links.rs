//! The text of the links below `/proc/PID/ns`, which is also the root field of a namespace's bind mount in mountinfo;
//! `namespaces(7)`.

use super::decimal;
use crate::model::{NamespaceType, TypedInode};

/// Reads `net:[4026531840]`: the type and the inode number of a namespace, or `None` for any other text.
///
/// The links `pid_for_children` and `time_for_children` have the plain type in their text. The link of a descriptor can
/// have such a text without being a namespace, as a file can have such a name.
pub(crate) fn parse(text: &[u8]) -> Option<(NamespaceType, u64)> {
    TypedInode::parse(text).map(|name| (name.ns_type, name.ino))
}

/// Reads `socket:[11260]`: the inode number of a socket, or `None` for any other text. Only a socket's descriptor has
/// such a text: that of a file begins with a slash.
pub(crate) fn socket(text: &[u8]) -> Option<u64> {
    decimal(text.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sockets() {
        assert_eq!(socket(b"socket:[11260]"), Some(11260));
        for text in [&b"socket:[]"[..], b"socket:[1", b"socket:[-1]", b"/socket:[1]", b"net:[1]", b""] {
            assert_eq!(socket(text), None, "{text:?}");
        }
    }
}
