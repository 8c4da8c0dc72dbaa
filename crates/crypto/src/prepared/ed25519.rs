//! ECC_NIST_EDWARDS25519: Ed25519 of messages, Ed25519ph by their digests, with no context (RFC 8032).

use api::{KeySpec, SigningAlgorithm};
use aws_lc_rs::digest::SHA512;
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _, Curve25519SeedBin, PublicKeyX509Der};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, ParsedPublicKey};
use zeroize::Zeroizing;

use super::Message;
use crate::aws_lc;
use crate::der;
use crate::error::Error;

const UNSUPPORTED: Error = Error::Unsupported { spec: KeySpec::EccNistEdwards25519 };

/// An Ed25519 key pair.
pub(crate) struct Ed25519 {
    signing: Ed25519KeyPair,
    verifying: ParsedPublicKey,
    public: Vec<u8>,
}

/// A new key pair as PKCS #8.
pub(crate) fn generate() -> Result<Zeroizing<Vec<u8>>, Error> {
    pkcs8(&Ed25519KeyPair::generate().map_err(|_| Error::Library)?)
}

/// A key pair that somebody else made, from PKCS #8 of either version.
pub(crate) fn import(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if der::sequence(bytes).is_none() {
        return Err(Error::Malformed);
    }
    pkcs8(&Ed25519KeyPair::from_pkcs8(bytes).map_err(|_| Error::Malformed)?)
}

impl Ed25519 {
    pub(crate) fn new(secret: &[u8]) -> Result<Ed25519, Error> {
        let signing = Ed25519KeyPair::from_pkcs8(secret).map_err(|_| Error::Malformed)?;
        let public: PublicKeyX509Der<'_> = signing.public_key().as_der().map_err(|_| Error::Library)?;
        let public = public.as_ref().to_vec();
        let verifying = ParsedPublicKey::new(&ED25519, &public).map_err(|_| Error::Library)?;
        Ok(Ed25519 { signing, verifying, public })
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(crate) fn sign(&self, algorithm: SigningAlgorithm, message: &Message<'_>) -> Result<Vec<u8>, Error> {
        match (algorithm, message) {
            (SigningAlgorithm::Ed25519Sha512, Message::Raw(message)) => {
                Ok(self.signing.try_sign(message).map_err(|_| Error::Library)?.as_ref().to_vec())
            }
            (SigningAlgorithm::Ed25519PhSha512, message) => {
                let digest = prehash(message)?;
                let seed = self.signing.seed().map_err(|_| Error::Library)?;
                let seed: Curve25519SeedBin<'_> = seed.as_be_bytes().map_err(|_| Error::Library)?;
                let seed = seed.as_ref().first_chunk().ok_or(Error::Library)?;
                Ok(aws_lc::ed25519ph_sign(seed, &digest).ok_or(Error::Library)?.to_vec())
            }
            _ => Err(UNSUPPORTED),
        }
    }

    pub(crate) fn verify(
        &self,
        algorithm: SigningAlgorithm,
        message: &Message<'_>,
        signature: &[u8],
    ) -> Result<(), Error> {
        match (algorithm, message) {
            (SigningAlgorithm::Ed25519Sha512, Message::Raw(message)) => {
                self.verifying.verify_sig(message, signature).map_err(|_| Error::Tampered)
            }
            (SigningAlgorithm::Ed25519PhSha512, message) => {
                let digest = prehash(message)?;
                let public = self.signing.public_key().as_ref().first_chunk().ok_or(Error::Library)?;
                let signature = signature.try_into().map_err(|_| Error::Tampered)?;
                aws_lc::ed25519ph_verify(public, &digest, signature).ok_or(Error::Tampered)
            }
            _ => Err(UNSUPPORTED),
        }
    }

    /// The same key with the public half of another, to verify published signatures, whose private keys are not.
    #[cfg(test)]
    pub(crate) fn with_public(self, public: &[u8]) -> Ed25519 {
        let verifying = ParsedPublicKey::new(&ED25519, public).expect("published keys are well-formed");
        Ed25519 { verifying, ..self }
    }
}

/// What Ed25519ph signs: the SHA-512 digest of a message, computed here or brought.
fn prehash(message: &Message<'_>) -> Result<[u8; 64], Error> {
    let digest = message.digest(KeySpec::EccNistEdwards25519, &SHA512)?;
    digest.as_ref().try_into().map_err(|_| Error::Library)
}

fn pkcs8(key: &Ed25519KeyPair) -> Result<Zeroizing<Vec<u8>>, Error> {
    Ok(Zeroizing::new(key.to_pkcs8v1().map_err(|_| Error::Library)?.as_ref().to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_and_its_digest_have_one_prehash_signature() {
        let key = Ed25519::new(&generate().unwrap()).unwrap();
        let algorithm = SigningAlgorithm::Ed25519PhSha512;
        let digest = aws_lc_rs::digest::digest(&SHA512, b"message");
        let whole = key.sign(algorithm, &Message::Raw(b"message")).unwrap();
        assert_eq!(key.sign(algorithm, &Message::Digest(digest.as_ref())).unwrap(), whole);
        key.verify(algorithm, &Message::Digest(digest.as_ref()), &whole).unwrap();
        let refused = key.sign(algorithm, &Message::Digest(&[0; 63]));
        assert!(matches!(refused, Err(Error::DigestLength { bytes: 63, right: 64 })));
    }
}
