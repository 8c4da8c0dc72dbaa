//! The AWS API as types: identifiers, the operation table, request and response shapes, faults.
//!
//! This crate says what can be said on the wire and how it is spelt. It decides nothing: not whether a key exists, not who
//! may call, not what a state allows. Names and spellings are AWS's (KMS API Reference, and the service model of botocore).

mod class;
mod fault;
mod grant;
mod id;
mod key_spec;
mod operation;
pub mod page;
pub mod shape;
pub mod validate;

pub use class::Class;
pub use fault::Fault;
pub use grant::{GrantId, GrantOperation};
pub use id::{AccountId, AliasArn, AliasName, InvalidId, KeyArn, KeyId, KeyRef, Region, hex};
pub use jiff::Timestamp;
pub use key_spec::{
    EncapsulationAlgorithm, EncryptionAlgorithm, KeyAgreementAlgorithm, KeySpec, KeyUsage, MacAlgorithm, MessageType,
    SigningAlgorithm, Word, WrappingAlgorithm, WrappingKeySpec,
};
pub use operation::{Keys, Needs, OPERATIONS, Operation, Service, find};
