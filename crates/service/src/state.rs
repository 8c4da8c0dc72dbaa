//! The world as the service knows it: an immutable snapshot of keys, aliases and tombstones.
//!
//! What is stored is bytes, one JSON object a record, each with a version `v`; here they are decoded once, when they are
//! committed or loaded, and never on the path of a request. A snapshot is cheap to clone (persistent maps) and is replaced as a
//! whole, so that one call sees one moment.

use std::sync::{Arc, OnceLock};

use api::{AccountId, AliasArn, AliasName, KeyArn, KeyId, KeyUsage, Region, Timestamp};
use arc_swap::ArcSwapOption;
use crypto::{Cipher, KeyMaterial, Keyring, MaterialId, WrappedMaterial};
use imbl::{OrdMap, OrdSet};
use lifecycle::{PendingWindow, deadline};
use serde::{Deserialize, Serialize};
use store::{Batch, Entry, Version};

/// Version of every record written today.
const RECORD_VERSION: u8 = 1;

/// What unwraps key material: the root keyring.
#[derive(Clone)]
pub struct Vault(Arc<Keyring>);

impl Vault {
    /// A vault over a keyring.
    pub fn new(keyring: Keyring) -> Vault {
        Vault(Arc::new(keyring))
    }

    /// Wraps material so that it can be stored; it opens only for the same key and material ID.
    pub(crate) fn wrap(&self, key: &KeyArn, id: MaterialId, material: &KeyMaterial) -> Material {
        Material { id, wrapped: self.0.wrap(material, &binding(key, id)), created: None }
    }

    /// The prepared cipher of `key`'s material `id`, if the key has such material. Unwrapped once, then kept with the key.
    ///
    /// # Errors
    /// The keyring's, when stored material does not open: a damaged store or the wrong keyring.
    pub(crate) fn cipher(&self, key: &Key, id: MaterialId) -> Result<Option<Arc<Cipher>>, crypto::Error> {
        let Some(material) = key.material.iter().find(|material| material.id == id) else { return Ok(None) };
        if let Some((known, cipher)) = key.live.cipher.get()
            && *known == id
        {
            return Ok(Some(cipher.clone()));
        }
        let opened = self.0.unwrap(&material.wrapped, &binding(&key.arn, id))?;
        let cipher = Arc::new(Cipher::new(&opened));
        // Of two calls that race here one is kept; both ciphers are the same.
        let _ = key.live.cipher.set((id, cipher.clone()));
        Ok(Some(cipher))
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

/// One version of a key's material.
#[derive(Debug, Clone)]
pub struct Material {
    /// Its public ID.
    pub id: MaterialId,
    /// The material under the root keyring.
    pub wrapped: WrappedMaterial,
    /// When it became current; `None` for the first, which came with the key.
    pub created: Option<Timestamp>,
}

/// The last successful cryptographic operation with a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastUse {
    /// `Decrypt` and so on.
    pub operation: String,
    /// When.
    pub at: Timestamp,
    /// The CloudTrail record.
    pub event_id: String,
    /// The request.
    pub request_id: String,
}

/// What a key has beside its record: it lives from load to deletion, over all changes of the record.
#[derive(Default)]
pub(crate) struct Live {
    cipher: OnceLock<(MaterialId, Arc<Cipher>)>,
    last_use: ArcSwapOption<LastUse>,
}

/// A key.
#[derive(Clone)]
pub struct Key {
    /// Its name.
    pub arn: KeyArn,
    /// When it was made.
    pub created: Timestamp,
    /// Free text.
    pub description: String,
    /// Where it is in its life.
    pub state: lifecycle::State,
    /// `AWS_KMS` or `EXTERNAL`.
    pub origin: Origin,
    /// Whether it is a multi-Region primary.
    pub multi_region: bool,
    /// The key policy as it was put.
    pub policy_text: String,
    /// The same, compiled.
    pub policy: Arc<policy::Document>,
    /// Tags by key.
    pub tags: std::collections::BTreeMap<String, String>,
    /// Its material, the current one last; empty while PendingImport.
    pub material: Vec<Material>,
    pub(crate) live: Arc<Live>,
}

/// Where a key's material comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Origin {
    /// Generated here.
    #[serde(rename = "AWS_KMS")]
    AwsKms,
    /// To be imported.
    #[serde(rename = "EXTERNAL")]
    External,
}

impl Origin {
    /// AWS's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::AwsKms => "AWS_KMS",
            Origin::External => "EXTERNAL",
        }
    }
}

impl Key {
    /// A new key with an accepted policy, and nothing else yet.
    pub(crate) fn with_policy(
        arn: KeyArn,
        created: Timestamp,
        state: lifecycle::State,
        policy_text: String,
        policy: Arc<policy::Document>,
    ) -> Key {
        Key {
            arn,
            created,
            description: String::new(),
            state,
            origin: Origin::AwsKms,
            multi_region: arn.key.is_multi_region(),
            policy_text,
            policy,
            tags: std::collections::BTreeMap::new(),
            material: Vec::new(),
            live: Arc::default(),
        }
    }

    /// What the key is for. Every key is a symmetric encryption key so far.
    pub fn usage(&self) -> KeyUsage {
        KeyUsage::EncryptDecrypt
    }

    /// The material that encrypts today.
    pub fn current_material(&self) -> Option<MaterialId> {
        self.material.last().map(|material| material.id)
    }

    /// The last successful cryptographic operation, as far as is known.
    pub fn last_use(&self) -> Option<Arc<LastUse>> {
        self.live.last_use.load_full()
    }
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The key it points to.
    pub target: KeyId,
    /// When it was made.
    pub created: Timestamp,
    /// When it was last pointed to a key.
    pub updated: Timestamp,
}

/// What is left of a deleted key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    v: u8,
    /// When the key was made.
    pub created: Timestamp,
    /// When its waiting period was over.
    pub deletion_date: Timestamp,
    /// When it was deleted.
    pub deleted: Timestamp,
}

impl Tombstone {
    pub(crate) fn new(created: Timestamp, deletion_date: Timestamp, deleted: Timestamp) -> Tombstone {
        Tombstone { v: RECORD_VERSION, created, deletion_date, deleted }
    }
}

/// A stored record that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Corrupt {
    /// A key of the store that names no record of ours.
    #[error("store key `{key}` names no record that this version knows; was the store written by a newer version?")]
    Key {
        /// The key, printable.
        key: String,
    },
    /// A record that does not decode.
    #[error("record `{key}` cannot be read: {why}")]
    Record {
        /// The key, printable.
        key: String,
        /// What was wrong with it.
        why: String,
    },
}

/// Something stored, and the version it was stored at.
pub(crate) type Stored<T> = (Version, Arc<T>);

/// An alias by account, Region and name.
pub(crate) type AliasKey = (AccountId, Region, AliasName);

/// A snapshot of all keys and aliases.
#[derive(Clone, Default)]
pub struct State {
    keys: OrdMap<KeyArn, Stored<Key>>,
    aliases: OrdMap<AliasKey, Stored<Alias>>,
    targets: OrdSet<(KeyArn, AliasName)>,
    deadlines: OrdSet<(Timestamp, KeyArn)>,
    tombstones: OrdMap<KeyArn, Stored<Tombstone>>,
}

impl State {
    /// The key of that name.
    pub fn key(&self, arn: &KeyArn) -> Option<&Arc<Key>> {
        self.keys.get(arn).map(|(_, key)| key)
    }

    /// What is left of the deleted key of that name.
    pub fn tombstone(&self, arn: &KeyArn) -> Option<&Arc<Tombstone>> {
        self.tombstones.get(arn).map(|(_, tombstone)| tombstone)
    }

    pub(crate) fn key_version(&self, arn: &KeyArn) -> Option<Version> {
        self.keys.get(arn).map(|(version, _)| *version)
    }

    pub(crate) fn alias(&self, alias: &AliasKey) -> Option<&Stored<Alias>> {
        self.aliases.get(alias)
    }

    /// Keys of an account and Region, by ID, after `after`.
    pub(crate) fn keys_of(
        &self,
        account: AccountId,
        region: Region,
        after: Option<KeyId>,
    ) -> impl Iterator<Item = &Arc<Key>> {
        let first = KeyArn { account, region, key: after.unwrap_or(KeyId::FIRST) };
        self.keys
            .range(first..)
            .map(|(_, (_, key))| key)
            .skip_while(move |key| after.is_some() && key.arn == first)
            .take_while(move |key| key.arn.account == account && key.arn.region == region)
    }

    /// How many keys an account has in a Region.
    pub(crate) fn count_keys(&self, account: AccountId, region: Region) -> usize {
        self.keys_of(account, region, None).count()
    }

    /// Aliases of an account and Region, by name, after `after`.
    pub(crate) fn aliases_of(
        &self,
        account: AccountId,
        region: Region,
        after: Option<&AliasName>,
    ) -> impl Iterator<Item = (&AliasName, &Arc<Alias>)> {
        self.aliases
            .iter()
            .filter(move |((of, at, _), _)| *of == account && *at == region)
            .map(|((_, _, name), (_, alias))| (name, alias))
            .filter(move |(name, _)| after.is_none_or(|after| *name > after))
    }

    /// Names of the aliases that point to a key, in order.
    pub fn aliases_to(&self, arn: KeyArn) -> impl Iterator<Item = &AliasName> {
        // `alias/` sorts before every alias name.
        self.targets
            .iter()
            .skip_while(move |(key, _)| *key < arn)
            .take_while(move |(key, _)| *key == arn)
            .map(|(_, n)| n)
    }

    /// Keys whose waiting period is over at `now`, the longest overdue first.
    pub(crate) fn overdue(&self, now: Timestamp) -> impl Iterator<Item = &Arc<Key>> {
        self.deadlines.iter().take_while(move |(date, _)| *date <= now).filter_map(|(_, arn)| self.key(arn))
    }

    /// When the next waiting period is over, if any is running.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.get_min().map(|(date, _)| *date)
    }

    /// Notes a successful cryptographic operation, unless a later one is known.
    ///
    /// Lock-free and shared by all snapshots of the key, so that the path of a request need not replace the state.
    pub fn note_use(&self, arn: &KeyArn, used: &LastUse) {
        let Some(key) = self.key(arn) else { return };
        key.live.last_use.rcu(|known| match known {
            Some(known) if known.at > used.at => Some(known.clone()),
            _ => Some(Arc::new(used.clone())),
        });
    }

    /// Takes one stored record into the snapshot.
    ///
    /// # Errors
    /// [`Corrupt`] naming the record that cannot be read.
    pub fn load(&mut self, entry: &Entry) -> Result<(), Corrupt> {
        self.put(&entry.key, &entry.value, entry.version)
    }

    /// Takes a committed batch into the snapshot.
    ///
    /// # Errors
    /// [`Corrupt`] naming the record that cannot be read.
    pub fn apply(&mut self, batch: &Batch, revision: Version) -> Result<(), Corrupt> {
        for key in &batch.delete {
            self.remove(key)?;
        }
        for (key, value) in &batch.put {
            self.put(key, value, revision)?;
        }
        Ok(())
    }

    fn put(&mut self, key: &[u8], value: &[u8], version: Version) -> Result<(), Corrupt> {
        match Name::parse(key)? {
            Name::Key(arn) => {
                let live = self.key(&arn).map(|known| known.live.clone()).unwrap_or_default();
                let record = decode_key(key, value, arn, live)?;
                self.forget_deadline(&arn);
                if let Some(date) = deadline(&record.state) {
                    self.deadlines.insert((date, arn));
                }
                self.keys.insert(arn, (version, Arc::new(record)));
            }
            Name::Alias(name) => {
                let alias = decode_alias(key, value)?;
                self.forget_target(&name);
                self.targets.insert((target_of(&name, &alias), name.2.clone()));
                self.aliases.insert(name, (version, Arc::new(alias)));
            }
            Name::Tombstone(arn) => {
                let tombstone: Tombstone = decode(key, value)?;
                self.tombstones.insert(arn, (version, Arc::new(tombstone)));
            }
            Name::LastUse(arn) => self.note_use(&arn, &decode(key, value)?),
        }
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Corrupt> {
        match Name::parse(key)? {
            Name::Key(arn) => {
                self.forget_deadline(&arn);
                self.keys.remove(&arn);
            }
            Name::Alias(name) => {
                self.forget_target(&name);
                self.aliases.remove(&name);
            }
            Name::Tombstone(arn) => {
                self.tombstones.remove(&arn);
            }
            Name::LastUse(_) => {}
        }
        Ok(())
    }

    fn forget_deadline(&mut self, arn: &KeyArn) {
        if let Some(date) = self.key(arn).and_then(|key| deadline(&key.state)) {
            self.deadlines.remove(&(date, *arn));
        }
    }

    fn forget_target(&mut self, name: &AliasKey) {
        if let Some((_, known)) = self.aliases.get(name) {
            let target = target_of(name, known);
            self.targets.remove(&(target, name.2.clone()));
        }
    }
}

fn target_of(name: &AliasKey, alias: &Alias) -> KeyArn {
    KeyArn { account: name.0, region: name.1, key: alias.target }
}

/// A key of the store: which record it names.
///
/// `key/<key ARN>`, `alias/<alias ARN>`, `tombstone/<key ARN>`, `last-use/<key ARN>`: text, so that a store can be read by eye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Key(KeyArn),
    Alias(AliasKey),
    Tombstone(KeyArn),
    LastUse(KeyArn),
}

impl Name {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let text = match self {
            Name::Key(arn) => format!("key/{arn}"),
            Name::Alias((account, region, alias)) => {
                format!("alias/{}", AliasArn { account: *account, region: *region, alias: alias.clone() })
            }
            Name::Tombstone(arn) => format!("tombstone/{arn}"),
            Name::LastUse(arn) => format!("last-use/{arn}"),
        };
        text.into_bytes()
    }

    fn parse(key: &[u8]) -> Result<Name, Corrupt> {
        let unknown = || Corrupt::Key { key: printable(key) };
        let text = std::str::from_utf8(key).map_err(|_| unknown())?;
        let (kind, rest) = text.split_once('/').ok_or_else(unknown)?;
        let arn = || rest.parse::<KeyArn>().map_err(|_| unknown());
        match kind {
            "key" => Ok(Name::Key(arn()?)),
            "tombstone" => Ok(Name::Tombstone(arn()?)),
            "last-use" => Ok(Name::LastUse(arn()?)),
            "alias" => match api::KeyRef::parse(rest) {
                Ok(api::KeyRef::AliasArn(arn)) => Ok(Name::Alias((arn.account, arn.region, arn.alias))),
                _ => Err(unknown()),
            },
            _ => Err(unknown()),
        }
    }
}

fn printable(key: &[u8]) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn decode<'a, T: Deserialize<'a>>(key: &[u8], value: &'a [u8]) -> Result<T, Corrupt> {
    #[derive(Deserialize)]
    struct Versioned {
        v: u8,
    }

    let corrupt = |why: String| Corrupt::Record { key: printable(key), why };
    let Versioned { v } = serde_json::from_slice(value).map_err(|error| corrupt(error.to_string()))?;
    if v != RECORD_VERSION {
        return Err(corrupt(format!("its version is {v}, and this program reads version {RECORD_VERSION}")));
    }
    serde_json::from_slice(value).map_err(|error| corrupt(error.to_string()))
}

fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    serde_json::to_vec(record).expect("records hold only texts, numbers and lists of them")
}

#[derive(Serialize, Deserialize)]
struct KeyRecord {
    v: u8,
    created: Timestamp,
    description: String,
    state: StateRecord,
    origin: Origin,
    policy: String,
    tags: std::collections::BTreeMap<String, String>,
    material: Vec<MaterialRecord>,
}

#[derive(Serialize, Deserialize)]
enum StateRecord {
    Creating,
    Enabled,
    Disabled,
    PendingDeletion { deletion_date: Timestamp },
    PendingReplicaDeletion { window_days: u8 },
    PendingImport,
    Unavailable { enabled: bool },
    Updating,
}

#[derive(Serialize, Deserialize)]
struct MaterialRecord {
    id: String,
    wrapped: String,
    created: Option<Timestamp>,
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
            S::Creating => StateRecord::Creating,
            S::Enabled => StateRecord::Enabled,
            S::Disabled => StateRecord::Disabled,
            S::PendingDeletion { deletion_date } => StateRecord::PendingDeletion { deletion_date },
            S::PendingReplicaDeletion { window } => StateRecord::PendingReplicaDeletion { window_days: window.days() },
            S::PendingImport => StateRecord::PendingImport,
            S::Unavailable { enabled } => StateRecord::Unavailable { enabled },
            S::Updating => StateRecord::Updating,
        },
        origin: key.origin,
        policy: key.policy_text.clone(),
        tags: key.tags.clone(),
        material: key
            .material
            .iter()
            .map(|material| MaterialRecord {
                id: material.id.to_string(),
                wrapped: hex(material.wrapped.as_bytes()),
                created: material.created,
            })
            .collect(),
    })
}

fn decode_key(name: &[u8], value: &[u8], arn: KeyArn, live: Arc<Live>) -> Result<Key, Corrupt> {
    use lifecycle::State as S;
    let corrupt = |why: String| Corrupt::Record { key: printable(name), why };
    let record: KeyRecord = decode(name, value)?;
    let state = match record.state {
        StateRecord::Creating => S::Creating,
        StateRecord::Enabled => S::Enabled,
        StateRecord::Disabled => S::Disabled,
        StateRecord::PendingDeletion { deletion_date } => S::PendingDeletion { deletion_date },
        StateRecord::PendingReplicaDeletion { window_days } => S::PendingReplicaDeletion {
            window: PendingWindow::of_days(window_days.into()).map_err(|error| corrupt(error.to_string()))?,
        },
        StateRecord::PendingImport => S::PendingImport,
        StateRecord::Unavailable { enabled } => S::Unavailable { enabled },
        StateRecord::Updating => S::Updating,
    };
    let material = record
        .material
        .into_iter()
        .map(|material| {
            let id = unhex(&material.id).and_then(|bytes| bytes.try_into().ok());
            let id = id.ok_or_else(|| corrupt(format!("material ID `{}` is not 64 hex digits", material.id)))?;
            let bytes = unhex(&material.wrapped).ok_or_else(|| corrupt("wrapped material is not hex".to_owned()))?;
            let wrapped = WrappedMaterial::from_bytes(&bytes).map_err(|error| corrupt(error.to_string()))?;
            Ok(Material { id: MaterialId(id), wrapped, created: material.created })
        })
        .collect::<Result<_, Corrupt>>()?;
    let policy = policy::Document::parse(&record.policy).map_err(|error| corrupt(error.to_string()))?;
    Ok(Key {
        arn,
        created: record.created,
        description: record.description,
        state,
        origin: record.origin,
        multi_region: arn.key.is_multi_region(),
        policy_text: record.policy,
        policy: Arc::new(policy),
        tags: record.tags,
        material,
        live,
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

fn decode_alias(name: &[u8], value: &[u8]) -> Result<Alias, Corrupt> {
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

/// What a batch must write so that last uses survive the records they were derived from.
///
/// The caller makes it when it seals records: `(key, value)` of the store for each key of `uses` that still exists.
pub fn uses_batch<'a>(state: &State, uses: impl IntoIterator<Item = &'a KeyArn>) -> Vec<(Vec<u8>, Vec<u8>)> {
    uses.into_iter()
        .filter_map(|arn| {
            let used = state.key(arn)?.last_use()?;
            Some((Name::LastUse(*arn).to_bytes(), encode(&LastUseRecord { v: RECORD_VERSION, used: &used })))
        })
        .collect()
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
