//! Key material and what is done with it.
//!
//! Two floors of keys. A [`Keyring`] holds root keys, in a file apart from the store, and wraps [`KeyMaterial`] into the
//! [`WrappedMaterial`] that the store may hold. A [`Cipher`] made of key material seals what callers bring into ciphertext
//! blobs, and opens them. Secrets are types: none can be printed, cloned or serialized, and each is cleared when dropped.
//!
//! This crate does not know who may use a key, in which state it is, or where anything but the keyring is kept.

mod aead;
mod aws_lc;
mod blob;
mod context;
mod data_key_pair;
mod der;
mod digest;
mod error;
mod import;
mod keyring;
mod material;
mod prepared;
mod random;
mod recipient;

pub use blob::{BlobHeader, Cipher, HEADER_BYTES, OVERHEAD_BYTES, header};
pub use context::EncryptionContext;
pub use data_key_pair::DataKeyPair;
pub use digest::sha256;
pub use error::Error;
pub use import::{WrappingKey, unwrap_import};
pub use keyring::{Epoch, Keyring};
pub use material::{KeyMaterial, MaterialId, WrappedMaterial};
pub use prepared::{Message, PreparedKey};
pub use random::random;
pub use recipient::{Enclave, NitroRoot};

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes from hex digits.
    pub(crate) fn unhex(digits: &str) -> Vec<u8> {
        digits.as_bytes().chunks(2).map(|two| u8::from_str_radix(str::from_utf8(two).unwrap(), 16).unwrap()).collect()
    }

    /// Does not compile where `$type` is one of `$traits`: `some` would then have two meanings.
    macro_rules! assert_is_none_of {
        ($type:ty: $($traits:path),+) => {
            const _: fn() = || {
                trait Is<Which> {
                    fn some() {}
                }
                impl<T: ?Sized> Is<()> for T {}
                $({
                    struct Which;
                    impl<T: ?Sized + $traits> Is<Which> for T {}
                })+
                let _ = <$type as Is<_>>::some;
            };
        };
    }

    // Secrets cannot be shown, copied or written down.
    assert_is_none_of!(KeyMaterial: std::fmt::Debug, std::fmt::Display, Clone, serde::Serialize, AsRef<[u8]>);
    assert_is_none_of!(Cipher: std::fmt::Debug, std::fmt::Display, Clone, serde::Serialize);
    assert_is_none_of!(PreparedKey: std::fmt::Debug, std::fmt::Display, Clone, serde::Serialize);
    assert_is_none_of!(DataKeyPair: std::fmt::Debug, std::fmt::Display, Clone, serde::Serialize);
    assert_is_none_of!(Keyring: std::fmt::Debug, std::fmt::Display, Clone, serde::Serialize);
    assert_is_none_of!(WrappedMaterial: std::fmt::Display, serde::Serialize);

    /// All are shared between threads.
    const _: fn() = || {
        fn shared<T: Send + Sync>() {}
        shared::<KeyMaterial>();
        shared::<Cipher>();
        shared::<PreparedKey>();
        shared::<Keyring>();
    };
}
