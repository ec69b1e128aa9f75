//! The `lxkns` command: options in, views out. `lxkns-core` finds, `lxkns-answers` answers.

#![forbid(unsafe_code)]

use std::process::ExitCode;

use lxkns_answers::text::charset::Charset;

mod args;
mod commands;
mod exit;
mod interrupt;
mod live;
mod patient;
mod progress;
mod resolve;
mod usage;
mod view;

/// Where there is none left, the program says so and ends.
#[global_allocator]
static MEMORY: lxkns_sys::Memory = lxkns_sys::Memory;

fn main() -> ExitCode {
    let is_enter = std::env::args_os().nth(1).is_some_and(|word| word == "enter");
    // 125, as it is for everything that is not the command's.
    let failed = if is_enter { 125 } else { exit::Exit::Failed as u8 };
    lxkns_sys::Memory::ends_with(failed);
    // Without it, the signal for a too large file ends the program without a message.
    let _ = lxkns_sys::fail_at_file_size_limit();
    lxkns_sys::on_large_stack(|| run(is_enter)).unwrap_or_else(|errno| {
        exit::say(format_args!("no memory for a stack: {errno}"));
        ExitCode::from(failed)
    })
}

fn run(is_enter: bool) -> ExitCode {
    Charset::of_locale(|name| std::env::var_os(name)).set();
    match args::Args::try_read(view::screen::columns()) {
        Ok(args) => commands::run(&args),
        Err(error) if is_enter => commands::bad_usage_of_enter(&error),
        Err(error) => exit::report_arguments(&error),
    }
}
