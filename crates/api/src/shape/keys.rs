//! CreateKey, DescribeKey, ListKeys, UpdateKeyDescription.

use std::borrow::Cow;

use serde::Serialize;

use super::{Epoch, KEY_ID, Paging, tags};
use crate::validate::{Pattern, Presence, Reader, Request};
use crate::{
    EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, KeySpec, KeyUsage, MacAlgorithm,
    SigningAlgorithm,
};

/// What the older name of the spec takes: no spec that came after it was replaced.
const OLDER_SPECS: &[&str] = &[
    "RSA_2048",
    "RSA_3072",
    "RSA_4096",
    "ECC_NIST_P256",
    "ECC_NIST_P384",
    "ECC_NIST_P521",
    "ECC_SECG_P256K1",
    "SYMMETRIC_DEFAULT",
    "HMAC_224",
    "HMAC_256",
    "HMAC_384",
    "HMAC_512",
    "SM2",
];

const ORIGINS: &[&str] = &["AWS_KMS", "EXTERNAL", "AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];

const XKS_KEY_ID: Pattern = Pattern {
    shown: "^[a-zA-Z0-9-_.]+$",
    accepts: |text| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.')),
};

/// CreateKey.
#[derive(Debug)]
pub struct CreateKey<'a> {
    /// The key policy; the default one where it is absent.
    pub policy: Option<Cow<'a, str>>,
    /// Free text.
    pub description: Cow<'a, str>,
    /// What the key is for.
    pub key_usage: Option<KeyUsage>,
    /// `KeySpec`, or the older `CustomerMasterKeySpec`.
    pub key_spec: Option<KeySpec>,
    /// Whether both names of the spec were given.
    pub spec_given_twice: bool,
    /// Where the material comes from.
    pub origin: &'static str,
    /// A custom key store.
    pub custom_key_store: Option<Cow<'a, str>>,
    /// Skip the check that the caller can still change the policy.
    pub bypass_lockout_check: bool,
    /// Tags, not yet checked beyond their lengths.
    pub tags: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// Whether to make a multi-Region primary.
    pub multi_region: bool,
    /// The key in an external key store.
    pub xks_key: Option<Cow<'a, str>>,
}

impl<'a> Request<'a> for CreateKey<'a> {
    fn read(reader: &Reader<'_, 'a>) -> CreateKey<'a> {
        let spec: Option<KeySpec> = reader.word("KeySpec");
        let older_spec = reader.choice("CustomerMasterKeySpec", OLDER_SPECS).and_then(KeySpec::named);
        CreateKey {
            policy: reader.text("Policy", 1..=131_072, Some(super::policies::POLICY)),
            description: reader.text("Description", 0..=8192, None).unwrap_or_default(),
            key_usage: reader.word("KeyUsage"),
            key_spec: spec.or(older_spec),
            spec_given_twice: spec.is_some() && older_spec.is_some(),
            origin: reader.choice("Origin", ORIGINS).unwrap_or("AWS_KMS"),
            custom_key_store: reader.text("CustomKeyStoreId", 1..=64, None),
            bypass_lockout_check: reader.flag("BypassPolicyLockoutSafetyCheck"),
            tags: tags::read(reader, Presence::Optional),
            multi_region: reader.flag("MultiRegion"),
            xks_key: reader.text("XksKeyId", 1..=128, Some(XKS_KEY_ID)),
        }
    }
}

/// UpdateKeyDescription.
#[derive(Debug)]
pub struct UpdateKeyDescription<'a> {
    /// The key as the caller named it.
    pub key: Cow<'a, str>,
    /// Free text.
    pub description: Cow<'a, str>,
}

impl<'a> Request<'a> for UpdateKeyDescription<'a> {
    fn read(reader: &Reader<'_, 'a>) -> UpdateKeyDescription<'a> {
        UpdateKeyDescription {
            key: reader.required_text("KeyId", KEY_ID, None),
            description: reader.required_text("Description", 0..=8192, None),
        }
    }
}

/// ListKeys.
#[derive(Debug)]
pub struct ListKeys<'a> {
    /// Which page.
    pub paging: Paging<'a>,
    /// Whether the account's own keys are asked for, not only those that other accounts share with it.
    pub own: bool,
}

impl<'a> Request<'a> for ListKeys<'a> {
    fn read(reader: &Reader<'_, 'a>) -> ListKeys<'a> {
        // How many; what they are is asked next.
        reader.texts("ResourceOwners", Presence::Optional, 1..=2, 0..=usize::MAX);
        let owners = reader.choices("ResourceOwners", Presence::Optional, &["SELF", "OTHER_ACCOUNTS_VIA_RAM"]);
        ListKeys { paging: Paging::read(reader), own: owners.is_empty() || owners.contains(&"SELF") }
    }
}

/// One key of ListKeys.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedKey {
    /// The key ID.
    pub key_id: String,
    /// The key ARN.
    pub key_arn: String,
}

/// The answer of CreateKey and DescribeKey.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct WithMetadata {
    /// What the key is.
    pub key_metadata: KeyMetadata,
}

/// What a key is. Which members are there in which state: `kms-facts`, recorded answers.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct KeyMetadata {
    /// The owner.
    #[serde(rename = "AWSAccountId")]
    pub aws_account_id: String,
    /// The key ID.
    pub key_id: String,
    /// The key ARN.
    pub arn: String,
    /// When it was made.
    pub creation_date: Epoch,
    /// Whether it may be used.
    pub enabled: bool,
    /// Free text.
    pub description: String,
    /// What it is for.
    pub key_usage: KeyUsage,
    /// `Enabled` and so on.
    pub key_state: &'static str,
    /// Only while PendingDeletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_date: Option<Epoch>,
    /// The earliest time at which imported material expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_to: Option<Epoch>,
    /// Whether imported material expires; only while there is some.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiration_model: Option<&'static str>,
    /// `AWS_KMS` and so on.
    pub origin: &'static str,
    /// Only of a key in a custom key store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub custom_key_store_id: Option<String>,
    /// Only of a key in a CloudHSM key store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_hsm_cluster_id: Option<String>,
    /// Only of a key in an external key store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xks_key_configuration: Option<XksKeyConfiguration>,
    /// `CUSTOMER`: all our keys are customer managed.
    pub key_manager: &'static str,
    /// The older name of `key_spec`.
    pub customer_master_key_spec: KeySpec,
    /// What material it has.
    pub key_spec: KeySpec,
    /// What it computes with.
    #[serde(flatten)]
    pub algorithms: Algorithms,
    /// Whether it is a multi-Region key.
    pub multi_region: bool,
    /// Only of multi-Region keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub multi_region_configuration: Option<MultiRegionConfiguration>,
    /// Only while PendingReplicaDeletion, in days.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_deletion_window_in_days: Option<u8>,
    /// The material that encrypts today, 64 hex digits; absent before a first import.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub current_key_material_id: Option<String>,
}

/// What a key computes with, as KeyMetadata and GetPublicKey tell it: one list for each usage, and only the key's own is filled.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Algorithms {
    /// Of an ENCRYPT_DECRYPT key.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub encryption_algorithms: &'static [EncryptionAlgorithm],
    /// Of a SIGN_VERIFY key.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub signing_algorithms: &'static [SigningAlgorithm],
    /// Of a KEY_AGREEMENT key.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub key_agreement_algorithms: &'static [KeyAgreementAlgorithm],
    /// Of an ENCAPSULATE_DECAPSULATE key.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub encapsulation_algorithms: &'static [EncapsulationAlgorithm],
    /// Of a GENERATE_VERIFY_MAC key.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub mac_algorithms: &'static [MacAlgorithm],
}

impl Algorithms {
    /// Those of a key of this spec and usage.
    pub fn of(spec: KeySpec, usage: KeyUsage) -> Algorithms {
        fn only<T>(is_meant: bool, algorithms: &'static [T]) -> &'static [T] {
            if is_meant { algorithms } else { &[] }
        }
        Algorithms {
            encryption_algorithms: only(usage == KeyUsage::EncryptDecrypt, spec.encryption_algorithms()),
            signing_algorithms: only(usage == KeyUsage::SignVerify, spec.signing_algorithms()),
            key_agreement_algorithms: only(usage == KeyUsage::KeyAgreement, spec.key_agreement_algorithms()),
            encapsulation_algorithms: only(usage == KeyUsage::EncapsulateDecapsulate, spec.encapsulation_algorithms()),
            mac_algorithms: only(usage == KeyUsage::GenerateVerifyMac, spec.mac_algorithms()),
        }
    }
}

/// The key of an external key manager that stands behind a KMS key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct XksKeyConfiguration {
    /// Its ID there.
    pub id: String,
}

/// The family of a multi-Region key.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MultiRegionConfiguration {
    /// `PRIMARY` or `REPLICA`.
    pub multi_region_key_type: &'static str,
    /// The primary.
    pub primary_key: MultiRegionKey,
    /// The replicas.
    pub replica_keys: Vec<MultiRegionKey>,
}

/// One member of the family.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct MultiRegionKey {
    /// Its key ARN.
    pub arn: String,
    /// Its Region.
    pub region: String,
}
