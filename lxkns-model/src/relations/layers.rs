//! The directories that an overlay is made of, by its options.

use bstr::{BString, ByteSlice as _};

use crate::Mount;
use crate::octal::unescape_octal;

/// What a directory is for an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerRole {
    /// What is in it is seen, and not changed.
    Lower,
    /// What is written goes into it.
    Upper,
    /// The kernel uses it while it writes.
    Work,
}

/// The directories that an overlay is made of, each with its path as it was given to `mount(2)`, which may be relative.
pub fn overlay_layers(mount: &Mount) -> impl Iterator<Item = (LayerRole, BString)> + '_ {
    const OPTIONS: [&[u8]; 5] = [b"lowerdir", b"lowerdir+", b"datadir+", b"upperdir", b"workdir"];
    option_values(mount, &OPTIONS).flat_map(|(name, value)| {
        let (role, paths) = match name {
            b"lowerdir" => (LayerRole::Lower, lower_directories(&value)),
            b"upperdir" => (LayerRole::Upper, vec![value]),
            b"workdir" => (LayerRole::Work, vec![value]),
            _ => (LayerRole::Lower, vec![value]),
        };
        paths.into_iter().filter(|path| !path.is_empty()).map(move |path| (role, path))
    })
}

/// The unescaped values of these options of a file system.
pub fn option_values<'a>(mount: &'a Mount, names: &'a [&[u8]]) -> impl Iterator<Item = (&'a [u8], BString)> {
    let options: &[u8] = mount.super_options.as_deref().map_or(b"", |options| options.as_bytes());
    options.split_str(",").filter_map(move |option| {
        let (name, value) = option.split_once_str("=")?;
        names.contains(&name).then(|| (name, unescape_octal(value).into_owned().into()))
    })
}

/// `a:b::c`: directories between colons; a backslash escapes the character after it.
fn lower_directories(text: &[u8]) -> Vec<BString> {
    let (mut all, mut one, mut escaped) = (Vec::new(), BString::default(), false);
    for &byte in text {
        match byte {
            b'\\' if !escaped => escaped = true,
            b':' if !escaped => all.push(std::mem::take(&mut one)),
            _ => {
                one.push(byte);
                escaped = false;
            }
        }
    }
    all.push(one);
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DeviceNumber;

    #[test]
    fn lower_directories_are_between_colons() {
        assert_eq!(lower_directories(br"/a:/b\:c::/d"), ["/a", "/b:c", "", "/d"]);
    }

    #[test]
    fn layers_have_roles() {
        let device = DeviceNumber { major: 0, minor: 9 };
        let mut mount = Mount::new(1, 1, device, "overlay", Some("/m"));
        mount.super_options =
            Some(Mount::new(1, 1, device, r"rw,lowerdir=/a:b,upperdir=/u\054,workdir=/w", None).fs_type);
        let layers: Vec<_> = overlay_layers(&mount).collect();
        let expected =
            [(LayerRole::Lower, "/a"), (LayerRole::Lower, "b"), (LayerRole::Upper, "/u,"), (LayerRole::Work, "/w")];
        assert_eq!(layers, expected.map(|(role, path)| (role, BString::from(path))));
    }
}
