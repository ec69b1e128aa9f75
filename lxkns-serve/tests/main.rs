//! Tests of the built daemon, from outside. They run side by side: each has a daemon of its own, on a port that the kernel
//! chooses or a UNIX socket; all that a test makes ends with it.

mod daemon;

use libtest_mimic::Arguments;

fn main() {
    lxkns_fixture::default_signals();
    lxkns_fixture::run_if_actor();
    let conclusion = libtest_mimic::run(&Arguments::from_args(), daemon::tests());
    std::process::exit(if conclusion.has_failed() { 101 } else { 0 })
}
