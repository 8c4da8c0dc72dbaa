//! Fresh UUIDs for requests, records and batches.

/// A version 4 UUID as text (RFC 9562), made without allocating: every call needs two.
#[derive(Clone, Copy)]
pub(crate) struct Uuid([u8; 36]);

impl Uuid {
    /// Two fresh ones, for the price of one call to the generator.
    pub(crate) fn pair() -> (Uuid, Uuid) {
        let mut bytes = [0; 32];
        crypto::random(&mut bytes);
        let (one, two) = bytes.split_at(16);
        let of = |half: &[u8]| Uuid::of(half.try_into().expect("half of 32 bytes"));
        (of(one), of(two))
    }

    fn of(mut bytes: [u8; 16]) -> Uuid {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let mut text = [b'-'; 36];
        let mut at = 0;
        for byte in bytes {
            if matches!(at, 8 | 13 | 18 | 23) {
                at += 1;
            }
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 15)];
            at += 2;
        }
        Uuid(text)
    }

    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("hex digits and dashes are ASCII")
    }
}

/// 16 random bytes that are no secret.
pub(crate) fn fresh() -> [u8; 16] {
    let mut bytes = [0; 16];
    crypto::random(&mut bytes);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_form() {
        assert_eq!(Uuid::of([0xab; 16]).as_str(), "abababab-abab-4bab-abab-abababababab");
        let (one, two) = Uuid::pair();
        assert_ne!(one.as_str(), two.as_str());
    }
}
