//! The calling process and its limits: capabilities, namespaces, procfs, filters.

use lxkns_answers::doctor::Caller;
use lxkns_core::ProcRoot;
use lxkns_core::model::{Capability, CapabilitySet, Observer, Uid};
use rustix::thread::CapabilitySet as Kernel;

/// The facts about the calling process, which took a snapshot.
pub fn caller(proc: &ProcRoot, observer: &Observer) -> Caller {
    let uid = observer.mapped(Uid(rustix::process::geteuid().as_raw()));
    let status = proc.read("thread-self/status").ok();
    let status = status.and_then(|text| lxkns_core::parse::status(&text).ok());
    // Not from procfs, which may not show this process.
    let is_bounding = |capability: &Capability| {
        let capability = Kernel::from_bits_retain(1 << capability.number());
        rustix::thread::capability_is_in_bounding_set(capability) == Ok(true)
    };
    let effective = rustix::thread::capabilities(None).map_or(0, |sets| sets.effective.bits());
    let scope = proc.read("sys/kernel/yama/ptrace_scope").ok().and_then(|text| String::from_utf8(text).ok());
    Caller {
        uid: uid.map(|uid| uid.0),
        user: uid.and_then(|uid| crate::users_of_host().name(uid).map(|name| name.to_string())),
        capabilities: CapabilitySet::from_bits(effective),
        initial_user_namespace: observer.is_in_initial_user_ns(),
        initial_pid_namespace: observer.is_in_initial_pid_ns(),
        own_procfs: proc.is_own(),
        hidepid: hidepid(&proc.read("thread-self/mountinfo").unwrap_or_default(), proc),
        seccomp: status.and_then(|status| status.process.seccomp),
        no_new_privs: rustix::thread::no_new_privs().ok(),
        ptrace_scope: scope.and_then(|value| value.trim().parse().ok()),
        bounding: CapabilitySet::KNOWN.iter().filter(is_bounding).collect(),
        program: std::env::current_exe()
            .map_or_else(|_| b"lxkns".to_vec(), |path| path.into_os_string().into_encoded_bytes()),
    }
}

/// The option in this mount list that hides processes in the procfs. The last mount on its path is the visible one.
fn hidepid(mountinfo: &[u8], proc: &ProcRoot) -> Option<String> {
    let text = String::from_utf8_lossy(mountinfo);
    let path = proc.path().to_str()?;
    let of_proc = text.lines().rfind(|line| line.split(' ').nth(4) == Some(path))?;
    let options = of_proc.rsplit(' ').next()?;
    let hides = |option: &&str| {
        let hidden = option.strip_prefix("hidepid=").is_some_and(|how| !["0", "off"].contains(&how));
        hidden || *option == "subset=pid"
    };
    options.split(',').find(hides).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_procfs_that_is_seen_says_whether_it_hides_processes() {
        let proc = ProcRoot::host().unwrap();
        let line = |path: &str, options: &str| format!("22 27 0:21 / {path} rw,relatime - proc proc rw{options}\n");
        let hides = |lines: &[String]| hidepid(lines.concat().as_bytes(), &proc);
        assert_eq!(hides(&[line("/proc", "")]), None);
        assert_eq!(hides(&[line("/proc", ",hidepid=0")]), None);
        assert_eq!(hides(&[line("/proc", ",gid=4,hidepid=invisible")]).as_deref(), Some("hidepid=invisible"));
        assert_eq!(hides(&[line("/proc", ",hidepid=2"), line("/proc", "")]), None);
        assert_eq!(hides(&[line("/proc", ""), line("/x/proc", ",hidepid=2")]), None);
        assert_eq!(hides(&[]), None);
    }

    #[test]
    fn the_caller_knows_itself() {
        let proc = ProcRoot::host().unwrap();
        let snapshot =
            lxkns_core::Discovery::of_host().unwrap().run(&lxkns_core::DiscoveryOptions::namespaces()).unwrap();
        let caller = caller(&proc, snapshot.observer.as_ref().unwrap());
        assert!(caller.initial_pid_namespace.is_some() && caller.initial_user_namespace.is_some());
        let uid = rustix::process::geteuid().as_raw();
        assert!(caller.uid == Some(uid) || (caller.uid.is_none() && uid == 65_534));
        assert!(caller.own_procfs);
        assert_eq!(caller.capabilities.contains(CapabilitySet::SYS_PTRACE), {
            let sets = rustix::thread::capabilities(None).unwrap();
            sets.effective.contains(Kernel::SYS_PTRACE)
        });
    }
}
