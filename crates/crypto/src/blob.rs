//! Ciphertext blobs: what Encrypt and GenerateDataKey give out, and Decrypt takes back.

use api::{AccountId, KeyId};
use aws_lc_rs::digest;
use zeroize::Zeroizing;

use crate::aead::{Aead, EXPANSION_BYTES, Secret};
use crate::context::EncryptionContext;
use crate::error::Error;
use crate::material::{KeyMaterial, MaterialId};

/// Version of the form of [`BlobHeader`].
const VERSION: u8 = 1;
/// Bytes of a [`BlobHeader`]: version, account, key, material.
pub const HEADER_BYTES: usize = 1 + 8 + 17 + 32;

/// By how many bytes a blob is longer than its plaintext.
pub const OVERHEAD_BYTES: usize = HEADER_BYTES + EXPANSION_BYTES;

/// Which key a blob was sealed under: all that Decrypt has to find and authorize it.
///
/// In front of the blob, readable by anyone, and authenticated: version byte (1), the account's number (eight bytes,
/// big-endian), [`KeyId::to_bytes`], the material's ID. Nonce, ciphertext and tag follow it. The Region is left out: replicas
/// of a multi-Region key open each other's blobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobHeader {
    /// The account that owns the key.
    pub account: AccountId,
    /// The key.
    pub key: KeyId,
    /// Which of the key's materials.
    pub material: MaterialId,
}

impl BlobHeader {
    /// The bytes in front of a blob.
    pub fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        bytes[0] = VERSION;
        bytes[1..9].copy_from_slice(&self.account.number().to_be_bytes());
        bytes[9..26].copy_from_slice(&self.key.to_bytes());
        bytes[26..].copy_from_slice(&self.material.0);
        bytes
    }

    /// SHA-256 of header and context: what a blob is bound to, in few bytes.
    pub fn digest(self, context: &EncryptionContext) -> [u8; 32] {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&self.to_bytes());
        hash.update(context.as_bytes());
        hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Option<BlobHeader> {
        let (version, rest) = bytes.split_first()?;
        let (account, rest) = rest.split_first_chunk()?;
        let (key, material) = rest.split_first_chunk()?;
        if *version != VERSION {
            return None;
        }
        Some(BlobHeader {
            account: AccountId::from_number(u64::from_be_bytes(*account))?,
            key: KeyId::from_bytes(*key)?,
            material: MaterialId(material.try_into().ok()?),
        })
    }
}

/// Reads which key `blob` says it was sealed under. Nothing is proven by it until [`Cipher::open`] succeeds.
///
/// # Errors
/// [`Error::Malformed`] where `blob` cannot be one of ours.
pub fn header(blob: &[u8]) -> Result<BlobHeader, Error> {
    blob.first_chunk()
        .filter(|header| header.len() < blob.len())
        .and_then(BlobHeader::from_bytes)
        .ok_or(Error::Malformed)
}

/// Key material made ready to seal and open blobs.
///
/// It encrypts with AES-256-GCM, with a key of its own for each blob, so that random nonces are safe for as long as a key lives:
/// see the module `aead` for the bound. Sealing and opening copy nothing but the header and the context.
pub struct Cipher(Aead);

impl Cipher {
    /// Prepares the material of a symmetric encryption key, which is no longer needed afterwards.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it is not 32 bytes.
    pub(crate) fn new(material: &KeyMaterial) -> Result<Cipher, Error> {
        Secret::from_slice(material.expose()).map(|secret| Cipher(Aead::new(&secret))).ok_or(Error::Malformed)
    }

    /// Seals `plaintext` into a blob that names its key by `header` and is bound to `context`.
    pub fn seal(&self, header: &BlobHeader, context: &EncryptionContext, plaintext: &[u8]) -> Vec<u8> {
        let header = header.to_bytes();
        let mut blob = Vec::with_capacity(OVERHEAD_BYTES + plaintext.len());
        blob.extend_from_slice(&header);
        self.0.seal(&additional_data(&header, context), plaintext, &mut blob);
        blob
    }

    /// Opens a blob that was sealed under this material with this context.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it cannot be a blob, [`Error::Tampered`] where any of its bytes, the material or the context
    /// is not that of the sealing. A caller of KMS must not learn which.
    pub fn open(&self, blob: &[u8], context: &EncryptionContext) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (header, sealed) = blob.split_first_chunk::<HEADER_BYTES>().ok_or(Error::Malformed)?;
        BlobHeader::from_bytes(header).ok_or(Error::Malformed)?;
        self.0.open(&additional_data(header, context), sealed)
    }
}

fn additional_data(header: &[u8; HEADER_BYTES], context: &EncryptionContext) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER_BYTES + context.as_bytes().len());
    bytes.extend_from_slice(header);
    bytes.extend_from_slice(context.as_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::unhex;

    fn the_header() -> BlobHeader {
        BlobHeader {
            account: "111122223333".parse().unwrap(),
            key: "1234abcd-12ab-34cd-56ef-1234567890ab".parse().unwrap(),
            material: MaterialId([0xc5; 32]),
        }
    }

    fn cipher(byte: u8) -> Cipher {
        Cipher::new(&KeyMaterial::from_bytes(Zeroizing::new(vec![byte; 32])).unwrap()).unwrap()
    }

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        pairs.iter().copied().collect()
    }

    #[test]
    fn what_is_sealed_opens() {
        let mut replica = the_header();
        replica.key = "mrk-1234abcd12ab34cd56ef1234567890ab".parse().unwrap();
        replica.account = "999999999999".parse().unwrap();
        for names in [the_header(), replica, BlobHeader { account: AccountId::ZERO, ..the_header() }] {
            for length in [0, 1, 15, 16, 17, 32, 4096] {
                for pairs in [&[][..], &[("app", "ledger"), ("row", "7")]] {
                    let plaintext: Vec<u8> = (0..length).map(|at: u32| at.to_le_bytes()[0]).collect();
                    let blob = cipher(1).seal(&names, &context(pairs), &plaintext);
                    assert_eq!(blob.len(), plaintext.len() + OVERHEAD_BYTES);
                    assert_eq!(header(&blob).unwrap(), names);
                    let turned: EncryptionContext = pairs.iter().rev().copied().collect();
                    assert_eq!(*cipher(1).open(&blob, &turned).unwrap(), plaintext);
                }
            }
        }
    }

    #[test]
    fn a_change_of_any_bit_is_seen() {
        let blob = cipher(1).seal(&the_header(), &context(&[("a", "b")]), b"attack at dawn");
        for at in 0..blob.len() {
            for bit in 0..8 {
                let mut changed = blob.clone();
                changed[at] ^= 1 << bit;
                assert!(cipher(1).open(&changed, &context(&[("a", "b")])).is_err(), "byte {at}, bit {bit}");
            }
            assert!(cipher(1).open(&blob[..at], &context(&[("a", "b")])).is_err(), "cut at {at}");
        }
        let longer = [blob.as_slice(), &[0]].concat();
        assert!(matches!(cipher(1).open(&longer, &context(&[("a", "b")])), Err(Error::Tampered)));
    }

    #[test]
    fn another_context_or_material_does_not_open() {
        let sealed = [("purpose", "test"), ("tier", "1")];
        let blob = cipher(1).seal(&the_header(), &context(&sealed), b"x");
        for other in [
            context(&[]),
            context(&sealed[..1]),
            context(&[("purpose", "test"), ("tier", "2")]),
            context(&[("purpose", "test"), ("Tier", "1")]),
            context(&[("purpose", "tier"), ("test", "1")]),
            context(&[("purpose", "test"), ("tier", "1"), ("", "")]),
        ] {
            assert!(matches!(cipher(1).open(&blob, &other), Err(Error::Tampered)), "{other:?}");
        }
        assert!(matches!(cipher(2).open(&blob, &context(&sealed)), Err(Error::Tampered)));
    }

    /// Header and context lie side by side in the additional data: moving bytes from one to the other must not go unseen.
    #[test]
    fn header_and_context_cannot_be_swapped() {
        let blob = cipher(1).seal(&the_header(), &context(&[("a", "b")]), b"x");
        let other = cipher(1).seal(&BlobHeader { account: AccountId::ZERO, ..the_header() }, &context(&[]), b"x");
        let crossed = [&other[..HEADER_BYTES], &blob[HEADER_BYTES..]].concat();
        for pairs in [&[][..], &[("a", "b")]] {
            assert!(matches!(cipher(1).open(&crossed, &context(pairs)), Err(Error::Tampered)));
        }
    }

    #[test]
    fn what_cannot_be_a_blob_is_malformed() {
        let blob = cipher(1).seal(&the_header(), &EncryptionContext::empty(), b"");
        assert!(header(&blob).is_ok());
        let with = |at: usize, byte: u8| {
            let mut changed = blob.clone();
            changed[at] = byte;
            changed
        };
        // A version of the future, an account of more than 12 digits, a key ID with an unknown flag.
        for bad in [with(0, 0), with(0, 2), with(1, 1), with(9, 2), blob[..HEADER_BYTES].to_vec(), Vec::new()] {
            assert!(matches!(header(&bad), Err(Error::Malformed)));
        }
        // Custom key stores may seal shorter than a cipher of ours, which takes none of those.
        for bad in [&with(0, 2), &blob[..blob.len() - 1]] {
            assert!(matches!(cipher(1).open(bad, &EncryptionContext::empty()), Err(Error::Malformed)));
        }
    }

    /// A blob of the first released form: it must open for as long as there are keys.
    #[test]
    fn a_blob_of_version_1_still_opens() {
        let blob = unhex(
            "0100000019df6690e5001234abcd12ab34cd56ef1234567890abc5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c55c9f95236db707916b0adda404cdc74b4dfae8146b2ee008db1625f3e45c4ec5f3aa272bdc6653ee0f60730b536c96324a209a2b28",
        );
        assert_eq!(header(&blob).unwrap(), the_header());
        let plaintext = cipher(1).open(&blob, &context(&[("purpose", "test")])).unwrap();
        assert_eq!(plaintext.as_slice(), b"kept for ever");
    }
}
