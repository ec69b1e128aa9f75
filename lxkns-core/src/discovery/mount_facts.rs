//! Facts about one mount: from a line of mountinfo, or from `statmount(2)`.

use bstr::BString;
use rustix::io::Errno;

use lxkns_sys::{MountFacts, StatmountMask};

use crate::model::Texts;
use crate::model::{DeviceNumber, Mount, Propagation, SharedText};
use crate::procfs::parse::mountinfo::MountInfo;

/// A mount from mountinfo. `point` is its mount point, from the root of the mount namespace.
pub(super) fn of_mountinfo(texts: &mut Texts, info: &MountInfo<'_>, point: Option<SharedText>) -> Mount {
    Mount {
        id: info.mount_id,
        parent_id: info.parent_id,
        file_system: info.file_system,
        root: texts.shared(&info.root()),
        point,
        options: texts.shared(info.mount_options),
        propagation: Propagation {
            shared: info.shared,
            master: info.master,
            propagate_from: info.propagate_from,
            unbindable: info.unbindable,
        },
        fs_type: texts.shared(&info.fs_type()),
        source: Some(texts.shared(&info.source())),
        super_options: Some(texts.shared(info.super_options)),
        hidden: false,
    }
}

/// The answer of statmount about a mount; `None` if its ID is known already.
pub(super) fn statmount(
    mount_ns: u64,
    id: u64,
    buffer: &mut Vec<u64>,
    is_known: impl Fn(u64) -> bool,
) -> Result<Option<MountFacts>, Errno> {
    let facts = lxkns_sys::statmount(mount_ns, id, StatmountMask::MNT_BASIC, buffer)?;
    if facts.mountinfo_ids.is_some_and(|(id, _)| is_known(id.into())) {
        return Ok(None);
    }
    let all = StatmountMask::MNT_BASIC
        | StatmountMask::SB_BASIC
        | StatmountMask::MNT_ROOT
        | StatmountMask::MNT_POINT
        | StatmountMask::FS_TYPE
        | StatmountMask::FS_SUBTYPE
        | StatmountMask::MNT_OPTS
        | StatmountMask::SB_SOURCE
        | StatmountMask::SUPPORTED_MASK;
    lxkns_sys::statmount(mount_ns, id, all, buffer).map(Some)
}

/// A mount from statmount; `None` if the answer lacks a field that each mount has.
pub(super) fn of_facts(texts: &mut Texts, facts: MountFacts) -> Option<Mount> {
    // A field that the kernel supports and left out is empty.
    let knows = |fact| facts.supported.is_some_and(|supported| supported.contains(fact));
    let or_empty = |text: Option<Vec<u8>>, fact| text.or_else(|| knows(fact).then(Vec::new));
    let flags = facts.flags?;
    let (major, minor) = facts.device?;
    let (id, parent_id) = facts.mountinfo_ids?;
    let source = or_empty(facts.source, StatmountMask::SB_SOURCE);
    let super_options = or_empty(facts.options, StatmountMask::MNT_OPTS).zip(facts.sb_flags);
    let mut fs_type = facts.fs_type?;
    if let Some(subtype) = facts.fs_subtype.filter(|subtype| !subtype.is_empty()) {
        fs_type.push(b'.');
        fs_type.extend_from_slice(&subtype);
    }
    let group = |number: u64| u32::try_from(number).ok().filter(|&number| number != 0);
    Some(Mount {
        id: id.into(),
        parent_id: parent_id.into(),
        file_system: DeviceNumber { major, minor },
        root: texts.shared(&facts.root?),
        point: facts.point.filter(|point| !point.is_empty()).map(|point| texts.shared(&point)),
        options: texts.shared(mount_options(flags.attributes).as_bytes()),
        propagation: Propagation {
            shared: group(flags.peer_group),
            master: group(flags.master),
            // The kernel gives this as the calling process sees it, which is in another mount namespace.
            propagate_from: None,
            unbindable: flags.propagation & MS_UNBINDABLE != 0,
        },
        fs_type: texts.shared(&fs_type),
        source: source.map(|source| texts.shared(&source)),
        super_options: super_options.map(|(options, flags)| texts.shared(&super_options_of(flags, &options))),
        hidden: false,
    })
}

const MS_UNBINDABLE: u64 = 1 << 17;

/// The options of a mount in mountinfo's words and order.
fn mount_options(attributes: u64) -> String {
    const ACCESS_TIME: u64 = 0x70;
    const NOATIME: u64 = 0x10;
    let has = |flag: u64, word: &'static str| if attributes & flag != 0 { word } else { "" };
    [
        if attributes & 0x1 != 0 { "ro" } else { "rw" },
        has(0x2, ",nosuid"),
        has(0x4, ",nodev"),
        has(0x8, ",noexec"),
        if attributes & ACCESS_TIME == NOATIME { ",noatime" } else { "" },
        has(0x80, ",nodiratime"),
        if attributes & ACCESS_TIME == 0 { ",relatime" } else { "" },
        has(0x20_0000, ",nosymfollow"),
        has(0x10_0000, ",idmapped"),
    ]
    .concat()
}

/// The options of a file system as mountinfo has them: those that are flags come first.
fn super_options_of(flags: u32, options: &[u8]) -> BString {
    let words = [(0x10, ",sync"), (0x80, ",dirsync"), (0x40, ",mand"), (1 << 25, ",lazytime")];
    let mut text = BString::from(if flags & 1 != 0 { "ro" } else { "rw" });
    for (flag, word) in words {
        if flags & flag != 0 {
            text.extend_from_slice(word.as_bytes());
        }
    }
    if !options.is_empty() {
        text.push(b',');
        text.extend_from_slice(options);
    }
    text
}

#[cfg(test)]
mod tests {
    use bstr::BStr;

    use super::*;

    #[test]
    fn options_have_mountinfos_words_and_order() {
        assert_eq!(mount_options(0), "rw,relatime");
        assert_eq!(mount_options(0x20), "rw");
        assert_eq!(
            mount_options(0x1 | 0x2 | 0x4 | 0x8 | 0x10 | 0x80 | 0x20_0000 | 0x10_0000),
            "ro,nosuid,nodev,noexec,noatime,nodiratime,nosymfollow,idmapped"
        );
        assert_eq!(super_options_of(0, b""), "rw");
        assert_eq!(super_options_of(1 | 0x10 | 0x80 | 1 << 25, b"size=4k"), "ro,sync,dirsync,lazytime,size=4k");
    }

    #[test]
    fn what_statmount_leaves_out_is_empty_only_where_it_knows_of_it() {
        let facts = |supported| MountFacts {
            device: Some((0, 5)),
            sb_flags: Some(1),
            flags: Some(lxkns_sys::MountFlags { peer_group: 4, ..Default::default() }),
            mountinfo_ids: Some((7, 6)),
            fs_type: Some(b"fuse".to_vec()),
            fs_subtype: Some(b"x".to_vec()),
            root: Some(b"/".to_vec()),
            point: Some(Vec::new()),
            supported,
            ..Default::default()
        };
        let mut texts = Texts::default();
        let known = of_facts(&mut texts, facts(Some(StatmountMask::SB_SOURCE | StatmountMask::MNT_OPTS))).unwrap();
        assert_eq!(known.source.as_deref(), Some(BStr::new("")));
        assert_eq!(known.super_options.as_deref(), Some(BStr::new("ro")));
        assert_eq!((&**known.fs_type, known.path(), known.propagation.shared), (&b"fuse.x"[..], None, Some(4)));
        let unknown = of_facts(&mut texts, facts(None)).unwrap();
        assert_eq!((unknown.source, unknown.super_options), (None, None));
    }
}
