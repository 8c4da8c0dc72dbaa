//! What is signed: the request in canonical form, and the string to sign made of it.
//!
//! Source: AWS IAM User Guide, "Create a signed AWS API request", steps 1 to 3.

use aws_lc_rs::digest::{SHA256, digest};

use super::Parts;
use super::claim::{ALGORITHM, Claim, SIGNATURE_PARAMETER, Scope};
use super::query::append_path;
use super::refusal::Refusal;

/// The string that the signature must be of, for this request.
pub(super) fn string_to_sign(parts: &Parts<'_>, claim: &Claim<'_>, scope: &Scope<'_>) -> Result<Vec<u8>, Refusal> {
    let request = request(parts, claim)?;
    let lines = [
        ALGORITHM,
        "\n",
        claim.date.as_str(),
        "\n",
        scope.day,
        "/",
        scope.region.as_str(),
        "/",
        scope.service,
        "/aws4_request\n",
    ];
    let mut out = Vec::with_capacity(192);
    lines.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
    out.extend_from_slice(&hex(&sha256(&request)));
    Ok(out)
}

/// The canonical request.
pub(super) fn request(parts: &Parts<'_>, claim: &Claim<'_>) -> Result<Vec<u8>, Refusal> {
    let body_hash = body_hash(parts)?;
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(parts.method.as_bytes());
    out.push(b'\n');
    append_path(parts.path, &mut out);
    out.push(b'\n');
    if let Some(query) = &claim.query {
        query.append(&mut out, claim.presigned.then_some(SIGNATURE_PARAMETER));
    }
    out.push(b'\n');
    for name in claim.signed_headers.split(';') {
        append_header(parts, name, &mut out)?;
    }
    out.push(b'\n');
    out.extend_from_slice(claim.signed_headers.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(&body_hash);
    Ok(out)
}

/// Appends `name:value,value\n`, each value trimmed, and its runs of blanks made one.
fn append_header(parts: &Parts<'_>, name: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    let sent = parts.headers.get_all(name).iter().map(|value| value.as_bytes());
    let authority = parts.authority.filter(|_| name == "host" && !parts.headers.contains_key("host"));
    let mut values = sent.chain(authority.map(str::as_bytes)).peekable();
    if values.peek().is_none() {
        // Signed, but lost on the way: no request can be made canonical without it.
        return Err(Refusal::Mismatch);
    }
    out.extend_from_slice(name.as_bytes());
    let mut before = b':';
    for value in values {
        out.push(before);
        append_folded(value, out);
        before = b',';
    }
    out.push(b'\n');
    Ok(())
}

fn append_folded(value: &[u8], out: &mut Vec<u8>) {
    let mut words = value.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    if let Some(first) = words.next() {
        out.extend_from_slice(first);
    }
    for word in words {
        out.push(b' ');
        out.extend_from_slice(word);
    }
}

/// The hash of the body that came. Where the client names one too, it must be that.
fn body_hash(parts: &Parts<'_>) -> Result<[u8; 64], Refusal> {
    let hash = hex(&sha256(parts.body));
    match parts.headers.get("x-amz-content-sha256").map(|value| value.as_bytes()) {
        Some(given) if given.starts_with(b"UNSIGNED-") || given.starts_with(b"STREAMING-") => {
            Err(Refusal::BodyNotSigned { given: String::from_utf8_lossy(given).into_owned() })
        }
        Some(given) if given != hash => Err(Refusal::BodyHash),
        Some(_) | None => Ok(hash),
    }
}

pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// 32 bytes as 64 lower-case hex digits.
pub(super) fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 64];
    for (two, byte) in out.chunks_exact_mut(2).zip(bytes) {
        two[0] = DIGITS[usize::from(byte >> 4)];
        two[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}
