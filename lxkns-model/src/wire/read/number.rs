//! Numbers: each that a dump has and that the kernel bounds is checked here. What the rest of the program computes with
//! has passed through one of these functions.

use std::fmt::Display;
use std::ops::RangeInclusive;

use super::invalid;
use crate::wire::Error;
use crate::{CpuRange, Errno, IdMapping, Pid, Tid};

/// The highest number of a task or descriptor that fits the kernel's `int`.
const MAX_INT: u32 = i32::MAX.unsigned_abs();

fn within<N: PartialOrd + Display>(key: &str, number: N, range: RangeInclusive<N>) -> Result<N, Error> {
    if range.contains(&number) {
        return Ok(number);
    }
    Err(invalid(&format!("{key} {number}: not within {} to {}", range.start(), range.end())))
}

/// An error number, as the kernel has them (`MAX_ERRNO` of `linux/err.h`).
pub(super) fn errno(number: i32) -> Result<Errno, Error> {
    Errno::new(number).ok_or_else(|| invalid(&format!("errno {number}: not within 1 to 4095")))
}

/// A process.
pub(super) fn pid(number: u32) -> Result<Pid, Error> {
    within("pid", number, 1..=MAX_INT).map(Pid)
}

/// A task.
pub(super) fn tid(number: u32) -> Result<Tid, Error> {
    within("tid", number, 1..=MAX_INT).map(Tid)
}

/// A descriptor.
pub(super) fn fd(number: u32) -> Result<u32, Error> {
    within("fd", number, 0..=MAX_INT)
}

/// The inode number of a namespace.
pub(super) fn ino(key: &str, number: u64) -> Result<u64, Error> {
    within(key, number, 1..=u64::MAX)
}

/// The ID of a network namespace; `None` for -1, which the kernel says where there is none.
pub(super) fn netnsid(number: i64) -> Result<Option<u32>, Error> {
    within("netnsid", number, -1..=i64::from(MAX_INT)).map(|number| u32::try_from(number).ok())
}

/// A nice value.
pub(super) fn nice(number: i32) -> Result<i32, Error> {
    within("nice", number, -20..=19)
}

/// A real-time priority.
pub(super) fn priority(number: u32) -> Result<u32, Error> {
    within("priority", number, 0..=99)
}

/// A clock offset: seconds, and the nanoseconds that are added to them.
pub(super) fn offset((seconds, nanoseconds): (i64, u32)) -> Result<(i64, u32), Error> {
    Ok((seconds, within("nanoseconds of an offset", nanoseconds, 0..=999_999_999)?))
}

/// Ranges of CPUs.
pub(super) fn cpus(ranges: &[(u32, u32)]) -> Result<Vec<CpuRange>, Error> {
    let range = |&(first, last): &(u32, u32)| {
        let last = within("CPU", last, 0..=MAX_INT)?;
        Ok(CpuRange { first: within("first CPU of a range", first, 0..=last)?, last })
    };
    ranges.iter().map(range).collect()
}

/// An ID map. No range of it goes beyond the highest ID; outside it is that ID alone where the reader of the map could not
/// know which range it is.
pub(super) fn id_map(map: &[(u32, u32, u32)]) -> Result<Vec<IdMapping>, Error> {
    let mapping = |&(inside, outside, count): &(u32, u32, u32)| {
        let most = u32::MAX - if outside == u32::MAX { inside } else { inside.max(outside) };
        Ok(IdMapping { inside, outside, count: within("count of an ID map", count, 0..=most)? })
    };
    map.iter().map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_cannot_say_is_refused_by_name() {
        let said = |error: Error| error.to_string();
        assert_eq!(said(errno(0).unwrap_err()), "invalid dump: errno 0: not within 1 to 4095");
        assert_eq!(said(errno(i32::MIN).unwrap_err()), "invalid dump: errno -2147483648: not within 1 to 4095");
        assert_eq!((errno(1).unwrap().number(), errno(4095).unwrap().number()), (1, 4095));
        assert!(pid(0).is_err() && tid(u32::MAX).is_err() && fd(u32::MAX).is_err() && ino("nsid", 0).is_err());
        assert_eq!((netnsid(-1).unwrap(), netnsid(3).unwrap(), netnsid(-2).is_err()), (None, Some(3), true));
        assert!(cpus(&[(2, 1)]).is_err() && cpus(&[(0, u32::MAX)]).is_err() && cpus(&[(3, 3)]).is_ok());
        assert!(id_map(&[(0, 0, u32::MAX)]).is_ok(), "the map of the initial user namespace");
        assert!(id_map(&[(0, u32::MAX, 1000)]).is_ok(), "outside is a user namespace that the reader cannot see");
        assert!(id_map(&[(1, 0, u32::MAX)]).is_err() && id_map(&[(0, 4, u32::MAX - 3)]).is_err());
        assert!(offset((0, 1_000_000_000)).is_err() && offset((-1, 5)).is_ok());
    }
}
