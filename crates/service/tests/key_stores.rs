//! Custom key stores and the keys in them, over an outside that is played.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use api::shape::key_stores::ConnectionErrorCode;
use serde_json::{Value, json};
use service::{Access, Backing, Held, Knows, Outside, ProxyTrouble, Trouble, Vault};
use store::Store as _;
use world::World;
use zeroize::Zeroizing;

const CLUSTER: &str = "cluster-2a3b4c5d6e7";
const ANCHOR: &str = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
const PASSWORD: &str = "kmsPswd2";
const SECRET: &str = "DXjSUawnel2fr6SKC7G25CNxTyWKE5PF9XX6H/u9pSo=";

/// One cluster and one proxy. What they seal is readable, so that a test sees what they were given.
#[derive(Default)]
struct Played {
    keys: Mutex<BTreeSet<[u8; 16]>>,
    trouble: Mutex<Option<Trouble>>,
    told: Mutex<Vec<String>>,
}

impl Played {
    fn check(&self, access: Access<'_>) -> Result<(), Trouble> {
        if let Some(trouble) = *self.trouble.lock().unwrap() {
            return Err(trouble);
        }
        match access {
            Access::Hsm { cluster: CLUSTER, password } if password.as_str() == PASSWORD => Ok(()),
            Access::Hsm { cluster: CLUSTER, .. } => Err(Trouble::Cluster(ConnectionErrorCode::InvalidCredentials)),
            Access::Hsm { .. } => Err(Trouble::Cluster(ConnectionErrorCode::ClusterNotFound)),
            Access::Xks { secret, .. } if secret.as_str() == SECRET => Ok(()),
            Access::Xks { .. } => Err(Trouble::Proxy(ProxyTrouble::AuthenticationFailed)),
        }
    }

    fn has(&self, backing: &Backing) -> Result<String, Trouble> {
        match backing {
            Backing::Hsm { id } if self.keys.lock().unwrap().contains(id) => Ok(format!("{id:?}")),
            Backing::Hsm { .. } => Err(Trouble::NoSuchKey),
            Backing::Xks { id } if id.starts_with("ext") => Ok(id.clone()),
            Backing::Xks { .. } => Err(Trouble::Proxy(ProxyTrouble::KeyNotFound)),
        }
    }

    /// What stands before all that a key seals.
    fn front(&self, key: Held<'_>, aad: &[u8]) -> Result<Vec<u8>, Trouble> {
        self.check(key.access)?;
        self.told.lock().unwrap().push(format!("{} by {}", key.purpose.operation, key.purpose.principal));
        Ok([self.has(key.backing)?.as_bytes(), &[0], aad].concat())
    }
}

impl Outside for Played {
    fn knows_cluster(&self, cluster: &str, trust_anchor: &str) -> Knows {
        match (cluster, trust_anchor) {
            (CLUSTER, ANCHOR) => Knows::Yes,
            (CLUSTER, _) => Knows::OtherAnchor,
            _ => Knows::No,
        }
    }

    fn connect(&self, access: Access<'_>) -> Result<(), Trouble> {
        self.check(access)
    }

    fn disconnect(&self, _: Access<'_>) {}

    fn make_key(&self, access: Access<'_>, id: [u8; 16], _: &str) -> Result<(), Trouble> {
        self.check(access)?;
        assert!(self.keys.lock().unwrap().insert(id), "each key has an ID of its own");
        Ok(())
    }

    fn random(&self, access: Access<'_>, bytes: &mut [u8]) -> Result<(), Trouble> {
        self.check(access)?;
        bytes.fill(7);
        Ok(())
    }

    fn destroy_key(&self, access: Access<'_>, id: [u8; 16]) -> Result<(), Trouble> {
        self.check(access)?;
        self.keys.lock().unwrap().remove(&id);
        Ok(())
    }

    fn check_key(&self, key: Held<'_>) -> Result<(), Trouble> {
        self.check(key.access)?;
        self.has(key.backing).map(|_| ())
    }

    fn seal(&self, key: Held<'_>, aad: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Trouble> {
        let front = self.front(key, aad)?;
        assert!(aad.len() <= 8192 && plaintext.len() <= 4300, "what a proxy need not take");
        Ok([&front, plaintext].concat())
    }

    fn open(&self, key: Held<'_>, aad: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Trouble> {
        let front = self.front(key, aad)?;
        sealed.strip_prefix(front.as_slice()).map(|rest| Zeroizing::new(rest.to_vec())).ok_or(Trouble::Tampered)
    }
}

struct Stage {
    world: World,
    outside: Arc<Played>,
}

fn stage() -> Stage {
    let outside = Arc::new(Played::default());
    let mut world = World::new();
    world.vault = Vault::new(crypto::Keyring::in_memory()).reaching(outside.clone());
    Stage { world, outside }
}

impl Stage {
    fn call(&mut self, operation: &str, body: Value) -> Result<Value, String> {
        self.world.call(operation, body)
    }

    fn refused(&mut self, operation: &str, body: Value) -> String {
        let error = self.call(operation, body).unwrap_err();
        error.split(':').next().unwrap().to_owned()
    }

    /// What the server does after ConnectCustomKeyStore.
    fn settle(&mut self) {
        let mut number = 0_u8;
        let batches = service::connections(&self.world.state, &self.world.vault, &mut || {
            number += 1;
            [number; 16]
        });
        for batch in batches {
            assert!(self.world.commit(batch));
        }
        assert!(!service::is_connecting(&self.world.state));
    }

    fn hsm_store(&mut self) -> String {
        let made = self.call("CreateCustomKeyStore", hsm()).unwrap();
        made["CustomKeyStoreId"].as_str().unwrap().to_owned()
    }

    fn connected(&mut self, request: Value) -> String {
        let made = self.call("CreateCustomKeyStore", request).unwrap();
        let store = made["CustomKeyStoreId"].as_str().unwrap().to_owned();
        self.call("ConnectCustomKeyStore", json!({ "CustomKeyStoreId": store })).unwrap();
        self.settle();
        assert_eq!(self.described(&store)["ConnectionState"], "CONNECTED");
        store
    }

    fn described(&mut self, store: &str) -> Value {
        let listed = self.call("DescribeCustomKeyStores", json!({ "CustomKeyStoreId": store })).unwrap();
        listed["CustomKeyStores"][0].clone()
    }
}

fn hsm() -> Value {
    json!({
        "CustomKeyStoreName": "vault room",
        "CloudHsmClusterId": CLUSTER,
        "TrustAnchorCertificate": ANCHOR,
        "KeyStorePassword": PASSWORD,
    })
}

fn xks() -> Value {
    json!({
        "CustomKeyStoreName": "elsewhere",
        "CustomKeyStoreType": "EXTERNAL_KEY_STORE",
        "XksProxyUriEndpoint": "https://xks.example.com",
        "XksProxyUriPath": "/tenant/kms/xks/v1",
        "XksProxyConnectivity": "PUBLIC_ENDPOINT",
        "XksProxyAuthenticationCredential": { "AccessKeyId": "ABCDE12345670EXAMPLE".replace(['0', '1'], "2"), "RawSecretAccessKey": SECRET },
    })
}

#[test]
fn a_key_lives_in_a_hardware_security_module() {
    let mut stage = stage();
    let store = stage.hsm_store();
    assert!(store.starts_with("cks-") && store.len() == 21, "{store}");
    assert_eq!(stage.described(&store)["ConnectionState"], "DISCONNECTED");
    let in_store = json!({ "Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store });
    assert_eq!(stage.refused("CreateKey", in_store.clone()), "CustomKeyStoreInvalidStateException");

    let of_store = json!({ "CustomKeyStoreId": store });
    stage.call("ConnectCustomKeyStore", of_store.clone()).unwrap();
    assert_eq!(stage.described(&store)["ConnectionState"], "CONNECTING");
    assert_eq!(stage.refused("ConnectCustomKeyStore", of_store.clone()), "CustomKeyStoreInvalidStateException");
    stage.settle();

    let made = stage.call("CreateKey", in_store).unwrap();
    let metadata = &made["KeyMetadata"];
    assert_eq!(metadata["CustomKeyStoreId"], store.as_str());
    assert_eq!(metadata["CloudHsmClusterId"], CLUSTER);
    assert_eq!(metadata["Origin"], "AWS_CLOUDHSM");
    assert!(metadata.get("CurrentKeyMaterialId").is_none());
    let record = stage.world.last_record()["additionalEventData"].clone();
    assert_eq!((&record["customKeyStoreId"], &record["clusterId"]), (&json!(store), &json!(CLUSTER)));
    let key: api::KeyArn = metadata["Arn"].as_str().unwrap().parse().unwrap();
    let arn = key.to_string();

    let sealed = stage.call("Encrypt", json!({ "KeyId": arn, "Plaintext": "AQID", "EncryptionContext": { "a": "b" } }));
    let sealed = sealed.unwrap()["CiphertextBlob"].clone();
    let open = json!({ "CiphertextBlob": sealed, "EncryptionContext": { "a": "b" } });
    assert_eq!(stage.call("Decrypt", open.clone()).unwrap()["Plaintext"], "AQID");
    let wrong = json!({ "CiphertextBlob": sealed, "EncryptionContext": { "a": "c" } });
    assert_eq!(stage.refused("Decrypt", wrong), "InvalidCiphertextException");
    assert_eq!(
        *stage.outside.told.lock().unwrap().first().unwrap(),
        format!("Encrypt by arn:aws:iam::{}:root", world::ACCOUNT)
    );

    let random = json!({ "NumberOfBytes": 3, "CustomKeyStoreId": store });
    assert_eq!(stage.call("GenerateRandom", random.clone()).unwrap()["Plaintext"], "BwcH");

    // Without its store the key is unavailable; what is switched meanwhile shows when it is back.
    stage.call("DisconnectCustomKeyStore", of_store.clone()).unwrap();
    assert_eq!(stage.world.state_of(&key), "Unavailable");
    assert_eq!(stage.refused("GenerateRandom", random), "CustomKeyStoreInvalidStateException");
    let refused = stage.call("Decrypt", open.clone()).unwrap_err();
    assert_eq!(refused, format!("KMSInvalidStateException: {arn} is unavailable."));
    stage.call("DisableKey", json!({ "KeyId": arn })).unwrap();
    assert_eq!(stage.world.state_of(&key), "Unavailable");
    stage.world.restart();
    assert_eq!(stage.world.state_of(&key), "Unavailable");
    stage.call("ConnectCustomKeyStore", of_store.clone()).unwrap();
    stage.settle();
    assert_eq!(stage.world.state_of(&key), "Disabled");
    stage.call("EnableKey", json!({ "KeyId": arn })).unwrap();
    stage.world.restart();
    assert_eq!(stage.world.state_of(&key), "Enabled");
    assert_eq!(stage.call("Decrypt", open.clone()).unwrap()["Plaintext"], "AQID");

    // The waiting period goes on while the store is disconnected, and keeps the store from being deleted.
    stage.call("ScheduleKeyDeletion", json!({ "KeyId": arn, "PendingWindowInDays": 7 })).unwrap();
    stage.call("DisconnectCustomKeyStore", of_store.clone()).unwrap();
    assert_eq!(stage.world.state_of(&key), "PendingDeletion");
    assert_eq!(stage.refused("DeleteCustomKeyStore", of_store.clone()), "CustomKeyStoreHasCMKsException");
    stage.world.now = api::Timestamp::from_second(stage.world.now.as_second() + 7 * 86_400).unwrap();
    let mut due = stage.world.due();
    assert_eq!(due.len(), 1);
    let due = due.remove(0);
    let orphan = due.orphan.unwrap();
    assert_eq!(stage.outside.keys.lock().unwrap().len(), 1, "nothing is destroyed before the deletion is durable");
    assert!(stage.world.commit(due.batch));
    orphan.destroy(&stage.world.vault).unwrap();
    assert!(stage.outside.keys.lock().unwrap().is_empty());
    let record = stage.world.last_record();
    assert_eq!(record["eventName"], "DeleteKey");
    assert_eq!(record["additionalEventData"]["clusterId"], CLUSTER);
    stage.call("DeleteCustomKeyStore", of_store.clone()).unwrap();
    assert_eq!(stage.refused("DeleteCustomKeyStore", of_store), "CustomKeyStoreNotFoundException");
    assert_eq!(stage.call("DescribeCustomKeyStores", json!({})).unwrap()["CustomKeyStores"], json!([]));
}

#[test]
fn a_key_lives_in_an_external_key_manager() {
    let mut stage = stage();
    let store = stage.connected(xks());
    let configuration = stage.described(&store)["XksProxyConfiguration"].clone();
    assert_eq!(configuration["UriPath"], "/tenant/kms/xks/v1");
    assert!(configuration.get("RawSecretAccessKey").is_none());

    let create = |key: &str| json!({ "Origin": "EXTERNAL_KEY_STORE", "CustomKeyStoreId": store, "XksKeyId": key });
    let made = stage.call("CreateKey", create("ext-1")).unwrap();
    assert_eq!(made["KeyMetadata"]["XksKeyConfiguration"]["Id"], "ext-1");
    assert_eq!(stage.world.last_record()["additionalEventData"]["xksKeyId"], "ext-1");
    let key: api::KeyArn = made["KeyMetadata"]["Arn"].as_str().unwrap().parse().unwrap();
    assert_eq!(stage.refused("CreateKey", create("ext-1")), "XksKeyAlreadyInUseException");
    assert_eq!(stage.refused("CreateKey", create("gone")), "XksKeyNotFoundException");

    let data = stage.call("GenerateDataKey", json!({ "KeyId": key.to_string(), "KeySpec": "AES_256" })).unwrap();
    let open = json!({ "CiphertextBlob": data["CiphertextBlob"] });
    assert_eq!(stage.call("Decrypt", open.clone()).unwrap()["Plaintext"], data["Plaintext"]);

    *stage.outside.trouble.lock().unwrap() = Some(Trouble::Proxy(ProxyTrouble::TimedOut));
    let refused = stage.call("Decrypt", open.clone()).unwrap_err();
    assert!(refused.starts_with("KMSInvalidStateException: AWS KMS rejected the request because"), "{refused}");
    assert_eq!(stage.world.last_record()["errorCode"], "KMSInvalidStateException");
    *stage.outside.trouble.lock().unwrap() = None;

    // The owner's key stays when the KMS key is deleted.
    stage.call("ScheduleKeyDeletion", json!({ "KeyId": key.to_string(), "PendingWindowInDays": 7 })).unwrap();
    stage.world.now = api::Timestamp::from_second(stage.world.now.as_second() + 7 * 86_400).unwrap();
    let due = stage.world.due().remove(0);
    assert!(due.orphan.is_none());
    assert!(stage.world.commit(due.batch));
    assert!(stage.call("Decrypt", open).is_err());
    // And may serve another.
    stage.call("CreateKey", create("ext-1")).unwrap();
}

#[test]
fn what_does_not_fit_is_refused() {
    let mut stage = stage();
    let with = |base: Value, member: &str, value: Value| {
        let mut request = base;
        request[member] = value;
        request
    };
    for (request, code) in [
        (with(hsm(), "CloudHsmClusterId", json!("cluster-77777777777")), "CloudHsmClusterNotFoundException"),
        (with(hsm(), "TrustAnchorCertificate", json!("other")), "IncorrectTrustAnchorException"),
        (with(hsm(), "KeyStorePassword", Value::Null), "ValidationException"),
        (with(hsm(), "XksProxyUriPath", json!("/kms/xks/v1")), "ValidationException"),
        (with(xks(), "CloudHsmClusterId", json!(CLUSTER)), "ValidationException"),
        (with(xks(), "XksProxyUriEndpoint", json!("http://xks.example.com")), "ValidationException"),
        (with(xks(), "XksProxyConnectivity", json!("VPC_ENDPOINT_SERVICE")), "ValidationException"),
        (
            with(
                xks(),
                "XksProxyAuthenticationCredential",
                json!({ "AccessKeyId": "ABCDEFGHIJKLMNOPQRST", "RawSecretAccessKey": "x".repeat(43) }),
            ),
            "XksProxyIncorrectAuthenticationCredentialException",
        ),
    ] {
        assert_eq!(stage.refused("CreateCustomKeyStore", request.clone()), code, "{request}");
    }

    let store = stage.connected(hsm());
    assert_eq!(stage.refused("CreateCustomKeyStore", hsm()), "CustomKeyStoreNameInUseException");
    let again = with(hsm(), "CustomKeyStoreName", json!("another"));
    assert_eq!(stage.refused("CreateCustomKeyStore", again), "CloudHsmClusterInUseException");
    let update = |member: &str, value: &str| json!({ "CustomKeyStoreId": store, member: value });
    assert_eq!(
        stage.refused("UpdateCustomKeyStore", update("KeyStorePassword", "another1")),
        "CustomKeyStoreInvalidStateException"
    );
    stage.call("UpdateCustomKeyStore", update("NewCustomKeyStoreName", "cellar")).unwrap();
    let by_name = stage.call("DescribeCustomKeyStores", json!({ "CustomKeyStoreName": "cellar" })).unwrap();
    assert_eq!(by_name["CustomKeyStores"][0]["CustomKeyStoreId"], store.as_str());

    let key = |more: Value| {
        let mut request = json!({ "Origin": "AWS_CLOUDHSM", "CustomKeyStoreId": store });
        request.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        request
    };
    for (request, code) in [
        (json!({ "Origin": "AWS_CLOUDHSM" }), "ValidationException"),
        (json!({ "CustomKeyStoreId": store }), "ValidationException"),
        (key(json!({ "MultiRegion": true })), "UnsupportedOperationException"),
        (key(json!({ "XksKeyId": "ext" })), "ValidationException"),
        (key(json!({ "Origin": "EXTERNAL_KEY_STORE" })), "ValidationException"),
        (key(json!({ "CustomKeyStoreId": "cks-00000000000000000" })), "CustomKeyStoreNotFoundException"),
    ] {
        assert_eq!(stage.refused("CreateKey", request.clone()), code, "{request}");
    }
}

#[test]
fn a_wrong_password_shows_when_the_store_is_connected() {
    let mut stage = stage();
    let mut request = hsm();
    request["KeyStorePassword"] = json!("not this");
    let store = stage.call("CreateCustomKeyStore", request).unwrap()["CustomKeyStoreId"].clone();
    let of_store = json!({ "CustomKeyStoreId": store });
    stage.call("ConnectCustomKeyStore", of_store.clone()).unwrap();
    stage.settle();
    let described = stage.described(store.as_str().unwrap());
    assert_eq!(
        (&described["ConnectionState"], &described["ConnectionErrorCode"]),
        (&json!("FAILED"), &json!("INVALID_CREDENTIALS"))
    );
    stage.call("UpdateCustomKeyStore", json!({ "CustomKeyStoreId": store, "KeyStorePassword": PASSWORD })).unwrap();
    stage.call("ConnectCustomKeyStore", of_store).unwrap();
    stage.settle();
    assert_eq!(stage.described(store.as_str().unwrap())["ConnectionState"], "CONNECTED");
}

/// Secrets of key stores are in no record, and nowhere in the store but wrapped.
#[test]
fn secrets_are_kept() {
    let mut stage = stage();
    stage.connected(hsm());
    stage.connected(xks());
    let stored: Vec<u8> =
        stage.world.store.scan(&[], &[0xff], usize::MAX).unwrap().into_iter().flat_map(|entry| entry.value).collect();
    let stored = String::from_utf8_lossy(&stored).into_owned();
    let trail = Value::from(stage.world.trail.clone()).to_string();
    for secret in [PASSWORD, SECRET] {
        assert!(!stored.contains(secret) && !trail.contains(secret));
    }
}

/// A store that is deleted while it is being connected stays deleted.
#[test]
fn connecting_loses_against_whatever_came_between() {
    let mut stage = stage();
    let store = stage.hsm_store();
    let of_store = json!({ "CustomKeyStoreId": store });
    stage.call("ConnectCustomKeyStore", of_store.clone()).unwrap();
    let late = service::connections(&stage.world.state, &stage.world.vault, &mut || [9; 16]).remove(0);
    stage.call("DisconnectCustomKeyStore", of_store.clone()).unwrap();
    assert!(!stage.world.commit(late));
    assert_eq!(stage.described(&store)["ConnectionState"], "DISCONNECTED");
}
