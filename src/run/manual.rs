//! `completions` and `man`: the command line's own description, for shells and for man(1).

use std::io;
use std::path::PathBuf;

use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;

use super::Outcome;
use crate::cli::Cli;
use crate::error::{Error, Result, did_you_mean};

/// The script by which a shell completes this program's arguments.
pub fn completions(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mailsleuth", &mut script);
    printed(&script)
}

/// The manual page (roff, section 1) of the program, or of one command.
///
/// # Errors
/// [`Error::Usage`] for a command that is not there.
pub fn page(name: Option<&str>) -> Result<Outcome> {
    let mut program = Cli::command();
    // Names the pages of the commands: mailsleuth-analyze(1).
    program.build();
    let command = match name {
        None => Some(&program),
        Some(name) => program.find_subcommand(name),
    };
    let Some(command) = command else {
        let known = program.get_subcommands().map(clap::Command::get_name);
        let meant = did_you_mean(name.unwrap_or_default(), known);
        return Err(Error::Usage(format!("no such command{meant} (`mailsleuth --help` lists them)")));
    };
    let title = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut roff = Vec::new();
    Man::new(command.clone().disable_help_subcommand(true)).title(title).render(&mut roff).map_err(
        |error: io::Error| Error::Output { path: PathBuf::from("the manual page"), problem: error.to_string() },
    )?;
    Ok(printed(&roff))
}

fn printed(bytes: &[u8]) -> Outcome {
    Outcome { text: String::from_utf8_lossy(bytes).into_owned(), ..Outcome::default() }
}
