//! Texts that many things have in common, kept once.

use bstr::BStr;
use rustc_hash::FxHashSet;

use crate::SharedText;

/// The texts so far: equal ones share their memory.
#[derive(Debug, Default)]
pub struct Texts(FxHashSet<SharedText>);

impl Texts {
    /// The text that has these bytes.
    pub fn shared(&mut self, bytes: &[u8]) -> SharedText {
        let text = BStr::new(bytes);
        match self.0.get(text) {
            Some(known) => known.clone(),
            None => {
                let new = SharedText::from(Box::<BStr>::from(bytes.to_vec().into_boxed_slice()));
                self.0.insert(new.clone());
                new
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn equal_texts_are_one() {
        let mut texts = Texts::default();
        let [first, other, again] = [b"rw", b"ro", b"rw"].map(|bytes| texts.shared(bytes));
        assert!(Arc::ptr_eq(&first, &again));
        assert_eq!((&**first, &**other), (&b"rw"[..], &b"ro"[..]));
    }
}
