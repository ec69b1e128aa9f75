//! Mounts.

use std::collections::BTreeMap;

use bstr::BString;

use super::{Reader, invalid};
use crate::CompactSort as _;
use crate::texts::Texts;
use crate::wire::form::{self, Mounts};
use crate::wire::{Error, text};
use crate::{DeviceNumber, Mount, NamespaceId, Propagation};

impl Reader {
    /// The mounts of all mount namespaces: those in the tree that all readers know, and others.
    pub(super) fn mounts(
        &self,
        by_path: Mounts,
        others: BTreeMap<u64, Vec<form::Mount>>,
    ) -> Result<BTreeMap<NamespaceId, Vec<Mount>>, Error> {
        let mut texts = Texts::default();
        let mut lists: BTreeMap<NamespaceId, Vec<Mount>> = BTreeMap::new();
        for (ino, paths) in by_path {
            let list = lists.entry(self.checked_id("mount namespace", ino)?).or_default();
            for (path, node) in paths {
                for form in node.mounts.into_iter().flatten() {
                    list.push(mount(&mut texts, form, Some(&path))?);
                }
            }
        }
        for (ino, mounts) in others {
            let list = lists.entry(self.checked_id("mount namespace", ino)?).or_default();
            for form in mounts {
                list.push(mount(&mut texts, form, None)?);
            }
        }
        lists.values_mut().for_each(|list| list.compact_sort_by_key(|mount| mount.id));
        Ok(lists)
    }
}

fn mount(texts: &mut Texts, form: form::Mount, path: Option<&String>) -> Result<Mount, Error> {
    let missing = |key: &str| invalid(&format!("a mount without {key}"));
    let mut escaped = |text: Option<&String>| texts.shared(&text.map(|text| text::unescape(text)).unwrap_or_default());
    let point = form.mountpoint.as_ref().or(path).map(|point| escaped(Some(point)));
    let root = escaped(form.root.as_ref());
    let fs_type = escaped(form.fstype.as_ref());
    let source = (form.source_unknown != Some(true)).then(|| escaped(form.source.as_ref()));
    let options: Vec<_> = form.mountoptions.iter().flatten().map(|option| text::unescape(option)).collect();
    let options = texts.shared(&bstr::join(",", options));
    let super_options = match (form.superoptions_escaped, form.superoptions) {
        (Some(escaped), _) => Some(text::unescape(&escaped)),
        (None, Some(plain)) => Some(BString::from(plain)),
        (None, None) => None,
    };
    Ok(Mount {
        id: form.mountid.ok_or_else(|| missing("mountid"))?,
        parent_id: form.parentid.ok_or_else(|| missing("parentid"))?,
        file_system: DeviceNumber {
            major: form.major.ok_or_else(|| missing("major"))?,
            minor: form.minor.ok_or_else(|| missing("minor"))?,
        },
        root,
        point,
        options,
        propagation: propagation(&form.tags.unwrap_or_default())?,
        fs_type,
        source,
        super_options: super_options
            .filter(|_| form.superoptions_unknown != Some(true))
            .map(|options| texts.shared(&options)),
        hidden: form.hidden.unwrap_or(false),
    })
}

/// Tags that a newer kernel has are left out.
fn propagation(tags: &BTreeMap<String, String>) -> Result<Propagation, Error> {
    let group = |tag: &str| match tags.get(tag).map(|number| number.parse()) {
        Some(Ok(group)) => Ok(Some(group)),
        Some(Err(_)) => Err(invalid(&format!("the tag {tag} of a mount is not a number"))),
        None => Ok(None),
    };
    Ok(Propagation {
        shared: group("shared")?,
        master: group("master")?,
        propagate_from: group("propagate_from")?,
        unbindable: tags.contains_key("unbindable"),
    })
}
