//! The tests, by what they are about.

mod answers;
mod cgroups;
mod fleet;
mod http;
mod powers;
mod processes;
mod running;

use libtest_mimic::Trial;

use self::running::{Daemon, Reply};

pub(crate) fn tests() -> Vec<Trial> {
    let tests =
        [answers::tests(), cgroups::tests(), fleet::tests(), http::tests(), powers::tests(), processes::tests()];
    tests.into_iter().flatten().collect()
}

fn test(name: &'static str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
