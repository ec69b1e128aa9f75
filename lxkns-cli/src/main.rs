//! The `lxkns` command: options in, views out. What it finds and how is `lxkns-core`'s.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;

mod args;
mod commands;
mod exit;
mod gaps;
mod live;
mod netnsid;
mod resolve;
mod target;
#[cfg(test)]
mod testing;
mod users;
mod view;

fn main() -> ExitCode {
    match args::Args::try_parse() {
        Ok(args) => exit::report(commands::run(&args)),
        Err(error) => {
            // The output can be closed already; then there is nobody to tell.
            let _ = error.print();
            if error.use_stderr() { exit::Exit::Usage.into() } else { exit::Exit::Done.into() }
        }
    }
}
