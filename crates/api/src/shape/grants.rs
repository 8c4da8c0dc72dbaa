//! CreateGrant, ListGrants, ListRetirableGrants, RetireGrant, RevokeGrant.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Serialize;

use super::{Epoch, KEY_ID, Paging, grant_tokens};
use crate::validate::{Pattern, Presence, Reader, Request};
use crate::{GrantId, GrantOperation, KeyArn};

const PRINCIPAL: Pattern = Pattern {
    shown: "^[\\w+=,.@:/-]+$",
    accepts: |text| {
        !text.is_empty()
            && text.bytes().all(|b| {
                b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b':' | b'/' | b'-')
            })
    },
};

const SERVICE: Pattern = Pattern {
    shown: "^([A-Za-z0-9\\-]+)\\.([A-Za-z0-9\\-]+)(\\.[A-Za-z0-9\\-]+)+$",
    accepts: |text| {
        let labels = || text.split('.');
        labels().count() >= 3
            && labels().all(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))
    },
};

const SOURCE_ARN: Pattern = Pattern {
    shown: "^arn:aws[a-z0-9-]*:[a-z0-9-]+:[a-z0-9-]*:[0-9]{12}:.+$",
    accepts: |text| {
        let lowered = |part: &str| part.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().unwrap_or_default();
        let (arn, partition, service, region, account, resource) = (next(), next(), next(), next(), next(), next());
        arn == "arn"
            && partition.strip_prefix("aws").is_some_and(lowered)
            && !service.is_empty()
            && lowered(service)
            && lowered(region)
            && account.len() == 12
            && account.bytes().all(|b| b.is_ascii_digit())
            && !resource.is_empty()
            && !resource.contains(['\n', '\r'])
    },
};

const NAME: Pattern = Pattern {
    shown: "^[a-zA-Z0-9:/_-]+$",
    accepts: |text| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b':' | b'/' | b'_' | b'-'))
    },
};

const GRANT_ID: std::ops::RangeInclusive<usize> = 1..=128;
const TOKEN: std::ops::RangeInclusive<usize> = 1..=8192;

fn principal<'a>(reader: &Reader<'_, 'a>, name: &str) -> Option<Cow<'a, str>> {
    reader.text(name, 1..=256, Some(PRINCIPAL))
}

fn service<'a>(reader: &Reader<'_, 'a>, name: &str) -> Option<Cow<'a, str>> {
    reader.text(name, 1..=128, Some(SERVICE))
}

/// Pairs of an encryption context, each key once.
pub type Pairs = BTreeMap<String, String>;

/// `Constraints`, as sent and as answered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Constraints {
    /// The encryption context must be this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_context_equals: Option<Pairs>,
    /// The encryption context must hold these pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encryption_context_subset: Option<Pairs>,
    /// The call must be made on behalf of this resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_arn: Option<String>,
}

impl<'a> Request<'a> for Constraints {
    fn read(reader: &Reader<'_, 'a>) -> Constraints {
        let pairs = |name| {
            let pairs = || reader.map(name).into_iter().map(|(key, value)| (key.into_owned(), value.into_owned()));
            reader.has(name).then(|| pairs().collect())
        };
        Constraints {
            encryption_context_equals: pairs("EncryptionContextEquals"),
            encryption_context_subset: pairs("EncryptionContextSubset"),
            source_arn: reader.text("SourceArn", 20..=512, Some(SOURCE_ARN)).map(Cow::into_owned),
        }
    }
}

/// CreateGrant.
#[derive(Debug)]
pub struct CreateGrant<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// Who may.
    pub grantee: Option<Cow<'a, str>>,
    /// Which service may.
    pub grantee_service: Option<Cow<'a, str>>,
    /// Who may retire the grant.
    pub retiring: Option<Cow<'a, str>>,
    /// Which service may retire the grant.
    pub retiring_service: Option<Cow<'a, str>>,
    /// What the grantee may.
    pub operations: Vec<GrantOperation>,
    /// When.
    pub constraints: Option<Constraints>,
    /// Makes a retry find the grant of the first try.
    pub name: Option<Cow<'a, str>>,
    /// Check everything, do nothing.
    pub dry_run: bool,
}

impl<'a> Request<'a> for CreateGrant<'a> {
    fn read(reader: &Reader<'_, 'a>) -> CreateGrant<'a> {
        grant_tokens(reader);
        let names = reader.choices("Operations", Presence::Required, GrantOperation::NAMES);
        CreateGrant {
            key: reader.required_text("KeyId", KEY_ID, None),
            grantee: principal(reader, "GranteePrincipal"),
            grantee_service: service(reader, "GranteeServicePrincipal"),
            retiring: principal(reader, "RetiringPrincipal"),
            retiring_service: service(reader, "RetiringServicePrincipal"),
            operations: names.into_iter().filter_map(GrantOperation::named).collect(),
            constraints: reader.structure("Constraints"),
            name: reader.text("Name", 1..=256, Some(NAME)),
            dry_run: reader.flag("DryRun"),
        }
    }
}

/// The answer of CreateGrant.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatedGrant {
    /// Names the grant in calls; another one in each answer.
    pub grant_token: String,
    /// The grant.
    pub grant_id: GrantId,
}

/// ListGrants.
#[derive(Debug)]
pub struct ListGrants<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// Only this grant.
    pub grant: Option<Cow<'a, str>>,
    /// Only grants to this principal.
    pub grantee: Option<Cow<'a, str>>,
    /// Only grants to this service.
    pub grantee_service: Option<Cow<'a, str>>,
    /// Which page.
    pub paging: Paging<'a>,
}

impl<'a> Request<'a> for ListGrants<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ListGrants<'a> {
        ListGrants {
            grant: reader.text("GrantId", GRANT_ID, None),
            grantee: principal(reader, "GranteePrincipal"),
            grantee_service: service(reader, "GranteeServicePrincipal"),
            key: reader.required_text("KeyId", KEY_ID, None),
            paging: Paging::read(reader),
        }
    }
}

/// ListRetirableGrants.
#[derive(Debug)]
pub struct ListRetirableGrants<'a> {
    /// Grants that this principal may retire.
    pub retiring: Option<Cow<'a, str>>,
    /// Grants that this service may retire.
    pub retiring_service: Option<Cow<'a, str>>,
    /// Which page.
    pub paging: Paging<'a>,
}

impl<'a> Request<'a> for ListRetirableGrants<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ListRetirableGrants<'a> {
        ListRetirableGrants {
            retiring: principal(reader, "RetiringPrincipal"),
            retiring_service: service(reader, "RetiringServicePrincipal"),
            paging: Paging::read(reader),
        }
    }
}

/// RetireGrant: a token, or a key and a grant of it.
#[derive(Debug)]
pub struct RetireGrant<'a> {
    /// What CreateGrant answered.
    pub token: Option<Cow<'a, str>>,
    /// The key as the caller named it.
    pub key: Option<Cow<'a, str>>,
    /// The grant.
    pub grant: Option<Cow<'a, str>>,
    /// Check everything, do nothing.
    pub dry_run: bool,
}

impl<'a> Request<'a> for RetireGrant<'a> {
    fn read(reader: &Reader<'_, 'a>) -> RetireGrant<'a> {
        RetireGrant {
            token: reader.text("GrantToken", TOKEN, None),
            key: reader.text("KeyId", KEY_ID, None),
            grant: reader.text("GrantId", GRANT_ID, None),
            dry_run: reader.flag("DryRun"),
        }
    }
}

/// RevokeGrant.
#[derive(Debug)]
pub struct RevokeGrant<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// The grant.
    pub grant: Cow<'a, str>,
    /// Check everything, do nothing.
    pub dry_run: bool,
}

impl<'a> Request<'a> for RevokeGrant<'a> {
    fn read(reader: &Reader<'_, 'a>) -> RevokeGrant<'a> {
        RevokeGrant {
            key: reader.required_text("KeyId", KEY_ID, None),
            grant: reader.required_text("GrantId", GRANT_ID, None),
            dry_run: reader.flag("DryRun"),
        }
    }
}

/// One grant of ListGrants and ListRetirableGrants.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedGrant {
    /// The key ARN.
    pub key_id: KeyArn,
    /// The grant.
    pub grant_id: GrantId,
    /// Empty where it was given none.
    pub name: String,
    /// When it was made.
    pub creation_date: Epoch,
    /// Who may.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grantee_principal: Option<String>,
    /// Which service may, where the grant was made for a service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grantee_service_principal: Option<String>,
    /// Who may retire it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retiring_principal: Option<String>,
    /// Which service may retire it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retiring_service_principal: Option<String>,
    /// The account in which it was made, by its root user's ARN.
    pub issuing_account: String,
    /// What the grantee may.
    pub operations: Vec<&'static str>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub constraints: Option<Constraints>,
}
