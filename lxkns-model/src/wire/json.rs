//! JSON that is safe to print: what could command a terminal, hide or reorder text is escaped, in every string and key.

use std::io::{self, Write};

use serde::Serialize;
use serde::ser;

/// Writes a value as JSON without a newline at the end, in which each character that [`is_safe_to_print`] refuses is
/// escaped as `\uXXXX`. Readers get what was written.
///
/// # Errors
///
/// Where the writer fails, or the value cannot be JSON.
pub fn write_json(value: &impl Serialize, pretty: bool, mut writer: impl Write) -> io::Result<()> {
    write_all(value, Json { is_indented: pretty, ..Json::to(&mut writer) })
}

/// Writes what is between the outermost braces of a value that is an object, on one line.
pub(super) fn write_members(value: &impl Serialize, mut writer: impl Write) -> io::Result<()> {
    write_all(value, Json { is_bare: true, ..Json::to(&mut writer) })
}

fn write_all(value: &impl Serialize, mut json: Json<'_>) -> io::Result<()> {
    value.serialize(&mut json).map_err(|Failed(error)| error)?;
    json.pass_on()
}

/// Adds the same to a text.
pub(super) fn add_members(value: &impl Serialize, to: &mut Vec<u8>) -> io::Result<()> {
    let mut json = Json { is_bare: true, text: std::mem::take(to), ..Json::default() };
    let result = value.serialize(&mut json).map_err(|Failed(error)| error);
    *to = json.text;
    result
}

/// Whether a character does no more on a terminal than to be seen: none of the controls (C0, DEL, C1), nor of what is
/// invisible, breaks lines or changes the direction of text.
pub fn is_safe_to_print(character: char) -> bool {
    !character.is_control()
        && !matches!(character,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// A text that grows. There is one type for all layouts and writers, so what writes a value is compiled once. What is called
/// for each value is inlined also where all else is optimized for size: a dump of many processes is tens of megabytes.
#[derive(Default)]
struct Json<'a> {
    text: Vec<u8>,
    /// Gets the text in steps; without it, all is kept.
    to: Option<&'a mut dyn Write>,
    /// In how many arrays and objects what is being written is.
    depth: usize,
    /// With a line for each part, indented by two blanks for each array or object.
    is_indented: bool,
    /// Without the outermost braces.
    is_bare: bool,
}

/// Why a value was not written.
#[derive(Debug)]
struct Failed(io::Error);

impl std::fmt::Display for Failed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Failed {}

impl ser::Error for Failed {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self(io::Error::new(io::ErrorKind::InvalidData, message.to_string()))
    }
}

type Result<T = ()> = std::result::Result<T, Failed>;

/// The steps in which a writer gets text. Larger ones make nothing faster.
const STEP: usize = 16 * 1024;

impl<'a> Json<'a> {
    fn to(writer: &'a mut dyn Write) -> Self {
        Self { text: Vec::with_capacity(STEP + 1024), to: Some(writer), ..Self::default() }
    }

    #[cold]
    fn pass_on(&mut self) -> io::Result<()> {
        if let Some(to) = &mut self.to {
            to.write_all(&self.text)?;
            self.text.clear();
        }
        Ok(())
    }

    #[inline(always)]
    fn add(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    fn begin(&mut self, bracket: u8) {
        if self.depth > 0 || !self.is_bare {
            self.text.push(bracket);
        }
        self.depth += 1;
    }

    /// Begins a part of an array or object.
    #[inline(always)]
    fn part(&mut self, is_first: bool) -> Result {
        if !is_first {
            self.text.push(b',');
        }
        if self.is_indented {
            self.break_line();
        }
        if self.text.len() >= STEP && self.to.is_some() {
            self.pass_on().map_err(Failed)?;
        }
        Ok(())
    }

    fn end(&mut self, is_empty: bool, bracket: u8) {
        self.depth -= 1;
        if self.is_indented && !is_empty {
            self.break_line();
        }
        if self.depth > 0 || !self.is_bare {
            self.text.push(bracket);
        }
    }

    #[inline(never)]
    fn break_line(&mut self) {
        self.text.push(b'\n');
        (0..self.depth).for_each(|_| self.add(b"  "));
    }

    #[inline(always)]
    fn colon(&mut self) {
        self.add(if self.is_indented { b": " } else { b":" });
    }

    /// Begins a part of an object, with a key that has nothing to be escaped.
    fn field(&mut self, is_first: bool, key: &str) -> Result {
        debug_assert_eq!(plain(key.as_bytes()), key.len());
        self.part(is_first)?;
        self.text.push(b'"');
        self.add(key.as_bytes());
        self.text.push(b'"');
        self.colon();
        Ok(())
    }

    /// Begins an object with nothing but the value of a variant.
    fn variant(&mut self, name: &str) -> Result {
        self.begin(b'{');
        self.field(true, name)
    }

    fn string(&mut self, text: &str) {
        self.text.push(b'"');
        let mut rest = text;
        loop {
            let (before, after) = rest.split_at(plain(rest.as_bytes()));
            self.add(before.as_bytes());
            let mut characters = after.chars();
            let Some(character) = characters.next() else { break };
            self.escape(character);
            rest = characters.as_str();
        }
        self.text.push(b'"');
    }

    /// Adds a character as far as it needs to be escaped.
    fn escape(&mut self, character: char) {
        let short = match character {
            '"' | '\\' => character as u8,
            '\u{8}' => b'b',
            '\u{c}' => b'f',
            '\n' => b'n',
            '\r' => b'r',
            '\t' => b't',
            _ if is_safe_to_print(character) => return self.add(character.encode_utf8(&mut [0; 4]).as_bytes()),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Into memory, which does not fail.
                    let _ = write!(self.text, "\\u{unit:04x}");
                }
                return;
            }
        };
        self.add(&[b'\\', short]);
    }

    fn number(&mut self, number: u64) {
        let mut digits = [0; 20];
        let (mut at, mut rest) = (digits.len(), number);
        loop {
            at -= 1;
            // A tenth, exactly. Where size counts, compilers divide, which takes ten times as long.
            let tenth = ((u128::from(rest) * 0xcccc_cccc_cccc_cccd) >> 67) as u64;
            digits[at] = b'0' + (rest - tenth * 10) as u8;
            rest = tenth;
            if rest == 0 {
                break;
            }
        }
        self.add(&digits[at..]);
    }

    fn signed(&mut self, number: i64) {
        if number < 0 {
            self.text.push(b'-');
        }
        self.number(number.unsigned_abs());
    }
}

/// How many bytes of a text come before the first one that may have to be escaped.
fn plain(text: &[u8]) -> usize {
    /// One in each byte; and the highest bit.
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHEST: u64 = ONES << 7;
    let has_zero = |bytes: u64| bytes.wrapping_sub(ONES) & !bytes;
    let mut at = 0;
    // Eight bytes at a time: none is below a blank, above `~`, a quote or a backslash.
    while let Some(eight) = text.get(at..).and_then(<[u8]>::first_chunk) {
        let bytes = u64::from_ne_bytes(*eight);
        let is_outside = bytes | bytes.wrapping_add(ONES) | bytes.wrapping_sub(ONES * u64::from(b' '));
        let is_special = has_zero(bytes ^ (ONES * u64::from(b'"'))) | has_zero(bytes ^ (ONES * u64::from(b'\\')));
        if (is_outside | is_special) & HIGHEST != 0 {
            break;
        }
        at += 8;
    }
    let rest = text.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\')).unwrap_or(rest.len())
}

/// An array or object that is being written.
struct Parts<'s, 'a> {
    json: &'s mut Json<'a>,
    is_empty: bool,
    /// What ends it.
    bracket: u8,
    /// It is the value of a variant, in an object of its own.
    is_variant: bool,
}

impl<'s, 'a> Parts<'s, 'a> {
    fn array(json: &'s mut Json<'a>) -> Result<Self> {
        json.begin(b'[');
        Ok(Self { json, is_empty: true, bracket: b']', is_variant: false })
    }

    fn object(json: &'s mut Json<'a>) -> Result<Self> {
        json.begin(b'{');
        Ok(Self { json, is_empty: true, bracket: b'}', is_variant: false })
    }

    fn finish(self) {
        self.json.end(self.is_empty, self.bracket);
        if self.is_variant {
            self.json.end(false, b'}');
        }
    }
}

impl<'s, 'a> ser::Serializer for &'s mut Json<'a> {
    type Ok = ();
    type Error = Failed;
    type SerializeSeq = Parts<'s, 'a>;
    type SerializeTuple = Parts<'s, 'a>;
    type SerializeTupleStruct = Parts<'s, 'a>;
    type SerializeTupleVariant = Parts<'s, 'a>;
    type SerializeMap = Parts<'s, 'a>;
    type SerializeStruct = Parts<'s, 'a>;
    type SerializeStructVariant = Parts<'s, 'a>;

    fn serialize_bool(self, value: bool) -> Result {
        self.add(if value { b"true" } else { b"false" });
        Ok(())
    }

    fn serialize_i8(self, value: i8) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result {
        self.signed(value);
        Ok(())
    }

    fn serialize_u8(self, value: u8) -> Result {
        self.serialize_u64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result {
        self.serialize_u64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result {
        self.serialize_u64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result {
        self.number(value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result {
        // As many digits as tell it from other numbers of 4 bytes.
        self.serialize_f64(value.to_string().parse().unwrap_or(f64::NAN))
    }

    fn serialize_f64(self, value: f64) -> Result {
        match serde_json::Number::from_f64(value) {
            Some(number) => self.add(number.to_string().as_bytes()),
            None => self.add(b"null"),
        }
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result {
        self.string(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result {
        self.collect_seq(value)
    }

    fn serialize_none(self) -> Result {
        self.serialize_unit()
    }

    fn serialize_some<T: ?Sized + Serialize>(self, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result {
        self.add(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: ?Sized + Serialize>(self, _: &'static str, value: &T) -> Result {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: ?Sized + Serialize>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result {
        self.variant(variant)?;
        value.serialize(&mut *self)?;
        self.end(false, b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq> {
        Parts::array(self)
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple> {
        Parts::array(self)
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeTupleStruct> {
        Parts::array(self)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant> {
        self.variant(variant)?;
        Ok(Parts { is_variant: true, ..Parts::array(self)? })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap> {
        Parts::object(self)
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct> {
        Parts::object(self)
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant> {
        self.variant(variant)?;
        Ok(Parts { is_variant: true, ..Parts::object(self)? })
    }
}

/// Implements what arrays of this kind have.
macro_rules! array {
    ($($kind:ident: $add:ident),*) => {$(
        impl ser::$kind for Parts<'_, '_> {
            type Ok = ();
            type Error = Failed;

            fn $add<T: ?Sized + Serialize>(&mut self, value: &T) -> Result {
                self.json.part(std::mem::take(&mut self.is_empty))?;
                value.serialize(&mut *self.json)
            }

            fn end(self) -> Result {
                self.finish();
                Ok(())
            }
        }
    )*};
}

array!(
    SerializeSeq: serialize_element,
    SerializeTuple: serialize_element,
    SerializeTupleStruct: serialize_field,
    SerializeTupleVariant: serialize_field
);

/// Implements what objects of this kind have.
macro_rules! object {
    ($($kind:ident),*) => {$(
        impl ser::$kind for Parts<'_, '_> {
            type Ok = ();
            type Error = Failed;

            fn serialize_field<T: ?Sized + Serialize>(&mut self, key: &'static str, value: &T) -> Result {
                self.json.field(std::mem::take(&mut self.is_empty), key)?;
                value.serialize(&mut *self.json)
            }

            fn end(self) -> Result {
                self.finish();
                Ok(())
            }
        }
    )*};
}

object!(SerializeStruct, SerializeStructVariant);

impl ser::SerializeMap for Parts<'_, '_> {
    type Ok = ();
    type Error = Failed;

    fn serialize_key<T: ?Sized + Serialize>(&mut self, key: &T) -> Result {
        self.json.part(std::mem::take(&mut self.is_empty))?;
        // A key is a string, also where it is a number.
        let begin = self.json.text.len();
        key.serialize(&mut *self.json)?;
        match self.json.text.get(begin) {
            Some(b'"') => {}
            Some(b'-' | b'0'..=b'9' | b't' | b'f') => {
                self.json.text.insert(begin, b'"');
                self.json.text.push(b'"');
            }
            _ => return Err(ser::Error::custom("a key has to be a string")),
        }
        self.json.colon();
        Ok(())
    }

    fn serialize_value<T: ?Sized + Serialize>(&mut self, value: &T) -> Result {
        value.serialize(&mut *self.json)
    }

    fn end(self) -> Result {
        self.finish();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn written(value: &impl Serialize, pretty: bool) -> String {
        let mut json = Vec::new();
        write_json(value, pretty, &mut json).unwrap();
        String::from_utf8(json).unwrap()
    }

    #[test]
    fn what_commands_a_terminal_is_escaped() {
        let text = "a\u{9b}31m\u{7f}\u{202e}\u{200b}\u{e0001}\u{feff}ä漢\u{1f600}\"\\\n\u{1b}/";
        let json = "\"a\\u009b31m\\u007f\\u202e\\u200b\\udb40\\udc01\\ufeffä漢\u{1f600}\\\"\\\\\\n\\u001b/\"";
        assert_eq!(written(&text, false), json);
        assert_eq!(written(&BTreeMap::from([("\u{85}", 1)]), false), "{\"\\u0085\":1}", "keys too");
    }

    #[test]
    fn all_else_is_as_serde_json_writes_it() {
        let value = serde_json::json!({"a": [1, null, true, {"b": []}, {}], "c": -1.5, "d": "x"});
        assert_eq!(written(&value, false), serde_json::to_string(&value).unwrap());
        assert_eq!(written(&value, true), serde_json::to_string_pretty(&value).unwrap());
    }

    #[test]
    fn every_kind_of_value_is_as_serde_json_writes_it() {
        #[derive(Serialize)]
        enum Variant {
            Unit,
            Newtype(Option<bool>),
            Tuple(u8, i8),
            Struct { field: (), other: char },
            Empty {},
        }
        #[derive(Serialize)]
        struct Unit;
        #[derive(Serialize)]
        struct Newtype<T>(T);
        #[derive(Serialize)]
        struct Tuple(f64, f32, f64);
        #[derive(PartialEq, Eq, PartialOrd, Ord, Serialize)]
        enum Key {
            One,
        }
        fn check(value: &impl Serialize) {
            assert_eq!(written(value, false), serde_json::to_string(value).unwrap());
            assert_eq!(written(value, true), serde_json::to_string_pretty(value).unwrap());
        }
        check(&[
            Variant::Unit,
            Variant::Newtype(Some(true)),
            Variant::Newtype(None),
            Variant::Tuple(255, -128),
            Variant::Struct { field: (), other: '"' },
            Variant::Empty {},
        ]);
        check(&(Unit, Newtype(Newtype("\u{8}\u{c}\n\r\t\u{1}\u{1f}\\")), Tuple(0.1, 0.1, f64::NAN), [(); 0]));
        check(&(Tuple(1.0, -2.5e10, 1e300), Tuple(f64::INFINITY, f32::NEG_INFINITY, -0.0)));
        check(&(u64::MAX, i64::MIN, u16::MAX, i16::MIN, u32::MAX, i32::MIN, 0, 9, 10, 99, 100));
        check(&BTreeMap::from([(Newtype(-1), "")].map(|(Newtype(key), value)| (key, value))));
        check(&BTreeMap::from([(Key::One, BTreeMap::from([(true, BTreeMap::from([('x', 1_u8)]))]))]));
        check(&BTreeMap::from([(u64::MAX, BTreeMap::<u8, u8>::new())]));
        assert!(write_json(&BTreeMap::from([([1], 1)]), false, Vec::new()).is_err());
        assert!(write_json(&BTreeMap::from([(None::<u8>, 1)]), false, Vec::new()).is_err());
    }

    #[test]
    fn a_long_text_reaches_the_writer_in_steps() {
        /// Fails after so many bytes.
        struct Full(usize, Vec<u8>);
        impl Write for Full {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0 = self.0.checked_sub(bytes.len()).ok_or(io::ErrorKind::StorageFull)?;
                self.1.extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let value: Vec<_> = (0..10_000).map(|number| format!("text {number}")).collect();
        let mut enough = Full(usize::MAX, Vec::new());
        write_json(&value, false, &mut enough).unwrap();
        assert_eq!(String::from_utf8(enough.1).unwrap(), serde_json::to_string(&value).unwrap());
        let mut little = Full(3 * STEP, Vec::new());
        assert_eq!(write_json(&value, false, &mut little).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(little.1.len() >= STEP && serde_json::to_vec(&value).unwrap().starts_with(&little.1));
    }

    #[test]
    fn members_are_an_object_without_its_braces() {
        for value in [serde_json::json!({}), serde_json::json!({"a": {"b": {}}, "c": [{"d": "\u{9b}"}]})] {
            let (mut members, mut added) = (Vec::new(), b"{".to_vec());
            write_members(&value, &mut members).unwrap();
            add_members(&value, &mut added).unwrap();
            assert_eq!(format!("{{{}}}", String::from_utf8(members).unwrap()), written(&value, false));
            assert_eq!(String::from_utf8(added).unwrap() + "}", written(&value, false));
        }
    }

    /// Any value without what is escaped here alone.
    fn any_value() -> impl Strategy<Value = serde_json::Value> {
        let text = "[ -~\u{e4}\u{1f600}\t\n\u{1}\"\\\\]{0,20}";
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<u64>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            text.prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 64, 8, move |inner| {
            let map = proptest::collection::btree_map(text, inner.clone(), 0..8);
            prop_oneof![
                proptest::collection::vec(inner, 0..8).prop_map(Into::into),
                map.prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_value_is_as_serde_json_writes_it(value in any_value()) {
            prop_assert_eq!(written(&value, false), serde_json::to_string(&value).unwrap());
            prop_assert_eq!(written(&value, true), serde_json::to_string_pretty(&value).unwrap());
        }

        #[test]
        fn bytes_that_need_nothing_are_counted(text: Vec<u8>, plain_ones in "[a-z ~!]{0,40}") {
            let needs = |byte: &u8| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\');
            prop_assert_eq!(plain(&text), text.iter().position(needs).unwrap_or(text.len()));
            let text = [plain_ones.as_bytes(), &text].concat();
            prop_assert_eq!(plain(&text), text.iter().position(needs).unwrap_or(text.len()));
        }

        #[test]
        fn any_text_comes_back_and_is_safe(text: String, pretty: bool) {
            let json = written(&[&text], pretty);
            prop_assert!(json.chars().all(|character| character == '\n' || is_safe_to_print(character)));
            prop_assert_eq!(serde_json::from_str::<[String; 1]>(&json).unwrap(), [text]);
        }
    }
}
