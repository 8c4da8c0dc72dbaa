//! RSA_2048, RSA_3072 and RSA_4096: OAEP encryption, PSS and PKCS #1 v1.5 signatures (RFC 8017).

use api::{EncryptionAlgorithm, KeySpec, SigningAlgorithm};
use aws_lc_rs::digest::{self, SHA256, SHA384, SHA512};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rsa::{
    KeyPair, KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    OaepPublicEncryptingKey, PrivateDecryptingKey,
};
use aws_lc_rs::signature::{self, ParsedPublicKey, RsaEncoding, RsaParameters};
use zeroize::Zeroizing;

use super::Message;
use crate::der;
use crate::error::Error;

/// An RSA key pair.
pub(crate) struct Rsa {
    spec: KeySpec,
    signing: KeyPair,
    decrypting: OaepPrivateDecryptingKey,
    encrypting: OaepPublicEncryptingKey,
    public: Vec<u8>,
}

/// A new key pair as PKCS #8. RSA_4096 may take seconds.
pub(crate) fn generate(spec: KeySpec) -> Result<Zeroizing<Vec<u8>>, Error> {
    let size = match spec {
        KeySpec::Rsa2048 => KeySize::Rsa2048,
        KeySpec::Rsa3072 => KeySize::Rsa3072,
        KeySpec::Rsa4096 => KeySize::Rsa4096,
        _ => return Err(Error::Unsupported { spec }),
    };
    pkcs8(&PrivateDecryptingKey::generate(size).map_err(|_| Error::Library)?)
}

/// A key pair that somebody else made, from PKCS #8: two primes that belong together, and a modulus as long as `spec` says.
pub(crate) fn import(spec: KeySpec, bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    if der::sequence(bytes).is_none() {
        return Err(Error::Malformed);
    }
    pkcs8(&parse(spec, bytes)?)
}

impl Rsa {
    pub(crate) fn new(spec: KeySpec, secret: &[u8]) -> Result<Rsa, Error> {
        let key = parse(spec, secret)?;
        let public_key = key.public_key();
        let public: PublicKeyX509Der<'_> = public_key.as_der().map_err(|_| Error::Library)?;
        Ok(Rsa {
            spec,
            signing: KeyPair::from_pkcs8(secret).map_err(|_| Error::Malformed)?,
            public: public.as_ref().to_vec(),
            encrypting: OaepPublicEncryptingKey::new(public_key).map_err(|_| Error::Library)?,
            decrypting: OaepPrivateDecryptingKey::new(key).map_err(|_| Error::Library)?,
        })
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    pub(crate) fn encrypt(&self, algorithm: EncryptionAlgorithm, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let oaep = self.oaep(algorithm)?;
        let most = self.encrypting.max_plaintext_size(oaep);
        if plaintext.len() > most {
            return Err(Error::TooLong { bytes: plaintext.len(), most });
        }
        let mut space = vec![0; self.encrypting.ciphertext_size()];
        let bytes = self.encrypting.encrypt(oaep, plaintext, &mut space, None).map_err(|_| Error::Library)?.len();
        space.truncate(bytes);
        Ok(space)
    }

    pub(crate) fn decrypt(
        &self,
        algorithm: EncryptionAlgorithm,
        ciphertext: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let oaep = self.oaep(algorithm)?;
        let mut space = Zeroizing::new(vec![0; self.decrypting.min_output_size()]);
        let plaintext = self.decrypting.decrypt(oaep, ciphertext, &mut space, None).map_err(|_| Error::Tampered)?;
        Ok(Zeroizing::new(plaintext.to_vec()))
    }

    pub(crate) fn sign(&self, algorithm: SigningAlgorithm, message: &Message<'_>) -> Result<Vec<u8>, Error> {
        let scheme = self.scheme(algorithm)?;
        let digest = message.digest(self.spec, scheme.digest)?;
        let mut signature = vec![0; self.signing.public_modulus_len()];
        self.signing.sign_digest(scheme.signing, &digest, &mut signature).map_err(|_| Error::Library)?;
        Ok(signature)
    }

    pub(crate) fn verify(
        &self,
        algorithm: SigningAlgorithm,
        message: &Message<'_>,
        signature: &[u8],
    ) -> Result<(), Error> {
        let scheme = self.scheme(algorithm)?;
        let digest = message.digest(self.spec, scheme.digest)?;
        let key = ParsedPublicKey::new(scheme.verifying, &self.public).map_err(|_| Error::Library)?;
        key.verify_digest_sig(&digest, signature).map_err(|_| Error::Tampered)
    }

    /// The same key with the public half of another, to verify published signatures, whose private keys are not.
    #[cfg(test)]
    pub(crate) fn with_public(self, public: &[u8]) -> Rsa {
        Rsa { public: public.to_vec(), ..self }
    }

    fn oaep(&self, algorithm: EncryptionAlgorithm) -> Result<&'static OaepAlgorithm, Error> {
        match algorithm {
            EncryptionAlgorithm::RsaesOaepSha1 => Ok(&OAEP_SHA1_MGF1SHA1),
            EncryptionAlgorithm::RsaesOaepSha256 => Ok(&OAEP_SHA256_MGF1SHA256),
            EncryptionAlgorithm::SymmetricDefault | EncryptionAlgorithm::Sm2Pke => {
                Err(Error::Unsupported { spec: self.spec })
            }
        }
    }

    /// The salt of PSS is as long as the digest, both when signing and when verifying.
    fn scheme(&self, algorithm: SigningAlgorithm) -> Result<Scheme, Error> {
        use SigningAlgorithm as S;
        let (digest, signing, verifying): (_, &'static dyn RsaEncoding, _) = match algorithm {
            S::RsassaPssSha256 => (&SHA256, &signature::RSA_PSS_SHA256, &signature::RSA_PSS_2048_8192_SHA256),
            S::RsassaPssSha384 => (&SHA384, &signature::RSA_PSS_SHA384, &signature::RSA_PSS_2048_8192_SHA384),
            S::RsassaPssSha512 => (&SHA512, &signature::RSA_PSS_SHA512, &signature::RSA_PSS_2048_8192_SHA512),
            S::RsassaPkcs1V15Sha256 => (&SHA256, &signature::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256),
            S::RsassaPkcs1V15Sha384 => (&SHA384, &signature::RSA_PKCS1_SHA384, &signature::RSA_PKCS1_2048_8192_SHA384),
            S::RsassaPkcs1V15Sha512 => (&SHA512, &signature::RSA_PKCS1_SHA512, &signature::RSA_PKCS1_2048_8192_SHA512),
            _ => return Err(Error::Unsupported { spec: self.spec }),
        };
        Ok(Scheme { digest, signing, verifying })
    }
}

/// How the library calls a signing algorithm.
struct Scheme {
    digest: &'static digest::Algorithm,
    signing: &'static dyn RsaEncoding,
    verifying: &'static RsaParameters,
}

fn parse(spec: KeySpec, secret: &[u8]) -> Result<PrivateDecryptingKey, Error> {
    let modulus_bits = match spec {
        KeySpec::Rsa2048 => 2048,
        KeySpec::Rsa3072 => 3072,
        KeySpec::Rsa4096 => 4096,
        _ => return Err(Error::Unsupported { spec }),
    };
    match PrivateDecryptingKey::from_pkcs8(secret) {
        Ok(key) if key.key_size_bits() == modulus_bits => Ok(key),
        _ => Err(Error::Malformed),
    }
}

fn pkcs8(key: &PrivateDecryptingKey) -> Result<Zeroizing<Vec<u8>>, Error> {
    let private: Pkcs8V1Der<'_> = key.as_der().map_err(|_| Error::Library)?;
    Ok(Zeroizing::new(private.as_ref().to_vec()))
}
