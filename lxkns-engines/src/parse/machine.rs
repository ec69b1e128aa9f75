//! `/run/systemd/machines/NAME`: what systemd-machined keeps of a machine.

use std::time::{Duration, SystemTime};

use bstr::{BString, ByteSlice as _};

use super::unless_empty;

/// What is needed of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Machine {
    pub(crate) name: BString,
    /// `container`, `vm` or `host`.
    pub(crate) class: Option<BString>,
    /// What has registered it: `systemd-nspawn`, `libvirt-lxc`.
    pub(crate) service: Option<BString>,
    /// Its scope or service.
    pub(crate) unit: Option<BString>,
    /// As the PID namespace of machined has it; 0 where not known.
    pub(crate) leader: u32,
    pub(crate) created: Option<SystemTime>,
}

/// Reads one: lines `KEY=VALUE`, some values in quotation marks. `None` where it names no machine.
pub(crate) fn parse(text: &[u8]) -> Option<Machine> {
    let mut machine = Machine::default();
    for line in text.lines() {
        let Some((key, value)) = line.split_once_str("=") else { continue };
        let value = unquoted(value);
        match key {
            b"NAME" => machine.name = value,
            b"CLASS" => machine.class = unless_empty(value),
            b"SERVICE" => machine.service = unless_empty(value),
            b"SCOPE" => machine.unit = unless_empty(value),
            b"LEADER" => machine.leader = number(&value).and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0),
            b"REALTIME" => {
                let since = number(&value).map(Duration::from_micros);
                machine.created = since.map(|since| SystemTime::UNIX_EPOCH + since);
            }
            _ => {}
        }
    }
    (!machine.name.is_empty()).then_some(machine)
}

fn number(text: &[u8]) -> Option<u64> {
    // What can be added to the epoch without end is no time of this world.
    text.to_str().ok()?.parse().ok().filter(|&number| number < 1 << 60)
}

/// Without quotation marks around it, and backslashes before what they quote.
fn unquoted(value: &[u8]) -> BString {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    let mut plain = BString::default();
    let mut is_quoted = false;
    for &byte in inner {
        if byte == b'\\' && !is_quoted {
            is_quoted = true;
            continue;
        }
        is_quoted = false;
        plain.push(byte);
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_is_read() {
        let machine = parse(
            b"# This is private data. Do not parse.\nNAME=l-x\nSCOPE=machine-l\\\\x2dx.scope\nSERVICE=systemd-nspawn\n\
            ROOT=/var/lib/machines/lx\nID=9f\nLEADER=4711\nCLASS=container\nREALTIME=1795914487505138\nMONOTONIC=5\n",
        );
        let machine = machine.unwrap();
        assert_eq!((machine.name, machine.leader), ("l-x".into(), 4711));
        assert_eq!((machine.class.unwrap(), machine.service.unwrap()), ("container".into(), "systemd-nspawn".into()));
        assert_eq!(machine.unit.unwrap(), r"machine-l\x2dx.scope");
        assert!(machine.created.is_some());
    }

    #[test]
    fn quoted_values_and_nonsense() {
        assert_eq!(parse(b"NAME=\"a \\\"b\\\\\"\nLEADER=x\n").unwrap().name, "a \"b\\");
        assert_eq!(parse(b"NAME=a\nREALTIME=18446744073709551615").unwrap().created, None);
        for text in [&b""[..], b"NAME", b"NAME=\n", b"\xff\n=\n"] {
            assert_eq!(parse(text), None);
        }
    }
}
