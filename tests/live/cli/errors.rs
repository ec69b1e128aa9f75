//! What cannot be answered is said in one line, with the code that tells whose fault it is.

use crate::harness::{Test, test};
use crate::live::directory;
use crate::live::program::{run_lxkns, run_lxkns_with};

pub(super) fn tests() -> Vec<Test> {
    vec![
        test("cli::errors::usage", &[], usage),
        test("cli::errors::missing", &[], missing),
        test("cli::errors::files_that_are_no_dumps", &[], files_that_are_no_dumps),
        test("cli::errors::streams_that_are_no_dumps", &[], streams_that_are_no_dumps),
        test("cli::errors::a_dump_cut_short", &[], a_dump_cut_short),
        test("cli::errors::dashes", &[], dashes),
        test("cli::errors::the_kernels_words", &[], the_kernels_words),
        test("cli::errors::help", &[], help),
    ]
}

fn usage() {
    for (arguments, text) in [
        (&["nonsense"][..], "nonsense: not a command; see lxkns --help"),
        (&["lss"], "lss: not a command; did you mean lxkns ls?"),
        (&["net"], "net: not a command; to list net namespaces: lxkns ls -t net"),
        (&["inspect"], "inspect: not a command; did you mean lxkns show?"),
        (&["1234"], "1234: not a command; it may be a TARGET: lxkns show 1234, lxkns why 1234"),
        (&["ls", "-T"], "unexpected argument '-T'; for a tree: lxkns tree"),
        (&["ls", "-t", "mount"], "expected one of mnt, cgroup, uts, ipc, user, pid, net, time; did you mean mnt?"),
        (&["why", "network:4026531840"], "did you mean net?"),
        (&["ls", "non sense"], "'non sense'"),
        (
            &["ls", "non sense"],
            "expected a PID, PID/TYPE, an inode number, TYPE:INODE, :UNIQUE-ID, self, host, the name of a network \
             namespace (ip netns), a container's name or ID, link:NAME, or a path with a slash",
        ),
        (&["ls", ""], "expected a PID"),
        (&["ls", "1", "0"], "not a PID"),
        (&["why", "nets:1"], "not a namespace type"),
        (&["why", "net:[1"], "not the inode number of a namespace"),
        (&["why", ":x"], "not a unique namespace ID"),
        (&["why", "net:99999999999999999999"], "not the inode number of a namespace"),
        (&["why"], "<TARGET>"),
        (&["ls", "-t", "nets"], "expected one of mnt, cgroup, uts, ipc, user, pid, net, time"),
        (&["ls", "-t", ""], "not a namespace type"),
        (&["ls", "-o", "FOO"], "unknown column \"FOO\": valid columns are NS, TYPE, PATH"),
        (&["ls", "-o", "NS,,TYPE"], "unknown column \"\""),
        (&["ls", "-o"], "--output <LIST> lacks its value"),
        (&["ls", "-p", "0"], "not a PID: expected a number from 1 to 4194304"),
        (&["caps", "-p", "x"], "'x' for '--pid <PID>': not a PID"),
        (&["ports", "--port", "65536"], "not a port: expected a number from 1 to 65535"),
        (&["ls", "--timeout", "-1"], "not a number of seconds above 0"),
        (&["ls", "-rJ"], "cannot be used with"),
        (&["ls", "--nonsense"], "unexpected argument '--nonsense'"),
        (&["ls", "--color", "blue"], "'blue' for '--color <WHEN>': expected one of auto, always, never"),
        (&["ls", "--color", "\x1b[31m\n\u{202e}"], "expected one of auto, always, never"),
        (&["ls", "--json=1"], "--json takes no value"),
        (&["dump", "1"], "unexpected argument '1'"),
        (&["ls", "\x1b[31m\n\u{202e}"], "expected a PID"),
        (&["ls", "-o", "\x1b[31m\n\u{202e}"], "unknown column"),
    ] {
        let ran = run_lxkns(arguments).fails(2, text);
        assert!(!ran.stderr.contains(['\x1b', '\u{202e}']), "{ran:?}");
    }
}

fn missing() {
    let directory = directory();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let absent = format!("{file}\x1b[31m");
    for (target, code, text) in [
        ("4194304", 1, "4194304: no such process"),
        ("4194304/net", 1, "4194304/net: no such process"),
        ("4194305", 1, "4194305: no such namespace"),
        ("net:[4194305]", 1, "net:[4194305]: no such namespace"),
        (":18446744073709551615", 3, "not visible from here: "),
        (file, 1, ": not a namespace"),
        ("/", 1, "/: not a namespace"),
        (&absent, 1, "\\x1b[31m: no such file"),
    ] {
        for command in ["ls", "why"] {
            let mut ran = run_lxkns([command, target]);
            if command == "why" && target.starts_with(':') {
                // What may hold such a one depends on the host.
                assert!(ran.text().starts_with(&format!("{target} is not visible, and may not exist\n")), "{ran:?}");
                ran.stdout.clear();
            }
            let ran = ran.fails(code, text);
            let may_be_unseen = target.contains("4194305") || target.starts_with(':');
            assert!(
                ran.gaps().is_empty() || may_be_unseen,
                "what could not be seen has nothing to do with it: {ran:?}"
            );
        }
    }
    run_lxkns(["ls", "-p", "4194304"]).fails(1, "4194304: no such process");
    let ran = run_lxkns(["why", "--json", "4194304"]);
    assert_eq!((ran.code, ran.results()), (Some(1), vec![]), "JSON stays JSON");
    assert_eq!(ran.problems().len(), 1);
    // The worst counts.
    let ran = run_lxkns(["why", "4194304", "/etc/passwd/x"]);
    assert_eq!((ran.code, ran.problems().len()), (Some(3), 2), "{ran:?}");
}

const GARBAGE: [&[u8]; 12] = [
    b"",
    b"\n",
    b"nonsense",
    b"{}",
    b"[]",
    b"null",
    b"0",
    b"{\"namespaces\": 5}",
    b"{\"namespaces\": {\"x\": {}}, \"processes\": {}}",
    b"\x7fELF\x02\x01\x01\0\xff\xfe",
    b"{\"\x1b[31m\xe2\x80\xae\": ",
    b"{\"discovery-options\":{\"snapshot\":{\"format\":99}},\"namespaces\":{},\"processes\":{}}",
];

fn files_that_are_no_dumps() {
    let directory = directory();
    let file = directory.path().join("dump");
    let path = file.to_str().unwrap();
    for garbage in GARBAGE {
        std::fs::write(&file, garbage).unwrap();
        let ran = run_lxkns(["ls", "--from", path]).fails(3, path);
        assert!(!ran.stderr.contains(['\x1b', '\u{202e}']), "{ran:?}");
        run_lxkns(["why", "1", "--from", path]).fails(3, path);
    }
    let ran = run_lxkns(["ls", "--from", directory.path().to_str().unwrap()]).fails(3, "Is a directory");
    assert_eq!(ran.stderr.matches("Is a directory").count(), 1, "{ran:?}");
    run_lxkns(["ls", "--from", "/nonexistent"]).fails(3, "open \"/nonexistent\": No such file");
    run_lxkns(["ls", "--from", "/nonexistent\x1b\n"]).fails(3, "No such file");
}

fn streams_that_are_no_dumps() {
    for garbage in GARBAGE {
        run_lxkns_with(&["ls", "--from", "-"], garbage).fails(3, "standard input");
    }
    for (open, close) in [(&b"["[..], &b""[..]), (b"{\"a\":", b""), (b"[", b"]")] {
        let mut deep = open.repeat(10_000_000 / open.len());
        deep.extend(close.repeat(10_000_000 / open.len()));
        run_lxkns_with(&["ls", "--from", "-"], &deep).fails(3, "standard input");
    }
    run_lxkns(["ls", "--from", "/dev/zero"]).fails(3, "not a dump");
}

fn a_dump_cut_short() {
    let dump = run_lxkns(["dump"]).ok().stdout;
    for length in [1, 100, dump.len() / 2, dump.len() - 2] {
        run_lxkns_with(&["ls", "--from", "-"], &dump[..length]).fails(3, "not JSON");
    }
    run_lxkns_with(&["ls", "--from", "-"], &dump).ok();
}

/// What stands after a process is a command, before which there must be dashes.
fn dashes() {
    let pid = std::process::id().to_string();
    for (words, instead) in [
        (&["ps", "ax"][..], "-- ps ax"),
        (&["ls", "-l"], "-- ls -l"),
        (&["/bin/ls"], "-- /bin/ls"),
        (&["sh", "-c", "a b"], "-- sh -c 'a b'"),
    ] {
        let text = format!("{}: not a TARGET; write -- before the command: lxkns enter {pid} {instead}", words[0]);
        run_lxkns([&["enter", &pid][..], words].concat()).fails(125, &text);
    }
    // A namespace is none.
    run_lxkns(["enter", &pid, "/proc/self/ns/net"]).fails(125, "only one PID is allowed");
}

/// Errors have the kernel's words and name, and no number.
fn the_kernels_words() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("file"), "").unwrap();
    for (arguments, text) in [
        (["ls".to_owned(), format!("--from={}", path("none"))], "No such file or directory (ENOENT)"),
        (["ls".to_owned(), format!("--from={}", directory.path().display())], "Is a directory (EISDIR)"),
        (["diff".to_owned(), path("file/x")], "Not a directory (ENOTDIR)"),
        (["man".to_owned(), path("none")], "No such file or directory (ENOENT)"),
        (["show".to_owned(), path("file/x")], "Not a directory (ENOTDIR)"),
    ] {
        let ran = run_lxkns(&arguments);
        assert!(ran.stderr.contains(text) && !ran.stderr.contains("os error"), "{arguments:?}: {ran:?}");
    }
}

/// Help that was asked for is a result.
fn help() {
    for arguments in [&["--help"][..], &["help"], &["ls", "--help"], &["why", "-h"], &["help", "dump"], &["--version"]]
    {
        let ran = run_lxkns(arguments).ok();
        assert!(ran.text().contains("lxkns") && ran.stderr.is_empty(), "{ran:?}");
    }
    let ran = run_lxkns([""; 0]);
    assert_eq!((ran.code, ran.text()), (Some(2), ""));
    assert!(ran.stderr.contains("Usage: lxkns"), "{ran:?}");
    let help = run_lxkns(["ls", "--help"]);
    for column in ["UNIQUEID", "HOLDERS", "NSFS", "Examples:", "TARGET"] {
        assert!(help.text().contains(column), "{column}");
    }
    assert!(help.text().lines().all(|line| line.len() <= 100));
}
