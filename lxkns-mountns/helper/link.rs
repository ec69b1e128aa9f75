/// What the linker is told: no C runtime, nothing shared, one load segment less, nothing that only a debugger or an
/// unwinder reads. Whoever builds the helper includes this file.
pub(crate) const LINK_ARGS: [&str; 11] = [
    "-nostartfiles",
    "-nostdlib",
    "-static",
    "-no-pie",
    "-Wl,--build-id=none",
    "-Wl,-z,noseparate-code",
    "-Wl,-z,norelro",
    "-Wl,-z,noexecstack",
    "-Wl,--no-eh-frame-hdr",
    "-Wl,--gc-sections",
    "-Wl,--strip-all",
];
