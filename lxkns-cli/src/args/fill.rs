//! Help that fits into a terminal: clap breaks lines between words, and does not know that they have columns.

use clap::Command;
use unicode_width::UnicodeWidthStr as _;

/// Where no terminal says how many columns there are.
const DEFAULT: usize = 80;
/// Longer lines are hard to read.
const MOST: usize = 100;
/// The least room that is worth a column.
const LEAST_ROOM: usize = 16;

/// The command with all help no wider than this; `None`: there is no terminal.
pub(super) fn command(command: Command, columns: Option<usize>) -> Command {
    let columns = columns.unwrap_or(DEFAULT).min(MOST);
    // Those of a command are made with it, and those of `help` only when it is asked.
    of(command, columns).term_width(columns)
}

fn of(command: Command, columns: usize) -> Command {
    let before = command.get_before_help().map(|text| fill(&text.to_string(), columns));
    let after = command.get_after_help().map(|text| fill(&text.to_string(), columns));
    command
        .before_help(before.unwrap_or_default())
        .after_help(after.unwrap_or_default())
        .mut_subcommands(|command| of(command, columns))
}

/// A line of help, or a whole paragraph.
struct Line {
    indent: usize,
    text: String,
    /// Where its last column begins.
    column: usize,
}

impl Line {
    fn of(line: &str) -> Self {
        let text = line.trim_start();
        let indent = line.len() - text.len();
        let column = text.rfind("  ").map_or(indent, |gap| indent + gap + 2);
        Self { indent, text: text.to_owned(), column }
    }

    /// Whether another line is the rest of this one: of a paragraph, or of its last column.
    fn goes_on_in(&self, next: &Self) -> bool {
        let is_column = self.column > self.indent;
        // A heading is none of it.
        let is_paragraph = self.indent == 0 && next.indent == 0 && !is_column && !next.text.ends_with(':');
        let is_some = !self.text.is_empty() && !next.text.is_empty();
        is_some && !self.text.ends_with(':') && (is_paragraph || (is_column && next.indent == self.column))
    }

    fn wrapped(&self, columns: usize) -> String {
        let mut wrapped = " ".repeat(self.indent);
        if self.indent + self.text.width() <= columns {
            return wrapped + &self.text;
        }
        let (start, rest) = self.text.split_at(self.column - self.indent);
        wrapped.push_str(start);
        // Where that leaves little room, it begins below.
        let hanging = if self.column + LEAST_ROOM <= columns { self.column } else { self.indent + 4 };
        let (mut at, mut is_first) = (self.column, true);
        for word in rest.split(' ').filter(|word| !word.is_empty()) {
            let gap = usize::from(!is_first);
            if at + gap + word.width() > columns && at > hanging {
                wrapped.truncate(wrapped.trim_end().len());
                wrapped.push('\n');
                wrapped.push_str(&" ".repeat(hanging));
                at = hanging;
            } else if !is_first {
                wrapped.push(' ');
                at += 1;
            }
            wrapped.push_str(word);
            at += word.width();
            is_first = false;
        }
        wrapped
    }
}

/// A text in lines of so many columns: paragraphs, and lines with two spaces or more between columns.
pub(crate) fn fill(text: &str, columns: usize) -> String {
    let mut lines: Vec<Line> = Vec::new();
    for line in text.lines().map(Line::of) {
        match lines.last_mut() {
            Some(last) if last.goes_on_in(&line) => {
                last.text.push(' ');
                last.text.push_str(&line.text);
            }
            _ => lines.push(line),
        }
    }
    lines.iter().map(|line| line.wrapped(columns)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "Examples:\n  lxkns a b c     say what a, b and c are, in\n                  a few words\n  \
        lxkns long --option=value\n                  the same\n\nA paragraph of more than thirty\ncolumns. End.\n\
        C:\n  X  one\n  Y  two";

    #[test]
    fn what_fits_has_its_words_in_one_line() {
        assert_eq!(
            fill(TEXT, 60),
            "Examples:\n  lxkns a b c     say what a, b and c are, in a few words\n  lxkns long --option=value\n          \
             \u{20}       the same\n\nA paragraph of more than thirty columns. End.\nC:\n  X  one\n  Y  two"
        );
    }

    #[test]
    fn lines_go_on_below_their_last_column_or_below_their_beginning() {
        let filled = fill(TEXT, 40);
        assert!(
            filled.contains("  lxkns a b c     say what a, b and c\n                  are, in a few words\n"),
            "{filled}"
        );
        let filled = fill(TEXT, 30);
        assert!(
            filled.contains("  lxkns a b c     say what a,\n      b and c are, in a few\n      words\n"),
            "{filled}"
        );
        assert!(filled.contains("A paragraph of more than\nthirty columns. End."), "{filled}");
        for columns in [26, 30, 40, 60, 80] {
            let filled = fill(TEXT, columns);
            assert!(filled.lines().all(|line| line.width() <= columns.max(27)), "{filled}");
        }
    }
}
