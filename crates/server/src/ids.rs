//! Fresh UUIDs for requests, records and batches.

use std::cell::RefCell;

/// How many bytes are taken from the generator at once. It stirs itself anew for every call, which costs as much as ten UUIDs.
const POOL_BYTES: usize = 1024;

/// Random bytes, of which those before `spent` were given out. No secrets: they end up in answers and records.
struct Pool {
    bytes: [u8; POOL_BYTES],
    spent: usize,
}

impl Pool {
    fn take<const N: usize>(&mut self) -> [u8; N] {
        if self.spent + N > POOL_BYTES {
            crypto::random(&mut self.bytes);
            self.spent = 0;
        }
        let fresh = *self.bytes[self.spent..].first_chunk().expect("the pool holds more than any ID");
        self.spent += N;
        fresh
    }
}

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL_BYTES], spent: POOL_BYTES }) };
}

/// 16 random bytes that are no secret.
pub(crate) fn fresh() -> [u8; 16] {
    POOL.with_borrow_mut(Pool::take)
}

/// A version 4 UUID as text (RFC 9562), made without allocating: every call needs two.
#[derive(Clone, Copy)]
pub(crate) struct Uuid([u8; 36]);

impl Uuid {
    /// A fresh one.
    pub(crate) fn fresh() -> Uuid {
        Uuid::of(fresh())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_has_its_form() {
        assert_eq!(Uuid::of([0xab; 16]).as_str(), "abababab-abab-4bab-abab-abababababab");
    }

    #[test]
    fn no_uuid_comes_twice() {
        let many: std::collections::BTreeSet<_> = (0..4 * POOL_BYTES).map(|_| fresh()).collect();
        assert_eq!(many.len(), 4 * POOL_BYTES);
    }
}
