//! The table on narrow and wide terminals.

use lxkns_answers::Context;
use lxkns_answers::testing::{BUSY, LEFT, NET, contained};
use lxkns_core::model::inside::{ListeningSocket, Network, Protocol, Surveyed, UnixKind, UnixSocket};
use lxkns_core::model::{Pid, SocketUser, Tid};

use super::*;
use crate::view::screen::Screen;
use crate::view::table;

fn text(columns: &[Column], width: usize) -> String {
    let snapshot = contained();
    let socket = |address: &str, port, inode| ListeningSocket {
        protocol: Protocol::Tcp,
        port,
        address: address.parse().unwrap(),
        takes_v4: address == "::",
        index: address.starts_with("fe80").then_some(2),
        interface: Some(b"enp0s31f6".to_vec()),
        inode,
        uid: 0,
    };
    let unix = UnixSocket { name: b"/run/a.sock".to_vec(), kind: UnixKind::Stream, inode: 40 };
    let with = |id, sockets, unix_sockets| {
        let network = Ok(Network { sockets, unix_sockets, ..Network::default() });
        Surveyed { id, network }
    };
    let surveyed = [
        with(NET, vec![socket("fe80::5054:ff:fe12:3456", 546, 9), socket("0.0.0.0", 8080, 10)], vec![unix]),
        with(BUSY, vec![socket("::", 8080, 20)], vec![]),
        with(LEFT, vec![socket("0.0.0.0", 8080, 30)], vec![]),
    ];
    let user = |inode, pid: u32| SocketUser::new(inode, Pid(pid), Tid(pid), 3);
    let users = vec![user(9, 1), user(10, 1), user(10, 200), user(20, 200), user(40, 1)];
    let ports = Ports::new(Context::of_dump(&snapshot), &surveyed, users, None, &[]);
    let headings: Vec<_> = columns.iter().map(|&column| heading(column)).collect();
    let mut out = Vec::new();
    let screen = Screen { width: Some(width), color: false };
    table::write_aligned(&mut out, &headings, &rows(&ports, columns, For::Eyes), true, screen).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn on_a_wide_terminal_each_is_a_line() {
    let expected = [
        "PROTO ADDRESS                           PORT NS               NAME       PROCESSES",
        "tcp   fe80::5054:ff:fe12:3456%enp0s31f6  546 net:[4026531833]            1 (init)",
        "tcp   0.0.0.0                           8080 net:[4026531833]            1 (init), 200 (sleep) in docker:web",
        "tcp   *                                 8080 net:[4026532200] docker:web 200 (sleep)",
        "tcp   0.0.0.0                           8080 net:[4026532300] cri:app    none visible",
        "unix  /run/a.sock                            net:[4026531833]            1 (init)",
    ];
    assert_eq!(text(&Column::default_columns(), 120).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn on_a_narrow_one_nothing_is_cut() {
    let expected = [
        "PROTO ADDRESS                  PORT NS               NAME       PROCESSES",
        "tcp   fe80::5054:ff:fe12:3456%enp0s31f6",
        "                                546 net:[4026531833]            1 (init)",
        "tcp   0.0.0.0                  8080 net:[4026531833]",
        "                                             1 (init), 200 (sleep) in docker:web",
        "tcp   *                        8080 net:[4026532200] docker:web 200 (sleep)",
        "tcp   0.0.0.0                  8080 net:[4026532300] cri:app    none visible",
        "unix  /run/a.sock                   net:[4026531833]            1 (init)",
    ];
    assert_eq!(text(&Column::default_columns(), 80).lines().collect::<Vec<_>>(), expected);
}
