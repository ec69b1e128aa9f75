//! Points in time as RFC 3339 has them, in UTC and to the nanosecond.

use std::time::{Duration, SystemTime};

const DAY: i64 = 86400;

/// The time as the JSON form has it: RFC 3339, in UTC, to the nanosecond; `None` outside the years 0 to 9999.
pub fn format(time: SystemTime) -> Option<String> {
    let (seconds, nanoseconds) = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => (i64::try_from(since.as_secs()).ok()?, since.subsec_nanos()),
        Err(before) => {
            let before = before.duration();
            let seconds = i64::try_from(before.as_secs()).ok()?.checked_neg()?;
            match before.subsec_nanos() {
                0 => (seconds, 0),
                nanoseconds => (seconds.checked_sub(1)?, 1_000_000_000 - nanoseconds),
            }
        }
    };
    let (day, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (year, month, day) = date_of(day);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    (0..=9999)
        .contains(&year)
        .then(|| format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{nanoseconds:09}Z"))
}

/// Undoes [`format`]; nothing else is accepted.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let bytes: &[u8; 30] = text.as_bytes().try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (29, b'Z')];
    let number = |from: usize, to: usize| {
        bytes[from..to]
            .iter()
            .try_fold(0_i64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
    };
    if marks.iter().any(|&(at, mark)| bytes[at] != mark) {
        return None;
    }
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let days = days_to(year, month, day);
    if date_of(days) != (year, month, day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days * DAY + hour * 3600 + minute * 60 + second;
    let nanoseconds = Duration::from_nanos(u64::try_from(number(20, 29)?).ok()?);
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)?
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)?
    };
    time.checked_add(nanoseconds)
}

/// Days since 1970-01-01 to a date of the Gregorian calendar: years begin in March, so that the leap day comes last.
fn days_to(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date, so many days after 1970-01-01.
fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let year = era * 400 + year_of_era;
    if month < 10 { (year, month + 3, day) } else { (year + 1, month - 9, day) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(seconds: u64, nanoseconds: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds)
    }

    #[test]
    fn known_dates() {
        assert_eq!(format(at(0, 0)).unwrap(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(format(at(951_782_400, 5)).unwrap(), "2000-02-29T00:00:00.000000005Z");
        assert_eq!(format(at(1_798_761_599, 0)).unwrap(), "2026-12-31T23:59:59.000000000Z");
        let before = SystemTime::UNIX_EPOCH - Duration::from_nanos(1);
        assert_eq!(format(before).unwrap(), "1969-12-31T23:59:59.999999999Z");
        assert_eq!(parse("1969-12-31T23:59:59.999999999Z"), Some(before));
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in
            ["", "2026-02-29T00:00:00.000000000Z", "2026-13-01T00:00:00.000000000Z", "2026-01-01T24:00:00.000000000Z"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
        assert_eq!(format(at(i64::MAX as u64, 0)), None);
    }

    proptest! {
        #[test]
        fn any_time_comes_back(seconds in 0..253_402_300_800_u64, nanoseconds in 0..1_000_000_000_u32) {
            let time = at(seconds, nanoseconds);
            prop_assert_eq!(parse(&format(time).unwrap()), Some(time));
        }
    }
}
