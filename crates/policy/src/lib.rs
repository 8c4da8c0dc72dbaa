//! Who may do what with a key, and why: policy documents parsed, evaluated, and read for who *could*.
//!
//! The crate knows documents, grants, callers and condition keys. It does not know keys, stores or time: what a request is
//! about comes in through [`Request`], and what is known about it through [`Context`], asked only for the condition keys that
//! a policy names. Everything is decided from values, so the service and the deletion procedure read a policy alike.
//!
//! ```
//! use policy::{Document, Facts, Principal, Request, authorize, default_key_policy};
//!
//! let account = "111122223333".parse()?;
//! let key_policy = Document::parse(&default_key_policy(account, "aws"))?;
//! let context = Facts::new().with("aws:SecureTransport", true);
//! let request = Request {
//!     principal: &Principal::Root { account },
//!     action: "kms:Encrypt",
//!     resource: "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab",
//!     context: &context,
//! };
//! assert!(authorize(&key_policy, account, &[], &request).is_allowed());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Source of the rules: IAM User Guide, "IAM JSON policy element reference" and "Policy evaluation logic"; AWS KMS Developer
//! Guide, "Key policies in AWS KMS".

mod action;
mod arn;
mod authorize;
mod condition;
mod context;
mod document;
mod evaluate;
mod glob;
mod grant;
mod json;
mod key_policy;
mod operand;
mod principal;
mod reach;
mod variable;

pub use action::{ActionPattern, KEY_ACTIONS};
pub use api::Class;
pub use arn::ArnPattern;
pub use authorize::{Because, Decision, Grant, Why, authorize, authorize_in_account, explain};
pub use condition::{Condition, Operator, Qualifier};
pub use context::{Context, Facts, Unknown, Value, Values};
pub use document::{Document, Effect, Listed, MAX_BYTES, ParseError, Place, Statement, Version};
pub use evaluate::{Attached, Outcome, Request};
pub use grant::{Constraints, Pairs, Presented, Terms, authorize_with_grants, may_retire};
pub use key_policy::{Malformed, default_key_policy, validate_key_policy};
pub use principal::{Form, Named, Principal, Principals};
pub use reach::{Idle, IdleReason, Possible, RESCUE, Reach, Row, Who, reach};
