//! The text of a plain or compressed stream, told by its first bytes and never by its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::bufread::GzDecoder;

const READ_BYTES: usize = 256 << 10;

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Plain,
    /// RFC 1952.
    Gzip,
    /// Known by its first bytes, and not read: the name says which.
    Unsupported(&'static str),
}

/// The format that `head` begins.
pub fn format(head: &[u8]) -> Format {
    match head {
        [0x1F, 0x8B, ..] => Format::Gzip,
        [0x28, 0xB5, 0x2F, 0xFD, ..] => Format::Unsupported("zstd"),
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Format::Unsupported("xz"),
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] => Format::Unsupported("bzip2"),
        _ => Format::Plain,
    }
}

/// A counter of the compressed bytes taken from all inputs so far, for the progress bar.
pub type BytesRead = Arc<AtomicU64>;

/// Counts what passes, in this stream and in all.
pub struct Counted<R> {
    inner: R,
    here: u64,
    all: BytesRead,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(into)?;
        self.here += read as u64;
        self.all.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

/// Compressed bytes, of which the next few can be looked at wherever the buffer ends.
struct Raw {
    /// Bytes that were looked at beyond the buffer's end; used up before it.
    ahead: Vec<u8>,
    stream: BufReader<Counted<Box<dyn Read + Send>>>,
}

/// The longest magic number.
const MAGIC_BYTES: usize = 6;

impl Raw {
    /// At least [`MAGIC_BYTES`] of what comes, unless the stream ends before; nothing is used up.
    fn peek(&mut self) -> io::Result<&[u8]> {
        if self.ahead.is_empty() {
            if self.stream.fill_buf()?.len() >= MAGIC_BYTES {
                return Ok(self.stream.buffer());
            }
            let wanted = MAGIC_BYTES as u64;
            self.stream.by_ref().take(wanted).read_to_end(&mut self.ahead)?;
        }
        Ok(&self.ahead)
    }

    /// Bytes taken from the stream and used.
    fn used(&self) -> u64 {
        self.stream.get_ref().here - (self.stream.buffer().len() + self.ahead.len()) as u64
    }
}

impl Read for Raw {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.ahead.is_empty() {
            return self.stream.read(into);
        }
        let read = self.ahead.as_slice().read(into)?;
        self.consume(read);
        Ok(read)
    }
}

impl BufRead for Raw {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.ahead.is_empty() { self.stream.fill_buf() } else { Ok(&self.ahead) }
    }

    fn consume(&mut self, len: usize) {
        if self.ahead.is_empty() {
            self.stream.consume(len);
        } else {
            self.ahead.drain(..len.min(self.ahead.len()));
        }
    }
}

/// The decompressed bytes of one input, every member of a compressed file after the other.
pub struct Text {
    state: State,
    /// Seconds since 1970 from the first gzip member's header, where it has them.
    pub gzip_time: Option<i64>,
}

enum State {
    Plain(Raw),
    Gzip(Box<GzDecoder<Raw>>),
    /// Between two members, and at the end.
    Done(Option<Raw>),
}

impl Text {
    /// Reads the first bytes and sets up what the rest needs.
    ///
    /// # Errors
    /// What reading gives; `Unsupported` for a compression that is known and not read.
    pub fn new(stream: Box<dyn Read + Send>, all: BytesRead) -> io::Result<Self> {
        let stream = BufReader::with_capacity(READ_BYTES, Counted { inner: stream, here: 0, all });
        let mut raw = Raw { ahead: Vec::new(), stream };
        let format = format(raw.peek()?);
        let mut gzip_time = None;
        let state = match format {
            Format::Plain => State::Plain(raw),
            Format::Gzip => {
                let member = GzDecoder::new(raw);
                gzip_time = member.header().map(|h| i64::from(h.mtime())).filter(|t| *t > 0);
                State::Gzip(Box::new(member))
            }
            Format::Unsupported(name) => {
                let text = format!("compressed with {name}, which this version cannot read; unpack it first");
                return Err(io::Error::new(io::ErrorKind::Unsupported, text));
            }
        };
        Ok(Self { state, gzip_time })
    }

    pub fn open(file: File, all: BytesRead) -> io::Result<Self> {
        Self::new(Box::new(file), all)
    }

    /// Bytes taken from the compressed stream and used so far.
    pub fn offset(&self) -> u64 {
        match &self.state {
            State::Plain(raw) | State::Done(Some(raw)) => raw.used(),
            State::Gzip(member) => member.get_ref().used(),
            State::Done(None) => 0,
        }
    }

    /// Goes on to the next member. Zero bytes that pad the last one are no damage (gzip(1)); anything else is.
    fn next_member(&mut self, mut raw: Raw) -> io::Result<bool> {
        if format(raw.peek()?) == Format::Gzip {
            self.state = State::Gzip(Box::new(GzDecoder::new(raw)));
            return Ok(true);
        }
        let is_padding = is_all_zero(&mut raw)?;
        self.state = State::Done(Some(raw));
        if is_padding { Ok(false) } else { Err(io::Error::other("bytes that are no gzip data follow the last member")) }
    }
}

impl Read for Text {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match &mut self.state {
                State::Plain(raw) => return raw.read(into),
                State::Done(_) => return Ok(0),
                State::Gzip(member) => {
                    let read = member.read(into)?;
                    if read > 0 || into.is_empty() {
                        return Ok(read);
                    }
                }
            }
            let State::Gzip(member) = std::mem::replace(&mut self.state, State::Done(None)) else { return Ok(0) };
            if !self.next_member(member.into_inner())? {
                return Ok(0);
            }
        }
    }
}

fn is_all_zero(raw: &mut Raw) -> io::Result<bool> {
    loop {
        let buffer = raw.fill_buf()?;
        if buffer.is_empty() {
            return Ok(true);
        }
        if buffer.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
        let len = buffer.len();
        raw.consume(len);
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut text = Text::new(Box::new(io::Cursor::new(bytes)), BytesRead::default()).unwrap();
        let mut out = Vec::new();
        let error = text.read_to_end(&mut out).err().map(|e| e.kind());
        (out, error)
    }

    #[test]
    fn every_member_counts_and_padding_does_not() {
        let two = [gzip(b"one\n"), gzip(b""), gzip(b"two\n")].concat();
        assert_eq!(read(two.clone()), (b"one\ntwo\n".to_vec(), None));
        assert_eq!(read([two.clone(), vec![0; 9_000]].concat()), (b"one\ntwo\n".to_vec(), None));
        assert_eq!(read([two, b"garbage".to_vec()].concat()), (b"one\ntwo\n".to_vec(), Some(io::ErrorKind::Other)));
        assert_eq!(read(b"plain\n".to_vec()), (b"plain\n".to_vec(), None));
    }

    /// Gives one byte at a time, as a slow pipe does.
    struct Drip(Vec<u8>);

    impl Read for Drip {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            if self.0.is_empty() || into.is_empty() {
                return Ok(0);
            }
            into[0] = self.0.remove(0);
            Ok(1)
        }
    }

    #[test]
    fn a_member_is_known_wherever_the_buffer_ends() {
        let two = [gzip(b"one\n"), gzip(b"two\n")].concat();
        let mut text = Text::new(Box::new(Drip(two.clone())), BytesRead::default()).unwrap();
        let mut out = String::new();
        text.read_to_string(&mut out).unwrap();
        assert_eq!((out.as_str(), text.offset()), ("one\ntwo\n", two.len() as u64));
        // The first member stored, so that it ends where it is wanted: near the end of the buffer.
        for short in 0..8 {
            let mut first = GzEncoder::new(Vec::new(), Compression::none());
            first.write_all(&vec![b'\n'; READ_BYTES - 200]).unwrap();
            let mut bytes = first.finish().unwrap();
            let missing = READ_BYTES - short - bytes.len();
            let mut first = GzEncoder::new(Vec::new(), Compression::none());
            first.write_all(&vec![b'\n'; READ_BYTES - 200 + missing]).unwrap();
            bytes = first.finish().unwrap();
            assert_eq!(bytes.len(), READ_BYTES - short);
            bytes.extend(gzip(b"two\n"));
            let (out, error) = read(bytes);
            assert!(error.is_none() && out.ends_with(b"two\n"), "{short}");
        }
    }

    #[test]
    fn what_stands_before_the_damage_is_read() {
        let whole: Vec<u8> =
            (0..40_000u32).flat_map(|n| format!("line {}\n", n.wrapping_mul(2_654_435_761)).into_bytes()).collect();
        let packed = gzip(&whole);
        let (text, error) = read(packed[..packed.len() / 2].to_vec());
        assert_eq!(error, Some(io::ErrorKind::UnexpectedEof));
        assert!(text.len() > whole.len() / 3 && whole.starts_with(&text));
        let mut flipped = packed.clone();
        let end = flipped.len() - 6;
        flipped[end] ^= 0xFF;
        let (text, error) = read(flipped);
        assert_eq!((text, error.is_some()), (whole, true));
    }

    #[test]
    fn a_known_format_that_is_not_read_is_named() {
        let zstd = Text::new(Box::new(&b"\x28\xB5\x2F\xFDxx"[..]), BytesRead::default());
        assert!(zstd.err().is_some_and(|e| e.to_string().contains("zstd")));
    }
}
