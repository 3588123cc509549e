//! Which files are read, in which form their bytes come, and what was wrong with them. Lines and mail are not known
//! here.

use std::io;

pub mod decompress;
pub mod portion;
pub mod source;

/// An input that could not be read, or not to its end: named on stderr and in `summary.json`, exit status 3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The input as the user knows it.
    pub source: String,
    /// What happened, where, and what it means.
    pub what: String,
    /// True when nothing of the input could be read.
    pub is_unreadable: bool,
}

impl Problem {
    /// An input that could not be opened or begun.
    pub fn unreadable(source: &str, error: &io::Error) -> Self {
        let what = match error.kind() {
            io::ErrorKind::NotFound => "no such file or directory".to_string(),
            io::ErrorKind::PermissionDenied => {
                "permission denied; run as a user who may read it (on Debian: root or a member of group adm)"
                    .to_string()
            }
            _ => error.to_string(),
        };
        Self { source: source.to_string(), what, is_unreadable: true }
    }
}
