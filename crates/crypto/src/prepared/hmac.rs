//! HMAC_224 to HMAC_512: message authentication codes (RFC 2104).

use api::KeySpec;
use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::random::random;

/// The longest key that may be imported; the shortest is as long as a code.
/// Source: AWS KMS Developer Guide, "Requirements for imported key material": at most 1024 bits.
const MAX_KEY_BYTES: usize = 128;

/// An HMAC key with its hash function.
pub(crate) struct Hmac(hmac::Key);

/// New key bytes, as many as a code has.
pub(crate) fn generate(spec: KeySpec) -> Result<Zeroizing<Vec<u8>>, Error> {
    let mut key = Zeroizing::new(vec![0; code_bytes(spec)?]);
    random(&mut key);
    Ok(key)
}

/// Key bytes that somebody else made.
pub(crate) fn import(spec: KeySpec, key: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if (code_bytes(spec)?..=MAX_KEY_BYTES).contains(&key.len()) {
        Ok(Zeroizing::new(key.to_vec()))
    } else {
        Err(Error::Malformed)
    }
}

impl Hmac {
    pub(crate) fn new(spec: KeySpec, key: &[u8]) -> Result<Hmac, Error> {
        Ok(Hmac(hmac::Key::new(algorithm(spec)?, key)))
    }

    pub(crate) fn mac(&self, message: &[u8]) -> Vec<u8> {
        hmac::sign(&self.0, message).as_ref().to_vec()
    }

    /// In constant time.
    pub(crate) fn verify(&self, message: &[u8], code: &[u8]) -> Result<(), Error> {
        hmac::verify(&self.0, message, code).map_err(|_| Error::Tampered)
    }
}

fn algorithm(spec: KeySpec) -> Result<hmac::Algorithm, Error> {
    match spec {
        KeySpec::Hmac224 => Ok(hmac::HMAC_SHA224),
        KeySpec::Hmac256 => Ok(hmac::HMAC_SHA256),
        KeySpec::Hmac384 => Ok(hmac::HMAC_SHA384),
        KeySpec::Hmac512 => Ok(hmac::HMAC_SHA512),
        _ => Err(Error::Unsupported { spec }),
    }
}

fn code_bytes(spec: KeySpec) -> Result<usize, Error> {
    Ok(algorithm(spec)?.tag_len())
}
