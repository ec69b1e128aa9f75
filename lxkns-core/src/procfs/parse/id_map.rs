//! `/proc/PID/uid_map` and `/proc/PID/gid_map`: the ID maps of a process's user namespace; `user_namespaces(7)`.

use super::{ParseError, decimal, fields, lines};
use crate::model::IdMapping;

/// Reads the text of `/proc/PID/uid_map` or `/proc/PID/gid_map`. A map that was not written yet is empty.
///
/// # Errors
///
/// A line does not have two IDs and a count, or lacks its newline.
pub fn parse(text: &[u8]) -> Result<Vec<IdMapping>, ParseError> {
    let mut mappings = Vec::new();
    for line in lines("ID map", text) {
        let line = line?;
        mappings.push(mapping(line.text).ok_or(line.error("two IDs and a count"))?);
    }
    Ok(mappings)
}

/// Reads one line. IDs inside do not wrap around. An ID outside is 4294967295 if the reader's user namespace does not
/// map it, whatever the count.
fn mapping(line: &[u8]) -> Option<IdMapping> {
    let mut fields = fields(line);
    let mapping = IdMapping {
        inside: decimal(fields.next()?)?,
        outside: decimal(fields.next()?)?,
        count: decimal(fields.next()?)?,
    };
    (fields.next().is_none() && mapping.count > 0 && mapping.inside.checked_add(mapping.count).is_some())
        .then_some(mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps() {
        let mapping = |inside, outside, count| IdMapping { inside, outside, count };
        assert_eq!(parse(b"         0          0 4294967295\n"), Ok(vec![mapping(0, 0, u32::MAX)]));
        assert_eq!(
            parse(b"         0       1000          1\n         1     100000      65536\n"),
            Ok(vec![mapping(0, 1000, 1), mapping(1, 100_000, 65536)])
        );
        assert_eq!(parse(b"0 4294967295 65536\n"), Ok(vec![mapping(0, u32::MAX, 65536)]));
        assert_eq!(parse(b""), Ok(vec![]));
    }

    #[test]
    fn nonsense() {
        for text in ["\n", "0\n", "0 0\n", "0 0 0\n", "0 0 1 1\n", "0 0 4294967296\n", "4294967295 0 1\n", "-1 0 1\n"] {
            assert_eq!(parse(text.as_bytes()).unwrap_err().line, 1, "{text:?}");
        }
        assert_eq!(
            parse(b"0 0 1\n0 0 x\n").unwrap_err().to_string(),
            "malformed ID map, line 2: expected two IDs and a count"
        );
    }

    #[test]
    fn a_count_that_was_cut_off_is_not_a_smaller_one() {
        let text = b"         0          0 4294967295\n";
        for end in 1..text.len() {
            assert!(parse(&text[..end]).is_err(), "cut at {end}");
        }
    }
}
