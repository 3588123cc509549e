//! What stands at the end of a file of records: which of its blocks can hold what is looked for, and who used which client
//! addresses and wrote to whom. By it a search unpacks what it finds, not all that there is.
//!
//! Both the head of such a file and its index are frames that zstd passes over (RFC 8878, section 3.1.2). The index has
//! three parts, each with a checksum: the blocks with a filter each, [`Clients`], and [`Writers`]; their lengths and
//! checksums come last.

use std::fs::File;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt;
use std::path::Path;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::columns::{self, Columns};
use super::invalid;
use super::record::RecordRef;
use crate::aggregate::uses::{Clients, Uses, Writers};
use crate::correlate::{AuthFailure, Message, Rejection};
use crate::mail::address;
use crate::mail::identity::IdentityKind;

/// Frames of this kind are passed over, and so is what says how long they are.
const PASSED_OVER: u32 = 0x184D_2A5E;
const FRAME_HEAD_BYTES: usize = 8;
const MAGIC: [u8; 4] = *b"MSRC";
const INDEX_MAGIC: [u8; 4] = *b"MSRI";
/// Files of version 2 are one frame without an index. Types that records hold change only with it.
const VERSION: u32 = 3;
const HEAD_BYTES: usize = FRAME_HEAD_BYTES + 8;
/// Lengths and checksums of the parts, and the magic.
const TAIL_BYTES: usize = 3 * (4 + 8) + 4;
/// Of each block: bytes packed and unpacked, and 256-bit pieces of its filter.
const BLOCK_HEAD_BYTES: usize = 12;
/// No block is longer: records of up to [`super::record::RECORD_BYTES`] are not parted.
const UNPACKED_BYTES: usize = super::record::RECORD_BYTES + (1 << 20);
const DAMAGED: &str = "its index has changed";

/// Something that records are looked for by, as a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(u64);

impl Key {
    /// A queue id, or a message id without its brackets.
    pub fn id(text: &[u8]) -> Self {
        Self(xxh3_64_with_seed(text, 1))
    }

    /// A login, local user, address or domain, in any letter case.
    pub fn name(text: &[u8]) -> Self {
        let is_low = !text.iter().any(u8::is_ascii_uppercase);
        Self(if is_low { xxh3_64_with_seed(text, 2) } else { xxh3_64_with_seed(&text.to_ascii_lowercase(), 2) })
    }

    pub fn ip(ip: IpAddr) -> Self {
        Self::of_address(ip, 3)
    }

    /// The /24 or /48 of an address.
    pub fn network(ip: IpAddr) -> Self {
        Self::of_address(address::network(ip), 4)
    }

    fn of_address(ip: IpAddr, seed: u64) -> Self {
        match ip {
            IpAddr::V4(v4) => Self(xxh3_64_with_seed(&v4.octets(), seed)),
            IpAddr::V6(v6) => Self(xxh3_64_with_seed(&v6.octets(), seed)),
        }
    }
}

/// What the records of one block can be looked for by.
#[derive(Default)]
struct Keys(Vec<Key>);

impl Keys {
    fn message(&mut self, message: &Message) {
        let ids = [Some(message.queue_id), message.parent_queue_id, message.hop_of];
        self.0.extend(ids.iter().flatten().map(|id| Key::id(id.as_bytes())));
        if let Some(id) = &message.message_id {
            self.0.push(Key::id(address::unbracketed(id)));
        }
        match message.identity.kind {
            IdentityKind::Sasl => self.address(&message.identity.name),
            IdentityKind::Uid => self.0.push(Key::name(&message.identity.name)),
            _ => {}
        }
        message.origin.sasl_username.iter().for_each(|login| self.address(login));
        message.origin.client.iter().for_each(|client| self.client(&client.ip));
        message.sender.iter().for_each(|sender| self.address(sender));
        for recipient in &message.recipients {
            self.address(&recipient.address);
            self.address(&recipient.orig_address);
        }
    }

    fn rejection(&mut self, rejection: &Rejection) {
        self.0.extend(rejection.queue_id.iter().map(|id| Key::id(id.as_bytes())));
        self.0.extend(rejection.local_user.iter().map(|user| Key::name(user)));
        let Rejection { sasl_username, sender, recipient, .. } = rejection;
        [sasl_username, sender, recipient].into_iter().flatten().for_each(|one| self.address(one));
        self.client(&rejection.client.ip);
    }

    fn auth_failure(&mut self, failure: &AuthFailure) {
        failure.sasl_username.iter().for_each(|login| self.address(login));
        self.client(&failure.client.ip);
    }

    /// An address or login, and its domain.
    fn address(&mut self, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        self.0.push(Key::name(text));
        let domain = address::split(text).1;
        if !domain.is_empty() {
            self.0.push(Key::name(domain));
        }
    }

    fn client(&mut self, ip: &[u8]) {
        if let Some(ip) = address::ip(ip) {
            self.0.extend([Key::ip(ip), Key::network(ip)]);
        }
    }

    /// The filter of all of them, which are let go of.
    fn filter(&mut self) -> Vec<[u32; 8]> {
        /// About 1 % of what is not there seems to be.
        const KEYS_EACH: usize = 24;
        self.0.sort_unstable();
        self.0.dedup();
        let mut filter = vec![[0; 8]; self.0.len().div_ceil(KEYS_EACH).max(1)];
        let pieces = filter.len();
        for key in self.0.drain(..) {
            if let Some(piece) = filter.get_mut(piece_of(key, pieces)) {
                piece.iter_mut().zip(bits(key)).for_each(|(word, bit)| *word |= bit);
            }
        }
        filter
    }
}

/// The piece of a filter that a key falls on: a split-block Bloom filter as Parquet has it (`BloomFilter.md`).
fn piece_of(key: Key, pieces: usize) -> usize {
    ((u128::from(key.0 >> 32) * pieces as u128) >> 32) as usize
}

/// The bit of each word that a key sets.
fn bits(key: Key) -> [u32; 8] {
    const SALT: [u32; 8] =
        [0x47b6_137b, 0x4497_4d91, 0x8824_ad5b, 0xa2b7_289d, 0x7054_95c7, 0x2df1_424b, 0x9efc_4947, 0x5c6b_fb31];
    SALT.map(|salt| 1 << ((key.0 as u32).wrapping_mul(salt) >> 27))
}

/// The head of a file of records.
pub fn head() -> Vec<u8> {
    passed_over(&[&MAGIC[..], &VERSION.to_le_bytes()].concat()).unwrap_or_default()
}

fn passed_over(content: &[u8]) -> io::Result<Vec<u8>> {
    let len = u32::try_from(content.len()).map_err(io::Error::other)?;
    Ok([&frame_head_of(len)[..], content].concat())
}

fn frame_head_of(len: u32) -> Vec<u8> {
    [PASSED_OVER.to_le_bytes(), len.to_le_bytes()].concat()
}

/// The index of a file while its records are written.
#[derive(Default)]
pub struct Builder {
    keys: Keys,
    uses: Uses,
    count: u32,
    heads: Vec<u8>,
    filters: Vec<u8>,
}

impl Builder {
    /// Notes a record of the block that is being filled.
    pub fn note(&mut self, record: &RecordRef<'_>) {
        match record {
            RecordRef::Message(message) => {
                self.keys.message(message);
                self.uses.message(message);
            }
            RecordRef::Rejection(rejection) => self.keys.rejection(rejection),
            RecordRef::AuthFailure(failure) => {
                self.keys.auth_failure(failure);
                self.uses.tried(failure);
            }
        }
    }

    /// The block is full, and so long.
    ///
    /// # Errors
    /// For a block of impossible length.
    pub fn end_block(&mut self, packed: usize, unpacked: usize) -> io::Result<()> {
        let filter = self.keys.filter();
        for number in [packed, unpacked, filter.len()] {
            self.heads.extend(u32::try_from(number).map_err(io::Error::other)?.to_le_bytes());
        }
        self.filters.extend(filter.iter().flatten().flat_map(|word| word.to_le_bytes()));
        self.count += 1;
        Ok(())
    }

    /// The index as it is written.
    ///
    /// # Errors
    /// What packing gives.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        let blocks = [&self.count.to_le_bytes()[..], &self.heads, &self.filters].concat();
        let clients = columns::to_bytes(&self.uses.clients())?;
        let writers = columns::to_bytes(&self.uses.writers())?;
        let parts = [&blocks, &clients, &writers];
        let mut tail = Vec::with_capacity(TAIL_BYTES);
        for part in parts {
            tail.extend(u32::try_from(part.len()).map_err(io::Error::other)?.to_le_bytes());
        }
        parts.iter().for_each(|part| tail.extend(xxh3_64(part).to_le_bytes()));
        tail.extend(INDEX_MAGIC);
        passed_over(&[&blocks[..], &clients, &writers, &tail].concat())
    }
}

/// A part of the file, with its checksum.
#[derive(Debug, Clone, Copy)]
struct Part {
    at: u64,
    bytes: usize,
    hash: u64,
}

/// Some records that are packed together.
#[derive(Debug)]
pub struct Block {
    at: u64,
    packed: usize,
    unpacked: usize,
    filter: Vec<[u32; 8]>,
}

impl Block {
    /// False where none of these is surely in it.
    pub fn may_hold(&self, keys: &[Key]) -> bool {
        keys.iter().any(|key| {
            let piece = self.filter.get(piece_of(*key, self.filter.len()));
            piece.is_some_and(|piece| piece.iter().zip(bits(*key)).all(|(word, bit)| word & bit != 0))
        })
    }
}

/// The index of a file, opened.
pub struct Index {
    file: File,
    /// Where its parts begin.
    start: u64,
    pub blocks: Vec<Block>,
    clients: Part,
    writers: Part,
}

impl Index {
    /// `None` for a file of the version that had none.
    ///
    /// # Errors
    /// What reading gives; `InvalidData` for a file of another form, or one that was cut short.
    pub fn open(path: &Path) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let mut begin = [0; HEAD_BYTES];
        file.read_exact_at(&mut begin, 0)?;
        if begin.starts_with(&zstd::zstd_safe::MAGICNUMBER.to_le_bytes()) {
            return Ok(None);
        }
        if begin[..] != head() {
            return Err(invalid("no records of this version"));
        }
        let bytes = file.metadata()?.len();
        let tail_at = bytes.checked_sub(TAIL_BYTES as u64).ok_or_else(cut_short)?;
        let mut tail = vec![0; TAIL_BYTES];
        file.read_exact_at(&mut tail, tail_at)?;
        if !tail.ends_with(&INDEX_MAGIC) {
            return Err(cut_short());
        }
        let mut numbers = Numbers(&tail);
        let lengths = [numbers.next_u32(), numbers.next_u32(), numbers.next_u32()];
        let mut at = tail_at.checked_sub(lengths.iter().map(|len| u64::from(*len)).sum()).ok_or_else(cut_short)?;
        let start = at;
        let [blocks, clients, writers] = lengths.map(|bytes| {
            let part = Part { at, bytes: bytes as usize, hash: numbers.next_u64() };
            at += u64::from(bytes);
            part
        });
        let blocks = blocks_of(&read_part(&file, blocks)?)?;
        let end = blocks.iter().map(|block| block.packed as u64).sum::<u64>() + (HEAD_BYTES + FRAME_HEAD_BYTES) as u64;
        if end != start {
            return Err(cut_short());
        }
        Ok(Some(Self { file, start, blocks, clients, writers }))
    }

    /// Makes sure that nothing of the index has changed.
    ///
    /// # Errors
    /// What reading gives; `InvalidData` for what is damaged.
    pub fn check(&self) -> io::Result<()> {
        read_part(&self.file, self.clients)?;
        read_part(&self.file, self.writers)?;
        let mut frame_head = [0; FRAME_HEAD_BYTES];
        self.file.read_exact_at(&mut frame_head, self.start - FRAME_HEAD_BYTES as u64)?;
        let bytes = self.file.metadata()?.len() - self.start;
        if frame_head[..] == frame_head_of(u32::try_from(bytes).map_err(io::Error::other)?) {
            Ok(())
        } else {
            Err(invalid(DAMAGED))
        }
    }

    /// Unpacks a block.
    ///
    /// # Errors
    /// What reading and unpacking give.
    pub fn unpack(&self, block: &Block, by: &mut zstd::bulk::Decompressor<'_>) -> io::Result<Vec<u8>> {
        let mut packed = vec![0; block.packed];
        self.file.read_exact_at(&mut packed, block.at)?;
        let records = by.decompress(&packed, block.unpacked)?;
        if records.len() == block.unpacked { Ok(records) } else { Err(cut_short()) }
    }

    /// False where none of these is surely in any block.
    pub fn may_hold(&self, keys: &[Key]) -> bool {
        self.blocks.iter().any(|block| block.may_hold(keys))
    }

    /// Who used which addresses.
    ///
    /// # Errors
    /// What reading gives; `InvalidData` for what is damaged.
    pub fn clients(&self) -> io::Result<Clients> {
        Columns::unpack(&read_part(&self.file, self.clients)?)?.read()
    }

    /// Who wrote to whom.
    ///
    /// # Errors
    /// As [`Index::clients`].
    pub fn writers(&self) -> io::Result<Writers> {
        Columns::unpack(&read_part(&self.file, self.writers)?)?.read()
    }
}

fn read_part(file: &File, part: Part) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; part.bytes];
    file.read_exact_at(&mut bytes, part.at)?;
    if xxh3_64(&bytes) == part.hash { Ok(bytes) } else { Err(invalid(DAMAGED)) }
}

fn blocks_of(part: &[u8]) -> io::Result<Vec<Block>> {
    let mut numbers = Numbers(part);
    let count = numbers.next_u32() as usize;
    let heads = part.get(4..).and_then(|rest| rest.split_at_checked(count.checked_mul(BLOCK_HEAD_BYTES)?));
    let (heads, mut filters) = heads.ok_or_else(cut_short)?;
    let mut at = HEAD_BYTES as u64;
    let mut blocks = Vec::with_capacity(count);
    for head in heads.chunks_exact(BLOCK_HEAD_BYTES) {
        let mut head = Numbers(head);
        let [packed, unpacked, pieces] =
            [head.next_u32(), head.next_u32(), head.next_u32()].map(|number| number as usize);
        let (filter, rest) = filters.split_at_checked(pieces.saturating_mul(32)).ok_or_else(cut_short)?;
        filters = rest;
        if unpacked > UNPACKED_BYTES {
            return Err(invalid("a block of impossible length"));
        }
        let filter = filter.chunks_exact(32).map(|piece| {
            let mut words = Numbers(piece);
            std::array::from_fn(|_| words.next_u32())
        });
        blocks.push(Block { at, packed, unpacked, filter: filter.collect() });
        at += packed as u64;
    }
    Ok(blocks)
}

/// Reads numbers one behind the other; 0 behind the end.
struct Numbers<'a>(&'a [u8]);

impl Numbers<'_> {
    fn next<const N: usize>(&mut self) -> [u8; N] {
        let (bytes, rest) = self.0.split_first_chunk().map_or(([0; N], &[][..]), |(bytes, rest)| (*bytes, rest));
        self.0 = rest;
        bytes
    }

    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(self.next())
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.next())
    }
}

fn cut_short() -> io::Error {
    invalid("it was cut short")
}
