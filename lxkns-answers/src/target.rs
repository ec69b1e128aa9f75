//! How people name a namespace or a process: the TARGET grammar.
//!
//! | text | means |
//! |---|---|
//! | `1234` | the process 1234; PIDs are at most 4194304 |
//! | `1234:5678` | the same, if the inode number of its pidfd or its start time in ticks is 5678 |
//! | `1234/net`, `1234:5678/net` | the network namespace of the process 1234 (a file of that name is `./1234/net`) |
//! | `self`, `self/net` | the calling process, its network namespace |
//! | `host`, `host/net` | the initial namespaces, the initial network namespace |
//! | `4026532281` | the namespace with this inode number |
//! | `net:4026532281`, `net:[4026532281]` | the same, of this type |
//! | `:8731` | the namespace with this unique ID |
//! | anything else with a `/` | the namespace that is open or mounted at this path |
//! | `netns:blue` | the network namespace with this name of `ip netns` |
//! | `docker:web`, `docker:web/net` | the container with this name or ID of this engine, its network namespace |
//! | `pod:default/web-0`, `pod:default/web-0/net` | the pod with this name, its network namespace |
//! | `pod:default/web-0/app`, `pod:default/web-0/app/net` | the container with this name in a pod, its network namespace |
//! | `link:veth1a2b` | the link with this name, for `show`; elsewhere the network namespace that it is in |
//! | `link:4026532281/eth0`, `link:web/eth0` | the link with this name in the network namespace that the TARGET before the slash means |
//! | `blue` | what has this name: a network namespace or a container |
//! | `web/net` | the network namespace of this container (a file of that name is `./web/net`) |
//! | `4f1a0c2e9b7d` | the container whose ID begins with these 12 or more hexadecimal digits |
//!
//! A name that several things have means none of them.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use bstr::BString;
use lxkns_model::{EngineKind, NamespaceType, Pid};

/// What a TARGET begins with that is a link.
const LINK: &[u8] = b"link:";

/// The highest PID that Linux gives.
pub const PID_MAX: u64 = 4_194_304;

/// What a TARGET can be, in a sentence.
pub const FORMS: &str = "expected a PID, PID/TYPE, an inode number, TYPE:INODE, :UNIQUE-ID, self, host, the name of a \
                         network namespace (ip netns), a container's name or ID, link:NAME, or a path with a slash";

/// The type that another word for it means, such as `mount`; `None` where that is not clear.
pub fn similar_type(text: &str) -> Option<NamespaceType> {
    let text = text.to_ascii_lowercase();
    Some(match text.as_str() {
        "mnt" | "mnts" | "mount" | "mounts" | "mntns" | "filesystem" | "fs" => NamespaceType::Mnt,
        "cgroup" | "cgroups" | "cgroupns" | "cg" => NamespaceType::Cgroup,
        "uts" | "utsns" | "hostname" | "hostnames" => NamespaceType::Uts,
        "ipc" | "ipcs" | "ipcns" | "sysv" | "mqueue" => NamespaceType::Ipc,
        "user" | "users" | "userns" | "usr" | "uid" => NamespaceType::User,
        "pid" | "pids" | "pidns" | "process" | "processes" | "proc" | "pid_for_children" => NamespaceType::Pid,
        "net" | "nets" | "netns" | "network" | "networks" => NamespaceType::Net,
        "time" | "times" | "timens" | "clock" | "time_for_children" => NamespaceType::Time,
        // A letter or two too many.
        _ => {
            let begins = |name: &str| text.strip_prefix(name).is_some_and(|rest| rest.len() <= 2);
            return NamespaceType::ALL.into_iter().find(|ns_type| begins(ns_type.name()));
        }
    })
}

/// What was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A process: all its namespaces.
    Process(Pid),
    /// The namespace of this type of a process.
    OfProcess(Pid, NamespaceType),
    /// A namespace by its inode number, and by its type where that was said.
    Inode(Option<NamespaceType>, u64),
    /// A namespace by its unique ID.
    UniqueId(u64),
    /// The namespace at a path.
    Path(PathBuf),
    /// The process of the caller, or its namespace of this type. The caller puts that in its place
    /// ([`Asked::of_caller`]).
    Caller(Option<NamespaceType>),
    /// The initial namespaces, or the one of this type.
    Host(Option<NamespaceType>),
    /// The network namespace with this name of `ip netns`.
    Netns(String),
    /// The container with this name or ID.
    Container(ContainerName),
    /// Whatever has this name.
    Name(String),
    /// The link with this name.
    Link(LinkName),
}

/// The name of a link in a TARGET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkName {
    /// What means its network namespace, where that was said.
    pub of: Option<Box<Asked>>,
    /// Its name: any bytes.
    pub name: BString,
}

/// The name of a container in a TARGET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerName {
    /// What runs it, where that was said.
    pub of: ContainerOf,
    /// Its name or ID, or the name of its pod.
    pub name: String,
    /// Its namespace of this type is meant; else all of them.
    pub ns_type: Option<NamespaceType>,
}

/// What is said of a container before its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContainerOf {
    /// Nothing.
    Any,
    /// What runs it.
    Engine(EngineKind),
    /// That the name is the one of its pod.
    Pod,
}

/// The text is no TARGET.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ParseError {
    /// The part before the colon or the slash is no type.
    Type,
    /// The number is no namespace inode.
    Inode,
    /// The number is no unique ID.
    UniqueId,
    /// The number is no PID.
    Pid,
    /// The number after a PID is none.
    Identity,
    /// It is no name of a network namespace.
    Netns,
    /// It is no name of a container.
    Container,
    /// It is no name of a link.
    Link,
    /// It looks like nothing known.
    Form,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Type => "not a namespace type: expected one of mnt, cgroup, uts, ipc, user, pid, net, time",
            Self::Inode => "not the inode number of a namespace",
            Self::UniqueId => "not a unique namespace ID: expected a colon and a number",
            Self::Pid => "not a PID: those are 1 to 4194304",
            Self::Identity => "not a PID and the inode number of its pidfd, or its start time: expected PID:NUMBER",
            Self::Netns => "not a name of a network namespace: expected netns:NAME, without a slash",
            Self::Container => "not a name of a container: expected ENGINE:NAME or pod:NAME",
            Self::Link => "not a name of a link: expected link:NAME or link:NAMESPACE/NAME, e.g. link:4026532281/eth0",
            Self::Form => FORMS,
        })
    }
}

impl std::error::Error for ParseError {}

impl Target {
    /// Reads a TARGET.
    pub fn parse(text: &OsStr) -> Result<Self, ParseError> {
        if let Some(link) = text.as_bytes().strip_prefix(LINK) {
            return link_name(link).map(Self::Link).ok_or(ParseError::Link);
        }
        let Some(utf8) = text.to_str() else {
            return if has_slash(text) { Ok(Self::path(text)) } else { Err(ParseError::Form) };
        };
        if let Some(id) = utf8.strip_prefix(':').filter(|id| !id.contains('/')) {
            return number(id).map(Self::UniqueId).ok_or(ParseError::UniqueId);
        }
        if let Some(container) = container(utf8) {
            return container;
        }
        if let Some((whole, name)) = utf8.split_once('/') {
            let Some(ns_type) = NamespaceType::from_name(name.as_bytes()) else { return Ok(Self::path(text)) };
            return match (whole, split_identity(whole)) {
                ("self", _) => Ok(Self::Caller(Some(ns_type))),
                ("host", _) => Ok(Self::Host(Some(ns_type))),
                (_, Some((pid, number))) => Ok(Self::OfProcess(pinned(pid, number)?, ns_type)),
                _ if is_id(whole) => Ok(Self::container(ContainerOf::Any, whole, Some(ns_type))),
                _ if is_digits(whole) => Ok(Self::OfProcess(pid_of(whole)?, ns_type)),
                _ if is_name(whole) => Ok(Self::container(ContainerOf::Any, whole, Some(ns_type))),
                _ => Ok(Self::path(text)),
            };
        }
        if let Some(name) = utf8.strip_prefix("netns:") {
            let is_name = !["", ".", ".."].contains(&name);
            return if is_name { Ok(Self::Netns(name.to_owned())) } else { Err(ParseError::Netns) };
        }
        if let Some((pid, number)) = split_identity(utf8) {
            return pinned(pid, number).map(Self::Process);
        }
        if let Some((name, ino)) = utf8.split_once(':') {
            let ns_type = NamespaceType::from_name(name.as_bytes()).ok_or(ParseError::Type)?;
            let bare = match ino.strip_prefix('[') {
                Some(rest) => rest.strip_suffix(']').ok_or(ParseError::Inode)?,
                None => ino,
            };
            return number(bare)
                .filter(|&ino| ino > 0)
                .map(|ino| Self::Inode(Some(ns_type), ino))
                .ok_or(ParseError::Inode);
        }
        match (utf8, number(utf8)) {
            _ if is_id(utf8) => Ok(Self::Name(utf8.to_owned())),
            (_, Some(ino)) if ino > PID_MAX => Ok(Self::Inode(None, ino)),
            (_, Some(_)) => pid_of(utf8).map(Self::Process),
            _ if is_digits(utf8) => Err(ParseError::Inode),
            ("self", _) => Ok(Self::Caller(None)),
            ("host", _) => Ok(Self::Host(None)),
            _ if is_name(utf8) => Ok(Self::Name(utf8.to_owned())),
            _ => Err(ParseError::Form),
        }
    }

    fn path(text: &OsStr) -> Self {
        Self::Path(Path::new(text).to_owned())
    }

    fn container(of: ContainerOf, name: &str, ns_type: Option<NamespaceType>) -> Self {
        Self::Container(ContainerName { of, name: name.to_owned(), ns_type })
    }

    /// Whether it can turn out to be a file or a program.
    pub fn may_be_file(&self) -> bool {
        let is_bare = |container: &ContainerName| container.of == ContainerOf::Any;
        matches!(self, Self::Path(_) | Self::Name(_)) || matches!(self, Self::Container(it) if is_bare(it))
    }

    /// Whether it can turn out to be a process when it is looked up.
    pub fn may_be_process(&self) -> bool {
        let is_whole = |container: &ContainerName| container.ns_type.is_none();
        matches!(self, Self::Process(_) | Self::Name(_)) || matches!(self, Self::Container(it) if is_whole(it))
    }
}

/// A TARGET together with the words it was asked for in, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// As it was typed.
    pub text: OsString,
    /// What it means.
    pub target: Target,
}

impl Asked {
    /// Reads a TARGET; for clap.
    pub fn parse(text: &OsStr) -> Result<Self, ParseError> {
        Ok(Self { text: text.to_owned(), target: Target::parse(text)? })
    }

    /// With the calling process in place of `self`.
    #[must_use]
    pub fn of_caller(self, pid: Pid) -> Self {
        let target = match self.target {
            Target::Caller(None) => Target::Process(pid),
            Target::Caller(Some(ns_type)) => Target::OfProcess(pid, ns_type),
            other => other,
        };
        Self { target, ..self }
    }

    /// Whether it is the calling process, which no dump knows.
    pub fn is_caller(&self) -> bool {
        self.text.to_str().is_some_and(|text| text.split('/').next() == Some("self"))
    }

    /// The number that tells which process a PID has to be of: the inode number of its pidfd, or its start time.
    pub fn identity(&self) -> Option<u64> {
        if !matches!(self.target, Target::Process(_) | Target::OfProcess(..)) {
            return None;
        }
        split_identity(self.text.to_str()?.split('/').next()?).and_then(|(_, of)| number(of))
    }

    /// The process with this PID.
    pub fn process(pid: u32) -> Self {
        Self { text: pid.to_string().into(), target: Target::Process(Pid(pid)) }
    }
}

/// The name of a link, after what means its network namespace where there is a slash.
fn link_name(text: &[u8]) -> Option<LinkName> {
    /// The kernel takes no longer ones.
    const LONGEST: usize = 15;
    let (of, name) = match text.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (Some(OsStr::from_bytes(&text[..at])), &text[at + 1..]),
        None => (None, text),
    };
    let of = match of {
        // A link in a link means nothing. Read as one, each could be in another, as deep as the text is long.
        Some(of) if of.as_bytes().starts_with(LINK) => return None,
        Some(of) => Some(Box::new(Asked::parse(of).ok()?)),
        None => None,
    };
    let is_name = (1..=LONGEST).contains(&name.len())
        && name != b"."
        && name != b".."
        && !name.iter().any(|byte| byte.is_ascii_whitespace() || *byte == b':');
    is_name.then(|| LinkName { of, name: name.into() })
}

fn has_slash(text: &OsStr) -> bool {
    text.as_encoded_bytes().contains(&b'/')
}

/// The container in a text that begins with an engine's name, or with `pod`, and a colon.
fn container(text: &str) -> Option<Result<Target, ParseError>> {
    let (before, name) = text.split_once(':')?;
    let of = match before {
        "pod" => ContainerOf::Pod,
        _ => ContainerOf::Engine(EngineKind::ALL.into_iter().find(|kind| kind.name() == before)?),
    };
    let typed = name
        .rsplit_once('/')
        .and_then(|(name, ns_type)| Some((name, Some(NamespaceType::from_name(ns_type.as_bytes())?))));
    // Of a pod that is called like a type, the name comes with its type.
    let is_pod_alone = of == ContainerOf::Pod && name.matches('/').count() == 1;
    let (name, ns_type) = typed.filter(|_| !is_pod_alone).unwrap_or((name, None));
    let is_name = !name.is_empty() && (of == ContainerOf::Pod || !name.contains('/'));
    Some(if is_name { Ok(Target::container(of, name, ns_type)) } else { Err(ParseError::Container) })
}

/// Whether it could be the ID of a container: hexadecimal digits, more than any PID or inode number has.
fn is_id(text: &str) -> bool {
    (12..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// `PID:NUMBER`, of which the first is digits.
fn split_identity(text: &str) -> Option<(&str, &str)> {
    text.split_once(':').filter(|(pid, _)| is_digits(pid))
}

fn pinned(pid: &str, of: &str) -> Result<Pid, ParseError> {
    number(of).ok_or(ParseError::Identity)?;
    pid_of(pid)
}

/// Whether it could be a name without anything before it. Others are written with what they are, as in `netns:1`.
fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A number in plain digits; `str::parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    if is_digits(text) { text.parse().ok() } else { None }
}

fn pid_of(text: &str) -> Result<Pid, ParseError> {
    number(text)
        .filter(|pid| (1..=PID_MAX).contains(pid))
        .and_then(|pid| u32::try_from(pid).ok())
        .map(Pid)
        .ok_or(ParseError::Pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Target, ParseError> {
        Target::parse(OsStr::new(text))
    }

    fn path(text: &str) -> Result<Target, ParseError> {
        Ok(Target::Path(text.into()))
    }

    #[test]
    fn numbers_are_pids_up_to_the_highest_and_inodes_above() {
        assert_eq!(parse("1"), Ok(Target::Process(Pid(1))));
        assert_eq!(parse("4194304"), Ok(Target::Process(Pid(4_194_304))));
        assert_eq!(parse("4194305"), Ok(Target::Inode(None, 4_194_305)));
        assert_eq!(parse("4026532281"), Ok(Target::Inode(None, 4_026_532_281)));
        assert_eq!(parse("0"), Err(ParseError::Pid));
        assert_eq!(parse("99999999999"), Ok(Target::Inode(None, 99_999_999_999)));
    }

    #[test]
    fn links_are_named_alone_or_below_what_means_a_network_namespace() {
        let link = |of: Option<&str>, name: &[u8]| {
            let of = of.map(|of| Box::new(Asked::parse(OsStr::new(of)).unwrap()));
            Ok(Target::Link(LinkName { of, name: name.into() }))
        };
        assert_eq!(parse("link:veth1a2b"), link(None, b"veth1a2b"));
        assert_eq!(parse("link:2"), link(None, b"2"));
        for of in ["4026532281", "net:[4026532281]", "web", "docker:web", "1234", "pod:a/b", "/run/netns/x", "self"] {
            assert_eq!(parse(&format!("link:{of}/eth0")), link(Some(of), b"eth0"), "{of}");
        }
        assert_eq!(Target::parse(OsStr::from_bytes(b"link:a\xff\x1b")), link(None, b"a\xff\x1b"));
        for text in [
            "link:",
            "link:.",
            "link:a b",
            "link:0123456789abcdef",
            "link:a:b",
            "link:/eth0",
            "link:link:a/b",
            "link:7/",
        ] {
            assert_eq!(parse(text), Err(ParseError::Link), "{text}");
        }
        // The longest argument that the kernel takes.
        let nested = ["link:".repeat(18_000), "/a".repeat(18_000)].concat();
        assert_eq!(parse(&nested), Err(ParseError::Link));
    }

    #[test]
    fn signs_blanks_and_other_digits_are_no_numbers() {
        for text in ["+1", "-1", " 1", "1 ", "0x10", "1_000", "١٢", ""] {
            assert_eq!(parse(text), Err(ParseError::Form), "{text:?}");
        }
    }

    #[test]
    fn a_process_and_a_type_are_no_path() {
        for ns_type in NamespaceType::ALL {
            assert_eq!(parse(&format!("1234/{ns_type}")), Ok(Target::OfProcess(Pid(1234), ns_type)));
        }
        assert_eq!(parse("./1234/net"), path("./1234/net"));
        assert_eq!(parse("0/net"), Err(ParseError::Pid));
        assert_eq!(parse("4194305/net"), Err(ParseError::Pid));
        assert_eq!(parse("1234/ns/net"), path("1234/ns/net"));
        assert_eq!(parse("1234/nets"), path("1234/nets"));
        assert_eq!(parse("1234/"), path("1234/"));
        assert_eq!(parse("/net"), path("/net"));
    }

    #[test]
    fn types_and_inodes_with_and_without_brackets() {
        let net = Ok(Target::Inode(Some(NamespaceType::Net), 4_026_532_281));
        assert_eq!(parse("net:4026532281"), net);
        assert_eq!(parse("net:[4026532281]"), net);
        assert_eq!(parse("net:1"), Ok(Target::Inode(Some(NamespaceType::Net), 1)));
        for text in ["net:", "net:[]", "net:[1", "net:1]", "net:[[1]]", "net:x", "net:-1", "net:0", "net:1:2"] {
            assert_eq!(parse(text), Err(ParseError::Inode), "{text:?}");
        }
        for text in ["nets:1", "NET:1", "pid_for_children:1"] {
            assert_eq!(parse(text), Err(ParseError::Type), "{text:?}");
        }
    }

    #[test]
    fn unique_ids_begin_with_a_colon() {
        assert_eq!(parse(":8731"), Ok(Target::UniqueId(8731)));
        assert_eq!(parse(":18446744073709551615"), Ok(Target::UniqueId(u64::MAX)));
        for text in [":", ":x", ":-1", "::1", ":18446744073709551616"] {
            assert_eq!(parse(text), Err(ParseError::UniqueId), "{text:?}");
        }
        assert_eq!(parse(":a/b"), path(":a/b"));
    }

    #[test]
    fn whatever_else_has_a_slash_is_a_path() {
        for text in [
            "/run/netns/x",
            "/proc/1/ns/net",
            "./x",
            "./web/net",
            "1web/net",
            "web/nets",
            "a/b/net",
            "a/b:1",
            "net:/x",
            "/",
            "/a b/\n",
        ] {
            assert_eq!(parse(text), path(text), "{text:?}");
        }
        let odd = OsStr::from_bytes(b"/run/\xff");
        assert_eq!(Target::parse(odd), Ok(Target::Path(PathBuf::from(odd))));
        assert_eq!(Target::parse(OsStr::from_bytes(b"\xff")), Err(ParseError::Form));
    }

    #[test]
    fn names_and_words() {
        assert_eq!(parse("self"), Ok(Target::Caller(None)));
        assert_eq!(parse("self/net"), Ok(Target::Caller(Some(NamespaceType::Net))));
        assert_eq!(parse("host"), Ok(Target::Host(None)));
        assert_eq!(parse("host/mnt"), Ok(Target::Host(Some(NamespaceType::Mnt))));
        assert_eq!(parse("host/nets"), path("host/nets"));
        assert_eq!(parse("netns:blue"), Ok(Target::Netns("blue".into())));
        assert_eq!(parse("netns:12 a:b"), Ok(Target::Netns("12 a:b".into())));
        for text in ["netns:", "netns:.", "netns:.."] {
            assert_eq!(parse(text), Err(ParseError::Netns));
        }
        for text in ["blue", "cni-5f1c", "net", "selfish", "_x.y"] {
            assert_eq!(parse(text), Ok(Target::Name(text.into())));
        }
        for text in ["-x", ".x", "a b", "a\n", "*", "\u{e9}t\u{e9}"] {
            assert_eq!(parse(text), Err(ParseError::Form), "{text:?}");
        }
    }

    #[test]
    fn containers_by_name_id_engine_and_pod() {
        let container = |of, name: &str, ns_type| Ok(Target::container(of, name, ns_type));
        let docker = ContainerOf::Engine(EngineKind::Docker);
        let net = Some(NamespaceType::Net);
        assert_eq!(parse("docker:web"), container(docker, "web", None));
        assert_eq!(parse("docker:1 web"), container(docker, "1 web", None));
        assert_eq!(parse("docker:web/net"), container(docker, "web", net));
        assert_eq!(parse("machine:ns"), container(ContainerOf::Engine(EngineKind::Machined), "ns", None));
        assert_eq!(parse("pod:default/web-0"), container(ContainerOf::Pod, "default/web-0", None));
        assert_eq!(parse("pod:default/web-0/net"), container(ContainerOf::Pod, "default/web-0", net));
        assert_eq!(parse("pod:default/net"), container(ContainerOf::Pod, "default/net", None), "a pod of that name");
        assert_eq!(parse("pod:default/web-0/app"), container(ContainerOf::Pod, "default/web-0/app", None));
        assert_eq!(parse("pod:default/web-0/app/net"), container(ContainerOf::Pod, "default/web-0/app", net));
        assert_eq!(parse("pod:p1"), container(ContainerOf::Pod, "p1", None));
        assert_eq!(parse("web/net"), container(ContainerOf::Any, "web", net));
        assert_eq!(parse("4f1a0c2e9b7d"), Ok(Target::Name("4f1a0c2e9b7d".into())));
        assert_eq!(parse("123456789012"), Ok(Target::Name("123456789012".into())), "no inode number is so long");
        assert_eq!(parse("123456789012/net"), container(ContainerOf::Any, "123456789012", net));
        for text in ["docker:", "docker:/x", "docker:a/b", "pod:", "docker:/net"] {
            assert_eq!(parse(text), Err(ParseError::Container), "{text}");
        }
        assert!(parse("web").unwrap().may_be_process() && !parse("web/net").unwrap().may_be_process());
    }

    #[test]
    fn a_number_after_a_pid_pins_the_process() {
        let asked = |text: &str| Asked::parse(OsStr::new(text)).unwrap();
        assert_eq!(asked("12:34").target, Target::Process(Pid(12)));
        assert_eq!(asked("12:34/net").target, Target::OfProcess(Pid(12), NamespaceType::Net));
        assert_eq!(asked("12:34/net").identity(), Some(34));
        assert_eq!(asked("12:34").identity(), Some(34));
        for text in ["12", "12/net", "net:34", "self"] {
            assert_eq!(asked(text).identity(), None);
        }
        for text in ["12:", "12:x", "12:-1", "12:3:4"] {
            assert_eq!(parse(text), Err(ParseError::Identity), "{text}");
        }
        assert_eq!(parse("0:1"), Err(ParseError::Pid));
        assert_eq!(asked("self/net").of_caller(Pid(9)).target, Target::OfProcess(Pid(9), NamespaceType::Net));
        assert!(asked("self").of_caller(Pid(9)).is_caller() && !asked("9").of_caller(Pid(9)).is_caller());
    }
}
