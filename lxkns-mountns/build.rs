//! Builds the helper program that the library contains.

use std::env;
use std::path::PathBuf;
use std::process::Command;

#[path = "helper/link.rs"]
mod link;

/// The architectures that the helper supports.
const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

fn main() {
    for source in ["build.rs", "helper", "src/protocol.rs"] {
        println!("cargo:rerun-if-changed={source}");
    }
    println!("cargo:rustc-check-cfg=cfg(carries_helper)");
    let architecture = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let system = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    if system != "linux" || !ARCHITECTURES.contains(&architecture.as_str()) {
        println!("cargo:warning=there is no helper for {architecture}-{system}, so that none is carried inside");
        return;
    }
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("mntnssandbox");
    let mut command = Command::new(env::var_os("RUSTC").expect("cargo sets it"));
    command
        .args(["--crate-name=mntnssandbox", "--crate-type=bin", "--edition=2024"])
        .arg(format!("--target={}", env::var("TARGET").expect("cargo sets it")))
        .args(["-Copt-level=s", "-Cpanic=abort", "-Clto=fat", "-Ccodegen-units=1", "-Crelocation-model=static"])
        .args(link::LINK_ARGS.map(|arg| format!("-Clink-arg={arg}")))
        .arg("-o")
        .arg(&out)
        .arg("helper/main.rs");
    if env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|environment| environment == "musl") {
        // The musl target adds its own start files.
        command.arg("-Clink-self-contained=no");
    }
    if let Some(linker) = env::var_os("RUSTC_LINKER") {
        let mut option = std::ffi::OsString::from("-Clinker=");
        option.push(linker);
        command.arg(option);
    }
    match command.status() {
        Ok(status) if status.success() => println!("cargo:rustc-cfg=carries_helper"),
        Ok(status) => panic!("{command:?}: {status}"),
        Err(error) => panic!("{command:?}: {error}"),
    }
}
