//! Tests against a live kernel, of the library and of the built program; the fixtures are this program run once more.
//! With `--interfaces` it prints the interfaces that some tests are about, and which this kernel has.

mod harness;
mod interfaces;
mod live;

fn main() {
    lxkns_fixture::default_signals();
    lxkns_fixture::run_if_actor();
    interfaces::print_if_asked();
    harness::run(live::tests())
}
