//! What a test needs, and what happens where that is missing.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::{Arc, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};
use lxkns_fixture::probe;

/// Something that a test cannot do without.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(crate) enum Need {
    /// To be root, with the capabilities that go with it.
    Root,
    /// Not to be root.
    Unprivileged,
    /// To be allowed to make user namespaces.
    UserNamespaces,
    /// This kernel or a later one, by major and minor number.
    Kernel(u32, u32),
    /// This type of namespace.
    NamespaceType(&'static str),
    /// This file system.
    FileSystem(&'static str),
    /// This file.
    File(&'static str),
    /// This program.
    Program(&'static str),
    /// AppArmor, and the file system that profiles are loaded through.
    AppArmor,
    /// That the program under test is static.
    StaticProgram,
    /// The image of the service.
    Image,
    /// The static service of a virtual machine, where its image has it.
    StaticService,
    /// SELinux with the policy of the tests: a virtual machine's.
    SELinux,
    /// A kernel that lets nobody read its memory: lockdown at "confidentiality", in a virtual machine of its own.
    Lockdown,
    /// A processor that is not emulated: what takes long and depends on no kernel is left to the host.
    RealProcessor,
}

impl Need {
    /// What is missing, if it is.
    fn missing(self) -> Option<String> {
        let (is_met, what) = match self {
            Self::Root => (probe::is_root(), "root".to_owned()),
            Self::Unprivileged => (!probe::is_root(), "not to be root".to_owned()),
            Self::UserNamespaces => (probe::may_unshare_user(), "to be allowed to make user namespaces".to_owned()),
            Self::Kernel(major, minor) => (probe::kernel_at_least(major, minor), format!("Linux {major}.{minor}")),
            Self::NamespaceType(name) => (probe::has_namespace_type(name), format!("{name} namespaces")),
            Self::FileSystem(name) => (probe::has_file_system(name), format!("the file system {name}")),
            Self::File(path) => (std::path::Path::new(path).exists(), path.to_owned()),
            Self::Program(name) => (probe::program_exists(name), format!("the program {name}")),
            Self::AppArmor => (probe::has_apparmor(), "AppArmor".to_owned()),
            Self::StaticProgram => (probe::is_static(lxkns().get_program()), "a static lxkns".to_owned()),
            Self::Image => (std::env::var_os("LXKNS_IMAGE").is_some(), "the image of the service".to_owned()),
            Self::StaticService => {
                (std::path::Path::new("/lxknsd").exists(), "the service of a virtual machine".to_owned())
            }
            Self::SELinux => (probe::has_own_selinux_policy(), "SELinux".to_owned()),
            Self::Lockdown => (probe::is_locked_down(), "lockdown".to_owned()),
            Self::RealProcessor => (probe::has_real_processor(), "a processor that is not emulated".to_owned()),
        };
        (!is_met).then_some(what)
    }

    /// Whether only another kernel could have it: under CI, one of the virtual machines' has.
    fn is_of_the_kernel(self) -> bool {
        matches!(self, Self::Kernel(..) | Self::AppArmor | Self::SELinux | Self::Lockdown)
    }

    /// Whether it depends on who runs the tests or on which kernel, and not on what is installed: then the same suite,
    /// run otherwise, has the test.
    fn is_of_the_run(self) -> bool {
        match self {
            Self::Unprivileged
            | Self::NamespaceType(_)
            | Self::StaticProgram
            | Self::StaticService
            | Self::Image
            | Self::RealProcessor => true,
            need if need.is_of_the_kernel() => true,
            Self::Root | Self::File(_) => !probe::is_root() && std::env::var_os("LXKNS_TEST_UNPRIVILEGED").is_some(),
            _ => false,
        }
    }
}

/// A test, with what it needs.
pub(crate) struct Test {
    name: String,
    needs: &'static [Need],
    run: Box<dyn FnOnce() + Send>,
}

impl Test {
    /// Its name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The same, of another name, run by `how` whatever the kernel's version, where these further needs are met.
    pub(crate) fn again(
        self,
        name: String,
        needs: &[Need],
        how: impl FnOnce(Box<dyn FnOnce() + Send>) + Send + 'static,
    ) -> Self {
        let others = self.needs.iter().filter(|need| !matches!(need, Need::Kernel(..)));
        let needs: Vec<Need> = others.chain(needs).copied().collect();
        Self { name, needs: needs.leak(), run: Box::new(move || how(self.run)) }
    }
}

/// A test.
pub(crate) fn test(name: impl Into<String>, needs: &'static [Need], run: impl FnOnce() + Send + 'static) -> Test {
    Test { name: name.into(), needs, run: Box::new(run) }
}

/// Runs the tests. One that lacks something is skipped, and says what; under CI (`CI=true`) that is a failure.
pub(crate) fn run(tests: Vec<Test>) -> ! {
    let arguments = Arguments::from_args();
    let is_ci = std::env::var("CI").is_ok_and(|value| value == "true");
    // What only an ordinary user can test is for the run as one, and no test that root skips.
    let is_for_this_user =
        |test: &Test| !probe::is_root() || !test.needs.iter().any(|need| matches!(need, Need::Unprivileged));
    // Each is found out once: many tests start this program again, and some answers take a process.
    let mut known = HashMap::new();
    let mut missing = |need: Need| known.entry(need).or_insert_with(|| need.missing()).clone();
    // Under CI, what takes another kernel than this is for the virtual machines, and what is packed is for `dist`.
    let is_for_others =
        |need: Need| need.is_of_the_kernel() || [Need::StaticProgram, Need::StaticService, Need::Image].contains(&need);
    let mut is_for_another = |need: &Need| is_ci && is_for_others(*need) && missing(*need).is_some();
    let is_for_this_run = |test: &Test| is_for_this_user(test) && !test.needs.iter().any(&mut is_for_another);
    let tests: Vec<_> = tests.into_iter().filter(is_for_this_run).collect();
    let failed = Arc::new(Mutex::new(Vec::new()));
    let trials = tests.into_iter().map(|test| {
        let Test { name, needs, run } = test;
        let lacks = needs.iter().find_map(|&need| Some((need.is_of_the_run(), missing(need)?)));
        match lacks {
            None => {
                let failed = Arc::clone(&failed);
                Trial::test(name.clone(), move || {
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(run)) {
                        failed.lock().expect("nobody panics with it").push(name);
                        resume_unwind(panic);
                    }
                    Ok(())
                })
            }
            Some((false, what)) if is_ci => {
                Trial::test(name, move || Err(Failed::from(format!("needs {what}; under CI that must be there"))))
            }
            Some((_, what)) => {
                if !arguments.list {
                    eprintln!("skipped: {name}: needs {what}");
                }
                Trial::test(name, || Ok(())).with_ignored_flag(true)
            }
        }
    });
    let conclusion = libtest_mimic::run(&arguments, trials.collect());
    let failed = failed.lock().expect("nobody panics with it");
    let all_passed_again = conclusion.num_failed == failed.len() as u64 && pass_again(&failed);
    std::process::exit(if conclusion.has_failed() && !all_passed_again { 101 } else { 0 })
}

/// Asks for what [`pass_again`] does.
const AGAIN: &str = "LXKNS_TEST_AGAIN";
/// With more failures than this, something is wrong that does not come from what else the host does.
const MOST_AGAIN: usize = 3;

/// Runs tests that failed beside others once more, each by itself, where a whole run asks for it. Says which passed then: they
/// depend on time or on what else runs, and want mending.
fn pass_again(failed: &[String]) -> bool {
    if is_alone() || std::env::var_os(AGAIN).is_none() || failed.len() > MOST_AGAIN {
        return false;
    }
    let passes = |name: &String| {
        let program = std::env::current_exe().expect("this program has a path");
        let mut command = Command::new(program);
        command.args(["--exact", name, "--test-threads", "1"]).env_remove(AGAIN);
        // As above: what it prints could be taken for that of the whole run.
        let passes = command.output().is_ok_and(|output| output.status.success());
        println!("{} by itself: {name}", if passes { "passed" } else { "failed" });
        passes
    };
    // All of them, for the sake of what is said.
    failed.iter().filter(|name| !passes(name)).count() == 0
}

/// The built program, in a locale that has all characters, whatever the tests run in.
pub(crate) fn lxkns() -> Command {
    let path = std::env::var_os("LXKNS_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lxkns").into());
    let mut command = Command::new(path);
    command.stdin(std::process::Stdio::null()).env("LC_ALL", "C.UTF-8");
    command
}

/// Runs a part of a test in a process where no other test runs: the test program once more, for the test `name` only.
pub(crate) fn alone(name: &str, body: impl FnOnce()) {
    alone_through(&[], name, body);
}

/// What says so to the test program.
const ALONE: &str = "LXKNS_TEST_ALONE";

/// Whether this process runs nothing but a part of a test: see [`alone`].
pub(crate) fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// As [`alone`], started by another program, which changes what it is first.
pub(crate) fn alone_through(through: &[&str], name: &str, body: impl FnOnce()) {
    if is_alone() {
        return body();
    }
    let program = std::env::current_exe().unwrap();
    let arguments = ["--exact", name, "--test-threads", "1"];
    let mut command = match through {
        [] => Command::new(&program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(&program);
            command
        }
    };
    let output = command.args(arguments).env(ALONE, "1").output().unwrap();
    assert!(output.status.success(), "{}{}", output.stdout.escape_ascii(), output.stderr.escape_ascii());
}
