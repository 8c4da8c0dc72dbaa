//! Answers that only a Nitro enclave can open.
//!
//! A caller shows an attestation document: a COSE_Sign1 structure (RFC 9052) over a CBOR map (RFC 8949), signed by a certificate
//! whose chain leads to the root of AWS Nitro Enclaves. It holds the measurements of the enclave (PCRs) and a public key that was made
//! in it. What is answered is sealed to that key as CMS EnvelopedData (RFC 5652).
//!
//! Source: AWS Nitro Enclaves, "Verifying the root of trust"; AWS KMS API Reference, `RecipientInfo`.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_lc_rs::cipher::{AES_256, AES_CBC_IV_LEN, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use minicbor::data::Type;
use minicbor::{Decoder, Encoder};
use pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::random::random_bytes;

/// ES384 in a COSE header (RFC 9053, 2.1).
const ES384: i64 = -35;
/// Bytes of a number of the curve P-384.
const P384_BYTES: usize = 48;
/// The most PCRs, certificates and members that a document may have; an enclave has 32 PCRs, a chain five certificates.
const MOST: u64 = 64;
/// The longest PCR: SHA-512.
const PCR_BYTES: usize = 64;

/// The root certificate that attestation documents must lead to.
#[derive(Clone)]
pub struct NitroRoot(CertificateDer<'static>);

impl NitroRoot {
    /// A root from its certificate, DER.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it is no certificate.
    pub fn of(certificate: Vec<u8>) -> Result<NitroRoot, Error> {
        let certificate = CertificateDer::from(certificate);
        anchor_from_trusted_cert(&certificate).map_err(|_| Error::Malformed)?;
        Ok(NitroRoot(certificate))
    }
}

/// An enclave that was proven.
#[derive(Debug)]
pub struct Enclave {
    /// Its measurements by number, those that are all zero left out: nobody measured anything there.
    pub pcrs: BTreeMap<u8, Vec<u8>>,
    /// SubjectPublicKeyInfo of an RSA key, DER.
    public_key: Vec<u8>,
}

impl Enclave {
    /// The enclave that made `document`.
    ///
    /// `now` counts seconds since 1970; every certificate of the chain must be valid then.
    ///
    /// # Errors
    /// [`Error::Malformed`] where it is no attestation document, or holds no public key; [`Error::Tampered`] where it is not signed as it
    /// must be, or does not lead to `root`.
    pub fn attested(document: &[u8], root: &NitroRoot, now: u64) -> Result<Enclave, Error> {
        let Signed { protected, payload, signature } = Signed::parse(document).ok_or(Error::Malformed)?;
        let Payload { pcrs, certificate, chain, public_key } = Payload::parse(payload).ok_or(Error::Malformed)?;

        let leaf = CertificateDer::from(certificate);
        let leaf = EndEntityCert::try_from(&leaf).map_err(|_| Error::Tampered)?;
        let anchor = anchor_from_trusted_cert(&root.0).map_err(|_| Error::Malformed)?;
        let chain: Vec<CertificateDer<'_>> = chain.into_iter().map(CertificateDer::from).collect();
        leaf.verify_for_usage(
            &[webpki::aws_lc_rs::ECDSA_P384_SHA384],
            &[anchor],
            &chain,
            UnixTime::since_unix_epoch(Duration::from_secs(now)),
            // Nitro's certificates name no extended usage; one that names others is refused.
            KeyUsage::client_auth(),
            None,
            None,
        )
        .map_err(|_| Error::Tampered)?;
        let signature = der_signature(signature).ok_or(Error::Malformed)?;
        let message = signed_bytes(protected, payload);
        leaf.verify_signature(webpki::aws_lc_rs::ECDSA_P384_SHA384, &message, &signature)
            .map_err(|_| Error::Tampered)?;
        Ok(Enclave { pcrs, public_key: public_key.ok_or(Error::Malformed)?.to_vec() })
    }

    /// Seals `plaintext` so that only the enclave opens it: CMS EnvelopedData, DER. The content is under a fresh AES-256 key in CBC mode,
    /// that key under the enclave's by RSAES-OAEP with SHA-256.
    ///
    /// # Errors
    /// [`Error::Malformed`] where the enclave's public key is no RSA key, [`Error::Library`].
    pub fn seal(&self, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let key = PublicEncryptingKey::from_der(&self.public_key).map_err(|_| Error::Malformed)?;
        let key = OaepPublicEncryptingKey::new(key).map_err(|_| Error::Malformed)?;
        let content_key = Zeroizing::new(random_bytes::<32>());
        let mut wrapped = vec![0; key.ciphertext_size()];
        let length = key
            .encrypt(&OAEP_SHA256_MGF1SHA256, content_key.as_slice(), &mut wrapped, None)
            .map_err(|_| Error::Library)?
            .len();
        wrapped.truncate(length);
        let cipher = UnboundCipherKey::new(&AES_256, content_key.as_slice()).map_err(|_| Error::Library)?;
        let cipher = PaddedBlockEncryptingKey::cbc_pkcs7(cipher).map_err(|_| Error::Library)?;
        let iv: [u8; AES_CBC_IV_LEN] = random_bytes();
        let mut content = plaintext.to_vec();
        let context = aws_lc_rs::cipher::EncryptionContext::Iv128(FixedLength::from(iv));
        cipher.less_safe_encrypt(&mut content, context).map_err(|_| Error::Library)?;
        Ok(enveloped(&self.public_key, &wrapped, &iv, &content))
    }
}

/// A COSE_Sign1 structure.
struct Signed<'a> {
    protected: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Signed<'a> {
    fn parse(document: &'a [u8]) -> Option<Signed<'a>> {
        let mut decoder = Decoder::new(document);
        if decoder.datatype().ok()? == Type::Tag {
            decoder.tag().ok()?;
        }
        if decoder.array().ok()?? != 4 {
            return None;
        }
        let protected = decoder.bytes().ok()?;
        decoder.skip().ok()?;
        let (payload, signature) = (decoder.bytes().ok()?, decoder.bytes().ok()?);
        let mut header = Decoder::new(protected);
        let members = header.map().ok()??;
        let is_es384 = members == 1 && header.i64().ok()? == 1 && header.i64().ok()? == ES384;
        (is_es384 && decoder.position() == document.len()).then_some(Signed { protected, payload, signature })
    }
}

/// What an attestation document says.
struct Payload<'a> {
    pcrs: BTreeMap<u8, Vec<u8>>,
    certificate: &'a [u8],
    chain: Vec<&'a [u8]>,
    public_key: Option<&'a [u8]>,
}

impl<'a> Payload<'a> {
    fn parse(payload: &'a [u8]) -> Option<Payload<'a>> {
        let mut decoder = Decoder::new(payload);
        let (mut pcrs, mut certificate, mut chain, mut public_key) = (BTreeMap::new(), None, Vec::new(), None);
        for _ in 0..bounded(decoder.map().ok()??)? {
            match decoder.str().ok()? {
                "pcrs" => {
                    for _ in 0..bounded(decoder.map().ok()??)? {
                        let (number, value) = (decoder.u8().ok()?, decoder.bytes().ok()?);
                        if value.len() > PCR_BYTES {
                            return None;
                        }
                        if value.iter().any(|byte| *byte != 0) {
                            pcrs.insert(number, value.to_vec());
                        }
                    }
                }
                "certificate" => certificate = Some(decoder.bytes().ok()?),
                "cabundle" => {
                    for _ in 0..bounded(decoder.array().ok()??)? {
                        chain.push(decoder.bytes().ok()?);
                    }
                }
                "public_key" if decoder.datatype().ok()? != Type::Null => public_key = Some(decoder.bytes().ok()?),
                "digest" => {
                    if decoder.str().ok()? != "SHA384" {
                        return None;
                    }
                }
                _ => decoder.skip().ok()?,
            }
        }
        let is_whole = decoder.position() == payload.len() && !pcrs.is_empty();
        is_whole.then_some(Payload { pcrs, certificate: certificate?, chain, public_key })
    }
}

fn bounded(count: u64) -> Option<u64> {
    (count <= MOST).then_some(count)
}

/// What a COSE_Sign1 signature is over (RFC 9052, 4.4).
fn signed_bytes(protected: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(payload.len() + protected.len() + 32);
    let mut encoder = Encoder::new(&mut bytes);
    let written = encoder
        .array(4)
        .and_then(|encoder| encoder.str("Signature1"))
        .and_then(|encoder| encoder.bytes(protected))
        .and_then(|encoder| encoder.bytes(&[]))
        .and_then(|encoder| encoder.bytes(payload));
    written.expect("a Vec takes every write");
    bytes
}

/// The ECDSA signature of COSE, two numbers side by side, as X.509 has it: a sequence of two integers.
fn der_signature(signature: &[u8]) -> Option<Vec<u8>> {
    if signature.len() != 2 * P384_BYTES {
        return None;
    }
    let (r, s) = signature.split_at(P384_BYTES);
    let integer = |number: &[u8]| {
        let number: Vec<u8> = number.iter().copied().skip_while(|byte| *byte == 0).collect();
        let sign = number.first().is_none_or(|first| *first >= 0x80).then_some(0);
        der(0x02, &[&sign.into_iter().chain(number).collect::<Vec<u8>>()])
    };
    Some(der(0x30, &[&integer(r), &integer(s)]))
}

/// A DER value: tag, length, and `parts` one behind the other.
fn der(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut bytes = vec![tag];
    match u8::try_from(length) {
        Ok(length @ ..=0x7f) => bytes.push(length),
        _ => {
            let digits: Vec<u8> = length.to_be_bytes().into_iter().skip_while(|byte| *byte == 0).collect();
            bytes.push(0x80 | u8::try_from(digits.len()).expect("a length has at most eight bytes"));
            bytes.extend(digits);
        }
    }
    parts.iter().for_each(|part| bytes.extend_from_slice(part));
    bytes
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OCTETS: u8 = 0x04;

/// Object identifiers, DER with tag and length.
const ENVELOPED_DATA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 3];
const DATA: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 1];
const RSAES_OAEP: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 7];
const MGF1: &[u8] = &[0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 8];
const SHA256_ID: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 2, 1];
const AES256_CBC: &[u8] = &[0x06, 9, 0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1, 42];
const NULL: &[u8] = &[0x05, 0];
/// Version 2: the recipient is named by its key (RFC 5652, 6.1 and 6.2.1).
const VERSION_2: &[u8] = &[0x02, 1, 2];

/// CMS EnvelopedData with one recipient, named by a hash of its public key (RFC 7093, 2, method 4 cut to 20 bytes).
fn enveloped(public_key: &[u8], wrapped: &[u8], iv: &[u8], content: &[u8]) -> Vec<u8> {
    let name = digest(&SHA256, public_key);
    let sha256 = der(SEQUENCE, &[SHA256_ID, NULL]);
    let mgf1 = der(SEQUENCE, &[MGF1, &sha256]);
    let parameters = der(SEQUENCE, &[&der(0xa0, &[&sha256]), &der(0xa1, &[&mgf1])]);
    let recipient = der(
        SEQUENCE,
        &[
            VERSION_2,
            &der(0x80, &[&name.as_ref()[..20]]),
            &der(SEQUENCE, &[RSAES_OAEP, &parameters]),
            &der(OCTETS, &[wrapped]),
        ],
    );
    let algorithm = der(SEQUENCE, &[AES256_CBC, &der(OCTETS, &[iv])]);
    let sealed = der(SEQUENCE, &[DATA, &algorithm, &der(0x80, &[content])]);
    let data = der(SEQUENCE, &[VERSION_2, &der(SET, &[&recipient]), &sealed]);
    der(SEQUENCE, &[ENVELOPED_DATA, &der(0xa0, &[&data])])
}
