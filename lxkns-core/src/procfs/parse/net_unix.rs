//! `/proc/PID/net/unix`.

use std::collections::BTreeMap;

use bstr::{BString, ByteSlice as _};

/// The flag of a socket that waits for connections: `__SO_ACCEPTCON`.
const ACCEPTS: u32 = 1 << 16;

/// The paths of listening UNIX sockets by their inode numbers, no more than two of each: a user can name a socket so that it
/// looks like a line of another. Only sockets that have a path count: names without a file belong to one network namespace.
pub fn listening(text: &[u8]) -> BTreeMap<u64, Vec<BString>> {
    let mut all: BTreeMap<u64, Vec<BString>> = BTreeMap::new();
    for line in text.lines() {
        // Address, references, protocol, flags, type, state, inode; and the path, which can have blanks.
        let mut rest = line;
        let mut field = || {
            rest = rest.trim_start_with(|character| character == ' ');
            let (field, after) = rest.split_once_str(" ").unwrap_or((rest, b""));
            rest = after;
            field.to_str().ok()
        };
        let flags = (field(), field(), field(), field()).3.and_then(|flags| u32::from_str_radix(flags, 16).ok());
        let inode = (field(), field(), field()).2.and_then(|inode| inode.parse().ok());
        let (Some(flags), Some(inode)) = (flags, inode) else { continue };
        if flags & ACCEPTS != 0 && rest.starts_with(b"/") {
            let paths = all.entry(inode).or_default();
            if paths.len() < 2 && !paths.iter().any(|path| path == rest) {
                paths.push(rest.into());
            }
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sockets_that_listen_at_a_path_count() {
        let text = b"Num       RefCount Protocol Flags    Type St Inode Path\n\
            0000000000000000: 00000002 00000000 00010000 0001 01 24539 /run/a b.sock\n\
            0000000000000000: 00000003 00000000 00000000 0001 03   123 /run/a b.sock\n\
            0000000000000000: 00000002 00000000 00010000 0001 01     7 @/abstract\n\
            0000000000000000: 00000002 00000000 00010000 0005 01     8\n\
            0000000000000000: 00000002 00000000 00010000 0001 01     9 /one\n\
            0000000000000000: 00000002 00000000 00010000 0001 01     9 /other\n\
            0000000000000000: 00000002 00000000 00010000 0001 01     9 /third\n\
            nonsense\n\n /\n0: 1 2 zz 4 5 6 /x";
        let all = listening(text);
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[&24539], ["/run/a b.sock"]);
        assert_eq!(all[&9], ["/one", "/other"], "which is true nobody knows");
        assert!(listening(b"").is_empty());
    }
}
