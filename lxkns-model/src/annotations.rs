//! What is added to a snapshot after discovery.

use std::collections::BTreeMap;

use crate::{Containers, Ending, NamespaceId, Uid};

/// What is added to a finished snapshot. Discovery leaves it empty: the rest of a snapshot is what the kernel said, and
/// annotations come from elsewhere (`/etc/passwd`, netlink, later reads, what container engines leave).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Annotations {
    /// The names of users who created user namespaces or whose processes there are.
    pub user_names: BTreeMap<Uid, String>,
    /// The IDs that the observer's network namespace has given to others (`ip netns list-id`); `None` where it has given
    /// none.
    pub netnsids: BTreeMap<NamespaceId, Option<u32>>,
    /// Why PID namespaces do not end that are about to; of those that were looked at.
    pub endings: BTreeMap<NamespaceId, Ending>,
    /// The containers; `None` where they were not looked for.
    pub containers: Option<Containers>,
}
