//! Hostile containers: they attack every process that enters their PID namespace, and must gain nothing from `lxkns enter`.
//!
//! The rule under test: no process of lxkns is visible in a foreign PID namespace, or in one between that and the caller's,
//! while it has any power, descriptor, memory or name that the processes in there have not.
//!
//! `LXKNS_TEST_ATTACKS=200` sets the number of runs per attack, and prints what each attack caught.

mod caught;
mod container;
mod killed;
mod outside;
mod runs;

use lxkns_fixture::Method;

use crate::harness::Need::{self, File, Program, RealProcessor, Root};
use crate::harness::{Test, test};

use container::Kind;
use runs::{Attack, Load};

const NEEDS: &[Need] = &[Root, Program("busybox"), File("/proc/thread-self/children")];

const AT_LENGTH: &[Need] = &[Root, Program("busybox"), File("/proc/thread-self/children"), RealProcessor];

pub(super) fn tests() -> Vec<Test> {
    let mut tests = vec![test("enter::attacked::finds_what_is_there", NEEDS, caught::finds_what_is_there)];
    for kind in Kind::ALL {
        for method in [Method::Look, Method::Seize, Method::Hold, Method::Forge, Method::Stop, Method::Kill] {
            if !kind.traces() && matches!(method, Method::Seize | Method::Hold | Method::Forge) {
                continue;
            }
            for load in [Load::Idle, Load::Busy] {
                tests.push(attack(Attack { kind, method, load, tool: false }));
            }
        }
    }
    for method in [Method::Look, Method::Seize] {
        tests.push(attack(Attack { kind: Kind::Tracing, method, load: Load::Idle, tool: true }));
    }
    tests.extend(killed::tests());
    tests.extend(outside::tests());
    tests
}

fn attack(attack: Attack) -> Test {
    let Attack { kind, method, load, tool } = attack;
    let tool = if tool { "_a_tool" } else { "" };
    let name = format!("enter::attacked::{}_{}{tool}{}", kind.name(), method_name(method), load.name());
    // What the others try, more often or in other ways, takes long where the processor is emulated.
    let is_essential = matches!(method, Method::Look | Method::Seize | Method::Stop);
    let needs = if load == Load::Idle && is_essential { NEEDS } else { AT_LENGTH };
    test(name.clone(), needs, move || runs::attacked(&name, attack))
}

fn method_name(method: Method) -> &'static str {
    match method {
        Method::Look => "looks",
        Method::Seize => "seizes",
        Method::Hold => "holds",
        Method::Forge => "forges",
        Method::Stop => "stops",
        Method::Kill => "kills",
    }
}
