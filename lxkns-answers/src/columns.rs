//! What all tables have: columns with names and meanings.

/// Gives a column type what a table of its columns, names and meanings says. The table is in the order in which columns are
/// described.
macro_rules! described_by {
    ($column:ty, $table:ident) => {
        impl $column {
            /// All columns, in the order in which they are described.
            pub fn all() -> impl Iterator<Item = Self> {
                $table.into_iter().map(|entry| entry.0)
            }

            /// Its name.
            pub fn name(self) -> &'static str {
                $table.iter().find(|entry| entry.0 == self).map_or("", |entry| entry.1)
            }

            /// Its meaning, in a few words.
            pub fn meaning(self) -> &'static str {
                $table.iter().find(|entry| entry.0 == self).map_or("", |entry| entry.2)
            }

            /// The column with this name; case does not matter.
            pub fn from_name(name: &str) -> Option<Self> {
                Self::all().find(|column| column.name().eq_ignore_ascii_case(name))
            }
        }
    };
}

pub(crate) use described_by;
