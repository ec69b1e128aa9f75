//! Lists of CPUs, as in `/sys/devices/system/cpu/online` and `Cpus_allowed_list`; `cpuset(7)`, List format.

use super::{ParseError, decimal};
use crate::model::CpuRange;

/// Reads `0-3,8,10-11`, with or without a newline; an empty list is an empty text. The kernel writes ranges in
/// ascending order and without overlap.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<CpuRange>, ParseError> {
    let error = ParseError { what: "CPU list", line: 1, expected: "ascending CPU numbers or ranges of them" };
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let mut ranges: Vec<CpuRange> = Vec::new();
    for item in text.split(|&byte| byte == b',') {
        let range = range(item).ok_or(error)?;
        if range.last < range.first || ranges.last().is_some_and(|previous| range.first <= previous.last) {
            return Err(error);
        }
        ranges.push(range);
    }
    Ok(ranges)
}

/// Reads `8` or `10-11`.
fn range(item: &[u8]) -> Option<CpuRange> {
    match item.iter().position(|&byte| byte == b'-') {
        Some(dash) => Some(CpuRange { first: decimal(&item[..dash])?, last: decimal(&item[dash + 1..])? }),
        None => decimal(item).map(|cpu| CpuRange { first: cpu, last: cpu }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lists() {
        let range = |first, last| CpuRange { first, last };
        assert_eq!(parse(b"0-1\n"), Ok(vec![range(0, 1)]));
        assert_eq!(parse(b"0-3,8,10-11"), Ok(vec![range(0, 3), range(8, 8), range(10, 11)]));
        assert_eq!(parse(b"0-4294967295"), Ok(vec![range(0, u32::MAX)]));
        assert_eq!(parse(b""), Ok(vec![]));
        assert_eq!(parse(b"\n"), Ok(vec![]));
    }

    #[test]
    fn nonsense() {
        for text in [
            "0-",
            "-1",
            "1-0",
            "1,1",
            "1,0",
            "0-3,3",
            "0-3:1/2",
            "0,",
            ",0",
            "0,,1",
            "0-1-2",
            "4294967296",
            "a",
            "0 ",
            "0\n\n",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(steps in proptest::collection::vec((1..9u32, 0..9u32), 0..20)) {
            let mut next = 0;
            let ranges: Vec<_> = steps.into_iter().map(|(gap, length)| {
                let range = CpuRange { first: next + gap, last: next + gap + length };
                next = range.last;
                range
            }).collect();
            let text: Vec<_> = ranges.iter().map(|range| {
                if range.first == range.last { range.first.to_string() } else { format!("{}-{}", range.first, range.last) }
            }).collect();
            prop_assert_eq!(parse(text.join(",").as_bytes()), Ok(ranges));
        }
    }
}
