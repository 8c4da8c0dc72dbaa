//! Custom key stores against real outsides: SoftHSM2 by its PKCS #11 module, and a small proxy that speaks the AWS KMS External Key
//! Store Proxy API over TLS and holds every request's signature against AWS's own signer.

#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and skips aloud")]

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use common::Client;
use http_body_util::{BodyExt as _, Full};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use server::{ClockKind, Config, KeyStores, Server};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, pem::PemObject as _};

const HOST: &str = "xks.example.com";
const ACCESS_KEY: &str = "ABCDEFGHIJKLMNOPQRST";
const SECRET: &str = "DXjSUawnel2fr6SKC7G25CNxTyWKE5PF9XX6H/u9pSo=";
const PASSWORD: &str = "kmsPswd2";
const CLUSTER: &str = "cluster-2a3b4c5d6e7";

/// Where SoftHSM2 is: on this machine, or unpacked from Debian's packages under the target folder.
fn softhsm() -> Result<(PathBuf, PathBuf), String> {
    let unpacked = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("softhsm");
    let roots = [PathBuf::from("/"), unpacked.clone()];
    let find = |root: &PathBuf| {
        let tool = root.join("usr/bin/softhsm2-util");
        let modules = ["usr/lib/softhsm", "usr/lib/x86_64-linux-gnu/softhsm", "usr/lib/aarch64-linux-gnu/softhsm"];
        let module = modules.iter().map(|folder| root.join(folder).join("libsofthsm2.so")).find(|path| path.exists());
        module.filter(|_| tool.exists()).map(|module| (module, tool))
    };
    if let Some(found) = roots.iter().find_map(find) {
        return Ok(found);
    }
    std::fs::create_dir_all(&unpacked).map_err(|error| error.to_string())?;
    let run = |command: &mut Command| match command.current_dir(&unpacked).output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{command:?}: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("{command:?}: {error}")),
    };
    let download = || run(Command::new("apt-get").args(["download", "softhsm2", "libsofthsm2"]));
    // A bare machine knows no packages yet.
    download().or_else(|_| run(Command::new("apt-get").arg("update")).and_then(|()| download()))?;
    for entry in std::fs::read_dir(&unpacked).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("-x").arg(&path).arg(&unpacked))?;
        }
    }
    find(&unpacked).ok_or_else(|| "its packages do not hold the module".to_owned())
}

/// A token of its own, in `folder`; the module that reaches it.
///
/// SoftHSM2 reads where its tokens are from the environment, which a test must not change: the configuration is the one that it
/// looks for in the home folder, so the test runs again as a child with another home.
fn token(folder: &Path, module: &Path, tool: &Path) {
    let tokens = folder.join("tokens");
    std::fs::create_dir_all(&tokens).unwrap();
    std::fs::write(
        folder.join("softhsm2.conf"),
        format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display()),
    )
    .unwrap();
    let output = Command::new(tool)
        .args(["--init-token", "--free", "--label", "kms", "--pin", PASSWORD, "--so-pin", "so-password", "--module"])
        .arg(module)
        .env("SOFTHSM2_CONF", folder.join("softhsm2.conf"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn keys_live_in_softhsm() {
    const CHILD: &str = "QUIETUS_TEST_SOFTHSM_CHILD";
    if let Some(folder) = std::env::var_os(CHILD) {
        return runtime().block_on(live_in_softhsm(Path::new(&folder)));
    }
    let (module, tool) = match softhsm() {
        Ok(found) => found,
        Err(why) if std::env::var_os("CI").is_none() => {
            eprintln!("SKIPPED, SoftHSM2 could not be found or fetched: {why}");
            return;
        }
        Err(why) => panic!("SoftHSM2 could not be found or fetched: {why}"),
    };
    let folder = tempfile::tempdir().unwrap();
    token(folder.path(), &module, &tool);
    std::fs::write(folder.path().join("module"), module.to_str().unwrap()).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "keys_live_in_softhsm", "--nocapture"])
        .env(CHILD, folder.path())
        .env("SOFTHSM2_CONF", folder.path().join("softhsm2.conf"))
        .output()
        .unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}\n{stderr}");
    assert!(stdout.contains("1 passed"), "{stdout}");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

async fn live_in_softhsm(folder: &Path) {
    let module = std::fs::read_to_string(folder.join("module")).unwrap();
    let cluster = format!("{CLUSTER}={module},token=kms").parse().unwrap();
    let config = || Config {
        data: Some(folder.join("data")),
        clock: ClockKind::Virtual { start: None },
        key_stores: KeyStores { clusters: vec![server::Cluster::clone(&cluster)], ..KeyStores::default() },
        ..Config::ephemeral()
    };
    let running = Server::start(config()).await.unwrap();
    let mut client = Client::connect(&running).await;
    let create = |password: &str| json!({ "CustomKeyStoreName": "vault", "CloudHsmClusterId": CLUSTER, "TrustAnchorCertificate": "any", "KeyStorePassword": password });
    let store = client.kms("CreateCustomKeyStore", create("not the one")).await.ok()["CustomKeyStoreId"].clone();
    let of_store = json!({ "CustomKeyStoreId": store });
    client.kms("ConnectCustomKeyStore", of_store.clone()).await.ok();
    let failed = connection(&mut client, &store).await;
    assert_eq!(failed["ConnectionErrorCode"], "INVALID_CREDENTIALS", "{failed}");
    client.kms("UpdateCustomKeyStore", json!({ "CustomKeyStoreId": store, "KeyStorePassword": PASSWORD })).await.ok();
    client.kms("ConnectCustomKeyStore", of_store.clone()).await.ok();
    assert_eq!(connection(&mut client, &store).await["ConnectionState"], "CONNECTED");

    let request = json!({ "Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store });
    let key = client.kms("CreateKey", request).await.ok()["KeyMetadata"]["Arn"].clone();
    let context = json!({ "shop": "north" });
    let sealed = json!({ "KeyId": key, "Plaintext": STANDARD.encode(b"in an HSM"), "EncryptionContext": context });
    let sealed = client.kms("Encrypt", sealed).await.ok()["CiphertextBlob"].clone();
    let open = json!({ "CiphertextBlob": sealed, "EncryptionContext": context });
    assert_eq!(client.kms("Decrypt", open.clone()).await.ok()["Plaintext"], STANDARD.encode(b"in an HSM"));
    let mut tampered = STANDARD.decode(sealed.as_str().unwrap()).unwrap();
    *tampered.last_mut().unwrap() ^= 1;
    let wrong = json!({ "CiphertextBlob": STANDARD.encode(tampered), "EncryptionContext": context });
    assert_eq!(client.kms("Decrypt", wrong).await.refusal(), "InvalidCiphertextException");
    let data = client.kms("GenerateDataKey", json!({ "KeyId": key, "KeySpec": "AES_256" })).await.ok();
    let opened = client.kms("Decrypt", json!({ "CiphertextBlob": data["CiphertextBlob"] })).await.ok();
    assert_eq!(opened["Plaintext"], data["Plaintext"]);

    let random = client.kms("GenerateRandom", json!({ "NumberOfBytes": 32, "CustomKeyStoreId": store })).await.ok();
    assert_ne!(STANDARD.decode(random["Plaintext"].as_str().unwrap()).unwrap(), [0; 32]);

    // A restart finds the store connected, and logs in when it is first needed.
    drop(client);
    running.stop().await;
    let running = Server::start(config()).await.unwrap();
    let mut client = Client::connect(&running).await;
    assert_eq!(client.kms("Decrypt", open.clone()).await.ok()["Plaintext"], STANDARD.encode(b"in an HSM"));
    client.kms("DisconnectCustomKeyStore", of_store.clone()).await.ok();
    let refusal = client.kms("Decrypt", open.clone()).await.refusal();
    assert_eq!(refusal, format!("KMSInvalidStateException: {} is unavailable.", key.as_str().unwrap()));
    client.kms("ConnectCustomKeyStore", of_store.clone()).await.ok();
    assert_eq!(connection(&mut client, &store).await["ConnectionState"], "CONNECTED");

    // With its KMS key the key in the module goes.
    client.kms("ScheduleKeyDeletion", json!({ "KeyId": key, "PendingWindowInDays": 7 })).await.ok();
    client.plain("POST", "/_quietus/clock", &json!({ "advance_seconds": 8 * 86_400 }).to_string()).await.ok();
    client.kms("Decrypt", open).await.refusal();
    client.kms("DisconnectCustomKeyStore", of_store.clone()).await.ok();
    client.kms("DeleteCustomKeyStore", of_store).await.ok();
    drop(client);
    running.stop().await;
    assert_eq!(objects(&folder.join("tokens")), 0, "a key was left in the module");
}

/// SoftHSM2 keeps one file for each object, beside the token's own.
fn objects(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| match path.is_dir() {
            true => objects(&path),
            false => {
                usize::from(path.extension().is_some_and(|e| e == "object") && path.file_stem().unwrap() != "token")
            }
        })
        .sum()
}

/// The store, once it is known whether it is connected.
async fn connection(client: &mut Client, store: &Value) -> Value {
    // Two minutes, far more than any outside here takes.
    for _ in 0..2400 {
        let described = client.kms("DescribeCustomKeyStores", json!({ "CustomKeyStoreId": store })).await.ok();
        let described = described["CustomKeyStores"][0].clone();
        if described["ConnectionState"] != "CONNECTING" {
            return described;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the store is still connecting");
}

/// An external key manager with one key behind its proxy.
struct Proxy {
    key: LessSafeKey,
    /// How often each call was made.
    calls: Mutex<BTreeMap<String, usize>>,
    /// What the next calls are refused with.
    refuse: Mutex<Option<(u16, &'static str)>>,
}

impl Proxy {
    fn answer(&self, path: &str, body: &Value) -> (u16, Value) {
        *self.calls.lock().unwrap().entry(path.to_owned()).or_default() += 1;
        if let Some((status, name)) = *self.refuse.lock().unwrap() {
            return (status, json!({ "errorName": name }));
        }
        let bytes = |member: &str| STANDARD.decode(body[member].as_str().unwrap()).unwrap();
        // As the specification asks for: both lengths are authenticated, too.
        let aad = || {
            let aad = bytes("additionalAuthenticatedData");
            [&u16::try_from(aad.len()).unwrap().to_be_bytes()[..], &aad, &[3], b"v=1"].concat()
        };
        assert!(body["requestMetadata"]["kmsRequestId"].is_string());
        match path.strip_prefix("/tenant/kms/xks/v1/") {
            Some("health") => (
                200,
                json!({ "xksProxyFleetSize": 1, "xksProxyVendor": "test", "xksProxyModel": "test", "ekmVendor": "test",
                        "ekmFleetDetails": [{ "id": "one", "model": "test", "healthStatus": "ACTIVE" }] }),
            ),
            Some("keys/ext-1/metadata") => {
                (200, json!({ "keySpec": "AES_256", "keyUsage": ["ENCRYPT", "DECRYPT"], "keyStatus": "ENABLED" }))
            }
            Some("keys/small/metadata") => {
                (200, json!({ "keySpec": "AES_128", "keyUsage": ["ENCRYPT", "DECRYPT"], "keyStatus": "ENABLED" }))
            }
            Some("keys/ext-1/encrypt") => {
                let mut vector = [0; 12];
                crypto::random(&mut vector);
                let mut ciphertext = bytes("plaintext");
                let nonce = Nonce::assume_unique_for_key(vector);
                let tag = self.key.seal_in_place_separate_tag(nonce, Aad::from(aad()), &mut ciphertext).unwrap();
                let given = bytes("additionalAuthenticatedData");
                let integrity = digest(&SHA256, &[&given, &b"v=1"[..], &vector, &ciphertext, tag.as_ref()].concat());
                (
                    200,
                    json!({
                        "ciphertext": STANDARD.encode(ciphertext),
                        "initializationVector": STANDARD.encode(vector),
                        "authenticationTag": STANDARD.encode(tag.as_ref()),
                        "ciphertextMetadata": STANDARD.encode("v=1"),
                        "ciphertextDataIntegrityValue": STANDARD.encode(integrity.as_ref()),
                    }),
                )
            }
            Some("keys/ext-1/decrypt") => {
                assert_eq!(bytes("ciphertextMetadata"), b"v=1");
                let nonce = Nonce::try_assume_unique_for_key(&bytes("initializationVector")).unwrap();
                let mut sealed = [bytes("ciphertext"), bytes("authenticationTag")].concat();
                match self.key.open_in_place(nonce, Aad::from(aad()), &mut sealed) {
                    Ok(plaintext) => (200, json!({ "plaintext": STANDARD.encode(plaintext) })),
                    Err(_) => (400, json!({ "errorName": "InvalidCiphertextException" })),
                }
            }
            Some(path) if path.starts_with("keys/") => (404, json!({ "errorName": "KeyNotFoundException" })),
            Some(_) | None => (404, json!({ "errorName": "InvalidUriPathException" })),
        }
    }
}

/// Whether AWS's signer, given the same request, time and secret, makes the signature that the request carries.
fn is_signed(head: &hyper::http::request::Parts, body: &[u8]) -> bool {
    use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
    let header = |name: &str| head.headers[name].to_str().unwrap().to_owned();
    let authorization = header("authorization");
    if !authorization.contains(&format!("Credential={ACCESS_KEY}/"))
        || !authorization.contains("/kms-xks-proxy/aws4_request")
        || !authorization.contains("SignedHeaders=content-type;host;x-amz-date")
    {
        return false;
    }
    let region = authorization.split('/').nth(2).unwrap().to_owned();
    let date = header("x-amz-date");
    let time = jiff::fmt::strtime::parse("%Y%m%dT%H%M%S%z", format!("{}+0000", date.trim_end_matches('Z')));
    let time: jiff::Timestamp = time.unwrap().to_timestamp().unwrap();
    let identity = aws_credential_types::Credentials::new(ACCESS_KEY, SECRET, None, None, "test").into();
    let params = aws_sigv4::sign::v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name("kms-xks-proxy")
        .time(std::time::UNIX_EPOCH + std::time::Duration::from_secs(time.as_second().unsigned_abs()))
        .settings(SigningSettings::default())
        .build()
        .unwrap()
        .into();
    let uri = format!("https://{HOST}{}", head.uri.path());
    let headers = [("host", header("host")), ("content-type", header("content-type"))];
    let headers = headers.iter().map(|(name, value)| (*name, value.as_str()));
    let signable = SignableRequest::new("POST", &uri, headers, SignableBody::Bytes(body)).unwrap();
    let signature = sign(signable, &params).unwrap().signature().to_owned();
    authorization.ends_with(&format!("Signature={signature}"))
}

async fn serve(proxy: Arc<Proxy>, listener: TcpListener, tls: TlsAcceptor) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (proxy, tls) = (proxy.clone(), tls.clone());
        tokio::spawn(async move {
            // A client that does not trust the certificate goes away.
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |request: Request<hyper::body::Incoming>| {
                let proxy = proxy.clone();
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await?.to_bytes();
                    let (status, answer) = if is_signed(&head, &body) {
                        proxy.answer(head.uri.path(), &serde_json::from_slice(&body).unwrap())
                    } else {
                        (401, json!({ "errorName": "AuthenticationFailedException" }))
                    };
                    let response = Response::builder().status(status).body(Full::new(Bytes::from(answer.to_string())));
                    Ok::<_, hyper::Error>(response.unwrap())
                }
            });
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_live_behind_an_external_key_store_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let issued = rcgen::generate_simple_self_signed([HOST.to_owned()]).unwrap();
    let certificates = folder.path().join("ca.pem");
    std::fs::write(&certificates, issued.cert.pem()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(issued.signing_key.serialize_pem().as_bytes()).unwrap();
    let config =
        ServerConfig::builder_with_provider(Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key)
            .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut secret = [0; 32];
    crypto::random(&mut secret);
    let proxy = Arc::new(Proxy {
        key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &secret).unwrap()),
        calls: Mutex::default(),
        refuse: Mutex::default(),
    });
    tokio::spawn(serve(proxy.clone(), listener, TlsAcceptor::from(Arc::new(config))));

    let xks_hosts = BTreeMap::from([(HOST.to_owned(), address)]);
    let trusting =
        KeyStores { xks_certificates: Some(certificates), xks_hosts: xks_hosts.clone(), ..KeyStores::default() };
    let running = Server::start(Config { key_stores: trusting, ..Config::ephemeral() }).await.unwrap();
    let mut client = Client::connect(&running).await;
    let create = |path: &str, secret: &str| {
        json!({
            "CustomKeyStoreName": "elsewhere",
            "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
            "XksProxyUriEndpoint": format!("https://{HOST}"),
            "XksProxyUriPath": path,
            "XksProxyConnectivity": "PUBLIC_ENDPOINT",
            "XksProxyAuthenticationCredential": { "AccessKeyId": ACCESS_KEY, "RawSecretAccessKey": secret },
        })
    };
    let path = "/tenant/kms/xks/v1";
    let refusal = client.kms("CreateCustomKeyStore", create(path, &"x".repeat(43))).await.refusal();
    assert!(refusal.starts_with("XksProxyIncorrectAuthenticationCredentialException: "), "{refusal}");
    let refusal = client.kms("CreateCustomKeyStore", create("/other/kms/xks/v1", SECRET)).await.refusal();
    assert!(refusal.starts_with("XksProxyInvalidConfigurationException: "), "{refusal}");
    let store = client.kms("CreateCustomKeyStore", create(path, SECRET)).await.ok()["CustomKeyStoreId"].clone();
    client.kms("ConnectCustomKeyStore", json!({ "CustomKeyStoreId": store })).await.ok();
    assert_eq!(connection(&mut client, &store).await["ConnectionState"], "CONNECTED");

    let of = |key: &str| json!({ "Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": key });
    let refusal = client.kms("CreateKey", of("small")).await.refusal();
    assert!(refusal.starts_with("XksKeyInvalidConfigurationException: "), "{refusal}");
    let refusal = client.kms("CreateKey", of("gone")).await.refusal();
    assert!(refusal.starts_with("XksKeyNotFoundException: "), "{refusal}");
    let key = client.kms("CreateKey", of("ext-1")).await.ok()["KeyMetadata"]["Arn"].clone();

    // The longest plaintext, and a context that a proxy could not take as it is.
    let context = json!({ "shop": "n".repeat(8000) });
    let plaintext = STANDARD.encode(vec![7; 4096]);
    let sealed = json!({ "KeyId": key, "Plaintext": plaintext, "EncryptionContext": context });
    let sealed = client.kms("Encrypt", sealed).await.ok()["CiphertextBlob"].clone();
    let open = json!({ "CiphertextBlob": sealed, "EncryptionContext": context });
    assert_eq!(client.kms("Decrypt", open.clone()).await.ok()["Plaintext"], plaintext.as_str());
    let mut tampered = STANDARD.decode(sealed.as_str().unwrap()).unwrap();
    *tampered.last_mut().unwrap() ^= 1;
    let wrong = json!({ "CiphertextBlob": STANDARD.encode(tampered), "EncryptionContext": context });
    let refusal = client.kms("Decrypt", wrong).await.refusal();
    assert!(
        refusal.starts_with(
            "KMSInvalidStateException: The external key store proxy rejected the request because the specified"
        ),
        "{refusal}"
    );

    *proxy.refuse.lock().unwrap() = Some((403, "AccessDeniedException"));
    let refusal = client.kms("Decrypt", open.clone()).await.refusal();
    assert!(refusal.starts_with("KMSInvalidStateException: The external key store proxy denied access"), "{refusal}");
    *proxy.refuse.lock().unwrap() = None;
    assert_eq!(client.kms("Decrypt", open).await.ok()["Plaintext"], plaintext.as_str());
    assert!(proxy.calls.lock().unwrap()["/tenant/kms/xks/v1/keys/ext-1/decrypt"] >= 3);
    drop(client);
    running.stop().await;

    // Without the certificate nobody is trusted.
    let distrusting = KeyStores { xks_hosts, ..KeyStores::default() };
    let running = Server::start(Config { key_stores: distrusting, ..Config::ephemeral() }).await.unwrap();
    let mut client = Client::connect(&running).await;
    let refusal = client.kms("CreateCustomKeyStore", create(path, SECRET)).await.refusal();
    assert!(refusal.contains("AWS KMS cannot establish a TLS connection"), "{refusal}");
}
