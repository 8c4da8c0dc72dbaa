//! A digest for names of things. Messages that a key signs are hashed where they are signed.

use aws_lc_rs::digest::{SHA256, digest};

/// SHA-256 of `bytes`.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}
