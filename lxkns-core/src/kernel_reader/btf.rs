//! The kernel's own description of its structures (BTF), as far as the programs need it: where the fields of a few
//! structures are, and the IDs of a few functions. One pass; nothing is kept of the rest.

use std::fmt;

/// Why BTF is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BtfError {
    /// It ends too early, or refers to something outside of it.
    Truncated,
    /// It is of another form: another byte order, a kind of type that is not known.
    Unknown,
}

impl fmt::Display for BtfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Truncated => "it is truncated",
            Self::Unknown => "its form is not known",
        })
    }
}

/// A field of a structure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    /// Where it begins, in bytes.
    pub(crate) offset: u32,
    /// How long it is, in bytes.
    pub(crate) size: u32,
}

const MAGIC: u16 = 0xeb9f;
/// The bytes of a type before what its kind adds.
const TYPE: usize = 12;
/// The bytes of a member of a structure.
const MEMBER: usize = 12;
/// The number of types that are followed from one to the next: typedefs, qualifiers, anonymous members. Real ones take few.
const DEPTH: usize = 16;
/// The number of members that are looked at for one name. Real structures with all that is in them have some hundreds.
const MEMBERS: u32 = 1 << 14;

const INT: u32 = 1;
const PTR: u32 = 2;
const ARRAY: u32 = 3;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const ENUM: u32 = 6;
const TYPEDEF: u32 = 8;
const VOLATILE: u32 = 9;
const CONST: u32 = 10;
const RESTRICT: u32 = 11;
const FUNC: u32 = 12;
const FLOAT: u32 = 16;
const TYPE_TAG: u32 = 18;
const ENUM64: u32 = 19;

/// A description, with what was looked for in it.
#[derive(Debug)]
pub(crate) struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where each type begins, by its ID; that of 0 has no meaning.
    starts: Vec<u32>,
    structs: Vec<(&'static str, u32)>,
    functions: Vec<(&'static str, u32)>,
}

/// The head of a type.
#[derive(Clone, Copy)]
struct Type {
    name: u32,
    info: u32,
    /// Its size or the ID of another type, as its kind says.
    size_or_type: u32,
}

impl Type {
    #[inline(always)]
    fn kind(self) -> u32 {
        self.info >> 24 & 0x1f
    }

    #[inline(always)]
    fn count(self) -> usize {
        (self.info & 0xffff) as usize
    }

    /// Whether its members say how many bits they have.
    fn has_bitfields(self) -> bool {
        self.info >> 31 == 1
    }

    /// The bytes that follow the head.
    #[inline(always)]
    fn rest(self) -> Result<usize, BtfError> {
        Ok(match self.kind() {
            PTR | 7..=FUNC | FLOAT | TYPE_TAG => 0,
            INT | 14 | 17 => 4,
            ARRAY => 12,
            STRUCT | UNION | 15 | ENUM64 => self.count() * MEMBER,
            ENUM | 13 => self.count() * 8,
            _ => return Err(BtfError::Unknown),
        })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, BtfError> {
    let four = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(BtfError::Truncated)?;
    Ok(u32::from_ne_bytes(*four))
}

/// The description of a module, which continues that of the kernel, as one of both.
pub(crate) fn joined(kernel: &[u8], module: &[u8]) -> Result<Vec<u8>, BtfError> {
    /// The bytes of the header, which begins with the magic number, a version, and flags.
    const HEADER: u32 = 24;
    let [(types, strings), (more_types, more_strings)] = [sections(kernel)?, sections(module)?];
    let length = |one: &[u8], other: &[u8]| u32::try_from(one.len() + other.len()).map_err(|_| BtfError::Truncated);
    let (of_types, of_strings) = (length(types, more_types)?, length(strings, more_strings)?);
    let mut all = Vec::with_capacity(kernel.len() + module.len());
    all.extend(MAGIC.to_ne_bytes());
    all.extend([1, 0]);
    for number in [HEADER, 0, of_types, of_types, of_strings] {
        all.extend(number.to_ne_bytes());
    }
    for section in [types, more_types, strings, more_strings] {
        all.extend_from_slice(section);
    }
    Ok(all)
}

/// The types and the strings of a description.
fn sections(bytes: &[u8]) -> Result<(&[u8], &[u8]), BtfError> {
    let magic = bytes.first_chunk().ok_or(BtfError::Truncated)?;
    if u16::from_ne_bytes(*magic) != MAGIC {
        return Err(BtfError::Unknown);
    }
    let head = u32_at(bytes, 4)? as usize;
    let section = |at: usize| {
        let (start, length) = (u32_at(bytes, at)? as usize, u32_at(bytes, at + 4)? as usize);
        let start = head.checked_add(start).ok_or(BtfError::Truncated)?;
        let end = start.checked_add(length).ok_or(BtfError::Truncated)?;
        bytes.get(start..end).ok_or(BtfError::Truncated)
    };
    Ok((section(8)?, section(16)?))
}

impl<'a> Btf<'a> {
    /// Goes through a description once, and remembers the structures and functions with these names.
    pub(crate) fn parse(
        bytes: &'a [u8],
        structs: &[&'static str],
        functions: &[&'static str],
    ) -> Result<Self, BtfError> {
        let (types, strings) = sections(bytes)?;
        let mut btf = Self {
            types,
            strings,
            starts: Vec::with_capacity(types.len() / 32),
            structs: Vec::new(),
            functions: Vec::new(),
        };
        btf.starts.push(0);
        let (structs, functions) = (Wanted::of(structs), Wanted::of(functions));
        let mut at = 0;
        while at < types.len() {
            let head = btf.head(at)?;
            let id = btf.starts.len() as u32;
            btf.starts.push(at as u32);
            match head.kind() {
                // A structure that is only declared is of another kind.
                STRUCT => btf.structs.extend(structs.find(&btf, head.name).map(|name| (name, id))),
                // A tracepoint is a name for the type of what it calls.
                FUNC | TYPEDEF => btf.functions.extend(functions.find(&btf, head.name).map(|name| (name, id))),
                _ => {}
            }
            at += TYPE + head.rest()?;
        }
        if at > types.len() { Err(BtfError::Truncated) } else { Ok(btf) }
    }

    /// The ID of a function or tracepoint that was looked for.
    pub(crate) fn function(&self, name: &str) -> Option<u32> {
        self.functions.iter().find(|(known, _)| *known == name).map(|&(_, id)| id)
    }

    /// A structure that was looked for, and its size.
    pub(crate) fn size_of(&self, name: &str) -> Option<u32> {
        let &(_, id) = self.structs.iter().find(|(known, _)| *known == name)?;
        self.size(id)
    }

    /// The field at a path: `sock.__sk_common.skc_net.net`. Members of anonymous structures are members of what these are
    /// in. `None` where there is none, or where it does not begin and end at a byte.
    pub(crate) fn field(&self, path: &str) -> Option<Field> {
        let mut names = path.split('.');
        let structure = names.next()?;
        let &(_, mut id) = self.structs.iter().find(|(known, _)| *known == structure)?;
        let mut offset = 0_u32;
        for name in names {
            let (within, type_id) = self.member(id, name.as_bytes(), DEPTH, &mut { MEMBERS })?;
            offset = offset.checked_add(within)?;
            id = type_id;
        }
        Some(Field { offset, size: self.size(id)? })
    }

    /// A member with this name: its offset in bytes, and the ID of its type.
    fn member(&self, id: u32, name: &[u8], depth: usize, members: &mut u32) -> Option<(u32, u32)> {
        let (at, head) = self.resolve(id)?;
        if !matches!(head.kind(), STRUCT | UNION) {
            return None;
        }
        for index in 0..head.count() {
            *members = members.checked_sub(1)?;
            let member = at + TYPE + index * MEMBER;
            let named = u32_at(self.types, member).ok()?;
            let type_id = u32_at(self.types, member + 4).ok()?;
            let bits = u32_at(self.types, member + 8).ok()?;
            let (bits, length) = if head.has_bitfields() { (bits & 0xff_ffff, bits >> 24) } else { (bits, 0) };
            let is_whole = bits.is_multiple_of(8) && length == 0;
            if named != 0 && self.is_called(named, name) {
                return is_whole.then_some((bits / 8, type_id));
            }
            if named == 0
                && is_whole
                && depth > 0
                && let Some((within, type_id)) = self.member(type_id, name, depth - 1, members)
            {
                return Some((within.checked_add(bits / 8)?, type_id));
            }
        }
        None
    }

    /// The size of a type.
    fn size(&self, id: u32) -> Option<u32> {
        let mut id = id;
        let mut count = 1_u32;
        for _ in 0..DEPTH {
            let (at, head) = self.resolve(id)?;
            match head.kind() {
                INT | STRUCT | UNION | ENUM | FLOAT | ENUM64 => return count.checked_mul(head.size_or_type),
                PTR => return count.checked_mul(size_of::<usize>() as u32),
                ARRAY => {
                    id = u32_at(self.types, at + TYPE).ok()?;
                    count = count.checked_mul(u32_at(self.types, at + TYPE + 8).ok()?)?;
                }
                _ => return None,
            }
        }
        None
    }

    /// A type behind its typedefs and qualifiers, and where it begins.
    fn resolve(&self, id: u32) -> Option<(usize, Type)> {
        let mut id = id;
        for _ in 0..DEPTH {
            let at = *self.starts.get(id as usize).filter(|_| id != 0)? as usize;
            let head = self.head(at).ok()?;
            match head.kind() {
                TYPEDEF | VOLATILE | CONST | RESTRICT | TYPE_TAG => id = head.size_or_type,
                _ => return Some((at, head)),
            }
        }
        None
    }

    /// For each of a hundred thousand types, as what follows; hence inlined also where all else is optimized for size.
    #[inline(always)]
    fn head(&self, at: usize) -> Result<Type, BtfError> {
        let head = self.types.get(at..).and_then(<[u8]>::first_chunk::<TYPE>).ok_or(BtfError::Truncated)?;
        let number = |at: usize| u32::from_ne_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
        Ok(Type { name: number(0), info: number(4), size_or_type: number(8) })
    }

    fn is_called(&self, name: u32, expected: &[u8]) -> bool {
        let rest = self.strings.get(name as usize..).and_then(|text| text.strip_prefix(expected));
        rest.is_some_and(|rest| rest.first() == Some(&0))
    }
}

/// Names that are looked for among a hundred thousand others: nearly all of these are told apart by their first two bytes.
struct Wanted<'a> {
    names: &'a [&'static str],
    /// Whether a name begins with bytes that [`place`](Self::place) puts here.
    begins: [bool; 256],
}

impl<'a> Wanted<'a> {
    fn of(names: &'a [&'static str]) -> Self {
        let mut begins = [false; 256];
        for name in names {
            // A zero ends each.
            let mut bytes = name.bytes().chain([0, 0]);
            if let (Some(first), Some(second)) = (bytes.next(), bytes.next()) {
                begins[Self::place(first, second)] = true;
            }
        }
        Self { names, begins }
    }

    #[inline(always)]
    fn place(first: u8, second: u8) -> usize {
        first.wrapping_mul(31).wrapping_add(second).into()
    }

    #[inline(always)]
    fn find(&self, btf: &Btf<'_>, name: u32) -> Option<&'static str> {
        let begin = btf.strings.get(name as usize..).and_then(<[u8]>::first_chunk::<2>)?;
        if !self.begins[Self::place(begin[0], begin[1])] {
            return None;
        }
        self.names.iter().copied().find(|wanted| btf.is_called(name, wanted.as_bytes()))
    }
}
