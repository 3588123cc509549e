//! How a verdict came about, for `mailsleuth classify -v` and those who write rules.

use super::rule::Context;
use super::{By, Classifier, List, Refusal, Rule, Scratch, Speaker, Verdict, context, ones, zone};
use crate::parse::reply::{ReplyKind, reply};

/// How a verdict came about.
#[derive(Debug)]
pub struct Explanation<'c> {
    pub verdict: Verdict<'c>,
    /// The innermost reply as it was said, without its codes.
    pub reply: Vec<u8>,
    /// Whose words it is.
    pub kind: ReplyKind,
    /// Its words made comparable; names in `<…>` are taken out.
    pub words: Vec<u8>,
    /// What the rules saw: the words without ids, addresses and numbers.
    pub template: Vec<u8>,
    /// How the provider is known. `None` if it is not.
    pub provider_by: Option<ProviderBy>,
    /// How the DNS list is known. `None` if the verdict names none.
    pub list_by: Option<ListBy>,
    /// The rule that decided. `None` if a code, a list's name or nothing did; the verdict's `rule` says which.
    pub rule: Option<&'c Rule>,
    /// Rules whose pattern matches, too, in order of rank, and why they did not decide.
    pub lost: Vec<(&'c Rule, Lost)>,
}

/// How it is known who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderBy {
    /// The text names the host that said it.
    QuotedHost,
    /// The line names the relay.
    RelayHost,
    /// Only this provider writes such words.
    Words,
    /// The answer is about a mailbox with this provider.
    Mailbox,
}

/// How it is known which DNS list is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListBy {
    /// The rule took the zone that was asked out of the text.
    Zone,
    /// A zone or spelling of the list stands in the text.
    Name,
}

/// Why a rule whose pattern matches did not decide.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lost {
    /// The circumstances are not those of its `when`.
    When,
    /// Its `unless` matches, too.
    Unless,
    /// Its step comes later.
    Step,
    /// In the same step it is among the broad ones.
    Broad,
    /// In the same step the class of its category comes later.
    Class,
    /// In the same class it has less fixed text.
    LessText,
    /// It stands later in the files.
    Order,
}

impl ProviderBy {
    pub const fn word(self) -> &'static str {
        match self {
            Self::QuotedHost => "the text names its host",
            Self::RelayHost => "the relay's name",
            Self::Words => "its own words",
            Self::Mailbox => "the mailbox's domain",
        }
    }
}

impl ListBy {
    pub const fn word(self) -> &'static str {
        match self {
            Self::Zone => "the zone that was asked",
            Self::Name => "its name in the text",
        }
    }
}

impl Lost {
    pub const fn word(self) -> &'static str {
        match self {
            Self::When => "the circumstances are not those of its `when`",
            Self::Unless => "its `unless` matches, too",
            Self::Step => "its step of the precedence comes later",
            Self::Broad => "it is among the broad rules of its step",
            Self::Class => "the class of its category comes later",
            Self::LessText => "it has less fixed text",
            Self::Order => "it stands later in the files",
        }
    }
}

impl Classifier {
    /// Decides one refusal and tells how. Slower than [`Self::classify`]: every rule that may match is tried, and no verdict
    /// is remembered.
    pub fn explain<'c>(&'c self, scratch: &mut Scratch<'c>, refusal: &Refusal<'_>) -> Explanation<'c> {
        scratch.lend_to(self.id);
        let reply = reply(refusal.response);
        self.read(scratch, &reply);
        let speaker = self.speaker(refusal, &reply);
        let mut context = context(refusal, &reply);
        let decision = self.decide(scratch, context, speaker);
        let verdict = self.verdict(scratch, &reply, &context, &decision);
        let provider_by = verdict.provider.map(|_| match speaker {
            Speaker::Provider(_) if reply.host.is_some_and(|host| self.providers.of_host(host).is_some()) => {
                ProviderBy::QuotedHost
            }
            Speaker::Provider(_) => ProviderBy::RelayHost,
            Speaker::Unknown if decision.is_of_mailbox => ProviderBy::Mailbox,
            Speaker::ThisHost | Speaker::Elsewhere | Speaker::Unknown => ProviderBy::Words,
        });
        let rule = match decision.by {
            By::Rule(rule) => Some(rule),
            By::Other(..) => None,
        };
        let zone = rule.and_then(|rule| rule.dnsbl(&scratch.words)).and_then(zone);
        let asked = zone.as_deref().map(|zone| self.lists.of_zone(zone).map_or(zone, List::id));
        let list_by = verdict.dnsbl.as_deref().map(|id| if asked == Some(id) { ListBy::Zone } else { ListBy::Name });
        context.provider = verdict.provider.filter(|_| !decision.is_of_mailbox);
        let candidates: Vec<usize> = ones(&scratch.candidates, 0..self.rules.len()).collect();
        let lost = candidates.into_iter().filter_map(|at| self.lost(scratch, at, &context, rule)).collect();
        let (words, template) = (scratch.words.clone(), scratch.template.clone());
        let (reply, kind) = (reply.text.into_owned(), reply.kind);
        Explanation { verdict, reply, kind, words, template, provider_by, list_by, rule, lost }
    }

    /// The rule at this position with the reason why it did not decide. `None` if it did, or if its pattern does not match.
    fn lost<'c>(
        &'c self,
        scratch: &mut Scratch<'_>,
        at: usize,
        context: &Context<'_>,
        winner: Option<&Rule>,
    ) -> Option<(&'c Rule, Lost)> {
        let rule = self.rules.get(at)?;
        let Scratch { matcher, template, .. } = scratch;
        let mut matches = |number| self.matcher.matches(matcher, template, number);
        if winner.is_some_and(|winner| winner.id == rule.id) || !matches(at) {
            return None;
        }
        let class = |rule: &Rule| self.taxonomy.class(rule.category);
        let why = if !rule.when.applies(context) {
            // A rule that demands no words, only circumstances, has nothing here that could match.
            if rule.required.all_of.is_empty() {
                return None;
            }
            Lost::When
        } else if self.unless.get(at)?.is_some_and(matches) {
            Lost::Unless
        } else {
            match winner {
                Some(winner) if winner.step != rule.step => Lost::Step,
                Some(winner) if winner.broad != rule.broad => Lost::Broad,
                Some(winner) if class(winner) != class(rule) => Lost::Class,
                Some(winner) if winner.required.weight > rule.required.weight => Lost::LessText,
                Some(_) => Lost::Order,
                None => Lost::Step,
            }
        };
        Some((rule, why))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::classifier;
    use super::*;
    use crate::mail::status::{Mta, Stage};

    /// The verdict without a look at what is remembered.
    fn decided<'c>(classifier: &'c Classifier, scratch: &mut Scratch<'c>, refusal: &Refusal<'_>) -> Verdict<'c> {
        let reply = reply(refusal.response);
        classifier.read(scratch, &reply);
        let context = context(refusal, &reply);
        let decision = classifier.decide(scratch, context, classifier.speaker(refusal, &reply));
        classifier.verdict(scratch, &reply, &context, &decision)
    }

    fn told(response: &[u8]) -> Refusal<'_> {
        Refusal::told(Mta::Postfix, b"smtp", true, response)
    }

    /// Every sample of every rule, those that it must lose, too.
    fn samples(classifier: &Classifier) -> impl Iterator<Item = Refusal<'_>> {
        let rules = classifier.rules.iter();
        rules.flat_map(|rule| rule.wins.iter().chain(rule.loses.iter().map(|(_, sample)| sample))).map(|s| s.refusal())
    }

    /// `text` as it may come for another message: other addresses, IPs, times, numbers and ids, the n-th of each.
    fn varied(text: &[u8], n: usize) -> Vec<u8> {
        let text = String::from_utf8_lossy(text);
        let words = text.split(' ').map(|word| {
            let core = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let digits = core.bytes().filter(u8::is_ascii_digit).count();
            let is_name = core.bytes().all(|b| b.is_ascii_alphanumeric() || b"@.-_+".contains(&b));
            let other = if core.starts_with("127.") {
                core.to_owned()
            } else if is_name && core.split_once('@').is_some_and(|(_, domain)| domain.contains('.')) {
                format!("user{n}.x@host-{n}.b.example")
            } else if core.split('.').count() == 4 && core.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
                format!("203.0.{}.{}", n % 113, n * 7 % 256)
            } else if core.contains(':') && core.len() == 8 && digits == 6 {
                format!("{:02}:{:02}:{:02}", n % 24, n % 60, n * 7 % 60)
            } else if digits > 3 && digits == core.len() {
                format!("{}", n * 7_919 + 10_000)
            } else if digits > 3 && core.len() > 11 && core.bytes().all(|b| b.is_ascii_alphanumeric()) {
                format!("{:016x}", n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            } else {
                core.to_owned()
            };
            if core.is_empty() { word.to_owned() } else { word.replacen(core, &other, 1) }
        });
        words.collect::<Vec<_>>().join(" ").into_bytes()
    }

    #[test]
    fn what_is_remembered_is_what_is_decided() {
        let classifier = classifier();
        let (mut scratch, mut other) = (classifier.scratch(), classifier.scratch());
        let mut check = |refusal: &Refusal<'_>| {
            let decided = decided(classifier, &mut other, refusal);
            let text = String::from_utf8_lossy(refusal.response);
            assert_eq!(classifier.classify(&mut scratch, refusal), decided, "{text}");
        };
        for refusal in samples(classifier) {
            // Circumstances count: the same words said the other way round, or for good, may mean another thing.
            for refusal in [
                refusal,
                Refusal { by_us: !refusal.by_us, ..refusal },
                Refusal { permanent: !refusal.permanent, ..refusal },
                Refusal { mta: Mta::Exim, service: b"", ..refusal },
                Refusal { relay_host: b"mx1.mail.protection.outlook.com", ..refusal },
                Refusal { stage: Some(Stage::Mail), ..refusal },
            ] {
                check(&refusal);
            }
            for n in 1..6 {
                check(&Refusal { response: &varied(refusal.response, n * 31), ..refusal });
            }
        }
    }

    #[test]
    fn another_message_gets_the_same_verdict() {
        let classifier = classifier();
        let mut scratch = classifier.scratch();
        for refusal in samples(classifier) {
            let rule = classifier.classify(&mut scratch, &refusal).rule;
            for n in 1..6 {
                let text = varied(refusal.response, n * 31);
                let varied = classifier.classify(&mut scratch, &Refusal { response: &text, ..refusal }).rule;
                assert_eq!(varied, rule, "{}", String::from_utf8_lossy(&text));
            }
        }
    }

    #[test]
    fn a_verdict_is_explained() {
        let classifier = classifier();
        let quoted = b"host mx7.a.example[192.0.2.7] said: 554 5.7.1 Service unavailable; Client host [198.51.100.7] blocked using \
            zen.spamhaus.org (in reply to RCPT TO command)";
        let told = told(quoted);
        let explained = classifier.explain(&mut Scratch::default(), &told);
        assert_eq!(explained.rule.map(Rule::id), Some(explained.verdict.rule));
        assert_eq!(explained.list_by, Some(ListBy::Zone));
        assert_eq!((explained.verdict.provider, explained.provider_by), (None, None));
        assert_eq!(
            String::from_utf8_lossy(&explained.template),
            "service unavailable; client host [0.0.0.0] blocked using zen.spamhaus.org"
        );
        assert_eq!(explained.reply, b"Service unavailable; Client host [198.51.100.7] blocked using zen.spamhaus.org");
        let order: Vec<_> = explained.lost.iter().map(|(rule, _)| rule.step()).collect();
        assert!(!order.is_empty() && order.is_sorted(), "{order:?}");
        assert!(explained.lost.iter().all(|(rule, _)| rule.id() != explained.verdict.rule));

        let by = |refusal: Refusal<'_>| classifier.explain(&mut Scratch::default(), &refusal).provider_by;
        let google = b"host alt1.gmail-smtp-in.l.google.com[192.0.2.7] said: 550 5.1.1 no";
        assert_eq!(by(Refusal { response: google, ..told }), Some(ProviderBy::QuotedHost));
        let relayed = Refusal { response: b"550 5.1.1 no", relay_host: b"alt1.gmail-smtp-in.l.google.com", ..told };
        assert_eq!(by(relayed), Some(ProviderBy::RelayHost));
        let signed = b"451 Not currently accepting mail from your ip - psmtp";
        assert_eq!(by(Refusal { response: signed, ..told }), Some(ProviderBy::Words));

        let code = classifier.explain(&mut Scratch::default(), &Refusal { response: b"550 5.1.1", ..told });
        assert!(code.rule.is_none() && code.lost.iter().all(|(_, why)| *why != Lost::Order), "{code:?}");
    }
}
