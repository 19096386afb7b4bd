//! Where an entry stands: whose log, and which history of it.

use hashpact_protocol::digest::{LogId, sha256, tags};
use hashpact_protocol::roster::MemberId;

/// Where an entry stands and who wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Author {
    /// The member.
    pub member: MemberId,
    /// Number of the member's log.
    pub n: u32,
    /// The log.
    pub log: LogId,
    /// Which history of the log: the log's own id for the one that is followed, a name for one that is kept
    /// beside it. Two entries at one index of a log differ in this.
    pub line: LogId,
}

impl Author {
    /// Of the followed history of a log.
    #[must_use]
    pub const fn new(member: MemberId, n: u32, log: LogId) -> Self {
        Self { member, n, log, line: log }
    }

    /// The same member and log, in the history that is kept under this number (SPEC §3.6).
    #[must_use]
    pub fn beside(&self, number: u8) -> Self {
        Self { line: kept_line(&self.log, number), ..self.clone() }
    }

    /// Whether this is a history that is kept beside the followed one.
    #[must_use]
    pub fn is_beside(&self) -> bool {
        self.line != self.log
    }
}

/// The name of the history of a log that is kept under this number. It is this node's own: another may keep the same
/// history under another number, or follow it.
#[must_use]
pub fn kept_line(log: &LogId, number: u8) -> LogId {
    LogId::new(sha256(&[tags::KEPT_LINE, log.as_bytes(), &[number]]))
}
