//! Signing keys: derived from a secret for one day, Region and service, and kept because deriving costs more than signing.

use std::sync::Arc;

use api::Region;
use arc_swap::ArcSwap;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign_to_buffer};
use zeroize::Zeroizing;

use super::canonical::hex;
use super::claim::Scope;

/// How many signing keys are kept for an access key: several services in all of AWS's Regions. Past that, the oldest goes.
pub(super) const MAX_KEPT: usize = 128;

/// The signing keys of one access key.
///
/// Readers load a list that is never changed, only replaced; so they never wait. Only requests whose signature was good add to it.
pub(super) struct SigningKeys {
    /// `AWS4` and the secret access key.
    root: Zeroizing<Vec<u8>>,
    /// The newest first.
    kept: ArcSwap<Vec<Arc<Kept>>>,
}

struct Kept {
    day: [u8; 8],
    region: Region,
    service: &'static str,
    key: Key,
}

impl Kept {
    fn is_for(&self, scope: &Scope<'_>) -> bool {
        self.day == scope.day.as_bytes() && self.region == scope.region && self.service == scope.service
    }
}

impl SigningKeys {
    pub(super) fn new(secret: &str) -> SigningKeys {
        let mut root = Zeroizing::new(Vec::with_capacity(4 + secret.len()));
        root.extend_from_slice(b"AWS4");
        root.extend_from_slice(secret.as_bytes());
        SigningKeys { root, kept: ArcSwap::default() }
    }

    /// Asks `check` about the signing key for `scope`, and keeps the key if the answer is yes.
    pub(super) fn agree(&self, scope: &Scope<'_>, check: impl FnOnce(&Key) -> bool) -> bool {
        if let Some(kept) = self.kept.load().iter().find(|kept| kept.is_for(scope)) {
            return check(&kept.key);
        }
        let secret = derive(&self.root, scope.day, scope.region.as_str(), scope.service);
        let key = Key::new(HMAC_SHA256, secret.as_slice());
        let good = check(&key);
        if let (true, Ok(day)) = (good, scope.day.as_bytes().try_into()) {
            self.keep(Arc::new(Kept { day, region: scope.region, service: scope.service, key }));
        }
        good
    }

    /// How many signing keys are kept.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.kept.load().len()
    }

    fn keep(&self, new: Arc<Kept>) {
        self.kept.rcu(|kept| {
            let mut next = Vec::with_capacity(MAX_KEPT.min(kept.len() + 1));
            next.push(new.clone());
            next.extend(kept.iter().take(MAX_KEPT - 1).cloned());
            next
        });
    }
}

/// Source: AWS IAM User Guide, "Create a signed AWS API request", step 4.
pub(super) fn derive(root: &[u8], day: &str, region: &str, service: &str) -> Zeroizing<[u8; 32]> {
    let mut secret = Zeroizing::new([0; 32]);
    hmac(&Key::new(HMAC_SHA256, root), day, &mut secret);
    for text in [region, service, "aws4_request"] {
        let key = Key::new(HMAC_SHA256, secret.as_slice());
        hmac(&key, text, &mut secret);
    }
    secret
}

fn hmac(key: &Key, text: &str, out: &mut [u8; 32]) {
    sign_to_buffer(key, text.as_bytes(), out).expect("HMAC-SHA-256 gives 32 bytes");
}

/// The signature of `string_to_sign`: 64 lower-case hex digits.
pub(super) fn sign(key: &Key, string_to_sign: &[u8]) -> [u8; 64] {
    let mut tag = [0; 32];
    sign_to_buffer(key, string_to_sign, &mut tag).expect("HMAC-SHA-256 gives 32 bytes");
    hex(&tag)
}
