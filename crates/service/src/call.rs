//! What goes into a decision, and what comes out of it.

use std::borrow::Cow;

use api::{AccountId, Fault, KeyArn, Operation, Region, Timestamp};
use store::Batch;

use crate::hash::fnv1a;

/// What kind of principal calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallerKind {
    /// The account's root user.
    Root,
    /// An IAM user, by name.
    User {
        /// The user's name, without its path.
        name: String,
    },
}

/// Who calls, as their access key proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account that owns the access key.
    pub account: AccountId,
    /// `arn:aws:iam::<account>:root` or `arn:aws:iam::<account>:user/<name>`; in other partitions as [`Caller::in_partition_of`]
    /// says.
    pub arn: String,
    /// Root user or IAM user.
    pub kind: CallerKind,
    /// `AKIA…`.
    pub access_key_id: String,
}

/// Where a call came from; only recorded and matched by policies, never trusted.
#[derive(Debug, Clone, Copy)]
pub struct Origin<'a> {
    /// The peer's address.
    pub source_ip: &'a str,
    /// The `User-Agent` header, empty where there was none.
    pub user_agent: &'a str,
    /// The `Host` header, empty where there was none.
    pub host: &'a str,
    /// TLS version and cipher suite, as CloudTrail spells them: `TLSv1.3`, `TLS_AES_128_GCM_SHA256`.
    pub tls: Option<(&'a str, &'a str)>,
}

/// One authenticated call.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a> {
    /// The row of the operation table.
    pub operation: &'static Operation,
    /// Who calls.
    pub caller: &'a Caller,
    /// The Region the request was signed for.
    pub region: Region,
    /// The JSON body.
    pub body: &'a [u8],
    /// When.
    pub now: Timestamp,
    /// A UUID: `x-amzn-RequestId` and `requestID` of the record.
    pub request_id: &'a str,
    /// A UUID: `eventID` of the record.
    pub event_id: &'a str,
    /// Where from.
    pub origin: Origin<'a>,
}

/// What must be durable before the reply leaves. Either way it holds the call's CloudTrail record.
#[derive(Debug)]
pub enum Commit {
    /// Nothing changes: the records go to the audit log, the call's own first.
    Append(Vec<Vec<u8>>),
    /// A change, with its record in `append`. On a conflict the call is decided again against the newer state.
    Batch(Batch),
}

/// A successful cryptographic operation, for GetKeyLastUsage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The key that was used.
    pub key: KeyArn,
    /// `Decrypt` and so on.
    pub operation: &'static str,
    /// The record of the use that was delivered to the key's account.
    pub event_id: String,
}

/// What a call does.
#[derive(Debug)]
pub struct Effect {
    /// The JSON body of the answer, or the fault. It must not leave before `commit` is durable.
    pub reply: Result<Vec<u8>, Fault>,
    /// What must be durable first.
    pub commit: Commit,
    /// The keys that the call used, at most two (ReEncrypt); to be noted in the state when `commit` is durable.
    pub uses: Vec<Use>,
}

impl Caller {
    /// The same caller, as the partition of `region` names them: `arn:aws-cn:iam::…` in `cn-north-1`.
    pub fn in_partition_of(&self, region: Region) -> Cow<'_, Caller> {
        match (region.partition(), self.arn.split_once("arn:aws:")) {
            ("aws", _) | (_, None) => Cow::Borrowed(self),
            (partition, Some((_, rest))) => {
                Cow::Owned(Caller { arn: format!("arn:{partition}:{rest}"), ..Caller::clone(self) })
            }
        }
    }

    /// The unique ID of the principal: the account of a root user, `AIDA…` of an IAM user.
    ///
    /// Derived from the ARN (FNV-1a), so that it is the same after every start.
    pub fn unique_id(&self) -> String {
        const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
        match &self.kind {
            CallerKind::Root => self.account.to_string(),
            CallerKind::User { .. } => {
                let hash = fnv1a(self.arn.bytes());
                let letters = (0..17).map(|at| char::from(ALPHABET[(hash >> (at * 5)) as usize % ALPHABET.len()]));
                std::iter::once("AIDA").map(str::to_owned).chain(letters.map(String::from)).collect()
            }
        }
    }
}
