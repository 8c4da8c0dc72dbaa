//! Key material under the root keyring: wrapped to be stored, and made ready for use.

use std::sync::Arc;

use api::{KeyArn, KeySpec};
use crypto::{KeyMaterial, Keyring, MaterialId, PreparedKey, WrappedMaterial};

use crate::state::{Key, Material};

/// What unwraps key material: the root keyring.
#[derive(Clone)]
pub struct Vault(Arc<Keyring>);

impl Vault {
    /// A vault over a keyring.
    pub fn new(keyring: Keyring) -> Vault {
        Vault(Arc::new(keyring))
    }

    /// New material for `key`, wrapped, with a new ID.
    ///
    /// # Errors
    /// Where the key's spec has no implementation.
    pub(crate) fn generate(&self, key: &Key) -> Result<Material, crypto::Error> {
        let material = KeyMaterial::generate(key.spec)?;
        Ok(self.wrap(&key.arn, MaterialId::generate(), &material))
    }

    /// Wraps material so that it can be stored; it opens only for the same key and material ID.
    pub(crate) fn wrap(&self, key: &KeyArn, id: MaterialId, material: &KeyMaterial) -> Material {
        let wrapped = Some(self.0.wrap(material, &binding(key, id)));
        Material { id, wrapped, rotated: None, import: None }
    }

    /// The ID of material that is imported into `key`: always the same for the same material, and telling nothing of it. The
    /// secret that gives such IDs is made with the first, and stays the key's.
    ///
    /// # Errors
    /// The keyring's, when the key's secret does not open.
    pub(crate) fn name_import(&self, key: &mut Key, material: &KeyMaterial) -> Result<MaterialId, crypto::Error> {
        let bound = binding(&key.arn, NO_MATERIAL);
        let secret = match &key.import_secret {
            Some(secret) => self.0.unwrap(secret, &bound)?,
            None => {
                let secret = KeyMaterial::generate(KeySpec::SymmetricDefault)?;
                key.import_secret = Some(self.0.wrap(&secret, &bound));
                secret
            }
        };
        Ok(MaterialId::named_under(&secret, material))
    }

    /// Seals a secret that is not stored, bound to `aad`.
    pub(crate) fn seal(&self, secret: &KeyMaterial, aad: &[u8]) -> WrappedMaterial {
        self.0.wrap(secret, aad)
    }

    /// Opens what [`Vault::seal`] made with the same `aad`.
    ///
    /// # Errors
    /// The keyring's: it was not made here, or for something else.
    pub(crate) fn open(&self, sealed: &WrappedMaterial, aad: &[u8]) -> Result<KeyMaterial, crypto::Error> {
        self.0.unwrap(sealed, aad)
    }

    /// `key`'s material `id` made ready for use, if the key has such material. Unwrapped once, then kept with the key.
    ///
    /// # Errors
    /// The keyring's, when stored material does not open: a damaged store or the wrong keyring.
    pub(crate) fn prepared(&self, key: &Key, id: MaterialId) -> Result<Option<Arc<PreparedKey>>, crypto::Error> {
        let material = key.material.iter().find(|material| material.id == id);
        let Some(wrapped) = material.and_then(|material| material.wrapped.as_ref()) else { return Ok(None) };
        if let Some(known) = key.live.prepared(id) {
            return Ok(Some(known));
        }
        let opened = self.0.unwrap(wrapped, &binding(&key.arn, id))?;
        let prepared = Arc::new(PreparedKey::new(key.spec, &opened)?);
        key.live.keep(id, &prepared);
        Ok(Some(prepared))
    }
}

/// In the place of a material ID: what is wrapped is the secret that gives such IDs.
const NO_MATERIAL: MaterialId = MaterialId([0; 32]);

/// What wrapped material is bound to: a multi-Region key's material is shared by its family, so the Region is left out.
fn binding(key: &KeyArn, id: MaterialId) -> Vec<u8> {
    let mut aad = Vec::with_capacity(80);
    aad.extend_from_slice(key.account.to_string().as_bytes());
    aad.extend_from_slice(&key.key.to_bytes());
    aad.extend_from_slice(&id.0);
    aad
}
