//! Which characters can be shown.
//!
//! That is the locale's to say, for all that a program writes to its terminal. Texts are put together deep down, so it is
//! kept for the thread that makes them.

use std::cell::Cell;
use std::ffi::OsString;

/// Which characters can be shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Charset {
    /// All.
    #[default]
    Utf8,
    /// No others than those of ASCII.
    Ascii,
}

thread_local! {
    static CURRENT: Cell<Charset> = const { Cell::new(Charset::Utf8) };
}

impl Charset {
    /// Has this thread make text of these characters from now on.
    pub fn set(self) {
        CURRENT.set(self);
    }

    /// The one that this thread makes text of: without [`set`](Self::set), all characters.
    pub fn current() -> Self {
        CURRENT.get()
    }

    /// That of the locale that these environment variables name. The first of `LC_ALL`, `LC_CTYPE` and `LANG` that is there
    /// and not empty decides; without any the locale is C (`locale(7)`).
    pub fn of_locale(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().filter_map(variable).find(|value| !value.is_empty());
        let locale = locale.unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if locale.contains("utf-8") || locale.contains("utf8") { Self::Utf8 } else { Self::Ascii }
    }

    /// Whether this can be shown.
    pub fn has(self, character: char) -> bool {
        self == Self::Utf8 || character.is_ascii()
    }

    /// What stands for what was left out.
    pub fn ellipsis(self) -> &'static str {
        match self {
            Self::Utf8 => "…",
            Self::Ascii => "...",
        }
    }

    /// The lines of a tree: to one of several, to the last; and below these, beside what is deeper.
    pub fn branches(self) -> Branches {
        match self {
            Self::Utf8 => Branches { one: "├─", last: "└─", beside: "│ ", beside_nothing: "  " },
            Self::Ascii => Branches { one: "|-", last: "`-", beside: "| ", beside_nothing: "  " },
        }
    }
}

/// The lines of a tree, two columns each.
#[derive(Clone, Copy, Debug)]
pub struct Branches {
    /// To one that others follow.
    pub one: &'static str,
    /// To the last.
    pub last: &'static str,
    /// Beside what is below one that others follow.
    pub beside: &'static str,
    /// Beside what is below the last.
    pub beside_nothing: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_variable_that_says_something_decides() {
        for (variables, expected) in [
            (&[][..], Charset::Ascii),
            (&[("LANG", "de_DE.UTF-8")], Charset::Utf8),
            (&[("LANG", "C.utf8")], Charset::Utf8),
            (&[("LANG", "de_DE.Utf8@euro")], Charset::Utf8),
            (&[("LANG", "C")], Charset::Ascii),
            (&[("LANG", "POSIX")], Charset::Ascii),
            (&[("LANG", "de_DE.ISO-8859-1")], Charset::Ascii),
            (&[("LANG", "C.UTF-8"), ("LC_ALL", "C")], Charset::Ascii),
            (&[("LANG", "C.UTF-8"), ("LC_CTYPE", "C")], Charset::Ascii),
            (&[("LANG", "C"), ("LC_CTYPE", "C.UTF-8")], Charset::Utf8),
            (&[("LC_CTYPE", "C"), ("LC_ALL", "C.UTF-8")], Charset::Utf8),
            (&[("LC_CTYPE", "C.UTF-8"), ("LC_ALL", "")], Charset::Utf8),
            (&[("LC_MESSAGES", "C.UTF-8")], Charset::Ascii),
        ] {
            let variable = |name: &str| {
                let mut all = variables.iter();
                all.find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value))
            };
            assert_eq!(Charset::of_locale(variable), expected, "{variables:?}");
        }
    }

    #[test]
    fn ascii_is_nothing_but_ascii_and_lines_are_two_columns_wide() {
        for charset in [Charset::Utf8, Charset::Ascii] {
            let Branches { one, last, beside, beside_nothing } = charset.branches();
            for line in [one, last, beside, beside_nothing] {
                assert_eq!(line.chars().count(), 2);
                assert!(line.chars().all(|character| charset.has(character)));
            }
            assert!(charset.ellipsis().chars().all(|character| charset.has(character)));
        }
        assert!(Charset::Utf8.has('é') && !Charset::Ascii.has('é'));
    }
}
