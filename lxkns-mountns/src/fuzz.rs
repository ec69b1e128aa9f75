//! Properties of the protocol's frames that hold for any input, for fuzz targets and tests.

use crate::protocol::{FrameError, MAX_REPLY, MAX_REQUEST, PREFIX, Reply, Request, VERSION, frame_length};

/// Decodes arbitrary bytes as a request, as the helper does.
pub fn request(bytes: &[u8]) {
    check(bytes, MAX_REQUEST, |body| {
        let request = Request::decode(body)?;
        let mut again = [0; PREFIX + MAX_REQUEST];
        let length = request.encode(&mut again).expect("what was decoded has room");
        assert_eq!(Request::decode(&again[PREFIX..length]), Ok(request));
        Ok(length)
    });
}

/// Decodes arbitrary bytes as a reply, as the parent does.
pub fn reply(bytes: &[u8]) {
    check(bytes, MAX_REPLY, |body| {
        let reply = Reply::decode(body)?;
        let mut again = [0; PREFIX + MAX_REPLY];
        let length = reply.encode(&mut again).expect("what was decoded has room");
        assert_eq!(Reply::decode(&again[PREFIX..length]), Ok(reply));
        Ok(length)
    });
}

/// Decodes a frame. A valid frame has one encoding, except for longer forms of the same numbers, and no prefix of it is
/// valid.
fn check(bytes: &[u8], longest: usize, decode: impl Fn(&[u8]) -> Result<usize, FrameError>) {
    let Some((prefix, body)) = bytes.split_first_chunk::<PREFIX>() else { return };
    match frame_length(*prefix, longest) {
        Ok(length) => assert!(length > 0 && length <= longest),
        Err(error) => assert!([FrameError::TooLong, FrameError::Malformed].contains(&error)),
    }
    match decode(body) {
        Ok(shortest) => {
            assert!(shortest <= bytes.len());
            for end in 0..body.len() {
                assert!(decode(&body[..end]).is_err(), "cut off at {end}");
            }
        }
        Err(FrameError::Version(theirs)) => assert_ne!(theirs, VERSION),
        Err(error) => assert_eq!(error, FrameError::Malformed),
    }
}

/// Goes along a path over the mounts of a mountinfo, with a zero between them: from the root on, and no mount twice.
pub fn crossed(bytes: &[u8]) {
    let at = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (path, mountinfo) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let crossed = crate::crossed::mounts(mountinfo, path);
    assert!(crossed.len() <= mountinfo.split(|&byte| byte == b'\n').count() + 1);
    for offset in 0..=path.len() {
        let asked = crate::crossed::asked(&crossed, offset);
        assert!(asked.is_none_or(|device| crossed.iter().any(|mount| mount.device == device)));
    }
    let at_end = crate::crossed::asked_at_end(&crossed, path);
    assert!(at_end.is_none() || at_end == crossed.last().map(|mount| mount.device));
}
