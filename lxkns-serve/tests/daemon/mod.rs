//! The tests, by what they are about.

mod access;
mod answers;
mod http;
mod processes;
mod robust;
mod running;
mod tls;

use libtest_mimic::Trial;

use self::running::{Daemon, Reply};

pub(crate) fn tests() -> Vec<Trial> {
    [access::tests(), answers::tests(), http::tests(), processes::tests(), robust::tests()]
        .into_iter()
        .flatten()
        .collect()
}

fn test(name: &'static str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
