//! An image without a registry: busybox, in a root directory and in an archive that each engine takes.

use std::fs;
use std::path::{Path, PathBuf};

use super::host::succeeds;

/// What the image is called.
pub(super) const NAME: &str = "localhost/lxkns-test:1";

fn busybox() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap();
    std::env::split_paths(&path).map(|directory| directory.join("busybox")).find(|file| file.is_file()).unwrap()
}

/// Makes a root directory with busybox, and returns it.
pub(super) fn root(at: &str) -> PathBuf {
    let root = PathBuf::from(at);
    for directory in ["bin", "etc", "proc", "sys", "dev", "tmp", "run", "root", "sbin", "usr/bin", "var"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    fs::copy(busybox(), root.join("bin/busybox")).unwrap();
    for applet in ["sh", "sleep", "ls", "cat", "ps", "ip", "netstat", "hostname", "true", "mount", "id"] {
        fs::hard_link(root.join("bin/busybox"), root.join("bin").join(applet)).unwrap();
    }
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.join("etc/group"), "root:x:0:\n").unwrap();
    fs::write(root.join("etc/os-release"), "ID=lxkns-test\n").unwrap();
    root
}

/// Makes a root directory with one program of busybox's, and nothing else, and returns it.
pub(super) fn one_program(at: &str, name: &str) -> PathBuf {
    let root = PathBuf::from(at);
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::copy(busybox(), root.join(name)).unwrap();
    root
}

/// Makes the archive, and returns its path.
pub(super) fn archive() -> String {
    archive_of(&root("/run/image/root"))
}

/// Makes an archive of a root directory, in the form of `docker save`, and returns its path.
pub(super) fn archive_of(root: &Path) -> String {
    let directory = "/run/image";
    let layer = format!("{directory}/layer.tar");
    succeeds("tar", &["--create", "--file", &layer, "--directory", root.to_str().unwrap(), "."]);
    let sum = succeeds("sha256sum", &[&layer]);
    let sum = sum.split(' ').next().unwrap();
    let config = serde_json::json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux",
        "config": { "Env": ["PATH=/sbin:/bin:/usr/bin"], "Cmd": ["/bin/sleep", "inf"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{sum}")] },
    });
    let manifest = serde_json::json!([{ "Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"] }]);
    fs::write(format!("{directory}/config.json"), config.to_string()).unwrap();
    fs::write(format!("{directory}/manifest.json"), manifest.to_string()).unwrap();
    let archive = format!("{directory}.tar");
    succeeds(
        "tar",
        &["--create", "--file", &archive, "--directory", directory, "manifest.json", "config.json", "layer.tar"],
    );
    archive
}
