//! Which files the arguments name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use memchr::memchr;
use serde::{Deserialize, Serialize};

use super::Problem;
use super::decompress::{self, BytesRead, Format, Text};
use super::portion::{Portion, Reading};
use crate::error::{Error, Result};

/// One input: a file, a pipe, or standard input.
#[derive(Debug, Clone)]
pub struct Source {
    /// As the user wrote it, a file found in a directory with the directory in front; `-` is standard input.
    pub name: String,
    /// `None` for standard input. Links are followed when a file is found, not when it is read.
    path: Option<PathBuf>,
    /// Device and inode of a regular file, as it was found.
    identity: Option<Identity>,
    /// Compressed size, 0 where it is not known beforehand.
    pub bytes: u64,
    /// Seconds since 1970.
    pub modified: Option<i64>,
    /// Named by the user, not found by searching.
    pub is_named: bool,
    /// A pipe or standard input: it can be read once only, from front to back.
    pub is_stream: bool,
    /// What of its text is read; `None` for all of it.
    pub portion: Option<Portion>,
}

impl Source {
    /// The text of this input, or the portion of it that is to be read, from its beginning.
    ///
    /// A regular file is the one that was found, whatever its name is by now. Of a plain one that grows, what was there
    /// now is read, and the rest of the line that was begun.
    ///
    /// # Errors
    /// What opening or the first read gives; `NotFound` for a file that is gone since it was found.
    pub fn open(&self, all: BytesRead) -> io::Result<Reading> {
        match &self.portion {
            Some(portion) => portion.begin(|from| self.text(from, all)),
            None => Ok(Reading::whole(self.text(0, all)?.0)),
        }
    }

    /// The text, of a plain file from byte `from` on; and where it begins.
    fn text(&self, from: u64, all: BytesRead) -> io::Result<(Text, u64)> {
        Ok((self.opened(from, all)?, if self.is_plain()? { from } else { 0 }))
    }

    /// The same input, of which a part is read.
    pub fn with_portion(&self, portion: Portion) -> Self {
        Self { portion: Some(portion), ..self.clone() }
    }

    /// True for a regular file that is not packed.
    ///
    /// # Errors
    /// What opening or reading its first bytes gives.
    pub fn is_plain(&self) -> io::Result<bool> {
        let (Some(path), Some(wanted)) = (&self.path, self.identity) else { return Ok(false) };
        let (file, len) = opened(path, wanted)?;
        Ok(len.max(self.bytes) > 0 && is_plain(&file)?)
    }

    /// Reads some bytes of a regular file at a place, as they lie on the disk; fewer only at its end.
    ///
    /// # Errors
    /// What opening or reading gives.
    pub fn read_at(&self, at: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let (Some(path), Some(wanted)) = (&self.path, self.identity) else { return Ok(Vec::new()) };
        let (mut file, _) = opened(path, wanted)?;
        file.seek(SeekFrom::Start(at))?;
        let mut read = Vec::new();
        file.take(bytes as u64).read_to_end(&mut read)?;
        Ok(read)
    }

    /// What tells a regular file from every other state of it and from other files; `None` for a stream.
    pub fn stat(&self) -> Option<Stat> {
        let metadata = fs::metadata(self.path.as_ref()?).ok().filter(|m| Some(identity(m)) == self.identity)?;
        let mtime_ns = metadata.mtime().saturating_mul(1_000_000_000).saturating_add(metadata.mtime_nsec());
        Some(Stat { dev: metadata.dev(), ino: metadata.ino(), bytes: metadata.len(), mtime_ns })
    }

    fn opened(&self, from: u64, all: BytesRead) -> io::Result<Text> {
        let Some(path) = &self.path else {
            return Text::new(Box::new(io::stdin()) as Box<dyn Read + Send>, all);
        };
        let Some(wanted) = self.identity else { return Text::open(File::open(path)?, all) };
        let (mut file, len) = opened(path, wanted)?;
        // What a system file says of its length may be nothing.
        if len.max(self.bytes) == 0 || !is_plain(&file)? {
            return Text::open(file, all);
        }
        file.seek(SeekFrom::Start(from))?;
        let snapshot = Box::new(Snapshot { read: from, ..Snapshot::new(file, len.max(self.bytes), len) });
        if from > 0 { Ok(Text::plain(snapshot, all)) } else { Text::new(snapshot, all) }
    }

    /// Where it lies; `None` for standard input.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The file's name without its directories.
    pub fn file_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or(&self.name)
    }

    /// The directory part of the name, empty without one.
    pub fn directory(&self) -> &str {
        self.name.rsplit_once('/').map_or("", |(directory, _)| directory)
    }
}

/// A state of a file: as long as all of it is the same, so is what the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub bytes: u64,
    pub mtime_ns: i64,
}

fn is_plain(file: &File) -> io::Result<bool> {
    let mut head = [0; 16];
    let filled = file.read_at(&mut head, 0)?;
    Ok(decompress::format(head.get(..filled).unwrap_or_default()) == Format::Plain)
}

/// Device and inode: a file under whatever name.
type Identity = (u64, u64);

fn identity(metadata: &fs::Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// The file `wanted`, and its length. Where its name belongs to another by now, or to none, rotation has renamed it: it
/// is looked for among the files beside it.
fn opened(path: &Path, wanted: Identity) -> io::Result<(File, u64)> {
    match open_if(path, wanted) {
        Ok(Some(found)) => return Ok(found),
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let directory = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A rotation that goes on meanwhile may rename it once more.
    for _ in 0..3 {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            if entry.metadata().is_ok_and(|m| m.is_file() && identity(&m) == wanted)
                && let Ok(Some(found)) = open_if(&entry.path(), wanted)
            {
                return Ok(found);
            }
        }
    }
    let what =
        "the file that was found is gone (rotated and compressed or removed since); run again for what took its place";
    Err(io::Error::new(io::ErrorKind::NotFound, what))
}

fn open_if(path: &Path, wanted: Identity) -> io::Result<Option<(File, u64)>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    Ok((identity(&metadata) == wanted).then_some((file, metadata.len())))
}

/// A plain file as it was when it was opened: what is appended afterwards does not count, but for the end of the line
/// that was begun.
struct Snapshot {
    file: File,
    read: u64,
    /// Its length when it was opened.
    len: u64,
    /// Its greatest length that was seen.
    known: u64,
    is_at_line_end: bool,
    is_done: bool,
}

impl Snapshot {
    fn new(file: File, known: u64, len: u64) -> Self {
        Self { file, read: 0, len, known, is_at_line_end: true, is_done: false }
    }

    /// The end, or that it came too early.
    fn end(&mut self) -> io::Result<usize> {
        if self.read >= self.known {
            self.is_done = true;
            return Ok(0);
        }
        let what = format!("the file became shorter while it was read (it had {} bytes)", self.known);
        Err(io::Error::other(what))
    }
}

impl Read for Snapshot {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.is_done || into.is_empty() {
            return Ok(0);
        }
        if self.read >= self.len && self.is_at_line_end {
            return self.end();
        }
        let left = self.len.saturating_sub(self.read);
        let read = match usize::try_from(left) {
            Ok(wanted @ 1..) if wanted < into.len() => self.file.read(into.get_mut(..wanted).unwrap_or_default())?,
            _ => self.file.read(into)?,
        };
        if read == 0 {
            return self.end();
        }
        let mut new = into.get(..read).unwrap_or_default();
        if left == 0
            && let Some(end) = memchr(b'\n', new)
        {
            new = new.get(..=end).unwrap_or_default();
        }
        self.read += new.len() as u64;
        self.is_at_line_end = new.last().is_some_and(|byte| *byte == b'\n');
        Ok(new.len())
    }
}

/// What the arguments led to.
#[derive(Debug, Default)]
pub struct Found {
    pub sources: Vec<Source>,
    pub problems: Vec<Problem>,
    /// Files in searched directories that another file there stands for, with the reason.
    pub passed_over: Vec<(String, &'static str)>,
    /// By directory: what the host of lines that name none was called before.
    pub hosts: BTreeMap<String, String>,
}

/// The inputs that `arguments` name: files, directories (searched), globs, `-`. Each file once, in the order found.
pub fn find(arguments: &[OsString]) -> Found {
    let mut found = Found::default();
    let mut seen = Seen::new();
    for argument in arguments {
        if argument == "-" {
            if seen.insert((0, 0)) {
                found.sources.push(Source {
                    name: "-".into(),
                    path: None,
                    identity: None,
                    bytes: 0,
                    modified: None,
                    is_named: true,
                    is_stream: true,
                    portion: None,
                });
            }
            continue;
        }
        let path = Path::new(argument);
        match fs::metadata(path) {
            Ok(_) => add(path, true, &mut found, &mut seen),
            Err(error) => match argument.to_str().filter(|text| has_wildcard(text)) {
                Some(pattern) if error.kind() == io::ErrorKind::NotFound => add_glob(pattern, &mut found, &mut seen),
                _ => found.problem(&argument.display().to_string(), &error),
            },
        }
    }
    found
}

impl Found {
    fn problem(&mut self, name: &str, error: &io::Error) {
        self.problems.push(Problem::unreadable(name, error));
    }
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

type Seen = std::collections::HashSet<Identity>;

fn add_glob(pattern: &str, found: &mut Found, seen: &mut Seen) {
    let paths = match glob::glob(pattern) {
        Ok(paths) => paths,
        Err(error) => {
            let what = format!("not a valid glob: {error}");
            found.problems.push(Problem { source: pattern.to_string(), what, is_unreadable: true });
            return;
        }
    };
    let mut any = false;
    for path in paths {
        any = true;
        match path {
            Ok(path) => add(&path, true, found, seen),
            Err(error) => {
                let name = error.path().display().to_string();
                found.problem(&name, error.error());
            }
        }
    }
    if !any {
        let what = "no file matches this glob".to_string();
        found.problems.push(Problem { source: pattern.to_string(), what, is_unreadable: true });
    }
}

fn add(path: &Path, is_named: bool, found: &mut Found, seen: &mut Seen) {
    let name = path.display().to_string();
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return found.problem(&name, &error),
    };
    if metadata.is_dir() {
        return add_directory(path, found, seen);
    }
    if !seen.insert(identity(&metadata)) {
        return;
    }
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    let is_file = metadata.is_file();
    let path = if is_file { fs::canonicalize(path).ok() } else { None }.unwrap_or_else(|| path.to_path_buf());
    found.sources.push(Source {
        name,
        path: Some(path),
        identity: is_file.then(|| identity(&metadata)),
        bytes: if is_file { metadata.len() } else { 0 },
        modified: modified.and_then(|since| i64::try_from(since.as_secs()).ok()),
        is_named,
        is_stream: !is_file,
        portion: None,
    });
}

/// The regular files below a directory, by name; hidden ones, links and other kinds are left alone. Where a mail log
/// lies beside files that syslog or Exim fills with a part of the same lines, those are passed over.
fn add_directory(directory: &Path, found: &mut Found, seen: &mut Seen) {
    let entries = match fs::read_dir(directory).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
        Ok(entries) => entries,
        Err(error) => return found.problem(&directory.display().to_string(), &error),
    };
    let mut entries: Vec<(String, PathBuf, fs::FileType)> = entries
        .into_iter()
        .filter_map(|e| Some((e.file_name().to_string_lossy().into_owned(), e.path(), e.file_type().ok()?)))
        .filter(|(name, _, _)| !name.starts_with('.'))
        .collect();
    entries.sort_by(|a, b| a.0.cmp(&b.0));
    let names: Vec<String> = entries.iter().filter(|e| e.2.is_file()).map(|e| e.0.clone()).collect();
    for (name, path, kind) in entries {
        if kind.is_dir() {
            add_directory(&path, found, seen);
        } else if kind.is_file() {
            match stands_in_for(&name, &names) {
                Some(reason) => found.passed_over.push((path.display().to_string(), reason)),
                None => add(&path, false, found, seen),
            }
        }
    }
}

/// Why `name` need not be read where `names` lie beside it.
fn stands_in_for(name: &str, names: &[String]) -> Option<&'static str> {
    let beside = |stem: &str| names.iter().any(|n| n.starts_with(stem));
    const PARTS: &[&str] = &["mail.info", "mail.warn", "mail.err", "syslog", "messages", "user.log"];
    if PARTS.iter().any(|part| name.starts_with(part)) && (beside("mail.log") || beside("maillog")) {
        return Some("syslog writes the same lines into the mail log beside it");
    }
    let is_part = name.contains("rejectlog") || name.contains("paniclog");
    if is_part && names.iter().any(|n| n.contains("mainlog")) {
        return Some("Exim writes the same events into the main log beside it");
    }
    None
}

/// Refuses `-` among the paths where standard input is a person's terminal: nothing will come from there by itself.
///
/// # Errors
/// [`Error::Usage`].
pub fn refuse_terminal(paths: &[OsString]) -> Result<()> {
    if paths.iter().any(|path| path == "-") && io::stdin().is_terminal() {
        return Err(Error::Usage("- reads standard input, but that is this terminal; pipe a log into it".into()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A directory of a test's own, gone when it is dropped.
    struct Place(PathBuf);

    impl Place {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("mailsleuth-source-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn write(&self, name: &str, text: &str) -> String {
            let path = self.0.join(name);
            fs::write(&path, text).unwrap();
            path.display().to_string()
        }
    }

    impl Drop for Place {
        fn drop(&mut self) {
            _ = fs::remove_dir_all(&self.0);
        }
    }

    fn found(path: &str) -> Source {
        find(&[path.into()]).sources.remove(0)
    }

    fn append(path: &str, text: &str) {
        fs::OpenOptions::new().append(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn text(source: &Source) -> io::Result<String> {
        let mut text = String::new();
        source.open(BytesRead::default())?.read_to_string(&mut text).map(|_| text)
    }

    #[test]
    fn a_file_that_was_renamed_is_still_the_one_that_is_read() {
        let place = Place::new("renamed");
        let log = place.write("mail.log", "old\n");
        let source = found(&log);
        fs::rename(&log, place.0.join("mail.log.1")).unwrap();
        assert_eq!(text(&source).unwrap(), "old\n", "no file has its name");
        place.write("mail.log", "new\n");
        assert_eq!(text(&source).unwrap(), "old\n", "another file has its name");
        fs::remove_file(place.0.join("mail.log.1")).unwrap();
        let error = text(&source).unwrap_err();
        assert!(error.kind() == io::ErrorKind::NotFound && error.to_string().contains("gone"), "{error}");
    }

    #[test]
    fn a_link_that_goes_elsewhere_by_now_is_read_as_it_was() {
        let place = Place::new("link");
        let old = place.write("mail.log-1", "old\n");
        let new = place.write("mail.log-2", "new\n");
        let link = place.0.join("current");
        std::os::unix::fs::symlink(&old, &link).unwrap();
        let source = found(&link.display().to_string());
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink(new, &link).unwrap();
        assert_eq!(text(&source).unwrap(), "old\n");
    }

    #[test]
    fn a_file_that_grows_is_read_as_it_was_and_to_the_end_of_its_line() {
        let place = Place::new("grows");
        let log = place.write("mail.log", "one\n");
        let source = found(&log);
        let mut stream = source.open(BytesRead::default()).unwrap();
        append(&log, "two\n");
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert_eq!(all, "one\n");
        append(&log, "thr");
        let file = || File::open(&log).unwrap();
        let cut = |len: u64| {
            let mut all = String::new();
            Snapshot::new(file(), len, len).read_to_string(&mut all).unwrap();
            all
        };
        assert_eq!(cut(11), "one\ntwo\nthr", "it does not grow");
        append(&log, "ee\nfour\n");
        assert_eq!(cut(11), "one\ntwo\nthree\n");
        assert_eq!(cut(5), "one\ntwo\n");
        assert_eq!(cut(0), "");
    }

    #[test]
    fn a_file_that_became_shorter_is_a_problem() {
        let place = Place::new("shorter");
        let log = place.write("mail.log", "one\ntwo\n");
        let source = found(&log);
        fs::write(&log, "new\n").unwrap();
        let mut all = String::new();
        let error = source.open(BytesRead::default()).unwrap().read_to_string(&mut all).unwrap_err();
        assert_eq!(all, "new\n");
        assert!(error.to_string().contains("shorter"), "{error}");
        fs::write(&log, "").unwrap();
        assert!(source.open(BytesRead::default()).is_err_and(|error| error.to_string().contains("shorter")));
    }
}
