//! Which of the kernel's newer interfaces are there, asked of the caller itself; for the table of kernels.

use lxkns_fixture::deny::{INTERFACES, Interface};
use rustix::io::Errno;

/// Prints the interfaces and ends, if that is what the program was called for: the name of each and the kernel that has it
/// first, what does instead, what is lost without it, and the answer, with tabs between.
pub(crate) fn print_if_asked() {
    if std::env::args().nth(1).as_deref() != Some("--interfaces") {
        return;
    }
    for Interface { name, since: (major, minor), instead, lost, .. } in INTERFACES {
        let lost: Vec<_> = lost
            .iter()
            .map(|(loss, unless)| match unless {
                None => loss.describe().to_owned(),
                Some(other) => format!("{} (unless there is `{other}`)", loss.describe()),
            })
            .collect();
        let lost = if lost.is_empty() { "nothing".to_owned() } else { lost.join("; ") };
        println!("`{name}` ({major}.{minor})\t{instead}\t{lost}\t{}", answer(ask(name)));
    }
    std::process::exit(0);
}

fn answer(asked: Result<bool, Errno>) -> String {
    match asked {
        Ok(true) => "yes".to_owned(),
        Ok(false) => "no".to_owned(),
        Err(Errno::NOSYS) => "ENOSYS".to_owned(),
        Err(Errno::NOTTY) => "ENOTTY".to_owned(),
        Err(Errno::INVAL) => "EINVAL".to_owned(),
        Err(Errno::STALE) => "ESTALE".to_owned(),
        Err(Errno::PERM) => "EPERM".to_owned(),
        Err(errno) => format!("error {}", errno.raw_os_error()),
    }
}

/// Asks for something of the caller's own that only the interface of this name gives.
fn ask(name: &str) -> Result<bool, Errno> {
    let interface = lxkns_core::Interface::ALL.into_iter().find(|interface| interface.name() == name);
    let interface = interface.unwrap_or_else(|| panic!("nothing asks for {name}"));
    let asked = interface.ask(&lxkns_core::ProcRoot::host().expect("there is a procfs"));
    asked.map_err(|errno| Errno::from_raw_os_error(errno.number()))
}
