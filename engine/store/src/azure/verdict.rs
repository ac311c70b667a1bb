//! From what the wire said to what it means.

use object_store::Error;
use object_store::client::HttpErrorKind;

use super::wire::Answer;
use crate::Kind;

/// What a failed conditional put means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PutVerdict {
    /// An object of that name exists.
    Exists,
    /// Certainly nothing was created; trying again may help.
    Busy,
    /// Anything else.
    Failed(Kind),
}

/// Judges a put from its last answer. Whatever does not certainly say that nothing was created is ambiguous.
pub(super) fn of_put(error: &Error, answer: &Answer) -> PutVerdict {
    use PutVerdict::{Busy, Exists, Failed};
    let Some(status) = answer.status else {
        return match answer.failure {
            Some(HttpErrorKind::Connect) => Busy,
            Some(_) => Failed(Kind::Ambiguous),
            // Nothing was sent: no credentials, for instance.
            None => Failed(unsent(error)),
        };
    };
    match (status, answer.code.as_str()) {
        // With a write-once signature Azure refuses to overwrite by 403.
        (409, "BlobAlreadyExists" | "BlobImmutableDueToPolicy") | (403, "UnauthorizedBlobOverwrite") | (412, _) => {
            Exists
        }
        (409, "ContainerBeingDeleted" | "ContainerDisabled" | "AccountBeingCreated") => Failed(Kind::Unreachable),
        (503, "ServerBusy") | (429, _) => Busy,
        (401 | 403, _) => Failed(Kind::PermissionDenied),
        (404, _) => Failed(Kind::NotFound),
        (413, _) => Failed(Kind::TooLarge),
        (400..=499, _) if status != 408 && status != 409 => Failed(Kind::Other),
        _ => Failed(Kind::Ambiguous),
    }
}

/// What a failed read means.
pub(super) fn of_read(error: &Error, answer: &Answer) -> Kind {
    match (answer.status, error) {
        (Some(404), _) | (_, Error::NotFound { .. }) => Kind::NotFound,
        (Some(401 | 403), _) => Kind::PermissionDenied,
        (Some(416), _) => Kind::Short,
        (Some(408 | 429 | 500..=599), _) => Kind::Unreachable,
        (Some(400..=499), _) => Kind::Other,
        // The answer was fine and its body broke off.
        (Some(_), _) => Kind::Unreachable,
        (None, _) if answer.failure.is_some() => Kind::Unreachable,
        (None, error) => unsent(error),
    }
}

/// What a failed delete means. The client library batches deletes, so the wire is not seen, only its error.
pub(super) fn of_delete(error: &Error) -> Kind {
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Kind::PermissionDenied,
        // The answer to one part of a batch; 409 is a legal hold or a retention lock.
        error if ["(code: 401)", "(code: 403)", "(code: 409)"].iter().any(|code| error.to_string().contains(code)) => {
            Kind::PermissionDenied
        }
        _ => Kind::Ambiguous,
    }
}

/// What it means that no request was sent at all.
fn unsent(error: &Error) -> Kind {
    match error {
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => Kind::PermissionDenied,
        Error::InvalidPath { .. } | Error::NotSupported { .. } | Error::NotImplemented { .. } => Kind::Other,
        // Credentials come over the network too.
        _ => Kind::Unreachable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> Error {
        Error::Generic { store: "test", source: "test".into() }
    }

    fn answer(status: u16, code: &str) -> Answer {
        Answer { status: Some(status), code: code.to_owned(), ..Answer::default() }
    }

    #[test]
    fn only_certainty_is_not_ambiguous() {
        use PutVerdict::{Busy, Exists, Failed};
        for (status, code, verdict) in [
            (409, "BlobAlreadyExists", Exists),
            (412, "ConditionNotMet", Exists),
            (409, "BlobImmutableDueToPolicy", Exists),
            (403, "UnauthorizedBlobOverwrite", Exists),
            (409, "SomethingElse", Failed(Kind::Ambiguous)),
            (409, "", Failed(Kind::Ambiguous)),
            (500, "InternalError", Failed(Kind::Ambiguous)),
            (500, "OperationTimedOut", Failed(Kind::Ambiguous)),
            (502, "", Failed(Kind::Ambiguous)),
            (503, "", Failed(Kind::Ambiguous)),
            (503, "ServerBusy", Busy),
            (504, "", Failed(Kind::Ambiguous)),
            (408, "", Failed(Kind::Ambiguous)),
            (201, "", Failed(Kind::Ambiguous)),
            (429, "", Busy),
            (403, "AuthenticationFailed", Failed(Kind::PermissionDenied)),
            (404, "ContainerNotFound", Failed(Kind::NotFound)),
            (413, "RequestBodyTooLarge", Failed(Kind::TooLarge)),
            (400, "InvalidHeaderValue", Failed(Kind::Other)),
        ] {
            assert_eq!(of_put(&error(), &answer(status, code)), verdict, "{status} {code}");
        }
        for (failure, verdict) in [
            (HttpErrorKind::Connect, Busy),
            (HttpErrorKind::Request, Failed(Kind::Ambiguous)),
            (HttpErrorKind::Timeout, Failed(Kind::Ambiguous)),
            (HttpErrorKind::Interrupted, Failed(Kind::Ambiguous)),
            (HttpErrorKind::Unknown, Failed(Kind::Ambiguous)),
        ] {
            let answer = Answer { failure: Some(failure), ..Answer::default() };
            assert_eq!(of_put(&error(), &answer), verdict);
            assert_eq!(of_read(&error(), &answer), Kind::Unreachable);
        }
        assert_eq!(of_put(&error(), &Answer::default()), Failed(Kind::Unreachable));
    }

    #[test]
    fn reads_are_judged_by_status() {
        for (status, kind) in [
            (404, Kind::NotFound),
            (403, Kind::PermissionDenied),
            (416, Kind::Short),
            (503, Kind::Unreachable),
            (429, Kind::Unreachable),
            (400, Kind::Other),
            (206, Kind::Unreachable),
        ] {
            assert_eq!(of_read(&error(), &answer(status, "")), kind);
        }
    }
}
