//! The namespaces and processes that a TARGET can be.

use std::path::PathBuf;
use std::time::Duration;

use bstr::{BString, ByteSlice as _};
use lxkns_answers::Context;
use lxkns_answers::links::{self, Links};
use lxkns_answers::names::{self, Detail};
use lxkns_answers::netns;
use lxkns_answers::resolve::{NoHost, Resolver};
use lxkns_answers::target::{Asked, PID_MAX, Target};
use lxkns_core::model::{DiscoveryOptions, Namespace, NamespaceId, NamespaceType, Pid, Places, Process, Snapshot};
use rustc_hash::FxHashMap;

use super::{Offer, is_plain};
use crate::args::{LookArgs, PatienceArgs, ReaderChoice};
use crate::live;

/// The kind of candidates.
pub(super) struct Asks<'a> {
    /// The typed text.
    pub(super) begins: &'a str,
    /// The types of namespaces; empty for all.
    pub(super) types: &'a [NamespaceType],
    pub(super) wanted: Wanted,
    /// The dump that the command reads.
    pub(super) from: Option<&'a str>,
    /// The TARGETs before it.
    pub(super) given: &'a [String],
}

/// The objects that fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// PIDs, and nothing else.
    Pids,
    /// Processes, in all forms of TARGETs.
    Processes,
    /// Processes, namespaces of processes, and namespaces.
    Both,
}

/// Deadline for the scan or the dump, since the user waits.
const PATIENCE: Duration = Duration::from_secs(1);

/// How links begin.
const LINK: &str = "link:";

/// The kernel thread that starts all others.
const KTHREADD: Pid = Pid(2);

/// The candidates of this host or of the dump.
pub(super) fn on_host(asks: &Asks<'_>) -> Vec<Offer> {
    if let Some(answer) = without_looking(asks) {
        return answer;
    }
    let from = asks.from.map(PathBuf::from);
    if from.as_ref().is_some_and(|path| path.as_os_str() == "-") {
        return Vec::new();
    }
    let mut options = DiscoveryOptions::namespaces();
    options.without_self = true;
    if asks.wanted != Wanted::Both {
        options.places = Places::NONE;
    }
    let look =
        LookArgs { from, patience: PatienceArgs { timeout: PATIENCE, engines: false, reader: ReaderChoice::Auto } };
    let is_live = look.from.is_none();
    match live::load(&look, &options) {
        Ok(snapshot) => {
            if asks.begins.starts_with(LINK) {
                return if is_live && asks.wanted == Wanted::Both { links(&snapshot, asks) } else { Vec::new() };
            }
            let home = crate::commands::home(&snapshot, is_live);
            of(&snapshot, home, asks)
        }
        Err(_) => Vec::new(),
    }
}

/// Candidates that follow from the typed text alone.
fn without_looking(asks: &Asks<'_>) -> Option<Vec<Offer>> {
    let (before, _) = asks.begins.split_once('/').filter(|_| !asks.begins.starts_with(LINK))?;
    let is_process = Asked::parse(before.as_ref()).is_ok_and(|asked| !asked.target.may_be_file());
    Some(match asks.wanted {
        Wanted::Pids | Wanted::Processes => Vec::new(),
        Wanted::Both if is_process => {
            let types = NamespaceType::ALL.into_iter().filter(|ns_type| fits(asks, *ns_type));
            types.map(|ns_type| Offer::word(format!("{before}/{ns_type}"), "")).collect()
        }
        // Paths are looked up on the living host only.
        Wanted::Both if asks.from.is_some() => Vec::new(),
        Wanted::Both => vec![Offer::Files],
    })
}

fn fits(asks: &Asks<'_>, ns_type: NamespaceType) -> bool {
    asks.types.is_empty() || asks.types.contains(&ns_type)
}

/// The containers, each by the shortest TARGET that begins as typed and means nothing else.
fn containers(snapshot: &Snapshot, resolver: &Resolver<'_>, asks: &Asks<'_>) -> Vec<Offer> {
    let list = snapshot.annotations.containers.iter().flat_map(|containers| &containers.list);
    let is_process = |text: &str| {
        let settled = Asked::parse(text.as_ref()).ok().and_then(|asked| resolver.settle(&asked).ok());
        settled.is_some_and(|asked| matches!(asked.target, Target::Process(_)))
    };
    let offers = list.enumerate().filter_map(|(index, container)| {
        let mut targets = resolver.targets_of_container(index).into_iter();
        let target = targets.find(|target| target.starts_with(asks.begins) && is_plain(target))?;
        if asks.wanted != Wanted::Both && !is_process(&target) {
            return None;
        }
        let image = container.image.as_ref().map(|image| names::text(&image.value)).unwrap_or_default();
        Some(Offer::word(target, format!("container {image}").trim_end().to_owned()))
    });
    offers.collect()
}

/// The links, each by its name, and by its network namespace too where that is needed or was typed.
fn links(snapshot: &Snapshot, asks: &Asks<'_>) -> Vec<Offer> {
    let Ok(all) = live::links(snapshot, PATIENCE) else { return Vec::new() };
    let links = Links { context: Context::live(snapshot, false), all: &all };
    let mut counts: FxHashMap<&[u8], usize> = FxHashMap::default();
    for link in all.all() {
        *counts.entry(&link.link.name).or_default() += 1;
    }
    let offers = all.all().iter().filter_map(|link| {
        let name = link.link.name.as_slice();
        // The name alone where no other link has it; with its network namespace where that is what was typed.
        let alone: BString = [LINK.as_bytes(), name].concat().into();
        let is_enough = counts.get(name) == Some(&1) && alone.starts_with(asks.begins.as_bytes());
        let target = if is_enough { alone } else { links.target(link.id) };
        let described = links.other_end(link).unwrap_or_else(|| names::text(links::kind(&link.link)));
        // What is no text cannot be typed.
        let text = target.to_str().ok().filter(|text| text.starts_with(asks.begins) && is_plain(text))?.to_owned();
        Some(Offer::word(text, described))
    });
    offers.collect()
}

/// The candidates of a snapshot.
fn of(snapshot: &Snapshot, home: Option<NamespaceId>, asks: &Asks<'_>) -> Vec<Offer> {
    let mut offers = Vec::new();
    let names = home.map(|home| netns::names(snapshot, home)).unwrap_or_default();
    // What is offered is in the snapshot: no path is looked up.
    let resolver = Resolver::new(Context { snapshot, mount_ns: home, is_live: false }, &NoHost);
    let means = |text: &str, id: NamespaceId| {
        Asked::parse(text.as_ref()).is_ok_and(|asked| resolver.resolve(&asked).is_ok_and(|ids| ids == [id]))
    };
    if asks.from.is_none() && asks.wanted != Wanted::Pids {
        offers.push(Offer::word("self", "the calling process"));
    }
    if asks.wanted == Wanted::Both {
        if snapshot.namespaces.values().any(|namespace| namespace.initial) {
            offers.push(Offer::word("host", "the initial namespaces"));
        }
        for (name, id) in names.iter().filter(|_| fits(asks, NamespaceType::Net)) {
            let (name, described) = (name.to_string(), names::namespace(snapshot, *id));
            // A short form is replaced with the whole TARGET.
            let whole = format!("netns:{name}");
            let is_bare = means(&name, *id);
            if is_bare {
                offers.push(Offer::word(name, described.clone()));
            }
            if (!is_bare || asks.begins.starts_with("netns")) && means(&whole, *id) {
                offers.push(Offer::word(whole, described));
            }
        }
        let namespaces = snapshot.namespaces_by_type().into_iter().filter(|namespace| fits(asks, namespace.ns_type));
        for namespace in namespaces {
            let described = describe(snapshot, namespace, &names);
            offers.push(Offer::word(names::target(snapshot, namespace.id), described.clone()));
            // These are offered only after their first characters.
            if asks.begins.parse().is_ok_and(|number: u64| number > PID_MAX) {
                offers.push(Offer::word(namespace.id.ino.to_string(), described.clone()));
            }
            if let Some(unique_id) = namespace.unique_id.filter(|_| asks.begins.starts_with(':')) {
                let named = names::namespace(snapshot, namespace.id);
                offers.push(Offer::word(format!(":{unique_id}"), format!("{named} {described}")));
            }
        }
    }
    if asks.wanted != Wanted::Pids {
        offers.extend(containers(snapshot, &resolver, asks));
    }
    let is_of_kernel = |process: &Process| process.pid == KTHREADD || process.ppid == Some(KTHREADD);
    // Kernel threads are offered only after the first digit.
    let processes = snapshot.processes.values().filter(|process| !asks.begins.is_empty() || !is_of_kernel(process));
    offers.extend(processes.map(|process| Offer::word(process.pid.to_string(), names::text(process.comm()))));
    offers.retain(|offer| match offer {
        Offer::Word { text, .. } => {
            text.starts_with(asks.begins) && is_plain(text) && !asks.given.iter().any(|given| given == text)
        }
        _ => true,
    });
    offers
}

/// The description that distinguishes a namespace from others of its type.
fn describe(snapshot: &Snapshot, namespace: &Namespace, netns: &[(bstr::BString, NamespaceId)]) -> String {
    let name = netns.iter().find(|(_, id)| *id == namespace.id).map(|(name, _)| format!("netns {}", names::text(name)));
    let leader = namespace.leaders.first().map(|pid| names::process(snapshot, *pid, Detail::Brief));
    let parts: Vec<_> = [name, leader].into_iter().flatten().collect();
    match parts.is_empty() {
        true if namespace.loose_threads.is_empty() => "no process seen in it".to_owned(),
        true => "only tasks of processes elsewhere".to_owned(),
        false => parts.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lxkns_answers::testing::{HOME, contained, snapshot};
    use lxkns_core::model::Said;

    fn offered(begins: &str, types: &[NamespaceType], wanted: Wanted) -> Vec<String> {
        offered_of(&snapshot(), begins, types, wanted)
    }

    fn offered_of(snapshot: &Snapshot, begins: &str, types: &[NamespaceType], wanted: Wanted) -> Vec<String> {
        let asks = Asks { begins, types, wanted, from: None, given: &["100".to_owned()] };
        let offers = without_looking(&asks).unwrap_or_else(|| of(snapshot, Some(HOME), &asks));
        offers
            .into_iter()
            .map(|offer| match offer {
                Offer::Word { text, description } => format!("{text} {description}"),
                other => format!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn namespaces_and_processes_with_what_tells_them_apart() {
        assert_eq!(offered("net:40265322", &[], Wanted::Both), ["net:4026532200 200 (sleep)"]);
        assert_eq!(offered("4026532300", &[], Wanted::Both), ["4026532300 netns left"]);
        assert_eq!(offered(":1300", &[], Wanted::Both), [":1300 net:[4026532300] netns left"]);
        assert_eq!(offered("20", &[], Wanted::Pids), ["200 sleep"]);
        assert_eq!(offered("lef", &[], Wanted::Both), ["left net:[4026532300]"]);
        assert_eq!(offered("netns", &[], Wanted::Both), ["netns:left net:[4026532300]"]);
        assert_eq!(offered("sel", &[], Wanted::Processes).len(), 1);
        assert!(offered("sel", &[], Wanted::Pids).is_empty());
        let all = offered("", &[NamespaceType::Net], Wanted::Both);
        assert!(all.iter().any(|text| text.starts_with("net:4026532300 ")), "{all:?}");
        assert!(!all.iter().any(|text| text.starts_with("mnt:")), "{all:?}");
        assert!(offered("", &[], Wanted::Pids).iter().all(|text| !text.contains(':')));
    }

    /// Containers of other names: as a network namespace of `ip netns` has, another container, a process, a type and a file.
    #[test]
    fn what_is_offered_means_one_thing() {
        let mut snapshot = contained();
        let containers = snapshot.annotations.containers.as_mut().unwrap();
        let web = containers.list[0].clone();
        for (name, id) in [("left", "a1"), ("web", "b2"), ("200", "c3"), ("net", "d4"), ("a/b", "e5"), ("b2", "f6")] {
            let mut other = web.clone();
            (other.name, other.id) = (Some(Said { value: name.into(), by: 0 }), id.into());
            containers.list.push(other);
        }
        let mut ended = web;
        (ended.name, ended.main, ended.network_path) = (Some(Said { value: "ended".into(), by: 0 }), None, None);
        ended.id = "0e".into();
        containers.list.push(ended);
        let words = |begins: &str, wanted| {
            let all = offered_of(&snapshot, begins, &[], wanted).into_iter();
            all.map(|text| text.split(' ').next().unwrap().to_owned()).collect::<Vec<_>>()
        };
        let mut named = words("", Wanted::Both);
        named.retain(|word| {
            word == "net" || ["docker", "pod", "netns", "app", "web"].iter().any(|begin| word.starts_with(begin))
        });
        let web = format!("docker:{}", snapshot.annotations.containers.as_ref().unwrap().list[0].id);
        let expected = ["netns:left", &web, "app", "docker:left", "docker:200", "net", "docker:e5", "docker:f6"];
        assert_eq!(named, expected);
        let resolver = Resolver::new(Context { snapshot: &snapshot, mount_ns: Some(HOME), is_live: false }, &NoHost);
        for begins in ["", "docker:", "cri:", "pod:", "netns", "l", "w"] {
            for word in words(begins, Wanted::Both).into_iter().filter(|word| word != "self") {
                let resolved = resolver.resolve(&Asked::parse(word.as_ref()).unwrap());
                assert!(resolved.is_ok(), "{word}: {resolved:?}");
            }
        }
        // It has a namespace and no process.
        assert_eq!(words("app", Wanted::Processes), [""; 0]);
        assert_eq!(words("docker:le", Wanted::Processes), ["docker:left"]);
    }

    #[test]
    fn a_slash_after_a_pid_is_followed_by_types_and_elsewhere_by_files() {
        assert_eq!(offered("12/", &[NamespaceType::Net], Wanted::Both), ["12/net "]);
        for text in ["12/", "self/", "host/", "12:34/"] {
            assert_eq!(offered(text, &[], Wanted::Both).len(), 8);
        }
        assert_eq!(offered("/run/ne", &[], Wanted::Both), ["Files"]);
        assert!(offered("12/", &[], Wanted::Processes).is_empty());
    }
}
