//! `Recipient`: answers that a Nitro enclave alone can open.

use api::Fault;
use api::shape::Blob;
use api::shape::cryptographic::Recipient;
use crypto::Enclave;
use zeroize::Zeroizing;

use crate::decide::Asked;

/// The enclave that a request proves, where it names a recipient. The texts are inferred.
///
/// # Errors
/// ValidationException where the attestation document is not there or does not prove an enclave.
pub(super) fn proven(asked: &Asked<'_>, recipient: Option<&Recipient>) -> Result<Option<Enclave>, Fault> {
    let Some(recipient) = recipient else { return Ok(None) };
    let Some(document) = recipient.document.as_ref().filter(|_| recipient.has_algorithm) else {
        return Err(Fault::validation("Recipient needs KeyEncryptionAlgorithm and AttestationDocument."));
    };
    let Some(root) = asked.vault.nitro_root() else {
        return Err(Fault::validation(
            "The attestation document cannot be verified: this server was started without a root certificate of enclaves (--nitro-root).",
        ));
    };
    let now = u64::try_from(asked.call.now.as_second()).unwrap_or_default();
    let enclave = Enclave::attested(document, root, now);
    Ok(Some(enclave.map_err(|_| Fault::validation("The attestation document is not valid."))?))
}

/// A plaintext as it is answered: as it is, or for the recipient alone.
pub(super) type Reply = (Option<Blob<Zeroizing<Vec<u8>>>>, Option<Blob<Vec<u8>>>);

/// Answers `plaintext`: to the caller, or to the enclave that the caller proved.
///
/// # Errors
/// ValidationException where the enclave's public key is none that can be sealed to.
pub(super) fn reply(plaintext: Zeroizing<Vec<u8>>, enclave: Option<&Enclave>) -> Result<Reply, Fault> {
    match enclave {
        None => Ok((Some(Blob(plaintext)), None)),
        Some(enclave) => {
            let sealed = enclave.seal(&plaintext);
            let sealed = sealed.map_err(|_| Fault::validation("The attestation document holds no RSA public key."))?;
            Ok((None, Some(Blob(sealed))))
        }
    }
}
