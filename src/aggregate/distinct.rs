//! Sets that are only counted, and samples that do not depend on the order in which things came.

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use xxhash_rust::xxh3::xxh3_64;

use crate::mail::time::Timestamp;

/// How many different things there were, by 64-bit hashes: exact but for a hash collision. XXH3 has one definition
/// everywhere, so that sets of different runs and machines merge.
#[derive(Debug, Default, Clone)]
pub struct Distinct(HashSet<u64>);

impl Distinct {
    /// True when it was not there yet.
    pub fn add(&mut self, thing: &[u8]) -> bool {
        self.0.insert(xxh3_64(thing))
    }

    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    pub fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

/// Different things with the first moment of each.
#[derive(Debug, Default, Clone)]
pub struct FirstTimes(HashMap<u64, Timestamp>);

impl FirstTimes {
    pub fn add(&mut self, thing: &[u8], at: Timestamp) {
        self.0.entry(xxh3_64(thing)).and_modify(|first| *first = at.min(*first)).or_insert(at);
    }

    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// The first moments in order.
    pub fn times(&self) -> Vec<Timestamp> {
        let mut times: Vec<_> = self.0.values().copied().collect();
        times.sort_unstable();
        times
    }

    pub fn merge(&mut self, other: Self) {
        let Self(theirs) = other;
        self.0.reserve(theirs.len());
        let mut theirs: Vec<_> = theirs.into_iter().collect();
        theirs.sort_unstable();
        for (hash, at) in theirs {
            self.0.entry(hash).and_modify(|first| *first = at.min(*first)).or_insert(at);
        }
    }
}

/// The earliest few of many, and how many there were.
#[derive(Debug, Clone)]
pub struct Earliest<T: Ord, const KEPT: usize> {
    kept: BTreeSet<(Timestamp, T)>,
    pub count: u64,
}

impl<T: Ord, const KEPT: usize> Default for Earliest<T, KEPT> {
    fn default() -> Self {
        Self { kept: BTreeSet::new(), count: 0 }
    }
}

impl<T: Ord + Clone, const KEPT: usize> Earliest<T, KEPT> {
    pub fn add(&mut self, at: Timestamp, thing: T) {
        self.count += 1;
        self.keep(at, thing);
    }

    fn keep(&mut self, at: Timestamp, thing: T) {
        let is_late = self.kept.len() >= KEPT && self.kept.last().is_some_and(|last| (at, &thing) > (last.0, &last.1));
        if !is_late {
            self.kept.insert((at, thing));
            if self.kept.len() > KEPT {
                self.kept.pop_last();
            }
        }
    }

    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        for (at, thing) in other.kept {
            self.keep(at, thing);
        }
    }

    /// In the order of their moments.
    pub fn things(&self) -> impl Iterator<Item = &T> {
        self.kept.iter().map(|(_, thing)| thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_are_kept_in_any_order_of_coming() {
        let mut forward = Earliest::<u32, 3>::default();
        let mut backward = Earliest::<u32, 3>::default();
        for n in 0..10 {
            forward.add(Timestamp(i64::from(n)), n);
            backward.add(Timestamp(i64::from(9 - n)), 9 - n);
        }
        assert_eq!(forward.things().copied().collect::<Vec<_>>(), [0, 1, 2]);
        assert!(forward.things().eq(backward.things()));
        forward.merge(backward);
        assert_eq!((forward.count, forward.things().count()), (20, 3));
    }
}
