//! `/proc/PID/stat` and `/proc/PID/task/TID/stat`: name, state and scheduling of a task; `proc_pid_stat(5)`.

use bstr::ByteSlice;

use super::{ParseError, decimal, signed_decimal};
use crate::model::{Scheduling, TaskState};

/// A task's `stat`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskStat<'a> {
    /// The PID of a process, or the TID of a task.
    pub pid: u32,
    /// The name, any bytes.
    pub comm: &'a [u8],
    /// The run state.
    pub state: TaskState,
    /// The parent's PID; 0 if it has none in the procfs's PID namespace.
    pub ppid: u32,
    /// The kernel's flags (`PF_*`).
    pub flags: u32,
    /// How many tasks the process has; 0 if it is being reaped.
    pub num_threads: u32,
    /// When it started, in clock ticks since boot.
    pub start_time_ticks: u64,
    /// How it is scheduled.
    pub scheduling: Scheduling,
}

impl TaskStat<'_> {
    /// Whether it is a thread of the kernel, which runs no program.
    pub fn is_kernel_thread(&self) -> bool {
        /// `PF_KTHREAD` of `linux/sched.h`.
        const PF_KTHREAD: u32 = 0x0020_0000;
        self.flags & PF_KTHREAD != 0
    }
}

/// Reads the text of `/proc/PID/stat` or `/proc/PID/task/TID/stat`.
///
/// The name is in parentheses and not escaped: it can contain anything but NUL, including spaces, newlines and
/// parentheses. No later field has a parenthesis, so the name ends at the last one.
pub fn parse(text: &[u8]) -> Result<TaskStat<'_>, ParseError> {
    let error = |expected| ParseError { what: "stat", line: 1, expected };
    let open = text.find(b" (").ok_or(error("a name in parentheses"))?;
    let close = text.rfind(b") ").filter(|&close| close >= open + 2).ok_or(error("a name in parentheses"))?;
    // Each field ends with a space or a newline; the last one that is read must not have been cut off.
    let mut fields = text[close + 2..].split_inclusive(|&byte| byte == b' ' || byte == b'\n');
    let mut skip = |count: usize| fields.nth(count).and_then(|field| field.split_last()).map(|(_, field)| field);

    let pid = decimal(&text[..open]).ok_or(error("a PID"))?;
    let state = match skip(0) {
        Some(&[state]) if state.is_ascii_alphabetic() => TaskState(state),
        _ => return Err(error("a state in field 3")),
    };
    let ppid = skip(0).and_then(decimal).ok_or(error("a PID in field 4"))?;
    let flags = skip(4).and_then(decimal).ok_or(error("flags in field 9"))?;
    let nice = skip(9).and_then(signed_decimal).ok_or(error("a nice value in field 19"))?;
    let num_threads = skip(0).and_then(decimal).ok_or(error("a number of threads in field 20"))?;
    let start_time_ticks = skip(1).and_then(decimal).ok_or(error("a start time in field 22"))?;
    let priority = skip(17).and_then(decimal).ok_or(error("a real-time priority in field 40"))?;
    let policy = fields
        .next()
        .and_then(|field| field.strip_suffix(b" ").or_else(|| field.strip_suffix(b"\n")))
        .and_then(decimal)
        .ok_or(error("a scheduling policy in field 41"))?;
    Ok(TaskStat {
        pid,
        comm: &text[open + 2..close],
        state,
        ppid,
        flags,
        num_threads,
        start_time_ticks,
        scheduling: Scheduling { policy, priority, nice },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAT: &[u8] = b"4899 (cat) R 4897 4897 3550 0 -1 4194304 99 0 0 0 0 0 0 0 20 0 1 0 144046 3133440 407 \
        18446744073709551615 94017662619648 94017662639529 140727919493024 0 0 0 0 0 0 0 0 0 17 0 0 0 0 0 0 \
        94017662655536 94017662657152 94017765347328 140727919500001 140727919500021 140727919500021 140727919501291 0\n";
    const HOSTILE: &[u8] =
        b"5889 (a) R 1\n(\\\xff )\t) S 5828 5824 3550 0 -1 4194368 294 0 0 0 0 0 0 0 20 0 1 0 148501 \
        18800640 2886 18446744073709551615 94185311481856 94185311482197 140732602610304 0 0 0 0 16781312 2 1 0 0 17 1 \
        0 0 0 0 0 94185311493552 94185311494168 94185431003136 140732602611957 140732602612005 140732602612005 \
        140732602613711 0\n";
    const ZOMBIE: &[u8] = b"8638 (python3) Z 8596 8558 3550 0 -1 4227148 220 0 0 0 0 0 0 0 20 0 1 0 166136 0 0 \
        18446744073709551615 0 0 0 0 0 0 0 16781312 2 1 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0\n";
    const REAL_TIME: &[u8] = b"8650 (cat) R 8558 8558 3550 0 -1 4194560 251 0 1 0 0 0 0 0 -11 -5 1 0 166158 3133440 411 \
        18446744073709551615 94850860945408 94850860965289 140723637341968 0 0 0 0 0 0 0 0 0 17 0 10 1 0 0 0 \
        94850860981296 94850860982912 94850994282496 140723637344989 140723637345009 140723637345009 140723637346283 0\n";
    const KTHREADD: &[u8] =
        b"2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 0 0 0 20 0 1 0 25 0 0 18446744073709551615 0 0 \
        0 0 0 0 0 2147483647 0 1 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n";

    #[test]
    fn a_process() {
        let expected = TaskStat {
            pid: 4899,
            comm: b"cat",
            state: TaskState(b'R'),
            ppid: 4897,
            flags: 4_194_304,
            num_threads: 1,
            start_time_ticks: 144_046,
            scheduling: Scheduling { policy: 0, priority: 0, nice: 0 },
        };
        assert_eq!(parse(CAT), Ok(expected));
    }

    #[test]
    fn a_name_with_all_that_is_special() {
        let stat = parse(HOSTILE).unwrap();
        assert_eq!(stat.comm, b"a) R 1\n(\\\xff )\t");
        assert_eq!((stat.pid, stat.state, stat.ppid, stat.start_time_ticks), (5889, TaskState(b'S'), 5828, 148_501));
    }

    #[test]
    fn an_empty_name() {
        let text = [b"1 () S".as_slice(), &CAT[12..]].concat();
        assert_eq!(parse(&text).unwrap().comm, b"");
    }

    #[test]
    fn zombies_and_kernel_threads() {
        assert!(parse(ZOMBIE).unwrap().state.is_dead());
        let stat = parse(KTHREADD).unwrap();
        assert_eq!((stat.comm, stat.ppid, stat.start_time_ticks), (b"kthreadd".as_slice(), 0, 25));
    }

    #[test]
    fn real_time_scheduling() {
        let stat = parse(REAL_TIME).unwrap();
        assert_eq!(stat.scheduling, Scheduling { policy: 1, priority: 10, nice: -5 });
    }

    #[test]
    fn text_cut_off_anywhere_is_malformed_or_means_the_same() {
        for text in [CAT, HOSTILE, ZOMBIE, REAL_TIME, KTHREADD] {
            let whole = parse(text).unwrap();
            for end in 0..text.len() {
                if let Ok(stat) = parse(&text[..end]) {
                    assert_eq!(stat, whole, "cut at {end}");
                }
            }
        }
    }

    #[test]
    fn what_is_malformed_is_named() {
        let message = |text: &[u8]| parse(text).unwrap_err().to_string();
        assert_eq!(message(b""), "malformed stat, line 1: expected a name in parentheses");
        assert_eq!(message(b"1 (x"), "malformed stat, line 1: expected a name in parentheses");
        assert_eq!(message(b") 1 (x"), "malformed stat, line 1: expected a name in parentheses");
        assert_eq!(message(b"x (x) S 1 "), "malformed stat, line 1: expected a PID");
        assert_eq!(message(b"1 (x) SS 1 "), "malformed stat, line 1: expected a state in field 3");
        assert_eq!(message(b"1 (x) S 4294967296 "), "malformed stat, line 1: expected a PID in field 4");
        assert_eq!(message(b"1 (x) S 1 1\n"), "malformed stat, line 1: expected flags in field 9");
    }
}
