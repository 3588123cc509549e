//! The config file: what the options say, under the same names, where neither the command line nor the environment does.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use clap::builder::OsStr;
use clap::error::ErrorKind;
use clap::{Arg, Command};
use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use toml::{Spanned, Value};

use crate::detect::{Allow, DETECTORS, LimitSettings, Settings, is_kind};
use crate::error::{Error, Result, did_you_mean};
use crate::mail::time::days_from_civil;

/// Where a config file is looked for when none is named.
const USUAL: &str = "/etc/mailsleuth/config.toml";
/// Options that make no sense in a file.
const NOT_HERE: &[&str] = &[
    "config",
    "help",
    "version",
    "json",
    "verbose",
    "relay",
    "by-us",
    "stage",
    "since",
    "until",
    "hops",
    "print",
    "shards",
    "no-tables",
    "partial",
    "shard",
    "verify",
    "identity",
    "kind",
    "host",
    "recipient",
    "sender",
    "client",
    "category",
    "provider",
    "action",
    "direction",
    "kinds",
    "why",
    "list",
    "remove",
];

/// Makes what the config file says the defaults of `command`'s options, so that the command line and the environment go
/// before it; and gives what it says of detection: `[limits.KIND]`, `[[identity]]`, `[[allow]]`, `hosted`, `own_networks`.
///
/// # Errors
/// [`Error::Usage`] for a file that cannot be read or is not well-formed, a key that is no option, and a value that the
/// option does not take; with file and line.
pub fn applied(command: Command, arguments: &[OsString]) -> Result<(Command, Settings)> {
    let (path, is_named) = match named(arguments) {
        Some(path) => (path, true),
        None => (PathBuf::from(USUAL), false),
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if !is_named && error.kind() == std::io::ErrorKind::NotFound => {
            return Ok((command, Settings::default()));
        }
        Err(error) => return Err(Error::Usage(format!("{}: cannot read the config file: {error}", path.display()))),
    };
    Ok((with_defaults(command, &path, &text)?, detection(&path, &text)?))
}

/// Keys that say nothing of options, but of what is abuse.
const OF_DETECTION: &[&str] = &["limits", "identity", "allow", "hosted", "own_networks"];

/// Limits by detector and key.
type LimitTables = BTreeMap<String, Spanned<BTreeMap<String, Spanned<Value>>>>;

#[derive(Debug, Default, Deserialize)]
struct DetectionFile {
    #[serde(default)]
    limits: LimitTables,
    #[serde(default)]
    identity: Vec<Spanned<IdentityEntry>>,
    #[serde(default)]
    allow: Vec<Spanned<AllowEntry>>,
    hosted: Option<Spanned<Texts>>,
    own_networks: Option<Spanned<Texts>>,
}

/// A text, or a list of them.
#[derive(Debug)]
enum Texts {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        struct OneOrMany;
        impl<'de> Visitor<'de> for OneOrMany {
            type Value = Texts;

            fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                to.write_str("a text or a list of texts, such as ['a', 'b']")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> std::result::Result<Texts, E> {
                Ok(Texts::One(text.to_string()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> std::result::Result<Texts, A::Error> {
                let mut all = Vec::new();
                while let Some(text) = texts.next_element()? {
                    all.push(text);
                }
                Ok(Texts::Many(all))
            }
        }
        deserializer.deserialize_any(OneOrMany)
    }
}

/// Texts with where each stands.
fn texts(of: Option<Spanned<Texts>>) -> Vec<(usize, String)> {
    let Some(of) = of else { return Vec::new() };
    let at = of.span().start;
    match of.into_inner() {
        Texts::One(text) => vec![(at, text)],
        Texts::Many(texts) => texts.into_iter().map(|text| (text.span().start, text.into_inner())).collect(),
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityEntry {
    name: String,
    limits: LimitTables,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct AllowEntry {
    identity: String,
    kinds: Option<Spanned<Texts>>,
    until: Option<Value>,
    why: String,
}

fn detection(path: &Path, text: &str) -> Result<Settings> {
    let wrong = |at: usize, problem: &str| {
        let line = text.get(..at).unwrap_or(text).matches('\n').count() + 1;
        Error::Usage(format!("{}:{line}: {problem}", path.display()))
    };
    let file: DetectionFile = toml::from_str(text)
        .map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message().trim()))?;
    let mut settings = Settings::default();
    for (at, domain) in texts(file.hosted) {
        settings.hosted.push(hosted(domain).map_err(|problem| wrong(at, &problem))?);
    }
    let limits = |tables: &LimitTables| -> Result<LimitSettings> {
        let mut settings = LimitSettings::default();
        for (kind, limits) in tables {
            for (key, value) in limits.get_ref() {
                let set = number(kind, key, value.get_ref()).and_then(|number| settings.set(kind, key, number));
                set.map_err(|problem| wrong(value.span().start, &problem))?;
            }
        }
        Ok(settings)
    };
    settings.limits = limits(&file.limits)?;
    for entry in &file.identity {
        let (at, entry) = (entry.span().start, entry.get_ref());
        if settings.identities.insert(entry.name.to_ascii_lowercase().into(), limits(&entry.limits)?).is_some() {
            return Err(wrong(at, &format!("identity: '{}' has an entry already; make them one", entry.name)));
        }
    }
    for (at, network) in texts(file.own_networks) {
        let parsed = network
            .parse()
            .map_err(|_| wrong(at, &format!("own_networks: '{network}' is no network; write it as '192.0.2.0/24'")));
        settings.own_networks.push(parsed?);
    }
    for entry in file.allow {
        let at = entry.span().start;
        let entry = entry.into_inner();
        let says_kinds = entry.kinds.is_some();
        let kinds: Vec<String> = texts(entry.kinds).into_iter().map(|(_, kind)| kind).collect();
        if says_kinds && kinds.is_empty() {
            return Err(wrong(at, "allow: kinds = [] allows nothing; leave the key out to allow all kinds"));
        }
        if let Some(kind) = kinds.iter().find(|kind| !is_kind(kind)) {
            let names = || DETECTORS.iter().map(|detector| detector.kind);
            let (meant, all) = (did_you_mean(kind, names()), names().collect::<Vec<_>>().join(", "));
            return Err(wrong(at, &format!("allow: no kind '{kind}' of findings; there are {all}{meant}")));
        }
        let until = entry.until.as_ref().map(|until| match until {
            Value::String(until) => until.clone(),
            // Without quotes.
            Value::Datetime(until) => until.to_string(),
            other => other.type_str().to_string(),
        });
        let until_day =
            match &until {
                Some(until) => Some(day(until).ok_or_else(|| {
                    wrong(at, &format!("allow: until = '{until}' is no date; write it as '2027-01-31'"))
                })?),
                None => None,
            };
        let AllowEntry { identity, why, .. } = entry;
        settings.allow.push(Allow { identity, kinds, until_day, until, why });
    }
    Ok(settings)
}

/// The number that a limit is set to.
fn number(kind: &str, key: &str, value: &Value) -> std::result::Result<f64, String> {
    match value {
        #[expect(clippy::cast_precision_loss, reason = "limits are small")]
        Value::Integer(number) => Ok(*number as f64),
        Value::Float(number) => Ok(*number),
        other => Err(format!("{kind}.{key}: a number without quotes is wanted, not {}", other.type_str())),
    }
}

/// A domain of this site.
fn hosted(domain: String) -> std::result::Result<String, String> {
    let is_label =
        |label: &str| !label.is_empty() && label.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'));
    if domain.split('.').all(is_label) {
        return Ok(domain);
    }
    let own = domain.rsplit('@').next().unwrap_or_default();
    Err(format!(
        "hosted: '{domain}' is no domain; write it as '{}'",
        if is_label(own.split('.').next().unwrap_or_default()) { own } else { "example.org" }
    ))
}

/// Days since 1970 of a date such as `2027-01-31`.
pub fn day(text: &str) -> Option<i64> {
    let date: jiff::civil::Date = text.parse().ok()?;
    Some(days_from_civil(date.year(), date.month().try_into().ok()?, date.day().try_into().ok()?))
}

/// The file that `--config` or `MAILSLEUTH_CONFIG` names.
fn named(arguments: &[OsString]) -> Option<PathBuf> {
    let mut arguments = arguments.iter().take_while(|argument| *argument != "--");
    while let Some(argument) = arguments.next() {
        if argument == "--config" {
            return arguments.next().map(PathBuf::from);
        }
        if let Some(path) = argument.to_str().and_then(|text| text.strip_prefix("--config=")) {
            return Some(path.into());
        }
    }
    std::env::var_os("MAILSLEUTH_CONFIG").filter(|path| !path.is_empty()).map(PathBuf::from)
}

fn with_defaults(mut command: Command, path: &Path, text: &str) -> Result<Command> {
    let wrong = |line: usize, problem: &str| Error::Usage(format!("{}:{line}: {problem}", path.display()));
    let line_of = |at: usize| text.get(..at).unwrap_or(text).matches('\n').count() + 1;
    let settings: BTreeMap<String, Spanned<Value>> = toml::from_str(text)
        .map_err(|error| wrong(error.span().map_or(1, |span| line_of(span.start)), error.message().trim()))?;
    // What the environment says wrong is not the file's mistake; reading the command line will tell.
    if refused_value(&command).is_some() {
        return Ok(command);
    }
    for (key, value) in settings.iter().filter(|(key, _)| !OF_DETECTION.contains(&key.as_str())) {
        let line = line_of(value.span().start);
        let values = words(value.get_ref())
            .ok_or_else(|| wrong(line, &format!("{key}: a text, number, true, false or a list of them is wanted")))?;
        let option = key.replace('_', "-");
        // A story is written where, and in what form, the command line says: the file speaks of reports.
        let is_of_reports = |sub: &Command| sub.get_name() != "trace" || !matches!(option.as_str(), "out" | "format");
        let takes =
            |sub: &Command| is_of_reports(sub) && sub.get_arguments().any(|argument| is_option(argument, &option));
        if NOT_HERE.contains(&option.as_str()) || !command.get_subcommands().any(takes) {
            let options: Vec<&str> =
                command.get_subcommands().flat_map(Command::get_arguments).filter_map(Arg::get_long).collect();
            if NOT_HERE.contains(&option.as_str()) && options.contains(&option.as_str()) {
                return Err(wrong(line, &format!("{key} is said on the command line, not in a file: --{option}")));
            }
            let options = options.into_iter().filter(|option| !NOT_HERE.contains(option));
            let options: Vec<String> = options.map(|option| option.replace('-', "_")).collect();
            let meant = did_you_mean(key, options.iter().map(String::as_str).chain(OF_DETECTION.iter().copied()));
            return Err(wrong(line, &format!("unknown key {key}; the keys are the long options' names{meant}")));
        }
        let names: Vec<String> =
            command.get_subcommands().filter(|sub| takes(sub)).map(|sub| sub.get_name().to_string()).collect();
        for name in names {
            command = command.mut_subcommand(name, |sub| with_default(sub, &option, &values));
        }
        if let Some(said) = refused_value(&command) {
            return Err(wrong(line, &said));
        }
    }
    Ok(command)
}

/// What an option says of a value that it does not take. It checks its default like any other value.
fn refused_value(command: &Command) -> Option<String> {
    ["analyze", "nightly", "report"].iter().find_map(|name| {
        let error = command.clone().try_get_matches_from(["mailsleuth", name]).err()?;
        let is_about_value = matches!(error.kind(), ErrorKind::InvalidValue | ErrorKind::ValueValidation);
        let said = error.to_string();
        is_about_value.then(|| {
            let first = said.lines().next().unwrap_or_default().trim_start_matches("error: ");
            let values = said.lines().map(str::trim).find(|line| line.starts_with("[possible values: "));
            values.map_or(first.to_string(), |values| format!("{first} {values}"))
        })
    })
}

fn is_option(argument: &Arg, option: &str) -> bool {
    argument.get_long() == Some(option)
}

fn with_default(sub: Command, option: &str, values: &[String]) -> Command {
    let Some(id) = sub.get_arguments().find(|argument| is_option(argument, option)).map(|a| a.get_id().clone()) else {
        return sub;
    };
    let values: Vec<OsStr> = values.iter().map(|value| OsStr::from(value.clone())).collect();
    sub.mut_arg(id, |argument| argument.default_values(values))
}

/// What a value is on the command line. `None` for a table, a date or a list of lists.
fn words(value: &Value) -> Option<Vec<String>> {
    match value {
        Value::Array(values) => values.iter().map(word).collect(),
        single => word(single).map(|word| vec![word]),
    }
}

fn word(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Float(_) | Value::Datetime(_) | Value::Array(_) | Value::Table(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, FromArgMatches};

    use super::*;
    use crate::cli::{self, Cli};

    fn parsed(text: &str, arguments: &[&str]) -> std::result::Result<Cli, String> {
        let command = with_defaults(Cli::command(), Path::new("my.toml"), text).map_err(|error| error.to_string())?;
        let arguments = ["mailsleuth"].iter().chain(arguments);
        let matches = command.try_get_matches_from(arguments).map_err(|error| error.to_string())?;
        Cli::from_arg_matches(&matches).map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_gives_defaults_that_the_command_line_goes_before() {
        let text = "# ours\ntimezone = \"Europe/Berlin\"\nformat = [\"csv\", \"json\"]\nevents = true\nthreads = 3\nrules = \"a.toml\"\n";
        let Ok(Cli { command: cli::Command::Analyze(args), .. }) = parsed(text, &["analyze", "-j", "1", "x"]) else {
            panic!()
        };
        assert_eq!(
            (args.reading.timezone.as_deref(), args.showing.events, args.making.working.threads),
            (Some("Europe/Berlin"), true, Some(1))
        );
        assert_eq!(
            (args.making.format, args.making.working.rules),
            (vec![cli::FormatArg::Csv, cli::FormatArg::Json], vec!["a.toml".into()])
        );
        let Ok(Cli { command: cli::Command::Classify(args), .. }) = parsed(text, &["classify", "x"]) else { panic!() };
        assert_eq!(args.rules, [PathBuf::from("a.toml")]);
    }

    #[test]
    fn the_example_has_every_key_and_is_right() {
        let example = include_str!("../contrib/config.toml");
        // A comment is `# text`; what can be set is `#key = value`.
        let set: String = example
            .lines()
            .map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with([' ', '#'])).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .collect();
        for text in [example, &set] {
            assert!(parsed(text, &["analyze", "x"]).is_ok(), "{:?}", parsed(text, &["analyze", "x"]).err());
            detection(Path::new("config.toml"), text).unwrap();
        }
        let table: toml::Table = toml::from_str(&set).unwrap();
        for sub in Cli::command().get_subcommands() {
            for option in sub.get_arguments().filter_map(|a| a.get_long()).filter(|long| !NOT_HERE.contains(long)) {
                assert!(table.contains_key(&option.replace('-', "_")), "contrib/config.toml lacks {option}");
            }
        }
        assert!(OF_DETECTION.iter().all(|key| table.contains_key(*key)));
    }

    #[test]
    fn limits_and_known_senders_are_read() {
        let text = "quiet = true\nhosted = ['b.example']\n[limits.hourly-limit]\nrecipients_per_hour = 500\n\
                    [[allow]]\nidentity = 'news@b.example'\nkinds = ['hourly-limit']\nuntil = '2027-01-31'\nwhy = 'ours'\n\
                    [[allow]]\nidentity = 'web'\nuntil = 2027-01-31\nwhy = 'ours'\n";
        assert!(parsed(text, &["analyze", "x"]).is_ok());
        let settings = detection(Path::new("my.toml"), text).unwrap();
        assert_eq!((settings.hosted.len(), settings.allow.len()), (1, 2));
        assert!(settings.allow.iter().all(|entry| entry.until_day == Some(20_849)));
        // One needs no list.
        let one = "hosted = 'b.example'\nown_networks = '192.0.2.0/24'\n[[allow]]\nidentity = 'a'\nkinds = 'sms-gateway'\nwhy = 'b'\n";
        let settings = detection(Path::new("my.toml"), one).unwrap();
        assert_eq!((settings.hosted.as_slice(), settings.own_networks.len()), (&["b.example".to_string()][..], 1));
        assert_eq!(settings.allow[0].kinds, ["sms-gateway"]);
        for (text, says) in [
            ("\n[limits.hourly]\nx = 1\n", "my.toml:3: no detector 'hourly'"),
            ("[limits.hourly-limit]\nx = 1\n", "my.toml:2: hourly-limit has no limit 'x'; it has recipients_per_hour"),
            ("[limits.hourly-limit]\nway_over = -1\n", "my.toml:2: hourly-limit.way_over = -1: a number above 0"),
            ("[limits.hourly-limit]\nrecipients_per_hour = 0\n", "recipients_per_hour = 0: a number above 0 is wanted"),
            (
                "[limits.hourly-limit]\nrecipients_per_hour = '5'\n",
                "my.toml:2: hourly-limit.recipients_per_hour: a number without quotes is wanted, not string",
            ),
            ("[limits.invalid-recipient-flood]\nshare = 4\n", "share = 4: a share from 0 to 1 is wanted"),
            ("hosted = ['bo@b.example']\n", "my.toml:1: hosted: 'bo@b.example' is no domain; write it as 'b.example'"),
            ("hosted = ['b.example', '']\n", "my.toml:1: hosted: '' is no domain; write it as 'example.org'"),
            ("[[allow]]\nidentity = 'a'\nwhy = 'b'\nkinds = []\n", "my.toml:1: allow: kinds = [] allows nothing"),
            ("[[identity]]\nname = 'a'\n[identity.limits.sms]\nx = 1\n", "my.toml:4: no detector 'sms'"),
            ("[[identity]]\nname = 'a'\nlimit = 3\nlimits = {}\n", "my.toml:3: unknown field `limit`"),
            ("[[identity]]\nname = 'a'\n", "my.toml:1: missing field `limits`"),
            (
                "[[identity]]\nname = 'a'\nlimits = {}\n[[identity]]\nname = 'A'\nlimits = {}\n",
                "my.toml:4: identity: 'A' has an entry already",
            ),
            ("quiet = true\nown_networks = 'office'\n", "my.toml:2: own_networks: 'office' is no network; write it as"),
            ("own_networks = 5\n", "a text or a list of texts, such as ['a', 'b']"),
            ("own_networks = [\n'192.0.2.0/24',\n'x']\n", "my.toml:3: own_networks: 'x' is no network"),
            ("own_networks = ['192.0.2.0/40']\n", "my.toml:1: own_networks: '192.0.2.0/40' is no network"),
            ("[[allow]]\nidentity = 'a'\n", "missing field `why`"),
            ("[[allow]]\nidentity = 'a'\nwhy = 'b'\nkinds = ['x']\n", "my.toml:1: allow: no kind 'x'"),
            ("[[allow]]\nidentity = 'a'\nwhy = 'b'\nkinds = ['hourly-limits']\n", "; did you mean 'hourly-limit'?"),
            ("[[allow]]\nidentity = 'a'\nwhy = 'b'\nuntil = 'soon'\n", "until = 'soon' is no date"),
            ("[[allow]]\nidentity = 'a'\nwhy = 'b'\nuntil = 3\n", "until = 'integer' is no date"),
        ] {
            let error = detection(Path::new("my.toml"), text).err().map(|e| e.to_string()).unwrap_or_default();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_line() {
        for (text, says) in [
            ("\ntimezon = \"UTC\"\n", "my.toml:2: unknown key timezon"),
            ("a = [\n", "my.toml:1: "),
            ("\n\nthreads = \"many\"\n", "my.toml:3: invalid value 'many' for '--threads"),
            ("format = [\"xml\"]\n", "my.toml:1: invalid value 'xml'"),
            ("quiet = 1.5\n", "my.toml:1: quiet: a text, number"),
            ("json = true\n", "my.toml:1: json is said on the command line, not in a file: --json"),
            ("alert = 'urgent'\n", "[possible values: low, medium, high, critical]"),
            ("\ntimezone = 'Europe/Berln'\n", "my.toml:2: invalid value 'Europe/Berln' for '--timezone"),
            ("mail_to = ['root', 'a b']\n", "my.toml:1: invalid value 'a b' for '--mail-to"),
        ] {
            let error = parsed(text, &["analyze", "x"]).err().unwrap_or_default();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
