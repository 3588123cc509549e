//! Blocks of whole lines out of a stream of bytes, cut at line ends.

use std::io::{self, Read};

use memchr::{memchr, memrchr};

use super::MAX_LINE_BYTES;

/// How much is read before a block is cut. Every line up to [`MAX_LINE_BYTES`] fits.
pub const BLOCK_BYTES: usize = 1 << 20;

/// Lines that stand together in a stream, ends included; the last one may lack its end.
#[derive(Debug, Default)]
pub struct Block {
    pub bytes: Vec<u8>,
}

impl Block {
    /// The lines without their ends, each cut to [`MAX_LINE_BYTES`], with a word on whether it was.
    pub fn lines(&self) -> impl Iterator<Item = Line<'_>> {
        let mut rest = &self.bytes[..];
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let (line, after) = match memchr(b'\n', rest) {
                Some(at) => (rest.get(..at)?, rest.get(at + 1..)?),
                None => (rest, &[][..]),
            };
            rest = after;
            Some(match line.get(..MAX_LINE_BYTES) {
                Some(head) if line.len() > MAX_LINE_BYTES => Line { bytes: head, is_overlong: true },
                _ => Line { bytes: line, is_overlong: false },
            })
        })
    }
}

/// One line of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    pub bytes: &'a [u8],
    /// Longer than [`MAX_LINE_BYTES`]; `bytes` is its head.
    pub is_overlong: bool,
}

/// Cuts a stream into blocks. Memory stays below two blocks, however long a line is.
pub struct Blocks<R> {
    stream: R,
    block_bytes: usize,
    /// The begun line behind the last block.
    carry: Vec<u8>,
    /// The carried line is longer than a block: the rest of it is dropped.
    is_skipping: bool,
    is_at_end: bool,
}

impl<R: Read> Blocks<R> {
    pub fn new(stream: R, block_bytes: usize) -> Self {
        // A line that is kept by its head must be longer than what is kept of it.
        let block_bytes = block_bytes.max(2 * MAX_LINE_BYTES);
        Self { stream, block_bytes, carry: Vec::new(), is_skipping: false, is_at_end: false }
    }

    pub fn stream(&self) -> &R {
        &self.stream
    }

    /// The next block; `None` at the end. After an error the lines read before it come as a block of their own, then
    /// the error once, then `None`.
    pub fn next_block(&mut self) -> Option<Result<Block, io::Error>> {
        if self.is_at_end {
            return None;
        }
        let mut bytes = std::mem::take(&mut self.carry);
        bytes.reserve(self.block_bytes.saturating_sub(bytes.len()));
        loop {
            if bytes.len() >= self.block_bytes {
                if let Some(end) = memrchr(b'\n', &bytes) {
                    self.carry = bytes.split_off(end + 1);
                    return Some(Ok(Block { bytes }));
                }
                // One line fills the block: its head is kept, with a byte more, so that it is known to be cut.
                bytes.truncate(MAX_LINE_BYTES + 1);
                self.is_skipping = true;
            }
            let filled = bytes.len();
            let wanted = self.block_bytes - filled;
            let result = self.stream.by_ref().take(wanted as u64).read_to_end(&mut bytes);
            if self.is_skipping {
                self.skip_line(&mut bytes, filled);
            }
            match result {
                Ok(read) if read < wanted => {
                    self.is_at_end = true;
                    return (!bytes.is_empty()).then_some(Ok(Block { bytes }));
                }
                Ok(_) => {}
                Err(error) => {
                    self.is_at_end = true;
                    self.carry = bytes;
                    return Some(Err(error));
                }
            }
        }
    }

    /// What was read before an error: the last lines, the very last perhaps cut in its middle.
    pub fn rest(&mut self) -> Option<Block> {
        let bytes = std::mem::take(&mut self.carry);
        // A line that damage cut short says too little to be trusted.
        let end = memrchr(b'\n', &bytes)?;
        Some(Block { bytes: bytes.get(..=end)?.to_vec() })
    }

    /// Drops what follows `from` up to the end of the line that is being skipped.
    fn skip_line(&mut self, bytes: &mut Vec<u8>, from: usize) {
        match memchr(b'\n', bytes.get(from..).unwrap_or_default()) {
            Some(at) => {
                self.is_skipping = false;
                bytes.drain(from..from + at);
            }
            None => bytes.truncate(from),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a few bytes at a time, and an error at the end when told so.
    struct Drip<'a>(&'a [u8], usize, bool);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(into.len()).min(self.0.len());
            if len == 0 && self.2 {
                self.2 = false;
                return Err(io::Error::other("damaged"));
            }
            into[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    fn lines(text: &[u8], step: usize) -> Vec<(usize, bool)> {
        let mut blocks = Blocks::new(Drip(text, step, false), 0);
        let mut found = Vec::new();
        while let Some(block) = blocks.next_block() {
            found.extend(block.unwrap().lines().map(|l| (l.bytes.len(), l.is_overlong)));
        }
        found
    }

    #[test]
    fn lines_are_the_same_however_the_stream_drips() {
        let mut text = Vec::new();
        for len in [0, 1, 5_000, 70_000, 3, 300_000, 2, MAX_LINE_BYTES, 1] {
            text.extend(std::iter::repeat_n(b'x', len));
            text.push(b'\n');
        }
        text.extend(b"last without an end");
        let max = MAX_LINE_BYTES;
        let expected = [0, 1, 5_000, max, 3, max, 2, max, 1, 19].map(|len| len);
        let cut = [false, false, false, true, false, true, false, false, false, false];
        for step in [1, 7, 4096, 65_536, 1 << 20] {
            if step == 1 && text.len() > 1 << 20 {
                continue;
            }
            let expected: Vec<_> = expected.into_iter().zip(cut).collect();
            assert_eq!(lines(&text, step), expected, "step {step}");
        }
    }

    #[test]
    fn what_was_whole_before_an_error_stays() {
        let mut blocks = Blocks::new(Drip(b"one\ntwo\nthr", 3, true), 0);
        assert!(blocks.next_block().unwrap().is_err());
        assert_eq!(blocks.rest().unwrap().bytes, b"one\ntwo\n");
        assert!(blocks.next_block().is_none());
    }
}
