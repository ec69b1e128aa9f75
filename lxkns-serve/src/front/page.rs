//! The web page: files that the program carries, built from `web` and compressed.

use std::io::Read as _;
use std::sync::LazyLock;

use flate2::read::GzDecoder;
use hyper::body::Bytes;

use super::encoding::Encoding;
use crate::web::INDEX;

/// What the browser may do on the page: load what the service serves, and ask it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The directory of files whose names have a hash of their content.
const ASSETS: &str = "assets/";

/// A file of the page.
#[derive(Debug)]
pub(super) struct File {
    name: &'static str,
    /// What names its content.
    tag: &'static str,
    compressed: &'static [u8],
}

/// A file of a page, as it is sent.
pub(super) struct Part {
    /// What the browser may do on the page.
    pub(super) policy: &'static str,
    /// How long it may be kept.
    pub(super) cache_control: &'static str,
    /// The headers of the request that make another one of it.
    pub(super) vary: &'static str,
    /// What names this body.
    pub(super) tag: String,
    /// What it is.
    pub(super) content_type: &'static str,
    pub(super) encoding: Encoding,
    /// One in memory for all who ask.
    pub(super) body: Bytes,
}

static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/page.rs"));

/// The content of each, which few clients take so.
static PLAIN: LazyLock<Vec<Bytes>> = LazyLock::new(|| FILES.iter().map(File::decompressed).collect());

impl File {
    /// It, as it is sent.
    pub(super) fn part(&'static self, encoding: Encoding) -> Part {
        Part {
            policy: POLICY,
            cache_control: self.cache_control(),
            vary: "accept-encoding",
            tag: format!("\"{}{}\"", self.tag, if encoding == Encoding::Gzip { "-gzip" } else { "" }),
            content_type: content_type(self.name),
            encoding,
            body: self.body(encoding),
        }
    }

    /// Its content, as it is sent: one in memory for all who ask.
    fn body(&'static self, encoding: Encoding) -> Bytes {
        match encoding {
            Encoding::Gzip => Bytes::from_static(self.compressed),
            Encoding::Identity | Encoding::Zstd => {
                let at = FILES.iter().position(|file| std::ptr::eq(file, self));
                at.and_then(|at| PLAIN.get(at)).cloned().unwrap_or_default()
            }
        }
    }

    fn decompressed(&self) -> Bytes {
        let mut body = Vec::new();
        // It was compressed when the program was built.
        let _ = GzDecoder::new(self.compressed).read_to_end(&mut body);
        body.into()
    }

    /// How long it may be kept.
    fn cache_control(&self) -> &'static str {
        if self.name.starts_with(ASSETS) { "public, max-age=31536000, immutable" } else { "no-cache" }
    }
}

/// What a file is, by its name.
pub(super) fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "webp" => "image/webp",
        "ico" => "image/x-icon",
        "woff" => "font/woff",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        _ => "text/plain; charset=utf-8",
    }
}

/// The file at a path.
pub(super) fn find(path: &str) -> Option<&'static File> {
    let name = path.strip_prefix('/')?;
    let name = if name.is_empty() { INDEX } else { name };
    FILES.iter().find(|file| file.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_page_refers_to_is_there() {
        let index = find("/").unwrap();
        let text = String::from_utf8(index.body(Encoding::Identity).into()).unwrap();
        let names: Vec<_> = text.split('"').filter_map(|part| part.strip_prefix("./assets/")).collect();
        assert!(names.len() >= 2, "{text}");
        for name in names {
            let file = find(&format!("/assets/{name}")).unwrap();
            assert!(file.cache_control().contains("immutable"));
            assert!(!file.body(Encoding::Identity).is_empty());
        }
        assert_eq!((content_type(index.name), index.cache_control()), ("text/html; charset=utf-8", "no-cache"));
        assert!(std::ptr::eq(index, find("/index.html").unwrap()));
    }

    #[test]
    fn all_clients_share_one_body() {
        for encoding in [Encoding::Identity, Encoding::Gzip] {
            let bodies = [(); 2].map(|()| find("/").unwrap().body(encoding));
            assert!(!bodies[0].is_empty() && bodies[0].as_ptr() == bodies[1].as_ptr(), "{encoding:?}");
        }
    }

    #[test]
    fn nothing_else_is_there() {
        for path in ["", "index.html", "//", "/assets", "/assets/", "/assets/../index.html", "/page.rs"] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
