//! How records stand in a segment: bytes in, bytes out.
//!
//! A segment starts with a header and goes on in frames. All numbers are little-endian.
//!
//! ```text
//! header  "QUAUDIT1"  u64 store sequence reached before this segment  u32 crc of the 16 bytes before  u32 zero
//! frame   u32 length  u32 crc of length, source and record  u64 source  record
//! ```
//!
//! `source` is the sequence that the record had in the store's queue, or 0. A frame of length 0 is a *mark*: it stands
//! before each group that was written at once, and its `source` is its own offset. A group is written only after the one
//! before it is durable, so a mark proves that everything before it was, and a fault before a mark is damage, never a torn
//! write.

use libdeflater::Crc;
use std::ops::Range;

/// Bytes of the header of a segment.
pub(super) const HEADER_BYTES: usize = 24;
/// Bytes before the record of a frame; all of a mark.
pub(super) const FRAME_BYTES: usize = 16;
/// Largest record; CloudTrail's own limit for an event is 256 KB.
pub(super) const RECORD_BYTES: usize = 1 << 20;

/// The last character is the version of the format.
const MAGIC: [u8; 8] = *b"QUAUDIT1";

/// The header of a segment that begins after store sequence `base`.
pub(super) fn header(base: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..16].copy_from_slice(&base.to_le_bytes());
    let crc = libdeflater::crc32(&header[..16]);
    header[16..20].copy_from_slice(&crc.to_le_bytes());
    header
}

/// The base in a header; `None` where it is no header of ours.
pub(super) fn base(bytes: &[u8]) -> Option<u64> {
    let given: &[u8; HEADER_BYTES] = bytes.first_chunk()?;
    let base = u64_at(given, 8);
    (*given == header(base)).then_some(base)
}

/// What stands before `record` in its frame.
pub(super) fn head(source: u64, record: &[u8]) -> [u8; FRAME_BYTES] {
    let length = u32::try_from(record.len()).expect("a record is at most 1 MiB");
    let mut head = [0; FRAME_BYTES];
    head[..4].copy_from_slice(&length.to_le_bytes());
    head[8..].copy_from_slice(&source.to_le_bytes());
    let crc = checksum(&head, record);
    head[4..8].copy_from_slice(&crc.to_le_bytes());
    head
}

/// The mark of a group that is written at `offset`.
pub(super) fn mark(offset: u64) -> [u8; FRAME_BYTES] {
    head(offset, &[])
}

fn checksum(head: &[u8; FRAME_BYTES], record: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(&head[..4]);
    crc.update(&head[8..]);
    crc.update(record);
    crc.sum()
}

/// A frame as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    /// The sequence in the store's queue, or 0; of a mark, its offset.
    pub(super) source: u64,
    /// Where the record's bytes are; empty for a mark.
    pub(super) record: Range<usize>,
}

/// The whole, undamaged frame at `offset` of `bytes`, which begin at `origin` of their segment; `None` where there is none.
pub(super) fn frame(bytes: &[u8], offset: usize, origin: u64) -> Option<Frame> {
    let head: &[u8; FRAME_BYTES] = bytes.get(offset..)?.first_chunk()?;
    let length = usize::try_from(u32_at(head, 0)).ok()?;
    let start = offset + FRAME_BYTES;
    if length > RECORD_BYTES || length > bytes.len() - start {
        return None;
    }
    let (source, record) = (u64_at(head, 8), start..start + length);
    let misplaced = length == 0 && source != origin + offset as u64;
    (!misplaced && checksum(head, &bytes[record.clone()]) == u32_at(head, 4)).then_some(Frame { source, record })
}

/// Whether a mark stands anywhere at or after `offset` of a whole segment.
pub(super) fn has_mark_after(bytes: &[u8], offset: usize) -> bool {
    // Every mark begins with its length, which is zero.
    (offset..bytes.len()).any(|at| bytes[at..].starts_with(&[0; 4]) && bytes[at..].starts_with(&mark(at as u64)))
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(base(&header(7)), Some(7));
        let bytes = [&head(3, b"{}")[..], b"{}", &mark(18)].concat();
        assert_eq!(frame(&bytes, 0, 0), Some(Frame { source: 3, record: 16..18 }));
        assert_eq!(frame(&bytes, 18, 0), Some(Frame { source: 18, record: 34..34 }));
        assert_eq!(frame(&bytes, 34, 0), None);
        assert_eq!(frame(&bytes[18..], 0, 18), Some(Frame { source: 18, record: 16..16 }));
        assert!(has_mark_after(&bytes, 0));
    }

    #[test]
    fn every_flipped_bit_is_seen() {
        let bytes = [&head(3, b"{}")[..], b"{}"].concat();
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(frame(&flipped, 0, 0), None, "bit {bit}");
        }
        for bit in 0..HEADER_BYTES * 8 {
            let mut flipped = header(3);
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(base(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_mark_elsewhere_is_no_mark() {
        let bytes = [&[0; 5][..], &mark(0)].concat();
        assert!(!has_mark_after(&bytes, 0));
    }
}
