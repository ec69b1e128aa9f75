//! A sheet about one thing, laid out for a terminal.

use std::io::{self, Write};

use lxkns_answers::sheet::{Body, Column, Fact, Sheet};
use unicode_width::UnicodeWidthStr as _;

use super::screen::Screen;
use super::shorten::{middle, wrap};
use super::table::{self, Heading};

const INDENT: usize = 2;

/// However long a text of others is, so many lines of it are shown on a terminal.
const LONGEST: usize = 3;

/// Writes it. On a terminal long facts go on in lines of their own; of texts of others the middle is left out where they would
/// take too many.
pub(crate) fn write(sheet: &Sheet, out: &mut impl Write, screen: Screen) -> io::Result<()> {
    screen.heading(out, &sheet.title)?;
    out.write_all(b"\n")?;
    let inner = screen.indented(INDENT);
    for section in &sheet.sections {
        if !section.heading.is_empty() {
            write!(out, "\n{:INDENT$}", "")?;
            screen.heading(out, &section.heading)?;
            out.write_all(b"\n")?;
        }
        match &section.body {
            Body::Facts(facts) => write_facts(out, facts, screen)?,
            Body::Table(columns, rows) => {
                let mut text = Vec::new();
                write_table(&mut text, columns, rows, inner)?;
                for line in text.split_inclusive(|&byte| byte == b'\n') {
                    write!(out, "{:INDENT$}", "")?;
                    out.write_all(line)?;
                }
            }
        }
    }
    Ok(())
}

fn write_facts(out: &mut impl Write, facts: &[Fact], screen: Screen) -> io::Result<()> {
    let widest = facts.iter().map(|fact| fact.label.width()).max().unwrap_or(0);
    let start = INDENT + widest + 2;
    for Fact { label, text, may_be_cut } in facts {
        let room = screen.room(start).filter(|_| *may_be_cut);
        let text = room.map_or(text.into(), |room| middle(text, LONGEST * room));
        writeln!(out, "{:INDENT$}{label:widest$}  {}", "", wrap(&text, screen.width, start, start))?;
    }
    Ok(())
}

/// Writes a table. Where a terminal has no room for all columns, those that give way are left out; and where there is still
/// none, the last one goes on lines of its own, and those are there again that then have room. No cell is cut.
fn write_table(out: &mut impl Write, columns: &[Column], rows: &[Vec<String>], screen: Screen) -> io::Result<()> {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(index, column)| rows.iter().map(|row| row[index].width()).fold(column.name.width(), usize::max))
        .collect();
    let all: Vec<usize> = (0..columns.len()).collect();
    let beside: Vec<usize> = all.iter().copied().filter(|&index| !columns[index].below).collect();
    let (shown, is_below) = match (fitting(&all, columns, &widths, screen), all.len() == beside.len()) {
        (Some(shown), _) => (shown, false),
        (None, true) => (kept(&all, columns, 0), false),
        (None, false) => {
            (fitting(&beside, columns, &widths, screen).unwrap_or_else(|| kept(&beside, columns, 0)), true)
        }
    };
    let headings: Vec<_> = shown
        .iter()
        .map(|&index| Heading { name: columns[index].name, right: columns[index].right, gives_way: false })
        .collect();
    let cells: Vec<Vec<String>> =
        rows.iter().map(|row| shown.iter().map(|&index| row[index].clone()).collect()).collect();
    let mut text = Vec::new();
    table::write_aligned(&mut text, &headings, &cells, true, Screen { width: None, ..screen })?;
    let mut lines = text.split_inclusive(|&byte| byte == b'\n');
    if let Some(line) = lines.next() {
        out.write_all(line)?;
    }
    for (line, row) in lines.zip(rows) {
        out.write_all(line)?;
        let below = all.iter().filter(|&&index| is_below && columns[index].below && !row[index].is_empty());
        for &index in below {
            let label = format!("{:indent$}{}:", "", columns[index].name.to_lowercase(), indent = 3 * INDENT);
            let text = wrap(&format!(" {}", row[index]), screen.width, label.width(), 4 * INDENT);
            // Lines within a table are indented by who writes them.
            writeln!(out, "{label}{text}")?;
        }
    }
    Ok(())
}

/// As many of these columns as there is room for; `None` where there is none for those that never give way.
fn fitting(among: &[usize], columns: &[Column], widths: &[usize], screen: Screen) -> Option<Vec<usize>> {
    let ranks = (0..=among.iter().map(|&index| columns[index].gives_way).max().unwrap_or(0)).rev();
    let fits = |shown: &Vec<usize>| {
        let blanks = shown.len().saturating_sub(1);
        let used = shown.iter().map(|&index| widths[index]).sum::<usize>() + blanks;
        screen.width.is_none_or(|width| used <= width)
    };
    ranks.map(|rank| kept(among, columns, rank)).find(fits)
}

/// Those of these columns that do not give way at a rank.
fn kept(among: &[usize], columns: &[Column], rank: u8) -> Vec<usize> {
    among.iter().copied().filter(|&index| columns[index].gives_way <= rank).collect()
}

#[cfg(test)]
mod tests {
    use lxkns_answers::sheet::list;

    use super::*;

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new("net:[1]".to_owned());
        sheet.facts(
            "",
            [
                vec![Fact::new("owner", "user:[2]"), Fact::long("command", "x".repeat(100))],
                list("children", &["one", "two", "three", "four"], 2, |&one| one.to_owned()),
            ]
            .concat(),
        );
        sheet.facts("Nothing", Vec::new());
        let columns = vec![
            Column::right("INDEX"),
            Column::left("NAME"),
            Column::left("MAC").giving_way(2),
            Column::right("MTU").giving_way(1),
            Column::left("OTHER END").or_below(),
        ];
        let row = |cells: [&str; 5]| cells.map(str::to_owned).to_vec();
        let rows = vec![
            row(["1", "lo", "", "65536", ""]),
            row(["2", "eth0", "02:00:00:00:00:01", "1500", "a in net:[4026531833] (blue) of process 1 (init)"]),
        ];
        sheet.table("Links", columns, rows);
        sheet
    }

    fn text(width: Option<usize>) -> String {
        let mut out = Vec::new();
        write(&sheet(), &mut out, Screen { width, color: false }).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn table(width: Option<usize>) -> Vec<String> {
        text(width).lines().skip_while(|line| *line != "  Links").skip(1).map(str::to_owned).collect()
    }

    #[test]
    fn labels_stand_in_a_column_and_sections_apart() {
        let whole = text(None);
        assert!(whole.starts_with("net:[1]\n  owner     user:[2]\n  command   xxxx"), "{whole}");
        let children = "\n  children  one\n            two\n            and 2 more (--all shows all)\n\n  Links\n  INDEX NAME MAC ";
        assert!(whole.contains(children), "{whole}");
    }

    #[test]
    fn what_matters_less_goes_first_and_then_there_is_a_second_line() {
        const END: &str = "a in net:[4026531833] (blue) of process 1 (init)";
        assert_eq!(
            table(Some(74)),
            ["  INDEX NAME   MTU OTHER END", "      1 lo   65536", &format!("      2 eth0  1500 {END}"),]
        );
        assert_eq!(table(Some(64))[1..], ["      1 lo", &format!("      2 eth0 {END}")]);
        // On a line of its own it leaves room for what has gone.
        assert_eq!(
            table(Some(60)),
            [
                "  INDEX NAME MAC                 MTU",
                "      1 lo                     65536",
                "      2 eth0 02:00:00:00:00:01  1500",
                "        other end: a in net:[4026531833] (blue) of process 1",
                "          (init)",
            ]
        );
        for width in 1..120 {
            let table = table(Some(width)).join("\n");
            let kept = ["eth0", "net:[4026531833]", "blue)", "(init)"];
            assert!(kept.iter().all(|part| table.contains(part)), "{width}: {table}");
            assert!(width < 30 || table.lines().all(|line| line.trim_end().width() <= width), "{width}: {table}");
        }
    }

    #[test]
    fn long_facts_go_on_below_and_texts_of_others_are_cut() {
        let narrow = text(Some(40));
        assert!(narrow.contains("  owner     user:[2]\n") && narrow.contains("            and "), "{narrow}");
        let command = narrow.lines().find(|line| line.contains("command")).unwrap();
        assert!(command.contains('…') && command.width() <= 12 + LONGEST * 28, "{command}");
        let mut out = Vec::new();
        write(&sheet(), &mut out, Screen { width: None, color: true }).unwrap();
        let coloured = String::from_utf8(out).unwrap();
        assert!(coloured.starts_with("\x1b[1m") && coloured.contains("\n  owner "), "{coloured:?}");
    }
}
