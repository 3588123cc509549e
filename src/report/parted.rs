//! A table of the archive: a Parquet file for each UTC day and host, in directories as Hive names them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::schema::Schema;
use super::tables::{Cell, LongTable};
use crate::archive::record::file_path;
use crate::mail::address::printable;

/// Rows in memory, over all files.
const ROWS: usize = 65_536;
/// Files that are open at one time.
const OPEN: usize = 128;

/// The files of one table while they are written.
pub struct Parted {
    schema: &'static Schema,
    aside: PathBuf,
    generation: u64,
    /// End of the files' names.
    end: &'static str,
    open: BTreeMap<(i64, Option<String>), Open>,
    /// How many files of a day and host are finished.
    numbers: BTreeMap<(i64, Option<String>), u32>,
    waiting: usize,
    finished: Vec<PartFile>,
    failed: Option<io::Error>,
}

struct Open {
    table: LongTable,
    path: String,
}

/// A file that is written.
pub struct PartFile {
    /// Below the directory.
    pub path: String,
    pub day: i64,
    pub bytes: u64,
    pub rows: u64,
}

impl Parted {
    /// Files in `aside`, named after the run and with this end.
    pub fn new(schema: &'static Schema, aside: &Path, generation: u64, end: &'static str) -> Self {
        Self {
            schema,
            aside: aside.to_path_buf(),
            generation,
            end,
            open: BTreeMap::new(),
            numbers: BTreeMap::new(),
            waiting: 0,
            finished: Vec::new(),
            failed: None,
        }
    }

    pub fn push<const N: usize>(&mut self, day: i64, host: Option<&[u8]>, row: [Cell; N]) {
        if self.failed.is_none()
            && let Err(error) = self.put(day, host, row)
        {
            self.failed = Some(error);
        }
    }

    fn put<const N: usize>(&mut self, day: i64, host: Option<&[u8]>, row: [Cell; N]) -> io::Result<()> {
        let key = (day, host.map(|host| printable(host).into_owned()));
        if !self.open.contains_key(&key) {
            if self.open.len() >= OPEN {
                self.close_all()?;
            }
            let number = self.numbers.entry(key.clone()).or_default();
            let path = file_path(self.schema.name, day, key.1.as_deref(), self.generation, *number, self.end);
            *number += 1;
            let full = self.aside.join(&path);
            full.parent().map_or(Ok(()), fs::create_dir_all)?;
            let table = LongTable::create_parquet(self.schema, &full, host.map(|_| "host"))?;
            self.open.insert(key.clone(), Open { table, path });
        }
        let Some(open) = self.open.get_mut(&key) else { return Ok(()) };
        let before = open.table.waiting();
        open.table.push(row);
        self.waiting = (self.waiting + open.table.waiting()).saturating_sub(before);
        if self.waiting >= ROWS
            && let Some(most) = self.open.values_mut().max_by_key(|open| open.table.waiting())
        {
            self.waiting -= most.table.waiting().min(self.waiting);
            most.table.flush();
        }
        Ok(())
    }

    fn close_all(&mut self) -> io::Result<()> {
        for ((day, _), open) in std::mem::take(&mut self.open) {
            let rows = open.table.finish()?;
            let file = File::open(self.aside.join(&open.path))?;
            file.sync_all()?;
            self.finished.push(PartFile { path: open.path, day, bytes: file.metadata()?.len(), rows });
        }
        self.waiting = 0;
        Ok(())
    }

    /// Ends all files; gives them.
    ///
    /// # Errors
    /// The first that any row met.
    pub fn finish(mut self) -> io::Result<Vec<PartFile>> {
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.close_all()?;
        Ok(self.finished)
    }
}
