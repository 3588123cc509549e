//! Lists to act with, each only on request: queue ids for the mail server's own tools, addresses for a firewall, recipients
//! to tell. A line is one thing, and nothing that a sender wrote can make two of it.

use std::collections::BTreeSet;

use crate::mail::address::printable;
use crate::mail::status::{Mta, words};
use crate::trace::{Fit, Roles, Story};

words! {
    /// What is printed instead of the story.
    List {
        /// Messages still in the queue, for `postsuper -h -` or `postsuper -d -`, or `xargs exim -Mf`, `xargs exim -Mrm`.
        QueueIds = "queue-ids",
        /// Client addresses of the mail that does not fit.
        Ips = "ips",
        /// Addresses that something was delivered to.
        Recipients = "recipients",
    }
}

/// The list, a line each, and what to say of it.
pub fn list(story: &Story<'_, '_>, list: List) -> (String, Vec<String>) {
    match list {
        List::QueueIds => queue_ids(story),
        List::Ips => ips(story),
        List::Recipients => recipients(story),
    }
}

/// Whose messages are meant.
fn of_whom(story: &Story<'_, '_>) -> &'static str {
    if story.run.is_some() { "that do not fit the account's ordinary use" } else { "of the story" }
}

fn queue_ids(story: &Story<'_, '_>) -> (String, Vec<String>) {
    let waiting = story.in_queue();
    let mut said = Vec::new();
    let hosts: BTreeSet<u32> = waiting.iter().map(|sent| sent.message.host.0).collect();
    let mtas: BTreeSet<Mta> = waiting.iter().map(|sent| sent.message.mta).collect();
    let recipients: usize = waiting.iter().map(|sent| sent.message.recipients.len()).sum();
    said.push(format!(
        "{} messages for {recipients} named recipients are still in the queue as far as the log goes, of {} {}; nothing was changed",
        waiting.len(),
        story.reach().messages,
        of_whom(story)
    ));
    incomplete(story, &mut said);
    if hosts.len() > 1 || mtas.len() > 1 {
        said.push(format!("they lie in the queues of {} hosts: --host picks one", hosts.len()));
    }
    let short =
        waiting.iter().filter(|sent| sent.message.mta == Mta::Postfix && is_short(sent.message.queue_id.as_bytes()));
    let short = short.count();
    if short > 0 {
        said.push(format!(
            "{short} have short ids, which Postfix uses again: compare with `postqueue -p` before anything is deleted"
        ));
    }
    for mta in &mtas {
        said.push(
            match mta {
                Mta::Postfix => "to hold them: postsuper -h - < LIST; to delete them: postsuper -d - < LIST",
                Mta::Exim => "to freeze them: xargs exim -Mf < LIST; to remove them: xargs exim -Mrm < LIST",
            }
            .to_string(),
        );
    }
    // By their grammar ids are letters, digits and, in Exim's, dashes: nothing that a shell could take for its own.
    (waiting.iter().map(|sent| format!("{}\n", sent.message.queue_id)).collect(), said)
}

/// Says what the list leaves out.
fn incomplete(story: &Story<'_, '_>, said: &mut Vec<String>) {
    if story.found.beyond > 0 {
        said.push(format!("the list is not whole: {} more messages or refusals were too many to keep; narrow it with --since and --until", story.found.beyond));
    }
    if let Some(unclear) = &story.unclear {
        said.push(format!("{} messages of which nobody can tell whether they fit are not meant", unclear.messages));
    }
}

/// True for a Postfix id without the time in it.
fn is_short(id: &[u8]) -> bool {
    id.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'A'..=b'F'))
}

fn ips(story: &Story<'_, '_>) -> (String, Vec<String>) {
    let mut said = Vec::new();
    if story.run.is_none() && story.role != Roles::CLIENT {
        said.push(
            "nothing sets some of the mail apart from the rest: no address is told, they may be the owner's".into(),
        );
        return (String::new(), said);
    }
    let fits: BTreeSet<_> = story
        .messages
        .iter()
        .enumerate()
        .filter(|(at, _)| story.fit(*at).is_some_and(|(fit, _)| fit == Fit::Fits))
        .filter_map(|(_, sent)| {
            sent.message.origin.client.as_ref().and_then(|client| crate::mail::address::ip(&client.ip))
        })
        .collect();
    let mut told = String::new();
    let mut count = 0;
    for pivot in &story.pivots {
        let left_out = match &pivot.mark {
            Some(mark) => Some(mark.clone()),
            None => fits.contains(&pivot.ip).then(|| "mail that fits came from it, too".to_string()),
        };
        match left_out {
            Some(why) => said.push(format!("{} left out: {why}", pivot.ip)),
            None => {
                let others: Vec<_> = pivot
                    .others
                    .iter()
                    .take(3)
                    .map(|(who, used)| format!("{} ({} messages)", printable(&who.1), used.messages))
                    .collect();
                if !others.is_empty() {
                    said.push(format!("{} is among them, and used by {} as well", pivot.ip, others.join(", ")));
                }
                told.push_str(&format!("{}\n", pivot.ip));
                count += 1;
            }
        }
    }
    incomplete(story, &mut said);
    said.insert(0, format!("{count} client addresses of the messages {}; nothing was blocked", of_whom(story)));
    (told, said)
}

fn recipients(story: &Story<'_, '_>) -> (String, Vec<String>) {
    let reached = &story.reach().reached;
    let mut said = vec![format!("{} addresses got at least one of the messages {}", reached.len(), of_whom(story))];
    incomplete(story, &mut said);
    (reached.iter().map(|address| format!("{address}\n")).collect(), said)
}
