//! Logs that other programs have wrapped: the journal's exports, Docker's JSON files, Kubernetes' container logs. They
//! are turned into the syslog lines they hold, each with the number it has in what was read.

use std::io::{self, Read};

use memchr::{memchr, memmem};

use super::journal::{Export, Meant, Object, is_field};
use super::mainlog::begins_with_exim_id;
use super::{MAX_LINE_BYTES, frame, is_continuation, stamp, syslog, without_nuls};

/// How much is looked at to tell how a log is wrapped, and how many lines of it.
const HEAD_BYTES: usize = 16 << 10;
const HEAD_LINES: usize = 16;

const CHUNK_BYTES: usize = 64 << 10;

/// Longest line that is taken apart: a message of [`MAX_LINE_BYTES`] whose bytes are written as numbers, and as much
/// again for what stands around it. A longer one stays as it is.
const WRAPPED_LINE_BYTES: usize = 8 * MAX_LINE_BYTES;

/// A stream with its wrapping taken off: line N of what comes out stands in the record of line N of `stream`, lines
/// that are not understood as they are. Of a log that is not wrapped only the first bytes are looked at.
pub struct Unwrapped<R> {
    stream: R,
    wrapping: Wrapping,
    chunk: Vec<u8>,
    /// What is to be given out, and how much of it was.
    out: Vec<u8>,
    given: usize,
    /// Comes after what is in `out`.
    error: Option<io::Error>,
    is_at_end: bool,
}

enum Wrapping {
    Unknown,
    None,
    Lines(Lines),
    Export(Box<Export>),
}

/// Takes the wrapping off `stream`, where there is one that is known.
pub const fn unwrapped<R: Read>(stream: R) -> Unwrapped<R> {
    let wrapping = Wrapping::Unknown;
    Unwrapped { stream, wrapping, chunk: Vec::new(), out: Vec::new(), given: 0, error: None, is_at_end: false }
}

impl<R: Read> Unwrapped<R> {
    /// The stream as it is.
    pub const fn get_ref(&self) -> &R {
        &self.stream
    }

    /// Reads the first bytes and decides by them.
    fn look(&mut self) {
        let mut head = Vec::new();
        self.chunk.resize(HEAD_BYTES, 0);
        self.wrapping = loop {
            let is_over = match self.stream.read(&mut self.chunk) {
                Ok(0) => true,
                Ok(read) => {
                    head.extend_from_slice(self.chunk.get(..read).unwrap_or_default());
                    head.len() >= HEAD_BYTES
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => {
                    self.error = Some(error);
                    true
                }
            };
            if let Some(wrapping) = wrapping(&head, is_over) {
                break wrapping;
            }
        };
        match &mut self.wrapping {
            Wrapping::Lines(lines) => lines.feed(&head, &mut self.out),
            Wrapping::Export(export) => export.feed(&head, &mut self.out),
            Wrapping::None | Wrapping::Unknown => self.out = head,
        }
    }

    /// The next piece of what comes out; none at the end.
    fn fill(&mut self) -> io::Result<()> {
        self.out.clear();
        self.given = 0;
        self.chunk.resize(CHUNK_BYTES, 0);
        let read = self.stream.read(&mut self.chunk)?;
        let piece = self.chunk.get(..read).unwrap_or_default();
        self.is_at_end = read == 0;
        match &mut self.wrapping {
            Wrapping::Lines(lines) if self.is_at_end => lines.finish(&mut self.out),
            Wrapping::Export(export) if self.is_at_end => export.finish(&mut self.out),
            Wrapping::Lines(lines) => lines.feed(piece, &mut self.out),
            Wrapping::Export(export) => export.feed(piece, &mut self.out),
            Wrapping::None | Wrapping::Unknown => {}
        }
        Ok(())
    }
}

impl<R: Read> Read for Unwrapped<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        loop {
            let given = self.out.get(self.given..).unwrap_or_default().read(into)?;
            if given > 0 {
                self.given += given;
                return Ok(given);
            }
            if let Some(error) = self.error.take() {
                self.is_at_end = true;
                return Err(error);
            }
            match self.wrapping {
                _ if self.is_at_end => return Ok(0),
                Wrapping::Unknown => self.look(),
                Wrapping::None => {
                    self.out = Vec::new();
                    self.given = 0;
                    return self.stream.read(into);
                }
                Wrapping::Lines(_) | Wrapping::Export(_) => self.fill()?,
            }
        }
    }
}

/// How a log that begins with `head` is wrapped; `None` when more must be seen. `is_over` says that no more will be.
fn wrapping(head: &[u8], is_over: bool) -> Option<Wrapping> {
    let whole = if is_over { head.len() } else { memchr::memrchr(b'\n', head).map_or(0, |end| end + 1) };
    let mut is_export = false;
    let mut lines = head.get(..whole)?.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    for line in lines.by_ref().take(HEAD_LINES) {
        let line = without_nuls(line);
        if is_json(line) || cri(line).is_some() {
            return Some(Wrapping::Lines(Lines::default()));
        }
        if frame(line).is_some() {
            return Some(Wrapping::None);
        }
        is_export |= is_field(line);
        if is_export && line.starts_with(b"__REALTIME_TIMESTAMP=") {
            return Some(Wrapping::Export(Box::default()));
        }
    }
    // The first record may have begun before the head, or have many fields before that one.
    if is_export && lines.any(|line| line.starts_with(b"__REALTIME_TIMESTAMP=")) {
        return Some(Wrapping::Export(Box::default()));
    }
    is_over.then_some(Wrapping::None)
}

/// The object in a line: alone, in a server-sent event (`data: {`), or behind a record separator (RFC 7464).
fn object(line: &[u8]) -> Option<&[u8]> {
    let line = line.strip_prefix(b"data: ").or_else(|| line.strip_prefix(b"\x1E")).unwrap_or(line);
    line.starts_with(b"{").then_some(line)
}

fn is_json(line: &[u8]) -> bool {
    const KEYS: [&[u8]; 3] = [b"\"log\"", b"\"MESSAGE\"", b"_REALTIME_TIMESTAMP\""];
    object(line).is_some_and(|object| KEYS.iter().any(|key| memmem::find(object, key).is_some()))
}

/// A line of a container's log as kubelet has it written (Kubernetes' CRI log format).
struct Cri<'a> {
    stamp: &'a [u8],
    stream: Stream,
    /// The rest of the inner line follows.
    is_partial: bool,
    inner: &'a [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    Out,
    Error,
}

/// `2026-03-04T05:06:07.123456789Z stdout F inner`, with `P` for a part; further tags follow a colon.
fn cri(line: &[u8]) -> Option<Cri<'_>> {
    if line.get(10)? != &b'T' {
        return None;
    }
    let (_, rest) = stamp::iso(line)?;
    let stamp = line.get(..line.len() - rest.len())?;
    let (stream, rest) = match rest.strip_prefix(b" stdout ") {
        Some(rest) => (Stream::Out, rest),
        None => (Stream::Error, rest.strip_prefix(b" stderr ")?),
    };
    let (tags, inner) = match memchr(b' ', rest) {
        Some(end) => (rest.get(..end)?, rest.get(end + 1..)?),
        None => (rest, &[][..]),
    };
    let is_partial = match tags {
        [b'F'] | [b'F', b':', ..] => false,
        [b'P'] | [b'P', b':', ..] => true,
        _ => return None,
    };
    Some(Cri { stamp, stream, is_partial, inner })
}

/// Lines of which each is wrapped by itself: one comes out for each that goes in.
#[derive(Default)]
pub(super) struct Lines {
    /// The begun line.
    line: Vec<u8>,
    /// The line is too long to be taken apart, and goes through as it is.
    is_passing: bool,
    /// Inner lines of which parts came, of each of a container's streams.
    parts: [Vec<u8>; 2],
    /// A part has come for which no line went out yet.
    is_owed: bool,
}

impl Lines {
    fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            let (piece, end) = match memchr(b'\n', input) {
                Some(end) => (input.get(..end).unwrap_or_default(), Some(end)),
                None => (input, None),
            };
            input = end.and_then(|end| input.get(end + 1..)).unwrap_or_default();
            if !self.is_passing && self.line.len() + piece.len() > WRAPPED_LINE_BYTES {
                self.settle(out);
                out.append(&mut self.line);
                self.is_passing = true;
            }
            if self.is_passing {
                out.extend_from_slice(piece);
                if end.is_some() {
                    out.push(b'\n');
                    self.is_passing = false;
                }
            } else if end.is_none() {
                self.line.extend_from_slice(piece);
            } else if self.line.is_empty() {
                self.line(piece, true, out);
            } else {
                self.line.extend_from_slice(piece);
                let mut line = std::mem::take(&mut self.line);
                self.line(&line, true, out);
                line.clear();
                self.line = line;
            }
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.line(&line, false, out);
        }
        // The log ends within a line: what there is of it takes the place of its last part.
        for part in std::mem::take(&mut self.parts) {
            if !part.is_empty() {
                self.is_owed = false;
                out.extend_from_slice(&part);
                out.push(b'\n');
            }
        }
        self.settle(out);
    }

    /// Gives out the line that stands for a part.
    fn settle(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_owed) {
            out.push(b'\n');
        }
    }

    fn line(&mut self, line: &[u8], has_end: bool, out: &mut Vec<u8>) {
        self.settle(out);
        let bare = without_nuls(line);
        let bare = bare.strip_suffix(b"\r").unwrap_or(bare);
        if let Some(meant) = object(bare).and_then(Object::read) {
            match meant {
                Meant::Output { text, time, is_error } => {
                    let stream = if is_error { Stream::Error } else { Stream::Out };
                    let (inner, is_partial) = match text.strip_suffix('\n') {
                        Some(inner) => (inner, false),
                        None => (text.as_str(), true),
                    };
                    if self.part(stream, inner.as_bytes(), time.as_bytes(), is_partial, line, out) {
                        return;
                    }
                }
                Meant::Journal(record) => {
                    if !record.write_line(out) {
                        out.extend_from_slice(line);
                    }
                }
            }
        } else if let Some(cri) = cri(bare) {
            if self.part(cri.stream, cri.inner, cri.stamp, cri.is_partial, line, out) {
                return;
            }
        } else {
            out.extend_from_slice(line);
        }
        if has_end {
            out.push(b'\n');
        }
    }

    /// Writes an inner line, once its last part is there. True for a part, which is owed a line then.
    fn part(
        &mut self,
        stream: Stream,
        inner: &[u8],
        stamp: &[u8],
        is_partial: bool,
        line: &[u8],
        out: &mut Vec<u8>,
    ) -> bool {
        let [stdout, stderr] = &mut self.parts;
        let begun = if stream == Stream::Out { stdout } else { stderr };
        if is_partial || !begun.is_empty() {
            // One byte more than is read of a line, so that it is known to be cut.
            let room = (MAX_LINE_BYTES + 1).saturating_sub(begun.len());
            begun.extend_from_slice(inner.get(..room).unwrap_or(inner));
        }
        if is_partial {
            self.is_owed = true;
            return true;
        }
        if begun.is_empty() {
            write_inner(stamp, inner, line, out);
        } else {
            let whole = std::mem::take(begun);
            write_inner(stamp, &whole, line, out);
        }
        false
    }
}

/// Writes the line that `inner` is. Where it has no stamp it gets the outer one: in front of a tag, or in front of an
/// Exim message. What is neither stays wrapped, in `line`.
fn write_inner(stamp: &[u8], inner: &[u8], line: &[u8], out: &mut Vec<u8>) {
    let inner = inner.strip_suffix(b"\r").unwrap_or(inner);
    if inner.trim_ascii().is_empty() || is_continuation(inner) || frame(inner).is_some() {
        out.extend_from_slice(inner);
    } else if syslog::has_tag(inner) || begins_with_exim_id(inner) {
        out.extend_from_slice(stamp);
        out.push(b' ');
        out.extend_from_slice(inner);
    } else {
        out.extend_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::Program;

    /// Gives a few bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let len = self.1.min(into.len()).min(self.0.len());
            into[..len].copy_from_slice(&self.0[..len]);
            self.0 = &self.0[len..];
            Ok(len)
        }
    }

    fn lines(text: &[u8]) -> Vec<String> {
        let mut found = None;
        for step in [1, 7, 100_000] {
            let mut out = Vec::new();
            unwrapped(Drip(text, step)).read_to_end(&mut out).unwrap();
            let out = String::from_utf8_lossy(&out).into_owned();
            assert_eq!(*found.get_or_insert_with(|| out.clone()), out, "step {step}");
        }
        let found = found.unwrap();
        assert_eq!(found.matches('\n').count(), text.iter().filter(|b| **b == b'\n').count(), "{found}");
        found.split('\n').map(str::to_string).collect()
    }

    fn binary(name: &str, value: &[u8]) -> Vec<u8> {
        [name.as_bytes(), b"\n", &(value.len() as u64).to_le_bytes(), value, b"\n"].concat()
    }

    const FIELDS: &str = "_HOSTNAME=mx1\nSYSLOG_IDENTIFIER=postfix/smtpd\nSYSLOG_PID=9\n_PID=10\n";

    #[test]
    fn an_export_of_the_journal_becomes_its_lines() {
        let text = format!(
            "__CURSOR=s=1\n__REALTIME_TIMESTAMP=1772600767123456\n{FIELDS}MESSAGE=connect from a[192.0.2.1]\n\n\
             __CURSOR=s=2\n__REALTIME_TIMESTAMP=1772600768000000\n_SOURCE_REALTIME_TIMESTAMP=1772600767000001\n\
             _COMM=exim4\nMESSAGE=Start queue run: pid=7\n_HOSTNAME=mx2\n\n"
        );
        let found = lines(text.as_bytes());
        assert_eq!(found[0], "2026-03-04T05:06:07.123456Z mx1 postfix/smtpd[9]: connect from a[192.0.2.1]");
        assert_eq!(found[8], "2026-03-04T05:06:07.000001Z mx2 exim4: Start queue run: pid=7");
        assert!(found.iter().enumerate().all(|(n, line)| line.is_empty() || n == 0 || n == 8), "{found:?}");
    }

    #[test]
    fn a_binary_field_of_the_journal_keeps_every_byte_and_every_line_its_number() {
        // Ten bytes: the length itself holds a line end.
        let message = binary("MESSAGE", b"H=[1] \xFF\nab");
        let text = [
            b"__CURSOR=s=1\n__REALTIME_TIMESTAMP=1772600767000000\n_COMM=exim\n",
            &message[..],
            &binary("MESSAGE", b"second"),
            b"\nnot the journal's\n__REALTIME_TIMESTAMP=1772600768000000\n_COMM=exim\nMESSAGE=next",
        ]
        .concat();
        let found = lines(&text);
        assert_eq!(found[0], "2026-03-04T05:06:07Z exim: H=[1] \u{FFFD}");
        assert_eq!(found[1], " ab");
        let at = found.iter().position(|line| line == "not the journal's").unwrap();
        assert_eq!(found[at + 1], "2026-03-04T05:06:08Z exim: next");
    }

    #[test]
    fn a_stream_that_only_looks_like_an_export_goes_through() {
        let wild = [b"__REALTIME_TIMESTAMP=1\nMESSAGE\n".as_slice(), &[0xFF; 9], b"\nMESSAGE=x\n\n"].concat();
        lines(&wild);
        assert_eq!(lines(b"PATH=/bin\nHOME=/\n"), ["PATH=/bin", "HOME=/", ""]);
        assert_eq!(lines(b"__REALTIME_TIMESTAMP=1\nMESSAGE\n\x05"), ["", "", ""]);
    }

    #[test]
    fn objects_of_the_journal_become_its_lines() {
        let fields = r#""_HOSTNAME":"mx1","SYSLOG_IDENTIFIER":"postfix/smtpd","_PID":"9""#;
        let time = r#""__REALTIME_TIMESTAMP":"1772600767123456""#;
        let stamp = "2026-03-04T05:06:07.123456Z mx1 postfix/smtpd[9]:";
        for (front, message, expected) in [
            ("", r#""connect from a[192.0.2.1]""#, "connect from a[192.0.2.1]"),
            ("data: ", r#""two\nlines""#, "two"),
            ("\x1E", "[104,105,0,33]", "hi\0!"),
            ("", r#"["one","two"]"#, "one"),
            ("", r#"[[104,105],"two"]"#, "hi"),
        ] {
            let text = format!("{front}{{{time},{fields},\"MESSAGE\":{message}}}\n");
            assert_eq!(lines(text.as_bytes()), [format!("{stamp} {expected}"), String::new()], "{text}");
        }
        for odd in [
            format!("{{{time},{fields},\"MESSAGE\":null}}"),
            "{\"__REALTIME_TIMESTAMP\":\"1\",\"MESSAGE\":\"cut".to_string(),
            format!("{{{time},\"MESSAGE\":{}1{}}}", "[".repeat(500), "]".repeat(500)),
        ] {
            assert_eq!(lines(odd.as_bytes()), [odd], "it stays as it is");
        }
    }

    #[test]
    fn outputs_of_containers_become_their_lines() {
        let docker = |text: &str| {
            let text = serde_json::to_string(text).unwrap();
            format!("{{\"log\":{text},\"stream\":\"stdout\",\"time\":\"2026-03-04T05:06:08.123456789Z\"}}\n")
        };
        let cri = |text: &str| format!("2026-03-04T05:06:08.123456789Z stdout F {text}\n");
        let framed = "Mar  4 05:06:07 mx1 postfix/smtpd[9]: connect from a[192.0.2.1]";
        let exim = "2026-03-04 05:06:07 1tXyZa-0001Ab-2c Completed";
        let outer = "2026-03-04T05:06:08.123456789Z";
        for (inner, expected) in [
            (framed, framed.to_string()),
            (exim, exim.to_string()),
            (" a further line", " a further line".to_string()),
            ("postfix/smtpd[9]: disconnect", format!("{outer} postfix/smtpd[9]: disconnect")),
            ("1tXyZa-0001Ab-2c Completed", format!("{outer} 1tXyZa-0001Ab-2c Completed")),
        ] {
            assert_eq!(lines(docker(&format!("{inner}\n")).as_bytes())[0], expected);
            assert_eq!(lines(cri(inner).as_bytes())[0], expected);
            assert!(expected.starts_with(' ') || frame(expected.as_bytes()).is_some(), "{expected}");
        }
        let other = cri("starting up");
        assert_eq!(lines(other.as_bytes())[0], other.trim_end());
        // A line in parts, another stream's line between them.
        let (first, second) = framed.split_at(30);
        let text = format!(
            "2026-03-04T05:06:08Z stdout P {first}\n2026-03-04T05:06:08Z stderr F Mar  4 05:06:07 mx1 x: y\n\
             2026-03-04T05:06:08Z stdout F {second}\n"
        );
        assert_eq!(lines(text.as_bytes()), ["", "Mar  4 05:06:07 mx1 x: y", framed, ""]);
        let text = [docker(first), docker(&format!("{second}\n"))].concat();
        assert_eq!(lines(text.as_bytes()), ["", framed, ""]);
        assert_eq!(
            lines(format!("2026-03-04T05:06:08Z stdout P {framed}\n").as_bytes()),
            [framed, ""],
            "cut at the end"
        );
    }

    #[test]
    fn a_record_takes_bounded_memory() {
        let part = format!("2026-03-04T05:06:08Z stdout P {}\n", "x".repeat(16_000));
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for _ in 0..100 {
            lines.feed(part.as_bytes(), &mut out);
        }
        assert!(lines.parts[0].len() == MAX_LINE_BYTES + 1 && out.len() < 200);
        let long = [b"{".to_vec(), vec![b'x'; WRAPPED_LINE_BYTES + 5]].concat();
        lines.feed(&long, &mut out);
        lines.feed(b"\nMar  4 05:06:07 mx1 x: y\n", &mut out);
        assert!(lines.line.len() < 100 && out.ends_with(b"x\nMar  4 05:06:07 mx1 x: y\n"));
        let mut export = Export::default();
        let mut out = Vec::new();
        export.feed(b"MESSAGE\n\0\0\0\x01\0\0\0\0", &mut out);
        for _ in 0..100 {
            export.feed(&[b'x'; 4096], &mut out);
        }
        assert!(out.is_empty() && export.size() <= MAX_LINE_BYTES + 1);
    }

    #[test]
    fn a_log_that_is_not_wrapped_goes_through() {
        for text in
            ["", "\n", "Mar  4 05:06:07 mx1 x: y", "2026-03-04T05:06:07Z mx1 stdout: F x\n", "{\n", "free text\nMar"]
        {
            assert_eq!(lines(text.as_bytes()).join("\n"), text);
        }
        let long = "no line end ".repeat(10_000);
        assert_eq!(lines(long.as_bytes()), [long]);
    }

    #[test]
    fn names_and_times_of_container_tools_are_gone_over() {
        let line = "Mar  4 05:06:07 mx1 postfix/smtpd[9]: connect from a[192.0.2.1]";
        for front in [
            "mail-1  | ",
            "\x1B[36mmail-1  |\x1B[0m ",
            "\x1B[36mmail-1  | \x1B[0m",
            "mail.1.x7@node-2    | ",
            "mail-1  | 2026-03-04T05:06:08.123456789Z ",
            "2026-03-04T05:06:08.123456789Z ",
            "[pod/mail-0/postfix] ",
            "[pod/mail-0/postfix] 2026-03-04T05:06:08.123456789Z ",
        ] {
            let text = format!("{front}{line}");
            let raw = frame(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!((raw.host, raw.pid, raw.stamp.second), (&b"mx1"[..], Some(9), 7), "{text}");
            assert!(is_continuation(format!("{front} more").as_bytes()), "{front}");
        }
        let raw = frame(b"2026-03-04T05:06:08.123456789Z postfix/smtpd[9]: connect").unwrap();
        assert_eq!(raw.host, b"");
        assert!(matches!(raw.program, Program::Postfix { service: b"smtpd", is_relay: false, .. }));
        let raw = frame(b"2026-03-04T05:06:08.5Z 1tXyZa-0001Ab-2c Completed").unwrap();
        assert_eq!((raw.program, raw.stamp.second), (Program::Exim, 8));
        for not_one in ["a | b", "2026-03-04T05:06:08Z starting", &"a | ".repeat(20_000), "[pod/x", "\x1B[36m"] {
            assert_eq!(frame(not_one.as_bytes()), None, "{not_one}");
        }
    }
}
