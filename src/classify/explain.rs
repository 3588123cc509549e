//! How a verdict came about, for `mailsleuth classify -v` and those who write rules.

use super::rule::Context;
use super::{By, Classifier, Refusal, Rule, Scratch, Speaker, Verdict, context};
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
    /// In the same step the class of its category comes later.
    Class,
    /// In the same class it has less fixed text.
    LessText,
    /// It stands later in the files.
    Order,
}

impl Classifier {
    /// Decides one refusal and tells how. Slow: every rule that may match is tried, and nothing is remembered.
    pub fn explain(&self, refusal: &Refusal<'_>) -> Explanation<'_> {
        let mut scratch = self.scratch();
        let reply = reply(refusal.response);
        self.read(&mut scratch, &reply);
        let speaker = self.speaker(refusal, &reply);
        let mut context = context(refusal, &reply);
        let decision = self.decide(&mut scratch, context, speaker);
        let verdict = self.verdict(&scratch.words, &context, &decision);
        let provider_by = verdict.provider.map(|_| match speaker {
            Speaker::Provider(_) if reply.host.is_some_and(|host| self.providers.of_host(host).is_some()) => {
                ProviderBy::QuotedHost
            }
            Speaker::Provider(_) => ProviderBy::RelayHost,
            Speaker::ThisHost | Speaker::Unknown => ProviderBy::Words,
        });
        let named = decision.list.map(|list| list.id());
        let list_by = verdict.dnsbl.as_deref().map(|id| if named == Some(id) { ListBy::Name } else { ListBy::Zone });
        let rule = match decision.by {
            By::Rule(rule) => Some(rule),
            By::Other(..) => None,
        };
        context.provider = verdict.provider;
        let lost = (0..self.rules.len()).filter_map(|at| self.lost(&mut scratch, at, &context, rule)).collect();
        let Scratch { words, template, .. } = scratch;
        let (reply, kind) = (reply.text.into_owned(), reply.kind);
        Explanation { verdict, reply, kind, words, template, provider_by, list_by, rule, lost }
    }

    /// The rule at this position with the reason why it did not decide. `None` if it did, or if its pattern does not match.
    fn lost(
        &self,
        scratch: &mut Scratch<'_>,
        at: usize,
        context: &Context<'_>,
        winner: Option<&Rule>,
    ) -> Option<(&Rule, Lost)> {
        let rule = self.rules.get(at)?;
        let Scratch { matcher, template, .. } = scratch;
        let mut matches = |number| self.matcher.matches(matcher, template, number);
        if winner.is_some_and(|winner| winner.id == rule.id) || !matches(at) {
            return None;
        }
        let class = |rule: &Rule| self.taxonomy.class(rule.category);
        let why = if !rule.when.applies(context) {
            Lost::When
        } else if self.unless.get(at)?.is_some_and(matches) {
            Lost::Unless
        } else {
            match winner {
                Some(winner) if winner.step == rule.step && class(winner) != class(rule) => Lost::Class,
                Some(winner) if winner.step == rule.step && winner.required.weight > rule.required.weight => {
                    Lost::LessText
                }
                Some(winner) if winner.step == rule.step => Lost::Order,
                _ => Lost::Step,
            }
        };
        Some((rule, why))
    }
}
