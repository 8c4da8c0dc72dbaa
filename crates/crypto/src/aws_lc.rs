//! What AWS-LC can do and aws-lc-rs does not offer: Ed25519ph, ML-DSA over a message's representative, and ML-KEM keys as DER.
//!
//! The only unsafe code of the project (docs/decisions/0009-one-unsafe-module.md). Keys come in and go out as DER; no
//! pointer leaves this file. Every function answers `None` where AWS-LC refuses, and callers give that its meaning.
#![allow(unsafe_code, reason = "a C library is called; see docs/decisions/0009-one-unsafe-module.md")]

use std::ffi::c_int;
use std::ptr::{NonNull, null, null_mut};

use api::KeySpec;
use aws_lc_sys as lc;
use zeroize::Zeroizing;

/// The longest DER that is written here: an ML_DSA_87 or ML_KEM_1024 key as PKCS #8, expanded, has under 5,000 bytes.
const MAX_DER_BYTES: usize = 8192;

/// A private key of AWS-LC.
pub(crate) struct Key(NonNull<lc::EVP_PKEY>);

// SAFETY: an EVP_PKEY belongs to no thread.
unsafe impl Send for Key {}
// SAFETY: AWS-LC lets any number of threads use an EVP_PKEY at once as long as none changes it, and nothing here does: what
// takes a mutable pointer below only counts references, atomically.
unsafe impl Sync for Key {}

impl Drop for Key {
    fn drop(&mut self) {
        // SAFETY: the pointer came from AWS-LC, as a reference of our own, and is given back once.
        unsafe { lc::EVP_PKEY_free(self.0.as_ptr()) };
    }
}

impl Key {
    /// The private key that `der`, PKCS #8, is from end to end.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<Key> {
        let mut rest = lc::CBS { data: der.as_ptr(), len: der.len() };
        // SAFETY: `rest` names the bytes of `der`, which live as long as the call; what comes back is null or ours.
        let key = Key(NonNull::new(unsafe { lc::EVP_parse_private_key(&mut rest) })?);
        (rest.len == 0).then_some(key)
    }

    /// A new ML-KEM key pair.
    pub(crate) fn generate_ml_kem(spec: KeySpec) -> Option<Key> {
        let parameters = match spec {
            KeySpec::MlKem512 => lc::NID_MLKEM512,
            KeySpec::MlKem768 => lc::NID_MLKEM768,
            KeySpec::MlKem1024 => lc::NID_MLKEM1024,
            _ => return None,
        };
        // SAFETY: no argument is a pointer that is followed; what comes back is null or ours.
        let context = Context(NonNull::new(unsafe { lc::EVP_PKEY_CTX_new_id(lc::EVP_PKEY_KEM, null_mut()) })?);
        let mut key = null_mut();
        // SAFETY: the context is live.
        done(unsafe { lc::EVP_PKEY_CTX_kem_set_params(context.pointer(), parameters) })?;
        // SAFETY: the context is live.
        done(unsafe { lc::EVP_PKEY_keygen_init(context.pointer()) })?;
        // SAFETY: the context is live, and `key` is a place for one pointer, null before.
        done(unsafe { lc::EVP_PKEY_keygen(context.pointer(), &mut key) })?;
        NonNull::new(key).map(Key)
    }

    /// The private key as PKCS #8 DER: as its seed, where the seed is known.
    pub(crate) fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.marshal(lc::EVP_marshal_private_key)
    }

    /// The public key as SubjectPublicKeyInfo DER.
    pub(crate) fn to_spki(&self) -> Option<Vec<u8>> {
        self.marshal(lc::EVP_marshal_public_key).map(|der| der.to_vec())
    }

    fn marshal(
        &self,
        marshal: unsafe extern "C" fn(*mut lc::CBB, *const lc::EVP_PKEY) -> c_int,
    ) -> Option<Zeroizing<Vec<u8>>> {
        let mut der = Zeroizing::new(vec![0; MAX_DER_BYTES]);
        let mut builder = lc::CBB::default();
        let mut len = 0;
        // SAFETY: `builder` writes to `der` only, and never more than its length; both live to the end of this function. A
        // builder over fixed space owns nothing, so leaving early leaks nothing.
        done(unsafe { lc::CBB_init_fixed(&mut builder, der.as_mut_ptr(), der.len()) })?;
        // SAFETY: the builder was made ready above, and the key is live.
        done(unsafe { marshal(&mut builder, self.0.as_ptr()) })?;
        // SAFETY: as above; for fixed space the place of the data may be null, as it is known.
        done(unsafe { lc::CBB_finish(&mut builder, null_mut(), &mut len) })?;
        der.truncate(len);
        Some(der)
    }

    /// Signs what stands for a message: for ML-DSA, its 64-byte representative.
    pub(crate) fn sign_digest(&self, digest: &[u8]) -> Option<Vec<u8>> {
        let context = self.context()?;
        // SAFETY: the context is live.
        done(unsafe { lc::EVP_PKEY_sign_init(context.pointer()) })?;
        let signature = sized(|out, len| {
            // SAFETY: the context is live; `out` is null or has `len` bytes; `digest` has its length.
            unsafe { lc::EVP_PKEY_sign(context.pointer(), out, len, digest.as_ptr(), digest.len()) }
        })?;
        Some(signature.to_vec())
    }

    /// Checks what [`Key::sign_digest`] signed.
    pub(crate) fn verify_digest(&self, digest: &[u8], signature: &[u8]) -> Option<()> {
        let context = self.context()?;
        // SAFETY: the context is live.
        done(unsafe { lc::EVP_PKEY_verify_init(context.pointer()) })?;
        // SAFETY: the context is live; both slices have their lengths.
        done(unsafe {
            lc::EVP_PKEY_verify(context.pointer(), signature.as_ptr(), signature.len(), digest.as_ptr(), digest.len())
        })
    }

    /// A new shared secret, and its ciphertext for the holder of the private key: (ciphertext, secret).
    pub(crate) fn encapsulate(&self) -> Option<(Vec<u8>, Zeroizing<Vec<u8>>)> {
        let context = self.context()?;
        let (mut ciphertext_len, mut secret_len) = (0, 0);
        // SAFETY: the context is live; with null for both places only the lengths are written.
        done(unsafe {
            lc::EVP_PKEY_encapsulate(context.pointer(), null_mut(), &mut ciphertext_len, null_mut(), &mut secret_len)
        })?;
        let mut ciphertext = vec![0; ciphertext_len];
        let mut secret = Zeroizing::new(vec![0; secret_len]);
        // SAFETY: the context is live; both places have the lengths that were just asked for.
        done(unsafe {
            lc::EVP_PKEY_encapsulate(
                context.pointer(),
                ciphertext.as_mut_ptr(),
                &mut ciphertext_len,
                secret.as_mut_ptr(),
                &mut secret_len,
            )
        })?;
        ciphertext.truncate(ciphertext_len);
        secret.truncate(secret_len);
        Some((ciphertext, secret))
    }

    /// The shared secret of `ciphertext`; `None` where that has not the length of this key's ciphertexts. What was made for
    /// another key gives another secret: FIPS 203 rejects implicitly.
    pub(crate) fn decapsulate(&self, ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let context = self.context()?;
        sized(|out, len| {
            // SAFETY: the context is live; `out` is null or has `len` bytes; `ciphertext` has its length.
            unsafe { lc::EVP_PKEY_decapsulate(context.pointer(), out, len, ciphertext.as_ptr(), ciphertext.len()) }
        })
    }

    fn context(&self) -> Option<Context> {
        // SAFETY: the key is live, and the context takes a reference of its own; what comes back is null or ours.
        NonNull::new(unsafe { lc::EVP_PKEY_CTX_new(self.0.as_ptr(), null_mut()) }).map(Context)
    }
}

/// One operation with a key.
struct Context(NonNull<lc::EVP_PKEY_CTX>);

impl Context {
    fn pointer(&self) -> *mut lc::EVP_PKEY_CTX {
        self.0.as_ptr()
    }
}

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: the pointer came from AWS-LC, is ours alone, and is given back once.
        unsafe { lc::EVP_PKEY_CTX_free(self.pointer()) };
    }
}

/// AWS-LC's word for success.
fn done(answer: c_int) -> Option<()> {
    (answer == 1).then_some(())
}

/// Asks `write` how long its output may be, by a null pointer, and then for the output.
fn sized(write: impl Fn(*mut u8, *mut usize) -> c_int) -> Option<Zeroizing<Vec<u8>>> {
    let mut len = 0;
    done(write(null_mut(), &mut len))?;
    let mut space = Zeroizing::new(vec![0; len]);
    done(write(space.as_mut_ptr(), &mut len))?;
    space.truncate(len);
    Some(space)
}

/// Signs the SHA-512 digest of a message as Ed25519ph, with no context (RFC 8032, 5.1).
pub(crate) fn ed25519ph_sign(seed: &[u8; 32], digest: &[u8; 64]) -> Option<[u8; 64]> {
    let mut public = [0; 32];
    let mut private = Zeroizing::new([0; 64]);
    // SAFETY: the three arrays have the lengths that the header gives: 32, 64 and 32 bytes.
    unsafe { lc::ED25519_keypair_from_seed(public.as_mut_ptr(), private.as_mut_ptr(), seed.as_ptr()) };
    let mut signature = [0; 64];
    // SAFETY: the arrays have the lengths that the header gives, 64 bytes each; the context is empty and so may be null.
    done(unsafe { lc::ED25519ph_sign_digest(signature.as_mut_ptr(), digest.as_ptr(), private.as_ptr(), null(), 0) })?;
    Some(signature)
}

/// Checks what [`ed25519ph_sign`] signed.
pub(crate) fn ed25519ph_verify(public: &[u8; 32], digest: &[u8; 64], signature: &[u8; 64]) -> Option<()> {
    // SAFETY: the arrays have the lengths that the header gives: 64, 64 and 32 bytes; the context is empty and so may be null.
    done(unsafe { lc::ED25519ph_verify_digest(digest.as_ptr(), signature.as_ptr(), public.as_ptr(), null(), 0) })
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::digest;
    use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

    use super::*;
    use crate::tests::unhex;

    /// The vector of RFC 8032, 7.3.
    #[test]
    fn ed25519ph_signs_as_published() {
        let seed: [u8; 32] =
            unhex("833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42").try_into().unwrap();
        let digest: [u8; 64] = digest::digest(&digest::SHA512, b"abc").as_ref().try_into().unwrap();
        let signature = ed25519ph_sign(&seed, &digest).unwrap();
        let published = "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae41\
                         31f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406";
        assert_eq!(signature.as_slice(), unhex(published));

        let pair = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap();
        let public: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
        assert_eq!(ed25519ph_verify(&public, &digest, &signature), Some(()));
        assert_eq!(ed25519ph_verify(&public, &[0; 64], &signature), None);
        assert_eq!(ed25519ph_verify(&[7; 32], &digest, &signature), None);
        // Prehashed and pure signatures are not each other's, whatever was signed.
        let pure: [u8; 64] = pair.sign(&digest).as_ref().try_into().unwrap();
        assert_eq!(ed25519ph_verify(&public, &digest, &pure), None);
        assert!(UnparsedPublicKey::new(&ED25519, public).verify(&digest, &signature).is_err());
    }

    #[test]
    fn only_der_from_end_to_end_is_a_key() {
        let key = Key::generate_ml_kem(KeySpec::MlKem512).unwrap();
        let (private, public) = (key.to_pkcs8().unwrap(), key.to_spki().unwrap());
        assert!(Key::from_pkcs8(&private).is_some());
        assert!(Key::from_pkcs8(&public).is_none());
        assert!(Key::from_pkcs8(&[&private[..], &[0]].concat()).is_none());
        for cut in 0..private.len() {
            assert!(Key::from_pkcs8(&private[..cut]).is_none());
        }
        assert!(Key::generate_ml_kem(KeySpec::MlDsa44).is_none());
        // What a key cannot do is refused.
        assert!(key.sign_digest(&[0; 64]).is_none());
    }
}
