//! Reads the users and groups of a root directory.

#![no_main]

use lxkns_model::passwd::{groups, passwd};

libfuzzer_sys::fuzz_target!(|text: &[u8]| {
    let lines = text.split(|&byte| byte == b'\n').count();
    assert!(passwd(text).count() <= lines && groups(text).count() <= lines);
    for user in passwd(text) {
        assert!(user.uid.0 != u32::MAX && user.gid != u32::MAX && !user.name.is_empty());
        assert!([user.name, user.home, user.shell].iter().all(|field| !field.contains(&b':')));
        assert!(groups(text).all(|group| !group.has_member(b"") && group.gid != u32::MAX));
    }
});
