//! Members, their roles and their logs.

use crate::digest::{LogId, Root};
use crate::keys::PublicKey;
use crate::limits::MEMBER_ID_MAX;
use smol_str::SmolStr;
use std::collections::BTreeSet;
use std::fmt;

/// A member id: `[a-z0-9-]{1,32}`, never used again after its member left.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(SmolStr);

/// Why a text is not a member id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemberIdError {
    /// Empty or too long.
    #[error("a member id has 1 to {MEMBER_ID_MAX} characters, not {got}")]
    Length {
        /// Its length in bytes.
        got: usize,
    },
    /// A character outside the alphabet.
    #[error("a member id has only [a-z0-9-]; byte {at} is another")]
    Character {
        /// Position from 0.
        at: usize,
    },
}

impl MemberId {
    /// Checks a text.
    ///
    /// # Errors
    /// Length or alphabet.
    pub fn parse(text: &str) -> Result<Self, MemberIdError> {
        if text.is_empty() || text.len() > MEMBER_ID_MAX {
            return Err(MemberIdError::Length { got: text.len() });
        }
        match text.bytes().position(|byte| !is_id_byte(byte)) {
            Some(at) => Err(MemberIdError::Character { at }),
            None => Ok(Self(text.into())),
        }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(super) const fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-'
}

/// Whether a member takes part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MemberStatus {
    /// Takes part.
    Active,
    /// Left; its id and logs stay listed.
    Left,
}

impl MemberStatus {
    pub(super) const ALL: [Self; 2] = [Self::Active, Self::Left];

    /// The word in the text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Left => "left",
        }
    }
}

/// What a member may do beyond holding the logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// States records.
    Contributor,
    /// Its `hotline_confirmed` counts.
    Hotline,
    /// Reads.
    Observer,
    /// Reads and exports audits.
    Auditor,
}

impl Role {
    pub(super) const ALL: [Self; 4] = [Self::Contributor, Self::Hotline, Self::Observer, Self::Auditor];

    /// The word in the text.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Contributor => "contributor",
            Self::Hotline => "hotline",
            Self::Observer => "observer",
            Self::Auditor => "auditor",
        }
    }
}

/// State of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogStatus {
    /// The member appends to it.
    Open,
    /// Closed at a size and root: a trust anchor.
    Closed {
        /// Tree size.
        size: u64,
        /// Root at that size.
        root: Root,
    },
    /// Authorised in advance to follow the open one. It takes no entries before a version opens it.
    Spare,
}

/// One log of a member: one origin, one key, for life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// Its number within the member: the first log is 1, the next 2, and so on.
    pub n: u32,
    /// Verifies its checkpoints.
    pub key: PublicKey,
    /// Its state.
    pub status: LogStatus,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: MemberId,
    /// Name of the organisation: at most 80 bytes, single inner spaces, nothing hidden.
    pub name: String,
    /// Whether it takes part.
    pub status: MemberStatus,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// Numbers of the groups that it is in; with one, also those around it.
    pub groups: BTreeSet<u32>,
    /// Verifies its node cards.
    pub card_key: PublicKey,
    /// Verifies its cosignatures.
    pub cosigner_key: Option<PublicKey>,
    /// From when on it may have payloads, seconds since 1970; 0 for all.
    pub history_start_s: u64,
    /// Entries that it may append a day.
    pub quota_entries_per_day: u64,
    /// Priority entries that it may append a day.
    pub priority_entries_per_day: u64,
    /// Version of the agreement that it signed, if that is stated.
    pub agreement: Option<u32>,
    /// Whether what it had stated stopped counting when it left.
    pub records_lapse: bool,
    /// Its logs, ascending by number.
    pub logs: Vec<LogEntry>,
}

impl Member {
    /// Whether it takes part.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.status == MemberStatus::Active
    }

    /// The log that it appends to.
    #[must_use]
    pub fn open_log(&self) -> Option<&LogEntry> {
        self.logs.iter().find(|log| log.status == LogStatus::Open)
    }
}

/// A log with everything that follows from its place in a roster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRef<'a> {
    /// Who writes it.
    pub member: &'a MemberId,
    /// Its number.
    pub n: u32,
    /// Its origin.
    pub origin: String,
    /// Its id.
    pub log_id: LogId,
    /// Verifies its checkpoints.
    pub key: &'a PublicKey,
    /// Its state.
    pub status: &'a LogStatus,
}
