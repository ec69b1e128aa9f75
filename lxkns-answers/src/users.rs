//! User names, from `/etc/passwd` itself: a static binary has no name service switch to ask.

use bstr::{BStr, BString, ByteSlice as _};
use lxkns_model::{Snapshot, Uid, passwd};
use rustc_hash::FxHashMap;

/// The names of users.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Users(FxHashMap<Uid, BString>);

impl Users {
    /// The names that a snapshot has.
    pub fn of_snapshot(snapshot: &Snapshot) -> Self {
        Self(snapshot.annotations.user_names.iter().map(|(&uid, name)| (uid, name.as_str().into())).collect())
    }

    /// Reads the text of a `passwd(5)`; the first of several names of a UID counts, as in `getpwuid(3)`.
    pub fn parse(text: &[u8]) -> Self {
        let mut names = FxHashMap::default();
        for user in passwd::passwd(text) {
            names.entry(user.uid).or_insert_with(|| user.name.to_owned());
        }
        Self(names)
    }

    /// The name of a user.
    pub fn name(&self, uid: Uid) -> Option<&BStr> {
        self.0.get(&uid).map(|name| name.as_bstr())
    }

    /// The name of a user, or the UID in digits for one without a name, as `ls -l` and `ps` have it.
    pub(crate) fn name_or_number(&self, uid: Uid) -> BString {
        self.name(uid).map_or_else(|| uid.to_string().into(), ToOwned::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_of_a_uid_counts() {
        let text =
            b"root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:\n+nis:x:8:8\n\xffodd:x:1000:1000::/:\nlast:x:65534:1";
        let users = Users::parse(text);
        assert_eq!(users.name(Uid(0)), Some(BStr::new("root")));
        assert_eq!(users.name(Uid(1000)), Some(BStr::new(b"\xffodd")));
        assert_eq!(users.name(Uid(65534)), Some(BStr::new("last")));
        assert_eq!(users.0.len(), 3);
        assert_eq!(users.name_or_number(Uid(7)), "7");
    }
}
