//! Long texts made to fit into a terminal: the middle is left out, as beginnings and ends say most.
//!
//! How long a text of others within a sentence may be depends on all that stands beside it. So sentences are made
//! several times, each time with another limit, until one fits: [`fit`]. What is not for a terminal has no limit.

use std::borrow::Cow;
use std::cell::Cell;
use std::ops::Range;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::charset::Charset;
use super::namespace_names;

thread_local! {
    /// How many columns a text of others may take. The sentences are put together deep down, and all by one thread.
    static LIMIT: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// However narrow a terminal is, so many columns of a text of others are shown within a sentence.
const SHORTEST: usize = 12;

/// Has [`to_limit`] keep to a limit while something is written.
pub fn within<T>(limit: usize, write: impl FnOnce() -> T) -> T {
    let outer = LIMIT.replace(limit);
    let written = write();
    LIMIT.set(outer);
    written
}

/// The limit where a terminal has so many columns, for what is not made to fit.
pub fn limit_for(terminal: Option<usize>) -> usize {
    terminal.map_or(usize::MAX, |columns| (columns / 2).max(2 * SHORTEST))
}

/// A text of others, safe to print, as it is shown within a sentence: without its middle where it is too long.
pub fn to_limit(text: &str) -> String {
    middle(text, LIMIT.get()).into_owned()
}

/// The sentence that `sentence` makes with the highest limit with which it fits into so many columns; or with the lowest
/// of all, which is then too long all the same.
pub fn fit(columns: Option<usize>, sentence: impl Fn() -> String) -> String {
    let whole = within(usize::MAX, &sentence);
    let Some(columns) = columns.filter(|&columns| whole.width() > columns) else { return whole };
    let (mut limit, mut too_high) = (SHORTEST, columns.max(SHORTEST) + 1);
    let mut best = within(limit, &sentence);
    if best.width() > columns {
        return best;
    }
    while too_high - limit > 1 {
        let between = usize::midpoint(limit, too_high);
        let next = within(between, &sentence);
        if next.width() <= columns {
            (best, limit) = (next, between);
        } else {
            too_high = between;
        }
    }
    best
}

/// A text in so many columns: where it is longer the middle is left out. No number, no name of a namespace and no byte
/// that is shown as `\xHH` is cut, but left out as a whole: half a number is a lie.
pub fn middle(text: &str, columns: usize) -> Cow<'_, str> {
    middle_with(text, columns, Charset::current().ellipsis())
}

fn middle_with<'a>(text: &'a str, columns: usize, ellipsis: &'static str) -> Cow<'a, str> {
    // A character is never wider than its bytes are many.
    if text.len() <= columns || text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let Some(room) = columns.checked_sub(ellipsis.width()) else { return Cow::Borrowed("") };
    let (before, after) = (room - room / 2, room / 2);
    let whole = whole(text);
    let end = cut(&whole, beginning(text, before), |range| range.start);
    let mut start = cut(&whole, ending(text, after), |range| range.end);
    // What combines with a character that is left out has nothing to combine with.
    start += text[start..].chars().take_while(|it| it.width() == Some(0)).map(char::len_utf8).sum::<usize>();
    Cow::Owned(format!("{}{ellipsis}{}", &text[..end], &text[start..]))
}

/// The longest beginning of a text that is not wider than so many columns, up to where what does not fit begins.
fn beginning(text: &str, columns: usize) -> usize {
    let mut used = 0;
    let mut characters = text.char_indices();
    let too_wide = characters.find(|(_, character)| {
        used += width_of(*character);
        used > columns
    });
    too_wide.map_or(text.len(), |(index, _)| index)
}

/// Where the longest ending begins that is not wider than so many columns.
fn ending(text: &str, columns: usize) -> usize {
    let mut used = 0;
    let mut characters = text.char_indices().rev();
    let too_wide = characters.find(|(_, character)| {
        used += width_of(*character);
        used > columns
    });
    too_wide.map_or(0, |(index, character)| index + character.len_utf8())
}

/// How wide a character is at most, whatever stands beside it.
fn width_of(character: char) -> usize {
    /// Makes what it follows an emoji, which is wider.
    const EMOJI: char = '\u{fe0f}';
    if character == EMOJI { 1 } else { character.width().unwrap_or(0) }
}

/// What must not be cut.
fn whole(text: &str) -> Vec<Range<usize>> {
    // As `escape` writes them.
    let is_hex = |digits: &[u8]| digits.iter().all(u8::is_ascii_hexdigit);
    let is_byte = |range: &Range<usize>| text.as_bytes().get(range.start + 2..range.end).is_some_and(is_hex);
    let bytes: Vec<_> = text.match_indices("\\x").map(|(index, _)| index..index + 4).filter(is_byte).collect();
    // What is left has numbers that are no part of those.
    let mut rest = text.as_bytes().to_vec();
    bytes.iter().for_each(|range| rest[range.clone()].fill(b' '));
    let mut numbers = Vec::new();
    for (index, _) in rest.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
        match numbers.last_mut() {
            Some(Range { end, .. }) if *end == index => *end += 1,
            _ => numbers.push(index..index + 1),
        }
    }
    let names = namespace_names(text.as_bytes()).map(|(range, _)| range);
    names.chain(bytes).chain(numbers).collect()
}

/// Where to cut so that nothing of this is: at one end of what would be, or where it was meant to be.
fn cut(whole: &[Range<usize>], at: usize, to: impl Fn(&Range<usize>) -> usize) -> usize {
    // Names come first: they have numbers in them.
    whole.iter().find(|range| range.start < at && at < range.end).map_or(at, to)
}

/// A text in lines of so many columns; `used` are used in the first already, and `indent` are left free in the others. Words are
/// kept whole, and so are commands: what is in backticks, or in parentheses that begin with `lxkns`.
pub fn wrap(text: &str, columns: Option<usize>, used: usize, indent: usize) -> String {
    let Some(columns) = columns else { return text.to_owned() };
    let mut wrapped = String::with_capacity(text.len());
    let mut at = used;
    let (mut is_code, mut is_first) = (false, true);
    let commands: Vec<_> = text.match_indices("(lxkns ").map(|(start, _)| start..end_of_command(text, start)).collect();
    let mut commands = commands.into_iter().peekable();
    let mut from = 0;
    let ends = text.char_indices().filter_map(|(index, character)| {
        is_code ^= character == '`';
        while commands.next_if(|command| command.end <= index).is_some() {}
        let is_whole = is_code || commands.peek().is_some_and(|command| command.contains(&index));
        (character == ' ' && !is_whole).then_some(index)
    });
    for end in ends.chain([text.len()]) {
        let word = &text[from..end];
        from = end + 1;
        let width = word.width();
        if !is_first && at + 1 + width > columns && at > indent {
            wrapped.push('\n');
            wrapped.extend(std::iter::repeat_n(' ', indent));
            at = indent;
        } else if !is_first {
            wrapped.push(' ');
            at += 1;
        }
        wrapped.push_str(word);
        at += width;
        is_first = false;
    }
    wrapped
}

/// Where a command in parentheses ends that begins here.
fn end_of_command(text: &str, start: usize) -> usize {
    text[start..].find(')').map_or(text.len(), |length| start + length)
}

/// As many of the first words of a text as fit into so many columns.
pub fn words(text: &str, columns: usize) -> Cow<'_, str> {
    if text.width() <= columns {
        return Cow::Borrowed(text);
    }
    let ellipsis = Charset::current().ellipsis();
    let Some(room) = columns.checked_sub(ellipsis.width() + 1) else { return Cow::Borrowed("") };
    // The blank after the last word may be where there is no room left.
    let end = beginning(text, room);
    let end = if text[end..].starts_with(' ') { end } else { text[..end].rfind(' ').unwrap_or(0) };
    let kept = text[..end].trim_end_matches([' ', ',']);
    // A preposition says nothing without what it stands before.
    let stranded = [" owned by", " in", " of"].into_iter().find_map(|words| kept.strip_suffix(words));
    let kept = stranded.unwrap_or(kept).trim_end_matches([' ', ',']);
    Cow::Owned(format!("{kept} {ellipsis}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_commands_stay_whole() {
        let text = "until `umount -N 12 /mnt/a b`, or 4026531832 ends";
        assert_eq!(wrap(text, None, 4, 6), text);
        assert_eq!(wrap(text, Some(80), 4, 6), text);
        assert_eq!(
            wrap(text, Some(20), 4, 6),
            "until\n      `umount -N 12 /mnt/a b`,\n      or 4026531832\n      ends"
        );
        let text = "until mnt:[7] ends (lxkns why mnt:7), or (not a command) b";
        assert_eq!(wrap(text, Some(24), 0, 2), "until mnt:[7] ends\n  (lxkns why mnt:7), or\n  (not a command) b");
        assert_eq!(
            wrap(text, Some(12), 0, 2),
            "until\n  mnt:[7]\n  ends\n  (lxkns why mnt:7),\n  or (not a\n  command) b"
        );
        assert_eq!(wrap(" x", Some(1), 1, 2), " x", "a word that does not fit anywhere");
        assert_eq!(wrap("a,  b", Some(40), 0, 2), "a,  b");
    }

    #[test]
    fn the_middle_is_left_out() {
        for (text, columns, expected) in [
            ("/sbin/init splash", 17, "/sbin/init splash"),
            ("/sbin/init splash", 16, "/sbin/in… splash"),
            ("/sbin/init splash", 4, "/s…h"),
            ("/sbin/init splash", 1, "…"),
            ("/sbin/init splash", 0, ""),
            ("漢字漢字漢字", 12, "漢字漢字漢字"),
            ("漢字漢字漢字", 11, "漢字…漢字"),
            ("漢字漢字漢字", 8, "漢字…字"),
            ("漢字漢字漢字", 7, "漢…字"),
            // Accents stay with what they are on: none begins the end.
            ("ae\u{301}e\u{301}e\u{301}e\u{301}z", 4, "ae\u{301}…z"),
            ("e\u{301}e\u{301}e\u{301}", 3, "e\u{301}e\u{301}e\u{301}"),
            // Half a number is a lie.
            ("pid 123456 or so", 9, "pid …r so"),
            ("a number: 123456", 9, "a nu…"),
            ("1234567890", 4, "…"),
            (r"a \x1b]0;title\x07", 15, r"a \x1b]…tle\x07"),
            (r"a \x1b]0;title\x07", 9, r"a …\x07"),
            (r"a \x1b]0;title\x07", 8, "a …"),
            (r"a \x0712345678901", 15, r"a \x07…"),
            (r"a \x", 3, r"a…x"),
            ("see net:[4026532281], then go on", 14, "see … go on"),
            ("see net:[4026532281], then go on", 30, "see …, then go on"),
        ] {
            assert_eq!(middle_with(text, columns, "…"), expected, "{text} {columns}");
        }
        assert_eq!(middle_with("/sbin/init splash", 10, "..."), "/sbi...ash");
        assert_eq!(middle_with("/sbin/init splash", 2, "..."), "");
    }

    #[test]
    fn no_width_panics_and_none_is_exceeded() {
        let emoji = "\u{2602}\u{fe0f}".repeat(12);
        let arabic = "\u{644}\u{627}".repeat(12);
        for text in ["漢e\u{301}字 pid:[12] 7漢", "\u{301}\u{301}\u{301}", "12:[", "ab c d e", "", &emoji, &arabic] {
            for columns in 0..20 {
                assert!(middle(text, columns).width() <= columns, "{text} {columns}");
                assert!(words(text, columns).width() <= columns, "{text} {columns}");
            }
        }
    }

    #[test]
    fn sentences_fit_as_far_as_texts_of_others_can_be_cut() {
        let sentence = || format!("process 1 ({}) in {}", to_limit("/sbin/init splash"), to_limit("/system.slice/x"));
        let whole = "process 1 (/sbin/init splash) in /system.slice/x";
        assert_eq!(sentence(), whole);
        assert_eq!(fit(None, sentence), whole);
        assert_eq!(fit(Some(whole.len()), sentence), whole);
        assert_eq!(fit(Some(46), sentence), "process 1 (/sbin/i… splash) in /system.slice/x");
        assert_eq!(fit(Some(40), sentence), "process 1 (/sbin/…plash) in /syste…ice/x");
        assert_eq!(fit(Some(2), sentence), "process 1 (/sbin/…plash) in /syste…ice/x");
        assert_eq!(within(usize::MAX, || fit(Some(2), sentence)).len(), fit(Some(2), sentence).len());
        assert_eq!(sentence(), whole, "the limit is for one sentence");
    }

    #[test]
    fn whole_words_are_kept() {
        for (columns, expected) in [
            (31, "in user:[4026531837], of 12 (x)"),
            (30, "in user:[4026531837], of 12 …"),
            (28, "in user:[4026531837] …"),
            (24, "in user:[4026531837] …"),
            (5, "in …"),
            (3, " …"),
            (1, ""),
        ] {
            assert_eq!(words("in user:[4026531837], of 12 (x)", columns), expected);
        }
    }
}
