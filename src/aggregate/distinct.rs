//! Sets that are only counted, and samples that do not depend on the order in which things came.

use hashbrown::HashSet;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use super::codec;
use super::few::FewHashed;
use crate::mail::dictionary::{Met, forget_id};
use crate::mail::time::Timestamp;

/// How many different things there were, by 64-bit hashes: exact but for a hash collision. XXH3 has one definition
/// everywhere, so that sets of different runs and machines merge.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct Distinct(#[serde(with = "codec::texts")] FewHashed<u64, ()>);

impl Distinct {
    pub fn add(&mut self, thing: &[u8]) {
        self.0.get_or_default(xxh3_64(thing));
    }

    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// True for the hash ([`FirstTimes::hash_of`]) of one of the things.
    pub fn has(&self, hash: u64) -> bool {
        self.0.contains_key(&hash)
    }

    /// True where the other has all of these things.
    pub(super) fn is_within(&self, other: &Self) -> bool {
        self.0.keys().all(|hash| other.0.contains_key(hash))
    }

    /// Takes out the expected things; false, with nothing taken, where one of them is not there.
    pub(super) fn leave_out(&mut self, expected: &Self) -> bool {
        let has_all = expected.is_within(self);
        if has_all {
            self.0.retain(|hash| !expected.0.contains_key(hash));
        }
        has_all
    }

    /// How many things both have.
    pub fn in_common(&self, other: &Self) -> u64 {
        let (few, many) = if self.0.len() < other.0.len() { (self, other) } else { (other, self) };
        few.0.keys().filter(|hash| many.0.contains_key(hash)).count() as u64
    }

    pub fn merge(&mut self, other: Self) {
        other.0.into_iter().for_each(|(hash, ())| *self.0.get_or_default(hash));
    }
}

impl FromIterator<u64> for Distinct {
    fn from_iter<I: IntoIterator<Item = u64>>(hashes: I) -> Self {
        Self(hashes.into_iter().map(|hash| (hash, ())).collect())
    }
}

/// Different things: when each came first, and how often it came.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub struct FirstTimes(#[serde(with = "codec::uses")] FewHashed<u64, Uses>);

/// How one thing was used: 16 bytes with its hash, as there is one for each recipient of each identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uses {
    /// Seconds since 1970 of the first time.
    pub first_s: u32,
    pub times: u32,
}

impl FirstTimes {
    /// What stands for a thing in [`Self::times_without`].
    pub fn hash_of(thing: &[u8]) -> u64 {
        xxh3_64(thing)
    }

    pub fn add(&mut self, thing: &[u8], at: Timestamp) {
        self.add_times(thing, at, 1);
    }

    /// The same so many times at once.
    pub fn add_times(&mut self, thing: &[u8], at: Timestamp, times: u32) {
        // Stamps before 1970 and behind 2106 come from broken clocks.
        let first_s = u32::try_from(at.seconds().max(0)).unwrap_or(u32::MAX);
        self.put(xxh3_64(thing), Uses { first_s, times });
    }

    /// How often a thing came, and when first; `None` where it never did.
    pub fn get(&self, thing: &[u8]) -> Option<(u64, Timestamp)> {
        let uses = self.0.get(&xxh3_64(thing))?;
        Some((u64::from(uses.times), Timestamp::from_seconds(i64::from(uses.first_s))))
    }

    /// The same thing at several moments, in seconds since 1970.
    pub(super) fn add_all(&mut self, thing: &[u8], times_s: &[i64]) {
        let Some(first) = times_s.iter().min() else { return };
        let first_s = u32::try_from((*first).max(0)).unwrap_or(u32::MAX);
        self.put(xxh3_64(thing), Uses { first_s, times: u32::try_from(times_s.len()).unwrap_or(u32::MAX) });
    }

    /// The things without their times.
    pub(super) fn things(&self) -> Distinct {
        self.0.keys().copied().collect()
    }

    /// Takes out the things whose uses are as expected; false, with nothing taken, where one of them is not there.
    pub(super) fn leave_out(&mut self, expected: &Self) -> bool {
        let has_all = expected.0.keys().all(|hash| self.0.contains_key(hash));
        if has_all {
            let same: Distinct = self
                .0
                .iter()
                .filter(|(hash, uses)| expected.0.get(*hash) == Some(uses))
                .map(|(hash, _)| *hash)
                .collect();
            self.0.retain(|hash| !same.0.contains_key(hash));
        }
        has_all
    }

    /// Puts back what was taken out.
    pub(super) fn put_back(&mut self, expected: &Self) {
        let mut theirs: Vec<_> = expected.0.iter().map(|(hash, uses)| (*hash, *uses)).collect();
        theirs.sort_unstable_by_key(|(hash, _)| *hash);
        for (hash, uses) in theirs {
            self.0.get_or_insert_with(hash, || uses);
        }
    }

    fn put(&mut self, hash: u64, more: Uses) {
        match self.0.get_mut(&hash) {
            Some(known) => {
                known.first_s = known.first_s.min(more.first_s);
                known.times = known.times.saturating_add(more.times);
            }
            None => _ = self.0.get_or_insert_with(hash, || more),
        }
    }

    pub fn count(&self) -> u64 {
        self.0.len() as u64
    }

    /// How many came just once.
    pub fn once(&self) -> u64 {
        self.0.values().filter(|uses| uses.times == 1).count() as u64
    }

    /// The moment of the first of them all.
    pub fn first(&self) -> Option<Timestamp> {
        self.0.values().map(|uses| uses.first_s).min().map(|first| Timestamp::from_seconds(i64::from(first)))
    }

    /// The first moments in order.
    pub fn times(&self) -> Vec<Timestamp> {
        let mut times: Vec<_> = self.0.values().map(|uses| Timestamp::from_seconds(i64::from(uses.first_s))).collect();
        times.sort_unstable();
        times
    }

    /// The first moments in order of those whose hashes are not `left_out`.
    pub fn times_without(&self, left_out: &HashSet<u64>) -> Vec<Timestamp> {
        let kept = self.0.iter().filter(|(hash, _)| !left_out.contains(*hash));
        let mut times: Vec<_> = kept.map(|(_, uses)| Timestamp::from_seconds(i64::from(uses.first_s))).collect();
        times.sort_unstable();
        times
    }

    /// When each came first, in seconds since 1970, and whether it never came again; in order.
    pub fn in_order(&self) -> Vec<(i64, bool)> {
        let mut firsts: Vec<_> = self.0.values().map(|uses| (i64::from(uses.first_s), uses.times == 1)).collect();
        firsts.sort_unstable();
        firsts
    }

    /// The hashes of those things that came first between two moments, these included, and how often each came; in no order.
    pub fn between(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = (u64, u32)> {
        let (from, to) = (from.seconds(), to.seconds());
        let is_in = move |uses: &Uses| (from..=to).contains(&i64::from(uses.first_s));
        self.0.iter().filter(move |(_, uses)| is_in(uses)).map(|(hash, uses)| (*hash, uses.times))
    }

    pub fn merge(&mut self, other: Self) {
        let Self(theirs) = other;
        let mut theirs: Vec<_> = theirs.into_iter().collect();
        theirs.sort_unstable_by_key(|(hash, _)| *hash);
        for (hash, uses) in theirs {
            self.put(hash, uses);
        }
    }
}

/// The earliest few of many, each thing once, and how many there were.
#[derive(Debug, Clone)]
pub struct Earliest<T: Ord, const KEPT: usize> {
    /// In order. Most things come in the order of their times: at the end.
    kept: Vec<(Timestamp, T)>,
    pub count: u64,
}

impl<T: Ord, const KEPT: usize> Default for Earliest<T, KEPT> {
    fn default() -> Self {
        Self { kept: Vec::new(), count: 0 }
    }
}

/// Each thing before its moment: a dictionary knows the moments of ids.
impl<T: Ord + Serialize, const KEPT: usize> Serialize for Earliest<T, KEPT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Kept<'a, T>(&'a (Timestamp, T));
        impl<T: Serialize> Serialize for Kept<'_, T> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                forget_id();
                (&self.0.1, Met(self.0.0)).serialize(serializer)
            }
        }
        (self.count, self.kept.iter().map(Kept).collect::<Vec<_>>()).serialize(serializer)
    }
}

impl<'de, T: Ord + Deserialize<'de>, const KEPT: usize> Deserialize<'de> for Earliest<T, KEPT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Kept<T>(Timestamp, T);
        impl<'de, T: Deserialize<'de>> Deserialize<'de> for Kept<T> {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                forget_id();
                let (thing, at) = <(T, Met)>::deserialize(deserializer)?;
                Ok(Self(at.0, thing))
            }
        }
        let (count, kept) = <(u64, Vec<Kept<T>>)>::deserialize(deserializer)?;
        Ok(Self { kept: kept.into_iter().map(|Kept(at, thing)| (at, thing)).collect(), count })
    }
}

impl<T: Ord + Clone, const KEPT: usize> Earliest<T, KEPT> {
    /// The moments of the kept ones, seconds since 1970.
    pub fn seconds(&self) -> Vec<i64> {
        self.kept.iter().map(|(at, _)| at.seconds()).collect()
    }

    pub fn add(&mut self, at: Timestamp, thing: T) {
        self.count += 1;
        self.keep(at, thing);
    }

    fn keep(&mut self, at: Timestamp, thing: T) {
        let new = (at, thing);
        let place = match self.kept.last() {
            Some(last) if *last >= new => match self.kept.binary_search(&new) {
                Ok(_) => return,
                Err(place) => place,
            },
            _ => self.kept.len(),
        };
        if place >= KEPT {
            return;
        }
        if self.kept.is_empty() {
            // Most never have a second.
            self.kept.reserve_exact(1);
        }
        match self.kept.iter().position(|(_, thing)| *thing == new.1) {
            Some(known) if known < place => return,
            Some(known) => _ = self.kept.remove(known),
            None => self.kept.truncate(KEPT - 1),
        }
        self.kept.insert(place, new);
    }

    /// The same of so many different things.
    pub fn counted(self, count: u64) -> Self {
        Self { count, ..self }
    }

    pub fn merge(&mut self, other: Self) {
        self.count += other.count;
        for (at, thing) in other.kept {
            self.keep(at, thing);
        }
    }

    /// Those of the kept ones that are of a span, its ends included.
    pub fn between(&self, first: Timestamp, last: Timestamp) -> impl Iterator<Item = (Timestamp, &T)> {
        self.kept.iter().filter(move |(at, _)| (first..=last).contains(at)).map(|(at, thing)| (*at, thing))
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
        // What comes again is the same thing still, from its first moment on.
        forward.add(Timestamp(1), 2);
        forward.add(Timestamp(9), 0);
        let at: Vec<_> = forward.between(Timestamp(0), Timestamp(9)).map(|(at, n)| (at.0, *n)).collect();
        assert_eq!(at, [(0, 0), (1, 1), (1, 2)]);
    }

    #[test]
    fn first_times_and_uses_merge() {
        let mut one = FirstTimes::default();
        one.add(b"a", Timestamp::from_seconds(50));
        one.add(b"b", Timestamp::from_seconds(60));
        let mut other = FirstTimes::default();
        other.add(b"a", Timestamp::from_seconds(40));
        one.merge(other);
        assert_eq!(one.times(), [40, 60].map(Timestamp::from_seconds));
        assert_eq!((one.count(), one.once()), (2, 1));
    }
}
