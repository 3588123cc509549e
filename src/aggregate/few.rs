//! Maps that mostly hold one thing or two. There are dozens of them for each of a million identities, and a B-tree's first
//! node has room for eleven entries, a hash table's for three. Up to [`FEW`] entries stand in a vector of just their size.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, btree_map};
use std::hash::Hash;
use std::iter::Map;
use std::ops::{Bound, RangeBounds};
use std::{slice, vec};

use either::Either;
use hashbrown::{HashMap, hash_map};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// With more of them a search from end to end, or making room in the middle, would show.
const FEW: usize = 8;

/// Adds an entry where a vector of a few has room to be made: by doubling, from one.
fn insert<T>(few: &mut Vec<T>, at: usize, entry: T) {
    if few.len() == few.capacity() {
        few.reserve_exact(few.len().max(1));
    }
    few.insert(at, entry);
}

type Pair<K, V> = (K, V);
type FewEntries<'a, K, V> = Map<slice::Iter<'a, Pair<K, V>>, Split<'a, K, V>>;
type Split<'a, K, V> = fn(&'a Pair<K, V>) -> (&'a K, &'a V);
type SplitMut<'a, K, V> = fn(&'a mut Pair<K, V>) -> (&'a K, &'a mut V);

fn split<K, V>((key, value): &Pair<K, V>) -> (&K, &V) {
    (key, value)
}

/// A map in the order of its keys, for a few entries in the main. As [`BTreeMap`].
#[derive(Debug, Clone)]
pub struct FewMap<K, V>(Sorted<K, V>);

#[derive(Debug, Clone)]
enum Sorted<K, V> {
    Few(Vec<Pair<K, V>>),
    Many(BTreeMap<K, V>),
}

impl<K, V> Default for FewMap<K, V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K, V> FewMap<K, V> {
    pub const fn new() -> Self {
        Self(Sorted::Few(Vec::new()))
    }

    pub fn len(&self) -> usize {
        match &self.0 {
            Sorted::Few(few) => few.len(),
            Sorted::Many(many) => many.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn iter(&self) -> Either<FewEntries<'_, K, V>, btree_map::Iter<'_, K, V>> {
        match &self.0 {
            Sorted::Few(few) => Either::Left(few.iter().map(split)),
            Sorted::Many(many) => Either::Right(many.iter()),
        }
    }

    pub fn keys(&self) -> impl DoubleEndedIterator<Item = &K> + Clone {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl DoubleEndedIterator<Item = &V> + Clone {
        self.iter().map(|(_, value)| value)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.into_iter().map(|(_, value)| value)
    }
}

impl<K: Ord, V> FewMap<K, V> {
    pub fn get<Q: Ord + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        match &self.0 {
            Sorted::Few(few) => few.iter().find(|(known, _)| known.borrow() == key).map(|(_, value)| value),
            Sorted::Many(many) => many.get(key),
        }
    }

    pub fn get_mut<Q: Ord + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        match &mut self.0 {
            Sorted::Few(few) => few.iter_mut().find(|(known, _)| (*known).borrow() == key).map(|(_, value)| value),
            Sorted::Many(many) => many.get_mut(key),
        }
    }

    pub fn contains_key<Q: Ord + ?Sized>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        self.get(key).is_some()
    }

    /// The value of a key, a new one where there was none.
    #[expect(clippy::indexing_slicing, reason = "it was found there, or put there")]
    pub fn get_or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        if let Sorted::Few(few) = &mut self.0
            && few.len() >= FEW
            && !few.iter().any(|(known, _)| *known == key)
        {
            self.0 = Sorted::Many(std::mem::take(few).into_iter().collect());
        }
        match &mut self.0 {
            Sorted::Few(few) => {
                let at = few.partition_point(|(known, _)| *known < key);
                if few.get(at).is_none_or(|(known, _)| *known != key) {
                    insert(few, at, (key, new()));
                }
                &mut few[at].1
            }
            Sorted::Many(many) => many.entry(key).or_insert_with(new),
        }
    }

    /// The value of a key, its default where there was none.
    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.get_or_insert_with(key, V::default)
    }

    /// Sets the value of a key.
    pub fn insert(&mut self, key: K, value: V) {
        match self.get_mut(&key) {
            Some(known) => *known = value,
            None => _ = self.get_or_insert_with(key, || value),
        }
    }

    pub fn pop_last(&mut self) -> Option<(K, V)> {
        match &mut self.0 {
            Sorted::Few(few) => few.pop(),
            Sorted::Many(many) => many.pop_last(),
        }
    }

    pub fn retain(&mut self, mut is_kept: impl FnMut(&K, &mut V) -> bool) {
        match &mut self.0 {
            Sorted::Few(few) => few.retain_mut(|(key, value)| is_kept(key, value)),
            Sorted::Many(many) => many.retain(is_kept),
        }
    }

    /// The entries whose keys lie in a range that is not empty the wrong way round.
    pub fn range(&self, range: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        match &self.0 {
            Sorted::Few(few) => {
                let start = few.partition_point(|(key, _)| match range.start_bound() {
                    Bound::Included(start) => key < start,
                    Bound::Excluded(start) => key <= start,
                    Bound::Unbounded => false,
                });
                let end = few.partition_point(|(key, _)| match range.end_bound() {
                    Bound::Included(end) => key <= end,
                    Bound::Excluded(end) => key < end,
                    Bound::Unbounded => true,
                });
                Either::Left(few.get(start..end).unwrap_or_default().iter().map(|(key, value)| (key, value)))
            }
            Sorted::Many(many) => Either::Right(many.range(range)),
        }
    }
}

impl<K: Ord, V> FromIterator<(K, V)> for FewMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::new();
        entries.into_iter().for_each(|(key, value)| map.insert(key, value));
        map
    }
}

impl<K, V> IntoIterator for FewMap<K, V> {
    type Item = (K, V);
    type IntoIter = Either<vec::IntoIter<(K, V)>, btree_map::IntoIter<K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {
            Sorted::Few(few) => Either::Left(few.into_iter()),
            Sorted::Many(many) => Either::Right(many.into_iter()),
        }
    }
}

impl<'a, K, V> IntoIterator for &'a FewMap<K, V> {
    type Item = (&'a K, &'a V);
    type IntoIter = Either<FewEntries<'a, K, V>, btree_map::Iter<'a, K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<'a, K, V> IntoIterator for &'a mut FewMap<K, V> {
    type Item = (&'a K, &'a mut V);
    type IntoIter = Either<Map<slice::IterMut<'a, Pair<K, V>>, SplitMut<'a, K, V>>, btree_map::IterMut<'a, K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        match &mut self.0 {
            Sorted::Few(few) => Either::Left(few.iter_mut().map(|(key, value)| (&*key, value))),
            Sorted::Many(many) => Either::Right(many.iter_mut()),
        }
    }
}

impl<K: Serialize, V: Serialize> Serialize for FewMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self)
    }
}

impl<'de, K: Ord + Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for FewMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(Self::from_iter)
    }
}

/// A set in order, for a few things in the main. As [`std::collections::BTreeSet`].
#[derive(Debug, Clone)]
pub struct FewSet<T>(FewMap<T, ()>);

impl<T> Default for FewSet<T> {
    fn default() -> Self {
        Self(FewMap::new())
    }
}

impl<T> FewSet<T> {
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        self.0.keys()
    }

    pub fn first(&self) -> Option<&T> {
        self.iter().next()
    }
}

impl<T: Ord> PartialEq for FewSet<T> {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<T: Ord> Eq for FewSet<T> {}

impl<T: Ord> PartialOrd for FewSet<T> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<T: Ord> Ord for FewSet<T> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.iter().cmp(other.iter())
    }
}

impl<T: Ord> FewSet<T> {
    pub fn insert(&mut self, thing: T) {
        self.0.get_or_default(thing);
    }

    pub fn contains(&self, thing: &T) -> bool {
        self.0.contains_key(thing)
    }

    /// Takes out the expected things; false, with nothing taken, where one of them is not there.
    pub fn leave_out(&mut self, expected: &Self) -> bool {
        let has_all = expected.iter().all(|thing| self.contains(thing));
        if has_all {
            self.0.retain(|thing, ()| !expected.contains(thing));
        }
        has_all
    }
}

impl<T: Ord> Extend<T> for FewSet<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, things: I) {
        things.into_iter().for_each(|thing| self.insert(thing));
    }
}

impl<T: Ord> FromIterator<T> for FewSet<T> {
    fn from_iter<I: IntoIterator<Item = T>>(things: I) -> Self {
        let mut set = Self::default();
        set.extend(things);
        set
    }
}

impl<T> IntoIterator for FewSet<T> {
    type Item = T;
    type IntoIter = Map<<FewMap<T, ()> as IntoIterator>::IntoIter, fn((T, ())) -> T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter().map(|(thing, ())| thing)
    }
}

impl<T: Serialize> Serialize for FewSet<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter().collect::<Vec<_>>())
    }
}

impl<'de, T: Ord + Deserialize<'de>> Deserialize<'de> for FewSet<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Vec::deserialize(deserializer).map(Self::from_iter)
    }
}

/// A map in no order, for a few entries in the main. As [`HashMap`].
#[derive(Debug, Clone)]
pub struct FewHashed<K, V>(Hashed<K, V>);

#[derive(Debug, Clone)]
enum Hashed<K, V> {
    Few(Vec<(K, V)>),
    Many(Box<HashMap<K, V>>),
}

impl<K, V> Default for FewHashed<K, V> {
    fn default() -> Self {
        Self(Hashed::Few(Vec::new()))
    }
}

impl<K, V> FewHashed<K, V> {
    pub fn len(&self) -> usize {
        match &self.0 {
            Hashed::Few(few) => few.len(),
            Hashed::Many(many) => many.len(),
        }
    }

    pub fn iter(&self) -> Either<FewEntries<'_, K, V>, hash_map::Iter<'_, K, V>> {
        match &self.0 {
            Hashed::Few(few) => Either::Left(few.iter().map(split)),
            Hashed::Many(many) => Either::Right(many.iter()),
        }
    }

    pub fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }

    pub fn values_mut(&mut self) -> impl Iterator<Item = &mut V> {
        match &mut self.0 {
            Hashed::Few(few) => Either::Left(few.iter_mut().map(|(_, value)| value)),
            Hashed::Many(many) => Either::Right(many.values_mut()),
        }
    }

    pub fn retain(&mut self, is_kept: impl Fn(&K) -> bool) {
        match &mut self.0 {
            Hashed::Few(few) => few.retain(|(key, _)| is_kept(key)),
            Hashed::Many(many) => many.retain(|key, _| is_kept(key)),
        }
    }
}

impl<K: Hash + Eq, V> FewHashed<K, V> {
    pub fn get(&self, key: &K) -> Option<&V> {
        match &self.0 {
            Hashed::Few(few) => few.iter().find(|(known, _)| known == key).map(|(_, value)| value),
            Hashed::Many(many) => many.get(key),
        }
    }

    pub fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match &mut self.0 {
            Hashed::Few(few) => few.iter_mut().find(|(known, _)| known == key).map(|(_, value)| value),
            Hashed::Many(many) => many.get_mut(key),
        }
    }

    pub fn contains_key(&self, key: &K) -> bool {
        self.get(key).is_some()
    }

    /// The value of a key, a new one where there was none.
    #[expect(clippy::indexing_slicing, reason = "it was found there, or put there")]
    pub fn get_or_insert_with(&mut self, key: K, new: impl FnOnce() -> V) -> &mut V {
        if let Hashed::Few(few) = &mut self.0
            && few.len() >= FEW
            && !few.iter().any(|(known, _)| *known == key)
        {
            self.0 = Hashed::Many(Box::new(std::mem::take(few).into_iter().collect()));
        }
        match &mut self.0 {
            Hashed::Few(few) => {
                let at = few.iter().position(|(known, _)| *known == key).unwrap_or(few.len());
                if at == few.len() {
                    insert(few, at, (key, new()));
                }
                &mut few[at].1
            }
            Hashed::Many(many) => many.entry(key).or_insert_with(new),
        }
    }

    /// The value of a key, its default where there was none.
    pub fn get_or_default(&mut self, key: K) -> &mut V
    where
        V: Default,
    {
        self.get_or_insert_with(key, V::default)
    }
}

impl<K: Hash + Eq, V> FromIterator<(K, V)> for FewHashed<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (key, value) in entries {
            map.get_or_insert_with(key, || value);
        }
        map
    }
}

impl<K, V> IntoIterator for FewHashed<K, V> {
    type Item = (K, V);
    type IntoIter = Either<vec::IntoIter<(K, V)>, hash_map::IntoIter<K, V>>;

    fn into_iter(self) -> Self::IntoIter {
        match self.0 {
            Hashed::Few(few) => Either::Left(few.into_iter()),
            Hashed::Many(many) => Either::Right(many.into_iter()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_a_few_is_a_map() {
        // Keys in an order that puts entries in front, in the middle and at the end; each comes twice.
        for len in 0..3 * FEW as u64 {
            let keys = || (0..2 * len).map(|n| (n * 7) % len);
            let (mut few, mut hashed, mut map) = (FewMap::new(), FewHashed::default(), BTreeMap::new());
            for key in keys() {
                *few.get_or_default(key) += 1;
                *hashed.get_or_default(key) += 1;
                *map.entry(key).or_insert(0) += 1;
            }
            assert_eq!(few.len(), map.len());
            assert!(few.iter().eq(&map) && few.keys().rev().eq(map.keys().rev()));
            assert_eq!(hashed.into_iter().collect::<BTreeMap<_, _>>(), map);
            for at in 0..=len {
                assert_eq!((few.get(&at), few.contains_key(&at)), (map.get(&at), map.contains_key(&at)));
                assert!(few.range(at..len).eq(map.range(at..len)) && few.range(..=at).eq(map.range(..=at)));
            }
            let read: FewMap<u64, u64> = postcard::from_bytes(&postcard::to_stdvec(&few).unwrap()).unwrap();
            assert!(read.iter().eq(&map));
            assert_eq!(few.pop_last(), map.pop_last());
            assert!(few.into_iter().eq(map));
        }
    }

    #[test]
    fn a_set_of_a_few_is_a_set() {
        let set: FewSet<u8> = (0..40).rev().chain(10..20).collect();
        assert_eq!((set.len(), set.first(), set.contains(&39), set.contains(&40)), (40, Some(&0), true, false));
        assert!(set.into_iter().eq(0..40));
    }
}
