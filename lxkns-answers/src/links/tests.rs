//! What is said of the links of a small host.

use lxkns_model::inside::{Link, Where};
use lxkns_model::links::{HostLink, HostLinkEnd, HostLinks, LinkId, LinkRelation, TunUser, UnreadLinks};
use lxkns_model::{CapabilitySet, NamespaceId, Observer, Pid, Snapshot, Tid, Uid};
use serde_json::json;

use super::*;
use crate::lacks::Lacks;
use crate::testing::{BUSY, HOME, LEFT, NET, USER, snapshot};
use crate::text::escape::For;

fn link(ns: NamespaceId, index: u32, name: &str, kind: &str, end: Option<(LinkRelation, Where, u32)>) -> HostLink {
    HostLink {
        id: LinkId { ns, index },
        link: Link { index, name: name.into(), kind: Some(kind.into()), ..Link::default() },
        end: end.map(|(relation, place, index)| HostLinkEnd { relation, place, index: Some(index), name: None }),
    }
}

/// A bridge with two veths: one to a namespace with a process, one to one without.
fn host_links() -> HostLinks {
    use LinkRelation::{Lower, Peer};
    let mut links = vec![
        link(NET, 3, "br0", "bridge", None),
        link(NET, 4, "veth4", "veth", Some((Peer, Where::There(BUSY), 2))),
        link(NET, 5, "veth\x1b", "veth", Some((Peer, Where::There(LEFT), 2))),
        link(NET, 6, "tap0", "tun", None),
        link(NET, 7, "far", "veth", Some((Peer, Where::NotFound(9), 3))),
        link(BUSY, 2, "eth0", "veth", Some((Peer, Where::There(NET), 4))),
        link(LEFT, 2, "eth0", "veth", Some((Peer, Where::There(NET), 5))),
        link(LEFT, 3, "mv0", "macvlan", Some((Lower, Where::There(NET), 3))),
    ];
    links[1].link.master = Some(3);
    links[2].link.master = Some(3);
    let user = TunUser { ns: NET, name: "tap0".into(), pid: Pid(200), tid: Tid(200), fd: 7 };
    let mut all = HostLinks::new(links, vec![(HOME, UnreadLinks::Denied(Some(USER)))], vec![user]);
    all.home = Some(NET);
    all
}

fn context(snapshot: &Snapshot) -> Context<'_> {
    Context { snapshot, mount_ns: Some(HOME), is_live: true }
}

fn name(links: &Links<'_>, id: LinkId) -> String {
    links.cell(links.all.get(id).unwrap(), Column::Name).printable(For::Eyes)
}

#[test]
fn a_link_has_both_ends_with_names() {
    let (snapshot, all) = (snapshot(), host_links());
    let links = Links { context: context(&snapshot), all: &all };
    let row = |index: usize| {
        let columns = [Column::Name, Column::Kind, Column::Master, Column::Namespace, Column::OtherEnd];
        columns.map(|column| links.cell(&all.all()[index], column).printable(For::Eyes)).join("|")
    };
    let rows: Vec<_> = (0..8).map(row).collect();
    assert_eq!(
        rows,
        [
            "br0|bridge||net:[4026531833]|",
            "veth4|veth|br0|net:[4026531833]|eth0 in net:[4026532200] of process 200 (sleep)",
            "veth\\x1b|veth|br0|net:[4026531833]|eth0 in net:[4026532300] (left), which has no process",
            "tap0|tun||net:[4026531833]|process 200 (sleep) fd 7",
            "far|veth||net:[4026531833]|if3 in a network namespace that was not found",
            "eth0|veth||net:[4026532200]|veth4 in net:[4026531833] of process 1 (init)",
            "eth0|veth||net:[4026532300] (left)|veth\\x1b in net:[4026531833] of process 1 (init)",
            "mv0|macvlan||net:[4026532300] (left)|on br0 in net:[4026531833] of process 1 (init)",
        ]
    );
    let cell = |column| links.cell(&all.all()[3], column).printable(For::Fields);
    assert_eq!(
        [Column::Pids, Column::Ns, Column::OtherEnd].map(cell),
        ["200", "4026531833", r"process\x20200\x20(sleep)\x20fd\x207"]
    );
    let of_busy: Vec<_> = links.select(Some(&[BUSY])).iter().map(|link| link.id).collect();
    assert_eq!(of_busy, [LinkId { ns: NET, index: 4 }, LinkId { ns: BUSY, index: 2 }]);
    assert_eq!(links.gaps().len(), 1);
    assert!(
        links.gaps()[0].ends_with("needs CAP_NET_ADMIN and CAP_SYS_ADMIN in user:[4026531837]"),
        "{:?}",
        links.gaps()
    );
    let lost = links.not_found().unwrap();
    assert!(lost.ends_with("that was not found (link:4026531833/far)"), "{lost}");
    let several = links.several("link:eth0", &[&all.all()[5], &all.all()[6]]);
    let expected = "link:eth0: several links have this name; name one of them: link:4026532200/eth0, link:4026532300/eth0 (netns \
        left)";
    assert_eq!(several, expected);
}

#[test]
fn what_leads_to_a_namespace_without_a_process_is_left_over() {
    let (mut snapshot, all) = (snapshot(), host_links());
    let links = Links { context: context(&snapshot), all: &all };
    let leftovers = links.leftovers(&Lacks::of(&snapshot));
    assert!(leftovers.all().iter().all(|left| left.is_certain && left.step.lacks.is_none()), "{leftovers:?}");
    // Who sees no more than a part of the processes does not know.
    snapshot.observer = Some(Observer { user_ns: Some(USER), ..Observer::new(Uid(7), CapabilitySet::NONE) });
    let links = Links { context: context(&snapshot), all: &all };
    let leftovers = links.leftovers(&Lacks::of(&snapshot));
    let words: Vec<_> =
        leftovers.all().iter().map(|left| format!("{}: {}", left.words(links.context), left.step)).collect();
    assert_eq!(
        words,
        [
            "veth\\x1b (veth) in net:[4026531833], peer of eth0 in net:[4026532300] (left), no process seen in it: \
             `ip link delete $'veth\\033'`, or net:4026532300 ends (lxkns why net:4026532300) (not as this user: needs \
             CAP_NET_ADMIN in user:4026531837)",
            "mv0 (macvlan) in net:[4026532300] (left), on br0 in net:[4026531833] of process 1 (init): `ip -n left link \
             delete mv0`, or net:4026532300 ends (lxkns why net:4026532300) (not as this user: needs CAP_NET_ADMIN and \
             CAP_SYS_ADMIN in user:4026531837)",
        ]
    );
    assert!(!leftovers.all().iter().any(|left| left.is_certain), "{leftovers:?}");
    assert_eq!(leftovers.of_orphan(LEFT).count(), 2);
    assert_eq!(leftovers.of_orphan(BUSY).count(), 0);
    // A process that moves in makes it live.
    snapshot.namespaces.get_mut(&LEFT).unwrap().leaders = vec![Pid(200)];
    let links = Links { context: context(&snapshot), all: &all };
    assert_eq!(links.leftovers(&Lacks::of(&snapshot)).all().len(), 0);
}

#[test]
fn a_tree_has_each_link_once() {
    let (snapshot, mut all) = (snapshot(), host_links());
    fn lines(links: &Links<'_>, shown: &[&HostLink]) -> String {
        let tree = links.tree(shown);
        let mut todo: Vec<_> = tree.roots.iter().rev().map(|&id| (0, id)).collect();
        let mut lines = Vec::new();
        while let Some((depth, id)) = todo.pop() {
            lines.push(format!("{}{}", "-".repeat(depth), name(links, id)));
            todo.extend(tree.children(id).iter().rev().map(|&id| (depth + 1, id)));
        }
        lines.join(" ")
    }
    let links = Links { context: context(&snapshot), all: &all };
    assert_eq!(
        lines(&links, &links.select(None)),
        "br0 -veth4 --eth0 -veth\\x1b --eth0 -mv0 tap0 far",
        "what was not shown is no parent"
    );
    assert_eq!(lines(&links, &links.select(Some(&[LEFT]))), "veth\\x1b -eth0 mv0");
    // Circles, which no kernel has, are cut.
    let circle =
        |index, below| link(NET, index, &format!("c{index}"), "vlan", Some((LinkRelation::Lower, Where::Here, below)));
    all = HostLinks::new(vec![circle(1, 2), circle(2, 3), circle(3, 1), circle(4, 4)], Vec::new(), Vec::new());
    let links = Links { context: context(&snapshot), all: &all };
    assert_eq!(lines(&links, &links.select(None)), "c3 -c2 --c1 c4");
}

#[test]
fn the_graph_has_an_edge_for_each_relation() {
    let (snapshot, all) = (snapshot(), host_links());
    let links = Links { context: context(&snapshot), all: &all };
    let leftovers = links.leftovers(&Lacks::of(&snapshot));
    let answer = links.answer(&links.select(Some(&[LEFT])), &leftovers);
    let graph = serde_json::to_value(&answer).unwrap();
    let (host, left) = (NET.ino, LEFT.ino);
    assert_eq!(
        graph["edges"],
        json!([
            {"from": [host, 5], "to": [left, 2], "relation": "peer"},
            {"from": [host, 5], "to": [host, 3], "relation": "master"},
            {"from": [left, 3], "to": [host, 3], "relation": "lower"},
        ])
    );
    let veth = &graph["links"][0];
    assert_eq!(
        (&veth["id"], &veth["master"], &veth["netns-name"]),
        (&json!([host, 5]), &json!([host, 3]), &json!(null))
    );
    assert_eq!((&veth["other-end"]["id"], &veth["other-end"]["netns-name"]), (&json!([left, 2]), &json!("left")));
    assert_eq!(veth["left-over"][0]["release"][0]["command"], "ip link delete $'veth\\033'");
    assert_eq!(
        (&graph["links"][1]["left-over"], &graph["links"][1]["target"]),
        (&json!(null), &json!("link:4026532300/eth0"))
    );
    let sheet = links.sheet(&all.all()[4], &leftovers, 5);
    assert!(sheet.sections.iter().any(|section| section.heading == "Other end"), "{sheet:?}");
}
