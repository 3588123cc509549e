//! One run at a time in a state directory.

use std::fs::{File, OpenOptions};
use std::path::Path;

use fs4::{FileExt, TryLockError};

use crate::error::{Error, Result};

/// Holds the directory until it is dropped, or the process ends in whatever way.
pub struct Lock(#[expect(dead_code, reason = "the open file is the lock")] File);

impl Lock {
    /// # Errors
    /// [`Error::Locked`] where another run holds it; [`Error::Archive`] where there can be no lock.
    pub fn take(directory: &Path) -> Result<Self> {
        let path = directory.join("lock");
        let failed = |error: std::io::Error| Error::Archive { path: path.clone(), problem: error.to_string() };
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(failed)?;
        match FileExt::try_lock(&file) {
            Ok(()) => Ok(Self(file)),
            Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.clone() }),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}
