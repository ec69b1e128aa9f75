//! Sorting with little code: the standard library's takes about 4 KB for each type and order, of which the program has a
//! hundred.

use std::cmp::Ordering;

/// Stable sorting of slices, as `sort`, `sort_by` and `sort_by_key` of the standard library, with code that all types share.
/// Where many values are sorted for each answer, those are faster.
pub trait CompactSort<T> {
    /// Sorts by an order.
    fn compact_sort_by(&mut self, compare: impl FnMut(&T, &T) -> Ordering);

    /// Sorts by keys.
    fn compact_sort_by_key<K: Ord>(&mut self, mut key: impl FnMut(&T) -> K) {
        self.compact_sort_by(|a, b| key(a).cmp(&key(b)));
    }

    /// Sorts.
    fn compact_sort(&mut self)
    where
        T: Ord,
    {
        self.compact_sort_by(T::cmp);
    }
}

impl<T> CompactSort<T> for [T] {
    fn compact_sort_by(&mut self, mut compare: impl FnMut(&T, &T) -> Ordering) {
        let mut from = order(self.len(), &mut |a, b| compare(&self[a], &self[b]));
        // Along each circle, every place gets its value, and the value that was there goes on to the next.
        for start in 0..self.len() {
            let mut at = start;
            loop {
                let next = std::mem::replace(&mut from[at], at);
                if next == start {
                    break;
                }
                self.swap(at, next);
                at = next;
            }
        }
    }
}

/// The indexes of values in their order.
fn order(len: usize, compare: &mut dyn FnMut(usize, usize) -> Ordering) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    order.sort_by(|&a, &b| compare(a, b));
    order
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn sorts_as_the_standard_library(values in prop::collection::vec((0..20_u8, any::<u8>()), 0..200)) {
            let (mut ours, mut theirs) = (values.clone(), values);
            ours.compact_sort_by_key(|value| value.0);
            theirs.sort_by_key(|value| value.0);
            prop_assert_eq!(&ours, &theirs, "stable");
            ours.compact_sort();
            theirs.sort();
            prop_assert_eq!(ours, theirs);
        }
    }
}
