//! `/proc/PID/fdinfo/FD`: facts about an open file; `proc_pid_fdinfo(5)`.

use super::{ParseError, decimal, lines, octal};

/// The fields of an fdinfo that discovery needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct FdInfo {
    /// For a UNIX socket: how many descriptors were sent to it and not yet received (Linux 5.6).
    pub(crate) scm_fds: Option<u64>,
    /// For an io_uring: the files registered with it; `None` also if the kernel did not wait for a busy ring.
    pub(crate) registered_files: Option<RegisteredFiles>,
    /// For a pidfd: whether its process has ended and was reaped.
    pub(crate) is_of_the_dead: bool,
}

/// The files that are registered with an io_uring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RegisteredFiles {
    /// How many slots there are for them.
    pub(crate) slots: u64,
    /// How many slots with a file the kernel listed. `None` if there are slots and it listed none: either all are empty
    /// (older kernels list these as `<none>`), or the ring was busy (some kernels wait for it, others leave it out).
    pub(crate) listed: Option<u64>,
}

impl RegisteredFiles {
    /// The largest possible number of files.
    pub(crate) fn at_most(self) -> u64 {
        self.listed.unwrap_or(self.slots)
    }
}

/// The mount through which a file was opened.
pub(crate) fn mount_id(text: &[u8]) -> Option<u64> {
    decimal(first_line(text, b"mnt_id:")?)
}

/// The process of a pidfd; `None` where it has ended or is in no PID namespace of the procfs, and of other files.
pub(crate) fn pidfd_process(text: &[u8]) -> Option<u32> {
    let mut all = lines("fdinfo", text).map_while(Result::ok);
    let pid: u32 = all.find_map(|line| decimal(line.text.strip_prefix(b"Pid:")?.trim_ascii()))?;
    (pid != 0).then_some(pid)
}

/// Whether a BPF link can be a probe in a program, and so hold a file: all can whose type is not known to hold none.
pub(crate) fn may_be_probe(text: &[u8]) -> bool {
    const OTHERS: [&[u8]; 11] = [
        b"iter",
        b"tracing",
        b"raw_tracepoint",
        b"cgroup",
        b"netns",
        b"xdp",
        b"tcx",
        b"netkit",
        b"netfilter",
        b"sockmap",
        b"struct_ops",
    ];
    let mut all = lines("fdinfo", text).map_while(Result::ok);
    let of_type = all.find_map(|line| Some(line.text.strip_prefix(b"link_type:")?.trim_ascii()));
    !of_type.is_some_and(|of_type| OTHERS.contains(&of_type))
}

/// The flags (`O_*`) of an open file, and whether the descriptor is close-on-exec; `None` if the text does not have them.
pub fn open_flags(text: &[u8]) -> Option<u32> {
    octal(first_line(text, b"flags:")?)
}

/// The value of one of the first lines, which contain no text of users'.
fn first_line<'a>(text: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    const FIRST: usize = 4;
    let mut first = lines("fdinfo", text).take(FIRST).map_while(Result::ok);
    first.find_map(|line| Some(line.text.strip_prefix(name)?.trim_ascii()))
}

/// Reads the fdinfo of a UNIX socket or an io_uring. (Those of other files can contain text that users choose.)
///
/// That of an io_uring contains the names of registered files. Older kernels do not escape them, so a name with a
/// newline can fake a line. The names come last, so they can only change how many slots count as listed.
pub(crate) fn parse(text: &[u8]) -> Result<FdInfo, ParseError> {
    let mut info = FdInfo::default();
    let mut lines = lines("fdinfo", text);
    for line in lines.by_ref() {
        let line = line?;
        if let Some(value) = line.text.strip_prefix(b"scm_fds:") {
            let count = decimal(value.trim_ascii()).ok_or(line.error("a number of descriptors"))?;
            info.scm_fds.get_or_insert(count);
        } else if let Some(value) = line.text.strip_prefix(b"Pid:") {
            info.is_of_the_dead = value.trim_ascii() == b"-1";
        } else if let Some(value) = line.text.strip_prefix(b"UserFiles:") {
            let slots = decimal(value.trim_ascii()).ok_or(line.error("a number of registered files"))?;
            info.registered_files = Some(RegisteredFiles { slots, listed: (slots == 0).then_some(0) });
            break;
        }
    }
    if let Some(RegisteredFiles { slots, listed }) = &mut info.registered_files {
        let (mut next, mut in_files, mut seen, mut files) = (0, true, 0, 0);
        for line in lines {
            let line = line?;
            // From here on, entries are buffers, not files.
            in_files &= !line.text.starts_with(b"UserBufs:");
            let Some((index, name)) = slot(line.text).filter(|(index, _)| in_files && (next..*slots).contains(index))
            else {
                continue;
            };
            next = index + 1;
            seen += 1;
            files += u64::from(name != b"<none>");
        }
        if seen > 0 {
            *listed = Some(files);
        }
    }
    Ok(info)
}

/// Whether this is the fdinfo of an open TUN/TAP file: only these have a line with the network interface, which can be
/// empty. The lines before it are the same for all files and contain no names.
pub(crate) fn is_tun(text: &[u8]) -> bool {
    lines("fdinfo", text).map_while(Result::ok).any(|line| line.text.starts_with(b"iff:\t"))
}

/// The network interface of an open TUN/TAP file; `None` where it has none.
pub(crate) fn tun_name(text: &[u8]) -> Option<&[u8]> {
    let mut lines = lines("fdinfo", text).map_while(Result::ok);
    lines.find_map(|line| line.text.strip_prefix(b"iff:\t")).filter(|name| !name.is_empty())
}

/// Reads `    2: /dev/null`: the number of a slot, and the name of the file in it.
fn slot(line: &[u8]) -> Option<(u64, &[u8])> {
    let line = line.trim_ascii_start();
    let colon = line.iter().position(|&byte| byte == b':')?;
    Some((decimal(&line[..colon])?, line[colon + 1..].strip_prefix(b" ")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: &[u8] = b"pos:\t0\nflags:\t02000002\nmnt_id:\t10\nino:\t11260\nscm_fds: 2\n";
    const RING: &[u8] = b"pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t11263\nSqMask:\t0x3\nSqHead:\t0\nSqTail:\t0\n\
        CachedSqHead:\t0\nCqMask:\t0x7\nCqHead:\t0\nCqTail:\t0\nCachedCqTail:\t0\nSQEs:\t0\nCQEs:\t0\nSqThread:\t-1\n\
        SqThreadCpu:\t-1\nSqTotalTime:\t0\nSqWorkTime:\t0\nUserFiles:\t3\n    0: /dev/null\n    \
        2: /tmp/pw/d/UserFiles:\\01199\\012scm_fds:\\0407\nUserBufs:\t0\nPollList:\nCqOverflowList:\nNAPI:\tdisabled\n";

    fn ring(files: &str) -> Option<RegisteredFiles> {
        let text =
            format!("pos:\t0\nSqThread:\t-1\n{files}UserBufs:\t2\n    0: 0x7f/4096\n    1: 0x8f/4096\nPollList:\n");
        let info = parse(text.as_bytes()).unwrap();
        assert_eq!(info.scm_fds, None);
        info.registered_files
    }

    #[test]
    fn links_of_bpf() {
        let of = |line: &str| format!("pos:\t0\nflags:\t02000000\nmnt_id:\t17\nino:\t1038\n{line}link_id:\t19948\n");
        for (line, expected) in [
            ("link_type:\titer\n", false),
            ("link_type:\traw_tracepoint\n", false),
            ("link_type:\tperf\n", true),
            ("link_type:\tuprobe_multi\n", true),
            ("link_type:\t<8>\n", true),
            ("", true),
        ] {
            assert_eq!(may_be_probe(of(line).as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn an_interface_is_named_where_there_is_one() {
        assert_eq!(tun_name(b"pos:\t0\nflags:\t0104002\nmnt_id:\t27\niff:\ttap\xff\n"), Some(&b"tap\xff"[..]));
        assert_eq!(tun_name(b"pos:\t0\nflags:\t0104002\nmnt_id:\t27\niff:\t\n"), None);
        assert_eq!(tun_name(b"pos:\t0\n"), None);
    }

    #[test]
    fn the_mount_is_among_the_first_lines() {
        assert_eq!(mount_id(b"pos:\t0\nflags:\t02100000\nmnt_id:\t27\nino:\t5\n"), Some(27));
        assert_eq!(mount_id(b"pos:\t0\nflags:\t02\nino:\t5\nlock:\t1\nmnt_id:\t27\n"), None);
        assert_eq!(mount_id(b"mnt_id:\t27"), None, "cut off");
        assert_eq!(mount_id(b"mnt_id:\tx\n"), None);
    }

    #[test]
    fn other_files() {
        assert_eq!(parse(b"pos:\t0\nflags:\t0100000\nmnt_id:\t24\nino:\t3\n"), Ok(FdInfo::default()));
        assert_eq!(parse(b""), Ok(FdInfo::default()));
    }

    #[test]
    fn mounts() {
        assert_eq!(mount_id(SOCKET), Some(10));
        assert_eq!(mount_id(RING), Some(17));
        assert_eq!(mount_id(b"pos:\t0\nflags:\t02000002\n"), None);
    }

    #[test]
    fn tuns() {
        assert!(is_tun(b"pos:\t0\nflags:\t02\nmnt_id:\t26\nino:\t1\niff:\tlxknstap\n"));
        assert!(is_tun(b"pos:\t0\nflags:\t02\nmnt_id:\t26\niff:\t\n"));
        assert!(!is_tun(SOCKET));
    }

    #[test]
    fn sockets() {
        for (pid, expected) in [("-1", true), ("0", false), ("12", false)] {
            let text = format!("pos:\t0\nino:\t7\nPid:\t{pid}\nNSpid:\t{pid}\n");
            assert_eq!(parse(text.as_bytes()).map(|info| info.is_of_the_dead), Ok(expected), "{pid}");
            assert_eq!(pidfd_process(text.as_bytes()), (pid == "12").then_some(12), "{pid}");
        }
        assert_eq!(parse(SOCKET), Ok(FdInfo { scm_fds: Some(2), registered_files: None, is_of_the_dead: false }));
        assert!(parse(&SOCKET[..SOCKET.len() - 1]).is_err());
        assert_eq!(
            parse(b"scm_fds: x\n").unwrap_err().to_string(),
            "malformed fdinfo, line 1: expected a number of descriptors"
        );
    }

    #[test]
    fn rings() {
        let files = RegisteredFiles { slots: 3, listed: Some(2) };
        assert_eq!(parse(RING), Ok(FdInfo { scm_fds: None, registered_files: Some(files), is_of_the_dead: false }));
        assert_eq!(files.at_most(), 2);
        assert_eq!(ring("UserFiles:\t0\n"), Some(RegisteredFiles { slots: 0, listed: Some(0) }));
        assert_eq!(
            ring("UserFiles:\t3\n    0: null\n    1: <none>\n    2: x y\n"),
            Some(RegisteredFiles { slots: 3, listed: Some(2) })
        );
        assert_eq!(ring("UserFiles:\t1\n    0: <none>\n"), Some(RegisteredFiles { slots: 1, listed: Some(0) }));
        let busy = ring("UserFiles:\t3\n").unwrap();
        assert_eq!((busy.listed, busy.at_most()), (None, 3));
        assert_eq!(ring(""), None);
    }

    #[test]
    fn a_name_cannot_make_more_files_than_there_are_slots() {
        assert_eq!(
            ring("UserFiles:\t2\n    0: a\nscm_fds: 9\nUserFiles:\t99\n    7: b\n    0: c\n    1: d\n"),
            Some(RegisteredFiles { slots: 2, listed: Some(2) })
        );
    }

    #[test]
    fn text_cut_off_within_a_line_is_malformed() {
        for text in [SOCKET, RING] {
            for end in 1..text.len() {
                assert_eq!(parse(&text[..end]).is_ok(), text[end - 1] == b'\n', "cut at {end}");
            }
        }
    }
}
