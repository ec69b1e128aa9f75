//! Devices: which have files, and which may be opened by the control groups.

use lxkns_model::{CapabilitySet, DeviceAccess, DeviceNumber, NamespaceId, Tid};

use super::{Case, Evidence, Severity};
use crate::names::lossy;
use crate::text::escape::printable;

/// What a device gives to who can open it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gives {
    /// The log of the kernel.
    Log,
    /// What is on a disk, or in memory: all of the host.
    Host,
    /// What its driver does.
    DriverDecides,
}

/// What this device gives.
pub(super) fn gives(is_block: bool, device: DeviceNumber) -> Gives {
    match (device.major, device.minor) {
        _ if is_block => Gives::Host,
        (1, 11) => Gives::Log,
        // Memory and ports; SCSI disks, raw ones, flash memory; registers of the processor; the device mapper.
        (1 | 21 | 90 | 162 | 202, _) | (10, 236) => Gives::Host,
        _ => Gives::DriverDecides,
    }
}

impl Case<'_, '_> {
    /// Those that have a file in `/dev`.
    pub(super) fn judge_devices(&mut self, id: NamespaceId) {
        let Some(facts) = self.audit.facts else { return };
        let from = facts.devices.partition_point(|file| file.mount_ns < id);
        for file in facts.devices[from..].iter().take_while(|file| file.mount_ns == id) {
            let kind = if file.is_block { "block device" } else { "character device" };
            let words = format!("{}: {kind} {}", printable(&file.path), file.device);
            let evidence = Evidence { text: words, path: Some(lossy(&file.path)), ..Evidence::default() };
            let (severity, text) = match (self.may_be_host_root, gives(file.is_block, file.device)) {
                (_, Gives::Log) => (Severity::Medium, "/dev/kmsg: the log of the kernel"),
                (Some(false), _) => (
                    Severity::Low,
                    "devices of the host are in /dev, for those whom their modes and the control group allow",
                ),
                (_, Gives::Host) => (
                    Severity::High,
                    "devices of the host are in /dev: it can access what they hold, as far as its control group \
                    allows (version 2 does not show that)",
                ),
                (_, Gives::DriverDecides) => (
                    Severity::Medium,
                    "devices of the host are in /dev: it can use their drivers, as far as its control group allows",
                ),
            };
            self.find("device", severity, text, Some(evidence), &|case| {
                case.without("--device` or `--privileged", "remove the devices")
            });
        }
    }

    /// Which devices its control groups let it open, wherever their files are.
    pub(super) fn judge_device_access(&mut self) {
        let Some(facts) = self.audit.facts else { return };
        if self.may_be_host_root == Some(false) {
            // It has no more than every user of the host: what the modes of the files give.
            return;
        }
        let subject = self.subject;
        for &pid in &subject.pids {
            let process = self.audit.context.snapshot.processes.get(&pid);
            let Some(process) = process.filter(|process| !process.living_task().state.is_dead()) else { continue };
            let severity = match self.host_capabilities.contains(CapabilitySet::MKNOD) {
                true => Severity::High,
                false => Severity::Medium,
            };
            let text = match facts.device_access.get(&pid) {
                Some(DeviceAccess::All) => {
                    "no control group restricts devices: it can open each that has a file somewhere, and create files \
                    with CAP_MKNOD"
                }
                Some(DeviceAccess::BlockDevices) => {
                    "its control group allows block devices: it can open each that has a file somewhere, and create \
                    files with CAP_MKNOD"
                }
                Some(_) => continue,
                None => {
                    self.unknown("devices that its control groups allow: not readable", Some(pid));
                    continue;
                }
            };
            let evidence = self.of_task(process.pid, Tid::from(process.pid), "");
            self.find("device-access", severity, text, Some(evidence), &|case| {
                case.without(
                    "--device-cgroup-rule`, `--device` or `--privileged",
                    "restrict devices with a control group (`DeviceAllow=` of systemd)",
                )
            });
        }
    }
}
