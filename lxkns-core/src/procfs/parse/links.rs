//! The text of the links below `/proc/PID/ns`, which is also the root field of a namespace's bind mount in mountinfo;
//! `namespaces(7)`.

use super::decimal;
use crate::model::NamespaceType;

/// Reads `net:[4026531840]`: the type and the inode number of a namespace, or `None` where the text is something else.
///
/// The text of `pid_for_children` and `time_for_children` has the plain type. Descriptors can have such a text as
/// their link without being a namespace: a file may be called that.
pub(crate) fn parse(text: &[u8]) -> Option<(NamespaceType, u64)> {
    // The shortest type has three letters and the longest six.
    let colon = 3 + text.get(3..7)?.iter().position(|&byte| byte == b':')?;
    let ns_type = NamespaceType::from_name(&text[..colon])?;
    let ino = text[colon + 1..].strip_prefix(b"[")?.strip_suffix(b"]")?;
    // The kernel writes neither 0 nor leading zeros.
    (ino.first() != Some(&b'0')).then(|| decimal(ino)).flatten().map(|ino| (ns_type, ino))
}

/// Reads `socket:[11260]`: the inode number of a socket, or `None` where the text is something else. Only a socket's
/// descriptor has such a text: that of a file begins with a slash.
pub(crate) fn socket(text: &[u8]) -> Option<u64> {
    decimal(text.strip_prefix(b"socket:[")?.strip_suffix(b"]")?)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_types() {
        let texts = [
            ("mnt:[4026531832]", NamespaceType::Mnt, 4_026_531_832),
            ("cgroup:[4026531835]", NamespaceType::Cgroup, 4_026_531_835),
            ("uts:[4026531838]", NamespaceType::Uts, 4_026_531_838),
            ("ipc:[4026531839]", NamespaceType::Ipc, 4_026_531_839),
            ("user:[4026531837]", NamespaceType::User, 4_026_531_837),
            ("pid:[4026531836]", NamespaceType::Pid, 4_026_531_836),
            ("net:[4026531833]", NamespaceType::Net, 4_026_531_833),
            ("time:[4026531834]", NamespaceType::Time, 4_026_531_834),
        ];
        for (text, ns_type, ino) in texts {
            assert_eq!(parse(text.as_bytes()), Some((ns_type, ino)));
            for end in 0..text.len() {
                assert_eq!(parse(&text.as_bytes()[..end]), None, "cut at {end}");
            }
        }
    }

    #[test]
    fn everything_else() {
        let texts: [&[u8]; 16] = [
            b"",
            b"socket:[11260]",
            b"pipe:[1]",
            b"anon_inode:[eventpoll]",
            b"/net:[1]",
            b"net:[]",
            b"net:[0]",
            b"net:[01]",
            b"net:[-1]",
            b"net:[1]]",
            b"net:[1] (deleted)",
            b"net:1",
            b"net[1]",
            b"pid_for_children:[1]",
            b"net:[18446744073709551616]",
            b"net:[\xff]",
        ];
        for text in texts {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn sockets() {
        assert_eq!(socket(b"socket:[11260]"), Some(11260));
        for text in [&b"socket:[]"[..], b"socket:[1", b"socket:[-1]", b"/socket:[1]", b"net:[1]", b""] {
            assert_eq!(socket(text), None, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(index in 0..8usize, ino in 1..=u64::MAX) {
            let ns_type = NamespaceType::ALL[index];
            prop_assert_eq!(parse(format!("{ns_type}:[{ino}]").as_bytes()), Some((ns_type, ino)));
        }
    }
}
