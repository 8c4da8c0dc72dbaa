//! Files that are whole or not there, and that only their owner reads.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// Options for a file that only its owner may read.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

/// Makes a folder that only its owner may enter; fails where it is already there.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Makes the folder and those above it, as far as they are missing.
pub(crate) fn make_folders(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(path)
}

/// Publishes a file of this content under a name that nobody has taken, durably.
///
/// *Guarantees*: afterwards the file is there, whole, and survives a crash of the machine; of two who publish the same name one
/// gets `AlreadyExists`, and the other's file stays as it is. Nobody ever sees half a file.
/// *Caveats*: a crash may leave a hidden file behind, which nothing reads.
pub(crate) fn publish_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    publish(path, bytes, |hidden, path| fs::hard_link(hidden, path))
}

/// As [`publish_new`], but takes the place of a file that is already there.
pub(crate) fn publish_over(path: &Path, bytes: &[u8]) -> io::Result<()> {
    publish(path, bytes, |hidden, path| fs::rename(hidden, path))
}

fn publish(path: &Path, bytes: &[u8], place: impl Fn(&Path, &Path) -> io::Result<()>) -> io::Result<()> {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let hidden = folder.join(format!(".{}-{count}.tmp", std::process::id()));
    let placed = (|| {
        // A process that had our id may have left one behind.
        let mut file = private().write(true).create(true).truncate(true).open(&hidden)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        place(&hidden, path)
    })();
    // After a rename it is gone already; after a link it is a second name.
    let _ = fs::remove_file(&hidden);
    placed?;
    sync_folder(folder)
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Reads a file of at most `most` bytes.
pub(crate) fn read_bounded(path: &Path, most: usize) -> io::Result<Vec<u8>> {
    use io::Read;
    let mut bytes = Vec::new();
    File::open(path)?.take(most as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > most {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it has more than {most} bytes")));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_second_to_publish_a_name_is_told_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000001.json");
        publish_new(&path, b"first").unwrap();
        assert_eq!(publish_new(&path, b"second").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read_bounded(&path, 5).unwrap(), b"first");
        assert!(read_bounded(&path, 4).is_err());
        publish_over(&path, b"third").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
