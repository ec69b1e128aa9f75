//! `passwd(5)` and `group(5)`: a static program has no name service switch to ask.

use bstr::{BStr, ByteSlice as _};

use crate::Uid;

/// A user, as a line of a `passwd` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswdEntry<'a> {
    /// The name, any bytes but a colon.
    pub name: &'a BStr,
    /// The UID.
    pub uid: Uid,
    /// The GID of the user's own group.
    pub gid: u32,
    /// The home directory; empty where the line ends before it.
    pub home: &'a BStr,
    /// The shell, likewise.
    pub shell: &'a BStr,
}

/// A group, as a line of a `group` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GroupEntry<'a> {
    /// The name.
    pub name: &'a BStr,
    /// The GID.
    pub gid: u32,
    members: &'a BStr,
}

impl GroupEntry<'_> {
    /// Whether a user of this name is listed as a member.
    pub fn has_member(&self, name: &[u8]) -> bool {
        !name.is_empty() && self.members.split(|&byte| byte == b',').any(|member| member == name)
    }
}

/// An ID, as `passwd(5)` has it: digits, but not the highest number, which means "no change" to the kernel.
pub fn parse_id(text: &[u8]) -> Option<u32> {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let id = if is_number { text.to_str().ok()?.parse().ok()? } else { return None };
    (id != u32::MAX).then_some(id)
}

/// The users of a `passwd`, in its order: of several with one name or UID, the first counts (`getpwnam(3)`). Comments, lines
/// for other name services, and lines without a UID and a GID are passed over.
pub fn passwd(text: &[u8]) -> impl Iterator<Item = PasswdEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let (name, _password) = (name(fields.next()?)?, fields.next()?);
        let (uid, gid) = (Uid(parse_id(fields.next()?)?), parse_id(fields.next()?)?);
        let _comment = fields.next();
        let mut rest = || BStr::new(fields.next().unwrap_or_default());
        let (home, shell) = (rest(), rest());
        Some(PasswdEntry { name, uid, gid, home, shell })
    })
}

/// The groups of a `group`, in its order; lines are passed over as in [`passwd`].
pub fn groups(text: &[u8]) -> impl Iterator<Item = GroupEntry<'_>> {
    text.lines().filter_map(|line| {
        let mut fields = line.split(|&byte| byte == b':');
        let (name, _password) = (name(fields.next()?)?, fields.next()?);
        let gid = parse_id(fields.next()?)?;
        Some(GroupEntry { name, gid, members: BStr::new(fields.next().unwrap_or_default()) })
    })
}

/// A name, unless it begins with a sign: such lines are for other name services.
fn name(field: &[u8]) -> Option<&BStr> {
    (!field.is_empty() && !matches!(field[0], b'+' | b'-' | b'#')).then(|| BStr::new(field))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_what_makes_a_user_are_passed_over() {
        let text = b"root:x:0:0:root:/root:/bin/sh\n\n#no:x:7:7\n+nis:x:8:8\nshort:x\nbad:x:-1:1\nw:x:x:1::/:/\nsign:x:+9:9\n\
                     huge:x:4294967296:1\nnobody:x:4294967295:1\n:x:5:5\nno-gid:x:6\n\xffodd:x:1000:1000::/:\r\nlast:x:65534:1";
        let found: Vec<_> = passwd(text).map(|user| (user.name, user.uid.0, user.home, user.shell)).collect();
        let user = |name: &'static [u8], uid, home: &'static str, shell: &'static str| {
            (BStr::new(name), uid, BStr::new(home), BStr::new(shell))
        };
        assert_eq!(
            found,
            [user(b"root", 0, "/root", "/bin/sh"), user(b"\xffodd", 1000, "/", ""), user(b"last", 65534, "", "")]
        );
    }

    #[test]
    fn groups_have_members() {
        let text = b"users:x:100:\nwheel:x:10:root,u\nodd:x:-1:u\naudio:x:29:uu\nnone:x:7";
        let of = |name: &[u8]| groups(text).filter(|group| group.has_member(name)).map(|group| group.gid).collect();
        let (of_u, of_nobody): (Vec<u32>, Vec<u32>) = (of(b"u"), of(b""));
        assert_eq!((of_u, of_nobody), (vec![10], vec![]));
        assert_eq!(groups(text).count(), 4);
    }
}
