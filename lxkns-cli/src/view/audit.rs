//! How well containers and process trees are isolated from the host, as text.

use std::io::{self, Write};

use lxkns_answers::audit::{Audit, Finding, Judgement};
use lxkns_answers::text::shown;
use unicode_width::UnicodeWidthStr as _;

use super::screen::Screen;
use super::shorten;

/// Writes them, with no more than `limit` pieces of evidence for each finding.
pub(crate) fn write(
    out: &mut impl Write,
    audit: &Audit<'_>,
    judgements: &[Judgement],
    screen: Screen,
    limit: usize,
) -> io::Result<()> {
    for (index, judgement) in judgements.iter().enumerate() {
        if index > 0 {
            writeln!(out)?;
        }
        write_headline(out, audit, judgement, screen)?;
        for finding in &judgement.findings {
            write_finding(out, finding, screen, limit)?;
        }
        for what in &judgement.not_judged {
            screen.wrapped(out, "  not judged: ", || what.clone())?;
        }
    }
    for remark in audit.remarks() {
        writeln!(out)?;
        screen.wrapped(out, "host: ", || remark.clone())?;
    }
    Ok(())
}

fn write_headline(out: &mut impl Write, audit: &Audit<'_>, judgement: &Judgement, screen: Screen) -> io::Result<()> {
    let subject = &judgement.subject;
    let name = audit.name(subject);
    screen.heading(out, &name)?;
    let mut parts = Vec::new();
    if let Some(pid) = subject.main.filter(|_| subject.container.is_some()) {
        parts.push(format!("PID {pid}"));
    }
    parts.push(match subject.pids.len() {
        0 if subject.has_ended => "it has ended".to_owned(),
        0 if subject.is_of_kernel => "only kernel threads, which run no program".to_owned(),
        0 => "no process visible".to_owned(),
        1 => "1 process".to_owned(),
        count => format!("{count} processes"),
    });
    parts.push(match judgement.worst() {
        Some(worst) => format!("worst: {worst}"),
        None if judgement.not_judged.is_empty() => "no finding".to_owned(),
        None => "no findings, but not everything was judged".to_owned(),
    });
    let rest = format!(", {}", parts.join(", "));
    writeln!(out, "{}", shorten::wrap(&rest, screen.width, name.width(), 2))
}

fn write_finding(out: &mut impl Write, finding: &Finding, screen: Screen, limit: usize) -> io::Result<()> {
    const INDENT: usize = 10;
    let text = shorten::wrap(&finding.text, screen.width, INDENT, INDENT);
    writeln!(out, "  {:<6}  {text}", finding.severity)?;
    let count = shown(finding.evidence.len(), limit);
    for evidence in &finding.evidence[..count] {
        screen.wrapped(out, "          ", || evidence.text.clone())?;
    }
    match finding.evidence.len() - count {
        0 => {}
        more => writeln!(out, "          and {more} more (--all shows all)")?,
    }
    screen.wrapped(out, "          fix: ", || finding.remedy.clone())
}
