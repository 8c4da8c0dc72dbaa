//! A custom key store as the service knows it.

use std::fmt;
use std::str::FromStr;

use api::shape::key_stores::ConnectionErrorCode;
use api::{AccountId, Region, Timestamp};
use crypto::WrappedMaterial;

/// `cks-` and 17 hex digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyStoreId(String);

impl KeyStoreId {
    /// The ID that 9 random bytes make.
    pub(crate) fn of(random: [u8; 9]) -> KeyStoreId {
        let mut digits = [0; 18];
        api::hex(&random, &mut digits);
        let digits = std::str::from_utf8(&digits[..17]).expect("hex digits are ASCII");
        KeyStoreId(format!("cks-{digits}"))
    }
}

impl FromStr for KeyStoreId {
    type Err = ();

    fn from_str(text: &str) -> Result<KeyStoreId, ()> {
        let digits = text.strip_prefix("cks-").ok_or(())?;
        let fits = digits.len() == 17 && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(KeyStoreId(text.to_owned())) } else { Err(()) }
    }
}

impl fmt::Display for KeyStoreId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// A custom key store by account, Region and ID.
pub(crate) type StoreKey = (AccountId, Region, KeyStoreId);

/// A custom key store.
#[derive(Debug, Clone)]
pub struct KeyStore {
    /// Its ID.
    pub id: KeyStoreId,
    /// Its name, unique in account and Region.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// What is behind it.
    pub kind: KeyStoreKind,
    /// Whether its keys can be used.
    pub connection: Connection,
}

/// What is behind a custom key store. Secrets are wrapped by the root keyring.
#[derive(Debug, Clone)]
pub enum KeyStoreKind {
    /// A cluster of hardware security modules.
    CloudHsm {
        /// `cluster-…`.
        cluster: String,
        /// The certificate it was initialized with, PEM.
        trust_anchor: String,
        /// The password of `kmsuser`.
        password: WrappedMaterial,
    },
    /// An external key manager behind a proxy.
    External {
        /// `https://` and a host.
        endpoint: String,
        /// Ends with `/kms/xks/v1`.
        path: String,
        /// `PUBLIC_ENDPOINT` or `VPC_ENDPOINT_SERVICE`.
        connectivity: String,
        /// The service of a VPC endpoint, and the account that owns it, where that is told.
        vpc: Option<(String, Option<String>)>,
        /// The credential's public half.
        access_key: String,
        /// Its secret half.
        secret: WrappedMaterial,
    },
}

impl KeyStoreKind {
    /// `CustomKeyStoreType`, which is the `Origin` of its keys as well.
    pub fn as_str(&self) -> &'static str {
        match self {
            KeyStoreKind::CloudHsm { .. } => "AWS_CLOUDHSM",
            KeyStoreKind::External { .. } => "EXTERNAL_KEY_STORE",
        }
    }
}

/// Whether a custom key store's keys can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// Nobody asked for it.
    Disconnected,
    /// Asked for; the outside has not answered yet.
    Connecting,
    /// The outside took the credentials.
    Connected,
    /// The outside did not.
    Failed(ConnectionErrorCode),
}

impl Connection {
    /// AWS's spelling.
    pub fn name(self) -> &'static str {
        match self {
            Connection::Disconnected => "DISCONNECTED",
            Connection::Connecting => "CONNECTING",
            Connection::Connected => "CONNECTED",
            Connection::Failed(_) => "FAILED",
        }
    }
}
