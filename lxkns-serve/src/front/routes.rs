//! The routes: one table, which makes the router and the description of the API.

use crate::protocol::{Kind, LONGEST_NAME, LONGEST_VALUE, MOST_PARAMETERS, Question};

/// A path, and what is there.
#[derive(Debug)]
pub(super) struct Route {
    /// The path; `{name}` takes the place of one segment.
    pub(super) path: &'static str,
    /// What is there, in a few words.
    pub(super) summary: &'static str,
    /// What is there.
    pub(super) does: Does,
    /// The parameters of a query that it takes.
    pub(super) parameters: &'static [Parameter],
}

/// What is at a path.
#[derive(Clone, Copy, Debug)]
pub(super) enum Does {
    /// The answer to a question, with what a segment of the path adds to it.
    Ask(Kind, Segment),
    /// Whether the service is alive.
    Alive,
    /// Metrics.
    Metrics,
    /// The description of the API.
    OpenApi,
}

/// What `{name}` in a path adds to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    /// There is none.
    None,
    /// The TARGET.
    Target,
    /// The TARGET, which is a process.
    Process,
    /// The TARGET, which is a namespace.
    Namespace,
}

/// A parameter of a query.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parameter {
    /// Its name.
    pub(super) name: &'static str,
    /// What it is for.
    pub(super) about: &'static str,
    /// What its values are.
    pub(super) values: Values,
}

/// Values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Values {
    /// Text, required.
    Text,
    /// Text, required, that can be given several times.
    SomeTexts,
    /// Text that can be left out or given several times.
    Texts,
    /// Text that can be left out.
    SomeText,
    /// One of these.
    One(&'static [&'static str]),
    /// Some of these.
    AnyOf(&'static [&'static str]),
    /// Yes or no.
    Flag,
    /// A PID, required.
    Pid,
    /// A number from one to another.
    Number(u32, u32),
    /// Numbers of ports.
    Ports,
    /// The ID of a state, required.
    State,
    /// The ID of a state, which can be left out.
    SomeState,
    /// What a `Link` header says.
    Cursor,
    /// Some of the fields that entries of the answer's list can have.
    Fields,
}

impl Values {
    /// Whether there can be several.
    fn are_many(self) -> bool {
        matches!(self, Self::SomeTexts | Self::Texts | Self::AnyOf(_) | Self::Ports | Self::Fields)
    }
}

const TYPES: [&str; 8] = ["mnt", "cgroup", "uts", "ipc", "user", "pid", "net", "time"];

const TARGET: Parameter = Parameter { name: "target", about: "TARGET, as on the command line", values: Values::Text };
const TARGETS: Parameter = Parameter { values: Values::Texts, ..TARGET };
const SOME_TARGET: Parameter = Parameter { values: Values::SomeText, ..TARGET };
const TYPE: Parameter = Parameter {
    name: "type",
    about: "Only namespaces of these types, separated by commas",
    values: Values::AnyOf(&TYPES),
};
const ALL: Parameter = Parameter { name: "all", about: "Long lists in full", values: Values::Flag };
const ALL_COLUMNS: Parameter = Parameter { about: "All columns", ..ALL };
const SEVERAL: Parameter = Parameter { about: "TARGET; can be repeated", values: Values::SomeTexts, ..TARGET };
const KIND: Parameter = Parameter {
    name: "kind",
    about: "The tree of user namespaces (user), of PID namespaces (pid) or of processes (proc)",
    values: Values::One(&["user", "pid", "proc"]),
};
const OWNED: Parameter = Parameter { name: "owned", about: "Add what user namespaces own", values: Values::Flag };
const USERS: Parameter =
    Parameter { name: "users", about: "Add the user namespaces that own PID namespaces", values: Values::Flag };
const LEADERS: Parameter =
    Parameter { name: "all-leaders", about: "Add all topmost processes of each namespace", values: Values::Flag };
const PATH: Parameter =
    Parameter { name: "path", about: "A mount point on the host, or MAJOR:MINOR", values: Values::Text };
const PID: Parameter =
    Parameter { name: "pid", about: "The process to ask about", values: Values::Number(1, 4_194_304) };
const WHO: Parameter = Parameter { values: Values::Pid, ..PID };
const WHOSE: Parameter =
    Parameter { about: "The process to ask about; required unless the TARGET is a process", ..PID };
const CAPABILITY: Parameter =
    Parameter { name: "capability", about: "A capability, e.g. net_admin", values: Values::Text };
const PORT: Parameter = Parameter { name: "port", about: "Only these ports", values: Values::Ports };
const UNIX: Parameter = Parameter { name: "unix", about: "UNIX sockets too", values: Values::Flag };
const HIDDEN: Parameter = Parameter { name: "hidden", about: "Only hidden mounts", values: Values::Flag };

const SINCE: Parameter = Parameter {
    name: "since",
    about: "The ID of the last event that the client has, as the header Last-Event-ID",
    values: Values::SomeText,
};

const LIMIT: Parameter = Parameter {
    name: "limit",
    about: "Most entries of the list to return; a Link header leads to the rest",
    values: Values::Number(1, 10_000),
};
const CURSOR: Parameter =
    Parameter { name: "cursor", about: "Where to begin, from a Link header", values: Values::Cursor };
const FIELDS: Parameter =
    Parameter { name: "fields", about: "Only these fields of the list, separated by commas", values: Values::Fields };
const SINCE_STATE: Parameter = Parameter {
    name: "since",
    about: "The state to compare with; the snapshot is then a JSON merge patch, if that state is kept",
    values: Values::SomeState,
};
const OLD: Parameter = Parameter {
    name: "since",
    about: "The older state, from the header Lxkns-State or the history",
    values: Values::State,
};
const UNTIL: Parameter =
    Parameter { name: "until", about: "The newer state; now if left out", values: Values::SomeState };

const ACTION: Parameter = Parameter {
    name: "action",
    about: "What to do: unshare, clone or fork with options of unshare(1), or setns TARGET",
    values: Values::Text,
};
const FILE: Parameter =
    Parameter { name: "file", about: "An absolute path; after TARGET: as that process sees it", values: Values::Text };
const DEREFERENCE: Parameter =
    Parameter { name: "dereference", about: "Follow a symbolic link at the end of the path", values: Values::Flag };

const fn route(path: &'static str, summary: &'static str, does: Does, parameters: &'static [Parameter]) -> Route {
    Route { path, summary, does, parameters }
}

const fn asks(path: &'static str, summary: &'static str, kind: Kind, parameters: &'static [Parameter]) -> Route {
    route(path, summary, Does::Ask(kind, Segment::None), parameters)
}

impl Route {
    /// Whether the Go program lxkns has it too.
    pub(super) fn is_of_go(&self) -> bool {
        self.path.starts_with("/api/") && !self.path.starts_with("/api/v1/")
    }
}

/// All of them.
pub(super) const ROUTES: &[Route] = &[
    asks("/api/namespaces", "The snapshot, for clients of the Go program lxkns", Kind::Snapshot, &[]),
    asks("/api/processes", "The processes, for clients of the Go program lxkns", Kind::Processes, &[]),
    asks("/api/pidmap", "The PIDs of processes, for clients of the Go program lxkns", Kind::PidMap, &[]),
    asks(
        "/api/v1/namespaces",
        "List of namespaces (lxkns ls)",
        Kind::List,
        &[TARGETS, TYPE, ALL_COLUMNS, LIMIT, CURSOR, FIELDS],
    ),
    route(
        "/api/v1/namespaces/{target}",
        "Everything about a namespace (lxkns show): an inode number, TYPE:INODE or :UNIQUE-ID",
        Does::Ask(Kind::Show, Segment::Namespace),
        &[],
    ),
    route(
        "/api/v1/processes/{target}",
        "Everything about a process (lxkns show): a PID, or PID:START-TIME",
        Does::Ask(Kind::Show, Segment::Process),
        &[],
    ),
    asks(
        "/api/v1/containers",
        "Containers, and what they share (lxkns containers)",
        Kind::Containers,
        &[TARGETS, LIMIT, CURSOR, FIELDS],
    ),
    route(
        "/api/v1/containers/{target}",
        "A container by name or ID",
        Does::Ask(Kind::Containers, Segment::Target),
        &[],
    ),
    asks(
        "/api/v1/mounts",
        "The mounts of a mount namespace (lxkns mounts)",
        Kind::Mounts,
        &[SOME_TARGET, HIDDEN, LIMIT, CURSOR, FIELDS],
    ),
    route(
        "/api/v1/mounts/{target}",
        "The mounts of this mount namespace",
        Does::Ask(Kind::Mounts, Segment::Target),
        &[HIDDEN, LIMIT, CURSOR, FIELDS],
    ),
    asks("/api/v1/show", "Everything about namespaces, processes or links (lxkns show)", Kind::Show, &[SEVERAL]),
    asks(
        "/api/v1/why",
        "What keeps a namespace alive, and what would release it (lxkns why)",
        Kind::Why,
        &[SEVERAL, LIMIT, CURSOR, FIELDS],
    ),
    asks(
        "/api/v1/orphans",
        "Namespaces without a process (lxkns orphans)",
        Kind::Orphans,
        &[TYPE, ALL, LIMIT, CURSOR, FIELDS],
    ),
    asks(
        "/api/v1/tree",
        "User namespaces, PID namespaces or processes as a tree (lxkns tree)",
        Kind::Tree,
        &[SOME_TARGET, KIND, OWNED, USERS, LEADERS, LIMIT, CURSOR, FIELDS],
    ),
    asks("/api/v1/busy", "Why a file system is busy (lxkns busy)", Kind::Busy, &[PATH]),
    asks("/api/v1/caps", "The capabilities of a process in a namespace (lxkns caps)", Kind::Caps, &[TARGET, WHOSE]),
    asks(
        "/api/v1/who-can",
        "Who has a capability in a namespace (lxkns who-can)",
        Kind::WhoCan,
        &[TARGET, CAPABILITY, LIMIT, CURSOR, FIELDS],
    ),
    asks(
        "/api/v1/audit",
        "How well containers are isolated from the host (lxkns audit)",
        Kind::Audit,
        &[TARGETS, LIMIT, CURSOR, FIELDS],
    ),
    asks(
        "/api/v1/ports",
        "Who listens, in every network namespace (lxkns ports)",
        Kind::Ports,
        &[TARGETS, PORT, UNIX, LIMIT, CURSOR, FIELDS],
    ),
    asks("/api/v1/links", "The links of all network namespaces as a graph (lxkns links)", Kind::Links, &[TARGETS]),
    asks("/api/v1/events", "What changes, as it happens (lxkns watch --json)", Kind::Events, &[SINCE, TYPE]),
    asks(
        "/api/v1/explain",
        "Whether a process may create or enter namespaces (lxkns explain)",
        Kind::Explain,
        &[ACTION, WHO],
    ),
    asks("/api/v1/owner", "Whose a file is (lxkns owner); only with --expose-files", Kind::Owner, &[FILE, DEREFERENCE]),
    asks("/api/v1/doctor", "What can be seen, and what would show more (lxkns doctor)", Kind::Doctor, &[]),
    asks("/api/v1/history", "The states that can be compared", Kind::History, &[]),
    asks("/api/v1/diff", "What differs between two states (lxkns diff --json)", Kind::Diff, &[OLD, UNTIL, TYPE]),
    asks("/api/v1/snapshot", "The snapshot (lxkns dump)", Kind::Snapshot, &[SINCE_STATE]),
    route("/healthz", "Whether the service is alive", Does::Alive, &[]),
    asks("/readyz", "Whether the host was read, and what could not be read", Kind::Ready, &[]),
    route("/metrics", "Metrics, for Prometheus", Does::Metrics, &[]),
    route("/api/v1/openapi.json", "This description", Does::OpenApi, &[]),
];

/// Why a path or query is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NotUnderstood {
    /// There is nothing.
    Path,
    /// The query.
    Query,
    /// A parameter that the route does not take.
    Parameter(String),
    /// A parameter with more than one value.
    Repeated(&'static str),
}

/// The route of a path, and the segment that stands for `{name}`.
pub(super) fn find(path: &str) -> Option<(&'static Route, Option<&str>)> {
    ROUTES.iter().find_map(|route| {
        let (mut template, mut segments, mut taken) = (route.path.split('/'), path.split('/'), None);
        loop {
            match (template.next(), segments.next()) {
                (None, None) => return Some((route, taken)),
                (Some(part), Some(segment)) if part.starts_with('{') && !segment.is_empty() => taken = Some(segment),
                (Some(part), Some(segment)) if part == segment => {}
                _ => return None,
            }
        }
    })
}

/// The question of a route that asks one.
pub(super) fn question(
    route: &Route,
    (kind, segment): (Kind, Segment),
    taken: Option<&str>,
    query: Option<&str>,
) -> Result<Question, NotUnderstood> {
    let mut parameters = Vec::new();
    if let Some(taken) = taken {
        let target = decoded(taken, false).ok_or(NotUnderstood::Path)?;
        parameters.push(("target".to_owned(), target));
    }
    match segment {
        Segment::Process => parameters.push(("is".to_owned(), "process".to_owned())),
        Segment::Namespace => parameters.push(("is".to_owned(), "namespace".to_owned())),
        Segment::None | Segment::Target => {}
    }
    for part in query.unwrap_or_default().split('&').filter(|part| !part.is_empty()) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let name = decoded(name, true).ok_or(NotUnderstood::Query)?;
        let value = decoded(value, true).ok_or(NotUnderstood::Query)?;
        // That it is a process or a namespace comes from the path alone, as does the TARGET of a path that has one.
        match route.parameters.iter().find(|parameter| parameter.name == name) {
            None if name.len() <= LONGEST_NAME => return Err(NotUnderstood::Parameter(name)),
            Some(parameter) if !parameter.values.are_many() && parameters.iter().any(|(known, _)| *known == name) => {
                return Err(NotUnderstood::Repeated(parameter.name));
            }
            _ => parameters.push((name, value)),
        }
        if parameters.len() > MOST_PARAMETERS {
            return Err(NotUnderstood::Query);
        }
    }
    let question = Question { kind, parameters };
    if crate::protocol::Bounded::is_in_bounds(&question) { Ok(question) } else { Err(NotUnderstood::Query) }
}

/// A text without its percent signs; `None` where it is not UTF-8, has a NUL, or is too long. `is_query`: a plus is a blank.
fn decoded(text: &str, is_query: bool) -> Option<String> {
    if text.len() > 3 * LONGEST_VALUE {
        return None;
    }
    let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'%' => u8::try_from(digit(bytes.next())? * 16 + digit(bytes.next())?).ok()?,
            b'+' if is_query => b' ',
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok().filter(|text| !text.contains('\0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_leads_to_its_route() {
        for route in ROUTES {
            let path = route.path.replace("{target}", "net:%5B4026531840%5D");
            let (found, taken) = find(&path).unwrap();
            assert_eq!(found.path, route.path);
            assert_eq!(taken.is_some(), route.path.contains('{'), "{path}");
            assert!(find(&format!("{path}/")).is_none() && find(&format!("{path}x/y/z")).is_none());
        }
        for path in ["", "/", "/api", "/api/", "/api/v1", "/api/namespaces/", "//api/namespaces", "/API/namespaces"] {
            assert!(find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn queries_are_decoded_once() {
        let takes = |name, values| Parameter { name, about: "", values };
        let parameters = [takes("a", Values::Texts), takes("all", Values::Flag), SEVERAL, takes("x", Values::SomeText)];
        let route = asks("/", "", Kind::Why, Box::leak(Box::new(parameters)));
        let of =
            |query: &str| question(&route, (Kind::Why, Segment::None), None, Some(query)).map(|found| found.parameters);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(of("target=a%2Fb&target=c+d"), Ok(vec![pair("target", "a/b"), pair("target", "c d")]));
        assert_eq!(of("all&&x=%2541"), Ok(vec![pair("all", ""), pair("x", "%41")]));
        for bad in ["a=%", "a=%f", "a=%zz", "a=%00", "a=%ff"] {
            assert_eq!(of(bad), Err(NotUnderstood::Query), "{bad}");
        }
        for (unknown, name) in [("a=1&is=process", "is"), ("%69s=process", "is"), ("=", ""), ("All", "All")] {
            assert_eq!(of(unknown), Err(NotUnderstood::Parameter(name.to_owned())), "{unknown}");
        }
        assert_eq!(of("x=1&a=2&%78=1"), Err(NotUnderstood::Repeated("x")));
        assert_eq!(of("all&all=0"), Err(NotUnderstood::Repeated("all")));
        assert_eq!(of(&"n".repeat(LONGEST_NAME + 1)), Err(NotUnderstood::Query));
        assert!(of(&"a&".repeat(MOST_PARAMETERS)).is_ok());
        assert_eq!(of(&"a&".repeat(MOST_PARAMETERS + 1)), Err(NotUnderstood::Query));
        assert!(of(&format!("a={}", "x".repeat(LONGEST_VALUE))).is_ok());
        assert_eq!(of(&format!("a={}", "x".repeat(LONGEST_VALUE + 1))), Err(NotUnderstood::Query));
    }

    #[test]
    fn a_segment_of_the_path_is_the_target() {
        let (route, _) = find("/api/v1/processes/1").unwrap();
        let of = |taken, query| question(route, (Kind::Show, Segment::Process), Some(taken), query);
        let found = of("1%3A5+6", None).unwrap();
        let values = |name| found.values(name).collect::<Vec<_>>();
        assert_eq!((values("target"), values("is")), (vec!["1:5+6"], vec!["process"]));
        assert_eq!(of("1", Some("target=2")), Err(NotUnderstood::Parameter("target".to_owned())));
    }
}
