//! `.rpm`, of the format that all versions of rpm since 4.14 can read.

use ::rpm::{BuildConfig, CompressionWithLevel, FileOptions, PackageBuilder};
use anyhow::Context;

use super::tree::Tree;
use super::{Package, REVISION, Release};

/// The version, in which a dash would begin the revision.
pub(super) fn version(release: &Release) -> String {
    release.version.replace('-', "~")
}

/// Packs what was built.
pub(super) fn pack(release: &Release, package: &Package<'_>, architecture: &str) -> anyhow::Result<Vec<u8>> {
    let name = package.name;
    let data = data(package)?;
    let epoch = u32::try_from(release.epoch).context("an .rpm has times before 2106")?;
    let config = BuildConfig::v4().compression(CompressionWithLevel::Zstd(19)).source_date(epoch);
    let mut builder = PackageBuilder::new(name, &version(release), "Apache-2.0", architecture, &package.synopsis);
    builder.using_config(config).release(REVISION).description(package.description).packager(&release.maintainer);
    // Not the name of the host.
    builder.build_host("localhost");
    for path in own_directories(&data, name) {
        builder.with_dir_entry(FileOptions::dir(format!("/{path}")).permissions(0o755))?;
    }
    for (path, file) in data.files() {
        let options = FileOptions::new(format!("/{path}")).permissions(file.permissions());
        let options = match kind(path) {
            Kind::Licence => options.license(),
            Kind::Document => options.doc(),
            Kind::Other => options,
        };
        builder.with_file_contents(file.bytes.clone(), options)?;
    }
    let mut packed = Vec::new();
    builder.build()?.write(&mut packed)?;
    Ok(packed)
}

/// The files, in Fedora's directories.
fn data(package: &Package<'_>) -> anyhow::Result<Tree> {
    let Package { name, loose, .. } = *package;
    let mut data = package.data.clone();
    if let Some([_, zsh]) = package.zsh {
        data.copy(&format!("{zsh}/_{name}"), loose, &format!("completions/_{name}"))?;
    }
    data.copy(&format!("usr/share/licenses/{name}/LICENSE"), loose, "LICENSE")?;
    data.rename(&format!("usr/share/doc/{name}/notices"), &format!("usr/share/licenses/{name}/notices"));
    data.copy(&format!("usr/share/doc/{name}/CHANGELOG.md"), loose, "CHANGELOG.md")?;
    Ok(data)
}

/// The directories that belong to this package alone and go with it: those called after it, and all below them.
fn own_directories<'a>(data: &'a Tree, name: &str) -> impl Iterator<Item = &'a str> {
    let (end, middle) = (format!("/{name}"), format!("/{name}/"));
    data.directories().into_iter().filter(move |path| path.ends_with(&end) || path.contains(&middle))
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Licence,
    Document,
    Other,
}

/// The attributes of a file in rpm.
fn kind(path: &str) -> Kind {
    match path {
        path if path.starts_with("usr/share/licenses/") => Kind::Licence,
        path if path.starts_with("usr/share/doc/") || path.starts_with("usr/share/man/") => Kind::Document,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_marked_as_what_they_are() {
        assert_eq!(kind("usr/bin/lxkns"), Kind::Other);
        assert_eq!(kind("usr/share/man/man1/lxkns.1.gz"), Kind::Document);
        assert_eq!(kind("usr/share/licenses/lxkns/LICENSE"), Kind::Licence);
    }

    #[test]
    fn directories_of_the_package_go_with_it() {
        let mut data = Tree::default();
        for path in ["usr/bin/lxkns", "usr/share/doc/lxkns/docs/guides/a.md", "usr/share/man/man1/lxkns.1.gz"] {
            data.add(path, "");
        }
        let own: Vec<_> = own_directories(&data, "lxkns").collect();
        assert_eq!(own, ["usr/share/doc/lxkns", "usr/share/doc/lxkns/docs", "usr/share/doc/lxkns/docs/guides"]);
    }

    #[test]
    fn it_says_what_it_should_and_nothing_of_the_host() {
        let release = Release::example();
        let loose = super::super::example();
        let package = Package::of_program(&release, &loose).unwrap();
        let packed = pack(&release, &package, "x86_64").unwrap();
        assert_eq!(packed, pack(&release, &package, "x86_64").unwrap());
        let package = ::rpm::Package::parse(&mut packed.as_slice()).unwrap();
        let metadata = &package.metadata;
        assert_eq!(metadata.get_nevra().unwrap().to_string(), "lxkns-1.2.3-1.x86_64");
        assert_eq!(metadata.get_build_host().unwrap(), "localhost");
        assert_eq!(metadata.get_build_time().unwrap(), 86_400);
        assert_eq!(metadata.get_packager().unwrap(), release.maintainer);
        let files = metadata.get_file_entries().unwrap();
        assert!(files.iter().all(|file| u32::from(file.modified_at()) == 86_400 && file.user() == "root"));
        let program = files.iter().find(|file| file.path().ends_with("usr/bin/lxkns")).unwrap();
        assert_eq!(program.mode().permissions(), 0o755);
    }
}
