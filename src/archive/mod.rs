//! What one run of `nightly` leaves for the next, and for `report`: a directory of files, and a manifest that names those
//! that count. Nothing is judged or formatted here.
//!
//! ```text
//! manifest.json                                   which files count, what was read, what was told
//! records/date=2026-11-21/g000012.records         messages, refusals, failed logins: what tables are made from
//! states/date=2026-11-21/g000012.state            what these records come to, so that they are not counted again
//! events/date=2026-11-21/host=mx1/g000012.parquet the events table, for other programs
//! history/date=2026-11-21/g000012.parquet         what each identity did on a day
//! carry/g000012.carry                             what was open at the end of a run
//! runs/g000012.run                                what a run read
//! ```
//!
//! A run writes its files aside, renames them into their places, and replaces the manifest last: until then they are not
//! part of the archive, and the next run takes them away.

pub mod columns;
pub mod index;
pub mod lock;
pub mod manifest;
pub mod partial;
pub mod record;
pub mod state;
pub mod texts;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::lock::Lock;
use self::manifest::{FileEntry, Manifest};
use crate::error::{Error, Result};

const MANIFEST: &str = "manifest.json";
/// Where a run writes before its files count.
const ASIDE: &str = ".writing";
/// Directories whose files the manifest names.
const PARTS: &[&str] = &["records", "states", "events", "history", "carry", "runs"];
/// Compression of what is written once and read often.
const ZSTD_LEVEL: i32 = 3;

/// The archive in its directory.
pub struct Archive {
    directory: PathBuf,
    pub manifest: Manifest,
    _lock: Option<Lock>,
}

impl Archive {
    /// Opens the archive to add to it, or begins one. What an interrupted run left is taken away.
    ///
    /// # Errors
    /// [`Error::Locked`] while another run has it; [`Error::Archive`] where it cannot be read, is of another version, or has
    /// lost its manifest; [`Error::Usage`] for root in another user's archive.
    pub fn open(directory: &Path) -> Result<Self> {
        // It tells who wrote to whom.
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o750)
            .create(directory)
            .map_err(|error| failed(directory, &error))?;
        refuse_foreign(directory)?;
        let lock = Lock::take(directory)?;
        let manifest = read_manifest(directory)?;
        let archive = Self {
            directory: directory.to_path_buf(),
            manifest: manifest.clone().unwrap_or_default(),
            _lock: Some(lock),
        };
        if manifest.is_none() {
            archive.refuse_headless()?;
        }
        archive.repair().map_err(|error| failed(directory, &error))?;
        Ok(archive)
    }

    /// Opens the archive to read it, while a run may add to it; `None` where there is none.
    ///
    /// # Errors
    /// [`Error::Archive`] where it cannot be read or is of another version.
    pub fn read(directory: &Path) -> Result<Option<Self>> {
        let manifest = read_manifest(directory)?;
        Ok(manifest.map(|manifest| Self { directory: directory.to_path_buf(), manifest, _lock: None }))
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }

    pub fn path(&self, file: &FileEntry) -> PathBuf {
        self.directory.join(&file.path)
    }

    /// The error for a file of the archive that cannot be read any more.
    pub fn damaged(&self, path: &Path, error: &io::Error) -> Error {
        Error::Archive {
            path: path.to_path_buf(),
            problem: format!(
                "{error}; the file is damaged or gone: put it back from a backup, or move {} away and let `nightly` read the logs anew",
                self.directory.display()
            ),
        }
    }

    /// The error for something that went wrong with a file of the archive.
    pub fn failed(&self, path: &Path, error: &io::Error) -> Error {
        failed(path, error)
    }

    /// An empty directory for what a run writes.
    ///
    /// # Errors
    /// [`Error::Archive`] where it cannot be made.
    pub fn aside(&self) -> Result<PathBuf> {
        let aside = self.directory.join(ASIDE);
        let made = match fs::remove_dir_all(&aside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir(&aside),
        };
        made.map_err(|error| failed(&aside, &error))?;
        Ok(aside)
    }

    /// Makes the files written aside, and `manifest`, the archive. An error leaves it as it was.
    ///
    /// # Errors
    /// [`Error::Archive`] for what cannot be written.
    pub fn commit(&mut self, manifest: Manifest) -> Result<()> {
        let aside = self.directory.join(ASIDE);
        // Files of ours without a manifest would be an archive that lost it.
        let begun = match self.directory.join(MANIFEST).exists() {
            true => Ok(()),
            false => self.write_manifest(&self.manifest),
        };
        let moved = begun.and_then(|()| self.publish(&aside)).and_then(|()| self.write_manifest(&manifest));
        if let Err(error) = moved {
            // The error is what matters; what cannot be taken away now, the next run will.
            _ = self.repair();
            return Err(failed(&self.directory, &error));
        }
        self.manifest = manifest;
        self.repair().map_err(|error| failed(&self.directory, &error))
    }

    /// Replaces the manifest alone.
    ///
    /// # Errors
    /// [`Error::Archive`] where it cannot be written.
    pub fn commit_manifest(&mut self, manifest: Manifest) -> Result<()> {
        self.write_manifest(&manifest).map_err(|error| failed(&self.directory, &error))?;
        self.manifest = manifest;
        Ok(())
    }

    /// Takes away what a run wrote that failed.
    pub fn give_up(&self) {
        // The next run does it again.
        _ = self.repair();
    }

    fn write_manifest(&self, manifest: &Manifest) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(manifest).map_err(io::Error::other)?;
        text.push(b'\n');
        replace(&self.directory.join(MANIFEST), &text)
    }

    /// Renames every file from aside into its place.
    fn publish(&self, aside: &Path) -> io::Result<()> {
        let mut directories = BTreeSet::new();
        for file in files_below(aside)? {
            let Ok(relative) = file.strip_prefix(aside) else { continue };
            let to = self.directory.join(relative);
            let Some(parent) = to.parent() else { continue };
            fs::create_dir_all(parent)?;
            fs::rename(&file, &to)?;
            directories
                .extend(parent.ancestors().take_while(|d| d.starts_with(&self.directory)).map(Path::to_path_buf));
        }
        directories.iter().try_for_each(|directory| sync_directory(directory))
    }

    /// An archive whose manifest is gone is not begun anew: that would take away all that is in it.
    fn refuse_headless(&self) -> Result<()> {
        let has_ours = |part: &str| {
            files_below(&self.directory.join(part)).is_ok_and(|files| files.iter().any(|file| is_ours(file)))
        };
        match PARTS.iter().find(|part| has_ours(part)) {
            None => Ok(()),
            Some(part) => Err(Error::Archive {
                path: self.directory.join(MANIFEST),
                problem: format!(
                    "is gone, but {part}/ holds files of an archive: put it back from a backup, or give another --state"
                ),
            }),
        }
    }

    /// Removes every file of an archive that the manifest does not name; other programs' files stay.
    fn repair(&self) -> io::Result<()> {
        let named: BTreeSet<PathBuf> = self.manifest.files().map(|file| self.path(file)).collect();
        for part in PARTS {
            for file in files_below(&self.directory.join(part))? {
                if !named.contains(&file) && is_ours(&file) {
                    fs::remove_file(&file)?;
                    let mut parents = file.ancestors().skip(1).take_while(|d| *d != self.directory);
                    // A directory that is not empty stays.
                    while parents.next().is_some_and(|parent| fs::remove_dir(parent).is_ok()) {}
                }
            }
        }
        match fs::remove_dir_all(self.directory.join(ASIDE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }
}

/// True for a name that files of an archive have: `g000012-1.parquet`.
fn is_ours(file: &Path) -> bool {
    let name = file.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
    let Some((number, end)) = name.strip_prefix('g').and_then(|rest| rest.split_once('.')) else { return false };
    let (number, part) = number.split_once('-').unwrap_or((number, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number.len() >= 6
        && is_number(number)
        && is_number(part)
        && matches!(end, "records" | "state" | "parquet" | "open.parquet" | "carry" | "run")
}

/// What root writes into another user's archive, that user could not replace.
fn refuse_foreign(directory: &Path) -> Result<()> {
    let (Ok(directory_is), Ok(process)) = (fs::metadata(directory), fs::metadata("/proc/self")) else { return Ok(()) };
    let owner = directory_is.uid();
    if process.uid() != 0 || owner == 0 {
        return Ok(());
    }
    Err(Error::Usage(format!(
        "{} belongs to the user with id {owner}: run this as that user, `sudo -u '#{owner}' mailsleuth ...`",
        directory.display()
    )))
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::Archive { path: path.to_path_buf(), problem: error.to_string() }
}

fn read_manifest(directory: &Path) -> Result<Option<Manifest>> {
    let path = directory.join(MANIFEST);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(&path, &error)),
    };
    let wrong = |problem: String| Error::Archive { path: path.clone(), problem };
    let version: manifest::Version = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    if !(manifest::OLDEST..=manifest::VERSION).contains(&version.version) {
        return Err(wrong(format!(
            "the archive is of version {}, this program reads versions {} to {}; use the program that wrote it, or another --state",
            version.version,
            manifest::OLDEST,
            manifest::VERSION
        )));
    }
    let manifest = serde_json::from_slice(&text).map_err(|error| wrong(error.to_string()))?;
    Ok(Some(Manifest { version: manifest::VERSION, ..manifest }))
}

/// All files below a directory, in the order of their names; none where it is not there.
fn files_below(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(directory) = waiting.pop() {
        let entries = match fs::read_dir(&directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let into = if entry.file_type()?.is_dir() { &mut waiting } else { &mut found };
            into.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Replaces a file: written aside, brought to the disk, renamed.
///
/// # Errors
/// What any of it gives; the old file is as it was.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    let aside = path.with_file_name(name);
    let written = File::create(&aside).and_then(|mut file| {
        file.write_all(text)?;
        file.sync_all()
    });
    if let Err(error) = written.and_then(|()| fs::rename(&aside, path)) {
        // What is left of it is overwritten the next time.
        _ = fs::remove_file(&aside);
        return Err(error);
    }
    path.parent().filter(|p| !p.as_os_str().is_empty()).map_or(Ok(()), sync_directory)
}

fn invalid(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.to_string())
}

fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// Packs what is written into it, with a checksum over all of it.
fn packer<W: Write>(into: W, level: i32) -> io::Result<zstd::Encoder<'static, W>> {
    let mut packer = zstd::Encoder::new(into, level)?;
    packer.include_checksum(true)?;
    Ok(packer)
}

/// Writes one thing, packed, into a new file; gives its size.
///
/// # Errors
/// What writing gives.
pub fn store(path: &Path, thing: &impl Serialize) -> io::Result<u64> {
    let bytes = postcard::to_stdvec(thing).map_err(io::Error::other)?;
    let mut packed = packer(Vec::new(), ZSTD_LEVEL)?;
    packed.write_all(&bytes)?;
    let packed = packed.finish()?;
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = File::create(path)?;
    file.write_all(&packed)?;
    file.sync_all()?;
    Ok(packed.len() as u64)
}

/// Reads what [`store`] wrote.
///
/// # Errors
/// What reading gives; `InvalidData` for what is not of this form.
pub fn restore<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    restore_with(path, |bytes| {
        postcard::from_bytes(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    })
}

/// The same for what borrows from the bytes while it is read.
///
/// # Errors
/// As [`restore`].
pub fn restore_with<T>(path: &Path, read: impl FnOnce(&[u8]) -> io::Result<T>) -> io::Result<T> {
    read(&zstd::decode_all(File::open(path)?)?)
}
