//! Colours. Each type of namespace has one. Names of namespaces are found in the finished text, so no view has to colour them
//! itself.

use std::io::{self, Write};

use anstyle::{Ansi256Color, Style};
use lxkns_answers::text::namespace_names;
use lxkns_core::model::NamespaceType;

/// The colours, from those that every terminal has: readable on black and on white.
const fn color(ns_type: NamespaceType) -> Ansi256Color {
    Ansi256Color(match ns_type {
        NamespaceType::Mnt => 166,
        NamespaceType::Cgroup => 163,
        NamespaceType::Uts => 30,
        NamespaceType::Ipc => 100,
        NamespaceType::User => 160,
        NamespaceType::Pid => 28,
        NamespaceType::Net => 32,
        NamespaceType::Time => 99,
    })
}

/// A text in the colour of a type of namespace.
pub(crate) fn colored(text: &str, ns_type: NamespaceType) -> String {
    let style = Style::new().fg_color(Some(color(ns_type).into()));
    format!("{style}{text}{style:#}")
}

/// A heading: bold, and the names of namespaces in it in their colours too.
pub(crate) fn write_heading(out: &mut impl Write, text: &str) -> io::Result<()> {
    write_painted(out, text.as_bytes(), Style::new().bold())
}

/// Writes a text in this style, with the names of namespaces in their colours. A part with a style of its own keeps it.
fn write_painted(out: &mut impl Write, text: &[u8], style: Style) -> io::Result<()> {
    const ESCAPE: &[u8] = b"\x1b[";
    const RESET: &[u8] = b"\x1b[0m";
    let write = |out: &mut dyn Write, part: &[u8], style: Style| {
        if part.is_empty() {
            return Ok(());
        }
        write!(out, "{style}")?;
        out.write_all(part)?;
        write!(out, "{style:#}")
    };
    let mut written = 0;
    let mut is_styled = false;
    for (range, ns_type) in namespace_names(text) {
        let between = &text[written..range.start];
        if let Some(at) = bstr::ByteSlice::rfind(between, ESCAPE) {
            is_styled = !between[at..].starts_with(RESET);
        }
        write(out, between, style)?;
        let colored = style.fg_color(Some(color(ns_type).into()));
        write(out, &text[range.clone()], if is_styled { style } else { colored })?;
        written = range.end;
    }
    write(out, &text[written..], style)
}

/// Passes text on to another output, with the names of namespaces in their colours.
#[derive(Debug)]
pub(crate) struct Painter<W> {
    out: W,
    /// The incomplete last line: a name can arrive in pieces.
    line: Vec<u8>,
    is_on: bool,
}

impl<W: Write> Painter<W> {
    /// A painter that paints only if `is_on`.
    pub(crate) fn new(out: W, is_on: bool) -> Self {
        Self { out, line: Vec::new(), is_on }
    }
}

impl<W: Write> Write for Painter<W> {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        if !self.is_on {
            return self.out.write(text);
        }
        self.line.extend_from_slice(text);
        if let Some(end) = text.iter().rposition(|&byte| byte == b'\n') {
            let rest = self.line.split_off(self.line.len() - (text.len() - end - 1));
            let lines = std::mem::replace(&mut self.line, rest);
            write_painted(&mut self.out, &lines, Style::new())?;
        }
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        write_painted(&mut self.out, &std::mem::take(&mut self.line), Style::new())?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NET: &str = "\x1b[38;5;32mnet:[4026532281]\x1b[0m";

    fn painted(parts: &[&str], is_on: bool) -> String {
        let mut out = Vec::new();
        let mut painter = Painter::new(&mut out, is_on);
        for part in parts {
            painter.write_all(part.as_bytes()).unwrap();
        }
        painter.flush().unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn names_have_colours_wherever_they_stand() {
        for (text, expected) in [
            ("net:[4026532281]", NET.to_owned()),
            ("owned by net:[4026532281], which", format!("owned by {NET}, which")),
            ("(net:[4026532281])\nnet:[4026532281]\n", format!("({NET})\n{NET}\n")),
            ("user:[1]", "\x1b[38;5;160muser:[1]\x1b[0m".to_owned()),
            // Text that is not the name of a namespace.
            ("net:4026532281 socket:[77] xnet:[7] net:[] net:[7 net:[x] [7] :[7]", String::new()),
            // Text with a style of its own.
            ("\x1b[1mall net:[7]\x1b[0m", String::new()),
            ("\x1b[1mall\x1b[0m net:[4026532281]", format!("\x1b[1mall\x1b[0m {NET}")),
        ] {
            let expected = if expected.is_empty() { text } else { &expected };
            assert_eq!(painted(&[text], true), expected);
            assert_eq!(painted(&[text], false), text);
            assert_eq!(painted(&[expected], true), expected, "once is enough");
            let bytes: Vec<_> = text.split_inclusive("").collect();
            assert_eq!(painted(&bytes, true), expected, "in pieces");
        }
    }

    #[test]
    fn headings_are_bold_with_names_in_their_colours() {
        let mut out = Vec::new();
        write_heading(&mut out, "net:[4026532281], too").unwrap();
        let expected = "\x1b[1m\x1b[38;5;32mnet:[4026532281]\x1b[0m\x1b[1m, too\x1b[0m";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
        assert_eq!(painted(&[expected], true), expected);
    }

    /// The relative luminance of a colour of the cube or of the greys (WCAG 2.1).
    fn luminance(Ansi256Color(index): Ansi256Color) -> f64 {
        assert!(index >= 16, "terminals have their own ideas about the first sixteen");
        let level = |step: u8| if step == 0 { 0 } else { 55 + 40 * u32::from(step) };
        let rgb = match index - 16 {
            cube @ 0..216 => [cube / 36, cube / 6 % 6, cube % 6].map(level),
            grey => [8 + 10 * u32::from(grey - 216); 3],
        };
        let linear = |level: u32| {
            let level = f64::from(level) / 255.0;
            if level <= 0.04045 { level / 12.92 } else { ((level + 0.055) / 1.055).powf(2.4) }
        };
        let [red, green, blue] = rgb.map(linear);
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }

    #[test]
    fn all_colours_read_on_black_and_on_white_and_differ() {
        let mut seen = Vec::new();
        for ns_type in NamespaceType::ALL {
            let luminance = luminance(color(ns_type));
            let (on_black, on_white) = ((luminance + 0.05) / 0.05, 1.05 / (luminance + 0.05));
            assert!(on_black >= 3.5 && on_white >= 3.5, "{ns_type}: {on_black:.2} on black, {on_white:.2} on white");
            assert!(!seen.contains(&color(ns_type)), "{ns_type}");
            seen.push(color(ns_type));
        }
    }
}
