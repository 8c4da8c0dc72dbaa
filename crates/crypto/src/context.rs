//! The encryption context in the one form that both sides of a ciphertext agree on.

/// The pairs that a caller binds to a ciphertext, as additional authenticated data.
///
/// Canonical: the same pairs in any order are the same bytes, and different pairs are different bytes. Names and values count
/// exactly, case included. Source: AWS KMS Developer Guide, "Encryption context" (order does not matter, case does).
///
/// Not a secret: AWS records the context in CloudTrail. Its size is bounded where the request is parsed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EncryptionContext {
    /// For each pair, ordered by name and then value: name, value, each behind its length as four bytes, big-endian.
    bytes: Box<[u8]>,
}

impl EncryptionContext {
    /// The context of a request that gives none.
    pub fn empty() -> EncryptionContext {
        EncryptionContext::default()
    }

    /// The canonical bytes; empty where there are no pairs.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for EncryptionContext {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(pairs: T) -> EncryptionContext {
        let mut pairs: Vec<(&str, &str)> = pairs.into_iter().collect();
        pairs.sort_unstable();
        let size_bytes = pairs.iter().map(|(name, value)| 8 + name.len() + value.len()).sum();
        let mut bytes = Vec::with_capacity(size_bytes);
        for text in pairs.into_iter().flat_map(|(name, value)| [name, value]) {
            let length = u32::try_from(text.len()).expect("a request body is far below 4 GiB");
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        EncryptionContext { bytes: bytes.into() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(pairs: &[(&str, &str)]) -> EncryptionContext {
        pairs.iter().copied().collect()
    }

    #[test]
    fn the_order_of_pairs_does_not_matter() {
        let forward = context(&[("a", "1"), ("aB", "2"), ("ä", "3"), ("z", "")]);
        let backward = context(&[("z", ""), ("ä", "3"), ("aB", "2"), ("a", "1")]);
        assert_eq!(forward.as_bytes(), backward.as_bytes());
    }

    #[test]
    fn other_pairs_are_other_bytes() {
        let all = [
            context(&[]),
            context(&[("", "")]),
            context(&[("a", "b")]),
            context(&[("A", "b")]),
            context(&[("b", "a")]),
            context(&[("ab", "")]),
            context(&[("", "ab")]),
            context(&[("a", "b"), ("", "")]),
            context(&[("a", "bc"), ("d", "e")]),
            context(&[("a", "b"), ("cd", "e")]),
        ];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| one != other), "{one:?}");
        }
    }

    #[test]
    fn the_form_is_as_documented() {
        assert_eq!(context(&[("k", "v2"), ("k", "v1")]).as_bytes(), b"\0\0\0\x01k\0\0\0\x02v1\0\0\0\x01k\0\0\0\x02v2");
        assert_eq!(EncryptionContext::empty(), context(&[]));
    }
}
