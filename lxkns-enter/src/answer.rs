//! A plan as the answer that `lxkns enter --dry-run --json` gives.

use lxkns_answers::enter::{PlanAnswer, PlanCapabilities, PlanFact, PlanRow};
use lxkns_answers::whose::WhoseForm;
use lxkns_core::model::Capabilities;

use crate::plan::Plan;
use crate::steps::{Fact, Row, Subject};

impl Plan {
    /// The plan in its JSON form. `whose` says what the target process belongs to: [`WhoseForm::process`], or the default
    /// where this is not known or the target has no process.
    pub fn answer(&self, whose: WhoseForm) -> PlanAnswer {
        PlanAnswer { plan: self.rows().iter().map(row).collect(), notes: self.notes().to_vec(), whose }
    }
}

impl Subject {
    /// A short stable name, for people and for JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Namespaces => "namespaces",
            Self::Root => "root",
            Self::WorkingDirectory => "cwd",
            Self::Cgroup => "cgroup",
            Self::Uid => "UID",
            Self::Gid => "GID",
            Self::Groups => "groups",
            Self::Capabilities => "capabilities",
            Self::CapabilitiesInside => "capabilities inside",
            Self::Securebits => "securebits",
            Self::NoNewPrivs => "no_new_privs",
            Self::Lsm => "LSM",
            Self::Seccomp => "seccomp",
            Self::Landlock => "Landlock",
            Self::Limits => "limits",
            Self::Umask => "umask",
            Self::Affinity => "CPUs",
            Self::Nice => "nice",
            Self::IoPriority => "I/O priority",
            Self::Personality => "personality",
            Self::Environment => "environment",
        }
    }
}

fn row(row: &Row) -> PlanRow {
    PlanRow { what: row.subject.name(), target: row.target.as_ref().map(fact), command: fact(&row.command) }
}

fn fact(fact: &Fact) -> PlanFact {
    match fact {
        Fact::Text(text) => PlanFact::Text(text.clone()),
        Fact::Flag(flag) => PlanFact::Flag(*flag),
        Fact::Capabilities(Capabilities { permitted, effective, inheritable, bounding, ambient }) => {
            PlanFact::CapabilitySets(PlanCapabilities {
                permitted: *permitted,
                effective: *effective,
                inheritable: *inheritable,
                bounding: *bounding,
                ambient: *ambient,
            })
        }
    }
}
