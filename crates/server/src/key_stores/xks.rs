//! External key managers behind their proxies: the client of the AWS KMS External Key Store Proxy API, version 1.
//!
//! One JSON POST for each call, over TLS 1.2 or later, signed by SigV4 with the credential of the store for the service
//! `kms-xks-proxy`. Connections run on a thread of their own, so that a caller may block wherever it stands.
//! Source: AWS KMS External Key Store Proxy API Specification.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_lc_rs::digest;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde_json::{Value, json};
use service::{Access, ProxyTrouble, Purpose, Trouble};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tracing::warn;
use zeroize::Zeroizing;

use crate::error::StartError;

/// How long a call may take in all. AWS gives a proxy 250 ms; a proxy that is slow here would fail there.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most that an answer may hold; the longest is a decrypted 4,300 bytes in base64.
const ANSWER_BYTES: usize = 64 * 1024;
/// Connections that are kept to one host.
const KEPT: usize = 8;
/// Metadata that a proxy may add to a ciphertext. Source: the specification, "Encrypt".
const METADATA_BYTES: usize = 20;
/// Bytes of AES-GCM's tag.
const TAG_BYTES: usize = 16;
/// The port of every proxy.
const PORT: u16 = 443;

type Sender = SendRequest<Full<Bytes>>;

/// The way to every proxy.
pub(crate) struct Proxies(Arc<Shared>);

struct Shared {
    tls: TlsConnector,
    hosts: BTreeMap<String, SocketAddr>,
    kept: Mutex<BTreeMap<String, Vec<Sender>>>,
    /// Made when the first proxy is called: most servers have none.
    runtime: OnceLock<Option<Runtime>>,
}

impl Proxies {
    /// # Errors
    /// [`StartError`] where the certificates cannot be read.
    pub(crate) fn open(
        certificates: Option<&Path>,
        hosts: BTreeMap<String, SocketAddr>,
    ) -> Result<Proxies, StartError> {
        let mut roots = RootCertStore::empty();
        // Those that do not parse are left out, as every client does.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(path) = certificates {
            let wrong = |why: &dyn std::fmt::Display| StartError::KeyStores {
                what: format!("the certificates `{}` of external key store proxies: {why}", path.display()),
            };
            let chain: Vec<CertificateDer<'static>> =
                CertificateDer::pem_file_iter(path).and_then(Iterator::collect).map_err(|error| wrong(&error))?;
            if chain.is_empty() {
                return Err(wrong(&"it holds no certificate in PEM form"));
            }
            for certificate in chain {
                roots.add(certificate).map_err(|error| wrong(&error))?;
            }
        }
        let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .expect("AWS-LC has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let tls = TlsConnector::from(Arc::new(config));
        Ok(Proxies(Arc::new(Shared { tls, hosts, kept: Mutex::default(), runtime: OnceLock::new() })))
    }

    /// Asks whether the proxy and a key manager behind it are well.
    pub(crate) fn health(&self, access: Access<'_>) -> Result<(), Trouble> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Health {
            ekm_fleet_details: Vec<Manager>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Manager {
            health_status: String,
        }
        let request = json!({
            "requestMetadata": {
                "kmsRequestId": crate::ids::Uuid::fresh().as_str(),
                "kmsOperation": "ConnectCustomKeyStore",
            }
        });
        let health: Health = self.call(access, "health", &request)?;
        if health.ekm_fleet_details.iter().all(|manager| manager.health_status == "UNAVAILABLE") {
            return Err(Trouble::Proxy(ProxyTrouble::Unreachable));
        }
        Ok(())
    }

    /// Asks whether the key is enabled, of 256-bit AES, and for both directions.
    pub(crate) fn metadata(&self, access: Access<'_>, id: &str, purpose: Purpose<'_>) -> Result<(), Trouble> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Metadata {
            key_spec: String,
            key_usage: Vec<String>,
            key_status: String,
        }
        let request = json!({ "requestMetadata": {
            "awsPrincipalArn": purpose.principal,
            "kmsOperation": purpose.operation,
            "kmsRequestId": purpose.request_id,
        }});
        let key: Metadata = self.call(access, &format!("keys/{id}/metadata"), &request)?;
        let has = |usage: &str| key.key_usage.iter().any(|given| given == usage);
        if key.key_spec != "AES_256" || !has("ENCRYPT") || !has("DECRYPT") {
            return Err(Trouble::Proxy(ProxyTrouble::InvalidKeyUsage));
        }
        if key.key_status != "ENABLED" {
            return Err(Trouble::Proxy(ProxyTrouble::KeyDisabled));
        }
        Ok(())
    }

    /// Length and bytes of initialization vector and of metadata, tag, ciphertext.
    pub(crate) fn encrypt(
        &self,
        access: Access<'_>,
        id: &str,
        purpose: Purpose<'_>,
        aad: &[u8],
        plaintext: &[u8],
    ) -> Result<Vec<u8>, Trouble> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Encrypted {
            ciphertext: String,
            initialization_vector: String,
            authentication_tag: String,
            #[serde(default)]
            ciphertext_metadata: Option<String>,
            #[serde(default)]
            ciphertext_data_integrity_value: Option<String>,
        }
        let request = json!({
            "requestMetadata": metadata(&purpose),
            "additionalAuthenticatedData": STANDARD.encode(aad),
            "plaintext": STANDARD.encode(plaintext),
            "encryptionAlgorithm": "AES_GCM",
            "ciphertextDataIntegrityValueAlgorithm": "SHA_256",
        });
        let answer: Encrypted = self.call(access, &format!("keys/{id}/encrypt"), &request)?;
        let malformed = Trouble::Proxy(ProxyTrouble::Malformed);
        let bytes = |text: &str| STANDARD.decode(text).map_err(|_| malformed);
        let ciphertext = bytes(&answer.ciphertext)?;
        let vector = bytes(&answer.initialization_vector)?;
        let tag = bytes(&answer.authentication_tag)?;
        let metadata = bytes(answer.ciphertext_metadata.as_deref().unwrap_or_default())?;
        let integrity = bytes(answer.ciphertext_data_integrity_value.as_deref().unwrap_or_default())?;
        // INVARIANT: no data key leaves whose encrypted form was damaged on the way: the proxy says what it made.
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in [aad, &metadata, &vector, &ciphertext, &tag] {
            hash.update(part);
        }
        let fits = ciphertext.len() == plaintext.len()
            && matches!(vector.len(), 12 | 16)
            && tag.len() == TAG_BYTES
            && metadata.len() <= METADATA_BYTES
            && hash.finish().as_ref() == integrity;
        if !fits {
            return Err(malformed);
        }
        let length = |part: &[u8]| u8::try_from(part.len()).map_err(|_| malformed);
        let mut sealed = vec![length(&vector)?];
        sealed.extend_from_slice(&vector);
        sealed.push(length(&metadata)?);
        sealed.extend_from_slice(&metadata);
        sealed.extend_from_slice(&tag);
        sealed.extend_from_slice(&ciphertext);
        Ok(sealed)
    }

    /// Opens what [`Proxies::encrypt`] put together.
    pub(crate) fn decrypt(
        &self,
        access: Access<'_>,
        id: &str,
        purpose: Purpose<'_>,
        aad: &[u8],
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        #[derive(Deserialize)]
        struct Decrypted {
            plaintext: String,
        }
        fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
            let (length, rest) = bytes.split_first()?;
            rest.split_at_checked(usize::from(*length))
        }
        let parts = || {
            let (vector, rest) = counted(sealed)?;
            let (metadata, rest) = counted(rest)?;
            let (tag, ciphertext) = rest.split_at_checked(TAG_BYTES)?;
            Some((vector, metadata, tag, ciphertext))
        };
        let (vector, extra, tag, ciphertext) = parts().ok_or(Trouble::Proxy(ProxyTrouble::InvalidCiphertext))?;
        let mut request = json!({
            "requestMetadata": metadata(&purpose),
            "additionalAuthenticatedData": STANDARD.encode(aad),
            "ciphertext": STANDARD.encode(ciphertext),
            "encryptionAlgorithm": "AES_GCM",
            "initializationVector": STANDARD.encode(vector),
            "authenticationTag": STANDARD.encode(tag),
        });
        if !extra.is_empty() {
            request["ciphertextMetadata"] = STANDARD.encode(extra).into();
        }
        let answer: Decrypted = self.call(access, &format!("keys/{id}/decrypt"), &request)?;
        let (encoded, malformed) = (Zeroizing::new(answer.plaintext), Trouble::Proxy(ProxyTrouble::Malformed));
        let plaintext = Zeroizing::new(STANDARD.decode(encoded.as_bytes()).map_err(|_| malformed)?);
        if plaintext.len() == ciphertext.len() { Ok(plaintext) } else { Err(malformed) }
    }

    fn call<T: for<'a> Deserialize<'a>>(&self, access: Access<'_>, path: &str, body: &Value) -> Result<T, Trouble> {
        let Access::Xks { endpoint, path: base, access_key, secret } = access else {
            return Err(Trouble::Proxy(ProxyTrouble::Unsupported));
        };
        let host = endpoint.strip_prefix("https://").unwrap_or(endpoint).to_owned();
        let request = signed(&host, &format!("{base}/{path}"), access_key, secret, body.to_string().into_bytes())
            .ok_or(Trouble::Proxy(ProxyTrouble::InvalidUriPath))?;
        let answered = self.0.clone().blocking(host.clone(), request);
        let (status, answer) = answered.map_err(|trouble| {
            warn!(host, ?trouble, "an external key store proxy does not answer");
            Trouble::Proxy(trouble)
        })?;
        if status == 200 {
            return serde_json::from_slice(&answer).map_err(|_| Trouble::Proxy(ProxyTrouble::Malformed));
        }
        let trouble = refused(&answer);
        warn!(host, status, ?trouble, "an external key store proxy refused");
        Err(Trouble::Proxy(trouble))
    }
}

/// What is told of the caller, for authorization at the key manager.
fn metadata(purpose: &Purpose<'_>) -> Value {
    json!({
        "awsPrincipalArn": purpose.principal,
        "kmsKeyArn": purpose.key,
        "kmsOperation": purpose.operation,
        "kmsRequestId": purpose.request_id,
    })
}

/// A refusal by its `errorName`.
fn refused(body: &[u8]) -> ProxyTrouble {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Refusal {
        error_name: String,
    }
    let Ok(refusal) = serde_json::from_slice::<Refusal>(body) else { return ProxyTrouble::Malformed };
    match refusal.error_name.as_str() {
        "InvalidStateException" => ProxyTrouble::KeyDisabled,
        "InvalidCiphertextException" => ProxyTrouble::InvalidCiphertext,
        "InvalidKeyUsageException" => ProxyTrouble::InvalidKeyUsage,
        "AuthenticationFailedException" => ProxyTrouble::AuthenticationFailed,
        "AccessDeniedException" => ProxyTrouble::AccessDenied,
        "KeyNotFoundException" => ProxyTrouble::KeyNotFound,
        "InvalidUriPathException" => ProxyTrouble::InvalidUriPath,
        "UnsupportedOperationException" => ProxyTrouble::Unsupported,
        "DependencyTimeoutException" => ProxyTrouble::DependencyTimeout,
        "ThrottlingException" => ProxyTrouble::Throttled,
        "InternalException" => ProxyTrouble::Internal,
        _ => ProxyTrouble::Malformed,
    }
}

/// A signed POST; `None` where the host or path cannot be one.
fn signed(
    host: &str,
    path: &str,
    access_key: &str,
    secret: &Zeroizing<String>,
    body: Vec<u8>,
) -> Option<Request<Full<Bytes>>> {
    let uri = format!("https://{host}{path}");
    let identity = Credentials::new(access_key, secret.as_str(), None, None, "custom key store").into();
    // A proxy holds the signature's time against its own wall clock, whatever clock our keys live by.
    #[expect(clippy::disallowed_methods, reason = "the edge signs with the wall clock")]
    let now = SystemTime::now();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        // The specification takes any Region: a proxy knows its store by the credential.
        .region("us-east-1")
        .name("kms-xks-proxy")
        .time(now)
        .settings(SigningSettings::default())
        .build()
        .ok()?
        .into();
    let headers = [("host", host), ("content-type", "application/json")];
    let signable = SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(&body)).ok()?;
    let (instructions, _) = sign(signable, &parameters).ok()?.into_parts();
    let mut request = Request::builder().method("POST").uri(path);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let mut request = request.body(Full::new(Bytes::from(body))).ok()?;
    instructions.apply_to_request_http1x(&mut request);
    Some(request)
}

type Answered = Result<(u16, Bytes), ProxyTrouble>;

impl Shared {
    /// Sends the request, and waits for the answer on the calling thread.
    fn blocking(self: Arc<Shared>, host: String, request: Request<Full<Bytes>>) -> Answered {
        let build = || {
            let mut builder = tokio::runtime::Builder::new_multi_thread();
            builder.worker_threads(1).thread_name("key-store-proxies").enable_all().build().ok()
        };
        let shared = self.clone();
        let runtime = self.runtime.get_or_init(build).as_ref().ok_or(ProxyTrouble::Unreachable)?;
        let (reply, answered) = mpsc::sync_channel(1);
        runtime.spawn(async move {
            let sent = tokio::time::timeout(TIMEOUT, shared.send(host, request)).await;
            // Who no longer waits has lost interest.
            let _ = reply.send(sent.unwrap_or(Err(ProxyTrouble::TimedOut)));
        });
        answered.recv_timeout(2 * TIMEOUT).unwrap_or(Err(ProxyTrouble::TimedOut))
    }

    async fn send(&self, host: String, request: Request<Full<Bytes>>) -> Answered {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner).get_mut(&host).and_then(Vec::pop);
        let usable = match kept {
            // A connection that the proxy has closed meanwhile is not ready.
            Some(mut sender) => sender.ready().await.is_ok().then_some(sender),
            None => None,
        };
        let mut sender = match usable {
            Some(sender) => sender,
            None => self.connect(&host).await?,
        };
        let response = sender.send_request(request).await.map_err(|_| ProxyTrouble::Unreachable)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER_BYTES).collect().await;
        let body = body.map_err(|_| ProxyTrouble::Malformed)?.to_bytes();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = kept.entry(host).or_default();
        if kept.len() < KEPT {
            kept.push(sender);
        }
        Ok((status, body))
    }

    async fn connect(&self, host: &str) -> Result<Sender, ProxyTrouble> {
        let stream = match self.hosts.get(host) {
            Some(address) => TcpStream::connect(address).await,
            None => TcpStream::connect((host, PORT)).await,
        };
        let stream = stream.map_err(|_| ProxyTrouble::Unreachable)?;
        let name = ServerName::try_from(host.to_owned()).map_err(|_| ProxyTrouble::NoTls)?;
        let stream = self.tls.connect(name, stream).await.map_err(|_| ProxyTrouble::NoTls)?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|_| ProxyTrouble::Unreachable)?;
        // It ends with its sender.
        tokio::spawn(connection);
        Ok(sender)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Dropping a runtime waits for its threads, which is not allowed everywhere; nobody waits for an answer any more.
        if let Some(Some(runtime)) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
