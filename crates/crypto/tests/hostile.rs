//! Foreign bytes: private keys to import and public keys to agree with, damaged in every way. Nothing panics, and what is
//! accepted is a key that works.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::sync::LazyLock;

use api::{EncryptionAlgorithm, KeyAgreementAlgorithm, KeySpec, SigningAlgorithm};
use crypto::{DataKeyPair, Error, KeyMaterial, Message, PreparedKey};
use proptest::prelude::*;

const SPECS: [KeySpec; 8] = [
    KeySpec::Rsa2048,
    KeySpec::EccNistP256,
    KeySpec::EccNistP384,
    KeySpec::EccNistP521,
    KeySpec::EccSecgP256k1,
    KeySpec::EccNistEdwards25519,
    KeySpec::MlDsa44,
    KeySpec::Sm2,
];

/// A good key pair of each spec.
static PAIRS: LazyLock<Vec<(KeySpec, DataKeyPair)>> =
    LazyLock::new(|| SPECS.map(|spec| (spec, DataKeyPair::generate(spec).unwrap())).into());

/// Imports `pkcs8`; a key that is accepted must work.
fn import(spec: KeySpec, pkcs8: &[u8]) -> Option<PreparedKey> {
    match KeyMaterial::import(spec, pkcs8) {
        Ok(material) => {
            let key = PreparedKey::new(spec, &material).unwrap();
            let algorithm = spec.signing_algorithms()[0];
            let signature = key.sign(algorithm, Message::Raw(b"message")).unwrap();
            key.verify(algorithm, Message::Raw(b"message"), &signature).unwrap();
            Some(key)
        }
        Err(Error::Malformed) => None,
        Err(other) => panic!("{spec}: {other}"),
    }
}

fn prepared((spec, pair): &(KeySpec, DataKeyPair)) -> PreparedKey {
    import(*spec, &pair.private).unwrap()
}

/// Some change of bytes, at a place within them.
#[derive(Debug, Clone)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Set(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
    Append(Vec<u8>),
}

impl Damage {
    fn any() -> impl Strategy<Value = Damage> {
        let place = any::<prop::sample::Index>;
        let few = || prop::collection::vec(any::<u8>(), 1..5);
        prop_oneof![
            (place(), 0..8u8).prop_map(|(at, bit)| Damage::Flip(at, 1 << bit)),
            (place(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
            (place(), 1..40usize).prop_map(|(at, count)| Damage::Remove(at, count)),
            (place(), few()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
            few().prop_map(Damage::Append),
        ]
    }

    fn done_to(&self, bytes: &[u8]) -> Vec<u8> {
        let mut damaged = bytes.to_vec();
        match self {
            Damage::Flip(at, bits) => damaged[at.index(bytes.len())] ^= bits,
            Damage::Set(at, byte) => damaged[at.index(bytes.len())] = *byte,
            Damage::Remove(at, count) => {
                let from = at.index(bytes.len());
                damaged.drain(from..(from + count).min(bytes.len()));
            }
            Damage::Insert(at, more) => {
                let at = at.index(bytes.len());
                damaged.splice(at..at, more.iter().copied());
            }
            Damage::Append(more) => damaged.extend_from_slice(more),
        }
        damaged
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// A private key of RSA, of SM2 or on a curve of Weierstrass form says its public half, too: a change of either is seen.
    #[test]
    fn a_damaged_private_key_is_refused_or_is_the_same_key(which in 0..SPECS.len(), damage in Damage::any()) {
        let (spec, pair) = &PAIRS[which];
        let Some(key) = import(*spec, &damage.done_to(&pair.private)) else { return Ok(()) };
        if !matches!(spec, KeySpec::EccNistEdwards25519 | KeySpec::MlDsa44) {
            prop_assert_eq!(key.public_key().unwrap(), &pair.public);
        }
    }

    #[test]
    fn a_damaged_peer_is_refused_or_another_point(which in 1..4usize, damage in Damage::any()) {
        let key = prepared(&PAIRS[which]);
        let damaged = damage.done_to(&PAIRS[which].1.public);
        match key.derive(KeyAgreementAlgorithm::Ecdh, &damaged) {
            Ok(_) => prop_assert_eq!(damaged.len(), PAIRS[which].1.public.len()),
            Err(error) => prop_assert!(matches!(error, Error::Malformed)),
        }
    }

    #[test]
    fn noise_is_no_key(which in 0..SPECS.len(), noise in prop::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(KeyMaterial::import(SPECS[which], &noise).is_err());
        prop_assert!(prepared(&PAIRS[2]).derive(KeyAgreementAlgorithm::Ecdh, &noise).is_err());
    }

    #[test]
    fn a_damaged_signature_is_tampered(which in 0..SPECS.len(), damage in Damage::any()) {
        let (spec, _) = PAIRS[which];
        let key = prepared(&PAIRS[which]);
        for algorithm in spec.signing_algorithms().iter().copied().filter(|a| *a != SigningAlgorithm::Ed25519PhSha512) {
            let signature = key.sign(algorithm, Message::Raw(b"message")).unwrap();
            let damaged = damage.done_to(&signature);
            if damaged == signature {
                continue;
            }
            let refused = key.verify(algorithm, Message::Raw(b"message"), &damaged);
            prop_assert!(matches!(refused, Err(Error::Tampered)));
        }
    }

    #[test]
    fn a_damaged_ciphertext_is_tampered(damage in Damage::any(), plaintext in prop::collection::vec(any::<u8>(), 0..190)) {
        let key = prepared(&PAIRS[0]);
        for algorithm in [EncryptionAlgorithm::RsaesOaepSha1, EncryptionAlgorithm::RsaesOaepSha256] {
            let ciphertext = key.encrypt(algorithm, &plaintext).unwrap();
            let damaged = damage.done_to(&ciphertext);
            if damaged != ciphertext {
                prop_assert!(matches!(key.decrypt(algorithm, &damaged), Err(Error::Tampered)));
            }
        }
    }
}
