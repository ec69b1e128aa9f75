//! Pure parsers: a file for each format. Bytes in, values out.
//!
//! All of it is text that somebody else has written. Whoever calls these gives at most [`LONGEST`] bytes; JSON is at most
//! 128 levels deep, which serde_json sees to, and of lists and tables no more than [`MOST`] entries are kept.

pub(crate) mod bundle;
pub(crate) mod cgroup_path;
pub(crate) mod cni;
pub(crate) mod crun;
pub(crate) mod docker;
pub(crate) mod machine;
pub(crate) mod monitor;
pub(crate) mod mount;
pub(crate) mod podman;
pub(crate) mod protobuf;
pub(crate) mod runc;
pub(crate) mod time;

/// The longest file that is read.
pub(crate) const LONGEST: usize = 4 << 20;

/// How many entries of a list or table are kept.
pub(crate) const MOST: usize = 4096;

/// Whether this is an ID as engines make them: 64 hexadecimal digits in lower case.
pub(crate) fn is_long_id(text: &[u8]) -> bool {
    text.len() == 64 && text.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// What is said, where something is: engines leave texts empty that they do not know.
pub(crate) fn unless_empty(text: impl Into<bstr::BString>) -> Option<bstr::BString> {
    let text = text.into();
    (!text.is_empty()).then_some(text)
}

/// What is not in the format that was expected, or has another form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Malformed;

impl From<serde_json::Error> for Malformed {
    fn from(_: serde_json::Error) -> Self {
        Self
    }
}
