//! The `lxkns` command: options in, views out. What it finds and how is `lxkns-core`'s.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use clap::Parser as _;
use lxkns_answers::text::charset::Charset;

mod args;
mod caller;
mod commands;
mod exit;
mod file_system;
mod gaps;
mod interrupt;
mod life;
mod live;
mod patient;
mod progress;
mod resolve;
mod view;

fn main() -> ExitCode {
    Charset::of_locale(|name| std::env::var_os(name)).set();
    match args::Args::try_parse() {
        Ok(args) => commands::run(&args),
        // 125, as it is for everything that is not the command's.
        Err(error) if std::env::args_os().nth(1).is_some_and(|word| word == "enter") => {
            commands::bad_usage_of_enter(&error)
        }
        Err(error) => exit::report_arguments(&error),
    }
}
