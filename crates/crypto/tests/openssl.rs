//! The `openssl` program as the other side: what it makes is taken here, and what is made here is taken by it.
//!
//! Where the program is missing the tests say so aloud and are skipped.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "a test fails by panicking, and skips aloud")]

use std::path::PathBuf;
use std::process::{Command, Stdio};

use api::{EncryptionAlgorithm, KeyAgreementAlgorithm, KeySpec, SigningAlgorithm};
use crypto::{DataKeyPair, KeyMaterial, Message, PreparedKey};
use tempfile::TempDir;

const RSA: [KeySpec; 3] = [KeySpec::Rsa2048, KeySpec::Rsa3072, KeySpec::Rsa4096];
const NIST: [KeySpec; 3] = [KeySpec::EccNistP256, KeySpec::EccNistP384, KeySpec::EccNistP521];
const OTHERS: [KeySpec; 2] = [KeySpec::EccSecgP256k1, KeySpec::EccNistEdwards25519];

/// The program, and a folder for what goes to it and comes from it.
struct Openssl(TempDir);

impl Openssl {
    /// Nothing where there is no such program, or one older than 3.0, whose `pkeyutl` cannot hash.
    fn find() -> Option<Openssl> {
        let version = Command::new("openssl").arg("version").output();
        let text = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        if text.starts_with("OpenSSL ") && !text.starts_with("OpenSSL 1.") {
            return Some(Openssl(TempDir::new().unwrap()));
        }
        eprintln!("SKIPPED, there is no OpenSSL of version 3 or newer here: {text:?}");
        None
    }

    /// The path of a file of this name in the folder.
    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Runs a line of arguments in the folder: whether it succeeded, and what it printed.
    fn try_run(&self, line: &str) -> (bool, Vec<u8>) {
        let output = Command::new("openssl")
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .stdin(Stdio::null())
            .output()
            .unwrap();
        if !output.status.success() {
            eprintln!("openssl {line}: {}", String::from_utf8_lossy(&output.stderr));
        }
        (output.status.success(), output.stdout)
    }

    fn run(&self, line: &str) -> Vec<u8> {
        let (succeeded, printed) = self.try_run(line);
        assert!(succeeded, "openssl {line}");
        printed
    }

    /// A key pair that the program made, as PKCS #8 in the file `name`.
    fn generate(&self, spec: KeySpec, name: &str) -> PreparedKey {
        let how = match spec {
            KeySpec::Rsa2048 => "RSA -pkeyopt rsa_keygen_bits:2048",
            KeySpec::Rsa3072 => "RSA -pkeyopt rsa_keygen_bits:3072",
            KeySpec::Rsa4096 => "RSA -pkeyopt rsa_keygen_bits:4096",
            KeySpec::EccNistP256 => "EC -pkeyopt ec_paramgen_curve:P-256",
            KeySpec::EccNistP384 => "EC -pkeyopt ec_paramgen_curve:P-384",
            KeySpec::EccNistP521 => "EC -pkeyopt ec_paramgen_curve:P-521",
            KeySpec::EccSecgP256k1 => "EC -pkeyopt ec_paramgen_curve:secp256k1",
            _ => "ED25519",
        };
        import(spec, &self.pkcs8(how, name))
    }

    /// A private key as PKCS #8 in the file `name`: `genpkey` itself writes DER in the older form of each kind of key.
    fn pkcs8(&self, how: &str, name: &str) -> Vec<u8> {
        self.run(&format!("genpkey -algorithm {how} -out pem"));
        self.run(&format!("pkcs8 -topk8 -nocrypt -in pem -outform DER -out {name}"));
        std::fs::read(self.path(name)).unwrap()
    }

    /// A key pair that was made here, as PKCS #8 in the file `name`.
    fn take(&self, spec: KeySpec, name: &str) -> PreparedKey {
        let pair = DataKeyPair::generate(spec).unwrap();
        self.write(name, &pair.private);
        let key = import(spec, &pair.private);
        assert_eq!(key.public_key().unwrap(), pair.public);
        key
    }

    /// What the program says the public half of the key in `name` is.
    fn public(&self, name: &str) -> Vec<u8> {
        self.run(&format!("pkey -inform DER -in {name} -pubout -outform DER"))
    }
}

fn import(spec: KeySpec, pkcs8: &[u8]) -> PreparedKey {
    PreparedKey::new(spec, &KeyMaterial::import(spec, pkcs8).unwrap()).unwrap()
}

/// One key pair of each side: the private half is in `ours` or `theirs`, the public half in the file of that name with `.pub`.
fn pairs(openssl: &Openssl, spec: KeySpec) -> [(&'static str, PreparedKey); 2] {
    let pairs = [("ours", openssl.take(spec, "ours")), ("theirs", openssl.generate(spec, "theirs"))];
    for (name, key) in &pairs {
        assert_eq!(key.public_key().unwrap(), openssl.public(name), "{spec}");
        openssl.write(&format!("{name}.pub"), key.public_key().unwrap());
    }
    pairs
}

/// The program's name for the hash function of `algorithm`, and its options for the padding.
fn options(algorithm: SigningAlgorithm) -> (&'static str, &'static str) {
    use SigningAlgorithm as S;
    const PSS: &str = "-pkeyopt rsa_padding_mode:pss -pkeyopt rsa_pss_saltlen:digest";
    const PKCS1: &str = "-pkeyopt rsa_padding_mode:pkcs1";
    match algorithm {
        S::RsassaPssSha256 => ("sha256", PSS),
        S::RsassaPssSha384 => ("sha384", PSS),
        S::RsassaPssSha512 => ("sha512", PSS),
        S::RsassaPkcs1V15Sha256 => ("sha256", PKCS1),
        S::RsassaPkcs1V15Sha384 => ("sha384", PKCS1),
        S::RsassaPkcs1V15Sha512 => ("sha512", PKCS1),
        S::EcdsaSha256 => ("sha256", ""),
        S::EcdsaSha384 => ("sha384", ""),
        S::EcdsaSha512 => ("sha512", ""),
        other => panic!("{other} is asked for in another way"),
    }
}

#[test]
fn signatures_are_taken_by_both_sides() {
    let Some(openssl) = Openssl::find() else { return };
    openssl.write("message", b"the message");
    openssl.write("another", b"another message");
    for spec in RSA.into_iter().chain(NIST).chain(OTHERS) {
        for (name, key) in pairs(&openssl, spec) {
            for algorithm in spec.signing_algorithms().iter().copied() {
                if algorithm == SigningAlgorithm::Ed25519PhSha512 {
                    continue; // OpenSSL knows it from 3.2 on only.
                }
                let (digest, how) = match algorithm {
                    SigningAlgorithm::Ed25519Sha512 => (None, "-rawin".to_owned()),
                    _ => {
                        let (hash, padding) = options(algorithm);
                        let digest = openssl.run(&format!("dgst -{hash} -binary message"));
                        (Some((digest, hash, padding)), format!("-rawin -digest {hash} {padding}"))
                    }
                };
                let sign = format!("pkeyutl -sign -keyform DER -inkey {name}");
                let verify = format!("pkeyutl -verify -pubin -keyform DER -inkey {name}.pub -sigfile signature");

                let signature = key.sign(algorithm, Message::Raw(b"the message")).unwrap();
                openssl.write("signature", &signature);
                openssl.run(&format!("{verify} -in message {how}"));
                let (taken, _) = openssl.try_run(&format!("{verify} -in another {how}"));
                assert!(!taken, "{spec} {algorithm}");

                let signature = openssl.run(&format!("{sign} -in message {how}"));
                key.verify(algorithm, Message::Raw(b"the message"), &signature).unwrap();
                key.verify(algorithm, Message::Raw(b"another message"), &signature).unwrap_err();

                let Some((digest, hash, padding)) = digest else { continue };
                openssl.write("digest", &digest);
                let how = format!("-in digest -pkeyopt digest:{hash} {padding}");
                openssl.write("signature", &key.sign(algorithm, Message::Digest(&digest)).unwrap());
                openssl.run(&format!("{verify} {how}"));
                let signature = openssl.run(&format!("{sign} {how}"));
                key.verify(algorithm, Message::Digest(&digest), &signature).unwrap();
                key.verify(algorithm, Message::Raw(b"the message"), &signature).unwrap();
            }
        }
    }
}

#[test]
fn ciphertexts_are_opened_by_both_sides() {
    let Some(openssl) = Openssl::find() else { return };
    openssl.write("plaintext", b"the plaintext");
    for spec in RSA {
        for (name, key) in pairs(&openssl, spec) {
            for (algorithm, hash) in
                [(EncryptionAlgorithm::RsaesOaepSha1, "sha1"), (EncryptionAlgorithm::RsaesOaepSha256, "sha256")]
            {
                let how = format!(
                    "-keyform DER -pkeyopt rsa_padding_mode:oaep -pkeyopt rsa_oaep_md:{hash} -pkeyopt rsa_mgf1_md:{hash}"
                );
                openssl.write("ciphertext", &key.encrypt(algorithm, b"the plaintext").unwrap());
                let plaintext = openssl.run(&format!("pkeyutl -decrypt -inkey {name} -in ciphertext {how}"));
                assert_eq!(plaintext, b"the plaintext", "{spec} {algorithm}");
                let encrypt = format!("pkeyutl -encrypt -pubin -inkey {name}.pub -in plaintext {how}");
                let opened = key.decrypt(algorithm, &openssl.run(&encrypt)).unwrap();
                assert_eq!(opened.as_slice(), b"the plaintext", "{spec} {algorithm}");
            }
        }
    }
}

#[test]
fn both_sides_agree_on_a_secret() {
    let Some(openssl) = Openssl::find() else { return };
    for spec in NIST {
        let [(_, ours), (_, theirs)] = pairs(&openssl, spec);
        let agreed = openssl.run("pkeyutl -derive -keyform DER -inkey theirs -peerkey ours.pub -peerform DER");
        let derived = |key: &PreparedKey, peer: &PreparedKey| {
            key.derive(KeyAgreementAlgorithm::Ecdh, peer.public_key().unwrap()).unwrap()
        };
        assert_eq!(*derived(&ours, &theirs), agreed, "{spec}");
        assert_eq!(*derived(&theirs, &ours), agreed, "{spec}");
    }
}

#[test]
fn authentication_codes_are_the_same_on_both_sides() {
    let Some(openssl) = Openssl::find() else { return };
    openssl.write("message", b"the message");
    for (spec, hash, bytes) in [
        (KeySpec::Hmac224, "sha224", 28),
        (KeySpec::Hmac256, "sha256", 50),
        (KeySpec::Hmac384, "sha384", 48),
        (KeySpec::Hmac512, "sha512", 128),
    ] {
        let key = import(spec, &vec![0xa7; bytes]);
        let digits = "a7".repeat(bytes);
        let code = openssl.run(&format!("dgst -{hash} -mac HMAC -macopt hexkey:{digits} -binary message"));
        for algorithm in spec.mac_algorithms().iter().copied() {
            assert_eq!(key.mac(algorithm, b"the message").unwrap(), code, "{spec}");
            key.verify_mac(algorithm, b"the message", &code).unwrap();
        }
    }
}

/// A curve is named, and not spelt out: neither in a key to be imported nor in a peer's public key.
#[test]
fn curves_that_are_spelt_out_are_refused() {
    let Some(openssl) = Openssl::find() else { return };
    for (spec, curve) in NIST.into_iter().zip(["P-256", "P-384", "P-521"]) {
        let parameters = format!("EC -pkeyopt ec_paramgen_curve:{curve} -pkeyopt ec_param_enc");
        KeyMaterial::import(spec, &openssl.pkcs8(&format!("{parameters}:named_curve"), "key")).unwrap();
        let refused = KeyMaterial::import(spec, &openssl.pkcs8(&format!("{parameters}:explicit"), "key"));
        assert!(matches!(refused, Err(crypto::Error::Malformed)), "{spec}");
        let own = openssl.take(spec, "own");
        let refused = own.derive(KeyAgreementAlgorithm::Ecdh, &openssl.public("key"));
        assert!(matches!(refused, Err(crypto::Error::Malformed)), "{spec}");
    }
}
