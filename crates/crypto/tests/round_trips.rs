//! Every key spec with every algorithm and kind of message that it offers, and with those it does not.

use api::{
    EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, KeySpec, MacAlgorithm, MessageType,
    SigningAlgorithm,
};
use crypto::{DataKeyPair, Error, KeyMaterial, Message, PreparedKey};

const IMPLEMENTED: [KeySpec; 19] = [
    KeySpec::Rsa2048,
    KeySpec::Rsa3072,
    KeySpec::Rsa4096,
    KeySpec::EccNistP256,
    KeySpec::EccNistP384,
    KeySpec::EccNistP521,
    KeySpec::EccSecgP256k1,
    KeySpec::EccNistEdwards25519,
    KeySpec::Hmac224,
    KeySpec::Hmac256,
    KeySpec::Hmac384,
    KeySpec::Hmac512,
    KeySpec::MlDsa44,
    KeySpec::MlDsa65,
    KeySpec::MlDsa87,
    KeySpec::MlKem512,
    KeySpec::MlKem768,
    KeySpec::MlKem1024,
    KeySpec::Sm2,
];

fn generate(spec: KeySpec) -> PreparedKey {
    let material = KeyMaterial::generate(spec).expect("the spec is implemented");
    PreparedKey::new(spec, &material).expect("what is generated is well-formed")
}

/// What is signed with an algorithm, as everything that it takes; not what [`other`] is.
fn messages(algorithm: SigningAlgorithm) -> Vec<Message<'static>> {
    let message = |message_type: &MessageType| match message_type {
        MessageType::Raw => Message::Raw(b"message"),
        MessageType::Digest => Message::Digest(&[7; 64][..algorithm.digest_bytes().unwrap_or(0)]),
        MessageType::ExternalMu => Message::ExternalMu(&[7; 64]),
    };
    algorithm.message_types().iter().map(message).collect()
}

fn other(message: Message<'_>) -> Message<'static> {
    match message {
        Message::Raw(_) => Message::Raw(b"massage"),
        Message::Digest(digest) => Message::Digest(&[8; 64][..digest.len()]),
        Message::ExternalMu(_) => Message::ExternalMu(&[8; 64]),
    }
}

#[test]
fn every_algorithm_of_every_spec_takes_back_what_it_made_and_nothing_else() {
    for spec in IMPLEMENTED {
        let key = generate(spec);
        let another = generate(spec);
        for algorithm in SigningAlgorithm::ALL.iter().copied() {
            if !spec.signing_algorithms().contains(&algorithm) {
                let refused = key.sign(algorithm, Message::Raw(b"message"));
                assert!(matches!(refused, Err(Error::Unsupported { .. })), "{spec} {algorithm}");
                let refused = key.verify(algorithm, Message::Raw(b"message"), &[0; 64]);
                assert!(matches!(refused, Err(Error::Unsupported { .. })), "{spec} {algorithm}");
                continue;
            }
            for message in messages(algorithm) {
                let signature = key.sign(algorithm, message).unwrap();
                key.verify(algorithm, message, &signature).unwrap();
                let refuses = |key: &PreparedKey, message, signature: &[u8]| {
                    let refused = key.verify(algorithm, message, signature);
                    assert!(matches!(refused, Err(Error::Tampered)), "{spec} {algorithm}");
                };
                refuses(&key, other(message), &signature);
                refuses(&another, message, &signature);
                refuses(&key, message, &[]);
                refuses(&key, message, &[signature.as_slice(), &[0]].concat());
                // Of ML-DSA's thousands of bytes not every one.
                for at in (0..signature.len()).step_by(signature.len() / 64) {
                    let mut changed = signature.clone();
                    changed[at] ^= 1;
                    refuses(&key, message, &changed);
                    refuses(&key, message, &signature[..at]);
                }
                for other in spec.signing_algorithms().iter().copied().filter(|other| *other != algorithm) {
                    if let Message::Raw(_) = message {
                        let refused = key.verify(other, message, &signature);
                        assert!(refused.is_err(), "{spec}: {algorithm} as {other}");
                    }
                }
            }
        }
        for algorithm in MacAlgorithm::ALL.iter().copied() {
            if !spec.mac_algorithms().contains(&algorithm) {
                assert!(matches!(key.mac(algorithm, b"message"), Err(Error::Unsupported { .. })), "{spec} {algorithm}");
                continue;
            }
            let code = key.mac(algorithm, b"message").unwrap();
            key.verify_mac(algorithm, b"message", &code).unwrap();
            assert!(matches!(key.verify_mac(algorithm, b"massage", &code), Err(Error::Tampered)));
            assert!(matches!(another.verify_mac(algorithm, b"message", &code), Err(Error::Tampered)));
            assert!(matches!(key.verify_mac(algorithm, b"message", &code[..code.len() - 1]), Err(Error::Tampered)));
            assert!(matches!(key.verify_mac(algorithm, b"message", &[]), Err(Error::Tampered)));
        }
        for algorithm in EncryptionAlgorithm::ALL.iter().copied() {
            let Some(most) = spec.largest_plaintext(algorithm) else {
                assert!(key.encrypt(algorithm, b"plaintext").is_err(), "{spec} {algorithm}");
                assert!(key.decrypt(algorithm, &[0; 256]).is_err(), "{spec} {algorithm}");
                continue;
            };
            // SM2 encrypts nothing at all as little as KMS does.
            let shortest = usize::from(spec == KeySpec::Sm2);
            for plaintext in [vec![0; shortest], vec![1], vec![2; most]] {
                let ciphertext = key.encrypt(algorithm, &plaintext).unwrap();
                assert_eq!(*key.decrypt(algorithm, &ciphertext).unwrap(), plaintext);
                assert!(matches!(another.decrypt(algorithm, &ciphertext), Err(Error::Tampered)));
                for at in [0, 1, 77, ciphertext.len() - 1] {
                    let mut changed = ciphertext.clone();
                    changed[at] ^= 1;
                    assert!(matches!(key.decrypt(algorithm, &changed), Err(Error::Tampered)));
                    assert!(matches!(key.decrypt(algorithm, &ciphertext[..at]), Err(Error::Tampered)));
                }
                for other in spec.encryption_algorithms().iter().copied().filter(|other| *other != algorithm) {
                    assert!(matches!(key.decrypt(other, &ciphertext), Err(Error::Tampered)));
                }
            }
            let refused = key.encrypt(algorithm, &vec![3; most + 1]);
            assert!(
                matches!(refused, Err(Error::TooLong { bytes, most: limit }) if bytes == most + 1 && limit == most)
            );
        }
        if spec.key_agreement_algorithms().is_empty() {
            assert!(key.derive(KeyAgreementAlgorithm::Ecdh, &[]).is_err(), "{spec}");
        } else {
            let agreed = key.derive(KeyAgreementAlgorithm::Ecdh, another.public_key().unwrap()).unwrap();
            assert_eq!(agreed, another.derive(KeyAgreementAlgorithm::Ecdh, key.public_key().unwrap()).unwrap());
            let bytes = match spec {
                KeySpec::EccNistP256 | KeySpec::Sm2 => 32,
                KeySpec::EccNistP384 => 48,
                _ => 66,
            };
            assert_eq!(agreed.len(), bytes);
        }
        if spec.encapsulation_algorithms().is_empty() {
            assert!(key.encapsulate(EncapsulationAlgorithm::MlKem).is_err());
            assert!(matches!(key.decapsulate(EncapsulationAlgorithm::MlKem, &[]), Err(Error::Unsupported { .. })));
        } else {
            let (ciphertext, secret) = key.encapsulate(EncapsulationAlgorithm::MlKem).unwrap();
            assert_eq!(key.decapsulate(EncapsulationAlgorithm::MlKem, &ciphertext).unwrap(), secret);
            // Another key finds a secret, too, and nobody has it.
            assert_ne!(another.decapsulate(EncapsulationAlgorithm::MlKem, &ciphertext).unwrap(), secret);
        }
        assert!(key.cipher().is_err());
        assert_eq!(key.public_key().is_ok(), spec.is_asymmetric());
        assert_eq!(key.spec(), spec);
    }
}

/// A digest of the wrong length is never signed, nor said to be no match.
#[test]
fn a_digest_has_the_length_of_the_algorithms() {
    for spec in [
        KeySpec::Rsa2048,
        KeySpec::EccNistP256,
        KeySpec::EccNistP384,
        KeySpec::EccNistP521,
        KeySpec::EccSecgP256k1,
        KeySpec::Sm2,
    ] {
        let key = generate(spec);
        for algorithm in spec.signing_algorithms().iter().copied() {
            let right = algorithm.digest_bytes().unwrap();
            for bytes in [0, 1, 20, 28, 32, 48, 64, 65].into_iter().filter(|bytes| *bytes != right) {
                let digest = vec![7; bytes];
                for refused in [
                    key.sign(algorithm, Message::Digest(&digest)).err(),
                    key.verify(algorithm, Message::Digest(&digest), &[0; 64]).err(),
                ] {
                    let Some(Error::DigestLength { bytes: was, right: should }) = refused else {
                        panic!("{spec} {algorithm}: {refused:?}");
                    };
                    assert_eq!((was, should), (bytes, right));
                }
            }
            assert!(matches!(key.sign(algorithm, Message::ExternalMu(&[0; 64])), Err(Error::Unsupported { .. })));
        }
    }
}

/// A data key pair's halves belong together, and the private half can be imported again.
#[test]
fn a_data_key_pair_belongs_together() {
    for spec in IMPLEMENTED.into_iter().filter(|spec| spec.is_asymmetric()) {
        let pair = DataKeyPair::generate(spec).unwrap();
        let key = PreparedKey::new(spec, &KeyMaterial::import(spec, &pair.private).unwrap()).unwrap();
        assert_eq!(key.public_key().unwrap(), pair.public, "{spec}");
        for other in IMPLEMENTED.into_iter().filter(|other| *other != spec && other.is_asymmetric()) {
            assert!(matches!(KeyMaterial::import(other, &pair.private), Err(Error::Malformed)), "{spec} as {other}");
        }
    }
    for spec in [KeySpec::SymmetricDefault, KeySpec::Hmac256] {
        assert!(matches!(DataKeyPair::generate(spec), Err(Error::Unsupported { .. })));
    }
}

/// Raw keys have a length, between the digest's and 1024 bits.
#[test]
fn an_hmac_key_is_as_long_as_its_code_at_least() {
    for (spec, least) in
        [(KeySpec::Hmac224, 28), (KeySpec::Hmac256, 32), (KeySpec::Hmac384, 48), (KeySpec::Hmac512, 64)]
    {
        for (bytes, good) in [(0, false), (least - 1, false), (least, true), (128, true), (129, false)] {
            assert_eq!(KeyMaterial::import(spec, &vec![7; bytes]).is_ok(), good, "{spec}, {bytes} bytes");
        }
    }
}
