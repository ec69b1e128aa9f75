//! A sheet about one thing: sections of facts with short labels, and of tables. The caller decides how to lay it out.

use crate::text::shown;

/// What is said of one thing. All texts are safe to print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sheet {
    /// What it is about.
    pub title: String,
    /// Its parts.
    pub sections: Vec<Section>,
}

/// A part of a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Section {
    /// Its heading; the first has none.
    pub heading: String,
    /// What stands in it.
    pub body: Body,
}

/// What stands in a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// Facts, each with its label.
    Facts(Vec<Fact>),
    /// A table.
    Table(Vec<Column>, Vec<Vec<String>>),
}

/// A fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What it says; empty for one that belongs to the one before.
    pub label: &'static str,
    /// It.
    pub text: String,
    /// Whether its middle may be left out where there is no room for it. Nothing that has IDs, names or paths to go on
    /// with is cut.
    pub may_be_cut: bool,
}

impl Fact {
    /// A fact that is shown in full.
    pub fn new(label: &'static str, text: impl Into<String>) -> Self {
        Self { label, text: text.into(), may_be_cut: false }
    }

    /// An untrusted text, such as a command line. Its middle may be left out.
    pub fn long(label: &'static str, text: impl Into<String>) -> Self {
        Self { label, text: text.into(), may_be_cut: true }
    }
}

/// A column of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Whether its cells stand to the right, as numbers do.
    pub right: bool,
    /// Where there is no room for all columns, those with the highest number are left out first; none that has 0.
    pub gives_way: u8,
    /// Whether its cells go on a line of their own where there is still no room. Nothing in it is cut.
    pub below: bool,
}

impl Column {
    /// A column whose cells stand to the left.
    pub const fn left(name: &'static str) -> Self {
        Self { name, right: false, gives_way: 0, below: false }
    }

    /// A column of numbers.
    pub const fn right(name: &'static str) -> Self {
        Self { right: true, ..Self::left(name) }
    }

    /// One that is left out where there is no room: those with the highest number first.
    #[must_use]
    pub const fn giving_way(self, rank: u8) -> Self {
        Self { gives_way: rank, ..self }
    }

    /// One that goes on a line of its own where there is no room.
    #[must_use]
    pub const fn or_below(self) -> Self {
        Self { below: true, ..self }
    }
}

impl Sheet {
    /// A sheet without sections.
    pub fn new(title: String) -> Self {
        Self { title, sections: Vec::new() }
    }

    /// Adds facts, if there are any.
    pub fn facts(&mut self, heading: impl Into<String>, facts: Vec<Fact>) {
        if !facts.is_empty() {
            self.sections.push(Section { heading: heading.into(), body: Body::Facts(facts) });
        }
    }

    /// Adds a table, if it has rows.
    pub fn table(&mut self, heading: impl Into<String>, columns: Vec<Column>, rows: Vec<Vec<String>>) {
        if !rows.is_empty() {
            self.sections.push(Section { heading: heading.into(), body: Body::Table(columns, rows) });
        }
    }
}

/// A list of at most `limit`, with how many more there are; one more is shown in place of saying so.
pub fn list<T>(label: &'static str, all: &[T], limit: usize, describe: impl Fn(&T) -> String) -> Vec<Fact> {
    let count = shown(all.len(), limit);
    let mut facts: Vec<_> = all[..count].iter().map(|one| Fact::new("", describe(one))).collect();
    let more = all.len() - count;
    if more > 0 {
        facts.push(Fact::new("", format!("and {more} more (--all shows all)")));
    }
    if let Some(first) = facts.first_mut() {
        first.label = label;
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_is_shown_and_not_counted() {
        let texts = |count: usize| {
            let all: Vec<_> = (0..count).collect();
            list("of", &all, 2, ToString::to_string).into_iter().map(|fact| fact.text).collect::<Vec<_>>()
        };
        assert_eq!(texts(0), [""; 0]);
        assert_eq!(texts(2), ["0", "1"]);
        assert_eq!(texts(3), ["0", "1", "2"]);
        assert_eq!(texts(4), ["0", "1", "and 2 more (--all shows all)"]);
    }
}
