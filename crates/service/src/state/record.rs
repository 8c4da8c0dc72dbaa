//! How records are stored: one JSON object each, with a version `v`.
//!
//! Version 2 added spec and usage to keys; a record of version 1 is that of a symmetric encryption key. What later versions add
//! has a default, so that older records still open. A record is always written in the newest version.

use std::sync::Arc;

use api::shape::key_stores::ConnectionErrorCode;
use api::{KeyArn, KeySpec, KeyUsage, Timestamp};
use crypto::{MaterialId, WrappedMaterial};
use lifecycle::{PendingWindow, RotationPeriod};
use serde::{Deserialize, Serialize};

use super::key::Live;
use super::{
    Alias, Connection, Corrupt, Custody, Import, Key, KeyStore, KeyStoreKind, LastUse, Material, Origin, Rotated,
    Schedule, StoreKey, Tombstone,
};
use crate::outside::Backing;

/// Version of every record written today.
pub(crate) const RECORD_VERSION: u8 = 2;

pub(super) fn printable(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

pub(super) fn decode<'a, T: Deserialize<'a>>(key: &[u8], value: &'a [u8]) -> Result<T, Corrupt> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u8,
    }

    let corrupt = |why: String| Corrupt::Record { key: printable(key), why };
    let Versioned { v } = serde_json::from_slice(value).map_err(|error| corrupt(error.to_string()))?;
    if !(1..=RECORD_VERSION).contains(&v) {
        return Err(corrupt(format!("its version is {v}, and this program reads versions 1 to {RECORD_VERSION}")));
    }
    serde_json::from_slice(value).map_err(|error| corrupt(error.to_string()))
}

pub(super) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("records hold only texts, numbers and lists of them")
}

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    v: u8,
    created: Timestamp,
    description: String,
    state: StateRecord,
    #[serde(default = "symmetric_default")]
    spec: KeySpec,
    #[serde(default = "encrypt_decrypt")]
    usage: KeyUsage,
    origin: Origin,
    policy: String,
    tags: std::collections::BTreeMap<String, String>,
    material: Vec<MaterialRecord>,
    #[serde(default)]
    next_material: Option<MaterialRecord>,
    #[serde(default)]
    import_secret: Option<String>,
    #[serde(default)]
    rotation: Option<ScheduleRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    custody: Option<CustodyRecord>,
}

#[derive(Serialize, Deserialize)]
struct CustodyRecord {
    store: String,
    backing: BackingRecord,
}

#[derive(Serialize, Deserialize)]
enum BackingRecord {
    Hsm(String),
    Xks(String),
}

#[derive(Serialize, Deserialize)]
struct KeyStoreRecord {
    v: u8,
    name: String,
    created: Timestamp,
    kind: KeyStoreKindRecord,
    connection: ConnectionRecord,
}

#[derive(Serialize, Deserialize)]
enum KeyStoreKindRecord {
    CloudHsm {
        cluster: String,
        trust_anchor: String,
        password: String,
    },
    External {
        endpoint: String,
        path: String,
        connectivity: String,
        vpc: Option<(String, Option<String>)>,
        access_key: String,
        secret: String,
    },
}

#[derive(Serialize, Deserialize)]
enum ConnectionRecord {
    Disconnected,
    Connecting,
    Connected,
    Failed(ConnectionErrorCode),
}

/// The only spec of version 1.
fn symmetric_default() -> KeySpec {
    KeySpec::SymmetricDefault
}

/// The only usage of version 1.
fn encrypt_decrypt() -> KeyUsage {
    KeyUsage::EncryptDecrypt
}

#[derive(Serialize, Deserialize)]
enum StateRecord {
    Creating { until: Timestamp, to_import: bool },
    Enabled,
    Disabled,
    PendingDeletion { deletion_date: Timestamp },
    PendingReplicaDeletion { window_days: u8 },
    PendingImport,
    Unavailable { enabled: bool },
    Updating { until: Timestamp },
}

#[derive(Serialize, Deserialize)]
struct MaterialRecord {
    id: String,
    wrapped: Option<String>,
    #[serde(default)]
    rotated: Option<Rotated>,
    #[serde(default)]
    import: Option<ImportRecord>,
}

#[derive(Serialize, Deserialize)]
struct ImportRecord {
    valid_to: Option<Timestamp>,
    description: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct ScheduleRecord {
    period_days: u16,
    next: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct AliasRecord {
    v: u8,
    target: String,
    created: Timestamp,
    updated: Timestamp,
}

#[derive(Serialize)]
struct LastUseRecord<'a> {
    v: u8,
    #[serde(flatten)]
    used: &'a LastUse,
}

pub(crate) fn encode_key(key: &Key) -> Vec<u8> {
    use lifecycle::State as S;
    encode(&KeyRecord {
        v: RECORD_VERSION,
        created: key.created,
        description: key.description.clone(),
        state: match key.state {
            S::Creating { until, to_import } => StateRecord::Creating { until, to_import },
            S::Enabled => StateRecord::Enabled,
            S::Disabled => StateRecord::Disabled,
            S::PendingDeletion { deletion_date } => StateRecord::PendingDeletion { deletion_date },
            S::PendingReplicaDeletion { window } => StateRecord::PendingReplicaDeletion { window_days: window.days() },
            S::PendingImport => StateRecord::PendingImport,
            S::Unavailable { enabled } => StateRecord::Unavailable { enabled },
            S::Updating { until } => StateRecord::Updating { until },
        },
        spec: key.spec,
        usage: key.usage,
        origin: key.origin,
        policy: key.policy_text.clone(),
        tags: key.tags.clone(),
        material: key.material.iter().map(encode_material).collect(),
        next_material: key.next_material.as_ref().map(encode_material),
        import_secret: key.import_secret.as_ref().map(|secret| hex(secret.as_bytes())),
        rotation: key
            .rotation
            .map(|schedule| ScheduleRecord { period_days: schedule.period.days(), next: schedule.next }),
        custody: key.custody.as_ref().map(|custody| CustodyRecord {
            store: custody.store.to_string(),
            backing: match &custody.backing {
                Backing::Hsm { id } => BackingRecord::Hsm(hex(id)),
                Backing::Xks { id } => BackingRecord::Xks(id.clone()),
            },
        }),
    })
}

pub(super) fn decode_key(name: &[u8], value: &[u8], arn: KeyArn, live: Arc<Live>) -> Result<Key, Corrupt> {
    use lifecycle::State as S;
    let corrupt = |why: String| Corrupt::Record { key: printable(name), why };
    let record: KeyRecord = decode(name, value)?;
    let state = match record.state {
        StateRecord::Creating { until, to_import } => S::Creating { until, to_import },
        StateRecord::Enabled => S::Enabled,
        StateRecord::Disabled => S::Disabled,
        StateRecord::PendingDeletion { deletion_date } => S::PendingDeletion { deletion_date },
        StateRecord::PendingReplicaDeletion { window_days } => S::PendingReplicaDeletion {
            window: PendingWindow::of_days(window_days.into()).map_err(|error| corrupt(error.to_string()))?,
        },
        StateRecord::PendingImport => S::PendingImport,
        StateRecord::Unavailable { enabled } => S::Unavailable { enabled },
        StateRecord::Updating { until } => S::Updating { until },
    };
    let material =
        record.material.into_iter().map(|record| decode_material(record, &corrupt)).collect::<Result<_, _>>()?;
    let next_material = record.next_material.map(|record| decode_material(record, &corrupt)).transpose()?;
    let import_secret = record.import_secret.map(|secret| decode_wrapped(&secret, &corrupt)).transpose()?;
    let rotation = record.rotation.map(|ScheduleRecord { period_days, next }| {
        let period = RotationPeriod::of_days(period_days.into()).map_err(|error| corrupt(error.to_string()))?;
        Ok(Schedule { period, next })
    });
    let rotation = rotation.transpose()?;
    let custody = match record.custody {
        None => None,
        Some(CustodyRecord { store, backing }) => Some(Custody {
            store: store.parse().map_err(|()| corrupt(format!("`{store}` is no ID of a custom key store")))?,
            backing: match backing {
                BackingRecord::Xks(id) => Backing::Xks { id },
                BackingRecord::Hsm(id) => {
                    let bytes = unhex(&id).and_then(|bytes| bytes.try_into().ok());
                    Backing::Hsm { id: bytes.ok_or_else(|| corrupt(format!("`{id}` is no ID of a key in an HSM")))? }
                }
            },
        }),
    };
    let policy = policy::Document::parse(&record.policy).map_err(|error| corrupt(error.to_string()))?;
    Ok(Key {
        arn,
        created: record.created,
        description: record.description,
        state,
        spec: record.spec,
        usage: record.usage,
        origin: record.origin,
        multi_region: arn.key.is_multi_region(),
        policy_text: record.policy,
        policy: Arc::new(policy),
        tags: record.tags,
        material,
        next_material,
        import_secret,
        rotation,
        custody,
        live,
    })
}

fn encode_material(material: &Material) -> MaterialRecord {
    MaterialRecord {
        id: material.id.to_string(),
        wrapped: material.wrapped.as_ref().map(|wrapped| hex(wrapped.as_bytes())),
        rotated: material.rotated,
        import: material
            .import
            .as_ref()
            .map(|import| ImportRecord { valid_to: import.valid_to, description: import.description.clone() }),
    }
}

fn decode_material(record: MaterialRecord, corrupt: &impl Fn(String) -> Corrupt) -> Result<Material, Corrupt> {
    let id = unhex(&record.id).and_then(|bytes| bytes.try_into().ok());
    let id = id.ok_or_else(|| corrupt(format!("material ID `{}` is not 64 hex digits", record.id)))?;
    Ok(Material {
        id: MaterialId(id),
        wrapped: record.wrapped.map(|wrapped| decode_wrapped(&wrapped, corrupt)).transpose()?,
        rotated: record.rotated,
        import: record.import.map(|ImportRecord { valid_to, description }| Import { valid_to, description }),
    })
}

fn decode_wrapped(text: &str, corrupt: &impl Fn(String) -> Corrupt) -> Result<WrappedMaterial, Corrupt> {
    let bytes = unhex(text).ok_or_else(|| corrupt("wrapped material is not hex".to_owned()))?;
    WrappedMaterial::from_bytes(&bytes).map_err(|error| corrupt(error.to_string()))
}

pub(crate) fn encode_key_store(store: &KeyStore) -> Vec<u8> {
    let wrapped = |secret: &WrappedMaterial| hex(secret.as_bytes());
    encode(&KeyStoreRecord {
        v: RECORD_VERSION,
        name: store.name.clone(),
        created: store.created,
        kind: match &store.kind {
            KeyStoreKind::CloudHsm { cluster, trust_anchor, password } => KeyStoreKindRecord::CloudHsm {
                cluster: cluster.clone(),
                trust_anchor: trust_anchor.clone(),
                password: wrapped(password),
            },
            KeyStoreKind::External { endpoint, path, connectivity, vpc, access_key, secret } => {
                KeyStoreKindRecord::External {
                    endpoint: endpoint.clone(),
                    path: path.clone(),
                    connectivity: connectivity.clone(),
                    vpc: vpc.clone(),
                    access_key: access_key.clone(),
                    secret: wrapped(secret),
                }
            }
        },
        connection: match store.connection {
            Connection::Disconnected => ConnectionRecord::Disconnected,
            Connection::Connecting => ConnectionRecord::Connecting,
            Connection::Connected => ConnectionRecord::Connected,
            Connection::Failed(code) => ConnectionRecord::Failed(code),
        },
    })
}

pub(super) fn decode_key_store(name: &[u8], value: &[u8], (_, _, id): &StoreKey) -> Result<KeyStore, Corrupt> {
    let record: KeyStoreRecord = decode(name, value)?;
    let corrupt = |why: String| Corrupt::Record { key: printable(name), why };
    let wrapped = |text: &str| {
        let bytes = unhex(text).ok_or_else(|| corrupt("a wrapped secret is not hex".to_owned()))?;
        WrappedMaterial::from_bytes(&bytes).map_err(|error| corrupt(error.to_string()))
    };
    Ok(KeyStore {
        id: id.clone(),
        name: record.name,
        created: record.created,
        kind: match record.kind {
            KeyStoreKindRecord::CloudHsm { cluster, trust_anchor, password } => {
                KeyStoreKind::CloudHsm { cluster, trust_anchor, password: wrapped(&password)? }
            }
            KeyStoreKindRecord::External { endpoint, path, connectivity, vpc, access_key, secret } => {
                let secret = wrapped(&secret)?;
                KeyStoreKind::External { endpoint, path, connectivity, vpc, access_key, secret }
            }
        },
        connection: match record.connection {
            ConnectionRecord::Disconnected => Connection::Disconnected,
            ConnectionRecord::Connecting => Connection::Connecting,
            ConnectionRecord::Connected => Connection::Connected,
            ConnectionRecord::Failed(code) => Connection::Failed(code),
        },
    })
}

pub(crate) fn encode_alias(alias: &Alias) -> Vec<u8> {
    encode(&AliasRecord {
        v: RECORD_VERSION,
        target: alias.target.to_string(),
        created: alias.created,
        updated: alias.updated,
    })
}

pub(super) fn decode_alias(name: &[u8], value: &[u8]) -> Result<Alias, Corrupt> {
    let record: AliasRecord = decode(name, value)?;
    let target = record
        .target
        .parse()
        .map_err(|error: api::InvalidId| Corrupt::Record { key: printable(name), why: error.to_string() })?;
    Ok(Alias { target, created: record.created, updated: record.updated })
}

pub(crate) fn encode_tombstone(tombstone: &Tombstone) -> Vec<u8> {
    encode(tombstone)
}

pub(super) fn encode_last_use(used: &LastUse) -> Vec<u8> {
    encode(&LastUseRecord { v: RECORD_VERSION, used })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        use std::fmt::Write as _;
        write!(text, "{byte:02x}").expect("a String takes every write");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
