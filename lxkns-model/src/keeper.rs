//! What can keep a namespace alive, whether or not the kernel shows it.

use super::{Call, NamespaceType, Operation, Place, Snapshot};

use NamespaceType::{Cgroup, Ipc, Mnt, Net, Pid, User};

/// How lxkns learns of something that keeps a namespace alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Visibility {
    /// It is seen, with the namespace that it holds: a [`Holder`](super::Holder).
    Holder,
    /// It is seen, but not which namespace it holds: a [`Suspect`](super::Suspect).
    Suspect,
    /// Nothing shows it.
    Hidden,
}

/// One kind of thing that keeps namespaces alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keeper {
    /// What it is, as in a sentence: `a descriptor in flight`.
    pub name: &'static str,
    /// The types that it can hold; none stands for all.
    pub types: &'static [NamespaceType],
    /// How it is seen.
    pub visibility: Visibility,
    /// Whether `listns(2)` lists a namespace that only this holds.
    pub listed: bool,
    /// Where it is looked for, or why it is not seen.
    pub how: &'static str,
    /// The Linux that shows it first; nothing where every one does, or none.
    pub since: &'static str,
    /// The test on a live kernel that has a namespace held by this alone; nothing where that takes a server.
    pub test: &'static str,
}

impl Keeper {
    /// Whether it can hold a namespace of this type.
    pub fn may_hold(&self, ns_type: NamespaceType) -> bool {
        self.types.is_empty() || self.types.contains(&ns_type)
    }
}

const fn seen(name: &'static str, types: &'static [NamespaceType], how: &'static str) -> Keeper {
    Keeper { name, types, visibility: Visibility::Holder, listed: true, how, since: "", test: "" }
}

const fn suspect(name: &'static str, types: &'static [NamespaceType], how: &'static str) -> Keeper {
    Keeper { visibility: Visibility::Suspect, ..seen(name, types, how) }
}

const fn hidden(name: &'static str, types: &'static [NamespaceType], how: &'static str) -> Keeper {
    Keeper { visibility: Visibility::Hidden, ..seen(name, types, how) }
}

impl Keeper {
    const fn since(self, since: &'static str) -> Self {
        Self { since, ..self }
    }

    const fn tested_by(self, test: &'static str) -> Self {
        Self { test, ..self }
    }

    /// It holds the namespace without counting as a user of it: `listns` leaves such a namespace out.
    const fn passive(self) -> Self {
        Self { listed: false, ..self }
    }
}

/// What can keep a namespace alive, as far as is known: what is seen first.
pub const KEEPERS: [Keeper; 28] = [
    seen("a process", &[], "`/proc/PID/ns`").tested_by("cli::why::process"),
    seen("a task whose process is elsewhere", &[], "`/proc/PID/task/TID/ns`").tested_by("cli::why::thread"),
    seen("the next child of a task", &[Pid, NamespaceType::Time], "`pid_for_children`, `time_for_children`")
        .tested_by("cli::why::for_children"),
    seen("a zombie", &[Pid, User], "`/proc/PID/ns/pid` and `user`, which stay until its parent waits for it")
        .tested_by("cli::advice::zombie"),
    seen("an open descriptor on it", &[], "`/proc/PID/fd`, also of single tasks").tested_by("cli::why::fd"),
    seen("an open socket", &[Net], "`pidfd_getfd` and `SIOCGSKNS`")
        .since("5.6")
        .passive()
        .tested_by("cli::why::socket"),
    seen("an open TUN/TAP file", &[Net], "the same").since("5.6").passive().tested_by("cli::why::tun"),
    seen("a bind mount", &[], "mountinfo of every mount namespace").tested_by("cli::why::bind_mount"),
    seen("a mounted procfs", &[Pid], "mountinfo, and its PID 1").passive().tested_by("cli::why::file_system"),
    seen("a child namespace", &[Pid, User], "`NS_GET_PARENT`").tested_by("cli::why::child_and_owned"),
    seen("a namespace that it owns", &[User], "`NS_GET_USERNS`").tested_by("cli::why::child_and_owned"),
    suspect(
        "a descriptor in flight",
        &[],
        "`scm_fds` in the receiver's fdinfo; the kernel reader sees which, and then it is a holder",
    )
    .since("5.6")
    .tested_by("cli::unseen::in_flight"),
    suspect("a file of an io_uring", &[], "`UserFiles` in its fdinfo").since("5.1").tested_by("cli::unseen::io_uring"),
    suspect("an open /proc/PID/net file", &[Net], "the link of the descriptor")
        .passive()
        .tested_by("cli::unseen::proc_net_file"),
    suspect("an open mountinfo file", &[Mnt], "the link of the descriptor")
        .passive()
        .tested_by("cli::unseen::mountinfo_file"),
    suspect(
        "an attached SysV segment",
        &[Ipc],
        "`/proc/PID/maps`, read by `why` and `orphans` for an IPC namespace without a holder",
    )
    .passive()
    .tested_by("cli::unseen::sysv_segment"),
    suspect(
        "a pidfd or procfs file of a process that ended",
        &[Pid],
        "`Pid: -1` in fdinfo; the link of the descriptor",
    )
    .passive()
    .tested_by("cli::unseen::pidfd_of_the_dead"),
    suspect(
        "an open file of a control group",
        &[Cgroup],
        "the link of the descriptor; it keeps the namespace of the process that opened it",
    )
    .passive()
    .tested_by("cli::unseen::cgroup_file"),
    suspect("a mounted FUSE", &[Pid], "mountinfo; it keeps the PID namespace of the process that mounted it")
        .passive()
        .tested_by("cli::unseen::mounted_fuse"),
    suspect("a mounted network file system", &[Net], "mountinfo: NFS, `nfsd`, `rpc_pipefs`, SMB, Ceph, AFS").passive(),
    suspect("a mounted binderfs", &[Ipc], "mountinfo").passive(),
    hidden("a detached mount", &[], "no mount namespace lists it").tested_by("cli::unseen::detached_mount"),
    hidden(
        "a connection that was not accepted",
        &[Net],
        "it has no descriptor yet; the kernel reader sees those of UNIX sockets, and then they are holders",
    )
    .passive()
    .tested_by("cli::unseen::unaccepted_connection"),
    hidden("a file that a process of it opened", &[User], "the credentials of an open file are not shown")
        .passive()
        .tested_by("cli::unseen::credentials_of_a_file"),
    hidden(
        "a file system mounted by a process of it",
        &[User],
        "the user namespace of a mount is not shown; the kernel reader sees it, and then the mount is a holder",
    )
    .passive(),
    hidden("a socket of a kernel device", &[Net], "nbd, iSCSI and RBD keep sockets without a descriptor").passive(),
    hidden(
        "a file that a device file keeps",
        &[Net],
        "vhost-net keeps a socket or TUN file, macvtap and PPP keep sockets",
    )
    .passive(),
    hidden("a BPF iterator", &[Net, Pid], "an open iterator does not say what it goes through").passive(),
];

impl Snapshot {
    /// What can keep a namespace of this type (`None`: of any) alive without its being in the snapshot, as far as the
    /// kernel goes: what no process shows, and the kernel did not list. Where nothing can, a namespace that is not here
    /// does not exist, apart from what [`gaps`](Self::gaps) say.
    pub fn unseen_keepers(&self, ns_type: Option<NamespaceType>) -> Vec<&'static Keeper> {
        let answered = |calls: &[Call]| {
            let is_gap = |gap: &super::Gap| {
                gap.place == Place::Kernel && matches!(gap.operation, Operation::Call(call) if calls.contains(&call))
            };
            self.options.places.contains(Place::Kernel) && !self.gaps.iter().any(is_gap)
        };
        // Dumps of other programs do not tell which calls answered.
        let lists_mounts = self.host.boot_id.is_some() && answered(&[Call::NsMntGetNext, Call::NsMntGetPrev]);
        // To who may not see all, `listns` lists what is the caller's own, and no error. The others then say so.
        let lists_all = lists_mounts && answered(&[Call::Listns, Call::OpenByHandleAt]);
        // A kernel without `listns` makes no difference between users of a namespace and what else holds it.
        let lists_every_mount = lists_mounts && !lists_all;
        let types: Vec<_> = ns_type.map_or_else(|| NamespaceType::ALL.to_vec(), |ns_type| vec![ns_type]);
        let is_unseen = |keeper: &&'static Keeper| {
            let hides = |ns_type: &NamespaceType| {
                keeper.may_hold(*ns_type)
                    && !(lists_all && keeper.listed)
                    && !(lists_every_mount && *ns_type == NamespaceType::Mnt)
            };
            keeper.visibility != Visibility::Holder && types.iter().any(hides)
        };
        KEEPERS.iter().filter(is_unseen).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{Cause, DiscoveryOptions, Gap, Host, Object};

    const PAGE: &str = "../docs/holders.md";
    const MARKERS: [&str; 2] = ["<!-- namespace -->\n", "<!-- /namespace -->\n"];

    fn snapshot(missing: &[Call]) -> Snapshot {
        let host = Host { boot_id: Some("boot".into()), ..Host::default() };
        let mut snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), host, SystemTime::UNIX_EPOCH);
        snapshot.gaps = missing
            .iter()
            .map(|&call| Gap::because(Place::Kernel, Object::Host, call.into(), Cause::Unsupported))
            .collect();
        snapshot
    }

    #[test]
    fn what_the_kernel_lists_is_not_unseen() {
        let names = |missing: &[Call], ns_type| {
            let keepers = snapshot(missing).unseen_keepers(Some(ns_type));
            keepers.into_iter().map(|keeper| keeper.name).collect::<Vec<_>>()
        };
        let everywhere = ["a descriptor in flight", "a file of an io_uring", "a detached mount"];
        assert_eq!(names(&[Call::Listns], NamespaceType::Uts), everywhere);
        assert_eq!(names(&[], NamespaceType::Uts), [""; 0]);
        assert_eq!(names(&[Call::Listns], Mnt), [""; 0], "all of them are walked through");
        assert_eq!(names(&[Call::Listns, Call::NsMntGetNext], Mnt).len(), 4);
        assert_eq!(
            names(&[Call::NsMntGetNext], NamespaceType::Uts),
            everywhere,
            "the list may be of the own ones alone"
        );
        assert_eq!(names(&[], Mnt), ["an open mountinfo file"], "it is no user of the namespace");
        assert!(names(&[], Net).contains(&"a connection that was not accepted"));
        assert_eq!(snapshot(&[Call::Listns]).unseen_keepers(None).len(), 16);
    }

    /// The section of the page, as the table has it.
    fn section() -> String {
        let mut text = String::from(
            "| what | types | seen | how, or why not | since | listed by `listns` if nothing else holds it |\n\
             |---|---|---|---|---|---|\n",
        );
        for keeper in &KEEPERS {
            let types: Vec<_> = keeper.types.iter().map(|ns_type| ns_type.name()).collect();
            let types = if types.is_empty() { "all".to_owned() } else { types.join(", ") };
            let visibility = match keeper.visibility {
                Visibility::Holder => "yes",
                Visibility::Suspect => "suspect",
                Visibility::Hidden => "no",
            };
            let listed = if keeper.listed { "yes" } else { "no" };
            let Keeper { name, how, .. } = keeper;
            let since = match (keeper.since, keeper.visibility) {
                ("", Visibility::Hidden) => "never",
                ("", _) => "all",
                (since, _) => since,
            };
            text += &format!("| {name} | {types} | {visibility} | {how} | {since} | {listed} |\n");
        }
        text
    }

    #[test]
    fn the_page_has_the_table() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        let [begin, end] = MARKERS.map(|marker| page.find(marker).unwrap_or_else(|| panic!("no {marker} in {PAGE}")));
        let begin = begin + MARKERS[0].len();
        let expected = format!("{}{}{}", &page[..begin], section(), &page[end..]);
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(PAGE, &expected).unwrap();
        } else {
            assert_eq!(page, expected, "run BLESS=1 cargo test -p lxkns-core keeper");
        }
    }
}
