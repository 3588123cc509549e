//! The command line: what can be said, and the checked plan that it comes to.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use jiff::tz::TimeZone;

use crate::detect::{self, Severity};
use crate::error::{Error, Result};
use crate::mail::status::{Mta, Stage};
use crate::report::tables::Format;

/// Mines Postfix and Exim logs: why mail was deferred or refused, who is responsible, which accounts are abused.
#[derive(Debug, Parser)]
#[command(name = "mailsleuth", version, arg_required_else_help = true, max_term_width = 80, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// File with defaults for the options, under their names; default: /etc/mailsleuth/config.toml, where it is there
    #[arg(long, global = true, value_name = "FILE", env = "MAILSLEUTH_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,

    /// What the config file says of detection.
    #[arg(skip)]
    pub detection: detect::Settings,
}

impl Cli {
    /// What the command line, the environment and the config file say, in this order. Ends the program where clap has
    /// something to show: the help, the version, a mistake.
    ///
    /// # Errors
    /// [`Error::Usage`] for a mistake in the config file.
    pub fn read() -> Result<Self> {
        let arguments: Vec<_> = std::env::args_os().collect();
        let (command, detection) = crate::config::applied(Self::command(), &arguments)?;
        let matches = command.get_matches_from(arguments);
        let cli = Self::from_arg_matches(&matches).map_err(|error| Error::Usage(error.to_string()))?;
        Ok(Self { detection, ..cli })
    }
}

const EXAMPLES: &str = "\
Examples:
  mailsleuth analyze /var/log/mail.log*     one host's rotated logs
  mailsleuth analyze --out today /var/log   search a directory for mail logs
  mailsleuth classify '550 5.1.1 unknown'   what an answer means, what to do
  mailsleuth help analyze                   all options";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Logs in, per-sender reports out
    #[command(after_help = ANALYZE_EXAMPLES)]
    Analyze(AnalyzeArgs),
    /// What an SMTP answer means, or what a log line is
    #[command(after_help = CLASSIFY_EXAMPLES)]
    Classify(ClassifyArgs),
    /// The categories and rules, with the answers that prove them
    #[command(after_help = RULES_EXAMPLES)]
    Rules(RulesArgs),
}

const CLASSIFY_EXAMPLES: &str = "\
Examples:
  mailsleuth classify '550-5.7.26 This mail has been blocked because ...'
  mailsleuth classify --relay mx.example.com '451 4.7.1 Try again later'
  mailsleuth classify -v \"$(tail -n 1 /var/log/mail.log)\"
  grep status=deferred /var/log/mail.log | mailsleuth classify --json

A text that begins as a log line does is read as one; anything else is an answer.";

#[derive(Debug, Args)]
pub struct ClassifyArgs {
    /// SMTP answers or whole log lines; without any, the lines of standard input
    #[arg(value_name = "TEXT")]
    pub texts: Vec<OsString>,

    /// Name of the server that gave the answers
    #[arg(long, value_name = "HOST", default_value = "", hide_default_value = true)]
    pub relay: String,

    /// This host said them to its clients
    #[arg(long)]
    pub by_us: bool,

    /// Where in the dialogue they were given: connect, helo, auth, mail, rcpt, data, eod or queue
    #[arg(long, value_name = "STAGE", value_parser = stage)]
    pub stage: Option<Stage>,

    /// The mail server that logged them
    #[arg(long, value_enum, default_value_t = MtaArg::Auto, env = "MAILSLEUTH_MTA", hide_env = true)]
    pub mta: MtaArg,

    /// Rules of your own, before the built-in ones
    #[arg(long, value_name = "FILE", env = "MAILSLEUTH_RULES", hide_env = true, value_delimiter = ',')]
    pub rules: Vec<PathBuf>,

    /// Say how: the frame and entry of a log line, what the rules saw, which rules lost
    #[arg(short, long)]
    pub verbose: bool,

    /// One JSON object a line
    #[arg(long, env = "MAILSLEUTH_JSON", hide_env = true, value_parser = BoolishValueParser::new())]
    pub json: bool,
}

fn stage(word: &str) -> std::result::Result<Stage, String> {
    Stage::from_word(&word.to_ascii_lowercase()).ok_or_else(|| {
        let words: Vec<_> = Stage::ALL.iter().map(|stage| stage.word()).collect();
        format!("no such stage; one of {}", words.join(", "))
    })
}

const RULES_EXAMPLES: &str = "\
Examples:
  mailsleuth rules list                   every category with its rules
  mailsleuth rules show mailbox-full      a category, rule, list or provider
  mailsleuth rules show hourly-limit      a kind of findings with its limits
  mailsleuth rules check my-rules.toml    does every rule win its samples?";

#[derive(Debug, Args)]
#[command(arg_required_else_help = true)]
pub struct RulesArgs {
    #[command(subcommand)]
    pub action: RulesCommand,

    /// Rules of your own, before the built-in ones
    #[arg(long, global = true, value_name = "FILE", env = "MAILSLEUTH_RULES", hide_env = true, value_delimiter = ',')]
    pub rules: Vec<PathBuf>,

    /// One JSON object a line
    #[arg(long, global = true, env = "MAILSLEUTH_JSON", hide_env = true, value_parser = BoolishValueParser::new())]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum RulesCommand {
    /// Every category with its rules
    List,
    /// One rule, category, DNS list, provider, or kind of findings with its limits
    Show {
        /// Its id
        id: String,
    },
    /// Prove that every rule wins its own samples; without a file, the built-in ones
    #[command(after_long_help = format!("{RULE_FILE}\n{RULE_FILE_EXAMPLE}"))]
    Check {
        /// Rule files
        files: Vec<PathBuf>,
    },
}

const RULE_FILE: &str = "\
A rule file is TOML, one [[rule]] for each wording. Its keys:
  id        lower-case words joined by '-'; one that a built-in rule has
            replaces that rule
  category  what the answer means: `mailsleuth rules list` names them
  text      a regex over the answer's words behind its codes; letter case does
            not count. It sees the words without ids, addresses and numbers
            (`mailsleuth classify -v` shows them), but what it names itself
            stays. A group (?<dnsbl>...) takes out the name of a DNS list. A
            letter beyond ASCII cannot stand in [ ]: write (?:a|á)
  unless    a regex that must not match
  when      the circumstances, each one value or a list: mta (postfix, exim:
            that program's own words), service, by_us (this host said it to a
            client), provider, stage, permanent, smtp_code, enhanced_code
            (5.7.1, x.7.1 for 4.7.1 and 5.7.1, 5.7.606-649)
  wins      answers that the rule must win, at least one; tried under the
            circumstances of `when`, or as a table that says others: line, mta,
            service, by_us, stage, relay_host, permanent
  loses     answers that another rule must win: to, line
  source    where the wording is from
Before the first rule may stand broad = true (its rules are tried after the
others of their step) and step = '...': user (the default: before all built-in
rules), own, provider, list, text or last.

Example:";

/// A whole rule file.
const RULE_FILE_EXAMPLE: &str = "\
[[rule]]
id = 'example-slow-down'
category = 'rate-limited'
when = { smtp_code = [421, 450] }
text = '^slow down, .* per (?:hour|day)'
unless = 'connections'
source = 'postmaster.example.com'
wins = ['450 4.7.1 Slow down, 100 messages per hour']
loses = [{ to = 'unknown-user', line = '550 5.1.1 User unknown' }]";

/// What `classify` does.
#[derive(Debug)]
pub struct ClassifyPlan {
    pub texts: Vec<OsString>,
    /// Empty where it is not known.
    pub relay: String,
    pub by_us: bool,
    pub stage: Option<Stage>,
    pub mta: Mta,
    pub rules: Vec<PathBuf>,
    pub verbose: bool,
    pub json: bool,
}

impl ClassifyArgs {
    pub fn plan(self) -> ClassifyPlan {
        ClassifyPlan {
            texts: self.texts,
            // As logs have it: `mx.example[192.0.2.8]:25`.
            relay: self.relay.split('[').next().unwrap_or_default().trim().to_ascii_lowercase(),
            by_us: self.by_us,
            stage: self.stage,
            mta: if self.mta == MtaArg::Exim { Mta::Exim } else { Mta::Postfix },
            rules: self.rules,
            verbose: self.verbose,
            json: self.json,
        }
    }
}

/// What `rules` does.
#[derive(Debug)]
pub struct RulesPlan {
    pub action: RulesAction,
    pub rules: Vec<PathBuf>,
    pub json: bool,
}

#[derive(Debug)]
pub enum RulesAction {
    List,
    Show(String),
    Check(Vec<PathBuf>),
}

impl RulesArgs {
    pub fn plan(self) -> RulesPlan {
        let action = match self.action {
            RulesCommand::List => RulesAction::List,
            RulesCommand::Show { id } => RulesAction::Show(id),
            // A file of one's own is checked, however it is named.
            RulesCommand::Check { files } if files.is_empty() => RulesAction::Check(self.rules.clone()),
            RulesCommand::Check { files } => RulesAction::Check(files),
        };
        RulesPlan { action, rules: self.rules, json: self.json }
    }
}

const ANALYZE_EXAMPLES: &str = "\
Examples:
  mailsleuth analyze /var/log/mail.log '/var/log/mail.log.*.gz'
  mailsleuth analyze --events --out case-17 /srv/logs/mx1 /srv/logs/mx2
  ssh mx1 cat /var/log/exim4/mainlog | mailsleuth analyze -

Every option can be set in the environment (--merge-hosts as
MAILSLEUTH_MERGE_HOSTS=1) and in the config file (merge_hosts = true).

Exit status: 0 done; 1 failed, nothing published; 2 usage; 3 done, but an
input was damaged or could not be read; 4 done, and a finding reached
--fail-on (also where 3 holds); 10 no mail log line in any input.";

#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Files, directories (searched for mail logs), quoted globs, or - for standard input; plain or packed. Without
    /// any: the host's usual mail logs
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,

    /// Directory the reports are written to
    #[arg(
        short,
        long,
        value_name = "DIR",
        default_value = "mailsleuth-report",
        env = "MAILSLEUTH_OUT",
        hide_env = true
    )]
    pub out: PathBuf,

    /// Formats of the tables
    #[arg(
        long,
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        default_value = "csv,parquet",
        env = "MAILSLEUTH_FORMAT",
        hide_env = true
    )]
    pub format: Vec<FormatArg>,

    /// Also write the events table: every delivery attempt, refusal and failed login
    #[arg(long, env = "MAILSLEUTH_EVENTS", hide_env = true, value_parser = BoolishValueParser::new())]
    pub events: bool,

    /// Zone of stamps that carry none (IANA name); default: this machine's
    #[arg(long, value_name = "ZONE", env = "MAILSLEUTH_TIMEZONE", hide_env = true)]
    pub timezone: Option<String>,

    /// Year of the first stamp, for stamps that carry none; default: from file name, gzip header or file time
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(i16).range(1971..=9997), env = "MAILSLEUTH_YEAR", hide_env = true)]
    pub year: Option<i16>,

    /// Read only the lines of one mail server
    #[arg(long, value_enum, default_value_t = MtaArg::Auto, env = "MAILSLEUTH_MTA", hide_env = true)]
    pub mta: MtaArg,

    /// Count one user on several hosts as one identity
    #[arg(long, env = "MAILSLEUTH_MERGE_HOSTS", hide_env = true, value_parser = BoolishValueParser::new())]
    pub merge_hosts: bool,

    /// Exit with status 4 when a finding is at least this severe
    #[arg(long, value_name = "SEVERITY", value_enum, env = "MAILSLEUTH_FAIL_ON", hide_env = true)]
    pub fail_on: Option<SeverityArg>,

    /// Threads; default: one per core
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), env = "MAILSLEUTH_THREADS", hide_env = true)]
    pub threads: Option<u16>,

    /// Rules of your own, before the built-in ones
    #[arg(long, value_name = "FILE", env = "MAILSLEUTH_RULES", hide_env = true, value_delimiter = ',')]
    pub rules: Vec<PathBuf>,

    /// Database that tells countries or AS numbers of addresses, in MaxMind's format; may be given more than once
    #[arg(long, value_name = "FILE", env = "MAILSLEUTH_MMDB", hide_env = true, value_delimiter = ',')]
    pub mmdb: Vec<PathBuf>,

    /// Print no summary and no warnings, errors only
    #[arg(short, long, env = "MAILSLEUTH_QUIET", hide_env = true, value_parser = BoolishValueParser::new())]
    pub quiet: bool,

    /// Progress bar on stderr, on a terminal only
    #[arg(long, value_enum, default_value_t = ProgressArg::Auto, env = "MAILSLEUTH_PROGRESS", hide_env = true)]
    pub progress: ProgressArg,

    /// Print summary.json instead of the text summary
    #[arg(long, env = "MAILSLEUTH_JSON", hide_env = true, value_parser = BoolishValueParser::new())]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    Csv,
    Parquet,
    Json,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MtaArg {
    Auto,
    Postfix,
    Exim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SeverityArg {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ProgressArg {
    Auto,
    Never,
}

/// What one run of `analyze` does: checked values only.
#[derive(Debug)]
pub struct Plan {
    pub paths: Vec<String>,
    pub out: PathBuf,
    pub formats: Vec<Format>,
    pub events: bool,
    pub zone: TimeZone,
    pub zone_name: String,
    pub year: Option<i16>,
    pub mta: Option<Mta>,
    pub merges_hosts: bool,
    pub fail_on: Option<Severity>,
    pub threads: usize,
    pub rules: Vec<PathBuf>,
    pub mmdb: Vec<PathBuf>,
    pub detection: detect::Settings,
    pub quiet: bool,
    pub progress: bool,
    pub json: bool,
}

/// Where hosts keep their mail logs: Debian, Red Hat, FreeBSD, Exim's own.
const USUAL_LOGS: &[&str] = &[
    "/var/log/mail.log*",
    "/var/log/maillog*",
    "/var/log/exim4/mainlog*",
    "/var/log/exim/main.log*",
    "/var/log/exim/mainlog*",
    "/var/log/exim_mainlog*",
    "/var/log/postfix.log*",
];

impl AnalyzeArgs {
    /// The plan these arguments come to.
    ///
    /// # Errors
    /// [`Error::Usage`] for a zone that does not exist; [`Error::NoMailLines`] when there is nothing to read.
    pub fn plan(self, detection: detect::Settings) -> Result<Plan> {
        let zone = match &self.timezone {
            Some(name) => TimeZone::get(name).map_err(|_| {
                Error::Usage(format!("--timezone {name}: no such zone; give an IANA name such as Europe/Berlin or UTC"))
            })?,
            None => TimeZone::system(),
        };
        let zone_name = self.timezone.clone().or_else(|| zone.iana_name().map(String::from)).unwrap_or_default();
        let paths = if self.paths.is_empty() { usual_logs()? } else { self.paths };
        let mut formats: Vec<_> = self
            .format
            .into_iter()
            .map(|format| match format {
                FormatArg::Csv => Format::Csv,
                FormatArg::Parquet => Format::Parquet,
                FormatArg::Json => Format::Json,
            })
            .collect();
        formats.sort_unstable();
        formats.dedup();
        if self.events && formats == [Format::Json] {
            return Err(Error::Usage("--events are written as csv or parquet: add one of them to --format".into()));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Plan {
            paths,
            out: self.out,
            formats,
            events: self.events,
            zone,
            zone_name,
            year: self.year,
            mta: match self.mta {
                MtaArg::Auto => None,
                MtaArg::Postfix => Some(Mta::Postfix),
                MtaArg::Exim => Some(Mta::Exim),
            },
            merges_hosts: self.merge_hosts,
            fail_on: self.fail_on.map(|severity| match severity {
                SeverityArg::Low => Severity::Low,
                SeverityArg::Medium => Severity::Medium,
                SeverityArg::High => Severity::High,
                SeverityArg::Critical => Severity::Critical,
            }),
            threads: self.threads.map_or(cores, usize::from),
            rules: self.rules,
            mmdb: self.mmdb,
            detection,
            quiet: self.quiet,
            progress: self.progress == ProgressArg::Auto,
            json: self.json,
        })
    }
}

/// The globs among [`USUAL_LOGS`] that match a file here.
fn usual_logs() -> Result<Vec<String>> {
    let there = |pattern: &&&str| glob::glob(pattern).is_ok_and(|mut paths| paths.next().is_some());
    let found: Vec<_> = USUAL_LOGS.iter().filter(there).map(ToString::to_string).collect();
    if found.is_empty() {
        let looked = USUAL_LOGS.join(", ");
        return Err(Error::NoMailLines(format!(
            "no mail log in the usual places ({looked}); name the files, or give - to read standard input"
        )));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_example_of_a_rule_file_passes_its_check() {
        let classifier = crate::classify::Classifier::with_rules(&[("mine.toml", RULE_FILE_EXAMPLE)]).unwrap();
        let problems: Vec<_> = classifier.problems().into_iter().filter(|(file, _)| file == "mine.toml").collect();
        assert!(problems.is_empty(), "{problems:?}");
    }

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
