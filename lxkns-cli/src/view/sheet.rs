//! A sheet about one thing: sections of facts with short labels, and of tables.

use std::io::{self, Write};

use super::screen::Screen;
use super::shorten::middle;
use super::table::{self, Heading};

/// What is said of one thing. All texts are safe to print.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sheet {
    /// What it is about.
    pub(crate) title: String,
    pub(crate) sections: Vec<Section>,
}

/// A part of a sheet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// Its heading; the first has none.
    pub(crate) heading: String,
    pub(crate) body: Body,
}

/// What stands in a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    /// Facts, each with its label. What has an empty label belongs to the one before.
    Facts(Vec<(&'static str, String)>),
    /// A table.
    Table(Vec<Heading>, Vec<Vec<String>>),
}

const INDENT: usize = 2;

/// A column whose cells stand to the left.
pub(crate) const fn left(name: &'static str) -> Heading {
    Heading { name, right: false, gives_way: false }
}

/// A column of numbers.
pub(crate) const fn right(name: &'static str) -> Heading {
    Heading { name, right: true, gives_way: false }
}

impl Sheet {
    /// Adds facts, if there are any.
    pub(crate) fn facts(&mut self, heading: impl Into<String>, facts: Vec<(&'static str, String)>) {
        if !facts.is_empty() {
            self.sections.push(Section { heading: heading.into(), body: Body::Facts(facts) });
        }
    }

    /// Adds a table, if it has rows.
    pub(crate) fn table(&mut self, heading: impl Into<String>, headings: Vec<Heading>, rows: Vec<Vec<String>>) {
        if !rows.is_empty() {
            self.sections.push(Section { heading: heading.into(), body: Body::Table(headings, rows) });
        }
    }

    /// Writes it.
    pub(crate) fn write(&self, out: &mut impl Write, screen: Screen) -> io::Result<()> {
        screen.heading(out, &self.title)?;
        out.write_all(b"\n")?;
        let inner = screen.indented(INDENT);
        for section in &self.sections {
            if !section.heading.is_empty() {
                write!(out, "\n{:INDENT$}", "")?;
                screen.heading(out, &section.heading)?;
                out.write_all(b"\n")?;
            }
            match &section.body {
                Body::Facts(facts) => write_facts(out, facts, inner)?,
                Body::Table(headings, rows) => {
                    let mut text = Vec::new();
                    table::write_aligned(&mut text, headings, rows, true, inner)?;
                    for line in text.split_inclusive(|&byte| byte == b'\n') {
                        write!(out, "{:INDENT$}", "")?;
                        out.write_all(line)?;
                    }
                }
            }
        }
        Ok(())
    }
}

fn write_facts(out: &mut impl Write, facts: &[(&'static str, String)], screen: Screen) -> io::Result<()> {
    let widest = facts.iter().map(|(label, _)| label.len()).max().unwrap_or(0);
    for (label, fact) in facts {
        let fact = screen.room(widest + 2).map_or(fact.into(), |room| middle(fact, room));
        writeln!(out, "{:INDENT$}{label:widest$}  {fact}", "")?;
    }
    Ok(())
}

/// A list of at most `limit`, with how many more there are.
pub(crate) fn list<T>(
    label: &'static str,
    all: &[T],
    limit: usize,
    describe: impl Fn(&T) -> String,
) -> Vec<(&'static str, String)> {
    let mut facts: Vec<_> = all.iter().take(limit).map(|one| ("", describe(one))).collect();
    let more = all.len().saturating_sub(limit);
    if more > 0 {
        facts.push(("", format!("and {more} more (--all shows all)")));
    }
    if let Some(first) = facts.first_mut() {
        first.0 = label;
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet { title: "net:[1]".to_owned(), sections: Vec::new() };
        sheet.facts(
            "",
            [
                vec![("owner", "user:[2]".to_owned())],
                list("children", &["one", "two", "three"], 2, |&one| one.to_owned()),
            ]
            .concat(),
        );
        sheet.facts("Nothing", Vec::new());
        sheet.table("Links", vec![right("INDEX"), left("NAME")], vec![vec!["1".to_owned(), "lo".to_owned()]]);
        sheet
    }

    fn text(screen: Screen) -> String {
        let mut out = Vec::new();
        sheet().write(&mut out, screen).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn labels_stand_in_a_column_and_sections_apart() {
        assert_eq!(
            text(Screen::default()),
            "net:[1]\n  owner     user:[2]\n  children  one\n            two\n            \
             and 1 more (--all shows all)\n\n  Links\n  INDEX NAME\n      1 lo\n"
        );
    }

    #[test]
    fn no_line_of_facts_is_wider_than_the_terminal() {
        let narrow = text(Screen { width: Some(20), color: false });
        assert!(narrow.contains("  owner     user:[2]\n") && narrow.contains("            and "), "{narrow}");
        assert!(narrow.lines().all(|line| line.chars().count() <= 20), "{narrow}");
        let coloured = text(Screen { width: None, color: true });
        assert!(coloured.starts_with("\x1b[1m") && coloured.contains("\n  owner "), "{coloured:?}");
    }
}
