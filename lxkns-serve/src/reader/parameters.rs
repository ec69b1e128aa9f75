//! Parameters of questions: text that is parsed as the options of the command of the same name.

use std::ffi::OsStr;

use lxkns_answers::target::{Asked, Target};
use lxkns_answers::text::escape::printable;
use lxkns_core::model::NamespaceType;

use super::problem::Problem;
use crate::protocol::Question;

impl Question {
    /// Refuses a parameter that the question does not take.
    ///
    /// # Errors
    ///
    /// There is one.
    pub(crate) fn takes(&self, names: &[&str]) -> Result<(), Problem> {
        match self.parameters.iter().find(|(name, _)| !names.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => {
                let name = printable(name.as_bytes());
                let known = if names.is_empty() { "it takes none".to_owned() } else { names.join(", ") };
                Err(Problem::parameter(format!("{name}: not a parameter of {}: {known}", self.kind.name())))
            }
        }
    }

    /// The TARGETs.
    ///
    /// # Errors
    ///
    /// One is none, or means the caller, whom the service does not know.
    pub(crate) fn targets(&self) -> Result<Vec<Asked>, Problem> {
        self.values("target").map(target).collect()
    }

    /// The one TARGET.
    ///
    /// # Errors
    ///
    /// There is none, or there are several.
    pub(crate) fn target(&self) -> Result<Asked, Problem> {
        match &self.targets()?[..] {
            [target] => Ok(target.clone()),
            [] => Err(Problem::parameter("target: required")),
            _ => Err(Problem::parameter("target: only one is allowed")),
        }
    }

    /// Types of namespaces, each once; none means all.
    ///
    /// # Errors
    ///
    /// One is none.
    pub(crate) fn types(&self) -> Result<Vec<NamespaceType>, Problem> {
        let mut types = Vec::new();
        for name in self.values("type").flat_map(|value| value.split(',')) {
            let ns_type = NamespaceType::from_name(name.as_bytes()).ok_or_else(|| {
                let name = printable(name.as_bytes());
                Problem::parameter(format!("type: {name}: expected mnt, cgroup, uts, ipc, user, pid, net or time"))
            })?;
            if !types.contains(&ns_type) {
                types.push(ns_type);
            }
        }
        Ok(types)
    }

    /// Numbers.
    ///
    /// # Errors
    ///
    /// One is none.
    pub(crate) fn numbers<T: std::str::FromStr>(&self, name: &str, what: &str) -> Result<Vec<T>, Problem> {
        let numbers = self.values(name).flat_map(|value| value.split(','));
        let parse = |text: &str| {
            let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
            let number = text.parse().ok().filter(|_| is_plain);
            number.ok_or_else(|| Problem::parameter(format!("{name}: {}: expected {what}", printable(text.as_bytes()))))
        };
        numbers.map(parse).collect()
    }

    /// The one number, where there is one.
    ///
    /// # Errors
    ///
    /// It is none, or there are several.
    pub(crate) fn number<T: Copy + std::str::FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, Problem> {
        match self.numbers(name, what)?[..] {
            [] => Ok(None),
            [number] => Ok(Some(number)),
            _ => Err(Problem::parameter(format!("{name}: only one is allowed"))),
        }
    }

    /// Whether something is wanted: `NAME`, `NAME=1`, `NAME=true`.
    ///
    /// # Errors
    ///
    /// It is something else.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.value(name) {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(_) => Err(Problem::parameter(format!("{name}: expected true or false"))),
        }
    }
}

fn target(text: &str) -> Result<Asked, Problem> {
    let named = |what: &str| Problem::parameter(format!("target: {}: {what}", printable(text.as_bytes())));
    let asked = Asked::parse(OsStr::new(text)).map_err(|error| named(&error.to_string()))?;
    if asked.is_caller() {
        return Err(named("the service does not know the caller"));
    }
    if matches!(&asked.target, Target::Path(path) if path.is_relative()) {
        return Err(named("expected an absolute path"));
    }
    Ok(asked)
}
