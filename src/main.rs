//! Arguments in, exit status out. Everything that prints is here.

use std::io::{self, Write};
use std::process::ExitCode;

use mailsleuth::cli::{Cli, Command};
use mailsleuth::error::Result;
use mailsleuth::mail::address::harmless;
use mailsleuth::run::{self, Outcome};

/// Millions of short texts are made by one thread and given back by another: the C library's allocator takes a sixth more
/// time for that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = Cli::read().and_then(|cli| match cli.command {
        Command::Analyze(args) => args.plan(cli.detection).and_then(|plan| run::analyze::run(&plan)),
        Command::Nightly(args) => {
            args.plan(cli.detection).and_then(|plan| run::nightly::run(&plan, &mut io::stdout().lock()))
        }
        Command::Report(args) => args.plan(cli.detection).and_then(|plan| run::report::run(&plan)),
        Command::Map(args) => args.plan().and_then(|plan| run::map::run(&plan)),
        Command::Merge(args) => args.plan(cli.detection).and_then(|plan| run::merge::run(&plan)),
        Command::Trace(args) => args.plan(cli.detection).and_then(|plan| run::trace::run(&plan)),
        Command::Accept(args) => args.plan().and_then(|plan| run::accept::run(&plan)),
        Command::Classify(args) => {
            run::classify::run(&args.plan(), &mut io::stdout().lock()).map(|()| Outcome::default())
        }
        Command::Completions { shell } => Ok(run::manual::completions(shell)),
        Command::Man { command } => run::manual::page(command.as_deref()),
        Command::Rules(args) => {
            run::rules::run(&args.plan(cli.detection), &mut io::stdout().lock()).map(|()| Outcome::default())
        }
    });
    ExitCode::from(close(outcome))
}

/// Prints what a run has to say; gives its exit status.
fn close(outcome: Result<Outcome>) -> u8 {
    match outcome {
        Ok(outcome) => {
            let mut status = outcome.status;
            for warning in &outcome.warnings {
                complain(warning);
            }
            if let Err(error) = io::stdout().lock().write_all(outcome.text.as_bytes())
                && error.kind() != io::ErrorKind::BrokenPipe
            {
                complain(&format!("cannot print the summary: {error}"));
                status = 1;
            }
            status
        }
        Err(error) => {
            complain(&error.to_string());
            error.exit_status()
        }
    }
}

/// A line on stderr. Where that cannot be written either, nobody is left to tell.
fn complain(text: &str) {
    let text: Vec<_> = text.split('\n').map(harmless).collect();
    _ = writeln!(io::stderr().lock(), "mailsleuth: {}", text.join("\n"));
}
