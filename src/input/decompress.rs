//! The text of a plain or compressed stream, told by its first bytes and never by its name.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flate2::FlushDecompress;
use zstd::stream::raw::{DParameter, Operation};

const READ_BYTES: usize = 256 << 10;

/// Most memory that an xz stream's header may ask for: twice what `xz -9` writes, with the decoder's own tables.
const XZ_MEMORY_BYTES: u64 = 130 << 20;

/// Largest window that a zstd frame may ask for, as a power of two: 128 MiB, what `zstd --long` writes.
const ZSTD_WINDOW_LOG: u32 = 27;

/// What begins a zstd frame's header and says how long it is.
const ZSTD_START_BYTES: usize = 5;

/// How a stream is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Plain,
    /// RFC 1952.
    Gzip,
    Bzip2,
    /// The .xz file format 1.2.
    Xz,
    /// RFC 8878.
    Zstd,
    /// Known by its first bytes, and not read: the name says which.
    Unsupported(&'static str),
}

/// The format that `head` begins.
pub fn format(head: &[u8]) -> Format {
    match head {
        [0x1F, 0x8B, ..] => Format::Gzip,
        // A skippable frame may come first (RFC 8878 section 3.1.2).
        [0x28, 0xB5, 0x2F, 0xFD, ..] | [0x50..=0x5F, 0x2A, 0x4D, 0x18, ..] => Format::Zstd,
        [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Format::Xz,
        // A block follows, or the end of a stream without one.
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => {
            Format::Bzip2
        }
        [0x1F, 0x9D, ..] => Format::Unsupported("compress (.Z)"),
        [0x1F, 0xA0, ..] => Format::Unsupported("compress (lzh)"),
        [0x04, 0x22, 0x4D, 0x18, ..] | [0x02, 0x21, 0x4C, 0x18, ..] => Format::Unsupported("lz4"),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Format::Unsupported("zip"),
        [b'7', b'z', 0xBC, 0xAF, 0x27, 0x1C, ..] => Format::Unsupported("7-Zip"),
        [b'R', b'a', b'r', b'!', 0x1A, 7, ..] => Format::Unsupported("RAR"),
        [b'L', b'Z', b'I', b'P', 0 | 1, ..] => Format::Unsupported("lzip"),
        [0x89, b'L', b'Z', b'O', 0, 0x0D, ..] => Format::Unsupported("lzop"),
        [0x5D, 0, 0, _, _, 0xFF, ..] | [0x5D, 0, 0, _, _, 0, ..] => Format::Unsupported("lzma"),
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
        if self.ahead.is_empty() && self.stream.fill_buf()?.len() >= MAGIC_BYTES {
            return Ok(self.stream.buffer());
        }
        let missing = MAGIC_BYTES.saturating_sub(self.ahead.len());
        match self.stream.by_ref().take(missing as u64).read_to_end(&mut self.ahead) {
            Err(error) if self.ahead.is_empty() => Err(error),
            // An error behind the last bytes is met again when they are used up.
            _ => Ok(&self.ahead),
        }
    }

    /// Bytes taken from the stream and used.
    fn used(&self) -> u64 {
        self.stream.get_ref().here - (self.stream.buffer().len() + self.ahead.len()) as u64
    }

    /// Goes over the zero bytes that come next.
    fn skip_zeros(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.fill_buf()?;
            let zeros = buffer.iter().take_while(|byte| **byte == 0).count();
            let is_over = zeros < buffer.len() || zeros == 0;
            self.consume(zeros);
            if is_over {
                return Ok(());
            }
        }
    }

    /// Goes over `count` bytes.
    fn skip(&mut self, count: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.take(count), &mut io::sink())?;
        if skipped < count { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    /// Goes over a gzip member's header (RFC 1952 section 2.3). The time in it, where there is one.
    fn gzip_header(&mut self) -> io::Result<Option<i64>> {
        let mut fixed = [0; 10];
        self.read_exact(&mut fixed)?;
        let [_, _, method, flags, t0, t1, t2, t3, _, _] = fixed;
        if method != 8 || flags & 0xE0 != 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not a gzip header"));
        }
        if flags & 4 != 0 {
            let mut len = [0; 2];
            self.read_exact(&mut len)?;
            self.skip(u64::from(u16::from_le_bytes(len)))?;
        }
        // The file's name and a comment, each up to a zero byte.
        for flag in [8, 16] {
            if flags & flag != 0 && self.skip_until(0)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        if flags & 2 != 0 {
            self.skip(2)?;
        }
        Ok(Some(i64::from(u32::from_le_bytes([t0, t1, t2, t3]))).filter(|time| *time > 0))
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
    raw: Raw,
    decoder: Decoder,
    /// What broke the stream; told once all that stood before it was handed out.
    broken: Option<io::Error>,
    /// Seconds since 1970 from the first gzip member's header, where it has them.
    pub gzip_time: Option<i64>,
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
        if let Format::Unsupported(name) = format {
            let text = format!("compressed with {name}, which this version cannot read; unpack it first");
            return Err(io::Error::new(io::ErrorKind::Unsupported, text));
        }
        let mut text = Self { raw, decoder: Decoder::Plain, broken: None, gzip_time: None };
        text.begin(format);
        Ok(text)
    }

    /// Text that is known to be plain, whatever its first bytes look like: a log from its middle on.
    pub fn plain(stream: Box<dyn Read + Send>, all: BytesRead) -> Self {
        let stream = BufReader::with_capacity(READ_BYTES, Counted { inner: stream, here: 0, all });
        Self { raw: Raw { ahead: Vec::new(), stream }, decoder: Decoder::Plain, broken: None, gzip_time: None }
    }

    pub fn open(file: File, all: BytesRead) -> io::Result<Self> {
        Self::new(Box::new(file), all)
    }

    /// Bytes taken from the compressed stream and used so far.
    pub fn offset(&self) -> u64 {
        self.raw.used()
    }

    /// Sets up what the next member needs.
    fn begin(&mut self, format: Format) {
        let begun = match format {
            Format::Gzip => self.raw.gzip_header().map(|time| {
                self.gzip_time = self.gzip_time.or(time);
                Decoder::Gzip(Box::new(Gzip { inflate: flate2::Decompress::new(false), sum: flate2::Crc::new() }))
            }),
            Format::Bzip2 => Ok(Decoder::Bzip2(Box::new(Bzip2::new()))),
            Format::Xz => liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY_BYTES, 0)
                .map(Decoder::Xz)
                .map_err(io::Error::from),
            Format::Zstd => Zstd::new().map(Decoder::Zstd),
            Format::Plain | Format::Unsupported(_) => Ok(Decoder::Plain),
        };
        match begun {
            Ok(decoder) => self.decoder = decoder,
            Err(error) => self.broken = Some(error),
        }
    }

    /// Goes on behind a member. Zero bytes between members and behind the last are padding (gzip(1), the .xz file
    /// format section 2.2) and no damage; anything else that begins no member is.
    fn next_member(&mut self) -> io::Result<()> {
        if let Decoder::Gzip(member) = &self.decoder {
            let mut trailer = [0; 8];
            self.raw.read_exact(&mut trailer)?;
            let [c0, c1, c2, c3, l0, l1, l2, l3] = trailer;
            let (sum, len) = (u32::from_le_bytes([c0, c1, c2, c3]), u32::from_le_bytes([l0, l1, l2, l3]));
            if (sum, len) != (member.sum.sum(), member.sum.amount()) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the checksum does not match"));
            }
        }
        self.raw.skip_zeros()?;
        let head = self.raw.peek()?;
        if head.is_empty() {
            self.decoder = Decoder::Done;
            return Ok(());
        }
        match (format(head), &mut self.decoder) {
            (Format::Plain | Format::Unsupported(_), _) => {
                Err(io::Error::other("bytes that are no compressed data follow the last member"))
            }
            // A file may have very many frames.
            (Format::Zstd, Decoder::Zstd(frame)) => {
                frame.wanted = ZSTD_START_BYTES;
                Ok(())
            }
            (format, _) => {
                self.begin(format);
                Ok(())
            }
        }
    }
}

impl Read for Text {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            if let Some(error) = self.broken.take() {
                self.decoder = Decoder::Done;
                return Err(error);
            }
            match self.decoder {
                Decoder::Plain => return self.raw.read(into),
                Decoder::Done => return Ok(0),
                _ => {}
            }
            let input = self.raw.fill_buf()?;
            let is_over = input.is_empty();
            let step = self.decoder.step(input, into);
            self.raw.consume(step.used);
            match step.result {
                Ok(true) => self.broken = self.next_member().err(),
                Ok(false) if step.made == 0 && is_over => self.broken = Some(io::ErrorKind::UnexpectedEof.into()),
                Ok(false) if step.made == 0 && step.used == 0 => {
                    self.broken = Some(io::Error::new(io::ErrorKind::InvalidData, "the decoder does not go on"));
                }
                Ok(false) => {}
                Err(error) => self.broken = Some(error),
            }
            if step.made > 0 {
                return Ok(step.made);
            }
        }
    }
}

/// What unpacks the member that is being read.
enum Decoder {
    Plain,
    Gzip(Box<Gzip>),
    Bzip2(Box<Bzip2>),
    Xz(liblzma::stream::Stream),
    Zstd(Zstd),
    /// Behind the last member.
    Done,
}

/// What one call of a decoder did. It may have made bytes and then failed.
struct Step {
    used: usize,
    made: usize,
    /// True at the member's end.
    result: io::Result<bool>,
}

impl Decoder {
    /// Unpacks some of `input` into `output`. An empty `input` says that none is left.
    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        match self {
            Self::Plain | Self::Done => Step { used: 0, made: 0, result: Ok(true) },
            Self::Gzip(gzip) => {
                let Gzip { inflate, sum } = gzip.as_mut();
                let (taken, given) = (inflate.total_in(), inflate.total_out());
                let result = inflate.decompress(input, output, FlushDecompress::None);
                let (used, made) = (past(taken, inflate.total_in()), past(given, inflate.total_out()));
                sum.update(output.get(..made).unwrap_or_default());
                let result = result.map(|s| s == flate2::Status::StreamEnd).map_err(|e| damaged(e.to_string()));
                Step { used, made, result }
            }
            Self::Bzip2(bzip2) => bzip2.step(input, output),
            Self::Xz(xz) => {
                let (taken, given) = (xz.total_in(), xz.total_out());
                let result = xz.process(input, output, liblzma::stream::Action::Run);
                let (used, made) = (past(taken, xz.total_in()), past(given, xz.total_out()));
                let result = match result {
                    Ok(status) => Ok(status == liblzma::stream::Status::StreamEnd),
                    Err(liblzma::stream::Error::MemLimit) => Err(io::Error::other(
                        "the xz data needs more than 128 MiB of memory to unpack, more than this program gives it; \
                         unpack it first",
                    )),
                    Err(error) => Err(damaged(format!("xz: {error}"))),
                };
                Step { used, made, result }
            }
            Self::Zstd(zstd) => zstd.step(input, output),
        }
    }
}

fn damaged(what: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// How far a decoder's counter has come.
fn past(before: u64, now: u64) -> usize {
    usize::try_from(now.saturating_sub(before)).unwrap_or(0)
}

/// One gzip member behind its header.
struct Gzip {
    inflate: flate2::Decompress,
    sum: flate2::Crc,
}

/// One bzip2 stream. At an error within a block its decoder does not say what it made in that call, so it is always
/// given the same room: what comes out does not depend on how much is asked for.
struct Bzip2 {
    decoder: bzip2::Decompress,
    made: Vec<u8>,
    given: usize,
    /// How the stream ended, told once all that it made was handed out.
    end: Option<io::Result<bool>>,
}

const BZIP2_PIECE_BYTES: usize = 32 << 10;

impl Bzip2 {
    fn new() -> Self {
        let made = Vec::with_capacity(BZIP2_PIECE_BYTES);
        Self { decoder: bzip2::Decompress::new(false), made, given: 0, end: None }
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let mut used = 0;
        if self.given == self.made.len() && self.end.is_none() {
            self.made.clear();
            self.given = 0;
            let taken = self.decoder.total_in();
            self.end = match self.decoder.decompress_vec(input, &mut self.made) {
                Ok(bzip2::Status::StreamEnd) => Some(Ok(true)),
                Ok(bzip2::Status::MemNeeded) => Some(Err(io::ErrorKind::OutOfMemory.into())),
                Ok(_) => None,
                Err(error) => Some(Err(damaged(error.to_string()))),
            };
            used = past(taken, self.decoder.total_in());
        }
        let made = self.made.get(self.given..).unwrap_or_default().read(output).unwrap_or(0);
        self.given += made;
        let end = if made == 0 { self.end.take() } else { None };
        Step { used, made, result: end.unwrap_or(Ok(false)) }
    }
}

struct Zstd {
    decoder: zstd::stream::raw::Decoder<'static>,
    /// How much of the frame makes its next block. With no more than that at a time a damaged block takes nothing with
    /// it that came before.
    wanted: usize,
    /// The last output was filled to its end, so that more of the block may wait.
    is_full: bool,
}

impl Zstd {
    fn new() -> io::Result<Self> {
        let mut decoder = zstd::stream::raw::Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG))?;
        Ok(Self { decoder, wanted: ZSTD_START_BYTES, is_full: false })
    }

    fn step(&mut self, input: &[u8], output: &mut [u8]) -> Step {
        let mut result = Ok(None);
        if self.is_full {
            result =
                self.decoder.run_on_buffers(&[], output).map(|status| (status.bytes_written > 0).then_some(status));
        }
        let result = match result {
            Ok(Some(status)) => Ok(status),
            Ok(None) => self.decoder.run_on_buffers(input.get(..self.wanted).unwrap_or(input), output),
            Err(error) => Err(error),
        };
        match result {
            Ok(status) => {
                self.wanted = status.remaining;
                self.is_full = status.bytes_written == output.len();
                Step { used: status.bytes_read, made: status.bytes_written, result: Ok(status.remaining == 0) }
            }
            Err(error) => {
                let text = error.to_string();
                let error = if text.contains("too much memory") {
                    io::Error::other(
                        "the zstd data needs a window of more than 128 MiB to unpack, more than this program gives it; \
                         unpack it first",
                    )
                } else {
                    damaged(format!("zstd: {text}"))
                };
                Step { used: 0, made: 0, result: Err(error) }
            }
        }
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

    fn bzip2(text: &[u8]) -> Vec<u8> {
        let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn xz(text: &[u8]) -> Vec<u8> {
        let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zstd(text: &[u8]) -> Vec<u8> {
        let mut encoder = ::zstd::Encoder::new(Vec::new(), 3).unwrap();
        encoder.include_checksum(true).unwrap();
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    type Pack = fn(&[u8]) -> Vec<u8>;
    const PACKERS: [(&str, Pack); 4] = [("gzip", gzip), ("bzip2", bzip2), ("xz", xz), ("zstd", zstd)];

    fn read(bytes: Vec<u8>) -> (Vec<u8>, Option<io::ErrorKind>) {
        let mut text = Text::new(Box::new(io::Cursor::new(bytes)), BytesRead::default()).unwrap();
        let mut out = Vec::new();
        let error = text.read_to_end(&mut out).err().map(|e| e.kind());
        (out, error)
    }

    fn many_lines(lines: u32) -> Vec<u8> {
        (0..lines).flat_map(|n| format!("line {}\n", n.wrapping_mul(2_654_435_761)).into_bytes()).collect()
    }

    #[test]
    fn every_member_counts_and_padding_does_not() {
        assert_eq!(read(b"plain\n".to_vec()), (b"plain\n".to_vec(), None));
        assert_eq!(read(Vec::new()), (Vec::new(), None));
        let both = || b"one\ntwo\n".to_vec();
        for (name, pack) in PACKERS {
            let two = [pack(b"one\n"), pack(b""), pack(b"two\n")].concat();
            assert_eq!(read(two.clone()), (both(), None), "{name}");
            assert_eq!(read([two.clone(), vec![0; 9_000]].concat()), (both(), None), "{name}");
            assert_eq!(read([two, b"garbage".to_vec()].concat()), (both(), Some(io::ErrorKind::Other)), "{name}");
            let padded = [pack(b"one\n"), vec![0; 8], pack(b"two\n"), vec![0; 4]].concat();
            assert_eq!(read(padded), (both(), None), "{name}");
            for (other, pack_other) in PACKERS {
                let mixed = [pack(b"one\n"), pack_other(b"two\n")].concat();
                assert_eq!(read(mixed), (both(), None), "{name} and {other}");
            }
        }
        let skippable = b"\x51\x2A\x4D\x18\x03\x00\x00\x00xyz".to_vec();
        let frames = [skippable.clone(), zstd(b"one\n"), skippable.clone(), skippable, zstd(b"two\n")].concat();
        assert_eq!(read(frames), (both(), None));
    }

    #[test]
    fn every_field_of_a_gzip_header_is_gone_over() {
        let mut builder = flate2::GzBuilder::new().mtime(1_772_600_767).filename("mail.log").comment("a comment");
        builder = builder.extra(vec![1; 300]);
        let mut encoder = builder.write(Vec::new(), Compression::default());
        encoder.write_all(b"one\n").unwrap();
        let bytes = encoder.finish().unwrap();
        let mut text = Text::new(Box::new(io::Cursor::new(bytes.clone())), BytesRead::default()).unwrap();
        assert_eq!(text.gzip_time, Some(1_772_600_767));
        let mut out = Vec::new();
        text.read_to_end(&mut out).unwrap();
        assert_eq!((out.as_slice(), text.offset()), (&b"one\n"[..], bytes.len() as u64));
        for cut in 2..bytes.len() {
            assert_eq!(read(bytes[..cut].to_vec()).1, Some(io::ErrorKind::UnexpectedEof), "{cut}");
        }
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
        for (name, pack) in PACKERS {
            let two = [pack(b"one\n"), vec![0; 4], pack(b"two\n")].concat();
            let mut text = Text::new(Box::new(Drip(two.clone())), BytesRead::default()).unwrap();
            let mut out = String::new();
            text.read_to_string(&mut out).unwrap();
            assert_eq!((out.as_str(), text.offset()), ("one\ntwo\n", two.len() as u64), "{name}");
        }
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
        let whole = many_lines(200_000);
        for (name, pack) in PACKERS {
            let packed = pack(&whole);
            let (text, error) = read(packed[..packed.len() / 2].to_vec());
            assert_eq!(error, Some(io::ErrorKind::UnexpectedEof), "{name}");
            assert!(text.len() > whole.len() / 3 && whole.starts_with(&text), "{name}: {}", text.len());
            // A checksum at the end that does not match takes nothing away.
            let mut flipped = packed.clone();
            let from_end = match name {
                "xz" => None,
                "bzip2" => Some(4),
                "zstd" => Some(1),
                _ => Some(6),
            };
            if let Some(from_end) = from_end {
                let end = flipped.len() - from_end;
                flipped[end] ^= 0xFF;
                let (text, error) = read(flipped);
                assert_eq!((text.len(), error), (whole.len(), Some(io::ErrorKind::InvalidData)), "{name}");
            }
        }
    }

    /// A block of each format that is damaged: what the blocks in front of it hold comes out, and the error says where.
    #[test]
    fn a_damaged_block_takes_nothing_with_it() {
        let whole = many_lines(200_000);
        for (name, pack) in PACKERS {
            let mut packed = pack(&whole);
            let at = packed.len() * 3 / 4;
            packed[at..at + 64].fill(0xFF);
            let mut stream = Text::new(Box::new(io::Cursor::new(packed.clone())), BytesRead::default()).unwrap();
            let mut text = Vec::new();
            let error = stream.read_to_end(&mut text).unwrap_err();
            let same = text.iter().zip(&whole).take_while(|(a, b)| a == b).count();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{name}");
            assert!(same > whole.len() * 6 / 10, "{name}: {same} of {}", whole.len());
            let offset = usize::try_from(stream.offset()).unwrap();
            assert!(offset + 130_000 > at && offset <= packed.len(), "{name}: {offset} for {at}");
            assert_eq!(stream.read(&mut [0; 8]).unwrap(), 0, "the error comes once");
            // However little is asked for at a time, the same comes out.
            let mut stream = Text::new(Box::new(io::Cursor::new(packed)), BytesRead::default()).unwrap();
            let (mut slowly, mut piece) = (Vec::new(), [0; 61]);
            while let Ok(read @ 1..) = stream.read(&mut piece) {
                slowly.extend_from_slice(&piece[..read]);
            }
            assert!(slowly == text, "{name}: {} and {}", slowly.len(), text.len());
        }
    }

    #[test]
    fn memory_that_a_header_asks_for_is_bounded() {
        // A window of 2 GiB; a window descriptor as RFC 8878 section 3.1.1.1.2 has it.
        let huge = b"\x28\xB5\x2F\xFD\x00\xA8\x00\x00\x00\x00\x00".to_vec();
        let mut text = Text::new(Box::new(io::Cursor::new(huge)), BytesRead::default()).unwrap();
        let error = text.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("128 MiB"), "{error}");
        // A dictionary of 256 MiB.
        let mut options = liblzma::stream::LzmaOptions::new_preset(0).unwrap();
        let mut filters = liblzma::stream::Filters::new();
        filters.lzma2(options.dict_size(256 << 20));
        let stream = liblzma::stream::Stream::new_stream_encoder(&filters, liblzma::stream::Check::Crc64).unwrap();
        let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), stream);
        encoder.write_all(b"one\n").unwrap();
        let mut text = Text::new(Box::new(io::Cursor::new(encoder.finish().unwrap())), BytesRead::default()).unwrap();
        let error = text.read_to_end(&mut Vec::new()).unwrap_err();
        assert!(error.to_string().contains("128 MiB"), "{error}");
    }

    #[test]
    fn a_known_format_that_is_not_read_is_named() {
        for (head, name) in [
            (&b"\x1F\x9D\x90xxxx"[..], "compress"),
            (b"\x04\x22\x4D\x18xxxx", "lz4"),
            (b"PK\x03\x04xxxx", "zip"),
            (b"7z\xBC\xAF\x27\x1Cxx", "7-Zip"),
            (b"\x5D\x00\x00\x80\x00\xFF\xFF", "lzma"),
        ] {
            let text = Text::new(Box::new(head), BytesRead::default());
            let error = text.err().unwrap().to_string();
            assert!(error.contains(name) && error.contains("unpack it first"), "{error}");
        }
        assert_eq!(format(b"BZhello world"), Format::Plain);
    }
}
