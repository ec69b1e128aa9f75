//! Round trips, both forms, and what nobody should have written.

mod containers;
mod fixture;
mod golden;
mod hostile;
mod reference;
mod round_trip;
#[cfg(feature = "schema")]
mod schema;
mod theirs;

use super::{WriteOptions, read, write};
use crate::Snapshot;

/// The JSON of a snapshot.
fn json_with(snapshot: &Snapshot, options: &WriteOptions) -> String {
    let mut json = Vec::new();
    write(snapshot, options, &mut json).unwrap();
    String::from_utf8(json).unwrap()
}

/// The JSON of a snapshot, with all there is.
fn json(snapshot: &Snapshot) -> String {
    json_with(snapshot, &WriteOptions::default())
}

/// The same as a value to look into.
fn value(snapshot: &Snapshot) -> serde_json::Value {
    serde_json::from_str(&json(snapshot)).unwrap()
}

/// A snapshot that was written and read.
fn there_and_back(snapshot: &Snapshot) -> Snapshot {
    read(json(snapshot).as_bytes()).unwrap()
}
