//! Whole-file inflate of gzip into a buffer that is used again for the next file.
//!
//! libdeflate is the fastest inflater there is, but it wants the whole output at once and does not tell how much of the input a
//! gzip member took. So the output grows up to a cap, and the end of a member is found by its trailer.

use libdeflater::{DecompressionError, Decompressor};
use memchr::memmem;
use serde::{Deserialize, Serialize};

/// The first bytes of every gzip member. Source: RFC 1952, 2.3.1 (the third is the only method there is, deflate).
const MAGIC: [u8; 3] = [0x1f, 0x8b, 8];

/// A header without optional fields, and the checksum and length behind the deflated data. Source: RFC 1952, 2.3.
const HEADER_BYTES: usize = 10;
const TRAILER_BYTES: usize = 8;

/// Deflate cannot expand more than this (a zlib technical note, "maximum compression factor" 1032:1).
const MOST_EXPANSION: usize = 1032;

/// The buffer grows in steps of at least this.
const LEAST_BUFFER_BYTES: usize = 64 * 1024;

/// Why a file could not be inflated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Error {
    /// It is damaged or cut off.
    #[error("damaged or cut off gzip data in member {member}")]
    Damaged {
        /// Which member, from 1.
        member: usize,
    },
    /// It inflates to more than is allowed.
    #[error("inflates to more than {cap} bytes")]
    TooLarge {
        /// What is allowed.
        cap: usize,
    },
    /// Something that is not gzip stands behind its last member.
    #[error("{bytes} bytes behind the gzip data are not gzip")]
    Trailing {
        /// How much stands there.
        bytes: usize,
    },
}

/// Whether these bytes begin like gzip.
pub fn is_gzip(bytes: &[u8]) -> bool {
    bytes.starts_with(&MAGIC)
}

/// An inflater and its buffer, which stays as large as the largest file so far.
pub struct Inflater {
    decompressor: Decompressor,
    buffer: Vec<u8>,
}

impl Default for Inflater {
    fn default() -> Inflater {
        Inflater { decompressor: Decompressor::new(), buffer: Vec::new() }
    }
}

/// What came out of a file.
pub struct Inflated<'b> {
    text: &'b [u8],
    /// What the text's checksum is to be, where nobody has compared it yet.
    checksum: Option<u32>,
    result: Result<(), Error>,
}

impl<'b> Inflated<'b> {
    /// The text if nothing was wrong so far, and the checksum that it is still to have. For those who go through it anyway.
    pub(crate) fn unverified(&self) -> Option<(&'b [u8], Option<u32>)> {
        self.result.ok().map(|()| (self.text, self.checksum))
    }

    /// The text, also where something was wrong: then it is what the members hold before the one that is broken.
    pub fn verified(&self) -> (&'b [u8], Result<(), Error>) {
        match self.checksum {
            Some(checksum) if libdeflater::crc32(self.text) != checksum => (&[], Err(Error::Damaged { member: 1 })),
            _ => (self.text, self.result),
        }
    }
}

impl Inflater {
    /// Inflates all gzip members of `input`, one behind the other, into at most `cap` bytes.
    ///
    /// Zero bytes behind the last member are padding.
    pub fn inflate(&mut self, input: &[u8], cap: usize) -> Inflated<'_> {
        if let Some((length, checksum)) = self.only_member(input, cap) {
            return Inflated { text: &self.buffer[..length], checksum: Some(checksum), result: Ok(()) };
        }
        let mut rest = input;
        let mut filled = 0;
        let mut member = 0;
        let mut result = Ok(());
        loop {
            let is_padding = member > 0 && rest.iter().all(|byte| *byte == 0);
            if rest.is_empty() || is_padding {
                break;
            }
            if member > 0 && !is_gzip(rest) {
                result = Err(Error::Trailing { bytes: rest.len() });
                break;
            }
            member += 1;
            match self.member(rest, filled, cap, member) {
                Ok((taken, length)) => {
                    rest = &rest[taken..];
                    filled += length;
                }
                Err(error) => {
                    result = Err(error);
                    break;
                }
            }
        }
        Inflated { text: &self.buffer[..filled], checksum: None, result }
    }

    /// Inflates a file that is one member with the shortest header, as those of CloudTrail are. Returns how much came out, and its
    /// checksum to be. Nothing where it is another file, or broken.
    fn only_member(&mut self, input: &[u8], cap: usize) -> Option<(usize, u32)> {
        let ([_, _, _, flags, ..], rest) = input.split_first_chunk::<HEADER_BYTES>()?;
        let (deflated, trailer) = rest.split_last_chunk::<TRAILER_BYTES>()?;
        let [c, d, e, f, length @ ..] = *trailer;
        let bytes = u32::from_le_bytes(length) as usize;
        if *flags != 0 || bytes > most(input, cap) || !is_all(input, length) {
            return None;
        }
        if self.buffer.len() < bytes {
            self.buffer.resize(bytes, 0);
        }
        let came = self.decompressor.deflate_decompress(deflated, &mut self.buffer[..bytes]).ok()?;
        (came == bytes).then_some((bytes, u32::from_le_bytes([c, d, e, f])))
    }

    /// Inflates the first member of `input` to `buffer[filled..]`; returns how much of the input it took and how much came out.
    fn member(&mut self, input: &[u8], filled: usize, cap: usize, member: usize) -> Result<(usize, usize), Error> {
        // The last four bytes are the length of the last member modulo 2^32, if they are what they should be: a hint only.
        let hint = input.last_chunk().map_or(0, |length: &[u8; 4]| u32::from_le_bytes(*length) as usize);
        let most = most(input, cap - filled);
        let mut space = hint.clamp(LEAST_BUFFER_BYTES.min(most), most);
        let length = loop {
            if self.buffer.len() < filled + space {
                self.buffer.resize(filled + space, 0);
            }
            // A larger buffer from an earlier file does no harm, but for the cap.
            let end = self.buffer.len().min(filled + most);
            match self.decompressor.gzip_decompress(input, &mut self.buffer[filled..end]) {
                Ok(length) => break length,
                Err(DecompressionError::BadData) => return Err(Error::Damaged { member }),
                Err(DecompressionError::InsufficientSpace) if end - filled < most => {
                    space = (end - filled).saturating_mul(2).min(most);
                }
                Err(DecompressionError::InsufficientSpace) if most < cap - filled => {
                    return Err(Error::Damaged { member });
                }
                Err(DecompressionError::InsufficientSpace) => return Err(Error::TooLarge { cap }),
            }
        };
        let taken = member_end(input, &self.buffer[filled..filled + length]).ok_or(Error::Damaged { member })?;
        Ok((taken, length))
    }
}

/// What `input` may inflate to at most.
fn most(input: &[u8], cap: usize) -> usize {
    input.len().saturating_mul(MOST_EXPANSION).min(cap)
}

/// Where the member of `input` that inflates to `output` ends.
///
/// Its trailer is the output's checksum and length, eight bytes that are found nowhere else but by a chance of 2^-64 for each
/// place; and what stands behind it must be the end, another member, or padding. libdeflate has checked the trailer already.
fn member_end(input: &[u8], output: &[u8]) -> Option<usize> {
    let length = u32::try_from(output.len() & 0xffff_ffff).expect("32 bits").to_le_bytes();
    if is_all(input, length) {
        return Some(input.len());
    }
    let mut trailer = [0; 8];
    trailer[..4].copy_from_slice(&libdeflater::crc32(output).to_le_bytes());
    trailer[4..].copy_from_slice(&length);
    let ends = memmem::find_iter(input, &trailer).map(|at| at + trailer.len());
    let mut first = None;
    for end in ends {
        let rest = &input[end..];
        if rest.is_empty() || is_gzip(rest) {
            return Some(end);
        }
        first = first.or(Some(end));
    }
    // Padding or foreign bytes behind the only member: the caller names them.
    first
}

/// Whether the first member is surely all that `input` holds, told without a second checksum over the output.
///
/// The member ends with its length. If these four bytes stand nowhere but at the very end, that is where it ends.
fn is_all(input: &[u8], length: [u8; 4]) -> bool {
    memmem::find(input, &length) == Some(input.len() - length.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use libdeflater::{CompressionLvl, Compressor};
    use proptest::prelude::*;

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut compressor = Compressor::new(CompressionLvl::default());
        let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
        let length = compressor.gzip_compress(plain, &mut out).unwrap();
        out.truncate(length);
        out
    }

    const CAP: usize = 1 << 20;

    #[test]
    fn members_follow_one_another() {
        let mut inflater = Inflater::default();
        let one = gzip(b"the same");
        let input = [one.clone(), one.clone(), gzip(b""), one, vec![0; 512]].concat();
        let (output, result) = inflater.inflate(&input, CAP).verified();
        assert_eq!((output, result), (&b"the samethe samethe same"[..], Ok(())));
    }

    #[test]
    fn a_member_that_holds_gzip_itself_is_one_member() {
        let mut inflater = Inflater::default();
        let inner = [gzip(b"inner"), gzip(b"inner")].concat();
        // Level 0 stores its input as it is, so the inner headers and trailers stand in the outer member.
        let mut compressor = Compressor::new(CompressionLvl::new(0).unwrap());
        let mut stored = vec![0; compressor.gzip_compress_bound(inner.len())];
        let length = compressor.gzip_compress(&inner, &mut stored).unwrap();
        stored.truncate(length);
        let input = [stored, gzip(b"!")].concat();
        let (output, result) = inflater.inflate(&input, CAP).verified();
        assert_eq!((output, result), (&[inner, b"!".to_vec()].concat()[..], Ok(())));
    }

    #[test]
    fn what_is_broken_is_said_and_what_came_before_is_kept() {
        let mut inflater = Inflater::default();
        let good = gzip(b"good");
        let cut = &gzip(&[7; 5000])[..15];
        let (output, result) = inflater.inflate(&[&good, cut].concat(), CAP).verified();
        assert_eq!((output, result), (&b"good"[..], Err(Error::Damaged { member: 2 })));
        let (output, result) = inflater.inflate(&[&good[..], b"tail"].concat(), CAP).verified();
        assert_eq!((output, result), (&b"good"[..], Err(Error::Trailing { bytes: 4 })));
        let mut flipped = good.clone();
        flipped[12] ^= 0x10;
        assert_eq!(inflater.inflate(&flipped, CAP).verified().1, Err(Error::Damaged { member: 1 }));
        assert_eq!(inflater.inflate(b"\x1f", CAP).verified().1, Err(Error::Damaged { member: 1 }));
    }

    #[test]
    fn a_bomb_stops_at_the_cap() {
        let mut inflater = Inflater::default();
        let bomb = gzip(&vec![0; 4 << 20]);
        assert!(bomb.len() < 8192);
        assert_eq!(inflater.inflate(&bomb, CAP).verified().1, Err(Error::TooLarge { cap: CAP }));
        assert!(inflater.buffer.len() <= CAP);
        let exact = gzip(&vec![0; CAP]);
        assert_eq!(inflater.inflate(&exact, CAP).verified().1, Ok(()));
        // A length that lies asks for no more than deflate could make of the input.
        let mut liar = gzip(b"x");
        let at = liar.len() - 4;
        liar[at..].fill(0xff);
        assert!(Inflater::default().inflate(&liar, usize::MAX).verified().1.is_err());
    }

    proptest! {
        #[test]
        fn any_members_come_out_as_they_went_in(members in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 1..5)) {
            let mut inflater = Inflater::default();
            let input: Vec<u8> = members.iter().flat_map(|member| gzip(member)).collect();
            let (output, result) = inflater.inflate(&input, CAP).verified();
            prop_assert_eq!(result, Ok(()));
            prop_assert_eq!(output, members.concat());
        }

        #[test]
        fn damage_never_panics(at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
            let mut input = [gzip(b"first member"), gzip(&[3; 3000])].concat();
            let at = at.index(input.len());
            input[at] = to;
            input.truncate(cut.index(input.len()));
            let mut inflater = Inflater::default();
            let _ = inflater.inflate(&input, CAP).verified();
        }
    }
}
