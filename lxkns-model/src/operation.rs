//! The operations that gaps are about.

use std::borrow::Cow;
use std::fmt;

/// What was tried, with what: which file, link or directory. That is for people; what matters to a program is the variant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// Listing the processes, or a directory of one: `fd`.
    List(Cow<'static, str>),
    /// Reading a file: `status`.
    Read(Cow<'static, str>),
    /// Reading a symbolic link: `ns/net`.
    ReadLink(Cow<'static, str>),
    /// Understanding what was read: `status, line 3: expected four UIDs`.
    Parse(Cow<'static, str>),
    /// Opening the object, or something of it: `ns/mnt`.
    Open(Cow<'static, str>),
    /// Asking what something is, with `statx(2)`: `exe`.
    Stat(Cow<'static, str>),
    /// A system call or ioctl.
    Call(Call),
    /// Finding a mount in the lists of mounts.
    FindMount,
    /// Entering a mount namespace, with what the helper for that was about.
    Enter(Cow<'static, str>),
    /// Reading the list of mounts inside a mount namespace.
    ReadInside(Cow<'static, str>),
    /// Opening what is mounted inside a mount namespace.
    OpenInside(Cow<'static, str>),
    /// Starting a thread.
    StartThread,
    /// Anything else, in words: what an older dump says.
    Other(Cow<'static, str>),
}

impl Operation {
    /// Listing a directory.
    pub const fn list(directory: &'static str) -> Self {
        Self::List(Cow::Borrowed(directory))
    }

    /// Reading a file.
    pub const fn read(file: &'static str) -> Self {
        Self::Read(Cow::Borrowed(file))
    }

    /// Reading a symbolic link.
    pub const fn read_link(link: &'static str) -> Self {
        Self::ReadLink(Cow::Borrowed(link))
    }

    /// Opening the object itself.
    pub const OPEN: Self = Self::Open(Cow::Borrowed(""));

    /// Opening something of the object.
    pub const fn open(path: &'static str) -> Self {
        Self::Open(Cow::Borrowed(path))
    }

    /// Asking what something is.
    pub const fn stat(path: &'static str) -> Self {
        Self::Stat(Cow::Borrowed(path))
    }

    /// A short stable name, as in the JSON form; that of a call is the kernel's.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::List(_) => "list",
            Self::Read(_) => "read",
            Self::ReadLink(_) => "readlink",
            Self::Parse(_) => "parse",
            Self::Open(_) => "open",
            Self::Stat(_) => "stat",
            Self::Call(call) => call.name(),
            Self::FindMount => "find-mount",
            Self::Enter(_) => "enter",
            Self::ReadInside(_) => "read-inside",
            Self::OpenInside(_) => "open-inside",
            Self::StartThread => "start-thread",
            Self::Other(_) => "other",
        }
    }

    /// What it was tried with, where that matters.
    pub fn operand(&self) -> Option<&str> {
        let operand = match self {
            Self::List(operand)
            | Self::Read(operand)
            | Self::ReadLink(operand)
            | Self::Parse(operand)
            | Self::Open(operand)
            | Self::Stat(operand)
            | Self::Enter(operand)
            | Self::ReadInside(operand)
            | Self::OpenInside(operand)
            | Self::Other(operand) => operand,
            Self::Call(_) | Self::FindMount | Self::StartThread => return None,
        };
        Some(&**operand).filter(|operand| !operand.is_empty())
    }

    /// The operation with this name and operand; one whose name is unknown is [`Other`](Self::Other).
    pub fn from_name(name: &str, operand: Option<&str>) -> Self {
        let with = || Cow::Owned(operand.unwrap_or_default().to_owned());
        match name {
            "list" => Self::List(with()),
            "read" => Self::Read(with()),
            "readlink" => Self::ReadLink(with()),
            "parse" => Self::Parse(with()),
            "open" => Self::Open(with()),
            "stat" => Self::Stat(with()),
            "find-mount" => Self::FindMount,
            "enter" => Self::Enter(with()),
            "read-inside" => Self::ReadInside(with()),
            "open-inside" => Self::OpenInside(with()),
            "start-thread" => Self::StartThread,
            "other" => Self::Other(with()),
            name => Call::from_name(name).map_or_else(|| Self::Other(name.to_owned().into()), Self::Call),
        }
    }

    /// Whether something was to be opened, and not listed or read.
    pub fn is_opening(&self) -> bool {
        matches!(self, Self::Open(_) | Self::OpenInside(_) | Self::Call(Call::Openat2))
    }
}

impl From<Call> for Operation {
    fn from(call: Call) -> Self {
        Self::Call(call)
    }
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let operand = self.operand().unwrap_or_default();
        let verb = match self {
            Self::Other(_) => return f.write_str(operand),
            Self::FindMount => "find a mount",
            Self::StartThread => "start a thread",
            Self::Enter(_) if operand.is_empty() => "enter mount namespace",
            Self::Enter(_) => "enter mount namespace:",
            Self::ReadInside(_) if operand.is_empty() => "read in mount namespace",
            Self::ReadInside(_) => "read in mount namespace:",
            Self::OpenInside(_) if operand.is_empty() => "open in mount namespace",
            Self::OpenInside(_) => "open in mount namespace:",
            Self::Stat(_) => "statx",
            other => other.name(),
        };
        if operand.is_empty() { f.pad(verb) } else { write!(f, "{verb} {operand}") }
    }
}

/// A system call or ioctl, by the kernel's name for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Call {
    /// `fstat(2)` of a namespace.
    Fstat,
    /// `kcmp(2)`: comparing descriptor tables.
    Kcmp,
    /// `statx(2)`, at all.
    Statx,
    /// `openat2(2)`: looking up a path.
    Openat2,
    /// `open_by_handle_at(2)`: opening a namespace by its ID.
    OpenByHandleAt,
    /// `pidfd_open(2)` of a process.
    PidfdOpen,
    /// `pidfd_open(2)` of a task that is not a thread group leader.
    PidfdOpenThread,
    /// `pidfd_getfd(2)`: a copy of a descriptor of another process.
    PidfdGetfd,
    /// The PID namespace of the next child, by a pidfd.
    PidForChildren,
    /// The network namespace of a socket.
    Siocgskns,
    /// The network namespace of a TUN/TAP device.
    Tungetdevnetns,
    /// The parent of a namespace.
    NsGetParent,
    /// The user namespace that owns a namespace.
    NsGetUserns,
    /// The UID that created a user namespace.
    NsGetOwnerUid,
    /// The unique ID of a namespace.
    NsGetId,
    /// The unique ID of a mount namespace.
    NsGetMntnsId,
    /// The next mount namespace of the kernel's list.
    NsMntGetNext,
    /// The previous one.
    NsMntGetPrev,
    /// The mounts of a mount namespace.
    Listmount,
    /// Facts about a mount.
    Statmount,
    /// The kernel's list of namespaces.
    Listns,
    /// `bpf(2)`: programs that the kernel runs for each task and file.
    Bpf,
}

impl Call {
    /// All calls.
    pub const ALL: [Self; 22] = [
        Self::Fstat,
        Self::Kcmp,
        Self::Statx,
        Self::Openat2,
        Self::OpenByHandleAt,
        Self::PidfdOpen,
        Self::PidfdOpenThread,
        Self::PidfdGetfd,
        Self::PidForChildren,
        Self::Siocgskns,
        Self::Tungetdevnetns,
        Self::NsGetParent,
        Self::NsGetUserns,
        Self::NsGetOwnerUid,
        Self::NsGetId,
        Self::NsGetMntnsId,
        Self::NsMntGetNext,
        Self::NsMntGetPrev,
        Self::Listmount,
        Self::Statmount,
        Self::Listns,
        Self::Bpf,
    ];

    /// Its name in the kernel, as in the JSON form.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fstat => "fstat",
            Self::Kcmp => "kcmp",
            Self::Statx => "statx",
            Self::Openat2 => "openat2",
            Self::OpenByHandleAt => "open_by_handle_at",
            Self::PidfdOpen => "pidfd_open",
            Self::PidfdOpenThread => "pidfd_open(PIDFD_THREAD)",
            Self::PidfdGetfd => "pidfd_getfd",
            Self::PidForChildren => "PIDFD_GET_PID_FOR_CHILDREN_NAMESPACE",
            Self::Siocgskns => "SIOCGSKNS",
            Self::Tungetdevnetns => "TUNGETDEVNETNS",
            Self::NsGetParent => "NS_GET_PARENT",
            Self::NsGetUserns => "NS_GET_USERNS",
            Self::NsGetOwnerUid => "NS_GET_OWNER_UID",
            Self::NsGetId => "NS_GET_ID",
            Self::NsGetMntnsId => "NS_GET_MNTNS_ID",
            Self::NsMntGetNext => "NS_MNT_GET_NEXT",
            Self::NsMntGetPrev => "NS_MNT_GET_PREV",
            Self::Listmount => "listmount",
            Self::Statmount => "statmount",
            Self::Listns => "listns",
            Self::Bpf => "bpf",
        }
    }

    /// The call with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|call| call.name() == name)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operation_is_found_again_by_its_name() {
        let all = [
            Operation::list("fd"),
            Operation::read("status"),
            Operation::read_link("ns/net"),
            Operation::Parse("status, line 3: expected four UIDs".into()),
            Operation::OPEN,
            Operation::open("ns/mnt"),
            Operation::stat("exe"),
            Operation::FindMount,
            Operation::Enter("setns(CLONE_NEWNS)".into()),
            Operation::ReadInside("".into()),
            Operation::OpenInside("over file system 0:45".into()),
            Operation::StartThread,
            Operation::Other("look twice".into()),
        ];
        let calls = Call::ALL.into_iter().map(Operation::Call);
        for operation in all.into_iter().chain(calls) {
            assert_eq!(Operation::from_name(operation.name(), operation.operand()), operation);
        }
        assert_eq!(Operation::from_name("readlinkat ns/net", None), Operation::Other("readlinkat ns/net".into()));
    }

    #[test]
    fn an_operation_is_told_in_words() {
        assert_eq!(Operation::read("status").to_string(), "read status");
        assert_eq!(Operation::OPEN.to_string(), "open");
        assert_eq!(Operation::from(Call::Listns).to_string(), "listns");
        assert_eq!(
            Operation::Enter("setns(CLONE_NEWNS)".into()).to_string(),
            "enter mount namespace: setns(CLONE_NEWNS)"
        );
    }
}
