/// The linker arguments: no C runtime, no shared libraries, one load segment less, no data for debuggers or unwinders.
/// The build scripts of the helper include this file.
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
