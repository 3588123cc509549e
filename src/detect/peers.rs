//! What is ordinary among the logins of a run: when they write, and how much of it is refused.

use rayon::prelude::*;

use super::case::bad_share;
use crate::aggregate::{HourUse, SenderProfile};
use crate::mail::identity::IdentityKind;

/// A login with fewer recipients says nothing of a share.
const RECIPIENTS: u32 = 20;
/// Fewer logins are no peers.
const LOGINS: usize = 10;
/// An hour of the day is odd with less than this part of what an even day would have in it.
const ODD_PART: f64 = 1.0 / 3.0;

/// Each login counts alike, however much it writes.
#[derive(Debug, Default)]
pub(super) struct Peers {
    /// Share of a login's mail in each hour of the day, UTC, on average; zeros where there are too few logins.
    hours: [f64; 24],
    /// Share of recipients answered as not existing or with distrust of the login in the middle.
    pub bad_share: f64,
}

impl Peers {
    pub(super) fn of(profiles: &[SenderProfile]) -> Self {
        let logins = profiles.par_iter().filter(|profile| profile.kind == IdentityKind::Sasl);
        let each: Vec<([f64; 24], f64)> = logins.filter_map(way).collect();
        if each.len() < LOGINS {
            return Self::default();
        }
        let mut hours = [0.0; 24];
        for (of_one, _) in &each {
            hours.iter_mut().zip(of_one).for_each(|(sum, part)| *sum += part / each.len() as f64);
        }
        let mut shares: Vec<f64> = each.iter().map(|(_, bad)| *bad).collect();
        shares.sort_unstable_by(f64::total_cmp);
        Self { hours, bad_share: shares.get(shares.len() / 2).copied().unwrap_or(0.0) }
    }

    /// True for an hour since 1970 at whose time of day hardly a login writes.
    pub(super) fn is_odd(&self, hour: i64) -> bool {
        let of_day = usize::try_from(hour.rem_euclid(24)).unwrap_or(0);
        let is_known = self.hours.iter().sum::<f64>() > 0.5;
        is_known && self.hours.get(of_day).is_some_and(|part| *part < ODD_PART / 24.0)
    }
}

/// Shares of one login's recipients by hour of the day, and its refused share; `None` of a few.
fn way(profile: &SenderProfile) -> Option<([f64; 24], f64)> {
    let total: HourUse = profile.network_uses().map(|used| used.total).sum();
    if total.recipients < RECIPIENTS {
        return None;
    }
    let mut hours = [0.0; 24];
    for (hour, used) in profile.network_uses().flat_map(|network| &network.hours) {
        let of_day = usize::try_from(hour.rem_euclid(24)).unwrap_or(0);
        if let Some(part) = hours.get_mut(of_day) {
            *part += f64::from(used.recipients) / f64::from(total.recipients);
        }
    }
    Some((hours, bad_share(total)))
}
