//! How a person names a file: by a path, or by `TARGET:PATH` as a process or container has it.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::PathBuf;

use bstr::BString;

use crate::target;

/// A file that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// The process or container whose file it is; `None` for one of the caller's.
    pub of: Option<target::Asked>,
    /// The path.
    pub path: PathBuf,
}

impl Asked {
    /// Reads what was typed. A TARGET ends before the first `:/`; what begins with `/` or `.` is a path, and
    /// `/proc/1234/root/etc` is `1234:/etc`: below that magic link are mounts that no list of the caller's has.
    ///
    /// # Errors
    ///
    /// In words, where it is neither.
    pub fn parse(
        text: &OsStr,
        target: impl FnOnce(&OsStr) -> Result<target::Asked, target::ParseError>,
    ) -> Result<Self, String> {
        let bytes = text.as_bytes();
        if bytes.is_empty() {
            return Err("expected a path, or TARGET:PATH".to_owned());
        }
        let end = bytes.windows(2).position(|two| two == b":/").filter(|_| !matches!(bytes[0], b'/' | b'.'));
        if let Some((pid, path)) = below_root_of_process(bytes) {
            let of = target(OsStr::from_bytes(pid)).map_err(|error| error.to_string())?;
            return Ok(Self { of: Some(of), path: OsStr::from_bytes(path).into() });
        }
        let Some(end) = end else { return Ok(Self { of: None, path: text.into() }) };
        let of = target(OsStr::from_bytes(&bytes[..end])).map_err(|error| error.to_string())?;
        if !of.target.may_be_process() {
            return Err("before :/ stands a process or a container".to_owned());
        }
        Ok(Self { of: Some(of), path: OsStr::from_bytes(&bytes[end + 1..]).into() })
    }
}

/// The PID in a path below the root directory of a process as procfs has it, and the rest of the path.
fn below_root_of_process(path: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = path.strip_prefix(b"/proc/")?;
    let (pid, rest) = rest.split_at(rest.iter().position(|&byte| byte == b'/')?);
    let path = rest.strip_prefix(b"/root").filter(|path| path.first() == Some(&b'/'))?;
    (!pid.is_empty() && pid.iter().all(u8::is_ascii_digit)).then_some((pid, path))
}

impl Asked {
    /// As TARGET:PATH, or a path.
    pub fn text(&self) -> BString {
        let mut text = BString::default();
        if let Some(of) = &self.of {
            text.extend_from_slice(of.text.as_bytes());
            text.push(b':');
        }
        text.extend_from_slice(self.path.as_os_str().as_bytes());
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_ends_before_the_path() {
        let parse = |text: &str| Asked::parse(OsStr::new(text), target::Asked::parse);
        let parts = |text: &str| {
            let asked = parse(text).unwrap();
            (asked.of.map(|of| of.text.into_string().unwrap()), asked.path.to_str().unwrap().to_owned())
        };
        let of = |target: &str, path: &str| (Some(target.to_owned()), path.to_owned());
        assert_eq!(parts("web:/etc/shadow"), of("web", "/etc/shadow"));
        assert_eq!(parts("docker:web:/etc/a:/b"), of("docker:web", "/etc/a:/b"));
        assert_eq!(parts("pod:default/web-0:/"), of("pod:default/web-0", "/"));
        assert_eq!(parts("1234:77:/etc"), of("1234:77", "/etc"));
        for path in ["/srv/a:/b", "./a:/b", "a:b", "file", "../x:/y"] {
            assert_eq!(parts(path), (None, path.to_owned()), "{path}");
        }
        assert_eq!(parts("/proc/1234/root/etc/a:/b"), of("1234", "/etc/a:/b"));
        assert_eq!(parts("/proc/1234/root/"), of("1234", "/"));
        for path in ["/proc/1234/root", "/proc/1234/rootfs/x", "/proc/self/root/x", "/proc//root/x", "/proc/1234/cwd/x"]
        {
            assert_eq!(parts(path), (None, path.to_owned()), "{path}");
        }
        assert!(parse("").is_err() && parse("net:4026531833:/x").is_err());
    }
}
