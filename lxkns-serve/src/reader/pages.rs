//! Lists that are answered page by page, and with some of their fields only.
//!
//! A page is cut from a finished answer. The cursor names its state and how far the client is, so all pages of a list are
//! of one state; the answer is kept for a while, and the cursor ends with it.

use std::collections::BTreeSet;
use std::io::{self, BufRead};
use std::ops::Range;

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
        let mut cut = Cut { at: 0, wanted: from..to };
        let (mut text, mut body, mut is_first) = (Text::new(whole.body.reader()), b"{".to_vec(), true);
        let list = list_of(kind).ok_or(io::ErrorKind::InvalidInput)?;
        text.take(b'{')?;
        while text.goes_on(is_first, b'}')? {
            let key = member(&mut text, is_first, 2, &mut body)?;
            is_first = false;
            if key == list.member {
                self.write_list(&mut text, list.inner, &mut cut, 2, &mut body)?;
            } else {
                body.extend_from_slice(&text.value()?);
            }
        }
        body.extend_from_slice(b"\n}\n");
        Ok((Answer::new(200, Content::Json, body), (cut.at > to).then_some(to)))
    }

    /// A list, with the elements that are wanted; or, where the list goes on inside of its elements, all of them.
    fn write_list<R: BufRead>(
        &self,
        text: &mut Text<R>,
        inner: Option<&str>,
        cut: &mut Cut,
        indent: usize,
        body: &mut Vec<u8>,
    ) -> io::Result<()> {
        text.take(b'[')?;
        body.push(b'[');
        let (mut is_first, mut is_empty) = (true, true);
        while text.goes_on(is_first, b']')? {
            is_first = false;
            match inner {
                Some(name) => {
                    separate(is_empty, indent + 2, body);
                    self.write_around(text, name, cut, indent + 2, body)?;
                }
                None => {
                    let element = text.value()?;
                    if !cut.takes() {
                        continue;
                    }
                    separate(is_empty, indent + 2, body);
                    self.write(&element, indent + 2, body)?;
                }
            }
            is_empty = false;
        }
        end(is_empty, indent, b']', body);
        Ok(())
    }

    /// An element with a member that is a part of the list.
    fn write_around<R: BufRead>(
        &self,
        text: &mut Text<R>,
        name: &str,
        cut: &mut Cut,
        indent: usize,
        body: &mut Vec<u8>,
    ) -> io::Result<()> {
        text.take(b'{')?;
        body.push(b'{');
        let mut is_first = true;
        while text.goes_on(is_first, b'}')? {
            let key = member(text, is_first, indent + 2, body)?;
            is_first = false;
            if key == name && text.peek()? == b'[' {
                self.write_list(text, None, cut, indent + 2, body)?;
            } else {
                body.extend_from_slice(&text.value()?);
            }
        }
        end(is_first, indent, b'}', body);
        Ok(())
    }

    /// An element, with the fields that are wanted.
    fn write(&self, element: &[u8], indent: usize, body: &mut Vec<u8>) -> io::Result<()> {
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
                separate(is_empty, indent + 2, body);
                serde_json::to_writer(&mut *body, &key)?;
                body.extend_from_slice(b": ");
                body.extend_from_slice(&value);
                is_empty = false;
            }
        }
        end(is_empty, indent, b'}', body);
        Ok(())
    }
}

/// How much of a list was seen, and which part of it is wanted.
struct Cut {
    at: u32,
    wanted: Range<u32>,
}

impl Cut {
    /// Whether the next element is wanted.
    fn takes(&mut self) -> bool {
        let is_wanted = self.wanted.contains(&self.at);
        self.at = self.at.saturating_add(1);
        is_wanted
    }
}

/// Takes the name of a member, and writes it.
fn member<R: BufRead>(text: &mut Text<R>, is_first: bool, indent: usize, body: &mut Vec<u8>) -> io::Result<String> {
    let key = text.key()?;
    separate(is_first, indent, body);
    serde_json::to_writer(&mut *body, &key)?;
    body.extend_from_slice(b": ");
    Ok(key)
}

/// What is between two elements or members, on lines of their own.
fn separate(is_first: bool, indent: usize, body: &mut Vec<u8>) {
    body.extend_from_slice(if is_first { b"\n" } else { b",\n" });
    body.resize(body.len() + indent, b' ');
}

/// What is at the end of a list or an object.
fn end(is_empty: bool, indent: usize, bracket: u8, body: &mut Vec<u8>) {
    if !is_empty {
        body.push(b'\n');
        body.resize(body.len() + indent, b' ');
    }
    body.push(bracket);
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
    fn a_list_goes_on_from_one_result_to_the_next() {
        let mount = |id: u32| json!({"mountid": id, "path": format!("/{id}")});
        let results = json!([
            {"nsid": 1, "mounts": [mount(1), mount(2), mount(3)], "peer-groups": {}},
            {"nsid": 2, "mounts": [], "peer-groups": {"1": [{"mounts": [7]}]}},
            {"nsid": 3, "mounts": [mount(4)]},
            {},
        ]);
        let whole = json!({"format": 1, "results": results, "gaps": []});
        let mut body = Vec::new();
        lxkns_answers::json::write(&whole, &mut body).unwrap();
        let whole_answer = Answer::new(200, Content::Json, body);
        let cut = |limit: &str, cursor| {
            let (mut page, _) = page(&[("limit", limit)]);
            page.cursor = cursor;
            let (answer, next) = page.cut(Kind::Mounts, &whole_answer).unwrap();
            (answer.tag, serde_json::from_reader::<_, Value>(answer.body.reader()).unwrap(), next)
        };
        let of = |answer: &Value| {
            answer["results"].as_array().unwrap().iter().map(|of| of["mounts"].clone()).collect::<Vec<_>>()
        };
        let (_, first, next) = cut("2", None);
        assert_eq!((of(&first), next), (vec![json!([mount(1), mount(2)]), json!([]), json!([]), Value::Null], Some(2)));
        assert_eq!(first["results"][1]["peer-groups"], results[1]["peer-groups"]);
        let (_, last, next) = cut("2", Some((7, 2)));
        assert_eq!((of(&last), next), (vec![json!([mount(3)]), json!([]), json!([mount(4)]), Value::Null], None));
        assert_eq!((cut("4", None).0, cut("4", None).2), (whole_answer.tag, None));
        assert_eq!(cut("3", None).2, Some(3));
        let list = Question { kind: Kind::Mounts, ..question(&[("fields", "path")]) };
        let (some, _) = Page::of(&list, 1).unwrap().unwrap();
        let (answer, _) = some.cut(Kind::Mounts, &whole_answer).unwrap();
        let value: Value = serde_json::from_reader(answer.body.reader()).unwrap();
        assert_eq!((of(&value)[2].clone(), &value["results"][2]["nsid"]), (json!([{"path": "/4"}]), &json!(3)));
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
