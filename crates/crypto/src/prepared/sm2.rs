//! SM2: encryption, signatures and shared secrets (GB/T 32918), for the China Regions.
//!
//! AWS-LC has no SM2, so this alone stands on another library, which nobody has audited. Only the private key is kept, which
//! clears itself; what an operation needs besides is made for it.

use std::convert::Infallible;

use sm2::dsa::signature::hazmat::{PrehashVerifier as _, RandomizedPrehashSigner as _};
use sm2::dsa::signature::{RandomizedSigner as _, Verifier as _};
use sm2::dsa::{Signature, SigningKey, VerifyingKey};
use sm2::elliptic_curve::Generate as _;
use sm2::elliptic_curve::point::AffineCoordinates as _;
use sm2::elliptic_curve::rand_core::{TryCryptoRng, TryRng};
use sm2::pkcs8::{DecodePrivateKey as _, DecodePublicKey as _, EncodePrivateKey as _, EncodePublicKey as _};
use sm2::pke::{DecryptingKey, EncryptingKey, Mode};
use sm2::{ProjectivePoint, PublicKey, SecretKey};
use zeroize::Zeroizing;

use api::{EncryptionAlgorithm, KeySpec};

use super::Message;
use crate::error::Error;
use crate::random::random;

/// The signer's name, which is hashed with every message.
/// Source: AWS KMS Developer Guide, "SM2 key spec": the default of GM/T 0009-2012.
const DISTINGUISHING_ID: &str = "1234567812345678";

/// Bytes of an SM3 digest.
const DIGEST_BYTES: usize = 32;

/// An SM2 key pair.
pub(crate) struct Sm2 {
    secret: SecretKey,
    verifying: VerifyingKey,
    /// SubjectPublicKeyInfo DER.
    public: Vec<u8>,
}

/// A new key pair as PKCS #8.
pub(crate) fn generate() -> Result<Zeroizing<Vec<u8>>, Error> {
    let Ok(secret) = SecretKey::try_generate_from_rng(&mut OperatingSystem);
    pkcs8(&secret)
}

/// A key pair that somebody else made, from PKCS #8.
pub(crate) fn import(bytes: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    pkcs8(&SecretKey::from_pkcs8_der(bytes).map_err(|_| Error::Malformed)?)
}

fn pkcs8(secret: &SecretKey) -> Result<Zeroizing<Vec<u8>>, Error> {
    Ok(secret.to_pkcs8_der().map_err(|_| Error::Library)?.to_bytes())
}

impl Sm2 {
    pub(crate) fn new(pkcs8: &[u8]) -> Result<Sm2, Error> {
        let secret = SecretKey::from_pkcs8_der(pkcs8).map_err(|_| Error::Malformed)?;
        let verifying = VerifyingKey::new(DISTINGUISHING_ID, secret.public_key()).map_err(|_| Error::Library)?;
        let public = secret.public_key().to_public_key_der().map_err(|_| Error::Library)?.into_vec();
        Ok(Sm2 { secret, verifying, public })
    }

    pub(crate) fn public(&self) -> &[u8] {
        &self.public
    }

    /// DER of the order C1, C3, C2 (GM/T 0009-2012): the point's coordinates, the digest and the ciphertext.
    pub(crate) fn encrypt(&self, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let most = KeySpec::Sm2.largest_plaintext(EncryptionAlgorithm::Sm2Pke).unwrap_or(0);
        if plaintext.len() > most {
            return Err(Error::TooLong { bytes: plaintext.len(), most });
        }
        let key = EncryptingKey::new_with_mode(self.secret.public_key(), Mode::C1C3C2);
        key.encrypt_der(&mut OperatingSystem, plaintext).map_err(|_| Error::Library)
    }

    pub(crate) fn decrypt(&self, ciphertext: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let key = DecryptingKey::new_with_mode(self.secret.to_nonzero_scalar(), Mode::C1C3C2);
        key.decrypt_der(ciphertext).map(Zeroizing::new).map_err(|_| Error::Tampered)
    }

    /// DER signatures. The digest of a message is SM3 of the signer's identity hash and the message.
    pub(crate) fn sign(&self, message: &Message<'_>) -> Result<Vec<u8>, Error> {
        let key = SigningKey::new(DISTINGUISHING_ID, &self.secret).map_err(|_| Error::Library)?;
        let signature = match message {
            Message::Raw(message) => key.try_sign_with_rng(&mut OperatingSystem, message),
            Message::Digest(digest) => key.sign_prehash_with_rng(&mut OperatingSystem, checked(digest)?),
            Message::ExternalMu(_) => return Err(Error::Unsupported { spec: KeySpec::Sm2 }),
        };
        Ok(signature.map_err(|_| Error::Library)?.to_der().to_vec())
    }

    pub(crate) fn verify(&self, message: &Message<'_>, signature: &[u8]) -> Result<(), Error> {
        if let Message::Digest(digest) = message {
            checked(digest)?;
        }
        let signature = Signature::from_der(signature).map_err(|_| Error::Tampered)?;
        let verified = match message {
            Message::Raw(message) => self.verifying.verify(message, &signature),
            Message::Digest(digest) => self.verifying.verify_prehash(digest, &signature),
            Message::ExternalMu(_) => return Err(Error::Unsupported { spec: KeySpec::Sm2 }),
        };
        verified.map_err(|_| Error::Tampered)
    }

    /// The x coordinate of the point that this key shares with `peer`, a SubjectPublicKeyInfo.
    pub(crate) fn derive(&self, peer: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let peer = PublicKey::from_public_key_der(peer).map_err(|_| Error::Malformed)?;
        let shared = ProjectivePoint::from(*peer.as_affine()) * *self.secret.to_nonzero_scalar();
        Ok(Zeroizing::new(shared.to_affine().x().to_vec()))
    }
}

/// A digest of the right length.
fn checked(digest: &[u8]) -> Result<&[u8], Error> {
    if digest.len() == DIGEST_BYTES {
        Ok(digest)
    } else {
        Err(Error::DigestLength { bytes: digest.len(), right: DIGEST_BYTES })
    }
}

/// The operating system's generator, in the shape that the library takes.
struct OperatingSystem;

impl TryRng for OperatingSystem {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        random(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        random(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        random(bytes);
        Ok(())
    }
}

impl TryCryptoRng for OperatingSystem {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::unhex;

    /// The private key of both examples in GB/T 32918.5, annexes A and C.
    const PRIVATE: &str = "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8";

    fn published() -> Sm2 {
        let secret = SecretKey::from_slice(&unhex(PRIVATE)).unwrap();
        Sm2::new(&pkcs8(&secret).unwrap()).unwrap()
    }

    /// DER of two 32-byte numbers, each with its sign byte where the first bit is set.
    fn integers(numbers: &[&str]) -> Vec<u8> {
        let mut der = Vec::new();
        for number in numbers {
            let bytes = unhex(number);
            let sign = usize::from(bytes[0] >> 7);
            der.extend([0x02, (bytes.len() + sign) as u8]);
            der.extend(vec![0; sign]);
            der.extend(bytes);
        }
        der
    }

    fn sequence(content: Vec<u8>) -> Vec<u8> {
        [vec![0x30, content.len() as u8], content].concat()
    }

    #[test]
    fn the_published_signature_verifies() {
        let key = published();
        let public = "09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020\
                      CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13";
        assert!(key.public().ends_with(&unhex(public)));
        let signature = sequence(integers(&[
            "F5A03B0648D2C4630EEAC513E1BB81A15944DA3827D5B74143AC7EACEEE720B3",
            "B1B6AA29DF212FD8763182BC0D421CA1BB9038FD1F7F42D4840B69C485BBC1AA",
        ]));
        let digest = unhex("F0B43E94BA45ACCAACE692ED534382EB17E6AB5A19CE7B31F4486FDFC0D28640");
        key.verify(&Message::Raw(b"message digest"), &signature).unwrap();
        key.verify(&Message::Digest(&digest), &signature).unwrap();
        assert!(matches!(key.verify(&Message::Raw(b"message"), &signature), Err(Error::Tampered)));
        let ours = key.sign(&Message::Digest(&digest)).unwrap();
        key.verify(&Message::Raw(b"message digest"), &ours).unwrap();
    }

    #[test]
    fn the_published_ciphertext_opens() {
        let mut content = integers(&[
            "04EBFC718E8D1798620432268E77FEB6415E2EDE0E073C0F4F640ECD2E149A73",
            "E858F9D81E5430A57B36DAAB8F950A3C64E6EE6A63094D99283AFF767E124DF0",
        ]);
        content.extend([0x04, 0x20]);
        content.extend(unhex("59983C18F809E262923C53AEC295D30383B54E39D609D160AFCB1908D0BD8766"));
        content.extend([0x04, 0x13]);
        content.extend(unhex("21886CA989CA9C7D58087307CA93092D651EFA"));
        assert_eq!(*published().decrypt(&sequence(content)).unwrap(), b"encryption standard");
    }

    /// A key, a signature and a ciphertext that OpenSSL 3.0 made.
    #[test]
    fn what_openssl_made_is_understood() {
        let private = "308187020100301306072a8648ce3d020106082a811ccf5501822d046d306b02010104201afad4123ae486e61ae466eccbda4680\
                       e006ff325acb588d075b59f19ad6d5a6a14403420004958abdc1ed4f350aac91312ce495d756354a702f4702db238f1118b253f3\
                       ddebb9e20d257a10e0f3839d4fd8589e880174183381ad68bebdab7eb5371c66f229";
        let signature = "30460221008ab8c84604769f22d12507d1a373020ed89486f6725f763d93fb42ffc5985977022100a859355bdb7559b7b9641\
                         a48dcded2d38e20d31a831a7dcef995173b7637c225";
        let ciphertext = "30818102203df2bdef12db276cc03891e4a57f84fefb7ef0bf8df9cf857927d33a56d03046022100c7faf11bc23c6f9979306\
                          ee699ca83eabeab3c47cd23aba98ca85d1eafd53f1404205cd615d707e3ae0c9193973a16dd0f213f5141dcb780eac10b2770\
                          cfe1793b370418a91fe84536296ba692d2a126bd00a7c083c00a109a1d1a9b";
        let private = unhex(private);
        assert_eq!(*import(&private).unwrap(), private);
        let key = Sm2::new(&private).unwrap();
        key.verify(&Message::Raw(b"cross-checked by openssl"), &unhex(signature)).unwrap();
        assert_eq!(*key.decrypt(&unhex(ciphertext)).unwrap(), b"cross-checked by openssl");
        assert!(matches!(import(&[&private[..], &[0]].concat()), Err(Error::Malformed)));
        assert!(matches!(import(&private[..private.len() - 1]), Err(Error::Malformed)));
    }
}
