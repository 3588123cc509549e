//! The commands: each joins the stages its way. Threads and progress are here; parsing, thresholds and column names are
//! not.

pub mod accept;
pub mod analyze;
pub mod classify;
mod describe;
mod hints;
pub mod manual;
pub mod map;
mod memory;
pub mod merge;
pub mod nightly;
mod reader;
mod replay;
pub mod report;
pub mod rules;
mod scan;
mod seam;
mod sift;
mod sources;
mod told;
pub mod trace;

use std::time::{SystemTime, UNIX_EPOCH};

use rayon::ThreadPool;

use crate::error::{Error, Result};
use crate::input::Problem;
use crate::mail::address::printable;

/// The threads of a run: every part of it that is done side by side belongs inside.
fn pool(threads: usize) -> Result<ThreadPool> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| Error::Usage(format!("--threads {threads}: {error}")))
}

/// The clock's time, seconds since 1970.
fn now_s() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs().cast_signed())
}

/// Problems in front of an error: a line each, the last one begun.
fn said(problems: &[Problem]) -> String {
    problems.iter().map(|p| format!("{}: {}\nmailsleuth: ", printable(p.source.as_bytes()), p.what)).collect()
}

/// What to give instead of what holds no line of a mail server.
const WANTED_LOG: &str =
    "the log that the mail server writes (often /var/log/mail.log, /var/log/maillog or /var/log/exim4/mainlog)";

/// What a finished run tells the user.
#[derive(Debug, Default)]
pub struct Outcome {
    /// contract.md section 1: 0, 3 or 4.
    pub status: u8,
    /// For stderr, a line each.
    pub warnings: Vec<String>,
    /// For stdout.
    pub text: String,
}
