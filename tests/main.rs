//! Tests against a live kernel, of the library and of the built program; the fixtures are this program run once more.
//! With `--interfaces` it prints the table of interfaces that some tests are about, for documents.

mod harness;
mod live;

fn main() {
    lxkns_fixture::run_if_actor();
    if std::env::args().nth(1).as_deref() == Some("--interfaces") {
        return print!("{}", lxkns_fixture::deny::table());
    }
    harness::run(live::tests())
}
