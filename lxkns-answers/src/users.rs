//! User names, from `/etc/passwd` itself: a static binary has no name service switch to ask.

use bstr::{BStr, BString, ByteSlice as _};
use lxkns_model::{Snapshot, Uid};
use rustc_hash::FxHashMap;

/// The names of users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(FxHashMap<Uid, BString>);

impl Users {
    /// The names that a snapshot has.
    pub fn of_snapshot(snapshot: &Snapshot) -> Self {
        Self(snapshot.user_names.iter().map(|(&uid, name)| (uid, name.as_str().into())).collect())
    }

    /// Reads the text of a `passwd(5)`; the first of several names of a UID counts, as in `getpwuid(3)`.
    pub fn parse(text: &[u8]) -> Self {
        let mut names = FxHashMap::default();
        for line in text.lines() {
            let mut fields = line.split(|&byte| byte == b':');
            let (Some(name), Some(_password), Some(uid)) = (fields.next(), fields.next(), fields.next()) else {
                continue;
            };
            let is_number = !uid.is_empty() && uid.iter().all(u8::is_ascii_digit);
            let uid = if is_number { uid.to_str().ok().and_then(|uid| uid.parse().ok()) } else { None };
            // Lines for other name services begin with a sign.
            if let (Some(uid), false) = (uid, name.is_empty() || matches!(name[0], b'+' | b'-' | b'#')) {
                names.entry(Uid(uid)).or_insert_with(|| name.into());
            }
        }
        Self(names)
    }

    /// The name of a user.
    pub fn name(&self, uid: Uid) -> Option<&BStr> {
        self.0.get(&uid).map(|name| name.as_bstr())
    }

    /// The name of a user, or the UID in digits for one without a name, as `ls -l` and `ps` have it.
    pub fn name_or_number(&self, uid: Uid) -> BString {
        self.name(uid).map_or_else(|| uid.to_string().into(), ToOwned::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_uid_counts_and_odd_lines_do_not() {
        let text = b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n\n#no:x:7:7\n+nis:x:8:8\nshort:x\nbad:x:-1:1\n\
                     sign:x:+9:9\nhuge:x:4294967296:1\n:x:5:5\n\xffodd:x:1000:1000::/:\nlast:x:65534:1";
        let users = Users::parse(text);
        assert_eq!(users.name(Uid(0)), Some(BStr::new("root")));
        assert_eq!(users.name(Uid(1000)), Some(BStr::new(b"\xffodd")));
        assert_eq!(users.name(Uid(65534)), Some(BStr::new("last")));
        assert_eq!(users.0.len(), 3);
        assert_eq!(users.name_or_number(Uid(7)), "7");
    }
}
