//! What must hold of key material, public keys and wrapped imports for any bytes: reading them never panics, and material that is
//! taken is a key that works.

use api::{KeyAgreementAlgorithm, KeySpec, WrappingAlgorithm, WrappingKeySpec};
use crypto::{DataKeyPair, KeyMaterial, PreparedKey, WrappingKey, unwrap_import};

/// Keys of all specs that are read from DER and made quickly, and a wrapping key.
struct Known {
    pairs: Vec<(KeySpec, DataKeyPair)>,
    wrapping: WrappingKey,
}

thread_local! {
    static KNOWN: Known = {
        let specs = KeySpec::ALL.iter().copied().filter(|spec| !matches!(spec, KeySpec::Rsa3072 | KeySpec::Rsa4096));
        let pairs = specs.filter_map(|spec| Some((spec, DataKeyPair::generate(spec).ok()?))).collect();
        Known { pairs, wrapping: WrappingKey::generate(WrappingKeySpec::Rsa2048).expect("an RSA key") }
    };
}

/// The first byte is a spec, or an algorithm. The rest is taken as it is, and then as damage to a good key of the spec: a place (two
/// bytes) and a pattern each.
pub(crate) fn run(bytes: &[u8]) {
    let [choice, rest @ ..] = bytes else { return };
    let choice = usize::from(*choice);
    import(KeySpec::ALL[choice % KeySpec::ALL.len()], rest);
    KNOWN.with(|known| {
        let (spec, pair) = &known.pairs[choice % known.pairs.len()];
        import(*spec, &damaged(&pair.private, rest));
        for (spec, own) in &known.pairs {
            if spec.key_agreement_algorithms().is_empty() {
                continue;
            }
            let material = KeyMaterial::import(*spec, &own.private).expect("a key that was just made");
            let key = PreparedKey::new(*spec, &material).expect("material of its own spec");
            for peer in [rest.to_vec(), damaged(&pair.public, rest)] {
                // An agreement or a refusal.
                drop(key.derive(KeyAgreementAlgorithm::Ecdh, &peer));
            }
        }
        let algorithm = WrappingAlgorithm::ALL[choice % WrappingAlgorithm::ALL.len()];
        drop(unwrap_import(&known.wrapping.private, algorithm, rest));
        drop(unwrap_import(&known.wrapping.private, algorithm, &damaged(&[0; 300], rest)));
    });
}

fn import(spec: KeySpec, bytes: &[u8]) {
    let Ok(material) = KeyMaterial::import(spec, bytes) else { return };
    let key = PreparedKey::new(spec, &material).expect("material that was taken is a key");
    assert_eq!(key.public_key().is_ok(), spec.is_asymmetric());
}

fn damaged(whole: &[u8], by: &[u8]) -> Vec<u8> {
    let mut bytes = whole.to_vec();
    for damage in by.chunks_exact(3).take(8) {
        let at = usize::from(u16::from_be_bytes([damage[0], damage[1]])) % bytes.len();
        bytes[at] ^= damage[2];
    }
    bytes
}
