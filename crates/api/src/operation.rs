//! The operation table: one row for each operation that the service answers.
//!
//! Routing, authorization, the key-state check, audit and `docs/compatibility.md` are read off it. An operation that has no row
//! is not offered: the caller gets `UnknownOperationException`.

use crate::KeyUsage::{self, EncapsulateDecapsulate, EncryptDecrypt, GenerateVerifyMac, KeyAgreement, SignVerify};

/// The AWS services of which we speak a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Service {
    /// AWS Key Management Service: AWS JSON 1.1, `X-Amz-Target: TrentService.<Operation>`.
    Kms,
    /// AWS Security Token Service: AWS Query.
    Sts,
    /// AWS CloudTrail: AWS JSON 1.1, `X-Amz-Target: …CloudTrail_20131101.<Operation>`.
    CloudTrail,
}

impl Service {
    /// The name in a SigV4 credential scope, and the prefix of IAM actions.
    pub fn signing_name(self) -> &'static str {
        match self {
            Service::Kms => "kms",
            Service::Sts => "sts",
            Service::CloudTrail => "cloudtrail",
        }
    }

    /// `eventSource` of the service's CloudTrail records.
    pub fn event_source(self) -> &'static str {
        match self {
            Service::Kms => "kms.amazonaws.com",
            Service::Sts => "sts.amazonaws.com",
            Service::CloudTrail => "cloudtrail.amazonaws.com",
        }
    }
}

/// How an operation's request says which key it is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keys {
    /// No key: the operation is about the account and Region.
    None,
    /// A member `KeyId` that takes a key ID or key ARN, no alias.
    Id,
    /// A member `KeyId` that takes a key ID, key ARN, alias name or alias ARN.
    IdOrAlias,
    /// The ciphertext names the key; `KeyId` may confirm it.
    Ciphertext,
    /// The ciphertext names one key, `DestinationKeyId` (any of the four forms) the other.
    CiphertextAndDestination,
    /// An alias, and the key it points to.
    Alias,
    /// A grant token names the grant and with it the key; or a member `KeyId` as in `Id`, beside the grant's ID.
    Grant,
}

/// What an operation needs of its key's state: a row of AWS's key-state table.
///
/// The answers are `lifecycle`'s; here only which row. Source: AWS KMS Developer Guide, "Key states of AWS KMS keys".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Needs {
    /// Any state will do: DescribeKey, GetKeyPolicy, PutKeyPolicy, lists, DeleteAlias.
    Nothing,
    /// The key must be usable: cryptographic operations.
    Usable,
    /// The key must be usable, and not on its way to another role: ReplicateKey.
    Replicable,
    /// A change of automatic rotation: neither disabled nor waiting for deletion nor being made. That material is imported or in a
    /// custom key store is refused for its origin, not for its state.
    Rotation,
    /// As `Usable`, but that the key is out of reach in a custom key store is no hindrance: CreateGrant.
    Grantable,
    /// Parameters for an import: neither waiting for deletion, nor being made, nor on the way to another role.
    ImportParameters,
    /// An import: neither waiting for deletion nor being made.
    Import,
    /// Deleting imported material: neither being made nor on the way to another role.
    MaterialDeletion,
    /// Anything but waiting for deletion: tags, description, CreateAlias, UpdateAlias's target.
    NotPendingDeletion,
    /// The operation is itself a command to the key's life: `lifecycle::decide` answers for each state.
    Decision,
}

/// One operation of the API.
#[derive(Debug, PartialEq, Eq)]
pub struct Operation {
    /// The service that offers it.
    pub service: Service,
    /// Its name on the wire and `eventName` in CloudTrail: `ScheduleKeyDeletion`.
    pub name: &'static str,
    /// The IAM action that policies speak of. ReEncrypt asks two: `kms:ReEncryptFrom` is derived by its handler.
    pub action: &'static str,
    /// How the request names its keys.
    pub keys: Keys,
    /// The KeyUsage it asks of the key: `Some` exactly for cryptographic operations, whose success is a use of the key.
    pub usage: Option<KeyUsage>,
    /// What it needs of the key's state.
    pub needs: Needs,
    /// Whether it may make a key pair, which takes up to seconds of computing: nobody else shall wait for it.
    pub slow: bool,
    /// `readOnly` of its CloudTrail record; an operation that is not read-only changes the store.
    pub read_only: bool,
    /// Whether a caller may name a key of another account, by its full name.
    ///
    /// Source: AWS KMS API Reference, "Cross-account use" of each operation.
    pub across_accounts: bool,
    /// Request members that the CloudTrail record shows, wire spelling, in the record's order. Secrets are never here.
    pub recorded: &'static [&'static str],
}

impl Operation {
    /// Whether a successful call counts as a use of the key for GetKeyLastUsage.
    pub fn is_cryptographic(&self) -> bool {
        self.usage.is_some()
    }

    /// The same row, for an operation that may make a key pair.
    const fn slow(self) -> Operation {
        Operation { slow: true, ..self }
    }

    /// The same row, for callers of other accounts as well.
    const fn across_accounts(self) -> Operation {
        Operation { across_accounts: true, ..self }
    }
}

const fn kms(
    name: &'static str,
    action: &'static str,
    keys: Keys,
    needs: Needs,
    read_only: bool,
    recorded: &'static [&'static str],
) -> Operation {
    Operation {
        service: Service::Kms,
        name,
        action,
        keys,
        usage: None,
        needs,
        slow: false,
        read_only,
        across_accounts: false,
        recorded,
    }
}

const fn crypto(
    name: &'static str,
    action: &'static str,
    keys: Keys,
    usage: KeyUsage,
    recorded: &'static [&'static str],
) -> Operation {
    Operation {
        service: Service::Kms,
        name,
        action,
        keys,
        usage: Some(usage),
        needs: Needs::Usable,
        slow: false,
        read_only: true,
        across_accounts: true,
        recorded,
    }
}

/// Every operation the service answers, by service and name.
#[rustfmt::skip] // one row, one line
pub static OPERATIONS: &[Operation] = &[
    Operation { service: Service::CloudTrail, name: "LookupEvents", action: "cloudtrail:LookupEvents", keys: Keys::None, usage: None, needs: Needs::Nothing, slow: false, read_only: true, across_accounts: false, recorded: &["LookupAttributes", "StartTime", "EndTime", "EventCategory", "MaxResults"] },
    kms("CancelKeyDeletion", "kms:CancelKeyDeletion", Keys::Id, Needs::Decision, false, &["KeyId"]),
    kms("ConnectCustomKeyStore", "kms:ConnectCustomKeyStore", Keys::None, Needs::Nothing, false, &["CustomKeyStoreId"]),
    kms("CreateAlias", "kms:CreateAlias", Keys::Alias, Needs::NotPendingDeletion, false, &["AliasName", "TargetKeyId"]),
    kms("CreateCustomKeyStore", "kms:CreateCustomKeyStore", Keys::None, Needs::Nothing, false, &["CustomKeyStoreName", "CustomKeyStoreType", "CloudHsmClusterId", "XksProxyConnectivity", "XksProxyUriEndpoint", "XksProxyUriPath", "XksProxyVpcEndpointServiceName", "XksProxyVpcEndpointServiceOwner"]).slow(),
    kms("CreateGrant", "kms:CreateGrant", Keys::Id, Needs::Grantable, false, &["KeyId", "GranteePrincipal", "GranteeServicePrincipal", "RetiringPrincipal", "RetiringServicePrincipal", "Operations", "Constraints", "Name", "DryRun"]).across_accounts(),
    kms("CreateKey", "kms:CreateKey", Keys::None, Needs::Nothing, false, &["Policy", "Description", "KeyUsage", "KeySpec", "CustomerMasterKeySpec", "Origin", "CustomKeyStoreId", "BypassPolicyLockoutSafetyCheck", "Tags", "MultiRegion", "XksKeyId"]).slow(),
    crypto("Decapsulate", "kms:Decapsulate", Keys::IdOrAlias, EncapsulateDecapsulate, &["KeyId", "EncapsulationAlgorithm", "DryRun"]),
    crypto("Decrypt", "kms:Decrypt", Keys::Ciphertext, EncryptDecrypt, &["EncryptionContext", "EncryptionAlgorithm", "DryRun", "DryRunModifiers"]),
    kms("DeleteAlias", "kms:DeleteAlias", Keys::Alias, Needs::Nothing, false, &["AliasName"]),
    kms("DeleteCustomKeyStore", "kms:DeleteCustomKeyStore", Keys::None, Needs::Nothing, false, &["CustomKeyStoreId"]),
    crypto("DeriveSharedSecret", "kms:DeriveSharedSecret", Keys::IdOrAlias, KeyAgreement, &["KeyId", "KeyAgreementAlgorithm", "DryRun"]),
    kms("DeleteImportedKeyMaterial", "kms:DeleteImportedKeyMaterial", Keys::Id, Needs::MaterialDeletion, false, &["KeyId", "KeyMaterialId"]),
    kms("DescribeCustomKeyStores", "kms:DescribeCustomKeyStores", Keys::None, Needs::Nothing, true, &["CustomKeyStoreId", "CustomKeyStoreName", "Limit", "Marker"]),
    kms("DescribeKey", "kms:DescribeKey", Keys::IdOrAlias, Needs::Nothing, true, &["KeyId"]).across_accounts(),
    kms("DisableKey", "kms:DisableKey", Keys::Id, Needs::Decision, false, &["KeyId"]),
    kms("DisableKeyRotation", "kms:DisableKeyRotation", Keys::Id, Needs::Rotation, false, &["KeyId"]),
    kms("DisconnectCustomKeyStore", "kms:DisconnectCustomKeyStore", Keys::None, Needs::Nothing, false, &["CustomKeyStoreId"]),
    kms("EnableKey", "kms:EnableKey", Keys::Id, Needs::Decision, false, &["KeyId"]),
    kms("EnableKeyRotation", "kms:EnableKeyRotation", Keys::Id, Needs::Rotation, false, &["KeyId", "RotationPeriodInDays"]),
    crypto("Encapsulate", "kms:Encapsulate", Keys::IdOrAlias, EncapsulateDecapsulate, &["KeyId", "EncapsulationAlgorithm", "DryRun"]),
    crypto("Encrypt", "kms:Encrypt", Keys::IdOrAlias, EncryptDecrypt, &["KeyId", "EncryptionContext", "EncryptionAlgorithm", "DryRun"]),
    crypto("GenerateDataKey", "kms:GenerateDataKey", Keys::IdOrAlias, EncryptDecrypt, &["KeyId", "EncryptionContext", "NumberOfBytes", "KeySpec", "DryRun"]),
    crypto("GenerateDataKeyPair", "kms:GenerateDataKeyPair", Keys::IdOrAlias, EncryptDecrypt, &["KeyPairSpec", "EncryptionContext", "KeyId", "DryRun"]).slow(),
    crypto("GenerateDataKeyPairWithoutPlaintext", "kms:GenerateDataKeyPairWithoutPlaintext", Keys::IdOrAlias, EncryptDecrypt, &["KeyPairSpec", "EncryptionContext", "KeyId", "DryRun"]).slow(),
    crypto("GenerateDataKeyWithoutPlaintext", "kms:GenerateDataKeyWithoutPlaintext", Keys::IdOrAlias, EncryptDecrypt, &["KeyId", "EncryptionContext", "KeySpec", "NumberOfBytes", "DryRun"]),
    crypto("GenerateMac", "kms:GenerateMac", Keys::IdOrAlias, GenerateVerifyMac, &["KeyId", "MacAlgorithm", "DryRun"]),
    kms("GenerateRandom", "kms:GenerateRandom", Keys::None, Needs::Nothing, true, &["NumberOfBytes"]),
    kms("GetKeyLastUsage", "kms:GetKeyLastUsage", Keys::Id, Needs::Nothing, true, &["KeyId"]),
    kms("GetKeyPolicy", "kms:GetKeyPolicy", Keys::Id, Needs::Nothing, true, &["KeyId", "PolicyName"]),
    kms("GetKeyRotationStatus", "kms:GetKeyRotationStatus", Keys::Id, Needs::Nothing, true, &["KeyId"]).across_accounts(),
    kms("GetParametersForImport", "kms:GetParametersForImport", Keys::Id, Needs::ImportParameters, true, &["KeyId", "WrappingAlgorithm", "WrappingKeySpec"]).slow(),
    kms("GetPublicKey", "kms:GetPublicKey", Keys::IdOrAlias, Needs::Usable, true, &["KeyId"]).across_accounts(),
    kms("ImportKeyMaterial", "kms:ImportKeyMaterial", Keys::Id, Needs::Import, false, &["KeyId", "ValidTo", "ExpirationModel", "ImportType", "KeyMaterialDescription", "KeyMaterialId"]),
    kms("ListAliases", "kms:ListAliases", Keys::None, Needs::Nothing, true, &["KeyId", "Limit", "Marker"]),
    kms("ListGrants", "kms:ListGrants", Keys::Id, Needs::Nothing, true, &["Limit", "Marker", "KeyId", "GrantId", "GranteePrincipal", "GranteeServicePrincipal"]).across_accounts(),
    kms("ListKeyPolicies", "kms:ListKeyPolicies", Keys::Id, Needs::Nothing, true, &["KeyId", "Limit", "Marker"]),
    kms("ListKeyRotations", "kms:ListKeyRotations", Keys::Id, Needs::Nothing, true, &["KeyId", "IncludeKeyMaterial", "Limit", "Marker"]),
    kms("ListKeys", "kms:ListKeys", Keys::None, Needs::Nothing, true, &["Limit", "Marker", "ResourceOwners"]),
    kms("ListResourceTags", "kms:ListResourceTags", Keys::Id, Needs::Nothing, true, &["KeyId", "Limit", "Marker"]),
    kms("ListRetirableGrants", "kms:ListRetirableGrants", Keys::None, Needs::Nothing, true, &["Limit", "Marker", "RetiringPrincipal", "RetiringServicePrincipal"]),
    kms("PutKeyPolicy", "kms:PutKeyPolicy", Keys::Id, Needs::Nothing, false, &["KeyId", "PolicyName", "Policy", "BypassPolicyLockoutSafetyCheck"]),
    crypto("ReEncrypt", "kms:ReEncryptTo", Keys::CiphertextAndDestination, EncryptDecrypt, &["SourceEncryptionAlgorithm", "SourceEncryptionContext", "SourceKeyId", "DestinationKeyId", "DestinationEncryptionAlgorithm", "DestinationEncryptionContext", "DryRun", "DryRunModifiers"]),
    kms("ReplicateKey", "kms:ReplicateKey", Keys::Id, Needs::Replicable, false, &["KeyId", "ReplicaRegion", "BypassPolicyLockoutSafetyCheck", "Description", "Tags"]),
    kms("RetireGrant", "kms:RetireGrant", Keys::Grant, Needs::Nothing, false, &["KeyId", "GrantId", "DryRun"]).across_accounts(),
    kms("RevokeGrant", "kms:RevokeGrant", Keys::Id, Needs::Nothing, false, &["KeyId", "GrantId", "DryRun"]).across_accounts(),
    kms("RotateKeyOnDemand", "kms:RotateKeyOnDemand", Keys::Id, Needs::Usable, false, &["KeyId"]),
    kms("ScheduleKeyDeletion", "kms:ScheduleKeyDeletion", Keys::Id, Needs::Decision, false, &["KeyId", "PendingWindowInDays"]),
    crypto("Sign", "kms:Sign", Keys::IdOrAlias, SignVerify, &["MessageType", "KeyId", "SigningAlgorithm", "DryRun"]),
    kms("TagResource", "kms:TagResource", Keys::Id, Needs::NotPendingDeletion, false, &["KeyId", "Tags"]),
    kms("UntagResource", "kms:UntagResource", Keys::Id, Needs::NotPendingDeletion, false, &["KeyId", "TagKeys"]),
    kms("UpdateAlias", "kms:UpdateAlias", Keys::Alias, Needs::NotPendingDeletion, false, &["AliasName", "TargetKeyId"]),
    kms("UpdateCustomKeyStore", "kms:UpdateCustomKeyStore", Keys::None, Needs::Nothing, false, &["CustomKeyStoreId", "NewCustomKeyStoreName", "CloudHsmClusterId", "XksProxyConnectivity", "XksProxyUriEndpoint", "XksProxyUriPath", "XksProxyVpcEndpointServiceName", "XksProxyVpcEndpointServiceOwner"]),
    kms("UpdateKeyDescription", "kms:UpdateKeyDescription", Keys::Id, Needs::NotPendingDeletion, false, &["KeyId", "Description"]),
    kms("UpdatePrimaryRegion", "kms:UpdatePrimaryRegion", Keys::Id, Needs::Decision, false, &["KeyId", "PrimaryRegion"]),
    crypto("Verify", "kms:Verify", Keys::IdOrAlias, SignVerify, &["MessageType", "KeyId", "SigningAlgorithm", "DryRun"]),
    crypto("VerifyMac", "kms:VerifyMac", Keys::IdOrAlias, GenerateVerifyMac, &["KeyId", "MacAlgorithm", "DryRun"]),
    Operation { service: Service::Sts, name: "GetCallerIdentity", action: "sts:GetCallerIdentity", keys: Keys::None, usage: None, needs: Needs::Nothing, slow: false, read_only: true, across_accounts: false, recorded: &[] },
];

/// The row of `name` in `service`, if the service offers it.
pub fn find(service: Service, name: &str) -> Option<&'static Operation> {
    OPERATIONS.iter().find(|row| row.service == service && row.name == name)
}
