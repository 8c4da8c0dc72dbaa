//! CreateCustomKeyStore, ConnectCustomKeyStore, DisconnectCustomKeyStore, UpdateCustomKeyStore, DeleteCustomKeyStore,
//! DescribeCustomKeyStores.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Epoch, Paging};
use crate::validate::{Pattern, Reader, Request};

const TYPES: &[&str] = &["AWS_CLOUDHSM", "EXTERNAL_KEY_STORE"];
const CONNECTIVITIES: &[&str] = &["PUBLIC_ENDPOINT", "VPC_ENDPOINT_SERVICE"];

const CLUSTER: Pattern = Pattern {
    shown: "cluster-[2-7a-zA-Z]{11,16}",
    accepts: |text| {
        text.strip_prefix("cluster-").is_some_and(|rest| {
            (11..=16).contains(&rest.len())
                && rest.bytes().all(|byte| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(&byte))
        })
    },
};

const ENDPOINT: Pattern = Pattern {
    shown: "^https://[a-zA-Z0-9.-]+$",
    accepts: |text| {
        text.strip_prefix("https://").is_some_and(|host| {
            !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-'))
        })
    },
};

const PATH: Pattern = Pattern {
    shown: "^(/[a-zA-Z0-9\\/_-]+/kms/xks/v\\d{1,2})$|^(/kms/xks/v\\d{1,2})$",
    accepts: |text| {
        let Some((prefix, version)) = text.rsplit_once("/kms/xks/v") else { return false };
        let prefix_fits = prefix.is_empty()
            || (prefix.len() > 1
                && prefix.starts_with('/')
                && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'_' | b'-')));
        prefix_fits && (1..=2).contains(&version.len()) && version.bytes().all(|byte| byte.is_ascii_digit())
    },
};

const VPC_SERVICE: Pattern = Pattern {
    shown: "^(com|eu)\\.amazonaws\\.vpce\\.([a-z]+-){2,3}\\d+\\.vpce-svc-[0-9a-z]+$",
    accepts: |text| {
        let mut parts = text.split('.');
        let region_fits = |region: &str| {
            let words: Vec<&str> = region.split('-').collect();
            let Some((number, words)) = words.split_last() else { return false };
            (2..=3).contains(&words.len())
                && words.iter().all(|word| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase()))
                && !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let service_fits = |service: &str| {
            service.strip_prefix("vpce-svc-").is_some_and(|id| {
                !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase())
            })
        };
        matches!(parts.next(), Some("com" | "eu"))
            && parts.next() == Some("amazonaws")
            && parts.next() == Some("vpce")
            && parts.next().is_some_and(region_fits)
            && parts.next().is_some_and(service_fits)
            && parts.next().is_none()
    },
};

const OWNER: Pattern =
    Pattern { shown: "[0-9]{12}", accepts: |text| text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) };

const ACCESS_KEY: Pattern = Pattern {
    shown: "^[A-Z2-7]+$",
    accepts: |text| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte))
    },
};

const SECRET_KEY: Pattern = Pattern {
    shown: "^[a-zA-Z0-9\\/+=]+$",
    accepts: |text| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+' | b'='))
    },
};

/// A secret of a request; never shown.
#[derive(Clone, Default)]
pub struct Secret(pub Zeroizing<String>);

impl Secret {
    fn of(text: Cow<'_, str>) -> Secret {
        Secret(Zeroizing::new(text.into_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Secret")
    }
}

/// What signs the requests to an external key store's proxy.
#[derive(Debug, Clone)]
pub struct Credential<'a> {
    /// 20 to 30 upper-case letters and digits 2 to 7.
    pub access_key: Cow<'a, str>,
    /// 43 to 64 characters.
    pub secret: Secret,
}

impl<'a> Request<'a> for Credential<'a> {
    fn read(reader: &Reader<'_, 'a>) -> Credential<'a> {
        let secret = reader.required_secret_text("RawSecretAccessKey", 43..=64, Some(SECRET_KEY));
        Credential {
            access_key: reader.required_text("AccessKeyId", 20..=30, Some(ACCESS_KEY)),
            secret: secret.map(Secret::of).unwrap_or_default(),
        }
    }
}

/// The properties of a custom key store, as CreateCustomKeyStore and UpdateCustomKeyStore give them.
#[derive(Debug)]
pub struct Properties<'a> {
    /// A CloudHSM cluster.
    pub cluster: Option<Cow<'a, str>>,
    /// The password of the cluster's `kmsuser`.
    pub password: Option<Secret>,
    /// `https://` and a host.
    pub endpoint: Option<Cow<'a, str>>,
    /// Ends with `/kms/xks/v1`.
    pub path: Option<Cow<'a, str>>,
    /// `PUBLIC_ENDPOINT` or `VPC_ENDPOINT_SERVICE`.
    pub connectivity: Option<&'static str>,
    /// The service of a VPC endpoint.
    pub vpc_service: Option<Cow<'a, str>>,
    /// The account that owns that service.
    pub vpc_owner: Option<Cow<'a, str>>,
    /// What signs the requests to the proxy.
    pub credential: Option<Credential<'a>>,
}

impl<'a> Properties<'a> {
    fn read(reader: &Reader<'_, 'a>) -> Properties<'a> {
        Properties {
            cluster: reader.text("CloudHsmClusterId", 19..=24, Some(CLUSTER)),
            password: reader.secret_text("KeyStorePassword", 7..=32, None).map(Secret::of),
            endpoint: reader.text("XksProxyUriEndpoint", 10..=128, Some(ENDPOINT)),
            path: reader.text("XksProxyUriPath", 10..=128, Some(PATH)),
            connectivity: reader.choice("XksProxyConnectivity", CONNECTIVITIES),
            vpc_service: reader.text("XksProxyVpcEndpointServiceName", 20..=64, Some(VPC_SERVICE)),
            vpc_owner: reader.text("XksProxyVpcEndpointServiceOwner", 12..=12, Some(OWNER)),
            credential: reader.structure("XksProxyAuthenticationCredential"),
        }
    }
}

/// CreateCustomKeyStore.
#[derive(Debug)]
pub struct CreateCustomKeyStore<'a> {
    /// Its name, unique in account and Region.
    pub name: Cow<'a, str>,
    /// `AWS_CLOUDHSM` where none is named, or `EXTERNAL_KEY_STORE`.
    pub kind: &'static str,
    /// The certificate that a cluster was initialized with, PEM.
    pub trust_anchor: Option<Cow<'a, str>>,
    /// All else.
    pub properties: Properties<'a>,
}

impl<'a> Request<'a> for CreateCustomKeyStore<'a> {
    fn read(reader: &Reader<'_, 'a>) -> CreateCustomKeyStore<'a> {
        CreateCustomKeyStore {
            name: reader.required_text("CustomKeyStoreName", 1..=256, None),
            kind: reader.choice("CustomKeyStoreType", TYPES).unwrap_or(TYPES[0]),
            trust_anchor: reader.text("TrustAnchorCertificate", 1..=5000, None),
            properties: Properties::read(reader),
        }
    }
}

/// UpdateCustomKeyStore.
#[derive(Debug)]
pub struct UpdateCustomKeyStore<'a> {
    /// The store.
    pub store: Cow<'a, str>,
    /// Its new name.
    pub name: Option<Cow<'a, str>>,
    /// What else is to change.
    pub properties: Properties<'a>,
}

impl<'a> Request<'a> for UpdateCustomKeyStore<'a> {
    fn read(reader: &Reader<'_, 'a>) -> UpdateCustomKeyStore<'a> {
        UpdateCustomKeyStore {
            store: reader.required_text("CustomKeyStoreId", 1..=64, None),
            name: reader.text("NewCustomKeyStoreName", 1..=256, None),
            properties: Properties::read(reader),
        }
    }
}

/// ConnectCustomKeyStore, DisconnectCustomKeyStore, DeleteCustomKeyStore.
#[derive(Debug)]
pub struct OfKeyStore<'a> {
    /// The store.
    pub store: Cow<'a, str>,
}

impl<'a> Request<'a> for OfKeyStore<'a> {
    fn read(reader: &Reader<'_, 'a>) -> OfKeyStore<'a> {
        OfKeyStore { store: reader.required_text("CustomKeyStoreId", 1..=64, None) }
    }
}

/// DescribeCustomKeyStores.
#[derive(Debug)]
pub struct DescribeCustomKeyStores<'a> {
    /// Only this one.
    pub store: Option<Cow<'a, str>>,
    /// Only the one of this name.
    pub name: Option<Cow<'a, str>>,
    /// Which page.
    pub paging: Paging<'a>,
}

impl<'a> Request<'a> for DescribeCustomKeyStores<'a> {
    fn read(reader: &Reader<'_, 'a>) -> DescribeCustomKeyStores<'a> {
        DescribeCustomKeyStores {
            store: reader.text("CustomKeyStoreId", 1..=64, None),
            name: reader.text("CustomKeyStoreName", 1..=256, None),
            paging: Paging::read(reader),
        }
    }
}

/// The answer of CreateCustomKeyStore.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreatedKeyStore {
    /// `cks-` and 17 hex digits.
    pub custom_key_store_id: String,
}

/// One store of DescribeCustomKeyStores.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct ListedKeyStore {
    /// Its ID.
    pub custom_key_store_id: String,
    /// Its name.
    pub custom_key_store_name: String,
    /// Of a CloudHSM store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cloud_hsm_cluster_id: Option<String>,
    /// Of a CloudHSM store, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_anchor_certificate: Option<String>,
    /// `CONNECTED` and so on.
    pub connection_state: &'static str,
    /// Why it could not be connected, while that is its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_error_code: Option<ConnectionErrorCode>,
    /// When it was made.
    pub creation_date: Epoch,
    /// `AWS_CLOUDHSM` or `EXTERNAL_KEY_STORE`.
    pub custom_key_store_type: &'static str,
    /// Of an external key store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub xks_proxy_configuration: Option<XksProxyConfiguration>,
}

/// How an external key store's proxy is reached.
#[derive(Debug, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct XksProxyConfiguration {
    /// `PUBLIC_ENDPOINT` or `VPC_ENDPOINT_SERVICE`.
    pub connectivity: String,
    /// The credential's public half.
    pub access_key_id: String,
    /// `https://` and a host.
    pub uri_endpoint: String,
    /// Ends with `/kms/xks/v1`.
    pub uri_path: String,
    /// Only with a VPC endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_endpoint_service_name: Option<String>,
    /// Only with a VPC endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vpc_endpoint_service_owner: Option<String>,
}

/// Why a custom key store could not be connected. Source: KMS API model, `ConnectionErrorCodeType`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ConnectionErrorCode {
    /// The password of `kmsuser` is wrong.
    InvalidCredentials,
    /// No such cluster.
    ClusterNotFound,
    /// The cluster does not answer.
    NetworkErrors,
    /// Something that is not the caller's to mend.
    InternalError,
    /// `kmsuser` is locked out after too many wrong passwords.
    UserLockedOut,
    /// There is no `kmsuser`.
    UserNotFound,
    /// The proxy refuses the credential.
    XksProxyAccessDenied,
    /// The proxy does not answer at all.
    XksProxyNotReachable,
    /// The proxy answers something else than the API it is to speak.
    XksProxyInvalidResponse,
    /// The proxy does not know the path, or has no key manager that is well.
    XksProxyInvalidConfiguration,
    /// The proxy took too long.
    XksProxyTimedOut,
    /// The proxy's certificate is not one to trust, or not for its host.
    XksProxyInvalidTlsConfiguration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_accept_what_they_show() {
        let accepts = |pattern: Pattern, text: &str| (pattern.accepts)(text);
        assert!(accepts(CLUSTER, "cluster-1a23b4cdefg".replace('1', "2").as_str()));
        assert!(!accepts(CLUSTER, "cluster-0123456789a"));
        assert!(accepts(ENDPOINT, "https://xks.example.com"));
        assert!(!accepts(ENDPOINT, "https://xks.example.com:8443"));
        for (path, fits) in [
            ("/kms/xks/v1", true),
            ("/tenant-1/a_b/kms/xks/v12", true),
            ("//kms/xks/v1", false),
            ("/kms/xks/v123", false),
            ("/kms/xks/v", false),
            ("kms/xks/v1", false),
        ] {
            assert_eq!(accepts(PATH, path), fits, "{path}");
        }
        assert!(accepts(VPC_SERVICE, "com.amazonaws.vpce.us-east-1.vpce-svc-0123456789abcdef0"));
        assert!(!accepts(VPC_SERVICE, "com.amazonaws.vpce.useast1.vpce-svc-0"));
    }

    #[test]
    fn a_wrong_secret_is_not_repeated() {
        let body = br#"{"CustomKeyStoreName":"n","KeyStorePassword":"short",
            "XksProxyAuthenticationCredential":{"AccessKeyId":"a","RawSecretAccessKey":"tell nobody"}}"#;
        let fields = crate::validate::Fields::parse(body).unwrap();
        let text = CreateCustomKeyStore::parse(&fields).unwrap_err().message.unwrap().into_owned();
        assert!(!text.contains("short") && !text.contains("tell nobody"), "{text}");
        assert!(text.contains("'xksProxyAuthenticationCredential.accessKeyId'"), "{text}");
    }
}
