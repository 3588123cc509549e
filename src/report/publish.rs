//! Files that appear whole or not at all: written aside, then renamed.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// How directories aside are called, before the number of the process that writes there.
const ASIDE: &str = ".writing-";

/// A directory beside the reports in which they are written until all are whole. It is gone when it is dropped.
pub struct Aside {
    out: PathBuf,
    aside: PathBuf,
    /// The report directory was made by this run.
    made_out: bool,
}

impl Aside {
    /// Makes the report directory where there is none, and the one aside in it.
    ///
    /// # Errors
    /// [`Error::Output`] when either cannot be made.
    pub fn new(out: &Path) -> Result<Self> {
        let made_out = !out.exists();
        if !made_out && !out.is_dir() {
            return Err(failed(out, &io::Error::other("it is no directory; give --out another name")));
        }
        let aside = Self::path_in(out);
        // What a killed run of the same number left is no part of this one.
        _ = fs::remove_dir_all(&aside);
        sweep(out);
        fs::create_dir_all(out).and_then(|()| fs::create_dir(&aside)).map_err(|error| failed(out, &error))?;
        Ok(Self { out: out.to_path_buf(), aside, made_out })
    }

    /// Where this process writes aside in a report directory.
    pub fn path_in(out: &Path) -> PathBuf {
        out.join(format!("{ASIDE}{}", std::process::id()))
    }

    pub fn path(&self) -> &Path {
        &self.aside
    }

    /// The error for a file that could not be written here; it names the file as the user knows it.
    pub fn failed(&self, file: &str, error: &io::Error) -> Error {
        failed(&self.out.join(file), error)
    }

    /// Renames every file written aside into the report directory. Files of an earlier run that this one did not write
    /// again are taken away, when they are among `ours`: a directory holds the reports of one run.
    ///
    /// # Errors
    /// [`Error::Output`] for the first file that cannot be renamed.
    pub fn publish(self, ours: &[String]) -> Result<Vec<PathBuf>> {
        let mut names: Vec<_> = fs::read_dir(&self.aside)
            .and_then(|entries| entries.map(|e| e.map(|e| e.file_name())).collect::<io::Result<_>>())
            .map_err(|error| failed(&self.aside, &error))?;
        names.sort();
        if let Some(taken) = names.iter().map(|name| self.out.join(name)).find(|to| to.is_dir()) {
            return Err(failed(&taken, &io::Error::from(io::ErrorKind::IsADirectory)));
        }
        let mut published = Vec::new();
        for name in names {
            let to = self.out.join(&name);
            fs::rename(self.aside.join(&name), &to).map_err(|error| failed(&to, &error))?;
            published.push(to);
        }
        for name in ours {
            let old = self.out.join(name);
            if !published.contains(&old) && old.is_file() {
                fs::remove_file(&old).map_err(|error| failed(&old, &error))?;
            }
        }
        Ok(published)
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // Nothing is left to do for what cannot be removed; the next run writes beside it.
        _ = fs::remove_dir_all(&self.aside);
        if self.made_out {
            _ = fs::remove_dir(&self.out);
        }
    }
}

/// Takes away what killed runs left aside in a report directory: what is this user's, of processes that are gone.
fn sweep(out: &Path) {
    let (Ok(own), Ok(entries)) = (fs::metadata("/proc/self"), fs::read_dir(out)) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(ASIDE)).and_then(|end| end.parse::<u32>().ok());
        let is_gone = number.is_some_and(|number| !Path::new("/proc").join(number.to_string()).exists());
        let is_own = || entry.metadata().is_ok_and(|entry| entry.is_dir() && entry.uid() == own.uid());
        if is_gone && is_own() {
            // What cannot be removed is no part of the reports.
            _ = fs::remove_dir_all(entry.path());
        }
    }
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::Output { path: path.to_path_buf(), problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_run_left_is_taken_away() {
        let out = std::env::temp_dir().join(format!("mailsleuth-aside-{}", std::process::id()));
        // No process has so high a number (proc(5), pid_max); the first is always there.
        let (gone, alive) = (out.join(".writing-4294967294"), out.join(".writing-1"));
        for path in [&gone, &alive, &out.join(".writing-x")] {
            fs::create_dir_all(path.join("part")).unwrap();
        }
        let aside = Aside::new(&out).unwrap();
        assert!(!gone.exists() && alive.exists() && out.join(".writing-x").exists() && aside.path().exists());
        fs::remove_dir_all(&out).unwrap();
    }
}
