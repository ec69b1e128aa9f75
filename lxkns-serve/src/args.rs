//! The command line. Each option can also be given by an environment variable.

use std::ffi::OsString;
use std::fmt;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use clap::builder::Resettable;
use clap::error::{ContextKind, ContextValue};
use clap::{ArgAction, CommandFactory as _, FromArgMatches as _, Parser};
use lxkns_answers::text::errors::named;
use lxkns_answers::text::escape::printable;
use rustix::net::SocketAddrUnix;

use crate::access::{Access, Sources};
use crate::control::MOST_LISTENERS;
use crate::settings::{FrontSettings, LogForm, ReaderSettings, Settings};
use crate::web::Web;
use crate::{log, man, supervisor};

const EXAMPLES: &str = "\
Examples:
  lxknsd                                    serve on 127.0.0.1:5010
  lxknsd --listen unix:/run/lxknsd/socket   serve on a UNIX socket
  lxknsd --listen systemd                   serve on the sockets that systemd passes
  lxknsd --listen 0.0.0.0:5010 --web.config.file /etc/lxknsd/web.yml
                                            serve other hosts, over TLS and with passwords
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

    /// Serve addresses other than loopback without TLS or authentication, to everyone who can reach them
    #[arg(long, global = true, env = "LXKNSD_INSECURE_LISTEN")]
    pub(crate) insecure_listen: bool,

    /// File with TLS certificates, users and limits, in the form of Prometheus's exporters; SIGHUP reads it again
    #[arg(long = "web.config.file", global = true, env = "LXKNSD_WEB_CONFIG_FILE", value_name = "FILE")]
    pub(crate) web_config_file: Option<PathBuf>,

    /// File with the SHA-256 of each bearer token that opens the service, one a line; SIGHUP reads it again
    #[arg(long, global = true, env = "LXKNSD_BEARER_TOKEN_FILE", value_name = "FILE")]
    pub(crate) bearer_token_file: Option<PathBuf>,

    /// Only this user may connect to UNIX sockets, whatever the socket's mode allows; can be repeated
    #[arg(long, global = true, env = "LXKNSD_ALLOW_UID", value_name = "UID", value_delimiter = ',')]
    pub(crate) allow_uid: Vec<u32>,

    /// Group of UNIX sockets, whose members may connect, by name or GID
    #[arg(long, global = true, env = "LXKNSD_SOCKET_GROUP", value_name = "GROUP", value_parser = group)]
    pub(crate) socket_group: Option<u32>,

    /// Path before all others, e.g. /lxkns behind a proxy
    #[arg(long, global = true, env = "LXKNSD_BASE_PATH", value_name = "PATH", default_value = "", hide_default_value = true, value_parser = base_path)]
    pub(crate) base_path: String,

    /// Serve the page in this directory in place of the program's own, as it is when the service starts
    #[arg(long, global = true, env = "LXKNSD_WEB", value_name = "DIR")]
    pub(crate) web: Option<PathBuf>,

    /// Name of the service that a Host header may have, beside addresses and localhost; can be repeated
    #[arg(long, global = true, env = "LXKNSD_HOST", value_name = "NAME", value_delimiter = ',', value_parser = host)]
    pub(crate) host: Vec<String>,

    /// Read command lines and show them; they can hold secrets
    #[arg(long, global = true, env = "LXKNSD_EXPOSE_COMMAND_LINES")]
    pub(crate) expose_command_lines: bool,

    /// Look up files for clients (owner), which reveals which files exist
    #[arg(long, global = true, env = "LXKNSD_EXPOSE_FILES")]
    pub(crate) expose_files: bool,

    /// Count listening sockets in metrics, with the names of containers and of ip netns as labels
    #[arg(long, global = true, env = "LXKNSD_METRICS_PORTS")]
    pub(crate) metrics_ports: bool,

    /// Count traffic of links in metrics, with the names of containers, of ip netns and of links as labels
    #[arg(long, global = true, env = "LXKNSD_METRICS_LINKS")]
    pub(crate) metrics_links: bool,

    /// Do not ask Docker, containerd and podman over their sockets, for facts that nothing else shows
    #[arg(long, global = true, env = "LXKNSD_NO_ENGINES")]
    pub(crate) no_engines: bool,

    /// Answer from a scan of at most this age, unless a client says otherwise (Cache-Control: max-age)
    #[arg(long, global = true, env = "LXKNSD_MAX_AGE", value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub(crate) max_age: Duration,

    /// Time from one scan to the next, however often clients want a newer one (Cache-Control: no-cache); such scans take a
    /// quarter of the time at most; 0: no bound
    #[arg(long, global = true, env = "LXKNSD_MIN_AGE", value_name = "SECONDS", default_value = "0.5", value_parser = duration)]
    pub(crate) min_age: Duration,

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

    /// Time for requests to end when the service stops
    #[arg(long, global = true, env = "LXKNSD_SHUTDOWN", value_name = "SECONDS", default_value = "5", value_parser = duration)]
    pub(crate) shutdown: Duration,

    /// Most connections at a time
    #[arg(long, global = true, env = "LXKNSD_MAX_CONNECTIONS", value_name = "COUNT", default_value = "512", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) max_connections: u32,

    /// Most clients that follow events from one address, or of one user of a UNIX socket; 128 in all
    #[arg(long, global = true, env = "LXKNSD_FOLLOWERS_PER_CLIENT", value_name = "COUNT", default_value = "32", value_parser = clap::value_parser!(u32).range(1..=128))]
    pub(crate) followers_per_client: u32,

    /// Most memory for finished answers
    #[arg(long, global = true, env = "LXKNSD_CACHE", value_name = "MIB", default_value = "32", value_parser = clap::value_parser!(u32).range(0..=4096))]
    pub(crate) cache: u32,

    /// Most memory for states and events of the past
    #[arg(long, global = true, env = "LXKNSD_HISTORY", value_name = "MIB", default_value = "8", value_parser = clap::value_parser!(u32).range(1..=4096))]
    pub(crate) history: u32,

    /// Time from one scan to the next while clients follow events and nothing happens
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
    /// Check the options, and report what would be served to whom
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
            return if !path.is_absolute() {
                Err("expected an absolute path after unix:")
            } else if SocketAddrUnix::new(&path).is_err() {
                Err("the path of a UNIX socket has at most 108 bytes, none of them zero")
            } else {
                Ok(Self::Unix(path))
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
    /// The files that say who may connect and ask.
    pub(crate) fn sources(&self) -> Sources {
        Sources { web_config: self.web_config_file.clone(), tokens: self.bearer_token_file.clone() }
    }

    /// Why these options make no sense together, for each reason.
    pub(crate) fn problems(&self, access: &Access) -> Vec<String> {
        let mut problems = Vec::new();
        let twice = self.listen.iter().enumerate().filter(|(at, listen)| self.listen[..*at].contains(listen));
        // The kernel chooses another port each time.
        let twice = twice.filter(|(_, listen)| !matches!(listen, Listen::Tcp(address) if address.port() == 0));
        problems.extend(twice.map(|(_, listen)| format!("--listen: {listen}: given twice")));
        if self.listen.len() > MOST_LISTENERS {
            problems.push(format!("--listen: more than {MOST_LISTENERS} addresses"));
        }
        if !self.insecure_listen && !access.is_secured() {
            let open = self.listen.iter().filter(|listen| listen.is_open());
            problems.extend(open.map(|listen| format!("{listen}: {}", insecure(access))));
        }
        let has = |is_it: fn(&Listen) -> bool| self.listen.iter().any(is_it);
        if !self.allow_uid.is_empty() && !has(|listen| !matches!(listen, Listen::Tcp(_))) {
            problems.push("--allow-uid: no listener is a UNIX socket; add --listen unix:PATH".to_owned());
        }
        if self.socket_group.is_some() && !has(|listen| matches!(listen, Listen::Unix(_))) {
            problems.push("--socket-group: no listener is a UNIX socket; add --listen unix:PATH".to_owned());
        }
        problems
    }

    /// What the processes are told.
    pub(crate) fn settings(&self) -> Settings {
        let Self { max_age, min_age, scan_timeout, timeout, header_timeout, write_timeout, shutdown, interval, .. } =
            *self;
        let mebibytes = |count: u32| usize::try_from(count).map_or(usize::MAX, |count| count << 20);
        Settings {
            log: self.log,
            reader: ReaderSettings {
                max_age,
                min_age,
                scan_timeout,
                timeout,
                command_lines: self.expose_command_lines,
                metrics_of_ports: self.metrics_ports,
                metrics_of_links: self.metrics_links,
                files: self.expose_files,
                engines: !self.no_engines,
                cache_bytes: mebibytes(self.cache),
                history_bytes: mebibytes(self.history),
                interval,
            },
            front: FrontSettings {
                base_path: self.base_path.clone(),
                hosts: self.host.clone(),
                most_connections: usize::try_from(self.max_connections).unwrap_or(usize::MAX),
                most_followers: usize::try_from(self.followers_per_client).unwrap_or(usize::MAX),
                header_timeout,
                write_timeout,
                shutdown,
                answer_timeout: scan_timeout * 2,
                listeners: Vec::new(),
                allowed_uids: self.allow_uid.clone(),
                has_access: self.sources().are_some(),
                has_web: self.web.is_some(),
            },
        }
    }
}

impl Listen {
    /// Whether other hosts may reach it.
    fn is_open(&self) -> bool {
        matches!(self, Self::Tcp(address) if !address.ip().is_loopback())
    }
}

/// Why an address that other hosts may reach is not served.
pub(crate) fn insecure(access: &Access) -> String {
    let missing = match (access.tls.is_some(), access.wants_credentials()) {
        (false, false) => "neither TLS nor authentication",
        (false, true) => "no TLS",
        (true, _) => "no authentication",
    };
    format!(
        "not a loopback address, and there is {missing}: use a loopback address or a UNIX socket, configure both \
         (--web.config.file, --bearer-token-file), or pass --insecure-listen"
    )
}

/// The options, with what the environment says of those that the command line does not have: an empty variable says nothing.
fn command(arguments: &[OsString]) -> clap::Command {
    let is_given = |option: &clap::Arg| {
        let names = arguments.iter().filter_map(|given| given.to_str()?.strip_prefix("--")?.split('=').next());
        names.into_iter().any(|name| option.get_long() == Some(name))
    };
    Args::command().mut_args(|option| {
        let value = option.get_env().and_then(std::env::var_os);
        let is_silent = value.is_some_and(|value| value.is_empty()) || is_given(&option);
        let option = if is_silent { option.env(Resettable::Reset) } else { option };
        if matches!(option.get_action(), ArgAction::SetTrue) { option.value_parser(yes_or_no) } else { option }
    })
}

/// The options of a command line, and of the environment.
fn parse(arguments: &[OsString]) -> Result<Args, clap::Error> {
    Args::from_arg_matches(&command(arguments).try_get_matches_from(arguments)?)
}

/// What is wrong about a variable of the environment, where that is what is wrong.
fn of_variable(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    let Some(ContextValue::String(option)) = error.get(ContextKind::InvalidArg) else { return None };
    let mut command = command(arguments);
    // Only then can its options be shown.
    command.build();
    let variable = command.get_arguments().find(|known| known.to_string() == *option)?.get_env()?.to_str()?;
    let text = error.to_string();
    let lines = text.lines().take_while(|line| !line.is_empty()).map(str::trim);
    let line = lines.collect::<Vec<_>>().join(" ").replace(&format!("'{option}'"), variable);
    Some(line.trim_start_matches("error: ").to_owned())
}

/// The variables of the environment that look like options and are none: a mistyped one would go unnoticed.
fn unknown_variables() -> Vec<String> {
    let (command, prefix) = (Args::command(), "LXKNSD_");
    let is_known =
        |name: &str| command.get_arguments().any(|argument| argument.get_env().is_some_and(|env| env == name));
    // Kubernetes sets these for a service of this name.
    let is_of_cluster = |name: &str| ["SERVICE_", "PORT"].iter().any(|of| name[prefix.len()..].starts_with(of));
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| name.starts_with(prefix) && !is_known(name) && !is_of_cluster(name)).collect()
}

/// Reads the command line, and does what it says.
pub(crate) fn run() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let args = match parse(&arguments) {
        Ok(args) => args,
        Err(error) => {
            match of_variable(&error, &arguments) {
                Some(line) => log::say(&line),
                // Where nobody reads it, there is nobody to tell.
                None => drop(error.print()),
            }
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    if let Some(Command::Man { dir }) = &args.command {
        return match man::write(dir) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                log::say(&format!("{error:#}"));
                ExitCode::from(3)
            }
        };
    }
    let access = match args.sources().read() {
        Ok(access) => access,
        Err(error) => {
            log::say(&format!("{error:#}"));
            return ExitCode::from(2);
        }
    };
    let web = match args.web.as_deref().map(Web::read).transpose() {
        Ok(web) => web,
        Err(error) => {
            log::say(&format!("{error:#}"));
            return ExitCode::from(2);
        }
    };
    let problems = args.problems(&access);
    if !problems.is_empty() {
        problems.iter().for_each(|problem| log::say(problem));
        return ExitCode::from(2);
    }
    if let Some(Command::Check) = args.command {
        for name in unknown_variables() {
            log::say(&format!("{}: not a variable of lxknsd; ignored", printable(name.as_bytes())));
        }
        let lines = check(&args, &access).into_iter().map(|line| line + "\n").collect::<String>();
        if let Err(error) = std::io::stdout().write_all(lines.as_bytes()) {
            log::say(&format!("write to standard output: {error}"));
            return ExitCode::from(3);
        }
        return ExitCode::SUCCESS;
    }
    log::begin(args.log);
    for variable in unknown_variables() {
        tracing::warn!(variable, "not a variable of lxknsd; ignored");
    }
    match supervisor::run(&args, access, web) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{}", named(&format!("{error:#}")));
            ExitCode::from(3)
        }
    }
}

/// What would be served to whom.
fn check(args: &Args, access: &Access) -> Vec<String> {
    let how = access.words();
    let asked = |whom: &str| if how.is_empty() { whom.to_owned() } else { format!("{whom} ({how})") };
    let whom = |listen: &Listen| match listen {
        Listen::Tcp(address) if address.ip().is_loopback() => asked("to every process of this network namespace"),
        Listen::Tcp(_) if access.is_secured() => asked("to everyone who can reach it"),
        Listen::Tcp(_) => {
            let how = if how.is_empty() { "without TLS and authentication" } else { how.as_str() };
            format!("to everyone who can reach it, {how} (--insecure-listen)")
        }
        Listen::Unix(_) => match (args.socket_group, args.allow_uid.as_slice()) {
            (None, []) => "to the user and the group of the service".to_owned(),
            (Some(group), []) => format!("to the user of the service and GID {group}"),
            (_, uids) => format!("to UID {}", uids.iter().map(u32::to_string).collect::<Vec<_>>().join(", ")),
        },
        Listen::Systemd => asked("to those whom the socket unit allows"),
    };
    let name = |listen: &Listen| match listen {
        Listen::Tcp(address) => format!("{}{address}{}", access.scheme(), args.base_path),
        _ => listen.to_string(),
    };
    let mut lines: Vec<String> =
        args.listen.iter().map(|listen| format!("{}: {}", name(listen), whom(listen))).collect();
    if let Some(rate) = access.rate {
        lines.push(format!("requests: one in {:?}, {} more at once", rate.interval, rate.burst));
    }
    if !args.host.is_empty() {
        lines.push(format!("names: {}", args.host.join(", ")));
    }
    if let Some(web) = &args.web {
        lines.push(format!("page: {}", web.display()));
    }
    let lines_are = if args.expose_command_lines { "shown" } else { "not read" };
    lines.push(format!("command lines: {lines_are}"));
    let files_are = if args.expose_files { "looked up for clients" } else { "not looked up" };
    lines.push(format!("files: {files_are}"));
    lines
}

/// A group by its GID, or by its name in `/etc/group`: a static program has no name service switch to ask.
fn group(text: &str) -> Result<u32, String> {
    if let Ok(gid) = text.parse() {
        return Ok(gid);
    }
    let groups = std::fs::read("/etc/group").map_err(|error| format!("/etc/group: {error}"))?;
    let found = lxkns_core::model::passwd::groups(&groups).find(|group| group.name == text);
    found.map(|group| group.gid).ok_or_else(|| "no group of this name in /etc/group".to_owned())
}

fn base_path(text: &str) -> Result<String, &'static str> {
    let path = text.trim_end_matches('/');
    let is_plain = path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte));
    let is_path = path.is_empty() || path.starts_with('/') && !path.contains("//");
    // Clients leave these out of what they ask for.
    let has_dots = path.split('/').any(|name| matches!(name, "." | ".."));
    let is_fine = is_plain && is_path && !has_dots;
    if is_fine { Ok(path.to_owned()) } else { Err("expected a plain path with a slash at its beginning, e.g. /lxkns") }
}

/// A name that a `Host` header can have. Its port does not count.
fn host(text: &str) -> Result<String, &'static str> {
    let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_name && !text.is_empty() {
        Ok(text.to_owned())
    } else {
        Err("expected a name without a port, e.g. lxkns.example")
    }
}

fn yes_or_no(text: &str) -> Result<bool, &'static str> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("expected true or false"),
    }
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
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Args, clap::Error> {
        super::parse(&[&["lxknsd"], arguments].concat().into_iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_options_are_well_formed_and_each_has_a_variable() {
        let command = command(&[]);
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
            let plain = Access::default();
            assert_eq!(args.problems(&plain).is_empty(), is_fine, "{listen}");
            assert!(parse(&["--listen", listen, "--insecure-listen"]).unwrap().problems(&plain).is_empty());
            // One of both is not enough.
            let tls = Access { tls: Some(crate::access::Tls::default()), ..Access::default() };
            assert_eq!(args.problems(&tls).is_empty(), is_fine, "{listen}");
            let tokens = Access { tokens: vec![crate::access::Token::default()], ..Access::default() };
            assert_eq!(args.problems(&tokens).is_empty(), is_fine, "{listen}");
            assert!(args.problems(&Access { tls: tls.tls, ..tokens }).is_empty());
        }
    }

    #[test]
    fn options_of_unix_sockets_need_one() {
        for options in [&["--allow-uid", "0"][..], &["--socket-group", "0"]] {
            assert_eq!(parse(options).unwrap().problems(&Access::default()).len(), 1);
            let with = [options, &["--listen", "unix:/a"]].concat();
            assert!(parse(&with).unwrap().problems(&Access::default()).is_empty());
        }
        assert_eq!(parse(&["--socket-group", "root"]).unwrap().socket_group, Some(0));
        let args = parse(&["--listen", "unix:/a", "--allow-uid", "0,1000"]).unwrap();
        assert_eq!(check(&args, &Access::default())[0], "unix:/a: to UID 0, 1000");
    }

    #[test]
    fn bad_values_are_bad_usage() {
        for arguments in [
            &["--listen", "5010"][..],
            &["--listen", "unix:relative"],
            &["--base-path", "lxkns"],
            &["--listen", &format!("unix:/{}", "a".repeat(108))],
            &["--base-path", "/a\"b"],
            &["--base-path", "/a/../b"],
            &["--base-path", "/./a"],
            &["--host", ""],
            &["--host", "lxkns.example:5010"],
            &["--host", "http://lxkns.example"],
            &["--timeout", "0"],
            &["--timeout", "1e9"],
            &["--max-age", "-1"],
            &["--max-connections", "0"],
            &["--log", "xml"],
            &["--allow-uid", "root"],
            &["--socket-group", "no such group"],
            &["serve"],
        ] {
            assert_eq!(parse(arguments).unwrap_err().exit_code(), 2, "{arguments:?}");
        }
    }

    #[test]
    fn an_address_is_served_once() {
        let problems = |listen: &str| parse(&["--listen", listen]).unwrap().problems(&Access::default());
        for (listen, said) in [
            ("127.0.0.1:1,unix:/a,127.0.0.1:1", "--listen: http://127.0.0.1:1: given twice"),
            ("systemd,systemd", "--listen: the sockets of systemd: given twice"),
        ] {
            assert_eq!(problems(listen), [said]);
        }
        assert!(problems("127.0.0.1:0,127.0.0.1:0,127.0.0.1:1,[::1]:1").is_empty());
        let many: Vec<_> = (1..=MOST_LISTENERS + 1).map(|port| format!("127.0.0.1:{port}")).collect();
        assert_eq!(problems(&many.join(",")), [format!("--listen: more than {MOST_LISTENERS} addresses")]);
        assert!(problems(&many[1..].join(",")).is_empty());
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
        assert_eq!(check(&args, &Access::default()).len(), 4);
    }
}
