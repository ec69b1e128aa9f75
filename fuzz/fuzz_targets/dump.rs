//! Reads a dump, and asks all that can be asked of one.

#![no_main]

use std::io::sink;

use lxkns_answers::audit::{Audit, Plan};
use lxkns_answers::busy::Busy;
use lxkns_answers::caps::Caps;
use lxkns_answers::changes::Between;
use lxkns_answers::containers::Matrix;
use lxkns_answers::counts::Counts;
use lxkns_answers::explain::{Action, Explanation};
use lxkns_answers::lacks::Lacks;
use lxkns_answers::links::Links;
use lxkns_answers::list::{Column, List};
use lxkns_answers::orphans::orphans;
use lxkns_answers::release::Advice;
use lxkns_answers::resolve::{NoHost, Resolver};
use lxkns_answers::show::Reference;
use lxkns_answers::target::Asked;
use lxkns_answers::tree::{Kind, Shown, Tree};
use lxkns_answers::who_can::WhoCan;
use lxkns_answers::{Context, json};
use lxkns_live::questions::{
    self, audit, busy, caps, containers, diff, doctor, explain, list, mounts, show, tree, who_can, why,
};
use lxkns_model::links::HostLinks;
use lxkns_model::{Capability, DeviceNumber, FileSystemQuery, NamespaceId, NamespaceType, Pid, Snapshot, wire};

lxkns_fuzz::changes_json!();

libfuzzer_sys::fuzz_target!(|dump: &[u8]| {
    let snapshot = match wire::read(dump) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            let line = error.to_string();
            assert!(!line.contains('\n') && line.len() < 1000, "{line:?}");
            return;
        }
    };
    let mut written = Vec::new();
    wire::write(&snapshot, &wire::WriteOptions::default(), &mut written).expect("memory takes it");
    let again = wire::read(written.as_slice()).expect("what was written is a dump");
    let mut twice = Vec::new();
    wire::write(&again, &wire::WriteOptions::default(), &mut twice).expect("memory takes it");
    assert!(written == twice, "{}\n{}", String::from_utf8_lossy(&written), String::from_utf8_lossy(&twice));
    assert!(
        String::from_utf8(written)
            .expect("JSON")
            .chars()
            .all(|letter| letter == '\n' || wire::is_safe_to_print(letter))
    );
    ask(&snapshot, &again);
});

/// Each question, about everything there is.
fn ask(snapshot: &Snapshot, again: &Snapshot) {
    let context = Context::of_dump(snapshot);
    let resolver = Resolver::new(context, &NoHost);
    let asked = |text: String| Asked::parse(text.as_ref()).ok();
    let namespaces =
        snapshot.namespaces.keys().filter_map(|id| asked(format!(":{}", id.ino)).or(asked(id.ino.to_string())));
    let targets: Vec<_> = snapshot.processes.keys().map(|pid| Asked::process(pid.0)).chain(namespaces).collect();
    let names = snapshot.annotations.containers.iter().flat_map(|all| &all.list);
    let names: Vec<_> = names.filter_map(|container| asked(String::from_utf8_lossy(&container.id).into())).collect();
    let ids: Vec<NamespaceId> = snapshot.namespaces.keys().copied().collect();

    let found = questions::find(&resolver, &targets, &mut |_| {});
    questions::find(&resolver, &names, &mut |_| {});
    let columns: Vec<_> = Column::all().collect();
    let shown = list::select(snapshot, Some(&found), &[]);
    json::write(&List::new(context, snapshot.annotations.netnsids.clone()).answer(&shown, &columns), sink())
        .expect("a sink");

    for kind in [Kind::User, Kind::Ownership, Kind::Pid, Kind::OwnedPid, Kind::Process] {
        let forest = kind.forest(context);
        for target in &targets {
            let _ = tree::branch(snapshot, &resolver, &forest, kind, target, None);
        }
        let shown = Shown { all_leaders: true, owners: true, ..Shown::of(kind) };
        tell(&tree::answer(&Tree::new(context, forest, shown), Vec::new()));
    }

    let advice = Advice::of(context);
    let subjects = why::Subjects::find(&resolver, &targets, &mut |_| {});
    tell(&subjects.answer(&advice, &context, questions::gap_lines(snapshot, why::places())));
    tell(&questions::orphans::answer(&context, &orphans(&advice, &[]), None, usize::MAX, Vec::new()));

    if let Some(matrix) = Matrix::of(snapshot) {
        let all = containers::select(&matrix, &resolver, &names, &mut |_| {});
        let matrix = containers::with_labels(None, matrix, &all);
        matrix.tree(&all);
        tell(&containers::answer(&matrix, &all, Vec::new()));
    }
    let mut plan = audit::plan(snapshot, &resolver, &targets, &mut |_| {});
    plan.subjects.extend(Plan::of_containers(snapshot).unwrap_or_default().subjects);
    let audited = Audit::new(context, &plan, None);
    let judgements: Vec<_> = plan.subjects.iter().map(|subject| audited.judge(subject)).collect();
    tell(&audit::answer(&audited, &judgements, audited.remarks()));

    for (id, all) in &snapshot.mounts {
        tell(&mounts::answer(mounts::found(snapshot, *id, false).expect("it is in there"), Vec::new()));
        for mount in all {
            let about = Busy::new(context, FileSystemQuery::new(mount.file_system), Some(mount), None);
            tell(&busy::answer(&about, Vec::new()));
        }
    }
    let none = FileSystemQuery::new(DeviceNumber { major: 0, minor: 1 });
    tell(&busy::answer(&Busy::new(context, none, None, None), Vec::new()));

    for process in snapshot.processes.values() {
        tell(&caps::answer(&Caps::of(snapshot, process, &ids), Vec::new()));
        for words in [&["unshare", "-Urmnpf"][..], &["clone", "-U"], &["fork"], &["setns", "1"]] {
            let action = Action::parse(words).expect("an action");
            let on = if action.targets.is_empty() { Vec::new() } else { vec![ids.clone()] };
            tell(&explain::answer(&Explanation::of(snapshot, process, &action, &on, None), Vec::new()));
        }
    }
    let sys_admin = Capability::from_number(21).expect("CAP_SYS_ADMIN");
    tell(&who_can::answer(&WhoCan::of(snapshot, &[], sys_admin, &ids), Vec::new()));

    let (counts, links) = (Counts::of(snapshot), HostLinks::default());
    let links = Links { context, all: &links };
    let items = show::find(&resolver, &targets, &mut |_| {});
    let insides = items.iter().map(|_| Default::default()).collect();
    let shown = show::shown(
        context,
        &counts,
        &links,
        show::Teller { proc: None, reference: Reference::Initial },
        &items,
        insides,
    );
    let gaps = show::gaps(snapshot, &targets, &items);
    tell(&show::answer(&links, &links.leftovers(&Lacks::of(snapshot)), &items, &shown, gaps));

    let mut gaps = snapshot.clone();
    let report = doctor::found(&mut gaps, None);
    tell(&doctor::answer(&gaps, report));
    mounts::keep_gaps(&mut gaps, None);

    // What has a namespace less, and a process less.
    let mut old = again.clone();
    old.namespaces.pop_last();
    old.processes.pop_first();
    for (old, new) in [(&old, snapshot), (snapshot, &old)] {
        if let Ok(found) = diff::changes(old, new, &[NamespaceType::Net, NamespaceType::Mnt], false) {
            let between = Between { old, new: Context::of_dump(new) };
            diff::write(&between, &found.namespaces, &mut sink()).expect("a sink");
        }
    }
    let _ = resolver.absence(Pid(7));
}

fn tell(answer: &impl serde::Serialize) {
    json::write(answer, sink()).expect("a sink");
}
