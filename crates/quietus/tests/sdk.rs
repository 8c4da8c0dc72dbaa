//! The official AWS SDK for Rust drives the running server, and its typed errors come back as what they are.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use aws_sdk_kms::Client;
use aws_sdk_kms::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_kms::error::ProvideErrorMetadata as _;
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::operation::verify::VerifyError;
use aws_sdk_kms::operation::verify_mac::VerifyMacError;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    DataKeyPairSpec, DataKeySpec, GrantConstraints, GrantOperation, KeyAgreementAlgorithmSpec, KeySpec, KeyState,
    KeyUsageType, MacAlgorithmSpec, MultiRegionKeyType, SigningAlgorithmSpec, Tag,
};
use common::Served;

fn client(served: &Served, region: &'static str) -> Client {
    let config = aws_sdk_kms::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&served.endpoint)
        .region(Region::from_static(region))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .build();
    Client::from_conf(config)
}

/// A server of its own, and a client of it in eu-west-1.
fn with_client<F: Future<Output = ()>>(story: impl FnOnce(Served, Client) -> F) {
    let data = tempfile::tempdir().unwrap();
    let served = Served::virtually(data.path());
    let client = client(&served, "eu-west-1");
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(story(served, client));
}

async fn created(client: &Client, spec: KeySpec, usage: KeyUsageType) -> String {
    let answer = client.create_key().key_spec(spec).key_usage(usage).send().await.unwrap();
    answer.key_metadata.unwrap().arn.unwrap()
}

async fn symmetric(client: &Client) -> String {
    created(client, KeySpec::SymmetricDefault, KeyUsageType::EncryptDecrypt).await
}

#[test]
fn what_is_encrypted_opens_and_what_is_closed_says_why() {
    with_client(async |_served, kms| {
        let key = symmetric(&kms).await;
        let sealed = kms.encrypt().key_id(&key).plaintext(Blob::new("secret")).encryption_context("app", "ledger");
        let blob = sealed.send().await.unwrap().ciphertext_blob.unwrap();
        let opened = kms.decrypt().ciphertext_blob(blob.clone()).encryption_context("app", "ledger").send();
        assert_eq!(opened.await.unwrap().plaintext.unwrap().as_ref(), b"secret");
        let refused = || async {
            let open = kms.decrypt().ciphertext_blob(blob.clone()).encryption_context("app", "ledger");
            open.send().await.unwrap_err().into_service_error()
        };
        let elsewhere = kms.decrypt().ciphertext_blob(blob.clone()).send().await.unwrap_err().into_service_error();
        assert!(elsewhere.is_invalid_ciphertext_exception(), "{elsewhere:?}");
        kms.disable_key().key_id(&key).send().await.unwrap();
        let DecryptError::DisabledException(disabled) = refused().await else { panic!("not disabled") };
        assert_eq!(disabled.message(), Some(format!("{key} is disabled.").as_str()));
        let scheduled = kms.schedule_key_deletion().key_id(&key).pending_window_in_days(7).send().await.unwrap();
        assert_eq!(scheduled.key_state, Some(KeyState::PendingDeletion));
        let DecryptError::KmsInvalidStateException(pending) = refused().await else { panic!("not pending deletion") };
        assert_eq!(pending.message(), Some(format!("{key} is pending deletion.").as_str()));
        kms.cancel_key_deletion().key_id(&key).send().await.unwrap();
        kms.enable_key().key_id(&key).send().await.unwrap();
        let dry = kms.encrypt().key_id(&key).plaintext(Blob::new("x")).dry_run(true).send().await.unwrap_err();
        assert!(dry.into_service_error().is_dry_run_operation_exception());
        let nowhere = kms.describe_key().key_id("alias/none").send().await.unwrap_err().into_service_error();
        assert!(nowhere.is_not_found_exception(), "{nowhere:?}");
        // Not in the model, so the SDK has no type for it.
        let broken = kms.describe_key().key_id("").send().await.unwrap_err();
        assert_eq!(broken.code(), Some("ValidationException"));
    });
}

#[test]
fn data_keys_and_pairs_come_with_what_opens_them() {
    with_client(async |_served, kms| {
        let key = symmetric(&kms).await;
        let open = async |blob: Option<Blob>| {
            kms.decrypt().ciphertext_blob(blob.unwrap()).send().await.unwrap().plaintext.unwrap()
        };
        let data = kms.generate_data_key().key_id(&key).key_spec(DataKeySpec::Aes256).send().await.unwrap();
        assert_eq!(open(data.ciphertext_blob).await, data.plaintext.unwrap());
        let silent = kms.generate_data_key_without_plaintext().key_id(&key).number_of_bytes(7).send().await.unwrap();
        assert_eq!(open(silent.ciphertext_blob).await.as_ref().len(), 7);
        let pair = kms.generate_data_key_pair().key_id(&key).key_pair_spec(DataKeyPairSpec::EccNistP256).send();
        let pair = pair.await.unwrap();
        assert_eq!(open(pair.private_key_ciphertext_blob).await, pair.private_key_plaintext.unwrap());
        let random = kms.generate_random().number_of_bytes(1024).send().await.unwrap().plaintext.unwrap();
        assert_eq!(random.as_ref().len(), 1024);
    });
}

#[test]
fn signatures_codes_and_shared_secrets_hold_and_others_do_not() {
    with_client(async |_served, kms| {
        let (message, other) = (Blob::new("message"), Blob::new("another"));
        let signing = created(&kms, KeySpec::EccNistP256, KeyUsageType::SignVerify).await;
        let algorithm = SigningAlgorithmSpec::EcdsaSha256;
        let signed =
            kms.sign().key_id(&signing).message(message.clone()).signing_algorithm(algorithm.clone()).send().await;
        let verify = kms.verify().key_id(&signing).signature(signed.unwrap().signature.unwrap());
        let verify = verify.signing_algorithm(algorithm);
        assert!(verify.clone().message(message.clone()).send().await.unwrap().signature_valid);
        let refused = verify.message(other.clone()).send().await.unwrap_err().into_service_error();
        assert!(matches!(refused, VerifyError::KmsInvalidSignatureException(_)), "{refused:?}");

        let coding = created(&kms, KeySpec::Hmac256, KeyUsageType::GenerateVerifyMac).await;
        let algorithm = MacAlgorithmSpec::HmacSha256;
        let made = kms.generate_mac().key_id(&coding).message(message.clone()).mac_algorithm(algorithm.clone());
        let verify = kms.verify_mac().key_id(&coding).mac(made.send().await.unwrap().mac.unwrap());
        let verify = verify.mac_algorithm(algorithm);
        assert!(verify.clone().message(message).send().await.unwrap().mac_valid);
        let refused = verify.message(other).send().await.unwrap_err().into_service_error();
        assert!(matches!(refused, VerifyMacError::KmsInvalidMacException(_)), "{refused:?}");

        let mut ends = Vec::new();
        for _ in 0..2 {
            let key = created(&kms, KeySpec::EccNistP384, KeyUsageType::KeyAgreement).await;
            let public = kms.get_public_key().key_id(&key).send().await.unwrap().public_key.unwrap();
            ends.push((key, public));
        }
        let agreed = async |own: &str, peer: &Blob| {
            let derive = kms.derive_shared_secret().key_id(own).public_key(peer.clone());
            let derived = derive.key_agreement_algorithm(KeyAgreementAlgorithmSpec::Ecdh).send().await.unwrap();
            derived.shared_secret.unwrap()
        };
        assert_eq!(agreed(&ends[0].0, &ends[1].1).await, agreed(&ends[1].0, &ends[0].1).await);
    });
}

#[test]
fn a_key_is_described_tagged_granted_and_rotated() {
    with_client(async |_served, kms| {
        let key = symmetric(&kms).await;
        let tag = |name: &str| Tag::builder().tag_key(name).tag_value("").build().unwrap();
        kms.tag_resource().key_id(&key).tags(tag("a")).tags(tag("b")).send().await.unwrap();
        kms.untag_resource().key_id(&key).tag_keys("a").send().await.unwrap();
        assert_eq!(kms.list_resource_tags().key_id(&key).send().await.unwrap().tags(), [tag("b")]);
        kms.create_alias().alias_name("alias/rust").target_key_id(&key).send().await.unwrap();
        let again = kms.create_alias().alias_name("alias/rust").target_key_id(&key).send().await.unwrap_err();
        assert!(again.into_service_error().is_already_exists_exception());
        let described = kms.describe_key().key_id("alias/rust").send().await.unwrap().key_metadata.unwrap();
        assert_eq!((described.arn.as_ref(), described.enabled), (Some(&key), true));

        let only = GrantConstraints::builder().encryption_context_equals("app", "ledger").build();
        let grant = kms.create_grant().key_id(&key).grantee_principal("arn:aws:iam::000000000000:user/ann");
        let made = grant.operations(GrantOperation::Decrypt).constraints(only.clone()).send().await.unwrap();
        let listed = kms.list_grants().key_id(&key).send().await.unwrap();
        assert_eq!((&listed.grants()[0].grant_id, &listed.grants()[0].constraints), (&made.grant_id, &Some(only)));
        kms.revoke_grant().key_id(&key).grant_id(made.grant_id.unwrap()).send().await.unwrap();

        kms.enable_key_rotation().key_id(&key).rotation_period_in_days(90).send().await.unwrap();
        let status = kms.get_key_rotation_status().key_id(&key).send().await.unwrap();
        assert_eq!((status.key_rotation_enabled, status.rotation_period_in_days), (true, Some(90)));
        let blob = kms.encrypt().key_id(&key).plaintext(Blob::new("old")).send().await.unwrap().ciphertext_blob;
        kms.rotate_key_on_demand().key_id(&key).send().await.unwrap();
        assert_eq!(kms.list_key_rotations().key_id(&key).send().await.unwrap().rotations().len(), 1);
        let opened = kms.decrypt().ciphertext_blob(blob.unwrap()).send().await.unwrap();
        assert_eq!(opened.plaintext.unwrap().as_ref(), b"old");
    });
}

#[test]
fn keys_are_listed_in_pages_and_replicated() {
    with_client(async |served, kms| {
        let mut made = Vec::new();
        for _ in 0..7 {
            made.push(symmetric(&kms).await);
        }
        made.sort();
        let keys: Vec<_> =
            kms.list_keys().into_paginator().page_size(3).items().send().collect::<Result<_, _>>().await.unwrap();
        assert_eq!(keys.into_iter().filter_map(|key| key.key_arn).collect::<Vec<_>>(), made);

        let key = kms.create_key().multi_region(true).send().await.unwrap().key_metadata.unwrap();
        kms.replicate_key().key_id(&key.key_id).replica_region("us-east-1").send().await.unwrap();
        let there = client(&served, "us-east-1");
        let replica = there.describe_key().key_id(&key.key_id).send().await.unwrap().key_metadata.unwrap();
        let family = replica.multi_region_configuration.unwrap();
        assert_eq!(family.multi_region_key_type, Some(MultiRegionKeyType::Replica));
        assert_eq!(family.primary_key.unwrap().arn, key.arn);
    });
}
