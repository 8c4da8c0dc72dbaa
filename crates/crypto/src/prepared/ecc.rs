//! ECC_NIST_P256, P384, P521 and ECC_SECG_P256K1: ECDSA (FIPS 186-5) with DER signatures, and ECDH (NIST SP 800-56A) on the
//! curves of NIST.

use api::KeySpec;
use aws_lc_rs::agreement::{self, UnparsedPublicKey, agree};
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::{AsDer as _, PublicKeyX509Der};
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, EcdsaVerificationAlgorithm, KeyPair as _, ParsedPublicKey,
};
use zeroize::Zeroizing;

use super::Message;
use crate::der;
use crate::error::Error;

/// A key pair on a curve of Weierstrass form.
pub(crate) struct Ecc {
    spec: KeySpec,
    identifier: &'static [u8],
    digest: &'static digest::Algorithm,
    signing: EcdsaKeyPair,
    verifying: ParsedPublicKey,
    /// `None` on secp256k1.
    agreement: Option<agreement::PrivateKey>,
    public: Vec<u8>,
}

/// A new key pair as PKCS #8.
pub(crate) fn generate(spec: KeySpec) -> Result<Zeroizing<Vec<u8>>, Error> {
    pkcs8(&EcdsaKeyPair::generate(Curve::of(spec)?.signing).map_err(|_| Error::Library)?)
}

/// A key pair that somebody else made, from PKCS #8 that names the curve.
///
/// Source: AWS KMS Developer Guide, "Requirements for imported key material": curves spelt out as parameters are refused.
pub(crate) fn import(spec: KeySpec, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let curve = Curve::of(spec)?;
    let named = match der::sequence(bytes) {
        Some([2, 1, 0 | 1, rest @ ..]) => rest.starts_with(curve.identifier),
        _ => false,
    };
    if !named {
        return Err(Error::Malformed);
    }
    pkcs8(&EcdsaKeyPair::from_pkcs8(curve.signing, bytes).map_err(|_| Error::Malformed)?)
}

impl Ecc {
    pub(crate) fn new(spec: KeySpec, secret: &[u8]) -> Result<Ecc, Error> {
        let curve = Curve::of(spec)?;
        let signing = EcdsaKeyPair::from_pkcs8(curve.signing, secret).map_err(|_| Error::Malformed)?;
        let agreement = match curve.agreement {
            Some(agreement) => {
                Some(agreement::PrivateKey::from_private_key_der(agreement, secret).map_err(|_| Error::Malformed)?)
            }
            None => None,
        };
        let public: PublicKeyX509Der<'_> = signing.public_key().as_der().map_err(|_| Error::Library)?;
        let public = public.as_ref().to_vec();
        let verifying = ParsedPublicKey::new(curve.verifying, &public).map_err(|_| Error::Library)?;
        Ok(Ecc { spec, identifier: curve.identifier, digest: curve.digest, signing, verifying, agreement, public })
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(crate) fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, Error> {
        let digest = message.digest(self.spec, self.digest)?;
        let signature = self.signing.sign_digest(&digest).map_err(|_| Error::Library)?;
        Ok(signature.as_ref().to_vec())
    }

    pub(crate) fn verify(&self, message: &Message<'_>, signature: &[u8]) -> Result<(), Error> {
        let digest = message.digest(self.spec, self.digest)?;
        self.verifying.verify_digest_sig(&digest, signature).map_err(|_| Error::Tampered)
    }

    /// The x coordinate of the point that this key shares with `peer`, a SubjectPublicKeyInfo that names the same curve.
    pub(crate) fn derive(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let own = self.agreement.as_ref().ok_or(Error::Unsupported { spec: self.spec })?;
        // The library would take bare points and curves spelt out as parameters, and bytes after the key, too.
        if !der::sequence(peer).is_some_and(|content| content.starts_with(self.identifier)) {
            return Err(Error::Malformed);
        }
        let peer = UnparsedPublicKey::new(own.algorithm(), peer);
        agree(own, peer, Error::Malformed, |secret| Ok(Zeroizing::new(secret.to_vec())))
    }

    /// The same key with the public half of another, to verify published signatures, whose private keys are not.
    #[cfg(test)]
    pub(crate) fn with_public(self, public: &[u8]) -> Ecc {
        let curve = Curve::of(self.spec).expect("the key is on this curve");
        let verifying = ParsedPublicKey::new(curve.verifying, public).expect("published keys are well-formed");
        Ecc { verifying, ..self }
    }
}

/// What the library calls the parts of a curve.
struct Curve {
    /// The AlgorithmIdentifier of its keys (RFC 5480, 2.1.1.1), DER.
    identifier: &'static [u8],
    digest: &'static digest::Algorithm,
    signing: &'static EcdsaSigningAlgorithm,
    verifying: &'static EcdsaVerificationAlgorithm,
    agreement: Option<&'static agreement::Algorithm>,
}

impl Curve {
    fn of(spec: KeySpec) -> Result<Curve, Error> {
        Ok(match spec {
            KeySpec::EccNistP256 => Curve {
                identifier: b"\x30\x13\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07",
                digest: &SHA256,
                signing: &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
                verifying: &signature::ECDSA_P256_SHA256_ASN1,
                agreement: Some(&agreement::ECDH_P256),
            },
            KeySpec::EccNistP384 => Curve {
                identifier: b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x22",
                digest: &SHA384,
                signing: &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
                verifying: &signature::ECDSA_P384_SHA384_ASN1,
                agreement: Some(&agreement::ECDH_P384),
            },
            KeySpec::EccNistP521 => Curve {
                identifier: b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x23",
                digest: &SHA512,
                signing: &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
                verifying: &signature::ECDSA_P521_SHA512_ASN1,
                agreement: Some(&agreement::ECDH_P521),
            },
            KeySpec::EccSecgP256k1 => Curve {
                identifier: b"\x30\x10\x06\x07\x2a\x86\x48\xce\x3d\x02\x01\x06\x05\x2b\x81\x04\x00\x0a",
                digest: &SHA256,
                signing: &signature::ECDSA_P256K1_SHA256_ASN1_SIGNING,
                verifying: &signature::ECDSA_P256K1_SHA256_ASN1,
                agreement: None,
            },
            _ => return Err(Error::Unsupported { spec }),
        })
    }
}

fn pkcs8(key: &EcdsaKeyPair) -> Result<Zeroizing<Vec<u8>>, Error> {
    Ok(Zeroizing::new(key.to_pkcs8v1().map_err(|_| Error::Library)?.as_ref().to_vec()))
}
