//! What the index holds of one sealed file, and how that stands on disk.
//!
//! An index file starts with a header and goes on in rows. All numbers are little-endian.
//!
//! ```text
//! header  "QULOOK01"
//! row     u32 length of what follows the checksum  u32 crc of that
//!         i64 seconds and i32 nanoseconds of the earliest event, the same of the latest  u16 length of the name  name  u32 mark…
//! ```
//!
//! Marks are those of [`trail::marks`], ascending.

use api::Timestamp;

/// The last two characters are the version: of the rows, and of what a mark is.
pub(super) const HEADER: [u8; 8] = *b"QULOOK01";
/// Bytes before what the checksum covers.
pub(super) const FRAME_BYTES: usize = 8;
/// Largest row that is read: the marks of more than ten million values.
pub(super) const ROW_BYTES: usize = 64 << 20;

/// What is known of a sealed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Row<'a> {
    /// The file's name, without its folder.
    pub(super) name: &'a str,
    /// The time of the earliest event.
    pub(super) since: Timestamp,
    /// The time of the latest event.
    pub(super) until: Timestamp,
    /// The marks of all its records, as they are written down.
    pub(super) marks: &'a [u8],
}

impl<'a> Row<'a> {
    /// The row with its frame; `None` where it is too large to be read again.
    pub(super) fn to_bytes(self) -> Option<Vec<u8>> {
        let mut bytes = vec![0; FRAME_BYTES];
        for time in [self.since, self.until] {
            bytes.extend_from_slice(&time.as_second().to_le_bytes());
            bytes.extend_from_slice(&time.subsec_nanosecond().to_le_bytes());
        }
        bytes.extend_from_slice(&u16::try_from(self.name.len()).ok()?.to_le_bytes());
        bytes.extend_from_slice(self.name.as_bytes());
        bytes.extend_from_slice(self.marks);
        if bytes.len() > ROW_BYTES {
            return None;
        }
        let (frame, content) = bytes.split_at_mut(FRAME_BYTES);
        frame[..4].copy_from_slice(&u32::try_from(content.len()).ok()?.to_le_bytes());
        frame[4..].copy_from_slice(&libdeflater::crc32(content).to_le_bytes());
        Some(bytes)
    }

    /// The row that `bytes` begin with, and how long it is with its frame; `None` where that is damaged or cut off.
    pub(super) fn read(bytes: &'a [u8]) -> Option<(Row<'a>, usize)> {
        let (length, rest) = number::<4>(bytes)?;
        let (checksum, rest) = number::<4>(rest)?;
        let length = usize::try_from(u32::from_le_bytes(length)).ok()?;
        let content = rest.get(..length)?;
        if libdeflater::crc32(content) != u32::from_le_bytes(checksum) {
            return None;
        }
        let (since, rest) = time(content)?;
        let (until, rest) = time(rest)?;
        let (name_bytes, rest) = number::<2>(rest)?;
        let (name, marks) = rest.split_at_checked(usize::from(u16::from_le_bytes(name_bytes)))?;
        Some((Row { name: std::str::from_utf8(name).ok()?, since, until, marks }, FRAME_BYTES + length))
    }
}

/// The length with its frame that a row says it has, of at least [`FRAME_BYTES`] bytes; `None` where no row is so long.
pub(super) fn length(frame: &[u8]) -> Option<usize> {
    let (length, _) = number::<4>(frame)?;
    let length = FRAME_BYTES + usize::try_from(u32::from_le_bytes(length)).ok()?;
    (length <= ROW_BYTES).then_some(length)
}

fn time(bytes: &[u8]) -> Option<(Timestamp, &[u8])> {
    let (seconds, rest) = number::<8>(bytes)?;
    let (nanoseconds, rest) = number::<4>(rest)?;
    Some((Timestamp::new(i64::from_le_bytes(seconds), i32::from_le_bytes(nanoseconds)).ok()?, rest))
}

fn number<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<N>()?;
    Some((*number, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row<'static> {
        let since = "1969-12-31T23:59:59.5Z".parse().unwrap();
        Row { name: "a.json.gz", since, until: "2026-06-20T12:00:00.123456789Z".parse().unwrap(), marks: &[1, 0, 0, 0] }
    }

    #[test]
    fn a_row_comes_back_as_it_was() {
        let bytes = [row().to_bytes().unwrap(), b"behind".to_vec()].concat();
        assert_eq!(Row::read(&bytes), Some((row(), bytes.len() - 6)));
        assert_eq!(length(&bytes), Some(bytes.len() - 6));
    }

    #[test]
    fn every_damage_is_seen() {
        let bytes = row().to_bytes().unwrap();
        for end in 0..bytes.len() {
            assert_eq!(Row::read(&bytes[..end]), None);
        }
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert_eq!(Row::read(&damaged), None, "byte {at}");
        }
    }

    #[test]
    fn the_form_on_disk_stays() {
        let row =
            Row { name: "n", since: Timestamp::UNIX_EPOCH, until: Timestamp::new(1, 2).unwrap(), marks: &[9, 8, 7, 6] };
        let content = [&[0; 12][..], &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0], &[1, 0], b"n", &[9, 8, 7, 6]].concat();
        let bytes = [&[31, 0, 0, 0][..], &libdeflater::crc32(&content).to_le_bytes(), &content].concat();
        assert_eq!(row.to_bytes().unwrap(), bytes, "another form needs another version in the header");
    }
}
