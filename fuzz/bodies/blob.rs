//! What must hold of ciphertext blobs for any bytes: reading and opening them never panics, and nothing opens but what was sealed.

use api::KeySpec;
use crypto::{BlobHeader, EncryptionContext, KeyMaterial, MaterialId, PreparedKey};

const PLAINTEXT: &[u8] = b"kept for ever";

thread_local! {
    static KEY: PreparedKey = {
        let material = KeyMaterial::import(KeySpec::SymmetricDefault, &[7; 32]).expect("32 bytes are material");
        PreparedKey::new(KeySpec::SymmetricDefault, &material).expect("material of its own spec")
    };
}

/// Opens the bytes as they are, and then a blob that was damaged by them: each four are a place, a bit pattern, and lengths to cut.
pub(crate) fn run(bytes: &[u8]) {
    let context = EncryptionContext::empty();
    KEY.with(|key| {
        let cipher = key.cipher().expect("a symmetric key");
        if let Ok(header) = crypto::header(bytes) {
            assert_eq!(header.to_bytes(), bytes[..crypto::HEADER_BYTES], "a header is written as it is read");
        }
        assert!(cipher.open(bytes, &context).is_err(), "nobody sealed these bytes");

        let header = BlobHeader {
            account: "111122223333".parse().expect("an account"),
            key: "1234abcd-12ab-34cd-56ef-1234567890ab".parse().expect("a key ID"),
            material: MaterialId([9; 32]),
        };
        let whole = cipher.seal(&header, &context, PLAINTEXT);
        let mut blob = whole.clone();
        for damage in bytes.chunks_exact(2).take(8) {
            let at = usize::from(damage[0]) % blob.len();
            blob[at] ^= damage[1];
        }
        if bytes.len() % 2 == 1 {
            blob.truncate(usize::from(bytes[bytes.len() - 1]));
        }
        let opened = cipher.open(&blob, &context).ok();
        assert_eq!(opened.is_some(), blob == whole, "what opens is what was sealed");
    });
}
