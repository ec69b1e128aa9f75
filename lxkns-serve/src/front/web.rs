//! A page in place of the program's own, which may be made for another agent: the Go program's is.
//!
//! Such a page has paths of its own that its script shows, so each path that is no file is the index. It finds its files and
//! the agent by `<base href>`, which is written anew for who comes through a proxy.

use std::collections::BTreeMap;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::HeaderMap;
use hyper::body::Bytes;

use super::encoding::Encoding;
use super::page::{Part, content_type};
use crate::tag;
use crate::web::{INDEX, Web};

/// What the browser may do on it: what its own service serves, with styles that scripts write, and pictures in them.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self' data:; \
                      base-uri 'self'; object-src 'none'; form-action 'none'; frame-ancestors 'none'";
/// Before the address in the index.
const BASE: &str = "<base href=\"";
/// Files that are shorter are not compressed.
const WORTH_COMPRESSING: usize = 1024;
/// The longest path that a proxy may say.
const LONGEST_PREFIX: usize = 1024;

/// A file of it.
struct File {
    bytes: Bytes,
    compressed: Option<Bytes>,
    tag: u128,
}

/// The page.
pub(super) struct Page {
    files: BTreeMap<String, File>,
    /// What comes before the address in the index, and after it; `None` where there is no place for one.
    index: Option<(String, String)>,
    base_path: String,
}

impl Page {
    /// The page of these files, below this path.
    pub(super) fn new(web: Web, base_path: &str) -> Self {
        let index = web.files.get(INDEX).and_then(|index| {
            let (before, rest) = std::str::from_utf8(index).ok()?.split_once(BASE)?;
            let (_, after) = rest.split_once('"')?;
            Some((format!("{before}{BASE}"), format!("\"{after}")))
        });
        let files = web.files.into_iter().map(|(name, bytes)| {
            let compressed = compressed(&name, &bytes);
            let tag = tag::of(&bytes);
            (name, File { bytes: bytes.into(), compressed, tag })
        });
        Self { files: files.collect(), index, base_path: base_path.to_owned() }
    }

    /// What is at a path below the base path, which begins with a slash.
    pub(super) fn find(&self, path: &str, headers: &HeaderMap, encoding: Encoding) -> Option<Part> {
        let name = path.strip_prefix('/')?;
        match self.files.get(name).filter(|_| name != INDEX) {
            Some(file) => {
                let gzip = file.compressed.as_ref().filter(|_| encoding == Encoding::Gzip);
                let (body, encoding) = match gzip {
                    Some(bytes) => (bytes.clone(), Encoding::Gzip),
                    None => (file.bytes.clone(), Encoding::Identity),
                };
                Some(part(name, body, encoding, file.tag))
            }
            // What asks for a file wants no page in its place.
            None if name != INDEX && name.rsplit('/').next().is_some_and(|last| last.contains('.')) => None,
            None => {
                let body = match &self.index {
                    Some((before, after)) => format!("{before}{}{after}", self.base(path, headers)).into(),
                    None => self.files.get(INDEX)?.bytes.clone(),
                };
                let tag = tag::of(&body);
                Some(part(INDEX, body, Encoding::Identity, tag))
            }
        }
    }

    /// Where the page is for the client: by what a proxy says, where it makes sense.
    fn base(&self, path: &str, headers: &HeaderMap) -> String {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let asked = format!("{}{path}", self.base_path);
        // A proxy that takes its own part away may leave a slash where the client has said none.
        let short = asked.strip_suffix('/').filter(|_| path == "/");
        let by_uri = || {
            let uri = text("x-forwarded-uri")?.split(['?', '#']).next()?;
            uri.strip_suffix(asked.as_str()).or_else(|| uri.strip_suffix(short?))
        };
        let prefix = text("x-forwarded-prefix").or_else(by_uri).filter(|prefix| is_path(prefix)).unwrap_or_default();
        format!("{}{}/", prefix.trim_end_matches('/'), self.base_path)
    }
}

/// Whether it is a path on the same host, of characters that mean nothing in HTML: two slashes would name another host.
fn is_path(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%/+,:@".contains(&byte);
    text.len() <= LONGEST_PREFIX && text.starts_with('/') && !text.contains("//") && text.bytes().all(is_plain)
}

fn part(name: &str, body: Bytes, encoding: Encoding, tag: u128) -> Part {
    Part {
        policy: POLICY,
        cache_control: "no-cache",
        vary: "accept-encoding, x-forwarded-prefix, x-forwarded-uri",
        tag: format!("\"{tag:032x}{}\"", if encoding == Encoding::Gzip { "-gzip" } else { "" }),
        content_type: content_type(name),
        encoding,
        body,
    }
}

/// A file in fewer bytes, where that is worth something.
fn compressed(name: &str, bytes: &[u8]) -> Option<Bytes> {
    let is_text = content_type(name).contains("charset") || name.ends_with(".svg");
    if bytes.len() < WORTH_COMPRESSING || !is_text {
        return None;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).ok()?;
    Some(encoder.finish().ok()?.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(index: &str) -> Page {
        let files = [(INDEX, index), ("static/main.js", "1"), ("a.svg", "<svg/>")];
        let files = files.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec()));
        Page::new(Web { files: files.into() }, "/base")
    }

    fn index(path: &str, headers: &[(&'static str, &str)]) -> String {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (hyper::header::HeaderName::from_static(name), value.parse().unwrap()))
            .collect();
        let page = page("<head><base href=\"/old/\"><title>");
        let part = page.find(path, &headers, Encoding::Gzip).unwrap();
        assert_eq!(part.content_type, "text/html; charset=utf-8");
        let text = String::from_utf8(part.body.into()).unwrap();
        let base = text.strip_prefix("<head><base href=\"").and_then(|rest| rest.strip_suffix("\"><title>"));
        base.unwrap_or_else(|| panic!("{text}")).to_owned()
    }

    #[test]
    fn the_base_is_where_the_client_has_come() {
        const PREFIX: &str = "x-forwarded-prefix";
        const URI: &str = "x-forwarded-uri";
        for (path, headers, expected) in [
            ("/", [].as_slice(), "/base/"),
            ("/user/deep", &[], "/base/"),
            ("/", &[(PREFIX, "/proxy")], "/proxy/base/"),
            ("/", &[(PREFIX, "/proxy/")], "/proxy/base/"),
            ("/user", &[(URI, "/proxy/base/user?x=1")], "/proxy/base/"),
            ("/", &[(URI, "/proxy/base/")], "/proxy/base/"),
            ("/", &[(URI, "/proxy/base")], "/proxy/base/"),
            ("/", &[(URI, "/elsewhere")], "/base/"),
            ("/user", &[(URI, "/elsewhere")], "/base/"),
            // Nothing of it leads to another host, or out of the attribute.
            ("/", &[(PREFIX, "//evil.example")], "/base/"),
            ("/", &[(PREFIX, "/a//evil.example")], "/base/"),
            ("/", &[(PREFIX, "https://evil.example")], "/base/"),
            ("/", &[(PREFIX, "/\\evil.example")], "/base/"),
            ("/", &[(PREFIX, "/\"><script>")], "/base/"),
            ("/user", &[(URI, "//evil.example/base/user")], "/base/"),
        ] {
            assert_eq!(index(path, headers), expected, "{path} {headers:?}");
        }
    }

    #[test]
    fn only_files_of_the_page_are_served() {
        let (page, headers) = (page("no base"), HeaderMap::new());
        let find = |path: &str| page.find(path, &headers, Encoding::Identity).map(|part| part.body);
        assert_eq!(find("/"), Some("no base".into()));
        assert_eq!(find("/index.html"), Some("no base".into()));
        assert_eq!(find("/static/main.js"), Some("1".into()));
        for path in ["", "static/main.js", "/static/../a.svg", "/none.js", "/../etc/pass.wd"] {
            assert_eq!(find(path), None, "{path}");
        }
    }
}
