//! Realistic mail-server traffic with an exact truth, and a score of what mailsleuth makes of it.
//!
//!     cargo run --release --example traffic -- make --seed 1 --accounts 1500 --days 7 --mta postfix --out DIR
//!     mailsleuth analyze --timezone UTC --format csv,json --out DIR/report DIR/logs
//!     cargo run --release --example traffic -- score --truth DIR/truth.json --report DIR/report
//!
//! Written from the patterns of detectors.md alone, without a look at how they are detected: nothing here knows a threshold.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program for the console")]
#![allow(clippy::indexing_slicing, reason = "a generator: all indexes come from its own tables")]

mod exim;
mod incident;
mod make;
mod model;
mod place;
mod postfix;
mod rng;
mod score;
mod sink;
mod truth;
mod world;

use std::{process::ExitCode, time::Instant};

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Makes mail-server traffic with a known truth, and scores reports on it")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Write logs and truth.json
    Make(make::Make),
    /// Compare a report with the truth
    Score(score::Score),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Make(make) => {
            let start = Instant::now();
            make::run(&make).map(|(lines, bytes)| {
                let seconds = start.elapsed().as_secs_f64();
                eprintln!(
                    "{lines} lines, {:.1} MB in {seconds:.2} s ({:.0} MB/s)",
                    bytes as f64 / 1e6,
                    bytes as f64 / 1e6 / seconds
                );
            })
        }
        Command::Score(score) => score::run(&score),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("traffic: {error}");
            ExitCode::FAILURE
        }
    }
}
