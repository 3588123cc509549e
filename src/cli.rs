//! The command line: what can be said, and the checked plan that it comes to.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::path::PathBuf;

use clap::builder::{BoolishValueParser, Resettable};
use clap::error::{ContextKind, ContextValue};
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use ipnetwork::IpNetwork;
use jiff::tz::TimeZone;

use crate::aggregate::SHARDS;
use crate::archive::partial::Shard;
use crate::detect::{self, Severity};
use crate::error::{Error, Result, closest, did_you_mean};
use crate::mail::address::{harmless, printable};
use crate::mail::identity::IdentityKind;
use crate::mail::status::{Action, Direction, Mta, Stage};
use crate::mail::time::{Period, SECONDS_PER_DAY, Timestamp};
use crate::report::privacy::Privacy;
use crate::report::tables::Format;
use crate::report::text::Look;
use crate::report::trace::lists::List;

/// Mines Postfix and Exim logs: why mail was deferred or refused, who is responsible, which accounts are abused.
#[derive(Debug, Parser)]
#[command(name = "mailsleuth", version, arg_required_else_help = true, max_term_width = 80, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,

    /// Defaults; else /etc/mailsleuth/config.toml
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
        let (mut command, detection) = crate::config::applied(without_empty(Self::command()), &arguments)?;
        if arguments.len() < 2 {
            command = command.override_help(START);
        }
        let matches = command.try_get_matches_from_mut(arguments).unwrap_or_else(|error| told(error, &command).exit());
        let cli = Self::from_arg_matches(&matches).map_err(|error| Error::Usage(error.to_string()))?;
        Ok(Self { detection, ..cli })
    }
}

/// An environment variable that is set to nothing says nothing.
fn without_empty(command: clap::Command) -> clap::Command {
    let is_empty = |argument: &clap::Arg| {
        argument.get_env().is_some_and(|name| std::env::var_os(name).is_some_and(|value| value.is_empty()))
    };
    let reset = |argument: clap::Arg| if is_empty(&argument) { argument.env(Resettable::Reset) } else { argument };
    command.mut_args(reset).mut_subcommands(without_empty)
}

/// A mistake as it is told: what was typed made harmless, and of `help` too which command may be meant.
fn told(mut error: clap::Error, command: &clap::Command) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue] {
        if let Some(ContextValue::String(typed)) = error.get(kind) {
            let typed = harmless(typed).into_owned();
            error.insert(kind, ContextValue::String(typed));
        }
    }
    if let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidSubcommand)
        && error.get(ContextKind::SuggestedSubcommand).is_none()
    {
        let below = command.get_subcommands().flat_map(clap::Command::get_subcommands);
        let names = command.get_subcommands().chain(below).map(clap::Command::get_name);
        if let Some(meant) = closest(typed, names) {
            let meant = ContextValue::Strings(vec![meant.to_string()]);
            error.insert(ContextKind::SuggestedSubcommand, meant);
        }
    }
    error
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
  mailsleuth trace cy@example.org           after a compromise: its whole story
  mailsleuth classify '550 5.1.1 unknown'   what an answer means, what to do
  mailsleuth help analyze                   all options";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Logs in, per-sender reports out
    #[command(after_help = ANALYZE_EXAMPLES)]
    Analyze(AnalyzeArgs),
    /// What is new in the logs, into the archive; tells what needs a person
    #[command(after_help = NIGHTLY_EXAMPLES)]
    Nightly(NightlyArgs),
    /// A piece of a log in, a small partial out, for `merge`
    #[command(after_help = MAP_EXAMPLES)]
    Map(MapArgs),
    /// The tables of `analyze`, from the partials that `map` made
    #[command(after_help = MERGE_EXAMPLES)]
    Merge(MergeArgs),
    /// The tables of `analyze`, from the archive that `nightly` keeps
    #[command(after_help = REPORT_EXAMPLES)]
    Report(ReportArgs),
    /// One login's, message's, client's or address's whole story
    #[command(after_help = TRACE_EXAMPLES)]
    Trace(TraceArgs),
    /// Silence what is known of one sender
    #[command(after_help = ACCEPT_EXAMPLES)]
    Accept(AcceptArgs),
    /// What an SMTP answer means, or what a log line is
    #[command(after_help = CLASSIFY_EXAMPLES)]
    Classify(ClassifyArgs),
    /// The categories and rules, with the answers that prove them
    #[command(after_help = RULES_EXAMPLES)]
    Rules(RulesArgs),
    /// What a shell needs to complete this program's arguments
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// For whom
        #[arg(value_name = "SHELL", value_enum)]
        shell: Shell,
    },
    /// The manual page of the program or of one command
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// The command; without it, the program
        #[arg(value_name = "COMMAND")]
        command: Option<String>,
    },
}

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  mailsleuth completions bash > /etc/bash_completion.d/mailsleuth
  mailsleuth completions zsh > /usr/local/share/zsh/site-functions/_mailsleuth
  mailsleuth completions fish > ~/.config/fish/completions/mailsleuth.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  mailsleuth man nightly | man -l -
  mailsleuth man > /usr/local/share/man/man1/mailsleuth.1";

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

const RULES_LIST_EXAMPLES: &str = "\
Examples:
  mailsleuth rules list | less
  mailsleuth rules list --rules ours.toml --json";

const RULES_SHOW_EXAMPLES: &str = "\
Examples:
  mailsleuth rules show mailbox-full      its rules, each with its samples
  mailsleuth rules show account-takeover  what it asks, its limits
  mailsleuth rules show spamhaus-zen      what the list says, what to do";

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
    #[command(after_help = RULES_LIST_EXAMPLES)]
    List,
    /// One rule, category, DNS list, provider, or kind of findings with its limits
    #[command(after_help = RULES_SHOW_EXAMPLES)]
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
            addresses (`classify -v` shows it); (?<dnsbl>...) is a list; write
            \\d+ where a number varies
            No letter beyond ASCII stands in [ ]: (?:a|á) does the same
  unless    a regex that must not match
  when      mta, service, by_us, provider, stage, permanent, smtp_code,
            enhanced_code ('5.7.1', 'x.7.1', '5.7.606-649'): one or a list
  wins      answers that it must win; as a table: line, relay_host, as in `when`
  loses     answers that another rule must win: to, line
  source    where the wording is from
Before the first rule: broad = true (tried last in its step), step = user (the
default), own, provider, list, text or last. Within a step the more specific
causes are tried first, then the rules with more fixed text.

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
    /// Limits that the config file sets are shown.
    pub detection: detect::Settings,
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
    pub fn plan(self, detection: detect::Settings) -> RulesPlan {
        let action = match self.action {
            RulesCommand::List => RulesAction::List,
            RulesCommand::Show { id } => RulesAction::Show(id),
            // A file of one's own is checked, however it is named.
            RulesCommand::Check { files } if files.is_empty() => RulesAction::Check(self.rules.clone()),
            RulesCommand::Check { files } => RulesAction::Check(files),
        };
        RulesPlan { action, detection, rules: self.rules, json: self.json }
    }
}

const ANALYZE_EXAMPLES: &str = "\
Examples:
  mailsleuth analyze /var/log/mail.log '/var/log/mail.log.*.gz'
  mailsleuth analyze --since -36h --events --out case-17 /srv/logs/mx1
  ssh mx1 cat /var/log/exim4/mainlog | mailsleuth analyze -

Every option can stand in the environment (MAILSLEUTH_MERGE_HOSTS=1) and in the
config file (merge_hosts = true). Status: 0 done; 1 failed, nothing written;
2 usage; 3 done, but an input was damaged; 4 --fail-on; 10 no mail log line.";

#[derive(Debug, Args)]
pub struct AnalyzeArgs {
    /// Files, directories, globs, -; without any, the host's usual logs
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    #[command(flatten)]
    pub period: PeriodArgs,

    #[command(flatten)]
    pub showing: ShowingArgs,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub making: MakingArgs,

    /// What was read and how long it took, on stderr
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,

    #[command(flatten)]
    pub passing: PassArgs,

    /// Keeps the key of --privacy
    #[arg(long, value_name = "DIR", env = "MAILSLEUTH_STATE", hide_env = true)]
    pub state: Option<PathBuf>,
}

/// Which mail is taken: that which came in this time.
#[derive(Debug, Args)]
pub struct PeriodArgs {
    /// From this moment on
    #[arg(short = 'S', long, value_name = "TIME", allow_hyphen_values = true)]
    pub since: Option<String>,

    /// Up to this moment, without it
    #[arg(short = 'U', long, value_name = "TIME", allow_hyphen_values = true)]
    pub until: Option<String>,
}

impl PeriodArgs {
    /// # Errors
    /// [`Error::Usage`] for a text that is no time, and where the end is not behind the beginning.
    pub fn period(self, zone: &TimeZone) -> Result<Period> {
        let time = |option: &str, text: Option<String>| {
            match text {
            None => Ok(None),
            Some(text) => moment(&text, zone).map(Some).ok_or_else(|| {
                Error::Usage(format!(
                    "{option} {text}: no such time; write 2026-11-21, 2026-11-21T06:00:00Z, today, yesterday, 7d or -36h"
                ))
            }),
        }
        };
        let period = Period { since: time("--since", self.since)?, until: time("--until", self.until)? };
        match (period.since, period.until) {
            (Some(since), Some(until)) if since >= until => {
                Err(Error::Usage(format!("--since {since} is not before --until {until}: there is no time between")))
            }
            _ => Ok(period),
        }
    }
}

/// How logs are read.
#[derive(Debug, Args)]
pub struct ReadingArgs {
    /// Zone of stamps that carry none, as Europe/Berlin
    #[arg(long, value_name = "ZONE", value_parser = zone_name, env = "MAILSLEUTH_TIMEZONE", hide_env = true)]
    pub timezone: Option<String>,

    /// Lines of one server only: auto, postfix, exim
    #[arg(long, value_enum, default_value_t = MtaArg::Auto, hide_default_value = true, hide_possible_values = true, env = "MAILSLEUTH_MTA", hide_env = true)]
    pub mta: MtaArg,
}

/// How logs are read in one pass, with nothing known of them before.
#[derive(Debug, Args)]
pub struct PassArgs {
    /// Year of the first stamp, where stamps have none
    #[arg(long, value_name = "YEAR", value_parser = clap::value_parser!(i16).range(1971..=9997), env = "MAILSLEUTH_YEAR", hide_env = true)]
    pub year: Option<i16>,

    /// Bar on a terminal's stderr: auto, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ProgressArg::Auto, hide_default_value = true, hide_possible_values = true, env = "MAILSLEUTH_PROGRESS", hide_env = true)]
    pub progress: ProgressArg,
}

/// By what answers are judged, and by how many threads.
#[derive(Debug, Args)]
pub struct WorkingArgs {
    /// Rules of your own, before the built-in ones
    #[arg(long, value_name = "FILE", env = "MAILSLEUTH_RULES", hide_env = true, value_delimiter = ',')]
    pub rules: Vec<PathBuf>,

    /// One per core unless said
    #[arg(short = 'j', long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), env = "MAILSLEUTH_THREADS", hide_env = true)]
    pub threads: Option<u16>,
}

/// What reports are made of, and how.
#[derive(Debug, Args)]
pub struct MakingArgs {
    /// One user on several hosts is one identity
    #[arg(long, env = "MAILSLEUTH_MERGE_HOSTS", hide_env = true, value_parser = BoolishValueParser::new())]
    pub merge_hosts: bool,

    #[command(flatten)]
    pub working: WorkingArgs,

    /// Countries or AS numbers, MaxMind's format
    #[arg(long, value_name = "FILE", env = "MAILSLEUTH_MMDB", hide_env = true, value_delimiter = ',')]
    pub mmdb: Vec<PathBuf>,

    /// Stop rather than take more memory than 512M
    #[arg(long, value_name = "SIZE", value_parser = size, env = "MAILSLEUTH_MEMORY_LIMIT", hide_env = true)]
    pub memory_limit: Option<u64>,

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
}

/// Where a report goes, and what of it is shown.
#[derive(Debug, Args)]
pub struct ShowingArgs {
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

    /// Also every attempt, refusal and failed login
    #[arg(long, env = "MAILSLEUTH_EVENTS", hide_env = true, value_parser = BoolishValueParser::new())]
    pub events: bool,

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

    /// No summary and no warnings, errors only
    #[arg(short, long, env = "MAILSLEUTH_QUIET", hide_env = true, value_parser = BoolishValueParser::new())]
    pub quiet: bool,

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

/// Where the archive lies by default.
const STATE: &str = "/var/lib/mailsleuth";

const NIGHTLY_EXAMPLES: &str = "\
Examples:
  mailsleuth nightly                        the host's usual mail logs
  mailsleuth nightly --mail-to postmaster /var/log/exim4
  mailsleuth nightly --state ./try --always logs/

Run it as often as you like: it takes what is new since the last run, and
prints nothing unless a finding reaches --alert. Status: 0 done; 1 failed, the
archive is as it was; 2 usage; 3 done, but an input was damaged; 10 no mail log
line was ever found; 11 another run holds the lock.";

#[derive(Debug, Args)]
pub struct NightlyArgs {
    /// As for `analyze`; files and directories only
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    /// The same, for the config file
    #[arg(long, value_name = "LIST", value_delimiter = ',', env = "MAILSLEUTH_LOGS", hide_env = true)]
    pub logs: Vec<OsString>,

    /// The archive
    #[arg(long, value_name = "DIR", default_value = STATE, env = "MAILSLEUTH_STATE", hide_env = true)]
    pub state: PathBuf,

    /// Least severity that is told
    #[arg(
        long,
        value_name = "SEVERITY",
        value_enum,
        default_value = "medium",
        hide_possible_values = true,
        env = "MAILSLEUTH_ALERT",
        hide_env = true
    )]
    pub alert: SeverityArg,

    /// Tell that there is nothing to tell, too
    #[arg(long, env = "MAILSLEUTH_ALWAYS", hide_env = true, value_parser = BoolishValueParser::new())]
    pub always: bool,

    /// Mail it instead of printing it
    #[arg(long, value_name = "ADDRESS", value_delimiter = ',', value_parser = mail_address, env = "MAILSLEUTH_MAIL_TO", hide_env = true)]
    pub mail_to: Vec<String>,

    /// Tell it now, later, or only what a run left
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = DeliverArg::Now, hide_default_value = true, hide_possible_values = true, env = "MAILSLEUTH_DELIVER", hide_env = true)]
    pub deliver: DeliverArg,

    /// Takes the mail
    #[arg(
        long,
        value_name = "FILE",
        default_value = "/usr/sbin/sendmail",
        env = "MAILSLEUTH_SENDMAIL",
        hide_env = true
    )]
    pub sendmail: PathBuf,

    /// Metrics for node-exporter's textfile collector
    #[arg(long, value_name = "FILE", env = "MAILSLEUTH_PROM", hide_env = true)]
    pub prom: Option<PathBuf>,

    /// Days up to the end that are judged
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = 7,
        value_parser = clap::value_parser!(u16).range(1..=366),
        env = "MAILSLEUTH_WINDOW",
        hide_env = true
    )]
    pub window: u16,

    /// Days that are kept; 0 for all
    #[arg(long, value_name = "DAYS", default_value_t = 400, env = "MAILSLEUTH_KEEP", hide_env = true)]
    pub keep: u16,

    /// Size, as 20G, at which the oldest days go; 0: never
    #[arg(long, value_name = "SIZE", default_value = "0", hide_default_value = true, value_parser = size, env = "MAILSLEUTH_MAX_SIZE", hide_env = true)]
    pub max_size: u64,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub making: MakingArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DeliverArg {
    Now,
    Later,
    Only,
}

/// Bytes of a size such as `500M` or `20G`.
/// One of several shards: `3/16`.
fn shard(text: &str) -> std::result::Result<Shard, String> {
    let numbers = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
    match numbers {
        Some((number, of)) if number < of && u64::from(of) <= SHARDS => Ok(Shard { number, of }),
        _ => Err(format!("one of N shards is wanted, from 0/N on, with at most {SHARDS} of them")),
    }
}

fn size(text: &str) -> std::result::Result<u64, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let shift = match unit.trim_end_matches("iB").trim_end_matches('B') {
        "" => 0,
        "k" | "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return Err("a size is wanted, such as 500M or 20G".into()),
    };
    let number: u64 = digits.parse().map_err(|_| "a size is wanted, such as 500M or 20G".to_string())?;
    number.checked_mul(1 << shift).ok_or_else(|| "too large".to_string())
}

/// What one run of `nightly` does.
#[derive(Debug)]
pub struct NightlyPlan {
    pub paths: Vec<OsString>,
    pub state: PathBuf,
    /// `--state` was not left at its default.
    pub has_own_state: bool,
    pub alert: Severity,
    pub always: bool,
    pub mail_to: Vec<String>,
    pub deliver: DeliverArg,
    pub sendmail: PathBuf,
    pub prom: Option<PathBuf>,
    pub window_days: i64,
    pub keep_days: Option<i64>,
    pub max_bytes: Option<u64>,
    pub formats: Vec<Format>,
    /// Write `report.html`.
    pub writes_page: bool,
    pub zone: TimeZone,
    pub zone_name: String,
    pub mta: Option<Mta>,
    pub merges_hosts: bool,
    pub threads: usize,
    /// Bytes.
    pub memory_limit: Option<u64>,
    pub mmdb: Vec<PathBuf>,
    pub rules: Vec<PathBuf>,
    pub detection: detect::Settings,
}

impl NightlyArgs {
    /// # Errors
    /// [`Error::Usage`] for a zone that does not exist; [`Error::NoMailLines`] when there is nothing to read.
    pub fn plan(self, detection: detect::Settings) -> Result<NightlyPlan> {
        let (zone, zone_name) = zone(self.reading.timezone.as_deref())?;
        let named = if self.paths.is_empty() { self.logs } else { self.paths };
        if named.iter().any(|path| path == "-") {
            return Err(Error::Usage("nightly reads files, not standard input: it goes on where it ended".into()));
        }
        let (formats, writes_page) = formats(&self.making.format);
        Ok(NightlyPlan {
            paths: if named.is_empty() && self.deliver != DeliverArg::Only { usual_logs()? } else { named },
            has_own_state: self.state != *STATE,
            state: self.state,
            alert: self.alert.severity(),
            always: self.always,
            mail_to: self.mail_to,
            deliver: self.deliver,
            sendmail: self.sendmail,
            prom: self.prom,
            window_days: i64::from(self.window),
            keep_days: (self.keep > 0).then_some(i64::from(self.keep)),
            max_bytes: (self.max_size > 0).then_some(self.max_size),
            formats,
            writes_page,
            zone,
            zone_name,
            mta: self.reading.mta.mta(),
            merges_hosts: self.making.merge_hosts,
            threads: threads(self.making.working.threads),
            memory_limit: self.making.memory_limit,
            mmdb: self.making.mmdb,
            rules: self.making.working.rules,
            detection,
        })
    }
}

const MAP_EXAMPLES: &str = "\
Examples:
  mailsleuth map --host mx1 --out parts/mx1 /var/log/mail.log.1
  ssh mx2 cat /var/log/mail.log | mailsleuth map --host mx2 --out parts/mx2 -

One run for the files of a host that hold the same hours (mainlog and
rejectlog); pieces of one log may be mapped one by one, in any order. Status: 0
done; 1 failed, nothing written; 2 usage; 3 done, but an input was damaged; 10
no mail log line.";

#[derive(Debug, Args)]
pub struct MapArgs {
    /// As for `analyze`
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    /// The host of lines that name none
    #[arg(long, value_name = "NAME", env = "MAILSLEUTH_HOST", hide_env = true)]
    pub host: Option<String>,

    /// Where the partial goes
    #[arg(short, long, value_name = "DIR", default_value = "mailsleuth-partial")]
    pub out: PathBuf,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub passing: PassArgs,

    #[command(flatten)]
    pub working: WorkingArgs,

    /// Part the identities into so many files, for `merge --shard` of as many
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub shards: u32,

    /// Leave out the Parquet tables, which `merge` does not read
    #[arg(long)]
    pub no_tables: bool,

    /// Stop rather than take more memory than 512M
    #[arg(long, value_name = "SIZE", value_parser = size, env = "MAILSLEUTH_MEMORY_LIMIT", hide_env = true)]
    pub memory_limit: Option<u64>,

    /// No warnings, errors only
    #[arg(short, long, env = "MAILSLEUTH_QUIET", hide_env = true, value_parser = BoolishValueParser::new())]
    pub quiet: bool,
}

/// What one run of `map` does.
#[derive(Debug)]
pub struct MapPlan {
    pub paths: Vec<OsString>,
    pub host: Option<String>,
    pub out: PathBuf,
    pub zone: TimeZone,
    pub zone_name: String,
    pub year: Option<i16>,
    pub mta: Option<Mta>,
    pub rules: Vec<PathBuf>,
    pub threads: usize,
    pub shards: u32,
    pub has_tables: bool,
    /// Bytes.
    pub memory_limit: Option<u64>,
    pub quiet: bool,
    pub progress: bool,
}

impl MapArgs {
    /// # Errors
    /// [`Error::Usage`] for a zone that does not exist; [`Error::NoMailLines`] when there is nothing to read.
    pub fn plan(self) -> Result<MapPlan> {
        let (zone, zone_name) = zone(self.reading.timezone.as_deref())?;
        Ok(MapPlan {
            paths: if self.paths.is_empty() { usual_logs()? } else { self.paths },
            host: self.host,
            out: self.out,
            zone,
            zone_name,
            year: self.passing.year,
            mta: self.reading.mta.mta(),
            rules: self.working.rules,
            shards: self.shards,
            has_tables: !self.no_tables,
            threads: threads(self.working.threads),
            memory_limit: self.memory_limit,
            quiet: self.quiet,
            progress: self.passing.progress == ProgressArg::Auto && !self.quiet,
        })
    }
}

const MERGE_EXAMPLES: &str = "\
Examples:
  mailsleuth merge --out today parts/*
  mailsleuth merge --privacy all --out shown parts/mx1 parts/mx2

The tables are those of one `analyze` over all the logs, in whatever order the
partials are given; --events are not in them. A partial that is given twice
counts once. Status: as of analyze; 1 where a partial is missing or damaged, 2
where partials are of other rules or versions.";

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Partials: directories that `map` wrote
    #[arg(value_name = "DIR", required = true)]
    pub partials: Vec<PathBuf>,

    /// Write one partial of all of them, not reports
    #[arg(long)]
    pub partial: bool,

    /// Write a partial of one shard of the identities: K of N, from 0; merge all N of them
    #[arg(long, value_name = "K/N", value_parser = shard)]
    pub shard: Option<Shard>,

    #[command(flatten)]
    pub showing: ShowingArgs,

    #[command(flatten)]
    pub making: MakingArgs,

    /// Keeps the key of --privacy
    #[arg(long, value_name = "DIR", env = "MAILSLEUTH_STATE", hide_env = true)]
    pub state: Option<PathBuf>,
}

/// What one run of `merge` does: where it writes is said as for `analyze`.
#[derive(Debug)]
pub struct MergePlan {
    pub partials: Vec<PathBuf>,
    /// A partial is written, not reports; of one shard where it is given.
    pub is_partial: bool,
    pub shard: Option<Shard>,
    pub output: Plan,
}

impl MergeArgs {
    /// # Errors
    /// [`Error::Usage`] for what partials do not have.
    pub fn plan(self, detection: detect::Settings) -> Result<MergePlan> {
        if self.showing.events {
            return Err(Error::Usage("partials hold counts, not every event: use analyze --events on the host".into()));
        }
        let state = self.state.unwrap_or_else(usual_state);
        let is_partial = self.partial || self.shard.is_some();
        Ok(MergePlan {
            partials: self.partials,
            is_partial,
            shard: self.shard,
            output: output(self.showing, self.making, state, detection),
        })
    }
}

/// A plan that only says where reports go and how they are made.
fn output(showing: ShowingArgs, making: MakingArgs, state: PathBuf, detection: detect::Settings) -> Plan {
    let (formats, writes_page) = formats(&making.format);
    Plan {
        paths: Vec::new(),
        out: showing.out,
        formats,
        writes_page,
        events: showing.events,
        zone: TimeZone::UTC,
        zone_name: String::new(),
        year: None,
        mta: None,
        period: Period::default(),
        memory_limit: making.memory_limit,
        verbose: false,
        merges_hosts: making.merge_hosts,
        fail_on: showing.fail_on.map(SeverityArg::severity),
        threads: threads(making.working.threads),
        mmdb: making.mmdb,
        rules: making.working.rules,
        detection,
        privacy: showing.privacy.privacy(),
        state,
        quiet: showing.quiet,
        progress: false,
        look: look(showing.color),
        json: showing.json,
    }
}

const REPORT_EXAMPLES: &str = "\
Examples:
  mailsleuth report --since yesterday --out today
  mailsleuth report --identity cy@example.org --since 7d --events
Times: 2026-11-21, 2026-11-21T06:00:00Z, today, yesterday, 7d or -36h ago.
Findings are of all mail in that time.";

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The archive
    #[arg(long, value_name = "DIR", default_value = STATE, env = "MAILSLEUTH_STATE", hide_env = true)]
    pub state: PathBuf,

    #[command(flatten)]
    pub period: PeriodArgs,

    /// Only this login, local user, client or sender
    #[arg(long, value_name = "NAME", allow_hyphen_values = true)]
    pub identity: Option<String>,

    /// Only this kind: sasl, uid, client, sender, null
    #[arg(long, value_name = "KIND")]
    pub kind: Option<String>,

    /// Only this host
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,

    /// Only mail to this address or domain
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub recipient: Option<String>,

    /// Only mail from this envelope sender or domain
    #[arg(long, value_name = "ADDRESS", allow_hyphen_values = true)]
    pub sender: Option<String>,

    /// Only mail from this client or network
    #[arg(long, value_name = "IP")]
    pub client: Option<String>,

    /// Only reasons of this category
    #[arg(long, value_name = "ID")]
    pub category: Option<String>,

    /// Only reasons that this provider gave
    #[arg(long, value_name = "ID")]
    pub provider: Option<String>,

    /// Only reasons for deferred, bounced, rejected...
    #[arg(long, value_name = "ACTION")]
    pub action: Option<String>,

    /// Only reasons for outbound, inbound or local mail
    #[arg(long, value_name = "WHICH")]
    pub direction: Option<String>,

    /// Zone of --since and --until, as Europe/Berlin
    #[arg(long, value_name = "ZONE", value_parser = zone_name, env = "MAILSLEUTH_TIMEZONE", hide_env = true)]
    pub timezone: Option<String>,

    #[command(flatten)]
    pub showing: ShowingArgs,

    #[command(flatten)]
    pub making: MakingArgs,
}

/// Which mail, and which rows of the tables.
#[derive(Debug, Default, Clone)]
pub struct Filter {
    pub period: Period,
    /// All in lower case.
    pub identity: Option<String>,
    pub kind: Option<IdentityKind>,
    pub host: Option<String>,
    pub recipient: Option<String>,
    pub sender: Option<String>,
    pub client: Option<IpNetwork>,
    pub category: Option<String>,
    pub provider: Option<String>,
    pub action: Option<Action>,
    pub direction: Option<Direction>,
}

impl Filter {
    /// Takes some of the mail only, whenever it came.
    pub const fn narrows(&self) -> bool {
        self.is_by_identity() || self.recipient.is_some() || self.sender.is_some() || self.client.is_some()
    }

    /// Takes the mail of some identities only.
    pub const fn is_by_identity(&self) -> bool {
        self.identity.is_some() || self.kind.is_some() || self.host.is_some()
    }

    /// Takes an identity.
    pub fn takes(&self, kind: IdentityKind, name: &[u8]) -> bool {
        self.kind.is_none_or(|wanted| kind == wanted)
            && self.identity.as_ref().is_none_or(|wanted| printable(name).to_lowercase() == *wanted)
    }

    /// Takes a host.
    pub fn takes_host(&self, name: &[u8]) -> bool {
        self.host.as_ref().is_none_or(|wanted| printable(name).to_lowercase() == *wanted)
    }

    /// The options in words, but for the time: their names and values.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        [
            ("identity", self.identity.clone()),
            ("kind", self.kind.map(|kind| kind.word().to_string())),
            ("host", self.host.clone()),
            ("recipient", self.recipient.clone()),
            ("sender", self.sender.clone()),
            ("client", self.client.map(|client| client.to_string().trim_end_matches(whole(client)).to_string())),
            ("category", self.category.clone()),
            ("provider", self.provider.clone()),
            ("action", self.action.map(|action| action.word().to_string())),
            ("direction", self.direction.map(|direction| direction.word().to_string())),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
    }
}

/// What `report` does: where it writes is said as for `analyze`.
#[derive(Debug)]
pub struct ReportPlan {
    pub state: PathBuf,
    pub filter: Filter,
    pub output: Plan,
}

impl ReportArgs {
    /// # Errors
    /// [`Error::Usage`] for a value that means nothing.
    pub fn plan(self, detection: detect::Settings) -> Result<ReportPlan> {
        let (zone, zone_name) = zone(self.timezone.as_deref())?;
        let lower = |text: Option<String>| text.map(|text| text.to_lowercase());
        if let Some(category) = &self.category
            && crate::classify::Category::from_id(category).is_none()
        {
            let known = crate::classify::Taxonomy::built_in()?.categories();
            let meant = did_you_mean(category, known.map(|one| one.id()));
            return Err(Error::Usage(format!(
                "--category {category}: no such category; `mailsleuth rules list` has all{meant}"
            )));
        }
        let filter = Filter {
            period: self.period.period(&zone)?,
            identity: lower(self.identity),
            kind: one_of("--kind", self.kind, IdentityKind::ALL, IdentityKind::word)?,
            host: lower(self.host),
            recipient: lower(self.recipient),
            sender: lower(self.sender),
            client: self.client.map(|client| network(&client)).transpose()?,
            category: self.category,
            provider: lower(self.provider),
            action: one_of("--action", self.action, Action::ALL, Action::word)?,
            direction: one_of("--direction", self.direction, Direction::ALL, Direction::word)?,
        };
        let (formats, writes_page) = formats(&self.making.format);
        if self.showing.events && formats.iter().all(|format| *format == Format::Json) {
            return Err(Error::Usage("--events are written as csv or parquet: add one of them to --format".into()));
        }
        Ok(ReportPlan {
            state: self.state.clone(),
            filter,
            output: Plan {
                paths: Vec::new(),
                period: Period::default(),
                memory_limit: self.making.memory_limit,
                verbose: false,
                out: self.showing.out,
                formats,
                writes_page,
                events: self.showing.events,
                zone,
                zone_name,
                year: None,
                mta: None,
                merges_hosts: self.making.merge_hosts,
                fail_on: self.showing.fail_on.map(SeverityArg::severity),
                threads: threads(self.making.working.threads),
                mmdb: self.making.mmdb,
                rules: self.making.working.rules,
                detection,
                privacy: self.showing.privacy.privacy(),
                state: self.state,
                quiet: self.showing.quiet,
                progress: false,
                look: look(self.showing.color),
                json: self.showing.json,
            },
        })
    }
}

/// The length of a network that is one address.
fn whole(network: IpNetwork) -> &'static str {
    if network.is_ipv4() { "/32" } else { "/128" }
}

/// An address, or a network with its length.
fn network(text: &str) -> Result<IpNetwork> {
    let ip = crate::mail::address::ip(text.as_bytes()).map(IpNetwork::from);
    let network = || text.parse::<IpNetwork>().ok().filter(|_| text.contains('/'));
    ip.or_else(network).ok_or_else(|| {
        Error::Usage(format!(
            "--client {text}: no address; give one such as 192.0.2.7 or a network such as 192.0.2.0/24"
        ))
    })
}

fn one_of<T: Copy>(
    option: &str,
    text: Option<String>,
    all: &[T],
    word: impl Fn(T) -> &'static str,
) -> Result<Option<T>> {
    let Some(text) = text else { return Ok(None) };
    let found = all.iter().copied().find(|one| word(*one).eq_ignore_ascii_case(&text) && !text.is_empty());
    let words = || all.iter().map(|one| word(*one)).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ");
    found.map(Some).ok_or_else(|| Error::Usage(format!("{option} {text}: one of {}", words())))
}

/// A moment such as `2026-11-21`, `yesterday`, `7d` or `-36h`.
fn moment(text: &str, zone: &TimeZone) -> Option<Timestamp> {
    let now = jiff::Timestamp::now().to_zoned(zone.clone());
    let of_day = |date: jiff::civil::Date| Some(date.to_zoned(zone.clone()).ok()?.timestamp());
    let back = text.strip_prefix('-').unwrap_or(text);
    let found = match text {
        "now" => now.timestamp(),
        "today" => of_day(now.date())?,
        "yesterday" => of_day(now.date().yesterday().ok()?)?,
        _ => match back.split_at_checked(back.len().saturating_sub(1)) {
            Some((number, "d")) => {
                now.timestamp().checked_sub(jiff::SignedDuration::from_hours(24 * number.parse::<i64>().ok()?)).ok()?
            }
            Some((number, "h")) => {
                now.timestamp().checked_sub(jiff::SignedDuration::from_hours(number.parse().ok()?)).ok()?
            }
            _ => match (
                text.parse::<jiff::Timestamp>(),
                text.parse::<jiff::civil::Date>(),
                text.parse::<jiff::civil::DateTime>(),
            ) {
                (Ok(timestamp), _, _) => timestamp,
                (_, _, Ok(time)) if text.contains('T') => time.to_zoned(zone.clone()).ok()?.timestamp(),
                (_, Ok(date), _) => of_day(date)?,
                _ => return None,
            },
        },
    };
    Some(Timestamp(found.as_microsecond()))
}

const TRACE_EXAMPLES: &str = "\
WHAT is told by its shape (3F2A11C0, <a1@b.example>, 198.51.100.0/24), or by a
word before it: sasl: uid: queue: msgid: ip: address: from: to: domain:
Examples:
  mailsleuth trace 3F2A11C0 '/var/log/mail.log*'
  mailsleuth trace cy@example.org --out case-17 --since 2026-11-16
  mailsleuth trace cy@example.org --print queue-ids | postsuper -h -
  mailsleuth trace --verify case-17/manifest.json
Status: 0 done, found or not; 1 failed, or --verify differs; 2, 3, 10: analyze";

#[derive(Debug, Args)]
pub struct TraceArgs {
    /// Login, queue id, message id, IP, network, address or domain
    #[arg(value_name = "WHAT", required_unless_present = "verify")]
    pub what: Option<String>,

    /// As for `analyze`; without any: the archive, else the usual logs
    #[arg(value_name = "PATH")]
    pub paths: Vec<OsString>,

    #[command(flatten)]
    pub period: PeriodArgs,

    /// Only this host
    #[arg(long, value_name = "NAME")]
    pub host: Option<String>,

    /// 2: also who stands behind those who shared an IP
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true, value_parser = clap::value_parser!(u8).range(1..=2))]
    pub hops: u8,

    /// Write timeline, messages, recipients there
    #[arg(short, long, value_name = "DIR")]
    pub out: Option<PathBuf>,

    /// csv, parquet, jsonl, ecs; all unless said
    #[arg(
        long,
        value_name = "LIST",
        value_enum,
        value_delimiter = ',',
        default_value = "csv,parquet,jsonl,ecs",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub format: Vec<TraceFormatArg>,

    /// Only a list: queue-ids, ips, recipients
    #[arg(long, value_name = "LIST", value_enum, hide_possible_values = true, conflicts_with = "json")]
    pub print: Option<ListArg>,

    /// Check an export and what it was read from
    #[arg(long, value_name = "MANIFEST", conflicts_with_all = ["what", "print", "out"])]
    pub verify: Option<PathBuf>,

    /// The archive
    #[arg(long, value_name = "DIR", env = "MAILSLEUTH_STATE", hide_env = true)]
    pub state: Option<PathBuf>,

    #[command(flatten)]
    pub reading: ReadingArgs,

    #[command(flatten)]
    pub passing: PassArgs,

    #[command(flatten)]
    pub working: WorkingArgs,

    /// Stop rather than take more memory than 512M
    #[arg(long, value_name = "SIZE", value_parser = size, env = "MAILSLEUTH_MEMORY_LIMIT", hide_env = true)]
    pub memory_limit: Option<u64>,

    /// Pseudonyms for whom: off, recipients, all
    #[arg(long, value_name = "WHO", value_enum, default_value_t = PrivacyArg::Off, hide_default_value = true, hide_possible_values = true, env = "MAILSLEUTH_PRIVACY", hide_env = true)]
    pub privacy: PrivacyArg,

    /// No story and no warnings, errors only
    #[arg(short, long, env = "MAILSLEUTH_QUIET", hide_env = true, value_parser = BoolishValueParser::new())]
    pub quiet: bool,

    /// Colours: auto, always, never
    #[arg(long, value_name = "WHEN", value_enum, default_value_t = ColorArg::Auto, hide_default_value = true, hide_possible_values = true, env = "MAILSLEUTH_COLOR", hide_env = true)]
    pub color: ColorArg,

    /// The story as JSON
    #[arg(long, env = "MAILSLEUTH_JSON", hide_env = true, value_parser = BoolishValueParser::new())]
    pub json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum TraceFormatArg {
    Csv,
    Parquet,
    Jsonl,
    Ecs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListArg {
    QueueIds,
    Ips,
    Recipients,
}

/// Where `trace` reads from.
#[derive(Debug)]
pub enum TraceFrom {
    Logs(Vec<OsString>),
    /// The archive, and where there is none the host's usual logs.
    ArchiveOrLogs(PathBuf),
    /// The archive that the user named.
    Archive(PathBuf),
}

/// What `trace` does.
#[derive(Debug)]
pub enum TracePlan {
    Verify(PathBuf),
    Search(Box<SearchPlan>),
}

/// One search: checked values only.
#[derive(Debug)]
pub struct SearchPlan {
    pub target: crate::trace::Target,
    pub from: TraceFrom,
    pub period: Period,
    /// In lower case.
    pub host: Option<String>,
    pub hops: u8,
    pub out: Option<PathBuf>,
    pub formats: Vec<TraceFormatArg>,
    pub list: Option<List>,
    pub zone: TimeZone,
    pub zone_name: String,
    pub year: Option<i16>,
    pub mta: Option<Mta>,
    pub rules: Vec<PathBuf>,
    pub threads: usize,
    /// Bytes.
    pub memory_limit: Option<u64>,
    pub privacy: Privacy,
    /// Where the key of the pseudonyms is.
    pub state: PathBuf,
    pub quiet: bool,
    pub progress: bool,
    pub look: Look,
    pub json: bool,
    pub detection: detect::Settings,
}

impl TraceArgs {
    /// # Errors
    /// [`Error::Usage`] for a value that means nothing.
    pub fn plan(self, detection: detect::Settings) -> Result<TracePlan> {
        if let Some(manifest) = self.verify {
            return Ok(TracePlan::Verify(manifest));
        }
        let target = crate::trace::Target::new(&self.what.unwrap_or_default()).map_err(Error::Usage)?;
        let (zone, zone_name) = zone(self.reading.timezone.as_deref())?;
        let period = self.period.period(&zone)?;
        let from = match (self.paths.is_empty(), &self.state) {
            (false, _) => TraceFrom::Logs(self.paths),
            (true, Some(state)) => TraceFrom::Archive(state.clone()),
            (true, None) => TraceFrom::ArchiveOrLogs(STATE.into()),
        };
        let mut formats = self.format;
        formats.sort_unstable();
        formats.dedup();
        Ok(TracePlan::Search(Box::new(SearchPlan {
            target,
            from,
            period,
            host: self.host.map(|host| host.to_lowercase()),
            hops: self.hops,
            out: self.out,
            formats,
            list: self.print.map(ListArg::list),
            zone,
            zone_name,
            year: self.passing.year,
            mta: self.reading.mta.mta(),
            rules: self.working.rules,
            threads: threads(self.working.threads),
            memory_limit: self.memory_limit,
            privacy: self.privacy.privacy(),
            state: self.state.unwrap_or_else(usual_state),
            quiet: self.quiet,
            progress: self.passing.progress == ProgressArg::Auto,
            look: look(self.color),
            json: self.json,
            detection,
        })))
    }
}

impl ListArg {
    const fn list(self) -> List {
        match self {
            Self::QueueIds => List::QueueIds,
            Self::Ips => List::Ips,
            Self::Recipients => List::Recipients,
        }
    }
}

const ACCEPT_EXAMPLES: &str = "\
Examples:
  mailsleuth accept news@example.org --kinds bulk-campaign,hourly-limit \\
    --until 2027-01-31 --why 'the newsletter'
  mailsleuth accept --list
  mailsleuth accept --remove news@example.org

What is accepted is told again when it gets much worse than it was then: a
higher severity, or three times the recipients. The config file's [[allow]]
does the same for `analyze` too.";

const ACCEPT_USAGE: &str = "mailsleuth accept [OPTIONS] --why <TEXT> <IDENTITY>
       mailsleuth accept [OPTIONS] --remove <IDENTITY>
       mailsleuth accept [OPTIONS] --list";

#[derive(Debug, Args)]
#[command(override_usage = ACCEPT_USAGE)]
pub struct AcceptArgs {
    /// The identity, as the reports name it
    #[arg(value_name = "IDENTITY", required_unless_present = "list", conflicts_with = "list")]
    pub identity: Option<String>,

    /// Kinds of findings; without it, all
    #[arg(long, value_name = "KINDS", value_delimiter = ',')]
    pub kinds: Vec<String>,

    /// Day from which on it is told again; default: in 90 days
    #[arg(long, value_name = "DATE")]
    pub until: Option<String>,

    /// Why, in a few words; shown in every report; needed
    #[arg(long, value_name = "TEXT", required_unless_present_any = ["list", "remove"])]
    pub why: Option<String>,

    /// Show what is accepted
    #[arg(long)]
    pub list: bool,

    /// Tell of this identity again
    #[arg(long, conflicts_with_all = ["list", "why", "until"])]
    pub remove: bool,

    /// The archive
    #[arg(long, value_name = "DIR", default_value = STATE, env = "MAILSLEUTH_STATE", hide_env = true)]
    pub state: PathBuf,
}

/// What `accept` does.
#[derive(Debug)]
pub enum AcceptAction {
    List,
    Remove { identity: String, kinds: Vec<String> },
    Add(crate::detect::Allow),
}

#[derive(Debug)]
pub struct AcceptPlan {
    pub state: PathBuf,
    pub action: AcceptAction,
}

impl AcceptArgs {
    /// # Errors
    /// [`Error::Usage`] for a kind or a date that does not exist.
    pub fn plan(self) -> Result<AcceptPlan> {
        if let Some(kind) = self.kinds.iter().find(|kind| !detect::is_kind(kind)) {
            let kinds = detect::DETECTORS.iter().map(|d| d.kind).collect::<Vec<_>>().join(", ");
            return Err(Error::Usage(format!("--kinds {kind}: no such kind of findings; one of {kinds}")));
        }
        let identity = self.identity.unwrap_or_default();
        if identity.is_empty() && !self.list {
            return Err(Error::Usage("'' is no identity; give one as the reports name it".into()));
        }
        let action = match (self.list, self.remove) {
            (true, _) => AcceptAction::List,
            (_, true) => AcceptAction::Remove { identity, kinds: self.kinds },
            _ => {
                let until = match self.until {
                    Some(until) => until,
                    None => {
                        let day = jiff::Zoned::now().date().checked_add(jiff::Span::new().days(90));
                        day.map(|day| day.to_string()).unwrap_or_default()
                    }
                };
                let until_day = crate::config::day(&until)
                    .ok_or_else(|| Error::Usage(format!("--until {until}: no such date; write it as 2027-01-31")))?;
                let today = jiff::Timestamp::now().as_second().div_euclid(SECONDS_PER_DAY);
                if until_day <= today {
                    return Err(Error::Usage(format!("--until {until}: that day has come already")));
                }
                let why = self.why.unwrap_or_default();
                AcceptAction::Add(detect::Allow {
                    identity,
                    kinds: self.kinds,
                    until_day: Some(until_day),
                    until: Some(until),
                    why,
                })
            }
        };
        Ok(AcceptPlan { state: self.state, action })
    }
}

/// What one run of `analyze` does: checked values only.
#[derive(Debug)]
pub struct Plan {
    pub paths: Vec<OsString>,
    pub period: Period,
    /// Bytes.
    pub memory_limit: Option<u64>,
    pub verbose: bool,
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
        let (zone, zone_name) = zone(self.reading.timezone.as_deref())?;
        let paths = if self.paths.is_empty() { usual_logs()? } else { self.paths };
        let (formats, writes_page) = formats(&self.making.format);
        if self.showing.events && formats.iter().all(|format| *format == Format::Json) {
            return Err(Error::Usage("--events are written as csv or parquet: add one of them to --format".into()));
        }
        Ok(Plan {
            paths,
            period: self.period.period(&zone)?,
            memory_limit: self.making.memory_limit,
            verbose: self.verbose,
            out: self.showing.out,
            formats,
            writes_page,
            events: self.showing.events,
            zone,
            zone_name,
            year: self.passing.year,
            mta: self.reading.mta.mta(),
            merges_hosts: self.making.merge_hosts,
            fail_on: self.showing.fail_on.map(SeverityArg::severity),
            threads: threads(self.making.working.threads),
            rules: self.making.working.rules,
            mmdb: self.making.mmdb,
            detection,
            privacy: self.showing.privacy.privacy(),
            state: self.state.unwrap_or_else(usual_state),
            quiet: self.showing.quiet,
            progress: self.passing.progress == ProgressArg::Auto,
            look: look(self.showing.color),
            json: self.showing.json,
        })
    }
}

/// Where a host's state is, and where there is none a user's (XDG Base Directory Specification).
fn usual_state() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty()).map(PathBuf::from);
    if PathBuf::from(STATE).is_dir() {
        return STATE.into();
    }
    let home = || set("HOME").map(|home| home.join(".local/state"));
    set("XDG_STATE_HOME").or_else(home).map_or_else(|| STATE.into(), |base| base.join("mailsleuth"))
}

impl PrivacyArg {
    const fn privacy(self) -> Privacy {
        match self {
            Self::Off => Privacy::Off,
            Self::Recipients => Privacy::Recipients,
            Self::All => Privacy::All,
        }
    }
}

impl MtaArg {
    const fn mta(self) -> Option<Mta> {
        match self {
            Self::Auto => None,
            Self::Postfix => Some(Mta::Postfix),
            Self::Exim => Some(Mta::Exim),
        }
    }
}

impl SeverityArg {
    const fn severity(self) -> Severity {
        match self {
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

/// The zone of stamps that have none, and its name.
fn zone(name: Option<&str>) -> Result<(TimeZone, String)> {
    let zone = match name {
        Some(name) => zone_of(name).map_err(Error::Usage)?,
        None => TimeZone::system(),
    };
    let name = name.or_else(|| zone.iana_name()).unwrap_or_default().to_string();
    Ok((zone, name))
}

fn zone_of(name: &str) -> std::result::Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| {
        let zones: Vec<_> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
        let meant = did_you_mean(name, zones.iter().map(String::as_str));
        format!("no such zone; give an IANA name such as Europe/Berlin or UTC{meant}")
    })
}

/// The name of a zone that there is.
fn zone_name(name: &str) -> std::result::Result<String, String> {
    zone_of(name).map(|_| name.to_string())
}

/// An address that a mail program takes as one, and not as an option.
fn mail_address(text: &str) -> std::result::Result<String, String> {
    let is_address =
        !text.is_empty() && !text.starts_with('-') && !text.contains(|c: char| c.is_whitespace() || c.is_control());
    if is_address { Ok(text.to_string()) } else { Err("no mail address".into()) }
}

/// The formats of the tables, each once, and whether the page is wanted.
fn formats(named: &[FormatArg]) -> (Vec<Format>, bool) {
    let mut formats: Vec<_> = named
        .iter()
        .filter_map(|format| match format {
            FormatArg::Csv => Some(Format::Csv),
            FormatArg::Parquet => Some(Format::Parquet),
            FormatArg::Json => Some(Format::Json),
            FormatArg::Html => None,
        })
        .collect();
    formats.sort_unstable();
    formats.dedup();
    (formats, named.contains(&FormatArg::Html))
}

fn threads(named: Option<u16>) -> usize {
    named.map_or_else(|| std::thread::available_parallelism().map_or(1, usize::from), usize::from)
}

/// The globs among [`USUAL_LOGS`] that match a file here.
pub fn usual_logs() -> Result<Vec<OsString>> {
    let there = |pattern: &&&str| glob::glob(pattern).is_ok_and(|mut paths| paths.next().is_some());
    let found: Vec<_> = USUAL_LOGS.iter().filter(there).map(OsString::from).collect();
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
