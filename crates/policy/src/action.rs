//! Actions: how a policy names them, and what the actions on a KMS key are for.

use api::Class;

use crate::glob::{self, Case, Piece};

/// A pattern of actions: `kms:Decrypt`, `kms:Re*`, `*`. Case does not matter.
///
/// Source: IAM User Guide, "IAM JSON policy elements: Action".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionPattern {
    written: Box<str>,
    pieces: Vec<Piece>,
}

impl ActionPattern {
    pub(crate) fn parse(text: &str) -> ActionPattern {
        ActionPattern { written: text.into(), pieces: glob::pieces(text) }
    }

    /// The pattern as the policy has it.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether `action`, such as `kms:Decrypt`, is one of those meant.
    pub fn matches(&self, action: &str) -> bool {
        glob::matches(&self.pieces, action, Case::Ignore)
    }

    /// Whether this is `*`, or `service:name` with letters, digits and wildcards in the name.
    pub fn is_well_formed(&self) -> bool {
        let named = |text: &str, extra: &[u8]| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
        };
        &*self.written == "*"
            || self.written.split_once(':').is_some_and(|(service, name)| named(service, b"-") && named(name, b"*?"))
    }
}

/// The actions that a key policy can allow on its key, by name.
///
/// Source: Service Authorization Reference, "Actions, resources, and condition keys for AWS Key Management Service", those with
/// resource type `key`.
#[rustfmt::skip] // one row, one line
pub const KEY_ACTIONS: &[(&str, Class)] = &[
    ("kms:CancelKeyDeletion", Class::Manage),
    ("kms:CreateAlias", Class::Manage),
    ("kms:CreateGrant", Class::Bind),
    ("kms:Decapsulate", Class::ReadData),
    ("kms:Decrypt", Class::ReadData),
    ("kms:DeleteAlias", Class::Manage),
    ("kms:DeleteImportedKeyMaterial", Class::Manage),
    ("kms:DeriveSharedSecret", Class::ReadData),
    ("kms:DescribeKey", Class::Look),
    ("kms:DisableKey", Class::Manage),
    ("kms:DisableKeyRotation", Class::Manage),
    ("kms:EnableKey", Class::Manage),
    ("kms:EnableKeyRotation", Class::Manage),
    ("kms:Encapsulate", Class::WriteData),
    ("kms:Encrypt", Class::WriteData),
    ("kms:GenerateDataKey", Class::WriteData),
    ("kms:GenerateDataKeyPair", Class::WriteData),
    ("kms:GenerateDataKeyPairWithoutPlaintext", Class::WriteData),
    ("kms:GenerateDataKeyWithoutPlaintext", Class::WriteData),
    ("kms:GenerateMac", Class::Mac),
    ("kms:GetKeyLastUsage", Class::Look),
    ("kms:GetKeyPolicy", Class::Look),
    ("kms:GetKeyRotationStatus", Class::Look),
    ("kms:GetParametersForImport", Class::Export),
    ("kms:GetPublicKey", Class::Export),
    ("kms:ImportKeyMaterial", Class::Manage),
    ("kms:ListGrants", Class::Look),
    ("kms:ListKeyPolicies", Class::Look),
    ("kms:ListKeyRotations", Class::Look),
    ("kms:ListResourceTags", Class::Look),
    ("kms:PutKeyPolicy", Class::Manage),
    ("kms:ReEncryptFrom", Class::ReadData),
    ("kms:ReEncryptTo", Class::WriteData),
    ("kms:ReplicateKey", Class::Bind),
    ("kms:RetireGrant", Class::Bind),
    ("kms:RevokeGrant", Class::Manage),
    ("kms:RotateKeyOnDemand", Class::Manage),
    ("kms:ScheduleKeyDeletion", Class::Manage),
    ("kms:Sign", Class::Sign),
    ("kms:SynchronizeMultiRegionKey", Class::Manage),
    ("kms:TagResource", Class::Manage),
    ("kms:UntagResource", Class::Manage),
    ("kms:UpdateAlias", Class::Manage),
    ("kms:UpdateKeyDescription", Class::Manage),
    ("kms:UpdatePrimaryRegion", Class::Manage),
    ("kms:Verify", Class::Check),
    ("kms:VerifyMac", Class::Check),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_named_in_any_case() {
        assert!(ActionPattern::parse("KMS:decrypt").matches("kms:Decrypt"));
        assert!(ActionPattern::parse("kms:*DataKey*").matches("kms:GenerateDataKeyPair"));
        assert!(!ActionPattern::parse("kms:Decrypt").matches("kms:DecryptX"));
        assert!(ActionPattern::parse("*").matches("kms:Decrypt"));
    }

    #[test]
    fn a_well_formed_action_has_one_service_and_one_name() {
        for text in ["*", "kms:*", "kms:Decrypt", "access-analyzer:List?"] {
            assert!(ActionPattern::parse(text).is_well_formed(), "{text}");
        }
        for text in ["", "kms", "kms:", ":Decrypt", "kms:a:b", "kms:De crypt", "k*:Decrypt"] {
            assert!(!ActionPattern::parse(text).is_well_formed(), "{text}");
        }
    }

    #[test]
    fn the_actions_of_every_operation_on_a_key_have_a_class() {
        for row in api::OPERATIONS {
            let about_a_key = row.service == api::Service::Kms && row.keys != api::Keys::None;
            if about_a_key {
                assert!(KEY_ACTIONS.iter().any(|(action, _)| *action == row.action), "{}", row.action);
            }
        }
        assert!(KEY_ACTIONS.is_sorted());
    }
}
