//! Key pairs that leave the service.

use api::KeySpec;
use zeroize::Zeroizing;

use crate::error::Error;
use crate::material::KeyMaterial;
use crate::prepared::PreparedKey;

/// A key pair made for the caller: the answer of GenerateDataKeyPair. The service keeps neither half.
pub struct DataKeyPair {
    /// The private half, PKCS #8 DER.
    pub private: Zeroizing<Vec<u8>>,
    /// The public half, SubjectPublicKeyInfo DER.
    pub public: Vec<u8>,
}

impl DataKeyPair {
    /// A new key pair. RSA_4096 may take seconds.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a spec that has no public key, or no implementation here.
    pub fn generate(spec: KeySpec) -> Result<DataKeyPair, Error> {
        if !spec.is_asymmetric() {
            return Err(Error::Unsupported { spec });
        }
        let material = KeyMaterial::generate(spec)?;
        let public = PreparedKey::new(spec, &material)?.public_key()?.to_vec();
        Ok(DataKeyPair { private: material.into_bytes(), public })
    }
}
