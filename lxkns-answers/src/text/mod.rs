//! Text that is safe to print, and that fits.

pub mod charset;
pub mod errors;
pub mod escape;
pub mod shorten;

mod namespaces;

pub use errors::chain;
pub use namespaces::namespace_names;

/// How many lines of a list are shown if the limit is `limit`. A single line beyond it is shown too: the line that says
/// "and 1 more" would take the same room.
pub fn shown(count: usize, limit: usize) -> usize {
    if count.checked_sub(1) == Some(limit) { count } else { count.min(limit) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_is_shown() {
        let counts = [(0, 0), (0, 2), (2, 2), (3, 2), (4, 2), (4, usize::MAX)];
        assert_eq!(counts.map(|(count, limit)| shown(count, limit)), [0, 0, 2, 3, 2, 4]);
    }
}
