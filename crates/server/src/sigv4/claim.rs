//! What a request says about its signature, before anything of it is believed.

use std::borrow::Cow;

use api::{Region, Timestamp};
use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, DATE};

use super::Parts;
use super::date::Date;
use super::query::Query;
use super::refusal::{Hashed, Refusal, ScopeFaults};

/// The one algorithm that is verified.
pub(super) const ALGORITHM: &str = "AWS4-HMAC-SHA256";
/// The query parameter that holds the signature, and is not itself signed.
pub(super) const SIGNATURE_PARAMETER: &str = "X-Amz-Signature";
/// What ends a credential's scope.
const TERMINATOR: &str = "aws4_request";

/// How far a client's clock may be off, and how long a request without a lifetime of its own is good. Source: AWS's texts, "5 min."
const SKEW_SECONDS: i64 = 5 * 60;
/// The longest lifetime of a presigned request: seven days. Source: AWS IAM User Guide, `X-Amz-Expires`.
const MAX_LIFETIME_SECONDS: i64 = 7 * 24 * 60 * 60;
/// How many headers may be signed; SDKs sign about ten.
const MAX_SIGNED_HEADERS: usize = 100;
/// Headers that SDKs send without signing them in presigned requests; they mean nothing here.
const LEFT_UNSIGNED: [&str; 2] = ["x-amz-user-agent", "x-amz-checksum-mode"];

/// What a request says about its signature.
pub(super) struct Claim<'a> {
    /// `<access key ID>/<day>/<region>/<service>/aws4_request`, unless it is wrong.
    credential: Cow<'a, str>,
    /// `host;x-amz-date`: names in lower case, ascending, joined by semicolons.
    pub(super) signed_headers: Cow<'a, str>,
    /// 64 lower-case hex digits, unless it is wrong.
    pub(super) signature: Cow<'a, str>,
    /// When it was signed.
    pub(super) date: Date,
    /// How long after that it is good.
    lifetime_seconds: i64,
    /// The session token that came with it.
    pub(super) session_token: Option<Cow<'a, str>>,
    /// The query string, if there is one.
    pub(super) query: Option<Query>,
    /// Whether it is the query that is signed, without its own signature.
    pub(super) presigned: bool,
}

impl<'a> Claim<'a> {
    /// Reads either form.
    pub(super) fn read(parts: &Parts<'a>) -> Result<Claim<'a>, Refusal> {
        let query = parts.query.filter(|query| !query.is_empty()).map(Query::parse);
        let presigned_by = query.as_ref().and_then(|query| query.value("X-Amz-Algorithm"));
        match (parts.headers.get(AUTHORIZATION), presigned_by, query) {
            (Some(_), Some(_), _) => Err(Refusal::Twofold),
            (Some(authorization), None, query) => Claim::from_header(authorization.as_bytes(), parts.headers, query),
            (None, Some(algorithm), Some(query)) => Claim::from_query(&algorithm, query),
            (None, _, _) => Err(Refusal::Missing),
        }
    }

    fn from_header(value: &'a [u8], headers: &'a HeaderMap, query: Option<Query>) -> Result<Claim<'a>, Refusal> {
        let text = str::from_utf8(value).map_err(|_| Refusal::Missing)?.trim();
        let (algorithm, elements) = text.split_once(' ').unwrap_or((text, ""));
        is_supported(algorithm)?;
        let [mut credential, mut signature, mut signed_headers] = [None; 3];
        for element in elements.split(',').map(str::trim).filter(|element| !element.is_empty()) {
            let (name, value) =
                element.split_once('=').ok_or_else(|| Refusal::NotKeyValue { authorization: Hashed::of(value) })?;
            match name {
                "Credential" => credential = Some(value),
                "Signature" => signature = Some(value),
                "SignedHeaders" => signed_headers = Some(value),
                _ => {}
            }
        }
        let given_date = headers.get("x-amz-date").or_else(|| headers.get(DATE));
        let (Some(credential), Some(signature), Some(signed_headers), Some(given_date)) =
            (credential, signature, signed_headers, given_date)
        else {
            let sentences = [
                (credential.is_none(), "Authorization header requires 'Credential' parameter."),
                (signature.is_none(), "Authorization header requires 'Signature' parameter."),
                (signed_headers.is_none(), "Authorization header requires 'SignedHeaders' parameter."),
                (
                    given_date.is_none(),
                    "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
                ),
            ];
            let sentences = sentences.into_iter().filter_map(|(lacks, sentence)| lacks.then_some(sentence)).collect();
            return Err(Refusal::HeaderLacks { sentences, authorization: Hashed::of(value) });
        };
        let given_date = String::from_utf8_lossy(given_date.as_bytes());
        Ok(Claim {
            credential: credential.into(),
            signed_headers: signed_headers.into(),
            signature: signature.into(),
            date: Date::basic(&given_date)
                .or_else(|| Date::http(&given_date))
                .ok_or_else(|| Refusal::Date { given: given_date.into_owned() })?,
            lifetime_seconds: SKEW_SECONDS,
            session_token: headers.get("x-amz-security-token").map(|token| String::from_utf8_lossy(token.as_bytes())),
            query,
            presigned: false,
        })
    }

    fn from_query(algorithm: &str, query: Query) -> Result<Claim<'a>, Refusal> {
        is_supported(algorithm)?;
        let names = ["X-Amz-Credential", SIGNATURE_PARAMETER, "X-Amz-SignedHeaders", "X-Amz-Date"];
        let values = names.map(|name| query.value(name));
        let [Some(credential), Some(signature), Some(signed_headers), Some(given_date)] = values else {
            let lacks = names.into_iter().zip(&values).filter_map(|(name, value)| value.is_none().then_some(name));
            return Err(Refusal::QueryLacks { parameters: lacks.collect() });
        };
        Ok(Claim {
            credential,
            signed_headers,
            signature,
            date: Date::basic(&given_date).ok_or_else(|| Refusal::Date { given: given_date.into_owned() })?,
            lifetime_seconds: query.value("X-Amz-Expires").map_or(Ok(SKEW_SECONDS), |given| lifetime(&given))?,
            session_token: query.value("X-Amz-Security-Token"),
            query: Some(query),
            presigned: true,
        })
    }

    /// Whether the list of signed headers is well-formed, and names all that must be signed: `host`, and what AWS's protocols read.
    pub(super) fn covers_what_it_must(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let mut before = "";
        for (at, name) in self.signed_headers.split(';').enumerate() {
            if name <= before || name.bytes().any(|byte| byte.is_ascii_uppercase()) || at == MAX_SIGNED_HEADERS {
                return Err(Refusal::SignedHeaders);
            }
            before = name;
        }
        let is_signed = |header: &str| self.signed_headers.split(';').any(|name| name == header);
        if !is_signed("host") {
            return Err(Refusal::HostNotSigned);
        }
        let must_be = |header: &str| header.starts_with("x-amz-") && !LEFT_UNSIGNED.contains(&header);
        match headers.keys().map(|name| name.as_str()).find(|header| must_be(header) && !is_signed(header)) {
            Some(header) => Err(Refusal::NotSigned { header: header.to_owned() }),
            None => Ok(()),
        }
    }

    /// Whether it was signed neither too long ago nor in the future. Fractions of a second of `now` do not count, since dates have
    /// none.
    pub(super) fn is_current(&self, now: Timestamp) -> Result<(), Refusal> {
        let (signed, lifetime_seconds) = (self.date, self.lifetime_seconds);
        if signed.seconds() < now.as_second().saturating_sub(lifetime_seconds) {
            let now = Date::of(now);
            return Err(Refusal::Expired { signed, earliest: now.plus(-lifetime_seconds), now, lifetime_seconds });
        }
        if signed.seconds() > now.as_second().saturating_add(SKEW_SECONDS) {
            let now = Date::of(now);
            let latest = now.plus(SKEW_SECONDS);
            return Err(Refusal::NotYetCurrent { signed, latest, now, skew_seconds: SKEW_SECONDS });
        }
        Ok(())
    }
}

fn is_supported(algorithm: &str) -> Result<(), Refusal> {
    if algorithm == ALGORITHM {
        Ok(())
    } else if algorithm.starts_with("AWS4-") {
        Err(Refusal::Algorithm { given: algorithm.to_owned() })
    } else {
        // Another scheme, such as `Bearer`, is no signature at all.
        Err(Refusal::Missing)
    }
}

fn lifetime(given: &str) -> Result<i64, Refusal> {
    let seconds = given.parse().ok().filter(|seconds| (1..=MAX_LIFETIME_SECONDS).contains(seconds));
    seconds.ok_or_else(|| Refusal::Expires { given: given.to_owned() })
}

/// What a credential is for: `<access key ID>/<day>/<region>/<service>/aws4_request`.
pub(super) struct Scope<'a> {
    pub(super) access_key_id: &'a str,
    /// The day of the claim's date.
    pub(super) day: &'a str,
    pub(super) region: Region,
    pub(super) service: &'static str,
}

impl<'a> Scope<'a> {
    /// Reads the claim's credential, which must be for some Region and one of `services`.
    pub(super) fn read(claim: &'a Claim<'_>, services: &[&'static str]) -> Result<Scope<'a>, Refusal> {
        let malformed = || Refusal::Credential { given: claim.credential.clone().into_owned() };
        let mut elements = claim.credential.split('/');
        let mut element = || elements.next().ok_or_else(malformed);
        let (access_key_id, day, region, service, terminator) =
            (element()?, element()?, element()?, element()?, element()?);
        if elements.next().is_some() {
            return Err(malformed());
        }
        let known_region: Option<Region> = region.parse().ok();
        let known_service = services.iter().copied().find(|known| *known == service);
        match (known_region, known_service) {
            (Some(region), Some(service)) if terminator == TERMINATOR && day == claim.date.day() => {
                Ok(Scope { access_key_id, day, region, service })
            }
            _ => Err(Refusal::Scope(ScopeFaults {
                region: known_region.is_none().then(|| region.to_owned()),
                service: services.first().copied().filter(|_| known_service.is_none()),
                terminator: (terminator != TERMINATOR).then(|| terminator.to_owned()),
                day: (day != claim.date.day()).then(|| (day.to_owned(), claim.date)),
            })),
        }
    }
}
