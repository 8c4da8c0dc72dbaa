//! The store's keys.

use api::{AccountId, AliasArn, GrantId, KeyArn, KeyId, Region};

use super::grant::Slot;
use super::record::printable;
use super::{AliasKey, Corrupt, StoreKey};

/// A key of the store: which record it names.
///
/// `key/<key ARN>`, `alias/<alias ARN>`, `grant/<key ARN>/<slot>`, `tombstone/<key ARN>`, `last-use/<key ARN>`,
/// `family/<account>/<key ID>`, `key-store/<account>/<Region>/<ID>`: text, so that a store can be read by eye.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Name {
    Key(KeyArn),
    Alias(AliasKey),
    Grant(KeyArn, Slot),
    Tombstone(KeyArn),
    LastUse(KeyArn),
    /// Of a multi-Region key, whichever Region it is in.
    Family(AccountId, KeyId),
    KeyStore(StoreKey),
}

impl Name {
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let text = match self {
            Name::Key(arn) => format!("key/{arn}"),
            Name::Alias((account, region, alias)) => {
                format!("alias/{}", AliasArn { account: *account, region: *region, alias: alias.clone() })
            }
            // A slot has the form of a grant's ID, and mostly is one.
            Name::Grant(arn, slot) => format!("grant/{arn}/{}", GrantId(slot.0)),
            Name::Tombstone(arn) => format!("tombstone/{arn}"),
            Name::LastUse(arn) => format!("last-use/{arn}"),
            Name::Family(account, key) => format!("family/{account}/{key}"),
            Name::KeyStore((account, region, id)) => format!("key-store/{account}/{region}/{id}"),
        };
        text.into_bytes()
    }

    pub(super) fn parse(key: &[u8]) -> Result<Name, Corrupt> {
        let unknown = || Corrupt::Key { key: printable(key) };
        let text = std::str::from_utf8(key).map_err(|_| unknown())?;
        let (kind, rest) = text.split_once('/').ok_or_else(unknown)?;
        let arn = || rest.parse::<KeyArn>().map_err(|_| unknown());
        match kind {
            "key" => Ok(Name::Key(arn()?)),
            "tombstone" => Ok(Name::Tombstone(arn()?)),
            "last-use" => Ok(Name::LastUse(arn()?)),
            "family" => {
                let (account, key) = rest.split_once('/').ok_or_else(unknown)?;
                Ok(Name::Family(account.parse().map_err(|_| unknown())?, key.parse().map_err(|_| unknown())?))
            }
            "grant" => {
                let (arn, slot) = rest.rsplit_once('/').ok_or_else(unknown)?;
                let slot: GrantId = slot.parse().map_err(|_| unknown())?;
                Ok(Name::Grant(arn.parse().map_err(|_| unknown())?, Slot(slot.0)))
            }
            "key-store" => {
                let mut parts = rest.split('/');
                let (account, region, id) = (parts.next(), parts.next(), parts.next());
                let parsed = || {
                    let region: Region = region?.parse().ok()?;
                    Some((account?.parse().ok()?, region, id?.parse().ok()?))
                };
                parsed().filter(|_| parts.next().is_none()).map(Name::KeyStore).ok_or_else(unknown)
            }
            "alias" => match api::KeyRef::parse(rest) {
                Ok(api::KeyRef::AliasArn(arn)) => Ok(Name::Alias((arn.account, arn.region, arn.alias))),
                _ => Err(unknown()),
            },
            _ => Err(unknown()),
        }
    }
}
