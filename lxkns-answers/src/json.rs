//! The form that all answers have as JSON; docs/views.md in the project's repository describes it.

use std::io::{self, Write};

use lxkns_model::wire;
use serde::Serialize;

/// The version of the vocabulary. It grows when programs would misunderstand what is new, not with every new key.
pub const FORMAT: u32 = 1;

/// One answer: what was asked, what came of it, and what could not be seen.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub struct Envelope<T> {
    /// The version of the vocabulary: [`FORMAT`].
    pub format: u32,
    /// The question: the name of the command that asks it.
    pub question: &'static str,
    /// What was found, one for each thing that was asked for.
    pub results: Vec<T>,
    /// What could not be seen, in a sentence for each reason.
    pub gaps: Vec<String>,
}

impl<T> Envelope<T> {
    /// The answer to a question.
    pub fn new(question: &'static str, results: Vec<T>, gaps: Vec<String>) -> Self {
        Self { format: FORMAT, question, results, gaps }
    }
}

/// Writes an answer for people and programs, with a newline at the end. Controls, invisible and bidirectional characters
/// are escaped, so a terminal can show it.
///
/// # Errors
///
/// Where the writer fails.
pub fn write(value: &impl Serialize, mut out: impl Write) -> io::Result<()> {
    wire::write_json(value, true, &mut out)?;
    out.write_all(b"\n")
}

/// Writes a value as one line of JSON Lines, safe for a terminal.
///
/// # Errors
///
/// Where the writer fails.
pub fn write_line(value: &impl Serialize, mut out: impl Write) -> io::Result<()> {
    wire::write_json(value, false, &mut out)?;
    out.write_all(b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_names_the_question() {
        let mut out = Vec::new();
        write_line(&Envelope::new("why", vec!["a\u{9b}b"], vec!["not all".to_owned()]), &mut out).unwrap();
        let expected = "{\"format\":1,\"question\":\"why\",\"results\":[\"a\\u009bb\"],\"gaps\":[\"not all\"]}\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
