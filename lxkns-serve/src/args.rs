//! The command line. Each option can also be given by an environment variable.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::Parser;

use crate::settings::{FrontSettings, LogForm, ReaderSettings, Settings};
use crate::{log, man, supervisor};

const EXAMPLES: &str = "\
Examples:
  lxknsd                                    serve on 127.0.0.1:5010
  lxknsd --listen unix:/run/lxknsd/socket   serve on a UNIX socket
  lxknsd --listen systemd                   serve on the sockets that systemd passes
  lxknsd check --listen [::1]:5010          check the options, and start nothing
  curl http://127.0.0.1:5010/api/v1/why?target=net:4026532281
                                            ask what keeps a network namespace alive";

const TEMPLATE: &str = "{about-with-newline}\n{before-help}{usage-heading} {usage}\n\n{all-args}{after-help}";

/// Serve the namespaces of this host, and what keeps each alive, over HTTP
#[derive(Debug, Parser)]
#[command(name = "lxknsd", version, help_template = TEMPLATE, before_help = EXAMPLES, args_conflicts_with_subcommands = false)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,

    /// Address to serve on: ADDRESS:PORT, unix:PATH, or systemd for the sockets that it passes; can be repeated
    #[arg(
        long,
        global = true,
        env = "LXKNSD_LISTEN",
        value_name = "ADDRESS",
        value_delimiter = ',',
        default_value = "127.0.0.1:5010"
    )]
    pub(crate) listen: Vec<Listen>,

    /// Serve other addresses than loopback to everybody who can reach them, without a password
    #[arg(long, global = true, env = "LXKNSD_INSECURE_LISTEN")]
    pub(crate) insecure_listen: bool,

    /// Path that comes before all others, e.g. /lxkns behind a proxy
    #[arg(long, global = true, env = "LXKNSD_BASE_PATH", value_name = "PATH", default_value = "", hide_default_value = true, value_parser = base_path)]
    pub(crate) base_path: String,

    /// Name that the service may be called by in a Host header, beside addresses and localhost; can be repeated
    #[arg(long, global = true, env = "LXKNSD_HOST", value_name = "NAME", value_delimiter = ',')]
    pub(crate) host: Vec<String>,

    /// Read command lines and show them; they can hold secrets
    #[arg(long, global = true, env = "LXKNSD_EXPOSE_COMMAND_LINES")]
    pub(crate) expose_command_lines: bool,

    /// Look up files for clients (owner), which tells them which files there are
    #[arg(long, global = true, env = "LXKNSD_EXPOSE_FILES")]
    pub(crate) expose_files: bool,

    /// Ask Docker and podman on their sockets for what they do not show otherwise
    #[arg(long, global = true, env = "LXKNSD_ENGINES")]
    pub(crate) engines: bool,

    /// Answer from a scan of at most this age, unless a client says otherwise (Cache-Control: max-age)
    #[arg(long, global = true, env = "LXKNSD_MAX_AGE", value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub(crate) max_age: Duration,

    /// Timeout for a scan
    #[arg(long, global = true, env = "LXKNSD_SCAN_TIMEOUT", value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) scan_timeout: Duration,

    /// Timeout for each operation in another namespace, and for each engine
    #[arg(long, global = true, env = "LXKNSD_TIMEOUT", value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub(crate) timeout: Duration,

    /// Timeout for the head of a request, and for the next request on a connection
    #[arg(long, global = true, env = "LXKNSD_HEADER_TIMEOUT", value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) header_timeout: Duration,

    /// Timeout for a client to take a piece of an answer
    #[arg(long, global = true, env = "LXKNSD_WRITE_TIMEOUT", value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub(crate) write_timeout: Duration,

    /// Time that requests have to end when the service stops
    #[arg(long, global = true, env = "LXKNSD_SHUTDOWN", value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub(crate) shutdown: Duration,

    /// Most connections at a time
    #[arg(long, global = true, env = "LXKNSD_MAX_CONNECTIONS", value_name = "COUNT", default_value = "512", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) max_connections: u32,

    /// Most memory for finished answers
    #[arg(long, global = true, env = "LXKNSD_CACHE", value_name = "MIB", default_value = "32", value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub(crate) cache: u32,

    /// Most memory for states and events of the past
    #[arg(long, global = true, env = "LXKNSD_HISTORY", value_name = "MIB", default_value = "8", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) history: u32,

    /// Time from one scan to the next while clients follow events and none happen
    #[arg(long, global = true, env = "LXKNSD_INTERVAL", value_name = "SECONDS", default_value = "10", value_parser = seconds)]
    pub(crate) interval: Duration,

    /// Form of log lines: text, json
    #[arg(
        long,
        global = true,
        env = "LXKNSD_LOG",
        value_name = "FORM",
        value_enum,
        default_value = "text",
        hide_possible_values = true
    )]
    pub(crate) log: LogForm,
}

/// What there is to do but serving.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Command {
    /// Check the options, and say what would be served to whom
    Check,
    /// Write the man page into a directory
    #[command(hide = true)]
    Man {
        /// The directory
        dir: PathBuf,
    },
}

/// Where to serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Listen {
    /// On an address.
    Tcp(SocketAddr),
    /// On a UNIX socket at this path.
    Unix(PathBuf),
    /// On the sockets that systemd passes.
    Systemd,
}

impl FromStr for Listen {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "systemd" {
            return Ok(Self::Systemd);
        }
        if let Some(path) = text.strip_prefix("unix:") {
            let path = PathBuf::from(path);
            return if path.is_absolute() {
                Ok(Self::Unix(path))
            } else {
                Err("expected an absolute path after unix:")
            };
        }
        text.parse().map(Self::Tcp).map_err(|_| "expected ADDRESS:PORT (e.g. 127.0.0.1:5010), unix:PATH or systemd")
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Systemd => f.write_str("the sockets of systemd"),
        }
    }
}

impl Args {
    /// Why these options make no sense together, for each reason.
    pub(crate) fn problems(&self) -> Vec<String> {
        let is_open = |listen: &&Listen| matches!(listen, Listen::Tcp(address) if !address.ip().is_loopback());
        let open = self.listen.iter().filter(is_open);
        let refuse = |listen: &Listen| {
            format!(
                "{listen}: not a loopback address, and there is no authentication: everybody who can reach it could \
                 read what this host runs; use a loopback address or a UNIX socket, or say --insecure-listen"
            )
        };
        if self.insecure_listen { Vec::new() } else { open.map(refuse).collect() }
    }

    /// What the processes are told.
    pub(crate) fn settings(&self) -> Settings {
        let Self { max_age, scan_timeout, timeout, header_timeout, write_timeout, shutdown, interval, .. } = *self;
        let mebibytes = |count: u32| usize::try_from(count).map_or(usize::MAX, |count| count << 20);
        Settings {
            log: self.log,
            reader: ReaderSettings {
                max_age,
                scan_timeout,
                timeout,
                command_lines: self.expose_command_lines,
                files: self.expose_files,
                engines: self.engines,
                cache_bytes: mebibytes(self.cache),
                history_bytes: mebibytes(self.history),
                interval,
            },
            front: FrontSettings {
                base_path: self.base_path.clone(),
                hosts: self.host.clone(),
                most_connections: usize::try_from(self.max_connections).unwrap_or(usize::MAX),
                header_timeout,
                write_timeout,
                shutdown,
                answer_timeout: scan_timeout * 2,
                listeners: Vec::new(),
            },
        }
    }
}

/// Reads the command line, and does what it says.
pub(crate) fn run() -> ExitCode {
    let args = match Args::try_parse() {
        Ok(args) => args,
        Err(error) => {
            // Where nobody reads it, there is nobody to tell.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    if let Some(Command::Man { dir }) = &args.command {
        return match man::write(dir) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("lxknsd: {error:#}");
                ExitCode::from(3)
            }
        };
    }
    let problems = args.problems();
    if !problems.is_empty() {
        problems.iter().for_each(|problem| eprintln!("lxknsd: {problem}"));
        return ExitCode::from(2);
    }
    if let Some(Command::Check) = args.command {
        check(&args).iter().for_each(|line| println!("{line}"));
        return ExitCode::SUCCESS;
    }
    log::begin(args.log);
    match supervisor::run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::from(3)
        }
    }
}

/// What would be served to whom.
fn check(args: &Args) -> Vec<String> {
    let whom = |listen: &Listen| match listen {
        Listen::Tcp(address) if address.ip().is_loopback() => "to every process of this network namespace",
        Listen::Tcp(_) => "to everybody who can reach it, without a password (--insecure-listen)",
        Listen::Unix(_) => "to the user and the group of the socket",
        Listen::Systemd => "to whom the socket unit allows",
    };
    let mut lines: Vec<String> = args.listen.iter().map(|listen| format!("{listen}: {}", whom(listen))).collect();
    let lines_are = if args.expose_command_lines { "shown" } else { "not read" };
    lines.push(format!("command lines: {lines_are}"));
    lines
}

fn base_path(text: &str) -> Result<String, &'static str> {
    let path = text.trim_end_matches('/');
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    let is_path = path.is_empty() || path.starts_with('/') && !path.contains("//");
    if is_plain && is_path { Ok(path.to_owned()) } else { Err("expected a path with a slash at its beginning") }
}

fn duration(text: &str) -> Result<Duration, &'static str> {
    let seconds = text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds.filter(|seconds| seconds.as_secs() <= 86_400).ok_or("not a number of seconds up to 86400")
}

fn seconds(text: &str) -> Result<Duration, &'static str> {
    duration(text).ok().filter(|seconds| !seconds.is_zero()).ok_or("not a number of seconds above 0, up to 86400")
}

impl clap::builder::ValueParserFactory for Listen {
    type Parser = clap::builder::ValueParser;

    fn value_parser() -> Self::Parser {
        clap::builder::ValueParser::new(|text: &str| Self::from_str(text))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["lxknsd"], arguments].concat())
    }

    #[test]
    fn the_options_are_well_formed_and_each_has_a_variable() {
        let command = Args::command();
        command.clone().debug_assert();
        let without = command.get_arguments().filter(|argument| argument.get_env().is_none());
        let names: Vec<_> = without.map(|argument| argument.get_id().as_str()).collect();
        assert!(names.iter().all(|name| ["help", "version"].contains(name)), "{names:?}");
    }

    #[test]
    fn only_loopback_is_served_without_a_word() {
        for (listen, is_fine) in [
            ("127.0.0.1:5010", true),
            ("[::1]:0", true),
            ("127.9.9.9:1", true),
            ("unix:/run/lxknsd", true),
            ("systemd", true),
            ("0.0.0.0:5010", false),
            ("[::]:5010", false),
            ("192.0.2.1:80", false),
            ("[::ffff:127.0.0.1]:80", false),
        ] {
            let args = parse(&["--listen", listen]).unwrap();
            assert_eq!(args.problems().is_empty(), is_fine, "{listen}");
            assert!(parse(&["--listen", listen, "--insecure-listen"]).unwrap().problems().is_empty());
        }
    }

    #[test]
    fn bad_values_are_bad_usage() {
        for arguments in [
            &["--listen", "5010"][..],
            &["--listen", "unix:relative"],
            &["--base-path", "lxkns"],
            &["--base-path", "/a\"b"],
            &["--timeout", "0"],
            &["--timeout", "1e9"],
            &["--max-age", "-1"],
            &["--max-connections", "0"],
            &["--log", "xml"],
            &["serve"],
        ] {
            assert_eq!(parse(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn a_base_path_has_no_slash_at_its_end() {
        for (text, path) in [("", ""), ("/", ""), ("/a/", "/a"), ("/a/b", "/a/b")] {
            assert_eq!(base_path(text), Ok(path.to_owned()));
        }
    }

    #[test]
    fn options_may_stand_behind_a_command() {
        let args = parse(&["check", "--listen", "unix:/a,127.0.0.1:1"]).unwrap();
        assert_eq!(args.listen.len(), 2);
        assert_eq!(check(&args).len(), 3);
    }
}
