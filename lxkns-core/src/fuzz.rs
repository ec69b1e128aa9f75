//! Properties of each parser that hold for any input. The fuzz targets and a property test call these functions; none
//! may panic.

use bstr::ByteSlice;

use crate::model::DeviceNumber;
use crate::procfs::parse::{
    cgroup as cgroups, cgroup_files as freezers, cpulist as cpu_lists, fdinfo as fdinfos, id_map as id_maps,
    links as ns_links, maps as mappings, mountinfo as mounts, stat as stats, status as statuses,
    timens as time_offsets,
};

/// `/proc/PID/stat`: the name ends at the last parenthesis, and another name does not change the other fields.
pub fn stat(text: &[u8]) {
    let Ok(stat) = stats::parse(text) else { return };
    assert!(stat.state.0.is_ascii_alphabetic());
    let before = stat.pid.to_string();
    let after = &text[text.rfind(b") ").expect("what was read has a name")..];
    for comm in [b"".as_slice(), b"x", b"1 (a) S 1 ", b") R 2 3 4\n", b"((", stat.comm] {
        let text = [before.as_bytes(), b" (", comm, after].concat();
        assert_eq!(stats::parse(&text), Ok(stats::TaskStat { comm, ..stat }));
    }
}

/// `/proc/PID/status`: there is at least one PID, and a name that contains the escaped text changes nothing.
pub fn status(text: &[u8]) {
    let Ok(status) = statuses::parse(text) else { return };
    assert!(!status.process.ns_pids.is_empty());
    let name = text.replace(b"\\", b"\\\\").replace(b"\n", b"\\n");
    assert_eq!(statuses::parse(&[b"Name:\t", name.as_slice(), b"\n", text].concat()), Ok(status));
}

/// The links of namespaces: a parsed text can be written back unchanged.
pub fn links(text: &[u8]) {
    let Some((ns_type, ino)) = ns_links::parse(text) else { return };
    assert_ne!(ino, 0);
    assert_eq!(format!("{ns_type}:[{ino}]").as_bytes(), text);
}

/// `/proc/PID/mountinfo`: one item for each line, and the parsed fields make up the line.
pub fn mountinfo(text: &[u8]) {
    assert_eq!(mounts::parse(text).count(), text.lines().count());
    for (mount, line) in mounts::parse(text).zip(text.split(|&byte| byte == b'\n')) {
        let Ok(mount) = mount else { continue };
        let after_numbers = line.splitn_str(4, " ").nth(3).expect("a line that was read has fields");
        let before = [mount.raw_root, mount.raw_mount_point, mount.mount_options];
        let after = [b"-", mount.raw_fs_type, mount.raw_source, mount.super_options];
        let with = [&before[..], &[mount.optional_fields], &after[..]].concat().join(&b' ');
        let without = [before.as_slice(), &after].concat().join(&b' ');
        assert!(after_numbers == with || mount.optional_fields.is_empty() && after_numbers == without);
        for raw in [mount.raw_root, mount.raw_mount_point, mount.raw_fs_type, mount.raw_source] {
            escapes(raw);
        }
    }
    escapes(text);
}

/// The octal escapes: unescaping reverses escaping, and escaped text contains no separator.
fn escapes(text: &[u8]) {
    let escaped = mounts::escape_octal(text);
    assert!(escaped.find_byteset(b" \t\n").is_none());
    assert_eq!(*mounts::unescape_octal(&escaped), *text);
    assert!(mounts::unescape_octal(text).len() <= text.len());
}

/// `/proc/PID/cgroup`: the parsed fields make up the text, except for leading zeros.
pub fn cgroup(text: &[u8]) {
    let Ok(memberships) = cgroups::parse(text) else { return };
    let mut written = Vec::new();
    for membership in &memberships.0 {
        written.extend_from_slice(membership.hierarchy.to_string().as_bytes());
        written.extend_from_slice(b":");
        written.extend_from_slice(&membership.controllers);
        written.extend_from_slice(b":");
        written.extend_from_slice(&membership.path);
        written.extend_from_slice(b"\n");
    }
    assert_eq!(cgroups::parse(&written), Ok(memberships));
    assert!(written.len() <= text.len());
}

/// Lists of CPUs: ranges ascend without overlap, and parsing reverses writing.
pub fn cpulist(text: &[u8]) {
    let Ok(ranges) = cpu_lists::parse(text) else { return };
    assert!(ranges.iter().all(|range| range.first <= range.last));
    assert!(ranges.windows(2).all(|pair| pair[0].last < pair[1].first));
    let written: Vec<_> = ranges.iter().map(|range| format!("{}-{}", range.first, range.last)).collect();
    assert_eq!(cpu_lists::parse(written.join(",").as_bytes()), Ok(ranges));
}

/// ID maps: one item for each line, none empty or beyond the last ID, and parsing reverses writing.
pub fn id_map(text: &[u8]) {
    let Ok(mappings) = id_maps::parse(text) else { return };
    assert_eq!(mappings.len(), text.lines().count());
    let mut written = String::new();
    for mapping in &mappings {
        assert!(mapping.count > 0 && mapping.inside.checked_add(mapping.count).is_some());
        written += &format!("{:10} {:10} {:10}\n", mapping.inside, mapping.outside, mapping.count);
    }
    assert_eq!(id_maps::parse(written.as_bytes()), Ok(mappings));
}

/// `/proc/PID/timens_offsets`: parsing reverses writing.
pub fn timens(text: &[u8]) {
    let Ok(offsets) = time_offsets::parse(text) else { return };
    let ((monotonic, monotonic_nanos), (boottime, boottime_nanos)) = (offsets.monotonic, offsets.boottime);
    let written =
        format!("monotonic  {monotonic:10} {monotonic_nanos:9}\nboottime   {boottime:10} {boottime_nanos:9}\n");
    assert_eq!(time_offsets::parse(written.as_bytes()), Ok(offsets));
}

/// The kernel's BTF: whatever it says, the programs of the kernel reader have some size or there are none.
pub fn btf(bytes: &[u8]) {
    crate::kernel_reader::check(bytes);
}

/// The messages of the process connector: what follows one says nothing of it.
pub fn connector(bytes: &[u8]) {
    use crate::events::parse_message;
    if let Some(message) = parse_message(bytes) {
        assert_eq!(parse_message(&[bytes, b"x"].concat()), Some(message));
    }
}

/// `/proc/PID/fdinfo/FD`: no more files than slots.
pub fn fdinfo(text: &[u8]) {
    let Ok(info) = fdinfos::parse(text) else { return };
    if let Some(files) = info.registered_files {
        assert!(files.at_most() <= files.slots);
    }
}

/// The freezer files of control groups: a text is valid for at most one kind of file. Also parses a limit, which can be any
/// number.
pub fn cgroup_files(text: &[u8]) {
    let of_period = freezers::bound(text, Some(b"1000000"));
    if let (Ok(plain), Ok(freezers::Bound::At(number))) = (freezers::bound(text, None), of_period) {
        assert_eq!(plain, freezers::Bound::At(number));
    }
    let events = freezers::events_frozen(text);
    let flag = freezers::flag(text);
    let state = freezers::freezer_state(text);
    assert!(u8::from(flag.is_ok()) + u8::from(state.is_ok()) + u8::from(matches!(events, Ok(Some(_)))) <= 1);
}

/// `/proc/PID/maps`: the text contains each file that is found, and the wanted device number. Also parses the mount ID
/// of an fdinfo, which can be any number.
pub fn maps(text: &[u8]) {
    for (major, minor) in [(0, 31), (254, 0), (0, 0)] {
        for mapping in mappings::on(text, |on| on == DeviceNumber { major, minor }).flatten() {
            let (from, to) = mapping.addresses;
            assert!([from, to, mapping.inode, mapping.path].iter().all(|part| text.contains_str(part)));
            assert!(!mapping.path.contains(&b'\n'));
            // Numbers can have leading zeros.
            let has_number = |field: &[u8]| {
                let number = |text: &[u8]| u32::from_str_radix(text.to_str().ok()?, 16).ok();
                field.split_once_str(":").is_some_and(|(a, b)| (number(a), number(b)) == (Some(major), Some(minor)))
            };
            assert!(text.split(|&byte| byte == b' ' || byte == b'\n').any(has_number));
        }
    }
    assert!(mappings::segments(text).count() <= text.lines().count());
    assert!(mappings::attaches(text).count() <= text.lines().count());
    let _ = fdinfos::mount_id(text);
    let _ = fdinfos::may_be_probe(text);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Calls all parsers.
    fn check(text: &[u8]) {
        for parser in [stat, status, links, mountinfo, cgroup, cpulist, id_map, timens, fdinfo, cgroup_files, maps] {
            parser(text);
        }
    }

    /// One text of each kind to mutate; `fuzz/seeds` has more.
    const SEEDS: [&[u8]; 11] = [
        b"1 (a) b\n) S 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 \
            37 38 39 40 41 42\n",
        b"Name:\ta\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t1\nPid:\t1\nPPid:\t0\nGid:\t0\t1\t2\t3\nGroups:\t1 2 \n\
            SigPnd:\t0\nShdPnd:\t0\nSigBlk:\tff\nUid:\t0\t1\t2\t3\nNSpid:\t1\t2\nCapInh:\t00\nCapPrm:\t01\nCapEff:\tff\nCapBnd:\t0\nCapAmb:\t0\n\
            Cpus_allowed_list:\t0-1\n",
        b"net:[4026531840]",
        b"1 2 0:3 /a\\040b / rw shared:1 master:2 - ext4 /dev/vda rw\n4 1 0:4 net:[1] /x rw - nsfs  rw\n",
        b"1:cpu,cpuacct:/a:b\n0::/c\n",
        b"0-3,8,10-11\n",
        b"0 1000 1\n1 100000 65536\n",
        b"monotonic -5 1\nboottime 7 0\n",
        b"pos:\t0\nscm_fds: 1\nUserFiles:\t3\n    0: a\n    1: <none>\nUserBufs:\t1\n    0: 0x0/1\n",
        b"populated 1\nfrozen 0\n",
        b"55-56 r--p 0 fe:00 1234         /usr/bin/a b\n7-8 rw-p 0 00:00 0 \n9-a r--s 1 00:1f 7 /x\\012y (deleted)\n",
    ];

    #[test]
    fn the_seeds() {
        SEEDS.into_iter().for_each(check);
    }

    proptest! {
        #[test]
        fn any_bytes(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            check(&text);
        }

        #[test]
        fn bytes_that_kernel_text_has(text in "[0-9:/()\\[\\]\\- \t\n\\\\a-c]{0,200}") {
            check(text.as_bytes());
        }

        #[test]
        fn kernel_text_with_a_change(
            seed in 0..SEEDS.len(),
            at in any::<prop::sample::Index>(),
            remove in 0..4usize,
            insert in proptest::collection::vec(
                prop_oneof![Just(b' '), Just(b'\n'), Just(b'9'), Just(b':'), Just(b')'), Just(b'\\'), any::<u8>()], 0..4),
        ) {
            let mut text = SEEDS[seed].to_vec();
            let at = at.index(text.len());
            let end = text.len().min(at + remove);
            text.splice(at..end, insert);
            check(&text);
        }
    }
}
