//! Key material and other secrets under the root keyring: wrapped to be stored, and made ready for use. Beside it, the way to what
//! stands outside.

use std::sync::Arc;

use api::{KeyArn, KeySpec};
use crypto::{KeyMaterial, Keyring, MaterialId, NitroRoot, PreparedKey, WrappedMaterial};
use zeroize::Zeroizing;

use crate::outside::{Access, Nowhere, Outside};
use crate::state::{Key, KeyStore, KeyStoreKind, Material, StoreKey};

/// What unwraps key material: the root keyring. And what reaches the key stores outside.
#[derive(Clone)]
pub struct Vault {
    keyring: Arc<Keyring>,
    outside: Arc<dyn Outside>,
    nitro_root: Option<NitroRoot>,
}

impl Vault {
    /// A vault over a keyring, with nothing outside.
    pub fn new(keyring: Keyring) -> Vault {
        Vault { keyring: Arc::new(keyring), outside: Arc::new(Nowhere), nitro_root: None }
    }

    /// The same vault, with custom key stores outside.
    #[must_use]
    pub fn reaching(self, outside: Arc<dyn Outside>) -> Vault {
        Vault { outside, ..self }
    }

    /// The same vault, which takes enclaves that lead to `root`.
    #[must_use]
    pub fn trusting(self, root: NitroRoot) -> Vault {
        Vault { nitro_root: Some(root), ..self }
    }

    pub(crate) fn nitro_root(&self) -> Option<&NitroRoot> {
        self.nitro_root.as_ref()
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
        let wrapped = Some(self.keyring.wrap(material, &binding(key, id)));
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
            Some(secret) => self.keyring.unwrap(secret, &bound)?,
            None => {
                let secret = KeyMaterial::generate(KeySpec::SymmetricDefault)?;
                key.import_secret = Some(self.keyring.wrap(&secret, &bound));
                secret
            }
        };
        Ok(MaterialId::named_under(&secret, material))
    }

    /// Seals a secret that is not stored, bound to `aad`.
    pub(crate) fn seal(&self, secret: &KeyMaterial, aad: &[u8]) -> WrappedMaterial {
        self.keyring.wrap(secret, aad)
    }

    /// Opens what [`Vault::seal`] made with the same `aad`.
    ///
    /// # Errors
    /// The keyring's: it was not made here, or for something else.
    pub(crate) fn open(&self, sealed: &WrappedMaterial, aad: &[u8]) -> Result<KeyMaterial, crypto::Error> {
        self.keyring.unwrap(sealed, aad)
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
        let opened = self.keyring.unwrap(wrapped, &binding(&key.arn, id))?;
        let prepared = Arc::new(PreparedKey::new(key.spec, &opened)?);
        key.live.keep(id, &prepared);
        Ok(Some(prepared))
    }

    /// What stands outside.
    pub(crate) fn outside(&self) -> &dyn Outside {
        self.outside.as_ref()
    }

    /// Wraps the secret of a custom key store; it opens only for the same store.
    ///
    /// # Errors
    /// [`crypto::Error::Malformed`] where it is empty or longer than 4096 bytes.
    pub(crate) fn wrap_secret(&self, store: &StoreKey, secret: &str) -> Result<WrappedMaterial, crypto::Error> {
        self.keyring.wrap_secret(secret.as_bytes(), &store_binding(store))
    }

    /// Opens the secret of a custom key store for as long as `reach` takes.
    ///
    /// # Errors
    /// The keyring's, when a stored secret does not open: a damaged store or the wrong keyring.
    pub(crate) fn with_access<T>(
        &self,
        name: &StoreKey,
        store: &KeyStore,
        reach: impl FnOnce(&dyn Outside, Access<'_>) -> T,
    ) -> Result<T, crypto::Error> {
        let open = |wrapped: &WrappedMaterial| {
            let bytes = self.keyring.unwrap_secret(wrapped, &store_binding(name))?;
            let text = std::str::from_utf8(&bytes).map_err(|_| crypto::Error::Malformed)?;
            Ok::<_, crypto::Error>(Zeroizing::new(text.to_owned()))
        };
        Ok(match &store.kind {
            KeyStoreKind::CloudHsm { cluster, password, .. } => {
                reach(self.outside(), Access::Hsm { cluster, password: &open(password)? })
            }
            KeyStoreKind::External { endpoint, path, access_key, secret, .. } => {
                reach(self.outside(), Access::Xks { endpoint, path, access_key, secret: &open(secret)? })
            }
        })
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

/// What a custom key store's secret is bound to.
fn store_binding((account, region, id): &StoreKey) -> Vec<u8> {
    format!("key-store/{account}/{region}/{id}").into_bytes()
}
