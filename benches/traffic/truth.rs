//! `truth.json`: what `make` knows and `score` reads.

use serde::{Deserialize, Serialize};

use crate::model::{Counts, Identity};

#[derive(Debug, Serialize, Deserialize)]
pub struct Truth {
    pub seed: u64,
    pub mta: String,
    pub days: Vec<String>,
    pub hosts: Vec<String>,
    pub lines: u64,
    pub bytes: u64,
    pub identities: Vec<Sender>,
    /// Honest outside machines that send nothing through the host but show up in its log.
    pub bystanders: Vec<Bystander>,
    pub incidents: Vec<TrueIncident>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Sender {
    #[serde(flatten)]
    pub identity: Identity,
    pub role: String,
    pub innocent: bool,
    #[serde(flatten)]
    pub counts: Counts,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Bystander {
    #[serde(flatten)]
    pub identity: Identity,
    pub role: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct TrueIncident {
    pub id: String,
    pub kind: String,
    pub intensity: String,
    pub also: Vec<String>,
    pub form: String,
    pub identities: Vec<Identity>,
    /// Other identities on which a finding of this kind is right as well.
    #[serde(default, rename = "or")]
    pub alternatives: Vec<Identity>,
    pub first: String,
    pub last: String,
    pub messages: u64,
    pub recipients: u64,
    /// Refused recipients and failed logins.
    pub attempts: u64,
}
