//! What names a body, for clients that have it already.

use std::hash::{DefaultHasher, Hasher as _};

/// Two keyed hashes of the bytes: a number that changes with the body. It proves nothing to somebody who chooses bodies.
pub(crate) fn of(bytes: &[u8]) -> u128 {
    let mut tagger = Tagger::default();
    tagger.write(bytes);
    tagger.tag()
}

/// Makes the tag of a body that comes piece by piece.
pub(crate) struct Tagger([DefaultHasher; 2]);

impl Default for Tagger {
    fn default() -> Self {
        Self([0, 1].map(|key| {
            let mut hasher = DefaultHasher::new();
            hasher.write_u8(key);
            hasher
        }))
    }
}

impl Tagger {
    /// One more piece.
    pub(crate) fn write(&mut self, bytes: &[u8]) {
        self.0.iter_mut().for_each(|hasher| hasher.write(bytes));
    }

    /// The tag of all that came.
    pub(crate) fn tag(&self) -> u128 {
        let [one, other] = &self.0;
        u128::from(one.finish()) << 64 | u128::from(other.finish())
    }
}
