//! An enclave that is played: a root of its own, a chain to it, and attestation documents that it signs.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part; a test fails by panicking")]

use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, PrivateDecryptingKey};
use aws_lc_rs::signature::{ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair};
use minicbor::Encoder;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, KeyUsagePurpose, PKCS_ECDSA_P384_SHA384};

/// 32 PCRs, of which 0 and 3 measure something.
const PCRS: u8 = 32;

pub(crate) struct Enclave {
    /// The root's certificate, DER and PEM.
    pub(crate) root: Vec<u8>,
    pub(crate) root_pem: String,
    intermediate: Vec<u8>,
    leaf: Vec<u8>,
    leaf_key: EcdsaKeyPair,
    key: PrivateDecryptingKey,
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

impl Enclave {
    pub(crate) fn new() -> Enclave {
        let generate = || KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
        let (root_key, middle_key, leaf_key) = (generate(), generate(), generate());
        let root_params = authority("root.enclaves.test");
        let root = root_params.self_signed(&root_key).unwrap();
        let root_issuer = Issuer::from_params(&root_params, &root_key);
        let middle_params = authority("middle.enclaves.test");
        let middle = middle_params.signed_by(&middle_key, &root_issuer).unwrap();
        let middle_issuer = Issuer::from_params(&middle_params, &middle_key);
        let mut leaf_params = CertificateParams::new(["enclave.test".to_owned()]).unwrap();
        leaf_params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let leaf = leaf_params.signed_by(&leaf_key, &middle_issuer).unwrap();
        Enclave {
            root: root.der().to_vec(),
            root_pem: root.pem(),
            intermediate: middle.der().to_vec(),
            leaf: leaf.der().to_vec(),
            leaf_key: EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &leaf_key.serialize_der()).unwrap(),
            key: PrivateDecryptingKey::generate(KeySize::Rsa2048).unwrap(),
        }
    }

    /// What PCR 0 measures.
    pub(crate) fn image(&self) -> String {
        "ab".repeat(48)
    }

    /// An attestation document with the enclave's public key.
    pub(crate) fn document(&self) -> Vec<u8> {
        let public: PublicKeyX509Der<'_> = self.key.public_key().as_der().unwrap();
        self.document_with(Some(public.as_ref()))
    }

    pub(crate) fn document_with(&self, public_key: Option<&[u8]>) -> Vec<u8> {
        let mut payload = Vec::new();
        let mut encoder = Encoder::new(&mut payload);
        encoder.map(9).unwrap();
        encoder.str("module_id").unwrap().str("i-1234567890abcdef0-enc0123456789abcdef").unwrap();
        encoder.str("digest").unwrap().str("SHA384").unwrap();
        encoder.str("timestamp").unwrap().u64(1_800_000_000_000).unwrap();
        encoder.str("pcrs").unwrap().map(u64::from(PCRS)).unwrap();
        for number in 0..PCRS {
            let value = match number {
                0 => [0xab; 48],
                3 => [0xcd; 48],
                _ => [0; 48],
            };
            encoder.u8(number).unwrap().bytes(&value).unwrap();
        }
        encoder.str("certificate").unwrap().bytes(&self.leaf).unwrap();
        encoder
            .str("cabundle")
            .unwrap()
            .array(2)
            .unwrap()
            .bytes(&self.root)
            .unwrap()
            .bytes(&self.intermediate)
            .unwrap();
        encoder.str("public_key").unwrap();
        match public_key {
            Some(key) => encoder.bytes(key).unwrap(),
            None => encoder.null().unwrap(),
        };
        encoder.str("user_data").unwrap().null().unwrap();
        encoder.str("nonce").unwrap().null().unwrap();

        let mut protected = Vec::new();
        Encoder::new(&mut protected).map(1).unwrap().i64(1).unwrap().i64(-35).unwrap();
        let mut signed = Vec::new();
        let mut encoder = Encoder::new(&mut signed);
        encoder.array(4).unwrap().str("Signature1").unwrap().bytes(&protected).unwrap().bytes(&[]).unwrap();
        encoder.bytes(&payload).unwrap();
        let signature = self.leaf_key.sign(&SystemRandom::new(), &signed).unwrap();
        let mut document = Vec::new();
        let mut encoder = Encoder::new(&mut document);
        encoder.array(4).unwrap().bytes(&protected).unwrap().map(0).unwrap();
        encoder.bytes(&payload).unwrap().bytes(signature.as_ref()).unwrap();
        document
    }

    /// The enclave's private key, PKCS #8 DER: what opens the answers.
    pub(crate) fn private_key(&self) -> Vec<u8> {
        let key: Pkcs8V1Der<'_> = self.key.as_der().unwrap();
        key.as_ref().to_vec()
    }

    /// Opens CMS EnvelopedData by its fixed layout: the only recipient's key, the vector and the content stand where they are.
    pub(crate) fn open(&self, sealed: &[u8]) -> Vec<u8> {
        use aws_lc_rs::cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
        let find = |wanted: &[u8]| sealed.windows(wanted.len()).position(|window| window == wanted).unwrap();
        // OCTET STRING of 256 bytes, and one of 16.
        let wrapped = find(&[0x04, 0x82, 0x01, 0x00]) + 4;
        let key = OaepPrivateDecryptingKey::new(self.key.clone()).unwrap();
        let mut content_key = vec![0; key.min_output_size()];
        let content_key = key
            .decrypt(&OAEP_SHA256_MGF1SHA256, &sealed[wrapped..wrapped + 256], &mut content_key, None)
            .unwrap()
            .to_vec();
        let vector = find(&[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42, 0x04, 16]) + 11;
        let iv: [u8; 16] = sealed[vector..vector + 16].try_into().unwrap();
        // The content is last: tag 0x80 and its length.
        let rest = &sealed[vector + 16..];
        let header = match rest[1] {
            0..=0x7f => 2,
            long => 2 + usize::from(long & 0x7f),
        };
        let mut content = rest[header..].to_vec();
        let cipher =
            PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, &content_key).unwrap()).unwrap();
        cipher.decrypt(&mut content, DecryptionContext::Iv128(iv.into())).unwrap().to_vec()
    }
}
