//! Why a request is not taken as signed, and how AWS says so.

use std::borrow::Cow;
use std::fmt;

use api::Fault;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::canonical::sha256;
use super::date::Date;

/// Why a request is not taken as signed.
///
/// The texts are AWS's where AWS has one. Text that a caller sent as a credential is shown only hashed, since it ends up in the
/// audit record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// There is no signature.
    Missing,
    /// There are two: a header and a query.
    Twofold,
    /// An algorithm of AWS's that this service does not verify, such as SigV4a's.
    Algorithm { given: String },
    /// An element of the `Authorization` header has no `=`.
    NotKeyValue { authorization: Hashed },
    /// The header form lacks these parts.
    HeaderLacks { sentences: Vec<&'static str>, authorization: Hashed },
    /// The query form lacks these parameters.
    QueryLacks { parameters: Vec<&'static str> },
    /// The date is in no form that is taken.
    Date { given: String },
    /// `X-Amz-Expires` is out of range.
    Expires { given: String },
    /// The list of signed headers is not sorted, or names one twice, or in upper case, or too many.
    SignedHeaders,
    /// `host` is not signed.
    HostNotSigned,
    /// A header is there but not signed.
    NotSigned { header: String },
    /// Signed too long ago.
    Expired { signed: Date, earliest: Date, now: Date, lifetime_seconds: i64 },
    /// Signed in the future.
    NotYetCurrent { signed: Date, latest: Date, now: Date, skew_seconds: i64 },
    /// The credential does not have five parts.
    Credential { given: String },
    /// The credential's scope is for elsewhere.
    Scope(ScopeFaults),
    /// No such access key, or not with this session token.
    UnknownCredentials,
    /// The client left the body out of its signature.
    BodyNotSigned { given: String },
    /// The client named another hash of the body.
    BodyHash,
    /// Something that is signed is not what was signed, or the secret is another.
    Mismatch,
}

/// What is wrong with a credential's scope; AWS tells all of it at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct ScopeFaults {
    /// What stands for the Region, where that is none.
    pub(super) region: Option<String>,
    /// The service it should be.
    pub(super) service: Option<&'static str>,
    /// What stands where `aws_request` should.
    pub(super) terminator: Option<String>,
    /// What stands for the day, and the date that it should agree with.
    pub(super) day: Option<(String, Date)>,
}

/// A header's value by its hash: SHA-256 in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hashed(String);

impl Hashed {
    pub(super) fn of(value: &[u8]) -> Hashed {
        Hashed(STANDARD.encode(sha256(value)))
    }
}

impl Refusal {
    fn code(&self) -> &'static str {
        match self {
            Refusal::Missing => "MissingAuthenticationTokenException",
            Refusal::Algorithm { .. }
            | Refusal::NotKeyValue { .. }
            | Refusal::HeaderLacks { .. }
            | Refusal::QueryLacks { .. }
            | Refusal::Date { .. }
            | Refusal::Expires { .. }
            | Refusal::SignedHeaders
            | Refusal::Credential { .. } => "IncompleteSignatureException",
            Refusal::UnknownCredentials => "UnrecognizedClientException",
            Refusal::Twofold
            | Refusal::HostNotSigned
            | Refusal::NotSigned { .. }
            | Refusal::Expired { .. }
            | Refusal::NotYetCurrent { .. }
            | Refusal::Scope(_)
            | Refusal::BodyNotSigned { .. }
            | Refusal::BodyHash
            | Refusal::Mismatch => "InvalidSignatureException",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Missing => out.write_str("Missing Authentication Token"),
            Refusal::Twofold => out.write_str(
                "The request is signed twice: give either the Authorization header or the X-Amz-Algorithm query parameter.",
            ),
            Refusal::Algorithm { given } => {
                write!(out, "Unsupported AWS 'algorithm': '{given}'. Sign with 'AWS4-HMAC-SHA256'.")
            }
            Refusal::NotKeyValue { authorization } => write!(
                out,
                "Invalid key=value pair (missing equal-sign) in Authorization header (hashed with SHA-256 and encoded with Base64): '{}'.",
                authorization.0
            ),
            Refusal::HeaderLacks { sentences, authorization } => {
                for sentence in sentences {
                    write!(out, "{sentence} ")?;
                }
                write!(out, "(Hashed with SHA-256 and encoded with Base64) Authorization={}", authorization.0)
            }
            Refusal::QueryLacks { parameters } => {
                for parameter in parameters {
                    write!(out, "AWS query-string parameters must include '{parameter}'. ")?;
                }
                out.write_str("Re-examine the query-string parameters.")
            }
            Refusal::Date { given } => {
                write!(out, "Date must be in ISO-8601 'basic format'. Got '{given}'. See http://en.wikipedia.org/wiki/ISO_8601")
            }
            Refusal::Expires { given } => {
                write!(out, "X-Amz-Expires must be a number of seconds from 1 to 604800, not '{given}'.")
            }
            Refusal::SignedHeaders => {
                out.write_str("SignedHeaders must be header names in lower case and ascending order, each once.")
            }
            Refusal::HostNotSigned => {
                out.write_str("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
            }
            Refusal::NotSigned { header } => {
                write!(out, "'{header}' must be a 'SignedHeader' in the AWS Authorization.")
            }
            Refusal::Expired { signed, earliest, now, lifetime_seconds } => write!(
                out,
                "Signature expired: {signed} is now earlier than {earliest} ({now} - {}.)",
                Span(*lifetime_seconds)
            ),
            Refusal::NotYetCurrent { signed, latest, now, skew_seconds } => write!(
                out,
                "Signature not yet current: {signed} is still later than {latest} ({now} + {}.)",
                Span(*skew_seconds)
            ),
            Refusal::Credential { given } => write!(
                out,
                "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{given}'"
            ),
            Refusal::Scope(faults) => faults.fmt(out),
            Refusal::UnknownCredentials => out.write_str("The security token included in the request is invalid."),
            Refusal::BodyNotSigned { given } => write!(
                out,
                "x-amz-content-sha256 is '{given}', but the body must be signed: send the SHA-256 of the body in hexadecimal."
            ),
            Refusal::BodyHash => out.write_str("x-amz-content-sha256 is not the SHA-256 of the body that was received."),
            Refusal::Mismatch => out.write_str(
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key \
                 and signing method. Consult the service documentation for details.",
            ),
        }
    }
}

/// Each sentence ends with a blank, as AWS's do.
impl fmt::Display for ScopeFaults {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(given) = &self.region {
            write!(out, "Credential should be scoped to a valid region, not '{given}'. ")?;
        }
        if let Some(service) = self.service {
            write!(out, "Credential should be scoped to correct service: '{service}'. ")?;
        }
        if let Some(given) = &self.terminator {
            write!(out, "Credential should be scoped with a valid terminator: 'aws4_request', not '{given}'. ")?;
        }
        if let Some((given, date)) = &self.day {
            write!(
                out,
                "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{given}' != '{}', from '{date}'. ",
                date.day()
            )?;
        }
        Ok(())
    }
}

/// Seconds as AWS tells them: whole minutes where they are.
struct Span(i64);

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 % 60 == 0 { write!(out, "{} min", self.0 / 60) } else { write!(out, "{} sec", self.0) }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Fault {
        Fault::new(refusal.code(), refusal.to_string())
    }
}

/// The same fault as services with the Query protocol (STS, IAM, SNS) send it: other codes, and HTTP 403 for what is not merely
/// incomplete. Faults that are not [`Verifier::verify`](super::Verifier::verify)'s are left as they are.
///
/// Source: AWS STS API Reference, "Common Errors".
pub fn for_query_protocol(fault: Fault) -> Fault {
    let (code, status) = match fault.code {
        "MissingAuthenticationTokenException" => ("MissingAuthenticationToken", 403),
        "IncompleteSignatureException" => ("IncompleteSignature", 400),
        "InvalidSignatureException" => ("SignatureDoesNotMatch", 403),
        "UnrecognizedClientException" => ("InvalidClientTokenId", 403),
        _ => return fault,
    };
    // AWS names the same thing otherwise here.
    let message = match code {
        "MissingAuthenticationToken" => Some(Cow::Borrowed("Request is missing Authentication Token")),
        _ => fault.message,
    };
    Fault { code, message, status }
}
