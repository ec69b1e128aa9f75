//! Completes an unfinished command line, by the same definitions that parse options.

use lxkns_answers::audit::Severity;
use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};
use lxkns_core::model::CompactSort as _;
use lxkns_core::model::{CapabilitySet, NamespaceType};

use super::targets::{Asks, Wanted};
use super::{Offer, is_plain};
use crate::view::{columns, containers, links, mounts, ports};

/// A command line, as far as it was read.
struct Line<'a> {
    command: &'a Command,
    /// The options, with their values.
    given: Vec<(&'a Arg, Option<String>)>,
    /// The other words.
    words: Vec<String>,
    /// The option whose value comes next.
    pending: Option<&'a Arg>,
    /// The number of words up to the `--`.
    dashes: Option<usize>,
}

/// The candidates for the last of these words. Namespaces and processes come from `targets`.
pub(super) fn offers(whole: &Command, words: &[OsString], targets: &dyn Fn(&Asks<'_>) -> Vec<Offer>) -> Vec<Offer> {
    let words: Vec<String> = words.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let (last, before) = match words.split_last() {
        Some((last, before)) => (last.as_str(), before),
        None => ("", &[][..]),
    };
    let Some(line) = Line::read(whole, before) else { return Vec::new() };
    let mut offers = line.offers(last, targets);
    // The words before the last are not completed.
    offers.retain(|offer| match offer {
        Offer::Word { text, .. } => text.starts_with(last) && is_plain(text),
        _ => true,
    });
    offers
}

fn takes_value(arg: &Arg) -> bool {
    arg.get_action().takes_values()
}

fn option(command: &Command, is_it: impl Fn(&Arg) -> bool) -> Option<&Arg> {
    command.get_arguments().filter(|arg| !arg.is_positional()).find(|arg| is_it(arg))
}

impl<'a> Line<'a> {
    /// Reads the words before the last; `None` if they are not a command line of this program.
    fn read(whole: &'a Command, words: &[String]) -> Option<Self> {
        let mut line = Self { command: whole, given: Vec::new(), words: Vec::new(), pending: None, dashes: None };
        for (index, word) in words.iter().enumerate() {
            if let Some(arg) = line.pending.take() {
                line.given.push((arg, Some(word.clone())));
            } else if line.dashes.is_some() {
                line.words.push(word.clone());
            } else if word == "--" {
                line.dashes = Some(index + 1);
            } else if let Some(long) = word.strip_prefix("--") {
                line.read_long(long)?;
            } else if let Some(letters) = word.strip_prefix('-').filter(|letters| !letters.is_empty()) {
                line.read_short(letters)?;
            } else if line.command.has_subcommands() {
                line.command = line.command.find_subcommand(word).filter(|command| !command.is_hide_set())?;
            } else {
                line.words.push(word.clone());
            }
        }
        Some(line)
    }

    fn long(&self, long: &str) -> Option<&'a Arg> {
        let is_alias = |arg: &Arg| arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&long));
        option(self.command, |arg| arg.get_long() == Some(long) || is_alias(arg))
    }

    fn read_long(&mut self, long: &str) -> Option<()> {
        let (name, value) = match long.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (long, None),
        };
        let arg = self.long(name)?;
        self.read_value(arg, value);
        Some(())
    }

    /// Short options in one word. The rest of the word is the value of the first that takes one.
    fn read_short(&mut self, letters: &str) -> Option<()> {
        for (at, letter) in letters.char_indices() {
            let arg = option(self.command, |arg| arg.get_short() == Some(letter))?;
            let rest = &letters[at + letter.len_utf8()..];
            self.read_value(arg, (takes_value(arg) && !rest.is_empty()).then_some(rest));
            if takes_value(arg) {
                break;
            }
        }
        Some(())
    }

    fn read_value(&mut self, arg: &'a Arg, value: Option<&str>) {
        match value {
            None if takes_value(arg) => self.pending = Some(arg),
            value => self.given.push((arg, value.map(str::to_owned))),
        }
    }

    fn offers(&self, last: &str, targets: &dyn Fn(&Asks<'_>) -> Vec<Offer>) -> Vec<Offer> {
        if let Some(arg) = self.pending {
            return self.values(arg, "", last, targets);
        }
        if let Some(dashes) = self.dashes {
            return match self.command.get_positionals().any(Arg::is_last_set) {
                true => vec![Offer::Command(dashes)],
                false => self.positional(last, targets),
            };
        }
        if let Some((name, value)) = last.split_once('=').filter(|_| last.starts_with("--")) {
            let arg = self.long(&name[2..]).filter(|arg| takes_value(arg));
            return arg.map_or_else(Vec::new, |arg| self.values(arg, &format!("{name}="), value, targets));
        }
        if last.starts_with('-') {
            return self.short_value(last, targets).unwrap_or_else(|| self.options());
        }
        if self.command.has_subcommands() {
            let visible = self.command.get_subcommands().filter(|command| !command.is_hide_set());
            return visible.map(|command| Offer::word(command.get_name(), text(command.get_about()))).collect();
        }
        self.positional(last, targets)
    }

    /// The values of a short option with its value in the same word: `-tnet`.
    fn short_value(&self, last: &str, targets: &dyn Fn(&Asks<'_>) -> Vec<Offer>) -> Option<Vec<Offer>> {
        let letters = last.strip_prefix('-')?;
        for (at, letter) in letters.char_indices() {
            let arg = option(self.command, |arg| arg.get_short() == Some(letter))?;
            if takes_value(arg) {
                let (before, value) = last.split_at(1 + at + letter.len_utf8());
                return Some(self.values(arg, before, value, targets));
            }
        }
        None
    }

    /// The options that are still possible.
    fn options(&self) -> Vec<Offer> {
        let can_be_repeated = |arg: &Arg| matches!(arg.get_action(), ArgAction::Append | ArgAction::Count);
        let is_given = |arg: &Arg| self.given.iter().any(|(given, _)| given.get_id() == arg.get_id());
        let in_conflict: Vec<_> =
            self.given.iter().flat_map(|(given, _)| self.command.get_arg_conflicts_with(given)).collect();
        let conflicts = |arg: &'a Arg| {
            let given = |other: &&Arg| is_given(other);
            in_conflict.iter().any(|other| other.get_id() == arg.get_id())
                || self.command.get_arg_conflicts_with(arg).iter().any(given)
        };
        let fitting = self.command.get_arguments().filter(|arg| {
            !arg.is_positional() && !arg.is_hide_set() && (can_be_repeated(arg) || !is_given(arg)) && !conflicts(arg)
        });
        fitting.filter_map(|arg| Some(Offer::word(format!("--{}", arg.get_long()?), text(arg.get_help())))).collect()
    }

    fn positional(&self, last: &str, targets: &dyn Fn(&Asks<'_>) -> Vec<Offer>) -> Vec<Offer> {
        let mut places: Vec<_> = self.command.get_positionals().filter(|arg| !arg.is_last_set()).collect();
        places.compact_sort_by_key(|arg| arg.get_index());
        let repeats = |arg: &&&Arg| matches!(arg.get_action(), ArgAction::Append);
        let skipped_kind = usize::from(self.kind_is_left_out());
        match places.get(self.words.len() + skipped_kind).or_else(|| places.last().filter(repeats)) {
            Some(arg) => self.values(arg, "", last, targets),
            None if self.dashes.is_some() => Vec::new(),
            None => self.options(),
        }
    }

    /// Whether an optional word was left out.
    fn kind_is_left_out(&self) -> bool {
        self.command.get_name() == "tree"
            && self.words.first().is_some_and(|word| TREES.iter().all(|(tree, _)| tree != word))
    }

    /// The values of an argument, after the part of the word before them.
    fn values(&self, arg: &Arg, before: &str, value: &str, targets: &dyn Fn(&Asks<'_>) -> Vec<Offer>) -> Vec<Offer> {
        let possible = arg.get_possible_values();
        let possible = possible.iter().filter(|value| !value.is_hide_set());
        let mut offers: Vec<_> = possible.map(|value| Offer::word(value.get_name(), text(value.get_help()))).collect();
        let names: Vec<_> = arg.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
        let ask = |types: &[NamespaceType], kinds| {
            let from = self.given.iter().find(|(given, _)| given.get_long() == Some("from"));
            targets(&Asks {
                begins: value,
                types,
                wanted: kinds,
                from: from.and_then(|(_, file)| file.as_deref()),
                given: &self.words,
            })
        };
        match names.first().map_or("", String::as_str) {
            "CAP" => offers.extend(CapabilitySet::KNOWN.names().into_iter().map(|name| {
                let name = name["CAP_".len()..].to_ascii_lowercase();
                Offer::word(if value.starts_with("cap_") { format!("cap_{name}") } else { name }, "")
            })),
            "ACTION" if self.words.first().is_some_and(|verb| verb == "setns") => offers.extend(ask(&[], Wanted::Both)),
            "ACTION" if self.words.is_empty() => {
                offers.extend(["unshare", "clone", "fork", "setns"].map(|verb| Offer::word(verb, "")));
            }
            "TYPES" => offers.extend(listed(value, NamespaceType::ALL.iter().map(|ns_type| ns_type.name()))),
            "LIST" if self.command.get_name() == "mounts" => offers.extend(listed(value, mounts::names())),
            "LIST" if self.command.get_name() == "links" => offers.extend(listed(value, links::names())),
            "LIST" if self.command.get_name() == "containers" => offers.extend(listed(value, containers::names())),
            "LIST" if self.command.get_name() == "ports" => offers.extend(listed(value, ports::names())),
            "LIST" | "COLUMN" => offers.extend(listed(value, columns::names())),
            "TARGET" => offers.extend(ask(&self.types(), self.wanted())),
            "user|pid|proc" => {
                offers.extend(TREES.map(|(tree, of)| Offer::word(tree, of)));
                offers.extend(ask(&[NamespaceType::User], Wanted::Both));
            }
            "PIDNS" => offers.extend(ask(&[NamespaceType::Pid], Wanted::Both)),
            "PID" => offers.extend(ask(&[], Wanted::Pids)),
            "SEVERITY" => offers.extend(listed(value, Severity::ALL.iter().map(|severity| severity.name()))),
            "DIR" => offers.push(Offer::Directories),
            "host|FILE" => offers.extend([Offer::word("host", "a program of the host"), Offer::Files]),
            name if name.contains("FILE") || name.contains("PATH") || name == "OLD" || name == "NEW" => {
                offers.push(Offer::Files);
            }
            _ => {}
        }
        for offer in &mut offers {
            if let Offer::Word { text, .. } = offer {
                text.insert_str(0, before);
            }
        }
        // The shell compares the whole word, not only the value.
        offers
    }

    /// The types of namespaces that a TARGET can have; empty for all.
    fn types(&self) -> Vec<NamespaceType> {
        let types = self.given.iter().filter(|(arg, _)| arg.get_long() == Some("type"));
        let types = types.filter_map(|(_, types)| types.as_deref()).flat_map(|types| types.split(','));
        match (self.command.get_name(), self.words.first().map(String::as_str)) {
            ("mounts", _) => vec![NamespaceType::Mnt],
            ("ports", _) => vec![NamespaceType::Net],
            ("links", _) => vec![NamespaceType::Net],
            ("tree", Some("pid")) => vec![NamespaceType::Pid],
            ("tree", _) => vec![NamespaceType::User],
            _ => types.filter_map(|name| NamespaceType::from_name(name.as_bytes())).collect(),
        }
    }

    fn wanted(&self) -> Wanted {
        let is_proc = self.command.get_name() == "tree" && self.words.first().is_some_and(|word| word == "proc");
        if is_proc { Wanted::Processes } else { Wanted::Both }
    }
}

/// The first words of `lxkns tree`, with the nodes of each tree.
const TREES: [(&str, &str); 3] = [("user", "user namespaces"), ("pid", "PID namespaces"), ("proc", "processes")];

/// The next names of a list with commas, which may begin with a plus, without those that it has.
fn listed(value: &str, names: impl Iterator<Item = &'static str>) -> Vec<Offer> {
    let done = value.rfind(',').map_or(usize::from(value.starts_with('+')), |at| at + 1);
    let (before, _) = value.split_at(done);
    let known: Vec<_> = before.trim_start_matches('+').split(',').collect();
    names.filter(|name| !known.contains(name)).map(|name| Offer::word(format!("{before}{name}"), "")).collect()
}

/// The first line of a help text.
fn text(help: Option<&clap::builder::StyledStr>) -> String {
    let help = help.map(ToString::to_string).unwrap_or_default();
    help.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn targets(asks: &Asks<'_>) -> Vec<Offer> {
        vec![Offer::word(
            format!("{}{:?}", asks.begins, asks.wanted),
            format!("{:?} {:?} {:?}", asks.types, asks.from, asks.given),
        )]
    }

    fn offers(words: &[&str]) -> Vec<String> {
        let mut whole = crate::args::Args::command();
        whole.build();
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        let offers = super::offers(&whole, &words, &targets);
        offers
            .into_iter()
            .map(|offer| if let Offer::Word { text, .. } = offer { text } else { format!("{offer:?}") })
            .collect()
    }

    fn described(words: &[&str]) -> String {
        let mut whole = crate::args::Args::command();
        whole.build();
        let words: Vec<_> = words.iter().map(OsString::from).collect();
        match &super::offers(&whole, &words, &targets)[..] {
            [Offer::Word { description, .. }] => description.clone(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn commands_but_no_hidden_one() {
        let all = offers(&[""]);
        assert!(all.contains(&"ls".to_owned()) && all.contains(&"enter".to_owned()), "{all:?}");
        assert!(!all.iter().any(|name| name == "inside" || name == "complete"), "{all:?}");
        assert_eq!(offers(&["orp"]), ["orphans"]);
        assert_eq!(offers(&["help", "orp"]), ["orphans"]);
        assert!(offers(&["nonsense", ""]).is_empty() && offers(&["inside", ""]).is_empty());
    }

    #[test]
    fn options_that_can_still_be_given() {
        assert_eq!(offers(&["tree", "--all"]), ["--all-leaders"]);
        assert!(offers(&["tree", "--all-leaders", "--all"]).is_empty());
        assert!(offers(&["ls", "--raw", "--js"]).is_empty(), "it excludes the other");
        assert!(offers(&["ls", "--json", "--ra"]).is_empty(), "also the other way round");
        assert_eq!(offers(&["ls", "-t", "net", "--ty"]), ["--type"], "that can be given again");
        assert!(offers(&["dump", ""]).contains(&"--no-cmdline".to_owned()));
    }

    #[test]
    fn values_of_options_wherever_they_stand() {
        assert_eq!(offers(&["why", "--color", "a"]), ["auto", "always"]);
        assert_eq!(offers(&["why", "--color=a"]), ["--color=auto", "--color=always"]);
        assert_eq!(offers(&["ls", "-t", "c"]), ["cgroup"]);
        assert_eq!(offers(&["ls", "-tc"]), ["-tcgroup"]);
        assert_eq!(offers(&["ls", "-rt", "net,us"]), ["net,user"]);
        assert_eq!(offers(&["ls", "-o", "+HOL"]), ["+HOLDERS"]);
        assert_eq!(offers(&["ls", "-o", "NS,TYPE,NS"]), ["NS,TYPE,NSFS"], "a column once");
        assert_eq!(offers(&["mounts", "--output=+PEERS,REC"]), ["--output=+PEERS,RECEIVERS"]);
        assert_eq!(offers(&["ports", "-o", "PORT,PROT"]), ["PORT,PROTO"]);
        assert_eq!(described(&["ports", ""]), "[Net] None []");
        assert_eq!(offers(&["ls", "--from", ""]), ["Files"]);
        assert!(offers(&["ls", "--timeout", ""]).is_empty());
    }

    #[test]
    fn targets_of_the_types_that_the_command_takes() {
        assert_eq!(offers(&["why", "12"]), ["12Both"]);
        assert_eq!(described(&["ls", "-t", "net", "--from", "x", "7", ""]), "[Net] Some(\"x\") [\"7\"]");
        assert_eq!(described(&["mounts", ""]), "[Mnt] None []");
        assert_eq!(described(&["tree", "pid", ""]), "[Pid] None [\"pid\"]");
        assert_eq!(offers(&["tree", "proc", ""]), ["Processes"]);
        assert_eq!(offers(&["tree", "p"]), ["pid", "proc", "pBoth"]);
        assert_eq!(described(&["tree", "--in", ""]), "[Pid] None []");
        assert_eq!(offers(&["caps", "-p", "1"]), ["1Pids"]);
        assert_eq!(offers(&["explain", "uns"]), ["unshare"]);
        assert_eq!(offers(&["explain", "setns", "12"]), ["12Both"]);
        assert_eq!(offers(&["who-can", "net_a"]), ["net_admin"]);
        assert_eq!(offers(&["who-can", "cap_net_a"]), ["cap_net_admin"]);
        assert_eq!(offers(&["who-can", "net_admin", "12"]), ["12Both"]);
        assert!(!offers(&["tree", "1234", ""]).contains(&"Both".to_owned()), "there is one TARGET");
    }

    #[test]
    fn what_enter_runs_is_of_another_program() {
        assert_eq!(offers(&["enter", "7", "--", ""]), ["Command(3)"]);
        assert_eq!(offers(&["enter", "--only", "net", "7", "--", "ip", "a"]), ["Command(5)"]);
        assert_eq!(offers(&["enter", "--tools", ""]), ["host", "Files"]);
    }
}
