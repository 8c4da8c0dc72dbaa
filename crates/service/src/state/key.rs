//! A key as the service knows it.

use std::sync::Arc;

use api::{KeyArn, KeySpec, KeyUsage, Timestamp};
use arc_swap::{ArcSwap, ArcSwapOption};
use crypto::{MaterialId, PreparedKey, WrappedMaterial};
use lifecycle::{RotationPeriod, Timer};
use serde::{Deserialize, Serialize};

use super::KeyStoreId;
use crate::outside::Backing;
use crate::rotation::RotationKind;

/// One version of a key's material.
#[derive(Debug, Clone)]
pub struct Material {
    /// Its public ID.
    pub id: MaterialId,
    /// The material under the root keyring; nothing while imported material is to be imported again.
    pub wrapped: Option<WrappedMaterial>,
    /// The rotation that made it the current one; `None` for the first, which came with the key.
    pub rotated: Option<Rotated>,
    /// How it was imported last, if it was.
    pub import: Option<Import>,
}

/// What is known of imported material.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// When it expires; `None` for never. Of no meaning while the material is gone.
    pub valid_to: Option<Timestamp>,
    /// Free text.
    pub description: Option<String>,
}

impl Material {
    /// A place for imported material that has not come yet.
    pub(crate) fn awaited(id: MaterialId) -> Material {
        Material { id, wrapped: None, rotated: None, import: None }
    }

    /// When it will expire, if it is there and expires.
    pub(crate) fn expiry(&self) -> Option<Timestamp> {
        self.import.as_ref().filter(|_| self.wrapped.is_some())?.valid_to
    }
}

/// A rotation that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    /// When.
    pub at: Timestamp,
    /// What brought it about.
    pub kind: RotationKind,
}

/// Automatic rotation, switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Schedule {
    /// How long one material stays the current one.
    pub period: RotationPeriod,
    /// When the key is next rotated; later where it is not in a state to be rotated then.
    pub next: Timestamp,
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
    prepared: ArcSwap<Vec<(MaterialId, Arc<PreparedKey>)>>,
    last_use: ArcSwapOption<LastUse>,
}

/// Prepared materials that are kept with a key; a key that was rotated more often prepares old ones again.
const PREPARED: usize = 8;

impl Live {
    pub(crate) fn prepared(&self, id: MaterialId) -> Option<Arc<PreparedKey>> {
        self.prepared.load().iter().find(|(known, _)| *known == id).map(|(_, prepared)| prepared.clone())
    }

    /// Keeps a prepared material. Of two calls that race here one is kept; both prepared the same.
    pub(crate) fn keep(&self, id: MaterialId, prepared: &Arc<PreparedKey>) {
        let mut kept: Vec<_> = self.prepared.load().iter().filter(|(known, _)| *known != id).cloned().collect();
        kept.truncate(PREPARED - 1);
        kept.insert(0, (id, prepared.clone()));
        self.prepared.store(Arc::new(kept));
    }

    /// Forgets prepared material that is none of `kept`.
    pub(crate) fn retain(&self, kept: impl Fn(MaterialId) -> bool) {
        let known = self.prepared.load();
        if known.iter().any(|(id, _)| !kept(*id)) {
            self.prepared.store(Arc::new(known.iter().filter(|(id, _)| kept(*id)).cloned().collect()));
        }
    }

    pub(crate) fn note_use(&self, used: &LastUse) {
        self.last_use.rcu(|known| match known {
            Some(known) if known.at > used.at => Some(known.clone()),
            _ => Some(Arc::new(used.clone())),
        });
    }
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
    /// What material it has.
    pub spec: KeySpec,
    /// What it is for: one of its spec's usages.
    pub usage: KeyUsage,
    /// Where the material comes from.
    pub origin: Origin,
    /// Whether it is a multi-Region key; its [`super::Family`] says which Region has the primary.
    pub multi_region: bool,
    /// The key policy as it was put.
    pub policy_text: String,
    /// The same, compiled.
    pub policy: Arc<policy::Document>,
    /// Tags by key.
    pub tags: std::collections::BTreeMap<String, String>,
    /// Its material, the current one last; empty before a first import. Some of it may be gone while PendingImport.
    pub material: Vec<Material>,
    /// Imported material that a rotation on demand will make the current one.
    pub next_material: Option<Material>,
    /// The secret under which imported material is named; made with the first import, and shared with later replicas.
    pub import_secret: Option<WrappedMaterial>,
    /// Automatic rotation; `None` while it is switched off.
    pub rotation: Option<Schedule>,
    /// Where the key is, if it is not here.
    pub(crate) custody: Option<Custody>,
    pub(crate) live: Arc<Live>,
}

/// A key's place in a custom key store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Custody {
    pub(crate) store: KeyStoreId,
    pub(crate) backing: Backing,
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
    /// Made in a cluster of hardware security modules.
    #[serde(rename = "AWS_CLOUDHSM")]
    CloudHsm,
    /// Kept by an external key manager.
    #[serde(rename = "EXTERNAL_KEY_STORE")]
    ExternalKeyStore,
}

impl Origin {
    /// AWS's spelling.
    pub fn as_str(self) -> &'static str {
        match self {
            Origin::AwsKms => "AWS_KMS",
            Origin::External => "EXTERNAL",
            Origin::CloudHsm => "AWS_CLOUDHSM",
            Origin::ExternalKeyStore => "EXTERNAL_KEY_STORE",
        }
    }

    /// The origin that AWS spells like this.
    pub fn named(text: &str) -> Option<Origin> {
        [Origin::AwsKms, Origin::External, Origin::CloudHsm, Origin::ExternalKeyStore]
            .into_iter()
            .find(|origin| origin.as_str() == text)
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
            spec: KeySpec::SymmetricDefault,
            usage: KeyUsage::EncryptDecrypt,
            origin: Origin::AwsKms,
            multi_region: arn.key.is_multi_region(),
            policy_text,
            policy,
            tags: std::collections::BTreeMap::new(),
            material: Vec::new(),
            next_material: None,
            import_secret: None,
            rotation: None,
            custody: None,
            live: Arc::default(),
        }
    }

    /// The material that encrypts today.
    pub fn current_material(&self) -> Option<MaterialId> {
        self.material.last().map(|material| material.id)
    }

    /// All its material, the one that waits for its rotation last.
    pub(crate) fn materials(&self) -> impl Iterator<Item = &Material> {
        self.material.iter().chain(&self.next_material)
    }

    /// Whether no material is missing. One that waits for its rotation is not needed yet.
    pub(crate) fn has_all_material(&self) -> bool {
        !self.material.is_empty() && self.material.iter().all(|material| material.wrapped.is_some())
    }

    /// Deletes the imported material that `gone` names, and lets the state follow; how much that was. Its ID is kept, by which it
    /// is known when it is imported again; but one that still waits for its rotation leaves no trace.
    pub(crate) fn forget(&mut self, gone: impl Fn(&Material) -> bool) -> usize {
        let next = self.next_material.take_if(|material| gone(material));
        let mut count = usize::from(next.is_some());
        for material in self.material.iter_mut().filter(|material| gone(material)) {
            count += usize::from(material.wrapped.take().is_some());
        }
        self.state = self.state.with_material(self.has_all_material());
        count
    }

    /// When `timer` will do something to this key, if it runs.
    pub fn deadline(&self, timer: Timer) -> Option<Timestamp> {
        let date = match timer {
            Timer::Deletion | Timer::Settlement => lifecycle::deadline(&self.state),
            Timer::Expiry => self.materials().filter_map(Material::expiry).min(),
            Timer::Rotation => self.rotation.map(|schedule| schedule.next),
        };
        date.filter(|_| lifecycle::runs(timer, &self.state))
    }

    /// The last successful cryptographic operation, as far as is known.
    pub fn last_use(&self) -> Option<Arc<LastUse>> {
        self.live.last_use.load_full()
    }
}
