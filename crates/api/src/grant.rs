//! Grants: how they are named, and what they can permit.

use std::fmt;
use std::str::FromStr;

use crate::InvalidId;
use crate::id::hex;
use crate::{KeySpec, KeyUsage};

/// A grant's ID: 64 hex digits, lower-case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GrantId(pub [u8; 32]);

impl fmt::Display for GrantId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex(&self.0, &mut digits);
        out.write_str(std::str::from_utf8(&digits).expect("digits are ASCII"))
    }
}

impl FromStr for GrantId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<GrantId, InvalidId> {
        let wrong = || InvalidId { given: text.to_owned(), expected: "a grant ID of 64 hex digits" };
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(wrong()),
        };
        let digits: [u8; 64] = text.as_bytes().try_into().map_err(|_| wrong())?;
        let mut id = [0; 32];
        for (byte, two) in id.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = digit(two[0])? << 4 | digit(two[1])?;
        }
        Ok(GrantId(id))
    }
}

impl serde::Serialize for GrantId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

macro_rules! grant_operations {
    ($($name:ident $text:literal),+ $(,)?) => {
        /// An operation that a grant can permit; the names are AWS's.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "each is named for the operation that it permits")]
        pub enum GrantOperation { $($name),+ }

        impl GrantOperation {
            /// All of them, in the API model's order.
            pub const ALL: &[GrantOperation] = &[$(GrantOperation::$name),+];
            /// Their names.
            pub const NAMES: &[&str] = &[$($text),+];

            /// AWS's spelling.
            pub const fn as_str(self) -> &'static str {
                match self { $(GrantOperation::$name => $text),+ }
            }
        }
    };
}

grant_operations! {
    Decrypt "Decrypt",
    Encrypt "Encrypt",
    GenerateDataKey "GenerateDataKey",
    GenerateDataKeyWithoutPlaintext "GenerateDataKeyWithoutPlaintext",
    ReEncryptFrom "ReEncryptFrom",
    ReEncryptTo "ReEncryptTo",
    Sign "Sign",
    Verify "Verify",
    GetPublicKey "GetPublicKey",
    CreateGrant "CreateGrant",
    RetireGrant "RetireGrant",
    DescribeKey "DescribeKey",
    GenerateDataKeyPair "GenerateDataKeyPair",
    GenerateDataKeyPairWithoutPlaintext "GenerateDataKeyPairWithoutPlaintext",
    GenerateMac "GenerateMac",
    VerifyMac "VerifyMac",
    DeriveSharedSecret "DeriveSharedSecret",
    Encapsulate "Encapsulate",
    Decapsulate "Decapsulate",
}

impl GrantOperation {
    /// The operation of that name.
    pub fn named(name: &str) -> Option<GrantOperation> {
        GrantOperation::ALL.iter().copied().find(|operation| operation.as_str() == name)
    }

    /// The operation that an IAM action names, where a grant can permit it: `kms:ReEncryptFrom`.
    pub fn of_action(action: &str) -> Option<GrantOperation> {
        GrantOperation::named(action.strip_prefix("kms:")?)
    }

    /// Whether a key of this spec and usage has the operation.
    ///
    /// Source: AWS KMS Developer Guide, "Grant operations".
    pub fn is_of(self, spec: KeySpec, usage: KeyUsage) -> bool {
        use GrantOperation as G;
        let symmetric = spec == KeySpec::SymmetricDefault;
        match self {
            G::CreateGrant | G::RetireGrant | G::DescribeKey => true,
            G::Encrypt | G::Decrypt | G::ReEncryptFrom | G::ReEncryptTo => usage == KeyUsage::EncryptDecrypt,
            G::GenerateDataKey
            | G::GenerateDataKeyWithoutPlaintext
            | G::GenerateDataKeyPair
            | G::GenerateDataKeyPairWithoutPlaintext => symmetric,
            G::GetPublicKey => !symmetric && usage != KeyUsage::GenerateVerifyMac,
            G::Sign | G::Verify => usage == KeyUsage::SignVerify,
            G::GenerateMac | G::VerifyMac => usage == KeyUsage::GenerateVerifyMac,
            G::DeriveSharedSecret => usage == KeyUsage::KeyAgreement,
            G::Encapsulate | G::Decapsulate => usage == KeyUsage::EncapsulateDecapsulate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_id_reads_as_it_is_written() {
        let id = GrantId(std::array::from_fn(|at| at as u8 * 7));
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "00", &"0".repeat(63), &"0".repeat(65), &"G".repeat(64), &"A".repeat(64)] {
            assert!(wrong.parse::<GrantId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own() {
        for (operation, name) in GrantOperation::ALL.iter().zip(GrantOperation::NAMES) {
            assert_eq!(GrantOperation::of_action(&format!("kms:{name}")), Some(*operation));
        }
        assert_eq!(GrantOperation::of_action("kms:ReEncrypt"), None);
        assert_eq!(GrantOperation::of_action("Decrypt"), None);
    }
}
