//! The tests, by what they are about.

mod access;
mod answers;
mod attack;
mod cgroups;
mod description;
mod engines;
mod events;
mod exposition;
mod fleet;
mod http;
mod long;
mod merge_patch;
mod powers;
mod processes;
mod robust;
mod running;
mod same;
mod states;
mod stuck;
mod tls;

use libtest_mimic::Trial;

use self::running::{Daemon, Reply};

pub(crate) fn tests() -> Vec<Trial> {
    [
        access::tests(),
        answers::tests(),
        attack::tests(),
        cgroups::tests(),
        description::tests(),
        engines::tests(),
        events::tests(),
        exposition::tests(),
        fleet::tests(),
        http::tests(),
        long::tests(),
        powers::tests(),
        processes::tests(),
        robust::tests(),
        same::tests(),
        states::tests(),
        stuck::tests(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// The command, built with this program or before.
fn lxkns() -> std::path::PathBuf {
    let beside = std::path::Path::new(env!("CARGO_BIN_EXE_lxknsd")).with_file_name("lxkns");
    assert!(beside.exists(), "build lxkns first: {}", beside.display());
    beside
}

fn test(name: &'static str, run: fn()) -> Trial {
    Trial::test(name, move || {
        run();
        Ok(())
    })
}
