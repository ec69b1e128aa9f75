//! The JSON form of a [`Snapshot`], which the Go program lxkns and its web page can read too.
//!
//! docs/json.md in the project's repository describes it for those who use it, docs/schema.json for their programs.
//! A snapshot that was written and read again is equal to what it was; a dump that was read and written again is the
//! same, byte for byte.
//!
//! ```
//! # use std::time::SystemTime;
//! # use lxkns_model::{DiscoveryOptions, Host, Snapshot};
//! use lxkns_model::wire;
//!
//! # let snapshot = Snapshot::empty(DiscoveryOptions::namespaces(), Host::default(), SystemTime::now());
//! let mut json = Vec::new();
//! wire::write(&snapshot, &wire::WriteOptions::default(), &mut json)?;
//! assert_eq!(wire::read(json.as_slice())?, snapshot);
//! # Ok::<(), wire::Error>(())
//! ```

mod error;
mod form;
mod implied;
mod json;
mod read;
#[cfg(feature = "schema")]
mod schema;
#[cfg(test)]
mod tests;
mod text;
mod time;
mod write;

use std::io::{self, Read};

pub use error::{Error, ErrorKind};
pub use json::{is_safe_to_print, write_json};
#[cfg(feature = "schema")]
pub use schema::schema;
pub use time::format as time_text;

use crate::Snapshot;

/// The version of the form. It grows when older readers would misunderstand what is new, not with every new key.
pub const FORMAT: u32 = 1;

/// How to write a [`Snapshot`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WriteOptions {
    /// Whether to write command lines, which can hold secrets.
    pub command_lines: bool,
    /// Whether to leave out what differs between two dumps of an unchanged host: the time, the time taken,
    /// the run states of tasks, and gaps that may not be there the next time.
    pub stable: bool,
    /// Whether to break lines and indent for people to read.
    pub pretty: bool,
}

impl Default for WriteOptions {
    /// Everything, on one line.
    fn default() -> Self {
        Self { command_lines: true, stable: false, pretty: false }
    }
}

/// Writes a snapshot as JSON, with a newline at the end. Several threads make the text of many processes; the calling one
/// alone writes.
///
/// # Errors
///
/// Only of kind [`ErrorKind::Io`]: where the writer fails.
pub fn write(snapshot: &Snapshot, options: &WriteOptions, mut writer: impl io::Write) -> Result<(), Error> {
    // Compiled here, once, and not anew for the writer of each caller.
    write_to(snapshot, options, &mut writer)
}

/// Writes the processes of a snapshot, an object by PID, as [`write()`] writes them within a dump.
///
/// # Errors
///
/// Only of kind [`ErrorKind::Io`]: where the writer fails.
pub fn write_processes(snapshot: &Snapshot, options: &WriteOptions, mut writer: impl io::Write) -> Result<(), Error> {
    write::write_processes(snapshot, options, &mut writer).map_err(|error| Error::io("write processes", error))
}

/// Writes the PIDs of each process of a snapshot in all its PID namespaces: an array for each process, with the PID in its
/// own PID namespace first.
///
/// # Errors
///
/// Only of kind [`ErrorKind::Io`]: where the writer fails.
pub fn write_pid_map(snapshot: &Snapshot, mut writer: impl io::Write) -> Result<(), Error> {
    write::write_pid_map(snapshot, &mut writer).map_err(|error| Error::io("write PIDs", error))
}

fn write_to(snapshot: &Snapshot, options: &WriteOptions, writer: &mut dyn io::Write) -> Result<(), Error> {
    let mut writer = io::BufWriter::new(writer);
    let result = write::write(snapshot, options, &mut writer);
    let written = result.and_then(|()| io::Write::write_all(&mut writer, b"\n"));
    // Not by dropping it, which would try once more to write what could not be written, and hide why.
    let (flushed, _) = match written {
        Ok(()) => (io::Write::flush(&mut writer), writer.into_parts()),
        Err(error) => (Err(error), writer.into_parts()),
    };
    flushed.map_err(|error| Error::io("write dump", error))
}

/// Reads a dump: one of [`write()`], or one of the Go program lxkns, older versions included.
///
/// What a dump does not say is not known in the snapshot either. Keys that mean nothing here are ignored. A byte slice
/// is a reader too.
///
/// # Errors
///
/// Where reading fails, and where what was read is not a dump or has values that cannot be.
pub fn read(mut reader: impl Read) -> Result<Snapshot, Error> {
    const BEGINNING: u64 = 4096;
    let failed = |error| Error::io("read dump", error);
    let mut json = Vec::new();
    reader.by_ref().take(BEGINNING).read_to_end(&mut json).map_err(failed)?;
    // All else is no dump; and it can be a device that has no end.
    if read::is_object(&json) {
        reader.read_to_end(&mut json).map_err(failed)?;
    }
    read::snapshot(&json)
}
