//! `.deb`: an `ar` archive of two compressed tar archives; `deb(5)`.

use std::fmt::Write as _;

use ar::Header;
use md5::{Digest, Md5};

use super::tree::Tree;
use super::{Package, REVISION, Release, archive, date};

/// Packs what was built.
pub(super) fn pack(release: &Release, package: &Package<'_>, architecture: &str) -> anyhow::Result<Vec<u8>> {
    let Release { epoch, .. } = release;
    let data = data(release, package)?;
    let mut control = Tree::default();
    control.add("control", self::control(release, package, &data, architecture));
    control.add("md5sums", sums(&data));
    for (name, script) in package.scripts {
        control.add_program(*name, *script);
    }

    let mut packed = ar::Builder::new(Vec::new());
    for (name, bytes) in [
        ("debian-binary", b"2.0\n".to_vec()),
        ("control.tar.xz", archive::xz(&archive::tar(&control, ".", *epoch)?)?),
        ("data.tar.xz", archive::xz(&archive::tar(&data, ".", *epoch)?)?),
    ] {
        let mut header = Header::new(name.into(), bytes.len() as u64);
        header.set_mode(0o100_644);
        header.set_mtime(*epoch);
        packed.append(&header, bytes.as_slice())?;
    }
    Ok(packed.into_inner()?)
}

fn version(release: &Release) -> String {
    format!("{}-{REVISION}", release.version)
}

/// The files, in Debian's directories.
fn data(release: &Release, package: &Package<'_>) -> anyhow::Result<Tree> {
    let Release { version: upstream, maintainer, epoch, .. } = release;
    let Package { name, loose, .. } = *package;
    let mut data = package.data.clone();
    if let Some([zsh, _]) = package.zsh {
        data.copy(&format!("{zsh}/_{name}"), loose, &format!("completions/_{name}"))?;
    }
    let documents = format!("usr/share/doc/{name}");
    let (year, date) = date::of(*epoch);
    data.copy(&format!("{documents}/changelog"), loose, "CHANGELOG.md")?;
    data.add(format!("{documents}/copyright"), COPYRIGHT.replace("YEAR", &year.to_string()).replace("NAME", name));
    data.add(
        format!("{documents}/changelog.Debian"),
        format!(
            "{name} ({}) unstable; urgency=medium\n\n  * lxkns {upstream}.\n\n -- {maintainer}  {date}\n",
            version(release)
        ),
    );
    for document in ["changelog", "changelog.Debian", "notices/rust-standard-library.html"] {
        data.gzip(&format!("{documents}/{document}"))?;
    }
    data.add(format!("usr/share/lintian/overrides/{name}"), package.overrides);
    Ok(data)
}

fn control(release: &Release, package: &Package<'_>, data: &Tree, architecture: &str) -> String {
    let kilobytes: usize = data.files().map(|(_, file)| file.bytes.len().div_ceil(1024)).sum();
    format!(
        "Package: {}\nVersion: {}\nArchitecture: {architecture}\nMaintainer: {}\nInstalled-Size: {kilobytes}\n\
         Section: admin\nPriority: optional\nDescription: {}\n {}\n",
        package.name,
        version(release),
        release.maintainer,
        package.synopsis,
        package.description.replace('\n', "\n ")
    )
}

/// The sums by which `dpkg --verify` knows whether files have changed.
fn sums(data: &Tree) -> String {
    data.files().fold(String::new(), |mut sums, (path, file)| {
        let _ = writeln!(sums, "{}  {path}", super::hexadecimal(&Md5::digest(&file.bytes)));
        sums
    })
}

const COPYRIGHT: &str = "\
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: lxkns

Files: *
Copyright: YEAR the authors of lxkns
License: Apache-2.0
Comment:
 The programs are static. The notices of all that is linked into them are in
 /usr/share/doc/NAME/notices: crates, Rust's standard library, and the GNU C
 Library, which is under the LGPL-2.1+.

License: Apache-2.0
 On Debian systems, the text of the Apache License, Version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
";

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn it_is_what_dpkg_expects() {
        let release = Release::example();
        let loose = super::super::example();
        let package = Package::of_program(&release, &loose).unwrap();
        let deb = pack(&release, &package, "amd64").unwrap();
        assert_eq!(deb, pack(&release, &package, "amd64").unwrap());
        assert!(deb.starts_with(b"!<arch>\ndebian-binary   "));

        let mut members = ar::Archive::new(deb.as_slice());
        let mut names = Vec::new();
        while let Some(member) = members.next_entry() {
            let mut member = member.unwrap();
            let name = String::from_utf8(member.header().identifier().to_vec()).unwrap();
            let mut bytes = Vec::new();
            member.read_to_end(&mut bytes).unwrap();
            if name == "control.tar.xz" {
                let mut archive = tar::Archive::new(liblzma::read::XzDecoder::new(bytes.as_slice()));
                let mut texts = String::new();
                for entry in archive.entries().unwrap() {
                    entry.unwrap().read_to_string(&mut texts).unwrap();
                }
                assert!(texts.contains("Version: 1.2.3-1\nArchitecture: amd64\n"), "{texts}");
                assert!(texts.contains("\nDescription: Finds namespaces\n lxkns finds"), "{texts}");
                // The output of md5sum(1) for an ELF magic number.
                assert!(texts.contains("  usr/bin/lxkns\n"), "{texts}");
            }
            names.push(name);
        }
        assert_eq!(names, ["debian-binary", "control.tar.xz", "data.tar.xz"]);
    }
}
