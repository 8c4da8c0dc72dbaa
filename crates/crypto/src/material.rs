//! Key material: the secret of a KMS key, its public name, and the form in which the store may hold it.

use std::fmt;

use crate::aead::{EXPANSION_BYTES, KEY_BYTES, Secret};
use crate::error::Error;
use crate::keyring::Epoch;
use crate::random::random_bytes;

/// The secret of a symmetric KMS key: 256 bits for AES.
///
/// Cleared when dropped. It leaves this crate only wrapped.
pub struct KeyMaterial(Secret);

impl KeyMaterial {
    /// New material from the operating system's generator.
    pub fn generate() -> KeyMaterial {
        KeyMaterial(Secret::generate())
    }

    /// Material that was wrapped before; `None` unless it is 32 bytes.
    pub(crate) fn from_slice(bytes: &[u8]) -> Option<KeyMaterial> {
        Secret::from_slice(bytes).map(KeyMaterial)
    }

    pub(crate) fn secret(&self) -> &Secret {
        &self.0
    }
}

/// The public name of key material, as `CurrentKeyMaterialId` shows it: 64 lower-case hex digits.
///
/// Random, and so says nothing of the material.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MaterialId(pub [u8; 32]);

impl MaterialId {
    /// A new name for new material.
    pub fn generate() -> MaterialId {
        MaterialId(random_bytes())
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
/// Length of wrapped material.
const WRAPPED_BYTES: usize = PREFIX_BYTES + KEY_BYTES + EXPANSION_BYTES;

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
        if bytes.len() == WRAPPED_BYTES && bytes[0] == VERSION {
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
    pub(crate) fn build(epoch: Epoch, seal: impl FnOnce(&mut Vec<u8>)) -> WrappedMaterial {
        let mut bytes = Vec::with_capacity(WRAPPED_BYTES);
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
    fn generated_material_differs() {
        assert_ne!(KeyMaterial::generate().secret().expose(), KeyMaterial::generate().secret().expose());
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
        for bad in [&[][..], &good[..76], &[good.as_slice(), &[0]].concat(), &other_version] {
            assert!(matches!(WrappedMaterial::from_bytes(bad), Err(Error::Malformed)));
        }
    }
}
