//! Puts lines into the order of their time and writes them with the stamp of the wanted form.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    fmt::Write as _,
    fs::File,
    io::{self, BufWriter, Write as _},
    path::Path,
};

use clap::ValueEnum;

use crate::model::{DAY, EPOCH, SECOND};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stamps {
    Rfc3339,
    Bsd,
    /// Exim's own, by second.
    #[value(skip)]
    Exim,
}

pub struct Sink {
    out: BufWriter<File>,
    stamps: Stamps,
    host: String,
    waiting: BinaryHeap<Reverse<(u64, u64, String)>>,
    spare: Vec<String>,
    sequence: u64,
    /// Lines at or after this time are not written: the log ends here.
    pub end: u64,
    second: u64,
    stamp: String,
    pub bytes: u64,
    pub lines: u64,
}

impl Sink {
    pub fn create(path: &Path, stamps: Stamps, host: &str, end: u64) -> io::Result<Self> {
        Ok(Sink {
            out: BufWriter::with_capacity(1 << 18, File::create(path)?),
            stamps,
            host: host.to_owned(),
            waiting: BinaryHeap::new(),
            spare: Vec::new(),
            sequence: 0,
            end,
            second: u64::MAX,
            stamp: String::new(),
            bytes: 0,
            lines: 0,
        })
    }

    /// An empty buffer for a line.
    pub fn buffer(&mut self) -> String {
        self.spare.pop().unwrap_or_default()
    }

    pub fn line(&mut self, at: u64, text: String) {
        if at < self.end {
            self.sequence += 1;
            self.waiting.push(Reverse((at, self.sequence, text)));
        } else {
            self.reuse(text);
        }
    }

    /// Writes all that happened before `at`; nothing earlier may come after.
    pub fn flush_until(&mut self, at: u64) -> io::Result<()> {
        while self.waiting.peek().is_some_and(|Reverse((first, _, _))| *first < at) {
            let Some(Reverse((at, _, text))) = self.waiting.pop() else { break };
            self.write(at, &text)?;
            self.reuse(text);
        }
        Ok(())
    }

    pub fn finish(&mut self) -> io::Result<()> {
        self.flush_until(u64::MAX)?;
        self.out.flush()
    }

    fn reuse(&mut self, mut text: String) {
        if self.spare.len() < 256 {
            text.clear();
            self.spare.push(text);
        }
    }

    fn write(&mut self, at: u64, text: &str) -> io::Result<()> {
        if at / SECOND != self.second {
            self.second = at / SECOND;
            self.stamp.clear();
            let (_, month, day) = date(at);
            let (h, m, s) = clock(at);
            let names = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            let name = names.get(month as usize - 1).copied().unwrap_or("Jan");
            let written = match self.stamps {
                Stamps::Rfc3339 => write!(self.stamp, "{}T{h:02}:{m:02}:{s:02}.", day_text(at)),
                Stamps::Bsd => write!(self.stamp, "{name} {day:2} {h:02}:{m:02}:{s:02} {} ", self.host),
                Stamps::Exim => write!(self.stamp, "{} {h:02}:{m:02}:{s:02} ", day_text(at)),
            };
            debug_assert!(written.is_ok());
        }
        self.out.write_all(self.stamp.as_bytes())?;
        let mut bytes = self.stamp.len() + text.len() + 1;
        if self.stamps == Stamps::Rfc3339 {
            let rest = at % SECOND;
            let digits: [u8; 6] = std::array::from_fn(|i| b'0' + (rest / 10u64.pow(5 - i as u32) % 10) as u8);
            self.out.write_all(&digits)?;
            self.out.write_all(b"+00:00 ")?;
            self.out.write_all(self.host.as_bytes())?;
            self.out.write_all(b" ")?;
            bytes += digits.len() + 8 + self.host.len();
        }
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")?;
        self.bytes += bytes as u64;
        self.lines += 1;
        Ok(())
    }
}

/// Year, month, day of a time.
pub fn date(at: u64) -> (u64, u64, u64) {
    // Howard Hinnant's civil_from_days, for days after 1970.
    let z = (EPOCH + at / SECOND) / 86_400 + 719_468;
    let era = z / 146_097;
    let doe = z - era * 146_097;
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + u64::from(month <= 2), month, doy - (153 * mp + 2) / 5 + 1)
}

pub fn clock(at: u64) -> (u64, u64, u64) {
    let s = at % DAY / SECOND;
    (s / 3600, s / 60 % 60, s % 60)
}

pub fn day_text(at: u64) -> String {
    let (y, m, d) = date(at);
    format!("{y:04}-{m:02}-{d:02}")
}

pub fn rfc3339(at: u64) -> String {
    let (h, m, s) = clock(at);
    format!("{}T{h:02}:{m:02}:{s:02}.{:06}Z", day_text(at), at % SECOND)
}
