//! What the head of a request says of the answer that the client wants: how old it may be, and which one it has.

use hyper::HeaderMap;
use hyper::header::{CACHE_CONTROL, HeaderName, IF_NONE_MATCH};

use super::encoding::Encoding;
use crate::protocol::Head;

/// All values of a header as one.
pub(super) fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    let values: Vec<&str> = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok()).collect();
    values.join(",")
}

/// The oldest answer that the client takes, in milliseconds, by the strictest of what it says; `None` leaves it to the reader.
pub(super) fn max_age(headers: &HeaderMap) -> Option<u32> {
    let control = text(headers, &CACHE_CONTROL);
    let ages = control.split(',').filter_map(|directive| {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim().trim_matches('"'));
        match name.as_str() {
            "no-cache" | "no-store" => Some(0),
            "max-age" if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) => {
                // More than fits is as good as without end.
                Some(value.parse::<u32>().map_or(u32::MAX, |seconds| seconds.saturating_mul(1000)))
            }
            _ => None,
        }
    });
    ages.min()
}

/// What names this body, as it is sent.
pub(super) fn tag(head: &Head, encoding: Encoding) -> String {
    match encoding.name() {
        None => format!("\"{:032x}\"", head.tag),
        Some(name) => format!("\"{:032x}-{name}\"", head.tag),
    }
}

/// Whether the client has this body.
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = text(headers, &IF_NONE_MATCH);
    known.split(',').map(str::trim).any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == tag)
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn the_strictest_age_counts() {
        for (control, age) in [
            (&[][..], None),
            (&["max-age=5"], Some(5000)),
            (&["Max-Age=\"5\""], Some(5000)),
            (&["no-cache"], Some(0)),
            (&["max-age=86400, no-cache"], Some(0)),
            (&["no-cache, max-age=86400"], Some(0)),
            (&["max-age=86400", "max-age=1"], Some(1000)),
            (&["max-age=99999999999999999999"], Some(u32::MAX)),
            (&["max-age=-1"], None),
            (&["max-age=+1"], None),
            (&["max-age", "max-age=", "only-if-cached", "min-fresh=5", "s-maxage=1"], None),
        ] {
            let mut headers = HeaderMap::new();
            for value in control {
                headers.append(CACHE_CONTROL, HeaderValue::from_static(value));
            }
            assert_eq!(max_age(&headers), age, "{control:?}");
        }
    }
}
