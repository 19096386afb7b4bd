//! What can go wrong between this client and its node.
//!
//! A refusal keeps the node's own code, message and request id, so that an operator can find the
//! request in the node's log. Messages of the transport are given whole, but never the token and
//! never the body that was sent.

use thiserror::Error;

/// Why a call has no answer.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The address of the node is not an HTTP address.
    #[error("the node's address {url:?} cannot be used: {reason}")]
    Address {
        /// The address as given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The token has a character that cannot stand in an HTTP header.
    #[error("the token holds a character that cannot be sent (tokens are letters, digits, '-', '_' and '.')")]
    Token,
    /// A file that TLS needs.
    #[error("{what} {path:?}: {reason}")]
    Tls {
        /// Which: CA file, client certificate or client key.
        what: &'static str,
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No answer: connection refused, name unknown, time-out, broken transfer.
    #[error("cannot reach the node at {url} after {attempts} attempt(s): {reason}")]
    Unreachable {
        /// Address of the node.
        url: String,
        /// Attempts made.
        attempts: u32,
        /// The transport's words.
        reason: String,
    },
    /// The node answered with an error.
    #[error("the node refused ({status}, {code}): {message}{}", request_suffix(.request_id))]
    Refused {
        /// HTTP status.
        status: u16,
        /// The stable code of the API.
        code: String,
        /// The node's message for the caller.
        message: String,
        /// The id under which the node logged the request; empty when it gave none.
        request_id: String,
        /// Seconds after which the node wants to be asked again.
        retry_after_s: Option<u64>,
    },
    /// The answer is not what the API describes: another program, or a node of another version.
    #[error("the answer of {url} is not understood ({what}); is this a Hashpact node of the same version?")]
    Unexpected {
        /// The address that was asked.
        url: String,
        /// What was wrong with the answer.
        what: String,
    },
    /// A bulk answer without its end: what came before it stands, the rest is unknown.
    #[error("the answer of {url} broke off: {why}; nothing is known about the rest")]
    BrokeOff {
        /// The address that was asked.
        url: String,
        /// The node's or the transport's words.
        why: String,
    },
    /// The answer is larger than this client reads.
    #[error("the answer of {url} is larger than {limit_bytes} bytes and was not read")]
    AnswerTooLarge {
        /// The address that was asked.
        url: String,
        /// The bound.
        limit_bytes: u64,
    },
}

fn request_suffix(request_id: &str) -> String {
    if request_id.is_empty() { String::new() } else { format!(" (request {request_id})") }
}
