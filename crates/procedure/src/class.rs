//! What an operation says about the key it names.

use serde::{Deserialize, Serialize};

/// The classes of procedure.md 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Old data needs the key.
    ReadData,
    /// Something still makes new dependents.
    WriteData,
    /// A signer is alive.
    Sign,
    /// A producer of MACs is alive.
    Mac,
    /// Somebody verifies.
    Check,
    /// Use may go on out of sight.
    Export,
    /// A resource is being attached or detached.
    Bind,
    /// Lifecycle: not use.
    Manage,
    /// Looking at metadata: not use.
    Look,
}

impl Class {
    /// The class of a KMS operation. An operation that is not known counts as use of the gravest kind.
    pub fn of(operation: &str) -> Class {
        match operation {
            "Decrypt" | "ReEncrypt" | "DeriveSharedSecret" | "Decapsulate" => Class::ReadData,
            "Encrypt" | "Encapsulate" => Class::WriteData,
            name if name.starts_with("GenerateDataKey") => Class::WriteData,
            "Sign" => Class::Sign,
            "GenerateMac" => Class::Mac,
            "Verify" | "VerifyMac" => Class::Check,
            "GetPublicKey" | "GetParametersForImport" => Class::Export,
            "CreateGrant" | "RetireGrant" | "ReplicateKey" => Class::Bind,
            name if ["Describe", "List", "Get"].iter().any(|verb| name.starts_with(verb)) => Class::Look,
            name if MANAGE.contains(&name) => Class::Manage,
            _ => Class::ReadData,
        }
    }

    /// Whether such a call, at any time, means that somebody needs the key.
    pub fn is_use(self) -> bool {
        match self {
            Class::ReadData | Class::WriteData | Class::Sign | Class::Mac | Class::Check | Class::Bind => true,
            Class::Export | Class::Manage | Class::Look => false,
        }
    }
}

/// Writes that are about the key, not with it.
const MANAGE: &[&str] = &[
    "CancelKeyDeletion",
    "CreateAlias",
    "CreateKey",
    "DeleteAlias",
    "DeleteImportedKeyMaterial",
    "DeleteKey",
    "DisableKey",
    "DisableKeyRotation",
    "EnableKey",
    "EnableKeyRotation",
    "ImportKeyMaterial",
    "PutKeyPolicy",
    "RevokeGrant",
    "RotateKey",
    "RotateKeyOnDemand",
    "ScheduleKeyDeletion",
    "SynchronizeMultiRegionKey",
    "TagResource",
    "UntagResource",
    "UpdateAlias",
    "UpdateKeyDescription",
    "UpdatePrimaryRegion",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_operation_counts_as_use() {
        assert_eq!(Class::of("Decrypt"), Class::ReadData);
        assert_eq!(Class::of("GenerateDataKeyPairWithoutPlaintext"), Class::WriteData);
        assert_eq!(Class::of("GetPublicKey"), Class::Export);
        assert_eq!(Class::of("DescribeKey"), Class::Look);
        assert_eq!(Class::of("EnableKeyRotation"), Class::Manage);
        assert!(Class::of("TransmuteKey").is_use());
    }
}
