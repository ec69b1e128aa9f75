//! `lxkns man`: the man pages, from the same definitions as `--help`.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::Context as _;
use clap::{Arg, ArgAction, Command, CommandFactory as _};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};

use crate::args::Args;
use crate::args::fill::fill;
use crate::exit::{Exit, Result};

/// Runs it.
pub(crate) fn run(dir: &Path) -> Result {
    let mut whole = Args::command().disable_help_subcommand(true);
    whole.build();
    let visible = whole.get_subcommands().filter(|command| !command.is_hide_set());
    for command in visible.chain([&whole]) {
        let name = command.get_display_name().unwrap_or_else(|| command.get_name());
        let file = dir.join(format!("{name}.1"));
        let mut text = Vec::new();
        page(command, &mut text)?;
        fs::write(&file, text).with_context(|| format!("write {file:?}"))?;
    }
    Ok(Exit::Done)
}

/// A page. The examples, which come first in `--help`, have their usual section.
fn page(command: &Command, out: &mut Vec<u8>) -> io::Result<()> {
    let man = Man::new(command.clone()).source(concat!("lxkns ", env!("CARGO_PKG_VERSION")));
    man.render_title(out)?;
    man.render_name_section(out)?;
    synopsis(command, out)?;
    man.render_description_section(out)?;
    man.render_options_section(out)?;
    if command.get_subcommands().any(|command| !command.is_hide_set()) {
        man.render_subcommands_section(out)?;
    }
    let notes = command.get_after_help().map(ToString::to_string).unwrap_or_default();
    for note in notes.split("\n\n").filter(|note| !note.is_empty()) {
        let (heading, lines) = match note.split_once(":\n") {
            Some((heading, lines)) if !heading.contains(' ') => (heading, lines),
            _ if note.starts_with("TARGET can be") => ("Targets", note),
            _ => ("Notes", note),
        };
        section(out, heading, lines)?;
    }
    let examples = command.get_before_help().map(ToString::to_string).unwrap_or_default();
    if let Some(examples) = examples.strip_prefix("Examples:\n") {
        section(out, "Examples", examples)?;
    }
    section(out, "Exit status", &exit_codes(command).join("\n"))?;
    section(out, "Environment", &environment(command.get_name()).join("\n"))?;
    section(out, "Files", &files(command.get_name()))?;
    see_also(command.get_name(), out)
}

/// The synopsis of a command line, with the arguments of options; literal words are bold.
fn synopsis(command: &Command, out: &mut impl io::Write) -> io::Result<()> {
    let mut line = vec![bold(command.get_bin_name().unwrap_or_else(|| command.get_name())), roman(" ")];
    if command.has_subcommands() {
        line.extend([italic("COMMAND"), roman(" [OPTION...] [ARGUMENT...]")]);
    } else {
        let options = command.get_arguments().filter(|arg| !arg.is_positional() && !arg.is_hide_set());
        let positionals = command.get_positionals().filter(|arg| !arg.is_hide_set());
        for arg in options.chain(positionals) {
            part(arg, &mut line);
        }
    }
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]).control("nh", []).text(line).control("hy", []);
    roff.to_writer(out)
}

/// An argument in the synopsis, with a blank.
fn part(arg: &Arg, line: &mut Vec<Inline>) {
    let value = || {
        let names = arg.get_value_names().unwrap_or_default();
        italic(names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
    };
    let repeats = matches!(arg.get_action(), ArgAction::Append);
    let takes_value = arg.get_action().takes_values();
    let is_needed = arg.is_required_set() && !arg.is_last_set();
    line.push(roman(if is_needed { "" } else { "[" }));
    if arg.is_positional() {
        if arg.is_last_set() {
            line.extend([bold("--"), roman(" ")]);
        }
        line.push(value());
    } else {
        let short = arg.get_short().map(|letter| format!("-{letter}"));
        let long = arg.get_long().map(|word| format!("--{word}"));
        for (index, name) in [short, long].into_iter().flatten().enumerate() {
            line.extend([roman(if index > 0 { "|" } else { "" }), bold(name)]);
        }
        if takes_value {
            line.extend([roman(" "), value()]);
        }
    }
    line.push(roman(match (is_needed, repeats) {
        (false, false) => "] ",
        (false, true) if arg.is_positional() => "...] ",
        (false, true) => "]... ",
        (true, false) => " ",
        (true, true) => "... ",
    }));
}

/// The environment variables of a command.
fn environment(command: &str) -> Vec<&'static str> {
    let mut lines = vec![
        "NO_COLOR, CLICOLOR, CLICOLOR_FORCE, TERM",
        "         whether --color auto means colour on a terminal",
        "LC_ALL, LC_CTYPE, LANG",
        "         the first that is set decides between UTF-8 and ASCII",
    ];
    if command == "enter" {
        lines.extend(["others   passed on to the command with --env host, and if TARGET is a namespace"]);
    }
    if !matches!(command, "completions" | "man") {
        lines.extend([
            "LXKNS_SANDBOX",
            "         the helper that enters mount namespaces, in place of the one inside lxkns",
        ]);
    }
    lines
}

/// The files that a command reads, except those that its arguments name.
fn files(command: &str) -> String {
    let mut files = match command {
        "completions" => vec![
            ("/usr/share/bash-completion/completions", "scripts for bash"),
            ("/usr/share/zsh/vendor-completions", "scripts for zsh"),
            ("/usr/share/fish/vendor_completions.d", "scripts for fish"),
        ],
        "man" => vec![("/usr/share/man/man1", "directory for the pages")],
        _ => vec![
            ("/proc", "processes, and most facts about namespaces"),
            ("/etc/passwd", "names of users"),
            ("/run/netns", "names of network namespaces, by ip netns"),
        ],
    };
    match command {
        "enter" => {
            files.push(("/etc/group", "names of groups; both files are read in the namespace that is entered"));
        }
        "owner" => {
            files.push((
                "/etc/group",
                "names of groups; both files are read in each mount namespace that shows the file",
            ));
        }
        _ => {}
    }
    if matches!(command, "busy" | "mounts" | "owner" | "lxkns") {
        files.push(("/proc/PID/mountinfo", "mounts"));
    }
    let width = files.iter().map(|(path, _)| path.len()).max().unwrap_or_default();
    files.iter().map(|(path, words)| format!("{path:width$}  {words}")).collect::<Vec<_>>().join("\n")
}

/// Related pages.
fn see_also(command: &str, out: &mut impl io::Write) -> io::Result<()> {
    let (ours, others): (&[&str], &[&str]) = match command {
        "ls" => (&["tree", "show", "why", "orphans"], &["lsns(8)", "namespaces(7)"]),
        "tree" => (&["ls", "show"], &["lsns(8)", "pstree(1)", "user_namespaces(7)", "pid_namespaces(7)"]),
        "show" => (&["ls", "why", "caps", "mounts"], &["ip(8)", "ss(8)", "namespaces(7)"]),
        "why" => (&["orphans", "busy", "show"], &["namespaces(7)", "ioctl_nsfs(2)"]),
        "orphans" => (&["why", "ls"], &["umount(8)", "ip-netns(8)", "namespaces(7)"]),
        "mounts" => (&["busy", "show"], &["findmnt(8)", "mount_namespaces(7)"]),
        "busy" => (&["mounts", "why"], &["umount(8)", "fuser(1)", "lsof(8)"]),
        "caps" => (&["show", "who-can", "enter"], &["capabilities(7)", "user_namespaces(7)"]),
        "who-can" => (&["caps", "containers"], &["capabilities(7)", "user_namespaces(7)", "credentials(7)"]),
        "explain" => (&["who-can", "caps"], &["unshare(1)", "setns(2)", "namespaces(7)", "user_namespaces(7)"]),
        "owner" => (&["show", "mounts"], &["stat(1)", "user_namespaces(7)", "mount_setattr(2)"]),
        "containers" => (&["ls", "show", "enter"], &["namespaces(7)", "capabilities(7)", "seccomp(2)"]),
        "audit" => (
            &["containers", "who-can", "show"],
            &["namespaces(7)", "capabilities(7)", "seccomp(2)", "user_namespaces(7)"],
        ),
        "ports" => (&["show", "containers"], &["ss(8)", "ip-netns(8)", "network_namespaces(7)", "sock_diag(7)"]),
        "links" => {
            (&["show", "orphans", "containers"], &["ip-link(8)", "ip-netns(8)", "network_namespaces(7)", "veth(4)"])
        }
        "doctor" => (&["ls"], &["capabilities(7)", "proc(5)", "ptrace(2)"]),
        "enter" => (&["show", "caps"], &["nsenter(1)", "setns(2)", "namespaces(7)"]),
        "dump" => (&["diff", "ls"], &["jq(1)"]),
        "diff" => (&["dump", "watch"], &[]),
        "watch" => (&["diff", "ls"], &[]),
        "completions" | "man" => (&["completions", "man"], &["bash(1)", "zsh(1)", "fish(1)", "man(1)"]),
        _ => (
            &[
                "ls",
                "tree",
                "show",
                "why",
                "orphans",
                "mounts",
                "busy",
                "caps",
                "who-can",
                "explain",
                "owner",
                "containers",
                "audit",
                "ports",
                "links",
                "doctor",
                "enter",
                "dump",
                "diff",
                "watch",
            ],
            &["lsns(8)", "nsenter(1)", "unshare(1)", "namespaces(7)"],
        ),
    };
    let ours = ours.iter().filter(|name| **name != command).map(|name| format!("lxkns-{name}(1)"));
    let whole = (command != "lxkns").then(|| "lxkns(1)".to_owned());
    let pages: Vec<_> = whole.into_iter().chain(ours).chain(others.iter().map(ToString::to_string)).collect();
    let mut roff = Roff::new();
    roff.control("SH", ["SEE ALSO"]).text([roman(pages.join(", "))]);
    roff.to_writer(out)
}

/// A section with literal lines, which fit into a terminal of 80 columns: man indents them, and keeps a margin.
fn section(out: &mut impl io::Write, heading: &str, lines: &str) -> io::Result<()> {
    const COLUMNS: usize = 71;
    let mut roff = Roff::new();
    roff.control("SH", [heading.to_uppercase().as_str()]).control("nf", []);
    for line in fill(lines, COLUMNS).lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    roff.to_writer(out)
}

/// The exit codes of a command.
fn exit_codes(command: &Command) -> Vec<&'static str> {
    const DONE: &str = "0  done";
    const MISSING: &str = "1  the TARGET does not exist: everything that may hold it could be seen";
    const USAGE: &str = "2  bad usage";
    const FAILED: &str = "3  failed, or the TARGET is not visible from here and may exist";
    let takes_target = command.get_positionals().any(|arg| arg.get_id() == "targets" || arg.get_id() == "target");
    match command.get_name() {
        "lxkns" => {
            vec![DONE, MISSING, USAGE, FAILED, "4  --fail or --exit-code found something; explain: the action fails"]
        }
        "orphans" => vec![DONE, USAGE, "3  failed", "4  --fail was given, and a namespace is left over"],
        "diff" => vec![DONE, USAGE, "3  failed", "4  --exit-code was given, and there are differences"],
        "audit" => vec![
            DONE,
            MISSING,
            USAGE,
            "3  failed, or the TARGET is not visible from here and may exist; with --fail also: not everything could be judged",
            "4  --fail was given, and there is a finding of that severity or a higher one",
        ],
        "busy" => vec![
            DONE,
            "1  PATH is not a mount point",
            USAGE,
            "3  failed, or no mount or user of the file system was found",
        ],
        "owner" => {
            vec![DONE, "1  the file or the TARGET does not exist", USAGE, "3  failed, or the TARGET may exist"]
        }
        "explain" => vec![
            "0  it succeeds",
            "1  the process or TARGET does not exist: everything that may hold it could be seen",
            USAGE,
            "3  it is not known whether it succeeds, or the TARGET is not visible from here and may exist",
            "4  it fails",
        ],
        "ports" => vec![
            DONE,
            MISSING,
            "1  nothing listens on the ports of --port, and everything could be read",
            USAGE,
            "3  failed, or not everything could be read",
        ],
        "enter" => vec![
            "125   lxkns itself failed, bad usage included",
            "126   the command was found and could not be run",
            "127   the command was not found",
            "else  that of the command; 128 plus the number of the signal that ended it",
        ],
        _ if takes_target => vec![DONE, MISSING, USAGE, FAILED],
        _ => vec![DONE, USAGE, "3  failed"],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_keeps_its_lines_and_is_no_macro() {
        let mut out = Vec::new();
        section(&mut out, "Notes", "  . <(x)\n  .x  y\na\\b-c").unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains(".SH NOTES\n.nf\n") && text.ends_with(".fi\n"), "{text}");
        assert!(!text.contains("\n.x"), "{text}");
    }
}
