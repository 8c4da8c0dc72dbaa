//! A grant as the service knows it, and as it is stored.

use api::{AccountId, GrantId, GrantOperation, KeyArn, Timestamp};
use policy::{Constraints, Named, Pairs, Terms};
use serde::{Deserialize, Serialize};

use super::Corrupt;
use super::record::{RECORD_VERSION, decode, encode, printable};

/// Where a grant is stored beside its key's other grants: its ID, or for a grant with a name a digest of all that it says, so that
/// of two calls that make the same named grant at one time exactly one finds the place free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slot(pub(crate) [u8; 32]);

/// Who a grant is for, or who may retire it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Party {
    /// The principal.
    pub(crate) named: Named,
    /// It was named by the member for services, `GranteeServicePrincipal` or `RetiringServicePrincipal`.
    pub(crate) by_service_member: bool,
}

/// A grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The key it is on.
    pub(crate) key: KeyArn,
    /// When that key was made. INVARIANT: a grant speaks for no other key, not for a later one of the same name either.
    pub(crate) key_created: Timestamp,
    /// Its ID.
    pub(crate) id: GrantId,
    /// Its name; empty where it has none.
    pub(crate) name: String,
    /// When it was made.
    pub(crate) created: Timestamp,
    /// The account of whoever made it.
    pub(crate) issuing_account: AccountId,
    /// Whether the grantee was named by the member for services.
    pub(crate) grantee_by_service_member: bool,
    /// What it gives, and to whom.
    pub(crate) terms: Terms,
    /// Who may retire it, beside its grantee and its issuer.
    pub(crate) retiring: Option<Party>,
    /// Where it is stored.
    pub(crate) slot: Slot,
}

#[derive(Serialize, Deserialize)]
struct GrantRecord {
    v: u8,
    key_created: Timestamp,
    id: String,
    name: String,
    created: Timestamp,
    issuing_account: String,
    grantee: PartyRecord,
    retiring: Option<PartyRecord>,
    operations: Vec<String>,
    constraints: ConstraintsRecord,
}

#[derive(Serialize, Deserialize)]
struct PartyRecord {
    principal: String,
    by_service_member: bool,
}

#[derive(Serialize, Deserialize)]
struct ConstraintsRecord {
    equals: Option<Pairs>,
    subset: Option<Pairs>,
    source_arn: Option<String>,
}

impl Grant {
    fn record(&self) -> GrantRecord {
        let party =
            |named: &Named, by_service_member| PartyRecord { principal: named.text.to_string(), by_service_member };
        let Constraints { equals, subset, source_arn } = self.terms.constraints.clone();
        GrantRecord {
            v: RECORD_VERSION,
            key_created: self.key_created,
            id: self.id.to_string(),
            name: self.name.clone(),
            created: self.created,
            issuing_account: self.issuing_account.to_string(),
            grantee: party(&self.terms.grantee, self.grantee_by_service_member),
            retiring: self.retiring.as_ref().map(|retiring| party(&retiring.named, retiring.by_service_member)),
            operations: self.terms.operations.iter().map(|operation| operation.as_str().to_owned()).collect(),
            constraints: ConstraintsRecord { equals, subset, source_arn },
        }
    }

    /// The same grant in the slot that its name and all else that it says give it; without a name its ID does.
    pub(crate) fn placed(mut self) -> Grant {
        self.slot = Slot(self.id.0);
        if !self.name.is_empty() {
            let told = GrantRecord { v: 0, id: String::new(), created: Timestamp::UNIX_EPOCH, ..self.record() };
            self.slot = Slot(crypto::sha256(&encode(&told)));
        }
        self
    }
}

pub(crate) fn encode_grant(grant: &Grant) -> Vec<u8> {
    encode(&grant.record())
}

pub(super) fn decode_grant(name: &[u8], value: &[u8], key: KeyArn, slot: Slot) -> Result<Grant, Corrupt> {
    let corrupt = |why: String| Corrupt::Record { key: printable(name), why };
    let record: GrantRecord = decode(name, value)?;
    let party = |record: PartyRecord| {
        let named = Named::party(&record.principal);
        let named = named.ok_or_else(|| corrupt(format!("`{}` is no principal", record.principal)))?;
        Ok(Party { named, by_service_member: record.by_service_member })
    };
    let operation = |name: &String| {
        GrantOperation::named(name).ok_or_else(|| corrupt(format!("`{name}` is no operation of a grant")))
    };
    let grantee = party(record.grantee)?;
    let ConstraintsRecord { equals, subset, source_arn } = record.constraints;
    Ok(Grant {
        key,
        key_created: record.key_created,
        id: record.id.parse().map_err(|error: api::InvalidId| corrupt(error.to_string()))?,
        name: record.name,
        created: record.created,
        issuing_account: record.issuing_account.parse().map_err(|error: api::InvalidId| corrupt(error.to_string()))?,
        grantee_by_service_member: grantee.by_service_member,
        terms: Terms {
            grantee: grantee.named,
            operations: record.operations.iter().map(operation).collect::<Result<_, _>>()?,
            constraints: Constraints { equals, subset, source_arn },
        },
        retiring: record.retiring.map(party).transpose()?,
        slot,
    })
}
