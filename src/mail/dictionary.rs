//! Values that come again and again, written once. What a run counts names the same addresses, ids and moments in many
//! places: while a dictionary is open on this thread, each is written in full the first time and as a distance back to
//! that from then on. It is read with a dictionary open, too.

use std::cell::RefCell;

use hashbrown::HashMap;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use xxhash_rust::xxh3::xxh3_64;

use super::octets::Octets;
use super::queue_id::{Parts, QueueId};
use super::time::{MICROS_PER_SECOND, Timestamp};

thread_local! {
    static OPEN: RefCell<Option<Dictionary>> = const { RefCell::new(None) };
}

/// Calls `f` with an empty dictionary open.
pub fn with_dictionary<T>(f: impl FnOnce() -> T) -> T {
    let before = OPEN.replace(Some(Dictionary::default()));
    let result = f();
    OPEN.set(before);
    result
}

/// The dictionary that is open; `None` where there is none.
fn open<T>(f: impl FnOnce(&mut Dictionary) -> T) -> Option<T> {
    OPEN.with_borrow_mut(|dictionary| dictionary.as_mut().map(f))
}

#[derive(Default)]
struct Dictionary {
    /// Texts by their hashes, and hashes of texts that were never seen.
    words: Words<u64, Option<Octets>>,
    /// Domains of addresses.
    domains: Words<u64, Octets>,
    /// Ids with the moment that each was last seen with.
    ids: Words<QueueId, Timestamp>,
    times: Words<Timestamp, ()>,
    last: Timestamp,
    /// Place of the id that was met last.
    id: Option<usize>,
}

/// Things in the order in which they were first met.
struct Words<K, V> {
    places: HashMap<K, usize>,
    list: Vec<(K, V)>,
}

impl<K, V> Default for Words<K, V> {
    fn default() -> Self {
        Self { places: HashMap::new(), list: Vec::new() }
    }
}

impl<K: Copy + Eq + std::hash::Hash, V> Words<K, V> {
    fn add(&mut self, key: K, value: V) -> usize {
        self.places.insert(key, self.list.len());
        self.put(key, value)
    }

    /// The same for what is only asked for by its place.
    fn put(&mut self, key: K, value: V) -> usize {
        self.list.push((key, value));
        self.list.len() - 1
    }

    /// How far back a place is, from 1.
    fn distance(&self, place: usize) -> u32 {
        u32::try_from(self.list.len() - place).unwrap_or(u32::MAX)
    }

    fn place(&self, distance: u32) -> Option<usize> {
        self.list.len().checked_sub(distance as usize).filter(|_| distance > 0)
    }
}

/// Writes a text.
///
/// # Errors
/// As the serializer.
pub fn write_text<S: Serializer>(text: &Octets, serializer: S) -> Result<S::Ok, S::Error> {
    let known = open(|dictionary| {
        let hash = xxh3_64(text);
        let words = &mut dictionary.words;
        let place = words.places.get(&hash).copied();
        let place = place.filter(|at| words.list.get(*at).is_some_and(|(_, known)| known.as_ref() == Some(text)));
        match place {
            Some(place) => words.distance(place),
            None => {
                dictionary.learn(text, hash);
                0
            }
        }
    });
    match known {
        None => return serializer.serialize_bytes(text),
        Some(0) => {}
        Some(distance) => return (distance,).serialize(serializer),
    }
    let Some((local, domain)) = memchr::memrchr(b'@', text).and_then(|at| text.split_at_checked(at)) else {
        return (0_u32, Bytes(text), NO_DOMAIN).serialize(serializer);
    };
    let domain = domain.get(1..).unwrap_or_default();
    match open(|dictionary| dictionary.domain(domain)).flatten() {
        Some(number) => (0_u32, Bytes(local), number).serialize(serializer),
        None => (0_u32, Bytes(local), NEW_DOMAIN, Bytes(domain)).serialize(serializer),
    }
}

/// What stands behind a text that has no `@`, and behind one whose domain follows; others are numbers of domains from
/// [`DOMAINS`] on.
const NO_DOMAIN: u32 = 0;
const NEW_DOMAIN: u32 = 1;
const DOMAINS: u32 = 2;

/// Reads a text, only from a form that its bytes can be borrowed from.
///
/// # Errors
/// As the deserializer; also for a distance to nothing.
pub fn read_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Octets, D::Error> {
    struct Text;
    impl<'de> Visitor<'de> for Text {
        type Value = Octets;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a text or where it was before")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Octets, A::Error> {
            let distance: u32 = seq.next_element()?.unwrap_or(0);
            if distance == 0 {
                let local = seq.next_element::<&[u8]>()?.unwrap_or_default();
                let text = match seq.next_element::<u32>()?.unwrap_or(NO_DOMAIN) {
                    NO_DOMAIN => Octets::from(local),
                    NEW_DOMAIN => {
                        let domain = seq.next_element::<&[u8]>()?.unwrap_or_default();
                        open(|dictionary| dictionary.domains.put(0, domain.into()));
                        Octets::from(&*[local, b"@", domain].concat())
                    }
                    number => {
                        let at = (number - DOMAINS) as usize;
                        let domain =
                            open(|dictionary| dictionary.domains.list.get(at).map(|(_, domain)| domain.clone()));
                        let domain = domain.flatten().ok_or_else(|| A::Error::custom("no domain there"))?;
                        Octets::from(&*[local, b"@", &domain].concat())
                    }
                };
                open(|dictionary| dictionary.read(&text));
                return Ok(text);
            }
            let known = open(|dictionary| {
                let words = &dictionary.words;
                words.place(distance).and_then(|at| words.list.get(at)).and_then(|(_, text)| text.clone())
            });
            known.flatten().ok_or_else(|| A::Error::custom("no text there"))
        }
    }
    if open(|_| ()).is_none() {
        return <&[u8]>::deserialize(deserializer).map(Octets::from);
    }
    deserializer.deserialize_tuple(4, Text)
}

/// Writes an id; a moment that is written with [`Met`] next is the one that it is seen with.
///
/// # Errors
/// As the serializer.
pub fn write_id<S: Serializer>(id: &QueueId, serializer: S) -> Result<S::Ok, S::Error> {
    let known = open(|dictionary| {
        let ids = &mut dictionary.ids;
        match ids.places.get(id).copied() {
            Some(place) => {
                dictionary.id = Some(place);
                ids.distance(place)
            }
            None => {
                dictionary.id = Some(ids.add(*id, Timestamp(i64::MIN)));
                dictionary.learn_id(id);
                0
            }
        }
    });
    match known {
        None => serializer.serialize_bytes(id.as_bytes()),
        Some(0) => (0_u32, Parts::of(id, last_moment().seconds())).serialize(serializer),
        Some(distance) => (distance,).serialize(serializer),
    }
}

/// Reads what [`write_id`] wrote.
///
/// # Errors
/// As the deserializer; also for what is no id.
pub fn read_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<QueueId, D::Error> {
    struct Id;
    impl<'de> Visitor<'de> for Id {
        type Value = QueueId;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a queue id or where it was before")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<QueueId, A::Error> {
            let distance: u32 = seq.next_element()?.unwrap_or(0);
            let parts = if distance == 0 { seq.next_element::<Parts<'_>>()? } else { None };
            let known = open(|dictionary| {
                let near_s = dictionary.last.seconds();
                let place = match parts.map(|parts| parts.id(near_s)) {
                    Some(id) => {
                        dictionary.learn_id(&id?);
                        dictionary.ids.put(id?, Timestamp(i64::MIN))
                    }
                    None => dictionary.ids.place(distance)?,
                };
                dictionary.id = Some(place);
                dictionary.ids.list.get(place).map(|(id, _)| *id)
            });
            known.flatten().ok_or_else(|| A::Error::custom("no queue id there"))
        }
    }
    if open(|_| ()).is_none() {
        let text = <&[u8]>::deserialize(deserializer)?;
        return QueueId::new(text).ok_or_else(|| D::Error::custom("no queue id"));
    }
    deserializer.deserialize_tuple(2, Id)
}

/// Writes a moment.
///
/// # Errors
/// As the serializer.
pub fn write_time<S: Serializer>(at: Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    let known = open(|dictionary| {
        let times = &mut dictionary.times;
        match times.places.get(&at).copied() {
            Some(place) => {
                dictionary.last = at;
                (times.distance(place), (0, 0))
            }
            None => {
                times.add(at, ());
                (0, dictionary.moved_to(at, None))
            }
        }
    });
    match known {
        None => serializer.serialize_newtype_struct("Timestamp", &at.0),
        Some((0, (apart_s, micros))) => (0_u32, apart_s, micros).serialize(serializer),
        Some((distance, _)) => (distance,).serialize(serializer),
    }
}

/// Reads what [`write_time`] wrote.
///
/// # Errors
/// As the deserializer; also for a distance to nothing.
pub fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    struct Time;
    impl<'de> Visitor<'de> for Time {
        type Value = Timestamp;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("a moment or where it was before")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Timestamp, A::Error> {
            let distance: u32 = seq.next_element()?.unwrap_or(0);
            let apart = if distance == 0 { seq.next_element::<i64>()?.zip(seq.next_element::<i32>()?) } else { None };
            let known = open(|dictionary| match apart {
                Some(apart) => {
                    let at = dictionary.moved_by(apart, None);
                    dictionary.times.add(at, ());
                    Some(at)
                }
                None => {
                    let times = &dictionary.times;
                    let at = times.place(distance).and_then(|at| times.list.get(at)).map(|(at, ())| *at)?;
                    dictionary.last = at;
                    Some(at)
                }
            });
            known.flatten().ok_or_else(|| A::Error::custom("no moment there"))
        }
    }
    if open(|_| ()).is_none() {
        return i64::deserialize(deserializer).map(Timestamp);
    }
    deserializer.deserialize_tuple(3, Time)
}

impl Dictionary {
    /// A text is known now, and the domain in it.
    fn learn(&mut self, text: &Octets, hash: u64) {
        self.words.add(hash, Some(text.clone()));
        if let Some(at) = memchr::memrchr(b'@', text) {
            self.learn_domain(text.get(at + 1..).unwrap_or_default());
        }
    }

    /// The same while it is read: nobody asks where an address stands, which is no domain.
    fn read(&mut self, text: &Octets) {
        match memchr::memrchr(b'@', text) {
            None => _ = self.words.add(xxh3_64(text), Some(text.clone())),
            Some(at) => {
                self.words.put(xxh3_64(text), Some(text.clone()));
                self.learn_domain(text.get(at + 1..).unwrap_or_default());
            }
        }
    }

    fn learn_domain(&mut self, domain: &[u8]) {
        let domain = xxh3_64(domain);
        if !self.words.places.contains_key(&domain) {
            self.words.add(domain, None);
        }
    }

    fn met(&mut self, at: Timestamp) {
        if !self.times.places.contains_key(&at) {
            self.times.add(at, ());
        }
    }

    /// The number under which a domain is written; `None` for one that is new.
    fn domain(&mut self, domain: &[u8]) -> Option<u32> {
        let hash = xxh3_64(domain);
        let place = self.domains.places.get(&hash).copied();
        let place = place.filter(|at| self.domains.list.get(*at).is_some_and(|(_, known)| **known == *domain));
        match place {
            Some(place) => u32::try_from(place).ok()?.checked_add(DOMAINS),
            None => {
                self.domains.add(hash, domain.into());
                None
            }
        }
    }

    /// Hashes of an id's text may come.
    fn learn_id(&mut self, id: &QueueId) {
        self.words.add(xxh3_64(id.as_bytes()), None);
    }

    /// What the id that was met last says of its moment, or the last moment.
    fn expected(&self, id: Option<usize>) -> (i64, i64) {
        let last_s = self.last.seconds();
        let id = id.and_then(|place| self.ids.list.get(place));
        let (seconds, micros) = id.map_or((None, None), |(id, _)| Parts::of(id, 0).made(0));
        (seconds.unwrap_or(last_s), micros.unwrap_or(0).into())
    }

    /// Seconds and microseconds between a moment and the one that is expected; of the latter the way round a second that is
    /// shorter.
    fn moved_to(&mut self, at: Timestamp, id: Option<usize>) -> (i64, i32) {
        let (seconds, micros) = self.expected(id);
        let apart = (at.0.rem_euclid(MICROS_PER_SECOND) - micros).rem_euclid(MICROS_PER_SECOND);
        let apart = if apart > MICROS_PER_SECOND / 2 { apart - MICROS_PER_SECOND } else { apart };
        self.last = at;
        (at.seconds().wrapping_sub(seconds), apart as i32)
    }

    fn moved_by(&mut self, (apart_s, apart): (i64, i32), id: Option<usize>) -> Timestamp {
        let (seconds, micros) = self.expected(id);
        let micros = (micros + i64::from(apart)).rem_euclid(MICROS_PER_SECOND);
        let seconds = seconds.wrapping_add(apart_s);
        self.last = Timestamp(seconds.wrapping_mul(MICROS_PER_SECOND).wrapping_add(micros));
        self.last
    }
}

/// The moment of the thing that was written just before it: an id mostly has one.
pub struct Met(pub Timestamp);

/// Nothing with a moment of its own was written: the next [`Met`] stands by itself.
pub fn forget_id() {
    open(|dictionary| dictionary.id = None);
}

impl Serialize for Met {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = self.0;
        let known = open(|dictionary| {
            let known = dictionary.id.and_then(|place| dictionary.ids.list.get_mut(place));
            match known {
                Some((_, known)) if *known == at => None,
                known => {
                    if let Some((_, known)) = known {
                        *known = at;
                    }
                    dictionary.met(at);
                    Some(dictionary.moved_to(at, dictionary.id))
                }
            }
        });
        match known {
            None => at.0.serialize(serializer),
            Some(None) => (0_u8,).serialize(serializer),
            Some(Some((apart_s, micros))) => (1_u8, apart_s, micros).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Met {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Moment;
        impl<'de> Visitor<'de> for Moment {
            type Value = Met;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a moment, or that it is known")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Met, A::Error> {
                let is_told = seq.next_element::<u8>()?.unwrap_or(0) != 0;
                let apart = if is_told { seq.next_element::<i64>()?.zip(seq.next_element::<i32>()?) } else { None };
                let at = open(|dictionary| {
                    let at = apart.map(|apart| dictionary.moved_by(apart, dictionary.id));
                    if let Some(at) = at {
                        dictionary.met(at);
                    }
                    let (_, known) = match (at, dictionary.id.and_then(|place| dictionary.ids.list.get_mut(place))) {
                        (at, None) => return at,
                        (_, Some(known)) => known,
                    };
                    *known = at.unwrap_or(*known);
                    Some(*known)
                });
                at.flatten().map(Met).ok_or_else(|| A::Error::custom("no moment there"))
            }
        }
        if open(|_| ()).is_none() {
            return i64::deserialize(deserializer).map(|at| Self(Timestamp(at)));
        }
        deserializer.deserialize_tuple(3, Moment)
    }
}

/// The moment that was written or read last; 1970 without a dictionary.
pub fn last_moment() -> Timestamp {
    open(|dictionary| dictionary.last).unwrap_or_default()
}

/// Things with hashes, or with distances.
type Numbered<T> = Vec<(u64, T)>;

/// Hashes of texts parted into those whose texts or hashes were written before, as distances back to them in
/// ascending order, and the others, which count as written now. Without a dictionary all are others.
pub fn known_hashes<T: Copy>(hashes: impl Iterator<Item = (u64, T)>) -> (Numbered<T>, Numbered<T>) {
    let mut known = Vec::new();
    let mut new = Vec::new();
    let mut all: Vec<_> = hashes.collect();
    all.sort_unstable_by_key(|(hash, _)| *hash);
    let is_open = open(|dictionary| {
        for (hash, thing) in &all {
            match dictionary.words.places.get(hash) {
                Some(place) => known.push((dictionary.words.distance(*place).into(), *thing)),
                None => new.push((*hash, *thing)),
            }
        }
        for (hash, _) in &new {
            dictionary.words.add(*hash, None);
        }
    });
    known.sort_unstable_by_key(|(distance, _)| *distance);
    if is_open.is_some() { (known, new) } else { (Vec::new(), all) }
}

/// The hashes at these distances; those of `new` count as read now. `None` for a distance to nothing.
pub fn hashes_at(distances: &[u64], new: &[u64]) -> Option<Vec<u64>> {
    let found = open(|dictionary| {
        let words = &dictionary.words;
        let at = |distance: &u64| {
            let place = words.place(u32::try_from(*distance).ok()?)?;
            words.list.get(place).map(|(hash, _)| *hash)
        };
        let found: Option<Vec<u64>> = distances.iter().map(at).collect();
        for hash in new {
            dictionary.words.add(*hash, None);
        }
        found
    });
    found.unwrap_or_else(|| distances.is_empty().then(Vec::new))
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_again_takes_little_and_comes_back() {
        let text = |text: &[u8]| Octets::from(text);
        let id = QueueId::new(b"3F2A11C0").unwrap();
        let things = vec![
            (text(b"al@a.example"), id, Timestamp(1_700_000_000_000_000)),
            (text(b"bo@b.example"), id, Timestamp(1_700_000_000_000_000)),
            (text(b"al@a.example"), id, Timestamp(1_700_000_000_500_000)),
            (text(b""), QueueId::new(b"1tXyZa-0001Ab-2c").unwrap(), Timestamp(i64::MIN)),
            (text(b"al@a.example"), id, Timestamp(1_700_000_000_500_000)),
        ];
        let bytes = with_dictionary(|| postcard::to_stdvec(&things).unwrap());
        let plain = postcard::to_stdvec(&things).unwrap();
        assert!(bytes.len() * 3 < plain.len() * 2, "{} of {}", bytes.len(), plain.len());
        type Things = Vec<(Octets, QueueId, Timestamp)>;
        assert_eq!(with_dictionary(|| postcard::from_bytes::<Things>(&bytes).unwrap()), things);
        assert_eq!(postcard::from_bytes::<Things>(&plain).unwrap(), things);
        for cut in 0..bytes.len() {
            assert!(with_dictionary(|| postcard::from_bytes::<Things>(&bytes[..cut]).is_err()));
        }
    }
}
