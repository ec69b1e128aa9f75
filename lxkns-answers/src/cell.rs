//! Cells of tables: values that are one word or number, or a list of them.

use bstr::{BString, ByteSlice as _};
use serde::{Serialize, Serializer};

use crate::text::escape::{For, escape};

/// What is in a row and a column.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cell {
    /// Not known, or there is none.
    Nothing,
    /// A number.
    Number(u64),
    /// At least so many: there may be others that could not be seen.
    AtLeast(u64),
    /// Whether something is so.
    Bool(bool),
    /// A text, unsafe to print.
    Text(BString),
    /// Several texts, unsafe to print.
    List(Vec<BString>),
    /// Words, safe to print.
    Words(String),
    /// A hint for eyes, safe to print: programs see nothing.
    Hint(String),
}

/// What cells are sorted by: numbers before texts, and what is not known last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Order {
    /// Numbers, by their values.
    Number(u64),
    /// Texts, by their bytes.
    Text(BString),
    /// What is not known.
    Nothing,
}

impl Cell {
    /// A text.
    pub fn text(text: impl Into<BString>) -> Self {
        Self::Text(text.into())
    }

    /// A number, where it is known.
    pub fn number(number: Option<u64>) -> Self {
        number.map_or(Self::Nothing, Self::Number)
    }

    /// Several texts; nothing where there is none.
    pub fn list(texts: Vec<BString>) -> Self {
        if texts.is_empty() { Self::Nothing } else { Self::List(texts) }
    }

    /// The cell as text that is safe to print.
    pub fn printable(&self, goes_to: For) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::AtLeast(number) if goes_to == For::Eyes => format!("{number}+"),
            Self::Number(number) | Self::AtLeast(number) => number.to_string(),
            Self::Bool(is_so) => if *is_so { "yes" } else { "no" }.to_owned(),
            Self::Text(text) => escape(text, goes_to),
            Self::List(texts) => escape(&bstr::join(",", texts), goes_to),
            Self::Words(words) | Self::Hint(words) if goes_to == For::Eyes => words.clone(),
            Self::Words(words) => escape(words.as_bytes(), goes_to),
            Self::Hint(_) => String::new(),
        }
    }

    /// What the cell is sorted by.
    pub fn order(&self) -> Order {
        match self {
            Self::Number(number) | Self::AtLeast(number) => Order::Number(*number),
            Self::Bool(is_so) => Order::Number((*is_so).into()),
            Self::Text(text) => Order::Text(text.clone()),
            Self::List(texts) => Order::Text(bstr::join(",", texts).into()),
            Self::Words(words) => Order::Text(words.as_str().into()),
            Self::Nothing | Self::Hint(_) => Order::Nothing,
        }
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Nothing | Self::Hint(_) => serializer.serialize_none(),
            Self::Number(number) | Self::AtLeast(number) => serializer.serialize_u64(*number),
            Self::Bool(is_so) => serializer.serialize_bool(*is_so),
            Self::Text(text) => serializer.serialize_str(&text.to_str_lossy()),
            Self::Words(words) => serializer.serialize_str(words),
            // One string, as lsns has it.
            Self::List(texts) => serializer.serialize_str(&bstr::join("\n", texts).to_str_lossy()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_has_numbers_strings_and_null() {
        let json = |cell: &Cell| serde_json::to_string(cell).unwrap();
        assert_eq!(json(&Cell::Number(4_026_531_834)), "4026531834");
        assert_eq!(json(&Cell::text("a\x1b\n\"")), r#""a\u001b\n\"""#);
        assert_eq!(json(&Cell::text(&b"\xff"[..])), "\"\u{fffd}\"");
        assert_eq!(json(&Cell::Nothing), "null");
        assert_eq!(json(&Cell::Words("on a".into())), r#""on a""#);
        assert_eq!(json(&Cell::Hint("[x]".into())), "null");
        assert_eq!(json(&Cell::list(vec!["/a".into(), "/b".into()])), r#""/a\n/b""#);
        assert_eq!(Cell::list(Vec::new()), Cell::Nothing);
    }

    #[test]
    fn words_are_for_programs_too_and_hints_are_not() {
        let both = |cell: Cell| [For::Eyes, For::Fields].map(|goes_to| cell.printable(goes_to));
        assert_eq!(both(Cell::Words(r"on a\x1b".into())), [r"on a\x1b", r"on\x20a\x5cx1b"]);
        assert_eq!(both(Cell::Hint("[x]".into())), ["[x]", ""]);
    }

    #[test]
    fn numbers_are_sorted_by_value_and_the_unknown_last() {
        let mut cells = vec![Cell::Nothing, Cell::text("b"), Cell::Number(10), Cell::text("a"), Cell::AtLeast(9)];
        cells.push(Cell::Hint("?".into()));
        cells.sort_by_key(Cell::order);
        let expected = [Cell::AtLeast(9), Cell::Number(10), Cell::text("a"), Cell::text("b"), Cell::Nothing];
        assert_eq!(cells[..5], expected);
    }
}
