//! `/proc/PID/timens_offsets`: the clock offsets of the time namespace of a process's children; `time_namespaces(7)`.

use super::{ParseError, decimal, fields, lines, signed_decimal};
use crate::model::TimeOffsets;

/// Reads the text of a `timens_offsets`. The file of a process that has just exited is empty, which is an error.
pub(crate) fn parse(text: &[u8]) -> Result<TimeOffsets, ParseError> {
    let (mut monotonic, mut boottime) = (None, None);
    let mut lines = lines("timens_offsets", text);
    for line in lines.by_ref() {
        let line = line?;
        let mut fields = fields(line.text);
        let offset = match fields.next() {
            Some(b"monotonic") => &mut monotonic,
            Some(b"boottime") => &mut boottime,
            // An unknown clock.
            Some(_) => continue,
            None => return Err(line.error("a clock")),
        };
        let seconds = fields.next().and_then(signed_decimal);
        let nanoseconds = fields.next().and_then(decimal).filter(|&nanoseconds: &u32| nanoseconds < 1_000_000_000);
        let (Some(seconds), Some(nanoseconds), None) = (seconds, nanoseconds, fields.next()) else {
            return Err(line.error("a clock, seconds and nanoseconds"));
        };
        offset.get_or_insert((seconds, nanoseconds));
    }
    match (monotonic, boottime) {
        (Some(monotonic), Some(boottime)) => Ok(TimeOffsets { monotonic, boottime }),
        _ => Err(lines.missing("the clocks monotonic and boottime")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets() {
        assert_eq!(
            parse(b"monotonic           0         0\nboottime            0         0\n"),
            Ok(TimeOffsets::default())
        );
        assert_eq!(
            parse(b"monotonic          -5 999999999\nboottime    100000000         0\n"),
            Ok(TimeOffsets { monotonic: (-5, 999_999_999), boottime: (100_000_000, 0) })
        );
        assert_eq!(
            parse(b"boottime 1 0\nunknown 7\nmonotonic -9223372036854775808 0\n"),
            Ok(TimeOffsets { monotonic: (i64::MIN, 0), boottime: (1, 0) })
        );
    }

    #[test]
    fn nonsense() {
        for text in ["", "\n", "monotonic 0 0\n", "boottime 0 0\n", "monotonic 0 0\nboottime 0 0"] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
        for offset in ["", "0", "0 1000000000", "0 -1", "0 0 0", "x 0", "9223372036854775808 0"] {
            let text = format!("boottime 0 0\nmonotonic {offset}\n");
            assert_eq!(parse(text.as_bytes()).unwrap_err().line, 2, "{text:?}");
        }
    }
}
