//! Enclaves are proven by what they show, and only what they show; what is sealed to one, OpenSSL opens with its key.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and skips aloud")]

mod enclave;

use std::process::Command;

use crypto::{Error, NitroRoot};
use enclave::Enclave;

/// A moment at which rcgen's certificates are valid: 2026-01-01.
const NOW: u64 = 1_767_225_600;

fn attested(enclave: &Enclave, document: &[u8], now: u64) -> Result<crypto::Enclave, Error> {
    crypto::Enclave::attested(document, &NitroRoot::of(enclave.root.clone()).unwrap(), now)
}

#[test]
fn an_enclave_is_proven_and_opens_what_is_sealed_to_it() {
    let enclave = Enclave::new();
    let proven = attested(&enclave, &enclave.document(), NOW).unwrap();
    assert_eq!(proven.pcrs.keys().copied().collect::<Vec<u8>>(), [0, 3]);
    assert_eq!(proven.pcrs[&0], [0xab; 48]);
    for length in [0, 1, 15, 16, 32, 4096] {
        let plaintext = vec![7; length];
        let sealed = proven.seal(&plaintext).unwrap();
        assert_eq!(enclave.open(&sealed), plaintext, "{length}");
        assert!(sealed.len() <= 6144, "longer than an answer may be");
    }
}

#[test]
fn openssl_opens_it() {
    let enclave = Enclave::new();
    let sealed = attested(&enclave, &enclave.document(), NOW).unwrap().seal(b"for the enclave").unwrap();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sealed"), sealed).unwrap();
    std::fs::write(folder.path().join("key"), enclave.private_key()).unwrap();
    let output = Command::new("openssl")
        .current_dir(&folder)
        .args(["cms", "-decrypt", "-binary", "-inform", "DER", "-in", "sealed", "-keyform", "DER", "-inkey", "key"])
        .output();
    match output {
        Ok(output) => {
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(output.stdout, b"for the enclave");
        }
        Err(error) => eprintln!("SKIPPED, openssl cannot be run: {error}"),
    }
}

#[test]
fn nothing_else_is_proven() {
    let (enclave, other) = (Enclave::new(), Enclave::new());
    let document = enclave.document();
    // Another root, and a time at which no certificate is valid.
    assert!(matches!(attested(&other, &document, NOW), Err(Error::Tampered)));
    assert!(matches!(attested(&enclave, &document, 0), Err(Error::Tampered)));
    assert!(matches!(attested(&enclave, &enclave.document_with(None), NOW), Err(Error::Malformed)));
    assert!(matches!(NitroRoot::of(b"no certificate".to_vec()), Err(Error::Malformed)));
    let no_key = attested(&enclave, &enclave.document_with(Some(b"no key")), NOW).unwrap();
    assert!(matches!(no_key.seal(b"x"), Err(Error::Malformed)));

    // Every byte counts, but for the unprotected header, which is empty here; and so does every length.
    for at in 0..document.len() {
        let mut changed = document.clone();
        changed[at] ^= 1;
        assert!(attested(&enclave, &changed, NOW).is_err(), "byte {at}");
    }
    for length in (0..document.len()).step_by(7) {
        assert!(attested(&enclave, &document[..length], NOW).is_err(), "{length} bytes");
    }
    assert!(attested(&enclave, &[document.as_slice(), &[0]].concat(), NOW).is_err());
}
