//! The control group of a process is the same in all views, in whatever hierarchy it is.

use lxkns_fixture::Actor;
use serde_json::Value;

use crate::harness::Need::Root;
use crate::harness::{Test, test};
use crate::live::processes::{Cgroup, hierarchy};
use crate::live::program::run_lxkns;

pub(super) fn tests() -> Vec<Test> {
    vec![test("cli::cgroups::one_in_all_views", &[Root], one_in_all_views)]
}

fn one_in_all_views() {
    let mut tried = 0;
    // As systemd does it, and as others do on a host with version 1.
    for (fs_type, option) in [("cgroup2", ""), ("cgroup", "name=systemd"), ("cgroup", "cpu"), ("cgroup", "memory")] {
        let Some(mounted) = hierarchy(fs_type, option) else { continue };
        tried += 1;
        let actor = Actor::spawn_in(&["uts"]);
        let (pid, uts) = (actor.pid().to_string(), actor.ns_inode("uts").to_string());
        let read = || std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
        // What it shares with the test stays out of the way.
        for (fs_type, line) in read()
            .lines()
            .map(|line| line.splitn(3, ':').collect::<Vec<_>>())
            .map(|line| if line[0] == "0" { ("cgroup2", line) } else { ("cgroup", line) })
        {
            let option = line[1].split(',').next().unwrap();
            if line[2] != "/"
                && let Some(top) = hierarchy(fs_type, option)
            {
                std::fs::write(top.join("cgroup.procs"), &pid).unwrap();
            }
        }
        let group = Cgroup::new(&mounted, "views");
        group.write("cgroup.procs", &pid);
        let by_the_kernel = read();
        let is_it = |line: &&str| line.ends_with(group.0.file_name().unwrap().to_str().unwrap());
        let path = by_the_kernel.lines().find(is_it).unwrap().splitn(3, ':').nth(2).unwrap();

        let listed = run_lxkns(["ls", "-rno", "CGROUP", &uts]).ok();
        assert_eq!(listed.text(), format!("{path}\n"), "{by_the_kernel}");
        let tree = run_lxkns(["tree", "proc", "--json", "--cgroup=full", &pid]).ok().json();
        let is_its = |row: &&Value| row["pid"] == actor.pid();
        let row = tree["results"].as_array().unwrap().iter().find(is_its).unwrap_or_else(|| panic!("{tree}"));
        assert_eq!(row["cgroup"], path, "{by_the_kernel}");
        let drawn = run_lxkns(["tree", "proc", "--cgroup=full", &pid]).ok();
        assert!(drawn.text().contains(&format!("({pid}) in {path}\n")), "{drawn:?}");

        let shown = run_lxkns(["show", &pid]).ok();
        let groups = shown.text().lines().skip_while(|line| !line.contains("Control groups")).skip(1);
        let groups: Vec<_> = groups.take_while(|line| !line.contains("frozen")).map(str::trim_start).collect();
        assert_eq!(groups[0].split_ascii_whitespace().nth(1), Some(path), "{shown:?}");
        let mut paths: Vec<_> = by_the_kernel.lines().map(|line| line.splitn(3, ':').nth(2).unwrap()).collect();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(groups.len(), paths.len(), "each path once: {shown:?}");
        drop(actor);
    }
    assert!(tried > 0, "no control groups are mounted here");
}
