//! Events in Elastic's Common Schema, one JSON object a line (ECS 8.11: base, ecs, event, email, source, destination, user,
//! host, log, error and related fields). What the schema has no field for stands under `mailsleuth`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::super::privacy::Pseudonyms;
use super::super::schema::{Column, TIMELINE};
use super::super::tables::Cell;
use super::rows::timeline;
use crate::trace::Story;

/// The schema's version that the fields are of.
const VERSION: &str = "8.11.0";

/// The object of one row of the timeline.
pub fn object(columns: &[Column], row: &[Cell]) -> Value {
    let text = |name: &str| {
        let at = columns.iter().position(|column| column.name == name)?;
        match row.get(at) {
            Some(Cell::Text(text)) => Some(text.clone()),
            _ => None,
        }
    };
    let number = |name: &str| {
        let at = columns.iter().position(|column| column.name == name)?;
        match row.get(at) {
            Some(Cell::Count(count)) => Some(*count),
            _ => None,
        }
    };
    let kind = text("event").unwrap_or_default();
    let action = text("action").unwrap_or_default();
    let is_login = kind == "auth_failure";
    let outcome = match action.as_str() {
        "" | "delivered" | "handed_on" => "success",
        "held" | "deferred" => "unknown",
        _ => "failure",
    };
    let (categories, types) = if is_login { (["authentication"], ["start"]) } else { (["email"], ["info"]) };
    let action = if action.is_empty() { kind.clone() } else { format!("{kind}-{action}") };
    let sender = text("envelope_sender");
    let (client_ip, relay_ip) = (ip(text("client_ip")), ip(text("relay_ip")));
    let user = text("sasl_username").or_else(|| text("uid"));
    let addresses: Vec<_> = [sender.clone(), text("recipient")].into_iter().flatten().filter(|a| a != "<>").collect();
    let mut related_users: Vec<String> = user.iter().cloned().chain(addresses).collect();
    let direction = text("direction").map(|way| if way == "local" { "internal".to_string() } else { way });
    let related_ips: Vec<String> = client_ip.iter().chain(&relay_ip).cloned().collect();
    related_users.sort();
    related_users.dedup();
    let object = json!({
        "@timestamp": text("datetime"),
        "message": text("message"),
        "ecs": { "version": VERSION },
        "event": {
            "kind": "event",
            "category": categories,
            "type": types,
            "outcome": outcome,
            "action": action,
            "module": "mailsleuth",
            "dataset": "mailsleuth.trace",
            "provider": text("mta"),
            "code": number("smtp_code").map(|code| code.to_string()),
            "reason": text("response"),
        },
        "email": {
            "local_id": text("queue_id"),
            "message_id": text("message_id"),
            "subject": text("subject"),
            "sender": { "address": sender.filter(|sender| sender != "<>") },
            "to": { "address": text("recipient").map(|to| vec![to]) },
            "direction": direction,
        },
        "source": {
            "address": client_ip.clone().or_else(|| text("client_name")),
            "ip": client_ip.clone(),
            "domain": text("client_name").filter(|name| name != "unknown"),
        },
        "destination": {
            "address": relay_ip.clone().or_else(|| text("relay_host")),
            "ip": relay_ip.clone(),
            "port": number("relay_port"),
            "domain": text("relay_host"),
        },
        "user": { "name": user },
        "host": { "name": text("host") },
        "log": { "file": { "path": text("source") } },
        "related": {
            "ip": related_ips,
            "user": related_users,
        },
        "mailsleuth": {
            "line": number("line"),
            "event": kind,
            "identity_kind": text("identity_kind"),
            "identity": text("identity"),
            "helo": text("helo"),
            "cwd": text("cwd"),
            "size": number("size"),
            "category": text("category"),
            "provider": text("provider"),
            "enhanced_code": text("enhanced_code"),
            "fit": text("fit"),
            "why": text("why"),
        },
    });
    known(object).unwrap_or(Value::Null)
}

/// An address that Elasticsearch takes for its type `ip`.
fn ip(text: Option<String>) -> Option<String> {
    text?.parse::<IpAddr>().ok().map(|ip| ip.to_string())
}

/// Without what is unknown or empty.
fn known(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(list) if list.is_empty() => None,
        Value::Object(fields) => {
            let fields: Map<String, Value> =
                fields.into_iter().filter_map(|(key, field)| Some((key, known(field)?))).collect();
            (!fields.is_empty()).then_some(Value::Object(fields))
        }
        other => Some(other),
    }
}

/// Writes a story's events, people hidden where that is wanted.
///
/// # Errors
/// What creating or writing the file gives.
pub fn write(story: &Story<'_, '_>, pseudonyms: Option<&Arc<Pseudonyms>>, path: &Path) -> io::Result<()> {
    let mut out = BufWriter::new(File::create(path)?);
    timeline(story, pseudonyms, |row| {
        serde_json::to_writer(&mut out, &object(TIMELINE.columns, &row))?;
        out.write_all(b"\n")
    })?;
    out.flush()?;
    out.get_ref().sync_all()
}
