//! How what is kept of identities is written down: hashed things in order, so that the same things give the same bytes.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::few::{FewHashed, FewMap};
use crate::classify::family;
use crate::mail::dictionary::{hashes_at, known_hashes, last_moment};

/// A set of hashes that stand for no text of the same file: each as its distance from the one before.
pub mod hashes {
    use super::*;

    pub fn serialize<S: Serializer>(set: &HashSet<u64>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut hashes: Vec<u64> = set.iter().copied().collect();
        hashes.sort_unstable();
        apart(&mut hashes);
        hashes.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<HashSet<u64>, D::Error> {
        let mut hashes = Vec::<u64>::deserialize(deserializer)?;
        together(&mut hashes);
        Ok(hashes.into_iter().collect())
    }
}

/// A set of hashes of texts.
pub mod texts {
    use super::*;

    pub fn serialize<S: Serializer>(set: &FewHashed<u64, ()>, serializer: S) -> Result<S::Ok, S::Error> {
        let (known, new) = known_hashes(set.keys().map(|hash| (*hash, ())));
        let mut places: Vec<u64> = known.into_iter().map(|(place, ())| place).collect();
        apart(&mut places);
        let new: Vec<[u8; 8]> = new.into_iter().map(|(hash, ())| hash.to_le_bytes()).collect();
        (places, new).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FewHashed<u64, ()>, D::Error> {
        let (places, new) = <(Vec<u64>, Vec<[u8; 8]>)>::deserialize(deserializer)?;
        Ok(read_hashes(places, &new)?.into_iter().map(|hash| (hash, ())).collect())
    }
}

/// Uses of texts by their hashes: the first time of each as its distance from that of the one before.
pub mod uses {
    use super::*;
    use crate::aggregate::distinct::Uses;

    pub fn serialize<S: Serializer>(map: &FewHashed<u64, Uses>, serializer: S) -> Result<S::Ok, S::Error> {
        let (known, new) = known_hashes(map.iter().map(|(hash, uses)| (*hash, *uses)));
        let mut before = last_moment().seconds();
        let uses: Vec<(i64, u32)> = (known.iter().chain(&new))
            .map(|(_, uses)| {
                let apart = i64::from(uses.first_s) - before;
                before = i64::from(uses.first_s);
                (apart, uses.times)
            })
            .collect();
        let mut places: Vec<u64> = known.into_iter().map(|(place, _)| place).collect();
        apart(&mut places);
        let new: Vec<[u8; 8]> = new.into_iter().map(|(hash, _)| hash.to_le_bytes()).collect();
        (places, new, uses).serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FewHashed<u64, Uses>, D::Error> {
        let (places, new, uses) = <(Vec<u64>, Vec<[u8; 8]>, Vec<(i64, u32)>)>::deserialize(deserializer)?;
        let mut before: i64 = last_moment().seconds();
        let uses = uses.into_iter().map(|(apart, times)| {
            before = before.wrapping_add(apart);
            Uses { first_s: u32::try_from(before.max(0)).unwrap_or(u32::MAX), times }
        });
        Ok(read_hashes(places, &new)?.into_iter().zip(uses).collect())
    }
}

fn read_hashes<E: serde::de::Error>(mut places: Vec<u64>, new: &[[u8; 8]]) -> Result<Vec<u64>, E> {
    together(&mut places);
    let new: Vec<u64> = new.iter().map(|bytes| u64::from_le_bytes(*bytes)).collect();
    let mut hashes = hashes_at(&places, &new).ok_or_else(|| E::custom("no text there"))?;
    hashes.extend(new);
    Ok(hashes)
}

/// What is found by a hash of itself: only it is written, in its own order.
pub trait Hashed {
    type Order: Ord;

    fn hash(&self) -> u64;
    fn order(&self) -> Self::Order;
}

pub mod hashed {
    use super::*;

    pub fn serialize<S: Serializer, V: Serialize + Hashed>(
        map: &FewHashed<u64, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut values: Vec<(V::Order, u64, &V)> = map.iter().map(|(hash, one)| (one.order(), *hash, one)).collect();
        values.sort_unstable_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
        values.into_iter().map(|(_, _, value)| value).collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>, V: Deserialize<'de> + Hashed>(
        deserializer: D,
    ) -> Result<FewHashed<u64, V>, D::Error> {
        Ok(Vec::<V>::deserialize(deserializer)?.into_iter().map(|one| (one.hash(), one)).collect())
    }
}

/// Minutes in ascending order by which something is counted, near the last moment before.
pub mod counts {
    use super::*;

    pub fn serialize<S: Serializer>(map: &FewMap<i64, u64>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut before = last_moment().minute();
        let entries: Vec<(i64, u64)> = map
            .iter()
            .map(|(key, count)| {
                let apart = key.wrapping_sub(before);
                before = *key;
                (apart, *count)
            })
            .collect();
        entries.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<FewMap<i64, u64>, D::Error> {
        let mut before: i64 = last_moment().minute();
        let entry = |(apart, count)| {
            before = before.wrapping_add(apart);
            (before, count)
        };
        Ok(Vec::<(i64, u64)>::deserialize(deserializer)?.into_iter().map(entry).collect())
    }
}

/// Moments in seconds, in ascending order; none where they are those of `known`.
pub fn moments(times: &[i64], known: &[i64]) -> Option<Vec<i64>> {
    let mut sorted = times.to_vec();
    sorted.sort_unstable();
    (sorted != known).then(|| {
        let mut before = 0;
        sorted.iter_mut().for_each(|at| (*at, before) = (at.wrapping_sub(before), *at));
        sorted
    })
}

/// The moments that [`moments`] wrote.
pub fn moments_of(apart: Option<Vec<i64>>, known: impl FnOnce() -> Vec<i64>) -> Vec<i64> {
    let Some(mut times) = apart else { return known() };
    let mut before: i64 = 0;
    times.iter_mut().for_each(|at| {
        before = before.wrapping_add(*at);
        *at = before;
    });
    times
}

/// Things by other keys.
pub mod by_key {
    use super::*;

    pub fn serialize<S: Serializer, K: Serialize + Ord, V: Serialize>(
        map: &HashMap<K, V>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let mut entries: Vec<(&K, &V)> = map.iter().collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        entries.serialize(serializer)
    }

    pub fn deserialize<'de, D, K, V>(deserializer: D) -> Result<HashMap<K, V>, D::Error>
    where
        D: Deserializer<'de>,
        K: Deserialize<'de> + Eq + std::hash::Hash,
        V: Deserialize<'de>,
    {
        Ok(Vec::<(K, V)>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// A set of other things.
pub mod keys {
    use super::*;

    pub fn serialize<S: Serializer, K: Serialize + Ord>(set: &HashSet<K>, serializer: S) -> Result<S::Ok, S::Error> {
        let mut keys: Vec<&K> = set.iter().collect();
        keys.sort_unstable();
        keys.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>, K: Deserialize<'de> + Eq + std::hash::Hash>(
        deserializer: D,
    ) -> Result<HashSet<K>, D::Error> {
        Ok(Vec::<K>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// Counts by hour, speaker and family of categories; families are words of the taxonomy.
pub mod families {
    use super::*;

    type Families = BTreeMap<(i64, bool, &'static str), u64>;

    pub fn serialize<S: Serializer>(map: &Families, serializer: S) -> Result<S::Ok, S::Error> {
        map.iter().collect::<Vec<_>>().serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Families, D::Error> {
        let entries = Vec::<((i64, bool, String), u64)>::deserialize(deserializer)?;
        let known = |((hour, by_us, word), count): ((i64, bool, String), u64)| {
            let family = family(&word).ok_or_else(|| serde::de::Error::custom("no family of categories"))?;
            Ok(((hour, by_us, family), count))
        };
        entries.into_iter().map(known).collect()
    }
}

fn apart(sorted: &mut [u64]) {
    let mut before = 0;
    for hash in sorted {
        (*hash, before) = (hash.wrapping_sub(before), *hash);
    }
}

fn together(apart: &mut [u64]) {
    let mut before = 0;
    for hash in apart {
        before = hash.wrapping_add(before);
        *hash = before;
    }
}
