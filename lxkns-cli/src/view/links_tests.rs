//! How links stand on terminals of 80 and 120 columns.

use lxkns_answers::Context;
use lxkns_answers::links::{Column, Links};
use lxkns_answers::testing::{BUSY, HOME, LEFT, NET, snapshot};
use lxkns_core::model::NamespaceId;
use lxkns_core::model::inside::{Link, Where};
use lxkns_core::model::links::{HostLink, HostLinkEnd, HostLinks, LinkId, LinkRelation};

use super::escape::For;
use super::links::{heading, rows, tree};
use super::screen::Screen;
use super::table::write_aligned;

fn link(ns: NamespaceId, index: u32, name: &str, kind: &str, peer: Option<(NamespaceId, u32)>) -> HostLink {
    let end = peer.map(|(ns, index)| HostLinkEnd {
        relation: LinkRelation::Peer,
        place: Where::There(ns),
        index: Some(index),
        name: None,
    });
    let link = Link { index, name: name.into(), kind: Some(kind.into()), operstate: Some(6), ..Link::default() };
    HostLink { id: LinkId { ns, index }, link, end }
}

fn text(width: usize, is_tree: bool) -> String {
    let snapshot = snapshot();
    let mut port = link(NET, 4, "veth-15-letters", "veth", Some((BUSY, 2)));
    port.link.master = Some(3);
    let all = vec![
        link(NET, 3, "br0", "bridge", None),
        port,
        link(NET, 5, "veth1a2b", "veth", Some((LEFT, 2))),
        link(BUSY, 2, "eth0", "veth", Some((NET, 4))),
        link(LEFT, 2, "eth0", "veth", Some((NET, 5))),
    ];
    let all = HostLinks::new(all, Vec::new(), Vec::new());
    let links = Links { context: Context { snapshot: &snapshot, mount_ns: Some(HOME), is_live: true }, all: &all };
    let columns = Column::default_columns();
    let headings: Vec<_> = columns.iter().map(|&column| heading(column)).collect();
    let shown = links.select(None);
    let rows = if is_tree { tree(&links, &shown, &columns) } else { rows(&links, &shown, &columns, For::Eyes) };
    let mut out = Vec::new();
    write_aligned(&mut out, &headings, &rows, true, Screen { width: Some(width), color: false }).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn no_name_or_number_is_cut() {
    for width in [80, 120] {
        for is_tree in [false, true] {
            let text = text(width, is_tree);
            assert!(text.lines().all(|line| line.chars().count() <= width), "{text}");
            let whole = [
                "veth-15-letters",
                "eth0 in net:[4026532200]",
                "net:[4026532300] (left)",
                "veth1a2b in net:[4026531833]",
            ];
            assert!(whole.iter().all(|words| text.contains(words)), "{text}");
        }
    }
}

#[test]
fn on_80_and_on_120_columns() {
    let narrow = "\
NAME            KIND   STATE MASTER NAMESPACE               OTHER-END
br0             bridge UP           net:[4026531833]
veth-15-letters veth   UP    br0    net:[4026531833]
                                 eth0 in net:[4026532200] of process 200 (sleep)
veth1a2b        veth   UP           net:[4026531833]
                           eth0 in net:[4026532300] (left), which has no process
eth0            veth   UP           net:[4026532200]
                         veth-15-letters in net:[4026531833] of process 1 (init)
eth0            veth   UP           net:[4026532300] (left)
                                veth1a2b in net:[4026531833] of process 1 (init)
";
    assert_eq!(text(80, false), narrow);
    let wide = "\
NAME              KIND   STATE MASTER NAMESPACE               OTHER-END
br0               bridge UP           net:[4026531833]
└─veth-15-letters veth   UP    br0    net:[4026531833]        eth0 in net:[4026532200] of process 200 (sleep)
  └─eth0          veth   UP           net:[4026532200]        veth-15-letters in net:[4026531833] of process 1 (init)
veth1a2b          veth   UP           net:[4026531833]        eth0 in net:[4026532300] (left), which has no process
└─eth0            veth   UP           net:[4026532300] (left) veth1a2b in net:[4026531833] of process 1 (init)
";
    assert_eq!(text(120, true), wide);
}
