//! The files of control groups that say what devices it lets its tasks open, cgroup v1's `devices.list`, and whether a group is
//! frozen: cgroup v2's `cgroup.events` and `cgroup.freeze`,
//! cgroup v1's `freezer.state` and `freezer.self_freezing`.

use super::{ParseError, fields, lines};
use crate::model::DeviceAccess;

/// What cgroup v1's `freezer.state` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FreezerState {
    /// Its tasks run.
    Thawed,
    /// Its tasks are being frozen, and some still run.
    Freezing,
    /// Its tasks are frozen.
    Frozen,
}

/// Reads `cgroup.events`: whether the group is frozen; `None` if the kernel does not say (before Linux 5.2).
pub(crate) fn events_frozen(text: &[u8]) -> Result<Option<bool>, ParseError> {
    for line in lines("cgroup.events", text) {
        let line = line?;
        let mut fields = fields(line.text);
        if fields.next() == Some(b"frozen") {
            let value = fields.next().and_then(zero_or_one).filter(|_| fields.next().is_none());
            return value.map(Some).ok_or(line.error("frozen 0 or 1"));
        }
    }
    Ok(None)
}

/// Reads a file that holds a 0 or a 1: `cgroup.freeze`, `freezer.self_freezing`, `freezer.parent_freezing`.
pub(crate) fn flag(text: &[u8]) -> Result<bool, ParseError> {
    let error = ParseError { what: "cgroup flag", line: 1, expected: "0 or 1" };
    zero_or_one(text.strip_suffix(b"\n").unwrap_or(text)).ok_or(error)
}

/// Reads `devices.list`, of which each line is a type, a device, and what is allowed: to read, to write, to make its file.
pub(crate) fn device_list(text: &[u8]) -> DeviceAccess {
    let mut access = DeviceAccess::NoBlockDevice;
    for line in lines("devices.list", text).map_while(Result::ok) {
        let mut fields = fields(line.text);
        match (fields.next(), fields.nth(1)) {
            (Some(b"a"), _) => return DeviceAccess::All,
            (Some(b"b"), Some(allowed)) if allowed.iter().any(|&byte| byte != b'm') => {
                access = DeviceAccess::BlockDevices
            }
            _ => {}
        }
    }
    access
}

/// Reads `freezer.state`.
pub(crate) fn freezer_state(text: &[u8]) -> Result<FreezerState, ParseError> {
    match text.strip_suffix(b"\n").unwrap_or(text) {
        b"THAWED" => Ok(FreezerState::Thawed),
        b"FREEZING" => Ok(FreezerState::Freezing),
        b"FROZEN" => Ok(FreezerState::Frozen),
        _ => Err(ParseError { what: "freezer.state", line: 1, expected: "THAWED, FREEZING or FROZEN" }),
    }
}

/// Reads a 0 or a 1.
fn zero_or_one(text: &[u8]) -> Option<bool> {
    match text {
        b"0" => Some(false),
        b"1" => Some(true),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_devices() {
        let docker = "c *:* m\nb *:* m\nc 1:3 rwm\nc 136:* rwm\n";
        assert_eq!(device_list(docker.as_bytes()), DeviceAccess::NoBlockDevice);
        assert_eq!(device_list(format!("{docker}b 8:* r\n").as_bytes()), DeviceAccess::BlockDevices);
        assert_eq!(device_list(b"a *:* rwm\n"), DeviceAccess::All);
        assert_eq!(device_list(b""), DeviceAccess::NoBlockDevice);
    }

    #[test]
    fn events() {
        assert_eq!(events_frozen(b"populated 0\nfrozen 0\n"), Ok(Some(false)));
        assert_eq!(events_frozen(b"populated 1\nfrozen 1\n"), Ok(Some(true)));
        assert_eq!(events_frozen(b"populated 1\n"), Ok(None));
        assert_eq!(events_frozen(b""), Ok(None));
        for text in ["frozen\n", "frozen 2\n", "frozen 1 1\n", "frozen 1", "populated 1\nfro"] {
            assert!(events_frozen(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn flags() {
        assert_eq!(flag(b"0\n"), Ok(false));
        assert_eq!(flag(b"1\n"), Ok(true));
        assert_eq!(flag(b"1"), Ok(true));
        for text in ["", "\n", "2\n", "00\n", "1\n\n", "max\n"] {
            assert_eq!(
                flag(text.as_bytes()).unwrap_err().to_string(),
                "malformed cgroup flag, line 1: expected 0 or 1"
            );
        }
    }

    #[test]
    fn freezer_states() {
        assert_eq!(freezer_state(b"THAWED\n"), Ok(FreezerState::Thawed));
        assert_eq!(freezer_state(b"FREEZING\n"), Ok(FreezerState::Freezing));
        assert_eq!(freezer_state(b"FROZEN\n"), Ok(FreezerState::Frozen));
        for text in ["", "THAW", "frozen\n", "FROZEN\n\n", "\u{ff}"] {
            assert!(freezer_state(text.as_bytes()).is_err(), "{text:?}");
        }
    }
}
