//! Signs: what speaks for a finding, each with a name and a weight. The sum of the weights is the finding's score, and the
//! score its severity. Of all signs this is the one list.

use serde_json::{Value, json};

/// One sign.
#[derive(Debug, PartialEq)]
pub struct Sign {
    pub name: &'static str,
    /// What it adds to the score.
    pub weight: f64,
    pub means: &'static str,
}

macro_rules! signs {
    ($($name:ident = $word:literal, $weight:literal, $means:literal;)+) => {
        $(pub(super) const $name: &Sign = &Sign { name: $word, weight: $weight, means: $means };)+
        /// All of them, by kind of finding.
        pub const SIGNS: &[&Sign] = &[$($name),+];
    };
}

signs! {
    // account-takeover: who it was.
    MANY_NETWORKS = "many-networks", 0.35, "Many client networks that are not its owner's.";
    NETWORKS_AT_ONCE = "networks-at-once", 0.21, "Three foreign networks or more in one hour.";
    NETWORKS_ALL_OVER = "networks-all-over", 0.28, "Ten foreign networks or more, of eight /16 (IPv6: /32) or more.";
    NEW_COUNTRY = "new-country", 0.14, "A country that it was never used from.";
    MANY_COUNTRIES = "many-countries", 0.28, "Foreign networks of many countries.";
    COUNTRIES_AT_ONCE = "countries-at-once", 0.21, "It was used out of two countries in one hour.";
    STRANGERS_ONLY = "strangers-only", 0.2, "Twelve people or more, at the most one in ten of whom its owner ever wrote to.";
    MAILING_TO_STRANGERS = "mailing-to-strangers", 0.25, "Thirty such recipients or more on one day: however many, and however unanswered, one sign, as a first newsletter does the same.";
    REFUSED_MORE = "refused-more", 0.28, "5 % or more was refused, twice as much as of its owner's mail: as unknown 12 % at the least, or 1 % as unwanted.";
    REFUSED_MORE_THAN_PEERS = "refused-more-than-peers", 0.14, "A login without a past: clearly more than 2 %, and three times as much as of the login in the middle, was refused.";
    REFUSED_MUCH = "refused-much", 0.21, "A fifth or more was refused as unknown or unwanted.";
    GUESSED_BEFORE = "guessed-before", 0.35, "Three logins or more failed from foreign networks before it was used from there, for a mailing or by a guesser of others.";
    GUESSED_FROM_ELSEWHERE = "guessed-from-elsewhere", 0.21, "Logins failed from ten addresses or more before the first foreign use.";
    NETWORK_OF_OTHER_VICTIMS = "network-of-other-victims", 0.28, "Other logins came from the same network or provider whose mail is refused, or to which strangers were written to likewise, at one time or refused.";
    VICTIMS_REFUSED = "victims-refused", 0.21, "Logins of four domains or more were new to neighbouring networks at one time, and of all that together more was refused than of honest customers.";
    MANY_SENDERS = "many-senders", 0.21, "More than three envelope senders for each foreign network.";
    ROUND_THE_CLOCK = "round-the-clock", 0.28, "It was used in 18 hours of the day or more.";
    AT_ODD_HOURS = "at-odd-hours", 0.28, "Three quarters came at times of the day at which neither its owner nor hardly anybody else writes, in four hours or more.";
    // account-takeover: what harm it did.
    MANY_STRANGERS = "many-strangers", 0.28, "Hundreds of recipients were written to by whoever it was.";
    // invalid-recipient-flood
    UNKNOWN_RECIPIENTS = "unknown-recipients", 0.15, "More recipients that do not exist than an honest list has.";
    UNKNOWN_THIRD = "unknown-in-every-third", 0.3, "Three in ten of the recipients of that time do not exist.";
    UNKNOWN_HALF = "unknown-in-every-second", 0.1, "Half of the recipients of that time do not exist.";
    UNKNOWN_MANY = "unknown-by-the-dozen", 0.2, "Dozens of recipients that do not exist.";
    UNKNOWN_HUNDRED = "unknown-by-the-hundred", 0.2, "A hundred recipients or more that do not exist.";
    // sender-rotation
    NUMBERED_SENDERS = "numbered-senders", 0.45, "Envelope senders that differ by a running number only.";
    RANDOM_SENDERS = "random-senders", 0.45, "Envelope senders with names that read like chance.";
    SENDERS_USED_ONCE = "senders-used-once", 0.45, "Many new envelope senders in one hour, hardly one of them twice.";
    NEW_SENDERS_ALIKE = "new-senders-alike", 0.45, "Many new envelope senders in one day, for messages of one size.";
    MANY_SENDER_DOMAINS = "many-sender-domains", 0.45, "Envelope senders under many domains.";
    SENDERS_BY_THE_DOZEN = "senders-by-the-dozen", 0.2, "Dozens of such envelope senders.";
    MOST_OF_ITS_MAIL = "most-of-its-mail", 0.1, "Half of its mail or more went out under them.";
    // sender-rotation: one campaign over several logins.
    ONE_SIZE_BEYOND_CHANCE = "one-size-beyond-chance", 0.36, "So many messages of one size come together by chance less than once in 100 times.";
    ONE_SIZE_HARDLY_BY_CHANCE = "one-size-hardly-by-chance", 0.18, "So many messages of one size come together by chance less than once in 20 times.";
    REFUSED_AS_SPAM = "refused-as-spam", 0.18, "Some of it was refused as spam.";
    UNKNOWN_EIGHTH = "unknown-in-every-eighth", 0.18, "An eighth or more of the recipients do not exist.";
    ONE_MESSAGE_EACH = "one-message-each", 0.12, "One message for each recipient.";
    STEADY_FOR_HOURS = "steady-for-hours", 0.12, "It went on for three hours or more.";
    FROM_NEW_NETWORKS = "from-new-networks", 0.12, "Half of the logins or more sent from networks that were new to them.";
    ONE_NETWORK = "one-network", 0.24, "Several of the logins sent from one network.";
    ONE_SENDER_DOMAIN = "one-sender-domain", 0.3, "Several of the logins wrote under one foreign domain.";
    // form-abuse
    LARGE_PROVIDERS = "large-providers", 0.15, "Most recipients are at the large mailbox providers.";
    MAILED_ONCE = "mailed-once", 0.1, "Most recipients were written to once, and hardly one wrote back.";
    FORM_REFUSED = "refused-unlike-a-form", 0.2, "More was refused as unknown or unwanted than what people enter themselves.";
    FORM_MANY = "more-than-a-form", 0.2, "A hundred recipients or more in one run.";
    // bulk-campaign
    MANY_NEW_RECIPIENTS = "many-new-recipients", 0.15, "More people written to for the first time in one run than a person writes to.";
    ONE_SIZE = "one-size", 0.1, "Most of its messages are of one size.";
    NEW_BY_THE_HUNDRED = "new-by-the-hundred", 0.12, "Hundreds of people written to for the first time.";
    // bulk-campaign and hourly-limit
    UNCLEAN_LIST = "unclean-list", 0.25, "More of it was refused as unknown or unwanted than of an honest list.";
    // hourly-limit
    OVER_THE_LIMIT = "over-the-limit", 0.2, "More recipients in 60 minutes than the limit.";
    FAR_OVER = "far-over-the-limit", 0.15, "Three times the limit or more.";
    UNLIKE_ITS_OTHER_HOURS = "unlike-its-other-hours", 0.05, "Ten times as many as in any hour of its other days, in messages with several recipients each: no mailing program's.";
    // foreign-sender-domain
    FOREIGN_DOMAIN = "foreign-domain", 0.25, "Envelope senders under a domain that has neither mailboxes nor logins here.";
    FOREIGN_OFTEN = "foreign-often", 0.15, "Dozens of messages under such domains.";
    FOREIGN_DOMAINS = "foreign-domains", 0.15, "Several such domains.";
    // whole-server-relay
    SYSTEM_SENDERS = "system-senders", 0.2, "Most of its mail is written by programs of a system: root, cron and the like.";
    ALL_DAY_AND_NIGHT = "all-day-and-night", 0.1, "Such mail in many hours of the day.";
    SYSTEM_MAIL_IN_BULK = "system-mail-in-bulk", 0.15, "Hundreds of such messages a day.";
    // notification-noise
    REGULAR_GAPS = "regular-gaps", 0.25, "The same sender writes to the same recipient at regular gaps.";
    SO_MANY_A_DAY = "so-many-a-day", 0.25, "The same sender writes to the same recipient hundreds of times a day.";
    DOES_NOT_ARRIVE = "does-not-arrive", 0.17, "Half of it or more does not arrive.";
    THOUSAND_A_DAY = "thousand-a-day", 0.17, "A thousand messages a day or more.";
    // dead-recipient-retries, full-mailbox-hammering, cannot-receive, unwanted-recipient
    WRITES_ON = "writes-on", 0.3, "New mail, not the queue's retries, after the answer that it is for nothing.";
    WRITES_ON_AND_ON = "writes-on-and-on", 0.15, "A hundred such messages or more.";
    // sms-gateway
    TO_PHONES = "to-phones", 0.3, "Recipients at gateways from mail to text messages.";
    TO_PHONES_OFTEN = "to-phones-often", 0.15, "A hundred such recipients or more.";
    // unreplyable-sender
    UNREPLYABLE = "unreplyable", 0.3, "Envelope senders that nobody can answer.";
    UNREPLYABLE_OFTEN = "unreplyable-often", 0.15, "A hundred such messages or more.";
    // spf-not-authorized
    SEVERAL_SAY_SO = "several-say-so", 0.3, "Several receivers refuse one sender domain for SPF, DKIM or DMARC.";
    UNAUTHORIZED_OFTEN = "unauthorized-often", 0.15, "They refused dozens of recipients.";
    // reputation-damage
    RECEIVERS_TOGETHER = "receivers-together", 0.65, "Several receivers began to refuse or throttle this host within a day.";
    MANY_RECEIVERS = "many-receivers", 0.25, "Five receivers or more.";
    LIST_NAMED = "list-named", 0.05, "They name a list of bad senders.";
    CAUSE_KNOWN = "cause-known", 0.05, "Somebody's mail rose just before, much of it refused.";
    // false-listing
    ONE_ALONE = "one-alone", 0.3, "One receiver says that this host is listed while the others take its mail.";
    ONE_ALONE_OFTEN = "one-alone-often", 0.15, "Fifty such answers or more.";
    // backscatter
    BOUNCES_TO_STRANGERS = "bounces-to-strangers", 0.2, "Strangers were told of mail that this host took and could not deliver.";
    BOUNCES_UNDELIVERABLE = "bounces-undeliverable", 0.1, "Many of these bounces could not be delivered, as forged senders' cannot.";
    STRANGERS_BY_THE_DOZEN = "strangers-by-the-dozen", 0.25, "Dozens of strangers.";
    STRANGERS_BY_THE_HUNDRED = "strangers-by-the-hundred", 0.2, "Hundreds of strangers.";
    // directory-harvest
    TRIED_UNKNOWN = "tried-unknown", 0.25, "Many recipients that do not exist here, few that do.";
    TRIED_HARDLY_ONE = "tried-hardly-one-that-exists", 0.1, "One in ten or fewer exists.";
    TRIED_BY_THE_DOZEN = "tried-by-the-dozen", 0.2, "Dozens of recipients that do not exist.";
    TRIED_BY_THE_HUNDRED = "tried-by-the-hundred", 0.2, "Hundreds of recipients that do not exist.";
    // password-guessing
    MANY_FAILURES = "many-failures", 0.3, "More failed logins than forgetting explains.";
    MANY_LOGINS_TRIED = "many-logins-tried", 0.05, "Logins of more people than one.";
    HUNDREDS_OF_FAILURES = "hundreds-of-failures", 0.15, "Hundreds of failed logins.";
    MAIL_AFTERWARDS = "mail-afterwards", 0.35, "A login that was tried sent mail from the same network afterwards.";
    GOT_IN = "got-in", 0.6, "Somebody who tried this login in vain sent mail with it afterwards.";
}

/// Signs that hold, which add up.
#[derive(Debug, Default, Clone)]
pub struct Signs(Vec<&'static Sign>);

impl Signs {
    /// One sign that holds by itself, with what comes to it.
    pub(super) fn of(first: &'static Sign) -> Self {
        Self(vec![first])
    }

    pub(super) fn add(&mut self, holds: bool, sign: &'static Sign) {
        if holds {
            self.0.push(sign);
        }
    }

    /// The same with one more, if it holds.
    pub(super) fn and(mut self, holds: bool, sign: &'static Sign) -> Self {
        self.add(holds, sign);
        self
    }

    pub(super) fn has_any(&self, signs: &[&Sign]) -> bool {
        self.0.iter().any(|sign| signs.contains(sign))
    }

    pub fn all(&self) -> &[&'static Sign] {
        &self.0
    }

    /// The sum, to the thousandth: 0.6 and 0.3 are 0.9.
    pub fn weight(&self) -> f64 {
        sum(self.0.iter().copied())
    }

    /// `regular-gaps 0.25 + does-not-arrive 0.17 = 0.42`.
    pub fn text(&self) -> String {
        let one = |sign: &&Sign| format!("{} {}", sign.name, sign.weight);
        let all = self.0.iter().map(one).collect::<Vec<_>>().join(" + ");
        if self.0.len() > 1 { format!("{all} = {}", self.weight()) } else { all }
    }

    pub(super) fn to_json(&self) -> Value {
        self.0.iter().map(|sign| json!({ "name": sign.name, "weight": sign.weight })).collect()
    }
}

/// The sum of the weights of signs, to the thousandth; of none it is 0, not the -0 that `Iterator::sum` begins with.
pub(super) fn sum<'a>(signs: impl Iterator<Item = &'a Sign>) -> f64 {
    (signs.fold(0.0, |sum, sign| sum + sign.weight) * 1_000.0).round() / 1_000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_have_names_of_their_own() {
        for (at, sign) in SIGNS.iter().enumerate() {
            assert!(SIGNS[..at].iter().all(|other| other.name != sign.name), "{}", sign.name);
            assert!(sign.weight > 0.0 && sign.weight < 1.0 && sign.means.ends_with('.'), "{}", sign.name);
        }
    }

    #[test]
    fn weights_add_up_as_they_are_shown() {
        let signs = Signs::of(REGULAR_GAPS).and(true, DOES_NOT_ARRIVE).and(false, THOUSAND_A_DAY);
        assert_eq!((signs.weight(), signs.text().as_str()), (0.42, "regular-gaps 0.25 + does-not-arrive 0.17 = 0.42"));
        assert_eq!(Signs::of(TO_PHONES).text(), "to-phones 0.3");
        assert_eq!(Signs::default().weight().to_string(), "0");
    }
}
