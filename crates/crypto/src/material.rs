//! Key material: the secret of a KMS key, its public name, and the form in which the store may hold it.

use std::fmt;

use api::KeySpec;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use zeroize::Zeroizing;

use crate::aead::{EXPANSION_BYTES, KEY_BYTES};
use crate::error::Error;
use crate::keyring::Epoch;
use crate::prepared::{ecc, ed25519, hmac, ml_dsa, ml_kem, rsa, sm2};
use crate::random::{random, random_bytes};

/// The longest secret: an RSA_4096 key as PKCS #8 has about 2,400 bytes.
const MAX_SECRET_BYTES: usize = 4096;

/// The secret of a KMS key, in the form its key spec has: see [`KeyMaterial::generate`].
///
/// On the heap, so that moving it leaves no copies behind; cleared when dropped. It leaves this crate only wrapped, or as
/// a [`DataKeyPair`](crate::DataKeyPair) that was made for the caller.
pub struct KeyMaterial(Zeroizing<Vec<u8>>);

impl KeyMaterial {
    /// New material from the operating system's generator: 32 bytes for SYMMETRIC_DEFAULT, as many as a code has for HMAC, and
    /// PKCS #8 DER (RFC 5208) for key pairs. RSA_4096 may take seconds.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a spec that has no implementation here.
    pub fn generate(spec: KeySpec) -> Result<KeyMaterial, Error> {
        use KeySpec as K;
        let secret = match spec {
            K::SymmetricDefault => {
                let mut bytes = Zeroizing::new(vec![0; KEY_BYTES]);
                random(&mut bytes);
                Ok(bytes)
            }
            K::Hmac224 | K::Hmac256 | K::Hmac384 | K::Hmac512 => hmac::generate(spec),
            K::Rsa2048 | K::Rsa3072 | K::Rsa4096 => rsa::generate(spec),
            K::EccNistP256 | K::EccNistP384 | K::EccNistP521 | K::EccSecgP256k1 => ecc::generate(spec),
            K::EccNistEdwards25519 => ed25519::generate(),
            K::MlDsa44 | K::MlDsa65 | K::MlDsa87 => ml_dsa::generate(spec),
            K::MlKem512 | K::MlKem768 | K::MlKem1024 => ml_kem::generate(spec),
            K::Sm2 => sm2::generate(),
        }?;
        Ok(KeyMaterial(secret))
    }

    /// Material that somebody else made: raw bytes for SYMMETRIC_DEFAULT and HMAC, PKCS #8 DER for key pairs. The same key has
    /// the same material afterwards, however it was encoded.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it has not the form of `spec`, [`Error::Unsupported`] for a spec without implementation here.
    pub fn import(spec: KeySpec, bytes: &[u8]) -> Result<KeyMaterial, Error> {
        use KeySpec as K;
        if bytes.len() > MAX_SECRET_BYTES {
            return Err(Error::Malformed);
        }
        let secret = match spec {
            K::SymmetricDefault if bytes.len() == KEY_BYTES => Ok(Zeroizing::new(bytes.to_vec())),
            K::SymmetricDefault => Err(Error::Malformed),
            K::Hmac224 | K::Hmac256 | K::Hmac384 | K::Hmac512 => hmac::import(spec, bytes),
            K::Rsa2048 | K::Rsa3072 | K::Rsa4096 => rsa::import(spec, bytes),
            K::EccNistP256 | K::EccNistP384 | K::EccNistP521 | K::EccSecgP256k1 => ecc::import(spec, bytes),
            K::EccNistEdwards25519 => ed25519::import(bytes),
            K::MlDsa44 | K::MlDsa65 | K::MlDsa87 => ml_dsa::import(spec, bytes),
            K::MlKem512 | K::MlKem768 | K::MlKem1024 => ml_kem::import(spec, bytes),
            K::Sm2 => sm2::import(bytes),
        }?;
        Ok(KeyMaterial(secret))
    }

    /// Material that was wrapped before; `None` unless it is 1 to 4096 bytes.
    pub(crate) fn from_bytes(bytes: Zeroizing<Vec<u8>>) -> Option<KeyMaterial> {
        (1..=MAX_SECRET_BYTES).contains(&bytes.len()).then_some(KeyMaterial(bytes))
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }

    pub(crate) fn into_bytes(self) -> Zeroizing<Vec<u8>> {
        self.0
    }
}

/// The public name of key material, as `CurrentKeyMaterialId` shows it: 64 lower-case hex digits.
///
/// Random, or an HMAC under a secret, and so says nothing of the material.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaterialId(pub [u8; 32]);

impl MaterialId {
    /// A new name for new material.
    pub fn generate() -> MaterialId {
        MaterialId(random_bytes())
    }

    /// The name of material that was imported: HMAC-SHA-256 of it under `secret`, so that the same material has the same name again.
    pub fn named_under(secret: &KeyMaterial, material: &KeyMaterial) -> MaterialId {
        let tag = sign(&Key::new(HMAC_SHA256, secret.expose()), material.expose());
        MaterialId(tag.as_ref().try_into().expect("HMAC-SHA-256 is 32 bytes"))
    }
}

impl fmt::Display for MaterialId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        api::hex(&self.0, &mut digits);
        out.write_str(std::str::from_utf8(&digits).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for MaterialId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "MaterialId({self})")
    }
}

/// Version of the form below.
const VERSION: u8 = 1;
/// Version byte and epoch.
const PREFIX_BYTES: usize = 5;
/// How much longer wrapped material is than the material.
const WRAPPING_BYTES: usize = PREFIX_BYTES + EXPANSION_BYTES;

/// Key material under a root key of the keyring: what the store accepts.
///
/// Version byte (1), the root key's epoch (four bytes, big-endian), then nonce, ciphertext and tag. Version and epoch are
/// authenticated with the rest.
#[derive(Clone, PartialEq, Eq)]
pub struct WrappedMaterial(Vec<u8>);

impl WrappedMaterial {
    /// The bytes to store.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Reads stored bytes back.
    ///
    /// # Errors
    /// [`Error::Malformed`] where their length or version is not that of wrapped material.
    pub fn from_bytes(bytes: &[u8]) -> Result<WrappedMaterial, Error> {
        let secret_bytes = bytes.len().saturating_sub(WRAPPING_BYTES);
        if (1..=MAX_SECRET_BYTES).contains(&secret_bytes) && bytes[0] == VERSION {
            Ok(WrappedMaterial(bytes.to_vec()))
        } else {
            Err(Error::Malformed)
        }
    }

    /// The epoch whose root key wraps this. What names an epoch that is to be destroyed must be wrapped again first.
    pub fn epoch(&self) -> Epoch {
        let (bytes, _) = self.0[1..].split_first_chunk().expect("the length was checked");
        Epoch(u32::from_be_bytes(*bytes))
    }

    /// Builds the wrapped form: `seal` appends to what it is given, which it also authenticates.
    pub(crate) fn build(epoch: Epoch, secret_bytes: usize, seal: impl FnOnce(&mut Vec<u8>)) -> WrappedMaterial {
        let mut bytes = Vec::with_capacity(WRAPPING_BYTES + secret_bytes);
        bytes.push(VERSION);
        bytes.extend_from_slice(&epoch.0.to_be_bytes());
        seal(&mut bytes);
        WrappedMaterial(bytes)
    }

    /// Version and epoch, and what was sealed.
    pub(crate) fn split(&self) -> (&[u8], &[u8]) {
        self.0.split_at(PREFIX_BYTES)
    }
}

impl fmt::Debug for WrappedMaterial {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "WrappedMaterial({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_material_id_is_64_lower_hex_digits() {
        let mut bytes = [0; 32];
        bytes[0] = 0x0a;
        bytes[31] = 0xff;
        let text = MaterialId(bytes).to_string();
        assert_eq!(text, format!("0a{}ff", "00".repeat(30)));
        assert_ne!(MaterialId::generate(), MaterialId::generate());
    }

    #[test]
    fn imported_material_is_named_by_what_it_is_and_under_which_secret() {
        let material = |byte: u8| KeyMaterial::import(KeySpec::SymmetricDefault, &[byte; 32]).unwrap();
        let name = |secret, of| MaterialId::named_under(&material(secret), &material(of));
        assert_eq!(name(1, 2), name(1, 2));
        assert_ne!(name(1, 2), name(1, 3));
        assert_ne!(name(1, 2), name(3, 2));
        assert!(matches!(KeyMaterial::import(KeySpec::SymmetricDefault, &[0; 31]), Err(Error::Malformed)));
    }

    #[test]
    fn generated_material_differs() {
        let generate = || KeyMaterial::generate(KeySpec::SymmetricDefault).unwrap();
        assert_ne!(generate().expose(), generate().expose());
    }

    #[test]
    fn only_the_documented_form_is_wrapped_material() {
        let good = [&[1, 0, 0, 1, 2][..], &[0; 72]].concat();
        let wrapped = WrappedMaterial::from_bytes(&good).unwrap();
        assert_eq!(wrapped.epoch(), Epoch(258));
        assert_eq!(wrapped.as_bytes(), good);
        assert_eq!(format!("{wrapped:?}"), "WrappedMaterial(77 bytes)");

        let mut other_version = good.clone();
        other_version[0] = 2;
        let too_long = [good.as_slice(), &[0; MAX_SECRET_BYTES]].concat();
        for bad in [&[][..], &good[..45], &too_long, &other_version] {
            assert!(matches!(WrappedMaterial::from_bytes(bad), Err(Error::Malformed)));
        }
    }
}
