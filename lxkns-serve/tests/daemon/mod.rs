//! The tests, by what they are about.

mod answers;
mod events;
mod http;
mod processes;
mod running;

use libtest_mimic::Trial;

use self::running::{Daemon, Reply};

pub(crate) fn tests() -> Vec<Trial> {
    [answers::tests(), events::tests(), http::tests(), processes::tests()].into_iter().flatten().collect()
}

fn test(name: &'static str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
