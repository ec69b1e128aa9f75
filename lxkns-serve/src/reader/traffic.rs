//! Metrics of network namespaces that have a name: who listens there, and what has passed their links. Only where that is
//! wanted: containers choose these names. How many series there are is bounded, and those left out are counted.

use std::collections::BTreeMap;

use lxkns_answers::forms::NamespaceForm;
use lxkns_answers::names::lossy;
use lxkns_core::Snapshot;
use lxkns_core::model::inside::{LinkCounters, Parts};
use lxkns_core::model::{NamespaceId, NamespaceType};

use super::host::Host;
use super::questions::home;
use crate::exposition::{Family, Kind};

/// The most series of a metric.
const MOST: usize = 1000;
/// The most bytes of their labels. Names of the greatest length that the kernel takes fit in.
const MOST_BYTES: usize = 512 << 10;

/// The names of a network namespace, as labels: that of its container, and that in `ip netns`. Both are empty for the host's.
type Names = (String, String);

/// Whose a series is, and what it is about.
type Key<W> = (Names, W);

/// The names of a network namespace; `None` where it has none and is not the host's.
fn names(snapshot: &Snapshot, id: NamespaceId) -> Option<Names> {
    let namespace = snapshot.namespaces.get(&id)?;
    let form = NamespaceForm::of(snapshot, namespace, home(snapshot));
    let container =
        form.whose.container.flatten().map(|container| container.name.unwrap_or(container.id)).unwrap_or_default();
    let netns = form.netns_name.flatten().unwrap_or_default();
    let is_named = namespace.initial || !container.is_empty() || !netns.is_empty();
    is_named.then_some((container, netns))
}

/// The first series of a metric, by container, network namespace and subject, as far as the bounds allow; and the number of
/// those left out. So long names cannot displace other metrics.
fn bounded<W: AsRef<str> + Ord, V>(all: BTreeMap<Key<W>, V>, unnamed: usize) -> (Vec<(Key<W>, V)>, usize) {
    let (count, mut bytes) = (all.len(), 0);
    let mut has_room = |((container, netns), what): &Key<W>| {
        bytes += container.len() + netns.len() + what.as_ref().len();
        bytes <= MOST_BYTES
    };
    let kept: Vec<_> = all.into_iter().take(MOST).take_while(|(key, _)| has_room(key)).collect();
    let omitted = count - kept.len() + unnamed;
    (kept, omitted)
}

fn omitted(of: &str, count: usize) -> Family {
    let help = format!("Series of {of} that are left out: their network namespace has no name, or there are too many");
    Family::new(Kind::Gauge, &format!("{of}_omitted"), &help).with(&[], count as f64)
}

/// How many sockets listen, by protocol.
pub(crate) fn ports(host: &Host, snapshot: &Snapshot) -> Vec<Family> {
    const NAME: &str = "lxkns_listening_sockets";
    let nets: Vec<_> =
        snapshot.namespaces.values().filter(|ns| ns.ns_type == NamespaceType::Net).map(|ns| ns.id).collect();
    let parts = Parts { sockets: true, ..Parts::default() };
    let surveyed = lxkns_inside::survey(&host.session, snapshot, &nets, parts, &host.inside, host.settings.timeout);
    let (mut counts, mut unnamed, mut unread) = (BTreeMap::<_, u64>::new(), 0, 0);
    for one in &surveyed {
        let Ok(network) = &one.network else {
            unread += 1;
            continue;
        };
        let Some(names) = names(snapshot, one.id) else {
            unnamed += usize::from(!network.sockets.is_empty());
            continue;
        };
        for socket in &network.sockets {
            *counts.entry((names.clone(), socket.protocol.name())).or_default() += 1;
        }
    }
    let mut family = Family::new(Kind::Gauge, NAME, "Sockets that listen, by whose network namespace they are in");
    let (counts, left_out) = bounded(counts, unnamed);
    for (((container, netns), protocol), count) in counts {
        family.push("", &[("container", &container), ("netns", &netns), ("protocol", protocol)], count as f64);
    }
    let help = "Network namespaces whose listening sockets could not be read";
    let unread = Family::new(Kind::Gauge, "lxkns_listening_sockets_unread", help).with(&[], f64::from(unread));
    vec![family, omitted(NAME, left_out), unread]
}

/// What has passed each link.
pub(crate) fn links(host: &Host, snapshot: &Snapshot) -> Vec<Family> {
    /// The names of counters, and where they are.
    type Of = fn(&LinkCounters) -> [u64; 2];
    const COUNTERS: [(&str, &str, Of); 4] = [
        ("bytes", "Bytes that have passed a link", |counters| counters.bytes),
        ("packets", "Packets that have passed a link", |counters| counters.packets),
        ("errors", "Packets with errors on a link", |counters| counters.errors),
        ("dropped", "Packets that were dropped on a link", |counters| counters.dropped),
    ];
    let all = host.links(snapshot);
    let (mut counted, mut unnamed, mut of) = (BTreeMap::new(), 0, None);
    for link in all.all() {
        let Some(counters) = link.link.counters else { continue };
        // They come by namespace.
        if of.as_ref().is_none_or(|(ns, _)| *ns != link.id.ns) {
            of = Some((link.id.ns, names(snapshot, link.id.ns)));
        }
        let Some((_, Some(names))) = &of else {
            unnamed += 1;
            continue;
        };
        // Two containers can have the same name.
        let of_name: &mut LinkCounters = counted.entry((names.clone(), lossy(&link.link.name))).or_default();
        add(of_name, &counters);
    }
    let (counted, left_out) = bounded(counted, unnamed);
    let mut families = Vec::new();
    for (name, help, of) in COUNTERS {
        let mut family = Family::new(Kind::Counter, &format!("lxkns_link_{name}"), help);
        for (((container, netns), link), counters) in &counted {
            for (direction, count) in ["receive", "transmit"].into_iter().zip(of(counters)) {
                let labels =
                    [("container", container.as_str()), ("netns", netns), ("link", link), ("direction", direction)];
                family.push("", &labels, count as f64);
            }
        }
        families.push(family);
    }
    let help = "Network namespaces whose links could not be read";
    let unread = Family::new(Kind::Gauge, "lxkns_links_unread", help).with(&[], all.unread.len() as f64);
    families.extend([omitted("lxkns_links", left_out), unread]);
    families
}

fn add(to: &mut LinkCounters, more: &LinkCounters) {
    let LinkCounters { packets, bytes, errors, dropped, .. } = to;
    for (to, more) in [(packets, more.packets), (bytes, more.bytes), (errors, more.errors), (dropped, more.dropped)] {
        to.iter_mut().zip(more).for_each(|(to, more)| *to = to.wrapping_add(more));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_counted() {
        let all = |count: usize, length: usize| {
            let name = |number: usize| format!("{number:0length$}");
            let series = (0..count).map(|number| (((name(number), String::new()), "tcp"), number));
            bounded(series.collect(), 3)
        };
        let (kept, omitted) = all(MOST + 7, 8);
        assert_eq!((kept.len(), omitted), (MOST, 10));
        assert!(kept.iter().map(|(_, number)| *number).eq(0..MOST));
        // Names of 255 bytes, as the kernel's longest, all fit; longer ones are for engines.
        assert_eq!(all(MOST, 255).0.len(), MOST);
        let (kept, omitted) = all(MOST, 4096);
        assert_eq!((kept.len(), omitted), (MOST_BYTES / 4099, MOST - MOST_BYTES / 4099 + 3));
    }
}
