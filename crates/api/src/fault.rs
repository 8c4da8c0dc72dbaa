//! The one error that leaves the service: an AWS code and, mostly, a message.

use std::borrow::Cow;
use std::fmt;

/// An error as a client sees it.
///
/// On the wire it is `{"__type": code, "message": message}` with HTTP status `status`. Some of AWS's errors carry no
/// message member at all (InvalidCiphertextException; recorded answers), so `message` is optional.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// AWS's error code, without a namespace: `NotFoundException`.
    pub code: &'static str,
    /// AWS's text, to the letter where it is known.
    pub message: Option<Cow<'static, str>>,
    /// HTTP status: 400 for every client error, 500 or 503 for ours. Source: recorded answers, all errors of KMS are 400.
    pub status: u16,
}

impl Fault {
    /// A client error with a message: HTTP 400.
    pub fn new(code: &'static str, message: impl Into<Cow<'static, str>>) -> Fault {
        Fault { code, message: Some(message.into()), status: 400 }
    }

    /// A client error that AWS sends without a message member: HTTP 400.
    pub const fn bare(code: &'static str) -> Fault {
        Fault { code, message: None, status: 400 }
    }

    /// `ValidationException` with `message`.
    pub fn validation(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new("ValidationException", message)
    }

    /// `NotFoundException` with `message`.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Fault {
        Fault::new("NotFoundException", message)
    }

    /// `KMSInternalException`: something of ours is broken. The cause goes to the log, never to the client.
    pub const fn internal() -> Fault {
        Fault { code: "KMSInternalException", message: None, status: 500 }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.message {
            Some(message) => write!(out, "{}: {message}", self.code),
            None => out.write_str(self.code),
        }
    }
}

impl std::error::Error for Fault {}
