//! Errors in one line, with the kernel's words and names.

use std::error::Error;
use std::{fmt, io};

use lxkns_model::Errno;

/// What the standard library writes before an error number.
const BEFORE: &str = " (os error ";

/// An error with what is behind it, the outermost first: `open /no/such: No such file or directory (ENOENT)`.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    let mut at = Some(error);
    while let Some(error) = at {
        let text = match error.downcast_ref::<Errno>() {
            Some(errno) => named(&io::Error::from_raw_os_error(errno.number())),
            None => named(error),
        };
        // Some errors of other crates have their cause in their text already.
        if !said.ends_with(&text) {
            said = if said.is_empty() { text } else { format!("{said}: {text}") };
        }
        at = error.source();
    }
    said
}

/// An error with the names of error numbers in place of the numbers: `No such file or directory (ENOENT)`. Errors come as
/// text from several crates, all with what the standard library writes of a number.
pub fn named(error: &(impl fmt::Display + ?Sized)) -> String {
    let text = error.to_string();
    let mut rest = text.as_str();
    let mut named = String::with_capacity(text.len());
    while let Some((before, after)) = rest.split_once(BEFORE) {
        named.push_str(before);
        let number = after.split_once(')').and_then(|(number, rest)| Some((number.parse().ok()?, rest)));
        match number.and_then(|(number, rest)| Some((Errno::new(number)?, rest))) {
            Some((errno, after)) => {
                named.push_str(&format!(" ({errno})"));
                rest = after;
            }
            None => {
                named.push_str(BEFORE);
                rest = after;
            }
        }
    }
    named.push_str(rest);
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer<E>(&'static str, E);

    impl<E> fmt::Display for Outer<E> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.0)
        }
    }

    impl<E: Error + 'static> Error for Outer<E> {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.1)
        }
    }

    #[test]
    fn each_cause_is_told_once() {
        let errno = Errno::new(2).unwrap();
        let system = "No such file or directory (ENOENT)";
        assert_eq!(chain(&Outer("open /x", errno)), format!("open /x: {system}"));
        assert_eq!(chain(&Outer("read", Outer("open /x", errno))), format!("read: open /x: {system}"));
        assert_eq!(chain(&Outer("open /x: gone", io::Error::other("gone"))), "open /x: gone");
    }

    #[test]
    fn each_number_becomes_a_name() {
        let of = |number| named(&io::Error::from_raw_os_error(number));
        assert_eq!(of(2), "No such file or directory (ENOENT)");
        assert_eq!(of(13), "Permission denied (EACCES)");
        let two = format!("a: {}: b: {}", io::Error::from_raw_os_error(2), io::Error::from_raw_os_error(1));
        assert_eq!(named(&two), "a: No such file or directory (ENOENT): b: Operation not permitted (EPERM)");
        assert!(of(4000).ends_with(" (error 4000)"), "{}", of(4000));
    }

    #[test]
    fn other_text_stays_as_it_is() {
        for text in ["", "x (os error ", "x (os error y)", "x (os error 99999) z", "no answer in time"] {
            assert_eq!(named(text), text);
        }
    }
}
