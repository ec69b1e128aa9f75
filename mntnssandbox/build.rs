//! Tells cargo how to link a program without a C runtime.

#[path = "../lxkns-mountns/helper/link.rs"]
mod link;

fn main() {
    for arg in link::LINK_ARGS {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
    println!("cargo:rerun-if-changed=../lxkns-mountns/helper/link.rs");
}
