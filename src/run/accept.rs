//! `mailsleuth accept`: known senders, kept beside the archive.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Outcome, now_s};
use crate::archive::Archive;
use crate::archive::manifest::Silenced;
use crate::archive::replace;
use crate::cli::{AcceptAction, AcceptPlan};
use crate::detect::Allow;
use crate::error::{Error, Result};
use crate::mail::address::printable;
use crate::mail::time::SECONDS_PER_DAY;

const FILE: &str = "accepted.json";

/// One entry as it lies on the disk.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    identity: String,
    kinds: Vec<String>,
    until: Option<String>,
    why: String,
}

/// What is accepted in the archive of this directory.
///
/// # Errors
/// [`Error::Archive`] for a file that cannot be read.
pub fn accepted(state: &Path) -> Result<Vec<Allow>> {
    let path = state.join(FILE);
    let text = match fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|error| Error::Archive { path: path.clone(), problem: error.to_string() })?,
    };
    let entries: Vec<Entry> =
        serde_json::from_slice(&text).map_err(|error| Error::Archive { path, problem: error.to_string() })?;
    let allow = |entry: Entry| Allow {
        until_day: entry.until.as_deref().and_then(crate::config::day),
        identity: entry.identity,
        kinds: entry.kinds,
        until: entry.until,
        why: entry.why,
    };
    Ok(entries.into_iter().map(allow).collect())
}

/// Runs the plan.
///
/// # Errors
/// [`Error::Locked`] while a run works on the archive; [`Error::Usage`] for an identity that is not accepted and shall no
/// longer be; [`Error::Archive`].
pub fn run(plan: &AcceptPlan) -> Result<Outcome> {
    if let AcceptAction::List = &plan.action {
        return Ok(Outcome { text: list(&accepted(&plan.state)?), ..Outcome::default() });
    }
    let mut archive = Archive::open(&plan.state)?;
    let mut entries = accepted(&plan.state)?;
    let text = match &plan.action {
        AcceptAction::List => String::new(),
        AcceptAction::Add(entry) => {
            entries.retain(|known| !is_same(known, &entry.identity) || known.kinds != entry.kinds);
            entries.push(entry.clone());
            // From now on it is measured by what it did when it was last looked at.
            let mut manifest = archive.manifest.clone();
            let is_about = |identity: &str, kind: &str| {
                entry.is_about(None, identity.as_bytes())
                    && (entry.kinds.is_empty() || entry.kinds.iter().any(|k| k == kind))
            };
            manifest.silenced.retain(|known| !is_about(&known.identity, &known.kind));
            let (accepted, others) = std::mem::take(&mut manifest.incidents)
                .into_iter()
                .partition::<Vec<_>, _>(|known| is_about(&known.identity, &known.kind));
            manifest.incidents = others;
            let note = match accepted.is_empty() {
                true => "Nothing was found about it so far: is it written as the reports write it?\n",
                false => "",
            };
            manifest.silenced.extend(accepted.into_iter().map(|known| Silenced {
                identity: known.identity,
                kind: known.kind,
                severity: known.severity,
                recipients: known.recipients,
                messages: known.messages,
            }));
            if manifest != archive.manifest {
                archive.commit_manifest(manifest)?;
            }
            format!("{}{note}", list(std::slice::from_ref(entry)))
        }
        AcceptAction::Remove { identity, kinds } => {
            let before = entries.len();
            entries.retain(|known| !is_same(known, identity) || (!kinds.is_empty() && known.kinds != *kinds));
            if entries.len() == before {
                return Err(Error::Usage(format!(
                    "{identity}: is not accepted; `mailsleuth accept --list` shows who is"
                )));
            }
            let left: Vec<Allow> = entries.iter().filter(|known| is_same(known, identity)).cloned().collect();
            let identity = printable(identity.as_bytes());
            if left.is_empty() {
                format!("{identity} is told of again\n")
            } else {
                format!("{identity} is told of again, but for what is still accepted:\n{}", list(&left))
            }
        }
    };
    let stored: Vec<Entry> = entries
        .into_iter()
        .map(|Allow { identity, kinds, until, why, .. }| Entry { identity, kinds, until, why })
        .collect();
    let path = plan.state.join(FILE);
    let failed = |error: io::Error| Error::Archive { path: path.clone(), problem: error.to_string() };
    let mut json = serde_json::to_vec_pretty(&stored).map_err(|error| failed(error.into()))?;
    json.push(b'\n');
    replace(&path, &json).map_err(failed)?;
    Ok(Outcome { text, ..Outcome::default() })
}

fn is_same(entry: &Allow, identity: &str) -> bool {
    entry.identity.eq_ignore_ascii_case(identity)
}

fn list(entries: &[Allow]) -> String {
    let today = now_s().div_euclid(SECONDS_PER_DAY);
    let one = |entry: &Allow| {
        let is_over = entry.until_day.is_some_and(|day| day <= today);
        let over = if is_over { " (over)" } else { "" };
        let kinds = if entry.kinds.is_empty() { "everything".to_string() } else { entry.kinds.join(", ") };
        let until = entry.until.as_ref().map_or(String::new(), |until| format!(" until {until}"));
        let (identity, why) = (printable(entry.identity.as_bytes()), printable(entry.why.as_bytes()));
        format!("{identity}: {kinds}{until}{over}: {why}\n")
    };
    if entries.is_empty() { "nobody is accepted\n".into() } else { entries.iter().map(one).collect() }
}
