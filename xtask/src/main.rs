//! The project's own tasks, run as `cargo xtask COMMAND`. One file per command.

#![forbid(unsafe_code)]

mod api;
mod artifacts;
mod bench;
mod ci;
mod debian;
mod deploy;
mod dist;
mod fuzz;
mod licences;
mod man;
mod openapi;
mod page;
mod release;
mod run;
mod rust_text;
mod test;
mod tidy;
mod vm;

use std::process::ExitCode;

use clap::Parser;

/// The project's own tasks
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Task {
    /// All that continuous integration runs
    Ci(ci::Args),
    /// The whole test suite: as root and, where that is given, as an ordinary user too
    Test,
    /// Measures lxkns against lsns and against the floor, on a workload made for it
    Bench(bench::Args),
    /// Runs the fuzz targets, with the stable compiler
    Fuzz(fuzz::Args),
    /// The live tests on other kernels, in virtual machines; and a table of what each kernel gives
    Vm(vm::Args),
    /// Builds what is given to people: a static program, packages, sums
    Dist(dist::Args),
    /// Packs the image of the service, of a static program that there is or else is built now
    Image {
        /// The program
        #[arg(long, value_name = "FILE")]
        program: Option<std::path::PathBuf>,
    },
    /// Checks what deploys the service: the files in `deploy`
    Deploy,
    /// Compares what the libraries have that is public with what was kept; BLESS=1 keeps it
    Api,
    /// Says whether this tree can be released, and what that would take
    Release(release::Args),
    /// Writes the man pages
    Man(man::Args),
    /// Builds the web page again and compares it with what is committed, and runs its unit tests
    Page,
    /// Tries the web page in Chromium, against the service built here
    Proof,
    /// Has schemathesis compare what the service answers with its OpenAPI description
    Openapi,
    /// Checks the tree against its own rules
    Tidy,
    /// Checks the licence and the source of everything that is linked in
    Licences,
}

fn main() -> ExitCode {
    match run::enter_workspace().and_then(|()| task(Task::parse())) {
        Ok(()) => ExitCode::SUCCESS,
        // Without the backtrace that RUST_BACKTRACE would add: it shows only this file.
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn task(task: Task) -> anyhow::Result<()> {
    match task {
        Task::Ci(args) => ci::all(&args),
        Task::Test => test::all(),
        Task::Bench(args) => bench::run(&args),
        Task::Fuzz(args) => fuzz::all(&args),
        Task::Vm(args) => vm::run(&args),
        Task::Dist(args) => dist::run(&args),
        Task::Image { program } => dist::image(program.as_deref()).map(drop),
        Task::Deploy => deploy::run(),
        Task::Api => api::run(),
        Task::Release(args) => release::run(&args),
        Task::Man(args) => man::run(&args),
        Task::Page => page::all(),
        Task::Proof => page::proof(),
        Task::Openapi => openapi::all(),
        Task::Tidy => tidy::run(),
        Task::Licences => licences::run(),
    }
}
