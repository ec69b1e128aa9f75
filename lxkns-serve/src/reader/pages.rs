//! Lists that are answered page by page, and with some of their fields only.
//!
//! A page is cut from a finished answer. The cursor names its state and how far the client is, so all pages of a list are
//! of one state; the answer is kept for a while, and the cursor ends with it.

use std::collections::BTreeSet;
use std::io;

use lxkns_answers::text::escape::printable;

use super::cache::Answer;
use super::json_text::Text;
use super::problem::Problem;
use crate::lists::{fields_of, list_of};
use crate::protocol::{Content, Kind, Question};

/// The longest page.
const LONGEST: u32 = 10_000;

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    /// How much of it at most.
    limit: Option<u32>,
    /// Only these fields; all where there are none.
    fields: BTreeSet<String>,
    /// The state, and how much of its list comes before.
    pub(crate) cursor: Option<(u64, u32)>,
}

impl Page {
    /// What a question asks for, and the question whose answer that is a part of; `None` where it is all.
    ///
    /// # Errors
    ///
    /// It makes no sense; the list of the cursor is of another start of the reader.
    pub(crate) fn of(question: &Question, epoch: u32) -> Result<Option<(Self, Question)>, Problem> {
        const NAMES: [&str; 3] = ["limit", "cursor", "fields"];
        let is_ours = |name: &str| NAMES.contains(&name);
        if list_of(question.kind).is_none() || !question.parameters.iter().any(|(name, _)| is_ours(name)) {
            return Ok(None);
        }
        let limit: Option<u32> = question.number("limit", "a number")?;
        if limit.is_some_and(|limit| !(1..=LONGEST).contains(&limit)) {
            return Err(Problem::parameter(format!("limit: expected a number from 1 to {LONGEST}")));
        }
        let fields = fields(question)?;
        let cursor = question.value("cursor").map(|cursor| parse(cursor, epoch)).transpose()?;
        if cursor.is_some() && limit.is_none() {
            return Err(Problem::parameter("limit: required with a cursor"));
        }
        let mut whole = question.clone();
        whole.parameters.retain(|(name, _)| !is_ours(name));
        // Any column can be wanted, not only those that are shown to people by default.
        if question.kind == Kind::List && !fields.is_empty() {
            question.flag("all")?;
            whole.parameters.retain(|(name, _)| name != "all");
            whole.parameters.push(("all".to_owned(), String::new()));
        }
        Ok(Some((Self { limit, fields, cursor }, whole)))
    }

    /// The part of an answer, and how much of the list comes before the next one; `None` where it is the last.
    ///
    /// # Errors
    ///
    /// The answer is none that has a list.
    pub(crate) fn cut(&self, kind: Kind, whole: &Answer) -> io::Result<(Answer, Option<u32>)> {
        let from = self.cursor.map_or(0, |(_, offset)| offset);
        let to = self.limit.map_or(u32::MAX, |limit| from.saturating_add(limit));
        let (mut text, mut body, mut is_first) = (Text::new(whole.body.reader()), b"{".to_vec(), true);
        let mut next = None;
        text.take(b'{')?;
        while text.goes_on(is_first, b'}')? {
            let key = text.key()?;
            body.extend_from_slice(if is_first { b"\n  " } else { b",\n  " });
            serde_json::to_writer(&mut body, &key)?;
            body.extend_from_slice(b": ");
            is_first = false;
            if Some(key.as_str()) != list_of(kind) {
                body.extend_from_slice(&text.value()?);
                continue;
            }
            text.take(b'[')?;
            let mut at = 0;
            body.push(b'[');
            while text.goes_on(at == 0, b']')? {
                let element = text.value()?;
                if (from..to).contains(&at) {
                    body.extend_from_slice(if at == from { b"\n    " } else { b",\n    " });
                    self.write(&element, &mut body)?;
                }
                next = (at >= to).then_some(to).or(next);
                at += 1;
            }
            body.extend_from_slice(if at > from { b"\n  ]" } else { b"]" });
        }
        body.extend_from_slice(b"\n}\n");
        Ok((Answer::new(200, Content::Json, body), next))
    }

    /// An element, with the fields that are wanted.
    fn write(&self, element: &[u8], body: &mut Vec<u8>) -> io::Result<()> {
        let mut text = Text::new(element);
        if self.fields.is_empty() || text.peek()? != b'{' {
            body.extend_from_slice(element);
            return Ok(());
        }
        text.take(b'{')?;
        body.push(b'{');
        let (mut is_first, mut is_empty) = (true, true);
        while text.goes_on(is_first, b'}')? {
            let (key, value) = (text.key()?, text.value()?);
            is_first = false;
            if self.fields.contains(&key) {
                body.extend_from_slice(if is_empty { b"\n      " } else { b",\n      " });
                serde_json::to_writer(&mut *body, &key)?;
                body.extend_from_slice(b": ");
                body.extend_from_slice(&value);
                is_empty = false;
            }
        }
        body.extend_from_slice(if is_empty { b"}" } else { b"\n    }" });
        Ok(())
    }
}

/// The fields that are wanted of each entry; none for all.
fn fields(question: &Question) -> Result<BTreeSet<String>, Problem> {
    let known = fields_of(question.kind);
    let parse = |name: &str| {
        known.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            let (name, known) = (printable(name.as_bytes()), known.join(", "));
            Problem::parameter(format!("fields: {name}: not a field of {}: {known}", question.kind.name()))
        })
    };
    question.values("fields").flat_map(|names| names.split(',')).map(parse).collect()
}

/// A cursor: the number of its state, and how much comes before.
fn parse(cursor: &str, epoch: u32) -> Result<(u64, u32), Problem> {
    let malformed = || Problem::parameter("cursor: expected one of a Link header");
    let (state, offset) = cursor.rsplit_once('.').ok_or_else(malformed)?;
    let offset = offset.parse().map_err(|_| malformed())?;
    Ok((state_number(state, epoch).map_err(|problem| problem.unwrap_or_else(malformed))?, offset))
}

/// The number of a state.
///
/// # Errors
///
/// It is of another start of the reader, or malformed (`None`).
pub(crate) fn state_number(state: &str, epoch: u32) -> Result<u64, Option<Problem>> {
    let (of, number) = state.split_once('.').ok_or(None)?;
    let is_plain = of.len() == 8 && number.bytes().all(|byte| byte.is_ascii_digit());
    let of = u32::from_str_radix(of, 16).ok().filter(|_| is_plain).ok_or(None)?;
    let number = number.parse().map_err(|_| None)?;
    if of == epoch { Ok(number) } else { Err(Some(Problem::gone())) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn question(parameters: &[(&str, &str)]) -> Question {
        let parameters = parameters.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Question { kind: Kind::Tree, parameters }
    }

    fn page(parameters: &[(&str, &str)]) -> (Page, Question) {
        Page::of(&question(parameters), 1).unwrap().unwrap()
    }

    #[test]
    fn the_pages_make_up_the_list() {
        let results: Vec<Value> = (0..5).map(|number| json!({"nsid": number, "owner": {"c": [1, 2]}})).collect();
        let whole = json!({"format": 1, "results": results, "gaps": ["x"]});
        let mut body = Vec::new();
        lxkns_answers::json::write(&whole, &mut body).unwrap();
        let whole_answer = Answer::new(200, Content::Json, body);
        let (mut all, mut cursor) = (Vec::new(), None);
        loop {
            let (mut one, rest) = page(&[("limit", "2"), ("x", "y")]);
            assert_eq!(rest, question(&[("x", "y")]));
            one.cursor = cursor;
            let (answer, next) = one.cut(Kind::Tree, &whole_answer).unwrap();
            let value: Value = serde_json::from_reader(answer.body.reader()).unwrap();
            assert_eq!((&value["format"], &value["gaps"]), (&json!(1), &json!(["x"])));
            all.extend(value["results"].as_array().unwrap().clone());
            let Some(next) = next else { break };
            cursor = Some((7, next));
        }
        assert_eq!(all, results);
        // What is all of it is the same, byte for byte.
        let (all, _) = page(&[("limit", "9")]);
        assert_eq!(all.cut(Kind::Tree, &whole_answer).unwrap().0.tag, whole_answer.tag);
        let (some, _) = page(&[("fields", "owner,unit")]);
        let (answer, next) = some.cut(Kind::Tree, &whole_answer).unwrap();
        let value: Value = serde_json::from_reader(answer.body.reader()).unwrap();
        assert_eq!((&value["results"][4], next), (&json!({"owner": {"c": [1, 2]}}), None));
    }

    #[test]
    fn fields_are_those_of_entries() {
        let problem = Page::of(&question(&[("fields", "nsid,nonsense")]), 1).unwrap_err();
        assert!(format!("{problem:?}").contains("fields: nonsense: not a field of tree: cgroup, "), "{problem:?}");
        assert!(Page::of(&question(&[("fields", "")]), 1).is_err());
        // Of namespaces, all columns can be had.
        let list = Question { kind: Kind::List, ..question(&[("fields", "ns,ons")]) };
        let (_, whole) = Page::of(&list, 1).unwrap().unwrap();
        assert_eq!(whole, Question { kind: Kind::List, ..question(&[("all", "")]) });
        // Whatever else is said of them.
        let list = |all| Question { kind: Kind::List, ..question(&[("all", all), ("fields", "ons")]) };
        assert_eq!(Page::of(&list("0"), 1).unwrap().unwrap().1, whole);
        assert!(Page::of(&list("maybe"), 1).is_err());
    }

    #[test]
    fn cursors_are_those_of_this_start() {
        assert_eq!(page(&[("limit", "2"), ("cursor", "00000001.12.4")]).0.cursor, Some((12, 4)));
        for (cursor, is_gone) in [("00000002.12.4", true), ("1.12.4", false), ("00000001.x.4", false), ("", false)] {
            let problem = Page::of(&question(&[("limit", "2"), ("cursor", cursor)]), 1).unwrap_err();
            assert_eq!(problem == Problem::gone(), is_gone, "{cursor}");
        }
        for bad in [&[("limit", "0")][..], &[("limit", "10001")], &[("limit", "1,2")], &[("cursor", "00000001.1.1")]] {
            assert!(Page::of(&question(bad), 1).is_err(), "{bad:?}");
        }
        assert_eq!(Page::of(&question(&[]), 1), Ok(None));
    }
}
