//! The outermost frame of DER, which the cryptographic library reads without saying whether anything follows it.

/// What is in the one DER SEQUENCE (X.690) that `bytes` are from first to last; `None` where they are not.
pub(crate) fn sequence(bytes: &[u8]) -> Option<&[u8]> {
    let (&[0x30, first], rest) = bytes.split_first_chunk()? else { return None };
    let (length, content) = match first {
        0..=0x7f => (usize::from(first), rest),
        // No key is longer than 65535 bytes.
        0x81..=0x82 => {
            let (length, content) = rest.split_at_checked(usize::from(first - 0x80))?;
            (length.iter().fold(0, |value, byte| value << 8 | usize::from(*byte)), content)
        }
        _ => return None,
    };
    (content.len() == length).then_some(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sequence_ends_where_the_bytes_end() {
        let long = |head: &[u8], bytes: usize| [head, &vec![0; bytes]].concat();
        for good in [vec![0x30, 0], vec![0x30, 1, 5], long(&[0x30, 0x81, 0x80], 128), long(&[0x30, 0x82, 1, 2], 258)] {
            assert!(sequence(&good).is_some_and(|content| good.ends_with(content)), "{good:?}");
            assert_eq!(sequence(&[good.as_slice(), &[0]].concat()), None);
            assert_eq!(sequence(&good[..good.len() - 1]), None);
        }
        for bad in [&[][..], &[0x30], &[0x31, 0], &[0x30, 0x80], &[0x30, 0x82, 1], &[0x30, 0x83, 0, 0, 0]] {
            assert_eq!(sequence(bad), None, "{bad:?}");
        }
    }
}
