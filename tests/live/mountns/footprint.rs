//! How little the helper is.

use lxkns_fixture::Actor;

use super::{LONG, enter, sandboxes};
use crate::harness::Need::Root;
use crate::harness::{Test, test};

pub(super) fn tests() -> Vec<Test> {
    vec![test("mountns::footprint::program", &[], program), test("mountns::footprint::memory", &[Root], memory)]
}

const MOST_BYTES: usize = 16 * 1024;
const MOST_KIB: u64 = 100;

/// Its size, and what its program headers say may be executed and written.
fn program() {
    let elf = lxkns_mountns::carried_helper().unwrap();
    println!("mntnssandbox: {} bytes", elf.len());
    assert!(elf.len() <= MOST_BYTES, "{} bytes", elf.len());
    let number = |at: usize, size: usize| {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(&elf[at..at + size]);
        u64::from_le_bytes(bytes) as usize
    };
    assert_eq!(elf[..6], *b"\x7fELF\x02\x01");
    let (first, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    let headers: Vec<_> = (0..count).map(|i| first + i * size).map(|at| (number(at, 4), number(at + 4, 4))).collect();
    const LOAD: usize = 1;
    const DYNAMIC: usize = 2;
    const INTERP: usize = 3;
    const GNU_STACK: usize = 0x6474_e551;
    const EXECUTE: usize = 1;
    const WRITE: usize = 2;
    let is_safe = |flags: usize| flags & (EXECUTE | WRITE) != EXECUTE | WRITE;
    assert!(headers.iter().any(|(kind, _)| *kind == LOAD));
    assert!(headers.iter().all(|(kind, flags)| *kind != LOAD || is_safe(*flags)), "{headers:x?}");
    assert!(headers.iter().any(|(kind, flags)| *kind == GNU_STACK && flags & EXECUTE == 0), "{headers:x?}");
    assert!(headers.iter().all(|(kind, _)| ![DYNAMIC, INTERP].contains(kind)), "it is static: {headers:x?}");
}

fn memory() {
    let sandboxes = sandboxes();
    let actor = Actor::spawn_in(&["mnt"]);
    let namespace = enter(&sandboxes, &actor);
    // The longest path is what makes it touch the most.
    let _ = namespace.open_path(&b"/x".repeat(8192), LONG);
    let pid = namespace.helper().unwrap();
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
    let private: u64 = rollup
        .lines()
        .filter(|line| line.starts_with("Private_"))
        .map(|line| line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap())
        .sum();
    println!("mntnssandbox: {private} KiB of private memory");
    assert!(private <= MOST_KIB, "{rollup}");
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    for line in maps.lines().filter(|line| !line.contains("[vsyscall]")) {
        let flags = line.split(' ').nth(1).unwrap();
        assert!(!(flags.contains('w') && flags.contains('x')), "{line}");
    }
}
