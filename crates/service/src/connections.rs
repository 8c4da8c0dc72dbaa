//! What follows a change outside the service: connecting custom key stores once ConnectCustomKeyStore is answered, and destroying a
//! key in a hardware security module once its KMS key is deleted.

use std::sync::Arc;

use api::shape::key_stores::ConnectionErrorCode;
use store::{Batch, BatchId};

use crate::decide::Change;
use crate::outside::{Backing, Trouble};
use crate::state::{Connection, Key, KeyStore, Name, State, StoreKey, encode_key_store};
use crate::vault::Vault;

/// Whether a custom key store waits to be connected.
pub fn is_connecting(state: &State) -> bool {
    state.connecting().next().is_some()
}

/// Tries to connect every custom key store that waits for it: for each the batch that says how it went. Blocks until the outside
/// has answered. `fresh` makes the ID of a batch.
///
/// # Guarantees
/// Each batch expects the store's record as this snapshot has it: a store that was disconnected or deleted meanwhile stays so.
pub fn connections(state: &State, vault: &Vault, fresh: &mut dyn FnMut() -> [u8; 16]) -> Vec<Batch> {
    state
        .connecting()
        .map(|(name, (version, store))| {
            let connection = match vault.with_access(name, store, |outside, access| outside.connect(access)) {
                Ok(Ok(())) => Connection::Connected,
                Ok(Err(trouble)) => Connection::Failed(trouble.connection_error()),
                // A stored secret that does not open.
                Err(_) => Connection::Failed(ConnectionErrorCode::InternalError),
            };
            let store = KeyStore { connection, ..KeyStore::clone(store) };
            Change::on(Name::KeyStore(name.clone()), Some(*version))
                .put(Name::KeyStore(name.clone()), encode_key_store(&store))
                .into_batch(BatchId(fresh()), Vec::new())
        })
        .collect()
}

/// A key in a hardware security module that nothing needs any more when its KMS key is deleted.
#[derive(Debug, Clone)]
pub struct Orphan {
    store: (StoreKey, Arc<KeyStore>),
    backing: [u8; 16],
}

/// What will be left outside when `key` is deleted; an external key is its owner's and stays.
pub(crate) fn orphan(state: &State, key: &Key) -> Option<Orphan> {
    let custody = key.custody.as_ref()?;
    let Backing::Hsm { id } = custody.backing else { return None };
    let name = (key.arn.account, key.arn.region, custody.store.clone());
    let (_, store) = state.key_store(&name)?;
    Some(Orphan { store: (name, store.clone()), backing: id })
}

impl Orphan {
    /// Destroys the key, once the deletion of its KMS key is durable: never before, since that may still be cancelled. Blocks.
    ///
    /// # Errors
    /// Where the cluster refuses or cannot be reached: the key stays there for an operator to destroy. What was encrypted under it
    /// is closed all the same, by the material that went with the KMS key.
    pub fn destroy(&self, vault: &Vault) -> Result<(), Trouble> {
        let (name, store) = &self.store;
        let destroyed = vault.with_access(name, store, |outside, access| outside.destroy_key(access, self.backing));
        destroyed.unwrap_or(Err(Trouble::Device))
    }
}
