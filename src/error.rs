//! The few things that stop a run. What is wrong with single lines or files is counted (see `tally`), not raised.

use std::fmt;
use std::path::PathBuf;

/// Why a run stopped. Each message says what, where and what to do, in lower case.
#[derive(Debug)]
pub enum Error {
    /// Arguments or configuration that make no sense together: exit status 2.
    Usage(String),
    /// A rule or taxonomy file that is not well-formed or fails its own samples: exit status 1.
    Rules { file: String, problem: String },
    /// None of the given inputs could be opened: exit status 1. `said` names each with its problem.
    NothingReadable { said: String, inputs: usize },
    /// A signal came: exit status 128 and its number.
    Interrupted { signal: u8 },
    /// No input, or no line of a mail server in it: exit status 10.
    NoMailLines(String),
    /// Another run works on the archive: exit status 11.
    Locked { path: PathBuf },
    /// The archive could not be read or written: exit status 1.
    Archive { path: PathBuf, problem: String },
    /// More memory was needed than `--memory-limit` allows: exit status 1.
    Memory { used: String, limit: String },
    /// A letter could not be mailed: exit status 1.
    Undelivered(String),
    /// A partial could not be read: exit status 1.
    Partial { path: PathBuf, problem: String },
    /// The reports could not be written: exit status 1.
    Output { path: PathBuf, problem: String },
}

impl Error {
    /// The process's exit status for this error (contract.md section 1).
    pub const fn exit_status(&self) -> u8 {
        match self {
            Self::Rules { .. }
            | Self::NothingReadable { .. }
            | Self::Memory { .. }
            | Self::Undelivered(_)
            | Self::Output { .. }
            | Self::Archive { .. }
            | Self::Partial { .. } => 1,
            Self::Usage(_) => 2,
            Self::NoMailLines(_) => 10,
            Self::Locked { .. } => 11,
            Self::Interrupted { signal } => 128 + *signal,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(problem) | Self::NoMailLines(problem) | Self::Undelivered(problem) => f.write_str(problem),
            Self::Rules { file, problem } => write!(f, "{file}: {problem}"),
            Self::NothingReadable { said, inputs: 1 } => {
                write!(f, "{said}the input could not be read; nothing was written")
            }
            Self::NothingReadable { said, inputs } => {
                write!(f, "{said}none of the {inputs} inputs could be read; nothing was written")
            }
            Self::Interrupted { signal } => write!(f, "stopped by signal {signal}; nothing was written"),
            Self::Memory { used, limit } => write!(
                f,
                "{used} of memory were in use, --memory-limit allows {limit}; nothing was written. Give it more, or \
                 fewer logs at once"
            ),
            Self::Locked { path } => {
                write!(f, "{}: another run works on this archive; try again when it is done", path.display())
            }
            Self::Archive { path, problem } => write!(f, "{}: the archive: {problem}", path.display()),
            Self::Partial { path, problem } => {
                write!(
                    f,
                    "{}: no partial that can be merged: {problem}; make it again with `mailsleuth map`",
                    path.display()
                )
            }
            Self::Output { path, problem } => write!(f, "{}: cannot write: {problem}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

/// `; did you mean 'x'?` for the known word that a mistyped one is most like; nothing where none is.
pub fn did_you_mean<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> String {
    closest(word, known).map_or_else(String::new, |one| format!("; did you mean '{one}'?"))
}

/// The known word that a mistyped one is most like; `None` where none is like it.
pub fn closest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let like = |one: &str| strsim::jaro_winkler(&word, &one.to_lowercase());
    let best = known.map(|one| (like(one), one)).max_by(|(a, _), (b, _)| a.total_cmp(b));
    best.filter(|(alike, _)| *alike >= 0.85).map(|(_, one)| one)
}

pub type Result<T> = std::result::Result<T, Error>;
