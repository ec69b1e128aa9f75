//! The image of the service, from nothing: one program, with the capabilities that its file permits, in one layer.
//!
//! One archive is both an OCI image layout and what `docker load` of every version takes: `manifest.json` names the same
//! blobs as `index.json`. Nothing of the host is in it, so the same program gives the same bytes.

use std::collections::BTreeMap;

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tar::{Builder, EntryType, Header};

use super::{archive, date, hexadecimal};

/// What the image is called.
pub(crate) const NAME: &str = "localhost/lxknsd";

/// The user and group that it runs as: nobody's on any host.
const USER: u64 = 65_532;

/// The capabilities that the program may be given, as `linux/capability.h` numbers them. Its file only permits them: one
/// that makes them effective cannot be run where the container lacks one.
const CAPABILITIES: [u32; 8] = [
    1,  // CAP_DAC_OVERRIDE
    2,  // CAP_DAC_READ_SEARCH
    12, // CAP_NET_ADMIN
    18, // CAP_SYS_CHROOT
    19, // CAP_SYS_PTRACE
    21, // CAP_SYS_ADMIN
    38, // CAP_PERFMON
    39, // CAP_BPF
];

/// What an image is made of.
pub(super) struct Image<'a> {
    pub(super) program: &'a [u8],
    pub(super) licence: &'a [u8],
    pub(super) version: &'a str,
    /// Go's name of the architecture, which is Debian's.
    pub(super) architecture: &'a str,
    pub(super) summary: &'a str,
    pub(super) epoch: u64,
}

/// Packs it.
pub(super) fn pack(image: &Image<'_>) -> anyhow::Result<Vec<u8>> {
    let layer = layer(image)?;
    let diff_id = digest(&layer);
    let layer = archive::gzip(&layer)?;
    let created = date::rfc_3339(image.epoch);
    let tag = format!("{NAME}:{}", image.version);
    let labels = json!({
        "org.opencontainers.image.title": "lxknsd",
        "org.opencontainers.image.description": image.summary,
        "org.opencontainers.image.version": image.version,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.created": created,
    });
    let config = json!({
        "created": created,
        "architecture": image.architecture,
        "os": "linux",
        "config": {
            "User": format!("{USER}:{USER}"),
            "Entrypoint": ["/lxknsd"],
            "WorkingDir": "/",
            "Labels": labels,
        },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{diff_id}")] },
        "history": [{ "created": created, "created_by": "cargo xtask dist", "comment": "one static program" }],
    })
    .to_string()
    .into_bytes();
    let described = |kind: &str, bytes: &[u8]| json!({ "mediaType": kind, "digest": format!("sha256:{}", digest(bytes)), "size": bytes.len() });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": described("application/vnd.oci.image.config.v1+json", &config),
        "layers": [described("application/vnd.oci.image.layer.v1.tar+gzip", &layer)],
        "annotations": labels,
    })
    .to_string()
    .into_bytes();
    let mut of_index = described("application/vnd.oci.image.manifest.v1+json", &manifest);
    of_index["platform"] = json!({ "architecture": image.architecture, "os": "linux" });
    of_index["annotations"] = json!({
        "io.containerd.image.name": tag,
        "org.opencontainers.image.ref.name": image.version,
    });
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [of_index],
    });
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", digest(bytes));
    let of_docker = json!([{ "Config": blob(&config), "RepoTags": [tag], "Layers": [blob(&layer)] }]);
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    files.insert("index.json".to_owned(), index.to_string().into_bytes());
    files.insert("manifest.json".to_owned(), of_docker.to_string().into_bytes());
    files.insert("oci-layout".to_owned(), json!({ "imageLayoutVersion": "1.0.0" }).to_string().into_bytes());
    for bytes in [config, manifest, layer] {
        files.insert(blob(&bytes), bytes);
    }
    let mut tar = Builder::new(Vec::new());
    let mut append = |path: &str, kind: EntryType, mode: u32, bytes: &[u8]| {
        archive::append_file(&mut tar, Header::new_ustar(), path, kind, mode, bytes, image.epoch)
    };
    for directory in ["blobs/", "blobs/sha256/"] {
        append(directory, EntryType::Directory, 0o755, &[])?;
    }
    for (path, bytes) in &files {
        append(path, EntryType::Regular, 0o644, bytes)?;
    }
    Ok(tar.into_inner()?)
}

/// The files of the container: the program, and directories that engines mount on, which can be read-only then.
fn layer(image: &Image<'_>) -> anyhow::Result<Vec<u8>> {
    let mut tar = Builder::new(Vec::new());
    let mut append = |path: &str, kind: EntryType, mode: u32, bytes: &[u8]| {
        archive::append_file(&mut tar, Header::new_ustar(), path, kind, mode, bytes, image.epoch)
    };
    for directory in ["dev/", "etc/", "proc/", "run/", "sys/", "usr/", "usr/share/", "usr/share/licenses/"] {
        append(directory, EntryType::Directory, 0o755, &[])?;
    }
    let attribute = record("SCHILY.xattr.security.capability", &capabilities());
    append("PaxHeaders/lxknsd", EntryType::XHeader, 0o644, &attribute)?;
    append("lxknsd", EntryType::Regular, 0o755, image.program)?;
    append("usr/share/licenses/LICENSE", EntryType::Regular, 0o644, image.licence)?;
    Ok(tar.into_inner()?)
}

/// A record of a PAX header: its own length, a blank, the name, `=`, the value, a newline.
fn record(name: &str, value: &[u8]) -> Vec<u8> {
    let rest = name.len() + value.len() + 3;
    // The length counts its own digits.
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [format!("{length} {name}=").as_bytes(), value, b"\n"].concat()
}

/// The value of `security.capability`: `struct vfs_cap_data` of `linux/capability.h`, version 2, without the flag that makes
/// them effective.
fn capabilities() -> Vec<u8> {
    const VERSION_2: u32 = 0x0200_0000;
    let permitted = CAPABILITIES.iter().fold(0_u64, |bits, number| bits | 1 << number);
    let [low, high] = [permitted as u32, (permitted >> 32) as u32];
    [VERSION_2, low, 0, high, 0].into_iter().flat_map(u32::to_le_bytes).collect()
}

fn digest(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use serde_json::Value;

    use super::*;

    fn example() -> Image<'static> {
        Image {
            program: b"\x7fELF",
            licence: b"text",
            version: "1.2.3",
            architecture: "amd64",
            summary: "Serves namespaces",
            epoch: 86_400,
        }
    }

    fn files(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(bytes);
        let mut files = BTreeMap::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            files.insert(entry.path().unwrap().display().to_string(), bytes);
        }
        files
    }

    #[test]
    fn each_digest_leads_to_its_blob() {
        let packed = pack(&example()).unwrap();
        assert_eq!(packed, pack(&example()).unwrap());
        let files = files(&packed);
        let blob = |digest: &Value| {
            let digest = digest.as_str().unwrap().strip_prefix("sha256:").unwrap();
            let bytes = &files[&format!("blobs/sha256/{digest}")];
            assert_eq!(super::digest(bytes), digest);
            bytes
        };
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        let index = json(&files["index.json"]);
        let manifest = json(blob(&index["manifests"][0]["digest"]));
        let config = json(blob(&manifest["config"]["digest"]));
        let layer = blob(&manifest["layers"][0]["digest"]);
        assert_eq!(manifest["layers"][0]["size"], layer.len());
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(layer.as_slice()).read_to_end(&mut unpacked).unwrap();
        assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", digest(&unpacked)));
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["created"], "1970-01-02T00:00:00Z");
        let of_docker = json(&files["manifest.json"]);
        assert_eq!(json(&files[of_docker[0]["Config"].as_str().unwrap()]), config);
        assert_eq!(&files[of_docker[0]["Layers"][0].as_str().unwrap()], layer);
        assert_eq!(of_docker[0]["RepoTags"][0], "localhost/lxknsd:1.2.3");
    }

    #[test]
    fn the_program_has_permitted_capabilities_alone() {
        let layer = layer(&example()).unwrap();
        let mut archive = tar::Archive::new(layer.as_slice());
        let mut found = None;
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!((entry.header().uid().unwrap(), entry.header().mtime().unwrap()), (0, 86_400));
            if entry.path_bytes() == b"lxknsd".as_slice() {
                let extensions = entry.pax_extensions().unwrap().unwrap();
                let all: Vec<_> = extensions.map(|one| one.unwrap()).map(|one| one.value_bytes().to_vec()).collect();
                found = Some(all);
            }
        }
        // What setcap writes for `cap_dac_override,cap_dac_read_search,cap_net_admin,cap_sys_chroot,cap_sys_ptrace,
        // cap_sys_admin,cap_perfmon,cap_bpf=p`.
        let expected = [0, 0, 0, 2, 0x06, 0x10, 0x2c, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(found, Some(vec![expected.to_vec()]));
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record("a", b"b"), b"6 a=b\n");
        // With two digits it is one longer.
        assert_eq!(record("abc", b"1234"), b"12 abc=1234\n");
        for length in 0..2000 {
            let record = record("name", &vec![b'x'; length]);
            let said: usize = std::str::from_utf8(&record).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, record.len());
        }
    }
}
