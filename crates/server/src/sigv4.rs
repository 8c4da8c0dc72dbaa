//! AWS Signature Version 4, verifier's side: did the holder of an access key sign exactly this request, just now, for here?
//!
//! Takes both forms, the `Authorization` header and the presigned query, as AWS's services other than S3 take them. It decides who
//! calls, not what they may do; what an access key stands for is its owner's business, so `Identity` is whatever the server gives.
//!
//! **Guarantees.** Nothing of a request counts that is not signed: method, path, query, body, `Host`, and every `x-amz-` header
//! (above all `X-Amz-Target`, which names the operation). Secrets, tokens and signatures are compared in constant time. A caller
//! without a secret can make the verifier neither allocate beyond the size of the request nor touch its cache.
//!
//! **Caveats.** Within its five minutes (presigned: its lifetime) a request can be sent again; AWS has that too.
//!
//! Sources: AWS IAM User Guide, "Create a signed AWS API request"; the order and texts of errors follow answers of AWS services
//! that are public in issue trackers, and the tests name each.

mod canonical;
mod claim;
mod date;
mod query;
mod refusal;
mod signing;

use std::collections::HashMap;
use std::sync::Arc;

use api::{Fault, Region, Timestamp};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use hyper::HeaderMap;
use zeroize::Zeroizing;

use claim::{Claim, Scope};
use refusal::Refusal;
pub use refusal::for_query_protocol;
use signing::SigningKeys;

/// The secret half of an access key. Cleared when dropped, and never shown.
pub struct SecretAccessKey(Zeroizing<String>);

impl From<String> for SecretAccessKey {
    fn from(secret: String) -> SecretAccessKey {
        SecretAccessKey(Zeroizing::new(secret))
    }
}

/// The third part of temporary credentials. Cleared when dropped, and never shown.
pub struct SessionToken(Zeroizing<String>);

impl From<String> for SessionToken {
    fn from(token: String) -> SessionToken {
        SessionToken(Zeroizing::new(token))
    }
}

/// An access key that requests may be signed with.
pub struct AccessKey<Identity> {
    /// `AKIA…`, or `ASIA…` for a temporary one.
    pub id: String,
    /// What requests are signed with.
    pub secret: SecretAccessKey,
    /// Must come with every request where there is one, and must not where there is none.
    pub session_token: Option<SessionToken>,
    /// Who signs with this key; handed back by [`Verifier::verify`].
    pub identity: Arc<Identity>,
}

/// What of an HTTP request a signature is about.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    /// `POST`.
    pub method: &'a str,
    /// The path as it came, percent-encoding and all.
    pub path: &'a str,
    /// What came after the `?`, as it came.
    pub query: Option<&'a str>,
    /// `:authority` of HTTP/2; stands for the `Host` header where that is missing.
    pub authority: Option<&'a str>,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// The whole body.
    pub body: &'a [u8],
}

/// What a good signature proves.
pub struct Verified<Identity> {
    /// Who signed.
    pub identity: Arc<Identity>,
    /// The Region that the request was signed for.
    pub region: Region,
    /// The service that it was signed for: one of those that [`Verifier::verify`] was given.
    pub service: &'static str,
}

/// Verifies requests against a fixed set of access keys. Shared by all threads; takes no lock.
pub struct Verifier<Identity> {
    keys: HashMap<String, Held<Identity>>,
}

/// An access key, with the signing keys that were derived from it.
struct Held<Identity> {
    key: AccessKey<Identity>,
    signing: SigningKeys,
}

impl<Identity> Verifier<Identity> {
    /// A verifier that knows `keys`; of two with one ID, the later.
    pub fn new(keys: impl IntoIterator<Item = AccessKey<Identity>>) -> Verifier<Identity> {
        let held = keys.into_iter().map(|key| (key.id.clone(), Held { signing: SigningKeys::new(&key.secret.0), key }));
        Verifier { keys: held.collect() }
    }

    /// Who signed this request, if it is signed for one of `services` and is current at `now`, which is wall time.
    ///
    /// `services` are the names that the operation's endpoint goes by in a credential scope, the main one first (`["kms"]`).
    ///
    /// # Errors
    /// A fault with AWS's code and text, HTTP 400, as services with JSON protocols send it; the first that applies, in this order:
    /// no signature; not well-formed; a header that must be signed is not; expired or not yet current; scoped for elsewhere;
    /// unknown access key or wrong session token; wrong signature.
    pub fn verify(
        &self,
        parts: &Parts<'_>,
        services: &[&'static str],
        now: Timestamp,
    ) -> Result<Verified<Identity>, Fault> {
        self.check(parts, services, now).map_err(Fault::from)
    }

    fn check(
        &self,
        parts: &Parts<'_>,
        services: &[&'static str],
        now: Timestamp,
    ) -> Result<Verified<Identity>, Refusal> {
        let claim = Claim::read(parts)?;
        claim.covers_what_it_must(parts.headers)?;
        claim.is_current(now)?;
        let scope = Scope::read(&claim, services)?;
        let held = self.keys.get(scope.access_key_id).ok_or(Refusal::UnknownCredentials)?;
        held.accepts_token(claim.session_token.as_deref())?;
        let string_to_sign = canonical::string_to_sign(parts, &claim, &scope)?;
        let good = held.signing.agree(&scope, |signing_key| {
            verify_slices_are_equal(&signing::sign(signing_key, &string_to_sign), claim.signature.as_bytes()).is_ok()
        });
        if !good {
            return Err(Refusal::Mismatch);
        }
        Ok(Verified { identity: held.key.identity.clone(), region: scope.region, service: scope.service })
    }
}

impl<Identity> Held<Identity> {
    fn accepts_token(&self, sent: Option<&str>) -> Result<(), Refusal> {
        let same = match (&self.key.session_token, sent) {
            (None, None) => true,
            (Some(held), Some(sent)) => verify_slices_are_equal(held.0.as_bytes(), sent.as_bytes()).is_ok(),
            (None, Some(_)) | (Some(_), None) => false,
        };
        if same { Ok(()) } else { Err(Refusal::UnknownCredentials) }
    }
}

#[cfg(test)]
mod tests;
