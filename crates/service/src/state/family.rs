//! The family of a multi-Region key: which Region holds the primary, and which hold replicas.
//!
//! A family is one record beside those of its members, so that who is primary is said in one place, and every change of it
//! meets every other. What the members share besides (material, spec, usage, origin) stands in each member's own record.

use std::collections::BTreeSet;

use api::{KeyArn, KeyId, Region};
use serde::{Deserialize, Serialize};

use super::Corrupt;
use super::record::{RECORD_VERSION, decode, encode, printable};

/// A multi-Region key and its replicas, by Region. A primary without a record of its family has no replicas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Family {
    /// Where the primary is.
    pub primary: Region,
    /// Where the replicas are, in order; never the primary's Region.
    pub replicas: BTreeSet<Region>,
}

impl Family {
    /// A primary without replicas.
    pub(crate) fn alone(primary: Region) -> Family {
        Family { primary, replicas: BTreeSet::new() }
    }

    /// Whether a member is in `region`.
    pub(crate) fn contains(&self, region: Region) -> bool {
        self.primary == region || self.replicas.contains(&region)
    }

    /// Where the members are, the primary first.
    pub(crate) fn regions(&self) -> impl Iterator<Item = Region> {
        std::iter::once(self.primary).chain(self.replicas.iter().copied())
    }

    /// How many members there are, the primary included.
    pub(crate) fn len(&self) -> usize {
        self.replicas.len() + 1
    }

    /// With a new replica in `region`.
    pub(crate) fn with(mut self, region: Region) -> Family {
        self.replicas.insert(region);
        self
    }

    /// What is left when the member in `region` is deleted: nothing, when that is the primary, which outlives its replicas.
    pub(crate) fn without(mut self, region: Region) -> Option<Family> {
        self.replicas.remove(&region).then_some(self)
    }

    /// With the primary in `region`, where a replica was; the old primary is a replica.
    pub(crate) fn led_from(mut self, region: Region) -> Family {
        self.replicas.remove(&region);
        self.replicas.insert(self.primary);
        Family { primary: region, ..self }
    }
}

#[derive(Serialize, Deserialize)]
struct FamilyRecord {
    v: u8,
    primary: String,
    replicas: Vec<String>,
}

/// The member of `key`'s family in `region`.
pub(crate) fn member(key: KeyArn, region: Region) -> KeyArn {
    KeyArn { region, ..key }
}

pub(crate) fn encode_family(family: &Family) -> Vec<u8> {
    encode(&FamilyRecord {
        v: RECORD_VERSION,
        primary: family.primary.to_string(),
        replicas: family.replicas.iter().map(Region::to_string).collect(),
    })
}

pub(super) fn decode_family(name: &[u8], value: &[u8], key: KeyId) -> Result<Family, Corrupt> {
    let corrupt = |why: String| Corrupt::Record { key: printable(name), why };
    let record: FamilyRecord = decode(name, value)?;
    let region = |text: &String| text.parse().map_err(|error: api::InvalidId| corrupt(error.to_string()));
    let family = Family {
        primary: region(&record.primary)?,
        replicas: record.replicas.iter().map(region).collect::<Result<_, _>>()?,
    };
    if !key.is_multi_region() || family.replicas.contains(&family.primary) {
        return Err(corrupt("it is not the family of a multi-Region key".to_owned()));
    }
    Ok(family)
}
