//! Keys in custom key stores: made, used and described by way of the outside.
//!
//! Such a key encrypts twice: by material of its own, wrapped here as that of any key, and then by its key outside. So a ciphertext
//! needs both, and a deleted key's ciphertexts stay closed even where the key outside could not be destroyed with it.

use std::sync::Arc;

use api::shape::keys::{CreateKey, XksKeyConfiguration};
use api::{Fault, KeyArn, KeySpec};
use crypto::{BlobHeader, HEADER_BYTES};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::key_stores::{no_such_store, ours, wrong_connection};
use crate::decide::{Asked, Change};
use crate::fault::INVALID_CIPHERTEXT;
use crate::outside::{Backing, Held, Outside, Purpose, Trouble};
use crate::state::{
    Connection, Custody, Key, KeyStore, KeyStoreId, KeyStoreKind, Name, Origin, State, StoreKey, Stored,
    encode_key_store,
};

/// Where CreateKey shall put a key.
pub(super) struct Place<'a> {
    name: StoreKey,
    stored: &'a Stored<KeyStore>,
    /// The key that its owner made in the external key manager.
    xks_key: Option<String>,
}

/// The custom key store that a CreateKey names; nothing for a key that is kept here.
pub(super) fn place<'a>(
    asked: &Asked<'a>,
    request: &CreateKey<'_>,
    origin: Origin,
    spec: KeySpec,
) -> Result<Option<Place<'a>>, Fault> {
    if matches!(origin, Origin::AwsKms | Origin::External) {
        if request.custom_key_store.is_some() || request.xks_key.is_some() {
            let text = format!("CustomKeyStoreId and XksKeyId are not valid with Origin {}.", origin.as_str());
            return Err(Fault::validation(text));
        }
        return Ok(None);
    }
    let given = request.custom_key_store.as_deref();
    let required = || Fault::validation(format!("CustomKeyStoreId is required when Origin is {}.", origin.as_str()));
    let given = given.ok_or_else(required)?;
    let unsupported = |what: &str| {
        Fault::new("UnsupportedOperationException", format!("{what} is not supported in a custom key store."))
    };
    if spec != KeySpec::SymmetricDefault {
        return Err(unsupported(&format!("KeySpec {spec}")));
    }
    if request.multi_region {
        return Err(unsupported("MultiRegion"));
    }
    let id = given.parse::<KeyStoreId>().map_err(|()| no_such_store(given))?;
    let name = (asked.call.caller.account, asked.call.region, id);
    let stored = asked.state.key_store(&name).ok_or_else(|| no_such_store(given))?;
    let store = &stored.1;
    if store.kind.as_str() != origin.as_str() {
        return Err(Fault::validation(format!(
            "Origin {} is not compatible with custom key store {given} of type {}.",
            origin.as_str(),
            store.kind.as_str()
        )));
    }
    if store.connection != Connection::Connected {
        return Err(wrong_connection(store, "CONNECTED"));
    }
    let xks_key = match (&store.kind, request.xks_key.as_deref()) {
        (KeyStoreKind::CloudHsm { .. }, None) => None,
        (KeyStoreKind::CloudHsm { .. }, Some(_)) => {
            return Err(Fault::validation("XksKeyId is valid only with Origin EXTERNAL_KEY_STORE."));
        }
        (KeyStoreKind::External { .. }, None) => {
            return Err(Fault::validation("XksKeyId is required when Origin is EXTERNAL_KEY_STORE."));
        }
        (KeyStoreKind::External { .. }, Some(wanted)) => {
            let taken = |key: &Arc<Key>| {
                key.custody
                    .as_ref()
                    .is_some_and(|custody| matches!(&custody.backing, Backing::Xks { id } if id == wanted))
            };
            if asked.state.keys_in(&name).any(taken) {
                let text = format!("External key {wanted} is the key of another KMS key in custom key store {given}.");
                return Err(Fault::new("XksKeyAlreadyInUseException", text));
            }
            Some(wanted.to_owned())
        }
    };
    Ok(Some(Place { name, stored, xks_key }))
}

/// Fills `bytes` from the generator of the cluster behind a custom key store.
pub(super) fn random(asked: &Asked<'_>, given: &str, bytes: &mut [u8]) -> Result<(), Fault> {
    let id = given.parse::<KeyStoreId>().map_err(|()| no_such_store(given))?;
    let name = (asked.call.caller.account, asked.call.region, id);
    let (_, store) = asked.state.key_store(&name).ok_or_else(|| no_such_store(given))?;
    if let KeyStoreKind::External { .. } = store.kind {
        let text = format!("Custom key store {given} is an external key store, which generates no random bytes.");
        return Err(Fault::new("UnsupportedOperationException", text));
    }
    if store.connection != Connection::Connected {
        return Err(wrong_connection(store, "CONNECTED"));
    }
    let filled = asked.vault.with_access(&name, store, |outside, access| outside.random(access, bytes));
    // GenerateRandom declares no more of what may go wrong outside.
    filled.map_err(ours)?.map_err(|_| Fault::internal())
}

impl Place<'_> {
    /// Makes the key outside, or checks the one that is there.
    pub(super) fn make(&self, asked: &Asked<'_>, arn: KeyArn) -> Result<Custody, Fault> {
        let backing = match &self.xks_key {
            Some(id) => Backing::Xks { id: id.clone() },
            None => {
                let mut id = [0; 16];
                crypto::random(&mut id);
                Backing::Hsm { id }
            }
        };
        let purpose = purpose(asked, arn);
        let made = asked.vault.with_access(&self.name, &self.stored.1, |outside, access| match &backing {
            Backing::Hsm { id } => outside.make_key(access, *id, &format!("kms {}", arn.key)),
            Backing::Xks { .. } => outside.check_key(Held { access, backing: &backing, purpose }),
        });
        match made.map_err(ours)? {
            Ok(()) => Ok(Custody { store: self.name.2.clone(), backing }),
            Err(Trouble::Proxy(trouble)) => Err(Fault::new(trouble.code_for_key(), trouble.message())),
            Err(Trouble::Cluster(code)) => {
                let text = format!("The cluster of custom key store {} cannot be used: {code:?}.", self.name.2);
                Err(Fault::new("CloudHsmClusterInvalidConfigurationException", text))
            }
            Err(Trouble::NoSuchKey | Trouble::Tampered | Trouble::Device) => Err(Fault::internal()),
        }
    }

    /// The change, expecting the store as it was found, and replacing its record by the same.
    ///
    /// INVARIANT: no key without its store, and no external key under two KMS keys: of two changes that are decided on one record of
    /// the store only one commits.
    pub(super) fn hold(&self, change: Change) -> Change {
        let name = Name::KeyStore(self.name.clone());
        change.and_on(name.clone(), Some(self.stored.0)).put(name, encode_key_store(&self.stored.1))
    }
}

fn purpose<'a>(asked: &Asked<'a>, key: KeyArn) -> Purpose<'a> {
    let call = asked.call;
    Purpose { principal: &call.caller.arn, key, operation: call.operation.name, request_id: call.request_id }
}

/// A blob whose body is sealed once more outside; its header stays in front.
pub(super) fn seal(
    asked: &Asked<'_>,
    key: &Key,
    custody: &Custody,
    bound: &[u8],
    blob: &[u8],
) -> Result<Vec<u8>, Fault> {
    let (header, body) = blob.split_at_checked(HEADER_BYTES).ok_or(Fault::internal())?;
    let sealed = reach(asked, key, custody, |outside, held| outside.seal(held, bound, body))?;
    Ok([header, &sealed].concat())
}

/// The blob as it was before [`seal`].
pub(super) fn open(
    asked: &Asked<'_>,
    key: &Key,
    custody: &Custody,
    bound: &[u8],
    blob: &[u8],
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let (header, sealed) = blob.split_at_checked(HEADER_BYTES).ok_or(INVALID_CIPHERTEXT)?;
    let body = reach(asked, key, custody, |outside, held| outside.open(held, bound, sealed))?;
    Ok(Zeroizing::new([header, &body].concat()))
}

/// What a key's ciphertext is bound to outside: short, whatever the encryption context holds, since a proxy takes 8192 bytes at most.
pub(super) fn bound(header: &BlobHeader, context: &crypto::EncryptionContext) -> [u8; 32] {
    header.digest(context)
}

fn reach<T>(
    asked: &Asked<'_>,
    key: &Key,
    custody: &Custody,
    act: impl FnOnce(&dyn Outside, Held<'_>) -> Result<T, Trouble>,
) -> Result<T, Fault> {
    let name = store_of(key.arn, custody);
    let (_, store) = asked.state.key_store(&name).ok_or(Fault::internal())?;
    let (backing, purpose) = (&custody.backing, purpose(asked, key.arn));
    let reached =
        asked.vault.with_access(&name, store, |outside, access| act(outside, Held { access, backing, purpose }));
    reached.map_err(ours)?.map_err(|trouble| match trouble {
        Trouble::Proxy(trouble) => Fault::new("KMSInvalidStateException", trouble.message()),
        Trouble::Tampered => INVALID_CIPHERTEXT,
        Trouble::Cluster(_) | Trouble::NoSuchKey | Trouble::Device => Fault {
            code: "KeyUnavailableException",
            message: Some("The KMS key is not available in its custom key store. You can retry the request.".into()),
            status: 500,
        },
    })
}

fn store_of(arn: KeyArn, custody: &Custody) -> StoreKey {
    (arn.account, arn.region, custody.store.clone())
}

/// The members of a key's metadata that only keys in custom key stores have: the store, its cluster, the external key.
pub(super) fn shown(state: &State, key: &Key) -> (Option<String>, Option<String>, Option<XksKeyConfiguration>) {
    let Some(custody) = &key.custody else { return (None, None, None) };
    let external = match &custody.backing {
        Backing::Hsm { .. } => None,
        Backing::Xks { id } => Some(XksKeyConfiguration { id: id.clone() }),
    };
    (Some(custody.store.to_string()), cluster(state, key.arn, custody), external)
}

fn cluster(state: &State, arn: KeyArn, custody: &Custody) -> Option<String> {
    let (_, store) = state.key_store(&store_of(arn, custody))?;
    match &store.kind {
        KeyStoreKind::CloudHsm { cluster, .. } => Some(cluster.clone()),
        KeyStoreKind::External { .. } => None,
    }
}

/// What `additionalEventData` tells of a key in a custom key store. Source: AWS KMS Developer Guide, CloudTrail examples.
pub(crate) fn recorded(state: &State, key: &Key) -> Option<Value> {
    let custody = key.custody.as_ref()?;
    let mut shown = json!({ "customKeyStoreId": custody.store.to_string() });
    match &custody.backing {
        Backing::Hsm { id } => {
            let mut digits = [0; 32];
            api::hex(id, &mut digits);
            let id = String::from_utf8_lossy(&digits);
            if let Some(cluster) = cluster(state, key.arn, custody) {
                shown["clusterId"] = cluster.into();
            }
            // A list within a text, as CloudTrail has it.
            shown["backingKeys"] = json!([{ "backingKeyId": id }]).to_string().into();
        }
        Backing::Xks { id } => shown["xksKeyId"] = id.clone().into(),
    }
    Some(shown)
}
