//! `containers.json` of containers/storage, which podman and CRI-O keep their containers' layers with.

use std::time::SystemTime;

use bstr::{BString, ByteSlice as _};
use serde::Deserialize;

use super::{MOST, Malformed, time, unless_empty};

/// What is needed of one container there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: BString,
    pub(crate) name: Option<BString>,
    /// The image as it was called; the storage itself has only its ID.
    pub(crate) image: Option<BString>,
    pub(crate) created: Option<SystemTime>,
}

#[derive(Deserialize)]
struct Form {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    /// JSON in a string.
    #[serde(default)]
    metadata: String,
    #[serde(default)]
    created: String,
}

#[derive(Default, Deserialize)]
struct Metadata {
    #[serde(default, rename = "image-name")]
    image_name: String,
}

/// Reads one.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Stored>, Malformed> {
    let forms: Vec<Form> = serde_json::from_slice(text)?;
    let stored = forms.into_iter().take(MOST).filter_map(|form| {
        let metadata: Metadata = serde_json::from_str(&form.metadata).unwrap_or_default();
        Some(Stored {
            id: unless_empty(form.id)?,
            name: form.names.unwrap_or_default().into_iter().next().and_then(unless_empty),
            image: unless_empty(metadata.image_name),
            created: time::parse(&form.created),
        })
    });
    Ok(stored.collect())
}

/// The pod of a container, as its ID and its name, from the database that podman keeps: BoltDB or SQLite, which both have
/// configurations in one piece, as JSON, with the ID, the name and the pod of a container next to each other. What is left of
/// older versions of the same pages says the same: none of these ever changes.
pub(crate) fn pod_of(database: &[u8], container_id: &[u8]) -> Option<(BString, BString)> {
    let own = [b"\"id\":\"", container_id, b"\",\"name\":"].concat();
    let id = database.find_iter(&own).find_map(|at| {
        let (_, rest) = string(&database[at + own.len()..])?;
        let (id, _) = string(rest.strip_prefix(b",\"pod\":")?)?;
        unless_empty(id)
    })?;
    let name = pod_name(database, &id)?;
    Some((id, name))
}

/// The name of a pod.
pub(crate) fn pod_name(database: &[u8], pod_id: &[u8]) -> Option<BString> {
    let beginning = [b"{\"id\":\"", pod_id, b"\",\"name\":"].concat();
    let mut found = database.find_iter(&beginning);
    found.find_map(|at| unless_empty(string(&database[at + beginning.len()..])?.0))
}

/// The JSON string at the beginning of a text, and what comes after it.
fn string(text: &[u8]) -> Option<(String, &[u8])> {
    let start = &text[..text.len().min(LONGEST_NAME)];
    let mut values = serde_json::Deserializer::from_slice(start).into_iter::<String>();
    let value = values.next()?.ok()?;
    Some((value, &text[values.byte_offset()..]))
}

/// Names are shorter than this, with their quotation marks.
const LONGEST_NAME: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_have_names_in_the_database() {
        let database = br#"....{"id":"ab","name":"p1","labels":{},"hostname":"x"}...{"id":"cd","name":"p2"}
            {"spec":{},"id":"77","name":"web","pod":"cd","x":1}{"spec":{},"id":"78","name":"alone","lockID":1}"#;
        assert_eq!(pod_of(database, b"77"), Some(("cd".into(), "p2".into())));
        assert_eq!((pod_of(database, b"78"), pod_of(database, b"79")), (None, None));
        assert_eq!(pod_name(database, b"ab").unwrap(), "p1");
        assert_eq!(pod_name(database, b"cd").unwrap(), "p2");
        assert_eq!(pod_name(database, b"ef"), None);
        assert_eq!(pod_name(br#"{"id":"ab","name":"p"#, b"ab"), None);
    }

    #[test]
    fn a_list_is_read() {
        let stored = parse(
            br#"[{"id":"5e1f","names":["web","other"],"image":"2d61","layer":"77aa",
            "metadata":"{\"image-name\":\"localhost/bb:1\",\"image-id\":\"2d61\",\"name\":\"web\",\"created-at\":1}",
            "created":"2026-11-29T01:08:06.953789011Z","flags":{"ProcessLabel":""}},
            {"id":"","names":[]},{"id":"77","names":null,"metadata":"no JSON"}]"#,
        );
        let stored = stored.unwrap();
        assert_eq!(stored.len(), 2, "one has no ID");
        assert_eq!(
            (stored[0].name.as_ref().unwrap(), stored[0].image.as_ref().unwrap()),
            (&"web".into(), &"localhost/bb:1".into())
        );
        assert!(stored[0].created.is_some());
        assert_eq!(stored[1], Stored { id: "77".into(), ..Stored::default() });
    }

    #[test]
    fn nonsense() {
        assert_eq!(parse(b"[]"), Ok(Vec::new()));
        for text in [&b""[..], b"{}", b"[1]", b"[{}]", b"[{\"id\":\"a\"}"] {
            assert_eq!(parse(text), Err(Malformed), "{}", text.escape_ascii());
        }
    }
}
