//! The physical limit: how often a second the disk makes an appended record durable, one after the other.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::now;

/// A CloudTrail record of Encrypt and its frame.
const RECORD_BYTES: usize = 1300;

/// Appends of a record, each followed by fdatasync, a second, by one thread for `length` in a file in `folder`.
///
/// # Errors
/// Where the file cannot be written.
pub fn syncs_per_second(folder: &Path, length: Duration) -> Result<f64> {
    let path = folder.join("limit");
    let cannot = || format!("cannot write {}", path.display());
    let mut file = OpenOptions::new().append(true).create(true).open(&path).with_context(cannot)?;
    let record = vec![b'x'; RECORD_BYTES];
    let (begun, mut count) = (now(), 0_u32);
    while begun.elapsed() < length {
        file.write_all(&record).and_then(|()| file.sync_data()).with_context(cannot)?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}
