//! Key material made ready for use, whatever its key spec.

use api::KeySpec;

use crate::blob::Cipher;
use crate::error::Error;
use crate::material::KeyMaterial;

/// The key of one material, ready for every operation that its key spec offers. Parsing and key schedules are done once, here.
pub struct PreparedKey {
    spec: KeySpec,
    kind: Kind,
}

/// What a key spec is made ready into.
enum Kind {
    Symmetric(Cipher),
}

impl PreparedKey {
    /// Prepares `material`, which has the form of `spec` and is no longer needed afterwards.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it has not, [`Error::Unsupported`] for a spec that has no implementation here.
    pub fn new(spec: KeySpec, material: &KeyMaterial) -> Result<PreparedKey, Error> {
        let kind = match spec {
            KeySpec::SymmetricDefault => Kind::Symmetric(Cipher::new(material)?),
            _ => return Err(Error::Unsupported { spec }),
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
        }
    }
}
