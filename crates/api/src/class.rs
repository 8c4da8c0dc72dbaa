//! What an operation on a key means for what depends on the key.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What an operation does with a key. Source: `procedure.md` 4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Old data needs the key: the strongest evidence.
    ReadData,
    /// Something still makes new dependents.
    WriteData,
    /// A signature was made.
    Sign,
    /// A message authentication code was made.
    Mac,
    /// A signature or code was verified.
    Check,
    /// A public key or import parameters were handed out: use may go on out of sight.
    Export,
    /// A resource is being attached or detached.
    Bind,
    /// The key itself was changed.
    Manage,
    /// Somebody looked; no use.
    Look,
}

impl Class {
    /// The class of an operation; ReEncrypt's is that of its source, the stronger one.
    ///
    /// Of an operation that is not known here, one that changes something is `Manage`; one that changes nothing and does not
    /// describe, list or get may be a new cryptographic operation and counts as reading data.
    pub fn of(event_name: &str, read_only: Option<bool>) -> Class {
        match event_name {
            "Decrypt" | "ReEncrypt" | "DeriveSharedSecret" | "Decapsulate" => Class::ReadData,
            "Encrypt" | "Encapsulate" => Class::WriteData,
            "Sign" => Class::Sign,
            "GenerateMac" => Class::Mac,
            "Verify" | "VerifyMac" => Class::Check,
            "GetPublicKey" | "GetParametersForImport" => Class::Export,
            "CreateGrant" | "RetireGrant" | "ReplicateKey" => Class::Bind,
            "GenerateRandom" => Class::Look,
            name if name.starts_with("GenerateDataKey") => Class::WriteData,
            name if ["Describe", "List", "Get"].iter().any(|verb| name.starts_with(verb)) => Class::Look,
            _ if read_only == Some(true) => Class::ReadData,
            _ => Class::Manage,
        }
    }

    /// The name that reports use: `read-data`.
    pub fn as_str(self) -> &'static str {
        match self {
            Class::ReadData => "read-data",
            Class::WriteData => "write-data",
            Class::Sign => "sign",
            Class::Mac => "mac",
            Class::Check => "check",
            Class::Export => "export",
            Class::Bind => "bind",
            Class::Manage => "manage",
            Class::Look => "look",
        }
    }

    /// Whether such a call means that somebody needs the key. Source: `procedure.md` 6.5.8, `IN_USE`.
    pub fn is_use(self) -> bool {
        match self {
            Class::ReadData | Class::WriteData | Class::Sign | Class::Mac | Class::Check | Class::Bind => true,
            Class::Export | Class::Manage | Class::Look => false,
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}
