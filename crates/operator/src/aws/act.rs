//! Acting on a key: one call, tried once.

use api::KeyArn;
use aws_sdk_kms::operation::RequestId;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{
    DataKeySpec, EncapsulationAlgorithmSpec, EncryptionAlgorithmSpec, KeyAgreementAlgorithmSpec, MacAlgorithmSpec,
    MessageType, SigningAlgorithmSpec,
};
use procedure::observation::KeyFacts;
use procedure::{KeyState, Presence, Seen};
use trail::context::PROBE;
use trail::usage::Failure;

use super::trouble::Trouble;
use super::{Aws, keys, timestamp};
use crate::world::{Act, Answer};

/// Carries `act` out.
pub(super) async fn act(aws: &Aws, key: KeyArn, act: &Act) -> Answer {
    let arn = key.to_string();
    let done =
        |request_id: Option<&str>| Answer::Done { request_id: request_id.map(str::to_owned), deletion_date: None };
    let answer = match act {
        Act::Disable => match aws.acting.disable_key().key_id(arn).send().await {
            Ok(answer) => Ok(done(answer.request_id())),
            Err(error) => Err(Trouble::from(error)),
        },
        Act::Enable => match aws.acting.enable_key().key_id(arn).send().await {
            Ok(answer) => Ok(done(answer.request_id())),
            Err(error) => Err(Trouble::from(error)),
        },
        Act::Cancel => match aws.acting.cancel_key_deletion().key_id(arn).send().await {
            Ok(answer) => Ok(done(answer.request_id())),
            Err(error) => Err(Trouble::from(error)),
        },
        Act::Schedule { window_days } => {
            let call = aws.acting.schedule_key_deletion().key_id(arn).pending_window_in_days(i32::from(*window_days));
            match call.send().await {
                Ok(answer) => Ok(Answer::Done {
                    request_id: answer.request_id().map(str::to_owned),
                    deletion_date: answer.deletion_date().and_then(timestamp),
                }),
                Err(error) => Err(Trouble::from(error)),
            }
        }
        Act::Probe { probe } => return self::probe(aws, &arn, probe).await,
    };
    answer.unwrap_or_else(Trouble::answer)
}

/// Probes a key that cannot be used. A successful call would be a use, so nothing is tried unless DescribeKey says, now, that the
/// call will fail. Source: procedure.md 6.1, 6.6.3.
async fn probe(aws: &Aws, arn: &str, probe: &str) -> Answer {
    let facts = match keys::describe(&aws.kms, arn).await {
        Seen::Seen(Presence::Present(facts)) => facts,
        Seen::Seen(Presence::Gone) => return not_tried("the key does not exist"),
        Seen::Unknown(gap) => return not_tried(&format!("the key's state cannot be read: {gap}")),
    };
    match facts.state {
        KeyState::Disabled | KeyState::PendingDeletion { .. } => {}
        state => return not_tried(&format!("the key is {}, where a probe might succeed", state.as_str())),
    }
    match send_probe(aws, arn, probe, &facts).await {
        Ok(request_id) => Answer::Admitted { request_id },
        Err(Trouble::Refused { code, message, request_id }) => match Failure::of(&code, Some(&message)) {
            Failure::Disabled | Failure::PendingDeletion | Failure::InvalidState => {
                Answer::Done { request_id, deletion_date: None }
            }
            _ => Answer::Refused { code, message, request_id },
        },
        Err(trouble) => trouble.answer(),
    }
}

fn not_tried(why: &str) -> Answer {
    Answer::NotTried { why: why.to_owned() }
}

/// The call that fits the key. Those for asymmetric and HMAC keys carry no context, and are known by their request id alone.
async fn send_probe(aws: &Aws, arn: &str, probe: &str, facts: &KeyFacts) -> Result<Option<String>, Trouble> {
    let id = |answer: Option<&str>| answer.map(str::to_owned);
    let kms = &aws.acting;
    match facts.usage.as_str() {
        "ENCRYPT_DECRYPT" if facts.spec == "SYMMETRIC_DEFAULT" => {
            let call = kms.generate_data_key().key_id(arn).key_spec(DataKeySpec::Aes256);
            let answer = call.encryption_context(PROBE, probe).send().await?;
            Ok(id(answer.request_id()))
        }
        "ENCRYPT_DECRYPT" => {
            let algorithm = match facts.spec.as_str() {
                "SM2" => EncryptionAlgorithmSpec::Sm2Pke,
                _ => EncryptionAlgorithmSpec::RsaesOaepSha256,
            };
            let call = kms.encrypt().key_id(arn).encryption_algorithm(algorithm);
            let answer = call.plaintext(Blob::new(PROBE)).send().await?;
            Ok(id(answer.request_id()))
        }
        "SIGN_VERIFY" => {
            let Some(algorithm) = signing_algorithm(&facts.spec) else { return Err(no_probe(facts)) };
            let call = kms.sign().key_id(arn).signing_algorithm(algorithm).message_type(MessageType::Raw);
            let answer = call.message(Blob::new(PROBE)).send().await?;
            Ok(id(answer.request_id()))
        }
        "GENERATE_VERIFY_MAC" => {
            let Some(algorithm) = mac_algorithm(&facts.spec) else { return Err(no_probe(facts)) };
            let answer =
                kms.generate_mac().key_id(arn).mac_algorithm(algorithm).message(Blob::new(PROBE)).send().await?;
            Ok(id(answer.request_id()))
        }
        "KEY_AGREEMENT" => {
            let call = kms.derive_shared_secret().key_id(arn).key_agreement_algorithm(KeyAgreementAlgorithmSpec::Ecdh);
            let answer = call.public_key(Blob::new(ANY_PUBLIC_KEY)).send().await?;
            Ok(id(answer.request_id()))
        }
        "ENCAPSULATE_DECAPSULATE" => {
            let call = kms.encapsulate().key_id(arn).encapsulation_algorithm(EncapsulationAlgorithmSpec::MlKem);
            let answer = call.send().await?;
            Ok(id(answer.request_id()))
        }
        _ => Err(no_probe(facts)),
    }
}

/// The generator of P-256 as a SubjectPublicKeyInfo: a public key of nobody's. The state of the key is looked at first, so that
/// it need not fit the key's curve.
const ANY_PUBLIC_KEY: [u8; 91] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce,
    0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6,
    0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98,
    0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b,
    0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
];

fn no_probe(facts: &KeyFacts) -> Trouble {
    let message = format!("no probe is known for key usage `{}` and key spec `{}`", facts.usage, facts.spec);
    Trouble::NotMade { message }
}

fn signing_algorithm(spec: &str) -> Option<SigningAlgorithmSpec> {
    Some(match spec {
        "RSA_2048" | "RSA_3072" | "RSA_4096" => SigningAlgorithmSpec::RsassaPssSha256,
        "ECC_NIST_P256" | "ECC_SECG_P256K1" => SigningAlgorithmSpec::EcdsaSha256,
        "ECC_NIST_P384" => SigningAlgorithmSpec::EcdsaSha384,
        "ECC_NIST_P521" => SigningAlgorithmSpec::EcdsaSha512,
        "ECC_NIST_EDWARDS25519" => SigningAlgorithmSpec::Ed25519Sha512,
        "ML_DSA_44" | "ML_DSA_65" | "ML_DSA_87" => SigningAlgorithmSpec::MlDsaShake256,
        "SM2" => SigningAlgorithmSpec::Sm2Dsa,
        _ => return None,
    })
}

fn mac_algorithm(spec: &str) -> Option<MacAlgorithmSpec> {
    Some(match spec {
        "HMAC_224" => MacAlgorithmSpec::HmacSha224,
        "HMAC_256" => MacAlgorithmSpec::HmacSha256,
        "HMAC_384" => MacAlgorithmSpec::HmacSha384,
        "HMAC_512" => MacAlgorithmSpec::HmacSha512,
        _ => return None,
    })
}
