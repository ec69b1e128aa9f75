//! The packages and the image of the service.

use anyhow::Context as _;

use super::image::{self, Image};
use super::tree::Tree;
use super::{DESCRIPTION_OF_SERVICE, Package, Release, archive};

/// A line for lists of packages.
const SYNOPSIS: &str = "Serves the Linux kernel namespaces of a host over HTTP";

/// Its package: the program, its units, and what else deploys it, to be read.
pub(super) fn package<'a>(loose: &'a Tree) -> anyhow::Result<Package<'a>> {
    let mut data = Tree::default();
    data.copy("usr/sbin/lxknsd", loose, "lxknsd")?;
    for unit in ["lxknsd.service", "lxknsd.socket"] {
        data.copy(&format!("usr/lib/systemd/system/{unit}"), loose, &format!("deploy/systemd/{unit}"))?;
    }
    data.copy("usr/lib/sysusers.d/lxknsd.conf", loose, "deploy/systemd/lxknsd.sysusers")?;
    for (page, file) in loose.below("man/man8") {
        data.add(format!("usr/share/man/man8/{page}.gz"), archive::gzip(&file.bytes)?);
    }
    data.copy("usr/share/doc/lxknsd/service.md", loose, "docs/service.md")?;
    data.copy_below("usr/share/doc/lxknsd/deploy", loose, "deploy");
    data.copy_below("usr/share/doc/lxknsd/notices", loose, "notices");
    Ok(Package {
        name: "lxknsd",
        synopsis: SYNOPSIS.to_owned(),
        description: DESCRIPTION_OF_SERVICE,
        data,
        loose,
        zsh: None,
        overrides: OVERRIDES,
        scripts: SCRIPTS,
    })
}

/// Its image.
pub(super) fn image(release: &Release, loose: &Tree, architecture: &str) -> anyhow::Result<Vec<u8>> {
    let file = |path: &str| {
        let found = loose.files().find(|(known, _)| *known == path).map(|(_, file)| file.bytes.as_slice());
        found.with_context(|| format!("there is no {path} to be packed"))
    };
    image::pack(&Image {
        program: file("lxknsd")?,
        licence: file("LICENSE")?,
        version: &release.version,
        architecture,
        summary: SYNOPSIS,
        epoch: release.epoch,
    })
}

const OVERRIDES: &str = "\
# It is no library but a static program: the image consists of the same one.
lxknsd: shared-library-lacks-prerequisites [usr/sbin/lxknsd]
# It reads YAML with a library in Rust, whose messages are those of libyaml.
lxknsd: embedded-library libyaml [usr/sbin/lxknsd]
# Only where systemd runs, and what deb-systemd-helper does is not wanted: it is the administrator's to enable it.
lxknsd: maintainer-script-calls-systemctl
";

/// Of a host that systemd runs. A package of rpm needs none: there, systemd's own does the same for all.
const SCRIPTS: &[(&str, &str)] = &[
    (
        "postinst",
        "#!/bin/sh
set -e
if [ \"$1\" = configure ] && command -v systemd-sysusers >/dev/null; then
    systemd-sysusers lxknsd.conf
fi
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # What runs is started anew from the new file.
    systemctl try-restart lxknsd.service || true
fi
",
    ),
    (
        "prerm",
        "#!/bin/sh
set -e
if [ \"$1\" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now lxknsd.socket lxknsd.service || true
fi
",
    ),
    (
        "postrm",
        "#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
fi
",
    ),
];

#[cfg(test)]
mod tests {
    use super::super::{deb, example, rpm};
    use super::*;

    #[test]
    fn it_has_its_units_and_nothing_of_the_commands() {
        let release = Release::example();
        let loose = example();
        let package = package(&loose).unwrap();
        let paths: Vec<_> = package.data.files().map(|(path, _)| path).collect();
        for path in [
            "usr/sbin/lxknsd",
            "usr/lib/systemd/system/lxknsd.service",
            "usr/lib/systemd/system/lxknsd.socket",
            "usr/lib/sysusers.d/lxknsd.conf",
            "usr/share/man/man8/lxknsd.8.gz",
            "usr/share/doc/lxknsd/deploy/compose.yaml",
        ] {
            assert!(paths.contains(&path), "{path}: {paths:?}");
        }
        assert!(paths.iter().all(|path| path.contains("lxknsd")), "{paths:?}");
        deb::pack(&release, &package, "amd64").unwrap();
        let packed = rpm::pack(&release, &package, "x86_64").unwrap();
        let packed = ::rpm::Package::parse(&mut packed.as_slice()).unwrap();
        assert_eq!(packed.metadata.get_nevra().unwrap().to_string(), "lxknsd-1.2.3-1.x86_64");
    }
}
