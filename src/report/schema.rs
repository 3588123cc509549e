//! The columns of contract.md section 2: name and type of every column of every table, in order. Nothing else in the
//! program knows a column's name.

/// What a column holds. In CSV timestamps are RFC 3339 with `Z`, lists are joined by `;`, and unknown is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Type {
    Text,
    Count,
    Real,
    /// UTC, microseconds.
    Time,
    /// List of text.
    List,
    /// A JSON object as text; an object in JSON output.
    Json,
    /// List of counts.
    Counts,
    /// Binary; base 64 (RFC 4648) in CSV and JSON.
    Bytes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub kind: Type,
}

/// One table of the report.
#[derive(Debug)]
pub struct Schema {
    /// Also the file's name.
    pub name: &'static str,
    pub columns: &'static [Column],
}

macro_rules! schema {
    ($(#[$doc:meta])* $const:ident, $name:literal { $($kind:ident: $($column:ident)+;)+ }) => {
        $(#[$doc])*
        pub const $const: Schema = Schema {
            name: $name,
            columns: &[$($(Column { name: stringify!($column), kind: Type::$kind }),+),+],
        };
    };
}

schema! {
    /// One flagged pattern of one identity.
    FINDINGS, "findings" {
        Text: finding_id kind severity;
        Real: score;
        Text: identity_kind identity host;
        Time: first_seen last_seen;
        Count: messages recipients;
        List: client_ips queue_ids;
        Count: queue_id_count;
        Text: explanation;
        Json: evidence;
        Text: next_step;
    }
}

schema! {
    /// One responsible identity.
    SENDERS, "senders" {
        Text: identity_kind identity;
        List: hosts;
        Time: first_seen last_seen;
        Count: messages bytes recipients distinct_recipients distinct_recipient_domains delivered deferred
            deferral_attempts bounced expired rejected tempfailed invalid_recipients;
        Real: invalid_recipient_share;
        Count: envelope_senders envelope_sender_domains client_ips client_networks auth_failures;
        Time: peak_hour;
        Count: peak_hour_recipients;
        Text: top_category;
        List: findings;
        Real: score;
    }
}

schema! {
    /// One (identity, direction, action, category, provider) with its count.
    REASONS, "reasons" {
        Text: identity_kind identity direction action category family polarity;
        Count: smtp_code;
        Text: enhanced_code provider dnsbl;
        Count: attempts messages recipients;
        Time: first_seen last_seen;
        Text: example who_acts resolution;
        List: hosts;
    }
}

schema! {
    /// What one identity of this site did on one UTC day, as far as one run of `nightly` saw it.
    HISTORY, "history" {
        Text: identity_kind identity host;
        Time: day;
        Count: messages recipients distinct_recipients delivered deferred bounced rejected peak_hour_recipients;
        List: networks envelope_senders hours;
    }
}

schema! {
    /// What one identity of a partial did on one UTC day, as far as it is certain whatever stood before and behind the piece.
    IDENTITIES, "identities" {
        Count: shard;
        Time: day;
        Text: identity_kind identity host;
        Time: first_seen last_seen;
        Count: messages bytes recipients delivered deferred bounced expired discarded rejected tempfailed
            distinct_recipients;
        Bytes: recipients_hll;
        Counts: minutes minute_recipients;
    }
}

schema! {
    /// How one identity used one client network.
    SESSIONS, "sessions" {
        Count: shard;
        Text: identity_kind identity host network;
        Time: first_seen last_seen;
        Count: messages recipients invalid_recipients distrusted_recipients client_ips active_hours;
    }
}

schema! {
    /// One of the most frequent things of one identity: the count may be too high by the error at most.
    TOP_ITEMS, "top_items" {
        Count: shard;
        Text: identity_kind identity host what item;
        Count: count error;
    }
}

schema! {
    /// A message that began before the piece, or goes on behind it.
    CUT_MESSAGES, "cut_messages" {
        Text: host queue_id state;
        Time: first_seen last_seen;
        Count: lines;
    }
}

schema! {
    /// What was read, and how well.
    INPUTS, "inputs" {
        Text: source log year_from;
        Count: lines framed mail_lines bytes left_out;
        Time: first_seen last_seen;
        Text: problem;
    }
}

schema! {
    /// One thing that happened, for Timesketch: its three columns come first (contract.md section 1).
    TIMELINE, "timeline" {
        Text: datetime timestamp_desc message event host mta queue_id message_id identity_kind identity sasl_username uid
            client_ip client_name helo envelope_sender recipient direction action relay_host relay_ip;
        Count: relay_port;
        Text: provider category;
        Count: smtp_code;
        Text: enhanced_code response;
        Count: size;
        Text: subject cwd fit why;
        List: roles;
        Text: source;
        Count: line;
    }
}

schema! {
    /// One message of a story.
    MESSAGES, "messages" {
        Time: first_seen last_seen;
        Text: host mta queue_id message_id identity_kind identity sasl_username uid cwd client_ip client_name helo
            envelope_sender subject;
        Count: size recipients delivered deferred bounced expired discarded handed_on open;
        Text: in_queue fit why;
        List: roles;
        Text: parent_queue_id hop_of source;
        Count: line;
    }
}

schema! {
    /// One recipient of one message of a story.
    RECIPIENTS, "recipients" {
        Time: first_seen;
        Text: host queue_id recipient orig_recipient outcome;
        Time: last_attempt;
        Count: attempts;
        Text: relay_host relay_ip provider category;
        Count: smtp_code;
        Text: enhanced_code response identity_kind identity client_ip envelope_sender fit source;
        Count: line;
    }
}

schema! {
    /// One delivery attempt, rejection or authentication failure.
    EVENTS, "events" {
        Time: ts;
        Text: host mta event queue_id message_id identity_kind identity sasl_username uid client_ip client_name helo
            envelope_sender recipient orig_recipient direction action stage relay_host relay_ip;
        Count: relay_port;
        Text: provider;
        Count: smtp_code;
        Text: enhanced_code category rule dnsbl response;
        Real: delay_s;
        Count: size;
        Text: source;
        Count: line;
        List: earlier_answers;
        Text: cwd parent_queue_id provider_code;
        Count: retry_after_s;
    }
}
