//! The outermost frame of DER, which the cryptographic library reads without saying whether anything follows it.

/// Whether `bytes` are one DER SEQUENCE (X.690) from first to last. What is in it is not looked at.
pub(crate) fn is_one_sequence(bytes: &[u8]) -> bool {
    let Some((&[0x30, first], rest)) = bytes.split_first_chunk() else { return false };
    let (length, content) = match first {
        0..=0x7f => (usize::from(first), rest),
        // No key is longer than 65535 bytes.
        0x81..=0x82 => {
            let Some((length, content)) = rest.split_at_checked(usize::from(first - 0x80)) else { return false };
            (length.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)), content)
        }
        _ => return false,
    };
    content.len() == length
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sequence_ends_where_the_bytes_end() {
        let long = |head: &[u8], bytes: usize| [head, &vec![0; bytes]].concat();
        for good in [vec![0x30, 0], vec![0x30, 1, 5], long(&[0x30, 0x81, 0x80], 128), long(&[0x30, 0x82, 1, 2], 258)] {
            assert!(is_one_sequence(&good), "{good:?}");
            assert!(!is_one_sequence(&[good.as_slice(), &[0]].concat()));
            assert!(!is_one_sequence(&good[..good.len() - 1]));
        }
        for bad in [&[][..], &[0x30], &[0x31, 0], &[0x30, 0x80], &[0x30, 0x82, 1], &[0x30, 0x83, 0, 0, 0]] {
            assert!(!is_one_sequence(bad), "{bad:?}");
        }
    }
}
