//! x
use crate::harness::Test;
pub(super) fn tests() -> Vec<Test> { vec![] }
