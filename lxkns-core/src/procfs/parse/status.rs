//! `/proc/PID/status` and `/proc/PID/task/TID/status`: IDs, capabilities and signals of a task; `proc_pid_status(5)`.

use super::{Line, ParseError, cpulist, decimal, fields, hexadecimal, lines, octal};
use crate::model::{Capabilities, CapabilitySet, CpuRange, Pid, ProcessStatus, Seccomp, TaskState, Tid, Uid, Uids};

/// A task's `status`. A field is `None` where the text has no line for it. PIDs are those of the procfs's PID namespace,
/// UIDs and GIDs those of the reader's user namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskStatus {
    /// The part that a snapshot keeps of a process.
    pub process: ProcessStatus,
    /// The PID of the task's process.
    pub tgid: Option<Pid>,
    /// The TID.
    pub tid: Option<Tid>,
    /// The PID of the parent; 0 if it has none in the procfs's PID namespace.
    pub ppid: Option<Pid>,
    /// The run state.
    pub state: Option<TaskState>,
    /// The real, effective, saved and file system GID.
    pub gids: Option<[u32; 4]>,
    /// The supplementary groups.
    pub groups: Option<Vec<u32>>,
    /// The file mode creation mask (Linux 4.7).
    pub umask: Option<u32>,
    /// The CPUs that the task may run on.
    pub cpus_allowed: Option<Vec<CpuRange>>,
    /// The pending signals of the task and its process: bit 0 is signal 1, bit 63 signal 64.
    pub pending_signals: Option<u64>,
    /// The signals that the task blocks, likewise.
    pub blocked_signals: Option<u64>,
}

/// The values of the lines that are read, each with its line.
#[derive(Default)]
struct Values<'a> {
    umask: Option<Line<'a>>,
    state: Option<Line<'a>>,
    tgid: Option<Line<'a>>,
    pid: Option<Line<'a>>,
    ppid: Option<Line<'a>>,
    uid: Option<Line<'a>>,
    gid: Option<Line<'a>>,
    groups: Option<Line<'a>>,
    ns_pid: Option<Line<'a>>,
    sig_pnd: Option<Line<'a>>,
    shd_pnd: Option<Line<'a>>,
    sig_blk: Option<Line<'a>>,
    cap_inh: Option<Line<'a>>,
    cap_prm: Option<Line<'a>>,
    cap_eff: Option<Line<'a>>,
    cap_bnd: Option<Line<'a>>,
    cap_amb: Option<Line<'a>>,
    cpus_allowed_list: Option<Line<'a>>,
    no_new_privs: Option<Line<'a>>,
    seccomp: Option<Line<'a>>,
}

/// Reads the text of `/proc/PID/status` or `/proc/PID/task/TID/status`.
///
/// A process chooses the text of one line, its name. The kernel escapes newlines and backslashes there, so no name can
/// pass for another line.
///
/// # Errors
///
/// A line lacks its newline or its value is malformed, or there is no line with the UIDs, the PIDs or a capability set.
pub fn parse(text: &[u8]) -> Result<TaskStatus, ParseError> {
    let mut values = Values::default();
    let mut lines = lines("status", text);
    for line in lines.by_ref() {
        let line = line?;
        let Some(colon) = line.text.iter().position(|&byte| byte == b':') else { continue };
        let value = match &line.text[..colon] {
            b"Umask" => &mut values.umask,
            b"State" => &mut values.state,
            b"Tgid" => &mut values.tgid,
            b"Pid" => &mut values.pid,
            b"PPid" => &mut values.ppid,
            b"Uid" => &mut values.uid,
            b"Gid" => &mut values.gid,
            b"Groups" => &mut values.groups,
            b"NSpid" => &mut values.ns_pid,
            b"SigPnd" => &mut values.sig_pnd,
            b"ShdPnd" => &mut values.shd_pnd,
            b"SigBlk" => &mut values.sig_blk,
            b"CapInh" => &mut values.cap_inh,
            b"CapPrm" => &mut values.cap_prm,
            b"CapEff" => &mut values.cap_eff,
            b"CapBnd" => &mut values.cap_bnd,
            b"CapAmb" => &mut values.cap_amb,
            b"Cpus_allowed_list" => &mut values.cpus_allowed_list,
            b"NoNewPrivs" => &mut values.no_new_privs,
            b"Seccomp" => &mut values.seccomp,
            _ => continue,
        };
        value.get_or_insert(Line { text: &line.text[colon + 1..], ..line });
    }

    let uid = values.uid.ok_or_else(|| lines.missing("Uid"))?;
    let [real, effective, saved, file_system] = four(uid.text).ok_or(uid.error("four UIDs"))?.map(Uid);
    let uids = Uids { real, effective, saved, file_system };
    // Without PID namespaces in the kernel there is no such line, and only one PID.
    let ns_pid = values.ns_pid.or(values.pid).ok_or_else(|| lines.missing("Pid"))?;
    let ns_pids = fields(ns_pid.text).map(|pid| decimal(pid).map(Pid)).collect::<Option<Vec<_>>>();
    let ns_pids = ns_pids.filter(|pids| !pids.is_empty()).ok_or(ns_pid.error("PIDs"))?;
    let capabilities = Capabilities {
        inheritable: capability_set(values.cap_inh.ok_or_else(|| lines.missing("CapInh"))?)?,
        permitted: capability_set(values.cap_prm.ok_or_else(|| lines.missing("CapPrm"))?)?,
        effective: capability_set(values.cap_eff.ok_or_else(|| lines.missing("CapEff"))?)?,
        bounding: capability_set(values.cap_bnd.ok_or_else(|| lines.missing("CapBnd"))?)?,
        // Linux before 4.3 has no ambient set.
        ambient: values.cap_amb.map_or(Ok(CapabilitySet::NONE), capability_set)?,
    };
    let cpus_allowed = values
        .cpus_allowed_list
        .map(|line| cpulist::parse(line.text.trim_ascii()).map_err(|error| line.error(error.expected)));
    // Kernels without seccomp, and those before 4.10, have no such lines.
    let seccomp =
        values.seccomp.map(|line| decimal::<u64>(line.text.trim_ascii()).ok_or(line.error("a mode of seccomp")));
    let no_new_privs = values.no_new_privs.map(|line| match line.text.trim_ascii() {
        b"0" => Ok(false),
        b"1" => Ok(true),
        _ => Err(line.error("0 or 1")),
    });
    let process = ProcessStatus {
        uids,
        ns_pids,
        capabilities,
        // A mode that is newer than this parser is not known, and makes nothing else unreadable.
        seccomp: seccomp.transpose()?.and_then(Seccomp::from_number),
        no_new_privs: no_new_privs.transpose()?,
        label: None,
    };
    let own_signals = values.sig_pnd.map(signals).transpose()?;
    let shared_signals = values.shd_pnd.map(signals).transpose()?;
    Ok(TaskStatus {
        process,
        tgid: values.tgid.map(number).transpose()?.map(Pid),
        tid: values.pid.map(number).transpose()?.map(Tid),
        ppid: values.ppid.map(number).transpose()?.map(Pid),
        state: values.state.map(state).transpose()?,
        gids: values.gid.map(|line| four(line.text).ok_or(line.error("four GIDs"))).transpose()?,
        groups: values.groups.map(groups).transpose()?,
        umask: values.umask.map(umask).transpose()?,
        cpus_allowed: cpus_allowed.transpose()?,
        pending_signals: own_signals.zip(shared_signals).map(|(own, shared)| own | shared),
        blocked_signals: values.sig_blk.map(signals).transpose()?,
    })
}

/// Reads the real, the effective, the saved and the file system ID.
fn four(text: &[u8]) -> Option<[u32; 4]> {
    let mut fields = fields(text);
    let mut id = || fields.next().and_then(decimal);
    let ids = [id()?, id()?, id()?, id()?];
    fields.next().is_none().then_some(ids)
}

/// Reads one PID or TID.
fn number(line: Line<'_>) -> Result<u32, ParseError> {
    decimal(line.text.trim_ascii()).ok_or(line.error("a PID"))
}

/// Reads a run state: a letter, and what it means in parentheses.
fn state(line: Line<'_>) -> Result<TaskState, ParseError> {
    match fields(line.text).next() {
        Some(&[state]) if state.is_ascii_alphabetic() => Ok(TaskState(state)),
        _ => Err(line.error("a state")),
    }
}

/// Reads the supplementary groups; there can be none.
fn groups(line: Line<'_>) -> Result<Vec<u32>, ParseError> {
    fields(line.text).map(decimal).collect::<Option<_>>().ok_or(line.error("GIDs"))
}

/// Reads a file mode creation mask.
fn umask(line: Line<'_>) -> Result<u32, ParseError> {
    octal(line.text.trim_ascii()).ok_or(line.error("an octal number"))
}

/// Reads a set of signals. On MIPS, which has 128, the upper 64 come first and are ignored.
fn signals(line: Line<'_>) -> Result<u64, ParseError> {
    let text = line.text.trim_ascii();
    hexadecimal(&text[text.len().saturating_sub(16)..]).ok_or(line.error("a set of signals"))
}

/// Reads one capability set.
fn capability_set(line: Line<'_>) -> Result<CapabilitySet, ParseError> {
    hexadecimal(line.text.trim_ascii()).map(CapabilitySet::from_bits).ok_or(line.error("a capability set"))
}

#[cfg(test)]
mod tests {
    use bstr::ByteSlice;

    use super::*;

    /// Of a process whose name is `a) R 1\n(\` and more.
    const HOSTILE: &[u8] =
        b"Name:\ta) R 1\\n(\\\\\xff )\t\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t5889\nNgid:\t0\n\
        Pid:\t5889\nPPid:\t5828\nTracerPid:\t0\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nFDSize:\t256\nGroups:\t \n\
        NStgid:\t5889\nNSpid:\t5889\nNSpgid:\t5824\nNSsid:\t3550\nKthread:\t0\nVmPeak:\t    3708 kB\nThreads:\t1\n\
        SigQ:\t0/96343\nSigPnd:\t0000000000000100\nShdPnd:\t0000000000004000\nSigBlk:\t8000000000000001\nSigCgt:\t0000000000000000\nCapInh:\t0000000000000000\nCapPrm:\t000001fffeffffff\n\
        CapEff:\t000001fffeffffff\nCapBnd:\t000001fffeffffff\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n\
        Cpus_allowed:\t3\nCpus_allowed_list:\t0-1\nMems_allowed:\t00000000,00000001\nMems_allowed_list:\t0\n\
        voluntary_ctxt_switches:\t0\nnonvoluntary_ctxt_switches:\t0\n";

    fn without(line: &str) -> Vec<u8> {
        HOSTILE.lines_with_terminator().filter(|text| !text.starts_with(line.as_bytes())).collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_process() {
        let all = CapabilitySet::from_bits(0x1ff_feff_ffff);
        let none = CapabilitySet::NONE;
        let status = parse(HOSTILE).unwrap();
        assert_eq!(status.process.uids, Uids { real: Uid(0), effective: Uid(0), saved: Uid(0), file_system: Uid(0) });
        assert_eq!(status.process.ns_pids, [Pid(5889)]);
        assert_eq!(
            status.process.capabilities,
            Capabilities { inheritable: none, permitted: all, effective: all, bounding: all, ambient: none }
        );
        assert_eq!(status.cpus_allowed, Some(vec![CpuRange { first: 0, last: 1 }]));
        assert_eq!((status.process.seccomp, status.process.no_new_privs), (Some(Seccomp::None), Some(false)));
        assert_eq!((status.tgid, status.tid, status.ppid), (Some(Pid(5889)), Some(Tid(5889)), Some(Pid(5828))));
        assert_eq!((status.state, status.umask), (Some(TaskState(b'S')), Some(0o22)));
        assert_eq!((status.gids, status.groups), (Some([0; 4]), Some(vec![])));
        assert_eq!((status.pending_signals, status.blocked_signals), (Some(0x4100), Some(0x8000_0000_0000_0001)));
    }

    #[test]
    fn groups_and_sets_of_more_signals_than_64() {
        let text = HOSTILE
            .replace("Groups:\t ", "Groups:\t10 20 ")
            .replace("SigBlk:\t8000000000000001", "SigBlk:\t00000000000000ff8000000000000001");
        let status = parse(&text).unwrap();
        assert_eq!(status.groups, Some(vec![10, 20]));
        assert_eq!(status.blocked_signals, parse(HOSTILE).unwrap().blocked_signals);
    }

    #[test]
    fn pids_in_several_namespaces() {
        let text =
            HOSTILE.replace("NSpid:\t5889", "NSpid:\t5889\t2\t1").replace("Uid:\t0\t0\t0\t0", "Uid:\t1\t2\t3\t4");
        let process = parse(&text).unwrap().process;
        assert_eq!(process.ns_pids, [Pid(5889), Pid(2), Pid(1)]);
        assert_eq!(process.uids, Uids { real: Uid(1), effective: Uid(2), saved: Uid(3), file_system: Uid(4) });
    }

    #[test]
    fn lines_that_some_kernels_do_not_have() {
        assert_eq!(parse(&without("NSpid:")).unwrap().process.ns_pids, [Pid(5889)]);
        assert_eq!(parse(&without("CapAmb:")).unwrap(), parse(HOSTILE).unwrap());
        assert_eq!(parse(&without("Cpus_allowed_list:")).unwrap().cpus_allowed, None);
        assert_eq!(parse(&without("Seccomp:")).unwrap().process.seccomp, None);
        assert_eq!(parse(&without("NoNewPrivs:")).unwrap().process.no_new_privs, None);
        assert_eq!(parse(&without("Umask:")).unwrap().umask, None);
        assert_eq!(parse(&without("ShdPnd:")).unwrap().pending_signals, None, "part of a set looks like all of it");
        for line in ["Uid:", "CapInh:", "CapPrm:", "CapEff:", "CapBnd:"] {
            let error = parse(&without(line)).unwrap_err();
            assert_eq!(format!("{}:", error.expected), line);
        }
    }

    #[test]
    fn only_whole_lines_count_and_of_equal_ones_the_first() {
        let text = HOSTILE
            .replace("Name:\ta", "Name:\tNSpid:\t1 CapEff:\t00")
            .replace("Mems_allowed_list:\t0", "Uid:\t9\t9\t9\t9");
        assert_eq!(parse(&text), parse(HOSTILE));
    }

    #[test]
    fn modes_of_seccomp() {
        let mode = |number: u32| {
            let text = HOSTILE.replace("Seccomp:\t0", format!("Seccomp:\t{number}"));
            parse(&text).unwrap().process.seccomp
        };
        let known = [Seccomp::None, Seccomp::Strict, Seccomp::Filter, Seccomp::Dead];
        assert_eq!([0, 1, 2, 3].map(mode), known.map(Some));
        assert_eq!(mode(4), None);
    }

    #[test]
    fn nonsense() {
        for (line, wrong) in [
            ("Uid:\t0\t0\t0\t0", "Uid:\t0\t0\t0"),
            ("Uid:\t0\t0\t0\t0", "Uid:\t0\t0\t0\t0\t0"),
            ("Uid:\t0\t0\t0\t0", "Uid:\t0\t0\t0\t4294967296"),
            ("NSpid:\t5889", "NSpid:\t"),
            ("NSpid:\t5889", "NSpid:\t5889\t-1"),
            ("Umask:\t0022", "Umask:\t0028"),
            ("State:\tS (sleeping)", "State:\tSleeping"),
            ("Tgid:\t5889", "Tgid:\t-5889"),
            ("PPid:\t5828", "PPid:\t5828 1"),
            ("Gid:\t0\t0\t0\t0", "Gid:\t0\t0\t0"),
            ("Groups:\t ", "Groups:\t1,2"),
            ("ShdPnd:\t0000000000004000", "ShdPnd:\t"),
            ("SigBlk:\t8000000000000001", "SigBlk:\t800000000000000g"),
            ("Seccomp:\t0", "Seccomp:\tx"),
            ("NoNewPrivs:\t0", "NoNewPrivs:\t2"),
            ("CapEff:\t000001fffeffffff", "CapEff:\t"),
            ("CapEff:\t000001fffeffffff", "CapEff:\t0x1"),
            ("Cpus_allowed_list:\t0-1", "Cpus_allowed_list:\t1-0"),
        ] {
            let text = HOSTILE.replace(line, wrong);
            let expected_line = text.lines().position(|line| line.as_bytes() == wrong.as_bytes()).unwrap() + 1;
            assert_eq!(parse(&text).unwrap_err().line, expected_line, "{wrong:?}");
        }
    }

    #[test]
    fn text_cut_off_anywhere_is_malformed_or_lacks_what_is_optional() {
        let whole = parse(HOSTILE).unwrap();
        for end in 0..HOSTILE.len() {
            if let Ok(status) = parse(&HOSTILE[..end]) {
                let ProcessStatus { seccomp, no_new_privs, .. } = whole.process;
                let cut = ProcessStatus { seccomp, no_new_privs, ..status.process };
                assert_eq!((status.tgid, &status.groups), (whole.tgid, &whole.groups), "cut at {end}");
                assert_eq!(cut, whole.process, "cut at {end}");
            }
        }
    }
}
