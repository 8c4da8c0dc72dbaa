//! Key material under the root keyring: wrapped to be stored, and made ready for use.

use std::sync::Arc;

use api::KeyArn;
use crypto::{KeyMaterial, Keyring, MaterialId, PreparedKey};

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
        Material { id, wrapped: self.0.wrap(material, &binding(key, id)), rotated: None }
    }

    /// `key`'s material `id` made ready for use, if the key has such material. Unwrapped once, then kept with the key.
    ///
    /// # Errors
    /// The keyring's, when stored material does not open: a damaged store or the wrong keyring.
    pub(crate) fn prepared(&self, key: &Key, id: MaterialId) -> Result<Option<Arc<PreparedKey>>, crypto::Error> {
        let Some(material) = key.material.iter().find(|material| material.id == id) else { return Ok(None) };
        if let Some(known) = key.live.prepared(id) {
            return Ok(Some(known));
        }
        let opened = self.0.unwrap(&material.wrapped, &binding(&key.arn, id))?;
        let prepared = Arc::new(PreparedKey::new(key.spec, &opened)?);
        key.live.keep(id, &prepared);
        Ok(Some(prepared))
    }
}

/// What wrapped material is bound to: a multi-Region key's material is shared by its family, so the Region is left out.
fn binding(key: &KeyArn, id: MaterialId) -> Vec<u8> {
    let mut aad = Vec::with_capacity(80);
    aad.extend_from_slice(key.account.to_string().as_bytes());
    aad.extend_from_slice(&key.key.to_bytes());
    aad.extend_from_slice(&id.0);
    aad
}
