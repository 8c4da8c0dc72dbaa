//! All grants, by key, by grantee and by who may retire them.
//!
//! INVARIANT: a grant is visible only on the key that it was made for, which is the key of its key's ARN that was made at
//! `key_created`. So the grants of a key are gone in the moment in which its record is, however many they are, and a key that is
//! made again under the same ARN (a multi-Region replica) has none of them. Their records are *leftovers* from then on: nobody sees
//! them, and [`crate::sweep`] takes them away in batches of bounded size.

use std::ops::Bound;
use std::sync::Arc;

use api::{GrantId, KeyArn, Timestamp};
use imbl::{OrdMap, OrdSet};
use store::Version;

use super::Stored;
use super::grant::{Grant, Slot};

/// A key, by name and by when it was made.
type Incarnation = (KeyArn, Timestamp);

/// An index of all stored grants, leftovers included.
#[derive(Clone, Default)]
pub(super) struct Grants {
    by_key: OrdMap<Incarnation, OrdMap<GrantId, Stored<Grant>>>,
    slots: OrdMap<(KeyArn, Slot), (Timestamp, GrantId)>,
    /// By [`policy::Named::index`] of the grantee.
    by_grantee: OrdMap<(KeyArn, Timestamp, Arc<str>), OrdSet<GrantId>>,
    /// By [`policy::Named::index`] of who may retire them.
    by_retiring: OrdMap<Arc<str>, OrdSet<(KeyArn, Timestamp, GrantId)>>,
    /// Keys that have leftovers.
    littered: OrdSet<KeyArn>,
}

impl Grants {
    /// The grants of a key, by ID.
    pub(super) fn of(&self, key: Incarnation) -> Option<&OrdMap<GrantId, Stored<Grant>>> {
        self.by_key.get(&key)
    }

    /// The grant in a slot of a key.
    pub(super) fn at(&self, key: Incarnation, slot: Slot) -> Option<&Stored<Grant>> {
        let (of, id) = self.slots.get(&(key.0, slot))?;
        self.by_key.get(&key)?.get(id).filter(|_| *of == key.1)
    }

    /// The grants of a key to one of these grantees.
    pub(super) fn to(&self, key: Incarnation, grantee: &str) -> impl Iterator<Item = &Arc<Grant>> {
        let ids = self.by_grantee.get(&(key.0, key.1, Arc::from(grantee)));
        let grants = self.by_key.get(&key);
        ids.into_iter().flatten().filter_map(move |id| grants?.get(id).map(|(_, grant)| grant))
    }

    /// Grants that `retiring` may retire, by key and ID, after `after`; leftovers among them.
    pub(super) fn retirable(
        &self,
        retiring: &str,
        after: Option<(KeyArn, Timestamp, GrantId)>,
    ) -> impl Iterator<Item = &Arc<Grant>> {
        let range = (after.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let places = self.by_retiring.get(retiring).into_iter().flat_map(move |places| places.range(range));
        places.filter_map(|(key, of, id)| self.by_key.get(&(*key, *of))?.get(id).map(|(_, grant)| grant))
    }

    /// Leftovers, given when each key of today was made.
    pub(super) fn leftovers(
        &self,
        created: impl Fn(&KeyArn) -> Option<Timestamp>,
    ) -> impl Iterator<Item = &Stored<Grant>> {
        self.littered.iter().flat_map(move |arn| {
            let today = created(arn);
            let of_arn = self.incarnations(arn);
            of_arn
                .filter(move |(_, of)| Some(*of) != today)
                .flat_map(|key| self.by_key.get(&key))
                .flatten()
                .map(|(_, g)| g)
        })
    }

    fn incarnations(&self, arn: &KeyArn) -> impl Iterator<Item = Incarnation> {
        let arn = *arn;
        self.by_key.range((arn, Timestamp::MIN)..).map(|(key, _)| *key).take_while(move |(key, _)| *key == arn)
    }

    /// Notes whether a key has leftovers; to be asked whenever the key or one of its grants comes or goes.
    pub(super) fn look_for_litter(&mut self, arn: &KeyArn, created: Option<Timestamp>) {
        if self.incarnations(arn).any(|(_, of)| Some(of) != created) {
            self.littered.insert(*arn);
        } else {
            self.littered.remove(arn);
        }
    }

    pub(super) fn put(&mut self, grant: Grant, version: Version) {
        self.remove(&grant.key, grant.slot);
        let Grant { key, key_created: of, id, slot, .. } = grant;
        let grantee = Arc::from(grant.terms.grantee.index());
        self.slots.insert((key, slot), (of, id));
        self.by_grantee.entry((key, of, grantee)).or_default().insert(id);
        if let Some(retiring) = &grant.retiring {
            self.by_retiring.entry(Arc::from(retiring.named.index())).or_default().insert((key, of, id));
        }
        self.by_key.entry((key, of)).or_default().insert(id, (version, Arc::new(grant)));
    }

    pub(super) fn remove(&mut self, key: &KeyArn, slot: Slot) {
        let Some((of, id)) = self.slots.remove(&(*key, slot)) else { return };
        let Some(grants) = self.by_key.get_mut(&(*key, of)) else { return };
        let Some((_, grant)) = grants.remove(&id) else { return };
        if grants.is_empty() {
            self.by_key.remove(&(*key, of));
        }
        let grantee: (KeyArn, Timestamp, Arc<str>) = (*key, of, Arc::from(grant.terms.grantee.index()));
        if let Some(ids) = self.by_grantee.get_mut(&grantee) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_grantee.remove(&grantee);
            }
        }
        if let Some(retiring) = &grant.retiring {
            let retiring: Arc<str> = Arc::from(retiring.named.index());
            if let Some(places) = self.by_retiring.get_mut(&retiring) {
                places.remove(&(*key, of, id));
                if places.is_empty() {
                    self.by_retiring.remove(&retiring);
                }
            }
        }
    }
}
