//! What could not be found, as it is noted.

use super::found::Found;
use super::search::Search;
use crate::failure::{self, Failure};
use crate::model::{Call, Object, Operation, Place};
use crate::procfs::parse::ParseError;

impl Found {
    /// Notes text that is not in the form that the kernel gives it.
    pub(super) fn malformed(&mut self, place: Place, object: Object, error: ParseError) {
        self.gaps.push(failure::malformed(place, object, error));
    }

    /// Notes what could not be read, unless it was just gone.
    pub(super) fn gap(
        &mut self,
        place: Place,
        object: Object,
        operation: impl Into<Operation>,
        why: impl Into<Failure>,
    ) {
        self.gaps.extend(failure::gap(place, object, operation.into(), why));
    }

    /// Notes that a call has failed. If the caller cannot make it at all, no object is to blame: it is noted once, and the
    /// place is not tried again.
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
