//! Times as engines write them: RFC 3339.

use std::time::{Duration, SystemTime};

/// Reads `2026-11-29T01:08:07.505138993Z`, also with an offset from UTC. `None` where it is something else or before 1970:
/// Go writes the year 1 for "never".
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let number = |range: std::ops::Range<usize>| -> Option<u64> {
        let digits = text.get(range)?;
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
    };
    let is = |at: usize, wanted: &[u8]| text.as_bytes().get(at).is_some_and(|byte| wanted.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if year < 1970 || !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60
    {
        return None;
    }
    let rest = text.get(19..)?;
    let (nanoseconds, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let length = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, zone) = rest.split_at(length);
            let digits = &digits[..length.min(9)];
            let fraction: u32 = digits.parse().ok()?;
            (fraction * 10_u32.pow(9 - digits.len() as u32), zone)
        }
    };
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let utc = i64::try_from(seconds).ok()? - offset(zone)?;
    Some(SystemTime::UNIX_EPOCH + Duration::new(u64::try_from(utc).ok()?, nanoseconds))
}

/// The days from 1970-01-01 to this one of the Gregorian calendar, which begins its years in March here.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    /// From 0000-03-01 to 1970-01-01.
    const EPOCH: u64 = 719_468;
    // 1970 and later, but for January and February of that year.
    (365 * year + year / 4 - year / 100 + year / 400 + day_of_year).saturating_sub(EPOCH)
}

/// Seconds east of UTC: `Z`, `+01:00`; and nothing, or a name after a blank, as some write.
fn offset(zone: &str) -> Option<i64> {
    let zone = zone.trim_start();
    if matches!(zone, "" | "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let digits: Vec<i64> = zone[1..]
        .bytes()
        .filter(|&byte| byte != b':')
        .take_while(u8::is_ascii_digit)
        .map(|byte| i64::from(byte - b'0'))
        .collect();
    match digits[..] {
        [h1, h2, m1, m2] => Some(sign * ((h1 * 10 + h2) * 3600 + (m1 * 10 + m2) * 60)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn since_epoch(text: &str) -> Option<Duration> {
        parse(text).map(|time| time.duration_since(SystemTime::UNIX_EPOCH).unwrap())
    }

    #[test]
    fn times_are_read() {
        // `date -u -d TEXT +%s` says the same.
        for (text, seconds, nanoseconds) in [
            ("1970-01-01T00:00:00Z", 0, 0),
            ("2000-02-29T12:00:00Z", 951_825_600, 0),
            ("2026-11-29T01:08:07.505138993Z", 1_795_914_487, 505_138_993),
            ("2026-11-29T01:08:07.5+01:00", 1_795_910_887, 500_000_000),
            ("2026-11-29T01:08:07-0030", 1_795_916_287, 0),
            ("2026-12-31T23:59:59.123456789123Z", 1_798_761_599, 123_456_789),
        ] {
            assert_eq!(since_epoch(text), Some(Duration::new(seconds, nanoseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "0001-01-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-11-29",
            "2026-11-29T01:08:0aZ",
            "é026-11-29T01:08:07Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(parse("2026-11-29T01:08:07.Z"), None);
        assert_eq!(parse("2026-11-29T01:08:07+1"), None);
    }
}
