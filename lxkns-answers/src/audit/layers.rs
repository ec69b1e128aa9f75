//! The directories that overlays are made of.

use bstr::ByteSlice as _;
use lxkns_model::relations::{LayerRole, overlay_layers};
use lxkns_model::{CapabilitySet, EngineKind, Mount, NamespaceType};

use super::files::{MOST, weight};
use super::{Case, Severity};
use crate::text::escape::printable;

impl Case<'_, '_> {
    /// Directories of the host's that an overlay shows, or writes to.
    pub(super) fn judge_layers(&mut self, mounts: &[Mount]) {
        let mut overlays = 0;
        // What the host has mounted too is judged by its path there.
        let is_wanted = |mount: &&Mount| {
            let is_overlay = **mount.fs_type == b"overlay"[..] && mount.path().is_some();
            is_overlay && self.audit.host.path_of(mount).is_none()
        };
        for mount in mounts.iter().filter(is_wanted).collect::<Vec<_>>() {
            overlays += 1;
            if overlays > MOST {
                self.unknown(format!("layers of more than {MOST} overlays: not all judged"), None);
                break;
            }
            // Whoever has mounted it has named the directories as it saw them. A container's root directory is mounted for it.
            let is_root = mount.path().is_some_and(|point| point == "/");
            let is_foreign = is_root || !self.host_capabilities.contains(CapabilitySet::SYS_ADMIN);
            for (role, path) in overlay_layers(mount).filter(|(role, _)| *role != LayerRole::Work) {
                let shown = printable(&path);
                if !path.starts_with(b"/") {
                    // Docker's, below its own directory.
                    if !path.starts_with(b"l/") || self.engine != Some(EngineKind::Docker) {
                        let point = mount.path().map_or_else(String::new, printable);
                        self.unknown(
                            format!("the layer {shown} of the overlay at {point}: the kernel tells no full path"),
                            None,
                        );
                    }
                    continue;
                }
                let is_written = role == LayerRole::Upper && mount.is_writable();
                let Some((writing, reading)) = weight(path.as_bstr()) else { continue };
                let severity = if is_written { writing } else { reading };
                if severity < Severity::Medium {
                    continue;
                }
                if !is_foreign || self.is_of_host(NamespaceType::User) != Some(true) {
                    let point = mount.path().map_or_else(String::new, printable);
                    self.unknown(
                        format!(
                            "whose {shown} is: not known; it is a layer of the overlay at {point}, which it may have \
                            mounted itself"
                        ),
                        None,
                    );
                    continue;
                }
                let severity = match self.may_be_host_root {
                    Some(false) => severity.min(Severity::Medium),
                    _ => severity,
                };
                let how = if is_written { "written to" } else { "seen" };
                let evidence = self.of_mount(mount, &format!("layer {shown}"));
                let text = format!("{shown} of the host is {how} through an overlay");
                self.find("host-files", severity, text, Some(evidence), &|_| {
                    "use directories made for this overlay".to_owned()
                });
            }
        }
    }
}
