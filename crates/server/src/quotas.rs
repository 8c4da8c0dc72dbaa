//! Request quotas: how many calls a second an account may make in a Region, as token buckets.
//!
//! Pure: the table, and buckets that are told what time it is. A bucket holds one second of its quota (one call at least), so that
//! a burst of that size passes and then the rate counts. Off unless asked for (`quietus serve --request-quotas aws`): a test or a
//! small installation is not to wait for limits that nobody's hardware set.
//!
//! Source: AWS KMS Developer Guide, "Request quotas". Calls across accounts count for the account that makes them.

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use api::{AccountId, Fault, KeySpec, Region};

/// Which request quotas hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum RequestQuotas {
    /// None.
    #[default]
    Off,
    /// Those that AWS gives every account.
    Aws,
}

/// Most buckets; there is one for each account, Region and quota that was used within a second.
const BUCKETS: usize = 100_000;

/// Calls a second of each operation with a quota of its own. The last four are not in the guide's table: inferred from their like.
#[rustfmt::skip] // one row, one line
const OPERATIONS: &[(&str, f64)] = &[
    ("CancelKeyDeletion", 5.0),
    ("ConnectCustomKeyStore", 5.0),
    ("CreateAlias", 5.0),
    ("CreateCustomKeyStore", 5.0),
    ("CreateGrant", 50.0),
    ("CreateKey", 5.0),
    ("DeleteAlias", 15.0),
    ("DeleteCustomKeyStore", 5.0),
    ("DeleteImportedKeyMaterial", 5.0),
    ("DescribeCustomKeyStores", 5.0),
    ("DescribeKey", 2000.0),
    ("DisableKey", 5.0),
    ("DisableKeyRotation", 5.0),
    ("DisconnectCustomKeyStore", 5.0),
    ("EnableKey", 5.0),
    ("EnableKeyRotation", 15.0),
    ("GetKeyPolicy", 1000.0),
    ("GetKeyRotationStatus", 1000.0),
    ("GetParametersForImport", 0.25),
    ("GetPublicKey", 2000.0),
    ("ImportKeyMaterial", 5.0),
    ("ListAliases", 500.0),
    ("ListGrants", 100.0),
    ("ListKeyPolicies", 100.0),
    ("ListKeys", 500.0),
    ("ListResourceTags", 2000.0),
    ("ListRetirableGrants", 100.0),
    ("PutKeyPolicy", 15.0),
    ("ReplicateKey", 5.0),
    ("RetireGrant", 30.0),
    ("RevokeGrant", 30.0),
    ("ScheduleKeyDeletion", 15.0),
    ("TagResource", 10.0),
    ("UntagResource", 5.0),
    ("UpdateAlias", 5.0),
    ("UpdateCustomKeyStore", 5.0),
    ("UpdateKeyDescription", 5.0),
    ("UpdatePrimaryRegion", 5.0),
    ("GetKeyLastUsage", 100.0),
    ("ListKeyRotations", 100.0),
    ("RotateKeyOnDemand", 5.0),
];

/// Regions with the highest quota for symmetric cryptography, and that quota; all others have the lower one.
const LARGE_REGIONS: [&str; 3] = ["eu-west-1", "us-east-1", "us-west-2"];
const LARGE: f64 = 100_000.0;
const SMALL: f64 = 20_000.0;

/// A quota: its name, and calls a second.
type Quota = (&'static str, f64);

/// What a call counts for, as far as it is known: cryptographic operations share a quota by the kind of key, GenerateDataKeyPair* by
/// what is generated. A call that failed before a key was found counts as one with a symmetric key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Counted<'a> {
    /// The account that calls.
    pub(crate) account: AccountId,
    /// The Region that is called.
    pub(crate) region: Region,
    /// `Decrypt` and so on, an operation of KMS.
    pub(crate) operation: &'a str,
    /// The key's spec.
    pub(crate) key: Option<KeySpec>,
    /// The data key pair's spec.
    pub(crate) pair: Option<KeySpec>,
}

impl Counted<'_> {
    fn quota(&self) -> Quota {
        if let Some(own) = OPERATIONS.iter().find(|(name, _)| *name == self.operation) {
            return *own;
        }
        match (self.pair, self.key) {
            (Some(pair), _) => of_pair(pair),
            (None, Some(key)) => of_key(key, self.region),
            (None, None) => of_key(KeySpec::SymmetricDefault, self.region),
        }
    }
}

fn of_key(spec: KeySpec, region: Region) -> Quota {
    match spec.as_str() {
        name if name.starts_with("RSA_") => ("RSA", 500.0),
        name if name.starts_with("ECC_") || name == "SM2" => ("ECC", 300.0),
        // Not in the guide's table: inferred.
        name if name.starts_with("ML_") => ("ML", 500.0),
        _ => ("symmetric", if LARGE_REGIONS.contains(&region.as_str()) { LARGE } else { SMALL }),
    }
}

fn of_pair(spec: KeySpec) -> Quota {
    let name = spec.as_str();
    let rate = match name {
        "RSA_2048" => 1.0,
        "RSA_3072" => 0.5,
        "RSA_4096" => 0.1,
        "ECC_NIST_P384" => 10.0,
        "ECC_NIST_P521" => 5.0,
        _ => 25.0,
    };
    (name, rate)
}

/// ThrottlingException as KMS words it.
pub(crate) fn throttled() -> Fault {
    let text = "You have exceeded the rate at which you may call KMS. Reduce the frequency of your calls.";
    Fault::new("ThrottlingException", text)
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    /// When they were counted.
    at: Duration,
    rate: f64,
}

impl Bucket {
    fn full(rate: f64, at: Duration) -> Bucket {
        Bucket { tokens: rate.max(1.0), at, rate }
    }

    fn fill(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.rate).min(self.rate.max(1.0));
        self.at = self.at.max(now);
    }

    fn is_full(&self, now: Duration) -> bool {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens + passed * self.rate >= self.rate.max(1.0)
    }
}

/// The buckets of all accounts and Regions.
#[derive(Debug)]
pub(crate) struct Buckets {
    quotas: RequestQuotas,
    buckets: Mutex<HashMap<(AccountId, Region, &'static str), Bucket>>,
}

impl Buckets {
    pub(crate) fn new(quotas: RequestQuotas) -> Buckets {
        Buckets { quotas, buckets: Mutex::default() }
    }

    /// Whether any quota holds.
    pub(crate) fn hold(&self) -> bool {
        self.quotas == RequestQuotas::Aws
    }

    /// Counts a call at `now`, on a clock that never goes back; whether it may pass.
    pub(crate) fn admit(&self, call: &Counted<'_>, now: Duration) -> bool {
        if !self.hold() {
            return true;
        }
        let (name, rate) = call.quota();
        let mut buckets = self.buckets.lock().expect("no panic happens under this lock");
        if buckets.len() >= BUCKETS {
            // A full bucket is as good as none.
            buckets.retain(|_, bucket| !bucket.is_full(now));
        }
        if buckets.len() >= BUCKETS {
            return true;
        }
        let bucket = buckets.entry((call.account, call.region, name)).or_insert_with(|| Bucket::full(rate, now));
        bucket.fill(now);
        let passes = bucket.tokens >= 1.0;
        if passes {
            bucket.tokens -= 1.0;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(operation: &str) -> Counted<'_> {
        let (account, region) = ("111122223333".parse().unwrap(), "eu-central-1".parse().unwrap());
        Counted { account, region, operation, key: None, pair: None }
    }

    /// How many of `calls` calls at `at` milliseconds pass.
    fn passing(buckets: &Buckets, call: &Counted<'_>, calls: usize, at: u64) -> usize {
        (0..calls).filter(|_| buckets.admit(call, Duration::from_millis(at))).count()
    }

    #[test]
    fn a_second_of_the_quota_passes_at_once_and_then_its_rate() {
        let buckets = Buckets::new(RequestQuotas::Aws);
        let call = counted("CancelKeyDeletion");
        assert_eq!(passing(&buckets, &call, 10, 0), 5);
        assert_eq!(passing(&buckets, &call, 10, 199), 0);
        assert_eq!(passing(&buckets, &call, 10, 400), 2);
        assert_eq!(passing(&buckets, &call, 10, 60_000), 5);
        let rare = counted("GetParametersForImport");
        assert_eq!(passing(&buckets, &rare, 10, 0), 1);
        assert_eq!(passing(&buckets, &rare, 10, 3_999), 0);
        assert_eq!(passing(&buckets, &rare, 10, 4_001), 1);
        assert_eq!(passing(&Buckets::new(RequestQuotas::Off), &call, 100, 0), 100);
    }

    #[test]
    fn each_account_region_and_quota_has_its_own_bucket() {
        let buckets = Buckets::new(RequestQuotas::Aws);
        let call = counted("CreateKey");
        assert_eq!(passing(&buckets, &call, 10, 0), 5);
        let (account, region) = ("444455556666".parse().unwrap(), "us-east-1".parse().unwrap());
        assert_eq!(passing(&buckets, &Counted { account, ..call }, 10, 0), 5);
        assert_eq!(passing(&buckets, &Counted { region, ..call }, 10, 0), 5);
        assert_eq!(passing(&buckets, &counted("CreateAlias"), 10, 0), 5);
        // Encrypt and Decrypt share one, by the kind of key.
        let rsa = |operation| Counted { key: KeySpec::named("RSA_2048"), ..counted(operation) };
        assert_eq!(passing(&buckets, &rsa("Encrypt"), 400, 0), 400);
        assert_eq!(passing(&buckets, &rsa("Sign"), 400, 0), 100);
        assert_eq!(passing(&buckets, &counted("Encrypt"), 400, 0), 400);
        let pair = Counted { pair: KeySpec::named("RSA_4096"), ..counted("GenerateDataKeyPair") };
        assert_eq!(passing(&buckets, &pair, 10, 0), 1);
    }

    #[test]
    fn every_operation_is_in_the_table_or_is_cryptographic() {
        for row in api::OPERATIONS.iter().filter(|row| row.service == api::Service::Kms) {
            let own = OPERATIONS.iter().any(|(name, _)| *name == row.name);
            let shared = row.is_cryptographic() || row.name == "GenerateRandom";
            assert!(own != shared, "{}", row.name);
        }
    }
}
