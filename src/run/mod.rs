//! The commands: each joins the stages its way. Threads and progress are here; parsing, thresholds and column names are
//! not.

pub mod accept;
pub mod analyze;
pub mod classify;
mod describe;
mod hints;
mod merge;
pub mod nightly;
mod replay;
pub mod report;
pub mod rules;
mod scan;
mod sources;
mod told;

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
