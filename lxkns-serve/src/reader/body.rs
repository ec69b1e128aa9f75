//! Finished bodies: in blocks that are handed out one by one.
//!
//! The first blocks are kept as they are. What is longer is compressed, each block by itself: a snapshot of a large host takes
//! a tenth of its length, also while it is written.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::{self, BufRead, Read, Write};

use zstd::bulk::{Compressor, Decompressor};

use super::cache::Answer;
use crate::protocol::{CHUNK, Content};
use crate::tag::Tagger;

/// How many blocks are kept as they are.
const PLAIN: usize = 16;
/// How hard the others are compressed.
const LEVEL: i32 = 1;

/// A body that is finished.
#[derive(Debug, Default)]
pub(crate) struct Body {
    /// All but the last are of [`CHUNK`] bytes.
    blocks: Vec<Block>,
    length: usize,
    kept: usize,
}

#[derive(Debug)]
enum Block {
    Plain(Vec<u8>),
    Packed(Vec<u8>),
}

impl Body {
    /// How many bytes it has.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// How many bytes of memory it takes.
    pub(crate) fn kept(&self) -> usize {
        self.kept
    }

    /// The piece that begins at a multiple of [`CHUNK`]; empty at the end.
    ///
    /// # Errors
    ///
    /// No memory is left to unpack it.
    pub(crate) fn piece(&self, at: usize) -> io::Result<Cow<'_, [u8]>> {
        thread_local! {
            // It takes more memory than a block.
            static UNPACKS: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
        }
        match self.blocks.get(at / CHUNK) {
            None => Ok(Cow::Borrowed(&[])),
            Some(Block::Plain(bytes)) => Ok(Cow::Borrowed(bytes)),
            Some(Block::Packed(bytes)) => UNPACKS.with_borrow_mut(|unpacks| {
                let unpacks = match unpacks {
                    Some(unpacks) => unpacks,
                    None => unpacks.insert(Decompressor::new()?),
                };
                unpacks.decompress(bytes, CHUNK).map(Cow::Owned)
            }),
        }
    }

    /// All of it, to be read.
    pub(crate) fn reader(&self) -> Reader<'_> {
        Reader { body: self, piece: Cow::Borrowed(&[]), taken: 0, next: 0 }
    }
}

/// Writes a body.
#[derive(Default)]
pub(crate) struct Writer {
    body: Body,
    block: Vec<u8>,
    packs: Option<Compressor<'static>>,
    tagger: Tagger,
}

impl Writer {
    fn end_block(&mut self) {
        self.tagger.write(&self.block);
        self.body.length += self.block.len();
        let block = match self.packed() {
            Some(packed) => {
                self.block.clear();
                Block::Packed(packed)
            }
            None => {
                self.block.shrink_to_fit();
                Block::Plain(std::mem::take(&mut self.block))
            }
        };
        let (Block::Plain(bytes) | Block::Packed(bytes)) = &block;
        self.body.kept += bytes.len();
        self.body.blocks.push(block);
    }

    /// The block, compressed, if it is one that is compressed, and is shorter so.
    fn packed(&mut self) -> Option<Vec<u8>> {
        if self.body.blocks.len() < PLAIN {
            return None;
        }
        let packs = match &mut self.packs {
            Some(packs) => packs,
            None => self.packs.insert(Compressor::new(LEVEL).ok()?),
        };
        let mut packed = packs.compress(&self.block).ok()?;
        packed.shrink_to_fit();
        (packed.len() < self.block.len()).then_some(packed)
    }

    /// The answer with this body.
    pub(crate) fn answer(mut self, status: u16, content: Content) -> Answer {
        if !self.block.is_empty() {
            self.end_block();
        }
        Answer { status, content, body: self.body, tag: self.tagger.tag() }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let fits = bytes.len().min(CHUNK - self.block.len());
        self.block.extend_from_slice(&bytes[..fits]);
        if self.block.len() == CHUNK {
            self.end_block();
        }
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a body.
pub(crate) struct Reader<'a> {
    body: &'a Body,
    piece: Cow<'a, [u8]>,
    /// How much of the piece is read.
    taken: usize,
    /// Where the next one begins.
    next: usize,
}

impl BufRead for Reader<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.taken == self.piece.len() {
            self.piece = self.body.piece(self.next)?;
            (self.taken, self.next) = (0, self.next + CHUNK);
        }
        Ok(&self.piece[self.taken..])
    }

    fn consume(&mut self, count: usize) {
        self.taken += count;
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(to)?;
        self.consume(count);
        Ok(count)
    }
}

/// Bytes that cannot be compressed.
#[cfg(test)]
pub(crate) fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_what_was_written() {
        let text: Vec<u8> = (0..600_000_u32).flat_map(|number| (number / 5).to_be_bytes()).collect();
        for length in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, PLAIN * CHUNK, text.len()] {
            let text = &text[..length];
            let mut writer = Writer::default();
            text.chunks(1000).try_for_each(|part| writer.write_all(part)).unwrap();
            let answer = writer.answer(200, Content::Json);
            let body = &answer.body;
            let mut whole = Vec::new();
            body.reader().read_to_end(&mut whole).unwrap();
            assert!(whole == text && body.len() == length, "{length}");
            let pieces: Vec<u8> =
                (0..length).step_by(CHUNK).flat_map(|at| body.piece(at).unwrap().into_owned()).collect();
            assert!(pieces == text && body.piece(length.next_multiple_of(CHUNK)).unwrap().is_empty());
            assert_eq!(answer.tag, Answer::new(200, Content::Json, text).tag);
            assert!(body.kept() == length || length > PLAIN * CHUNK && body.kept() < length * 7 / 10, "{length}");
        }
    }

    #[test]
    fn what_does_not_become_shorter_stays_as_it_is() {
        let noise = noise(CHUNK * (PLAIN + 3));
        let answer = Answer::new(200, Content::Json, &noise);
        assert_eq!(answer.body.kept(), noise.len());
        let mut whole = Vec::new();
        answer.body.reader().read_to_end(&mut whole).unwrap();
        assert!(whole == noise);
    }
}
