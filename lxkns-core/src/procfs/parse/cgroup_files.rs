//! The files of control groups that say how much a group lets its tasks use, what devices it lets them open, cgroup v1's
//! `devices.list`, and whether it is frozen: cgroup v2's `cgroup.events` and `cgroup.freeze`,
//! cgroup v1's `freezer.state` and `freezer.self_freezing`.

use super::{ParseError, decimal, fields, lines};
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

/// A limit: the least comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Bound {
    /// No more than this.
    At(u64),
    /// Any amount.
    Unlimited,
}

/// Reads a limit: `memory.max`, `pids.max` and their like; of CPU time (`cpu.max`, v1's `cpu.cfs_quota_us`, whose period stands
/// in another file) in microseconds per second.
pub(crate) fn bound(text: &[u8], period: Option<&[u8]>) -> Result<Bound, ParseError> {
    /// v1 has no word for any amount of memory: it is the largest number of whole pages, which can have 64 KiB.
    const LARGEST: u64 = i64::MAX.cast_unsigned() - 0xffff;
    let error = ParseError { what: "cgroup limit", line: 1, expected: "a number or max, and for CPU time a period" };
    let mut fields = fields(text.strip_suffix(b"\n").unwrap_or(text));
    let first = fields.next().ok_or(error)?;
    let period = match fields.next().or(period.map(<[u8]>::trim_ascii)) {
        Some(period) => Some(decimal(period).filter(|&period: &u64| period > 0).ok_or(error)?),
        None => None,
    };
    if fields.next().is_some() {
        return Err(error);
    }
    match first {
        b"max" | b"-1" => Ok(Bound::Unlimited),
        number => match (decimal::<u64>(number).ok_or(error)?, period) {
            (LARGEST.., _) => Ok(Bound::Unlimited),
            (number, Some(period)) => {
                let per_second = u128::from(number) * 1_000_000 / u128::from(period);
                Ok(Bound::At(per_second.try_into().unwrap_or(u64::MAX)))
            }
            (number, None) => Ok(Bound::At(number)),
        },
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
    fn limits() {
        for (text, period, expected) in [
            ("max\n", None, Bound::Unlimited),
            ("67108864\n", None, Bound::At(67_108_864)),
            ("0\n", None, Bound::At(0)),
            ("max 100000\n", None, Bound::Unlimited),
            ("50000 100000\n", None, Bound::At(500_000)),
            ("150000 100000", None, Bound::At(1_500_000)),
            ("-1\n", Some("100000\n"), Bound::Unlimited),
            ("25000\n", Some("100000\n"), Bound::At(250_000)),
            ("9223372036854771712\n", None, Bound::Unlimited),
            ("9223372036854710272\n", None, Bound::Unlimited),
            ("18446744073709551615 1000", None, Bound::Unlimited),
            // The longest quota that kernels before 5.8 take.
            ("18446744073709551", Some("1000000"), Bound::At(18_446_744_073_709_551)),
            ("18446744073709551", Some("1000"), Bound::At(18_446_744_073_709_551_000)),
        ] {
            assert_eq!(bound(text.as_bytes(), period.map(str::as_bytes)), Ok(expected), "{text}");
        }
        for text in ["", "\n", "all", "1 0", "max 0", "1 2 3", "-2", "1 max", "1x"] {
            assert!(bound(text.as_bytes(), None).is_err(), "{text:?}");
        }
        assert!(Bound::At(u64::MAX) < Bound::Unlimited);
    }

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
