//! Records of the systemd journal: `journalctl -o export` (Journal Export Formats) and `-o json`, and the objects of
//! Docker's json-file logs.

use memchr::{memchr, memchr_iter};
use serde::Deserialize;
use serde_json::Value;

use super::{MAX_LINE_BYTES, Program, frame, syslog};
use crate::mail::time::Timestamp;

/// Longest value of a field other than the message that is kept.
const VALUE_BYTES: usize = 256;

/// Longest value that the journal itself takes (`DATA_SIZE_MAX` in systemd's `journal-importer.h`).
const MOST_VALUE_BYTES: u64 = 768 << 20;

/// Last moment that the journal takes for one, microseconds (systemd's `VALID_REALTIME`).
const MOST_REALTIME: i64 = 1 << 55;

/// The fields that make a syslog line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    SourceTime,
    Time,
    Host,
    Identifier,
    Command,
    SyslogPid,
    Pid,
    Message,
}

impl Field {
    const COUNT: usize = 8;

    fn named(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"_SOURCE_REALTIME_TIMESTAMP" => Self::SourceTime,
            b"__REALTIME_TIMESTAMP" => Self::Time,
            b"_HOSTNAME" => Self::Host,
            b"SYSLOG_IDENTIFIER" => Self::Identifier,
            b"_COMM" => Self::Command,
            b"SYSLOG_PID" => Self::SyslogPid,
            b"_PID" => Self::Pid,
            b"MESSAGE" => Self::Message,
            _ => return None,
        })
    }

    /// One byte more than is read of a line, so that a message that is cut is known to be.
    const fn most_bytes(self) -> usize {
        match self {
            Self::Message => MAX_LINE_BYTES + 1,
            _ => VALUE_BYTES,
        }
    }
}

/// What is known of one entry of the journal. Of a field that is there twice the first is taken.
#[derive(Debug, Default)]
pub(super) struct Record {
    values: [Option<Vec<u8>>; Field::COUNT],
}

impl Record {
    fn set(&mut self, field: Field, mut value: Vec<u8>) {
        value.truncate(field.most_bytes());
        if let Some(slot) = self.values.get_mut(field as usize) {
            slot.get_or_insert(value);
        }
    }

    fn get(&self, field: Field) -> Option<&[u8]> {
        self.values.get(field as usize)?.as_deref()
    }

    /// When it happened: the time its sender gave where there is one, else that of its arrival, as the short forms of
    /// journalctl(1) have it (systemd `src/shared/logs-show.c`).
    fn time(&self) -> Option<Timestamp> {
        let micros = |field| {
            let micros = std::str::from_utf8(self.get(field)?).ok()?.parse().ok()?;
            (1..MOST_REALTIME).contains(&micros).then_some(Timestamp(micros))
        };
        micros(Field::SourceTime).or_else(|| micros(Field::Time))
    }

    fn message_lines(&self) -> impl Iterator<Item = &[u8]> {
        self.get(Field::Message).into_iter().flat_map(|message| message.split(|byte| *byte == b'\n'))
    }

    /// Writes the line that syslog would have written, without its end: of a message of several lines the first. False
    /// when there is no message.
    pub(super) fn write_line(&self, out: &mut Vec<u8>) -> bool {
        let Some(first) = self.message_lines().next() else { return false };
        let first = first.strip_suffix(b"\r").unwrap_or(first);
        let identifier = self.get(Field::Identifier).or_else(|| self.get(Field::Command)).unwrap_or(b"-");
        let is_mail = |program| !matches!(program, Program::Other(_));
        // A container's output, through Docker's journald driver: the line within has its own tag.
        if !is_mail(syslog::program(identifier)) && frame(first).is_some_and(|inner| is_mail(inner.program)) {
            out.extend_from_slice(first);
            return true;
        }
        if let Some(time) = self.time() {
            out.extend_from_slice(time.to_string().as_bytes());
            out.push(b' ');
        }
        if let Some(host) = self.get(Field::Host).filter(|host| !host.is_empty()) {
            out.extend(host.iter().map(|byte| word_byte(*byte)));
            out.push(b' ');
        }
        out.extend(identifier.iter().map(|byte| word_byte(*byte)));
        if let Some(pid) = self.get(Field::SyslogPid).or_else(|| self.get(Field::Pid))
            && !pid.is_empty()
            && pid.iter().all(u8::is_ascii_digit)
        {
            out.push(b'[');
            out.extend_from_slice(pid);
            out.push(b']');
        }
        out.extend_from_slice(b": ");
        out.extend_from_slice(first);
        true
    }
}

/// A host's or a program's name is one word; a tag ends at its bracket.
const fn word_byte(byte: u8) -> u8 {
    match byte {
        0..=b' ' | b'[' | b']' | 0x7F => b'_',
        _ => byte,
    }
}

/// True for `NAME=value` with a name that the journal takes.
pub(super) fn is_field(line: &[u8]) -> bool {
    memchr(b'=', line).is_some_and(|end| line.get(..end).is_some_and(is_name))
}

fn is_name(name: &[u8]) -> bool {
    let is_start = name.first().is_some_and(|byte| byte.is_ascii_uppercase() || *byte == b'_');
    is_start && name.len() <= 64 && name.iter().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || *b == b'_')
}

/// Turns an export stream into lines, as many as were read.
#[derive(Default)]
pub(super) struct Export {
    record: Record,
    /// Line ends read since the last record's end.
    line_ends: usize,
    /// The begun line, as far as it is kept.
    line: Vec<u8>,
    value: Option<Binary>,
}

/// A value in binary form.
struct Binary {
    field: Option<Field>,
    /// Its length, little-endian, and how many bytes of that have come.
    len: [u8; 8],
    len_read: usize,
    left: u64,
    bytes: Vec<u8>,
}

impl Export {
    pub(super) fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) {
        while !input.is_empty() {
            input = match self.value.take() {
                Some(value) => self.binary(value, input, out),
                None => self.text(input, out),
            };
        }
    }

    pub(super) fn finish(&mut self, out: &mut Vec<u8>) {
        if let Some(Binary { field: Some(field), bytes, .. }) = self.value.take()
            && !bytes.is_empty()
        {
            self.record.set(field, bytes);
        }
        let line = std::mem::take(&mut self.line);
        if !line.is_empty() {
            self.field(&line, false, out);
        }
        self.end_record(out);
    }

    /// Bytes kept for the record that is being read.
    #[cfg(test)]
    pub(super) fn size(&self) -> usize {
        let values = self.record.values.iter().flatten().map(Vec::len).sum::<usize>();
        values + self.line.len() + self.value.as_ref().map_or(0, |value| value.bytes.len())
    }

    /// Takes a line, or the beginning of one; gives the rest.
    fn text<'a>(&mut self, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let end = memchr(b'\n', input);
        let piece = end.and_then(|end| input.get(..end)).unwrap_or(input);
        // Beyond the longest value that is kept, nothing of a line is.
        let room = (MAX_LINE_BYTES + VALUE_BYTES).saturating_sub(self.line.len());
        self.line.extend_from_slice(piece.get(..room).unwrap_or(piece));
        let Some(end) = end else { return &[] };
        let line = std::mem::take(&mut self.line);
        self.field(&line, true, out);
        self.line = line;
        self.line.clear();
        input.get(end + 1..).unwrap_or_default()
    }

    fn field(&mut self, line: &[u8], has_end: bool, out: &mut Vec<u8>) {
        let name_len = memchr(b'=', line).unwrap_or(line.len());
        let (name, value) = line.split_at_checked(name_len).unwrap_or_default();
        if line.is_empty() {
            self.line_ends += 1;
            self.end_record(out);
        } else if !is_name(name) {
            // Not the journal's: it goes through as it is.
            self.end_record(out);
            out.extend_from_slice(line);
            if has_end {
                out.push(b'\n');
            }
        } else {
            self.line_ends += usize::from(has_end);
            match value.split_first() {
                Some((_, value)) => {
                    if let Some(field) = Field::named(name) {
                        self.record.set(field, value.to_vec());
                    }
                }
                None => {
                    let field = Field::named(name);
                    self.value = Some(Binary { field, len: [0; 8], len_read: 0, left: 0, bytes: Vec::new() });
                }
            }
        }
    }

    /// Takes some of a binary value; gives the rest.
    fn binary<'a>(&mut self, mut value: Binary, input: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        if value.len_read < value.len.len() {
            let Some((byte, rest)) = input.split_first() else { return input };
            if let Some(slot) = value.len.get_mut(value.len_read) {
                *slot = *byte;
            }
            value.len_read += 1;
            self.line_ends += usize::from(*byte == b'\n');
            value.left = u64::from_le_bytes(value.len);
            // No length the journal knows: what seemed to be a field's name was not. The bytes are lost to the record.
            if value.len_read == value.len.len() && value.left > MOST_VALUE_BYTES {
                self.end_record(out);
                return rest;
            }
            self.value = Some(value);
            return rest;
        }
        let taken = usize::try_from(value.left).unwrap_or(usize::MAX).min(input.len());
        let (piece, rest) = input.split_at_checked(taken).unwrap_or_default();
        self.line_ends += memchr_iter(b'\n', piece).count();
        if let Some(field) = value.field {
            let room = field.most_bytes().saturating_sub(value.bytes.len());
            value.bytes.extend_from_slice(piece.get(..room).unwrap_or(piece));
        }
        value.left -= taken as u64;
        if value.left > 0 || rest.is_empty() {
            self.value = Some(value);
            return rest;
        }
        if let Some(field) = value.field {
            self.record.set(field, value.bytes);
        }
        // The line end behind the value.
        match rest.strip_prefix(b"\n") {
            Some(rest) => {
                self.line_ends += 1;
                rest
            }
            None => rest,
        }
    }

    /// Writes the record's line, its further lines as continuations, and empty lines up to where it ended.
    fn end_record(&mut self, out: &mut Vec<u8>) {
        let record = std::mem::take(&mut self.record);
        let mut left = std::mem::take(&mut self.line_ends);
        if record.write_line(out) {
            for line in record.message_lines().skip(1).take(left.saturating_sub(1)) {
                out.extend_from_slice(b"\n ");
                out.extend_from_slice(line);
                left -= 1;
            }
        }
        out.resize(out.len() + left, b'\n');
    }
}

/// An object of a JSON log, Docker's or the journal's.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Object {
    log: Value,
    time: Value,
    stream: Value,
    #[serde(rename = "_SOURCE_REALTIME_TIMESTAMP")]
    source_time: Value,
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    arrival: Value,
    #[serde(rename = "_HOSTNAME")]
    host: Value,
    #[serde(rename = "SYSLOG_IDENTIFIER")]
    identifier: Value,
    #[serde(rename = "_COMM")]
    command: Value,
    #[serde(rename = "SYSLOG_PID")]
    syslog_pid: Value,
    #[serde(rename = "_PID")]
    pid: Value,
    #[serde(rename = "MESSAGE")]
    message: Value,
}

/// What an object is.
pub(super) enum Meant {
    /// A piece of a container's output: text and time as Docker has them.
    Output {
        text: String,
        time: String,
        is_error: bool,
    },
    Journal(Record),
}

impl Object {
    /// `None` for what is no JSON object.
    pub(super) fn read(json: &[u8]) -> Option<Meant> {
        let object: Self = serde_json::from_slice(json).ok()?;
        if let (Value::String(text), Value::String(time)) = (object.log, object.time) {
            return Some(Meant::Output { text, time, is_error: object.stream == "stderr" });
        }
        let mut record = Record::default();
        for (field, value) in [
            (Field::SourceTime, object.source_time),
            (Field::Time, object.arrival),
            (Field::Host, object.host),
            (Field::Identifier, object.identifier),
            (Field::Command, object.command),
            (Field::SyslogPid, object.syslog_pid),
            (Field::Pid, object.pid),
            (Field::Message, object.message),
        ] {
            if let Some(value) = bytes(value) {
                record.set(field, value);
            }
        }
        Some(Meant::Journal(record))
    }
}

/// A value as bytes: a text, a number, an array of byte numbers, or the first of an array of values. `None` for `null`,
/// which stands for a value that was too long.
fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.into_bytes()),
        Value::Number(number) => Some(number.to_string().into_bytes()),
        Value::Array(items) if items.iter().all(Value::is_number) => {
            items.iter().map(|item| u8::try_from(item.as_u64()?).ok()).collect()
        }
        Value::Array(items) => bytes(items.into_iter().next()?),
        Value::Null | Value::Bool(_) | Value::Object(_) => None,
    }
}
