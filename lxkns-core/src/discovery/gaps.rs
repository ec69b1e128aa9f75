//! Notes gaps.

use super::found::Found;
use super::search::Search;
use crate::failure::{self, Failure};
use crate::model::{Call, Object, Operation, Place};
use crate::procfs::parse::ParseError;

impl Found {
    /// Notes malformed text.
    pub(super) fn malformed(&mut self, place: Place, object: Object, error: ParseError) {
        self.gaps.push(failure::malformed(place, object, error));
    }

    /// Notes a failed read, unless the object has vanished.
    pub(super) fn gap(
        &mut self,
        place: Place,
        object: Object,
        operation: impl Into<Operation>,
        why: impl Into<Failure>,
    ) {
        self.gaps.extend(failure::gap(place, object, operation.into(), why));
    }

    /// Notes a failed call. If the caller cannot make the call at all, notes that once, without an object, and does not
    /// try the place again.
    pub(super) fn failed(
        &mut self,
        search: &Search<'_>,
        place: Place,
        object: Object,
        call: Call,
        why: impl Into<Failure>,
    ) {
        let failure = why.into();
        match search.missing(call, failure) {
            Some(missing) => {
                search.do_without(place);
                self.gap(place, Object::Host, call, missing);
            }
            None => self.gap(place, object, call, failure),
        }
    }
}
