//! What one thread remembers of the answers it has seen: a table of fixed size, whatever senders write.

use std::hash::{BuildHasher, RandomState};

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Sets of the table. One key can stand in one set only.
const SETS: usize = 4_096;
/// Entries of one set; the table holds `SETS * WAYS`.
const WAYS: usize = 8;
/// Longer keys are not kept: with it the table is bounded in bytes, too (32 MB of keys).
const MOST_KEY_BYTES: usize = 1_024;

/// Values by key. When a set is full, the next entry that was not asked for since the last look makes room; so a flood of
/// new keys does not push out what is asked for again and again.
#[derive(Debug)]
pub(super) struct Memory<V> {
    /// Empty until the first entry comes.
    sets: Vec<Set<V>>,
    /// Nobody outside knows it, so nobody can choose keys that meet in one set.
    seed: u64,
}

#[derive(Debug)]
struct Set<V> {
    entries: Vec<Entry<V>>,
    /// Where the look for room goes on.
    hand: usize,
}

#[derive(Debug)]
struct Entry<V> {
    hash: u64,
    key: Vec<u8>,
    value: V,
    was_asked: bool,
}

/// Hash of a key in one table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hash(u64);

impl Hash {
    #[expect(clippy::cast_possible_truncation, reason = "a few bits are taken")]
    fn set(self) -> usize {
        self.0 as usize % SETS
    }
}

impl<V> Default for Memory<V> {
    fn default() -> Self {
        Self { sets: Vec::new(), seed: RandomState::new().hash_one(0) }
    }
}

impl<V> Memory<V> {
    pub(super) fn hash(&self, key: &[u8]) -> Hash {
        Hash(xxh3_64_with_seed(key, self.seed))
    }

    /// The value kept under `key`, whose hash is given. Keys are compared whole: no two are taken for one.
    pub(super) fn get(&mut self, hash: Hash, key: &[u8]) -> Option<&V> {
        let entries = &mut self.sets.get_mut(hash.set())?.entries;
        let entry = entries.iter_mut().find(|entry| entry.hash == hash.0 && entry.key == key)?;
        entry.was_asked = true;
        Some(&entry.value)
    }

    /// Keeps `value` under `key`, which is not in the table yet.
    pub(super) fn insert(&mut self, hash: Hash, key: &[u8], value: V) {
        if key.len() > MOST_KEY_BYTES {
            return;
        }
        if self.sets.is_empty() {
            self.sets.resize_with(SETS, || Set { entries: Vec::new(), hand: 0 });
        }
        let Some(set) = self.sets.get_mut(hash.set()) else { return };
        if set.entries.len() < WAYS {
            set.entries.push(Entry { hash: hash.0, key: key.to_vec(), value, was_asked: false });
            return;
        }
        // After one round at most no entry counts as asked for.
        for _ in 0..=WAYS {
            set.hand = (set.hand + 1) % WAYS;
            let Some(entry) = set.entries.get_mut(set.hand) else { return };
            if !std::mem::take(&mut entry.was_asked) {
                entry.hash = hash.0;
                entry.key.clear();
                entry.key.shrink_to(MOST_KEY_BYTES / 4);
                entry.key.extend_from_slice(key);
                entry.value = value;
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_leaves_what_is_asked_for() {
        let mut memory = Memory::default();
        let wanted = b"wanted";
        let hash = memory.hash(wanted);
        memory.insert(hash, wanted, 0);
        for number in 1..4 * SETS * WAYS {
            let key = number.to_be_bytes();
            let other = memory.hash(&key);
            memory.insert(other, &key, number);
            assert_eq!(memory.get(hash, wanted), Some(&0));
        }
        let kept: usize = memory.sets.iter().map(|set| set.entries.len()).sum();
        assert!(kept <= SETS * WAYS);
    }

    #[test]
    fn keys_are_told_apart_and_long_ones_not_kept() {
        let mut memory = Memory::default();
        let hash = memory.hash(b"a");
        assert_eq!(memory.get(hash, b"a"), None);
        memory.insert(hash, b"a", 1);
        assert_eq!(memory.get(hash, b"b"), None);
        assert_eq!(memory.get(hash, b"a"), Some(&1));
        let long = [b'x'; MOST_KEY_BYTES + 1];
        let hash = memory.hash(&long);
        memory.insert(hash, &long, 2);
        assert_eq!(memory.get(hash, &long), None);
    }
}
