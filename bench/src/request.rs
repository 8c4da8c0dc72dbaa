//! Requests as bytes, signed before they are needed: the load must not compete with the server for the time that signing takes.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use crate::child::AccessKey;

const REGION: &str = "eu-west-1";
const PLAINTEXT_BYTES: usize = 32;

/// What is asked for again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
pub enum Operation {
    /// Encrypt of 32 bytes with a small encryption context.
    Encrypt,
    /// Decrypt of the same.
    Decrypt,
    /// GenerateDataKey, AES_256, with the same context.
    GenerateDataKey,
}

impl Operation {
    /// AWS's name.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Encrypt => "Encrypt",
            Operation::Decrypt => "Decrypt",
            Operation::GenerateDataKey => "GenerateDataKey",
        }
    }

    /// The `number`-th request, for the key `key` and, where it is to be decrypted, `ciphertext`.
    pub fn body(self, key: &str, ciphertext: &str, number: usize) -> Value {
        let context = json!({ "app": "ledger", "table": "accounts" });
        match self {
            Operation::Encrypt => {
                let mut plaintext = [0; PLAINTEXT_BYTES];
                plaintext[..8].copy_from_slice(&number.to_le_bytes());
                json!({ "KeyId": key, "Plaintext": STANDARD.encode(plaintext), "EncryptionContext": context })
            }
            Operation::Decrypt => json!({ "CiphertextBlob": ciphertext, "EncryptionContext": context }),
            Operation::GenerateDataKey => json!({ "KeyId": key, "KeySpec": "AES_256", "EncryptionContext": context }),
        }
    }
}

/// The bytes of a signed KMS request over HTTP/1.1, with the headers that AWS's SDK for Python sends.
///
/// # Errors
/// Where it cannot be signed.
pub fn signed(host: &str, key: &AccessKey, operation: &str, body: &Value) -> Result<Vec<u8>> {
    let body = body.to_string();
    let identity = Credentials::new(&key.id, &key.secret, None, None, "bench").into();
    #[expect(clippy::disallowed_methods, reason = "a client signs with the wall clock")]
    let now = SystemTime::now();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(REGION)
        .name("kms")
        .time(now)
        .settings(SigningSettings::default())
        .build()?
        .into();
    let target = format!("TrentService.{operation}");
    let headers = [("host", host), ("content-type", "application/x-amz-json-1.1"), ("x-amz-target", &target)];
    let uri = format!("http://{host}/");
    let signable = SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))?;
    let (instructions, _) = sign(signable, &parameters).context("a request could not be signed")?.into_parts();
    let mut request = "POST / HTTP/1.1\r\n".to_owned();
    let length = body.len().to_string();
    let agent =
        "Boto3/1.44.5 md/Botocore#1.44.5 ua/2.1 os/linux lang/python#3.11.7 cfg/retry-mode#legacy Botocore/1.44.5";
    let unsigned = [("user-agent", agent), ("accept-encoding", "identity"), ("content-length", &length)];
    for (name, value) in headers.into_iter().chain(instructions.headers()).chain(unsigned) {
        request.extend([name, ": ", value, "\r\n"]);
    }
    request.push_str("\r\n");
    request.push_str(&body);
    Ok(request.into_bytes())
}
