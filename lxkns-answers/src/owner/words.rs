//! The answer in words.

use bstr::BString;
use lxkns_model::relations;

use super::{Id, Owner, Pair, Sight, View};
use crate::names;
use crate::sheet::{Column, Fact, Sheet};
use crate::text::escape::printable;
use crate::whose::{self, Whose};

/// An ID in a table.
pub(super) fn id_word(id: Id) -> String {
    match id {
        Id::Known(id) => id.to_string(),
        Id::NotMapped => "not mapped (65534)".to_owned(),
        Id::Overflow => names::NOT_MAPPED.to_owned(),
        Id::Unknown => "not known".to_owned(),
    }
}

/// The same in a table.
fn id_cell(id: Id) -> String {
    match id {
        Id::NotMapped => "not mapped".to_owned(),
        Id::Overflow => "65534 or none".to_owned(),
        other => id_word(other),
    }
}

/// The kind of a file, by its mode.
pub(super) fn kind(mode: u32) -> &'static str {
    match mode & 0o170_000 {
        0o100_000 => "regular file",
        0o040_000 => "directory",
        0o120_000 => "symbolic link",
        0o060_000 => "block device",
        0o020_000 => "character device",
        0o010_000 => "FIFO",
        0o140_000 => "socket",
        _ => "file",
    }
}

/// A mode as `ls -l` has it.
pub(super) fn mode_text(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o060_000 => 'b',
        0o020_000 => 'c',
        0o010_000 => 'p',
        0o140_000 => 's',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letters) in [(6, 0o4000, "sS"), (3, 0o2000, "sS"), (0, 0o1000, "tT")] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        let with = letters.as_bytes().get(usize::from(bits & 1 == 0)).copied().map_or('s', char::from);
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, _) => with,
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

fn pair([uid, gid]: Pair, [user, group]: &[Option<BString>; 2]) -> String {
    let named = |id: Id, name: &Option<BString>| match name {
        Some(name) => format!("{} ({})", id_word(id), printable(name)),
        None => id_word(id),
    };
    format!("UID {}, GID {}", named(uid, user), named(gid, group))
}

impl Owner<'_> {
    /// All that is said, with `title` as what it is about.
    pub fn sheet(&self, title: &str) -> Sheet {
        let file = self.file;
        let mut sheet = Sheet::new(format!("{}: {}", printable(title), kind(file.mode)));
        let mut facts = Vec::new();
        let home = self.snapshot.observer_mount_ns;
        if self.is_initial() {
            facts.push(Fact::new("on the host", self.host_words(self.names_in(home, self.raw))));
        } else {
            let [uid, gid] = self.raw;
            let own = format!("UID {}, GID {} in the user namespace of the caller", id_word(uid), id_word(gid));
            facts.push(Fact::new("on the host", format!("not visible from this user namespace; {own}")));
        }
        match &self.sights.own {
            Some(own) => {
                let mapped = if own.is_id_mapped() { ", ID-mapped" } else { ", not ID-mapped" };
                let text = self.mount_words(own) + mapped;
                facts.push(Fact::new("mount", text));
                if own.is_id_mapped() {
                    let ids = self.through(own);
                    facts.push(Fact::new("shown there", pair(ids, &self.names_in(Some(own.mount_ns), ids))));
                    if self.reading.maps.is_none() {
                        facts.push(Fact::new(
                            "",
                            "the map of the mount is not readable on this kernel or for this user",
                        ));
                    }
                }
                let root = printable(&**own.mount.fs_type);
                facts.push(Fact::new("file system", format!("{root} {}, inode {}", own.mount.file_system, file.ino)));
            }
            None => facts.push(Fact::new("mount", "not in the list of mounts")),
        }
        facts.push(Fact::new("mode", format!("{:04o} ({})", file.mode & 0o7777, mode_text(file.mode))));
        facts.extend(self.powers());
        sheet.facts("", facts);
        sheet.table(self.heading(), self.columns(), self.views.iter().map(|view| self.row(view)).collect());
        sheet
    }

    fn host_words(&self, names: [Option<BString>; 2]) -> String {
        match self.raw {
            [Id::Unknown, Id::Unknown] if self.sights.own.is_none() => {
                "not known: the mount that it was seen through is not in the list of mounts, so it may be ID-mapped"
                    .to_owned()
            }
            [Id::Unknown, Id::Unknown] => {
                "not known: the file was seen only through ID-mapped mounts, and their maps are not readable".to_owned()
            }
            raw => pair(raw, &names),
        }
    }

    pub(super) fn names_in(
        &self,
        mount_ns: Option<lxkns_model::NamespaceId>,
        [uid, gid]: Pair,
    ) -> [Option<BString>; 2] {
        let names = mount_ns.and_then(|id| self.reading.names.get(&id));
        [
            names.zip(uid.known()).and_then(|(names, uid)| names.user(uid)),
            names.zip(gid.known()).and_then(|(names, gid)| names.group(gid)),
        ]
    }

    fn mount_words(&self, sight: &Sight<'_>) -> String {
        let path = sight.mount.path().map_or_else(|| "(no path)".to_owned(), printable);
        let root = &sight.mount.root;
        let root = if **root == *"/" { String::new() } else { format!(" ({} of it)", printable(&***root)) };
        let of = whose::of_words(self.snapshot, sight.mount_ns);
        format!("{path}{root} in {}{of}", names::namespace(self.snapshot, sight.mount_ns))
    }

    /// What running it gives.
    fn powers(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        if self.has_set_id() {
            let counts = "takes effect where both IDs are mapped and the mount is not nosuid (column SET-ID)";
            facts.push(Fact::new("set-user-ID", counts));
            if let Some(fact) = facts.last_mut().filter(|_| self.file.mode & 0o4000 == 0) {
                fact.label = "set-group-ID";
            }
        }
        match self.file.capabilities {
            Some(Some(it)) => {
                let both = it.permitted.union(it.inheritable);
                let effective = if it.effective { ", effective at once" } else { "" };
                let root = match it.root.0 {
                    0 => "in all user namespaces that see it without nosuid".to_owned(),
                    uid => format!("only where UID {uid} of the host is root, and below"),
                };
                facts.push(Fact::new("capabilities", format!("{}{effective}; they count {root}", both.in_words())));
            }
            Some(None) => {}
            None if self.file.is_regular() && self.file.mode & 0o111 != 0 => {
                facts.push(Fact::new("capabilities", "not readable"));
            }
            None => {}
        }
        facts
    }

    fn heading(&self) -> String {
        match self.is_partial() || !relations::mounts_seen(self.snapshot) {
            true => "User namespaces that were found to see it (there can be others)".to_owned(),
            false => "User namespaces that see it".to_owned(),
        }
    }

    fn columns(&self) -> Vec<Column> {
        let mut columns = vec![Column::left("USERNS"), Column::left("OF"), Column::left("UID"), Column::left("USER")];
        columns.extend([Column::left("GID"), Column::left("GROUP")]);
        if self.has_set_id() {
            columns.push(Column::left("SET-ID"));
        }
        if self.has_capabilities() {
            columns.push(Column::left("CAPS"));
        }
        columns.push(Column::left("PATH").or_below());
        columns
    }

    fn has_capabilities(&self) -> bool {
        matches!(self.file.capabilities, Some(Some(_)))
    }

    /// Whose a user namespace is where it sees the file.
    pub(super) fn whose(&self, view: &View<'_>) -> String {
        let is_initial = self.snapshot.namespaces.get(&view.user_ns).is_some_and(|namespace| namespace.initial);
        let process = view.process.and_then(|pid| Whose::process(self.snapshot, pid));
        match (process, view.process) {
            (Some(Whose::Container(it)), _) => whose::container(it),
            _ if is_initial => "host".to_owned(),
            (Some(unit), _) => unit.words(),
            (None, Some(pid)) => format!("process {pid}"),
            (None, None) => match Whose::namespace(self.snapshot, view.user_ns) {
                Some(whose) => whose.words(),
                None => "no process".to_owned(),
            },
        }
    }

    fn row(&self, view: &View<'_>) -> Vec<String> {
        let name = |name: &Option<BString>| name.as_ref().map(printable).unwrap_or_default();
        let yes = |it: Option<bool>| match it {
            Some(true) => "yes",
            Some(false) => "no",
            None => "?",
        };
        let mut row = vec![names::target(self.snapshot, view.user_ns), self.whose(view), id_cell(view.ids[0])];
        row.extend([name(&view.names[0]), id_cell(view.ids[1]), name(&view.names[1])]);
        if self.has_set_id() {
            row.push(yes(view.set_id).to_owned());
        }
        if self.has_capabilities() {
            row.push(yes(view.capabilities).to_owned());
        }
        let more = match view.mount_namespaces {
            0 | 1 => String::new(),
            count => format!(" and {} more mount namespaces", count - 1),
        };
        let of = names::target(self.snapshot, view.sight.mount_ns);
        let mapped = if view.sight.is_id_mapped() { " (ID-mapped)" } else { "" };
        row.push(format!("{} in {of}{mapped}{more}", printable(&view.sight.path)));
        row
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_as_ls_has_them() {
        for (mode, text) in [
            (0o104_755, "-rwsr-xr-x"),
            (0o102_644, "-rw-r-Sr--"),
            (0o041_777, "drwxrwxrwt"),
            (0o041_770, "drwxrwx--T"),
            (0o120_777, "lrwxrwxrwx"),
            (0o140_000, "s---------"),
        ] {
            assert_eq!(mode_text(mode), text);
        }
    }
}
