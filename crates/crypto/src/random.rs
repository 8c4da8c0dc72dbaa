//! The one source of randomness for secrets and nonces.

/// Fills `bytes` from the operating system's generator, by way of AWS-LC.
///
/// AWS-LC keeps a CTR_DRBG for each thread, which it seeds from the operating system, and seeds again after a fork. There is no
/// way to seed it from here: identifiers may be predictable in a test, key material and nonces may not.
pub fn random(bytes: &mut [u8]) {
    aws_lc_rs::rand::fill(bytes).expect("AWS-LC ends the process rather than go without randomness");
}

/// `N` random bytes that are no secret: an identifier, a nonce.
pub(crate) fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    random(&mut bytes);
    bytes
}
