//! Dates as changelogs have them.

use std::time::{Duration, UNIX_EPOCH};

use lxkns_core::wire::time_text;

/// The year of a time in seconds since 1970, and the time as in the header of a mail.
pub(super) fn of(epoch: u64) -> (u32, String) {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    // 2026-11-28T21:20:37Z
    let text = time_text(UNIX_EPOCH + Duration::from_secs(epoch)).unwrap_or_default();
    let number = |range| text.get(range).and_then(|digits: &str| digits.parse::<usize>().ok()).unwrap_or(1);
    let (year, month, day) = (number(0..4), MONTHS[(number(5..7) - 1) % 12], number(8..10));
    let time = text.get(11..19).unwrap_or("00:00:00");
    let weekday = DAYS[(epoch / 86_400 % 7) as usize];
    (year as u32, format!("{weekday}, {day:02} {month} {year} {time} +0000"))
}

/// The time as RFC 3339 has it.
pub(super) fn rfc_3339(epoch: u64) -> String {
    time_text(UNIX_EPOCH + Duration::from_secs(epoch)).unwrap_or_default().replace(".000000000", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_date() {
        assert_eq!(of(0), (1970, "Thu, 01 Jan 1970 00:00:00 +0000".to_owned()));
        assert_eq!(of(1_709_164_799), (2024, "Wed, 28 Feb 2024 23:59:59 +0000".to_owned()));
        assert_eq!(of(1_709_164_800), (2024, "Thu, 29 Feb 2024 00:00:00 +0000".to_owned()));
    }
}
