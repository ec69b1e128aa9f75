//! What the fuzz targets call.

use crate::protocol::{HEADER, LONGEST_REPLY, LONGEST_REQUEST, Reply, Request, frame, length, message};

/// What the reader takes from the front.
pub fn request(bytes: &[u8]) {
    one::<Request>(bytes, LONGEST_REQUEST);
}

/// What the front takes from the reader.
pub fn reply(bytes: &[u8]) {
    one::<Reply>(bytes, LONGEST_REPLY);
}

/// What the supervisor reads of the web configuration file.
pub fn web_config(text: &str) {
    crate::access::fuzz_web_config(text);
}

/// A message that is understood says the same when it is said again.
fn one<T>(bytes: &[u8], longest: usize)
where
    T: serde::Serialize + serde::de::DeserializeOwned + crate::protocol::Bounded + PartialEq + std::fmt::Debug,
{
    let Some((header, rest)) = bytes.split_first_chunk::<HEADER>() else { return };
    let Ok(length) = length(*header, longest) else { return };
    let Some(bytes) = rest.get(..length) else { return };
    let Ok(first) = message::<T>(bytes) else { return };
    let again = frame(&first, longest).expect("it has come in a frame");
    assert_eq!(message::<T>(&again[HEADER..]), Ok(first));
}
