//! Who may: the call, its key and its caller as condition keys, and the policy's answer as AWS words it.

use std::borrow::Cow;
use std::net::IpAddr;

use api::{
    AccountId, EncryptionAlgorithm, Fault, GrantOperation, KeyAgreementAlgorithm, KeySpec, KeyUsage, MacAlgorithm,
    MessageType, Region, SigningAlgorithm, Timestamp, WrappingAlgorithm, WrappingKeySpec,
};
use crypto::Enclave;
use policy::{Context, Decision, Presented, Principal, Request, Value, Values, Why};

use crate::call::{Call, CallerKind};
use crate::fault::{ACCESS_DENIED, not_admitted};
use crate::state::{Grant, Key, State};

/// Seconds in a day of `kms:TrailingDaysWithoutKeyUsage`.
const DAY_SECONDS: i64 = 86_400;

/// What a request says beyond its key, as far as a policy may ask for it. What it does not say is absent from the context.
#[derive(Clone, Copy, Default)]
pub(crate) struct Asks<'a> {
    /// `kms:EncryptionContext:…`, `kms:EncryptionContextKeys`.
    pub(crate) context: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// `kms:EncryptionAlgorithm`.
    pub(crate) encryption_algorithm: Option<EncryptionAlgorithm>,
    /// `kms:SigningAlgorithm`.
    pub(crate) signing_algorithm: Option<SigningAlgorithm>,
    /// `kms:MessageType`.
    pub(crate) message_type: Option<MessageType>,
    /// `kms:MacAlgorithm`.
    pub(crate) mac_algorithm: Option<MacAlgorithm>,
    /// `kms:KeyAgreementAlgorithm`.
    pub(crate) key_agreement_algorithm: Option<KeyAgreementAlgorithm>,
    /// `kms:DataKeyPairSpec`.
    pub(crate) data_key_pair_spec: Option<KeySpec>,
    /// The key that CreateKey is asked to make.
    pub(crate) new_key: Option<NewKey>,
    /// `kms:RecipientAttestation:ImageSha384` and `kms:RecipientAttestation:PCR<n>`.
    pub(crate) enclave: Option<&'a Enclave>,
    /// `kms:RequestAlias`.
    pub(crate) alias: Option<&'a str>,
    /// `kms:ScheduleKeyDeletionPendingWindowInDays`; the default where the request names none.
    pub(crate) pending_window: Option<u8>,
    /// `kms:RotationPeriodInDays`; the default where the request names none.
    pub(crate) rotation_period: Option<u16>,
    /// `kms:WrappingAlgorithm`.
    pub(crate) wrapping_algorithm: Option<WrappingAlgorithm>,
    /// `kms:WrappingKeySpec`.
    pub(crate) wrapping_key_spec: Option<WrappingKeySpec>,
    /// `kms:ExpirationModel`: whether imported material expires; what counts where the request does not say.
    pub(crate) expires: Option<bool>,
    /// `kms:ValidTo`.
    pub(crate) valid_to: Option<Timestamp>,
    /// `kms:BypassPolicyLockoutSafetyCheck`.
    pub(crate) bypass_lockout_check: Option<bool>,
    /// `kms:ReEncryptOnSameKey`.
    pub(crate) same_key: Option<bool>,
    /// `kms:ReplicaRegion`.
    pub(crate) replica_region: Option<Region>,
    /// `kms:PrimaryRegion`: where the primary is to be.
    pub(crate) primary_region: Option<Region>,
    /// The grant that CreateGrant shall make.
    pub(crate) grant: Option<&'a Grant>,
    /// `aws:RequestTag/…`, `aws:TagKeys`.
    pub(crate) request_tags: &'a [(Cow<'a, str>, Cow<'a, str>)],
    /// `aws:TagKeys` of UntagResource.
    pub(crate) request_tag_keys: &'a [Cow<'a, str>],
}

/// A key that is not there yet, as far as a policy may ask for it.
#[derive(Clone, Copy)]
pub(crate) struct NewKey {
    /// `kms:KeySpec`.
    pub(crate) spec: KeySpec,
    /// `kms:KeyUsage`, where the request names one or none is needed.
    pub(crate) usage: Option<KeyUsage>,
    /// `kms:KeyOrigin`.
    pub(crate) origin: &'static str,
    /// `kms:MultiRegion`.
    pub(crate) multi_region: bool,
}

/// Whether the caller may do `action` with `key`.
///
/// # Errors
/// AccessDeniedException in AWS's words.
pub(crate) fn on_key(state: &State, call: &Call<'_>, key: &Key, action: &str, asks: Asks<'_>) -> Result<(), Fault> {
    let resource = key.arn.to_string();
    let context = Facts { call, asks, key: Some((state, key)) };
    let principal = principal(call);
    let request = Request { principal: &principal, action, resource: &resource, context: &context };
    let shown = Presented { context: asks.context, source_arn: None, child: asks.grant.map(|grant| &grant.terms) };
    // The grants are looked for only where the key policy does not decide.
    let grants = std::iter::once_with(|| state.grants_to(key, &principal)).flatten().map(|grant| &grant.terms);
    match policy::authorize_with_grants(&key.policy, key.arn.account, &[], grants, &shown, &request) {
        Decision::Allowed(_) => Ok(()),
        Decision::Denied(Why::KeyPolicySilent | Why::KeyPolicyDenies { .. })
            if key.arn.account != call.caller.account =>
        {
            Err(not_admitted(&call.caller.arn, action))
        }
        Decision::Denied(why) => Err(denied(why.message(&call.caller.arn, action, &resource))),
    }
}

/// Whether the caller may retire `grant`, which is on `key`.
///
/// # Errors
/// AccessDeniedException in AWS's words.
pub(crate) fn retire(state: &State, call: &Call<'_>, key: &Key, grant: &Grant) -> Result<(), Fault> {
    let (action, resource) = (call.operation.action, key.arn.to_string());
    let context = Facts { call, asks: Asks::default(), key: Some((state, key)) };
    let principal = principal(call);
    let request = Request { principal: &principal, action, resource: &resource, context: &context };
    let retiring = grant.retiring.as_ref().map(|party| &party.named);
    if policy::may_retire(&grant.terms, retiring, grant.issuing_account, &[], &request) {
        return Ok(());
    }
    if key.arn.account != call.caller.account {
        return Err(not_admitted(&call.caller.arn, action));
    }
    Err(silent(call, &resource))
}

/// Whether the caller may do `action` in their own account: there are no identity policies yet, so the root user may.
///
/// # Errors
/// AccessDeniedException in AWS's words.
pub(crate) fn in_account(call: &Call<'_>, action: &str, resource: &str) -> Result<(), Fault> {
    in_account_asking(call, action, resource, Asks::default())
}

/// As [`in_account`], for a request that says something a policy may ask for.
///
/// # Errors
/// AccessDeniedException in AWS's words.
pub(crate) fn in_account_asking(call: &Call<'_>, action: &str, resource: &str, asks: Asks<'_>) -> Result<(), Fault> {
    let context = Facts { call, asks, key: None };
    let principal = principal(call);
    let request = Request { principal: &principal, action, resource, context: &context };
    match policy::authorize_in_account(&[], &request) {
        Decision::Allowed(_) => Ok(()),
        Decision::Denied(why) => Err(denied(why.message(&call.caller.arn, action, resource))),
    }
}

/// That no identity policy allows the call's action on `resource`.
pub(crate) fn silent(call: &Call<'_>, resource: &str) -> Fault {
    denied(Why::IdentityPoliciesSilent.message(&call.caller.arn, call.operation.action, resource))
}

fn denied(message: String) -> Fault {
    Fault::new(ACCESS_DENIED, message)
}

fn principal<'a>(call: &Call<'a>) -> Principal<'a> {
    match call.caller.kind {
        CallerKind::Root => Principal::Root { account: call.caller.account },
        CallerKind::User { .. } => Principal::User { account: call.caller.account, arn: &call.caller.arn },
    }
}

/// The condition keys of a call, computed only when a policy asks.
struct Facts<'a> {
    call: &'a Call<'a>,
    asks: Asks<'a>,
    key: Option<(&'a State, &'a Key)>,
}

impl Context for Facts<'_> {
    fn values(&self, name: &str) -> Values<'_> {
        if let Some(name) = name.strip_prefix("kms:recipientattestation:") {
            return self.asks.enclave.map_or(Values::Absent, |enclave| measured(enclave, name));
        }
        if let Some(name) = name.strip_prefix("kms:encryptioncontext:") {
            return named(self.asks.context, name);
        }
        if let Some(name) = name.strip_prefix("aws:requesttag/") {
            return named(self.asks.request_tags, name);
        }
        if let Some(name) = name.strip_prefix("aws:resourcetag/") {
            let tags = self.key.iter().flat_map(|(_, key)| &key.tags);
            return tags
                .into_iter()
                .find(|(tag, _)| tag.eq_ignore_ascii_case(name))
                .map_or(Values::Absent, |(_, value)| value.as_str().into());
        }
        match name {
            "aws:currenttime" => Values::One(Value::Time(self.call.now)),
            "aws:epochtime" => self.call.now.as_second().into(),
            "aws:principalaccount" | "kms:calleraccount" => account(self.call.caller.account),
            "aws:principalarn" => self.call.caller.arn.as_str().into(),
            "aws:principaltype" => match self.call.caller.kind {
                CallerKind::Root => "Account".into(),
                CallerKind::User { .. } => "User".into(),
            },
            "aws:username" => match &self.call.caller.kind {
                CallerKind::Root => Values::Absent,
                CallerKind::User { name } => name.as_str().into(),
            },
            "aws:userid" => Values::One(Value::Text(Cow::Owned(self.call.caller.unique_id()))),
            "aws:sourceip" => self
                .call
                .origin
                .source_ip
                .parse::<IpAddr>()
                .map_or(Values::Absent, |address| Values::One(Value::Address(address))),
            "aws:useragent" => self.call.origin.user_agent.into(),
            "aws:securetransport" => self.call.origin.tls.is_some().into(),
            "aws:requestedregion" => Values::One(Value::Text(Cow::Owned(self.call.region.to_string()))),
            "aws:tagkeys" => self
                .asks
                .request_tags
                .iter()
                .map(|(key, _)| key.as_ref())
                .chain(self.asks.request_tag_keys.iter().map(AsRef::as_ref))
                .collect(),
            "kms:encryptioncontextkeys" => self.asks.context.iter().map(|(key, _)| key.as_ref()).collect(),
            "kms:encryptionalgorithm" => self.asks.encryption_algorithm.map(EncryptionAlgorithm::as_str).into(),
            "kms:signingalgorithm" => self.asks.signing_algorithm.map(SigningAlgorithm::as_str).into(),
            "kms:messagetype" => self.asks.message_type.map(MessageType::as_str).into(),
            "kms:macalgorithm" => self.asks.mac_algorithm.map(MacAlgorithm::as_str).into(),
            "kms:keyagreementalgorithm" => self.asks.key_agreement_algorithm.map(KeyAgreementAlgorithm::as_str).into(),
            "kms:datakeypairspec" => self.asks.data_key_pair_spec.map(KeySpec::as_str).into(),
            "kms:requestalias" => self.asks.alias.into(),
            "kms:replicaregion" => region(self.asks.replica_region),
            "kms:primaryregion" => region(self.asks.primary_region),
            // No service calls on anybody's behalf here; the key is there in requests about grants, and tells so.
            "kms:grantisforawsresource" => match GrantOperation::of_action(self.call.operation.action) {
                Some(GrantOperation::CreateGrant) => false.into(),
                Some(_) => Values::Absent,
                None if matches!(self.call.operation.name, "ListGrants" | "RevokeGrant") => false.into(),
                None => Values::Absent,
            },
            "kms:grantoperations" => {
                self.asks.grant.iter().flat_map(|grant| &grant.terms.operations).map(|one| one.as_str()).collect()
            }
            "kms:grantconstrainttype" => self.asks.grant.map_or(Values::Absent, constraint_types),
            "kms:granteeprincipal" => {
                self.asks.grant.map_or(Values::Absent, |grant| (&*grant.terms.grantee.text).into())
            }
            "kms:retiringprincipal" => {
                let retiring = self.asks.grant.and_then(|grant| grant.retiring.as_ref());
                retiring.map_or(Values::Absent, |party| (&*party.named.text).into())
            }
            "kms:bypasspolicylockoutsafetycheck" => flag(self.asks.bypass_lockout_check),
            "kms:reencryptonsamekey" => flag(self.asks.same_key),
            "kms:rotationperiodindays" => {
                self.asks.rotation_period.map_or(Values::Absent, |days| i64::from(days).into())
            }
            "kms:wrappingalgorithm" => self.asks.wrapping_algorithm.map(WrappingAlgorithm::as_str).into(),
            "kms:wrappingkeyspec" => self.asks.wrapping_key_spec.map(WrappingKeySpec::as_str).into(),
            "kms:expirationmodel" => self.asks.expires.map(expiration_model).into(),
            "kms:validto" => self.asks.valid_to.map_or(Values::Absent, |date| Values::One(Value::Time(date))),
            "kms:schedulekeydeletionpendingwindowindays" => {
                self.asks.pending_window.map_or(Values::Absent, |days| i64::from(days).into())
            }
            _ => match (self.key, self.asks.new_key) {
                (Some((state, key)), _) => of_key(name, state, key, self.call.now),
                (None, Some(key)) => of_new_key(name, key),
                (None, None) => Values::Absent,
            },
        }
    }
}

/// AWS's word for whether imported material expires.
pub(crate) fn expiration_model(expires: bool) -> &'static str {
    if expires { "KEY_MATERIAL_EXPIRES" } else { "KEY_MATERIAL_DOES_NOT_EXPIRE" }
}

/// `kms:GrantConstraintType`: the constraints on the encryption context that a grant is to have.
fn constraint_types(grant: &Grant) -> Values<'_> {
    let constraints = &grant.terms.constraints;
    let equals = constraints.equals.as_ref().map(|_| "EncryptionContextEquals");
    let subset = constraints.subset.as_ref().map(|_| "EncryptionContextSubset");
    match (equals, subset) {
        (None, None) => Values::Absent,
        (Some(one), None) | (None, Some(one)) => one.into(),
        (Some(one), Some(other)) => [one, other].into_iter().collect(),
    }
}

fn of_key<'a>(name: &str, state: &State, key: &Key, now: Timestamp) -> Values<'a> {
    match name {
        // The older names of both are deprecated, and still in force.
        "kms:keyspec" | "kms:customermasterkeyspec" => key.spec.as_str().into(),
        "kms:keyusage" | "kms:customermasterkeyusage" => key.usage.as_str().into(),
        "kms:keyorigin" => key.origin.as_str().into(),
        "kms:multiregion" => key.multi_region.into(),
        "kms:multiregionkeytype" => match state.family(&key.arn) {
            Some(family) if family.primary == key.arn.region => "PRIMARY".into(),
            Some(_) => "REPLICA".into(),
            None => Values::Absent,
        },
        "kms:resourcealiases" => {
            Values::Many(state.aliases_to(key.arn).map(|alias| Value::Text(Cow::Owned(alias.to_string()))).collect())
        }
        "kms:trailingdayswithoutkeyusage" => trailing_days(key, now).into(),
        _ => Values::Absent,
    }
}

fn of_new_key<'a>(name: &str, key: NewKey) -> Values<'a> {
    match name {
        "kms:keyspec" | "kms:customermasterkeyspec" => key.spec.as_str().into(),
        "kms:keyusage" | "kms:customermasterkeyusage" => key.usage.map(KeyUsage::as_str).into(),
        "kms:keyorigin" => key.origin.into(),
        "kms:multiregion" => key.multi_region.into(),
        "kms:multiregionkeytype" if key.multi_region => "PRIMARY".into(),
        _ => Values::Absent,
    }
}

/// Whole days since the key was last used, or since it was made where it never was.
///
/// A key just made has 0, so that a policy which asks for some days refuses it. Source: AWS KMS Developer Guide, condition key
/// `kms:TrailingDaysWithoutKeyUsage`.
fn trailing_days(key: &Key, now: Timestamp) -> i64 {
    let since = key.last_use().map_or(key.created, |used| used.at);
    (now.as_second() - since.as_second()).max(0) / DAY_SECONDS
}

/// What an enclave measured, in lower-case hex digits: a PCR, or the image, which is PCR 0.
fn measured<'a>(enclave: &Enclave, name: &str) -> Values<'a> {
    let number = match name {
        "imagesha384" => Some(0),
        name => name.strip_prefix("pcr").and_then(|number| number.parse().ok()),
    };
    let Some(pcr) = number.and_then(|number: u8| enclave.pcrs.get(&number)) else { return Values::Absent };
    let mut digits = vec![0; 2 * pcr.len()];
    api::hex(pcr, &mut digits);
    Values::One(Value::Text(Cow::Owned(String::from_utf8_lossy(&digits).into_owned())))
}

fn named<'a>(pairs: &'a [(Cow<'a, str>, Cow<'a, str>)], name: &str) -> Values<'a> {
    pairs
        .iter()
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map_or(Values::Absent, |(_, value)| value.as_ref().into())
}

fn account<'a>(account: AccountId) -> Values<'a> {
    Values::One(Value::Account(account))
}

fn region<'a>(region: Option<Region>) -> Values<'a> {
    region.map_or(Values::Absent, |region| Values::One(Value::Text(Cow::Owned(region.to_string()))))
}

fn flag<'a>(value: Option<bool>) -> Values<'a> {
    value.map_or(Values::Absent, Values::from)
}
