//! Which files the arguments name.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::Problem;
use super::decompress::{BytesRead, Text};

/// One input: a file, a pipe, or standard input.
#[derive(Debug, Clone)]
pub struct Source {
    /// As the user wrote it, a file found in a directory with the directory in front; `-` is standard input.
    pub name: String,
    /// `None` for standard input.
    path: Option<PathBuf>,
    /// Compressed size, 0 where it is not known beforehand.
    pub bytes: u64,
    /// Seconds since 1970.
    pub modified: Option<i64>,
    /// Named by the user, not found by searching.
    pub is_named: bool,
    /// A pipe or standard input: it can be read once only, from front to back.
    pub is_stream: bool,
}

impl Source {
    /// The text of this input from its beginning.
    ///
    /// # Errors
    /// What opening or the first read gives.
    pub fn open(&self, all: BytesRead) -> io::Result<Text> {
        match &self.path {
            Some(path) => Text::open(File::open(path)?, all),
            None => Text::new(Box::new(io::stdin()) as Box<dyn Read + Send>, all),
        }
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

/// What the arguments led to.
#[derive(Debug, Default)]
pub struct Found {
    pub sources: Vec<Source>,
    pub problems: Vec<Problem>,
    /// Files in searched directories that another file there stands for, with the reason.
    pub passed_over: Vec<(String, &'static str)>,
}

/// The inputs that `arguments` name: files, directories (searched), globs, `-`. Each file once, in the order found.
pub fn find(arguments: &[String]) -> Found {
    let mut found = Found::default();
    let mut seen = std::collections::HashSet::new();
    for argument in arguments {
        if argument == "-" {
            if seen.insert((0, 0)) {
                found.sources.push(Source {
                    name: "-".into(),
                    path: None,
                    bytes: 0,
                    modified: None,
                    is_named: true,
                    is_stream: true,
                });
            }
            continue;
        }
        let path = Path::new(argument);
        match fs::metadata(path) {
            Ok(_) => add(path, true, &mut found, &mut seen),
            Err(error) if error.kind() == io::ErrorKind::NotFound && has_wildcard(argument) => {
                add_glob(argument, &mut found, &mut seen);
            }
            Err(error) => found.problem(argument, &error),
        }
    }
    found
}

impl Found {
    fn problem(&mut self, name: &str, error: &io::Error) {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_string(),
            io::ErrorKind::PermissionDenied => {
                "permission denied; run as a user who may read it (on Debian: root or a member of group adm)"
                    .to_string()
            }
            _ => error.to_string(),
        };
        self.problems.push(Problem { source: name.to_string(), what, is_unreadable: true });
    }
}

fn has_wildcard(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

type Seen = std::collections::HashSet<(u64, u64)>;

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
    if !seen.insert((metadata.dev(), metadata.ino())) {
        return;
    }
    let modified = metadata.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    found.sources.push(Source {
        name,
        path: Some(path.to_path_buf()),
        bytes: if metadata.is_file() { metadata.len() } else { 0 },
        modified: modified.and_then(|since| i64::try_from(since.as_secs()).ok()),
        is_named,
        is_stream: !metadata.is_file(),
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

/// True when standard input is a person's terminal: nothing will come from there by itself.
pub fn stdin_is_terminal() -> bool {
    io::stdin().is_terminal()
}
