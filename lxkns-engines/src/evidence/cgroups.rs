//! The paths of control groups, of all processes that can be in a container.

use bstr::BString;
use lxkns_model::EvidenceKind;

use super::{Claim, likely};
use crate::parse::cgroup_path::{self, Named};

/// What a path says, from the outside in, with where the control group of each ends.
pub(crate) fn claims(path: &BString) -> Vec<(Claim, usize)> {
    let named = cgroup_path::containers(path).into_iter();
    named
        .map(|Named { kind, id, end, pod_uid: _, user }| {
            let own = BString::from(&path[..end]);
            let mut claim = Claim::new(kind, id, likely(EvidenceKind::Cgroup, own.clone(), None));
            claim.cgroups.push(own);
            (claim.by(user), end)
        })
        .collect()
}
