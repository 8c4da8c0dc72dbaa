//! What went wrong with a call, in the words of an observation or an answer.

use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::RequestId;
use procedure::Gap;

use crate::world::Answer;

/// A call that brought no answer we can use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The service refused.
    Refused {
        /// Its error code.
        code: String,
        /// Its text.
        message: String,
        /// Its request id.
        request_id: Option<String>,
    },
    /// Nothing came that says whether the call was done.
    NoAnswer {
        /// `timeout`, `unreachable`, `unreadable`, or the code of the service's own fault.
        class: String,
        /// More about it.
        message: String,
    },
    /// The call could not be made.
    NotMade {
        /// Why.
        message: String,
    },
}

impl<E> From<SdkError<E>> for Trouble
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    fn from(error: SdkError<E>) -> Trouble {
        let request_id = error.request_id().map(str::to_owned);
        let words = |error: &dyn std::error::Error| chain(error);
        match &error {
            SdkError::ServiceError(refused) => {
                let code = refused.err().code().unwrap_or("unknown").to_owned();
                let message = refused.err().message().unwrap_or_default().to_owned();
                // The service's own faults say nothing about what it did.
                if refused.raw().status().is_server_error() {
                    Trouble::NoAnswer { class: code, message }
                } else {
                    Trouble::Refused { code, message, request_id }
                }
            }
            SdkError::TimeoutError(_) => no_answer("timeout", words(&error)),
            SdkError::DispatchFailure(_) => no_answer("unreachable", words(&error)),
            SdkError::ResponseError(_) => no_answer("unreadable", words(&error)),
            _ => Trouble::NotMade { message: words(&error) },
        }
    }
}

fn no_answer(class: &str, message: String) -> Trouble {
    Trouble::NoAnswer { class: class.to_owned(), message }
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Trouble {
    /// Whether the service does not know the key.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Trouble::Refused { code, .. } if code == "NotFoundException")
    }

    /// Why something was not seen: the call was `service:operation`.
    pub(super) fn gap(self, service: &str, operation: &str) -> Gap {
        let failed = |code: String, message: String| Gap::Failed { operation: operation.to_owned(), code, message };
        match self {
            Trouble::Refused { code, message, .. } if is_access_denied(&code) => {
                Gap::Denied { action: format!("{service}:{operation}"), message }
            }
            Trouble::Refused { code, .. } if is_unsupported(&code) => {
                failed(code, "the endpoint does not offer this operation".to_owned())
            }
            Trouble::Refused { code, message, .. } => failed(code, message),
            Trouble::NoAnswer { class, message } => failed(class, message),
            Trouble::NotMade { message } => failed("not-made".to_owned(), message),
        }
    }

    /// What it means for an act.
    pub(super) fn answer(self) -> Answer {
        match self {
            Trouble::Refused { code, message, request_id } => Answer::Refused { code, message, request_id },
            Trouble::NoAnswer { class, message } => Answer::Unclear { why: format!("{class}: {message}") },
            Trouble::NotMade { message } => Answer::NotTried { why: message },
        }
    }
}

fn is_access_denied(code: &str) -> bool {
    code.contains("AccessDenied") || code.contains("NotAuthorized") || code == "UnauthorizedOperation"
}

fn is_unsupported(code: &str) -> bool {
    code.contains("UnknownOperation") || code == "InvalidAction" || code.contains("NotImplemented")
}
