//! Authenticated encryption under one long-lived key: XAES-256-GCM.
//!
//! Plain AES-256-GCM with random 96-bit nonces may be used at most 2^32 times with one key (NIST SP 800-38D, 8.3): the limit keeps
//! the chance of a repeated nonce below 2^-32. A busy KMS key gets there within days, and counting calls durably would cost a write
//! for each. So each message gets an AES-256-GCM key of its own, derived from the long-lived key and the first 12 of 24 random nonce
//! bytes; the last 12 are that key's nonce. Nonces then repeat with a chance below 2^-32 until 2^80 messages, which nobody reaches.
//!
//! Derivation is NIST SP 800-108r1's KDF in counter mode over CMAC-AES-256. Source: C2SP, XAES-256-GCM (c2sp.org/XAES-256-GCM).

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{AES_256, EncryptingKey, UnboundCipherKey};
use zeroize::{Zeroize, Zeroizing};

use crate::error::Error;
use crate::random::{random, random_bytes};

/// Bytes of a key.
pub(crate) const KEY_BYTES: usize = 32;
/// Bytes of the nonce in front of each ciphertext.
const NONCE_BYTES: usize = 24;
/// Bytes of the tag behind each ciphertext.
const TAG_BYTES: usize = 16;
/// What sealing adds to the length of a plaintext.
pub(crate) const EXPANSION_BYTES: usize = NONCE_BYTES + TAG_BYTES;

/// The 32 bytes of a long-lived key. On the heap, so that moving it leaves no copies behind; cleared when dropped.
pub(crate) struct Secret(Box<[u8; KEY_BYTES]>);

impl Secret {
    pub(crate) fn generate() -> Secret {
        Secret::filled(|bytes| random(bytes))
    }

    /// A copy of `bytes`; `None` where they are not 32.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<Secret> {
        (bytes.len() == KEY_BYTES).then(|| Secret::filled(|secret| secret.copy_from_slice(bytes)))
    }

    pub(crate) fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.0
    }

    fn filled(fill: impl FnOnce(&mut [u8; KEY_BYTES])) -> Secret {
        let mut secret = Secret(Box::new([0; KEY_BYTES]));
        fill(&mut secret.0);
        secret
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A long-lived key, prepared: the AES key schedule and CMAC's first subkey are computed once.
pub(crate) struct Aead {
    key: EncryptingKey,
    subkey: Zeroizing<[u8; 16]>,
}

impl Aead {
    /// Prepares `key`.
    pub(crate) fn new(key: &Secret) -> Aead {
        let key = UnboundCipherKey::new(&AES_256, key.expose())
            .and_then(EncryptingKey::ecb)
            .expect("32 bytes are an AES-256 key");
        let mut subkey = Zeroizing::new([0; 16]);
        encrypt_blocks(&key, subkey.as_mut_slice());
        double(&mut subkey);
        Aead { key, subkey }
    }

    /// Appends nonce, ciphertext and tag to `out`; the ciphertext is as long as `plaintext`.
    pub(crate) fn seal(&self, aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
        self.seal_with(&random_bytes(), aad, plaintext, out);
    }

    /// [`Aead::seal`] with a given nonce; outside tests, only ever a random one.
    fn seal_with(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], plaintext: &[u8], out: &mut Vec<u8>) {
        let (message_key, nonce_tail) = self.for_message(nonce);
        out.extend_from_slice(nonce);
        let start = out.len();
        out.resize(start + plaintext.len() + TAG_BYTES, 0);
        let (ciphertext, tag) = out[start..].split_at_mut(plaintext.len());
        message_key
            .seal_out_of_place_scatter(nonce_tail, Aad::from(aad), plaintext, ciphertext, &[], tag)
            .expect("a plaintext is far below the 64 GiB of AES-GCM");
    }

    /// Opens what [`Aead::seal`] appended.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it is too short, [`Error::Tampered`] where it or `aad` is not what was sealed.
    pub(crate) fn open(&self, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let (nonce, rest) = sealed.split_first_chunk().ok_or(Error::Malformed)?;
        let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(Error::Malformed)?;
        let (message_key, nonce_tail) = self.for_message(nonce);
        let mut plaintext = Zeroizing::new(vec![0; ciphertext.len()]);
        message_key
            .open_separate_gather(nonce_tail, Aad::from(aad), ciphertext, tag, &mut plaintext)
            .map_err(|_| Error::Tampered)?;
        Ok(plaintext)
    }

    /// The AES-256-GCM key and nonce of the message whose nonce is `nonce`.
    fn for_message(&self, nonce: &[u8; NONCE_BYTES]) -> (LessSafeKey, Nonce) {
        let (head, tail) = nonce.split_first_chunk::<12>().expect("24 bytes are more than 12");
        let mut blocks = Zeroizing::new([0; KEY_BYTES]);
        for (counter, block) in (1..).zip(blocks.chunks_exact_mut(16)) {
            // Counter as two bytes, the label `X`, a zero, the context. One whole block each, so that CMAC is one encryption.
            block[..4].copy_from_slice(&[0, counter, b'X', 0]);
            block[4..].copy_from_slice(head);
            block.iter_mut().zip(self.subkey.iter()).for_each(|(byte, mask)| *byte ^= mask);
        }
        encrypt_blocks(&self.key, blocks.as_mut_slice());
        let key = UnboundKey::new(&AES_256_GCM, blocks.as_slice()).expect("32 bytes are an AES-256 key");
        (LessSafeKey::new(key), Nonce::try_assume_unique_for_key(tail).expect("24 - 12 = 12 bytes"))
    }
}

fn encrypt_blocks(key: &EncryptingKey, blocks: &mut [u8]) {
    key.encrypt(blocks).expect("whole blocks");
}

/// Doubling in GF(2^128), as CMAC makes its subkeys (NIST SP 800-38B, 6.1), without a branch on the secret.
fn double(block: &mut [u8; 16]) {
    let value = u128::from_be_bytes(*block);
    let carry = value >> 127;
    *block = ((value << 1) ^ (carry * 0x87)).to_be_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::unhex;

    /// McGrew and Viega, "The Galois/Counter Mode of Operation (GCM)", appendix B, cases 13 to 16: the AES-256 cases with a 96-bit
    /// nonce, which NIST took over. Key, nonce, aad, plaintext, ciphertext and tag.
    const GCM: [[&str; 5]; 4] = [
        [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "000000000000000000000000",
            "",
            "",
            "530f8afbc74536b9a963b4f1c4cb738b",
        ],
        [
            "0000000000000000000000000000000000000000000000000000000000000000",
            "000000000000000000000000",
            "",
            "00000000000000000000000000000000",
            "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
        ],
        [
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c",
        ],
        [
            "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308",
            "cafebabefacedbaddecaf888",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
        ],
    ];

    #[test]
    fn aes_256_gcm_gives_the_published_answers() {
        for [key, nonce, aad, plaintext, sealed] in GCM.map(|case| case.map(unhex)) {
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).unwrap());
            let nonce = Nonce::try_assume_unique_for_key(&nonce).unwrap();
            let mut out = vec![0; plaintext.len() + TAG_BYTES];
            let (ciphertext, tag) = out.split_at_mut(plaintext.len());
            key.seal_out_of_place_scatter(nonce, Aad::from(aad), &plaintext, ciphertext, &[], tag).unwrap();
            assert_eq!(out, sealed);
        }
    }

    /// The two vectors of the C2SP specification; the first key's subkey needs no reduction, the second's does.
    #[test]
    fn xaes_256_gcm_gives_the_published_answers() {
        let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
        for (key, aad, sealed) in [
            ([1; 32], "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            ([3; 32], "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ] {
            let aead = Aead::new(&Secret::from_slice(&key).unwrap());
            let mut out = Vec::new();
            aead.seal_with(nonce, aad.as_bytes(), b"XAES-256-GCM", &mut out);
            assert_eq!(out, [nonce.as_slice(), &unhex(sealed)].concat());
            assert_eq!(aead.open(aad.as_bytes(), &out).unwrap().as_slice(), b"XAES-256-GCM");
        }
    }

    #[test]
    fn two_sealings_of_one_plaintext_share_nothing() {
        let aead = Aead::new(&Secret::from_slice(&[7; 32]).unwrap());
        let [mut one, mut two] = [Vec::new(), Vec::new()];
        aead.seal(b"", &[0; 64], &mut one);
        aead.seal(b"", &[0; 64], &mut two);
        assert!(one.chunks(8).zip(two.chunks(8)).all(|(one, two)| one != two));
    }

    #[test]
    fn what_is_too_short_is_malformed() {
        let aead = Aead::new(&Secret::from_slice(&[7; 32]).unwrap());
        for length in 0..EXPANSION_BYTES {
            assert!(matches!(aead.open(b"", &vec![0; length]), Err(Error::Malformed)), "{length}");
        }
    }
}
