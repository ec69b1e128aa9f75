//! `lxknsd`: see the library.

#![forbid(unsafe_code)]

/// Where there is none left, the program says so and ends.
#[global_allocator]
static MEMORY: lxkns_sys::Memory = lxkns_sys::Memory;

fn main() -> std::process::ExitCode {
    lxkns_serve::run()
}
