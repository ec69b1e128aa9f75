//! Compression, piece by piece.

use std::io::{self, Write as _};

use flate2::Compression;
use flate2::write::GzEncoder;

/// How a body is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As it is.
    Identity,
    /// Compressed.
    Gzip,
    /// Compressed in less time.
    Zstd,
}

/// How hard bodies are compressed by zstd, and how far back it looks: a compressor takes 1 MiB so.
const ZSTD_LEVEL: i32 = 1;
const ZSTD_WINDOW: u32 = 18;

impl Encoding {
    /// The one of these that a client takes: by its `Accept-Encoding`. Of two that it likes as well, the first.
    pub(super) fn accepted(accept: &str, offered: &[Self]) -> Self {
        let any = weight(accept, "*").unwrap_or(0.0);
        let mut best = (Self::Identity, weight(accept, "identity").unwrap_or(0.0));
        for &encoding in offered.iter().rev() {
            let weight = encoding.name().and_then(|name| weight(accept, name)).unwrap_or(any);
            if weight > 0.0 && weight >= best.1 {
                best = (encoding, weight);
            }
        }
        best.0
    }

    /// Whether a client takes no uncompressed body, however short.
    pub(super) fn is_needed(accept: &str) -> bool {
        weight(accept, "identity").or_else(|| weight(accept, "*")) == Some(0.0)
    }

    /// A body that is there, as it is sent.
    ///
    /// # Errors
    ///
    /// No memory is left to compress it.
    pub(super) fn whole(self, body: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut encoder = Encoder::new(self)?;
        let mut bytes = encoder.piece(body);
        bytes.extend(encoder.end());
        Ok(bytes)
    }

    /// Its name, where it has one.
    pub(super) fn name(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }
}

/// How much a client likes this encoding by its `Accept-Encoding`; `None` where it does not say.
fn weight(accept: &str, wanted: &str) -> Option<f32> {
    accept.split(',').find_map(|part| {
        let mut words = part.split(';').map(str::trim);
        let name = words.next()?;
        // An old name of the same.
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        let weight = words.find_map(|word| word.strip_prefix("q=").or_else(|| word.strip_prefix("Q=")));
        let weight = weight.map_or(Some(1.0), |weight| weight.parse::<f32>().ok()).unwrap_or(0.0);
        name.eq_ignore_ascii_case(wanted).then_some(weight)
    })
}

/// What makes the pieces that are sent of the pieces of a body.
pub(super) enum Encoder {
    Identity,
    Gzip(Box<GzEncoder<Vec<u8>>>),
    Zstd(Box<zstd::Encoder<'static, Vec<u8>>>),
}

impl Encoder {
    /// # Errors
    ///
    /// No memory is left for it.
    pub(super) fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Identity => Self::Identity,
            Encoding::Gzip => Self::Gzip(Box::new(GzEncoder::new(Vec::new(), Compression::fast()))),
            Encoding::Zstd => {
                let mut encoder = zstd::Encoder::new(Vec::new(), ZSTD_LEVEL)?;
                encoder.window_log(ZSTD_WINDOW)?;
                Self::Zstd(Box::new(encoder))
            }
        })
    }

    /// What is to be sent after one more piece; it may be nothing yet.
    pub(super) fn piece(&mut self, bytes: Vec<u8>) -> Vec<u8> {
        match self {
            Self::Identity => bytes,
            Self::Gzip(encoder) => {
                // Memory takes all that there is.
                let _ = encoder.write_all(&bytes);
                std::mem::take(encoder.get_mut())
            }
            Self::Zstd(encoder) => {
                let _ = encoder.write_all(&bytes);
                std::mem::take(encoder.get_mut())
            }
        }
    }

    /// What is to be sent in the end.
    pub(super) fn end(self) -> Vec<u8> {
        match self {
            Self::Identity => Vec::new(),
            Self::Gzip(encoder) => encoder.finish().unwrap_or_default(),
            Self::Zstd(encoder) => encoder.finish().unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn a_client_chooses() {
        for (accept, encoding) in [
            ("", Encoding::Identity),
            ("zstd", Encoding::Zstd),
            ("gzip, deflate, br, zstd", Encoding::Zstd),
            ("zstd;q=0.5, gzip", Encoding::Gzip),
            ("zstd;q=0, *", Encoding::Gzip),
            ("gzip", Encoding::Gzip),
            ("br, GZIP;q=0.5", Encoding::Gzip),
            ("gzip;q=0", Encoding::Identity),
            ("gzip;q=0, zstd;q=0, *", Encoding::Identity),
            ("*", Encoding::Zstd),
            ("*;q=0", Encoding::Identity),
            ("deflate", Encoding::Identity),
            ("identity, gzip;q=0.5", Encoding::Identity),
            ("gzip;q=nonsense", Encoding::Identity),
            ("x-gzip", Encoding::Gzip),
            ("identity;q=0, gzip;q=0.1", Encoding::Gzip),
            ("identity;q=0", Encoding::Identity),
        ] {
            assert_eq!(Encoding::accepted(accept, &[Encoding::Zstd, Encoding::Gzip]), encoding, "{accept}");
        }
        assert_eq!(Encoding::accepted("zstd, gzip;q=0.1", &[Encoding::Gzip]), Encoding::Gzip);
    }

    #[test]
    fn some_take_no_uncompressed_body() {
        for (accept, is_needed) in [
            ("", false),
            ("gzip", false),
            ("gzip, *;q=0.1", false),
            ("gzip, *;q=0", true),
            ("gzip, identity;q=0", true),
            ("gzip, identity;q=0.1, *;q=0", false),
        ] {
            assert_eq!(Encoding::is_needed(accept), is_needed, "{accept}");
        }
    }

    #[test]
    fn the_pieces_make_up_the_body() {
        let body: Vec<u8> = (0..300_000_u32).flat_map(|number| (number / 7).to_le_bytes()).collect();
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            let mut encoder = Encoder::new(encoding).unwrap();
            let mut sent = Vec::new();
            for piece in body.chunks(65_536) {
                sent.extend(encoder.piece(piece.to_vec()));
            }
            sent.extend(encoder.end());
            let mut read = Vec::new();
            match encoding {
                Encoding::Identity => read = sent,
                Encoding::Gzip => {
                    assert!(sent.len() < body.len() / 2);
                    flate2::read::GzDecoder::new(&sent[..]).read_to_end(&mut read).unwrap();
                }
                Encoding::Zstd => {
                    assert!(sent.len() < body.len() / 2);
                    read = zstd::decode_all(&sent[..]).unwrap();
                }
            }
            assert_eq!(read, body);
        }
    }
}
