//! `--memory-limit`: a run stops by itself before the machine is short of memory.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{Error, Result};

/// Watches how much memory this process has.
#[derive(Debug, Default)]
pub struct MemoryLimit {
    /// Bytes; without it nothing is watched.
    limit: Option<u64>,
    /// What was found to be more than that; 0 until it is.
    over: AtomicU64,
}

impl MemoryLimit {
    /// # Errors
    /// [`Error::Usage`] where the system does not tell it, and for a limit that the program alone is above.
    pub fn new(limit: Option<u64>) -> Result<Self> {
        let Some(bytes) = limit else { return Ok(Self::default()) };
        match resident_bytes() {
            None => Err(Error::Usage("--memory-limit: this system does not tell how much memory is in use".into())),
            Some(now) if now >= bytes => Err(Error::Usage(format!(
                "--memory-limit {}: the program alone takes {}",
                mebibytes(bytes),
                mebibytes(now)
            ))),
            Some(_) => Ok(Self { limit, over: AtomicU64::new(0) }),
        }
    }

    /// True once more is in use than allowed. Costs a system call: for each batch, not for each line.
    pub fn is_exceeded(&self) -> bool {
        let Some(limit) = self.limit else { return false };
        if let Some(now) = resident_bytes().filter(|now| *now > limit) {
            self.over.fetch_max(now, Ordering::Relaxed);
        }
        self.over.load(Ordering::Relaxed) > 0
    }

    /// # Errors
    /// [`Error::Memory`] once more is in use than allowed.
    pub fn check(&self) -> Result<()> {
        match (self.is_exceeded(), self.limit) {
            (true, Some(limit)) => {
                Err(Error::Memory { used: mebibytes(self.over.load(Ordering::Relaxed)), limit: mebibytes(limit) })
            }
            _ => Ok(()),
        }
    }
}

fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// This process's resident set (proc_pid_status(5), `VmRSS`).
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}
