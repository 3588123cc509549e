//! Which files are read, in which form their bytes come, and what was wrong with them. Lines and mail are not known
//! here.

pub mod decompress;
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
