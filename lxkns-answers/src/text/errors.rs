//! Errors in one line.

use std::error::Error;
use std::io;

use lxkns_model::Errno;

/// An error with what is behind it, the outermost first: `open /no/such: No such file or directory (os error 2)`. Errors of
/// the kernel have the text that the system has for them.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut said = String::new();
    let mut at = Some(error);
    while let Some(error) = at {
        let text = match error.downcast_ref::<Errno>() {
            Some(errno) => io::Error::from_raw_os_error(errno.number()).to_string(),
            None => error.to_string(),
        };
        // Some errors of other crates have their cause in their text already.
        if !said.ends_with(&text) {
            said = if said.is_empty() { text } else { format!("{said}: {text}") };
        }
        at = error.source();
    }
    said
}

#[cfg(test)]
mod tests {
    use std::fmt;

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
        let system = io::Error::from_raw_os_error(2).to_string();
        assert_eq!(chain(&Outer("open /x", errno)), format!("open /x: {system}"));
        assert_eq!(chain(&Outer("read", Outer("open /x", errno))), format!("read: open /x: {system}"));
        assert_eq!(chain(&Outer("open /x: gone", io::Error::other("gone"))), "open /x: gone");
    }
}
