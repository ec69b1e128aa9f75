//! The syntax of an action: creating or entering namespaces.

use std::ffi::OsStr;

use lxkns_model::CompactSort as _;
use lxkns_model::NamespaceType;

use crate::target::Asked;
use crate::text::escape::printable;

/// The system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `unshare(2)`: the process itself goes into new namespaces.
    Unshare,
    /// `clone(2)`, `clone3(2)`, `fork(2)`: a child does.
    Clone,
    /// `setns(2)`: the process enters a namespace that there is.
    Setns,
}

/// The action to explain: a system call, and the namespaces it creates or enters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The call.
    pub verb: Verb,
    /// The types of the new namespaces, sorted; of `clone` there can be none.
    pub types: Vec<NamespaceType>,
    /// Whether the process forks afterwards (`unshare --fork`).
    pub fork: bool,
    /// What is entered, one after the other.
    pub targets: Vec<Asked>,
}

/// The types by the letters of `unshare(1)` and `nsenter(1)`, with their long options.
const OPTIONS: [(char, &str, NamespaceType); 8] = [
    ('m', "mount", NamespaceType::Mnt),
    ('C', "cgroup", NamespaceType::Cgroup),
    ('u', "uts", NamespaceType::Uts),
    ('i', "ipc", NamespaceType::Ipc),
    ('U', "user", NamespaceType::User),
    ('p', "pid", NamespaceType::Pid),
    ('n', "net", NamespaceType::Net),
    ('T', "time", NamespaceType::Time),
];

/// What the flag of a type is called.
pub(super) const fn flag(ns_type: NamespaceType) -> &'static str {
    match ns_type {
        NamespaceType::Mnt => "CLONE_NEWNS",
        NamespaceType::Cgroup => "CLONE_NEWCGROUP",
        NamespaceType::Uts => "CLONE_NEWUTS",
        NamespaceType::Ipc => "CLONE_NEWIPC",
        NamespaceType::User => "CLONE_NEWUSER",
        NamespaceType::Pid => "CLONE_NEWPID",
        NamespaceType::Net => "CLONE_NEWNET",
        NamespaceType::Time => "CLONE_NEWTIME",
    }
}

impl Action {
    /// Reads an action: `unshare -Urn`, `clone --pid`, `fork`, `setns 1234/net`; in one word or in several.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in a sentence.
    pub fn parse(words: &[impl AsRef<OsStr>]) -> Result<Self, String> {
        let words: Vec<String> = words
            .iter()
            .flat_map(|word| {
                let word = word.as_ref().to_string_lossy().into_owned();
                word.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let Some((verb, rest)) = words.split_first() else { return Err("no action".to_owned()) };
        let verb = match verb.as_str() {
            "unshare" => Verb::Unshare,
            "clone" | "clone3" | "fork" => Verb::Clone,
            "setns" => return Self::setns(rest),
            other => {
                let hint = if other == "nsenter" { "write `setns PID/TYPE`" } else { FORMS };
                return Err(format!("{}: not an action; {hint}", printable(other)));
            }
        };
        let mut action = Self { verb, types: Vec::new(), fork: false, targets: Vec::new() };
        let mut rest = rest.iter();
        while let Some(word) = rest.next() {
            if !action.option(word, &mut rest)? {
                break;
            }
        }
        action.types.compact_sort();
        action.types.dedup();
        if verb == Verb::Unshare && action.types.is_empty() {
            return Err("unshare: no type of namespaces; e.g. `unshare --user`".to_owned());
        }
        Ok(action)
    }

    fn setns(words: &[String]) -> Result<Self, String> {
        let parse = |word: &String| {
            let asked = Asked::parse(OsStr::new(word.trim_start_matches("--")));
            asked.map_err(|error| format!("setns: {}: {error}", printable(word)))
        };
        let targets = words.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        if targets.is_empty() {
            return Err("setns: no TARGET; e.g. `setns 1234/net`".to_owned());
        }
        Ok(Self { verb: Verb::Setns, types: Vec::new(), fork: false, targets })
    }

    /// Reads an option of `unshare(1)`, or flags of a system call; `false` for the program that is to be run.
    fn option<'a>(&mut self, word: &str, rest: &mut impl Iterator<Item = &'a String>) -> Result<bool, String> {
        let unknown = || format!("{}: not an option of unshare(1)", printable(word));
        if let Some(long) = word.strip_prefix("--") {
            let (name, value) = long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
            let of_type = OPTIONS.iter().find(|(_, option, ns_type)| *option == name || ns_type.name() == name);
            match (of_type, name) {
                (Some((_, _, ns_type)), _) => self.types.push(*ns_type),
                (None, "fork" | "kill-child") => self.fork = true,
                (None, "mount-proc" | "mount-binfmt") => self.types.push(NamespaceType::Mnt),
                (None, "map-root-user" | "map-current-user" | "map-auto") => self.types.push(NamespaceType::User),
                (None, "map-user" | "map-group" | "map-users" | "map-groups") => {
                    self.types.push(NamespaceType::User);
                    skip(value, rest);
                }
                (None, "boottime" | "monotonic") => {
                    self.types.push(NamespaceType::Time);
                    skip(value, rest);
                }
                (None, "propagation" | "setgroups" | "root" | "wd" | "setuid" | "setgid") => skip(value, rest),
                (None, "keep-caps") => {}
                _ => return Err(unknown()),
            }
            return Ok(true);
        }
        if let Some(letters) = word.strip_prefix('-') {
            for (at, letter) in letters.char_indices() {
                match (OPTIONS.iter().find(|(known, ..)| *known == letter), letter) {
                    (Some((_, _, ns_type)), _) => self.types.push(*ns_type),
                    (None, 'r' | 'c') => self.types.push(NamespaceType::User),
                    (None, 'f') => self.fork = true,
                    (None, 'R' | 'w' | 'S' | 'G') => {
                        let value = Some(&letters[at + 1..]).filter(|value| !value.is_empty());
                        skip(value, rest);
                        break;
                    }
                    _ => return Err(unknown()),
                }
            }
            return Ok(true);
        }
        if !word.starts_with("CLONE_") {
            // A program; what follows is its own.
            return Ok(false);
        }
        for name in word.split(['|', ',']) {
            let ns_type = NamespaceType::ALL.into_iter().find(|&ns_type| flag(ns_type) == name);
            self.types.push(ns_type.ok_or_else(|| format!("{}: not a flag for namespaces", printable(name)))?);
        }
        Ok(true)
    }
}

const FORMS: &str = "expected unshare, clone, fork or setns, e.g. `unshare --user --net`, `setns 1234/net`";

/// Leaves out the value of an option that changes nothing here.
fn skip<'a>(value: Option<&str>, rest: &mut impl Iterator<Item = &'a String>) {
    if value.is_none() {
        rest.next();
    }
}

#[cfg(test)]
mod tests {
    use NamespaceType::{Ipc, Mnt, Net, Pid, Time, User, Uts};

    use super::*;

    fn types(text: &str) -> Vec<NamespaceType> {
        let words: Vec<_> = text.split(' ').collect();
        let action = Action::parse(&words).unwrap();
        assert_eq!(Action::parse(&[text]).unwrap(), action, "in one word");
        action.types
    }

    #[test]
    fn as_people_write_it() {
        for (text, expected) in [
            ("unshare --user", &[User][..]),
            ("unshare -Urn", &[User, Net]),
            ("unshare -r --mount sh -i", &[Mnt, User]),
            ("unshare --mount=/run/x --pid --fork --mount-proc", &[Mnt, Pid]),
            ("unshare --map-user 0 -u", &[Uts, User]),
            ("unshare -R /x -i", &[Ipc]),
            ("unshare -S0 -n", &[Net]),
            ("unshare --boottime 5", &[Time]),
            ("clone --pid", &[Pid]),
            ("clone CLONE_NEWPID|CLONE_NEWUSER", &[User, Pid]),
            ("unshare CLONE_NEWNS", &[Mnt]),
            ("fork", &[]),
        ] {
            assert_eq!(types(text), expected, "{text}");
        }
        assert!(Action::parse(&["unshare -fp"]).unwrap().fork);
        let setns = Action::parse(&["setns", "net:4026532281", "1234"]).unwrap();
        assert_eq!((setns.verb, setns.targets.len()), (Verb::Setns, 2));
    }

    #[test]
    fn nonsense_is_told() {
        for (text, expected) in [
            ("", "no action"),
            ("mount x", "mount: not an action"),
            ("nsenter -t 1 -n", "write `setns PID/TYPE`"),
            ("unshare", "no type of namespaces"),
            ("unshare -x", "-x: not an option"),
            ("unshare --users", "--users: not an option"),
            ("clone CLONE_NEWNS|CLONE_VM", "CLONE_VM: not a flag"),
            ("setns", "no TARGET"),
            ("setns 0", "setns: 0: "),
            ("un\x1bshare", "un\\x1bshare: not"),
        ] {
            let error = Action::parse(&[text]).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
