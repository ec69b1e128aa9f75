//! Which mounts are hidden, by hand and against a walk of each path.

use std::collections::BTreeSet;

use bstr::ByteSlice as _;
use proptest::prelude::*;

use super::*;
use crate::DeviceNumber;

fn mount(id: u64, parent_id: u64, path: &str) -> Mount {
    Mount::new(id, parent_id, DeviceNumber { major: 0, minor: 1 }, "tmpfs", Some(path))
}

/// The IDs of those that are not hidden.
fn visible(mounts: &[Mount], root: Option<u64>) -> Vec<u64> {
    let hidden = hidden_mounts(mounts, root);
    mounts.iter().zip(hidden).filter(|(_, hidden)| !hidden).map(|(mount, _)| mount.id).collect()
}

#[test]
fn nothing_is_hidden_where_nothing_is_covered() {
    let mounts = [mount(10, 1, "/"), mount(11, 10, "/a"), mount(12, 11, "/a/b"), mount(13, 10, "/a b")];
    assert_eq!(visible(&mounts, Some(10)), [10, 11, 12, 13]);
    assert_eq!(visible(&mounts, None), [10, 11, 12, 13]);
    assert!(visible(&[], None).is_empty());
}

#[test]
fn of_a_stack_the_topmost_is_seen_and_what_is_on_it() {
    let mounts = [
        mount(10, 1, "/"),
        mount(11, 10, "/a"),
        mount(12, 11, "/a/b"),
        mount(13, 11, "/a"),
        mount(14, 13, "/a"),
        mount(15, 13, "/a/b"),
        mount(16, 14, "/a/b"),
    ];
    assert_eq!(visible(&mounts, Some(10)), [10, 14, 16]);
}

#[test]
fn what_covers_a_directory_above_hides_neighbours_below_it() {
    let mounts = [mount(10, 1, "/"), mount(11, 10, "/a/b"), mount(12, 11, "/a/b/c"), mount(13, 10, "/a")];
    assert_eq!(visible(&mounts, Some(10)), [10, 13]);
    // The same path once more, on what covers the first.
    let again = [&mounts[..], &[mount(14, 13, "/a/b"), mount(15, 10, "/a0/b")]].concat();
    assert_eq!(visible(&again, Some(10)), [10, 13, 14, 15]);
}

#[test]
fn an_overmounted_root_is_seen_by_those_who_were_there_before() {
    let mounts = [mount(10, 1, "/"), mount(11, 10, "/p"), mount(12, 10, "/"), mount(13, 12, "/p"), mount(14, 12, "/")];
    assert_eq!(visible(&mounts, Some(10)), [10, 11]);
    assert_eq!(visible(&mounts, Some(12)), [12, 13]);
    assert_eq!(visible(&mounts, None), [14]);
    assert_eq!(visible(&mounts, Some(14)), [14]);
    // A root directory that is elsewhere says nothing of what others see.
    assert_eq!(visible(&mounts, Some(11)), [14]);
    assert_eq!(visible(&mounts, Some(99)), [14]);
}

#[test]
fn a_list_without_a_root_begins_with_what_there_is() {
    let mounts =
        [mount(20, 5, "/jail/proc"), mount(21, 20, "/jail/proc/sys"), mount(22, 6, "/other"), mount(23, 5, "/jail")];
    assert_eq!(visible(&mounts, None), [22, 23]);
    assert_eq!(visible(&mounts[..3], None), [20, 21, 22]);
}

#[test]
fn a_mount_without_a_path_is_hidden_with_all_that_is_on_it() {
    let mut mounts = vec![mount(10, 10, "/"), mount(11, 10, "/a"), mount(12, 11, "/a/b")];
    mounts[1].point = None;
    assert_eq!(visible(&mounts, None), [10]);
}

#[test]
fn circles_and_repeated_ids_end() {
    let mounts =
        [mount(1, 2, "/a"), mount(2, 3, "/a"), mount(3, 1, "/b"), mount(4, 1, "/"), mount(5, 9, "/"), mount(5, 1, "/")];
    for root in [None, Some(1), Some(5)] {
        assert_eq!(visible(&mounts, root), [5], "{root:?}");
    }
    assert_eq!(visible(&mounts, Some(4)), [4, 5]);
    let tree = MountTree::of(&mounts);
    let mut seen = Vec::new();
    let mut todo = tree.roots().to_vec();
    while let Some(index) = todo.pop() {
        seen.push(index);
        todo.extend(tree.children(index));
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5]);
    assert_eq!(tree.children(99), [0; 0]);
}

/// Would take hours if each mount were compared with each, or each path with all above it.
#[test]
fn a_great_many_mounts_take_no_time() {
    const MANY: u64 = 100_000;
    let stack: Vec<_> = (0..MANY).map(|id| mount(id + 10, id + 9, "/")).collect();
    assert_eq!(visible(&stack, None), [MANY + 9]);
    let beside: Vec<_> = (0..MANY).map(|id| mount(id + 10, 10, &format!("/{id}"))).collect();
    assert_eq!(visible(&beside, None).len(), MANY as usize);
    // Each path is below the one before, and the mount on the first hides all others.
    let mut path = String::new();
    let deep = (0..2000).map(|id| {
        path += "/d";
        mount(id + 10, 9, &path)
    });
    let deep: Vec<_> = [mount(9, 9, "/")].into_iter().chain(deep).collect();
    assert_eq!(visible(&deep, None), [9, 10]);
    let circle: Vec<_> = (0..MANY).map(|id| mount(id, (id + 1) % MANY, "/x")).collect();
    assert!(visible(&circle, None).is_empty());
}

/// Where a path leads to, from the mount `root`; a mount at `/` itself is entered if `enters`.
fn walk(mounts: &[Mount], root: u64, enters: bool, path: &str) -> u64 {
    let mut at = root;
    let mut prefix = String::from("/");
    let on = |at: u64, path: &str| {
        mounts.iter().find(|mount| mount.id != at && mount.parent_id == at && mount.path().unwrap() == path)
    };
    let follow = |at: &mut u64, path: &str| {
        while let Some(next) = on(*at, path) {
            *at = next.id;
        }
    };
    if enters {
        follow(&mut at, "/");
    }
    for name in path.split('/').filter(|name| !name.is_empty()) {
        if prefix.len() > 1 {
            prefix.push('/');
        }
        prefix += name;
        follow(&mut at, &prefix);
    }
    at
}

/// Mounts that the kernel could have made: each on one before it, at or below its path, and no two at the same place.
fn mounts() -> impl Strategy<Value = Vec<Mount>> {
    let step = (any::<prop::sample::Index>(), prop::collection::vec(prop::sample::select(vec!["a", "b", "a!"]), 0..3));
    prop::collection::vec(step, 0..40).prop_map(|steps| {
        let mut mounts = vec![mount(100, 1, "/")];
        let mut places = BTreeSet::new();
        for (on, below) in steps {
            let parent = on.get(&mounts);
            let mut path = parent.path().unwrap().to_str().unwrap().to_owned();
            for name in below {
                if !path.ends_with('/') {
                    path.push('/');
                }
                path += name;
            }
            let (parent_id, id) = (parent.id, 100 + mounts.len() as u64);
            if places.insert((parent_id, path.clone())) {
                mounts.push(mount(id, parent_id, &path));
            }
        }
        mounts
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn hidden_is_what_no_path_leads_to(mut mounts in mounts(), shift in any::<prop::sample::Index>()) {
        let to = |root, enters| -> Vec<_> {
            let truth = |mount: &Mount| walk(&mounts, root, enters, mount.path().unwrap().to_str().unwrap()) == mount.id;
            mounts.iter().filter(|mount| truth(mount)).map(|mount| mount.id).collect()
        };
        let (before, entered) = (to(100, false), to(100, true));
        prop_assert_eq!(visible(&mounts, Some(100)), &*before);
        prop_assert_eq!(visible(&mounts, None), &*entered);
        // Those who have their root in another of the mounts at the top.
        for root in mounts.iter().filter(|mount| mount.path().unwrap() == "/" && top_is_reached(&mounts, mount)) {
            prop_assert_eq!(visible(&mounts, Some(root.id)), to(root.id, false));
        }
        // The order does not matter.
        let middle = shift.index(mounts.len());
        mounts.rotate_left(middle);
        let sorted = |mut ids: Vec<u64>| { ids.sort_unstable(); ids };
        prop_assert_eq!(sorted(visible(&mounts, Some(100))), before);
        prop_assert_eq!(sorted(visible(&mounts, None)), entered);
    }

    #[test]
    fn nothing_panics(ids in prop::collection::vec((0..8_u64, 0..8_u64, "(/[ab]){0,3}|/|x|", any::<bool>()), 0..12), root in 0..9_u64) {
        let mounts: Vec<_> = ids.iter().map(|(id, parent, path, has_path)| {
            let mut mount = mount(*id, *parent, path);
            mount.point = mount.point.filter(|_| *has_path);
            mount
        }).collect();
        for root in [None, Some(root)] {
            prop_assert_eq!(hidden_mounts(&mounts, root).len(), mounts.len());
        }
        let tree = MountTree::of(&mounts);
        let mut seen: Vec<_> = tree.roots().to_vec();
        for index in 0..mounts.len() {
            seen.extend(tree.children(index));
        }
        seen.sort_unstable();
        prop_assert_eq!(seen, (0..mounts.len()).collect::<Vec<_>>());
    }
}

/// Whether all that this mount is on is at `/` too, as a root directory's mount is.
fn top_is_reached(mounts: &[Mount], mount: &Mount) -> bool {
    let parent = mounts.iter().find(|other| other.id == mount.parent_id);
    parent.is_none_or(|parent| parent.path().unwrap() == "/" && top_is_reached(mounts, parent))
}
