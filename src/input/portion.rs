//! A part of a text: from where an earlier run ended to where this one does.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::decompress::Text;

/// How much of a text's end is remembered, to know the place again.
pub const TAIL_BYTES: usize = 4 << 10;

/// Which bytes of the decompressed text are read, and how far that came.
#[derive(Debug, Clone)]
pub struct Portion {
    pub from: u64,
    /// Where it ends; `u64::MAX` for the end of the text.
    pub to: u64,
    reached: Arc<Mutex<Mark>>,
}

/// A place in a text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// In bytes of the decompressed text.
    pub offset: u64,
    /// The bytes before it that were read, [`TAIL_BYTES`] at the most.
    pub tail: Vec<u8>,
}

impl Portion {
    pub fn new(from: u64, to: u64) -> Self {
        Self { from, to, reached: Arc::default() }
    }

    /// Where the last reading of it ended.
    pub fn reached(&self) -> Mark {
        self.reached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Begins to read: `open` gives the text, for a plain one from the place asked for on, and where that is.
    pub(super) fn begin(&self, open: impl FnOnce(u64) -> io::Result<(Text, u64)>) -> io::Result<Reading> {
        let (mut text, at) = open(self.from)?;
        // A compressed text has to be gone through; where it is shorter there is nothing more to read.
        io::copy(&mut text.by_ref().take(self.from - at), &mut io::sink())?;
        let begin = Mark { offset: self.from, tail: Vec::new() };
        *self.reached.lock().unwrap_or_else(PoisonError::into_inner) = begin;
        Ok(Reading { text, left: self.to.saturating_sub(self.from), reached: Some(Arc::clone(&self.reached)) })
    }
}

/// A text, or a portion of it, while it is read.
pub struct Reading {
    text: Text,
    /// Bytes that may still be read.
    left: u64,
    reached: Option<Arc<Mutex<Mark>>>,
}

impl Reading {
    pub(super) const fn whole(text: Text) -> Self {
        Self { text, left: u64::MAX, reached: None }
    }

    /// Seconds since 1970 from the first gzip member's header, where it has them.
    pub const fn gzip_time(&self) -> Option<i64> {
        self.text.gzip_time
    }

    /// Bytes taken from the compressed stream and used so far.
    pub fn offset(&self) -> u64 {
        self.text.offset()
    }
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let wanted = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let into = into.get_mut(..wanted).unwrap_or_default();
        let read = self.text.read(into)?;
        self.left -= read as u64;
        if let Some(reached) = &self.reached {
            let new = into.get(..read).unwrap_or_default();
            let mut mark = reached.lock().unwrap_or_else(PoisonError::into_inner);
            mark.offset += read as u64;
            mark.tail.extend_from_slice(new.get(new.len().saturating_sub(TAIL_BYTES)..).unwrap_or_default());
            let beyond = mark.tail.len().saturating_sub(TAIL_BYTES);
            mark.tail.drain(..beyond);
        }
        Ok(read)
    }
}
