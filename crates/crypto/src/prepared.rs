//! Key material made ready for use, whatever its key spec. Each kind of key is a file of its own below this one.

pub(crate) mod ecc;
pub(crate) mod ed25519;
pub(crate) mod hmac;
pub(crate) mod ml_dsa;
pub(crate) mod ml_kem;
pub(crate) mod rsa;
pub(crate) mod sm2;
#[cfg(test)]
mod vectors;

use api::{
    EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, KeySpec, MacAlgorithm, SigningAlgorithm,
};
use aws_lc_rs::digest::{self, Digest};
use zeroize::Zeroizing;

use crate::blob::Cipher;
use crate::error::Error;
use crate::material::KeyMaterial;
use ecc::Ecc;
use ed25519::Ed25519;
use hmac::Hmac;
use ml_dsa::MlDsa;
use ml_kem::MlKem;
use rsa::Rsa;
use sm2::Sm2;

/// The key of one material, ready for every operation that its key spec offers. Parsing and key schedules are done once, here.
///
/// Every operation returns [`Error::Unsupported`] for an algorithm that the spec does not have. Of a key's usage nothing is
/// known here.
pub struct PreparedKey {
    spec: KeySpec,
    kind: Kind,
}

/// What a key spec is made ready into.
enum Kind {
    Symmetric(Box<Cipher>),
    Hmac(Box<Hmac>),
    Rsa(Rsa),
    Ecc(Ecc),
    Ed25519(Ed25519),
    MlDsa(Box<MlDsa>),
    MlKem(MlKem),
    Sm2(Sm2),
}

/// What is signed.
#[derive(Clone, Copy)]
pub enum Message<'a> {
    /// The message itself, hashed here.
    Raw(&'a [u8]),
    /// The message's digest by the signing algorithm's hash function.
    Digest(&'a [u8]),
    /// The message's 64-byte representative (FIPS 204, 6.2), for ML-DSA.
    ExternalMu(&'a [u8]),
}

impl PreparedKey {
    /// Prepares `material`, which has the form of `spec` and is no longer needed afterwards.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it has not, [`Error::Unsupported`] for a spec that has no implementation here.
    pub fn new(spec: KeySpec, material: &KeyMaterial) -> Result<PreparedKey, Error> {
        use KeySpec as K;
        let secret = material.expose();
        let kind = match spec {
            K::SymmetricDefault => Kind::Symmetric(Box::new(Cipher::new(material)?)),
            K::Hmac224 | K::Hmac256 | K::Hmac384 | K::Hmac512 => Kind::Hmac(Box::new(Hmac::new(spec, secret)?)),
            K::Rsa2048 | K::Rsa3072 | K::Rsa4096 => Kind::Rsa(Rsa::new(spec, secret)?),
            K::EccNistP256 | K::EccNistP384 | K::EccNistP521 | K::EccSecgP256k1 => Kind::Ecc(Ecc::new(spec, secret)?),
            K::EccNistEdwards25519 => Kind::Ed25519(Ed25519::new(secret)?),
            K::MlDsa44 | K::MlDsa65 | K::MlDsa87 => Kind::MlDsa(Box::new(MlDsa::new(spec, secret)?)),
            K::MlKem512 | K::MlKem768 | K::MlKem1024 => Kind::MlKem(MlKem::new(spec, secret)?),
            K::Sm2 => Kind::Sm2(Sm2::new(secret)?),
        };
        Ok(PreparedKey { spec, kind })
    }

    /// The key's spec.
    pub fn spec(&self) -> KeySpec {
        self.spec
    }

    /// What seals and opens blobs.
    ///
    /// # Errors
    /// [`Error::Unsupported`] unless the key is a symmetric encryption key.
    pub fn cipher(&self) -> Result<&Cipher, Error> {
        match &self.kind {
            Kind::Symmetric(cipher) => Ok(cipher),
            _ => self.unsupported(),
        }
    }

    /// The public half, SubjectPublicKeyInfo DER.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a key that has none.
    pub fn public_key(&self) -> Result<&[u8], Error> {
        match &self.kind {
            Kind::Rsa(key) => Ok(key.public()),
            Kind::Ecc(key) => Ok(key.public()),
            Kind::Ed25519(key) => Ok(key.public()),
            Kind::MlDsa(key) => Ok(key.public()),
            Kind::MlKem(key) => Ok(key.public()),
            Kind::Sm2(key) => Ok(key.public()),
            Kind::Symmetric(_) | Kind::Hmac(_) => self.unsupported(),
        }
    }

    /// Encrypts under the public key.
    ///
    /// # Errors
    /// [`Error::TooLong`] above [`KeySpec::largest_plaintext`].
    pub fn encrypt(&self, algorithm: EncryptionAlgorithm, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        self.offers(self.spec.encryption_algorithms(), algorithm)?;
        match &self.kind {
            Kind::Rsa(key) => key.encrypt(algorithm, plaintext),
            Kind::Sm2(key) => key.encrypt(plaintext),
            _ => self.unsupported(),
        }
    }

    /// Decrypts what was encrypted under the public key.
    ///
    /// # Errors
    /// [`Error::Tampered`] where it was not, or with another algorithm; no error says more.
    pub fn decrypt(&self, algorithm: EncryptionAlgorithm, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.offers(self.spec.encryption_algorithms(), algorithm)?;
        match &self.kind {
            Kind::Rsa(key) => key.decrypt(algorithm, ciphertext),
            Kind::Sm2(key) => key.decrypt(ciphertext),
            _ => self.unsupported(),
        }
    }

    /// Signs `message`. Signatures of ECDSA are DER, those of RSA as long as the modulus.
    ///
    /// # Errors
    /// [`Error::DigestLength`] where a digest has not the length of the algorithm's, [`Error::Unsupported`] for a kind of message
    /// that the algorithm does not take.
    pub fn sign(&self, algorithm: SigningAlgorithm, message: Message<'_>) -> Result<Vec<u8>, Error> {
        self.offers(self.spec.signing_algorithms(), algorithm)?;
        match &self.kind {
            Kind::Rsa(key) => key.sign(algorithm, &message),
            Kind::Ecc(key) => key.sign(&message),
            Kind::Ed25519(key) => key.sign(algorithm, &message),
            Kind::MlDsa(key) => key.sign(&message),
            Kind::Sm2(key) => key.sign(&message),
            Kind::Symmetric(_) | Kind::Hmac(_) | Kind::MlKem(_) => self.unsupported(),
        }
    }

    /// Whether `signature` is this key's of `message`.
    ///
    /// # Errors
    /// [`Error::Tampered`] where it is not, and as [`PreparedKey::sign`].
    pub fn verify(&self, algorithm: SigningAlgorithm, message: Message<'_>, signature: &[u8]) -> Result<(), Error> {
        self.offers(self.spec.signing_algorithms(), algorithm)?;
        match &self.kind {
            Kind::Rsa(key) => key.verify(algorithm, &message, signature),
            Kind::Ecc(key) => key.verify(&message, signature),
            Kind::Ed25519(key) => key.verify(algorithm, &message, signature),
            Kind::MlDsa(key) => key.verify(&message, signature),
            Kind::Sm2(key) => key.verify(&message, signature),
            Kind::Symmetric(_) | Kind::Hmac(_) | Kind::MlKem(_) => self.unsupported(),
        }
    }

    /// The authentication code of `message`, in full length.
    ///
    /// # Errors
    /// [`Error::Unsupported`] as said above.
    pub fn mac(&self, algorithm: MacAlgorithm, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.offers(self.spec.mac_algorithms(), algorithm)?;
        match &self.kind {
            Kind::Hmac(key) => Ok(key.mac(message)),
            _ => self.unsupported(),
        }
    }

    /// Whether `code` is the whole authentication code of `message`, in constant time.
    ///
    /// # Errors
    /// [`Error::Tampered`] where it is not.
    pub fn verify_mac(&self, algorithm: MacAlgorithm, message: &[u8], code: &[u8]) -> Result<(), Error> {
        self.offers(self.spec.mac_algorithms(), algorithm)?;
        match &self.kind {
            Kind::Hmac(key) => key.verify(message, code),
            _ => self.unsupported(),
        }
    }

    /// The secret that this key and the private half of `peer`, a SubjectPublicKeyInfo, share.
    ///
    /// # Errors
    /// [`Error::Malformed`] where `peer` is no public key of the same spec.
    pub fn derive(&self, algorithm: KeyAgreementAlgorithm, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.offers(self.spec.key_agreement_algorithms(), algorithm)?;
        match &self.kind {
            Kind::Ecc(key) => key.derive(peer),
            Kind::Sm2(key) => key.derive(peer),
            _ => self.unsupported(),
        }
    }

    /// A new shared secret: the ciphertext from which [`PreparedKey::decapsulate`] has it again, and the secret.
    ///
    /// # Errors
    /// [`Error::Unsupported`] as said above.
    pub fn encapsulate(&self, algorithm: EncapsulationAlgorithm) -> Result<(Vec<u8>, Zeroizing<Vec<u8>>), Error> {
        self.offers(self.spec.encapsulation_algorithms(), algorithm)?;
        match &self.kind {
            Kind::MlKem(key) => key.encapsulate(),
            _ => self.unsupported(),
        }
    }

    /// The shared secret of `ciphertext`.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the ciphertext has not the spec's length.
    pub fn decapsulate(
        &self,
        algorithm: EncapsulationAlgorithm,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        self.offers(self.spec.encapsulation_algorithms(), algorithm)?;
        match &self.kind {
            Kind::MlKem(key) => key.decapsulate(ciphertext),
            _ => self.unsupported(),
        }
    }

    fn offers<T: PartialEq>(&self, offered: &[T], algorithm: T) -> Result<(), Error> {
        if offered.contains(&algorithm) { Ok(()) } else { self.unsupported() }
    }

    fn unsupported<T>(&self) -> Result<T, Error> {
        Err(Error::Unsupported { spec: self.spec })
    }
}

impl Message<'_> {
    /// The digest to sign with a key of `spec`: computed here, or brought.
    fn digest(&self, spec: KeySpec, algorithm: &'static digest::Algorithm) -> Result<Digest, Error> {
        match self {
            Message::Raw(message) => Ok(digest::digest(algorithm, message)),
            Message::Digest(digest) => Digest::import_less_safe(digest, algorithm)
                .map_err(|_| Error::DigestLength { bytes: digest.len(), right: algorithm.output_len }),
            Message::ExternalMu(_) => Err(Error::Unsupported { spec }),
        }
    }
}
