//! One link of a journal's chain: an entry in a file of its own, tied to the one before by its hash.
//!
//! A file is one line of JSON that ends in its own SHA-256, taken over everything before that last member. So it can be
//! checked without Quietus, and without agreeing on a canonical form:
//!
//! ```text
//! sed 's/,"sha256":"[0-9a-f]*"}$//' 000001.json | tr -d '\n' | sha256sum
//! ```
//!
//! What an entry says is not this module's business.

use procedure::Digest;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The largest file that is read or written. An assessment with a thousand findings has about a tenth of it. (Ours.)
pub const MAX_LINK_BYTES: usize = 8 << 20;

/// What stands between an entry and its hash.
const SEAM: &str = ",\"sha256\":\"";
/// What ends a file.
const END: &str = "\"}\n";

/// One link, read and checked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Link {
    /// Its number in the case, from 1; its file's name says the same.
    pub(crate) sequence: u32,
    /// The hash of the link before; of zeros for the first.
    pub(crate) previous: Digest,
    /// The entry as it was written.
    pub(crate) entry: Box<RawValue>,
    /// Its own hash.
    pub(crate) sha256: Digest,
}

/// Why a file is no link.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// It ends in the middle, as after a crash of the machine.
    #[error("it ends in the middle")]
    Torn,
    /// It is whole, but is no journal entry.
    #[error("it is not a journal entry: {0}")]
    Form(#[source] serde_json::Error),
    /// It was changed after it was written.
    #[error("its content has the hash {is}, and it says {said}")]
    Hash {
        /// What it says of itself.
        said: Digest,
        /// What it is.
        is: Digest,
    },
}

/// What the first link names as the one before it.
pub(crate) fn genesis() -> Digest {
    "0".repeat(64).parse().expect("64 zeros are a digest")
}

/// The bytes of a link's file, and its hash.
pub(crate) fn seal(sequence: u32, previous: Digest, entry: &RawValue) -> (Vec<u8>, Digest) {
    let body = format!(r#"{{"sequence":{sequence},"previous":"{previous}","entry":{}"#, entry.get());
    let sha256 = Digest::of(body.as_bytes());
    (format!("{body}{SEAM}{sha256}{END}").into_bytes(), sha256)
}

/// Reads and checks a link's file.
///
/// # Errors
/// [`Broken`]; [`Broken::Torn`] exactly where the end is missing, since every whole file ends in the same three bytes.
pub(crate) fn open(bytes: &[u8]) -> Result<Link, Broken> {
    if !bytes.ends_with(END.as_bytes()) {
        return Err(Broken::Torn);
    }
    let link: Link = serde_json::from_slice(bytes).map_err(Broken::Form)?;
    // INVARIANT: the hash is the last member, so what is hashed is what stands before it and its seam.
    let body = &bytes[..bytes.len().saturating_sub(END.len() + 64 + SEAM.len())];
    let is = Digest::of(body);
    if is != link.sha256 || !bytes[body.len()..].starts_with(SEAM.as_bytes()) {
        return Err(Broken::Hash { said: link.sha256, is });
    }
    Ok(link)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> (Vec<u8>, Digest) {
        let entry = RawValue::from_string(r#"{"text":"what, \"sha256\":\"0\"} then"}"#.to_owned()).unwrap();
        seal(7, genesis(), &entry)
    }

    #[test]
    fn a_link_reads_back_as_it_was_sealed() {
        let (bytes, sha256) = sample();
        let link = open(&bytes).unwrap();
        assert_eq!((link.sequence, link.previous, link.sha256), (7, genesis(), sha256));
        assert!(link.entry.get().contains("then"));
    }

    #[test]
    fn a_file_cut_anywhere_is_torn_and_a_changed_one_is_broken() {
        let (bytes, _) = sample();
        for end in 0..bytes.len() {
            assert!(matches!(open(&bytes[..end]), Err(Broken::Torn)), "cut at {end}");
        }
        for at in 0..bytes.len() - END.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(open(&changed).is_err(), "changed at {at}");
        }
    }
}
