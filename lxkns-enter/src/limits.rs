//! Resource limits, file mode creation mask, CPU affinity, nice value, I/O priority and execution domain.

use lxkns_core::model::{CapabilitySet, CpuRange};
use lxkns_core::{ProcRoot, parse};
use lxkns_sys::{Limit, Op};

use crate::error::{Cause, Error};
use crate::process::{self, Process, cannot};
use crate::status::Status;
use crate::steps::{Draft, Fact, Stage, Subject};

/// Whose limits the command has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum LimitsOf {
    /// Those of the target process, as far as the caller may raise limits.
    #[default]
    Target,
    /// The caller's.
    Caller,
}

/// Resources in the order of their numbers (`RLIMIT_*`), with their names in `/proc/PID/limits` and in `prlimit(1)`.
const RESOURCES: [(&str, &str); 16] = [
    ("Max cpu time", "cpu"),
    ("Max file size", "fsize"),
    ("Max data size", "data"),
    ("Max stack size", "stack"),
    ("Max core file size", "core"),
    ("Max resident set", "rss"),
    ("Max processes", "nproc"),
    ("Max open files", "nofile"),
    ("Max locked memory", "memlock"),
    ("Max address space", "as"),
    ("Max file locks", "locks"),
    ("Max pending signals", "sigpending"),
    ("Max msgqueue size", "msgqueue"),
    ("Max nice priority", "nice"),
    ("Max realtime priority", "rtprio"),
    ("Max realtime timeout", "rttime"),
];

const RLIMIT_NICE: u32 = 13;
/// The highest nice value.
const LOWEST_PRIORITY: i64 = 19;

/// The values of one process; `None` if not readable.
struct Bounds {
    limits: Vec<Limit>,
    umask: Option<u32>,
    cpus: Option<Vec<CpuRange>>,
    nice: Option<i32>,
    /// As returned by `ioprio_get(2)`.
    io_priority: Option<u32>,
    personality: Option<u32>,
}

impl Bounds {
    fn read(read: &dyn Fn(&str) -> Result<Vec<u8>, Cause>, number: Option<u32>) -> Result<Self, Cause> {
        let status = parse::status(&read("status")?).map_err(|_| Cause::MALFORMED)?;
        let stat = read("stat")?;
        let hexadecimal = |text: Vec<u8>| u32::from_str_radix(std::str::from_utf8(&text).ok()?.trim(), 16).ok();
        Ok(Self {
            limits: limits(&String::from_utf8_lossy(&read("limits")?)),
            umask: status.umask,
            cpus: status.cpus_allowed,
            nice: parse::stat(&stat).ok().map(|stat| stat.scheduling.nice),
            io_priority: number.and_then(|number| lxkns_sys::ioprio_get(number).ok()),
            // This file needs more privileges than the others; without them, the command does not take the value over.
            personality: read("personality").ok().and_then(hexadecimal),
        })
    }
}

/// Adds the steps that set these values for the command.
pub(crate) fn take_on(
    draft: &mut Draft,
    proc: &ProcRoot,
    process: Option<&Process>,
    own_status: &Status,
    of: LimitsOf,
) -> Result<(), Error> {
    let failed = |errno| Error::call("read the caller's resource limits", errno);
    let own = Bounds::read(&|path| process::read(proc, format!("thread-self/{path}")), Some(0)).map_err(failed)?;
    let Some(process) = process else {
        return rows(draft, None, &own);
    };
    // PIDs of another procfs mean other processes in system calls.
    let number = proc.is_own().then_some(process.task);
    let theirs = Bounds::read(&|path| process.read(path), number);
    let theirs = theirs.map_err(|errno| cannot(process.pid, "read the resource limits", errno))?;
    if of == LimitsOf::Caller {
        return rows(draft, Some(&theirs), &own);
    }

    let has = |capability| own_status.capabilities.effective.contains(capability);
    let own_hard = |resource| own.limits.iter().find(|own| own.resource == resource).map_or(0, |own| own.hard);
    let can_have = |limit: &Limit| {
        let most = if has(CapabilitySet::SYS_RESOURCE) { u64::MAX } else { own_hard(limit.resource) };
        Limit { soft: limit.soft.min(most), hard: limit.hard.min(most), ..*limit }
    };
    let limits: Vec<Limit> = theirs.limits.iter().map(can_have).collect();
    if limits != theirs.limits {
        let names: Vec<&str> = limits
            .iter()
            .zip(&theirs.limits)
            .filter(|(can_have, theirs)| can_have != theirs)
            .map(|(limit, _)| RESOURCES[limit.resource as usize].1)
            .collect();
        draft.notes.push(format!(
            "resource limits lower than the process's, as only CAP_SYS_RESOURCE may raise them: {}",
            names.join(", ")
        ));
    }
    let lowest_nice =
        own.limits.iter().find(|own| own.resource == RLIMIT_NICE).map_or(LOWEST_PRIORITY, |limit| {
            LOWEST_PRIORITY + 1 - i64::try_from(limit.soft).unwrap_or(i64::MAX).min(40)
        });
    let nice = theirs.nice.map(|nice| match own.nice {
        Some(own) if nice < own && !has(CapabilitySet::SYS_NICE) => {
            i64::from(nice).max(lowest_nice).min(own.into()) as i32
        }
        _ => nice,
    });

    let step = |draft: &mut Draft, stage, what: &str, op| draft.step(stage, what, op);
    let raise = Op::Limits { limits: limits.clone(), only_raise: true };
    step(draft, Stage::Limits, "raise the resource limits", raise);
    if let Some(mask) = theirs.cpus.as_ref().filter(|cpus| own.cpus.as_ref() != Some(cpus)).and_then(|cpus| mask(cpus))
    {
        step(draft, Stage::Limits, "set the CPU affinity", Op::Affinity(mask));
    }
    if let Some(nice) = nice.filter(|nice| own.nice != Some(*nice)) {
        step(draft, Stage::Limits, "set the nice value", Op::Nice(nice));
    }
    if let Some(priority) = theirs.io_priority.filter(|priority| own.io_priority != Some(*priority)) {
        step(draft, Stage::Limits, "set the I/O priority", Op::IoPriority(priority));
    }
    if let Some(domain) = theirs.personality.filter(|domain| own.personality != Some(*domain)) {
        step(draft, Stage::Last, "set the execution domain", Op::Personality(domain));
    }
    if let Some(umask) = theirs.umask {
        step(draft, Stage::Last, "set the file mode creation mask", Op::Umask(umask));
    }
    let exactly = Op::Limits { limits: limits.clone(), only_raise: false };
    step(draft, Stage::Last, "set the resource limits", exactly);
    let command = Bounds {
        limits,
        umask: theirs.umask.or(own.umask),
        cpus: theirs.cpus.clone().or(own.cpus),
        nice: nice.or(own.nice),
        io_priority: theirs.io_priority.or(own.io_priority),
        personality: theirs.personality.or(own.personality),
    };
    rows(draft, Some(&theirs), &command)
}

fn rows(draft: &mut Draft, target: Option<&Bounds>, command: &Bounds) -> Result<(), Error> {
    let unknown = || "not readable".to_owned();
    type InWords = fn(&Bounds) -> Option<String>;
    let all: [(Subject, InWords); 6] = [
        (Subject::Limits, |bounds| Some(limits_in_words(&bounds.limits))),
        (Subject::Umask, |bounds| Some(format!("{:04o}", bounds.umask?))),
        (Subject::Affinity, |bounds| Some(cpus_in_words(bounds.cpus.as_ref()?))),
        (Subject::Nice, |bounds| Some(bounds.nice?.to_string())),
        (Subject::IoPriority, |bounds| Some(io_priority_in_words(bounds.io_priority?))),
        (Subject::Personality, |bounds| Some(format!("{:#x}", bounds.personality?))),
    ];
    for (subject, in_words) in all {
        let fact = |bounds| Fact::Text(in_words(bounds).unwrap_or_else(unknown));
        draft.row(subject, target.map(fact), fact(command));
    }
    Ok(())
}

/// Reads the text of `/proc/PID/limits`.
fn limits(text: &str) -> Vec<Limit> {
    let number = |field: Option<&str>| match field? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    };
    let limit = |(resource, (name, _)): (usize, &(&str, &str))| {
        let rest = text.lines().find_map(|line| line.strip_prefix(name).filter(|rest| rest.starts_with(' ')))?;
        let mut fields = rest.split_whitespace();
        Some(Limit { resource: resource as u32, soft: number(fields.next())?, hard: number(fields.next())? })
    };
    RESOURCES.iter().enumerate().filter_map(limit).collect()
}

/// The mask for `sched_setaffinity(2)`, a bit for each CPU; `None` if a number is larger than that of any CPU.
fn mask(cpus: &[CpuRange]) -> Option<Vec<u8>> {
    /// Far more than the 8192 that a kernel can be built for.
    const MOST: u32 = 1 << 16;
    let bits = cpus.last().map_or(0, |range| range.last).checked_add(1).filter(|&bits| bits <= MOST)? as usize;
    // The kernel takes whole words.
    let mut bytes = vec![0_u8; bits.div_ceil(8).next_multiple_of(size_of::<usize>())];
    for cpu in cpus.iter().flat_map(|range| range.first..=range.last) {
        bytes[cpu as usize / 8] |= 1 << (cpu % 8);
    }
    Some(bytes)
}

fn limits_in_words(limits: &[Limit]) -> String {
    let number = |number: u64| if number == u64::MAX { "unlimited".to_owned() } else { number.to_string() };
    let bounded = limits.iter().filter(|limit| (limit.soft, limit.hard) != (u64::MAX, u64::MAX));
    let words: Vec<String> = bounded
        .map(|limit| {
            let name = RESOURCES[limit.resource as usize].1;
            if limit.soft == limit.hard {
                format!("{name} {}", number(limit.hard))
            } else {
                format!("{name} {}:{}", number(limit.soft), number(limit.hard))
            }
        })
        .collect();
    if words.is_empty() { "unlimited".to_owned() } else { words.join(", ") }
}

fn cpus_in_words(cpus: &[CpuRange]) -> String {
    cpus.iter().map(CpuRange::to_string).collect::<Vec<_>>().join(",")
}

fn io_priority_in_words(priority: u32) -> String {
    let level = priority & 0x1fff;
    match priority >> 13 {
        0 => "none".to_owned(),
        1 => format!("realtime {level}"),
        2 => format!("best-effort {level}"),
        3 => "idle".to_owned(),
        class => format!("class {class}, {level}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_by_name() {
        let text = "Limit                     Soft Limit           Hard Limit           Units     \n\
            Max cpu time              unlimited            unlimited            seconds   \n\
            Max stack size            8388608              unlimited            bytes     \n\
            Max open files            1024                 4096                 files     \n";
        let limits = limits(text);
        assert_eq!(limits.len(), 3);
        assert_eq!(limits[2], Limit { resource: 7, soft: 1024, hard: 4096 });
        assert_eq!(limits_in_words(&limits), "stack 8388608:unlimited, nofile 1024:4096");
        assert_eq!(limits_in_words(&limits[..1]), "unlimited");
    }

    #[test]
    fn cpus_are_masked_and_listed() {
        let range = |first, last| CpuRange { first, last };
        let (few, many) = ([range(0, 1)], [range(0, 0), range(2, 2), range(63, 64)]);
        assert_eq!((cpus_in_words(&few), cpus_in_words(&many)), ("0-1".to_owned(), "0,2,63-64".to_owned()));
        assert_eq!(mask(&few), Some([&[3][..], &[0; size_of::<usize>() - 1]].concat()));
        assert_eq!(mask(&many).map(|mask| (mask[0], mask[7], mask[8])), Some((5, 0x80, 1)));
        assert_eq!((mask(&[range(0, u32::MAX)]), mask(&[range(0, 1 << 16)])), (None, None));
    }
}
