//! The command line: what can be said, and the checked plan that it comes to.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use jiff::tz::TimeZone;

use crate::detect::{self, Severity};
use crate::error::{Error, Result, did_you_mean};
use crate::mail::status::{Mta, Stage};
use crate::report::privacy::Privacy;
use crate::report::tables::Format;
use crate::report::text::Look;

/// Mines Postfix and Exim logs: why mail was deferred or refused, who is responsible, which accounts are abused.
#[derive(Debug, Parser)]
#[command(name = "mailsleuth", version, arg_required_else_help = true, max_term_width = 80, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Defaults for the options, else /etc/mailsleuth/config.toml
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
        let (mut command, detection) = crate::config::applied(Self::command(), &arguments)?;
        if arguments.len() < 2 {
            command = command.override_help(START);
        }
        let matches = command.get_matches_from(arguments);
        let cli = Self::from_arg_matches(&matches).map_err(|error| Error::Usage(error.to_string()))?;
        Ok(Self { detection, ..cli })
    }
}

/// What is shown to somebody who only types the program's name.
const START: &str = "\
mailsleuth reads the logs of Postfix and Exim. Three things people come for:

Who sends what through this server, and which accounts are abused?
  mailsleuth analyze /var/log/mail.log*      then open mailsleuth-report/report.html

Why is mail deferred, bounced and refused, and who can change it?
  mailsleuth analyze --out today /var/log    the tables: today/reasons.csv and others

What does this answer mean, and what is to be done?
  mailsleuth classify '550 5.7.1 Service unavailable, client host blocked'

More: mailsleuth --help, mailsleuth analyze --help";

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
    #[command(after_help = format!("{RULE_FILE}\n{RULE_FILE_EXAMPLE}"))]
    Check {
        /// Rule files
        files: Vec<PathBuf>,
    },
}

const RULE_FILE: &str = "\
A rule file is TOML, one [[rule]] for each wording, with
  id        words joined by '-'; a built-in rule of that id is replaced
  category  what the answer means: `mailsleuth rules list` names them
  text      a regex, in any letter case, over the answer without codes, ids,
            addresses, numbers (`classify -v` shows it); (?<dnsbl>...) is a list
            No letter beyond ASCII stands in [ ]: (?:a|á) does the same
  unless    a regex that must not match
  when      mta, service, by_us, provider, stage, permanent, smtp_code,
            enhanced_code (5.7.1, x.7.1, 5.7.606-649): a value or a list
  wins      answers that it must win; as a table: line, relay_host, as in `when`
  loses     answers that another rule must win: to, line
  source    where the wording is from
Before the first rule: broad = true (tried last in its step), step = user (the
default), own, provider, list, text or last.

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

Every option can stand in the environment (MAILSLEUTH_MERGE_HOSTS=1) and in the
config file (merge_hosts = true). Status: 0 done; 1 failed, nothing written;
2 usage; 3 done, but an input was damaged; 4 --fail-on; 10 no mail log line.";

#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Files, directories (searched for mail logs), quoted globs, or - for standard input; plain or packed. Without
    /// any: the host's usual mail logs
    #[arg(value_name = "PATH")]
    pub paths: Vec<String>,

    /// Where the reports go
    #[arg(
        short,
        long,
        value_name = "DIR",
        default_value = "mailsleuth-report",
        env = "MAILSLEUTH_OUT",
        hide_env = true
    )]
    pub out: PathBuf,

    /// csv,parquet,html unless said; also json
    #[arg(
        long,
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        default_value = "csv,parquet,html",
        hide_default_value = true,
        hide_possible_values = true,
        env = "MAILSLEUTH_FORMAT",
        hide_env = true
    )]
    pub format: Vec<FormatArg>,

    /// Also every attempt, refusal and failed login
    #[arg(long, env = "MAILSLEUTH_EVENTS", hide_env = true, value_parser = BoolishValueParser::new())]
    pub events: bool,

    /// Zone of stamps that carry none, as Europe/Berlin
    #[arg(long, value_name = "ZONE", env = "MAILSLEUTH_TIMEZONE", hide_env = true)]
    pub timezone: Option<String>,

    /// Year of the first stamp, where stamps have none
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(i16).range(1971..=9997), env = "MAILSLEUTH_YEAR", hide_env = true)]
    pub year: Option<i16>,

    /// Lines of one server only: auto, postfix, exim
    #[arg(long, value_enum, default_value_t = MtaArg::Auto, hide_default_value = true, hide_possible_values = true, env = "MAILSLEUTH_MTA", hide_env = true)]
    pub mta: MtaArg,

    /// One user on several hosts is one identity
    #[arg(long, env = "MAILSLEUTH_MERGE_HOSTS", hide_env = true, value_parser = BoolishValueParser::new())]
    pub merge_hosts: bool,

    /// Status 4 from low, medium, high or critical on
    #[arg(
        long,
        value_name = "SEVERITY",
        value_enum,
        hide_possible_values = true,
        env = "MAILSLEUTH_FAIL_ON",
        hide_env = true
    )]
    pub fail_on: Option<SeverityArg>,

    /// Pseudonyms for whom: off, recipients, all
    #[arg(long, value_name = "WHO", value_enum, default_value_t = PrivacyArg::Off, hide_default_value = true, hide_possible_values = true, env = "MAILSLEUTH_PRIVACY", hide_env = true)]
    pub privacy: PrivacyArg,

    /// Keeps the key of --privacy
    #[arg(long, value_name = "DIR", env = "MAILSLEUTH_STATE_DIR", hide_env = true)]
    pub state_dir: Option<PathBuf>,

    /// Rules of your own, before the built-in ones
    #[arg(long, value_name = "FILE", env = "MAILSLEUTH_RULES", hide_env = true, value_delimiter = ',')]
    pub rules: Vec<PathBuf>,

    /// Countries or AS numbers, MaxMind's format
    #[arg(long, value_name = "FILE", env = "MAILSLEUTH_MMDB", hide_env = true, value_delimiter = ',')]
    pub mmdb: Vec<PathBuf>,

    /// One per core unless said
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), env = "MAILSLEUTH_THREADS", hide_env = true)]
    pub threads: Option<u16>,

    /// No summary and no warnings, errors only
    #[arg(short, long, env = "MAILSLEUTH_QUIET", hide_env = true, value_parser = BoolishValueParser::new())]
    pub quiet: bool,

    /// Bar on a terminal's stderr: auto, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ProgressArg::Auto, hide_default_value = true, hide_possible_values = true, env = "MAILSLEUTH_PROGRESS", hide_env = true)]
    pub progress: ProgressArg,

    /// Colours in the summary: auto, always, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorArg::Auto, hide_default_value = true, hide_possible_values = true, env = "MAILSLEUTH_COLOR", hide_env = true)]
    pub color: ColorArg,

    /// Print summary.json instead of the summary
    #[arg(long, env = "MAILSLEUTH_JSON", hide_env = true, value_parser = BoolishValueParser::new())]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    Csv,
    Parquet,
    Json,
    Html,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MtaArg {
    Auto,
    Postfix,
    Exim,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PrivacyArg {
    Off,
    Recipients,
    All,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SeverityArg {
    Low,
    Medium,
    High,
    Critical,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorArg {
    Auto,
    Always,
    Never,
}

/// What standard output can show (NO_COLOR: no-color.org; the locale's variables: POSIX).
fn look(color: ColorArg) -> Look {
    let stdout = std::io::stdout();
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let has_colours = match color {
        ColorArg::Always => true,
        ColorArg::Never => false,
        ColorArg::Auto => {
            stdout.is_terminal() && set("NO_COLOR").is_none() && set("TERM").is_some_and(|term| term != "dumb")
        }
    };
    let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default().to_lowercase();
    let is_ascii = !(locale.contains("utf-8") || locale.contains("utf8"));
    let columns = terminal_size::terminal_size_of(stdout).map(|(width, _)| width.0);
    Look::new(columns, has_colours, is_ascii)
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
    /// Write `report.html`.
    pub writes_page: bool,
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
    pub privacy: Privacy,
    /// The state directory.
    pub state: PathBuf,
    pub quiet: bool,
    pub progress: bool,
    /// How the summary may look.
    pub look: Look,
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
                let zones: Vec<_> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
                let meant = did_you_mean(name, zones.iter().map(String::as_str));
                Error::Usage(format!(
                    "--timezone {name}: no such zone; give an IANA name such as Europe/Berlin or UTC{meant}"
                ))
            })?,
            None => TimeZone::system(),
        };
        let zone_name = self.timezone.clone().or_else(|| zone.iana_name().map(String::from)).unwrap_or_default();
        let paths = if self.paths.is_empty() { usual_logs()? } else { self.paths };
        let writes_page = self.format.contains(&FormatArg::Html);
        let mut formats: Vec<_> = self
            .format
            .into_iter()
            .filter_map(|format| match format {
                FormatArg::Csv => Some(Format::Csv),
                FormatArg::Parquet => Some(Format::Parquet),
                FormatArg::Json => Some(Format::Json),
                FormatArg::Html => None,
            })
            .collect();
        formats.sort_unstable();
        formats.dedup();
        if self.events && formats.iter().all(|format| *format == Format::Json) {
            return Err(Error::Usage("--events are written as csv or parquet: add one of them to --format".into()));
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Plan {
            paths,
            out: self.out,
            formats,
            writes_page,
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
            privacy: match self.privacy {
                PrivacyArg::Off => Privacy::Off,
                PrivacyArg::Recipients => Privacy::Recipients,
                PrivacyArg::All => Privacy::All,
            },
            state: self.state_dir.unwrap_or_else(usual_state),
            quiet: self.quiet,
            progress: self.progress == ProgressArg::Auto,
            look: look(self.color),
            json: self.json,
        })
    }
}

/// Where a host's state is, and where there is none a user's (XDG Base Directory Specification).
const STATE: &str = "/var/lib/mailsleuth";

fn usual_state() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    if PathBuf::from(STATE).is_dir() {
        return STATE.into();
    }
    let home = || set("HOME").map(|home| home.join(".local/state"));
    set("XDG_STATE_HOME").or_else(home).map_or_else(|| STATE.into(), |base| base.join("mailsleuth"))
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
