//! The world as the service knows it: an immutable snapshot of keys, aliases and tombstones.
//!
//! What is stored is bytes, one JSON object a record, each with a version `v`; here they are decoded once, when they are
//! committed or loaded, and never on the path of a request. A snapshot is cheap to clone (persistent maps) and is replaced as a
//! whole, so that one call sees one moment.

mod alias;
mod family;
mod grant;
mod grants;
mod key;
mod key_store;
mod name;
mod record;

use std::collections::BTreeSet;
use std::ops::Bound;
use std::sync::Arc;

use api::{AccountId, AliasName, GrantId, KeyArn, KeyId, Region, Timestamp};
use imbl::{OrdMap, OrdSet};
use jiff::SignedDuration;
use lifecycle::Timer;
use store::{Batch, Entry, Version};

pub use alias::{Alias, Tombstone};
pub use family::Family;
pub(crate) use family::{encode_family, member};
pub(crate) use grant::{Grant, Party};
pub(crate) use grant::{Slot, encode_grant};
pub(crate) use key::{Custody, Origin};
pub use key::{Import, Key, LastUse, Material, Rotated, Schedule};
pub(crate) use key_store::StoreKey;
pub use key_store::{Connection, KeyStore, KeyStoreId, KeyStoreKind};
pub(crate) use name::Name;
pub(crate) use record::{encode_alias, encode_key, encode_key_store, encode_tombstone};

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

/// A snapshot of all keys, families and aliases.
#[derive(Clone, Default)]
pub struct State {
    keys: OrdMap<KeyArn, Stored<Key>>,
    aliases: OrdMap<AliasKey, Stored<Alias>>,
    targets: OrdSet<(KeyArn, AliasName)>,
    families: OrdMap<(AccountId, KeyId), Stored<Family>>,
    /// For each timer, by [`deadlines_of`](State::deadlines_of): when it does something to which key.
    deadlines: [OrdSet<(Timestamp, KeyArn)>; Timer::ALL.len()],
    tombstones: OrdMap<KeyArn, Stored<Tombstone>>,
    grants: grants::Grants,
    key_stores: OrdMap<StoreKey, Stored<KeyStore>>,
    /// Keys by the custom key store that they are in.
    held: OrdSet<(StoreKey, KeyArn)>,
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

    /// The family of a multi-Region key; `None` for others.
    pub fn family(&self, arn: &KeyArn) -> Option<Family> {
        let known = self.families.get(&(arn.account, arn.key)).map(|(_, family)| Family::clone(family));
        arn.key.is_multi_region().then(|| known.unwrap_or_else(|| Family::alone(arn.region)))
    }

    pub(crate) fn family_version(&self, arn: &KeyArn) -> Option<Version> {
        self.families.get(&(arn.account, arn.key)).map(|(version, _)| *version)
    }

    /// The primary of a replica; `None` where the key is none.
    pub(crate) fn primary(&self, replica: &Key) -> Option<&Arc<Key>> {
        let family = self.family(&replica.arn).filter(|family| family.primary != replica.arn.region)?;
        self.key(&member(replica.arn, family.primary))
    }

    /// The replicas of a key; none, where it is no primary.
    pub(crate) fn replicas(&self, primary: KeyArn) -> impl Iterator<Item = &Arc<Key>> {
        let family = self.family(&primary).filter(|family| family.primary == primary.region);
        let regions = family.into_iter().flat_map(|family| family.replicas);
        regions.filter_map(move |region| self.key(&member(primary, region)))
    }

    /// A custom key store.
    pub(crate) fn key_store(&self, store: &StoreKey) -> Option<&Stored<KeyStore>> {
        self.key_stores.get(store)
    }

    /// The custom key stores of an account and Region, by ID.
    pub(crate) fn key_stores_of(&self, account: AccountId, region: Region) -> impl Iterator<Item = &Stored<KeyStore>> {
        self.key_stores.iter().filter(move |((of, at, _), _)| *of == account && *at == region).map(|(_, stored)| stored)
    }

    /// The keys in a custom key store.
    pub(crate) fn keys_in<'a>(&'a self, store: &'a StoreKey) -> impl Iterator<Item = &'a Arc<Key>> {
        let first = KeyArn { account: store.0, region: store.1, key: KeyId::FIRST };
        self.held
            .range((store.clone(), first)..)
            .take_while(move |(of, _)| of == store)
            .filter_map(|(_, arn)| self.key(arn))
    }

    /// Whether any key may be outside, so that a call may have to wait for it.
    pub fn reaches_outside(&self) -> bool {
        !self.key_stores.is_empty()
    }

    /// Custom key stores of which it is not known yet whether they can be connected.
    pub(crate) fn connecting(&self) -> impl Iterator<Item = (&StoreKey, &Stored<KeyStore>)> {
        self.key_stores.iter().filter(|(_, (_, store))| store.connection == Connection::Connecting)
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
        let start = match after {
            None => Bound::Included((account, region, AliasName::first())),
            Some(after) => Bound::Excluded((account, region, after.clone())),
        };
        self.aliases
            .range((start, Bound::Unbounded))
            .take_while(move |((of, at, _), _)| *of == account && *at == region)
            .map(|((_, _, name), (_, alias))| (name, alias))
    }

    /// Names of the aliases that point to a key, in order.
    pub fn aliases_to(&self, arn: KeyArn) -> impl Iterator<Item = &AliasName> {
        let all = self.targets.range((arn, AliasName::first())..);
        all.take_while(move |(key, _)| *key == arn).map(|(_, name)| name)
    }

    /// The grants of a key, by ID, after `after`.
    pub(crate) fn grants_of(&self, key: &Key, after: Option<GrantId>) -> impl Iterator<Item = &Arc<Grant>> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let grants = self.grants.of((key.arn, key.created));
        grants.into_iter().flat_map(move |grants| grants.range(range)).map(|(_, (_, grant))| grant)
    }

    /// How many grants a key has.
    pub(crate) fn count_grants(&self, key: &Key) -> usize {
        self.grants.of((key.arn, key.created)).map_or(0, OrdMap::len)
    }

    /// A grant of a key.
    pub(crate) fn grant(&self, key: &Key, id: &GrantId) -> Option<&Stored<Grant>> {
        self.grants.of((key.arn, key.created))?.get(id)
    }

    /// What is in a slot of a key.
    pub(crate) fn grant_at(&self, key: &Key, slot: Slot) -> Option<&Stored<Grant>> {
        self.grants.at((key.arn, key.created), slot)
    }

    /// The grants of a key that can reach `principal`.
    pub(crate) fn grants_to<'s>(&'s self, key: &Key, principal: &policy::Principal<'_>) -> Vec<&'s Grant> {
        let key = (key.arn, key.created);
        principal.names().flat_map(|name| self.grants.to(key, &name).collect::<Vec<_>>()).map(Arc::as_ref).collect()
    }

    /// The grants that `retiring` may retire, by key and ID, after `after`.
    pub(crate) fn retirable(
        &self,
        retiring: &str,
        after: Option<(KeyArn, GrantId)>,
    ) -> impl Iterator<Item = &Arc<Grant>> {
        // Of a key that is gone meanwhile nothing more is listed.
        let created = |arn| self.key(&arn).map_or(Timestamp::MAX, |key| key.created);
        let after = after.map(|(arn, id)| (arn, created(arn), id));
        let lives = |grant: &&Arc<Grant>| self.key(&grant.key).is_some_and(|key| key.created == grant.key_created);
        self.grants.retirable(retiring, after).filter(lives)
    }

    /// Grants of keys that are gone, which nobody sees any more.
    pub(crate) fn leftovers(&self) -> impl Iterator<Item = &Stored<Grant>> {
        self.grants.leftovers(|arn| self.key(arn).map(|key| key.created))
    }

    fn look_for_litter(&mut self, arn: &KeyArn) {
        let created = self.key(arn).map(|key| key.created);
        self.grants.look_for_litter(arn, created);
    }

    /// Keys to which `timer` does something at `now`, the longest overdue first.
    pub(crate) fn overdue(&self, timer: Timer, now: Timestamp) -> impl Iterator<Item = &Arc<Key>> {
        self.deadlines_of(timer).iter().take_while(move |(date, _)| *date <= now).filter_map(|(_, arn)| self.key(arn))
    }

    /// When time will next change a key, if it will. Deletions come `deletion_delay_seconds` after their date, as in
    /// [`crate::tick`].
    pub fn next_deadline(&self, deletion_delay_seconds: u32) -> Option<Timestamp> {
        let delay = SignedDuration::from_secs(i64::from(deletion_delay_seconds));
        let next = |timer: Timer| {
            let (date, _) = self.deadlines_of(timer).get_min()?;
            Some(match timer {
                Timer::Deletion => date.checked_add(delay).unwrap_or(Timestamp::MAX),
                Timer::Settlement | Timer::Expiry | Timer::Rotation => *date,
            })
        };
        Timer::ALL.into_iter().filter_map(next).min()
    }

    fn deadlines_of(&self, timer: Timer) -> &OrdSet<(Timestamp, KeyArn)> {
        &self.deadlines[timer as usize]
    }

    /// Notes a successful cryptographic operation, unless a later one is known.
    ///
    /// Lock-free and shared by all snapshots of the key, so that the path of a request need not replace the state.
    pub fn note_use(&self, arn: &KeyArn, used: &LastUse) {
        if let Some(key) = self.key(arn) {
            key.live.note_use(used);
        }
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
                let mut decoded = record::decode_key(key, value, arn, live)?;
                // What was deleted must not be usable from memory either.
                let has = |id| decoded.material.iter().any(|known| known.id == id && known.wrapped.is_some());
                decoded.live.retain(has);
                self.forget_custody(&arn);
                if let Some(custody) = &decoded.custody {
                    let store = (arn.account, arn.region, custody.store.clone());
                    decoded.state = shown(decoded.state, self.is_connected(&store));
                    self.held.insert((store, arn));
                }
                self.place(version, decoded);
                self.look_for_litter(&arn);
            }
            Name::Grant(arn, slot) => {
                self.grants.put(grant::decode_grant(key, value, arn, slot)?, version);
                self.look_for_litter(&arn);
            }
            Name::Alias(name) => {
                let alias = record::decode_alias(key, value)?;
                self.forget_target(&name);
                self.targets.insert((target_of(&name, &alias), name.2.clone()));
                self.aliases.insert(name, (version, Arc::new(alias)));
            }
            Name::Tombstone(arn) => {
                let tombstone: Tombstone = record::decode(key, value)?;
                self.tombstones.insert(arn, (version, Arc::new(tombstone)));
            }
            Name::LastUse(arn) => self.note_use(&arn, &record::decode(key, value)?),
            Name::Family(account, id) => {
                let family = family::decode_family(key, value, id)?;
                self.change_family(account, id, Some((version, Arc::new(family))));
            }
            Name::KeyStore(name) => {
                let store = record::decode_key_store(key, value, &name)?;
                self.key_stores.insert(name.clone(), (version, Arc::new(store)));
                self.show_custody(&name);
            }
        }
        Ok(())
    }

    fn remove(&mut self, key: &[u8]) -> Result<(), Corrupt> {
        match Name::parse(key)? {
            Name::Key(arn) => {
                self.forget_deadlines(&arn);
                self.forget_custody(&arn);
                self.keys.remove(&arn);
                self.look_for_litter(&arn);
            }
            Name::Grant(arn, slot) => {
                self.grants.remove(&arn, slot);
                self.look_for_litter(&arn);
            }
            Name::Alias(name) => {
                self.forget_target(&name);
                self.aliases.remove(&name);
            }
            Name::Tombstone(arn) => {
                self.tombstones.remove(&arn);
            }
            Name::LastUse(_) => {}
            Name::Family(account, id) => self.change_family(account, id, None),
            Name::KeyStore(name) => {
                self.key_stores.remove(&name);
                self.show_custody(&name);
            }
        }
        Ok(())
    }

    fn forget_deadlines(&mut self, arn: &KeyArn) {
        for (timer, date) in self.deadlines(arn) {
            self.deadlines[timer as usize].remove(&(date, *arn));
        }
    }

    fn note_deadlines(&mut self, arn: &KeyArn) {
        for (timer, date) in self.deadlines(arn) {
            self.deadlines[timer as usize].insert((date, *arn));
        }
    }

    /// When each timer will do something to a key.
    fn deadlines(&self, arn: &KeyArn) -> Vec<(Timer, Timestamp)> {
        let Some(key) = self.key(arn) else { return Vec::new() };
        Timer::ALL.into_iter().filter_map(|timer| Some((timer, self.deadline(key, timer)?))).collect()
    }

    /// When `timer` will do something to a key, if it runs. A replica is rotated with its primary.
    pub(crate) fn deadline(&self, key: &Key, timer: Timer) -> Option<Timestamp> {
        let rotated_with_another = || self.family(&key.arn).is_some_and(|family| family.primary != key.arn.region);
        key.deadline(timer).filter(|_| timer != Timer::Rotation || !rotated_with_another())
    }

    /// Which timers run for a member depends on its role.
    fn change_family(&mut self, account: AccountId, key: KeyId, family: Option<Stored<Family>>) {
        let known = self.families.get(&(account, key)).map(|(_, family)| family.clone());
        let both = known.iter().chain(family.iter().map(|(_, family)| family));
        let regions: BTreeSet<Region> = both.flat_map(|family| family.regions()).collect();
        let members: Vec<KeyArn> = regions.into_iter().map(|region| KeyArn { account, region, key }).collect();
        members.iter().for_each(|arn| self.forget_deadlines(arn));
        match family {
            Some(family) => self.families.insert((account, key), family),
            None => self.families.remove(&(account, key)),
        };
        members.iter().for_each(|arn| self.note_deadlines(arn));
    }

    /// Puts a key in its place, and its dates where time looks for them.
    fn place(&mut self, version: Version, key: Key) {
        let arn = key.arn;
        self.forget_deadlines(&arn);
        self.keys.insert(arn, (version, Arc::new(key)));
        self.note_deadlines(&arn);
    }

    fn forget_custody(&mut self, arn: &KeyArn) {
        if let Some(custody) = self.key(arn).and_then(|key| key.custody.clone()) {
            self.held.remove(&((arn.account, arn.region, custody.store), *arn));
        }
    }

    fn is_connected(&self, store: &StoreKey) -> bool {
        self.key_stores.get(store).is_some_and(|(_, store)| store.connection == Connection::Connected)
    }

    /// Shows the keys of a store as its connection lets them be.
    fn show_custody(&mut self, store: &StoreKey) {
        let connected = self.is_connected(store);
        let held: Vec<KeyArn> = self.keys_in(store).map(|key| key.arn).collect();
        for arn in held {
            if let Some((version, key)) = self.keys.get(&arn).cloned() {
                let state = shown(key.state, connected);
                if state != key.state {
                    self.place(version, Key { state, ..Key::clone(&key) });
                }
            }
        }
    }

    fn forget_target(&mut self, name: &AliasKey) {
        if let Some((_, known)) = self.aliases.get(name) {
            let target = target_of(name, known);
            self.targets.remove(&(target, name.2.clone()));
        }
    }
}

/// The state of a key in a custom key store. Its record holds Enabled or Disabled; which of the two is seen, and whether it is
/// seen at all, is the connection's: so connecting a store writes one record, however many keys are in it.
fn shown(state: lifecycle::State, connected: bool) -> lifecycle::State {
    use lifecycle::State as S;
    match (state, connected) {
        (S::Enabled, false) => S::Unavailable { enabled: true },
        (S::Disabled, false) => S::Unavailable { enabled: false },
        (S::Unavailable { enabled: true }, true) => S::Enabled,
        (S::Unavailable { enabled: false }, true) => S::Disabled,
        (state, _) => state,
    }
}

fn target_of(name: &AliasKey, alias: &Alias) -> KeyArn {
    KeyArn { account: name.0, region: name.1, key: alias.target }
}

/// What a batch must write so that last uses survive the records they were derived from.
///
/// The caller makes it when it seals records: `(key, value)` of the store for each key of `uses` that still exists.
pub fn uses_batch<'a>(state: &State, uses: impl IntoIterator<Item = &'a KeyArn>) -> Vec<(Vec<u8>, Vec<u8>)> {
    uses.into_iter()
        .filter_map(|arn| {
            let used = state.key(arn)?.last_use()?;
            Some((Name::LastUse(*arn).to_bytes(), record::encode_last_use(&used)))
        })
        .collect()
}
