//! How much is read of whom: however much a user or a container keeps where engines have their files, it costs no more than
//! this, and takes nothing from what root has on the host.

use lxkns_model::Uid;
use rustc_hash::FxHashMap;

/// How much is read in all of root's on the host, and of all others together.
const MOST: Spent = Spent { bytes: 256 << 20, steps: 1 << 20 };

/// How much is read of each of the others.
const MOST_OF_ONE: Spent = Spent { bytes: 16 << 20, steps: 1 << 16 };

/// Who has written what is read: below which root directory, where that is not the host's, and which ordinary user.
pub(crate) type Who = (Option<usize>, Option<Uid>);

#[derive(Clone, Copy, Debug, Default)]
struct Spent {
    bytes: usize,
    steps: usize,
}

impl Spent {
    fn add(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.steps += 1;
    }

    fn is_within(self, most: Self) -> bool {
        self.bytes < most.bytes && self.steps < most.steps
    }
}

/// What was spent.
#[derive(Debug, Default)]
pub(crate) struct Budget {
    of_root: Spent,
    of_others: Spent,
    of: FxHashMap<Who, Spent>,
}

impl Budget {
    /// Whether this owner has any budget left.
    pub(crate) fn has_left(&self, who: Who) -> bool {
        match who {
            (None, None) => self.of_root.is_within(MOST),
            who => {
                let of_one = self.of.get(&who).copied().unwrap_or_default();
                self.of_others.is_within(MOST) && of_one.is_within(MOST_OF_ONE)
            }
        }
    }

    /// Takes one step, with as many bytes, off what is left.
    pub(crate) fn spend(&mut self, who: Who, bytes: usize) {
        match who {
            (None, None) => self.of_root.add(bytes),
            who => {
                self.of_others.add(bytes);
                self.of.entry(who).or_default().add(bytes);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_takes_what_is_another_s() {
        let (root, user, container) = ((None, None), (None, Some(Uid(7))), (Some(3), None));
        let mut budget = Budget::default();
        budget.spend(user, MOST_OF_ONE.bytes);
        assert_eq!([root, user, container].map(|who| budget.has_left(who)), [true, false, true]);
        (0..MOST_OF_ONE.steps).for_each(|_| budget.spend(container, 0));
        assert_eq!([root, user, container].map(|who| budget.has_left(who)), [true, false, false]);
        let mut uid = 1000;
        while budget.has_left((None, Some(Uid(uid)))) {
            budget.spend((None, Some(Uid(uid))), MOST_OF_ONE.bytes);
            uid += 1;
        }
        assert!(uid > 1000 && !budget.has_left((None, Some(Uid(uid + 1)))), "all others together");
        assert!(budget.has_left(root));
        budget.spend(root, MOST.bytes);
        assert!(!budget.has_left(root));
    }
}
