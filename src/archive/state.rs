//! What the records of a UTC day come to: a file for each day and run beside its records, so that neither a night nor a
//! report counts them again. It is of one program version and of one set of rules, and can always be made anew from the
//! records that it stands for.
//!
//! A file is a head of fixed length and then pieces, each packed by itself: one of what is known around the identities,
//! and [`PIECES`] of identities, each in the piece of its name. Days merge piece by piece, several at a time.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{Xxh3, xxh3_64};

use super::partial;
use crate::aggregate::Profiles;
use crate::mail::dictionary::with_dictionary;
use crate::tally::{MailTally, Shapes};

const MAGIC: [u8; 4] = *b"MSST";
/// Version of the file's form; that of what the pieces hold is a partial's.
const VERSION: u32 = 1;
/// Pieces of identities.
const PIECES: usize = 8;
/// Bytes of the head: magic, version, program and rules, identities, checksum, length of each piece.
const HEAD_BYTES: usize = 4 + 4 + 8 + 8 + 8 + 8 * (1 + PIECES);
/// Written once, read by every night of a week and every report.
const ZSTD_LEVEL: i32 = 3;

/// Counts of some mail.
#[derive(Debug)]
pub struct State {
    pub mail: MailTally,
    pub unclassified: Shapes,
    around: Profiles,
    pieces: Vec<Profiles>,
}

impl Default for State {
    fn default() -> Self {
        Self::of(Profiles::default(), MailTally::default(), Shapes::default())
    }
}

/// What stands in the first piece.
#[derive(Serialize, Deserialize)]
struct First<M, S, P> {
    mail: M,
    unclassified: S,
    around: P,
}

impl State {
    /// `profiles` do not merge hosts.
    pub fn of(mut profiles: Profiles, mail: MailTally, unclassified: Shapes) -> Self {
        let pieces = profiles.take_pieces(PIECES);
        Self { mail, unclassified, around: profiles, pieces }
    }

    /// All profiles in one.
    pub fn into_parts(self) -> (Profiles, MailTally, Shapes) {
        let mut profiles = self.around;
        profiles.put_pieces(self.pieces);
        (profiles, self.mail, self.unclassified)
    }

    /// How many identities.
    pub fn len(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.len() as u64).sum()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn merge(&mut self, other: Self) {
        self.mail.merge(&other.mail);
        self.unclassified.merge(other.unclassified);
        let Self { around, pieces, .. } = self;
        rayon::join(
            || around.merge(other.around),
            || {
                let pieces: Vec<_> = pieces.iter_mut().zip(other.pieces).collect();
                pieces.into_par_iter().for_each(|(piece, more)| piece.merge(more));
            },
        );
    }

    /// Adds what files hold.
    ///
    /// # Errors
    /// `InvalidData` for a file that cannot be understood, with its path: a part may be added then.
    pub fn add(&mut self, files: &[Stored]) -> Result<(), (PathBuf, io::Error)> {
        let Self { mail, unclassified, around, pieces } = self;
        let first = || {
            files.iter().try_for_each(|file| {
                let first: First<MailTally, Shapes, Profiles> = file.piece(0)?;
                mail.merge(&first.mail);
                unclassified.merge(first.unclassified);
                around.merge(first.around);
                Ok(())
            })
        };
        let of_identities = || {
            pieces.par_iter_mut().enumerate().try_for_each(|(at, piece)| {
                files.iter().try_for_each(|file| {
                    piece.merge(file.piece(1 + at)?);
                    Ok(())
                })
            })
        };
        let (first, of_identities) = rayon::join(first, of_identities);
        first.and(of_identities)
    }

    /// Writes a new file; gives its size. `rules` is the hash of the rules that answers were explained with.
    ///
    /// # Errors
    /// What writing gives.
    pub fn write(&self, path: &Path, rules: &str) -> io::Result<u64> {
        let (first, pieces) = rayon::join(
            || packed(&First { mail: &self.mail, unclassified: &self.unclassified, around: &self.around }),
            || self.pieces.par_iter().map(packed).collect::<io::Result<Vec<_>>>(),
        );
        let (first, pieces) = (first?, pieces?);
        let pieces = || std::iter::once(&first).chain(&pieces);
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.extend_from_slice(&MAGIC);
        head.extend_from_slice(&VERSION.to_le_bytes());
        head.extend_from_slice(&made_by(rules).to_le_bytes());
        head.extend_from_slice(&self.len().to_le_bytes());
        head.extend_from_slice(&checksum(pieces().map(Vec::as_slice)).to_le_bytes());
        for piece in pieces() {
            head.extend_from_slice(&(piece.len() as u64).to_le_bytes());
        }
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        let mut file = File::create(path)?;
        file.write_all(&head)?;
        pieces().try_for_each(|piece| file.write_all(piece))?;
        file.sync_all()?;
        Ok(head.len() as u64 + pieces().map(|piece| piece.len() as u64).sum::<u64>())
    }
}

/// A file as it was read, still packed.
pub struct Stored {
    path: PathBuf,
    /// How many identities it holds.
    pub identities: u64,
    pieces: Vec<Vec<u8>>,
}

impl Stored {
    fn piece<T: for<'de> Deserialize<'de>>(&self, at: usize) -> Result<T, (PathBuf, io::Error)> {
        let piece = self.pieces.get(at).map_or(&[][..], Vec::as_slice);
        let bytes = zstd::decode_all(piece);
        let thing = bytes.and_then(|bytes| {
            let read = with_dictionary(|| postcard::from_bytes(&bytes));
            read.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
        });
        thing.map_err(|error| (self.path.clone(), error))
    }
}

/// Reads a file; `None` for one that this program did not make with these rules, and for one that is damaged or gone: what
/// it stands for is in the records.
pub fn open(path: &Path, rules: &str) -> Option<Stored> {
    let mut file = File::open(path).ok()?;
    let mut head = [0; HEAD_BYTES];
    file.read_exact(&mut head).ok()?;
    let (identities, sum, lengths) = read_head(&head, rules)?;
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).ok()?;
    let mut rest = rest.as_slice();
    let mut pieces = Vec::with_capacity(lengths.len());
    for length in lengths {
        let (piece, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
        pieces.push(piece.to_vec());
        rest = after;
    }
    let is_whole = rest.is_empty() && checksum(pieces.iter().map(Vec::as_slice)) == sum;
    is_whole.then(|| Stored { path: path.to_path_buf(), identities, pieces })
}

/// True for a file that this program made with these rules, as far as its head tells.
pub fn is_current(path: &Path, rules: &str) -> bool {
    let mut head = [0; HEAD_BYTES];
    let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
    read.is_ok() && read_head(&head, rules).is_some()
}

/// Identities, checksum and lengths of the pieces.
fn read_head(head: &[u8; HEAD_BYTES], rules: &str) -> Option<(u64, u64, Vec<u64>)> {
    let (begin, rest) = head.split_first_chunk::<8>()?;
    let is_ours = begin.get(..4)? == MAGIC && begin.get(4..)? == VERSION.to_le_bytes();
    let mut numbers = rest.chunks_exact(8).filter_map(|chunk| chunk.try_into().ok().map(u64::from_le_bytes));
    let (by, identities, sum) = (numbers.next()?, numbers.next()?, numbers.next()?);
    (is_ours && by == made_by(rules)).then(|| (identities, sum, numbers.collect()))
}

/// What counts come from beside the records: the program, the form in which they are written, the rules.
fn made_by(rules: &str) -> u64 {
    xxh3_64(format!("{} {} {rules}", env!("CARGO_PKG_VERSION"), partial::VERSION).as_bytes())
}

fn checksum<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hash = Xxh3::new();
    pieces.for_each(|piece| hash.update(piece));
    hash.digest()
}

fn packed(thing: &impl Serialize) -> io::Result<Vec<u8>> {
    let bytes = with_dictionary(|| postcard::to_stdvec(thing)).map_err(io::Error::other)?;
    zstd::bulk::compress(&bytes, ZSTD_LEVEL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_what_was_counted_and_is_of_its_rules() {
        let directory = std::env::temp_dir().join(format!("mailsleuth-state-{}", std::process::id()));
        let path = directory.join("g000001.state");
        let mut state = State { mail: MailTally { messages: 7, ..MailTally::default() }, ..State::default() };
        state.unclassified.add(b"550 nobody knows why", 3);
        state.write(&path, "these").unwrap();
        assert!(is_current(&path, "these") && !is_current(&path, "others") && open(&path, "others").is_none());
        let file = [open(&path, "these").unwrap()];
        let mut twice = State::default();
        twice.add(&file).unwrap();
        twice.add(&file).unwrap();
        assert_eq!((twice.mail.messages, twice.unclassified.total()), (14, 6));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            fs::write(&path, &whole[..at]).unwrap();
            assert!(open(&path, "these").is_none(), "cut at {at}");
        }
        fs::remove_dir_all(directory).unwrap();
    }
}
