//! `manifest.json`: which bytes a story was read from and which files were written, so that both can be checked again.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The file's name.
pub const FILE: &str = "manifest.json";
const READ_BYTES: usize = 1 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    pub program: String,
    pub version: String,
    pub schema_version: u32,
    /// Behind the program's name, as they were given.
    pub arguments: Vec<String>,
    pub target: String,
    pub timezone: String,
    pub privacy: String,
    /// SHA-256 of all rules in force.
    pub rules_sha256: String,
    pub inputs: Vec<Input>,
    pub outputs: Vec<Output>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Input {
    /// As rows of the exports name it.
    pub source: String,
    /// Where it lay; `None` for standard input, and where it is not to be told.
    pub path: Option<String>,
    /// Bytes of the file that were read, packed as it lay there.
    pub bytes: Option<u64>,
    /// Of these bytes.
    pub sha256: Option<String>,
    pub lines: Option<u64>,
    pub first: Option<String>,
    pub last: Option<String>,
    /// Left out because the time that is looked at is elsewhere; `None` for one that was read.
    pub skipped: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Output {
    pub file: String,
    pub bytes: u64,
    pub sha256: String,
}

impl Manifest {
    /// The file's text.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// SHA-256 of the first `bytes` of a file, in hexadecimal digits, and how many there were.
///
/// # Errors
/// What opening or reading gives.
pub fn hashed(path: &Path, bytes: u64) -> io::Result<(String, u64)> {
    let mut file = File::open(path)?.take(bytes);
    let mut hash = Sha256::new();
    let mut piece = vec![0; READ_BYTES];
    let mut all = 0;
    loop {
        let read = file.read(&mut piece)?;
        if read == 0 {
            break;
        }
        all += read as u64;
        hash.update(piece.get(..read).unwrap_or_default());
    }
    Ok((hex(&hash.finalize()), all))
}

/// SHA-256 of some texts, in hexadecimal digits.
pub fn hashed_texts<'a>(texts: impl Iterator<Item = &'a str>) -> String {
    let mut hash = Sha256::new();
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hex(&hash.finalize())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What checking a manifest came to.
#[derive(Debug, Default)]
pub struct Checked {
    /// What no longer holds, a sentence each.
    pub wrong: Vec<String>,
    /// What nobody can check.
    pub unknown: Vec<String>,
    pub files: usize,
}

/// Checks what a manifest says of the files beside it and of what was read.
pub fn check(manifest: &Manifest, directory: &Path) -> Checked {
    let mut checked = Checked::default();
    for output in &manifest.outputs {
        checked.files += 1;
        let is_plain = Path::new(&output.file).components().count() == 1 && !output.file.starts_with('.');
        if !is_plain {
            checked.wrong.push(format!("{}: a name that no export has", output.file));
            continue;
        }
        let path = directory.join(&output.file);
        match hashed(&path, u64::MAX) {
            Ok((sha256, _)) if sha256 == output.sha256 => {}
            Ok((_, bytes)) => checked.wrong.push(format!(
                "{}: changed since it was written ({bytes} bytes, then {})",
                path.display(),
                output.bytes
            )),
            Err(error) => checked.wrong.push(format!("{}: {error}", path.display())),
        }
    }
    for input in &manifest.inputs {
        let (Some(path), Some(bytes), Some(sha256)) = (&input.path, input.bytes, &input.sha256) else {
            if input.skipped.is_none() {
                let what = "standard input, or hidden by --privacy: the manifest has no path or hash of it";
                checked.unknown.push(format!("{}: {what}", input.source));
            }
            continue;
        };
        checked.files += 1;
        match hashed(Path::new(path), bytes) {
            Ok((found, _)) if found == *sha256 => {}
            Ok((_, found)) if found < bytes => {
                checked.wrong.push(format!("{path}: shorter than what was read ({found} bytes, then {bytes})"))
            }
            Ok(_) => checked
                .wrong
                .push(format!("{path}: changed since it was read (rotated, or another file of that name?)")),
            Err(error) => checked.wrong.push(format!("{path}: {error}")),
        }
    }
    checked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_sha256sum() {
        let path = std::env::temp_dir().join(format!("mailsleuth-hash-{}", std::process::id()));
        std::fs::write(&path, "abc and more").unwrap();
        let (sha256, bytes) = hashed(&path, 3).unwrap();
        // FIPS 180-2, appendix B.1.
        assert_eq!((sha256.as_str(), bytes), ("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", 3));
        std::fs::remove_file(&path).unwrap();
    }
}
