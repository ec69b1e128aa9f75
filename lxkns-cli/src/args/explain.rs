//! The options of `lxkns explain`.

use std::ffi::OsString;

use super::LookArgs;
use lxkns_answers::target::PID_MAX;

pub(super) const EXAMPLES: &str = "\
Examples:
  lxkns explain unshare --user        may the caller create a user namespace?
  lxkns explain unshare -Urn -p 1234  what keeps a process from `unshare -Urn`?
  lxkns explain clone --pid -p 1234   from starting a child in a PID namespace?
  lxkns explain setns 1234/net        may the caller enter that one?
  lxkns explain fork -p 1234          may a process start another one?
  lxkns explain unshare -n --json     for programs";

pub(super) const NOTES: &str = "\
ACTION is written as for unshare(1): unshare, clone or fork with its options,
or setns TARGET...; -p PID and --json can stand after it. The rules are the
kernel's, in its order: what is told first gives the error.
Exit code: 0 if it succeeds, 4 if it fails, 3 if that is not known";

#[derive(Debug, clap::Args)]
pub(crate) struct ExplainArgs {
    /// Process to ask about; by default the caller
    #[arg(short = 'p', long = "pid", value_name = "PID",
          value_parser = clap::value_parser!(u32).range(1..=PID_MAX as i64))]
    pub(crate) pid: Option<u32>,

    /// Write JSON
    #[arg(short = 'J', long)]
    pub(crate) json: bool,

    #[command(flatten)]
    pub(crate) look: LookArgs,

    /// What to do: unshare, clone or fork with options of unshare(1), or setns TARGET...
    #[arg(value_name = "ACTION", required = true, num_args = 1.., trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) action: Vec<OsString>,
}

impl ExplainArgs {
    /// The action without the options of this program that stand after it, and these: the PID, and whether to write JSON.
    pub(crate) fn split(&self) -> Result<(Vec<OsString>, Option<u32>, bool), String> {
        let (mut words, mut pid, mut json) = (Vec::new(), self.pid, self.json);
        let mut rest = self.action.iter().peekable();
        while let Some(word) = rest.next() {
            // To unshare(1), -p takes no value.
            let number =
                rest.peek().and_then(|next| next.to_str()).filter(|next| next.bytes().all(|b| b.is_ascii_digit()));
            match (word.to_str(), number) {
                (Some("-J" | "--json"), _) => json = true,
                (Some("-p" | "--pid"), Some(number)) if !words.is_empty() => {
                    let known = number.parse().ok().filter(|pid| (1..=PID_MAX as u32).contains(pid));
                    pid = Some(known.ok_or_else(|| format!("{number}: not a PID: those are 1 to {PID_MAX}"))?);
                    rest.next();
                }
                _ => words.push(word.clone()),
            }
        }
        Ok((words, pid, json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::{Args, Command};
    use clap::Parser as _;

    fn split(arguments: &[&str]) -> (String, Option<u32>, bool) {
        match Args::try_parse_from([&["lxkns", "explain"], arguments].concat()).unwrap().command {
            Command::Explain(args) => {
                let (words, pid, json) = args.split().unwrap();
                (words.join(OsString::from(" ").as_os_str()).into_string().unwrap(), pid, json)
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_may_stand_before_and_after() {
        let of = |text: &str, pid, json| (text.to_owned(), pid, json);
        assert_eq!(split(&["-p", "7", "unshare", "-Urn"]), of("unshare -Urn", Some(7), false));
        assert_eq!(split(&["unshare", "-Urn", "-p", "7", "--json"]), of("unshare -Urn", Some(7), true));
        assert_eq!(split(&["unshare --user", "-p", "7"]), of("unshare --user", Some(7), false));
        assert_eq!(split(&["unshare", "-p", "-f"]), of("unshare -p -f", None, false), "a PID namespace");
        assert_eq!(split(&["clone", "--pid"]), of("clone --pid", None, false));
    }
}
