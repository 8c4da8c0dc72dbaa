//! Query strings and paths in the percent-encoding of SigV4.

use std::borrow::Cow;
use std::fmt::Write;

/// A query string, canonical: names and values encoded anew, ordered by name and then value.
///
/// A `+` is a blank, as in forms; a `%` without two hex digits after it stands for itself; empty pairs are left out.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn parse(query: &str) -> Query {
        let pair = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (encode(&decode(name, true), false), encode(&decode(value, true), false))
        };
        let mut pairs: Vec<_> = query.split('&').filter(|text| !text.is_empty()).map(pair).collect();
        pairs.sort_unstable();
        Query(pairs)
    }

    /// The decoded value of parameter `name`, which must need no encoding; the least where there are several.
    pub(super) fn value(&self, name: &str) -> Option<Cow<'static, str>> {
        let (_, value) = self.0.iter().find(|(given, _)| given == name)?;
        Some(Cow::Owned(String::from_utf8_lossy(&decode(value, false)).into_owned()))
    }

    /// Appends the canonical query string, without the parameter `without`.
    pub(super) fn append(&self, out: &mut Vec<u8>, without: Option<&str>) {
        let start = out.len();
        for (name, value) in self.0.iter().filter(|(name, _)| Some(name.as_str()) != without) {
            if out.len() > start {
                out.push(b'&');
            }
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value.as_bytes());
        }
    }
}

/// Appends the canonical form of `path`, which came encoded once: without empty, `.` and `..` segments, and encoded once more.
///
/// That is how services other than S3 do it. Source: AWS IAM User Guide, "Create a signed AWS API request", canonical URI.
pub(super) fn append_path(path: &str, out: &mut Vec<u8>) {
    let mut segments = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            _ => segments.push(segment),
        }
    }
    out.push(b'/');
    out.extend_from_slice(encode(segments.join("/").as_bytes(), true).as_bytes());
    let ends_in_folder = ["/", "/.", "/.."].iter().any(|end| path.ends_with(end));
    if ends_in_folder && !segments.is_empty() {
        out.push(b'/');
    }
}

/// Percent-encodes all bytes but the unreserved ones of RFC 3986 (and `/` where it is kept), with upper-case digits.
fn encode(bytes: &[u8], keep_slash: bool) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if unreserved || (keep_slash && byte == b'/') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("a string takes what is written to it");
        }
    }
    out
}

fn decode(text: &str, plus_is_blank: bool) -> Vec<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        let escaped = match tail {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        if let Some((high, low)) = escaped {
            out.push(high << 4 | low);
            rest = &tail[2..];
        } else {
            out.push(if plus_is_blank && *first == b'+' { b' ' } else { *first });
        }
    }
    out
}
