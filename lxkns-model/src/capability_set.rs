//! Sets of capabilities, with the kernel's names.

use std::fmt;
use std::ops::{BitAnd, BitAndAssign, BitOr, BitOrAssign, Not, Sub, SubAssign};

/// A capability, by its number; `capabilities(7)`.
///
/// Its `Display` is the kernel's name, `CAP_SYS_ADMIN`; one without a name here is called by its number, `CAP_41`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Capability(u8);

impl Capability {
    /// The capability with this number, 0 to 63.
    pub const fn from_number(number: u8) -> Option<Self> {
        if number < CapabilitySet::MOST { Some(Self(number)) } else { None }
    }

    /// The kernel's number.
    pub const fn number(self) -> u8 {
        self.0
    }

    /// The kernel's name without `CAP_`, where it is known here.
    pub fn short_name(self) -> Option<&'static str> {
        NAMES.get(usize::from(self.0)).copied()
    }
}

impl fmt::Display for Capability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.short_name() {
            Some(name) => f.pad(&format!("CAP_{name}")),
            None => f.pad(&format!("CAP_{}", self.0)),
        }
    }
}

/// A set of capabilities, as the hexadecimal numbers of `/proc/PID/status` have it; `capabilities(7)`.
///
/// Its `Display` is the names with commas between, `none` or `all`. Serialized, it is an array of the names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CapabilitySet(u64);

macro_rules! capabilities {
    ($($name:ident = $number:literal),* $(,)?) => {
        const NAMES: [&str; [$($number),*].len()] = [$(stringify!($name)),*];

        impl CapabilitySet {
            $(#[doc = concat!("`CAP_", stringify!($name), "`.")]
            pub const $name: Self = Self(1 << $number);)*
        }
    };
}

// linux/capability.h.
capabilities! {
    CHOWN = 0,
    DAC_OVERRIDE = 1,
    DAC_READ_SEARCH = 2,
    FOWNER = 3,
    FSETID = 4,
    KILL = 5,
    SETGID = 6,
    SETUID = 7,
    SETPCAP = 8,
    LINUX_IMMUTABLE = 9,
    NET_BIND_SERVICE = 10,
    NET_BROADCAST = 11,
    NET_ADMIN = 12,
    NET_RAW = 13,
    IPC_LOCK = 14,
    IPC_OWNER = 15,
    SYS_MODULE = 16,
    SYS_RAWIO = 17,
    SYS_CHROOT = 18,
    SYS_PTRACE = 19,
    SYS_PACCT = 20,
    SYS_ADMIN = 21,
    SYS_BOOT = 22,
    SYS_NICE = 23,
    SYS_RESOURCE = 24,
    SYS_TIME = 25,
    SYS_TTY_CONFIG = 26,
    MKNOD = 27,
    LEASE = 28,
    AUDIT_WRITE = 29,
    AUDIT_CONTROL = 30,
    SETFCAP = 31,
    MAC_OVERRIDE = 32,
    MAC_ADMIN = 33,
    SYSLOG = 34,
    WAKE_ALARM = 35,
    BLOCK_SUSPEND = 36,
    AUDIT_READ = 37,
    PERFMON = 38,
    BPF = 39,
    CHECKPOINT_RESTORE = 40,
}

impl CapabilitySet {
    /// How many a set has room for.
    const MOST: u8 = 64;

    /// The empty set.
    pub const NONE: Self = Self(0);

    /// All capabilities, also those that no kernel has yet: what the creator of a user namespace has in it.
    pub const ALL: Self = Self(u64::MAX);

    /// All capabilities that have a name here.
    pub const KNOWN: Self = Self((1 << NAMES.len()) - 1);

    /// The set with these bits; bit 0 is `CAP_CHOWN`.
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// A bit for each capability.
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether there is none in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every capability that has a name here is in it.
    pub const fn has_all_known(self) -> bool {
        self.contains(Self::KNOWN)
    }

    /// Whether all of `other` is in it.
    pub const fn contains(self, other: Self) -> bool {
        other.0 & !self.0 == 0
    }

    /// What is in one of the two.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in it and not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// How many there are.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Its capabilities, in the kernel's order. Of [`Self::ALL`], those that have a name here.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = Capability> {
        let set = if self == Self::ALL { Self::KNOWN } else { self };
        (0..Self::MOST).filter(move |number| set.0 >> number & 1 == 1).map(Capability)
    }

    /// Their names, `CAP_SYS_ADMIN`, in the kernel's order. Of [`Self::ALL`], those that have a name here.
    pub fn names(self) -> Vec<String> {
        self.iter().map(|capability| capability.to_string()).collect()
    }

    /// In words: whichever is shorter, the names of those in it or of those that are not: `none`, `all`,
    /// `all but CAP_SYS_ADMIN`.
    pub fn in_words(self) -> String {
        let missing = Self::KNOWN.difference(self);
        match (self.is_empty(), missing.len()) {
            (true, _) => "none".to_owned(),
            (_, 0) => "all".to_owned(),
            (_, count) if count < self.len() => format!("all but {}", missing.names().join(", ")),
            _ => self.names().join(", "),
        }
    }
}

impl fmt::Display for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_empty() {
            true => f.pad("none"),
            false if self.has_all_known() => f.pad("all"),
            false => f.pad(&self.names().join(", ")),
        }
    }
}

impl fmt::LowerHex for CapabilitySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&self.0, f)
    }
}

impl FromIterator<Capability> for CapabilitySet {
    fn from_iter<I: IntoIterator<Item = Capability>>(capabilities: I) -> Self {
        Self(capabilities.into_iter().fold(0, |bits, capability| bits | 1 << capability.0))
    }
}

impl BitOr for CapabilitySet {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.union(other)
    }
}

impl BitOrAssign for CapabilitySet {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

impl BitAnd for CapabilitySet {
    type Output = Self;

    fn bitand(self, other: Self) -> Self {
        self.intersection(other)
    }
}

impl BitAndAssign for CapabilitySet {
    fn bitand_assign(&mut self, other: Self) {
        *self = *self & other;
    }
}

impl Sub for CapabilitySet {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self.difference(other)
    }
}

impl SubAssign for CapabilitySet {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl Not for CapabilitySet {
    type Output = Self;

    fn not(self) -> Self {
        Self(!self.0)
    }
}

#[cfg(feature = "wire")]
impl serde::Serialize for CapabilitySet {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().map(|capability| capability.to_string()))
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for CapabilitySet {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "CapabilitySet".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "array",
            "items": { "type": "string", "pattern": "^CAP_[A-Z0-9_]+$" },
            "uniqueItems": true,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_the_kernel() {
        // linux/capability.h: the first, some in between, the last.
        for (set, bits, name) in [
            (CapabilitySet::CHOWN, 1, "CAP_CHOWN"),
            (CapabilitySet::NET_ADMIN, 1 << 12, "CAP_NET_ADMIN"),
            (CapabilitySet::SYS_ADMIN, 0x20_0000, "CAP_SYS_ADMIN"),
            (CapabilitySet::SETFCAP, 1 << 31, "CAP_SETFCAP"),
            (CapabilitySet::CHECKPOINT_RESTORE, 1 << 40, "CAP_CHECKPOINT_RESTORE"),
        ] {
            assert_eq!(set.bits(), bits);
            assert_eq!(set.names(), [name]);
        }
        assert_eq!(CapabilitySet::KNOWN.bits(), 0x1ff_ffff_ffff);
        for (index, capability) in CapabilitySet::KNOWN.iter().enumerate() {
            assert_eq!(usize::from(capability.number()), index);
        }
    }

    #[test]
    fn what_has_no_name_has_a_number() {
        let set = CapabilitySet::from_bits(1 << 63 | 1 << 41 | 1);
        assert_eq!(set.to_string(), "CAP_CHOWN, CAP_41, CAP_63");
        assert_eq!(CapabilitySet::ALL.names().len(), 41, "those that no kernel has yet are not meant");
        assert_eq!(Capability::from_number(64), None);
    }

    #[test]
    fn words_are_the_shorter_ones() {
        assert_eq!(CapabilitySet::NONE.in_words(), "none");
        assert_eq!(CapabilitySet::KNOWN.in_words(), "all");
        assert_eq!(CapabilitySet::ALL.in_words(), "all");
        assert_eq!((CapabilitySet::KNOWN - CapabilitySet::SYS_ADMIN).in_words(), "all but CAP_SYS_ADMIN");
        assert_eq!((CapabilitySet::ALL - CapabilitySet::SYS_ADMIN).in_words(), "all but CAP_SYS_ADMIN");
        assert_eq!((CapabilitySet::KILL | CapabilitySet::CHOWN).in_words(), "CAP_CHOWN, CAP_KILL");
    }

    #[test]
    fn sets_are_made_of_their_capabilities() {
        let set = CapabilitySet::from_bits(0xa82_5fb);
        assert_eq!(set.iter().collect::<CapabilitySet>(), set);
        assert_eq!(set & !set, CapabilitySet::NONE);
        assert!(CapabilitySet::KNOWN.contains(set) && !set.contains(CapabilitySet::KNOWN));
    }
}
