//! Pure functions over the model: how namespaces, processes, tasks and mounts relate.
//!
//! They need nothing but the values: a snapshot that was read from a file will do as well as one just taken.

mod capabilities;
mod changes;
mod charges;
mod containers;
mod forest;
mod index;
mod labels;
mod layers;
mod leaders;
mod mount_paths;
mod mounts;
mod pid_map;
mod propagation;
mod sight;
mod trees;
mod unmounts;
mod visibility;

pub use capabilities::{Authorities, Authority, AuthorityUnknown, authority, deciding_user_namespace};
pub use changes::{Change, Changes, DifferentBoots, Life, NamespaceChanges, changes};
pub use charges::charges;
pub use containers::{Belonging, ContainerNamespaces, container_of_namespace, is_of_host, unit_of_namespace};
pub use forest::Forest;
pub use index::Index;
pub use labels::confines;
pub use layers::{LayerRole, option_values, overlay_layers};
pub use leaders::{Members, members};
pub use mount_paths::{MountPath, is_at_or_below, mount_at, mount_paths};
pub use mounts::{MountTree, hidden_mounts};
pub use pid_map::{NamespacedPid, pid_in, pid_map};
pub use propagation::{NamespacedMount, PeerGroup, PeerGroups};
pub use trees::{TreeNode, hierarchy, owned_pid_namespaces, ownership, process_tree};
pub use unmounts::{MountKey, Unmounts};
pub use visibility::{
    absence_seen, holders_seen, listed_processes, members_seen, mounts_seen, processes_listed, unreadable_members,
    unreadable_processes,
};
