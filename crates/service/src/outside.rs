//! What stands outside: the hardware security modules and external key managers behind custom key stores.
//!
//! The service says what it needs of them as a trait; the server reaches them. A call blocks until the outside has answered or its
//! time is over, and changes nothing in the service's own state.

use api::KeyArn;
use api::shape::key_stores::ConnectionErrorCode;
use zeroize::Zeroizing;

/// How a custom key store is reached.
#[derive(Clone, Copy)]
pub enum Access<'a> {
    /// A cluster of hardware security modules, as its user `kmsuser`.
    Hsm {
        /// `cluster-…`.
        cluster: &'a str,
        /// The user's password.
        password: &'a Zeroizing<String>,
    },
    /// The proxy of an external key manager (AWS KMS External Key Store Proxy API).
    Xks {
        /// `https://` and a host.
        endpoint: &'a str,
        /// Ends with `/kms/xks/v1`.
        path: &'a str,
        /// What signs requests: the public half.
        access_key: &'a str,
        /// The secret half.
        secret: &'a Zeroizing<String>,
    },
}

/// For whom and what a key outside is used; the proxy of an external key manager is told.
#[derive(Debug, Clone, Copy)]
pub struct Purpose<'a> {
    /// The caller's ARN.
    pub principal: &'a str,
    /// The KMS key.
    pub key: KeyArn,
    /// The KMS operation: `Encrypt`.
    pub operation: &'a str,
    /// The request that asks.
    pub request_id: &'a str,
}

/// A key outside as it is used: how it is reached, which one it is, and what for.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    /// The custom key store.
    pub access: Access<'a>,
    /// The key in it.
    pub backing: &'a Backing,
    /// For whom and what.
    pub purpose: Purpose<'a>,
}

/// A key outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Backing {
    /// Made by KMS inside a hardware security module, 256-bit AES.
    Hsm {
        /// Its `CKA_ID`.
        id: [u8; 16],
    },
    /// Made by its owner in an external key manager.
    Xks {
        /// Its `XksKeyId`.
        id: String,
    },
}

/// Why the outside did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A cluster cannot be used as the store's properties say.
    Cluster(ConnectionErrorCode),
    /// A cluster has no such key.
    NoSuchKey,
    /// What a cluster was to open, or what it is bound to, is not what was sealed.
    Tampered,
    /// A cluster failed otherwise.
    Device,
    /// The proxy of an external key manager refuses, or does not answer as it should.
    Proxy(ProxyTrouble),
}

/// What goes wrong between KMS and the proxy of an external key manager.
///
/// Source: AWS KMS External Key Store Proxy API Specification, "Error codes".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProxyTrouble {
    /// ValidationException, or an answer that is not the API's.
    Malformed,
    /// InvalidStateException.
    KeyDisabled,
    /// InvalidCiphertextException.
    InvalidCiphertext,
    /// InvalidKeyUsageException, or metadata of a key that is no 256-bit AES key for both directions.
    InvalidKeyUsage,
    /// AuthenticationFailedException.
    AuthenticationFailed,
    /// AccessDeniedException.
    AccessDenied,
    /// KeyNotFoundException.
    KeyNotFound,
    /// InvalidUriPathException.
    InvalidUriPath,
    /// UnsupportedOperationException.
    Unsupported,
    /// DependencyTimeoutException.
    DependencyTimeout,
    /// ThrottlingException.
    Throttled,
    /// InternalException, or a health status without a key manager that can serve.
    Internal,
    /// No TCP connection.
    Unreachable,
    /// No TLS connection.
    NoTls,
    /// No answer in time.
    TimedOut,
}

impl ProxyTrouble {
    /// What the caller of KMS reads.
    pub(crate) fn message(self) -> &'static str {
        match self {
            ProxyTrouble::Malformed => {
                "AWS KMS cannot interpret the response from the external key store proxy. If you see this error repeatedly, report it to your external key store proxy administrator."
            }
            ProxyTrouble::KeyDisabled => {
                "The external key associated with this KMS key in an external key store is not enabled in the external key manager. Enable the external key in the external key manager and retry the request."
            }
            ProxyTrouble::InvalidCiphertext => {
                "The external key store proxy rejected the request because the specified ciphertext or encryption context is corrupted, missing, or otherwise invalid."
            }
            ProxyTrouble::InvalidKeyUsage => {
                "The external key associated with this KMS key in an external key store does not support the requested operation. Enable the operation on the key in your external key manager, and try the request again."
            }
            ProxyTrouble::AuthenticationFailed => {
                "The external key store proxy rejected the request because it could not authenticate AWS KMS. Verify the XKS proxy authentication credentials for your external key store and update if necessary."
            }
            ProxyTrouble::AccessDenied => {
                "The external key store proxy denied access to the operation. Verify that the user and the external key are both authorized for this operation, and try the request again."
            }
            ProxyTrouble::KeyNotFound => {
                "The external key associated with this KMS key in an external key store was not found in its external key manager. If the external key ID associated with this KMS key is incorrect, create a new KMS key with the correct external key ID."
            }
            ProxyTrouble::InvalidUriPath => {
                "The external key store proxy rejected the request because of an invalid URI path. Verify the URI path for your external key store and update if necessary."
            }
            ProxyTrouble::Unsupported => {
                "The external key store proxy rejected the request because it does not support the requested operation. If you see this error repeatedly, report it to your external key store proxy administrator."
            }
            ProxyTrouble::DependencyTimeout => {
                "The external key store proxy did not respond to the request in the time allotted. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator."
            }
            ProxyTrouble::Throttled => {
                "The external key store proxy rejected the request due to a very high request rate. Reduce the frequency of your calls using KMS keys in this external key store."
            }
            ProxyTrouble::Internal => {
                "The external key store proxy rejected the request because it cannot communicate with the external key manager. Verify that the external key store proxy configuration is correct and that the external key manager is available."
            }
            ProxyTrouble::Unreachable => {
                "AWS KMS cannot communicate with the external key store proxy. This might be a transient network issue. If you see this error repeatedly, verify that your external key store proxy is active and is connected to the network, and that its endpoint URI is correct in your external keystore."
            }
            ProxyTrouble::NoTls => {
                "AWS KMS cannot establish a TLS connection to the external key store proxy. Verify the TLS configuration, including its certificate."
            }
            ProxyTrouble::TimedOut => {
                "AWS KMS rejected the request because the external key store proxy did not respond in time. Retry the request. If you see this error repeatedly, report it to your external key store proxy administrator."
            }
        }
    }

    /// The code of CreateCustomKeyStore and UpdateCustomKeyStore.
    pub(crate) fn code_for_store(self) -> &'static str {
        match self {
            ProxyTrouble::AuthenticationFailed => "XksProxyIncorrectAuthenticationCredentialException",
            ProxyTrouble::InvalidUriPath => "XksProxyInvalidConfigurationException",
            ProxyTrouble::DependencyTimeout
            | ProxyTrouble::Throttled
            | ProxyTrouble::Unreachable
            | ProxyTrouble::NoTls
            | ProxyTrouble::TimedOut => "XksProxyUriUnreachableException",
            ProxyTrouble::Malformed
            | ProxyTrouble::KeyDisabled
            | ProxyTrouble::InvalidCiphertext
            | ProxyTrouble::InvalidKeyUsage
            | ProxyTrouble::AccessDenied
            | ProxyTrouble::KeyNotFound
            | ProxyTrouble::Unsupported
            | ProxyTrouble::Internal => "XksProxyInvalidResponseException",
        }
    }

    /// The code of CreateKey.
    pub(crate) fn code_for_key(self) -> &'static str {
        match self {
            ProxyTrouble::KeyDisabled | ProxyTrouble::InvalidKeyUsage => "XksKeyInvalidConfigurationException",
            ProxyTrouble::KeyNotFound => "XksKeyNotFoundException",
            ProxyTrouble::AccessDenied => "KMSInvalidStateException",
            ProxyTrouble::Malformed
            | ProxyTrouble::InvalidCiphertext
            | ProxyTrouble::AuthenticationFailed
            | ProxyTrouble::InvalidUriPath
            | ProxyTrouble::Unsupported
            | ProxyTrouble::DependencyTimeout
            | ProxyTrouble::Throttled
            | ProxyTrouble::Internal
            | ProxyTrouble::Unreachable
            | ProxyTrouble::NoTls
            | ProxyTrouble::TimedOut => "CustomKeyStoreInvalidStateException",
        }
    }

    /// What DescribeCustomKeyStores shows of a store that could not be connected.
    pub(crate) fn connection_error(self) -> ConnectionErrorCode {
        match self {
            ProxyTrouble::AuthenticationFailed | ProxyTrouble::AccessDenied => {
                ConnectionErrorCode::XksProxyAccessDenied
            }
            ProxyTrouble::InvalidUriPath => ConnectionErrorCode::XksProxyInvalidConfiguration,
            ProxyTrouble::DependencyTimeout | ProxyTrouble::TimedOut => ConnectionErrorCode::XksProxyTimedOut,
            ProxyTrouble::Throttled | ProxyTrouble::Unreachable => ConnectionErrorCode::XksProxyNotReachable,
            ProxyTrouble::NoTls => ConnectionErrorCode::XksProxyInvalidTlsConfiguration,
            ProxyTrouble::Malformed
            | ProxyTrouble::KeyDisabled
            | ProxyTrouble::InvalidCiphertext
            | ProxyTrouble::InvalidKeyUsage
            | ProxyTrouble::KeyNotFound
            | ProxyTrouble::Unsupported
            | ProxyTrouble::Internal => ConnectionErrorCode::XksProxyInvalidResponse,
        }
    }
}

impl Trouble {
    /// What DescribeCustomKeyStores shows of a store that could not be connected.
    pub(crate) fn connection_error(self) -> ConnectionErrorCode {
        match self {
            Trouble::Cluster(code) => code,
            Trouble::Proxy(trouble) => trouble.connection_error(),
            Trouble::NoSuchKey | Trouble::Tampered | Trouble::Device => ConnectionErrorCode::InternalError,
        }
    }
}

/// The outside, as the service needs it. Every call is bounded in time.
pub trait Outside: Send + Sync {
    /// Whether there is a cluster of this name, and whether it was initialized with this certificate.
    fn knows_cluster(&self, cluster: &str, trust_anchor: &str) -> Knows;

    /// Checks that the store answers and takes its credentials.
    ///
    /// # Errors
    /// [`Trouble`].
    fn connect(&self, access: Access<'_>) -> Result<(), Trouble>;

    /// Lets go of what [`Outside::connect`] holds; the store stays as it is.
    fn disconnect(&self, access: Access<'_>);

    /// Makes a 256-bit AES key inside a hardware security module, named `id`; it can never be read.
    ///
    /// # Errors
    /// [`Trouble`]; of an external key manager always: its keys are its owner's to make.
    fn make_key(&self, access: Access<'_>, id: [u8; 16], label: &str) -> Result<(), Trouble>;

    /// Fills `bytes` from the generator of a cluster.
    ///
    /// # Errors
    /// [`Trouble`]; of an external key manager always: its API has no such call.
    fn random(&self, access: Access<'_>, bytes: &mut [u8]) -> Result<(), Trouble>;

    /// Destroys a key that [`Outside::make_key`] made.
    ///
    /// # Errors
    /// [`Trouble`]; a key that is not there any more is no trouble.
    fn destroy_key(&self, access: Access<'_>, id: [u8; 16]) -> Result<(), Trouble>;

    /// Checks that a key outside can be used.
    ///
    /// # Errors
    /// [`Trouble`].
    fn check_key(&self, key: Held<'_>) -> Result<(), Trouble>;

    /// Encrypts `plaintext` under the key outside, bound to `aad`; at most 64 bytes longer.
    ///
    /// # Errors
    /// [`Trouble`].
    fn seal(&self, key: Held<'_>, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Trouble>;

    /// Decrypts what [`Outside::seal`] made.
    ///
    /// # Errors
    /// [`Trouble`].
    fn open(&self, key: Held<'_>, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble>;
}

/// What the outside knows of a cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Knows {
    /// It is there, and the certificate is its own.
    Yes,
    /// It is there, and the certificate is another's.
    OtherAnchor,
    /// There is none of this name.
    No,
}

/// No outside: no custom key store can be made or reached.
pub(crate) struct Nowhere;

impl Nowhere {
    fn unreachable<T>(access: Access<'_>) -> Result<T, Trouble> {
        Err(match access {
            Access::Hsm { .. } => Trouble::Cluster(ConnectionErrorCode::ClusterNotFound),
            Access::Xks { .. } => Trouble::Proxy(ProxyTrouble::Unreachable),
        })
    }
}

impl Outside for Nowhere {
    fn knows_cluster(&self, _: &str, _: &str) -> Knows {
        Knows::No
    }

    fn connect(&self, access: Access<'_>) -> Result<(), Trouble> {
        Nowhere::unreachable(access)
    }

    fn disconnect(&self, _: Access<'_>) {}

    fn make_key(&self, access: Access<'_>, _: [u8; 16], _: &str) -> Result<(), Trouble> {
        Nowhere::unreachable(access)
    }

    fn random(&self, access: Access<'_>, _: &mut [u8]) -> Result<(), Trouble> {
        Nowhere::unreachable(access)
    }

    fn destroy_key(&self, access: Access<'_>, _: [u8; 16]) -> Result<(), Trouble> {
        Nowhere::unreachable(access)
    }

    fn check_key(&self, key: Held<'_>) -> Result<(), Trouble> {
        Nowhere::unreachable(key.access)
    }

    fn seal(&self, key: Held<'_>, _: &[u8], _: &[u8]) -> Result<Vec<u8>, Trouble> {
        Nowhere::unreachable(key.access)
    }

    fn open(&self, key: Held<'_>, _: &[u8], _: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        Nowhere::unreachable(key.access)
    }
}
