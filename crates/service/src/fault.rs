//! The faults of this service: AWS's codes and texts, each written once.
//!
//! Source: recorded answers where there are any, else the KMS API model and Developer Guide.

use api::{AliasArn, EncryptionAlgorithm, Fault, KeyArn, KeySpec, KeyUsage, MessageType, Region, SigningAlgorithm};
use lifecycle::Refusal;

use crate::state::Origin;

/// A key that does not exist, or does not any more.
pub(crate) fn no_such_key(arn: &KeyArn) -> Fault {
    Fault::not_found(format!("Key '{arn}' does not exist"))
}

/// A `KeyId` of none of the forms that the operation takes.
pub(crate) fn invalid_key_id(given: &str) -> Fault {
    Fault::not_found(format!("Invalid keyId '{given}'"))
}

/// An ARN of another Region than the one that was called.
pub(crate) fn other_region(region: &Region) -> Fault {
    Fault::not_found(format!("Invalid arn {region}"))
}

/// An alias that does not exist.
pub(crate) fn no_such_alias(arn: &AliasArn) -> Fault {
    Fault::not_found(format!("Alias {arn} is not found."))
}

/// A key or alias of another account that does not exist, or that its key policy does not give to the caller: which of the two,
/// the caller is not told.
///
/// Source: AccessDeniedException messages that users have reported of keys in other accounts.
pub(crate) fn not_admitted(caller: &str, action: &str) -> Fault {
    let text = format!(
        "User: {caller} is not authorized to perform: {action} on this resource because the resource does not exist in this Region, no resource-based policies allow access, or a resource-based policy explicitly denies access"
    );
    Fault::new(ACCESS_DENIED, text)
}

/// The code of every refusal by policy.
pub(crate) const ACCESS_DENIED: &str = "AccessDeniedException";

/// The lifecycle said no.
pub(crate) fn refused(arn: &KeyArn, refusal: Refusal) -> Fault {
    let code = match refusal {
        Refusal::Disabled => "DisabledException",
        Refusal::PendingDeletion
        | Refusal::PendingReplicaDeletion
        | Refusal::NotPendingDeletion
        | Refusal::PendingImport
        | Refusal::Unavailable
        | Refusal::Creating
        | Refusal::Updating => "KMSInvalidStateException",
    };
    Fault::new(code, format!("{arn} {refusal}"))
}

/// A key of another usage than the operation asks for.
pub(crate) fn wrong_usage(arn: &KeyArn, usage: KeyUsage, operation: &str) -> Fault {
    let usage = usage.as_str();
    Fault::new("InvalidKeyUsageException", format!("{arn} key usage is {usage} which is not valid for {operation}."))
}

/// A key that cannot have another material: an asymmetric or HMAC key.
pub(crate) const fn not_rotatable() -> Fault {
    Fault::bare("UnsupportedOperationException")
}

/// A key whose material comes from elsewhere than the operation is for.
pub(crate) fn wrong_origin(arn: &KeyArn, origin: Origin) -> Fault {
    let text = format!("{arn} origin is {} which is not valid for this operation.", origin.as_str());
    Fault::new("UnsupportedOperationException", text)
}

/// An algorithm that keys of this spec do not have.
pub(crate) fn wrong_algorithm(algorithm: impl std::fmt::Display, spec: KeySpec) -> Fault {
    let text = format!("Algorithm {algorithm} is incompatible with key spec {spec}.");
    Fault::new("InvalidKeyUsageException", text)
}

/// A message of a kind that the algorithm does not sign.
pub(crate) fn wrong_message_type(message_type: MessageType, algorithm: SigningAlgorithm) -> Fault {
    Fault::validation(format!("Message type {message_type} is incompatible with algorithm {algorithm}."))
}

/// A digest that no hash function of the algorithm makes.
pub(crate) fn wrong_digest_length(algorithm: SigningAlgorithm) -> Fault {
    Fault::validation(format!("Digest is invalid length for algorithm {algorithm}."))
}

/// More than an RSA or SM2 key encrypts at once.
pub(crate) fn plaintext_too_long(algorithm: EncryptionAlgorithm, spec: KeySpec, most: usize) -> Fault {
    Fault::validation(format!(
        "Algorithm {algorithm} and key spec {spec} cannot encrypt data larger than {most} bytes."
    ))
}

/// An encryption context for an algorithm that authenticates none.
pub(crate) const NO_CONTEXT: Fault = Fault {
    code: "ValidationException",
    message: Some(std::borrow::Cow::Borrowed(
        "EncryptionContext is not supported when encrypting/decrypting with asymmetric CMKs.",
    )),
    status: 400,
};

/// Data keys are made under symmetric encryption keys only.
pub(crate) const NO_DATA_KEY: Fault = Fault {
    code: "InvalidKeyUsageException",
    message: Some(std::borrow::Cow::Borrowed("You cannot generate a data key with an asymmetric CMK")),
    status: 400,
};

/// A key or data key pair of a spec that the Region does not have, or this server.
pub(crate) fn no_such_spec(spec: KeySpec) -> Fault {
    Fault::new("UnsupportedOperationException", format!("KeySpec {spec} is not supported in this region."))
}

/// The ciphertext was sealed under another key than the caller names.
pub(crate) const INCORRECT_KEY: Fault = Fault {
    code: "IncorrectKeyException",
    message: Some(std::borrow::Cow::Borrowed(
        "The key ID in the request does not identify a CMK that can perform this operation.",
    )),
    status: 400,
};

/// The ciphertext's key cannot be named to the caller.
pub(crate) const UNKNOWN_CIPHERTEXT: Fault = Fault {
    code: ACCESS_DENIED,
    message: Some(std::borrow::Cow::Borrowed(
        "The ciphertext refers to a customer master key that does not exist, does not exist in this region, or you are not allowed to access.",
    )),
    status: 400,
};

/// Everything was in order, and `DryRun` was set.
pub(crate) const DRY_RUN: Fault = Fault {
    code: "DryRunOperationException",
    message: Some(std::borrow::Cow::Borrowed("The request would have succeeded, but the DryRun option is set.")),
    status: 400,
};

/// A ciphertext that does not open.
pub(crate) const INVALID_CIPHERTEXT: Fault = Fault::bare("InvalidCiphertextException");

/// An operation that only a multi-Region primary has.
pub(crate) fn not_a_primary(arn: &KeyArn) -> Fault {
    Fault::new("UnsupportedOperationException", format!("{arn} is not a multi-region primary key."))
}

/// A Region where the family has a member already.
pub(crate) fn already_a_member(arn: &KeyArn) -> Fault {
    Fault::new("AlreadyExistsException", format!("A related multi-region key with the ARN {arn} already exists"))
}

/// A Region of another partition, or of none.
pub(crate) fn not_a_region(given: &str, partition: &str) -> Fault {
    Fault::new("UnsupportedOperationException", format!("{given} is not a region of the partition {partition}."))
}

/// A grant token that names no grant, or none that still is.
pub(crate) const INVALID_GRANT_TOKEN: Fault = Fault::bare("InvalidGrantTokenException");

/// A grant that the key does not have.
pub(crate) fn no_such_grant(id: &str) -> Fault {
    Fault::not_found(format!("Grant ID {id} not found"))
}

/// A signature that does not verify.
pub(crate) const INVALID_SIGNATURE: Fault = Fault::bare("KMSInvalidSignatureException");

/// A message authentication code that does not verify.
pub(crate) const INVALID_MAC: Fault = Fault::bare("KMSInvalidMacException");

/// More of something than an account or key may have.
pub(crate) fn limit_exceeded(message: String) -> Fault {
    Fault::new("LimitExceededException", message)
}
